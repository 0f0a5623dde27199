-- Delayed disclosure: where a law says so (consent.processing_activity.delay_law), an authority may order that a resident is told later what one organisation reads
-- about them for one purpose, so that they do not learn of an investigation by looking at their log.
--
--   set     by an auditor, on the written order of the authority: its name, its decision, a day of review and a last day
--   kept    by another auditor, who has looked at it again: until a later day of review, never beyond the last day
--   ended   by an auditor, at once
--
-- An order ends by itself on its day of review when nobody kept it: the entries are then told, at their place in the log and in the list. It cannot begin again.
-- Until then whoever may read the subject's log meets nothing: the entries are in no list, no proof, no export and no count about them, are numbered in a chain of
-- their own (access_log.sequence), and no look takes longer for them (access_log.told_chain). What the order says is a leaf of the log (0040_decisions.sql).
GRANT CREATE ON SCHEMA access_log TO stoa_door;

-- Reviews may be half a year apart, and no order lasts longer than two years: beyond that an authority orders anew.
CREATE FUNCTION access_log.seal_review_max() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '6 months';
CREATE FUNCTION access_log.seal_length_max() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '2 years';
ALTER FUNCTION access_log.seal_review_max() OWNER TO stoa_door;
ALTER FUNCTION access_log.seal_length_max() OWNER TO stoa_door;

CREATE TRIGGER seal_event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.seal_event
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER seal_stays BEFORE DELETE OR TRUNCATE ON access_log.seal
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Of an order nothing changes but until when it conceals, and not once it has ended; only where a law lets telling be delayed can there be one.
CREATE FUNCTION access_log.check_seal() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM consent.processing_activity AS a WHERE a.id = NEW.activity_id AND a.delay_law IS NOT NULL) THEN
            RAISE EXCEPTION 'no law delays what is told of this purpose' USING ERRCODE = 'check_violation', CONSTRAINT = 'seal_has_law';
        END IF;
        IF NEW.concealed_until > public.stoa_now() + access_log.seal_review_max() OR NEW.maximum_at > public.stoa_now() + access_log.seal_length_max() THEN
            RAISE EXCEPTION 'an order is reviewed within half a year and ends within two' USING ERRCODE = 'check_violation', CONSTRAINT = 'seal_is_bounded';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.subject_id, NEW.activity_id, NEW.authority, NEW.ground, NEW.maximum_at)
        IS DISTINCT FROM (OLD.id, OLD.subject_id, OLD.activity_id, OLD.authority, OLD.ground, OLD.maximum_at)
        OR OLD.concealed_until <= public.stoa_now() OR NEW.concealed_until > public.stoa_now() + access_log.seal_review_max() THEN
        RAISE EXCEPTION 'an order can be kept until its next review, or be ended, while it lasts' USING ERRCODE = 'check_violation', CONSTRAINT = 'seal_is_bounded';
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION access_log.check_seal() OWNER TO stoa_door;
CREATE TRIGGER seal_is_bounded BEFORE INSERT OR UPDATE ON access_log.seal FOR EACH ROW EXECUTE FUNCTION access_log.check_seal();

-- Whoever keeps an order did not set it.
CREATE FUNCTION access_log.check_seal_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.kind = 'kept' AND EXISTS (SELECT FROM access_log.seal_event AS e WHERE e.seal_id = NEW.seal_id AND e.kind = 'set' AND e.staff_id = NEW.staff_id) THEN
        RAISE EXCEPTION 'another auditor keeps an order' USING ERRCODE = 'check_violation', CONSTRAINT = 'seal_four_eyes';
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION access_log.check_seal_event() OWNER TO stoa_door;
CREATE TRIGGER seal_four_eyes BEFORE INSERT ON access_log.seal_event FOR EACH ROW EXECUTE FUNCTION access_log.check_seal_event();

-- Sets an order, for an auditor. The look that this is, whether somebody has this national number, is an entry under the order itself: told when all else is.
--   set               entry is that of the order
--   not_permitted     nothing happened
--   activity_unknown  no such organisation and purpose, or no law delays what is told of it
--   dates_invalid     the day of review is past, beyond half a year or behind the last day, or the last day beyond two years
--   subject_unknown   nobody has the number; the entry, which is about nobody, says so
CREATE FUNCTION access_log.set_seal(
    credential bytea, entry uuid, national_number_hmac bytea, organisation text, purpose text, authority text, ground text, review_at timestamptz,
    maximum_at timestamptz) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    auditor uuid;
    activity record;
    subject uuid;
    seal uuid;
