-- What follows when a consent ends: the organisation that could read is told, says what it did with the data, and resident and auditor see
-- whether it did. The notice is written by the transaction that ends the consent.
GRANT CREATE ON SCHEMA consent, exchange TO stoa_door;
GRANT USAGE ON SCHEMA exchange TO stoa_auditor;

-- Within which an organisation must have acted on a notice: the month that GDPR Art. 12(3) gives it for whatever a person asks.
CREATE FUNCTION exchange.notice_period() RETURNS interval LANGUAGE sql IMMUTABLE RETURN 30 * interval '24 hours';
ALTER FUNCTION exchange.notice_period() OWNER TO stoa_door;

CREATE TABLE exchange.notice (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- The event that ended the consent, or part of it.
    event_id uuid NOT NULL UNIQUE REFERENCES consent.event,
    organisation_id text NOT NULL REFERENCES consent.organisation,
    -- The resident's pseudonym. It may go with an erasure; what was said under it stays.
    subject uuid NOT NULL,
    -- narrowed: the resident goes on sharing, but not these.
    reason text NOT NULL CHECK (reason IN ('withdrawn', 'invalidated', 'expired', 'narrowed')),
    -- What may not be read any more.
    attributes text[] NOT NULL CHECK (cardinality(attributes) > 0),
    -- From which instant on.
    since timestamptz NOT NULL,
    made_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    due_at timestamptz NOT NULL DEFAULT public.stoa_now() + exchange.notice_period(),
    CHECK (due_at > made_at)
);
CREATE INDEX notice_due ON exchange.notice (organisation_id, due_at);
CREATE TRIGGER notice_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange.notice
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Notices that wait for their number.
CREATE TABLE exchange.notice_queue (
    notice_id uuid PRIMARY KEY REFERENCES exchange.notice,
    organisation_id text NOT NULL
);
CREATE INDEX notice_queue_organisation ON exchange.notice_queue (organisation_id);

-- The order in which an organisation reads its notices, without holes.
CREATE TABLE exchange.notice_number (
    organisation_id text NOT NULL,
    number bigint NOT NULL CHECK (number >= 1),
    notice_id uuid NOT NULL UNIQUE REFERENCES exchange.notice,
    PRIMARY KEY (organisation_id, number)
);
CREATE TRIGGER notice_number_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange.notice_number
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- What the organisation says it did: once.
CREATE TABLE exchange.acknowledgement (
    notice_id uuid PRIMARY KEY REFERENCES exchange.notice,
    done text NOT NULL CHECK (done IN ('deleted', 'kept')),
    -- Which law lets it keep the data.
    law text CHECK (length(law) BETWEEN 3 AND 200),
    client_id text NOT NULL REFERENCES openid.client,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CHECK ((done = 'kept') = (law IS NOT NULL))
);
CREATE TRIGGER acknowledgement_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange.acknowledgement
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Where an organisation wants its notices posted. Reading them works without.
CREATE TABLE exchange.webhook (
    organisation_id text PRIMARY KEY REFERENCES consent.organisation,
    -- Plain http for receivers on this very machine alone; whether those are posted to is for the server to say.
    url text NOT NULL CHECK (length(url) <= 500
        AND url ~ '^(https://([a-z0-9.-]+|\[[0-9a-f:]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?/[!-~]*$' AND url !~ '[\\#"<>]'),
    set_at timestamptz NOT NULL DEFAULT public.stoa_now()
);

-- How often a notice is posted: for three days, after which a receiver is rather gone than away. Its organisation still reads it.
CREATE FUNCTION exchange.attempts_max() RETURNS smallint LANGUAGE sql IMMUTABLE RETURN 16::smallint;
-- How long after an attempt the next one follows: 1, 4, 16, 64 and 256 minutes, then every six hours. Longer than any post takes.
CREATE FUNCTION exchange.retry_delay(attempt integer) RETURNS interval
    LANGUAGE sql IMMUTABLE RETURN LEAST(interval '6 hours', power(4, LEAST(attempt, 10) - 1) * interval '1 minute');
ALTER FUNCTION exchange.attempts_max() OWNER TO stoa_door;
ALTER FUNCTION exchange.retry_delay(integer) OWNER TO stoa_door;

