-- Erasing a person (GDPR Art. 17): what the city holds about a resident can be opened by nobody any more, and found by no number, name or
-- account; the public code finds an empty record. The data key is destroyed, and with it every value sealed under it, wherever a copy lies. The logs, the ledger and decisions stay whole: they name
-- the resident by an id that now says nothing. Log entries are erased one by one (access_log.erase_entry).
CREATE TABLE register.erasure (
    resident_id uuid PRIMARY KEY REFERENCES register.resident,
    authority text NOT NULL CHECK (length(authority) BETWEEN 3 AND 200),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER erasure_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON register.erasure
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- For the owner only. The rows that an account had before the counter linked it go with the resident. False: nobody has this code, or
-- the resident is erased already.
CREATE FUNCTION register.erase_resident(code text, authority text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
$$;
