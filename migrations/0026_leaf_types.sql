-- Consent events have their leaves in the log's tree, of a kind of their own, as decisions have (0040): whoever keeps a signed head keeps what was agreed to
-- and decided before it. Triggers see to it for every writer, in the transaction that makes the row.
GRANT CREATE ON SCHEMA access_log, consent TO stoa_door;

-- Of a consent event the log binds to its hash, which chains it to those before it (consent.canonical) and stands in receipts.
CREATE FUNCTION consent.queue_leaf() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM access_log.queue_leaf('consent_event', NEW.id, NEW.hash);
    RETURN NULL;
END
$$;
ALTER FUNCTION consent.queue_leaf() OWNER TO stoa_door;
CREATE TRIGGER event_gets_leaf AFTER INSERT ON consent.event FOR EACH ROW EXECUTE FUNCTION consent.queue_leaf();

-- What `stoa verify log` computes the leaves again from.
CREATE VIEW access_log.consent_event AS
    SELECT e.id, e.resident_id, e.activity_id, e.policy_version, e.sequence, e.kind, e.attributes, e.at, e.account_id, e.staff_id, e.client_id,
        e.capacity, e.method, e.language, e.form_reference, e.valid_until, e.request_id, e.previous_hash
    FROM consent.event AS e;
ALTER VIEW access_log.consent_event OWNER TO stoa_door;
GRANT SELECT ON access_log.consent_event TO stoa_auditor;

-- What opens the leaf of one consent event (label, salt, hash), for the resident whose decision it is. leaf_index is null while it waits for its leaf;
-- no row: there is no such event, it is somebody else's, or its salt was erased.
CREATE FUNCTION consent.leaf_of(credential bytea, event uuid) RETURNS TABLE (leaf_index bigint, opening bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT l.index, access_log.leaf_label(r.kind) || r.salt || r.content_hash
        FROM consent.decider(leaf_of.credential) AS d
        JOIN consent.event AS e ON e.resident_id = d.resident_id AND e.id = leaf_of.event
        JOIN access_log.record AS r ON r.kind = 'consent_event' AND r.source_id = e.id AND r.salt IS NOT NULL
        LEFT JOIN access_log.leaf AS l ON l.entry_id = r.id;
END
$$;
ALTER FUNCTION consent.leaf_of(bytea, uuid) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION consent.leaf_of(bytea, uuid) TO stoa_app;
REVOKE CREATE ON SCHEMA access_log, consent FROM stoa_door;
