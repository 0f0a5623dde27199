-- Passwords are stored under stronger parameters once the city has them, at the next sign-in.
GRANT CREATE ON SCHEMA identity TO stoa_door;

-- The same password under other parameters, in place of the hash that it was just right for. False where that is not the hash any more: it was renewed beside, or
-- the password was changed.
CREATE FUNCTION identity.renew_password_hash(name_hmac bytea, old_hash text, new_hash text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE identity.account AS a SET password_hash = renew_password_hash.new_hash FROM identity.sign_in_name AS n
        WHERE n.hmac = renew_password_hash.name_hmac AND a.id = n.account_id AND a.password_hash = renew_password_hash.old_hash;
    IF FOUND THEN RETURN true; END IF;
    UPDATE identity.staff AS s SET password_hash = renew_password_hash.new_hash FROM identity.sign_in_name AS n
        WHERE n.hmac = renew_password_hash.name_hmac AND s.id = n.staff_id AND s.password_hash = renew_password_hash.old_hash;
    RETURN FOUND;
END
$$;
ALTER FUNCTION identity.renew_password_hash(bytea, text, text) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION identity.renew_password_hash(bytea, text, text) TO stoa_app;
REVOKE CREATE ON SCHEMA identity FROM stoa_door;
