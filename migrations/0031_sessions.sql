-- What people do with their own sessions and password. Each function derives the person from the session that asks.
GRANT CREATE ON SCHEMA identity TO stoa_door;

-- Counts an attempt to give the password again, and gives what it is checked against: one counter with signing in. No row without a session.
CREATE FUNCTION identity.begin_password_check(credential bytea, address_hmac bytea) RETURNS TABLE (outcome text, wait_minutes integer, password_hash text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(begin_password_check.credential) AS h WHERE h.is_session;
    IF NOT FOUND THEN RETURN; END IF;
    RETURN QUERY
        SELECT t.outcome, t.wait_minutes, CASE WHEN t.outcome = 'counted' THEN coalesce(a.password_hash, s.password_hash) END
        FROM identity.count_attempt(who.subject, 'password', begin_password_check.address_hmac) AS t
        LEFT JOIN identity.account AS a ON a.id = who.account_id
        LEFT JOIN identity.staff AS s ON s.id = who.staff_id;
END
$$;
ALTER FUNCTION identity.begin_password_check(bytea, bytea) OWNER TO stoa_door;

-- The password was right once more: the session is known by the new hash from now on, and what wants a fresh password is open for a while. False when
-- the session ended, or the password was changed, meanwhile.
CREATE FUNCTION identity.confirm_password(credential bytea, password_hash text, address_hmac bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT h.subject INTO who FROM identity.holder(confirm_password.credential) AS h
        LEFT JOIN identity.account AS a ON a.id = h.account_id
        LEFT JOIN identity.staff AS s ON s.id = h.staff_id
        WHERE h.is_session AND coalesce(a.password_hash, s.password_hash) = confirm_password.password_hash;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM identity.forgive(who.subject, 'password', confirm_password.address_hmac);
    UPDATE web.credential AS c
        SET hash = confirm_password.new_hash, first_factor = 'password', authenticated_at = public.stoa_now(), last_used_at = public.stoa_now()
        WHERE c.hash = confirm_password.credential AND c.kind = 'session' AND web.is_live(c);
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.confirm_password(bytea, text, bytea, bytea) OWNER TO stoa_door;

-- Another password, after the old one was right and, where there is a second factor, that was shown within fifteen minutes: whoever came by a password-only
-- session and the password would shut the owner out otherwise. Everything else that the person opened ends; this session is known by the new hash. `changed`,
-- or what is missing; null when the session ended, or the password was changed, meanwhile.
CREATE FUNCTION identity.change_password(credential bytea, old_password_hash text, new_password_hash text, address_hmac bytea, new_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(change_password.credential) AS h WHERE h.is_session;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    IF identity.factor_change_needs(change_password.credential) = 'second_factor' THEN RETURN 'second_factor'; END IF;
    IF NOT identity.confirm_password(change_password.credential, change_password.old_password_hash, change_password.address_hmac, change_password.new_hash)
    THEN RETURN NULL; END IF;
    UPDATE identity.account AS a SET password_hash = change_password.new_password_hash WHERE a.id = who.account_id;
    UPDATE identity.staff AS s SET password_hash = change_password.new_password_hash WHERE s.id = who.staff_id;
    PERFORM identity.end_sessions(who.account_id, who.staff_id, change_password.new_hash);
    PERFORM openid.end_sign_ins_of(who.account_id);
    PERFORM identity.end_letter(who.account_id);
    PERFORM identity.tell_of_factor(who.account_id, 'password_changed');
    RETURN 'changed';
END
$$;
ALTER FUNCTION identity.change_password(bytea, text, text, bytea, bytea) OWNER TO stoa_door;

-- Ends the sessions of a person and the access tokens of their apps, but the one that is kept (null: none is), and sign-ins that are under way.
CREATE FUNCTION identity.end_sessions(account_id uuid, staff_id uuid, kept bytea) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM identity.sign_in AS i
        WHERE (i.account_id = end_sessions.account_id OR i.staff_id = end_sessions.staff_id) AND i.hash IS DISTINCT FROM end_sessions.kept;
    UPDATE web.credential AS c SET revoked_at = public.stoa_now()
        WHERE (c.account_id = end_sessions.account_id OR c.staff_id = end_sessions.staff_id)
          AND c.hash IS DISTINCT FROM end_sessions.kept AND web.is_live(c);
END
$$;
ALTER FUNCTION identity.end_sessions(uuid, uuid, bytea) OWNER TO stoa_door;

-- The live sessions of whoever asks, the newest first.
CREATE FUNCTION identity.sessions_of(credential bytea) RETURNS TABLE (
    id uuid, created_at timestamptz, last_used_at timestamptz, second_factor text, is_shared boolean, is_this boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT c.id, c.created_at, c.last_used_at, c.second_factor, c.is_shared, c.hash = sessions_of.credential
        FROM identity.holder(sessions_of.credential) AS h
        JOIN web.credential AS c ON (c.account_id = h.account_id OR c.staff_id = h.staff_id) AND c.kind = 'session' AND web.is_live(c)
        WHERE h.is_session
        ORDER BY c.created_at DESC, c.id
        LIMIT 100;
    END;
ALTER FUNCTION identity.sessions_of(bytea) OWNER TO stoa_door;

-- Ends one of one's own sessions. False: there is no such live one.
CREATE FUNCTION identity.end_session(credential bytea, id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() FROM identity.holder(end_session.credential) AS h
        WHERE h.is_session AND (c.account_id = h.account_id OR c.staff_id = h.staff_id) AND c.kind = 'session' AND c.id = end_session.id AND web.is_live(c);
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.end_session(bytea, uuid) OWNER TO stoa_door;

-- Ends all of one's sessions but this one.
CREATE FUNCTION identity.end_other_sessions(credential bytea) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT identity.end_sessions(h.account_id, h.staff_id, end_other_sessions.credential)
        FROM identity.holder(end_other_sessions.credential) AS h WHERE h.is_session;
    END;
ALTER FUNCTION identity.end_other_sessions(bytea) OWNER TO stoa_door;

-- Signing out. On a shared computer it ends the person's other sessions too: who finishes there may have left one open at the next desk.
CREATE FUNCTION identity.sign_out(credential bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Of whoever acts for another (0034) their own session ends.
    credential := coalesce((SELECT w.session_hash FROM mandates.acting AS w WHERE w.hash = sign_out.credential), credential);
    PERFORM identity.end_sessions(h.account_id, h.staff_id, sign_out.credential) FROM identity.holder(sign_out.credential) AS h
        WHERE h.is_session AND h.is_shared;
    PERFORM web.revoke_credential(sign_out.credential);
    DELETE FROM identity.sign_in AS i WHERE i.hash = sign_out.credential;
END
$$;
ALTER FUNCTION identity.sign_out(bytea) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION identity.begin_password_check(bytea, bytea), identity.confirm_password(bytea, text, bytea, bytea),
    identity.change_password(bytea, text, text, bytea, bytea), identity.sessions_of(bytea), identity.end_session(bytea, uuid),
    identity.end_other_sessions(bytea), identity.sign_out(bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA identity FROM stoa_door;
