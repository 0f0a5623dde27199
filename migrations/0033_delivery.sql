-- What leaves the city for a resident: e-mails, short messages, letters. A message is written into the outbox by the transaction that gives the occasion, and sent
-- beside the requests, so that nobody waits for a mail server and nothing is told that did not happen. Where it goes and what a code is are sealed under the resident's
-- key, and erased when the message is done.
CREATE SCHEMA delivery;
GRANT USAGE ON SCHEMA delivery TO stoa_app, stoa_door;
GRANT CREATE ON SCHEMA delivery TO stoa_door;

-- How often a message is tried: for about a day, after which its receiver is rather gone than away.
CREATE FUNCTION delivery.attempts_max() RETURNS smallint LANGUAGE sql IMMUTABLE RETURN 10::smallint;
-- How long after an attempt the next one follows: 1, 2, 8, 32 and 128 minutes, then every six hours. The first within the life of a code, and longer than any attempt takes.
CREATE FUNCTION delivery.retry_delay(attempt integer) RETURNS interval
    LANGUAGE sql IMMUTABLE RETURN LEAST(interval '6 hours', GREATEST(interval '1 minute', power(4, LEAST(attempt, 10) - 1) * interval '30 seconds'));
ALTER FUNCTION delivery.attempts_max() OWNER TO stoa_door;
ALTER FUNCTION delivery.retry_delay(integer) OWNER TO stoa_door;

CREATE TABLE delivery.outgoing (
    id uuid PRIMARY KEY,
    resident_id uuid NOT NULL REFERENCES register.resident,
    channel text NOT NULL CHECK (channel IN ('email', 'sms', 'letter')),
    -- Its words are in the catalogues (Delivery/OutgoingTemplate).
    template text NOT NULL CHECK (template ~ '^[a-z][a-z_]{1,39}$'),
    language text NOT NULL CHECK (language IN ('en', 'fr', 'ar')),
    -- Where to: an e-mail address or a phone number. A letter goes to the address in the register, which is read when it is printed.
    sealed_recipient bytea CHECK (octet_length(sealed_recipient) BETWEEN 29 AND 1100),
    -- What fills the placeholders, such as a code. Where there is none, the words are the same for everybody.
    sealed_parameters bytea CHECK (octet_length(sealed_parameters) BETWEEN 29 AND 2048),
    made_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- From when on it is of no use to anybody, such as a code that ran out.
    expires_at timestamptz,
    attempts smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- What came of the newest attempt: "status 250", or a word.
    outcome text CHECK (length(outcome) BETWEEN 1 AND 60),
    -- Handed over to the relay, the gateway or the post.
    sent_at timestamptz,
    failed_at timestamptz,
    is_done boolean NOT NULL GENERATED ALWAYS AS (sent_at IS NOT NULL OR failed_at IS NOT NULL) STORED,
    CHECK (num_nonnulls(sent_at, failed_at) <= 1),
    CONSTRAINT outgoing_erased_when_done CHECK (
        num_nonnulls(sent_at, failed_at) = 0 OR num_nonnulls(sealed_recipient, sealed_parameters) = 0),
    CONSTRAINT outgoing_has_recipient CHECK (
        (sealed_recipient IS NOT NULL) = (channel <> 'letter' AND num_nonnulls(sent_at, failed_at) = 0))
);
CREATE INDEX outgoing_due ON delivery.outgoing (next_at) WHERE NOT is_done AND channel <> 'letter';
CREATE INDEX outgoing_letters ON delivery.outgoing (made_at) WHERE NOT is_done AND channel = 'letter';
CREATE INDEX outgoing_resident ON delivery.outgoing (resident_id, made_at);
CREATE INDEX outgoing_done ON delivery.outgoing (made_at) WHERE is_done;

-- Who printed and who posted which letter. A letter is printed under the access entry that released name and address.
CREATE TABLE delivery.letter_event (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    outgoing_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('printed', 'posted')),
    staff_id uuid NOT NULL REFERENCES identity.staff,
    entry_id uuid UNIQUE,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CHECK ((kind = 'printed') = (entry_id IS NOT NULL))
);
CREATE UNIQUE INDEX letter_posted_once ON delivery.letter_event (outgoing_id) WHERE kind = 'posted';
CREATE INDEX letter_event_outgoing ON delivery.letter_event (outgoing_id, at);
CREATE TRIGGER letter_event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON delivery.letter_event
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.outgoing TO stoa_door;
GRANT SELECT, INSERT ON delivery.letter_event TO stoa_door;

