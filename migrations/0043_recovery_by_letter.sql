-- Somebody who lost the password and the recovery codes asks for a letter: a code that was drawn for it goes to the address in the register, and nowhere else. It is
-- printed and posted with the other letters (0033), by a caseworker whose look at name and address is an entry in the resident's log. The code stands in the place of
-- the password once, and a new password is chosen; a second factor, where there is one, is asked for as well (SP 800-63B-4 §4.2).
GRANT CREATE ON SCHEMA identity TO stoa_door;

-- The newest letter of each account.
CREATE TABLE identity.letter_code (
    account_id uuid PRIMARY KEY REFERENCES identity.account,
    -- The letter (delivery.outgoing), which holds the code in sealed form until it is posted.
    letter_id uuid NOT NULL UNIQUE,
    salt bytea NOT NULL CHECK (octet_length(salt) = 16),
    -- As of a recovery code: argon2id, keyed with a secret that is not in the database. Null once it counts for nothing: used, or cancelled.
    hash bytea CHECK (octet_length(hash) = 32),
    made_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL CHECK (expires_at > made_at)
);

-- Letters that were asked for, by the HMAC of the address they were asked from: each costs paper, and somebody's time.
CREATE TABLE identity.letter_request (
    address_hmac bytea NOT NULL CHECK (octet_length(address_hmac) = 32),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX letter_request_recent ON identity.letter_request (address_hmac, at);
CREATE INDEX letter_request_at ON identity.letter_request (at);
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.letter_code, identity.letter_request TO stoa_door;

-- How long a code counts: the post takes days, and the resident may be away.
CREATE FUNCTION identity.letter_code_life() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '30 days';
-- From when on after the letter was posted it counts: no letter is there sooner, whoever printed it could use it, and the resident has heard of it meanwhile.
CREATE FUNCTION identity.letter_code_rest() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '1 day';
-- How long after one letter the account gets no other, whoever asks. The next one takes the place of the one before, which may be lost.
CREATE FUNCTION identity.letter_pause() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '7 days';
-- Letters that can be asked for from one address in a day: a counter's or a library's computer stays below.
CREATE FUNCTION identity.letter_requests_max() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 20;
ALTER FUNCTION identity.letter_code_life() OWNER TO stoa_door;
ALTER FUNCTION identity.letter_code_rest() OWNER TO stoa_door;
ALTER FUNCTION identity.letter_pause() OWNER TO stoa_door;
ALTER FUNCTION identity.letter_requests_max() OWNER TO stoa_door;

-- The account that a name opens, where the register knows an address for its resident.
CREATE FUNCTION identity.account_with_letters(name_hmac bytea) RETURNS TABLE (account_id uuid, resident_id uuid, language text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT a.id, a.resident_id, a.language
        FROM identity.sign_in_name AS n JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        JOIN register.resident AS r ON r.id = a.resident_id AND r.origin = 'population_register'
        WHERE n.hmac = account_with_letters.name_hmac;
    END;
ALTER FUNCTION identity.account_with_letters(bytea) OWNER TO stoa_door;

-- Counts that a letter was asked for, and gives the key that its code is sealed under; none for a name that gets no letter. Not counted: too many from there.
CREATE FUNCTION identity.begin_recovery_letter(name_hmac bytea, address_hmac bytea, OUT is_counted boolean, OUT holder_id uuid, OUT key_id text, OUT wrapped_key bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('identity.letter ' || encode(begin_recovery_letter.address_hmac, 'hex'), 0));
    INSERT INTO identity.letter_request (address_hmac) SELECT begin_recovery_letter.address_hmac
        WHERE (SELECT count(*) FROM identity.letter_request AS r
               WHERE r.address_hmac = begin_recovery_letter.address_hmac AND r.at > public.stoa_now() - interval '1 day') < identity.letter_requests_max();
    is_counted := FOUND;
    IF NOT is_counted THEN RETURN; END IF;
    SELECT k.resident_id, k.key_id, k.wrapped_key INTO holder_id, begin_recovery_letter.key_id, begin_recovery_letter.wrapped_key
        FROM identity.account_with_letters(begin_recovery_letter.name_hmac) AS a JOIN register.data_key AS k ON k.resident_id = a.resident_id;
END
$$;
ALTER FUNCTION identity.begin_recovery_letter(bytea, bytea) OWNER TO stoa_door;

-- Puts a letter with a code into the queue, and tells the resident on the site and at every proven address. Nothing for a name that gets none, and nothing when there was
-- one lately. Whoever asked is told the same each time.
CREATE FUNCTION identity.send_recovery_letter(name_hmac bytea, letter uuid, salt bytea, code_hash bytea, sealed_parameters bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person record;
BEGIN
    SELECT a.* INTO person FROM identity.account_with_letters(send_recovery_letter.name_hmac) AS a;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = person.account_id FOR UPDATE;
    IF EXISTS (SELECT FROM identity.letter_code AS c WHERE c.account_id = person.account_id AND c.made_at > public.stoa_now() - identity.letter_pause()) THEN
        RETURN;
    END IF;
    PERFORM delivery.give_up(c.letter_id, 'another one was asked for') FROM identity.letter_code AS c WHERE c.account_id = person.account_id;
    INSERT INTO identity.letter_code AS c (account_id, letter_id, salt, hash, expires_at)
        VALUES (person.account_id, send_recovery_letter.letter, send_recovery_letter.salt, send_recovery_letter.code_hash,
                public.stoa_now() + identity.letter_code_life())
        ON CONFLICT ON CONSTRAINT letter_code_pkey DO UPDATE
            SET letter_id = excluded.letter_id, salt = excluded.salt, hash = excluded.hash, made_at = excluded.made_at, expires_at = excluded.expires_at;
    -- Guesses at an earlier code say nothing about this one.
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = uuid_send(person.account_id) AND f.factor = 'letter_code';
    PERFORM delivery.put(send_recovery_letter.letter, person.resident_id, 'letter', 'recovery', person.language, NULL, send_recovery_letter.sealed_parameters,
                         public.stoa_now() + identity.letter_code_life());
    PERFORM identity.tell_of_factor(person.account_id, 'recovery_letter_asked');
    PERFORM identity.tell_addresses(person.account_id, 'recovery_asked', NULL);
END
$$;
ALTER FUNCTION identity.send_recovery_letter(bytea, uuid, bytea, bytea, bytea) OWNER TO stoa_door;

-- Counts an attempt with the code of a letter, and gives its salt: as identity.begin_recovery, the same for a name that opens nothing or has no letter.
CREATE FUNCTION identity.begin_letter_code(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person record;
BEGIN
    SELECT a.id, c.salt INTO person
        FROM identity.sign_in_name AS n JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        LEFT JOIN identity.letter_code AS c ON c.account_id = a.id
        WHERE n.hmac = begin_letter_code.name_hmac;
    SELECT c.outcome, c.wait_minutes INTO outcome, wait_minutes
        FROM identity.count_attempt(coalesce(uuid_send(person.id), begin_letter_code.name_hmac), 'letter_code', begin_letter_code.address_hmac) AS c;
    IF outcome = 'counted' THEN salt := person.salt; END IF;
END
$$;
ALTER FUNCTION identity.begin_letter_code(bytea, bytea) OWNER TO stoa_door;

-- Uses the code of a letter that was posted, once. Outcomes as of identity.recover.
CREATE FUNCTION identity.recover_by_letter(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person uuid;
BEGIN
    UPDATE identity.letter_code AS c SET hash = NULL
        FROM identity.account_with_letters(recover_by_letter.name_hmac) AS a
        WHERE c.account_id = a.account_id AND c.hash = recover_by_letter.code_hash AND c.expires_at > public.stoa_now()
          AND EXISTS (SELECT FROM delivery.outgoing AS o WHERE o.id = c.letter_id AND o.sent_at <= public.stoa_now() - identity.letter_code_rest())
        RETURNING c.account_id INTO person;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM identity.forgive(uuid_send(person), 'letter_code', recover_by_letter.address_hmac);
    PERFORM identity.tell_of_factor(person, 'recovery_letter_used');
    PERFORM identity.tell_addresses(person, 'recovery_used', NULL);
    IF EXISTS (SELECT FROM identity.second_factors(person, NULL)) THEN
        INSERT INTO identity.sign_in (hash, account_id, is_shared, first_factor) VALUES (recover_by_letter.token_hash, person, false, 'letter_code');
        RETURN 'second_factor';
    END IF;
    PERFORM identity.open_session(recover_by_letter.token_hash, person, NULL, 'letter_code', public.stoa_now(), NULL, false);
    RETURN 'session';
END
$$;
ALTER FUNCTION identity.recover_by_letter(bytea, bytea, bytea, bytea) OWNER TO stoa_door;

-- When the letter was asked for whose code the session's person could still get or use. No row: none.
CREATE FUNCTION identity.pending_letter(credential bytea) RETURNS TABLE (made_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT c.made_at FROM identity.holder(pending_letter.credential) AS h JOIN identity.letter_code AS c ON c.account_id = h.account_id
        WHERE h.is_session AND c.hash IS NOT NULL AND c.expires_at > public.stoa_now();
    END;
ALTER FUNCTION identity.pending_letter(bytea) OWNER TO stoa_door;

-- Whoever is signed in needs no letter, or never asked for it: its code counts for nothing any more, and it is not printed. False: there is none.
CREATE FUNCTION identity.cancel_letter(credential bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cancelled record;
BEGIN
    UPDATE identity.letter_code AS c SET hash = NULL FROM identity.holder(cancel_letter.credential) AS h
        WHERE h.is_session AND c.account_id = h.account_id AND c.hash IS NOT NULL
        RETURNING c.account_id, c.letter_id INTO cancelled;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM delivery.give_up(cancelled.letter_id, 'cancelled');
    PERFORM identity.tell_of_factor(cancelled.account_id, 'recovery_letter_cancelled');
    RETURN true;
END
$$;
ALTER FUNCTION identity.cancel_letter(bytea) OWNER TO stoa_door;

-- The code of a letter counts for nothing any more: the account has another password, or was recovered another way.
CREATE FUNCTION identity.end_letter(person uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    letter uuid;
BEGIN
    UPDATE identity.letter_code AS c SET hash = NULL WHERE c.account_id = end_letter.person AND c.hash IS NOT NULL RETURNING c.letter_id INTO letter;
    IF FOUND THEN PERFORM delivery.give_up(letter, 'not needed any more'); END IF;
END
$$;
ALTER FUNCTION identity.end_letter(uuid) OWNER TO stoa_door;

-- Removes what counts for nothing any more.
CREATE FUNCTION identity.remove_old_letters() RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
    BEGIN ATOMIC
        DELETE FROM identity.letter_request AS r WHERE r.at < public.stoa_now() - interval '1 day';
        DELETE FROM identity.letter_code AS c WHERE c.expires_at < public.stoa_now();
    END;
ALTER FUNCTION identity.remove_old_letters() OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION identity.begin_recovery_letter(bytea, bytea), identity.send_recovery_letter(bytea, uuid, bytea, bytea, bytea),
    identity.begin_letter_code(bytea, bytea), identity.recover_by_letter(bytea, bytea, bytea, bytea), identity.pending_letter(bytea),
    identity.cancel_letter(bytea), identity.remove_old_letters() TO stoa_app;
REVOKE CREATE ON SCHEMA identity FROM stoa_door;
