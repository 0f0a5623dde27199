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
    law text NOT NULL,
    -- Whether caseworkers open records for it. The others are auditors', who look into the log.
    opens_records boolean NOT NULL DEFAULT true
);
INSERT INTO access_log.staff_reason (id, law) VALUES
    ('identity_proofing', 'Population Register Act § 12'),
    ('application', 'Social Services Act § 31'),
    ('correction', 'GDPR Art. 16'),
    ('complaint', 'Administrative Procedure Act § 24'),
    ('assistance', 'City Services Act § 8'),
    ('letter', 'City Services Act § 8');
-- What auditors look into: a question, an emergency, an unusual access, and whether a record is to be protected.
INSERT INTO access_log.staff_reason (id, law, opens_records) VALUES
    ('question', 'GDPR Art. 15', false), ('break_glass_review', 'GDPR Art. 5(2)', false), ('anomaly', 'GDPR Art. 32', false),
    ('protection', 'GDPR Art. 32', false);
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
    operation text NOT NULL CHECK (
        operation IN ('disclose', 'predicate', 'list', 'view', 'search', 'paper_entry', 'break_glass', 'log_view', 'usage', 'own_view',
            'guardian_view', 'payout', 'mandate_view', 'mandate_act')),
    attributes text[] NOT NULL,
    purpose text NOT NULL,
    legal_basis text,
    law text,
    consent_event_id uuid,
    case_reference text,
    outcome text NOT NULL CHECK (outcome IN ('permitted', 'refused')),
    refusal text,
    -- How many people the list was about that this entry is one of. A thousand: the sequencer's batch, some 40 ms of work. Of a payout: how many
    -- payments the batch holds (0035).
    count integer,
    -- The entry by which the glass of this protected record was broken (casework.break_glass); of that one itself its own id.
    break_glass uuid,
    written_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- Two random UUIDs carry 244 random bits; without them a commitment cannot be tried out.
    salt bytea NOT NULL DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) CHECK (octet_length(salt) = 32),
    CHECK ((outcome = 'refused') = (refusal IS NOT NULL)),
    CHECK (CASE operation WHEN 'list' THEN coalesce(count BETWEEN 1 AND 1000, false) WHEN 'payout' THEN coalesce(count BETWEEN 1 AND 100000, false)
        ELSE count IS NULL END),
    CHECK (CASE WHEN operation = 'break_glass' AND outcome = 'permitted' THEN coalesce(break_glass = id, false)
        ELSE break_glass IS NULL OR (outcome = 'permitted' AND operation IN ('view', 'search', 'paper_entry')) END),
    -- What an entry can be long: the limits of the forms and of the exchange. Without them one huge entry would stop the sequencer.
    CHECK (cardinality(attributes) <= 50 AND array_position(attributes, NULL) IS NULL AND octet_length(array_to_string(attributes, ',')) <= 4096
        AND length(purpose) <= 63 AND length(case_reference) <= 64),
    CHECK (outcome = 'refused' OR (legal_basis IS NOT NULL AND (legal_basis <> 'consent' OR consent_event_id IS NOT NULL)))
);
CREATE INDEX entry_subject ON access_log.entry (subject_id, at, id);

-- A resident's own views are logged once a session and kind; again when the counter has linked the account to another record meanwhile.
CREATE TABLE access_log.own_view (
    credential bytea NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    entry_id uuid NOT NULL UNIQUE,
    PRIMARY KEY (credential, kind, subject_id)
);

