-- Children and who decides for them (GDPR Art. 8). Until an age the guardians who must agree decide together; from an age on the child is asked too; from another
-- the child decides alone. Any one of them, the child too, stops a sharing at once. An agreement of before such a birthday ends with it and waits for the child: that end
-- is its valid_until, so the door decides about it by its clock as about every other (consent.state_at).
GRANT CREATE ON SCHEMA register, access_log, consent TO stoa_door;

-- The birthdays that count, as instants in the city's time zone: the birth date itself is sealed, and the door must decide without opening anything. They give it away,
-- of children with a guardian alone, and go with the resident (0017).
CREATE TABLE register.minor (
    resident_id uuid PRIMARY KEY REFERENCES register.resident,
    -- From when on the child is asked too, decides alone, and is of age.
    asked_from timestamptz NOT NULL,
    alone_from timestamptz NOT NULL,
    of_age_from timestamptz NOT NULL,
    CHECK (asked_from <= alone_from AND alone_from <= of_age_from)
);

CREATE TABLE register.guardianship (
    id uuid PRIMARY KEY,
    child_id uuid NOT NULL REFERENCES register.minor (resident_id),
    guardian_id uuid NOT NULL REFERENCES register.resident CHECK (guardian_id <> child_id),
    -- Whether nothing of the child is shared without this guardian. Who need not agree can see and stop.
    must_agree boolean NOT NULL,
    -- What each calls the other: the child's name under the guardian's key, the guardian's under the child's.
    sealed_child_name bytea NOT NULL CHECK (octet_length(sealed_child_name) BETWEEN 28 AND 1024),
    sealed_guardian_name bytea NOT NULL CHECK (octet_length(sealed_guardian_name) BETWEEN 28 AND 1024),
    -- On whose word, such as a court's or the birth register's.
    authority text NOT NULL CHECK (length(authority) BETWEEN 3 AND 200),
    since timestamptz NOT NULL DEFAULT public.stoa_now(),
    until timestamptz CHECK (until >= since),
    end_authority text CHECK (length(end_authority) BETWEEN 3 AND 200),
    CHECK ((until IS NULL) = (end_authority IS NULL))
);
-- One at a time between the same two.
CREATE UNIQUE INDEX guardianship_current ON register.guardianship (child_id, guardian_id) WHERE until IS NULL;
CREATE INDEX guardianship_guardian ON register.guardianship (guardian_id);
GRANT SELECT ON register.minor, register.guardianship TO stoa_door;

-- Who speaks for a child at a moment: nobody any more from the day on which it is of age.
CREATE FUNCTION register.guardians_at(child uuid, moment timestamptz) RETURNS TABLE (guardian_id uuid, must_agree boolean, sealed_guardian_name bytea)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT g.guardian_id, g.must_agree, g.sealed_guardian_name
        FROM register.guardianship AS g JOIN register.minor AS m ON m.resident_id = g.child_id AND m.of_age_from > guardians_at.moment
        WHERE g.child_id = guardians_at.child AND g.since <= guardians_at.moment AND (g.until IS NULL OR g.until > guardians_at.moment);
    END;
ALTER FUNCTION register.guardians_at(uuid, timestamptz) OWNER TO stoa_door;