BEGIN
    PERFORM access_log.check_moment();
    SELECT s.staff_id INTO auditor FROM web.staff_with(set_seal.credential, '{auditor}') AS s;
    IF auditor IS NULL THEN RETURN 'not_permitted'; END IF;
    SELECT a.id, a.delay_law INTO activity FROM consent.processing_activity AS a
        WHERE a.organisation_id = set_seal.organisation AND a.purpose = set_seal.purpose AND a.delay_law IS NOT NULL;
    IF NOT FOUND THEN RETURN 'activity_unknown'; END IF;
    IF set_seal.review_at <= public.stoa_now() OR set_seal.review_at > set_seal.maximum_at
        OR set_seal.review_at > public.stoa_now() + access_log.seal_review_max() OR set_seal.maximum_at > public.stoa_now() + access_log.seal_length_max() THEN
        RETURN 'dates_invalid';
    END IF;
    -- Of two people with one number nobody is meant.
    SELECT (min(l.resident_id::text))::uuid INTO subject FROM register.lookup AS l
        WHERE l.kind = 'national_number' AND l.hmac = set_seal.national_number_hmac HAVING count(*) = 1;
    IF subject IS NOT NULL THEN
        seal := gen_random_uuid();
        INSERT INTO access_log.seal (id, subject_id, activity_id, authority, ground, maximum_at, concealed_until)
            VALUES (seal, subject, activity.id, set_seal.authority, set_seal.ground, set_seal.maximum_at, set_seal.review_at);
        INSERT INTO access_log.seal_event (seal_id, kind, staff_id, concealed_until) VALUES (seal, 'set', auditor, set_seal.review_at);
    END IF;
    INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, operation, attributes, purpose, legal_basis, law,
            case_reference, outcome, refusal, seal_id)
        VALUES (set_seal.entry, public.stoa_now(), subject, 'staff', auditor::text, 'auditor', 'city', 'seal', '{}', 'delayed_disclosure',
            CASE WHEN subject IS NOT NULL THEN 'public_task' END, CASE WHEN subject IS NOT NULL THEN activity.delay_law END, set_seal.ground,
            CASE WHEN subject IS NULL THEN 'refused' ELSE 'permitted' END, CASE WHEN subject IS NULL THEN 'subject_unknown' END, seal);
    INSERT INTO access_log.queue (entry_id) VALUES (set_seal.entry);
    RETURN CASE WHEN subject IS NULL THEN 'subject_unknown' ELSE 'set' END;
END
$$;
ALTER FUNCTION access_log.set_seal(bytea, uuid, bytea, text, text, text, text, timestamptz, timestamptz) OWNER TO stoa_door;

-- Reviews an order, for an auditor: keeps it until a later day of review (null: ends it now). It names nobody, so it is no look.
--   kept, ended, not_permitted, unknown, already_ended, own (whoever set it cannot keep it), dates_invalid
CREATE FUNCTION access_log.review_seal(credential bytea, seal uuid, review_at timestamptz) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    auditor uuid;
    ordered access_log.seal;
    until CONSTANT timestamptz := coalesce(review_at, public.stoa_now());
BEGIN
    SELECT s.staff_id INTO auditor FROM web.staff_with(review_seal.credential, '{auditor}') AS s;
    IF auditor IS NULL THEN RETURN 'not_permitted'; END IF;
    SELECT s.* INTO ordered FROM access_log.seal AS s WHERE s.id = review_seal.seal FOR UPDATE;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    IF ordered.concealed_until <= public.stoa_now() THEN RETURN 'already_ended'; END IF;
    IF review_seal.review_at IS NOT NULL THEN
        IF EXISTS (SELECT FROM access_log.seal_event AS e WHERE e.seal_id = ordered.id AND e.kind = 'set' AND e.staff_id = auditor) THEN RETURN 'own'; END IF;
        IF until <= public.stoa_now() OR until > ordered.maximum_at OR until > public.stoa_now() + access_log.seal_review_max() THEN
            RETURN 'dates_invalid';
        END IF;
    END IF;
    UPDATE access_log.seal AS s SET concealed_until = until WHERE s.id = ordered.id;
    INSERT INTO access_log.seal_event (seal_id, kind, staff_id, concealed_until)
        VALUES (ordered.id, CASE WHEN review_seal.review_at IS NULL THEN 'ended' ELSE 'kept' END, auditor, until);
    RETURN CASE WHEN review_seal.review_at IS NULL THEN 'ended' ELSE 'kept' END;
