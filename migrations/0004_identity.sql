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

-- Attempts with a factor that were not (yet) right. Whom they are about is an account or a member of staff (16 bytes), whichever name was
-- typed and on whichever page, or the HMAC of a name that opens nothing (32 bytes): so a guesser meets the same limits, and is told the same,
-- whether the name exists or not. From one address the waits grow; over all addresses a hundred in a row close that factor and no other.
CREATE TABLE identity.address_failures (
    subject bytea NOT NULL CHECK (octet_length(subject) IN (16, 32)),
    factor text NOT NULL CHECK (factor IN ('password', 'totp', 'code_sheet', 'recovery_codes', 'letter_code')),
    address_hmac bytea NOT NULL CHECK (octet_length(address_hmac) = 32),
    failures integer NOT NULL CHECK (failures > 0),
    last_at timestamptz NOT NULL,
    wait_until timestamptz NOT NULL,
    PRIMARY KEY (subject, factor, address_hmac)
);
CREATE INDEX address_failures_last ON identity.address_failures (last_at);

CREATE TABLE identity.factor_failures (
    subject bytea NOT NULL CHECK (octet_length(subject) IN (16, 32)),
    factor text NOT NULL CHECK (factor IN ('password', 'totp', 'code_sheet', 'recovery_codes', 'letter_code')),
    -- In a row, since the last time that it was right (SP 800-63B-4 §3.2.2 allows no more than 100).
    failures integer NOT NULL DEFAULT 0 CHECK (failures BETWEEN 0 AND 100),
    last_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (subject, factor)
);
CREATE INDEX factor_failures_unknown ON identity.factor_failures (last_at) WHERE octet_length(subject) = 32;

