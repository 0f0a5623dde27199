-- What keeps an eye on the city's own staff: protected records, and unusual accesses.
--
-- Protected records: who is at risk, or known to the city's staff. A caseworker opens one only by breaking the glass: with a written
-- reason, for a quarter of an hour, with a message to the resident in the same transaction, and before the eyes of an auditor, who reviews
-- it within three working days. access_log.authorise (0008) refuses everything else; the tables of broken glass are in 0012.
--
-- An auditor sets and lifts the protection, for the reason `protection`; caseworkers, whom it is about, do not.
CREATE TABLE casework.protection (
    -- The auditor's entry in the resident's log, under which it was decided.
    entry_id uuid PRIMARY KEY,
    resident_id uuid NOT NULL REFERENCES register.resident,
    is_protected boolean NOT NULL,
    sealed_reason bytea NOT NULL CHECK (octet_length(sealed_reason) BETWEEN 48 AND 2028),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX protection_resident ON casework.protection (resident_id, decided_at);
CREATE TRIGGER protection_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON casework.protection
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

GRANT CREATE ON SCHEMA casework, access_log TO stoa_door;
GRANT SELECT, INSERT ON casework.protection TO stoa_door;
GRANT INSERT ON messages.message TO stoa_door;

-- What the resident is told hangs on the rows themselves: no path that writes one can leave the message out.
CREATE FUNCTION casework.tell_of_break_glass() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        VALUES (gen_random_uuid(), NEW.resident_id, 'glass_broken', jsonb_build_object('reference', NEW.reference));
    RETURN NULL;
END
$$;
ALTER FUNCTION casework.tell_of_break_glass() OWNER TO stoa_door;
CREATE TRIGGER break_glass_told AFTER INSERT ON casework.break_glass FOR EACH ROW EXECUTE FUNCTION casework.tell_of_break_glass();

CREATE FUNCTION casework.tell_of_review() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        SELECT gen_random_uuid(), b.resident_id, 'glass_reviewed', jsonb_build_object('reference', b.reference)
        FROM casework.break_glass AS b WHERE b.entry_id = NEW.entry_id;
    RETURN NULL;
END
$$;
ALTER FUNCTION casework.tell_of_review() OWNER TO stoa_door;
CREATE TRIGGER break_glass_review_told AFTER INSERT ON casework.break_glass_review FOR EACH ROW EXECUTE FUNCTION casework.tell_of_review();

CREATE FUNCTION casework.tell_of_protection() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind)
        VALUES (gen_random_uuid(), NEW.resident_id, CASE WHEN NEW.is_protected THEN 'record_protected' ELSE 'protection_lifted' END);
    RETURN NULL;
END
$$;
ALTER FUNCTION casework.tell_of_protection() OWNER TO stoa_door;
CREATE TRIGGER protection_told AFTER INSERT ON casework.protection FOR EACH ROW EXECUTE FUNCTION casework.tell_of_protection();

-- Nobody judges what they did themselves, whatever function the review comes through.
CREATE FUNCTION casework.check_review() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM casework.break_glass AS b WHERE b.entry_id = NEW.entry_id AND b.staff_id = NEW.reviewed_by) THEN
        RAISE EXCEPTION 'an emergency is reviewed by somebody else than who declared it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reviewed_by_another';
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION casework.check_review() OWNER TO stoa_door;
CREATE TRIGGER reviewed_by_another BEFORE INSERT ON casework.break_glass_review FOR EACH ROW EXECUTE FUNCTION casework.check_review();

