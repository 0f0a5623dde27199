-- What a resident sees of the log: each entry with the names that the registers give to its ids, whether a paper form was entered under
-- it or was refused, and who helped with it.
GRANT CREATE ON SCHEMA access_log TO stoa_door;
-- Who looked at the resident's data, newest first: for the resident whom the credential names, and only after that view is logged.
CREATE FUNCTION access_log.entries_about(credential bytea, before_at timestamptz, before_id uuid, page_size integer, with_own boolean)
    RETURNS TABLE (id uuid, at timestamptz, organisation_id text, organisation_name jsonb, actor_role text, operation text, purpose text,
                   purpose_title jsonb, attributes text[], legal_basis text, law text, consent_event_id uuid, consent_at timestamptz,
                   case_reference text, outcome text, refusal text, form_entered boolean, helper_name text, leaf_index bigint, count integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.at, e.organisation_id, o.name, e.actor_role, e.operation, e.purpose, pol.title, e.attributes, e.legal_basis, e.law,
            e.consent_event_id, ce.at, e.case_reference, e.outcome, e.refusal,
            CASE WHEN e.operation = 'paper_entry' AND e.outcome = 'permitted' THEN paper.id IS NOT NULL END, paper.helper_name, l.index, e.count
        FROM web.credential AS c
        JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        JOIN access_log.own_view AS v ON v.credential = c.hash AND v.kind = 'access_log' AND v.subject_id = a.resident_id
        JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        JOIN register.resident AS r ON r.id = a.resident_id OR r.superseded_by = a.resident_id
        JOIN access_log.entry AS e ON e.subject_id = r.id
        LEFT JOIN consent.organisation AS o ON o.id = e.organisation_id
        LEFT JOIN consent.processing_activity AS act ON act.organisation_id = e.organisation_id AND act.purpose = e.purpose
        LEFT JOIN consent.policy AS pol ON pol.activity_id = act.id AND pol.version = act.policy_version
        LEFT JOIN consent.event AS ce ON ce.id = e.consent_event_id
        LEFT JOIN casework.paper_submission AS paper ON e.operation = 'paper_entry' AND paper.entry_id = e.id
        LEFT JOIN access_log.leaf AS l ON l.entry_id = e.id
        WHERE c.hash = entries_about.credential AND web.is_live(c)
          AND (entries_about.before_at IS NULL OR (e.at, e.id) < (entries_about.before_at, entries_about.before_id))
          AND (entries_about.with_own OR e.operation <> 'own_view')
        ORDER BY e.at DESC, e.id DESC
        LIMIT LEAST(entries_about.page_size, 200);
END
$$;
ALTER FUNCTION access_log.entries_about(bytea, timestamptz, uuid, integer, boolean) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION access_log.entries_about(bytea, timestamptz, uuid, integer, boolean) TO stoa_app;
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;