-- Attempts to register, by the HMAC of the address: each costs a password hash and tells whether names are taken.
CREATE TABLE identity.registration_attempt (
    address_hmac bytea NOT NULL CHECK (octet_length(address_hmac) = 32),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX registration_attempt_recent ON identity.registration_attempt (address_hmac, at);
CREATE INDEX registration_attempt_at ON identity.registration_attempt (at);

GRANT CREATE ON SCHEMA identity TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON identity.account TO stoa_door;
GRANT SELECT, INSERT ON identity.sign_in_name, identity.staff, identity.evidence TO stoa_door;
GRANT UPDATE (password_hash) ON identity.staff TO stoa_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.address_failures, identity.factor_failures, identity.registration_attempt TO stoa_door;

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

-- How long an address waits after so many failures in a row, in minutes. Five are free, for somebody who tries the passwords they know; then
-- every failure costs more, up to an hour (SP 800-63B-4 §3.2.2): some 25 guesses a day.
CREATE FUNCTION identity.wait_minutes(failures integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN failures < 5 THEN 0 ELSE (ARRAY[1, 2, 4, 8, 15, 30, 60])[LEAST(failures - 4, 7)] END;
ALTER FUNCTION identity.wait_minutes(integer) OWNER TO stoa_door;

-- Counts an attempt before anybody looks whether it is right; one that is right is taken back by identity.forgive. `outcome` is `counted` (look at
-- it), `wait` (for so many minutes) or `closed`; the two others are not looked at and count for nothing. Attempts with one factor of one person take
-- turns, wherever they come from, so that those sent at the same moment count one after the other.
CREATE FUNCTION identity.count_attempt(subject bytea, factor text, address_hmac bytea, OUT outcome text, OUT wait_minutes integer)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    in_a_row integer;
    here record;
    from_here integer;
BEGIN
    INSERT INTO identity.factor_failures (subject, factor) VALUES (count_attempt.subject, count_attempt.factor) ON CONFLICT DO NOTHING;
    SELECT f.failures INTO in_a_row FROM identity.factor_failures AS f
        WHERE f.subject = count_attempt.subject AND f.factor = count_attempt.factor FOR UPDATE;
    -- A statement after the lock sees what the attempt before it wrote.
    SELECT a.failures, a.last_at, a.wait_until INTO here FROM identity.address_failures AS a
        WHERE a.subject = count_attempt.subject AND a.factor = count_attempt.factor AND a.address_hmac = count_attempt.address_hmac;
    wait_minutes := 0;
    IF in_a_row >= 100 THEN
        outcome := 'closed';
    -- Of free failures none waits, not even for one that began later and ended earlier.
    ELSIF here.wait_until > public.stoa_now() AND identity.wait_minutes(here.failures) > 0 THEN
        outcome := 'wait';
        -- One that was sent before the failure that it waited for would be told a minute too many.
        wait_minutes := LEAST(ceil(extract(epoch FROM here.wait_until - public.stoa_now()) / 60), identity.wait_minutes(here.failures));
    ELSE
        outcome := 'counted';
        -- A day without a failure is a new beginning for the address, though not for the hundred.
        from_here := CASE WHEN here.last_at > public.stoa_now() - interval '1 day' THEN here.failures ELSE 0 END + 1;
        INSERT INTO identity.address_failures AS a (subject, factor, address_hmac, failures, last_at, wait_until)
            VALUES (count_attempt.subject, count_attempt.factor, count_attempt.address_hmac, from_here, public.stoa_now(),
                    public.stoa_now() + make_interval(mins => identity.wait_minutes(from_here)))
            ON CONFLICT ON CONSTRAINT address_failures_pkey
            DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at, wait_until = excluded.wait_until;
        UPDATE identity.factor_failures AS f SET failures = in_a_row + 1, last_at = public.stoa_now()
            WHERE f.subject = count_attempt.subject AND f.factor = count_attempt.factor;
    END IF;
END
$$;
ALTER FUNCTION identity.count_attempt(bytea, text, bytea) OWNER TO stoa_door;

-- It was right: what failed before from this address, and in a row, no longer counts.
CREATE FUNCTION identity.forgive(subject bytea, factor text, address_hmac bytea) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = forgive.subject AND f.factor = forgive.factor;
    DELETE FROM identity.address_failures AS a
        WHERE a.subject = forgive.subject AND a.factor = forgive.factor AND a.address_hmac = forgive.address_hmac;
END
$$;
ALTER FUNCTION identity.forgive(bytea, text, bytea) OWNER TO stoa_door;

-- Counts an attempt to sign in with a name and a password, and gives what is needed to check the password; nothing else of the account. No hash for
-- a name that opens nothing, and none unless the attempt was counted.
CREATE FUNCTION identity.begin_sign_in(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT password_hash text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person record;
BEGIN
    SELECT coalesce(a.id, s.id) AS id, coalesce(a.password_hash, s.password_hash) AS password_hash INTO person
        FROM identity.sign_in_name AS n
        LEFT JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        LEFT JOIN identity.staff AS s ON s.id = n.staff_id AND s.closed_at IS NULL
        WHERE n.hmac = begin_sign_in.name_hmac AND num_nonnulls(a.id, s.id) = 1;
    SELECT c.outcome, c.wait_minutes INTO outcome, wait_minutes
        FROM identity.count_attempt(coalesce(uuid_send(person.id), begin_sign_in.name_hmac), 'password', begin_sign_in.address_hmac) AS c;
    IF outcome = 'counted' THEN password_hash := person.password_hash; END IF;
END
$$;
ALTER FUNCTION identity.begin_sign_in(bytea, bytea) OWNER TO stoa_door;

-- Counts and notes an attempt to register. False, and nothing is noted, when the address has had all its attempts. Those from one address take
-- turns, so that what is sent at the same moment counts one after the other.
CREATE FUNCTION identity.begin_registration(address_hmac bytea, attempts_max integer, window_minutes integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('identity.registration ' || encode(begin_registration.address_hmac, 'hex'), 0));
    INSERT INTO identity.registration_attempt (address_hmac)
    SELECT begin_registration.address_hmac
    WHERE (SELECT count(*) FROM identity.registration_attempt AS r
           WHERE r.address_hmac = begin_registration.address_hmac
             AND r.at > public.stoa_now() - make_interval(mins => begin_registration.window_minutes)) < begin_registration.attempts_max;
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.begin_registration(bytea, integer, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION identity.begin_sign_in(bytea, bytea), identity.begin_registration(bytea, integer, integer)
    TO stoa_app;

REVOKE CREATE ON SCHEMA identity FROM stoa_door;