-- Protects a record or lifts it, under the auditor's own look into the log of this resident, a minute old at most: it gave the key that the reason is
-- sealed under. Outcomes: changed, unchanged, not_allowed.
CREATE FUNCTION casework.protect(credential bytea, view_entry uuid, is_protected boolean, sealed_reason bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    viewed record;
BEGIN
    SELECT e.id, e.subject_id, e.actor_id::uuid AS staff_id INTO viewed
        FROM access_log.look_of_staff(protect.credential, protect.view_entry, 'auditor', 'log_view', interval '1 minute') AS e WHERE e.purpose = 'protection';
    IF NOT FOUND THEN RETURN 'not_allowed'; END IF;
    -- Of two at the same moment the second finds what the first did.
    UPDATE register.resident AS r SET is_protected = protect.is_protected
        WHERE r.id = viewed.subject_id AND r.is_protected <> protect.is_protected;
    IF NOT FOUND THEN RETURN 'unchanged'; END IF;
    INSERT INTO casework.protection (entry_id, resident_id, is_protected, sealed_reason, decided_by)
        VALUES (viewed.id, viewed.subject_id, protect.is_protected, protect.sealed_reason, viewed.staff_id);
    RETURN 'changed';
END
$$;
ALTER FUNCTION casework.protect(bytea, uuid, boolean, bytea) OWNER TO stoa_door;

-- Breaks the glass: keeps the reason, tells the resident and an auditor (by the row), and opens the record, all or nothing. The entry is the
-- ticket: the caller's own break_glass, permitted, committed, a minute old at most. False: no such entry, or this form was sent before.
CREATE FUNCTION casework.break_the_glass(credential bytea, entry uuid, opening_id uuid, reference text, sealed_reason bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ticket record;
    opened boolean;
BEGIN
    SELECT e.id, e.subject_id, e.purpose, e.case_reference, e.actor_id::uuid AS staff_id INTO ticket
        FROM access_log.look_of_staff(break_the_glass.credential, break_the_glass.entry, 'caseworker', 'break_glass', interval '1 minute') AS e;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO casework.opening (id, staff_id, resident_id, reason, case_reference)
        VALUES (break_the_glass.opening_id, ticket.staff_id, ticket.subject_id, ticket.purpose, ticket.case_reference)
        ON CONFLICT DO NOTHING;
    opened := FOUND;
    -- The same form again is the emergency that it declared before. Any other that stands in the log is told and reviewed, also where
    -- somebody else's form keeps it from opening anything.
    IF NOT opened AND EXISTS (
        SELECT FROM casework.opening AS o
        WHERE o.id = break_the_glass.opening_id AND o.staff_id = ticket.staff_id AND o.resident_id = ticket.subject_id) THEN
        RETURN false;
    END IF;
    INSERT INTO casework.break_glass (entry_id, reference, staff_id, resident_id, sealed_reason)
        VALUES (ticket.id, break_the_glass.reference, ticket.staff_id, ticket.subject_id, break_the_glass.sealed_reason);
    RETURN opened;
END
$$;
ALTER FUNCTION casework.break_the_glass(bytea, uuid, uuid, text, bytea) OWNER TO stoa_door;

-- The emergencies that wait for this auditor's review, the most urgent first, or the one whose reference is wanted; not the auditor's own, and not
-- those of people who were erased, whose reason nobody can read any more. The resident is here as the id that the door looks up.
CREATE FUNCTION casework.unreviewed(credential bytea, wanted text)
    RETURNS TABLE (reference text, broken_at timestamptz, review_due_at timestamptz, is_overdue boolean, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.reference, b.broken_at, b.review_due_at, b.review_due_at < public.stoa_now(), b.resident_id
        FROM web.staff_with(unreviewed.credential, '{auditor}') AS s
        JOIN casework.break_glass AS b ON b.staff_id <> s.staff_id
        JOIN register.data_key AS k ON k.resident_id = b.resident_id
        WHERE NOT EXISTS (SELECT FROM casework.break_glass_review AS r WHERE r.entry_id = b.entry_id)
          AND (unreviewed.wanted IS NULL OR b.reference = unreviewed.wanted)
        ORDER BY b.review_due_at, b.entry_id LIMIT 100;
END
$$;
ALTER FUNCTION casework.unreviewed(bytea, text) OWNER TO stoa_door;

-- An emergency that waits, with its reason and the key that it is sealed under, and who declared it: under the auditor's own fresh look.
CREATE FUNCTION casework.break_glass_under(credential bytea, view_entry uuid)
    RETURNS TABLE (entry_id uuid, reference text, broken_at timestamptz, review_due_at timestamptz, sealed_reason bytea,
                   holder_id uuid, key_id text, wrapped_key bytea, staff_name text, staff_username text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.entry_id, b.reference, b.broken_at, b.review_due_at, b.sealed_reason, b.resident_id, k.key_id, k.wrapped_key, s.display_name, s.username
        FROM access_log.look_of_staff(break_glass_under.credential, break_glass_under.view_entry, 'auditor', 'log_view', interval '5 seconds') AS viewed
        JOIN casework.break_glass AS b ON b.reference = viewed.case_reference AND b.resident_id = viewed.subject_id
        JOIN identity.staff AS s ON s.id = b.staff_id
        JOIN register.data_key AS k ON k.resident_id = b.resident_id
        WHERE viewed.purpose = 'break_glass_review' AND b.staff_id::text <> viewed.actor_id
          AND NOT EXISTS (SELECT FROM casework.break_glass_review AS r WHERE r.entry_id = b.entry_id);
END
$$;
ALTER FUNCTION casework.break_glass_under(bytea, uuid) OWNER TO stoa_door;

-- What was done under it, in order, as the resident reads it.
CREATE FUNCTION access_log.entries_under_glass(credential bytea, view_entry uuid) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM casework.break_glass_under(entries_under_glass.credential, entries_under_glass.view_entry) AS b
        JOIN access_log.told_entry AS t ON t.subject_id = b.holder_id AND t.at >= b.broken_at - interval '1 minute' AND t.break_glass = b.entry_id
        ORDER BY t.at, t.id LIMIT 100;
END
$$;
ALTER FUNCTION access_log.entries_under_glass(bytea, uuid) OWNER TO stoa_door;

-- Reviews an emergency, once, as an auditor who has looked into it within the hour. Outcomes: reviewed, already_reviewed, own_action, not_allowed.
CREATE FUNCTION casework.review_break_glass(credential bytea, glass uuid, finding text, sealed_words bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    auditor uuid := (SELECT s.staff_id FROM web.staff_with(review_break_glass.credential, '{auditor}') AS s);
    broken record;
BEGIN
    SELECT b.entry_id, b.staff_id INTO broken
        FROM casework.break_glass AS b
        WHERE b.entry_id = review_break_glass.glass AND access_log.has_looked(auditor, ARRAY[b.resident_id], 'break_glass_review', b.reference);
    IF NOT FOUND THEN RETURN 'not_allowed'; END IF;
    IF broken.staff_id = auditor THEN RETURN 'own_action'; END IF;
    INSERT INTO casework.break_glass_review AS r (entry_id, finding, sealed_words, reviewed_by)
        VALUES (broken.entry_id, review_break_glass.finding, review_break_glass.sealed_words, auditor)
        ON CONFLICT ON CONSTRAINT break_glass_review_pkey DO NOTHING;
    RETURN CASE WHEN FOUND THEN 'reviewed' ELSE 'already_reviewed' END;
END
$$;
ALTER FUNCTION casework.review_break_glass(bytea, uuid, text, bytea) OWNER TO stoa_door;

-- The emergency in which an entry about the resident was made, with its reason and review: for whom the credential names, after the view of
-- the log is logged.
CREATE FUNCTION casework.own_break_glass(credential bytea, entry uuid)
    RETURNS TABLE (entry_id uuid, reference text, broken_at timestamptz, review_due_at timestamptz, sealed_reason bytea,
                   holder_id uuid, key_id text, wrapped_key bytea, finding text, sealed_words bytea, reviewed_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.entry_id, b.reference, b.broken_at, b.review_due_at, b.sealed_reason, b.resident_id, k.key_id, k.wrapped_key,
            review.finding, review.sealed_words, review.reviewed_at
        FROM questions.questionable(own_break_glass.credential, own_break_glass.entry) AS x
        JOIN access_log.entry AS e ON e.id = x.entry_id
        JOIN casework.break_glass AS b ON b.entry_id = e.break_glass
        JOIN register.data_key AS k ON k.resident_id = b.resident_id
        LEFT JOIN casework.break_glass_review AS review ON review.entry_id = b.entry_id;
END
$$;
ALTER FUNCTION casework.own_break_glass(bytea, uuid) OWNER TO stoa_door;

-- Unusual accesses: what the log shows that nobody complained of. Searched for by one node at a time (access_log.find_anomalies), a task for an auditor
-- who is not concerned, and closed with a finding. A rule, an actor and a day are one task, however often the search runs.
CREATE TABLE access_log.anomaly (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- The case under which the entries behind it are looked into.
    reference text NOT NULL UNIQUE DEFAULT 'A-' || upper(left(replace(gen_random_uuid()::text, '-', ''), 10)),
    rule text NOT NULL CHECK (rule IN ('many_people', 'off_hours', 'colleague', 'organisation_volume')),
    -- A member of staff, or an organisation.
    actor_id text NOT NULL,
    -- The city's day.
    day date NOT NULL,
    -- Requests in the hour that stood out, and in a usual hour.
    count integer,
    usual integer,
    found_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT anomaly_once UNIQUE (rule, actor_id, day),
    CHECK (CASE rule WHEN 'organisation_volume' THEN num_nulls(count, usual) = 0 ELSE num_nonnulls(count, usual) = 0 END)
);
CREATE TRIGGER anomaly_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.anomaly
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- The entries behind it, which may grow in number until the day is over. An organisation's are too many, and say nothing that their number does not.
CREATE TABLE access_log.anomaly_entry (
    anomaly_id uuid NOT NULL REFERENCES access_log.anomaly,
    entry_id uuid NOT NULL,
    found_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (anomaly_id, entry_id)
);
CREATE TRIGGER anomaly_entry_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.anomaly_entry
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- What an auditor found. When more of the day comes to light afterwards, the task waits again.
CREATE TABLE access_log.anomaly_finding (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    anomaly_id uuid NOT NULL REFERENCES access_log.anomaly,
    finding text NOT NULL CHECK (finding IN ('explained', 'misuse')),
    -- Among auditors; no resident is named in it.
    note text NOT NULL CHECK (length(note) BETWEEN 1 AND 1000),
    closed_by uuid NOT NULL REFERENCES identity.staff,
    closed_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX anomaly_finding_anomaly ON access_log.anomaly_finding (anomaly_id, closed_at);
CREATE TRIGGER anomaly_finding_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.anomaly_finding
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- How much each organisation asked in an hour that is over: what "usual" is made of.
CREATE TABLE access_log.organisation_hour (
    organisation_id text NOT NULL,
    hour timestamptz NOT NULL,
    count integer NOT NULL,
    PRIMARY KEY (organisation_id, hour)
);

-- Up to when the log was searched.
CREATE TABLE access_log.anomaly_search (
    is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
    until timestamptz NOT NULL
);
-- For the search: staff make a small part of the entries.
CREATE INDEX entry_staff ON access_log.entry (at) WHERE actor_kind = 'staff';

GRANT SELECT ON access_log.anomaly, access_log.anomaly_entry, access_log.anomaly_finding TO stoa_auditor;
GRANT SELECT, INSERT ON access_log.anomaly, access_log.anomaly_entry, access_log.anomaly_finding TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON access_log.anomaly_search TO stoa_door;
GRANT SELECT, INSERT, DELETE ON access_log.organisation_hour TO stoa_door;

-- Nobody judges what they did themselves.
CREATE FUNCTION access_log.check_finding() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM access_log.anomaly AS a WHERE a.id = NEW.anomaly_id AND a.actor_id = NEW.closed_by::text) THEN
        RAISE EXCEPTION 'an unusual access is judged by somebody else than whose it is'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'closed_by_another';
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION access_log.check_finding() OWNER TO stoa_door;
CREATE TRIGGER closed_by_another BEFORE INSERT ON access_log.anomaly_finding FOR EACH ROW EXECUTE FUNCTION access_log.check_finding();

-- Searches what was written since the last search, from the beginning of that hour, so that a count of an hour is of the whole hour. Entries that
-- were committed late are met by the overlap of five minutes, and what was found before is found once. Rules:
--   many_people          a member of staff looked up or opened more than so many people in an hour
--   off_hours            on a Saturday or Sunday, or outside these hours of the city's day
--   colleague            somebody whose register record the city knows for a member of staff's (identity.staff.resident_id), oneself included
--   organisation_volume  more than ten times the mean of the hours in which it asked at all, of four weeks, and a hundred at least, for ten
--                        times little is little; of an organisation that the city has known for eight such hours
-- Returns how many tasks are new; 0 also while another node searches.
CREATE FUNCTION access_log.find_anomalies(zone text, opens_hour integer, closes_hour integer, people_per_hour_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    since timestamptz;
    this_hour timestamptz := date_trunc('hour', public.stoa_now());
    found_now integer;
    found_more integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7308895160) THEN RETURN 0; END IF;
    since := coalesce((SELECT date_trunc('hour', s.until - interval '5 minutes') FROM access_log.anomaly_search AS s), '-infinity');

    WITH looked AS (
        SELECT e.id, e.actor_id, e.subject_id, date_trunc('hour', e.at) AS hour, e.at AT TIME ZONE find_anomalies.zone AS local_at
        FROM access_log.entry AS e
        -- Who set an order that delays telling is judged by whoever reviews it: a task here would be told to the subject.
        WHERE e.actor_kind = 'staff' AND e.operation NOT IN ('log_view', 'payout', 'seal') AND e.at >= since
    ), crowded AS (
        SELECT l.actor_id, l.hour FROM looked AS l GROUP BY l.actor_id, l.hour HAVING count(DISTINCT l.subject_id) > find_anomalies.people_per_hour_max
    ), matched AS (
        SELECT 'many_people' AS rule, l.actor_id, l.local_at::date AS day, l.id FROM looked AS l JOIN crowded AS c ON c.actor_id = l.actor_id AND c.hour = l.hour
        UNION ALL
        SELECT 'off_hours', l.actor_id, l.local_at::date, l.id FROM looked AS l
        WHERE extract(isodow FROM l.local_at) > 5
           OR extract(hour FROM l.local_at) < find_anomalies.opens_hour OR extract(hour FROM l.local_at) >= find_anomalies.closes_hour
        UNION ALL
        SELECT 'colleague', l.actor_id, l.local_at::date, l.id FROM looked AS l
        WHERE l.subject_id IN (SELECT s.resident_id FROM identity.staff AS s WHERE s.resident_id IS NOT NULL)
    ), made AS (
        INSERT INTO access_log.anomaly AS a (rule, actor_id, day) SELECT DISTINCT m.rule, m.actor_id, m.day FROM matched AS m
        ON CONFLICT ON CONSTRAINT anomaly_once DO NOTHING RETURNING a.id, a.rule, a.actor_id, a.day
    ), attached AS (
        INSERT INTO access_log.anomaly_entry (anomaly_id, entry_id)
        SELECT a.id, m.id FROM matched AS m
        JOIN (SELECT x.id, x.rule, x.actor_id, x.day FROM made AS x UNION ALL SELECT x.id, x.rule, x.actor_id, x.day FROM access_log.anomaly AS x) AS a
            ON a.rule = m.rule AND a.actor_id = m.actor_id AND a.day = m.day
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO found_now FROM made;

    INSERT INTO access_log.organisation_hour (organisation_id, hour, count)
        SELECT v.organisation_id, this_hour - interval '1 hour', sum(v.count) FROM exchange.volume AS v
        WHERE v.minute >= this_hour - interval '1 hour' AND v.minute < this_hour GROUP BY v.organisation_id
        ON CONFLICT DO NOTHING;
    DELETE FROM access_log.organisation_hour AS h WHERE h.hour < this_hour - interval '28 days';
    INSERT INTO access_log.anomaly (rule, actor_id, day, count, usual)
        SELECT 'organisation_volume', h.organisation_id, (h.hour AT TIME ZONE find_anomalies.zone)::date, h.count, round(u.usual)
        FROM access_log.organisation_hour AS h
        CROSS JOIN LATERAL (SELECT count(*) AS hours, avg(x.count) AS usual FROM access_log.organisation_hour AS x
            WHERE x.organisation_id = h.organisation_id AND x.hour < h.hour) AS u
        WHERE h.hour = this_hour - interval '1 hour' AND h.count >= 100 AND u.hours >= 8 AND h.count > 10 * u.usual
        ON CONFLICT ON CONSTRAINT anomaly_once DO NOTHING;
    GET DIAGNOSTICS found_more = ROW_COUNT;

    INSERT INTO access_log.anomaly_search AS s (until) VALUES (public.stoa_now())
        ON CONFLICT (is_only_row) DO UPDATE SET until = excluded.until;
    RETURN found_now + found_more;
END
$$;
ALTER FUNCTION access_log.find_anomalies(text, integer, integer, integer) OWNER TO stoa_door;

-- The tasks that wait for this auditor, the oldest first, or the one whose reference is wanted: who, which rule and how many, and nothing of any resident.
CREATE FUNCTION access_log.open_anomalies(credential bytea, wanted text)
    RETURNS TABLE (reference text, rule text, day date, count integer, usual integer, entry_count bigint, staff_name text, staff_username text,
                   organisation_name jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT a.reference, a.rule, a.day, a.count, a.usual, behind.entry_count, actor.display_name, actor.username, o.name
        FROM web.staff_with(open_anomalies.credential, '{auditor}') AS s
        JOIN access_log.anomaly AS a ON a.actor_id <> s.staff_id::text
        CROSS JOIN LATERAL (SELECT count(*) AS entry_count, max(x.found_at) AS newest FROM access_log.anomaly_entry AS x WHERE x.anomaly_id = a.id) AS behind
        LEFT JOIN identity.staff AS actor ON actor.id::text = a.actor_id
        LEFT JOIN consent.organisation AS o ON o.id = a.actor_id AND a.rule = 'organisation_volume'
        WHERE NOT EXISTS (SELECT FROM access_log.anomaly_finding AS f
                WHERE f.anomaly_id = a.id AND f.closed_at >= coalesce(behind.newest, a.found_at))
          AND (open_anomalies.wanted IS NULL OR a.reference = open_anomalies.wanted)
        ORDER BY a.day, a.found_at, a.id LIMIT 100;
END
$$;
ALTER FUNCTION access_log.open_anomalies(bytea, text) OWNER TO stoa_door;

-- Whose logs the entries behind an open task are in: whom the door looks up, each in an entry of its own, before anything of them is shown.
CREATE FUNCTION access_log.anomaly_subjects(credential bytea, wanted text) RETURNS TABLE (resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.subject_id
        FROM access_log.open_anomalies(anomaly_subjects.credential, anomaly_subjects.wanted) AS o
        JOIN access_log.anomaly AS a ON a.reference = o.reference
        JOIN access_log.anomaly_entry AS x ON x.anomaly_id = a.id
        JOIN access_log.entry AS e ON e.id = x.entry_id AND e.subject_id IS NOT NULL
        WHERE anomaly_subjects.wanted IS NOT NULL
        GROUP BY e.subject_id ORDER BY min(e.at), e.subject_id LIMIT 200;
END
$$;
ALTER FUNCTION access_log.anomaly_subjects(bytea, text) OWNER TO stoa_door;

-- The entries behind a task that are about those whom the caller has just logged that they look into, as those residents read them.
CREATE FUNCTION access_log.anomaly_entries(credential bytea, view_entries uuid[]) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM unnest(anomaly_entries.view_entries) AS asked (id)
        CROSS JOIN LATERAL access_log.look_of_staff(anomaly_entries.credential, asked.id, 'auditor', 'log_view', interval '5 seconds') AS viewed
        JOIN access_log.anomaly AS a ON a.reference = viewed.case_reference AND a.actor_id <> viewed.actor_id
        JOIN access_log.anomaly_entry AS x ON x.anomaly_id = a.id
        JOIN access_log.told_entry AS t ON t.id = x.entry_id AND t.subject_id = viewed.subject_id
        WHERE viewed.purpose = 'anomaly'
        ORDER BY t.at, t.id LIMIT 500;
END
$$;
ALTER FUNCTION access_log.anomaly_entries(bytea, uuid[]) OWNER TO stoa_door;

-- Closes a task, as an auditor who has looked into the entries behind it within the hour, where it has any. Outcomes: closed, already_closed,
-- own_action, not_allowed.
CREATE FUNCTION access_log.close_anomaly(credential bytea, wanted text, finding text, note text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    auditor uuid := (SELECT s.staff_id FROM web.staff_with(close_anomaly.credential, '{auditor}') AS s);
    task record;
BEGIN
    IF auditor IS NULL THEN RETURN 'not_allowed'; END IF;
    -- One after the other, so that the second finds what the first found.
    PERFORM pg_advisory_xact_lock(hashtextextended('anomaly/' || close_anomaly.wanted, 0));
    SELECT a.id, a.actor_id INTO task FROM access_log.anomaly AS a WHERE a.reference = close_anomaly.wanted;
    IF NOT FOUND THEN RETURN 'not_allowed'; END IF;
    IF task.actor_id = auditor::text THEN RETURN 'own_action'; END IF;
    IF EXISTS (SELECT FROM access_log.anomaly_subjects(close_anomaly.credential, close_anomaly.wanted))
        AND NOT access_log.has_looked(auditor, NULL, 'anomaly', close_anomaly.wanted) THEN
        RETURN 'not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM access_log.open_anomalies(close_anomaly.credential, close_anomaly.wanted)) THEN RETURN 'already_closed'; END IF;
    INSERT INTO access_log.anomaly_finding (anomaly_id, finding, note, closed_by) VALUES (task.id, close_anomaly.finding, close_anomaly.note, auditor);
    RETURN 'closed';
END
$$;
ALTER FUNCTION access_log.close_anomaly(bytea, text, text, text) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION access_log.find_anomalies(text, integer, integer, integer), access_log.open_anomalies(bytea, text),
    access_log.anomaly_subjects(bytea, text), access_log.anomaly_entries(bytea, uuid[]), access_log.close_anomaly(bytea, text, text, text) TO stoa_app;
GRANT EXECUTE ON FUNCTION casework.protect(bytea, uuid, boolean, bytea), casework.break_the_glass(bytea, uuid, uuid, text, bytea),
    casework.unreviewed(bytea, text), casework.break_glass_under(bytea, uuid), access_log.entries_under_glass(bytea, uuid),
    casework.review_break_glass(bytea, uuid, text, bytea), casework.own_break_glass(bytea, uuid) TO stoa_app;
REVOKE CREATE ON SCHEMA casework, access_log FROM stoa_door;
