-- The schema that the migrations make, dumped by pg_dump. Written by `make schema`; a test compares it.

CREATE SCHEMA access_log;

ALTER SCHEMA access_log OWNER TO stoa_owner;

CREATE SCHEMA benefits;

ALTER SCHEMA benefits OWNER TO stoa_owner;

CREATE SCHEMA casework;

ALTER SCHEMA casework OWNER TO stoa_owner;

CREATE SCHEMA catalogue;

ALTER SCHEMA catalogue OWNER TO stoa_owner;

CREATE SCHEMA consent;

ALTER SCHEMA consent OWNER TO stoa_owner;

CREATE SCHEMA delivery;

ALTER SCHEMA delivery OWNER TO stoa_owner;

CREATE SCHEMA disputes;

ALTER SCHEMA disputes OWNER TO stoa_owner;

CREATE SCHEMA exchange;

ALTER SCHEMA exchange OWNER TO stoa_owner;

CREATE SCHEMA identity;

ALTER SCHEMA identity OWNER TO stoa_owner;

CREATE SCHEMA ledger;

ALTER SCHEMA ledger OWNER TO stoa_owner;

CREATE SCHEMA mandates;

ALTER SCHEMA mandates OWNER TO stoa_owner;

CREATE SCHEMA messages;

ALTER SCHEMA messages OWNER TO stoa_owner;

CREATE SCHEMA openid;

ALTER SCHEMA openid OWNER TO stoa_owner;

CREATE SCHEMA payments;

ALTER SCHEMA payments OWNER TO stoa_owner;

CREATE SCHEMA payouts;

ALTER SCHEMA payouts OWNER TO stoa_owner;

ALTER SCHEMA public OWNER TO stoa_owner;

CREATE SCHEMA questions;

ALTER SCHEMA questions OWNER TO stoa_owner;

CREATE SCHEMA register;

ALTER SCHEMA register OWNER TO stoa_owner;

CREATE SCHEMA web;

ALTER SCHEMA web OWNER TO stoa_owner;

CREATE SCHEMA witness;

ALTER SCHEMA witness OWNER TO stoa_owner;

CREATE FUNCTION access_log.leaf_label(kind text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE kind WHEN 'access_entry'::text THEN '\x73746f612061636365737320656e7472792076310a'::bytea WHEN 'consent_event'::text THEN '\x73746f6120636f6e73656e74206c6561662076310a'::bytea WHEN 'ledger_batch'::text THEN '\x73746f61206c6564676572206261746368206c6561662076310a'::bytea WHEN 'decision'::text THEN '\x73746f61206465636973696f6e206c6561662076310a'::bytea ELSE NULL::bytea END;

ALTER FUNCTION access_log.leaf_label(kind text) OWNER TO stoa_door;

CREATE FUNCTION casework.working_days_after(start timestamp with time zone, days integer) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    RETURN (start + ('24:00:00'::interval * ((SELECT max(d.day) AS max FROM (SELECT s.day FROM generate_series(1, ((working_days_after.days * 2) + 2)) s(day) WHERE (EXTRACT(isodow FROM ((working_days_after.start + ('24:00:00'::interval * (s.day)::double precision)) AT TIME ZONE 'UTC'::text)) < (6)::numeric) ORDER BY s.day LIMIT working_days_after.days) d))::double precision));

ALTER FUNCTION casework.working_days_after(start timestamp with time zone, days integer) OWNER TO stoa_owner;

CREATE FUNCTION public.stoa_now() RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN statement_timestamp();

ALTER FUNCTION public.stoa_now() OWNER TO stoa_owner;

CREATE TABLE access_log.entry (
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    subject_id uuid,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_role text NOT NULL,
    organisation_id text,
    client_id text,
    operation text NOT NULL,
    attributes text[] NOT NULL,
    purpose text NOT NULL,
    legal_basis text,
    law text,
    consent_event_id uuid,
    case_reference text,
    outcome text NOT NULL,
    refusal text,
    count integer,
    break_glass uuid,
    written_by xid8 DEFAULT pg_current_xact_id() NOT NULL,
    salt bytea DEFAULT sha256((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))) NOT NULL,
    CONSTRAINT entry_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['resident'::text, 'staff'::text, 'organisation'::text]))),
    CONSTRAINT entry_check CHECK (((outcome = 'refused'::text) = (refusal IS NOT NULL))),
    CONSTRAINT entry_check1 CHECK (
CASE operation
    WHEN 'list'::text THEN COALESCE(((count >= 1) AND (count <= 1000)), false)
    WHEN 'payout'::text THEN COALESCE(((count >= 1) AND (count <= 100000)), false)
    ELSE (count IS NULL)
END),
    CONSTRAINT entry_check2 CHECK (
CASE
    WHEN ((operation = 'break_glass'::text) AND (outcome = 'permitted'::text)) THEN COALESCE((break_glass = id), false)
    ELSE ((break_glass IS NULL) OR ((outcome = 'permitted'::text) AND (operation = ANY (ARRAY['view'::text, 'search'::text, 'paper_entry'::text]))))
END),
    CONSTRAINT entry_check3 CHECK (((cardinality(attributes) <= 50) AND (array_position(attributes, NULL::text) IS NULL) AND (octet_length(array_to_string(attributes, ','::text)) <= 4096) AND (length(purpose) <= 63) AND (length(case_reference) <= 64))),
    CONSTRAINT entry_check4 CHECK (((outcome = 'refused'::text) OR ((legal_basis IS NOT NULL) AND ((legal_basis <> 'consent'::text) OR (consent_event_id IS NOT NULL))))),
    CONSTRAINT entry_operation_check CHECK ((operation = ANY (ARRAY['disclose'::text, 'predicate'::text, 'list'::text, 'view'::text, 'search'::text, 'paper_entry'::text, 'break_glass'::text, 'log_view'::text, 'usage'::text, 'own_view'::text, 'guardian_view'::text, 'payout'::text, 'mandate_view'::text, 'mandate_act'::text]))),
    CONSTRAINT entry_outcome_check CHECK ((outcome = ANY (ARRAY['permitted'::text, 'refused'::text]))),
    CONSTRAINT entry_salt_check CHECK ((octet_length(salt) = 32))
);

ALTER TABLE access_log.entry OWNER TO stoa_owner;

CREATE TABLE access_log.leaf (
    index bigint NOT NULL,
    entry_id uuid NOT NULL,
    commitment bytea NOT NULL,
    subject_number bigint,
    previous_commitment bytea,
    kind text DEFAULT 'access_entry'::text NOT NULL,
    CONSTRAINT leaf_check CHECK (((previous_commitment IS NULL) = ((subject_number IS NULL) OR (subject_number = 1)))),
    CONSTRAINT leaf_check1 CHECK (((kind = 'access_entry'::text) OR (subject_number IS NULL))),
    CONSTRAINT leaf_commitment_check CHECK ((octet_length(commitment) = 32)),
    CONSTRAINT leaf_index_check CHECK ((index >= 0)),
    CONSTRAINT leaf_kind_check CHECK ((access_log.leaf_label(kind) IS NOT NULL)),
    CONSTRAINT leaf_previous_commitment_check CHECK ((octet_length(previous_commitment) = 32)),
    CONSTRAINT leaf_subject_number_check CHECK ((subject_number >= 1))
);

ALTER TABLE access_log.leaf OWNER TO stoa_owner;

CREATE TABLE casework.break_glass (
    entry_id uuid NOT NULL,
    reference text NOT NULL,
    staff_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    sealed_reason bytea NOT NULL,
    broken_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    expires_at timestamp with time zone DEFAULT (public.stoa_now() + '00:15:00'::interval) NOT NULL,
    review_due_at timestamp with time zone DEFAULT casework.working_days_after(public.stoa_now(), 3) NOT NULL,
    CONSTRAINT break_glass_reference_check CHECK ((reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'::text)),
    CONSTRAINT break_glass_sealed_reason_check CHECK (((octet_length(sealed_reason) >= 48) AND (octet_length(sealed_reason) <= 2028)))
);

ALTER TABLE casework.break_glass OWNER TO stoa_owner;

CREATE TABLE casework.break_glass_review (
    entry_id uuid NOT NULL,
    finding text NOT NULL,
    sealed_words bytea NOT NULL,
    reviewed_by uuid NOT NULL,
    reviewed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT break_glass_review_finding_check CHECK ((finding = ANY (ARRAY['justified'::text, 'not_justified'::text]))),
    CONSTRAINT break_glass_review_sealed_words_check CHECK (((octet_length(sealed_words) >= 29) AND (octet_length(sealed_words) <= 4096)))
);

ALTER TABLE casework.break_glass_review OWNER TO stoa_owner;

CREATE TABLE casework.paper_submission (
    id uuid NOT NULL,
    form_reference text NOT NULL,
    entry_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    activity_id uuid NOT NULL,
    decision text NOT NULL,
    attributes text[] NOT NULL,
    staff_id uuid NOT NULL,
    helper_name text NOT NULL,
    signature_method text NOT NULL,
    witness_name text,
    was_read_back boolean NOT NULL,
    signed_on date NOT NULL,
    keyed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT paper_submission_check CHECK (((decision = 'given'::text) = (cardinality(attributes) > 0))),
    CONSTRAINT paper_submission_check1 CHECK (((signature_method = 'witness'::text) = (witness_name IS NOT NULL))),
    CONSTRAINT paper_submission_check2 CHECK ((signed_on <= (((keyed_at AT TIME ZONE 'UTC'::text))::date + 1))),
    CONSTRAINT paper_submission_decision_check CHECK ((decision = ANY (ARRAY['given'::text, 'withdrawn'::text]))),
    CONSTRAINT paper_submission_helper_name_check CHECK (((length(helper_name) >= 1) AND (length(helper_name) <= 200))),
    CONSTRAINT paper_submission_signature_method_check CHECK ((signature_method = ANY (ARRAY['signature'::text, 'thumbprint'::text, 'witness'::text]))),
    CONSTRAINT paper_submission_was_read_back_check CHECK (was_read_back),
    CONSTRAINT paper_submission_witness_name_check CHECK (((length(witness_name) >= 1) AND (length(witness_name) <= 200)))
);

ALTER TABLE casework.paper_submission OWNER TO stoa_owner;

CREATE TABLE consent.event (
    id uuid NOT NULL,
    resident_id uuid NOT NULL,
    activity_id uuid NOT NULL,
    policy_version integer NOT NULL,
    sequence integer NOT NULL,
    kind text NOT NULL,
    attributes text[] NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    account_id uuid,
    staff_id uuid,
    client_id text,
    capacity text NOT NULL,
    method text NOT NULL,
    language text NOT NULL,
    form_reference text,
    valid_until timestamp with time zone,
    request_id uuid,
    previous_hash bytea,
    hash bytea NOT NULL,
    CONSTRAINT event_capacity_check CHECK ((capacity = ANY (ARRAY['self'::text, 'guardian'::text, 'paper'::text, 'organisation'::text, 'system'::text]))),
    CONSTRAINT event_check CHECK (
CASE
    WHEN (kind = ANY (ARRAY['requested'::text, 'agreed'::text, 'given'::text, 'renewed'::text])) THEN (cardinality(attributes) > 0)
    ELSE ((kind = 'expired'::text) OR (cardinality(attributes) = 0))
END),
    CONSTRAINT event_check1 CHECK (
CASE
    WHEN (kind = ANY (ARRAY['requested'::text, 'deferred'::text, 'agreed'::text, 'expired'::text])) THEN (valid_until IS NOT NULL)
    ELSE ((kind = ANY (ARRAY['given'::text, 'renewed'::text])) OR (valid_until IS NULL))
END),
    CONSTRAINT event_check2 CHECK (((capacity = ANY (ARRAY['self'::text, 'guardian'::text])) = ((account_id IS NOT NULL) AND (staff_id IS NULL)))),
    CONSTRAINT event_check3 CHECK (((capacity = 'paper'::text) = ((staff_id IS NOT NULL) AND (form_reference IS NOT NULL)))),
    CONSTRAINT event_check4 CHECK (((capacity = 'organisation'::text) = ((client_id IS NOT NULL) AND (account_id IS NULL)))),
    CONSTRAINT event_check5 CHECK (((kind <> 'requested'::text) OR ((capacity = 'organisation'::text) AND (request_id = id)))),
    CONSTRAINT event_check6 CHECK (((sequence = 1) = (previous_hash IS NULL))),
    CONSTRAINT event_form_reference_check CHECK (((length(form_reference) >= 1) AND (length(form_reference) <= 64))),
    CONSTRAINT event_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT event_kind_check CHECK ((kind = ANY (ARRAY['requested'::text, 'deferred'::text, 'refused'::text, 'agreed'::text, 'given'::text, 'renewed'::text, 'expired'::text, 'withdrawn'::text, 'invalidated'::text]))),
    CONSTRAINT event_language_check CHECK ((language = ANY (ARRAY['en'::text, 'fr'::text, 'ar'::text]))),
    CONSTRAINT event_method_check CHECK ((method = ANY (ARRAY['page'::text, 'app'::text, 'paper_form'::text, 'exchange'::text, 'identity_linked'::text, 'guardian_entered'::text, 'time_passed'::text]))),
    CONSTRAINT event_previous_hash_check CHECK ((octet_length(previous_hash) = 32)),
    CONSTRAINT event_sequence_check CHECK ((sequence >= 1))
);

ALTER TABLE consent.event OWNER TO stoa_owner;

CREATE TABLE consent.organisation (
    id text NOT NULL,
    name jsonb NOT NULL,
    kind text NOT NULL,
    requests_per_minute_max integer DEFAULT 600000 NOT NULL,
    subjects_per_minute_max integer DEFAULT 600000 NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT organisation_id_check CHECK ((id ~ '^[a-z][a-z0-9-]{1,62}$'::text)),
    CONSTRAINT organisation_kind_check CHECK ((kind = ANY (ARRAY['city_office'::text, 'health'::text, 'bank'::text, 'retailer'::text, 'school'::text, 'other'::text]))),
    CONSTRAINT organisation_name_check CHECK ((jsonb_typeof((name -> 'en'::text)) = 'string'::text)),
    CONSTRAINT organisation_requests_per_minute_max_check CHECK ((requests_per_minute_max > 0)),
    CONSTRAINT organisation_subjects_per_minute_max_check CHECK ((subjects_per_minute_max > 0))
);

ALTER TABLE consent.organisation OWNER TO stoa_owner;

CREATE TABLE consent.policy (
    activity_id uuid NOT NULL,
    version integer NOT NULL,
    attributes text[] NOT NULL,
    title jsonb NOT NULL,
    explanation jsonb NOT NULL,
    valid_months smallint,
    published_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT policy_attributes_check CHECK (((cardinality(attributes) >= 1) AND (cardinality(attributes) <= 50))),
    CONSTRAINT policy_explanation_check CHECK ((jsonb_typeof((explanation -> 'en'::text)) = 'string'::text)),
    CONSTRAINT policy_title_check CHECK ((jsonb_typeof((title -> 'en'::text)) = 'string'::text)),
    CONSTRAINT policy_valid_months_check CHECK (((valid_months >= 1) AND (valid_months <= 120))),
    CONSTRAINT policy_version_check CHECK ((version >= 1))
);

ALTER TABLE consent.policy OWNER TO stoa_owner;

CREATE TABLE consent.processing_activity (
    id uuid NOT NULL,
    organisation_id text NOT NULL,
    purpose text NOT NULL,
    legal_basis text NOT NULL,
    law text,
    policy_version integer DEFAULT 1 NOT NULL,
    retention jsonb,
    retention_law text,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT processing_activity_check CHECK (((legal_basis = 'consent'::text) = (law IS NULL))),
    CONSTRAINT processing_activity_law_check CHECK (((length(law) >= 3) AND (length(law) <= 200))),
    CONSTRAINT processing_activity_legal_basis_check CHECK ((legal_basis = ANY (ARRAY['consent'::text, 'contract'::text, 'legal_obligation'::text, 'vital_interests'::text, 'public_task'::text, 'legitimate_interests'::text]))),
    CONSTRAINT processing_activity_purpose_check CHECK ((purpose ~ '^[a-z][a-z0-9-]{1,62}$'::text)),
    CONSTRAINT processing_activity_retention_check CHECK (((retention IS NULL) OR COALESCE((jsonb_typeof((retention -> 'en'::text)) = 'string'::text), false))),
    CONSTRAINT processing_activity_retention_law_check CHECK (((length(retention_law) >= 3) AND (length(retention_law) <= 200))),
    CONSTRAINT retention_law_has_words CHECK (((retention_law IS NULL) OR (retention IS NOT NULL)))
);

ALTER TABLE consent.processing_activity OWNER TO stoa_owner;

CREATE TABLE identity.staff (
    id uuid NOT NULL,
    username text NOT NULL,
    display_name text NOT NULL,
    password_hash text NOT NULL,
    roles text[] NOT NULL,
    language text DEFAULT 'en'::text NOT NULL,
    resident_id uuid,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT staff_display_name_check CHECK (((length(display_name) >= 1) AND (length(display_name) <= 200))),
    CONSTRAINT staff_language_check CHECK ((language = ANY (ARRAY['en'::text, 'fr'::text, 'ar'::text]))),
    CONSTRAINT staff_password_hash_check CHECK ((password_hash ~~ '$argon2id$%'::text)),
    CONSTRAINT staff_roles_check CHECK (((cardinality(roles) >= 1) AND (roles <@ ARRAY['caseworker'::text, 'approver'::text, 'finance_officer'::text, 'auditor'::text, 'organisation_administrator'::text]))),
    CONSTRAINT staff_username_check CHECK ((username ~ '^[a-z0-9][a-z0-9._-]{1,63}$'::text))
);

ALTER TABLE identity.staff OWNER TO stoa_owner;

CREATE TABLE questions.answer (
    question_id uuid NOT NULL,
    finding text NOT NULL,
    sealed_answer bytea NOT NULL,
    answered_by uuid NOT NULL,
    answered_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT answer_finding_check CHECK ((finding = ANY (ARRAY['lawful'::text, 'unlawful'::text]))),
    CONSTRAINT answer_sealed_answer_check CHECK (((octet_length(sealed_answer) >= 29) AND (octet_length(sealed_answer) <= 4096)))
);

ALTER TABLE questions.answer OWNER TO stoa_owner;

CREATE TABLE questions.name_release (
    question_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    sealed_reason bytea NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT name_release_sealed_reason_check CHECK (((octet_length(sealed_reason) >= 29) AND (octet_length(sealed_reason) <= 4096))),
    CONSTRAINT released_by_another CHECK ((decided_by <> staff_id))
);

ALTER TABLE questions.name_release OWNER TO stoa_owner;

CREATE TABLE questions.question (
    id uuid NOT NULL,
    reference text NOT NULL,
    entry_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    sealed_question bytea NOT NULL,
    asked_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    due_at timestamp with time zone DEFAULT (public.stoa_now() + '1 mon'::interval) NOT NULL,
    CONSTRAINT question_reference_check CHECK ((reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'::text)),
    CONSTRAINT question_sealed_question_check CHECK (((octet_length(sealed_question) >= 29) AND (octet_length(sealed_question) <= 4096)))
);

ALTER TABLE questions.question OWNER TO stoa_owner;

CREATE VIEW access_log.told_entry AS
 SELECT e.subject_id,
    e.id,
    e.at,
    e.organisation_id,
    o.name AS organisation_name,
    e.client_id,
    e.actor_role,
    e.operation,
    e.purpose,
    pol.title AS purpose_title,
    act.id AS activity_id,
    e.attributes,
    e.legal_basis,
    e.law,
    ce.at AS consent_at,
    e.case_reference,
    e.outcome,
    e.refusal,
        CASE
            WHEN ((e.operation = 'paper_entry'::text) AND (e.outcome = 'permitted'::text)) THEN (paper.id IS NOT NULL)
            ELSE NULL::boolean
        END AS form_entered,
    paper.helper_name,
    l.index AS leaf_index,
    e.count,
    q.asked_at AS question_asked_at,
    q.due_at AS question_due_at,
    answer.answered_at AS question_answered_at,
    e.break_glass,
    glass.review_due_at,
    review.finding AS review_finding,
    review.reviewed_at,
    actor.display_name AS released_name,
    actor.username AS released_username
   FROM ((((((((((((access_log.entry e
     LEFT JOIN consent.organisation o ON ((o.id = e.organisation_id)))
     LEFT JOIN consent.processing_activity act ON (((act.organisation_id = e.organisation_id) AND (act.purpose = e.purpose))))
     LEFT JOIN consent.policy pol ON (((pol.activity_id = act.id) AND (pol.version = act.policy_version))))
     LEFT JOIN consent.event ce ON ((ce.id = e.consent_event_id)))
     LEFT JOIN casework.paper_submission paper ON (((e.operation = 'paper_entry'::text) AND (paper.entry_id = e.id))))
     LEFT JOIN access_log.leaf l ON ((l.entry_id = e.id)))
     LEFT JOIN questions.question q ON ((q.entry_id = e.id)))
     LEFT JOIN questions.answer answer ON ((answer.question_id = q.id)))
     LEFT JOIN questions.name_release released ON ((released.question_id = q.id)))
     LEFT JOIN identity.staff actor ON ((actor.id = released.staff_id)))
     LEFT JOIN casework.break_glass glass ON ((glass.entry_id = e.break_glass)))
     LEFT JOIN casework.break_glass_review review ON ((review.entry_id = glass.entry_id)));

ALTER TABLE access_log.told_entry OWNER TO stoa_door;

CREATE FUNCTION access_log.anomaly_entries(credential bytea, view_entries uuid[]) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION access_log.anomaly_entries(credential bytea, view_entries uuid[]) OWNER TO stoa_door;

CREATE FUNCTION access_log.anomaly_subjects(credential bytea, wanted text) RETURNS TABLE(resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION access_log.anomaly_subjects(credential bytea, wanted text) OWNER TO stoa_door;

CREATE FUNCTION access_log.authorise(entry_ids uuid[], credentials bytea[], operations text[], subject_kinds text[], subject_keys text[], attribute_lists text[], purposes text[], case_references text[]) RETURNS TABLE(request_id uuid, entry_id uuid, refusal text, missing text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_memoize TO 'off'
    AS $$
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

ALTER FUNCTION access_log.authorise(entry_ids uuid[], credentials bytea[], operations text[], subject_kinds text[], subject_keys text[], attribute_lists text[], purposes text[], case_references text[]) OWNER TO stoa_door;

CREATE FUNCTION access_log.canonical(e access_log.entry, subject_number bigint, previous_commitment bytea) RETURNS bytea
    LANGUAGE plpgsql STABLE
    AS $$
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

ALTER FUNCTION access_log.canonical(e access_log.entry, subject_number bigint, previous_commitment bytea) OWNER TO stoa_door;

CREATE FUNCTION access_log.check_checkpoint_size() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NEW.tree_size <> (SELECT coalesce(max(l.index) + 1, 0) FROM access_log.leaf AS l) THEN
        RAISE EXCEPTION 'a checkpoint covers all leaves there are' USING ERRCODE = 'check_violation', CONSTRAINT = 'checkpoint_covers_leaves';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION access_log.check_checkpoint_size() OWNER TO stoa_door;

CREATE FUNCTION access_log.check_erasure() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM access_log.erasure AS e WHERE e.entry_id = OLD.id)
        OR NOT EXISTS (SELECT FROM access_log.leaf AS l WHERE l.entry_id = OLD.id) THEN
        RAISE EXCEPTION 'an access entry is erased only by access_log.erase_entry, after it has its leaf' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION access_log.check_erasure() OWNER TO stoa_owner;

CREATE FUNCTION access_log.check_finding() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (SELECT FROM access_log.anomaly AS a WHERE a.id = NEW.anomaly_id AND a.actor_id = NEW.closed_by::text) THEN
        RAISE EXCEPTION 'an unusual access is judged by somebody else than whose it is'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'closed_by_another';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION access_log.check_finding() OWNER TO stoa_door;

CREATE FUNCTION access_log.check_moment() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

CREATE FUNCTION access_log.close_anomaly(credential bytea, wanted text, finding text, note text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION access_log.close_anomaly(credential bytea, wanted text, finding text, note text) OWNER TO stoa_door;

CREATE FUNCTION access_log.end_halt(authority text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    ended integer;
BEGIN
    INSERT INTO access_log.halt_end (halt_id, authority) SELECT h.id, end_halt.authority FROM access_log.standing_halt AS h;
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END
$$;

ALTER FUNCTION access_log.end_halt(authority text) OWNER TO stoa_owner;

CREATE FUNCTION access_log.entries_about(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer, with_own boolean, organisation text, purpose text, outcome text, entry uuid) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    entries_max integer := LEAST(entries_about.page_size, 200);
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM (
            SELECT e.id, e.at
            FROM access_log.own_viewer AS h
            CROSS JOIN LATERAL (
                SELECT x.id, x.at FROM access_log.entry AS x
                WHERE x.subject_id = h.resident_id
                  AND (x.at, x.id) < (coalesce(entries_about.before_at, 'infinity'), coalesce(entries_about.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                  AND (entries_about.with_own OR x.operation <> 'own_view')
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

ALTER FUNCTION access_log.entries_about(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer, with_own boolean, organisation text, purpose text, outcome text, entry uuid) OWNER TO stoa_door;

CREATE FUNCTION access_log.entries_under_glass(credential bytea, view_entry uuid) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM casework.break_glass_under(entries_under_glass.credential, entries_under_glass.view_entry) AS b
        JOIN access_log.told_entry AS t ON t.subject_id = b.holder_id AND t.at >= b.broken_at - interval '1 minute' AND t.break_glass = b.entry_id
        ORDER BY t.at, t.id LIMIT 100;
END
$$;

ALTER FUNCTION access_log.entries_under_glass(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION access_log.erase_entry(entry_id uuid, authority text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO access_log.erasure (entry_id, authority) VALUES (erase_entry.entry_id, erase_entry.authority);
    DELETE FROM access_log.entry AS e WHERE e.id = erase_entry.entry_id;
    IF FOUND THEN RETURN true; END IF;
    UPDATE access_log.record AS r SET content_hash = NULL, salt = NULL WHERE r.id = erase_entry.entry_id;
    RETURN FOUND;
END
$$;

ALTER FUNCTION access_log.erase_entry(entry_id uuid, authority text) OWNER TO stoa_owner;

CREATE FUNCTION access_log.field(number_and_tag bytea, payload bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(((number_and_tag || int4send(octet_length(payload))) || payload), (substr(number_and_tag, 1, 1) || '\x0000000000'::bytea));

ALTER FUNCTION access_log.field(number_and_tag bytea, payload bytea) OWNER TO stoa_door;

CREATE FUNCTION access_log.field(number_and_tag bytea, payload text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE(((number_and_tag || int4send(octet_length(payload))) || convert_to(payload, 'UTF8'::name)), (substr(number_and_tag, 1, 1) || '\x0000000000'::bytea));

ALTER FUNCTION access_log.field(number_and_tag bytea, payload text) OWNER TO stoa_door;

CREATE FUNCTION access_log.find_anomalies(zone text, opens_hour integer, closes_hour integer, people_per_hour_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
        WHERE e.actor_kind = 'staff' AND e.operation NOT IN ('log_view', 'payout') AND e.at >= since
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

ALTER FUNCTION access_log.find_anomalies(zone text, opens_hour integer, closes_hour integer, people_per_hour_max integer) OWNER TO stoa_door;

CREATE FUNCTION access_log.given_to(credential bytea, organisation text) RETURNS TABLE(counted_since timestamp with time zone, purpose text, attribute text, times bigint, first_at timestamp with time zone, last_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    -- An entry an hour for more than a year. They lie scattered, so that this is what a page can wait for (some 30 ms).
    entries_max CONSTANT integer := 10000;
BEGIN
    RETURN QUERY
        WITH newest AS MATERIALIZED (
            SELECT e.at, e.organisation_id, e.operation, e.purpose, e.attributes, e.outcome
            FROM access_log.own_viewer AS h
            -- One more than is counted tells whether there are more.
            CROSS JOIN LATERAL (SELECT x.* FROM access_log.entry AS x WHERE x.subject_id = h.resident_id ORDER BY x.at DESC, x.id DESC LIMIT entries_max + 1) AS e
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

ALTER FUNCTION access_log.given_to(credential bytea, organisation text) OWNER TO stoa_door;

CREATE FUNCTION access_log.has_looked(auditor uuid, subjects uuid[], reason text, reference text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM access_log.entry AS e
        WHERE e.actor_kind = 'staff' AND e.at > public.stoa_now() - interval '1 hour' AND e.actor_id = has_looked.auditor::text
          AND e.operation = 'log_view' AND e.outcome = 'permitted' AND e.purpose = has_looked.reason AND e.case_reference = has_looked.reference
          AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
          AND (has_looked.subjects IS NULL OR e.subject_id = ANY (has_looked.subjects)));
END
$$;

ALTER FUNCTION access_log.has_looked(auditor uuid, subjects uuid[], reason text, reference text) OWNER TO stoa_door;

CREATE TABLE benefits.decision (
    disbursement_id uuid NOT NULL,
    prepared_by uuid NOT NULL,
    kind text NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    refusal_reason text,
    transfer_id uuid,
    CONSTRAINT decided_by_another CHECK ((decided_by <> prepared_by)),
    CONSTRAINT decision_check CHECK (((kind = 'approved'::text) = (transfer_id IS NOT NULL))),
    CONSTRAINT decision_check1 CHECK (((kind = 'refused'::text) = (refusal_reason IS NOT NULL))),
    CONSTRAINT decision_kind_check CHECK ((kind = ANY (ARRAY['approved'::text, 'refused'::text]))),
    CONSTRAINT decision_refusal_reason_check CHECK (((length(refusal_reason) >= 3) AND (length(refusal_reason) <= 500)))
);

ALTER TABLE benefits.decision OWNER TO stoa_owner;

CREATE TABLE benefits.disbursement (
    id uuid NOT NULL,
    programme_id text NOT NULL,
    resident_id uuid NOT NULL,
    access_entry_id uuid,
    case_reference text NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    reason text NOT NULL,
    prepared_by uuid NOT NULL,
    prepared_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT disbursement_amount_check CHECK (((amount >= 1) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT disbursement_case_reference_check CHECK (((length(case_reference) >= 1) AND (length(case_reference) <= 64))),
    CONSTRAINT disbursement_reason_check CHECK (((length(reason) >= 3) AND (length(reason) <= 500)))
);

ALTER TABLE benefits.disbursement OWNER TO stoa_owner;

CREATE TABLE disputes.decision (
    id uuid NOT NULL,
    dispute_id uuid NOT NULL,
    number integer NOT NULL,
    finding text NOT NULL,
    refund bigint,
    sealed_words bytea NOT NULL,
    grounds text,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT decision_finding_check CHECK ((finding = ANY (ARRAY['upheld'::text, 'partly_upheld'::text, 'rejected'::text]))),
    CONSTRAINT decision_grounds_check CHECK (((length(grounds) >= 3) AND (length(grounds) <= 500))),
    CONSTRAINT decision_number_check CHECK (((number >= 1) AND (number <= 20))),
    CONSTRAINT decision_refund_check CHECK (((refund >= 1) AND (refund <= '9007199254740991'::bigint))),
    CONSTRAINT decision_sealed_words_check CHECK (((octet_length(sealed_words) >= 29) AND (octet_length(sealed_words) <= 4096))),
    CONSTRAINT nothing_back_for_nothing CHECK (((refund IS NULL) OR (finding <> 'rejected'::text))),
    CONSTRAINT refund_with_grounds CHECK (((refund IS NULL) = (grounds IS NULL)))
);

ALTER TABLE disputes.decision OWNER TO stoa_owner;

CREATE TABLE disputes.dispute (
    id uuid NOT NULL,
    reference text NOT NULL,
    resident_id uuid NOT NULL,
    about_kind text NOT NULL,
    about_id uuid NOT NULL,
    category text NOT NULL,
    opened_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    due_at timestamp with time zone NOT NULL,
    CONSTRAINT dispute_about_kind_check CHECK ((about_kind = ANY (ARRAY['bill'::text, 'payment'::text, 'benefit'::text]))),
    CONSTRAINT dispute_check CHECK ((due_at > opened_at)),
    CONSTRAINT dispute_reference_check CHECK ((reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'::text))
);

ALTER TABLE disputes.dispute OWNER TO stoa_owner;

CREATE TABLE register.correction_answer (
    request_id uuid NOT NULL,
    decision text NOT NULL,
    sealed_answer bytea,
    answered_by uuid NOT NULL,
    answered_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT correction_answer_decision_check CHECK ((decision = ANY (ARRAY['accepted'::text, 'declined'::text]))),
    CONSTRAINT correction_answer_sealed_answer_check CHECK (((octet_length(sealed_answer) >= 29) AND (octet_length(sealed_answer) <= 4096))),
    CONSTRAINT declined_with_reason CHECK (((decision = 'accepted'::text) OR (sealed_answer IS NOT NULL)))
);

ALTER TABLE register.correction_answer OWNER TO stoa_owner;

CREATE TABLE register.correction_request (
    id uuid NOT NULL,
    reference text NOT NULL,
    resident_id uuid NOT NULL,
    attribute text NOT NULL,
    sealed_statement bytea NOT NULL,
    requested_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT correction_request_reference_check CHECK ((reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'::text)),
    CONSTRAINT correction_request_sealed_statement_check CHECK (((octet_length(sealed_statement) >= 29) AND (octet_length(sealed_statement) <= 4096)))
);

ALTER TABLE register.correction_request OWNER TO stoa_owner;

CREATE VIEW access_log.decision AS
 SELECT x.disbursement_id AS id,
    'benefit'::text AS about,
    x.decided_at AS at,
    d.resident_id,
    x.decided_by,
    x.kind AS outcome,
    concat_ws(' '::text, d.programme_id, d.currency, d.amount, d.case_reference) AS matter,
    sha256(convert_to(x.refusal_reason, 'UTF8'::name)) AS words_hash
   FROM (benefits.decision x
     JOIN benefits.disbursement d ON ((d.id = x.disbursement_id)))
UNION ALL
 SELECT x.request_id AS id,
    'correction'::text AS about,
    x.answered_at AS at,
    r.resident_id,
    x.answered_by AS decided_by,
    x.decision AS outcome,
    r.attribute AS matter,
    sha256(x.sealed_answer) AS words_hash
   FROM (register.correction_answer x
     JOIN register.correction_request r ON ((r.id = x.request_id)))
UNION ALL
 SELECT x.question_id AS id,
    'question'::text AS about,
    x.answered_at AS at,
    q.resident_id,
    x.answered_by AS decided_by,
    x.finding AS outcome,
    (q.entry_id)::text AS matter,
    sha256(x.sealed_answer) AS words_hash
   FROM (questions.answer x
     JOIN questions.question q ON ((q.id = x.question_id)))
UNION ALL
 SELECT x.entry_id AS id,
    'emergency'::text AS about,
    x.reviewed_at AS at,
    b.resident_id,
    x.reviewed_by AS decided_by,
    x.finding AS outcome,
    b.reference AS matter,
    sha256(x.sealed_words) AS words_hash
   FROM (casework.break_glass_review x
     JOIN casework.break_glass b ON ((b.entry_id = x.entry_id)))
UNION ALL
 SELECT x.id,
    'dispute'::text AS about,
    x.decided_at AS at,
    d.resident_id,
    x.decided_by,
    x.finding AS outcome,
    concat_ws(' '::text, d.about_kind, d.about_id, d.category, x.number, x.refund) AS matter,
    sha256(x.sealed_words) AS words_hash
   FROM (disputes.decision x
     JOIN disputes.dispute d ON ((d.id = x.dispute_id)));

ALTER TABLE access_log.decision OWNER TO stoa_door;

CREATE FUNCTION access_log.hash_of(d access_log.decision) RETURNS bytea
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET standard_conforming_strings TO 'on'
    AS $$
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

ALTER FUNCTION access_log.hash_of(d access_log.decision) OWNER TO stoa_door;

CREATE FUNCTION access_log.kept_since() RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN (SELECT e.at FROM access_log.entry AS e ORDER BY e.id LIMIT 1);
END
$$;

ALTER FUNCTION access_log.kept_since() OWNER TO stoa_door;

CREATE FUNCTION access_log.leaves(from_index bigint, end_index bigint) RETURNS TABLE(index bigint, data bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT l.index, access_log.leaf_label(l.kind) || l.commitment FROM access_log.leaf AS l WHERE l.index >= from_index AND l.index < end_index;
END
$$;

ALTER FUNCTION access_log.leaves(from_index bigint, end_index bigint) OWNER TO stoa_door;

CREATE FUNCTION access_log.log_guardian_view(credential bytea, entry_id uuid, child uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION access_log.log_guardian_view(credential bytea, entry_id uuid, child uuid) OWNER TO stoa_door;

CREATE FUNCTION access_log.longest_wait_seconds() RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
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

CREATE FUNCTION access_log.look_of_staff(credential bytea, entry uuid, role text, operation text, age_max interval) RETURNS SETOF access_log.entry
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN QUERY
        SELECT e.* FROM web.staff_with(look_of_staff.credential, ARRAY[look_of_staff.role]) AS s
        JOIN access_log.entry AS e ON e.id = look_of_staff.entry AND e.actor_kind = 'staff' AND e.actor_id = s.staff_id::text
        WHERE e.operation = look_of_staff.operation AND e.outcome = 'permitted'
          AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND e.at > public.stoa_now() - look_of_staff.age_max;
END
$$;

ALTER FUNCTION access_log.look_of_staff(credential bytea, entry uuid, role text, operation text, age_max interval) OWNER TO stoa_door;

CREATE FUNCTION access_log.open_anomalies(credential bytea, wanted text) RETURNS TABLE(reference text, rule text, day date, count integer, usual integer, entry_count bigint, staff_name text, staff_username text, organisation_name jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION access_log.open_anomalies(credential bytea, wanted text) OWNER TO stoa_door;

CREATE FUNCTION access_log.organisations_about(credential bytea) RETURNS TABLE(id text, name jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, o.name FROM consent.organisation AS o WHERE o.id IN (
            SELECT e.organisation_id
            FROM access_log.own_viewer AS h JOIN access_log.entry AS e ON e.subject_id = h.resident_id
            WHERE h.credential = organisations_about.credential AND h.kind = 'access_log')
        ORDER BY o.name ->> 'en', o.id;
END
$$;

ALTER FUNCTION access_log.organisations_about(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION access_log.own_entry(credential bytea, entry_id uuid) RETURNS TABLE(leaf_index bigint, salt bytea, canonical bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET standard_conforming_strings TO 'on'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    RETURN QUERY
        SELECT l.index, e.salt, access_log.canonical(e, l.subject_number, l.previous_commitment)
        FROM access_log.own_viewer AS h
        JOIN access_log.entry AS e ON e.subject_id = h.resident_id
        LEFT JOIN access_log.leaf AS l ON l.entry_id = e.id
        WHERE h.credential = own_entry.credential AND h.kind = 'access_log' AND e.id = own_entry.entry_id;
END
$$;

ALTER FUNCTION access_log.own_entry(credential bytea, entry_id uuid) OWNER TO stoa_door;

CREATE FUNCTION access_log.questioned_entry(credential bytea, view_entry uuid) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM access_log.look_of_staff(questioned_entry.credential, questioned_entry.view_entry, 'auditor', 'log_view', interval '5 seconds') AS viewed
        JOIN questions.question AS q ON q.reference = viewed.case_reference AND viewed.purpose = 'question'
        JOIN register.resident AS holder ON holder.id = q.resident_id AND viewed.subject_id IN (holder.id, holder.superseded_by)
        JOIN access_log.told_entry AS t ON t.id = q.entry_id;
END
$$;

ALTER FUNCTION access_log.questioned_entry(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION access_log.queue_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    decided access_log.decision;
BEGIN
    SELECT d.* INTO STRICT decided FROM access_log.decision AS d WHERE d.about = TG_ARGV[0] AND d.id = (to_jsonb(NEW) ->> TG_ARGV[1])::uuid;
    PERFORM access_log.queue_leaf('decision', decided.id, access_log.hash_of(decided));
    RETURN NULL;
END
$$;

ALTER FUNCTION access_log.queue_decision() OWNER TO stoa_door;

CREATE FUNCTION access_log.queue_leaf(kind text, source_id uuid, content_hash bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    WITH recorded AS (
        INSERT INTO access_log.record AS r (kind, source_id, content_hash)
            VALUES (queue_leaf.kind, queue_leaf.source_id, queue_leaf.content_hash)
            RETURNING r.id)
    INSERT INTO access_log.record_queue (record_id) SELECT n.id FROM recorded AS n;
END
$$;

ALTER FUNCTION access_log.queue_leaf(kind text, source_id uuid, content_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION access_log.refuse_while_halted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (SELECT FROM access_log.standing_halt) THEN
        RAISE EXCEPTION 'the log has stopped: a witness has seen what this database does not hold'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Look at access_log.standing_halt.';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION access_log.refuse_while_halted() OWNER TO stoa_door;

CREATE FUNCTION access_log.release(entry_ids uuid[]) RETURNS TABLE(entry_id uuid, resident_id uuid, public_code text, identity_assurance smallint, holder_id uuid, key_id text, wrapped_key bytea, attributes text[], sealed_values bytea[], sources text[], recorded_at timestamp with time zone[], at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_memoize TO 'off'
    AS $$
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

ALTER FUNCTION access_log.release(entry_ids uuid[]) OWNER TO stoa_door;

CREATE FUNCTION access_log.role_of(staff_id uuid) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN (SELECT CASE WHEN 'caseworker' = ANY (s.roles) THEN 'caseworker' ELSE s.roles[1] END FROM identity.staff AS s WHERE s.id = role_of.staff_id);
END
$$;

ALTER FUNCTION access_log.role_of(staff_id uuid) OWNER TO stoa_door;

CREATE FUNCTION access_log.sequence(entries_max integer) RETURNS TABLE(index bigint, data bytea)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET standard_conforming_strings TO 'on'
    AS $$
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

ALTER FUNCTION access_log.sequence(entries_max integer) OWNER TO stoa_door;

CREATE FUNCTION access_log.stop(witness text, witness_size bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    newest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7308895158);
    SELECT coalesce(max(c.tree_size), 0) INTO newest FROM access_log.checkpoint AS c;
    IF stop.witness_size <= newest THEN RETURN false; END IF;
    IF NOT EXISTS (SELECT FROM access_log.standing_halt AS h WHERE h.witness = stop.witness) THEN
        INSERT INTO access_log.halt (witness, tree_size, witness_size) VALUES (stop.witness, newest, stop.witness_size);
    END IF;
    RETURN true;
END
$$;

ALTER FUNCTION access_log.stop(witness text, witness_size bigint) OWNER TO stoa_door;

CREATE FUNCTION access_log.store_tiles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET standard_conforming_strings TO 'on'
    AS $$
DECLARE
    tile_level smallint := 0;
    full_tiles bigint := NEW.tree_size / 256;
    next_tile bigint;
    tile_hashes bytea;
BEGIN
    WHILE full_tiles > 0 LOOP
        SELECT coalesce(max(t.index) + 1, 0) INTO next_tile FROM access_log.tile AS t WHERE t.level = tile_level;
        -- Where nothing is new, nothing above it is.
        EXIT WHEN next_tile >= full_tiles;
        WHILE next_tile < full_tiles LOOP
            IF tile_level = 0 THEN
                SELECT string_agg(sha256('\x00'::bytea || access_log.leaf_label(l.kind) || l.commitment), ''::bytea ORDER BY l.index)
                    INTO tile_hashes FROM access_log.leaf AS l WHERE l.index >= next_tile * 256 AND l.index < (next_tile + 1) * 256;
            ELSE
                SELECT string_agg(t.root, ''::bytea ORDER BY t.index) INTO tile_hashes FROM access_log.tile AS t
                    WHERE t.level = tile_level - 1 AND t.index >= next_tile * 256 AND t.index < (next_tile + 1) * 256;
            END IF;
            -- Only whoever edits the database can make a leaf vanish. The log goes on without the tile, which `stoa verify log` misses.
            IF octet_length(tile_hashes) IS DISTINCT FROM 8192 THEN RETURN NULL; END IF;
            INSERT INTO access_log.tile (level, index, hashes, root)
                VALUES (tile_level, next_tile, tile_hashes, access_log.tile_root(tile_hashes));
            next_tile := next_tile + 1;
        END LOOP;
        tile_level := tile_level + 1;
        full_tiles := full_tiles / 256;
    END LOOP;
    RETURN NULL;
END
$$;

ALTER FUNCTION access_log.store_tiles() OWNER TO stoa_door;

CREATE FUNCTION access_log.tile_root(hashes bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET standard_conforming_strings TO 'on'
    AS $$
DECLARE
    joined bytea := hashes;
BEGIN
    WHILE octet_length(joined) > 32 LOOP
        joined := (SELECT string_agg(sha256('\x01'::bytea || substr(joined, 64 * pair.number + 1, 64)), ''::bytea ORDER BY pair.number)
            FROM generate_series(0, octet_length(joined) / 64 - 1) AS pair (number));
    END LOOP;
    RETURN joined;
END
$$;

ALTER FUNCTION access_log.tile_root(hashes bytea) OWNER TO stoa_door;

CREATE FUNCTION access_log.usages_under(credential bytea, view_entry uuid, period_start timestamp with time zone, period_end timestamp with time zone) RETURNS SETOF access_log.told_entry
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT t.*
        FROM access_log.actor AS c
        JOIN access_log.entry AS viewed ON viewed.id = usages_under.view_entry AND viewed.actor_kind = c.kind AND viewed.actor_id = c.id
        JOIN register.resident AS r ON r.id = viewed.subject_id OR r.superseded_by = viewed.subject_id
        JOIN access_log.told_entry AS t ON t.subject_id = r.id
        WHERE c.hash = usages_under.credential AND viewed.operation = 'usage' AND viewed.outcome = 'permitted'
          AND viewed.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND viewed.at > public.stoa_now() - interval '5 seconds'
          AND t.outcome = 'permitted' AND t.operation <> 'own_view' AND NOT (t.operation = 'usage' AND t.client_id = viewed.client_id)
          AND (usages_under.period_start IS NULL OR t.at >= usages_under.period_start)
          AND (usages_under.period_end IS NULL OR t.at <= usages_under.period_end);
END
$$;

ALTER FUNCTION access_log.usages_under(credential bytea, view_entry uuid, period_start timestamp with time zone, period_end timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION benefits.approve(credential bytea, disbursement uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT case_reference text, OUT language text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    approver uuid;
    prepared record;
    earlier text;
    posted text;
BEGIN
    SELECT s.staff_id INTO approver FROM web.staff_with(approve.credential, '{approver}') AS s;
    IF NOT FOUND THEN outcome := 'role_missing'; RETURN; END IF;
    -- The money goes where the resident is now, if a register record took the place of the one that was found.
    SELECT d.id, d.prepared_by, d.amount, d.currency, d.case_reference, p.paid_from, coalesce(r.superseded_by, r.id) AS resident_id INTO prepared
        FROM benefits.disbursement AS d JOIN benefits.programme AS p ON p.id = d.programme_id JOIN register.resident AS r ON r.id = d.resident_id
        WHERE d.id = approve.disbursement;
    IF NOT FOUND THEN outcome := 'disbursement_unknown'; RETURN; END IF;

    -- One decision at a time; the next one finds it. (Before any account, so that nobody waits crosswise.)
    PERFORM pg_advisory_xact_lock(hashtextextended('benefits.disbursement ' || prepared.id, 0));
    SELECT x.kind INTO earlier FROM benefits.decision AS x WHERE x.disbursement_id = prepared.id;
    IF FOUND THEN outcome := 'already_' || earlier; RETURN; END IF;
    IF prepared.prepared_by = approver THEN outcome := 'self_approval'; RETURN; END IF;

    SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[approve.transfer], '{post}', ARRAY[prepared.paid_from],
        ARRAY[ledger.open_wallet(prepared.resident_id, prepared.currency)], ARRAY[prepared.amount], ARRAY[prepared.currency],
        ARRAY[prepared.case_reference], '{NULL}', '{staff}', ARRAY[approver::text]) AS t;
    IF posted = 'insufficient_funds' THEN outcome := posted; RETURN; END IF;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused a benefit: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'benefit_posted';
    END IF;
    INSERT INTO benefits.decision (disbursement_id, prepared_by, kind, decided_by, transfer_id)
        VALUES (prepared.id, prepared.prepared_by, 'approved', approver, approve.transfer);
    outcome := 'approved';
    resident := prepared.resident_id;
    amount := prepared.amount;
    currency := prepared.currency;
    case_reference := prepared.case_reference;
    SELECT a.language INTO approve.language FROM identity.account AS a WHERE a.resident_id = prepared.resident_id;
END
$$;

ALTER FUNCTION benefits.approve(credential bytea, disbursement uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT case_reference text, OUT language text) OWNER TO stoa_door;

CREATE FUNCTION benefits.disbursements_for(credential bytea, disbursement uuid, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, programme_id text, programme_name jsonb, law text, public_code text, case_reference text, currency text, amount bigint, reason text, prepared_by_name text, prepared_by_me boolean, prepared_at timestamp with time zone, decision text, decided_by_name text, decided_at timestamp with time zone, refusal_reason text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.programme_id, p.name, p.law, CASE WHEN disbursements_for.disbursement IS NOT NULL THEN r.public_code END,
            d.case_reference, d.currency, d.amount, d.reason, maker.display_name, maker.id = s.staff_id, d.prepared_at,
            x.kind, decider.display_name, x.decided_at, x.refusal_reason
        FROM web.staff_with(disbursements_for.credential, '{caseworker,finance_officer,approver,auditor}') AS s
        CROSS JOIN benefits.disbursement AS d
        JOIN benefits.programme AS p ON p.id = d.programme_id
        JOIN register.resident AS r ON r.id = d.resident_id
        JOIN identity.staff AS maker ON maker.id = d.prepared_by
        LEFT JOIN benefits.decision AS x ON x.disbursement_id = d.id
        LEFT JOIN identity.staff AS decider ON decider.id = x.decided_by
        WHERE (disbursements_for.disbursement IS NULL OR d.id = disbursements_for.disbursement)
          AND (disbursements_for.before_at IS NULL OR (d.prepared_at, d.id) < (disbursements_for.before_at, disbursements_for.before_id))
        ORDER BY d.prepared_at DESC, d.id DESC
        LIMIT LEAST(disbursements_for.page_size, 201);
END
$$;

ALTER FUNCTION benefits.disbursements_for(credential bytea, disbursement uuid, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION benefits.prepare(credential bytea, disbursement uuid, access_entry uuid, programme text, amount bigint, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    preparer uuid;
    lookup record;
    scheme record;
BEGIN
    SELECT s.staff_id INTO preparer FROM web.staff_with(prepare.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    -- A minute covers the way from the look-up to here; it is one request.
    SELECT e.subject_id, e.case_reference INTO lookup
        FROM access_log.entry AS e
        WHERE e.id = prepare.access_entry AND e.operation = 'search' AND e.outcome = 'permitted' AND e.actor_kind = 'staff'
          AND e.actor_id = preparer::text AND e.purpose = 'application' AND e.at > public.stoa_now() - interval '1 minute'
          AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned();
    IF NOT FOUND THEN RETURN 'lookup_missing'; END IF;
    SELECT p.currency, p.payment_max INTO scheme FROM benefits.programme AS p WHERE p.id = prepare.programme AND p.closed_at IS NULL;
    IF NOT FOUND THEN RETURN 'programme_unknown'; END IF;
    IF prepare.amount > scheme.payment_max THEN RETURN 'amount_over_limit'; END IF;

    INSERT INTO benefits.disbursement (id, programme_id, resident_id, access_entry_id, case_reference, currency, amount, reason, prepared_by)
        VALUES (prepare.disbursement, prepare.programme, lookup.subject_id, prepare.access_entry, lookup.case_reference, scheme.currency,
                prepare.amount, prepare.reason, preparer)
        ON CONFLICT ON CONSTRAINT disbursement_pkey DO NOTHING;
    IF FOUND THEN RETURN 'prepared'; END IF;
    RETURN CASE WHEN EXISTS (
        SELECT FROM benefits.disbursement AS d
        WHERE d.id = prepare.disbursement AND d.programme_id = prepare.programme AND d.resident_id = lookup.subject_id
          AND d.case_reference = lookup.case_reference AND d.amount = prepare.amount AND d.reason = prepare.reason AND d.prepared_by = preparer)
        THEN 'exists' ELSE 'id_conflict' END;
END
$$;

ALTER FUNCTION benefits.prepare(credential bytea, disbursement uuid, access_entry uuid, programme text, amount bigint, reason text) OWNER TO stoa_door;

CREATE FUNCTION benefits.received_by(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(disbursement_id uuid, transfer_id uuid, programme_name jsonb, law text, currency text, amount bigint, reason text, case_reference text, paid_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, x.transfer_id, p.name, p.law, d.currency, d.amount, d.reason, d.case_reference, x.decided_at
        FROM ledger.holder(received_by.credential, '{payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN benefits.disbursement AS d ON d.resident_id = r.id
        JOIN benefits.decision AS x ON x.disbursement_id = d.id AND x.kind = 'approved'
        JOIN benefits.programme AS p ON p.id = d.programme_id
        WHERE received_by.before_at IS NULL OR (x.decided_at, d.id) < (received_by.before_at, received_by.before_id)
        ORDER BY x.decided_at DESC, d.id DESC
        LIMIT LEAST(received_by.page_size, 200);
END
$$;

ALTER FUNCTION benefits.received_by(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION benefits.refuse(credential bytea, disbursement uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    approver uuid;
    prepared record;
    earlier text;
BEGIN
    SELECT s.staff_id INTO approver FROM web.staff_with(refuse.credential, '{approver}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT d.id, d.prepared_by INTO prepared FROM benefits.disbursement AS d WHERE d.id = refuse.disbursement;
    IF NOT FOUND THEN RETURN 'disbursement_unknown'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('benefits.disbursement ' || prepared.id, 0));
    SELECT x.kind INTO earlier FROM benefits.decision AS x WHERE x.disbursement_id = prepared.id;
    IF FOUND THEN RETURN 'already_' || earlier; END IF;
    IF prepared.prepared_by = approver THEN RETURN 'self_approval'; END IF;
    INSERT INTO benefits.decision (disbursement_id, prepared_by, kind, decided_by, refusal_reason)
        VALUES (prepared.id, prepared.prepared_by, 'refused', approver, refuse.reason);
    RETURN 'refused';
END
$$;

ALTER FUNCTION benefits.refuse(credential bytea, disbursement uuid, reason text) OWNER TO stoa_door;

CREATE FUNCTION benefits.waiting_for(credential bytea) RETURNS TABLE(count bigint, oldest timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT count(*), min(d.prepared_at)
        FROM web.staff_with(waiting_for.credential, '{approver}') AS s JOIN benefits.disbursement AS d ON d.prepared_by <> s.staff_id
        WHERE NOT EXISTS (SELECT FROM benefits.decision AS x WHERE x.disbursement_id = d.id);
END
$$;

ALTER FUNCTION benefits.waiting_for(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION casework.break_glass_under(credential bytea, view_entry uuid) RETURNS TABLE(entry_id uuid, reference text, broken_at timestamp with time zone, review_due_at timestamp with time zone, sealed_reason bytea, holder_id uuid, key_id text, wrapped_key bytea, staff_name text, staff_username text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION casework.break_glass_under(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION casework.break_the_glass(credential bytea, entry uuid, opening_id uuid, reference text, sealed_reason bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION casework.break_the_glass(credential bytea, entry uuid, opening_id uuid, reference text, sealed_reason bytea) OWNER TO stoa_door;

CREATE FUNCTION casework.check_review() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (SELECT FROM casework.break_glass AS b WHERE b.entry_id = NEW.entry_id AND b.staff_id = NEW.reviewed_by) THEN
        RAISE EXCEPTION 'an emergency is reviewed by somebody else than who declared it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reviewed_by_another';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION casework.check_review() OWNER TO stoa_door;

CREATE FUNCTION casework.key_paper_consent(credential bytea, opening_id uuid, entry uuid, submission_id uuid, form_reference text, activity uuid, kind text, attributes text[], helper_name text, signature_method text, witness_name text, was_read_back boolean, signed_on date) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    staff uuid := (SELECT s.staff_id FROM web.staff_with(credential, '{caseworker}') AS s);
    resident uuid;
    form record;
    outcome text;
BEGIN
    SELECT o.resident_id INTO resident FROM casework.opening AS o
        WHERE o.id = opening_id AND o.staff_id = staff AND o.expires_at > public.stoa_now();
    IF resident IS NULL OR key_paper_consent.kind NOT IN ('given', 'withdrawn') OR NOT EXISTS (
        SELECT FROM access_log.look_of_staff(key_paper_consent.credential, key_paper_consent.entry, 'caseworker', 'paper_entry', interval '1 minute') AS e
        WHERE e.subject_id = resident AND e.case_reference = key_paper_consent.form_reference)
        OR EXISTS (SELECT FROM casework.paper_submission AS p WHERE p.entry_id = key_paper_consent.entry) THEN
        RETURN 'not_allowed';
    END IF;
    SELECT f.activity_id, f.policy_version, f.language, (f.printed_at AT TIME ZONE 'UTC')::date AS printed_on INTO form
        FROM casework.printed_form AS f WHERE f.reference = key_paper_consent.form_reference;
    IF form IS NULL THEN RETURN 'form_unknown'; END IF;
    IF EXISTS (SELECT FROM casework.paper_submission AS p WHERE p.form_reference = key_paper_consent.form_reference) THEN RETURN 'form_used'; END IF;
    IF form.activity_id <> key_paper_consent.activity THEN RETURN 'form_of_other_sharing'; END IF;
    -- A day on each side, because the city's day is not everywhere that of UTC.
    IF key_paper_consent.signed_on < form.printed_on - 1 THEN RETURN 'signed_before_printing'; END IF;
    IF key_paper_consent.signed_on > (public.stoa_now() AT TIME ZONE 'UTC')::date + 1 THEN RETURN 'signed_in_future'; END IF;

    INSERT INTO casework.paper_submission AS p (id, form_reference, entry_id, resident_id, activity_id, decision, attributes, staff_id, helper_name,
                                                signature_method, witness_name, was_read_back, signed_on)
        VALUES (submission_id, key_paper_consent.form_reference, key_paper_consent.entry, resident, key_paper_consent.activity,
                key_paper_consent.kind, coalesce(key_paper_consent.attributes, '{}'), staff, key_paper_consent.helper_name,
                key_paper_consent.signature_method, key_paper_consent.witness_name, key_paper_consent.was_read_back, key_paper_consent.signed_on)
        ON CONFLICT ON CONSTRAINT paper_submission_form_reference_key DO NOTHING;
    IF NOT FOUND THEN RETURN 'form_used'; END IF;
    -- Who agrees agreed to the text on the paper. Who stops may do so on a form of any age.
    outcome := consent.append(submission_id, resident, key_paper_consent.activity, key_paper_consent.kind, key_paper_consent.attributes,
        CASE key_paper_consent.kind WHEN 'given' THEN form.policy_version END, NULL, staff, NULL, 'paper', 'paper_form', form.language,
        key_paper_consent.form_reference);
    IF outcome NOT IN ('recorded', 'unchanged') THEN
        -- Nothing of a form that cannot be entered stays.
        RAISE EXCEPTION 'paper form refused: %', outcome USING ERRCODE = 'check_violation', CONSTRAINT = outcome;
    END IF;
    RETURN outcome;
END
$$;

ALTER FUNCTION casework.key_paper_consent(credential bytea, opening_id uuid, entry uuid, submission_id uuid, form_reference text, activity uuid, kind text, attributes text[], helper_name text, signature_method text, witness_name text, was_read_back boolean, signed_on date) OWNER TO stoa_door;

CREATE FUNCTION casework.open_record(credential bytea, opening_id uuid, search_entry_id uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO casework.opening (id, staff_id, resident_id, reason, case_reference)
        SELECT open_record.opening_id, e.actor_id::uuid, e.subject_id, e.purpose, e.case_reference
        FROM access_log.look_of_staff(open_record.credential, open_record.search_entry_id, 'caseworker', 'search', interval '1 minute') AS e;
    RETURN CASE WHEN FOUND THEN open_record.opening_id END;
END
$$;

ALTER FUNCTION casework.open_record(credential bytea, opening_id uuid, search_entry_id uuid) OWNER TO stoa_door;

CREATE FUNCTION casework.opening_of(credential bytea, opening_id uuid) RETURNS TABLE(resident_id uuid, public_code text, reason text, case_reference text, expires_at timestamp with time zone, has_account boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT o.resident_id, r.public_code, o.reason, o.case_reference, o.expires_at,
            EXISTS (SELECT FROM identity.account AS a WHERE a.resident_id = o.resident_id)
        FROM web.staff_with(opening_of.credential, '{caseworker}') AS s JOIN casework.opening AS o ON o.staff_id = s.staff_id
        JOIN register.resident AS r ON r.id = o.resident_id
        WHERE o.id = opening_of.opening_id AND o.expires_at > public.stoa_now();
END
$$;

ALTER FUNCTION casework.opening_of(credential bytea, opening_id uuid) OWNER TO stoa_door;

CREATE FUNCTION casework.own_break_glass(credential bytea, entry uuid) RETURNS TABLE(entry_id uuid, reference text, broken_at timestamp with time zone, review_due_at timestamp with time zone, sealed_reason bytea, holder_id uuid, key_id text, wrapped_key bytea, finding text, sealed_words bytea, reviewed_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION casework.own_break_glass(credential bytea, entry uuid) OWNER TO stoa_door;

CREATE FUNCTION casework.paper_submissions_of(credential bytea, opening_id uuid) RETURNS TABLE(id uuid, form_reference text, activity_id uuid, decision text, attributes text[], keyed_by text, helper_name text, signature_method text, witness_name text, signed_on date, keyed_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT p.id, p.form_reference, p.activity_id, p.decision, p.attributes, s.display_name, p.helper_name, p.signature_method, p.witness_name, p.signed_on, p.keyed_at
        FROM web.staff_with(paper_submissions_of.credential, '{caseworker}') AS me
        JOIN casework.opening AS o ON o.staff_id = me.staff_id
        JOIN casework.paper_submission AS p ON p.resident_id = o.resident_id
        JOIN identity.staff AS s ON s.id = p.staff_id
        WHERE o.id = paper_submissions_of.opening_id AND o.expires_at > public.stoa_now()
        ORDER BY p.keyed_at DESC LIMIT 50;
END
$$;

ALTER FUNCTION casework.paper_submissions_of(credential bytea, opening_id uuid) OWNER TO stoa_door;

CREATE FUNCTION casework.print_form(credential bytea, reference text, activity uuid, language text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO casework.printed_form (reference, activity_id, policy_version, language, staff_id)
        SELECT print_form.reference, a.id, a.policy_version, print_form.language, s.staff_id
        FROM web.staff_with(print_form.credential, '{caseworker}') AS s
        JOIN consent.processing_activity AS a ON a.id = print_form.activity AND a.legal_basis = 'consent';
    RETURN FOUND;
END
$$;

ALTER FUNCTION casework.print_form(credential bytea, reference text, activity uuid, language text) OWNER TO stoa_door;

CREATE FUNCTION casework.printed_form_of(credential bytea, reference text) RETURNS TABLE(activity_id uuid, policy_version integer, language text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT f.activity_id, f.policy_version, f.language
        FROM web.staff_with(printed_form_of.credential, '{caseworker}') AS s JOIN casework.printed_form AS f ON f.reference = printed_form_of.reference;
END
$$;

ALTER FUNCTION casework.printed_form_of(credential bytea, reference text) OWNER TO stoa_door;

CREATE FUNCTION casework.protect(credential bytea, view_entry uuid, is_protected boolean, sealed_reason bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION casework.protect(credential bytea, view_entry uuid, is_protected boolean, sealed_reason bytea) OWNER TO stoa_door;

CREATE FUNCTION casework.prove_identity(credential bytea, opening_id uuid, evidence_id uuid, account_code text, evidence_kind text, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    opened record;
    staff uuid := (SELECT s.staff_id FROM web.staff_with(credential, '{caseworker}') AS s);
    record_origin text;
    provisional record;
    given record;
BEGIN
    SELECT o.resident_id, o.case_reference INTO opened FROM casework.opening AS o
        WHERE o.id = opening_id AND o.staff_id = staff AND o.expires_at > public.stoa_now();
    IF opened IS NULL THEN RETURN 'not_allowed'; END IF;
    SELECT r.origin INTO record_origin FROM register.resident AS r WHERE r.id = opened.resident_id FOR UPDATE;
    IF record_origin <> 'population_register' THEN RETURN 'record_is_no_register_record'; END IF;
    SELECT r.id, r.origin, r.is_protected, a.id AS account_id INTO provisional
        FROM register.resident AS r JOIN identity.account AS a ON a.resident_id = r.id AND a.closed_at IS NULL
        WHERE r.public_code = account_code FOR UPDATE;
    IF provisional IS NULL THEN
        -- The form sent twice finds the account where the first one put it.
        RETURN CASE WHEN EXISTS (SELECT FROM identity.evidence AS e WHERE e.id = evidence_id) THEN 'already_linked' ELSE 'account_unknown' END;
    END IF;
    IF provisional.origin <> 'self_registered' THEN RETURN 'account_is_linked'; END IF;
    IF EXISTS (SELECT FROM identity.account AS a WHERE a.resident_id = opened.resident_id) THEN RETURN 'record_has_account'; END IF;

    FOR given IN SELECT s.activity_id FROM consent.state AS s WHERE s.resident_id = provisional.id AND s.state IN ('given', 'renewed')
        ORDER BY s.activity_id LOOP
        PERFORM consent.append(gen_random_uuid(), provisional.id, given.activity_id, 'invalidated', NULL, NULL,
            NULL, NULL, NULL, 'system', 'identity_linked', prove_identity.language, NULL);
    END LOOP;
    UPDATE identity.account AS a SET resident_id = opened.resident_id WHERE a.id = provisional.account_id;
    UPDATE register.resident AS r SET superseded_by = opened.resident_id WHERE r.id = provisional.id;
    -- A document with a photograph, seen in person (NIST SP 800-63A-4 §4.2).
    UPDATE register.resident AS r SET identity_assurance = GREATEST(r.identity_assurance, 2), is_protected = r.is_protected OR provisional.is_protected
        WHERE r.id = opened.resident_id;
    INSERT INTO identity.evidence (id, account_id, resident_id, kind, staff_id, case_reference)
        VALUES (evidence_id, provisional.account_id, opened.resident_id, evidence_kind, staff, opened.case_reference);
    RETURN 'linked';
END
$$;

ALTER FUNCTION casework.prove_identity(credential bytea, opening_id uuid, evidence_id uuid, account_code text, evidence_kind text, language text) OWNER TO stoa_door;

CREATE FUNCTION casework.review_break_glass(credential bytea, glass uuid, finding text, sealed_words bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION casework.review_break_glass(credential bytea, glass uuid, finding text, sealed_words bytea) OWNER TO stoa_door;

CREATE FUNCTION casework.tell_of_break_glass() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        VALUES (gen_random_uuid(), NEW.resident_id, 'glass_broken', jsonb_build_object('reference', NEW.reference));
    RETURN NULL;
END
$$;

ALTER FUNCTION casework.tell_of_break_glass() OWNER TO stoa_door;

CREATE FUNCTION casework.tell_of_protection() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind)
        VALUES (gen_random_uuid(), NEW.resident_id, CASE WHEN NEW.is_protected THEN 'record_protected' ELSE 'protection_lifted' END);
    RETURN NULL;
END
$$;

ALTER FUNCTION casework.tell_of_protection() OWNER TO stoa_door;

CREATE FUNCTION casework.tell_of_review() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        SELECT gen_random_uuid(), b.resident_id, 'glass_reviewed', jsonb_build_object('reference', b.reference)
        FROM casework.break_glass AS b WHERE b.entry_id = NEW.entry_id;
    RETURN NULL;
END
$$;

ALTER FUNCTION casework.tell_of_review() OWNER TO stoa_door;

CREATE FUNCTION casework.unreviewed(credential bytea, wanted text) RETURNS TABLE(reference text, broken_at timestamp with time zone, review_due_at timestamp with time zone, is_overdue boolean, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION casework.unreviewed(credential bytea, wanted text) OWNER TO stoa_door;

CREATE FUNCTION catalogue.count_min() RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (20)::bigint;

ALTER FUNCTION catalogue.count_min() OWNER TO stoa_door;

CREATE FUNCTION catalogue.describe(credential bytea, kind text, subject text, read_version integer, owner_id text, steward text, classification text, schema text, retention text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    author uuid := (SELECT s.staff_id FROM web.staff_with(describe.credential, '{organisation_administrator}') AS s);
    held catalogue.description;
BEGIN
    IF author IS NULL THEN RETURN 'not_allowed'; END IF;
    IF NOT EXISTS (SELECT FROM catalogue.item AS i WHERE i.kind = describe.kind AND i.subject = describe.subject) THEN RETURN 'subject_unknown'; END IF;
    IF NOT EXISTS (SELECT FROM consent.organisation AS o WHERE o.id = describe.owner_id) THEN RETURN 'owner_unknown'; END IF;
    -- One after the other, so that who comes second is told.
    PERFORM pg_advisory_xact_lock(hashtextextended('catalogue/' || describe.kind || '/' || describe.subject, 0));
    SELECT d.* INTO held FROM catalogue.description AS d WHERE d.kind = describe.kind AND d.subject = describe.subject ORDER BY d.version DESC LIMIT 1;
    IF (held.owner_id, held.steward, held.classification, held.schema, held.retention)
        IS NOT DISTINCT FROM (describe.owner_id, describe.steward, describe.classification, describe.schema, describe.retention) THEN
        RETURN 'unchanged';
    END IF;
    IF coalesce(held.version, 0) <> describe.read_version THEN RETURN 'stale'; END IF;
    INSERT INTO catalogue.description (kind, subject, version, owner_id, steward, classification, schema, retention, staff_id)
        VALUES (describe.kind, describe.subject, describe.read_version + 1, describe.owner_id, describe.steward, describe.classification, describe.schema,
                describe.retention, author);
    RETURN 'recorded';
END
$$;

ALTER FUNCTION catalogue.describe(credential bytea, kind text, subject text, read_version integer, owner_id text, steward text, classification text, schema text, retention text) OWNER TO stoa_door;

CREATE FUNCTION catalogue.history_of(credential bytea, kind text, subject text) RETURNS TABLE(version integer, owner_name jsonb, steward text, classification text, schema text, retention text, author text, at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.version, o.name, d.steward, d.classification, d.schema, d.retention, a.display_name, d.at
        FROM web.staff_with(history_of.credential, '{organisation_administrator}') AS reader
        CROSS JOIN catalogue.description AS d
        JOIN consent.organisation AS o ON o.id = d.owner_id
        JOIN identity.staff AS a ON a.id = d.staff_id
        WHERE d.kind = history_of.kind AND d.subject = history_of.subject ORDER BY d.version DESC;
END
$$;

ALTER FUNCTION catalogue.history_of(credential bytea, kind text, subject text) OWNER TO stoa_door;

CREATE FUNCTION consent.answer(credential bytea, event_id uuid, request uuid, kind text, attributes text[], policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    actor record;
    asked record;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(answer.credential) AS d;
    IF actor IS NULL THEN RETURN 'credential_invalid'; END IF;
    IF answer.kind NOT IN ('given', 'refused', 'deferred') THEN RETURN 'kind_unknown'; END IF;
    SELECT e.activity_id, ARRAY(SELECT x.id FROM unnest(e.attributes) AS x (id) WHERE x.id = ANY (p.attributes)) AS attributes INTO asked
        FROM consent.event AS e
        JOIN consent.processing_activity AS a ON a.id = e.activity_id
        JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE e.id = answer.request AND e.kind = 'requested' AND e.resident_id = actor.resident_id;
    IF NOT FOUND THEN RETURN 'request_unknown'; END IF;
    IF NOT consent.lock_open_request(answer.request) THEN
        -- The form sent twice.
        RETURN (SELECT CASE WHEN o.state = answer.kind THEN 'unchanged' ELSE 'no_request' END FROM consent.outcome_of(answer.request) AS o);
    END IF;
    -- Who agrees agrees to a text; saying no or later needs none. Before the attributes, because an old text explains wrong ones.
    IF answer.kind = 'given' AND answer.policy_version <> (SELECT a.policy_version FROM consent.processing_activity AS a WHERE a.id = asked.activity_id) THEN
        RETURN 'policy_changed';
    END IF;
    IF NOT coalesce(answer.attributes <@ asked.attributes, true) THEN RETURN 'attributes_unknown'; END IF;
    RETURN consent.append(answer.event_id, actor.resident_id, asked.activity_id, answer.kind,
        CASE answer.kind WHEN 'given' THEN coalesce(answer.attributes, asked.attributes) END, CASE answer.kind WHEN 'given' THEN answer.policy_version END,
        actor.account_id, NULL, actor.client_id, 'self', actor.method, answer.language, NULL);
END
$$;

ALTER FUNCTION consent.answer(credential bytea, event_id uuid, request uuid, kind text, attributes text[], policy_version integer, language text) OWNER TO stoa_door;

CREATE FUNCTION consent.append(event_id uuid, resident uuid, activity uuid, kind text, attributes text[], policy_version integer, account uuid, staff uuid, client text, capacity text, method text, language text, form_reference text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    -- A renewal moves the end by at least a day, so that a form sent twice renews once.
    renewal_step CONSTANT interval := interval '24 hours';
    moment CONSTANT timestamptz := public.stoa_now();
    policy record;
    held record;
    granted text[] := '{}';
    in_force boolean;
    is_open boolean;
    ends timestamptz;
    -- A child's agreement that others have to give too is written as what it is.
    word text := append.kind;
    family record;
BEGIN
    SELECT p.version, p.attributes, p.valid_months, a.legal_basis INTO policy
        FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE a.id = append.activity;
    IF policy IS NULL THEN RETURN 'activity_unknown'; END IF;
    IF policy.legal_basis <> 'consent' THEN RETURN 'not_consent'; END IF;
    IF append.policy_version IS NOT NULL AND append.policy_version <> policy.version THEN RETURN 'policy_changed'; END IF;
    IF append.kind IN ('given', 'requested') THEN
        -- In the policy's own order, each once, so that the same choice is the same array.
        SELECT coalesce(array_agg(o.id ORDER BY o.position), '{}') INTO granted
            FROM unnest(policy.attributes) WITH ORDINALITY AS o (id, position)
            WHERE append.attributes IS NULL OR o.id = ANY (append.attributes);
        IF cardinality(granted) = 0 OR NOT coalesce(append.attributes <@ policy.attributes, true) THEN RETURN 'attributes_unknown'; END IF;
    END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended(append.resident::text || append.activity::text, 0));
    SELECT s.* INTO held FROM consent.state AS s WHERE s.resident_id = append.resident AND s.activity_id = append.activity;
    IF held.state IS NOT NULL AND consent.state_at(held.state, held.valid_until, moment) <> held.state AND append.kind <> 'expired' THEN
        PERFORM consent.append(gen_random_uuid(), append.resident, append.activity, 'expired', NULL, NULL, NULL, NULL, NULL, 'system', 'time_passed',
            append.language, NULL);
        SELECT s.* INTO held FROM consent.state AS s WHERE s.resident_id = append.resident AND s.activity_id = append.activity;
    END IF;
    in_force := coalesce(held.state IN ('given', 'renewed'), false);
    is_open := held.request_id IS NOT NULL;
    ends := (moment AT TIME ZONE 'UTC' + make_interval(months => policy.valid_months)) AT TIME ZONE 'UTC';

    IF append.kind IN ('given', 'renewed') THEN
        family := consent.family_verdict(append.resident, append.activity, append.kind, granted, policy.version, append.account, append.capacity, moment);
        IF family.verdict IN ('guardians_decide', 'unchanged') THEN RETURN family.verdict; END IF;
        ends := LEAST(ends, family.ends_by);
    END IF;

    CASE append.kind
        WHEN 'given' THEN
            IF in_force AND held.attributes = granted AND held.policy_version = policy.version THEN RETURN 'unchanged'; END IF;
            IF in_force AND family.verdict <> 'alone' THEN RETURN 'in_force'; END IF;
            IF family.verdict = 'agreed' THEN
                word := 'agreed';
                ends := LEAST(moment + consent.request_lifetime(), family.ends_by);
            END IF;
        WHEN 'renewed' THEN
            IF NOT (in_force OR coalesce(held.state = 'expired', false)) OR cardinality(held.attributes) = 0 THEN RETURN 'not_renewable'; END IF;
            IF held.policy_version <> policy.version THEN RETURN 'policy_changed'; END IF;
            -- Also what has no end: there is nothing to move.
            IF in_force AND NOT coalesce(ends - held.valid_until >= renewal_step, false) THEN RETURN 'unchanged'; END IF;
            granted := held.attributes;
        WHEN 'withdrawn', 'invalidated' THEN
            IF append.capacity = 'organisation' THEN
                -- An organisation takes back its request, never a resident's consent.
                IF NOT is_open THEN RETURN 'no_request'; END IF;
            ELSIF NOT in_force AND held.state IS DISTINCT FROM 'agreed' THEN
                RETURN 'unchanged';
            END IF;
            ends := NULL;
        WHEN 'expired' THEN
            IF held.state IS NULL OR consent.state_at(held.state, held.valid_until, moment) = held.state THEN RETURN 'unchanged'; END IF;
            granted := CASE held.state WHEN 'agreed' THEN '{}' ELSE held.attributes END;
            policy.version := held.policy_version;
            ends := held.valid_until;
        WHEN 'requested' THEN
            IF in_force THEN RETURN 'in_force'; END IF;
            IF is_open OR coalesce(held.state = 'agreed', false) THEN RETURN 'already_requested'; END IF;
            IF held.state IN ('refused', 'withdrawn') AND held.since + consent.quiet_period() > moment THEN RETURN 'refused_recently'; END IF;
            ends := moment + consent.request_lifetime();
        WHEN 'deferred' THEN
            IF NOT is_open THEN RETURN 'no_request'; END IF;
            -- What somebody agreed to already waits for the others.
            IF held.state = 'agreed' THEN RETURN 'unchanged'; END IF;
            IF held.state = 'deferred' AND held.since + consent.deferral() > moment THEN RETURN 'unchanged'; END IF;
            ends := held.valid_until;
        WHEN 'refused' THEN
            IF coalesce(held.state = 'refused', false) THEN RETURN 'unchanged'; END IF;
            IF NOT is_open THEN RETURN 'no_request'; END IF;
            ends := NULL;
    END CASE;

    INSERT INTO consent.event (id, resident_id, activity_id, policy_version, sequence, kind, attributes, at, account_id, staff_id, client_id,
                               capacity, method, language, form_reference, valid_until, request_id)
        VALUES (append.event_id, append.resident, append.activity, policy.version, coalesce(held.sequence, 0) + 1, word, granted, moment,
                append.account, append.staff, append.client, append.capacity, append.method, append.language, append.form_reference, ends,
                CASE append.kind WHEN 'requested' THEN append.event_id ELSE held.request_id END);
    INSERT INTO consent.state (resident_id, activity_id, state, policy_version, attributes, event_id, sequence, since, valid_until, request_id)
        SELECT e.resident_id, e.activity_id, e.kind, e.policy_version, CASE e.kind WHEN 'requested' THEN '{}' ELSE e.attributes END, e.id, e.sequence,
            CASE e.kind WHEN 'expired' THEN e.valid_until ELSE e.at END, e.valid_until,
            CASE WHEN e.kind IN ('requested', 'deferred', 'agreed') THEN e.request_id END
        FROM consent.event AS e WHERE e.id = append.event_id
        ON CONFLICT (resident_id, activity_id) DO UPDATE SET state = excluded.state, policy_version = excluded.policy_version,
            attributes = excluded.attributes, event_id = excluded.event_id, sequence = excluded.sequence, since = excluded.since,
            valid_until = excluded.valid_until, request_id = excluded.request_id;
    IF word = 'given' THEN
        INSERT INTO exchange.pseudonym (organisation_id, resident_id)
            SELECT a.organisation_id, append.resident FROM consent.processing_activity AS a WHERE a.id = append.activity
            ON CONFLICT (resident_id, organisation_id) DO NOTHING;
    END IF;
    RETURN 'recorded';
END
$$;

ALTER FUNCTION consent.append(event_id uuid, resident uuid, activity uuid, kind text, attributes text[], policy_version integer, account uuid, staff uuid, client text, capacity text, method text, language text, form_reference text) OWNER TO stoa_door;

CREATE FUNCTION consent.ask(credential bytea, request_id uuid, subject uuid, purpose text, attributes text[], message text, message_language text, idempotency_key text, request_hash bytea, OUT outcome text, OUT request uuid, OUT offered text[], OUT not_before timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    key_route CONSTANT text := 'POST /api/v1/exchange/consent-requests';
    asker record;
    activity record;
    resident uuid;
    earlier record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(ask.credential) AS a;
    IF NOT FOUND THEN outcome := 'credential_invalid'; RETURN; END IF;
    IF NOT asker.may_ask THEN outcome := 'scope_missing'; RETURN; END IF;

    PERFORM pg_advisory_xact_lock(hashtextextended(asker.client_id || ' ' || key_route || ' ' || idempotency_key, 0));
    SELECT k.body_hash, k.resource_id INTO earlier
        FROM web.idempotency_key AS k WHERE k.actor = asker.client_id AND k.route = key_route AND k.key = idempotency_key;
    IF FOUND THEN
        outcome := CASE WHEN earlier.body_hash = request_hash THEN 'recorded' ELSE 'key_reused' END;
        request := CASE WHEN outcome = 'recorded' THEN earlier.resource_id END;
        RETURN;
    END IF;

    SELECT a.id, p.attributes INTO activity
        FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE a.organisation_id = asker.organisation_id AND a.purpose = ask.purpose;
    IF NOT FOUND THEN outcome := 'purpose_unknown'; RETURN; END IF;
    offered := activity.attributes;
    -- A record that the counter has replaced is nobody's any more.
    SELECT p.resident_id INTO resident FROM exchange.pseudonym AS p JOIN register.resident AS r ON r.id = p.resident_id
        WHERE p.organisation_id = asker.organisation_id AND p.pseudonym = ask.subject AND r.superseded_by IS NULL;
    IF NOT FOUND THEN outcome := 'subject_unknown'; RETURN; END IF;

    outcome := consent.append(ask.request_id, resident, activity.id, 'requested', ask.attributes, NULL, NULL, NULL, asker.client_id,
        'organisation', 'exchange', coalesce(ask.message_language, 'en'), NULL);
    IF outcome = 'refused_recently' THEN
        not_before := (SELECT s.since + consent.quiet_period() FROM consent.state AS s WHERE s.resident_id = resident AND s.activity_id = activity.id);
    END IF;
    IF outcome <> 'recorded' THEN RETURN; END IF;
    request := ask.request_id;
    IF ask.message IS NOT NULL THEN
        INSERT INTO consent.request_message (request_id, text, language) VALUES (ask.request_id, ask.message, ask.message_language);
    END IF;
    INSERT INTO web.idempotency_key (actor, route, key, body_hash, status, resource_id)
        VALUES (asker.client_id, key_route, idempotency_key, request_hash, 201, ask.request_id);
END
$$;

ALTER FUNCTION consent.ask(credential bytea, request_id uuid, subject uuid, purpose text, attributes text[], message text, message_language text, idempotency_key text, request_hash bytea, OUT outcome text, OUT request uuid, OUT offered text[], OUT not_before timestamp with time zone) OWNER TO stoa_door;

CREATE TABLE web.credential (
    hash bytea NOT NULL,
    kind text NOT NULL,
    account_id uuid,
    staff_id uuid,
    client_id text,
    organisation_id text,
    scope text[] DEFAULT '{}'::text[] NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    authenticator_assurance smallint NOT NULL,
    first_factor text,
    authenticated_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    second_factor text,
    second_factor_at timestamp with time zone,
    is_shared boolean DEFAULT false NOT NULL,
    authorization_code_hash bytea,
    sign_in_id uuid,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    last_used_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    idle_after interval,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT credential_authenticator_assurance_check CHECK (((authenticator_assurance >= 1) AND (authenticator_assurance <= 3))),
    CONSTRAINT credential_check CHECK ((num_nonnulls(account_id, staff_id, organisation_id) = 1)),
    CONSTRAINT credential_check1 CHECK (((kind = 'session'::text) = (idle_after IS NOT NULL))),
    CONSTRAINT credential_check2 CHECK (((second_factor IS NULL) = (second_factor_at IS NULL))),
    CONSTRAINT credential_check3 CHECK (((kind <> 'session'::text) OR ((authenticator_assurance = 1) = (second_factor IS NULL)))),
    CONSTRAINT credential_check4 CHECK (((kind = 'access_token'::text) = (client_id IS NOT NULL))),
    CONSTRAINT credential_check5 CHECK (((sign_in_id IS NULL) OR ((organisation_id IS NOT NULL) AND (scope <@ '{openid,profile,email,phone,address,offline_access}'::text[])))),
    CONSTRAINT credential_first_factor_check CHECK ((first_factor = ANY (ARRAY['password'::text, 'passkey'::text, 'recovery_code'::text, 'letter_code'::text]))),
    CONSTRAINT credential_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT credential_kind_check CHECK ((kind = ANY (ARRAY['session'::text, 'access_token'::text]))),
    CONSTRAINT credential_second_factor_check CHECK ((second_factor = ANY (ARRAY['totp'::text, 'code_sheet'::text, 'recovery_codes'::text, 'passkey'::text])))
);

ALTER TABLE web.credential OWNER TO stoa_owner;

CREATE FUNCTION web.is_live(c web.credential) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (((c).revoked_at IS NULL) AND ((c).expires_at > public.stoa_now()) AND (((c).idle_after IS NULL) OR (((c).last_used_at + (c).idle_after) > public.stoa_now())));

ALTER FUNCTION web.is_live(c web.credential) OWNER TO stoa_door;

CREATE FUNCTION consent.asker(credential bytea) RETURNS TABLE(client_id text, organisation_id text, may_ask boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT c.client_id,
     c.organisation_id,
     ((c.organisation_id IS NOT NULL) AND ('exchange.read'::text = ANY (c.scope)))
    FROM web.credential c
   WHERE ((c.hash = asker.credential) AND (c.kind = 'access_token'::text) AND web.is_live(c.*));
END;

ALTER FUNCTION consent.asker(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION consent.canonical(e consent.event) RETURNS bytea
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET standard_conforming_strings TO 'on'
    AS $$
DECLARE
    list bytea := int4send(cardinality(e.attributes));
    attribute text;
BEGIN
    FOREACH attribute IN ARRAY e.attributes LOOP
        list := list || '\x01'::bytea || int4send(octet_length(attribute)) || convert_to(attribute, 'UTF8');
    END LOOP;
    RETURN '\x010700000010'::bytea || uuid_send(e.id)
        || '\x020700000010'::bytea || uuid_send(e.resident_id)
        || '\x030700000010'::bytea || uuid_send(e.activity_id)
        || '\x040200000008'::bytea || int8send(e.policy_version)
        || '\x050200000008'::bytea || int8send(e.sequence)
        || access_log.field('\x0601', e.kind)
        || access_log.field('\x0705', list)
        || '\x080300000008'::bytea || int8send((extract(epoch FROM e.at) * 1000000)::bigint)
        || access_log.field('\x0907', uuid_send(e.account_id))
        || access_log.field('\x0a07', uuid_send(e.staff_id))
        || access_log.field('\x0b01', e.client_id)
        || access_log.field('\x0c01', e.capacity)
        || access_log.field('\x0d01', e.method)
        || access_log.field('\x0e01', e.language)
        || access_log.field('\x0f01', e.form_reference)
        || access_log.field('\x1003', int8send((extract(epoch FROM e.valid_until) * 1000000)::bigint))
        || access_log.field('\x1107', uuid_send(e.request_id))
        || access_log.field('\x1204', e.previous_hash);
END
$$;

ALTER FUNCTION consent.canonical(e consent.event) OWNER TO stoa_door;

CREATE FUNCTION consent.chain_event() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    NEW.previous_hash := (SELECT e.hash FROM consent.event AS e
        WHERE e.resident_id = NEW.resident_id AND e.activity_id = NEW.activity_id AND e.sequence = NEW.sequence - 1);
    NEW.hash := consent.hash_of(NEW);
    RETURN NEW;
END
$$;

ALTER FUNCTION consent.chain_event() OWNER TO stoa_owner;

CREATE FUNCTION consent.check_policy_attributes() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(NEW.attributes) AS a (id) WHERE NOT EXISTS (SELECT FROM register.attribute AS r WHERE r.id = a.id))
        OR cardinality(NEW.attributes) <> (SELECT count(DISTINCT a.id) FROM unnest(NEW.attributes) AS a (id)) THEN
        RAISE EXCEPTION 'a policy names each known attribute once' USING ERRCODE = 'check_violation', CONSTRAINT = 'policy_attributes_known';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION consent.check_policy_attributes() OWNER TO stoa_owner;

CREATE FUNCTION consent.decide(credential bytea, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    actor record;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(decide.credential) AS d;
    IF actor IS NULL THEN RETURN 'credential_invalid'; END IF;
    IF decide.kind NOT IN ('given', 'withdrawn', 'renewed') THEN RETURN 'kind_unknown'; END IF;
    RETURN consent.append(decide.event_id, actor.resident_id, decide.activity, decide.kind, decide.attributes, decide.policy_version,
        actor.account_id, NULL, actor.client_id, 'self', actor.method, decide.language, NULL);
END
$$;

ALTER FUNCTION consent.decide(credential bytea, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) OWNER TO stoa_door;

CREATE FUNCTION consent.decide_for_child(credential bytea, child uuid, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION consent.decide_for_child(credential bytea, child uuid, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) OWNER TO stoa_door;

CREATE TABLE identity.account (
    id uuid NOT NULL,
    resident_id uuid NOT NULL,
    password_hash text NOT NULL,
    language text DEFAULT 'en'::text NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT account_language_check CHECK ((language = ANY (ARRAY['en'::text, 'fr'::text, 'ar'::text]))),
    CONSTRAINT account_password_hash_check CHECK ((password_hash ~~ '$argon2id$%'::text))
);

ALTER TABLE identity.account OWNER TO stoa_owner;

CREATE FUNCTION consent.decider(credential bytea) RETURNS TABLE(account_id uuid, resident_id uuid, client_id text, method text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT a.id,
     a.resident_id,
     c.client_id,
         CASE c.kind
             WHEN 'session'::text THEN 'page'::text
             ELSE 'app'::text
         END AS "case"
    FROM (web.credential c
      JOIN identity.account a ON ((a.id = c.account_id)))
   WHERE ((c.hash = decider.credential) AND web.is_live(c.*) AND (a.closed_at IS NULL) AND ((c.kind = 'session'::text) OR ('consents'::text = ANY (c.scope))));
END;

ALTER FUNCTION consent.decider(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION consent.deferral() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN ((7)::double precision * '24:00:00'::interval);

ALTER FUNCTION consent.deferral() OWNER TO stoa_door;

CREATE FUNCTION consent.family_verdict(child uuid, activity uuid, kind text, attributes text[], policy_version integer, account uuid, capacity text, moment timestamp with time zone, OUT verdict text, OUT ends_by timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION consent.family_verdict(child uuid, activity uuid, kind text, attributes text[], policy_version integer, account uuid, capacity text, moment timestamp with time zone, OUT verdict text, OUT ends_by timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION consent.hash_of(e consent.event) RETURNS bytea
    LANGUAGE sql STABLE
    RETURN sha256(('\x73746f6120636f6e73656e74206576656e742076310a'::bytea || consent.canonical(e)));

ALTER FUNCTION consent.hash_of(e consent.event) OWNER TO stoa_door;

CREATE FUNCTION consent.history_of(credential bytea, activity uuid) RETURNS TABLE(event_id uuid, kind text, policy_version integer, attributes text[], at timestamp with time zone, capacity text, method text, form_reference text, language text, valid_until timestamp with time zone, account_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.kind, e.policy_version, e.attributes, e.at, e.capacity, e.method, e.form_reference, e.language, e.valid_until,
            CASE e.capacity WHEN 'guardian' THEN e.account_id END
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id JOIN consent.event AS e ON e.resident_id = a.resident_id
        WHERE c.hash = history_of.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope))
          AND e.activity_id = history_of.activity
        ORDER BY e.sequence DESC;
END
$$;

ALTER FUNCTION consent.history_of(credential bytea, activity uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.leaf_of(credential bytea, event uuid) RETURNS TABLE(leaf_index bigint, opening bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT l.index, access_log.leaf_label(r.kind) || r.salt || r.content_hash
        FROM consent.decider(leaf_of.credential) AS d
        JOIN consent.event AS e ON e.resident_id = d.resident_id AND e.id = leaf_of.event
        JOIN access_log.record AS r ON r.kind = 'consent_event' AND r.source_id = e.id AND r.salt IS NOT NULL
        LEFT JOIN access_log.leaf AS l ON l.entry_id = r.id;
END
$$;

ALTER FUNCTION consent.leaf_of(credential bytea, event uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.lock_open_request(request uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(e.resident_id::text || e.activity_id::text, 0)) FROM consent.event AS e
        WHERE e.id = lock_open_request.request;
    RETURN EXISTS (SELECT FROM consent.state AS s JOIN consent.event AS e ON e.resident_id = s.resident_id AND e.activity_id = s.activity_id
        WHERE e.id = lock_open_request.request AND s.request_id = e.id
          AND consent.state_at(s.state, s.valid_until, public.stoa_now()) IN ('requested', 'deferred', 'agreed'));
END
$$;

ALTER FUNCTION consent.lock_open_request(request uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.notices_about(credential bytea, activity uuid) RETURNS TABLE(event_id uuid, made_at timestamp with time zone, due_at timestamp with time zone, state text, done text, law text, acknowledged_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT s.event_id, s.made_at, s.due_at, s.state, s.done, s.law, s.acknowledged_at
        FROM consent.decider(notices_about.credential) AS d
        JOIN exchange.standing AS s ON s.resident_id = d.resident_id AND s.activity_id = notices_about.activity;
END
$$;

ALTER FUNCTION consent.notices_about(credential bytea, activity uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.state_at(state text, valid_until timestamp with time zone, moment timestamp with time zone) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((valid_until <= moment) AND (state = ANY (ARRAY['requested'::text, 'deferred'::text, 'agreed'::text, 'given'::text, 'renewed'::text]))) THEN 'expired'::text ELSE state END;

ALTER FUNCTION consent.state_at(state text, valid_until timestamp with time zone, moment timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION consent.outcome_of(request uuid) RETURNS TABLE(state text, attributes text[], at timestamp with time zone)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (e.kind = ANY (ARRAY['requested'::text, 'deferred'::text, 'agreed'::text])) THEN replace(consent.state_at(e.kind, e.valid_until, public.stoa_now()), 'agreed'::text, 'requested'::text)
             ELSE e.kind
         END AS kind,
     e.attributes,
     e.at
    FROM consent.event e
   WHERE (e.request_id = outcome_of.request)
   ORDER BY e.sequence DESC
  LIMIT 1;
END;

ALTER FUNCTION consent.outcome_of(request uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.queue_leaf() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM access_log.queue_leaf('consent_event', NEW.id, NEW.hash);
    RETURN NULL;
END
$$;

ALTER FUNCTION consent.queue_leaf() OWNER TO stoa_door;

CREATE FUNCTION consent.quiet_period() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN ((90)::double precision * '24:00:00'::interval);

ALTER FUNCTION consent.quiet_period() OWNER TO stoa_door;

CREATE FUNCTION consent.receipt_of(credential bytea, activity uuid) RETURNS TABLE(event_id uuid, sequence integer, hash bytea, state text, policy_version integer, attributes text[], since timestamp with time zone, valid_until timestamp with time zone, capacity text, method text, language text, subject uuid, issued_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.sequence, e.hash, held.state, e.policy_version,
            consent.shown_attributes(s, held.state),
            CASE held.state WHEN 'expired' THEN s.valid_until ELSE s.since END, s.valid_until, e.capacity, e.method, e.language, p.pseudonym,
            public.stoa_now()
        FROM consent.decider(receipt_of.credential) AS d
        JOIN consent.state AS s ON s.resident_id = d.resident_id AND s.activity_id = receipt_of.activity
        JOIN consent.event AS e ON e.id = s.event_id
        JOIN consent.processing_activity AS a ON a.id = s.activity_id
        LEFT JOIN exchange.pseudonym AS p ON p.organisation_id = a.organisation_id AND p.resident_id = s.resident_id
        CROSS JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state) AS held;
END
$$;

ALTER FUNCTION consent.receipt_of(credential bytea, activity uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.record_expiries(events_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    ended record;
    recorded integer := 0;
BEGIN
    -- In one order, because each waits for the lock of consent.append.
    FOR ended IN
        SELECT due.resident_id, due.activity_id, e.language
        FROM (SELECT s.resident_id, s.activity_id, s.event_id FROM consent.state AS s
              WHERE s.state IN ('requested', 'deferred', 'agreed', 'given', 'renewed') AND s.valid_until <= public.stoa_now()
              ORDER BY s.valid_until LIMIT record_expiries.events_max) AS due
        JOIN consent.event AS e ON e.id = due.event_id
        ORDER BY due.resident_id, due.activity_id
    LOOP
        IF consent.append(gen_random_uuid(), ended.resident_id, ended.activity_id, 'expired', NULL, NULL, NULL, NULL, NULL, 'system', 'time_passed',
            ended.language, NULL) = 'recorded' THEN
            recorded := recorded + 1;
        END IF;
    END LOOP;
    RETURN recorded;
END
$$;

ALTER FUNCTION consent.record_expiries(events_max integer) OWNER TO stoa_door;

CREATE FUNCTION consent.refuse_all(credential bytea, language text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    actor record;
    activity uuid;
    refused integer := 0;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(refuse_all.credential) AS d;
    IF actor IS NULL THEN RETURN NULL; END IF;
    -- In the same order in every tab, because each waits for the lock of consent.append.
    FOR activity IN
        SELECT s.activity_id FROM consent.state AS s WHERE s.resident_id = actor.resident_id AND s.request_id IS NOT NULL ORDER BY s.activity_id
    LOOP
        IF consent.append(gen_random_uuid(), actor.resident_id, activity, 'refused', NULL, NULL, actor.account_id, NULL, actor.client_id, 'self',
            actor.method, refuse_all.language, NULL) = 'recorded' THEN
            refused := refused + 1;
        END IF;
    END LOOP;
    RETURN refused;
END
$$;

ALTER FUNCTION consent.refuse_all(credential bytea, language text) OWNER TO stoa_door;

CREATE FUNCTION consent.request_lifetime() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN ((30)::double precision * '24:00:00'::interval);

ALTER FUNCTION consent.request_lifetime() OWNER TO stoa_door;

CREATE FUNCTION consent.request_of_organisation(credential bytea, request uuid) RETURNS TABLE(may_ask boolean, id uuid, subject uuid, purpose text, attributes text[], state text, granted_attributes text[], requested_at timestamp with time zone, expires_at timestamp with time zone, answered_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT c.may_ask, e.id, p.pseudonym, e.purpose, e.attributes, CASE o.state WHEN 'deferred' THEN 'requested' ELSE o.state END,
            CASE o.state WHEN 'given' THEN o.attributes ELSE '{}' END, e.at, e.valid_until,
            CASE WHEN o.state IN ('requested', 'deferred') THEN NULL WHEN o.state = 'expired' THEN e.valid_until ELSE o.at END
        FROM consent.asker(request_of_organisation.credential) AS c
        LEFT JOIN LATERAL (SELECT x.id, x.resident_id, a.purpose, x.attributes, x.at, x.valid_until
            FROM consent.event AS x JOIN consent.processing_activity AS a ON a.id = x.activity_id
            WHERE x.id = request_of_organisation.request AND x.kind = 'requested' AND a.organisation_id = c.organisation_id AND c.may_ask) AS e ON true
        LEFT JOIN exchange.pseudonym AS p ON p.organisation_id = c.organisation_id AND p.resident_id = e.resident_id
        LEFT JOIN LATERAL consent.outcome_of(e.id) AS o ON true;
END
$$;

ALTER FUNCTION consent.request_of_organisation(credential bytea, request uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.requests_of(credential bytea, request uuid) RETURNS TABLE(id uuid, activity_id uuid, attributes text[], requested_at timestamp with time zone, expires_at timestamp with time zone, state text, granted_attributes text[], state_at timestamp with time zone, message text, message_language text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, e.activity_id, e.attributes, e.at, e.valid_until, o.state, CASE o.state WHEN 'given' THEN o.attributes ELSE '{}' END,
            CASE o.state WHEN 'expired' THEN e.valid_until ELSE o.at END, m.text, m.language
        FROM consent.decider(requests_of.credential) AS d
        JOIN consent.event AS e ON e.resident_id = d.resident_id AND e.kind = 'requested'
        CROSS JOIN LATERAL consent.outcome_of(e.id) AS o
        LEFT JOIN consent.request_message AS m ON m.request_id = e.id
        WHERE CASE WHEN requests_of.request IS NOT NULL THEN e.id = requests_of.request
            ELSE e.id IN (SELECT s.request_id FROM consent.state AS s WHERE s.resident_id = d.resident_id)
                AND o.state IN ('requested', 'deferred')
                AND EXISTS (SELECT FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
                    WHERE a.id = e.activity_id AND p.attributes && e.attributes) END;
END
$$;

ALTER FUNCTION consent.requests_of(credential bytea, request uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.retract(credential bytea, event_id uuid, request uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    asker record;
    asked record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(retract.credential) AS a;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT asker.may_ask THEN RETURN 'scope_missing'; END IF;
    SELECT e.resident_id, e.activity_id, e.language INTO asked
        FROM consent.event AS e JOIN consent.processing_activity AS a ON a.id = e.activity_id
        WHERE e.id = retract.request AND e.kind = 'requested' AND a.organisation_id = asker.organisation_id;
    IF NOT FOUND THEN RETURN 'request_unknown'; END IF;
    IF NOT consent.lock_open_request(retract.request) THEN
        RETURN (SELECT CASE o.state WHEN 'withdrawn' THEN 'unchanged' ELSE 'no_request' END FROM consent.outcome_of(retract.request) AS o);
    END IF;
    RETURN consent.append(retract.event_id, asked.resident_id, asked.activity_id, 'withdrawn', NULL, NULL, NULL, NULL, asker.client_id,
        'organisation', 'exchange', asked.language, NULL);
END
$$;

ALTER FUNCTION consent.retract(credential bytea, event_id uuid, request uuid) OWNER TO stoa_door;

CREATE TABLE consent.state (
    resident_id uuid NOT NULL,
    activity_id uuid NOT NULL,
    state text NOT NULL,
    policy_version integer NOT NULL,
    attributes text[] NOT NULL,
    event_id uuid NOT NULL,
    sequence integer NOT NULL,
    since timestamp with time zone NOT NULL,
    valid_until timestamp with time zone,
    request_id uuid,
    CONSTRAINT state_check CHECK (
CASE
    WHEN (state = ANY (ARRAY['requested'::text, 'deferred'::text])) THEN (request_id IS NOT NULL)
    ELSE ((state = 'agreed'::text) OR (request_id IS NULL))
END),
    CONSTRAINT state_state_check CHECK ((state = ANY (ARRAY['requested'::text, 'deferred'::text, 'refused'::text, 'agreed'::text, 'given'::text, 'renewed'::text, 'expired'::text, 'withdrawn'::text, 'invalidated'::text])))
);

ALTER TABLE consent.state OWNER TO stoa_owner;

CREATE FUNCTION consent.shown_attributes(stored consent.state, state_now text) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN ((state_now = ANY (ARRAY['agreed'::text, 'given'::text, 'renewed'::text])) OR ((state_now = 'expired'::text) AND ((stored).state <> 'agreed'::text))) THEN (stored).attributes ELSE '{}'::text[] END;

ALTER FUNCTION consent.shown_attributes(stored consent.state, state_now text) OWNER TO stoa_door;

CREATE FUNCTION consent.states_of(credential bytea) RETURNS TABLE(activity_id uuid, state text, policy_version integer, attributes text[], since timestamp with time zone, valid_until timestamp with time zone, ended_with_birthday boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT s.activity_id, held.state, s.policy_version,
            consent.shown_attributes(s, held.state),
            CASE held.state WHEN 'expired' THEN s.valid_until ELSE s.since END, s.valid_until,
            held.state = 'expired' AND EXISTS (
                SELECT FROM register.minor AS m WHERE m.resident_id = s.resident_id AND s.valid_until IN (m.asked_from, m.alone_from))
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id JOIN consent.state AS s ON s.resident_id = a.resident_id
        CROSS JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state) AS held
        WHERE c.hash = states_of.credential AND web.is_live(c) AND a.closed_at IS NULL AND (c.kind = 'session' OR 'consents' = ANY (c.scope));
END
$$;

ALTER FUNCTION consent.states_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION consent.states_of_child(credential bytea, child uuid) RETURNS TABLE(activity_id uuid, state text, policy_version integer, attributes text[], since timestamp with time zone, valid_until timestamp with time zone, has_agreed boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION consent.states_of_child(credential bytea, child uuid) OWNER TO stoa_door;

CREATE FUNCTION consent.verify_chains() RETURNS TABLE(resident_id uuid, activity_id uuid, sequence integer, finding text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT c.resident_id, c.activity_id, c.sequence, 'hash_differs' FROM consent.event AS c WHERE c.hash <> consent.hash_of(c)
        UNION ALL
        SELECT c.resident_id, c.activity_id, c.sequence, 'link_differs'
        FROM (SELECT e.resident_id, e.activity_id, e.sequence, e.previous_hash, lag(e.hash) OVER chain AS hash_before,
                  row_number() OVER chain AS place
              FROM consent.event AS e WINDOW chain AS (PARTITION BY e.resident_id, e.activity_id ORDER BY e.sequence)) AS c
        WHERE c.previous_hash IS DISTINCT FROM c.hash_before OR c.place <> c.sequence
        UNION ALL
        SELECT e.resident_id, e.activity_id, e.sequence, 'state_differs'
        FROM (SELECT DISTINCT ON (x.resident_id, x.activity_id) x.* FROM consent.event AS x
              ORDER BY x.resident_id, x.activity_id, x.sequence DESC) AS e
        LEFT JOIN consent.state AS s ON s.resident_id = e.resident_id AND s.activity_id = e.activity_id
        WHERE (s.event_id, s.state, s.policy_version, s.sequence, s.valid_until)
                IS DISTINCT FROM (e.id, e.kind, e.policy_version, e.sequence, e.valid_until)
           OR s.attributes <> CASE e.kind WHEN 'requested' THEN '{}' ELSE e.attributes END;
END
$$;

ALTER FUNCTION consent.verify_chains() OWNER TO stoa_door;

CREATE FUNCTION consent.way_to_agree(credential bytea) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN coalesce((
        SELECT CASE WHEN m.alone_from <= public.stoa_now() THEN 'alone'
            WHEN m.asked_from <= public.stoa_now() AND EXISTS (
                SELECT FROM register.guardians_at(m.resident_id, public.stoa_now()) AS g WHERE g.must_agree) THEN 'together'
            ELSE 'guardians' END
        FROM consent.decider(way_to_agree.credential) AS d JOIN register.minor AS m ON m.resident_id = d.resident_id), 'alone');
END
$$;

ALTER FUNCTION consent.way_to_agree(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION consent.withdraw_all(credential bytea, organisation text, language text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    actor record;
    activity uuid;
    stopped integer := 0;
BEGIN
    SELECT d.* INTO actor FROM consent.decider(withdraw_all.credential) AS d;
    IF actor IS NULL THEN RETURN NULL; END IF;
    -- In the same order in every tab, because each waits for the lock of consent.append.
    FOR activity IN
        SELECT s.activity_id FROM consent.state AS s JOIN consent.processing_activity AS a ON a.id = s.activity_id
        WHERE s.resident_id = actor.resident_id AND a.organisation_id = withdraw_all.organisation AND s.state IN ('agreed', 'given', 'renewed') ORDER BY s.activity_id
    LOOP
        IF consent.append(gen_random_uuid(), actor.resident_id, activity, 'withdrawn', NULL, NULL,
            actor.account_id, NULL, actor.client_id, 'self', actor.method, withdraw_all.language, NULL) = 'recorded' THEN
            stopped := stopped + 1;
        END IF;
    END LOOP;
    RETURN stopped;
END
$$;

ALTER FUNCTION consent.withdraw_all(credential bytea, organisation text, language text) OWNER TO stoa_door;

CREATE FUNCTION delivery.announce(resident uuid, theme text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    wish record;
BEGIN
    SELECT a.id AS account_id, a.language, p.channel, d.holder_id, d.sealed_value, f.account_id IS NOT NULL AS wants_letter INTO wish
        FROM register.resident AS r
        JOIN identity.account AS a ON a.resident_id = coalesce(r.superseded_by, r.id) AND a.closed_at IS NULL
        JOIN delivery.preference AS p ON p.account_id = a.id AND p.theme = announce.theme
        LEFT JOIN delivery.letter_fallback AS f ON f.account_id = a.id
        LEFT JOIN identity.address AS d ON d.account_id = a.id AND d.is_primary AND d.kind = CASE p.channel WHEN 'email' THEN 'email' WHEN 'sms' THEN 'phone' END
        WHERE r.id = announce.resident;
    IF NOT FOUND THEN RETURN; END IF;
    IF wish.sealed_value IS NULL THEN
        IF wish.channel = 'letter' OR wish.wants_letter THEN PERFORM delivery.put_news_letter(wish.account_id); END IF;
    ELSIF NOT EXISTS (
            SELECT FROM delivery.outgoing AS o
            WHERE o.resident_id = wish.holder_id AND o.channel = wish.channel AND o.template = 'news' AND NOT o.is_done) THEN
        PERFORM delivery.put(gen_random_uuid(), wish.holder_id, wish.channel, 'news', wish.language, wish.sealed_value, NULL, NULL);
    END IF;
END
$$;

ALTER FUNCTION delivery.announce(resident uuid, theme text) OWNER TO stoa_door;

CREATE FUNCTION delivery.announce_bill() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM delivery.announce(NEW.resident_id, 'money');
    RETURN NULL;
END
$$;

ALTER FUNCTION delivery.announce_bill() OWNER TO stoa_door;

CREATE FUNCTION delivery.announce_message() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM delivery.announce(NEW.resident_id, delivery.theme_of(NEW.kind));
    RETURN NULL;
END
$$;

ALTER FUNCTION delivery.announce_message() OWNER TO stoa_door;

CREATE FUNCTION delivery.announce_sharing() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM delivery.announce(NEW.resident_id, 'sharing');
    RETURN NULL;
END
$$;

ALTER FUNCTION delivery.announce_sharing() OWNER TO stoa_door;

CREATE FUNCTION delivery.attempts_max() RETURNS smallint
    LANGUAGE sql IMMUTABLE
    RETURN (10)::smallint;

ALTER FUNCTION delivery.attempts_max() OWNER TO stoa_door;

CREATE FUNCTION delivery.choose(credential bytea, themes text[], channels text[], wants_letter boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    me uuid := (SELECT o.account_id FROM identity.account_of(choose.credential) AS o);
BEGIN
    IF me IS NULL THEN RETURN false; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = me FOR UPDATE;
    DELETE FROM delivery.preference AS p WHERE p.account_id = me;
    INSERT INTO delivery.preference (account_id, theme, channel)
        SELECT me, w.theme, w.channel FROM unnest(choose.themes, choose.channels) AS w (theme, channel) WHERE w.channel IS NOT NULL;
    DELETE FROM delivery.letter_fallback AS f WHERE f.account_id = me;
    IF choose.wants_letter THEN INSERT INTO delivery.letter_fallback (account_id) VALUES (me); END IF;
    RETURN true;
END
$$;

ALTER FUNCTION delivery.choose(credential bytea, themes text[], channels text[], wants_letter boolean) OWNER TO stoa_door;

CREATE FUNCTION delivery.fall_back() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM delivery.put_news_letter(a.id)
        FROM register.resident AS r JOIN identity.account AS a ON a.resident_id = coalesce(r.superseded_by, r.id)
        JOIN delivery.letter_fallback AS f ON f.account_id = a.id
        WHERE r.id = NEW.resident_id;
    RETURN NULL;
END
$$;

ALTER FUNCTION delivery.fall_back() OWNER TO stoa_door;

CREATE FUNCTION delivery.give_up(outgoing uuid, outcome text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE delivery.outgoing AS o SET failed_at = public.stoa_now(), outcome = give_up.outcome, sealed_recipient = NULL, sealed_parameters = NULL
        WHERE o.id = give_up.outgoing AND NOT o.is_done;
END
$$;

ALTER FUNCTION delivery.give_up(outgoing uuid, outcome text) OWNER TO stoa_door;

CREATE FUNCTION delivery.note(outgoing uuid, attempt smallint, result text, outcome text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF note.result = 'sent' THEN
        UPDATE delivery.outgoing AS o SET sent_at = public.stoa_now(), outcome = note.outcome, sealed_recipient = NULL, sealed_parameters = NULL
            WHERE o.id = note.outgoing AND NOT o.is_done;
    ELSIF note.result = 'refused' OR note.attempt >= delivery.attempts_max() THEN
        PERFORM delivery.give_up(o.id, note.outcome) FROM delivery.outgoing AS o WHERE o.id = note.outgoing AND o.attempts = note.attempt;
    ELSE
        UPDATE delivery.outgoing AS o SET outcome = note.outcome WHERE o.id = note.outgoing AND o.attempts = note.attempt AND NOT o.is_done;
    END IF;
END
$$;

ALTER FUNCTION delivery.note(outgoing uuid, attempt smallint, result text, outcome text) OWNER TO stoa_door;

CREATE FUNCTION delivery.own_preferences(credential bytea) RETURNS TABLE(theme text, channel text, wants_letter boolean, can_have_letters boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT t.theme, p.channel, f.account_id IS NOT NULL, r.origin = 'population_register'
        FROM web.credential AS c
        JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        JOIN register.resident AS r ON r.id = a.resident_id
        CROSS JOIN unnest(ARRAY['money', 'sharing', 'log', 'account']) WITH ORDINALITY AS t (theme, position)
        LEFT JOIN delivery.preference AS p ON p.account_id = a.id AND p.theme = t.theme
        LEFT JOIN delivery.letter_fallback AS f ON f.account_id = a.id
        WHERE c.hash = own_preferences.credential AND web.is_live(c) AND (c.kind = 'session' OR 'profile' = ANY (c.scope))
        ORDER BY t.position;
END
$$;

ALTER FUNCTION delivery.own_preferences(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION delivery.post_letter(credential bytea, letter uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    staff uuid := (SELECT s.staff_id FROM web.staff_with(post_letter.credential, '{caseworker}') AS s);
BEGIN
    IF staff IS NULL THEN RETURN 'letter_unknown'; END IF;
    PERFORM FROM delivery.outgoing AS o WHERE o.id = post_letter.letter AND o.channel = 'letter' FOR UPDATE;
    IF NOT FOUND THEN RETURN 'letter_unknown'; END IF;
    IF NOT EXISTS (SELECT FROM delivery.letter_event AS e WHERE e.outgoing_id = post_letter.letter AND e.kind = 'printed') THEN RETURN 'not_printed'; END IF;
    UPDATE delivery.outgoing AS o SET sent_at = public.stoa_now(), outcome = 'posted', sealed_parameters = NULL WHERE o.id = post_letter.letter AND NOT o.is_done;
    IF NOT FOUND THEN RETURN 'already_posted'; END IF;
    INSERT INTO delivery.letter_event (outgoing_id, kind, staff_id) VALUES (post_letter.letter, 'posted', staff);
    RETURN 'posted';
END
$$;

ALTER FUNCTION delivery.post_letter(credential bytea, letter uuid) OWNER TO stoa_door;

CREATE FUNCTION delivery.print_letter(credential bytea, letter uuid, entry uuid) RETURNS TABLE(sealed_parameters bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO delivery.letter_event (outgoing_id, kind, staff_id, entry_id)
        SELECT w.id, 'printed', me.staff_id, e.id
        FROM web.staff_with(print_letter.credential, '{caseworker}') AS me
        CROSS JOIN delivery.waiting_letters(print_letter.credential, print_letter.letter) AS w
        JOIN access_log.entry AS e ON e.id = print_letter.entry AND e.operation = 'view' AND e.outcome = 'permitted' AND e.purpose = 'letter'
            AND e.actor_kind = 'staff' AND e.actor_id = me.staff_id::text AND e.subject_id = w.resident_id AND e.case_reference = w.reference
            AND e.at > public.stoa_now() - interval '1 minute' AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        WHERE w.id = print_letter.letter
        ON CONFLICT (entry_id) DO NOTHING;
    IF NOT FOUND THEN RETURN; END IF;
    RETURN QUERY
        SELECT o.sealed_parameters, o.resident_id, k.key_id, k.wrapped_key
        FROM delivery.outgoing AS o LEFT JOIN register.data_key AS k ON k.resident_id = o.resident_id WHERE o.id = print_letter.letter;
END
$$;

ALTER FUNCTION delivery.print_letter(credential bytea, letter uuid, entry uuid) OWNER TO stoa_door;

CREATE FUNCTION delivery.put(outgoing uuid, resident uuid, channel text, template text, language text, sealed_recipient bytea, sealed_parameters bytea, expires_at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO delivery.outgoing (id, resident_id, channel, template, language, sealed_recipient, sealed_parameters, expires_at)
        VALUES (put.outgoing, put.resident, put.channel, put.template, put.language, put.sealed_recipient, put.sealed_parameters, put.expires_at);
END
$$;

ALTER FUNCTION delivery.put(outgoing uuid, resident uuid, channel text, template text, language text, sealed_recipient bytea, sealed_parameters bytea, expires_at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION delivery.put_news_letter(account uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM delivery.put(gen_random_uuid(), a.resident_id, 'letter', 'news', a.language, NULL, NULL, NULL)
        FROM identity.account AS a JOIN register.resident AS r ON r.id = a.resident_id AND r.origin = 'population_register'
        WHERE a.id = put_news_letter.account AND a.closed_at IS NULL AND NOT EXISTS (
            SELECT FROM delivery.outgoing AS o WHERE o.resident_id = a.resident_id AND o.channel = 'letter' AND o.template = 'news' AND NOT o.is_done);
END
$$;

ALTER FUNCTION delivery.put_news_letter(account uuid) OWNER TO stoa_door;

CREATE FUNCTION delivery.remove_done() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM delivery.outgoing AS o WHERE o.is_done AND o.made_at < public.stoa_now() - interval '30 days';
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

ALTER FUNCTION delivery.remove_done() OWNER TO stoa_door;

CREATE FUNCTION delivery.retry_delay(attempt integer) RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN LEAST('06:00:00'::interval, GREATEST('00:01:00'::interval, (power((4)::double precision, ((LEAST(attempt, 10) - 1))::double precision) * '00:00:30'::interval)));

ALTER FUNCTION delivery.retry_delay(attempt integer) OWNER TO stoa_door;

CREATE FUNCTION delivery.take(messages_max integer) RETURNS TABLE(id uuid, attempt smallint, channel text, template text, language text, sealed_recipient bytea, sealed_parameters bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    -- What ran out, was tried often enough by nodes that died, or is somebody's whose key was destroyed.
    PERFORM delivery.give_up(dead.id, dead.outcome) FROM (
        SELECT o.id, CASE WHEN o.expires_at <= public.stoa_now() THEN 'ran out' WHEN o.attempts >= delivery.attempts_max() THEN coalesce(o.outcome, 'no answer')
                ELSE 'erased' END AS outcome
        FROM delivery.outgoing AS o
        WHERE NOT o.is_done AND o.channel <> 'letter' AND o.next_at <= public.stoa_now()
          AND (o.expires_at <= public.stoa_now() OR o.attempts >= delivery.attempts_max()
               OR NOT EXISTS (SELECT FROM register.data_key AS k WHERE k.resident_id = o.resident_id))
        ORDER BY o.next_at LIMIT take.messages_max FOR UPDATE SKIP LOCKED) AS dead;
    RETURN QUERY
        WITH due AS (
            SELECT o.id FROM delivery.outgoing AS o
            WHERE NOT o.is_done AND o.channel <> 'letter' AND o.next_at <= public.stoa_now()
            ORDER BY o.next_at LIMIT take.messages_max FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE delivery.outgoing AS o SET attempts = o.attempts + 1, next_at = public.stoa_now() + delivery.retry_delay(o.attempts + 1)
            FROM due AS d WHERE o.id = d.id
            RETURNING o.id, o.attempts, o.channel, o.template, o.language, o.sealed_recipient, o.sealed_parameters, o.resident_id)
        SELECT t.id, t.attempts, t.channel, t.template, t.language, t.sealed_recipient, t.sealed_parameters, t.resident_id, k.key_id, k.wrapped_key
        FROM taken AS t JOIN register.data_key AS k ON k.resident_id = t.resident_id;
END
$$;

ALTER FUNCTION delivery.take(messages_max integer) OWNER TO stoa_door;

CREATE FUNCTION delivery.theme_of(message_kind text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (message_kind = ANY (ARRAY['question_received'::text, 'question_answered'::text, 'glass_broken'::text, 'glass_reviewed'::text, 'record_protected'::text, 'protection_lifted'::text])) THEN 'log'::text WHEN (message_kind = 'consent_on_paper'::text) THEN 'sharing'::text WHEN ((message_kind = ANY (ARRAY['payment_received'::text, 'transfer_received'::text, 'cash_received'::text])) OR starts_with(message_kind, 'bill_'::text) OR starts_with(message_kind, 'payout_'::text) OR starts_with(message_kind, 'dispute_'::text)) THEN 'money'::text ELSE 'account'::text END;

ALTER FUNCTION delivery.theme_of(message_kind text) OWNER TO stoa_door;

CREATE FUNCTION delivery.waiting_letters(credential bytea, letter uuid) RETURNS TABLE(id uuid, reference text, resident_id uuid, template text, language text, made_at timestamp with time zone, printed_at timestamp with time zone, printed_by text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, 'L-' || upper(left(md5(o.id::text), 8)), coalesce(r.superseded_by, r.id), o.template, o.language, o.made_at, p.at, p.display_name
        FROM web.staff_with(waiting_letters.credential, '{caseworker}') AS me
        CROSS JOIN delivery.outgoing AS o
        JOIN register.resident AS r ON r.id = o.resident_id
        LEFT JOIN LATERAL (
            SELECT e.at, s.display_name FROM delivery.letter_event AS e JOIN identity.staff AS s ON s.id = e.staff_id
            WHERE e.outgoing_id = o.id AND e.kind = 'printed' ORDER BY e.at DESC LIMIT 1) AS p ON true
        WHERE o.channel = 'letter' AND NOT o.is_done AND (o.expires_at IS NULL OR o.expires_at > public.stoa_now())
          AND (waiting_letters.letter IS NULL OR o.id = waiting_letters.letter)
        ORDER BY o.made_at, o.id LIMIT 200;
END
$$;

ALTER FUNCTION delivery.waiting_letters(credential bytea, letter uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.add(message uuid, dispute uuid, author uuid, sealed_words bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.dispute ' || add.dispute, 0));
    IF EXISTS (SELECT FROM disputes.message AS m WHERE m.id = add.message AND m.dispute_id = add.dispute AND m.written_by IS NOT DISTINCT FROM add.author) THEN
        RETURN 'written';
    END IF;
    IF (SELECT s.closed_at FROM disputes.standing AS s WHERE s.dispute_id = add.dispute) IS NOT NULL THEN RETURN 'closed'; END IF;
    IF (SELECT count(*) FROM disputes.message AS m WHERE m.dispute_id = add.dispute) >= 50 THEN RETURN 'too_many'; END IF;
    INSERT INTO disputes.message (id, dispute_id, written_by, sealed_words) VALUES (add.message, add.dispute, add.author, add.sealed_words);
    RETURN 'written';
END
$$;

ALTER FUNCTION disputes.add(message uuid, dispute uuid, author uuid, sealed_words bytea) OWNER TO stoa_door;

CREATE FUNCTION disputes.approve_refund(credential bytea, decision uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    approver uuid := (SELECT w.staff_id FROM web.staff_with(approve_refund.credential, '{finance_officer}') AS w);
    decided record;
    posted text;
BEGIN
    IF approver IS NULL THEN outcome := 'role_missing'; RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.decision ' || approve_refund.decision, 0));
    SELECT x.decided_by, x.refund, d.reference, p.currency, b.pays_into, coalesce(r.superseded_by, r.id) AS resident_id INTO decided
        FROM disputes.decision AS x JOIN disputes.dispute AS d ON d.id = x.dispute_id
        JOIN payments.payment AS p ON p.id = d.about_id JOIN payments.bill AS b ON b.id = p.bill_id
        JOIN register.resident AS r ON r.id = d.resident_id
        WHERE x.id = approve_refund.decision AND x.refund IS NOT NULL
          AND NOT EXISTS (SELECT FROM disputes.approval AS a WHERE a.decision_id = x.id);
    IF NOT FOUND THEN outcome := 'already_decided'; RETURN; END IF;
    IF decided.decided_by = approver THEN outcome := 'self_approval'; RETURN; END IF;
    SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[approve_refund.transfer], '{post}', ARRAY[decided.pays_into],
        ARRAY[ledger.open_wallet(decided.resident_id, decided.currency)], ARRAY[decided.refund], ARRAY[decided.currency],
        ARRAY[decided.reference], '{NULL}', '{staff}', ARRAY[approver::text]) AS t;
    IF posted = 'insufficient_funds' THEN outcome := posted; RETURN; END IF;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused a refund: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_posted';
    END IF;
    INSERT INTO disputes.approval (decision_id, decided_by, kind, approved_by, transfer_id)
        VALUES (approve_refund.decision, decided.decided_by, 'approved', approver, approve_refund.transfer);
    outcome := 'approved';
    resident := decided.resident_id;
    amount := decided.refund;
    currency := decided.currency;
    reference := decided.reference;
    SELECT a.language INTO approve_refund.language FROM identity.account AS a WHERE a.resident_id = decided.resident_id;
END
$$;

ALTER FUNCTION disputes.approve_refund(credential bytea, decision uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) OWNER TO stoa_door;

CREATE FUNCTION disputes.check_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    about record;
BEGIN
    SELECT d.about_kind, d.about_id INTO about FROM disputes.dispute AS d WHERE d.id = NEW.dispute_id;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.about ' || about.about_id, 0));
    IF (SELECT s.state FROM disputes.standing AS s WHERE s.dispute_id = NEW.dispute_id) <> 'open' THEN
        RAISE EXCEPTION 'a dispute is decided once' USING ERRCODE = 'unique_violation', CONSTRAINT = 'dispute_decided_once';
    END IF;
    IF NEW.refund IS NOT NULL AND NEW.refund + (
            SELECT coalesce(sum(x.refund), 0) FROM disputes.dispute AS d JOIN disputes.decision AS x ON x.dispute_id = d.id
            LEFT JOIN disputes.approval AS a ON a.decision_id = x.id
            WHERE d.about_kind = 'payment' AND d.about_id = about.about_id AND a.kind IS DISTINCT FROM 'refused')
        > coalesce((SELECT p.gross FROM payments.payment AS p WHERE p.id = about.about_id AND about.about_kind = 'payment'), 0) THEN
        RAISE EXCEPTION 'no more is paid back than was paid' USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_within_payment';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION disputes.check_decision() OWNER TO stoa_door;

CREATE FUNCTION disputes.count_min() RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (5)::bigint;

ALTER FUNCTION disputes.count_min() OWNER TO stoa_door;

CREATE FUNCTION disputes.decide(credential bytea, dispute uuid, decision uuid, finding text, refund bigint, sealed_words bytea, grounds text, OUT outcome text, OUT resident uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
    broken text;
BEGIN
    SELECT h.* INTO who FROM disputes.handler(decide.credential, decide.dispute) AS h;
    IF who.staff_id IS NULL THEN outcome := 'not_allowed'; RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.dispute ' || decide.dispute, 0));
    IF EXISTS (SELECT FROM disputes.decision AS x WHERE x.id = decide.decision) THEN outcome := 'already_decided'; RETURN; END IF;
    BEGIN
        INSERT INTO disputes.decision (id, dispute_id, number, finding, refund, sealed_words, grounds, decided_by)
            SELECT decide.decision, decide.dispute, count(*) + 1, decide.finding, decide.refund, decide.sealed_words, decide.grounds, who.staff_id
            FROM disputes.decision AS x WHERE x.dispute_id = decide.dispute;
    EXCEPTION WHEN unique_violation OR check_violation THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
        outcome := CASE broken WHEN 'dispute_decided_once' THEN 'already_decided' WHEN 'refund_within_payment' THEN 'refund_too_high' END;
        IF outcome IS NULL THEN RAISE; END IF;
        RETURN;
    END;
    IF decide.refund IS NOT NULL THEN outcome := 'approval_needed'; RETURN; END IF;
    outcome := 'decided';
    resident := who.resident;
END
$$;

ALTER FUNCTION disputes.decide(credential bytea, dispute uuid, decision uuid, finding text, refund bigint, sealed_words bytea, grounds text, OUT outcome text, OUT resident uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.escalate(disputes_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    escalated integer;
BEGIN
    WITH late AS (
        INSERT INTO disputes.escalation AS e (dispute_id)
            SELECT d.id FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
            WHERE d.due_at < public.stoa_now() AND s.closed_at IS NULL AND NOT EXISTS (SELECT FROM disputes.escalation AS x WHERE x.dispute_id = d.id)
            ORDER BY d.due_at, d.id LIMIT disputes_max
            ON CONFLICT DO NOTHING
            RETURNING e.dispute_id)
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        SELECT gen_random_uuid(), coalesce(r.superseded_by, r.id), 'dispute_late', jsonb_build_object('reference', d.reference)
        FROM late AS l JOIN disputes.dispute AS d ON d.id = l.dispute_id JOIN register.resident AS r ON r.id = d.resident_id;
    GET DIAGNOSTICS escalated = ROW_COUNT;
    RETURN escalated;
END
$$;

ALTER FUNCTION disputes.escalate(disputes_max integer) OWNER TO stoa_door;

CREATE FUNCTION disputes.escalated(credential bytea) RETURNS TABLE(reference text, category text, due_at timestamp with time zone, state text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.reference, d.category, d.due_at, s.state
        FROM web.staff_with(escalated.credential, '{auditor}') AS w
        CROSS JOIN disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
        WHERE s.closed_at IS NULL AND d.due_at < public.stoa_now() ORDER BY d.due_at, d.id LIMIT 100;
END
$$;

ALTER FUNCTION disputes.escalated(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION disputes.figures() RETURNS TABLE(category text, days_max integer, opened bigint, waiting bigint, late bigint, median_days double precision, upheld bigint, partly_upheld bigint, rejected bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT c.id, c.days_max, f.opened, f.waiting, f.late, f.median_days, f.upheld, f.partly_upheld, f.rejected
        FROM disputes.category AS c
        LEFT JOIN (
            SELECT d.category, count(*) AS opened, count(*) FILTER (WHERE s.closed_at IS NULL) AS waiting,
                count(*) FILTER (WHERE coalesce(s.closed_at, public.stoa_now()) > d.due_at) AS late,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM s.closed_at - d.opened_at) / 86400)
                    FILTER (WHERE s.closed_at IS NOT NULL) AS median_days,
                count(*) FILTER (WHERE s.state = 'upheld') AS upheld, count(*) FILTER (WHERE s.state = 'partly_upheld') AS partly_upheld,
                count(*) FILTER (WHERE s.state = 'rejected') AS rejected
            FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
            WHERE d.opened_at > public.stoa_now() - interval '12 months'
            GROUP BY d.category HAVING count(*) >= disputes.count_min()) AS f ON f.category = c.id
        ORDER BY c.position;
END
$$;

ALTER FUNCTION disputes.figures() OWNER TO stoa_door;

CREATE FUNCTION disputes.handler(credential bytea, dispute uuid, OUT staff_id uuid, OUT resident uuid, OUT reference text) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    SELECT w.staff_id, coalesce(r.superseded_by, r.id), d.reference INTO handler.staff_id, handler.resident, handler.reference
        FROM web.staff_with(handler.credential, '{caseworker}') AS w
        CROSS JOIN disputes.dispute AS d JOIN register.resident AS r ON r.id = d.resident_id
        WHERE d.id = handler.dispute AND EXISTS (
            SELECT FROM access_log.entry AS viewed
            WHERE viewed.subject_id IN (r.id, r.superseded_by) AND viewed.at > public.stoa_now() - interval '1 hour'
              AND viewed.actor_kind = 'staff' AND viewed.actor_id = w.staff_id::text AND viewed.operation = 'view' AND viewed.outcome = 'permitted'
              AND viewed.purpose = 'complaint' AND viewed.case_reference = d.reference
              AND viewed.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned());
END
$$;

ALTER FUNCTION disputes.handler(credential bytea, dispute uuid, OUT staff_id uuid, OUT resident uuid, OUT reference text) OWNER TO stoa_door;

CREATE FUNCTION disputes.open(credential bytea, id uuid, reference text, about_kind text, about_id uuid, category text, message uuid, sealed_words bytea, OUT outcome text, OUT dispute uuid, OUT resident uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    holder uuid := (SELECT h.resident_id FROM ledger.holder(open.credential, '{payments}') AS h);
    days integer;
BEGIN
    IF holder IS NULL THEN outcome := 'credential_invalid'; RETURN; END IF;
    PERFORM FROM disputes.thing(holder, open.about_kind, open.about_id);
    IF NOT FOUND THEN outcome := 'thing_unknown'; RETURN; END IF;
    SELECT c.days_max INTO days FROM disputes.category AS c WHERE c.id = open.category AND open.about_kind = ANY (c.about);
    IF NOT FOUND THEN outcome := 'category_unknown'; RETURN; END IF;
    -- One after the other, so that what is open is counted right.
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.resident ' || holder, 0));
    SELECT d.id INTO dispute FROM disputes.dispute AS d WHERE d.id = open.id AND d.resident_id = holder
        AND d.about_kind = open.about_kind AND d.about_id = open.about_id AND d.category = open.category;
    IF FOUND THEN outcome := 'opened'; RETURN; END IF;
    SELECT d.id INTO dispute
        FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
        WHERE d.about_kind = open.about_kind AND d.about_id = open.about_id AND s.closed_at IS NULL;
    IF FOUND THEN outcome := 'already_open'; RETURN; END IF;
    -- More than twenty at once is one matter, which one conversation settles sooner.
    IF (SELECT count(*) FROM disputes.dispute AS d JOIN disputes.standing AS s ON s.dispute_id = d.id
            WHERE d.resident_id = holder AND s.closed_at IS NULL) >= 20 THEN
        outcome := 'too_many';
        RETURN;
    END IF;
    INSERT INTO disputes.dispute (id, reference, resident_id, about_kind, about_id, category, due_at)
        VALUES (open.id, open.reference, holder, open.about_kind, open.about_id, open.category, public.stoa_now() + days * interval '1 day');
    INSERT INTO disputes.message (id, dispute_id, sealed_words) VALUES (open.message, open.id, open.sealed_words);
    outcome := 'opened';
    dispute := open.id;
    resident := holder;
END
$$;

ALTER FUNCTION disputes.open(credential bytea, id uuid, reference text, about_kind text, about_id uuid, category text, message uuid, sealed_words bytea, OUT outcome text, OUT dispute uuid, OUT resident uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.own(credential bytea, wanted uuid, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, reference text, about_kind text, about_id uuid, about_reference text, title jsonb, currency text, amount bigint, category text, law text, opened_at timestamp with time zone, due_at timestamp with time zone, is_late boolean, state text, closed_at timestamp with time zone, refunded bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.reference, d.about_kind, d.about_id, t.reference, t.title, t.currency, t.amount, d.category, c.law, d.opened_at, d.due_at,
            s.closed_at IS NULL AND d.due_at < public.stoa_now(), CASE s.state WHEN 'approval' THEN 'open' ELSE s.state END, s.closed_at, s.refunded
        FROM ledger.holder(own.credential, '{payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN disputes.dispute AS d ON d.resident_id = r.id
        JOIN disputes.category AS c ON c.id = d.category
        JOIN disputes.standing AS s ON s.dispute_id = d.id
        CROSS JOIN LATERAL disputes.thing(h.resident_id, d.about_kind, d.about_id) AS t
        WHERE (own.wanted IS NULL OR d.id = own.wanted)
          AND (own.before_at IS NULL OR (d.opened_at, d.id) < (own.before_at, own.before_id))
        ORDER BY d.opened_at DESC, d.id DESC LIMIT LEAST(own.page_size, 201);
END
$$;

ALTER FUNCTION disputes.own(credential bytea, wanted uuid, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION disputes.own_thing(credential bytea, kind text, id uuid) RETURNS TABLE(reference text, title jsonb, currency text, amount bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY SELECT t.* FROM ledger.holder(own_thing.credential, '{payments}') AS h
        CROSS JOIN LATERAL disputes.thing(h.resident_id, own_thing.kind, own_thing.id) AS t;
END
$$;

ALTER FUNCTION disputes.own_thing(credential bytea, kind text, id uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.own_words(credential bytea, dispute uuid) RETURNS TABLE(id uuid, is_decision boolean, author text, sealed_words bytea, at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT w.* FROM ledger.holder(own_words.credential, '{payments}') AS h
        JOIN access_log.own_view AS v ON v.credential = own_words.credential AND v.kind = 'payments' AND v.subject_id = h.resident_id
        JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN disputes.dispute AS d ON d.resident_id = r.id AND d.id = own_words.dispute
        CROSS JOIN LATERAL disputes.words(d.id, false) AS w;
END
$$;

ALTER FUNCTION disputes.own_words(credential bytea, dispute uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.refunds_waiting(credential bytea, wanted text) RETURNS TABLE(decision_id uuid, reference text, category text, about_reference text, paid bigint, refund bigint, currency text, finding text, grounds text, decided_by_name text, decided_by_me boolean, decided_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT x.id, d.reference, d.category, p.receipt_code, p.gross, x.refund, p.currency, x.finding, x.grounds, maker.display_name,
            x.decided_by = w.staff_id, x.decided_at
        FROM web.staff_with(refunds_waiting.credential, '{finance_officer}') AS w
        CROSS JOIN disputes.decision AS x
        JOIN disputes.dispute AS d ON d.id = x.dispute_id
        JOIN payments.payment AS p ON p.id = d.about_id
        JOIN identity.staff AS maker ON maker.id = x.decided_by
        WHERE x.refund IS NOT NULL AND NOT EXISTS (SELECT FROM disputes.approval AS a WHERE a.decision_id = x.id)
          AND (refunds_waiting.wanted IS NULL OR d.reference = refunds_waiting.wanted)
        ORDER BY x.decided_at, x.id LIMIT 100;
END
$$;

ALTER FUNCTION disputes.refunds_waiting(credential bytea, wanted text) OWNER TO stoa_door;

CREATE FUNCTION disputes.refuse_refund(credential bytea, decision uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    approver uuid := (SELECT w.staff_id FROM web.staff_with(refuse_refund.credential, '{finance_officer}') AS w);
    decider uuid;
BEGIN
    IF approver IS NULL THEN RETURN 'role_missing'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('disputes.decision ' || refuse_refund.decision, 0));
    SELECT x.decided_by INTO decider FROM disputes.decision AS x
        WHERE x.id = refuse_refund.decision AND x.refund IS NOT NULL AND NOT EXISTS (SELECT FROM disputes.approval AS a WHERE a.decision_id = x.id);
    IF NOT FOUND THEN RETURN 'already_decided'; END IF;
    IF decider = approver THEN RETURN 'self_approval'; END IF;
    INSERT INTO disputes.approval (decision_id, decided_by, kind, approved_by, refusal_reason)
        VALUES (refuse_refund.decision, decider, 'refused', approver, refuse_refund.reason);
    RETURN 'refused';
END
$$;

ALTER FUNCTION disputes.refuse_refund(credential bytea, decision uuid, reason text) OWNER TO stoa_door;

CREATE FUNCTION disputes.refused_refunds(credential bytea, dispute uuid) RETURNS TABLE(refund bigint, currency text, reason text, refused_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT x.refund, p.currency, a.refusal_reason, a.approved_at
        FROM web.staff_with(refused_refunds.credential, '{caseworker}') AS w
        CROSS JOIN disputes.decision AS x JOIN disputes.dispute AS d ON d.id = x.dispute_id
        JOIN payments.payment AS p ON p.id = d.about_id
        JOIN disputes.approval AS a ON a.decision_id = x.id AND a.kind = 'refused'
        WHERE d.id = refused_refunds.dispute ORDER BY x.number;
END
$$;

ALTER FUNCTION disputes.refused_refunds(credential bytea, dispute uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.reply(credential bytea, dispute uuid, message uuid, sealed_words bytea, OUT outcome text, OUT resident uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
BEGIN
    SELECT h.* INTO who FROM disputes.handler(reply.credential, reply.dispute) AS h;
    IF who.staff_id IS NULL THEN outcome := 'not_allowed'; RETURN; END IF;
    IF EXISTS (SELECT FROM disputes.message AS m WHERE m.id = reply.message) THEN outcome := 'written'; RETURN; END IF;
    outcome := disputes.add(reply.message, reply.dispute, who.staff_id, reply.sealed_words);
    IF outcome = 'written' THEN resident := who.resident; END IF;
END
$$;

ALTER FUNCTION disputes.reply(credential bytea, dispute uuid, message uuid, sealed_words bytea, OUT outcome text, OUT resident uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.thing(resident uuid, kind text, id uuid) RETURNS TABLE(reference text, title jsonb, currency text, amount bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT b.reference, b.title, b.currency, b.amount FROM payments.bill AS b JOIN register.resident AS r ON r.id = b.resident_id
        WHERE thing.kind = 'bill' AND b.id = thing.id AND thing.resident IN (r.id, r.superseded_by)
        UNION ALL
        SELECT p.receipt_code, b.title, p.currency, p.gross
        FROM payments.payment AS p JOIN payments.bill AS b ON b.id = p.bill_id JOIN register.resident AS r ON r.id = b.resident_id
        WHERE thing.kind = 'payment' AND p.id = thing.id AND thing.resident IN (r.id, r.superseded_by)
        UNION ALL
        SELECT d.case_reference, s.name, d.currency, d.amount
        FROM benefits.disbursement AS d JOIN benefits.decision AS x ON x.disbursement_id = d.id AND x.kind = 'approved'
        JOIN benefits.programme AS s ON s.id = d.programme_id JOIN register.resident AS r ON r.id = d.resident_id
        WHERE thing.kind = 'benefit' AND d.id = thing.id AND thing.resident IN (r.id, r.superseded_by);
END
$$;

ALTER FUNCTION disputes.thing(resident uuid, kind text, id uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.under(credential bytea, view_entry uuid) RETURNS TABLE(id uuid, reference text, about_kind text, about_id uuid, about_reference text, title jsonb, currency text, amount bigint, category text, law text, opened_at timestamp with time zone, due_at timestamp with time zone, is_late boolean, state text, closed_at timestamp with time zone, refunded bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.reference, d.about_kind, d.about_id, t.reference, t.title, t.currency, t.amount, d.category, c.law, d.opened_at, d.due_at,
            d.due_at < public.stoa_now(), s.state, s.closed_at, s.refunded
        FROM web.staff_with(under.credential, '{caseworker}') AS w
        JOIN access_log.entry AS viewed ON viewed.id = under.view_entry AND viewed.actor_kind = 'staff' AND viewed.actor_id = w.staff_id::text
            AND viewed.operation = 'view' AND viewed.purpose = 'complaint' AND viewed.outcome = 'permitted'
            AND viewed.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND viewed.at > public.stoa_now() - interval '5 seconds'
        JOIN disputes.dispute AS d ON d.reference = viewed.case_reference
        JOIN disputes.category AS c ON c.id = d.category
        JOIN register.resident AS r ON r.id = d.resident_id AND viewed.subject_id IN (r.id, r.superseded_by)
        JOIN disputes.standing AS s ON s.dispute_id = d.id
        CROSS JOIN LATERAL disputes.thing(viewed.subject_id, d.about_kind, d.about_id) AS t;
END
$$;

ALTER FUNCTION disputes.under(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.waiting(credential bytea, wanted text) RETURNS TABLE(reference text, category text, about_kind text, opened_at timestamp with time zone, due_at timestamp with time zone, is_late boolean, waits_for_resident boolean, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.reference, d.category, d.about_kind, d.opened_at, d.due_at, d.due_at < public.stoa_now(), newest.written_by IS NOT NULL,
            coalesce(r.superseded_by, r.id)
        FROM web.staff_with(waiting.credential, '{caseworker}') AS w
        CROSS JOIN disputes.dispute AS d
        JOIN disputes.standing AS s ON s.dispute_id = d.id AND s.state = 'open'
        JOIN register.resident AS r ON r.id = d.resident_id
        JOIN register.data_key AS k ON k.resident_id = d.resident_id
        CROSS JOIN LATERAL (SELECT m.written_by FROM disputes.message AS m WHERE m.dispute_id = d.id ORDER BY m.written_at DESC, m.id DESC LIMIT 1) AS newest
        WHERE waiting.wanted IS NULL OR d.reference = waiting.wanted
        ORDER BY d.due_at, d.id LIMIT 100;
END
$$;

ALTER FUNCTION disputes.waiting(credential bytea, wanted text) OWNER TO stoa_door;

CREATE FUNCTION disputes.words(dispute uuid, with_untold boolean) RETURNS TABLE(id uuid, is_decision boolean, author text, sealed_words bytea, at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT w.id, w.is_decision, w.author, w.sealed_words, w.at, d.resident_id, k.key_id, k.wrapped_key
        FROM disputes.dispute AS d
        JOIN register.data_key AS k ON k.resident_id = d.resident_id
        JOIN disputes.standing AS s ON s.dispute_id = d.id
        CROSS JOIN LATERAL (
            SELECT m.id, false AS is_decision, CASE WHEN m.written_by IS NULL THEN 'resident' ELSE 'city' END AS author, m.sealed_words, m.written_at AS at
            FROM disputes.message AS m WHERE m.dispute_id = d.id
            UNION ALL
            SELECT x.id, true, 'city', x.sealed_words, x.decided_at FROM disputes.decision AS x
            WHERE x.id = s.decision_id AND (with_untold OR s.closed_at IS NOT NULL)) AS w
        WHERE d.id = words.dispute
        ORDER BY w.is_decision, w.at, w.id;
END
$$;

ALTER FUNCTION disputes.words(dispute uuid, with_untold boolean) OWNER TO stoa_door;

CREATE FUNCTION disputes.words_under(credential bytea, view_entry uuid) RETURNS TABLE(id uuid, is_decision boolean, author text, sealed_words bytea, at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY SELECT w.* FROM disputes.under(words_under.credential, words_under.view_entry) AS u CROSS JOIN LATERAL disputes.words(u.id, true) AS w;
END
$$;

ALTER FUNCTION disputes.words_under(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION disputes.write(credential bytea, dispute uuid, message uuid, sealed_words bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM disputes.own(write.credential, write.dispute, NULL, NULL, 1);
    IF NOT FOUND THEN RETURN 'dispute_unknown'; END IF;
    RETURN disputes.add(write.message, write.dispute, NULL, write.sealed_words);
END
$$;

ALTER FUNCTION disputes.write(credential bytea, dispute uuid, message uuid, sealed_words bytea) OWNER TO stoa_door;

CREATE FUNCTION exchange.acknowledge(credential bytea, notice uuid, done text, law text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    asker record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(acknowledge.credential) AS a;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT asker.may_ask THEN RETURN 'scope_missing'; END IF;
    IF NOT EXISTS (SELECT FROM exchange.notice AS n WHERE n.id = acknowledge.notice AND n.organisation_id = asker.organisation_id) THEN
        RETURN 'notice_unknown';
    END IF;
    INSERT INTO exchange.acknowledgement (notice_id, done, law, client_id)
        VALUES (acknowledge.notice, acknowledge.done, acknowledge.law, asker.client_id)
        ON CONFLICT (notice_id) DO NOTHING;
    IF FOUND THEN RETURN 'recorded'; END IF;
    RETURN (SELECT CASE WHEN k.done = acknowledge.done AND k.law IS NOT DISTINCT FROM acknowledge.law THEN 'unchanged' ELSE 'stands' END
        FROM exchange.acknowledgement AS k WHERE k.notice_id = acknowledge.notice);
END
$$;

ALTER FUNCTION exchange.acknowledge(credential bytea, notice uuid, done text, law text) OWNER TO stoa_door;

CREATE FUNCTION exchange.attempts_max() RETURNS smallint
    LANGUAGE sql IMMUTABLE
    RETURN (16)::smallint;

ALTER FUNCTION exchange.attempts_max() OWNER TO stoa_door;

CREATE FUNCTION exchange.keep_proof(credential bytea, entry uuid, request_sha256 bytea, request_input text, request_signature bytea, status smallint, answer_sha256 bytea, answer_input text, answer_signature text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO exchange.signed_answer (entry_id, client_id, request_sha256, request_input, request_signature, status, answer_sha256, answer_input, answer_signature)
        SELECT e.id, e.client_id, keep_proof.request_sha256, keep_proof.request_input, keep_proof.request_signature, keep_proof.status,
            keep_proof.answer_sha256, keep_proof.answer_input, keep_proof.answer_signature
        FROM web.credential AS c JOIN access_log.entry AS e ON e.client_id = c.client_id AND e.id = keep_proof.entry
        WHERE c.hash = keep_proof.credential;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this client made no such entry' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

ALTER FUNCTION exchange.keep_proof(credential bytea, entry uuid, request_sha256 bytea, request_input text, request_signature bytea, status smallint, answer_sha256 bytea, answer_input text, answer_signature text) OWNER TO stoa_door;

CREATE FUNCTION exchange.note_delivery(notice uuid, attempt smallint, delivered boolean, outcome text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE exchange.delivery AS d SET outcome = note_delivery.outcome,
            delivered_at = CASE WHEN note_delivery.delivered THEN public.stoa_now() END, next_at = CASE WHEN NOT note_delivery.delivered THEN d.next_at END
        WHERE d.notice_id = note_delivery.notice AND d.delivered_at IS NULL AND (note_delivery.delivered OR d.attempts = note_delivery.attempt);
END
$$;

ALTER FUNCTION exchange.note_delivery(notice uuid, attempt smallint, delivered boolean, outcome text) OWNER TO stoa_door;

CREATE FUNCTION exchange.notice_period() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN ((30)::double precision * '24:00:00'::interval);

ALTER FUNCTION exchange.notice_period() OWNER TO stoa_door;

CREATE FUNCTION exchange.notices_of(credential bytea, after_number bigint, notice uuid, notices_max integer) RETURNS TABLE(may_read boolean, number bigint, id uuid, organisation_id text, subject uuid, purpose text, reason text, attributes text[], since timestamp with time zone, made_at timestamp with time zone, due_at timestamp with time zone, state text, done text, law text, acknowledged_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    asker record;
BEGIN
    SELECT a.* INTO asker FROM consent.asker(notices_of.credential) AS a;
    IF NOT FOUND THEN RETURN; END IF;
    IF asker.may_ask THEN PERFORM exchange.number_notices(asker.organisation_id); END IF;
    RETURN QUERY
        SELECT asker.may_ask, x.number, s.id, s.organisation_id, s.subject, s.purpose, s.reason, s.attributes, s.since, s.made_at, s.due_at, s.state,
            s.done, s.law, s.acknowledged_at
        FROM (SELECT 1) AS answer
        LEFT JOIN LATERAL (
            SELECT n.number, n.notice_id FROM exchange.notice_number AS n
            WHERE asker.may_ask AND n.organisation_id = asker.organisation_id AND n.number > notices_of.after_number
              AND (notices_of.notice IS NULL OR n.notice_id = notices_of.notice)
            ORDER BY n.number LIMIT notices_of.notices_max) AS x ON true
        LEFT JOIN exchange.standing AS s ON s.id = x.notice_id
        ORDER BY x.number;
END
$$;

ALTER FUNCTION exchange.notices_of(credential bytea, after_number bigint, notice uuid, notices_max integer) OWNER TO stoa_door;

CREATE FUNCTION exchange.notify_recipient() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    ended text[];
BEGIN
    SELECT ARRAY(SELECT x.id FROM unnest(e.attributes) WITH ORDINALITY AS x (id, position)
                 WHERE NEW.kind NOT IN ('given', 'renewed') OR x.id <> ALL (NEW.attributes) ORDER BY x.position)
        INTO ended FROM consent.event AS e
        WHERE e.resident_id = NEW.resident_id AND e.activity_id = NEW.activity_id AND e.sequence = NEW.sequence - 1 AND e.kind IN ('given', 'renewed');
    IF coalesce(cardinality(ended), 0) > 0 THEN
        -- Whose record was erased has no pseudonym any more: there is nobody to name.
        WITH made AS (
            INSERT INTO exchange.notice (event_id, organisation_id, subject, reason, attributes, since)
            SELECT NEW.id, p.organisation_id, p.pseudonym, CASE WHEN NEW.kind IN ('given', 'renewed') THEN 'narrowed' ELSE NEW.kind END, ended,
                CASE NEW.kind WHEN 'expired' THEN NEW.valid_until ELSE NEW.at END
            FROM consent.processing_activity AS a
            JOIN exchange.pseudonym AS p ON p.organisation_id = a.organisation_id AND p.resident_id = NEW.resident_id
            WHERE a.id = NEW.activity_id
            RETURNING id, organisation_id)
        INSERT INTO exchange.notice_queue (notice_id, organisation_id) SELECT m.id, m.organisation_id FROM made AS m;
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION exchange.notify_recipient() OWNER TO stoa_door;

CREATE FUNCTION exchange.number_notices(organisation text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM exchange.notice_queue AS q WHERE q.organisation_id = organisation) THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('notices/' || organisation, 0));
    WITH taken AS (
        DELETE FROM exchange.notice_queue AS q WHERE q.notice_id = ANY (ARRAY(
            SELECT o.notice_id FROM exchange.notice_queue AS o WHERE o.organisation_id = organisation LIMIT exchange.numbers_per_call()))
        RETURNING q.notice_id
    ), posted AS (
        INSERT INTO exchange.delivery (notice_id, organisation_id, next_at)
        SELECT t.notice_id, organisation, public.stoa_now() FROM taken AS t JOIN exchange.webhook AS w ON w.organisation_id = organisation
    )
    INSERT INTO exchange.notice_number (organisation_id, number, notice_id)
        SELECT organisation, last.number + row_number() OVER (ORDER BY n.made_at, n.id), n.id
        FROM taken AS t JOIN exchange.notice AS n ON n.id = t.notice_id
        CROSS JOIN (SELECT coalesce(max(x.number), 0) AS number FROM exchange.notice_number AS x WHERE x.organisation_id = organisation) AS last;
END
$$;

ALTER FUNCTION exchange.number_notices(organisation text) OWNER TO stoa_door;

CREATE FUNCTION exchange.numbers_per_call() RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN 1000;

ALTER FUNCTION exchange.numbers_per_call() OWNER TO stoa_door;

CREATE FUNCTION exchange.recipients(credential bytea) RETURNS TABLE(organisation_id text, name jsonb, open_count bigint, overdue_count bigint, first_due_at timestamp with time zone, unposted_count bigint, outcome text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, o.name, count(*) FILTER (WHERE s.state = 'open'), count(*) FILTER (WHERE s.state = 'overdue'), min(s.due_at),
            count(*) FILTER (WHERE d.attempts > 0 AND d.delivered_at IS NULL), max(d.outcome) FILTER (WHERE d.delivered_at IS NULL)
        FROM web.staff_with(recipients.credential, '{auditor}') AS auditor
        CROSS JOIN exchange.standing AS s
        JOIN consent.organisation AS o ON o.id = s.organisation_id
        LEFT JOIN exchange.delivery AS d ON d.notice_id = s.id
        WHERE s.state IN ('open', 'overdue')
        GROUP BY o.id ORDER BY min(s.due_at), o.id;
END
$$;

ALTER FUNCTION exchange.recipients(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION exchange.remove_past_nonces() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM exchange.request_nonce AS n WHERE n.ends_at < public.stoa_now() - interval '1 minute';
END
$$;

ALTER FUNCTION exchange.remove_past_nonces() OWNER TO stoa_door;

CREATE FUNCTION exchange.remove_past_volume() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    WITH past AS (
        DELETE FROM exchange.volume AS v WHERE v.minute < public.stoa_now() - interval '2 hours'
        RETURNING v.organisation_id, v.minute, v.count
    ), summed AS (
        SELECT p.organisation_id, date_trunc('month', p.minute AT TIME ZONE 'UTC')::date AS month, sum(p.count) AS count
        FROM past AS p GROUP BY 1, 2 ORDER BY 1, 2)
    INSERT INTO catalogue.volume_of_month AS m (organisation_id, month, count) SELECT s.organisation_id, s.month, s.count FROM summed AS s
        ON CONFLICT (organisation_id, month) DO UPDATE SET count = m.count + excluded.count;
END
$$;

ALTER FUNCTION exchange.remove_past_volume() OWNER TO stoa_door;

CREATE FUNCTION exchange.retry_delay(attempt integer) RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN LEAST('06:00:00'::interval, (power((4)::double precision, ((LEAST(attempt, 10) - 1))::double precision) * '00:01:00'::interval));

ALTER FUNCTION exchange.retry_delay(attempt integer) OWNER TO stoa_door;

CREATE FUNCTION exchange.set_webhook(organisation text, url text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF set_webhook.url IS NOT NULL THEN
        INSERT INTO exchange.webhook AS w (organisation_id, url) VALUES (set_webhook.organisation, set_webhook.url)
            ON CONFLICT (organisation_id) DO UPDATE SET url = excluded.url, set_at = excluded.set_at;
    ELSE
        DELETE FROM exchange.webhook AS w WHERE w.organisation_id = set_webhook.organisation;
        UPDATE exchange.delivery AS d SET next_at = NULL, outcome = 'webhook removed' FROM exchange.notice AS n
            WHERE n.id = d.notice_id AND n.organisation_id = set_webhook.organisation AND d.next_at IS NOT NULL;
    END IF;
END
$$;

ALTER FUNCTION exchange.set_webhook(organisation text, url text) OWNER TO stoa_owner;

CREATE FUNCTION exchange.take_deliveries(deliveries_max integer, share_max integer, busy text[]) RETURNS TABLE(url text, attempt smallint, number bigint, id uuid, organisation_id text, subject uuid, purpose text, reason text, attributes text[], since timestamp with time zone, made_at timestamp with time zone, due_at timestamp with time zone, state text, done text, law text, acknowledged_at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    organisation text;
BEGIN
    -- In one order, because each waits for whoever reads the same organisation's notices.
    FOR organisation IN
        SELECT w.organisation_id FROM exchange.webhook AS w
        WHERE EXISTS (SELECT FROM exchange.notice_queue AS q WHERE q.organisation_id = w.organisation_id) ORDER BY w.organisation_id
    LOOP
        PERFORM exchange.number_notices(organisation);
    END LOOP;
    RETURN QUERY
        WITH due AS (
            SELECT d.notice_id
            FROM (SELECT w.organisation_id FROM exchange.webhook AS w WHERE w.organisation_id <> ALL (take_deliveries.busy) ORDER BY random()) AS o
            CROSS JOIN LATERAL (
                SELECT x.notice_id FROM exchange.delivery AS x WHERE x.organisation_id = o.organisation_id AND x.next_at <= public.stoa_now()
                ORDER BY x.next_at LIMIT take_deliveries.share_max FOR UPDATE SKIP LOCKED) AS d
            LIMIT take_deliveries.deliveries_max
        ), taken AS (
            UPDATE exchange.delivery AS d SET attempts = d.attempts + 1,
                next_at = CASE WHEN d.attempts + 1 < exchange.attempts_max() THEN public.stoa_now() + exchange.retry_delay(d.attempts + 1) END
            FROM due AS o WHERE d.notice_id = o.notice_id
            RETURNING d.notice_id, d.attempts)
        SELECT w.url, t.attempts, n.number, s.id, s.organisation_id, s.subject, s.purpose, s.reason, s.attributes, s.since, s.made_at, s.due_at, s.state,
            s.done, s.law, s.acknowledged_at
        FROM taken AS t
        JOIN exchange.notice_number AS n ON n.notice_id = t.notice_id
        JOIN exchange.standing AS s ON s.id = t.notice_id
        JOIN exchange.webhook AS w ON w.organisation_id = s.organisation_id;
END
$$;

ALTER FUNCTION exchange.take_deliveries(deliveries_max integer, share_max integer, busy text[]) OWNER TO stoa_door;

CREATE FUNCTION exchange.use_nonce(credential bytea, nonce_sha256 bytea, ends_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO exchange.request_nonce (client_id, nonce_sha256, ends_at)
        SELECT c.client_id, use_nonce.nonce_sha256, use_nonce.ends_at FROM web.credential AS c
        WHERE c.hash = use_nonce.credential AND c.client_id IS NOT NULL AND web.is_live(c)
        ON CONFLICT ON CONSTRAINT request_nonce_pkey DO NOTHING;
    RETURN FOUND;
END
$$;

ALTER FUNCTION exchange.use_nonce(credential bytea, nonce_sha256 bytea, ends_at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION exchange.volume_of(credential bytea) RETURNS TABLE(requests_max integer, requests_left integer, subjects_max integer, subjects_left integer, seconds_left integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT o.requests_per_minute_max, GREATEST(0, o.requests_per_minute_max - coalesce(reads.count, 0)),
            o.subjects_per_minute_max, GREATEST(0, o.subjects_per_minute_max - coalesce(lists.count, 0)),
            ceil(extract(epoch FROM date_trunc('minute', public.stoa_now()) + interval '1 minute' - public.stoa_now()))::integer
        FROM web.credential AS c
        JOIN consent.organisation AS o ON o.id = c.organisation_id
        LEFT JOIN exchange.volume AS reads
            ON reads.organisation_id = o.id AND NOT reads.is_of_lists AND reads.minute = date_trunc('minute', public.stoa_now())
        LEFT JOIN exchange.volume AS lists
            ON lists.organisation_id = o.id AND lists.is_of_lists AND lists.minute = date_trunc('minute', public.stoa_now())
        WHERE c.hash = volume_of.credential AND web.is_live(c);
END
$$;

ALTER FUNCTION exchange.volume_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.account_of(credential bytea) RETURNS TABLE(account_id uuid, resident_id uuid, language text, session_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT a.id,
     a.resident_id,
     a.language,
     c.id
    FROM (web.credential c
      JOIN identity.account a ON (((a.id = c.account_id) AND (a.closed_at IS NULL))))
   WHERE ((c.hash = account_of.credential) AND (c.kind = 'session'::text) AND web.is_live(c.*));
END;

ALTER FUNCTION identity.account_of(credential bytea) OWNER TO stoa_door;

CREATE TABLE identity.sign_in_name (
    hmac bytea NOT NULL,
    kind text NOT NULL,
    account_id uuid,
    staff_id uuid,
    CONSTRAINT sign_in_name_check CHECK ((num_nonnulls(account_id, staff_id) = 1)),
    CONSTRAINT sign_in_name_hmac_check CHECK ((octet_length(hmac) = 32)),
    CONSTRAINT sign_in_name_kind_check CHECK ((kind = ANY (ARRAY['username'::text, 'email'::text, 'phone'::text])))
);

ALTER TABLE identity.sign_in_name OWNER TO stoa_owner;

CREATE TABLE register.resident (
    id uuid NOT NULL,
    public_code text NOT NULL,
    origin text NOT NULL,
    identity_assurance smallint DEFAULT 0 NOT NULL,
    superseded_by uuid,
    is_protected boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT resident_check CHECK ((superseded_by <> id)),
    CONSTRAINT resident_identity_assurance_check CHECK (((identity_assurance >= 0) AND (identity_assurance <= 3))),
    CONSTRAINT resident_origin_check CHECK ((origin = ANY (ARRAY['population_register'::text, 'self_registered'::text, 'counter'::text]))),
    CONSTRAINT resident_public_code_check CHECK ((public_code ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'::text))
);

ALTER TABLE register.resident OWNER TO stoa_owner;

CREATE FUNCTION identity.account_with_letters(name_hmac bytea) RETURNS TABLE(account_id uuid, resident_id uuid, language text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT a.id,
     a.resident_id,
     a.language
    FROM ((identity.sign_in_name n
      JOIN identity.account a ON (((a.id = n.account_id) AND (a.closed_at IS NULL))))
      JOIN register.resident r ON (((r.id = a.resident_id) AND (r.origin = 'population_register'::text))))
   WHERE (n.hmac = account_with_letters.name_hmac);
END;

ALTER FUNCTION identity.account_with_letters(name_hmac bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.add_address(credential bytea, address uuid, kind text, hmac bytea, holder uuid, sealed_value bytea, code_hmac bytea, outgoing uuid, sealed_code bytea, language text, OUT outcome text, OUT address_id uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    me record;
    known record;
    other record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(add_address.credential) AS o;
    IF NOT FOUND THEN outcome := 'credential_invalid'; RETURN; END IF;
    -- Two at once of the same account, or to the same address, come one after the other: the limits count them so.
    PERFORM pg_advisory_xact_lock(hashtextextended('identity.address ' || encode(add_address.hmac, 'hex'), 0));
    PERFORM a.id FROM identity.account AS a WHERE a.id = me.account_id FOR UPDATE;

    SELECT d.id, d.verified_at INTO known FROM identity.address AS d WHERE d.account_id = me.account_id AND d.hmac = add_address.hmac;
    address_id := coalesce(known.id, add_address.address);
    IF known.verified_at IS NOT NULL THEN outcome := 'already_verified'; RETURN; END IF;
    IF (SELECT count(*) FROM identity.address_sending AS s WHERE s.hmac = add_address.hmac AND s.at > public.stoa_now() - interval '1 hour')
            >= identity.address_codes_per_hour()
        OR (SELECT count(*) FROM identity.address_sending AS s WHERE s.account_id = me.account_id AND s.at > public.stoa_now() - interval '1 hour')
            >= identity.address_codes_per_hour() THEN
        outcome := 'too_many_codes';
        RETURN;
    END IF;
    IF known.id IS NULL AND (SELECT count(*) FROM identity.address AS d WHERE d.account_id = me.account_id) >= identity.addresses_max() THEN
        outcome := 'too_many_addresses';
        RETURN;
    END IF;

    INSERT INTO identity.address_sending (hmac, account_id) VALUES (add_address.hmac, me.account_id);
    IF known.id IS NULL THEN
        INSERT INTO identity.address (id, account_id, kind, hmac, holder_id, sealed_value)
            VALUES (add_address.address, me.account_id, add_address.kind, add_address.hmac, add_address.holder, add_address.sealed_value);
    END IF;
    SELECT n.account_id, d.holder_id, d.sealed_value, a.language INTO other
        FROM identity.sign_in_name AS n
        LEFT JOIN identity.account AS a ON a.id = n.account_id
        LEFT JOIN identity.address AS d ON d.account_id = n.account_id AND d.hmac = n.hmac AND d.verified_at IS NOT NULL
        WHERE n.hmac = add_address.hmac;
    -- Of another's address the code is one that nobody knows.
    INSERT INTO identity.address_code AS c (address_id, session_id, code_hmac, expires_at)
        VALUES (add_address.address_id, me.session_id,
            CASE WHEN other IS NULL THEN add_address.code_hmac ELSE sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) END,
            public.stoa_now() + identity.address_code_life())
        ON CONFLICT ON CONSTRAINT address_code_pkey DO UPDATE
            SET session_id = excluded.session_id, code_hmac = excluded.code_hmac, tries = 0, expires_at = excluded.expires_at;
    IF other IS NULL THEN
        PERFORM delivery.put(add_address.outgoing, add_address.holder, CASE add_address.kind WHEN 'email' THEN 'email' ELSE 'sms' END, 'address_code', add_address.language,
            add_address.sealed_value, add_address.sealed_code, public.stoa_now() + identity.address_code_life());
    ELSIF other.holder_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM delivery.outgoing AS o
            WHERE o.resident_id = other.holder_id AND o.template = 'address_in_use' AND o.made_at > public.stoa_now() - interval '1 day') THEN
        PERFORM delivery.put(add_address.outgoing, other.holder_id, CASE add_address.kind WHEN 'email' THEN 'email' ELSE 'sms' END, 'address_in_use', other.language,
            other.sealed_value, NULL, NULL);
    END IF;
    outcome := 'sent';
END
$$;

ALTER FUNCTION identity.add_address(credential bytea, address uuid, kind text, hmac bytea, holder uuid, sealed_value bytea, code_hmac bytea, outgoing uuid, sealed_code bytea, language text, OUT outcome text, OUT address_id uuid) OWNER TO stoa_door;

CREATE FUNCTION identity.add_passkey(credential bytea, challenge_hash bytea, factor_id uuid, credential_id bytea, public_key bytea, sign_count bigint, new_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(add_passkey.credential) AS h WHERE h.is_session;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(add_passkey.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    IF NOT identity.take_challenge(add_passkey.challenge_hash, add_passkey.credential, true) THEN RETURN 'unknown'; END IF;
    INSERT INTO identity.factor AS f (id, account_id, staff_id, kind, credential_id, public_key, sign_count, confirmed_at)
        SELECT add_passkey.factor_id, who.account_id, who.staff_id, 'passkey', add_passkey.credential_id, add_passkey.public_key, add_passkey.sign_count,
               public.stoa_now()
        WHERE (SELECT count(*) FROM identity.factor AS o
               WHERE (o.account_id = who.account_id OR o.staff_id = who.staff_id) AND o.kind = 'passkey' AND o.removed_at IS NULL) < 10
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    PERFORM identity.tell_of_factor(who.account_id, 'passkey_added');
    PERFORM identity.raise_assurance(add_passkey.credential, 'passkey', add_passkey.new_hash);
    RETURN 'confirmed';
END
$$;

ALTER FUNCTION identity.add_passkey(credential bytea, challenge_hash bytea, factor_id uuid, credential_id bytea, public_key bytea, sign_count bigint, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.address_code_life() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN '00:10:00'::interval;

ALTER FUNCTION identity.address_code_life() OWNER TO stoa_door;

CREATE FUNCTION identity.address_codes_per_hour() RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN 5;

ALTER FUNCTION identity.address_codes_per_hour() OWNER TO stoa_door;

CREATE FUNCTION identity.addresses_max() RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN 6;

ALTER FUNCTION identity.addresses_max() OWNER TO stoa_door;

CREATE FUNCTION identity.begin_factor_attempt(credential bytea, kind text, address_hmac bytea) RETURNS TABLE(outcome text, wait_minutes integer, factor_id uuid, sealed_secret bytea, salt bytea, number smallint, at timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(begin_factor_attempt.credential) AS h;
    -- Two codes of one list are one factor.
    IF NOT FOUND OR begin_factor_attempt.kind = 'recovery_codes' AND EXISTS (
        SELECT FROM identity.sign_in AS i WHERE i.hash = begin_factor_attempt.credential AND i.first_factor = 'recovery_code'
        UNION ALL SELECT FROM web.credential AS c WHERE c.hash = begin_factor_attempt.credential AND c.first_factor = 'recovery_code')
    THEN RETURN; END IF;
    RETURN QUERY
        SELECT t.outcome, t.wait_minutes, f.id, f.sealed_secret, f.salt,
            (SELECT min(c.number) FROM identity.factor_code AS c WHERE c.factor_id = f.id AND c.used_at IS NULL AND f.kind = 'code_sheet'),
            public.stoa_now()
        FROM identity.count_attempt(who.subject, begin_factor_attempt.kind, begin_factor_attempt.address_hmac) AS t
        LEFT JOIN identity.factor AS f
            ON t.outcome = 'counted' AND (f.account_id = who.account_id OR f.staff_id = who.staff_id) AND f.kind = begin_factor_attempt.kind
            AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL;
END
$$;

ALTER FUNCTION identity.begin_factor_attempt(credential bytea, kind text, address_hmac bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_letter_code(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person record;
BEGIN
    SELECT a.id, c.salt INTO person
        FROM identity.sign_in_name AS n JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        LEFT JOIN identity.letter_code AS c ON c.account_id = a.id
        WHERE n.hmac = begin_letter_code.name_hmac;
    SELECT c.outcome, c.wait_minutes INTO outcome, wait_minutes
        FROM identity.count_attempt(coalesce(uuid_send(person.id), begin_letter_code.name_hmac), 'letter_code', begin_letter_code.address_hmac) AS c;
    IF outcome = 'counted' THEN salt := person.salt; END IF;
END
$$;

ALTER FUNCTION identity.begin_letter_code(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_new_passkey(credential bytea, challenge_hash bytea, OUT outcome text, OUT owner bytea, OUT ids bytea[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    SELECT identity.factor_change_needs(begin_new_passkey.credential), h.subject,
        ARRAY(SELECT f.credential_id FROM identity.factor AS f
              WHERE (f.account_id = h.account_id OR f.staff_id = h.staff_id) AND f.kind = 'passkey' AND f.removed_at IS NULL)
        INTO outcome, owner, ids
        FROM identity.holder(begin_new_passkey.credential) AS h WHERE h.is_session;
    IF outcome = 'nothing' THEN
        INSERT INTO identity.passkey_challenge (hash, holder, is_for_new) VALUES (begin_new_passkey.challenge_hash, begin_new_passkey.credential, true);
        outcome := 'begun';
    END IF;
END
$$;

ALTER FUNCTION identity.begin_new_passkey(credential bytea, challenge_hash bytea, OUT outcome text, OUT owner bytea, OUT ids bytea[]) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_passkey(challenge_hash bytea, credential bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO identity.passkey_challenge (hash, holder, is_for_new)
        SELECT begin_passkey.challenge_hash, begin_passkey.credential, false
        WHERE begin_passkey.credential IS NULL OR EXISTS (SELECT FROM identity.holder(begin_passkey.credential) AS h WHERE h.is_session);
    RETURN FOUND;
END
$$;

ALTER FUNCTION identity.begin_passkey(challenge_hash bytea, credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_password_check(credential bytea, address_hmac bytea) RETURNS TABLE(outcome text, wait_minutes integer, password_hash text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(begin_password_check.credential) AS h WHERE h.is_session;
    IF NOT FOUND THEN RETURN; END IF;
    RETURN QUERY
        SELECT t.outcome, t.wait_minutes, CASE WHEN t.outcome = 'counted' THEN coalesce(a.password_hash, s.password_hash) END
        FROM identity.count_attempt(who.subject, 'password', begin_password_check.address_hmac) AS t
        LEFT JOIN identity.account AS a ON a.id = who.account_id
        LEFT JOIN identity.staff AS s ON s.id = who.staff_id;
END
$$;

ALTER FUNCTION identity.begin_password_check(credential bytea, address_hmac bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_recovery(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person record;
BEGIN
    SELECT a.id, (SELECT f.salt FROM identity.factor AS f WHERE f.account_id = a.id AND f.kind = 'recovery_codes' AND f.removed_at IS NULL) AS salt INTO person
        FROM identity.sign_in_name AS n JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        WHERE n.hmac = begin_recovery.name_hmac;
    SELECT c.outcome, c.wait_minutes INTO outcome, wait_minutes
        FROM identity.count_attempt(coalesce(uuid_send(person.id), begin_recovery.name_hmac), 'recovery_codes', begin_recovery.address_hmac) AS c;
    IF outcome = 'counted' THEN salt := person.salt; END IF;
END
$$;

ALTER FUNCTION identity.begin_recovery(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_recovery_letter(name_hmac bytea, address_hmac bytea, OUT is_counted boolean, OUT holder_id uuid, OUT key_id text, OUT wrapped_key bytea) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('identity.letter ' || encode(begin_recovery_letter.address_hmac, 'hex'), 0));
    INSERT INTO identity.letter_request (address_hmac) SELECT begin_recovery_letter.address_hmac
        WHERE (SELECT count(*) FROM identity.letter_request AS r
               WHERE r.address_hmac = begin_recovery_letter.address_hmac AND r.at > public.stoa_now() - interval '1 day') < identity.letter_requests_max();
    is_counted := FOUND;
    IF NOT is_counted THEN RETURN; END IF;
    SELECT k.resident_id, k.key_id, k.wrapped_key INTO holder_id, begin_recovery_letter.key_id, begin_recovery_letter.wrapped_key
        FROM identity.account_with_letters(begin_recovery_letter.name_hmac) AS a JOIN register.data_key AS k ON k.resident_id = a.resident_id;
END
$$;

ALTER FUNCTION identity.begin_recovery_letter(name_hmac bytea, address_hmac bytea, OUT is_counted boolean, OUT holder_id uuid, OUT key_id text, OUT wrapped_key bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_registration(address_hmac bytea, attempts_max integer, window_minutes integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('identity.registration ' || encode(begin_registration.address_hmac, 'hex'), 0));
    INSERT INTO identity.registration_attempt (address_hmac)
    SELECT begin_registration.address_hmac
    WHERE (SELECT count(*) FROM identity.registration_attempt AS r
           WHERE r.address_hmac = begin_registration.address_hmac
             AND r.at > public.stoa_now() - make_interval(mins => begin_registration.window_minutes)) < begin_registration.attempts_max;
    RETURN FOUND;
END
$$;

ALTER FUNCTION identity.begin_registration(address_hmac bytea, attempts_max integer, window_minutes integer) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_sign_in(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT password_hash text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person record;
BEGIN
    SELECT coalesce(a.id, s.id) AS id, coalesce(a.password_hash, s.password_hash) AS password_hash INTO person
        FROM identity.sign_in_name AS n
        LEFT JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        LEFT JOIN identity.staff AS s ON s.id = n.staff_id AND s.closed_at IS NULL
        WHERE n.hmac = begin_sign_in.name_hmac AND num_nonnulls(a.id, s.id) = 1;
    SELECT c.outcome, c.wait_minutes INTO outcome, wait_minutes
        FROM identity.count_attempt(coalesce(uuid_send(person.id), begin_sign_in.name_hmac), 'password', begin_sign_in.address_hmac) AS c;
    IF outcome = 'counted' THEN password_hash := person.password_hash; END IF;
END
$$;

ALTER FUNCTION identity.begin_sign_in(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT password_hash text) OWNER TO stoa_door;

CREATE FUNCTION identity.begin_totp(credential bytea, factor_id uuid, sealed_secret bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    needs text := identity.factor_change_needs(begin_totp.credential);
BEGIN
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    DELETE FROM identity.factor AS f USING identity.holder(begin_totp.credential) AS h
        WHERE (f.account_id = h.account_id OR f.staff_id = h.staff_id) AND f.confirmed_at IS NULL;
    INSERT INTO identity.factor (id, account_id, staff_id, kind, sealed_secret)
        SELECT begin_totp.factor_id, h.account_id, h.staff_id, 'totp', begin_totp.sealed_secret FROM identity.holder(begin_totp.credential) AS h;
    RETURN 'begun';
END
$$;

ALTER FUNCTION identity.begin_totp(credential bytea, factor_id uuid, sealed_secret bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.cancel_letter(credential bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    cancelled record;
BEGIN
    UPDATE identity.letter_code AS c SET hash = NULL FROM identity.holder(cancel_letter.credential) AS h
        WHERE h.is_session AND c.account_id = h.account_id AND c.hash IS NOT NULL
        RETURNING c.account_id, c.letter_id INTO cancelled;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM delivery.give_up(cancelled.letter_id, 'cancelled');
    PERFORM identity.tell_of_factor(cancelled.account_id, 'recovery_letter_cancelled');
    RETURN true;
END
$$;

ALTER FUNCTION identity.cancel_letter(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.change_password(credential bytea, old_password_hash text, new_password_hash text, address_hmac bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(change_password.credential) AS h WHERE h.is_session;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    IF NOT identity.confirm_password(change_password.credential, change_password.old_password_hash, change_password.address_hmac, change_password.new_hash)
    THEN RETURN false; END IF;
    UPDATE identity.account AS a SET password_hash = change_password.new_password_hash WHERE a.id = who.account_id;
    UPDATE identity.staff AS s SET password_hash = change_password.new_password_hash WHERE s.id = who.staff_id;
    PERFORM identity.end_sessions(who.account_id, who.staff_id, change_password.new_hash);
    PERFORM identity.tell_of_factor(who.account_id, 'password_changed');
    RETURN true;
END
$$;

ALTER FUNCTION identity.change_password(credential bytea, old_password_hash text, new_password_hash text, address_hmac bytea, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.confirm_password(credential bytea, password_hash text, address_hmac bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
BEGIN
    SELECT h.subject INTO who FROM identity.holder(confirm_password.credential) AS h
        LEFT JOIN identity.account AS a ON a.id = h.account_id
        LEFT JOIN identity.staff AS s ON s.id = h.staff_id
        WHERE h.is_session AND coalesce(a.password_hash, s.password_hash) = confirm_password.password_hash;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM identity.forgive(who.subject, 'password', confirm_password.address_hmac);
    UPDATE web.credential AS c
        SET hash = confirm_password.new_hash, first_factor = 'password', authenticated_at = public.stoa_now(), last_used_at = public.stoa_now()
        WHERE c.hash = confirm_password.credential AND c.kind = 'session' AND web.is_live(c);
    RETURN FOUND;
END
$$;

ALTER FUNCTION identity.confirm_password(credential bytea, password_hash text, address_hmac bytea, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.confirm_totp(credential bytea, factor_id uuid, step bigint, new_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(confirm_totp.credential) AS h;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(confirm_totp.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    PERFORM FROM identity.pending_totp(confirm_totp.credential) AS p WHERE p.factor_id = confirm_totp.factor_id;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    PERFORM identity.end_factor(f.id) FROM identity.factor AS f
        WHERE (f.account_id = who.account_id OR f.staff_id = who.staff_id) AND f.kind = 'totp' AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL;
    UPDATE identity.factor AS f SET confirmed_at = public.stoa_now(), last_used_at = public.stoa_now(), last_step = confirm_totp.step
        WHERE f.id = confirm_totp.factor_id;
    PERFORM identity.tell_of_factor(who.account_id, 'app_added');
    PERFORM identity.raise_assurance(confirm_totp.credential, 'totp', confirm_totp.new_hash);
    RETURN 'confirmed';
END
$$;

ALTER FUNCTION identity.confirm_totp(credential bytea, factor_id uuid, step bigint, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.count_attempt(subject bytea, factor text, address_hmac bytea, OUT outcome text, OUT wait_minutes integer) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    in_a_row integer;
    here record;
    from_here integer;
BEGIN
    INSERT INTO identity.factor_failures (subject, factor) VALUES (count_attempt.subject, count_attempt.factor) ON CONFLICT DO NOTHING;
    SELECT f.failures INTO in_a_row FROM identity.factor_failures AS f
        WHERE f.subject = count_attempt.subject AND f.factor = count_attempt.factor FOR UPDATE;
    -- A statement after the lock sees what the attempt before it wrote.
    SELECT a.failures, a.last_at, a.wait_until INTO here FROM identity.address_failures AS a
        WHERE a.subject = count_attempt.subject AND a.factor = count_attempt.factor AND a.address_hmac = count_attempt.address_hmac;
    wait_minutes := 0;
    IF in_a_row >= 100 THEN
        outcome := 'closed';
    ELSIF here.wait_until > public.stoa_now() THEN
        outcome := 'wait';
        -- One that was sent before the failure that it waited for would be told a minute too many.
        wait_minutes := LEAST(ceil(extract(epoch FROM here.wait_until - public.stoa_now()) / 60), identity.wait_minutes(here.failures));
    ELSE
        outcome := 'counted';
        -- A day without a failure is a new beginning for the address, though not for the hundred.
        from_here := CASE WHEN here.last_at > public.stoa_now() - interval '1 day' THEN here.failures ELSE 0 END + 1;
        INSERT INTO identity.address_failures AS a (subject, factor, address_hmac, failures, last_at, wait_until)
            VALUES (count_attempt.subject, count_attempt.factor, count_attempt.address_hmac, from_here, public.stoa_now(),
                    public.stoa_now() + make_interval(mins => identity.wait_minutes(from_here)))
            ON CONFLICT ON CONSTRAINT address_failures_pkey
            DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at, wait_until = excluded.wait_until;
        UPDATE identity.factor_failures AS f SET failures = in_a_row + 1, last_at = public.stoa_now()
            WHERE f.subject = count_attempt.subject AND f.factor = count_attempt.factor;
    END IF;
END
$$;

ALTER FUNCTION identity.count_attempt(subject bytea, factor text, address_hmac bytea, OUT outcome text, OUT wait_minutes integer) OWNER TO stoa_door;

CREATE TABLE identity.factor (
    id uuid NOT NULL,
    account_id uuid,
    staff_id uuid,
    kind text NOT NULL,
    sealed_secret bytea,
    last_step bigint,
    salt bytea,
    credential_id bytea,
    public_key bytea,
    sign_count bigint,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    confirmed_at timestamp with time zone,
    last_used_at timestamp with time zone,
    removed_at timestamp with time zone,
    CONSTRAINT factor_check CHECK ((num_nonnulls(account_id, staff_id) = 1)),
    CONSTRAINT factor_check1 CHECK (((kind = ANY (ARRAY['code_sheet'::text, 'recovery_codes'::text])) = (salt IS NOT NULL))),
    CONSTRAINT factor_check2 CHECK (((kind = 'passkey'::text) = (credential_id IS NOT NULL))),
    CONSTRAINT factor_check3 CHECK (((kind = 'passkey'::text) = (sign_count IS NOT NULL))),
    CONSTRAINT factor_check4 CHECK ((((kind = 'totp'::text) AND (removed_at IS NULL)) = (sealed_secret IS NOT NULL))),
    CONSTRAINT factor_check5 CHECK ((((kind = 'passkey'::text) AND (removed_at IS NULL)) = (public_key IS NOT NULL))),
    CONSTRAINT factor_credential_id_check CHECK (((octet_length(credential_id) >= 1) AND (octet_length(credential_id) <= 1023))),
    CONSTRAINT factor_kind_check CHECK ((kind = ANY (ARRAY['totp'::text, 'code_sheet'::text, 'recovery_codes'::text, 'passkey'::text]))),
    CONSTRAINT factor_salt_check CHECK ((octet_length(salt) = 16)),
    CONSTRAINT factor_sealed_secret_check CHECK ((octet_length(sealed_secret) >= 28)),
    CONSTRAINT factor_sign_count_check CHECK (((sign_count >= 0) AND (sign_count <= '4294967295'::bigint)))
);

ALTER TABLE identity.factor OWNER TO stoa_owner;

CREATE TABLE identity.factor_code (
    factor_id uuid NOT NULL,
    number smallint NOT NULL,
    hash bytea NOT NULL,
    used_at timestamp with time zone,
    CONSTRAINT factor_code_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT factor_code_number_check CHECK (((number >= 1) AND (number <= 100)))
);

ALTER TABLE identity.factor_code OWNER TO stoa_owner;

CREATE FUNCTION identity.end_factor(factor_id uuid) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
 UPDATE identity.factor AS f SET removed_at = public.stoa_now(), sealed_secret = NULL::bytea, public_key = NULL::bytea
   WHERE (f.id = end_factor.factor_id);
 DELETE FROM identity.factor_code AS c
   WHERE (c.factor_id = end_factor.factor_id);
END;

ALTER FUNCTION identity.end_factor(factor_id uuid) OWNER TO stoa_door;

CREATE FUNCTION identity.end_sessions(account_id uuid, staff_id uuid, kept bytea) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    ended integer;
BEGIN
    DELETE FROM identity.sign_in AS i WHERE i.account_id = end_sessions.account_id OR i.staff_id = end_sessions.staff_id;
    UPDATE web.credential AS c SET revoked_at = public.stoa_now()
        WHERE (c.account_id = end_sessions.account_id OR c.staff_id = end_sessions.staff_id) AND c.kind = 'session'
          AND c.hash IS DISTINCT FROM end_sessions.kept AND web.is_live(c);
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END
$$;

ALTER FUNCTION identity.end_sessions(account_id uuid, staff_id uuid, kept bytea) OWNER TO stoa_door;

CREATE TABLE identity.sign_in (
    hash bytea NOT NULL,
    account_id uuid,
    staff_id uuid,
    is_shared boolean NOT NULL,
    first_factor text DEFAULT 'password'::text NOT NULL,
    password_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT sign_in_check CHECK ((num_nonnulls(account_id, staff_id) = 1)),
    CONSTRAINT sign_in_first_factor_check CHECK ((first_factor = ANY (ARRAY['password'::text, 'recovery_code'::text, 'letter_code'::text]))),
    CONSTRAINT sign_in_hash_check CHECK ((octet_length(hash) = 32))
);

ALTER TABLE identity.sign_in OWNER TO stoa_owner;

CREATE FUNCTION identity.holder(credential bytea) RETURNS TABLE(account_id uuid, staff_id uuid, subject bytea, is_session boolean, authenticated_at timestamp with time zone, second_factor_at timestamp with time zone, is_shared boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT c.account_id,
     c.staff_id,
     uuid_send(COALESCE(c.account_id, c.staff_id)) AS uuid_send,
     true,
     c.authenticated_at,
     c.second_factor_at,
     c.is_shared
    FROM ((web.credential c
      LEFT JOIN identity.account a ON ((a.id = c.account_id)))
      LEFT JOIN identity.staff s ON ((s.id = c.staff_id)))
   WHERE ((c.hash = holder.credential) AND (c.kind = 'session'::text) AND web.is_live(c.*) AND (a.closed_at IS NULL) AND (s.closed_at IS NULL))
 UNION ALL
  SELECT i.account_id,
     i.staff_id,
     uuid_send(COALESCE(i.account_id, i.staff_id)) AS uuid_send,
     false,
     i.password_at,
     NULL::timestamp with time zone,
     i.is_shared
    FROM ((identity.sign_in i
      LEFT JOIN identity.account a ON ((a.id = i.account_id)))
      LEFT JOIN identity.staff s ON ((s.id = i.staff_id)))
   WHERE ((i.hash = holder.credential) AND (i.password_at > (public.stoa_now() - '00:10:00'::interval)) AND (a.closed_at IS NULL) AND (s.closed_at IS NULL));
END;

ALTER FUNCTION identity.holder(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.end_other_sessions(credential bytea) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    BEGIN ATOMIC
 SELECT COALESCE((sum(identity.end_sessions(h.account_id, h.staff_id, end_other_sessions.credential)))::integer, 0) AS "coalesce"
    FROM identity.holder(end_other_sessions.credential) h(account_id, staff_id, subject, is_session, authenticated_at, second_factor_at, is_shared)
   WHERE h.is_session;
END;

ALTER FUNCTION identity.end_other_sessions(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.end_session(credential bytea, id uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() FROM identity.holder(end_session.credential) AS h
        WHERE h.is_session AND (c.account_id = h.account_id OR c.staff_id = h.staff_id) AND c.kind = 'session' AND c.id = end_session.id AND web.is_live(c);
    RETURN FOUND;
END
$$;

ALTER FUNCTION identity.end_session(credential bytea, id uuid) OWNER TO stoa_door;

CREATE FUNCTION identity.second_factors(account_id uuid, staff_id uuid) RETURNS TABLE(id uuid, kind text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT f.id,
     f.kind
    FROM identity.factor f
   WHERE (((f.account_id = second_factors.account_id) OR (f.staff_id = second_factors.staff_id)) AND (f.confirmed_at IS NOT NULL) AND (f.removed_at IS NULL) AND ((f.kind = ANY (ARRAY['totp'::text, 'passkey'::text])) OR ((f.kind = 'code_sheet'::text) AND (EXISTS ( SELECT
            FROM identity.factor_code c
           WHERE ((c.factor_id = f.id) AND (c.used_at IS NULL)))))));
END;

ALTER FUNCTION identity.second_factors(account_id uuid, staff_id uuid) OWNER TO stoa_door;

CREATE FUNCTION identity.factor_change_needs(credential bytea) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (EXISTS ( SELECT
                FROM identity.second_factors(h.account_id, h.staff_id) second_factors(id, kind))) THEN
             CASE
                 WHEN (h.second_factor_at > (public.stoa_now() - '00:15:00'::interval)) THEN 'nothing'::text
                 ELSE 'second_factor'::text
             END
             WHEN (h.authenticated_at > (public.stoa_now() - '00:05:00'::interval)) THEN 'nothing'::text
             ELSE 'password'::text
         END AS "case"
    FROM identity.holder(factor_change_needs.credential) h(account_id, staff_id, subject, is_session, authenticated_at, second_factor_at, is_shared);
END;

ALTER FUNCTION identity.factor_change_needs(credential bytea) OWNER TO stoa_door;

CREATE TABLE identity.factor_failures (
    subject bytea NOT NULL,
    factor text NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    last_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT factor_failures_factor_check CHECK ((factor = ANY (ARRAY['password'::text, 'totp'::text, 'code_sheet'::text, 'recovery_codes'::text, 'letter_code'::text]))),
    CONSTRAINT factor_failures_failures_check CHECK (((failures >= 0) AND (failures <= 100))),
    CONSTRAINT factor_failures_subject_check CHECK ((octet_length(subject) = ANY (ARRAY[16, 32])))
);

ALTER TABLE identity.factor_failures OWNER TO stoa_owner;

CREATE FUNCTION identity.factors_of(credential bytea) RETURNS TABLE(id uuid, kind text, created_at timestamp with time zone, last_used_at timestamp with time zone, is_closed boolean, codes_left integer, next_number smallint)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT f.id,
     f.kind,
     f.created_at,
     f.last_used_at,
     COALESCE((t.failures >= 100), false) AS "coalesce",
     ( SELECT (count(*))::integer AS count
            FROM identity.factor_code c
           WHERE ((c.factor_id = f.id) AND (c.used_at IS NULL))) AS count,
     ( SELECT min(c.number) AS min
            FROM identity.factor_code c
           WHERE ((c.factor_id = f.id) AND (c.used_at IS NULL))) AS min
    FROM ((identity.holder(factors_of.credential) h(account_id, staff_id, subject, is_session, authenticated_at, second_factor_at, is_shared)
      JOIN identity.factor f ON (((f.account_id = h.account_id) OR (f.staff_id = h.staff_id))))
      LEFT JOIN identity.factor_failures t ON (((t.subject = h.subject) AND (t.factor = f.kind))))
   WHERE ((f.confirmed_at IS NOT NULL) AND (f.removed_at IS NULL))
   ORDER BY (array_position(ARRAY['passkey'::text, 'totp'::text, 'code_sheet'::text, 'recovery_codes'::text], f.kind)), f.created_at;
END;

ALTER FUNCTION identity.factors_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.find_passkey(credential_id bytea) RETURNS TABLE(public_key bytea, sign_count bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT f.public_key,
     f.sign_count
    FROM identity.factor f
   WHERE ((f.credential_id = find_passkey.credential_id) AND (f.kind = 'passkey'::text) AND (f.removed_at IS NULL));
END;

ALTER FUNCTION identity.find_passkey(credential_id bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.forgive(subject bytea, factor text, address_hmac bytea) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = forgive.subject AND f.factor = forgive.factor;
    DELETE FROM identity.address_failures AS a
        WHERE a.subject = forgive.subject AND a.factor = forgive.factor AND a.address_hmac = forgive.address_hmac;
END
$$;

ALTER FUNCTION identity.forgive(subject bytea, factor text, address_hmac bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.keep_contact(account uuid, kind text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    name CONSTANT text := CASE keep_contact.kind WHEN 'email' THEN 'contact_email' ELSE 'contact_phone' END;
BEGIN
    DELETE FROM register.sealed_attribute AS v USING identity.account AS a, register.resident AS r
        WHERE a.id = keep_contact.account AND (r.id = a.resident_id OR r.superseded_by = a.resident_id) AND v.resident_id = r.id AND v.attribute = name;
    INSERT INTO register.sealed_attribute (resident_id, attribute, sealed_value, source)
        SELECT d.holder_id, name, d.sealed_value, 'resident' FROM identity.address AS d
        WHERE d.account_id = keep_contact.account AND d.kind = keep_contact.kind AND d.is_primary;
END
$$;

ALTER FUNCTION identity.keep_contact(account uuid, kind text) OWNER TO stoa_door;

CREATE FUNCTION identity.letter_code_life() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN '30 days'::interval;

ALTER FUNCTION identity.letter_code_life() OWNER TO stoa_door;

CREATE FUNCTION identity.letter_code_rest() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN '1 day'::interval;

ALTER FUNCTION identity.letter_code_rest() OWNER TO stoa_door;

CREATE FUNCTION identity.letter_pause() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN '7 days'::interval;

ALTER FUNCTION identity.letter_pause() OWNER TO stoa_door;

CREATE FUNCTION identity.letter_requests_max() RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN 20;

ALTER FUNCTION identity.letter_requests_max() OWNER TO stoa_door;

CREATE FUNCTION identity.lock_factors(account_id uuid, staff_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM identity.account AS a WHERE a.id = lock_factors.account_id FOR UPDATE;
    PERFORM FROM identity.staff AS s WHERE s.id = lock_factors.staff_id FOR UPDATE;
END
$$;

ALTER FUNCTION identity.lock_factors(account_id uuid, staff_id uuid) OWNER TO stoa_door;

CREATE FUNCTION identity.make_codes(credential bytea, factor_id uuid, kind text, salt bytea, hashes bytea[]) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(make_codes.credential) AS h;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(make_codes.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    PERFORM identity.end_factor(f.id) FROM identity.factor AS f
        WHERE (f.account_id = who.account_id OR f.staff_id = who.staff_id) AND f.kind = make_codes.kind AND f.removed_at IS NULL;
    INSERT INTO identity.factor (id, account_id, staff_id, kind, salt, confirmed_at)
        VALUES (make_codes.factor_id, who.account_id, who.staff_id, make_codes.kind, make_codes.salt, public.stoa_now());
    INSERT INTO identity.factor_code (factor_id, number, hash)
        SELECT make_codes.factor_id, h.number, h.hash FROM unnest(make_codes.hashes) WITH ORDINALITY AS h (hash, number);
    PERFORM identity.tell_of_factor(who.account_id, CASE make_codes.kind WHEN 'code_sheet' THEN 'code_sheet_made' ELSE 'recovery_codes_made' END);
    RETURN 'made';
END
$$;

ALTER FUNCTION identity.make_codes(credential bytea, factor_id uuid, kind text, salt bytea, hashes bytea[]) OWNER TO stoa_door;

CREATE FUNCTION identity.open_first_session(account_id uuid, password_hash text, token_hash bytea, is_shared boolean) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM identity.account AS a
        WHERE a.id = open_first_session.account_id AND a.password_hash = open_first_session.password_hash AND a.closed_at IS NULL
          AND a.created_at > public.stoa_now() - interval '1 minute'
        FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM web.credential AS c WHERE c.account_id = open_first_session.account_id) THEN RETURN false; END IF;
    PERFORM identity.open_session(
        open_first_session.token_hash, open_first_session.account_id, NULL, 'password', public.stoa_now(), NULL, open_first_session.is_shared);
    RETURN true;
END
$$;

ALTER FUNCTION identity.open_first_session(account_id uuid, password_hash text, token_hash bytea, is_shared boolean) OWNER TO stoa_door;

CREATE FUNCTION identity.open_session(token_hash bytea, account_id uuid, staff_id uuid, first_factor text, authenticated_at timestamp with time zone, second_factor text, is_shared boolean) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
 INSERT INTO web.credential (hash, kind, account_id, staff_id, authenticator_assurance, first_factor, authenticated_at, second_factor, second_factor_at, is_shared, idle_after, expires_at)
   VALUES (open_session.token_hash, 'session'::text, open_session.account_id, open_session.staff_id,
         CASE
             WHEN (open_session.second_factor IS NULL) THEN 1
             ELSE 2
         END, open_session.first_factor, open_session.authenticated_at, open_session.second_factor,
         CASE
             WHEN (open_session.second_factor IS NOT NULL) THEN public.stoa_now()
             ELSE NULL::timestamp with time zone
         END, open_session.is_shared,
         CASE
             WHEN open_session.is_shared THEN '00:05:00'::interval
             ELSE '00:15:00'::interval
         END, (public.stoa_now() + '12:00:00'::interval));
END;

ALTER FUNCTION identity.open_session(token_hash bytea, account_id uuid, staff_id uuid, first_factor text, authenticated_at timestamp with time zone, second_factor text, is_shared boolean) OWNER TO stoa_door;

CREATE FUNCTION identity.own_addresses(credential bytea) RETURNS TABLE(id uuid, kind text, sealed_value bytea, holder_id uuid, key_id text, wrapped_key bytea, added_at timestamp with time zone, verified_at timestamp with time zone, is_primary boolean, code_until timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.kind, d.sealed_value, d.holder_id, k.key_id, k.wrapped_key, d.added_at, d.verified_at, d.is_primary,
            (SELECT w.expires_at FROM identity.address_code AS w
             WHERE w.address_id = d.id AND w.session_id = c.id AND w.tries < 5 AND w.expires_at > public.stoa_now())
        FROM web.credential AS c
        JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        JOIN identity.address AS d ON d.account_id = a.id
        JOIN register.data_key AS k ON k.resident_id = d.holder_id
        WHERE c.hash = own_addresses.credential AND web.is_live(c) AND (c.kind = 'session' OR 'profile' = ANY (c.scope))
        ORDER BY d.kind, d.is_primary DESC, d.verified_at, d.added_at, d.id;
END
$$;

ALTER FUNCTION identity.own_addresses(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.own_key(credential bytea) RETURNS TABLE(holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT k.resident_id, k.key_id, k.wrapped_key
        FROM identity.account_of(own_key.credential) AS me JOIN register.data_key AS k ON k.resident_id = me.resident_id;
END
$$;

ALTER FUNCTION identity.own_key(credential bytea) OWNER TO stoa_door;

CREATE TABLE identity.letter_code (
    account_id uuid NOT NULL,
    letter_id uuid NOT NULL,
    salt bytea NOT NULL,
    hash bytea,
    made_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT letter_code_check CHECK ((expires_at > made_at)),
    CONSTRAINT letter_code_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT letter_code_salt_check CHECK ((octet_length(salt) = 16))
);

ALTER TABLE identity.letter_code OWNER TO stoa_owner;

CREATE FUNCTION identity.pending_letter(credential bytea) RETURNS TABLE(made_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT c.made_at
    FROM (identity.holder(pending_letter.credential) h(account_id, staff_id, subject, is_session, authenticated_at, second_factor_at, is_shared)
      JOIN identity.letter_code c ON ((c.account_id = h.account_id)))
   WHERE (h.is_session AND (c.hash IS NOT NULL) AND (c.expires_at > public.stoa_now()));
END;

ALTER FUNCTION identity.pending_letter(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.pending_totp(credential bytea) RETURNS TABLE(factor_id uuid, sealed_secret bytea, at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT f.id,
     f.sealed_secret,
     public.stoa_now() AS stoa_now
    FROM (identity.holder(pending_totp.credential) h(account_id, staff_id, subject, is_session, authenticated_at, second_factor_at, is_shared)
      JOIN identity.factor f ON (((f.account_id = h.account_id) OR (f.staff_id = h.staff_id))))
   WHERE ((f.confirmed_at IS NULL) AND (f.removed_at IS NULL) AND (f.created_at > (public.stoa_now() - '01:00:00'::interval)));
END;

ALTER FUNCTION identity.pending_totp(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.prefer_address(credential bytea, address uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    me record;
    chosen record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(prefer_address.credential) AS o;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = me.account_id FOR UPDATE;
    SELECT d.kind, d.is_primary INTO chosen FROM identity.address AS d
        WHERE d.id = prefer_address.address AND d.account_id = me.account_id AND d.verified_at IS NOT NULL;
    IF NOT FOUND THEN RETURN 'address_unknown'; END IF;
    IF chosen.is_primary THEN RETURN 'unchanged'; END IF;
    PERFORM identity.tell_addresses(me.account_id, 'address_changed', prefer_address.address);
    UPDATE identity.address AS d SET is_primary = false WHERE d.account_id = me.account_id AND d.kind = chosen.kind AND d.is_primary;
    UPDATE identity.address AS d SET is_primary = true WHERE d.id = prefer_address.address;
    PERFORM identity.keep_contact(me.account_id, chosen.kind);
    RETURN 'changed';
END
$$;

ALTER FUNCTION identity.prefer_address(credential bytea, address uuid) OWNER TO stoa_door;

CREATE FUNCTION identity.raise_assurance(credential bytea, second_factor text, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    half record;
BEGIN
    DELETE FROM identity.sign_in AS i WHERE i.hash = raise_assurance.credential
        RETURNING i.account_id, i.staff_id, i.first_factor, i.password_at, i.is_shared INTO half;
    IF FOUND THEN
        PERFORM identity.open_session(
            raise_assurance.new_hash, half.account_id, half.staff_id, half.first_factor, half.password_at, raise_assurance.second_factor, half.is_shared);
        RETURN true;
    END IF;
    UPDATE web.credential AS c
        SET hash = raise_assurance.new_hash, authenticator_assurance = 2, second_factor = raise_assurance.second_factor,
            second_factor_at = public.stoa_now(), last_used_at = public.stoa_now()
        WHERE c.hash = raise_assurance.credential AND c.kind = 'session' AND web.is_live(c);
    RETURN FOUND;
END
$$;

ALTER FUNCTION identity.raise_assurance(credential bytea, second_factor text, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.recover(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person uuid;
BEGIN
    UPDATE identity.factor_code AS c SET used_at = public.stoa_now()
        FROM identity.sign_in_name AS n
        JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        JOIN identity.factor AS f ON f.account_id = a.id AND f.kind = 'recovery_codes' AND f.removed_at IS NULL
        WHERE n.hmac = recover.name_hmac AND c.factor_id = f.id AND c.hash = recover.code_hash AND c.used_at IS NULL
        RETURNING a.id INTO person;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM identity.forgive(uuid_send(person), 'recovery_codes', recover.address_hmac);
    PERFORM identity.tell_of_factor(person, 'recovery_code_used');
    IF EXISTS (SELECT FROM identity.second_factors(person, NULL)) THEN
        INSERT INTO identity.sign_in (hash, account_id, is_shared, first_factor) VALUES (recover.token_hash, person, false, 'recovery_code');
        RETURN 'second_factor';
    END IF;
    PERFORM identity.open_session(recover.token_hash, person, NULL, 'recovery_code', public.stoa_now(), NULL, false);
    RETURN 'session';
END
$$;

ALTER FUNCTION identity.recover(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.recover_by_letter(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person uuid;
BEGIN
    UPDATE identity.letter_code AS c SET hash = NULL
        FROM identity.account_with_letters(recover_by_letter.name_hmac) AS a
        WHERE c.account_id = a.account_id AND c.hash = recover_by_letter.code_hash AND c.expires_at > public.stoa_now()
          AND EXISTS (SELECT FROM delivery.outgoing AS o WHERE o.id = c.letter_id AND o.sent_at <= public.stoa_now() - identity.letter_code_rest())
        RETURNING c.account_id INTO person;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM identity.forgive(uuid_send(person), 'letter_code', recover_by_letter.address_hmac);
    PERFORM identity.tell_of_factor(person, 'recovery_letter_used');
    PERFORM identity.tell_addresses(person, 'recovery_used', NULL);
    IF EXISTS (SELECT FROM identity.second_factors(person, NULL)) THEN
        INSERT INTO identity.sign_in (hash, account_id, is_shared, first_factor) VALUES (recover_by_letter.token_hash, person, false, 'letter_code');
        RETURN 'second_factor';
    END IF;
    PERFORM identity.open_session(recover_by_letter.token_hash, person, NULL, 'letter_code', public.stoa_now(), NULL, false);
    RETURN 'session';
END
$$;

ALTER FUNCTION identity.recover_by_letter(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) OWNER TO stoa_door;

CREATE TABLE register.data_key (
    resident_id uuid NOT NULL,
    key_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    CONSTRAINT data_key_wrapped_key_check CHECK ((octet_length(wrapped_key) = 60))
);

ALTER TABLE register.data_key OWNER TO stoa_owner;

CREATE TABLE register.sealed_attribute (
    resident_id uuid NOT NULL,
    attribute text NOT NULL,
    attribute_is_held boolean GENERATED ALWAYS AS (true) STORED NOT NULL,
    sealed_value bytea NOT NULL,
    source text NOT NULL,
    recorded_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT sealed_attribute_sealed_value_check CHECK ((octet_length(sealed_value) >= 28)),
    CONSTRAINT sealed_attribute_source_check CHECK ((source = ANY (ARRAY['population_register'::text, 'resident'::text, 'counter'::text])))
);

ALTER TABLE register.sealed_attribute OWNER TO stoa_owner;

CREATE FUNCTION identity.register_account(account_id uuid, resident_id uuid, public_code text, password_hash text, language text, name_kinds text[], name_hmacs bytea[], key_id text, wrapped_key bytea, attributes text[], sealed_values bytea[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    BEGIN ATOMIC
 INSERT INTO register.resident (id, public_code, origin)
   VALUES (register_account.resident_id, register_account.public_code, 'self_registered'::text);
 INSERT INTO register.data_key (resident_id, key_id, wrapped_key)
   VALUES (register_account.resident_id, register_account.key_id, register_account.wrapped_key);
 INSERT INTO register.sealed_attribute (resident_id, attribute, sealed_value, source)  SELECT register_account.resident_id AS resident_id,
             v.attribute,
             v.sealed_value,
             'resident'
            FROM UNNEST(register_account.attributes, register_account.sealed_values) v(attribute, sealed_value);
 INSERT INTO identity.account (id, resident_id, password_hash, language)
   VALUES (register_account.account_id, register_account.resident_id, register_account.password_hash, register_account.language);
 INSERT INTO identity.sign_in_name (hmac, kind, account_id)  SELECT n.hmac,
             n.kind,
             register_account.account_id AS account_id
            FROM UNNEST(register_account.name_kinds, register_account.name_hmacs) n(kind, hmac);
END;

ALTER FUNCTION identity.register_account(account_id uuid, resident_id uuid, public_code text, password_hash text, language text, name_kinds text[], name_hmacs bytea[], key_id text, wrapped_key bytea, attributes text[], sealed_values bytea[]) OWNER TO stoa_door;

CREATE FUNCTION identity.remove_address(credential bytea, address uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    me record;
    chosen record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(remove_address.credential) AS o;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = me.account_id FOR UPDATE;
    SELECT d.* INTO chosen FROM identity.address AS d WHERE d.id = remove_address.address AND d.account_id = me.account_id;
    IF NOT FOUND THEN RETURN 'address_unknown'; END IF;
    IF chosen.verified_at IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM identity.sign_in_name AS n WHERE n.account_id = me.account_id AND n.hmac <> chosen.hmac) THEN RETURN 'last_name'; END IF;
        PERFORM identity.tell_addresses(me.account_id, 'address_changed', NULL);
        DELETE FROM identity.sign_in_name AS n WHERE n.hmac = chosen.hmac AND n.account_id = me.account_id;
    END IF;
    DELETE FROM identity.address AS d WHERE d.id = chosen.id;
    IF chosen.is_primary THEN
        UPDATE identity.address AS d SET is_primary = true WHERE d.id = (
            SELECT o.id FROM identity.address AS o WHERE o.account_id = me.account_id AND o.kind = chosen.kind AND o.verified_at IS NOT NULL
            ORDER BY o.verified_at, o.id LIMIT 1);
        PERFORM identity.keep_contact(me.account_id, chosen.kind);
    END IF;
    RETURN 'removed';
END
$$;

ALTER FUNCTION identity.remove_address(credential bytea, address uuid) OWNER TO stoa_door;

CREATE TABLE identity.address_failures (
    subject bytea NOT NULL,
    factor text NOT NULL,
    address_hmac bytea NOT NULL,
    failures integer NOT NULL,
    last_at timestamp with time zone NOT NULL,
    wait_until timestamp with time zone NOT NULL,
    CONSTRAINT address_failures_address_hmac_check CHECK ((octet_length(address_hmac) = 32)),
    CONSTRAINT address_failures_factor_check CHECK ((factor = ANY (ARRAY['password'::text, 'totp'::text, 'code_sheet'::text, 'recovery_codes'::text, 'letter_code'::text]))),
    CONSTRAINT address_failures_failures_check CHECK ((failures > 0)),
    CONSTRAINT address_failures_subject_check CHECK ((octet_length(subject) = ANY (ARRAY[16, 32])))
);

ALTER TABLE identity.address_failures OWNER TO stoa_owner;

CREATE TABLE identity.registration_attempt (
    address_hmac bytea NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT registration_attempt_address_hmac_check CHECK ((octet_length(address_hmac) = 32))
);

ALTER TABLE identity.registration_attempt OWNER TO stoa_owner;

CREATE FUNCTION identity.remove_ended() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    BEGIN ATOMIC
 DELETE FROM identity.sign_in AS i
   WHERE (i.password_at < (public.stoa_now() - '01:00:00'::interval));
 DELETE FROM identity.factor AS f
   WHERE ((f.confirmed_at IS NULL) AND (f.created_at < (public.stoa_now() - '1 day'::interval)));
 DELETE FROM identity.address_failures AS a
   WHERE (a.last_at < (public.stoa_now() - '1 day'::interval));
 DELETE FROM identity.registration_attempt AS r
   WHERE (r.at < (public.stoa_now() - '1 day'::interval));
 DELETE FROM identity.factor_failures AS f
   WHERE ((octet_length(f.subject) = 32) AND (f.last_at < (public.stoa_now() - '30 days'::interval)));
END;

ALTER FUNCTION identity.remove_ended() OWNER TO stoa_door;

CREATE FUNCTION identity.remove_factor(credential bytea, factor_id uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
    needs text;
BEGIN
    SELECT h.account_id, h.staff_id INTO who FROM identity.holder(remove_factor.credential) AS h;
    PERFORM identity.lock_factors(who.account_id, who.staff_id);
    needs := identity.factor_change_needs(remove_factor.credential);
    IF needs IS DISTINCT FROM 'nothing' THEN RETURN needs; END IF;
    PERFORM FROM identity.factor AS f WHERE f.id = remove_factor.factor_id AND (f.account_id = who.account_id OR f.staff_id = who.staff_id)
        AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    PERFORM identity.end_factor(remove_factor.factor_id);
    PERFORM identity.tell_of_factor(who.account_id, 'factor_removed');
    RETURN 'removed';
END
$$;

ALTER FUNCTION identity.remove_factor(credential bytea, factor_id uuid) OWNER TO stoa_door;

CREATE TABLE identity.passkey_challenge (
    hash bytea NOT NULL,
    holder bytea,
    is_for_new boolean NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT passkey_challenge_check CHECK (((NOT is_for_new) OR (holder IS NOT NULL))),
    CONSTRAINT passkey_challenge_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT passkey_challenge_holder_check CHECK ((octet_length(holder) = 32))
);

ALTER TABLE identity.passkey_challenge OWNER TO stoa_owner;

CREATE FUNCTION identity.remove_old_challenges() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    BEGIN ATOMIC
 DELETE FROM identity.passkey_challenge AS c
   WHERE (c.created_at < (public.stoa_now() - '00:10:00'::interval));
END;

ALTER FUNCTION identity.remove_old_challenges() OWNER TO stoa_door;

CREATE TABLE identity.letter_request (
    address_hmac bytea NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT letter_request_address_hmac_check CHECK ((octet_length(address_hmac) = 32))
);

ALTER TABLE identity.letter_request OWNER TO stoa_owner;

CREATE FUNCTION identity.remove_old_letters() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    BEGIN ATOMIC
 DELETE FROM identity.letter_request AS r
   WHERE (r.at < (public.stoa_now() - '1 day'::interval));
 DELETE FROM identity.letter_code AS c
   WHERE (c.expires_at < public.stoa_now());
END;

ALTER FUNCTION identity.remove_old_letters() OWNER TO stoa_door;

CREATE FUNCTION identity.remove_unproven() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM identity.address_sending AS s WHERE s.at < public.stoa_now() - interval '1 day';
    DELETE FROM identity.address_code AS c WHERE c.expires_at < public.stoa_now() - interval '1 hour';
    DELETE FROM identity.address AS d WHERE d.verified_at IS NULL AND d.added_at < public.stoa_now() - interval '7 days';
END
$$;

ALTER FUNCTION identity.remove_unproven() OWNER TO stoa_door;

CREATE FUNCTION identity.replace_password(credential bytea, new_password_hash text, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person uuid;
BEGIN
    UPDATE web.credential AS c
        SET hash = replace_password.new_hash, first_factor = 'password', authenticated_at = public.stoa_now(), last_used_at = public.stoa_now()
        WHERE c.hash = replace_password.credential AND c.kind = 'session' AND web.is_live(c) AND c.account_id IS NOT NULL
          AND c.first_factor IN ('recovery_code', 'letter_code') AND c.authenticated_at > public.stoa_now() - interval '15 minutes'
        RETURNING c.account_id INTO person;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE identity.account AS a SET password_hash = replace_password.new_password_hash WHERE a.id = person;
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = uuid_send(person) AND f.factor = 'password';
    PERFORM identity.end_sessions(person, NULL, replace_password.new_hash);
    PERFORM identity.tell_of_factor(person, 'password_changed');
    RETURN true;
END
$$;

ALTER FUNCTION identity.replace_password(credential bytea, new_password_hash text, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.send_recovery_letter(name_hmac bytea, letter uuid, salt bytea, code_hash bytea, sealed_parameters bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person record;
BEGIN
    SELECT a.* INTO person FROM identity.account_with_letters(send_recovery_letter.name_hmac) AS a;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM a.id FROM identity.account AS a WHERE a.id = person.account_id FOR UPDATE;
    IF EXISTS (SELECT FROM identity.letter_code AS c WHERE c.account_id = person.account_id AND c.made_at > public.stoa_now() - identity.letter_pause()) THEN
        RETURN;
    END IF;
    PERFORM delivery.give_up(c.letter_id, 'another one was asked for') FROM identity.letter_code AS c WHERE c.account_id = person.account_id;
    INSERT INTO identity.letter_code AS c (account_id, letter_id, salt, hash, expires_at)
        VALUES (person.account_id, send_recovery_letter.letter, send_recovery_letter.salt, send_recovery_letter.code_hash,
                public.stoa_now() + identity.letter_code_life())
        ON CONFLICT ON CONSTRAINT letter_code_pkey DO UPDATE
            SET letter_id = excluded.letter_id, salt = excluded.salt, hash = excluded.hash, made_at = excluded.made_at, expires_at = excluded.expires_at;
    -- Guesses at an earlier code say nothing about this one.
    UPDATE identity.factor_failures AS f SET failures = 0 WHERE f.subject = uuid_send(person.account_id) AND f.factor = 'letter_code';
    PERFORM delivery.put(send_recovery_letter.letter, person.resident_id, 'letter', 'recovery', person.language, NULL, send_recovery_letter.sealed_parameters,
                         public.stoa_now() + identity.letter_code_life());
    PERFORM identity.tell_of_factor(person.account_id, 'recovery_letter_asked');
    PERFORM identity.tell_addresses(person.account_id, 'recovery_asked', NULL);
END
$$;

ALTER FUNCTION identity.send_recovery_letter(name_hmac bytea, letter uuid, salt bytea, code_hash bytea, sealed_parameters bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.sessions_of(credential bytea) RETURNS TABLE(id uuid, created_at timestamp with time zone, last_used_at timestamp with time zone, second_factor text, is_shared boolean, is_this boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT c.id,
     c.created_at,
     c.last_used_at,
     c.second_factor,
     c.is_shared,
     (c.hash = sessions_of.credential)
    FROM (identity.holder(sessions_of.credential) h(account_id, staff_id, subject, is_session, authenticated_at, second_factor_at, is_shared)
      JOIN web.credential c ON ((((c.account_id = h.account_id) OR (c.staff_id = h.staff_id)) AND (c.kind = 'session'::text) AND web.is_live(c.*))))
   WHERE h.is_session
   ORDER BY c.created_at DESC, c.id
  LIMIT 100;
END;

ALTER FUNCTION identity.sessions_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.sign_in(name_hmac bytea, password_hash text, address_hmac bytea, token_hash bytea, is_shared boolean, staff_need_second_factor boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person record;
    outcome text;
BEGIN
    SELECT a.id AS account_id, s.id AS staff_id INTO person
        FROM identity.sign_in_name AS n
        LEFT JOIN identity.account AS a ON a.id = n.account_id AND a.closed_at IS NULL
        LEFT JOIN identity.staff AS s ON s.id = n.staff_id AND s.closed_at IS NULL
        WHERE n.hmac = sign_in.name_hmac AND coalesce(a.password_hash, s.password_hash) = sign_in.password_hash;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM identity.forgive(uuid_send(coalesce(person.account_id, person.staff_id)), 'password', sign_in.address_hmac);
    outcome := CASE
        WHEN EXISTS (SELECT FROM identity.second_factors(person.account_id, person.staff_id)) THEN 'second_factor'
        WHEN person.staff_id IS NOT NULL AND sign_in.staff_need_second_factor THEN 'enrolment'
        ELSE 'session' END;
    IF outcome = 'session' THEN
        PERFORM identity.open_session(sign_in.token_hash, person.account_id, person.staff_id, 'password', public.stoa_now(), NULL, sign_in.is_shared);
    ELSE
        INSERT INTO identity.sign_in (hash, account_id, staff_id, is_shared)
            VALUES (sign_in.token_hash, person.account_id, person.staff_id, sign_in.is_shared);
    END IF;
    RETURN outcome;
END
$$;

ALTER FUNCTION identity.sign_in(name_hmac bytea, password_hash text, address_hmac bytea, token_hash bytea, is_shared boolean, staff_need_second_factor boolean) OWNER TO stoa_door;

CREATE FUNCTION identity.sign_out(credential bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    -- Of whoever acts for another (0034) their own session ends.
    credential := coalesce((SELECT w.session_hash FROM mandates.acting AS w WHERE w.hash = sign_out.credential), credential);
    PERFORM identity.end_sessions(h.account_id, h.staff_id, sign_out.credential) FROM identity.holder(sign_out.credential) AS h
        WHERE h.is_session AND h.is_shared;
    PERFORM web.revoke_credential(sign_out.credential);
    DELETE FROM identity.sign_in AS i WHERE i.hash = sign_out.credential;
END
$$;

ALTER FUNCTION identity.sign_out(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.take_challenge(challenge_hash bytea, holder bytea, is_for_new boolean) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM identity.passkey_challenge AS c
        WHERE c.hash = take_challenge.challenge_hash AND c.holder IS NOT DISTINCT FROM take_challenge.holder AND c.is_for_new = take_challenge.is_for_new
          AND c.created_at > public.stoa_now() - interval '5 minutes';
    RETURN FOUND;
END
$$;

ALTER FUNCTION identity.take_challenge(challenge_hash bytea, holder bytea, is_for_new boolean) OWNER TO stoa_door;

CREATE FUNCTION identity.tell_addresses(account uuid, template text, but_not uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM delivery.put(gen_random_uuid(), d.holder_id, CASE d.kind WHEN 'email' THEN 'email' ELSE 'sms' END, tell_addresses.template, a.language, d.sealed_value, NULL, NULL)
        FROM identity.address AS d JOIN identity.account AS a ON a.id = d.account_id
        WHERE d.account_id = tell_addresses.account AND d.verified_at IS NOT NULL AND d.id IS DISTINCT FROM tell_addresses.but_not;
END
$$;

ALTER FUNCTION identity.tell_addresses(account uuid, template text, but_not uuid) OWNER TO stoa_door;

CREATE FUNCTION identity.tell_of_factor(account_id uuid, message text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind)
        SELECT gen_random_uuid(), a.resident_id, tell_of_factor.message FROM identity.account AS a WHERE a.id = tell_of_factor.account_id;
END
$$;

ALTER FUNCTION identity.tell_of_factor(account_id uuid, message text) OWNER TO stoa_door;

CREATE FUNCTION identity.use_listed_code(credential bytea, factor_id uuid, number smallint, code_hash bytea, address_hmac bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
    list record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(use_listed_code.credential) AS h;
    SELECT f.kind INTO list FROM identity.factor AS f
        WHERE f.id = use_listed_code.factor_id AND (f.account_id = who.account_id OR f.staff_id = who.staff_id)
          AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL;
    UPDATE identity.factor_code AS c SET used_at = public.stoa_now()
        WHERE c.factor_id = use_listed_code.factor_id AND c.hash = use_listed_code.code_hash AND c.used_at IS NULL
          AND (list.kind = 'recovery_codes' OR list.kind = 'code_sheet' AND c.number = use_listed_code.number);
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE identity.factor AS f SET last_used_at = public.stoa_now() WHERE f.id = use_listed_code.factor_id;
    PERFORM identity.forgive(who.subject, list.kind, use_listed_code.address_hmac);
    IF list.kind = 'recovery_codes' THEN PERFORM identity.tell_of_factor(who.account_id, 'recovery_code_used'); END IF;
    RETURN identity.raise_assurance(use_listed_code.credential, list.kind, use_listed_code.new_hash);
END
$$;

ALTER FUNCTION identity.use_listed_code(credential bytea, factor_id uuid, number smallint, code_hash bytea, address_hmac bytea, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.use_passkey(challenge_hash bytea, credential bytea, credential_id bytea, old_sign_count bigint, sign_count bigint, is_shared boolean, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
BEGIN
    IF NOT identity.take_challenge(use_passkey.challenge_hash, use_passkey.credential, false) THEN RETURN false; END IF;
    UPDATE identity.factor AS f SET sign_count = use_passkey.sign_count, last_used_at = public.stoa_now()
        WHERE f.credential_id = use_passkey.credential_id AND f.kind = 'passkey' AND f.removed_at IS NULL AND f.sign_count = use_passkey.old_sign_count
          AND (f.account_id IS NULL OR EXISTS (SELECT FROM identity.account AS a WHERE a.id = f.account_id AND a.closed_at IS NULL))
          AND (f.staff_id IS NULL OR EXISTS (SELECT FROM identity.staff AS s WHERE s.id = f.staff_id AND s.closed_at IS NULL))
          AND (use_passkey.credential IS NULL OR EXISTS (
              SELECT FROM identity.holder(use_passkey.credential) AS h
              WHERE h.is_session AND (h.account_id = f.account_id OR h.staff_id = f.staff_id)))
        RETURNING f.account_id, f.staff_id INTO who;
    IF NOT FOUND THEN RETURN false; END IF;
    IF use_passkey.credential IS NULL THEN
        PERFORM identity.open_session(
            use_passkey.new_hash, who.account_id, who.staff_id, 'passkey', public.stoa_now(), 'passkey', use_passkey.is_shared);
        RETURN true;
    END IF;
    UPDATE web.credential AS c SET first_factor = 'passkey', authenticated_at = public.stoa_now() WHERE c.hash = use_passkey.credential;
    RETURN identity.raise_assurance(use_passkey.credential, 'passkey', use_passkey.new_hash);
END
$$;

ALTER FUNCTION identity.use_passkey(challenge_hash bytea, credential bytea, credential_id bytea, old_sign_count bigint, sign_count bigint, is_shared boolean, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.use_totp(credential bytea, factor_id uuid, step bigint, address_hmac bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    who record;
BEGIN
    SELECT h.account_id, h.staff_id, h.subject INTO who FROM identity.holder(use_totp.credential) AS h;
    UPDATE identity.factor AS f SET last_step = use_totp.step, last_used_at = public.stoa_now()
        WHERE f.id = use_totp.factor_id AND f.kind = 'totp' AND (f.account_id = who.account_id OR f.staff_id = who.staff_id)
          AND f.confirmed_at IS NOT NULL AND f.removed_at IS NULL AND f.last_step < use_totp.step;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM identity.forgive(who.subject, 'totp', use_totp.address_hmac);
    RETURN identity.raise_assurance(use_totp.credential, 'totp', use_totp.new_hash);
END
$$;

ALTER FUNCTION identity.use_totp(credential bytea, factor_id uuid, step bigint, address_hmac bytea, new_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION identity.verify_address(credential bytea, address uuid, code_hmac bytea, OUT outcome text, OUT tries_left integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    me record;
    sent record;
BEGIN
    SELECT o.* INTO me FROM identity.account_of(verify_address.credential) AS o;
    IF NOT FOUND THEN outcome := 'credential_invalid'; RETURN; END IF;
    outcome := 'ended';
    UPDATE identity.address_code AS c SET tries = c.tries + 1 FROM identity.address AS d
        WHERE c.address_id = verify_address.address AND d.id = c.address_id AND d.account_id = me.account_id AND c.session_id = me.session_id
          AND c.tries < 5 AND c.expires_at > public.stoa_now()
        RETURNING c.tries, c.code_hmac = verify_address.code_hmac AS is_right, d.kind, d.hmac, d.holder_id, d.sealed_value INTO sent;
    IF NOT FOUND THEN RETURN; END IF;
    tries_left := 5 - sent.tries;
    IF NOT sent.is_right THEN
        outcome := CASE WHEN tries_left > 0 THEN 'wrong' ELSE 'ended' END;
        RETURN;
    END IF;
    DELETE FROM identity.address_code AS c WHERE c.address_id = verify_address.address;
    INSERT INTO identity.sign_in_name (hmac, kind, account_id) VALUES (sent.hmac, sent.kind, me.account_id) ON CONFLICT (hmac) DO NOTHING;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM identity.tell_addresses(me.account_id, 'address_changed', verify_address.address);
    UPDATE identity.address AS d SET verified_at = public.stoa_now(),
            is_primary = NOT EXISTS (SELECT FROM identity.address AS o WHERE o.account_id = me.account_id AND o.kind = sent.kind AND o.is_primary)
        WHERE d.id = verify_address.address;
    PERFORM identity.keep_contact(me.account_id, sent.kind);
    outcome := 'verified';
END
$$;

ALTER FUNCTION identity.verify_address(credential bytea, address uuid, code_hmac bytea, OUT outcome text, OUT tries_left integer) OWNER TO stoa_door;

CREATE FUNCTION identity.wait_minutes(failures integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (failures < 5) THEN 0 ELSE (ARRAY[1, 2, 4, 8, 15, 30, 60])[LEAST((failures - 4), 7)] END;

ALTER FUNCTION identity.wait_minutes(failures integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.amount_max() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '9007199254740991'::bigint;

ALTER FUNCTION ledger.amount_max() OWNER TO stoa_owner;

CREATE FUNCTION ledger.balance_before(account uuid, at timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    last_number CONSTANT bigint := ledger.entries_before(account, at);
    raises CONSTANT text := (SELECT a.normal_side FROM ledger.account AS a WHERE a.id = account);
BEGIN
    RETURN coalesce((SELECT e.balance_after FROM ledger.entry AS e WHERE e.account_id = account AND e.number = last_number), 0)
        + coalesce((SELECT sum(CASE e.side WHEN raises THEN e.amount ELSE -e.amount END) FROM ledger.entry AS e
                    WHERE e.account_id = account AND e.effective_at <> e.recorded_at AND e.effective_at < at AND e.number > last_number), 0)
        - coalesce((SELECT sum(CASE e.side WHEN raises THEN e.amount ELSE -e.amount END) FROM ledger.entry AS e
                    WHERE e.account_id = account AND e.effective_at <> e.recorded_at AND e.effective_at >= at AND e.number <= last_number), 0);
END
$$;

ALTER FUNCTION ledger.balance_before(account uuid, at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION ledger.check_accounts() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM changed AS n FULL JOIN former AS o ON o.id = n.id
        WHERE o.id IS NULL OR n.id IS NULL
           OR (n.kind, n.currency, n.normal_side, n.may_go_negative, n.organisation_id)
              IS DISTINCT FROM (o.kind, o.currency, o.normal_side, o.may_go_negative, o.organisation_id)
           OR n.newest_at < o.newest_at OR (n.newest_at IS DISTINCT FROM o.newest_at AND n.entry_count = o.entry_count)
           OR (SELECT (count(*), ledger.total(CASE e.side WHEN n.normal_side THEN e.amount ELSE -e.amount END))
                      <> (n.entry_count - o.entry_count, n.posted - o.posted) OR bool_and(e.recorded_at IS NOT DISTINCT FROM n.newest_at) IS FALSE
               FROM ledger.entry AS e WHERE e.account_id = n.id AND e.number > o.entry_count AND e.number <= n.entry_count)
           OR ((n.held, n.hold_entry_count) <> (o.held, o.hold_entry_count)
               AND (SELECT (count(*), ledger.total(CASE e.step WHEN 'held' THEN e.amount ELSE -e.amount END))
                           <> (n.hold_entry_count - o.hold_entry_count, n.held - o.held)
                    FROM ledger.hold_entry AS e
                    WHERE e.account_id = n.id AND e.number > o.hold_entry_count AND e.number <= n.hold_entry_count)))
    THEN
        RAISE EXCEPTION 'the balance of an account changes only by its entries'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_equals_entries';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION ledger.check_accounts() OWNER TO stoa_owner;

CREATE FUNCTION ledger.check_entries() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    -- What it says of its side was compared when the transfer came, and a side has one entry.
    IF EXISTS (
        SELECT FROM added AS e WHERE (SELECT t.outcome = 'posted' FROM ledger.transfer AS t WHERE t.id = e.transfer_id) IS NOT TRUE)
    THEN
        RAISE EXCEPTION 'an entry is one side of a posted transfer'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_matches_transfer';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION ledger.check_entries() OWNER TO stoa_owner;

CREATE FUNCTION ledger.check_hold_entries() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    -- Most statements hold nothing, and starting the check costs as much as ten transfers.
    IF NOT EXISTS (SELECT FROM added) THEN RETURN NULL; END IF;
    IF EXISTS (
        SELECT FROM added AS e
        WHERE (SELECT e.number <= a.hold_entry_count AND e.account_id = h.debit_account
                   AND e.amount = CASE a.normal_side WHEN 'credit' THEN h.amount ELSE 0 END AND h.kind = 'hold' AND h.outcome = 'held'
               FROM ledger.transfer AS h JOIN ledger.account AS a ON a.id = e.account_id WHERE h.id = e.hold_id) IS NOT TRUE
           OR CASE e.step WHEN 'held' THEN e.transfer_id <> e.hold_id
                   WHEN 'expired' THEN (SELECT h.expires_at <= public.stoa_now() FROM ledger.transfer AS h WHERE h.id = e.hold_id) IS NOT TRUE
                   ELSE (SELECT t.hold_id = e.hold_id AND t.outcome = e.step FROM ledger.transfer AS t WHERE t.id = e.transfer_id) IS NOT TRUE END
           OR (SELECT b.account_id = e.account_id AND b.number <= e.number FROM ledger.hold_entry AS b WHERE b.hold_id = e.hold_id AND b.step = 'held')
              IS NOT TRUE
           OR EXISTS (SELECT FROM ledger.open_hold AS o WHERE o.id = e.hold_id)
              = EXISTS (SELECT FROM ledger.hold_entry AS x WHERE x.hold_id = e.hold_id AND x.step <> 'held'))
    THEN
        RAISE EXCEPTION 'a hold entry is the beginning or the one end of a hold, and its account counts it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'hold_entry_matches_transfer';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION ledger.check_hold_entries() OWNER TO stoa_owner;

CREATE FUNCTION ledger.check_new_account() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION 'an account opens empty' USING ERRCODE = 'check_violation', CONSTRAINT = 'account_equals_entries';
END
$$;

ALTER FUNCTION ledger.check_new_account() OWNER TO stoa_owner;

CREATE FUNCTION ledger.check_open_holds() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    -- Most statements hold nothing, and starting the check costs as much as ten transfers.
    IF NOT EXISTS (SELECT FROM touched) THEN RETURN NULL; END IF;
    IF EXISTS (
        SELECT FROM touched AS o
        WHERE EXISTS (SELECT FROM ledger.hold_entry AS e WHERE e.hold_id = o.id AND e.step <> 'held') = (TG_OP = 'INSERT')
           OR (SELECT (e.account_id, e.amount) = (o.account_id, o.amount) AND t.expires_at IS NOT DISTINCT FROM o.expires_at
               FROM ledger.hold_entry AS e JOIN ledger.transfer AS t ON t.id = e.hold_id WHERE e.hold_id = o.id AND e.step = 'held') IS NOT TRUE)
    THEN
        RAISE EXCEPTION 'the open holds are those that began and did not end'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'hold_entry_matches_transfer';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION ledger.check_open_holds() OWNER TO stoa_owner;

CREATE FUNCTION ledger.check_transfers() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS t
        WHERE CASE t.outcome
            WHEN 'posted' THEN
                (SELECT count(*) FROM ledger.entry AS e
                 CROSS JOIN LATERAL (SELECT x.currency, x.entry_count FROM ledger.account AS x WHERE x.id = e.account_id OFFSET 0) AS a
                 WHERE e.transfer_id = t.id AND e.account_id = CASE e.side WHEN 'debit' THEN t.debit_account ELSE t.credit_account END
                   AND (e.amount, e.currency, e.effective_at, a.currency) = (t.amount, t.currency, t.effective_at, t.currency)
                   AND e.number <= a.entry_count)
            ELSE (SELECT count(*) FROM ledger.account AS a WHERE a.id IN (t.debit_account, t.credit_account) AND a.currency = t.currency)
                - (SELECT count(*) FROM ledger.entry AS e WHERE e.transfer_id = t.id)
            END <> 2)
    THEN
        RAISE EXCEPTION 'a posted transfer is written together with one debit and one credit entry of its amount and currency, which their accounts count'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transfer_balanced';
    END IF;
    IF EXISTS (
        SELECT FROM added AS t
        WHERE t.kind <> 'post'
          AND CASE WHEN t.outcome NOT IN ('posted', 'held', 'voided') THEN false
                   WHEN t.kind = 'reversal' THEN
                       (SELECT o.kind IN ('post', 'post_hold') AND o.outcome = 'posted' AND o.amount = t.amount
                           AND (o.debit_account, o.credit_account) = (t.credit_account, t.debit_account)
                        FROM ledger.transfer AS o WHERE o.id = t.reversal_of) IS NOT TRUE
                   ELSE NOT EXISTS (SELECT FROM ledger.hold_entry AS e
                                    WHERE e.hold_id = coalesce(t.hold_id, t.id) AND e.transfer_id = t.id AND e.account_id = t.debit_account
                                      AND e.step = t.outcome)
                       OR (t.hold_id IS NOT NULL
                           AND (SELECT o.kind = 'hold' AND (o.debit_account, o.credit_account) = (t.debit_account, t.credit_account)
                                    AND CASE t.kind WHEN 'post_hold' THEN t.amount <= o.amount ELSE t.amount = o.amount END
                                FROM ledger.transfer AS o WHERE o.id = t.hold_id) IS NOT TRUE) END)
    THEN
        RAISE EXCEPTION 'a hold begins and ends with an entry, and what follows up another transfer fits it'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transfer_follows';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION ledger.check_transfers() OWNER TO stoa_owner;

CREATE FUNCTION ledger.close_period(credential bytea, until timestamp with time zone, note text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(close_period.credential, '{finance_officer}') AS s;
    IF officer IS NULL THEN RETURN 'not_permitted'; END IF;
    IF close_period.until > public.stoa_now() THEN RETURN 'not_over'; END IF;
    PERFORM pg_advisory_xact_lock(ledger.closing_lock());
    IF close_period.until <= ledger.closed_until() THEN RETURN 'already_closed'; END IF;
    INSERT INTO ledger.period_close (until, closed_by, note) VALUES (close_period.until, officer, close_period.note);
    RETURN 'closed';
END
$$;

ALTER FUNCTION ledger.close_period(credential bytea, until timestamp with time zone, note text) OWNER TO stoa_door;

CREATE FUNCTION ledger.closed_periods(credential bytea) RETURNS TABLE(until timestamp with time zone, closed_at timestamp with time zone, closed_by text, note text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT c.until, c.closed_at, p.display_name, c.note
        FROM web.staff_with(closed_periods.credential, '{finance_officer}') AS s, ledger.period_close AS c JOIN identity.staff AS p ON p.id = c.closed_by
        ORDER BY c.until DESC LIMIT 100;
END
$$;

ALTER FUNCTION ledger.closed_periods(credential bytea) OWNER TO stoa_door;

CREATE TABLE ledger.period_close (
    until timestamp with time zone NOT NULL,
    closed_by uuid NOT NULL,
    closed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    note text NOT NULL,
    CONSTRAINT period_close_note_check CHECK (((length(note) >= 1) AND (length(note) <= 500))),
    CONSTRAINT period_is_over CHECK ((until <= closed_at))
);

ALTER TABLE ledger.period_close OWNER TO stoa_owner;

CREATE FUNCTION ledger.closed_until() RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    RETURN (SELECT c.until FROM ledger.period_close c ORDER BY c.until DESC LIMIT 1);

ALTER FUNCTION ledger.closed_until() OWNER TO stoa_door;

CREATE FUNCTION ledger.closing_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 7310011;

ALTER FUNCTION ledger.closing_lock() OWNER TO stoa_door;

CREATE FUNCTION ledger.entries_before(account uuid, at timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    mark bigint;
BEGIN
    SELECT e.number INTO mark FROM ledger.entry AS e
        WHERE e.account_id = account AND e.number % 64 = 0 AND e.recorded_at < at
        ORDER BY e.recorded_at DESC, e.number DESC LIMIT 1;
    mark := coalesce(mark, 0);
    -- The next mark is behind the moment, so the entry is before it.
    RETURN coalesce((SELECT e.number FROM ledger.entry AS e
                     WHERE e.account_id = account AND e.number > mark AND e.number < mark + 64 AND e.recorded_at < at
                     ORDER BY e.number DESC LIMIT 1), mark);
END
$$;

ALTER FUNCTION ledger.entries_before(account uuid, at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION ledger.entries_of(credential bytea, currency text, before_number bigint, page_size integer) RETURNS TABLE(number bigint, at timestamp with time zone, transfer_id uuid, side text, amount bigint, balance_after bigint, reference text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT e.number, t.recorded_at, e.transfer_id, e.side, e.amount, e.balance_after, t.reference
        FROM ledger.holder(entries_of.credential, '{payments}') AS h
        JOIN ledger.account AS a ON a.resident_id = h.resident_id AND a.kind = 'wallet' AND a.closed_at IS NULL AND a.currency = entries_of.currency
        JOIN ledger.entry AS e ON e.account_id = a.id
        JOIN ledger.transfer AS t ON t.id = e.transfer_id
        WHERE entries_of.before_number IS NULL OR e.number < entries_of.before_number
        ORDER BY e.number DESC
        LIMIT LEAST(entries_of.page_size, 200);
END
$$;

ALTER FUNCTION ledger.entries_of(credential bytea, currency text, before_number bigint, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.expire_holds(count_max integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    accounts uuid[];
BEGIN
    accounts := ARRAY(SELECT DISTINCT d.account_id
                      FROM (SELECT h.account_id FROM ledger.open_hold AS h WHERE h.expires_at <= public.stoa_now()
                            ORDER BY h.expires_at LIMIT expire_holds.count_max) AS d);
    PERFORM a.id FROM ledger.account AS a WHERE a.id = ANY (accounts) ORDER BY a.id FOR NO KEY UPDATE;
    RETURN ledger.release_expired(accounts, expire_holds.count_max);
END
$$;

ALTER FUNCTION ledger.expire_holds(count_max integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.follow_resident() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    wallet record;
    heir uuid;
    moved text;
BEGIN
    FOR wallet IN SELECT a.id, a.currency, a.posted FROM ledger.account AS a
            WHERE a.resident_id = NEW.id AND a.kind = 'wallet' AND a.closed_at IS NULL ORDER BY a.id LOOP
        SELECT a.id INTO heir FROM ledger.account AS a
            WHERE a.resident_id = NEW.superseded_by AND a.currency = wallet.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
        IF heir IS NULL THEN
            UPDATE ledger.account AS a SET resident_id = NEW.superseded_by WHERE a.id = wallet.id;
            CONTINUE;
        END IF;
        PERFORM a.id FROM ledger.account AS a WHERE a.id IN (wallet.id, heir) ORDER BY a.id FOR NO KEY UPDATE;
        PERFORM ledger.release_expired(ARRAY[wallet.id], NULL);
        PERFORM ledger.follow_up(gen_random_uuid(), 'void_hold', h.id, NULL, 'Records joined', 'system', 'register')
            FROM (SELECT o.id FROM ledger.open_hold AS o WHERE o.account_id = wallet.id ORDER BY o.id) AS h;
        SELECT a.posted INTO wallet.posted FROM ledger.account AS a WHERE a.id = wallet.id;
        IF wallet.posted > 0 THEN
            SELECT p.outcome INTO moved FROM ledger.post_transfers(ARRAY[gen_random_uuid()], '{post}', ARRAY[wallet.id], ARRAY[heir],
                ARRAY[wallet.posted], ARRAY[wallet.currency], '{Records joined}', '{NULL}', '{system}', '{register}') AS p;
            IF moved <> 'created' THEN
                RAISE EXCEPTION 'the wallet could not be emptied: %', moved USING ERRCODE = 'check_violation', CONSTRAINT = 'wallet_follows_resident';
            END IF;
        END IF;
        UPDATE ledger.account AS a SET closed_at = public.stoa_now() WHERE a.id = wallet.id;
    END LOOP;
    RETURN NULL;
END
$$;

ALTER FUNCTION ledger.follow_resident() OWNER TO stoa_door;

CREATE FUNCTION ledger.follow_up(id uuid, kind text, target uuid, amount bigint, reference text, actor_kind text, actor_id text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    original ledger.transfer;
    reverses CONSTANT boolean := follow_up.kind = 'reversal';
BEGIN
    SELECT t.* INTO original FROM ledger.transfer AS t WHERE t.id = follow_up.target;
    IF NOT FOUND THEN
        RETURN CASE WHEN reverses THEN 'original_unknown' ELSE 'hold_unknown' END;
    END IF;
    RETURN (
        SELECT p.outcome FROM ledger.post_transfers(
            ARRAY[follow_up.id], ARRAY[follow_up.kind],
            ARRAY[CASE WHEN reverses THEN original.credit_account ELSE original.debit_account END],
            ARRAY[CASE WHEN reverses THEN original.debit_account ELSE original.credit_account END],
            ARRAY[coalesce(follow_up.amount, original.amount)], ARRAY[original.currency], ARRAY[follow_up.reference], '{NULL}',
            ARRAY[follow_up.actor_kind], ARRAY[follow_up.actor_id],
            hold_ids => ARRAY[CASE WHEN NOT reverses THEN follow_up.target END], reversal_ofs => ARRAY[CASE WHEN reverses THEN follow_up.target END]) AS p);
END
$$;

ALTER FUNCTION ledger.follow_up(id uuid, kind text, target uuid, amount bigint, reference text, actor_kind text, actor_id text) OWNER TO stoa_door;

CREATE TABLE ledger.open_hold (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    amount bigint NOT NULL,
    expires_at timestamp with time zone
);

ALTER TABLE ledger.open_hold OWNER TO stoa_owner;

CREATE FUNCTION ledger.held_now(account uuid, held bigint) RETURNS bigint
    LANGUAGE sql STABLE
    RETURN (held - (SELECT (COALESCE(sum(h.amount), (0)::numeric))::bigint AS "coalesce" FROM ledger.open_hold h WHERE ((h.account_id = held_now.account) AND (h.expires_at <= public.stoa_now()))));

ALTER FUNCTION ledger.held_now(account uuid, held bigint) OWNER TO stoa_door;

CREATE FUNCTION ledger.holder(credential bytea, scopes text[]) RETURNS TABLE(resident_id uuid, account_id uuid, client_id text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT a.resident_id,
     a.id,
     c.client_id
    FROM (web.credential c
      JOIN identity.account a ON ((a.id = c.account_id)))
   WHERE ((c.hash = holder.credential) AND web.is_live(c.*) AND (a.closed_at IS NULL) AND ((c.kind = 'session'::text) OR (c.scope && holder.scopes)));
END;

ALTER FUNCTION ledger.holder(credential bytea, scopes text[]) OWNER TO stoa_door;

CREATE FUNCTION ledger.judge(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[], OUT verdicts text[], OUT fields text[], OUT leaders integer[], OUT certain boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    amount_max CONSTANT bigint := ledger.amount_max();
BEGIN
    WITH request AS (
        SELECT r.*, d.id IS NOT NULL AS debit_known, d.currency AS debit_currency, c.id IS NOT NULL AS credit_known, c.currency AS credit_currency,
            d.closed_at IS NOT NULL OR c.closed_at IS NOT NULL AS closed, d.normal_side AS debit_normal, c.normal_side AS credit_normal,
            -- How much may leave and come to each account.
            d.posted - d.held - coalesce(d.balance_min, CASE WHEN d.may_go_negative THEN -amount_max ELSE 0 END) AS debit_floor,
            c.posted - c.held - coalesce(c.balance_min, CASE WHEN c.may_go_negative THEN -amount_max ELSE 0 END) AS credit_floor,
            coalesce(d.balance_max, amount_max) - d.posted AS debit_ceiling, coalesce(c.balance_max, amount_max) - c.posted AS credit_ceiling,
            t.id IS NOT NULL AS known, t.outcome AS known_outcome,
            CASE WHEN t.kind <> r.kind THEN 'kind' WHEN t.debit_account <> r.debit_account THEN 'debit_account'
                 WHEN t.credit_account <> r.credit_account THEN 'credit_account' WHEN t.amount <> r.amount THEN 'amount'
                 WHEN t.currency <> r.currency THEN 'currency' WHEN t.reference <> r.ref THEN 'reference'
                 WHEN t.effective_at <> r.effective_at THEN 'effective_at' WHEN t.hold_id <> r.hold_id THEN 'hold_id'
                 WHEN t.reversal_of <> r.reversal_of THEN 'reversal_of'
                 WHEN t.expires_at IS DISTINCT FROM r.expires_at THEN 'expires_at' END AS known_difference,
            CASE WHEN r.id IS NULL THEN 'id'
                 WHEN r.kind IS NULL OR r.kind NOT IN ('post', 'hold', 'post_hold', 'void_hold', 'reversal') THEN 'kind'
                 WHEN r.debit_account IS NULL THEN 'debit_account'
                 WHEN r.credit_account IS NULL OR r.credit_account = r.debit_account THEN 'credit_account'
                 WHEN r.amount IS NULL OR r.amount NOT BETWEEN 1 AND amount_max THEN 'amount'
                 WHEN r.currency IS NULL THEN 'currency' WHEN r.ref IS NULL OR length(r.ref) > 140 THEN 'reference'
                 WHEN (r.hold_id IS NOT NULL) <> (r.kind IN ('post_hold', 'void_hold')) THEN 'hold_id'
                 WHEN (r.reversal_of IS NOT NULL) <> (r.kind = 'reversal') THEN 'reversal_of'
                 WHEN r.expires_at IS NOT NULL AND r.kind <> 'hold' THEN 'expires_at' END AS malformed
        FROM unnest(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats, groups, hold_ids, reversal_ofs, expires_ats)
            WITH ORDINALITY
            AS r (id, kind, debit_account, credit_account, amount, currency, ref, effective_at, linked, hold_id, reversal_of, expires_at, item)
        LEFT JOIN ledger.transfer AS t ON t.id = r.id
        LEFT JOIN ledger.account AS d ON d.id = r.debit_account
        LEFT JOIN ledger.account AS c ON c.id = r.credit_account
    ), admitted AS (
        SELECT r.*, CASE
                WHEN r.malformed IS NOT NULL THEN 'invalid'
                WHEN r.known AND r.known_difference IS NOT NULL THEN 'id_conflict'
                WHEN r.known THEN CASE WHEN r.known_outcome IN ('posted', 'held', 'voided') THEN 'exists' ELSE r.known_outcome END
                WHEN NOT r.debit_known OR NOT r.credit_known THEN 'account_unknown'
                WHEN r.debit_currency <> r.currency OR r.credit_currency <> r.currency THEN 'currency_mismatch'
                WHEN r.expires_at <= public.stoa_now() THEN 'hold_expired'
                WHEN r.effective_at < (SELECT ledger.closed_until()) THEN 'period_closed' END AS verdict
        FROM request AS r
    ), led AS (
        -- The first of several with one id decides; the others follow it or contradict it.
        SELECT a.*, first_value(a.item) OVER (PARTITION BY a.id, a.verdict IS NULL ORDER BY a.item)::integer AS leader FROM admitted AS a
    ), compared AS (
        SELECT l.*, CASE WHEN l.leader <> l.item THEN CASE
                WHEN kinds[l.leader] <> l.kind THEN 'kind' WHEN debit_accounts[l.leader] <> l.debit_account THEN 'debit_account'
                WHEN credit_accounts[l.leader] <> l.credit_account THEN 'credit_account' WHEN amounts[l.leader] <> l.amount THEN 'amount'
                WHEN currencies[l.leader] <> l.currency THEN 'currency' WHEN refs[l.leader] <> l.ref THEN 'reference'
                WHEN effective_ats[l.leader] <> l.effective_at THEN 'effective_at' WHEN hold_ids[l.leader] <> l.hold_id THEN 'hold_id'
                WHEN reversal_ofs[l.leader] <> l.reversal_of THEN 'reversal_of'
                WHEN expires_ats[l.leader] IS DISTINCT FROM l.expires_at THEN 'expires_at' END END AS difference
        FROM led AS l
    ), moved AS (
        SELECT l.debit_account AS account_id, CASE l.debit_normal WHEN 'credit' THEN l.amount ELSE 0 END AS outgoing,
            CASE l.debit_normal WHEN 'debit' THEN l.amount ELSE 0 END AS incoming, l.debit_floor AS floor, l.debit_ceiling AS ceiling
        FROM compared AS l WHERE l.verdict IS NULL AND l.leader = l.item AND NOT l.closed
        UNION ALL
        SELECT l.credit_account, CASE l.credit_normal WHEN 'debit' THEN l.amount ELSE 0 END,
            CASE l.credit_normal WHEN 'credit' THEN l.amount ELSE 0 END, l.credit_floor, l.credit_ceiling
        FROM compared AS l WHERE l.verdict IS NULL AND l.leader = l.item AND NOT l.closed
    ), covered AS (
        SELECT NOT EXISTS (SELECT FROM compared AS l
                           WHERE (l.verdict IS NULL AND l.kind <> 'post')
                              -- Of linked ones, whatever is not plainly fine is decided in order.
                              OR (l.linked IS NOT NULL AND (l.verdict <> 'exists' OR l.difference IS NOT NULL OR (l.verdict IS NULL AND l.closed))))
            AND NOT EXISTS (
                SELECT FROM moved AS m GROUP BY m.account_id
                HAVING (ledger.total(m.outgoing) > 0 AND ledger.total(m.outgoing) > min(m.floor))
                    OR (ledger.total(m.incoming) > 0 AND ledger.total(m.incoming) > min(m.ceiling))) AS certain
    )
    SELECT array_agg(f.verdict), array_agg(f.field), array_agg(f.leader), (SELECT c.certain FROM covered AS c)
        INTO judge.verdicts, judge.fields, judge.leaders, judge.certain
        FROM (
            SELECT
                CASE WHEN l.verdict IS NOT NULL THEN l.verdict WHEN l.difference IS NOT NULL THEN 'id_conflict'
                     WHEN l.leader = l.item AND l.closed AND l.kind <> 'void_hold' THEN 'account_closed' END AS verdict,
                CASE WHEN l.verdict = 'invalid' THEN l.malformed WHEN l.verdict = 'id_conflict' THEN l.known_difference
                     WHEN l.verdict = 'account_unknown' THEN CASE WHEN l.debit_known THEN 'credit_account' ELSE 'debit_account' END
                     WHEN l.verdict = 'currency_mismatch' THEN 'currency'
                     WHEN l.verdict = 'hold_expired' THEN 'expires_at'
                     WHEN l.verdict = 'period_closed' THEN 'effective_at'
                     WHEN l.verdict IS NULL THEN l.difference END AS field,
                -- What is known already has no leader, so that nothing is written for it.
                CASE WHEN l.known THEN 0 ELSE l.leader END AS leader
            FROM compared AS l ORDER BY l.item) AS f;
END
$$;

ALTER FUNCTION ledger.judge(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[], OUT verdicts text[], OUT fields text[], OUT leaders integer[], OUT certain boolean) OWNER TO stoa_door;

CREATE FUNCTION ledger.judge_in_order(INOUT verdicts text[], INOUT fields text[], leaders integer[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], OUT reserves bigint[], OUT stay_open boolean[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    amount_max CONSTANT bigint := ledger.amount_max();
    -- The accounts that the batch names, in id order, and where in that order each item's are.
    posted bigint[];
    held bigint[];
    balance_mins bigint[];
    balance_maxs bigint[];
    debit_raises boolean[];
    debit_positions integer[];
    credit_positions integer[];
    -- The transfers that the batch makes or follows up, in id order. Of a hold: held, posted, voided or expired; of what moved money:
    -- settled or reversed; null for one that is not there, or was refused.
    states text[];
    state_debits uuid[];
    state_credits uuid[];
    state_amounts bigint[];
    state_reserves bigint[];
    own_positions integer[];
    target_positions integer[];
    -- The group that is being decided, and how everything stood before it.
    group_now integer;
    group_start integer;
    group_failed boolean := false;
    posted_before bigint[];
    held_before bigint[];
    states_before text[];
    follows_up boolean;
    reason text;
    reason_field text;
    released bigint;
    d integer;
    c integer;
    o integer;
    t integer;
BEGIN
    SELECT array_agg(s.place ORDER BY s.item) FILTER (WHERE s.side = 'debit'), array_agg(s.place ORDER BY s.item) FILTER (WHERE s.side = 'credit')
        INTO debit_positions, credit_positions
        FROM (SELECT x.item, x.side, dense_rank() OVER (ORDER BY x.account_id)::integer AS place
              FROM (SELECT u.item, 'debit' AS side, u.account_id FROM unnest(debit_accounts) WITH ORDINALITY AS u (account_id, item)
                    UNION ALL
                    SELECT u.item, 'credit', u.account_id FROM unnest(credit_accounts) WITH ORDINALITY AS u (account_id, item)) AS x) AS s;
    SELECT array_agg(a.posted ORDER BY u.account_id), array_agg(a.held ORDER BY u.account_id),
            array_agg(coalesce(a.balance_min, CASE WHEN a.may_go_negative THEN -amount_max ELSE 0 END) ORDER BY u.account_id),
            array_agg(coalesce(a.balance_max, amount_max) ORDER BY u.account_id), array_agg(a.normal_side = 'debit' ORDER BY u.account_id)
        INTO posted, held, balance_mins, balance_maxs, debit_raises
        FROM (SELECT DISTINCT x.account_id FROM unnest(debit_accounts || credit_accounts) AS x (account_id)) AS u
        LEFT JOIN ledger.account AS a ON a.id = u.account_id;
    follows_up := EXISTS (SELECT FROM unnest(hold_ids || reversal_ofs) AS u (id) WHERE u.id IS NOT NULL);
    IF follows_up THEN
        SELECT array_agg(s.place ORDER BY s.item) FILTER (WHERE s.role = 'own'), array_agg(s.place ORDER BY s.item) FILTER (WHERE s.role = 'target')
            INTO own_positions, target_positions
            FROM (SELECT x.item, x.role, dense_rank() OVER (ORDER BY x.id)::integer AS place
                  FROM (SELECT u.item, 'own' AS role, u.id FROM unnest(ids) WITH ORDINALITY AS u (id, item)
                        UNION ALL
                        SELECT u.item, 'target', coalesce(u.hold_id, u.reversal_of)
                        FROM unnest(hold_ids, reversal_ofs) WITH ORDINALITY AS u (hold_id, reversal_of, item)) AS x) AS s;
        SELECT array_agg(CASE WHEN k.kind <> 'hold' AND k.outcome = 'posted' AND k.kind <> 'reversal' THEN
                                  CASE WHEN EXISTS (SELECT FROM ledger.transfer AS r WHERE r.reversal_of = k.id AND r.outcome = 'posted')
                                       THEN 'reversed' ELSE 'settled' END
                              WHEN k.outcome <> 'held' THEN NULL
                              WHEN h.id IS NULL THEN (SELECT e.step FROM ledger.hold_entry AS e WHERE e.hold_id = k.id AND e.step <> 'held')
                              WHEN h.expires_at <= public.stoa_now() THEN 'expired' ELSE 'held' END ORDER BY u.id),
                array_agg(k.debit_account ORDER BY u.id), array_agg(k.credit_account ORDER BY u.id), array_agg(k.amount ORDER BY u.id),
                array_agg(h.amount ORDER BY u.id)
            INTO states, state_debits, state_credits, state_amounts, state_reserves
            FROM (SELECT DISTINCT coalesce(x.id, x.target) AS id
                  FROM (SELECT y.id, NULL::uuid AS target FROM unnest(ids) AS y (id)
                        UNION ALL
                        SELECT NULL, coalesce(y.hold_id, y.reversal_of) FROM unnest(hold_ids, reversal_ofs) AS y (hold_id, reversal_of)) AS x) AS u
            LEFT JOIN ledger.transfer AS k ON k.id = u.id
            LEFT JOIN ledger.open_hold AS h ON h.id = u.id;
    END IF;

    reserves := array_fill(NULL::bigint, ARRAY[cardinality(verdicts)]);
    stay_open := array_fill(false, ARRAY[cardinality(verdicts)]);
    FOR i IN 1 .. coalesce(cardinality(verdicts), 0) LOOP
        IF groups[i] IS DISTINCT FROM group_now THEN
            group_now := groups[i];
            group_failed := false;
            IF group_now IS NOT NULL THEN
                group_start := i;
                posted_before := posted;
                held_before := held;
                states_before := states;
            END IF;
        END IF;
        IF group_failed THEN
            IF leaders[i] = i AND (verdicts[i] IS NULL OR verdicts[i] = 'account_closed') THEN
                verdicts[i] := 'batch_refused';
            END IF;
            CONTINUE;
        END IF;

        reason := verdicts[i];
        reason_field := fields[i];
        IF reason IS NULL AND leaders[i] <> i THEN
            reason := verdicts[leaders[i]];
        ELSIF reason IS NULL THEN
            d := debit_positions[i];
            c := credit_positions[i];
            IF follows_up THEN
                o := own_positions[i];
                t := target_positions[i];
            END IF;
            released := 0;
            IF kinds[i] IN ('post_hold', 'void_hold') THEN
                IF states[t] IS NULL OR states[t] IN ('settled', 'reversed') THEN
                    reason := 'hold_unknown';
                    reason_field := 'hold_id';
                ELSIF state_debits[t] <> debit_accounts[i] THEN
                    reason := 'hold_mismatch';
                    reason_field := 'debit_account';
                ELSIF state_credits[t] <> credit_accounts[i] THEN
                    reason := 'hold_mismatch';
                    reason_field := 'credit_account';
                ELSIF amounts[i] > state_amounts[t] OR (kinds[i] = 'void_hold' AND amounts[i] <> state_amounts[t]) THEN
                    reason := 'hold_mismatch';
                    reason_field := 'amount';
                ELSIF states[t] <> 'held' THEN
                    reason := 'hold_' || states[t];
                    reason_field := 'hold_id';
                ELSE
                    released := state_reserves[t];
                END IF;
            ELSIF kinds[i] = 'reversal' THEN
                IF states[t] IS NULL OR states[t] NOT IN ('settled', 'reversed') THEN
                    reason := 'original_unknown';
                    reason_field := 'reversal_of';
                ELSIF state_credits[t] <> debit_accounts[i] THEN
                    reason := 'reversal_mismatch';
                    reason_field := 'debit_account';
                ELSIF state_debits[t] <> credit_accounts[i] THEN
                    reason := 'reversal_mismatch';
                    reason_field := 'credit_account';
                ELSIF state_amounts[t] <> amounts[i] THEN
                    reason := 'reversal_mismatch';
                    reason_field := 'amount';
                ELSIF states[t] = 'reversed' THEN
                    reason := 'already_reversed';
                    reason_field := 'reversal_of';
                END IF;
            END IF;

            IF reason IS NOT NULL THEN
                NULL;
            ELSIF kinds[i] = 'void_hold' THEN
                held[d] := held[d] - released;
                states[t] := 'voided';
                reserves[i] := released;
            ELSIF kinds[i] = 'hold' THEN
                reserves[i] := CASE WHEN debit_raises[d] THEN 0 ELSE amounts[i] END;
                IF posted[d] - held[d] - reserves[i] < balance_mins[d] THEN
                    reason := CASE WHEN balance_mins[d] = -amount_max THEN 'balance_overflow' ELSE 'insufficient_funds' END;
                ELSIF held[d] + reserves[i] > amount_max THEN
                    reason := 'balance_overflow';
                ELSE
                    held[d] := held[d] + reserves[i];
                    IF follows_up THEN
                        states[o] := 'held';
                        state_debits[o] := debit_accounts[i];
                        state_credits[o] := credit_accounts[i];
                        state_amounts[o] := amounts[i];
                        state_reserves[o] := reserves[i];
                    END IF;
                END IF;
            ELSE
                reason := CASE
                    WHEN NOT debit_raises[d] AND posted[d] - amounts[i] - held[d] + released < balance_mins[d] AND balance_mins[d] > -amount_max
                        OR debit_raises[c] AND posted[c] - amounts[i] - held[c] < balance_mins[c] AND balance_mins[c] > -amount_max
                        THEN 'insufficient_funds'
                    WHEN debit_raises[d] AND posted[d] + amounts[i] > amount_max OR NOT debit_raises[c] AND posted[c] + amounts[i] > amount_max
                        OR NOT debit_raises[d] AND posted[d] - amounts[i] - held[d] + released < -amount_max
                        OR debit_raises[c] AND posted[c] - amounts[i] - held[c] < -amount_max
                        THEN 'balance_overflow'
                    WHEN debit_raises[d] AND posted[d] + amounts[i] > balance_maxs[d]
                        OR NOT debit_raises[c] AND posted[c] + amounts[i] > balance_maxs[c]
                        THEN 'limit_exceeded' END;
                IF reason IS NULL THEN
                    posted[d] := posted[d] + CASE WHEN debit_raises[d] THEN amounts[i] ELSE -amounts[i] END;
                    posted[c] := posted[c] + CASE WHEN debit_raises[c] THEN -amounts[i] ELSE amounts[i] END;
                    IF kinds[i] = 'post_hold' THEN
                        held[d] := held[d] - released;
                        states[t] := 'posted';
                        reserves[i] := released;
                    ELSIF kinds[i] = 'reversal' THEN
                        states[t] := 'reversed';
                    END IF;
                    IF follows_up AND kinds[i] <> 'reversal' THEN
                        states[o] := 'settled';
                        state_debits[o] := debit_accounts[i];
                        state_credits[o] := credit_accounts[i];
                        state_amounts[o] := amounts[i];
                    END IF;
                END IF;
            END IF;
            verdicts[i] := reason;
            fields[i] := reason_field;
        END IF;

        IF group_now IS NOT NULL AND reason <> 'exists' THEN
            group_failed := true;
            posted := posted_before;
            held := held_before;
            states := states_before;
            FOR j IN group_start .. i - 1 LOOP
                IF verdicts[j] IS NULL AND leaders[j] = j THEN
                    verdicts[j] := 'batch_refused';
                    reserves[j] := NULL;
                END IF;
            END LOOP;
        END IF;
    END LOOP;
    FOR i IN 1 .. coalesce(cardinality(verdicts), 0) LOOP
        IF kinds[i] = 'hold' AND verdicts[i] IS NULL AND leaders[i] = i THEN
            stay_open[i] := NOT follows_up OR states[own_positions[i]] = 'held';
        END IF;
    END LOOP;
END
$$;

ALTER FUNCTION ledger.judge_in_order(INOUT verdicts text[], INOUT fields text[], leaders integer[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], OUT reserves bigint[], OUT stay_open boolean[]) OWNER TO stoa_door;

CREATE FUNCTION ledger.open_account(id uuid, kind text, currency text, resident uuid, organisation text, normal_side text, may_go_negative boolean) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO ledger.account (id, kind, currency, resident_id, organisation_id, normal_side, may_go_negative)
        VALUES (open_account.id, open_account.kind, open_account.currency, open_account.resident, open_account.organisation,
                open_account.normal_side, open_account.may_go_negative)
        ON CONFLICT ON CONSTRAINT account_pkey DO NOTHING;
    RETURN EXISTS (
        SELECT FROM ledger.account AS a
        WHERE a.id = open_account.id AND a.kind = open_account.kind AND a.currency = open_account.currency
          AND a.resident_id IS NOT DISTINCT FROM open_account.resident AND a.organisation_id IS NOT DISTINCT FROM open_account.organisation
          AND a.normal_side = open_account.normal_side AND a.may_go_negative = open_account.may_go_negative);
END
$$;

ALTER FUNCTION ledger.open_account(id uuid, kind text, currency text, resident uuid, organisation text, normal_side text, may_go_negative boolean) OWNER TO stoa_door;

CREATE FUNCTION ledger.open_organisation_account(credential bytea, id uuid, currency text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    asker record;
BEGIN
    SELECT p.organisation_id, p.may_post INTO asker FROM ledger.poster(open_organisation_account.credential) AS p;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF NOT asker.may_post THEN RETURN 'scope_missing'; END IF;
    INSERT INTO ledger.account (id, kind, currency, organisation_id, normal_side)
        VALUES (open_organisation_account.id, 'general', open_organisation_account.currency, asker.organisation_id, 'credit')
        ON CONFLICT ON CONSTRAINT account_pkey DO NOTHING;
    IF FOUND THEN RETURN 'created'; END IF;
    RETURN CASE WHEN EXISTS (
            SELECT FROM ledger.account AS a
            WHERE a.id = open_organisation_account.id AND a.kind = 'general' AND a.currency = open_organisation_account.currency
              AND a.organisation_id = asker.organisation_id)
        THEN 'exists' ELSE 'id_conflict' END;
END
$$;

ALTER FUNCTION ledger.open_organisation_account(credential bytea, id uuid, currency text) OWNER TO stoa_door;

CREATE FUNCTION ledger.open_wallet(resident uuid, currency text) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    wallet uuid;
BEGIN
    INSERT INTO ledger.account (id, kind, currency, resident_id, normal_side)
        VALUES (gen_random_uuid(), 'wallet', open_wallet.currency, open_wallet.resident, 'credit')
        ON CONFLICT (resident_id, currency) WHERE kind = 'wallet' AND closed_at IS NULL DO NOTHING;
    SELECT a.id INTO STRICT wallet FROM ledger.account AS a
        WHERE a.resident_id = open_wallet.resident AND a.currency = open_wallet.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
    RETURN wallet;
END
$$;

ALTER FUNCTION ledger.open_wallet(resident uuid, currency text) OWNER TO stoa_door;

CREATE FUNCTION ledger.organisation_account(credential bytea, id uuid) RETURNS TABLE(standing text, kind text, currency text, posted bigint, held bigint, entry_count bigint, created_at timestamp with time zone, closed_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT CASE WHEN p.client_id IS NULL THEN 'credential_invalid' WHEN NOT p.may_post THEN 'scope_missing'
                    WHEN a.id IS NULL THEN 'account_unknown' ELSE 'found' END,
            a.kind, a.currency, a.posted, ledger.held_now(a.id, a.held), a.entry_count, a.created_at, a.closed_at
        FROM (VALUES (organisation_account.credential)) AS asked (credential)
        LEFT JOIN LATERAL ledger.poster(asked.credential) AS p ON true
        LEFT JOIN ledger.account AS a ON p.may_post AND a.id = organisation_account.id AND a.organisation_id = p.organisation_id;
END
$$;

ALTER FUNCTION ledger.organisation_account(credential bytea, id uuid) OWNER TO stoa_door;

CREATE FUNCTION ledger.organisation_balances(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) RETURNS TABLE(standing text, currency text, opening bigint, closing bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT o.standing, o.currency, CASE o.standing WHEN 'found' THEN ledger.balance_before(organisation_balances.id, organisation_balances.from_at) END,
            CASE o.standing WHEN 'found' THEN ledger.balance_before(organisation_balances.id, organisation_balances.to_at) END
        FROM ledger.organisation_account(organisation_balances.credential, organisation_balances.id) AS o;
END
$$;

ALTER FUNCTION ledger.organisation_balances(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION ledger.organisation_entries(credential bytea, id uuid, before_number bigint, page_size integer) RETURNS TABLE(number bigint, transfer_id uuid, side text, amount bigint, balance_after bigint, other_account uuid, reference text, effective_at timestamp with time zone, recorded_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    RETURN QUERY
        SELECT e.number, e.transfer_id, e.side, e.amount, e.balance_after, CASE e.side WHEN 'debit' THEN t.credit_account ELSE t.debit_account END,
            t.reference, t.effective_at, t.recorded_at
        FROM ledger.poster(organisation_entries.credential) AS p
        JOIN ledger.account AS a ON a.id = organisation_entries.id AND a.organisation_id = p.organisation_id AND p.may_post
        CROSS JOIN LATERAL (
            SELECT x.* FROM ledger.entry AS x
            WHERE x.account_id = a.id AND x.number < coalesce(organisation_entries.before_number, 9223372036854775807)
            ORDER BY x.number DESC LIMIT LEAST(organisation_entries.page_size, 200)) AS e
        JOIN ledger.transfer AS t ON t.id = e.transfer_id
        ORDER BY e.number DESC;
END
$$;

ALTER FUNCTION ledger.organisation_entries(credential bytea, id uuid, before_number bigint, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.organisation_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) RETURNS TABLE(number bigint, transfer_id uuid, side text, amount bigint, other_account uuid, kind text, reference text, effective_at timestamp with time zone, recorded_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF (SELECT o.standing FROM ledger.organisation_account(organisation_statement.credential, organisation_statement.id) AS o) = 'found' THEN
        RETURN QUERY SELECT s.* FROM ledger.statement_page(
            organisation_statement.id, organisation_statement.from_at, organisation_statement.to_at, organisation_statement.after_at,
            organisation_statement.after_number, LEAST(organisation_statement.page_size, 200)) AS s;
    END IF;
END
$$;

ALTER FUNCTION ledger.organisation_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.payer(credential bytea, scopes text[]) RETURNS TABLE(resident_id uuid, account_id uuid, client_id text, mandate_id uuid, mandate_reference text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT h.resident_id, h.account_id, h.client_id, NULL::uuid, NULL::text FROM ledger.holder(payer.credential, payer.scopes) AS h
        UNION ALL
        SELECT p.resident_id, p.account_id, NULL::text, p.mandate_id, p.reference FROM mandates.person(payer.credential, 'money') AS p;
END
$$;

ALTER FUNCTION ledger.payer(credential bytea, scopes text[]) OWNER TO stoa_door;

CREATE FUNCTION ledger.post(credentials bytea[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[]) RETURNS TABLE(item integer, outcome text, field text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    clients text[];
    scoped boolean[];
    -- Null where the account is not the organisation's.
    own_debits uuid[];
    own_credits uuid[];
BEGIN
    SELECT array_agg(c.client_id ORDER BY r.item), array_agg(c.may_post ORDER BY r.item), array_agg(d.id ORDER BY r.item), array_agg(k.id ORDER BY r.item)
        INTO clients, scoped, own_debits, own_credits
        FROM unnest(credentials, debit_accounts, credit_accounts) WITH ORDINALITY AS r (credential, debit_account, credit_account, item)
        -- A batch has few askers: each is looked up once.
        LEFT JOIN (SELECT u.credential, p.client_id, p.organisation_id, p.may_post
                   FROM (SELECT DISTINCT x.credential FROM unnest(credentials) AS x (credential)) AS u
                   CROSS JOIN LATERAL (SELECT * FROM ledger.poster(u.credential) OFFSET 0) AS p) AS c ON c.credential = r.credential
        LEFT JOIN ledger.account AS d ON d.id = r.debit_account AND d.organisation_id = c.organisation_id AND c.may_post
        LEFT JOIN ledger.account AS k ON k.id = r.credit_account AND k.organisation_id = c.organisation_id AND c.may_post;
    RETURN QUERY
        SELECT o.item,
            CASE WHEN clients[o.item] IS NULL THEN 'credential_invalid' WHEN NOT scoped[o.item] THEN 'scope_missing'
                 WHEN o.outcome = 'invalid' AND (foreign_debit OR foreign_credit) THEN 'account_unknown' ELSE o.outcome END,
            CASE WHEN clients[o.item] IS NULL OR NOT scoped[o.item] THEN NULL ELSE o.field END
        FROM ledger.post_transfers(ids, kinds, own_debits, own_credits, amounts, currencies, refs, effective_ats,
                array_fill('organisation'::text, ARRAY[cardinality(ids)]), clients, groups, hold_ids, reversal_ofs, expires_ats) AS o,
            LATERAL (SELECT o.field = 'debit_account' AND debit_accounts[o.item] IS NOT NULL AS foreign_debit,
                            o.field = 'credit_account' AND own_credits[o.item] IS NULL AND credit_accounts[o.item] IS NOT NULL AS foreign_credit
            ) AS f;
END
$$;

ALTER FUNCTION ledger.post(credentials bytea[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[]) OWNER TO stoa_door;

CREATE FUNCTION ledger.post_transfers(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], actor_kinds text[], actor_ids text[], groups integer[] DEFAULT NULL::integer[], hold_ids uuid[] DEFAULT NULL::uuid[], reversal_ofs uuid[] DEFAULT NULL::uuid[], expires_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[]) RETURNS TABLE(item integer, outcome text, field text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    -- Of each item: its verdict (null while it waits for the balances), the field that explains it, and the first item of its id.
    verdicts text[];
    fields text[];
    leaders integer[];
    certain boolean;
    -- Of each item: what it reserves or releases, and whether it begins a hold that the batch does not end.
    reserves bigint[];
    stay_open boolean[];
BEGIN
    -- ledger.judge_in_order counts them out by position, which a matrix would answer with null.
    IF array_ndims(amounts) > 1 THEN
        RAISE EXCEPTION 'amounts is a list, not a matrix' USING ERRCODE = 'array_subscript_error';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(ledger.closing_lock());
    PERFORM a.id FROM ledger.account AS a WHERE a.id = ANY (debit_accounts || credit_accounts) ORDER BY a.id FOR NO KEY UPDATE;
    FOR attempt IN 1 .. 3 LOOP
        SELECT j.verdicts, j.fields, j.leaders, j.certain INTO verdicts, fields, leaders, certain
            FROM ledger.judge(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats, groups, hold_ids,
                              reversal_ofs, expires_ats) AS j;
        reserves := NULL;
        stay_open := NULL;
        IF NOT certain THEN
            PERFORM ledger.release_expired(debit_accounts || credit_accounts, NULL);
            SELECT j.verdicts, j.fields, j.reserves, j.stay_open INTO verdicts, fields, reserves, stay_open
                FROM ledger.judge_in_order(verdicts, fields, leaders, ids, kinds, debit_accounts, credit_accounts, amounts, groups, hold_ids,
                                           reversal_ofs) AS j;
        END IF;
        BEGIN
            PERFORM ledger.write_transfers(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats,
                                           actor_kinds, actor_ids, hold_ids, reversal_ofs, expires_ats, verdicts, leaders, reserves, stay_open);
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            -- Between the look and the insert somebody else used one of these ids for other accounts. It is there now: look again.
            IF attempt = 3 THEN RAISE; END IF;
        END;
    END LOOP;

    RETURN QUERY
        SELECT i.item::integer,
            CASE WHEN i.leader = i.item OR i.verdict IS NOT NULL THEN coalesce(i.verdict, 'created')
                 ELSE coalesce(verdicts[i.leader], 'exists') END,
            coalesce(i.field, fields[NULLIF(i.leader, 0)])
        FROM unnest(verdicts, fields, leaders) WITH ORDINALITY AS i (verdict, field, leader, item);
END
$$;

ALTER FUNCTION ledger.post_transfers(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], actor_kinds text[], actor_ids text[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[]) OWNER TO stoa_door;

CREATE FUNCTION ledger.poster(credential bytea) RETURNS TABLE(client_id text, organisation_id text, may_post boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT c.client_id,
     c.organisation_id,
     ((c.organisation_id IS NOT NULL) AND ('ledger.post'::text = ANY (c.scope)))
    FROM web.credential c
   WHERE ((c.hash = poster.credential) AND (c.kind = 'access_token'::text) AND web.is_live(c.*));
END;

ALTER FUNCTION ledger.poster(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION ledger.release_expired(accounts uuid[], count_max integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    expired uuid[];
BEGIN
    expired := ARRAY(SELECT h.id
                     FROM (SELECT DISTINCT x.id FROM unnest(accounts) AS x (id)) AS u
                     CROSS JOIN LATERAL (SELECT o.id, o.expires_at FROM ledger.open_hold AS o
                                         WHERE o.account_id = u.id AND o.expires_at <= public.stoa_now() OFFSET 0) AS h
                     ORDER BY h.expires_at, h.id LIMIT count_max);
    IF cardinality(expired) = 0 THEN RETURN 0; END IF;
    WITH gone AS (
        DELETE FROM ledger.open_hold AS h WHERE h.id = ANY (expired) RETURNING h.id, h.account_id, h.amount
    ), numbered AS (
        SELECT g.id, g.account_id, g.amount, a.hold_entry_count + row_number() OVER earlier AS number,
            a.held - ledger.total(g.amount) OVER earlier AS held_after
        FROM gone AS g JOIN ledger.account AS a ON a.id = g.account_id
        WINDOW earlier AS (PARTITION BY g.account_id ORDER BY g.id ROWS UNBOUNDED PRECEDING)
    ), hold_entries AS (
        INSERT INTO ledger.hold_entry (account_id, number, hold_id, step, amount, held_after)
        SELECT n.account_id, n.number, n.id, 'expired', n.amount, n.held_after FROM numbered AS n
    )
    UPDATE ledger.account AS a SET held = a.held - n.amount, hold_entry_count = a.hold_entry_count + n.count
    FROM (SELECT g.account_id, ledger.total(g.amount) AS amount, count(*) AS count FROM gone AS g GROUP BY g.account_id) AS n
    WHERE a.id = n.account_id;
    RETURN cardinality(expired);
END
$$;

ALTER FUNCTION ledger.release_expired(accounts uuid[], count_max integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.staff_account(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) RETURNS TABLE(kind text, currency text, organisation_id text, normal_side text, closed_at timestamp with time zone, opening bigint, closing bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT a.kind, a.currency, a.organisation_id, a.normal_side, a.closed_at, ledger.balance_before(a.id, staff_account.from_at),
            ledger.balance_before(a.id, coalesce(staff_account.to_at, public.stoa_now()))
        FROM web.staff_with(staff_account.credential, '{finance_officer}') AS s
        JOIN ledger.account AS a ON a.id = staff_account.id AND a.kind <> 'wallet';
END
$$;

ALTER FUNCTION ledger.staff_account(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION ledger.staff_accounts(credential bytea, kind text, currency text, organisation text, after_id uuid, page_size integer) RETURNS TABLE(id uuid, posted bigint, held bigint, closed_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT a.id, a.posted, ledger.held_now(a.id, a.held), a.closed_at
        FROM web.staff_with(staff_accounts.credential, '{finance_officer}') AS s
        JOIN ledger.account AS a ON a.organisation_id = staff_accounts.organisation AND a.kind = staff_accounts.kind
            AND a.currency = staff_accounts.currency AND a.kind <> 'wallet'
        WHERE staff_accounts.after_id IS NULL OR a.id > staff_accounts.after_id
        ORDER BY a.id LIMIT LEAST(staff_accounts.page_size, 200);
END
$$;

ALTER FUNCTION ledger.staff_accounts(credential bytea, kind text, currency text, organisation text, after_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.staff_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) RETURNS TABLE(number bigint, transfer_id uuid, side text, amount bigint, other_account uuid, kind text, reference text, effective_at timestamp with time zone, recorded_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT p.number, p.transfer_id, p.side, p.amount, CASE WHEN o.kind <> 'wallet' THEN o.id END, p.kind, p.reference, p.effective_at, p.recorded_at
        FROM web.staff_with(staff_statement.credential, '{finance_officer}') AS s
        JOIN ledger.account AS a ON a.id = staff_statement.id AND a.kind <> 'wallet'
        CROSS JOIN LATERAL ledger.statement_page(a.id, staff_statement.from_at, coalesce(staff_statement.to_at, public.stoa_now()),
            staff_statement.after_at, staff_statement.after_number, LEAST(staff_statement.page_size, 200)) AS p
        JOIN ledger.account AS o ON o.id = p.other_account
        ORDER BY p.effective_at, p.number;
END
$$;

ALTER FUNCTION ledger.staff_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.statement_page(account uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) RETURNS TABLE(number bigint, transfer_id uuid, side text, amount bigint, other_account uuid, kind text, reference text, effective_at timestamp with time zone, recorded_at timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    start_at CONSTANT timestamptz := coalesce(after_at, from_at);
    -- Of those recorded at the very moment where the page begins, some may have been shown.
    first_number CONSTANT bigint := ledger.entries_before(account, start_at);
    last_number CONSTANT bigint := ledger.entries_before(account, to_at);
BEGIN
    RETURN QUERY
        WITH page AS (
            (SELECT e.* FROM ledger.entry AS e
             WHERE e.account_id = account AND e.number > first_number AND e.number <= last_number AND e.effective_at = e.recorded_at
               AND (after_at IS NULL OR (e.effective_at, e.number) > (after_at, after_number))
             ORDER BY e.number LIMIT page_size)
            UNION ALL
            (SELECT e.* FROM ledger.entry AS e
             WHERE e.account_id = account AND e.effective_at <> e.recorded_at AND e.effective_at >= start_at AND e.effective_at < to_at
               AND (after_at IS NULL OR (e.effective_at, e.number) > (after_at, after_number))
             ORDER BY e.effective_at, e.number LIMIT page_size)
        )
        SELECT p.number, p.transfer_id, p.side, p.amount, CASE p.side WHEN 'debit' THEN t.credit_account ELSE t.debit_account END, t.kind,
            t.reference, p.effective_at, p.recorded_at
        FROM (SELECT x.* FROM page AS x ORDER BY x.effective_at, x.number LIMIT page_size) AS p
        JOIN ledger.transfer AS t ON t.id = p.transfer_id
        ORDER BY p.effective_at, p.number;
END
$$;

ALTER FUNCTION ledger.statement_page(account uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION ledger.trial_balance(credential bytea, at timestamp with time zone) RETURNS TABLE(currency text, kind text, organisation_id text, account_count bigint, only_account uuid, debit bigint, credit bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM web.staff_with(trial_balance.credential, '{finance_officer}')) THEN RETURN; END IF;
    RETURN QUERY
        SELECT s.currency, s.kind, s.organisation_id, s.account_count, CASE WHEN s.account_count = 1 AND s.kind <> 'wallet' THEN s.account END,
            GREATEST(s.debit, 0)::bigint, GREATEST(-s.debit, 0)::bigint
        FROM (SELECT a.currency, a.kind, a.organisation_id, count(*) AS account_count, (min(a.id::text))::uuid AS account,
                  sum(CASE a.normal_side WHEN 'debit' THEN b.balance ELSE -b.balance END) AS debit
              FROM (SELECT coalesce(trial_balance.at, public.stoa_now()) AS at) AS m, ledger.account AS a,
                  -- An account that nothing has touched since, and nothing will from a later moment, holds what it holds now.
                  LATERAL (SELECT CASE WHEN a.newest_at >= m.at
                                    OR EXISTS (SELECT FROM ledger.entry AS e
                                               WHERE e.account_id = a.id AND e.effective_at <> e.recorded_at AND e.effective_at >= m.at)
                                  THEN ledger.balance_before(a.id, m.at) ELSE a.posted END AS balance) AS b
              GROUP BY a.currency, a.kind, a.organisation_id) AS s
        ORDER BY s.currency, s.kind, s.organisation_id;
END
$$;

ALTER FUNCTION ledger.trial_balance(credential bytea, at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION ledger.wallets_of(credential bytea) RETURNS TABLE(account_id uuid, currency text, posted bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT a.id, a.currency, a.posted
        FROM ledger.payer(wallets_of.credential, '{payments}') AS h JOIN ledger.account AS a ON a.resident_id = h.resident_id
        WHERE a.kind = 'wallet' AND a.closed_at IS NULL
        ORDER BY a.currency;
END
$$;

ALTER FUNCTION ledger.wallets_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION ledger.write_transfers(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], actor_kinds text[], actor_ids text[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[], verdicts text[], leaders integer[], reserves bigint[], stay_open boolean[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    WITH decided AS (
        -- Should the clock have gone back behind a closed period, the next one has begun all the same.
        SELECT r.*, coalesce(r.effective_at, GREATEST(public.stoa_now(), (SELECT ledger.closed_until()))) AS effective, coalesce(r.verdict, CASE r.kind WHEN 'hold' THEN 'held' WHEN 'void_hold' THEN 'voided' ELSE 'posted' END) AS outcome
        FROM unnest(ids, kinds, debit_accounts, credit_accounts, amounts, currencies, refs, effective_ats, actor_kinds, actor_ids, hold_ids,
                    reversal_ofs, expires_ats, verdicts, leaders, reserves, stay_open)
            WITH ORDINALITY AS r (id, kind, debit_account, credit_account, amount, currency, ref, effective_at, actor_kind, actor_id, hold_id,
                                  reversal_of, expires_at, verdict, leader, reserve, stays_open, item)
        -- No look at what is there: an id that somebody else used meanwhile must fail here, and be judged again.
        WHERE r.leader = r.item
          AND (r.verdict IS NULL OR r.verdict IN ('insufficient_funds', 'balance_overflow', 'limit_exceeded', 'account_closed'))
    ), transfers AS (
        INSERT INTO ledger.transfer (id, kind, debit_account, credit_account, amount, currency, reference, effective_at, outcome,
                                     actor_kind, actor_id, hold_id, reversal_of, expires_at)
        SELECT d.id, d.kind, d.debit_account, d.credit_account, d.amount, d.currency, d.ref, d.effective, d.outcome, d.actor_kind, d.actor_id, d.hold_id, d.reversal_of, d.expires_at
        FROM decided AS d ORDER BY d.id
    ), side AS (
        SELECT d.debit_account AS account_id, 'debit' AS side, d.id AS transfer_id, d.amount, d.currency, d.effective, d.item
        FROM decided AS d WHERE d.outcome = 'posted'
        UNION ALL
        SELECT d.credit_account, 'credit', d.id, d.amount, d.currency, d.effective, d.item FROM decided AS d WHERE d.outcome = 'posted'
    ), numbered AS (
        SELECT s.*, CASE s.side WHEN a.normal_side THEN s.amount ELSE -s.amount END AS change,
            GREATEST(a.newest_at, public.stoa_now()) AS recorded_at, a.entry_count + row_number() OVER earlier AS number,
            a.posted + ledger.total(CASE s.side WHEN a.normal_side THEN s.amount ELSE -s.amount END) OVER earlier AS balance_after
        -- OFFSET 0 keeps it a look-up by key for each side, however small the table was when the plan was made.
        FROM side AS s CROSS JOIN LATERAL (SELECT * FROM ledger.account AS x WHERE x.id = s.account_id OFFSET 0) AS a
        WINDOW earlier AS (PARTITION BY s.account_id ORDER BY s.item ROWS UNBOUNDED PRECEDING)
    ), entries AS (
        INSERT INTO ledger.entry (account_id, number, transfer_id, side, amount, currency, balance_after, recorded_at, effective_at)
        SELECT n.account_id, n.number, n.transfer_id, n.side, n.amount, n.currency, n.balance_after, n.recorded_at, n.effective FROM numbered AS n
    ), reserved AS (
        SELECT d.debit_account AS account_id, d.id AS transfer_id, coalesce(d.hold_id, d.id) AS hold_id, d.outcome AS step, d.reserve AS amount,
            d.stays_open, d.expires_at, a.hold_entry_count + row_number() OVER earlier AS number,
            a.held + ledger.total(CASE d.outcome WHEN 'held' THEN d.reserve ELSE -d.reserve END) OVER earlier AS held_after
        FROM decided AS d CROSS JOIN LATERAL (SELECT * FROM ledger.account AS x WHERE x.id = d.debit_account OFFSET 0) AS a
        WHERE d.verdict IS NULL AND d.reserve IS NOT NULL
        WINDOW earlier AS (PARTITION BY d.debit_account ORDER BY d.item ROWS UNBOUNDED PRECEDING)
    ), hold_entries AS (
        INSERT INTO ledger.hold_entry (account_id, number, hold_id, step, transfer_id, amount, held_after)
        SELECT r.account_id, r.number, r.hold_id, r.step, r.transfer_id, r.amount, r.held_after FROM reserved AS r
    ), opened AS (
        INSERT INTO ledger.open_hold (id, account_id, amount, expires_at)
        SELECT r.hold_id, r.account_id, r.amount, r.expires_at FROM reserved AS r WHERE r.stays_open ORDER BY r.hold_id
    ), ended AS (
        DELETE FROM ledger.open_hold AS o WHERE o.id = ANY (ARRAY(SELECT r.hold_id FROM reserved AS r WHERE r.step <> 'held'))
    )
    UPDATE ledger.account AS a
    SET posted = a.posted + n.posted, entry_count = a.entry_count + n.entries, held = a.held + n.held, hold_entry_count = a.hold_entry_count + n.holds,
        newest_at = CASE WHEN n.entries > 0 THEN GREATEST(a.newest_at, public.stoa_now()) ELSE a.newest_at END
    FROM (SELECT m.account_id, ledger.total(m.posted) AS posted, sum(m.entries) AS entries, ledger.total(m.held) AS held, sum(m.holds) AS holds
          FROM (SELECT x.account_id, x.change AS posted, 1 AS entries, 0 AS held, 0 AS holds FROM numbered AS x
                UNION ALL
                SELECT r.account_id, 0, 0, CASE r.step WHEN 'held' THEN r.amount ELSE -r.amount END, 1 FROM reserved AS r) AS m
          GROUP BY m.account_id) AS n
    WHERE a.id = n.account_id;
END
$$;

ALTER FUNCTION ledger.write_transfers(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], actor_kinds text[], actor_ids text[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[], verdicts text[], leaders integer[], reserves bigint[], stay_open boolean[]) OWNER TO stoa_door;

CREATE FUNCTION mandates.act(credential bytea, mandate uuid, own_hash bytea, acting_hash bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION mandates.act(credential bytea, mandate uuid, own_hash bytea, acting_hash bytea) OWNER TO stoa_door;

CREATE TABLE mandates.event (
    mandate_id uuid NOT NULL,
    kind text NOT NULL,
    account_id uuid,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT event_check CHECK (((kind = 'erased'::text) = (account_id IS NULL))),
    CONSTRAINT event_kind_check CHECK ((kind = ANY (ARRAY['accepted'::text, 'declined'::text, 'given_up'::text, 'withdrawn'::text, 'erased'::text])))
);

ALTER TABLE mandates.event OWNER TO stoa_owner;

CREATE TABLE mandates.mandate (
    id uuid NOT NULL,
    reference text GENERATED ALWAYS AS (('M-'::text || upper("left"(md5((id)::text), 8)))) STORED NOT NULL,
    resident_id uuid NOT NULL,
    helper_id uuid NOT NULL,
    themes text[] NOT NULL,
    basis text NOT NULL,
    granted_by uuid NOT NULL,
    sealed_helper_name bytea NOT NULL,
    sealed_resident_name bytea NOT NULL,
    granted_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT mandate_basis_check CHECK ((basis = 'power_of_attorney'::text)),
    CONSTRAINT mandate_for_another CHECK ((helper_id <> resident_id)),
    CONSTRAINT mandate_sealed_helper_name_check CHECK (((octet_length(sealed_helper_name) >= 29) AND (octet_length(sealed_helper_name) <= 1024))),
    CONSTRAINT mandate_sealed_resident_name_check CHECK (((octet_length(sealed_resident_name) >= 29) AND (octet_length(sealed_resident_name) <= 1024))),
    CONSTRAINT mandate_themes_check CHECK (((cardinality(themes) >= 1) AND (themes <@ '{messages,money}'::text[]))),
    CONSTRAINT mandate_until CHECK (((until > granted_at) AND (until <= (granted_at + '2 years 1 day'::interval))))
);

ALTER TABLE mandates.mandate OWNER TO stoa_owner;

CREATE FUNCTION mandates.state(m mandates.mandate) RETURNS text
    LANGUAGE sql STABLE
    RETURN COALESCE((SELECT e.kind FROM mandates.event e WHERE ((e.mandate_id = (state.m).id) AND (e.kind <> 'accepted'::text)) ORDER BY e.at, e.kind LIMIT 1), CASE WHEN ((m).until <= public.stoa_now()) THEN 'expired'::text WHEN (EXISTS (SELECT FROM mandates.event e WHERE ((e.mandate_id = (state.m).id) AND (e.kind = 'accepted'::text)))) THEN 'in_force'::text ELSE 'waiting'::text END);

ALTER FUNCTION mandates.state(m mandates.mandate) OWNER TO stoa_door;

CREATE TABLE mandates.acting (
    hash bytea NOT NULL,
    session_hash bytea NOT NULL,
    mandate_id uuid NOT NULL,
    since timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT acting_hash_check CHECK ((octet_length(hash) = 32))
);

ALTER TABLE mandates.acting OWNER TO stoa_owner;

CREATE FUNCTION mandates.acting_as(credential bytea) RETURNS TABLE(mandate_id uuid, reference text, resident_id uuid, helper_id uuid, account_id uuid, session_hash bytea, themes text[], is_in_force boolean)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT m.id,
     m.reference,
     m.resident_id,
     m.helper_id,
     a.id,
     w.session_hash,
     m.themes,
     (mandates.state(m.*) = 'in_force'::text)
    FROM (((mandates.acting w
      JOIN web.credential c ON (((c.hash = w.session_hash) AND web.is_live(c.*))))
      JOIN identity.account a ON (((a.id = c.account_id) AND (a.closed_at IS NULL))))
      JOIN mandates.mandate m ON (((m.id = w.mandate_id) AND (m.helper_id = a.resident_id))))
   WHERE (w.hash = acting_as.credential);
END;

ALTER FUNCTION mandates.acting_as(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION mandates.decide(credential bytea, mandate uuid, kind text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION mandates.decide(credential bytea, mandate uuid, kind text) OWNER TO stoa_door;

CREATE FUNCTION mandates.grant_mandate(credential bytea, mandate uuid, code text, themes text[], until timestamp with time zone, sealed_helper_name bytea, sealed_resident_name bytea) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION mandates.grant_mandate(credential bytea, mandate uuid, code text, themes text[], until timestamp with time zone, sealed_helper_name bytea, sealed_resident_name bytea) OWNER TO stoa_door;

CREATE FUNCTION mandates.helper_behind(code text) RETURNS TABLE(resident_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT r.id
    FROM ((register.resident named
      JOIN register.resident r ON ((r.id = COALESCE(named.superseded_by, named.id))))
      JOIN identity.account a ON (((a.resident_id = r.id) AND (a.closed_at IS NULL))))
   WHERE ((named.public_code = helper_behind.code) AND (r.identity_assurance >= 1));
END;

ALTER FUNCTION mandates.helper_behind(code text) OWNER TO stoa_door;

CREATE FUNCTION mandates.helper_key(credential bytea, code text) RETURNS TABLE(holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT k.resident_id, k.key_id, k.wrapped_key
        FROM identity.account_of(helper_key.credential) AS me CROSS JOIN mandates.helper_behind(helper_key.code) AS h
        JOIN register.data_key AS k ON k.resident_id = h.resident_id;
END
$$;

ALTER FUNCTION mandates.helper_key(credential bytea, code text) OWNER TO stoa_door;

CREATE FUNCTION mandates.log(entry_id uuid, subject uuid, account uuid, operation text, purpose text, reference text, refusal text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, operation, attributes, purpose, legal_basis, law, case_reference, outcome, refusal)
        VALUES (log.entry_id, public.stoa_now(), log.subject, 'resident', log.account::text, 'helper', log.operation, '{}', log.purpose,
            CASE WHEN log.refusal IS NULL THEN 'mandate' END, NULL, log.reference,
            CASE WHEN log.refusal IS NULL THEN 'permitted' ELSE 'refused' END, log.refusal);
    INSERT INTO access_log.queue (entry_id) VALUES (log.entry_id);
END
$$;

ALTER FUNCTION mandates.log(entry_id uuid, subject uuid, account uuid, operation text, purpose text, reference text, refusal text) OWNER TO stoa_door;

CREATE FUNCTION mandates.log_view(credential bytea, entry_id uuid, theme text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION mandates.log_view(credential bytea, entry_id uuid, theme text) OWNER TO stoa_door;

CREATE FUNCTION mandates.mandates_of(credential bytea) RETURNS TABLE(id uuid, reference text, is_given boolean, state text, themes text[], basis text, granted_at timestamp with time zone, until timestamp with time zone, other_code text, sealed_name bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT m.id, m.reference, m.resident_id = me.resident_id, mandates.state(m), m.themes, m.basis, m.granted_at, m.until, other.public_code,
            CASE WHEN m.resident_id = me.resident_id THEN m.sealed_helper_name ELSE m.sealed_resident_name END, k.resident_id, k.key_id, k.wrapped_key
        FROM identity.account_of(mandates_of.credential) AS me
        JOIN mandates.mandate AS m ON me.resident_id IN (m.resident_id, m.helper_id)
        JOIN register.resident AS other ON other.id = CASE WHEN m.resident_id = me.resident_id THEN m.helper_id ELSE m.resident_id END
        JOIN register.data_key AS k ON k.resident_id = me.resident_id
        ORDER BY m.granted_at DESC, m.id LIMIT 100;
END
$$;

ALTER FUNCTION mandates.mandates_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION mandates.open_max() RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN 20;

ALTER FUNCTION mandates.open_max() OWNER TO stoa_door;

CREATE TABLE access_log.own_view (
    credential bytea NOT NULL,
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    entry_id uuid NOT NULL
);

ALTER TABLE access_log.own_view OWNER TO stoa_owner;

CREATE FUNCTION mandates.person(credential bytea, theme text) RETURNS TABLE(resident_id uuid, account_id uuid, mandate_id uuid, reference text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT w.resident_id,
     w.account_id,
     w.mandate_id,
     w.reference
    FROM ((mandates.acting_as(person.credential) w(mandate_id, reference, resident_id, helper_id, account_id, session_hash, themes, is_in_force)
      JOIN access_log.own_view v ON (((v.credential = person.credential) AND (v.kind = ('mandate_'::text || person.theme)) AND (v.subject_id = w.resident_id))))
      JOIN access_log.entry logged ON (((logged.id = v.entry_id) AND (logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()))))
   WHERE (w.is_in_force AND (person.theme = ANY (w.themes)));
END;

ALTER FUNCTION mandates.person(credential bytea, theme text) OWNER TO stoa_door;

CREATE FUNCTION mandates.represented(credential bytea) RETURNS TABLE(id uuid, reference text, themes text[], is_in_force boolean, until timestamp with time zone, sealed_name bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT m.id, m.reference, m.themes, w.is_in_force, m.until, m.sealed_resident_name, k.resident_id, k.key_id, k.wrapped_key
        FROM mandates.acting_as(represented.credential) AS w
        JOIN mandates.mandate AS m ON m.id = w.mandate_id
        JOIN register.data_key AS k ON k.resident_id = w.helper_id;
END
$$;

ALTER FUNCTION mandates.represented(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION mandates.stop_acting(credential bytea, new_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    own bytea;
BEGIN
    DELETE FROM mandates.acting AS w WHERE w.hash = stop_acting.credential RETURNING w.session_hash INTO own;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE web.credential AS c SET hash = stop_acting.new_hash, last_used_at = public.stoa_now() WHERE c.hash = own AND c.kind = 'session' AND web.is_live(c);
    RETURN FOUND;
END
$$;

ALTER FUNCTION mandates.stop_acting(credential bytea, new_hash bytea) OWNER TO stoa_door;

CREATE TABLE messages.message (
    id uuid NOT NULL,
    resident_id uuid NOT NULL,
    kind text NOT NULL,
    parameters jsonb DEFAULT '{}'::jsonb NOT NULL,
    sent_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT message_kind_check CHECK ((kind ~ '^[a-z][a-z_]{1,39}$'::text)),
    CONSTRAINT message_parameters_check CHECK (((jsonb_typeof(parameters) = 'object'::text) AND (pg_column_size(parameters) < 4096)))
);

ALTER TABLE messages.message OWNER TO stoa_owner;

CREATE FUNCTION mandates.tell(resident uuid, kind text, reference text) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
 INSERT INTO messages.message (id, resident_id, kind, parameters)
   VALUES (gen_random_uuid(), tell.resident, tell.kind, jsonb_build_object('reference', tell.reference));
END;

ALTER FUNCTION mandates.tell(resident uuid, kind text, reference text) OWNER TO stoa_door;

CREATE FUNCTION messages.messages_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, kind text, parameters jsonb, sent_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT m.id, m.kind, m.parameters, m.sent_at
        FROM (
            SELECT a.resident_id FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
            WHERE c.hash = messages_of.credential AND web.is_live(c) AND (c.kind = 'session' OR 'messages' = ANY (c.scope))
            UNION ALL
            -- A helper, after the look is logged.
            SELECT p.resident_id FROM mandates.person(messages_of.credential, 'messages') AS p) AS me
        JOIN register.resident AS r ON r.id = me.resident_id OR r.superseded_by = me.resident_id
        JOIN messages.message AS m ON m.resident_id = r.id
        WHERE (messages_of.before_at IS NULL OR (m.sent_at, m.id) < (messages_of.before_at, messages_of.before_id))
        ORDER BY m.sent_at DESC, m.id DESC
        LIMIT LEAST(messages_of.page_size, 200);
END
$$;

ALTER FUNCTION messages.messages_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION openid.add_service(id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    activity uuid := (SELECT a.id FROM consent.processing_activity AS a WHERE a.organisation_id = add_service.organisation AND a.purpose = add_service.purpose);
BEGIN
    IF add_service.purpose IS NOT NULL AND activity IS NULL THEN RETURN 'purpose_unknown'; END IF;
    INSERT INTO openid.client (id, kind, organisation_id, name, redirect_uris, jwks, scope, activity_id, id_token_algorithm, profile, resources,
                               post_logout_redirect_uris, backchannel_logout_uri, has_devices)
        VALUES (add_service.id, CASE WHEN add_service.jwks IS NULL THEN 'public' ELSE 'confidential' END, add_service.organisation, add_service.name,
            add_service.redirect_uris, add_service.jwks, add_service.scope, activity, add_service.id_token_algorithm, add_service.profile, add_service.resources,
            add_service.post_logout_redirect_uris, add_service.backchannel_logout_uri, add_service.has_devices);
    RETURN 'added';
END
$$;

ALTER FUNCTION openid.add_service(id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) OWNER TO stoa_door;

CREATE FUNCTION openid.add_service_by_staff(credential bytea, id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    administrator uuid := (SELECT s.staff_id FROM web.staff_with(add_service_by_staff.credential, '{organisation_administrator}') AS s);
    outcome text;
BEGIN
    IF administrator IS NULL THEN RETURN 'role_missing'; END IF;
    outcome := openid.add_service(id, organisation, name, redirect_uris, jwks, scope, purpose, id_token_algorithm, profile, resources, post_logout_redirect_uris,
        backchannel_logout_uri, has_devices);
    IF outcome = 'added' THEN
        INSERT INTO openid.service_change (client_id, staff_id, what) VALUES (add_service_by_staff.id, administrator, 'entered');
    END IF;
    RETURN outcome;
END
$$;

ALTER FUNCTION openid.add_service_by_staff(credential bytea, id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) OWNER TO stoa_door;

CREATE FUNCTION openid.add_signing_key(kid text, algorithm text, public_jwk jsonb, key_id text, wrapped_private_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7308895161);
    IF NOT EXISTS (SELECT FROM openid.due_algorithms() AS d (name) WHERE d.name = add_signing_key.algorithm) THEN RETURN false; END IF;
    INSERT INTO openid.signing_key (kid, algorithm, public_jwk, key_id, wrapped_private_key, signs_from)
        VALUES (add_signing_key.kid, add_signing_key.algorithm, add_signing_key.public_jwk, add_signing_key.key_id, add_signing_key.wrapped_private_key,
            CASE WHEN EXISTS (SELECT FROM openid.signing_key AS k WHERE k.algorithm = add_signing_key.algorithm)
                THEN public.stoa_now() + openid.key_lead() ELSE public.stoa_now() END);
    RETURN true;
END
$$;

ALTER FUNCTION openid.add_signing_key(kid text, algorithm text, public_jwk jsonb, key_id text, wrapped_private_key bytea) OWNER TO stoa_door;

CREATE FUNCTION openid.close_service(credential bytea, id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    administrator uuid := (SELECT s.staff_id FROM web.staff_with(close_service.credential, '{organisation_administrator}') AS s);
BEGIN
    IF administrator IS NULL THEN RETURN false; END IF;
    UPDATE openid.client AS k SET closed_at = public.stoa_now() WHERE k.id = close_service.id AND k.closed_at IS NULL AND 'openid' = ANY (k.scope);
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO openid.service_change (client_id, staff_id, what) VALUES (close_service.id, administrator, 'closed');
    RETURN true;
END
$$;

ALTER FUNCTION openid.close_service(credential bytea, id text) OWNER TO stoa_door;

CREATE FUNCTION openid.connect(request uuid, session bytea, decision text, policy_version integer, language text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    asked record;
    person record;
BEGIN
    SELECT s.client_id, s.scope, s.attributes, s.shared, s.policy_version, s.legal_basis, k.organisation_id, k.activity_id INTO asked
        FROM openid.standing(connect.request, connect.session) AS s JOIN openid.client AS k ON k.id = s.client_id;
    SELECT a.id, a.resident_id INTO person FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id
        WHERE c.hash = connect.session AND c.kind = 'session' AND web.is_live(c) AND a.closed_at IS NULL;
    IF person IS NULL THEN RETURN 'session_ended'; END IF;
    IF connect.decision = 'share' AND asked.legal_basis = 'consent' AND NOT asked.attributes <@ asked.shared THEN
        IF connect.policy_version IS DISTINCT FROM asked.policy_version THEN RETURN 'policy_changed'; END IF;
        PERFORM consent.append(gen_random_uuid(), person.resident_id, asked.activity_id, 'given',
            ARRAY(SELECT a.id FROM register.attribute AS a JOIN consent.policy AS p ON a.id = ANY (p.attributes)
                  WHERE p.activity_id = asked.activity_id AND p.version = asked.policy_version AND a.id = ANY (asked.attributes || asked.shared) ORDER BY a.position),
            asked.policy_version, person.id, NULL, NULL, 'self', 'page', connect.language, NULL);
    END IF;
    INSERT INTO exchange.pseudonym (organisation_id, resident_id) VALUES (asked.organisation_id, person.resident_id)
        ON CONFLICT (resident_id, organisation_id) DO NOTHING;
    INSERT INTO openid.connection AS x (account_id, client_id, scope, declined)
        VALUES (person.id, asked.client_id, asked.scope, CASE connect.decision WHEN 'decline'
            THEN ARRAY(SELECT d.id FROM unnest(asked.attributes) AS d (id) WHERE NOT d.id = ANY (asked.shared)) ELSE '{}' END)
        ON CONFLICT (account_id, client_id) DO UPDATE SET
            scope = CASE WHEN x.ended_at IS NULL THEN ARRAY(SELECT DISTINCT s.name FROM unnest(x.scope || excluded.scope) AS s (name) ORDER BY 1) ELSE excluded.scope END,
            declined = CASE WHEN connect.decision = 'share' THEN '{}' WHEN x.ended_at IS NOT NULL THEN excluded.declined
                ELSE ARRAY(SELECT DISTINCT d.id FROM unnest(x.declined || excluded.declined) AS d (id) ORDER BY 1) END,
            connected_at = CASE WHEN x.ended_at IS NULL THEN x.connected_at ELSE public.stoa_now() END,
            last_used_at = public.stoa_now(), ended_at = NULL;
    RETURN 'connected';
END
$$;

ALTER FUNCTION openid.connect(request uuid, session bytea, decision text, policy_version integer, language text) OWNER TO stoa_door;

CREATE FUNCTION openid.connections_of(session bytea) RETURNS TABLE(client_id text, client_name jsonb, organisation_name jsonb, purpose_title jsonb, activity_id uuid, shared text[], connected_at timestamp with time zone, last_used_at timestamp with time zone, is_lasting boolean, open_sign_ins integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT k.id, k.name, o.name, p.title, act.id,
            ARRAY(SELECT x.id FROM register.attribute AS x
                  WHERE x.id = ANY (CASE WHEN act.legal_basis <> 'consent' THEN p.attributes WHEN held.state IN ('given', 'renewed') THEN held.attributes END)
                  ORDER BY x.position),
            n.connected_at, n.last_used_at, 'offline_access' = ANY (n.scope),
            (SELECT count(*)::integer FROM openid.sign_in AS s WHERE s.account_id = a.id AND s.client_id = k.id AND s.ended_at IS NULL)
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        JOIN openid.connection AS n ON n.account_id = a.id AND n.ended_at IS NULL
        JOIN openid.client AS k ON k.id = n.client_id
        LEFT JOIN consent.organisation AS o ON o.id = k.organisation_id
        LEFT JOIN consent.processing_activity AS act ON act.id = k.activity_id
        LEFT JOIN consent.policy AS p ON p.activity_id = act.id AND p.version = act.policy_version
        LEFT JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state, s.attributes FROM consent.state AS s
            WHERE s.resident_id = a.resident_id AND s.activity_id = act.id) AS held ON true
        WHERE c.hash = connections_of.session AND c.kind = 'session' AND web.is_live(c)
        ORDER BY n.last_used_at DESC, k.id;
END
$$;

ALTER FUNCTION openid.connections_of(session bytea) OWNER TO stoa_door;

CREATE FUNCTION openid.count_device_guess(session bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    account uuid := (SELECT c.account_id FROM web.credential AS c WHERE c.hash = count_device_guess.session AND c.kind = 'session' AND web.is_live(c));
BEGIN
    IF account IS NULL THEN RETURN false; END IF;
    -- One after the other, so that many at once count as many.
    PERFORM pg_advisory_xact_lock(hashtextextended('openid.device_guess ' || account, 0));
    INSERT INTO openid.device_guess (account_id) VALUES (account);
    RETURN (SELECT count(*) <= 10 FROM openid.device_guess AS g WHERE g.account_id = account AND g.at > public.stoa_now() - interval '10 minutes');
END
$$;

ALTER FUNCTION openid.count_device_guess(session bytea) OWNER TO stoa_door;

CREATE FUNCTION openid.disconnect(session bytea, client_id text, language text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    person record;
    activity uuid;
BEGIN
    SELECT a.id, a.resident_id INTO person FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        WHERE c.hash = disconnect.session AND c.kind = 'session' AND web.is_live(c);
    IF person IS NULL THEN RETURN false; END IF;
    UPDATE openid.connection AS n SET ended_at = public.stoa_now()
        WHERE n.account_id = person.id AND n.client_id = disconnect.client_id AND n.ended_at IS NULL;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM openid.end_sign_in(s.id) FROM openid.sign_in AS s WHERE s.account_id = person.id AND s.client_id = disconnect.client_id AND s.ended_at IS NULL;
    -- Another service of the organisation may go on with the same consent.
    SELECT k.activity_id INTO activity FROM openid.client AS k JOIN consent.processing_activity AS p ON p.id = k.activity_id AND p.legal_basis = 'consent'
        WHERE k.id = disconnect.client_id AND NOT EXISTS (
            SELECT FROM openid.connection AS n JOIN openid.client AS other ON other.id = n.client_id
            WHERE n.account_id = person.id AND n.ended_at IS NULL AND other.activity_id = k.activity_id);
    IF activity IS NOT NULL THEN
        PERFORM consent.append(gen_random_uuid(), person.resident_id, activity, 'withdrawn', NULL, NULL, person.id, NULL, NULL, 'self', 'page', disconnect.language, NULL);
    END IF;
    RETURN true;
END
$$;

ALTER FUNCTION openid.disconnect(session bytea, client_id text, language text) OWNER TO stoa_door;

CREATE FUNCTION openid.due_algorithms() RETURNS SETOF text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY SELECT a.name FROM unnest('{ES256,EdDSA,RS256}'::text[]) AS a (name)
        WHERE NOT EXISTS (SELECT FROM openid.signing_key AS k
                          WHERE k.algorithm = a.name AND k.signs_from + openid.key_period() > public.stoa_now() + openid.key_lead());
END
$$;

ALTER FUNCTION openid.due_algorithms() OWNER TO stoa_door;

CREATE FUNCTION openid.end_sign_in(sign_in uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE openid.sign_in AS s SET ended_at = public.stoa_now() WHERE s.id = end_sign_in.sign_in AND s.ended_at IS NULL;
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.sign_in_id = end_sign_in.sign_in AND c.revoked_at IS NULL;
    PERFORM openid.tell_logout(end_sign_in.sign_in);
    RETURN true;
END
$$;

ALTER FUNCTION openid.end_sign_in(sign_in uuid) OWNER TO stoa_door;

CREATE FUNCTION openid.end_sign_ins_of_session() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM openid.tell_logout(s.id) FROM openid.sign_in AS s
        WHERE s.session_id = NEW.id AND s.ended_at IS NULL AND 'offline_access' = ANY (s.scope);
    PERFORM openid.end_sign_in(s.id) FROM openid.sign_in AS s
        WHERE s.session_id = NEW.id AND s.ended_at IS NULL AND NOT 'offline_access' = ANY (s.scope);
    RETURN NULL;
END
$$;

ALTER FUNCTION openid.end_sign_ins_of_session() OWNER TO stoa_door;

CREATE FUNCTION openid.introspect(token_hash bytea, asked_by text) RETURNS TABLE(is_access boolean, client_id text, subject uuid, scope text[], issued_at timestamp with time zone, expires_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT t.is_access, t.client_id, s.subject, t.scope, t.issued_at, t.expires_at
        FROM (
            SELECT true AS is_access, c.client_id, c.sign_in_id, c.scope, c.created_at AS issued_at, c.expires_at
            FROM web.credential AS c WHERE c.hash = introspect.token_hash AND c.kind = 'access_token' AND c.organisation_id IS NOT NULL AND web.is_live(c)
            UNION ALL
            SELECT false, x.client_id, x.id, x.scope, r.issued_at, r.expires_at
            FROM openid.refresh_token AS r JOIN openid.sign_in AS x ON x.id = r.sign_in_id JOIN openid.client AS k ON k.id = x.client_id
            WHERE r.hash = introspect.token_hash AND r.expires_at > public.stoa_now() AND r.replaced_at IS NULL AND (r.used_at IS NULL OR k.profile = 'fapi2')
        ) AS t
        JOIN openid.client AS k ON k.id = t.client_id AND k.closed_at IS NULL
        JOIN openid.client AS me ON me.id = introspect.asked_by AND me.organisation_id = k.organisation_id AND me.closed_at IS NULL
        LEFT JOIN openid.sign_in AS s ON s.id = t.sign_in_id
        LEFT JOIN identity.account AS a ON a.id = s.account_id
        WHERE s.id IS NULL OR (s.ended_at IS NULL AND a.closed_at IS NULL AND a.resident_id = s.resident_id);
END
$$;

ALTER FUNCTION openid.introspect(token_hash bytea, asked_by text) OWNER TO stoa_door;

CREATE FUNCTION openid.key_lead() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN '24:00:00'::interval;

ALTER FUNCTION openid.key_lead() OWNER TO stoa_door;

CREATE FUNCTION openid.key_period() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN ((30)::double precision * '24:00:00'::interval);

ALTER FUNCTION openid.key_period() OWNER TO stoa_door;

CREATE FUNCTION openid.logout_attempts_max() RETURNS smallint
    LANGUAGE sql IMMUTABLE
    RETURN (10)::smallint;

ALTER FUNCTION openid.logout_attempts_max() OWNER TO stoa_door;

CREATE FUNCTION openid.logout_retry_delay(attempt integer) RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (attempt > 6) THEN '02:00:00'::interval ELSE (power((2)::double precision, ((attempt - 1))::double precision) * '00:01:00'::interval) END;

ALTER FUNCTION openid.logout_retry_delay(attempt integer) OWNER TO stoa_door;

CREATE FUNCTION openid.note_logout(notice uuid, attempt smallint, told boolean, outcome text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE openid.logout_notice AS n SET outcome = note_logout.outcome, told_at = CASE WHEN note_logout.told THEN public.stoa_now() END,
            next_at = CASE WHEN NOT note_logout.told THEN n.next_at END
        WHERE n.id = note_logout.notice AND n.told_at IS NULL AND (note_logout.told OR n.attempts = note_logout.attempt);
END
$$;

ALTER FUNCTION openid.note_logout(notice uuid, attempt smallint, told boolean, outcome text) OWNER TO stoa_door;

CREATE FUNCTION openid.poll_device(device_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    device record;
    code bytea;
BEGIN
    SELECT d.interval_seconds, d.asked_at, r.id, r.client_id, r.answered_at, r.expires_at INTO device
        FROM openid.device_request AS d JOIN openid.authorization_request AS r ON r.id = d.request_id
        WHERE d.hash = poll_device.device_hash FOR UPDATE OF d;
    IF device IS NULL OR device.client_id <> poll_device.client_id THEN
        outcome := 'unknown';
        RETURN;
    END IF;
    UPDATE openid.device_request AS d SET asked_at = public.stoa_now(),
            interval_seconds = CASE WHEN device.asked_at > public.stoa_now() - make_interval(secs => device.interval_seconds)
                THEN LEAST(d.interval_seconds + 5, 3600) ELSE d.interval_seconds END
        WHERE d.hash = poll_device.device_hash;
    IF device.answered_at IS NULL THEN
        outcome := CASE WHEN device.expires_at <= public.stoa_now() THEN 'expired'
            WHEN device.asked_at > public.stoa_now() - make_interval(secs => device.interval_seconds) THEN 'slow_down' ELSE 'pending' END;
        RETURN;
    END IF;
    SELECT a.hash INTO code FROM openid.authorization_code AS a WHERE a.request_id = device.id;
    IF code IS NULL THEN
        outcome := 'refused';
        RETURN;
    END IF;
    SELECT x.* INTO outcome, scope, resource, sign_in_id, subject, nonce, signed_in_at, authenticator_assurance, identity_assurance, id_token_claims, issued_at
        FROM web.redeem_authorization_code(code, poll_device.client_id, poll_device.redirect_uri, poll_device.code_challenge, poll_device.token_hash,
            poll_device.lifetime_seconds, poll_device.refresh_hash, poll_device.key_thumbprint) AS x;
END
$$;

ALTER FUNCTION openid.poll_device(device_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION openid.refresh(token_hash bytea, client_id text, scope text[], access_hash bytea, lifetime_seconds integer, successor_hash bytea, key_thumbprint text, OUT outcome text, OUT has_rotated boolean, OUT granted text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    held record;
    token openid.refresh_token;
    successor openid.refresh_token;
BEGIN
    SELECT s.id, s.client_id, s.subject, s.signed_in_at, s.authenticator_assurance, s.scope, s.ended_at, s.resource, s.key_thumbprint, k.kind, k.profile, k.organisation_id, r.identity_assurance,
        a.closed_at IS NULL AND a.resident_id = s.resident_id AND k.closed_at IS NULL AS stands
        INTO held
        FROM openid.refresh_token AS t JOIN openid.sign_in AS s ON s.id = t.sign_in_id JOIN openid.client AS k ON k.id = s.client_id
        JOIN identity.account AS a ON a.id = s.account_id JOIN register.resident AS r ON r.id = s.resident_id
        WHERE t.hash = refresh.token_hash FOR UPDATE OF s;
    IF held IS NULL OR held.client_id <> refresh.client_id THEN
        outcome := 'unknown';
        RETURN;
    END IF;
    -- Read after the wait for the sign-in's row: whoever held it may have used the token.
    SELECT t.* INTO token FROM openid.refresh_token AS t WHERE t.hash = refresh.token_hash;
    IF held.ended_at IS NOT NULL OR NOT held.stands THEN
        outcome := 'ended';
        RETURN;
    ELSIF token.expires_at <= public.stoa_now() THEN
        outcome := 'expired';
        RETURN;
    ELSIF NOT coalesce(refresh.scope, held.scope) <@ held.scope THEN
        outcome := 'scope_unknown';
        RETURN;
    ELSIF held.kind = 'public' AND held.key_thumbprint IS NOT NULL AND held.key_thumbprint IS DISTINCT FROM refresh.key_thumbprint THEN
        outcome := 'key_differs';
        RETURN;
    END IF;
    has_rotated := held.profile <> 'fapi2';
    IF has_rotated THEN
        IF token.used_at IS NOT NULL OR token.replaced_at IS NOT NULL THEN
            SELECT t.* INTO successor FROM openid.refresh_token AS t WHERE t.predecessor = refresh.token_hash AND t.replaced_at IS NULL;
            IF token.replaced_at IS NOT NULL OR token.used_at <= public.stoa_now() - openid.refresh_grace() OR successor.hash IS NULL OR successor.used_at IS NOT NULL THEN
                PERFORM openid.end_sign_in(held.id);
                outcome := 'reused';
                has_rotated := NULL;
                RETURN;
            END IF;
            UPDATE openid.refresh_token AS t SET replaced_at = public.stoa_now() WHERE t.hash = successor.hash;
            UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.hash = successor.access_hash AND c.revoked_at IS NULL;
        ELSE
            UPDATE openid.refresh_token AS t SET used_at = public.stoa_now() WHERE t.hash = refresh.token_hash;
        END IF;
        INSERT INTO openid.refresh_token (hash, sign_in_id, predecessor, access_hash, expires_at)
            VALUES (refresh.successor_hash, held.id, refresh.token_hash, refresh.access_hash, public.stoa_now() + openid.refresh_lifetime());
    ELSE
        UPDATE openid.refresh_token AS t SET expires_at = public.stoa_now() + openid.refresh_lifetime() WHERE t.hash = refresh.token_hash;
    END IF;
    outcome := 'issued';
    granted := coalesce(refresh.scope, held.scope);
    refresh.issued_at := public.stoa_now();
    INSERT INTO web.credential (hash, kind, organisation_id, client_id, scope, authenticator_assurance, sign_in_id, expires_at)
        VALUES (refresh.access_hash, 'access_token', held.organisation_id, held.client_id, refresh.granted, held.authenticator_assurance, held.id,
            refresh.issued_at + make_interval(secs => LEAST(lifetime_seconds, 600)));
    refresh.sign_in_id := held.id;
    refresh.subject := held.subject;
    refresh.resource := held.resource;
    refresh.signed_in_at := held.signed_in_at;
    refresh.authenticator_assurance := held.authenticator_assurance;
    refresh.identity_assurance := held.identity_assurance;
    refresh.id_token_claims := '{}';
END
$$;

ALTER FUNCTION openid.refresh(token_hash bytea, client_id text, scope text[], access_hash bytea, lifetime_seconds integer, successor_hash bytea, key_thumbprint text, OUT outcome text, OUT has_rotated boolean, OUT granted text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION openid.refresh_grace() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN '00:01:00'::interval;

ALTER FUNCTION openid.refresh_grace() OWNER TO stoa_door;

CREATE FUNCTION openid.refresh_lifetime() RETURNS interval
    LANGUAGE sql IMMUTABLE
    RETURN ((30)::double precision * '24:00:00'::interval);

ALTER FUNCTION openid.refresh_lifetime() OWNER TO stoa_door;

CREATE FUNCTION openid.register_service(token_hash bytea, id text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], id_token_algorithm text, post_logout_redirect_uris text[], backchannel_logout_uri text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    token record;
BEGIN
    UPDATE openid.registration_token AS t SET uses_left = t.uses_left - 1
        WHERE t.hash = register_service.token_hash AND t.uses_left > 0 AND t.expires_at > public.stoa_now()
        RETURNING t.organisation_id, t.purpose INTO token;
    IF token IS NULL THEN RETURN 'token_invalid'; END IF;
    RETURN openid.add_service(register_service.id, token.organisation_id, register_service.name, register_service.redirect_uris, register_service.jwks,
        register_service.scope, token.purpose, register_service.id_token_algorithm, 'baseline', '{}', register_service.post_logout_redirect_uris,
        register_service.backchannel_logout_uri, false);
END
$$;

ALTER FUNCTION openid.register_service(token_hash bytea, id text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], id_token_algorithm text, post_logout_redirect_uris text[], backchannel_logout_uri text) OWNER TO stoa_door;

CREATE FUNCTION openid.remove_past_keys() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM openid.signing_key AS k WHERE EXISTS (
        SELECT FROM openid.signing_key AS n WHERE n.algorithm = k.algorithm AND n.signs_from > k.signs_from AND n.signs_from < public.stoa_now() - interval '24 hours');
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

ALTER FUNCTION openid.remove_past_keys() OWNER TO stoa_door;

CREATE FUNCTION openid.remove_past_sign_ins() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM openid.device_guess AS g WHERE g.at < public.stoa_now() - interval '10 minutes';
    DELETE FROM openid.logout_notice AS n WHERE n.made_at < public.stoa_now() - interval '1 day';
    WITH past AS (DELETE FROM openid.refresh_token AS t WHERE t.expires_at < public.stoa_now() RETURNING t.sign_in_id)
    UPDATE openid.sign_in AS s SET ended_at = public.stoa_now()
        WHERE s.id IN (SELECT p.sign_in_id FROM past AS p) AND s.ended_at IS NULL
          AND NOT EXISTS (SELECT FROM openid.refresh_token AS t WHERE t.sign_in_id = s.id AND t.expires_at >= public.stoa_now());
    DELETE FROM openid.sign_in AS s
        WHERE s.created_at < public.stoa_now() - interval '1 day' AND (NOT 'offline_access' = ANY (s.scope) OR s.ended_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM web.credential AS c WHERE c.sign_in_id = s.id);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

ALTER FUNCTION openid.remove_past_sign_ins() OWNER TO stoa_door;

CREATE FUNCTION openid.replace_service_keys(credential bytea, id text, jwks jsonb) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    administrator uuid := (SELECT s.staff_id FROM web.staff_with(replace_service_keys.credential, '{organisation_administrator}') AS s);
BEGIN
    IF administrator IS NULL THEN RETURN false; END IF;
    UPDATE openid.client AS k SET jwks = replace_service_keys.jwks
        WHERE k.id = replace_service_keys.id AND k.kind = 'confidential' AND k.closed_at IS NULL AND 'openid' = ANY (k.scope);
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO openid.service_change (client_id, staff_id, what) VALUES (replace_service_keys.id, administrator, 'keys_replaced');
    RETURN true;
END
$$;

ALTER FUNCTION openid.replace_service_keys(credential bytea, id text, jwks jsonb) OWNER TO stoa_door;

CREATE FUNCTION openid.revoke_token(token_hash bytea, client_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    owner text;
    sign_in uuid;
BEGIN
    SELECT c.client_id INTO owner FROM web.credential AS c WHERE c.hash = revoke_token.token_hash AND c.kind = 'access_token' AND web.is_live(c);
    IF owner IS NULL THEN
        SELECT s.client_id, s.id INTO owner, sign_in FROM openid.refresh_token AS t JOIN openid.sign_in AS s ON s.id = t.sign_in_id
            WHERE t.hash = revoke_token.token_hash;
    END IF;
    IF owner IS NULL THEN RETURN 'unknown'; END IF;
    IF owner <> revoke_token.client_id THEN RETURN 'other_client'; END IF;
    IF sign_in IS NULL THEN
        UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.hash = revoke_token.token_hash AND c.revoked_at IS NULL;
    ELSE
        PERFORM openid.end_sign_in(sign_in);
    END IF;
    RETURN 'revoked';
END
$$;

ALTER FUNCTION openid.revoke_token(token_hash bytea, client_id text) OWNER TO stoa_door;

CREATE FUNCTION openid.services(credential bytea) RETURNS TABLE(id text, name jsonb, organisation_name jsonb, purpose_title jsonb, purpose_explanation jsonb, attributes text[], redirect_uris text[], key_ids text[], scope text[], is_fapi boolean, created_at timestamp with time zone, closed_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT k.id, k.name, o.name, p.title, p.explanation, coalesce(p.attributes, '{}'), k.redirect_uris,
            ARRAY(SELECT coalesce(j.key ->> 'kid', '-') FROM jsonb_array_elements(coalesce(k.jwks -> 'keys', '[]')) AS j (key)),
            k.scope, k.profile = 'fapi2', k.created_at, k.closed_at
        FROM web.staff_with(services.credential, '{organisation_administrator}') AS administrator
        CROSS JOIN openid.client AS k JOIN consent.organisation AS o ON o.id = k.organisation_id
        LEFT JOIN consent.processing_activity AS a ON a.id = k.activity_id
        LEFT JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
        WHERE 'openid' = ANY (k.scope)
        ORDER BY k.closed_at IS NOT NULL, k.id;
END
$$;

ALTER FUNCTION openid.services(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION openid.sign_in_of(token bytea) RETURNS TABLE(sign_in_id uuid, subject uuid, client_id text, scope text[], user_info_claims text[], has_claims boolean, now timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT s.id, s.subject, s.client_id, c.scope, s.user_info_claims, k.activity_id IS NOT NULL, public.stoa_now()
        FROM web.credential AS c JOIN openid.sign_in AS s ON s.id = c.sign_in_id
        JOIN identity.account AS a ON a.id = s.account_id AND a.resident_id = s.resident_id AND a.closed_at IS NULL
        JOIN openid.client AS k ON k.id = s.client_id AND k.closed_at IS NULL
        WHERE c.hash = sign_in_of.token AND web.is_live(c) AND s.ended_at IS NULL;
END
$$;

ALTER FUNCTION openid.sign_in_of(token bytea) OWNER TO stoa_door;

CREATE FUNCTION openid.standing(request uuid, session bytea) RETURNS TABLE(client_id text, client_name jsonb, organisation_name jsonb, registered_at timestamp with time zone, redirect_uri text, scope text[], state text, prompt text[], max_age_seconds integer, essential_acr text[], browser bytea, created_at timestamp with time zone, expires_at timestamp with time zone, is_expired boolean, is_answered boolean, legal_basis text, law text, purpose_title jsonb, purpose_explanation jsonb, policy_version integer, attributes text[], shared text[], declined text[], connected_scope text[], connected_at timestamp with time zone, signed_in_at timestamp with time zone, authenticator_assurance smallint, identity_assurance smallint, now timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT r.client_id, k.name, o.name, k.created_at, r.redirect_uri, r.scope, r.state, r.prompt,
            r.max_age_seconds, r.essential_acr, r.browser, r.created_at, r.expires_at,
            r.expires_at <= public.stoa_now() OR k.closed_at IS NOT NULL, r.answered_at IS NOT NULL,
            act.legal_basis, act.law, p.title, p.explanation, p.version,
            ARRAY(SELECT a.id FROM register.attribute AS a WHERE a.id = ANY (r.attributes) AND a.id = ANY (p.attributes) ORDER BY a.position),
            CASE WHEN act.legal_basis <> 'consent' THEN p.attributes WHEN held.state IN ('given', 'renewed') THEN held.attributes ELSE '{}' END,
            coalesce(x.declined, '{}'), x.scope, x.connected_at, c.authenticated_at, c.authenticator_assurance, person.identity_assurance, public.stoa_now()
        FROM openid.authorization_request AS r JOIN openid.client AS k ON k.id = r.client_id
        LEFT JOIN consent.organisation AS o ON o.id = k.organisation_id
        LEFT JOIN consent.processing_activity AS act ON act.id = k.activity_id
        LEFT JOIN consent.policy AS p ON p.activity_id = act.id AND p.version = act.policy_version
        LEFT JOIN web.credential AS c ON c.hash = standing.session AND c.kind = 'session' AND c.account_id IS NOT NULL AND web.is_live(c)
        LEFT JOIN identity.account AS account ON account.id = c.account_id AND account.closed_at IS NULL
        LEFT JOIN register.resident AS person ON person.id = account.resident_id
        LEFT JOIN openid.connection AS x ON x.account_id = account.id AND x.client_id = k.id AND x.ended_at IS NULL
        LEFT JOIN LATERAL (SELECT consent.state_at(s.state, s.valid_until, public.stoa_now()) AS state, s.attributes FROM consent.state AS s
            WHERE s.resident_id = account.resident_id AND s.activity_id = act.id) AS held ON true
        WHERE r.id = standing.request;
END
$$;

ALTER FUNCTION openid.standing(request uuid, session bytea) OWNER TO stoa_door;

CREATE FUNCTION openid.take_logouts(notices_max integer) RETURNS TABLE(id uuid, attempt smallint, url text, client_id text, algorithm text, sign_in_id uuid, subject uuid, now timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        WITH due AS (
            SELECT n.id FROM openid.logout_notice AS n WHERE n.next_at <= public.stoa_now()
            ORDER BY n.next_at LIMIT take_logouts.notices_max FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE openid.logout_notice AS n SET attempts = n.attempts + 1,
                next_at = CASE WHEN n.attempts + 1 < openid.logout_attempts_max() THEN public.stoa_now() + openid.logout_retry_delay(n.attempts + 1) END
            FROM due AS d WHERE n.id = d.id
            RETURNING n.id, n.attempts, n.client_id, n.sign_in_id, n.subject)
        SELECT t.id, t.attempts, k.backchannel_logout_uri, k.id, k.id_token_algorithm, t.sign_in_id, t.subject, public.stoa_now()
        FROM taken AS t JOIN openid.client AS k ON k.id = t.client_id WHERE k.backchannel_logout_uri IS NOT NULL AND k.closed_at IS NULL;
END
$$;

ALTER FUNCTION openid.take_logouts(notices_max integer) OWNER TO stoa_door;

CREATE FUNCTION openid.tell_logout(sign_in uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO openid.logout_notice (client_id, sign_in_id, subject)
        SELECT s.client_id, s.id, s.subject FROM openid.sign_in AS s JOIN openid.client AS k ON k.id = s.client_id
        WHERE s.id = tell_logout.sign_in AND k.backchannel_logout_uri IS NOT NULL AND k.closed_at IS NULL;
END
$$;

ALTER FUNCTION openid.tell_logout(sign_in uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.remainder_97(characters text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT (((string_agg(CASE WHEN (ascii(c.letter) < 65) THEN c.letter ELSE ((ascii(c.letter) - 55))::text END, ''::text ORDER BY c."position"))::numeric % (97)::numeric))::integer AS int4 FROM string_to_table(remainder_97.characters, NULL::text) WITH ORDINALITY c(letter, "position"));

ALTER FUNCTION payments.remainder_97(characters text) OWNER TO stoa_owner;

CREATE FUNCTION payments.is_creditor_reference(reference text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (reference ~ '^RF[0-9]{2}[A-Z0-9]{1,21}$'::text) THEN (payments.remainder_97((substr(reference, 5) || substr(reference, 1, 4))) = 1) ELSE false END;

ALTER FUNCTION payments.is_creditor_reference(reference text) OWNER TO stoa_owner;

CREATE FUNCTION payments.next_creditor_reference() RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    body text := lpad(nextval('payments.creditor_reference_number')::text, 10, '0');
BEGIN
    RETURN 'RF' || lpad((98 - payments.remainder_97(body || 'RF00'))::text, 2, '0') || body;
END
$$;

ALTER FUNCTION payments.next_creditor_reference() OWNER TO stoa_owner;

CREATE TABLE ledger.account (
    id uuid NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL,
    resident_id uuid,
    organisation_id text,
    normal_side text NOT NULL,
    may_go_negative boolean DEFAULT false NOT NULL,
    balance_min bigint,
    balance_max bigint,
    posted bigint DEFAULT 0 NOT NULL,
    entry_count bigint DEFAULT 0 NOT NULL,
    held bigint DEFAULT 0 NOT NULL,
    hold_entry_count bigint DEFAULT 0 NOT NULL,
    newest_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT account_balance_max_check CHECK (((balance_max >= '-9007199254740991'::bigint) AND (balance_max <= '9007199254740991'::bigint))),
    CONSTRAINT account_balance_min_check CHECK (((balance_min >= '-9007199254740991'::bigint) AND (balance_min <= '9007199254740991'::bigint))),
    CONSTRAINT account_check CHECK ((num_nonnulls(resident_id, organisation_id) = 1)),
    CONSTRAINT account_check1 CHECK (((kind = 'wallet'::text) = (resident_id IS NOT NULL))),
    CONSTRAINT account_check2 CHECK ((may_go_negative OR (balance_min >= 0))),
    CONSTRAINT account_closes_without_holds CHECK (((closed_at IS NULL) OR (held = 0))),
    CONSTRAINT account_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT account_entry_count_check CHECK ((entry_count >= 0)),
    CONSTRAINT account_held_check CHECK (((held >= 0) AND (held <= '9007199254740991'::bigint))),
    CONSTRAINT account_hold_entry_count_check CHECK ((hold_entry_count >= 0)),
    CONSTRAINT account_kind_check CHECK ((kind = ANY (ARRAY['wallet'::text, 'treasury'::text, 'revenue'::text, 'fees'::text, 'funding'::text, 'clearing'::text, 'suspense'::text, 'general'::text]))),
    CONSTRAINT account_normal_side_check CHECK ((normal_side = ANY (ARRAY['debit'::text, 'credit'::text]))),
    CONSTRAINT account_not_overdrawn CHECK (((posted - held) >= COALESCE(balance_min,
CASE
    WHEN may_go_negative THEN '-9007199254740991'::bigint
    ELSE (0)::bigint
END))),
    CONSTRAINT account_within_limits CHECK (((posted >= '-9007199254740991'::bigint) AND (posted <= COALESCE(balance_max, '9007199254740991'::bigint))))
)
WITH (fillfactor='50');

ALTER TABLE ledger.account OWNER TO stoa_owner;

CREATE TABLE payments.bill (
    id uuid NOT NULL,
    resident_id uuid NOT NULL,
    kind text NOT NULL,
    reference text NOT NULL,
    creditor_reference text DEFAULT payments.next_creditor_reference() NOT NULL,
    title jsonb NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    issued_on date NOT NULL,
    due_on date NOT NULL,
    pays_into uuid NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bill_amount_check CHECK (((amount >= 1) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT bill_check CHECK ((due_on >= issued_on)),
    CONSTRAINT bill_creditor_reference_check CHECK (payments.is_creditor_reference(creditor_reference)),
    CONSTRAINT bill_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT bill_kind_check CHECK ((kind = ANY (ARRAY['tax'::text, 'fee'::text, 'fine'::text, 'permit'::text, 'rent'::text]))),
    CONSTRAINT bill_reference_check CHECK ((reference ~ '^[A-Z0-9][A-Z0-9-]{2,34}$'::text)),
    CONSTRAINT bill_title_check CHECK ((jsonb_typeof((title -> 'en'::text)) = 'string'::text))
);

ALTER TABLE payments.bill OWNER TO stoa_owner;

CREATE FUNCTION payments.accounts_of_allocations(allocations jsonb) RETURNS uuid[]
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT COALESCE(array_agg(x.account), '{}'::uuid[]) AS "coalesce"
    FROM ( SELECT b.pays_into AS account
            FROM (jsonb_array_elements(accounts_of_allocations.allocations) a(value)
              JOIN payments.bill b ON ((b.id = ((a.value ->> 'bill'::text))::uuid)))
         UNION ALL
          SELECT w.id
            FROM (((jsonb_array_elements(accounts_of_allocations.allocations) a(value)
              JOIN payments.bill b ON ((b.id = ((a.value ->> 'bill'::text))::uuid)))
              JOIN register.resident r ON ((r.id = b.resident_id)))
              JOIN ledger.account w ON (((w.resident_id = COALESCE(r.superseded_by, r.id)) AND (w.currency = b.currency) AND (w.kind = 'wallet'::text) AND (w.closed_at IS NULL))))
           WHERE (NOT ((a.value ->> 'is_payment'::text))::boolean)) x;
END;

ALTER FUNCTION payments.accounts_of_allocations(allocations jsonb) OWNER TO stoa_door;

CREATE FUNCTION payments.approve_till(credential bytea, till uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    approver uuid;
    closing record;
    cash uuid;
    differences uuid;
BEGIN
    SELECT s.staff_id INTO approver FROM web.staff_with(approve_till.credential, '{finance_officer,approver}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    PERFORM payments.lock_till(approve_till.till);
    SELECT c.till_id, c.closed_by, c.expected, c.counted, t.currency, t.ledger_account INTO closing
        FROM payments.till_closing AS c JOIN payments.till AS t ON t.id = c.till_id WHERE c.till_id = approve_till.till;
    IF NOT FOUND THEN RETURN 'till_unknown'; END IF;
    IF closing.counted = closing.expected THEN RETURN 'no_difference'; END IF;
    IF EXISTS (SELECT FROM payments.till_approval AS a WHERE a.till_id = closing.till_id) THEN RETURN 'already_approved'; END IF;
    IF closing.closed_by = approver THEN RETURN 'self_approval'; END IF;
    INSERT INTO payments.till_approval (till_id, closed_by, approved_by) VALUES (closing.till_id, closing.closed_by, approver);
    cash := payments.cash_account(closing.currency, false);
    differences := payments.cash_account(closing.currency, true);
    IF closing.counted > closing.expected THEN
        PERFORM payments.move_cash(payments.derived_id('till difference ' || closing.till_id), closing.ledger_account, differences,
            closing.counted - closing.expected, closing.currency, 'TILL OVER', approver);
    ELSE
        PERFORM payments.move_cash(payments.derived_id('till difference ' || closing.till_id), differences, closing.ledger_account,
            closing.expected - closing.counted, closing.currency, 'TILL SHORT', approver);
    END IF;
    PERFORM payments.move_cash(payments.derived_id('till closing ' || closing.till_id), cash, closing.ledger_account, closing.counted, closing.currency,
        'TILL CLOSING', approver);
    RETURN 'approved';
END
$$;

ALTER FUNCTION payments.approve_till(credential bytea, till uuid) OWNER TO stoa_door;

CREATE TABLE payments.bank_report (
    id uuid NOT NULL,
    file_sha256 bytea NOT NULL,
    "position" integer NOT NULL,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    reported_id text NOT NULL,
    sequence_number bigint,
    period_from timestamp with time zone,
    period_to timestamp with time zone,
    opening bigint,
    opening_currency text,
    opening_on date,
    closing bigint,
    closing_currency text,
    closing_on date,
    problems text[] NOT NULL,
    CONSTRAINT bank_report_check CHECK ((num_nulls(opening, opening_currency, opening_on) = ANY (ARRAY[0, 3]))),
    CONSTRAINT bank_report_check1 CHECK ((num_nulls(closing, closing_currency, closing_on) = ANY (ARRAY[0, 3]))),
    CONSTRAINT bank_report_kind_check CHECK ((kind = ANY (ARRAY['statement'::text, 'notification'::text]))),
    CONSTRAINT bank_report_position_check CHECK (("position" >= 1)),
    CONSTRAINT bank_report_problems_check CHECK ((problems <@ ARRAY['opening_missing'::text, 'closing_missing'::text, 'balances_differ'::text, 'currency'::text, 'day_missing'::text])),
    CONSTRAINT bank_report_reported_id_check CHECK ((length(reported_id) <= 500))
);

ALTER TABLE payments.bank_report OWNER TO stoa_owner;

CREATE FUNCTION payments.are_apart(one payments.bank_report, other payments.bank_report) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (num_nulls((one).period_from, (one).period_to, (other).period_from, (other).period_to) = 0) THEN (((one).period_to <= (other).period_from) OR ((other).period_to <= (one).period_from)) WHEN (((one).sequence_number = (other).sequence_number) OR (((one).opening = (other).opening) AND ((one).closing = (other).closing))) THEN false ELSE (COALESCE((((one).closing = (other).opening) AND ((one).closing_on <= (other).opening_on)), false) OR COALESCE((((other).closing = (one).opening) AND ((other).closing_on <= (one).opening_on)), false)) END;

ALTER FUNCTION payments.are_apart(one payments.bank_report, other payments.bank_report) OWNER TO stoa_door;

CREATE FUNCTION payments.assign_item(credential bytea, item uuid, bill_reference text, receipt_code text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid;
    part record;
    owed record;
    rest bigint;
    net bigint;
    allocations jsonb;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(assign_item.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    SELECT i.id, i.currency, m.direction, a.suspense_account INTO part
        FROM payments.bank_item AS i JOIN payments.bank_movement AS m ON m.id = i.movement_id JOIN payments.bank_account AS a ON a.id = m.account_id
        WHERE i.id = assign_item.item;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'item_unknown'); END IF;
    IF part.direction <> 'credit' THEN RETURN jsonb_build_object('outcome', 'not_received'); END IF;
    PERFORM payments.lock_item(part.id);
    IF payouts.awaits(part.id) IS NOT NULL THEN RETURN jsonb_build_object('outcome', 'is_payout'); END IF;
    SELECT b.id, b.currency, b.reference INTO owed FROM payments.bill AS b
        WHERE b.reference = assign_item.bill_reference OR b.creditor_reference = assign_item.bill_reference;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'bill_unknown'); END IF;
    IF owed.currency <> part.currency THEN RETURN jsonb_build_object('outcome', 'currency_differs'); END IF;

    rest := payments.item_rest(part.id);
    IF rest <= 0 THEN RETURN jsonb_build_object('outcome', 'nothing_left'); END IF;
    PERFORM payments.lock_bill(owed.id);
    net := GREATEST(0, LEAST(rest, payments.outstanding(owed.id)));
    allocations := payments.plan_allocation(part.id, owed.id, rest, net, assign_item.receipt_code);
    PERFORM payments.post_from_suspense(part.currency, '{}', '{}', '{}', '{}', '{}', allocations, part.suspense_account, officer, 'staff', officer::text);
    RETURN jsonb_build_object('outcome', 'assigned', 'amount', net, 'surplus', rest - net, 'reference', owed.reference, 'notices', payments.notices(allocations));
END
$$;

ALTER FUNCTION payments.assign_item(credential bytea, item uuid, bill_reference text, receipt_code text) OWNER TO stoa_door;

CREATE FUNCTION payments.bank_item_history_for(credential bytea, item uuid) RETURNS TABLE(kind text, amount bigint, currency text, reference text, reason text, staff_name text, at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT h.kind, h.amount, i.currency, h.reference, h.reason, s.display_name, h.at
        FROM payments.bank_item AS i
        CROSS JOIN LATERAL (
            SELECT 'received' AS kind, i.amount, NULL::text AS reference, NULL::text AS reason, NULL::uuid AS staff_id, i.recorded_at AS at, 0 AS step
            UNION ALL
            SELECT CASE WHEN a.payment_id IS NULL THEN 'credited' WHEN a.assigned_by IS NULL THEN 'matched' ELSE 'assigned' END, a.amount, b.reference, NULL,
                a.assigned_by, a.allocated_at, CASE WHEN a.payment_id IS NULL THEN 2 ELSE 1 END
            FROM payments.bank_allocation AS a JOIN payments.bill AS b ON b.id = a.bill_id WHERE a.item_id = i.id
            UNION ALL
            SELECT 'return_proposed', r.amount, NULL, r.reason, r.proposed_by, r.proposed_at, 3 FROM payments.bank_return AS r WHERE r.item_id = i.id
            UNION ALL
            SELECT 'return_' || d.kind, r.amount, NULL, NULL, d.decided_by, d.decided_at, 4
            FROM payments.bank_return AS r JOIN payments.bank_return_decision AS d ON d.return_id = r.id WHERE r.item_id = i.id
            UNION ALL
            SELECT CASE p.direction WHEN 'debit' THEN 'payout_left' ELSE 'payout_returned' END, i.amount, payouts.reference_of(p.instruction_id, p.batch_id), NULL,
                p.counted_by, p.counted_at, 5
            FROM payments.bank_payout AS p WHERE p.item_id = i.id) AS h
        LEFT JOIN identity.staff AS s ON s.id = h.staff_id
        WHERE i.id = bank_item_history_for.item
          AND EXISTS (SELECT FROM web.staff_with(bank_item_history_for.credential, '{finance_officer,approver,auditor}'))
        ORDER BY h.at, h.step;
END
$$;

ALTER FUNCTION payments.bank_item_history_for(credential bytea, item uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.bank_items_for(credential bytea, item uuid, page_size integer) RETURNS TABLE(id uuid, account text, direction text, is_reversal boolean, amount bigint, rest bigint, currency text, booked_on date, bank_reference text, creditor_reference text, payer_name text, payer_account text, remittance text, return_id uuid, return_reason text, return_amount bigint, returned_by_me boolean, awaits text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT i.id, a.identification, m.direction, m.is_reversal, i.amount, remains.amount, i.currency, m.booked_on, e.bank_reference,
            part.value ->> 'creditor_reference', part.value ->> 'payer_name', part.value ->> 'payer_account', part.value ->> 'text',
            r.id, r.reason, r.amount, r.proposed_by = s.staff_id, CASE WHEN m.direction = 'credit' THEN payouts.awaits(i.id) END
        FROM web.staff_with(bank_items_for.credential, '{finance_officer,approver,auditor}') AS s
        JOIN payments.bank_item AS i ON CASE WHEN bank_items_for.item IS NULL THEN i.id IN (SELECT w.item_id FROM payments.bank_item_waiting AS w)
                                             ELSE i.id = bank_items_for.item END
        JOIN payments.bank_movement AS m ON m.id = i.movement_id
        JOIN payments.bank_account AS a ON a.id = m.account_id
        JOIN payments.bank_entry AS e ON (e.report_id, e.position) = (m.report_id, m.position)
        CROSS JOIN LATERAL (SELECT e.parts -> (i.number - 1) AS value) AS part
        CROSS JOIN LATERAL (SELECT payments.item_rest(i.id) AS amount) AS remains
        LEFT JOIN payments.bank_return AS r ON r.item_id = i.id
            AND NOT EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = r.id)
        WHERE (r.id IS NOT NULL OR EXISTS (SELECT FROM web.staff_with(bank_items_for.credential, '{finance_officer,auditor}')))
        ORDER BY m.booked_on, i.id
        LIMIT LEAST(bank_items_for.page_size, 201);
END
$$;

ALTER FUNCTION payments.bank_items_for(credential bytea, item uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION payments.bank_reports_for(credential bytea, report uuid, page_size integer) RETURNS TABLE(id uuid, account text, currency text, kind text, reported_id text, imported_at timestamp with time zone, imported_by text, opening bigint, opening_currency text, opening_on date, closing bigint, closing_currency text, closing_on date, entry_count bigint, came_in bigint, went_out bigint, problems text[], decision text, decision_reason text, decided_by text, decided_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT r.id, a.identification, a.currency, r.kind, r.reported_id, f.imported_at, importer.display_name, r.opening, r.opening_currency, r.opening_on, r.closing,
            r.closing_currency, r.closing_on, e.count, e.came_in, e.went_out, r.problems, d.kind, d.reason, decider.display_name, d.decided_at
        FROM web.staff_with(bank_reports_for.credential, '{finance_officer,auditor}') AS s
        CROSS JOIN payments.bank_report AS r
        JOIN payments.bank_account AS a ON a.id = r.account_id
        JOIN payments.bank_file AS f ON f.sha256 = r.file_sha256
        CROSS JOIN LATERAL (
            SELECT count(*) AS count, coalesce(sum(x.amount) FILTER (WHERE x.direction = 'credit'), 0)::bigint AS came_in,
                coalesce(sum(x.amount) FILTER (WHERE x.direction = 'debit'), 0)::bigint AS went_out
            FROM payments.bank_entry AS x WHERE x.report_id = r.id AND x.status = 'BOOK') AS e
        LEFT JOIN identity.staff AS importer ON importer.id = f.imported_by
        LEFT JOIN payments.bank_report_decision AS d ON d.report_id = r.id
        LEFT JOIN identity.staff AS decider ON decider.id = d.decided_by
        WHERE bank_reports_for.report IS NULL OR r.id = bank_reports_for.report
        ORDER BY f.imported_at DESC, r.position
        LIMIT LEAST(bank_reports_for.page_size, 201);
END
$$;

ALTER FUNCTION payments.bank_reports_for(credential bytea, report uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION payments.bank_waiting_for(credential bytea) RETURNS TABLE(count bigint, oldest timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT count(*), min(w.at) FROM (
            SELECT i.recorded_at AS at
            FROM payments.bank_item_waiting AS q JOIN payments.bank_item AS i ON i.id = q.item_id
            WHERE EXISTS (SELECT FROM web.staff_with(bank_waiting_for.credential, '{finance_officer}'))
               OR EXISTS (SELECT FROM web.staff_with(bank_waiting_for.credential, '{approver}') AS s
                          JOIN payments.bank_return AS r ON r.item_id = i.id AND r.proposed_by <> s.staff_id
                          WHERE NOT EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = r.id))
            UNION ALL
            SELECT f.imported_at
            FROM payments.bank_report AS r JOIN payments.bank_file AS f ON f.sha256 = r.file_sha256
            WHERE r.problems <> '{}' AND NOT EXISTS (SELECT FROM payments.bank_report_decision AS d WHERE d.report_id = r.id)
              AND EXISTS (SELECT FROM web.staff_with(bank_waiting_for.credential, '{finance_officer}'))) AS w;
END
$$;

ALTER FUNCTION payments.bank_waiting_for(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION payments.bill_for(credential bytea, bill_reference text) RETURNS TABLE(id uuid, kind text, reference text, title jsonb, currency text, amount bigint, outstanding bigint, issued_on date, due_on date)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.kind, b.reference, b.title, b.currency, b.amount, payments.outstanding(b.id), b.issued_on, b.due_on
        FROM web.staff_with(bill_for.credential, '{finance_officer,approver,auditor}') AS s
        JOIN payments.bill AS b ON b.reference = bill_for.bill_reference OR b.creditor_reference = bill_for.bill_reference;
END
$$;

ALTER FUNCTION payments.bill_for(credential bytea, bill_reference text) OWNER TO stoa_door;

CREATE FUNCTION payments.bill_lines_of(credential bytea, bill uuid) RETURNS TABLE("position" integer, description jsonb, amount bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT l.position, l.description, l.amount
        FROM payments.bill_of(bill_lines_of.credential, bill_lines_of.bill) AS b JOIN payments.bill_line AS l ON l.bill_id = b.id
        ORDER BY l.position;
END
$$;

ALTER FUNCTION payments.bill_lines_of(credential bytea, bill uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.bill_of(credential bytea, bill uuid) RETURNS TABLE(id uuid, kind text, reference text, creditor_reference text, title jsonb, currency text, amount bigint, outstanding bigint, issued_on date, due_on date, created_at timestamp with time zone, payment_id uuid, method text, gross bigint, fee bigint, net bigint, receipt_code text, transfer_id uuid, paid_at timestamp with time zone, asked_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.kind, b.reference, b.creditor_reference, b.title, b.currency, b.amount, payments.outstanding(b.id), b.issued_on, b.due_on,
            b.created_at, p.id, p.method, p.gross, p.fee, p.net, p.receipt_code, p.transfer_id, p.paid_at, public.stoa_now()
        FROM ledger.payer(bill_of.credential, '{bills,payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payments.bill AS b ON b.resident_id = r.id
        LEFT JOIN LATERAL (SELECT x.* FROM payments.payment AS x WHERE x.bill_id = b.id ORDER BY x.paid_at DESC, x.id DESC LIMIT 1) AS p ON true
        WHERE b.id = bill_of.bill;
END
$$;

ALTER FUNCTION payments.bill_of(credential bytea, bill uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.bills_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, kind text, reference text, creditor_reference text, title jsonb, currency text, amount bigint, outstanding bigint, issued_on date, due_on date, created_at timestamp with time zone, payment_id uuid, method text, gross bigint, fee bigint, net bigint, receipt_code text, transfer_id uuid, paid_at timestamp with time zone, asked_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.kind, b.reference, b.creditor_reference, b.title, b.currency, b.amount, payments.outstanding(b.id), b.issued_on, b.due_on,
            b.created_at, p.id, p.method, p.gross, p.fee, p.net, p.receipt_code, p.transfer_id, p.paid_at, public.stoa_now()
        FROM ledger.payer(bills_of.credential, '{bills}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payments.bill AS b ON b.resident_id = r.id
        LEFT JOIN LATERAL (SELECT x.* FROM payments.payment AS x WHERE x.bill_id = b.id ORDER BY x.paid_at DESC, x.id DESC LIMIT 1) AS p ON true
        WHERE bills_of.before_at IS NULL OR (b.created_at, b.id) < (bills_of.before_at, bills_of.before_id)
        ORDER BY b.created_at DESC, b.id DESC
        LIMIT LEAST(bills_of.page_size, 201);
END
$$;

ALTER FUNCTION payments.bills_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION payments.book_report(report uuid, actor_kind text, actor_id text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    told payments.bank_report;
    account payments.bank_account;
    entry record;
    movement uuid;
    fresh uuid[] := '{}';
    known integer := 0;
    named record;
    -- Of the transfers to post, in order.
    ids uuid[] := '{}';
    debits uuid[] := '{}';
    credits uuid[] := '{}';
    amounts bigint[] := '{}';
    refs text[] := '{}';
    allocations jsonb;
BEGIN
    SELECT r.* INTO STRICT told FROM payments.bank_report AS r WHERE r.id = report;
    SELECT a.* INTO STRICT account FROM payments.bank_account AS a WHERE a.id = told.account_id;

    -- The bank's reference, where it is the same, says more than anything else.
    FOR entry IN SELECT e.* FROM payments.bank_entry AS e
            WHERE e.report_id = told.id AND e.status = 'BOOK' AND e.amount > 0 AND e.bank_reference IS NOT NULL ORDER BY e.position LOOP
        SELECT m.id INTO movement
            FROM (SELECT e.report_id, e.position FROM payments.bank_entry AS e WHERE e.bank_reference = entry.bank_reference OFFSET 0) AS x
            CROSS JOIN LATERAL (SELECT y.movement_id FROM payments.bank_sighting AS y WHERE y.report_id = x.report_id AND y.position = x.position OFFSET 0) AS s
            CROSS JOIN LATERAL (SELECT y.* FROM payments.bank_movement AS y WHERE y.id = s.movement_id OFFSET 0) AS m
            WHERE m.account_id = account.id AND m.booked_on = entry.booked_on AND m.amount = entry.amount
              AND m.direction = entry.direction AND m.is_reversal = entry.is_reversal
              AND NOT EXISTS (SELECT FROM payments.bank_sighting AS y WHERE y.movement_id = m.id AND y.report_id = told.id)
            ORDER BY m.recorded_at, m.id LIMIT 1;
        CONTINUE WHEN NOT FOUND;
        INSERT INTO payments.bank_sighting (report_id, position, movement_id) VALUES (told.id, entry.position, movement);
        known := known + 1;
    END LOOP;

    FOR entry IN SELECT e.* FROM payments.bank_entry AS e
            WHERE e.report_id = told.id AND e.status = 'BOOK' AND e.amount > 0
              AND NOT EXISTS (SELECT FROM payments.bank_sighting AS s WHERE (s.report_id, s.position) = (e.report_id, e.position))
            ORDER BY e.position LOOP
        -- Without the reference: one of which the same was told, or else one of which nothing was. What is doubtful is one movement: a statement, whose
        -- balances prove how many there were, makes it two.
        movement := NULL;
        IF entry.content IS NOT NULL THEN
            SELECT m.id INTO movement
                FROM (SELECT e.report_id, e.position FROM payments.bank_entry AS e WHERE e.content = entry.content OFFSET 0) AS x
                CROSS JOIN LATERAL (SELECT y.movement_id FROM payments.bank_sighting AS y WHERE y.report_id = x.report_id AND y.position = x.position OFFSET 0) AS s
                CROSS JOIN LATERAL (SELECT y.* FROM payments.bank_movement AS y WHERE y.id = s.movement_id OFFSET 0) AS m
                WHERE m.account_id = account.id AND m.booked_on = entry.booked_on AND m.amount = entry.amount
                  AND m.direction = entry.direction AND m.is_reversal = entry.is_reversal AND m.report_id <> told.id
                  AND payments.may_be(m.id, entry.content, entry.bank_reference, told)
                ORDER BY m.recorded_at, m.id LIMIT 1;
        END IF;
        IF movement IS NULL THEN
            SELECT m.id INTO movement FROM payments.bank_movement AS m
                WHERE m.account_id = account.id AND m.booked_on = entry.booked_on AND m.amount = entry.amount
                  AND m.direction = entry.direction AND m.is_reversal = entry.is_reversal AND m.report_id <> told.id
                  AND (entry.content IS NULL OR NOT m.is_told) AND payments.may_be(m.id, entry.content, entry.bank_reference, told)
                ORDER BY m.recorded_at, m.id LIMIT 1;
        END IF;
        IF movement IS NOT NULL THEN
            known := known + 1;
        ELSE
            movement := payments.derived_id('bank movement ' || encode(told.file_sha256, 'hex') || ' ' || told.position || ' ' || entry.position);
            INSERT INTO payments.bank_movement (id, account_id, direction, is_reversal, amount, booked_on, is_told, report_id, position)
                VALUES (movement, account.id, entry.direction, entry.is_reversal, entry.amount, entry.booked_on, entry.content IS NOT NULL, told.id, entry.position);
            INSERT INTO payments.bank_item (id, movement_id, number, amount, currency)
                SELECT payments.derived_id('bank item ' || movement || ' ' || p.number), movement, p.number, (p.part ->> 'amount')::bigint, account.currency
                FROM jsonb_array_elements(entry.parts) WITH ORDINALITY AS p (part, number);
            fresh := fresh || movement;
            ids := ids || movement;
            debits := debits || CASE entry.direction WHEN 'credit' THEN account.ledger_account ELSE account.suspense_account END;
            credits := credits || CASE entry.direction WHEN 'credit' THEN account.suspense_account ELSE account.ledger_account END;
            amounts := amounts || entry.amount;
            refs := refs || left(coalesce(entry.bank_reference, told.reported_id), 140);
        END IF;
        INSERT INTO payments.bank_sighting (report_id, position, movement_id) VALUES (told.id, entry.position, movement);
    END LOOP;

    -- The bills that the new parts name, locked in the order of their ids.
    FOR named IN SELECT DISTINCT n.bill_id FROM payments.named_bills(fresh) AS n ORDER BY n.bill_id LOOP
        PERFORM payments.lock_bill(named.bill_id);
    END LOOP;
    -- What came first pays first.
    SELECT coalesce(jsonb_agg(p.value ORDER BY w."position", w.number, p.number), '[]') INTO allocations
        FROM (SELECT n.*, GREATEST(0, LEAST(n.amount, payments.outstanding(n.bill_id) - coalesce(sum(n.amount) OVER earlier, 0)))::bigint AS net
              FROM payments.named_bills(fresh) AS n
              WINDOW earlier AS (PARTITION BY n.bill_id ORDER BY n."position", n.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS w
        CROSS JOIN LATERAL jsonb_array_elements(payments.plan_allocation(w.item_id, w.bill_id, w.amount, w.net, w.receipt_code))
            WITH ORDINALITY AS p (value, number);
    -- The batches of payouts that the new parts tell of, and then every account that is posted to below, in the order of their ids.
    PERFORM payouts.lock_told(fresh, debits || credits || payments.accounts_of_allocations(allocations));
    PERFORM payments.post_from_suspense(account.currency, ids, debits, credits, amounts, refs, allocations, account.suspense_account, NULL, actor_kind, actor_id);
    PERFORM payouts.follow_bank(told.id, fresh, CASE WHEN actor_kind = 'staff' THEN actor_id::uuid END);
    RETURN jsonb_build_object(
        'booked', cardinality(fresh), 'known', known,
        'matched', (SELECT count(DISTINCT a.value ->> 'item') FROM jsonb_array_elements(allocations) AS a),
        'notices', payments.notices(allocations));
END
$$;

ALTER FUNCTION payments.book_report(report uuid, actor_kind text, actor_id text) OWNER TO stoa_door;

CREATE FUNCTION payments.cash_account(currency text, is_difference boolean) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    account uuid := payments.derived_id(CASE WHEN is_difference THEN 'cash differences ' ELSE 'cash ' END || cash_account.currency);
BEGIN
    IF NOT ledger.open_account(account, CASE WHEN is_difference THEN 'suspense' ELSE 'funding' END, cash_account.currency, NULL, 'city',
                               CASE WHEN is_difference THEN 'credit' ELSE 'debit' END, true) THEN
        RAISE EXCEPTION 'the ledger has another account under this id' USING ERRCODE = 'check_violation', CONSTRAINT = 'cash_account_in_ledger';
    END IF;
    RETURN account;
END
$$;

ALTER FUNCTION payments.cash_account(currency text, is_difference boolean) OWNER TO stoa_door;

CREATE FUNCTION payments.check_bank_account() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = NEW.ledger_account AND a.kind = 'funding' AND a.currency = NEW.currency)
       OR NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = NEW.suspense_account AND a.kind = 'suspense' AND a.currency = NEW.currency) THEN
        RAISE EXCEPTION 'a bank account has a funding and a suspense account of its currency'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_account_in_ledger';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION payments.check_bank_account() OWNER TO stoa_owner;

CREATE FUNCTION payments.check_bill() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    bill uuid := CASE TG_TABLE_NAME WHEN 'bill' THEN to_jsonb(NEW) ->> 'id' ELSE to_jsonb(NEW) ->> 'bill_id' END;
BEGIN
    IF (SELECT b.amount FROM payments.bill AS b WHERE b.id = bill)
        IS DISTINCT FROM (SELECT sum(l.amount) FROM payments.bill_line AS l WHERE l.bill_id = bill) THEN
        RAISE EXCEPTION 'the lines of a bill add up to its amount' USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_equals_lines';
    END IF;
    IF NOT EXISTS (SELECT FROM payments.bill AS b JOIN ledger.account AS a ON a.id = b.pays_into AND a.currency = b.currency WHERE b.id = bill) THEN
        RAISE EXCEPTION 'a bill pays into an account of its currency' USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_pays_into_currency';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.check_bill() OWNER TO stoa_owner;

CREATE FUNCTION payments.check_item() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM payments.lock_item(NEW.item_id);
    IF payments.item_rest(NEW.item_id) < 0 THEN
        RAISE EXCEPTION 'what was received is given out once' USING ERRCODE = 'check_violation', CONSTRAINT = 'allocated_within_item';
    END IF;
    PERFORM payments.refresh_waiting(NEW.item_id);
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.check_item() OWNER TO stoa_owner;

CREATE FUNCTION payments.check_movement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    movement uuid := CASE TG_TABLE_NAME WHEN 'bank_movement' THEN to_jsonb(NEW) ->> 'id' ELSE to_jsonb(NEW) ->> 'movement_id' END;
BEGIN
    IF (SELECT m.amount FROM payments.bank_movement AS m WHERE m.id = movement)
        IS DISTINCT FROM (SELECT sum(i.amount) FROM payments.bank_item AS i WHERE i.movement_id = movement) THEN
        RAISE EXCEPTION 'the parts of a movement sum to it' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_equals_items';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.check_movement() OWNER TO stoa_door;

CREATE FUNCTION payments.check_payment() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM payments.lock_bill(NEW.bill_id);
    IF payments.outstanding(NEW.bill_id) < 0 THEN
        RAISE EXCEPTION 'the payments of a bill sum to at most its amount' USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_within_bill';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.check_payment() OWNER TO stoa_owner;

CREATE FUNCTION payments.check_till_payment() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM payments.lock_till(NEW.till_id);
    IF EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = NEW.till_id) THEN
        RAISE EXCEPTION 'a closed till takes nothing' USING ERRCODE = 'check_violation', CONSTRAINT = 'till_is_open';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.check_till_payment() OWNER TO stoa_owner;

CREATE FUNCTION payments.check_waiver() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    bill uuid := (SELECT w.bill_id FROM payments.waiver AS w WHERE w.id = NEW.waiver_id);
BEGIN
    PERFORM payments.lock_bill(bill);
    IF payments.outstanding(bill) < 0 THEN
        RAISE EXCEPTION 'what is forgone of a bill is at most what is left to pay' USING ERRCODE = 'check_violation', CONSTRAINT = 'waiver_within_bill';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.check_waiver() OWNER TO stoa_owner;

CREATE FUNCTION payments.close_till(credential bytea, till uuid, counted bigint, explanation text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    clerk uuid;
    place record;
    expected bigint;
BEGIN
    SELECT s.staff_id INTO clerk FROM web.staff_with(close_till.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT t.id, t.currency, t.ledger_account INTO place FROM payments.till AS t WHERE t.id = close_till.till AND t.opened_by = clerk;
    IF NOT FOUND THEN RETURN 'till_unknown'; END IF;
    PERFORM payments.lock_till(place.id);
    IF EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = place.id) THEN RETURN 'already_closed'; END IF;
    SELECT a.posted INTO expected FROM ledger.account AS a WHERE a.id = place.ledger_account;
    IF close_till.counted <> expected AND close_till.explanation IS NULL THEN RETURN 'explanation_missing'; END IF;
    INSERT INTO payments.till_closing (till_id, closed_by, expected, counted, explanation)
        VALUES (place.id, clerk, expected, close_till.counted, CASE WHEN close_till.counted <> expected THEN close_till.explanation END);
    IF close_till.counted <> expected THEN RETURN 'waits'; END IF;
    PERFORM payments.move_cash(payments.derived_id('till closing ' || place.id), payments.cash_account(place.currency, false), place.ledger_account, expected,
        place.currency, 'TILL CLOSING', clerk);
    RETURN 'closed';
END
$$;

ALTER FUNCTION payments.close_till(credential bytea, till uuid, counted bigint, explanation text) OWNER TO stoa_door;

CREATE TABLE payments.bank_account (
    id uuid NOT NULL,
    identification text NOT NULL,
    holder text NOT NULL,
    currency text NOT NULL,
    ledger_account uuid NOT NULL,
    suspense_account uuid NOT NULL,
    collects boolean NOT NULL,
    opened_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_account_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT bank_account_holder_check CHECK (((length(holder) >= 1) AND (length(holder) <= 70))),
    CONSTRAINT bank_account_identification_check CHECK ((identification ~ '^[A-Z0-9]{4,34}$'::text))
);

ALTER TABLE payments.bank_account OWNER TO stoa_owner;

CREATE FUNCTION payments.collecting_account(currency text) RETURNS TABLE(identification text, holder text)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT a.identification,
     a.holder
    FROM payments.bank_account a
   WHERE ((a.currency = collecting_account.currency) AND a.collects);
END;

ALTER FUNCTION payments.collecting_account(currency text) OWNER TO stoa_door;

CREATE FUNCTION payments.decide_report(credential bytea, report uuid, decision text, reason text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid;
    told record;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(decide_report.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    SELECT r.id, r.account_id, r.problems INTO told FROM payments.bank_report AS r WHERE r.id = decide_report.report AND r.problems <> '{}';
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'report_unknown'); END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.bank_account ' || told.account_id, 0));
    IF EXISTS (SELECT FROM payments.bank_report_decision AS d WHERE d.report_id = told.id) THEN RETURN jsonb_build_object('outcome', 'already_decided'); END IF;
    IF decide_report.decision = 'booked' AND told.problems && '{currency,day_missing}' THEN RETURN jsonb_build_object('outcome', 'not_bookable'); END IF;
    INSERT INTO payments.bank_report_decision (report_id, kind, reason, decided_by) VALUES (told.id, decide_report.decision, decide_report.reason, officer);
    IF decide_report.decision = 'discarded' THEN RETURN jsonb_build_object('outcome', 'discarded'); END IF;
    RETURN jsonb_build_object('outcome', 'booked') || payments.book_report(told.id, 'staff', officer::text);
END
$$;

ALTER FUNCTION payments.decide_report(credential bytea, report uuid, decision text, reason text) OWNER TO stoa_door;

CREATE FUNCTION payments.decide_return(credential bytea, return_id uuid, decision text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    decider uuid;
    proposal record;
BEGIN
    SELECT s.staff_id INTO decider FROM web.staff_with(decide_return.credential, '{finance_officer,approver}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT r.id, r.item_id, r.proposed_by INTO proposal FROM payments.bank_return AS r WHERE r.id = decide_return.return_id;
    IF NOT FOUND THEN RETURN 'return_unknown'; END IF;
    PERFORM payments.lock_item(proposal.item_id);
    IF EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = proposal.id) THEN RETURN 'already_decided'; END IF;
    IF proposal.proposed_by = decider THEN RETURN 'self_approval'; END IF;
    INSERT INTO payments.bank_return_decision (return_id, proposed_by, kind, decided_by) VALUES (proposal.id, proposal.proposed_by, decide_return.decision, decider);
    RETURN decide_return.decision;
END
$$;

ALTER FUNCTION payments.decide_return(credential bytea, return_id uuid, decision text) OWNER TO stoa_door;

CREATE FUNCTION payments.decide_waiver(credential bytea, waiver uuid, decision text, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    decider uuid;
    proposal record;
BEGIN
    SELECT s.staff_id INTO decider FROM web.staff_with(decide_waiver.credential, '{finance_officer,approver}') AS s;
    IF NOT FOUND THEN outcome := 'role_missing'; RETURN; END IF;
    SELECT w.id, w.bill_id, w.amount, w.proposed_by, b.currency, b.reference, coalesce(r.superseded_by, r.id) AS resident_id INTO proposal
        FROM payments.waiver AS w JOIN payments.bill AS b ON b.id = w.bill_id JOIN register.resident AS r ON r.id = b.resident_id
        WHERE w.id = decide_waiver.waiver;
    IF NOT FOUND THEN outcome := 'waiver_unknown'; RETURN; END IF;
    PERFORM payments.lock_bill(proposal.bill_id);
    IF EXISTS (SELECT FROM payments.waiver_decision AS d WHERE d.waiver_id = proposal.id) THEN outcome := 'already_decided'; RETURN; END IF;
    IF proposal.proposed_by = decider THEN outcome := 'self_approval'; RETURN; END IF;
    IF decide_waiver.decision = 'approved' AND proposal.amount > payments.outstanding(proposal.bill_id) THEN outcome := 'too_much'; RETURN; END IF;
    INSERT INTO payments.waiver_decision (waiver_id, proposed_by, kind, decided_by) VALUES (proposal.id, proposal.proposed_by, decide_waiver.decision, decider);
    outcome := decide_waiver.decision;
    IF outcome = 'refused' THEN RETURN; END IF;
    resident := proposal.resident_id;
    amount := proposal.amount;
    currency := proposal.currency;
    reference := proposal.reference;
    SELECT a.language INTO decide_waiver.language FROM identity.account AS a WHERE a.resident_id = proposal.resident_id;
END
$$;

ALTER FUNCTION payments.decide_waiver(credential bytea, waiver uuid, decision text, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) OWNER TO stoa_door;

CREATE FUNCTION payments.derived_id(name text) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    hash bytea := substr(sha256(convert_to(name, 'UTF8')), 1, 16);
BEGIN
    hash := set_byte(hash, 6, (get_byte(hash, 6) & 15) | 128);
    RETURN encode(set_byte(hash, 8, (get_byte(hash, 8) & 63) | 128), 'hex')::uuid;
END
$$;

ALTER FUNCTION payments.derived_id(name text) OWNER TO stoa_door;

CREATE FUNCTION payments.follow_return_decision() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM payments.refresh_waiting(r.item_id) FROM payments.bank_return AS r WHERE r.id = NEW.return_id;
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.follow_return_decision() OWNER TO stoa_owner;

CREATE FUNCTION payments.import_bank_file(credential bytea, sha256 bytea, file jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(import_bank_file.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    RETURN payments.take_bank_file(import_bank_file.sha256, import_bank_file.file, officer);
END
$$;

ALTER FUNCTION payments.import_bank_file(credential bytea, sha256 bytea, file jsonb) OWNER TO stoa_door;

CREATE FUNCTION payments.issue_bill(id uuid, resident uuid, kind text, reference text, title jsonb, currency text, issued_on date, due_on date, pays_into uuid, line_descriptions jsonb[], line_amounts bigint[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO payments.bill (id, resident_id, kind, reference, title, currency, amount, issued_on, due_on, pays_into)
        VALUES (issue_bill.id, issue_bill.resident, issue_bill.kind, issue_bill.reference, issue_bill.title, issue_bill.currency,
                (SELECT sum(a.amount) FROM unnest(line_amounts) AS a (amount)), issue_bill.issued_on, issue_bill.due_on, issue_bill.pays_into)
        ON CONFLICT ON CONSTRAINT bill_pkey DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO payments.bill_line (bill_id, position, description, amount)
        SELECT issue_bill.id, l.position, l.description, l.amount
        FROM unnest(line_descriptions, line_amounts) WITH ORDINALITY AS l (description, amount, position);
    RETURN true;
END
$$;

ALTER FUNCTION payments.issue_bill(id uuid, resident uuid, kind text, reference text, title jsonb, currency text, issued_on date, due_on date, pays_into uuid, line_descriptions jsonb[], line_amounts bigint[]) OWNER TO stoa_owner;

CREATE TABLE payments.bank_allocation (
    id uuid NOT NULL,
    item_id uuid NOT NULL,
    amount bigint NOT NULL,
    bill_id uuid NOT NULL,
    payment_id uuid,
    assigned_by uuid,
    allocated_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_allocation_amount_check CHECK ((amount > 0))
);

ALTER TABLE payments.bank_allocation OWNER TO stoa_owner;

CREATE TABLE payments.bank_item (
    id uuid NOT NULL,
    movement_id uuid NOT NULL,
    number integer NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    recorded_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_item_amount_check CHECK ((amount > 0)),
    CONSTRAINT bank_item_number_check CHECK ((number >= 1))
);

ALTER TABLE payments.bank_item OWNER TO stoa_owner;

CREATE TABLE payments.bank_payout (
    item_id uuid NOT NULL,
    direction text NOT NULL,
    instruction_id uuid,
    batch_id uuid,
    counted_by uuid,
    counted_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_payout_check CHECK ((num_nonnulls(instruction_id, batch_id) = 1)),
    CONSTRAINT bank_payout_check1 CHECK (((direction = 'debit'::text) OR (batch_id IS NULL))),
    CONSTRAINT bank_payout_direction_check CHECK ((direction = ANY (ARRAY['credit'::text, 'debit'::text])))
);

ALTER TABLE payments.bank_payout OWNER TO stoa_owner;

CREATE TABLE payments.bank_return (
    id uuid NOT NULL,
    item_id uuid NOT NULL,
    amount bigint NOT NULL,
    reason text NOT NULL,
    proposed_by uuid NOT NULL,
    proposed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_return_amount_check CHECK ((amount > 0)),
    CONSTRAINT bank_return_reason_check CHECK (((length(reason) >= 3) AND (length(reason) <= 500)))
);

ALTER TABLE payments.bank_return OWNER TO stoa_owner;

CREATE TABLE payments.bank_return_decision (
    return_id uuid NOT NULL,
    proposed_by uuid NOT NULL,
    kind text NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_return_decision_kind_check CHECK ((kind = ANY (ARRAY['approved'::text, 'refused'::text]))),
    CONSTRAINT returned_by_another CHECK ((decided_by <> proposed_by))
);

ALTER TABLE payments.bank_return_decision OWNER TO stoa_owner;

CREATE FUNCTION payments.item_rest(item uuid) RETURNS bigint
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT (((i.amount - (COALESCE(( SELECT sum(a.amount) AS sum
            FROM payments.bank_allocation a
           WHERE (a.item_id = i.id)), (0)::numeric))::bigint) - (COALESCE(( SELECT sum(r.amount) AS sum
            FROM (payments.bank_return r
              LEFT JOIN payments.bank_return_decision d ON ((d.return_id = r.id)))
           WHERE ((r.item_id = i.id) AND (d.kind IS DISTINCT FROM 'refused'::text))), (0)::numeric))::bigint) -
         CASE
             WHEN (EXISTS ( SELECT
                FROM payments.bank_payout p
               WHERE (p.item_id = i.id))) THEN i.amount
             ELSE (0)::bigint
         END)
    FROM payments.bank_item i
   WHERE (i.id = item_rest.item);
END;

ALTER FUNCTION payments.item_rest(item uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.lock_bill(bill uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM payments.bill AS b WHERE b.id = lock_bill.bill FOR NO KEY UPDATE;
END
$$;

ALTER FUNCTION payments.lock_bill(bill uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.lock_item(item uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM payments.bank_item AS i WHERE i.id = lock_item.item FOR NO KEY UPDATE;
END
$$;

ALTER FUNCTION payments.lock_item(item uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.lock_till(till uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM payments.till AS t WHERE t.id = lock_till.till FOR NO KEY UPDATE;
END
$$;

ALTER FUNCTION payments.lock_till(till uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.may_be(movement uuid, content bytea, bank_reference text, told payments.bank_report) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    seen record;
BEGIN
    SELECT bool_or(s.report_id = told.id) AS is_taken, bool_or(x.content = may_be.content) IS TRUE AS is_like, bool_or(x.content IS NOT NULL) AS is_told,
            bool_or(CASE WHEN r.kind <> told.kind THEN false
                         WHEN r.kind = 'statement' THEN payments.are_apart(r, told)
                         ELSE x.bank_reference <> may_be.bank_reference END) IS TRUE AS is_another,
            bool_or(r.kind = 'statement') AS is_confirmed
        INTO seen
        FROM payments.bank_sighting AS s
        JOIN payments.bank_entry AS x ON (x.report_id, x.position) = (s.report_id, s.position)
        JOIN payments.bank_report AS r ON r.id = s.report_id
        WHERE s.movement_id = may_be.movement;
    RETURN NOT seen.is_taken AND (seen.is_like OR may_be.content IS NULL OR NOT seen.is_told)
        AND NOT (seen.is_another AND NOT (told.kind = 'notification' AND seen.is_confirmed));
END
$$;

ALTER FUNCTION payments.may_be(movement uuid, content bytea, bank_reference text, told payments.bank_report) OWNER TO stoa_door;

CREATE FUNCTION payments.move_cash(transfer uuid, debit uuid, credit uuid, amount bigint, currency text, reference text, staff uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    posted text;
BEGIN
    IF amount = 0 THEN RETURN; END IF;
    SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[transfer], '{post}', ARRAY[debit], ARRAY[credit], ARRAY[amount], ARRAY[currency],
        ARRAY[reference], '{NULL}', '{staff}', ARRAY[staff::text]) AS t;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused cash: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'cash_posted';
    END IF;
END
$$;

ALTER FUNCTION payments.move_cash(transfer uuid, debit uuid, credit uuid, amount bigint, currency text, reference text, staff uuid) OWNER TO stoa_door;

CREATE TABLE payments.bank_entry (
    report_id uuid NOT NULL,
    "position" integer NOT NULL,
    line integer NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    direction text NOT NULL,
    is_reversal boolean NOT NULL,
    status text NOT NULL,
    booked_on date,
    bank_reference text,
    content bytea,
    parts jsonb NOT NULL,
    CONSTRAINT bank_entry_amount_check CHECK (((amount >= 0) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT bank_entry_content_check CHECK ((octet_length(content) = 32)),
    CONSTRAINT bank_entry_direction_check CHECK ((direction = ANY (ARRAY['credit'::text, 'debit'::text]))),
    CONSTRAINT bank_entry_line_check CHECK ((line >= 1)),
    CONSTRAINT bank_entry_parts_check CHECK (((jsonb_typeof(parts) = 'array'::text) AND (jsonb_array_length(parts) >= 1))),
    CONSTRAINT bank_entry_position_check CHECK (("position" >= 1))
);

ALTER TABLE payments.bank_entry OWNER TO stoa_owner;

CREATE TABLE payments.bank_movement (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    direction text NOT NULL,
    is_reversal boolean NOT NULL,
    amount bigint NOT NULL,
    booked_on date NOT NULL,
    is_told boolean NOT NULL,
    report_id uuid NOT NULL,
    "position" integer NOT NULL,
    recorded_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_movement_amount_check CHECK ((amount > 0)),
    CONSTRAINT bank_movement_direction_check CHECK ((direction = ANY (ARRAY['credit'::text, 'debit'::text])))
);

ALTER TABLE payments.bank_movement OWNER TO stoa_owner;

CREATE FUNCTION payments.named_bills(movements uuid[]) RETURNS TABLE(item_id uuid, "position" integer, number integer, amount bigint, receipt_code text, bill_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT i.id,
     m."position",
     i.number,
     i.amount,
     ((e.parts -> (i.number - 1)) ->> 'receipt_code'::text),
     b.id
    FROM (((payments.bank_movement m
      JOIN payments.bank_item i ON ((i.movement_id = m.id)))
      JOIN payments.bank_entry e ON (((e.report_id = m.report_id) AND (e."position" = m."position"))))
      JOIN payments.bill b ON (((b.creditor_reference = ((e.parts -> (i.number - 1)) ->> 'creditor_reference'::text)) AND (b.currency = i.currency))))
   WHERE ((m.id = ANY (named_bills.movements)) AND (m.direction = 'credit'::text) AND (NOT m.is_reversal));
END;

ALTER FUNCTION payments.named_bills(movements uuid[]) OWNER TO stoa_door;

CREATE FUNCTION payments.notices(allocations jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT COALESCE(jsonb_agg(jsonb_build_object('resident', COALESCE(r.superseded_by, r.id), 'reference', b.reference, 'currency', b.currency, 'amount', ((a.value ->> 'amount'::text))::bigint, 'is_payment', ((a.value ->> 'is_payment'::text))::boolean, 'language', i.language)), '[]'::jsonb) AS "coalesce"
    FROM (((jsonb_array_elements(notices.allocations) a(value)
      JOIN payments.bill b ON ((b.id = ((a.value ->> 'bill'::text))::uuid)))
      JOIN register.resident r ON ((r.id = b.resident_id)))
      LEFT JOIN identity.account i ON ((i.resident_id = COALESCE(r.superseded_by, r.id))));
END;

ALTER FUNCTION payments.notices(allocations jsonb) OWNER TO stoa_door;

CREATE FUNCTION payments.open_bank_account(identification text, holder text, currency text, collects boolean) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    name CONSTANT text := 'bank account ' || identification;
BEGIN
    IF EXISTS (SELECT FROM payments.bank_account AS a WHERE a.identification = open_bank_account.identification) THEN RETURN false; END IF;
    IF NOT ledger.open_account(payments.derived_id(name || ' money'), 'funding', currency, NULL, 'city', 'debit', true)
       OR NOT ledger.open_account(payments.derived_id(name || ' suspense'), 'suspense', currency, NULL, 'city', 'credit', true) THEN
        RAISE EXCEPTION 'the ledger has other accounts under these ids' USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_account_in_ledger';
    END IF;
    INSERT INTO payments.bank_account (id, identification, holder, currency, ledger_account, suspense_account, collects)
        VALUES (payments.derived_id(name), open_bank_account.identification, open_bank_account.holder, open_bank_account.currency,
                payments.derived_id(name || ' money'), payments.derived_id(name || ' suspense'), open_bank_account.collects);
    RETURN true;
END
$$;

ALTER FUNCTION payments.open_bank_account(identification text, holder text, currency text, collects boolean) OWNER TO stoa_owner;

CREATE FUNCTION payments.open_till(credential bytea, till uuid, counter text, currency text, opening_float bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    clerk uuid;
    account uuid := payments.derived_id('till ' || open_till.till);
BEGIN
    SELECT s.staff_id INTO clerk FROM web.staff_with(open_till.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.till of ' || clerk, 0));
    IF EXISTS (SELECT FROM payments.till AS t WHERE t.id = open_till.till AND t.opened_by = clerk) THEN RETURN 'exists'; END IF;
    IF EXISTS (SELECT FROM payments.till AS t WHERE t.opened_by = clerk AND NOT EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = t.id)) THEN
        RETURN 'already_open';
    END IF;
    IF NOT ledger.open_account(account, 'funding', open_till.currency, NULL, 'city', 'debit', false) THEN
        RAISE EXCEPTION 'the ledger has another account under this id' USING ERRCODE = 'check_violation', CONSTRAINT = 'cash_account_in_ledger';
    END IF;
    INSERT INTO payments.till (id, opened_by, counter, currency, opening_float, ledger_account)
        VALUES (open_till.till, clerk, open_till.counter, open_till.currency, open_till.opening_float, account);
    PERFORM payments.move_cash(payments.derived_id('till float ' || open_till.till), account, payments.cash_account(open_till.currency, false), open_till.opening_float,
        open_till.currency, 'TILL FLOAT', clerk);
    RETURN 'opened';
END
$$;

ALTER FUNCTION payments.open_till(credential bytea, till uuid, counter text, currency text, opening_float bigint) OWNER TO stoa_door;

CREATE TABLE payments.payment (
    id uuid NOT NULL,
    bill_id uuid NOT NULL,
    currency text NOT NULL,
    gross bigint NOT NULL,
    fee bigint NOT NULL,
    net bigint NOT NULL,
    method text NOT NULL,
    transfer_id uuid NOT NULL,
    receipt_code text NOT NULL,
    account_id uuid,
    client_id text,
    paid_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    mandate_id uuid,
    CONSTRAINT gross_is_fee_and_net CHECK ((gross = (fee + net))),
    CONSTRAINT payment_check CHECK (((method = 'wallet'::text) = (account_id IS NOT NULL))),
    CONSTRAINT payment_fee_check CHECK ((fee >= 0)),
    CONSTRAINT payment_gross_check CHECK ((gross > 0)),
    CONSTRAINT payment_method_check CHECK ((method = ANY (ARRAY['wallet'::text, 'bank_transfer'::text, 'cash'::text]))),
    CONSTRAINT payment_net_check CHECK ((net > 0)),
    CONSTRAINT payment_receipt_code_check CHECK ((receipt_code ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'::text))
);

ALTER TABLE payments.payment OWNER TO stoa_owner;

CREATE TABLE payments.waiver (
    id uuid NOT NULL,
    bill_id uuid NOT NULL,
    amount bigint NOT NULL,
    reason text NOT NULL,
    proposed_by uuid NOT NULL,
    proposed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT waiver_amount_check CHECK (((amount >= 1) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT waiver_reason_check CHECK (((length(reason) >= 3) AND (length(reason) <= 500)))
);

ALTER TABLE payments.waiver OWNER TO stoa_owner;

CREATE TABLE payments.waiver_decision (
    waiver_id uuid NOT NULL,
    proposed_by uuid NOT NULL,
    kind text NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT waived_by_another CHECK ((decided_by <> proposed_by)),
    CONSTRAINT waiver_decision_kind_check CHECK ((kind = ANY (ARRAY['approved'::text, 'refused'::text])))
);

ALTER TABLE payments.waiver_decision OWNER TO stoa_owner;

CREATE FUNCTION payments.outstanding(bill uuid) RETURNS bigint
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT ((b.amount - (COALESCE(( SELECT sum(p.net) AS sum
            FROM payments.payment p
           WHERE (p.bill_id = b.id)), (0)::numeric))::bigint) - (COALESCE(( SELECT sum(w.amount) AS sum
            FROM (payments.waiver w
              JOIN payments.waiver_decision d ON (((d.waiver_id = w.id) AND (d.kind = 'approved'::text))))
           WHERE (w.bill_id = b.id)), (0)::numeric))::bigint)
    FROM payments.bill b
   WHERE (b.id = outstanding.bill);
END;

ALTER FUNCTION payments.outstanding(bill uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.pay(credential bytea, bill uuid, payment_id uuid, receipt_code text, idempotency_key text, request_hash bytea, OUT outcome text, OUT payment uuid, OUT is_new boolean, OUT resident uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    key_route CONSTANT text := 'POST /api/v1/bills/{id}/payments';
    payer record;
    key_actor text;
    earlier record;
    owed record;
    wallet uuid;
    posted text;
BEGIN
    is_new := false;
    SELECT h.* INTO payer FROM ledger.payer(pay.credential, '{payments}') AS h;
    IF NOT FOUND THEN
        outcome := 'credential_invalid';
        RETURN;
    END IF;
    resident := payer.resident_id;

    IF idempotency_key IS NOT NULL THEN
        key_actor := payer.account_id || coalesce(' ' || payer.client_id, '');
        PERFORM pg_advisory_xact_lock(hashtextextended(key_actor || ' ' || key_route || ' ' || idempotency_key, 0));
        SELECT k.body_hash, k.status, k.resource_id INTO earlier
            FROM web.idempotency_key AS k WHERE k.actor = key_actor AND k.route = key_route AND k.key = idempotency_key;
        IF FOUND THEN
            outcome := CASE WHEN earlier.body_hash <> request_hash THEN 'key_reused'
                            WHEN earlier.status = 201 THEN 'paid' WHEN earlier.status = 409 THEN 'already_paid' ELSE 'insufficient_funds' END;
            payment := CASE WHEN outcome <> 'key_reused' THEN earlier.resource_id END;
            RETURN;
        END IF;
    END IF;

    SELECT b.id, b.currency, b.reference, b.pays_into, 0::bigint AS outstanding INTO owed
        FROM payments.bill AS b JOIN register.resident AS r ON r.id = b.resident_id
        WHERE b.id = pay.bill AND (r.id = payer.resident_id OR r.superseded_by = payer.resident_id);
    IF NOT FOUND THEN
        outcome := 'bill_unknown';
        RETURN;
    END IF;

    PERFORM payments.lock_bill(owed.id);
    owed.outstanding := payments.outstanding(owed.id);
    IF owed.outstanding <= 0 THEN
        SELECT p.id INTO payment FROM payments.payment AS p WHERE p.bill_id = owed.id ORDER BY p.paid_at DESC, p.id DESC LIMIT 1;
        outcome := 'already_paid';
    ELSE
        SELECT a.id INTO wallet FROM ledger.account AS a
            WHERE a.resident_id = payer.resident_id AND a.currency = owed.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
        IF wallet IS NULL THEN
            outcome := 'insufficient_funds';
        ELSE
            SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[pay.payment_id], '{post}', ARRAY[wallet], ARRAY[owed.pays_into],
                ARRAY[owed.outstanding], ARRAY[owed.currency], ARRAY[owed.reference], '{NULL}', '{resident}', ARRAY[payer.account_id::text]) AS t;
            CASE posted
                WHEN 'created' THEN
                    -- Paying from the wallet costs nothing.
                    INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code, account_id, client_id, mandate_id)
                        VALUES (pay.payment_id, owed.id, owed.currency, owed.outstanding, 0, owed.outstanding, 'wallet', pay.payment_id,
                                pay.receipt_code, payer.account_id, payer.client_id, payer.mandate_id);
                    IF payer.mandate_id IS NOT NULL THEN
                        PERFORM mandates.log(pay.payment_id, payer.resident_id, payer.account_id, 'mandate_act', 'pay_bill', payer.mandate_reference, NULL);
                    END IF;
                    payment := pay.payment_id;
                    outcome := 'paid';
                    is_new := true;
                WHEN 'insufficient_funds' THEN
                    outcome := 'insufficient_funds';
                ELSE
                    RAISE EXCEPTION 'the ledger refused a payment: %', posted
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_posted';
            END CASE;
        END IF;
    END IF;

    IF idempotency_key IS NOT NULL THEN
        INSERT INTO web.idempotency_key (actor, route, key, body_hash, status, resource_id)
            VALUES (key_actor, key_route, idempotency_key, request_hash,
                    CASE outcome WHEN 'paid' THEN 201 WHEN 'already_paid' THEN 409 ELSE 422 END, payment);
    END IF;
END
$$;

ALTER FUNCTION payments.pay(credential bytea, bill uuid, payment_id uuid, receipt_code text, idempotency_key text, request_hash bytea, OUT outcome text, OUT payment uuid, OUT is_new boolean, OUT resident uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.payments_of(credential bytea, bill uuid) RETURNS TABLE(id uuid, currency text, method text, gross bigint, fee bigint, net bigint, receipt_code text, transfer_id uuid, paid_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT p.id, p.currency, p.method, p.gross, p.fee, p.net, p.receipt_code, p.transfer_id, p.paid_at
        FROM payments.bill_of(payments_of.credential, payments_of.bill) AS b JOIN payments.payment AS p ON p.bill_id = b.id
        ORDER BY p.paid_at, p.id;
END
$$;

ALTER FUNCTION payments.payments_of(credential bytea, bill uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.plan_allocation(item uuid, bill uuid, amount bigint, net bigint, receipt_code text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    BEGIN ATOMIC
 SELECT COALESCE(jsonb_agg(jsonb_build_object('item', plan_allocation.item, 'bill', plan_allocation.bill, 'amount', v.amount, 'is_payment', v.is_payment, 'receipt_code', plan_allocation.receipt_code, 'id', payments.derived_id(((((('bank allocation '::text || plan_allocation.item) || ' '::text) || v.name) || ' '::text) || plan_allocation.receipt_code)))), '[]'::jsonb) AS "coalesce"
    FROM ( VALUES ('payment'::text,plan_allocation.net,true), ('surplus'::text,(plan_allocation.amount - plan_allocation.net),false)) v(name, amount, is_payment)
   WHERE (v.amount > 0);
END;

ALTER FUNCTION payments.plan_allocation(item uuid, bill uuid, amount bigint, net bigint, receipt_code text) OWNER TO stoa_door;

CREATE FUNCTION payments.post_from_suspense(currency text, ids uuid[], debits uuid[], credits uuid[], amounts bigint[], refs text[], allocations jsonb, suspense_account uuid, assigned_by uuid, actor_kind text, actor_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    plan record;
    refused text;
BEGIN
    FOR plan IN
        SELECT (a.value ->> 'id')::uuid AS id, (a.value ->> 'amount')::bigint AS amount, b.reference,
            CASE WHEN (a.value ->> 'is_payment')::boolean THEN b.pays_into
                 ELSE ledger.open_wallet(coalesce(r.superseded_by, r.id), b.currency) END AS credit
        FROM jsonb_array_elements(allocations) WITH ORDINALITY AS a (value, number)
        JOIN payments.bill AS b ON b.id = (a.value ->> 'bill')::uuid JOIN register.resident AS r ON r.id = b.resident_id
        ORDER BY a.number
    LOOP
        ids := ids || plan.id;
        debits := debits || suspense_account;
        credits := credits || plan.credit;
        amounts := amounts || plan.amount;
        refs := refs || plan.reference;
    END LOOP;
    IF cardinality(ids) = 0 THEN RETURN; END IF;
    SELECT min(t.outcome) INTO refused
        FROM ledger.post_transfers(ids, array_fill('post'::text, ARRAY[cardinality(ids)]), debits, credits, amounts,
            array_fill(currency, ARRAY[cardinality(ids)]), refs, array_fill(NULL::timestamptz, ARRAY[cardinality(ids)]),
            array_fill(actor_kind, ARRAY[cardinality(ids)]), array_fill(actor_id, ARRAY[cardinality(ids)])) AS t
        WHERE t.outcome <> 'created';
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'the ledger refused money of the bank: %', refused USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_posted';
    END IF;
    INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code)
        SELECT (a.value ->> 'id')::uuid, (a.value ->> 'bill')::uuid, post_from_suspense.currency, (a.value ->> 'amount')::bigint, 0,
            (a.value ->> 'amount')::bigint, 'bank_transfer', (a.value ->> 'id')::uuid, a.value ->> 'receipt_code'
        FROM jsonb_array_elements(allocations) AS a WHERE (a.value ->> 'is_payment')::boolean;
    INSERT INTO payments.bank_allocation (id, item_id, amount, bill_id, payment_id, assigned_by)
        SELECT (a.value ->> 'id')::uuid, (a.value ->> 'item')::uuid, (a.value ->> 'amount')::bigint, (a.value ->> 'bill')::uuid,
            CASE WHEN (a.value ->> 'is_payment')::boolean THEN (a.value ->> 'id')::uuid END, post_from_suspense.assigned_by
        FROM jsonb_array_elements(allocations) AS a;
END
$$;

ALTER FUNCTION payments.post_from_suspense(currency text, ids uuid[], debits uuid[], credits uuid[], amounts bigint[], refs text[], allocations jsonb, suspense_account uuid, assigned_by uuid, actor_kind text, actor_id text) OWNER TO stoa_door;

CREATE FUNCTION payments.problems_of(kind text, report jsonb, currency text) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    problems text[] := '{}';
    moved numeric;
    is_foreign boolean;
    has_no_day boolean;
BEGIN
    SELECT coalesce(sum(CASE e.direction WHEN 'credit' THEN e.amount ELSE -e.amount END), 0), coalesce(bool_or(e.currency <> problems_of.currency), false),
            coalesce(bool_or(e.booked_on IS NULL), false)
        INTO moved, is_foreign, has_no_day
        FROM jsonb_to_recordset(report -> 'entries') AS e (amount bigint, direction text, currency text, status text, booked_on date)
        WHERE e.status = 'BOOK';
    is_foreign := is_foreign OR report #>> '{opening,currency}' <> problems_of.currency IS TRUE OR report #>> '{closing,currency}' <> problems_of.currency IS TRUE;
    IF problems_of.kind = 'statement' THEN
        IF report #>> '{opening,amount}' IS NULL THEN problems := problems || 'opening_missing'::text; END IF;
        IF report #>> '{closing,amount}' IS NULL THEN problems := problems || 'closing_missing'::text; END IF;
        -- Sums of several currencies say nothing.
        IF NOT is_foreign AND (report #>> '{opening,amount}')::numeric + moved <> (report #>> '{closing,amount}')::numeric THEN
            problems := problems || 'balances_differ'::text;
        END IF;
    END IF;
    IF is_foreign THEN problems := problems || 'currency'::text; END IF;
    IF has_no_day THEN problems := problems || 'day_missing'::text; END IF;
    RETURN problems;
END
$$;

ALTER FUNCTION payments.problems_of(kind text, report jsonb, currency text) OWNER TO stoa_door;

CREATE FUNCTION payments.propose_return(credential bytea, item uuid, return_id uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid;
    direction text;
    rest bigint;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(propose_return.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    SELECT m.direction INTO direction FROM payments.bank_item AS i JOIN payments.bank_movement AS m ON m.id = i.movement_id WHERE i.id = propose_return.item;
    IF NOT FOUND THEN RETURN 'item_unknown'; END IF;
    IF direction <> 'credit' THEN RETURN 'not_received'; END IF;
    PERFORM payments.lock_item(propose_return.item);
    IF EXISTS (SELECT FROM payments.bank_return AS r WHERE r.id = propose_return.return_id AND r.item_id = propose_return.item) THEN RETURN 'exists'; END IF;
    IF payouts.awaits(propose_return.item) IS NOT NULL THEN RETURN 'is_payout'; END IF;
    rest := payments.item_rest(propose_return.item);
    IF rest <= 0 THEN RETURN 'nothing_left'; END IF;
    INSERT INTO payments.bank_return (id, item_id, amount, reason, proposed_by) VALUES (propose_return.return_id, propose_return.item, rest, propose_return.reason, officer);
    RETURN 'proposed';
END
$$;

ALTER FUNCTION payments.propose_return(credential bytea, item uuid, return_id uuid, reason text) OWNER TO stoa_door;

CREATE FUNCTION payments.propose_waiver(credential bytea, waiver uuid, bill uuid, amount bigint, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(propose_waiver.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    IF NOT EXISTS (SELECT FROM payments.bill AS b WHERE b.id = propose_waiver.bill) THEN RETURN 'bill_unknown'; END IF;
    PERFORM payments.lock_bill(propose_waiver.bill);
    IF EXISTS (SELECT FROM payments.waiver AS w WHERE w.id = propose_waiver.waiver AND w.bill_id = propose_waiver.bill) THEN RETURN 'exists'; END IF;
    IF EXISTS (SELECT FROM payments.waiver AS w WHERE w.bill_id = propose_waiver.bill
               AND NOT EXISTS (SELECT FROM payments.waiver_decision AS d WHERE d.waiver_id = w.id)) THEN RETURN 'waits'; END IF;
    IF propose_waiver.amount > payments.outstanding(propose_waiver.bill) THEN RETURN 'too_much'; END IF;
    INSERT INTO payments.waiver (id, bill_id, amount, reason, proposed_by)
        VALUES (propose_waiver.waiver, propose_waiver.bill, propose_waiver.amount, propose_waiver.reason, officer);
    RETURN 'proposed';
END
$$;

ALTER FUNCTION payments.propose_waiver(credential bytea, waiver uuid, bill uuid, amount bigint, reason text) OWNER TO stoa_door;

CREATE FUNCTION payments.refresh_waiting(item uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF payments.item_rest(refresh_waiting.item) > 0
       OR EXISTS (SELECT FROM payments.bank_return AS r WHERE r.item_id = refresh_waiting.item
                  AND NOT EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = r.id)) THEN
        INSERT INTO payments.bank_item_waiting (item_id) VALUES (refresh_waiting.item) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM payments.bank_item_waiting AS w WHERE w.item_id = refresh_waiting.item;
    END IF;
END
$$;

ALTER FUNCTION payments.refresh_waiting(item uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.remind(zone text, days_before integer, days_after integer, bills_max integer) RETURNS TABLE(kind text, resident uuid, reference text, currency text, amount bigint, language text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    today date := (public.stoa_now() AT TIME ZONE zone)::date;
BEGIN
    RETURN QUERY
        WITH due AS (
            SELECT b.id, CASE WHEN b.due_on < today THEN 'overdue' ELSE 'due_soon' END AS kind, payments.outstanding(b.id) AS amount
            FROM payments.bill AS b
            WHERE b.due_on BETWEEN today - days_after AND today + days_before AND payments.outstanding(b.id) > 0
              AND NOT EXISTS (SELECT FROM payments.reminder AS m WHERE m.bill_id = b.id
                              AND m.kind = CASE WHEN b.due_on < today THEN 'overdue' ELSE 'due_soon' END)
            ORDER BY b.due_on, b.id LIMIT bills_max
        ), sent AS (
            INSERT INTO payments.reminder AS m (bill_id, kind) SELECT d.id, d.kind FROM due AS d ON CONFLICT DO NOTHING RETURNING m.bill_id, m.kind
        )
        SELECT s.kind, coalesce(r.superseded_by, r.id), b.reference, b.currency, d.amount, a.language
        FROM sent AS s JOIN due AS d ON d.id = s.bill_id JOIN payments.bill AS b ON b.id = s.bill_id JOIN register.resident AS r ON r.id = b.resident_id
        LEFT JOIN identity.account AS a ON a.resident_id = coalesce(r.superseded_by, r.id);
END
$$;

ALTER FUNCTION payments.remind(zone text, days_before integer, days_after integer, bills_max integer) OWNER TO stoa_door;

CREATE FUNCTION payments.take_bank_file(sha256 bytea, file jsonb, staff uuid) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    unknown record;
    account record;
    source record;
    report_id uuid;
    problems text[];
    result jsonb;
    reports jsonb := '[]';
    notices jsonb := '[]';
BEGIN
    SELECT r.value ->> 'account' AS identification, (r.value ->> 'line')::integer AS line INTO unknown
        FROM jsonb_array_elements(file -> 'reports') WITH ORDINALITY AS r (value, number)
        WHERE NOT EXISTS (SELECT FROM payments.bank_account AS a WHERE a.identification = r.value ->> 'account')
        ORDER BY r.number LIMIT 1;
    IF FOUND THEN
        RETURN jsonb_build_object('outcome', 'account_unknown', 'account', unknown.identification, 'line', unknown.line);
    END IF;
    INSERT INTO payments.bank_file (sha256, message, message_id, imported_by)
        VALUES (take_bank_file.sha256, file ->> 'message', file ->> 'message_id', staff)
        ON CONFLICT ON CONSTRAINT bank_file_pkey DO NOTHING;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'exists'); END IF;

    -- One file at a time for an account: which movements are known must not change meanwhile. Several accounts in the order of their ids.
    FOR account IN SELECT DISTINCT a.id FROM jsonb_array_elements(file -> 'reports') AS r JOIN payments.bank_account AS a ON a.identification = r.value ->> 'account'
            ORDER BY a.id LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('payments.bank_account ' || account.id, 0));
    END LOOP;

    FOR source IN
        SELECT r.value, r.number, a.id AS account_id, a.currency
        FROM jsonb_array_elements(file -> 'reports') WITH ORDINALITY AS r (value, number)
        JOIN payments.bank_account AS a ON a.identification = r.value ->> 'account' ORDER BY r.number
    LOOP
        problems := payments.problems_of(file ->> 'kind', source.value, source.currency);
        report_id := payments.derived_id('bank report ' || encode(take_bank_file.sha256, 'hex') || ' ' || source.number);
        INSERT INTO payments.bank_report (id, file_sha256, position, account_id, kind, reported_id, sequence_number, period_from, period_to, opening,
                                          opening_currency, opening_on, closing, closing_currency, closing_on, problems)
            VALUES (report_id, take_bank_file.sha256, source.number, source.account_id, file ->> 'kind', source.value ->> 'id',
                (source.value ->> 'sequence_number')::bigint, (source.value ->> 'period_from')::timestamptz, (source.value ->> 'period_to')::timestamptz,
                (source.value #>> '{opening,amount}')::bigint, source.value #>> '{opening,currency}', (source.value #>> '{opening,on}')::date,
                (source.value #>> '{closing,amount}')::bigint, source.value #>> '{closing,currency}', (source.value #>> '{closing,on}')::date, problems);
        INSERT INTO payments.bank_entry (report_id, position, line, amount, currency, direction, is_reversal, status, booked_on, bank_reference, content, parts)
            SELECT report_id, e.number, e.line, e.amount, e.currency, e.direction, e.is_reversal, e.status, e.booked_on, e.bank_reference,
                decode(e.content, 'hex'), e.parts
            FROM ROWS FROM (jsonb_to_recordset(source.value -> 'entries') AS (
                line integer, amount bigint, currency text, direction text, is_reversal boolean, status text, booked_on date, bank_reference text, content text,
                parts jsonb)) WITH ORDINALITY AS e (line, amount, currency, direction, is_reversal, status, booked_on, bank_reference, content, parts, number);
        result := '{"booked": 0, "known": 0, "matched": 0}';
        IF problems = '{}' THEN
            result := payments.book_report(report_id, CASE WHEN staff IS NULL THEN 'system' ELSE 'staff' END, coalesce(staff::text, 'import'));
            notices := notices || (result -> 'notices');
        END IF;
        reports := reports || (jsonb_build_object('id', report_id, 'account', source.value ->> 'account', 'problems', to_jsonb(problems)) || (result - 'notices'));
    END LOOP;
    RETURN jsonb_build_object('outcome', 'imported', 'reports', reports, 'notices', notices);
END
$$;

ALTER FUNCTION payments.take_bank_file(sha256 bytea, file jsonb, staff uuid) OWNER TO stoa_door;

CREATE FUNCTION payments.take_cash(credential bytea, till uuid, payment uuid, bill_reference text, amount bigint, receipt_code text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    clerk uuid;
    place record;
    owed record;
    due bigint;
BEGIN
    SELECT s.staff_id INTO clerk FROM web.staff_with(take_cash.credential, '{caseworker}') AS s;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'role_missing'); END IF;
    SELECT t.id, t.currency, t.ledger_account INTO place FROM payments.till AS t WHERE t.id = take_cash.till AND t.opened_by = clerk;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'till_closed'); END IF;
    SELECT b.id, b.currency, b.reference, b.pays_into INTO owed FROM payments.bill AS b
        WHERE b.reference = take_cash.bill_reference OR b.creditor_reference = take_cash.bill_reference;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'bill_unknown'); END IF;
    IF owed.currency <> place.currency THEN RETURN jsonb_build_object('outcome', 'currency_differs'); END IF;
    PERFORM payments.lock_till(place.id);
    IF EXISTS (SELECT FROM payments.till_payment AS p WHERE p.payment_id = take_cash.payment AND p.till_id = place.id) THEN
        RETURN jsonb_build_object('outcome', 'exists', 'reference', owed.reference);
    END IF;
    IF EXISTS (SELECT FROM payments.till_closing AS c WHERE c.till_id = place.id) THEN RETURN jsonb_build_object('outcome', 'till_closed'); END IF;
    PERFORM payments.lock_bill(owed.id);
    due := payments.outstanding(owed.id);
    IF due <= 0 THEN RETURN jsonb_build_object('outcome', 'nothing_due'); END IF;
    IF take_cash.amount > due THEN RETURN jsonb_build_object('outcome', 'too_much', 'outstanding', due); END IF;
    PERFORM payments.move_cash(take_cash.payment, place.ledger_account, owed.pays_into, take_cash.amount, owed.currency, owed.reference, clerk);
    INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code)
        VALUES (take_cash.payment, owed.id, owed.currency, take_cash.amount, 0, take_cash.amount, 'cash', take_cash.payment, take_cash.receipt_code);
    INSERT INTO payments.till_payment (payment_id, till_id) VALUES (take_cash.payment, place.id);
    RETURN jsonb_build_object('outcome', 'paid', 'reference', owed.reference, 'outstanding', due - take_cash.amount,
        'notices', payments.notices(jsonb_build_array(jsonb_build_object('bill', owed.id, 'amount', take_cash.amount, 'is_payment', true))));
END
$$;

ALTER FUNCTION payments.take_cash(credential bytea, till uuid, payment uuid, bill_reference text, amount bigint, receipt_code text) OWNER TO stoa_door;

CREATE FUNCTION payments.tills_for(credential bytea, till uuid, page_size integer) RETURNS TABLE(id uuid, clerk text, is_mine boolean, counter text, currency text, opening_float bigint, taken bigint, payment_count bigint, opened_at timestamp with time zone, closed_at timestamp with time zone, expected bigint, counted bigint, explanation text, approved_by text, approved_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT t.id, opener.display_name, t.opened_by = s.staff_id, t.counter, t.currency, t.opening_float, paid.sum, paid.count, t.opened_at, c.closed_at, c.expected,
            c.counted, c.explanation, approver.display_name, a.approved_at
        FROM web.staff_with(tills_for.credential, '{caseworker,finance_officer,approver,auditor}') AS s
        JOIN payments.till AS t ON t.opened_by = s.staff_id
            OR EXISTS (SELECT FROM web.staff_with(tills_for.credential, '{finance_officer,approver,auditor}'))
        JOIN identity.staff AS opener ON opener.id = t.opened_by
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(p.gross), 0)::bigint AS sum, count(*) AS count
            FROM payments.till_payment AS x JOIN payments.payment AS p ON p.id = x.payment_id WHERE x.till_id = t.id) AS paid
        LEFT JOIN payments.till_closing AS c ON c.till_id = t.id
        LEFT JOIN payments.till_approval AS a ON a.till_id = t.id
        LEFT JOIN identity.staff AS approver ON approver.id = a.approved_by
        WHERE tills_for.till IS NULL OR t.id = tills_for.till
        ORDER BY t.opened_at DESC, t.id DESC
        LIMIT LEAST(tills_for.page_size, 201);
END
$$;

ALTER FUNCTION payments.tills_for(credential bytea, till uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION payments.wait_for_item() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    -- Money that left the account waits for nobody here.
    IF (SELECT m.direction FROM payments.bank_movement AS m WHERE m.id = NEW.movement_id) = 'credit' THEN PERFORM payments.refresh_waiting(NEW.id); END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payments.wait_for_item() OWNER TO stoa_owner;

CREATE FUNCTION payments.waivers_for(credential bytea, bill uuid, page_size integer) RETURNS TABLE(id uuid, bill_reference text, currency text, amount bigint, reason text, proposed_by text, is_mine boolean, proposed_at timestamp with time zone, decision text, decided_by text, decided_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT w.id, b.reference, b.currency, w.amount, w.reason, proposer.display_name, w.proposed_by = s.staff_id, w.proposed_at, d.kind, decider.display_name,
            d.decided_at
        FROM web.staff_with(waivers_for.credential, '{finance_officer,approver,auditor}') AS s
        CROSS JOIN payments.waiver AS w
        JOIN payments.bill AS b ON b.id = w.bill_id
        JOIN identity.staff AS proposer ON proposer.id = w.proposed_by
        LEFT JOIN payments.waiver_decision AS d ON d.waiver_id = w.id
        LEFT JOIN identity.staff AS decider ON decider.id = d.decided_by
        WHERE CASE WHEN waivers_for.bill IS NULL THEN d.waiver_id IS NULL ELSE w.bill_id = waivers_for.bill END
        ORDER BY w.proposed_at, w.id
        LIMIT LEAST(waivers_for.page_size, 201);
END
$$;

ALTER FUNCTION payments.waivers_for(credential bytea, bill uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION payments.waivers_of(credential bytea, bill uuid) RETURNS TABLE(currency text, amount bigint, reason text, decided_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT b.currency, w.amount, w.reason, d.decided_at
        FROM payments.bill_of(waivers_of.credential, waivers_of.bill) AS b
        JOIN payments.waiver AS w ON w.bill_id = b.id JOIN payments.waiver_decision AS d ON d.waiver_id = w.id AND d.kind = 'approved'
        ORDER BY d.decided_at, w.id;
END
$$;

ALTER FUNCTION payments.waivers_of(credential bytea, bill uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.accounts_of(credential bytea) RETURNS TABLE(id uuid, sealed_account bytea, given_at timestamp with time zone, usable_from timestamp with time zone, is_waiting boolean, is_used boolean, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT d.id, d.sealed_account, d.given_at, d.usable_from, d.usable_from > public.stoa_now(), coalesce(d.id = payouts.destination_for(h.resident_id), false), d.resident_id, k.key_id, k.wrapped_key
        FROM ledger.holder(accounts_of.credential, '{payments}') AS h
        JOIN access_log.own_view AS v ON v.credential = accounts_of.credential AND v.kind = 'payments' AND v.subject_id = h.resident_id
        JOIN access_log.entry AS logged ON logged.id = v.entry_id AND logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.destination AS d ON d.resident_id = r.id
        JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE NOT EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = d.id)
        ORDER BY d.given_at DESC, d.id DESC LIMIT 20;
END
$$;

ALTER FUNCTION payouts.accounts_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION payouts.apply_report(officer uuid, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text, end_to_end_ids text[], states text[], reasons text[], amounts bigint[], OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
#variable_conflict use_column
DECLARE
    about record;
    named_ids uuid[];
    changed_ids uuid[];
    changed_states text[];
    changed_reasons text[];
    refused text;
BEGIN
    SELECT b.id, b.count, b.control_sum, b.currency, b.reference, b.clearing, c.in_transit INTO about
        FROM payouts.batch AS b JOIN payouts.decision AS d ON d.batch_id = b.id AND d.kind = 'approved' JOIN payouts.channel AS c ON c.currency = b.currency
        WHERE b.reference = apply_report.batch_reference;
    IF NOT FOUND THEN outcome := 'batch_unknown'; RETURN; END IF;
    -- One report about a batch at a time; the next one finds what this one did.
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || about.id, 0));
    IF EXISTS (SELECT FROM payouts.report AS r WHERE r.sha256 = apply_report.sha256) THEN outcome := 'known'; RETURN; END IF;
    IF apply_report.count <> about.count THEN outcome := 'count_differs'; RETURN; END IF;
    IF apply_report.control_sum <> about.control_sum THEN outcome := 'sum_differs'; RETURN; END IF;

    SELECT n.end_to_end_id INTO detail FROM unnest(apply_report.end_to_end_ids) AS n (end_to_end_id)
        WHERE NOT EXISTS (SELECT FROM payouts.instruction AS i JOIN payouts.item AS x ON x.instruction_id = i.id AND x.batch_id = about.id
                          WHERE i.end_to_end_id = n.end_to_end_id OFFSET 0) LIMIT 1;
    IF FOUND THEN outcome := 'payment_unknown'; RETURN; END IF;
    SELECT n.end_to_end_id INTO detail FROM unnest(apply_report.end_to_end_ids, apply_report.amounts) AS n (end_to_end_id, amount)
        JOIN payouts.instruction AS i ON i.end_to_end_id = n.end_to_end_id WHERE i.amount <> n.amount AND n.amount <> 0 LIMIT 1;
    IF FOUND THEN outcome := 'amount_differs'; RETURN; END IF;

    -- What the report says of each payment that it names, and of the others; what changes by it: the same again is no change.
    named_ids := coalesce((SELECT array_agg(i.id) FROM unnest(apply_report.end_to_end_ids) AS n (end_to_end_id)
                           JOIN payouts.instruction AS i ON i.end_to_end_id = n.end_to_end_id), '{}');
    WITH said AS (
        -- What the bank rejects after its statement showed that it left comes back by a statement too.
        SELECT i.id AS instruction_id, i.end_to_end_id, s.state AS former,
            CASE WHEN n.state = 'rejected' AND s.state = 'settled' AND payouts.has_left(i.id, about.id) THEN 'returned' ELSE n.state END AS state,
            nullif(n.reason, '') AS reason
        FROM unnest(apply_report.end_to_end_ids, apply_report.states, apply_report.reasons) AS n (end_to_end_id, state, reason)
        JOIN payouts.instruction AS i ON i.end_to_end_id = n.end_to_end_id
        JOIN payouts.state AS s ON s.instruction_id = i.id
        UNION ALL
        SELECT x.instruction_id, NULL, s.state, apply_report.group_state, nullif(apply_report.group_reason, '')
        FROM payouts.item AS x JOIN payouts.state AS s ON s.instruction_id = x.instruction_id
        WHERE x.batch_id = about.id AND apply_report.group_state IS NOT NULL AND s.state = 'sent' AND NOT x.instruction_id = ANY (named_ids)
    )
    SELECT array_agg(w.instruction_id ORDER BY w.instruction_id), array_agg(w.state ORDER BY w.instruction_id), array_agg(w.reason ORDER BY w.instruction_id),
            min(w.end_to_end_id) FILTER (WHERE NOT payouts.may_follow(w.former, w.state))
        INTO changed_ids, changed_states, changed_reasons, refused
        -- That it was settled, or did not get there, is no news of what has come back since.
        FROM said AS w WHERE w.state <> w.former AND NOT (w.former = 'returned' AND w.state IN ('settled', 'rejected'));
    IF refused IS NOT NULL THEN outcome := 'state_differs'; detail := refused; RETURN; END IF;

    SELECT count(*) FILTER (WHERE c.state = 'settled'), count(*) FILTER (WHERE c.state = 'rejected'), count(*) FILTER (WHERE c.state = 'returned')
        INTO settled, rejected, returned FROM unnest(changed_states) AS c (state);
    INSERT INTO payouts.report (id, sha256, message_id, batch_id, settled, rejected, returned, taken_by)
        VALUES (apply_report.id, apply_report.sha256, apply_report.message_id, about.id, settled, rejected, returned, apply_report.officer);
    outcome := 'taken';
    IF changed_ids IS NULL THEN RETURN; END IF;

    -- The accounts at once, in the order of their ids, and only then whether they are still open.
    PERFORM payouts.lock_accounts(ARRAY[about.in_transit, about.clearing] || coalesce(
        (SELECT array_agg(i.source) FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id WHERE c.state <> 'settled'),
        '{}'));
    -- Settled leaves as one sum; what failed goes back to where it came from, one by one.
    DECLARE
        debits uuid[];
        credits uuid[];
        sums bigint[];
        texts text[];
        posted text;
        actor_kind text := CASE WHEN apply_report.officer IS NULL THEN 'system' ELSE 'staff' END;
        actor_id text := coalesce(apply_report.officer::text, 'payouts');
    BEGIN
        SELECT array_agg(m.debit), array_agg(m.credit), array_agg(m.amount), array_agg(m.reference) INTO debits, credits, sums, texts
            FROM (SELECT about.in_transit AS debit, about.clearing AS credit, sum(i.amount)::bigint AS amount, about.reference AS reference
                  FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id
                  WHERE c.state = 'settled' HAVING count(*) > 0
                  UNION ALL
                  SELECT CASE WHEN s.state = 'settled' THEN about.clearing ELSE about.in_transit END, payouts.source_now(i.source, i.resident_id), i.amount, i.end_to_end_id
                  FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id
                  JOIN payouts.state AS s ON s.instruction_id = c.id
                  WHERE c.state <> 'settled') AS m;
        SELECT p.outcome INTO posted
            FROM ledger.post_transfers((SELECT array_agg(gen_random_uuid()) FROM unnest(sums)), array_fill('post'::text, ARRAY[cardinality(sums)]), debits, credits,
                sums, array_fill(about.currency, ARRAY[cardinality(sums)]), texts, array_fill(NULL::timestamptz, ARRAY[cardinality(sums)]),
                array_fill(actor_kind, ARRAY[cardinality(sums)]), array_fill(actor_id, ARRAY[cardinality(sums)])) AS p
            WHERE p.outcome <> 'created' LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the ledger refused a report: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'report_posted';
        END IF;
    END;
    INSERT INTO payouts.event (instruction_id, number, state, batch_id, report_id, reason)
        SELECT c.id, s.number + 1, c.state, about.id, apply_report.id, CASE WHEN c.state <> 'settled' THEN c.reason END
        FROM unnest(changed_ids, changed_states, changed_reasons) AS c (id, state, reason) JOIN payouts.state AS s ON s.instruction_id = c.id;
    -- Whose payment came back is told in the same transaction.
    INSERT INTO messages.message (id, resident_id, kind, parameters)
        SELECT gen_random_uuid(), coalesce(r.superseded_by, r.id), 'payout_failed', jsonb_build_object('reference', i.end_to_end_id)
        FROM unnest(changed_ids, changed_states) AS c (id, state) JOIN payouts.instruction AS i ON i.id = c.id
        JOIN register.resident AS r ON r.id = i.resident_id
        WHERE c.state <> 'settled';
END
$$;

ALTER FUNCTION payouts.apply_report(officer uuid, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text, end_to_end_ids text[], states text[], reasons text[], amounts bigint[], OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer) OWNER TO stoa_door;

CREATE FUNCTION payouts.approve(credential bytea, batch uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    approver uuid := (SELECT s.staff_id FROM web.staff_with(approve.credential, '{finance_officer,approver}') AS s);
    prepared record;
    earlier text;
    posted text;
BEGIN
    IF approver IS NULL THEN RETURN 'role_missing'; END IF;
    SELECT b.id, b.prepared_by, b.currency, b.control_sum, b.reference, c.set_aside, c.in_transit INTO prepared
        FROM payouts.batch AS b JOIN payouts.channel AS c ON c.currency = b.currency WHERE b.id = approve.batch;
    IF NOT FOUND THEN RETURN 'batch_unknown'; END IF;
    -- One decision at a time; the next one finds it. (Before any account, so that nobody waits crosswise.)
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || prepared.id, 0));
    SELECT d.kind INTO earlier FROM payouts.decision AS d WHERE d.batch_id = prepared.id;
    IF FOUND THEN RETURN 'already_' || earlier; END IF;
    IF prepared.prepared_by = approver THEN RETURN 'self_approval'; END IF;
    PERFORM pg_advisory_xact_lock(payouts.ending_lock());
    IF EXISTS (SELECT FROM payouts.item AS i WHERE i.batch_id = prepared.id
               AND EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = i.destination_id)) THEN RETURN 'account_ended'; END IF;
    SELECT p.outcome INTO posted FROM ledger.post_transfers(ARRAY[prepared.id], '{post}', ARRAY[prepared.set_aside], ARRAY[prepared.in_transit],
        ARRAY[prepared.control_sum], ARRAY[prepared.currency], ARRAY[prepared.reference], '{NULL}', '{staff}', ARRAY[approver::text]) AS p;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused a batch: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_posted';
    END IF;
    INSERT INTO payouts.decision (batch_id, prepared_by, kind, decided_by, transfer_id)
        VALUES (prepared.id, prepared.prepared_by, 'approved', approver, prepared.id);
    INSERT INTO payouts.event (instruction_id, number, state, batch_id)
        SELECT i.instruction_id, i.event_number + 1, 'sent', i.batch_id FROM payouts.item AS i WHERE i.batch_id = prepared.id;
    RETURN 'approved';
END
$$;

ALTER FUNCTION payouts.approve(credential bytea, batch uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.awaits(item uuid) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN (SELECT n.end_to_end_id
        FROM payouts.told_by((SELECT ARRAY[i.movement_id] FROM payments.bank_item AS i WHERE i.id = awaits.item)) AS t
        JOIN payouts.instruction AS n ON n.id = t.instruction_id JOIN payouts.state AS s ON s.instruction_id = n.id
        WHERE t.item_id = awaits.item AND t.direction = 'credit' AND t.amount <= n.amount
          AND payouts.is_back(s.state, t.is_return OR t.is_reversal, payouts.has_left(n.id, t.batch_id))
          AND NOT EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.item_id = t.item_id)
          AND NOT EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.instruction_id = n.id AND p.direction = 'credit'));
END
$$;

ALTER FUNCTION payouts.awaits(item uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.batch_max() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 100000;

ALTER FUNCTION payouts.batch_max() OWNER TO stoa_owner;

CREATE FUNCTION payouts.batches_for(credential bytea, batch uuid, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, reference text, currency text, count integer, control_sum bigint, execute_on date, prepared_by_name text, prepared_by_me boolean, prepared_at timestamp with time zone, decision text, decided_by_name text, decided_at timestamp with time zone, refusal_reason text, sha256 bytea, bytes bigint, settled bigint, rejected bigint, returned bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.reference, b.currency, b.count, b.control_sum, b.execute_on, maker.display_name, maker.id = s.staff_id, b.prepared_at,
            d.kind, decider.display_name, d.decided_at, d.refusal_reason, f.sha256, f.bytes, counted.settled, counted.rejected, counted.returned
        FROM web.staff_with(batches_for.credential, '{finance_officer,approver,auditor}') AS s
        CROSS JOIN payouts.batch AS b
        JOIN identity.staff AS maker ON maker.id = b.prepared_by
        LEFT JOIN payouts.decision AS d ON d.batch_id = b.id
        LEFT JOIN identity.staff AS decider ON decider.id = d.decided_by
        LEFT JOIN payouts.file AS f ON f.batch_id = b.id
        -- What was settled and then returned counts as returned.
        LEFT JOIN LATERAL (
            SELECT sum(r.settled)::bigint - sum(CASE WHEN r.returned > 0 THEN (
                        SELECT count(*) FROM payouts.event AS e JOIN payouts.event AS former ON former.instruction_id = e.instruction_id AND former.number = e.number - 1
                        WHERE e.report_id = r.id AND e.state = 'returned' AND former.state = 'settled') ELSE 0 END)::bigint AS settled,
                sum(r.rejected)::bigint AS rejected, sum(r.returned)::bigint AS returned
            FROM payouts.report AS r WHERE r.batch_id = b.id) AS counted ON true
        WHERE (batches_for.batch IS NULL OR b.id = batches_for.batch)
          AND (batches_for.before_at IS NULL OR (b.prepared_at, b.id) < (batches_for.before_at, batches_for.before_id))
        ORDER BY b.prepared_at DESC, b.id DESC LIMIT LEAST(batches_for.page_size, 201);
END
$$;

ALTER FUNCTION payouts.batches_for(credential bytea, batch uuid, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION payouts.charges_account(currency text) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    account uuid := payments.derived_id('bank charges ' || charges_account.currency);
BEGIN
    IF NOT ledger.open_account(account, 'suspense', charges_account.currency, NULL, 'city', 'debit', true) THEN
        RAISE EXCEPTION 'the ledger has another account under this id' USING ERRCODE = 'check_violation', CONSTRAINT = 'charges_account_in_ledger';
    END IF;
    RETURN account;
END
$$;

ALTER FUNCTION payouts.charges_account(currency text) OWNER TO stoa_door;

CREATE FUNCTION payouts.check_batch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payouts.item AS i WHERE i.batch_id = NEW.id) THEN
        RAISE EXCEPTION 'a batch holds payments' USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_equals_items';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payouts.check_batch() OWNER TO stoa_door;

CREATE FUNCTION payouts.check_items() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT a.batch_id FROM added AS a) AS touched JOIN payouts.batch AS b ON b.id = touched.batch_id
        CROSS JOIN LATERAL (SELECT count(*) AS count, sum(i.amount) AS sum, bool_and(i.currency = b.currency) AS is_one_currency, max(i.position) AS last
                            FROM payouts.item AS i WHERE i.batch_id = b.id) AS held
        WHERE (held.count, held.sum, held.last, held.is_one_currency) IS DISTINCT FROM (b.count::bigint, b.control_sum::numeric, b.count, true)) THEN
        RAISE EXCEPTION 'count and control sum of a batch are those of its payments' USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_equals_items';
    END IF;
    RETURN NULL;
END
$$;

ALTER FUNCTION payouts.check_items() OWNER TO stoa_owner;

CREATE FUNCTION payouts.check_second_issue() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM payouts.instruction AS i JOIN payouts.state AS s ON s.instruction_id = i.id
        WHERE i.kind = NEW.kind AND i.pays = NEW.pays AND i.issue = 1 AND s.state IN ('rejected', 'returned')
          AND i.currency = NEW.currency AND i.amount = NEW.amount AND i.resident_id = NEW.resident_id) THEN
        RAISE EXCEPTION 'only a payment that was rejected or returned is issued again' USING ERRCODE = 'check_violation', CONSTRAINT = 'issued_again_after_failure';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION payouts.check_second_issue() OWNER TO stoa_owner;

CREATE FUNCTION payouts.cooling_time() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '48:00:00'::interval;

ALTER FUNCTION payouts.cooling_time() OWNER TO stoa_owner;

CREATE FUNCTION payouts.count_return(credential bytea, item uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid := (SELECT s.staff_id FROM web.staff_with(count_return.credential, '{finance_officer}') AS s);
    told record;
    charges uuid;
    posted text;
BEGIN
    IF officer IS NULL THEN RETURN 'role_missing'; END IF;
    SELECT t.*, n.amount AS owed, n.currency, n.end_to_end_id, n.source, b.clearing, c.in_transit INTO told
        FROM payments.bank_item AS i CROSS JOIN LATERAL payouts.told_by(ARRAY[i.movement_id]) AS t
        JOIN payouts.instruction AS n ON n.id = t.instruction_id JOIN payouts.batch AS b ON b.id = t.batch_id JOIN payouts.channel AS c ON c.currency = n.currency
        WHERE i.id = count_return.item AND t.item_id = i.id;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM payments.bank_item AS i WHERE i.id = count_return.item) THEN 'not_payout' ELSE 'item_unknown' END;
    END IF;
    PERFORM payments.lock_item(count_return.item);
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || told.batch_id, 0));
    IF payouts.awaits(count_return.item) IS NULL THEN RETURN 'not_payout'; END IF;
    charges := payouts.charges_account(told.currency);
    PERFORM payouts.lock_accounts(ARRAY[told.in_transit, told.clearing, told.source, charges]);
    IF told.amount < told.owed THEN
        SELECT p.outcome INTO posted FROM ledger.post_transfers(ARRAY[payments.derived_id('bank charges ' || count_return.item)], '{post}', ARRAY[charges],
            ARRAY[told.clearing], ARRAY[told.owed - told.amount], ARRAY[told.currency], ARRAY[told.end_to_end_id], '{NULL}', '{staff}', ARRAY[officer::text]) AS p;
        IF posted <> 'created' THEN
            RAISE EXCEPTION 'the ledger refused a charge: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_posted';
        END IF;
    END IF;
    INSERT INTO payments.bank_payout (item_id, direction, instruction_id, counted_by) VALUES (count_return.item, 'credit', told.instruction_id, officer);
    IF EXISTS (SELECT FROM payouts.state AS s WHERE s.instruction_id = told.instruction_id AND s.state IN ('sent', 'settled')) THEN
        PERFORM payouts.take_news(count_return.item, told.batch_id, 'credit', NULL, ARRAY[told.end_to_end_id], ARRAY[coalesce(left(told.reason, 35), '')], officer);
    END IF;
    RETURN 'counted';
END
$$;

ALTER FUNCTION payouts.count_return(credential bytea, item uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.destination_for(resident uuid) RETURNS uuid
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    person uuid := (SELECT coalesce(r.superseded_by, r.id) FROM register.resident AS r WHERE r.id = destination_for.resident);
BEGIN
    RETURN (SELECT d.id
        FROM (SELECT person AS id UNION ALL SELECT x.id FROM register.resident AS x WHERE x.superseded_by = person) AS r
        JOIN payouts.destination AS d ON d.resident_id = r.id JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE d.usable_from <= public.stoa_now()
          AND NOT EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = d.id)
        ORDER BY d.given_at DESC, d.id DESC LIMIT 1);
END
$$;

ALTER FUNCTION payouts.destination_for(resident uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.end_account(credential bytea, destination uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(payouts.ending_lock());
    INSERT INTO payouts.destination_end AS e (destination_id)
        SELECT d.id FROM ledger.holder(end_account.credential, '{}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.destination AS d ON d.resident_id = r.id
        WHERE d.id = end_account.destination
        ON CONFLICT DO NOTHING;
    IF FOUND THEN RETURN true; END IF;
    -- Null: no account of theirs.
    RETURN (SELECT false FROM ledger.holder(end_account.credential, '{}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.destination AS d ON d.resident_id = r.id WHERE d.id = end_account.destination);
END
$$;

ALTER FUNCTION payouts.end_account(credential bytea, destination uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.ending_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended('payouts.destination_end'::text, (0)::bigint);

ALTER FUNCTION payouts.ending_lock() OWNER TO stoa_door;

CREATE FUNCTION payouts.files_to_write(reference text) RETURNS TABLE(id uuid, batch_reference text, currency text, count integer, control_sum bigint, execute_on date, created_at text, debtor_name text, debtor_iban text, debtor_bic text, debtor_town text, debtor_country text, sha256 bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.reference, b.currency, b.count, b.control_sum, b.execute_on,
            to_char(d.decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), b.debtor_name, b.debtor_iban, b.debtor_bic, b.debtor_town, b.debtor_country,
            f.sha256
        FROM payouts.decision AS d JOIN payouts.batch AS b ON b.id = d.batch_id LEFT JOIN payouts.file AS f ON f.batch_id = b.id
        WHERE d.kind = 'approved' AND CASE WHEN files_to_write.reference IS NULL THEN f.batch_id IS NULL ELSE b.reference = files_to_write.reference END
        ORDER BY d.decided_at LIMIT 10;
END
$$;

ALTER FUNCTION payouts.files_to_write(reference text) OWNER TO stoa_door;

CREATE FUNCTION payouts.fold_events() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS e LEFT JOIN payouts.state AS s ON s.instruction_id = e.instruction_id
        WHERE e.number <> coalesce(s.number, 0) + 1 OR NOT payouts.may_follow(s.state, e.state)) THEN
        RAISE EXCEPTION 'a payment cannot come to this after what became of it' USING ERRCODE = 'check_violation', CONSTRAINT = 'event_follows';
    END IF;
    INSERT INTO payouts.state AS s (instruction_id, number, state, since, reason)
        SELECT e.instruction_id, e.number, e.state, e.at, e.reason FROM added AS e
        ON CONFLICT (instruction_id) DO UPDATE SET number = excluded.number, state = excluded.state, since = excluded.since, reason = excluded.reason;
    RETURN NULL;
END
$$;

ALTER FUNCTION payouts.fold_events() OWNER TO stoa_owner;

CREATE FUNCTION payouts.follow_bank(report uuid, movements uuid[], officer uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    step record;
    ids text[];
    reasons text[];
BEGIN
    FOR step IN
        SELECT DISTINCT t.direction, t.batch_id FROM payouts.told_by(movements) AS t ORDER BY t.direction DESC, t.batch_id
    LOOP
        WITH linked AS (
            INSERT INTO payments.bank_payout AS p (item_id, direction, instruction_id)
                SELECT t.item_id, t.direction, n.id
                FROM payouts.told_by(movements) AS t
                JOIN payouts.instruction AS n ON n.id = t.instruction_id JOIN payouts.state AS s ON s.instruction_id = n.id
                WHERE t.batch_id = step.batch_id AND t.direction = step.direction AND t.amount = n.amount
                  AND CASE t.direction
                      WHEN 'debit' THEN NOT t.is_reversal AND NOT EXISTS (SELECT FROM payments.bank_payout AS x WHERE x.batch_id = t.batch_id)
                      ELSE payouts.is_back(s.state, t.is_return OR t.is_reversal, payouts.has_left(n.id, t.batch_id)) END
                ON CONFLICT DO NOTHING RETURNING p.item_id, p.instruction_id
        )
        SELECT array_agg(n.end_to_end_id ORDER BY n.id), array_agg(coalesce(left(t.reason, 35), '') ORDER BY n.id) INTO ids, reasons
            FROM linked AS l JOIN payouts.told_by(movements) AS t ON t.item_id = l.item_id JOIN payouts.instruction AS n ON n.id = l.instruction_id
            JOIN payouts.state AS s ON s.instruction_id = n.id
            WHERE s.state = 'sent' OR s.state = 'settled' AND step.direction = 'credit';
        IF ids IS NOT NULL THEN PERFORM payouts.take_news(report, step.batch_id, step.direction, NULL, ids, reasons, officer); END IF;

        -- A whole batch as one sum: all that the bank has not rejected.
        INSERT INTO payments.bank_payout (item_id, direction, batch_id)
            SELECT t.item_id, t.direction, t.batch_id FROM payouts.told_by(movements) AS t
            WHERE t.batch_id = step.batch_id AND t.direction = step.direction AND t.instruction_id IS NULL
              AND t.amount = (SELECT sum(x.amount) FROM payouts.item AS x JOIN payouts.state AS s ON s.instruction_id = x.instruction_id
                              WHERE x.batch_id = t.batch_id AND s.state IN ('sent', 'settled', 'returned'))
              AND NOT EXISTS (SELECT FROM payouts.item AS x JOIN payments.bank_payout AS p ON p.instruction_id = x.instruction_id AND p.direction = 'debit'
                              WHERE x.batch_id = t.batch_id)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN PERFORM payouts.take_news(report, step.batch_id, 'debit', 'settled', '{}', '{}', officer); END IF;
    END LOOP;
END
$$;

ALTER FUNCTION payouts.follow_bank(report uuid, movements uuid[], officer uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.give_account(credential bytea, id uuid, sealed_account bytea, OUT outcome text, OUT usable_from timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    giver uuid := (SELECT h.resident_id FROM ledger.holder(give_account.credential, '{}') AS h);
BEGIN
    IF giver IS NULL THEN outcome := 'credential_invalid'; RETURN; END IF;
    usable_from := public.stoa_now() + payouts.cooling_time();
    INSERT INTO payouts.destination AS d (id, resident_id, sealed_account, usable_from)
        VALUES (give_account.id, giver, give_account.sealed_account, give_account.usable_from)
        ON CONFLICT ON CONSTRAINT destination_pkey DO NOTHING;
    outcome := CASE WHEN FOUND THEN 'given' ELSE 'exists' END;
END
$$;

ALTER FUNCTION payouts.give_account(credential bytea, id uuid, sealed_account bytea, OUT outcome text, OUT usable_from timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION payouts.has_left(instruction uuid, batch uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.instruction_id = has_left.instruction AND p.direction = 'debit')
        OR EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.batch_id = has_left.batch);
END
$$;

ALTER FUNCTION payouts.has_left(instruction uuid, batch uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.instruct(id uuid, kind text, pays uuid, issue integer, resident uuid, source uuid, currency text, amount bigint, actor_kind text, actor_id text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    aside uuid := (SELECT c.set_aside FROM payouts.channel AS c WHERE c.currency = instruct.currency);
    -- 64 random bits: a fixed digit of a version 4 UUID is in neither part.
    random_digits text := upper(replace(gen_random_uuid()::text, '-', ''));
    posted text;
BEGIN
    IF aside IS NULL THEN RETURN 'channel_unknown'; END IF;
    INSERT INTO payouts.instruction AS i (id, kind, pays, issue, resident_id, source, currency, amount, end_to_end_id)
        VALUES (instruct.id, instruct.kind, instruct.pays, instruct.issue, instruct.resident, instruct.source, instruct.currency, instruct.amount,
                'P' || left(random_digits, 12) || right(random_digits, 4))
        ON CONFLICT ON CONSTRAINT paid_once DO NOTHING;
    IF NOT FOUND THEN RETURN 'exists'; END IF;
    SELECT p.outcome INTO posted FROM ledger.post_transfers(ARRAY[instruct.id], '{post}', ARRAY[instruct.source], ARRAY[aside], ARRAY[instruct.amount],
        ARRAY[instruct.currency], (SELECT ARRAY[i.end_to_end_id] FROM payouts.instruction AS i WHERE i.id = instruct.id), '{NULL}',
        ARRAY[instruct.actor_kind], ARRAY[instruct.actor_id]) AS p;
    IF posted <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused to set money aside: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'set_aside_' || posted;
    END IF;
    INSERT INTO payouts.event (instruction_id, number, state) VALUES (instruct.id, 1, 'waiting');
    RETURN 'instructed';
END
$$;

ALTER FUNCTION payouts.instruct(id uuid, kind text, pays uuid, issue integer, resident uuid, source uuid, currency text, amount bigint, actor_kind text, actor_id text) OWNER TO stoa_door;

CREATE FUNCTION payouts.is_back(state text, says_so boolean, has_left boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE state WHEN 'settled'::text THEN true WHEN 'returned'::text THEN true WHEN 'sent'::text THEN (says_so OR has_left) WHEN 'rejected'::text THEN has_left ELSE false END;

ALTER FUNCTION payouts.is_back(state text, says_so boolean, has_left boolean) OWNER TO stoa_door;

CREATE FUNCTION payouts.is_sepa_text(t text, characters_max integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((t ~ '^[A-Za-z0-9/?:().,''+ -]+$'::text) AND (length(t) <= characters_max) AND (t = btrim(t)));

ALTER FUNCTION payouts.is_sepa_text(t text, characters_max integer) OWNER TO stoa_owner;

CREATE FUNCTION payouts.issue_again(credential bytea, id uuid, payout uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    resident record;
    officer uuid := (SELECT s.staff_id FROM web.staff_with(issue_again.credential, '{finance_officer}') AS s);
    failed record;
BEGIN
    SELECT h.resident_id, h.account_id INTO resident FROM ledger.holder(issue_again.credential, '{payments}') AS h;
    IF NOT FOUND AND officer IS NULL THEN RETURN 'credential_invalid'; END IF;
    SELECT i.kind, i.pays, i.issue, i.resident_id, i.source, i.currency, i.amount, s.state INTO failed
        FROM payouts.instruction AS i JOIN payouts.state AS s ON s.instruction_id = i.id JOIN register.resident AS r ON r.id = i.resident_id
        WHERE i.id = issue_again.payout AND (officer IS NOT NULL OR resident.resident_id IN (r.id, r.superseded_by));
    IF NOT FOUND THEN RETURN 'payout_unknown'; END IF;
    IF failed.issue <> 1 OR failed.state NOT IN ('rejected', 'returned') THEN RETURN 'not_failed'; END IF;
    BEGIN
        RETURN payouts.instruct(issue_again.id, failed.kind, failed.pays, 2, failed.resident_id, payouts.source_now(failed.source, failed.resident_id),
            failed.currency, failed.amount,
            CASE WHEN officer IS NULL THEN 'resident' ELSE 'staff' END, coalesce(officer, resident.account_id)::text);
    EXCEPTION WHEN check_violation THEN
        IF SQLERRM <> 'the ledger refused to set money aside: insufficient_funds' THEN RAISE; END IF;
        RETURN 'insufficient_funds';
    END;
END
$$;

ALTER FUNCTION payouts.issue_again(credential bytea, id uuid, payout uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.law() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'City Finances Act § 12'::text;

ALTER FUNCTION payouts.law() OWNER TO stoa_owner;

CREATE FUNCTION payouts.lock_accounts(accounts uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(ledger.closing_lock());
    PERFORM a.id FROM ledger.account AS a WHERE a.id = ANY (accounts) ORDER BY a.id FOR NO KEY UPDATE;
END
$$;

ALTER FUNCTION payouts.lock_accounts(accounts uuid[]) OWNER TO stoa_door;

CREATE FUNCTION payouts.lock_told(movements uuid[], accounts uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    named record;
    theirs uuid[];
BEGIN
    FOR named IN SELECT DISTINCT t.batch_id FROM payouts.told_by(movements) AS t ORDER BY t.batch_id LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || named.batch_id, 0));
    END LOOP;
    SELECT coalesce(array_agg(x.id), '{}') INTO theirs
        FROM payouts.told_by(movements) AS t JOIN payouts.batch AS b ON b.id = t.batch_id JOIN payouts.channel AS c ON c.currency = b.currency
        LEFT JOIN payouts.instruction AS n ON n.id = t.instruction_id
        CROSS JOIN LATERAL unnest(ARRAY[c.in_transit, b.clearing, n.source]) AS x (id);
    PERFORM payouts.lock_accounts(lock_told.accounts || theirs);
END
$$;

ALTER FUNCTION payouts.lock_told(movements uuid[], accounts uuid[]) OWNER TO stoa_door;

CREATE FUNCTION payouts.log_reading(credential bytea, batch uuid, after_position integer, entry_ids uuid[]) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    approved record;
    reader uuid;
BEGIN
    PERFORM access_log.check_moment();
    SELECT b.reference, b.count, d.decided_by INTO approved
        FROM payouts.batch AS b JOIN payouts.decision AS d ON d.batch_id = b.id AND d.kind = 'approved' WHERE b.id = log_reading.batch;
    IF NOT FOUND THEN RETURN false; END IF;
    IF log_reading.credential IS NULL THEN
        reader := approved.decided_by;
    ELSE
        SELECT s.staff_id INTO reader FROM web.staff_with(log_reading.credential, '{finance_officer}') AS s;
        IF NOT FOUND THEN RETURN false; END IF;
    END IF;
    WITH people AS (
        SELECT p.subject_id, row_number() OVER (ORDER BY p.subject_id) AS number
        FROM (SELECT DISTINCT coalesce(r.superseded_by, r.id) AS subject_id
              FROM payouts.item AS i JOIN payouts.destination AS d ON d.id = i.destination_id JOIN register.resident AS r ON r.id = d.resident_id
              WHERE i.batch_id = log_reading.batch AND i.position > log_reading.after_position
                AND i.position <= log_reading.after_position + cardinality(log_reading.entry_ids)) AS p
    ), logged AS (
        INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, operation, attributes, purpose, legal_basis, law,
                                      case_reference, outcome, count)
        SELECT log_reading.entry_ids[p.number], public.stoa_now(), p.subject_id, 'staff', reader::text, access_log.role_of(reader), 'city', 'payout', '{bank_account}',
            'payout', 'legal_obligation', payouts.law(), approved.reference, 'permitted', approved.count
        FROM people AS p
        RETURNING entry.id
    )
    INSERT INTO access_log.queue (entry_id) SELECT l.id FROM logged AS l;
    RETURN true;
END
$$;

ALTER FUNCTION payouts.log_reading(credential bytea, batch uuid, after_position integer, entry_ids uuid[]) OWNER TO stoa_door;

CREATE FUNCTION payouts.may_follow(former text, next text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (former IS NULL) THEN (next = 'waiting'::text) WHEN (former = 'waiting'::text) THEN (next = 'in_batch'::text) WHEN (former = 'in_batch'::text) THEN (next = ANY (ARRAY['sent'::text, 'waiting'::text])) WHEN (former = 'sent'::text) THEN (next = ANY (ARRAY['settled'::text, 'rejected'::text, 'returned'::text])) WHEN (former = 'settled'::text) THEN (next = 'returned'::text) ELSE false END;

ALTER FUNCTION payouts.may_follow(former text, next text) OWNER TO stoa_owner;

CREATE FUNCTION payouts.note_file(batch uuid, sha256 bytea, bytes bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payouts.decision AS d WHERE d.batch_id = note_file.batch AND d.kind = 'approved') THEN RETURN 'not_approved'; END IF;
    INSERT INTO payouts.file AS f (batch_id, sha256, bytes) VALUES (note_file.batch, note_file.sha256, note_file.bytes)
        ON CONFLICT ON CONSTRAINT file_pkey DO NOTHING;
    IF FOUND THEN RETURN 'recorded'; END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM payouts.file AS f WHERE f.batch_id = note_file.batch AND f.sha256 = note_file.sha256 AND f.bytes = note_file.bytes)
        THEN 'exists' ELSE 'differs' END;
END
$$;

ALTER FUNCTION payouts.note_file(batch uuid, sha256 bytea, bytes bigint) OWNER TO stoa_door;

CREATE FUNCTION payouts.payments_under(batch uuid, after_position integer, entry_ids uuid[]) RETURNS TABLE("position" integer, end_to_end_id text, amount bigint, destination_id uuid, holder_id uuid, key_id text, wrapped_key bytea, sealed_account bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    PERFORM access_log.check_moment();
    RETURN QUERY
        WITH logged AS MATERIALIZED (
            SELECT DISTINCT e.subject_id
            FROM payouts.batch AS b CROSS JOIN unnest(payments_under.entry_ids) AS asked (id) JOIN access_log.entry AS e ON e.id = asked.id
            WHERE b.id = payments_under.batch AND e.operation = 'payout' AND e.outcome = 'permitted' AND e.case_reference = b.reference
              AND e.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned() AND e.at > public.stoa_now() - interval '5 seconds')
        SELECT i.position, n.end_to_end_id, i.amount, d.id, d.resident_id, k.key_id, k.wrapped_key, d.sealed_account
        FROM payouts.item AS i
        JOIN payouts.instruction AS n ON n.id = i.instruction_id
        JOIN payouts.destination AS d ON d.id = i.destination_id
        JOIN register.resident AS r ON r.id = d.resident_id
        JOIN logged AS l ON l.subject_id = coalesce(r.superseded_by, r.id)
        LEFT JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE i.batch_id = payments_under.batch AND i.position > payments_under.after_position
          AND i.position <= payments_under.after_position + cardinality(payments_under.entry_ids)
        ORDER BY i.position;
END
$$;

ALTER FUNCTION payouts.payments_under(batch uuid, after_position integer, entry_ids uuid[]) OWNER TO stoa_door;

CREATE FUNCTION payouts.payouts_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, kind text, currency text, amount bigint, end_to_end_id text, created_at timestamp with time zone, state text, since timestamp with time zone, reason text, may_issue_again boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT i.id, i.kind, i.currency, i.amount, i.end_to_end_id, i.created_at, s.state, s.since, s.reason,
            i.issue = 1 AND s.state IN ('rejected', 'returned')
            AND NOT EXISTS (SELECT FROM payouts.instruction AS x WHERE x.kind = i.kind AND x.pays = i.pays AND x.issue = 2)
        FROM ledger.holder(payouts_of.credential, '{payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payouts.instruction AS i ON i.resident_id = r.id
        JOIN payouts.state AS s ON s.instruction_id = i.id
        WHERE payouts_of.before_at IS NULL OR (i.created_at, i.id) < (payouts_of.before_at, payouts_of.before_id)
        ORDER BY i.created_at DESC, i.id DESC LIMIT LEAST(payouts_of.page_size, 201);
END
$$;

ALTER FUNCTION payouts.payouts_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION payouts.plan(credential bytea) RETURNS TABLE(currency text, ready_count bigint, ready_sum bigint, cooling_count bigint, missing_count bigint, likely_duplicates bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    RETURN QUERY
        SELECT w.currency, count(*) FILTER (WHERE w.standing = 'ready'), coalesce(sum(w.amount) FILTER (WHERE w.standing = 'ready'), 0)::bigint,
            count(*) FILTER (WHERE w.standing = 'cooling'), count(*) FILTER (WHERE w.standing = 'missing'),
            count(*) FILTER (WHERE w.standing = 'ready' AND EXISTS (
                SELECT FROM payouts.instruction AS o JOIN payouts.state AS t ON t.instruction_id = o.id
                WHERE o.resident_id = w.resident_id AND o.amount = w.amount AND o.currency = w.currency AND o.id <> w.id
                  AND t.state IN ('waiting', 'in_batch', 'sent', 'settled') AND o.created_at > public.stoa_now() - interval '7 days'))
        FROM (SELECT i.*, payouts.standing(i.resident_id) AS standing
              FROM web.staff_with(plan.credential, '{finance_officer}') AS officer
              CROSS JOIN payouts.state AS s JOIN payouts.instruction AS i ON i.id = s.instruction_id
              WHERE s.state = 'waiting' OFFSET 0) AS w
        GROUP BY w.currency ORDER BY w.currency;
END
$$;

ALTER FUNCTION payouts.plan(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION payouts.prepare(credential bytea, batch uuid, currency text, execute_on date, OUT outcome text, OUT count integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    preparer uuid := (SELECT s.staff_id FROM web.staff_with(prepare.credential, '{finance_officer}') AS s);
    way payouts.channel;
    ids uuid[];
    numbers smallint[];
    destinations uuid[];
    amounts bigint[];
BEGIN
    IF preparer IS NULL THEN outcome := 'role_missing'; RETURN; END IF;
    SELECT b.count INTO count FROM payouts.batch AS b WHERE b.id = prepare.batch AND b.prepared_by = preparer;
    IF FOUND THEN outcome := 'exists'; RETURN; END IF;
    SELECT c.* INTO way FROM payouts.channel AS c WHERE c.currency = prepare.currency;
    IF NOT FOUND THEN outcome := 'channel_unknown'; RETURN; END IF;
    IF prepare.execute_on < (public.stoa_now() - interval '1 day')::date THEN outcome := 'day_past'; RETURN; END IF;
    SELECT array_agg(t.id ORDER BY t.id), array_agg(t.number ORDER BY t.id), array_agg(t.destination ORDER BY t.id), array_agg(t.amount ORDER BY t.id)
        INTO ids, numbers, destinations, amounts
        FROM (SELECT i.id, (s.number + 1)::smallint AS number, to_.destination, i.amount
              FROM payouts.state AS s JOIN payouts.instruction AS i ON i.id = s.instruction_id
              CROSS JOIN LATERAL (SELECT payouts.destination_for(i.resident_id) AS destination OFFSET 0) AS to_
              WHERE s.state = 'waiting' AND i.currency = prepare.currency AND to_.destination IS NOT NULL
              ORDER BY s.instruction_id LIMIT payouts.batch_max() FOR UPDATE OF s SKIP LOCKED) AS t;
    count := coalesce(cardinality(ids), 0);
    IF count = 0 THEN outcome := 'nothing_ready'; RETURN; END IF;
    INSERT INTO payouts.batch AS b (id, reference, currency, execute_on, count, control_sum, debtor_name, debtor_iban, debtor_bic, debtor_town,
                                    debtor_country, clearing, prepared_by)
        VALUES (prepare.batch, 'PAYOUT-' || to_char(public.stoa_now() AT TIME ZONE 'UTC', 'YYYYMMDD') || '-' || upper(right(prepare.batch::text, 12)),
                prepare.currency, prepare.execute_on, prepare.count, (SELECT sum(a.amount) FROM unnest(amounts) AS a (amount)), way.debtor_name,
                way.debtor_iban, way.debtor_bic, way.debtor_town, way.debtor_country,
                coalesce((SELECT a.suspense_account FROM payments.bank_account AS a WHERE a.identification = way.debtor_iban AND a.currency = prepare.currency), way.bank),
                preparer);
    INSERT INTO payouts.event (instruction_id, number, state, batch_id)
        SELECT t.id, t.number, 'in_batch', prepare.batch FROM unnest(ids, numbers) AS t (id, number);
    INSERT INTO payouts.item (batch_id, position, instruction_id, event_number, destination_id, currency, amount)
        SELECT prepare.batch, t.position, t.id, t.number, t.destination, prepare.currency, t.amount
        FROM unnest(ids, numbers, destinations, amounts) WITH ORDINALITY AS t (id, number, destination, amount, position);
    outcome := 'prepared';
END
$$;

ALTER FUNCTION payouts.prepare(credential bytea, batch uuid, currency text, execute_on date, OUT outcome text, OUT count integer) OWNER TO stoa_door;

CREATE FUNCTION payouts.reference_of(instruction uuid, batch uuid) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN coalesce((SELECT n.end_to_end_id FROM payouts.instruction AS n WHERE n.id = reference_of.instruction),
                    (SELECT b.reference FROM payouts.batch AS b WHERE b.id = reference_of.batch));
END
$$;

ALTER FUNCTION payouts.reference_of(instruction uuid, batch uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.refuse(credential bytea, batch uuid, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    decider uuid := (SELECT s.staff_id FROM web.staff_with(refuse.credential, '{finance_officer,approver}') AS s);
    prepared record;
    earlier text;
BEGIN
    IF decider IS NULL THEN RETURN 'role_missing'; END IF;
    SELECT b.id, b.prepared_by INTO prepared FROM payouts.batch AS b WHERE b.id = refuse.batch;
    IF NOT FOUND THEN RETURN 'batch_unknown'; END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('payouts.batch ' || prepared.id, 0));
    SELECT d.kind INTO earlier FROM payouts.decision AS d WHERE d.batch_id = prepared.id;
    IF FOUND THEN RETURN 'already_' || earlier; END IF;
    IF prepared.prepared_by = decider THEN RETURN 'self_approval'; END IF;
    INSERT INTO payouts.decision (batch_id, prepared_by, kind, decided_by, refusal_reason)
        VALUES (prepared.id, prepared.prepared_by, 'refused', decider, refuse.reason);
    INSERT INTO payouts.event (instruction_id, number, state)
        SELECT i.instruction_id, i.event_number + 1, 'waiting' FROM payouts.item AS i WHERE i.batch_id = prepared.id;
    RETURN 'refused';
END
$$;

ALTER FUNCTION payouts.refuse(credential bytea, batch uuid, reason text) OWNER TO stoa_door;

CREATE FUNCTION payouts.set_channel(currency text, debtor_name text, debtor_iban text, debtor_bic text, debtor_town text, debtor_country text, bank uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    aside uuid := gen_random_uuid();
    transit uuid := gen_random_uuid();
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = set_channel.bank AND a.kind = 'funding' AND a.currency = set_channel.currency) THEN
        RAISE EXCEPTION 'the bank''s account is a funding account of this currency' USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_account_funds';
    END IF;
    IF NOT EXISTS (SELECT FROM payouts.channel AS c WHERE c.currency = set_channel.currency) THEN
        PERFORM ledger.open_account(aside, 'clearing', set_channel.currency, NULL, 'city', 'credit', false);
        PERFORM ledger.open_account(transit, 'clearing', set_channel.currency, NULL, 'city', 'credit', false);
    END IF;
    INSERT INTO payouts.channel AS c (currency, debtor_name, debtor_iban, debtor_bic, debtor_town, debtor_country, bank, set_aside, in_transit)
        VALUES (set_channel.currency, set_channel.debtor_name, set_channel.debtor_iban, set_channel.debtor_bic, set_channel.debtor_town,
                set_channel.debtor_country, set_channel.bank, aside, transit)
        ON CONFLICT ON CONSTRAINT channel_pkey DO UPDATE SET debtor_name = excluded.debtor_name, debtor_iban = excluded.debtor_iban,
            debtor_bic = excluded.debtor_bic, debtor_town = excluded.debtor_town, debtor_country = excluded.debtor_country, bank = excluded.bank;
END
$$;

ALTER FUNCTION payouts.set_channel(currency text, debtor_name text, debtor_iban text, debtor_bic text, debtor_town text, debtor_country text, bank uuid) OWNER TO stoa_owner;

CREATE FUNCTION payouts.source_now(source uuid, resident uuid) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    former record;
BEGIN
    SELECT a.closed_at, a.currency INTO STRICT former FROM ledger.account AS a WHERE a.id = source_now.source;
    IF former.closed_at IS NULL THEN RETURN source_now.source; END IF;
    RETURN ledger.open_wallet((SELECT coalesce(r.superseded_by, r.id) FROM register.resident AS r WHERE r.id = source_now.resident), former.currency);
END
$$;

ALTER FUNCTION payouts.source_now(source uuid, resident uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.standing(resident uuid) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
DECLARE
    person uuid := (SELECT coalesce(r.superseded_by, r.id) FROM register.resident AS r WHERE r.id = standing.resident);
BEGIN
    RETURN (SELECT CASE WHEN bool_or(d.usable_from <= public.stoa_now()) THEN 'ready' WHEN count(*) > 0 THEN 'cooling' ELSE 'missing' END
        FROM (SELECT person AS id UNION ALL SELECT x.id FROM register.resident AS x WHERE x.superseded_by = person) AS r
        JOIN payouts.destination AS d ON d.resident_id = r.id JOIN register.data_key AS k ON k.resident_id = d.resident_id
        WHERE NOT EXISTS (SELECT FROM payouts.destination_end AS e WHERE e.destination_id = d.id));
END
$$;

ALTER FUNCTION payouts.standing(resident uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.take_news(source uuid, batch uuid, direction text, group_state text, end_to_end_ids text[], reasons text[], officer uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    answer record;
BEGIN
    SELECT r.outcome, r.detail INTO answer
        FROM payouts.apply_report(take_news.officer, gen_random_uuid(),
            sha256(uuid_send(take_news.source) || uuid_send(take_news.batch) || convert_to(take_news.direction, 'UTF8')),
            'camt ' || left(replace(take_news.source::text, '-', ''), 30), payouts.reference_of(NULL, take_news.batch), NULL, NULL, take_news.group_state, NULL,
            take_news.end_to_end_ids,
            array_fill(CASE take_news.direction WHEN 'debit' THEN 'settled'::text ELSE 'returned' END, ARRAY[cardinality(take_news.end_to_end_ids)]),
            take_news.reasons, array_fill(0::bigint, ARRAY[cardinality(take_news.end_to_end_ids)])) AS r;
    IF answer.outcome <> 'taken' THEN
        RAISE EXCEPTION 'what the bank tells of a payout cannot be: %', answer.outcome USING ERRCODE = 'check_violation', CONSTRAINT = 'bank_tells_of_payout';
    END IF;
END
$$;

ALTER FUNCTION payouts.take_news(source uuid, batch uuid, direction text, group_state text, end_to_end_ids text[], reasons text[], officer uuid) OWNER TO stoa_door;

CREATE FUNCTION payouts.take_out(credential bytea, id uuid, currency text, amount bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    taker record;
    wallet record;
BEGIN
    SELECT h.resident_id, h.account_id INTO taker FROM ledger.holder(take_out.credential, '{payments}') AS h;
    IF NOT FOUND THEN RETURN 'credential_invalid'; END IF;
    IF payouts.standing(taker.resident_id) = 'missing' THEN RETURN 'account_missing'; END IF;
    -- One request at a time, so that what is there is known before anything is written.
    SELECT a.id, a.posted INTO wallet FROM ledger.account AS a
        WHERE a.resident_id = taker.resident_id AND a.currency = take_out.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
    IF wallet.id IS NULL THEN RETURN 'insufficient_funds'; END IF;
    BEGIN
        RETURN payouts.instruct(take_out.id, 'wallet', take_out.id, 1, taker.resident_id, wallet.id, take_out.currency, take_out.amount, 'resident',
                                taker.account_id::text);
    EXCEPTION WHEN check_violation THEN
        -- Undone with the instruction; anything but lack of money is a fault.
        IF SQLERRM <> 'the ledger refused to set money aside: insufficient_funds' THEN RAISE; END IF;
        RETURN 'insufficient_funds';
    END;
END
$$;

ALTER FUNCTION payouts.take_out(credential bytea, id uuid, currency text, amount bigint) OWNER TO stoa_door;

CREATE FUNCTION payouts.take_report(credential bytea, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text, end_to_end_ids text[], states text[], reasons text[], amounts bigint[], OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    officer uuid := (SELECT s.staff_id FROM web.staff_with(take_report.credential, '{finance_officer}') AS s);
BEGIN
    IF officer IS NULL THEN outcome := 'role_missing'; RETURN; END IF;
    SELECT r.outcome, r.detail, r.settled, r.rejected, r.returned INTO outcome, detail, settled, rejected, returned
        FROM payouts.apply_report(officer, take_report.id, take_report.sha256, take_report.message_id, take_report.batch_reference, take_report.count,
            take_report.control_sum, take_report.group_state, take_report.group_reason, take_report.end_to_end_ids, take_report.states, take_report.reasons,
            take_report.amounts) AS r;
END
$$;

ALTER FUNCTION payouts.take_report(credential bytea, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text, end_to_end_ids text[], states text[], reasons text[], amounts bigint[], OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer) OWNER TO stoa_door;

CREATE FUNCTION payouts.told_by(movements uuid[]) RETURNS TABLE(item_id uuid, direction text, amount bigint, is_reversal boolean, is_return boolean, reason text, batch_id uuid, instruction_id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
        SELECT i.id, m.direction, i.amount, m.is_reversal, coalesce((part.value ->> 'is_return')::boolean, false), part.value ->> 'return_reason', b.id, b.instruction_id
        FROM (SELECT x.* FROM payments.bank_movement AS x WHERE x.id = ANY (told_by.movements) OFFSET 0) AS m
        CROSS JOIN LATERAL (SELECT x.suspense_account FROM payments.bank_account AS x WHERE x.id = m.account_id OFFSET 0) AS a
        CROSS JOIN LATERAL (SELECT x.* FROM payments.bank_item AS x WHERE x.movement_id = m.id OFFSET 0) AS i
        CROSS JOIN LATERAL (SELECT x.parts -> (i.number - 1) AS value FROM payments.bank_entry AS x
                            WHERE x.report_id = m.report_id AND x.position = m.position OFFSET 0) AS part
        CROSS JOIN LATERAL (
            SELECT y.id, n.id AS instruction_id
            FROM payouts.instruction AS n JOIN payouts.item AS x ON x.instruction_id = n.id
            JOIN payouts.decision AS d ON d.batch_id = x.batch_id AND d.kind = 'approved' JOIN payouts.batch AS y ON y.id = x.batch_id
            WHERE n.end_to_end_id = part.value ->> 'end_to_end_id' AND n.currency = i.currency AND y.clearing = a.suspense_account
            UNION ALL
            SELECT y.id, NULL
            FROM payouts.batch AS y JOIN payouts.decision AS d ON d.batch_id = y.id AND d.kind = 'approved'
            WHERE y.reference = part.value ->> 'batch_reference' AND part.value ->> 'end_to_end_id' IS NULL AND y.currency = i.currency
              AND y.clearing = a.suspense_account AND m.direction = 'debit' AND NOT m.is_reversal
            OFFSET 0) AS b;
END
$$;

ALTER FUNCTION payouts.told_by(movements uuid[]) OWNER TO stoa_door;

CREATE FUNCTION payouts.waiting_for(credential bytea) RETURNS TABLE(count bigint, oldest timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT count(*), min(b.prepared_at)
        FROM web.staff_with(waiting_for.credential, '{finance_officer,approver}') AS s JOIN payouts.batch AS b ON b.prepared_by <> s.staff_id
        WHERE NOT EXISTS (SELECT FROM payouts.decision AS d WHERE d.batch_id = b.id);
END
$$;

ALTER FUNCTION payouts.waiting_for(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '%.% only grows: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Record a new row that corrects the earlier one.';
END
$$;

ALTER FUNCTION public.refuse_change() OWNER TO stoa_owner;

CREATE FUNCTION questions.actor_under(credential bytea, view_entry uuid) RETURNS TABLE(staff_id uuid, display_name text, username text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT s.id, s.display_name, s.username
        FROM questions.question_under(actor_under.credential, actor_under.view_entry) AS u
        JOIN questions.question AS q ON q.id = u.id
        JOIN access_log.entry AS e ON e.id = q.entry_id AND e.actor_kind = 'staff'
        JOIN identity.staff AS s ON s.id = e.actor_id::uuid;
END
$$;

ALTER FUNCTION questions.actor_under(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION questions.answer_question(credential bytea, question uuid, finding text, sealed_answer bytea, sealed_release bytea, OUT outcome text, OUT resident uuid, OUT reference text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION questions.answer_question(credential bytea, question uuid, finding text, sealed_answer bytea, sealed_release bytea, OUT outcome text, OUT resident uuid, OUT reference text) OWNER TO stoa_door;

CREATE FUNCTION questions.ask(credential bytea, question uuid, reference text, entry uuid, sealed_question bytea, OUT outcome text, OUT resident uuid) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION questions.ask(credential bytea, question uuid, reference text, entry uuid, sealed_question bytea, OUT outcome text, OUT resident uuid) OWNER TO stoa_door;

CREATE FUNCTION questions.check_answer() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF EXISTS (SELECT FROM questions.question AS q JOIN access_log.entry AS e ON e.id = q.entry_id
               WHERE q.id = NEW.question_id AND e.actor_kind = 'staff' AND e.actor_id = NEW.answered_by::text) THEN
        RAISE EXCEPTION 'a question is answered by somebody else than who is asked about'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'answered_by_another';
    END IF;
    RETURN NEW;
END
$$;

ALTER FUNCTION questions.check_answer() OWNER TO stoa_door;

CREATE FUNCTION questions.own_question(credential bytea, entry uuid) RETURNS TABLE(id uuid, reference text, sealed_question bytea, asked_at timestamp with time zone, due_at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea, finding text, sealed_answer bytea, answered_at timestamp with time zone, released_name text, released_username text, sealed_release bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION questions.own_question(credential bytea, entry uuid) OWNER TO stoa_door;

CREATE FUNCTION questions.own_questions(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, reference text, sealed_question bytea, asked_at timestamp with time zone, due_at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea, finding text, sealed_answer bytea, answered_at timestamp with time zone, released_name text, released_username text, sealed_release bytea, entry_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION questions.own_questions(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION questions.question_under(credential bytea, view_entry uuid) RETURNS TABLE(id uuid, reference text, sealed_question bytea, asked_at timestamp with time zone, due_at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION questions.question_under(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION questions.questionable(credential bytea, entry uuid) RETURNS TABLE(entry_id uuid, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT e.id, h.own_id
        FROM access_log.own_viewer AS h
        JOIN access_log.entry AS e ON e.id = questionable.entry AND e.subject_id = h.resident_id AND e.operation <> 'own_view'
        WHERE h.credential = questionable.credential AND h.kind = 'access_log';
END
$$;

ALTER FUNCTION questions.questionable(credential bytea, entry uuid) OWNER TO stoa_door;

CREATE FUNCTION questions.waiting(credential bytea, wanted text) RETURNS TABLE(reference text, asked_at timestamp with time zone, due_at timestamp with time zone, is_overdue boolean, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION questions.waiting(credential bytea, wanted text) OWNER TO stoa_door;

CREATE FUNCTION register.add_guardianship(guardianship uuid, child uuid, guardian uuid, must_agree boolean, asked_from timestamp with time zone, alone_from timestamp with time zone, of_age_from timestamp with time zone, sealed_child_name bytea, sealed_guardian_name bytea, authority text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION register.add_guardianship(guardianship uuid, child uuid, guardian uuid, must_agree boolean, asked_from timestamp with time zone, alone_from timestamp with time zone, of_age_from timestamp with time zone, sealed_child_name bytea, sealed_guardian_name bytea, authority text) OWNER TO stoa_owner;

CREATE FUNCTION register.answer_correction(credential bytea, opening_id uuid, request uuid, decision text, sealed_answer bytea, sealed_value bytea, name_and_birth_date_hmac bytea, OUT outcome text, OUT resident uuid, OUT reference text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    opened record;
    asked record;
BEGIN
    SELECT o.resident_id, o.staff_id INTO opened
        FROM web.staff_with(answer_correction.credential, '{caseworker}') AS s JOIN casework.opening AS o ON o.staff_id = s.staff_id
        WHERE o.id = answer_correction.opening_id AND o.reason = 'correction' AND o.expires_at > public.stoa_now();
    IF NOT FOUND THEN outcome := 'not_allowed'; RETURN; END IF;
    SELECT r.id, r.reference, r.attribute INTO asked
        FROM register.correction_request AS r JOIN register.resident AS holder ON holder.id = r.resident_id
        WHERE r.id = answer_correction.request AND (holder.id = opened.resident_id OR holder.superseded_by = opened.resident_id);
    IF NOT FOUND THEN outcome := 'request_unknown'; RETURN; END IF;
    IF answer_correction.decision = 'accepted' THEN
        IF asked.attribute IN ('national_number', 'username', 'contact_email', 'contact_phone') THEN outcome := 'value_not_changed_here'; RETURN; END IF;
        IF answer_correction.sealed_value IS NULL THEN outcome := 'value_missing'; RETURN; END IF;
    END IF;

    -- The first answer counts: whoever comes at the same moment waits here for it, and finds it.
    INSERT INTO register.correction_answer AS a (request_id, decision, sealed_answer, answered_by)
        VALUES (asked.id, answer_correction.decision, answer_correction.sealed_answer, opened.staff_id)
        ON CONFLICT ON CONSTRAINT correction_answer_pkey DO NOTHING;
    IF NOT FOUND THEN outcome := 'already_answered'; RETURN; END IF;
    IF answer_correction.decision = 'accepted' THEN
        INSERT INTO register.sealed_attribute AS v (resident_id, attribute, sealed_value, source)
            VALUES (opened.resident_id, asked.attribute, answer_correction.sealed_value, 'counter')
            ON CONFLICT ON CONSTRAINT sealed_attribute_pkey
            DO UPDATE SET sealed_value = excluded.sealed_value, source = excluded.source, recorded_at = public.stoa_now();
        IF asked.attribute IN ('given_names', 'family_name', 'date_of_birth') THEN
            -- Only a record that is found by name is found by its new one.
            UPDATE register.lookup AS l SET hmac = answer_correction.name_and_birth_date_hmac
                WHERE l.kind = 'name_and_birth_date' AND l.resident_id = opened.resident_id;
        END IF;
    END IF;
    outcome := 'answered';
    resident := opened.resident_id;
    reference := asked.reference;
END
$$;

ALTER FUNCTION register.answer_correction(credential bytea, opening_id uuid, request uuid, decision text, sealed_answer bytea, sealed_value bytea, name_and_birth_date_hmac bytea, OUT outcome text, OUT resident uuid, OUT reference text) OWNER TO stoa_door;

CREATE FUNCTION register.children_of(credential bytea) RETURNS TABLE(child_id uuid, public_code text, must_agree boolean, decides_alone boolean, is_asked boolean, guardianship_id uuid, sealed_child_name bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION register.children_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION register.corrections_about(credential bytea, view_entry uuid) RETURNS TABLE(id uuid, reference text, attribute text, sealed_statement bytea, requested_at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT r.id, r.reference, r.attribute, r.sealed_statement, r.requested_at, holder.id, k.key_id, k.wrapped_key
        FROM access_log.look_of_staff(corrections_about.credential, corrections_about.view_entry, 'caseworker', 'view', interval '5 seconds') AS e
        JOIN register.resident AS holder ON holder.id = e.subject_id OR holder.superseded_by = e.subject_id
        JOIN register.correction_request AS r ON r.resident_id = holder.id
        JOIN register.data_key AS k ON k.resident_id = holder.id
        WHERE e.purpose = 'correction' AND NOT EXISTS (SELECT FROM register.correction_answer AS a WHERE a.request_id = r.id)
        ORDER BY r.requested_at, r.id LIMIT 100;
END
$$;

ALTER FUNCTION register.corrections_about(credential bytea, view_entry uuid) OWNER TO stoa_door;

CREATE FUNCTION register.end_guardianship(child uuid, guardian uuid, authority text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE register.guardianship AS g SET until = public.stoa_now(), end_authority = end_guardianship.authority
        WHERE g.child_id = end_guardianship.child AND g.guardian_id = end_guardianship.guardian AND g.until IS NULL;
    RETURN FOUND;
END
$$;

ALTER FUNCTION register.end_guardianship(child uuid, guardian uuid, authority text) OWNER TO stoa_owner;

CREATE FUNCTION register.erase_resident(code text, authority text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    person uuid := (SELECT coalesce(r.superseded_by, r.id) FROM register.resident AS r WHERE r.public_code = erase_resident.code);
    rows_of_person uuid[];
BEGIN
    IF person IS NULL OR EXISTS (SELECT FROM register.erasure AS e WHERE e.resident_id = person) THEN RETURN false; END IF;
    rows_of_person := ARRAY(SELECT r.id FROM register.resident AS r WHERE r.id = person OR r.superseded_by = person);
    INSERT INTO register.erasure (resident_id, authority) SELECT p.id, erase_resident.authority FROM unnest(rows_of_person) AS p (id);

    INSERT INTO mandates.event (mandate_id, kind)
        SELECT m.id, 'erased' FROM mandates.mandate AS m WHERE m.resident_id = ANY (rows_of_person) OR m.helper_id = ANY (rows_of_person) ON CONFLICT DO NOTHING;
    DELETE FROM delivery.outgoing AS o WHERE o.resident_id = ANY (rows_of_person);
    DELETE FROM identity.address AS d USING identity.account AS a WHERE a.resident_id = ANY (rows_of_person) AND d.account_id = a.id;
    DELETE FROM identity.letter_code AS c USING identity.account AS a WHERE a.resident_id = ANY (rows_of_person) AND c.account_id = a.id;
    DELETE FROM delivery.preference AS p USING identity.account AS a WHERE a.resident_id = ANY (rows_of_person) AND p.account_id = a.id;
    DELETE FROM delivery.letter_fallback AS f USING identity.account AS a WHERE a.resident_id = ANY (rows_of_person) AND f.account_id = a.id;
    DELETE FROM register.data_key AS k WHERE k.resident_id = ANY (rows_of_person);
    DELETE FROM register.sealed_attribute AS a WHERE a.resident_id = ANY (rows_of_person);
    DELETE FROM register.lookup AS l WHERE l.resident_id = ANY (rows_of_person);
    DELETE FROM register.import_record AS i WHERE i.resident_id = ANY (rows_of_person);
    DELETE FROM exchange.pseudonym AS p WHERE p.resident_id = ANY (rows_of_person);
    DELETE FROM register.guardianship AS g WHERE g.child_id = ANY (rows_of_person) OR g.guardian_id = ANY (rows_of_person);
    DELETE FROM register.minor AS m WHERE m.resident_id = ANY (rows_of_person);

    UPDATE web.credential AS c SET revoked_at = public.stoa_now() FROM identity.account AS a
        WHERE a.resident_id = ANY (rows_of_person) AND c.account_id = a.id AND c.revoked_at IS NULL;
    DELETE FROM identity.factor AS f USING identity.account AS a WHERE a.resident_id = ANY (rows_of_person) AND f.account_id = a.id;
    DELETE FROM identity.sign_in AS i USING identity.account AS a WHERE a.resident_id = ANY (rows_of_person) AND i.account_id = a.id;
    DELETE FROM identity.sign_in_name AS n USING identity.account AS a WHERE a.resident_id = ANY (rows_of_person) AND n.account_id = a.id;
    UPDATE identity.account AS a SET closed_at = public.stoa_now(), password_hash = '$argon2id$erased'
        WHERE a.resident_id = ANY (rows_of_person);
    RETURN true;
END
$_$;

ALTER FUNCTION register.erase_resident(code text, authority text) OWNER TO stoa_owner;

CREATE TABLE register.guardianship (
    id uuid NOT NULL,
    child_id uuid NOT NULL,
    guardian_id uuid NOT NULL,
    must_agree boolean NOT NULL,
    sealed_child_name bytea NOT NULL,
    sealed_guardian_name bytea NOT NULL,
    authority text NOT NULL,
    since timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    until timestamp with time zone,
    end_authority text,
    CONSTRAINT guardianship_authority_check CHECK (((length(authority) >= 3) AND (length(authority) <= 200))),
    CONSTRAINT guardianship_check CHECK ((guardian_id <> child_id)),
    CONSTRAINT guardianship_check1 CHECK ((until >= since)),
    CONSTRAINT guardianship_check2 CHECK (((until IS NULL) = (end_authority IS NULL))),
    CONSTRAINT guardianship_end_authority_check CHECK (((length(end_authority) >= 3) AND (length(end_authority) <= 200))),
    CONSTRAINT guardianship_sealed_child_name_check CHECK (((octet_length(sealed_child_name) >= 28) AND (octet_length(sealed_child_name) <= 1024))),
    CONSTRAINT guardianship_sealed_guardian_name_check CHECK (((octet_length(sealed_guardian_name) >= 28) AND (octet_length(sealed_guardian_name) <= 1024)))
);

ALTER TABLE register.guardianship OWNER TO stoa_owner;

CREATE TABLE register.minor (
    resident_id uuid NOT NULL,
    asked_from timestamp with time zone NOT NULL,
    alone_from timestamp with time zone NOT NULL,
    of_age_from timestamp with time zone NOT NULL,
    CONSTRAINT minor_check CHECK (((asked_from <= alone_from) AND (alone_from <= of_age_from)))
);

ALTER TABLE register.minor OWNER TO stoa_owner;

CREATE FUNCTION register.guardians_at(child uuid, moment timestamp with time zone) RETURNS TABLE(guardian_id uuid, must_agree boolean, sealed_guardian_name bytea)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT g.guardian_id,
     g.must_agree,
     g.sealed_guardian_name
    FROM (register.guardianship g
      JOIN register.minor m ON (((m.resident_id = g.child_id) AND (m.of_age_from > guardians_at.moment))))
   WHERE ((g.child_id = guardians_at.child) AND (g.since <= guardians_at.moment) AND ((g.until IS NULL) OR (g.until > guardians_at.moment)));
END;

ALTER FUNCTION register.guardians_at(child uuid, moment timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION register.guardians_of(credential bytea) RETURNS TABLE(guardianship_id uuid, account_id uuid, must_agree boolean, since timestamp with time zone, until timestamp with time zone, sealed_guardian_name bytea, holder_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION register.guardians_of(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION register.has_corrected_name(resident uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (EXISTS (SELECT FROM register.sealed_attribute a WHERE ((a.resident_id = has_corrected_name.resident) AND (a.source = 'counter'::text) AND (a.attribute = ANY (ARRAY['given_names'::text, 'family_name'::text, 'date_of_birth'::text])))));

ALTER FUNCTION register.has_corrected_name(resident uuid) OWNER TO stoa_door;

CREATE TABLE register.import_record (
    national_number_hmac bytea NOT NULL,
    resident_id uuid NOT NULL,
    content_hmac bytea NOT NULL,
    imported_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT import_record_content_hmac_check CHECK ((octet_length(content_hmac) = 32)),
    CONSTRAINT import_record_national_number_hmac_check CHECK ((octet_length(national_number_hmac) = 32))
);

ALTER TABLE register.import_record OWNER TO stoa_owner;

CREATE FUNCTION register.imported(national_number_hmacs bytea[]) RETURNS TABLE(national_number_hmac bytea, resident_id uuid, content_hmac bytea, key_id text, wrapped_key bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT i.national_number_hmac,
     i.resident_id,
     i.content_hmac,
     k.key_id,
     k.wrapped_key
    FROM (register.import_record i
      JOIN register.data_key k USING (resident_id))
   WHERE (i.national_number_hmac = ANY (imported.national_number_hmacs));
END;

ALTER FUNCTION register.imported(national_number_hmacs bytea[]) OWNER TO stoa_door;

CREATE FUNCTION register.is_guardian(guardian uuid, child uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (EXISTS (SELECT FROM register.guardians_at(is_guardian.child, public.stoa_now()) g(guardian_id, must_agree, sealed_guardian_name) WHERE (g.guardian_id = is_guardian.guardian)));

ALTER FUNCTION register.is_guardian(guardian uuid, child uuid) OWNER TO stoa_door;

CREATE FUNCTION register.merge_import(batch uuid, OUT inserted integer, OUT updated integer) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO register.resident (id, public_code, origin)
        SELECT s.resident_id, s.public_code, 'population_register' FROM register.import_staging AS s
        WHERE s.batch_id = batch AND NOT EXISTS (SELECT FROM register.import_record AS i WHERE i.resident_id = s.resident_id);
    GET DIAGNOSTICS inserted = ROW_COUNT;

    INSERT INTO register.data_key (resident_id, key_id, wrapped_key)
        SELECT s.resident_id, s.key_id, s.wrapped_key FROM register.import_staging AS s WHERE s.batch_id = batch
        ON CONFLICT (resident_id) DO NOTHING;

    DELETE FROM register.sealed_attribute AS a USING register.import_staging AS s
        WHERE s.batch_id = batch AND a.resident_id = s.resident_id AND a.source = 'population_register';
    INSERT INTO register.sealed_attribute (resident_id, attribute, sealed_value, source)
        SELECT s.resident_id, v.attribute, v.sealed_value, 'population_register'
        FROM register.import_staging AS s, LATERAL unnest(s.attributes, s.sealed_values) AS v (attribute, sealed_value)
        WHERE s.batch_id = batch
        ON CONFLICT (resident_id, attribute) DO NOTHING;

    DELETE FROM register.lookup AS l USING register.import_staging AS s
        WHERE s.batch_id = batch AND l.resident_id = s.resident_id AND (l.kind = 'national_number' OR NOT register.has_corrected_name(l.resident_id));
    INSERT INTO register.lookup (kind, hmac, resident_id)
        SELECT 'national_number', s.national_number_hmac, s.resident_id FROM register.import_staging AS s WHERE s.batch_id = batch
        UNION ALL
        SELECT 'name_and_birth_date', s.name_and_birth_date_hmac, s.resident_id FROM register.import_staging AS s
        WHERE s.batch_id = batch AND NOT register.has_corrected_name(s.resident_id);

    INSERT INTO register.import_record (national_number_hmac, resident_id, content_hmac)
        SELECT s.national_number_hmac, s.resident_id, s.content_hmac FROM register.import_staging AS s WHERE s.batch_id = batch
        ON CONFLICT (national_number_hmac) DO UPDATE SET content_hmac = excluded.content_hmac, imported_at = excluded.imported_at;

    DELETE FROM register.import_staging AS s WHERE s.batch_id = batch;
    GET DIAGNOSTICS updated = ROW_COUNT;
    updated := updated - inserted;
END
$$;

ALTER FUNCTION register.merge_import(batch uuid, OUT inserted integer, OUT updated integer) OWNER TO stoa_door;

CREATE FUNCTION register.open_corrections(credential bytea) RETURNS TABLE(reference text, attribute text, requested_at timestamp with time zone, resident_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT r.reference, r.attribute, r.requested_at, coalesce(subject.superseded_by, subject.id)
        FROM web.staff_with(open_corrections.credential, '{caseworker}') AS s
        CROSS JOIN register.correction_request AS r
        JOIN register.resident AS subject ON subject.id = r.resident_id
        WHERE NOT EXISTS (SELECT FROM register.correction_answer AS a WHERE a.request_id = r.id)
        ORDER BY r.requested_at LIMIT 100;
END
$$;

ALTER FUNCTION register.open_corrections(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION register.own_corrections(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) RETURNS TABLE(id uuid, reference text, attribute text, sealed_statement bytea, requested_at timestamp with time zone, holder_id uuid, key_id text, wrapped_key bytea, decision text, sealed_answer bytea, answered_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
        SELECT r.id, r.reference, r.attribute, r.sealed_statement, r.requested_at, r.resident_id, k.key_id, k.wrapped_key,
            answer.decision, answer.sealed_answer, answer.answered_at
        FROM access_log.own_viewer AS h
        JOIN register.correction_request AS r ON r.resident_id = h.resident_id
        JOIN register.data_key AS k ON k.resident_id = r.resident_id
        LEFT JOIN register.correction_answer AS answer ON answer.request_id = r.id
        WHERE h.credential = own_corrections.credential AND h.kind = 'profile'
          AND (own_corrections.before_at IS NULL OR (r.requested_at, r.id) < (own_corrections.before_at, own_corrections.before_id))
        ORDER BY r.requested_at DESC, r.id DESC LIMIT LEAST(own_corrections.page_size, 200);
END
$$;

ALTER FUNCTION register.own_corrections(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) OWNER TO stoa_door;

CREATE FUNCTION register.request_correction(credential bytea, id uuid, reference text, attribute text, sealed_statement bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO register.correction_request AS r (id, reference, resident_id, attribute, sealed_statement)
        SELECT request_correction.id, request_correction.reference, a.resident_id, request_correction.attribute, request_correction.sealed_statement
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        WHERE c.hash = request_correction.credential AND c.kind = 'session' AND web.is_live(c)
        ON CONFLICT ON CONSTRAINT correction_request_pkey DO NOTHING;
    RETURN FOUND;
END
$$;

ALTER FUNCTION register.request_correction(credential bytea, id uuid, reference text, attribute text, sealed_statement bytea) OWNER TO stoa_door;

CREATE FUNCTION register.sealing_key(code text) RETURNS TABLE(resident_id uuid, key_id text, wrapped_key bytea)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT r.id,
     k.key_id,
     k.wrapped_key
    FROM ((register.resident named
      JOIN register.resident r ON ((r.id = COALESCE(named.superseded_by, named.id))))
      JOIN register.data_key k ON ((k.resident_id = r.id)))
   WHERE (named.public_code = sealing_key.code);
END;

ALTER FUNCTION register.sealing_key(code text) OWNER TO stoa_owner;

CREATE FUNCTION register.tell_of_guardianship() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO messages.message (id, resident_id, kind)
        SELECT gen_random_uuid(), told.resident_id, told.whom || CASE WHEN NEW.until IS NULL THEN '_entered' ELSE '_ended' END
        FROM (VALUES (NEW.guardian_id, 'guardianship'), (NEW.child_id, 'guardian')) AS told (resident_id, whom);
    RETURN NULL;
END
$$;

ALTER FUNCTION register.tell_of_guardianship() OWNER TO stoa_door;

CREATE FUNCTION register.unseen_children(credential bytea) RETURNS TABLE(child_id uuid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION register.unseen_children(credential bytea) OWNER TO stoa_door;

CREATE FUNCTION web.choose_language(session_hash bytea, language text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    -- Of whoever acts for another (0034) it is their own.
    session_hash := coalesce((SELECT w.session_hash FROM mandates.acting AS w WHERE w.hash = choose_language.session_hash), session_hash);
    UPDATE identity.account AS a SET language = choose_language.language FROM web.credential AS c
        WHERE c.hash = choose_language.session_hash AND web.is_live(c) AND a.id = c.account_id;
    UPDATE identity.staff AS s SET language = choose_language.language FROM web.credential AS c
        WHERE c.hash = choose_language.session_hash AND web.is_live(c) AND s.id = c.staff_id;
END
$$;

ALTER FUNCTION web.choose_language(session_hash bytea, language text) OWNER TO stoa_door;

CREATE FUNCTION web.issue_authorization_code(code_hash bytea, request_id uuid, session_hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO openid.authorization_code (hash, request_id, account_id, authenticator_assurance, session_id, signed_in_at, expires_at)
    SELECT code_hash, r.id, c.account_id, c.authenticator_assurance, c.id, c.authenticated_at, public.stoa_now() + interval '60 seconds'
    FROM openid.authorization_request AS r, web.credential AS c
    WHERE r.id = issue_authorization_code.request_id AND r.expires_at > public.stoa_now()
      AND c.hash = session_hash AND c.kind = 'session' AND c.account_id IS NOT NULL AND web.is_live(c)
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

ALTER FUNCTION web.issue_authorization_code(code_hash bytea, request_id uuid, session_hash bytea) OWNER TO stoa_door;

CREATE FUNCTION web.issue_client_token(token_hash bytea, client_id text, scope text[], lifetime_seconds integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO web.credential (hash, kind, client_id, organisation_id, scope, authenticator_assurance, expires_at)
    SELECT token_hash, 'access_token', c.id, c.organisation_id, issue_client_token.scope, 1,
           public.stoa_now() + make_interval(secs => LEAST(lifetime_seconds, 600))
    FROM openid.client AS c
    WHERE c.id = issue_client_token.client_id AND c.kind = 'confidential' AND c.closed_at IS NULL AND issue_client_token.scope <@ c.scope;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this client cannot have such a token' USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

ALTER FUNCTION web.issue_client_token(token_hash bytea, client_id text, scope text[], lifetime_seconds integer) OWNER TO stoa_door;

CREATE FUNCTION web.redeem_authorization_code(code_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    code record;
    service record;
BEGIN
    SELECT a.account_id, a.authenticator_assurance, a.consumed_at, a.expires_at, a.session_id, a.signed_in_at,
        r.client_id, r.redirect_uri, r.code_challenge, r.scope, r.nonce, r.id_token_claims, r.user_info_claims, r.resource, r.key_thumbprint
        INTO code
        FROM openid.authorization_code AS a JOIN openid.authorization_request AS r ON r.id = a.request_id
        WHERE a.hash = redeem_authorization_code.code_hash
        FOR UPDATE OF a;
    IF code IS NULL OR code.client_id IS DISTINCT FROM redeem_authorization_code.client_id THEN
        outcome := 'unknown';
        RETURN;
    ELSIF code.consumed_at IS NOT NULL THEN
        PERFORM openid.end_sign_in(c.sign_in_id) FROM web.credential AS c
            WHERE c.authorization_code_hash = redeem_authorization_code.code_hash AND c.sign_in_id IS NOT NULL;
        UPDATE web.credential AS c SET revoked_at = public.stoa_now()
            WHERE c.authorization_code_hash = redeem_authorization_code.code_hash AND c.revoked_at IS NULL;
        outcome := 'replayed';
        RETURN;
    END IF;
    UPDATE openid.authorization_code AS a SET consumed_at = public.stoa_now() WHERE a.hash = redeem_authorization_code.code_hash;
    IF code.expires_at <= public.stoa_now() THEN
        outcome := 'expired';
        RETURN;
    ELSIF code.redirect_uri IS DISTINCT FROM redeem_authorization_code.redirect_uri THEN
        outcome := 'redirect_uri_differs';
        RETURN;
    ELSIF code.code_challenge IS DISTINCT FROM redeem_authorization_code.code_challenge THEN
        outcome := 'verifier_wrong';
        RETURN;
    ELSIF code.key_thumbprint IS NOT NULL AND code.key_thumbprint IS DISTINCT FROM redeem_authorization_code.key_thumbprint THEN
        outcome := 'key_differs';
        RETURN;
    END IF;
    -- Whoever signed out within this minute is not signed in anywhere by it. Locked: a sign-out at this very moment waits, and finds what was issued, or was first.
    PERFORM FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        WHERE c.account_id = code.account_id AND c.id = code.session_id AND c.kind = 'session' AND web.is_live(c) FOR SHARE OF c;
    IF NOT FOUND THEN
        outcome := 'session_ended';
        RETURN;
    END IF;
    issued_at := public.stoa_now();
    IF NOT 'openid' = ANY (code.scope) THEN
        INSERT INTO web.credential (hash, kind, account_id, client_id, scope, authenticator_assurance, authorization_code_hash, expires_at)
        VALUES (token_hash, 'access_token', code.account_id, code.client_id, code.scope, code.authenticator_assurance,
                redeem_authorization_code.code_hash, issued_at + make_interval(secs => LEAST(lifetime_seconds, 3600)));
        outcome := 'issued';
        redeem_authorization_code.scope := code.scope;
        RETURN;
    END IF;
    -- Nor whoever ended the service meanwhile.
    SELECT k.organisation_id, p.resident_id, p.pseudonym, r.identity_assurance INTO service
        FROM openid.client AS k JOIN identity.account AS a ON a.id = code.account_id AND a.closed_at IS NULL
        JOIN register.resident AS r ON r.id = a.resident_id
        JOIN exchange.pseudonym AS p ON p.resident_id = r.id AND p.organisation_id = k.organisation_id
        JOIN openid.connection AS n ON n.account_id = a.id AND n.client_id = k.id AND n.ended_at IS NULL
        WHERE k.id = code.client_id
        FOR SHARE OF n;
    IF service IS NULL THEN
        outcome := 'session_ended';
        RETURN;
    END IF;
    outcome := 'issued';
    redeem_authorization_code.scope := code.scope;
    INSERT INTO openid.sign_in (client_id, account_id, resident_id, subject, session_id, signed_in_at, authenticator_assurance, scope, user_info_claims, resource,
                                key_thumbprint)
    VALUES (code.client_id, code.account_id, service.resident_id, service.pseudonym, code.session_id, code.signed_in_at,
            code.authenticator_assurance, code.scope, code.user_info_claims, code.resource, redeem_authorization_code.key_thumbprint)
    RETURNING id INTO redeem_authorization_code.sign_in_id;
    INSERT INTO web.credential (hash, kind, organisation_id, client_id, scope, authenticator_assurance, authorization_code_hash, sign_in_id, expires_at)
    VALUES (token_hash, 'access_token', service.organisation_id, code.client_id, code.scope, code.authenticator_assurance,
            redeem_authorization_code.code_hash, redeem_authorization_code.sign_in_id, issued_at + make_interval(secs => LEAST(lifetime_seconds, 600)));
    IF 'offline_access' = ANY (code.scope) THEN
        INSERT INTO openid.refresh_token (hash, sign_in_id, access_hash, expires_at)
        VALUES (refresh_hash, redeem_authorization_code.sign_in_id, token_hash, issued_at + openid.refresh_lifetime());
    END IF;
    subject := service.pseudonym;
    redeem_authorization_code.resource := code.resource;
    nonce := code.nonce;
    signed_in_at := code.signed_in_at;
    redeem_authorization_code.authenticator_assurance := code.authenticator_assurance;
    redeem_authorization_code.identity_assurance := service.identity_assurance;
    redeem_authorization_code.id_token_claims := code.id_token_claims;
END
$$;

ALTER FUNCTION web.redeem_authorization_code(code_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) OWNER TO stoa_door;

CREATE FUNCTION web.remove_ended_credentials() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM web.credential AS c WHERE c.expires_at < public.stoa_now() - interval '1 day';
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

ALTER FUNCTION web.remove_ended_credentials() OWNER TO stoa_door;

CREATE FUNCTION web.resolve_credential(hash bytea) RETURNS TABLE(kind text, actor_kind text, account_id uuid, resident_id uuid, staff_id uuid, display_name text, roles text[], organisation_id text, client_id text, scope text[], language text, expires_at timestamp with time zone, authenticator_assurance smallint, identity_assurance smallint, public_code text, id uuid, authenticated_at timestamp with time zone, second_factor text, second_factor_at timestamp with time zone, ends_at timestamp with time zone, is_shared boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE web.credential AS c SET last_used_at = public.stoa_now()
        WHERE c.hash = resolve_credential.hash AND c.kind = 'session' AND c.last_used_at < public.stoa_now() - interval '1 minute' AND web.is_live(c);
    RETURN QUERY
        SELECT c.kind, CASE WHEN c.account_id IS NOT NULL THEN 'resident' WHEN c.staff_id IS NOT NULL THEN 'staff' ELSE 'organisation' END,
            a.id, a.resident_id, s.id, s.display_name, coalesce(s.roles, '{}'), c.organisation_id, c.client_id, c.scope,
            coalesce(a.language, s.language), c.expires_at, c.authenticator_assurance, r.identity_assurance, r.public_code,
            c.id, c.authenticated_at, c.second_factor, c.second_factor_at, LEAST(c.last_used_at + c.idle_after, c.expires_at), c.is_shared
        FROM web.credential AS c
        LEFT JOIN identity.account AS a ON a.id = c.account_id
        LEFT JOIN register.resident AS r ON r.id = a.resident_id
        LEFT JOIN identity.staff AS s ON s.id = c.staff_id
        WHERE c.hash = resolve_credential.hash AND web.is_live(c) AND a.closed_at IS NULL AND s.closed_at IS NULL;
    IF FOUND THEN RETURN; END IF;
    -- A helper who acts (0034): of them all is the helper's but resident, code and assurance; the scope is what the mandate covers.
    UPDATE web.credential AS c SET last_used_at = public.stoa_now() FROM mandates.acting_as(resolve_credential.hash) AS w
        WHERE c.hash = w.session_hash AND c.last_used_at < public.stoa_now() - interval '1 minute' AND web.is_live(c);
    RETURN QUERY
        SELECT c.kind, 'helper', w.account_id, w.resident_id, NULL::uuid, NULL::text, '{}'::text[], NULL::text, NULL::text,
            CASE WHEN w.is_in_force THEN w.themes ELSE '{}' END, a.language, c.expires_at, c.authenticator_assurance, r.identity_assurance, r.public_code,
            c.id, c.authenticated_at, c.second_factor, c.second_factor_at, LEAST(c.last_used_at + c.idle_after, c.expires_at), c.is_shared
        FROM mandates.acting_as(resolve_credential.hash) AS w
        JOIN web.credential AS c ON c.hash = w.session_hash
        JOIN identity.account AS a ON a.id = w.account_id
        JOIN register.resident AS r ON r.id = w.resident_id;
END
$$;

ALTER FUNCTION web.resolve_credential(hash bytea) OWNER TO stoa_door;

CREATE FUNCTION web.revoke_credential(hash bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.hash = revoke_credential.hash AND c.revoked_at IS NULL;
    RETURN FOUND;
END
$$;

ALTER FUNCTION web.revoke_credential(hash bytea) OWNER TO stoa_door;

CREATE FUNCTION web.revoke_tokens_of_closed_client() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE web.credential AS c SET revoked_at = public.stoa_now() WHERE c.client_id = NEW.id AND c.revoked_at IS NULL;
    RETURN NULL;
END
$$;

ALTER FUNCTION web.revoke_tokens_of_closed_client() OWNER TO stoa_door;

CREATE FUNCTION web.staff_with(credential bytea, roles text[]) RETURNS TABLE(staff_id uuid)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT s.id
    FROM (web.credential c
      JOIN identity.staff s ON ((s.id = c.staff_id)))
   WHERE ((c.hash = staff_with.credential) AND (c.kind = 'session'::text) AND web.is_live(c.*) AND (s.closed_at IS NULL) AND (s.roles && staff_with.roles));
END;

ALTER FUNCTION web.staff_with(credential bytea, roles text[]) OWNER TO stoa_door;

CREATE AGGREGATE ledger.total(bigint) (
    SFUNC = int8pl,
    STYPE = bigint,
    INITCOND = '0'
);

ALTER AGGREGATE ledger.total(bigint) OWNER TO stoa_owner;

CREATE VIEW access_log.actor AS
 SELECT c.hash,
    c.kind AS credential_kind,
    c.scope,
    c.client_id,
    c.account_id,
    c.staff_id,
    c.sign_in_id,
        CASE
            WHEN (c.account_id IS NOT NULL) THEN 'resident'::text
            WHEN (c.staff_id IS NOT NULL) THEN 'staff'::text
            ELSE 'organisation'::text
        END AS kind,
    COALESCE((c.account_id)::text, (c.staff_id)::text, c.client_id) AS id,
        CASE
            WHEN (c.staff_id IS NOT NULL) THEN 'city'::text
            ELSE c.organisation_id
        END AS organisation_id,
    c.organisation_id AS client_organisation_id
   FROM web.credential c
  WHERE web.is_live(c.*);

ALTER TABLE access_log.actor OWNER TO stoa_door;

CREATE TABLE access_log.anomaly (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    reference text DEFAULT ('A-'::text || upper("left"(replace((gen_random_uuid())::text, '-'::text, ''::text), 10))) NOT NULL,
    rule text NOT NULL,
    actor_id text NOT NULL,
    day date NOT NULL,
    count integer,
    usual integer,
    found_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT anomaly_check CHECK (
CASE rule
    WHEN 'organisation_volume'::text THEN (num_nulls(count, usual) = 0)
    ELSE (num_nonnulls(count, usual) = 0)
END),
    CONSTRAINT anomaly_rule_check CHECK ((rule = ANY (ARRAY['many_people'::text, 'off_hours'::text, 'colleague'::text, 'organisation_volume'::text])))
);

ALTER TABLE access_log.anomaly OWNER TO stoa_owner;

CREATE TABLE access_log.anomaly_entry (
    anomaly_id uuid NOT NULL,
    entry_id uuid NOT NULL,
    found_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
);

ALTER TABLE access_log.anomaly_entry OWNER TO stoa_owner;

CREATE TABLE access_log.anomaly_finding (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    anomaly_id uuid NOT NULL,
    finding text NOT NULL,
    note text NOT NULL,
    closed_by uuid NOT NULL,
    closed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT anomaly_finding_finding_check CHECK ((finding = ANY (ARRAY['explained'::text, 'misuse'::text]))),
    CONSTRAINT anomaly_finding_note_check CHECK (((length(note) >= 1) AND (length(note) <= 1000)))
);

ALTER TABLE access_log.anomaly_finding OWNER TO stoa_owner;

CREATE TABLE access_log.anomaly_search (
    is_only_row boolean DEFAULT true NOT NULL,
    until timestamp with time zone NOT NULL,
    CONSTRAINT anomaly_search_is_only_row_check CHECK (is_only_row)
);

ALTER TABLE access_log.anomaly_search OWNER TO stoa_owner;

CREATE TABLE access_log.batch (
    tree_size bigint NOT NULL
);

ALTER TABLE access_log.batch OWNER TO stoa_owner;

CREATE TABLE access_log.checkpoint (
    tree_size bigint NOT NULL,
    root bytea NOT NULL,
    frontier bytea[] NOT NULL,
    note text NOT NULL,
    signed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT checkpoint_root_check CHECK ((octet_length(root) = 32)),
    CONSTRAINT checkpoint_tree_size_check CHECK ((tree_size >= 0))
);

ALTER TABLE access_log.checkpoint OWNER TO stoa_owner;

CREATE TABLE access_log.confirmation (
    server_started_at timestamp with time zone DEFAULT pg_postmaster_start_time() NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
);

ALTER TABLE access_log.confirmation OWNER TO stoa_owner;

CREATE VIEW access_log.consent_event AS
 SELECT e.id,
    e.resident_id,
    e.activity_id,
    e.policy_version,
    e.sequence,
    e.kind,
    e.attributes,
    e.at,
    e.account_id,
    e.staff_id,
    e.client_id,
    e.capacity,
    e.method,
    e.language,
    e.form_reference,
    e.valid_until,
    e.request_id,
    e.previous_hash
   FROM consent.event e;

ALTER TABLE access_log.consent_event OWNER TO stoa_door;

CREATE TABLE access_log.cosignature (
    witness text NOT NULL,
    tree_size bigint NOT NULL,
    signature bytea NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT cosignature_signature_check CHECK ((octet_length(signature) = 72)),
    CONSTRAINT cosignature_witness_check CHECK (((length(witness) >= 1) AND (length(witness) <= 300)))
);

ALTER TABLE access_log.cosignature OWNER TO stoa_owner;

CREATE TABLE access_log.erasure (
    entry_id uuid NOT NULL,
    authority text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT erasure_authority_check CHECK (((length(authority) >= 3) AND (length(authority) <= 200)))
);

ALTER TABLE access_log.erasure OWNER TO stoa_owner;

CREATE TABLE access_log.halt (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    witness text NOT NULL,
    tree_size bigint NOT NULL,
    witness_size bigint,
    CONSTRAINT halt_check CHECK ((witness_size > tree_size)),
    CONSTRAINT halt_witness_check CHECK (((length(witness) >= 1) AND (length(witness) <= 300)))
);

ALTER TABLE access_log.halt OWNER TO stoa_owner;

CREATE TABLE access_log.halt_end (
    halt_id bigint NOT NULL,
    authority text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT halt_end_authority_check CHECK (((length(authority) >= 3) AND (length(authority) <= 200)))
);

ALTER TABLE access_log.halt_end OWNER TO stoa_owner;

ALTER TABLE access_log.halt ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME access_log.halt_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE access_log.organisation_hour (
    organisation_id text NOT NULL,
    hour timestamp with time zone NOT NULL,
    count integer NOT NULL
);

ALTER TABLE access_log.organisation_hour OWNER TO stoa_owner;

CREATE VIEW access_log.own_viewer AS
 SELECT c.hash AS credential,
    v.kind,
    a.resident_id AS own_id,
    r.id AS resident_id
   FROM ((((web.credential c
     JOIN identity.account a ON (((a.id = c.account_id) AND (a.closed_at IS NULL))))
     JOIN access_log.own_view v ON (((v.credential = c.hash) AND (v.subject_id = a.resident_id))))
     JOIN access_log.entry logged ON (((logged.id = v.entry_id) AND (logged.written_by IS DISTINCT FROM pg_current_xact_id_if_assigned()))))
     CROSS JOIN LATERAL ( SELECT a.resident_id AS id
        UNION ALL
         SELECT x.id
           FROM register.resident x
          WHERE (x.superseded_by = a.resident_id)) r)
  WHERE (web.is_live(c.*) AND ((c.kind = 'session'::text) OR (v.kind = ANY (c.scope))));

ALTER TABLE access_log.own_viewer OWNER TO stoa_door;

CREATE TABLE access_log.queue (
    entry_id uuid NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000');

ALTER TABLE access_log.queue OWNER TO stoa_owner;

CREATE TABLE access_log.record (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind text NOT NULL,
    source_id uuid NOT NULL,
    content_hash bytea,
    salt bytea DEFAULT sha256((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))),
    CONSTRAINT record_check CHECK (((content_hash IS NULL) = (salt IS NULL))),
    CONSTRAINT record_content_hash_check CHECK ((octet_length(content_hash) = 32)),
    CONSTRAINT record_kind_check CHECK (((kind <> 'access_entry'::text) AND (access_log.leaf_label(kind) IS NOT NULL))),
    CONSTRAINT record_salt_check CHECK ((octet_length(salt) = 32))
);

ALTER TABLE access_log.record OWNER TO stoa_owner;

CREATE TABLE access_log.record_queue (
    number bigint NOT NULL,
    record_id uuid NOT NULL,
    queued_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000');

ALTER TABLE access_log.record_queue OWNER TO stoa_owner;

ALTER TABLE access_log.record_queue ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME access_log.record_queue_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE access_log.staff_reason (
    id text NOT NULL,
    law text NOT NULL,
    opens_records boolean DEFAULT true NOT NULL,
    CONSTRAINT staff_reason_id_check CHECK ((id ~ '^[a-z][a-z_]{1,39}$'::text))
);

ALTER TABLE access_log.staff_reason OWNER TO stoa_owner;

CREATE VIEW access_log.standing_halt AS
 SELECT h.id,
    h.at,
    h.witness,
    h.tree_size,
    h.witness_size
   FROM access_log.halt h
  WHERE (NOT (EXISTS ( SELECT
           FROM access_log.halt_end e
          WHERE (e.halt_id = h.id))));

ALTER TABLE access_log.standing_halt OWNER TO stoa_owner;

CREATE TABLE access_log.subject_head (
    subject_id uuid NOT NULL,
    number bigint NOT NULL,
    commitment bytea NOT NULL
);

ALTER TABLE access_log.subject_head OWNER TO stoa_owner;

CREATE TABLE access_log.tile (
    level smallint NOT NULL,
    index bigint NOT NULL,
    hashes bytea NOT NULL,
    root bytea NOT NULL,
    CONSTRAINT tile_hashes_check CHECK ((octet_length(hashes) = 8192)),
    CONSTRAINT tile_index_check CHECK ((index >= 0)),
    CONSTRAINT tile_level_check CHECK (((level >= 0) AND (level <= 7))),
    CONSTRAINT tile_root_check CHECK ((octet_length(root) = 32))
);
ALTER TABLE ONLY access_log.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

ALTER TABLE access_log.tile OWNER TO stoa_owner;

CREATE TABLE benefits.programme (
    id text NOT NULL,
    name jsonb NOT NULL,
    law text NOT NULL,
    currency text NOT NULL,
    paid_from uuid NOT NULL,
    payment_max bigint NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT programme_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT programme_id_check CHECK ((id ~ '^[a-z][a-z0-9-]{1,62}$'::text)),
    CONSTRAINT programme_law_check CHECK (((length(law) >= 3) AND (length(law) <= 200))),
    CONSTRAINT programme_name_check CHECK ((jsonb_typeof((name -> 'en'::text)) = 'string'::text)),
    CONSTRAINT programme_payment_max_check CHECK (((payment_max >= 1) AND (payment_max <= '9007199254740991'::bigint)))
);

ALTER TABLE benefits.programme OWNER TO stoa_owner;

CREATE TABLE casework.opening (
    id uuid NOT NULL,
    staff_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    reason text NOT NULL,
    case_reference text NOT NULL,
    opened_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    expires_at timestamp with time zone DEFAULT (public.stoa_now() + '00:15:00'::interval) NOT NULL,
    CONSTRAINT opening_case_reference_check CHECK (((length(case_reference) >= 1) AND (length(case_reference) <= 64)))
);

ALTER TABLE casework.opening OWNER TO stoa_owner;

CREATE TABLE casework.printed_form (
    reference text NOT NULL,
    activity_id uuid NOT NULL,
    policy_version integer NOT NULL,
    language text NOT NULL,
    staff_id uuid NOT NULL,
    printed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT printed_form_language_check CHECK ((language = ANY (ARRAY['en'::text, 'fr'::text, 'ar'::text]))),
    CONSTRAINT printed_form_reference_check CHECK ((reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'::text))
);

ALTER TABLE casework.printed_form OWNER TO stoa_owner;

CREATE TABLE casework.protection (
    entry_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    is_protected boolean NOT NULL,
    sealed_reason bytea NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT protection_sealed_reason_check CHECK (((octet_length(sealed_reason) >= 48) AND (octet_length(sealed_reason) <= 2028)))
);

ALTER TABLE casework.protection OWNER TO stoa_owner;

CREATE TABLE catalogue.description (
    kind text NOT NULL,
    subject text NOT NULL,
    version integer NOT NULL,
    owner_id text NOT NULL,
    steward text NOT NULL,
    classification text NOT NULL,
    schema text NOT NULL,
    retention text NOT NULL,
    staff_id uuid NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT description_classification_check CHECK ((classification = ANY (ARRAY['open'::text, 'internal'::text, 'confidential'::text]))),
    CONSTRAINT description_kind_check CHECK ((kind = ANY (ARRAY['attribute'::text, 'service'::text]))),
    CONSTRAINT description_retention_check CHECK (((length(retention) >= 2) AND (length(retention) <= 300))),
    CONSTRAINT description_schema_check CHECK (((length(schema) >= 2) AND (length(schema) <= 200))),
    CONSTRAINT description_steward_check CHECK (((length(steward) >= 2) AND (length(steward) <= 100))),
    CONSTRAINT description_version_check CHECK ((version >= 1))
);

ALTER TABLE catalogue.description OWNER TO stoa_owner;

CREATE TABLE register.attribute (
    id text NOT NULL,
    "position" integer NOT NULL,
    derived_from text,
    rule text,
    is_held boolean GENERATED ALWAYS AS ((derived_from IS NULL)) STORED NOT NULL,
    base_is_held boolean GENERATED ALWAYS AS (
CASE
    WHEN (derived_from IS NOT NULL) THEN true
    ELSE NULL::boolean
END) STORED,
    CONSTRAINT attribute_check CHECK (((derived_from IS NULL) = (rule IS NULL))),
    CONSTRAINT attribute_id_check CHECK ((id ~ '^[a-z][a-z0-9_]{1,39}$'::text))
);

ALTER TABLE register.attribute OWNER TO stoa_owner;

CREATE VIEW catalogue.item AS
 SELECT i.kind,
    i.subject,
    i."position",
    i.derived_from,
    i.organisation_id,
    i.organisation_name,
    i.title,
    i.explanation,
    i.purpose,
    i.legal_basis,
    i.law,
    i.attributes,
    o.id AS owner_id,
    o.name AS owner_name,
    d.version,
    d.steward,
    d.classification,
    d.schema,
    d.retention
   FROM ((( SELECT 'attribute'::text AS kind,
            a.id AS subject,
            a."position",
            a.derived_from,
            NULL::text AS organisation_id,
            NULL::jsonb AS organisation_name,
            NULL::jsonb AS title,
            NULL::jsonb AS explanation,
            NULL::text AS purpose,
            NULL::text AS legal_basis,
            NULL::text AS law,
            '{}'::text[] AS attributes
           FROM register.attribute a
        UNION ALL
         SELECT 'service'::text,
            (s.id)::text AS id,
            0,
            NULL::text,
            s.organisation_id,
            o_1.name,
            p.title,
            p.explanation,
            s.purpose,
            s.legal_basis,
            s.law,
            p.attributes
           FROM ((consent.processing_activity s
             JOIN consent.organisation o_1 ON ((o_1.id = s.organisation_id)))
             JOIN consent.policy p ON (((p.activity_id = s.id) AND (p.version = s.policy_version))))) i
     LEFT JOIN LATERAL ( SELECT x.kind,
            x.subject,
            x.version,
            x.owner_id,
            x.steward,
            x.classification,
            x.schema,
            x.retention,
            x.staff_id,
            x.at
           FROM catalogue.description x
          WHERE ((x.kind = i.kind) AND (x.subject = i.subject))
          ORDER BY x.version DESC
         LIMIT 1) d ON (true))
     JOIN consent.organisation o ON ((o.id = COALESCE(d.owner_id, i.organisation_id, 'city'::text))));

ALTER TABLE catalogue.item OWNER TO stoa_door;

CREATE VIEW catalogue.owner AS
 SELECT o.id AS owner_id,
    o.name AS owner_name
   FROM consent.organisation o;

ALTER TABLE catalogue.owner OWNER TO stoa_door;

CREATE TABLE catalogue.volume_of_month (
    organisation_id text NOT NULL,
    month date NOT NULL,
    count bigint NOT NULL,
    CONSTRAINT volume_of_month_month_check CHECK ((EXTRACT(day FROM month) = (1)::numeric))
);

ALTER TABLE catalogue.volume_of_month OWNER TO stoa_owner;

CREATE VIEW catalogue.sharing_of_month AS
 SELECT v.month,
    o.name,
        CASE
            WHEN (v.count >= catalogue.count_min()) THEN ((v.count / 10) * 10)
            ELSE NULL::bigint
        END AS count
   FROM (catalogue.volume_of_month v
     JOIN consent.organisation o ON ((o.id = v.organisation_id)))
  WHERE (((v.month + '1 mon'::interval) + '1 day'::interval) < (public.stoa_now() AT TIME ZONE 'UTC'::text));

ALTER TABLE catalogue.sharing_of_month OWNER TO stoa_door;

CREATE TABLE consent.request_message (
    request_id uuid NOT NULL,
    text text NOT NULL,
    language text NOT NULL,
    CONSTRAINT request_message_language_check CHECK ((language = ANY (ARRAY['en'::text, 'fr'::text, 'ar'::text]))),
    CONSTRAINT request_message_text_check CHECK (((length(text) >= 1) AND (length(text) <= 300)))
);

ALTER TABLE consent.request_message OWNER TO stoa_owner;

CREATE TABLE delivery.letter_event (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    outgoing_id uuid NOT NULL,
    kind text NOT NULL,
    staff_id uuid NOT NULL,
    entry_id uuid,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT letter_event_check CHECK (((kind = 'printed'::text) = (entry_id IS NOT NULL))),
    CONSTRAINT letter_event_kind_check CHECK ((kind = ANY (ARRAY['printed'::text, 'posted'::text])))
);

ALTER TABLE delivery.letter_event OWNER TO stoa_owner;

CREATE TABLE delivery.letter_fallback (
    account_id uuid NOT NULL
);

ALTER TABLE delivery.letter_fallback OWNER TO stoa_owner;

CREATE TABLE delivery.outgoing (
    id uuid NOT NULL,
    resident_id uuid NOT NULL,
    channel text NOT NULL,
    template text NOT NULL,
    language text NOT NULL,
    sealed_recipient bytea,
    sealed_parameters bytea,
    made_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    expires_at timestamp with time zone,
    attempts smallint DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    outcome text,
    sent_at timestamp with time zone,
    failed_at timestamp with time zone,
    is_done boolean GENERATED ALWAYS AS (((sent_at IS NOT NULL) OR (failed_at IS NOT NULL))) STORED NOT NULL,
    CONSTRAINT outgoing_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT outgoing_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'letter'::text]))),
    CONSTRAINT outgoing_check CHECK ((num_nonnulls(sent_at, failed_at) <= 1)),
    CONSTRAINT outgoing_erased_when_done CHECK (((num_nonnulls(sent_at, failed_at) = 0) OR (num_nonnulls(sealed_recipient, sealed_parameters) = 0))),
    CONSTRAINT outgoing_has_recipient CHECK (((sealed_recipient IS NOT NULL) = ((channel <> 'letter'::text) AND (num_nonnulls(sent_at, failed_at) = 0)))),
    CONSTRAINT outgoing_language_check CHECK ((language = ANY (ARRAY['en'::text, 'fr'::text, 'ar'::text]))),
    CONSTRAINT outgoing_outcome_check CHECK (((length(outcome) >= 1) AND (length(outcome) <= 60))),
    CONSTRAINT outgoing_sealed_parameters_check CHECK (((octet_length(sealed_parameters) >= 29) AND (octet_length(sealed_parameters) <= 2048))),
    CONSTRAINT outgoing_sealed_recipient_check CHECK (((octet_length(sealed_recipient) >= 29) AND (octet_length(sealed_recipient) <= 1100))),
    CONSTRAINT outgoing_template_check CHECK ((template ~ '^[a-z][a-z_]{1,39}$'::text))
);

ALTER TABLE delivery.outgoing OWNER TO stoa_owner;

CREATE TABLE delivery.preference (
    account_id uuid NOT NULL,
    theme text NOT NULL,
    channel text NOT NULL,
    CONSTRAINT preference_channel_check CHECK ((channel = ANY (ARRAY['email'::text, 'sms'::text, 'letter'::text]))),
    CONSTRAINT preference_theme_check CHECK ((theme = ANY (ARRAY['money'::text, 'sharing'::text, 'log'::text, 'account'::text])))
);

ALTER TABLE delivery.preference OWNER TO stoa_owner;

CREATE TABLE disputes.approval (
    decision_id uuid NOT NULL,
    decided_by uuid NOT NULL,
    kind text NOT NULL,
    approved_by uuid NOT NULL,
    approved_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    refusal_reason text,
    transfer_id uuid,
    CONSTRAINT approval_check CHECK (((kind = 'approved'::text) = (transfer_id IS NOT NULL))),
    CONSTRAINT approval_check1 CHECK (((kind = 'refused'::text) = (refusal_reason IS NOT NULL))),
    CONSTRAINT approval_kind_check CHECK ((kind = ANY (ARRAY['approved'::text, 'refused'::text]))),
    CONSTRAINT approval_refusal_reason_check CHECK (((length(refusal_reason) >= 3) AND (length(refusal_reason) <= 500))),
    CONSTRAINT refund_approved_by_another CHECK ((approved_by <> decided_by))
);

ALTER TABLE disputes.approval OWNER TO stoa_owner;

CREATE TABLE disputes.category (
    id text NOT NULL,
    about text[] NOT NULL,
    days_max integer NOT NULL,
    law text NOT NULL,
    "position" integer NOT NULL,
    CONSTRAINT category_about_check CHECK (((cardinality(about) >= 1) AND (about <@ ARRAY['bill'::text, 'payment'::text, 'benefit'::text]))),
    CONSTRAINT category_days_max_check CHECK (((days_max >= 1) AND (days_max <= 60))),
    CONSTRAINT category_id_check CHECK ((id ~ '^[a-z][a-z_]{1,39}$'::text)),
    CONSTRAINT category_law_check CHECK (((length(law) >= 3) AND (length(law) <= 200)))
);

ALTER TABLE disputes.category OWNER TO stoa_owner;

CREATE TABLE disputes.escalation (
    dispute_id uuid NOT NULL,
    escalated_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
);

ALTER TABLE disputes.escalation OWNER TO stoa_owner;

CREATE TABLE disputes.message (
    id uuid NOT NULL,
    dispute_id uuid NOT NULL,
    written_by uuid,
    sealed_words bytea NOT NULL,
    written_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT message_sealed_words_check CHECK (((octet_length(sealed_words) >= 29) AND (octet_length(sealed_words) <= 4096)))
);

ALTER TABLE disputes.message OWNER TO stoa_owner;

CREATE VIEW disputes.standing AS
 SELECT d.id AS dispute_id,
        CASE
            WHEN ((x.id IS NULL) OR (a.kind = 'refused'::text)) THEN 'open'::text
            WHEN ((x.refund IS NOT NULL) AND (a.kind IS NULL)) THEN 'approval'::text
            ELSE x.finding
        END AS state,
        CASE
            WHEN (a.kind IS DISTINCT FROM 'refused'::text) THEN x.id
            ELSE NULL::uuid
        END AS decision_id,
        CASE
            WHEN (x.refund IS NULL) THEN x.decided_at
            WHEN (a.kind = 'approved'::text) THEN a.approved_at
            ELSE NULL::timestamp with time zone
        END AS closed_at,
        CASE
            WHEN (a.kind = 'approved'::text) THEN x.refund
            ELSE NULL::bigint
        END AS refunded
   FROM ((disputes.dispute d
     LEFT JOIN LATERAL ( SELECT y.id,
            y.dispute_id,
            y.number,
            y.finding,
            y.refund,
            y.sealed_words,
            y.grounds,
            y.decided_by,
            y.decided_at
           FROM disputes.decision y
          WHERE (y.dispute_id = d.id)
          ORDER BY y.number DESC
         LIMIT 1) x ON (true))
     LEFT JOIN disputes.approval a ON ((a.decision_id = x.id)));

ALTER TABLE disputes.standing OWNER TO stoa_owner;

CREATE TABLE exchange.acknowledgement (
    notice_id uuid NOT NULL,
    done text NOT NULL,
    law text,
    client_id text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT acknowledgement_check CHECK (((done = 'kept'::text) = (law IS NOT NULL))),
    CONSTRAINT acknowledgement_done_check CHECK ((done = ANY (ARRAY['deleted'::text, 'kept'::text]))),
    CONSTRAINT acknowledgement_law_check CHECK (((length(law) >= 3) AND (length(law) <= 200)))
);

ALTER TABLE exchange.acknowledgement OWNER TO stoa_owner;

CREATE TABLE exchange.delivery (
    notice_id uuid NOT NULL,
    organisation_id text NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    next_at timestamp with time zone,
    delivered_at timestamp with time zone,
    outcome text,
    CONSTRAINT delivery_attempts_check CHECK (((attempts >= 0) AND (attempts <= 16))),
    CONSTRAINT delivery_check CHECK (((delivered_at IS NULL) OR (next_at IS NULL))),
    CONSTRAINT delivery_outcome_check CHECK (((length(outcome) >= 1) AND (length(outcome) <= 40)))
);

ALTER TABLE exchange.delivery OWNER TO stoa_owner;

CREATE TABLE exchange.notice (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    event_id uuid NOT NULL,
    organisation_id text NOT NULL,
    subject uuid NOT NULL,
    reason text NOT NULL,
    attributes text[] NOT NULL,
    since timestamp with time zone NOT NULL,
    made_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    due_at timestamp with time zone DEFAULT (public.stoa_now() + exchange.notice_period()) NOT NULL,
    CONSTRAINT notice_attributes_check CHECK ((cardinality(attributes) > 0)),
    CONSTRAINT notice_check CHECK ((due_at > made_at)),
    CONSTRAINT notice_reason_check CHECK ((reason = ANY (ARRAY['withdrawn'::text, 'invalidated'::text, 'expired'::text, 'narrowed'::text])))
);

ALTER TABLE exchange.notice OWNER TO stoa_owner;

CREATE TABLE exchange.notice_number (
    organisation_id text NOT NULL,
    number bigint NOT NULL,
    notice_id uuid NOT NULL,
    CONSTRAINT notice_number_number_check CHECK ((number >= 1))
);

ALTER TABLE exchange.notice_number OWNER TO stoa_owner;

CREATE TABLE exchange.notice_queue (
    notice_id uuid NOT NULL,
    organisation_id text NOT NULL
);

ALTER TABLE exchange.notice_queue OWNER TO stoa_owner;

CREATE TABLE exchange.pseudonym (
    organisation_id text NOT NULL,
    pseudonym uuid DEFAULT gen_random_uuid() NOT NULL,
    resident_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
);

ALTER TABLE exchange.pseudonym OWNER TO stoa_owner;

CREATE TABLE exchange.request_nonce (
    client_id text NOT NULL,
    nonce_sha256 bytea NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    CONSTRAINT request_nonce_nonce_sha256_check CHECK ((octet_length(nonce_sha256) = 32))
);

ALTER TABLE exchange.request_nonce OWNER TO stoa_owner;

CREATE TABLE exchange.signed_answer (
    entry_id uuid NOT NULL,
    client_id text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    request_sha256 bytea NOT NULL,
    request_input text,
    request_signature bytea,
    status smallint NOT NULL,
    answer_sha256 bytea NOT NULL,
    answer_input text NOT NULL,
    answer_signature text NOT NULL,
    CONSTRAINT signed_answer_answer_input_check CHECK ((octet_length(answer_input) <= 4000)),
    CONSTRAINT signed_answer_answer_sha256_check CHECK ((octet_length(answer_sha256) = 32)),
    CONSTRAINT signed_answer_answer_signature_check CHECK ((octet_length(answer_signature) <= 4000)),
    CONSTRAINT signed_answer_check CHECK (((request_input IS NULL) = (request_signature IS NULL))),
    CONSTRAINT signed_answer_request_input_check CHECK ((octet_length(request_input) <= 2000)),
    CONSTRAINT signed_answer_request_sha256_check CHECK ((octet_length(request_sha256) = 32)),
    CONSTRAINT signed_answer_request_signature_check CHECK ((octet_length(request_signature) <= 2000)),
    CONSTRAINT signed_answer_status_check CHECK (((status >= 200) AND (status <= 599)))
);

ALTER TABLE exchange.signed_answer OWNER TO stoa_owner;

CREATE VIEW exchange.standing AS
 SELECT n.id,
    n.event_id,
    e.resident_id,
    e.activity_id,
    n.organisation_id,
    n.subject,
    a.purpose,
    n.reason,
    n.attributes,
    n.since,
    n.made_at,
    n.due_at,
    k.done,
    k.law,
    k.at AS acknowledged_at,
        CASE
            WHEN (k.notice_id IS NOT NULL) THEN 'acknowledged'::text
            WHEN held.permits THEN 'allowed_again'::text
            WHEN (n.due_at <= public.stoa_now()) THEN 'overdue'::text
            ELSE 'open'::text
        END AS state
   FROM (((((exchange.notice n
     JOIN consent.event e ON ((e.id = n.event_id)))
     JOIN consent.processing_activity a ON ((a.id = e.activity_id)))
     JOIN consent.policy p ON (((p.activity_id = a.id) AND (p.version = a.policy_version))))
     LEFT JOIN exchange.acknowledgement k ON ((k.notice_id = n.id)))
     LEFT JOIN LATERAL ( SELECT ((consent.state_at(s.state, s.valid_until, public.stoa_now()) = ANY (ARRAY['given'::text, 'renewed'::text])) AND (n.attributes <@ s.attributes) AND (n.attributes <@ p.attributes)) AS permits
           FROM consent.state s
          WHERE ((s.resident_id = e.resident_id) AND (s.activity_id = e.activity_id))) held ON (true));

ALTER TABLE exchange.standing OWNER TO stoa_door;

CREATE UNLOGGED TABLE exchange.volume (
    organisation_id text NOT NULL,
    is_of_lists boolean NOT NULL,
    minute timestamp with time zone NOT NULL,
    count integer NOT NULL
)
WITH (fillfactor='20');

ALTER TABLE exchange.volume OWNER TO stoa_owner;

CREATE TABLE exchange.webhook (
    organisation_id text NOT NULL,
    url text NOT NULL,
    set_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT webhook_url_check CHECK (((length(url) <= 500) AND (url ~ '^(https://([a-z0-9.-]+|\[[0-9a-f:]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?/[!-~]*$'::text) AND (url !~ '[\\#"<>]'::text)))
);

ALTER TABLE exchange.webhook OWNER TO stoa_owner;

CREATE TABLE identity.address (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    hmac bytea NOT NULL,
    holder_id uuid NOT NULL,
    sealed_value bytea NOT NULL,
    added_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    verified_at timestamp with time zone,
    is_primary boolean DEFAULT false NOT NULL,
    CONSTRAINT address_check CHECK (((NOT is_primary) OR (verified_at IS NOT NULL))),
    CONSTRAINT address_hmac_check CHECK ((octet_length(hmac) = 32)),
    CONSTRAINT address_kind_check CHECK ((kind = ANY (ARRAY['email'::text, 'phone'::text]))),
    CONSTRAINT address_sealed_value_check CHECK (((octet_length(sealed_value) >= 29) AND (octet_length(sealed_value) <= 1100)))
);

ALTER TABLE identity.address OWNER TO stoa_owner;

CREATE TABLE identity.address_code (
    address_id uuid NOT NULL,
    session_id uuid NOT NULL,
    code_hmac bytea NOT NULL,
    tries smallint DEFAULT 0 NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT address_code_code_hmac_check CHECK ((octet_length(code_hmac) = 32)),
    CONSTRAINT address_code_tries_check CHECK (((tries >= 0) AND (tries <= 5)))
);

ALTER TABLE identity.address_code OWNER TO stoa_owner;

CREATE TABLE identity.address_sending (
    hmac bytea NOT NULL,
    account_id uuid NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
);

ALTER TABLE identity.address_sending OWNER TO stoa_owner;

CREATE TABLE identity.evidence (
    id uuid NOT NULL,
    account_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    kind text NOT NULL,
    staff_id uuid NOT NULL,
    case_reference text NOT NULL,
    recorded_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT evidence_case_reference_check CHECK (((length(case_reference) >= 1) AND (length(case_reference) <= 64))),
    CONSTRAINT evidence_kind_check CHECK ((kind = ANY (ARRAY['passport'::text, 'identity_card'::text, 'residence_permit'::text])))
);

ALTER TABLE identity.evidence OWNER TO stoa_owner;

CREATE TABLE ledger.entry (
    account_id uuid NOT NULL,
    number bigint NOT NULL,
    transfer_id uuid NOT NULL,
    side text NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    balance_after bigint NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    effective_at timestamp with time zone NOT NULL,
    CONSTRAINT entry_amount_check CHECK ((amount > 0)),
    CONSTRAINT entry_number_check CHECK ((number >= 1)),
    CONSTRAINT entry_side_check CHECK ((side = ANY (ARRAY['debit'::text, 'credit'::text])))
);

ALTER TABLE ledger.entry OWNER TO stoa_owner;

CREATE TABLE ledger.hold_entry (
    account_id uuid NOT NULL,
    number bigint NOT NULL,
    hold_id uuid NOT NULL,
    step text NOT NULL,
    transfer_id uuid,
    amount bigint NOT NULL,
    held_after bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT hold_entry_amount_check CHECK ((amount >= 0)),
    CONSTRAINT hold_entry_check CHECK (((transfer_id IS NULL) = (step = 'expired'::text))),
    CONSTRAINT hold_entry_number_check CHECK ((number >= 1)),
    CONSTRAINT hold_entry_step_check CHECK ((step = ANY (ARRAY['held'::text, 'posted'::text, 'voided'::text, 'expired'::text])))
);

ALTER TABLE ledger.hold_entry OWNER TO stoa_owner;

CREATE TABLE ledger.transfer (
    id uuid NOT NULL,
    kind text NOT NULL,
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    reference text NOT NULL,
    effective_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    outcome text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    expires_at timestamp with time zone,
    hold_id uuid,
    reversal_of uuid,
    CONSTRAINT transfer_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['resident'::text, 'staff'::text, 'organisation'::text, 'system'::text]))),
    CONSTRAINT transfer_amount_check CHECK (((amount >= 1) AND (amount <= '9007199254740991'::bigint))),
    CONSTRAINT transfer_check CHECK ((credit_account <> debit_account)),
    CONSTRAINT transfer_check1 CHECK (((expires_at IS NULL) OR (kind = 'hold'::text))),
    CONSTRAINT transfer_check2 CHECK (((hold_id IS NOT NULL) = (kind = ANY (ARRAY['post_hold'::text, 'void_hold'::text])))),
    CONSTRAINT transfer_check3 CHECK (((reversal_of IS NOT NULL) = (kind = 'reversal'::text))),
    CONSTRAINT transfer_check4 CHECK (((outcome <> ALL (ARRAY['posted'::text, 'held'::text, 'voided'::text])) OR (outcome =
CASE kind
    WHEN 'hold'::text THEN 'held'::text
    WHEN 'void_hold'::text THEN 'voided'::text
    ELSE 'posted'::text
END))),
    CONSTRAINT transfer_kind_check CHECK ((kind = ANY (ARRAY['post'::text, 'hold'::text, 'post_hold'::text, 'void_hold'::text, 'reversal'::text]))),
    CONSTRAINT transfer_outcome_check CHECK ((outcome = ANY (ARRAY['posted'::text, 'held'::text, 'voided'::text, 'insufficient_funds'::text, 'balance_overflow'::text, 'limit_exceeded'::text, 'account_closed'::text]))),
    CONSTRAINT transfer_reference_check CHECK ((length(reference) <= 140))
);

ALTER TABLE ledger.transfer OWNER TO stoa_owner;

CREATE TABLE openid.authorization_code (
    hash bytea NOT NULL,
    request_id uuid NOT NULL,
    account_id uuid NOT NULL,
    authenticator_assurance smallint NOT NULL,
    session_id uuid NOT NULL,
    signed_in_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    consumed_at timestamp with time zone,
    CONSTRAINT authorization_code_authenticator_assurance_check CHECK (((authenticator_assurance >= 1) AND (authenticator_assurance <= 3))),
    CONSTRAINT authorization_code_hash_check CHECK ((octet_length(hash) = 32))
);

ALTER TABLE openid.authorization_code OWNER TO stoa_owner;

CREATE TABLE openid.authorization_request (
    id uuid NOT NULL,
    client_id text NOT NULL,
    redirect_uri text NOT NULL,
    scope text[] NOT NULL,
    state text,
    code_challenge text NOT NULL,
    nonce text,
    prompt text[] DEFAULT '{}'::text[] NOT NULL,
    max_age_seconds integer,
    essential_acr text[] DEFAULT '{}'::text[] NOT NULL,
    attributes text[] DEFAULT '{}'::text[] NOT NULL,
    id_token_claims text[] DEFAULT '{}'::text[] NOT NULL,
    user_info_claims text[] DEFAULT '{}'::text[] NOT NULL,
    resource text,
    key_thumbprint text,
    pushed_hash bytea,
    begin_until timestamp with time zone,
    browser bytea,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    answered_at timestamp with time zone,
    CONSTRAINT authorization_request_attributes_check CHECK ((cardinality(attributes) <= 50)),
    CONSTRAINT authorization_request_browser_check CHECK ((octet_length(browser) = 32)),
    CONSTRAINT authorization_request_check CHECK ((((pushed_hash IS NULL) = (begin_until IS NULL)) AND ((browser IS NOT NULL) OR (pushed_hash IS NOT NULL)))),
    CONSTRAINT authorization_request_code_challenge_check CHECK ((code_challenge ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT authorization_request_id_token_claims_check CHECK ((cardinality(id_token_claims) <= 50)),
    CONSTRAINT authorization_request_key_thumbprint_check CHECK ((key_thumbprint ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT authorization_request_max_age_seconds_check CHECK ((max_age_seconds >= 0)),
    CONSTRAINT authorization_request_nonce_check CHECK (((length(nonce) >= 1) AND (length(nonce) <= 500))),
    CONSTRAINT authorization_request_prompt_check CHECK ((prompt <@ '{none,login,consent,select_account}'::text[])),
    CONSTRAINT authorization_request_pushed_hash_check CHECK ((octet_length(pushed_hash) = 32)),
    CONSTRAINT authorization_request_redirect_uri_check CHECK ((length(redirect_uri) <= 2000)),
    CONSTRAINT authorization_request_resource_check CHECK ((length(resource) <= 2000)),
    CONSTRAINT authorization_request_state_check CHECK ((length(state) <= 1000)),
    CONSTRAINT authorization_request_user_info_claims_check CHECK ((cardinality(user_info_claims) <= 50))
);

ALTER TABLE openid.authorization_request OWNER TO stoa_owner;

CREATE TABLE openid.client (
    id text NOT NULL,
    kind text NOT NULL,
    organisation_id text,
    name jsonb NOT NULL,
    redirect_uris text[] DEFAULT '{}'::text[] NOT NULL,
    jwks jsonb,
    scope text[] NOT NULL,
    activity_id uuid,
    profile text DEFAULT 'baseline'::text NOT NULL,
    id_token_algorithm text DEFAULT 'ES256'::text NOT NULL,
    resources text[] DEFAULT '{}'::text[] NOT NULL,
    has_devices boolean DEFAULT false NOT NULL,
    post_logout_redirect_uris text[] DEFAULT '{}'::text[] NOT NULL,
    backchannel_logout_uri text,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT client_backchannel_logout_uri_check CHECK (((length(backchannel_logout_uri) <= 500) AND (backchannel_logout_uri ~ '^(https://([a-z0-9.-]+|\[[0-9a-f:]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?/[!-~]*$'::text) AND (backchannel_logout_uri !~ '[\\#"<>]'::text))),
    CONSTRAINT client_check CHECK (((kind = 'confidential'::text) = (jwks IS NOT NULL))),
    CONSTRAINT client_check1 CHECK (((kind = 'public'::text) OR (organisation_id IS NOT NULL))),
    CONSTRAINT client_check2 CHECK ((('openid'::text <> ALL (scope)) OR (organisation_id IS NOT NULL))),
    CONSTRAINT client_check3 CHECK (((profile = 'baseline'::text) OR ((kind = 'confidential'::text) AND (id_token_algorithm <> 'RS256'::text)))),
    CONSTRAINT client_id_check CHECK ((id ~ '^[a-z][a-z0-9-]{1,62}$'::text)),
    CONSTRAINT client_id_token_algorithm_check CHECK ((id_token_algorithm = ANY (ARRAY['ES256'::text, 'EdDSA'::text, 'RS256'::text]))),
    CONSTRAINT client_kind_check CHECK ((kind = ANY (ARRAY['public'::text, 'confidential'::text]))),
    CONSTRAINT client_name_check CHECK ((jsonb_typeof((name -> 'en'::text)) = 'string'::text)),
    CONSTRAINT client_post_logout_redirect_uris_check CHECK ((cardinality(post_logout_redirect_uris) <= 20)),
    CONSTRAINT client_profile_check CHECK ((profile = ANY (ARRAY['baseline'::text, 'fapi2'::text]))),
    CONSTRAINT client_resources_check CHECK ((cardinality(resources) <= 20)),
    CONSTRAINT client_scope_check CHECK ((cardinality(scope) >= 1))
);

ALTER TABLE openid.client OWNER TO stoa_owner;

CREATE TABLE openid.client_assertion (
    client_id text NOT NULL,
    jti text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT client_assertion_jti_check CHECK (((length(jti) >= 1) AND (length(jti) <= 200)))
);

ALTER TABLE openid.client_assertion OWNER TO stoa_owner;

CREATE TABLE openid.connection (
    account_id uuid NOT NULL,
    client_id text NOT NULL,
    scope text[] NOT NULL,
    declined text[] DEFAULT '{}'::text[] NOT NULL,
    connected_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    last_used_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    ended_at timestamp with time zone
);

ALTER TABLE openid.connection OWNER TO stoa_owner;

CREATE TABLE openid.device_guess (
    account_id uuid NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
);

ALTER TABLE openid.device_guess OWNER TO stoa_owner;

CREATE TABLE openid.device_request (
    hash bytea NOT NULL,
    request_id uuid NOT NULL,
    interval_seconds integer DEFAULT 5 NOT NULL,
    asked_at timestamp with time zone,
    CONSTRAINT device_request_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT device_request_interval_seconds_check CHECK (((interval_seconds >= 5) AND (interval_seconds <= 3600)))
);

ALTER TABLE openid.device_request OWNER TO stoa_owner;

CREATE TABLE openid.key_proof (
    key_thumbprint text NOT NULL,
    jti_hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT key_proof_jti_hash_check CHECK ((octet_length(jti_hash) = 32)),
    CONSTRAINT key_proof_key_thumbprint_check CHECK ((key_thumbprint ~ '^[A-Za-z0-9_-]{43}$'::text))
);

ALTER TABLE openid.key_proof OWNER TO stoa_owner;

CREATE TABLE openid.logout_notice (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    client_id text NOT NULL,
    sign_in_id uuid NOT NULL,
    subject uuid NOT NULL,
    made_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT public.stoa_now(),
    told_at timestamp with time zone,
    outcome text,
    CONSTRAINT logout_notice_check CHECK (((told_at IS NULL) OR (next_at IS NULL))),
    CONSTRAINT logout_notice_outcome_check CHECK ((length(outcome) <= 100))
);

ALTER TABLE openid.logout_notice OWNER TO stoa_owner;

CREATE TABLE openid.refresh_token (
    hash bytea NOT NULL,
    sign_in_id uuid NOT NULL,
    predecessor bytea,
    access_hash bytea NOT NULL,
    issued_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    replaced_at timestamp with time zone,
    CONSTRAINT refresh_token_access_hash_check CHECK ((octet_length(access_hash) = 32)),
    CONSTRAINT refresh_token_hash_check CHECK ((octet_length(hash) = 32))
);

ALTER TABLE openid.refresh_token OWNER TO stoa_owner;

CREATE TABLE openid.registration_token (
    hash bytea NOT NULL,
    organisation_id text NOT NULL,
    purpose text,
    uses_left integer NOT NULL,
    made_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT registration_token_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT registration_token_uses_left_check CHECK ((uses_left >= 0))
);

ALTER TABLE openid.registration_token OWNER TO stoa_owner;

CREATE TABLE openid.service_change (
    client_id text NOT NULL,
    staff_id uuid NOT NULL,
    what text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT service_change_what_check CHECK ((what = ANY (ARRAY['entered'::text, 'keys_replaced'::text, 'closed'::text])))
);

ALTER TABLE openid.service_change OWNER TO stoa_owner;

CREATE TABLE openid.sign_in (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    client_id text NOT NULL,
    account_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    subject uuid NOT NULL,
    session_id uuid NOT NULL,
    signed_in_at timestamp with time zone NOT NULL,
    authenticator_assurance smallint NOT NULL,
    scope text[] NOT NULL,
    user_info_claims text[] NOT NULL,
    resource text,
    key_thumbprint text,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT sign_in_authenticator_assurance_check CHECK (((authenticator_assurance >= 1) AND (authenticator_assurance <= 3))),
    CONSTRAINT sign_in_key_thumbprint_check CHECK ((key_thumbprint ~ '^[A-Za-z0-9_-]{43}$'::text)),
    CONSTRAINT sign_in_scope_check CHECK (('openid'::text = ANY (scope)))
);

ALTER TABLE openid.sign_in OWNER TO stoa_owner;

CREATE TABLE openid.signing_key (
    kid text NOT NULL,
    algorithm text NOT NULL,
    public_jwk jsonb NOT NULL,
    key_id text NOT NULL,
    wrapped_private_key bytea NOT NULL,
    signs_from timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT signing_key_algorithm_check CHECK ((algorithm = ANY (ARRAY['ES256'::text, 'EdDSA'::text, 'RS256'::text]))),
    CONSTRAINT signing_key_check CHECK ((((public_jwk ->> 'kid'::text) = kid) AND (NOT (public_jwk ?| '{d,p,q,dp,dq,qi}'::text[])))),
    CONSTRAINT signing_key_kid_check CHECK ((kid ~ '^[A-Za-z0-9_-]{43}$'::text))
);

ALTER TABLE openid.signing_key OWNER TO stoa_owner;

CREATE TABLE payments.bank_file (
    sha256 bytea NOT NULL,
    message text NOT NULL,
    message_id text NOT NULL,
    imported_by uuid,
    imported_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_file_message_check CHECK ((message ~ '^camt\.05[34]\.001\.[0-9]{2}$'::text)),
    CONSTRAINT bank_file_message_id_check CHECK ((length(message_id) <= 500)),
    CONSTRAINT bank_file_sha256_check CHECK ((octet_length(sha256) = 32))
);

ALTER TABLE payments.bank_file OWNER TO stoa_owner;

CREATE TABLE payments.bank_item_waiting (
    item_id uuid NOT NULL
);

ALTER TABLE payments.bank_item_waiting OWNER TO stoa_owner;

CREATE TABLE payments.bank_report_decision (
    report_id uuid NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT bank_report_decision_kind_check CHECK ((kind = ANY (ARRAY['booked'::text, 'discarded'::text]))),
    CONSTRAINT bank_report_decision_reason_check CHECK (((length(reason) >= 3) AND (length(reason) <= 500)))
);

ALTER TABLE payments.bank_report_decision OWNER TO stoa_owner;

CREATE TABLE payments.bank_sighting (
    report_id uuid NOT NULL,
    "position" integer NOT NULL,
    movement_id uuid NOT NULL
);

ALTER TABLE payments.bank_sighting OWNER TO stoa_owner;

CREATE TABLE payments.bill_line (
    bill_id uuid NOT NULL,
    "position" integer NOT NULL,
    description jsonb NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT bill_line_amount_check CHECK (((amount <> 0) AND ((amount >= '-9007199254740991'::bigint) AND (amount <= '9007199254740991'::bigint)))),
    CONSTRAINT bill_line_description_check CHECK ((jsonb_typeof((description -> 'en'::text)) = 'string'::text)),
    CONSTRAINT bill_line_position_check CHECK ((("position" >= 1) AND ("position" <= 100)))
);

ALTER TABLE payments.bill_line OWNER TO stoa_owner;

CREATE SEQUENCE payments.creditor_reference_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE payments.creditor_reference_number OWNER TO stoa_owner;

CREATE TABLE payments.reminder (
    bill_id uuid NOT NULL,
    kind text NOT NULL,
    sent_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT reminder_kind_check CHECK ((kind = ANY (ARRAY['due_soon'::text, 'overdue'::text])))
);

ALTER TABLE payments.reminder OWNER TO stoa_owner;

CREATE TABLE payments.till (
    id uuid NOT NULL,
    opened_by uuid NOT NULL,
    counter text NOT NULL,
    currency text NOT NULL,
    opening_float bigint NOT NULL,
    ledger_account uuid NOT NULL,
    opened_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT till_counter_check CHECK (((length(counter) >= 1) AND (length(counter) <= 60))),
    CONSTRAINT till_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT till_opening_float_check CHECK (((opening_float >= 0) AND (opening_float <= '9007199254740991'::bigint)))
);

ALTER TABLE payments.till OWNER TO stoa_owner;

CREATE TABLE payments.till_approval (
    till_id uuid NOT NULL,
    closed_by uuid NOT NULL,
    approved_by uuid NOT NULL,
    approved_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT till_approved_by_another CHECK ((approved_by <> closed_by))
);

ALTER TABLE payments.till_approval OWNER TO stoa_owner;

CREATE TABLE payments.till_closing (
    till_id uuid NOT NULL,
    closed_by uuid NOT NULL,
    expected bigint NOT NULL,
    counted bigint NOT NULL,
    explanation text,
    closed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT difference_is_explained CHECK (((counted = expected) OR (explanation IS NOT NULL))),
    CONSTRAINT till_closing_counted_check CHECK (((counted >= 0) AND (counted <= '9007199254740991'::bigint))),
    CONSTRAINT till_closing_expected_check CHECK ((expected >= 0)),
    CONSTRAINT till_closing_explanation_check CHECK (((length(explanation) >= 3) AND (length(explanation) <= 500)))
);

ALTER TABLE payments.till_closing OWNER TO stoa_owner;

CREATE TABLE payments.till_payment (
    payment_id uuid NOT NULL,
    till_id uuid NOT NULL
);

ALTER TABLE payments.till_payment OWNER TO stoa_owner;

CREATE TABLE payouts.batch (
    id uuid NOT NULL,
    reference text NOT NULL,
    currency text NOT NULL,
    execute_on date NOT NULL,
    count integer NOT NULL,
    control_sum bigint NOT NULL,
    debtor_name text NOT NULL,
    debtor_iban text NOT NULL,
    debtor_bic text,
    debtor_town text NOT NULL,
    debtor_country text NOT NULL,
    clearing uuid NOT NULL,
    prepared_by uuid NOT NULL,
    prepared_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT batch_control_sum_check CHECK (((control_sum >= 1) AND (control_sum <= '9007199254740991'::bigint))),
    CONSTRAINT batch_count_check CHECK (((count >= 1) AND (count <= 100000))),
    CONSTRAINT batch_reference_check CHECK ((reference ~ '^[A-Z0-9-]{6,35}$'::text))
);

ALTER TABLE payouts.batch OWNER TO stoa_owner;

CREATE TABLE payouts.channel (
    currency text NOT NULL,
    debtor_name text NOT NULL,
    debtor_iban text NOT NULL,
    debtor_bic text,
    debtor_town text NOT NULL,
    debtor_country text NOT NULL,
    bank uuid NOT NULL,
    set_aside uuid NOT NULL,
    in_transit uuid NOT NULL,
    CONSTRAINT channel_check CHECK ((set_aside <> in_transit)),
    CONSTRAINT channel_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT channel_debtor_bic_check CHECK ((debtor_bic ~ '^[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$'::text)),
    CONSTRAINT channel_debtor_country_check CHECK ((debtor_country ~ '^[A-Z]{2}$'::text)),
    CONSTRAINT channel_debtor_iban_check CHECK ((debtor_iban ~ '^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$'::text)),
    CONSTRAINT channel_debtor_name_check CHECK (payouts.is_sepa_text(debtor_name, 70)),
    CONSTRAINT channel_debtor_town_check CHECK (payouts.is_sepa_text(debtor_town, 35))
);

ALTER TABLE payouts.channel OWNER TO stoa_owner;

CREATE TABLE payouts.decision (
    batch_id uuid NOT NULL,
    prepared_by uuid NOT NULL,
    kind text NOT NULL,
    decided_by uuid NOT NULL,
    decided_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    refusal_reason text,
    transfer_id uuid,
    CONSTRAINT decided_by_another CHECK ((decided_by <> prepared_by)),
    CONSTRAINT decision_check CHECK (((kind = 'approved'::text) = (transfer_id IS NOT NULL))),
    CONSTRAINT decision_check1 CHECK (((kind = 'refused'::text) = (refusal_reason IS NOT NULL))),
    CONSTRAINT decision_kind_check CHECK ((kind = ANY (ARRAY['approved'::text, 'refused'::text]))),
    CONSTRAINT decision_refusal_reason_check CHECK (((length(refusal_reason) >= 3) AND (length(refusal_reason) <= 500)))
);

ALTER TABLE payouts.decision OWNER TO stoa_owner;

CREATE TABLE payouts.destination (
    id uuid NOT NULL,
    resident_id uuid NOT NULL,
    sealed_account bytea NOT NULL,
    given_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    usable_from timestamp with time zone NOT NULL,
    CONSTRAINT destination_check CHECK ((usable_from >= given_at)),
    CONSTRAINT destination_sealed_account_check CHECK (((octet_length(sealed_account) >= 29) AND (octet_length(sealed_account) <= 1024)))
);

ALTER TABLE payouts.destination OWNER TO stoa_owner;

CREATE TABLE payouts.destination_end (
    destination_id uuid NOT NULL,
    ended_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL
);

ALTER TABLE payouts.destination_end OWNER TO stoa_owner;

CREATE TABLE payouts.event (
    instruction_id uuid NOT NULL,
    number smallint NOT NULL,
    state text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    batch_id uuid,
    report_id uuid,
    reason text,
    CONSTRAINT event_check CHECK (((state = 'waiting'::text) = (batch_id IS NULL))),
    CONSTRAINT event_check1 CHECK (((state = ANY (ARRAY['settled'::text, 'rejected'::text, 'returned'::text])) OR ((report_id IS NULL) AND (reason IS NULL)))),
    CONSTRAINT event_number_check CHECK ((number >= 1)),
    CONSTRAINT event_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 35))),
    CONSTRAINT event_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'in_batch'::text, 'sent'::text, 'settled'::text, 'rejected'::text, 'returned'::text])))
);

ALTER TABLE payouts.event OWNER TO stoa_owner;

CREATE TABLE payouts.file (
    batch_id uuid NOT NULL,
    decision_kind text GENERATED ALWAYS AS ('approved'::text) STORED NOT NULL,
    sha256 bytea NOT NULL,
    bytes bigint NOT NULL,
    completed_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT file_bytes_check CHECK ((bytes > 0)),
    CONSTRAINT file_sha256_check CHECK ((octet_length(sha256) = 32))
);

ALTER TABLE payouts.file OWNER TO stoa_owner;

CREATE TABLE payouts.instruction (
    id uuid NOT NULL,
    kind text NOT NULL,
    pays uuid NOT NULL,
    issue smallint NOT NULL,
    resident_id uuid NOT NULL,
    source uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    end_to_end_id text NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT instruction_amount_check CHECK (((amount >= 1) AND (amount <= '99999999999'::bigint))),
    CONSTRAINT instruction_end_to_end_id_check CHECK ((end_to_end_id ~ '^P[0-9A-F]{16}$'::text)),
    CONSTRAINT instruction_issue_check CHECK ((issue = ANY (ARRAY[1, 2]))),
    CONSTRAINT instruction_kind_check CHECK ((kind = ANY (ARRAY['wallet'::text, 'benefit'::text, 'refund'::text])))
);

ALTER TABLE payouts.instruction OWNER TO stoa_owner;

CREATE TABLE payouts.item (
    batch_id uuid NOT NULL,
    "position" integer NOT NULL,
    instruction_id uuid NOT NULL,
    event_number smallint NOT NULL,
    destination_id uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT item_position_check CHECK (("position" >= 1))
);

ALTER TABLE payouts.item OWNER TO stoa_owner;

CREATE TABLE payouts.report (
    id uuid NOT NULL,
    sha256 bytea NOT NULL,
    message_id text NOT NULL,
    batch_id uuid NOT NULL,
    settled integer NOT NULL,
    rejected integer NOT NULL,
    returned integer NOT NULL,
    taken_by uuid,
    taken_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT report_message_id_check CHECK (((length(message_id) >= 1) AND (length(message_id) <= 35))),
    CONSTRAINT report_rejected_check CHECK ((rejected >= 0)),
    CONSTRAINT report_returned_check CHECK ((returned >= 0)),
    CONSTRAINT report_settled_check CHECK ((settled >= 0)),
    CONSTRAINT report_sha256_check CHECK ((octet_length(sha256) = 32))
);

ALTER TABLE payouts.report OWNER TO stoa_owner;

CREATE TABLE payouts.state (
    instruction_id uuid NOT NULL,
    number smallint NOT NULL,
    state text NOT NULL,
    since timestamp with time zone NOT NULL,
    reason text
)
WITH (fillfactor='70');

ALTER TABLE payouts.state OWNER TO stoa_owner;

CREATE TABLE public.migration (
    number integer NOT NULL,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT migration_checksum_check CHECK ((octet_length(checksum) = 32))
);

ALTER TABLE public.migration OWNER TO stoa_owner;

COMMENT ON TABLE public.migration IS 'The scripts of migrations/ that made this schema, and the SHA-256 of each.';

CREATE TABLE register.erasure (
    resident_id uuid NOT NULL,
    authority text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT erasure_authority_check CHECK (((length(authority) >= 3) AND (length(authority) <= 200)))
);

ALTER TABLE register.erasure OWNER TO stoa_owner;

CREATE TABLE register.import_staging (
    batch_id uuid NOT NULL,
    resident_id uuid NOT NULL,
    public_code text NOT NULL,
    key_id text NOT NULL,
    wrapped_key bytea NOT NULL,
    national_number_hmac bytea NOT NULL,
    name_and_birth_date_hmac bytea NOT NULL,
    content_hmac bytea NOT NULL,
    attributes text[] NOT NULL,
    sealed_values bytea[] NOT NULL,
    CONSTRAINT import_staging_check CHECK ((cardinality(attributes) = cardinality(sealed_values)))
);

ALTER TABLE register.import_staging OWNER TO stoa_owner;

CREATE TABLE register.key_check (
    is_only_row boolean DEFAULT true NOT NULL,
    key_id text NOT NULL,
    sealed_test bytea NOT NULL,
    lookup_test bytea NOT NULL,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT key_check_is_only_row_check CHECK (is_only_row),
    CONSTRAINT key_check_lookup_test_check CHECK ((octet_length(lookup_test) = 32))
);

ALTER TABLE register.key_check OWNER TO stoa_owner;

CREATE TABLE register.lookup (
    kind text NOT NULL,
    hmac bytea NOT NULL,
    resident_id uuid NOT NULL,
    CONSTRAINT lookup_hmac_check CHECK ((octet_length(hmac) = 32)),
    CONSTRAINT lookup_kind_check CHECK ((kind = ANY (ARRAY['national_number'::text, 'name_and_birth_date'::text])))
);

ALTER TABLE register.lookup OWNER TO stoa_owner;

CREATE TABLE web.idempotency_key (
    actor text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    body_hash bytea NOT NULL,
    status smallint NOT NULL,
    resource_id uuid,
    created_at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT idempotency_key_actor_check CHECK ((length(actor) <= 200)),
    CONSTRAINT idempotency_key_body_hash_check CHECK ((octet_length(body_hash) = 32)),
    CONSTRAINT idempotency_key_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255))),
    CONSTRAINT idempotency_key_route_check CHECK ((length(route) <= 200)),
    CONSTRAINT idempotency_key_status_check CHECK (((status >= 100) AND (status <= 599)))
);

ALTER TABLE web.idempotency_key OWNER TO stoa_owner;

CREATE TABLE witness.cosigned_head (
    witness text NOT NULL,
    origin text NOT NULL,
    tree_size bigint NOT NULL,
    root bytea NOT NULL,
    previous_size bigint,
    note text NOT NULL,
    at timestamp with time zone DEFAULT public.stoa_now() NOT NULL,
    CONSTRAINT cosigned_head_check CHECK ((previous_size < tree_size)),
    CONSTRAINT cosigned_head_note_check CHECK (((length(note) >= 1) AND (length(note) <= 20000))),
    CONSTRAINT cosigned_head_origin_check CHECK (((length(origin) >= 1) AND (length(origin) <= 300))),
    CONSTRAINT cosigned_head_root_check CHECK ((octet_length(root) = 32)),
    CONSTRAINT cosigned_head_tree_size_check CHECK ((tree_size >= 0)),
    CONSTRAINT cosigned_head_witness_check CHECK (((length(witness) >= 1) AND (length(witness) <= 300)))
);

ALTER TABLE witness.cosigned_head OWNER TO stoa_owner;

ALTER TABLE ONLY ledger.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

CREATE FUNCTION ledger.findings(count_max integer) RETURNS TABLE(kind text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
 SELECT f.kind,
     f.subject,
     f.expected,
     f.found
    FROM ( SELECT 'account_balance'::text AS kind,
             (a.id)::text AS subject,
             (COALESCE(s.amount, (0)::numeric))::text AS expected,
             (a.posted)::text AS found
            FROM (ledger.account a
              LEFT JOIN ( SELECT e.account_id,
                     sum(
                         CASE e.side
                             WHEN b.normal_side THEN e.amount
                             ELSE (- e.amount)
                         END) AS amount
                    FROM (ledger.entry e
                      JOIN ledger.account b ON ((b.id = e.account_id)))
                   GROUP BY e.account_id) s ON ((s.account_id = a.id)))
           WHERE ((a.posted)::numeric <> COALESCE(s.amount, (0)::numeric))
         UNION ALL
          SELECT 'entry_numbers'::text,
             (a.id)::text AS id,
             (a.entry_count)::text AS entry_count,
             ((count(e.number) || ' up to '::text) || COALESCE(max(e.number), (0)::bigint))
            FROM (ledger.account a
              LEFT JOIN ledger.entry e ON ((e.account_id = a.id)))
           GROUP BY a.id
          HAVING ((count(e.number) <> a.entry_count) OR (COALESCE(max(e.number), (0)::bigint) <> a.entry_count))
         UNION ALL
          SELECT 'entry_without_account'::text,
             (e.account_id)::text AS account_id,
             'an account'::text,
             'none'::text
            FROM ledger.entry e
           WHERE (NOT (EXISTS ( SELECT
                    FROM ledger.account a
                   WHERE (a.id = e.account_id))))
           GROUP BY e.account_id
         UNION ALL
          SELECT 'currency_sum'::text,
             e.currency,
             '0'::text,
             (sum(
                 CASE e.side
                     WHEN 'debit'::text THEN e.amount
                     ELSE (- e.amount)
                 END))::text AS sum
            FROM ledger.entry e
           GROUP BY e.currency
          HAVING (sum(
                 CASE e.side
                     WHEN 'debit'::text THEN e.amount
                     ELSE (- e.amount)
                 END) <> (0)::numeric)
         UNION ALL
          SELECT 'transfer_entries'::text,
             (COALESCE(t.id, e.transfer_id))::text AS "coalesce",
             'one debit and one credit of the transfer'::text,
             (count(e.transfer_id) || ' entries'::text)
            FROM (ledger.transfer t
              FULL JOIN ledger.entry e ON ((e.transfer_id = t.id)))
           GROUP BY COALESCE(t.id, e.transfer_id)
          HAVING ((count(*) FILTER (WHERE ((t.outcome = 'posted'::text) AND (e.amount = t.amount) AND (e.currency = t.currency) AND (e.account_id =
                 CASE e.side
                     WHEN 'debit'::text THEN t.debit_account
                     ELSE t.credit_account
                 END))) <>
                 CASE max(t.outcome)
                     WHEN 'posted'::text THEN 2
                     ELSE 0
                 END) OR (count(e.transfer_id) <>
                 CASE max(t.outcome)
                     WHEN 'posted'::text THEN 2
                     ELSE 0
                 END))
         UNION ALL
          SELECT 'running_balance'::text,
             ((b.account_id || ' #'::text) || b.number),
             (b.expected)::text AS expected,
             (b.balance_after)::text AS balance_after
            FROM ( SELECT e.account_id,
                     e.number,
                     e.balance_after,
                     sum(
                         CASE e.side
                             WHEN a.normal_side THEN e.amount
                             ELSE (- e.amount)
                         END) OVER (PARTITION BY e.account_id ORDER BY e.number) AS expected
                    FROM (ledger.entry e
                      JOIN ledger.account a ON ((a.id = e.account_id)))) b
           WHERE ((b.balance_after)::numeric <> b.expected)
         UNION ALL
          SELECT 'overdrawn'::text,
             (a.id)::text AS id,
             'at least 0'::text,
             ((a.posted - a.held))::text AS text
            FROM ledger.account a
           WHERE ((a.posted < a.held) AND (NOT a.may_go_negative))
         UNION ALL
          SELECT 'entry_times'::text,
             ((b.account_id || ' #'::text) || b.number),
             ('not before '::text || b.earlier),
             (b.recorded_at)::text AS recorded_at
            FROM ( SELECT e.account_id,
                     e.number,
                     e.recorded_at,
                     lag(e.recorded_at) OVER (PARTITION BY e.account_id ORDER BY e.number) AS earlier
                    FROM ledger.entry e) b
           WHERE (b.recorded_at < b.earlier)
         UNION ALL
          SELECT 'held'::text,
             (a.id)::text AS id,
             ((COALESCE(s.amount, (0)::numeric) || ' in '::text) || COALESCE(s.count, (0)::bigint)),
             ((a.held || ' in '::text) || a.hold_entry_count)
            FROM (ledger.account a
              LEFT JOIN ( SELECT e.account_id,
                     count(*) AS count,
                     sum(
                         CASE e.step
                             WHEN 'held'::text THEN e.amount
                             ELSE (- e.amount)
                         END) AS amount
                    FROM ledger.hold_entry e
                   GROUP BY e.account_id) s ON ((s.account_id = a.id)))
           WHERE (((a.held)::numeric <> COALESCE(s.amount, (0)::numeric)) OR (a.hold_entry_count <> COALESCE(s.count, (0)::bigint)))
         UNION ALL
          SELECT 'open_hold'::text,
             (COALESCE(s.hold_id, o.id))::text AS "coalesce",
                 CASE
                     WHEN (s.hold_id IS NULL) THEN 'ended'::text
                     ELSE 'open'::text
                 END AS "case",
                 CASE
                     WHEN (o.id IS NULL) THEN 'ended'::text
                     ELSE 'open'::text
                 END AS "case"
            FROM (( SELECT e.hold_id
                    FROM ledger.hold_entry e
                   GROUP BY e.hold_id
                  HAVING (count(*) = 1)) s
              FULL JOIN ledger.open_hold o ON ((o.id = s.hold_id)))
           WHERE ((s.hold_id IS NULL) OR (o.id IS NULL))
         UNION ALL
          SELECT 'hold_entries'::text,
             (t.id)::text AS id,
             'an entry of the hold'::text,
             'none'::text
            FROM ledger.transfer t
           WHERE ((t.outcome = ANY (ARRAY['held'::text, 'voided'::text, 'posted'::text])) AND (t.kind = ANY (ARRAY['hold'::text, 'void_hold'::text, 'post_hold'::text])) AND (NOT (EXISTS ( SELECT
                    FROM ledger.hold_entry e
                   WHERE ((e.hold_id = COALESCE(t.hold_id, t.id)) AND (e.transfer_id = t.id) AND (e.step = t.outcome))))))
         UNION ALL
          SELECT 'reversal'::text,
             (t.id)::text AS id,
             ('the opposite of '::text || t.reversal_of),
             (t.amount)::text AS amount
            FROM ledger.transfer t
           WHERE ((t.kind = 'reversal'::text) AND (t.outcome = 'posted'::text) AND (NOT (EXISTS ( SELECT
                    FROM ledger.transfer o
                   WHERE ((o.id = t.reversal_of) AND (o.outcome = 'posted'::text) AND (o.amount = t.amount) AND ((o.debit_account = t.credit_account) AND (o.credit_account = t.debit_account)))))))) f
  LIMIT findings.count_max;
END;

ALTER FUNCTION ledger.findings(count_max integer) OWNER TO stoa_owner;

ALTER TABLE ONLY access_log.anomaly_entry
    ADD CONSTRAINT anomaly_entry_pkey PRIMARY KEY (anomaly_id, entry_id);

ALTER TABLE ONLY access_log.anomaly_finding
    ADD CONSTRAINT anomaly_finding_pkey PRIMARY KEY (id);

ALTER TABLE ONLY access_log.anomaly
    ADD CONSTRAINT anomaly_once UNIQUE (rule, actor_id, day);

ALTER TABLE ONLY access_log.anomaly
    ADD CONSTRAINT anomaly_pkey PRIMARY KEY (id);

ALTER TABLE ONLY access_log.anomaly
    ADD CONSTRAINT anomaly_reference_key UNIQUE (reference);

ALTER TABLE ONLY access_log.anomaly_search
    ADD CONSTRAINT anomaly_search_pkey PRIMARY KEY (is_only_row);

ALTER TABLE ONLY access_log.batch
    ADD CONSTRAINT batch_pkey PRIMARY KEY (tree_size);

ALTER TABLE ONLY access_log.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (tree_size);

ALTER TABLE ONLY access_log.confirmation
    ADD CONSTRAINT confirmation_pkey PRIMARY KEY (server_started_at);

ALTER TABLE ONLY access_log.cosignature
    ADD CONSTRAINT cosignature_pkey PRIMARY KEY (witness, tree_size);

ALTER TABLE ONLY access_log.entry
    ADD CONSTRAINT entry_pkey PRIMARY KEY (id);

ALTER TABLE ONLY access_log.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY access_log.halt_end
    ADD CONSTRAINT halt_end_pkey PRIMARY KEY (halt_id);

ALTER TABLE ONLY access_log.halt
    ADD CONSTRAINT halt_pkey PRIMARY KEY (id);

ALTER TABLE ONLY access_log.leaf
    ADD CONSTRAINT leaf_entry_id_key UNIQUE (entry_id);

ALTER TABLE ONLY access_log.leaf
    ADD CONSTRAINT leaf_pkey PRIMARY KEY (index);

ALTER TABLE ONLY access_log.organisation_hour
    ADD CONSTRAINT organisation_hour_pkey PRIMARY KEY (organisation_id, hour);

ALTER TABLE ONLY access_log.own_view
    ADD CONSTRAINT own_view_entry_id_key UNIQUE (entry_id);

ALTER TABLE ONLY access_log.own_view
    ADD CONSTRAINT own_view_pkey PRIMARY KEY (credential, kind, subject_id);

ALTER TABLE ONLY access_log.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY access_log.record
    ADD CONSTRAINT record_kind_source_id_key UNIQUE (kind, source_id);

ALTER TABLE ONLY access_log.record
    ADD CONSTRAINT record_pkey PRIMARY KEY (id);

ALTER TABLE ONLY access_log.record_queue
    ADD CONSTRAINT record_queue_pkey PRIMARY KEY (number);

ALTER TABLE ONLY access_log.record_queue
    ADD CONSTRAINT record_queue_record_id_key UNIQUE (record_id);

ALTER TABLE ONLY access_log.staff_reason
    ADD CONSTRAINT staff_reason_pkey PRIMARY KEY (id);

ALTER TABLE ONLY access_log.subject_head
    ADD CONSTRAINT subject_head_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY access_log.tile
    ADD CONSTRAINT tile_pkey PRIMARY KEY (level, index);

ALTER TABLE ONLY benefits.decision
    ADD CONSTRAINT decision_pkey PRIMARY KEY (disbursement_id);

ALTER TABLE ONLY benefits.decision
    ADD CONSTRAINT decision_transfer_id_key UNIQUE (transfer_id);

ALTER TABLE ONLY benefits.disbursement
    ADD CONSTRAINT disbursement_id_prepared_by_key UNIQUE (id, prepared_by);

ALTER TABLE ONLY benefits.disbursement
    ADD CONSTRAINT disbursement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY benefits.programme
    ADD CONSTRAINT programme_pkey PRIMARY KEY (id);

ALTER TABLE ONLY casework.break_glass
    ADD CONSTRAINT break_glass_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY casework.break_glass
    ADD CONSTRAINT break_glass_reference_key UNIQUE (reference);

ALTER TABLE ONLY casework.break_glass_review
    ADD CONSTRAINT break_glass_review_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY casework.opening
    ADD CONSTRAINT opening_pkey PRIMARY KEY (id);

ALTER TABLE ONLY casework.paper_submission
    ADD CONSTRAINT paper_submission_entry_id_key UNIQUE (entry_id);

ALTER TABLE ONLY casework.paper_submission
    ADD CONSTRAINT paper_submission_form_reference_key UNIQUE (form_reference);

ALTER TABLE ONLY casework.paper_submission
    ADD CONSTRAINT paper_submission_pkey PRIMARY KEY (id);

ALTER TABLE ONLY casework.printed_form
    ADD CONSTRAINT printed_form_pkey PRIMARY KEY (reference);

ALTER TABLE ONLY casework.printed_form
    ADD CONSTRAINT printed_form_reference_activity_id_key UNIQUE (reference, activity_id);

ALTER TABLE ONLY casework.protection
    ADD CONSTRAINT protection_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY catalogue.description
    ADD CONSTRAINT description_pkey PRIMARY KEY (kind, subject, version);

ALTER TABLE ONLY catalogue.volume_of_month
    ADD CONSTRAINT volume_of_month_pkey PRIMARY KEY (organisation_id, month);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_resident_id_activity_id_sequence_key UNIQUE (resident_id, activity_id, sequence);

ALTER TABLE ONLY consent.organisation
    ADD CONSTRAINT organisation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY consent.policy
    ADD CONSTRAINT policy_pkey PRIMARY KEY (activity_id, version);

ALTER TABLE ONLY consent.processing_activity
    ADD CONSTRAINT processing_activity_id_organisation_id_key UNIQUE (id, organisation_id);

ALTER TABLE ONLY consent.processing_activity
    ADD CONSTRAINT processing_activity_organisation_id_purpose_key UNIQUE (organisation_id, purpose);

ALTER TABLE ONLY consent.processing_activity
    ADD CONSTRAINT processing_activity_pkey PRIMARY KEY (id);

ALTER TABLE ONLY consent.request_message
    ADD CONSTRAINT request_message_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY consent.state
    ADD CONSTRAINT state_pkey PRIMARY KEY (resident_id, activity_id);

ALTER TABLE ONLY delivery.letter_event
    ADD CONSTRAINT letter_event_entry_id_key UNIQUE (entry_id);

ALTER TABLE ONLY delivery.letter_event
    ADD CONSTRAINT letter_event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.letter_fallback
    ADD CONSTRAINT letter_fallback_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY delivery.outgoing
    ADD CONSTRAINT outgoing_pkey PRIMARY KEY (id);

ALTER TABLE ONLY delivery.preference
    ADD CONSTRAINT preference_pkey PRIMARY KEY (account_id, theme);

ALTER TABLE ONLY disputes.approval
    ADD CONSTRAINT approval_pkey PRIMARY KEY (decision_id);

ALTER TABLE ONLY disputes.approval
    ADD CONSTRAINT approval_transfer_id_key UNIQUE (transfer_id);

ALTER TABLE ONLY disputes.category
    ADD CONSTRAINT category_pkey PRIMARY KEY (id);

ALTER TABLE ONLY disputes.category
    ADD CONSTRAINT category_position_key UNIQUE ("position");

ALTER TABLE ONLY disputes.decision
    ADD CONSTRAINT decision_dispute_id_number_key UNIQUE (dispute_id, number);

ALTER TABLE ONLY disputes.decision
    ADD CONSTRAINT decision_id_decided_by_key UNIQUE (id, decided_by);

ALTER TABLE ONLY disputes.decision
    ADD CONSTRAINT decision_pkey PRIMARY KEY (id);

ALTER TABLE ONLY disputes.dispute
    ADD CONSTRAINT dispute_pkey PRIMARY KEY (id);

ALTER TABLE ONLY disputes.dispute
    ADD CONSTRAINT dispute_reference_key UNIQUE (reference);

ALTER TABLE ONLY disputes.escalation
    ADD CONSTRAINT escalation_pkey PRIMARY KEY (dispute_id);

ALTER TABLE ONLY disputes.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (id);

ALTER TABLE ONLY exchange.acknowledgement
    ADD CONSTRAINT acknowledgement_pkey PRIMARY KEY (notice_id);

ALTER TABLE ONLY exchange.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (notice_id);

ALTER TABLE ONLY exchange.notice
    ADD CONSTRAINT notice_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY exchange.notice_number
    ADD CONSTRAINT notice_number_notice_id_key UNIQUE (notice_id);

ALTER TABLE ONLY exchange.notice_number
    ADD CONSTRAINT notice_number_pkey PRIMARY KEY (organisation_id, number);

ALTER TABLE ONLY exchange.notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (id);

ALTER TABLE ONLY exchange.notice_queue
    ADD CONSTRAINT notice_queue_pkey PRIMARY KEY (notice_id);

ALTER TABLE ONLY exchange.pseudonym
    ADD CONSTRAINT pseudonym_pkey PRIMARY KEY (organisation_id, pseudonym);

ALTER TABLE ONLY exchange.pseudonym
    ADD CONSTRAINT pseudonym_resident_id_organisation_id_key UNIQUE (resident_id, organisation_id);

ALTER TABLE ONLY exchange.request_nonce
    ADD CONSTRAINT request_nonce_pkey PRIMARY KEY (client_id, nonce_sha256);

ALTER TABLE ONLY exchange.signed_answer
    ADD CONSTRAINT signed_answer_pkey PRIMARY KEY (entry_id);

ALTER TABLE ONLY exchange.volume
    ADD CONSTRAINT volume_pkey PRIMARY KEY (organisation_id, is_of_lists, minute);

ALTER TABLE ONLY exchange.webhook
    ADD CONSTRAINT webhook_pkey PRIMARY KEY (organisation_id);

ALTER TABLE ONLY identity.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY identity.account
    ADD CONSTRAINT account_resident_id_key UNIQUE (resident_id);

ALTER TABLE ONLY identity.address
    ADD CONSTRAINT address_account_id_hmac_key UNIQUE (account_id, hmac);

ALTER TABLE ONLY identity.address_code
    ADD CONSTRAINT address_code_pkey PRIMARY KEY (address_id);

ALTER TABLE ONLY identity.address_failures
    ADD CONSTRAINT address_failures_pkey PRIMARY KEY (subject, factor, address_hmac);

ALTER TABLE ONLY identity.address
    ADD CONSTRAINT address_pkey PRIMARY KEY (id);

ALTER TABLE ONLY identity.evidence
    ADD CONSTRAINT evidence_pkey PRIMARY KEY (id);

ALTER TABLE ONLY identity.factor_code
    ADD CONSTRAINT factor_code_pkey PRIMARY KEY (factor_id, number);

ALTER TABLE ONLY identity.factor_failures
    ADD CONSTRAINT factor_failures_pkey PRIMARY KEY (subject, factor);

ALTER TABLE ONLY identity.factor
    ADD CONSTRAINT factor_pkey PRIMARY KEY (id);

ALTER TABLE ONLY identity.letter_code
    ADD CONSTRAINT letter_code_letter_id_key UNIQUE (letter_id);

ALTER TABLE ONLY identity.letter_code
    ADD CONSTRAINT letter_code_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY identity.passkey_challenge
    ADD CONSTRAINT passkey_challenge_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY identity.sign_in_name
    ADD CONSTRAINT sign_in_name_pkey PRIMARY KEY (hmac);

ALTER TABLE ONLY identity.sign_in
    ADD CONSTRAINT sign_in_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY identity.staff
    ADD CONSTRAINT staff_pkey PRIMARY KEY (id);

ALTER TABLE ONLY identity.staff
    ADD CONSTRAINT staff_resident_id_key UNIQUE (resident_id);

ALTER TABLE ONLY identity.staff
    ADD CONSTRAINT staff_username_key UNIQUE (username);

ALTER TABLE ONLY ledger.entry
    ADD CONSTRAINT entry_pkey PRIMARY KEY (account_id, number);

ALTER TABLE ONLY ledger.entry
    ADD CONSTRAINT entry_transfer_id_side_key UNIQUE (transfer_id, side);

ALTER TABLE ONLY ledger.hold_entry
    ADD CONSTRAINT hold_entry_pkey PRIMARY KEY (account_id, number);

ALTER TABLE ONLY ledger.open_hold
    ADD CONSTRAINT open_hold_pkey PRIMARY KEY (id);

ALTER TABLE ONLY ledger.period_close
    ADD CONSTRAINT period_close_pkey PRIMARY KEY (until);

ALTER TABLE ONLY ledger.transfer
    ADD CONSTRAINT transfer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY mandates.acting
    ADD CONSTRAINT acting_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY mandates.acting
    ADD CONSTRAINT acting_session_hash_key UNIQUE (session_hash);

ALTER TABLE ONLY mandates.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (mandate_id, kind);

ALTER TABLE ONLY mandates.mandate
    ADD CONSTRAINT mandate_pkey PRIMARY KEY (id);

ALTER TABLE ONLY messages.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (id);

ALTER TABLE ONLY openid.authorization_code
    ADD CONSTRAINT authorization_code_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY openid.authorization_code
    ADD CONSTRAINT authorization_code_request_id_key UNIQUE (request_id);

ALTER TABLE ONLY openid.authorization_request
    ADD CONSTRAINT authorization_request_pkey PRIMARY KEY (id);

ALTER TABLE ONLY openid.authorization_request
    ADD CONSTRAINT authorization_request_pushed_hash_key UNIQUE (pushed_hash);

ALTER TABLE ONLY openid.client_assertion
    ADD CONSTRAINT client_assertion_pkey PRIMARY KEY (client_id, jti);

ALTER TABLE ONLY openid.client
    ADD CONSTRAINT client_pkey PRIMARY KEY (id);

ALTER TABLE ONLY openid.connection
    ADD CONSTRAINT connection_pkey PRIMARY KEY (account_id, client_id);

ALTER TABLE ONLY openid.device_request
    ADD CONSTRAINT device_request_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY openid.device_request
    ADD CONSTRAINT device_request_request_id_key UNIQUE (request_id);

ALTER TABLE ONLY openid.key_proof
    ADD CONSTRAINT key_proof_pkey PRIMARY KEY (key_thumbprint, jti_hash);

ALTER TABLE ONLY openid.logout_notice
    ADD CONSTRAINT logout_notice_pkey PRIMARY KEY (id);

ALTER TABLE ONLY openid.refresh_token
    ADD CONSTRAINT refresh_token_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY openid.registration_token
    ADD CONSTRAINT registration_token_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY openid.sign_in
    ADD CONSTRAINT sign_in_pkey PRIMARY KEY (id);

ALTER TABLE ONLY openid.signing_key
    ADD CONSTRAINT signing_key_algorithm_signs_from_key UNIQUE (algorithm, signs_from);

ALTER TABLE ONLY openid.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (kid);

ALTER TABLE ONLY payments.bank_account
    ADD CONSTRAINT bank_account_identification_key UNIQUE (identification);

ALTER TABLE ONLY payments.bank_account
    ADD CONSTRAINT bank_account_ledger_account_key UNIQUE (ledger_account);

ALTER TABLE ONLY payments.bank_account
    ADD CONSTRAINT bank_account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bank_account
    ADD CONSTRAINT bank_account_suspense_account_key UNIQUE (suspense_account);

ALTER TABLE ONLY payments.bank_allocation
    ADD CONSTRAINT bank_allocation_payment_id_key UNIQUE (payment_id);

ALTER TABLE ONLY payments.bank_allocation
    ADD CONSTRAINT bank_allocation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bank_entry
    ADD CONSTRAINT bank_entry_pkey PRIMARY KEY (report_id, "position");

ALTER TABLE ONLY payments.bank_file
    ADD CONSTRAINT bank_file_pkey PRIMARY KEY (sha256);

ALTER TABLE ONLY payments.bank_item
    ADD CONSTRAINT bank_item_movement_id_number_key UNIQUE (movement_id, number);

ALTER TABLE ONLY payments.bank_item
    ADD CONSTRAINT bank_item_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bank_item_waiting
    ADD CONSTRAINT bank_item_waiting_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY payments.bank_movement
    ADD CONSTRAINT bank_movement_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bank_movement
    ADD CONSTRAINT bank_movement_report_id_position_key UNIQUE (report_id, "position");

ALTER TABLE ONLY payments.bank_payout
    ADD CONSTRAINT bank_payout_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY payments.bank_report_decision
    ADD CONSTRAINT bank_report_decision_pkey PRIMARY KEY (report_id);

ALTER TABLE ONLY payments.bank_report
    ADD CONSTRAINT bank_report_file_sha256_position_key UNIQUE (file_sha256, "position");

ALTER TABLE ONLY payments.bank_report
    ADD CONSTRAINT bank_report_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bank_return_decision
    ADD CONSTRAINT bank_return_decision_pkey PRIMARY KEY (return_id);

ALTER TABLE ONLY payments.bank_return
    ADD CONSTRAINT bank_return_id_proposed_by_key UNIQUE (id, proposed_by);

ALTER TABLE ONLY payments.bank_return
    ADD CONSTRAINT bank_return_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bank_sighting
    ADD CONSTRAINT bank_sighting_pkey PRIMARY KEY (report_id, "position");

ALTER TABLE ONLY payments.bank_payout
    ADD CONSTRAINT batch_leaves_once UNIQUE (batch_id);

ALTER TABLE ONLY payments.bill
    ADD CONSTRAINT bill_creditor_reference_key UNIQUE (creditor_reference);

ALTER TABLE ONLY payments.bill
    ADD CONSTRAINT bill_id_currency_key UNIQUE (id, currency);

ALTER TABLE ONLY payments.bill_line
    ADD CONSTRAINT bill_line_pkey PRIMARY KEY (bill_id, "position");

ALTER TABLE ONLY payments.bill
    ADD CONSTRAINT bill_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bill
    ADD CONSTRAINT bill_reference_key UNIQUE (reference);

ALTER TABLE ONLY payments.bank_sighting
    ADD CONSTRAINT movement_once_a_report UNIQUE (movement_id, report_id);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT payment_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.bank_payout
    ADD CONSTRAINT payout_leaves_and_returns_once UNIQUE (instruction_id, direction);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT receipt_code_once UNIQUE (receipt_code);

ALTER TABLE ONLY payments.reminder
    ADD CONSTRAINT reminder_pkey PRIMARY KEY (bill_id, kind);

ALTER TABLE ONLY payments.till_approval
    ADD CONSTRAINT till_approval_pkey PRIMARY KEY (till_id);

ALTER TABLE ONLY payments.till_closing
    ADD CONSTRAINT till_closing_pkey PRIMARY KEY (till_id);

ALTER TABLE ONLY payments.till_closing
    ADD CONSTRAINT till_closing_till_id_closed_by_key UNIQUE (till_id, closed_by);

ALTER TABLE ONLY payments.till
    ADD CONSTRAINT till_id_opened_by_key UNIQUE (id, opened_by);

ALTER TABLE ONLY payments.till
    ADD CONSTRAINT till_ledger_account_key UNIQUE (ledger_account);

ALTER TABLE ONLY payments.till_payment
    ADD CONSTRAINT till_payment_pkey PRIMARY KEY (payment_id);

ALTER TABLE ONLY payments.till
    ADD CONSTRAINT till_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT transfer_pays_once UNIQUE (transfer_id);

ALTER TABLE ONLY payments.waiver_decision
    ADD CONSTRAINT waiver_decision_pkey PRIMARY KEY (waiver_id);

ALTER TABLE ONLY payments.waiver
    ADD CONSTRAINT waiver_id_proposed_by_key UNIQUE (id, proposed_by);

ALTER TABLE ONLY payments.waiver
    ADD CONSTRAINT waiver_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payouts.batch
    ADD CONSTRAINT batch_id_prepared_by_key UNIQUE (id, prepared_by);

ALTER TABLE ONLY payouts.batch
    ADD CONSTRAINT batch_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payouts.batch
    ADD CONSTRAINT batch_reference_key UNIQUE (reference);

ALTER TABLE ONLY payouts.channel
    ADD CONSTRAINT channel_in_transit_key UNIQUE (in_transit);

ALTER TABLE ONLY payouts.channel
    ADD CONSTRAINT channel_pkey PRIMARY KEY (currency);

ALTER TABLE ONLY payouts.channel
    ADD CONSTRAINT channel_set_aside_key UNIQUE (set_aside);

ALTER TABLE ONLY payouts.decision
    ADD CONSTRAINT decision_batch_id_kind_key UNIQUE (batch_id, kind);

ALTER TABLE ONLY payouts.decision
    ADD CONSTRAINT decision_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY payouts.decision
    ADD CONSTRAINT decision_transfer_id_key UNIQUE (transfer_id);

ALTER TABLE ONLY payouts.destination_end
    ADD CONSTRAINT destination_end_pkey PRIMARY KEY (destination_id);

ALTER TABLE ONLY payouts.destination
    ADD CONSTRAINT destination_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payouts.instruction
    ADD CONSTRAINT end_to_end_id_once UNIQUE (end_to_end_id);

ALTER TABLE ONLY payouts.event
    ADD CONSTRAINT event_instruction_id_number_batch_id_key UNIQUE (instruction_id, number, batch_id);

ALTER TABLE ONLY payouts.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (instruction_id, number);

ALTER TABLE ONLY payouts.file
    ADD CONSTRAINT file_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY payouts.instruction
    ADD CONSTRAINT instruction_id_currency_amount_key UNIQUE (id, currency, amount);

ALTER TABLE ONLY payouts.item
    ADD CONSTRAINT instruction_in_one_batch UNIQUE (instruction_id, event_number);

ALTER TABLE ONLY payouts.instruction
    ADD CONSTRAINT instruction_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payouts.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (batch_id, "position");

ALTER TABLE ONLY payouts.instruction
    ADD CONSTRAINT paid_once UNIQUE (kind, pays, issue);

ALTER TABLE ONLY payouts.report
    ADD CONSTRAINT report_once UNIQUE (sha256);

ALTER TABLE ONLY payouts.report
    ADD CONSTRAINT report_pkey PRIMARY KEY (id);

ALTER TABLE ONLY payouts.state
    ADD CONSTRAINT state_pkey PRIMARY KEY (instruction_id);

ALTER TABLE ONLY public.migration
    ADD CONSTRAINT migration_name_key UNIQUE (name);

ALTER TABLE ONLY public.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);

ALTER TABLE ONLY questions.answer
    ADD CONSTRAINT answer_pkey PRIMARY KEY (question_id);

ALTER TABLE ONLY questions.name_release
    ADD CONSTRAINT name_release_pkey PRIMARY KEY (question_id);

ALTER TABLE ONLY questions.question
    ADD CONSTRAINT question_entry_id_key UNIQUE (entry_id);

ALTER TABLE ONLY questions.question
    ADD CONSTRAINT question_pkey PRIMARY KEY (id);

ALTER TABLE ONLY questions.question
    ADD CONSTRAINT question_reference_key UNIQUE (reference);

ALTER TABLE ONLY register.attribute
    ADD CONSTRAINT attribute_id_is_held_key UNIQUE (id, is_held);

ALTER TABLE ONLY register.attribute
    ADD CONSTRAINT attribute_pkey PRIMARY KEY (id);

ALTER TABLE ONLY register.attribute
    ADD CONSTRAINT attribute_position_key UNIQUE ("position");

ALTER TABLE ONLY register.correction_answer
    ADD CONSTRAINT correction_answer_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY register.correction_request
    ADD CONSTRAINT correction_request_pkey PRIMARY KEY (id);

ALTER TABLE ONLY register.correction_request
    ADD CONSTRAINT correction_request_reference_key UNIQUE (reference);

ALTER TABLE ONLY register.data_key
    ADD CONSTRAINT data_key_pkey PRIMARY KEY (resident_id);

ALTER TABLE ONLY register.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (resident_id);

ALTER TABLE ONLY register.guardianship
    ADD CONSTRAINT guardianship_pkey PRIMARY KEY (id);

ALTER TABLE ONLY register.import_record
    ADD CONSTRAINT import_record_pkey PRIMARY KEY (national_number_hmac);

ALTER TABLE ONLY register.import_record
    ADD CONSTRAINT import_record_resident_id_key UNIQUE (resident_id);

ALTER TABLE ONLY register.key_check
    ADD CONSTRAINT key_check_pkey PRIMARY KEY (is_only_row);

ALTER TABLE ONLY register.lookup
    ADD CONSTRAINT lookup_pkey PRIMARY KEY (kind, hmac, resident_id);

ALTER TABLE ONLY register.minor
    ADD CONSTRAINT minor_pkey PRIMARY KEY (resident_id);

ALTER TABLE ONLY register.resident
    ADD CONSTRAINT resident_pkey PRIMARY KEY (id);

ALTER TABLE ONLY register.resident
    ADD CONSTRAINT resident_public_code_key UNIQUE (public_code);

ALTER TABLE ONLY register.sealed_attribute
    ADD CONSTRAINT sealed_attribute_pkey PRIMARY KEY (resident_id, attribute);

ALTER TABLE ONLY web.credential
    ADD CONSTRAINT credential_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY web.idempotency_key
    ADD CONSTRAINT idempotency_key_pkey PRIMARY KEY (actor, route, key);

ALTER TABLE ONLY witness.cosigned_head
    ADD CONSTRAINT cosigned_head_pkey PRIMARY KEY (witness, origin, tree_size);

ALTER TABLE ONLY witness.cosigned_head
    ADD CONSTRAINT cosigned_head_witness_origin_previous_size_key UNIQUE NULLS NOT DISTINCT (witness, origin, previous_size);

CREATE INDEX anomaly_finding_anomaly ON access_log.anomaly_finding USING btree (anomaly_id, closed_at);

CREATE INDEX entry_staff ON access_log.entry USING btree (at) WHERE (actor_kind = 'staff'::text);

CREATE INDEX entry_subject ON access_log.entry USING btree (subject_id, at, id);

CREATE INDEX disbursement_prepared ON benefits.disbursement USING btree (prepared_at, id);

CREATE INDEX disbursement_resident ON benefits.disbursement USING btree (resident_id);

CREATE INDEX break_glass_due ON casework.break_glass USING btree (review_due_at);

CREATE INDEX break_glass_live ON casework.break_glass USING btree (staff_id, resident_id, expires_at);

CREATE INDEX opening_expires ON casework.opening USING btree (expires_at);

CREATE INDEX paper_submission_resident ON casework.paper_submission USING btree (resident_id);

CREATE INDEX protection_resident ON casework.protection USING btree (resident_id, decided_at);

CREATE UNIQUE INDEX event_form ON consent.event USING btree (form_reference, activity_id) WHERE (form_reference IS NOT NULL);

CREATE INDEX event_request ON consent.event USING btree (request_id) WHERE (request_id IS NOT NULL);

CREATE INDEX state_ends ON consent.state USING btree (valid_until) WHERE ((state = ANY (ARRAY['requested'::text, 'deferred'::text, 'agreed'::text, 'given'::text, 'renewed'::text])) AND (valid_until IS NOT NULL));

CREATE INDEX letter_event_outgoing ON delivery.letter_event USING btree (outgoing_id, at);

CREATE UNIQUE INDEX letter_posted_once ON delivery.letter_event USING btree (outgoing_id) WHERE (kind = 'posted'::text);

CREATE INDEX outgoing_done ON delivery.outgoing USING btree (made_at) WHERE is_done;

CREATE INDEX outgoing_due ON delivery.outgoing USING btree (next_at) WHERE ((NOT is_done) AND (channel <> 'letter'::text));

CREATE INDEX outgoing_letters ON delivery.outgoing USING btree (made_at) WHERE ((NOT is_done) AND (channel = 'letter'::text));

CREATE INDEX outgoing_resident ON delivery.outgoing USING btree (resident_id, made_at);

CREATE INDEX dispute_about ON disputes.dispute USING btree (about_kind, about_id);

CREATE INDEX dispute_due ON disputes.dispute USING btree (due_at, id);

CREATE INDEX dispute_resident ON disputes.dispute USING btree (resident_id, opened_at, id);

CREATE INDEX message_dispute ON disputes.message USING btree (dispute_id, written_at, id);

CREATE INDEX delivery_due ON exchange.delivery USING btree (organisation_id, next_at) WHERE (next_at IS NOT NULL);

CREATE INDEX notice_due ON exchange.notice USING btree (organisation_id, due_at);

CREATE INDEX notice_queue_organisation ON exchange.notice_queue USING btree (organisation_id);

CREATE INDEX request_nonce_ends ON exchange.request_nonce USING btree (ends_at);

CREATE INDEX address_failures_last ON identity.address_failures USING btree (last_at);

CREATE UNIQUE INDEX address_primary_once ON identity.address USING btree (account_id, kind) WHERE is_primary;

CREATE INDEX address_sending_account ON identity.address_sending USING btree (account_id, at);

CREATE INDEX address_sending_at ON identity.address_sending USING btree (at);

CREATE INDEX address_sending_hmac ON identity.address_sending USING btree (hmac, at);

CREATE INDEX address_unproven ON identity.address USING btree (added_at) WHERE (verified_at IS NULL);

CREATE UNIQUE INDEX address_verified_once ON identity.address USING btree (hmac) WHERE (verified_at IS NOT NULL);

CREATE INDEX factor_account ON identity.factor USING btree (account_id) WHERE (account_id IS NOT NULL);

CREATE UNIQUE INDEX factor_credential ON identity.factor USING btree (credential_id) WHERE ((credential_id IS NOT NULL) AND (removed_at IS NULL));

CREATE INDEX factor_failures_unknown ON identity.factor_failures USING btree (last_at) WHERE (octet_length(subject) = 32);

CREATE UNIQUE INDEX factor_of_account ON identity.factor USING btree (account_id, kind) WHERE ((account_id IS NOT NULL) AND (kind <> 'passkey'::text) AND (confirmed_at IS NOT NULL) AND (removed_at IS NULL));

CREATE UNIQUE INDEX factor_of_staff ON identity.factor USING btree (staff_id, kind) WHERE ((staff_id IS NOT NULL) AND (kind <> 'passkey'::text) AND (confirmed_at IS NOT NULL) AND (removed_at IS NULL));

CREATE INDEX factor_pending ON identity.factor USING btree (created_at) WHERE (confirmed_at IS NULL);

CREATE INDEX factor_staff ON identity.factor USING btree (staff_id) WHERE (staff_id IS NOT NULL);

CREATE INDEX letter_request_at ON identity.letter_request USING btree (at);

CREATE INDEX letter_request_recent ON identity.letter_request USING btree (address_hmac, at);

CREATE INDEX passkey_challenge_created ON identity.passkey_challenge USING btree (created_at);

CREATE INDEX registration_attempt_at ON identity.registration_attempt USING btree (at);

CREATE INDEX registration_attempt_recent ON identity.registration_attempt USING btree (address_hmac, at);

CREATE INDEX sign_in_at ON identity.sign_in USING btree (password_at);

CREATE INDEX sign_in_name_account ON identity.sign_in_name USING btree (account_id) WHERE (account_id IS NOT NULL);

CREATE INDEX account_organisation ON ledger.account USING btree (organisation_id) WHERE (organisation_id IS NOT NULL);

CREATE UNIQUE INDEX account_wallet ON ledger.account USING btree (resident_id, currency) WHERE ((kind = 'wallet'::text) AND (closed_at IS NULL));

CREATE INDEX entry_dated ON ledger.entry USING btree (account_id, effective_at, number) WHERE (effective_at <> recorded_at);

CREATE INDEX entry_mark ON ledger.entry USING btree (account_id, recorded_at, number) WHERE ((number % (64)::bigint) = 0);

CREATE UNIQUE INDEX hold_entry_begins_once ON ledger.hold_entry USING btree (hold_id) WHERE (step = 'held'::text);

CREATE UNIQUE INDEX hold_entry_ends_once ON ledger.hold_entry USING btree (hold_id) WHERE (step <> 'held'::text);

CREATE INDEX open_hold_account ON ledger.open_hold USING btree (account_id, expires_at);

CREATE INDEX open_hold_due ON ledger.open_hold USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE UNIQUE INDEX transfer_reversed_once ON ledger.transfer USING btree (reversal_of) WHERE ((reversal_of IS NOT NULL) AND (outcome = 'posted'::text));

CREATE INDEX acting_mandate ON mandates.acting USING btree (mandate_id);

CREATE INDEX mandate_helper ON mandates.mandate USING btree (helper_id, granted_at);

CREATE INDEX mandate_resident ON mandates.mandate USING btree (resident_id, granted_at);

CREATE INDEX message_resident ON messages.message USING btree (resident_id, sent_at DESC, id DESC);

CREATE INDEX client_assertion_expires ON openid.client_assertion USING btree (expires_at);

CREATE INDEX device_guess_account ON openid.device_guess USING btree (account_id, at);

CREATE INDEX key_proof_expires ON openid.key_proof USING btree (expires_at);

CREATE INDEX logout_notice_due ON openid.logout_notice USING btree (next_at) WHERE (next_at IS NOT NULL);

CREATE INDEX logout_notice_made ON openid.logout_notice USING btree (made_at);

CREATE INDEX refresh_token_expires ON openid.refresh_token USING btree (expires_at);

CREATE INDEX refresh_token_predecessor ON openid.refresh_token USING btree (predecessor) WHERE (predecessor IS NOT NULL);

CREATE INDEX refresh_token_sign_in ON openid.refresh_token USING btree (sign_in_id);

CREATE UNIQUE INDEX refresh_token_successor ON openid.refresh_token USING btree (predecessor) WHERE ((predecessor IS NOT NULL) AND (replaced_at IS NULL));

CREATE INDEX service_change_client ON openid.service_change USING btree (client_id, at);

CREATE INDEX sign_in_account ON openid.sign_in USING btree (account_id, client_id);

CREATE INDEX sign_in_past ON openid.sign_in USING btree (created_at) WHERE ((NOT ('offline_access'::text = ANY (scope))) OR (ended_at IS NOT NULL));

CREATE INDEX sign_in_session ON openid.sign_in USING btree (session_id) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX bank_account_collects ON payments.bank_account USING btree (currency) WHERE collects;

CREATE INDEX bank_allocation_item ON payments.bank_allocation USING btree (item_id);

CREATE INDEX bank_entry_content ON payments.bank_entry USING btree (content) WHERE (content IS NOT NULL);

CREATE INDEX bank_entry_reference ON payments.bank_entry USING btree (bank_reference) WHERE (bank_reference IS NOT NULL);

CREATE INDEX bank_item_recorded ON payments.bank_item USING btree (recorded_at, id);

CREATE INDEX bank_movement_likeness ON payments.bank_movement USING btree (account_id, booked_on, amount);

CREATE INDEX bank_movement_untold ON payments.bank_movement USING btree (account_id, booked_on, amount) WHERE (NOT is_told);

CREATE INDEX bank_report_account ON payments.bank_report USING btree (account_id);

CREATE INDEX bank_report_problems ON payments.bank_report USING btree (id) WHERE (problems <> '{}'::text[]);

CREATE INDEX bank_return_item ON payments.bank_return USING btree (item_id);

CREATE INDEX bill_due ON payments.bill USING btree (due_on);

CREATE INDEX bill_resident ON payments.bill USING btree (resident_id, created_at, id);

CREATE INDEX payment_bill ON payments.payment USING btree (bill_id, paid_at, id);

CREATE INDEX till_opened ON payments.till USING btree (opened_by, opened_at);

CREATE INDEX till_payment_till ON payments.till_payment USING btree (till_id);

CREATE INDEX waiver_bill ON payments.waiver USING btree (bill_id);

CREATE INDEX batch_prepared ON payouts.batch USING btree (prepared_at, id);

CREATE INDEX destination_resident ON payouts.destination USING btree (resident_id, given_at DESC);

CREATE INDEX event_report ON payouts.event USING btree (report_id) WHERE (report_id IS NOT NULL);

CREATE INDEX instruction_alike ON payouts.instruction USING btree (resident_id, currency, amount);

CREATE INDEX instruction_resident ON payouts.instruction USING btree (resident_id, created_at DESC, id DESC);

CREATE INDEX report_batch ON payouts.report USING btree (batch_id);

CREATE INDEX state_waiting ON payouts.state USING btree (instruction_id) WHERE (state = 'waiting'::text);

CREATE INDEX question_due ON questions.question USING btree (due_at);

CREATE INDEX question_resident ON questions.question USING btree (resident_id);

CREATE INDEX attribute_derived ON register.attribute USING btree (id) INCLUDE (derived_from) WHERE (derived_from IS NOT NULL);

CREATE INDEX correction_request_requested ON register.correction_request USING btree (requested_at);

CREATE INDEX correction_request_resident ON register.correction_request USING btree (resident_id);

CREATE UNIQUE INDEX guardianship_current ON register.guardianship USING btree (child_id, guardian_id) WHERE (until IS NULL);

CREATE INDEX guardianship_guardian ON register.guardianship USING btree (guardian_id);

CREATE INDEX import_staging_batch ON register.import_staging USING btree (batch_id);

CREATE UNIQUE INDEX lookup_national_number ON register.lookup USING btree (hmac) WHERE (kind = 'national_number'::text);

CREATE INDEX lookup_resident ON register.lookup USING btree (resident_id);

CREATE INDEX resident_superseded_by ON register.resident USING btree (superseded_by) WHERE (superseded_by IS NOT NULL);

CREATE INDEX credential_account ON web.credential USING btree (account_id) WHERE (account_id IS NOT NULL);

CREATE INDEX credential_code ON web.credential USING btree (authorization_code_hash) WHERE (authorization_code_hash IS NOT NULL);

CREATE INDEX credential_expires ON web.credential USING btree (expires_at);

CREATE INDEX credential_sign_in ON web.credential USING btree (sign_in_id) WHERE (sign_in_id IS NOT NULL);

CREATE INDEX credential_staff ON web.credential USING btree (staff_id) WHERE (staff_id IS NOT NULL);

CREATE INDEX idempotency_key_created ON web.idempotency_key USING btree (created_at);

CREATE TRIGGER anomaly_entry_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.anomaly_entry FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER anomaly_finding_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.anomaly_finding FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER anomaly_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.anomaly FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER batch_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.batch FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER checkpoint_brings_tiles AFTER INSERT ON access_log.checkpoint FOR EACH ROW EXECUTE FUNCTION access_log.store_tiles();

CREATE TRIGGER checkpoint_covers_leaves BEFORE INSERT ON access_log.checkpoint FOR EACH ROW EXECUTE FUNCTION access_log.check_checkpoint_size();

CREATE TRIGGER checkpoint_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.checkpoint FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER checkpoint_refused_while_halted BEFORE INSERT ON access_log.checkpoint FOR EACH ROW EXECUTE FUNCTION access_log.refuse_while_halted();

CREATE TRIGGER closed_by_another BEFORE INSERT ON access_log.anomaly_finding FOR EACH ROW EXECUTE FUNCTION access_log.check_finding();

CREATE TRIGGER confirmation_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.confirmation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER cosignature_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.cosignature FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER entry_erased_on_authority BEFORE DELETE ON access_log.entry FOR EACH ROW EXECUTE FUNCTION access_log.check_erasure();

CREATE TRIGGER entry_only_grows BEFORE UPDATE OR TRUNCATE ON access_log.entry FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER erasure_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.erasure FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER halt_end_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.halt_end FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER halt_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.halt FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER leaf_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.leaf FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER record_erased_on_authority BEFORE UPDATE ON access_log.record FOR EACH ROW EXECUTE FUNCTION access_log.check_erasure();

CREATE TRIGGER record_keeps_hash BEFORE UPDATE ON access_log.record FOR EACH ROW WHEN ((new.salt IS NOT NULL)) EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER record_only_grows BEFORE DELETE OR UPDATE OF id, kind, source_id OR TRUNCATE ON access_log.record FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER tile_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON access_log.tile FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER decision_gets_leaf AFTER INSERT ON benefits.decision FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('benefit', 'disbursement_id');

CREATE TRIGGER decision_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON benefits.decision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER disbursement_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON benefits.disbursement FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER break_glass_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON casework.break_glass FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER break_glass_review_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON casework.break_glass_review FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER break_glass_review_told AFTER INSERT ON casework.break_glass_review FOR EACH ROW EXECUTE FUNCTION casework.tell_of_review();

CREATE TRIGGER break_glass_told AFTER INSERT ON casework.break_glass FOR EACH ROW EXECUTE FUNCTION casework.tell_of_break_glass();

CREATE TRIGGER paper_submission_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON casework.paper_submission FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER printed_form_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON casework.printed_form FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER protection_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON casework.protection FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER protection_told AFTER INSERT ON casework.protection FOR EACH ROW EXECUTE FUNCTION casework.tell_of_protection();

CREATE TRIGGER review_gets_leaf AFTER INSERT ON casework.break_glass_review FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('emergency', 'entry_id');

CREATE TRIGGER reviewed_by_another BEFORE INSERT ON casework.break_glass_review FOR EACH ROW EXECUTE FUNCTION casework.check_review();

CREATE TRIGGER description_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON catalogue.description FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER event_gets_leaf AFTER INSERT ON consent.event FOR EACH ROW EXECUTE FUNCTION consent.queue_leaf();

CREATE TRIGGER event_is_announced AFTER INSERT ON consent.event FOR EACH ROW WHEN ((new.kind = ANY (ARRAY['requested'::text, 'expired'::text, 'invalidated'::text]))) EXECUTE FUNCTION delivery.announce_sharing();

CREATE TRIGGER event_is_chained BEFORE INSERT ON consent.event FOR EACH ROW EXECUTE FUNCTION consent.chain_event();

CREATE TRIGGER event_notifies_recipient AFTER INSERT ON consent.event FOR EACH ROW EXECUTE FUNCTION exchange.notify_recipient();

CREATE TRIGGER event_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER policy_attributes_known BEFORE INSERT ON consent.policy FOR EACH ROW EXECUTE FUNCTION consent.check_policy_attributes();

CREATE TRIGGER policy_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.policy FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER request_message_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON consent.request_message FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER letter_event_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON delivery.letter_event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER news_falls_back AFTER UPDATE OF failed_at ON delivery.outgoing FOR EACH ROW WHEN (((new.failed_at IS NOT NULL) AND (old.failed_at IS NULL) AND (new.template = 'news'::text) AND (new.channel <> 'letter'::text))) EXECUTE FUNCTION delivery.fall_back();

CREATE TRIGGER approval_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON disputes.approval FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER decision_follows_rules BEFORE INSERT ON disputes.decision FOR EACH ROW EXECUTE FUNCTION disputes.check_decision();

CREATE TRIGGER decision_gets_leaf AFTER INSERT ON disputes.decision FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('dispute', 'id');

CREATE TRIGGER decision_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON disputes.decision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER dispute_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON disputes.dispute FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER escalation_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON disputes.escalation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER message_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON disputes.message FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER acknowledgement_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON exchange.acknowledgement FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER notice_number_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON exchange.notice_number FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER notice_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON exchange.notice FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER signed_answer_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON exchange.signed_answer FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER evidence_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON identity.evidence FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER account_equals_entries AFTER UPDATE ON ledger.account REFERENCING OLD TABLE AS former NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_accounts();

CREATE TRIGGER account_opens_empty BEFORE INSERT ON ledger.account FOR EACH ROW WHEN (((new.posted <> 0) OR (new.entry_count <> 0) OR (new.held <> 0) OR (new.hold_entry_count <> 0))) EXECUTE FUNCTION ledger.check_new_account();

CREATE TRIGGER account_stays BEFORE DELETE OR TRUNCATE ON ledger.account FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER entry_matches_transfer AFTER INSERT ON ledger.entry REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_entries();

CREATE TRIGGER entry_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.entry FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER hold_entry_matches_transfer AFTER INSERT ON ledger.hold_entry REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_hold_entries();

CREATE TRIGGER hold_entry_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.hold_entry FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER open_hold_begins AFTER INSERT ON ledger.open_hold REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_open_holds();

CREATE TRIGGER open_hold_ends AFTER DELETE ON ledger.open_hold REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_open_holds();

CREATE TRIGGER open_hold_stays BEFORE UPDATE OR TRUNCATE ON ledger.open_hold FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER period_close_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.period_close FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER transfer_balanced AFTER INSERT ON ledger.transfer REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_transfers();

CREATE TRIGGER transfer_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.transfer FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER event_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON mandates.event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER mandate_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON mandates.mandate FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER message_is_announced AFTER INSERT ON messages.message FOR EACH ROW WHEN ((new.kind <> 'welcome'::text)) EXECUTE FUNCTION delivery.announce_message();

CREATE TRIGGER message_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON messages.message FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER closed_client_loses_tokens AFTER UPDATE OF closed_at ON openid.client FOR EACH ROW WHEN ((new.closed_at IS NOT NULL)) EXECUTE FUNCTION web.revoke_tokens_of_closed_client();

CREATE TRIGGER service_change_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON openid.service_change FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER allocated_within_item AFTER INSERT ON payments.bank_allocation FOR EACH ROW EXECUTE FUNCTION payments.check_item();

CREATE TRIGGER bank_account_in_ledger BEFORE INSERT ON payments.bank_account FOR EACH ROW EXECUTE FUNCTION payments.check_bank_account();

CREATE TRIGGER bank_account_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_account FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_allocation_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_allocation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_entry_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_entry FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_file_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_file FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_item_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_item FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_movement_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_movement FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_payout_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_payout FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_report_decision_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_report_decision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_report_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_report FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_return_decision_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_return_decision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_return_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_return FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bank_sighting_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bank_sighting FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE CONSTRAINT TRIGGER bill_equals_lines AFTER INSERT ON payments.bill DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_bill();

CREATE TRIGGER bill_is_announced AFTER INSERT ON payments.bill FOR EACH ROW EXECUTE FUNCTION delivery.announce_bill();

CREATE CONSTRAINT TRIGGER bill_line_equals_bill AFTER INSERT ON payments.bill_line DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_bill();

CREATE TRIGGER bill_line_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bill_line FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER bill_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.bill FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE CONSTRAINT TRIGGER item_equals_movement AFTER INSERT ON payments.bank_item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_movement();

CREATE TRIGGER item_waits AFTER INSERT ON payments.bank_item FOR EACH ROW EXECUTE FUNCTION payments.wait_for_item();

CREATE CONSTRAINT TRIGGER movement_equals_items AFTER INSERT ON payments.bank_movement DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_movement();

CREATE TRIGGER payment_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.payment FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER payment_within_bill AFTER INSERT ON payments.payment FOR EACH ROW EXECUTE FUNCTION payments.check_payment();

CREATE TRIGGER payout_within_item AFTER INSERT ON payments.bank_payout FOR EACH ROW EXECUTE FUNCTION payments.check_item();

CREATE TRIGGER reminder_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.reminder FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER return_decided AFTER INSERT ON payments.bank_return_decision FOR EACH ROW EXECUTE FUNCTION payments.follow_return_decision();

CREATE TRIGGER returned_within_item AFTER INSERT ON payments.bank_return FOR EACH ROW EXECUTE FUNCTION payments.check_item();

CREATE TRIGGER till_approval_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.till_approval FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER till_closing_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.till_closing FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER till_is_open AFTER INSERT ON payments.till_payment FOR EACH ROW EXECUTE FUNCTION payments.check_till_payment();

CREATE TRIGGER till_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.till FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER till_payment_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.till_payment FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER waiver_decision_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.waiver_decision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER waiver_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payments.waiver FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER waiver_within_bill AFTER INSERT ON payments.waiver_decision FOR EACH ROW EXECUTE FUNCTION payments.check_waiver();

CREATE TRIGGER batch_equals_items AFTER INSERT ON payouts.item REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payouts.check_items();

CREATE CONSTRAINT TRIGGER batch_has_items AFTER INSERT ON payouts.batch DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payouts.check_batch();

CREATE TRIGGER batch_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.batch FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER decision_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.decision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER destination_end_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.destination_end FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER destination_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.destination FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER event_follows AFTER INSERT ON payouts.event REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payouts.fold_events();

CREATE TRIGGER event_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER file_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.file FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER instruction_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.instruction FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER issued_again_after_failure BEFORE INSERT ON payouts.instruction FOR EACH ROW WHEN ((new.issue = 2)) EXECUTE FUNCTION payouts.check_second_issue();

CREATE TRIGGER item_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.item FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER report_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON payouts.report FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER answer_gets_leaf AFTER INSERT ON questions.answer FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('question', 'question_id');

CREATE TRIGGER answer_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON questions.answer FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER answered_by_another BEFORE INSERT ON questions.answer FOR EACH ROW EXECUTE FUNCTION questions.check_answer();

CREATE TRIGGER name_release_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON questions.name_release FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER question_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON questions.question FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER answer_gets_leaf AFTER INSERT ON register.correction_answer FOR EACH ROW EXECUTE FUNCTION access_log.queue_decision('correction', 'request_id');

CREATE TRIGGER correction_answer_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON register.correction_answer FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER correction_request_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON register.correction_request FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER erasure_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON register.erasure FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER guardianship_told AFTER INSERT OR UPDATE OF until ON register.guardianship FOR EACH ROW EXECUTE FUNCTION register.tell_of_guardianship();

CREATE TRIGGER wallet_follows_resident AFTER UPDATE OF superseded_by ON register.resident FOR EACH ROW WHEN (((new.superseded_by IS NOT NULL) AND (old.superseded_by IS NULL))) EXECUTE FUNCTION ledger.follow_resident();

CREATE TRIGGER session_ends_sign_ins AFTER UPDATE OF revoked_at ON web.credential FOR EACH ROW WHEN (((new.kind = 'session'::text) AND (new.account_id IS NOT NULL) AND (new.revoked_at IS NOT NULL) AND (old.revoked_at IS NULL))) EXECUTE FUNCTION openid.end_sign_ins_of_session();

CREATE TRIGGER cosigned_head_only_grows BEFORE DELETE OR UPDATE OR TRUNCATE ON witness.cosigned_head FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE ONLY access_log.anomaly_entry
    ADD CONSTRAINT anomaly_entry_anomaly_id_fkey FOREIGN KEY (anomaly_id) REFERENCES access_log.anomaly(id);

ALTER TABLE ONLY access_log.anomaly_finding
    ADD CONSTRAINT anomaly_finding_anomaly_id_fkey FOREIGN KEY (anomaly_id) REFERENCES access_log.anomaly(id);

ALTER TABLE ONLY access_log.anomaly_finding
    ADD CONSTRAINT anomaly_finding_closed_by_fkey FOREIGN KEY (closed_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY access_log.batch
    ADD CONSTRAINT batch_tree_size_fkey FOREIGN KEY (tree_size) REFERENCES access_log.checkpoint(tree_size) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY access_log.cosignature
    ADD CONSTRAINT cosignature_tree_size_fkey FOREIGN KEY (tree_size) REFERENCES access_log.checkpoint(tree_size);

ALTER TABLE ONLY access_log.halt_end
    ADD CONSTRAINT halt_end_halt_id_fkey FOREIGN KEY (halt_id) REFERENCES access_log.halt(id);

ALTER TABLE ONLY access_log.record_queue
    ADD CONSTRAINT record_queue_record_id_fkey FOREIGN KEY (record_id) REFERENCES access_log.record(id);

ALTER TABLE ONLY benefits.decision
    ADD CONSTRAINT decision_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY benefits.decision
    ADD CONSTRAINT decision_disbursement_id_prepared_by_fkey FOREIGN KEY (disbursement_id, prepared_by) REFERENCES benefits.disbursement(id, prepared_by);

ALTER TABLE ONLY benefits.decision
    ADD CONSTRAINT decision_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES ledger.transfer(id);

ALTER TABLE ONLY benefits.disbursement
    ADD CONSTRAINT disbursement_prepared_by_fkey FOREIGN KEY (prepared_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY benefits.disbursement
    ADD CONSTRAINT disbursement_programme_id_fkey FOREIGN KEY (programme_id) REFERENCES benefits.programme(id);

ALTER TABLE ONLY benefits.disbursement
    ADD CONSTRAINT disbursement_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY benefits.programme
    ADD CONSTRAINT programme_paid_from_fkey FOREIGN KEY (paid_from) REFERENCES ledger.account(id);

ALTER TABLE ONLY casework.break_glass
    ADD CONSTRAINT break_glass_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY casework.break_glass_review
    ADD CONSTRAINT break_glass_review_entry_id_fkey FOREIGN KEY (entry_id) REFERENCES casework.break_glass(entry_id);

ALTER TABLE ONLY casework.break_glass_review
    ADD CONSTRAINT break_glass_review_reviewed_by_fkey FOREIGN KEY (reviewed_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY casework.break_glass
    ADD CONSTRAINT break_glass_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY casework.opening
    ADD CONSTRAINT opening_reason_fkey FOREIGN KEY (reason) REFERENCES access_log.staff_reason(id);

ALTER TABLE ONLY casework.opening
    ADD CONSTRAINT opening_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY casework.opening
    ADD CONSTRAINT opening_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY casework.paper_submission
    ADD CONSTRAINT paper_submission_activity_id_fkey FOREIGN KEY (activity_id) REFERENCES consent.processing_activity(id);

ALTER TABLE ONLY casework.paper_submission
    ADD CONSTRAINT paper_submission_form_reference_activity_id_fkey FOREIGN KEY (form_reference, activity_id) REFERENCES casework.printed_form(reference, activity_id);

ALTER TABLE ONLY casework.paper_submission
    ADD CONSTRAINT paper_submission_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY casework.paper_submission
    ADD CONSTRAINT paper_submission_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY casework.printed_form
    ADD CONSTRAINT printed_form_activity_id_policy_version_fkey FOREIGN KEY (activity_id, policy_version) REFERENCES consent.policy(activity_id, version);

ALTER TABLE ONLY casework.printed_form
    ADD CONSTRAINT printed_form_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY casework.protection
    ADD CONSTRAINT protection_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY casework.protection
    ADD CONSTRAINT protection_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY catalogue.description
    ADD CONSTRAINT description_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY catalogue.description
    ADD CONSTRAINT description_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY catalogue.volume_of_month
    ADD CONSTRAINT volume_of_month_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_activity_id_policy_version_fkey FOREIGN KEY (activity_id, policy_version) REFERENCES consent.policy(activity_id, version);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_request_id_fkey FOREIGN KEY (request_id) REFERENCES consent.event(id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY consent.event
    ADD CONSTRAINT event_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY consent.policy
    ADD CONSTRAINT policy_activity_id_fkey FOREIGN KEY (activity_id) REFERENCES consent.processing_activity(id);

ALTER TABLE ONLY consent.processing_activity
    ADD CONSTRAINT processing_activity_id_policy_version_fkey FOREIGN KEY (id, policy_version) REFERENCES consent.policy(activity_id, version) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY consent.processing_activity
    ADD CONSTRAINT processing_activity_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY consent.request_message
    ADD CONSTRAINT request_message_request_id_fkey FOREIGN KEY (request_id) REFERENCES consent.event(id);

ALTER TABLE ONLY consent.state
    ADD CONSTRAINT state_activity_id_fkey FOREIGN KEY (activity_id) REFERENCES consent.processing_activity(id);

ALTER TABLE ONLY consent.state
    ADD CONSTRAINT state_event_id_fkey FOREIGN KEY (event_id) REFERENCES consent.event(id);

ALTER TABLE ONLY consent.state
    ADD CONSTRAINT state_request_id_fkey FOREIGN KEY (request_id) REFERENCES consent.event(id);

ALTER TABLE ONLY consent.state
    ADD CONSTRAINT state_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY delivery.letter_event
    ADD CONSTRAINT letter_event_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY delivery.letter_fallback
    ADD CONSTRAINT letter_fallback_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY delivery.outgoing
    ADD CONSTRAINT outgoing_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY delivery.preference
    ADD CONSTRAINT preference_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY disputes.approval
    ADD CONSTRAINT approval_approved_by_fkey FOREIGN KEY (approved_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY disputes.approval
    ADD CONSTRAINT approval_decision_id_decided_by_fkey FOREIGN KEY (decision_id, decided_by) REFERENCES disputes.decision(id, decided_by);

ALTER TABLE ONLY disputes.approval
    ADD CONSTRAINT approval_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES ledger.transfer(id);

ALTER TABLE ONLY disputes.decision
    ADD CONSTRAINT decision_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY disputes.decision
    ADD CONSTRAINT decision_dispute_id_fkey FOREIGN KEY (dispute_id) REFERENCES disputes.dispute(id);

ALTER TABLE ONLY disputes.dispute
    ADD CONSTRAINT dispute_category_fkey FOREIGN KEY (category) REFERENCES disputes.category(id);

ALTER TABLE ONLY disputes.dispute
    ADD CONSTRAINT dispute_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY disputes.escalation
    ADD CONSTRAINT escalation_dispute_id_fkey FOREIGN KEY (dispute_id) REFERENCES disputes.dispute(id);

ALTER TABLE ONLY disputes.message
    ADD CONSTRAINT message_dispute_id_fkey FOREIGN KEY (dispute_id) REFERENCES disputes.dispute(id);

ALTER TABLE ONLY disputes.message
    ADD CONSTRAINT message_written_by_fkey FOREIGN KEY (written_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY exchange.acknowledgement
    ADD CONSTRAINT acknowledgement_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY exchange.acknowledgement
    ADD CONSTRAINT acknowledgement_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES exchange.notice(id);

ALTER TABLE ONLY exchange.delivery
    ADD CONSTRAINT delivery_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES exchange.notice(id);

ALTER TABLE ONLY exchange.delivery
    ADD CONSTRAINT delivery_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY exchange.notice
    ADD CONSTRAINT notice_event_id_fkey FOREIGN KEY (event_id) REFERENCES consent.event(id);

ALTER TABLE ONLY exchange.notice_number
    ADD CONSTRAINT notice_number_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES exchange.notice(id);

ALTER TABLE ONLY exchange.notice
    ADD CONSTRAINT notice_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY exchange.notice_queue
    ADD CONSTRAINT notice_queue_notice_id_fkey FOREIGN KEY (notice_id) REFERENCES exchange.notice(id);

ALTER TABLE ONLY exchange.pseudonym
    ADD CONSTRAINT pseudonym_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY exchange.pseudonym
    ADD CONSTRAINT pseudonym_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY exchange.request_nonce
    ADD CONSTRAINT request_nonce_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY exchange.signed_answer
    ADD CONSTRAINT signed_answer_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY exchange.volume
    ADD CONSTRAINT volume_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY exchange.webhook
    ADD CONSTRAINT webhook_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY identity.account
    ADD CONSTRAINT account_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY identity.address
    ADD CONSTRAINT address_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY identity.address_code
    ADD CONSTRAINT address_code_address_id_fkey FOREIGN KEY (address_id) REFERENCES identity.address(id) ON DELETE CASCADE;

ALTER TABLE ONLY identity.address
    ADD CONSTRAINT address_holder_id_fkey FOREIGN KEY (holder_id) REFERENCES register.resident(id);

ALTER TABLE ONLY identity.evidence
    ADD CONSTRAINT evidence_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY identity.evidence
    ADD CONSTRAINT evidence_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY identity.evidence
    ADD CONSTRAINT evidence_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY identity.factor
    ADD CONSTRAINT factor_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY identity.factor_code
    ADD CONSTRAINT factor_code_factor_id_fkey FOREIGN KEY (factor_id) REFERENCES identity.factor(id) ON DELETE CASCADE;

ALTER TABLE ONLY identity.factor
    ADD CONSTRAINT factor_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY identity.letter_code
    ADD CONSTRAINT letter_code_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY identity.sign_in
    ADD CONSTRAINT sign_in_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY identity.sign_in_name
    ADD CONSTRAINT sign_in_name_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY identity.sign_in_name
    ADD CONSTRAINT sign_in_name_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY identity.sign_in
    ADD CONSTRAINT sign_in_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY identity.staff
    ADD CONSTRAINT staff_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY ledger.account
    ADD CONSTRAINT account_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY ledger.account
    ADD CONSTRAINT account_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY ledger.period_close
    ADD CONSTRAINT period_close_closed_by_fkey FOREIGN KEY (closed_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY mandates.acting
    ADD CONSTRAINT acting_mandate_id_fkey FOREIGN KEY (mandate_id) REFERENCES mandates.mandate(id);

ALTER TABLE ONLY mandates.acting
    ADD CONSTRAINT acting_session_hash_fkey FOREIGN KEY (session_hash) REFERENCES web.credential(hash) ON UPDATE CASCADE ON DELETE CASCADE;

ALTER TABLE ONLY mandates.event
    ADD CONSTRAINT event_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY mandates.event
    ADD CONSTRAINT event_mandate_id_fkey FOREIGN KEY (mandate_id) REFERENCES mandates.mandate(id);

ALTER TABLE ONLY mandates.mandate
    ADD CONSTRAINT mandate_granted_by_fkey FOREIGN KEY (granted_by) REFERENCES identity.account(id);

ALTER TABLE ONLY mandates.mandate
    ADD CONSTRAINT mandate_helper_id_fkey FOREIGN KEY (helper_id) REFERENCES register.resident(id);

ALTER TABLE ONLY mandates.mandate
    ADD CONSTRAINT mandate_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY messages.message
    ADD CONSTRAINT message_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY openid.authorization_code
    ADD CONSTRAINT authorization_code_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY openid.authorization_code
    ADD CONSTRAINT authorization_code_request_id_fkey FOREIGN KEY (request_id) REFERENCES openid.authorization_request(id) ON DELETE CASCADE;

ALTER TABLE ONLY openid.authorization_request
    ADD CONSTRAINT authorization_request_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY openid.client
    ADD CONSTRAINT client_activity_id_organisation_id_fkey FOREIGN KEY (activity_id, organisation_id) REFERENCES consent.processing_activity(id, organisation_id);

ALTER TABLE ONLY openid.client_assertion
    ADD CONSTRAINT client_assertion_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY openid.client
    ADD CONSTRAINT client_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY openid.connection
    ADD CONSTRAINT connection_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY openid.connection
    ADD CONSTRAINT connection_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY openid.device_guess
    ADD CONSTRAINT device_guess_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY openid.device_request
    ADD CONSTRAINT device_request_request_id_fkey FOREIGN KEY (request_id) REFERENCES openid.authorization_request(id) ON DELETE CASCADE;

ALTER TABLE ONLY openid.logout_notice
    ADD CONSTRAINT logout_notice_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY openid.refresh_token
    ADD CONSTRAINT refresh_token_predecessor_fkey FOREIGN KEY (predecessor) REFERENCES openid.refresh_token(hash) ON DELETE SET NULL;

ALTER TABLE ONLY openid.refresh_token
    ADD CONSTRAINT refresh_token_sign_in_id_fkey FOREIGN KEY (sign_in_id) REFERENCES openid.sign_in(id) ON DELETE CASCADE;

ALTER TABLE ONLY openid.registration_token
    ADD CONSTRAINT registration_token_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY openid.registration_token
    ADD CONSTRAINT registration_token_organisation_id_purpose_fkey FOREIGN KEY (organisation_id, purpose) REFERENCES consent.processing_activity(organisation_id, purpose);

ALTER TABLE ONLY openid.service_change
    ADD CONSTRAINT service_change_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY openid.service_change
    ADD CONSTRAINT service_change_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY openid.sign_in
    ADD CONSTRAINT sign_in_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY openid.sign_in
    ADD CONSTRAINT sign_in_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY openid.sign_in
    ADD CONSTRAINT sign_in_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY payments.bank_account
    ADD CONSTRAINT bank_account_ledger_account_fkey FOREIGN KEY (ledger_account) REFERENCES ledger.account(id);

ALTER TABLE ONLY payments.bank_account
    ADD CONSTRAINT bank_account_suspense_account_fkey FOREIGN KEY (suspense_account) REFERENCES ledger.account(id);

ALTER TABLE ONLY payments.bank_allocation
    ADD CONSTRAINT bank_allocation_assigned_by_fkey FOREIGN KEY (assigned_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.bank_allocation
    ADD CONSTRAINT bank_allocation_bill_id_fkey FOREIGN KEY (bill_id) REFERENCES payments.bill(id);

ALTER TABLE ONLY payments.bank_allocation
    ADD CONSTRAINT bank_allocation_id_fkey FOREIGN KEY (id) REFERENCES ledger.transfer(id);

ALTER TABLE ONLY payments.bank_allocation
    ADD CONSTRAINT bank_allocation_item_id_fkey FOREIGN KEY (item_id) REFERENCES payments.bank_item(id);

ALTER TABLE ONLY payments.bank_allocation
    ADD CONSTRAINT bank_allocation_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payments.payment(id);

ALTER TABLE ONLY payments.bank_entry
    ADD CONSTRAINT bank_entry_report_id_fkey FOREIGN KEY (report_id) REFERENCES payments.bank_report(id);

ALTER TABLE ONLY payments.bank_file
    ADD CONSTRAINT bank_file_imported_by_fkey FOREIGN KEY (imported_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.bank_item
    ADD CONSTRAINT bank_item_movement_id_fkey FOREIGN KEY (movement_id) REFERENCES payments.bank_movement(id);

ALTER TABLE ONLY payments.bank_item_waiting
    ADD CONSTRAINT bank_item_waiting_item_id_fkey FOREIGN KEY (item_id) REFERENCES payments.bank_item(id);

ALTER TABLE ONLY payments.bank_movement
    ADD CONSTRAINT bank_movement_account_id_fkey FOREIGN KEY (account_id) REFERENCES payments.bank_account(id);

ALTER TABLE ONLY payments.bank_movement
    ADD CONSTRAINT bank_movement_id_fkey FOREIGN KEY (id) REFERENCES ledger.transfer(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY payments.bank_movement
    ADD CONSTRAINT bank_movement_report_id_position_fkey FOREIGN KEY (report_id, "position") REFERENCES payments.bank_entry(report_id, "position");

ALTER TABLE ONLY payments.bank_payout
    ADD CONSTRAINT bank_payout_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES payouts.batch(id);

ALTER TABLE ONLY payments.bank_payout
    ADD CONSTRAINT bank_payout_counted_by_fkey FOREIGN KEY (counted_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.bank_payout
    ADD CONSTRAINT bank_payout_instruction_id_fkey FOREIGN KEY (instruction_id) REFERENCES payouts.instruction(id);

ALTER TABLE ONLY payments.bank_payout
    ADD CONSTRAINT bank_payout_item_id_fkey FOREIGN KEY (item_id) REFERENCES payments.bank_item(id);

ALTER TABLE ONLY payments.bank_report
    ADD CONSTRAINT bank_report_account_id_fkey FOREIGN KEY (account_id) REFERENCES payments.bank_account(id);

ALTER TABLE ONLY payments.bank_report_decision
    ADD CONSTRAINT bank_report_decision_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.bank_report_decision
    ADD CONSTRAINT bank_report_decision_report_id_fkey FOREIGN KEY (report_id) REFERENCES payments.bank_report(id);

ALTER TABLE ONLY payments.bank_report
    ADD CONSTRAINT bank_report_file_sha256_fkey FOREIGN KEY (file_sha256) REFERENCES payments.bank_file(sha256);

ALTER TABLE ONLY payments.bank_return_decision
    ADD CONSTRAINT bank_return_decision_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.bank_return_decision
    ADD CONSTRAINT bank_return_decision_return_id_proposed_by_fkey FOREIGN KEY (return_id, proposed_by) REFERENCES payments.bank_return(id, proposed_by);

ALTER TABLE ONLY payments.bank_return
    ADD CONSTRAINT bank_return_item_id_fkey FOREIGN KEY (item_id) REFERENCES payments.bank_item(id);

ALTER TABLE ONLY payments.bank_return
    ADD CONSTRAINT bank_return_proposed_by_fkey FOREIGN KEY (proposed_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.bank_sighting
    ADD CONSTRAINT bank_sighting_movement_id_fkey FOREIGN KEY (movement_id) REFERENCES payments.bank_movement(id);

ALTER TABLE ONLY payments.bank_sighting
    ADD CONSTRAINT bank_sighting_report_id_position_fkey FOREIGN KEY (report_id, "position") REFERENCES payments.bank_entry(report_id, "position");

ALTER TABLE ONLY payments.bill_line
    ADD CONSTRAINT bill_line_bill_id_fkey FOREIGN KEY (bill_id) REFERENCES payments.bill(id);

ALTER TABLE ONLY payments.bill
    ADD CONSTRAINT bill_pays_into_fkey FOREIGN KEY (pays_into) REFERENCES ledger.account(id);

ALTER TABLE ONLY payments.bill
    ADD CONSTRAINT bill_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT payment_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT payment_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT payment_currency FOREIGN KEY (bill_id, currency) REFERENCES payments.bill(id, currency);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT payment_mandate_id_fkey FOREIGN KEY (mandate_id) REFERENCES mandates.mandate(id);

ALTER TABLE ONLY payments.payment
    ADD CONSTRAINT payment_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES ledger.transfer(id);

ALTER TABLE ONLY payments.reminder
    ADD CONSTRAINT reminder_bill_id_fkey FOREIGN KEY (bill_id) REFERENCES payments.bill(id);

ALTER TABLE ONLY payments.till_approval
    ADD CONSTRAINT till_approval_approved_by_fkey FOREIGN KEY (approved_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.till_approval
    ADD CONSTRAINT till_approval_till_id_closed_by_fkey FOREIGN KEY (till_id, closed_by) REFERENCES payments.till_closing(till_id, closed_by);

ALTER TABLE ONLY payments.till_closing
    ADD CONSTRAINT till_closing_till_id_closed_by_fkey FOREIGN KEY (till_id, closed_by) REFERENCES payments.till(id, opened_by);

ALTER TABLE ONLY payments.till
    ADD CONSTRAINT till_ledger_account_fkey FOREIGN KEY (ledger_account) REFERENCES ledger.account(id);

ALTER TABLE ONLY payments.till
    ADD CONSTRAINT till_opened_by_fkey FOREIGN KEY (opened_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.till_payment
    ADD CONSTRAINT till_payment_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payments.payment(id);

ALTER TABLE ONLY payments.till_payment
    ADD CONSTRAINT till_payment_till_id_fkey FOREIGN KEY (till_id) REFERENCES payments.till(id);

ALTER TABLE ONLY payments.waiver
    ADD CONSTRAINT waiver_bill_id_fkey FOREIGN KEY (bill_id) REFERENCES payments.bill(id);

ALTER TABLE ONLY payments.waiver_decision
    ADD CONSTRAINT waiver_decision_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payments.waiver_decision
    ADD CONSTRAINT waiver_decision_waiver_id_proposed_by_fkey FOREIGN KEY (waiver_id, proposed_by) REFERENCES payments.waiver(id, proposed_by);

ALTER TABLE ONLY payments.waiver
    ADD CONSTRAINT waiver_proposed_by_fkey FOREIGN KEY (proposed_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payouts.batch
    ADD CONSTRAINT batch_clearing_fkey FOREIGN KEY (clearing) REFERENCES ledger.account(id);

ALTER TABLE ONLY payouts.batch
    ADD CONSTRAINT batch_currency_fkey FOREIGN KEY (currency) REFERENCES payouts.channel(currency);

ALTER TABLE ONLY payouts.batch
    ADD CONSTRAINT batch_prepared_by_fkey FOREIGN KEY (prepared_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payouts.channel
    ADD CONSTRAINT channel_bank_fkey FOREIGN KEY (bank) REFERENCES ledger.account(id);

ALTER TABLE ONLY payouts.channel
    ADD CONSTRAINT channel_in_transit_fkey FOREIGN KEY (in_transit) REFERENCES ledger.account(id);

ALTER TABLE ONLY payouts.channel
    ADD CONSTRAINT channel_set_aside_fkey FOREIGN KEY (set_aside) REFERENCES ledger.account(id);

ALTER TABLE ONLY payouts.decision
    ADD CONSTRAINT decision_batch_id_prepared_by_fkey FOREIGN KEY (batch_id, prepared_by) REFERENCES payouts.batch(id, prepared_by);

ALTER TABLE ONLY payouts.decision
    ADD CONSTRAINT decision_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payouts.decision
    ADD CONSTRAINT decision_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES ledger.transfer(id);

ALTER TABLE ONLY payouts.destination_end
    ADD CONSTRAINT destination_end_destination_id_fkey FOREIGN KEY (destination_id) REFERENCES payouts.destination(id);

ALTER TABLE ONLY payouts.destination
    ADD CONSTRAINT destination_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY payouts.event
    ADD CONSTRAINT event_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES payouts.batch(id);

ALTER TABLE ONLY payouts.event
    ADD CONSTRAINT event_instruction_id_fkey FOREIGN KEY (instruction_id) REFERENCES payouts.instruction(id);

ALTER TABLE ONLY payouts.event
    ADD CONSTRAINT event_report_id_fkey FOREIGN KEY (report_id) REFERENCES payouts.report(id);

ALTER TABLE ONLY payouts.file
    ADD CONSTRAINT file_batch_id_decision_kind_fkey FOREIGN KEY (batch_id, decision_kind) REFERENCES payouts.decision(batch_id, kind);

ALTER TABLE ONLY payouts.instruction
    ADD CONSTRAINT instruction_currency_fkey FOREIGN KEY (currency) REFERENCES payouts.channel(currency);

ALTER TABLE ONLY payouts.instruction
    ADD CONSTRAINT instruction_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY payouts.instruction
    ADD CONSTRAINT instruction_source_fkey FOREIGN KEY (source) REFERENCES ledger.account(id);

ALTER TABLE ONLY payouts.item
    ADD CONSTRAINT item_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES payouts.batch(id);

ALTER TABLE ONLY payouts.item
    ADD CONSTRAINT item_destination_id_fkey FOREIGN KEY (destination_id) REFERENCES payouts.destination(id);

ALTER TABLE ONLY payouts.item
    ADD CONSTRAINT item_instruction_id_currency_amount_fkey FOREIGN KEY (instruction_id, currency, amount) REFERENCES payouts.instruction(id, currency, amount);

ALTER TABLE ONLY payouts.item
    ADD CONSTRAINT item_instruction_id_event_number_batch_id_fkey FOREIGN KEY (instruction_id, event_number, batch_id) REFERENCES payouts.event(instruction_id, number, batch_id);

ALTER TABLE ONLY payouts.report
    ADD CONSTRAINT report_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES payouts.batch(id);

ALTER TABLE ONLY payouts.report
    ADD CONSTRAINT report_taken_by_fkey FOREIGN KEY (taken_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY payouts.state
    ADD CONSTRAINT state_instruction_id_fkey FOREIGN KEY (instruction_id) REFERENCES payouts.instruction(id);

ALTER TABLE ONLY questions.answer
    ADD CONSTRAINT answer_answered_by_fkey FOREIGN KEY (answered_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY questions.answer
    ADD CONSTRAINT answer_question_id_fkey FOREIGN KEY (question_id) REFERENCES questions.question(id);

ALTER TABLE ONLY questions.name_release
    ADD CONSTRAINT name_release_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY questions.name_release
    ADD CONSTRAINT name_release_question_id_fkey FOREIGN KEY (question_id) REFERENCES questions.answer(question_id);

ALTER TABLE ONLY questions.name_release
    ADD CONSTRAINT name_release_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY questions.question
    ADD CONSTRAINT question_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.attribute
    ADD CONSTRAINT attribute_derived_from_base_is_held_fkey FOREIGN KEY (derived_from, base_is_held) REFERENCES register.attribute(id, is_held);

ALTER TABLE ONLY register.correction_answer
    ADD CONSTRAINT correction_answer_answered_by_fkey FOREIGN KEY (answered_by) REFERENCES identity.staff(id);

ALTER TABLE ONLY register.correction_answer
    ADD CONSTRAINT correction_answer_request_id_fkey FOREIGN KEY (request_id) REFERENCES register.correction_request(id);

ALTER TABLE ONLY register.correction_request
    ADD CONSTRAINT correction_request_attribute_fkey FOREIGN KEY (attribute) REFERENCES register.attribute(id);

ALTER TABLE ONLY register.correction_request
    ADD CONSTRAINT correction_request_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.data_key
    ADD CONSTRAINT data_key_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.erasure
    ADD CONSTRAINT erasure_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.guardianship
    ADD CONSTRAINT guardianship_child_id_fkey FOREIGN KEY (child_id) REFERENCES register.minor(resident_id);

ALTER TABLE ONLY register.guardianship
    ADD CONSTRAINT guardianship_guardian_id_fkey FOREIGN KEY (guardian_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.import_record
    ADD CONSTRAINT import_record_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.lookup
    ADD CONSTRAINT lookup_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.minor
    ADD CONSTRAINT minor_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY register.resident
    ADD CONSTRAINT resident_superseded_by_fkey FOREIGN KEY (superseded_by) REFERENCES register.resident(id);

ALTER TABLE ONLY register.sealed_attribute
    ADD CONSTRAINT sealed_attribute_attribute_attribute_is_held_fkey FOREIGN KEY (attribute, attribute_is_held) REFERENCES register.attribute(id, is_held);

ALTER TABLE ONLY register.sealed_attribute
    ADD CONSTRAINT sealed_attribute_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES register.resident(id);

ALTER TABLE ONLY web.credential
    ADD CONSTRAINT credential_account_id_fkey FOREIGN KEY (account_id) REFERENCES identity.account(id);

ALTER TABLE ONLY web.credential
    ADD CONSTRAINT credential_authorization_code_hash_fkey FOREIGN KEY (authorization_code_hash) REFERENCES openid.authorization_code(hash) ON DELETE SET NULL;

ALTER TABLE ONLY web.credential
    ADD CONSTRAINT credential_client_id_fkey FOREIGN KEY (client_id) REFERENCES openid.client(id);

ALTER TABLE ONLY web.credential
    ADD CONSTRAINT credential_organisation_id_fkey FOREIGN KEY (organisation_id) REFERENCES consent.organisation(id);

ALTER TABLE ONLY web.credential
    ADD CONSTRAINT credential_sign_in_id_fkey FOREIGN KEY (sign_in_id) REFERENCES openid.sign_in(id);

ALTER TABLE ONLY web.credential
    ADD CONSTRAINT credential_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES identity.staff(id);

ALTER TABLE ONLY witness.cosigned_head
    ADD CONSTRAINT cosigned_head_witness_origin_previous_size_fkey FOREIGN KEY (witness, origin, previous_size) REFERENCES witness.cosigned_head(witness, origin, tree_size);

GRANT USAGE ON SCHEMA access_log TO stoa_app;
GRANT USAGE ON SCHEMA access_log TO stoa_auditor;
GRANT USAGE ON SCHEMA access_log TO stoa_door;

GRANT USAGE ON SCHEMA benefits TO stoa_app;
GRANT USAGE ON SCHEMA benefits TO stoa_auditor;
GRANT USAGE ON SCHEMA benefits TO stoa_door;

GRANT USAGE ON SCHEMA casework TO stoa_app;
GRANT USAGE ON SCHEMA casework TO stoa_door;

GRANT USAGE ON SCHEMA catalogue TO stoa_app;
GRANT USAGE ON SCHEMA catalogue TO stoa_auditor;
GRANT USAGE ON SCHEMA catalogue TO stoa_door;

GRANT USAGE ON SCHEMA consent TO stoa_app;
GRANT USAGE ON SCHEMA consent TO stoa_auditor;
GRANT USAGE ON SCHEMA consent TO stoa_door;

GRANT USAGE ON SCHEMA delivery TO stoa_app;
GRANT USAGE ON SCHEMA delivery TO stoa_door;

GRANT USAGE ON SCHEMA disputes TO stoa_app;
GRANT USAGE ON SCHEMA disputes TO stoa_auditor;
GRANT USAGE ON SCHEMA disputes TO stoa_door;

GRANT USAGE ON SCHEMA exchange TO stoa_app;
GRANT USAGE ON SCHEMA exchange TO stoa_door;
GRANT USAGE ON SCHEMA exchange TO stoa_auditor;

GRANT USAGE ON SCHEMA identity TO stoa_app;
GRANT USAGE ON SCHEMA identity TO stoa_door;

GRANT USAGE ON SCHEMA ledger TO stoa_app;
GRANT USAGE ON SCHEMA ledger TO stoa_auditor;
GRANT USAGE ON SCHEMA ledger TO stoa_door;

GRANT USAGE ON SCHEMA mandates TO stoa_app;
GRANT USAGE ON SCHEMA mandates TO stoa_door;

GRANT USAGE ON SCHEMA messages TO stoa_app;
GRANT USAGE ON SCHEMA messages TO stoa_door;

GRANT USAGE ON SCHEMA openid TO stoa_app;
GRANT USAGE ON SCHEMA openid TO stoa_door;

GRANT USAGE ON SCHEMA payments TO stoa_app;
GRANT USAGE ON SCHEMA payments TO stoa_auditor;
GRANT USAGE ON SCHEMA payments TO stoa_door;

GRANT USAGE ON SCHEMA payouts TO stoa_app;
GRANT USAGE ON SCHEMA payouts TO stoa_auditor;
GRANT USAGE ON SCHEMA payouts TO stoa_door;

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO stoa_app;
GRANT USAGE ON SCHEMA public TO stoa_auditor;
GRANT USAGE ON SCHEMA public TO stoa_door;

GRANT USAGE ON SCHEMA questions TO stoa_app;
GRANT USAGE ON SCHEMA questions TO stoa_door;

GRANT USAGE ON SCHEMA register TO stoa_app;
GRANT USAGE ON SCHEMA register TO stoa_door;

GRANT USAGE ON SCHEMA web TO stoa_app;
GRANT USAGE ON SCHEMA web TO stoa_door;

GRANT USAGE ON SCHEMA witness TO stoa_app;
GRANT USAGE ON SCHEMA witness TO stoa_auditor;

REVOKE ALL ON FUNCTION access_log.leaf_label(kind text) FROM PUBLIC;

REVOKE ALL ON FUNCTION casework.working_days_after(start timestamp with time zone, days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.working_days_after(start timestamp with time zone, days integer) TO stoa_door;

REVOKE ALL ON FUNCTION public.stoa_now() FROM PUBLIC;
GRANT ALL ON FUNCTION public.stoa_now() TO stoa_app;
GRANT ALL ON FUNCTION public.stoa_now() TO stoa_auditor;
GRANT ALL ON FUNCTION public.stoa_now() TO stoa_door;

GRANT SELECT ON TABLE access_log.entry TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.entry TO stoa_door;

GRANT SELECT ON TABLE access_log.leaf TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.leaf TO stoa_door;

GRANT SELECT,INSERT ON TABLE casework.break_glass TO stoa_door;

GRANT SELECT,INSERT ON TABLE casework.break_glass_review TO stoa_door;

GRANT SELECT,INSERT ON TABLE casework.paper_submission TO stoa_door;

GRANT SELECT,INSERT ON TABLE consent.event TO stoa_door;

GRANT SELECT ON TABLE consent.organisation TO stoa_app;
GRANT SELECT ON TABLE consent.organisation TO stoa_auditor;
GRANT SELECT ON TABLE consent.organisation TO stoa_door;

GRANT SELECT ON TABLE consent.policy TO stoa_app;
GRANT SELECT ON TABLE consent.policy TO stoa_auditor;
GRANT SELECT ON TABLE consent.policy TO stoa_door;

GRANT SELECT ON TABLE consent.processing_activity TO stoa_app;
GRANT SELECT ON TABLE consent.processing_activity TO stoa_auditor;
GRANT SELECT ON TABLE consent.processing_activity TO stoa_door;

GRANT SELECT,INSERT ON TABLE identity.staff TO stoa_door;

GRANT UPDATE(password_hash) ON TABLE identity.staff TO stoa_door;

GRANT UPDATE(language) ON TABLE identity.staff TO stoa_door;

GRANT SELECT,INSERT ON TABLE questions.answer TO stoa_door;

GRANT SELECT,INSERT ON TABLE questions.name_release TO stoa_door;

GRANT SELECT,INSERT ON TABLE questions.question TO stoa_door;

REVOKE ALL ON FUNCTION access_log.anomaly_entries(credential bytea, view_entries uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.anomaly_entries(credential bytea, view_entries uuid[]) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.anomaly_subjects(credential bytea, wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.anomaly_subjects(credential bytea, wanted text) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.authorise(entry_ids uuid[], credentials bytea[], operations text[], subject_kinds text[], subject_keys text[], attribute_lists text[], purposes text[], case_references text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.authorise(entry_ids uuid[], credentials bytea[], operations text[], subject_kinds text[], subject_keys text[], attribute_lists text[], purposes text[], case_references text[]) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.canonical(e access_log.entry, subject_number bigint, previous_commitment bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.check_checkpoint_size() FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.check_erasure() FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.check_finding() FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.check_moment() FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.close_anomaly(credential bytea, wanted text, finding text, note text) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.close_anomaly(credential bytea, wanted text, finding text, note text) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.end_halt(authority text) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.entries_about(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer, with_own boolean, organisation text, purpose text, outcome text, entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.entries_about(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer, with_own boolean, organisation text, purpose text, outcome text, entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.entries_under_glass(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.entries_under_glass(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.erase_entry(entry_id uuid, authority text) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.field(number_and_tag bytea, payload bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.field(number_and_tag bytea, payload text) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.find_anomalies(zone text, opens_hour integer, closes_hour integer, people_per_hour_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.find_anomalies(zone text, opens_hour integer, closes_hour integer, people_per_hour_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.given_to(credential bytea, organisation text) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.given_to(credential bytea, organisation text) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.has_looked(auditor uuid, subjects uuid[], reason text, reference text) FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE benefits.decision TO stoa_door;
GRANT SELECT ON TABLE benefits.decision TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE benefits.disbursement TO stoa_door;
GRANT SELECT ON TABLE benefits.disbursement TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE disputes.decision TO stoa_door;

GRANT SELECT,INSERT ON TABLE disputes.dispute TO stoa_door;

GRANT SELECT,INSERT ON TABLE register.correction_answer TO stoa_door;

GRANT SELECT,INSERT ON TABLE register.correction_request TO stoa_door;

GRANT SELECT ON TABLE access_log.decision TO stoa_auditor;

REVOKE ALL ON FUNCTION access_log.hash_of(d access_log.decision) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.kept_since() FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.kept_since() TO stoa_app;

REVOKE ALL ON FUNCTION access_log.leaves(from_index bigint, end_index bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.leaves(from_index bigint, end_index bigint) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.log_guardian_view(credential bytea, entry_id uuid, child uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.log_guardian_view(credential bytea, entry_id uuid, child uuid) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.longest_wait_seconds() FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.longest_wait_seconds() TO stoa_app;

REVOKE ALL ON FUNCTION access_log.look_of_staff(credential bytea, entry uuid, role text, operation text, age_max interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.open_anomalies(credential bytea, wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.open_anomalies(credential bytea, wanted text) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.organisations_about(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.organisations_about(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.own_entry(credential bytea, entry_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.own_entry(credential bytea, entry_id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.questioned_entry(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.questioned_entry(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.queue_decision() FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.queue_leaf(kind text, source_id uuid, content_hash bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.refuse_while_halted() FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.release(entry_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.release(entry_ids uuid[]) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.role_of(staff_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.sequence(entries_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.sequence(entries_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.stop(witness text, witness_size bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.stop(witness text, witness_size bigint) TO stoa_app;

REVOKE ALL ON FUNCTION access_log.store_tiles() FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.tile_root(hashes bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION access_log.usages_under(credential bytea, view_entry uuid, period_start timestamp with time zone, period_end timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION access_log.usages_under(credential bytea, view_entry uuid, period_start timestamp with time zone, period_end timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION benefits.approve(credential bytea, disbursement uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT case_reference text, OUT language text) FROM PUBLIC;
GRANT ALL ON FUNCTION benefits.approve(credential bytea, disbursement uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT case_reference text, OUT language text) TO stoa_app;

REVOKE ALL ON FUNCTION benefits.disbursements_for(credential bytea, disbursement uuid, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION benefits.disbursements_for(credential bytea, disbursement uuid, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION benefits.prepare(credential bytea, disbursement uuid, access_entry uuid, programme text, amount bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION benefits.prepare(credential bytea, disbursement uuid, access_entry uuid, programme text, amount bigint, reason text) TO stoa_app;

REVOKE ALL ON FUNCTION benefits.received_by(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION benefits.received_by(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION benefits.refuse(credential bytea, disbursement uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION benefits.refuse(credential bytea, disbursement uuid, reason text) TO stoa_app;

REVOKE ALL ON FUNCTION benefits.waiting_for(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION benefits.waiting_for(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION casework.break_glass_under(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.break_glass_under(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION casework.break_the_glass(credential bytea, entry uuid, opening_id uuid, reference text, sealed_reason bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.break_the_glass(credential bytea, entry uuid, opening_id uuid, reference text, sealed_reason bytea) TO stoa_app;

REVOKE ALL ON FUNCTION casework.check_review() FROM PUBLIC;

REVOKE ALL ON FUNCTION casework.key_paper_consent(credential bytea, opening_id uuid, entry uuid, submission_id uuid, form_reference text, activity uuid, kind text, attributes text[], helper_name text, signature_method text, witness_name text, was_read_back boolean, signed_on date) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.key_paper_consent(credential bytea, opening_id uuid, entry uuid, submission_id uuid, form_reference text, activity uuid, kind text, attributes text[], helper_name text, signature_method text, witness_name text, was_read_back boolean, signed_on date) TO stoa_app;

REVOKE ALL ON FUNCTION casework.open_record(credential bytea, opening_id uuid, search_entry_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.open_record(credential bytea, opening_id uuid, search_entry_id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION casework.opening_of(credential bytea, opening_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.opening_of(credential bytea, opening_id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION casework.own_break_glass(credential bytea, entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.own_break_glass(credential bytea, entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION casework.paper_submissions_of(credential bytea, opening_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.paper_submissions_of(credential bytea, opening_id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION casework.print_form(credential bytea, reference text, activity uuid, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.print_form(credential bytea, reference text, activity uuid, language text) TO stoa_app;

REVOKE ALL ON FUNCTION casework.printed_form_of(credential bytea, reference text) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.printed_form_of(credential bytea, reference text) TO stoa_app;

REVOKE ALL ON FUNCTION casework.protect(credential bytea, view_entry uuid, is_protected boolean, sealed_reason bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.protect(credential bytea, view_entry uuid, is_protected boolean, sealed_reason bytea) TO stoa_app;

REVOKE ALL ON FUNCTION casework.prove_identity(credential bytea, opening_id uuid, evidence_id uuid, account_code text, evidence_kind text, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.prove_identity(credential bytea, opening_id uuid, evidence_id uuid, account_code text, evidence_kind text, language text) TO stoa_app;

REVOKE ALL ON FUNCTION casework.review_break_glass(credential bytea, glass uuid, finding text, sealed_words bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.review_break_glass(credential bytea, glass uuid, finding text, sealed_words bytea) TO stoa_app;

REVOKE ALL ON FUNCTION casework.tell_of_break_glass() FROM PUBLIC;

REVOKE ALL ON FUNCTION casework.tell_of_protection() FROM PUBLIC;

REVOKE ALL ON FUNCTION casework.tell_of_review() FROM PUBLIC;

REVOKE ALL ON FUNCTION casework.unreviewed(credential bytea, wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION casework.unreviewed(credential bytea, wanted text) TO stoa_app;

REVOKE ALL ON FUNCTION catalogue.count_min() FROM PUBLIC;
GRANT ALL ON FUNCTION catalogue.count_min() TO stoa_app;

REVOKE ALL ON FUNCTION catalogue.describe(credential bytea, kind text, subject text, read_version integer, owner_id text, steward text, classification text, schema text, retention text) FROM PUBLIC;
GRANT ALL ON FUNCTION catalogue.describe(credential bytea, kind text, subject text, read_version integer, owner_id text, steward text, classification text, schema text, retention text) TO stoa_app;

REVOKE ALL ON FUNCTION catalogue.history_of(credential bytea, kind text, subject text) FROM PUBLIC;
GRANT ALL ON FUNCTION catalogue.history_of(credential bytea, kind text, subject text) TO stoa_app;

REVOKE ALL ON FUNCTION consent.answer(credential bytea, event_id uuid, request uuid, kind text, attributes text[], policy_version integer, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.answer(credential bytea, event_id uuid, request uuid, kind text, attributes text[], policy_version integer, language text) TO stoa_app;

REVOKE ALL ON FUNCTION consent.append(event_id uuid, resident uuid, activity uuid, kind text, attributes text[], policy_version integer, account uuid, staff uuid, client text, capacity text, method text, language text, form_reference text) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.ask(credential bytea, request_id uuid, subject uuid, purpose text, attributes text[], message text, message_language text, idempotency_key text, request_hash bytea, OUT outcome text, OUT request uuid, OUT offered text[], OUT not_before timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.ask(credential bytea, request_id uuid, subject uuid, purpose text, attributes text[], message text, message_language text, idempotency_key text, request_hash bytea, OUT outcome text, OUT request uuid, OUT offered text[], OUT not_before timestamp with time zone) TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE web.credential TO stoa_door;

REVOKE ALL ON FUNCTION web.is_live(c web.credential) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.asker(credential bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.canonical(e consent.event) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.chain_event() FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.check_policy_attributes() FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.decide(credential bytea, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.decide(credential bytea, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) TO stoa_app;

REVOKE ALL ON FUNCTION consent.decide_for_child(credential bytea, child uuid, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.decide_for_child(credential bytea, child uuid, event_id uuid, activity uuid, kind text, attributes text[], policy_version integer, language text) TO stoa_app;

GRANT SELECT,INSERT,UPDATE ON TABLE identity.account TO stoa_door;

GRANT UPDATE(resident_id) ON TABLE identity.account TO stoa_door;

REVOKE ALL ON FUNCTION consent.decider(credential bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.deferral() FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.family_verdict(child uuid, activity uuid, kind text, attributes text[], policy_version integer, account uuid, capacity text, moment timestamp with time zone, OUT verdict text, OUT ends_by timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.hash_of(e consent.event) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.history_of(credential bytea, activity uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.history_of(credential bytea, activity uuid) TO stoa_app;

REVOKE ALL ON FUNCTION consent.leaf_of(credential bytea, event uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.leaf_of(credential bytea, event uuid) TO stoa_app;

REVOKE ALL ON FUNCTION consent.lock_open_request(request uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.notices_about(credential bytea, activity uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.notices_about(credential bytea, activity uuid) TO stoa_app;

REVOKE ALL ON FUNCTION consent.state_at(state text, valid_until timestamp with time zone, moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.outcome_of(request uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.queue_leaf() FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.quiet_period() FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.receipt_of(credential bytea, activity uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.receipt_of(credential bytea, activity uuid) TO stoa_app;

REVOKE ALL ON FUNCTION consent.record_expiries(events_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.record_expiries(events_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION consent.refuse_all(credential bytea, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.refuse_all(credential bytea, language text) TO stoa_app;

REVOKE ALL ON FUNCTION consent.request_lifetime() FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.request_of_organisation(credential bytea, request uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.request_of_organisation(credential bytea, request uuid) TO stoa_app;

REVOKE ALL ON FUNCTION consent.requests_of(credential bytea, request uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.requests_of(credential bytea, request uuid) TO stoa_app;

REVOKE ALL ON FUNCTION consent.retract(credential bytea, event_id uuid, request uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.retract(credential bytea, event_id uuid, request uuid) TO stoa_app;

GRANT SELECT,INSERT,UPDATE ON TABLE consent.state TO stoa_door;

REVOKE ALL ON FUNCTION consent.shown_attributes(stored consent.state, state_now text) FROM PUBLIC;

REVOKE ALL ON FUNCTION consent.states_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.states_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION consent.states_of_child(credential bytea, child uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.states_of_child(credential bytea, child uuid) TO stoa_app;

REVOKE ALL ON FUNCTION consent.verify_chains() FROM PUBLIC;
GRANT ALL ON FUNCTION consent.verify_chains() TO stoa_auditor;

REVOKE ALL ON FUNCTION consent.way_to_agree(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.way_to_agree(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION consent.withdraw_all(credential bytea, organisation text, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION consent.withdraw_all(credential bytea, organisation text, language text) TO stoa_app;

REVOKE ALL ON FUNCTION delivery.announce(resident uuid, theme text) FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.announce_bill() FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.announce_message() FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.announce_sharing() FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.attempts_max() FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.choose(credential bytea, themes text[], channels text[], wants_letter boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.choose(credential bytea, themes text[], channels text[], wants_letter boolean) TO stoa_app;

REVOKE ALL ON FUNCTION delivery.fall_back() FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.give_up(outgoing uuid, outcome text) FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.note(outgoing uuid, attempt smallint, result text, outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.note(outgoing uuid, attempt smallint, result text, outcome text) TO stoa_app;

REVOKE ALL ON FUNCTION delivery.own_preferences(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.own_preferences(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION delivery.post_letter(credential bytea, letter uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.post_letter(credential bytea, letter uuid) TO stoa_app;

REVOKE ALL ON FUNCTION delivery.print_letter(credential bytea, letter uuid, entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.print_letter(credential bytea, letter uuid, entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION delivery.put(outgoing uuid, resident uuid, channel text, template text, language text, sealed_recipient bytea, sealed_parameters bytea, expires_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.put_news_letter(account uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.remove_done() FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.remove_done() TO stoa_app;

REVOKE ALL ON FUNCTION delivery.retry_delay(attempt integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.take(messages_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.take(messages_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION delivery.theme_of(message_kind text) FROM PUBLIC;

REVOKE ALL ON FUNCTION delivery.waiting_letters(credential bytea, letter uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION delivery.waiting_letters(credential bytea, letter uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.add(message uuid, dispute uuid, author uuid, sealed_words bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION disputes.approve_refund(credential bytea, decision uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.approve_refund(credential bytea, decision uuid, transfer uuid, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.check_decision() FROM PUBLIC;

REVOKE ALL ON FUNCTION disputes.count_min() FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.count_min() TO stoa_app;

REVOKE ALL ON FUNCTION disputes.decide(credential bytea, dispute uuid, decision uuid, finding text, refund bigint, sealed_words bytea, grounds text, OUT outcome text, OUT resident uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.decide(credential bytea, dispute uuid, decision uuid, finding text, refund bigint, sealed_words bytea, grounds text, OUT outcome text, OUT resident uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.escalate(disputes_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.escalate(disputes_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.escalated(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.escalated(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.figures() FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.figures() TO stoa_app;

REVOKE ALL ON FUNCTION disputes.handler(credential bytea, dispute uuid, OUT staff_id uuid, OUT resident uuid, OUT reference text) FROM PUBLIC;

REVOKE ALL ON FUNCTION disputes.open(credential bytea, id uuid, reference text, about_kind text, about_id uuid, category text, message uuid, sealed_words bytea, OUT outcome text, OUT dispute uuid, OUT resident uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.open(credential bytea, id uuid, reference text, about_kind text, about_id uuid, category text, message uuid, sealed_words bytea, OUT outcome text, OUT dispute uuid, OUT resident uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.own(credential bytea, wanted uuid, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.own(credential bytea, wanted uuid, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.own_thing(credential bytea, kind text, id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.own_thing(credential bytea, kind text, id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.own_words(credential bytea, dispute uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.own_words(credential bytea, dispute uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.refunds_waiting(credential bytea, wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.refunds_waiting(credential bytea, wanted text) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.refuse_refund(credential bytea, decision uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.refuse_refund(credential bytea, decision uuid, reason text) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.refused_refunds(credential bytea, dispute uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.refused_refunds(credential bytea, dispute uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.reply(credential bytea, dispute uuid, message uuid, sealed_words bytea, OUT outcome text, OUT resident uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.reply(credential bytea, dispute uuid, message uuid, sealed_words bytea, OUT outcome text, OUT resident uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.thing(resident uuid, kind text, id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION disputes.under(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.under(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.waiting(credential bytea, wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.waiting(credential bytea, wanted text) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.words(dispute uuid, with_untold boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION disputes.words_under(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.words_under(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION disputes.write(credential bytea, dispute uuid, message uuid, sealed_words bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION disputes.write(credential bytea, dispute uuid, message uuid, sealed_words bytea) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.acknowledge(credential bytea, notice uuid, done text, law text) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.acknowledge(credential bytea, notice uuid, done text, law text) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.attempts_max() FROM PUBLIC;

REVOKE ALL ON FUNCTION exchange.keep_proof(credential bytea, entry uuid, request_sha256 bytea, request_input text, request_signature bytea, status smallint, answer_sha256 bytea, answer_input text, answer_signature text) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.keep_proof(credential bytea, entry uuid, request_sha256 bytea, request_input text, request_signature bytea, status smallint, answer_sha256 bytea, answer_input text, answer_signature text) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.note_delivery(notice uuid, attempt smallint, delivered boolean, outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.note_delivery(notice uuid, attempt smallint, delivered boolean, outcome text) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.notice_period() FROM PUBLIC;

REVOKE ALL ON FUNCTION exchange.notices_of(credential bytea, after_number bigint, notice uuid, notices_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.notices_of(credential bytea, after_number bigint, notice uuid, notices_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.notify_recipient() FROM PUBLIC;

REVOKE ALL ON FUNCTION exchange.number_notices(organisation text) FROM PUBLIC;

REVOKE ALL ON FUNCTION exchange.numbers_per_call() FROM PUBLIC;

REVOKE ALL ON FUNCTION exchange.recipients(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.recipients(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.remove_past_nonces() FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.remove_past_nonces() TO stoa_app;

REVOKE ALL ON FUNCTION exchange.remove_past_volume() FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.remove_past_volume() TO stoa_app;

REVOKE ALL ON FUNCTION exchange.retry_delay(attempt integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION exchange.set_webhook(organisation text, url text) FROM PUBLIC;

REVOKE ALL ON FUNCTION exchange.take_deliveries(deliveries_max integer, share_max integer, busy text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.take_deliveries(deliveries_max integer, share_max integer, busy text[]) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.use_nonce(credential bytea, nonce_sha256 bytea, ends_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.use_nonce(credential bytea, nonce_sha256 bytea, ends_at timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION exchange.volume_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION exchange.volume_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.account_of(credential bytea) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE ON TABLE identity.sign_in_name TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE register.resident TO stoa_door;

REVOKE ALL ON FUNCTION identity.account_with_letters(name_hmac bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.add_address(credential bytea, address uuid, kind text, hmac bytea, holder uuid, sealed_value bytea, code_hmac bytea, outgoing uuid, sealed_code bytea, language text, OUT outcome text, OUT address_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.add_address(credential bytea, address uuid, kind text, hmac bytea, holder uuid, sealed_value bytea, code_hmac bytea, outgoing uuid, sealed_code bytea, language text, OUT outcome text, OUT address_id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION identity.add_passkey(credential bytea, challenge_hash bytea, factor_id uuid, credential_id bytea, public_key bytea, sign_count bigint, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.add_passkey(credential bytea, challenge_hash bytea, factor_id uuid, credential_id bytea, public_key bytea, sign_count bigint, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.address_code_life() FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.address_codes_per_hour() FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.addresses_max() FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.begin_factor_attempt(credential bytea, kind text, address_hmac bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_factor_attempt(credential bytea, kind text, address_hmac bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_letter_code(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_letter_code(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_new_passkey(credential bytea, challenge_hash bytea, OUT outcome text, OUT owner bytea, OUT ids bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_new_passkey(credential bytea, challenge_hash bytea, OUT outcome text, OUT owner bytea, OUT ids bytea[]) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_passkey(challenge_hash bytea, credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_passkey(challenge_hash bytea, credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_password_check(credential bytea, address_hmac bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_password_check(credential bytea, address_hmac bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_recovery(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_recovery(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT salt bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_recovery_letter(name_hmac bytea, address_hmac bytea, OUT is_counted boolean, OUT holder_id uuid, OUT key_id text, OUT wrapped_key bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_recovery_letter(name_hmac bytea, address_hmac bytea, OUT is_counted boolean, OUT holder_id uuid, OUT key_id text, OUT wrapped_key bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_registration(address_hmac bytea, attempts_max integer, window_minutes integer) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_registration(address_hmac bytea, attempts_max integer, window_minutes integer) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_sign_in(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT password_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_sign_in(name_hmac bytea, address_hmac bytea, OUT outcome text, OUT wait_minutes integer, OUT password_hash text) TO stoa_app;

REVOKE ALL ON FUNCTION identity.begin_totp(credential bytea, factor_id uuid, sealed_secret bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.begin_totp(credential bytea, factor_id uuid, sealed_secret bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.cancel_letter(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.cancel_letter(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.change_password(credential bytea, old_password_hash text, new_password_hash text, address_hmac bytea, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.change_password(credential bytea, old_password_hash text, new_password_hash text, address_hmac bytea, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.confirm_password(credential bytea, password_hash text, address_hmac bytea, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.confirm_password(credential bytea, password_hash text, address_hmac bytea, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.confirm_totp(credential bytea, factor_id uuid, step bigint, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.confirm_totp(credential bytea, factor_id uuid, step bigint, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.count_attempt(subject bytea, factor text, address_hmac bytea, OUT outcome text, OUT wait_minutes integer) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.factor TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.factor_code TO stoa_door;

REVOKE ALL ON FUNCTION identity.end_factor(factor_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.end_sessions(account_id uuid, staff_id uuid, kept bytea) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.sign_in TO stoa_door;

REVOKE ALL ON FUNCTION identity.holder(credential bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.end_other_sessions(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.end_other_sessions(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.end_session(credential bytea, id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.end_session(credential bytea, id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION identity.second_factors(account_id uuid, staff_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.factor_change_needs(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.factor_change_needs(credential bytea) TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.factor_failures TO stoa_door;

REVOKE ALL ON FUNCTION identity.factors_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.factors_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.find_passkey(credential_id bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.find_passkey(credential_id bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.forgive(subject bytea, factor text, address_hmac bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.keep_contact(account uuid, kind text) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.letter_code_life() FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.letter_code_rest() FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.letter_pause() FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.letter_requests_max() FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.lock_factors(account_id uuid, staff_id uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.make_codes(credential bytea, factor_id uuid, kind text, salt bytea, hashes bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.make_codes(credential bytea, factor_id uuid, kind text, salt bytea, hashes bytea[]) TO stoa_app;

REVOKE ALL ON FUNCTION identity.open_first_session(account_id uuid, password_hash text, token_hash bytea, is_shared boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.open_first_session(account_id uuid, password_hash text, token_hash bytea, is_shared boolean) TO stoa_app;

REVOKE ALL ON FUNCTION identity.open_session(token_hash bytea, account_id uuid, staff_id uuid, first_factor text, authenticated_at timestamp with time zone, second_factor text, is_shared boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.own_addresses(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.own_addresses(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.own_key(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.own_key(credential bytea) TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.letter_code TO stoa_door;

REVOKE ALL ON FUNCTION identity.pending_letter(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.pending_letter(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.pending_totp(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.pending_totp(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.prefer_address(credential bytea, address uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.prefer_address(credential bytea, address uuid) TO stoa_app;

REVOKE ALL ON FUNCTION identity.raise_assurance(credential bytea, second_factor text, new_hash bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.recover(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.recover(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.recover_by_letter(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.recover_by_letter(name_hmac bytea, code_hash bytea, address_hmac bytea, token_hash bytea) TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE register.data_key TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE register.sealed_attribute TO stoa_door;

REVOKE ALL ON FUNCTION identity.register_account(account_id uuid, resident_id uuid, public_code text, password_hash text, language text, name_kinds text[], name_hmacs bytea[], key_id text, wrapped_key bytea, attributes text[], sealed_values bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.register_account(account_id uuid, resident_id uuid, public_code text, password_hash text, language text, name_kinds text[], name_hmacs bytea[], key_id text, wrapped_key bytea, attributes text[], sealed_values bytea[]) TO stoa_app;

REVOKE ALL ON FUNCTION identity.remove_address(credential bytea, address uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.remove_address(credential bytea, address uuid) TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.address_failures TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.registration_attempt TO stoa_door;

REVOKE ALL ON FUNCTION identity.remove_ended() FROM PUBLIC;
GRANT ALL ON FUNCTION identity.remove_ended() TO stoa_app;

REVOKE ALL ON FUNCTION identity.remove_factor(credential bytea, factor_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.remove_factor(credential bytea, factor_id uuid) TO stoa_app;

GRANT SELECT,INSERT,DELETE ON TABLE identity.passkey_challenge TO stoa_door;

REVOKE ALL ON FUNCTION identity.remove_old_challenges() FROM PUBLIC;
GRANT ALL ON FUNCTION identity.remove_old_challenges() TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.letter_request TO stoa_door;

REVOKE ALL ON FUNCTION identity.remove_old_letters() FROM PUBLIC;
GRANT ALL ON FUNCTION identity.remove_old_letters() TO stoa_app;

REVOKE ALL ON FUNCTION identity.remove_unproven() FROM PUBLIC;
GRANT ALL ON FUNCTION identity.remove_unproven() TO stoa_app;

REVOKE ALL ON FUNCTION identity.replace_password(credential bytea, new_password_hash text, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.replace_password(credential bytea, new_password_hash text, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.send_recovery_letter(name_hmac bytea, letter uuid, salt bytea, code_hash bytea, sealed_parameters bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.send_recovery_letter(name_hmac bytea, letter uuid, salt bytea, code_hash bytea, sealed_parameters bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.sessions_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.sessions_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.sign_in(name_hmac bytea, password_hash text, address_hmac bytea, token_hash bytea, is_shared boolean, staff_need_second_factor boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.sign_in(name_hmac bytea, password_hash text, address_hmac bytea, token_hash bytea, is_shared boolean, staff_need_second_factor boolean) TO stoa_app;

REVOKE ALL ON FUNCTION identity.sign_out(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.sign_out(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.take_challenge(challenge_hash bytea, holder bytea, is_for_new boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.tell_addresses(account uuid, template text, but_not uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.tell_of_factor(account_id uuid, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION identity.use_listed_code(credential bytea, factor_id uuid, number smallint, code_hash bytea, address_hmac bytea, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.use_listed_code(credential bytea, factor_id uuid, number smallint, code_hash bytea, address_hmac bytea, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.use_passkey(challenge_hash bytea, credential bytea, credential_id bytea, old_sign_count bigint, sign_count bigint, is_shared boolean, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.use_passkey(challenge_hash bytea, credential bytea, credential_id bytea, old_sign_count bigint, sign_count bigint, is_shared boolean, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.use_totp(credential bytea, factor_id uuid, step bigint, address_hmac bytea, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.use_totp(credential bytea, factor_id uuid, step bigint, address_hmac bytea, new_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION identity.verify_address(credential bytea, address uuid, code_hmac bytea, OUT outcome text, OUT tries_left integer) FROM PUBLIC;
GRANT ALL ON FUNCTION identity.verify_address(credential bytea, address uuid, code_hmac bytea, OUT outcome text, OUT tries_left integer) TO stoa_app;

REVOKE ALL ON FUNCTION identity.wait_minutes(failures integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.amount_max() FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.amount_max() TO stoa_app;
GRANT ALL ON FUNCTION ledger.amount_max() TO stoa_auditor;
GRANT ALL ON FUNCTION ledger.amount_max() TO stoa_door;

REVOKE ALL ON FUNCTION ledger.balance_before(account uuid, at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.check_accounts() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.check_entries() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.check_hold_entries() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.check_new_account() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.check_open_holds() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.check_transfers() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.close_period(credential bytea, until timestamp with time zone, note text) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.close_period(credential bytea, until timestamp with time zone, note text) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.closed_periods(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.closed_periods(credential bytea) TO stoa_app;

GRANT SELECT,INSERT ON TABLE ledger.period_close TO stoa_door;
GRANT SELECT ON TABLE ledger.period_close TO stoa_auditor;

REVOKE ALL ON FUNCTION ledger.closed_until() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.closing_lock() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.entries_before(account uuid, at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.entries_of(credential bytea, currency text, before_number bigint, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.entries_of(credential bytea, currency text, before_number bigint, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.expire_holds(count_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.expire_holds(count_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.follow_resident() FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.follow_up(id uuid, kind text, target uuid, amount bigint, reference text, actor_kind text, actor_id text) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE ON TABLE ledger.open_hold TO stoa_door;
GRANT SELECT ON TABLE ledger.open_hold TO stoa_auditor;

REVOKE ALL ON FUNCTION ledger.held_now(account uuid, held bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.holder(credential bytea, scopes text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.judge(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[], OUT verdicts text[], OUT fields text[], OUT leaders integer[], OUT certain boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.judge_in_order(INOUT verdicts text[], INOUT fields text[], leaders integer[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], OUT reserves bigint[], OUT stay_open boolean[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.open_account(id uuid, kind text, currency text, resident uuid, organisation text, normal_side text, may_go_negative boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.open_organisation_account(credential bytea, id uuid, currency text) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.open_organisation_account(credential bytea, id uuid, currency text) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.open_wallet(resident uuid, currency text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.organisation_account(credential bytea, id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.organisation_account(credential bytea, id uuid) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.organisation_balances(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.organisation_balances(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.organisation_entries(credential bytea, id uuid, before_number bigint, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.organisation_entries(credential bytea, id uuid, before_number bigint, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.organisation_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.organisation_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.payer(credential bytea, scopes text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.post(credentials bytea[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.post(credentials bytea[], ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[]) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.post_transfers(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], actor_kinds text[], actor_ids text[], groups integer[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.poster(credential bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.release_expired(accounts uuid[], count_max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.staff_account(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.staff_account(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.staff_accounts(credential bytea, kind text, currency text, organisation text, after_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.staff_accounts(credential bytea, kind text, currency text, organisation text, after_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.staff_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.staff_statement(credential bytea, id uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.statement_page(account uuid, from_at timestamp with time zone, to_at timestamp with time zone, after_at timestamp with time zone, after_number bigint, page_size integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.trial_balance(credential bytea, at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.trial_balance(credential bytea, at timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.wallets_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.wallets_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION ledger.write_transfers(ids uuid[], kinds text[], debit_accounts uuid[], credit_accounts uuid[], amounts bigint[], currencies text[], refs text[], effective_ats timestamp with time zone[], actor_kinds text[], actor_ids text[], hold_ids uuid[], reversal_ofs uuid[], expires_ats timestamp with time zone[], verdicts text[], leaders integer[], reserves bigint[], stay_open boolean[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION mandates.act(credential bytea, mandate uuid, own_hash bytea, acting_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.act(credential bytea, mandate uuid, own_hash bytea, acting_hash bytea) TO stoa_app;

GRANT SELECT,INSERT ON TABLE mandates.event TO stoa_door;

GRANT SELECT,INSERT ON TABLE mandates.mandate TO stoa_door;

GRANT UPDATE(id) ON TABLE mandates.mandate TO stoa_door;

REVOKE ALL ON FUNCTION mandates.state(m mandates.mandate) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE mandates.acting TO stoa_door;

REVOKE ALL ON FUNCTION mandates.acting_as(credential bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION mandates.decide(credential bytea, mandate uuid, kind text) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.decide(credential bytea, mandate uuid, kind text) TO stoa_app;

REVOKE ALL ON FUNCTION mandates.grant_mandate(credential bytea, mandate uuid, code text, themes text[], until timestamp with time zone, sealed_helper_name bytea, sealed_resident_name bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.grant_mandate(credential bytea, mandate uuid, code text, themes text[], until timestamp with time zone, sealed_helper_name bytea, sealed_resident_name bytea) TO stoa_app;

REVOKE ALL ON FUNCTION mandates.helper_behind(code text) FROM PUBLIC;

REVOKE ALL ON FUNCTION mandates.helper_key(credential bytea, code text) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.helper_key(credential bytea, code text) TO stoa_app;

REVOKE ALL ON FUNCTION mandates.log(entry_id uuid, subject uuid, account uuid, operation text, purpose text, reference text, refusal text) FROM PUBLIC;

REVOKE ALL ON FUNCTION mandates.log_view(credential bytea, entry_id uuid, theme text) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.log_view(credential bytea, entry_id uuid, theme text) TO stoa_app;

REVOKE ALL ON FUNCTION mandates.mandates_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.mandates_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION mandates.open_max() FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE access_log.own_view TO stoa_door;

REVOKE ALL ON FUNCTION mandates.person(credential bytea, theme text) FROM PUBLIC;

REVOKE ALL ON FUNCTION mandates.represented(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.represented(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION mandates.stop_acting(credential bytea, new_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION mandates.stop_acting(credential bytea, new_hash bytea) TO stoa_app;

GRANT INSERT ON TABLE messages.message TO stoa_app;
GRANT SELECT,INSERT ON TABLE messages.message TO stoa_door;

REVOKE ALL ON FUNCTION mandates.tell(resident uuid, kind text, reference text) FROM PUBLIC;

REVOKE ALL ON FUNCTION messages.messages_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION messages.messages_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION openid.add_service(id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.add_service(id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) TO stoa_owner;

REVOKE ALL ON FUNCTION openid.add_service_by_staff(credential bytea, id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.add_service_by_staff(credential bytea, id text, organisation text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], purpose text, id_token_algorithm text, profile text, resources text[], post_logout_redirect_uris text[], backchannel_logout_uri text, has_devices boolean) TO stoa_app;

REVOKE ALL ON FUNCTION openid.add_signing_key(kid text, algorithm text, public_jwk jsonb, key_id text, wrapped_private_key bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.add_signing_key(kid text, algorithm text, public_jwk jsonb, key_id text, wrapped_private_key bytea) TO stoa_app;

REVOKE ALL ON FUNCTION openid.close_service(credential bytea, id text) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.close_service(credential bytea, id text) TO stoa_app;

REVOKE ALL ON FUNCTION openid.connect(request uuid, session bytea, decision text, policy_version integer, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.connect(request uuid, session bytea, decision text, policy_version integer, language text) TO stoa_app;

REVOKE ALL ON FUNCTION openid.connections_of(session bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.connections_of(session bytea) TO stoa_app;

REVOKE ALL ON FUNCTION openid.count_device_guess(session bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.count_device_guess(session bytea) TO stoa_app;

REVOKE ALL ON FUNCTION openid.disconnect(session bytea, client_id text, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.disconnect(session bytea, client_id text, language text) TO stoa_app;

REVOKE ALL ON FUNCTION openid.due_algorithms() FROM PUBLIC;
GRANT ALL ON FUNCTION openid.due_algorithms() TO stoa_app;

REVOKE ALL ON FUNCTION openid.end_sign_in(sign_in uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.end_sign_ins_of_session() FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.introspect(token_hash bytea, asked_by text) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.introspect(token_hash bytea, asked_by text) TO stoa_app;

REVOKE ALL ON FUNCTION openid.key_lead() FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.key_period() FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.logout_attempts_max() FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.logout_retry_delay(attempt integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.note_logout(notice uuid, attempt smallint, told boolean, outcome text) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.note_logout(notice uuid, attempt smallint, told boolean, outcome text) TO stoa_app;

REVOKE ALL ON FUNCTION openid.poll_device(device_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.poll_device(device_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION openid.refresh(token_hash bytea, client_id text, scope text[], access_hash bytea, lifetime_seconds integer, successor_hash bytea, key_thumbprint text, OUT outcome text, OUT has_rotated boolean, OUT granted text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.refresh(token_hash bytea, client_id text, scope text[], access_hash bytea, lifetime_seconds integer, successor_hash bytea, key_thumbprint text, OUT outcome text, OUT has_rotated boolean, OUT granted text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION openid.refresh_grace() FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.refresh_lifetime() FROM PUBLIC;

REVOKE ALL ON FUNCTION openid.register_service(token_hash bytea, id text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], id_token_algorithm text, post_logout_redirect_uris text[], backchannel_logout_uri text) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.register_service(token_hash bytea, id text, name jsonb, redirect_uris text[], jwks jsonb, scope text[], id_token_algorithm text, post_logout_redirect_uris text[], backchannel_logout_uri text) TO stoa_app;

REVOKE ALL ON FUNCTION openid.remove_past_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION openid.remove_past_keys() TO stoa_app;

REVOKE ALL ON FUNCTION openid.remove_past_sign_ins() FROM PUBLIC;
GRANT ALL ON FUNCTION openid.remove_past_sign_ins() TO stoa_app;

REVOKE ALL ON FUNCTION openid.replace_service_keys(credential bytea, id text, jwks jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.replace_service_keys(credential bytea, id text, jwks jsonb) TO stoa_app;

REVOKE ALL ON FUNCTION openid.revoke_token(token_hash bytea, client_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.revoke_token(token_hash bytea, client_id text) TO stoa_app;

REVOKE ALL ON FUNCTION openid.services(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.services(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION openid.sign_in_of(token bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.sign_in_of(token bytea) TO stoa_app;

REVOKE ALL ON FUNCTION openid.standing(request uuid, session bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.standing(request uuid, session bytea) TO stoa_app;

REVOKE ALL ON FUNCTION openid.take_logouts(notices_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION openid.take_logouts(notices_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION openid.tell_logout(sign_in uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.remainder_97(characters text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.remainder_97(characters text) TO stoa_door;

REVOKE ALL ON FUNCTION payments.is_creditor_reference(reference text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.is_creditor_reference(reference text) TO stoa_door;

REVOKE ALL ON FUNCTION payments.next_creditor_reference() FROM PUBLIC;

GRANT SELECT,INSERT,UPDATE ON TABLE ledger.account TO stoa_door;
GRANT SELECT ON TABLE ledger.account TO stoa_auditor;

GRANT SELECT ON TABLE payments.bill TO stoa_door;
GRANT SELECT ON TABLE payments.bill TO stoa_auditor;

GRANT UPDATE(id) ON TABLE payments.bill TO stoa_door;

REVOKE ALL ON FUNCTION payments.accounts_of_allocations(allocations jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.approve_till(credential bytea, till uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.approve_till(credential bytea, till uuid) TO stoa_app;

GRANT SELECT,INSERT ON TABLE payments.bank_report TO stoa_door;
GRANT SELECT ON TABLE payments.bank_report TO stoa_auditor;

REVOKE ALL ON FUNCTION payments.are_apart(one payments.bank_report, other payments.bank_report) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.assign_item(credential bytea, item uuid, bill_reference text, receipt_code text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.assign_item(credential bytea, item uuid, bill_reference text, receipt_code text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bank_item_history_for(credential bytea, item uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bank_item_history_for(credential bytea, item uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bank_items_for(credential bytea, item uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bank_items_for(credential bytea, item uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bank_reports_for(credential bytea, report uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bank_reports_for(credential bytea, report uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bank_waiting_for(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bank_waiting_for(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bill_for(credential bytea, bill_reference text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bill_for(credential bytea, bill_reference text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bill_lines_of(credential bytea, bill uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bill_lines_of(credential bytea, bill uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bill_of(credential bytea, bill uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bill_of(credential bytea, bill uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payments.bills_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.bills_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION payments.book_report(report uuid, actor_kind text, actor_id text) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.cash_account(currency text, is_difference boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.check_bank_account() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.check_bill() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.check_item() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.check_movement() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.check_payment() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.check_till_payment() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.check_waiver() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.close_till(credential bytea, till uuid, counted bigint, explanation text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.close_till(credential bytea, till uuid, counted bigint, explanation text) TO stoa_app;

GRANT SELECT ON TABLE payments.bank_account TO stoa_door;
GRANT SELECT ON TABLE payments.bank_account TO stoa_auditor;

REVOKE ALL ON FUNCTION payments.collecting_account(currency text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.collecting_account(currency text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.decide_report(credential bytea, report uuid, decision text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.decide_report(credential bytea, report uuid, decision text, reason text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.decide_return(credential bytea, return_id uuid, decision text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.decide_return(credential bytea, return_id uuid, decision text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.decide_waiver(credential bytea, waiver uuid, decision text, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.decide_waiver(credential bytea, waiver uuid, decision text, OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.derived_id(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.follow_return_decision() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.import_bank_file(credential bytea, sha256 bytea, file jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.import_bank_file(credential bytea, sha256 bytea, file jsonb) TO stoa_app;

REVOKE ALL ON FUNCTION payments.issue_bill(id uuid, resident uuid, kind text, reference text, title jsonb, currency text, issued_on date, due_on date, pays_into uuid, line_descriptions jsonb[], line_amounts bigint[]) FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE payments.bank_allocation TO stoa_door;
GRANT SELECT ON TABLE payments.bank_allocation TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.bank_item TO stoa_door;
GRANT SELECT ON TABLE payments.bank_item TO stoa_auditor;

GRANT UPDATE(id) ON TABLE payments.bank_item TO stoa_door;

GRANT SELECT,INSERT ON TABLE payments.bank_payout TO stoa_door;
GRANT SELECT ON TABLE payments.bank_payout TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.bank_return TO stoa_door;
GRANT SELECT ON TABLE payments.bank_return TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.bank_return_decision TO stoa_door;
GRANT SELECT ON TABLE payments.bank_return_decision TO stoa_auditor;

REVOKE ALL ON FUNCTION payments.item_rest(item uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.lock_bill(bill uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.lock_item(item uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.lock_till(till uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.may_be(movement uuid, content bytea, bank_reference text, told payments.bank_report) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.move_cash(transfer uuid, debit uuid, credit uuid, amount bigint, currency text, reference text, staff uuid) FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE payments.bank_entry TO stoa_door;
GRANT SELECT ON TABLE payments.bank_entry TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.bank_movement TO stoa_door;
GRANT SELECT ON TABLE payments.bank_movement TO stoa_auditor;

REVOKE ALL ON FUNCTION payments.named_bills(movements uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.notices(allocations jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.open_bank_account(identification text, holder text, currency text, collects boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.open_till(credential bytea, till uuid, counter text, currency text, opening_float bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.open_till(credential bytea, till uuid, counter text, currency text, opening_float bigint) TO stoa_app;

GRANT SELECT,INSERT ON TABLE payments.payment TO stoa_door;
GRANT SELECT ON TABLE payments.payment TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.waiver TO stoa_door;
GRANT SELECT ON TABLE payments.waiver TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.waiver_decision TO stoa_door;
GRANT SELECT ON TABLE payments.waiver_decision TO stoa_auditor;

REVOKE ALL ON FUNCTION payments.outstanding(bill uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.pay(credential bytea, bill uuid, payment_id uuid, receipt_code text, idempotency_key text, request_hash bytea, OUT outcome text, OUT payment uuid, OUT is_new boolean, OUT resident uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.pay(credential bytea, bill uuid, payment_id uuid, receipt_code text, idempotency_key text, request_hash bytea, OUT outcome text, OUT payment uuid, OUT is_new boolean, OUT resident uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payments.payments_of(credential bytea, bill uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.payments_of(credential bytea, bill uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payments.plan_allocation(item uuid, bill uuid, amount bigint, net bigint, receipt_code text) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.post_from_suspense(currency text, ids uuid[], debits uuid[], credits uuid[], amounts bigint[], refs text[], allocations jsonb, suspense_account uuid, assigned_by uuid, actor_kind text, actor_id text) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.problems_of(kind text, report jsonb, currency text) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.propose_return(credential bytea, item uuid, return_id uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.propose_return(credential bytea, item uuid, return_id uuid, reason text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.propose_waiver(credential bytea, waiver uuid, bill uuid, amount bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.propose_waiver(credential bytea, waiver uuid, bill uuid, amount bigint, reason text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.refresh_waiting(item uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.remind(zone text, days_before integer, days_after integer, bills_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.remind(zone text, days_before integer, days_after integer, bills_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION payments.take_bank_file(sha256 bytea, file jsonb, staff uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.take_cash(credential bytea, till uuid, payment uuid, bill_reference text, amount bigint, receipt_code text) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.take_cash(credential bytea, till uuid, payment uuid, bill_reference text, amount bigint, receipt_code text) TO stoa_app;

REVOKE ALL ON FUNCTION payments.tills_for(credential bytea, till uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.tills_for(credential bytea, till uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION payments.wait_for_item() FROM PUBLIC;

REVOKE ALL ON FUNCTION payments.waivers_for(credential bytea, bill uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.waivers_for(credential bytea, bill uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION payments.waivers_of(credential bytea, bill uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payments.waivers_of(credential bytea, bill uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.accounts_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.accounts_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.apply_report(officer uuid, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text, end_to_end_ids text[], states text[], reasons text[], amounts bigint[], OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.approve(credential bytea, batch uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.approve(credential bytea, batch uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.awaits(item uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.batch_max() FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.batch_max() TO stoa_door;

REVOKE ALL ON FUNCTION payouts.batches_for(credential bytea, batch uuid, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.batches_for(credential bytea, batch uuid, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.charges_account(currency text) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.check_batch() FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.check_items() FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.check_second_issue() FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.cooling_time() FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.cooling_time() TO stoa_app;
GRANT ALL ON FUNCTION payouts.cooling_time() TO stoa_door;

REVOKE ALL ON FUNCTION payouts.count_return(credential bytea, item uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.count_return(credential bytea, item uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.destination_for(resident uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.end_account(credential bytea, destination uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.end_account(credential bytea, destination uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.ending_lock() FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.files_to_write(reference text) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.files_to_write(reference text) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.fold_events() FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.follow_bank(report uuid, movements uuid[], officer uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.give_account(credential bytea, id uuid, sealed_account bytea, OUT outcome text, OUT usable_from timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.give_account(credential bytea, id uuid, sealed_account bytea, OUT outcome text, OUT usable_from timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.has_left(instruction uuid, batch uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.instruct(id uuid, kind text, pays uuid, issue integer, resident uuid, source uuid, currency text, amount bigint, actor_kind text, actor_id text) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.is_back(state text, says_so boolean, has_left boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.is_sepa_text(t text, characters_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.is_sepa_text(t text, characters_max integer) TO stoa_door;
GRANT ALL ON FUNCTION payouts.is_sepa_text(t text, characters_max integer) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.issue_again(credential bytea, id uuid, payout uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.issue_again(credential bytea, id uuid, payout uuid) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.law() FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.law() TO stoa_door;

REVOKE ALL ON FUNCTION payouts.lock_accounts(accounts uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.lock_told(movements uuid[], accounts uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.log_reading(credential bytea, batch uuid, after_position integer, entry_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.log_reading(credential bytea, batch uuid, after_position integer, entry_ids uuid[]) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.may_follow(former text, next text) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.may_follow(former text, next text) TO stoa_door;

REVOKE ALL ON FUNCTION payouts.note_file(batch uuid, sha256 bytea, bytes bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.note_file(batch uuid, sha256 bytea, bytes bigint) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.payments_under(batch uuid, after_position integer, entry_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.payments_under(batch uuid, after_position integer, entry_ids uuid[]) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.payouts_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.payouts_of(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.plan(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.plan(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.prepare(credential bytea, batch uuid, currency text, execute_on date, OUT outcome text, OUT count integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.prepare(credential bytea, batch uuid, currency text, execute_on date, OUT outcome text, OUT count integer) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.reference_of(instruction uuid, batch uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.refuse(credential bytea, batch uuid, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.refuse(credential bytea, batch uuid, reason text) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.set_channel(currency text, debtor_name text, debtor_iban text, debtor_bic text, debtor_town text, debtor_country text, bank uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.source_now(source uuid, resident uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.standing(resident uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.take_news(source uuid, batch uuid, direction text, group_state text, end_to_end_ids text[], reasons text[], officer uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.take_out(credential bytea, id uuid, currency text, amount bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.take_out(credential bytea, id uuid, currency text, amount bigint) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.take_report(credential bytea, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text, end_to_end_ids text[], states text[], reasons text[], amounts bigint[], OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.take_report(credential bytea, id uuid, sha256 bytea, message_id text, batch_reference text, count integer, control_sum bigint, group_state text, group_reason text, end_to_end_ids text[], states text[], reasons text[], amounts bigint[], OUT outcome text, OUT detail text, OUT settled integer, OUT rejected integer, OUT returned integer) TO stoa_app;

REVOKE ALL ON FUNCTION payouts.told_by(movements uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION payouts.waiting_for(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION payouts.waiting_for(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION pg_catalog.lo_creat(integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION pg_catalog.lo_create(oid) FROM PUBLIC;

REVOKE ALL ON FUNCTION pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.refuse_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION questions.actor_under(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION questions.actor_under(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION questions.answer_question(credential bytea, question uuid, finding text, sealed_answer bytea, sealed_release bytea, OUT outcome text, OUT resident uuid, OUT reference text) FROM PUBLIC;
GRANT ALL ON FUNCTION questions.answer_question(credential bytea, question uuid, finding text, sealed_answer bytea, sealed_release bytea, OUT outcome text, OUT resident uuid, OUT reference text) TO stoa_app;

REVOKE ALL ON FUNCTION questions.ask(credential bytea, question uuid, reference text, entry uuid, sealed_question bytea, OUT outcome text, OUT resident uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION questions.ask(credential bytea, question uuid, reference text, entry uuid, sealed_question bytea, OUT outcome text, OUT resident uuid) TO stoa_app;

REVOKE ALL ON FUNCTION questions.check_answer() FROM PUBLIC;

REVOKE ALL ON FUNCTION questions.own_question(credential bytea, entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION questions.own_question(credential bytea, entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION questions.own_questions(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION questions.own_questions(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION questions.question_under(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION questions.question_under(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION questions.questionable(credential bytea, entry uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION questions.waiting(credential bytea, wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION questions.waiting(credential bytea, wanted text) TO stoa_app;

REVOKE ALL ON FUNCTION register.add_guardianship(guardianship uuid, child uuid, guardian uuid, must_agree boolean, asked_from timestamp with time zone, alone_from timestamp with time zone, of_age_from timestamp with time zone, sealed_child_name bytea, sealed_guardian_name bytea, authority text) FROM PUBLIC;

REVOKE ALL ON FUNCTION register.answer_correction(credential bytea, opening_id uuid, request uuid, decision text, sealed_answer bytea, sealed_value bytea, name_and_birth_date_hmac bytea, OUT outcome text, OUT resident uuid, OUT reference text) FROM PUBLIC;
GRANT ALL ON FUNCTION register.answer_correction(credential bytea, opening_id uuid, request uuid, decision text, sealed_answer bytea, sealed_value bytea, name_and_birth_date_hmac bytea, OUT outcome text, OUT resident uuid, OUT reference text) TO stoa_app;

REVOKE ALL ON FUNCTION register.children_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION register.children_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION register.corrections_about(credential bytea, view_entry uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION register.corrections_about(credential bytea, view_entry uuid) TO stoa_app;

REVOKE ALL ON FUNCTION register.end_guardianship(child uuid, guardian uuid, authority text) FROM PUBLIC;

REVOKE ALL ON FUNCTION register.erase_resident(code text, authority text) FROM PUBLIC;

GRANT SELECT ON TABLE register.guardianship TO stoa_door;

GRANT SELECT ON TABLE register.minor TO stoa_door;

REVOKE ALL ON FUNCTION register.guardians_at(child uuid, moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION register.guardians_of(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION register.guardians_of(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION register.has_corrected_name(resident uuid) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE register.import_record TO stoa_door;

REVOKE ALL ON FUNCTION register.imported(national_number_hmacs bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION register.imported(national_number_hmacs bytea[]) TO stoa_app;

REVOKE ALL ON FUNCTION register.is_guardian(guardian uuid, child uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION register.merge_import(batch uuid, OUT inserted integer, OUT updated integer) FROM PUBLIC;
GRANT ALL ON FUNCTION register.merge_import(batch uuid, OUT inserted integer, OUT updated integer) TO stoa_app;

REVOKE ALL ON FUNCTION register.open_corrections(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION register.open_corrections(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION register.own_corrections(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) FROM PUBLIC;
GRANT ALL ON FUNCTION register.own_corrections(credential bytea, before_at timestamp with time zone, before_id uuid, page_size integer) TO stoa_app;

REVOKE ALL ON FUNCTION register.request_correction(credential bytea, id uuid, reference text, attribute text, sealed_statement bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION register.request_correction(credential bytea, id uuid, reference text, attribute text, sealed_statement bytea) TO stoa_app;

REVOKE ALL ON FUNCTION register.sealing_key(code text) FROM PUBLIC;

REVOKE ALL ON FUNCTION register.tell_of_guardianship() FROM PUBLIC;

REVOKE ALL ON FUNCTION register.unseen_children(credential bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION register.unseen_children(credential bytea) TO stoa_app;

REVOKE ALL ON FUNCTION web.choose_language(session_hash bytea, language text) FROM PUBLIC;
GRANT ALL ON FUNCTION web.choose_language(session_hash bytea, language text) TO stoa_app;

REVOKE ALL ON FUNCTION web.issue_authorization_code(code_hash bytea, request_id uuid, session_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION web.issue_authorization_code(code_hash bytea, request_id uuid, session_hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION web.issue_client_token(token_hash bytea, client_id text, scope text[], lifetime_seconds integer) FROM PUBLIC;
GRANT ALL ON FUNCTION web.issue_client_token(token_hash bytea, client_id text, scope text[], lifetime_seconds integer) TO stoa_app;

REVOKE ALL ON FUNCTION web.redeem_authorization_code(code_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION web.redeem_authorization_code(code_hash bytea, client_id text, redirect_uri text, code_challenge text, token_hash bytea, lifetime_seconds integer, refresh_hash bytea, key_thumbprint text, OUT outcome text, OUT scope text[], OUT resource text, OUT sign_in_id uuid, OUT subject uuid, OUT nonce text, OUT signed_in_at timestamp with time zone, OUT authenticator_assurance smallint, OUT identity_assurance smallint, OUT id_token_claims text[], OUT issued_at timestamp with time zone) TO stoa_app;

REVOKE ALL ON FUNCTION web.remove_ended_credentials() FROM PUBLIC;
GRANT ALL ON FUNCTION web.remove_ended_credentials() TO stoa_app;

REVOKE ALL ON FUNCTION web.resolve_credential(hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION web.resolve_credential(hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION web.revoke_credential(hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION web.revoke_credential(hash bytea) TO stoa_app;

REVOKE ALL ON FUNCTION web.revoke_tokens_of_closed_client() FROM PUBLIC;

REVOKE ALL ON FUNCTION web.staff_with(credential bytea, roles text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.total(bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.total(bigint) TO stoa_door;

GRANT SELECT ON TABLE access_log.anomaly TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.anomaly TO stoa_door;

GRANT SELECT ON TABLE access_log.anomaly_entry TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.anomaly_entry TO stoa_door;

GRANT SELECT ON TABLE access_log.anomaly_finding TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.anomaly_finding TO stoa_door;

GRANT SELECT,INSERT,UPDATE ON TABLE access_log.anomaly_search TO stoa_door;

GRANT INSERT ON TABLE access_log.batch TO stoa_door;

GRANT SELECT ON TABLE access_log.checkpoint TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.checkpoint TO stoa_app;
GRANT SELECT ON TABLE access_log.checkpoint TO stoa_door;

GRANT SELECT,INSERT ON TABLE access_log.confirmation TO stoa_app;

GRANT SELECT ON TABLE access_log.consent_event TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE access_log.cosignature TO stoa_app;
GRANT SELECT ON TABLE access_log.cosignature TO stoa_auditor;

GRANT SELECT ON TABLE access_log.erasure TO stoa_auditor;

GRANT SELECT ON TABLE access_log.halt TO stoa_auditor;
GRANT INSERT ON TABLE access_log.halt TO stoa_door;

GRANT SELECT ON TABLE access_log.halt_end TO stoa_auditor;

GRANT SELECT,INSERT,DELETE ON TABLE access_log.organisation_hour TO stoa_door;

GRANT SELECT ON TABLE access_log.queue TO stoa_auditor;
GRANT SELECT,INSERT,DELETE ON TABLE access_log.queue TO stoa_door;

GRANT SELECT ON TABLE access_log.record TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.record TO stoa_door;

GRANT SELECT ON TABLE access_log.record_queue TO stoa_auditor;
GRANT SELECT,INSERT,DELETE ON TABLE access_log.record_queue TO stoa_door;

GRANT SELECT ON TABLE access_log.staff_reason TO stoa_app;
GRANT SELECT ON TABLE access_log.staff_reason TO stoa_auditor;
GRANT SELECT ON TABLE access_log.staff_reason TO stoa_door;

GRANT SELECT ON TABLE access_log.standing_halt TO stoa_app;
GRANT SELECT ON TABLE access_log.standing_halt TO stoa_auditor;
GRANT SELECT ON TABLE access_log.standing_halt TO stoa_door;

GRANT SELECT ON TABLE access_log.subject_head TO stoa_auditor;
GRANT SELECT,INSERT,UPDATE ON TABLE access_log.subject_head TO stoa_door;

GRANT SELECT ON TABLE access_log.tile TO stoa_app;
GRANT SELECT ON TABLE access_log.tile TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE access_log.tile TO stoa_door;

GRANT SELECT ON TABLE benefits.programme TO stoa_app;
GRANT SELECT ON TABLE benefits.programme TO stoa_auditor;
GRANT SELECT ON TABLE benefits.programme TO stoa_door;

GRANT SELECT,INSERT,DELETE ON TABLE casework.opening TO stoa_door;

GRANT SELECT,INSERT ON TABLE casework.printed_form TO stoa_door;

GRANT SELECT,INSERT ON TABLE casework.protection TO stoa_door;

GRANT SELECT,INSERT ON TABLE catalogue.description TO stoa_door;

GRANT SELECT ON TABLE register.attribute TO stoa_app;
GRANT SELECT ON TABLE register.attribute TO stoa_auditor;
GRANT SELECT ON TABLE register.attribute TO stoa_door;

GRANT SELECT ON TABLE catalogue.item TO stoa_app;

GRANT SELECT ON TABLE catalogue.owner TO stoa_app;

GRANT SELECT,INSERT,UPDATE ON TABLE catalogue.volume_of_month TO stoa_door;

GRANT SELECT ON TABLE catalogue.sharing_of_month TO stoa_app;

GRANT SELECT,INSERT ON TABLE consent.request_message TO stoa_door;

GRANT SELECT,INSERT ON TABLE delivery.letter_event TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE delivery.letter_fallback TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE delivery.outgoing TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE delivery.preference TO stoa_door;

GRANT SELECT,INSERT ON TABLE disputes.approval TO stoa_door;

GRANT SELECT ON TABLE disputes.category TO stoa_app;
GRANT SELECT ON TABLE disputes.category TO stoa_auditor;
GRANT SELECT ON TABLE disputes.category TO stoa_door;

GRANT SELECT,INSERT ON TABLE disputes.escalation TO stoa_door;

GRANT SELECT,INSERT ON TABLE disputes.message TO stoa_door;

GRANT SELECT ON TABLE disputes.standing TO stoa_door;

GRANT SELECT,INSERT ON TABLE exchange.acknowledgement TO stoa_door;

GRANT SELECT,INSERT,UPDATE ON TABLE exchange.delivery TO stoa_door;

GRANT SELECT,INSERT ON TABLE exchange.notice TO stoa_door;

GRANT SELECT,INSERT ON TABLE exchange.notice_number TO stoa_door;

GRANT SELECT,INSERT,DELETE ON TABLE exchange.notice_queue TO stoa_door;

GRANT SELECT,INSERT ON TABLE exchange.pseudonym TO stoa_door;

GRANT SELECT,INSERT,DELETE ON TABLE exchange.request_nonce TO stoa_door;

GRANT SELECT ON TABLE exchange.signed_answer TO stoa_auditor;
GRANT SELECT,INSERT ON TABLE exchange.signed_answer TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE exchange.volume TO stoa_door;

GRANT SELECT ON TABLE exchange.webhook TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.address TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.address_code TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE identity.address_sending TO stoa_door;

GRANT SELECT,INSERT ON TABLE identity.evidence TO stoa_door;

GRANT SELECT,INSERT ON TABLE ledger.entry TO stoa_door;
GRANT SELECT ON TABLE ledger.entry TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE ledger.hold_entry TO stoa_door;
GRANT SELECT ON TABLE ledger.hold_entry TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE ledger.transfer TO stoa_door;
GRANT SELECT ON TABLE ledger.transfer TO stoa_auditor;

GRANT SELECT,INSERT,UPDATE ON TABLE openid.authorization_code TO stoa_door;

GRANT SELECT,INSERT,DELETE ON TABLE openid.authorization_request TO stoa_app;
GRANT SELECT ON TABLE openid.authorization_request TO stoa_door;

GRANT UPDATE(browser) ON TABLE openid.authorization_request TO stoa_app;

GRANT UPDATE(answered_at) ON TABLE openid.authorization_request TO stoa_app;

GRANT SELECT ON TABLE openid.client TO stoa_app;
GRANT SELECT,INSERT ON TABLE openid.client TO stoa_door;

GRANT UPDATE(jwks) ON TABLE openid.client TO stoa_door;

GRANT UPDATE(closed_at) ON TABLE openid.client TO stoa_door;

GRANT SELECT,INSERT,DELETE ON TABLE openid.client_assertion TO stoa_app;

GRANT SELECT,INSERT,UPDATE ON TABLE openid.connection TO stoa_door;

GRANT SELECT,INSERT,DELETE ON TABLE openid.device_guess TO stoa_door;

GRANT INSERT ON TABLE openid.device_request TO stoa_app;
GRANT SELECT,UPDATE ON TABLE openid.device_request TO stoa_door;

GRANT SELECT(request_id) ON TABLE openid.device_request TO stoa_app;

GRANT SELECT,INSERT,DELETE ON TABLE openid.key_proof TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE openid.logout_notice TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE openid.refresh_token TO stoa_door;

GRANT SELECT,UPDATE ON TABLE openid.registration_token TO stoa_door;

GRANT SELECT,INSERT ON TABLE openid.service_change TO stoa_door;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE openid.sign_in TO stoa_door;

GRANT SELECT ON TABLE openid.signing_key TO stoa_app;
GRANT SELECT,INSERT,DELETE ON TABLE openid.signing_key TO stoa_door;

GRANT SELECT,INSERT ON TABLE payments.bank_file TO stoa_door;
GRANT SELECT ON TABLE payments.bank_file TO stoa_auditor;

GRANT SELECT,INSERT,DELETE ON TABLE payments.bank_item_waiting TO stoa_door;

GRANT SELECT,INSERT ON TABLE payments.bank_report_decision TO stoa_door;
GRANT SELECT ON TABLE payments.bank_report_decision TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.bank_sighting TO stoa_door;
GRANT SELECT ON TABLE payments.bank_sighting TO stoa_auditor;

GRANT SELECT ON TABLE payments.bill_line TO stoa_door;
GRANT SELECT ON TABLE payments.bill_line TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.reminder TO stoa_door;
GRANT SELECT ON TABLE payments.reminder TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.till TO stoa_door;
GRANT SELECT ON TABLE payments.till TO stoa_auditor;

GRANT UPDATE(id) ON TABLE payments.till TO stoa_door;

GRANT SELECT,INSERT ON TABLE payments.till_approval TO stoa_door;
GRANT SELECT ON TABLE payments.till_approval TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.till_closing TO stoa_door;
GRANT SELECT ON TABLE payments.till_closing TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payments.till_payment TO stoa_door;
GRANT SELECT ON TABLE payments.till_payment TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payouts.batch TO stoa_door;
GRANT SELECT ON TABLE payouts.batch TO stoa_auditor;

GRANT SELECT ON TABLE payouts.channel TO stoa_door;
GRANT SELECT ON TABLE payouts.channel TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payouts.decision TO stoa_door;
GRANT SELECT ON TABLE payouts.decision TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payouts.destination TO stoa_door;

GRANT SELECT,INSERT ON TABLE payouts.destination_end TO stoa_door;

GRANT SELECT,INSERT ON TABLE payouts.event TO stoa_door;
GRANT SELECT ON TABLE payouts.event TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payouts.file TO stoa_door;
GRANT SELECT ON TABLE payouts.file TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payouts.instruction TO stoa_door;
GRANT SELECT ON TABLE payouts.instruction TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payouts.item TO stoa_door;
GRANT SELECT ON TABLE payouts.item TO stoa_auditor;

GRANT SELECT,INSERT ON TABLE payouts.report TO stoa_door;
GRANT SELECT ON TABLE payouts.report TO stoa_auditor;

GRANT SELECT,INSERT,UPDATE ON TABLE payouts.state TO stoa_door;
GRANT SELECT ON TABLE payouts.state TO stoa_auditor;

GRANT SELECT ON TABLE public.migration TO stoa_app;
GRANT SELECT ON TABLE public.migration TO stoa_auditor;

GRANT INSERT ON TABLE register.import_staging TO stoa_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE register.import_staging TO stoa_door;

GRANT SELECT,INSERT ON TABLE register.key_check TO stoa_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE register.lookup TO stoa_door;

GRANT DELETE ON TABLE web.idempotency_key TO stoa_app;
GRANT SELECT,INSERT ON TABLE web.idempotency_key TO stoa_door;

GRANT SELECT(created_at) ON TABLE web.idempotency_key TO stoa_app;

GRANT SELECT,INSERT ON TABLE witness.cosigned_head TO stoa_app;
GRANT SELECT ON TABLE witness.cosigned_head TO stoa_auditor;

REVOKE ALL ON FUNCTION ledger.findings(count_max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION ledger.findings(count_max integer) TO stoa_auditor;

ALTER DEFAULT PRIVILEGES FOR ROLE stoa_owner REVOKE ALL ON FUNCTIONS  FROM PUBLIC;
