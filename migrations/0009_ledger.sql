-- The ledger: accounts, transfers between two of them, and the entries that each transfer leaves on both sides.
--
-- Rules that hold for everybody, the owner of the tables too, checked a statement at a time:
--   a posted transfer has exactly one debit and one credit entry, of its accounts, amount and currency     transfer_balanced
--   an entry belongs to a posted transfer, and its account counts it                                       entry_matches_transfer
--   an account's balance changes only by its entries, which are numbered without a hole                    account_equals_entries
-- So a transfer, its entries and the two balances are written by one statement, or not at all. Transfers and entries are
-- never changed: a mistake is corrected by another transfer.
CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO stoa_app, stoa_auditor, stoa_door;

-- Amounts and balances are whole minor units that every JSON reader keeps exact: 2^53 - 1 (RFC 8259 §6).
CREATE FUNCTION ledger.amount_max() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 9007199254740991;

CREATE TABLE ledger.account (
    id uuid PRIMARY KEY,
    -- wallet: what the city holds for a resident; treasury: what it may spend; revenue and fees: what it took; funding: what came in
    -- from outside (a bank account); clearing and suspense: money on its way, or whose owner is not known yet.
    kind text NOT NULL CHECK (kind IN ('wallet', 'treasury', 'revenue', 'fees', 'funding', 'clearing', 'suspense', 'general')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    resident_id uuid REFERENCES register.resident,
    organisation_id text REFERENCES consent.organisation,
    -- The side that raises the balance.
    normal_side text NOT NULL CHECK (normal_side IN ('debit', 'credit')),
    may_go_negative boolean NOT NULL DEFAULT false,
    -- In the account's normal direction: the sum of its entries.
    posted bigint NOT NULL DEFAULT 0 CHECK (posted BETWEEN -9007199254740991 AND 9007199254740991),
    entry_count bigint NOT NULL DEFAULT 0 CHECK (entry_count >= 0),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    closed_at timestamptz,
    CHECK (num_nonnulls(resident_id, organisation_id) = 1),
    CHECK ((kind = 'wallet') = (resident_id IS NOT NULL)),
    CONSTRAINT account_not_overdrawn CHECK (may_go_negative OR posted >= 0)
) WITH (fillfactor = 50);   -- room for the next version of a busy row on its own page (HOT), so that no index is touched
CREATE UNIQUE INDEX account_wallet ON ledger.account (resident_id, currency) WHERE kind = 'wallet' AND closed_at IS NULL;
CREATE INDEX account_organisation ON ledger.account (organisation_id) WHERE organisation_id IS NOT NULL;

-- References to accounts and transfers are checked by the triggers below, for a whole statement at once: foreign keys, which look
-- up row after row, would take more time than the posting itself. Accounts and transfers are never deleted and keep their ids.
CREATE TABLE ledger.transfer (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('post')),
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL CHECK (credit_account <> debit_account),
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    currency text NOT NULL,
    reference text NOT NULL CHECK (length(reference) <= 140),   -- ISO 20022 Max140Text
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- A transfer that the balances refused keeps its id: a retry must not succeed where the first try was told no.
    outcome text NOT NULL CHECK (outcome IN ('posted', 'insufficient_funds', 'balance_overflow', 'account_closed')),
    actor_kind text NOT NULL CHECK (actor_kind IN ('resident', 'staff', 'organisation', 'system')),
    actor_id text NOT NULL
);

CREATE TABLE ledger.entry (
    account_id uuid NOT NULL,
    -- Position among the entries of the account, from 1.
    number bigint NOT NULL CHECK (number >= 1),
    transfer_id uuid NOT NULL,
    side text NOT NULL CHECK (side IN ('debit', 'credit')),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    balance_after bigint NOT NULL,
    PRIMARY KEY (account_id, number),
    UNIQUE (transfer_id, side)
);

CREATE TRIGGER account_stays BEFORE DELETE OR TRUNCATE ON ledger.account
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER transfer_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER entry_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entry
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Each check is a sub-select a row, so that it stays an index probe whatever the statistics say.
CREATE FUNCTION ledger.check_transfers() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS t
        WHERE (SELECT a.currency = t.currency FROM ledger.account AS a WHERE a.id = t.debit_account) IS NOT TRUE
           OR (SELECT a.currency = t.currency FROM ledger.account AS a WHERE a.id = t.credit_account) IS NOT TRUE
           OR (SELECT e.account_id = t.debit_account AND e.amount = t.amount AND e.currency = t.currency
               FROM ledger.entry AS e WHERE e.transfer_id = t.id AND e.side = 'debit')
              IS DISTINCT FROM CASE t.outcome WHEN 'posted' THEN true END
           OR (SELECT e.account_id = t.credit_account AND e.amount = t.amount AND e.currency = t.currency
               FROM ledger.entry AS e WHERE e.transfer_id = t.id AND e.side = 'credit')
              IS DISTINCT FROM CASE t.outcome WHEN 'posted' THEN true END)
    THEN
        RAISE EXCEPTION 'a posted transfer is written together with one debit and one credit entry of its amount and currency'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transfer_balanced';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER transfer_balanced AFTER INSERT ON ledger.transfer REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_transfers();

