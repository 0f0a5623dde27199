-- Somebody who forgot the password comes back with a recovery code (SP 800-63B-4 §4.2): where the account has a second factor, that is asked for as well; then
-- a new password is chosen. Whoever has neither comes to a counter.

GRANT CREATE ON SCHEMA identity TO stoa_door;

-- Counts an attempt to recover by name and code, and gives the salt that the code is hashed with. The same for a name that opens nothing and for an account
-- without recovery codes, but that there is no salt: the caller hashes with another then, so that it takes as long.
CREATE FUNCTION identity.begin_recovery(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person record;
BEGIN
    SELECT a.id, (SELECT f.salt FROM identity.factor AS f WHERE f.account_id = a.id AND f.kind = 'recovery_codes' AND f.removed_at IS NULL) AS salt INTO person
        FROM identity.sign_in_name AS n JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        WHERE n.hmac = begin_recovery.name_hmac;
    SELECT c.outcome, c.wait_minutes INTO outcome, wait_minutes
        FROM identity.count_attempt(coalesce(uuid_send(person.id), begin_recovery.name_hmac), 'recovery_codes', begin_recovery.address_hmac) AS c;
    IF outcome = 'counted' THEN salt := person.salt; END IF;
END
$$;
ALTER FUNCTION identity.begin_recovery(bytea, bytea) OWNER TO stoa_door;

-- Uses a recovery code of a resident's account, once. `second_factor`: a sign-in is under way under this hash. `session`: it is open. Null: the code is not
-- right. Members of staff come to their city's engineers instead.
CREATE FUNCTION identity.recover(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person uuid;
BEGIN
    UPDATE identity.factor_code AS c SET used_at = public.stoa_now()
        FROM identity.sign_in_name AS n
        JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        JOIN identity.factor AS f ON f.account_id = a.id AND f.kind = 'recovery_codes' AND f.removed_at IS NULL
        WHERE n.hmac = recover.name_hmac AND c.factor_id = f.id AND c.hash = recover.code_hash AND c.used_at IS NULL
        RETURNING a.id INTO person;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM identity.forgive(uuid_send(person), 'recovery_codes', recover.address_hmac);
    PERFORM identity.tell_of_factor(person, 'recovery_code_used');
    IF EXISTS (SELECT FROM identity.second_factors(person, NULL)) THEN
        INSERT INTO identity.sign_in (hash, account_id, is_shared, first_factor) VALUES (recover.token_hash, person, false, 'recovery_code');
        RETURN 'second_factor';
    END IF;
    PERFORM identity.open_session(recover.token_hash, person, NULL, 'recovery_code', public.stoa_now(), NULL, false);
    RETURN 'session';
END
$$;
ALTER FUNCTION identity.recover(bytea, bytea, bytea, bytea) OWNER TO stoa_door;

-- Another password without the old one, in a session that a recovery code, or the code of a letter, opened not more than fifteen minutes ago, which it stays: the new password proves
-- nothing that the code did not. Everything else that was opened ends, a closed password is open again, and this session is known by the new hash. False
-- for any other session.
CREATE FUNCTION identity.replace_password(credential bytea, new_password_hash text, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person uuid;
BEGIN
    PERFORM identity.lock_factors(h.account_id, NULL) FROM identity.holder(replace_password.credential) AS h;
    UPDATE web.credential AS c SET hash = replace_password.new_hash, last_used_at = public.stoa_now()
        WHERE c.hash = replace_password.credential AND c.kind = 'session' AND web.is_live(c) AND c.account_id IS NOT NULL
          AND c.first_factor IN ('recovery_code', 'letter_code') AND c.authenticated_at > public.stoa_now() - interval '15 minutes'
        RETURNING c.account_id INTO person;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE identity.account AS a SET password_hash = replace_password.new_password_hash WHERE a.id = person;
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = uuid_send(person) AND f.factor = 'password';
    PERFORM identity.end_sessions(person, NULL, replace_password.new_hash);
    PERFORM openid.end_sign_ins_of(person);
    PERFORM identity.end_letter(person);
    PERFORM identity.tell_of_factor(person, 'password_changed');
    RETURN true;
END
$$;
ALTER FUNCTION identity.replace_password(bytea, text, bytea) OWNER TO stoa_door;

-- The way back for whoever has nothing left, at a counter (SP 800-63B-4 §4.2.2): a caseworker sees evidence of who it is, another member of staff agrees, the resident
-- is told at once and can stop it from wherever they are signed in, and after a waiting period a code is handed out that opens the account once, for a new
-- password. What the resident signed in with before is gone then: whoever took it must not come in with it.
CREATE TABLE identity.counter_recovery (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id uuid NOT NULL REFERENCES identity.account,
    evidence text NOT NULL CHECK (evidence IN ('passport', 'identity_card', 'residence_permit')),
    case_reference text NOT NULL CHECK (length(case_reference) BETWEEN 1 AND 64),
    requested_by uuid NOT NULL REFERENCES identity.staff,
    requested_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- The end of the waiting period: time for whoever it is not to see the message.
    ready_at timestamptz NOT NULL,
    approved_by uuid REFERENCES identity.staff,
    approved_at timestamptz,
    code_hash bytea UNIQUE CHECK (octet_length(code_hash) = 32),
    code_until timestamptz,
    code_given_by uuid REFERENCES identity.staff,
    ended_at timestamptz,
    ended_as text CHECK (ended_as IN ('used', 'cancelled', 'refused', 'expired')),
    -- By which member of staff; null: by the resident, or by time.
    ended_by uuid REFERENCES identity.staff,
    CHECK (ready_at >= requested_at + interval '1 hour'),
    CHECK (approved_by <> requested_by),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CHECK (code_hash IS NULL OR approved_by IS NOT NULL AND code_until IS NOT NULL AND code_given_by IS NOT NULL AND ended_at IS NULL),
    CHECK ((ended_at IS NULL) = (ended_as IS NULL))
);
-- One at a time.
CREATE UNIQUE INDEX counter_recovery_open ON identity.counter_recovery (account_id) WHERE ended_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON identity.counter_recovery TO stoa_door;

-- How long a recovery that nobody finished stays open, and how long its code opens the account.
CREATE FUNCTION identity.recovery_lifetime() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '30 days';
CREATE FUNCTION identity.recovery_code_lifetime() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '24 hours';
ALTER FUNCTION identity.recovery_lifetime() OWNER TO stoa_door;
ALTER FUNCTION identity.recovery_code_lifetime() OWNER TO stoa_door;

-- Who of the staff works on an account's recovery, and whether it is their own.
CREATE FUNCTION identity.recovery_staff(credential bytea, roles text[], account_id uuid) RETURNS TABLE (staff_id uuid, is_own boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT s.id, coalesce(s.resident_id = a.resident_id, false)
        FROM web.staff_with(recovery_staff.credential, recovery_staff.roles) AS w JOIN identity.staff AS s ON s.id = w.staff_id
        LEFT JOIN identity.account AS a ON a.id = recovery_staff.account_id;
    END;
ALTER FUNCTION identity.recovery_staff(bytea, text[], uuid) OWNER TO stoa_door;

-- A caseworker saw who it is. Outcomes: requested, role_missing, unknown (no account has that code), unproven (nobody ever showed whose account it is, so no paper
-- can say), own_account, already.
CREATE FUNCTION identity.request_recovery(credential bytea, public_code text, evidence text, case_reference text, wait_hours integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person record;
    clerk record;
BEGIN
    SELECT a.id, n.identity_assurance INTO person
        FROM register.resident AS r JOIN register.resident AS n ON n.id = coalesce(r.superseded_by, r.id)
        JOIN identity.account AS a ON a.resident_id = n.id AND a.closed_at IS NULL
        WHERE r.public_code = request_recovery.public_code;
    SELECT s.staff_id, s.is_own INTO clerk FROM identity.recovery_staff(request_recovery.credential, '{caseworker}', person.id) AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    IF person.id IS NULL THEN RETURN 'unknown'; END IF;
    IF person.identity_assurance < 1 THEN RETURN 'unproven'; END IF;
    IF clerk.is_own THEN RETURN 'own_account'; END IF;
    UPDATE identity.counter_recovery AS c SET ended_at = public.stoa_now(), ended_as = 'expired', code_hash = NULL
        WHERE c.account_id = person.id AND c.ended_at IS NULL AND c.requested_at <= public.stoa_now() - identity.recovery_lifetime();
    INSERT INTO identity.counter_recovery (account_id, evidence, case_reference, requested_by, ready_at)
        VALUES (person.id, request_recovery.evidence, request_recovery.case_reference, clerk.staff_id,
                public.stoa_now() + make_interval(hours => request_recovery.wait_hours))
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN 'already'; END IF;
    PERFORM identity.tell_of_factor(person.id, 'recovery_requested');
    PERFORM identity.tell_addresses(person.id, 'counter_recovery_asked', NULL);
    RETURN 'requested';
END
$$;
ALTER FUNCTION identity.request_recovery(bytea, text, text, text, integer) OWNER TO stoa_door;

-- A second member of staff agrees, or either stops it. Outcomes: approved, refused, role_missing, unknown (also of what was decided before), same_person, own_account.
CREATE FUNCTION identity.decide_recovery(credential bytea, id uuid, is_approved boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
    clerk record;
BEGIN
    SELECT c.account_id, c.requested_by, c.approved_by INTO asked FROM identity.counter_recovery AS c
        WHERE c.id = decide_recovery.id AND c.ended_at IS NULL AND c.requested_at > public.stoa_now() - identity.recovery_lifetime() FOR UPDATE;
    SELECT s.staff_id, s.is_own INTO clerk FROM identity.recovery_staff(decide_recovery.credential, '{caseworker,approver}', asked.account_id) AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    IF asked.account_id IS NULL THEN RETURN 'unknown'; END IF;
    IF clerk.is_own THEN RETURN 'own_account'; END IF;
    IF NOT decide_recovery.is_approved THEN
        UPDATE identity.counter_recovery AS c SET ended_at = public.stoa_now(), ended_as = 'refused', ended_by = clerk.staff_id, code_hash = NULL
            WHERE c.id = decide_recovery.id;
        PERFORM identity.tell_of_factor(asked.account_id, 'recovery_stopped');
        RETURN 'refused';
    END IF;
    IF asked.approved_by IS NOT NULL THEN RETURN 'unknown'; END IF;
    IF clerk.staff_id = asked.requested_by THEN RETURN 'same_person'; END IF;
    UPDATE identity.counter_recovery AS c SET approved_by = clerk.staff_id, approved_at = public.stoa_now() WHERE c.id = decide_recovery.id;
    RETURN 'approved';
END
$$;
ALTER FUNCTION identity.decide_recovery(bytea, uuid, boolean) OWNER TO stoa_door;

-- A caseworker hands the code out, once two have agreed and the wait is over; another one in its place where the paper was lost. Outcomes: given, role_missing,
-- not_ready, unknown, own_account.
CREATE FUNCTION identity.give_recovery_code(credential bytea, id uuid, code_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
    clerk record;
BEGIN
    SELECT c.account_id, c.approved_by, c.ready_at INTO asked FROM identity.counter_recovery AS c
        WHERE c.id = give_recovery_code.id AND c.ended_at IS NULL AND c.requested_at > public.stoa_now() - identity.recovery_lifetime() FOR UPDATE;
    SELECT s.staff_id, s.is_own INTO clerk FROM identity.recovery_staff(give_recovery_code.credential, '{caseworker}', asked.account_id) AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    IF asked.account_id IS NULL THEN RETURN 'unknown'; END IF;
    IF clerk.is_own THEN RETURN 'own_account'; END IF;
    IF asked.approved_by IS NULL OR asked.ready_at > public.stoa_now() THEN RETURN 'not_ready'; END IF;
    UPDATE identity.counter_recovery AS c SET code_hash = give_recovery_code.code_hash, code_given_by = clerk.staff_id,
            code_until = public.stoa_now() + identity.recovery_code_lifetime()
        WHERE c.id = give_recovery_code.id;
    RETURN 'given';
END
$$;
ALTER FUNCTION identity.give_recovery_code(bytea, uuid, bytea) OWNER TO stoa_door;

-- The resident stops it, from any session. False: there is none.
CREATE FUNCTION identity.cancel_recovery(credential bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account uuid := (SELECT h.account_id FROM identity.holder(cancel_recovery.credential) AS h WHERE h.is_session);
BEGIN
    UPDATE identity.counter_recovery AS c SET ended_at = public.stoa_now(), ended_as = 'cancelled', code_hash = NULL
        WHERE c.account_id = account AND c.ended_at IS NULL;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM identity.tell_of_factor(account, 'recovery_stopped');
    RETURN true;
END
$$;
ALTER FUNCTION identity.cancel_recovery(bytea) OWNER TO stoa_door;

-- The code of the counter, once: every factor, session and token of the account ends, what was closed by failures is open again, and a session begins under the
-- token that may choose another password. False: no such code.
CREATE FUNCTION identity.use_recovery_paper(code_hash bytea, token_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person uuid;
BEGIN
    UPDATE identity.counter_recovery AS c SET ended_at = public.stoa_now(), ended_as = 'used', code_hash = NULL
        FROM identity.account AS a
        WHERE c.code_hash = use_recovery_paper.code_hash AND c.code_until > public.stoa_now() AND a.id = c.account_id AND a.closed_at IS NULL
        RETURNING c.account_id INTO person;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM identity.lock_factors(person, NULL);
    PERFORM identity.end_factor(f.id) FROM identity.factor AS f WHERE f.account_id = person AND f.removed_at IS NULL;
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = uuid_send(person);
    PERFORM identity.end_sessions(person, NULL, NULL);
    PERFORM openid.end_sign_ins_of(person);
    PERFORM identity.end_letter(person);
    PERFORM identity.tell_of_factor(person, 'recovery_used');
    PERFORM identity.tell_addresses(person, 'counter_recovery_used', NULL);
    PERFORM identity.open_session(use_recovery_paper.token_hash, person, NULL, 'recovery_code', public.stoa_now(), NULL, false);
    RETURN true;
END
$$;
ALTER FUNCTION identity.use_recovery_paper(bytea, bytea) OWNER TO stoa_door;

-- What is under way, the oldest first, for those who work on it and those who audit it. No row for anybody else.
CREATE FUNCTION identity.recoveries(credential bytea) RETURNS TABLE (
    id uuid, public_code text, evidence text, case_reference text, requested_by text, requested_at timestamptz, ready_at timestamptz, approved_by text,
    has_code boolean, is_mine boolean, is_ready boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT c.id, r.public_code, c.evidence, c.case_reference, q.display_name, c.requested_at, c.ready_at, p.display_name, c.code_hash IS NOT NULL,
            q.id = w.staff_id, c.approved_by IS NOT NULL AND c.ready_at <= public.stoa_now()
        FROM web.staff_with(recoveries.credential, '{caseworker,approver,auditor}') AS w
        CROSS JOIN identity.counter_recovery AS c
        JOIN identity.account AS a ON a.id = c.account_id JOIN register.resident AS r ON r.id = a.resident_id
        JOIN identity.staff AS q ON q.id = c.requested_by LEFT JOIN identity.staff AS p ON p.id = c.approved_by
        WHERE c.ended_at IS NULL AND c.requested_at > public.stoa_now() - identity.recovery_lifetime()
        ORDER BY c.requested_at, c.id LIMIT 200;
END
$$;
ALTER FUNCTION identity.recoveries(bytea) OWNER TO stoa_door;

-- Since when a recovery of the holder's own account is under way, and from when on it opens it. No row: there is none.
CREATE FUNCTION identity.recovery_of(credential bytea) RETURNS TABLE (requested_at timestamptz, ready_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT c.requested_at, c.ready_at FROM identity.holder(recovery_of.credential) AS h JOIN identity.counter_recovery AS c ON c.account_id = h.account_id
        WHERE h.is_session AND c.ended_at IS NULL AND c.requested_at > public.stoa_now() - identity.recovery_lifetime();
    END;
ALTER FUNCTION identity.recovery_of(bytea) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION identity.request_recovery(bytea, text, text, text, integer), identity.decide_recovery(bytea, uuid, boolean),
    identity.give_recovery_code(bytea, uuid, bytea), identity.cancel_recovery(bytea), identity.use_recovery_paper(bytea, bytea), identity.recoveries(bytea),
    identity.recovery_of(bytea) TO stoa_app;
GRANT EXECUTE ON FUNCTION identity.begin_recovery(bytea, bytea), identity.recover(bytea, bytea, bytea, bytea),
    identity.replace_password(bytea, text, bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA identity FROM stoa_door;
