-- Payments by residents: what the city asks for, and what was paid.
-- A bill never changes; whether it is paid follows from its payments, which never sum to more than it, whatever races.
CREATE SCHEMA payments;
GRANT USAGE ON SCHEMA payments TO stoa_app, stoa_auditor, stoa_door;

-- Structured creditor references (ISO 11649): RF, two check digits by ISO 7064 MOD 97-10, up to 21 letters and digits. What is left of the
-- characters as a number (A is 10, Z is 35) when it is divided by 97.
CREATE FUNCTION payments.remainder_97(characters text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT (string_agg(CASE WHEN ascii(c.letter) < 65 THEN c.letter ELSE (ascii(c.letter) - 55)::text END, '' ORDER BY c.position)::numeric % 97)::integer
            FROM string_to_table(characters, NULL) WITH ORDINALITY AS c (letter, position));
CREATE FUNCTION payments.is_creditor_reference(reference text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN reference ~ '^RF[0-9]{2}[A-Z0-9]{1,21}$' THEN payments.remainder_97(substr(reference, 5) || substr(reference, 1, 4)) = 1 ELSE false END;
CREATE SEQUENCE payments.creditor_reference_number;
-- Ten digits tell a slip of the pen from another bill by the check digits, and leave room for ten thousand million bills.
CREATE FUNCTION payments.next_creditor_reference() RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body text := lpad(nextval('payments.creditor_reference_number')::text, 10, '0');
BEGIN
    RETURN 'RF' || lpad((98 - payments.remainder_97(body || 'RF00'))::text, 2, '0') || body;
END
$$;

CREATE TABLE payments.bill (
    id uuid PRIMARY KEY,
    resident_id uuid NOT NULL REFERENCES register.resident,
    kind text NOT NULL CHECK (kind IN ('tax', 'fee', 'fine', 'permit', 'rent')),
    -- What people quote when they ask about it.
    reference text NOT NULL UNIQUE CHECK (reference ~ '^[A-Z0-9][A-Z0-9-]{2,34}$'),
    -- What a bank carries with a transfer, and by which its money finds the bill.
    creditor_reference text NOT NULL UNIQUE DEFAULT payments.next_creditor_reference() CHECK (payments.is_creditor_reference(creditor_reference)),
    -- {"en": …, "fr": …, "ar": …}; English is the one that must be there.
    title jsonb NOT NULL CHECK (jsonb_typeof(title -> 'en') = 'string'),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    issued_on date NOT NULL,
    due_on date NOT NULL CHECK (due_on >= issued_on),
    -- The revenue account of the ledger that the money goes to.
    pays_into uuid NOT NULL REFERENCES ledger.account,
    created_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (id, currency)
);
CREATE INDEX bill_resident ON payments.bill (resident_id, created_at, id);

CREATE TABLE payments.bill_line (
    bill_id uuid NOT NULL REFERENCES payments.bill,
    position integer NOT NULL CHECK (position BETWEEN 1 AND 100),
    description jsonb NOT NULL CHECK (jsonb_typeof(description -> 'en') = 'string'),
    -- A reduction is negative.
    amount bigint NOT NULL CHECK (amount <> 0 AND amount BETWEEN -9007199254740991 AND 9007199254740991),
    PRIMARY KEY (bill_id, position)
);

CREATE TABLE payments.payment (
    id uuid PRIMARY KEY,
    bill_id uuid NOT NULL,
    currency text NOT NULL,
    -- gross: what left the payer; fee: what of it the way of paying cost; net: what reached the bill.
    gross bigint NOT NULL CHECK (gross > 0),
    fee bigint NOT NULL CHECK (fee >= 0),
    net bigint NOT NULL CHECK (net > 0),
    method text NOT NULL CHECK (method IN ('wallet', 'bank_transfer', 'cash')),
    transfer_id uuid NOT NULL REFERENCES ledger.transfer,
    -- Short enough to read out on the telephone.
    receipt_code text NOT NULL CHECK (receipt_code ~ '^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$'),
    -- Who paid: whose wallet it was, or a helper under a mandate (mandate_id, 0034); nobody is known for sure behind a bank transfer or cash.
    account_id uuid REFERENCES identity.account,
    client_id text REFERENCES openid.client,
    paid_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CHECK ((method = 'wallet') = (account_id IS NOT NULL)),
    CONSTRAINT transfer_pays_once UNIQUE (transfer_id),
    CONSTRAINT receipt_code_once UNIQUE (receipt_code),
    CONSTRAINT gross_is_fee_and_net CHECK (gross = fee + net),
    CONSTRAINT payment_currency FOREIGN KEY (bill_id, currency) REFERENCES payments.bill (id, currency)
);
CREATE INDEX payment_bill ON payments.payment (bill_id, paid_at, id);

CREATE TRIGGER bill_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.bill
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER bill_line_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.bill_line
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER payment_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.payment
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- At the commit the lines of a bill add up to its amount, and it pays into an account of its currency.
CREATE FUNCTION payments.check_bill() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bill uuid := CASE TG_TABLE_NAME WHEN 'bill' THEN to_jsonb(NEW) ->> 'id' ELSE to_jsonb(NEW) ->> 'bill_id' END;
BEGIN
    IF (SELECT b.amount FROM payments.bill AS b WHERE b.id = bill)
        IS DISTINCT FROM (SELECT sum(l.amount) FROM payments.bill_line AS l WHERE l.bill_id = bill) THEN
        RAISE EXCEPTION 'the lines of a bill add up to its amount' USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_equals_lines';
    END IF;
    IF NOT EXISTS (SELECT FROM payments.bill AS b JOIN ledger.account AS a ON a.id = b.pays_into AND a.currency = b.currency WHERE b.id = bill) THEN
        RAISE EXCEPTION 'a bill pays into an account of its currency' USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_pays_into_currency';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER bill_equals_lines AFTER INSERT ON payments.bill DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments.check_bill();
CREATE CONSTRAINT TRIGGER bill_line_equals_bill AFTER INSERT ON payments.bill_line DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION payments.check_bill();

-- What the city forgoes of a bill. One proposes, another decides.
CREATE TABLE payments.waiver (
    id uuid PRIMARY KEY,
    bill_id uuid NOT NULL REFERENCES payments.bill,
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    -- Shown to the resident once it is approved.
    reason text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    proposed_by uuid NOT NULL REFERENCES identity.staff,
    proposed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    UNIQUE (id, proposed_by)
);
CREATE INDEX waiver_bill ON payments.waiver (bill_id);
CREATE TABLE payments.waiver_decision (
    waiver_id uuid PRIMARY KEY,
    proposed_by uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('approved', 'refused')),
    decided_by uuid NOT NULL REFERENCES identity.staff,
    decided_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT waived_by_another CHECK (decided_by <> proposed_by),
    FOREIGN KEY (waiver_id, proposed_by) REFERENCES payments.waiver (id, proposed_by)
);
CREATE TRIGGER waiver_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.waiver
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
CREATE TRIGGER waiver_decision_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.waiver_decision
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- That a resident was reminded of a bill: once before it is due, once after.
CREATE TABLE payments.reminder (
    bill_id uuid NOT NULL REFERENCES payments.bill,
    kind text NOT NULL CHECK (kind IN ('due_soon', 'overdue')),
    sent_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    PRIMARY KEY (bill_id, kind)
);
CREATE INDEX bill_due ON payments.bill (due_on);
CREATE TRIGGER reminder_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.reminder
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

