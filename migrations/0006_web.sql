-- Who is at the other end of a request: sessions and access tokens, one table, by the hash of their secret.
-- Rows are made only by the functions below, at sign-in and at the token endpoint. Everything that decides about personal
-- data derives the actor from this row, so the server cannot claim to be somebody else.
CREATE SCHEMA web;
GRANT USAGE ON SCHEMA web TO stoa_app, stoa_door;

CREATE TABLE web.credential (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    kind text NOT NULL CHECK (kind IN ('session', 'access_token')),
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    client_id text REFERENCES openid.client,
    organisation_id text REFERENCES consent.organisation,
    scope text[] NOT NULL DEFAULT '{}',
    -- What a list of sessions, and services that are told of a sign-out, call it: it stays when the secret of a session changes, and opens nothing.
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- AAL of NIST SP 800-63-4, and what earned it in a session: what was shown first and when it was last shown; and second, where there was a second.
    authenticator_assurance smallint NOT NULL CHECK (authenticator_assurance BETWEEN 1 AND 3),
    first_factor text CHECK (first_factor IN ('password', 'passkey', 'recovery_code', 'letter_code')),
    authenticated_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    second_factor text CHECK (second_factor IN ('totp', 'code_sheet', 'recovery_codes', 'passkey')),
    second_factor_at timestamptz,
    -- On a computer that others use too.
    is_shared boolean NOT NULL DEFAULT false,
    authorization_code_hash bytea REFERENCES openid.authorization_code ON DELETE SET NULL,
    -- The sign-in that the token of a service belongs to. It opens that resident's claims and nothing else, so it holds no other scope.
    sign_in_id uuid REFERENCES openid.sign_in,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    last_used_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- A session that nobody uses for this long has ended; null for tokens.
    idle_after interval,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CHECK (num_nonnulls(account_id, staff_id, organisation_id) = 1),
    CHECK ((kind = 'session') = (idle_after IS NOT NULL)),
    CHECK ((second_factor IS NULL) = (second_factor_at IS NULL)),
    CHECK (kind <> 'session' OR (authenticator_assurance = 1) = (second_factor IS NULL)),
    CHECK ((kind = 'access_token') = (client_id IS NOT NULL)),
    CHECK (sign_in_id IS NULL OR (organisation_id IS NOT NULL AND scope <@ '{openid,profile,email,phone,address,offline_access,roles}'))
);
CREATE INDEX credential_account ON web.credential (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX credential_staff ON web.credential (staff_id) WHERE staff_id IS NOT NULL;
CREATE INDEX credential_expires ON web.credential (expires_at);
CREATE INDEX credential_sign_in ON web.credential (sign_in_id) WHERE sign_in_id IS NOT NULL;
CREATE INDEX credential_code ON web.credential (authorization_code_hash) WHERE authorization_code_hash IS NOT NULL;

-- What a POST with an Idempotency-Key led to. Never the body: its hash, and where the result is.
CREATE TABLE web.idempotency_key (
    actor text NOT NULL CHECK (length(actor) <= 200),
    route text NOT NULL CHECK (length(route) <= 200),
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_hash bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    status smallint NOT NULL CHECK (status BETWEEN 100 AND 599),
    resource_id uuid,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (actor, route, key)
);
CREATE INDEX idempotency_key_created ON web.idempotency_key (created_at);
-- Payments write and compare keys (stoa_door); the server only clears old ones away, and cannot learn from them who paid.
GRANT SELECT (created_at), DELETE ON web.idempotency_key TO stoa_app;

GRANT CREATE ON SCHEMA web TO stoa_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON web.credential TO stoa_door;
GRANT SELECT, UPDATE ON openid.authorization_code TO stoa_door;
GRANT SELECT ON openid.authorization_request TO stoa_door;
GRANT INSERT ON openid.authorization_code TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON openid.sign_in, openid.connection TO stoa_door;

-- Whether a credential still stands at this moment.
CREATE FUNCTION web.is_live(c web.credential) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN c.revoked_at IS NULL AND c.expires_at > public.stoa_now()
        AND (c.idle_after IS NULL OR c.last_used_at + c.idle_after > public.stoa_now());
ALTER FUNCTION web.is_live(web.credential) OWNER TO stoa_door;

-- The staff member of a live session who holds one of the roles. No row for anybody else.
CREATE FUNCTION web.staff_with(credential bytea, roles text[]) RETURNS TABLE (staff_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT s.id
        FROM web.credential AS c JOIN identity.staff AS s ON s.id = c.staff_id
        WHERE c.hash = staff_with.credential AND c.kind = 'session' AND web.is_live(c) AND s.closed_at IS NULL AND s.roles && staff_with.roles;
    END;
ALTER FUNCTION web.staff_with(bytea, text[]) OWNER TO stoa_door;

-- Ends a session or revokes an access token. True when it was live.
CREATE FUNCTION web.revoke_credential(hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.hash = revoke_credential.hash AND c.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
ALTER FUNCTION web.revoke_credential(bytea) OWNER TO stoa_door;

-- An access token of an organisation's client for itself (RFC 6749 §4.4). Refuses a scope that the client does not hold.
CREATE FUNCTION web.issue_client_token(token_hash bytea, client_id text, scope text[], lifetime_seconds integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO web.credential (hash, kind, client_id, organisation_id, scope, authenticator_assurance, expires_at)
    SELECT token_hash, 'access_token', c.id, c.organisation_id, issue_client_token.scope, 1,
           public.stoa_now() + make_interval(secs => LEAST(lifetime_seconds, 600))
    FROM openid.client AS c
    WHERE c.id = issue_client_token.client_id AND c.kind = 'confidential' AND c.closed_at IS NULL AND issue_client_token.scope <@ c.scope;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this client cannot have such a token' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
ALTER FUNCTION web.issue_client_token(bytea, text, text[], integer) OWNER TO stoa_door;

-- A code for the request that the signed-in resident agreed to; the account is the session's, never a parameter. Staff get one at services that ask for their
-- roles, after two factors. False: no longer open, or not theirs.
CREATE FUNCTION web.issue_authorization_code(code_hash bytea, request_id uuid, session_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO openid.authorization_code (hash, request_id, account_id, staff_id, authenticator_assurance, session_id, signed_in_at, expires_at)
    SELECT code_hash, r.id, c.account_id, c.staff_id, c.authenticator_assurance, c.id, c.authenticated_at, public.stoa_now() + interval '60 seconds'
    FROM openid.authorization_request AS r, web.credential AS c
    WHERE r.id = issue_authorization_code.request_id AND r.expires_at > public.stoa_now()
      AND c.hash = session_hash AND c.kind = 'session' AND web.is_live(c)
      AND (c.account_id IS NOT NULL OR c.staff_id IS NOT NULL AND c.authenticator_assurance >= 2 AND '{openid,roles}' <@ r.scope)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;
ALTER FUNCTION web.issue_authorization_code(bytea, uuid, bytea) OWNER TO stoa_door;

-- Redeems a code once (RFC 6749 §4.1.2, RFC 7636 §4.6): consumed and answered with a token in one transaction. A second
-- redemption revokes what the first one issued. The challenge is what the server computed from the verifier that was sent.
-- An app gets a token of the resident; a service one of its organisation, which belongs to a sign-in: what follows token_scope is for its ID token.
CREATE FUNCTION web.redeem_authorization_code(
    code_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea,
    key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamptz,
    OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    code record;
    service record;
BEGIN
    SELECT a.account_id, a.staff_id, a.authenticator_assurance, a.consumed_at, a.expires_at, a.session_id, a.signed_in_at,
        r.client_id, r.redirect_uri, r.code_challenge, r.scope, r.nonce, r.id_token_claims, r.user_info_claims, r.resource, r.key_thumbprint
        INTO code
        FROM openid.authorization_code AS a JOIN openid.authorization_request AS r ON r.id = a.request_id
        WHERE a.hash = redeem_authorization_code.code_hash
        FOR UPDATE OF a;
    IF code IS NULL OR code.client_id IS DISTINCT FROM redeem_authorization_code.client_id THEN
        outcome := 'unknown';
        RETURN;
    ELSIF code.consumed_at IS NOT NULL THEN
        PERFORM openid.end_sign_in(c.sign_in_id) FROM web.credential AS c
            WHERE c.authorization_code_hash = redeem_authorization_code.code_hash AND c.sign_in_id IS NOT NULL;
        UPDATE web.credential AS c SET revoked_at = public.stoa_now()
            WHERE c.authorization_code_hash = redeem_authorization_code.code_hash AND c.revoked_at IS NULL;
        outcome := 'replayed';
        RETURN;
    END IF;
    UPDATE openid.authorization_code AS a SET consumed_at = public.stoa_now() WHERE a.hash = redeem_authorization_code.code_hash;
    IF code.expires_at <= public.stoa_now() THEN
        outcome := 'expired';
        RETURN;
    ELSIF code.redirect_uri IS DISTINCT FROM redeem_authorization_code.redirect_uri THEN
        outcome := 'redirect_uri_differs';
        RETURN;
    ELSIF code.code_challenge IS DISTINCT FROM redeem_authorization_code.code_challenge THEN
        outcome := 'verifier_wrong';
        RETURN;
    ELSIF code.key_thumbprint IS NOT NULL AND code.key_thumbprint IS DISTINCT FROM redeem_authorization_code.key_thumbprint THEN
        outcome := 'key_differs';
        RETURN;
    END IF;
    -- Whoever signed out within this minute is not signed in anywhere by it. Locked: a sign-out at this very moment waits, and finds what was issued, or was first.
    PERFORM FROM web.credential AS c LEFT JOIN identity.account AS a ON a.id = c.account_id LEFT JOIN identity.staff AS s ON s.id = c.staff_id
        WHERE (c.account_id = code.account_id OR c.staff_id = code.staff_id) AND c.id = code.session_id AND c.kind = 'session' AND web.is_live(c)
          AND a.closed_at IS NULL AND s.closed_at IS NULL FOR SHARE OF c;
    IF NOT FOUND THEN
        outcome := 'session_ended';
        RETURN;
    END IF;
    issued_at := public.stoa_now();
    IF NOT 'openid' = ANY (code.scope) THEN
        INSERT INTO web.credential (hash, kind, account_id, client_id, scope, authenticator_assurance, authorization_code_hash, expires_at)
        VALUES (token_hash, 'access_token', code.account_id, code.client_id, code.scope, code.authenticator_assurance,
                redeem_authorization_code.code_hash, issued_at + make_interval(secs => LEAST(lifetime_seconds, 3600)));
        outcome := 'issued';
        redeem_authorization_code.scope := code.scope;
        RETURN;
    END IF;
    IF code.staff_id IS NULL THEN
        -- Nor whoever ended the service meanwhile.
        SELECT k.organisation_id, p.resident_id, p.pseudonym AS subject, r.identity_assurance INTO service
            FROM openid.client AS k JOIN identity.account AS a ON a.id = code.account_id AND a.closed_at IS NULL
            JOIN register.resident AS r ON r.id = a.resident_id
            JOIN exchange.pseudonym AS p ON p.resident_id = r.id AND p.organisation_id = k.organisation_id
            JOIN openid.connection AS n ON n.account_id = a.id AND n.client_id = k.id AND n.ended_at IS NULL
            WHERE k.id = code.client_id
            FOR SHARE OF n;
        redeem_authorization_code.scope := array_remove(code.scope, 'roles');
    ELSE
        -- The city took its staff on with their papers before it. What a service learns of them is their work: name and roles.
        SELECT k.organisation_id, NULL::uuid AS resident_id, u.subject, 2::smallint AS identity_assurance INTO service
            FROM openid.client AS k JOIN openid.staff_subject AS u ON u.organisation_id = k.organisation_id AND u.staff_id = code.staff_id
            WHERE k.id = code.client_id;
        redeem_authorization_code.scope := ARRAY(SELECT s.name FROM unnest(code.scope) AS s (name) WHERE s.name IN ('openid', 'profile', 'roles'));
    END IF;
    IF service IS NULL THEN
        outcome := 'session_ended';
        redeem_authorization_code.scope := NULL;
        RETURN;
    END IF;
    outcome := 'issued';
    INSERT INTO openid.sign_in (client_id, account_id, staff_id, resident_id, subject, session_id, signed_in_at, authenticator_assurance, scope, user_info_claims,
                                resource, key_thumbprint)
    VALUES (code.client_id, code.account_id, code.staff_id, service.resident_id, service.subject, code.session_id, code.signed_in_at,
            code.authenticator_assurance, redeem_authorization_code.scope, code.user_info_claims, code.resource, redeem_authorization_code.key_thumbprint)
    RETURNING id INTO redeem_authorization_code.sign_in_id;
    INSERT INTO web.credential (hash, kind, organisation_id, client_id, scope, authenticator_assurance, authorization_code_hash, sign_in_id, expires_at)
    VALUES (token_hash, 'access_token', service.organisation_id, code.client_id, redeem_authorization_code.scope, code.authenticator_assurance,
            redeem_authorization_code.code_hash, redeem_authorization_code.sign_in_id, issued_at + make_interval(secs => LEAST(lifetime_seconds, 600)));
    IF 'offline_access' = ANY (redeem_authorization_code.scope) THEN
        INSERT INTO openid.refresh_token (hash, sign_in_id, access_hash, expires_at)
        VALUES (refresh_hash, redeem_authorization_code.sign_in_id, token_hash, issued_at + openid.refresh_lifetime());
    END IF;
    subject := service.subject;
    redeem_authorization_code.resource := code.resource;
    nonce := code.nonce;
    signed_in_at := code.signed_in_at;
    redeem_authorization_code.authenticator_assurance := code.authenticator_assurance;
    redeem_authorization_code.identity_assurance := service.identity_assurance;
    redeem_authorization_code.id_token_claims := code.id_token_claims;
END
$$;
ALTER FUNCTION web.redeem_authorization_code(bytea, text, text, text, bytea, integer, bytea, text) OWNER TO stoa_door;

-- Who asks, for one live credential; no row for any other. Notes the use of a session at most once a minute. `ends_at` is when it ends if nobody uses it.
CREATE FUNCTION web.resolve_credential(hash bytea) RETURNS TABLE (
    kind text, actor_kind text, account_id uuid, resident_id uuid, staff_id uuid, display_name text, roles text[], organisation_id text,
    client_id text, scope text[], language text, expires_at timestamptz, authenticator_assurance smallint, identity_assurance smallint,
    public_code text, id uuid, authenticated_at timestamptz, second_factor text, second_factor_at timestamptz, ends_at timestamptz, is_shared boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE web.credential AS c SET last_used_at = public.stoa_now()
        WHERE c.hash = resolve_credential.hash AND c.kind = 'session' AND c.last_used_at < public.stoa_now() - interval '1 minute' AND web.is_live(c);
    RETURN QUERY
        SELECT c.kind, CASE WHEN c.account_id IS NOT NULL THEN 'resident' WHEN c.staff_id IS NOT NULL THEN 'staff' ELSE 'organisation' END,
            a.id, a.resident_id, s.id, s.display_name, coalesce(s.roles, '{}'), c.organisation_id, c.client_id, c.scope,
            coalesce(a.language, s.language), c.expires_at, c.authenticator_assurance, r.identity_assurance, r.public_code,
            c.id, c.authenticated_at, c.second_factor, c.second_factor_at, LEAST(c.last_used_at + c.idle_after, c.expires_at), c.is_shared
        FROM web.credential AS c
        LEFT JOIN identity.account AS a ON a.id = c.account_id
        LEFT JOIN register.resident AS r ON r.id = a.resident_id
        LEFT JOIN identity.staff AS s ON s.id = c.staff_id
        WHERE c.hash = resolve_credential.hash AND web.is_live(c) AND a.closed_at IS NULL AND s.closed_at IS NULL;
    IF FOUND THEN RETURN; END IF;
    -- A helper who acts (0034): of them all is the helper's but resident, code and assurance; the scope is what the mandate covers.
    UPDATE web.credential AS c SET last_used_at = public.stoa_now() FROM mandates.acting_as(resolve_credential.hash) AS w
        WHERE c.hash = w.session_hash AND c.last_used_at < public.stoa_now() - interval '1 minute' AND web.is_live(c);
    RETURN QUERY
        SELECT c.kind, 'helper', w.account_id, w.resident_id, NULL::uuid, NULL::text, '{}'::text[], NULL::text, NULL::text,
            CASE WHEN w.is_in_force THEN w.themes ELSE '{}' END, a.language, c.expires_at, c.authenticator_assurance, r.identity_assurance, r.public_code,
            c.id, c.authenticated_at, c.second_factor, c.second_factor_at, LEAST(c.last_used_at + c.idle_after, c.expires_at), c.is_shared
        FROM mandates.acting_as(resolve_credential.hash) AS w
        JOIN web.credential AS c ON c.hash = w.session_hash
        JOIN identity.account AS a ON a.id = w.account_id
        JOIN register.resident AS r ON r.id = w.resident_id;
END
$$;
ALTER FUNCTION web.resolve_credential(bytea) OWNER TO stoa_door;

-- The language that the resident or staff member of this session chose.
CREATE FUNCTION web.choose_language(session_hash bytea, language text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Of whoever acts for another (0034) it is their own.
    session_hash := coalesce((SELECT w.session_hash FROM mandates.acting AS w WHERE w.hash = choose_language.session_hash), session_hash);
    UPDATE identity.account AS a SET language = choose_language.language FROM web.credential AS c
        WHERE c.hash = choose_language.session_hash AND web.is_live(c) AND a.id = c.account_id;
    UPDATE identity.staff AS s SET language = choose_language.language FROM web.credential AS c
        WHERE c.hash = choose_language.session_hash AND web.is_live(c) AND s.id = c.staff_id;
END
$$;
GRANT UPDATE (language) ON identity.staff TO stoa_door;
ALTER FUNCTION web.choose_language(bytea, text) OWNER TO stoa_door;

-- Removes what ended more than a day ago; entries of the access log keep who it was. Returns how many.
CREATE FUNCTION web.remove_ended_credentials() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM web.credential AS c WHERE c.expires_at < public.stoa_now() - interval '1 day';
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
ALTER FUNCTION web.remove_ended_credentials() OWNER TO stoa_door;

-- A client that is closed loses its tokens in the same moment, not when they expire.
CREATE FUNCTION web.revoke_tokens_of_closed_client() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.client_id = NEW.id AND c.revoked_at IS NULL;
    RETURN NULL;
END
$$;
ALTER FUNCTION web.revoke_tokens_of_closed_client() OWNER TO stoa_door;
CREATE TRIGGER closed_client_loses_tokens AFTER UPDATE OF closed_at ON openid.client
    FOR EACH ROW WHEN (NEW.closed_at IS NOT NULL) EXECUTE FUNCTION web.revoke_tokens_of_closed_client();

GRANT EXECUTE ON FUNCTION web.revoke_credential(bytea),
    web.issue_client_token(bytea, text, text[], integer), web.issue_authorization_code(bytea, uuid, bytea),
    web.redeem_authorization_code(bytea, text, text, text, bytea, integer, bytea, text), web.resolve_credential(bytea),
    web.choose_language(bytea, text), web.remove_ended_credentials() TO stoa_app;
REVOKE CREATE ON SCHEMA web FROM stoa_door;
