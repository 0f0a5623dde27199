-- The OpenID provider: the keys that sign its tokens, what a resident agrees to when signing in at a service, and how that ends.

-- Keys for ID tokens and services' access tokens. One key of an algorithm signs at a time; the next is published before it signs, so that whoever keeps the
-- published keys for an hour knows it, and the last one stays published while what it signed lives.
CREATE TABLE openid.signing_key (
    -- RFC 7638 thumbprint of the public key.
    kid text PRIMARY KEY CHECK (kid ~ '^[A-Za-z0-9_-]{43}$'),
    algorithm text NOT NULL CHECK (algorithm IN ('ES256', 'EdDSA', 'RS256')),
    public_jwk jsonb NOT NULL CHECK (public_jwk ->> 'kid' = kid AND NOT public_jwk ?| '{d,p,q,dp,dq,qi}'),
    -- Under the city's key-encryption key, bound to the kid.
    key_id text NOT NULL,
    wrapped_private_key bytea NOT NULL,
    signs_from timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (algorithm, signs_from)
);
GRANT SELECT ON openid.signing_key TO stoa_app, stoa_door;
GRANT INSERT, DELETE ON openid.signing_key TO stoa_door;
GRANT CREATE ON SCHEMA openid TO stoa_door;

-- For how long a key signs.
CREATE FUNCTION openid.key_period() RETURNS interval LANGUAGE sql IMMUTABLE RETURN 30 * interval '24 hours';
-- How long before it signs a key is published: a day, where the published keys may be kept for an hour.
CREATE FUNCTION openid.key_lead() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '24 hours';
ALTER FUNCTION openid.key_period() OWNER TO stoa_door;
ALTER FUNCTION openid.key_lead() OWNER TO stoa_door;

-- The algorithms of which a key is due: there is none, or the newest one's time ends within the lead.
CREATE FUNCTION openid.due_algorithms() RETURNS SETOF text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT a.name FROM unnest('{ES256,EdDSA,RS256}'::text[]) AS a (name)
        WHERE NOT EXISTS (SELECT FROM openid.signing_key AS k
                          WHERE k.algorithm = a.name AND k.signs_from + openid.key_period() > public.stoa_now() + openid.key_lead());
END
$$;
ALTER FUNCTION openid.due_algorithms() OWNER TO stoa_door;

-- Adds a key where one is due. Of nodes that do so at the same moment one succeeds. The first of an algorithm signs at once, each further one after the lead.
CREATE FUNCTION openid.add_signing_key(kid text, algorithm text, public_jwk jsonb, key_id text, wrapped_private_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7308895161);
    IF NOT EXISTS (SELECT FROM openid.due_algorithms() AS d (name) WHERE d.name = add_signing_key.algorithm) THEN RETURN false; END IF;
    INSERT INTO openid.signing_key (kid, algorithm, public_jwk, key_id, wrapped_private_key, signs_from)
        VALUES (add_signing_key.kid, add_signing_key.algorithm, add_signing_key.public_jwk, add_signing_key.key_id, add_signing_key.wrapped_private_key,
            CASE WHEN EXISTS (SELECT FROM openid.signing_key AS k WHERE k.algorithm = add_signing_key.algorithm)
                THEN public.stoa_now() + openid.key_lead() ELSE public.stoa_now() END);
    RETURN true;
END
$$;
ALTER FUNCTION openid.add_signing_key(text, text, jsonb, text, bytea) OWNER TO stoa_door;

-- Removes keys whose successor has signed for a day: ten minutes is the longest that anything lives that they signed. Returns how many.
CREATE FUNCTION openid.remove_past_keys() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM openid.signing_key AS k WHERE EXISTS (
        SELECT FROM openid.signing_key AS n WHERE n.algorithm = k.algorithm AND n.signs_from > k.signs_from AND n.signs_from < public.stoa_now() - interval '24 hours');
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
ALTER FUNCTION openid.remove_past_keys() OWNER TO stoa_door;

