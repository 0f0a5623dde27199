-- How much an organisation asked in a minute, counted by access_log.authorise in the statement that decides: one row for an organisation,
-- its single reads or its lists, and the minute, so that it is the same count on every node. Single reads never wait for the count of a list.
-- Unlogged: after a crash the minute begins anew, which is not worth writing each count twice.
CREATE UNLOGGED TABLE exchange.volume (
    organisation_id text NOT NULL REFERENCES consent.organisation,
    -- False: requests about one resident. True: people on lists.
    is_of_lists boolean NOT NULL,
    minute timestamptz NOT NULL,
    -- What was asked, also what was refused.
    count integer NOT NULL,
    PRIMARY KEY (organisation_id, is_of_lists, minute)
) WITH (fillfactor = 20);   -- A row is counted up hundreds of times a second: the versions find room beside it, and the index stays as it is.

GRANT CREATE ON SCHEMA exchange TO stoa_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON exchange.volume TO stoa_door;

-- What the organisation that a credential speaks for has left of this minute. No row for anybody else.
CREATE FUNCTION exchange.volume_of(credential bytea)
    RETURNS TABLE (requests_max integer, requests_left integer, subjects_max integer, subjects_left integer, seconds_left integer)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
ALTER FUNCTION exchange.volume_of(bytea) OWNER TO stoa_door;

-- Removes minutes that are long over. The hour before this one is kept whole: access_log.find_anomalies counts it.
CREATE FUNCTION exchange.remove_past_volume() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM exchange.volume AS v WHERE v.minute < public.stoa_now() - interval '2 hours';
END
$$;
ALTER FUNCTION exchange.remove_past_volume() OWNER TO stoa_door;

GRANT EXECUTE ON FUNCTION exchange.volume_of(bytea), exchange.remove_past_volume() TO stoa_app;
REVOKE CREATE ON SCHEMA exchange FROM stoa_door;
