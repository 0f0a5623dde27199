-- The books: what an account held at a moment, statements of a period, the trial balance, and the closing of periods.
--
-- Entries are numbered in the order of posting, and their recorded_at never falls along the numbers: what was recorded before a moment is
-- found by index, with the balance that it left. Where a transfer counts from another moment (effective_at), its entries stand in an index
-- of their own, and are added or taken off. So a balance or a page costs the same whatever came before.

-- The number of the last entry of an account that was recorded before a moment; 0 for none.
CREATE FUNCTION ledger.entries_before(account uuid, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    mark bigint;
BEGIN
    SELECT e.number INTO mark FROM ledger.entry AS e
        WHERE e.account_id = account AND e.number % 64 = 0 AND e.recorded_at < at
        ORDER BY e.recorded_at DESC, e.number DESC LIMIT 1;
    mark := coalesce(mark, 0);
    -- The next mark is behind the moment, so the entry is before it.
    RETURN coalesce((SELECT e.number FROM ledger.entry AS e
                     WHERE e.account_id = account AND e.number > mark AND e.number < mark + 64 AND e.recorded_at < at
                     ORDER BY e.number DESC LIMIT 1), mark);
END
$$;

-- What the account held just before a moment, in its normal direction: all that counts from before it.
CREATE FUNCTION ledger.balance_before(account uuid, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    last_number CONSTANT bigint := ledger.entries_before(account, at);
    raises CONSTANT text := (SELECT a.normal_side FROM ledger.account AS a WHERE a.id = account);
BEGIN
    RETURN coalesce((SELECT e.balance_after FROM ledger.entry AS e WHERE e.account_id = account AND e.number = last_number), 0)
        + coalesce((SELECT sum(CASE e.side WHEN raises THEN e.amount ELSE -e.amount END) FROM ledger.entry AS e
                    WHERE e.account_id = account AND e.effective_at <> e.recorded_at AND e.effective_at < at AND e.number > last_number), 0)
        - coalesce((SELECT sum(CASE e.side WHEN raises THEN e.amount ELSE -e.amount END) FROM ledger.entry AS e
                    WHERE e.account_id = account AND e.effective_at <> e.recorded_at AND e.effective_at >= at AND e.number <= last_number), 0);
END
$$;

-- The entries of an account that count from a moment on and before another, in the order of that and of their numbers, behind a place in it.
--   after_at, after_number   where the last page ended; null for the first
CREATE FUNCTION ledger.statement_page(account uuid, from_at timestamptz, to_at timestamptz, after_at timestamptz, after_number bigint, page_size integer)
    RETURNS TABLE (number bigint, transfer_id uuid, side text, amount bigint, other_account uuid, kind text, reference text,
                   effective_at timestamptz, recorded_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    start_at CONSTANT timestamptz := coalesce(after_at, from_at);
    -- Of those recorded at the very moment where the page begins, some may have been shown.
    first_number CONSTANT bigint := ledger.entries_before(account, start_at);
    last_number CONSTANT bigint := ledger.entries_before(account, to_at);
BEGIN
    RETURN QUERY
        WITH page AS (
            (SELECT e.* FROM ledger.entry AS e
             WHERE e.account_id = account AND e.number > first_number AND e.number <= last_number AND e.effective_at = e.recorded_at
               AND (after_at IS NULL OR (e.effective_at, e.number) > (after_at, after_number))
             ORDER BY e.number LIMIT page_size)
            UNION ALL
            (SELECT e.* FROM ledger.entry AS e
             WHERE e.account_id = account AND e.effective_at <> e.recorded_at AND e.effective_at >= start_at AND e.effective_at < to_at
               AND (after_at IS NULL OR (e.effective_at, e.number) > (after_at, after_number))
             ORDER BY e.effective_at, e.number LIMIT page_size)
        )
        SELECT p.number, p.transfer_id, p.side, p.amount, CASE p.side WHEN 'debit' THEN t.credit_account ELSE t.debit_account END, t.kind,
            t.reference, p.effective_at, p.recorded_at
        FROM (SELECT x.* FROM page AS x ORDER BY x.effective_at, x.number LIMIT page_size) AS p
        JOIN ledger.transfer AS t ON t.id = p.transfer_id
        ORDER BY p.effective_at, p.number;
END
$$;

-- For an organisation, of an account of its own: standing as ledger.organisation_account, and with found what it held before the two moments.
CREATE FUNCTION ledger.organisation_balances(credential bytea, id uuid, from_at timestamptz, to_at timestamptz)
    RETURNS TABLE (standing text, currency text, opening bigint, closing bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT o.standing, o.currency, CASE o.standing WHEN 'found' THEN ledger.balance_before(organisation_balances.id, organisation_balances.from_at) END,
            CASE o.standing WHEN 'found' THEN ledger.balance_before(organisation_balances.id, organisation_balances.to_at) END
        FROM ledger.organisation_account(organisation_balances.credential, organisation_balances.id) AS o;
END
$$;

CREATE FUNCTION ledger.organisation_statement(
    credential bytea, id uuid, from_at timestamptz, to_at timestamptz, after_at timestamptz, after_number bigint, page_size integer)
    RETURNS TABLE (number bigint, transfer_id uuid, side text, amount bigint, other_account uuid, kind text, reference text,
                   effective_at timestamptz, recorded_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT o.standing FROM ledger.organisation_account(organisation_statement.credential, organisation_statement.id) AS o) = 'found' THEN
        RETURN QUERY SELECT s.* FROM ledger.statement_page(
            organisation_statement.id, organisation_statement.from_at, organisation_statement.to_at, organisation_statement.after_at,
            organisation_statement.after_number, LEAST(organisation_statement.page_size, 200)) AS s;
    END IF;
END
$$;

-- The trial balance just before a moment, for a finance officer: what all accounts of a currency, kind and owner held together, on the side
-- where it stands. The two sides of a currency are equal. Nothing for anybody else.
--   at   null for now
CREATE FUNCTION ledger.trial_balance(credential bytea, at timestamptz)
    RETURNS TABLE (currency text, kind text, organisation_id text, account_count bigint, only_account uuid, debit bigint, credit bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM web.staff_with(trial_balance.credential, '{finance_officer}')) THEN RETURN; END IF;
    RETURN QUERY
        SELECT s.currency, s.kind, s.organisation_id, s.account_count, CASE WHEN s.account_count = 1 AND s.kind <> 'wallet' THEN s.account END,
            GREATEST(s.debit, 0)::bigint, GREATEST(-s.debit, 0)::bigint
        FROM (SELECT a.currency, a.kind, a.organisation_id, count(*) AS account_count, (min(a.id::text))::uuid AS account,
                  sum(CASE a.normal_side WHEN 'debit' THEN b.balance ELSE -b.balance END) AS debit
              FROM (SELECT coalesce(trial_balance.at, public.stoa_now()) AS at) AS m, ledger.account AS a,
                  -- An account that nothing has touched since, and nothing will from a later moment, holds what it holds now.
                  LATERAL (SELECT CASE WHEN a.newest_at >= m.at
                                    OR EXISTS (SELECT FROM ledger.entry AS e
                                               WHERE e.account_id = a.id AND e.effective_at <> e.recorded_at AND e.effective_at >= m.at)
                                  THEN ledger.balance_before(a.id, m.at) ELSE a.posted END AS balance) AS b
              GROUP BY a.currency, a.kind, a.organisation_id) AS s
        ORDER BY s.currency, s.kind, s.organisation_id;
END
$$;

-- An account as a finance officer sees it, with what it held before the two moments. Not a resident's wallet: that is personal data.
--   to_at   null for now, here and below
CREATE FUNCTION ledger.staff_account(credential bytea, id uuid, from_at timestamptz, to_at timestamptz)
    RETURNS TABLE (kind text, currency text, organisation_id text, normal_side text, closed_at timestamptz, opening bigint, closing bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT a.kind, a.currency, a.organisation_id, a.normal_side, a.closed_at, ledger.balance_before(a.id, staff_account.from_at),
            ledger.balance_before(a.id, coalesce(staff_account.to_at, public.stoa_now()))
        FROM web.staff_with(staff_account.credential, '{finance_officer}') AS s
        JOIN ledger.account AS a ON a.id = staff_account.id AND a.kind <> 'wallet';
END
$$;

CREATE FUNCTION ledger.staff_statement(
    credential bytea, id uuid, from_at timestamptz, to_at timestamptz, after_at timestamptz, after_number bigint, page_size integer)
    RETURNS TABLE (number bigint, transfer_id uuid, side text, amount bigint, other_account uuid, kind text, reference text,
                   effective_at timestamptz, recorded_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT p.number, p.transfer_id, p.side, p.amount, CASE WHEN o.kind <> 'wallet' THEN o.id END, p.kind, p.reference, p.effective_at, p.recorded_at
        FROM web.staff_with(staff_statement.credential, '{finance_officer}') AS s
        JOIN ledger.account AS a ON a.id = staff_statement.id AND a.kind <> 'wallet'
        CROSS JOIN LATERAL ledger.statement_page(a.id, staff_statement.from_at, coalesce(staff_statement.to_at, public.stoa_now()),
            staff_statement.after_at, staff_statement.after_number, LEAST(staff_statement.page_size, 200)) AS p
        JOIN ledger.account AS o ON o.id = p.other_account
        ORDER BY p.effective_at, p.number;
END
$$;

-- The accounts of a kind and a currency, for a finance officer: not wallets. In the order of their ids, behind one.
CREATE FUNCTION ledger.staff_accounts(credential bytea, kind text, currency text, organisation text, after_id uuid, page_size integer)
    RETURNS TABLE (id uuid, posted bigint, held bigint, closed_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT a.id, a.posted, ledger.held_now(a.id, a.held), a.closed_at
        FROM web.staff_with(staff_accounts.credential, '{finance_officer}') AS s
        JOIN ledger.account AS a ON a.organisation_id = staff_accounts.organisation AND a.kind = staff_accounts.kind
            AND a.currency = staff_accounts.currency AND a.kind <> 'wallet'
        WHERE staff_accounts.after_id IS NULL OR a.id > staff_accounts.after_id
        ORDER BY a.id LIMIT LEAST(staff_accounts.page_size, 200);
END
$$;

-- Closes the books until a moment, for a finance officer. What is being posted meanwhile is posted first.
--   closed, not_permitted, not_over (the moment is still to come), already_closed (it is not behind the latest closed one)
CREATE FUNCTION ledger.close_period(credential bytea, until timestamptz, note text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer uuid;
BEGIN
    SELECT s.staff_id INTO officer FROM web.staff_with(close_period.credential, '{finance_officer}') AS s;
    IF officer IS NULL THEN RETURN 'not_permitted'; END IF;
    IF close_period.until > public.stoa_now() THEN RETURN 'not_over'; END IF;
    PERFORM pg_advisory_xact_lock(ledger.closing_lock());
    IF close_period.until <= ledger.closed_until() THEN RETURN 'already_closed'; END IF;
    INSERT INTO ledger.period_close (until, closed_by, note) VALUES (close_period.until, officer, close_period.note);
    RETURN 'closed';
END
$$;

-- The closed periods, newest first, for a finance officer.
CREATE FUNCTION ledger.closed_periods(credential bytea) RETURNS TABLE (until timestamptz, closed_at timestamptz, closed_by text, note text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT c.until, c.closed_at, p.display_name, c.note
        FROM web.staff_with(closed_periods.credential, '{finance_officer}') AS s, ledger.period_close AS c JOIN identity.staff AS p ON p.id = c.closed_by
        ORDER BY c.until DESC LIMIT 100;
END
$$;

GRANT CREATE ON SCHEMA ledger TO stoa_door;
ALTER FUNCTION ledger.entries_before(uuid, timestamptz) OWNER TO stoa_door;
ALTER FUNCTION ledger.balance_before(uuid, timestamptz) OWNER TO stoa_door;
ALTER FUNCTION ledger.statement_page(uuid, timestamptz, timestamptz, timestamptz, bigint, integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.organisation_balances(bytea, uuid, timestamptz, timestamptz) OWNER TO stoa_door;
ALTER FUNCTION ledger.organisation_statement(bytea, uuid, timestamptz, timestamptz, timestamptz, bigint, integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.trial_balance(bytea, timestamptz) OWNER TO stoa_door;
ALTER FUNCTION ledger.staff_account(bytea, uuid, timestamptz, timestamptz) OWNER TO stoa_door;
ALTER FUNCTION ledger.staff_statement(bytea, uuid, timestamptz, timestamptz, timestamptz, bigint, integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.staff_accounts(bytea, text, text, text, uuid, integer) OWNER TO stoa_door;
ALTER FUNCTION ledger.close_period(bytea, timestamptz, text) OWNER TO stoa_door;
ALTER FUNCTION ledger.closed_periods(bytea) OWNER TO stoa_door;
REVOKE CREATE ON SCHEMA ledger FROM stoa_door;
GRANT EXECUTE ON FUNCTION ledger.organisation_balances(bytea, uuid, timestamptz, timestamptz),
    ledger.organisation_statement(bytea, uuid, timestamptz, timestamptz, timestamptz, bigint, integer), ledger.trial_balance(bytea, timestamptz),
    ledger.staff_account(bytea, uuid, timestamptz, timestamptz),
    ledger.staff_statement(bytea, uuid, timestamptz, timestamptz, timestamptz, bigint, integer), ledger.staff_accounts(bytea, text, text, text, uuid, integer),
    ledger.close_period(bytea, timestamptz, text), ledger.closed_periods(bytea) TO stoa_app;
