-- The door to personal data, and the log of everybody who went through it: no committed log entry, no data.
--
--   authorise(requests)  finds who asks (from the credential), the subject, and the legal ground; inserts one entry each; returns decisions
--   release(entry ids)   returns sealed values, only for permitted entries that an earlier transaction committed: within five seconds,
--                        but a resident's own views for as long as the session or token lives that made them
--
-- Both are set-based: a single read is an array of one. stoa_app may call them and may not read or write the tables.
-- Afterwards one sequencer gives each entry its leaf in the transparency log (access_log.sequence).
CREATE SCHEMA access_log;
GRANT USAGE ON SCHEMA access_log TO stoa_app, stoa_auditor, stoa_door;

-- Why a member of staff may open a record, and the law that lets the city do so.
CREATE TABLE access_log.staff_reason (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z_]{1,39}$'),
    law text NOT NULL
);
INSERT INTO access_log.staff_reason (id, law) VALUES
    ('identity_proofing', 'Population Register Act § 12'),
    ('application', 'Social Services Act § 31'),
    ('correction', 'GDPR Art. 16'),
    ('complaint', 'Administrative Procedure Act § 24'),
    ('assistance', 'City Services Act § 8');
GRANT SELECT ON access_log.staff_reason TO stoa_app, stoa_auditor, stoa_door;

CREATE TABLE access_log.entry (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    -- Null: the search or request found nobody.
    subject_id uuid,
    actor_kind text NOT NULL CHECK (actor_kind IN ('resident', 'staff', 'organisation')),
    actor_id text NOT NULL,
    actor_role text NOT NULL,
    organisation_id text,
    client_id text,
    operation text NOT NULL CHECK (operation IN ('disclose', 'view', 'search', 'paper_entry', 'own_view')),
    attributes text[] NOT NULL,
    purpose text NOT NULL,
    legal_basis text,
    law text,
    consent_event_id uuid,
    case_reference text,
    outcome text NOT NULL CHECK (outcome IN ('permitted', 'refused')),
    refusal text,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- Two random UUIDs carry 244 random bits; without them a commitment cannot be tried out.
    salt bytea NOT NULL DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) CHECK (octet_length(salt) = 32),
    CHECK ((outcome = 'refused') = (refusal IS NOT NULL)),
    -- What an entry can be long: the limits of the forms and of the exchange. Without them one huge entry would stop the sequencer.
    CHECK (cardinality(attributes) <= 50 AND array_position(attributes, NULL) IS NULL AND octet_length(array_to_string(attributes, ',')) <= 4096
        AND length(purpose) <= 63 AND length(case_reference) <= 64),
    CHECK (outcome = 'refused' OR (legal_basis IS NOT NULL AND (legal_basis <> 'consent' OR consent_event_id IS NOT NULL)))
);
CREATE INDEX entry_subject ON access_log.entry (subject_id, at, id);

-- A resident's own views are logged once a session and kind.
CREATE TABLE access_log.own_view (
    credential bytea NOT NULL,
    kind text NOT NULL,
    entry_id uuid NOT NULL UNIQUE,
    PRIMARY KEY (credential, kind)
);

-- Entries that wait for their leaf.
CREATE TABLE access_log.queue (
    entry_id uuid PRIMARY KEY
);

-- The leaves of the RFC 6962 tree, in order. Never deleted from: an erased entry leaves its commitment, which says nothing.
CREATE TABLE access_log.leaf (
    index bigint PRIMARY KEY CHECK (index >= 0),
    entry_id uuid NOT NULL UNIQUE,
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    -- Position among the entries about one subject, and the commitment before it: what is left out leaves a hole, which
    -- `stoa verify log` looks for.
    subject_number bigint CHECK (subject_number >= 1),
    previous_commitment bytea CHECK (octet_length(previous_commitment) = 32),
    CHECK ((previous_commitment IS NULL) = (subject_number IS NULL OR subject_number = 1))
);
CREATE TRIGGER leaf_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.leaf
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Where each subject's chain ends: the last number and commitment, so that a chain cannot be cut short unseen.
CREATE TABLE access_log.subject_head (
    subject_id uuid PRIMARY KEY,
    number bigint NOT NULL,
    commitment bytea NOT NULL
);

