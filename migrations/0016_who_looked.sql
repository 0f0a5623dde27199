-- What a resident sees of the log: each entry with the names that the registers give to its ids, whether a paper form was entered under
-- it or was refused, and who helped with it.
GRANT CREATE ON SCHEMA access_log TO stoa_door;
-- An entry with the names that the registers give to its ids, and what became of it: read by the functions of the log and of the questions.
CREATE VIEW access_log.told_entry AS
    SELECT e.subject_id, e.id, e.at, e.organisation_id, o.name AS organisation_name, e.client_id, e.actor_role, e.operation, e.purpose, pol.title AS purpose_title,
        act.id AS activity_id, e.attributes, e.legal_basis, e.law, ce.at AS consent_at, e.case_reference, e.outcome, e.refusal,
        CASE WHEN e.operation = 'paper_entry' AND e.outcome = 'permitted' THEN paper.id IS NOT NULL END AS form_entered, paper.helper_name,
        l.index AS leaf_index, e.count, q.asked_at AS question_asked_at, q.due_at AS question_due_at, answer.answered_at AS question_answered_at,
        e.break_glass, glass.review_due_at, review.finding AS review_finding, review.reviewed_at,
        -- By decision of an auditor alone.
        actor.display_name AS released_name, actor.username AS released_username,
        seal.authority AS delayed_by, seal.ground AS delay_ground, seal.concealed_until AS delayed_until
    FROM access_log.entry AS e
    LEFT JOIN consent.organisation AS o ON o.id = e.organisation_id
    LEFT JOIN consent.processing_activity AS act ON act.organisation_id = e.organisation_id AND act.purpose = e.purpose
    LEFT JOIN consent.policy AS pol ON pol.activity_id = act.id AND pol.version = act.policy_version
    LEFT JOIN consent.event AS ce ON ce.id = e.consent_event_id
    LEFT JOIN casework.paper_submission AS paper ON e.operation = 'paper_entry' AND paper.entry_id = e.id
    LEFT JOIN access_log.leaf AS l ON l.entry_id = e.id
    LEFT JOIN questions.question AS q ON q.entry_id = e.id
    LEFT JOIN questions.answer AS answer ON answer.question_id = q.id
    LEFT JOIN questions.name_release AS released ON released.question_id = q.id
    LEFT JOIN identity.staff AS actor ON actor.id = released.staff_id
    LEFT JOIN casework.break_glass AS glass ON glass.entry_id = e.break_glass
    LEFT JOIN casework.break_glass_review AS review ON review.entry_id = glass.entry_id
    LEFT JOIN access_log.seal AS seal ON seal.id = e.seal_id
    -- What an order delays is not told to anybody before its time.
    WHERE e.seal_id IS NULL OR seal.concealed_until <= public.stoa_now();
ALTER VIEW access_log.told_entry OWNER TO stoa_door;

-- The chains of entries about a resident that are told by now: that of those under no order, and of each order that has ended. What is delayed is not even passed
-- over when entries are looked up by their chain, so no page takes longer for it.
CREATE VIEW access_log.told_chain AS
    SELECT r.id AS resident_id, r.id AS chain_id FROM register.resident AS r
    UNION ALL
    SELECT s.subject_id, s.id FROM access_log.seal AS s WHERE s.concealed_until <= public.stoa_now();
ALTER VIEW access_log.told_chain OWNER TO stoa_door;

-- Under which residents' ids lies what whoever holds a credential has been logged as looking at: their record's (own_id) and those it superseded. kind is that of
-- the own view, which of an app's token is the scope. Nothing for anybody whose view is not an entry yet that an earlier transaction committed.
CREATE VIEW access_log.own_viewer AS
    SELECT c.hash AS credential, v.kind, a.resident_id AS own_id, r.id AS resident_id
    FROM web.credential AS c
    JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
    JOIN access_log.own_view AS v ON v.credential = c.hash AND v.subject_id = a.resident_id
    JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
    CROSS JOIN LATERAL (SELECT a.resident_id AS id UNION ALL SELECT x.id FROM register.resident AS x WHERE x.superseded_by = a.resident_id) AS r
    WHERE web.is_live(c) AND (c.kind = 'session' OR v.kind = ANY (c.scope));
ALTER VIEW access_log.own_viewer OWNER TO stoa_door;

