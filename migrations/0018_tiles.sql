-- The log's tree as tiles (c2sp.org/tlog-tiles), so that anybody can rebuild it and every node serves the same bytes; and what residents
-- get who want a proof of one entry about them.
GRANT CREATE ON SCHEMA access_log TO stoa_door;

-- Full tiles: 256 hashes each. They say nothing about anybody.
CREATE TABLE access_log.tile (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    index bigint NOT NULL CHECK (index >= 0),
    -- At level 0 those of leaves, above it the roots of 256 tiles of the level below.
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    -- What the hashes come to, which the tile above begins with.
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (level, index)
);
-- Hashes do not compress: nobody need try. They lie apart from the roots, which are read 256 at a time.
ALTER TABLE access_log.tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE TRIGGER tile_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.tile
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
GRANT SELECT ON access_log.tile TO stoa_app, stoa_auditor;
GRANT SELECT, INSERT ON access_log.tile TO stoa_door;

-- The root over 256 hashes that stand one after the other (RFC 6962 §2.1): each round joins neighbours, until one is left.
CREATE FUNCTION access_log.tile_root(hashes bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS $$
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
ALTER FUNCTION access_log.tile_root(bytea) OWNER TO stoa_door;

-- With a head come the tiles that its leaves fill, in its transaction. They are made here and of the leaves themselves: nobody can store
-- a false one, and one that is missing is made with the next head. A tile is due every 256 leaves; otherwise this asks for one index.
CREATE FUNCTION access_log.store_tiles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET standard_conforming_strings = on AS $$
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
CREATE TRIGGER checkpoint_brings_tiles AFTER INSERT ON access_log.checkpoint
    FOR EACH ROW EXECUTE FUNCTION access_log.store_tiles();

-- One entry as it was committed to, with its salt: for the resident whom the credential names and whom the entry is about, under any record
-- that was theirs, and only after that view is logged (as access_log.entries_about). leaf_index is null while the entry waits for its leaf;
-- no row: there is no such entry, or it is about somebody else.
CREATE FUNCTION access_log.own_entry(credential bytea, entry_id uuid)
    RETURNS TABLE (leaf_index bigint, salt bytea, canonical bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
    -- Held to the indexes, whatever the tables were when the plan was made.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
        SELECT l.index, e.salt, access_log.canonical(e, l.subject_number, l.previous_commitment)
        FROM access_log.own_viewer AS h
        JOIN access_log.entry AS e ON e.subject_id = h.resident_id
        LEFT JOIN access_log.leaf AS l ON l.entry_id = e.id
        WHERE h.credential = own_entry.credential AND h.kind = 'access_log' AND e.id = own_entry.entry_id
          AND EXISTS (SELECT FROM access_log.told_entry AS t WHERE t.id = e.id);
END
$$;
ALTER FUNCTION access_log.own_entry(bytea, uuid) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION access_log.own_entry(bytea, uuid) TO stoa_app;
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;
