-- "Something is wrong": a resident says that a bill, a payment or a benefit is not right; a caseworker looks into it within the time of its
-- category, both write to each other, and a decision closes it. A refund leaves only when a finance officer approves what somebody else
-- decided. What is written is sealed under the resident's key; staff read it under a committed view of the record for the reason `complaint`.
CREATE SCHEMA disputes;
GRANT USAGE ON SCHEMA disputes TO stoa_app, stoa_auditor, stoa_door;

-- What can be wrong, with what, and within how many days somebody answers. Money that does not come is somebody's food.
CREATE TABLE disputes.category (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z_]{1,39}$'),
    about text[] NOT NULL CHECK (cardinality(about) >= 1 AND about <@ ARRAY['bill', 'payment', 'benefit']),
    days_max integer NOT NULL CHECK (days_max BETWEEN 1 AND 60),
    law text NOT NULL CHECK (length(law) BETWEEN 3 AND 200),
    -- Where it stands in the list to choose from.
    position integer NOT NULL UNIQUE
);
INSERT INTO disputes.category (id, about, days_max, law, position) VALUES
    ('not_received', '{benefit}', 3, 'Social Services Act § 31', 1),
    ('wrong_amount', '{bill,payment,benefit}', 15, 'Administrative Procedure Act § 24', 2),
    ('not_mine', '{bill,payment}', 15, 'Administrative Procedure Act § 24', 3),
    ('paid_twice', '{payment}', 10, 'Administrative Procedure Act § 24', 4),
    ('fee', '{payment}', 10, 'Administrative Procedure Act § 24', 5),
    ('cannot_pay', '{bill}', 10, 'Administrative Procedure Act § 24', 6),
    ('something_else', '{bill,payment,benefit}', 30, 'Administrative Procedure Act § 24', 7);
GRANT SELECT ON disputes.category TO stoa_app, stoa_auditor, stoa_door;

CREATE TABLE disputes.dispute (
    id uuid PRIMARY KEY,
    -- What both sides quote: the form of a public code, drawn apart.
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    -- Who complains, and under whose key the words are sealed.
    resident_id uuid NOT NULL REFERENCES register.resident,
    about_kind text NOT NULL CHECK (about_kind IN ('bill', 'payment', 'benefit')),
    about_id uuid NOT NULL,
    category text NOT NULL REFERENCES disputes.category,
    opened_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    due_at timestamptz NOT NULL CHECK (due_at > opened_at)
);
CREATE INDEX dispute_due ON disputes.dispute (due_at, id);
CREATE INDEX dispute_resident ON disputes.dispute (resident_id, opened_at, id);
CREATE INDEX dispute_about ON disputes.dispute (about_kind, about_id);

-- What both sides write, the resident's first words included.
CREATE TABLE disputes.message (
    id uuid PRIMARY KEY,
    dispute_id uuid NOT NULL REFERENCES disputes.dispute,
    -- Null: the resident.
    written_by uuid REFERENCES identity.staff,
    sealed_words bytea NOT NULL CHECK (octet_length(sealed_words) BETWEEN 29 AND 4096),
    written_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX message_dispute ON disputes.message (dispute_id, written_at, id);

-- What was found. One with a refund waits for its approval; one whose refund was refused is void, and another may follow.
CREATE TABLE disputes.decision (
    id uuid PRIMARY KEY,
    dispute_id uuid NOT NULL REFERENCES disputes.dispute,
    number integer NOT NULL CHECK (number BETWEEN 1 AND 20),
    finding text NOT NULL CHECK (finding IN ('upheld', 'partly_upheld', 'rejected')),
    -- Minor units of the payment's currency, back into the resident's wallet.
    refund bigint CHECK (refund BETWEEN 1 AND 9007199254740991),
    -- To the resident.
    sealed_words bytea NOT NULL CHECK (octet_length(sealed_words) BETWEEN 29 AND 4096),
    -- To whoever approves the refund, who does not open the record.
    grounds text CHECK (length(grounds) BETWEEN 3 AND 500),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (dispute_id, number),
    UNIQUE (id, decided_by),
    CONSTRAINT nothing_back_for_nothing CHECK (refund IS NULL OR finding <> 'rejected'),
    CONSTRAINT refund_with_grounds CHECK ((refund IS NULL) = (grounds IS NULL))
);

-- Four eyes: whoever decided about a refund does not approve it. The database says so, whoever writes.
CREATE TABLE disputes.approval (
    decision_id uuid PRIMARY KEY,
    decided_by uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('approved', 'refused')),
    approved_by uuid NOT NULL REFERENCES identity.staff,
    approved_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    refusal_reason text CHECK (length(refusal_reason) BETWEEN 3 AND 500),
    transfer_id uuid UNIQUE REFERENCES ledger.transfer,
    CONSTRAINT refund_approved_by_another CHECK (approved_by <> decided_by),
    FOREIGN KEY (decision_id, decided_by) REFERENCES disputes.decision (id, decided_by),
    CHECK ((kind = 'approved') = (transfer_id IS NOT NULL)),
    CHECK ((kind = 'refused') = (refusal_reason IS NOT NULL))
);