-- Who looked at the resident's data, newest first: for the resident whom the credential names, and only after that view is logged.
-- Null in organisation, purpose, outcome and entry: all of them. First the page's entries by the index, then their names: a long log costs
-- no more than a short one, whatever the statistics say (OFFSET 0 and the settings hold every join to its index).
CREATE FUNCTION access_log.entries_about(
    credential bytea, before_at timestamptz, before_id uuid, page_size integer, with_own boolean, organisation text, purpose text, outcome text, entry uuid,
    with_help boolean DEFAULT true)
    RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    entries_max integer := LEAST(entries_about.page_size, 200);
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM (
            SELECT e.id, e.at
            FROM access_log.own_viewer AS h
            CROSS JOIN LATERAL (SELECT x.chain_id FROM access_log.told_chain AS x WHERE x.resident_id = h.resident_id OFFSET 0) AS c
            CROSS JOIN LATERAL (
                SELECT x.id, x.at FROM access_log.entry AS x
                WHERE coalesce(x.seal_id, x.subject_id) = c.chain_id
                  AND (x.at, x.id) < (coalesce(entries_about.before_at, 'infinity'), coalesce(entries_about.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                  AND (entries_about.with_own OR x.operation <> 'own_view')
                  AND (entries_about.with_help OR x.operation NOT IN ('mandate_view', 'mandate_act'))
                  AND (entries_about.organisation IS NULL OR x.organisation_id = entries_about.organisation)
                  AND (entries_about.purpose IS NULL OR x.purpose = entries_about.purpose)
                  AND (entries_about.outcome IS NULL OR x.outcome = entries_about.outcome)
                ORDER BY x.at DESC, x.id DESC LIMIT entries_max) AS e
            WHERE h.credential = entries_about.credential AND h.kind = 'access_log' AND entries_about.entry IS NULL
            UNION ALL
            SELECT e.id, e.at
            FROM access_log.own_viewer AS h
            CROSS JOIN LATERAL (SELECT x.id, x.at, x.subject_id FROM access_log.entry AS x WHERE x.id = entries_about.entry OFFSET 0) AS e
            WHERE h.credential = entries_about.credential AND h.kind = 'access_log' AND e.subject_id = h.resident_id
            ORDER BY at DESC, id DESC LIMIT entries_max) AS picked
        CROSS JOIN LATERAL (SELECT x.* FROM access_log.told_entry AS x WHERE x.id = picked.id OFFSET 0) AS t
        ORDER BY picked.at DESC, picked.id DESC;
END
$$;
ALTER FUNCTION access_log.entries_about(bytea, timestamptz, uuid, integer, boolean, text, text, text, uuid, boolean) OWNER TO stoa_door;

-- The entry that a question is about, as the resident sees it, for the auditor who has just logged that they look into it. No row when it is erased.
CREATE FUNCTION access_log.questioned_entry(credential bytea, view_entry uuid) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM access_log.look_of_staff(questioned_entry.credential, questioned_entry.view_entry, 'auditor', 'log_view', interval '5 seconds') AS viewed
        JOIN questions.question AS q ON q.reference = viewed.case_reference AND viewed.purpose = 'question'
        JOIN register.resident AS holder ON holder.id = q.resident_id AND viewed.subject_id IN (holder.id, holder.superseded_by)
        JOIN access_log.told_entry AS t ON t.id = q.entry_id;
END
$$;
ALTER FUNCTION access_log.questioned_entry(bytea, uuid) OWNER TO stoa_door;

-- What a portal shows of the log of the person whom it has just logged that it looks up: what others did and were permitted, newest first,
-- within a period (null: open), some skipped. What the portal itself showed is not among it: it keeps its own log.
CREATE FUNCTION access_log.usages_under(credential bytea, view_entry uuid, period_start timestamptz, period_end timestamptz) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM access_log.actor AS c
        JOIN access_log.entry AS viewed ON viewed.id = usages_under.view_entry AND viewed.actor_kind = c.kind AND viewed.actor_id = c.id
        JOIN register.resident AS r ON r.id = viewed.subject_id OR r.superseded_by = viewed.subject_id
        CROSS JOIN LATERAL (SELECT x.chain_id FROM access_log.told_chain AS x WHERE x.resident_id = r.id OFFSET 0) AS chain
        CROSS JOIN LATERAL (SELECT x.id FROM access_log.entry AS x WHERE coalesce(x.seal_id, x.subject_id) = chain.chain_id OFFSET 0) AS told
        JOIN access_log.told_entry AS t ON t.id = told.id
        WHERE c.hash = usages_under.credential AND viewed.operation = 'usage' AND viewed.outcome = 'permitted'
          AND viewed.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND viewed.at > public.stoa_now() - interval '5 seconds'
          AND t.outcome = 'permitted' AND t.operation <> 'own_view' AND NOT (t.operation = 'usage' AND t.client_id = viewed.client_id)
          AND (usages_under.period_start IS NULL OR t.at >= usages_under.period_start)
          AND (usages_under.period_end IS NULL OR t.at <= usages_under.period_end);
END
$$;
ALTER FUNCTION access_log.usages_under(bytea, uuid, timestamptz, timestamptz) OWNER TO stoa_door;

-- Since when the log is kept. Ids are made in the order of time (UUIDv7), so the first one is the oldest; null while the log is empty.
CREATE FUNCTION access_log.kept_since() RETURNS timestamptz
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT e.at FROM access_log.entry AS e ORDER BY e.id LIMIT 1);
END
$$;
ALTER FUNCTION access_log.kept_since() OWNER TO stoa_door;

-- The organisations that the resident's log names, to choose from: as the page itself, after the view is logged.
CREATE FUNCTION access_log.organisations_about(credential bytea) RETURNS TABLE (id text, name jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, o.name FROM consent.organisation AS o WHERE o.id IN (
            SELECT e.organisation_id
            FROM access_log.own_viewer AS h
            CROSS JOIN LATERAL (SELECT x.chain_id FROM access_log.told_chain AS x WHERE x.resident_id = h.resident_id OFFSET 0) AS c
            JOIN access_log.entry AS e ON coalesce(e.seal_id, e.subject_id) = c.chain_id
            WHERE h.credential = organisations_about.credential AND h.kind = 'access_log')
        ORDER BY o.name ->> 'en', o.id;
END
$$;
ALTER FUNCTION access_log.organisations_about(bytea) OWNER TO stoa_door;

-- What one organisation was given of the resident's data, by purpose and kind, with how often and when: out of the newest entries about the
-- resident, and as the page itself after the view is logged. counted_since is null where these are all there are, and else the moment of the
-- oldest one that was counted; a row with nothing but that says that nothing was given.
CREATE FUNCTION access_log.given_to(credential bytea, organisation text)
    RETURNS TABLE (counted_since timestamptz, purpose text, attribute text, times bigint, first_at timestamptz, last_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- An entry an hour for more than a year. They lie scattered, so that this is what a page can wait for (some 30 ms).
    entries_max CONSTANT integer := 10000;
BEGIN
    RETURN QUERY
        WITH newest AS MATERIALIZED (
            SELECT e.at, e.organisation_id, e.operation, e.purpose, e.attributes, e.outcome
            FROM access_log.own_viewer AS h
            -- One more than is counted tells whether there are more.
            CROSS JOIN LATERAL (SELECT x.chain_id FROM access_log.told_chain AS x WHERE x.resident_id = h.resident_id OFFSET 0) AS c
            CROSS JOIN LATERAL (SELECT x.* FROM access_log.entry AS x WHERE coalesce(x.seal_id, x.subject_id) = c.chain_id
                                ORDER BY x.at DESC, x.id DESC LIMIT entries_max + 1) AS e
            WHERE h.credential = given_to.credential AND h.kind = 'access_log'
            ORDER BY e.at DESC LIMIT entries_max + 1
        ), given AS (
            SELECT n.purpose, k.attribute, count(*) AS times, min(n.at) AS first_at, max(n.at) AS last_at
            FROM newest AS n CROSS JOIN LATERAL unnest(n.attributes) AS k (attribute)
            WHERE n.organisation_id = given_to.organisation AND n.outcome = 'permitted' AND n.operation IN ('disclose', 'predicate', 'list')
            GROUP BY n.purpose, k.attribute
        )
        SELECT bound.since, g.purpose, g.attribute, g.times, g.first_at, g.last_at
        FROM (SELECT CASE WHEN count(*) > entries_max THEN min(n.at) END AS since FROM newest AS n) AS bound
        LEFT JOIN given AS g ON true
        LEFT JOIN register.attribute AS known ON known.id = g.attribute
        ORDER BY g.purpose, known.position;
END
$$;
ALTER FUNCTION access_log.given_to(bytea, text) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION access_log.given_to(bytea, text), access_log.organisations_about(bytea), access_log.questioned_entry(bytea, uuid),
    access_log.usages_under(bytea, uuid, timestamptz, timestamptz), access_log.kept_since(),
    access_log.entries_about(bytea, timestamptz, uuid, integer, boolean, text, text, text, uuid, boolean) TO stoa_app;
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;
