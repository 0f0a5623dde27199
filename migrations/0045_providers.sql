-- Cards and mobile money: a provider takes the payment on its own pages, tells of it by signed events, and pays out what it took, less its charges, to
-- the city's bank account.
--
--   an attempt is begun for what is left of a bill, with the fee that was shown          it reserves the amount (a hold) until it ends or expires
--   the resident is led to the provider's page by an address that the city signs          amount, currency and time cannot be changed on the way
--   events of the provider are signed, of this moment, and count once by their id         settled, failed, refunded: late and in any order
--   a settlement is what the provider pays out                                            it is tied to the movement of the bank that has its reference
--
-- The money: settled moves the gross from the provider's clearing account, which is what it owes the city, to the bill and to fees; its settlement on the
-- bank's statement moves it from suspense there, and the provider's own charges from fees. So clearing is what was taken and not paid out yet.
--
-- Events are checked here, against a secret that the role that serves cannot read: a taken-over server cannot say that something was paid.
CREATE TABLE payments.provider (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{1,30}$'),
    kind text NOT NULL CHECK (kind IN ('card', 'mobile_money')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Where residents are led to: https, or, for trying out, this machine.
    checkout text NOT NULL CHECK (checkout ~ '^(https://[a-z0-9.-]+(:[0-9]+)?|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)/[A-Za-z0-9/._-]*$'),
    -- What the payer pays for this way: an amount, and parts of ten thousand of what is paid.
    fee_fixed bigint NOT NULL CHECK (fee_fixed BETWEEN 0 AND 9007199254740991),
    fee_per_10000 integer NOT NULL CHECK (fee_per_10000 BETWEEN 0 AND 1000),
    -- Of HMAC-SHA-256, shared with the provider: RFC 2104 asks for no less than the hash's 32 bytes.
    secret bytea NOT NULL CHECK (octet_length(secret) BETWEEN 32 AND 64),
    -- Residents choose among those that are offered; events of others still count.
    is_offered boolean NOT NULL,
    clearing uuid NOT NULL UNIQUE REFERENCES ledger.account,
    fees uuid NOT NULL UNIQUE REFERENCES ledger.account
);

CREATE TABLE payments.attempt (
    -- Of the hold too.
    id uuid PRIMARY KEY REFERENCES ledger.transfer,
    provider_id text NOT NULL REFERENCES payments.provider,
    bill_id uuid NOT NULL,
    currency text NOT NULL,
    net bigint NOT NULL CHECK (net > 0),
    fee bigint NOT NULL CHECK (fee >= 0),
    receipt_code text NOT NULL CHECK (receipt_code ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    begun_by uuid NOT NULL REFERENCES identity.account,
    -- Where the provider leads back to, as it stands in an address.
    return_address text NOT NULL CHECK (length(return_address) <= 500 AND return_address ~ '^[A-Za-z0-9%._~-]+$'),
    begun_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    expires_at timestamptz NOT NULL CHECK (expires_at > begun_at),
    FOREIGN KEY (bill_id, currency) REFERENCES payments.bill (id, currency)
);
CREATE INDEX attempt_bill ON payments.attempt (bill_id, begun_at);

-- What a provider said, each once, and what came of it.
CREATE TABLE payments.provider_event (
    provider_id text NOT NULL REFERENCES payments.provider,
    event_id text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 64),
    kind text NOT NULL CHECK (kind IN ('pending', 'settled', 'failed', 'refunded', 'settlement')),
    body_hash bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    attempt_id uuid REFERENCES payments.attempt,
    currency text,
    amount bigint,
    -- stale: what it says came too late to change anything; amount_differs and too_much: a person has to look.
    outcome text NOT NULL CHECK (outcome IN ('taken', 'stale', 'amount_differs', 'too_much')),
    received_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (provider_id, event_id)
);
CREATE INDEX provider_event_attempt ON payments.provider_event (attempt_id) WHERE attempt_id IS NOT NULL;

-- How an attempt ended well, once: with a payment of its bill, and what was too much in the wallet of its resident.
CREATE TABLE payments.attempt_settled (
    attempt_id uuid PRIMARY KEY REFERENCES payments.attempt,
    payment_id uuid UNIQUE REFERENCES payments.payment,
    surplus bigint NOT NULL CHECK (surplus >= 0),
    settled_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CHECK (payment_id IS NOT NULL OR surplus > 0)
);

-- What a provider pays out at once, as it told, and the part of a movement of the bank that is it.
CREATE TABLE payments.provider_settlement (
    provider_id text NOT NULL REFERENCES payments.provider,
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[A-Za-z0-9-]{6,35}$'),
    gross bigint NOT NULL CHECK (gross > 0),
    charges bigint NOT NULL CHECK (charges >= 0 AND charges < gross),
    told_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (provider_id, reference)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['attempt', 'provider_event', 'attempt_settled', 'provider_settlement'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.%I FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()',
                       name || '_only_grows', name);
        EXECUTE format('GRANT SELECT, INSERT ON payments.%I TO stoa_door', name);
        EXECUTE format('GRANT SELECT ON payments.%I TO stoa_auditor', name);
    END LOOP;
END
$$;
GRANT SELECT ON payments.provider TO stoa_door;
GRANT SELECT (id, kind, name, currency, checkout, fee_fixed, fee_per_10000, is_offered, clearing, fees) ON payments.provider TO stoa_auditor;
ALTER TABLE payments.bank_settlement ADD FOREIGN KEY (reference) REFERENCES payments.provider_settlement (reference);
GRANT CREATE ON SCHEMA payments TO stoa_door;

-- How long the provider's page is open for an attempt: time to find the card or the telephone, and twice what providers give by themselves.
CREATE FUNCTION payments.attempt_time() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN interval '30 minutes';

-- How far the clock of a signed event may be from ours, either way; what is older was recorded by somebody.
CREATE FUNCTION payments.event_tolerance_seconds() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 300;

-- HMAC-SHA-256 (RFC 2104, RFC 6234).
CREATE FUNCTION payments.hmac_sha256(secret bytea, message bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The key to one block of 64 bytes, with zeros.
    key bytea := CASE WHEN octet_length(secret) > 64 THEN sha256(secret) ELSE secret END;
    inner_pad bytea;
    outer_pad bytea;
BEGIN
    key := key || decode(repeat('00', 64 - octet_length(key)), 'hex');
    inner_pad := key;
    outer_pad := key;
    FOR position IN 0 .. 63 LOOP
        inner_pad := set_byte(inner_pad, position, get_byte(key, position) # 54);
        outer_pad := set_byte(outer_pad, position, get_byte(key, position) # 92);
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || message));
END
$$;

-- What a way of paying costs the payer, half a minor unit up.
CREATE FUNCTION payments.fee_of(fixed bigint, per_10000 integer, amount bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN fixed + div(amount::numeric * per_10000 + 5000, 10000)::bigint;

-- Where an attempt stands.
CREATE FUNCTION payments.attempt_state(attempt uuid) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE
            WHEN EXISTS (SELECT FROM payments.attempt_settled AS s WHERE s.attempt_id = a.id) THEN 'settled'
            WHEN EXISTS (SELECT FROM payments.provider_event AS e WHERE e.attempt_id = a.id AND e.kind = 'failed' AND e.outcome = 'taken') THEN 'failed'
            WHEN a.expires_at <= public.stoa_now() THEN 'expired'
            WHEN EXISTS (SELECT FROM payments.provider_event AS e WHERE e.attempt_id = a.id AND e.kind = 'pending' AND e.outcome = 'taken') THEN 'pending'
            ELSE 'open' END
        FROM payments.attempt AS a WHERE a.id = attempt_state.attempt);
END
$$;

-- Sets a provider; for the owner. Its accounts of the ledger are opened with it. The same again changes what it costs, where it leads and its secret.
CREATE FUNCTION payments.set_provider(
    id text, kind text, name text, currency text, checkout text, fee_fixed bigint, fee_per_10000 integer, secret bytea, is_offered boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    clearing uuid := payments.derived_id('provider ' || set_provider.id || ' clearing');
    fees uuid := payments.derived_id('provider ' || set_provider.id || ' fees');
BEGIN
    IF NOT ledger.open_account(clearing, 'clearing', set_provider.currency, NULL, 'city', 'debit', true)
       OR NOT ledger.open_account(fees, 'fees', set_provider.currency, NULL, 'city', 'credit', true) THEN
        RAISE EXCEPTION 'the ledger has other accounts under these ids, or the provider is of another currency'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'provider_in_ledger';
    END IF;
    INSERT INTO payments.provider AS p (id, kind, name, currency, checkout, fee_fixed, fee_per_10000, secret, is_offered, clearing, fees)
        VALUES (set_provider.id, set_provider.kind, set_provider.name, set_provider.currency, set_provider.checkout, set_provider.fee_fixed,
                set_provider.fee_per_10000, set_provider.secret, set_provider.is_offered, clearing, fees)
        ON CONFLICT ON CONSTRAINT provider_pkey DO UPDATE SET name = excluded.name, checkout = excluded.checkout, fee_fixed = excluded.fee_fixed,
            fee_per_10000 = excluded.fee_per_10000, secret = excluded.secret, is_offered = excluded.is_offered;
END
$$;

-- The providers through which what is left of one's own bill can be paid, and what each costs.
CREATE FUNCTION payments.ways_of(credential bytea, bill uuid) RETURNS TABLE (id text, kind text, name text, checkout text, currency text, net bigint, fee bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT p.id, p.kind, p.name, p.checkout, b.currency, b.outstanding, payments.fee_of(p.fee_fixed, p.fee_per_10000, b.outstanding)
        FROM payments.bill_of(ways_of.credential, ways_of.bill) AS b JOIN payments.provider AS p ON p.currency = b.currency AND p.is_offered
        WHERE b.outstanding > 0 ORDER BY p.kind, p.id;
END
$$;

-- Begins an attempt for what is left of one's own bill: a session, or an app's token with scope payments. fee is what was shown; where it is another by now,
-- nothing is begun. Outcomes in "outcome":
--   begun               with "address", which is signed: where it is paid
--   open                another attempt at this bill is open ("attempt" says which): one at a time
--   exists              this id was begun before
--   fee_differs, already_paid, provider_unknown, bill_unknown, credential_invalid
CREATE FUNCTION payments.begin_attempt(
    credential bytea, bill uuid, provider text, attempt uuid, receipt_code text, fee bigint, return_address text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payer record;
    owed record;
    way payments.provider;
    another uuid;
    due bigint;
    held text;
    expires timestamptz := public.stoa_now() + payments.attempt_time();
BEGIN
    SELECT h.resident_id, h.account_id INTO payer FROM ledger.holder(begin_attempt.credential, '{payments}') AS h;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'credential_invalid'); END IF;
    SELECT b.id, b.currency, b.reference, b.pays_into INTO owed FROM payments.bill AS b JOIN register.resident AS r ON r.id = b.resident_id
        WHERE b.id = begin_attempt.bill AND payer.resident_id IN (r.id, r.superseded_by);
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'bill_unknown'); END IF;
    SELECT p.* INTO way FROM payments.provider AS p WHERE p.id = begin_attempt.provider AND p.currency = owed.currency AND p.is_offered;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'provider_unknown'); END IF;
    PERFORM payments.lock_bill(owed.id);
    IF EXISTS (SELECT FROM payments.attempt AS a WHERE a.id = begin_attempt.attempt) THEN RETURN jsonb_build_object('outcome', 'exists'); END IF;
    SELECT a.id INTO another FROM payments.attempt AS a
        WHERE a.bill_id = owed.id AND a.expires_at > public.stoa_now() AND payments.attempt_state(a.id) IN ('open', 'pending') LIMIT 1;
    IF FOUND THEN RETURN jsonb_build_object('outcome', 'open', 'attempt', another); END IF;
    due := payments.outstanding(owed.id);
    IF due <= 0 THEN RETURN jsonb_build_object('outcome', 'already_paid'); END IF;
    IF begin_attempt.fee <> payments.fee_of(way.fee_fixed, way.fee_per_10000, due) THEN RETURN jsonb_build_object('outcome', 'fee_differs'); END IF;
    SELECT t.outcome INTO held FROM ledger.post_transfers(ARRAY[begin_attempt.attempt], '{hold}', ARRAY[way.clearing], ARRAY[owed.pays_into], ARRAY[due],
        ARRAY[owed.currency], ARRAY[owed.reference], '{NULL}', '{resident}', ARRAY[payer.account_id::text], expires_ats => ARRAY[expires]) AS t;
    IF held <> 'created' THEN
        RAISE EXCEPTION 'the ledger refused a hold: %', held USING ERRCODE = 'check_violation', CONSTRAINT = 'attempt_held';
    END IF;
    INSERT INTO payments.attempt (id, provider_id, bill_id, currency, net, fee, receipt_code, begun_by, return_address, expires_at)
        VALUES (begin_attempt.attempt, way.id, owed.id, owed.currency, due, begin_attempt.fee, begin_attempt.receipt_code, payer.account_id,
                begin_attempt.return_address, expires);
    RETURN jsonb_build_object('outcome', 'begun', 'address', (SELECT payments.checkout_address(a) FROM payments.attempt AS a WHERE a.id = begin_attempt.attempt));
END
$$;

-- The address at which an attempt is paid: what is asked for, in this order, and HMAC-SHA-256 over it. Every value is of characters that stand for themselves
-- in an address, or is escaped.
CREATE FUNCTION payments.checkout_address(attempt payments.attempt) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    way payments.provider;
    query text;
BEGIN
    SELECT p.* INTO STRICT way FROM payments.provider AS p WHERE p.id = attempt.provider_id;
    query := 'payment=' || attempt.id || '&amount=' || attempt.net + attempt.fee || '&currency=' || attempt.currency
        || '&reference=' || (SELECT b.reference FROM payments.bill AS b WHERE b.id = attempt.bill_id)
        || '&expires=' || floor(extract(epoch FROM attempt.expires_at))::bigint || '&return=' || attempt.return_address;
    RETURN way.checkout || '?' || query || '&signature=' || encode(payments.hmac_sha256(way.secret, convert_to(query, 'UTF8')), 'hex');
END
$$;

-- One's own attempt; with the address at which it is paid while that is open.
CREATE FUNCTION payments.attempt_of(credential bytea, attempt uuid)
    RETURNS TABLE (id uuid, bill_id uuid, provider_name text, kind text, currency text, net bigint, fee bigint, state text, begun_at timestamptz, expires_at timestamptz,
                   address text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT a.id, a.bill_id, p.name, p.kind, a.currency, a.net, a.fee, x.state, a.begun_at, a.expires_at,
            CASE WHEN x.state IN ('open', 'pending') THEN payments.checkout_address(a) END
        FROM payments.attempt AS a CROSS JOIN LATERAL (SELECT payments.attempt_state(a.id) AS state) AS x JOIN payments.provider AS p ON p.id = a.provider_id
        WHERE a.id = attempt_of.attempt AND EXISTS (SELECT FROM payments.bill_of(attempt_of.credential, a.bill_id));
END
$$;

-- Takes what a provider says: body as it was signed together with the moment (signed_at, seconds since 1970, a full stop, and the body), HMAC-SHA-256.
--   {"id", "type": pending | settled | failed | refunded, "payment", "currency", "amount"}, amounts in minor units and gross
--   {"id", "type": "settlement", "reference", "currency", "gross", "charges"}
-- Returns {"outcome", "notices"}:
--   taken, stale, amount_differs, too_much    recorded under the event's id; the same again has the same answer
--   payment_unknown, too_early                nothing was recorded: the payment is none of this provider's, or not settled yet
--   conflict                                  another event had this id
--   signature_wrong, signature_old, malformed
CREATE FUNCTION payments.take_provider_event(provider text, signed_at bigint, body bytea, signature bytea) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    way payments.provider;
    event jsonb;
    earlier record;
    about record;
    result jsonb := '{"outcome": "taken"}';
BEGIN
    SELECT p.* INTO way FROM payments.provider AS p WHERE p.id = take_provider_event.provider;
    -- The hashes of both are compared, so that how far they agree cannot be timed.
    IF NOT FOUND OR sha256(payments.hmac_sha256(way.secret, convert_to(signed_at::text || '.', 'UTF8') || body)) IS DISTINCT FROM sha256(signature) THEN
        RETURN jsonb_build_object('outcome', 'signature_wrong');
    END IF;
    IF abs(extract(epoch FROM public.stoa_now()) - signed_at) > payments.event_tolerance_seconds() THEN RETURN jsonb_build_object('outcome', 'signature_old'); END IF;
    event := convert_from(body, 'UTF8')::jsonb;
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.provider_event ' || way.id || ' ' || (event ->> 'id'), 0));
    SELECT e.body_hash, e.outcome INTO earlier FROM payments.provider_event AS e WHERE e.provider_id = way.id AND e.event_id = event ->> 'id';
    IF FOUND THEN
        RETURN jsonb_build_object('outcome', CASE WHEN earlier.body_hash = sha256(body) THEN earlier.outcome ELSE 'conflict' END);
    END IF;

    IF event ->> 'type' = 'settlement' THEN
        IF event ->> 'currency' <> way.currency THEN
            result := jsonb_build_object('outcome', 'amount_differs');
        ELSE
            INSERT INTO payments.provider_settlement (provider_id, reference, gross, charges)
                VALUES (way.id, event ->> 'reference', (event ->> 'gross')::bigint, (event ->> 'charges')::bigint) ON CONFLICT DO NOTHING;
            IF FOUND THEN
                PERFORM payments.match_settlement(event ->> 'reference', NULL);
            ELSE
                result := jsonb_build_object('outcome', 'stale');
            END IF;
        END IF;
    ELSE
        SELECT a.*, b.pays_into, b.reference, b.resident_id INTO about FROM payments.attempt AS a JOIN payments.bill AS b ON b.id = a.bill_id
            WHERE a.id = (event ->> 'payment')::uuid AND a.provider_id = way.id;
        IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'payment_unknown'); END IF;
        PERFORM payments.lock_bill(about.bill_id);
        IF event ->> 'type' = 'refunded' THEN
            result := payments.take_refund(about.id, way.id, event ->> 'id', event ->> 'currency', (event ->> 'amount')::bigint);
            IF result ->> 'outcome' = 'too_early' THEN RETURN result; END IF;
        ELSIF payments.attempt_state(about.id) = 'settled' OR payments.attempt_state(about.id) = 'failed' AND event ->> 'type' <> 'settled' THEN
            -- What was settled stays so; what failed can only turn out to have been settled.
            result := jsonb_build_object('outcome', 'stale');
        ELSIF event ->> 'currency' <> about.currency OR (event ->> 'amount')::bigint <> about.net + about.fee THEN
            result := jsonb_build_object('outcome', 'amount_differs');
        ELSIF event ->> 'type' = 'settled' THEN
            result := payments.settle_attempt(about.id);
        ELSIF event ->> 'type' = 'failed' THEN
            PERFORM payments.end_hold(about.id, way.id);
        END IF;
    END IF;
    INSERT INTO payments.provider_event (provider_id, event_id, kind, body_hash, attempt_id, currency, amount, outcome)
        VALUES (way.id, event ->> 'id', event ->> 'type', sha256(body), CASE WHEN event ->> 'type' <> 'settlement' THEN (event ->> 'payment')::uuid END,
                event ->> 'currency', coalesce(event ->> 'amount', event ->> 'gross')::bigint, result ->> 'outcome');
    RETURN result;
END
$$;

-- Releases what an attempt reserves, where it still does.
CREATE FUNCTION payments.end_hold(attempt uuid, provider text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended text;
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.open_hold AS h WHERE h.id = end_hold.attempt) THEN RETURN; END IF;
    ended := ledger.follow_up(payments.derived_id('attempt void ' || end_hold.attempt), 'void_hold', end_hold.attempt, NULL, 'VOID', 'system', end_hold.provider);
    IF ended NOT IN ('created', 'hold_expired') THEN
        RAISE EXCEPTION 'the ledger refused to release a hold: %', ended USING ERRCODE = 'check_violation', CONSTRAINT = 'attempt_released';
    END IF;
END
$$;

-- Books an attempt that was paid: what is left of the bill to it, what is too much to the wallet of its resident, the fee to fees. Whoever calls it holds
-- the bill's lock.
CREATE FUNCTION payments.settle_attempt(attempt uuid) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    about record;
    payment uuid := payments.derived_id('attempt ' || settle_attempt.attempt);
    net bigint;
    surplus bigint;
    wallet uuid;
    ids uuid[] := '{}';
    credits uuid[] := '{}';
    amounts bigint[] := '{}';
    refused text;
BEGIN
    SELECT a.*, p.clearing, p.fees, p.kind AS method, b.pays_into, b.reference, coalesce(r.superseded_by, r.id) AS resident_id INTO STRICT about
        FROM payments.attempt AS a JOIN payments.provider AS p ON p.id = a.provider_id JOIN payments.bill AS b ON b.id = a.bill_id
        JOIN register.resident AS r ON r.id = b.resident_id WHERE a.id = settle_attempt.attempt;
    net := GREATEST(0, LEAST(about.net, payments.outstanding(about.bill_id)));
    surplus := about.net - net;
    IF surplus > 0 THEN wallet := ledger.open_wallet(about.resident_id, about.currency); END IF;
    -- Before the first of two postings.
    PERFORM payouts.lock_accounts(ARRAY[about.clearing, about.pays_into, about.fees, wallet]);
    PERFORM payments.end_hold(about.id, about.provider_id);
    IF net > 0 THEN
        ids := ids || payment; credits := credits || about.pays_into; amounts := amounts || net;
    END IF;
    IF surplus > 0 THEN
        ids := ids || payments.derived_id('attempt surplus ' || about.id); credits := credits || wallet;
        amounts := amounts || surplus;
    END IF;
    IF about.fee > 0 THEN
        ids := ids || payments.derived_id('attempt fee ' || about.id); credits := credits || about.fees; amounts := amounts || about.fee;
    END IF;
    SELECT min(t.outcome) INTO refused
        FROM ledger.post_transfers(ids, array_fill('post'::text, ARRAY[cardinality(ids)]), array_fill(about.clearing, ARRAY[cardinality(ids)]), credits, amounts,
            array_fill(about.currency, ARRAY[cardinality(ids)]), array_fill(about.reference, ARRAY[cardinality(ids)]),
            array_fill(NULL::timestamptz, ARRAY[cardinality(ids)]), array_fill('system'::text, ARRAY[cardinality(ids)]),
            array_fill(about.provider_id, ARRAY[cardinality(ids)]), groups => array_fill(1, ARRAY[cardinality(ids)])) AS t
        WHERE t.outcome <> 'created';
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'the ledger refused a payment: %', refused USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_posted';
    END IF;
    IF net > 0 THEN
        INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code)
            VALUES (payment, about.bill_id, about.currency, net + about.fee, about.fee, net, about.method, payment, about.receipt_code);
    END IF;
    INSERT INTO payments.attempt_settled (attempt_id, payment_id, surplus) VALUES (about.id, CASE WHEN net > 0 THEN payment END, surplus);
    RETURN jsonb_build_object('outcome', 'taken', 'notices', payments.notices((
        SELECT jsonb_agg(jsonb_build_object('bill', about.bill_id, 'amount', x.amount, 'is_payment', x.is_payment))
        FROM (VALUES (net, true), (surplus, false)) AS x (amount, is_payment) WHERE x.amount > 0)));
END
$$;

-- Books what a provider gave back of what an attempt brought, its fee included: first of the bill's payment, then of the fee, then of what went to the resident's
-- wallet. What is not there any more (the resident had it back another way, or took it out) the city bears, in the account of the bank's charges. Whoever calls
-- it holds the bill's lock. Outcomes: taken, too_much (more than was paid, or gave back already), amount_differs (another currency, or nothing), too_early (the
-- payment is not settled).
CREATE FUNCTION payments.take_refund(attempt uuid, provider text, event text, currency text, amount bigint) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    about record;
    given bigint;
    given_then bigint;
    of_bill bigint;
    of_fee bigint;
    of_wallet bigint;
    borne bigint := 0;
    wallet uuid;
    charges uuid;
    legs text[];
    accounts uuid[];
    amounts bigint[];
    refused text;
BEGIN
    SELECT a.currency, a.fee, s.payment_id, coalesce(p.net, 0) AS net, s.surplus, w.clearing, w.fees, b.pays_into, b.reference,
            coalesce(r.superseded_by, r.id) AS resident_id INTO about
        FROM payments.attempt_settled AS s JOIN payments.attempt AS a ON a.id = s.attempt_id JOIN payments.bill AS b ON b.id = a.bill_id
        JOIN register.resident AS r ON r.id = b.resident_id JOIN payments.provider AS w ON w.id = a.provider_id
        LEFT JOIN payments.payment AS p ON p.id = s.payment_id WHERE s.attempt_id = take_refund.attempt;
    IF NOT FOUND THEN RETURN jsonb_build_object('outcome', 'too_early'); END IF;
    IF take_refund.currency <> about.currency OR take_refund.amount <= 0 THEN RETURN jsonb_build_object('outcome', 'amount_differs'); END IF;
    given := coalesce((SELECT sum(e.amount)::bigint FROM payments.provider_event AS e
                        WHERE e.attempt_id = take_refund.attempt AND e.kind = 'refunded' AND e.outcome = 'taken'), 0);
    IF take_refund.amount > about.net + about.fee + about.surplus - given THEN RETURN jsonb_build_object('outcome', 'too_much'); END IF;
    given_then := given + take_refund.amount;
    of_bill := GREATEST(0, LEAST(given_then, about.net) - given);
    of_fee := GREATEST(0, LEAST(given_then, about.net + about.fee) - GREATEST(given, about.net));
    of_wallet := take_refund.amount - of_bill - of_fee;
    charges := payouts.charges_account(about.currency);
    IF of_wallet > 0 THEN wallet := ledger.open_wallet(about.resident_id, about.currency); END IF;
    PERFORM payouts.lock_accounts(ARRAY[about.clearing, about.pays_into, about.fees, charges, wallet]);
    IF of_bill > 0 THEN
        borne := of_bill - LEAST(of_bill, about.net - payments.refunded(about.payment_id));
        of_bill := of_bill - borne;
    END IF;
    IF of_fee > 0 AND payments.available(about.fees) < of_fee THEN borne := borne + of_fee; of_fee := 0; END IF;
    IF of_wallet > 0 AND payments.available(wallet) < of_wallet THEN borne := borne + of_wallet; of_wallet := 0; END IF;
    SELECT array_agg(l.name), array_agg(l.account), array_agg(l.amount) INTO legs, accounts, amounts
        FROM (VALUES ('refund', about.pays_into, of_bill), ('refund fee', about.fees, of_fee), ('refund surplus', wallet, of_wallet), ('refund borne', charges, borne))
            AS l (name, account, amount) WHERE l.amount > 0;
    SELECT min(t.outcome) INTO refused
        FROM ledger.post_transfers(
            ARRAY(SELECT payments.derived_id(u.leg || ' ' || take_refund.provider || ' ' || take_refund.event) FROM unnest(legs) WITH ORDINALITY AS u (leg, place) ORDER BY u.place),
            array_fill('post'::text, ARRAY[cardinality(legs)]), accounts, array_fill(about.clearing, ARRAY[cardinality(legs)]), amounts,
            array_fill(about.currency, ARRAY[cardinality(legs)]), array_fill(about.reference, ARRAY[cardinality(legs)]),
            array_fill(NULL::timestamptz, ARRAY[cardinality(legs)]), array_fill('system'::text, ARRAY[cardinality(legs)]),
            array_fill(take_refund.provider, ARRAY[cardinality(legs)]), groups => array_fill(1, ARRAY[cardinality(legs)])) AS t
        WHERE t.outcome <> 'created';
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'the ledger refused a refund: %', refused USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_posted';
    END IF;
    IF of_bill > 0 THEN
        INSERT INTO payments.refund (id, payment_id, amount)
            VALUES (payments.derived_id('refund ' || take_refund.provider || ' ' || take_refund.event), about.payment_id, of_bill);
    END IF;
    RETURN jsonb_build_object('outcome', 'taken');
END
$$;

-- What an account can give now. The caller has locked it.
CREATE FUNCTION payments.available(account uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT a.posted - ledger.held_now(a.id, a.held) FROM ledger.account AS a WHERE a.id = available.account);
END
$$;
ALTER FUNCTION payments.available(uuid) OWNER TO stoa_door;

-- The accounts that settlements of providers pass, for whoever locks accounts before several postings.
CREATE FUNCTION payments.settlement_accounts(currency text) RETURNS uuid[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT array_agg(x.id) FROM payments.provider AS p CROSS JOIN LATERAL unnest(ARRAY[p.clearing, p.fees]) AS x (id)
                     WHERE p.currency = settlement_accounts.currency), '{}');