-- The time was over before anybody decided: the resident was told, and auditors see it.
CREATE TABLE disputes.escalation (
    dispute_id uuid PRIMARY KEY REFERENCES disputes.dispute,
    escalated_at timestamptz NOT NULL DEFAULT public.stoa_now()
);

CREATE TRIGGER dispute_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes.dispute
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER message_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes.message
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER decision_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes.decision
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER approval_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes.approval
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER escalation_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes.escalation
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- How far each dispute has come: the last decision counts, unless its refund was refused.
CREATE VIEW disputes.standing AS
    SELECT d.id AS dispute_id,
        CASE WHEN x.id IS NULL OR a.kind = 'refused' THEN 'open' WHEN x.refund IS NOT NULL AND a.kind IS NULL THEN 'approval' ELSE x.finding END AS state,
        CASE WHEN a.kind IS DISTINCT FROM 'refused' THEN x.id END AS decision_id,
        CASE WHEN x.refund IS NULL THEN x.decided_at WHEN a.kind = 'approved' THEN a.approved_at END AS closed_at,
        CASE WHEN a.kind = 'approved' THEN x.refund END AS refunded
    FROM disputes.dispute AS d
    LEFT JOIN LATERAL (SELECT y.* FROM disputes.decision AS y WHERE y.dispute_id = d.id ORDER BY y.number DESC LIMIT 1) AS x ON true
    LEFT JOIN disputes.approval AS a ON a.decision_id = x.id;

-- What decisions of disputes give back of something, or may: refunds that wait count.
CREATE FUNCTION disputes.refunded(about_kind text, about_id uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(sum(x.refund), 0)::bigint FROM disputes.dispute AS d JOIN disputes.decision AS x ON x.dispute_id = d.id
            LEFT JOIN disputes.approval AS a ON a.decision_id = x.id
            WHERE d.about_kind = refunded.about_kind AND d.about_id = refunded.about_id AND a.kind IS DISTINCT FROM 'refused');
END
$$;

-- One decision at a time, and never more back than was paid, whatever function it comes through: refunds that wait count, over all disputes
-- about the same payment, and what its provider gave back.
CREATE FUNCTION disputes.check_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    about record;
BEGIN
    SELECT d.about_kind, d.about_id INTO about FROM disputes.dispute AS d WHERE d.id = NEW.dispute_id;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.about ' || about.about_id, 0));
    IF (SELECT s.state FROM disputes.standing AS s WHERE s.dispute_id = NEW.dispute_id) <> 'open' THEN
        RAISE EXCEPTION 'a dispute is decided once' USING ERRCODE = 'unique_violation', CONSTRAINT = 'dispute_decided_once';
    END IF;
    IF NEW.refund IS NOT NULL AND NEW.refund + disputes.refunded('payment', about.about_id)
            + coalesce((SELECT sum(f.amount) FROM payments.refund AS f WHERE f.payment_id = about.about_id), 0)
        > coalesce((SELECT p.gross FROM payments.payment AS p WHERE p.id = about.about_id AND about.about_kind = 'payment'), 0) THEN
        RAISE EXCEPTION 'no more is paid back than was paid' USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_within_payment';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER decision_follows_rules BEFORE INSERT ON disputes.decision
    FOR EACH ROW EXECUTE FUNCTION disputes.check_decision();

GRANT CREATE ON SCHEMA disputes TO stoa_door;
GRANT SELECT, INSERT ON disputes.dispute, disputes.message, disputes.decision, disputes.approval, disputes.escalation TO stoa_door;
GRANT SELECT ON disputes.standing TO stoa_door;
ALTER FUNCTION disputes.check_decision() OWNER TO stoa_door;

