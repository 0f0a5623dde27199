-- The catalogue: which kinds of data there are, who answers for them, and which services use them on which ground. It is public: it describes
-- data and holds none. Attributes and services are those of the registers; stewards describe them, and every version stays.
CREATE SCHEMA catalogue;
GRANT USAGE ON SCHEMA catalogue TO stoa_app, stoa_auditor, stoa_door;

CREATE TABLE catalogue.description (
    kind text NOT NULL CHECK (kind IN ('attribute', 'service')),
    -- The attribute's id, or that of the processing activity.
    subject text NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    -- Who is responsible for the data.
    owner_id text NOT NULL REFERENCES consent.organisation,
    -- Who looks after it day by day: an office, as people find it. No person's name.
    steward text NOT NULL CHECK (length(steward) BETWEEN 2 AND 100),
    -- Of the data, not of this description, which is public.
    classification text NOT NULL CHECK (classification IN ('open', 'internal', 'confidential')),
    -- Type and form of the values, such as "date, ISO 8601".
    schema text NOT NULL CHECK (length(schema) BETWEEN 2 AND 200),
    -- How long it is kept, and by which rule it is destroyed.
    retention text NOT NULL CHECK (length(retention) BETWEEN 2 AND 300),
    staff_id uuid NOT NULL REFERENCES identity.staff,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (kind, subject, version)
);
CREATE TRIGGER description_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON catalogue.description
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- What organisations asked in a month, gathered from the counts by the minute (exchange.volume). Single reads and people on lists, refused ones too.
CREATE TABLE catalogue.volume_of_month (
    organisation_id text NOT NULL REFERENCES consent.organisation,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    count bigint NOT NULL,
    PRIMARY KEY (organisation_id, month)
);

GRANT CREATE ON SCHEMA catalogue, exchange TO stoa_door;
GRANT SELECT, INSERT ON catalogue.description TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON catalogue.volume_of_month TO stoa_door;

-- Everything there is to find, with what its steward says of it now.
CREATE VIEW catalogue.item AS
    SELECT i.kind, i.subject, i.position, i.derived_from, i.organisation_id, i.organisation_name, i.title, i.explanation, i.purpose, i.legal_basis, i.law,
        i.attributes, o.id AS owner_id, o.name AS owner_name, d.version, d.steward, d.classification, d.schema, d.retention
    FROM (
        SELECT 'attribute' AS kind, a.id AS subject, a.position, a.derived_from, NULL::text AS organisation_id, NULL::jsonb AS organisation_name,
            NULL::jsonb AS title, NULL::jsonb AS explanation, NULL::text AS purpose, NULL::text AS legal_basis, NULL::text AS law, '{}'::text[] AS attributes
        FROM register.attribute AS a
        UNION ALL
        SELECT 'service', s.id::text, 0, NULL, s.organisation_id, o.name, p.title, p.explanation, s.purpose, s.legal_basis, s.law, p.attributes
        FROM consent.processing_activity AS s
        JOIN consent.organisation AS o ON o.id = s.organisation_id
        JOIN consent.policy AS p ON p.activity_id = s.id AND p.version = s.policy_version) AS i
    LEFT JOIN LATERAL (SELECT x.* FROM catalogue.description AS x WHERE x.kind = i.kind AND x.subject = i.subject ORDER BY x.version DESC LIMIT 1) AS d ON true
    -- Where nobody said otherwise, the city answers for its register and an organisation for its service.
    JOIN consent.organisation AS o ON o.id = coalesce(d.owner_id, i.organisation_id, 'city');
ALTER VIEW catalogue.item OWNER TO stoa_door;
GRANT SELECT ON catalogue.item TO stoa_app;

-- Who can be named as the owner of data.
CREATE VIEW catalogue.owner AS SELECT o.id AS owner_id, o.name AS owner_name FROM consent.organisation AS o;
ALTER VIEW catalogue.owner OWNER TO stoa_door;
GRANT SELECT ON catalogue.owner TO stoa_app;

-- Below this many nobody is told how many: few enough could be recognised.
CREATE FUNCTION catalogue.count_min() RETURNS bigint LANGUAGE sql IMMUTABLE RETURN 20::bigint;
ALTER FUNCTION catalogue.count_min() OWNER TO stoa_door;
-- A view calls functions as whoever reads it.
GRANT EXECUTE ON FUNCTION catalogue.count_min() TO stoa_app;