-- Entries that wait for their leaf.
CREATE TABLE access_log.queue (
    entry_id uuid PRIMARY KEY
);
-- Every row is deleted within a second, and whoever asks for the oldest walks over what the deleted ones leave: vacuum after ten thousand.
ALTER TABLE access_log.queue SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- What stands before the salt in what a leaf binds to, and before the commitment in the leaf: none can be passed off as one of another kind.
CREATE FUNCTION access_log.leaf_label(kind text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE kind
        WHEN 'access_entry' THEN 'stoa access entry v1\012'::bytea
        WHEN 'consent_event' THEN 'stoa consent leaf v1\012'::bytea
        WHEN 'ledger_batch' THEN 'stoa ledger batch leaf v1\012'::bytea
        WHEN 'decision' THEN 'stoa decision leaf v1\012'::bytea END;

-- What is in the log besides access entries: consent events, batches of the ledger, decisions (0026). The log knows each by the hash of what its
-- slice keeps, and salts it, so that the leaf says nothing to anybody.
CREATE TABLE access_log.record (
    -- Drawn here: nobody can choose the id of an access entry for it.
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL CHECK (kind <> 'access_entry' AND access_log.leaf_label(kind) IS NOT NULL),
    -- The id under which its slice keeps it.
    source_id uuid NOT NULL,
    -- Both null when it was erased.
    content_hash bytea CHECK (octet_length(content_hash) = 32),
    salt bytea DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) CHECK (octet_length(salt) = 32),
    UNIQUE (kind, source_id),
    CHECK ((content_hash IS NULL) = (salt IS NULL))
);
-- Records that wait for their leaf, in the order of their coming.
CREATE TABLE access_log.record_queue (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id uuid NOT NULL UNIQUE REFERENCES access_log.record,
    queued_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
ALTER TABLE access_log.record_queue SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- The leaves of the RFC 6962 tree, in order. Never deleted from: an erased entry leaves its commitment, which says nothing.
CREATE TABLE access_log.leaf (
    index bigint PRIMARY KEY CHECK (index >= 0),
    -- Of the access entry, or of the record.
    entry_id uuid NOT NULL UNIQUE,
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    -- Position among the entries about one subject, and the commitment before it: what is left out leaves a hole, which
    -- `stoa verify log` looks for.
    subject_number bigint CHECK (subject_number >= 1),
    previous_commitment bytea CHECK (octet_length(previous_commitment) = 32),
    kind text NOT NULL DEFAULT 'access_entry' CHECK (access_log.leaf_label(kind) IS NOT NULL),
    CHECK ((previous_commitment IS NULL) = (subject_number IS NULL OR subject_number = 1)),
    CHECK (kind = 'access_entry' OR subject_number IS NULL)
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
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER entry_erased_on_authority BEFORE DELETE ON access_log.entry
    FOR EACH ROW EXECUTE FUNCTION access_log.check_erasure();
-- Of a record only hash and salt can go, and together; that it was there stays.
CREATE TRIGGER record_only_grows BEFORE DELETE OR TRUNCATE OR UPDATE OF id, kind, source_id ON access_log.record
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER record_keeps_hash BEFORE UPDATE ON access_log.record
    FOR EACH ROW WHEN (NEW.salt IS NOT NULL) EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER record_erased_on_authority BEFORE UPDATE ON access_log.record
    FOR EACH ROW EXECUTE FUNCTION access_log.check_erasure();

-- Erases the content and salt of one entry, or hash and salt of one record; the commitment stays in the tree. For the owner only.
CREATE FUNCTION access_log.erase_entry(entry_id uuid, authority text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO access_log.erasure (entry_id, authority) VALUES (erase_entry.entry_id, erase_entry.authority);
    DELETE FROM access_log.entry AS e WHERE e.id = erase_entry.entry_id;
    IF FOUND THEN RETURN true; END IF;
    UPDATE access_log.record AS r SET content_hash = NULL, salt = NULL WHERE r.id = erase_entry.entry_id;
    RETURN FOUND;
END
$$;

GRANT SELECT ON access_log.entry, access_log.leaf, access_log.checkpoint, access_log.erasure, access_log.queue, access_log.subject_head, access_log.record,
    access_log.record_queue TO stoa_auditor;
GRANT SELECT, INSERT ON access_log.checkpoint TO stoa_app;

GRANT CREATE ON SCHEMA access_log TO stoa_door;
GRANT SELECT, INSERT ON access_log.entry, access_log.own_view, access_log.leaf TO stoa_door;
GRANT INSERT ON access_log.batch TO stoa_door;
GRANT SELECT, INSERT ON access_log.record TO stoa_door;
GRANT SELECT, INSERT, DELETE ON access_log.queue, access_log.record_queue TO stoa_door;
GRANT SELECT, INSERT, UPDATE ON access_log.subject_head TO stoa_door;
ALTER FUNCTION access_log.check_checkpoint_size() OWNER TO stoa_door;
ALTER FUNCTION access_log.leaf_label(text) OWNER TO stoa_door;

-- Brings something into the log that is no access entry: called by the triggers and definer functions of the slice that keeps it, in the transaction
-- that makes it, once for each; nobody else may. The log binds to the hash, whose making and whose source the slice defines.
CREATE FUNCTION access_log.queue_leaf(kind text, source_id uuid, content_hash bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH recorded AS (
        INSERT INTO access_log.record AS r (kind, source_id, content_hash)
            VALUES (queue_leaf.kind, queue_leaf.source_id, queue_leaf.content_hash)
            RETURNING r.id)
    INSERT INTO access_log.record_queue (record_id) SELECT n.id FROM recorded AS n;
END
$$;
ALTER FUNCTION access_log.queue_leaf(text, uuid, bytea) OWNER TO stoa_door;

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

-- Who a credential speaks for, as long as it lives. Read by the statements of the door alone: each probes it by the hash.
CREATE VIEW access_log.actor AS
    SELECT c.hash, c.kind AS credential_kind, c.scope, c.client_id, c.account_id, c.staff_id, c.sign_in_id,
        CASE WHEN c.account_id IS NOT NULL THEN 'resident' WHEN c.staff_id IS NOT NULL THEN 'staff' ELSE 'organisation' END AS kind,
        coalesce(c.account_id::text, c.staff_id::text, c.client_id) AS id,
        CASE WHEN c.staff_id IS NOT NULL THEN 'city' ELSE c.organisation_id END AS organisation_id,
        c.organisation_id AS client_organisation_id
    FROM web.credential AS c
    WHERE web.is_live(c);
ALTER VIEW access_log.actor OWNER TO stoa_door;

-- The role of a member of staff that the log names: the one that opens records, where they have it.
CREATE FUNCTION access_log.role_of(staff_id uuid) RETURNS text
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT CASE WHEN 'caseworker' = ANY (s.roles) THEN 'caseworker' ELSE s.roles[1] END FROM identity.staff AS s WHERE s.id = role_of.staff_id);
END
$$;
ALTER FUNCTION access_log.role_of(uuid) OWNER TO stoa_door;

-- What staff are shown of people's words, and what they do about a record, is under a look of their own: the entry that its id names, permitted,
-- committed by an earlier transaction, and no older than this. No row: there is no such look.
CREATE FUNCTION access_log.look_of_staff(credential bytea, entry uuid, role text, operation text, age_max interval) RETURNS SETOF access_log.entry
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
        SELECT e.* FROM web.staff_with(look_of_staff.credential, ARRAY[look_of_staff.role]) AS s
        JOIN access_log.entry AS e ON e.id = look_of_staff.entry AND e.actor_kind = 'staff' AND e.actor_id = s.staff_id::text
        WHERE e.operation = look_of_staff.operation AND e.outcome = 'permitted'
          AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND e.at > public.stoa_now() - look_of_staff.age_max;
END
$$;
ALTER FUNCTION access_log.look_of_staff(bytea, uuid, text, text, interval) OWNER TO stoa_door;

-- Whether an auditor has looked into the log of one of these people (null: of anybody) for a reason and a case, within the hour before it is judged.
CREATE FUNCTION access_log.has_looked(auditor uuid, subjects uuid[], reason text, reference text) RETURNS boolean
    LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM access_log.entry AS e
        WHERE e.actor_kind = 'staff' AND e.at > public.stoa_now() - interval '1 hour' AND e.actor_id = has_looked.auditor::text
          AND e.operation = 'log_view' AND e.outcome = 'permitted' AND e.purpose = has_looked.reason AND e.case_reference = has_looked.reference
          AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
          AND (has_looked.subjects IS NULL OR e.subject_id = ANY (has_looked.subjects)));
END
$$;
ALTER FUNCTION access_log.has_looked(uuid, uuid[], text, text) OWNER TO stoa_door;

-- Decides and logs. Arrays of equal length, one element a request:
--   credentials      SHA-256 of the session or access token: actor, role and organisation follow from its row
--   operations       disclose (an organisation reads; where it asks for nothing but derived attributes, the entry says predicate), list
--                    (the same of many people, in a call of its own), view, search and paper_entry (caseworkers; of a protected resident only
--                    while the glass is broken), break_glass (a caseworker begins to break it), log_view (auditors), usage (a portal that shows residents their log), claims (a service, of the resident who
--                    signed in there: the entry says disclose or predicate, and names what of it was permitted), own_view (a resident, of own data)
--   subject_kinds    disclose and list: pseudonym; staff: resident, public_code, national_number, name_and_birth_date;
--                    usage: national_number; claims and own_view: self.
--                    Any other names nobody: an own view can only be of the resident whose credential it is
--   subject_keys     UUID, code, or the HMAC in hexadecimal; '' for self
--   attribute_lists  attribute ids with commas between them
--   purposes         disclose and list: the organisation's purpose; of staff: a reason; own_view: the kind of view, which is also the scope
--   case_references  compulsory but for own_view
-- Organisations' requests are counted by the minute (exchange.volume); what is over the limit is refused: volume_exceeded.
-- Returns a decision each, in no order: refusal is null where permitted; missing names the attributes that nothing covers;
-- entry_id is the entry to release under (for a repeated own view, the first one). A credential that does not stand makes no entry.
--
-- One statement for each kind of actor, and only those that a batch needs: starting a plan costs more than deciding ten reads with it.
-- The joins are probes whatever the statistics say: LATERAL with OFFSET 0 holds each one to its index, because the plan is made once,
-- perhaps while the tables are empty, and one that scans would make every reader wait.
CREATE FUNCTION access_log.authorise(
    entry_ids uuid[], credentials bytea[], operations text[], subject_kinds text[], subject_keys text[], attribute_lists text[],
    purposes text[], case_references text[])
    RETURNS TABLE (request_id uuid, entry_id uuid, refusal text, missing text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_memoize = off AS $$
DECLARE
    list_count integer := nullif(cardinality(array_positions(operations, 'list')), 0);
BEGIN
    PERFORM access_log.check_moment();
    -- A list comes alone and from one asker: the number in its entries is that of the people in it.
    IF list_count IS NOT NULL AND (list_count <> cardinality(operations) OR NOT credentials[1] = ALL (credentials)) THEN
        RAISE EXCEPTION 'a list is a call of its own' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- Organisations.
    IF operations && '{disclose,list}' THEN
        RETURN QUERY
        WITH request AS (
            SELECT r.id, r.operation, r.subject_kind, r.subject_key, r.purpose, nullif(r.case_reference, '') AS case_reference,
                coalesce(string_to_array(nullif(r.attribute_list, ''), ','), '{}') AS attributes,
                c.kind, c.id AS actor_id, c.staff_id, c.client_id, c.organisation_id, c.client_organisation_id, c.scope
            FROM unnest(entry_ids, credentials, operations, subject_kinds, subject_keys, attribute_lists, purposes, case_references)
                AS r (id, credential, operation, subject_kind, subject_key, attribute_list, purpose, case_reference)
            LEFT JOIN LATERAL (SELECT x.* FROM access_log.actor AS x WHERE x.hash = r.credential OFFSET 0) AS c ON true
            WHERE r.operation IN ('disclose', 'list')
        ), counted AS (
            -- One row for each organisation of the batch, in the order of their names: each waits for whoever counts the same one elsewhere.
            -- Lists have a row of their own: a thousand people take as long as many batches.
            INSERT INTO exchange.volume AS v (organisation_id, is_of_lists, minute, count)
            SELECT r.client_organisation_id, list_count IS NOT NULL, date_trunc('minute', public.stoa_now()), count(*)
            FROM request AS r WHERE r.client_organisation_id IS NOT NULL GROUP BY r.client_organisation_id ORDER BY r.client_organisation_id
            ON CONFLICT (organisation_id, is_of_lists, minute) DO UPDATE SET count = v.count + excluded.count
            -- How many of the batch are too many.
            RETURNING v.organisation_id, v.count - (
                SELECT CASE WHEN v.is_of_lists THEN o.subjects_per_minute_max ELSE o.requests_per_minute_max END
                FROM consent.organisation AS o WHERE o.id = v.organisation_id) AS excess
        ), derived AS (
            SELECT array_agg(x.id) AS ids FROM register.attribute AS x WHERE x.derived_from IS NOT NULL
        ), decided AS (
            SELECT r.id, r.attributes,
                -- The first attribute nearly always tells, for a tenth of what comparing the lists costs.
                CASE WHEN r.operation = 'disclose' AND r.attributes[1] = ANY ((SELECT x.ids FROM derived AS x)::text[])
                        AND r.attributes <@ (SELECT x.ids FROM derived AS x)
                    THEN 'predicate' ELSE r.operation END AS operation,
                r.purpose, r.case_reference, r.kind, r.actor_id, r.staff_id, r.client_id, r.organisation_id,
                CASE WHEN list_count IS NULL OR v.excess <= 0 THEN p.resident_id END AS subject_id, act.legal_basis, act.law, act.attributes AS policy_attributes,
                st.state AS consent_state, st.attributes AS consent_attributes, st.event_id AS consent_event_id,
                CASE
                    WHEN r.kind IS NULL THEN 'credential_invalid'
                    WHEN r.kind <> 'organisation' OR NOT 'exchange.read' = ANY (r.scope) THEN 'scope_missing'
                    -- Of single reads the last ones, in the order of their ids; a list as a whole.
                    WHEN v.excess > 0 AND (list_count IS NOT NULL OR v.excess >= cardinality(operations) OR v.excess >= (
                        SELECT count(*) FROM request AS o WHERE o.client_organisation_id = r.client_organisation_id AND o.id >= r.id))
                        THEN 'volume_exceeded'
                    WHEN r.case_reference IS NULL THEN 'case_reference_missing'
                    WHEN act.legal_basis IS NULL THEN 'purpose_unknown'
                    WHEN cardinality(r.attributes) = 0 THEN 'attributes_missing'
                    WHEN p.resident_id IS NULL THEN 'subject_unknown'
                    WHEN NOT r.attributes <@ act.attributes THEN 'attributes_not_in_purpose'
                    WHEN act.legal_basis = 'consent' AND (coalesce(st.state NOT IN ('given', 'renewed'), true) OR NOT r.attributes <@ st.attributes)
                        THEN 'consent_missing' END AS refusal
            FROM request AS r
            LEFT JOIN counted AS v ON v.organisation_id = r.client_organisation_id
            LEFT JOIN LATERAL (SELECT x.resident_id FROM exchange.pseudonym AS x
                WHERE r.subject_kind = 'pseudonym' AND x.organisation_id = r.client_organisation_id
                  AND x.pseudonym = CASE r.subject_kind WHEN 'pseudonym' THEN r.subject_key::uuid END OFFSET 0) AS p ON true
            LEFT JOIN LATERAL (SELECT x.id, x.legal_basis, x.law, y.attributes
                FROM consent.processing_activity AS x JOIN consent.policy AS y ON y.activity_id = x.id AND y.version = x.policy_version
                WHERE x.organisation_id = r.client_organisation_id AND x.purpose = r.purpose OFFSET 0) AS act ON true
            LEFT JOIN LATERAL (SELECT consent.state_at(x.state, x.valid_until, public.stoa_now()) AS state, x.attributes, x.event_id FROM consent.state AS x
                WHERE x.resident_id = p.resident_id AND x.activity_id = act.id OFFSET 0) AS st ON true
        ), logged AS (
            INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes,
                                          purpose, legal_basis, law, consent_event_id, case_reference, outcome, refusal, count)
            SELECT d.id, public.stoa_now(), d.subject_id, d.kind, d.actor_id, CASE d.kind WHEN 'staff' THEN access_log.role_of(d.staff_id) ELSE d.kind END, d.organisation_id, d.client_id,
                d.operation, d.attributes, d.purpose, CASE WHEN d.refusal IS NULL THEN d.legal_basis END, CASE WHEN d.refusal IS NULL THEN d.law END,
                CASE WHEN d.refusal IS NULL AND d.legal_basis = 'consent' THEN d.consent_event_id END,
                d.case_reference, CASE WHEN d.refusal IS NULL THEN 'permitted' ELSE 'refused' END, d.refusal, list_count
            FROM decided AS d
            -- A list that is refused for its volume is decided about nobody: one entry says that it was.
            WHERE d.kind IS NOT NULL AND (d.refusal IS DISTINCT FROM 'volume_exceeded' OR list_count IS NULL OR d.id = entry_ids[1])
            RETURNING entry.id
        ), queued AS (
            INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l
        )
        SELECT d.id, d.id, d.refusal,
            CASE d.refusal
                WHEN 'attributes_not_in_purpose' THEN
                    ARRAY(SELECT m.id FROM unnest(d.attributes) AS m (id) WHERE NOT coalesce(m.id = ANY (d.policy_attributes), false))
                WHEN 'consent_missing' THEN
                    ARRAY(SELECT m.id FROM unnest(d.attributes) AS m (id)
                          WHERE coalesce(d.consent_state NOT IN ('given', 'renewed'), true) OR NOT m.id = ANY (d.consent_attributes))
                ELSE '{}' END
        FROM decided AS d;
    END IF;

    -- Staff.
    IF operations && '{view,search,paper_entry,break_glass,log_view}' THEN
        RETURN QUERY
        WITH request AS (
            SELECT r.id, r.credential, r.operation, r.subject_kind, r.subject_key, r.purpose, nullif(r.case_reference, '') AS case_reference,
                coalesce(string_to_array(nullif(r.attribute_list, ''), ','), '{}') AS attributes
            FROM unnest(entry_ids, credentials, operations, subject_kinds, subject_keys, attribute_lists, purposes, case_references)
                AS r (id, credential, operation, subject_kind, subject_key, attribute_list, purpose, case_reference)
            WHERE r.operation IN ('view', 'search', 'paper_entry', 'break_glass', 'log_view')
        ), found AS (
            SELECT r.id, r.credential, r.operation, r.attributes, r.purpose, r.case_reference,
                CASE r.subject_kind
                    WHEN 'resident' THEN ARRAY(SELECT x.id FROM register.resident AS x WHERE x.id = r.subject_key::uuid)
                    -- The code of an account from before the counter linked it still finds who it was.
                    WHEN 'public_code' THEN ARRAY(SELECT coalesce(x.superseded_by, x.id) FROM register.resident AS x WHERE x.public_code = r.subject_key)
                    WHEN 'national_number' THEN ARRAY(SELECT l.resident_id FROM register.lookup AS l
                        WHERE l.kind = r.subject_kind AND l.hmac = decode(r.subject_key, 'hex') LIMIT 2)
                    WHEN 'name_and_birth_date' THEN ARRAY(SELECT l.resident_id FROM register.lookup AS l
                        WHERE l.kind = r.subject_kind AND l.hmac = decode(r.subject_key, 'hex') LIMIT 2)
                    ELSE '{}'::uuid[] END AS residents
            FROM request AS r
        ), decided AS (
            SELECT f.id, f.operation, f.attributes, f.purpose, f.case_reference, c.kind, c.id AS actor_id, c.staff_id, c.client_id, c.organisation_id,
                CASE WHEN cardinality(f.residents) = 1 THEN f.residents[1] END AS subject_id, reason.law,
                CASE
                    WHEN c.kind IS NULL THEN 'credential_invalid'
                    WHEN c.kind <> 'staff' OR NOT coalesce(CASE f.operation WHEN 'log_view' THEN 'auditor' ELSE 'caseworker' END = ANY (s.roles), false)
                        THEN 'role_missing'
                    WHEN reason.law IS NULL OR reason.opens_records = (f.operation = 'log_view') THEN 'reason_unknown'
                    WHEN f.case_reference IS NULL THEN 'case_reference_missing'
                    WHEN cardinality(f.residents) > 1 THEN 'subject_ambiguous'
                    WHEN cardinality(f.residents) = 0 THEN 'subject_unknown'
                    WHEN f.operation = 'break_glass' AND NOT guard.is_protected THEN 'subject_not_protected'
                    WHEN f.operation NOT IN ('break_glass', 'log_view') AND guard.is_protected AND glass.entry_id IS NULL THEN 'subject_protected'
                    WHEN f.operation <> 'view' AND cardinality(f.attributes) > 0 THEN 'attributes_not_in_purpose' END AS refusal,
                CASE f.operation WHEN 'break_glass' THEN f.id WHEN 'log_view' THEN NULL ELSE glass.entry_id END AS break_glass
            FROM found AS f
            LEFT JOIN LATERAL (SELECT x.* FROM access_log.actor AS x WHERE x.hash = f.credential OFFSET 0) AS c ON true
            LEFT JOIN LATERAL (SELECT x.roles FROM identity.staff AS x WHERE x.id = c.staff_id AND x.closed_at IS NULL OFFSET 0) AS s ON true
            LEFT JOIN LATERAL (SELECT x.law, x.opens_records FROM access_log.staff_reason AS x WHERE x.id = f.purpose AND c.kind = 'staff' OFFSET 0) AS reason ON true
            -- The row that an account had before the counter linked it is guarded with the record.
            LEFT JOIN LATERAL (SELECT coalesce(y.id, x.id) AS resident_id, x.is_protected OR coalesce(y.is_protected, false) AS is_protected
                FROM register.resident AS x LEFT JOIN register.resident AS y ON y.id = x.superseded_by WHERE x.id = f.residents[1] OFFSET 0) AS guard ON true
            LEFT JOIN LATERAL (SELECT x.entry_id FROM casework.break_glass AS x
                WHERE guard.is_protected AND x.staff_id = c.staff_id AND x.resident_id = guard.resident_id AND x.expires_at > public.stoa_now()
                ORDER BY x.expires_at DESC LIMIT 1) AS glass ON true
        ), logged AS (
            INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes,
                                          purpose, legal_basis, law, case_reference, outcome, refusal, break_glass)
            SELECT d.id, public.stoa_now(), d.subject_id, d.kind, d.actor_id, CASE WHEN d.operation = 'log_view' AND d.refusal IS DISTINCT FROM 'role_missing' THEN 'auditor' WHEN d.kind = 'staff' THEN access_log.role_of(d.staff_id) ELSE d.kind END, d.organisation_id, d.client_id,
                d.operation, d.attributes, d.purpose, CASE WHEN d.refusal IS NULL THEN 'public_task' END, CASE WHEN d.refusal IS NULL THEN d.law END,
                d.case_reference, CASE WHEN d.refusal IS NULL THEN 'permitted' ELSE 'refused' END, d.refusal, CASE WHEN d.refusal IS NULL THEN d.break_glass END
            FROM decided AS d WHERE d.kind IS NOT NULL
            RETURNING entry.id
        ), queued AS (
            INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l
        )
        SELECT d.id, d.id, d.refusal, '{}'::text[] FROM decided AS d;
    END IF;

    -- Residents, of their own data: one entry a session (or token) and kind of view.
    IF 'own_view' = ANY (operations) THEN
        RETURN QUERY
        WITH request AS (
            SELECT r.id, r.credential, r.subject_kind, r.purpose, nullif(r.case_reference, '') AS case_reference,
                coalesce(string_to_array(nullif(r.attribute_list, ''), ','), '{}') AS attributes
            FROM unnest(entry_ids, credentials, operations, subject_kinds, attribute_lists, purposes, case_references)
                AS r (id, credential, operation, subject_kind, attribute_list, purpose, case_reference)
            WHERE r.operation = 'own_view'
        ), decided AS (
            SELECT r.id, r.credential, r.attributes, r.purpose, r.case_reference, c.kind, c.id AS actor_id, c.staff_id, c.client_id, c.organisation_id,
                a.resident_id AS subject_id, own.entry_id AS own_entry_id,
                CASE
                    WHEN c.kind IS NULL THEN 'credential_invalid'
                    WHEN c.kind <> 'resident' OR (c.credential_kind = 'access_token' AND NOT r.purpose = ANY (c.scope)) THEN 'scope_missing'
                    WHEN a.resident_id IS NULL THEN 'subject_unknown' END AS refusal
            FROM request AS r
            LEFT JOIN LATERAL (SELECT x.* FROM access_log.actor AS x WHERE x.hash = r.credential OFFSET 0) AS c ON true
            LEFT JOIN LATERAL (SELECT x.resident_id FROM identity.account AS x
                WHERE x.id = c.account_id AND x.closed_at IS NULL AND r.subject_kind = 'self' OFFSET 0) AS a ON true
            LEFT JOIN LATERAL (SELECT x.entry_id FROM access_log.own_view AS x
                WHERE x.credential = r.credential AND x.kind = r.purpose AND x.subject_id = a.resident_id OFFSET 0) AS own ON true
        ), logged AS (
            INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes,
                                          purpose, legal_basis, law, case_reference, outcome, refusal)
            SELECT d.id, public.stoa_now(), d.subject_id, d.kind, d.actor_id, CASE d.kind WHEN 'staff' THEN access_log.role_of(d.staff_id) ELSE d.kind END, d.organisation_id, d.client_id,
                'own_view', d.attributes, d.purpose, CASE WHEN d.refusal IS NULL THEN 'own_data' END, CASE WHEN d.refusal IS NULL THEN 'GDPR Art. 15' END,
                d.case_reference, CASE WHEN d.refusal IS NULL THEN 'permitted' ELSE 'refused' END, d.refusal
            FROM decided AS d WHERE d.kind IS NOT NULL AND d.own_entry_id IS NULL
            RETURNING entry.id
        ), queued AS (
            INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l
        ), own AS (
            INSERT INTO access_log.own_view (credential, kind, subject_id, entry_id)
            SELECT d.credential, d.purpose, d.subject_id, d.id FROM decided AS d WHERE d.refusal IS NULL AND d.own_entry_id IS NULL
            ON CONFLICT DO NOTHING
        )
        SELECT d.id, coalesce(d.own_entry_id, d.id), d.refusal, '{}'::text[] FROM decided AS d;
    END IF;

    -- A portal that shows residents, for the state, who looked at their data: it reads the log of one person, by national number.
    IF 'usage' = ANY (operations) THEN
        RETURN QUERY
        WITH request AS (
            SELECT r.id, r.credential, r.purpose, nullif(r.case_reference, '') AS case_reference,
                CASE r.subject_kind WHEN 'national_number' THEN ARRAY(SELECT l.resident_id FROM register.lookup AS l
                    WHERE l.kind = r.subject_kind AND l.hmac = decode(r.subject_key, 'hex') LIMIT 2) ELSE '{}'::uuid[] END AS residents,
                c.kind, c.id AS actor_id, c.staff_id, c.client_id, c.organisation_id, c.client_organisation_id, c.scope
            FROM unnest(entry_ids, credentials, operations, subject_kinds, subject_keys, purposes, case_references)
                AS r (id, credential, operation, subject_kind, subject_key, purpose, case_reference)
            LEFT JOIN LATERAL (SELECT x.* FROM access_log.actor AS x WHERE x.hash = r.credential OFFSET 0) AS c ON true
            WHERE r.operation = 'usage'
        ), counted AS (
            -- As single reads, so that numbers cannot be tried out by the thousand.
            INSERT INTO exchange.volume AS v (organisation_id, is_of_lists, minute, count)
            SELECT r.client_organisation_id, false, date_trunc('minute', public.stoa_now()), count(*)
            FROM request AS r WHERE r.client_organisation_id IS NOT NULL GROUP BY r.client_organisation_id ORDER BY r.client_organisation_id
            ON CONFLICT (organisation_id, is_of_lists, minute) DO UPDATE SET count = v.count + excluded.count
            RETURNING v.organisation_id, v.count > (SELECT o.requests_per_minute_max FROM consent.organisation AS o WHERE o.id = v.organisation_id) AS is_over
        ), decided AS (
            SELECT r.id, r.purpose, r.case_reference, r.kind, r.actor_id, r.staff_id, r.client_id, r.organisation_id,
                CASE WHEN v.is_over IS NOT TRUE AND cardinality(r.residents) = 1 THEN r.residents[1] END AS subject_id,
                CASE
                    WHEN r.kind IS NULL THEN 'credential_invalid'
                    WHEN r.kind <> 'organisation' OR NOT 'usage.read' = ANY (r.scope) THEN 'scope_missing'
                    WHEN v.is_over THEN 'volume_exceeded'
                    WHEN r.purpose NOT IN ('data_tracker', 'data_tracker_representative') THEN 'purpose_unknown'
                    WHEN r.case_reference IS NULL THEN 'case_reference_missing'
                    WHEN cardinality(r.residents) > 1 THEN 'subject_ambiguous'
                    WHEN cardinality(r.residents) = 0 THEN 'subject_unknown' END AS refusal
            FROM request AS r LEFT JOIN counted AS v ON v.organisation_id = r.client_organisation_id
        ), logged AS (
            INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes,
                                          purpose, legal_basis, law, case_reference, outcome, refusal)
            SELECT d.id, public.stoa_now(), d.subject_id, d.kind, d.actor_id, CASE d.kind WHEN 'staff' THEN access_log.role_of(d.staff_id) ELSE d.kind END,
                d.organisation_id, d.client_id, 'usage', '{}', d.purpose, CASE WHEN d.refusal IS NULL THEN 'legal_obligation' END,
                CASE WHEN d.refusal IS NULL THEN 'GDPR Art. 15' END, d.case_reference, CASE WHEN d.refusal IS NULL THEN 'permitted' ELSE 'refused' END, d.refusal
            FROM decided AS d WHERE d.kind IS NOT NULL
            RETURNING entry.id
        ), queued AS (
            INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l
        )
        SELECT d.id, d.id, d.refusal, '{}'::text[] FROM decided AS d;
    END IF;

    -- Services, of the resident who signed in there: the claims of the OpenID provider. Claims are voluntary (OpenID Connect Core §5.5.1), so what of
    -- them consent or law covers is given, and only where that is nothing the read is refused.
    IF 'claims' = ANY (operations) THEN
        RETURN QUERY
        WITH request AS (
            SELECT r.id, nullif(r.case_reference, '') AS case_reference, coalesce(string_to_array(nullif(r.attribute_list, ''), ','), '{}') AS attributes,
                c.kind, c.id AS actor_id, c.client_id, c.organisation_id, c.client_organisation_id, s.resident_id, s.activity_id
            FROM unnest(entry_ids, credentials, operations, subject_kinds, attribute_lists, case_references)
                AS r (id, credential, operation, subject_kind, attribute_list, case_reference)
            LEFT JOIN LATERAL (SELECT x.* FROM access_log.actor AS x WHERE x.hash = r.credential AND x.sign_in_id IS NOT NULL OFFSET 0) AS c ON true
            LEFT JOIN LATERAL (SELECT x.resident_id, k.activity_id
                FROM openid.sign_in AS x JOIN openid.client AS k ON k.id = x.client_id JOIN identity.account AS a ON a.id = x.account_id
                WHERE x.id = c.sign_in_id AND x.ended_at IS NULL AND a.resident_id = x.resident_id AND a.closed_at IS NULL AND r.subject_kind = 'self'
                OFFSET 0) AS s ON true
            WHERE r.operation = 'claims'
        ), counted AS (
            INSERT INTO exchange.volume AS v (organisation_id, is_of_lists, minute, count)
            SELECT r.client_organisation_id, false, date_trunc('minute', public.stoa_now()), count(*)
            FROM request AS r WHERE r.client_organisation_id IS NOT NULL GROUP BY r.client_organisation_id ORDER BY r.client_organisation_id
            ON CONFLICT (organisation_id, is_of_lists, minute) DO UPDATE SET count = v.count + excluded.count
            RETURNING v.organisation_id, v.count > (SELECT o.requests_per_minute_max FROM consent.organisation AS o WHERE o.id = v.organisation_id) AS is_over
        ), decided AS (
            SELECT r.id, r.kind, r.actor_id, r.client_id, r.organisation_id, r.case_reference, act.purpose, act.legal_basis, act.law,
                CASE WHEN v.is_over IS NOT TRUE THEN r.resident_id END AS subject_id, r.attributes AS asked, st.event_id AS consent_event_id,
                ARRAY(SELECT m.id FROM unnest(r.attributes) AS m (id)
                      WHERE m.id = ANY (act.attributes) AND (act.legal_basis <> 'consent' OR (st.state IN ('given', 'renewed') AND m.id = ANY (st.attributes)))
                     ) AS covered,
                CASE
                    WHEN r.kind IS NULL THEN 'credential_invalid'
                    WHEN v.is_over THEN 'volume_exceeded'
                    WHEN r.case_reference IS NULL THEN 'case_reference_missing'
                    WHEN act.legal_basis IS NULL THEN 'purpose_unknown'
                    WHEN cardinality(r.attributes) = 0 THEN 'attributes_missing'
                    WHEN r.resident_id IS NULL THEN 'subject_unknown' END AS refusal
            FROM request AS r
            LEFT JOIN counted AS v ON v.organisation_id = r.client_organisation_id
            LEFT JOIN LATERAL (SELECT x.id, x.purpose, x.legal_basis, x.law, y.attributes
                FROM consent.processing_activity AS x JOIN consent.policy AS y ON y.activity_id = x.id AND y.version = x.policy_version
                WHERE x.id = r.activity_id OFFSET 0) AS act ON true
            LEFT JOIN LATERAL (SELECT consent.state_at(x.state, x.valid_until, public.stoa_now()) AS state, x.attributes, x.event_id FROM consent.state AS x
                WHERE x.resident_id = r.resident_id AND x.activity_id = act.id OFFSET 0) AS st ON true
        ), judged AS (
            SELECT d.id, d.kind, d.actor_id, d.client_id, d.organisation_id, d.case_reference, d.purpose, d.legal_basis, d.law, d.subject_id, d.consent_event_id,
                coalesce(d.refusal, CASE WHEN cardinality(d.covered) = 0 THEN
                    CASE d.legal_basis WHEN 'consent' THEN 'consent_missing' ELSE 'attributes_not_in_purpose' END END) AS refusal,
                CASE WHEN d.refusal IS NULL AND cardinality(d.covered) > 0 THEN d.covered ELSE d.asked END AS attributes
            FROM decided AS d
        ), logged AS (
            INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes,
                                          purpose, legal_basis, law, consent_event_id, case_reference, outcome, refusal)
            SELECT j.id, public.stoa_now(), j.subject_id, j.kind, j.actor_id, j.kind, j.organisation_id, j.client_id,
                CASE WHEN j.attributes <@ ARRAY(SELECT x.id FROM register.attribute AS x WHERE x.derived_from IS NOT NULL) THEN 'predicate' ELSE 'disclose' END,
                j.attributes, coalesce(j.purpose, 'sign-in'), CASE WHEN j.refusal IS NULL THEN j.legal_basis END, CASE WHEN j.refusal IS NULL THEN j.law END,
                CASE WHEN j.refusal IS NULL AND j.legal_basis = 'consent' THEN j.consent_event_id END,
                j.case_reference, CASE WHEN j.refusal IS NULL THEN 'permitted' ELSE 'refused' END, j.refusal
            FROM judged AS j WHERE j.kind IS NOT NULL
            RETURNING entry.id
        ), queued AS (
            INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l
        )
        SELECT j.id, j.id, j.refusal, '{}'::text[] FROM judged AS j;
    END IF;

    RETURN QUERY
        SELECT r.id, r.id, 'operation_unknown', '{}'::text[] FROM unnest(entry_ids, operations) AS r (id, operation)
        WHERE r.operation IS NULL OR r.operation NOT IN ('disclose', 'list', 'view', 'search', 'paper_entry', 'break_glass', 'log_view', 'usage', 'claims', 'own_view');
