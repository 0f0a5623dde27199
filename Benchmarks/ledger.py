"""What the ledger does, beside the same transfer as one function call by pgbench. Part of `Benchmarks/run`; `BENCH_ONLY=ledger` runs it alone.

The reference is a function as one would write it first: it locks the two accounts, writes a transfer, two entries and two balances in
tables of the same columns and keys, and checks that there is enough; it has none of the ledger's further rules."""
import glob
import json
import re
import statistics
import subprocess
import time
import uuid

from harness.oauth import organisation_session
from loads import ROUNDS, SECONDS, http, latency_row, pgbench, pgbench_result, row, say, table_head, wrk_environment

ACCOUNTS = 100_000
CONNECTIONS, THREADS, CLIENTS = 64, 2, 8
TRANSFERS_PER_CALL, CALLERS = 1_000, 4
MINOR_UNITS_EACH = 1_000_000_000
P99_MS_MAX = 25
# A statement of one account at these sizes, each asked so often, one after the other.
STATEMENT_SIZES, STATEMENT_CALLS, STATEMENT_RATIO_MAX = (1_000, 1_000_000), 200, 1.3
FSYNC_SECONDS = 1

# Ids that a random number is written into, on both sides.
ACCOUNT_ID = "('00000000-0000-7000-8000-' || lpad(to_hex({}), 12, '0'))::uuid"
OPEN_ACCOUNTS = f"""
SELECT count(*) FILTER (WHERE ledger.open_account({ACCOUNT_ID.format('n')}, 'general', %(currency)s, NULL, %(organisation)s, 'credit', false))
FROM generate_series(%(first)s::int, %(last)s) AS n
"""
# One batch of transfers from the funding account; each is what the account begins with.
FUND = f"""
SELECT count(*) FILTER (WHERE p.outcome <> 'created') FROM (
    SELECT array_agg(gen_random_uuid()) AS ids, array_agg('post'::text) AS kinds, array_agg(%(funding)s::uuid) AS debits,
        array_agg({ACCOUNT_ID.format('n')}) AS credits, array_agg(%(amount)s::bigint) AS amounts, array_agg(%(currency)s::text) AS currencies,
        array_agg('benchmark'::text) AS refs, array_agg(NULL::timestamptz) AS moments, array_agg('system'::text) AS actors,
        array_agg('benchmark'::text) AS names
    FROM generate_series(%(first)s::int, %(last)s) AS n) AS b,
    ledger.post_transfers(b.ids, b.kinds, b.debits, b.credits, b.amounts, b.currencies, b.refs, b.moments, b.actors, b.names) AS p
"""
# Small transfers out of the funding account into one account, time-ordered ids.
FILL = f"""
SELECT count(*) FILTER (WHERE p.outcome <> 'created') FROM (
    SELECT array_agg((lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
                      || '8' || substr(md5(random()::text), 1, 15))::uuid) AS ids,
        array_agg('post'::text) AS kinds, array_agg(%(funding)s::uuid) AS debits, array_agg(%(account)s::uuid) AS credits,
        array_agg(1::bigint) AS amounts, array_agg(%(currency)s::text) AS currencies, array_agg('benchmark'::text) AS refs,
        array_agg(NULL::timestamptz) AS moments, array_agg('system'::text) AS actors, array_agg('benchmark'::text) AS names
    FROM generate_series(1, %(count)s::int) AS n) AS b,
    ledger.post_transfers(b.ids, b.kinds, b.debits, b.credits, b.amounts, b.currencies, b.refs, b.moments, b.actors, b.names) AS p
"""
REFERENCE = f"""
CREATE SCHEMA IF NOT EXISTS pgbench;
CREATE TABLE pgbench.ledger_account (id uuid PRIMARY KEY, posted bigint NOT NULL CHECK (posted >= 0), entry_count bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE pgbench.ledger_transfer (LIKE ledger.transfer INCLUDING DEFAULTS);
ALTER TABLE pgbench.ledger_transfer ADD PRIMARY KEY (id);
CREATE TABLE pgbench.ledger_entry (LIKE ledger.entry INCLUDING DEFAULTS);
ALTER TABLE pgbench.ledger_entry ADD PRIMARY KEY (account_id, number), ADD UNIQUE (transfer_id, side);
INSERT INTO pgbench.ledger_account SELECT {ACCOUNT_ID.format('n')}, {MINOR_UNITS_EACH}, 0 FROM generate_series(1, {ACCOUNTS}) AS n;
CREATE FUNCTION pgbench.account(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN {ACCOUNT_ID.format('n')};
CREATE FUNCTION pgbench.new_id() RETURNS uuid LANGUAGE sql VOLATILE
    RETURN (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3) || '8'
            || substr(md5(random()::text), 1, 15))::uuid;
CREATE FUNCTION pgbench.transfer(id uuid, debit uuid, credit uuid, amount bigint) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    debit_number bigint;
    debit_balance bigint;
    credit_number bigint;
    credit_balance bigint;
BEGIN
    PERFORM FROM pgbench.ledger_account AS a WHERE a.id IN (debit, credit) ORDER BY a.id FOR NO KEY UPDATE;
    INSERT INTO pgbench.ledger_transfer (id, kind, debit_account, credit_account, amount, currency, reference, effective_at, outcome, actor_kind, actor_id)
        VALUES (id, 'post', debit, credit, amount, 'EUR', 'benchmark', now(), 'posted', 'organisation', 'benchmark') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN 'exists'; END IF;
    UPDATE pgbench.ledger_account AS a SET posted = a.posted - amount, entry_count = a.entry_count + 1 WHERE a.id = debit AND a.posted >= amount
        RETURNING a.entry_count, a.posted INTO debit_number, debit_balance;
    IF NOT FOUND THEN RAISE 'insufficient funds'; END IF;
    UPDATE pgbench.ledger_account AS a SET posted = a.posted + amount, entry_count = a.entry_count + 1 WHERE a.id = credit
        RETURNING a.entry_count, a.posted INTO credit_number, credit_balance;
    INSERT INTO pgbench.ledger_entry (account_id, number, transfer_id, side, amount, currency, balance_after, recorded_at, effective_at)
        VALUES (debit, debit_number, id, 'debit', amount, 'EUR', debit_balance, now(), now()),
               (credit, credit_number, id, 'credit', amount, 'EUR', credit_balance, now(), now());
    RETURN 'created';
END
$$;
"""
RANDOM_SCRIPT = f"\\set d random(1, {ACCOUNTS})\n\\set c (:d + random(0, {ACCOUNTS - 2})) % {ACCOUNTS} + 1\n"
HOT_SCRIPT = f"\\set d 1\n\\set c random(2, {ACCOUNTS})\n"
CALL = "SELECT pgbench.transfer(pgbench.new_id(), pgbench.account(:d), pgbench.account(:c), 1);\n"


