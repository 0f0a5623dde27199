-- Consent: append-only events in chains, the current state they add up to, and the pseudonyms under which organisations know residents.

CREATE TABLE consent.event (
    id uuid PRIMARY KEY,
    resident_id uuid NOT NULL REFERENCES register.resident,
    activity_id uuid NOT NULL,
    policy_version integer NOT NULL,
    -- Position among the events of this resident and activity, from 1.
    sequence integer NOT NULL CHECK (sequence >= 1),
    kind text NOT NULL CHECK (kind IN ('requested', 'deferred', 'refused', 'agreed', 'given', 'renewed', 'expired', 'withdrawn', 'invalidated')),
    -- What was asked for, agreed to, or ran out; nothing where a request ran out.
    attributes text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- Who acted, and in which capacity: the resident, a guardian of the child that the resident is (0023), a staff member who keyed what the resident signed, an
    -- organisation that asks, or the city.
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    client_id text REFERENCES openid.client,
    capacity text NOT NULL CHECK (capacity IN ('self', 'guardian', 'paper', 'organisation', 'system')),
    method text NOT NULL CHECK (method IN ('page', 'app', 'paper_form', 'exchange', 'identity_linked', 'guardian_entered', 'time_passed')),
    language text NOT NULL CHECK (language IN ('en', 'fr', 'ar')),
    form_reference text CHECK (length(form_reference) BETWEEN 1 AND 64),
    -- The first instant at which it does not count any more: of an agreement or a request; of an expiry the instant that passed.
    valid_until timestamptz,
    -- The request that it made or answers: the id of its event `requested`.
    request_id uuid REFERENCES consent.event,
    -- Set by the trigger below, whatever is inserted.
    previous_hash bytea CHECK (octet_length(previous_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    FOREIGN KEY (activity_id, policy_version) REFERENCES consent.policy (activity_id, version),
    UNIQUE (resident_id, activity_id, sequence),
    CHECK (CASE WHEN kind IN ('requested', 'agreed', 'given', 'renewed') THEN cardinality(attributes) > 0
                ELSE kind = 'expired' OR cardinality(attributes) = 0 END),
    CHECK (CASE WHEN kind IN ('requested', 'deferred', 'agreed', 'expired') THEN valid_until IS NOT NULL
                ELSE kind IN ('given', 'renewed') OR valid_until IS NULL END),
    CHECK ((capacity IN ('self', 'guardian')) = (account_id IS NOT NULL AND staff_id IS NULL)),
    CHECK ((capacity = 'paper') = (staff_id IS NOT NULL AND form_reference IS NOT NULL)),
    CHECK ((capacity = 'organisation') = (client_id IS NOT NULL AND account_id IS NULL)),
    CHECK (kind <> 'requested' OR (capacity = 'organisation' AND request_id = id)),
    CHECK ((sequence = 1) = (previous_hash IS NULL))
);
CREATE TRIGGER event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON consent.event
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
-- A printed form counts once for each thing it says.
CREATE UNIQUE INDEX event_form ON consent.event (form_reference, activity_id) WHERE form_reference IS NOT NULL;
CREATE INDEX event_request ON consent.event (request_id) WHERE request_id IS NOT NULL;

-- An event as the bytes that its hash is over (fields as in Sources/TransparencyLog/CanonicalEncoding.swift). Fields are only ever added,
-- with a new label.
CREATE FUNCTION consent.canonical(e consent.event) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
DECLARE
    list bytea := int4send(cardinality(e.attributes));
    attribute text;
BEGIN
    FOREACH attribute IN ARRAY e.attributes LOOP
        list := list || '\x01'::bytea || int4send(octet_length(attribute)) || convert_to(attribute, 'UTF8');
    END LOOP;
    RETURN '\x010700000010'::bytea || uuid_send(e.id)
        || '\x020700000010'::bytea || uuid_send(e.resident_id)
        || '\x030700000010'::bytea || uuid_send(e.activity_id)
        || '\x040200000008'::bytea || int8send(e.policy_version)
        || '\x050200000008'::bytea || int8send(e.sequence)
        || access_log.field('\x0601', e.kind)
        || access_log.field('\x0705', list)
        || '\x080300000008'::bytea || int8send((extract(epoch FROM e.at) * 1000000)::bigint)
        || access_log.field('\x0907', uuid_send(e.account_id))
        || access_log.field('\x0a07', uuid_send(e.staff_id))
        || access_log.field('\x0b01', e.client_id)
        || access_log.field('\x0c01', e.capacity)
        || access_log.field('\x0d01', e.method)
        || access_log.field('\x0e01', e.language)
        || access_log.field('\x0f01', e.form_reference)
        || access_log.field('\x1003', int8send((extract(epoch FROM e.valid_until) * 1000000)::bigint))
        || access_log.field('\x1107', uuid_send(e.request_id))
        || access_log.field('\x1204', e.previous_hash);
END
$$;

CREATE FUNCTION consent.hash_of(e consent.event) RETURNS bytea
    LANGUAGE sql STABLE
    RETURN sha256('stoa consent event v1\012'::bytea || consent.canonical(e));

-- Chains each event to the one before it, for every writer.
CREATE FUNCTION consent.chain_event() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.previous_hash := (SELECT e.hash FROM consent.event AS e
        WHERE e.resident_id = NEW.resident_id AND e.activity_id = NEW.activity_id AND e.sequence = NEW.sequence - 1);
    NEW.hash := consent.hash_of(NEW);
    RETURN NEW;
END
$$;
CREATE TRIGGER event_is_chained BEFORE INSERT ON consent.event FOR EACH ROW EXECUTE FUNCTION consent.chain_event();

-- The state that the newest event leaves, kept by the transaction that inserts the event: a decision is one index probe. Whether its time
-- has run out is for the clock to say (consent.state_at).
CREATE TABLE consent.state (
    resident_id uuid NOT NULL REFERENCES register.resident,
    activity_id uuid NOT NULL REFERENCES consent.processing_activity,
    state text NOT NULL CHECK (state IN ('requested', 'deferred', 'refused', 'agreed', 'given', 'renewed', 'expired', 'withdrawn', 'invalidated')),
    policy_version integer NOT NULL,
    -- What is agreed to, or was until it expired; of what waits for others, what was agreed to so far.
    attributes text[] NOT NULL,
    event_id uuid NOT NULL REFERENCES consent.event,
    sequence integer NOT NULL,
    since timestamptz NOT NULL,
    valid_until timestamptz,
    -- The request that waits for an answer; also while some who must agree have and others have not.
    request_id uuid REFERENCES consent.event,
    PRIMARY KEY (resident_id, activity_id),
    CHECK (CASE WHEN state IN ('requested', 'deferred') THEN request_id IS NOT NULL ELSE state = 'agreed' OR request_id IS NULL END)
);
CREATE INDEX state_ends ON consent.state (valid_until) WHERE state IN ('requested', 'deferred', 'agreed', 'given', 'renewed') AND valid_until IS NOT NULL;

-- How it stands at a moment: what has an end is expired from that instant on, whether or not the event that says so is written yet.
CREATE FUNCTION consent.state_at(state text, valid_until timestamptz, moment timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN valid_until <= moment AND state IN ('requested', 'deferred', 'agreed', 'given', 'renewed') THEN 'expired' ELSE state END;

-- The attributes that a state tells of. What some agreed to and others did not in time was never shared.
CREATE FUNCTION consent.shown_attributes(stored consent.state, state_now text) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN state_now IN ('agreed', 'given', 'renewed') OR (state_now = 'expired' AND (stored).state <> 'agreed') THEN (stored).attributes ELSE '{}' END;

-- For how long a request waits for its answer: a month in which somebody may be in hospital or abroad.
CREATE FUNCTION consent.request_lifetime() RETURNS interval LANGUAGE sql IMMUTABLE RETURN 30 * interval '24 hours';
-- For how long the same may not be asked again after a no: long enough that asking is no way to wear people down.
CREATE FUNCTION consent.quiet_period() RETURNS interval LANGUAGE sql IMMUTABLE RETURN 90 * interval '24 hours';
-- For how long "ask me later" keeps a request away.
CREATE FUNCTION consent.deferral() RETURNS interval LANGUAGE sql IMMUTABLE RETURN 7 * interval '24 hours';

-- The name under which one organisation knows one resident. It differs for each organisation and says nothing else.
CREATE SCHEMA exchange;
GRANT USAGE ON SCHEMA exchange TO stoa_app, stoa_door;
CREATE TABLE exchange.pseudonym (
    organisation_id text NOT NULL REFERENCES consent.organisation,
    pseudonym uuid NOT NULL DEFAULT gen_random_uuid(),
    resident_id uuid NOT NULL REFERENCES register.resident,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (organisation_id, pseudonym),
    UNIQUE (resident_id, organisation_id)
);

GRANT CREATE ON SCHEMA consent, exchange TO stoa_door;
GRANT SELECT, INSERT ON consent.event TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON consent.state TO stoa_door;
GRANT SELECT, INSERT ON exchange.pseudonym TO stoa_door;

-- Appends an event where it changes something. The caller holds the rights and has checked who acts; one writer at a time per
-- resident and activity, so that two tabs cannot both be first. What has run out is written down before what follows it.
-- Outcomes: recorded, unchanged, policy_changed, attributes_unknown, not_consent (the law decides there, not a switch), activity_unknown;
-- of given and renewed for a child: guardians_decide, in_force (stop it first); of renewed: not_renewable; of requested: in_force, already_requested, refused_recently; of deferred, refused and an organisation's
-- withdrawn: no_request.
CREATE FUNCTION consent.append(
    event_id uuid, resident uuid, activity uuid, kind text, attributes text[], policy_version integer,
    account uuid, staff uuid, client text, capacity text, method text, language text, form_reference text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- A renewal moves the end by at least a day, so that a form sent twice renews once.
    renewal_step CONSTANT interval := interval '24 hours';
    moment CONSTANT timestamptz := public.stoa_now();
    policy record;
    held record;
    granted text[] := '{}';
    in_force boolean;
    is_open boolean;
    ends timestamptz;
    -- A child's agreement that others have to give too is written as what it is.
    word text := append.kind;
    family record;
BEGIN
    SELECT p.version, p.attributes, p.valid_months, a.legal_basis INTO policy
        FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE a.id = append.activity;
    IF policy IS NULL THEN RETURN 'activity_unknown'; END IF;
    IF policy.legal_basis <> 'consent' THEN RETURN 'not_consent'; END IF;
    IF append.policy_version IS NOT NULL AND append.policy_version <> policy.version THEN RETURN 'policy_changed'; END IF;
    IF append.kind IN ('given', 'requested') THEN
        -- In the policy's own order, each once, so that the same choice is the same array.
        SELECT coalesce(array_agg(o.id ORDER BY o.position), '{}') INTO granted
            FROM unnest(policy.attributes) WITH ORDINALITY AS o (id, position)
            WHERE append.attributes IS NULL OR o.id = ANY (append.attributes);
        IF cardinality(granted) = 0 OR NOT coalesce(append.attributes <@ policy.attributes, true) THEN RETURN 'attributes_unknown'; END IF;
    END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended(append.resident::text || append.activity::text, 0));
    SELECT s.* INTO held FROM consent.state AS s WHERE s.resident_id = append.resident AND s.activity_id = append.activity;
    IF held.state IS NOT NULL AND consent.state_at(held.state, held.valid_until, moment) <> held.state AND append.kind <> 'expired' THEN
        PERFORM consent.append(gen_random_uuid(), append.resident, append.activity, 'expired', NULL, NULL, NULL, NULL, NULL, 'system', 'time_passed',
            append.language, NULL);
        SELECT s.* INTO held FROM consent.state AS s WHERE s.resident_id = append.resident AND s.activity_id = append.activity;
    END IF;
    in_force := coalesce(held.state IN ('given', 'renewed'), false);
    is_open := held.request_id IS NOT NULL;
    ends := (moment AT TIME ZONE 'UTC' + make_interval(months => policy.valid_months)) AT TIME ZONE 'UTC';

    IF append.kind IN ('given', 'renewed') THEN
        family := consent.family_verdict(append.resident, append.activity, append.kind, granted, policy.version, append.account, append.capacity, moment);
        IF family.verdict IN ('guardians_decide', 'unchanged') THEN RETURN family.verdict; END IF;
        ends := LEAST(ends, family.ends_by);
    END IF;

    CASE append.kind
        WHEN 'given' THEN
            IF in_force AND held.attributes = granted AND held.policy_version = policy.version THEN RETURN 'unchanged'; END IF;
            IF in_force AND family.verdict <> 'alone' THEN RETURN 'in_force'; END IF;
            IF family.verdict = 'agreed' THEN
                word := 'agreed';
                ends := LEAST(moment + consent.request_lifetime(), family.ends_by);
            END IF;
        WHEN 'renewed' THEN
            IF NOT (in_force OR coalesce(held.state = 'expired', false)) OR cardinality(held.attributes) = 0 THEN RETURN 'not_renewable'; END IF;
            IF held.policy_version <> policy.version THEN RETURN 'policy_changed'; END IF;
            -- Also what has no end: there is nothing to move.
            IF in_force AND NOT coalesce(ends - held.valid_until >= renewal_step, false) THEN RETURN 'unchanged'; END IF;
            granted := held.attributes;
        WHEN 'withdrawn', 'invalidated' THEN
            IF append.capacity = 'organisation' THEN
                -- An organisation takes back its request, never a resident's consent.
                IF NOT is_open THEN RETURN 'no_request'; END IF;
            ELSIF NOT in_force AND held.state IS DISTINCT FROM 'agreed' THEN
                RETURN 'unchanged';
            END IF;
            ends := NULL;
        WHEN 'expired' THEN
            IF held.state IS NULL OR consent.state_at(held.state, held.valid_until, moment) = held.state THEN RETURN 'unchanged'; END IF;
            granted := CASE held.state WHEN 'agreed' THEN '{}' ELSE held.attributes END;
            policy.version := held.policy_version;
            ends := held.valid_until;
        WHEN 'requested' THEN
            IF in_force THEN RETURN 'in_force'; END IF;
            IF is_open OR coalesce(held.state = 'agreed', false) THEN RETURN 'already_requested'; END IF;
            IF held.state IN ('refused', 'withdrawn') AND held.since + consent.quiet_period() > moment THEN RETURN 'refused_recently'; END IF;
            ends := moment + consent.request_lifetime();
        WHEN 'deferred' THEN
            IF NOT is_open THEN RETURN 'no_request'; END IF;
            -- What somebody agreed to already waits for the others.
            IF held.state = 'agreed' THEN RETURN 'unchanged'; END IF;
            IF held.state = 'deferred' AND held.since + consent.deferral() > moment THEN RETURN 'unchanged'; END IF;
            ends := held.valid_until;
        WHEN 'refused' THEN
            IF coalesce(held.state = 'refused', false) THEN RETURN 'unchanged'; END IF;
            IF NOT is_open THEN RETURN 'no_request'; END IF;
            ends := NULL;
    END CASE;

    INSERT INTO consent.event (id, resident_id, activity_id, policy_version, sequence, kind, attributes, at, account_id, staff_id, client_id,
                               capacity, method, language, form_reference, valid_until, request_id)
        VALUES (append.event_id, append.resident, append.activity, policy.version, coalesce(held.sequence, 0) + 1, word, granted, moment,
                append.account, append.staff, append.client, append.capacity, append.method, append.language, append.form_reference, ends,
                CASE append.kind WHEN 'requested' THEN append.event_id ELSE held.request_id END);
    INSERT INTO consent.state (resident_id, activity_id, state, policy_version, attributes, event_id, sequence, since, valid_until, request_id)
        SELECT e.resident_id, e.activity_id, e.kind, e.policy_version, CASE e.kind WHEN 'requested' THEN '{}' ELSE e.attributes END, e.id, e.sequence,
            CASE e.kind WHEN 'expired' THEN e.valid_until ELSE e.at END, e.valid_until,
            CASE WHEN e.kind IN ('requested', 'deferred', 'agreed') THEN e.request_id END
        FROM consent.event AS e WHERE e.id = append.event_id
        ON CONFLICT (resident_id, activity_id) DO UPDATE SET state = excluded.state, policy_version = excluded.policy_version,
            attributes = excluded.attributes, event_id = excluded.event_id, sequence = excluded.sequence, since = excluded.since,
            valid_until = excluded.valid_until, request_id = excluded.request_id;
    IF word = 'given' THEN
        INSERT INTO exchange.pseudonym (organisation_id, resident_id)
            SELECT a.organisation_id, append.resident FROM consent.processing_activity AS a WHERE a.id = append.activity
            ON CONFLICT (resident_id, organisation_id) DO NOTHING;
    END IF;
    RETURN 'recorded';
END
$$;
ALTER FUNCTION consent.append(uuid, uuid, uuid, text, text[], integer, uuid, uuid, text, text, text, text, text) OWNER TO stoa_door;

-- Writes down what has run out, so that the history tells it; nothing depends on when. Returns how many there were, at most events_max.
CREATE FUNCTION consent.record_expiries(events_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended record;
    recorded integer := 0;
BEGIN
    -- In one order, because each waits for the lock of consent.append.
    FOR ended IN
        SELECT due.resident_id, due.activity_id, e.language
        FROM (SELECT s.resident_id, s.activity_id, s.event_id FROM consent.state AS s
              WHERE s.state IN ('requested', 'deferred', 'agreed', 'given', 'renewed') AND s.valid_until <= public.stoa_now()
              ORDER BY s.valid_until LIMIT record_expiries.events_max) AS due
        JOIN consent.event AS e ON e.id = due.event_id
        ORDER BY due.resident_id, due.activity_id
    LOOP
        IF consent.append(gen_random_uuid(), ended.resident_id, ended.activity_id, 'expired', NULL, NULL, NULL, NULL, NULL, 'system', 'time_passed',
            ended.language, NULL) = 'recorded' THEN
            recorded := recorded + 1;
        END IF;
    END LOOP;
    RETURN recorded;
END
$$;
ALTER FUNCTION consent.record_expiries(integer) OWNER TO stoa_door;

-- What is not as it was written: hash_differs (the event was changed), link_differs (it does not follow the one before it),
-- state_differs (the projection is not what the newest event leaves). For the auditor.
CREATE FUNCTION consent.verify_chains() RETURNS TABLE (resident_id uuid, activity_id uuid, sequence integer, finding text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT c.resident_id, c.activity_id, c.sequence, 'hash_differs' FROM consent.event AS c WHERE c.hash <> consent.hash_of(c)
        UNION ALL
        SELECT c.resident_id, c.activity_id, c.sequence, 'link_differs'
        FROM (SELECT e.resident_id, e.activity_id, e.sequence, e.previous_hash, lag(e.hash) OVER chain AS hash_before,
                  row_number() OVER chain AS place
              FROM consent.event AS e WINDOW chain AS (PARTITION BY e.resident_id, e.activity_id ORDER BY e.sequence)) AS c
        WHERE c.previous_hash IS DISTINCT FROM c.hash_before OR c.place <> c.sequence
        UNION ALL
        SELECT e.resident_id, e.activity_id, e.sequence, 'state_differs'
        FROM (SELECT DISTINCT ON (x.resident_id, x.activity_id) x.* FROM consent.event AS x
              ORDER BY x.resident_id, x.activity_id, x.sequence DESC) AS e
        LEFT JOIN consent.state AS s ON s.resident_id = e.resident_id AND s.activity_id = e.activity_id
        WHERE (s.event_id, s.state, s.policy_version, s.sequence, s.valid_until)
                IS DISTINCT FROM (e.id, e.kind, e.policy_version, e.sequence, e.valid_until)
           OR s.attributes <> CASE e.kind WHEN 'requested' THEN '{}' ELSE e.attributes END;
END
$$;
ALTER FUNCTION consent.verify_chains() OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION consent.verify_chains() TO stoa_auditor;

-- Who decides: the resident of a live session, or of an app's token with scope consents. No row for anybody else.
CREATE FUNCTION consent.decider(credential bytea) RETURNS TABLE (account_id uuid, resident_id uuid, client_id text, method text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT a.id, a.resident_id, c.client_id, CASE c.kind WHEN 'session' THEN 'page' ELSE 'app' END
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id
        WHERE c.hash = decider.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope));
    END;
ALTER FUNCTION consent.decider(bytea) OWNER TO stoa_door;

-- A resident switches one sharing on or off, or renews it.
CREATE FUNCTION consent.decide(
    credential bytea, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(decide.credential) AS d;
    IF actor IS NULL THEN RETURN 'credential_invalid'; END IF;
    IF decide.kind NOT IN ('given', 'withdrawn', 'renewed') THEN RETURN 'kind_unknown'; END IF;
    RETURN consent.append(decide.event_id, actor.resident_id, decide.activity, decide.kind, decide.attributes, decide.policy_version,
        actor.account_id, NULL, actor.client_id, 'self', actor.method, decide.language, NULL);
END
$$;
ALTER FUNCTION consent.decide(bytea, uuid, uuid, text, text[], integer, text) OWNER TO stoa_door;

-- A resident stops everything that one organisation may read by consent: all of it or, when something fails, nothing. Returns how many
-- sharings were stopped; null when the credential does not stand.
CREATE FUNCTION consent.withdraw_all(credential bytea, organisation text, language text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
    activity uuid;
    stopped integer := 0;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(withdraw_all.credential) AS d;
    IF actor IS NULL THEN RETURN NULL; END IF;
    -- In the same order in every tab, because each waits for the lock of consent.append.
    FOR activity IN
        SELECT s.activity_id FROM consent.state AS s JOIN consent.processing_activity AS a ON a.id = s.activity_id
        WHERE s.resident_id = actor.resident_id AND a.organisation_id = withdraw_all.organisation AND s.state IN ('agreed', 'given', 'renewed') ORDER BY s.activity_id
    LOOP
        IF consent.append(gen_random_uuid(), actor.resident_id, activity, 'withdrawn', NULL, NULL,
            actor.account_id, NULL, actor.client_id, 'self', actor.method, withdraw_all.language, NULL) = 'recorded' THEN
            stopped := stopped + 1;
        END IF;
    END LOOP;
    RETURN stopped;
END
$$;
ALTER FUNCTION consent.withdraw_all(bytea, text, text) OWNER TO stoa_door;

-- The resident's own consents and the events behind them. In PL/pgSQL, which keeps its plans: a definer function in SQL is planned anew at
-- every call, and planning was half the cost of a dashboard.
CREATE FUNCTION consent.states_of(credential bytea)
    RETURNS TABLE (activity_id uuid, state text, policy_version integer, attributes text[], since timestamptz, valid_until timestamptz,
                   ended_with_birthday boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT s.activity_id, held.state, s.policy_version,
            consent.shown_attributes(s, held.state),
            CASE held.state WHEN 'expired' THEN s.valid_until ELSE s.since END, s.valid_until,
            held.state = 'expired' AND EXISTS (
                SELECT FROM register.minor AS m WHERE m.resident_id = s.resident_id AND s.valid_until IN (m.asked_from, m.alone_from))
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id JOIN consent.state AS s ON s.resident_id = a.resident_id
        CROSS JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state) AS held
        WHERE c.hash = states_of.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope));
END
$$;
ALTER FUNCTION consent.states_of(bytea) OWNER TO stoa_door;

CREATE FUNCTION consent.history_of(credential bytea, activity uuid)
    RETURNS TABLE (event_id uuid, kind text, policy_version integer, attributes text[], at timestamptz, capacity text, method text, form_reference text, language text,
                   valid_until timestamptz, account_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.kind, e.policy_version, e.attributes, e.at, e.capacity, e.method, e.form_reference, e.language, e.valid_until,
            CASE e.capacity WHEN 'guardian' THEN e.account_id END
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id JOIN consent.event AS e ON e.resident_id = a.resident_id
        WHERE c.hash = history_of.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope))
          AND e.activity_id = history_of.activity
        ORDER BY e.sequence DESC;
END
$$;
ALTER FUNCTION consent.history_of(bytea, uuid) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION consent.decide(bytea, uuid, uuid, text, text[], integer, text), consent.withdraw_all(bytea, text, text), consent.states_of(bytea),
    consent.history_of(bytea, uuid), consent.record_expiries(integer) TO stoa_app;
ALTER FUNCTION consent.canonical(consent.event) OWNER TO stoa_door;
ALTER FUNCTION consent.hash_of(consent.event) OWNER TO stoa_door;
ALTER FUNCTION consent.state_at(text, timestamptz, timestamptz) OWNER TO stoa_door;
ALTER FUNCTION consent.shown_attributes(consent.state, text) OWNER TO stoa_door;
ALTER FUNCTION consent.request_lifetime() OWNER TO stoa_door;
ALTER FUNCTION consent.quiet_period() OWNER TO stoa_door;
ALTER FUNCTION consent.deferral() OWNER TO stoa_door;
REVOKE CREATE ON SCHEMA consent, exchange FROM stoa_door;
