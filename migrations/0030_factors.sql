-- What people sign in with beside the password, and how that raises the assurance of a session (NIST SP 800-63B-4): an authenticator app (TOTP, RFC
-- 6238), a printed sheet of numbered one-time codes, passkeys (0038), and recovery codes for the day on which the others are lost. Residents and staff
-- alike.

-- Every authenticator that anybody ever had (§4.1 wants the record). It counts once it is confirmed and until it is removed.
CREATE TABLE identity.factor (
    id uuid PRIMARY KEY,
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    kind text NOT NULL CHECK (kind IN ('totp', 'code_sheet', 'recovery_codes', 'passkey')),
    -- Of an authenticator app: its secret, sealed under the city's key-encryption key and bound to this row's id.
    sealed_secret bytea CHECK (octet_length(sealed_secret) >= 28),
    -- The last time step whose code was used: each step serves once (RFC 6238 §5.2).
    last_step bigint,
    -- Of a list of codes: what their hashes are salted with.
    salt bytea CHECK (octet_length(salt) = 16),
    -- Of a passkey: its id, its COSE_Key, and how often it signed, as far as it counts.
    credential_id bytea CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    public_key bytea,
    sign_count bigint CHECK (sign_count BETWEEN 0 AND 4294967295),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    confirmed_at timestamptz,
    last_used_at timestamptz,
    removed_at timestamptz,
    CHECK (num_nonnulls(account_id, staff_id) = 1),
    CHECK ((kind IN ('code_sheet', 'recovery_codes')) = (salt IS NOT NULL)),
    CHECK ((kind = 'passkey') = (credential_id IS NOT NULL)),
    CHECK ((kind = 'passkey') = (sign_count IS NOT NULL)),
    -- What was removed leaves nothing that could be tried.
    CHECK ((kind = 'totp' AND removed_at IS NULL) = (sealed_secret IS NOT NULL)),
    CHECK ((kind = 'passkey' AND removed_at IS NULL) = (public_key IS NOT NULL))
);
-- One app, one sheet, one list at a time; a new one takes the place of the old. Passkeys are as many as somebody has devices.
CREATE UNIQUE INDEX factor_of_account ON identity.factor (account_id, kind)
    WHERE account_id IS NOT NULL AND kind <> 'passkey' AND confirmed_at IS NOT NULL AND removed_at IS NULL;
CREATE UNIQUE INDEX factor_of_staff ON identity.factor (staff_id, kind)
    WHERE staff_id IS NOT NULL AND kind <> 'passkey' AND confirmed_at IS NOT NULL AND removed_at IS NULL;
