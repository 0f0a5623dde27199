-- "Question this": a resident asks about one entry of their log, and an auditor answers within the legal time. What is written in either is
-- sealed like the data. The auditor reads the question, and the entry that it is about, under a committed entry of their own (operation
-- log_view), which the resident sees in turn.
CREATE SCHEMA questions;
GRANT USAGE ON SCHEMA questions TO stoa_app, stoa_door;

CREATE TABLE questions.question (
    id uuid PRIMARY KEY,
    -- What both sides quote: the form of a public code, drawn apart.
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    -- One question an entry. The entry's content may be erased one day, the question stays.
    entry_id uuid NOT NULL UNIQUE,
    -- Who asks, and under whose key the words are sealed.
    resident_id uuid NOT NULL REFERENCES register.resident,
    sealed_question bytea NOT NULL CHECK (octet_length(sealed_question) BETWEEN 29 AND 4096),
    asked_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    -- GDPR Art. 12(3): within one month.
    due_at timestamptz NOT NULL DEFAULT public.stoa_now() + interval '1 month'
);
CREATE INDEX question_due ON questions.question (due_at);
CREATE INDEX question_resident ON questions.question (resident_id);
CREATE TRIGGER question_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON questions.question
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- One answer a question; it never changes.
CREATE TABLE questions.answer (
    question_id uuid PRIMARY KEY REFERENCES questions.question,
    finding text NOT NULL CHECK (finding IN ('lawful', 'unlawful')),
    sealed_answer bytea NOT NULL CHECK (octet_length(sealed_answer) BETWEEN 29 AND 4096),
    answered_by uuid NOT NULL REFERENCES identity.staff,
    answered_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER answer_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON questions.answer
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- The decision to tell a resident the name of who made the entry: without such a row the role alone is told. It comes with the answer.
CREATE TABLE questions.name_release (
    question_id uuid PRIMARY KEY REFERENCES questions.answer,
    -- Whose name.
    staff_id uuid NOT NULL REFERENCES identity.staff,
    sealed_reason bytea NOT NULL CHECK (octet_length(sealed_reason) BETWEEN 29 AND 4096),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT released_by_another CHECK (decided_by <> staff_id)
);
CREATE TRIGGER name_release_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON questions.name_release
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Nobody judges what they did themselves, whatever function the answer comes through.
CREATE FUNCTION questions.check_answer() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM questions.question AS q JOIN access_log.entry AS e ON e.id = q.entry_id
               WHERE q.id = NEW.question_id AND e.actor_kind = 'staff' AND e.actor_id = NEW.answered_by::text) THEN
        RAISE EXCEPTION 'a question is answered by somebody else than who is asked about'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'answered_by_another';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER answered_by_another BEFORE INSERT ON questions.answer
    FOR EACH ROW EXECUTE FUNCTION questions.check_answer();

GRANT CREATE ON SCHEMA questions TO stoa_door;
GRANT SELECT, INSERT ON questions.question, questions.answer, questions.name_release TO stoa_door;
ALTER FUNCTION questions.check_answer() OWNER TO stoa_door;

