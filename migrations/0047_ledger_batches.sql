-- What the ledger wrote goes into the log: the transfers of about a second make a batch, whose hash is over the hash of the batch before it and over every
-- transfer in full. The hash has a leaf in the log's tree, so whoever keeps a signed head keeps the whole ledger up to it: a transfer that is changed, removed or
-- slipped in afterwards no longer fits (`stoa verify ledger`).
--
-- Whoever posts leaves the ids of its transfers in a queue, in its own transaction, one row a statement; ledger.chain_transfers makes the batches of them, beside
-- the posting. What waits is in the queue, never "recorded since the last batch": a transaction that commits late would be passed over.

-- The transfers of one statement, which wait for their batch.
CREATE TABLE ledger.batch_queue (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transfer_ids uuid[] NOT NULL CHECK (cardinality(transfer_ids) >= 1),
    -- Beside them, so that nobody unpacks the ids to count them.
    transfer_count integer NOT NULL CHECK (transfer_count = cardinality(transfer_ids))
);
-- Random bytes do not pack.
ALTER TABLE ledger.batch_queue ALTER transfer_ids SET STORAGE EXTERNAL;
-- Every row is deleted within a second or so: vacuum after ten thousand, as the log's queues.
ALTER TABLE ledger.batch_queue SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE ledger.batch (
    number bigint PRIMARY KEY CHECK (number >= 1),
    -- Its name in the log.
    id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    previous_hash bytea CHECK (octet_length(previous_hash) = 32),
    -- In the order of the ids.
    transfer_ids uuid[] NOT NULL CHECK (cardinality(transfer_ids) >= 1),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    made_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CHECK ((previous_hash IS NULL) = (number = 1))
);
ALTER TABLE ledger.batch ALTER transfer_ids SET STORAGE EXTERNAL;
CREATE TRIGGER batch_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.batch
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE FUNCTION ledger.queue_transfers() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.batch_queue (transfer_ids, transfer_count) SELECT array_agg(a.id), count(*) FROM added AS a HAVING count(*) > 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER transfer_waits_for_batch AFTER INSERT ON ledger.transfer REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.queue_transfers();

-- Each batch follows the last one.
CREATE FUNCTION ledger.check_batch() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last_number bigint;
    last_hash bytea;
BEGIN
    SELECT b.number, b.hash INTO last_number, last_hash FROM ledger.batch AS b ORDER BY b.number DESC LIMIT 1;
    IF NEW.number <> coalesce(last_number, 0) + 1 OR NEW.previous_hash IS DISTINCT FROM last_hash THEN
        RAISE EXCEPTION 'a batch follows the last one and carries its hash' USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_follows';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER batch_follows BEFORE INSERT ON ledger.batch FOR EACH ROW EXECUTE FUNCTION ledger.check_batch();

GRANT CREATE ON SCHEMA ledger TO stoa_door;
GRANT SELECT, INSERT ON ledger.batch TO stoa_door;
GRANT SELECT, INSERT, DELETE ON ledger.batch_queue TO stoa_door;
GRANT SELECT ON ledger.batch, ledger.batch_queue TO stoa_auditor;

CREATE FUNCTION ledger.queue_batch_leaf() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM access_log.queue_leaf('ledger_batch', NEW.id, NEW.hash);
    RETURN NULL;
END
$$;
ALTER FUNCTION ledger.queue_batch_leaf() OWNER TO stoa_door;
CREATE TRIGGER batch_gets_leaf AFTER INSERT ON ledger.batch FOR EACH ROW EXECUTE FUNCTION ledger.queue_batch_leaf();

-- A transfer as the bytes that its batch binds to: fields as in Sources/TransparencyLog/CanonicalEncoding.swift, only ever added, with a new label of the batch. The Swift
-- twin that verifies them, written apart from this, is Sources/Ledger/Batches/VerifyBatches.swift.
CREATE FUNCTION ledger.canonical(t ledger.transfer) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN '\x010700000010'::bytea || uuid_send(t.id)
        || access_log.field('\x0201', t.kind)
        || '\x030700000010'::bytea || uuid_send(t.debit_account)
        || '\x040700000010'::bytea || uuid_send(t.credit_account)
        || '\x050200000008'::bytea || int8send(t.amount)
        || access_log.field('\x0601', t.currency)
        || access_log.field('\x0701', t.reference)
        || '\x080300000008'::bytea || int8send((extract(epoch FROM t.effective_at) * 1000000)::bigint)
        || '\x090300000008'::bytea || int8send((extract(epoch FROM t.recorded_at) * 1000000)::bigint)
        || access_log.field('\x0a01', t.outcome)
        || access_log.field('\x0b01', t.actor_kind)
        || access_log.field('\x0c01', t.actor_id)
        || access_log.field('\x0d03', int8send((extract(epoch FROM t.expires_at) * 1000000)::bigint))
        || access_log.field('\x0e07', uuid_send(t.hold_id))
        || access_log.field('\x0f07', uuid_send(t.reversal_of));