-- Signed tree heads. The frontier lets the next one be computed without the leaves before it.
CREATE TABLE access_log.checkpoint (
    tree_size bigint PRIMARY KEY CHECK (tree_size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    frontier bytea[] NOT NULL,
    note text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER checkpoint_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- Where each batch of leaves ends. The head of that size is signed in the same transaction, or the leaves do not commit: leaves that no
-- head covers could never be followed by others.
CREATE TABLE access_log.batch (
    tree_size bigint PRIMARY KEY REFERENCES access_log.checkpoint (tree_size) DEFERRABLE INITIALLY DEFERRED
);
CREATE TRIGGER batch_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.batch
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE FUNCTION access_log.check_checkpoint_size() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.tree_size <> (SELECT coalesce(max(l.index) + 1, 0) FROM access_log.leaf AS l) THEN
        RAISE EXCEPTION 'a checkpoint covers all leaves there are' USING ERRCODE = 'check_violation', CONSTRAINT = 'checkpoint_covers_leaves';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER checkpoint_covers_leaves BEFORE INSERT ON access_log.checkpoint
    FOR EACH ROW EXECUTE FUNCTION access_log.check_checkpoint_size();

-- What was erased, on whose authority. An entry goes only together with such a row.
CREATE TABLE access_log.erasure (
    entry_id uuid PRIMARY KEY,
    authority text NOT NULL CHECK (length(authority) BETWEEN 3 AND 200),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER erasure_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.erasure
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER entry_only_grows BEFORE UPDATE OR TRUNCATE ON access_log.entry
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE FUNCTION access_log.check_erasure() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM access_log.erasure AS e WHERE e.entry_id = OLD.id)
        OR NOT EXISTS (SELECT FROM access_log.leaf AS l WHERE l.entry_id = OLD.id) THEN
        RAISE EXCEPTION 'an access entry is erased only by access_log.erase_entry, after it has its leaf' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER entry_erased_on_authority BEFORE DELETE ON access_log.entry
    FOR EACH ROW EXECUTE FUNCTION access_log.check_erasure();

-- Erases the content and salt of one entry; its commitment stays in the tree. For the owner only.
CREATE FUNCTION access_log.erase_entry(entry_id uuid, authority text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO access_log.erasure (entry_id, authority) VALUES (erase_entry.entry_id, erase_entry.authority);
    DELETE FROM access_log.entry AS e WHERE e.id = erase_entry.entry_id;
    RETURN FOUND;
END
$$;

GRANT SELECT ON access_log.entry, access_log.leaf, access_log.checkpoint, access_log.erasure, access_log.queue, access_log.subject_head TO stoa_auditor;
GRANT SELECT, INSERT ON access_log.checkpoint TO stoa_app;

GRANT CREATE ON SCHEMA access_log TO stoa_door;
GRANT SELECT, INSERT ON access_log.entry, access_log.own_view, access_log.leaf TO stoa_door;
GRANT INSERT ON access_log.batch TO stoa_door;
GRANT SELECT, INSERT, DELETE ON access_log.queue TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON access_log.subject_head TO stoa_door;
ALTER FUNCTION access_log.check_checkpoint_size() OWNER TO stoa_door;

-- The door decides by the state of this moment. An old snapshot would not see a withdrawal, a statement that began long ago (stoa_now()
-- is when it began) would date its entries back, and an entry that is not flushed could be lost after its data went out.
CREATE FUNCTION access_log.check_moment() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        RAISE EXCEPTION 'access entries need synchronous_commit' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the door opens in read committed transactions only' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- A batch is decided in milliseconds; two seconds leave room for a machine that stands still.
    IF clock_timestamp() - statement_timestamp() > interval '2 seconds' THEN
        RAISE EXCEPTION 'this statement began too long ago; ask in one of its own' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;
ALTER FUNCTION access_log.check_moment() OWNER TO stoa_door;

-- Decides and logs. Arrays of equal length, one element a request:
--   credentials      SHA-256 of the session or access token: actor, role and organisation follow from its row
--   operations       disclose (an organisation reads), view, search and paper_entry (staff), own_view (a resident, of own data)
--   subject_kinds    disclose: pseudonym; staff: resident, public_code, national_number, name_and_birth_date; own_view: self.
--                    Any other names nobody: an own view can only be of the resident whose credential it is
--   subject_keys     UUID, code, or the HMAC in hexadecimal; '' for self
--   attribute_lists  attribute ids with commas between them
--   purposes         disclose: the organisation's purpose; of staff: a reason; own_view: the kind of view, which is also the scope
--   case_references  compulsory but for own_view
-- Returns a decision each, in no order: refusal is null where permitted; missing names the attributes that nothing covers;
-- entry_id is the entry to release under (for a repeated own view, the first one). A credential that does not stand makes no entry.
-- The joins are probes whatever the statistics say: LATERAL with OFFSET 0 holds each one to its index, because the plan is made once,
-- perhaps while the tables are empty, and one that scans would make every reader wait.
CREATE FUNCTION access_log.authorise(
    entry_ids uuid[], credentials bytea[], operations text[], subject_kinds text[], subject_keys text[], attribute_lists text[],
    purposes text[], case_references text[])
    RETURNS TABLE (request_id uuid, entry_id uuid, refusal text, missing text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    PERFORM access_log.check_moment();
    RETURN QUERY
    WITH request AS (
        SELECT r.*, string_to_array(nullif(r.attribute_list, ''), ',') AS attributes
        FROM unnest(entry_ids, credentials, operations, subject_kinds, subject_keys, attribute_lists, purposes, case_references)
            AS r (id, credential, operation, subject_kind, subject_key, attribute_list, purpose, case_reference)
    ), resolved AS (
        SELECT r.id, r.credential, r.operation, coalesce(r.attributes, '{}') AS attributes, r.purpose, nullif(r.case_reference, '') AS case_reference,
            CASE WHEN c.account_id IS NOT NULL THEN 'resident' WHEN c.staff_id IS NOT NULL THEN 'staff'
                 WHEN c.organisation_id IS NOT NULL THEN 'organisation' END AS actor_kind,
            coalesce(c.account_id::text, c.staff_id::text, c.client_id) AS actor_id,
            c.kind AS credential_kind, c.scope, c.client_id,
            CASE WHEN c.staff_id IS NOT NULL THEN 'city' ELSE c.organisation_id END AS organisation_id,
            s.roles,
            CASE r.operation
                WHEN 'own_view' THEN CASE r.subject_kind WHEN 'self' THEN a.resident_id END
                WHEN 'disclose' THEN p.resident_id
                ELSE CASE r.subject_kind
                    WHEN 'resident' THEN (SELECT x.id FROM register.resident AS x WHERE x.id = r.subject_key::uuid)
                    -- The code of an account from before the counter linked it still finds who it was.
                    WHEN 'public_code' THEN (SELECT coalesce(x.superseded_by, x.id) FROM register.resident AS x WHERE x.public_code = r.subject_key)
                    ELSE found.residents[1] END END AS subject_id,
            cardinality(found.residents) > 1 AS ambiguous,
            act.id AS activity_id, act.legal_basis AS activity_basis, act.law AS activity_law, pol.attributes AS policy_attributes,
            st.state AS consent_state, st.attributes AS consent_attributes, st.event_id AS consent_event_id,
            reason.law AS staff_law, own.entry_id AS own_entry_id
        FROM request AS r
        LEFT JOIN LATERAL (SELECT x.* FROM web.credential AS x WHERE x.hash = r.credential AND web.is_live(x) OFFSET 0) AS c ON true
        LEFT JOIN LATERAL (SELECT x.* FROM identity.account AS x WHERE x.id = c.account_id AND x.closed_at IS NULL OFFSET 0) AS a ON true
        LEFT JOIN LATERAL (SELECT x.* FROM identity.staff AS x WHERE x.id = c.staff_id AND x.closed_at IS NULL OFFSET 0) AS s ON true
        LEFT JOIN LATERAL (SELECT x.* FROM exchange.pseudonym AS x WHERE r.subject_kind = 'pseudonym' AND x.organisation_id = c.organisation_id
            AND x.pseudonym = CASE r.subject_kind WHEN 'pseudonym' THEN r.subject_key::uuid END OFFSET 0) AS p ON true
        LEFT JOIN LATERAL (SELECT x.* FROM consent.processing_activity AS x
            WHERE x.organisation_id = c.organisation_id AND x.purpose = r.purpose OFFSET 0) AS act ON true
        LEFT JOIN LATERAL (SELECT x.* FROM consent.policy AS x WHERE x.activity_id = act.id AND x.version = act.policy_version OFFSET 0) AS pol ON true
        LEFT JOIN LATERAL (SELECT x.* FROM consent.state AS x WHERE x.resident_id = p.resident_id AND x.activity_id = act.id OFFSET 0) AS st ON true
        LEFT JOIN access_log.staff_reason AS reason ON c.staff_id IS NOT NULL AND reason.id = r.purpose
        LEFT JOIN LATERAL (SELECT x.* FROM access_log.own_view AS x
            WHERE r.operation = 'own_view' AND x.credential = r.credential AND x.kind = r.purpose OFFSET 0) AS own ON true
        LEFT JOIN LATERAL (
            SELECT array_agg(l.resident_id) AS residents FROM (
                SELECT l.resident_id FROM register.lookup AS l
                WHERE r.subject_kind IN ('national_number', 'name_and_birth_date') AND l.kind = r.subject_kind
                  AND l.hmac = CASE WHEN r.subject_kind IN ('national_number', 'name_and_birth_date') THEN decode(r.subject_key, 'hex') END
                LIMIT 2) AS l) AS found ON r.subject_kind IN ('national_number', 'name_and_birth_date')
    ), decided AS (
        SELECT d.*, CASE
            WHEN d.actor_kind IS NULL THEN 'credential_invalid'
            WHEN d.operation = 'disclose' THEN CASE
                WHEN d.actor_kind <> 'organisation' OR NOT 'exchange.read' = ANY (d.scope) THEN 'scope_missing'
                WHEN d.case_reference IS NULL THEN 'case_reference_missing'
                WHEN d.activity_id IS NULL THEN 'purpose_unknown'
                WHEN cardinality(d.attributes) = 0 THEN 'attributes_missing'
                WHEN d.subject_id IS NULL THEN 'subject_unknown'
                WHEN NOT d.attributes <@ d.policy_attributes THEN 'attributes_not_in_purpose'
                WHEN d.activity_basis = 'consent' AND (d.consent_state IS DISTINCT FROM 'given' OR NOT d.attributes <@ d.consent_attributes)
                    THEN 'consent_missing' END
            WHEN d.operation IN ('view', 'search', 'paper_entry') THEN CASE
                WHEN d.actor_kind <> 'staff' OR NOT coalesce('caseworker' = ANY (d.roles), false) THEN 'role_missing'
                WHEN d.staff_law IS NULL THEN 'reason_unknown'
                WHEN d.case_reference IS NULL THEN 'case_reference_missing'
                WHEN d.ambiguous THEN 'subject_ambiguous'
                WHEN d.subject_id IS NULL THEN 'subject_unknown'
                WHEN d.operation <> 'view' AND cardinality(d.attributes) > 0 THEN 'attributes_not_in_purpose' END
            WHEN d.operation = 'own_view' THEN CASE
                WHEN d.actor_kind <> 'resident' OR (d.credential_kind = 'access_token' AND NOT d.purpose = ANY (d.scope)) THEN 'scope_missing'
                WHEN d.subject_id IS NULL THEN 'subject_unknown' END
            ELSE 'operation_unknown' END AS refusal
        FROM resolved AS d
    ), logged AS (
        INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes,
                                      purpose, legal_basis, law, consent_event_id, case_reference, outcome, refusal)
        SELECT d.id, public.stoa_now(), CASE WHEN d.ambiguous THEN NULL ELSE d.subject_id END, d.actor_kind, d.actor_id,
            CASE WHEN d.actor_kind = 'staff' THEN CASE WHEN 'caseworker' = ANY (d.roles) THEN 'caseworker' ELSE d.roles[1] END ELSE d.actor_kind END,
            d.organisation_id, d.client_id, d.operation, d.attributes, d.purpose,
            CASE WHEN d.refusal IS NOT NULL THEN NULL WHEN d.operation = 'disclose' THEN d.activity_basis
                 WHEN d.operation = 'own_view' THEN 'own_data' ELSE 'public_task' END,
            CASE WHEN d.refusal IS NOT NULL THEN NULL WHEN d.operation = 'disclose' THEN d.activity_law
                 WHEN d.operation = 'own_view' THEN 'GDPR Art. 15' ELSE d.staff_law END,
            CASE WHEN d.refusal IS NULL AND d.activity_basis = 'consent' THEN d.consent_event_id END,
            d.case_reference, CASE WHEN d.refusal IS NULL THEN 'permitted' ELSE 'refused' END, d.refusal
        FROM decided AS d
        WHERE d.own_entry_id IS NULL AND (d.refusal IS NULL OR d.refusal NOT IN ('credential_invalid', 'operation_unknown'))
        RETURNING entry.id
    ), queued AS (
        INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l
    ), own AS (
        INSERT INTO access_log.own_view (credential, kind, entry_id)
        SELECT d.credential, d.purpose, d.id FROM decided AS d
        WHERE d.operation = 'own_view' AND d.refusal IS NULL AND d.own_entry_id IS NULL
        ON CONFLICT DO NOTHING
    )
    SELECT d.id, coalesce(d.own_entry_id, d.id), d.refusal,
        CASE d.refusal
            WHEN 'attributes_not_in_purpose' THEN
                ARRAY(SELECT m.id FROM unnest(d.attributes) AS m (id) WHERE NOT coalesce(m.id = ANY (d.policy_attributes), false))
            WHEN 'consent_missing' THEN
                ARRAY(SELECT m.id FROM unnest(d.attributes) AS m (id)
                      WHERE d.consent_state IS DISTINCT FROM 'given' OR NOT m.id = ANY (d.consent_attributes))
            ELSE '{}' END
    FROM decided AS d;
END
$$;
ALTER FUNCTION access_log.authorise(uuid[], bytea[], text[], text[], text[], text[], text[], text[]) OWNER TO stoa_door;

-- Gives out what the entries permit: one row an attribute that is held (one without attribute where none is). Residents who look at
-- their own data also get what they gave before the counter linked their account: it lies sealed under the earlier resident's key.
-- An open transaction, a savepoint or a rollback yields nothing: the entry must have been committed by an earlier transaction.
CREATE FUNCTION access_log.release(entry_ids uuid[])
    RETURNS TABLE (entry_id uuid, resident_id uuid, public_code text, identity_assurance smallint,
                   holder_id uuid, key_id text, wrapped_key bytea, attribute text, sealed_value bytea, source text, recorded_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    PERFORM access_log.check_moment();
    RETURN QUERY
    SELECT e.id, r.id, r.public_code, r.identity_assurance, holder.id, k.key_id, k.wrapped_key, a.attribute, a.sealed_value, a.source, a.recorded_at
    FROM unnest(entry_ids) AS asked (id)
    CROSS JOIN LATERAL (SELECT * FROM access_log.entry AS x WHERE x.id = asked.id OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT * FROM register.resident AS x WHERE x.id = e.subject_id OFFSET 0) AS r
    CROSS JOIN LATERAL (
        SELECT r.id UNION ALL
        SELECT earlier.id FROM register.resident AS earlier WHERE e.operation = 'own_view' AND earlier.superseded_by = r.id) AS holder
    LEFT JOIN LATERAL (SELECT * FROM register.data_key AS x WHERE x.resident_id = holder.id OFFSET 0) AS k ON true
    LEFT JOIN LATERAL (SELECT * FROM register.sealed_attribute AS x WHERE x.resident_id = holder.id AND x.attribute = ANY (e.attributes) OFFSET 0) AS a ON true
    WHERE e.outcome = 'permitted'
      AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
      AND (e.at > public.stoa_now() - interval '5 seconds'
           OR (e.operation = 'own_view' AND EXISTS (
               SELECT FROM access_log.own_view AS o JOIN web.credential AS c ON c.hash = o.credential AND web.is_live(c)
               WHERE o.entry_id = e.id)));
END
$$;
ALTER FUNCTION access_log.release(uuid[]) OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION access_log.authorise(uuid[], bytea[], text[], text[], text[], text[], text[], text[]), access_log.release(uuid[]) TO stoa_app;

-- One field of the canonical encoding (Sources/TransparencyLog/CanonicalEncoding.swift): number and tag, length, payload; without a payload tag 0.
CREATE FUNCTION access_log.field(number_and_tag bytea, payload bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN payload IS NULL THEN substr(number_and_tag, 1, 1) || '\x0000000000'::bytea
                ELSE number_and_tag || int4send(octet_length(payload)) || payload END;

-- An entry as the bytes that are committed to. Fields are only ever added, with a new label. The Swift twin that verifies it,
-- written apart from it, is Sources/AccessLog/CanonicalEntry.swift. It runs under the search_path of access_log.sequence, which alone
-- calls it: to set one for each entry again was a tenth of the sequencer's work.
CREATE FUNCTION access_log.canonical(e access_log.entry, subject_number bigint, previous_commitment bytea) RETURNS bytea
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    list bytea := int4send(cardinality(e.attributes));
    attribute text;
BEGIN
    FOREACH attribute IN ARRAY e.attributes LOOP
        list := list || access_log.field('\x01', convert_to(attribute, 'UTF8'));
    END LOOP;
    RETURN access_log.field('\x0107', uuid_send(e.id))
        || access_log.field('\x0203', int8send((extract(epoch FROM e.at) * 1000000)::bigint))
        || access_log.field('\x0307', uuid_send(e.subject_id))
        || access_log.field('\x0401', convert_to(e.actor_kind, 'UTF8'))
        || access_log.field('\x0501', convert_to(e.actor_id, 'UTF8'))
        || access_log.field('\x0601', convert_to(e.actor_role, 'UTF8'))
        || access_log.field('\x0701', convert_to(e.organisation_id, 'UTF8'))
        || access_log.field('\x0801', convert_to(e.client_id, 'UTF8'))
        || access_log.field('\x0901', convert_to(e.operation, 'UTF8'))
        || access_log.field('\x0a05', list)
        || access_log.field('\x0b01', convert_to(e.purpose, 'UTF8'))
        || access_log.field('\x0c01', convert_to(e.legal_basis, 'UTF8'))
        || access_log.field('\x0d01', convert_to(e.law, 'UTF8'))
        || access_log.field('\x0e07', uuid_send(e.consent_event_id))
        || access_log.field('\x0f01', convert_to(e.case_reference, 'UTF8'))
        || access_log.field('\x1001', convert_to(e.outcome, 'UTF8'))
        || access_log.field('\x1101', convert_to(e.refusal, 'UTF8'))
        || access_log.field('\x1202', int8send(canonical.subject_number))
        || access_log.field('\x1304', canonical.previous_commitment);
END
$$;

-- Takes the oldest waiting entries and gives each its leaf. One sequencer at a time, over all nodes: a second one gets nothing.
-- What waits is in a queue, never "ids above the last": a transaction that commits late would be passed over.
-- The bytes committed to are literals of this file, so their reading is set too (standard_conforming_strings).
-- Within a batch the leaves stand in the order of their commitments, which are random: the public tree shows no order of arrival.
CREATE FUNCTION access_log.sequence(entries_max integer) RETURNS TABLE (index bigint, commitment bytea)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET standard_conforming_strings = on AS $$
DECLARE
    first_index bigint;
    waiting access_log.entry;
    subject uuid;
    number bigint;
    previous bytea;
    salted bytea;
    entry_ids uuid[] := '{}';
    subjects uuid[] := '{}';
    numbers bigint[] := '{}';
    previouses bytea[] := '{}';
    commitments bytea[] := '{}';
BEGIN
    IF NOT pg_try_advisory_xact_lock(7308895158) THEN RETURN; END IF;
    SELECT coalesce(max(l.index) + 1, 0) INTO first_index FROM access_log.leaf AS l;
    -- Subject by subject, so that each one's chain is carried in two variables.
    FOR waiting IN
        WITH taken AS (
            DELETE FROM access_log.queue AS q
            WHERE q.entry_id = ANY (ARRAY(SELECT o.entry_id FROM access_log.queue AS o ORDER BY o.entry_id LIMIT entries_max))
            RETURNING q.entry_id)
        SELECT e.* FROM taken AS t CROSS JOIN LATERAL (SELECT * FROM access_log.entry AS x WHERE x.id = t.entry_id OFFSET 0) AS e
        ORDER BY e.subject_id, e.at, e.id
    LOOP
        IF waiting.subject_id IS NULL THEN
            number := NULL;
            previous := NULL;
        ELSIF waiting.subject_id IS DISTINCT FROM subject THEN
            SELECT h.number, h.commitment INTO number, previous FROM access_log.subject_head AS h WHERE h.subject_id = waiting.subject_id;
            number := coalesce(number, 0) + 1;
        ELSE
            number := number + 1;
            previous := salted;
        END IF;
        subject := waiting.subject_id;
        salted := sha256('stoa access entry v1\012'::bytea || waiting.salt || access_log.canonical(waiting, number, previous));
        entry_ids := entry_ids || waiting.id;
        subjects := subjects || subject;
        numbers := numbers || number;
        previouses := previouses || previous;
        commitments := commitments || salted;
    END LOOP;

    INSERT INTO access_log.subject_head (subject_id, number, commitment)
        SELECT DISTINCT ON (b.subject) b.subject, b.number, b.commitment
        FROM unnest(subjects, numbers, commitments) AS b (subject, number, commitment)
        WHERE b.subject IS NOT NULL ORDER BY b.subject, b.number DESC
        ON CONFLICT (subject_id) DO UPDATE SET number = excluded.number, commitment = excluded.commitment;
    INSERT INTO access_log.batch (tree_size) SELECT first_index + cardinality(entry_ids) WHERE cardinality(entry_ids) > 0;
    RETURN QUERY
        INSERT INTO access_log.leaf AS l (index, entry_id, commitment, subject_number, previous_commitment)
        SELECT first_index + row_number() OVER (ORDER BY b.commitment) - 1, b.entry_id, b.commitment, b.number, b.previous
        FROM unnest(entry_ids, commitments, numbers, previouses) AS b (entry_id, commitment, number, previous)
        ORDER BY b.commitment
        RETURNING l.index, l.commitment;
END
$$;

-- Commitments of leaves, which say nothing to anybody, for whoever computes a root.
CREATE FUNCTION access_log.commitments(from_index bigint, end_index bigint) RETURNS TABLE (index bigint, commitment bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT l.index, l.commitment FROM access_log.leaf AS l WHERE l.index >= from_index AND l.index < end_index;
END
$$;
ALTER FUNCTION access_log.commitments(bigint, bigint) OWNER TO stoa_door;

-- How long the first entry of the queue has waited; null when none waits, so that an idle sequencer asks cheaply.
CREATE FUNCTION access_log.longest_wait_seconds() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT extract(epoch FROM public.stoa_now() - e.at)::bigint
        FROM access_log.queue AS q JOIN access_log.entry AS e ON e.id = q.entry_id ORDER BY q.entry_id LIMIT 1;
    END;
ALTER FUNCTION access_log.longest_wait_seconds() OWNER TO stoa_door;
ALTER FUNCTION access_log.field(bytea, bytea) OWNER TO stoa_door;
ALTER FUNCTION access_log.canonical(access_log.entry, bigint, bytea) OWNER TO stoa_door;
ALTER FUNCTION access_log.sequence(integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION access_log.sequence(integer), access_log.commitments(bigint, bigint), access_log.longest_wait_seconds() TO stoa_app;
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;
