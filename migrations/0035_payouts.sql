-- Money out: what residents take from their wallets, and what the city owes, leaves in batches of credit transfers (ISO 20022 pain.001) that
-- a finance officer prepares and another person approves, and comes back as settled, rejected or returned (pain.002).
--
--   an instruction sets money aside for one thing that is paid            it is paid once, and after a failure once more at most
--   its events say what became of it; payouts.state is their fold         an event follows the one before it, or is refused
--   a batch is frozen with count and control sum when it is prepared      its approver is another than its preparer, and there is one
--   the file of a batch is written from these rows alone                  written again it is the same, byte for byte
--
-- The money: instructing moves it from where it was (source) to set_aside, approving moves the control sum to in_transit, settlement moves it
-- on to the batch's clearing account, rejection back to the source, a return from clearing to the source. So set_aside and in_transit always equal the
-- instructions in these states. Clearing is the suspense of the bank account that the city pays from: its statements move the same sums between
-- suspense and the bank's money (0044_payouts_at_bank.sql), so each counts once, whichever of the two messages comes first.
CREATE SCHEMA payouts;
GRANT USAGE ON SCHEMA payouts TO stoa_app, stoa_auditor, stoa_door;

-- How long a new bank account waits before money goes there: two nights, in which the message about it is read.
CREATE FUNCTION payouts.cooling_time() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN interval '48 hours';

-- Payments in one batch: the largest run that is measured (Benchmarks), and a tenth of what banks take in one file.
CREATE FUNCTION payouts.batch_max() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 100000;

-- The law under which the city passes names and bank accounts to its bank.
CREATE FUNCTION payouts.law() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'City Finances Act § 12';

-- The characters that every bank in SEPA takes (EPC217-08), and what may not be in an identifier.
CREATE FUNCTION payouts.is_sepa_text(t text, characters_max integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN t ~ '^[A-Za-z0-9/?:().,''+ -]+$' AND length(t) <= characters_max AND t = btrim(t);

-- From where the city pays in a currency, and the accounts that money passes on its way out. The owner sets it.
CREATE TABLE payouts.channel (
    currency text PRIMARY KEY CHECK (currency ~ '^[A-Z]{3}$'),
    debtor_name text NOT NULL CHECK (payouts.is_sepa_text(debtor_name, 70)),
    debtor_iban text NOT NULL CHECK (debtor_iban ~ '^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$'),
    -- Null: the bank knows itself by the IBAN.
    debtor_bic text CHECK (debtor_bic ~ '^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$'),
    debtor_town text NOT NULL CHECK (payouts.is_sepa_text(debtor_town, 35)),
    debtor_country text NOT NULL CHECK (debtor_country ~ '^[A-Z]{2}$'),
    -- The bank's account in the ledger: what leaves it is credited, where no statements are imported for debtor_iban.
    bank uuid NOT NULL REFERENCES ledger.account,
    set_aside uuid NOT NULL UNIQUE REFERENCES ledger.account,
    in_transit uuid NOT NULL UNIQUE REFERENCES ledger.account,
    CHECK (set_aside <> in_transit)
);

-- Where a resident wants money to go: sealed under the resident's key. It never changes; another account is another row.
CREATE TABLE payouts.destination (
    id uuid PRIMARY KEY,
    resident_id uuid NOT NULL REFERENCES register.resident,
    -- Holder, IBAN and structured address (Sources/Payouts/Accounts/BankAccount.swift).
    sealed_account bytea NOT NULL CHECK (octet_length(sealed_account) BETWEEN 29 AND 1024),
    given_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    usable_from timestamptz NOT NULL CHECK (usable_from >= given_at)
);
CREATE INDEX destination_resident ON payouts.destination (resident_id, given_at DESC);
-- The resident takes an account back.
CREATE TABLE payouts.destination_end (
    destination_id uuid PRIMARY KEY REFERENCES payouts.destination,
    ended_at timestamptz NOT NULL DEFAULT public.stoa_now()
);

CREATE TABLE payouts.instruction (
    id uuid PRIMARY KEY,
    -- wallet: a resident takes money out; benefit and refund: the city owes it.
    kind text NOT NULL CHECK (kind IN ('wallet', 'benefit', 'refund')),
    -- The one thing that is paid: a request, a disbursement, a payment that is given back.
    pays uuid NOT NULL,
    issue smallint NOT NULL CHECK (issue IN (1, 2)),
    resident_id uuid NOT NULL REFERENCES register.resident,
    -- Where the money was, and goes back to.
    source uuid NOT NULL REFERENCES ledger.account,
    currency text NOT NULL REFERENCES payouts.channel,
    -- The highest amount of a SEPA credit transfer is 999,999,999.99 (EPC132-08).
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 99999999999),
    -- What the bank tells us about it by (ISO 20022 Max35Text), and what the resident finds on the account statement.
    end_to_end_id text NOT NULL CONSTRAINT end_to_end_id_once UNIQUE CHECK (end_to_end_id ~ '^P[0-9A-F]{16}$'),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT paid_once UNIQUE (kind, pays, issue),
    UNIQUE (id, currency, amount)
);
CREATE INDEX instruction_resident ON payouts.instruction (resident_id, created_at DESC, id DESC);
CREATE INDEX instruction_alike ON payouts.instruction (resident_id, currency, amount);

CREATE TABLE payouts.batch (
    id uuid PRIMARY KEY,
    -- MsgId and PmtInfId of the file.
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[A-Z0-9-]{6,35}$'),
    currency text NOT NULL REFERENCES payouts.channel,
    execute_on date NOT NULL,
    count integer NOT NULL CHECK (count BETWEEN 1 AND 100000),
    control_sum bigint NOT NULL CHECK (control_sum BETWEEN 1 AND 9007199254740991),
    -- As the channel was.
    debtor_name text NOT NULL,
    debtor_iban text NOT NULL,
    debtor_bic text,
    debtor_town text NOT NULL,
    debtor_country text NOT NULL,
    -- Where what is settled goes and what is returned comes from: the suspense account of the bank account that the city pays from, or, where there
    -- is none, the bank's account.
    clearing uuid NOT NULL REFERENCES ledger.account,
    prepared_by uuid NOT NULL REFERENCES identity.staff,
    prepared_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (id, prepared_by)
);
CREATE INDEX batch_prepared ON payouts.batch (prepared_at, id);

-- Four eyes: whoever prepared a batch does not decide about it, and there is one decision. The database says so, whoever writes.
CREATE TABLE payouts.decision (
    batch_id uuid PRIMARY KEY,
    prepared_by uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('approved', 'refused')),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    refusal_reason text CHECK (length(refusal_reason) BETWEEN 3 AND 500),
    transfer_id uuid UNIQUE REFERENCES ledger.transfer,
    CONSTRAINT decided_by_another CHECK (decided_by <> prepared_by),
    FOREIGN KEY (batch_id, prepared_by) REFERENCES payouts.batch (id, prepared_by),
    CHECK ((kind = 'approved') = (transfer_id IS NOT NULL)),
    CHECK ((kind = 'refused') = (refusal_reason IS NOT NULL)),
    UNIQUE (batch_id, kind)
);

-- The finished file of an approved batch. Whoever writes it again must get the same.
CREATE TABLE payouts.file (
    batch_id uuid PRIMARY KEY,
    decision_kind text NOT NULL GENERATED ALWAYS AS ('approved') STORED,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    bytes bigint NOT NULL CHECK (bytes > 0),
    completed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    FOREIGN KEY (batch_id, decision_kind) REFERENCES payouts.decision (batch_id, kind)
);

