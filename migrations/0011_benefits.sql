-- Benefits: money from the city to a resident, that one member of staff prepares and another approves.
-- What was prepared never changes; the decision about it is a row of its own, and there is one at most.
CREATE SCHEMA benefits;
GRANT USAGE ON SCHEMA benefits TO stoa_app, stoa_auditor, stoa_door;

CREATE TABLE benefits.programme (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{1,62}$'),
    name jsonb NOT NULL CHECK (jsonb_typeof(name -> 'en') = 'string'),
    -- What entitles people to it.
    law text NOT NULL CHECK (length(law) BETWEEN 3 AND 200),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- The treasury account of the ledger that pays for it.
    paid_from uuid NOT NULL REFERENCES ledger.account,
    -- More in one payment is a mistake of the keyboard.
    payment_max bigint NOT NULL CHECK (payment_max BETWEEN 1 AND 9007199254740991),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    closed_at timestamptz
);
GRANT SELECT ON benefits.programme TO stoa_app, stoa_auditor, stoa_door;

CREATE TABLE benefits.disbursement (
    id uuid PRIMARY KEY,
    programme_id text NOT NULL REFERENCES benefits.programme,
    resident_id uuid NOT NULL REFERENCES register.resident,
    -- The look-up in the access log that found the resident; null for the demo city.
    access_entry_id uuid,
    case_reference text NOT NULL CHECK (length(case_reference) BETWEEN 1 AND 64),
    currency text NOT NULL,
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    -- Shown to the resident and to the approver.
    reason text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    prepared_by uuid NOT NULL REFERENCES identity.staff,
    prepared_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (id, prepared_by)
);
CREATE INDEX disbursement_prepared ON benefits.disbursement (prepared_at, id);
CREATE INDEX disbursement_resident ON benefits.disbursement (resident_id);

-- Four eyes: whoever prepared it does not decide about it. The database says so, whoever writes.
CREATE TABLE benefits.decision (
    disbursement_id uuid PRIMARY KEY,
    prepared_by uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('approved', 'refused')),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    refusal_reason text CHECK (length(refusal_reason) BETWEEN 3 AND 500),
    transfer_id uuid UNIQUE REFERENCES ledger.transfer,
    CONSTRAINT decided_by_another CHECK (decided_by <> prepared_by),
    FOREIGN KEY (disbursement_id, prepared_by) REFERENCES benefits.disbursement (id, prepared_by),
    CHECK ((kind = 'approved') = (transfer_id IS NOT NULL)),
    CHECK ((kind = 'refused') = (refusal_reason IS NOT NULL))
);

CREATE TRIGGER disbursement_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON benefits.disbursement
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER decision_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON benefits.decision
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

GRANT CREATE ON SCHEMA benefits TO stoa_door;
GRANT SELECT, INSERT ON benefits.disbursement, benefits.decision TO stoa_door;
GRANT SELECT ON benefits.programme, benefits.disbursement, benefits.decision TO stoa_auditor;