-- A notice on its way to a webhook.
CREATE TABLE exchange.delivery (
    notice_id uuid PRIMARY KEY REFERENCES exchange.notice,
    organisation_id text NOT NULL REFERENCES consent.organisation,
    attempts smallint NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 16),
    -- When the next attempt is due; null: delivered, or given up.
    next_at timestamptz,
    delivered_at timestamptz,
    -- What came of the newest attempt that is over: "status 503", or a word.
    outcome text CHECK (length(outcome) BETWEEN 1 AND 40),
    CHECK (delivered_at IS NULL OR next_at IS NULL)
);
CREATE INDEX delivery_due ON exchange.delivery (organisation_id, next_at) WHERE next_at IS NOT NULL;

GRANT SELECT, INSERT ON exchange.notice, exchange.notice_number, exchange.acknowledgement TO stoa_door;
GRANT SELECT, INSERT, DELETE ON exchange.notice_queue TO stoa_door;
GRANT SELECT ON exchange.webhook TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON exchange.delivery TO stoa_door;

-- Tells the organisation, for every writer of events. What ended is what the event before agreed to and this one does not. It takes no lock
-- that events of other residents need: numbers are given afterwards.
CREATE FUNCTION exchange.notify_recipient() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended text[];
BEGIN
    SELECT ARRAY(SELECT x.id FROM unnest(e.attributes) WITH ORDINALITY AS x (id, position)
                 WHERE NEW.kind NOT IN ('given', 'renewed') OR x.id <> ALL (NEW.attributes) ORDER BY x.position)
        INTO ended FROM consent.event AS e
        WHERE e.resident_id = NEW.resident_id AND e.activity_id = NEW.activity_id AND e.sequence = NEW.sequence - 1 AND e.kind IN ('given', 'renewed');
    IF coalesce(cardinality(ended), 0) > 0 THEN
        -- Whose record was erased has no pseudonym any more: there is nobody to name.
        WITH made AS (
            INSERT INTO exchange.notice (event_id, organisation_id, subject, reason, attributes, since)
            SELECT NEW.id, p.organisation_id, p.pseudonym, CASE WHEN NEW.kind IN ('given', 'renewed') THEN 'narrowed' ELSE NEW.kind END, ended,
                CASE NEW.kind WHEN 'expired' THEN NEW.valid_until ELSE NEW.at END
            FROM consent.processing_activity AS a
            JOIN exchange.pseudonym AS p ON p.organisation_id = a.organisation_id AND p.resident_id = NEW.resident_id
            WHERE a.id = NEW.activity_id
            RETURNING id, organisation_id)
        INSERT INTO exchange.notice_queue (notice_id, organisation_id) SELECT m.id, m.organisation_id FROM made AS m;
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION exchange.notify_recipient() OWNER TO stoa_door;
CREATE TRIGGER event_notifies_recipient AFTER INSERT ON consent.event FOR EACH ROW EXECUTE FUNCTION exchange.notify_recipient();

-- Numbers in one go: a reading of an organisation that was away for long stays a matter of milliseconds, and ends up ahead of its reader.
CREATE FUNCTION exchange.numbers_per_call() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 1000;
ALTER FUNCTION exchange.numbers_per_call() OWNER TO stoa_door;

-- Gives waiting notices of an organisation their numbers, one caller at a time and only to what is committed: so a transaction that commits
-- late is numbered late, and who reads on from a number misses nothing.
CREATE FUNCTION exchange.number_notices(organisation text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM exchange.notice_queue AS q WHERE q.organisation_id = organisation) THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('notices/' || organisation, 0));
    WITH taken AS (
        DELETE FROM exchange.notice_queue AS q WHERE q.notice_id = ANY (ARRAY(
            SELECT o.notice_id FROM exchange.notice_queue AS o WHERE o.organisation_id = organisation LIMIT exchange.numbers_per_call()))
        RETURNING q.notice_id
    ), posted AS (
        INSERT INTO exchange.delivery (notice_id, organisation_id, next_at)
        SELECT t.notice_id, organisation, public.stoa_now() FROM taken AS t JOIN exchange.webhook AS w ON w.organisation_id = organisation
    )
    INSERT INTO exchange.notice_number (organisation_id, number, notice_id)
        SELECT organisation, last.number + row_number() OVER (ORDER BY n.made_at, n.id), n.id
        FROM taken AS t JOIN exchange.notice AS n ON n.id = t.notice_id
        CROSS JOIN (SELECT coalesce(max(x.number), 0) AS number FROM exchange.notice_number AS x WHERE x.organisation_id = organisation) AS last;
END
$$;
ALTER FUNCTION exchange.number_notices(text) OWNER TO stoa_door;

