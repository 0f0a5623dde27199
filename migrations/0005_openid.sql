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
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    closed_at timestamptz,
    CHECK ((kind = 'confidential') = (jwks IS NOT NULL)),
    CHECK (kind = 'public' OR organisation_id IS NOT NULL)
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
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL,
    answered_at timestamptz
);
GRANT SELECT, INSERT, UPDATE (answered_at), DELETE ON openid.authorization_request TO stoa_app;

CREATE TABLE openid.authorization_code (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    request_id uuid NOT NULL UNIQUE REFERENCES openid.authorization_request ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES identity.account,
    authenticator_assurance smallint NOT NULL CHECK (authenticator_assurance BETWEEN 1 AND 3),
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz
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
