-- What the city writes to a resident. A message is a kind and its particulars; the words are in the catalogues, so that it can be
-- read in any language. Residents read their own through the function, which derives who they are from the credential.
CREATE SCHEMA messages;
GRANT USAGE ON SCHEMA messages TO stoa_app, stoa_door;

CREATE TABLE messages.message (
    id uuid PRIMARY KEY,
    resident_id uuid NOT NULL REFERENCES register.resident,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{1,39}$'),
    -- Texts by name, never personal data: those go by letter or stand in the register.
    parameters jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(parameters) = 'object' AND pg_column_size(parameters) < 4096),
    sent_at timestamptz NOT NULL DEFAULT public.stoa_now()
);
CREATE INDEX message_resident ON messages.message (resident_id, sent_at DESC, id DESC);
CREATE TRIGGER message_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON messages.message
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
GRANT INSERT ON messages.message TO stoa_app;
GRANT SELECT ON messages.message TO stoa_door;

GRANT CREATE ON SCHEMA messages TO stoa_door;
CREATE FUNCTION messages.messages_of(credential bytea, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, kind text, parameters jsonb, sent_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT m.id, m.kind, m.parameters, m.sent_at
        FROM (
            SELECT a.resident_id FROM web.credential AS c JOIN identity.account AS a ON a.id = c.account_id AND a.closed_at IS NULL
            WHERE c.hash = messages_of.credential AND web.is_live(c) AND (c.kind = 'session' OR 'messages' = ANY (c.scope))
            UNION ALL
            -- A helper, after the look is logged.
            SELECT p.resident_id FROM mandates.person(messages_of.credential, 'messages') AS p) AS me
        JOIN register.resident AS r ON r.id = me.resident_id OR r.superseded_by = me.resident_id
        JOIN messages.message AS m ON m.resident_id = r.id
        WHERE (messages_of.before_at IS NULL OR (m.sent_at, m.id) < (messages_of.before_at, messages_of.before_id))
        ORDER BY m.sent_at DESC, m.id DESC
        LIMIT LEAST(messages_of.page_size, 200);
END
$$;
ALTER FUNCTION messages.messages_of(bytea, timestamptz, uuid, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION messages.messages_of(bytea, timestamptz, uuid, integer) TO stoa_app;
REVOKE CREATE ON SCHEMA messages FROM stoa_door;