-- Makes one batch of the oldest waiting transfers: up to transfers_max and the rest of their statement. One at a time, over all nodes: a second one
-- gets nothing. Returns how many transfers it took. A transfer that nobody but whoever edits the database can have made vanish is named in the batch all the same.
CREATE FUNCTION ledger.chain_transfers(transfers_max integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET standard_conforming_strings = on AS $$
DECLARE
    ids uuid[];
    next_number bigint;
    previous bytea;
    content bytea;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7310012) THEN RETURN 0; END IF;
    WITH taken AS (
        DELETE FROM ledger.batch_queue AS q
        WHERE q.number = ANY (ARRAY(
            SELECT w.number
            FROM (SELECT o.number, sum(o.transfer_count) OVER (ORDER BY o.number) - o.transfer_count AS before
                  FROM (SELECT x.number, x.transfer_count FROM ledger.batch_queue AS x ORDER BY x.number LIMIT transfers_max) AS o) AS w
            WHERE w.before < transfers_max))
        RETURNING q.transfer_ids)
    SELECT array_agg(u.id ORDER BY u.id) INTO ids FROM taken AS t CROSS JOIN LATERAL unnest(t.transfer_ids) AS u (id);
    IF ids IS NULL THEN RETURN 0; END IF;

    SELECT b.number, b.hash INTO next_number, previous FROM ledger.batch AS b ORDER BY b.number DESC LIMIT 1;
    next_number := coalesce(next_number, 0) + 1;
    SELECT string_agg(int4send(octet_length(c.bytes)) || c.bytes, '' ORDER BY u.place) INTO content
        FROM unnest(ids) WITH ORDINALITY AS u (id, place)
        CROSS JOIN LATERAL (SELECT ledger.canonical(t) AS bytes FROM ledger.transfer AS t WHERE t.id = u.id OFFSET 0) AS c;
    INSERT INTO ledger.batch (number, previous_hash, transfer_ids, hash)
        VALUES (next_number, previous, ids, sha256('stoa ledger batch v1\012'::bytea
            || '\x010200000008'::bytea || int8send(next_number)
            || access_log.field('\x0204', previous)
            || '\x030200000008'::bytea || int8send(cardinality(ids))
            || coalesce(content, '')));
    RETURN cardinality(ids);
END
$$;

-- What does not fit between transfers, batches and the log, one row each; whether each hash is that of its transfers is computed by the verifier. For the auditor,
-- who may read the tables.
CREATE FUNCTION ledger.batch_findings(count_max integer)
    RETURNS TABLE (kind text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT f.kind, f.subject, f.expected, f.found FROM (
            SELECT 'batch_missing' AS kind, t.id::text AS subject, 'a batch, or a place in the queue' AS expected, 'none' AS found
            FROM ledger.transfer AS t
            WHERE NOT EXISTS (SELECT FROM (SELECT unnest(b.transfer_ids) AS id FROM ledger.batch AS b
                                           UNION ALL
                                           SELECT unnest(q.transfer_ids) FROM ledger.batch_queue AS q) AS c WHERE c.id = t.id)
            UNION ALL
            SELECT 'batch_twice', c.id::text, 'one batch', count(*)::text
            FROM (SELECT unnest(b.transfer_ids) AS id FROM ledger.batch AS b
                  UNION ALL
                  SELECT unnest(q.transfer_ids) FROM ledger.batch_queue AS q) AS c
            GROUP BY c.id HAVING count(*) > 1
            UNION ALL
            SELECT 'batch_queue', u.id::text, 'a transfer that waits for its batch', 'none'
            FROM ledger.batch_queue AS q CROSS JOIN LATERAL unnest(q.transfer_ids) AS u (id)
            WHERE NOT EXISTS (SELECT FROM ledger.transfer AS t WHERE t.id = u.id)
            UNION ALL
            SELECT 'batch_chain', 'batch ' || b.number, 'the hash of batch ' || (b.number - 1), 'another'
            FROM (SELECT x.number, x.previous_hash, lag(x.number, 1, 0::bigint) OVER w AS earlier, lag(x.hash) OVER w AS earlier_hash
                  FROM ledger.batch AS x WINDOW w AS (ORDER BY x.number)) AS b
            WHERE b.number <> b.earlier + 1 OR b.previous_hash IS DISTINCT FROM b.earlier_hash
            UNION ALL
            SELECT 'batch_in_log', coalesce('batch ' || b.number, 'batch of the name ' || r.source_id), coalesce(encode(r.content_hash, 'hex'), 'none'),
                coalesce(encode(b.hash, 'hex'), 'none')
            FROM ledger.batch AS b
            FULL JOIN (SELECT x.source_id, x.content_hash, true AS is_there FROM access_log.record AS x WHERE x.kind = 'ledger_batch') AS r ON r.source_id = b.id
            -- Where the log's side was erased there is nothing left to compare with.
            WHERE b.id IS NULL OR r.is_there IS NULL OR r.content_hash <> b.hash
        ) AS f
        LIMIT batch_findings.count_max;
    END;
GRANT EXECUTE ON FUNCTION ledger.batch_findings(integer) TO stoa_auditor;

ALTER FUNCTION ledger.canonical(ledger.transfer) OWNER TO stoa_door;
ALTER FUNCTION ledger.chain_transfers(integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION ledger.chain_transfers(integer) TO stoa_app;
REVOKE CREATE ON SCHEMA ledger FROM stoa_door;
