-- The ledger: accounts, transfers between two of them, and the entries that each transfer leaves on both sides.
--
-- A transfer of the kind
--   post        moves its amount at once
--   hold        reserves it on the debit account, until a post_hold, a void_hold or expires_at ends the hold
--   post_hold   moves all or part of what a hold reserves, and releases the rest
--   void_hold   releases it
--   reversal    moves back what a post or post_hold moved, all of it, once
--
-- Rules that hold for everybody, the owner of the tables too, checked a statement at a time:
--   a posted transfer has exactly one debit and one credit entry, of its accounts, amount and currency,
--   and the accounts count them                                                                            transfer_balanced
--   an entry belongs to a posted transfer                                                                  entry_matches_transfer
--   a hold begins and ends once, each with an entry of its own; those without an end are the open ones     hold_entry_matches_transfer
--   a post_hold fits its hold, and a reversal its original                                                 transfer_follows
--   an account's balance changes only by its entries, and what it holds only by its hold entries;
--   both are numbered without a hole                                                                       account_equals_entries
-- So a transfer, its entries and the two balances are written by one statement, or not at all. Transfers and entries are
-- never changed: a mistake is corrected by another transfer. What was written is chained in batches, whose hashes are in the log (0047_ledger_batches.sql).
CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO stoa_app, stoa_auditor, stoa_door;

-- Amounts and balances are whole minor units that every JSON reader keeps exact: 2^53 - 1 (RFC 8259 §6).
CREATE FUNCTION ledger.amount_max() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 9007199254740991;

-- The sum of amounts as a bigint, 0 of none. PostgreSQL's own sum is numeric, at several times the cost. A sum beyond bigint is an error (22003):
-- no thousand amounts reach it.
CREATE AGGREGATE ledger.total (bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '0');
GRANT EXECUTE ON FUNCTION ledger.total(bigint) TO stoa_door;

CREATE TABLE ledger.account (
    id uuid PRIMARY KEY,
    -- wallet: what the city holds for a resident; treasury: what it may spend; revenue and fees: what it took; funding: what came in
    -- from outside (a bank account); clearing and suspense: money on its way, or whose owner is not known yet; position: what conversions left an
    -- organisation long or short of in a currency, moved by them alone (0048_conversions.sql).
    kind text NOT NULL CHECK (kind IN ('wallet', 'treasury', 'revenue', 'fees', 'funding', 'clearing', 'suspense', 'general', 'position')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    resident_id uuid REFERENCES register.resident,
    organisation_id text REFERENCES consent.organisation,
    -- The side that raises the balance.
    normal_side text NOT NULL CHECK (normal_side IN ('debit', 'credit')),
    may_go_negative boolean NOT NULL DEFAULT false,
    -- Narrower limits than those that every account has: 0, or for one that may go negative -(2^53 - 1), and 2^53 - 1.
    balance_min bigint CHECK (balance_min BETWEEN -9007199254740991 AND 9007199254740991),
    balance_max bigint CHECK (balance_max BETWEEN -9007199254740991 AND 9007199254740991),
    -- In the account's normal direction: the sum of its entries.
    posted bigint NOT NULL DEFAULT 0,
    entry_count bigint NOT NULL DEFAULT 0 CHECK (entry_count >= 0),
    -- What its open holds reserve, those that have expired and nobody has ended yet among them.
    held bigint NOT NULL DEFAULT 0 CHECK (held BETWEEN 0 AND 9007199254740991),
    hold_entry_count bigint NOT NULL DEFAULT 0 CHECK (hold_entry_count >= 0),
    -- When the newest entry was recorded.
    newest_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    closed_at timestamptz,
    CHECK (num_nonnulls(resident_id, organisation_id) = 1),
    CHECK ((kind = 'wallet') = (resident_id IS NOT NULL)),
    CHECK (may_go_negative OR balance_min >= 0),
    CHECK (kind <> 'position' OR (may_go_negative AND normal_side = 'credit')),
    CONSTRAINT account_not_overdrawn CHECK (posted - held >= coalesce(balance_min, CASE WHEN may_go_negative THEN -9007199254740991 ELSE 0 END)),
    CONSTRAINT account_within_limits CHECK (posted BETWEEN -9007199254740991 AND coalesce(balance_max, 9007199254740991)),
    CONSTRAINT account_closes_without_holds CHECK (closed_at IS NULL OR held = 0)
) WITH (fillfactor = 50);   -- room for the next version of a busy row on its own page (HOT), so that no index is touched
CREATE UNIQUE INDEX account_wallet ON ledger.account (resident_id, currency) WHERE kind = 'wallet' AND closed_at IS NULL;
CREATE INDEX account_organisation ON ledger.account (organisation_id) WHERE organisation_id IS NOT NULL;

-- References to accounts and transfers are checked by the triggers below, for a whole statement at once: foreign keys, which look
-- up row after row, would take more time than the posting itself. Accounts and transfers are never deleted and keep their ids.
CREATE TABLE ledger.transfer (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('post', 'hold', 'post_hold', 'void_hold', 'reversal')),
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL CHECK (credit_account <> debit_account),
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    currency text NOT NULL,
    reference text NOT NULL CHECK (length(reference) <= 140),   -- ISO 20022 Max140Text
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- A transfer that the balances refused keeps its id: a retry must not succeed where the first try was told no.
    outcome text NOT NULL
        CHECK (outcome IN ('posted', 'held', 'voided', 'insufficient_funds', 'balance_overflow', 'limit_exceeded', 'account_closed')),
    actor_kind text NOT NULL CHECK (actor_kind IN ('resident', 'staff', 'organisation', 'system')),
    actor_id text NOT NULL,
    -- Of a hold: the moment from which it reserves nothing; null for one that stays until somebody ends it.
    expires_at timestamptz CHECK (expires_at IS NULL OR kind = 'hold'),
    -- Moments that a batch's hash can tell (0047_ledger_batches.sql).
    CHECK (isfinite(effective_at) AND isfinite(expires_at)),
    hold_id uuid CHECK ((hold_id IS NOT NULL) = (kind IN ('post_hold', 'void_hold'))),
    reversal_of uuid CHECK ((reversal_of IS NOT NULL) = (kind = 'reversal')),
    CHECK (outcome NOT IN ('posted', 'held', 'voided') OR outcome = CASE kind WHEN 'hold' THEN 'held' WHEN 'void_hold' THEN 'voided' ELSE 'posted' END)
);
-- What was reversed is not reversed again.
CREATE UNIQUE INDEX transfer_reversed_once ON ledger.transfer (reversal_of) WHERE reversal_of IS NOT NULL AND outcome = 'posted';

CREATE TABLE ledger.entry (
    account_id uuid NOT NULL,
    -- Position among the entries of the account, from 1.
    number bigint NOT NULL CHECK (number >= 1),
    transfer_id uuid NOT NULL,
    side text NOT NULL CHECK (side IN ('debit', 'credit')),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    balance_after bigint NOT NULL,
    -- Never falls along the numbers, also when the clock goes back, so that the balance of a moment is found without adding up.
    recorded_at timestamptz NOT NULL,
    -- That of the transfer: from when it counts.
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, number),
    UNIQUE (transfer_id, side)
);
-- Every 64th entry by time: from there a moment is 64 numbers away at most, and posting pays for one index row in 64.
CREATE INDEX entry_mark ON ledger.entry (account_id, recorded_at, number) WHERE number % 64 = 0;
-- What counts from another moment than that of its posting: the exceptions to the order of numbers.
CREATE INDEX entry_dated ON ledger.entry (account_id, effective_at, number) WHERE effective_at <> recorded_at;

