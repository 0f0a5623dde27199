-- What every schema stands on: the clock of the database, and nothing executable by everybody.

-- A function is callable only by whom a migration names. (PostgreSQL's default is everybody.)
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO stoa_app, stoa_auditor, stoa_door;

-- The time of everything that is stored or expires. Only the owner can replace it, which test databases do.
CREATE FUNCTION public.stoa_now() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN statement_timestamp();
GRANT EXECUTE ON FUNCTION public.stoa_now() TO stoa_app, stoa_auditor, stoa_door;

-- Refuses UPDATE, DELETE and TRUNCATE on the tables that only grow, for every role, the owner too.
CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% only grows: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Record a new row that corrects the earlier one.';
END
$$;