END
$$;
ALTER FUNCTION access_log.review_seal(bytea, uuid, timestamptz) OWNER TO stoa_door;

-- The purposes for which a law lets telling be delayed: for everybody.
CREATE FUNCTION access_log.delayable_activities()
    RETURNS TABLE (organisation_id text, purpose text, organisation_name jsonb, purpose_title jsonb, delay_law text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT a.organisation_id, a.purpose, o.name, p.title, a.delay_law
        FROM consent.processing_activity AS a
        JOIN consent.organisation AS o ON o.id = a.organisation_id
        JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE a.delay_law IS NOT NULL ORDER BY a.organisation_id, a.purpose;
END
$$;
ALTER FUNCTION access_log.delayable_activities() OWNER TO stoa_door;

-- The orders that last, for an auditor, those first that are to be reviewed first: not whom they are about.
CREATE FUNCTION access_log.seals_in_force(credential bytea) RETURNS TABLE (
    id uuid, authority text, ground text, organisation_name jsonb, purpose_title jsonb, set_at timestamptz, set_by text, is_own boolean, review_at timestamptz,
    maximum_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT s.id, s.authority, s.ground, o.name, p.title, e.at, w.display_name, e.staff_id = a.staff_id, s.concealed_until, s.maximum_at
        FROM web.staff_with(seals_in_force.credential, '{auditor}') AS a
        CROSS JOIN access_log.seal AS s
        JOIN access_log.seal_event AS e ON e.seal_id = s.id AND e.kind = 'set'
        JOIN identity.staff AS w ON w.id = e.staff_id
        JOIN consent.processing_activity AS act ON act.id = s.activity_id
        JOIN consent.organisation AS o ON o.id = act.organisation_id
        JOIN consent.policy AS p ON p.activity_id = act.id AND p.version = act.policy_version
        WHERE s.concealed_until > public.stoa_now()
        ORDER BY s.concealed_until, s.id LIMIT 200;
END
$$;
ALTER FUNCTION access_log.seals_in_force(bytea) OWNER TO stoa_door;

-- For everybody: how many orders each authority gave, how many of them last, and how many reads they delay or delayed, all as of the beginning of the month in
-- the city's time zone: what happened since is not told yet, so that nobody can tell by looking every day whether something was ordered today.
CREATE FUNCTION access_log.seal_figures(zone text) RETURNS TABLE (authority text, set_count bigint, in_force_count bigint, read_count bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    as_of CONSTANT timestamptz := date_trunc('month', public.stoa_now() AT TIME ZONE zone) AT TIME ZONE zone;
BEGIN
    RETURN QUERY
        SELECT s.authority, count(*),
            count(*) FILTER (WHERE (SELECT x.concealed_until FROM access_log.seal_event AS x WHERE x.seal_id = s.id AND x.at < as_of
                                    ORDER BY x.at DESC, x.kind = 'set' LIMIT 1) > as_of),
            coalesce(sum((SELECT count(*) FROM access_log.entry AS e WHERE e.seal_id = s.id AND e.operation <> 'seal' AND e.at < as_of)), 0)::bigint
        FROM access_log.seal AS s JOIN access_log.seal_event AS e ON e.seal_id = s.id AND e.kind = 'set' AND e.at < as_of
        GROUP BY s.authority ORDER BY s.authority;
END
$$;
ALTER FUNCTION access_log.seal_figures(text) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION access_log.set_seal(bytea, uuid, bytea, text, text, text, text, timestamptz, timestamptz),
    access_log.review_seal(bytea, uuid, timestamptz), access_log.seals_in_force(bytea), access_log.delayable_activities(), access_log.seal_figures(text) TO stoa_app;
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;