-- The keys that the names of a guardianship are sealed under. For the owner (stoa guardianship).
CREATE FUNCTION register.sealing_key(code text) RETURNS TABLE (resident_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT r.id, k.key_id, k.wrapped_key
        FROM register.resident AS named JOIN register.resident AS r ON r.id = coalesce(named.superseded_by, named.id)
        JOIN register.data_key AS k ON k.resident_id = r.id
        WHERE named.public_code = sealing_key.code;
    END;

-- Enters a guardianship, for the owner. What the child shares was agreed to without this guardian, so it is void where the guardian must agree. Outcomes: recorded,
-- unchanged (it stands already), grown_up.
CREATE FUNCTION register.add_guardianship(
    guardianship uuid, child uuid, guardian uuid, must_agree boolean, asked_from timestamptz, alone_from timestamptz, of_age_from timestamptz,
    sealed_child_name bytea, sealed_guardian_name bytea, authority text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    activity uuid;
BEGIN
    IF add_guardianship.of_age_from <= public.stoa_now() THEN RETURN 'grown_up'; END IF;
    -- Two at once for the same child come one after the other.
    PERFORM r.id FROM register.resident AS r WHERE r.id = add_guardianship.child FOR UPDATE;
    IF EXISTS (SELECT FROM register.guardianship AS g
               WHERE g.child_id = add_guardianship.child AND g.guardian_id = add_guardianship.guardian AND g.until IS NULL) THEN
        RETURN 'unchanged';
    END IF;
    -- The settings may have changed since another guardian was entered, or the birth date was wrong.
    INSERT INTO register.minor AS m (resident_id, asked_from, alone_from, of_age_from)
        VALUES (add_guardianship.child, add_guardianship.asked_from, add_guardianship.alone_from, add_guardianship.of_age_from)
        ON CONFLICT (resident_id) DO UPDATE SET asked_from = excluded.asked_from, alone_from = excluded.alone_from, of_age_from = excluded.of_age_from;
    INSERT INTO register.guardianship (id, child_id, guardian_id, must_agree, sealed_child_name, sealed_guardian_name, authority)
        VALUES (add_guardianship.guardianship, add_guardianship.child, add_guardianship.guardian, add_guardianship.must_agree, add_guardianship.sealed_child_name,
                add_guardianship.sealed_guardian_name, add_guardianship.authority);
    IF add_guardianship.must_agree AND add_guardianship.alone_from > public.stoa_now() THEN
        FOR activity IN
            SELECT s.activity_id FROM consent.state AS s
            WHERE s.resident_id = add_guardianship.child AND s.state IN ('given', 'renewed', 'agreed') ORDER BY s.activity_id
        LOOP
            PERFORM consent.append(gen_random_uuid(), add_guardianship.child, activity, 'invalidated', NULL, NULL, NULL, NULL, NULL, 'system', 'guardian_entered', 'en', NULL);
        END LOOP;
    END IF;
    RETURN 'recorded';
END
$$;

-- Both are told when one is entered and when it ends, whoever writes the row.
CREATE FUNCTION register.tell_of_guardianship() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind)
        SELECT gen_random_uuid(), told.resident_id, told.whom || CASE WHEN NEW.until IS NULL THEN '_entered' ELSE '_ended' END
        FROM (VALUES (NEW.guardian_id, 'guardianship'), (NEW.child_id, 'guardian')) AS told (resident_id, whom);
    RETURN NULL;
END
$$;
ALTER FUNCTION register.tell_of_guardianship() OWNER TO stoa_door;
CREATE TRIGGER guardianship_told AFTER INSERT OR UPDATE OF until ON register.guardianship
    FOR EACH ROW EXECUTE FUNCTION register.tell_of_guardianship();

-- Ends one, for the owner. False: there is none between these two.
CREATE FUNCTION register.end_guardianship(child uuid, guardian uuid, authority text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE register.guardianship AS g SET until = public.stoa_now(), end_authority = end_guardianship.authority
        WHERE g.child_id = end_guardianship.child AND g.guardian_id = end_guardianship.guardian AND g.until IS NULL;
    RETURN FOUND;
END
$$;

-- What an agreement or a renewal of somebody comes to. verdict: alone (who decides is nobody else's business), complete (all who must agree have), agreed (others are still
-- missing), unchanged (this one has agreed already), guardians_decide (not this one, or nobody can now). ends_by: the next birthday, with which it ends.
CREATE FUNCTION consent.family_verdict(
    child uuid, activity uuid, kind text, attributes text[], policy_version integer, account uuid, capacity text, moment timestamptz,
    OUT verdict text, OUT ends_by timestamptz)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    minor register.minor;
    party uuid := (SELECT a.resident_id FROM identity.account AS a WHERE a.id = family_verdict.account);
    parties uuid[];
    agreed uuid[];
BEGIN
    SELECT m.* INTO minor FROM register.minor AS m WHERE m.resident_id = family_verdict.child AND m.alone_from > family_verdict.moment;
    IF NOT FOUND THEN verdict := 'alone'; RETURN; END IF;
    ends_by := CASE WHEN minor.asked_from > family_verdict.moment THEN minor.asked_from ELSE minor.alone_from END;

    IF family_verdict.kind = 'renewed' THEN
        -- The child goes on with what the guardians agreed to before it was asked; they need not say it again.
        verdict := CASE WHEN party = family_verdict.child AND EXISTS (
                SELECT FROM consent.state AS s WHERE s.resident_id = family_verdict.child AND s.activity_id = family_verdict.activity AND s.state = 'expired'
                    AND s.valid_until = minor.asked_from)
            THEN 'complete' ELSE 'guardians_decide' END;
        RETURN;
    END IF;

    parties := ARRAY(SELECT g.guardian_id FROM register.guardians_at(family_verdict.child, family_verdict.moment) AS g WHERE g.must_agree);
    IF cardinality(parties) = 0 THEN verdict := 'guardians_decide'; RETURN; END IF;
    IF minor.asked_from <= family_verdict.moment THEN parties := parties || family_verdict.child; END IF;
    IF family_verdict.capacity NOT IN ('self', 'guardian') OR NOT coalesce(party = ANY (parties), false) THEN verdict := 'guardians_decide'; RETURN; END IF;
    -- Who said the same since anything else happened.
    agreed := ARRAY(
        SELECT a.resident_id FROM consent.event AS e JOIN identity.account AS a ON a.id = e.account_id
        WHERE e.resident_id = family_verdict.child AND e.activity_id = family_verdict.activity AND e.kind = 'agreed' AND e.valid_until > family_verdict.moment
          AND e.sequence > coalesce((
            SELECT max(x.sequence) FROM consent.event AS x
            WHERE x.resident_id = family_verdict.child AND x.activity_id = family_verdict.activity
              AND (x.kind <> 'agreed' OR x.attributes <> family_verdict.attributes OR x.policy_version <> family_verdict.policy_version)), 0));
    verdict := CASE WHEN parties <@ (agreed || party) THEN 'complete' WHEN party = ANY (agreed) THEN 'unchanged' ELSE 'agreed' END;
END
$$;
ALTER FUNCTION consent.family_verdict(uuid, uuid, text, text[], integer, uuid, text, timestamptz) OWNER TO stoa_door;

-- The children of the resident whom the credential names, as long as they are children; each with its name and the key that opens it.
CREATE FUNCTION register.children_of(credential bytea)
    RETURNS TABLE (child_id uuid, public_code text, must_agree boolean, decides_alone boolean, is_asked boolean, guardianship_id uuid, sealed_child_name bytea,
                   holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT g.child_id, r.public_code, g.must_agree, m.alone_from <= public.stoa_now(), m.asked_from <= public.stoa_now(), g.id, g.sealed_child_name,
            g.guardian_id, k.key_id, k.wrapped_key
        FROM consent.decider(children_of.credential) AS d
        JOIN register.guardianship AS g ON g.guardian_id = d.resident_id AND g.since <= public.stoa_now() AND (g.until IS NULL OR g.until > public.stoa_now())
        JOIN register.minor AS m ON m.resident_id = g.child_id AND m.of_age_from > public.stoa_now()
        JOIN register.resident AS r ON r.id = g.child_id
        JOIN register.data_key AS k ON k.resident_id = g.guardian_id
        ORDER BY m.of_age_from, g.child_id;
END
$$;
ALTER FUNCTION register.children_of(bytea) OWNER TO stoa_door;

-- The children at whose sharing the resident whom the credential names has not looked since their guardianship began.
CREATE FUNCTION register.unseen_children(credential bytea) RETURNS TABLE (child_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT g.child_id
        FROM consent.decider(unseen_children.credential) AS d
        JOIN register.guardianship AS g ON g.guardian_id = d.resident_id AND g.since <= public.stoa_now() AND (g.until IS NULL OR g.until > public.stoa_now())
        JOIN register.minor AS m ON m.resident_id = g.child_id AND m.of_age_from > public.stoa_now()
        WHERE NOT EXISTS (SELECT FROM access_log.entry AS e
            WHERE e.subject_id = g.child_id AND e.operation = 'guardian_view' AND e.outcome = 'permitted' AND e.actor_id = d.account_id::text AND e.at >= g.since);
END
$$;
ALTER FUNCTION register.unseen_children(bytea) OWNER TO stoa_door;

-- Whether somebody is a child's guardian now.
CREATE FUNCTION register.is_guardian(guardian uuid, child uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM register.guardians_at(is_guardian.child, public.stoa_now()) AS g WHERE g.guardian_id = is_guardian.guardian);
ALTER FUNCTION register.is_guardian(uuid, uuid) OWNER TO stoa_door;

-- Logs that a guardian looks at what the child shares: an entry about the child that shows as the guardian's, once a session or token. Who is no guardian of the child makes a
-- refused entry: about the child where they were its guardian once, and else about nobody. Outcomes: permitted, child_unknown, credential_invalid.
CREATE FUNCTION access_log.log_guardian_view(credential bytea, entry_id uuid, child uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
    is_permitted boolean;
BEGIN
    PERFORM access_log.check_moment();
    SELECT d.* INTO actor FROM consent.decider(log_guardian_view.credential) AS d;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    is_permitted := register.is_guardian(actor.resident_id, log_guardian_view.child);
    IF is_permitted AND EXISTS (SELECT FROM access_log.own_view AS v
            WHERE v.credential = log_guardian_view.credential AND v.kind = 'child_consents' AND v.subject_id = log_guardian_view.child) THEN
        RETURN 'permitted';
    END IF;
    INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, client_id, operation, attributes, purpose, legal_basis, law, outcome, refusal)
        VALUES (log_guardian_view.entry_id, public.stoa_now(),
            CASE WHEN is_permitted OR EXISTS (SELECT FROM register.guardianship AS g WHERE g.guardian_id = actor.resident_id AND g.child_id = log_guardian_view.child)
                THEN log_guardian_view.child END,
            'resident', actor.account_id::text, 'guardian', actor.client_id, 'guardian_view', '{}', 'child_consents',
            CASE WHEN is_permitted THEN 'legal_obligation' END, CASE WHEN is_permitted THEN 'GDPR Art. 8' END,
            CASE WHEN is_permitted THEN 'permitted' ELSE 'refused' END, CASE WHEN NOT is_permitted THEN 'guardian_missing' END);
    INSERT INTO access_log.queue (entry_id) VALUES (log_guardian_view.entry_id);
    IF NOT is_permitted THEN RETURN 'child_unknown'; END IF;
    INSERT INTO access_log.own_view (credential, kind, subject_id, entry_id)
        VALUES (log_guardian_view.credential, 'child_consents', log_guardian_view.child, log_guardian_view.entry_id)
        ON CONFLICT DO NOTHING;
    RETURN 'permitted';
END
$$;
ALTER FUNCTION access_log.log_guardian_view(bytea, uuid, uuid) OWNER TO stoa_door;

-- How the child's sharing stands, for a guardian who has logged that they look. has_agreed: this guardian is among those who agreed to what waits for others.
CREATE FUNCTION consent.states_of_child(credential bytea, child uuid)
    RETURNS TABLE (activity_id uuid, state text, policy_version integer, attributes text[], since timestamptz, valid_until timestamptz, has_agreed boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT s.activity_id, held.state, s.policy_version, consent.shown_attributes(s, held.state),
            CASE held.state WHEN 'expired' THEN s.valid_until ELSE s.since END, s.valid_until,
            held.state = 'agreed' AND EXISTS (
                SELECT FROM consent.event AS e
                WHERE e.resident_id = s.resident_id AND e.activity_id = s.activity_id AND e.kind = 'agreed' AND e.account_id = d.account_id
                  AND e.attributes = s.attributes AND e.policy_version = s.policy_version
                  AND e.sequence > coalesce((SELECT max(x.sequence) FROM consent.event AS x
                      WHERE x.resident_id = s.resident_id AND x.activity_id = s.activity_id AND x.kind <> 'agreed'), 0))
        FROM consent.decider(states_of_child.credential) AS d
        JOIN access_log.own_view AS v ON v.credential = states_of_child.credential AND v.kind = 'child_consents' AND v.subject_id = states_of_child.child
        JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        JOIN consent.state AS s ON s.resident_id = v.subject_id
        CROSS JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state) AS held
        WHERE register.is_guardian(d.resident_id, states_of_child.child);
END
$$;
ALTER FUNCTION consent.states_of_child(bytea, uuid) OWNER TO stoa_door;

-- A guardian agrees for a child, or stops. Outcomes: those of consent.append, and child_unknown (not theirs, not any more, of age), child_decides (it is old enough to decide
-- alone), kind_unknown, credential_invalid.
CREATE FUNCTION consent.decide_for_child(
    credential bytea, child uuid, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor record;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(decide_for_child.credential) AS d;
    IF actor IS NULL THEN RETURN 'credential_invalid'; END IF;
    IF decide_for_child.kind NOT IN ('given', 'withdrawn') THEN RETURN 'kind_unknown'; END IF;
    IF NOT register.is_guardian(actor.resident_id, decide_for_child.child) THEN RETURN 'child_unknown'; END IF;
    IF EXISTS (SELECT FROM register.minor AS m WHERE m.resident_id = decide_for_child.child AND m.alone_from <= public.stoa_now()) THEN RETURN 'child_decides'; END IF;
    RETURN consent.append(decide_for_child.event_id, decide_for_child.child, decide_for_child.activity, decide_for_child.kind, decide_for_child.attributes,
        decide_for_child.policy_version, actor.account_id, NULL, actor.client_id, 'guardian', actor.method, decide_for_child.language, NULL);
END
$$;
ALTER FUNCTION consent.decide_for_child(bytea, uuid, uuid, uuid, text, text[], integer, text) OWNER TO stoa_door;

-- How the resident whom a credential names agrees to a sharing: alone; together with those who must agree (a child that is asked too); or guardians, not at all.
-- For pages, so that none offers what consent.append refuses.
CREATE FUNCTION consent.way_to_agree(credential bytea) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((
        SELECT CASE WHEN m.alone_from <= public.stoa_now() THEN 'alone'
            WHEN m.asked_from <= public.stoa_now() AND EXISTS (
                SELECT FROM register.guardians_at(m.resident_id, public.stoa_now()) AS g WHERE g.must_agree) THEN 'together'
            ELSE 'guardians' END
        FROM consent.decider(way_to_agree.credential) AS d JOIN register.minor AS m ON m.resident_id = d.resident_id), 'alone');
END
$$;
ALTER FUNCTION consent.way_to_agree(bytea) OWNER TO stoa_door;

-- The guardians of the resident whom the credential names, for the child's own page.
CREATE FUNCTION register.guardians_of(credential bytea)
    RETURNS TABLE (guardianship_id uuid, account_id uuid, must_agree boolean, since timestamptz, until timestamptz, sealed_guardian_name bytea, holder_id uuid, key_id text,
                   wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT g.id, a.id, g.must_agree, g.since, g.until, g.sealed_guardian_name, g.child_id, k.key_id, k.wrapped_key
        FROM consent.decider(guardians_of.credential) AS d
        JOIN register.guardianship AS g ON g.child_id = d.resident_id
        JOIN register.data_key AS k ON k.resident_id = g.child_id
        LEFT JOIN identity.account AS a ON a.resident_id = g.guardian_id
        ORDER BY g.since, g.id;
END
$$;
ALTER FUNCTION register.guardians_of(bytea) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION register.children_of(bytea), register.unseen_children(bytea), register.guardians_of(bytea), consent.way_to_agree(bytea), access_log.log_guardian_view(bytea, uuid, uuid), consent.states_of_child(bytea, uuid),
    consent.decide_for_child(bytea, uuid, uuid, uuid, text, text[], integer, text) TO stoa_app;
REVOKE CREATE ON SCHEMA register, access_log, consent FROM stoa_door;