-- A notice and how it stands. Where the resident shares the same again, nothing is to be done about it any more.
CREATE VIEW exchange.standing AS
    SELECT n.id, n.event_id, e.resident_id, e.activity_id, n.organisation_id, n.subject, a.purpose, n.reason, n.attributes, n.since, n.made_at, n.due_at,
        k.done, k.law, k.at AS acknowledged_at,
        CASE WHEN k.notice_id IS NOT NULL THEN 'acknowledged' WHEN held.permits THEN 'allowed_again'
            WHEN n.due_at <= public.stoa_now() THEN 'overdue' ELSE 'open' END AS state
    FROM exchange.notice AS n
    JOIN consent.event AS e ON e.id = n.event_id
    JOIN consent.processing_activity AS a ON a.id = e.activity_id
    JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
    LEFT JOIN exchange.acknowledgement AS k ON k.notice_id = n.id
    LEFT JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) IN ('given', 'renewed')
            AND n.attributes <@ s.attributes AND n.attributes <@ p.attributes AS permits
        FROM consent.state AS s WHERE s.resident_id = e.resident_id AND s.activity_id = e.activity_id) AS held ON true;
ALTER VIEW exchange.standing OWNER TO stoa_door;

-- Notices of the organisation whose client asks (as for consent.ask): those behind a number, oldest first, or the one that is named. One row
-- without a notice where there is none; no row when the credential does not stand.
CREATE FUNCTION exchange.notices_of(credential bytea, after_number bigint, notice uuid, notices_max integer)
    RETURNS TABLE (may_read boolean, number bigint, id uuid, organisation_id text, subject uuid, purpose text, reason text, attributes text[],
                   since timestamptz, made_at timestamptz, due_at timestamptz, state text, done text, law text, acknowledged_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asker record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(notices_of.credential) AS a;
    IF NOT FOUND THEN RETURN; END IF;
    IF asker.may_ask THEN PERFORM exchange.number_notices(asker.organisation_id); END IF;
    RETURN QUERY
        SELECT asker.may_ask, x.number, s.id, s.organisation_id, s.subject, s.purpose, s.reason, s.attributes, s.since, s.made_at, s.due_at, s.state,
            s.done, s.law, s.acknowledged_at
        FROM (SELECT 1) AS answer
        LEFT JOIN LATERAL (
            SELECT n.number, n.notice_id FROM exchange.notice_number AS n
            WHERE asker.may_ask AND n.organisation_id = asker.organisation_id AND n.number > notices_of.after_number
              AND (notices_of.notice IS NULL OR n.notice_id = notices_of.notice)
            ORDER BY n.number LIMIT notices_of.notices_max) AS x ON true
        LEFT JOIN exchange.standing AS s ON s.id = x.notice_id
        ORDER BY x.number;
END
$$;
ALTER FUNCTION exchange.notices_of(bytea, bigint, uuid, integer) OWNER TO stoa_door;

-- An organisation says what it did. Outcomes: recorded, unchanged (the same again), stands (it said something else before), notice_unknown
-- (also another organisation's), scope_missing, credential_invalid.
CREATE FUNCTION exchange.acknowledge(credential bytea, notice uuid, done text, law text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asker record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(acknowledge.credential) AS a;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT asker.may_ask THEN RETURN 'scope_missing'; END IF;
    IF NOT EXISTS (SELECT FROM exchange.notice AS n WHERE n.id = acknowledge.notice AND n.organisation_id = asker.organisation_id) THEN
        RETURN 'notice_unknown';
    END IF;
    INSERT INTO exchange.acknowledgement (notice_id, done, law, client_id)
        VALUES (acknowledge.notice, acknowledge.done, acknowledge.law, asker.client_id)
        ON CONFLICT (notice_id) DO NOTHING;
    IF FOUND THEN RETURN 'recorded'; END IF;
    RETURN (SELECT CASE WHEN k.done = acknowledge.done AND k.law IS NOT DISTINCT FROM acknowledge.law THEN 'unchanged' ELSE 'stands' END
        FROM exchange.acknowledgement AS k WHERE k.notice_id = acknowledge.notice);
END
$$;
ALTER FUNCTION exchange.acknowledge(bytea, uuid, text, text) OWNER TO stoa_door;

-- What the resident of the credential sees of it, beside the events of one sharing.
CREATE FUNCTION consent.notices_about(credential bytea, activity uuid)
    RETURNS TABLE (event_id uuid, made_at timestamptz, due_at timestamptz, state text, done text, law text, acknowledged_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT s.event_id, s.made_at, s.due_at, s.state, s.done, s.law, s.acknowledged_at
        FROM consent.decider(notices_about.credential) AS d
        JOIN exchange.standing AS s ON s.resident_id = d.resident_id AND s.activity_id = notices_about.activity;
END
$$;
ALTER FUNCTION consent.notices_about(bytea, uuid) OWNER TO stoa_door;

-- Sets where an organisation's notices are posted from now on; null: nowhere. For the owner only.
CREATE FUNCTION exchange.set_webhook(organisation text, url text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF set_webhook.url IS NOT NULL THEN
        INSERT INTO exchange.webhook AS w (organisation_id, url) VALUES (set_webhook.organisation, set_webhook.url)
            ON CONFLICT (organisation_id) DO UPDATE SET url = excluded.url, set_at = excluded.set_at;
    ELSE
        DELETE FROM exchange.webhook AS w WHERE w.organisation_id = set_webhook.organisation;
        UPDATE exchange.delivery AS d SET next_at = NULL, outcome = 'webhook removed' FROM exchange.notice AS n
            WHERE n.id = d.notice_id AND n.organisation_id = set_webhook.organisation AND d.next_at IS NOT NULL;
    END IF;
END
$$;

-- Notices to post now. An attempt counts when it is taken, so a node that dies with it does not try for ever, and until the next attempt is
-- due no other node has it.
-- Of each organisation at most share_max at a time, and none of those whose earlier posts are not over (busy): a receiver that is slow or away holds up its
-- own notices and nobody else's. In no order of organisations, so that each comes first as often as another.
CREATE FUNCTION exchange.take_deliveries(deliveries_max integer, share_max integer, busy text[])
    RETURNS TABLE (url text, attempt smallint, number bigint, id uuid, organisation_id text, subject uuid, purpose text, reason text, attributes text[],
                   since timestamptz, made_at timestamptz, due_at timestamptz, state text, done text, law text, acknowledged_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    organisation text;
BEGIN
    -- In one order, because each waits for whoever reads the same organisation's notices.
    FOR organisation IN
        SELECT w.organisation_id FROM exchange.webhook AS w
        WHERE EXISTS (SELECT FROM exchange.notice_queue AS q WHERE q.organisation_id = w.organisation_id) ORDER BY w.organisation_id
    LOOP
        PERFORM exchange.number_notices(organisation);
    END LOOP;
    RETURN QUERY
        WITH due AS (
            SELECT d.notice_id
            FROM (SELECT w.organisation_id FROM exchange.webhook AS w WHERE w.organisation_id <> ALL (take_deliveries.busy) ORDER BY random()) AS o
            CROSS JOIN LATERAL (
                SELECT x.notice_id FROM exchange.delivery AS x WHERE x.organisation_id = o.organisation_id AND x.next_at <= public.stoa_now()
                ORDER BY x.next_at LIMIT take_deliveries.share_max FOR UPDATE SKIP LOCKED) AS d
            LIMIT take_deliveries.deliveries_max
        ), taken AS (
            UPDATE exchange.delivery AS d SET attempts = d.attempts + 1,
                next_at = CASE WHEN d.attempts + 1 < exchange.attempts_max() THEN public.stoa_now() + exchange.retry_delay(d.attempts + 1) END
            FROM due AS o WHERE d.notice_id = o.notice_id
            RETURNING d.notice_id, d.attempts)
        SELECT w.url, t.attempts, n.number, s.id, s.organisation_id, s.subject, s.purpose, s.reason, s.attributes, s.since, s.made_at, s.due_at, s.state,
            s.done, s.law, s.acknowledged_at
        FROM taken AS t
        JOIN exchange.notice_number AS n ON n.notice_id = t.notice_id
        JOIN exchange.standing AS s ON s.id = t.notice_id
        JOIN exchange.webhook AS w ON w.organisation_id = s.organisation_id;
END
$$;
ALTER FUNCTION exchange.take_deliveries(integer, integer, text[]) OWNER TO stoa_door;

-- What came of an attempt. One that failed says nothing about a later one.
CREATE FUNCTION exchange.note_delivery(notice uuid, attempt smallint, delivered boolean, outcome text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE exchange.delivery AS d SET outcome = note_delivery.outcome,
            delivered_at = CASE WHEN note_delivery.delivered THEN public.stoa_now() END, next_at = CASE WHEN NOT note_delivery.delivered THEN d.next_at END
        WHERE d.notice_id = note_delivery.notice AND d.delivered_at IS NULL AND (note_delivery.delivered OR d.attempts = note_delivery.attempt);
END
$$;
ALTER FUNCTION exchange.note_delivery(uuid, smallint, boolean, text) OWNER TO stoa_door;

-- For the auditor: who has not said yet what it did, and since when that is due; and whether it could be posted. Nothing about residents.
CREATE FUNCTION exchange.recipients(credential bytea)
    RETURNS TABLE (organisation_id text, name jsonb, open_count bigint, overdue_count bigint, first_due_at timestamptz, unposted_count bigint, outcome text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, o.name, count(*) FILTER (WHERE s.state = 'open'), count(*) FILTER (WHERE s.state = 'overdue'), min(s.due_at),
            count(*) FILTER (WHERE d.attempts > 0 AND d.delivered_at IS NULL), max(d.outcome) FILTER (WHERE d.delivered_at IS NULL)
        FROM web.staff_with(recipients.credential, '{auditor}') AS auditor
        CROSS JOIN exchange.standing AS s
        JOIN consent.organisation AS o ON o.id = s.organisation_id
        LEFT JOIN exchange.delivery AS d ON d.notice_id = s.id
        WHERE s.state IN ('open', 'overdue')
        GROUP BY o.id ORDER BY min(s.due_at), o.id;
END
$$;
ALTER FUNCTION exchange.recipients(bytea) OWNER TO stoa_door;

-- What is kept of a read or list that was signed: digests and signatures, from which either side shows what was asked and answered if it kept
-- the bodies. Stoa keeps none.
CREATE TABLE exchange.signed_answer (
    -- The access entry; of a list, that of its first subject.
    entry_id uuid PRIMARY KEY,
    client_id text NOT NULL REFERENCES openid.client,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    request_sha256 bytea NOT NULL CHECK (octet_length(request_sha256) = 32),
    -- Signature-Input and the signature of the request, where it was signed.
    request_input text CHECK (octet_length(request_input) <= 2000),
    request_signature bytea CHECK (octet_length(request_signature) <= 2000),
    status smallint NOT NULL CHECK (status BETWEEN 200 AND 599),
    answer_sha256 bytea NOT NULL CHECK (octet_length(answer_sha256) = 32),
    -- Signature-Input and Signature as they went out.
    answer_input text NOT NULL CHECK (octet_length(answer_input) <= 4000),
    answer_signature text NOT NULL CHECK (octet_length(answer_signature) <= 4000),
    CHECK ((request_input IS NULL) = (request_signature IS NULL))
);
CREATE TRIGGER signed_answer_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange.signed_answer
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
GRANT SELECT ON exchange.signed_answer TO stoa_auditor;
GRANT SELECT, INSERT ON exchange.signed_answer TO stoa_door;

-- Keeps it, beside an entry that the very client of the credential made.
CREATE FUNCTION exchange.keep_proof(
    credential bytea, entry uuid, request_sha256 bytea, request_input text, request_signature bytea, status smallint, answer_sha256 bytea,
    answer_input text, answer_signature text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO exchange.signed_answer (entry_id, client_id, request_sha256, request_input, request_signature, status, answer_sha256, answer_input, answer_signature)
        SELECT e.id, e.client_id, keep_proof.request_sha256, keep_proof.request_input, keep_proof.request_signature, keep_proof.status,
            keep_proof.answer_sha256, keep_proof.answer_input, keep_proof.answer_signature
        FROM web.credential AS c JOIN access_log.entry AS e ON e.client_id = c.client_id AND e.id = keep_proof.entry
        WHERE c.hash = keep_proof.credential;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this client made no such entry' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
ALTER FUNCTION exchange.keep_proof(bytea, uuid, bytea, text, bytea, smallint, bytea, text, text) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION exchange.keep_proof(bytea, uuid, bytea, text, bytea, smallint, bytea, text, text), exchange.notices_of(bytea, bigint, uuid, integer), exchange.acknowledge(bytea, uuid, text, text),
    consent.notices_about(bytea, uuid), exchange.recipients(bytea), exchange.take_deliveries(integer, integer, text[]),
    exchange.note_delivery(uuid, smallint, boolean, text) TO stoa_app;
REVOKE CREATE ON SCHEMA consent, exchange FROM stoa_door;