-- Entries of others about the resident whom the credential names, once the view of the log is logged: what can be asked about.
CREATE FUNCTION questions.questionable(credential bytea, entry uuid) RETURNS TABLE (entry_id uuid, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, h.own_id
        FROM access_log.own_viewer AS h
        JOIN access_log.told_entry AS e ON e.id = questionable.entry AND e.subject_id = h.resident_id AND e.operation <> 'own_view'
        WHERE h.credential = questionable.credential AND h.kind = 'access_log';
END
$$;
ALTER FUNCTION questions.questionable(bytea, uuid) OWNER TO stoa_door;

-- Asks. The same id again is the same question. Outcomes: asked (resident says whom to tell; null when it stood already), already_asked,
-- entry_unknown, too_many (twenty wait already).
CREATE FUNCTION questions.ask(
    credential bytea, question uuid, reference text, entry uuid, sealed_question bytea, OUT outcome text, OUT resident uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
BEGIN
    SELECT x.entry_id, x.resident_id INTO asked FROM questions.questionable(ask.credential, ask.entry) AS x;
    IF NOT FOUND THEN outcome := 'entry_unknown'; RETURN; END IF;
    -- One after the other, so that the count holds.
    PERFORM pg_advisory_xact_lock(hashtextextended('question/' || asked.resident_id::text, 0));
    -- A month's work of one auditor is not one resident's: others' questions would wait behind it.
    IF (SELECT count(*) FROM questions.question AS q WHERE q.resident_id = asked.resident_id
            AND q.entry_id <> asked.entry_id AND NOT EXISTS (SELECT FROM questions.answer AS a WHERE a.question_id = q.id)) >= 20 THEN
        outcome := 'too_many';
        RETURN;
    END IF;
    INSERT INTO questions.question AS q (id, reference, entry_id, resident_id, sealed_question)
        VALUES (ask.question, ask.reference, asked.entry_id, asked.resident_id, ask.sealed_question)
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        outcome := 'asked';
        resident := asked.resident_id;
    ELSE
        outcome := CASE WHEN EXISTS (SELECT FROM questions.question AS q WHERE q.id = ask.question AND q.entry_id = asked.entry_id)
            THEN 'asked' ELSE 'already_asked' END;
    END IF;
END
$$;
ALTER FUNCTION questions.ask(bytea, uuid, text, uuid, bytea) OWNER TO stoa_door;

-- The resident's own question about an entry, with its answer if there is one, and the key that both are sealed under.
CREATE FUNCTION questions.own_question(credential bytea, entry uuid)
    RETURNS TABLE (id uuid, reference text, sealed_question bytea, asked_at timestamptz, due_at timestamptz,
                   holder_id uuid, key_id text, wrapped_key bytea, finding text, sealed_answer bytea, answered_at timestamptz,
                   released_name text, released_username text, sealed_release bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT q.id, q.reference, q.sealed_question, q.asked_at, q.due_at, q.resident_id, k.key_id, k.wrapped_key,
            answer.finding, answer.sealed_answer, answer.answered_at, actor.display_name, actor.username, released.sealed_reason
        FROM questions.questionable(own_question.credential, own_question.entry) AS x
        JOIN questions.question AS q ON q.entry_id = x.entry_id
        JOIN register.data_key AS k ON k.resident_id = q.resident_id
        LEFT JOIN questions.answer AS answer ON answer.question_id = q.id
        LEFT JOIN questions.name_release AS released ON released.question_id = q.id
        LEFT JOIN identity.staff AS actor ON actor.id = released.staff_id;
END
$$;
ALTER FUNCTION questions.own_question(bytea, uuid) OWNER TO stoa_door;

-- All that the resident asked, newest first: as the log itself after that view is logged, also where the entry was erased.
CREATE FUNCTION questions.own_questions(credential bytea, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, reference text, sealed_question bytea, asked_at timestamptz, due_at timestamptz,
                   holder_id uuid, key_id text, wrapped_key bytea, finding text, sealed_answer bytea, answered_at timestamptz,
                   released_name text, released_username text, sealed_release bytea, entry_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT q.id, q.reference, q.sealed_question, q.asked_at, q.due_at, q.resident_id, k.key_id, k.wrapped_key,
            answer.finding, answer.sealed_answer, answer.answered_at, actor.display_name, actor.username, released.sealed_reason, q.entry_id
        FROM access_log.own_viewer AS h
        JOIN questions.question AS q ON q.resident_id = h.resident_id
        JOIN register.data_key AS k ON k.resident_id = q.resident_id
        LEFT JOIN questions.answer AS answer ON answer.question_id = q.id
        LEFT JOIN questions.name_release AS released ON released.question_id = q.id
        LEFT JOIN identity.staff AS actor ON actor.id = released.staff_id
        WHERE h.credential = own_questions.credential AND h.kind = 'access_log'
          AND (own_questions.before_at IS NULL OR (q.asked_at, q.id) < (own_questions.before_at, own_questions.before_id))
        ORDER BY q.asked_at DESC, q.id DESC LIMIT LEAST(own_questions.page_size, 200);
END
$$;
ALTER FUNCTION questions.own_questions(bytea, timestamptz, uuid, integer) OWNER TO stoa_door;

-- The questions that wait for this auditor, the most urgent first, or the one whose reference is wanted: not those about what the auditor did, and not those of
-- people who were erased, whose words nobody can read any more. The resident is here as the id that the door looks up: what is asked is seen
-- only after that look-up is in the log.
CREATE FUNCTION questions.waiting(credential bytea, wanted text)
    RETURNS TABLE (reference text, asked_at timestamptz, due_at timestamptz, is_overdue boolean, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT q.reference, q.asked_at, q.due_at, q.due_at < public.stoa_now(), coalesce(r.superseded_by, r.id)
        FROM web.staff_with(waiting.credential, '{auditor}') AS s
        CROSS JOIN questions.question AS q
        JOIN register.resident AS r ON r.id = q.resident_id
        JOIN register.data_key AS k ON k.resident_id = q.resident_id
        LEFT JOIN access_log.entry AS e ON e.id = q.entry_id
        WHERE NOT EXISTS (SELECT FROM questions.answer AS a WHERE a.question_id = q.id)
          AND (waiting.wanted IS NULL OR q.reference = waiting.wanted)
          AND (e.actor_kind = 'staff' AND e.actor_id = s.staff_id::text) IS NOT TRUE
        ORDER BY q.due_at, q.id LIMIT 100;
END
$$;
ALTER FUNCTION questions.waiting(bytea, text) OWNER TO stoa_door;

-- A waiting question with the key that it is sealed under. The entry that it is about comes from
-- access_log.questioned_entry (migrations/0016).
CREATE FUNCTION questions.question_under(credential bytea, view_entry uuid)
    RETURNS TABLE (id uuid, reference text, sealed_question bytea, asked_at timestamptz, due_at timestamptz,
                   holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT q.id, q.reference, q.sealed_question, q.asked_at, q.due_at, q.resident_id, k.key_id, k.wrapped_key
        FROM access_log.look_of_staff(question_under.credential, question_under.view_entry, 'auditor', 'log_view', interval '5 seconds') AS viewed
        JOIN questions.question AS q ON q.reference = viewed.case_reference AND viewed.purpose = 'question'
        JOIN register.resident AS holder ON holder.id = q.resident_id AND viewed.subject_id IN (holder.id, holder.superseded_by)
        JOIN register.data_key AS k ON k.resident_id = q.resident_id
        WHERE NOT EXISTS (SELECT FROM questions.answer AS a WHERE a.question_id = q.id);
END
$$;
ALTER FUNCTION questions.question_under(bytea, uuid) OWNER TO stoa_door;

-- Who made the entry that such a question is about, where that is a member of staff.
CREATE FUNCTION questions.actor_under(credential bytea, view_entry uuid) RETURNS TABLE (staff_id uuid, display_name text, username text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT s.id, s.display_name, s.username
        FROM questions.question_under(actor_under.credential, actor_under.view_entry) AS u
        JOIN questions.question AS q ON q.id = u.id
        JOIN access_log.entry AS e ON e.id = q.entry_id AND e.actor_kind = 'staff'
        JOIN identity.staff AS s ON s.id = e.actor_id::uuid;
END
$$;
ALTER FUNCTION questions.actor_under(bytea, uuid) OWNER TO stoa_door;

-- Answers, once, by an auditor who has looked into it within the hour; with sealed_release, the reason, the name of who acted is told as well. Outcomes: answered (resident says whom to tell), already_answered,
-- not_allowed, own_action.
CREATE FUNCTION questions.answer_question(
    credential bytea, question uuid, finding text, sealed_answer bytea, sealed_release bytea, OUT outcome text, OUT resident uuid, OUT reference text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
    auditor uuid := (SELECT s.staff_id FROM web.staff_with(answer_question.credential, '{auditor}') AS s);
BEGIN
    SELECT q.id, q.reference, q.resident_id, q.entry_id, coalesce(holder.superseded_by, holder.id) AS subject_id INTO asked
        FROM questions.question AS q JOIN register.resident AS holder ON holder.id = q.resident_id
        WHERE q.id = answer_question.question AND access_log.has_looked(auditor, ARRAY[holder.id, holder.superseded_by], 'question', q.reference);
    IF NOT FOUND THEN outcome := 'not_allowed'; RETURN; END IF;
    IF EXISTS (SELECT FROM access_log.entry AS e WHERE e.id = asked.entry_id AND e.actor_kind = 'staff' AND e.actor_id = auditor::text) THEN
        outcome := 'own_action';
        RETURN;
    END IF;
    INSERT INTO questions.answer AS a (question_id, finding, sealed_answer, answered_by)
        VALUES (asked.id, answer_question.finding, answer_question.sealed_answer, auditor)
        ON CONFLICT ON CONSTRAINT answer_pkey DO NOTHING;
    IF NOT FOUND THEN outcome := 'already_answered'; RETURN; END IF;
    IF answer_question.sealed_release IS NOT NULL THEN
        INSERT INTO questions.name_release (question_id, staff_id, sealed_reason, decided_by)
            SELECT asked.id, e.actor_id::uuid, answer_question.sealed_release, auditor
            FROM access_log.entry AS e WHERE e.id = asked.entry_id AND e.actor_kind = 'staff';
        -- An organisation's system has no name to release, and neither has an entry that was erased.
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no member of staff made the entry' USING ERRCODE = 'check_violation', CONSTRAINT = 'released_name_is_staffs';
        END IF;
    END IF;
    outcome := 'answered';
    resident := asked.subject_id;
    reference := asked.reference;
END
$$;
ALTER FUNCTION questions.answer_question(bytea, uuid, text, bytea, bytea) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION questions.ask(bytea, uuid, text, uuid, bytea), questions.own_question(bytea, uuid),
    questions.own_questions(bytea, timestamptz, uuid, integer), questions.waiting(bytea, text), questions.question_under(bytea, uuid), questions.actor_under(bytea, uuid),
    questions.answer_question(bytea, uuid, text, bytea, bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA questions FROM stoa_door;
