-- Two overviews over what the files before this one keep: what became of each payment, for its resident, and whether bank, ledger and bills agree, for whoever
-- closes the day.

-- That somebody looked whether bank, ledger and bills agree, and what they found. What does not agree is explained.
CREATE TABLE payments.daily_close (
    id uuid PRIMARY KEY,
    -- As payments.day_figures told them.
    figures jsonb NOT NULL CHECK (jsonb_typeof(figures) = 'array'),
    differences integer NOT NULL CHECK (differences >= 0),
    explanation text CHECK (length(explanation) BETWEEN 3 AND 1000),
    closed_by uuid NOT NULL REFERENCES identity.staff,
    closed_at timestamptz NOT NULL DEFAULT public.stoa_now(),
    CONSTRAINT differences_are_explained CHECK (differences = 0 OR explanation IS NOT NULL)
);
CREATE INDEX daily_close_at ON payments.daily_close (closed_at);
CREATE TRIGGER daily_close_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.daily_close
    FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();
GRANT SELECT, INSERT ON payments.daily_close TO stoa_door;
GRANT SELECT ON payments.daily_close TO stoa_auditor;

GRANT CREATE ON SCHEMA payments TO stoa_door;

-- The newest payments of the resident whom the credential names, each with its steps, oldest first. Of a bill: what was paid, by which way; of a benefit: what
-- was received; of a payout: what left. name is that of the bill or programme by language; null for a payout, whose reference stands on the account statement.
-- steps are [{"step", "at", "reason"}] with the words decided, held, sent, settled, failed, expired, returned.
CREATE FUNCTION payments.timeline_of(credential bytea, count integer)
    RETURNS TABLE (id uuid, kind text, way text, name jsonb, reference text, bill_id uuid, currency text, amount bigint, at timestamptz, steps jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    people uuid[];
BEGIN
    SELECT array_agg(r.id) INTO people FROM ledger.holder(timeline_of.credential, '{payments}') AS h
        JOIN register.resident AS r ON r.id = h.resident_id OR r.superseded_by = h.resident_id;
    RETURN QUERY
        WITH step AS (
            -- Payments of bills, but for those that came through a provider.
            SELECT p.id, 'bill' AS kind, p.method AS way, b.title AS name, b.reference, b.id AS bill_id, p.currency, p.gross AS amount, 'settled' AS step, p.paid_at AS at,
                NULL::text AS reason, 4 AS place
            FROM payments.bill AS b JOIN payments.payment AS p ON p.bill_id = b.id
            WHERE b.resident_id = ANY (people) AND NOT EXISTS (SELECT FROM payments.attempt_settled AS s WHERE s.payment_id = p.id)
            UNION ALL
            SELECT a.id, 'bill', w.kind, b.title, b.reference, b.id, a.currency, a.net + a.fee, x.step, x.at, NULL, x.place
            FROM payments.bill AS b JOIN payments.attempt AS a ON a.bill_id = b.id JOIN payments.provider AS w ON w.id = a.provider_id
            CROSS JOIN LATERAL (
                SELECT 'held' AS step, a.begun_at AS at, 1 AS place
                UNION ALL
                SELECT CASE e.kind WHEN 'pending' THEN 'sent' ELSE 'failed' END, e.received_at, 2 FROM payments.provider_event AS e
                WHERE e.attempt_id = a.id AND e.kind IN ('pending', 'failed') AND e.outcome = 'taken'
                UNION ALL
                SELECT 'expired', a.expires_at, 3 WHERE payments.attempt_state(a.id) = 'expired'
                UNION ALL
                SELECT 'settled', s.settled_at, 4 FROM payments.attempt_settled AS s WHERE s.attempt_id = a.id
                UNION ALL
                SELECT 'returned', f.refunded_at, 5 FROM payments.attempt_settled AS s JOIN payments.refund AS f ON f.payment_id = s.payment_id
                WHERE s.attempt_id = a.id) AS x
            WHERE b.resident_id = ANY (people)
            UNION ALL
            SELECT d.id, 'benefit', 'wallet', g.name, d.case_reference, NULL, d.currency, d.amount, x.step, y.decided_at, x.reason, x.place
            FROM benefits.disbursement AS d JOIN benefits.programme AS g ON g.id = d.programme_id
            JOIN benefits.decision AS y ON y.disbursement_id = d.id AND y.kind = 'approved'
            CROSS JOIN LATERAL (VALUES ('decided', d.reason, 1), ('settled', NULL, 4)) AS x (step, reason, place)
            WHERE d.resident_id = ANY (people)
            UNION ALL
            SELECT i.id, 'payout', i.kind, NULL, i.end_to_end_id, NULL, i.currency, i.amount,
                CASE e.state WHEN 'waiting' THEN 'held' WHEN 'in_batch' THEN 'decided' WHEN 'rejected' THEN 'failed' ELSE e.state END, e.at, e.reason, e.number
            FROM payouts.instruction AS i JOIN payouts.event AS e ON e.instruction_id = i.id
            WHERE i.resident_id = ANY (people)
        )
        SELECT s.id, s.kind, min(s.way), min(s.name::text)::jsonb, min(s.reference), min(s.bill_id::text)::uuid, min(s.currency), min(s.amount), max(s.at),
            jsonb_agg(jsonb_build_object('step', s.step, 'at', s.at, 'reason', s.reason) ORDER BY s.at, s.place)
        FROM step AS s GROUP BY s.id, s.kind ORDER BY max(s.at) DESC, s.id LIMIT LEAST(timeline_of.count, 200);
END
$$;

-- What passes the suspense account of a bank account because of payouts: of each, what its own states moved there and what the statements did. Above nothing:
-- settled, and not seen to leave yet; below: returned, and not seen to come back.
CREATE FUNCTION payments.payouts_passing(account payments.bank_account) RETURNS TABLE (to_leave bigint, to_come_back bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT coalesce(sum(x.amount) FILTER (WHERE x.amount > 0), 0)::bigint, coalesce(sum(x.amount) FILTER (WHERE x.amount < 0), 0)::bigint
        FROM (
            SELECT n.amount * (
                    CASE WHEN EXISTS (SELECT FROM payouts.event AS e WHERE e.instruction_id = n.id AND e.state = 'settled') AND s.state = 'settled' THEN 1 ELSE 0 END
                    - CASE WHEN s.state IN ('settled', 'returned') AND EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.batch_id = b.id)
                        OR EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.instruction_id = n.id AND p.direction = 'debit') THEN 1 ELSE 0 END
                    + CASE WHEN EXISTS (SELECT FROM payments.bank_payout AS p WHERE p.instruction_id = n.id AND p.direction = 'credit') THEN 1 ELSE 0 END) AS amount
            FROM payouts.batch AS b JOIN payouts.decision AS d ON d.batch_id = b.id AND d.kind = 'approved'
            JOIN payouts.item AS i ON i.batch_id = b.id JOIN payouts.instruction AS n ON n.id = i.instruction_id JOIN payouts.state AS s ON s.instruction_id = n.id
            WHERE b.clearing = account.suspense_account) AS x;
