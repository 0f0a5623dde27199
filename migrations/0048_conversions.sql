-- Conversions: money changes its currency by two linked transfers through the organisation's position accounts, one a currency. What was sold goes into the
-- position of its currency, what was bought comes out of the position of the other, and the rate by which the one is the other is kept beside them. Each currency
-- goes on summing to zero, and a position says what the organisation is long or short of.
--
-- Rules for everybody, the owner of the tables too:
--   what is bought is what is sold at the rate, rounded half up to the minor unit             conversion_agrees
--   a transfer that touches a position account is one of two posted legs of a conversion       transfer_balanced (ledger.check_transfers)
-- A conversion is not reversed: money is converted back, at a rate of that day.

-- Decimal digits of a currency's minor unit (ISO 4217); the same table as in Sources/Primitives/Currency.swift, which a test compares.
CREATE FUNCTION ledger.minor_digits(currency text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') THEN 0
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
        ELSE 2 END;

-- What an amount is in another currency, in minor units. Half a unit goes up (Council Regulation (EC) No 1103/97, Article 5), once: powers of ten are exact here.
--   rate   major units of the other currency for one of this
CREATE FUNCTION ledger.converted(amount bigint, currency text, to_currency text, rate numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN round(amount * rate * (ARRAY[0.001, 0.01, 0.1, 1, 10, 100, 1000])[ledger.minor_digits(to_currency) - ledger.minor_digits(currency) + 4]);

CREATE TABLE ledger.conversion (
    -- The id of the transfer that sells.
    id uuid PRIMARY KEY,
    bought_id uuid NOT NULL UNIQUE CHECK (bought_id <> id),
    from_account uuid NOT NULL REFERENCES ledger.account,
    sold_position uuid NOT NULL REFERENCES ledger.account,
    bought_position uuid NOT NULL REFERENCES ledger.account,
    to_account uuid NOT NULL REFERENCES ledger.account,
    sold_amount bigint NOT NULL CHECK (sold_amount BETWEEN 1 AND 9007199254740991),
    sold_currency text NOT NULL,
    bought_amount bigint NOT NULL CHECK (bought_amount BETWEEN 1 AND 9007199254740991),
    bought_currency text NOT NULL CHECK (bought_currency <> sold_currency),
    -- Twelve decimals: what central banks publish of small currencies has up to ten.
    rate numeric NOT NULL CHECK (rate > 0 AND rate < 1000000000 AND scale(rate) <= 12),
    reference text NOT NULL CHECK (length(reference) <= 140),
    CONSTRAINT conversion_agrees CHECK (bought_amount = ledger.converted(sold_amount, sold_currency, bought_currency, rate))
);
CREATE TRIGGER conversion_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.conversion
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE UNIQUE INDEX account_position ON ledger.account (organisation_id, currency) WHERE kind = 'position';

GRANT CREATE ON SCHEMA ledger TO stoa_door;
GRANT SELECT, INSERT ON ledger.conversion TO stoa_door;
-- The check of the table asks them, for whoever inserts.
GRANT EXECUTE ON FUNCTION ledger.minor_digits(text), ledger.converted(bigint, text, text, numeric) TO stoa_door;
GRANT SELECT ON ledger.conversion TO stoa_auditor;

-- The two transfers that a conversion is made of: whether each is there as the conversion says, and whether it moved money.
CREATE VIEW ledger.conversion_leg AS
    SELECT c.id AS conversion_id, l.transfer_id,
        coalesce((t.debit_account, t.credit_account, t.amount, t.currency, t.kind) = (l.debit_account, l.credit_account, l.amount, l.currency, 'post'), false) AS fits,
        coalesce(t.outcome = 'posted', false) AS is_posted
    FROM ledger.conversion AS c
    CROSS JOIN LATERAL (VALUES
        (c.id, c.from_account, c.sold_position, c.sold_amount, c.sold_currency),
        (c.bought_id, c.bought_position, c.to_account, c.bought_amount, c.bought_currency)) AS l (transfer_id, debit_account, credit_account, amount, currency)
    LEFT JOIN ledger.transfer AS t ON t.id = l.transfer_id;
ALTER VIEW ledger.conversion_leg OWNER TO stoa_door;
GRANT SELECT ON ledger.conversion_leg TO stoa_auditor;

-- Whether a transfer may touch a position account: as a leg that was refused, or as one of two that are posted.
CREATE FUNCTION ledger.is_conversion_leg(transfer uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM ledger.conversion AS c
        WHERE is_conversion_leg.transfer IN (c.id, c.bought_id)
          AND (SELECT bool_or(l.fits AND NOT l.is_posted) FILTER (WHERE l.transfer_id = is_conversion_leg.transfer) OR bool_and(l.fits AND l.is_posted)
               FROM ledger.conversion_leg AS l WHERE l.conversion_id = c.id));
END
$$;
ALTER FUNCTION ledger.is_conversion_leg(uuid) OWNER TO stoa_door;

-- The position account of an organisation in a currency, opened when it has none.
CREATE FUNCTION ledger.open_position(organisation text, currency text) RETURNS uuid
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.account (id, kind, currency, organisation_id, normal_side, may_go_negative)
        VALUES (gen_random_uuid(), 'position', open_position.currency, open_position.organisation, 'credit', true)
        ON CONFLICT DO NOTHING;
    RETURN (SELECT a.id FROM ledger.account AS a
            WHERE a.organisation_id = open_position.organisation AND a.currency = open_position.currency AND a.kind = 'position');
END
$$;
ALTER FUNCTION ledger.open_position(text, text) OWNER TO stoa_door;

-- Converts money of the organisation whose access token (scope ledger.post) this is, between two of its accounts. Outcomes are those of ledger.post, and
-- rate_mismatch. What the balances refuse stays refused under its id; of everything else that is refused nothing stays.
CREATE FUNCTION ledger.convert(
    credential bytea, id uuid, bought_id uuid, from_account uuid, to_account uuid, sold_amount bigint, sold_currency text, bought_amount bigint,
    bought_currency text, rate numeric, reference text) RETURNS TABLE (item integer, outcome text, field text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asker record;
    known ledger.conversion;
    difference text;
    decided record;
BEGIN
    SELECT p.client_id, p.organisation_id, p.may_post INTO asker FROM ledger.poster(convert.credential) AS p;
    IF NOT FOUND THEN RETURN QUERY VALUES (1, 'credential_invalid', NULL); RETURN; END IF;
    IF NOT asker.may_post THEN RETURN QUERY VALUES (1, 'scope_missing', NULL); RETURN; END IF;
    difference := CASE
        WHEN convert.id IS NULL THEN 'id' WHEN convert.bought_id IS NULL OR convert.bought_id = convert.id THEN 'bought_id'
        WHEN convert.sold_amount IS NULL OR convert.sold_amount NOT BETWEEN 1 AND ledger.amount_max() THEN 'amount'
        WHEN convert.bought_amount IS NULL OR convert.bought_amount NOT BETWEEN 1 AND ledger.amount_max() THEN 'bought_amount'
        WHEN convert.sold_currency IS NULL THEN 'currency'
        WHEN convert.bought_currency IS NULL OR convert.bought_currency = convert.sold_currency THEN 'bought_currency'
        WHEN convert.rate IS NULL OR convert.rate <= 0 OR convert.rate >= 1000000000 OR scale(convert.rate) > 12 THEN 'rate'
        WHEN convert.reference IS NULL OR length(convert.reference) > 140 THEN 'reference' END;
    IF difference IS NOT NULL THEN RETURN QUERY VALUES (1, 'invalid', difference); RETURN; END IF;
    difference := CASE
        WHEN NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = convert.from_account AND a.organisation_id = asker.organisation_id AND a.kind <> 'position')
            THEN 'debit_account'
        WHEN NOT EXISTS (SELECT FROM ledger.account AS a WHERE a.id = convert.to_account AND a.organisation_id = asker.organisation_id AND a.kind <> 'position')
            THEN 'credit_account' END;
    IF difference IS NOT NULL THEN RETURN QUERY VALUES (1, 'account_unknown', difference); RETURN; END IF;
    IF convert.bought_amount <> ledger.converted(convert.sold_amount, convert.sold_currency, convert.bought_currency, convert.rate) THEN
        RETURN QUERY VALUES (1, 'rate_mismatch', 'bought_amount');
        RETURN;
    END IF;
    BEGIN
        INSERT INTO ledger.conversion (id, bought_id, from_account, sold_position, bought_position, to_account, sold_amount, sold_currency, bought_amount,
                bought_currency, rate, reference)
            VALUES (convert.id, convert.bought_id, convert.from_account, ledger.open_position(asker.organisation_id, convert.sold_currency),
                ledger.open_position(asker.organisation_id, convert.bought_currency), convert.to_account, convert.sold_amount, convert.sold_currency,
                convert.bought_amount, convert.bought_currency, convert.rate, convert.reference)
            ON CONFLICT DO NOTHING;
        SELECT c.* INTO known FROM ledger.conversion AS c WHERE c.id = convert.id;
        difference := CASE
            WHEN known.id IS NULL OR known.bought_id <> convert.bought_id THEN 'bought_id'
            WHEN known.from_account <> convert.from_account THEN 'debit_account' WHEN known.to_account <> convert.to_account THEN 'credit_account'
            WHEN known.sold_amount <> convert.sold_amount THEN 'amount' WHEN known.sold_currency <> convert.sold_currency THEN 'currency'
            WHEN known.bought_amount <> convert.bought_amount THEN 'bought_amount' WHEN known.bought_currency <> convert.bought_currency THEN 'bought_currency'
            WHEN known.rate <> convert.rate THEN 'rate' WHEN known.reference <> convert.reference THEN 'reference' END;
        IF difference IS NOT NULL THEN
            SELECT 'id_conflict' AS outcome, difference AS field INTO decided;
        ELSE
            SELECT p.outcome, CASE p.outcome WHEN 'id_conflict' THEN CASE p.item WHEN 1 THEN 'id' ELSE 'bought_id' END ELSE p.field END AS field INTO decided
                FROM ledger.post_transfers(
                    ARRAY[convert.id, convert.bought_id], '{post,post}', ARRAY[convert.from_account, known.bought_position],
                    ARRAY[known.sold_position, convert.to_account], ARRAY[convert.sold_amount, convert.bought_amount],
                    ARRAY[convert.sold_currency, convert.bought_currency], ARRAY[convert.reference, convert.reference], '{NULL,NULL}',
                    '{organisation,organisation}', ARRAY[asker.client_id, asker.client_id], groups => '{1,1}') AS p
                ORDER BY p.outcome IN ('created', 'exists', 'batch_refused'), p.item LIMIT 1;
        END IF;
        IF decided.outcome NOT IN ('created', 'exists', 'insufficient_funds', 'balance_overflow', 'limit_exceeded', 'account_closed') THEN
            RAISE EXCEPTION 'nothing of this conversion stays' USING ERRCODE = 'ST001';
        END IF;
    EXCEPTION WHEN SQLSTATE 'ST001' THEN NULL;
    END;
    RETURN QUERY VALUES (1, decided.outcome, decided.field);
END
$$;
ALTER FUNCTION ledger.convert(bytea, uuid, uuid, uuid, uuid, bigint, text, bigint, text, numeric, text) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION ledger.convert(bytea, uuid, uuid, uuid, uuid, bigint, text, bigint, text, numeric, text) TO stoa_app;

-- What does not fit between conversions and transfers, one row each. For the auditor.
CREATE FUNCTION ledger.conversion_findings(count_max integer)
    RETURNS TABLE (kind text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT f.kind, f.subject, f.expected, f.found FROM (
            SELECT 'conversion' AS kind, l.conversion_id::text AS subject, 'two posted legs, or none' AS expected, count(*) || ' posted' AS found
            FROM ledger.conversion_leg AS l WHERE l.is_posted GROUP BY l.conversion_id HAVING count(*) <> 2 OR NOT bool_and(l.fits)
            UNION ALL
            SELECT 'position', t.id::text, 'a leg of a conversion', 'none'
            FROM ledger.transfer AS t JOIN ledger.account AS a ON a.id IN (t.debit_account, t.credit_account) AND a.kind = 'position'
            WHERE t.outcome = 'posted' AND NOT EXISTS (SELECT FROM ledger.conversion AS c WHERE t.id IN (c.id, c.bought_id))
        ) AS f
        LIMIT conversion_findings.count_max;
    END;
GRANT EXECUTE ON FUNCTION ledger.conversion_findings(integer) TO stoa_auditor;
REVOKE CREATE ON SCHEMA ledger FROM stoa_door;
