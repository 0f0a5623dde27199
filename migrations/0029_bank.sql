-- Money from outside: the city's bank accounts, that is what the bank's files say, what of it happened, and which bill it was for; and, at the end,
-- tills at counters.
--
-- A file (ISO 20022 camt.053 or camt.054) is kept as reports and their entries, as the bank told them. Several entries may tell of one movement:
-- a notification comes before the statement, statements overlap, the bank changes its reference from one to the other. So a movement is a
-- row of its own, each entry that tells of it is a sighting, and one report tells of a movement once: that is what keeps two
-- truly equal payments two. A movement's money goes to the suspense account at once, in parts as the bank told them, and from there to bills.
--
--   bank_file 1—n bank_report 1—n bank_entry 1—1 bank_sighting n—1 bank_movement 1—n bank_item 1—n bank_allocation
CREATE TABLE payments.bank_account (
    id uuid PRIMARY KEY,
    -- An IBAN without spaces, or what the bank calls the account, as it stands in its files.
    identification text NOT NULL UNIQUE CHECK (identification ~ '^[A-Z0-9]{4,34}$'),
    -- Whom to make a transfer out to: EPC069-12 has room for 70 characters.
    holder text NOT NULL CHECK (length(holder) BETWEEN 1 AND 70),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Its money in the ledger, and that part of it of which nobody knows yet whom it is for.
    ledger_account uuid NOT NULL UNIQUE REFERENCES ledger.account,
    suspense_account uuid NOT NULL UNIQUE REFERENCES ledger.account,
    -- Whether bills of its currency ask to be paid into it.
    collects boolean NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE UNIQUE INDEX bank_account_collects ON payments.bank_account (currency) WHERE collects;

CREATE FUNCTION payments.check_bank_account() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = NEW.ledger_account AND a.kind = 'funding' AND a.currency = NEW.currency)
       OR NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = NEW.suspense_account AND a.kind = 'suspense' AND a.currency = NEW.currency) THEN
        RAISE EXCEPTION 'a bank account has a funding and a suspense account of its currency'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_account_in_ledger';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER bank_account_in_ledger BEFORE INSERT ON payments.bank_account FOR EACH ROW EXECUTE FUNCTION payments.check_bank_account();

CREATE TABLE payments.bank_file (
    sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
    message text NOT NULL CHECK (message ~ '^camt\.05[34]\.001\.[0-9]{2}$'),
    message_id text NOT NULL CHECK (length(message_id) <= 500),
    -- Null: on the command line.
    imported_by uuid REFERENCES identity.staff,
    imported_at timestamptz NOT NULL DEFAULT public.stoa_now()
);

CREATE TABLE payments.bank_report (
    id uuid PRIMARY KEY,
    file_sha256 bytea NOT NULL REFERENCES payments.bank_file,
    position integer NOT NULL CHECK (position >= 1),
    account_id uuid NOT NULL REFERENCES payments.bank_account,
    kind text NOT NULL CHECK (kind IN ('statement', 'notification')),
    -- What the bank calls it.
    reported_id text NOT NULL CHECK (length(reported_id) <= 500),
    sequence_number bigint,
    period_from timestamptz,
    period_to timestamptz,
    -- Negative where the account is overdrawn.
    opening bigint,
    opening_currency text,
    opening_on date,
    closing bigint,
    closing_currency text,
    closing_on date,
    -- Why it books nothing before a finance officer has decided: a balance is missing, opening and movements do not make the closing balance,
    -- another currency than the account's, a movement without a day.
    problems text[] NOT NULL CHECK (problems <@ ARRAY['opening_missing', 'closing_missing', 'balances_differ', 'currency', 'day_missing']),
    UNIQUE (file_sha256, position),
    CHECK (num_nulls(opening, opening_currency, opening_on) IN (0, 3)),
    CHECK (num_nulls(closing, closing_currency, closing_on) IN (0, 3))
);
CREATE INDEX bank_report_account ON payments.bank_report (account_id);
CREATE INDEX bank_report_problems ON payments.bank_report (id) WHERE problems <> '{}';

CREATE TABLE payments.bank_entry (
    report_id uuid NOT NULL REFERENCES payments.bank_report,
    position integer NOT NULL CHECK (position >= 1),
    -- Of the file.
    line integer NOT NULL CHECK (line >= 1),
    amount bigint NOT NULL CHECK (amount BETWEEN 0 AND 9007199254740991),
    currency text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('credit', 'debit')),
    -- It undoes an earlier one.
    is_reversal boolean NOT NULL,
    -- Only BOOK has happened.
    status text NOT NULL,
    -- Of the booking, or of the value where the bank tells no other.
    booked_on date,
    -- Banks change or omit it.
    bank_reference text,
    -- SHA-256 over what is told about the movement besides the bank's own references; null where nothing is.
    content bytea CHECK (octet_length(content) = 32),
    -- [{"amount": …, "creditor_reference": …, "receipt_code": …, "end_to_end_id": …, "batch_reference": …, "is_return": …, "return_reason": …,
    -- "payer_name": …, "payer_account": …, "text": …}], which sum to the amount.
    -- Personal data of whoever paid, shown to finance officers alone.
    parts jsonb NOT NULL CHECK (jsonb_typeof(parts) = 'array' AND jsonb_array_length(parts) >= 1),
    PRIMARY KEY (report_id, position)
);

CREATE INDEX bank_entry_reference ON payments.bank_entry (bank_reference) WHERE bank_reference IS NOT NULL;
CREATE INDEX bank_entry_content ON payments.bank_entry (content) WHERE content IS NOT NULL;

-- What a finance officer decided about a report with problems.
CREATE TABLE payments.bank_report_decision (
    report_id uuid PRIMARY KEY REFERENCES payments.bank_report,
    kind text NOT NULL CHECK (kind IN ('booked', 'discarded')),
    reason text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now()
);

-- What happened on an account, once. Its transfer between the bank's account and suspense has the same id.
CREATE TABLE payments.bank_movement (
    id uuid PRIMARY KEY REFERENCES ledger.transfer DEFERRABLE INITIALLY DEFERRED,
    account_id uuid NOT NULL REFERENCES payments.bank_account,
    direction text NOT NULL CHECK (direction IN ('credit', 'debit')),
    is_reversal boolean NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    booked_on date NOT NULL,
    -- Whether the entry that told of it first said anything besides.
    is_told boolean NOT NULL,
    -- The entry that told of it first.
    report_id uuid NOT NULL,
    position integer NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    FOREIGN KEY (report_id, position) REFERENCES payments.bank_entry,
    UNIQUE (report_id, position)
);
CREATE INDEX bank_movement_likeness ON payments.bank_movement (account_id, booked_on, amount);
CREATE INDEX bank_movement_untold ON payments.bank_movement (account_id, booked_on, amount) WHERE NOT is_told;

CREATE TABLE payments.bank_sighting (
    report_id uuid NOT NULL,
    position integer NOT NULL,
    movement_id uuid NOT NULL REFERENCES payments.bank_movement,
    PRIMARY KEY (report_id, position),
    FOREIGN KEY (report_id, position) REFERENCES payments.bank_entry,
    -- A report tells of a movement once.
    CONSTRAINT movement_once_a_report UNIQUE (movement_id, report_id)
);

-- The parts of a movement: one for each payment behind it.
CREATE TABLE payments.bank_item (
    id uuid PRIMARY KEY,
    movement_id uuid NOT NULL REFERENCES payments.bank_movement,
    -- Its place among the parts of the entry that told of the movement first, from 1.
    number integer NOT NULL CHECK (number >= 1),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (movement_id, number)
);
CREATE INDEX bank_item_recorded ON payments.bank_item (recorded_at, id);

-- Where the money of a part went: to a bill, or, what was too much for it, to the wallet of the bill's resident.
CREATE TABLE payments.bank_allocation (
    -- Of the transfer too.
    id uuid PRIMARY KEY REFERENCES ledger.transfer,
    item_id uuid NOT NULL REFERENCES payments.bank_item,
    amount bigint NOT NULL CHECK (amount > 0),
    bill_id uuid NOT NULL REFERENCES payments.bill,
    -- Null for what was too much.
    payment_id uuid UNIQUE REFERENCES payments.payment,
    -- Null: by the reference that came with it.
    assigned_by uuid REFERENCES identity.staff,
    allocated_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX bank_allocation_item ON payments.bank_allocation (item_id);

-- What goes back to where it came from. One proposes, another decides: money leaves the city.
CREATE TABLE payments.bank_return (
    id uuid PRIMARY KEY,
    item_id uuid NOT NULL REFERENCES payments.bank_item,
    amount bigint NOT NULL CHECK (amount > 0),
    reason text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    proposed_by uuid NOT NULL REFERENCES identity.staff,
    proposed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (id, proposed_by)
);
CREATE INDEX bank_return_item ON payments.bank_return (item_id);
CREATE TABLE payments.bank_return_decision (
    return_id uuid PRIMARY KEY,
    proposed_by uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('approved', 'refused')),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT returned_by_another CHECK (decided_by <> proposed_by),
    FOREIGN KEY (return_id, proposed_by) REFERENCES payments.bank_return (id, proposed_by)
);