END
$$;

-- Whether bank, ledger and bills agree at this moment: [{"kind", "name", "currency", "lines": [{"word", "amount", "day"}], "expected", "found", "difference"}],
-- where the lines sum to what is expected and found is what the ledger has.
CREATE FUNCTION payments.day_figures() RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        WITH line AS (
            -- The bank's last word, less what was there before its first statement, and what notifications have told since.
            SELECT 'bank' AS kind, a.identification AS name, a.currency, l.place, l.word, l.amount, l.day, g.posted AS found
            FROM payments.bank_account AS a JOIN ledger.account AS g ON g.id = a.ledger_account
            LEFT JOIN LATERAL (
                SELECT r.closing, r.closing_on FROM payments.bank_report AS r LEFT JOIN payments.bank_report_decision AS d ON d.report_id = r.id
                WHERE r.account_id = a.id AND r.kind = 'statement' AND r.closing IS NOT NULL AND (r.problems = '{}' OR d.kind = 'booked')
                ORDER BY r.closing_on DESC, r.sequence_number DESC NULLS LAST, r.id DESC LIMIT 1) AS newest ON true
            LEFT JOIN LATERAL (
                SELECT r.opening FROM payments.bank_report AS r LEFT JOIN payments.bank_report_decision AS d ON d.report_id = r.id
                WHERE r.account_id = a.id AND r.kind = 'statement' AND r.opening IS NOT NULL AND (r.problems = '{}' OR d.kind = 'booked')
                ORDER BY r.opening_on, r.sequence_number NULLS FIRST, r.id LIMIT 1) AS oldest ON true
            CROSS JOIN LATERAL (VALUES
                (1, 'statement', coalesce(newest.closing, 0), newest.closing_on),
                (2, 'before_first', -coalesce(oldest.opening, 0), NULL::date),
                (3, 'since_statement', coalesce((
                    SELECT sum(CASE m.direction WHEN 'credit' THEN m.amount ELSE -m.amount END)::bigint FROM payments.bank_movement AS m
                    WHERE m.account_id = a.id AND NOT EXISTS (
                        SELECT FROM payments.bank_sighting AS y JOIN payments.bank_report AS r ON r.id = y.report_id
                        WHERE y.movement_id = m.id AND r.kind = 'statement')), 0), NULL)) AS l (place, word, amount, day)
            UNION ALL
            SELECT 'suspense', a.identification, a.currency, l.place, l.word, l.amount, NULL, g.posted
            FROM payments.bank_account AS a JOIN ledger.account AS g ON g.id = a.suspense_account
            CROSS JOIN LATERAL payments.payouts_passing(a) AS p
            CROSS JOIN LATERAL (VALUES
                (1, 'waiting', coalesce((
                    SELECT sum(payments.item_rest(i.id) + coalesce((SELECT sum(r.amount) FROM payments.bank_return AS r WHERE r.item_id = i.id
                                AND NOT EXISTS (SELECT FROM payments.bank_return_decision AS d WHERE d.return_id = r.id)), 0))::bigint
                    FROM payments.bank_item_waiting AS w JOIN payments.bank_item AS i ON i.id = w.item_id JOIN payments.bank_movement AS m ON m.id = i.movement_id
                    WHERE m.account_id = a.id), 0)),
                (2, 'going_back', coalesce((
                    SELECT sum(r.amount)::bigint FROM payments.bank_return AS r JOIN payments.bank_return_decision AS d ON d.return_id = r.id AND d.kind = 'approved'
                    JOIN payments.bank_item AS i ON i.id = r.item_id JOIN payments.bank_movement AS m ON m.id = i.movement_id WHERE m.account_id = a.id), 0)),
                (3, 'left', -coalesce((
                    SELECT sum(i.amount)::bigint FROM payments.bank_item AS i JOIN payments.bank_movement AS m ON m.id = i.movement_id
                    WHERE m.account_id = a.id AND m.direction = 'debit' AND NOT EXISTS (SELECT FROM payments.bank_payout AS x WHERE x.item_id = i.id)), 0)),
                (4, 'payouts_to_leave', p.to_leave), (5, 'payouts_to_come_back', p.to_come_back)) AS l (place, word, amount)
            UNION ALL
            SELECT 'provider', p.name, p.currency, l.place, l.word, l.amount, NULL, g.posted
            FROM payments.provider AS p JOIN ledger.account AS g ON g.id = p.clearing
            CROSS JOIN LATERAL (VALUES
                (1, 'taken', coalesce((SELECT sum(a.net + a.fee)::bigint FROM payments.attempt AS a JOIN payments.attempt_settled AS s ON s.attempt_id = a.id
                                       WHERE a.provider_id = p.id), 0)),
                (2, 'given_back', -coalesce((SELECT sum(e.amount)::bigint FROM payments.provider_event AS e
                                             WHERE e.provider_id = p.id AND e.kind = 'refunded' AND e.outcome = 'taken'), 0)),
                (3, 'paid_out', -coalesce((SELECT sum(s.gross)::bigint FROM payments.provider_settlement AS s
                                           WHERE s.provider_id = p.id AND EXISTS (SELECT FROM payments.bank_settlement AS b WHERE b.reference = s.reference)), 0)))
                AS l (place, word, amount)
            UNION ALL
            -- What was paid for bills, and what of it the ledger moved under these payments.
            SELECT 'bills', x.currency, x.currency, l.place, l.word, l.amount, NULL, x.found
            FROM (SELECT p.currency, sum(p.net)::bigint AS net, -coalesce(sum(f.amount), 0)::bigint AS refunds,
                      (sum(t.amount) - coalesce(sum(f.moved), 0))::bigint AS found
                  FROM payments.payment AS p LEFT JOIN ledger.transfer AS t ON t.id = p.transfer_id AND t.outcome = 'posted' AND t.currency = p.currency
                  LEFT JOIN LATERAL (SELECT sum(y.amount) AS amount, sum(u.amount) AS moved FROM payments.refund AS y
                                     LEFT JOIN ledger.transfer AS u ON u.id = y.id AND u.outcome = 'posted' WHERE y.payment_id = p.id) AS f ON true
                  GROUP BY p.currency) AS x
            CROSS JOIN LATERAL (VALUES (1, 'paid', x.net), (2, 'refunded', x.refunds)) AS l (place, word, amount)
        ), figure AS (
            SELECT l.kind, l.name, l.currency, min(l.found) AS found, sum(l.amount)::bigint AS expected,
                jsonb_agg(jsonb_build_object('word', l.word, 'amount', l.amount, 'day', l.day) ORDER BY l.place) AS lines
            FROM line AS l GROUP BY l.kind, l.name, l.currency
        )
        SELECT coalesce(jsonb_agg(jsonb_build_object('kind', f.kind, 'name', f.name, 'currency', f.currency, 'lines', f.lines, 'expected', f.expected, 'found', f.found,
                'difference', f.found - f.expected) ORDER BY array_position('{bank,suspense,provider,bills}'::text[], f.kind), f.name), '[]')
        FROM figure AS f);