-- What reserves and releases money of an account: the beginning of each hold, and its end.
CREATE TABLE ledger.hold_entry (
    account_id uuid NOT NULL,
    -- Position among the hold entries of the account, from 1.
    number bigint NOT NULL CHECK (number >= 1),
    -- The transfer that began the hold.
    hold_id uuid NOT NULL,
    step text NOT NULL CHECK (step IN ('held', 'posted', 'voided', 'expired')),
    -- The transfer that did this; null where time did.
    transfer_id uuid CHECK ((transfer_id IS NULL) = (step = 'expired')),
    -- What the hold reserves: nothing where a debit raises the balance.
    amount bigint NOT NULL CHECK (amount >= 0),
    held_after bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (account_id, number)
);
CREATE UNIQUE INDEX hold_entry_begins_once ON ledger.hold_entry (hold_id) WHERE step = 'held';
CREATE UNIQUE INDEX hold_entry_ends_once ON ledger.hold_entry (hold_id) WHERE step <> 'held';

-- The holds that nothing has ended, so that what has expired is found. It follows from the hold entries.
CREATE TABLE ledger.open_hold (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    amount bigint NOT NULL,
    expires_at timestamptz
);
CREATE INDEX open_hold_account ON ledger.open_hold (account_id, expires_at);
CREATE INDEX open_hold_due ON ledger.open_hold (expires_at) WHERE expires_at IS NOT NULL;

-- Books that are closed: no transfer counts from before the latest of these moments any more. A finance officer closes them (0028_books.sql).
CREATE TABLE ledger.period_close (
    until timestamptz PRIMARY KEY,
    closed_by uuid NOT NULL REFERENCES identity.staff,
    closed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    note text NOT NULL CHECK (length(note) BETWEEN 1 AND 500),
    CONSTRAINT period_is_over CHECK (until <= closed_at)
);

CREATE TRIGGER period_close_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.period_close
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER account_stays BEFORE DELETE OR TRUNCATE ON ledger.account
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER transfer_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER entry_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entry
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER hold_entry_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.hold_entry
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER open_hold_stays BEFORE UPDATE OR TRUNCATE ON ledger.open_hold
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Each check is a sub-select a row, so that it stays an index probe whatever the statistics say.
CREATE FUNCTION ledger.check_transfers() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS t
        WHERE CASE t.outcome
            WHEN 'posted' THEN
                (SELECT count(*) FROM ledger.entry AS e
                 CROSS JOIN LATERAL (SELECT x.kind, x.currency, x.entry_count FROM ledger.account AS x WHERE x.id = e.account_id OFFSET 0) AS a
                 WHERE e.transfer_id = t.id AND e.account_id = CASE e.side WHEN 'debit' THEN t.debit_account ELSE t.credit_account END
                   AND (e.amount, e.currency, e.effective_at, a.currency) = (t.amount, t.currency, t.effective_at, t.currency)
                   AND e.number <= a.entry_count AND (a.kind <> 'position' OR ledger.is_conversion_leg(t.id)))
            ELSE (SELECT count(*) FROM ledger.account AS a WHERE a.id IN (t.debit_account, t.credit_account) AND a.currency = t.currency
                    AND (a.kind <> 'position' OR ledger.is_conversion_leg(t.id)))
                - (SELECT count(*) FROM ledger.entry AS e WHERE e.transfer_id = t.id)
            END <> 2)
    THEN
        RAISE EXCEPTION 'a posted transfer is written together with one debit and one credit entry of its amount and currency, which their accounts count; a position moves in a conversion only'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transfer_balanced';
    END IF;
    IF EXISTS (
        SELECT FROM added AS t
        WHERE t.kind <> 'post'
          AND CASE WHEN t.outcome NOT IN ('posted', 'held', 'voided') THEN false
                   WHEN t.kind = 'reversal' THEN
                       (SELECT o.kind IN ('post', 'post_hold') AND o.outcome = 'posted' AND o.amount = t.amount
                           AND (o.debit_account, o.credit_account) = (t.credit_account, t.debit_account)
                        FROM ledger.transfer AS o WHERE o.id = t.reversal_of) IS NOT TRUE
                   ELSE NOT EXISTS (SELECT FROM ledger.hold_entry AS e
                                    WHERE e.hold_id = coalesce(t.hold_id, t.id) AND e.transfer_id = t.id AND e.account_id = t.debit_account
                                      AND e.step = t.outcome)
                       OR (t.hold_id IS NOT NULL
                           AND (SELECT o.kind = 'hold' AND (o.debit_account, o.credit_account) = (t.debit_account, t.credit_account)
                                    AND CASE t.kind WHEN 'post_hold' THEN t.amount <= o.amount ELSE t.amount = o.amount END
                                FROM ledger.transfer AS o WHERE o.id = t.hold_id) IS NOT TRUE) END)
    THEN
        RAISE EXCEPTION 'a hold begins and ends with an entry, and what follows up another transfer fits it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transfer_follows';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER transfer_balanced AFTER INSERT ON ledger.transfer REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_transfers();

CREATE FUNCTION ledger.check_entries() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    -- What it says of its side was compared when the transfer came, and a side has one entry.
    IF EXISTS (
        SELECT FROM added AS e WHERE (SELECT t.outcome = 'posted' FROM ledger.transfer AS t WHERE t.id = e.transfer_id) IS NOT TRUE)
    THEN
        RAISE EXCEPTION 'an entry is one side of a posted transfer'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_matches_transfer';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER entry_matches_transfer AFTER INSERT ON ledger.entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_entries();

-- A hold entry is the beginning of a held transfer, or the one end of a hold that had begun, and its account counts it; the hold is open
-- as long as it has no end. (Of the two triggers one looks from the entries, the other from the open holds.)
CREATE FUNCTION ledger.check_hold_entries() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    -- Most statements hold nothing, and starting the check costs as much as ten transfers.
    IF NOT EXISTS (SELECT FROM added) THEN RETURN NULL; END IF;
    IF EXISTS (
        SELECT FROM added AS e
        WHERE (SELECT e.number <= a.hold_entry_count AND e.account_id = h.debit_account
                   AND e.amount = CASE a.normal_side WHEN 'credit' THEN h.amount ELSE 0 END AND h.kind = 'hold' AND h.outcome = 'held'
               FROM ledger.transfer AS h JOIN ledger.account AS a ON a.id = e.account_id WHERE h.id = e.hold_id) IS NOT TRUE
           OR CASE e.step WHEN 'held' THEN e.transfer_id <> e.hold_id
                   WHEN 'expired' THEN (SELECT h.expires_at <= public.stoa_now() FROM ledger.transfer AS h WHERE h.id = e.hold_id) IS NOT TRUE
                   ELSE (SELECT t.hold_id = e.hold_id AND t.outcome = e.step FROM ledger.transfer AS t WHERE t.id = e.transfer_id) IS NOT TRUE END
           OR (SELECT b.account_id = e.account_id AND b.number <= e.number FROM ledger.hold_entry AS b WHERE b.hold_id = e.hold_id AND b.step = 'held')
              IS NOT TRUE
           OR EXISTS (SELECT FROM ledger.open_hold AS o WHERE o.id = e.hold_id)
              = EXISTS (SELECT FROM ledger.hold_entry AS x WHERE x.hold_id = e.hold_id AND x.step <> 'held'))
    THEN
        RAISE EXCEPTION 'a hold entry is the beginning or the one end of a hold, and its account counts it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'hold_entry_matches_transfer';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER hold_entry_matches_transfer AFTER INSERT ON ledger.hold_entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_hold_entries();

CREATE FUNCTION ledger.check_open_holds() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    -- Most statements hold nothing, and starting the check costs as much as ten transfers.
    IF NOT EXISTS (SELECT FROM touched) THEN RETURN NULL; END IF;
    IF EXISTS (
        SELECT FROM touched AS o
        WHERE EXISTS (SELECT FROM ledger.hold_entry AS e WHERE e.hold_id = o.id AND e.step <> 'held') = (TG_OP = 'INSERT')
           OR (SELECT (e.account_id, e.amount) = (o.account_id, o.amount) AND t.expires_at IS NOT DISTINCT FROM o.expires_at
               FROM ledger.hold_entry AS e JOIN ledger.transfer AS t ON t.id = e.hold_id WHERE e.hold_id = o.id AND e.step = 'held') IS NOT TRUE)
    THEN
        RAISE EXCEPTION 'the open holds are those that began and did not end'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'hold_entry_matches_transfer';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER open_hold_begins AFTER INSERT ON ledger.open_hold REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_open_holds();
