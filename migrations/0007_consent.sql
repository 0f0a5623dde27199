-- Consent: append-only events, the current state they add up to, and the pseudonyms under which organisations know residents.

CREATE TABLE consent.event (
    id uuid PRIMARY KEY,
    resident_id uuid NOT NULL REFERENCES register.resident,
    activity_id uuid NOT NULL,
    policy_version integer NOT NULL,
    -- Position among the events of this resident and activity, from 1.
    sequence integer NOT NULL CHECK (sequence >= 1),
    kind text NOT NULL CHECK (kind IN ('given', 'withdrawn', 'invalidated')),
    attributes text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- Who acted, and in which capacity: the resident, or a staff member who keyed what the resident signed.
    account_id uuid REFERENCES identity.account,
    staff_id uuid REFERENCES identity.staff,
    client_id text REFERENCES openid.client,
    capacity text NOT NULL CHECK (capacity IN ('self', 'paper', 'system')),
    method text NOT NULL CHECK (method IN ('page', 'app', 'paper_form', 'identity_linked')),
    language text NOT NULL CHECK (language IN ('en', 'fr', 'ar')),
    form_reference text CHECK (length(form_reference) BETWEEN 1 AND 64),
    FOREIGN KEY (activity_id, policy_version) REFERENCES consent.policy (activity_id, version),
    UNIQUE (resident_id, activity_id, sequence),
    CHECK ((kind = 'given') = (cardinality(attributes) > 0)),
    CHECK ((capacity = 'self') = (account_id IS NOT NULL AND staff_id IS NULL)),
    CHECK ((capacity = 'paper') = (staff_id IS NOT NULL AND form_reference IS NOT NULL))
);
CREATE TRIGGER event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON consent.event
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
-- A printed form counts once for each thing it says.
CREATE UNIQUE INDEX event_form ON consent.event (form_reference, activity_id) WHERE form_reference IS NOT NULL;

-- The state that the newest event leaves, kept by the transaction that inserts the event: a decision is one index probe.
CREATE TABLE consent.state (
    resident_id uuid NOT NULL REFERENCES register.resident,
    activity_id uuid NOT NULL REFERENCES consent.processing_activity,
    state text NOT NULL CHECK (state IN ('given', 'withdrawn', 'invalidated')),
    policy_version integer NOT NULL,
    attributes text[] NOT NULL,
    event_id uuid NOT NULL REFERENCES consent.event,
    sequence integer NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (resident_id, activity_id)
);

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
-- resident and activity, so that two tabs cannot both be first. Outcomes: recorded, unchanged, policy_changed, attributes_unknown,
-- not_consent (the law decides there, not a switch), activity_unknown.
CREATE FUNCTION consent.append(
    event_id uuid, resident uuid, activity uuid, kind text, attributes text[], policy_version integer,
    account uuid, staff uuid, client text, capacity text, method text, language text, form_reference text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    policy record;
    held record;
    granted text[];
BEGIN
    SELECT p.version, p.attributes, a.legal_basis INTO policy
        FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE a.id = append.activity;
    IF policy IS NULL THEN RETURN 'activity_unknown'; END IF;
    IF policy.legal_basis <> 'consent' THEN RETURN 'not_consent'; END IF;
    IF append.policy_version IS NOT NULL AND append.policy_version <> policy.version THEN RETURN 'policy_changed'; END IF;

    IF append.kind = 'given' THEN
        -- In the policy's own order, each once, so that the same choice is the same array.
        SELECT coalesce(array_agg(o.id ORDER BY o.position), '{}') INTO granted
            FROM unnest(policy.attributes) WITH ORDINALITY AS o (id, position)
            WHERE append.attributes IS NULL OR o.id = ANY (append.attributes);
        IF cardinality(granted) = 0 OR NOT coalesce(append.attributes <@ policy.attributes, true) THEN RETURN 'attributes_unknown'; END IF;
    ELSE
        granted := '{}';
    END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended(append.resident::text || append.activity::text, 0));
    SELECT s.state, s.attributes, s.policy_version, s.sequence INTO held
        FROM consent.state AS s WHERE s.resident_id = append.resident AND s.activity_id = append.activity;
    IF (held IS NULL AND append.kind <> 'given')
        OR (held.state = append.kind AND held.attributes = granted AND held.policy_version = policy.version)
        OR (append.kind <> 'given' AND held.state <> 'given') THEN
        RETURN 'unchanged';
    END IF;

    INSERT INTO consent.event (id, resident_id, activity_id, policy_version, sequence, kind, attributes,
                               account_id, staff_id, client_id, capacity, method, language, form_reference)
        VALUES (append.event_id, append.resident, append.activity, policy.version, coalesce(held.sequence, 0) + 1, append.kind, granted,
                append.account, append.staff, append.client, append.capacity, append.method, append.language, append.form_reference);
    INSERT INTO consent.state (resident_id, activity_id, state, policy_version, attributes, event_id, sequence, since)
        SELECT e.resident_id, e.activity_id, e.kind, e.policy_version, e.attributes, e.id, e.sequence, e.at
        FROM consent.event AS e WHERE e.id = append.event_id
        ON CONFLICT (resident_id, activity_id) DO UPDATE SET state = excluded.state, policy_version = excluded.policy_version,
            attributes = excluded.attributes, event_id = excluded.event_id, sequence = excluded.sequence, since = excluded.since;
    IF append.kind = 'given' THEN
        INSERT INTO exchange.pseudonym (organisation_id, resident_id)
            SELECT a.organisation_id, append.resident FROM consent.processing_activity AS a WHERE a.id = append.activity
            ON CONFLICT (resident_id, organisation_id) DO NOTHING;
    END IF;
    RETURN 'recorded';