-- Prepares a payment for the resident whom this caseworker has just found (nobody else can look a resident up): access_entry is the permitted, committed entry of that
-- look-up, and gives the resident and the case, so there is no payment to somebody who was not looked up under a reason. Outcomes:
-- prepared, exists (the same again), id_conflict, role_missing, lookup_missing, programme_unknown, amount_over_limit.
CREATE FUNCTION benefits.prepare(credential bytea, disbursement uuid, access_entry uuid, programme text, amount bigint, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    preparer uuid;
    lookup record;
    scheme record;
BEGIN
    SELECT s.staff_id INTO preparer FROM web.staff_with(prepare.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    -- A minute covers the way from the look-up to here; it is one request.
    SELECT e.subject_id, e.case_reference INTO lookup
        FROM access_log.entry AS e
        WHERE e.id = prepare.access_entry AND e.operation = 'search' AND e.outcome = 'permitted' AND e.actor_kind = 'staff'
          AND e.actor_id = preparer::text AND e.purpose = 'application' AND e.at > public.stoa_now() - interval '1 minute'
          AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned();
    IF NOT FOUND THEN RETURN 'lookup_missing'; END IF;
    SELECT p.currency, p.payment_max INTO scheme FROM benefits.programme AS p WHERE p.id = prepare.programme AND p.closed_at IS NULL;
    IF NOT FOUND THEN RETURN 'programme_unknown'; END IF;
    IF prepare.amount > scheme.payment_max THEN RETURN 'amount_over_limit'; END IF;

    INSERT INTO benefits.disbursement (id, programme_id, resident_id, access_entry_id, case_reference, currency, amount, reason, prepared_by)
        VALUES (prepare.disbursement, prepare.programme, lookup.subject_id, prepare.access_entry, lookup.case_reference, scheme.currency,
                prepare.amount, prepare.reason, preparer)
        ON CONFLICT ON CONSTRAINT disbursement_pkey DO NOTHING;
    IF FOUND THEN RETURN 'prepared'; END IF;
    RETURN CASE WHEN EXISTS (
        SELECT FROM benefits.disbursement AS d
        WHERE d.id = prepare.disbursement AND d.programme_id = prepare.programme AND d.resident_id = lookup.subject_id
          AND d.case_reference = lookup.case_reference AND d.amount = prepare.amount AND d.reason = prepare.reason AND d.prepared_by = preparer)
        THEN 'exists' ELSE 'id_conflict' END;
END
$$;

-- Approves: posts the transfer and records the decision in one transaction. Approved twice, it has one effect. Outcomes:
-- approved (resident, amount and language say what to write to whom; no language: no account), already_approved, already_refused, self_approval, insufficient_funds,
-- role_missing, disbursement_unknown.
CREATE FUNCTION benefits.approve(
    credential bytea, disbursement uuid, transfer uuid,
    OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT case_reference text, OUT language text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    approver uuid;
    prepared record;
    earlier text;
    posted text;
BEGIN
    SELECT s.staff_id INTO approver FROM web.staff_with(approve.credential, '{approver}') AS s;
    IF NOT FOUND THEN outcome := 'role_missing'; RETURN; END IF;
    -- The money goes where the resident is now, if a register record took the place of the one that was found.
    SELECT d.id, d.prepared_by, d.amount, d.currency, d.case_reference, p.paid_from, coalesce(r.superseded_by, r.id) AS resident_id INTO prepared
        FROM benefits.disbursement AS d JOIN benefits.programme AS p ON p.id = d.programme_id JOIN register.resident AS r ON r.id = d.resident_id
        WHERE d.id = approve.disbursement;
    IF NOT FOUND THEN outcome := 'disbursement_unknown'; RETURN; END IF;

    -- One decision at a time; the next one finds it. (Before any account, so that nobody waits crosswise.)
    PERFORM pg_advisory_xact_lock(hashtextextended('benefits.disbursement ' || prepared.id, 0));
    SELECT x.kind INTO earlier FROM benefits.decision AS x WHERE x.disbursement_id = prepared.id;
    IF FOUND THEN outcome := 'already_' || earlier; RETURN; END IF;
    IF prepared.prepared_by = approver THEN outcome := 'self_approval'; RETURN; END IF;

    SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[approve.transfer], '{post}', ARRAY[prepared.paid_from],
        ARRAY[ledger.open_wallet(prepared.resident_id, prepared.currency)], ARRAY[prepared.amount], ARRAY[prepared.currency],
        ARRAY[prepared.case_reference], '{NULL}', '{staff}', ARRAY[approver::text]) AS t;
    IF posted = 'insufficient_funds' THEN outcome := posted; RETURN; END IF;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused a benefit: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'benefit_posted';
    END IF;
    INSERT INTO benefits.decision (disbursement_id, prepared_by, kind, decided_by, transfer_id)
        VALUES (prepared.id, prepared.prepared_by, 'approved', approver, approve.transfer);
    outcome := 'approved';
    resident := prepared.resident_id;
    amount := prepared.amount;
    currency := prepared.currency;
    case_reference := prepared.case_reference;
    SELECT a.language INTO approve.language FROM identity.account AS a WHERE a.resident_id = prepared.resident_id;
END
$$;

-- Refuses, with a reason that whoever prepared it can read. Outcomes: refused, already_approved, already_refused, self_approval,
-- role_missing, disbursement_unknown.
CREATE FUNCTION benefits.refuse(credential bytea, disbursement uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    approver uuid;
    prepared record;
    earlier text;
BEGIN
    SELECT s.staff_id INTO approver FROM web.staff_with(refuse.credential, '{approver}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT d.id, d.prepared_by INTO prepared FROM benefits.disbursement AS d WHERE d.id = refuse.disbursement;
    IF NOT FOUND THEN RETURN 'disbursement_unknown'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('benefits.disbursement ' || prepared.id, 0));
    SELECT x.kind INTO earlier FROM benefits.decision AS x WHERE x.disbursement_id = prepared.id;
    IF FOUND THEN RETURN 'already_' || earlier; END IF;
    IF prepared.prepared_by = approver THEN RETURN 'self_approval'; END IF;
    INSERT INTO benefits.decision (disbursement_id, prepared_by, kind, decided_by, refusal_reason)
        VALUES (prepared.id, prepared.prepared_by, 'refused', approver, refuse.reason);
    RETURN 'refused';
END
$$;

-- What staff who prepare, approve or audit see of payments, newest first; one, where its id is given. The resident is named by the public
-- code that the preparer typed, and only on the page of one payment; nothing else about the resident is here.
CREATE FUNCTION benefits.disbursements_for(credential bytea, disbursement uuid, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, programme_id text, programme_name jsonb, law text, public_code text, case_reference text, currency text, amount bigint,
                   reason text, prepared_by_name text, prepared_by_me boolean, prepared_at timestamptz, decision text, decided_by_name text,
                   decided_at timestamptz, refusal_reason text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.programme_id, p.name, p.law, CASE WHEN disbursements_for.disbursement IS NOT NULL THEN r.public_code END,
            d.case_reference, d.currency, d.amount, d.reason, maker.display_name, maker.id = s.staff_id, d.prepared_at,
            x.kind, decider.display_name, x.decided_at, x.refusal_reason
        FROM web.staff_with(disbursements_for.credential, '{caseworker,finance_officer,approver,auditor}') AS s
        CROSS JOIN benefits.disbursement AS d
        JOIN benefits.programme AS p ON p.id = d.programme_id
        JOIN register.resident AS r ON r.id = d.resident_id
        JOIN identity.staff AS maker ON maker.id = d.prepared_by
        LEFT JOIN benefits.decision AS x ON x.disbursement_id = d.id
        LEFT JOIN identity.staff AS decider ON decider.id = x.decided_by
        WHERE (disbursements_for.disbursement IS NULL OR d.id = disbursements_for.disbursement)
          AND (disbursements_for.before_at IS NULL OR (d.prepared_at, d.id) < (disbursements_for.before_at, disbursements_for.before_id))
        ORDER BY d.prepared_at DESC, d.id DESC
        LIMIT LEAST(disbursements_for.page_size, 201);
END
$$;

-- How many payments wait for this approver, and since when; those that they prepared themselves wait for somebody else.
CREATE FUNCTION benefits.waiting_for(credential bytea) RETURNS TABLE (count bigint, oldest timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT count(*), min(d.prepared_at)
        FROM web.staff_with(waiting_for.credential, '{approver}') AS s JOIN benefits.disbursement AS d ON d.prepared_by <> s.staff_id
        WHERE NOT EXISTS (SELECT FROM benefits.decision AS x WHERE x.disbursement_id = d.id);
END
$$;
ALTER FUNCTION benefits.waiting_for(bytea) OWNER TO stoa_door;

-- What the resident whom the credential names was paid, newest first: a session, or an app's token with scope payments.
CREATE FUNCTION benefits.received_by(credential bytea, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (disbursement_id uuid, transfer_id uuid, programme_name jsonb, law text, currency text, amount bigint, reason text,
                   case_reference text, paid_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, x.transfer_id, p.name, p.law, d.currency, d.amount, d.reason, d.case_reference, x.decided_at
        FROM ledger.holder(received_by.credential, '{payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN benefits.disbursement AS d ON d.resident_id = r.id
        JOIN benefits.decision AS x ON x.disbursement_id = d.id AND x.kind = 'approved'
        JOIN benefits.programme AS p ON p.id = d.programme_id
        WHERE received_by.before_at IS NULL OR (x.decided_at, d.id) < (received_by.before_at, received_by.before_id)
        ORDER BY x.decided_at DESC, d.id DESC
        LIMIT LEAST(received_by.page_size, 200);
END
$$;

ALTER FUNCTION benefits.prepare(bytea, uuid, uuid, text, bigint, text) OWNER TO stoa_door;
ALTER FUNCTION benefits.approve(bytea, uuid, uuid) OWNER TO stoa_door;
ALTER FUNCTION benefits.refuse(bytea, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION benefits.disbursements_for(bytea, uuid, timestamptz, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION benefits.received_by(bytea, timestamptz, uuid, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION benefits.prepare(bytea, uuid, uuid, text, bigint, text), benefits.approve(bytea, uuid, uuid),
    benefits.refuse(bytea, uuid, text), benefits.disbursements_for(bytea, uuid, timestamptz, uuid, integer), benefits.received_by(bytea, timestamptz, uuid, integer),
    benefits.waiting_for(bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA benefits FROM stoa_door;