-- What can be disputed of a resident: the thing's own reference, what it is called and what it was worth. No row for what is somebody else's.
CREATE FUNCTION disputes.thing(resident uuid, kind text, id uuid) RETURNS TABLE (reference text, title jsonb, currency text, amount bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.reference, b.title, b.currency, b.amount FROM payments.bill AS b JOIN register.resident AS r ON r.id = b.resident_id
        WHERE thing.kind = 'bill' AND b.id = thing.id AND thing.resident IN (r.id, r.superseded_by)
        UNION ALL
        SELECT p.receipt_code, b.title, p.currency, p.gross
        FROM payments.payment AS p JOIN payments.bill AS b ON b.id = p.bill_id JOIN register.resident AS r ON r.id = b.resident_id
        WHERE thing.kind = 'payment' AND p.id = thing.id AND thing.resident IN (r.id, r.superseded_by)
        UNION ALL
        SELECT d.case_reference, s.name, d.currency, d.amount
        FROM benefits.disbursement AS d JOIN benefits.decision AS x ON x.disbursement_id = d.id AND x.kind = 'approved'
        JOIN benefits.programme AS s ON s.id = d.programme_id JOIN register.resident AS r ON r.id = d.resident_id
        WHERE thing.kind = 'benefit' AND d.id = thing.id AND thing.resident IN (r.id, r.superseded_by);
END
$$;
ALTER FUNCTION disputes.thing(uuid, text, uuid) OWNER TO stoa_door;

-- What the caller may dispute, before the form is shown: session, or an app's token with scope payments.
CREATE FUNCTION disputes.own_thing(credential bytea, kind text, id uuid) RETURNS TABLE (reference text, title jsonb, currency text, amount bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT t.* FROM ledger.holder(own_thing.credential, '{payments}') AS h
        CROSS JOIN LATERAL disputes.thing(h.resident_id, own_thing.kind, own_thing.id) AS t;
END
$$;
ALTER FUNCTION disputes.own_thing(bytea, text, uuid) OWNER TO stoa_door;

-- Opens a dispute with its first words. The same id again is the same dispute. Outcomes: opened (resident says whom to tell; null when it
-- stood already), already_open (dispute says which), thing_unknown, category_unknown, too_many (twenty are open), credential_invalid.
CREATE FUNCTION disputes.open(
    credential bytea, id uuid, reference text, about_kind text, about_id uuid, category text, message uuid, sealed_words bytea,
    OUT outcome text, OUT dispute uuid, OUT resident uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder uuid := (SELECT h.resident_id FROM ledger.holder(open.credential, '{payments}') AS h);
    days integer;
BEGIN
    IF holder IS NULL THEN outcome := 'credential_invalid'; RETURN; END IF;
    PERFORM FROM disputes.thing(holder, open.about_kind, open.about_id);
    IF NOT FOUND THEN outcome := 'thing_unknown'; RETURN; END IF;
    SELECT c.days_max INTO days FROM disputes.category AS c WHERE c.id = open.category AND open.about_kind = ANY (c.about);
    IF NOT FOUND THEN outcome := 'category_unknown'; RETURN; END IF;
    -- One after the other, so that what is open is counted right.
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.resident ' || holder, 0));
    SELECT d.id INTO dispute FROM disputes.dispute AS d WHERE d.id = open.id AND d.resident_id = holder
        AND d.about_kind = open.about_kind AND d.about_id = open.about_id AND d.category = open.category;
    IF FOUND THEN outcome := 'opened'; RETURN; END IF;
    SELECT d.id INTO dispute
        FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
        WHERE d.about_kind = open.about_kind AND d.about_id = open.about_id AND s.closed_at IS NULL;
    IF FOUND THEN outcome := 'already_open'; RETURN; END IF;
    -- More than twenty at once is one matter, which one conversation settles sooner.
    IF (SELECT count(*) FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
            WHERE d.resident_id = holder AND s.closed_at IS NULL) >= 20 THEN
        outcome := 'too_many';
        RETURN;
    END IF;
    INSERT INTO disputes.dispute (id, reference, resident_id, about_kind, about_id, category, due_at)
        VALUES (open.id, open.reference, holder, open.about_kind, open.about_id, open.category, public.stoa_now() + days * interval '1 day');
    INSERT INTO disputes.message (id, dispute_id, sealed_words) VALUES (open.message, open.id, open.sealed_words);
    outcome := 'opened';
    dispute := open.id;
    resident := holder;
END
$$;
ALTER FUNCTION disputes.open(bytea, uuid, text, text, uuid, text, uuid, bytea) OWNER TO stoa_door;

-- The caller's disputes without their words, newest first; one, where its id is given. A decision that waits for its approval is not told yet.
CREATE FUNCTION disputes.own(credential bytea, wanted uuid, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, reference text, about_kind text, about_id uuid, about_reference text, title jsonb, currency text, amount bigint,
                   category text, law text, opened_at timestamptz, due_at timestamptz, is_late boolean, state text, closed_at timestamptz, refunded bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.reference, d.about_kind, d.about_id, t.reference, t.title, t.currency, t.amount, d.category, c.law, d.opened_at, d.due_at,
            s.closed_at IS NULL AND d.due_at < public.stoa_now(), CASE s.state WHEN 'approval' THEN 'open' ELSE s.state END, s.closed_at, s.refunded
        FROM ledger.holder(own.credential, '{payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN disputes.dispute AS d ON d.resident_id = r.id
        JOIN disputes.category AS c ON c.id = d.category
        JOIN disputes.standing AS s ON s.dispute_id = d.id
        CROSS JOIN LATERAL disputes.thing(h.resident_id, d.about_kind, d.about_id) AS t
        WHERE (own.wanted IS NULL OR d.id = own.wanted)
          AND (own.before_at IS NULL OR (d.opened_at, d.id) < (own.before_at, own.before_id))
        ORDER BY d.opened_at DESC, d.id DESC LIMIT LEAST(own.page_size, 201);
END
$$;
ALTER FUNCTION disputes.own(bytea, uuid, timestamptz, uuid, integer) OWNER TO stoa_door;

-- The words of a dispute in their order, decisions last, with the key that they are sealed under.
CREATE FUNCTION disputes.words(dispute uuid, with_untold boolean)
    RETURNS TABLE (id uuid, is_decision boolean, author text, sealed_words bytea, at timestamptz, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT w.id, w.is_decision, w.author, w.sealed_words, w.at, d.resident_id, k.key_id, k.wrapped_key
        FROM disputes.dispute AS d
        JOIN register.data_key AS k ON k.resident_id = d.resident_id
        JOIN disputes.standing AS s ON s.dispute_id = d.id
        CROSS JOIN LATERAL (
            SELECT m.id, false AS is_decision, CASE WHEN m.written_by IS NULL THEN 'resident' ELSE 'city' END AS author, m.sealed_words, m.written_at AS at
            FROM disputes.message AS m WHERE m.dispute_id = d.id
            UNION ALL
            SELECT x.id, true, 'city', x.sealed_words, x.decided_at FROM disputes.decision AS x
            WHERE x.id = s.decision_id AND (with_untold OR s.closed_at IS NOT NULL)) AS w
        WHERE d.id = words.dispute
        ORDER BY w.is_decision, w.at, w.id;
END
$$;
ALTER FUNCTION disputes.words(uuid, boolean) OWNER TO stoa_door;

-- The words of the caller's own dispute, once that look is in the caller's log.
CREATE FUNCTION disputes.own_words(credential bytea, dispute uuid)
    RETURNS TABLE (id uuid, is_decision boolean, author text, sealed_words bytea, at timestamptz, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT w.* FROM ledger.holder(own_words.credential, '{payments}') AS h
        JOIN access_log.own_view AS v ON v.credential = own_words.credential AND v.kind = 'payments' AND v.subject_id = h.resident_id
        JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN disputes.dispute AS d ON d.resident_id = r.id AND d.id = own_words.dispute
        CROSS JOIN LATERAL disputes.words(d.id, false) AS w;
END
$$;
ALTER FUNCTION disputes.own_words(bytea, uuid) OWNER TO stoa_door;

-- Adds a message; the same id again is the same message. Fifty are more than a letter could hold. Outcomes: written, closed, too_many.
CREATE FUNCTION disputes.add(message uuid, dispute uuid, author uuid, sealed_words bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.dispute ' || add.dispute, 0));
    IF EXISTS (SELECT FROM disputes.message AS m WHERE m.id = add.message AND m.dispute_id = add.dispute AND m.written_by IS NOT DISTINCT FROM add.author) THEN
        RETURN 'written';
    END IF;
    IF (SELECT s.closed_at FROM disputes.standing AS s WHERE s.dispute_id = add.dispute) IS NOT NULL THEN RETURN 'closed'; END IF;
    IF (SELECT count(*) FROM disputes.message AS m WHERE m.dispute_id = add.dispute) >= 50 THEN RETURN 'too_many'; END IF;
    INSERT INTO disputes.message (id, dispute_id, written_by, sealed_words) VALUES (add.message, add.dispute, add.author, add.sealed_words);
    RETURN 'written';
END
$$;
ALTER FUNCTION disputes.add(uuid, uuid, uuid, bytea) OWNER TO stoa_door;

-- The resident writes. Outcomes: as disputes.add, and dispute_unknown.
CREATE FUNCTION disputes.write(credential bytea, dispute uuid, message uuid, sealed_words bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM disputes.own(write.credential, write.dispute, NULL, NULL, 1);
    IF NOT FOUND THEN RETURN 'dispute_unknown'; END IF;
    RETURN disputes.add(write.message, write.dispute, NULL, write.sealed_words);
END
$$;
ALTER FUNCTION disputes.write(bytea, uuid, uuid, bytea) OWNER TO stoa_door;

-- What waits for caseworkers, the most urgent first, or the one whose reference is wanted: without its words, and not of people who were
-- erased, whose words nobody can read any more. The resident is here as the id that the door looks up.
CREATE FUNCTION disputes.waiting(credential bytea, wanted text)
    RETURNS TABLE (reference text, category text, about_kind text, opened_at timestamptz, due_at timestamptz, is_late boolean,
                   waits_for_resident boolean, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.reference, d.category, d.about_kind, d.opened_at, d.due_at, d.due_at < public.stoa_now(), newest.written_by IS NOT NULL,
            coalesce(r.superseded_by, r.id)
        FROM web.staff_with(waiting.credential, '{caseworker}') AS w
        CROSS JOIN disputes.dispute AS d
        JOIN disputes.standing AS s ON s.dispute_id = d.id AND s.state = 'open'
        JOIN register.resident AS r ON r.id = d.resident_id
        JOIN register.data_key AS k ON k.resident_id = d.resident_id
        CROSS JOIN LATERAL (SELECT m.written_by FROM disputes.message AS m WHERE m.dispute_id = d.id ORDER BY m.written_at DESC, m.id DESC LIMIT 1) AS newest
        WHERE waiting.wanted IS NULL OR d.reference = waiting.wanted
        ORDER BY d.due_at, d.id LIMIT 100;
END
$$;
ALTER FUNCTION disputes.waiting(bytea, text) OWNER TO stoa_door;

-- The dispute that the caller's own view of the record, just committed, was made for.
CREATE FUNCTION disputes.under(credential bytea, view_entry uuid)
    RETURNS TABLE (id uuid, reference text, about_kind text, about_id uuid, about_reference text, title jsonb, currency text, amount bigint,
                   category text, law text, opened_at timestamptz, due_at timestamptz, is_late boolean, state text, closed_at timestamptz, refunded bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.reference, d.about_kind, d.about_id, t.reference, t.title, t.currency, t.amount, d.category, c.law, d.opened_at, d.due_at,
            d.due_at < public.stoa_now(), s.state, s.closed_at, s.refunded
        FROM web.staff_with(under.credential, '{caseworker}') AS w
        JOIN access_log.entry AS viewed ON viewed.id = under.view_entry AND viewed.actor_kind = 'staff' AND viewed.actor_id = w.staff_id::text
            AND viewed.operation = 'view' AND viewed.purpose = 'complaint' AND viewed.outcome = 'permitted'
            AND viewed.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND viewed.at > public.stoa_now() - interval '5 seconds'
        JOIN disputes.dispute AS d ON d.reference = viewed.case_reference
        JOIN disputes.category AS c ON c.id = d.category
        JOIN register.resident AS r ON r.id = d.resident_id AND viewed.subject_id IN (r.id, r.superseded_by)
        JOIN disputes.standing AS s ON s.dispute_id = d.id
        CROSS JOIN LATERAL disputes.thing(viewed.subject_id, d.about_kind, d.about_id) AS t;
END
$$;
ALTER FUNCTION disputes.under(bytea, uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.words_under(credential bytea, view_entry uuid)
    RETURNS TABLE (id uuid, is_decision boolean, author text, sealed_words bytea, at timestamptz, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT w.* FROM disputes.under(words_under.credential, words_under.view_entry) AS u CROSS JOIN LATERAL disputes.words(u.id, true) AS w;
END
$$;
ALTER FUNCTION disputes.words_under(bytea, uuid) OWNER TO stoa_door;

-- Who of the staff has looked into this dispute within the hour, and so may write about it; null: nobody whom the credential names.
CREATE FUNCTION disputes.handler(credential bytea, dispute uuid, OUT staff_id uuid, OUT resident uuid, OUT reference text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT w.staff_id, coalesce(r.superseded_by, r.id), d.reference INTO handler.staff_id, handler.resident, handler.reference
        FROM web.staff_with(handler.credential, '{caseworker}') AS w
        CROSS JOIN disputes.dispute AS d JOIN register.resident AS r ON r.id = d.resident_id
        WHERE d.id = handler.dispute AND EXISTS (
            SELECT FROM access_log.entry AS viewed
            WHERE viewed.subject_id IN (r.id, r.superseded_by) AND viewed.at > public.stoa_now() - interval '1 hour'
              AND viewed.actor_kind = 'staff' AND viewed.actor_id = w.staff_id::text AND viewed.operation = 'view' AND viewed.outcome = 'permitted'
              AND viewed.purpose = 'complaint' AND viewed.case_reference = d.reference
              AND viewed.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned());
END
$$;
ALTER FUNCTION disputes.handler(bytea, uuid) OWNER TO stoa_door;

-- The city writes. Outcomes: as disputes.add (resident says whom to tell), and not_allowed.
CREATE FUNCTION disputes.reply(credential bytea, dispute uuid, message uuid, sealed_words bytea, OUT outcome text, OUT resident uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT h.* INTO who FROM disputes.handler(reply.credential, reply.dispute) AS h;
    IF who.staff_id IS NULL THEN outcome := 'not_allowed'; RETURN; END IF;
    IF EXISTS (SELECT FROM disputes.message AS m WHERE m.id = reply.message) THEN outcome := 'written'; RETURN; END IF;
    outcome := disputes.add(reply.message, reply.dispute, who.staff_id, reply.sealed_words);
    IF outcome = 'written' THEN resident := who.resident; END IF;
END
$$;
ALTER FUNCTION disputes.reply(bytea, uuid, uuid, bytea) OWNER TO stoa_door;

-- Decides. Outcomes: decided (resident says whom to tell), approval_needed, already_decided, refund_too_high, not_allowed. The same id again
-- is the same decision.
CREATE FUNCTION disputes.decide(
    credential bytea, dispute uuid, decision uuid, finding text, refund bigint, sealed_words bytea, grounds text,
    OUT outcome text, OUT resident uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
    broken text;
BEGIN
    SELECT h.* INTO who FROM disputes.handler(decide.credential, decide.dispute) AS h;
    IF who.staff_id IS NULL THEN outcome := 'not_allowed'; RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.dispute ' || decide.dispute, 0));
    IF EXISTS (SELECT FROM disputes.decision AS x WHERE x.id = decide.decision) THEN outcome := 'already_decided'; RETURN; END IF;
    BEGIN
        INSERT INTO disputes.decision (id, dispute_id, number, finding, refund, sealed_words, grounds, decided_by)
            SELECT decide.decision, decide.dispute, count(*) + 1, decide.finding, decide.refund, decide.sealed_words, decide.grounds, who.staff_id
            FROM disputes.decision AS x WHERE x.dispute_id = decide.dispute;
    EXCEPTION WHEN unique_violation OR check_violation THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
        outcome := CASE broken WHEN 'dispute_decided_once' THEN 'already_decided' WHEN 'refund_within_payment' THEN 'refund_too_high' END;
        IF outcome IS NULL THEN RAISE; END IF;
        RETURN;
    END;
    IF decide.refund IS NOT NULL THEN outcome := 'approval_needed'; RETURN; END IF;
    outcome := 'decided';
    resident := who.resident;
END
$$;
ALTER FUNCTION disputes.decide(bytea, uuid, uuid, text, bigint, bytea, text) OWNER TO stoa_door;

-- The refunds that wait for a finance officer, the oldest first; one, where its dispute is wanted.
CREATE FUNCTION disputes.refunds_waiting(credential bytea, wanted text)
    RETURNS TABLE (decision_id uuid, reference text, category text, about_reference text, paid bigint, refund bigint, currency text, finding text,
                   grounds text, decided_by_name text, decided_by_me boolean, decided_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT x.id, d.reference, d.category, p.receipt_code, p.gross, x.refund, p.currency, x.finding, x.grounds, maker.display_name,
            x.decided_by = w.staff_id, x.decided_at
        FROM web.staff_with(refunds_waiting.credential, '{finance_officer}') AS w
        CROSS JOIN disputes.decision AS x
        JOIN disputes.dispute AS d ON d.id = x.dispute_id
        JOIN payments.payment AS p ON p.id = d.about_id
        JOIN identity.staff AS maker ON maker.id = x.decided_by
        WHERE x.refund IS NOT NULL AND NOT EXISTS (SELECT FROM disputes.approval AS a WHERE a.decision_id = x.id)
          AND (refunds_waiting.wanted IS NULL OR d.reference = refunds_waiting.wanted)
        ORDER BY x.decided_at, x.id LIMIT 100;
END
$$;
ALTER FUNCTION disputes.refunds_waiting(bytea, text) OWNER TO stoa_door;

-- Approves a refund: what the bill's revenue account received goes back into the resident's wallet, in the transaction that says so. Outcomes:
-- approved (resident, amount, currency, reference and language say what to write to whom), already_decided, self_approval,
-- insufficient_funds, role_missing.
CREATE FUNCTION disputes.approve_refund(
    credential bytea, decision uuid, transfer uuid,
    OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    approver uuid := (SELECT w.staff_id FROM web.staff_with(approve_refund.credential, '{finance_officer}') AS w);
    decided record;
    posted text;
BEGIN
    IF approver IS NULL THEN outcome := 'role_missing'; RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.decision ' || approve_refund.decision, 0));
    SELECT x.decided_by, x.refund, d.reference, p.currency, b.pays_into, coalesce(r.superseded_by, r.id) AS resident_id INTO decided
        FROM disputes.decision AS x JOIN disputes.dispute AS d ON d.id = x.dispute_id
        JOIN payments.payment AS p ON p.id = d.about_id JOIN payments.bill AS b ON b.id = p.bill_id
        JOIN register.resident AS r ON r.id = d.resident_id
        WHERE x.id = approve_refund.decision AND x.refund IS NOT NULL
          AND NOT EXISTS (SELECT FROM disputes.approval AS a WHERE a.decision_id = x.id);
    IF NOT FOUND THEN outcome := 'already_decided'; RETURN; END IF;
    IF decided.decided_by = approver THEN outcome := 'self_approval'; RETURN; END IF;
    SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[approve_refund.transfer], '{post}', ARRAY[decided.pays_into],
        ARRAY[ledger.open_wallet(decided.resident_id, decided.currency)], ARRAY[decided.refund], ARRAY[decided.currency],
        ARRAY[decided.reference], '{NULL}', '{staff}', ARRAY[approver::text]) AS t;
    IF posted = 'insufficient_funds' THEN outcome := posted; RETURN; END IF;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused a refund: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_posted';
    END IF;
    INSERT INTO disputes.approval (decision_id, decided_by, kind, approved_by, transfer_id)
        VALUES (approve_refund.decision, decided.decided_by, 'approved', approver, approve_refund.transfer);
    outcome := 'approved';
    resident := decided.resident_id;
    amount := decided.refund;
    currency := decided.currency;
    reference := decided.reference;
    SELECT a.language INTO approve_refund.language FROM identity.account AS a WHERE a.resident_id = decided.resident_id;
END
$$;
ALTER FUNCTION disputes.refunded(text, uuid) OWNER TO stoa_door;
ALTER FUNCTION disputes.approve_refund(bytea, uuid, uuid) OWNER TO stoa_door;

-- Refuses a refund, with a reason for whoever decided: the dispute is open again. Outcomes: refused, already_decided, self_approval, role_missing.
CREATE FUNCTION disputes.refuse_refund(credential bytea, decision uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    approver uuid := (SELECT w.staff_id FROM web.staff_with(refuse_refund.credential, '{finance_officer}') AS w);
    decider uuid;
BEGIN
    IF approver IS NULL THEN RETURN 'role_missing'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.decision ' || refuse_refund.decision, 0));
    SELECT x.decided_by INTO decider FROM disputes.decision AS x
        WHERE x.id = refuse_refund.decision AND x.refund IS NOT NULL AND NOT EXISTS (SELECT FROM disputes.approval AS a WHERE a.decision_id = x.id);
    IF NOT FOUND THEN RETURN 'already_decided'; END IF;
    IF decider = approver THEN RETURN 'self_approval'; END IF;
    INSERT INTO disputes.approval (decision_id, decided_by, kind, approved_by, refusal_reason)
        VALUES (refuse_refund.decision, decider, 'refused', approver, refuse_refund.reason);
    RETURN 'refused';
END
$$;
ALTER FUNCTION disputes.refuse_refund(bytea, uuid, text) OWNER TO stoa_door;

-- Why a refund of this dispute was refused, for the caseworkers who decide again.
CREATE FUNCTION disputes.refused_refunds(credential bytea, dispute uuid) RETURNS TABLE (refund bigint, currency text, reason text, refused_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT x.refund, p.currency, a.refusal_reason, a.approved_at
        FROM web.staff_with(refused_refunds.credential, '{caseworker}') AS w
        CROSS JOIN disputes.decision AS x JOIN disputes.dispute AS d ON d.id = x.dispute_id
        JOIN payments.payment AS p ON p.id = d.about_id
        JOIN disputes.approval AS a ON a.decision_id = x.id AND a.kind = 'refused'
        WHERE d.id = refused_refunds.dispute ORDER BY x.number;
END
$$;
ALTER FUNCTION disputes.refused_refunds(bytea, uuid) OWNER TO stoa_door;

-- Escalates what is overdue, each once: the resident is told in the same transaction.
CREATE FUNCTION disputes.escalate(disputes_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    escalated integer;
BEGIN
    WITH late AS (
        INSERT INTO disputes.escalation AS e (dispute_id)
            SELECT d.id FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
            WHERE d.due_at < public.stoa_now() AND s.closed_at IS NULL AND NOT EXISTS (SELECT FROM disputes.escalation AS x WHERE x.dispute_id = d.id)
            ORDER BY d.due_at, d.id LIMIT disputes_max
            ON CONFLICT DO NOTHING
            RETURNING e.dispute_id)
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        SELECT gen_random_uuid(), coalesce(r.superseded_by, r.id), 'dispute_late', jsonb_build_object('reference', d.reference)
        FROM late AS l JOIN disputes.dispute AS d ON d.id = l.dispute_id JOIN register.resident AS r ON r.id = d.resident_id;
    GET DIAGNOSTICS escalated = ROW_COUNT;
    RETURN escalated;
END
$$;
ALTER FUNCTION disputes.escalate(integer) OWNER TO stoa_door;

-- What auditors see: the overdue ones, without whose they are.
CREATE FUNCTION disputes.escalated(credential bytea) RETURNS TABLE (reference text, category text, due_at timestamptz, state text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.reference, d.category, d.due_at, s.state
        FROM web.staff_with(escalated.credential, '{auditor}') AS w
        CROSS JOIN disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
        WHERE s.closed_at IS NULL AND d.due_at < public.stoa_now() ORDER BY d.due_at, d.id LIMIT 100;
END
$$;
ALTER FUNCTION disputes.escalated(bytea) OWNER TO stoa_door;

-- Fewer than this many of a category in a year could tell a neighbour who complained.
CREATE FUNCTION disputes.count_min() RETURNS bigint LANGUAGE sql IMMUTABLE RETURN 5::bigint;
ALTER FUNCTION disputes.count_min() OWNER TO stoa_door;

-- The public figures of the last twelve months; null where there are too few to tell.
CREATE FUNCTION disputes.figures()
    RETURNS TABLE (category text, days_max integer, opened bigint, waiting bigint, late bigint, median_days double precision,
                   upheld bigint, partly_upheld bigint, rejected bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT c.id, c.days_max, f.opened, f.waiting, f.late, f.median_days, f.upheld, f.partly_upheld, f.rejected
        FROM disputes.category AS c
        LEFT JOIN (
            SELECT d.category, count(*) AS opened, count(*) FILTER (WHERE s.closed_at IS NULL) AS waiting,
                count(*) FILTER (WHERE coalesce(s.closed_at, public.stoa_now()) > d.due_at) AS late,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM s.closed_at - d.opened_at) / 86400)
                    FILTER (WHERE s.closed_at IS NOT NULL) AS median_days,
                count(*) FILTER (WHERE s.state = 'upheld') AS upheld, count(*) FILTER (WHERE s.state = 'partly_upheld') AS partly_upheld,
                count(*) FILTER (WHERE s.state = 'rejected') AS rejected
            FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
            WHERE d.opened_at > public.stoa_now() - interval '12 months'
            GROUP BY d.category HAVING count(*) >= disputes.count_min()) AS f ON f.category = c.id
        ORDER BY c.position;
END
$$;
ALTER FUNCTION disputes.figures() OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION disputes.own_thing(bytea, text, uuid), disputes.open(bytea, uuid, text, text, uuid, text, uuid, bytea),
    disputes.own(bytea, uuid, timestamptz, uuid, integer), disputes.own_words(bytea, uuid), disputes.write(bytea, uuid, uuid, bytea),
    disputes.waiting(bytea, text), disputes.under(bytea, uuid), disputes.words_under(bytea, uuid), disputes.reply(bytea, uuid, uuid, bytea),
    disputes.decide(bytea, uuid, uuid, text, bigint, bytea, text), disputes.refunds_waiting(bytea, text), disputes.approve_refund(bytea, uuid, uuid),
    disputes.refuse_refund(bytea, uuid, text), disputes.refused_refunds(bytea, uuid), disputes.escalate(integer), disputes.escalated(bytea),
    disputes.figures(), disputes.count_min() TO stoa_app;
REVOKE CREATE ON SCHEMA disputes FROM stoa_door;