END
$$;
ALTER FUNCTION access_log.authorise(uuid[], bytea[], text[], text[], text[], text[], text[], text[]) OWNER TO stoa_door;

-- Gives out what the entries permit: a row for each entry and key, with the values that are sealed under it (null where none is held). For
-- a derived attribute that is the value of its base, which the server opens and does not pass on; it answers by the moment of the entry.
-- Residents who look at their own data also get what they gave before the counter linked their account: it lies sealed under the
-- earlier resident's key.
-- An open transaction, a savepoint or a rollback yields nothing: the entry must have been committed by an earlier transaction.
CREATE FUNCTION access_log.release(entry_ids uuid[])
    RETURNS TABLE (entry_id uuid, resident_id uuid, public_code text, identity_assurance smallint, holder_id uuid, key_id text, wrapped_key bytea,
                   attributes text[], sealed_values bytea[], sources text[], recorded_at timestamptz[], at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_memoize = off AS $$
BEGIN
    PERFORM access_log.check_moment();
    RETURN QUERY
    SELECT e.id, r.id, r.public_code, r.identity_assurance, holder.id, k.key_id, k.wrapped_key, a.attributes, a.sealed_values, a.sources, a.recorded_at, e.at
    FROM unnest(entry_ids) AS asked (id)
    CROSS JOIN LATERAL (SELECT * FROM access_log.entry AS x WHERE x.id = asked.id OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT * FROM register.resident AS x WHERE x.id = e.subject_id OFFSET 0) AS r
    CROSS JOIN LATERAL (
        SELECT r.id UNION ALL
        SELECT earlier.id FROM register.resident AS earlier WHERE e.operation = 'own_view' AND earlier.superseded_by = r.id) AS holder
    LEFT JOIN LATERAL (SELECT * FROM register.data_key AS x WHERE x.resident_id = holder.id OFFSET 0) AS k ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(x.attribute) AS attributes, array_agg(x.sealed_value) AS sealed_values, array_agg(x.source) AS sources,
            array_agg(x.recorded_at) AS recorded_at
        FROM register.sealed_attribute AS x WHERE x.resident_id = holder.id AND x.attribute = ANY (
            CASE WHEN e.attributes && (SELECT array_agg(d.id) FROM register.attribute AS d WHERE d.derived_from IS NOT NULL)
                THEN e.attributes || ARRAY(SELECT d.derived_from FROM register.attribute AS d
                                           WHERE d.derived_from IS NOT NULL AND d.id = ANY (e.attributes))
                ELSE e.attributes END)) AS a
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

