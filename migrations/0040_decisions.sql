-- Decisions of every slice have their leaves in the log's tree (0026 says why). A slice that decides about people adds a branch to the view, and a trigger.
GRANT CREATE ON SCHEMA access_log TO stoa_door;

-- Decisions of staff about people, each made once: a benefit, a correction of the record, a question about the log, an emergency that was reviewed, a dispute,
-- an order that delays what a resident is told.
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
    FROM casework.break_glass_review AS x JOIN casework.break_glass AS b ON b.entry_id = x.entry_id
    UNION ALL
    SELECT x.id, 'dispute', x.decided_at, d.resident_id, x.decided_by, x.finding, concat_ws(' ', d.about_kind, d.about_id, d.category, x.number, x.refund),
        sha256(x.sealed_words)
    FROM disputes.decision AS x JOIN disputes.dispute AS d ON d.id = x.dispute_id
    UNION ALL
    SELECT x.id, 'seal', x.at, s.subject_id, x.staff_id, x.kind,
        concat_ws(' ', s.id, s.activity_id, (extract(epoch FROM x.concealed_until) * 1000000)::bigint, (extract(epoch FROM s.maximum_at) * 1000000)::bigint),
        sha256(convert_to(concat_ws(E'\n', s.authority, s.ground), 'UTF8'))
    FROM access_log.seal_event AS x JOIN access_log.seal AS s ON s.id = x.seal_id;
ALTER VIEW access_log.decision OWNER TO stoa_door;
GRANT SELECT ON access_log.decision TO stoa_auditor;

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
CREATE TRIGGER decision_gets_leaf AFTER INSERT ON disputes.decision
    FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('dispute', 'id');
CREATE TRIGGER event_gets_leaf AFTER INSERT ON access_log.seal_event
    FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('seal', 'id');
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;