-- What the bank reported about a batch. The same file twice is one report.
CREATE TABLE payouts.report (
    id uuid PRIMARY KEY,
    sha256 bytea NOT NULL CONSTRAINT report_once UNIQUE CHECK (octet_length(sha256) = 32),
    message_id text NOT NULL CHECK (length(message_id) BETWEEN 1 AND 35),
    batch_id uuid NOT NULL REFERENCES payouts.batch,
    settled integer NOT NULL CHECK (settled >= 0),
    rejected integer NOT NULL CHECK (rejected >= 0),
    returned integer NOT NULL CHECK (returned >= 0),
    -- Null: imported on the city's machine.
    taken_by uuid REFERENCES identity.staff,
    taken_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX report_batch ON payouts.report (batch_id);

CREATE TABLE payouts.event (
    instruction_id uuid NOT NULL REFERENCES payouts.instruction,
    number smallint NOT NULL CHECK (number >= 1),
    -- sent: approved, and on its way to the bank.
    state text NOT NULL CHECK (state IN ('waiting', 'in_batch', 'sent', 'settled', 'rejected', 'returned')),
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    batch_id uuid REFERENCES payouts.batch,
    report_id uuid REFERENCES payouts.report,
    -- ISO 20022 ExternalStatusReason1Code, or the bank's own word.
    reason text CHECK (length(reason) BETWEEN 1 AND 35),
    PRIMARY KEY (instruction_id, number),
    UNIQUE (instruction_id, number, batch_id),
    CHECK ((state = 'waiting') = (batch_id IS NULL)),
    CHECK (state IN ('settled', 'rejected', 'returned') OR (report_id IS NULL AND reason IS NULL))
);
CREATE INDEX event_report ON payouts.event (report_id) WHERE report_id IS NOT NULL;

-- Which payments a batch holds, in the order of the file. It goes by the event that put the payment in: an instruction that two batches take at
-- the same moment would have two events of one number.
CREATE TABLE payouts.item (
    batch_id uuid NOT NULL REFERENCES payouts.batch,
    position integer NOT NULL CHECK (position >= 1),
    instruction_id uuid NOT NULL,
    event_number smallint NOT NULL,
    destination_id uuid NOT NULL REFERENCES payouts.destination,
    currency text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (batch_id, position),
    CONSTRAINT instruction_in_one_batch UNIQUE (instruction_id, event_number),
    FOREIGN KEY (instruction_id, event_number, batch_id) REFERENCES payouts.event (instruction_id, number, batch_id),
    FOREIGN KEY (instruction_id, currency, amount) REFERENCES payouts.instruction (id, currency, amount)
);

-- The fold of the events, kept by the trigger that checks them.
CREATE TABLE payouts.state (
    instruction_id uuid PRIMARY KEY REFERENCES payouts.instruction,
    number smallint NOT NULL,
    state text NOT NULL,
    since timestamptz NOT NULL,
    reason text
) WITH (fillfactor = 70);
CREATE INDEX state_waiting ON payouts.state (instruction_id) WHERE state = 'waiting';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{destination,destination_end,instruction,batch,decision,file,report,event,item}'::text[] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON payouts.%I FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()',
                       name || '_only_grows', name);
    END LOOP;
END
$$;

-- What may become of a payment. Null before its first event.
CREATE FUNCTION payouts.may_follow(former text, next text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN former IS NULL THEN next = 'waiting'
        WHEN former = 'waiting' THEN next = 'in_batch'
        -- Refused, a batch gives its payments back.
        WHEN former = 'in_batch' THEN next IN ('sent', 'waiting')
        WHEN former = 'sent' THEN next IN ('settled', 'rejected', 'returned')
        WHEN former = 'settled' THEN next = 'returned'
        ELSE false END;

CREATE FUNCTION payouts.fold_events() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS e LEFT JOIN payouts.state AS s ON s.instruction_id = e.instruction_id
        WHERE e.number <> coalesce(s.number, 0) + 1 OR NOT payouts.may_follow(s.state, e.state)) THEN
        RAISE EXCEPTION 'a payment cannot come to this after what became of it' USING ERRCODE = 'check_violation', CONSTRAINT = 'event_follows';
    END IF;
    INSERT INTO payouts.state AS s (instruction_id, number, state, since, reason)
        SELECT e.instruction_id, e.number, e.state, e.at, e.reason FROM added AS e
        ON CONFLICT (instruction_id) DO UPDATE SET number = excluded.number, state = excluded.state, since = excluded.since, reason = excluded.reason;
    RETURN NULL;
END
$$;
CREATE TRIGGER event_follows AFTER INSERT ON payouts.event REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION payouts.fold_events();

-- A second issue is of something whose first one failed, of the same amount to the same resident.
CREATE FUNCTION payouts.check_second_issue() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM payouts.instruction AS i JOIN payouts.state AS s ON s.instruction_id = i.id
        WHERE i.kind = NEW.kind AND i.pays = NEW.pays AND i.issue = 1 AND s.state IN ('rejected', 'returned')
          AND i.currency = NEW.currency AND i.amount = NEW.amount AND i.resident_id = NEW.resident_id) THEN
        RAISE EXCEPTION 'only a payment that was rejected or returned is issued again' USING ERRCODE = 'check_violation', CONSTRAINT = 'issued_again_after_failure';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER issued_again_after_failure BEFORE INSERT ON payouts.instruction
    FOR EACH ROW WHEN (NEW.issue = 2) EXECUTE FUNCTION payouts.check_second_issue();

-- Count and control sum of a batch are those of its payments: when they are put in, and at the commit of the batch.
CREATE FUNCTION payouts.check_items() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT a.batch_id FROM added AS a) AS touched JOIN payouts.batch AS b ON b.id = touched.batch_id
        CROSS JOIN LATERAL (SELECT count(*) AS count, sum(i.amount) AS sum, bool_and(i.currency = b.currency) AS is_one_currency, max(i.position) AS last
                            FROM payouts.item AS i WHERE i.batch_id = b.id) AS held
        WHERE (held.count, held.sum, held.last, held.is_one_currency) IS DISTINCT FROM (b.count::bigint, b.control_sum::numeric, b.count, true)) THEN
        RAISE EXCEPTION 'count and control sum of a batch are those of its payments' USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_equals_items';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER batch_equals_items AFTER INSERT ON payouts.item REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION payouts.check_items();
CREATE FUNCTION payouts.check_batch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payouts.item AS i WHERE i.batch_id = NEW.id) THEN
        RAISE EXCEPTION 'a batch holds payments' USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_equals_items';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER batch_has_items AFTER INSERT ON payouts.batch DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payouts.check_batch();

GRANT CREATE ON SCHEMA payouts TO stoa_door;
GRANT SELECT ON payouts.channel TO stoa_door;
GRANT SELECT, INSERT ON payouts.destination, payouts.destination_end, payouts.instruction, payouts.batch, payouts.decision, payouts.file, payouts.report,
    payouts.event, payouts.item TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON payouts.state TO stoa_door;
GRANT SELECT ON payouts.channel, payouts.instruction, payouts.batch, payouts.decision, payouts.file, payouts.report, payouts.event, payouts.item,
    payouts.state TO stoa_auditor;
