-- OAuth clients, the authorisation requests that wait for a sign-in, their codes, and the assertions that were seen.
CREATE SCHEMA openid;
GRANT USAGE ON SCHEMA openid TO stoa_app, stoa_door;

CREATE TABLE openid.client (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{1,62}$'),
    kind text NOT NULL CHECK (kind IN ('public', 'confidential')),
    -- The organisation that a confidential client speaks for; a resident's app speaks for nobody but the resident.
    organisation_id text REFERENCES consent.organisation,
    name jsonb NOT NULL CHECK (jsonb_typeof(name -> 'en') = 'string'),
    redirect_uris text[] NOT NULL DEFAULT '{}',
    jwks jsonb,
    scope text[] NOT NULL CHECK (cardinality(scope) >= 1),
    -- What a service asks residents for when they sign in there: attributes of this activity's policy. Null: nothing but who they are to it.
    activity_id uuid,
    -- baseline, or fapi2: the FAPI 2.0 Security Profile.
    profile text NOT NULL DEFAULT 'baseline' CHECK (profile IN ('baseline', 'fapi2')),
    id_token_algorithm text NOT NULL DEFAULT 'ES256' CHECK (id_token_algorithm IN ('ES256', 'EdDSA', 'RS256')),
    -- The organisation's own interfaces that it may ask tokens for (RFC 8707).
    resources text[] NOT NULL DEFAULT '{}' CHECK (cardinality(resources) <= 20),
    -- Whether devices without a browser sign residents in for it (RFC 8628): kiosks, displays.
    has_devices boolean NOT NULL DEFAULT false,
    -- Where a browser may be sent when it has signed out (OpenID Connect RP-Initiated Logout §3.1), and where the service is told of a log-out (Back-Channel Logout §2.2).
    post_logout_redirect_uris text[] NOT NULL DEFAULT '{}' CHECK (cardinality(post_logout_redirect_uris) <= 20),
    backchannel_logout_uri text CHECK (length(backchannel_logout_uri) <= 500
        AND backchannel_logout_uri ~ '^(https://([a-z0-9.-]+|\[[0-9a-f:]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?/[!-~]*$'
        AND backchannel_logout_uri !~ '[\\#"<>]'),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    closed_at timestamptz,
    FOREIGN KEY (activity_id, organisation_id) REFERENCES consent.processing_activity (id, organisation_id),
    CHECK ((kind = 'confidential') = (jwks IS NOT NULL)),
    CHECK (kind = 'public' OR organisation_id IS NOT NULL),
    -- The name under which a service knows a resident is its organisation's (exchange.pseudonym).
    CHECK ('openid' <> ALL (scope) OR organisation_id IS NOT NULL),
    -- FAPI 2.0 §5.4: keys to authenticate with, and no RSASSA-PKCS1-v1_5.
    CHECK (profile = 'baseline' OR (kind = 'confidential' AND id_token_algorithm <> 'RS256'))
);
GRANT SELECT ON openid.client TO stoa_app, stoa_door;

-- A request to sign in at an app: parameters are fixed here and never taken from a page again.
CREATE TABLE openid.authorization_request (
    id uuid PRIMARY KEY,
    client_id text NOT NULL REFERENCES openid.client,
    redirect_uri text NOT NULL CHECK (length(redirect_uri) <= 2000),
    scope text[] NOT NULL,
    state text CHECK (length(state) <= 1000),
    code_challenge text NOT NULL CHECK (code_challenge ~ '^[A-Za-z0-9_-]{43}$'),
    -- Of services that residents sign in at (OpenID Connect Core §3.1.2.1); null and empty for a resident's app.
    nonce text CHECK (length(nonce) BETWEEN 1 AND 500),
    prompt text[] NOT NULL DEFAULT '{}' CHECK (prompt <@ '{none,login,consent,select_account}'),
    max_age_seconds integer CHECK (max_age_seconds >= 0),
    -- Assurance without which the service does not want the sign-in (`acr` as an essential claim, §5.5.1.1), and assurance that it would like, the best first.
    essential_acr text[] NOT NULL DEFAULT '{}' CHECK (cardinality(essential_acr) <= 20),
    wished_acr text[] NOT NULL DEFAULT '{}' CHECK (cardinality(wished_acr) <= 20),
    -- Whom the service thinks will sign in, to be typed into the form for them; and the language that it asked for.
    login_hint text CHECK (length(login_hint) BETWEEN 1 AND 254),
    language text CHECK (language IN ('en', 'fr', 'ar')),
    -- The attributes that its claims are made of, and the names of claims that were asked for one by one (§5.5).
    attributes text[] NOT NULL DEFAULT '{}' CHECK (cardinality(attributes) <= 50),
    id_token_claims text[] NOT NULL DEFAULT '{}' CHECK (cardinality(id_token_claims) <= 50),
    user_info_claims text[] NOT NULL DEFAULT '{}' CHECK (cardinality(user_info_claims) <= 50),
    -- The interface that its access token is for (RFC 8707); null: the city's UserInfo.
    resource text CHECK (length(resource) <= 2000),
    -- Thumbprint of the key that the code is bound to (RFC 9449 §10).
    key_thumbprint text CHECK (key_thumbprint ~ '^[A-Za-z0-9_-]{43}$'),
    -- What was pushed (RFC 9126) and by which name it is begun, within the minute after.
    pushed_hash bytea UNIQUE CHECK (octet_length(pushed_hash) = 32),
    begin_until timestamptz,
    -- SHA-256 of the cookie of the browser that began it: nobody else's browser can be led into it. Null only until what was pushed begins.
    browser bytea CHECK (octet_length(browser) = 32),
    CHECK ((pushed_hash IS NULL) = (begin_until IS NULL) AND (browser IS NOT NULL OR pushed_hash IS NOT NULL)),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL,
    answered_at timestamptz
);
GRANT SELECT, INSERT, UPDATE (answered_at, browser), DELETE ON openid.authorization_request TO stoa_app;