CREATE FUNCTION ledger.check_entries() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS e
        WHERE (SELECT t.outcome = 'posted' AND t.amount = e.amount AND t.currency = e.currency
                   AND e.account_id = CASE e.side WHEN 'debit' THEN t.debit_account ELSE t.credit_account END
               FROM ledger.transfer AS t WHERE t.id = e.transfer_id) IS NOT TRUE
           OR (SELECT e.number <= a.entry_count FROM ledger.account AS a WHERE a.id = e.account_id) IS NOT TRUE)
    THEN
        RAISE EXCEPTION 'an entry is one side of a posted transfer, and its account counts it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_matches_transfer';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER entry_matches_transfer AFTER INSERT ON ledger.entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_entries();

-- An account's balance moves by exactly the entries that its count moves over. What it is never changes; whose it is changes only
-- when one resident's record takes the place of another's. (Old and new rows meet in a hash join: a nested loop would be quadratic.)
CREATE FUNCTION ledger.check_accounts() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_nestloop = off SET jit = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM changed AS n FULL JOIN former AS o ON o.id = n.id
        WHERE o.id IS NULL OR n.id IS NULL
           OR (n.kind, n.currency, n.normal_side, n.may_go_negative, n.organisation_id)
              IS DISTINCT FROM (o.kind, o.currency, o.normal_side, o.may_go_negative, o.organisation_id)
           OR (SELECT (count(*), coalesce(sum(CASE e.side WHEN n.normal_side THEN e.amount ELSE -e.amount END), 0))
                      <> (n.entry_count - o.entry_count, (n.posted - o.posted)::numeric)
               FROM ledger.entry AS e WHERE e.account_id = n.id AND e.number > o.entry_count AND e.number <= n.entry_count))
    THEN
        RAISE EXCEPTION 'the balance of an account changes only by its entries'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_equals_entries';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER account_equals_entries AFTER UPDATE ON ledger.account REFERENCING OLD TABLE AS former NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_accounts();

-- A new account is empty.
CREATE FUNCTION ledger.check_new_account() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'an account opens empty' USING ERRCODE = 'check_violation', CONSTRAINT = 'account_equals_entries';
END
$$;
CREATE TRIGGER account_opens_empty BEFORE INSERT ON ledger.account
    FOR EACH ROW WHEN (NEW.posted <> 0 OR NEW.entry_count <> 0) EXECUTE FUNCTION ledger.check_new_account();

GRANT CREATE ON SCHEMA ledger TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON ledger.account TO stoa_door;
GRANT SELECT, INSERT ON ledger.transfer, ledger.entry TO stoa_door;
GRANT SELECT ON ledger.account, ledger.transfer, ledger.entry TO stoa_auditor;
GRANT EXECUTE ON FUNCTION ledger.amount_max() TO stoa_app, stoa_auditor, stoa_door;

-- Posts a batch: arrays of equal length, one element a transfer. Not for stoa_app: the caller has decided who may.
--
-- Every account of the whole batch is locked in id order and the transfers are inserted in id order, so batches that name the same
-- accounts in opposite orders wait for each other and never deadlock. Overdrafts are decided exactly, in the order of the batch;
-- only a batch in which one is possible pays for deciding one by one.
-- Returns for each item:
--   created              posted now
--   exists               the same transfer was posted before; nothing happened
--   id_conflict          another transfer has the id; field names the first difference
--   insufficient_funds, balance_overflow, account_closed    refused, and so it stays for this id
--   account_unknown, currency_mismatch, invalid             refused, field says where; the id stays free
--   batch_refused        of an atomic batch, another item was refused, so nothing was posted; the id stays free
-- An atomic batch posts all of it or nothing. The first item that the balances refuse stays refused under its id all the same: what came
-- after it was decided for money that never moved, so it is not remembered.
CREATE FUNCTION ledger.post_transfers(
    ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[],
    effective_ats timestamptz[], actor_kinds text[], actor_ids text[], atomic boolean DEFAULT false)
    RETURNS TABLE (item integer, outcome text, field text)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    -- Of each item: its verdict (null while it waits for the balances), the field that explains it, and the first item of its id.
    verdicts text[];
    fields text[];
    leaders integer[];
    certain boolean;
    refused integer;
