-- Witnesses (c2sp.org/tlog-witness): others, who sign the heads of this city's log when each follows from all that they saw before; and this city as such
-- a witness of others' logs. Nobody has to believe one machine then that everybody is shown the same log, and that it never forgot anything.
GRANT CREATE ON SCHEMA access_log TO stoa_door;

-- What witnesses signed of this log's heads. Who inserts a false row gains nothing: wherever one is used it is verified with the witness's key. A size has one
-- head and a head one root, so a witness is never held to have signed two.
CREATE TABLE access_log.cosignature (
    -- Its verifier key: name and public key.
    witness text NOT NULL CHECK (length(witness) BETWEEN 1 AND 300),
    tree_size bigint NOT NULL REFERENCES access_log.checkpoint,
    -- The moment and the signature (c2sp.org/tlog-cosignature, Ed25519).
    signature bytea NOT NULL CHECK (octet_length(signature) = 72),
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (witness, tree_size)
);
CREATE TRIGGER cosignature_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.cosignature
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- That a witness has confirmed the newest head since the database server started. A database that was restored runs on a server that was started since, so a log
-- that is behind what witnesses saw stops before it signs anything: a head signed then would be another log's.
CREATE TABLE access_log.confirmation (
    server_started_at timestamptz PRIMARY KEY DEFAULT pg_postmaster_start_time(),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER confirmation_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.confirmation
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- A witness has seen what this database does not hold. Until somebody with the owner's role decides, no head is signed.
CREATE TABLE access_log.halt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    witness text NOT NULL CHECK (length(witness) BETWEEN 1 AND 300),
    -- Of the newest head here.
    tree_size bigint NOT NULL,
    -- Of the newest head that the witness has seen; null: it has seen no more than there is here, but another tree.
    witness_size bigint CHECK (witness_size > tree_size)
);
CREATE TRIGGER halt_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.halt
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TABLE access_log.halt_end (
    halt_id bigint PRIMARY KEY REFERENCES access_log.halt,
    authority text NOT NULL CHECK (length(authority) BETWEEN 3 AND 200),
    at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE TRIGGER halt_end_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON access_log.halt_end
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE VIEW access_log.standing_halt AS
    SELECT h.id, h.at, h.witness, h.tree_size, h.witness_size FROM access_log.halt AS h
    WHERE NOT EXISTS (SELECT FROM access_log.halt_end AS e WHERE e.halt_id = h.id);

GRANT SELECT, INSERT ON access_log.cosignature, access_log.confirmation TO stoa_app;
GRANT SELECT ON access_log.cosignature, access_log.halt, access_log.halt_end TO stoa_auditor;
GRANT SELECT ON access_log.standing_halt TO stoa_app, stoa_auditor, stoa_door;
GRANT SELECT ON access_log.checkpoint TO stoa_door;
GRANT INSERT ON access_log.halt TO stoa_door;

CREATE FUNCTION access_log.refuse_while_halted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM access_log.standing_halt) THEN
        RAISE EXCEPTION 'the log has stopped: a witness has seen what this database does not hold'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Look at access_log.standing_halt.';
    END IF;
    RETURN NEW;
END
$$;
ALTER FUNCTION access_log.refuse_while_halted() OWNER TO stoa_door;
CREATE TRIGGER checkpoint_refused_while_halted BEFORE INSERT ON access_log.checkpoint
    FOR EACH ROW EXECUTE FUNCTION access_log.refuse_while_halted();

-- Stops the log, once for each witness that says so. False: a head of that size was signed here after all, by another node, say. Holds the sequencer's lock, so that
-- the comparison is with the newest head there is and no other one follows.
CREATE FUNCTION access_log.stop(witness text, witness_size bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
ALTER FUNCTION access_log.stop(text, bigint) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION access_log.stop(text, bigint) TO stoa_app;

-- Lets the log go on, on somebody's authority. For the owner only. Returns how many witnesses had stopped it.
CREATE FUNCTION access_log.end_halt(authority text) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended integer;
BEGIN
    INSERT INTO access_log.halt_end (halt_id, authority) SELECT h.id, end_halt.authority FROM access_log.standing_halt AS h;
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END
$$;
REVOKE CREATE ON SCHEMA access_log FROM stoa_door;

-- This city as a witness: every head of somebody's log that it signed. Each row names the size before it, which can be named once, so that the heads of a log
-- form one line that only grows, whoever inserts and however many at a time; and a size has one root.
CREATE SCHEMA witness;
GRANT USAGE ON SCHEMA witness TO stoa_app, stoa_auditor;
CREATE TABLE witness.cosigned_head (
    -- The verifier key that signed. A witness that begins anew under another key has seen nothing yet.
    witness text NOT NULL CHECK (length(witness) BETWEEN 1 AND 300),
    -- The log's name.
    origin text NOT NULL CHECK (length(origin) BETWEEN 1 AND 300),
    tree_size bigint NOT NULL CHECK (tree_size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    -- Null: the first head of this log.
    previous_size bigint,
    -- The head with the log's signature and the witness's.
    note text NOT NULL CHECK (length(note) BETWEEN 1 AND 20000),
    at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (witness, origin, tree_size),
    FOREIGN KEY (witness, origin, previous_size) REFERENCES witness.cosigned_head,
    UNIQUE NULLS NOT DISTINCT (witness, origin, previous_size),
    CHECK (previous_size < tree_size)
);
CREATE TRIGGER cosigned_head_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON witness.cosigned_head
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
GRANT SELECT, INSERT ON witness.cosigned_head TO stoa_app;
GRANT SELECT ON witness.cosigned_head TO stoa_auditor;
