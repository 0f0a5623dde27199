-- How services renew their tokens, give them back and ask what they are worth.
GRANT CREATE ON SCHEMA openid TO stoa_door;

-- What a service renews its tokens with (RFC 6749 §6). Each is used once and has one successor that counts, so that of two who hold the same one is found out.
CREATE TABLE openid.refresh_token (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    sign_in_id uuid NOT NULL REFERENCES openid.sign_in ON DELETE CASCADE,
    -- The one in whose place it was given; null for the first.
    predecessor bytea REFERENCES openid.refresh_token ON DELETE SET NULL,
    -- The access token that was given with it.
    access_hash bytea NOT NULL CHECK (octet_length(access_hash) = 32),
    issued_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    -- Given, but its predecessor came again for another: the answer with this one was lost on the way.
    replaced_at timestamptz
);
-- One successor counts.
CREATE UNIQUE INDEX refresh_token_successor ON openid.refresh_token (predecessor) WHERE predecessor IS NOT NULL AND replaced_at IS NULL;
CREATE INDEX refresh_token_predecessor ON openid.refresh_token (predecessor) WHERE predecessor IS NOT NULL;
CREATE INDEX refresh_token_sign_in ON openid.refresh_token (sign_in_id);
CREATE INDEX refresh_token_expires ON openid.refresh_token (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON openid.refresh_token TO stoa_door;

-- For how long a refresh token waits to be used: a service that nobody opened for a month asks the resident again.
CREATE FUNCTION openid.refresh_lifetime() RETURNS interval LANGUAGE sql IMMUTABLE RETURN 30 * interval '24 hours';
ALTER FUNCTION openid.refresh_lifetime() OWNER TO stoa_door;
-- For how long a used one still gets a new successor, where the one that it got was never used: on a slow line answers are lost.
CREATE FUNCTION openid.refresh_grace() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '60 seconds';
ALTER FUNCTION openid.refresh_grace() OWNER TO stoa_door;

-- Renews the tokens of a sign-in. Outcomes: issued; unknown, expired, ended, scope_unknown, key_differs; and reused, which ends the sign-in: somebody else holds the same token.
-- has_rotated says whether the new refresh token counts: with FAPI 2.0 (§5.3.2.1) the old one stays. Whoever comes at the same moment waits.
CREATE FUNCTION openid.refresh(
    token_hash bytea, client_id text, scope text[], access_hash bytea, lifetime_seconds integer, successor_hash bytea,
    key_thumbprint text, OUT outcome text, OUT has_rotated boolean, OUT granted text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamptz,
    OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held record;
    token openid.refresh_token;
    successor openid.refresh_token;
BEGIN
    SELECT s.id, s.client_id, s.subject, s.signed_in_at, s.authenticator_assurance, s.scope, s.ended_at, s.resource, s.key_thumbprint, k.kind, k.profile, k.organisation_id, r.identity_assurance,
        a.closed_at IS NULL AND a.resident_id = s.resident_id AND k.closed_at IS NULL AS stands
        INTO held
        FROM openid.refresh_token AS t JOIN openid.sign_in AS s ON s.id = t.sign_in_id JOIN openid.client AS k ON k.id = s.client_id
        JOIN identity.account AS a ON a.id = s.account_id JOIN register.resident AS r ON r.id = s.resident_id
        WHERE t.hash = refresh.token_hash FOR UPDATE OF s;
    IF held IS NULL OR held.client_id <> refresh.client_id THEN
        outcome := 'unknown';
        RETURN;
    END IF;
    -- Read after the wait for the sign-in's row: whoever held it may have used the token.
    SELECT t.* INTO token FROM openid.refresh_token AS t WHERE t.hash = refresh.token_hash;
    IF held.ended_at IS NOT NULL OR NOT held.stands THEN
        outcome := 'ended';
        RETURN;
    ELSIF token.expires_at <= public.stoa_now() THEN
        outcome := 'expired';
        RETURN;
    ELSIF NOT coalesce(refresh.scope, held.scope) <@ held.scope THEN
        outcome := 'scope_unknown';
        RETURN;
    ELSIF held.kind = 'public' AND held.key_thumbprint IS NOT NULL AND held.key_thumbprint IS DISTINCT FROM refresh.key_thumbprint THEN
        outcome := 'key_differs';
        RETURN;
    END IF;
    has_rotated := held.profile <> 'fapi2';
    IF has_rotated THEN
        IF token.used_at IS NOT NULL OR token.replaced_at IS NOT NULL THEN
            SELECT t.* INTO successor FROM openid.refresh_token AS t WHERE t.predecessor = refresh.token_hash AND t.replaced_at IS NULL;
            IF token.replaced_at IS NOT NULL OR token.used_at <= public.stoa_now() - openid.refresh_grace() OR successor.hash IS NULL OR successor.used_at IS NOT NULL THEN
                PERFORM openid.end_sign_in(held.id);
                outcome := 'reused';
                has_rotated := NULL;
                RETURN;
            END IF;
            UPDATE openid.refresh_token AS t SET replaced_at = public.stoa_now() WHERE t.hash = successor.hash;
            UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.hash = successor.access_hash AND c.revoked_at IS NULL;
        ELSE
            UPDATE openid.refresh_token AS t SET used_at = public.stoa_now() WHERE t.hash = refresh.token_hash;
        END IF;
        INSERT INTO openid.refresh_token (hash, sign_in_id, predecessor, access_hash, expires_at)
            VALUES (refresh.successor_hash, held.id, refresh.token_hash, refresh.access_hash, public.stoa_now() + openid.refresh_lifetime());
    ELSE
        UPDATE openid.refresh_token AS t SET expires_at = public.stoa_now() + openid.refresh_lifetime() WHERE t.hash = refresh.token_hash;
    END IF;
    outcome := 'issued';
    granted := coalesce(refresh.scope, held.scope);
    refresh.issued_at := public.stoa_now();
    INSERT INTO web.credential (hash, kind, organisation_id, client_id, scope, authenticator_assurance, sign_in_id, expires_at)
        VALUES (refresh.access_hash, 'access_token', held.organisation_id, held.client_id, refresh.granted, held.authenticator_assurance, held.id,
            refresh.issued_at + make_interval(secs => LEAST(lifetime_seconds, 600)));
    refresh.sign_in_id := held.id;
    refresh.subject := held.subject;
    refresh.resource := held.resource;
    refresh.signed_in_at := held.signed_in_at;
    refresh.authenticator_assurance := held.authenticator_assurance;
    refresh.identity_assurance := held.identity_assurance;
    refresh.id_token_claims := '{}';
END
$$;
ALTER FUNCTION openid.refresh(bytea, text, text[], bytea, integer, bytea, text) OWNER TO stoa_door;

-- A client gives a token back (RFC 7009): an access token ends alone, a refresh token with the sign-in that it renews. Outcomes: revoked, unknown (also of what has
-- ended already), other_client.
CREATE FUNCTION openid.revoke_token(token_hash bytea, client_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner text;
    sign_in uuid;
BEGIN
    SELECT c.client_id INTO owner FROM web.credential AS c WHERE c.hash = revoke_token.token_hash AND c.kind = 'access_token' AND web.is_live(c);
    IF owner IS NULL THEN
        SELECT s.client_id, s.id INTO owner, sign_in FROM openid.refresh_token AS t JOIN openid.sign_in AS s ON s.id = t.sign_in_id
            WHERE t.hash = revoke_token.token_hash;
    END IF;
    IF owner IS NULL THEN RETURN 'unknown'; END IF;
    IF owner <> revoke_token.client_id THEN RETURN 'other_client'; END IF;
    IF sign_in IS NULL THEN
        UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.hash = revoke_token.token_hash AND c.revoked_at IS NULL;
    ELSE
        PERFORM openid.end_sign_in(sign_in);
    END IF;
    RETURN 'revoked';
END
$$;
ALTER FUNCTION openid.revoke_token(bytea, text) OWNER TO stoa_door;

-- What a token is worth at this moment, for a client of the organisation that it was issued to (RFC 7662). No row for what is worth nothing, and for others' tokens.
CREATE FUNCTION openid.introspect(token_hash bytea, asked_by text) RETURNS TABLE (
    is_access boolean, client_id text, subject uuid, scope text[], issued_at timestamptz, expires_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.is_access, t.client_id, s.subject, t.scope, t.issued_at, t.expires_at
        FROM (
            SELECT true AS is_access, c.client_id, c.sign_in_id, c.scope, c.created_at AS issued_at, c.expires_at
            FROM web.credential AS c WHERE c.hash = introspect.token_hash AND c.kind = 'access_token' AND c.organisation_id IS NOT NULL AND web.is_live(c)
            UNION ALL
            SELECT false, x.client_id, x.id, x.scope, r.issued_at, r.expires_at
            FROM openid.refresh_token AS r JOIN openid.sign_in AS x ON x.id = r.sign_in_id JOIN openid.client AS k ON k.id = x.client_id
            WHERE r.hash = introspect.token_hash AND r.expires_at > public.stoa_now() AND r.replaced_at IS NULL AND (r.used_at IS NULL OR k.profile = 'fapi2')
        ) AS t
        JOIN openid.client AS k ON k.id = t.client_id AND k.closed_at IS NULL
        JOIN openid.client AS me ON me.id = introspect.asked_by AND me.organisation_id = k.organisation_id AND me.closed_at IS NULL
        LEFT JOIN openid.sign_in AS s ON s.id = t.sign_in_id
        LEFT JOIN identity.account AS a ON a.id = s.account_id AND a.closed_at IS NULL AND a.resident_id = s.resident_id
        LEFT JOIN identity.staff AS p ON p.id = s.staff_id AND p.closed_at IS NULL
        WHERE s.id IS NULL OR (s.ended_at IS NULL AND num_nonnulls(a.id, p.id) = 1);
END
$$;
ALTER FUNCTION openid.introspect(bytea, text) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION openid.refresh(bytea, text, text[], bytea, integer, bytea, text), openid.revoke_token(bytea, text), openid.introspect(bytea, text)
    TO stoa_app;
REVOKE CREATE ON SCHEMA openid FROM stoa_door;
