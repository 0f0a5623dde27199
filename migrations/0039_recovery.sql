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

-- Another password without the old one, in a session that a recovery code opened not more than fifteen minutes ago, which it stays: the new password proves
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
          AND c.first_factor = 'recovery_code' AND c.authenticated_at > public.stoa_now() - interval '15 minutes'
        RETURNING c.account_id INTO person;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE identity.account AS a SET password_hash = replace_password.new_password_hash WHERE a.id = person;
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = uuid_send(person) AND f.factor = 'password';
    PERFORM identity.end_sessions(person, NULL, replace_password.new_hash);
    PERFORM openid.end_sign_ins_of(person);
    PERFORM identity.tell_of_factor(person, 'password_changed');
    RETURN true;
END
$$;
ALTER FUNCTION identity.replace_password(bytea, text, bytea) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION identity.begin_recovery(bytea, bytea), identity.recover(bytea, bytea, bytea, bytea),
    identity.replace_password(bytea, text, bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA identity FROM stoa_door;
