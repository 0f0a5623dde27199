-- How often an organisation reads about one resident: where the policy to which the resident agreed says so, the door counts what it permits, and refuses what is
-- over the limit (access_log.authorise). The row of resident and purpose is locked while a batch is decided, so two that read at the same moment are counted
-- one after the other. A day begins with the first read that is permitted, and lasts 24 hours.
CREATE TABLE exchange.frequency (
    resident_id uuid NOT NULL,
    activity_id uuid NOT NULL,
    since timestamptz NOT NULL,
    count bigint NOT NULL CHECK (count >= 1),
    PRIMARY KEY (resident_id, activity_id)
) WITH (fillfactor = 70);   -- room for the next version of a row on its own page
GRANT SELECT, INSERT, UPDATE, DELETE ON exchange.frequency TO stoa_door;
GRANT CREATE ON SCHEMA exchange TO stoa_door;

-- Whether a day of 24 hours that began then is over.
CREATE FUNCTION exchange.has_passed(since timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN since <= public.stoa_now() - interval '24 hours';
ALTER FUNCTION exchange.has_passed(timestamptz) OWNER TO stoa_door;

-- Removes the counts of days that are over; returns how many. For the janitor: ended days count for nothing before they go.
CREATE FUNCTION exchange.remove_past_frequency() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    DELETE FROM exchange.frequency AS f WHERE exchange.has_passed(f.since);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
ALTER FUNCTION exchange.remove_past_frequency() OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION exchange.remove_past_frequency() TO stoa_app;
REVOKE CREATE ON SCHEMA exchange FROM stoa_door;
