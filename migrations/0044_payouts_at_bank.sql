-- What statements and notifications of the bank tell of the city's own payouts: that they left the account, and that they came back. The money of a payout
-- passes the suspense account of the bank account twice, once by what becomes of the payout (0035: in_transit → clearing, clearing → source) and once by
-- the statement (0029: suspense → the bank's money, and back), so that pain.002 and camt may come in any order, and each movement counts once.
--
--   a part that names a payout or a batch by its reference      is tied to it in payments.bank_payout: each leaves once and comes back once
--   what it says of the payout                                  is taken as a report of the bank, by payouts.apply_report
--   a return of less than was sent                              waits until a finance officer counts it: the city bears what the banks kept
ALTER TABLE payments.bank_payout
    ADD FOREIGN KEY (instruction_id) REFERENCES payouts.instruction,
    ADD FOREIGN KEY (batch_id) REFERENCES payouts.batch;

GRANT CREATE ON SCHEMA payouts TO stoa_door;

-- The payouts and whole batches that parts of movements name, of batches that were paid from the account of the movement.
CREATE FUNCTION payouts.told_by(movements uuid[])
    RETURNS TABLE (item_id uuid, direction text, amount bigint, is_reversal boolean, is_return boolean, reason text, batch_id uuid, instruction_id uuid)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
    RETURN QUERY
        SELECT i.id, m.direction, i.amount, m.is_reversal, coalesce((part.value ->> 'is_return')::boolean, false), part.value ->> 'return_reason', b.id, b.instruction_id
        FROM (SELECT x.* FROM payments.bank_movement AS x WHERE x.id = ANY (told_by.movements) OFFSET 0) AS m
        CROSS JOIN LATERAL (SELECT x.suspense_account FROM payments.bank_account AS x WHERE x.id = m.account_id OFFSET 0) AS a
        CROSS JOIN LATERAL (SELECT x.* FROM payments.bank_item AS x WHERE x.movement_id = m.id OFFSET 0) AS i
        CROSS JOIN LATERAL (SELECT x.parts -> (i.number - 1) AS value FROM payments.bank_entry AS x
                            WHERE x.report_id = m.report_id AND x.position = m.position OFFSET 0) AS part
        CROSS JOIN LATERAL (
            SELECT y.id, n.id AS instruction_id
            FROM payouts.instruction AS n JOIN payouts.item AS x ON x.instruction_id = n.id
            JOIN payouts.decision AS d ON d.batch_id = x.batch_id AND d.kind = 'approved' JOIN payouts.batch AS y ON y.id = x.batch_id
            WHERE n.end_to_end_id = part.value ->> 'end_to_end_id' AND n.currency = i.currency AND y.clearing = a.suspense_account
            UNION ALL
            SELECT y.id, NULL
            FROM payouts.batch AS y JOIN payouts.decision AS d ON d.batch_id = y.id AND d.kind = 'approved'
            WHERE y.reference = part.value ->> 'batch_reference' AND part.value ->> 'end_to_end_id' IS NULL AND y.currency = i.currency
              AND y.clearing = a.suspense_account AND m.direction = 'debit' AND NOT m.is_reversal
            OFFSET 0) AS b;
END
$$;

-- Whether a statement has shown that a payout, or the whole batch that it is in, left the account.
CREATE FUNCTION payouts.has_left(instruction uuid, batch uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.instruction_id = has_left.instruction AND p.direction = 'debit')
        OR EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.batch_id = has_left.batch);
END
$$;

-- Whether what came in under a payout's reference is that payout come back. Before it is known to have left, only where the bank says that it is a return:
-- anybody can write a reference.
CREATE FUNCTION payouts.is_back(state text, says_so boolean, has_left boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE state WHEN 'settled' THEN true WHEN 'returned' THEN true WHEN 'sent' THEN says_so OR has_left WHEN 'rejected' THEN has_left ELSE false END;

-- Most that is taken to be the bank's charge for a return, in minor units; more missing needs the two people of every return of money.
CREATE FUNCTION payouts.return_charges_max() RETURNS bigint LANGUAGE sql IMMUTABLE RETURN 5000;
ALTER FUNCTION payouts.return_charges_max() OWNER TO stoa_door;

-- The payout that a part which came in may be the return of, by its end-to-end id; null: none, or the payout came back already.
CREATE FUNCTION payouts.awaits(item uuid) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT n.end_to_end_id
        FROM payouts.told_by((SELECT ARRAY[i.movement_id] FROM payments.bank_item AS i WHERE i.id = awaits.item)) AS t
        JOIN payouts.instruction AS n ON n.id = t.instruction_id JOIN payouts.state AS s ON s.instruction_id = n.id
        WHERE t.item_id = awaits.item AND t.direction = 'credit'
          -- Less than was sent is a return only where the bank says so: the reference alone can be anybody's. What the bank kept is bounded, since one officer counts it.
          AND (t.amount = n.amount OR (t.amount < n.amount AND (t.is_return OR t.is_reversal) AND n.amount - t.amount <= payouts.return_charges_max()))
          AND payouts.is_back(s.state, t.is_return OR t.is_reversal, payouts.has_left(n.id, t.batch_id))
          AND NOT EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.item_id = t.item_id)
          AND NOT EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.instruction_id = n.id AND p.direction = 'credit'));
