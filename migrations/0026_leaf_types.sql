-- Consent events and decisions have their leaves in the log's tree, each of a kind of its own: whoever keeps a signed head keeps what was agreed to and
-- decided before it. What has no leaf was never queued: triggers see to it for every writer, in the transaction that makes the row.
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

-- Decisions of people about people, once and final: a benefit, a correction of the record, a question about the log, an emergency that was reviewed.
-- The words are here as their hash (of what is sealed: as sealed), so that nobody who reads this reads them.
CREATE VIEW access_log.decision AS
    SELECT x.disbursement_id AS id, 'benefit' AS about, x.decided_at AS at, d.resident_id, x.decided_by, x.kind AS outcome,
        concat_ws(' ', d.programme_id, d.currency, d.amount, d.case_reference) AS matter, sha256(convert_to(x.refusal_reason, 'UTF8')) AS words_hash
    FROM benefits.decision AS x JOIN benefits.disbursement AS d ON d.id = x.disbursement_id
    UNION ALL
    SELECT x.request_id, 'correction', x.answered_at, r.resident_id, x.answered_by, x.decision, r.attribute, sha256(x.sealed_answer)
    FROM register.correction_answer AS x JOIN register.correction_request AS r ON r.id = x.request_id
    UNION ALL
    SELECT x.question_id, 'question', x.answered_at, q.resident_id, x.answered_by, x.finding, q.entry_id::text, sha256(x.sealed_answer)
    FROM questions.answer AS x JOIN questions.question AS q ON q.id = x.question_id
    UNION ALL
    SELECT x.entry_id, 'emergency', x.reviewed_at, b.resident_id, x.reviewed_by, x.finding, b.reference, sha256(x.sealed_words)
    FROM casework.break_glass_review AS x JOIN casework.break_glass AS b ON b.entry_id = x.entry_id;
ALTER VIEW access_log.decision OWNER TO stoa_door;

-- A decision as the hash that the log binds to, over a label and fields as in Sources/TransparencyLog/CanonicalEncoding.swift. Fields are only ever added, with
-- a new label.
CREATE FUNCTION access_log.hash_of(d access_log.decision) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
BEGIN
    RETURN sha256('stoa decision v1\012'::bytea
        || '\x010700000010'::bytea || uuid_send(d.id)
        || access_log.field('\x0201', d.about)
        || '\x030300000008'::bytea || int8send((extract(epoch FROM d.at) * 1000000)::bigint)
        || access_log.field('\x0407', uuid_send(d.resident_id))
        || access_log.field('\x0507', uuid_send(d.decided_by))
        || access_log.field('\x0601', d.outcome)
        || access_log.field('\x0701', d.matter)
        || access_log.field('\x0804', d.words_hash));
END
$$;
ALTER FUNCTION access_log.hash_of(access_log.decision) OWNER TO stoa_door;

-- The arguments of the trigger: what the decision is about, and the column with its id.
CREATE FUNCTION access_log.queue_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    decided access_log.decision;
BEGIN
    SELECT d.* INTO STRICT decided FROM access_log.decision AS d WHERE d.about = TG_ARGV[0] AND d.id = (to_jsonb(NEW) ->> TG_ARGV[1])::uuid;
    PERFORM access_log.queue_leaf('decision', decided.id, access_log.hash_of(decided));
    RETURN NULL;
END
$$;
ALTER FUNCTION access_log.queue_decision() OWNER TO stoa_door;
CREATE TRIGGER decision_gets_leaf AFTER INSERT ON benefits.decision
    FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('benefit', 'disbursement_id');
CREATE TRIGGER answer_gets_leaf AFTER INSERT ON register.correction_answer
    FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('correction', 'request_id');
CREATE TRIGGER answer_gets_leaf AFTER INSERT ON questions.answer
    FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('question', 'question_id');
CREATE TRIGGER review_gets_leaf AFTER INSERT ON casework.break_glass_review
    FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('emergency', 'entry_id');

-- What `stoa verify log` computes the leaves again from.
CREATE VIEW access_log.consent_event AS
    SELECT e.id, e.resident_id, e.activity_id, e.policy_version, e.sequence, e.kind, e.attributes, e.at, e.account_id, e.staff_id, e.client_id,
        e.capacity, e.method, e.language, e.form_reference, e.valid_until, e.request_id, e.previous_hash
    FROM consent.event AS e;
ALTER VIEW access_log.consent_event OWNER TO stoa_door;
GRANT SELECT ON access_log.consent_event, access_log.decision TO stoa_auditor;

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