END
$$;

-- Most that a provider keeps of a settlement for its payments to be cleared without anybody looking, in ten thousandths: no contract of a city's is dearer.
CREATE FUNCTION payments.charges_per_10000_max() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 500;
ALTER FUNCTION payments.charges_per_10000_max() OWNER TO stoa_door;

-- Ties a settlement to the part of a movement that waits and has its reference and amount, where both are there: what the provider took moves off what it
-- owes, and what it kept is paid from fees. Only among parts of these movements, where some are named.
CREATE FUNCTION payments.match_settlement(reference text, movements uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told record;
    part record;
    posted text;
BEGIN
    SELECT s.reference, s.gross, s.charges, p.id AS provider_id, p.currency, p.clearing, p.fees INTO told
        FROM payments.provider_settlement AS s JOIN payments.provider AS p ON p.id = s.provider_id
        WHERE s.reference = match_settlement.reference AND NOT EXISTS (SELECT FROM payments.bank_settlement AS b WHERE b.reference = s.reference);
    IF NOT FOUND THEN RETURN; END IF;
    -- What it says beyond that waits in suspense until somebody has asked it.
    IF told.charges * 10000 > told.gross * payments.charges_per_10000_max() THEN RETURN; END IF;
    SELECT i.id, a.suspense_account INTO part
        FROM payments.bank_item_waiting AS w JOIN payments.bank_item AS i ON i.id = w.item_id
        JOIN payments.bank_movement AS m ON m.id = i.movement_id JOIN payments.bank_account AS a ON a.id = m.account_id
        JOIN payments.bank_entry AS e ON (e.report_id, e.position) = (m.report_id, m.position)
        WHERE (match_settlement.movements IS NULL OR m.id = ANY (match_settlement.movements)) AND i.amount = told.gross - told.charges AND i.currency = told.currency AND payments.item_rest(i.id) = i.amount
          AND (e.parts -> (i.number - 1) ->> 'end_to_end_id' = told.reference OR position(told.reference IN e.parts -> (i.number - 1) ->> 'text') > 0)
        ORDER BY i.recorded_at, i.id LIMIT 1;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM payments.lock_item(part.id);
    IF payments.item_rest(part.id) <> told.gross - told.charges THEN RETURN; END IF;
    SELECT min(t.outcome) INTO posted
        FROM ledger.post_transfers(
            ARRAY[payments.derived_id('settlement ' || told.reference)] || CASE WHEN told.charges > 0 THEN ARRAY[payments.derived_id('settlement charges ' || told.reference)] END,
            ARRAY['post'] || CASE WHEN told.charges > 0 THEN ARRAY['post'] END,
            ARRAY[part.suspense_account] || CASE WHEN told.charges > 0 THEN ARRAY[told.fees] END,
            ARRAY[told.clearing] || CASE WHEN told.charges > 0 THEN ARRAY[told.clearing] END,
            ARRAY[told.gross - told.charges] || CASE WHEN told.charges > 0 THEN ARRAY[told.charges] END,
            ARRAY[told.currency] || CASE WHEN told.charges > 0 THEN ARRAY[told.currency] END,
            ARRAY[told.reference] || CASE WHEN told.charges > 0 THEN ARRAY[told.reference] END,
            ARRAY[NULL::timestamptz] || CASE WHEN told.charges > 0 THEN ARRAY[NULL::timestamptz] END,
            ARRAY['system'] || CASE WHEN told.charges > 0 THEN ARRAY['system'] END,
            ARRAY[told.provider_id] || CASE WHEN told.charges > 0 THEN ARRAY[told.provider_id] END) AS t
        WHERE t.outcome <> 'created';
    IF posted IS NOT NULL THEN
        RAISE EXCEPTION 'the ledger refused a settlement: %', posted USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_posted';
    END IF;
    INSERT INTO payments.bank_settlement (item_id, reference) VALUES (part.id, told.reference);
END
$$;

-- Ties the settlements that were told and not found yet to the parts of new movements. For payments.book_report, which holds the locks: an older part, which
-- somebody else may hold, was looked at when the settlement was told.
CREATE FUNCTION payments.match_settlements(movements uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told record;
BEGIN
    FOR told IN SELECT s.reference FROM payments.provider_settlement AS s
            WHERE NOT EXISTS (SELECT FROM payments.bank_settlement AS b WHERE b.reference = s.reference) ORDER BY s.reference LOOP
        PERFORM payments.match_settlement(told.reference, match_settlements.movements);
    END LOOP;
END
$$;

ALTER FUNCTION payments.attempt_time() OWNER TO stoa_door;
ALTER FUNCTION payments.event_tolerance_seconds() OWNER TO stoa_door;
ALTER FUNCTION payments.hmac_sha256(bytea, bytea) OWNER TO stoa_door;
ALTER FUNCTION payments.fee_of(bigint, integer, bigint) OWNER TO stoa_door;
ALTER FUNCTION payments.attempt_state(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.ways_of(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.begin_attempt(bytea, uuid, text, uuid, text, bigint, text) OWNER TO stoa_door;
ALTER FUNCTION payments.checkout_address(payments.attempt) OWNER TO stoa_door;
ALTER FUNCTION payments.attempt_of(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.take_provider_event(text, bigint, bytea, bytea) OWNER TO stoa_door;
ALTER FUNCTION payments.end_hold(uuid, text) OWNER TO stoa_door;
ALTER FUNCTION payments.settle_attempt(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.take_refund(uuid, text, text, text, bigint) OWNER TO stoa_door;
ALTER FUNCTION payments.settlement_accounts(text) OWNER TO stoa_door;
ALTER FUNCTION payments.match_settlement(text, uuid[]) OWNER TO stoa_door;
ALTER FUNCTION payments.match_settlements(uuid[]) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.ways_of(bytea, uuid), payments.begin_attempt(bytea, uuid, text, uuid, text, bigint, text), payments.attempt_of(bytea, uuid),
    payments.take_provider_event(text, bigint, bytea, bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA payments FROM stoa_door;