-- Fields of the canonical encoding (Sources/TransparencyLog/CanonicalEncoding.swift): number and tag, length, payload; without a payload
-- tag 0. The database's encoding is UTF-8, so the bytes of a text are those that octet_length counts.
CREATE FUNCTION access_log.field(number_and_tag bytea, payload bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(number_and_tag || int4send(octet_length(payload)) || payload, substr(number_and_tag, 1, 1) || '\x0000000000'::bytea);
CREATE FUNCTION access_log.field(number_and_tag bytea, payload text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(number_and_tag || int4send(octet_length(payload)) || convert_to(payload, 'UTF8'), substr(number_and_tag, 1, 1) || '\x0000000000'::bytea);

-- An entry as the bytes that are committed to. Fields are only ever added, with a new label. The Swift twin that verifies it,
-- written apart from it, is Sources/AccessLog/CanonicalEntry.swift. It runs under the search_path of the functions that
-- call it: to set one for each entry again was a tenth of the sequencer's work.
CREATE FUNCTION access_log.canonical(e access_log.entry, subject_number bigint, previous_commitment bytea) RETURNS bytea
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    list bytea := int4send(cardinality(e.attributes));
    attribute text;
BEGIN
    FOREACH attribute IN ARRAY e.attributes LOOP
        list := list || '\x01'::bytea || int4send(octet_length(attribute)) || convert_to(attribute, 'UTF8');
    END LOOP;
    RETURN '\x010700000010'::bytea || uuid_send(e.id)
        || '\x020300000008'::bytea || int8send((extract(epoch FROM e.at) * 1000000)::bigint)
        || access_log.field('\x0307', uuid_send(e.subject_id))
        || access_log.field('\x0401', e.actor_kind)
        || access_log.field('\x0501', e.actor_id)
        || access_log.field('\x0601', e.actor_role)
        || access_log.field('\x0701', e.organisation_id)
        || access_log.field('\x0801', e.client_id)
        || access_log.field('\x0901', e.operation)
        || access_log.field('\x0a05', list)
        || access_log.field('\x0b01', e.purpose)
        || access_log.field('\x0c01', e.legal_basis)
        || access_log.field('\x0d01', e.law)
        || access_log.field('\x0e07', uuid_send(e.consent_event_id))
        || access_log.field('\x0f01', e.case_reference)
        || access_log.field('\x1001', e.outcome)
        || access_log.field('\x1101', e.refusal)
        || access_log.field('\x1202', int8send(canonical.subject_number))
        || access_log.field('\x1304', canonical.previous_commitment)
        || access_log.field('\x1402', int8send(e.count))
        || access_log.field('\x1507', uuid_send(e.break_glass));
END
$$;

-- Takes the oldest waiting entries and gives each its leaf. One sequencer at a time, over all nodes: a second one gets nothing.
-- What waits is in a queue, never "ids above the last": a transaction that commits late would be passed over.
-- The bytes committed to are literals of this file, so their reading is set too (standard_conforming_strings).
-- Within a batch the leaves stand in the order of their commitments, which are random: the public tree shows no order of arrival.
-- Returns the data of the new leaves. Of records, too, as many as entries_max: a batch has at most twice that.
CREATE FUNCTION access_log.sequence(entries_max integer) RETURNS TABLE (index bigint, data bytea)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET standard_conforming_strings = on AS $$
DECLARE
    first_index bigint;
    next record;
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
    vanished uuid[] := '{}';
    record_ids uuid[];
    record_kinds text[];
    record_commitments bytea[];
    leaf_count integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7308895158) THEN RETURN; END IF;
    SELECT coalesce(max(l.index) + 1, 0) INTO first_index FROM access_log.leaf AS l;
    -- Subject by subject, so that each one's chain is carried in two variables.
    FOR next IN
        WITH taken AS (
            DELETE FROM access_log.queue AS q
            WHERE q.entry_id = ANY (ARRAY(SELECT o.entry_id FROM access_log.queue AS o ORDER BY o.entry_id LIMIT entries_max))
            RETURNING q.entry_id)
        SELECT t.entry_id, e.entry, h.number AS head_number, h.commitment AS head_commitment
        FROM taken AS t
        LEFT JOIN LATERAL (SELECT x AS entry, x.subject_id, x.at FROM access_log.entry AS x WHERE x.id = t.entry_id OFFSET 0) AS e ON true
        LEFT JOIN LATERAL (SELECT x.number, x.commitment FROM access_log.subject_head AS x WHERE x.subject_id = e.subject_id OFFSET 0) AS h ON true
        ORDER BY e.subject_id, e.at, t.entry_id
    LOOP
        waiting := next.entry;
        -- Nobody but whoever edits the database can make an entry vanish that waits. Its place in the queue stays, for `stoa verify log` to find.
        IF waiting.id IS NULL THEN
            vanished := vanished || next.entry_id;
            CONTINUE;
        END IF;
        IF waiting.subject_id IS NULL THEN
            number := NULL;
            previous := NULL;
        ELSIF waiting.subject_id IS DISTINCT FROM subject THEN
            number := coalesce(next.head_number, 0) + 1;
            previous := next.head_commitment;
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
    INSERT INTO access_log.queue (entry_id) SELECT v.id FROM unnest(vanished) AS v (id);

    -- Records are in no chain. Where one has vanished its place in the queue stays as well.
    WITH taken AS (
        DELETE FROM access_log.record_queue AS q
        WHERE q.number = ANY (ARRAY(
            SELECT o.number FROM access_log.record_queue AS o
            WHERE EXISTS (SELECT FROM access_log.record AS x WHERE x.id = o.record_id OFFSET 0) ORDER BY o.number LIMIT entries_max))
        RETURNING q.record_id)
    SELECT array_agg(r.id), array_agg(r.kind), array_agg(sha256(access_log.leaf_label(r.kind) || r.salt || r.content_hash))
        INTO record_ids, record_kinds, record_commitments
        FROM taken AS t CROSS JOIN LATERAL (SELECT x.* FROM access_log.record AS x WHERE x.id = t.record_id OFFSET 0) AS r;

    leaf_count := cardinality(entry_ids) + coalesce(cardinality(record_ids), 0);
    INSERT INTO access_log.batch (tree_size) SELECT first_index + leaf_count WHERE leaf_count > 0;
    RETURN QUERY
        INSERT INTO access_log.leaf AS l (index, entry_id, commitment, subject_number, previous_commitment, kind)
        SELECT first_index + row_number() OVER (ORDER BY b.commitment) - 1, b.entry_id, b.commitment, b.number, b.previous, b.kind
        FROM (
            SELECT e.entry_id, e.commitment, e.number, e.previous, 'access_entry' AS kind
            FROM unnest(entry_ids, commitments, numbers, previouses) AS e (entry_id, commitment, number, previous)
            UNION ALL
            SELECT r.id, r.commitment, NULL, NULL, r.kind FROM unnest(record_ids, record_commitments, record_kinds) AS r (id, commitment, kind)) AS b
        ORDER BY b.commitment
        RETURNING l.index, access_log.leaf_label(l.kind) || l.commitment;
END
$$;

-- The data of leaves, which says nothing to anybody, for whoever computes a root.
CREATE FUNCTION access_log.leaves(from_index bigint, end_index bigint) RETURNS TABLE (index bigint, data bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT l.index, access_log.leaf_label(l.kind) || l.commitment FROM access_log.leaf AS l WHERE l.index >= from_index AND l.index < end_index;
END
$$;
ALTER FUNCTION access_log.leaves(bigint, bigint) OWNER TO stoa_door;

-- How long the first entry or record of the queues has waited; null when none waits, so that an idle sequencer asks cheaply. Held to the indexes: a
-- queue is analysed when it happens to be empty, and a plan made for an empty queue reads all of a full one.
CREATE FUNCTION access_log.longest_wait_seconds() RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    RETURN greatest(
        (SELECT extract(epoch FROM public.stoa_now() - e.at)::bigint
            FROM access_log.queue AS q
            CROSS JOIN LATERAL (SELECT x.at FROM access_log.entry AS x WHERE x.id = q.entry_id OFFSET 0) AS e
            ORDER BY q.entry_id LIMIT 1),
        (SELECT extract(epoch FROM public.stoa_now() - q.queued_at)::bigint FROM access_log.record_queue AS q ORDER BY q.number LIMIT 1));
END
$$;
ALTER FUNCTION access_log.longest_wait_seconds() OWNER TO stoa_door;
ALTER FUNCTION access_log.field(bytea, bytea) OWNER TO stoa_door;
ALTER FUNCTION access_log.field(bytea, text) OWNER TO stoa_door;
ALTER FUNCTION access_log.canonical(access_log.entry, bigint, bytea) OWNER TO stoa_door;
ALTER FUNCTION access_log.sequence(integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION access_log.sequence(integer), access_log.leaves(bigint, bigint), access_log.longest_wait_seconds() TO stoa_app;
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;