BEGIN
    -- ledger.judge_in_order counts them out by position, which a matrix would answer with null.
    IF array_ndims(amounts) > 1 THEN
        RAISE EXCEPTION 'amounts is a list, not a matrix' USING ERRCODE = 'array_subscript_error';
    END IF;
    PERFORM a.id FROM ledger.account AS a WHERE a.id = ANY (debit_accounts || credit_accounts) ORDER BY a.id FOR NO KEY UPDATE;
    FOR attempt IN 1 .. 3 LOOP
        SELECT array_agg(v.verdict ORDER BY v.item), array_agg(v.field ORDER BY v.item), array_agg(v.leader ORDER BY v.item), bool_and(v.certain)
            INTO verdicts, fields, leaders, certain
            FROM ledger.judge(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats) AS v;
        IF NOT certain THEN
            verdicts := ledger.judge_in_order(verdicts, leaders, debit_accounts, credit_accounts, amounts);
        END IF;
        IF atomic THEN
            refused := (SELECT min(v.item) FROM unnest(verdicts) WITH ORDINALITY AS v (verdict, item) WHERE v.verdict <> 'exists');
            IF refused IS NOT NULL THEN
                SELECT array_agg(CASE WHEN v.verdict IS NULL OR (v.leader = v.item AND v.item <> refused
                                           AND v.verdict IN ('insufficient_funds', 'balance_overflow', 'account_closed'))
                                      THEN 'batch_refused' ELSE v.verdict END ORDER BY v.item)
                    INTO verdicts FROM unnest(verdicts, leaders) WITH ORDINALITY AS v (verdict, leader, item);
            END IF;
        END IF;
        BEGIN
            PERFORM ledger.write_transfers(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats,
                                           actor_kinds, actor_ids, verdicts, leaders);
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            -- Between the look and the insert somebody else used one of these ids for other accounts. It is there now: look again.
            IF attempt = 3 THEN RAISE; END IF;
        END;
    END LOOP;

    RETURN QUERY
        SELECT i.item::integer,
            CASE WHEN i.leader = i.item OR i.verdict IS NOT NULL THEN coalesce(i.verdict, 'created')
                 ELSE coalesce(verdicts[i.leader], 'exists') END,
            i.field
        FROM unnest(verdicts, fields, leaders) WITH ORDINALITY AS i (verdict, field, leader, item);
END
$$;

-- What can be said of each item before the balances: what is malformed, what was posted before, and whether every remaining one is
-- covered even if nothing that comes in counts (certain, the same for all rows).
CREATE FUNCTION ledger.judge(
    ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[],
    effective_ats timestamptz[])
    RETURNS TABLE (item integer, verdict text, field text, leader integer, certain boolean)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    WITH request AS (
        SELECT r.*, d.id IS NOT NULL AS debit_known, d.currency AS debit_currency, c.id IS NOT NULL AS credit_known, c.currency AS credit_currency,
            d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL AS closed,
            t.id IS NOT NULL AS known, t.outcome AS known_outcome,
            CASE WHEN t.kind <> r.kind THEN 'kind' WHEN t.debit_account <> r.debit_account THEN 'debit_account'
                 WHEN t.credit_account <> r.credit_account THEN 'credit_account' WHEN t.amount <> r.amount THEN 'amount'
                 WHEN t.currency <> r.currency THEN 'currency' WHEN t.reference <> r.ref THEN 'reference'
                 WHEN t.effective_at <> r.effective_at THEN 'effective_at' END AS known_difference,
            CASE WHEN r.id IS NULL THEN 'id' WHEN r.kind IS DISTINCT FROM 'post' THEN 'kind'
                 WHEN r.debit_account IS NULL THEN 'debit_account'
                 WHEN r.credit_account IS NULL OR r.credit_account = r.debit_account THEN 'credit_account'
                 WHEN r.amount IS NULL OR r.amount NOT BETWEEN 1 AND ledger.amount_max() THEN 'amount'
                 WHEN r.currency IS NULL THEN 'currency' WHEN r.ref IS NULL OR length(r.ref) > 140 THEN 'reference' END AS malformed
        FROM unnest(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats) WITH ORDINALITY
            AS r (id, kind, debit_account, credit_account, amount, currency, ref, effective_at, item)
        LEFT JOIN ledger.transfer AS t ON t.id = r.id
        LEFT JOIN ledger.account AS d ON d.id = r.debit_account
        LEFT JOIN ledger.account AS c ON c.id = r.credit_account
    ), admitted AS (
        SELECT r.*, CASE
                WHEN r.malformed IS NOT NULL THEN 'invalid'
                WHEN r.known AND r.known_difference IS NOT NULL THEN 'id_conflict'
                WHEN r.known THEN CASE r.known_outcome WHEN 'posted' THEN 'exists' ELSE r.known_outcome END
                WHEN NOT r.debit_known OR NOT r.credit_known THEN 'account_unknown'
                WHEN r.debit_currency <> r.currency OR r.credit_currency <> r.currency THEN 'currency_mismatch' END AS verdict
        FROM request AS r
    ), led AS (
        -- The first of several with one id decides; the others follow it or contradict it.
        SELECT a.*, first_value(a.item) OVER same AS leader,
            CASE WHEN first_value(a.debit_account) OVER same <> a.debit_account THEN 'debit_account'
                 WHEN first_value(a.credit_account) OVER same <> a.credit_account THEN 'credit_account'
                 WHEN first_value(a.amount) OVER same <> a.amount THEN 'amount'
                 WHEN first_value(a.currency) OVER same <> a.currency THEN 'currency'
                 WHEN first_value(a.ref) OVER same <> a.ref THEN 'reference'
                 WHEN first_value(a.effective_at) OVER same <> a.effective_at THEN 'effective_at' END AS difference
        FROM admitted AS a WINDOW same AS (PARTITION BY a.id, a.verdict IS NULL ORDER BY a.item)
    ), outflow AS (
        SELECT f.account_id, sum(f.debit) AS debit, sum(f.credit) AS credit
        FROM (SELECT l.debit_account AS account_id, l.amount AS debit, 0 AS credit FROM led AS l
                WHERE l.verdict IS NULL AND l.leader = l.item AND NOT l.closed
              UNION ALL
              SELECT l.credit_account, 0, l.amount FROM led AS l WHERE l.verdict IS NULL AND l.leader = l.item AND NOT l.closed) AS f
        GROUP BY f.account_id
    ), covered AS (
        SELECT NOT EXISTS (
            SELECT FROM outflow AS o JOIN ledger.account AS a ON a.id = o.account_id,
                LATERAL (SELECT CASE a.normal_side WHEN 'debit' THEN o.credit ELSE o.debit END AS out,
                                CASE a.normal_side WHEN 'debit' THEN o.debit ELSE o.credit END AS into) AS s
            WHERE (s.out > 0 AND NOT a.may_go_negative AND a.posted - s.out < 0)
               OR a.posted - s.out < -ledger.amount_max() OR a.posted + s.into > ledger.amount_max()) AS certain
    )
    SELECT l.item::integer,
        CASE WHEN l.verdict IS NOT NULL THEN l.verdict WHEN l.difference IS NOT NULL THEN 'id_conflict'
             WHEN l.leader = l.item AND l.closed THEN 'account_closed' END,
        CASE WHEN l.verdict = 'invalid' THEN l.malformed WHEN l.verdict = 'id_conflict' THEN l.known_difference
             WHEN l.verdict = 'account_unknown' THEN CASE WHEN l.debit_known THEN 'credit_account' ELSE 'debit_account' END
             WHEN l.verdict = 'currency_mismatch' THEN 'currency'
             WHEN l.verdict IS NULL THEN l.difference END,
        -- What is known already has no leader, so that nothing is written for it.
        CASE WHEN l.known THEN 0 ELSE l.leader::integer END, covered.certain
    FROM led AS l, covered;
