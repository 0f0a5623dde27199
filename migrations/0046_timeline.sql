-- What became of each payment of a resident, in one line of time a payment: what was decided, set aside, sent, settled or came back, when and why.
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

ALTER FUNCTION payments.timeline_of(bytea, integer) OWNER TO stoa_door;
GRANT EXECUTE ON FUNCTION payments.timeline_of(bytea, integer) TO stoa_app;
REVOKE CREATE ON SCHEMA payments FROM stoa_door;
