-- Passkeys (WebAuthn level 2): a key pair in somebody's device, which opens it only to them. One alone is two factors, something they have and something
-- that they know or are (SP 800-63B-4 §3.1.7): it signs in at AAL2 without a name or password. The server checks signatures; here a challenge serves once.
CREATE TABLE identity.passkey_challenge (
    -- SHA-256 of what was sent.
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    -- The session that it was made for; null: for signing in.
    holder bytea CHECK (octet_length(holder) = 32),
    is_for_new boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CHECK (NOT is_for_new OR holder IS NOT NULL)
);
CREATE INDEX passkey_challenge_created ON identity.passkey_challenge (created_at);

GRANT CREATE ON SCHEMA identity TO stoa_door;
GRANT SELECT, INSERT, DELETE ON identity.passkey_challenge TO stoa_door;

-- A challenge for signing in (no credential), or for proving more in a session. False when the session ended.
CREATE FUNCTION identity.begin_passkey(challenge_hash bytea, credential bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO identity.passkey_challenge (hash, holder, is_for_new)
        SELECT begin_passkey.challenge_hash, begin_passkey.credential, false
        WHERE begin_passkey.credential IS NULL OR EXISTS (SELECT FROM identity.holder(begin_passkey.credential) AS h WHERE h.is_session);
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.begin_passkey(bytea, bytea) OWNER TO stoa_door;

-- A challenge for a new passkey, where the person may have one now: `begun`, or what is missing (identity.factor_change_needs). `owner` names the account
-- to the device and to nobody else; `ids` are the passkeys that are there, so that no device makes a second one.
CREATE FUNCTION identity.begin_new_passkey(credential bytea, challenge_hash bytea, OUT outcome text, OUT owner bytea, OUT ids bytea[])
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT identity.factor_change_needs(begin_new_passkey.credential), h.subject,
        ARRAY(SELECT f.credential_id FROM identity.factor AS f
              WHERE (f.account_id = h.account_id OR f.staff_id = h.staff_id) AND f.kind = 'passkey' AND f.removed_at IS NULL)
        INTO outcome, owner, ids
        FROM identity.holder(begin_new_passkey.credential) AS h WHERE h.is_session;
    IF outcome = 'nothing' THEN
        INSERT INTO identity.passkey_challenge (hash, holder, is_for_new) VALUES (begin_new_passkey.challenge_hash, begin_new_passkey.credential, true);
        outcome := 'begun';
    END IF;
END
$$;
ALTER FUNCTION identity.begin_new_passkey(bytea, bytea) OWNER TO stoa_door;

-- Takes a challenge of the last five minutes away: it serves once, also for those who send its answer twice at the same moment.
CREATE FUNCTION identity.take_challenge(challenge_hash bytea, holder bytea, is_for_new boolean) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM identity.passkey_challenge AS c
        WHERE c.hash = take_challenge.challenge_hash AND c.holder IS NOT DISTINCT FROM take_challenge.holder AND c.is_for_new = take_challenge.is_for_new
          AND c.created_at > public.stoa_now() - interval '5 minutes';
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.take_challenge(bytea, bytea, boolean) OWNER TO stoa_door;

-- A passkey whose answer was right: the session rises to AAL2 and is known by the new hash. `confirmed`; `unknown`: no such challenge, the passkey is there
-- already, or the person has ten; or what is missing.
CREATE FUNCTION identity.add_passkey(
    credential bytea, challenge_hash bytea, factor_id uuid, credential_id bytea, public_key bytea, sign_count bigint, new_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(add_passkey.credential) AS h WHERE h.is_session;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(add_passkey.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    IF NOT identity.take_challenge(add_passkey.challenge_hash, add_passkey.credential, true) THEN RETURN 'unknown'; END IF;
    INSERT INTO identity.factor AS f (id, account_id, staff_id, kind, credential_id, public_key, sign_count, confirmed_at)
        SELECT add_passkey.factor_id, who.account_id, who.staff_id, 'passkey', add_passkey.credential_id, add_passkey.public_key, add_passkey.sign_count,
               public.stoa_now()
        WHERE (SELECT count(*) FROM identity.factor AS o
               WHERE (o.account_id = who.account_id OR o.staff_id = who.staff_id) AND o.kind = 'passkey' AND o.removed_at IS NULL) < 10
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    PERFORM identity.tell_of_factor(who.account_id, 'passkey_added');
    PERFORM identity.raise_assurance(add_passkey.credential, 'passkey', add_passkey.new_hash);
    PERFORM identity.end_sessions(who.account_id, who.staff_id, add_passkey.new_hash);
    RETURN 'confirmed';
END
$$;
ALTER FUNCTION identity.add_passkey(bytea, bytea, uuid, bytea, bytea, bigint, bytea) OWNER TO stoa_door;

-- What a passkey's answer is checked against. It is public, and says nothing of whose it is.
CREATE FUNCTION identity.find_passkey(credential_id bytea) RETURNS TABLE (public_key bytea, sign_count bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT f.public_key, f.sign_count FROM identity.factor AS f
        WHERE f.credential_id = find_passkey.credential_id AND f.kind = 'passkey' AND f.removed_at IS NULL;
    END;
ALTER FUNCTION identity.find_passkey(bytea) OWNER TO stoa_door;

-- The answer of a passkey was right. Without a credential it opens a session under the new hash; with one, which must be a session of the passkey's owner,
-- it counts as password and second factor, and the session is known by the new hash. False: no such challenge, or the passkey was used meanwhile, is gone
-- or is somebody else's.
CREATE FUNCTION identity.use_passkey(
    challenge_hash bytea, credential bytea, credential_id bytea, old_sign_count bigint, sign_count bigint, is_shared boolean, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    IF NOT identity.take_challenge(use_passkey.challenge_hash, use_passkey.credential, false) THEN RETURN false; END IF;
    UPDATE identity.factor AS f SET sign_count = use_passkey.sign_count, last_used_at = public.stoa_now()
        WHERE f.credential_id = use_passkey.credential_id AND f.kind = 'passkey' AND f.removed_at IS NULL AND f.sign_count = use_passkey.old_sign_count
          AND (f.account_id IS NULL OR EXISTS (SELECT FROM identity.account AS a WHERE a.id = f.account_id AND a.closed_at IS NULL))
          AND (f.staff_id IS NULL OR EXISTS (SELECT FROM identity.staff AS s WHERE s.id = f.staff_id AND s.closed_at IS NULL))
          AND (use_passkey.credential IS NULL OR EXISTS (
              SELECT FROM identity.holder(use_passkey.credential) AS h
              WHERE h.is_session AND (h.account_id = f.account_id OR h.staff_id = f.staff_id)))
        RETURNING f.account_id, f.staff_id INTO who;
    IF NOT FOUND THEN RETURN false; END IF;
    IF use_passkey.credential IS NULL THEN
        PERFORM identity.open_session(
            use_passkey.new_hash, who.account_id, who.staff_id, 'passkey', public.stoa_now(), 'passkey', use_passkey.is_shared);
        RETURN true;
    END IF;
    UPDATE web.credential AS c SET first_factor = 'passkey', authenticated_at = public.stoa_now() WHERE c.hash = use_passkey.credential;
    RETURN identity.raise_assurance(use_passkey.credential, 'passkey', use_passkey.new_hash);
END
$$;
ALTER FUNCTION identity.use_passkey(bytea, bytea, bytea, bigint, bigint, boolean, bytea) OWNER TO stoa_door;

-- Challenges that nobody answered in time.
CREATE FUNCTION identity.remove_old_challenges() RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
    BEGIN ATOMIC
        DELETE FROM identity.passkey_challenge AS c WHERE c.created_at < public.stoa_now() - interval '10 minutes';
    END;
ALTER FUNCTION identity.remove_old_challenges() OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION identity.begin_passkey(bytea, bytea), identity.begin_new_passkey(bytea, bytea),
    identity.add_passkey(bytea, bytea, uuid, bytea, bytea, bigint, bytea), identity.find_passkey(bytea),
    identity.use_passkey(bytea, bytea, bytea, bigint, bigint, boolean, bytea), identity.remove_old_challenges() TO stoa_app;
REVOKE CREATE ON SCHEMA identity FROM stoa_door;