END
$$;
ALTER FUNCTION consent.append(uuid, uuid, uuid, text, text[], integer, uuid, uuid, text, text, text, text, text) OWNER TO stoa_door;

-- Who decides: the resident of a live session, or of an app's token with scope consents. No row for anybody else.
CREATE FUNCTION consent.decider(credential bytea) RETURNS TABLE (account_id uuid, resident_id uuid, client_id text, method text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT a.id, a.resident_id, c.client_id, CASE c.kind WHEN 'session' THEN 'page' ELSE 'app' END
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id
        WHERE c.hash = decider.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope));
    END;
ALTER FUNCTION consent.decider(bytea) OWNER TO stoa_door;

-- A resident switches one sharing on or off.
CREATE FUNCTION consent.decide(
    credential bytea, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(decide.credential) AS d;
    IF actor IS NULL THEN RETURN 'credential_invalid'; END IF;
    IF decide.kind NOT IN ('given', 'withdrawn') THEN RETURN 'kind_unknown'; END IF;
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
        WHERE s.resident_id = actor.resident_id AND a.organisation_id = withdraw_all.organisation AND s.state = 'given' ORDER BY s.activity_id
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
    RETURNS TABLE (activity_id uuid, state text, policy_version integer, attributes text[], since timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT s.activity_id, s.state, s.policy_version, s.attributes, s.since
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id JOIN consent.state AS s ON s.resident_id = a.resident_id
        WHERE c.hash = states_of.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope));
END
$$;
ALTER FUNCTION consent.states_of(bytea) OWNER TO stoa_door;

CREATE FUNCTION consent.history_of(credential bytea, activity uuid)
    RETURNS TABLE (event_id uuid, kind text, policy_version integer, attributes text[], at timestamptz, capacity text, method text, form_reference text, language text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.kind, e.policy_version, e.attributes, e.at, e.capacity, e.method, e.form_reference, e.language
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id JOIN consent.event AS e ON e.resident_id = a.resident_id
        WHERE c.hash = history_of.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope))
          AND e.activity_id = history_of.activity
        ORDER BY e.sequence DESC;
END
$$;
ALTER FUNCTION consent.history_of(bytea, uuid) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION consent.decide(bytea, uuid, uuid, text, text[], integer, text), consent.withdraw_all(bytea, text, text), consent.states_of(bytea),
    consent.history_of(bytea, uuid) TO stoa_app;
REVOKE CREATE ON SCHEMA consent, exchange FROM stoa_door;