CREATE TRIGGER open_hold_ends AFTER DELETE ON ledger.open_hold REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_open_holds();

-- An account's balance moves by exactly the entries that its count moves over, and likewise what it holds. What it is never changes; whose it is changes only
-- when one resident's record takes the place of another's. (Old and new rows meet in a hash join: a nested loop would be quadratic.)
CREATE FUNCTION ledger.check_accounts() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_nestloop = off SET jit = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM changed AS n FULL JOIN former AS o ON o.id = n.id
        WHERE o.id IS NULL OR n.id IS NULL
           OR (n.kind, n.currency, n.normal_side, n.may_go_negative, n.organisation_id)
              IS DISTINCT FROM (o.kind, o.currency, o.normal_side, o.may_go_negative, o.organisation_id)
           OR n.newest_at < o.newest_at OR (n.newest_at IS DISTINCT FROM o.newest_at AND n.entry_count = o.entry_count)
           OR (SELECT (count(*), ledger.total(CASE e.side WHEN n.normal_side THEN e.amount ELSE -e.amount END))
                      <> (n.entry_count - o.entry_count, n.posted - o.posted) OR bool_and(e.recorded_at IS NOT DISTINCT FROM n.newest_at) IS FALSE
               FROM ledger.entry AS e WHERE e.account_id = n.id AND e.number > o.entry_count AND e.number <= n.entry_count)
           OR ((n.held, n.hold_entry_count) <> (o.held, o.hold_entry_count)
               AND (SELECT (count(*), ledger.total(CASE e.step WHEN 'held' THEN e.amount ELSE -e.amount END))
                           <> (n.hold_entry_count - o.hold_entry_count, n.held - o.held)
                    FROM ledger.hold_entry AS e
                    WHERE e.account_id = n.id AND e.number > o.hold_entry_count AND e.number <= n.hold_entry_count)))
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
    FOR EACH ROW WHEN (NEW.posted <> 0 OR NEW.entry_count <> 0 OR NEW.held <> 0 OR NEW.hold_entry_count <> 0) EXECUTE FUNCTION ledger.check_new_account();

GRANT CREATE ON SCHEMA ledger TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON ledger.account TO stoa_door;
GRANT SELECT, INSERT ON ledger.transfer, ledger.entry, ledger.hold_entry TO stoa_door;
GRANT SELECT, INSERT ON ledger.period_close TO stoa_door;
GRANT SELECT, INSERT, DELETE ON ledger.open_hold TO stoa_door;
GRANT SELECT ON ledger.account, ledger.transfer, ledger.entry, ledger.hold_entry, ledger.open_hold, ledger.period_close TO stoa_auditor;
GRANT EXECUTE ON FUNCTION ledger.amount_max() TO stoa_app, stoa_auditor, stoa_door;

-- Whoever posts shares this lock until the end of the transaction, so that whoever closes a period waits for what is on its way.
CREATE FUNCTION ledger.closing_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 7310011;

-- The moment before which nothing counts any more; null while no period was closed.
CREATE FUNCTION ledger.closed_until() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT c.until FROM ledger.period_close AS c ORDER BY c.until DESC LIMIT 1);

-- Posts a batch: arrays of equal length, one element a transfer. Not for stoa_app: the caller has decided who may.
--
-- Every account of the whole batch is locked in id order and the transfers are inserted in id order, so batches that name the same
-- accounts in opposite orders wait for each other and never deadlock. Overdrafts are decided exactly, in the order of the batch;
-- only a batch in which one is possible, or that holds, follows up or reverses, pays for deciding one by one.
-- Transfers with the same number in groups, next to each other, are linked: all of them or none.
-- Returns for each item:
--   created              done now
--   exists               the same transfer was done before; nothing happened
--   id_conflict          another transfer has the id; field names the first difference
--   insufficient_funds, balance_overflow, limit_exceeded, account_closed    refused, and so it stays for this id
--   account_unknown, currency_mismatch, invalid                             refused, field says where; the id stays free, as for all below
--   period_closed                                  it would count from a moment of a closed period
--   hold_unknown, hold_mismatch                    no such hold was ever held; the transfer does not fit it in the field
--   hold_posted, hold_voided, hold_expired         it has ended (hold_expired also of a hold whose expires_at is past when it comes)
--   original_unknown, reversal_mismatch, already_reversed                   likewise of what a reversal reverses
--   batch_refused        a transfer that it is linked with was refused
-- Of a group that is refused, the first item that the balances refuse stays refused under its id all the same: what came
-- after it was decided for money that never moved, so it is not remembered.
CREATE FUNCTION ledger.post_transfers(
    ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[],
    effective_ats timestamptz[], actor_kinds text[], actor_ids text[], groups integer[] DEFAULT NULL, hold_ids uuid[] DEFAULT NULL,
    reversal_ofs uuid[] DEFAULT NULL, expires_ats timestamptz[] DEFAULT NULL)
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
    -- Of each item: what it reserves or releases, and whether it begins a hold that the batch does not end.
    reserves bigint[];
    stay_open boolean[];
BEGIN
    -- ledger.judge_in_order counts them out by position, which a matrix would answer with null.
    IF array_ndims(amounts) > 1 THEN
        RAISE EXCEPTION 'amounts is a list, not a matrix' USING ERRCODE = 'array_subscript_error';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(ledger.closing_lock());
    PERFORM a.id FROM ledger.account AS a WHERE a.id = ANY (debit_accounts || credit_accounts) ORDER BY a.id FOR NO KEY UPDATE;
    FOR attempt IN 1 .. 3 LOOP
        SELECT j.verdicts, j.fields, j.leaders, j.certain INTO verdicts, fields, leaders, certain
            FROM ledger.judge(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats, groups, hold_ids,
                              reversal_ofs, expires_ats) AS j;
        reserves := NULL;
        stay_open := NULL;
        IF NOT certain THEN
            PERFORM ledger.release_expired(debit_accounts || credit_accounts, NULL);
            SELECT j.verdicts, j.fields, j.reserves, j.stay_open INTO verdicts, fields, reserves, stay_open
                FROM ledger.judge_in_order(verdicts, fields, leaders, ids, kinds, debit_accounts, credit_accounts, amounts, groups, hold_ids,
                                           reversal_ofs) AS j;
        END IF;
        BEGIN
            PERFORM ledger.write_transfers(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats,
                                           actor_kinds, actor_ids, hold_ids, reversal_ofs, expires_ats, verdicts, leaders, reserves, stay_open);
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
            coalesce(i.field, fields[NULLIF(i.leader, 0)])
        FROM unnest(verdicts, fields, leaders) WITH ORDINALITY AS i (verdict, field, leader, item);
END
$$;

