-- What staff do for residents: records opened for a stated reason, identity proven at the counter, paper forms keyed in.
-- Who acts is derived from the session in every function, and never a parameter.
CREATE SCHEMA casework;
GRANT USAGE ON SCHEMA casework TO stoa_app, stoa_door;

-- A record that a member of staff opened: the reason and case that every page about it is logged under, for a quarter of an hour.
CREATE TABLE casework.opening (
    id uuid PRIMARY KEY,
    staff_id uuid NOT NULL REFERENCES identity.staff,
    resident_id uuid NOT NULL REFERENCES register.resident,
    reason text NOT NULL REFERENCES access_log.staff_reason,
    case_reference text NOT NULL CHECK (length(case_reference) BETWEEN 1 AND 64),
    opened_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL DEFAULT public.stoa_now() + interval '15 minutes'
);
CREATE INDEX opening_expires ON casework.opening (expires_at);

-- A form that was printed: its reference stands for one sharing, one version of its text, and the language in which the text was read.
CREATE TABLE casework.printed_form (
    reference text PRIMARY KEY CHECK (reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    activity_id uuid NOT NULL,
    policy_version integer NOT NULL,
    language text NOT NULL CHECK (language IN ('en', 'fr', 'ar')),
    staff_id uuid NOT NULL REFERENCES identity.staff,
    printed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    FOREIGN KEY (activity_id, policy_version) REFERENCES consent.policy (activity_id, version),
    UNIQUE (reference, activity_id)
);
CREATE TRIGGER printed_form_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON casework.printed_form
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- A paper form as it was keyed: what it says, who helped, how it was signed, and that it was read back. None of these may be missing.
CREATE TABLE casework.paper_submission (
    id uuid PRIMARY KEY,
    -- Printed on the form; the same paper counts once.
    form_reference text NOT NULL UNIQUE,
    -- The entry under which it was keyed: what the resident's log says of this submission hangs on it. The entry may be erased one day.
    entry_id uuid NOT NULL UNIQUE,
    resident_id uuid NOT NULL REFERENCES register.resident,
    activity_id uuid NOT NULL REFERENCES consent.processing_activity,
    decision text NOT NULL CHECK (decision IN ('given', 'withdrawn')),
    attributes text[] NOT NULL,
    -- The member of staff who keyed it, and the name of who helped the resident with it, as it stands on the form.
    staff_id uuid NOT NULL REFERENCES identity.staff,
    helper_name text NOT NULL CHECK (length(helper_name) BETWEEN 1 AND 200),
    signature_method text NOT NULL CHECK (signature_method IN ('signature', 'thumbprint', 'witness')),
    witness_name text CHECK (length(witness_name) BETWEEN 1 AND 200),
    was_read_back boolean NOT NULL CHECK (was_read_back),
    signed_on date NOT NULL,
    keyed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- A form speaks for the sharing that it was printed for, and for no other.
    FOREIGN KEY (form_reference, activity_id) REFERENCES casework.printed_form (reference, activity_id),
    CHECK ((decision = 'given') = (cardinality(attributes) > 0)),
    CHECK ((signature_method = 'witness') = (witness_name IS NOT NULL)),
    CHECK (signed_on <= (keyed_at AT TIME ZONE 'UTC')::date + 1)
);
CREATE INDEX paper_submission_resident ON casework.paper_submission (resident_id);
CREATE TRIGGER paper_submission_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON casework.paper_submission
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- The same hour so many working days later, Saturdays and Sundays left out. Holidays are the city's own and count: a deadline that is early is kept.
CREATE FUNCTION casework.working_days_after(start timestamptz, days integer) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN start + interval '24 hours' * (
        SELECT max(d.day) FROM (
            SELECT s.day FROM generate_series(1, days * 2 + 2) AS s (day)
            WHERE extract(isodow FROM (start + interval '24 hours' * s.day) AT TIME ZONE 'UTC') < 6 ORDER BY s.day LIMIT days) AS d);
GRANT EXECUTE ON FUNCTION casework.working_days_after(timestamptz, integer) TO stoa_door;

-- The glass of a protected record, broken: a caseworker wrote why it could not wait, and may open the record for a quarter of an hour. The
-- functions are in 0022.
CREATE TABLE casework.break_glass (
    -- The entry by which it was broken. Whatever is done under it names this entry in turn (access_log.entry.break_glass).
    entry_id uuid PRIMARY KEY,
    -- What everybody quotes: the form of a public code, drawn apart.
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    staff_id uuid NOT NULL REFERENCES identity.staff,
    resident_id uuid NOT NULL REFERENCES register.resident,
    -- 20 to 500 characters: nonce 12, tag 16, and one to four bytes each.
    sealed_reason bytea NOT NULL CHECK (octet_length(sealed_reason) BETWEEN 48 AND 2028),
    broken_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL DEFAULT public.stoa_now() + interval '15 minutes',
    -- Three working days: long enough for a part-time auditor, short enough that those concerned remember.
    review_due_at timestamptz NOT NULL DEFAULT casework.working_days_after(public.stoa_now(), 3)
);
CREATE INDEX break_glass_live ON casework.break_glass (staff_id, resident_id, expires_at);
CREATE INDEX break_glass_due ON casework.break_glass (review_due_at);
CREATE TRIGGER break_glass_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON casework.break_glass
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- What an auditor found; once, and never changed.
CREATE TABLE casework.break_glass_review (
    entry_id uuid PRIMARY KEY REFERENCES casework.break_glass,
    finding text NOT NULL CHECK (finding IN ('justified', 'not_justified')),
    sealed_words bytea NOT NULL CHECK (octet_length(sealed_words) BETWEEN 29 AND 4096),
    reviewed_by uuid NOT NULL REFERENCES identity.staff,
    reviewed_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER break_glass_review_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON casework.break_glass_review
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

GRANT CREATE ON SCHEMA casework TO stoa_door;
GRANT SELECT, INSERT ON casework.break_glass, casework.break_glass_review TO stoa_door;
GRANT SELECT, INSERT, DELETE ON casework.opening TO stoa_door;
GRANT SELECT, INSERT ON casework.printed_form, casework.paper_submission TO stoa_door;

-- Keeps the reason for a record that the door let this member of staff find. The entry of that search is the ticket: it must be
-- theirs, permitted, committed and fresh. Null: no such entry.
CREATE FUNCTION casework.open_record(credential bytea, opening_id uuid, search_entry_id uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO casework.opening (id, staff_id, resident_id, reason, case_reference)
        SELECT open_record.opening_id, e.actor_id::uuid, e.subject_id, e.purpose, e.case_reference
        FROM access_log.look_of_staff(open_record.credential, open_record.search_entry_id, 'caseworker', 'search', interval '1 minute') AS e;
    RETURN CASE WHEN FOUND THEN open_record.opening_id END;
END
$$;
ALTER FUNCTION casework.open_record(bytea, uuid, uuid) OWNER TO stoa_door;

-- An opening of this member of staff that has not run out.
CREATE FUNCTION casework.opening_of(credential bytea, opening_id uuid)
    RETURNS TABLE (resident_id uuid, public_code text, reason text, case_reference text, expires_at timestamptz, has_account boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT o.resident_id, r.public_code, o.reason, o.case_reference, o.expires_at,
            EXISTS (SELECT FROM identity.account AS a WHERE a.resident_id = o.resident_id)
        FROM web.staff_with(opening_of.credential, '{caseworker}') AS s JOIN casework.opening AS o ON o.staff_id = s.staff_id
        JOIN register.resident AS r ON r.id = o.resident_id
        WHERE o.id = opening_of.opening_id AND o.expires_at > public.stoa_now();
END
$$;
ALTER FUNCTION casework.opening_of(bytea, uuid) OWNER TO stoa_door;

-- A document was seen at the counter: links the account with this public code to the register record that is open, and raises its
-- identity assurance. Consents of the time before were about a person whom nobody knew: they are invalidated, and chosen anew.
-- Outcomes: linked, already_linked, not_allowed, record_has_account, account_unknown, account_is_linked, record_is_no_register_record.
CREATE FUNCTION casework.prove_identity(
    credential bytea, opening_id uuid, evidence_id uuid, account_code text, evidence_kind text, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    opened record;
    staff uuid := (SELECT s.staff_id FROM web.staff_with(credential, '{caseworker}') AS s);
    record_origin text;
    provisional record;
    given record;
BEGIN
    SELECT o.resident_id, o.case_reference INTO opened FROM casework.opening AS o
        WHERE o.id = opening_id AND o.staff_id = staff AND o.expires_at > public.stoa_now();
    IF opened IS NULL THEN RETURN 'not_allowed'; END IF;
    SELECT r.origin INTO record_origin FROM register.resident AS r WHERE r.id = opened.resident_id FOR UPDATE;
    IF record_origin <> 'population_register' THEN RETURN 'record_is_no_register_record'; END IF;
    SELECT r.id, r.origin, r.is_protected, a.id AS account_id INTO provisional
        FROM register.resident AS r JOIN identity.account AS a ON a.resident_id = r.id AND a.closed_at IS NULL
        WHERE r.public_code = account_code FOR UPDATE;
    IF provisional IS NULL THEN
        -- The form sent twice finds the account where the first one put it.
        RETURN CASE WHEN EXISTS (SELECT FROM identity.evidence AS e WHERE e.id = evidence_id) THEN 'already_linked' ELSE 'account_unknown' END;
    END IF;
    IF provisional.origin <> 'self_registered' THEN RETURN 'account_is_linked'; END IF;
    IF EXISTS (SELECT FROM identity.account AS a WHERE a.resident_id = opened.resident_id) THEN RETURN 'record_has_account'; END IF;

    FOR given IN SELECT s.activity_id FROM consent.state AS s WHERE s.resident_id = provisional.id AND s.state IN ('given', 'renewed')
        ORDER BY s.activity_id LOOP
        PERFORM consent.append(gen_random_uuid(), provisional.id, given.activity_id, 'invalidated', NULL, NULL,
            NULL, NULL, NULL, 'system', 'identity_linked', prove_identity.language, NULL);
    END LOOP;
    UPDATE identity.account AS a SET resident_id = opened.resident_id WHERE a.id = provisional.account_id;
    UPDATE register.resident AS r SET superseded_by = opened.resident_id WHERE r.id = provisional.id;
    -- A document with a photograph, seen in person (NIST SP 800-63A-4 §4.2).
    UPDATE register.resident AS r SET identity_assurance = GREATEST(r.identity_assurance, 2), is_protected = r.is_protected OR provisional.is_protected
        WHERE r.id = opened.resident_id;
    INSERT INTO identity.evidence (id, account_id, resident_id, kind, staff_id, case_reference)
        VALUES (evidence_id, provisional.account_id, opened.resident_id, evidence_kind, staff, opened.case_reference);
    RETURN 'linked';
END
$$;
ALTER FUNCTION casework.prove_identity(bytea, uuid, uuid, text, text, text) OWNER TO stoa_door;

-- Registers a form that is about to be printed, for today's text of a sharing that rests on consent. False: no caseworker, or no such sharing.
CREATE FUNCTION casework.print_form(credential bytea, reference text, activity uuid, language text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO casework.printed_form (reference, activity_id, policy_version, language, staff_id)
        SELECT print_form.reference, a.id, a.policy_version, print_form.language, s.staff_id
        FROM web.staff_with(print_form.credential, '{caseworker}') AS s
        JOIN consent.processing_activity AS a ON a.id = print_form.activity AND a.legal_basis = 'consent';
    RETURN FOUND;
END
$$;
ALTER FUNCTION casework.print_form(bytea, text, uuid, text) OWNER TO stoa_door;

-- Which form has this reference; it says nothing of a resident.
CREATE FUNCTION casework.printed_form_of(credential bytea, reference text)
    RETURNS TABLE (activity_id uuid, policy_version integer, language text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT f.activity_id, f.policy_version, f.language
        FROM web.staff_with(printed_form_of.credential, '{caseworker}') AS s JOIN casework.printed_form AS f ON f.reference = printed_form_of.reference;
END
$$;
ALTER FUNCTION casework.printed_form_of(bytea, text) OWNER TO stoa_door;

-- Enters a paper consent form for the resident whose record is open. The entry is the ticket: permitted, committed and fresh, of this
-- member of staff, about this resident and this form, and of no other submission. So a form cannot be keyed without standing in the
-- resident's log, and an entry without a submission is a form that changed nothing. Outcomes: those of consent.append, not_allowed,
-- form_unknown (never printed), form_of_other_sharing, form_used, signed_before_printing, signed_in_future.
CREATE FUNCTION casework.key_paper_consent(
    credential bytea, opening_id uuid, entry uuid, submission_id uuid, form_reference text, activity uuid, kind text, attributes text[],
    helper_name text, signature_method text, witness_name text, was_read_back boolean, signed_on date) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    staff uuid := (SELECT s.staff_id FROM web.staff_with(credential, '{caseworker}') AS s);
    resident uuid;
    form record;
    outcome text;
BEGIN
    SELECT o.resident_id INTO resident FROM casework.opening AS o
        WHERE o.id = opening_id AND o.staff_id = staff AND o.expires_at > public.stoa_now();
    IF resident IS NULL OR key_paper_consent.kind NOT IN ('given', 'withdrawn') OR NOT EXISTS (
        SELECT FROM access_log.look_of_staff(key_paper_consent.credential, key_paper_consent.entry, 'caseworker', 'paper_entry', interval '1 minute') AS e
        WHERE e.subject_id = resident AND e.case_reference = key_paper_consent.form_reference)
        OR EXISTS (SELECT FROM casework.paper_submission AS p WHERE p.entry_id = key_paper_consent.entry) THEN
        RETURN 'not_allowed';
    END IF;
    SELECT f.activity_id, f.policy_version, f.language, (f.printed_at AT TIME ZONE 'UTC')::date AS printed_on INTO form
        FROM casework.printed_form AS f WHERE f.reference = key_paper_consent.form_reference;
    IF form IS NULL THEN RETURN 'form_unknown'; END IF;
    IF EXISTS (SELECT FROM casework.paper_submission AS p WHERE p.form_reference = key_paper_consent.form_reference) THEN RETURN 'form_used'; END IF;
    IF form.activity_id <> key_paper_consent.activity THEN RETURN 'form_of_other_sharing'; END IF;
    -- A day on each side, because the city's day is not everywhere that of UTC.
    IF key_paper_consent.signed_on < form.printed_on - 1 THEN RETURN 'signed_before_printing'; END IF;
    IF key_paper_consent.signed_on > (public.stoa_now() AT TIME ZONE 'UTC')::date + 1 THEN RETURN 'signed_in_future'; END IF;

    INSERT INTO casework.paper_submission AS p (id, form_reference, entry_id, resident_id, activity_id, decision, attributes, staff_id, helper_name,
                                                signature_method, witness_name, was_read_back, signed_on)
        VALUES (submission_id, key_paper_consent.form_reference, key_paper_consent.entry, resident, key_paper_consent.activity,
                key_paper_consent.kind, coalesce(key_paper_consent.attributes, '{}'), staff, key_paper_consent.helper_name,
                key_paper_consent.signature_method, key_paper_consent.witness_name, key_paper_consent.was_read_back, key_paper_consent.signed_on)
        ON CONFLICT ON CONSTRAINT paper_submission_form_reference_key DO NOTHING;
    IF NOT FOUND THEN RETURN 'form_used'; END IF;
    -- Who agrees agreed to the text on the paper. Who stops may do so on a form of any age.
    outcome := consent.append(submission_id, resident, key_paper_consent.activity, key_paper_consent.kind, key_paper_consent.attributes,
        CASE key_paper_consent.kind WHEN 'given' THEN form.policy_version END, NULL, staff, NULL, 'paper', 'paper_form', form.language,
        key_paper_consent.form_reference);
    IF outcome NOT IN ('recorded', 'unchanged') THEN
        -- Nothing of a form that cannot be entered stays.
        RAISE EXCEPTION 'paper form refused: %', outcome USING ERRCODE = 'check_violation', CONSTRAINT = outcome;
    END IF;
    RETURN outcome;
END
$$;
ALTER FUNCTION casework.key_paper_consent(bytea, uuid, uuid, uuid, text, uuid, text, text[], text, text, text, boolean, date) OWNER TO stoa_door;

-- What the letter about a keyed form says, for staff who have the record open. Name and address come through the door.
CREATE FUNCTION casework.paper_submissions_of(credential bytea, opening_id uuid)
    RETURNS TABLE (id uuid, form_reference text, activity_id uuid, decision text, attributes text[], keyed_by text, helper_name text, signature_method text, witness_name text,
                   signed_on date, keyed_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT p.id, p.form_reference, p.activity_id, p.decision, p.attributes, s.display_name, p.helper_name, p.signature_method, p.witness_name, p.signed_on, p.keyed_at
        FROM web.staff_with(paper_submissions_of.credential, '{caseworker}') AS me
        JOIN casework.opening AS o ON o.staff_id = me.staff_id
        JOIN casework.paper_submission AS p ON p.resident_id = o.resident_id
        JOIN identity.staff AS s ON s.id = p.staff_id
        WHERE o.id = paper_submissions_of.opening_id AND o.expires_at > public.stoa_now()
        ORDER BY p.keyed_at DESC LIMIT 50;
END
$$;
ALTER FUNCTION casework.paper_submissions_of(bytea, uuid) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION casework.open_record(bytea, uuid, uuid), casework.opening_of(bytea, uuid),
    casework.prove_identity(bytea, uuid, uuid, text, text, text),
    casework.print_form(bytea, text, uuid, text), casework.printed_form_of(bytea, text),
    casework.key_paper_consent(bytea, uuid, uuid, uuid, text, uuid, text, text[], text, text, text, boolean, date),
    casework.paper_submissions_of(bytea, uuid) TO stoa_app;
GRANT UPDATE (resident_id) ON identity.account TO stoa_door;
REVOKE CREATE ON SCHEMA casework FROM stoa_door;