-- Writes one message. For the functions of the slices that have something to tell, in the transaction of what it tells: the server's role may not call it.
CREATE FUNCTION delivery.put(
    outgoing uuid, resident uuid, channel text, template text, language text, sealed_recipient bytea, sealed_parameters bytea, expires_at timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO delivery.outgoing (id, resident_id, channel, template, language, sealed_recipient, sealed_parameters, expires_at)
        VALUES (put.outgoing, put.resident, put.channel, put.template, put.language, put.sealed_recipient, put.sealed_parameters, put.expires_at);
END
$$;
ALTER FUNCTION delivery.put(uuid, uuid, text, text, text, bytea, bytea, timestamptz) OWNER TO stoa_door;

-- Gives up what is no use any more. The receiver and the particulars go with it.
CREATE FUNCTION delivery.give_up(outgoing uuid, outcome text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE delivery.outgoing AS o SET failed_at = public.stoa_now(), outcome = give_up.outcome, sealed_recipient = NULL, sealed_parameters = NULL
        WHERE o.id = give_up.outgoing AND NOT o.is_done;
END
$$;
ALTER FUNCTION delivery.give_up(uuid, text) OWNER TO stoa_door;

-- Messages to send now. An attempt counts when it is taken, so a node that dies with it does not try for ever, and until the next attempt is due no other node has it.
CREATE FUNCTION delivery.take(messages_max integer)
    RETURNS TABLE (id uuid, attempt smallint, channel text, template text, language text, sealed_recipient bytea, sealed_parameters bytea, holder_id uuid, key_id text,
                   wrapped_key bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What ran out, was tried often enough by nodes that died, or is somebody's whose key was destroyed.
    PERFORM delivery.give_up(dead.id, dead.outcome) FROM (
        SELECT o.id, CASE WHEN o.expires_at <= public.stoa_now() THEN 'ran out' WHEN o.attempts >= delivery.attempts_max() THEN coalesce(o.outcome, 'no answer')
                ELSE 'erased' END AS outcome
        FROM delivery.outgoing AS o
        WHERE NOT o.is_done AND o.channel <> 'letter' AND o.next_at <= public.stoa_now()
          AND (o.expires_at <= public.stoa_now() OR o.attempts >= delivery.attempts_max()
               OR NOT EXISTS (SELECT FROM register.data_key AS k WHERE k.resident_id = o.resident_id))
        ORDER BY o.next_at LIMIT take.messages_max FOR UPDATE SKIP LOCKED) AS dead;
    RETURN QUERY
        WITH due AS (
            SELECT o.id FROM delivery.outgoing AS o
            WHERE NOT o.is_done AND o.channel <> 'letter' AND o.next_at <= public.stoa_now()
            ORDER BY o.next_at LIMIT take.messages_max FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE delivery.outgoing AS o SET attempts = o.attempts + 1, next_at = public.stoa_now() + delivery.retry_delay(o.attempts + 1)
            FROM due AS d WHERE o.id = d.id
            RETURNING o.id, o.attempts, o.channel, o.template, o.language, o.sealed_recipient, o.sealed_parameters, o.resident_id)
        SELECT t.id, t.attempts, t.channel, t.template, t.language, t.sealed_recipient, t.sealed_parameters, t.resident_id, k.key_id, k.wrapped_key
        FROM taken AS t JOIN register.data_key AS k ON k.resident_id = t.resident_id;
END
$$;
ALTER FUNCTION delivery.take(integer) OWNER TO stoa_door;

-- What came of an attempt to send what is no letter: sent; later (it may work another time); refused (it never will). One that failed says nothing about a later one.
CREATE FUNCTION delivery.note(outgoing uuid, attempt smallint, result text, outcome text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF note.result = 'sent' THEN
        UPDATE delivery.outgoing AS o SET sent_at = public.stoa_now(), outcome = note.outcome, sealed_recipient = NULL, sealed_parameters = NULL
            WHERE o.id = note.outgoing AND o.channel <> 'letter' AND NOT o.is_done;
    ELSIF note.result = 'refused' OR note.attempt >= delivery.attempts_max() THEN
        PERFORM delivery.give_up(o.id, note.outcome) FROM delivery.outgoing AS o
            WHERE o.id = note.outgoing AND o.channel <> 'letter' AND o.attempts = note.attempt;
    ELSE
        UPDATE delivery.outgoing AS o SET outcome = note.outcome WHERE o.id = note.outgoing AND o.attempts = note.attempt AND NOT o.is_done;
    END IF;
END
$$;
ALTER FUNCTION delivery.note(uuid, smallint, text, text) OWNER TO stoa_door;

-- Removes what was done more than a month ago: until then the resident sees whether it arrived.
CREATE FUNCTION delivery.remove_done() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM delivery.outgoing AS o WHERE o.is_done AND o.made_at < public.stoa_now() - interval '30 days';
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
ALTER FUNCTION delivery.remove_done() OWNER TO stoa_door;

-- Letters that wait, for caseworkers; whose they are is for the door alone, and no page shows it. The reference is what the access log names as the case.
CREATE FUNCTION delivery.waiting_letters(credential bytea, letter uuid)
    RETURNS TABLE (id uuid, reference text, resident_id uuid, template text, language text, made_at timestamptz, printed_at timestamptz, printed_by text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, 'L-' || upper(left(md5(o.id::text), 8)), coalesce(r.superseded_by, r.id), o.template, o.language, o.made_at, p.at, p.display_name
        FROM web.staff_with(waiting_letters.credential, '{caseworker}') AS me
        CROSS JOIN delivery.outgoing AS o
        JOIN register.resident AS r ON r.id = o.resident_id
        LEFT JOIN LATERAL (
            SELECT e.at, s.display_name FROM delivery.letter_event AS e JOIN identity.staff AS s ON s.id = e.staff_id
            WHERE e.outgoing_id = o.id AND e.kind = 'printed' ORDER BY e.at DESC LIMIT 1) AS p ON true
        WHERE o.channel = 'letter' AND NOT o.is_done AND (o.expires_at IS NULL OR o.expires_at > public.stoa_now())
          AND (waiting_letters.letter IS NULL OR o.id = waiting_letters.letter)
        ORDER BY o.made_at, o.id LIMIT 200;
END
$$;
ALTER FUNCTION delivery.waiting_letters(bytea, uuid) OWNER TO stoa_door;

-- A caseworker prints a letter. The entry is the ticket: the view of this resident for this letter, permitted, committed and fresh, theirs, and used once. No row otherwise.
CREATE FUNCTION delivery.print_letter(credential bytea, letter uuid, entry uuid)
    RETURNS TABLE (sealed_parameters bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO delivery.letter_event (outgoing_id, kind, staff_id, entry_id)
        SELECT w.id, 'printed', me.staff_id, e.id
        FROM web.staff_with(print_letter.credential, '{caseworker}') AS me
        CROSS JOIN delivery.waiting_letters(print_letter.credential, print_letter.letter) AS w
        JOIN access_log.entry AS e ON e.id = print_letter.entry AND e.operation = 'view' AND e.outcome = 'permitted' AND e.purpose = 'letter'
            AND e.actor_kind = 'staff' AND e.actor_id = me.staff_id::text AND e.subject_id = w.resident_id AND e.case_reference = w.reference
            AND e.at > public.stoa_now() - interval '1 minute' AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        WHERE w.id = print_letter.letter
        ON CONFLICT (entry_id) DO NOTHING;
    IF NOT FOUND THEN RETURN; END IF;
    RETURN QUERY
        SELECT o.sealed_parameters, o.resident_id, k.key_id, k.wrapped_key
        FROM delivery.outgoing AS o LEFT JOIN register.data_key AS k ON k.resident_id = o.resident_id WHERE o.id = print_letter.letter;
END
$$;
ALTER FUNCTION delivery.print_letter(bytea, uuid, uuid) OWNER TO stoa_door;

-- A caseworker gave a printed letter to the post. Outcomes: posted, already_posted, not_printed, letter_unknown.
CREATE FUNCTION delivery.post_letter(credential bytea, letter uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    staff uuid := (SELECT s.staff_id FROM web.staff_with(post_letter.credential, '{caseworker}') AS s);
BEGIN
    IF staff IS NULL THEN RETURN 'letter_unknown'; END IF;
    PERFORM FROM delivery.outgoing AS o WHERE o.id = post_letter.letter AND o.channel = 'letter' FOR UPDATE;
    IF NOT FOUND THEN RETURN 'letter_unknown'; END IF;
    IF NOT EXISTS (SELECT FROM delivery.letter_event AS e WHERE e.outgoing_id = post_letter.letter AND e.kind = 'printed') THEN RETURN 'not_printed'; END IF;
    UPDATE delivery.outgoing AS o SET sent_at = public.stoa_now(), outcome = 'posted', sealed_parameters = NULL WHERE o.id = post_letter.letter AND NOT o.is_done;
    IF NOT FOUND THEN RETURN 'already_posted'; END IF;
    INSERT INTO delivery.letter_event (outgoing_id, kind, staff_id) VALUES (post_letter.letter, 'posted', staff);
    RETURN 'posted';
END
$$;
ALTER FUNCTION delivery.post_letter(bytea, uuid) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION delivery.take(integer), delivery.note(uuid, smallint, text, text), delivery.remove_done(), delivery.waiting_letters(bytea, uuid),
    delivery.print_letter(bytea, uuid, uuid), delivery.post_letter(bytea, uuid) TO stoa_app;

-- Addresses of an account, and the code that proves one. An address that is not proven identifies nobody, and receives nothing but its code.
GRANT CREATE ON SCHEMA identity TO stoa_door;

CREATE TABLE identity.address (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES identity.account,
    kind text NOT NULL CHECK (kind IN ('email', 'phone')),
    -- As in identity.sign_in_name.
    hmac bytea NOT NULL CHECK (octet_length(hmac) = 32),
    -- Under whose key: the account's resident of when it was added.
    holder_id uuid NOT NULL REFERENCES register.resident,
    sealed_value bytea NOT NULL CHECK (octet_length(sealed_value) BETWEEN 29 AND 1100),
    added_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    verified_at timestamptz,
    -- Of its kind the one that messages go to.
    is_primary boolean NOT NULL DEFAULT false CHECK (NOT is_primary OR verified_at IS NOT NULL),
    UNIQUE (account_id, hmac)
);
CREATE UNIQUE INDEX address_verified_once ON identity.address (hmac) WHERE verified_at IS NOT NULL;
CREATE UNIQUE INDEX address_primary_once ON identity.address (account_id, kind) WHERE is_primary;

-- The code that was sent to an address: typed by the session that asked for it, within ten minutes, at the fifth try at the latest. Keyed, because eight digits are soon tried out.
CREATE TABLE identity.address_code (
    address_id uuid PRIMARY KEY REFERENCES identity.address ON DELETE CASCADE,
    -- web.credential.id, which stays when the session's secret changes with what it may do.
    session_id uuid NOT NULL,
    code_hmac bytea NOT NULL CHECK (octet_length(code_hmac) = 32),
    tries smallint NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    expires_at timestamptz NOT NULL
);

-- What was sent because somebody typed an address, so that nobody is flooded through us: by the address, whoever's it is, and by the account.
CREATE TABLE identity.address_sending (
    hmac bytea NOT NULL,
    account_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX address_sending_hmac ON identity.address_sending (hmac, at);
CREATE INDEX address_sending_account ON identity.address_sending (account_id, at);
CREATE INDEX address_sending_at ON identity.address_sending (at);

GRANT SELECT, INSERT, UPDATE, DELETE ON identity.address, identity.address_code, identity.address_sending TO stoa_door;
GRANT DELETE ON identity.sign_in_name TO stoa_door;

-- Codes to one address, and codes that one account asks for, in an hour.
CREATE FUNCTION identity.address_codes_per_hour() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 5;
-- Addresses of one account, proven or not.
CREATE FUNCTION identity.addresses_max() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 6;
-- How long a code counts.
CREATE FUNCTION identity.address_code_life() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '10 minutes';
ALTER FUNCTION identity.address_codes_per_hour() OWNER TO stoa_door;
ALTER FUNCTION identity.addresses_max() OWNER TO stoa_door;
ALTER FUNCTION identity.address_code_life() OWNER TO stoa_door;

-- The resident's account behind a live web session.
CREATE FUNCTION identity.account_of(credential bytea) RETURNS TABLE (account_id uuid, resident_id uuid, language text, session_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT a.id, a.resident_id, a.language, c.id
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        WHERE c.hash = account_of.credential AND c.kind = 'session' AND web.is_live(c);
    END;
ALTER FUNCTION identity.account_of(bytea) OWNER TO stoa_door;

-- The first session of an account that was made within this minute, whose password is at hand because it was just chosen: it may have no name to sign in with until an
-- address is proven. False for any other account.
CREATE FUNCTION identity.open_first_session(account_id uuid, password_hash text, token_hash bytea, is_shared boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM identity.account AS a
        WHERE a.id = open_first_session.account_id AND a.password_hash = open_first_session.password_hash AND a.closed_at IS NULL
          AND a.created_at > public.stoa_now() - interval '1 minute'
        FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM web.credential AS c WHERE c.account_id = open_first_session.account_id) THEN RETURN false; END IF;
    PERFORM identity.open_session(
        open_first_session.token_hash, open_first_session.account_id, NULL, 'password', public.stoa_now(), NULL, open_first_session.is_shared);
    RETURN true;
END
$$;
ALTER FUNCTION identity.open_first_session(uuid, text, bytea, boolean) OWNER TO stoa_door;

-- The key under which the session's own resident gives something. It opens nothing that the session may not read.
CREATE FUNCTION identity.own_key(credential bytea) RETURNS TABLE (holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT k.resident_id, k.key_id, k.wrapped_key
        FROM identity.account_of(own_key.credential) AS me JOIN register.data_key AS k ON k.resident_id = me.resident_id;
END
$$;
ALTER FUNCTION identity.own_key(bytea) OWNER TO stoa_door;

-- Tells the proven addresses of an account, but for one, what happened to it.
CREATE FUNCTION identity.tell_addresses(account uuid, template text, but_not uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM delivery.put(gen_random_uuid(), d.holder_id, CASE d.kind WHEN 'email' THEN 'email' ELSE 'sms' END, tell_addresses.template, a.language, d.sealed_value, NULL, NULL)
        FROM identity.address AS d JOIN identity.account AS a ON a.id = d.account_id
        WHERE d.account_id = tell_addresses.account AND d.verified_at IS NOT NULL AND d.id IS DISTINCT FROM tell_addresses.but_not;
END
$$;
ALTER FUNCTION identity.tell_addresses(uuid, text, uuid) OWNER TO stoa_door;

-- Adds an address to the session's account, or asks for another code for one that is not proven, and sends the code. An address that is another account's gets no code: its
-- account is told, once a day, and whoever asked is told nothing else than otherwise. Outcomes: sent, already_verified (the account's own), too_many_codes,
-- too_many_addresses, credential_invalid.
CREATE FUNCTION identity.add_address(
    credential bytea, address uuid, kind text, hmac bytea, holder uuid, sealed_value bytea, code_hmac bytea, outgoing uuid, sealed_code bytea, language text,
    OUT outcome text, OUT address_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me record;
    known record;
    other record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(add_address.credential) AS o;
    -- What is sealed for somebody else than the session's resident, whatever the application says, is nobody's.
    IF NOT FOUND OR add_address.holder <> me.resident_id THEN outcome := 'credential_invalid'; RETURN; END IF;
    -- Two at once of the same account, or to the same address, come one after the other: the limits count them so.
    PERFORM pg_advisory_xact_lock(hashtextextended('identity.address ' || encode(add_address.hmac, 'hex'), 0));
    PERFORM a.id FROM identity.account AS a WHERE a.id = me.account_id FOR UPDATE;

    SELECT d.id, d.verified_at INTO known FROM identity.address AS d WHERE d.account_id = me.account_id AND d.hmac = add_address.hmac;
    address_id := coalesce(known.id, add_address.address);
    IF known.verified_at IS NOT NULL THEN outcome := 'already_verified'; RETURN; END IF;
    IF (SELECT count(*) FROM identity.address_sending AS s WHERE s.hmac = add_address.hmac AND s.at > public.stoa_now() - interval '1 hour')
            >= identity.address_codes_per_hour()
        OR (SELECT count(*) FROM identity.address_sending AS s WHERE s.account_id = me.account_id AND s.at > public.stoa_now() - interval '1 hour')
            >= identity.address_codes_per_hour() THEN
        outcome := 'too_many_codes';
        RETURN;
    END IF;
    IF known.id IS NULL AND (SELECT count(*) FROM identity.address AS d WHERE d.account_id = me.account_id) >= identity.addresses_max() THEN
        outcome := 'too_many_addresses';
        RETURN;
    END IF;

    INSERT INTO identity.address_sending (hmac, account_id) VALUES (add_address.hmac, me.account_id);
    IF known.id IS NULL THEN
        INSERT INTO identity.address (id, account_id, kind, hmac, holder_id, sealed_value)
            VALUES (add_address.address, me.account_id, add_address.kind, add_address.hmac, add_address.holder, add_address.sealed_value);
    END IF;
    SELECT n.account_id, d.holder_id, d.sealed_value, a.language INTO other
        FROM identity.sign_in_name AS n
        LEFT JOIN identity.account AS a ON a.id = n.account_id
        LEFT JOIN identity.address AS d ON d.account_id = n.account_id AND d.hmac = n.hmac AND d.verified_at IS NOT NULL
        WHERE n.hmac = add_address.hmac;
    -- Of another's address the code is one that nobody knows.
    INSERT INTO identity.address_code AS c (address_id, session_id, code_hmac, expires_at)
        VALUES (add_address.address_id, me.session_id,
            CASE WHEN other IS NULL THEN add_address.code_hmac ELSE sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) END,
            public.stoa_now() + identity.address_code_life())
        ON CONFLICT ON CONSTRAINT address_code_pkey DO UPDATE
            SET session_id = excluded.session_id, code_hmac = excluded.code_hmac, tries = 0, expires_at = excluded.expires_at;
    IF other IS NULL THEN
        PERFORM delivery.put(add_address.outgoing, add_address.holder, CASE add_address.kind WHEN 'email' THEN 'email' ELSE 'sms' END, 'address_code', add_address.language,
            add_address.sealed_value, add_address.sealed_code, public.stoa_now() + identity.address_code_life());
    ELSIF other.holder_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM delivery.outgoing AS o
            WHERE o.resident_id = other.holder_id AND o.template = 'address_in_use' AND o.made_at > public.stoa_now() - interval '1 day') THEN
        PERFORM delivery.put(add_address.outgoing, other.holder_id, CASE add_address.kind WHEN 'email' THEN 'email' ELSE 'sms' END, 'address_in_use', other.language,
            other.sealed_value, NULL, NULL);
    END IF;
    outcome := 'sent';
END
$$;
ALTER FUNCTION identity.add_address(bytea, uuid, text, bytea, uuid, bytea, bytea, uuid, bytea, text) OWNER TO stoa_door;

-- A code was typed. The try counts before it is compared. Outcomes: verified, wrong, ended (ran out, tried too often, of another session, or the address became another
-- account's meanwhile: ask for a new one), credential_invalid.
CREATE FUNCTION identity.verify_address(credential bytea, address uuid, code_hmac bytea, OUT outcome text, OUT tries_left integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me record;
    sent record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(verify_address.credential) AS o;
    IF NOT FOUND THEN outcome := 'credential_invalid'; RETURN; END IF;
    outcome := 'ended';
    UPDATE identity.address_code AS c SET tries = c.tries + 1 FROM identity.address AS d
        WHERE c.address_id = verify_address.address AND d.id = c.address_id AND d.account_id = me.account_id AND c.session_id = me.session_id
          AND c.tries < 5 AND c.expires_at > public.stoa_now()
        RETURNING c.tries, c.code_hmac = verify_address.code_hmac AS is_right, d.kind, d.hmac, d.holder_id, d.sealed_value INTO sent;
    IF NOT FOUND THEN RETURN; END IF;
    tries_left := 5 - sent.tries;
    IF NOT sent.is_right THEN
        outcome := CASE WHEN tries_left > 0 THEN 'wrong' ELSE 'ended' END;
        RETURN;
    END IF;
    DELETE FROM identity.address_code AS c WHERE c.address_id = verify_address.address;
    INSERT INTO identity.sign_in_name (hmac, kind, account_id) VALUES (sent.hmac, sent.kind, me.account_id) ON CONFLICT (hmac) DO NOTHING;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM identity.tell_addresses(me.account_id, 'address_changed', verify_address.address);
    UPDATE identity.address AS d SET verified_at = public.stoa_now(),
            is_primary = NOT EXISTS (SELECT FROM identity.address AS o WHERE o.account_id = me.account_id AND o.kind = sent.kind AND o.is_primary)
        WHERE d.id = verify_address.address;
    PERFORM identity.keep_contact(me.account_id, sent.kind);
    outcome := 'verified';
END
$$;
ALTER FUNCTION identity.verify_address(bytea, uuid, bytea) OWNER TO stoa_door;

-- The register holds what the resident gave: the address of each kind that messages go to.
CREATE FUNCTION identity.keep_contact(account uuid, kind text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name CONSTANT text := CASE keep_contact.kind WHEN 'email' THEN 'contact_email' ELSE 'contact_phone' END;
BEGIN
    DELETE FROM register.sealed_attribute AS v USING identity.account AS a, register.resident AS r
        WHERE a.id = keep_contact.account AND (r.id = a.resident_id OR r.superseded_by = a.resident_id) AND v.resident_id = r.id AND v.attribute = name;
    INSERT INTO register.sealed_attribute (resident_id, attribute, sealed_value, source)
        SELECT d.holder_id, name, d.sealed_value, 'resident' FROM identity.address AS d
        WHERE d.account_id = keep_contact.account AND d.kind = keep_contact.kind AND d.is_primary;
END
$$;
ALTER FUNCTION identity.keep_contact(uuid, text) OWNER TO stoa_door;

-- Messages of its kind go to this address from now on. Outcomes: changed, unchanged, address_unknown (also one that is not proven), credential_invalid.
CREATE FUNCTION identity.prefer_address(credential bytea, address uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me record;
    chosen record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(prefer_address.credential) AS o;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = me.account_id FOR UPDATE;
    SELECT d.kind, d.is_primary INTO chosen FROM identity.address AS d
        WHERE d.id = prefer_address.address AND d.account_id = me.account_id AND d.verified_at IS NOT NULL;
    IF NOT FOUND THEN RETURN 'address_unknown'; END IF;
    IF chosen.is_primary THEN RETURN 'unchanged'; END IF;
    PERFORM identity.tell_addresses(me.account_id, 'address_changed', prefer_address.address);
    UPDATE identity.address AS d SET is_primary = false WHERE d.account_id = me.account_id AND d.kind = chosen.kind AND d.is_primary;
    UPDATE identity.address AS d SET is_primary = true WHERE d.id = prefer_address.address;
    PERFORM identity.keep_contact(me.account_id, chosen.kind);
    RETURN 'changed';
END
$$;
ALTER FUNCTION identity.prefer_address(bytea, uuid) OWNER TO stoa_door;

-- Takes an address away; the next one of its kind becomes the primary. All proven ones are told, this one too. Outcomes: removed, last_name (nothing would be left to sign in
-- with), address_unknown, credential_invalid.
CREATE FUNCTION identity.remove_address(credential bytea, address uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me record;
    chosen record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(remove_address.credential) AS o;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = me.account_id FOR UPDATE;
    SELECT d.* INTO chosen FROM identity.address AS d WHERE d.id = remove_address.address AND d.account_id = me.account_id;
    IF NOT FOUND THEN RETURN 'address_unknown'; END IF;
    IF chosen.verified_at IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM identity.sign_in_name AS n WHERE n.account_id = me.account_id AND n.hmac <> chosen.hmac) THEN RETURN 'last_name'; END IF;
        PERFORM identity.tell_addresses(me.account_id, 'address_changed', NULL);
        DELETE FROM identity.sign_in_name AS n WHERE n.hmac = chosen.hmac AND n.account_id = me.account_id;
    END IF;
    DELETE FROM identity.address AS d WHERE d.id = chosen.id;
    IF chosen.is_primary THEN
        UPDATE identity.address AS d SET is_primary = true WHERE d.id = (
            SELECT o.id FROM identity.address AS o WHERE o.account_id = me.account_id AND o.kind = chosen.kind AND o.verified_at IS NOT NULL
            ORDER BY o.verified_at, o.id LIMIT 1);
        PERFORM identity.keep_contact(me.account_id, chosen.kind);
    END IF;
    RETURN 'removed';
END
$$;
ALTER FUNCTION identity.remove_address(bytea, uuid) OWNER TO stoa_door;

-- Which matters residents can be reached about, by the kind of message.
CREATE FUNCTION delivery.theme_of(message_kind text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN message_kind IN ('question_received', 'question_answered', 'glass_broken', 'glass_reviewed', 'record_protected', 'protection_lifted') THEN 'log'
        WHEN message_kind IN ('consent_on_paper') THEN 'sharing'
        WHEN message_kind IN ('payment_received', 'transfer_received', 'cash_received') OR starts_with(message_kind, 'bill_') OR starts_with(message_kind, 'payout_')
            OR starts_with(message_kind, 'dispute_') THEN 'money'
        ELSE 'account' END;
ALTER FUNCTION delivery.theme_of(text) OWNER TO stoa_door;

-- How a resident wants to be reached about what. No row: not at all; the message waits on the site.
CREATE TABLE delivery.preference (
    account_id uuid NOT NULL REFERENCES identity.account,
    theme text NOT NULL CHECK (theme IN ('money', 'sharing', 'log', 'account')),
    channel text NOT NULL CHECK (channel IN ('email', 'sms', 'letter')),
    PRIMARY KEY (account_id, theme)
);
-- Who gets a letter when a message did not arrive.
CREATE TABLE delivery.letter_fallback (
    account_id uuid PRIMARY KEY REFERENCES identity.account
);
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery.preference, delivery.letter_fallback TO stoa_door;

-- A letter with nothing in it but that there is news, unless one waits already; to those whose address the register holds.
CREATE FUNCTION delivery.put_news_letter(account uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM delivery.put(gen_random_uuid(), a.resident_id, 'letter', 'news', a.language, NULL, NULL, NULL)
        FROM identity.account AS a JOIN register.resident AS r ON r.id = a.resident_id AND r.origin = 'population_register'
        WHERE a.id = put_news_letter.account AND a.closed_at IS NULL AND NOT EXISTS (
            SELECT FROM delivery.outgoing AS o WHERE o.resident_id = a.resident_id AND o.channel = 'letter' AND o.template = 'news' AND NOT o.is_done);
END
$$;
ALTER FUNCTION delivery.put_news_letter(uuid) OWNER TO stoa_door;

-- Tells a resident, in the way that they wish, that there is something to read: one message at a time, however many there are. Two transactions at the same moment may write
-- two; a lock that prevented it would make a run of a thousand bills wait for whoever else writes to one of the thousand.
CREATE FUNCTION delivery.announce(resident uuid, theme text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wish record;
BEGIN
    SELECT a.id AS account_id, a.language, p.channel, d.holder_id, d.sealed_value, f.account_id IS NOT NULL AS wants_letter INTO wish
        FROM register.resident AS r
        JOIN identity.account AS a ON a.resident_id = coalesce(r.superseded_by, r.id) AND a.closed_at IS NULL
        JOIN delivery.preference AS p ON p.account_id = a.id AND p.theme = announce.theme
        LEFT JOIN delivery.letter_fallback AS f ON f.account_id = a.id
        LEFT JOIN identity.address AS d ON d.account_id = a.id AND d.is_primary AND d.kind = CASE p.channel WHEN 'email' THEN 'email' WHEN 'sms' THEN 'phone' END
        WHERE r.id = announce.resident;
    IF NOT FOUND THEN RETURN; END IF;
    IF wish.sealed_value IS NULL THEN
        IF wish.channel = 'letter' OR wish.wants_letter THEN PERFORM delivery.put_news_letter(wish.account_id); END IF;
    ELSIF NOT EXISTS (
            SELECT FROM delivery.outgoing AS o
            WHERE o.resident_id = wish.holder_id AND o.channel = wish.channel AND o.template = 'news' AND NOT o.is_done) THEN
        PERFORM delivery.put(gen_random_uuid(), wish.holder_id, wish.channel, 'news', wish.language, wish.sealed_value, NULL, NULL);
    END IF;
END
$$;
ALTER FUNCTION delivery.announce(uuid, text) OWNER TO stoa_door;

CREATE FUNCTION delivery.announce_message() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM delivery.announce(NEW.resident_id, delivery.theme_of(NEW.kind));
    RETURN NULL;
END
$$;
ALTER FUNCTION delivery.announce_message() OWNER TO stoa_door;
CREATE TRIGGER message_is_announced AFTER INSERT ON messages.message FOR EACH ROW WHEN (NEW.kind <> 'welcome') EXECUTE FUNCTION delivery.announce_message();

-- An organisation asks, or a sharing ended without the resident.
CREATE FUNCTION delivery.announce_sharing() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM delivery.announce(NEW.resident_id, 'sharing');
    RETURN NULL;
END
$$;
ALTER FUNCTION delivery.announce_sharing() OWNER TO stoa_door;
CREATE TRIGGER event_is_announced AFTER INSERT ON consent.event FOR EACH ROW WHEN (NEW.kind IN ('requested', 'expired', 'invalidated'))
    EXECUTE FUNCTION delivery.announce_sharing();

CREATE FUNCTION delivery.announce_bill() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM delivery.announce(NEW.resident_id, 'money');
    RETURN NULL;
END
$$;
ALTER FUNCTION delivery.announce_bill() OWNER TO stoa_door;
CREATE TRIGGER bill_is_announced AFTER INSERT ON payments.bill FOR EACH ROW EXECUTE FUNCTION delivery.announce_bill();

-- A message that did not arrive becomes a letter, for those who wish it.
CREATE FUNCTION delivery.fall_back() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM delivery.put_news_letter(a.id)
        FROM register.resident AS r JOIN identity.account AS a ON a.resident_id = coalesce(r.superseded_by, r.id)
        JOIN delivery.letter_fallback AS f ON f.account_id = a.id
        WHERE r.id = NEW.resident_id;
    RETURN NULL;
END
$$;
ALTER FUNCTION delivery.fall_back() OWNER TO stoa_door;
CREATE TRIGGER news_falls_back AFTER UPDATE OF failed_at ON delivery.outgoing
    FOR EACH ROW WHEN (NEW.failed_at IS NOT NULL AND OLD.failed_at IS NULL AND NEW.template = 'news' AND NEW.channel <> 'letter') EXECUTE FUNCTION delivery.fall_back();

-- The session's own addresses; whether a code of this very session waits for one, and until when; and what came of the newest message to that kind of address.
CREATE FUNCTION identity.own_addresses(credential bytea)
    RETURNS TABLE (id uuid, kind text, sealed_value bytea, holder_id uuid, key_id text, wrapped_key bytea, added_at timestamptz, verified_at timestamptz, is_primary boolean,
                   code_until timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.kind, d.sealed_value, d.holder_id, k.key_id, k.wrapped_key, d.added_at, d.verified_at, d.is_primary,
            (SELECT w.expires_at FROM identity.address_code AS w
             WHERE w.address_id = d.id AND w.session_id = c.id AND w.tries < 5 AND w.expires_at > public.stoa_now())
        FROM web.credential AS c
        JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        JOIN identity.address AS d ON d.account_id = a.id
        JOIN register.data_key AS k ON k.resident_id = d.holder_id
        WHERE c.hash = own_addresses.credential AND web.is_live(c) AND (c.kind = 'session' OR 'profile' = ANY (c.scope))
        ORDER BY d.kind, d.is_primary DESC, d.verified_at, d.added_at, d.id;
END
$$;
ALTER FUNCTION identity.own_addresses(bytea) OWNER TO stoa_door;

-- How the session's resident is reached: a row each theme, channel null for not at all; whether letters are the fall-back, and whether letters are possible.
CREATE FUNCTION delivery.own_preferences(credential bytea) RETURNS TABLE (theme text, channel text, wants_letter boolean, can_have_letters boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.theme, p.channel, f.account_id IS NOT NULL, r.origin = 'population_register'
        FROM web.credential AS c
        JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        JOIN register.resident AS r ON r.id = a.resident_id
        CROSS JOIN unnest(ARRAY['money', 'sharing', 'log', 'account']) WITH ORDINALITY AS t (theme, position)
        LEFT JOIN delivery.preference AS p ON p.account_id = a.id AND p.theme = t.theme
        LEFT JOIN delivery.letter_fallback AS f ON f.account_id = a.id
        WHERE c.hash = own_preferences.credential AND web.is_live(c) AND (c.kind = 'session' OR 'profile' = ANY (c.scope))
        ORDER BY t.position;
END
$$;
ALTER FUNCTION delivery.own_preferences(bytea) OWNER TO stoa_door;

-- Sets them. False: the session has ended.
CREATE FUNCTION delivery.choose(credential bytea, themes text[], channels text[], wants_letter boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me uuid := (SELECT o.account_id FROM identity.account_of(choose.credential) AS o);
BEGIN
    IF me IS NULL THEN RETURN false; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = me FOR UPDATE;
    DELETE FROM delivery.preference AS p WHERE p.account_id = me;
    INSERT INTO delivery.preference (account_id, theme, channel)
        SELECT me, w.theme, w.channel FROM unnest(choose.themes, choose.channels) AS w (theme, channel) WHERE w.channel IS NOT NULL;
    DELETE FROM delivery.letter_fallback AS f WHERE f.account_id = me;
    IF choose.wants_letter THEN INSERT INTO delivery.letter_fallback (account_id) VALUES (me); END IF;
    RETURN true;
END
$$;
ALTER FUNCTION delivery.choose(bytea, text[], text[], boolean) OWNER TO stoa_door;

-- Removes what counts for nothing any more: sendings of more than a day ago, and addresses that nobody proved within one.
CREATE FUNCTION identity.remove_unproven() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM identity.address_sending AS s WHERE s.at < public.stoa_now() - interval '1 day';
    DELETE FROM identity.address_code AS c WHERE c.expires_at < public.stoa_now() - interval '1 hour';
    DELETE FROM identity.address AS d WHERE d.verified_at IS NULL AND d.added_at < public.stoa_now() - interval '7 days';
END
$$;
ALTER FUNCTION identity.remove_unproven() OWNER TO stoa_door;
CREATE INDEX address_unproven ON identity.address (added_at) WHERE verified_at IS NULL;

GRANT EXECUTE ON FUNCTION identity.open_first_session(uuid, text, bytea, boolean), identity.own_key(bytea), identity.add_address(bytea, uuid, text, bytea, uuid, bytea, bytea, uuid, bytea, text),
    identity.verify_address(bytea, uuid, bytea), identity.prefer_address(bytea, uuid), identity.remove_address(bytea, uuid), identity.own_addresses(bytea),
    delivery.own_preferences(bytea), delivery.choose(bytea, text[], text[], boolean), identity.remove_unproven() TO stoa_app;
REVOKE CREATE ON SCHEMA identity, delivery FROM stoa_door;
