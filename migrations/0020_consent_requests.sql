-- Organisations ask, residents answer, and receipts of what came of it. A request is a consent event (`requested`, whose id is the request's), so it stands in the
-- resident's history and in the chain; which answer it got is the newest event that names it. It reads nothing of the resident.
GRANT CREATE ON SCHEMA consent TO stoa_door;

-- What the organisation writes to the resident, in the language that it says.
CREATE TABLE consent.request_message (
    request_id uuid PRIMARY KEY REFERENCES consent.event,
    text text NOT NULL CHECK (length(text) BETWEEN 1 AND 300),
    language text NOT NULL CHECK (language IN ('en', 'fr', 'ar'))
);
CREATE TRIGGER request_message_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON consent.request_message
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
GRANT SELECT, INSERT ON consent.request_message TO stoa_door;

-- What became of a request: the newest event that names it. An agreement that ended later was still given.
CREATE FUNCTION consent.outcome_of(request uuid) RETURNS TABLE (state text, attributes text[], at timestamptz)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        -- That some of a family agreed and others did not yet is nobody else's business.
        SELECT CASE WHEN e.kind IN ('requested', 'deferred', 'agreed')
                THEN replace(consent.state_at(e.kind, e.valid_until, public.stoa_now()), 'agreed', 'requested') ELSE e.kind END,
            e.attributes, e.at
        FROM consent.event AS e WHERE e.request_id = outcome_of.request ORDER BY e.sequence DESC LIMIT 1;
    END;
ALTER FUNCTION consent.outcome_of(uuid) OWNER TO stoa_door;

-- Which client of an organisation asks: with a live token that may read, because asking is for what may then be read.
CREATE FUNCTION consent.asker(credential bytea) RETURNS TABLE (client_id text, organisation_id text, may_ask boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT c.client_id, c.organisation_id, c.organisation_id IS NOT NULL AND 'exchange.read' = ANY (c.scope)
        FROM web.credential AS c WHERE c.hash = asker.credential AND c.kind = 'access_token' AND web.is_live(c);
    END;
ALTER FUNCTION consent.asker(bytea) OWNER TO stoa_door;

-- An organisation asks a resident whom it knows by pseudonym. Request, message and answer to the Idempotency-Key are one transaction. A
-- refusal makes nothing, and leaves the key free. Outcomes: those of consent.append for `requested`, and credential_invalid, scope_missing,
-- purpose_unknown, subject_unknown (also another organisation's), key_reused.
CREATE FUNCTION consent.ask(
    credential bytea, request_id uuid, subject uuid, purpose text, attributes text[], message text, message_language text, idempotency_key text,
    request_hash bytea, OUT outcome text, OUT request uuid, OUT offered text[], OUT not_before timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key_route CONSTANT text := 'POST /api/v1/exchange/consent-requests';
    asker record;
    activity record;
    resident uuid;
    earlier record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(ask.credential) AS a;
    IF NOT FOUND THEN outcome := 'credential_invalid'; RETURN; END IF;
    IF NOT asker.may_ask THEN outcome := 'scope_missing'; RETURN; END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended(asker.client_id || ' ' || key_route || ' ' || idempotency_key, 0));
    SELECT k.body_hash, k.resource_id INTO earlier
        FROM web.idempotency_key AS k WHERE k.actor = asker.client_id AND k.route = key_route AND k.key = idempotency_key;
    IF FOUND THEN
        outcome := CASE WHEN earlier.body_hash = request_hash THEN 'recorded' ELSE 'key_reused' END;
        request := CASE WHEN outcome = 'recorded' THEN earlier.resource_id END;
        RETURN;
    END IF;

    SELECT a.id, p.attributes INTO activity
        FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE a.organisation_id = asker.organisation_id AND a.purpose = ask.purpose;
    IF NOT FOUND THEN outcome := 'purpose_unknown'; RETURN; END IF;
    offered := activity.attributes;
    -- A record that the counter has replaced is nobody's any more.
    SELECT p.resident_id INTO resident FROM exchange.pseudonym AS p JOIN register.resident AS r ON r.id = p.resident_id
        WHERE p.organisation_id = asker.organisation_id AND p.pseudonym = ask.subject AND r.superseded_by IS NULL;
    IF NOT FOUND THEN outcome := 'subject_unknown'; RETURN; END IF;

    outcome := consent.append(ask.request_id, resident, activity.id, 'requested', ask.attributes, NULL, NULL, NULL, asker.client_id,
        'organisation', 'exchange', coalesce(ask.message_language, 'en'), NULL);
    IF outcome = 'refused_recently' THEN
        not_before := (SELECT s.since + consent.quiet_period() FROM consent.state AS s WHERE s.resident_id = resident AND s.activity_id = activity.id);
    END IF;
    IF outcome <> 'recorded' THEN RETURN; END IF;
    request := ask.request_id;
    IF ask.message IS NOT NULL THEN
        INSERT INTO consent.request_message (request_id, text, language) VALUES (ask.request_id, ask.message, ask.message_language);
    END IF;
    INSERT INTO web.idempotency_key (actor, route, key, body_hash, status, resource_id)
        VALUES (asker.client_id, key_route, idempotency_key, request_hash, 201, ask.request_id);
END
$$;
ALTER FUNCTION consent.ask(bytea, uuid, uuid, text, text[], text, text, text, bytea) OWNER TO stoa_door;

-- One request of the organisation whose client asks. That the resident put it off is nobody else's business.
CREATE FUNCTION consent.request_of_organisation(credential bytea, request uuid)
    RETURNS TABLE (may_ask boolean, id uuid, subject uuid, purpose text, attributes text[], state text, granted_attributes text[], requested_at timestamptz,
                   expires_at timestamptz, answered_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT c.may_ask, e.id, p.pseudonym, e.purpose, e.attributes, CASE o.state WHEN 'deferred' THEN 'requested' ELSE o.state END,
            CASE o.state WHEN 'given' THEN o.attributes ELSE '{}' END, e.at, e.valid_until,
            CASE WHEN o.state IN ('requested', 'deferred') THEN NULL WHEN o.state = 'expired' THEN e.valid_until ELSE o.at END
        FROM consent.asker(request_of_organisation.credential) AS c
        LEFT JOIN LATERAL (SELECT x.id, x.resident_id, a.purpose, x.attributes, x.at, x.valid_until
            FROM consent.event AS x JOIN consent.processing_activity AS a ON a.id = x.activity_id
            WHERE x.id = request_of_organisation.request AND x.kind = 'requested' AND a.organisation_id = c.organisation_id AND c.may_ask) AS e ON true
        LEFT JOIN exchange.pseudonym AS p ON p.organisation_id = c.organisation_id AND p.resident_id = e.resident_id
        LEFT JOIN LATERAL consent.outcome_of(e.id) AS o ON true;
END
$$;
ALTER FUNCTION consent.request_of_organisation(bytea, uuid) OWNER TO stoa_door;

-- Takes the lock of consent.append, and says whether this very request waits for its answer.
CREATE FUNCTION consent.lock_open_request(request uuid) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(e.resident_id::text || e.activity_id::text, 0)) FROM consent.event AS e
        WHERE e.id = lock_open_request.request;
    RETURN EXISTS (SELECT FROM consent.state AS s JOIN consent.event AS e ON e.resident_id = s.resident_id AND e.activity_id = s.activity_id
        WHERE e.id = lock_open_request.request AND s.request_id = e.id
          AND consent.state_at(s.state, s.valid_until, public.stoa_now()) IN ('requested', 'deferred', 'agreed'));
END
$$;
ALTER FUNCTION consent.lock_open_request(uuid) OWNER TO stoa_door;

-- An organisation takes its request back. Outcomes: recorded, unchanged, no_request (answered or over), request_unknown, credential_invalid,
-- scope_missing.
CREATE FUNCTION consent.retract(credential bytea, event_id uuid, request uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asker record;
    asked record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(retract.credential) AS a;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT asker.may_ask THEN RETURN 'scope_missing'; END IF;
    SELECT e.resident_id, e.activity_id, e.language INTO asked
        FROM consent.event AS e JOIN consent.processing_activity AS a ON a.id = e.activity_id
        WHERE e.id = retract.request AND e.kind = 'requested' AND a.organisation_id = asker.organisation_id;
    IF NOT FOUND THEN RETURN 'request_unknown'; END IF;
    IF NOT consent.lock_open_request(retract.request) THEN
        RETURN (SELECT CASE o.state WHEN 'withdrawn' THEN 'unchanged' ELSE 'no_request' END FROM consent.outcome_of(retract.request) AS o);
    END IF;
    RETURN consent.append(retract.event_id, asked.resident_id, asked.activity_id, 'withdrawn', NULL, NULL, NULL, NULL, asker.client_id,
        'organisation', 'exchange', asked.language, NULL);
END
$$;
ALTER FUNCTION consent.retract(bytea, uuid, uuid) OWNER TO stoa_door;

-- The resident's requests: those that wait and of which today's text still offers something, or the one that is named, whatever became of it.
CREATE FUNCTION consent.requests_of(credential bytea, request uuid)
    RETURNS TABLE (id uuid, activity_id uuid, attributes text[], requested_at timestamptz, expires_at timestamptz, state text, granted_attributes text[],
                   state_at timestamptz, message text, message_language text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.activity_id, e.attributes, e.at, e.valid_until, o.state, CASE o.state WHEN 'given' THEN o.attributes ELSE '{}' END,
            CASE o.state WHEN 'expired' THEN e.valid_until ELSE o.at END, m.text, m.language
        FROM consent.decider(requests_of.credential) AS d
        JOIN consent.event AS e ON e.resident_id = d.resident_id AND e.kind = 'requested'
        CROSS JOIN LATERAL consent.outcome_of(e.id) AS o
        LEFT JOIN consent.request_message AS m ON m.request_id = e.id
        WHERE CASE WHEN requests_of.request IS NOT NULL THEN e.id = requests_of.request
            ELSE e.id IN (SELECT s.request_id FROM consent.state AS s WHERE s.resident_id = d.resident_id)
                AND o.state IN ('requested', 'deferred')
                AND EXISTS (SELECT FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
                    WHERE a.id = e.activity_id AND p.attributes && e.attributes) END;
END
$$;
ALTER FUNCTION consent.requests_of(bytea, uuid) OWNER TO stoa_door;

-- A resident answers: given (null attributes: all that was asked for and is still offered), refused or deferred. Outcomes: those of
-- consent.append, request_unknown, no_request (answered otherwise, taken back or over), kind_unknown, credential_invalid.
CREATE FUNCTION consent.answer(
    credential bytea, event_id uuid, request uuid, kind text, attributes text[], policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
    asked record;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(answer.credential) AS d;
    IF actor IS NULL THEN RETURN 'credential_invalid'; END IF;
    IF answer.kind NOT IN ('given', 'refused', 'deferred') THEN RETURN 'kind_unknown'; END IF;
    SELECT e.activity_id, ARRAY(SELECT x.id FROM unnest(e.attributes) AS x (id) WHERE x.id = ANY (p.attributes)) AS attributes INTO asked
        FROM consent.event AS e
        JOIN consent.processing_activity AS a ON a.id = e.activity_id
        JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE e.id = answer.request AND e.kind = 'requested' AND e.resident_id = actor.resident_id;
    IF NOT FOUND THEN RETURN 'request_unknown'; END IF;
    IF NOT consent.lock_open_request(answer.request) THEN
        -- The form sent twice.
        RETURN (SELECT CASE WHEN o.state = answer.kind THEN 'unchanged' ELSE 'no_request' END FROM consent.outcome_of(answer.request) AS o);
    END IF;
    -- Who agrees agrees to a text; saying no or later needs none. Before the attributes, because an old text explains wrong ones.
    IF answer.kind = 'given' AND answer.policy_version <> (SELECT a.policy_version FROM consent.processing_activity AS a WHERE a.id = asked.activity_id) THEN
        RETURN 'policy_changed';
    END IF;
    IF NOT coalesce(answer.attributes <@ asked.attributes, true) THEN RETURN 'attributes_unknown'; END IF;
    RETURN consent.append(answer.event_id, actor.resident_id, asked.activity_id, answer.kind,
        CASE answer.kind WHEN 'given' THEN coalesce(answer.attributes, asked.attributes) END, CASE answer.kind WHEN 'given' THEN answer.policy_version END,
        actor.account_id, NULL, actor.client_id, 'self', actor.method, answer.language, NULL);
END
$$;
ALTER FUNCTION consent.answer(bytea, uuid, uuid, text, text[], integer, text) OWNER TO stoa_door;

-- A resident refuses everything that waits, in one transaction. Returns how many requests that were; null when the credential does not stand.
CREATE FUNCTION consent.refuse_all(credential bytea, language text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
    activity uuid;
    refused integer := 0;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(refuse_all.credential) AS d;
    IF actor IS NULL THEN RETURN NULL; END IF;
    -- In the same order in every tab, because each waits for the lock of consent.append.
    FOR activity IN
        SELECT s.activity_id FROM consent.state AS s WHERE s.resident_id = actor.resident_id AND s.request_id IS NOT NULL ORDER BY s.activity_id
    LOOP
        IF consent.append(gen_random_uuid(), actor.resident_id, activity, 'refused', NULL, NULL, actor.account_id, NULL, actor.client_id, 'self',
            actor.method, refuse_all.language, NULL) = 'recorded' THEN
            refused := refused + 1;
        END IF;
    END LOOP;
    RETURN refused;
END
$$;
ALTER FUNCTION consent.refuse_all(bytea, text) OWNER TO stoa_door;

-- What a receipt of one sharing says: how it stands now, by which event, in which text, and where the chain of its events ends. No row
-- before the first event.
CREATE FUNCTION consent.receipt_of(credential bytea, activity uuid)
    RETURNS TABLE (event_id uuid, sequence integer, hash bytea, state text, policy_version integer, attributes text[], since timestamptz,
                   valid_until timestamptz, capacity text, method text, language text, subject uuid, issued_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.sequence, e.hash, held.state, e.policy_version,
            consent.shown_attributes(s, held.state),
            CASE held.state WHEN 'expired' THEN s.valid_until ELSE s.since END, s.valid_until, e.capacity, e.method, e.language, p.pseudonym,
            public.stoa_now()
        FROM consent.decider(receipt_of.credential) AS d
        JOIN consent.state AS s ON s.resident_id = d.resident_id AND s.activity_id = receipt_of.activity
        JOIN consent.event AS e ON e.id = s.event_id
        JOIN consent.processing_activity AS a ON a.id = s.activity_id
        LEFT JOIN exchange.pseudonym AS p ON p.organisation_id = a.organisation_id AND p.resident_id = s.resident_id
        CROSS JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state) AS held;
END
$$;
ALTER FUNCTION consent.receipt_of(bytea, uuid) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION consent.receipt_of(bytea, uuid), consent.ask(bytea, uuid, uuid, text, text[], text, text, text, bytea), consent.request_of_organisation(bytea, uuid),
    consent.retract(bytea, uuid, uuid), consent.requests_of(bytea, uuid), consent.answer(bytea, uuid, uuid, text, text[], integer, text),
    consent.refuse_all(bytea, text) TO stoa_app;
REVOKE CREATE ON SCHEMA consent FROM stoa_door;
