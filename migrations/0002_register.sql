-- The register: whom the city serves, and what it holds about them, sealed per resident.
--
-- A resident row exists for every record of the population register (import) and for every account that is not yet
-- linked to one. Values are AES-256-GCM under a data key of the resident, which is wrapped by the key-encryption key that
-- the server holds: whoever erases the data key erases the person. Exact look-ups go by keyed HMAC, so nobody can browse.
-- stoa_app has no right to read any of these tables: values leave through access_log.authorise and access_log.release.
CREATE SCHEMA register;
GRANT USAGE ON SCHEMA register TO stoa_app, stoa_door;

-- One kind of personal data. Its names in each language are in config/locales/*/attributes.yaml.
CREATE TABLE register.attribute (
    id text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9_]{1,39}$'),
    position integer NOT NULL UNIQUE,
    -- The answer to a yes-or-no question about another attribute, which is given in place of that value: the base, and the rule
    -- (Sources/Register/DerivedAttributes.swift). It is held nowhere, so only what is held can be a base or have a sealed value.
    derived_from text,
    rule text,
    is_held boolean NOT NULL GENERATED ALWAYS AS (derived_from IS NULL) STORED,
    base_is_held boolean GENERATED ALWAYS AS (CASE WHEN derived_from IS NOT NULL THEN true END) STORED,
    UNIQUE (id, is_held),
    FOREIGN KEY (derived_from, base_is_held) REFERENCES register.attribute (id, is_held),
    CHECK ((derived_from IS NULL) = (rule IS NULL))
);
-- The door reads the few derived ones with every batch.
CREATE INDEX attribute_derived ON register.attribute (id) INCLUDE (derived_from) WHERE derived_from IS NOT NULL;
INSERT INTO register.attribute (id, position) VALUES
    ('given_names', 1), ('family_name', 2), ('date_of_birth', 3), ('national_number', 4),
    ('street', 5), ('postcode', 6), ('locality', 7), ('phone', 8), ('email', 9), ('preferred_language', 10),
    ('username', 11), ('contact_email', 12), ('contact_phone', 13);
INSERT INTO register.attribute (id, position, derived_from, rule) VALUES
    ('is_over_18', 14, 'date_of_birth', 'age_of_18_reached'), ('lives_in_city', 15, 'locality', 'locality_of_city');
GRANT SELECT ON register.attribute TO stoa_app, stoa_auditor, stoa_door;

CREATE TABLE register.resident (
    id uuid PRIMARY KEY,
    -- What people write and say: XXX-XXX-XXX in Crockford base 32, the last character a check.
    public_code text NOT NULL UNIQUE CHECK (public_code ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    origin text NOT NULL CHECK (origin IN ('population_register', 'self_registered', 'counter')),
    -- IAL of NIST SP 800-63-4; 0: nothing was shown yet.
    identity_assurance smallint NOT NULL DEFAULT 0 CHECK (identity_assurance BETWEEN 0 AND 3),
    -- An account that registered by itself starts as a resident of its own; linking it to the register record retires that row.
    superseded_by uuid REFERENCES register.resident CHECK (superseded_by <> id),
    -- Somebody at risk, or whom staff know: caseworkers open this record only by breaking the glass (0022).
    is_protected boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX resident_superseded_by ON register.resident (superseded_by) WHERE superseded_by IS NOT NULL;

CREATE TABLE register.data_key (
    resident_id uuid PRIMARY KEY REFERENCES register.resident,
    key_id text NOT NULL,
    wrapped_key bytea NOT NULL CHECK (octet_length(wrapped_key) = 60)   -- nonce 12, key 32, tag 16
);

CREATE TABLE register.sealed_attribute (
    resident_id uuid NOT NULL REFERENCES register.resident,
    attribute text NOT NULL,
    attribute_is_held boolean NOT NULL GENERATED ALWAYS AS (true) STORED,
    sealed_value bytea NOT NULL CHECK (octet_length(sealed_value) >= 28),
    source text NOT NULL CHECK (source IN ('population_register', 'resident', 'counter')),
    recorded_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (resident_id, attribute),
    FOREIGN KEY (attribute, attribute_is_held) REFERENCES register.attribute (id, is_held)
);

CREATE TABLE register.lookup (
    kind text NOT NULL CHECK (kind IN ('national_number', 'name_and_birth_date')),
    hmac bytea NOT NULL CHECK (octet_length(hmac) = 32),
    resident_id uuid NOT NULL REFERENCES register.resident,
    PRIMARY KEY (kind, hmac, resident_id)
);
CREATE UNIQUE INDEX lookup_national_number ON register.lookup (hmac) WHERE kind = 'national_number';
CREATE INDEX lookup_resident ON register.lookup (resident_id);

-- Which keys this database was made with: start-up refuses any other. (The log's signing key is known by the log's newest signed head.)
CREATE TABLE register.key_check (
    is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
    -- A text that the key-encryption key of this name opens.
    key_id text NOT NULL,
    sealed_test bytea NOT NULL,
    -- The HMAC of a text under the look-up key.
    lookup_test bytea NOT NULL CHECK (octet_length(lookup_test) = 32),
    created_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
GRANT SELECT, INSERT ON register.key_check TO stoa_app;

-- What an import made of each register record, so that a second run can tell "unchanged" without opening anything.
CREATE TABLE register.import_record (
    national_number_hmac bytea PRIMARY KEY CHECK (octet_length(national_number_hmac) = 32),
    resident_id uuid NOT NULL UNIQUE REFERENCES register.resident,
    content_hmac bytea NOT NULL CHECK (octet_length(content_hmac) = 32),
    imported_at timestamptz NOT NULL DEFAULT public.stoa_now()
);

-- Where COPY puts a batch before register.merge_import takes it. stoa_app may write it and never read it.
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
    CHECK (cardinality(attributes) = cardinality(sealed_values))
);
CREATE INDEX import_staging_batch ON register.import_staging (batch_id);
GRANT INSERT ON register.import_staging TO stoa_app;

GRANT CREATE ON SCHEMA register TO stoa_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON register.resident, register.data_key, register.sealed_attribute, register.lookup,
    register.import_record, register.import_staging TO stoa_door;

-- Which of these records an import has seen, and the wrapped key to seal a changed one under. Releases no personal data.
CREATE FUNCTION register.imported(national_number_hmacs bytea[])
    RETURNS TABLE (national_number_hmac bytea, resident_id uuid, content_hmac bytea, key_id text, wrapped_key bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT i.national_number_hmac, i.resident_id, i.content_hmac, k.key_id, k.wrapped_key
        FROM register.import_record AS i
        JOIN register.data_key AS k USING (resident_id)
        WHERE i.national_number_hmac = ANY (national_number_hmacs);
    END;
ALTER FUNCTION register.imported(bytea[]) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION register.imported(bytea[]) TO stoa_app;

-- Whether one of the values that a look-up by name and birth date is made of was corrected at the counter.
CREATE FUNCTION register.has_corrected_name(resident uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM register.sealed_attribute AS a
                   WHERE a.resident_id = resident AND a.source = 'counter' AND a.attribute IN ('given_names', 'family_name', 'date_of_birth'));
ALTER FUNCTION register.has_corrected_name(uuid) OWNER TO stoa_door;

-- Takes a staged batch into the register: new records are inserted, changed ones replaced. Returns how many of each. A value that was
-- corrected at the counter stays, and so does the look-up by a corrected name: a correction that the next import took back would be none.
CREATE FUNCTION register.merge_import(batch uuid, OUT inserted integer, OUT updated integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
ALTER FUNCTION register.merge_import(uuid) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION register.merge_import(uuid) TO stoa_app;

REVOKE CREATE ON SCHEMA register FROM stoa_door;