END
$$;

-- The same for finance officers, approvers and auditors; null for anybody else.
CREATE FUNCTION payments.day_figures_for(credential bytea) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM web.staff_with(day_figures_for.credential, '{finance_officer,approver,auditor}')) THEN RETURN NULL; END IF;
    RETURN payments.day_figures();
END
$$;

-- A finance officer closes the day: the figures of this moment are kept, with why they differ. Outcomes: closed, exists (the same again), explanation_missing,
-- role_missing.
CREATE FUNCTION payments.close_day(credential bytea, id uuid, explanation text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid := (SELECT s.staff_id FROM web.staff_with(close_day.credential, '{finance_officer}') AS s);
    figures jsonb;
    differing integer;
BEGIN
    IF officer IS NULL THEN RETURN 'role_missing'; END IF;
    IF EXISTS (SELECT FROM payments.daily_close AS c WHERE c.id = close_day.id) THEN RETURN 'exists'; END IF;
    figures := payments.day_figures();
    SELECT count(*) INTO differing FROM jsonb_array_elements(figures) AS f WHERE (f.value ->> 'difference')::bigint <> 0;
    IF differing > 0 AND close_day.explanation IS NULL THEN RETURN 'explanation_missing'; END IF;
    INSERT INTO payments.daily_close (id, figures, differences, explanation, closed_by) VALUES (close_day.id, figures, differing, close_day.explanation, officer);
    RETURN 'closed';
END
$$;

-- The days that were closed, newest first, for finance officers, approvers and auditors.
CREATE FUNCTION payments.closed_days_for(credential bytea, page_size integer)
    RETURNS TABLE (id uuid, differences integer, explanation text, closed_by text, closed_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT c.id, c.differences, c.explanation, p.display_name, c.closed_at
        FROM web.staff_with(closed_days_for.credential, '{finance_officer,approver,auditor}') AS s
        CROSS JOIN payments.daily_close AS c JOIN identity.staff AS p ON p.id = c.closed_by
        ORDER BY c.closed_at DESC, c.id LIMIT LEAST(closed_days_for.page_size, 201);
END
$$;

ALTER FUNCTION payments.payouts_passing(payments.bank_account) OWNER TO stoa_door;
ALTER FUNCTION payments.day_figures() OWNER TO stoa_door;
ALTER FUNCTION payments.day_figures_for(bytea) OWNER TO stoa_door;
ALTER FUNCTION payments.close_day(bytea, uuid, text) OWNER TO stoa_door;
ALTER FUNCTION payments.closed_days_for(bytea, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.day_figures_for(bytea), payments.close_day(bytea, uuid, text), payments.closed_days_for(bytea, integer) TO stoa_app;
ALTER FUNCTION payments.timeline_of(bytea, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.timeline_of(bytea, integer) TO stoa_app;
REVOKE CREATE ON SCHEMA payments FROM stoa_door;