-- What is still to be paid of a bill. Whoever acts on it holds the bill's lock.
CREATE FUNCTION payments.outstanding(bill uuid) RETURNS bigint
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT b.amount - coalesce((SELECT sum(p.net) FROM payments.payment AS p WHERE p.bill_id = b.id), 0)::bigint
            - coalesce((SELECT sum(w.amount) FROM payments.waiver AS w JOIN payments.waiver_decision AS d ON d.waiver_id = w.id AND d.kind = 'approved'
                        WHERE w.bill_id = b.id), 0)::bigint
        FROM payments.bill AS b WHERE b.id = outstanding.bill;
    END;

-- One payer of a bill at a time; the next one finds the payment. Taken before any account of the ledger, and of several bills in the order
-- of their ids, so that nobody waits crosswise.
CREATE FUNCTION payments.lock_bill(bill uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM payments.bill AS b WHERE b.id = lock_bill.bill FOR NO KEY UPDATE;
END
$$;

-- The payments of a bill never sum to more than it: what somebody pays too much is theirs.
CREATE FUNCTION payments.check_payment() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM payments.lock_bill(NEW.bill_id);
    IF payments.outstanding(NEW.bill_id) < 0 THEN
        RAISE EXCEPTION 'the payments of a bill sum to at most its amount' USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_within_bill';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER payment_within_bill AFTER INSERT ON payments.payment FOR EACH ROW EXECUTE FUNCTION payments.check_payment();

-- What is forgone never passes what is left to pay.
CREATE FUNCTION payments.check_waiver() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bill uuid := (SELECT w.bill_id FROM payments.waiver AS w WHERE w.id = NEW.waiver_id);
BEGIN
    PERFORM payments.lock_bill(bill);
    IF payments.outstanding(bill) < 0 THEN
        RAISE EXCEPTION 'what is forgone of a bill is at most what is left to pay' USING ERRCODE = 'check_violation', CONSTRAINT = 'waiver_within_bill';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER waiver_within_bill AFTER INSERT ON payments.waiver_decision FOR EACH ROW EXECUTE FUNCTION payments.check_waiver();

GRANT CREATE ON SCHEMA payments TO stoa_door;
GRANT SELECT ON payments.bill, payments.bill_line TO stoa_door;
-- To lock a row; nobody changes one.
GRANT UPDATE (id) ON payments.bill TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.is_creditor_reference(text), payments.remainder_97(text) TO stoa_door;
GRANT SELECT, INSERT ON payments.payment, payments.waiver, payments.waiver_decision, payments.reminder TO stoa_door;
GRANT SELECT, INSERT ON web.idempotency_key TO stoa_door;
GRANT SELECT ON payments.bill, payments.bill_line, payments.payment, payments.waiver, payments.waiver_decision, payments.reminder TO stoa_auditor;

-- The bills of the resident whom the credential names, newest first, each with its newest payment: a session, or an app's token with scope bills.
-- A bill follows its resident when a register record takes the place of the one it was made out to.
CREATE FUNCTION payments.bills_of(credential bytea, before_at timestamptz, before_id uuid, page_size integer)
    RETURNS TABLE (id uuid, kind text, reference text, creditor_reference text, title jsonb, currency text, amount bigint, outstanding bigint,
                   issued_on date, due_on date, created_at timestamptz, payment_id uuid, method text, gross bigint, fee bigint, net bigint,
                   receipt_code text, transfer_id uuid, paid_at timestamptz, asked_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.kind, b.reference, b.creditor_reference, b.title, b.currency, b.amount, payments.outstanding(b.id), b.issued_on, b.due_on,
            b.created_at, p.id, p.method, p.gross, p.fee, p.net, p.receipt_code, p.transfer_id, p.paid_at, public.stoa_now()
        FROM ledger.payer(bills_of.credential, '{bills}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payments.bill AS b ON b.resident_id = r.id
        LEFT JOIN LATERAL (SELECT x.* FROM payments.payment AS x WHERE x.bill_id = b.id ORDER BY x.paid_at DESC, x.id DESC LIMIT 1) AS p ON true
        WHERE bills_of.before_at IS NULL OR (b.created_at, b.id) < (bills_of.before_at, bills_of.before_id)
        ORDER BY b.created_at DESC, b.id DESC
        LIMIT LEAST(bills_of.page_size, 201);
END
$$;

-- One of them, also for an app that may only pay. No row for a bill of somebody else, as for one that does not exist.
CREATE FUNCTION payments.bill_of(credential bytea, bill uuid)
    RETURNS TABLE (id uuid, kind text, reference text, creditor_reference text, title jsonb, currency text, amount bigint, outstanding bigint,
                   issued_on date, due_on date, created_at timestamptz, payment_id uuid, method text, gross bigint, fee bigint, net bigint,
                   receipt_code text, transfer_id uuid, paid_at timestamptz, asked_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.kind, b.reference, b.creditor_reference, b.title, b.currency, b.amount, payments.outstanding(b.id), b.issued_on, b.due_on,
            b.created_at, p.id, p.method, p.gross, p.fee, p.net, p.receipt_code, p.transfer_id, p.paid_at, public.stoa_now()
        FROM ledger.payer(bill_of.credential, '{bills,payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id
        JOIN payments.bill AS b ON b.resident_id = r.id
        LEFT JOIN LATERAL (SELECT x.* FROM payments.payment AS x WHERE x.bill_id = b.id ORDER BY x.paid_at DESC, x.id DESC LIMIT 1) AS p ON true
        WHERE b.id = bill_of.bill;
END
$$;

CREATE FUNCTION payments.bill_lines_of(credential bytea, bill uuid) RETURNS TABLE ("position" integer, description jsonb, amount bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT l.position, l.description, l.amount
        FROM payments.bill_of(bill_lines_of.credential, bill_lines_of.bill) AS b JOIN payments.bill_line AS l ON l.bill_id = b.id
        ORDER BY l.position;
END
$$;

-- What was paid for one of them, oldest first.
CREATE FUNCTION payments.payments_of(credential bytea, bill uuid)
    RETURNS TABLE (id uuid, currency text, method text, gross bigint, fee bigint, net bigint, receipt_code text, transfer_id uuid, paid_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT p.id, p.currency, p.method, p.gross, p.fee, p.net, p.receipt_code, p.transfer_id, p.paid_at
        FROM payments.bill_of(payments_of.credential, payments_of.bill) AS b JOIN payments.payment AS p ON p.bill_id = b.id
        ORDER BY p.paid_at, p.id;
END
$$;

-- Pays what is left of a bill from the wallet of the resident whom the credential names: a session, or an app's token with scope payments.
-- The transfer, the payment and the answer to the Idempotency-Key (null for a page) are one transaction. Outcomes:
--   paid                 payment is new (is_new), or is what this key led to before
--   already_paid         nothing is left to pay; payment is the last one
--   insufficient_funds   nothing happened; the key keeps this answer, a new key may succeed
--   key_reused           the key came with another request before
--   bill_unknown, credential_invalid
CREATE FUNCTION payments.pay(
    credential bytea, bill uuid, payment_id uuid, receipt_code text, idempotency_key text, request_hash bytea,
    OUT outcome text, OUT payment uuid, OUT is_new boolean, OUT resident uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key_route CONSTANT text := 'POST /api/v1/bills/{id}/payments';
    payer record;
    key_actor text;
    earlier record;
    owed record;
    wallet uuid;
    posted text;
BEGIN
    is_new := false;
    SELECT h.* INTO payer FROM ledger.payer(pay.credential, '{payments}') AS h;
    IF NOT FOUND THEN
        outcome := 'credential_invalid';
        RETURN;
    END IF;
    resident := payer.resident_id;

    IF idempotency_key IS NOT NULL THEN
        key_actor := payer.account_id || coalesce(' ' || payer.client_id, '');
        PERFORM pg_advisory_xact_lock(hashtextextended(key_actor || ' ' || key_route || ' ' || idempotency_key, 0));
        SELECT k.body_hash, k.status, k.resource_id INTO earlier
            FROM web.idempotency_key AS k WHERE k.actor = key_actor AND k.route = key_route AND k.key = idempotency_key;
        IF FOUND THEN
            outcome := CASE WHEN earlier.body_hash <> request_hash THEN 'key_reused'
                            WHEN earlier.status = 201 THEN 'paid' WHEN earlier.status = 409 THEN 'already_paid' ELSE 'insufficient_funds' END;
            payment := CASE WHEN outcome <> 'key_reused' THEN earlier.resource_id END;
            RETURN;
        END IF;
    END IF;

    SELECT b.id, b.currency, b.reference, b.pays_into, 0::bigint AS outstanding INTO owed
        FROM payments.bill AS b JOIN register.resident AS r ON r.id = b.resident_id
        WHERE b.id = pay.bill AND (r.id = payer.resident_id OR r.superseded_by = payer.resident_id);
    IF NOT FOUND THEN
        outcome := 'bill_unknown';
        RETURN;
    END IF;

    PERFORM payments.lock_bill(owed.id);
    owed.outstanding := payments.outstanding(owed.id);
    IF owed.outstanding <= 0 THEN
        SELECT p.id INTO payment FROM payments.payment AS p WHERE p.bill_id = owed.id ORDER BY p.paid_at DESC, p.id DESC LIMIT 1;
        outcome := 'already_paid';
    ELSE
        SELECT a.id INTO wallet FROM ledger.account AS a
            WHERE a.resident_id = payer.resident_id AND a.currency = owed.currency AND a.kind = 'wallet' AND a.closed_at IS NULL;
        IF wallet IS NULL THEN
            outcome := 'insufficient_funds';
        ELSE
            SELECT t.outcome INTO posted FROM ledger.post_transfers(ARRAY[pay.payment_id], '{post}', ARRAY[wallet], ARRAY[owed.pays_into],
                ARRAY[owed.outstanding], ARRAY[owed.currency], ARRAY[owed.reference], '{NULL}', '{resident}', ARRAY[payer.account_id::text]) AS t;
            CASE posted
                WHEN 'created' THEN
                    -- Paying from the wallet costs nothing.
                    INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code, account_id, client_id, mandate_id)
                        VALUES (pay.payment_id, owed.id, owed.currency, owed.outstanding, 0, owed.outstanding, 'wallet', pay.payment_id,
                                pay.receipt_code, payer.account_id, payer.client_id, payer.mandate_id);
                    IF payer.mandate_id IS NOT NULL THEN
                        PERFORM mandates.log(pay.payment_id, payer.resident_id, payer.account_id, 'mandate_act', 'pay_bill', payer.mandate_reference, NULL);
                    END IF;
                    payment := pay.payment_id;
                    outcome := 'paid';
                    is_new := true;
                WHEN 'insufficient_funds' THEN
                    outcome := 'insufficient_funds';
                ELSE
                    RAISE EXCEPTION 'the ledger refused a payment: %', posted
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_posted';
            END CASE;
        END IF;
    END IF;

    IF idempotency_key IS NOT NULL THEN
        INSERT INTO web.idempotency_key (actor, route, key, body_hash, status, resource_id)
            VALUES (key_actor, key_route, idempotency_key, request_hash,
                    CASE outcome WHEN 'paid' THEN 201 WHEN 'already_paid' THEN 409 ELSE 422 END, payment);
    END IF;
END
$$;

-- A bill by either of its references, as finance officers, approvers and auditors see it: not whose it is.
CREATE FUNCTION payments.bill_for(credential bytea, bill_reference text)
    RETURNS TABLE (id uuid, kind text, reference text, title jsonb, currency text, amount bigint, outstanding bigint, issued_on date, due_on date)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.id, b.kind, b.reference, b.title, b.currency, b.amount, payments.outstanding(b.id), b.issued_on, b.due_on
        FROM web.staff_with(bill_for.credential, '{finance_officer,approver,auditor}') AS s
        JOIN payments.bill AS b ON b.reference = bill_for.bill_reference OR b.creditor_reference = bill_for.bill_reference;
END
$$;

-- What was proposed to forgo of a bill, oldest first; without one, what waits for a decision.
CREATE FUNCTION payments.waivers_for(credential bytea, bill uuid, page_size integer)
    RETURNS TABLE (id uuid, bill_reference text, currency text, amount bigint, reason text, proposed_by text, is_mine boolean, proposed_at timestamptz, decision text,
                   decided_by text, decided_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT w.id, b.reference, b.currency, w.amount, w.reason, proposer.display_name, w.proposed_by = s.staff_id, w.proposed_at, d.kind, decider.display_name,
            d.decided_at
        FROM web.staff_with(waivers_for.credential, '{finance_officer,approver,auditor}') AS s
        CROSS JOIN payments.waiver AS w
        JOIN payments.bill AS b ON b.id = w.bill_id
        JOIN identity.staff AS proposer ON proposer.id = w.proposed_by
        LEFT JOIN payments.waiver_decision AS d ON d.waiver_id = w.id
        LEFT JOIN identity.staff AS decider ON decider.id = d.decided_by
        WHERE CASE WHEN waivers_for.bill IS NULL THEN d.waiver_id IS NULL ELSE w.bill_id = waivers_for.bill END
        ORDER BY w.proposed_at, w.id
        LIMIT LEAST(waivers_for.page_size, 201);
END
$$;

-- What was forgone of one's own bill, and why.
CREATE FUNCTION payments.waivers_of(credential bytea, bill uuid) RETURNS TABLE (currency text, amount bigint, reason text, decided_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT b.currency, w.amount, w.reason, d.decided_at
        FROM payments.bill_of(waivers_of.credential, waivers_of.bill) AS b
        JOIN payments.waiver AS w ON w.bill_id = b.id JOIN payments.waiver_decision AS d ON d.waiver_id = w.id AND d.kind = 'approved'
        ORDER BY d.decided_at, w.id;
END
$$;

-- A finance officer proposes to forgo an amount of a bill. Outcomes: proposed, exists (the same again), bill_unknown, too_much, waits (another
-- proposal does), role_missing.
CREATE FUNCTION payments.propose_waiver(credential bytea, waiver uuid, bill uuid, amount bigint, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(propose_waiver.credential, '{finance_officer}') AS s;
    IF NOT FOUND THEN RETURN 'role_missing'; END IF;
    IF NOT EXISTS (SELECT FROM payments.bill AS b WHERE b.id = propose_waiver.bill) THEN RETURN 'bill_unknown'; END IF;
    PERFORM payments.lock_bill(propose_waiver.bill);
    IF EXISTS (SELECT FROM payments.waiver AS w WHERE w.id = propose_waiver.waiver AND w.bill_id = propose_waiver.bill) THEN RETURN 'exists'; END IF;
    IF EXISTS (SELECT FROM payments.waiver AS w WHERE w.bill_id = propose_waiver.bill
               AND NOT EXISTS (SELECT FROM payments.waiver_decision AS d WHERE d.waiver_id = w.id)) THEN RETURN 'waits'; END IF;
    IF propose_waiver.amount > payments.outstanding(propose_waiver.bill) THEN RETURN 'too_much'; END IF;
    INSERT INTO payments.waiver (id, bill_id, amount, reason, proposed_by)
        VALUES (propose_waiver.waiver, propose_waiver.bill, propose_waiver.amount, propose_waiver.reason, officer);
    RETURN 'proposed';
END
$$;

-- Another than who proposed it decides: a finance officer or an approver. Outcomes: approved (with whom to tell, in which language; none: no account),
-- refused, already_decided, self_approval, too_much (it was paid meanwhile), waiver_unknown, role_missing.
CREATE FUNCTION payments.decide_waiver(
    credential bytea, waiver uuid, decision text,
    OUT outcome text, OUT resident uuid, OUT amount bigint, OUT currency text, OUT reference text, OUT language text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    decider uuid;
    proposal record;
BEGIN
    SELECT s.staff_id INTO decider FROM web.staff_with(decide_waiver.credential, '{finance_officer,approver}') AS s;
    IF NOT FOUND THEN outcome := 'role_missing'; RETURN; END IF;
    SELECT w.id, w.bill_id, w.amount, w.proposed_by, b.currency, b.reference, coalesce(r.superseded_by, r.id) AS resident_id INTO proposal
        FROM payments.waiver AS w JOIN payments.bill AS b ON b.id = w.bill_id JOIN register.resident AS r ON r.id = b.resident_id
        WHERE w.id = decide_waiver.waiver;
    IF NOT FOUND THEN outcome := 'waiver_unknown'; RETURN; END IF;
    PERFORM payments.lock_bill(proposal.bill_id);
    IF EXISTS (SELECT FROM payments.waiver_decision AS d WHERE d.waiver_id = proposal.id) THEN outcome := 'already_decided'; RETURN; END IF;
    IF proposal.proposed_by = decider THEN outcome := 'self_approval'; RETURN; END IF;
    IF decide_waiver.decision = 'approved' AND proposal.amount > payments.outstanding(proposal.bill_id) THEN outcome := 'too_much'; RETURN; END IF;
    INSERT INTO payments.waiver_decision (waiver_id, proposed_by, kind, decided_by) VALUES (proposal.id, proposal.proposed_by, decide_waiver.decision, decider);
    outcome := decide_waiver.decision;
    IF outcome = 'refused' THEN RETURN; END IF;
    resident := proposal.resident_id;
    amount := proposal.amount;
    currency := proposal.currency;
    reference := proposal.reference;
    SELECT a.language INTO decide_waiver.language FROM identity.account AS a WHERE a.resident_id = proposal.resident_id;
END
$$;

-- Notes whom to remind: before the due day and after it, each once. The caller tells them in the same transaction.
CREATE FUNCTION payments.remind(zone text, days_before integer, days_after integer, bills_max integer)
    RETURNS TABLE (kind text, resident uuid, reference text, currency text, amount bigint, language text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    today date := (public.stoa_now() AT TIME ZONE zone)::date;
BEGIN
    RETURN QUERY
        WITH due AS (
            SELECT b.id, CASE WHEN b.due_on < today THEN 'overdue' ELSE 'due_soon' END AS kind, payments.outstanding(b.id) AS amount
            FROM payments.bill AS b
            WHERE b.due_on BETWEEN today - days_after AND today + days_before AND payments.outstanding(b.id) > 0
              AND NOT EXISTS (SELECT FROM payments.reminder AS m WHERE m.bill_id = b.id
                              AND m.kind = CASE WHEN b.due_on < today THEN 'overdue' ELSE 'due_soon' END)
            ORDER BY b.due_on, b.id LIMIT bills_max
        ), sent AS (
            INSERT INTO payments.reminder AS m (bill_id, kind) SELECT d.id, d.kind FROM due AS d ON CONFLICT DO NOTHING RETURNING m.bill_id, m.kind
        )
        SELECT s.kind, coalesce(r.superseded_by, r.id), b.reference, b.currency, d.amount, a.language
        FROM sent AS s JOIN due AS d ON d.id = s.bill_id JOIN payments.bill AS b ON b.id = s.bill_id JOIN register.resident AS r ON r.id = b.resident_id
        LEFT JOIN identity.account AS a ON a.resident_id = coalesce(r.superseded_by, r.id);
END
$$;

-- Makes out a bill, for the owner: the demo city. The lines' descriptions and amounts are arrays of equal length.
CREATE FUNCTION payments.issue_bill(
    id uuid, resident uuid, kind text, reference text, title jsonb, currency text, issued_on date, due_on date, pays_into uuid,
    line_descriptions jsonb[], line_amounts bigint[]) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO payments.bill (id, resident_id, kind, reference, title, currency, amount, issued_on, due_on, pays_into)
        VALUES (issue_bill.id, issue_bill.resident, issue_bill.kind, issue_bill.reference, issue_bill.title, issue_bill.currency,
                (SELECT sum(a.amount) FROM unnest(line_amounts) AS a (amount)), issue_bill.issued_on, issue_bill.due_on, issue_bill.pays_into)
        ON CONFLICT ON CONSTRAINT bill_pkey DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO payments.bill_line (bill_id, position, description, amount)
        SELECT issue_bill.id, l.position, l.description, l.amount
        FROM unnest(line_descriptions, line_amounts) WITH ORDINALITY AS l (description, amount, position);
    RETURN true;
END
$$;

ALTER FUNCTION payments.bills_of(bytea, timestamptz, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION payments.bill_of(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.bill_lines_of(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.payments_of(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.bill_for(bytea, text) OWNER TO stoa_door;
ALTER FUNCTION payments.waivers_for(bytea, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION payments.waivers_of(bytea, uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.propose_waiver(bytea, uuid, uuid, bigint, text) OWNER TO stoa_door;
ALTER FUNCTION payments.decide_waiver(bytea, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION payments.remind(text, integer, integer, integer) OWNER TO stoa_door;
ALTER FUNCTION payments.outstanding(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.lock_bill(uuid) OWNER TO stoa_door;
ALTER FUNCTION payments.pay(bytea, uuid, uuid, text, text, bytea) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.bills_of(bytea, timestamptz, uuid, integer), payments.bill_of(bytea, uuid),
    payments.bill_lines_of(bytea, uuid), payments.payments_of(bytea, uuid), payments.waivers_of(bytea, uuid),
    payments.bill_for(bytea, text), payments.waivers_for(bytea, uuid, integer), payments.propose_waiver(bytea, uuid, uuid, bigint, text),
    payments.decide_waiver(bytea, uuid, text), payments.remind(text, integer, integer, integer), payments.pay(bytea, uuid, uuid, text, text, bytea) TO stoa_app;
REVOKE CREATE ON SCHEMA payments FROM stoa_door;
