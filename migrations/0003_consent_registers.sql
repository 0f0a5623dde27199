-- Who may ask for what, why, and on which legal basis: the registers that consent, the exchange and the log refer to.
CREATE SCHEMA consent;
GRANT USAGE ON SCHEMA consent TO stoa_app, stoa_auditor, stoa_door;

CREATE TABLE consent.organisation (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9-]{1,62}$'),
    -- {"en": …, "fr": …, "ar": …}; English is the one that must be there.
    name jsonb NOT NULL CHECK (jsonb_typeof(name -> 'en') = 'string'),
    kind text NOT NULL CHECK (kind IN ('city_office', 'health', 'bank', 'retailer', 'school', 'other')),
    -- What the exchange answers it in a minute: requests about one resident, and people on lists. Until the city sets what an organisation's
    -- work needs, 10,000 a second, about what one node can do: a flood ends, and nobody's work does.
    requests_per_minute_max integer NOT NULL DEFAULT 600000 CHECK (requests_per_minute_max > 0),
    subjects_per_minute_max integer NOT NULL DEFAULT 600000 CHECK (subjects_per_minute_max > 0),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now()
);

-- Organisation × purpose × legal basis. What exactly is read, and the text that people see, is in the policy of a version.
CREATE TABLE consent.processing_activity (
    id uuid PRIMARY KEY,
    organisation_id text NOT NULL REFERENCES consent.organisation,
    purpose text NOT NULL CHECK (purpose ~ '^[a-z][a-z0-9-]{1,62}$'),
    -- GDPR Art. 6(1) a to f.
    legal_basis text NOT NULL CHECK (legal_basis IN
        ('consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task', 'legitimate_interests')),
    -- The law that is named to the resident where consent is not the basis.
    law text CHECK (length(law) BETWEEN 3 AND 200),
    policy_version integer NOT NULL DEFAULT 1,
    -- How long the organisation keeps what it has received, in words for residents, and the law that says so (GDPR Art. 13(2)(a) and 30(1)(f)).
    -- Null: the organisation has not said.
    retention jsonb CHECK (retention IS NULL OR coalesce(jsonb_typeof(retention -> 'en') = 'string', false)),
    retention_law text CHECK (length(retention_law) BETWEEN 3 AND 200),
    -- The law that lets an authority order that what is read for this purpose is told to the resident later (0049_delayed_disclosure.sql). Public; null: never.
    delay_law text CHECK (length(delay_law) BETWEEN 3 AND 200),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (organisation_id, purpose),
    UNIQUE (id, organisation_id),
    CHECK ((legal_basis = 'consent') = (law IS NULL)),
    CONSTRAINT only_law_is_delayed CHECK (delay_law IS NULL OR legal_basis IN ('legal_obligation', 'public_task')),
    CONSTRAINT retention_law_has_words CHECK (retention_law IS NULL OR retention IS NOT NULL)
);

-- The exact text that was shown. A new version is a new row; a row never changes.
CREATE TABLE consent.policy (
    activity_id uuid NOT NULL REFERENCES consent.processing_activity,
    version integer NOT NULL CHECK (version >= 1),
    attributes text[] NOT NULL CHECK (cardinality(attributes) BETWEEN 1 AND 50),
    title jsonb NOT NULL CHECK (jsonb_typeof(title -> 'en') = 'string'),
    explanation jsonb NOT NULL CHECK (jsonb_typeof(explanation -> 'en') = 'string'),
    -- For how many months an agreement to this text lasts; null: until it is withdrawn. At most ten years: whoever forgot an agreement
    -- for longer than that is asked again.
    valid_months smallint CHECK (valid_months BETWEEN 1 AND 120),
    -- How many times in 24 hours the organisation reads about one resident at most; null: as often as its volume allows. The door counts (0050_frequency.sql).
    reads_per_day_max integer CHECK (reads_per_day_max BETWEEN 1 AND 1000),
    published_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (activity_id, version)
);
ALTER TABLE consent.processing_activity
    ADD FOREIGN KEY (id, policy_version) REFERENCES consent.policy (activity_id, version) DEFERRABLE INITIALLY DEFERRED;
CREATE TRIGGER policy_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON consent.policy
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE FUNCTION consent.check_policy_attributes() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(NEW.attributes) AS a (id) WHERE NOT EXISTS (SELECT FROM register.attribute AS r WHERE r.id = a.id))
        OR cardinality(NEW.attributes) <> (SELECT count(DISTINCT a.id) FROM unnest(NEW.attributes) AS a (id)) THEN
        RAISE EXCEPTION 'a policy names each known attribute once' USING ERRCODE = 'check_violation', CONSTRAINT = 'policy_attributes_known';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER policy_attributes_known BEFORE INSERT ON consent.policy
    FOR EACH ROW EXECUTE FUNCTION consent.check_policy_attributes();

INSERT INTO consent.organisation (id, name, kind) VALUES
    ('city', '{"en": "City administration", "fr": "Administration municipale", "ar": "إدارة المدينة"}', 'city_office');

GRANT SELECT ON consent.organisation, consent.processing_activity, consent.policy TO stoa_app, stoa_auditor, stoa_door;
