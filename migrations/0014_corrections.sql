-- "This is wrong": a resident's request to correct what the city holds (GDPR Art. 16). What is written in it is sealed like the data.
CREATE TABLE register.correction_request (
    id uuid PRIMARY KEY,
    -- What the resident quotes: the form of a public code, drawn apart.
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    resident_id uuid NOT NULL REFERENCES register.resident,
    attribute text NOT NULL REFERENCES register.attribute,
    sealed_statement bytea NOT NULL CHECK (octet_length(sealed_statement) BETWEEN 29 AND 4096),
    requested_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    answered_at timestamptz
);
CREATE INDEX correction_request_open ON register.correction_request (requested_at) WHERE answered_at IS NULL;

GRANT CREATE ON SCHEMA register TO stoa_door;
GRANT SELECT, INSERT ON register.correction_request TO stoa_door;

-- Files a request for the resident whom the credential names. The same id twice is one request. False: the credential does not stand.
CREATE FUNCTION register.request_correction(credential bytea, id uuid, reference text, attribute text, sealed_statement bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO register.correction_request AS r (id, reference, resident_id, attribute, sealed_statement)
        SELECT request_correction.id, request_correction.reference, a.resident_id, request_correction.attribute, request_correction.sealed_statement
        FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
        WHERE c.hash = request_correction.credential AND c.kind = 'session' AND web.is_live(c)
        ON CONFLICT ON CONSTRAINT correction_request_pkey DO NOTHING;
    RETURN FOUND;
END
$$;
ALTER FUNCTION register.request_correction(bytea, uuid, text, text, bytea) OWNER TO stoa_door;

-- How many requests wait, for the staff home page. Whom they are about is read with their record, through the door.
CREATE FUNCTION register.open_corrections() RETURNS TABLE (reference text, attribute text, requested_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
        SELECT r.reference, r.attribute, r.requested_at FROM register.correction_request AS r WHERE r.answered_at IS NULL
        ORDER BY r.requested_at LIMIT 100;
    END;
ALTER FUNCTION register.open_corrections() OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION register.request_correction(bytea, uuid, text, text, bytea), register.open_corrections() TO stoa_app;
REVOKE CREATE ON SCHEMA register FROM stoa_door;