END
$$;

-- What a payout or a batch is called towards the bank.
CREATE FUNCTION payouts.reference_of(instruction uuid, batch uuid) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT n.end_to_end_id FROM payouts.instruction AS n WHERE n.id = reference_of.instruction),
                    (SELECT b.reference FROM payouts.batch AS b WHERE b.id = reference_of.batch));
END
$$;

-- Before the first posting about movements: the batches of the payouts that they name, in the order of their ids, then every account, these and theirs.
CREATE FUNCTION payouts.lock_told(movements uuid[], accounts uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named record;
    theirs uuid[];
BEGIN
    FOR named IN SELECT DISTINCT t.batch_id FROM payouts.told_by(movements) AS t ORDER BY t.batch_id LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || named.batch_id, 0));
    END LOOP;
    SELECT coalesce(array_agg(x.id), '{}') INTO theirs
        FROM payouts.told_by(movements) AS t JOIN payouts.batch AS b ON b.id = t.batch_id JOIN payouts.channel AS c ON c.currency = b.currency
        LEFT JOIN payouts.instruction AS n ON n.id = t.instruction_id
        CROSS JOIN LATERAL unnest(ARRAY[c.in_transit, b.clearing, n.source]) AS x (id);
    PERFORM payouts.lock_accounts(lock_told.accounts || theirs);
END
$$;