CREATE UNIQUE INDEX factor_credential ON identity.factor (credential_id) WHERE credential_id IS NOT NULL AND removed_at IS NULL;
CREATE INDEX factor_account ON identity.factor (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX factor_staff ON identity.factor (staff_id) WHERE staff_id IS NOT NULL;
CREATE INDEX factor_pending ON identity.factor (created_at) WHERE confirmed_at IS NULL;

-- One code of a list. The hash is argon2id under the list's salt, keyed with a secret that is not in the database: six or eight digits could be tried
-- out from a stolen copy otherwise.
CREATE TABLE identity.factor_code (
    factor_id uuid NOT NULL REFERENCES identity.factor ON DELETE CASCADE,
    number smallint NOT NULL CHECK (number BETWEEN 1 AND 100),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    used_at timestamptz,
    PRIMARY KEY (factor_id, number)
);

-- A password (or a recovery code in its place) was right, and something else is still missing: no session yet, and no credential that any other function knows.
CREATE TABLE identity.sign_in (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    is_shared boolean NOT NULL,
    first_factor text NOT NULL DEFAULT 'password' CHECK (first_factor IN ('password', 'recovery_code', 'letter_code')),
    password_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CHECK (num_nonnulls(account_id, staff_id) = 1)
);
CREATE INDEX sign_in_at ON identity.sign_in (password_at);

GRANT CREATE ON SCHEMA identity TO stoa_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.factor, identity.factor_code, identity.sign_in TO stoa_door;

-- Who holds a token: the person of a live session, or of a sign-in that is under way. A sign-in ends after ten minutes.
CREATE FUNCTION identity.holder(credential bytea) RETURNS TABLE (
    account_id uuid, staff_id uuid, subject bytea, is_session boolean, authenticated_at timestamptz, second_factor_at timestamptz, is_shared boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT c.account_id, c.staff_id, uuid_send(coalesce(c.account_id, c.staff_id)), true, c.authenticated_at, c.second_factor_at, c.is_shared
        FROM web.credential AS c
        LEFT JOIN identity.account AS a ON a.id = c.account_id
        LEFT JOIN identity.staff AS s ON s.id = c.staff_id
        WHERE c.hash = holder.credential AND c.kind = 'session' AND web.is_live(c) AND a.closed_at IS NULL AND s.closed_at IS NULL
        UNION ALL
        SELECT i.account_id, i.staff_id, uuid_send(coalesce(i.account_id, i.staff_id)), false, i.password_at, NULL, i.is_shared
        FROM identity.sign_in AS i
        LEFT JOIN identity.account AS a ON a.id = i.account_id
        LEFT JOIN identity.staff AS s ON s.id = i.staff_id
        WHERE i.hash = holder.credential AND i.password_at > public.stoa_now() - interval '10 minutes' AND a.closed_at IS NULL AND s.closed_at IS NULL;
    END;
ALTER FUNCTION identity.holder(bytea) OWNER TO stoa_door;

-- The second factors of a person: an app, a passkey, or a sheet. A sheet counts until it is removed, also when its codes are used up: the password alone would
-- open the account otherwise to whoever waits for that. Recovery codes are for the day on which these are lost, and no reason to ask for one at every sign-in.
CREATE FUNCTION identity.second_factors(account_id uuid, staff_id uuid) RETURNS TABLE (id uuid, kind text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT f.id, f.kind FROM identity.factor AS f
        WHERE (f.account_id = second_factors.account_id OR f.staff_id = second_factors.staff_id) AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL
          AND f.kind IN ('totp', 'passkey', 'code_sheet');
    END;
ALTER FUNCTION identity.second_factors(uuid, uuid) OWNER TO stoa_door;

-- One change of a person's factors or password at a time: two that each found none would both be the first. Called before anything is decided.
CREATE FUNCTION identity.lock_factors(account_id uuid, staff_id uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM identity.account AS a WHERE a.id = lock_factors.account_id FOR NO KEY UPDATE;
    PERFORM FROM identity.staff AS s WHERE s.id = lock_factors.staff_id FOR NO KEY UPDATE;
END
$$;
ALTER FUNCTION identity.lock_factors(uuid, uuid) OWNER TO stoa_door;

-- What is missing before the holder may add or remove a factor: `nothing`; `password`, for the first one, within five minutes; `second_factor`, for
-- every later change, within fifteen; null for nobody (SP 800-63B-4 §4.1.2.1).
CREATE FUNCTION identity.factor_change_needs(credential bytea) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT CASE
            WHEN EXISTS (SELECT FROM identity.second_factors(h.account_id, h.staff_id))
                THEN CASE WHEN h.second_factor_at > public.stoa_now() - interval '15 minutes' THEN 'nothing' ELSE 'second_factor' END
            WHEN h.authenticated_at > public.stoa_now() - interval '5 minutes' THEN 'nothing'
            ELSE 'password' END
        FROM identity.holder(factor_change_needs.credential) AS h;
    END;
ALTER FUNCTION identity.factor_change_needs(bytea) OWNER TO stoa_door;

-- What a resident is told of a change to the ways into their account. Staff have no messages.
CREATE FUNCTION identity.tell_of_factor(account_id uuid, message text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind)
        SELECT gen_random_uuid(), a.resident_id, tell_of_factor.message FROM identity.account AS a WHERE a.id = tell_of_factor.account_id;
END
$$;
ALTER FUNCTION identity.tell_of_factor(uuid, text) OWNER TO stoa_door;

-- After the right password. `session`: it is open under this hash. `second_factor` or `enrolment`: a sign-in is under way under this hash, and there is no
-- session before the second factor was right, or a member of staff who must have one has made one. Where staff need none, theirs is asked for when something
-- asks for AAL2. Null: the password was changed meanwhile.
CREATE FUNCTION identity.sign_in(
    name_hmac bytea, password_hash text, address_hmac bytea, token_hash bytea, is_shared boolean, staff_need_second_factor boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person record;
    outcome text;
BEGIN
    SELECT a.id AS account_id, s.id AS staff_id INTO person
        FROM identity.sign_in_name AS n
        LEFT JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        LEFT JOIN identity.staff AS s ON s.id = n.staff_id AND s.closed_at IS NULL
        WHERE n.hmac = sign_in.name_hmac;
    -- Whoever changes the password at this very moment waits, and ends what is opened here, or was first.
    PERFORM FROM identity.account AS a WHERE a.id = person.account_id FOR SHARE;
    PERFORM FROM identity.staff AS s WHERE s.id = person.staff_id FOR SHARE;
    PERFORM FROM identity.account AS a WHERE a.id = person.account_id AND a.password_hash = sign_in.password_hash AND a.closed_at IS NULL
        UNION ALL SELECT FROM identity.staff AS s WHERE s.id = person.staff_id AND s.password_hash = sign_in.password_hash AND s.closed_at IS NULL;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM identity.forgive(uuid_send(coalesce(person.account_id, person.staff_id)), 'password', sign_in.address_hmac);
    outcome := CASE
        WHEN person.staff_id IS NOT NULL AND NOT sign_in.staff_need_second_factor THEN 'session'
        WHEN EXISTS (SELECT FROM identity.second_factors(person.account_id, person.staff_id)) THEN 'second_factor'
        WHEN person.staff_id IS NOT NULL THEN 'enrolment'
        ELSE 'session' END;
    IF outcome = 'session' THEN
        PERFORM identity.open_session(sign_in.token_hash, person.account_id, person.staff_id, 'password', public.stoa_now(), NULL, sign_in.is_shared);
    ELSE
        INSERT INTO identity.sign_in (hash, account_id, staff_id, is_shared)
            VALUES (sign_in.token_hash, person.account_id, person.staff_id, sign_in.is_shared);
    END IF;
    RETURN outcome;
END
$$;
ALTER FUNCTION identity.sign_in(bytea, text, bytea, bytea, boolean, boolean) OWNER TO stoa_door;

-- A session of a resident or of a member of staff (one of both): 15 idle minutes, 5 on a shared computer, and 12 hours at most (SP 800-63B-4 §2.2.3).
CREATE FUNCTION identity.open_session(
    token_hash bytea, account_id uuid, staff_id uuid, first_factor text, authenticated_at timestamptz, second_factor text, is_shared boolean) RETURNS void
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        INSERT INTO web.credential (
            hash, kind, account_id, staff_id, authenticator_assurance, first_factor, authenticated_at, second_factor, second_factor_at, is_shared,
            idle_after, expires_at)
        VALUES (
            open_session.token_hash, 'session', open_session.account_id, open_session.staff_id, CASE WHEN open_session.second_factor IS NULL THEN 1 ELSE 2 END,
            open_session.first_factor, open_session.authenticated_at, open_session.second_factor,
            CASE WHEN open_session.second_factor IS NOT NULL THEN public.stoa_now() END, open_session.is_shared,
            CASE WHEN open_session.is_shared THEN interval '5 minutes' ELSE interval '15 minutes' END, public.stoa_now() + interval '12 hours');
    END;
ALTER FUNCTION identity.open_session(bytea, uuid, uuid, text, timestamptz, text, boolean) OWNER TO stoa_door;

-- A second factor was right: the sign-in under way becomes a session, or the session rises to AAL2. Either is known by the new hash from now on and by
-- no other (a new identifier at every change of privilege). False when the credential ended meanwhile.
CREATE FUNCTION identity.raise_assurance(credential bytea, second_factor text, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    half record;
BEGIN
    DELETE FROM identity.sign_in AS i WHERE i.hash = raise_assurance.credential
        RETURNING i.account_id, i.staff_id, i.first_factor, i.password_at, i.is_shared INTO half;
    IF FOUND THEN
        PERFORM identity.open_session(
            raise_assurance.new_hash, half.account_id, half.staff_id, half.first_factor, half.password_at, raise_assurance.second_factor, half.is_shared);
        RETURN true;
    END IF;
    UPDATE web.credential AS c
        SET hash = raise_assurance.new_hash, authenticator_assurance = 2, second_factor = raise_assurance.second_factor,
            second_factor_at = public.stoa_now(), last_used_at = public.stoa_now()
        WHERE c.hash = raise_assurance.credential AND c.kind = 'session' AND web.is_live(c);
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.raise_assurance(bytea, text, bytea) OWNER TO stoa_door;

-- Whether a factor of this kind may be tried where the holder stands. A list of recovery codes is one factor: two codes of it are not two, and as a second
-- one it stands in for another that was lost. Without another, the list alone would give a new password and then confirm it.
CREATE FUNCTION identity.may_try(credential bytea, kind text) RETURNS boolean
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT may_try.kind <> 'recovery_codes' OR (
            EXISTS (SELECT FROM identity.holder(may_try.credential) AS h, identity.second_factors(h.account_id, h.staff_id))
            AND NOT EXISTS (SELECT FROM identity.sign_in AS i WHERE i.hash = may_try.credential AND i.first_factor = 'recovery_code')
            AND NOT EXISTS (SELECT FROM web.credential AS c WHERE c.hash = may_try.credential AND c.first_factor = 'recovery_code'));
    END;
ALTER FUNCTION identity.may_try(bytea, text) OWNER TO stoa_door;

-- Counts an attempt with one kind of factor before the code is looked at, and gives what is needed to look at it: of an app its sealed secret, of a list
-- its salt and, of a sheet, the number that is asked for. The same whether the person has such a factor or not. No row for nobody.
CREATE FUNCTION identity.begin_factor_attempt(credential bytea, kind text, address_hmac bytea) RETURNS TABLE (
    outcome text, wait_minutes integer, factor_id uuid, sealed_secret bytea, salt bytea, number smallint, at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(begin_factor_attempt.credential) AS h;
    IF NOT FOUND OR NOT identity.may_try(begin_factor_attempt.credential, begin_factor_attempt.kind) THEN RETURN; END IF;
    RETURN QUERY
        SELECT t.outcome, t.wait_minutes, f.id, f.sealed_secret, f.salt,
            (SELECT min(c.number) FROM identity.factor_code AS c WHERE c.factor_id = f.id AND c.used_at IS NULL AND f.kind = 'code_sheet'),
            public.stoa_now()
        FROM identity.count_attempt(who.subject, begin_factor_attempt.kind, begin_factor_attempt.address_hmac) AS t
        LEFT JOIN identity.factor AS f
            ON t.outcome = 'counted' AND (f.account_id = who.account_id OR f.staff_id = who.staff_id) AND f.kind = begin_factor_attempt.kind
            AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL;
END
$$;
ALTER FUNCTION identity.begin_factor_attempt(bytea, text, bytea) OWNER TO stoa_door;

-- The code of a time step was right. Each step serves once, and none before it: of those who send it at the same moment one comes in. True: the session
-- is known by the new hash.
CREATE FUNCTION identity.use_totp(credential bytea, factor_id uuid, step bigint, address_hmac bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(use_totp.credential) AS h;
    UPDATE identity.factor AS f SET last_step = use_totp.step, last_used_at = public.stoa_now()
        WHERE f.id = use_totp.factor_id AND f.kind = 'totp' AND (f.account_id = who.account_id OR f.staff_id = who.staff_id)
          AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL AND f.last_step < use_totp.step;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM identity.forgive(who.subject, 'totp', use_totp.address_hmac);
    RETURN identity.raise_assurance(use_totp.credential, 'totp', use_totp.new_hash);
END
$$;
ALTER FUNCTION identity.use_totp(bytea, uuid, bigint, bytea, bytea) OWNER TO stoa_door;

-- Uses a code of a sheet (the number that was asked for) or of the recovery codes (any number: null), if its hash is right: each once, also when it is sent
-- twice at the same moment. True: the session is known by the new hash.
CREATE FUNCTION identity.use_listed_code(credential bytea, factor_id uuid, number smallint, code_hash bytea, address_hmac bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
    list record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(use_listed_code.credential) AS h;
    SELECT f.kind INTO list FROM identity.factor AS f
        WHERE f.id = use_listed_code.factor_id AND (f.account_id = who.account_id OR f.staff_id = who.staff_id)
          AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL AND identity.may_try(use_listed_code.credential, f.kind);
    UPDATE identity.factor_code AS c SET used_at = public.stoa_now()
        WHERE c.factor_id = use_listed_code.factor_id AND c.hash = use_listed_code.code_hash AND c.used_at IS NULL
          AND (list.kind = 'recovery_codes' OR list.kind = 'code_sheet' AND c.number = use_listed_code.number);
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE identity.factor AS f SET last_used_at = public.stoa_now() WHERE f.id = use_listed_code.factor_id;
    PERFORM identity.forgive(who.subject, list.kind, use_listed_code.address_hmac);
    IF list.kind = 'recovery_codes' THEN PERFORM identity.tell_of_factor(who.account_id, 'recovery_code_used'); END IF;
    RETURN identity.raise_assurance(use_listed_code.credential, list.kind, use_listed_code.new_hash);
END
$$;
ALTER FUNCTION identity.use_listed_code(bytea, uuid, smallint, bytea, bytea, bytea) OWNER TO stoa_door;

-- Takes a factor away from its person; what it could be tried with is destroyed.
CREATE FUNCTION identity.end_factor(factor_id uuid) RETURNS void
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        UPDATE identity.factor AS f SET removed_at = public.stoa_now(), sealed_secret = NULL, public_key = NULL WHERE f.id = end_factor.factor_id;
        DELETE FROM identity.factor_code AS c WHERE c.factor_id = end_factor.factor_id;
    END;
ALTER FUNCTION identity.end_factor(uuid) OWNER TO stoa_door;

-- Begins an authenticator app. It counts for nothing before a code of it was right. `begun`, or what is missing (identity.factor_change_needs).
CREATE FUNCTION identity.begin_totp(credential bytea, factor_id uuid, sealed_secret bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    needs text := identity.factor_change_needs(begin_totp.credential);
BEGIN
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    DELETE FROM identity.factor AS f USING identity.holder(begin_totp.credential) AS h
        WHERE (f.account_id = h.account_id OR f.staff_id = h.staff_id) AND f.confirmed_at IS NULL;
    INSERT INTO identity.factor (id, account_id, staff_id, kind, sealed_secret)
        SELECT begin_totp.factor_id, h.account_id, h.staff_id, 'totp', begin_totp.sealed_secret FROM identity.holder(begin_totp.credential) AS h;
    RETURN 'begun';
END
$$;
ALTER FUNCTION identity.begin_totp(bytea, uuid, bytea) OWNER TO stoa_door;

-- The app that was begun within the hour and waits for its first code.
CREATE FUNCTION identity.pending_totp(credential bytea) RETURNS TABLE (factor_id uuid, sealed_secret bytea, at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT f.id, f.sealed_secret, public.stoa_now() FROM identity.holder(pending_totp.credential) AS h
        JOIN identity.factor AS f ON f.account_id = h.account_id OR f.staff_id = h.staff_id
        WHERE f.confirmed_at IS NULL AND f.removed_at IS NULL AND f.created_at > public.stoa_now() - interval '1 hour';
    END;
ALTER FUNCTION identity.pending_totp(bytea) OWNER TO stoa_door;

-- The first code of the app was right: it takes the place of an earlier one and raises the session, which is known by the new hash from now on. Here as at
-- every change of factors the other sessions end, which were opened without it, or with what was removed. `confirmed`, `unknown`, or what is missing.
CREATE FUNCTION identity.confirm_totp(credential bytea, factor_id uuid, step bigint, new_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(confirm_totp.credential) AS h;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(confirm_totp.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    PERFORM FROM identity.pending_totp(confirm_totp.credential) AS p WHERE p.factor_id = confirm_totp.factor_id;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    PERFORM identity.end_factor(f.id) FROM identity.factor AS f
        WHERE (f.account_id = who.account_id OR f.staff_id = who.staff_id) AND f.kind = 'totp' AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL;
    UPDATE identity.factor AS f SET confirmed_at = public.stoa_now(), last_used_at = public.stoa_now(), last_step = confirm_totp.step
        WHERE f.id = confirm_totp.factor_id;
    PERFORM identity.tell_of_factor(who.account_id, 'app_added');
    PERFORM identity.raise_assurance(confirm_totp.credential, 'totp', confirm_totp.new_hash);
    PERFORM identity.end_sessions(who.account_id, who.staff_id, confirm_totp.new_hash);
    RETURN 'confirmed';
END
$$;
ALTER FUNCTION identity.confirm_totp(bytea, uuid, bigint, bytea) OWNER TO stoa_door;

-- A sheet or recovery codes, in place of earlier ones. `made`, or what is missing.
CREATE FUNCTION identity.make_codes(credential bytea, factor_id uuid, kind text, salt bytea, hashes bytea[]) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(make_codes.credential) AS h;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(make_codes.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    PERFORM identity.end_factor(f.id) FROM identity.factor AS f
        WHERE (f.account_id = who.account_id OR f.staff_id = who.staff_id) AND f.kind = make_codes.kind AND f.removed_at IS NULL;
    INSERT INTO identity.factor (id, account_id, staff_id, kind, salt, confirmed_at)
        VALUES (make_codes.factor_id, who.account_id, who.staff_id, make_codes.kind, make_codes.salt, public.stoa_now());
    INSERT INTO identity.factor_code (factor_id, number, hash)
        SELECT make_codes.factor_id, h.number, h.hash FROM unnest(make_codes.hashes) WITH ORDINALITY AS h (hash, number);
    PERFORM identity.tell_of_factor(who.account_id, CASE make_codes.kind WHEN 'code_sheet' THEN 'code_sheet_made' ELSE 'recovery_codes_made' END);
    PERFORM identity.end_sessions(who.account_id, who.staff_id, make_codes.credential);
    RETURN 'made';
END
$$;
ALTER FUNCTION identity.make_codes(bytea, uuid, text, bytea, bytea[]) OWNER TO stoa_door;

-- `removed`, `unknown`, or what is missing.
CREATE FUNCTION identity.remove_factor(credential bytea, factor_id uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(remove_factor.credential) AS h;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(remove_factor.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    PERFORM FROM identity.factor AS f WHERE f.id = remove_factor.factor_id AND (f.account_id = who.account_id OR f.staff_id = who.staff_id)
        AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    PERFORM identity.end_factor(remove_factor.factor_id);
    PERFORM identity.tell_of_factor(who.account_id, 'factor_removed');
    PERFORM identity.end_sessions(who.account_id, who.staff_id, remove_factor.credential);
    RETURN 'removed';
END
$$;
ALTER FUNCTION identity.remove_factor(bytea, uuid) OWNER TO stoa_door;

-- The holder's own factors, for the security page and the page that asks for one: how many codes are left, and which number a sheet asks for next.
CREATE FUNCTION identity.factors_of(credential bytea) RETURNS TABLE (
    id uuid, kind text, created_at timestamptz, last_used_at timestamptz, is_closed boolean, codes_left integer, next_number smallint)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT f.id, f.kind, f.created_at, f.last_used_at, coalesce(t.failures >= 100, false),
            (SELECT count(*)::integer FROM identity.factor_code AS c WHERE c.factor_id = f.id AND c.used_at IS NULL),
            (SELECT min(c.number) FROM identity.factor_code AS c WHERE c.factor_id = f.id AND c.used_at IS NULL)
        FROM identity.holder(factors_of.credential) AS h
        JOIN identity.factor AS f ON f.account_id = h.account_id OR f.staff_id = h.staff_id
        LEFT JOIN identity.factor_failures AS t ON t.subject = h.subject AND t.factor = f.kind
        WHERE f.confirmed_at IS NOT NULL AND f.removed_at IS NULL
        ORDER BY array_position(ARRAY['passkey', 'totp', 'code_sheet', 'recovery_codes'], f.kind), f.created_at;
    END;
ALTER FUNCTION identity.factors_of(bytea) OWNER TO stoa_door;

-- Removes what nobody can use any more: sign-ins and apps that were not finished, and attempts that no longer count. What was tried at names that open
-- nothing is kept for a month, so that a closed one does not tell by opening soon that it is none.
CREATE FUNCTION identity.remove_ended() RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
    BEGIN ATOMIC
        DELETE FROM identity.sign_in AS i WHERE i.password_at < public.stoa_now() - interval '1 hour';
        DELETE FROM identity.factor AS f WHERE f.confirmed_at IS NULL AND f.created_at < public.stoa_now() - interval '1 day';
        DELETE FROM identity.address_failures AS a WHERE a.last_at < public.stoa_now() - interval '1 day';
        DELETE FROM identity.registration_attempt AS r WHERE r.at < public.stoa_now() - interval '1 day';
        DELETE FROM identity.factor_failures AS f WHERE octet_length(f.subject) = 32 AND f.last_at < public.stoa_now() - interval '30 days';
    END;
ALTER FUNCTION identity.remove_ended() OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION identity.factor_change_needs(bytea), identity.sign_in(bytea, text, bytea, bytea, boolean, boolean),
    identity.begin_factor_attempt(bytea, text, bytea), identity.use_totp(bytea, uuid, bigint, bytea, bytea),
    identity.use_listed_code(bytea, uuid, smallint, bytea, bytea, bytea), identity.begin_totp(bytea, uuid, bytea), identity.pending_totp(bytea),
    identity.confirm_totp(bytea, uuid, bigint, bytea), identity.make_codes(bytea, uuid, text, bytea, bytea[]), identity.remove_factor(bytea, uuid),
    identity.factors_of(bytea), identity.remove_ended() TO stoa_app;
REVOKE CREATE ON SCHEMA identity FROM stoa_door;
