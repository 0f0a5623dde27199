-- Accounts of residents and of staff, which are separate, and the names that they sign in with.
CREATE SCHEMA identity;
GRANT USAGE ON SCHEMA identity TO stoa_app, stoa_door;

CREATE TABLE identity.account (
    id uuid PRIMARY KEY,
    -- One account a resident, and so one account a register record.
    resident_id uuid NOT NULL UNIQUE REFERENCES register.resident,
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    language text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'fr', 'ar')),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    closed_at timestamptz
);

CREATE TABLE identity.staff (
    id uuid PRIMARY KEY,
    username text NOT NULL UNIQUE CHECK (username ~ '^[a-z0-9][a-z0-9._-]{1,63}$'),
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 200),
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    roles text[] NOT NULL CHECK (cardinality(roles) >= 1 AND
        roles <@ ARRAY['caseworker', 'approver', 'finance_officer', 'auditor', 'organisation_administrator']),
    language text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'fr', 'ar')),
    -- Their own record in the register, where the city knows it: a colleague who opens it stands out (access_log.find_anomalies).
    resident_id uuid UNIQUE REFERENCES register.resident,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    closed_at timestamptz
);

-- User name, e-mail or phone, as keyed HMAC of its normal form. It opens an account only together with the password, and
-- identifies nobody: only the counter links an account to a register record. Residents and staff share one form to sign in
-- with, and so one set of names; which account a name opens is never in doubt.
CREATE TABLE identity.sign_in_name (
    hmac bytea PRIMARY KEY CHECK (octet_length(hmac) = 32),
    kind text NOT NULL CHECK (kind IN ('username', 'email', 'phone')),
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    CHECK (num_nonnulls(account_id, staff_id) = 1)
);
CREATE INDEX sign_in_name_account ON identity.sign_in_name (account_id) WHERE account_id IS NOT NULL;

-- What was seen of whom at the counter, by whom: the evidence that earned an identity assurance level.
CREATE TABLE identity.evidence (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES identity.account,
    resident_id uuid NOT NULL REFERENCES register.resident,
    kind text NOT NULL CHECK (kind IN ('passport', 'identity_card', 'residence_permit')),
    staff_id uuid NOT NULL REFERENCES identity.staff,
    case_reference text NOT NULL CHECK (length(case_reference) BETWEEN 1 AND 64),
    recorded_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER evidence_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON identity.evidence
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Attempts to sign in that were not (yet) right, by the HMAC of the name that was typed (it may not exist) and of the address, so that
-- guessing slows down alike for all. Attempts to register are counted here too, under one name that nobody can have.
CREATE TABLE identity.failed_sign_in (
    name_hmac bytea NOT NULL CHECK (octet_length(name_hmac) = 32),
    address_hmac bytea NOT NULL CHECK (octet_length(address_hmac) = 32),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX failed_sign_in_recent ON identity.failed_sign_in (name_hmac, address_hmac, at);
CREATE INDEX failed_sign_in_at ON identity.failed_sign_in (at);
GRANT SELECT, DELETE ON identity.failed_sign_in TO stoa_app;

GRANT CREATE ON SCHEMA identity TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON identity.account TO stoa_door;
GRANT SELECT, INSERT ON identity.sign_in_name, identity.staff, identity.evidence, identity.failed_sign_in TO stoa_door;

-- A new account, with a resident of its own that no register record stands behind.
CREATE FUNCTION identity.register_account(
    account_id uuid, resident_id uuid, public_code text, password_hash text, language text,
    name_kinds text[], name_hmacs bytea[], key_id text, wrapped_key bytea, attributes text[], sealed_values bytea[]) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
    BEGIN ATOMIC
        INSERT INTO register.resident (id, public_code, origin)
            VALUES (register_account.resident_id, register_account.public_code, 'self_registered');
        INSERT INTO register.data_key (resident_id, key_id, wrapped_key)
            VALUES (register_account.resident_id, register_account.key_id, register_account.wrapped_key);
        INSERT INTO register.sealed_attribute (resident_id, attribute, sealed_value, source)
            SELECT register_account.resident_id, v.attribute, v.sealed_value, 'resident'
            FROM unnest(register_account.attributes, register_account.sealed_values) AS v (attribute, sealed_value);
        INSERT INTO identity.account (id, resident_id, password_hash, language)
            VALUES (register_account.account_id, register_account.resident_id, register_account.password_hash, register_account.language);
        INSERT INTO identity.sign_in_name (hmac, kind, account_id)
            SELECT n.hmac, n.kind, register_account.account_id
            FROM unnest(register_account.name_kinds, register_account.name_hmacs) AS n (kind, hmac);
    END;
ALTER FUNCTION identity.register_account(uuid, uuid, text, text, text, text[], bytea[], text, bytea, text[], bytea[]) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION identity.register_account(uuid, uuid, text, text, text, text[], bytea[], text, bytea, text[], bytea[]) TO stoa_app;

-- What is needed to check a password; nothing else of the account.
CREATE FUNCTION identity.find_sign_in(name_hmac bytea) RETURNS TABLE (account_id uuid, staff_id uuid, password_hash text)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT a.id, s.id, coalesce(a.password_hash, s.password_hash)
        FROM identity.sign_in_name AS n
        LEFT JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        LEFT JOIN identity.staff AS s ON s.id = n.staff_id AND s.closed_at IS NULL
        WHERE n.hmac = name_hmac AND num_nonnulls(a.id, s.id) = 1;
    END;
ALTER FUNCTION identity.find_sign_in(bytea) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION identity.find_sign_in(bytea) TO stoa_app;

-- Counts and notes an attempt before its password is looked at. False, and nothing is noted, when the address has had all its attempts
-- for this name. Those for one name from one address take turns, so that guesses sent at the same moment count one after the other.
CREATE FUNCTION identity.begin_attempt(name_hmac bytea, address_hmac bytea, attempts_max integer, window_minutes integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('identity.attempt ' || encode(begin_attempt.name_hmac || begin_attempt.address_hmac, 'hex'), 0));
    -- A statement after the lock sees what the attempt before it wrote.
    INSERT INTO identity.failed_sign_in (name_hmac, address_hmac)
    SELECT begin_attempt.name_hmac, begin_attempt.address_hmac
    WHERE (SELECT count(*) FROM identity.failed_sign_in AS f
           WHERE f.name_hmac = begin_attempt.name_hmac AND f.address_hmac = begin_attempt.address_hmac
             AND f.at > public.stoa_now() - make_interval(mins => begin_attempt.window_minutes)) < begin_attempt.attempts_max;
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.begin_attempt(bytea, bytea, integer, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION identity.begin_attempt(bytea, bytea, integer, integer) TO stoa_app;

REVOKE CREATE ON SCHEMA identity FROM stoa_door;