-- Takes what one bank report says of payouts of one batch, as a report of the bank about it. Whoever calls it holds the locks.
CREATE FUNCTION payouts.take_news(
    source uuid, batch uuid, direction text, group_state text, end_to_end_ids text[], reasons text[], officer uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer record;
BEGIN
    SELECT r.outcome, r.detail INTO answer
        FROM payouts.apply_report(take_news.officer, gen_random_uuid(),
            sha256(uuid_send(take_news.source) || uuid_send(take_news.batch) || convert_to(take_news.direction, 'UTF8')),
            'camt ' || left(replace(take_news.source::text, '-', ''), 30), payouts.reference_of(NULL, take_news.batch), NULL, NULL, take_news.group_state, NULL,
            take_news.end_to_end_ids,
            array_fill(CASE take_news.direction WHEN 'debit' THEN 'settled'::text ELSE 'returned' END, ARRAY[cardinality(take_news.end_to_end_ids)]),
            take_news.reasons, array_fill(0::bigint, ARRAY[cardinality(take_news.end_to_end_ids)])) AS r;
    IF answer.outcome <> 'taken' THEN
        RAISE EXCEPTION 'what the bank tells of a payout cannot be: %', answer.outcome USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_tells_of_payout';
    END IF;
END
$$;

-- Ties the parts of new movements to the payouts that they tell of, and takes what they say: what left first, then what came back. For payments.book_report,
-- which has booked them to suspense and holds the locks.
CREATE FUNCTION payouts.follow_bank(report uuid, movements uuid[], officer uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step record;
    ids text[];
    reasons text[];
BEGIN
    FOR step IN
        SELECT DISTINCT t.direction, t.batch_id FROM payouts.told_by(movements) AS t ORDER BY t.direction DESC, t.batch_id
    LOOP
        WITH linked AS (
            INSERT INTO payments.bank_payout AS p (item_id, direction, instruction_id)
                SELECT t.item_id, t.direction, n.id
                FROM payouts.told_by(movements) AS t
                JOIN payouts.instruction AS n ON n.id = t.instruction_id JOIN payouts.state AS s ON s.instruction_id = n.id
                WHERE t.batch_id = step.batch_id AND t.direction = step.direction AND t.amount = n.amount
                  AND CASE t.direction
                      WHEN 'debit' THEN NOT t.is_reversal AND NOT EXISTS (SELECT FROM payments.bank_payout AS x WHERE x.batch_id = t.batch_id)
                      ELSE payouts.is_back(s.state, t.is_return OR t.is_reversal, payouts.has_left(n.id, t.batch_id)) END
                ON CONFLICT DO NOTHING RETURNING p.item_id, p.instruction_id
        )
        SELECT array_agg(n.end_to_end_id ORDER BY n.id), array_agg(coalesce(left(t.reason, 35), '') ORDER BY n.id) INTO ids, reasons
            FROM linked AS l JOIN payouts.told_by(movements) AS t ON t.item_id = l.item_id JOIN payouts.instruction AS n ON n.id = l.instruction_id
            JOIN payouts.state AS s ON s.instruction_id = n.id
            WHERE s.state = 'sent' OR s.state = 'settled' AND step.direction = 'credit';
        IF ids IS NOT NULL THEN PERFORM payouts.take_news(report, step.batch_id, step.direction, NULL, ids, reasons, officer); END IF;

        -- A whole batch as one sum: all that the bank has not rejected.
        INSERT INTO payments.bank_payout (item_id, direction, batch_id)
            SELECT t.item_id, t.direction, t.batch_id FROM payouts.told_by(movements) AS t
            WHERE t.batch_id = step.batch_id AND t.direction = step.direction AND t.instruction_id IS NULL
              AND t.amount = (SELECT sum(x.amount) FROM payouts.item AS x JOIN payouts.state AS s ON s.instruction_id = x.instruction_id
                              WHERE x.batch_id = t.batch_id AND s.state IN ('sent', 'settled', 'returned'))
              AND NOT EXISTS (SELECT FROM payouts.item AS x JOIN payments.bank_payout AS p ON p.instruction_id = x.instruction_id AND p.direction = 'debit'
                              WHERE x.batch_id = t.batch_id)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN PERFORM payouts.take_news(report, step.batch_id, 'debit', 'settled', '{}', '{}', officer); END IF;
    END LOOP;
END
$$;

-- The city's account for what banks kept of returned payouts, opened when first needed.
CREATE FUNCTION payouts.charges_account(currency text) RETURNS uuid
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account uuid := payments.derived_id('bank charges ' || charges_account.currency);
BEGIN
    IF NOT ledger.open_account(account, 'suspense', charges_account.currency, NULL, 'city', 'debit', true) THEN
        RAISE EXCEPTION 'the ledger has another account under this id' USING ERRCODE = 'check_violation', CONSTRAINT = 'charges_account_in_ledger';
    END IF;
    RETURN account;
END
$$;

-- A finance officer counts a part that came in as the return of the payout that it names: the whole amount goes back to where it came from, and the city
-- bears what is missing. Outcomes: counted, not_payout (also one that came back already), item_unknown, role_missing.
CREATE FUNCTION payouts.count_return(credential bytea, item uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid := (SELECT s.staff_id FROM web.staff_with(count_return.credential, '{finance_officer}') AS s);
    told record;
    charges uuid;
    posted text;
BEGIN
    IF officer IS NULL THEN RETURN 'role_missing'; END IF;
    SELECT t.*, n.amount AS owed, n.currency, n.end_to_end_id, n.source, b.clearing, c.in_transit INTO told
        FROM payments.bank_item AS i CROSS JOIN LATERAL payouts.told_by(ARRAY[i.movement_id]) AS t
        JOIN payouts.instruction AS n ON n.id = t.instruction_id JOIN payouts.batch AS b ON b.id = t.batch_id JOIN payouts.channel AS c ON c.currency = n.currency
        WHERE i.id = count_return.item AND t.item_id = i.id;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM payments.bank_item AS i WHERE i.id = count_return.item) THEN 'not_payout' ELSE 'item_unknown' END;
    END IF;
    PERFORM payments.lock_item(count_return.item);
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || told.batch_id, 0));
    IF payouts.awaits(count_return.item) IS NULL THEN RETURN 'not_payout'; END IF;
    charges := payouts.charges_account(told.currency);
    PERFORM payouts.lock_accounts(ARRAY[told.in_transit, told.clearing, told.source, charges]);
    IF told.amount < told.owed THEN
        SELECT p.outcome INTO posted FROM ledger.post_transfers(ARRAY[payments.derived_id('bank charges ' || count_return.item)], '{post}', ARRAY[charges],
            ARRAY[told.clearing], ARRAY[told.owed - told.amount], ARRAY[told.currency], ARRAY[told.end_to_end_id], '{NULL}', '{staff}', ARRAY[officer::text]) AS p;
        IF posted <> 'created' THEN
            RAISE EXCEPTION 'the ledger refused a charge: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_posted';
        END IF;
    END IF;
    INSERT INTO payments.bank_payout (item_id, direction, instruction_id, counted_by) VALUES (count_return.item, 'credit', told.instruction_id, officer);
    IF EXISTS (SELECT FROM payouts.state AS s WHERE s.instruction_id = told.instruction_id AND s.state IN ('sent', 'settled')) THEN
        PERFORM payouts.take_news(count_return.item, told.batch_id, 'credit', NULL, ARRAY[told.end_to_end_id], ARRAY[coalesce(left(told.reason, 35), '')], officer);
    END IF;
    RETURN 'counted';
END
$$;

ALTER FUNCTION payouts.told_by(uuid[]) OWNER TO stoa_door;
ALTER FUNCTION payouts.has_left(uuid, uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.is_back(text, boolean, boolean) OWNER TO stoa_door;
ALTER FUNCTION payouts.awaits(uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.reference_of(uuid, uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.lock_told(uuid[], uuid[]) OWNER TO stoa_door;
ALTER FUNCTION payouts.take_news(uuid, uuid, text, text, text[], text[], uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.follow_bank(uuid, uuid[], uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.charges_account(text) OWNER TO stoa_door;
ALTER FUNCTION payouts.count_return(bytea, uuid) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payouts.count_return(bytea, uuid) TO stoa_app;
REVOKE CREATE ON SCHEMA payouts FROM stoa_door;
