-- A signed request of the exchange is carried out once: its nonce (RFC 9421 §2.3) is kept for as long as its signature counts.
CREATE TABLE exchange.request_nonce (
    client_id text NOT NULL REFERENCES openid.client,
    nonce_sha256 bytea NOT NULL CHECK (octet_length(nonce_sha256) = 32),
    -- From when on no signature with it counts any more.
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, nonce_sha256)
);
CREATE INDEX request_nonce_ends ON exchange.request_nonce (ends_at);
GRANT CREATE ON SCHEMA exchange TO stoa_door;
GRANT SELECT, INSERT, DELETE ON exchange.request_nonce TO stoa_door;

-- Takes a nonce for the client that a credential names. False: it was used before. Of two at the same moment the second waits for the first, and finds it.
CREATE FUNCTION exchange.use_nonce(credential bytea, nonce_sha256 bytea, ends_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO exchange.request_nonce (client_id, nonce_sha256, ends_at)
        SELECT c.client_id, use_nonce.nonce_sha256, use_nonce.ends_at FROM web.credential AS c
        WHERE c.hash = use_nonce.credential AND c.client_id IS NOT NULL AND web.is_live(c)
        ON CONFLICT ON CONSTRAINT request_nonce_pkey DO NOTHING;
    RETURN FOUND;
END
$$;
ALTER FUNCTION exchange.use_nonce(bytea, bytea, timestamptz) OWNER TO stoa_door;

-- Removes those that no signature needs any more; a minute later, because nodes' clocks differ.
CREATE FUNCTION exchange.remove_past_nonces() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM exchange.request_nonce AS n WHERE n.ends_at < public.stoa_now() - interval '1 minute';
END
$$;
ALTER FUNCTION exchange.remove_past_nonces() OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION exchange.use_nonce(bytea, bytea, timestamptz), exchange.remove_past_nonces() TO stoa_app;
REVOKE CREATE ON SCHEMA exchange FROM stoa_door;