def account(number):
    return f"00000000-0000-7000-8000-{number:012x}"


class Ledger:
    """The demo city's ledger client with a hundred thousand accounts, and the loads on them."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder
        self.client = server.demo()["ledger_client"]
        self.binds = {"currency": self.client["currency"], "organisation": self.client["client_id"], "funding": self.client["funding_account"],
                      "amount": MINOR_UNITS_EACH}
        self.url = server.database_url("owner")
        say("opening and funding accounts of the ledger")
        with server.connect() as connection:
            for first in range(1, ACCOUNTS + 1, 1_000):
                binds = {**self.binds, "first": first, "last": first + 999}
                assert connection.execute(OPEN_ACCOUNTS, binds).fetchone()[0] == 1_000
                assert connection.execute(FUND, binds).fetchone()[0] == 0
            connection.execute(REFERENCE)
            connection.execute("ANALYZE ledger.account, ledger.transfer, ledger.entry, pgbench.ledger_account")
        self.random_script, self.hot_script = folder / "transfer-random.sql", folder / "transfer-hot.sql"
        self.random_script.write_text(RANDOM_SCRIPT + CALL)
        self.hot_script.write_text(HOT_SCRIPT + CALL)

    def reference(self, script):
        return pgbench_result(pgbench(self.url, "-f", str(script), "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-n", "-T", str(max(1, round(SECONDS)))))

    def body(self, debit):
        """One transfer of a minor unit; the marks are filled in by load.lua."""
        return json.dumps({"id": "%i", "kind": "post", "debit_account": debit, "credit_account": "%c", "amount": 1, "currency": self.client["currency"],
                           "reference": "benchmark"})

    def singles(self, debit, delay_ms=0):
        environment = self.environment("/api/v1/ledger/transfers", status=201, body=self.body(debit), accounts=ACCOUNTS, expect='"created"', delay_ms=delay_ms)
        return http(self.server.base_url, environment, connections=CONNECTIONS, threads=THREADS)

    def bulk(self):
        """Calls of a thousand out of one account; counted in transfers."""
        environment = self.environment(
            "/api/v1/ledger/transfer-batches", body=self.body(account(1)), batch=TRANSFERS_PER_CALL, accounts=ACCOUNTS, expect='"created"',
            reject='"insufficient_funds"\n"id_conflict"\n"exists"', bytes_min=TRANSFERS_PER_CALL * len('{"id":"","result":"created"}' + account(1)))
        result = http(self.server.base_url, environment, connections=CALLERS, threads=1)
        result.rate *= TRANSFERS_PER_CALL
        return result

    def environment(self, path, **settings):
        token = organisation_session(self.server, self.client).token["access_token"]
        return wrk_environment(path, method="POST", headers=f"Authorization: Bearer {token}\nContent-Type: application/json", **settings)

    def statements(self):
        """Median milliseconds of a statement's page and of an as-of balance, of accounts with few and with many transfers."""
        session = organisation_session(self.server, self.client)
        taken = {}
        for size in STATEMENT_SIZES:
            name = str(uuid.uuid4())
            body = {"id": name, "kind": self.client["account_kind"], "currency": self.client["currency"]}
            assert session.post(f"{self.server.base_url}/api/v1/ledger/accounts", json=body).status_code == 201
            middle = None
            with self.server.connect() as connection:
                for number in range(size // 1_000):
                    if number == size // 2_000:
                        middle = connection.execute("SELECT clock_timestamp()").fetchone()[0]
                    assert connection.execute(FILL, {**self.binds, "account": name, "count": 1_000}).fetchone()[0] == 0
                connection.execute("ANALYZE ledger.entry")
            base = f"{self.server.base_url}/api/v1/ledger/accounts/{name}"
            period = {"from": middle.isoformat(), "to": "2999-01-01T00:00:00Z"}
            taken[size] = [median_ms(session, f"{base}/statement", period), median_ms(session, f"{base}/balance", {"before": period["from"]})]
        return taken


def median_ms(session, url, parameters):
    taken = []
    for _ in range(STATEMENT_CALLS):
        start = time.perf_counter()
        answer = session.get(url, params=parameters)
        taken.append((time.perf_counter() - start) * 1000)
        assert answer.status_code == 200, answer.text
    return statistics.median(taken)


def sync_latency(data):
    """Microseconds of fdatasync, as pg_test_fsync finds them on the disk of the data."""
    program = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_test_fsync"))[-1]
    file = data / "pg_test_fsync"
    done = subprocess.run([program, "-s", str(FSYNC_SECONDS), "-f", str(file)], capture_output=True, text=True)
    file.unlink(missing_ok=True)
    found = re.search(r"fdatasync\s+[\d.]+ ops/sec\s+(\d+) usecs/op", done.stdout)
    assert found, done.stdout + done.stderr
    return int(found.group(1))


def measure(server, folder):
    """Measures, prints, and says whether every bound holds."""
    ledger = Ledger(server, folder)
    results = {name: [] for name in ("random", "hot", "singles", "hot singles", "bulk")}
    for number in range(ROUNDS):
        say(f"ledger, round {number + 1} of {ROUNDS}")
        results["random"].append(ledger.reference(ledger.random_script))
        results["singles"].append(ledger.singles("%d"))
        results["hot"].append(ledger.reference(ledger.hot_script))
        results["hot singles"].append(ledger.singles(account(1)))
        results["bulk"].append(ledger.bulk())
    say("the ledger at half of its load")
    full = statistics.median(r.rate for r in results["singles"])
    half = [ledger.singles("%d", delay_ms=2 * CONNECTIONS / full * 1000) for _ in range(ROUNDS)]
    say("statements of accounts with few and many transfers")
    statements = ledger.statements()
    sync_us = sync_latency(server.data)
    server.run("verify", "ledger")

    print(f"\nLedger: medians of {ROUNDS} rounds of {SECONDS:g} s; {ACCOUNTS:,} accounts; fdatasync takes {sync_us} µs on this disk (pg_test_fsync).\n")
    table_head()
    verdicts = [
        row(f"single transfers, {CONNECTIONS} connections, random accounts / `pgbench` one call each, {CLIENTS} clients", results["singles"], results["random"], 1.0),
        row("the same, all out of one account / the same on one account", results["hot singles"], results["hot"], 4.0),
        row(f"calls of {TRANSFERS_PER_CALL:,}, {CALLERS} callers, out of one account (in transfers) / the same", results["bulk"], results["hot"], 8.0),
    ]
    print("\n| what | p50 ms | p99 ms | p99 under | |\n|---|--:|--:|--:|---|")
    verdicts.append(latency_row(f"a single transfer at {statistics.median(r.rate for r in half) / full:.0%} of the load",
                                statistics.median(r.p50 for r in half), statistics.median(r.p99 for r in half), P99_MS_MAX))
    few, many = STATEMENT_SIZES
    print(f"\n| of one account | {few:,} transfers, ms | {many:,} transfers, ms | ratio | at most | |\n|---|--:|--:|--:|--:|---|")
    for name, small, large in zip(("a page of its statement", "its balance as of a moment"), statements[few], statements[many]):
        good = large / small <= STATEMENT_RATIO_MAX
        verdicts.append(good)
        print(f"| {name} | {small:.2f} | {large:.2f} | {large / small:.2f} × | {STATEMENT_RATIO_MAX} × | {'ok' if good else 'FAILED'} |")
    return all(verdicts) and not sum(r.errors for r in half)