GRANT EXECUTE ON FUNCTION payouts.cooling_time() TO stoa_app, stoa_door;
GRANT EXECUTE ON FUNCTION payouts.batch_max(), payouts.law(), payouts.may_follow(text, text), payouts.is_sepa_text(text, integer) TO stoa_door;
GRANT EXECUTE ON FUNCTION payouts.is_sepa_text(text, integer) TO stoa_app;
ALTER FUNCTION payouts.check_batch() OWNER TO stoa_door;

-- Sets how the city pays in a currency; for the owner. The accounts that money passes are opened with it. The same again changes nothing, other
-- details count from the next batch on.
CREATE FUNCTION payouts.set_channel(currency text, debtor_name text, debtor_iban text, debtor_bic text, debtor_town text, debtor_country text, bank uuid)
    RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    aside uuid := gen_random_uuid();
    transit uuid := gen_random_uuid();
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = set_channel.bank AND a.kind = 'funding' AND a.currency = set_channel.currency) THEN
        RAISE EXCEPTION 'the bank''s account is a funding account of this currency' USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_account_funds';
    END IF;
    IF NOT EXISTS (SELECT FROM payouts.channel AS c WHERE c.currency = set_channel.currency) THEN
        PERFORM ledger.open_account(aside, 'clearing', set_channel.currency, NULL, 'city', 'credit', false);
        PERFORM ledger.open_account(transit, 'clearing', set_channel.currency, NULL, 'city', 'credit', false);
    END IF;
    INSERT INTO payouts.channel AS c (currency, debtor_name, debtor_iban, debtor_bic, debtor_town, debtor_country, bank, set_aside, in_transit)
        VALUES (set_channel.currency, set_channel.debtor_name, set_channel.debtor_iban, set_channel.debtor_bic, set_channel.debtor_town,
                set_channel.debtor_country, set_channel.bank, aside, transit)
        ON CONFLICT ON CONSTRAINT channel_pkey DO UPDATE SET debtor_name = excluded.debtor_name, debtor_iban = excluded.debtor_iban,
            debtor_bic = excluded.debtor_bic, debtor_town = excluded.debtor_town, debtor_country = excluded.debtor_country, bank = excluded.bank;
END
$$;

-- The account of a resident that money goes to at this moment: the newest that has waited long enough and was not taken back. Null: none, or the
-- resident's key is destroyed.
CREATE FUNCTION payouts.destination_for(resident uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    person uuid := (SELECT coalesce(r.superseded_by, r.id) FROM register.resident AS r WHERE r.id = destination_for.resident);
BEGIN
    RETURN (SELECT d.id
        FROM (SELECT person AS id UNION ALL SELECT x.id FROM register.resident AS x WHERE x.superseded_by = person) AS r
        JOIN payouts.destination AS d ON d.resident_id = r.id JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE d.usable_from <= public.stoa_now()
          AND NOT EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = d.id)
        ORDER BY d.given_at DESC, d.id DESC LIMIT 1);
END
$$;

-- Whether money can go to a resident: ready, cooling (an account waits its time), missing.
CREATE FUNCTION payouts.standing(resident uuid) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    person uuid := (SELECT coalesce(r.superseded_by, r.id) FROM register.resident AS r WHERE r.id = standing.resident);
BEGIN
    RETURN (SELECT CASE WHEN bool_or(d.usable_from <= public.stoa_now()) THEN 'ready' WHEN count(*) > 0 THEN 'cooling' ELSE 'missing' END
        FROM (SELECT person AS id UNION ALL SELECT x.id FROM register.resident AS x WHERE x.superseded_by = person) AS r
        JOIN payouts.destination AS d ON d.resident_id = r.id JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE NOT EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = d.id));
END
$$;