-- Enters a service that residents sign in at. Outcomes: added, purpose_unknown.
CREATE FUNCTION openid.add_service(id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text,
    profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    activity uuid := (SELECT a.id FROM consent.processing_activity AS a WHERE a.organisation_id = add_service.organisation AND a.purpose = add_service.purpose);
BEGIN
    IF add_service.purpose IS NOT NULL AND activity IS NULL THEN RETURN 'purpose_unknown'; END IF;
    INSERT INTO openid.client (id, kind, organisation_id, name, redirect_uris, jwks, scope, activity_id, id_token_algorithm, profile, resources,
                               post_logout_redirect_uris, backchannel_logout_uri, has_devices)
        VALUES (add_service.id, CASE WHEN add_service.jwks IS NULL THEN 'public' ELSE 'confidential' END, add_service.organisation, add_service.name,
            add_service.redirect_uris, add_service.jwks, add_service.scope, activity, add_service.id_token_algorithm, add_service.profile, add_service.resources,
            add_service.post_logout_redirect_uris, add_service.backchannel_logout_uri, add_service.has_devices);
    RETURN 'added';
END
$$;

-- Log-outs that services wait to be told of (OpenID Connect Back-Channel Logout §2.4). The id is the `jti` of the token.
CREATE TABLE openid.logout_notice (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    client_id text NOT NULL REFERENCES openid.client,
    sign_in_id uuid NOT NULL,
    subject uuid NOT NULL,
    made_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    attempts smallint NOT NULL DEFAULT 0,
    -- Null: told, or given up.
    next_at timestamptz DEFAULT public.stoa_now(),
    told_at timestamptz,
    outcome text CHECK (length(outcome) <= 100),
    CHECK (told_at IS NULL OR next_at IS NULL)
);
CREATE INDEX logout_notice_due ON openid.logout_notice (client_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX logout_notice_made ON openid.logout_notice (made_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON openid.logout_notice TO stoa_door;

-- How often a service is told: for some seven hours, after which its own session is over too.
CREATE FUNCTION openid.logout_attempts_max() RETURNS smallint LANGUAGE sql IMMUTABLE RETURN 10::smallint;
ALTER FUNCTION openid.logout_attempts_max() OWNER TO stoa_door;
-- How long after an attempt the next one follows: 1, 2, 4, 8, 16, 32 minutes, then every two hours. Longer than any post takes.
CREATE FUNCTION openid.logout_retry_delay(attempt integer) RETURNS interval
    LANGUAGE sql IMMUTABLE RETURN CASE WHEN attempt > 6 THEN interval '2 hours' ELSE power(2, attempt - 1) * interval '1 minute' END;
ALTER FUNCTION openid.logout_retry_delay(integer) OWNER TO stoa_door;

-- A service is to be told that somebody signed out, where it said how.
CREATE FUNCTION openid.tell_logout(sign_in uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO openid.logout_notice (client_id, sign_in_id, subject)
        SELECT s.client_id, s.id, s.subject FROM openid.sign_in AS s JOIN openid.client AS k ON k.id = s.client_id
        WHERE s.id = tell_logout.sign_in AND k.backchannel_logout_uri IS NOT NULL AND k.closed_at IS NULL;
END
$$;
ALTER FUNCTION openid.tell_logout(uuid) OWNER TO stoa_door;

-- Ends a sign-in at a service: its tokens are worth nothing from the commit on, and the service is told. True when it stood.
CREATE FUNCTION openid.end_sign_in(sign_in uuid) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE openid.sign_in AS s SET ended_at = public.stoa_now() WHERE s.id = end_sign_in.sign_in AND s.ended_at IS NULL;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.sign_in_id = end_sign_in.sign_in AND c.revoked_at IS NULL;
    PERFORM openid.tell_logout(end_sign_in.sign_in);
    RETURN true;
END
$$;
ALTER FUNCTION openid.end_sign_in(uuid) OWNER TO stoa_door;

-- Ends every sign-in of an account at services, also those that go on without the resident: its password is another, because somebody else may have known the old
-- one (RFC 9700 §4.14.2). What was agreed to stays.
CREATE FUNCTION openid.end_sign_ins_of(account uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM openid.end_sign_in(s.id) FROM openid.sign_in AS s WHERE s.account_id = end_sign_ins_of.account AND s.ended_at IS NULL;
END
$$;
ALTER FUNCTION openid.end_sign_ins_of(uuid) OWNER TO stoa_door;

-- Signing out of the city signs out at every service; where the resident agreed that it goes on without them (offline_access, OpenID Connect Core §11), it is told, and
-- its tokens stay. So does whatever else ends a session before its time.
CREATE FUNCTION openid.end_sign_ins_of_session() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM openid.tell_logout(s.id) FROM openid.sign_in AS s
        WHERE s.session_id = NEW.id AND s.ended_at IS NULL AND 'offline_access' = ANY (s.scope);
    PERFORM openid.end_sign_in(s.id) FROM openid.sign_in AS s
        WHERE s.session_id = NEW.id AND s.ended_at IS NULL AND NOT 'offline_access' = ANY (s.scope);
    RETURN NULL;
END
$$;
ALTER FUNCTION openid.end_sign_ins_of_session() OWNER TO stoa_door;
CREATE TRIGGER session_ends_sign_ins AFTER UPDATE OF revoked_at ON web.credential
    FOR EACH ROW WHEN (NEW.kind = 'session' AND NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL)
    EXECUTE FUNCTION openid.end_sign_ins_of_session();

-- Notices that are due, each to one node at a time: counting the attempt and setting the next one before anything is sent. Of each service no more than its share,
-- and none of those that this node is posting to.
CREATE FUNCTION openid.take_logouts(notices_max integer, share_max integer, busy text[])
    RETURNS TABLE (id uuid, attempt smallint, url text, client_id text, algorithm text, sign_in_id uuid, subject uuid, now timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        WITH due AS (
            SELECT d.id
            FROM (SELECT k.id FROM openid.client AS k
                  WHERE k.backchannel_logout_uri IS NOT NULL AND k.closed_at IS NULL AND k.id <> ALL (take_logouts.busy) ORDER BY random()) AS s
            CROSS JOIN LATERAL (
                SELECT n.id FROM openid.logout_notice AS n WHERE n.client_id = s.id AND n.next_at <= public.stoa_now()
                ORDER BY n.next_at LIMIT take_logouts.share_max FOR UPDATE SKIP LOCKED) AS d
            LIMIT take_logouts.notices_max
        ), taken AS (
            UPDATE openid.logout_notice AS n SET attempts = n.attempts + 1,
                next_at = CASE WHEN n.attempts + 1 < openid.logout_attempts_max() THEN public.stoa_now() + openid.logout_retry_delay(n.attempts + 1) END
            FROM due AS d WHERE n.id = d.id
            RETURNING n.id, n.attempts, n.client_id, n.sign_in_id, n.subject)
        SELECT t.id, t.attempts, k.backchannel_logout_uri, k.id, k.id_token_algorithm, t.sign_in_id, t.subject, public.stoa_now()
        FROM taken AS t JOIN openid.client AS k ON k.id = t.client_id;
END
$$;
ALTER FUNCTION openid.take_logouts(integer, integer, text[]) OWNER TO stoa_door;

-- What came of an attempt. One that failed says nothing about a later one.
CREATE FUNCTION openid.note_logout(notice uuid, attempt smallint, told boolean, outcome text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE openid.logout_notice AS n SET outcome = note_logout.outcome, told_at = CASE WHEN note_logout.told THEN public.stoa_now() END,
            next_at = CASE WHEN NOT note_logout.told THEN n.next_at END
        WHERE n.id = note_logout.notice AND n.told_at IS NULL AND (note_logout.told OR n.attempts = note_logout.attempt);
END
$$;
ALTER FUNCTION openid.note_logout(uuid, smallint, boolean, text) OWNER TO stoa_door;

-- With which an organisation registers services itself (RFC 7591 §3): made by the city, for one purpose, for so many and so long.
CREATE TABLE openid.registration_token (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    organisation_id text NOT NULL REFERENCES consent.organisation,
    purpose text,
    uses_left integer NOT NULL CHECK (uses_left >= 0),
    made_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (organisation_id, purpose) REFERENCES consent.processing_activity (organisation_id, purpose)
);
GRANT SELECT, UPDATE ON openid.registration_token TO stoa_door;
GRANT INSERT ON openid.client TO stoa_door;
ALTER FUNCTION openid.add_service(text, text, jsonb, text[], jsonb, text[], text, text, text, text[], text[], text, boolean) OWNER TO stoa_door;

-- A service registers itself: the organisation and the purpose are the token's, never the request's. Outcomes: added, purpose_unknown, token_invalid.
CREATE FUNCTION openid.register_service(
    token_hash bytea, id text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], id_token_algorithm text, post_logout_redirect_uris text[],
    backchannel_logout_uri text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token record;
BEGIN
    UPDATE openid.registration_token AS t SET uses_left = t.uses_left - 1
        WHERE t.hash = register_service.token_hash AND t.uses_left > 0 AND t.expires_at > public.stoa_now()
        RETURNING t.organisation_id, t.purpose INTO token;
    IF token IS NULL THEN RETURN 'token_invalid'; END IF;
    -- Whom the city employs is its own to tell.
    IF 'roles' = ANY (register_service.scope) THEN RAISE EXCEPTION 'a service that asks for roles is entered by the city' USING ERRCODE = 'insufficient_privilege'; END IF;
    RETURN openid.add_service(register_service.id, token.organisation_id, register_service.name, register_service.redirect_uris, register_service.jwks,
        register_service.scope, token.purpose, register_service.id_token_algorithm, 'baseline', '{}', register_service.post_logout_redirect_uris,
        register_service.backchannel_logout_uri, false);
END
$$;
ALTER FUNCTION openid.register_service(bytea, text, jsonb, text[], jsonb, text[], text, text[], text) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION openid.register_service(bytea, text, jsonb, text[], jsonb, text[], text, text[], text) TO stoa_app;
GRANT EXECUTE ON FUNCTION openid.add_service(text, text, jsonb, text[], jsonb, text[], text, text, text, text[], text[], text, boolean) TO stoa_owner;

-- What administrators did to services, and which one.
CREATE TABLE openid.service_change (
    client_id text NOT NULL REFERENCES openid.client,
    staff_id uuid NOT NULL REFERENCES identity.staff,
    what text NOT NULL CHECK (what IN ('entered', 'keys_replaced', 'closed')),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX service_change_client ON openid.service_change (client_id, at);
CREATE TRIGGER service_change_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON openid.service_change
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
GRANT SELECT, INSERT ON openid.service_change TO stoa_door;
GRANT UPDATE (jwks, closed_at) ON openid.client TO stoa_door;

-- The services, for an organisation administrator, with what residents read about each. No row for anybody else.
CREATE FUNCTION openid.services(credential bytea) RETURNS TABLE (
    id text, name jsonb, organisation_name jsonb, purpose_title jsonb, purpose_explanation jsonb, attributes text[], redirect_uris text[], key_ids text[],
    scope text[], is_fapi boolean, created_at timestamptz, closed_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT k.id, k.name, o.name, p.title, p.explanation, coalesce(p.attributes, '{}'), k.redirect_uris,
            ARRAY(SELECT coalesce(j.key ->> 'kid', '-') FROM jsonb_array_elements(coalesce(k.jwks -> 'keys', '[]')) AS j (key)),
            k.scope, k.profile = 'fapi2', k.created_at, k.closed_at
        FROM web.staff_with(services.credential, '{organisation_administrator}') AS administrator
        CROSS JOIN openid.client AS k JOIN consent.organisation AS o ON o.id = k.organisation_id
        LEFT JOIN consent.processing_activity AS a ON a.id = k.activity_id
        LEFT JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE 'openid' = ANY (k.scope)
        ORDER BY k.closed_at IS NOT NULL, k.id;
END
$$;
ALTER FUNCTION openid.services(bytea) OWNER TO stoa_door;

-- As openid.add_service, by an organisation administrator. Outcomes besides: role_missing.
CREATE FUNCTION openid.add_service_by_staff(
    credential bytea, id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text,
    resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    administrator uuid := (SELECT s.staff_id FROM web.staff_with(add_service_by_staff.credential, '{organisation_administrator}') AS s);
    outcome text;
BEGIN
    IF administrator IS NULL THEN RETURN 'role_missing'; END IF;
    outcome := openid.add_service(id, organisation, name, redirect_uris, jwks, scope, purpose, id_token_algorithm, profile, resources, post_logout_redirect_uris,
        backchannel_logout_uri, has_devices);
    IF outcome = 'added' THEN
        INSERT INTO openid.service_change (client_id, staff_id, what) VALUES (add_service_by_staff.id, administrator, 'entered');
    END IF;
    RETURN outcome;
END
$$;
ALTER FUNCTION openid.add_service_by_staff(bytea, text, text, jsonb, text[], jsonb, text[], text, text, text, text[], text[], text, boolean) OWNER TO stoa_door;

-- Puts other keys in place of a service's: its next assertion is signed with one of them. False: no such service that is open and has keys, or no administrator.
CREATE FUNCTION openid.replace_service_keys(credential bytea, id text, jwks jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    administrator uuid := (SELECT s.staff_id FROM web.staff_with(replace_service_keys.credential, '{organisation_administrator}') AS s);
BEGIN
    IF administrator IS NULL THEN RETURN false; END IF;
    UPDATE openid.client AS k SET jwks = replace_service_keys.jwks
        WHERE k.id = replace_service_keys.id AND k.kind = 'confidential' AND k.closed_at IS NULL AND 'openid' = ANY (k.scope);
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO openid.service_change (client_id, staff_id, what) VALUES (replace_service_keys.id, administrator, 'keys_replaced');
    RETURN true;
END
$$;
ALTER FUNCTION openid.replace_service_keys(bytea, text, jsonb) OWNER TO stoa_door;

-- Closes a service, for good. False: it was closed before, there is none, or no administrator asks.
CREATE FUNCTION openid.close_service(credential bytea, id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    administrator uuid := (SELECT s.staff_id FROM web.staff_with(close_service.credential, '{organisation_administrator}') AS s);
BEGIN
    IF administrator IS NULL THEN RETURN false; END IF;
    UPDATE openid.client AS k SET closed_at = public.stoa_now() WHERE k.id = close_service.id AND k.closed_at IS NULL AND 'openid' = ANY (k.scope);
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO openid.service_change (client_id, staff_id, what) VALUES (close_service.id, administrator, 'closed');
    RETURN true;
END
$$;
ALTER FUNCTION openid.close_service(bytea, text) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION openid.services(bytea), openid.replace_service_keys(bytea, text, jsonb), openid.close_service(bytea, text),
    openid.add_service_by_staff(bytea, text, text, jsonb, text[], jsonb, text[], text, text, text, text[], text[], text, boolean) TO stoa_app;

-- How a request stands for whoever holds a session: what is asked, what is agreed to already, and who would sign in. A row for each request that there is;
-- what is about the person is null without a live session of a resident or, where roles are asked for, of a member of staff.
CREATE FUNCTION openid.standing(request uuid, session bytea) RETURNS TABLE (
    client_id text, client_name jsonb, organisation_name jsonb, registered_at timestamptz, redirect_uri text, scope text[], state text, prompt text[],
    max_age_seconds integer, essential_acr text[], wished_acr text[], browser bytea, created_at timestamptz, expires_at timestamptz, is_expired boolean,
    is_answered boolean, legal_basis text, law text, purpose_title jsonb, purpose_explanation jsonb, policy_version integer, attributes text[],
    shared text[], declined text[], connected_scope text[], connected_at timestamptz, signed_in_at timestamptz, authenticator_assurance smallint,
    identity_assurance smallint, is_staff boolean, has_second_factor boolean, now timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT r.client_id, k.name, o.name, k.created_at, r.redirect_uri, r.scope, r.state, r.prompt,
            r.max_age_seconds, r.essential_acr, r.wished_acr, r.browser, r.created_at, r.expires_at,
            r.expires_at <= public.stoa_now() OR k.closed_at IS NOT NULL, r.answered_at IS NOT NULL,
            act.legal_basis, act.law, p.title, p.explanation, p.version,
            ARRAY(SELECT a.id FROM register.attribute AS a WHERE a.id = ANY (r.attributes) AND a.id = ANY (p.attributes) ORDER BY a.position),
            CASE WHEN act.legal_basis <> 'consent' THEN p.attributes WHEN held.state IN ('given', 'renewed') THEN held.attributes ELSE '{}' END,
            coalesce(x.declined, '{}'), x.scope, x.connected_at, c.authenticated_at, c.authenticator_assurance,
            CASE WHEN staff.id IS NULL THEN person.identity_assurance ELSE 2::smallint END, staff.id IS NOT NULL,
            EXISTS (SELECT FROM identity.second_factors(c.account_id, c.staff_id)), public.stoa_now()
        FROM openid.authorization_request AS r JOIN openid.client AS k ON k.id = r.client_id
        LEFT JOIN consent.organisation AS o ON o.id = k.organisation_id
        LEFT JOIN consent.processing_activity AS act ON act.id = k.activity_id
        LEFT JOIN consent.policy AS p ON p.activity_id = act.id AND p.version = act.policy_version
        LEFT JOIN web.credential AS c ON c.hash = standing.session AND c.kind = 'session' AND web.is_live(c)
            AND (c.account_id IS NOT NULL OR '{openid,roles}' <@ r.scope)
        LEFT JOIN identity.staff AS staff ON staff.id = c.staff_id AND staff.closed_at IS NULL
        LEFT JOIN identity.account AS account ON account.id = c.account_id AND account.closed_at IS NULL
        LEFT JOIN register.resident AS person ON person.id = account.resident_id
        LEFT JOIN openid.connection AS x ON x.account_id = account.id AND x.client_id = k.id AND x.ended_at IS NULL
        LEFT JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state, s.attributes FROM consent.state AS s
            WHERE s.resident_id = account.resident_id AND s.activity_id = act.id) AS held ON true
        WHERE r.id = standing.request;
END
$$;
ALTER FUNCTION openid.standing(uuid, bytea) OWNER TO stoa_door;

-- A resident agrees to sign in at a service: the consent to what is shared, the name under which the organisation knows them, and the connection that
-- spares them the question next time. Decisions: share (what the request asked for, of the version that was shown, added to what was agreed to before),
-- decline (sign in, and share nothing new), proceed (nothing was left to ask). Outcomes: connected, policy_changed, session_ended. Consent may have more to
-- say (a child's guardians agree first): what is not in force is not released, so signing in goes on.
CREATE FUNCTION openid.connect(request uuid, session bytea, decision text, policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
    person record;
BEGIN
    SELECT s.client_id, s.scope, s.attributes, s.shared, s.policy_version, s.legal_basis, s.is_staff, k.organisation_id, k.activity_id INTO asked
        FROM openid.standing(connect.request, connect.session) AS s JOIN openid.client AS k ON k.id = s.client_id;
    IF asked.is_staff THEN
        INSERT INTO openid.staff_subject (staff_id, organisation_id)
            SELECT c.staff_id, asked.organisation_id FROM web.credential AS c WHERE c.hash = connect.session
            ON CONFLICT DO NOTHING;
        RETURN 'connected';
    END IF;
    SELECT a.id, a.resident_id INTO person FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id
        WHERE c.hash = connect.session AND c.kind = 'session' AND web.is_live(c) AND a.closed_at IS NULL;
    IF person IS NULL THEN RETURN 'session_ended'; END IF;
    IF connect.decision = 'share' AND asked.legal_basis = 'consent' AND NOT asked.attributes <@ asked.shared THEN
        IF connect.policy_version IS DISTINCT FROM asked.policy_version THEN RETURN 'policy_changed'; END IF;
        PERFORM consent.append(gen_random_uuid(), person.resident_id, asked.activity_id, 'given',
            ARRAY(SELECT a.id FROM register.attribute AS a JOIN consent.policy AS p ON a.id = ANY (p.attributes)
                  WHERE p.activity_id = asked.activity_id AND p.version = asked.policy_version AND a.id = ANY (asked.attributes || asked.shared) ORDER BY a.position),
            asked.policy_version, person.id, NULL, NULL, 'self', 'page', connect.language, NULL);
    END IF;
    INSERT INTO exchange.pseudonym (organisation_id, resident_id) VALUES (asked.organisation_id, person.resident_id)
        ON CONFLICT (resident_id, organisation_id) DO NOTHING;
    INSERT INTO openid.connection AS x (account_id, client_id, scope, declined)
        VALUES (person.id, asked.client_id, asked.scope, CASE connect.decision WHEN 'decline'
            THEN ARRAY(SELECT d.id FROM unnest(asked.attributes) AS d (id) WHERE NOT d.id = ANY (asked.shared)) ELSE '{}' END)
        ON CONFLICT (account_id, client_id) DO UPDATE SET
            scope = CASE WHEN x.ended_at IS NULL THEN ARRAY(SELECT DISTINCT s.name FROM unnest(x.scope || excluded.scope) AS s (name) ORDER BY 1) ELSE excluded.scope END,
            declined = CASE WHEN connect.decision = 'share' THEN '{}' WHEN x.ended_at IS NOT NULL THEN excluded.declined
                ELSE ARRAY(SELECT DISTINCT d.id FROM unnest(x.declined || excluded.declined) AS d (id) ORDER BY 1) END,
            connected_at = CASE WHEN x.ended_at IS NULL THEN x.connected_at ELSE public.stoa_now() END,
            last_used_at = public.stoa_now(), ended_at = NULL;
    RETURN 'connected';
END
$$;
ALTER FUNCTION openid.connect(uuid, bytea, text, integer, text) OWNER TO stoa_door;

-- The sign-in that a service's token belongs to, and the claims that it may ask for; of a member of staff their name and roles too, as they are at this moment.
-- No row when it has ended.
CREATE FUNCTION openid.sign_in_of(token bytea) RETURNS TABLE (
    sign_in_id uuid, subject uuid, client_id text, scope text[], user_info_claims text[], has_claims boolean, staff_name text, staff_roles text[], now timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT s.id, s.subject, s.client_id, c.scope, s.user_info_claims, k.activity_id IS NOT NULL AND s.staff_id IS NULL, p.display_name, p.roles, public.stoa_now()
        FROM web.credential AS c JOIN openid.sign_in AS s ON s.id = c.sign_in_id
        LEFT JOIN identity.account AS a ON a.id = s.account_id AND a.resident_id = s.resident_id AND a.closed_at IS NULL
        LEFT JOIN identity.staff AS p ON p.id = s.staff_id AND p.closed_at IS NULL
        JOIN openid.client AS k ON k.id = s.client_id AND k.closed_at IS NULL
        WHERE c.hash = sign_in_of.token AND web.is_live(c) AND s.ended_at IS NULL AND num_nonnulls(a.id, p.id) = 1;
END
$$;
ALTER FUNCTION openid.sign_in_of(bytea) OWNER TO stoa_door;

-- The services that the resident of a live session agreed to sign in at.
CREATE FUNCTION openid.connections_of(session bytea) RETURNS TABLE (
    client_id text, client_name jsonb, organisation_name jsonb, purpose_title jsonb, activity_id uuid, shared text[], connected_at timestamptz, last_used_at timestamptz,
    is_lasting boolean, open_sign_ins integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT k.id, k.name, o.name, p.title, act.id,
            ARRAY(SELECT x.id FROM register.attribute AS x
                  WHERE x.id = ANY (CASE WHEN act.legal_basis <> 'consent' THEN p.attributes WHEN held.state IN ('given', 'renewed') THEN held.attributes END)
                  ORDER BY x.position),
            n.connected_at, n.last_used_at, 'offline_access' = ANY (n.scope),
            (SELECT count(*)::integer FROM openid.sign_in AS s WHERE s.account_id = a.id AND s.client_id = k.id AND s.ended_at IS NULL)
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        JOIN openid.connection AS n ON n.account_id = a.id AND n.ended_at IS NULL
        JOIN openid.client AS k ON k.id = n.client_id
        LEFT JOIN consent.organisation AS o ON o.id = k.organisation_id
        LEFT JOIN consent.processing_activity AS act ON act.id = k.activity_id
        LEFT JOIN consent.policy AS p ON p.activity_id = act.id AND p.version = act.policy_version
        LEFT JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state, s.attributes FROM consent.state AS s
            WHERE s.resident_id = a.resident_id AND s.activity_id = act.id) AS held ON true
        WHERE c.hash = connections_of.session AND c.kind = 'session' AND web.is_live(c)
        ORDER BY n.last_used_at DESC, k.id;
END
$$;
ALTER FUNCTION openid.connections_of(bytea) OWNER TO stoa_door;

-- A resident ends a service: signed out there, nothing renewed, nothing read any more, and asked again should they come back. False: there was nothing to end.
CREATE FUNCTION openid.disconnect(session bytea, client_id text, language text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person record;
    activity uuid;
BEGIN
    SELECT a.id, a.resident_id INTO person FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        WHERE c.hash = disconnect.session AND c.kind = 'session' AND web.is_live(c);
    IF person IS NULL THEN RETURN false; END IF;
    UPDATE openid.connection AS n SET ended_at = public.stoa_now()
        WHERE n.account_id = person.id AND n.client_id = disconnect.client_id AND n.ended_at IS NULL;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM openid.end_sign_in(s.id) FROM openid.sign_in AS s WHERE s.account_id = person.id AND s.client_id = disconnect.client_id AND s.ended_at IS NULL;
    -- Another service of the organisation may go on with the same consent.
    SELECT k.activity_id INTO activity FROM openid.client AS k JOIN consent.processing_activity AS p ON p.id = k.activity_id AND p.legal_basis = 'consent'
        WHERE k.id = disconnect.client_id AND NOT EXISTS (
            SELECT FROM openid.connection AS n JOIN openid.client AS other ON other.id = n.client_id
            WHERE n.account_id = person.id AND n.ended_at IS NULL AND other.activity_id = k.activity_id);
    IF activity IS NOT NULL THEN
        PERFORM consent.append(gen_random_uuid(), person.resident_id, activity, 'withdrawn', NULL, NULL, person.id, NULL, NULL, 'self', 'page', disconnect.language, NULL);
    END IF;
    RETURN true;
END
$$;
ALTER FUNCTION openid.disconnect(bytea, text, text) OWNER TO stoa_door;

-- Removes sign-ins that nothing can need any more: a day after they began, in which the session has ended that they belong to, and no token of theirs is left.
-- Those that go on end with their last refresh token. Returns how many.
CREATE FUNCTION openid.remove_past_sign_ins() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM openid.device_guess AS g WHERE g.at < public.stoa_now() - interval '10 minutes';
    DELETE FROM openid.logout_notice AS n WHERE n.made_at < public.stoa_now() - interval '1 day';
    WITH past AS (DELETE FROM openid.refresh_token AS t WHERE t.expires_at < public.stoa_now() RETURNING t.sign_in_id)
    UPDATE openid.sign_in AS s SET ended_at = public.stoa_now()
        WHERE s.id IN (SELECT p.sign_in_id FROM past AS p) AND s.ended_at IS NULL
          AND NOT EXISTS (SELECT FROM openid.refresh_token AS t WHERE t.sign_in_id = s.id AND t.expires_at >= public.stoa_now());
    DELETE FROM openid.sign_in AS s
        WHERE s.created_at < public.stoa_now() - interval '1 day' AND (NOT 'offline_access' = ANY (s.scope) OR s.ended_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM web.credential AS c WHERE c.sign_in_id = s.id);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
ALTER FUNCTION openid.remove_past_sign_ins() OWNER TO stoa_door;

-- Devices without a browser of their own (RFC 8628): one shows a code, the resident answers on another device, the first one asks until then. The code that is shown
-- is the name under which the request was pushed.
CREATE TABLE openid.device_request (
    -- Of the device code.
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    request_id uuid NOT NULL UNIQUE REFERENCES openid.authorization_request ON DELETE CASCADE,
    -- How long the device waits between two questions; longer each time that it did not (§3.5).
    interval_seconds integer NOT NULL DEFAULT 5 CHECK (interval_seconds BETWEEN 5 AND 3600),
    asked_at timestamptz
);
GRANT INSERT, SELECT (request_id) ON openid.device_request TO stoa_app;
GRANT SELECT, UPDATE ON openid.device_request TO stoa_door;

-- Codes that somebody typed: they are short, so nobody may try many.
CREATE TABLE openid.device_guess (
    account_id uuid NOT NULL REFERENCES identity.account,
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX device_guess_account ON openid.device_guess (account_id, at);
GRANT SELECT, INSERT, DELETE ON openid.device_guess TO stoa_door;

-- Counts a typed code before it is looked at. False when this account has tried ten in ten minutes, of 20^8 codes that there are.
CREATE FUNCTION openid.count_device_guess(session bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    account uuid := (SELECT c.account_id FROM web.credential AS c WHERE c.hash = count_device_guess.session AND c.kind = 'session' AND web.is_live(c));
BEGIN
    IF account IS NULL THEN RETURN false; END IF;
    -- One after the other, so that many at once count as many.
    PERFORM pg_advisory_xact_lock(hashtextextended('openid.device_guess ' || account, 0));
    INSERT INTO openid.device_guess (account_id) VALUES (account);
    RETURN (SELECT count(*) <= 10 FROM openid.device_guess AS g WHERE g.account_id = account AND g.at > public.stoa_now() - interval '10 minutes');
END
$$;
ALTER FUNCTION openid.count_device_guess(bytea) OWNER TO stoa_door;

-- A device asks whether it was answered (§3.4, §3.5). Outcomes: pending, slow_down, refused, and those of web.redeem_authorization_code.
CREATE FUNCTION openid.poll_device(
    device_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text,
    OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamptz,
    OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    device record;
    code bytea;
BEGIN
    SELECT d.interval_seconds, d.asked_at, r.id, r.client_id, r.answered_at, r.expires_at INTO device
        FROM openid.device_request AS d JOIN openid.authorization_request AS r ON r.id = d.request_id
        WHERE d.hash = poll_device.device_hash FOR UPDATE OF d;
    IF device IS NULL OR device.client_id <> poll_device.client_id THEN
        outcome := 'unknown';
        RETURN;
    END IF;
    UPDATE openid.device_request AS d SET asked_at = public.stoa_now(),
            interval_seconds = CASE WHEN device.asked_at > public.stoa_now() - make_interval(secs => device.interval_seconds)
                THEN LEAST(d.interval_seconds + 5, 3600) ELSE d.interval_seconds END
        WHERE d.hash = poll_device.device_hash;
    IF device.answered_at IS NULL THEN
        outcome := CASE WHEN device.expires_at <= public.stoa_now() THEN 'expired'
            WHEN device.asked_at > public.stoa_now() - make_interval(secs => device.interval_seconds) THEN 'slow_down' ELSE 'pending' END;
        RETURN;
    END IF;
    SELECT a.hash INTO code FROM openid.authorization_code AS a WHERE a.request_id = device.id;
    IF code IS NULL THEN
        outcome := 'refused';
        RETURN;
    END IF;
    SELECT x.* INTO outcome, scope, resource, sign_in_id, subject, nonce, signed_in_at, authenticator_assurance, identity_assurance, id_token_claims, issued_at
        FROM web.redeem_authorization_code(code, poll_device.client_id, poll_device.redirect_uri, poll_device.code_challenge, poll_device.token_hash,
            poll_device.lifetime_seconds, poll_device.refresh_hash, poll_device.key_thumbprint) AS x;
END
$$;
ALTER FUNCTION openid.poll_device(bytea, text, text, text, bytea, integer, bytea, text) OWNER TO stoa_door;

GRANT DELETE ON openid.sign_in TO stoa_door;
CREATE INDEX sign_in_past ON openid.sign_in (created_at) WHERE NOT 'offline_access' = ANY (scope) OR ended_at IS NOT NULL;

GRANT EXECUTE ON FUNCTION openid.due_algorithms(), openid.add_signing_key(text, text, jsonb, text, bytea), openid.remove_past_keys(), openid.standing(uuid, bytea),
    openid.connect(uuid, bytea, text, integer, text), openid.sign_in_of(bytea),
    openid.connections_of(bytea),
    openid.disconnect(bytea, text, text), openid.remove_past_sign_ins(), openid.take_logouts(integer, integer, text[]),
    openid.note_logout(uuid, smallint, boolean, text), openid.count_device_guess(bytea),
    openid.poll_device(bytea, text, text, text, bytea, integer, bytea, text) TO stoa_app;
REVOKE CREATE ON SCHEMA openid FROM stoa_door;
