-- Acting for others: a resident lets another one act for them, in named matters, for a time. The helper stays who they are. While they act, their session stands still and
-- a credential of another kind takes its place, which only the functions know that ask mandates.person: whatever was not made for helpers does not know them at all.
-- Every look and every act of a helper is an entry in the log of the resident for whom it was.
CREATE SCHEMA mandates;
GRANT USAGE ON SCHEMA mandates TO stoa_app, stoa_door;
GRANT CREATE ON SCHEMA mandates, access_log TO stoa_door;

CREATE TABLE mandates.mandate (
    id uuid PRIMARY KEY,
    -- What pages, letters and the log call it.
    reference text NOT NULL GENERATED ALWAYS AS ('M-' || upper(left(md5(id::text), 8))) STORED,
    -- For whom, and who acts.
    resident_id uuid NOT NULL REFERENCES register.resident,
    helper_id uuid NOT NULL REFERENCES register.resident,
    -- In which matters.
    themes text[] NOT NULL CHECK (cardinality(themes) >= 1 AND themes <@ '{messages,money}'),
    basis text NOT NULL CHECK (basis IN ('power_of_attorney')),
    -- Who gave it: the resident's account, on-line.
    granted_by uuid NOT NULL REFERENCES identity.account,
    -- What the resident calls the helper, under the resident's key, and what the helper reads of the resident, under the helper's.
    sealed_helper_name bytea NOT NULL CHECK (octet_length(sealed_helper_name) BETWEEN 29 AND 1024),
    sealed_resident_name bytea NOT NULL CHECK (octet_length(sealed_resident_name) BETWEEN 29 AND 1024),
    granted_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    until timestamptz NOT NULL,
    CONSTRAINT mandate_for_another CHECK (helper_id <> resident_id),
    -- Whoever needs one for longer gives it again: a mandate that is forgotten ends by itself.
    CONSTRAINT mandate_until CHECK (until > granted_at AND until <= granted_at + interval '2 years 1 day')
);
CREATE INDEX mandate_resident ON mandates.mandate (resident_id, granted_at);
CREATE INDEX mandate_helper ON mandates.mandate (helper_id, granted_at);
CREATE TRIGGER mandate_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON mandates.mandate
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- What became of it. Each at most once; it ends by the first of the others than accepted.
CREATE TABLE mandates.event (
    mandate_id uuid NOT NULL REFERENCES mandates.mandate,
    -- By the helper: accepted, declined, given_up. By the resident: withdrawn. By the city: erased, with one of the two.
    kind text NOT NULL CHECK (kind IN ('accepted', 'declined', 'given_up', 'withdrawn', 'erased')),
    account_id uuid REFERENCES identity.account,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (mandate_id, kind),
    CHECK ((kind = 'erased') = (account_id IS NULL))
);
CREATE TRIGGER event_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON mandates.event
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Sessions that act for somebody now: the hash of the credential that the browser holds meanwhile, and the session that stands still, known by a hash that nobody has the
-- secret of. It follows the session's hash, and goes with its row.
CREATE TABLE mandates.acting (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_hash bytea NOT NULL UNIQUE REFERENCES web.credential (hash) ON UPDATE CASCADE ON DELETE CASCADE,
    mandate_id uuid NOT NULL REFERENCES mandates.mandate,
    since timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX acting_mandate ON mandates.acting (mandate_id);

GRANT SELECT, INSERT ON mandates.mandate, mandates.event TO stoa_door;
-- To lock a row; nobody changes one.
GRANT UPDATE (id) ON mandates.mandate TO stoa_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON mandates.acting TO stoa_door;

-- Mandates of one resident, or for one helper, that are open: more than a family has.
CREATE FUNCTION mandates.open_max() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 20;
ALTER FUNCTION mandates.open_max() OWNER TO stoa_door;

-- waiting (for the helper's word), in_force, expired, or the event that ended it.
CREATE FUNCTION mandates.state(m mandates.mandate) RETURNS text
    LANGUAGE sql STABLE
    RETURN coalesce(
        (SELECT e.kind FROM mandates.event AS e WHERE e.mandate_id = m.id AND e.kind <> 'accepted' ORDER BY e.at, e.kind LIMIT 1),
        CASE WHEN m.until <= public.stoa_now() THEN 'expired'
            WHEN EXISTS (SELECT FROM mandates.event AS e WHERE e.mandate_id = m.id AND e.kind = 'accepted') THEN 'in_force'
            ELSE 'waiting' END);
ALTER FUNCTION mandates.state(mandates.mandate) OWNER TO stoa_door;

-- Who acts with this credential, and for whom. A row as long as the session that stands still lives; is_in_force says whether the mandate does, too.
CREATE FUNCTION mandates.acting_as(credential bytea)
    RETURNS TABLE (mandate_id uuid, reference text, resident_id uuid, helper_id uuid, account_id uuid, session_hash bytea, themes text[], is_in_force boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT m.id, m.reference, m.resident_id, m.helper_id, a.id, w.session_hash, m.themes, mandates.state(m) = 'in_force'
        FROM mandates.acting AS w
        JOIN web.credential AS c ON c.hash = w.session_hash AND web.is_live(c)
        JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        -- The account may have been linked to another record since.
        JOIN mandates.mandate AS m ON m.id = w.mandate_id AND m.helper_id = a.resident_id
        WHERE w.hash = acting_as.credential;
    END;
ALTER FUNCTION mandates.acting_as(bytea) OWNER TO stoa_door;

-- For whom a credential may act in a matter at this moment: for the functions of the slices. No row for anybody but a helper whose mandate is in force, covers the matter, and
-- whose look is an entry that an earlier transaction committed.
CREATE FUNCTION mandates.person(credential bytea, theme text) RETURNS TABLE (resident_id uuid, account_id uuid, mandate_id uuid, reference text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT w.resident_id, w.account_id, w.mandate_id, w.reference
        FROM mandates.acting_as(person.credential) AS w
        JOIN access_log.own_view AS v ON v.credential = person.credential AND v.kind = 'mandate_' || person.theme AND v.subject_id = w.resident_id
        JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        WHERE w.is_in_force AND person.theme = ANY (w.themes);
    END;
ALTER FUNCTION mandates.person(bytea, text) OWNER TO stoa_door;

-- Writes an entry about what a helper did, or was refused.
CREATE FUNCTION mandates.log(entry_id uuid, subject uuid, account uuid, operation text, purpose text, reference text, refusal text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, operation, attributes, purpose, legal_basis, law, case_reference, outcome, refusal)
        VALUES (log.entry_id, public.stoa_now(), log.subject, 'resident', log.account::text, 'helper', log.operation, '{}', log.purpose,
            CASE WHEN log.refusal IS NULL THEN 'mandate' END, NULL, log.reference,
            CASE WHEN log.refusal IS NULL THEN 'permitted' ELSE 'refused' END, log.refusal);
    INSERT INTO access_log.queue (entry_id) VALUES (log.entry_id);
END
$$;
ALTER FUNCTION mandates.log(uuid, uuid, uuid, text, text, text, text) OWNER TO stoa_door;

-- Logs that a helper looks at a matter, once for each time that they act. What is refused is logged each time. Outcomes: permitted, mandate_missing (it ended, or
-- does not cover this), credential_invalid.
CREATE FUNCTION mandates.log_view(credential bytea, entry_id uuid, theme text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
BEGIN
    PERFORM access_log.check_moment();
    SELECT w.* INTO actor FROM mandates.acting_as(log_view.credential) AS w;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT actor.is_in_force OR NOT log_view.theme = ANY (actor.themes) THEN
        PERFORM mandates.log(log_view.entry_id, actor.resident_id, actor.account_id, 'mandate_view', log_view.theme, actor.reference, 'mandate_missing');
        RETURN 'mandate_missing';
    END IF;
    IF EXISTS (SELECT FROM access_log.own_view AS v
               WHERE v.credential = log_view.credential AND v.kind = 'mandate_' || log_view.theme AND v.subject_id = actor.resident_id) THEN
        RETURN 'permitted';
    END IF;
    PERFORM mandates.log(log_view.entry_id, actor.resident_id, actor.account_id, 'mandate_view', log_view.theme, actor.reference, NULL);
    INSERT INTO access_log.own_view (credential, kind, subject_id, entry_id)
        VALUES (log_view.credential, 'mandate_' || log_view.theme, actor.resident_id, log_view.entry_id) ON CONFLICT DO NOTHING;
    RETURN 'permitted';
END
$$;
ALTER FUNCTION mandates.log_view(bytea, uuid, text) OWNER TO stoa_door;

-- Tells somebody that something became of a mandate.
CREATE FUNCTION mandates.tell(resident uuid, kind text, reference text) RETURNS void
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        INSERT INTO messages.message (id, resident_id, kind, parameters)
            VALUES (gen_random_uuid(), tell.resident, tell.kind, jsonb_build_object('reference', tell.reference));
    END;
ALTER FUNCTION mandates.tell(uuid, text, text) OWNER TO stoa_door;

-- The resident behind a public code who can be a helper: with an account, and proven, so that the log says who it was.
CREATE FUNCTION mandates.helper_behind(code text) RETURNS TABLE (resident_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT r.id FROM register.resident AS named JOIN register.resident AS r ON r.id = coalesce(named.superseded_by, named.id)
        JOIN identity.account AS a ON a.resident_id = r.id AND a.closed_at IS NULL
        WHERE named.public_code = helper_behind.code AND r.identity_assurance >= 1;
    END;
ALTER FUNCTION mandates.helper_behind(text) OWNER TO stoa_door;

-- The key under which the name is sealed that a helper reads. It opens nothing by itself.
CREATE FUNCTION mandates.helper_key(credential bytea, code text) RETURNS TABLE (holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT k.resident_id, k.key_id, k.wrapped_key
        FROM identity.account_of(helper_key.credential) AS me CROSS JOIN mandates.helper_behind(helper_key.code) AS h
        JOIN register.data_key AS k ON k.resident_id = h.resident_id;
END
$$;
ALTER FUNCTION mandates.helper_key(bytea, text) OWNER TO stoa_door;

-- The resident of a session lets somebody act. Outcomes: granted; password or second_factor (to be given first, as before a change of factors); unproven (nobody has seen
-- who they are), minor, helper_unknown, own_code, exists (one is open between the two), too_many, credential_invalid. Matters and end are held by the table.
CREATE FUNCTION mandates.grant_mandate(
    credential bytea, mandate uuid, code text, themes text[], until timestamptz, sealed_helper_name bytea, sealed_resident_name bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me record;
    helper uuid;
    needs text := identity.factor_change_needs(grant_mandate.credential);
BEGIN
    SELECT o.* INTO me FROM identity.account_of(grant_mandate.credential) AS o;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT EXISTS (SELECT FROM register.resident AS r WHERE r.id = me.resident_id AND r.identity_assurance >= 1) THEN RETURN 'unproven'; END IF;
    IF EXISTS (SELECT FROM register.minor AS m WHERE m.resident_id = me.resident_id AND m.of_age_from > public.stoa_now()) THEN RETURN 'minor'; END IF;
    SELECT h.resident_id INTO helper FROM mandates.helper_behind(grant_mandate.code) AS h;
    IF NOT FOUND THEN RETURN 'helper_unknown'; END IF;
    IF helper = me.resident_id THEN RETURN 'own_code'; END IF;
    IF needs <> 'nothing' THEN RETURN needs; END IF;
    -- Two at once of the same resident come one after the other.
    PERFORM a.id FROM identity.account AS a WHERE a.id = me.account_id FOR UPDATE;
    IF EXISTS (SELECT FROM mandates.mandate AS m WHERE m.resident_id = me.resident_id AND m.helper_id = helper AND mandates.state(m) IN ('waiting', 'in_force')) THEN
        RETURN 'exists';
    END IF;
    IF (SELECT count(*) FROM mandates.mandate AS m WHERE m.resident_id = me.resident_id AND mandates.state(m) IN ('waiting', 'in_force')) >= mandates.open_max()
        OR (SELECT count(*) FROM mandates.mandate AS m WHERE m.helper_id = helper AND mandates.state(m) IN ('waiting', 'in_force')) >= mandates.open_max() THEN
        RETURN 'too_many';
    END IF;
    INSERT INTO mandates.mandate (id, resident_id, helper_id, themes, basis, granted_by, sealed_helper_name, sealed_resident_name, until)
        VALUES (grant_mandate.mandate, me.resident_id, helper, grant_mandate.themes, 'power_of_attorney', me.account_id, grant_mandate.sealed_helper_name,
                grant_mandate.sealed_resident_name, grant_mandate.until);
    PERFORM mandates.tell(m.helper_id, 'mandate_offered', m.reference), mandates.tell(m.resident_id, 'mandate_granted', m.reference)
        FROM mandates.mandate AS m WHERE m.id = grant_mandate.mandate;
    PERFORM identity.tell_addresses(me.account_id, 'mandate_granted', NULL);
    RETURN 'granted';
END
$$;
ALTER FUNCTION mandates.grant_mandate(bytea, uuid, text, text[], timestamptz, bytea, bytea) OWNER TO stoa_door;

-- The helper accepts, declines or gives up; the resident withdraws: which of them it is follows from the session. What ends counts at once, and in a race it wins whichever
-- comes first. Outcomes: done, unchanged (it is so already, or has ended otherwise), mandate_unknown (nobody's of theirs, or not for this side to say), credential_invalid.
CREATE FUNCTION mandates.decide(credential bytea, mandate uuid, kind text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me record;
    it mandates.mandate;
    now_is text;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(decide.credential) AS o;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    SELECT m.* INTO it FROM mandates.mandate AS m
        WHERE m.id = decide.mandate
          AND (decide.kind IN ('accepted', 'declined', 'given_up') AND m.helper_id = me.resident_id OR decide.kind = 'withdrawn' AND m.resident_id = me.resident_id)
        FOR UPDATE;
    IF NOT FOUND THEN RETURN 'mandate_unknown'; END IF;
    now_is := mandates.state(it);
    IF NOT (CASE decide.kind WHEN 'given_up' THEN now_is = 'in_force' WHEN 'withdrawn' THEN now_is IN ('waiting', 'in_force') ELSE now_is = 'waiting' END) THEN
        RETURN 'unchanged';
    END IF;
    INSERT INTO mandates.event (mandate_id, kind, account_id) VALUES (decide.mandate, decide.kind, me.account_id);
    PERFORM mandates.tell(CASE decide.kind WHEN 'withdrawn' THEN it.helper_id ELSE it.resident_id END, 'mandate_' || decide.kind, it.reference);
    RETURN 'done';
END
$$;
ALTER FUNCTION mandates.decide(bytea, uuid, text) OWNER TO stoa_door;

-- The mandates of a session's resident, those they gave and those they hold, the newest first; the other's name as they know it, with the key that opens it.
CREATE FUNCTION mandates.mandates_of(credential bytea)
    RETURNS TABLE (id uuid, reference text, is_given boolean, state text, themes text[], basis text, granted_at timestamptz, until timestamptz, other_code text,
                   sealed_name bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT m.id, m.reference, m.resident_id = me.resident_id, mandates.state(m), m.themes, m.basis, m.granted_at, m.until, other.public_code,
            CASE WHEN m.resident_id = me.resident_id THEN m.sealed_helper_name ELSE m.sealed_resident_name END, k.resident_id, k.key_id, k.wrapped_key
        FROM identity.account_of(mandates_of.credential) AS me
        JOIN mandates.mandate AS m ON me.resident_id IN (m.resident_id, m.helper_id)
        JOIN register.resident AS other ON other.id = CASE WHEN m.resident_id = me.resident_id THEN m.helper_id ELSE m.resident_id END
        JOIN register.data_key AS k ON k.resident_id = me.resident_id
        -- What is open first: nobody can push a mandate off the page by offering others.
        ORDER BY (mandates.state(m) IN ('waiting', 'in_force')) DESC, m.granted_at DESC, m.id LIMIT 100;
END
$$;
ALTER FUNCTION mandates.mandates_of(bytea) OWNER TO stoa_door;

-- Begins to act: the session stands still under own_hash, whose secret nobody has, and the browser is known by acting_hash. Outcomes: acting, mandate_unknown (not
-- theirs, or not in force), credential_invalid.
CREATE FUNCTION mandates.act(credential bytea, mandate uuid, own_hash bytea, acting_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    me record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(act.credential) AS o;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    PERFORM FROM mandates.mandate AS m WHERE m.id = act.mandate AND m.helper_id = me.resident_id AND mandates.state(m) = 'in_force';
    IF NOT FOUND THEN RETURN 'mandate_unknown'; END IF;
    UPDATE web.credential AS c SET hash = act.own_hash, last_used_at = public.stoa_now() WHERE c.hash = act.credential AND c.kind = 'session' AND web.is_live(c);
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    INSERT INTO mandates.acting (hash, session_hash, mandate_id) VALUES (act.acting_hash, act.own_hash, act.mandate);
    RETURN 'acting';
END
$$;
ALTER FUNCTION mandates.act(bytea, uuid, bytea, bytea) OWNER TO stoa_door;

-- Back to oneself: the session goes on under a new hash, also where the mandate has ended. False: the session has.
CREATE FUNCTION mandates.stop_acting(credential bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own bytea;
BEGIN
    DELETE FROM mandates.acting AS w WHERE w.hash = stop_acting.credential RETURNING w.session_hash INTO own;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE web.credential AS c SET hash = stop_acting.new_hash, last_used_at = public.stoa_now() WHERE c.hash = own AND c.kind = 'session' AND web.is_live(c);
    RETURN FOUND;
END
$$;
ALTER FUNCTION mandates.stop_acting(bytea, bytea) OWNER TO stoa_door;

-- What the pages of a helper say: for whom they act, until when, and the name with the key that opens it.
CREATE FUNCTION mandates.represented(credential bytea)
    RETURNS TABLE (id uuid, reference text, themes text[], is_in_force boolean, until timestamptz, sealed_name bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT m.id, m.reference, m.themes, w.is_in_force, m.until, m.sealed_resident_name, k.resident_id, k.key_id, k.wrapped_key
        FROM mandates.acting_as(represented.credential) AS w
        JOIN mandates.mandate AS m ON m.id = w.mandate_id
        JOIN register.data_key AS k ON k.resident_id = w.helper_id;
END
$$;
ALTER FUNCTION mandates.represented(bytea) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION mandates.log_view(bytea, uuid, text), mandates.helper_key(bytea, text),
    mandates.grant_mandate(bytea, uuid, text, text[], timestamptz, bytea, bytea), mandates.decide(bytea, uuid, text), mandates.mandates_of(bytea),
    mandates.act(bytea, uuid, bytea, bytea), mandates.stop_acting(bytea, bytea), mandates.represented(bytea) TO stoa_app;

-- What was paid by a helper.
ALTER TABLE payments.payment ADD COLUMN mandate_id uuid REFERENCES mandates.mandate;

REVOKE CREATE ON SCHEMA mandates, access_log FROM stoa_door;