-- What can be said of each item before the balances: what is malformed, what was done before, and whether every remaining one is a post
-- that is covered even if nothing that comes in counts and nothing held has expired (certain).
CREATE FUNCTION ledger.judge(
    ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[],
    effective_ats timestamptz[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamptz[],
    OUT verdicts text[], OUT fields text[], OUT leaders integer[], OUT certain boolean)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    amount_max CONSTANT bigint := ledger.amount_max();
BEGIN
    WITH request AS (
        SELECT r.*, d.id IS NOT NULL AS debit_known, d.currency AS debit_currency, c.id IS NOT NULL AS credit_known, c.currency AS credit_currency,
            d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL AS closed, d.normal_side AS debit_normal, c.normal_side AS credit_normal,
            -- How much may leave and come to each account.
            d.posted - d.held - coalesce(d.balance_min, CASE WHEN d.may_go_negative THEN -amount_max ELSE 0 END) AS debit_floor,
            c.posted - c.held - coalesce(c.balance_min, CASE WHEN c.may_go_negative THEN -amount_max ELSE 0 END) AS credit_floor,
            coalesce(d.balance_max, amount_max) - d.posted AS debit_ceiling, coalesce(c.balance_max, amount_max) - c.posted AS credit_ceiling,
            t.id IS NOT NULL AS known, t.outcome AS known_outcome,
            CASE WHEN t.kind <> r.kind THEN 'kind' WHEN t.debit_account <> r.debit_account THEN 'debit_account'
                 WHEN t.credit_account <> r.credit_account THEN 'credit_account' WHEN t.amount <> r.amount THEN 'amount'
                 WHEN t.currency <> r.currency THEN 'currency' WHEN t.reference <> r.ref THEN 'reference'
                 WHEN t.effective_at <> r.effective_at THEN 'effective_at' WHEN t.hold_id <> r.hold_id THEN 'hold_id'
                 WHEN t.reversal_of <> r.reversal_of THEN 'reversal_of'
                 WHEN t.expires_at IS DISTINCT FROM r.expires_at THEN 'expires_at' END AS known_difference,
            CASE WHEN r.id IS NULL THEN 'id'
                 WHEN r.kind IS NULL OR r.kind NOT IN ('post', 'hold', 'post_hold', 'void_hold', 'reversal') THEN 'kind'
                 WHEN r.debit_account IS NULL THEN 'debit_account'
                 WHEN r.credit_account IS NULL OR r.credit_account = r.debit_account THEN 'credit_account'
                 WHEN r.amount IS NULL OR r.amount NOT BETWEEN 1 AND amount_max THEN 'amount'
                 WHEN r.currency IS NULL THEN 'currency' WHEN r.ref IS NULL OR length(r.ref) > 140 THEN 'reference'
                 WHEN (r.hold_id IS NOT NULL) <> (r.kind IN ('post_hold', 'void_hold')) THEN 'hold_id'
                 WHEN (r.reversal_of IS NOT NULL) <> (r.kind = 'reversal') THEN 'reversal_of'
                 WHEN r.expires_at IS NOT NULL AND r.kind <> 'hold' THEN 'expires_at' END AS malformed
        FROM unnest(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats, groups, hold_ids, reversal_ofs, expires_ats)
            WITH ORDINALITY
            AS r (id, kind, debit_account, credit_account, amount, currency, ref, effective_at, linked, hold_id, reversal_of, expires_at, item)
        LEFT JOIN ledger.transfer AS t ON t.id = r.id
        LEFT JOIN ledger.account AS d ON d.id = r.debit_account
        LEFT JOIN ledger.account AS c ON c.id = r.credit_account
    ), admitted AS (
        SELECT r.*, CASE
                WHEN r.malformed IS NOT NULL THEN 'invalid'
                WHEN r.known AND r.known_difference IS NOT NULL THEN 'id_conflict'
                WHEN r.known THEN CASE WHEN r.known_outcome IN ('posted', 'held', 'voided') THEN 'exists' ELSE r.known_outcome END
                WHEN NOT r.debit_known OR NOT r.credit_known THEN 'account_unknown'
                WHEN r.debit_currency <> r.currency OR r.credit_currency <> r.currency THEN 'currency_mismatch'
                WHEN r.expires_at <= public.stoa_now() THEN 'hold_expired'
                WHEN r.effective_at < (SELECT ledger.closed_until()) THEN 'period_closed' END AS verdict
        FROM request AS r
    ), led AS (
        -- The first of several with one id decides; the others follow it or contradict it.
        SELECT a.*, first_value(a.item) OVER (PARTITION BY a.id, a.verdict IS NULL ORDER BY a.item)::integer AS leader FROM admitted AS a
    ), compared AS (
        SELECT l.*, CASE WHEN l.leader <> l.item THEN CASE
                WHEN kinds[l.leader] <> l.kind THEN 'kind' WHEN debit_accounts[l.leader] <> l.debit_account THEN 'debit_account'
                WHEN credit_accounts[l.leader] <> l.credit_account THEN 'credit_account' WHEN amounts[l.leader] <> l.amount THEN 'amount'
                WHEN currencies[l.leader] <> l.currency THEN 'currency' WHEN refs[l.leader] <> l.ref THEN 'reference'
                WHEN effective_ats[l.leader] <> l.effective_at THEN 'effective_at' WHEN hold_ids[l.leader] <> l.hold_id THEN 'hold_id'
                WHEN reversal_ofs[l.leader] <> l.reversal_of THEN 'reversal_of'
                WHEN expires_ats[l.leader] IS DISTINCT FROM l.expires_at THEN 'expires_at' END END AS difference
        FROM led AS l
    ), moved AS (
        SELECT l.debit_account AS account_id, CASE l.debit_normal WHEN 'credit' THEN l.amount ELSE 0 END AS outgoing,
            CASE l.debit_normal WHEN 'debit' THEN l.amount ELSE 0 END AS incoming, l.debit_floor AS floor, l.debit_ceiling AS ceiling
        FROM compared AS l WHERE l.verdict IS NULL AND l.leader = l.item AND NOT l.closed
        UNION ALL
        SELECT l.credit_account, CASE l.credit_normal WHEN 'debit' THEN l.amount ELSE 0 END,
            CASE l.credit_normal WHEN 'credit' THEN l.amount ELSE 0 END, l.credit_floor, l.credit_ceiling
        FROM compared AS l WHERE l.verdict IS NULL AND l.leader = l.item AND NOT l.closed
    ), covered AS (
        SELECT NOT EXISTS (SELECT FROM compared AS l
                           WHERE (l.verdict IS NULL AND l.kind <> 'post')
                              -- Of linked ones, whatever is not plainly fine is decided in order.
                              OR (l.linked IS NOT NULL AND (l.verdict <> 'exists' OR l.difference IS NOT NULL OR (l.verdict IS NULL AND l.closed))))
            AND NOT EXISTS (
                SELECT FROM moved AS m GROUP BY m.account_id
                HAVING (ledger.total(m.outgoing) > 0 AND ledger.total(m.outgoing) > min(m.floor))
                    OR (ledger.total(m.incoming) > 0 AND ledger.total(m.incoming) > min(m.ceiling))) AS certain
    )
    SELECT array_agg(f.verdict), array_agg(f.field), array_agg(f.leader), (SELECT c.certain FROM covered AS c)
        INTO judge.verdicts, judge.fields, judge.leaders, judge.certain
        FROM (
            SELECT
                CASE WHEN l.verdict IS NOT NULL THEN l.verdict WHEN l.difference IS NOT NULL THEN 'id_conflict'
                     WHEN l.leader = l.item AND l.closed AND l.kind <> 'void_hold' THEN 'account_closed' END AS verdict,
                CASE WHEN l.verdict = 'invalid' THEN l.malformed WHEN l.verdict = 'id_conflict' THEN l.known_difference
                     WHEN l.verdict = 'account_unknown' THEN CASE WHEN l.debit_known THEN 'credit_account' ELSE 'debit_account' END
                     WHEN l.verdict = 'currency_mismatch' THEN 'currency'
                     WHEN l.verdict = 'hold_expired' THEN 'expires_at'
                     WHEN l.verdict = 'period_closed' THEN 'effective_at'
                     WHEN l.verdict IS NULL THEN l.difference END AS field,
                -- What is known already has no leader, so that nothing is written for it.
                CASE WHEN l.known THEN 0 ELSE l.leader END AS leader
            FROM compared AS l ORDER BY l.item) AS f;
END
$$;

-- The exact decision, one transfer after the other, for a batch in which the money may not suffice, or that does more than post.
CREATE FUNCTION ledger.judge_in_order(
    INOUT verdicts text[], INOUT fields text[], leaders integer[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[],
    amounts bigint[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], OUT reserves bigint[], OUT stay_open boolean[])
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    amount_max CONSTANT bigint := ledger.amount_max();
    -- The accounts that the batch names, in id order, and where in that order each item's are.
    posted bigint[];
    held bigint[];
    balance_mins bigint[];
    balance_maxs bigint[];
    debit_raises boolean[];
    debit_positions integer[];
    credit_positions integer[];
    -- The transfers that the batch makes or follows up, in id order. Of a hold: held, posted, voided or expired; of what moved money:
    -- settled or reversed; null for one that is not there, or was refused.
    states text[];
    state_debits uuid[];
    state_credits uuid[];
    state_amounts bigint[];
    state_reserves bigint[];
    own_positions integer[];
    target_positions integer[];
    -- The group that is being decided, and how everything stood before it.
    group_now integer;
    group_start integer;
    group_failed boolean := false;
    posted_before bigint[];
    held_before bigint[];
    states_before text[];
    follows_up boolean;
    reason text;
    reason_field text;
    released bigint;
    d integer;
    c integer;
    o integer;
    t integer;
BEGIN
    SELECT array_agg(s.place ORDER BY s.item) FILTER (WHERE s.side = 'debit'), array_agg(s.place ORDER BY s.item) FILTER (WHERE s.side = 'credit')
        INTO debit_positions, credit_positions
        FROM (SELECT x.item, x.side, dense_rank() OVER (ORDER BY x.account_id)::integer AS place
              FROM (SELECT u.item, 'debit' AS side, u.account_id FROM unnest(debit_accounts) WITH ORDINALITY AS u (account_id, item)
                    UNION ALL
                    SELECT u.item, 'credit', u.account_id FROM unnest(credit_accounts) WITH ORDINALITY AS u (account_id, item)) AS x) AS s;
    SELECT array_agg(a.posted ORDER BY u.account_id), array_agg(a.held ORDER BY u.account_id),
            array_agg(coalesce(a.balance_min, CASE WHEN a.may_go_negative THEN -amount_max ELSE 0 END) ORDER BY u.account_id),
            array_agg(coalesce(a.balance_max, amount_max) ORDER BY u.account_id), array_agg(a.normal_side = 'debit' ORDER BY u.account_id)
        INTO posted, held, balance_mins, balance_maxs, debit_raises
        FROM (SELECT DISTINCT x.account_id FROM unnest(debit_accounts || credit_accounts) AS x (account_id)) AS u
        LEFT JOIN ledger.account AS a ON a.id = u.account_id;
    follows_up := EXISTS (SELECT FROM unnest(hold_ids || reversal_ofs) AS u (id) WHERE u.id IS NOT NULL);
    IF follows_up THEN
        SELECT array_agg(s.place ORDER BY s.item) FILTER (WHERE s.role = 'own'), array_agg(s.place ORDER BY s.item) FILTER (WHERE s.role = 'target')
            INTO own_positions, target_positions
            FROM (SELECT x.item, x.role, dense_rank() OVER (ORDER BY x.id)::integer AS place
                  FROM (SELECT u.item, 'own' AS role, u.id FROM unnest(ids) WITH ORDINALITY AS u (id, item)
                        UNION ALL
                        SELECT u.item, 'target', coalesce(u.hold_id, u.reversal_of)
                        FROM unnest(hold_ids, reversal_ofs) WITH ORDINALITY AS u (hold_id, reversal_of, item)) AS x) AS s;
        SELECT array_agg(CASE WHEN k.kind <> 'hold' AND k.outcome = 'posted' AND k.kind <> 'reversal' THEN
                                  CASE WHEN EXISTS (SELECT FROM ledger.transfer AS r WHERE r.reversal_of = k.id AND r.outcome = 'posted')
                                       THEN 'reversed' ELSE 'settled' END
                              WHEN k.outcome <> 'held' THEN NULL
                              WHEN h.id IS NULL THEN (SELECT e.step FROM ledger.hold_entry AS e WHERE e.hold_id = k.id AND e.step <> 'held')
                              WHEN h.expires_at <= public.stoa_now() THEN 'expired' ELSE 'held' END ORDER BY u.id),
                array_agg(k.debit_account ORDER BY u.id), array_agg(k.credit_account ORDER BY u.id), array_agg(k.amount ORDER BY u.id),
                array_agg(h.amount ORDER BY u.id)
            INTO states, state_debits, state_credits, state_amounts, state_reserves
            FROM (SELECT DISTINCT coalesce(x.id, x.target) AS id
                  FROM (SELECT y.id, NULL::uuid AS target FROM unnest(ids) AS y (id)
                        UNION ALL
                        SELECT NULL, coalesce(y.hold_id, y.reversal_of) FROM unnest(hold_ids, reversal_ofs) AS y (hold_id, reversal_of)) AS x) AS u
            LEFT JOIN ledger.transfer AS k ON k.id = u.id
            LEFT JOIN ledger.open_hold AS h ON h.id = u.id;
    END IF;

    reserves := array_fill(NULL::bigint, ARRAY[cardinality(verdicts)]);
    stay_open := array_fill(false, ARRAY[cardinality(verdicts)]);
    FOR i IN 1 .. coalesce(cardinality(verdicts), 0) LOOP
        IF groups[i] IS DISTINCT FROM group_now THEN
            group_now := groups[i];
            group_failed := false;
            IF group_now IS NOT NULL THEN
                group_start := i;
                posted_before := posted;
                held_before := held;
                states_before := states;
            END IF;
        END IF;
        IF group_failed THEN
            IF leaders[i] = i AND (verdicts[i] IS NULL OR verdicts[i] = 'account_closed') THEN
                verdicts[i] := 'batch_refused';
            END IF;
            CONTINUE;
        END IF;

        reason := verdicts[i];
        reason_field := fields[i];
        IF reason IS NULL AND leaders[i] <> i THEN
            reason := verdicts[leaders[i]];
        ELSIF reason IS NULL THEN
            d := debit_positions[i];
            c := credit_positions[i];
            IF follows_up THEN
                o := own_positions[i];
                t := target_positions[i];
            END IF;
            released := 0;
            IF kinds[i] IN ('post_hold', 'void_hold') THEN
                IF states[t] IS NULL OR states[t] IN ('settled', 'reversed') THEN
                    reason := 'hold_unknown';
                    reason_field := 'hold_id';
                ELSIF state_debits[t] <> debit_accounts[i] THEN
                    reason := 'hold_mismatch';
                    reason_field := 'debit_account';
                ELSIF state_credits[t] <> credit_accounts[i] THEN
                    reason := 'hold_mismatch';
                    reason_field := 'credit_account';
                ELSIF amounts[i] > state_amounts[t] OR (kinds[i] = 'void_hold' AND amounts[i] <> state_amounts[t]) THEN
                    reason := 'hold_mismatch';
                    reason_field := 'amount';
                ELSIF states[t] <> 'held' THEN
                    reason := 'hold_' || states[t];
                    reason_field := 'hold_id';
                ELSE
                    released := state_reserves[t];
                END IF;
            ELSIF kinds[i] = 'reversal' THEN
                IF states[t] IS NULL OR states[t] NOT IN ('settled', 'reversed') THEN
                    reason := 'original_unknown';
                    reason_field := 'reversal_of';
                ELSIF state_credits[t] <> debit_accounts[i] THEN
                    reason := 'reversal_mismatch';
                    reason_field := 'debit_account';
                ELSIF state_debits[t] <> credit_accounts[i] THEN
                    reason := 'reversal_mismatch';
                    reason_field := 'credit_account';
                ELSIF state_amounts[t] <> amounts[i] THEN
                    reason := 'reversal_mismatch';
                    reason_field := 'amount';
                ELSIF states[t] = 'reversed' THEN
                    reason := 'already_reversed';
                    reason_field := 'reversal_of';
                END IF;
            END IF;

            IF reason IS NOT NULL THEN
                NULL;
            ELSIF kinds[i] = 'void_hold' THEN
                held[d] := held[d] - released;
                states[t] := 'voided';
                reserves[i] := released;
            ELSIF kinds[i] = 'hold' THEN
                reserves[i] := CASE WHEN debit_raises[d] THEN 0 ELSE amounts[i] END;
                IF posted[d] - held[d] - reserves[i] < balance_mins[d] THEN
                    reason := CASE WHEN balance_mins[d] = -amount_max THEN 'balance_overflow' ELSE 'insufficient_funds' END;
                ELSIF held[d] + reserves[i] > amount_max THEN
                    reason := 'balance_overflow';
                ELSE
                    held[d] := held[d] + reserves[i];
                    IF follows_up THEN
                        states[o] := 'held';
                        state_debits[o] := debit_accounts[i];
                        state_credits[o] := credit_accounts[i];
                        state_amounts[o] := amounts[i];
                        state_reserves[o] := reserves[i];
                    END IF;
                END IF;
            ELSE
                reason := CASE
                    WHEN NOT debit_raises[d] AND posted[d] - amounts[i] - held[d] + released < balance_mins[d] AND balance_mins[d] > -amount_max
                        OR debit_raises[c] AND posted[c] - amounts[i] - held[c] < balance_mins[c] AND balance_mins[c] > -amount_max
                        THEN 'insufficient_funds'
                    WHEN debit_raises[d] AND posted[d] + amounts[i] > amount_max OR NOT debit_raises[c] AND posted[c] + amounts[i] > amount_max
                        OR NOT debit_raises[d] AND posted[d] - amounts[i] - held[d] + released < -amount_max
                        OR debit_raises[c] AND posted[c] - amounts[i] - held[c] < -amount_max
                        THEN 'balance_overflow'
                    WHEN debit_raises[d] AND posted[d] + amounts[i] > balance_maxs[d]
                        OR NOT debit_raises[c] AND posted[c] + amounts[i] > balance_maxs[c]
                        THEN 'limit_exceeded' END;
                IF reason IS NULL THEN
                    posted[d] := posted[d] + CASE WHEN debit_raises[d] THEN amounts[i] ELSE -amounts[i] END;
                    posted[c] := posted[c] + CASE WHEN debit_raises[c] THEN -amounts[i] ELSE amounts[i] END;
                    IF kinds[i] = 'post_hold' THEN
                        held[d] := held[d] - released;
                        states[t] := 'posted';
                        reserves[i] := released;
                    ELSIF kinds[i] = 'reversal' THEN
                        states[t] := 'reversed';
                    END IF;
                    IF follows_up AND kinds[i] <> 'reversal' THEN
                        states[o] := 'settled';
                        state_debits[o] := debit_accounts[i];
                        state_credits[o] := credit_accounts[i];
                        state_amounts[o] := amounts[i];
                    END IF;
                END IF;
            END IF;
            verdicts[i] := reason;
            fields[i] := reason_field;
        END IF;

        IF group_now IS NOT NULL AND reason <> 'exists' THEN
            group_failed := true;
            posted := posted_before;
            held := held_before;
            states := states_before;
            FOR j IN group_start .. i - 1 LOOP
                IF verdicts[j] IS NULL AND leaders[j] = j THEN
                    verdicts[j] := 'batch_refused';
                    reserves[j] := NULL;
                END IF;
            END LOOP;
        END IF;
    END LOOP;
    FOR i IN 1 .. coalesce(cardinality(verdicts), 0) LOOP
        IF kinds[i] = 'hold' AND verdicts[i] IS NULL AND leaders[i] = i THEN
            stay_open[i] := NOT follows_up OR states[own_positions[i]] = 'held';
        END IF;
    END LOOP;
END
$$;

-- Writes what is decided: transfers (those that stay refused too), entries, hold entries and balances, in one statement.
CREATE FUNCTION ledger.write_transfers(
    ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[],
    effective_ats timestamptz[], actor_kinds text[], actor_ids text[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamptz[],
    verdicts text[], leaders integer[], reserves bigint[], stay_open boolean[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    WITH decided AS (
        -- Should the clock have gone back behind a closed period, the next one has begun all the same.
        SELECT r.*, coalesce(r.effective_at, GREATEST(public.stoa_now(), (SELECT ledger.closed_until()))) AS effective, coalesce(r.verdict, CASE r.kind WHEN 'hold' THEN 'held' WHEN 'void_hold' THEN 'voided' ELSE 'posted' END) AS outcome
        FROM unnest(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats, actor_kinds, actor_ids, hold_ids,
                    reversal_ofs, expires_ats, verdicts, leaders, reserves, stay_open)
            WITH ORDINALITY AS r (id, kind, debit_account, credit_account, amount, currency, ref, effective_at, actor_kind, actor_id, hold_id,
                                  reversal_of, expires_at, verdict, leader, reserve, stays_open, item)
        -- No look at what is there: an id that somebody else used meanwhile must fail here, and be judged again.
        WHERE r.leader = r.item
          AND (r.verdict IS NULL OR r.verdict IN ('insufficient_funds', 'balance_overflow', 'limit_exceeded', 'account_closed'))
    ), transfers AS (
        INSERT INTO ledger.transfer (id, kind, debit_account, credit_account, amount, currency, reference, effective_at, outcome,
                                     actor_kind, actor_id, hold_id, reversal_of, expires_at)
        SELECT d.id, d.kind, d.debit_account, d.credit_account, d.amount, d.currency, d.ref, d.effective, d.outcome, d.actor_kind, d.actor_id, d.hold_id, d.reversal_of, d.expires_at
        FROM decided AS d ORDER BY d.id
    ), side AS (
        SELECT d.debit_account AS account_id, 'debit' AS side, d.id AS transfer_id, d.amount, d.currency, d.effective, d.item
        FROM decided AS d WHERE d.outcome = 'posted'
        UNION ALL
        SELECT d.credit_account, 'credit', d.id, d.amount, d.currency, d.effective, d.item FROM decided AS d WHERE d.outcome = 'posted'
    ), numbered AS (
        SELECT s.*, CASE s.side WHEN a.normal_side THEN s.amount ELSE -s.amount END AS change,
            GREATEST(a.newest_at, public.stoa_now()) AS recorded_at, a.entry_count + row_number() OVER earlier AS number,
            a.posted + ledger.total(CASE s.side WHEN a.normal_side THEN s.amount ELSE -s.amount END) OVER earlier AS balance_after
        -- OFFSET 0 keeps it a look-up by key for each side, however small the table was when the plan was made.
        FROM side AS s CROSS JOIN LATERAL (SELECT * FROM ledger.account AS x WHERE x.id = s.account_id OFFSET 0) AS a
        WINDOW earlier AS (PARTITION BY s.account_id ORDER BY s.item ROWS UNBOUNDED PRECEDING)
    ), entries AS (
        INSERT INTO ledger.entry (account_id, number, transfer_id, side, amount, currency, balance_after, recorded_at, effective_at)
        SELECT n.account_id, n.number, n.transfer_id, n.side, n.amount, n.currency, n.balance_after, n.recorded_at, n.effective FROM numbered AS n
    ), reserved AS (
        SELECT d.debit_account AS account_id, d.id AS transfer_id, coalesce(d.hold_id, d.id) AS hold_id, d.outcome AS step, d.reserve AS amount,
            d.stays_open, d.expires_at, a.hold_entry_count + row_number() OVER earlier AS number,
            a.held + ledger.total(CASE d.outcome WHEN 'held' THEN d.reserve ELSE -d.reserve END) OVER earlier AS held_after
        FROM decided AS d CROSS JOIN LATERAL (SELECT * FROM ledger.account AS x WHERE x.id = d.debit_account OFFSET 0) AS a
        WHERE d.verdict IS NULL AND d.reserve IS NOT NULL
        WINDOW earlier AS (PARTITION BY d.debit_account ORDER BY d.item ROWS UNBOUNDED PRECEDING)
    ), hold_entries AS (
        INSERT INTO ledger.hold_entry (account_id, number, hold_id, step, transfer_id, amount, held_after)
        SELECT r.account_id, r.number, r.hold_id, r.step, r.transfer_id, r.amount, r.held_after FROM reserved AS r
    ), opened AS (
        INSERT INTO ledger.open_hold (id, account_id, amount, expires_at)
        SELECT r.hold_id, r.account_id, r.amount, r.expires_at FROM reserved AS r WHERE r.stays_open ORDER BY r.hold_id
    ), ended AS (
        DELETE FROM ledger.open_hold AS o WHERE o.id = ANY (ARRAY(SELECT r.hold_id FROM reserved AS r WHERE r.step <> 'held'))
    )
    UPDATE ledger.account AS a
    SET posted = a.posted + n.posted, entry_count = a.entry_count + n.entries, held = a.held + n.held, hold_entry_count = a.hold_entry_count + n.holds,
        newest_at = CASE WHEN n.entries > 0 THEN GREATEST(a.newest_at, public.stoa_now()) ELSE a.newest_at END
    FROM (SELECT m.account_id, ledger.total(m.posted) AS posted, sum(m.entries) AS entries, ledger.total(m.held) AS held, sum(m.holds) AS holds
          FROM (SELECT x.account_id, x.change AS posted, 1 AS entries, 0 AS held, 0 AS holds FROM numbered AS x
                UNION ALL
                SELECT r.account_id, 0, 0, CASE r.step WHEN 'held' THEN r.amount ELSE -r.amount END, 1 FROM reserved AS r) AS m
          GROUP BY m.account_id) AS n
    WHERE a.id = n.account_id;
END
$$;

-- Ends the holds of these accounts that have expired. The caller has locked the accounts.
--   count_max   at most so many, those that expired first; null for all
-- Returns how many.
CREATE FUNCTION ledger.release_expired(accounts uuid[], count_max integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    expired uuid[];
BEGIN
    expired := ARRAY(SELECT h.id
                     FROM (SELECT DISTINCT x.id FROM unnest(accounts) AS x (id)) AS u
                     CROSS JOIN LATERAL (SELECT o.id, o.expires_at FROM ledger.open_hold AS o
                                         WHERE o.account_id = u.id AND o.expires_at <= public.stoa_now() OFFSET 0) AS h
                     ORDER BY h.expires_at, h.id LIMIT count_max);
    IF cardinality(expired) = 0 THEN RETURN 0; END IF;
    WITH gone AS (
        DELETE FROM ledger.open_hold AS h WHERE h.id = ANY (expired) RETURNING h.id, h.account_id, h.amount
    ), numbered AS (
        SELECT g.id, g.account_id, g.amount, a.hold_entry_count + row_number() OVER earlier AS number,
            a.held - ledger.total(g.amount) OVER earlier AS held_after
        FROM gone AS g JOIN ledger.account AS a ON a.id = g.account_id
        WINDOW earlier AS (PARTITION BY g.account_id ORDER BY g.id ROWS UNBOUNDED PRECEDING)
    ), hold_entries AS (
        INSERT INTO ledger.hold_entry (account_id, number, hold_id, step, amount, held_after)
        SELECT n.account_id, n.number, n.id, 'expired', n.amount, n.held_after FROM numbered AS n
    )
    UPDATE ledger.account AS a SET held = a.held - n.amount, hold_entry_count = a.hold_entry_count + n.count
    FROM (SELECT g.account_id, ledger.total(g.amount) AS amount, count(*) AS count FROM gone AS g GROUP BY g.account_id) AS n
    WHERE a.id = n.account_id;
    RETURN cardinality(expired);
END
$$;

-- Ends holds that have expired, so that nobody who posts has to: the balances count them out already. At most count_max; returns how many.
CREATE FUNCTION ledger.expire_holds(count_max integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    accounts uuid[];
BEGIN
    accounts := ARRAY(SELECT DISTINCT d.account_id
                      FROM (SELECT h.account_id FROM ledger.open_hold AS h WHERE h.expires_at <= public.stoa_now()
                            ORDER BY h.expires_at LIMIT expire_holds.count_max) AS d);
    PERFORM a.id FROM ledger.account AS a WHERE a.id = ANY (accounts) ORDER BY a.id FOR NO KEY UPDATE;
    RETURN ledger.release_expired(accounts, expire_holds.count_max);
END
$$;

-- What an account's holds reserve now: not what has expired, whether or not somebody has ended it.
CREATE FUNCTION ledger.held_now(account uuid, held bigint) RETURNS bigint
    LANGUAGE sql STABLE
    RETURN held_now.held - (SELECT coalesce(sum(h.amount), 0)::bigint FROM ledger.open_hold AS h
                            WHERE h.account_id = held_now.account AND h.expires_at <= public.stoa_now());

-- Posts or voids a hold, or reverses a transfer, for a function that knows no more of it than its id: post_transfers with the accounts and
-- the currency of that transfer, in the transaction of the caller, who has decided who may.
--   kind     post_hold, void_hold or reversal
--   target   the hold, or what is reversed
--   amount   of a post_hold, where it is less than what is held; otherwise null
-- Returns the outcome, as post_transfers.
CREATE FUNCTION ledger.follow_up(id uuid, kind text, target uuid, amount bigint, reference text, actor_kind text, actor_id text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    original ledger.transfer;
    reverses CONSTANT boolean := follow_up.kind = 'reversal';
BEGIN
    SELECT t.* INTO original FROM ledger.transfer AS t WHERE t.id = follow_up.target;
    IF NOT FOUND THEN
        RETURN CASE WHEN reverses THEN 'original_unknown' ELSE 'hold_unknown' END;
    END IF;
    RETURN (
        SELECT p.outcome FROM ledger.post_transfers(
            ARRAY[follow_up.id], ARRAY[follow_up.kind],
            ARRAY[CASE WHEN reverses THEN original.credit_account ELSE original.debit_account END],
            ARRAY[CASE WHEN reverses THEN original.debit_account ELSE original.credit_account END],
            ARRAY[coalesce(follow_up.amount, original.amount)], ARRAY[original.currency], ARRAY[follow_up.reference], '{NULL}',
            ARRAY[follow_up.actor_kind], ARRAY[follow_up.actor_id],
            hold_ids => ARRAY[CASE WHEN NOT reverses THEN follow_up.target END], reversal_ofs => ARRAY[CASE WHEN reverses THEN follow_up.target END]) AS p);
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
-- Outcomes as above, and credential_invalid and scope_missing; an account of somebody else is as unknown as one that does not exist, and so is a position.
CREATE FUNCTION ledger.post(
    credentials bytea[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[],
    refs text[], effective_ats timestamptz[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamptz[])
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
        -- A batch has few askers: each is looked up once.
        LEFT JOIN (SELECT u.credential, p.client_id, p.organisation_id, p.may_post
                   FROM (SELECT DISTINCT x.credential FROM unnest(credentials) AS x (credential)) AS u
                   CROSS JOIN LATERAL (SELECT * FROM ledger.poster(u.credential) OFFSET 0) AS p) AS c ON c.credential = r.credential
        LEFT JOIN ledger.account AS d ON d.id = r.debit_account AND d.organisation_id = c.organisation_id AND c.may_post AND d.kind <> 'position'
        LEFT JOIN ledger.account AS k ON k.id = r.credit_account AND k.organisation_id = c.organisation_id AND c.may_post AND k.kind <> 'position';
    RETURN QUERY
        SELECT o.item,
            CASE WHEN clients[o.item] IS NULL THEN 'credential_invalid' WHEN NOT scoped[o.item] THEN 'scope_missing'
                 WHEN o.outcome = 'invalid' AND (foreign_debit OR foreign_credit) THEN 'account_unknown' ELSE o.outcome END,
            CASE WHEN clients[o.item] IS NULL OR NOT scoped[o.item] THEN NULL ELSE o.field END
        FROM ledger.post_transfers(ids, kinds, own_debits, own_credits, amounts, currencies, refs, effective_ats,
                array_fill('organisation'::text, ARRAY[cardinality(ids)]), clients, groups, hold_ids, reversal_ofs, expires_ats) AS o,
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
    RETURNS TABLE (standing text, kind text, currency text, posted bigint, held bigint, entry_count bigint, created_at timestamptz, closed_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT CASE WHEN p.client_id IS NULL THEN 'credential_invalid' WHEN NOT p.may_post THEN 'scope_missing'
                    WHEN a.id IS NULL THEN 'account_unknown' ELSE 'found' END,
            a.kind, a.currency, a.posted, ledger.held_now(a.id, a.held), a.entry_count, a.created_at, a.closed_at
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
-- What was held of a wallet that empties itself is free again: whoever held it is told so when it would post the hold.
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
        PERFORM ledger.release_expired(ARRAY[wallet.id], NULL);
        PERFORM ledger.follow_up(gen_random_uuid(), 'void_hold', h.id, NULL, 'Records joined', 'system', 'register')
            FROM (SELECT o.id FROM ledger.open_hold AS o WHERE o.account_id = wallet.id ORDER BY o.id) AS h;
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

-- The same for what a helper may see and pay with: also the resident for whom a helper acts in money. account_id is then the helper's.
CREATE FUNCTION ledger.payer(credential bytea, scopes text[]) RETURNS TABLE (resident_id uuid, account_id uuid, client_id text, mandate_id uuid, mandate_reference text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT h.resident_id, h.account_id, h.client_id, NULL::uuid, NULL::text FROM ledger.holder(payer.credential, payer.scopes) AS h
        UNION ALL
        SELECT p.resident_id, p.account_id, NULL::text, p.mandate_id, p.reference FROM mandates.person(payer.credential, 'money') AS p;
END
$$;

-- The resident's own wallets.
CREATE FUNCTION ledger.wallets_of(credential bytea) RETURNS TABLE (account_id uuid, currency text, posted bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT a.id, a.currency, a.posted
        FROM ledger.payer(wallets_of.credential, '{payments}') AS h JOIN ledger.account AS a ON a.resident_id = h.resident_id
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
            SELECT 'overdrawn', a.id::text, 'at least 0', (a.posted - a.held)::text FROM ledger.account AS a WHERE a.posted < a.held AND NOT a.may_go_negative
            UNION ALL
            SELECT 'entry_times', b.account_id || ' #' || b.number, 'not before ' || b.earlier, b.recorded_at::text
            FROM (SELECT e.account_id, e.number, e.recorded_at, lag(e.recorded_at) OVER (PARTITION BY e.account_id ORDER BY e.number) AS earlier
                  FROM ledger.entry AS e) AS b
            WHERE b.recorded_at < b.earlier
            UNION ALL
            SELECT 'held', a.id::text, coalesce(s.amount, 0) || ' in ' || coalesce(s.count, 0), a.held || ' in ' || a.hold_entry_count
            FROM ledger.account AS a
            LEFT JOIN (SELECT e.account_id, count(*) AS count, sum(CASE e.step WHEN 'held' THEN e.amount ELSE -e.amount END) AS amount
                       FROM ledger.hold_entry AS e GROUP BY e.account_id) AS s ON s.account_id = a.id
            WHERE (a.held, a.hold_entry_count) <> (coalesce(s.amount, 0), coalesce(s.count, 0))
            UNION ALL
            SELECT 'open_hold', coalesce(s.hold_id, o.id)::text, CASE WHEN s.hold_id IS NULL THEN 'ended' ELSE 'open' END,
                CASE WHEN o.id IS NULL THEN 'ended' ELSE 'open' END
            FROM (SELECT e.hold_id FROM ledger.hold_entry AS e GROUP BY e.hold_id HAVING count(*) = 1) AS s
            FULL JOIN ledger.open_hold AS o ON o.id = s.hold_id WHERE s.hold_id IS NULL OR o.id IS NULL
            UNION ALL
            SELECT 'hold_entries', t.id::text, 'an entry of the hold', 'none'
            FROM ledger.transfer AS t
            WHERE t.outcome IN ('held', 'voided', 'posted') AND t.kind IN ('hold', 'void_hold', 'post_hold')
              AND NOT EXISTS (SELECT FROM ledger.hold_entry AS e
                              WHERE e.hold_id = coalesce(t.hold_id, t.id) AND e.transfer_id = t.id AND e.step = t.outcome)
            UNION ALL
            SELECT 'reversal', t.id::text, 'the opposite of ' || t.reversal_of, t.amount::text
            FROM ledger.transfer AS t
            WHERE t.kind = 'reversal' AND t.outcome = 'posted'
              AND NOT EXISTS (SELECT FROM ledger.transfer AS o
                              WHERE o.id = t.reversal_of AND o.outcome = 'posted' AND o.amount = t.amount
                                AND (o.debit_account, o.credit_account) = (t.credit_account, t.debit_account))
        ) AS f
        LIMIT findings.count_max;
    END;
GRANT EXECUTE ON FUNCTION ledger.findings(integer) TO stoa_auditor;

ALTER FUNCTION ledger.post_transfers(uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], text[], text[], integer[], uuid[], uuid[],
    timestamptz[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.judge(uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], integer[], uuid[], uuid[], timestamptz[])
    OWNER TO stoa_door;
ALTER FUNCTION ledger.judge_in_order(text[], text[], integer[], uuid[], text[], uuid[], uuid[], bigint[], integer[], uuid[], uuid[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.write_transfers(uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], text[], text[], uuid[], uuid[], timestamptz[],
    text[], integer[], bigint[], boolean[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.closing_lock() OWNER TO stoa_door;
ALTER FUNCTION ledger.closed_until() OWNER TO stoa_door;
ALTER FUNCTION ledger.release_expired(uuid[], integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.expire_holds(integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.held_now(uuid, bigint) OWNER TO stoa_door;
ALTER FUNCTION ledger.follow_up(uuid, text, uuid, bigint, text, text, text) OWNER TO stoa_door;
ALTER FUNCTION ledger.poster(bytea) OWNER TO stoa_door;
ALTER FUNCTION ledger.post(bytea[], uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], integer[], uuid[], uuid[], timestamptz[])
    OWNER TO stoa_door;
ALTER FUNCTION ledger.open_organisation_account(bytea, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION ledger.organisation_account(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION ledger.organisation_entries(bytea, uuid, bigint, integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.open_account(uuid, text, text, uuid, text, text, boolean) OWNER TO stoa_door;
ALTER FUNCTION ledger.open_wallet(uuid, text) OWNER TO stoa_door;
ALTER FUNCTION ledger.follow_resident() OWNER TO stoa_door;
ALTER FUNCTION ledger.holder(bytea, text[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.payer(bytea, text[]) OWNER TO stoa_door;
ALTER FUNCTION ledger.wallets_of(bytea) OWNER TO stoa_door;
ALTER FUNCTION ledger.entries_of(bytea, text, bigint, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION
    ledger.post(bytea[], uuid[], text[], uuid[], uuid[], bigint[], text[], text[], timestamptz[], integer[], uuid[], uuid[], timestamptz[]),
    ledger.expire_holds(integer), ledger.open_organisation_account(bytea, uuid, text), ledger.organisation_account(bytea, uuid), ledger.organisation_entries(bytea, uuid, bigint, integer),
    ledger.wallets_of(bytea), ledger.entries_of(bytea, text, bigint, integer) TO stoa_app;
REVOKE CREATE ON SCHEMA ledger FROM stoa_door;
