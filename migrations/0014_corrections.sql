-- "This is wrong": a resident's request to correct what the city holds (GDPR Art. 16), and its one answer. What is written in either is
-- sealed like the data, and read like it: by a caseworker under a committed view of that resident's record for the reason `correction`, and
-- by the resident under a committed own view.
CREATE TABLE register.correction_request (
    id uuid PRIMARY KEY,
    -- What the resident quotes: the form of a public code, drawn apart.
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    resident_id uuid NOT NULL REFERENCES register.resident,
    attribute text NOT NULL REFERENCES register.attribute,
    sealed_statement bytea NOT NULL CHECK (octet_length(sealed_statement) BETWEEN 29 AND 4096),
    requested_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX correction_request_requested ON register.correction_request (requested_at);
CREATE INDEX correction_request_resident ON register.correction_request (resident_id);
CREATE TRIGGER correction_request_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON register.correction_request
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- One answer a request; it never changes. Who declines says why.
CREATE TABLE register.correction_answer (
    request_id uuid PRIMARY KEY REFERENCES register.correction_request,
    decision text NOT NULL CHECK (decision IN ('accepted', 'declined')),
    sealed_answer bytea CHECK (octet_length(sealed_answer) BETWEEN 29 AND 4096),
    answered_by uuid NOT NULL REFERENCES identity.staff,
    answered_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT declined_with_reason CHECK (decision = 'accepted' OR sealed_answer IS NOT NULL)
);
CREATE TRIGGER correction_answer_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON register.correction_answer
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

GRANT CREATE ON SCHEMA register TO stoa_door;
GRANT SELECT, INSERT ON register.correction_request, register.correction_answer TO stoa_door;

-- Files a request for the resident whom the credential names. The same id twice is one request. False: the credential does not stand.
CREATE FUNCTION register.request_correction(credential bytea, id uuid, reference text, attribute text, sealed_statement bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO register.correction_request AS r (id, reference, resident_id, attribute, sealed_statement)
        SELECT request_correction.id, request_correction.reference, a.resident_id, request_correction.attribute, request_correction.sealed_statement
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        WHERE c.hash = request_correction.credential AND c.kind = 'session' AND web.is_live(c)
        ON CONFLICT ON CONSTRAINT correction_request_pkey DO NOTHING;
    RETURN FOUND;
END
$$;
ALTER FUNCTION register.request_correction(bytea, uuid, text, text, bytea) OWNER TO stoa_door;

-- The oldest requests that nobody has answered, for caseworkers' home page. The resident is here as the id that the door looks up: whose
-- request it is and what it says is seen only after that look-up is in the log.
CREATE FUNCTION register.open_corrections(credential bytea)
    RETURNS TABLE (reference text, attribute text, requested_at timestamptz, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT r.reference, r.attribute, r.requested_at, coalesce(subject.superseded_by, subject.id)
        FROM web.staff_with(open_corrections.credential, '{caseworker}') AS s
        CROSS JOIN register.correction_request AS r
        JOIN register.resident AS subject ON subject.id = r.resident_id
        WHERE NOT EXISTS (SELECT FROM register.correction_answer AS a WHERE a.request_id = r.id)
        ORDER BY r.requested_at LIMIT 100;
END
$$;
ALTER FUNCTION register.open_corrections(bytea) OWNER TO stoa_door;

-- What the resident of a record that is open for `correction` asked for and nobody has answered, with the key it is sealed under. The
-- entry is the caller's own view of this record: permitted, committed, under five seconds old, as for access_log.release.
CREATE FUNCTION register.corrections_about(credential bytea, view_entry uuid)
    RETURNS TABLE (id uuid, reference text, attribute text, sealed_statement bytea, requested_at timestamptz,
                   holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT r.id, r.reference, r.attribute, r.sealed_statement, r.requested_at, holder.id, k.key_id, k.wrapped_key
        FROM access_log.look_of_staff(corrections_about.credential, corrections_about.view_entry, 'caseworker', 'view', interval '5 seconds') AS e
        JOIN register.resident AS holder ON holder.id = e.subject_id OR holder.superseded_by = e.subject_id
        JOIN register.correction_request AS r ON r.resident_id = holder.id
        JOIN register.data_key AS k ON k.resident_id = holder.id
        WHERE e.purpose = 'correction' AND NOT EXISTS (SELECT FROM register.correction_answer AS a WHERE a.request_id = r.id)
        ORDER BY r.requested_at, r.id LIMIT 100;
END
$$;
ALTER FUNCTION register.corrections_about(bytea, uuid) OWNER TO stoa_door;

-- Answers a request about the record that this caseworker has open for the reason `correction`. Accepted comes with the new value, sealed
-- under the open record's key, and with the new look-up HMAC where the value is a name or the day of birth (null: the record has none).
-- A national number is not changed here, because the import knows records by it, nor are the names that an account signs in with.
-- Outcomes: answered (resident says whom to tell), not_allowed, request_unknown, already_answered, value_missing, value_not_changed_here.
CREATE FUNCTION register.answer_correction(
    credential bytea, opening_id uuid, request uuid, decision text, sealed_answer bytea, sealed_value bytea, name_and_birth_date_hmac bytea,
    OUT outcome text, OUT resident uuid, OUT reference text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    opened record;
    asked record;
BEGIN
    SELECT o.resident_id, o.staff_id INTO opened
        FROM web.staff_with(answer_correction.credential, '{caseworker}') AS s JOIN casework.opening AS o ON o.staff_id = s.staff_id
        WHERE o.id = answer_correction.opening_id AND o.reason = 'correction' AND o.expires_at > public.stoa_now();
    IF NOT FOUND THEN outcome := 'not_allowed'; RETURN; END IF;
    SELECT r.id, r.reference, r.attribute INTO asked
        FROM register.correction_request AS r JOIN register.resident AS holder ON holder.id = r.resident_id
        WHERE r.id = answer_correction.request AND (holder.id = opened.resident_id OR holder.superseded_by = opened.resident_id);
    IF NOT FOUND THEN outcome := 'request_unknown'; RETURN; END IF;
    IF answer_correction.decision = 'accepted' THEN
        IF asked.attribute IN ('national_number', 'username', 'contact_email', 'contact_phone') THEN outcome := 'value_not_changed_here'; RETURN; END IF;
        IF answer_correction.sealed_value IS NULL THEN outcome := 'value_missing'; RETURN; END IF;
    END IF;

    -- The first answer counts: whoever comes at the same moment waits here for it, and finds it.
    INSERT INTO register.correction_answer AS a (request_id, decision, sealed_answer, answered_by)
        VALUES (asked.id, answer_correction.decision, answer_correction.sealed_answer, opened.staff_id)
        ON CONFLICT ON CONSTRAINT correction_answer_pkey DO NOTHING;
    IF NOT FOUND THEN outcome := 'already_answered'; RETURN; END IF;
    IF answer_correction.decision = 'accepted' THEN
        INSERT INTO register.sealed_attribute AS v (resident_id, attribute, sealed_value, source)
            VALUES (opened.resident_id, asked.attribute, answer_correction.sealed_value, 'counter')
            ON CONFLICT ON CONSTRAINT sealed_attribute_pkey
            DO UPDATE SET sealed_value = excluded.sealed_value, source = excluded.source, recorded_at = public.stoa_now();
        IF asked.attribute IN ('given_names', 'family_name', 'date_of_birth') THEN
            -- Only a record that is found by name is found by its new one.
            UPDATE register.lookup AS l SET hmac = answer_correction.name_and_birth_date_hmac
                WHERE l.kind = 'name_and_birth_date' AND l.resident_id = opened.resident_id;
        END IF;
    END IF;
    outcome := 'answered';
    resident := opened.resident_id;
    reference := asked.reference;
END
$$;
ALTER FUNCTION register.answer_correction(bytea, uuid, uuid, text, bytea, bytea, bytea) OWNER TO stoa_door;

-- The resident's own requests with their answers, newest first: after the own view of the details is logged, as for access_log.release.
CREATE FUNCTION register.own_corrections(credential bytea, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, reference text, attribute text, sealed_statement bytea, requested_at timestamptz,
                   holder_id uuid, key_id text, wrapped_key bytea, decision text, sealed_answer bytea, answered_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT r.id, r.reference, r.attribute, r.sealed_statement, r.requested_at, r.resident_id, k.key_id, k.wrapped_key,
            answer.decision, answer.sealed_answer, answer.answered_at
        FROM access_log.own_viewer AS h
        JOIN register.correction_request AS r ON r.resident_id = h.resident_id
        JOIN register.data_key AS k ON k.resident_id = r.resident_id
        LEFT JOIN register.correction_answer AS answer ON answer.request_id = r.id
        WHERE h.credential = own_corrections.credential AND h.kind = 'profile'
          AND (own_corrections.before_at IS NULL OR (r.requested_at, r.id) < (own_corrections.before_at, own_corrections.before_id))
        ORDER BY r.requested_at DESC, r.id DESC LIMIT LEAST(own_corrections.page_size, 200);
END
$$;
ALTER FUNCTION register.own_corrections(bytea, timestamptz, uuid, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION register.request_correction(bytea, uuid, text, text, bytea), register.open_corrections(bytea),
    register.corrections_about(bytea, uuid), register.answer_correction(bytea, uuid, uuid, text, bytea, bytea, bytea),
    register.own_corrections(bytea, timestamptz, uuid, integer) TO stoa_app;
REVOKE CREATE ON SCHEMA register FROM stoa_door;