-- What the public sees of it: months that are over, whose last minutes are gathered; in tens, and small counts not at all, so that no
-- difference of two looks tells of one person.
CREATE VIEW catalogue.sharing_of_month AS
    SELECT v.month, o.name, CASE WHEN v.count >= catalogue.count_min() THEN v.count / 10 * 10 END AS count
    FROM catalogue.volume_of_month AS v JOIN consent.organisation AS o ON o.id = v.organisation_id
    WHERE v.month + interval '1 month' + interval '1 day' < public.stoa_now() AT TIME ZONE 'UTC';
ALTER VIEW catalogue.sharing_of_month OWNER TO stoa_door;
GRANT SELECT ON catalogue.sharing_of_month TO stoa_app;

-- Removes minutes that are long over, and keeps what they add up to. The hour before this one is kept whole: access_log.find_anomalies counts it.
CREATE OR REPLACE FUNCTION exchange.remove_past_volume() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH past AS (
        DELETE FROM exchange.volume AS v WHERE v.minute < public.stoa_now() - interval '2 hours'
        RETURNING v.organisation_id, v.minute, v.count
    ), summed AS (
        SELECT p.organisation_id, date_trunc('month', p.minute AT TIME ZONE 'UTC')::date AS month, sum(p.count) AS count
        FROM past AS p GROUP BY 1, 2 ORDER BY 1, 2)
    INSERT INTO catalogue.volume_of_month AS m (organisation_id, month, count) SELECT s.organisation_id, s.month, s.count FROM summed AS s
        ON CONFLICT (organisation_id, month) DO UPDATE SET count = m.count + excluded.count;
END
$$;

-- A steward describes something. Outcomes: recorded, unchanged (nothing is different), stale (somebody else did meanwhile), subject_unknown,
-- owner_unknown, not_allowed (no live session of staff who look after organisations and what they publish).
CREATE FUNCTION catalogue.describe(
    credential bytea, kind text, subject text, read_version integer, owner_id text, steward text, classification text, schema text, retention text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    author uuid := (SELECT s.staff_id FROM web.staff_with(describe.credential, '{organisation_administrator}') AS s);
    held catalogue.description;
BEGIN
    IF author IS NULL THEN RETURN 'not_allowed'; END IF;
    IF NOT EXISTS (SELECT FROM catalogue.item AS i WHERE i.kind = describe.kind AND i.subject = describe.subject) THEN RETURN 'subject_unknown'; END IF;
    IF NOT EXISTS (SELECT FROM consent.organisation AS o WHERE o.id = describe.owner_id) THEN RETURN 'owner_unknown'; END IF;
    -- One after the other, so that who comes second is told.
    PERFORM pg_advisory_xact_lock(hashtextextended('catalogue/' || describe.kind || '/' || describe.subject, 0));
    SELECT d.* INTO held FROM catalogue.description AS d WHERE d.kind = describe.kind AND d.subject = describe.subject ORDER BY d.version DESC LIMIT 1;
    IF (held.owner_id, held.steward, held.classification, held.schema, held.retention)
        IS NOT DISTINCT FROM (describe.owner_id, describe.steward, describe.classification, describe.schema, describe.retention) THEN
        RETURN 'unchanged';
    END IF;
    IF coalesce(held.version, 0) <> describe.read_version THEN RETURN 'stale'; END IF;
    INSERT INTO catalogue.description (kind, subject, version, owner_id, steward, classification, schema, retention, staff_id)
        VALUES (describe.kind, describe.subject, describe.read_version + 1, describe.owner_id, describe.steward, describe.classification, describe.schema,
                describe.retention, author);
    RETURN 'recorded';
END
$$;
ALTER FUNCTION catalogue.describe(bytea, text, text, integer, text, text, text, text, text) OWNER TO stoa_door;

-- Every version of a description, newest first, with who wrote it: for those who write them.
CREATE FUNCTION catalogue.history_of(credential bytea, kind text, subject text)
    RETURNS TABLE (version integer, owner_name jsonb, steward text, classification text, schema text, retention text, author text, at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT d.version, o.name, d.steward, d.classification, d.schema, d.retention, a.display_name, d.at
        FROM web.staff_with(history_of.credential, '{organisation_administrator}') AS reader
        CROSS JOIN catalogue.description AS d
        JOIN consent.organisation AS o ON o.id = d.owner_id
        JOIN identity.staff AS a ON a.id = d.staff_id
        WHERE d.kind = history_of.kind AND d.subject = history_of.subject ORDER BY d.version DESC;
END
$$;
ALTER FUNCTION catalogue.history_of(bytea, text, text) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION catalogue.describe(bytea, text, text, integer, text, text, text, text, text), catalogue.history_of(bytea, text, text) TO stoa_app;
REVOKE CREATE ON SCHEMA catalogue, exchange FROM stoa_door;