CREATE TABLE openid.authorization_code (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    request_id uuid NOT NULL UNIQUE REFERENCES openid.authorization_request ON DELETE CASCADE,
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    authenticator_assurance smallint NOT NULL CHECK (authenticator_assurance BETWEEN 1 AND 3),
    CHECK (num_nonnulls(account_id, staff_id) = 1),
    -- Staff show two factors wherever they sign in.
    CHECK (staff_id IS NULL OR authenticator_assurance >= 2),
    -- The session in which the resident answered, and when its password was last shown. No reference: ended sessions are cleared away.
    session_id uuid NOT NULL,
    signed_in_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz
);

-- A member of staff's signing in at services of an organisation: the name under which it knows them (`sub`).
CREATE TABLE openid.staff_subject (
    staff_id uuid NOT NULL REFERENCES identity.staff,
    organisation_id text NOT NULL REFERENCES consent.organisation,
    subject uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    PRIMARY KEY (staff_id, organisation_id)
);
GRANT SELECT, INSERT ON openid.staff_subject TO stoa_door;

-- A resident's signing in at a service, or a member of staff's, from the redeemed code on: its tokens belong to it, and end with it. Its id is the `sid` of the ID
-- token.
CREATE TABLE openid.sign_in (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    client_id text NOT NULL REFERENCES openid.client,
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    -- Whom the account was for, and the name under which the organisation knows that person (`sub`).
    resident_id uuid REFERENCES register.resident,
    subject uuid NOT NULL,
    CHECK (num_nonnulls(account_id, staff_id) = 1 AND num_nonnulls(resident_id, staff_id) = 1),
    -- What a member of staff does at a service ends with the session.
    CHECK (staff_id IS NULL OR NOT 'offline_access' = ANY (scope)),
    session_id uuid NOT NULL,
    signed_in_at timestamptz NOT NULL,
    authenticator_assurance smallint NOT NULL CHECK (authenticator_assurance BETWEEN 1 AND 3),
    scope text[] NOT NULL CHECK ('openid' = ANY (scope)),
    user_info_claims text[] NOT NULL,
    -- As in the request. With a key, a service that has no other proof renews with that key alone (RFC 9449 §5).
    resource text,
    key_thumbprint text CHECK (key_thumbprint ~ '^[A-Za-z0-9_-]{43}$'),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    ended_at timestamptz
);
CREATE INDEX sign_in_account ON openid.sign_in (account_id, client_id);
CREATE INDEX sign_in_session ON openid.sign_in (session_id) WHERE ended_at IS NULL;

-- The services that a resident agreed to sign in at. Asked again where something new is asked for, or once it was ended.
CREATE TABLE openid.connection (
    account_id uuid NOT NULL REFERENCES identity.account,
    client_id text NOT NULL REFERENCES openid.client,
    scope text[] NOT NULL,
    -- What the resident was asked to share and did not: not asked again at each sign-in.
    declined text[] NOT NULL DEFAULT '{}',
    connected_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    last_used_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    ended_at timestamptz,
    PRIMARY KEY (account_id, client_id)
);

-- RFC 7523 §3: an assertion counts once.
CREATE TABLE openid.client_assertion (
    client_id text NOT NULL REFERENCES openid.client,
    jti text NOT NULL CHECK (length(jti) BETWEEN 1 AND 200),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti)
);
CREATE INDEX client_assertion_expires ON openid.client_assertion (expires_at);
GRANT SELECT, INSERT, DELETE ON openid.client_assertion TO stoa_app;

-- RFC 9449 §11.1: a proof of possession counts once.
CREATE TABLE openid.key_proof (
    key_thumbprint text NOT NULL CHECK (key_thumbprint ~ '^[A-Za-z0-9_-]{43}$'),
    jti_hash bytea NOT NULL CHECK (octet_length(jti_hash) = 32),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (key_thumbprint, jti_hash)
);
CREATE INDEX key_proof_expires ON openid.key_proof (expires_at);
GRANT SELECT, INSERT, DELETE ON openid.key_proof TO stoa_app;