-- A resident gives a bank account, by a session of their own. The same id twice is one account. Outcomes: given, exists, credential_invalid.
CREATE FUNCTION payouts.give_account(credential bytea, id uuid, sealed_account bytea, OUT outcome text, OUT usable_from timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    giver uuid := (SELECT h.resident_id FROM ledger.holder(give_account.credential, '{}') AS h);
BEGIN
    IF giver IS NULL THEN outcome := 'credential_invalid'; RETURN; END IF;
    usable_from := public.stoa_now() + payouts.cooling_time();
    INSERT INTO payouts.destination AS d (id, resident_id, sealed_account, usable_from)
        VALUES (give_account.id, giver, give_account.sealed_account, give_account.usable_from)
        ON CONFLICT ON CONSTRAINT destination_pkey DO NOTHING;
    outcome := CASE WHEN FOUND THEN 'given' ELSE 'exists' END;
END
$$;

-- Whoever takes an account back shares this lock until the end of the transaction, so that whoever approves a batch knows all that was taken back.
CREATE FUNCTION payouts.ending_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended('payouts.destination_end', 0);

-- Takes one back. True: it was the resident's own, and stood.
CREATE FUNCTION payouts.end_account(credential bytea, destination uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(payouts.ending_lock());
    INSERT INTO payouts.destination_end AS e (destination_id)
        SELECT d.id FROM ledger.holder(end_account.credential, '{}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.destination AS d ON d.resident_id = r.id
        WHERE d.id = end_account.destination
        ON CONFLICT DO NOTHING;
    IF FOUND THEN RETURN true; END IF;
    -- Null: no account of theirs.
    RETURN (SELECT false FROM ledger.holder(end_account.credential, '{}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.destination AS d ON d.resident_id = r.id WHERE d.id = end_account.destination);
END
$$;

-- The resident's accounts that stand, newest first, after the own view of them is logged, as for access_log.release.
CREATE FUNCTION payouts.accounts_of(credential bytea)
    RETURNS TABLE (id uuid, sealed_account bytea, given_at timestamptz, usable_from timestamptz, is_waiting boolean, is_used boolean, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.sealed_account, d.given_at, d.usable_from, d.usable_from > public.stoa_now(), coalesce(d.id = payouts.destination_for(h.resident_id), false), d.resident_id, k.key_id, k.wrapped_key
        FROM ledger.holder(accounts_of.credential, '{payments}') AS h
        JOIN access_log.own_view AS v ON v.credential = accounts_of.credential AND v.kind = 'payments' AND v.subject_id = h.resident_id
        JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.destination AS d ON d.resident_id = r.id
        JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE NOT EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = d.id)
        ORDER BY d.given_at DESC, d.id DESC LIMIT 20;
END
$$;

-- Locks accounts of the ledger before the first posting of several, as ledger.post_transfers locks those of one.
CREATE FUNCTION payouts.lock_accounts(accounts uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(ledger.closing_lock());
    PERFORM a.id FROM ledger.account AS a WHERE a.id = ANY (accounts) ORDER BY a.id FOR NO KEY UPDATE;
END
$$;

-- Where money of a resident goes back to now: to where it was, or, where that wallet was closed because another record took the place of its
-- resident's, to the wallet of that one.
CREATE FUNCTION payouts.source_now(source uuid, resident uuid) RETURNS uuid
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    former record;
BEGIN
    SELECT a.closed_at, a.currency INTO STRICT former FROM ledger.account AS a WHERE a.id = source_now.source;
    IF former.closed_at IS NULL THEN RETURN source_now.source; END IF;
    RETURN ledger.open_wallet((SELECT coalesce(r.superseded_by, r.id) FROM register.resident AS r WHERE r.id = source_now.resident), former.currency);
END
$$;

-- Sets money aside for one thing that is paid: the face for the slices whose definer functions owe it. Not for stoa_app: the caller has decided
-- who may. Outcomes: instructed; exists (this thing is being paid); channel_unknown; insufficient_funds.
CREATE FUNCTION payouts.instruct(
    id uuid, kind text, pays uuid, issue integer, resident uuid, source uuid, currency text, amount bigint, actor_kind text, actor_id text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    aside uuid := (SELECT c.set_aside FROM payouts.channel AS c WHERE c.currency = instruct.currency);
    -- 64 random bits: a fixed digit of a version 4 UUID is in neither part.
    random_digits text := upper(replace(gen_random_uuid()::text, '-', ''));
    posted text;
BEGIN
    IF aside IS NULL THEN RETURN 'channel_unknown'; END IF;
    INSERT INTO payouts.instruction AS i (id, kind, pays, issue, resident_id, source, currency, amount, end_to_end_id)
        VALUES (instruct.id, instruct.kind, instruct.pays, instruct.issue, instruct.resident, instruct.source, instruct.currency, instruct.amount,
                'P' || left(random_digits, 12) || right(random_digits, 4))
        ON CONFLICT ON CONSTRAINT paid_once DO NOTHING;
    IF NOT FOUND THEN RETURN 'exists'; END IF;
    SELECT p.outcome INTO posted FROM ledger.post_transfers(ARRAY[instruct.id], '{post}', ARRAY[instruct.source], ARRAY[aside], ARRAY[instruct.amount],
        ARRAY[instruct.currency], (SELECT ARRAY[i.end_to_end_id] FROM payouts.instruction AS i WHERE i.id = instruct.id), '{NULL}',
        ARRAY[instruct.actor_kind], ARRAY[instruct.actor_id]) AS p;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused to set money aside: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'set_aside_' || posted;
    END IF;
    INSERT INTO payouts.event (instruction_id, number, state) VALUES (instruct.id, 1, 'waiting');
    RETURN 'instructed';
END
$$;

-- A resident takes money out of the wallet, by a session or an app's token with scope payments. The id is the caller's: twice it is one request. Outcomes:
-- instructed, exists, id_conflict (another request, perhaps somebody else's, has the id), insufficient_funds, account_missing, channel_unknown,
-- credential_invalid.
CREATE FUNCTION payouts.take_out(credential bytea, id uuid, currency text, amount bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taker record;
    earlier record;
    wallet record;
BEGIN
    SELECT h.resident_id, h.account_id INTO taker FROM ledger.holder(take_out.credential, '{payments}') AS h;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    -- The same form sent twice at once comes one after the other.
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.instruction ' || take_out.id, 0));
    SELECT i.resident_id, i.kind, i.currency, i.amount INTO earlier FROM payouts.instruction AS i WHERE i.id = take_out.id;
    IF FOUND THEN
        RETURN CASE WHEN earlier.kind = 'wallet' AND earlier.currency = take_out.currency AND earlier.amount = take_out.amount
                AND EXISTS (SELECT FROM register.resident AS r WHERE r.id = earlier.resident_id AND taker.resident_id IN (r.id, r.superseded_by))
            THEN 'exists' ELSE 'id_conflict' END;
    END IF;
    IF payouts.standing(taker.resident_id) = 'missing' THEN RETURN 'account_missing'; END IF;
    SELECT a.id, a.posted INTO wallet FROM ledger.account AS a
        WHERE a.resident_id = taker.resident_id AND a.currency = take_out.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
    IF wallet.id IS NULL THEN RETURN 'insufficient_funds'; END IF;
    BEGIN
        RETURN payouts.instruct(take_out.id, 'wallet', take_out.id, 1, taker.resident_id, wallet.id, take_out.currency, take_out.amount, 'resident',
                                taker.account_id::text);
    EXCEPTION WHEN check_violation THEN
        -- Undone with the instruction; anything but lack of money is a fault.
        IF SQLERRM <> 'the ledger refused to set money aside: insufficient_funds' THEN RAISE; END IF;
        RETURN 'insufficient_funds';
    END;
END
$$;

-- Pays again what was rejected or returned, once: the resident whose it is, or a finance officer. Outcomes: instructed, exists (it was issued again
-- already), insufficient_funds, not_failed, payout_unknown, credential_invalid.
CREATE FUNCTION payouts.issue_again(credential bytea, id uuid, payout uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    resident record;
    officer uuid := (SELECT s.staff_id FROM web.staff_with(issue_again.credential, '{finance_officer}') AS s);
    failed record;
BEGIN
    SELECT h.resident_id, h.account_id INTO resident FROM ledger.holder(issue_again.credential, '{payments}') AS h;
    IF NOT FOUND AND officer IS NULL THEN RETURN 'credential_invalid'; END IF;
    SELECT i.kind, i.pays, i.issue, i.resident_id, i.source, i.currency, i.amount, s.state INTO failed
        FROM payouts.instruction AS i JOIN payouts.state AS s ON s.instruction_id = i.id JOIN register.resident AS r ON r.id = i.resident_id
        WHERE i.id = issue_again.payout AND (officer IS NOT NULL OR resident.resident_id IN (r.id, r.superseded_by));
    IF NOT FOUND THEN RETURN 'payout_unknown'; END IF;
    IF failed.issue <> 1 OR failed.state NOT IN ('rejected', 'returned') THEN RETURN 'not_failed'; END IF;
    BEGIN
        RETURN payouts.instruct(issue_again.id, failed.kind, failed.pays, 2, failed.resident_id, payouts.source_now(failed.source, failed.resident_id),
            failed.currency, failed.amount,
            CASE WHEN officer IS NULL THEN 'resident' ELSE 'staff' END, coalesce(officer, resident.account_id)::text);
    EXCEPTION WHEN check_violation THEN
        IF SQLERRM <> 'the ledger refused to set money aside: insufficient_funds' THEN RAISE; END IF;
        RETURN 'insufficient_funds';
    END;
END
$$;

-- What went out to the resident whom the credential names, newest first; one, where its id is given.
CREATE FUNCTION payouts.payouts_of(credential bytea, payout uuid, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, kind text, currency text, amount bigint, end_to_end_id text, created_at timestamptz, state text, since timestamptz, reason text,
                   may_issue_again boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT i.id, i.kind, i.currency, i.amount, i.end_to_end_id, i.created_at, s.state, s.since, s.reason,
            i.issue = 1 AND s.state IN ('rejected', 'returned')
            AND NOT EXISTS (SELECT FROM payouts.instruction AS x WHERE x.kind = i.kind AND x.pays = i.pays AND x.issue = 2)
        FROM ledger.holder(payouts_of.credential, '{payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.instruction AS i ON i.resident_id = r.id
        JOIN payouts.state AS s ON s.instruction_id = i.id
        WHERE (payouts_of.payout IS NULL OR i.id = payouts_of.payout)
          AND (payouts_of.before_at IS NULL OR (i.created_at, i.id) < (payouts_of.before_at, payouts_of.before_id))
        ORDER BY i.created_at DESC, i.id DESC LIMIT LEAST(payouts_of.page_size, 201);
END
$$;

-- What a batch of each currency would hold if it were prepared now, and what it would leave out: the dry run. likely_duplicates counts payments whose resident
-- is paid the same amount by another one that waits too, or was sent within a week. Nothing for anybody but finance officers.
CREATE FUNCTION payouts.plan(credential bytea)
    RETURNS TABLE (currency text, ready_count bigint, ready_sum bigint, cooling_count bigint, missing_count bigint, likely_duplicates bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
        SELECT w.currency, count(*) FILTER (WHERE w.standing = 'ready'), coalesce(sum(w.amount) FILTER (WHERE w.standing = 'ready'), 0)::bigint,
            count(*) FILTER (WHERE w.standing = 'cooling'), count(*) FILTER (WHERE w.standing = 'missing'),
            count(*) FILTER (WHERE w.standing = 'ready' AND EXISTS (
                SELECT FROM payouts.instruction AS o JOIN payouts.state AS t ON t.instruction_id = o.id
                WHERE o.resident_id = w.resident_id AND o.amount = w.amount AND o.currency = w.currency AND o.id <> w.id
                  AND t.state IN ('waiting', 'in_batch', 'sent', 'settled') AND o.created_at > public.stoa_now() - interval '7 days'))
        FROM (SELECT i.*, payouts.standing(i.resident_id) AS standing
              FROM web.staff_with(plan.credential, '{finance_officer}') AS officer
              CROSS JOIN payouts.state AS s JOIN payouts.instruction AS i ON i.id = s.instruction_id
              WHERE s.state = 'waiting' OFFSET 0) AS w
        GROUP BY w.currency ORDER BY w.currency;
END
$$;

-- Freezes what is ready into a batch, the oldest first. What somebody else is freezing at the same moment is left to them. Outcomes: prepared (count says how
-- many), exists (this id was prepared before), nothing_ready, day_past, channel_unknown, role_missing.
CREATE FUNCTION payouts.prepare(credential bytea, batch uuid, currency text, execute_on date, OUT outcome text, OUT count integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    preparer uuid := (SELECT s.staff_id FROM web.staff_with(prepare.credential, '{finance_officer}') AS s);
    way payouts.channel;
    ids uuid[];
    numbers smallint[];
    destinations uuid[];
    amounts bigint[];
BEGIN
    IF preparer IS NULL THEN outcome := 'role_missing'; RETURN; END IF;
    SELECT b.count INTO count FROM payouts.batch AS b WHERE b.id = prepare.batch AND b.prepared_by = preparer;
    IF FOUND THEN outcome := 'exists'; RETURN; END IF;
    SELECT c.* INTO way FROM payouts.channel AS c WHERE c.currency = prepare.currency;
    IF NOT FOUND THEN outcome := 'channel_unknown'; RETURN; END IF;
    IF prepare.execute_on < (public.stoa_now() - interval '1 day')::date THEN outcome := 'day_past'; RETURN; END IF;
    SELECT array_agg(t.id ORDER BY t.id), array_agg(t.number ORDER BY t.id), array_agg(t.destination ORDER BY t.id), array_agg(t.amount ORDER BY t.id)
        INTO ids, numbers, destinations, amounts
        FROM (SELECT i.id, (s.number + 1)::smallint AS number, to_.destination, i.amount
              FROM payouts.state AS s JOIN payouts.instruction AS i ON i.id = s.instruction_id
              CROSS JOIN LATERAL (SELECT payouts.destination_for(i.resident_id) AS destination OFFSET 0) AS to_
              WHERE s.state = 'waiting' AND i.currency = prepare.currency AND to_.destination IS NOT NULL
              ORDER BY s.instruction_id LIMIT payouts.batch_max() FOR UPDATE OF s SKIP LOCKED) AS t;
    count := coalesce(cardinality(ids), 0);
    IF count = 0 THEN outcome := 'nothing_ready'; RETURN; END IF;
    INSERT INTO payouts.batch AS b (id, reference, currency, execute_on, count, control_sum, debtor_name, debtor_iban, debtor_bic, debtor_town,
                                    debtor_country, clearing, prepared_by)
        VALUES (prepare.batch, 'PAYOUT-' || to_char(public.stoa_now() AT TIME ZONE 'UTC', 'YYYYMMDD') || '-' || upper(right(prepare.batch::text, 12)),
                prepare.currency, prepare.execute_on, prepare.count, (SELECT sum(a.amount) FROM unnest(amounts) AS a (amount)), way.debtor_name,
                way.debtor_iban, way.debtor_bic, way.debtor_town, way.debtor_country,
                coalesce((SELECT a.suspense_account FROM payments.bank_account AS a WHERE a.identification = way.debtor_iban AND a.currency = prepare.currency), way.bank),
                preparer);
    INSERT INTO payouts.event (instruction_id, number, state, batch_id)
        SELECT t.id, t.number, 'in_batch', prepare.batch FROM unnest(ids, numbers) AS t (id, number);
    INSERT INTO payouts.item (batch_id, position, instruction_id, event_number, destination_id, currency, amount)
        SELECT prepare.batch, t.position, t.id, t.number, t.destination, prepare.currency, t.amount
        FROM unnest(ids, numbers, destinations, amounts) WITH ORDINALITY AS t (id, number, destination, amount, position);
    outcome := 'prepared';
END
$$;

-- Approves: moves the control sum from what is set aside to what is on its way, once. Outcomes: approved, already_approved, already_refused,
-- self_approval, account_ended (a resident took an account in it back: refused, its payments wait for another batch), role_missing, batch_unknown.
CREATE FUNCTION payouts.approve(credential bytea, batch uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    approver uuid := (SELECT s.staff_id FROM web.staff_with(approve.credential, '{finance_officer,approver}') AS s);
    prepared record;
    earlier text;
    posted text;
BEGIN
    IF approver IS NULL THEN RETURN 'role_missing'; END IF;
    SELECT b.id, b.prepared_by, b.currency, b.control_sum, b.reference, c.set_aside, c.in_transit INTO prepared
        FROM payouts.batch AS b JOIN payouts.channel AS c ON c.currency = b.currency WHERE b.id = approve.batch;
    IF NOT FOUND THEN RETURN 'batch_unknown'; END IF;
    -- One decision at a time; the next one finds it. (Before any account, so that nobody waits crosswise.)
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || prepared.id, 0));
    SELECT d.kind INTO earlier FROM payouts.decision AS d WHERE d.batch_id = prepared.id;
    IF FOUND THEN RETURN 'already_' || earlier; END IF;
    IF prepared.prepared_by = approver THEN RETURN 'self_approval'; END IF;
    PERFORM pg_advisory_xact_lock(payouts.ending_lock());
    IF EXISTS (SELECT FROM payouts.item AS i WHERE i.batch_id = prepared.id
               AND EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = i.destination_id)) THEN RETURN 'account_ended'; END IF;
    SELECT p.outcome INTO posted FROM ledger.post_transfers(ARRAY[prepared.id], '{post}', ARRAY[prepared.set_aside], ARRAY[prepared.in_transit],
        ARRAY[prepared.control_sum], ARRAY[prepared.currency], ARRAY[prepared.reference], '{NULL}', '{staff}', ARRAY[approver::text]) AS p;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused a batch: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_posted';
    END IF;
    INSERT INTO payouts.decision (batch_id, prepared_by, kind, decided_by, transfer_id)
        VALUES (prepared.id, prepared.prepared_by, 'approved', approver, prepared.id);
    INSERT INTO payouts.event (instruction_id, number, state, batch_id)
        SELECT i.instruction_id, i.event_number + 1, 'sent', i.batch_id FROM payouts.item AS i WHERE i.batch_id = prepared.id;
    RETURN 'approved';
END
$$;

-- Refuses, with a reason: the payments wait for another batch. Outcomes: refused, already_approved, already_refused, self_approval, role_missing,
-- batch_unknown.
CREATE FUNCTION payouts.refuse(credential bytea, batch uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    decider uuid := (SELECT s.staff_id FROM web.staff_with(refuse.credential, '{finance_officer,approver}') AS s);
    prepared record;
    earlier text;
BEGIN
    IF decider IS NULL THEN RETURN 'role_missing'; END IF;
    SELECT b.id, b.prepared_by INTO prepared FROM payouts.batch AS b WHERE b.id = refuse.batch;
    IF NOT FOUND THEN RETURN 'batch_unknown'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || prepared.id, 0));
    SELECT d.kind INTO earlier FROM payouts.decision AS d WHERE d.batch_id = prepared.id;
    IF FOUND THEN RETURN 'already_' || earlier; END IF;
    IF prepared.prepared_by = decider THEN RETURN 'self_approval'; END IF;
    INSERT INTO payouts.decision (batch_id, prepared_by, kind, decided_by, refusal_reason)
        VALUES (prepared.id, prepared.prepared_by, 'refused', decider, refuse.reason);
    INSERT INTO payouts.event (instruction_id, number, state)
        SELECT i.instruction_id, i.event_number + 1, 'waiting' FROM payouts.item AS i WHERE i.batch_id = prepared.id;
    RETURN 'refused';
END
$$;

-- Batches for finance officers, approvers and auditors, newest first; one, where its id is given, with how many of its payments stand where. No resident is in it.
CREATE FUNCTION payouts.batches_for(credential bytea, batch uuid, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, reference text, currency text, count integer, control_sum bigint, execute_on date, prepared_by_name text, prepared_by_me boolean,
                   prepared_at timestamptz, decision text, decided_by_name text, decided_at timestamptz, refusal_reason text, sha256 bytea, bytes bigint,
                   settled bigint, rejected bigint, returned bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.reference, b.currency, b.count, b.control_sum, b.execute_on, maker.display_name, maker.id = s.staff_id, b.prepared_at,
            d.kind, decider.display_name, d.decided_at, d.refusal_reason, f.sha256, f.bytes, counted.settled, counted.rejected, counted.returned
        FROM web.staff_with(batches_for.credential, '{finance_officer,approver,auditor}') AS s
        CROSS JOIN payouts.batch AS b
        JOIN identity.staff AS maker ON maker.id = b.prepared_by
        LEFT JOIN payouts.decision AS d ON d.batch_id = b.id
        LEFT JOIN identity.staff AS decider ON decider.id = d.decided_by
        LEFT JOIN payouts.file AS f ON f.batch_id = b.id
        -- What was settled and then returned counts as returned.
        LEFT JOIN LATERAL (
            SELECT sum(r.settled)::bigint - sum(CASE WHEN r.returned > 0 THEN (
                        SELECT count(*) FROM payouts.event AS e JOIN payouts.event AS former ON former.instruction_id = e.instruction_id AND former.number = e.number - 1
                        WHERE e.report_id = r.id AND e.state = 'returned' AND former.state = 'settled') ELSE 0 END)::bigint AS settled,
                sum(r.rejected)::bigint AS rejected, sum(r.returned)::bigint AS returned
            FROM payouts.report AS r WHERE r.batch_id = b.id) AS counted ON true
        WHERE (batches_for.batch IS NULL OR b.id = batches_for.batch)
          AND (batches_for.before_at IS NULL OR (b.prepared_at, b.id) < (batches_for.before_at, batches_for.before_id))
        ORDER BY b.prepared_at DESC, b.id DESC LIMIT LEAST(batches_for.page_size, 201);
END
$$;

-- How many batches wait for this person's decision, and since when.
CREATE FUNCTION payouts.waiting_for(credential bytea) RETURNS TABLE (count bigint, oldest timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT count(*), min(b.prepared_at)
        FROM web.staff_with(waiting_for.credential, '{finance_officer,approver}') AS s JOIN payouts.batch AS b ON b.prepared_by <> s.staff_id
        WHERE NOT EXISTS (SELECT FROM payouts.decision AS d WHERE d.batch_id = b.id);
END
$$;

-- The head of an approved batch's file, and its hash once it was finished: of one batch, or of those that still lack their file.
CREATE FUNCTION payouts.files_to_write(reference text)
    RETURNS TABLE (id uuid, batch_reference text, currency text, count integer, control_sum bigint, execute_on date, created_at text, debtor_name text,
                   debtor_iban text, debtor_bic text, debtor_town text, debtor_country text, sha256 bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.reference, b.currency, b.count, b.control_sum, b.execute_on,
            to_char(d.decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), b.debtor_name, b.debtor_iban, b.debtor_bic, b.debtor_town, b.debtor_country,
            f.sha256
        FROM payouts.decision AS d JOIN payouts.batch AS b ON b.id = d.batch_id LEFT JOIN payouts.file AS f ON f.batch_id = b.id
        WHERE d.kind = 'approved' AND CASE WHEN files_to_write.reference IS NULL THEN f.batch_id IS NULL ELSE b.reference = files_to_write.reference END
        ORDER BY d.decided_at LIMIT 10;
END
$$;

-- Logs that names and accounts of an approved batch are read, an entry for each person among the payments after a position: by the approver, for whom the
-- file is written (no credential), or by the finance officer who downloads it. entry_ids are the caller's, at least as many as payments; those beyond the
-- number of people are not used. False: the batch is not approved, or the credential is no finance officer's.
CREATE FUNCTION payouts.log_reading(credential bytea, batch uuid, after_position integer, entry_ids uuid[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    approved record;
    reader uuid;
BEGIN
    PERFORM access_log.check_moment();
    SELECT b.reference, b.count, d.decided_by INTO approved
        FROM payouts.batch AS b JOIN payouts.decision AS d ON d.batch_id = b.id AND d.kind = 'approved' WHERE b.id = log_reading.batch;
    IF NOT FOUND THEN RETURN false; END IF;
    IF log_reading.credential IS NULL THEN
        reader := approved.decided_by;
    ELSE
        SELECT s.staff_id INTO reader FROM web.staff_with(log_reading.credential, '{finance_officer}') AS s;
        IF NOT FOUND THEN RETURN false; END IF;
    END IF;
    WITH people AS (
        SELECT p.subject_id, row_number() OVER (ORDER BY p.subject_id) AS number
        FROM (SELECT DISTINCT coalesce(r.superseded_by, r.id) AS subject_id
              FROM payouts.item AS i JOIN payouts.destination AS d ON d.id = i.destination_id JOIN register.resident AS r ON r.id = d.resident_id
              WHERE i.batch_id = log_reading.batch AND i.position > log_reading.after_position
                AND i.position <= log_reading.after_position + cardinality(log_reading.entry_ids)) AS p
    ), logged AS (
        INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, operation, attributes, purpose, legal_basis, law,
                                      case_reference, outcome, count)
        SELECT log_reading.entry_ids[p.number], public.stoa_now(), p.subject_id, 'staff', reader::text, access_log.role_of(reader), 'city', 'payout', '{bank_account}',
            'payout', 'legal_obligation', payouts.law(), approved.reference, 'permitted', approved.count
        FROM people AS p
        RETURNING entry.id
    )
    INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l;
    RETURN true;
END
$$;

-- The payments after a position with their sealed accounts, of people whose reading was logged under these entries: permitted, committed, under five
-- seconds old, as for access_log.release.
CREATE FUNCTION payouts.payments_under(batch uuid, after_position integer, entry_ids uuid[])
    RETURNS TABLE ("position" integer, end_to_end_id text, amount bigint, destination_id uuid, holder_id uuid, key_id text, wrapped_key bytea, sealed_account bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    PERFORM access_log.check_moment();
    RETURN QUERY
        WITH logged AS MATERIALIZED (
            SELECT DISTINCT e.subject_id
            FROM payouts.batch AS b CROSS JOIN unnest(payments_under.entry_ids) AS asked (id) JOIN access_log.entry AS e ON e.id = asked.id
            WHERE b.id = payments_under.batch AND e.operation = 'payout' AND e.outcome = 'permitted' AND e.case_reference = b.reference
              AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND e.at > public.stoa_now() - interval '5 seconds')
        SELECT i.position, n.end_to_end_id, i.amount, d.id, d.resident_id, k.key_id, k.wrapped_key, d.sealed_account
        FROM payouts.item AS i
        JOIN payouts.instruction AS n ON n.id = i.instruction_id
        JOIN payouts.destination AS d ON d.id = i.destination_id
        JOIN register.resident AS r ON r.id = d.resident_id
        JOIN logged AS l ON l.subject_id = coalesce(r.superseded_by, r.id)
        LEFT JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE i.batch_id = payments_under.batch AND i.position > payments_under.after_position
          AND i.position <= payments_under.after_position + cardinality(payments_under.entry_ids)
        ORDER BY i.position;
END
$$;

-- Notes a finished file. Outcomes: recorded, exists (the same bytes as before), differs, not_approved.
CREATE FUNCTION payouts.note_file(batch uuid, sha256 bytea, bytes bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payouts.decision AS d WHERE d.batch_id = note_file.batch AND d.kind = 'approved') THEN RETURN 'not_approved'; END IF;
    INSERT INTO payouts.file AS f (batch_id, sha256, bytes) VALUES (note_file.batch, note_file.sha256, note_file.bytes)
        ON CONFLICT ON CONSTRAINT file_pkey DO NOTHING;
    IF FOUND THEN RETURN 'recorded'; END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM payouts.file AS f WHERE f.batch_id = note_file.batch AND f.sha256 = note_file.sha256 AND f.bytes = note_file.bytes)
        THEN 'exists' ELSE 'differs' END;
END
$$;

-- Takes what the bank reports about a batch, whole or not at all. Arrays of equal length, one element a payment that the report names; states are settled,
-- rejected and returned; a reason may be '' and an amount 0 where the report names none. group_state speaks for every payment that was sent and is not named (null: nothing).
-- For the caller who has decided who may; officer null: the city's machine. Outcomes:
--   taken               (settled, rejected and returned count what changed now)
--   known               the same bytes came before
--   batch_unknown, count_differs, sum_differs, payment_unknown, amount_differs, state_differs    nothing happened; detail names the payment
CREATE FUNCTION payouts.apply_report(
    officer uuid, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text,
    end_to_end_ids text[], states text[], reasons text[], amounts bigint[],
    OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    about record;
    named_ids uuid[];
    changed_ids uuid[];
    changed_states text[];
    changed_reasons text[];
    refused text;
BEGIN
    SELECT b.id, b.count, b.control_sum, b.currency, b.reference, b.clearing, c.in_transit INTO about
        FROM payouts.batch AS b JOIN payouts.decision AS d ON d.batch_id = b.id AND d.kind = 'approved' JOIN payouts.channel AS c ON c.currency = b.currency
        WHERE b.reference = apply_report.batch_reference;
    IF NOT FOUND THEN outcome := 'batch_unknown'; RETURN; END IF;
    -- One report about a batch at a time; the next one finds what this one did.
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || about.id, 0));
    IF EXISTS (SELECT FROM payouts.report AS r WHERE r.sha256 = apply_report.sha256) THEN outcome := 'known'; RETURN; END IF;
    IF apply_report.count <> about.count THEN outcome := 'count_differs'; RETURN; END IF;
    IF apply_report.control_sum <> about.control_sum THEN outcome := 'sum_differs'; RETURN; END IF;

    SELECT n.end_to_end_id INTO detail FROM unnest(apply_report.end_to_end_ids) AS n (end_to_end_id)
        WHERE NOT EXISTS (SELECT FROM payouts.instruction AS i JOIN payouts.item AS x ON x.instruction_id = i.id AND x.batch_id = about.id
                          WHERE i.end_to_end_id = n.end_to_end_id OFFSET 0) LIMIT 1;
    IF FOUND THEN outcome := 'payment_unknown'; RETURN; END IF;
    SELECT n.end_to_end_id INTO detail FROM unnest(apply_report.end_to_end_ids, apply_report.amounts) AS n (end_to_end_id, amount)
        JOIN payouts.instruction AS i ON i.end_to_end_id = n.end_to_end_id WHERE i.amount <> n.amount AND n.amount <> 0 LIMIT 1;
    IF FOUND THEN outcome := 'amount_differs'; RETURN; END IF;

    -- What the report says of each payment that it names, and of the others; what changes by it: the same again is no change.
    named_ids := coalesce((SELECT array_agg(i.id) FROM unnest(apply_report.end_to_end_ids) AS n (end_to_end_id)
                           JOIN payouts.instruction AS i ON i.end_to_end_id = n.end_to_end_id), '{}');
    WITH said AS (
        -- What the bank rejects after its statement showed that it left comes back by a statement too.
        SELECT i.id AS instruction_id, i.end_to_end_id, s.state AS former,
            CASE WHEN n.state = 'rejected' AND s.state = 'settled' AND payouts.has_left(i.id, about.id) THEN 'returned' ELSE n.state END AS state,
            nullif(n.reason, '') AS reason
        FROM unnest(apply_report.end_to_end_ids, apply_report.states, apply_report.reasons) AS n (end_to_end_id, state, reason)
        JOIN payouts.instruction AS i ON i.end_to_end_id = n.end_to_end_id
        JOIN payouts.state AS s ON s.instruction_id = i.id
        UNION ALL
        SELECT x.instruction_id, NULL, s.state, apply_report.group_state, nullif(apply_report.group_reason, '')
        FROM payouts.item AS x JOIN payouts.state AS s ON s.instruction_id = x.instruction_id
        WHERE x.batch_id = about.id AND apply_report.group_state IS NOT NULL AND s.state = 'sent' AND NOT x.instruction_id = ANY (named_ids)
    )
    SELECT array_agg(w.instruction_id ORDER BY w.instruction_id), array_agg(w.state ORDER BY w.instruction_id), array_agg(w.reason ORDER BY w.instruction_id),
            min(w.end_to_end_id) FILTER (WHERE NOT payouts.may_follow(w.former, w.state))
        INTO changed_ids, changed_states, changed_reasons, refused
        -- That it was settled, or did not get there, is no news of what has come back since.
        FROM said AS w WHERE w.state <> w.former AND NOT (w.former = 'returned' AND w.state IN ('settled', 'rejected'));
    IF refused IS NOT NULL THEN outcome := 'state_differs'; detail := refused; RETURN; END IF;

    SELECT count(*) FILTER (WHERE c.state = 'settled'), count(*) FILTER (WHERE c.state = 'rejected'), count(*) FILTER (WHERE c.state = 'returned')
        INTO settled, rejected, returned FROM unnest(changed_states) AS c (state);
    INSERT INTO payouts.report (id, sha256, message_id, batch_id, settled, rejected, returned, taken_by)
        VALUES (apply_report.id, apply_report.sha256, apply_report.message_id, about.id, settled, rejected, returned, apply_report.officer);
    outcome := 'taken';
    IF changed_ids IS NULL THEN RETURN; END IF;

    -- The accounts at once, in the order of their ids, and only then whether they are still open.
    PERFORM payouts.lock_accounts(ARRAY[about.in_transit, about.clearing] || coalesce(
        (SELECT array_agg(i.source) FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id WHERE c.state <> 'settled'),
        '{}'));
    -- Settled leaves as one sum; what failed goes back to where it came from, one by one.
    DECLARE
        debits uuid[];
        credits uuid[];
        sums bigint[];
        texts text[];
        posted text;
        actor_kind text := CASE WHEN apply_report.officer IS NULL THEN 'system' ELSE 'staff' END;
        actor_id text := coalesce(apply_report.officer::text, 'payouts');
    BEGIN
        SELECT array_agg(m.debit), array_agg(m.credit), array_agg(m.amount), array_agg(m.reference) INTO debits, credits, sums, texts
            FROM (SELECT about.in_transit AS debit, about.clearing AS credit, sum(i.amount)::bigint AS amount, about.reference AS reference
                  FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id
                  WHERE c.state = 'settled' HAVING count(*) > 0
                  UNION ALL
                  SELECT CASE WHEN s.state = 'settled' THEN about.clearing ELSE about.in_transit END, payouts.source_now(i.source, i.resident_id), i.amount, i.end_to_end_id
                  FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id
                  JOIN payouts.state AS s ON s.instruction_id = c.id
                  WHERE c.state <> 'settled') AS m;
        SELECT p.outcome INTO posted
            FROM ledger.post_transfers((SELECT array_agg(gen_random_uuid()) FROM unnest(sums)), array_fill('post'::text, ARRAY[cardinality(sums)]), debits, credits,
                sums, array_fill(about.currency, ARRAY[cardinality(sums)]), texts, array_fill(NULL::timestamptz, ARRAY[cardinality(sums)]),
                array_fill(actor_kind, ARRAY[cardinality(sums)]), array_fill(actor_id, ARRAY[cardinality(sums)])) AS p
            WHERE p.outcome <> 'created' LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the ledger refused a report: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'report_posted';
        END IF;
    END;
    INSERT INTO payouts.event (instruction_id, number, state, batch_id, report_id, reason)
        SELECT c.id, s.number + 1, c.state, about.id, apply_report.id, CASE WHEN c.state <> 'settled' THEN c.reason END
        FROM unnest(changed_ids, changed_states, changed_reasons) AS c (id, state, reason) JOIN payouts.state AS s ON s.instruction_id = c.id;
    -- Whose payment came back is told in the same transaction.
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        SELECT gen_random_uuid(), coalesce(r.superseded_by, r.id), 'payout_failed', jsonb_build_object('reference', i.end_to_end_id)
        FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id
        JOIN register.resident AS r ON r.id = i.resident_id
        WHERE c.state <> 'settled';
END
$$;

-- The same for the finance officer whom the credential names; also role_missing.
CREATE FUNCTION payouts.take_report(
    credential bytea, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text,
    end_to_end_ids text[], states text[], reasons text[], amounts bigint[],
    OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid := (SELECT s.staff_id FROM web.staff_with(take_report.credential, '{finance_officer}') AS s);
BEGIN
    IF officer IS NULL THEN outcome := 'role_missing'; RETURN; END IF;
    SELECT r.outcome, r.detail, r.settled, r.rejected, r.returned INTO outcome, detail, settled, rejected, returned
        FROM payouts.apply_report(officer, take_report.id, take_report.sha256, take_report.message_id, take_report.batch_reference, take_report.count,
            take_report.control_sum, take_report.group_state, take_report.group_reason, take_report.end_to_end_ids, take_report.states, take_report.reasons,
            take_report.amounts) AS r;
END
$$;

ALTER FUNCTION payouts.destination_for(uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.standing(uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.give_account(bytea, uuid, bytea) OWNER TO stoa_door;
ALTER FUNCTION payouts.end_account(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.accounts_of(bytea) OWNER TO stoa_door;
ALTER FUNCTION payouts.ending_lock() OWNER TO stoa_door;
ALTER FUNCTION payouts.lock_accounts(uuid[]) OWNER TO stoa_door;
ALTER FUNCTION payouts.source_now(uuid, uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.instruct(uuid, text, uuid, integer, uuid, uuid, text, bigint, text, text) OWNER TO stoa_door;
ALTER FUNCTION payouts.take_out(bytea, uuid, text, bigint) OWNER TO stoa_door;
ALTER FUNCTION payouts.issue_again(bytea, uuid, uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.payouts_of(bytea, uuid, timestamptz, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION payouts.plan(bytea) OWNER TO stoa_door;
ALTER FUNCTION payouts.prepare(bytea, uuid, text, date) OWNER TO stoa_door;
ALTER FUNCTION payouts.approve(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payouts.refuse(bytea, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION payouts.batches_for(bytea, uuid, timestamptz, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION payouts.waiting_for(bytea) OWNER TO stoa_door;
ALTER FUNCTION payouts.files_to_write(text) OWNER TO stoa_door;
ALTER FUNCTION payouts.log_reading(bytea, uuid, integer, uuid[]) OWNER TO stoa_door;
ALTER FUNCTION payouts.payments_under(uuid, integer, uuid[]) OWNER TO stoa_door;
ALTER FUNCTION payouts.note_file(uuid, bytea, bigint) OWNER TO stoa_door;
ALTER FUNCTION payouts.apply_report(uuid, uuid, bytea, text, text, integer, bigint, text, text, text[], text[], text[], bigint[]) OWNER TO stoa_door;
ALTER FUNCTION payouts.take_report(bytea, uuid, bytea, text, text, integer, bigint, text, text, text[], text[], text[], bigint[]) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payouts.give_account(bytea, uuid, bytea), payouts.end_account(bytea, uuid), payouts.accounts_of(bytea),
    payouts.take_out(bytea, uuid, text, bigint), payouts.issue_again(bytea, uuid, uuid), payouts.payouts_of(bytea, uuid, timestamptz, uuid, integer),
    payouts.plan(bytea), payouts.prepare(bytea, uuid, text, date), payouts.approve(bytea, uuid), payouts.refuse(bytea, uuid, text),
    payouts.batches_for(bytea, uuid, timestamptz, uuid, integer), payouts.waiting_for(bytea), payouts.files_to_write(text),
    payouts.log_reading(bytea, uuid, integer, uuid[]), payouts.payments_under(uuid, integer, uuid[]), payouts.note_file(uuid, bytea, bigint),
    payouts.take_report(bytea, uuid, bytea, text, text, integer, bigint, text, text, text[], text[], text[], bigint[]) TO stoa_app;
REVOKE CREATE ON SCHEMA payouts FROM stoa_door;