-- Parts that tell of the city's own payouts, as they leave the account and, where they fail, come back to it (0044_payouts_at_bank.sql says which): one
-- payment, or a whole batch that the bank books as one sum. Each leaves once and comes back once.
CREATE TABLE payments.bank_payout (
    item_id uuid PRIMARY KEY REFERENCES payments.bank_item,
    direction text NOT NULL CHECK (direction IN ('credit', 'debit')),
    instruction_id uuid,
    batch_id uuid CONSTRAINT batch_leaves_once UNIQUE,
    -- Null: by the reference that came with it.
    counted_by uuid REFERENCES identity.staff,
    counted_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT payout_leaves_and_returns_once UNIQUE (instruction_id, direction),
    CHECK (num_nonnulls(instruction_id, batch_id) = 1),
    CHECK (direction = 'debit' OR batch_id IS NULL)
);

-- What is left of a part: neither allocated nor returned, nor proposed to be, and no payout of the city.
CREATE FUNCTION payments.item_rest(item uuid) RETURNS bigint
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT i.amount - coalesce((SELECT sum(a.amount) FROM payments.bank_allocation AS a WHERE a.item_id = i.id), 0)::bigint
            - coalesce((SELECT sum(r.amount) FROM payments.bank_return AS r LEFT JOIN payments.bank_return_decision AS d ON d.return_id = r.id
                        WHERE r.item_id = i.id AND d.kind IS DISTINCT FROM 'refused'), 0)::bigint
            - CASE WHEN EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.item_id = i.id) THEN i.amount ELSE 0 END
        FROM payments.bank_item AS i WHERE i.id = item_rest.item;
    END;