END
$$;

-- The exact decision, one transfer after the other, for a batch in which the money may not suffice.
CREATE FUNCTION ledger.judge_in_order(verdicts text[], leaders integer[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[])
    RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    accounts uuid[];
    balances bigint[];
    debit_raises boolean[];
    may_go_negative boolean[];
    debit_positions integer[];
    credit_positions integer[];
    d integer;
    c integer;
    debited bigint;
    credited bigint;
BEGIN
    SELECT array_agg(a.id ORDER BY a.id), array_agg(a.posted ORDER BY a.id), array_agg(a.normal_side = 'debit' ORDER BY a.id),
            array_agg(a.may_go_negative ORDER BY a.id)
        INTO accounts, balances, debit_raises, may_go_negative
        FROM ledger.account AS a WHERE a.id = ANY (debit_accounts || credit_accounts);
    SELECT array_agg(array_position(accounts, x.debit) ORDER BY x.item), array_agg(array_position(accounts, x.credit) ORDER BY x.item)
        INTO debit_positions, credit_positions
        FROM unnest(debit_accounts, credit_accounts) WITH ORDINALITY AS x (debit, credit, item);
    FOR i IN 1 .. coalesce(cardinality(verdicts), 0) LOOP
        CONTINUE WHEN verdicts[i] IS NOT NULL OR leaders[i] <> i;
        d := debit_positions[i];
        c := credit_positions[i];
        debited := balances[d] + CASE WHEN debit_raises[d] THEN amounts[i] ELSE -amounts[i] END;
        credited := balances[c] + CASE WHEN debit_raises[c] THEN -amounts[i] ELSE amounts[i] END;
        IF (debited < 0 AND debited < balances[d] AND NOT may_go_negative[d])
            OR (credited < 0 AND credited < balances[c] AND NOT may_go_negative[c]) THEN
            verdicts[i] := 'insufficient_funds';
        ELSIF abs(debited) > ledger.amount_max() OR abs(credited) > ledger.amount_max() THEN
            verdicts[i] := 'balance_overflow';
        ELSE
            balances[d] := debited;
            balances[c] := credited;
        END IF;
    END LOOP;
    RETURN verdicts;
END
$$;

-- Writes what is decided: transfers (those that stay refused too), entries and balances, in one statement.
CREATE FUNCTION ledger.write_transfers(
    ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[],
    effective_ats timestamptz[], actor_kinds text[], actor_ids text[], verdicts text[], leaders integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    WITH decided AS (
        SELECT r.*, coalesce(r.verdict, 'posted') AS outcome
        FROM unnest(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats, actor_kinds, actor_ids, verdicts, leaders)
            WITH ORDINALITY AS r (id, kind, debit_account, credit_account, amount, currency, ref, effective_at, actor_kind, actor_id,
                                  verdict, leader, item)
        -- No look at what is there: an id that somebody else used meanwhile must fail here, and be judged again.
        WHERE r.leader = r.item
          AND (r.verdict IS NULL OR r.verdict IN ('insufficient_funds', 'balance_overflow', 'account_closed'))
    ), transfers AS (
        INSERT INTO ledger.transfer (id, kind, debit_account, credit_account, amount, currency, reference, effective_at, outcome,
                                     actor_kind, actor_id)
        SELECT d.id, d.kind, d.debit_account, d.credit_account, d.amount, d.currency, d.ref, coalesce(d.effective_at, public.stoa_now()),
            d.outcome, d.actor_kind, d.actor_id
        FROM decided AS d ORDER BY d.id
    ), side AS (
        SELECT d.debit_account AS account_id, 'debit' AS side, d.id AS transfer_id, d.amount, d.currency, d.item
        FROM decided AS d WHERE d.outcome = 'posted'
        UNION ALL
        SELECT d.credit_account, 'credit', d.id, d.amount, d.currency, d.item FROM decided AS d WHERE d.outcome = 'posted'
    ), numbered AS (
        SELECT s.*, a.entry_count + row_number() OVER earlier AS number,
            (a.posted + sum(CASE s.side WHEN a.normal_side THEN s.amount ELSE -s.amount END) OVER earlier)::bigint AS balance_after
        FROM side AS s JOIN ledger.account AS a ON a.id = s.account_id
        WINDOW earlier AS (PARTITION BY s.account_id ORDER BY s.item ROWS UNBOUNDED PRECEDING)
    ), entries AS (
        INSERT INTO ledger.entry (account_id, number, transfer_id, side, amount, currency, balance_after)
        SELECT n.account_id, n.number, n.transfer_id, n.side, n.amount, n.currency, n.balance_after FROM numbered AS n
    )
    UPDATE ledger.account AS a SET posted = n.balance_after, entry_count = n.number
    FROM (SELECT DISTINCT ON (m.account_id) m.account_id, m.number, m.balance_after FROM numbered AS m
          ORDER BY m.account_id, m.number DESC) AS n
    WHERE a.id = n.account_id;
END
$$;

-- Who asks about an organisation's accounts: the client of a live access token, and whether it may (an organisation's, with the scope
-- ledger.post). No row for anybody else.
CREATE FUNCTION ledger.poster(credential bytea) RETURNS TABLE (client_id text, organisation_id text, may_post boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT c.client_id, c.organisation_id, c.organisation_id IS NOT NULL AND 'ledger.post' = ANY (c.scope)
        FROM web.credential AS c
        WHERE c.hash = poster.credential AND c.kind = 'access_token' AND web.is_live(c);
    END;

-- Posts for organisations: each transfer under the access token (scope ledger.post) of the organisation that holds both accounts.
-- Outcomes as above, and credential_invalid and scope_missing; an account of somebody else is as unknown as one that does not exist.
CREATE FUNCTION ledger.post(
    credentials bytea[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[],
    refs text[], effective_ats timestamptz[], atomic boolean)
    RETURNS TABLE (item integer, outcome text, field text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    clients text[];
    scoped boolean[];
    -- Null where the account is not the organisation's.
    own_debits uuid[];
    own_credits uuid[];
BEGIN
    SELECT array_agg(c.client_id ORDER BY r.item), array_agg(c.may_post ORDER BY r.item), array_agg(d.id ORDER BY r.item), array_agg(k.id ORDER BY r.item)
        INTO clients, scoped, own_debits, own_credits
        FROM unnest(credentials, debit_accounts, credit_accounts) WITH ORDINALITY AS r (credential, debit_account, credit_account, item)
        LEFT JOIN LATERAL (SELECT * FROM ledger.poster(r.credential) OFFSET 0) AS c ON true
        LEFT JOIN ledger.account AS d ON d.id = r.debit_account AND d.organisation_id = c.organisation_id AND c.may_post
        LEFT JOIN ledger.account AS k ON k.id = r.credit_account AND k.organisation_id = c.organisation_id AND c.may_post;
    RETURN QUERY
        SELECT o.item,
            CASE WHEN clients[o.item] IS NULL THEN 'credential_invalid' WHEN NOT scoped[o.item] THEN 'scope_missing'
                 WHEN o.outcome = 'invalid' AND (foreign_debit OR foreign_credit) THEN 'account_unknown' ELSE o.outcome END,
            CASE WHEN clients[o.item] IS NULL OR NOT scoped[o.item] THEN NULL ELSE o.field END
        FROM ledger.post_transfers(ids, kinds, own_debits, own_credits, amounts, currencies, refs, effective_ats,
                array_fill('organisation'::text, ARRAY[cardinality(ids)]), clients, atomic) AS o,
            LATERAL (SELECT o.field = 'debit_account' AND debit_accounts[o.item] IS NOT NULL AS foreign_debit,
                            o.field = 'credit_account' AND own_credits[o.item] IS NULL AND credit_accounts[o.item] IS NOT NULL AS foreign_credit
            ) AS f;
END
$$;

-- Opens an account, or finds the same one under its id. False: the id names an account of another kind, currency or owner.
CREATE FUNCTION ledger.open_account(
    id uuid, kind text, currency text, resident uuid, organisation text, normal_side text, may_go_negative boolean) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.account (id, kind, currency, resident_id, organisation_id, normal_side, may_go_negative)
        VALUES (open_account.id, open_account.kind, open_account.currency, open_account.resident, open_account.organisation,
                open_account.normal_side, open_account.may_go_negative)
        ON CONFLICT ON CONSTRAINT account_pkey DO NOTHING;
    RETURN EXISTS (
        SELECT FROM ledger.account AS a
        WHERE a.id = open_account.id AND a.kind = open_account.kind AND a.currency = open_account.currency
          AND a.resident_id IS NOT DISTINCT FROM open_account.resident AND a.organisation_id IS NOT DISTINCT FROM open_account.organisation
          AND a.normal_side = open_account.normal_side AND a.may_go_negative = open_account.may_go_negative);
END
$$;

-- Opens an account for the organisation that asks. What it keeps through the interface is of the kind general: grows by credits, never negative.
--   created, exists (the same account is there already), id_conflict (the id names another account, perhaps somebody else's),
--   credential_invalid, scope_missing
CREATE FUNCTION ledger.open_organisation_account(credential bytea, id uuid, currency text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asker record;
BEGIN
    SELECT p.organisation_id, p.may_post INTO asker FROM ledger.poster(open_organisation_account.credential) AS p;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT asker.may_post THEN RETURN 'scope_missing'; END IF;
    INSERT INTO ledger.account (id, kind, currency, organisation_id, normal_side)
        VALUES (open_organisation_account.id, 'general', open_organisation_account.currency, asker.organisation_id, 'credit')
        ON CONFLICT ON CONSTRAINT account_pkey DO NOTHING;
    IF FOUND THEN RETURN 'created'; END IF;
    RETURN CASE WHEN EXISTS (
            SELECT FROM ledger.account AS a
            WHERE a.id = open_organisation_account.id AND a.kind = 'general' AND a.currency = open_organisation_account.currency
              AND a.organisation_id = asker.organisation_id)
        THEN 'exists' ELSE 'id_conflict' END;
END
$$;

-- An account of the organisation that asks. Always one row: standing is found, account_unknown (also for somebody else's), credential_invalid
-- or scope_missing, and only with found is there more.
CREATE FUNCTION ledger.organisation_account(credential bytea, id uuid)
    RETURNS TABLE (standing text, kind text, currency text, posted bigint, entry_count bigint, created_at timestamptz, closed_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT CASE WHEN p.client_id IS NULL THEN 'credential_invalid' WHEN NOT p.may_post THEN 'scope_missing'
                    WHEN a.id IS NULL THEN 'account_unknown' ELSE 'found' END,
            a.kind, a.currency, a.posted, a.entry_count, a.created_at, a.closed_at
        FROM (VALUES (organisation_account.credential)) AS asked (credential)
        LEFT JOIN LATERAL ledger.poster(asked.credential) AS p ON true
        LEFT JOIN ledger.account AS a ON p.may_post AND a.id = organisation_account.id AND a.organisation_id = p.organisation_id;
END
$$;

-- The entries of an account of the organisation that asks, newest first, before an entry number. Nothing for anybody else.
CREATE FUNCTION ledger.organisation_entries(credential bytea, id uuid, before_number bigint, page_size integer)
    RETURNS TABLE (number bigint, transfer_id uuid, side text, amount bigint, balance_after bigint, other_account uuid, reference text,
                   effective_at timestamptz, recorded_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
        SELECT e.number, e.transfer_id, e.side, e.amount, e.balance_after, CASE e.side WHEN 'debit' THEN t.credit_account ELSE t.debit_account END,
            t.reference, t.effective_at, t.recorded_at
        FROM ledger.poster(organisation_entries.credential) AS p
        JOIN ledger.account AS a ON a.id = organisation_entries.id AND a.organisation_id = p.organisation_id AND p.may_post
        CROSS JOIN LATERAL (
            SELECT x.* FROM ledger.entry AS x
            WHERE x.account_id = a.id AND x.number < coalesce(organisation_entries.before_number, 9223372036854775807)
            ORDER BY x.number DESC LIMIT LEAST(organisation_entries.page_size, 200)) AS e
        JOIN ledger.transfer AS t ON t.id = e.transfer_id
        ORDER BY e.number DESC;
END
$$;

-- The wallet of a resident in a currency: opened when money first comes in, so that nobody has to ask for one.
CREATE FUNCTION ledger.open_wallet(resident uuid, currency text) RETURNS uuid
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wallet uuid;
BEGIN
    INSERT INTO ledger.account (id, kind, currency, resident_id, normal_side)
        VALUES (gen_random_uuid(), 'wallet', open_wallet.currency, open_wallet.resident, 'credit')
        ON CONFLICT (resident_id, currency) WHERE kind = 'wallet' AND closed_at IS NULL DO NOTHING;
    SELECT a.id INTO STRICT wallet FROM ledger.account AS a
        WHERE a.resident_id = open_wallet.resident AND a.currency = open_wallet.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
    RETURN wallet;
END
$$;

-- A resident who is linked to the register record keeps the money: the wallets follow, or empty themselves into those that are there.
CREATE FUNCTION ledger.follow_resident() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wallet record;
    heir uuid;
    moved text;
BEGIN
    FOR wallet IN SELECT a.id, a.currency, a.posted FROM ledger.account AS a
            WHERE a.resident_id = NEW.id AND a.kind = 'wallet' AND a.closed_at IS NULL ORDER BY a.id LOOP
        SELECT a.id INTO heir FROM ledger.account AS a
            WHERE a.resident_id = NEW.superseded_by AND a.currency = wallet.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
        IF heir IS NULL THEN
            UPDATE ledger.account AS a SET resident_id = NEW.superseded_by WHERE a.id = wallet.id;
            CONTINUE;
        END IF;
        PERFORM a.id FROM ledger.account AS a WHERE a.id IN (wallet.id, heir) ORDER BY a.id FOR NO KEY UPDATE;
        SELECT a.posted INTO wallet.posted FROM ledger.account AS a WHERE a.id = wallet.id;
        IF wallet.posted > 0 THEN
            SELECT p.outcome INTO moved FROM ledger.post_transfers(ARRAY[gen_random_uuid()], '{post}', ARRAY[wallet.id], ARRAY[heir],
                ARRAY[wallet.posted], ARRAY[wallet.currency], '{Records joined}', '{NULL}', '{system}', '{register}') AS p;
            IF moved <> 'created' THEN
                RAISE EXCEPTION 'the wallet could not be emptied: %', moved USING ERRCODE = 'check_violation', CONSTRAINT = 'wallet_follows_resident';
            END IF;
        END IF;
        UPDATE ledger.account AS a SET closed_at = public.stoa_now() WHERE a.id = wallet.id;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER wallet_follows_resident AFTER UPDATE OF superseded_by ON register.resident
    FOR EACH ROW WHEN (NEW.superseded_by IS NOT NULL AND OLD.superseded_by IS NULL) EXECUTE FUNCTION ledger.follow_resident();

-- Who asks about money of their own: the resident of a session, or of an app's token that holds one of the scopes. No row for anybody else.
CREATE FUNCTION ledger.holder(credential bytea, scopes text[]) RETURNS TABLE (resident_id uuid, account_id uuid, client_id text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT a.resident_id, a.id, c.client_id
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id
        WHERE c.hash = holder.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR c.scope && holder.scopes);
    END;

-- The resident's own wallets.
CREATE FUNCTION ledger.wallets_of(credential bytea) RETURNS TABLE (account_id uuid, currency text, posted bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT a.id, a.currency, a.posted
        FROM ledger.holder(wallets_of.credential, '{payments}') AS h JOIN ledger.account AS a ON a.resident_id = h.resident_id
        WHERE a.kind = 'wallet' AND a.closed_at IS NULL
        ORDER BY a.currency;
END
$$;

-- What came into and left the resident's own wallet of a currency, newest first, before an entry number.
CREATE FUNCTION ledger.entries_of(credential bytea, currency text, before_number bigint, page_size integer)
    RETURNS TABLE (number bigint, at timestamptz, transfer_id uuid, side text, amount bigint, balance_after bigint, reference text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.number, t.recorded_at, e.transfer_id, e.side, e.amount, e.balance_after, t.reference
        FROM ledger.holder(entries_of.credential, '{payments}') AS h
        JOIN ledger.account AS a ON a.resident_id = h.resident_id AND a.kind = 'wallet' AND a.closed_at IS NULL AND a.currency = entries_of.currency
        JOIN ledger.entry AS e ON e.account_id = a.id
        JOIN ledger.transfer AS t ON t.id = e.transfer_id
        WHERE entries_of.before_number IS NULL OR e.number < entries_of.before_number
        ORDER BY e.number DESC
        LIMIT LEAST(entries_of.page_size, 200);
END
$$;

-- What does not add up, one row each: nothing, unless somebody went round the rules above. For the auditor, who may read the tables.
CREATE FUNCTION ledger.findings(count_max integer)
    RETURNS TABLE (kind text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT f.kind, f.subject, f.expected, f.found FROM (
            SELECT 'account_balance' AS kind, a.id::text AS subject, coalesce(s.amount, 0)::text AS expected, a.posted::text AS found
            FROM ledger.account AS a
            LEFT JOIN (SELECT e.account_id, sum(CASE e.side WHEN b.normal_side THEN e.amount ELSE -e.amount END) AS amount
                       FROM ledger.entry AS e JOIN ledger.account AS b ON b.id = e.account_id GROUP BY e.account_id) AS s ON s.account_id = a.id
            WHERE a.posted <> coalesce(s.amount, 0)
            UNION ALL
            SELECT 'entry_numbers', a.id::text, a.entry_count::text, count(e.number) || ' up to ' || coalesce(max(e.number), 0)
            FROM ledger.account AS a LEFT JOIN ledger.entry AS e ON e.account_id = a.id
            GROUP BY a.id HAVING count(e.number) <> a.entry_count OR coalesce(max(e.number), 0) <> a.entry_count
            UNION ALL
            SELECT 'entry_without_account', e.account_id::text, 'an account', 'none'
            FROM ledger.entry AS e WHERE NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = e.account_id) GROUP BY e.account_id
            UNION ALL
            SELECT 'currency_sum', e.currency, '0', sum(CASE e.side WHEN 'debit' THEN e.amount ELSE -e.amount END)::text
            FROM ledger.entry AS e GROUP BY e.currency HAVING sum(CASE e.side WHEN 'debit' THEN e.amount ELSE -e.amount END) <> 0
            UNION ALL
            SELECT 'transfer_entries', coalesce(t.id, e.transfer_id)::text, 'one debit and one credit of the transfer',
                count(e.transfer_id) || ' entries'
            FROM ledger.transfer AS t FULL JOIN ledger.entry AS e ON e.transfer_id = t.id
            GROUP BY coalesce(t.id, e.transfer_id)
            HAVING count(*) FILTER (WHERE t.outcome = 'posted' AND e.amount = t.amount AND e.currency = t.currency
                        AND e.account_id = CASE e.side WHEN 'debit' THEN t.debit_account ELSE t.credit_account END)
                    <> CASE max(t.outcome) WHEN 'posted' THEN 2 ELSE 0 END
                OR count(e.transfer_id) <> CASE max(t.outcome) WHEN 'posted' THEN 2 ELSE 0 END
            UNION ALL
            SELECT 'running_balance', b.account_id || ' #' || b.number, b.expected::text, b.balance_after::text
            FROM (SELECT e.account_id, e.number, e.balance_after,
                      sum(CASE e.side WHEN a.normal_side THEN e.amount ELSE -e.amount END) OVER (PARTITION BY e.account_id ORDER BY e.number) AS expected
                  FROM ledger.entry AS e JOIN ledger.account AS a ON a.id = e.account_id) AS b
            WHERE b.balance_after <> b.expected
            UNION ALL
            SELECT 'overdrawn', a.id::text, 'at least 0', a.posted::text FROM ledger.account AS a WHERE a.posted < 0 AND NOT a.may_go_negative
        ) AS f
        LIMIT findings.count_max;
    END;
GRANT EXECUTE ON FUNCTION ledger.findings(integer) TO stoa_auditor;

ALTER FUNCTION ledger.post_transfers(uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], text[], text[], boolean) OWNER TO stoa_door;
ALTER FUNCTION ledger.judge(uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.judge_in_order(text[], integer[], uuid[], uuid[], bigint[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.write_transfers(uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], text[], text[], text[], integer[])
    OWNER TO stoa_door;
ALTER FUNCTION ledger.poster(bytea) OWNER TO stoa_door;
ALTER FUNCTION ledger.post(bytea[], uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], boolean) OWNER TO stoa_door;
ALTER FUNCTION ledger.open_organisation_account(bytea, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION ledger.organisation_account(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION ledger.organisation_entries(bytea, uuid, bigint, integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.open_account(uuid, text, text, uuid, text, text, boolean) OWNER TO stoa_door;
ALTER FUNCTION ledger.open_wallet(uuid, text) OWNER TO stoa_door;
ALTER FUNCTION ledger.follow_resident() OWNER TO stoa_door;
ALTER FUNCTION ledger.holder(bytea, text[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.wallets_of(bytea) OWNER TO stoa_door;
ALTER FUNCTION ledger.entries_of(bytea, text, bigint, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION ledger.post(bytea[], uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], boolean),
    ledger.open_organisation_account(bytea, uuid, text), ledger.organisation_account(bytea, uuid), ledger.organisation_entries(bytea, uuid, bigint, integer),
    ledger.wallets_of(bytea), ledger.entries_of(bytea, text, bigint, integer) TO stoa_app;
REVOKE CREATE ON SCHEMA ledger FROM stoa_door;