CREATE FUNCTION payments.lock_item(item uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM payments.bank_item AS i WHERE i.id = lock_item.item FOR NO KEY UPDATE;
END
$$;

-- The parts of which something waits: nobody knows whom it is for, or a return waits for its second pair of eyes. Follows from the tables above, and is
-- kept by the triggers below so that the work queue needs no look at all that ever came in.
CREATE TABLE payments.bank_item_waiting (
    item_id uuid PRIMARY KEY REFERENCES payments.bank_item
);
CREATE FUNCTION payments.refresh_waiting(item uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF payments.item_rest(refresh_waiting.item) > 0
       OR EXISTS (SELECT FROM payments.bank_return AS r WHERE r.item_id = refresh_waiting.item
                  AND NOT EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = r.id)) THEN
        INSERT INTO payments.bank_item_waiting (item_id) VALUES (refresh_waiting.item) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM payments.bank_item_waiting AS w WHERE w.item_id = refresh_waiting.item;
    END IF;
END
$$;
CREATE FUNCTION payments.wait_for_item() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Money that left the account waits for nobody here.
    IF (SELECT m.direction FROM payments.bank_movement AS m WHERE m.id = NEW.movement_id) = 'credit' THEN PERFORM payments.refresh_waiting(NEW.id); END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER item_waits AFTER INSERT ON payments.bank_item FOR EACH ROW EXECUTE FUNCTION payments.wait_for_item();
CREATE FUNCTION payments.follow_return_decision() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM payments.refresh_waiting(r.item_id) FROM payments.bank_return AS r WHERE r.id = NEW.return_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER return_decided AFTER INSERT ON payments.bank_return_decision FOR EACH ROW EXECUTE FUNCTION payments.follow_return_decision();

-- No part is given out twice, whoever writes.
CREATE FUNCTION payments.check_item() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM payments.lock_item(NEW.item_id);
    IF payments.item_rest(NEW.item_id) < 0 THEN
        RAISE EXCEPTION 'what was received is given out once' USING ERRCODE = 'check_violation', CONSTRAINT = 'allocated_within_item';
    END IF;
    PERFORM payments.refresh_waiting(NEW.item_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER allocated_within_item AFTER INSERT ON payments.bank_allocation FOR EACH ROW EXECUTE FUNCTION payments.check_item();
CREATE TRIGGER returned_within_item AFTER INSERT ON payments.bank_return FOR EACH ROW EXECUTE FUNCTION payments.check_item();
CREATE TRIGGER payout_within_item AFTER INSERT ON payments.bank_payout FOR EACH ROW EXECUTE FUNCTION payments.check_item();

-- At the commit the parts of a movement sum to it. (Then it runs as whoever commits, so it brings its own rights.)
CREATE FUNCTION payments.check_movement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    movement uuid := CASE TG_TABLE_NAME WHEN 'bank_movement' THEN to_jsonb(NEW) ->> 'id' ELSE to_jsonb(NEW) ->> 'movement_id' END;
BEGIN
    IF (SELECT m.amount FROM payments.bank_movement AS m WHERE m.id = movement)
        IS DISTINCT FROM (SELECT sum(i.amount) FROM payments.bank_item AS i WHERE i.movement_id = movement) THEN
        RAISE EXCEPTION 'the parts of a movement sum to it' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_equals_items';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER movement_equals_items AFTER INSERT ON payments.bank_movement DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments.check_movement();
CREATE CONSTRAINT TRIGGER item_equals_movement AFTER INSERT ON payments.bank_item DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments.check_movement();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bank_account', 'bank_file', 'bank_report', 'bank_entry', 'bank_report_decision', 'bank_movement', 'bank_sighting', 'bank_item',
                                'bank_allocation', 'bank_return', 'bank_return_decision', 'bank_payout'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.%I FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()',
                       name || '_only_grows', name);
        EXECUTE format('GRANT SELECT, INSERT ON payments.%I TO stoa_door', name);
        EXECUTE format('GRANT SELECT ON payments.%I TO stoa_auditor', name);
    END LOOP;
END
$$;
REVOKE INSERT ON payments.bank_account FROM stoa_door;
GRANT SELECT, INSERT, DELETE ON payments.bank_item_waiting TO stoa_door;
-- To lock a row; nobody changes one.
GRANT UPDATE (id) ON payments.bank_item TO stoa_door;
GRANT CREATE ON SCHEMA payments TO stoa_door;

-- An id that follows from what it names, so that the same again has the same one (RFC 9562, version 8).
CREATE FUNCTION payments.derived_id(name text) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hash bytea := substr(sha256(convert_to(name, 'UTF8')), 1, 16);
BEGIN
    hash := set_byte(hash, 6, (get_byte(hash, 6) & 15) | 128);
    RETURN encode(set_byte(hash, 8, (get_byte(hash, 8) & 63) | 128), 'hex')::uuid;
END
$$;

-- Enters an account of the city, for the owner, with its two accounts of the ledger. False when it is there already; nothing changed then.
CREATE FUNCTION payments.open_bank_account(identification text, holder text, currency text, collects boolean) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name CONSTANT text := 'bank account ' || identification;
BEGIN
    IF EXISTS (SELECT FROM payments.bank_account AS a WHERE a.identification = open_bank_account.identification) THEN RETURN false; END IF;
    IF NOT ledger.open_account(payments.derived_id(name || ' money'), 'funding', currency, NULL, 'city', 'debit', true)
       OR NOT ledger.open_account(payments.derived_id(name || ' suspense'), 'suspense', currency, NULL, 'city', 'credit', true) THEN
        RAISE EXCEPTION 'the ledger has other accounts under these ids' USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_account_in_ledger';
    END IF;
    INSERT INTO payments.bank_account (id, identification, holder, currency, ledger_account, suspense_account, collects)
        VALUES (payments.derived_id(name), open_bank_account.identification, open_bank_account.holder, open_bank_account.currency,
                payments.derived_id(name || ' money'), payments.derived_id(name || ' suspense'), open_bank_account.collects);
    RETURN true;
END
$$;

-- Whether two statements of an account tell of different times, so that equal movements in them are two. Stated periods say so; where one has none, a
-- statement that begins with the balance of another's end goes on from it.
CREATE FUNCTION payments.are_apart(one payments.bank_report, other payments.bank_report) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN num_nulls(one.period_from, one.period_to, other.period_from, other.period_to) = 0
            THEN one.period_to <= other.period_from OR other.period_to <= one.period_from
        WHEN one.sequence_number = other.sequence_number OR (one.opening, one.closing) = (other.opening, other.closing) THEN false
        ELSE coalesce(one.closing = other.opening AND one.closing_on <= other.opening_on, false)
            OR coalesce(other.closing = one.opening AND other.closing_on <= one.opening_on, false) END;

-- Whether an entry of a report may tell of a movement that is like it in day, amount and direction: no other entry of the report does, nothing that was
-- told differs, and no report of the same kind tells of it at another time, or, among notifications that no statement has confirmed, under another reference.
CREATE FUNCTION payments.may_be(movement uuid, content bytea, bank_reference text, told payments.bank_report) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    seen record;
BEGIN
    SELECT bool_or(s.report_id = told.id) AS is_taken, bool_or(x.content = may_be.content) IS TRUE AS is_like, bool_or(x.content IS NOT NULL) AS is_told,
            bool_or(CASE WHEN r.kind <> told.kind THEN false
                         WHEN r.kind = 'statement' THEN payments.are_apart(r, told)
                         ELSE x.bank_reference <> may_be.bank_reference END) IS TRUE AS is_another,
            bool_or(r.kind = 'statement') AS is_confirmed
        INTO seen
        FROM payments.bank_sighting AS s
        JOIN payments.bank_entry AS x ON (x.report_id, x.position) = (s.report_id, s.position)
        JOIN payments.bank_report AS r ON r.id = s.report_id
        WHERE s.movement_id = may_be.movement;
    RETURN NOT seen.is_taken AND (seen.is_like OR may_be.content IS NULL OR NOT seen.is_told)
        AND NOT (seen.is_another AND NOT (told.kind = 'notification' AND seen.is_confirmed));
END
$$;

-- Finds which movements the entries of a report tell of, makes those that are new, books them to suspense and what names a bill to that bill.
-- Whoever calls it holds the account's lock. Returns {"booked": …, "known": …, "matched": …, "notices": [{"resident": …, …}]}.
CREATE FUNCTION payments.book_report(report uuid, actor_kind text, actor_id text) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    -- Probes by key, in the order written (OFFSET 0), whatever the statistics say: a first file meets empty tables.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    told payments.bank_report;
    account payments.bank_account;
    entry record;
    movement uuid;
    fresh uuid[] := '{}';
    known integer := 0;
    named record;
    -- Of the transfers to post, in order.
    ids uuid[] := '{}';
    debits uuid[] := '{}';
    credits uuid[] := '{}';
    amounts bigint[] := '{}';
    refs text[] := '{}';
    allocations jsonb;
BEGIN
    SELECT r.* INTO STRICT told FROM payments.bank_report AS r WHERE r.id = report;
    SELECT a.* INTO STRICT account FROM payments.bank_account AS a WHERE a.id = told.account_id;

    -- The bank's reference, where it is the same, says more than anything else.
    FOR entry IN SELECT e.* FROM payments.bank_entry AS e
            WHERE e.report_id = told.id AND e.status = 'BOOK' AND e.amount > 0 AND e.bank_reference IS NOT NULL ORDER BY e.position LOOP
        SELECT m.id INTO movement
            FROM (SELECT e.report_id, e.position FROM payments.bank_entry AS e WHERE e.bank_reference = entry.bank_reference OFFSET 0) AS x
            CROSS JOIN LATERAL (SELECT y.movement_id FROM payments.bank_sighting AS y WHERE y.report_id = x.report_id AND y.position = x.position OFFSET 0) AS s
            CROSS JOIN LATERAL (SELECT y.* FROM payments.bank_movement AS y WHERE y.id = s.movement_id OFFSET 0) AS m
            WHERE m.account_id = account.id AND m.booked_on = entry.booked_on AND m.amount = entry.amount
              AND m.direction = entry.direction AND m.is_reversal = entry.is_reversal
              AND NOT EXISTS (SELECT FROM payments.bank_sighting AS y WHERE y.movement_id = m.id AND y.report_id = told.id)
            ORDER BY m.recorded_at, m.id LIMIT 1;
        CONTINUE WHEN NOT FOUND;
        INSERT INTO payments.bank_sighting (report_id, position, movement_id) VALUES (told.id, entry.position, movement);
        known := known + 1;
    END LOOP;

    FOR entry IN SELECT e.* FROM payments.bank_entry AS e
            WHERE e.report_id = told.id AND e.status = 'BOOK' AND e.amount > 0
              AND NOT EXISTS (SELECT FROM payments.bank_sighting AS s WHERE (s.report_id, s.position) = (e.report_id, e.position))
            ORDER BY e.position LOOP
        -- Without the reference: one of which the same was told, or else one of which nothing was. What is doubtful is one movement: a statement, whose
        -- balances prove how many there were, makes it two.
        movement := NULL;
        IF entry.content IS NOT NULL THEN
            SELECT m.id INTO movement
                FROM (SELECT e.report_id, e.position FROM payments.bank_entry AS e WHERE e.content = entry.content OFFSET 0) AS x
                CROSS JOIN LATERAL (SELECT y.movement_id FROM payments.bank_sighting AS y WHERE y.report_id = x.report_id AND y.position = x.position OFFSET 0) AS s
                CROSS JOIN LATERAL (SELECT y.* FROM payments.bank_movement AS y WHERE y.id = s.movement_id OFFSET 0) AS m
                WHERE m.account_id = account.id AND m.booked_on = entry.booked_on AND m.amount = entry.amount
                  AND m.direction = entry.direction AND m.is_reversal = entry.is_reversal AND m.report_id <> told.id
                  AND payments.may_be(m.id, entry.content, entry.bank_reference, told)
                ORDER BY m.recorded_at, m.id LIMIT 1;
        END IF;
        IF movement IS NULL THEN
            SELECT m.id INTO movement FROM payments.bank_movement AS m
                WHERE m.account_id = account.id AND m.booked_on = entry.booked_on AND m.amount = entry.amount
                  AND m.direction = entry.direction AND m.is_reversal = entry.is_reversal AND m.report_id <> told.id
                  AND (entry.content IS NULL OR NOT m.is_told) AND payments.may_be(m.id, entry.content, entry.bank_reference, told)
                ORDER BY m.recorded_at, m.id LIMIT 1;
        END IF;
        IF movement IS NOT NULL THEN
            known := known + 1;
        ELSE
            movement := payments.derived_id('bank movement ' || encode(told.file_sha256, 'hex') || ' ' || told.position || ' ' || entry.position);
            INSERT INTO payments.bank_movement (id, account_id, direction, is_reversal, amount, booked_on, is_told, report_id, position)
                VALUES (movement, account.id, entry.direction, entry.is_reversal, entry.amount, entry.booked_on, entry.content IS NOT NULL, told.id, entry.position);
            INSERT INTO payments.bank_item (id, movement_id, number, amount, currency)
                SELECT payments.derived_id('bank item ' || movement || ' ' || p.number), movement, p.number, (p.part ->> 'amount')::bigint, account.currency
                FROM jsonb_array_elements(entry.parts) WITH ORDINALITY AS p (part, number);
            fresh := fresh || movement;
            ids := ids || movement;
            debits := debits || CASE entry.direction WHEN 'credit' THEN account.ledger_account ELSE account.suspense_account END;
            credits := credits || CASE entry.direction WHEN 'credit' THEN account.suspense_account ELSE account.ledger_account END;
            amounts := amounts || entry.amount;
            refs := refs || left(coalesce(entry.bank_reference, told.reported_id), 140);
        END IF;
        INSERT INTO payments.bank_sighting (report_id, position, movement_id) VALUES (told.id, entry.position, movement);
    END LOOP;

    -- The bills that the new parts name, locked in the order of their ids.
    FOR named IN SELECT DISTINCT n.bill_id FROM payments.named_bills(fresh) AS n ORDER BY n.bill_id LOOP
        PERFORM payments.lock_bill(named.bill_id);
    END LOOP;
    -- What came first pays first.
    SELECT coalesce(jsonb_agg(p.value ORDER BY w."position", w.number, p.number), '[]') INTO allocations
        FROM (SELECT n.*, GREATEST(0, LEAST(n.amount, payments.outstanding(n.bill_id) - coalesce(sum(n.amount) OVER earlier, 0)))::bigint AS net
              FROM payments.named_bills(fresh) AS n
              WINDOW earlier AS (PARTITION BY n.bill_id ORDER BY n."position", n.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS w
        CROSS JOIN LATERAL jsonb_array_elements(payments.plan_allocation(w.item_id, w.bill_id, w.amount, w.net, w.receipt_code))
            WITH ORDINALITY AS p (value, number);
    -- The batches of payouts that the new parts tell of, and then every account that is posted to below, in the order of their ids.
    PERFORM payouts.lock_told(fresh, debits || credits || payments.accounts_of_allocations(allocations));
    PERFORM payments.post_from_suspense(account.currency, ids, debits, credits, amounts, refs, allocations, account.suspense_account, NULL, actor_kind, actor_id);
    PERFORM payouts.follow_bank(told.id, fresh, CASE WHEN actor_kind = 'staff' THEN actor_id::uuid END);
    RETURN jsonb_build_object(
        'booked', cardinality(fresh), 'known', known,
        'matched', (SELECT count(DISTINCT a.value ->> 'item') FROM jsonb_array_elements(allocations) AS a),
        'notices', payments.notices(allocations));
END
$$;

-- The bills that the parts of new movements name, by a reference that is sound.
CREATE FUNCTION payments.named_bills(movements uuid[]) 
    RETURNS TABLE (item_id uuid, "position" integer, number integer, amount bigint, receipt_code text, bill_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT i.id, m.position, i.number, i.amount, e.parts -> (i.number - 1) ->> 'receipt_code', b.id
        FROM payments.bank_movement AS m
        JOIN payments.bank_item AS i ON i.movement_id = m.id
        JOIN payments.bank_entry AS e ON (e.report_id, e.position) = (m.report_id, m.position)
        JOIN payments.bill AS b ON b.creditor_reference = e.parts -> (i.number - 1) ->> 'creditor_reference' AND b.currency = i.currency
        WHERE m.id = ANY (movements) AND m.direction = 'credit' AND NOT m.is_reversal;
    END;

-- What one part does for a bill: pays net of it, and the rest goes to the wallet of its resident.
CREATE FUNCTION payments.plan_allocation(item uuid, bill uuid, amount bigint, net bigint, receipt_code text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    BEGIN ATOMIC
        SELECT coalesce(jsonb_agg(jsonb_build_object('item', item, 'bill', bill, 'amount', v.amount, 'is_payment', v.is_payment, 'receipt_code', receipt_code,
                                                     'id', payments.derived_id('bank allocation ' || item || ' ' || v.name || ' ' || receipt_code))), '[]')
        FROM (VALUES ('payment', net, true), ('surplus', plan_allocation.amount - net, false)) AS v (name, amount, is_payment) WHERE v.amount > 0;
    END;

-- The accounts that allocations go to, of those that are there.
CREATE FUNCTION payments.accounts_of_allocations(allocations jsonb) RETURNS uuid[]
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT coalesce(array_agg(x.account), '{}') FROM (
            SELECT b.pays_into AS account
            FROM jsonb_array_elements(allocations) AS a JOIN payments.bill AS b ON b.id = (a.value ->> 'bill')::uuid
            UNION ALL
            SELECT w.id
            FROM jsonb_array_elements(allocations) AS a JOIN payments.bill AS b ON b.id = (a.value ->> 'bill')::uuid
            JOIN register.resident AS r ON r.id = b.resident_id
            JOIN ledger.account AS w ON w.resident_id = coalesce(r.superseded_by, r.id) AND w.currency = b.currency AND w.kind = 'wallet' AND w.closed_at IS NULL
            WHERE NOT (a.value ->> 'is_payment')::boolean) AS x;
    END;

-- Posts transfers and allocations from suspense in one batch, and records the allocations and their payments.
CREATE FUNCTION payments.post_from_suspense(
    currency text, ids uuid[], debits uuid[], credits uuid[], amounts bigint[], refs text[], allocations jsonb, suspense_account uuid, assigned_by uuid,
    actor_kind text, actor_id text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    plan record;
    refused text;
BEGIN
    FOR plan IN
        SELECT (a.value ->> 'id')::uuid AS id, (a.value ->> 'amount')::bigint AS amount, b.reference,
            CASE WHEN (a.value ->> 'is_payment')::boolean THEN b.pays_into
                 ELSE ledger.open_wallet(coalesce(r.superseded_by, r.id), b.currency) END AS credit
        FROM jsonb_array_elements(allocations) WITH ORDINALITY AS a (value, number)
        JOIN payments.bill AS b ON b.id = (a.value ->> 'bill')::uuid JOIN register.resident AS r ON r.id = b.resident_id
        ORDER BY a.number
    LOOP
        ids := ids || plan.id;
        debits := debits || suspense_account;
        credits := credits || plan.credit;
        amounts := amounts || plan.amount;
        refs := refs || plan.reference;
    END LOOP;
    IF cardinality(ids) = 0 THEN RETURN; END IF;
    SELECT min(t.outcome) INTO refused
        FROM ledger.post_transfers(ids, array_fill('post'::text, ARRAY[cardinality(ids)]), debits, credits, amounts,
            array_fill(currency, ARRAY[cardinality(ids)]), refs, array_fill(NULL::timestamptz, ARRAY[cardinality(ids)]),
            array_fill(actor_kind, ARRAY[cardinality(ids)]), array_fill(actor_id, ARRAY[cardinality(ids)])) AS t
        WHERE t.outcome <> 'created';
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'the ledger refused money of the bank: %', refused USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_posted';
    END IF;
    INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code)
        SELECT (a.value ->> 'id')::uuid, (a.value ->> 'bill')::uuid, post_from_suspense.currency, (a.value ->> 'amount')::bigint, 0,
            (a.value ->> 'amount')::bigint, 'bank_transfer', (a.value ->> 'id')::uuid, a.value ->> 'receipt_code'
        FROM jsonb_array_elements(allocations) AS a WHERE (a.value ->> 'is_payment')::boolean;
    INSERT INTO payments.bank_allocation (id, item_id, amount, bill_id, payment_id, assigned_by)
        SELECT (a.value ->> 'id')::uuid, (a.value ->> 'item')::uuid, (a.value ->> 'amount')::bigint, (a.value ->> 'bill')::uuid,
            CASE WHEN (a.value ->> 'is_payment')::boolean THEN (a.value ->> 'id')::uuid END, post_from_suspense.assigned_by
        FROM jsonb_array_elements(allocations) AS a;
END
$$;

-- Whom to tell what, in which language (none: no account).
CREATE FUNCTION payments.notices(allocations jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'resident', coalesce(r.superseded_by, r.id), 'reference', b.reference, 'currency', b.currency, 'amount', (a.value ->> 'amount')::bigint,
            'is_payment', (a.value ->> 'is_payment')::boolean, 'language', i.language)), '[]')
        FROM jsonb_array_elements(allocations) AS a
        JOIN payments.bill AS b ON b.id = (a.value ->> 'bill')::uuid
        JOIN register.resident AS r ON r.id = b.resident_id
        LEFT JOIN identity.account AS i ON i.resident_id = coalesce(r.superseded_by, r.id);
    END;

-- Takes in a file that was read and found whole. file is
--   {"kind", "message", "message_id", "reports": [{"id", "account", "line", "sequence_number", "period_from", "period_to", "opening": {"amount", "currency", "on"},
--    "closing", "entries": [{"line", "amount", "currency", "direction", "is_reversal", "status", "booked_on", "bank_reference", "content", "parts"}]}]}
-- Returns {"outcome", …}: imported with "reports": [{"id", "problems", "booked", "known", "matched"}] and "notices"; exists, and nothing happened; or
-- account_unknown with "account" and "line", and nothing was kept.
CREATE FUNCTION payments.take_bank_file(sha256 bytea, file jsonb, staff uuid) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown record;
    account record;
    source record;
    report_id uuid;
    problems text[];
    result jsonb;
    reports jsonb := '[]';
    notices jsonb := '[]';
BEGIN
    SELECT r.value ->> 'account' AS identification, (r.value ->> 'line')::integer AS line INTO unknown
        FROM jsonb_array_elements(file -> 'reports') WITH ORDINALITY AS r (value, number)
        WHERE NOT EXISTS (SELECT FROM payments.bank_account AS a WHERE a.identification = r.value ->> 'account')
        ORDER BY r.number LIMIT 1;
    IF FOUND THEN
        RETURN jsonb_build_object('outcome', 'account_unknown', 'account', unknown.identification, 'line', unknown.line);
    END IF;
    INSERT INTO payments.bank_file (sha256, message, message_id, imported_by)
        VALUES (take_bank_file.sha256, file ->> 'message', file ->> 'message_id', staff)
        ON CONFLICT ON CONSTRAINT bank_file_pkey DO NOTHING;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'exists'); END IF;

    -- One file at a time for an account: which movements are known must not change meanwhile. Several accounts in the order of their ids.
    FOR account IN SELECT DISTINCT a.id FROM jsonb_array_elements(file -> 'reports') AS r JOIN payments.bank_account AS a ON a.identification = r.value ->> 'account'
            ORDER BY a.id LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('payments.bank_account ' || account.id, 0));
    END LOOP;

    FOR source IN
        SELECT r.value, r.number, a.id AS account_id, a.currency
        FROM jsonb_array_elements(file -> 'reports') WITH ORDINALITY AS r (value, number)
        JOIN payments.bank_account AS a ON a.identification = r.value ->> 'account' ORDER BY r.number
    LOOP
        problems := payments.problems_of(file ->> 'kind', source.value, source.currency);
        report_id := payments.derived_id('bank report ' || encode(take_bank_file.sha256, 'hex') || ' ' || source.number);
        INSERT INTO payments.bank_report (id, file_sha256, position, account_id, kind, reported_id, sequence_number, period_from, period_to, opening,
                                          opening_currency, opening_on, closing, closing_currency, closing_on, problems)
            VALUES (report_id, take_bank_file.sha256, source.number, source.account_id, file ->> 'kind', source.value ->> 'id',
                (source.value ->> 'sequence_number')::bigint, (source.value ->> 'period_from')::timestamptz, (source.value ->> 'period_to')::timestamptz,
                (source.value #>> '{opening,amount}')::bigint, source.value #>> '{opening,currency}', (source.value #>> '{opening,on}')::date,
                (source.value #>> '{closing,amount}')::bigint, source.value #>> '{closing,currency}', (source.value #>> '{closing,on}')::date, problems);
        INSERT INTO payments.bank_entry (report_id, position, line, amount, currency, direction, is_reversal, status, booked_on, bank_reference, content, parts)
            SELECT report_id, e.number, e.line, e.amount, e.currency, e.direction, e.is_reversal, e.status, e.booked_on, e.bank_reference,
                decode(e.content, 'hex'), e.parts
            FROM ROWS FROM (jsonb_to_recordset(source.value -> 'entries') AS (
                line integer, amount bigint, currency text, direction text, is_reversal boolean, status text, booked_on date, bank_reference text, content text,
                parts jsonb)) WITH ORDINALITY AS e (line, amount, currency, direction, is_reversal, status, booked_on, bank_reference, content, parts, number);
        result := '{"booked": 0, "known": 0, "matched": 0}';
        IF problems = '{}' THEN
            result := payments.book_report(report_id, CASE WHEN staff IS NULL THEN 'system' ELSE 'staff' END, coalesce(staff::text, 'import'));
            notices := notices || (result -> 'notices');
        END IF;
        reports := reports || (jsonb_build_object('id', report_id, 'account', source.value ->> 'account', 'problems', to_jsonb(problems)) || (result - 'notices'));
    END LOOP;
    RETURN jsonb_build_object('outcome', 'imported', 'reports', reports, 'notices', notices);
END
$$;

-- Why a report books nothing by itself; empty when it does.
CREATE FUNCTION payments.problems_of(kind text, report jsonb, currency text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    problems text[] := '{}';
    moved numeric;
    is_foreign boolean;
    has_no_day boolean;
BEGIN
    SELECT coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE -e.amount END), 0), coalesce(bool_or(e.currency <> problems_of.currency), false),
            coalesce(bool_or(e.booked_on IS NULL), false)
        INTO moved, is_foreign, has_no_day
        FROM jsonb_to_recordset(report -> 'entries') AS e (amount bigint, direction text, currency text, status text, booked_on date)
        WHERE e.status = 'BOOK';
    is_foreign := is_foreign OR report #>> '{opening,currency}' <> problems_of.currency IS TRUE OR report #>> '{closing,currency}' <> problems_of.currency IS TRUE;
    IF problems_of.kind = 'statement' THEN
        IF report #>> '{opening,amount}' IS NULL THEN problems := problems || 'opening_missing'::text; END IF;
        IF report #>> '{closing,amount}' IS NULL THEN problems := problems || 'closing_missing'::text; END IF;
        -- Sums of several currencies say nothing.
        IF NOT is_foreign AND (report #>> '{opening,amount}')::numeric + moved <> (report #>> '{closing,amount}')::numeric THEN
            problems := problems || 'balances_differ'::text;
        END IF;
    END IF;
    IF is_foreign THEN problems := problems || 'currency'::text; END IF;
    IF has_no_day THEN problems := problems || 'day_missing'::text; END IF;
    RETURN problems;
END
$$;

-- The same for a finance officer. Outcomes as above, and role_missing.
CREATE FUNCTION payments.import_bank_file(credential bytea, sha256 bytea, file jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(import_bank_file.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    RETURN payments.take_bank_file(import_bank_file.sha256, import_bank_file.file, officer);
END
$$;

-- A finance officer's word about a report with problems. Outcomes in {"outcome"}: booked (with the counts and notices of book_report), discarded,
-- already_decided, not_bookable (another currency, or a movement without a day), report_unknown (also one without problems), role_missing.
CREATE FUNCTION payments.decide_report(credential bytea, report uuid, decision text, reason text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid;
    told record;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(decide_report.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    SELECT r.id, r.account_id, r.problems INTO told FROM payments.bank_report AS r WHERE r.id = decide_report.report AND r.problems <> '{}';
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'report_unknown'); END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.bank_account ' || told.account_id, 0));
    IF EXISTS (SELECT FROM payments.bank_report_decision AS d WHERE d.report_id = told.id) THEN RETURN jsonb_build_object('outcome', 'already_decided'); END IF;
    IF decide_report.decision = 'booked' AND told.problems && '{currency,day_missing}' THEN RETURN jsonb_build_object('outcome', 'not_bookable'); END IF;
    INSERT INTO payments.bank_report_decision (report_id, kind, reason, decided_by) VALUES (told.id, decide_report.decision, decide_report.reason, officer);
    IF decide_report.decision = 'discarded' THEN RETURN jsonb_build_object('outcome', 'discarded'); END IF;
    RETURN jsonb_build_object('outcome', 'booked') || payments.book_report(told.id, 'staff', officer::text);
END
$$;

-- A finance officer gives what is left of a part to a bill, named by either of its references. Outcomes in {"outcome"}: assigned (with "amount", "surplus",
-- "reference" and "notices"), bill_unknown, currency_differs, nothing_left, not_received (money that left the account), is_payout (a payout of the city that
-- came back, which payouts.count_return takes), item_unknown, role_missing.
CREATE FUNCTION payments.assign_item(credential bytea, item uuid, bill_reference text, receipt_code text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid;
    part record;
    owed record;
    rest bigint;
    net bigint;
    allocations jsonb;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(assign_item.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    SELECT i.id, i.currency, m.direction, a.suspense_account INTO part
        FROM payments.bank_item AS i JOIN payments.bank_movement AS m ON m.id = i.movement_id JOIN payments.bank_account AS a ON a.id = m.account_id
        WHERE i.id = assign_item.item;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'item_unknown'); END IF;
    IF part.direction <> 'credit' THEN RETURN jsonb_build_object('outcome', 'not_received'); END IF;
    PERFORM payments.lock_item(part.id);
    IF payouts.awaits(part.id) IS NOT NULL THEN RETURN jsonb_build_object('outcome', 'is_payout'); END IF;
    SELECT b.id, b.currency, b.reference INTO owed FROM payments.bill AS b
        WHERE b.reference = assign_item.bill_reference OR b.creditor_reference = assign_item.bill_reference;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'bill_unknown'); END IF;
    IF owed.currency <> part.currency THEN RETURN jsonb_build_object('outcome', 'currency_differs'); END IF;

    rest := payments.item_rest(part.id);
    IF rest <= 0 THEN RETURN jsonb_build_object('outcome', 'nothing_left'); END IF;
    PERFORM payments.lock_bill(owed.id);
    net := GREATEST(0, LEAST(rest, payments.outstanding(owed.id)));
    allocations := payments.plan_allocation(part.id, owed.id, rest, net, assign_item.receipt_code);
    PERFORM payments.post_from_suspense(part.currency, '{}', '{}', '{}', '{}', '{}', allocations, part.suspense_account, officer, 'staff', officer::text);
    RETURN jsonb_build_object('outcome', 'assigned', 'amount', net, 'surplus', rest - net, 'reference', owed.reference, 'notices', payments.notices(allocations));
END
$$;

-- A finance officer proposes to send what is left of a part back. Outcomes: proposed, exists (the same again), nothing_left, not_received, is_payout,
-- item_unknown, role_missing.
CREATE FUNCTION payments.propose_return(credential bytea, item uuid, return_id uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid;
    direction text;
    rest bigint;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(propose_return.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT m.direction INTO direction FROM payments.bank_item AS i JOIN payments.bank_movement AS m ON m.id = i.movement_id WHERE i.id = propose_return.item;
    IF NOT FOUND THEN RETURN 'item_unknown'; END IF;
    IF direction <> 'credit' THEN RETURN 'not_received'; END IF;
    PERFORM payments.lock_item(propose_return.item);
    IF EXISTS (SELECT FROM payments.bank_return AS r WHERE r.id = propose_return.return_id AND r.item_id = propose_return.item) THEN RETURN 'exists'; END IF;
    IF payouts.awaits(propose_return.item) IS NOT NULL THEN RETURN 'is_payout'; END IF;
    rest := payments.item_rest(propose_return.item);
    IF rest <= 0 THEN RETURN 'nothing_left'; END IF;
    INSERT INTO payments.bank_return (id, item_id, amount, reason, proposed_by) VALUES (propose_return.return_id, propose_return.item, rest, propose_return.reason, officer);
    RETURN 'proposed';
END
$$;

-- Another than who proposed it decides: a finance officer or an approver. Outcomes: approved, refused, already_decided, self_approval, return_unknown, role_missing.
CREATE FUNCTION payments.decide_return(credential bytea, return_id uuid, decision text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    decider uuid;
    proposal record;
BEGIN
    SELECT s.staff_id INTO decider FROM web.staff_with(decide_return.credential, '{finance_officer,approver}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT r.id, r.item_id, r.proposed_by INTO proposal FROM payments.bank_return AS r WHERE r.id = decide_return.return_id;
    IF NOT FOUND THEN RETURN 'return_unknown'; END IF;
    PERFORM payments.lock_item(proposal.item_id);
    IF EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = proposal.id) THEN RETURN 'already_decided'; END IF;
    IF proposal.proposed_by = decider THEN RETURN 'self_approval'; END IF;
    INSERT INTO payments.bank_return_decision (return_id, proposed_by, kind, decided_by) VALUES (proposal.id, proposal.proposed_by, decide_return.decision, decider);
    RETURN decide_return.decision;
END
$$;

-- Parts of movements for finance officers and auditors, and for approvers those that somebody proposed to return: what waits (the default), or one by its id.
CREATE FUNCTION payments.bank_items_for(credential bytea, item uuid, page_size integer)
    RETURNS TABLE (id uuid, account text, direction text, is_reversal boolean, amount bigint, rest bigint, currency text, booked_on date, bank_reference text,
                   creditor_reference text, payer_name text, payer_account text, remittance text, return_id uuid, return_reason text, return_amount bigint,
                   returned_by_me boolean, awaits text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT i.id, a.identification, m.direction, m.is_reversal, i.amount, remains.amount, i.currency, m.booked_on, e.bank_reference,
            part.value ->> 'creditor_reference', part.value ->> 'payer_name', part.value ->> 'payer_account', part.value ->> 'text',
            r.id, r.reason, r.amount, r.proposed_by = s.staff_id, CASE WHEN m.direction = 'credit' THEN payouts.awaits(i.id) END
        FROM web.staff_with(bank_items_for.credential, '{finance_officer,approver,auditor}') AS s
        JOIN payments.bank_item AS i ON CASE WHEN bank_items_for.item IS NULL THEN i.id IN (SELECT w.item_id FROM payments.bank_item_waiting AS w)
                                             ELSE i.id = bank_items_for.item END
        JOIN payments.bank_movement AS m ON m.id = i.movement_id
        JOIN payments.bank_account AS a ON a.id = m.account_id
        JOIN payments.bank_entry AS e ON (e.report_id, e.position) = (m.report_id, m.position)
        CROSS JOIN LATERAL (SELECT e.parts -> (i.number - 1) AS value) AS part
        CROSS JOIN LATERAL (SELECT payments.item_rest(i.id) AS amount) AS remains
        LEFT JOIN payments.bank_return AS r ON r.item_id = i.id
            AND NOT EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = r.id)
        WHERE (r.id IS NOT NULL OR EXISTS (SELECT FROM web.staff_with(bank_items_for.credential, '{finance_officer,auditor}')))
        ORDER BY m.booked_on, i.id
        LIMIT LEAST(bank_items_for.page_size, 201);
END
$$;

-- What happened to a part, oldest first.
CREATE FUNCTION payments.bank_item_history_for(credential bytea, item uuid)
    RETURNS TABLE (kind text, amount bigint, currency text, reference text, reason text, staff_name text, at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT h.kind, h.amount, i.currency, h.reference, h.reason, s.display_name, h.at
        FROM payments.bank_item AS i
        CROSS JOIN LATERAL (
            SELECT 'received' AS kind, i.amount, NULL::text AS reference, NULL::text AS reason, NULL::uuid AS staff_id, i.recorded_at AS at, 0 AS step
            UNION ALL
            SELECT CASE WHEN a.payment_id IS NULL THEN 'credited' WHEN a.assigned_by IS NULL THEN 'matched' ELSE 'assigned' END, a.amount, b.reference, NULL,
                a.assigned_by, a.allocated_at, CASE WHEN a.payment_id IS NULL THEN 2 ELSE 1 END
            FROM payments.bank_allocation AS a JOIN payments.bill AS b ON b.id = a.bill_id WHERE a.item_id = i.id
            UNION ALL
            SELECT 'return_proposed', r.amount, NULL, r.reason, r.proposed_by, r.proposed_at, 3 FROM payments.bank_return AS r WHERE r.item_id = i.id
            UNION ALL
            SELECT 'return_' || d.kind, r.amount, NULL, NULL, d.decided_by, d.decided_at, 4
            FROM payments.bank_return AS r JOIN payments.bank_return_decision AS d ON d.return_id = r.id WHERE r.item_id = i.id
            UNION ALL
            SELECT CASE p.direction WHEN 'debit' THEN 'payout_left' ELSE 'payout_returned' END, i.amount, payouts.reference_of(p.instruction_id, p.batch_id), NULL,
                p.counted_by, p.counted_at, 5
            FROM payments.bank_payout AS p WHERE p.item_id = i.id) AS h
        LEFT JOIN identity.staff AS s ON s.id = h.staff_id
        WHERE i.id = bank_item_history_for.item
          AND EXISTS (SELECT FROM web.staff_with(bank_item_history_for.credential, '{finance_officer,approver,auditor}'))
        ORDER BY h.at, h.step;
END
$$;

-- Reports, newest first, for finance officers and auditors; one, where its id is given.
CREATE FUNCTION payments.bank_reports_for(credential bytea, report uuid, page_size integer)
    RETURNS TABLE (id uuid, account text, currency text, kind text, reported_id text, imported_at timestamptz, imported_by text, opening bigint, opening_currency text,
                   opening_on date, closing bigint, closing_currency text, closing_on date, entry_count bigint, came_in bigint, went_out bigint,
                   problems text[], decision text, decision_reason text, decided_by text, decided_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT r.id, a.identification, a.currency, r.kind, r.reported_id, f.imported_at, importer.display_name, r.opening, r.opening_currency, r.opening_on, r.closing,
            r.closing_currency, r.closing_on, e.count, e.came_in, e.went_out, r.problems, d.kind, d.reason, decider.display_name, d.decided_at
        FROM web.staff_with(bank_reports_for.credential, '{finance_officer,auditor}') AS s
        CROSS JOIN payments.bank_report AS r
        JOIN payments.bank_account AS a ON a.id = r.account_id
        JOIN payments.bank_file AS f ON f.sha256 = r.file_sha256
        CROSS JOIN LATERAL (
            SELECT count(*) AS count, coalesce(sum(x.amount) FILTER (WHERE x.direction = 'credit'), 0)::bigint AS came_in,
                coalesce(sum(x.amount) FILTER (WHERE x.direction = 'debit'), 0)::bigint AS went_out
            FROM payments.bank_entry AS x WHERE x.report_id = r.id AND x.status = 'BOOK') AS e
        LEFT JOIN identity.staff AS importer ON importer.id = f.imported_by
        LEFT JOIN payments.bank_report_decision AS d ON d.report_id = r.id
        LEFT JOIN identity.staff AS decider ON decider.id = d.decided_by
        WHERE bank_reports_for.report IS NULL OR r.id = bank_reports_for.report
        ORDER BY f.imported_at DESC, r.position
        LIMIT LEAST(bank_reports_for.page_size, 201);
END
$$;

-- How much waits for whoever asks, and since when: parts and reports for finance officers; for approvers, returns that others proposed.
CREATE FUNCTION payments.bank_waiting_for(credential bytea) RETURNS TABLE (count bigint, oldest timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT count(*), min(w.at) FROM (
            SELECT i.recorded_at AS at
            FROM payments.bank_item_waiting AS q JOIN payments.bank_item AS i ON i.id = q.item_id
            WHERE EXISTS (SELECT FROM web.staff_with(bank_waiting_for.credential, '{finance_officer}'))
               OR EXISTS (SELECT FROM web.staff_with(bank_waiting_for.credential, '{approver}') AS s
                          JOIN payments.bank_return AS r ON r.item_id = i.id AND r.proposed_by <> s.staff_id
                          WHERE NOT EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = r.id))
            UNION ALL
            SELECT f.imported_at
            FROM payments.bank_report AS r JOIN payments.bank_file AS f ON f.sha256 = r.file_sha256
            WHERE r.problems <> '{}' AND NOT EXISTS (SELECT FROM payments.bank_report_decision AS d WHERE d.report_id = r.id)
              AND EXISTS (SELECT FROM web.staff_with(bank_waiting_for.credential, '{finance_officer}'))) AS w;
END
$$;

-- Where to pay a bill of a currency by bank transfer. No secret: it stands on every bill.
CREATE FUNCTION payments.collecting_account(currency text) RETURNS TABLE (identification text, holder text)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT a.identification, a.holder FROM payments.bank_account AS a WHERE a.currency = collecting_account.currency AND a.collects;
    END;

ALTER FUNCTION payments.check_movement() OWNER TO stoa_door;
ALTER FUNCTION payments.item_rest(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.lock_item(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.refresh_waiting(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.derived_id(text) OWNER TO stoa_door;
ALTER FUNCTION payments.are_apart(payments.bank_report, payments.bank_report) OWNER TO stoa_door;
ALTER FUNCTION payments.may_be(uuid, bytea, text, payments.bank_report) OWNER TO stoa_door;
ALTER FUNCTION payments.book_report(uuid, text, text) OWNER TO stoa_door;
ALTER FUNCTION payments.named_bills(uuid[]) OWNER TO stoa_door;
ALTER FUNCTION payments.plan_allocation(uuid, uuid, bigint, bigint, text) OWNER TO stoa_door;
ALTER FUNCTION payments.accounts_of_allocations(jsonb) OWNER TO stoa_door;
ALTER FUNCTION payments.post_from_suspense(text, uuid[], uuid[], uuid[], bigint[], text[], jsonb, uuid, uuid, text, text) OWNER TO stoa_door;
ALTER FUNCTION payments.notices(jsonb) OWNER TO stoa_door;
ALTER FUNCTION payments.take_bank_file(bytea, jsonb, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.problems_of(text, jsonb, text) OWNER TO stoa_door;
ALTER FUNCTION payments.import_bank_file(bytea, bytea, jsonb) OWNER TO stoa_door;
ALTER FUNCTION payments.decide_report(bytea, uuid, text, text) OWNER TO stoa_door;
ALTER FUNCTION payments.assign_item(bytea, uuid, text, text) OWNER TO stoa_door;
ALTER FUNCTION payments.propose_return(bytea, uuid, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION payments.decide_return(bytea, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION payments.bank_items_for(bytea, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION payments.bank_item_history_for(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.bank_reports_for(bytea, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION payments.collecting_account(text) OWNER TO stoa_door;
ALTER FUNCTION payments.bank_waiting_for(bytea) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.import_bank_file(bytea, bytea, jsonb), payments.decide_report(bytea, uuid, text, text),
    payments.assign_item(bytea, uuid, text, text), payments.propose_return(bytea, uuid, uuid, text), payments.decide_return(bytea, uuid, text),
    payments.bank_items_for(bytea, uuid, integer), payments.bank_item_history_for(bytea, uuid), payments.bank_reports_for(bytea, uuid, integer),
    payments.collecting_account(text), payments.bank_waiting_for(bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA payments FROM stoa_door;

-- Tills: cash at a counter. A clerk opens one with a float out of the city's cash, takes payments to bills, and counts at the end. What was counted
-- goes back to the city's cash; a difference is explained by who counted and approved by another, and only then is it booked.
CREATE TABLE payments.till (
    id uuid PRIMARY KEY,
    opened_by uuid NOT NULL REFERENCES identity.staff,
    counter text NOT NULL CHECK (length(counter) BETWEEN 1 AND 60),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    opening_float bigint NOT NULL CHECK (opening_float BETWEEN 0 AND 9007199254740991),
    -- The cash in it, in the ledger.
    ledger_account uuid NOT NULL UNIQUE REFERENCES ledger.account,
    opened_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (id, opened_by)
);
CREATE INDEX till_opened ON payments.till (opened_by, opened_at);

-- A payment that was taken there.
CREATE TABLE payments.till_payment (
    payment_id uuid PRIMARY KEY REFERENCES payments.payment,
    till_id uuid NOT NULL REFERENCES payments.till
);
CREATE INDEX till_payment_till ON payments.till_payment (till_id);

CREATE TABLE payments.till_closing (
    till_id uuid PRIMARY KEY,
    closed_by uuid NOT NULL,
    expected bigint NOT NULL CHECK (expected >= 0),
    counted bigint NOT NULL CHECK (counted BETWEEN 0 AND 9007199254740991),
    explanation text CHECK (length(explanation) BETWEEN 3 AND 500),
    closed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- The clerk who had the till counts it.
    FOREIGN KEY (till_id, closed_by) REFERENCES payments.till (id, opened_by),
    UNIQUE (till_id, closed_by),
    CONSTRAINT difference_is_explained CHECK (counted = expected OR explanation IS NOT NULL)
);
CREATE TABLE payments.till_approval (
    till_id uuid PRIMARY KEY,
    closed_by uuid NOT NULL,
    approved_by uuid NOT NULL REFERENCES identity.staff,
    approved_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT till_approved_by_another CHECK (approved_by <> closed_by),
    FOREIGN KEY (till_id, closed_by) REFERENCES payments.till_closing (till_id, closed_by)
);

-- A closed till takes nothing more. The row of the till is locked by whoever takes or counts.
CREATE FUNCTION payments.check_till_payment() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM payments.lock_till(NEW.till_id);
    IF EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = NEW.till_id) THEN
        RAISE EXCEPTION 'a closed till takes nothing' USING ERRCODE = 'check_violation', CONSTRAINT = 'till_is_open';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER till_is_open AFTER INSERT ON payments.till_payment FOR EACH ROW EXECUTE FUNCTION payments.check_till_payment();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['till', 'till_payment', 'till_closing', 'till_approval'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.%I FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()',
                       name || '_only_grows', name);
        EXECUTE format('GRANT SELECT, INSERT ON payments.%I TO stoa_door', name);
        EXECUTE format('GRANT SELECT ON payments.%I TO stoa_auditor', name);
    END LOOP;
END
$$;
-- To lock a row; nobody changes one.
GRANT UPDATE (id) ON payments.till TO stoa_door;
GRANT CREATE ON SCHEMA payments TO stoa_door;

CREATE FUNCTION payments.lock_till(till uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM payments.till AS t WHERE t.id = lock_till.till FOR NO KEY UPDATE;
END
$$;

-- The city's cash of a currency outside of tills, and what tills had too much (credit) or too little, opened when first needed.
CREATE FUNCTION payments.cash_account(currency text, is_difference boolean) RETURNS uuid
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account uuid := payments.derived_id(CASE WHEN is_difference THEN 'cash differences ' ELSE 'cash ' END || cash_account.currency);
BEGIN
    IF NOT ledger.open_account(account, CASE WHEN is_difference THEN 'suspense' ELSE 'funding' END, cash_account.currency, NULL, 'city',
                               CASE WHEN is_difference THEN 'credit' ELSE 'debit' END, true) THEN
        RAISE EXCEPTION 'the ledger has another account under this id' USING ERRCODE = 'check_violation', CONSTRAINT = 'cash_account_in_ledger';
    END IF;
    RETURN account;
END
$$;

-- Moves cash between two accounts under an id; nothing for an amount of zero.
CREATE FUNCTION payments.move_cash(transfer uuid, debit uuid, credit uuid, amount bigint, currency text, reference text, staff uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    posted text;
BEGIN
    IF amount = 0 THEN RETURN; END IF;
    SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[transfer], '{post}', ARRAY[debit], ARRAY[credit], ARRAY[amount], ARRAY[currency],
        ARRAY[reference], '{NULL}', '{staff}', ARRAY[staff::text]) AS t;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused cash: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'cash_posted';
    END IF;
END
$$;

-- A clerk (a caseworker at a counter) opens a till. Outcomes: opened, exists (the same again), already_open (another of theirs), role_missing.
CREATE FUNCTION payments.open_till(credential bytea, till uuid, counter text, currency text, opening_float bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clerk uuid;
    account uuid := payments.derived_id('till ' || open_till.till);
BEGIN
    SELECT s.staff_id INTO clerk FROM web.staff_with(open_till.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.till of ' || clerk, 0));
    IF EXISTS (SELECT FROM payments.till AS t WHERE t.id = open_till.till AND t.opened_by = clerk) THEN RETURN 'exists'; END IF;
    IF EXISTS (SELECT FROM payments.till AS t WHERE t.opened_by = clerk AND NOT EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = t.id)) THEN
        RETURN 'already_open';
    END IF;
    IF NOT ledger.open_account(account, 'funding', open_till.currency, NULL, 'city', 'debit', false) THEN
        RAISE EXCEPTION 'the ledger has another account under this id' USING ERRCODE = 'check_violation', CONSTRAINT = 'cash_account_in_ledger';
    END IF;
    INSERT INTO payments.till (id, opened_by, counter, currency, opening_float, ledger_account)
        VALUES (open_till.till, clerk, open_till.counter, open_till.currency, open_till.opening_float, account);
    PERFORM payments.move_cash(payments.derived_id('till float ' || open_till.till), account, payments.cash_account(open_till.currency, false), open_till.opening_float,
        open_till.currency, 'TILL FLOAT', clerk);
    RETURN 'opened';
END
$$;

-- Takes cash for a bill, named by either of its references, into the clerk's open till. Outcomes in {"outcome"}: paid (with "reference", "outstanding" and
-- "notices"), exists (this payment was taken before), bill_unknown, currency_differs, nothing_due, too_much (change is given, not kept), till_closed (or none
-- of theirs), role_missing.
CREATE FUNCTION payments.take_cash(credential bytea, till uuid, payment uuid, bill_reference text, amount bigint, receipt_code text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clerk uuid;
    place record;
    owed record;
    due bigint;
BEGIN
    SELECT s.staff_id INTO clerk FROM web.staff_with(take_cash.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    SELECT t.id, t.currency, t.ledger_account INTO place FROM payments.till AS t WHERE t.id = take_cash.till AND t.opened_by = clerk;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'till_closed'); END IF;
    SELECT b.id, b.currency, b.reference, b.pays_into INTO owed FROM payments.bill AS b
        WHERE b.reference = take_cash.bill_reference OR b.creditor_reference = take_cash.bill_reference;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'bill_unknown'); END IF;
    IF owed.currency <> place.currency THEN RETURN jsonb_build_object('outcome', 'currency_differs'); END IF;
    PERFORM payments.lock_till(place.id);
    IF EXISTS (SELECT FROM payments.till_payment AS p WHERE p.payment_id = take_cash.payment AND p.till_id = place.id) THEN
        RETURN jsonb_build_object('outcome', 'exists', 'reference', owed.reference);
    END IF;
    IF EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = place.id) THEN RETURN jsonb_build_object('outcome', 'till_closed'); END IF;
    PERFORM payments.lock_bill(owed.id);
    due := payments.outstanding(owed.id);
    IF due <= 0 THEN RETURN jsonb_build_object('outcome', 'nothing_due'); END IF;
    IF take_cash.amount > due THEN RETURN jsonb_build_object('outcome', 'too_much', 'outstanding', due); END IF;
    PERFORM payments.move_cash(take_cash.payment, place.ledger_account, owed.pays_into, take_cash.amount, owed.currency, owed.reference, clerk);
    INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code)
        VALUES (take_cash.payment, owed.id, owed.currency, take_cash.amount, 0, take_cash.amount, 'cash', take_cash.payment, take_cash.receipt_code);
    INSERT INTO payments.till_payment (payment_id, till_id) VALUES (take_cash.payment, place.id);
    RETURN jsonb_build_object('outcome', 'paid', 'reference', owed.reference, 'outstanding', due - take_cash.amount,
        'notices', payments.notices(jsonb_build_array(jsonb_build_object('bill', owed.id, 'amount', take_cash.amount, 'is_payment', true))));
END
$$;

-- The clerk counts. Without a difference all of it goes back to the city's cash at once. Outcomes: closed, waits (for approval), explanation_missing,
-- already_closed, till_unknown, role_missing.
CREATE FUNCTION payments.close_till(credential bytea, till uuid, counted bigint, explanation text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clerk uuid;
    place record;
    expected bigint;
BEGIN
    SELECT s.staff_id INTO clerk FROM web.staff_with(close_till.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT t.id, t.currency, t.ledger_account INTO place FROM payments.till AS t WHERE t.id = close_till.till AND t.opened_by = clerk;
    IF NOT FOUND THEN RETURN 'till_unknown'; END IF;
    PERFORM payments.lock_till(place.id);
    IF EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = place.id) THEN RETURN 'already_closed'; END IF;
    SELECT a.posted INTO expected FROM ledger.account AS a WHERE a.id = place.ledger_account;
    IF close_till.counted <> expected AND close_till.explanation IS NULL THEN RETURN 'explanation_missing'; END IF;
    INSERT INTO payments.till_closing (till_id, closed_by, expected, counted, explanation)
        VALUES (place.id, clerk, expected, close_till.counted, CASE WHEN close_till.counted <> expected THEN close_till.explanation END);
    IF close_till.counted <> expected THEN RETURN 'waits'; END IF;
    PERFORM payments.move_cash(payments.derived_id('till closing ' || place.id), payments.cash_account(place.currency, false), place.ledger_account, expected,
        place.currency, 'TILL CLOSING', clerk);
    RETURN 'closed';
END
$$;

-- Another approves a difference: it is booked, and what was counted goes back to the city's cash. Outcomes: approved, already_approved, no_difference,
-- self_approval, till_unknown, role_missing.
CREATE FUNCTION payments.approve_till(credential bytea, till uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    approver uuid;
    closing record;
    cash uuid;
    differences uuid;
BEGIN
    SELECT s.staff_id INTO approver FROM web.staff_with(approve_till.credential, '{finance_officer,approver}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    PERFORM payments.lock_till(approve_till.till);
    SELECT c.till_id, c.closed_by, c.expected, c.counted, t.currency, t.ledger_account INTO closing
        FROM payments.till_closing AS c JOIN payments.till AS t ON t.id = c.till_id WHERE c.till_id = approve_till.till;
    IF NOT FOUND THEN RETURN 'till_unknown'; END IF;
    IF closing.counted = closing.expected THEN RETURN 'no_difference'; END IF;
    IF EXISTS (SELECT FROM payments.till_approval AS a WHERE a.till_id = closing.till_id) THEN RETURN 'already_approved'; END IF;
    IF closing.closed_by = approver THEN RETURN 'self_approval'; END IF;
    INSERT INTO payments.till_approval (till_id, closed_by, approved_by) VALUES (closing.till_id, closing.closed_by, approver);
    cash := payments.cash_account(closing.currency, false);
    differences := payments.cash_account(closing.currency, true);
    IF closing.counted > closing.expected THEN
        PERFORM payments.move_cash(payments.derived_id('till difference ' || closing.till_id), closing.ledger_account, differences,
            closing.counted - closing.expected, closing.currency, 'TILL OVER', approver);
    ELSE
        PERFORM payments.move_cash(payments.derived_id('till difference ' || closing.till_id), differences, closing.ledger_account,
            closing.expected - closing.counted, closing.currency, 'TILL SHORT', approver);
    END IF;
    PERFORM payments.move_cash(payments.derived_id('till closing ' || closing.till_id), cash, closing.ledger_account, closing.counted, closing.currency,
        'TILL CLOSING', approver);
    RETURN 'approved';
END
$$;

-- Tills, newest first: to a clerk their own, to finance officers, approvers and auditors all; one, where its id is given.
CREATE FUNCTION payments.tills_for(credential bytea, till uuid, page_size integer)
    RETURNS TABLE (id uuid, clerk text, is_mine boolean, counter text, currency text, opening_float bigint, taken bigint, payment_count bigint, opened_at timestamptz,
                   closed_at timestamptz, expected bigint, counted bigint, explanation text, approved_by text, approved_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.id, opener.display_name, t.opened_by = s.staff_id, t.counter, t.currency, t.opening_float, paid.sum, paid.count, t.opened_at, c.closed_at, c.expected,
            c.counted, c.explanation, approver.display_name, a.approved_at
        FROM web.staff_with(tills_for.credential, '{caseworker,finance_officer,approver,auditor}') AS s
        JOIN payments.till AS t ON t.opened_by = s.staff_id
            OR EXISTS (SELECT FROM web.staff_with(tills_for.credential, '{finance_officer,approver,auditor}'))
        JOIN identity.staff AS opener ON opener.id = t.opened_by
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(p.gross), 0)::bigint AS sum, count(*) AS count
            FROM payments.till_payment AS x JOIN payments.payment AS p ON p.id = x.payment_id WHERE x.till_id = t.id) AS paid
        LEFT JOIN payments.till_closing AS c ON c.till_id = t.id
        LEFT JOIN payments.till_approval AS a ON a.till_id = t.id
        LEFT JOIN identity.staff AS approver ON approver.id = a.approved_by
        WHERE tills_for.till IS NULL OR t.id = tills_for.till
        ORDER BY t.opened_at DESC, t.id DESC
        LIMIT LEAST(tills_for.page_size, 201);
END
$$;

ALTER FUNCTION payments.lock_till(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.cash_account(text, boolean) OWNER TO stoa_door;
ALTER FUNCTION payments.move_cash(uuid, uuid, uuid, bigint, text, text, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.open_till(bytea, uuid, text, text, bigint) OWNER TO stoa_door;
ALTER FUNCTION payments.take_cash(bytea, uuid, uuid, text, bigint, text) OWNER TO stoa_door;
ALTER FUNCTION payments.close_till(bytea, uuid, bigint, text) OWNER TO stoa_door;
ALTER FUNCTION payments.approve_till(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.tills_for(bytea, uuid, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.open_till(bytea, uuid, text, text, bigint), payments.take_cash(bytea, uuid, uuid, text, bigint, text),
    payments.close_till(bytea, uuid, bigint, text), payments.approve_till(bytea, uuid), payments.tills_for(bytea, uuid, integer) TO stoa_app;
REVOKE CREATE ON SCHEMA payments FROM stoa_door;
