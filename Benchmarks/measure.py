"""Measures what issue and README promise, and prints the table. Started by `Benchmarks/run`, which explains the settings.

Our load and pgbench's alternate, round by round, so that a machine that slows down slows both; before each reference the queue
of the access log is let run empty, so that the sequencer's work is never on the reference's bill."""
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import city
import identity
import ledger
import psycopg
from harness.oauth import organisation_session
from harness.pages import Page, Visitor
from harness.server import StoaServer, until
from loads import (CONNECTIONS, ROUNDS, SECONDS, WRK_THREADS, Result, http, http_result, latency_row, pgbench, pgbench_result, row, say, table_head,
                   wrk_command, wrk_environment)

# `ledger` or `identity` measures that alone.
ONLY = os.environ.get("BENCH_ONLY", "")
SOAK_SECONDS = float(os.environ.get("BENCH_SOAK_SECONDS", "60"))
SCALE = 10
# At the rate of exchange reads a second thread of wrk only costs context switches.
READ_THREADS = 1
READ_CONNECTIONS_MANY = 64
# Two lists are decided at a time; two more are on their way.
LIST_CONNECTIONS = 4
INSERT_CLIENTS = 16
# How far the reference's rows may be from the entries that reads write, on average.
ENTRY_WIDTH_TOLERANCE = 0.02
RSS_SAMPLE_SECONDS = 5
RSS_START_MIB_MAX = 150
# After the warm-up third, the last third may exceed the middle one by what a few more cached statements and buffers take.
RSS_GROWTH_MIB_MAX = 4
DRAIN_SECONDS_MAX = 300


def reference(url, kind):
    """Transactions a second of pgbench's own workload: -S point reads, -N an update, a read and an insert, committed."""
    return pgbench_result(pgbench(url, kind, "-M", "prepared", "-c", "8", "-j", "2", "-n", "-T", str(max(1, round(SECONDS)))))


# An access entry as a read of the benchmark writes it, one row a transaction, under a primary key.
ENTRY_TABLE = """
CREATE TABLE pgbench.entry (LIKE access_log.entry INCLUDING DEFAULTS);
ALTER TABLE pgbench.entry ADD PRIMARY KEY (id);
"""
INSERT_ENTRY = """
INSERT INTO pgbench.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes, purpose,
                           legal_basis, consent_event_id, case_reference, outcome)
VALUES (gen_random_uuid(), now(), gen_random_uuid(), 'organisation', '{client}', 'organisation', '{client}', '{client}', 'disclose',
        '{{{attributes}}}', '{purpose}', 'consent', gen_random_uuid(), 'BENCH-1', 'permitted');
"""
ENTRY_WIDTHS = """
SELECT (SELECT avg(pg_column_size(e.*)) FROM pgbench.entry AS e),
    (SELECT avg(pg_column_size(e.*)) FROM access_log.entry AS e WHERE e.operation = 'disclose' AND e.case_reference = 'BENCH-1')
"""

# From an entry's time to that of the first signed head that covers it, over the entries of one load. The head's transaction commits some
# milliseconds after its time, the entry's too.
SECONDS_TO_CHECKPOINT = """
SELECT extract(epoch FROM percentile_disc(%(fraction)s) WITHIN GROUP (ORDER BY head.signed_at - e.at))
FROM access_log.entry AS e
LEFT JOIN access_log.leaf AS l ON l.entry_id = e.id
LEFT JOIN LATERAL (SELECT c.signed_at FROM access_log.checkpoint AS c WHERE c.tree_size > l.index ORDER BY c.tree_size LIMIT 1) AS head ON true
WHERE e.at BETWEEN %(from)s AND %(to)s
"""
AUTHORISE = """
SELECT refusal FROM access_log.authorise(%b::uuid[], %b::bytea[], '{disclose}', '{pseudonym}', %b::text[], %b::text[], %b::text[], '{BENCH-1}')
"""
DECISIONS = 5_000
DECISION_MS_MAX = 2
SECONDS_TO_CHECKPOINT_MAX = 1


def inserts(url, script):
    """Entries a second that pgbench inserts by themselves."""
    said = pgbench(url, "-f", str(script), "-M", "prepared", "-c", str(INSERT_CLIENTS), "-j", "2", "-n", "-T", str(max(1, round(SECONDS))))
    return pgbench_result(said)


def point_reads(url):
    done = subprocess.run([".build/release/PointReads", url, "--seconds", str(SECONDS), "--rows", str(SCALE * 100_000)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    return Result(said["reads"] / said["seconds"], said["p50_ms"], said["p99_ms"], said["errors"], said["first_error"])


def entries_of_lists(result):
    """The same in entries: a call makes one for each subject."""
    return Result(result.rate * city.SUBJECTS_PER_LIST, result.p50, result.p99, result.errors, result.first_error)


class Loads:
    """The environments of the four HTTP loads."""

    def __init__(self, server, demo, organisation, folder):
        self.server, self.organisation = server, organisation
        question = json.dumps({"purpose": city.PURPOSE, "attributes": city.ATTRIBUTES, "case_reference": "BENCH-1"})[1:]
        expected = "\n".join(['"attributes"', '"access_entry"'] + [f'"{name}"' for name in city.ATTRIBUTES])
        self.read_settings = {"method": "POST", "body": '{"subject": "%s", ' + question, "subjects": folder / "subjects", "expect": expected}
        self.list_settings = {"method": "POST", "body": '{"subjects": [%s], ' + question, "subjects": folder / "lists", "expect": expected,
                              "reject": '"refused"', "bytes_min": city.SUBJECTS_PER_LIST * self.ITEM_BYTES_MIN}
        self.live = wrk_environment("/health/live")

        resident = demo["residents"][0]
        visitor = Visitor(server.base_url)
        visitor.sign_in(resident["username"], resident["password"])
        assert "<form" in visitor.get("/consents").text
        page = visitor.get("/consents", stream=True)
        assert page.status_code == 200 and page.headers.get("Content-Encoding") == "gzip", page.headers
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.session.cookies)
        # As a browser gets it: compressed, and so checked by its length, which the masked form tokens vary by a few bytes.
        self.page_bytes = len(page.raw.read(decode_content=False))
        self.dashboard = wrk_environment("/consents", headers=f"Cookie: {cookies}\nAccept-Encoding: gzip\nAccept: text/html",
                                         bytes_min=int(self.page_bytes * 0.95))

    # Two UUIDs and the names of four attributes: an answer that lacks an item is shorter than so many of them.
    ITEM_BYTES_MIN = 200

    def reads(self):
        return self.asking("/api/v1/exchange/reads", self.read_settings)

    def lists(self):
        return self.asking("/api/v1/exchange/lists", self.list_settings)

    def asking(self, path, settings):
        """With a token of its own: one ends after ten minutes."""
        return wrk_environment(path, **settings, headers=f"Authorization: Bearer {self.token()}\nContent-Type: application/json")

    def token(self):
        return organisation_session(self.server, self.organisation).token["access_token"]


def rss_mib(process):
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {process} is gone")


def soak(server, loads):
    """Reads and pages at once, while the server's memory is sampled. Returns the samples and the errors."""
    running = [subprocess.Popen(wrk_command(server.base_url, SOAK_SECONDS, threads=threads), env=environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
               for environment, threads in ((loads.reads(), READ_THREADS), (loads.dashboard, WRK_THREADS))]
    samples = []
    while any(process.poll() is None for process in running):
        samples.append(rss_mib(server.process.pid))
        try:
            running[0].wait(RSS_SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        running[1].wait(SOAK_SECONDS)
    results = [http_result(*process.communicate()[:1], process.returncode, "") for process in running]
    return samples, results


def timed(server, load):
    """What the load gives, and from when to when it ran by the database's clock."""
    with server.connect() as connection:
        start = connection.execute("SELECT clock_timestamp()").fetchone()[0]
        result = load()
        return result, (start, connection.execute("SELECT clock_timestamp()").fetchone()[0])


def seconds_to_checkpoint(server, periods, fraction):
    """Of entries made in these periods: the median of the periods. To be asked when the queue is empty."""
    with server.connect() as connection:
        return statistics.median(float(connection.execute(SECONDS_TO_CHECKPOINT, {"from": start, "to": end, "fraction": fraction}).fetchone()[0])
                                 for start, end in periods)


def decisions(server, token, subjects):
    """Milliseconds of single decisions by the door, each committed with its entry, asked one after the other by the server's role."""
    credential, attributes = hashlib.sha256(token.encode()).digest(), ",".join(city.ATTRIBUTES)
    taken = []
    with psycopg.connect(server.database_url("app"), autocommit=True) as connection, connection.cursor(binary=True) as cursor:
        for number in range(DECISIONS):
            binds = [uuid.uuid4()], [credential], [subjects[number % len(subjects)]], [attributes], [city.PURPOSE]
            start = time.perf_counter()
            cursor.execute(AUTHORISE, binds, prepare=True)
            answer = cursor.fetchone()
            taken.append((time.perf_counter() - start) * 1000)
            assert answer == (None,), f"refused: {answer}"
    return taken


def latencies(decided, to_checkpoint):
    print("\n| what | p50 ms | p99 ms | p99 under | |\n|---|--:|--:|--:|---|")
    return all([
        latency_row("one consent decision, its entry committed (database alone, one caller)", statistics.median(decided),
                    statistics.quantiles(decided, n=100)[98], DECISION_MS_MAX),
        latency_row("entry → signed checkpoint, while exchange reads load the machine", to_checkpoint[0] * 1000, to_checkpoint[1] * 1000,
                    SECONDS_TO_CHECKPOINT_MAX * 1000)])


def drain(server):
    def is_empty():
        with server.connect() as connection:
            return connection.execute("SELECT NOT EXISTS (SELECT FROM access_log.queue)").fetchone()[0]
    until(is_empty, DRAIN_SECONDS_MAX, "an empty queue of the access log")


def measure(server, folder):
    demo = server.demo()
    start_mib = rss_mib(server.process.pid)
    organisation = demo["organisations"][0]
    say("loading residents, consents and pgbench's tables")
    subjects, records = city.load(server, organisation["client_id"], folder)
    url = server.database_url("owner")
    with server.connect() as connection:
        connection.execute("CREATE SCHEMA pgbench")
        connection.execute(ENTRY_TABLE)
    pgbench(url, "-i", "-q", "-s", str(SCALE))
    script = folder / "insert-entry.sql"
    script.write_text(" ".join(INSERT_ENTRY.format(
        client=organisation["client_id"], attributes=",".join(city.ATTRIBUTES), purpose=city.PURPOSE).split()) + "\n")
    loads = Loads(server, demo, organisation, folder)
    city.check_reads(server.base_url, loads.token(), subjects, records)

    results = {name: [] for name in ("S", "points", "N", "reads", "inserts", "many reads", "lists", "live", "dashboard")}
    periods = []
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        drain(server)
        results["S"].append(reference(url, "-S"))
        results["points"].append(point_reads(url))
        results["N"].append(reference(url, "-N"))
        read, period = timed(server, lambda: http(server.base_url, loads.reads(), threads=READ_THREADS))
        results["reads"].append(read)
        periods.append(period)
        drain(server)
        results["inserts"].append(inserts(url, script))
        results["many reads"].append(http(server.base_url, loads.reads(), connections=READ_CONNECTIONS_MANY, threads=READ_THREADS))
        results["lists"].append(entries_of_lists(http(server.base_url, loads.lists(), connections=LIST_CONNECTIONS, threads=READ_THREADS)))
        drain(server)
        results["live"].append(http(server.base_url, loads.live))
        results["dashboard"].append(http(server.base_url, loads.dashboard))
    city.check_reads(server.base_url, loads.token(), subjects, records)
    check_widths(server)
    drain(server)
    decided = decisions(server, loads.token(), subjects)
    drain(server)
    to_checkpoint = [seconds_to_checkpoint(server, periods, fraction) for fraction in (0.5, 0.99)]

    say(f"memory under {SOAK_SECONDS:.0f} s of reads and pages")
    samples, soaked = soak(server, loads)
    drain(server)
    say(f"{PAYMENTS:,} outgoing payments")
    paid = outgoing_payments(server)
    drain(server)
    for what in ("log", "ledger"):
        server.run("verify", what)

    print(f"\nMedians of {ROUNDS} rounds of {SECONDS:g} s; {CONNECTIONS} keep-alive connections; {os.cpu_count()} cores, shared with the load generator "
          f"and PostgreSQL; {len(subjects):,} subjects; the page is {loads.page_bytes:,} bytes on the wire.\n")
    table_head()
    verdicts = [
        row("`Postgres` prepared point reads, 64 callers / `pgbench -S`", results["points"], results["S"], 1.0),
        row("exchange reads over HTTP / `pgbench -N`", results["reads"], results["N"], 1.0),
        row(f"the same on {READ_CONNECTIONS_MANY} connections / `pgbench` inserts of one entry, {INSERT_CLIENTS} clients", results["many reads"],
            results["inserts"], 0.6),
        row(f"entries of lists of {city.SUBJECTS_PER_LIST:,} (times of a call) / the same inserts", results["lists"], results["inserts"], 2.0),
        row("consent dashboard, signed in / `/health/live`", results["dashboard"], results["live"], 0.05),
    ]
    return all(verdicts) & latencies(decided, to_checkpoint) & payments_row(paid) & memory(start_mib, samples, sum(r.errors for r in soaked))


# The largest batch of outgoing payments, and how long it may take from its preparation to its finished file.
PAYMENTS, PAYMENTS_SECONDS_MAX, PAYMENTS_GROWTH_MIB_MAX = 100_000, 60, 64
# Money that the city owes to one resident with a bank account (the server alone can seal others), a hundred thousand times, set aside as one transfer:
# instructing is not what is measured. Entries of as many people would add some two seconds (20 ms a thousand).
OWE = (
    """SELECT ledger.post_transfers(ARRAY[gen_random_uuid()], '{post}', ARRAY[c.bank], ARRAY[c.set_aside], ARRAY[%(sum)s::bigint], ARRAY[c.currency],
        '{BENCHMARK}', '{NULL}', '{system}', '{benchmark}') FROM payouts.channel AS c WHERE c.currency = 'EUR'""",
    """INSERT INTO payouts.instruction (id, kind, pays, issue, resident_id, source, currency, amount, end_to_end_id)
        SELECT x.id, 'benefit', x.id, 1, (SELECT resident_id FROM payouts.destination ORDER BY id LIMIT 1), c.bank, 'EUR', 1000 + x.n, 'P' || lpad(upper(to_hex(x.n)), 16, '0')
        FROM payouts.channel AS c, (SELECT gen_random_uuid() AS id, n FROM generate_series(1, %(count)s) AS n) AS x WHERE c.currency = 'EUR'""",
    "INSERT INTO payouts.event (instruction_id, number, state) SELECT id, 1, 'waiting' FROM payouts.instruction WHERE amount > 1000 AND kind = 'benefit'",
)


def outgoing_payments(server):
    """Seconds of one batch of 100,000 from the button to the file and its hash, and by how much the server grew meanwhile. Two people press the buttons."""
    with server.connect() as connection:
        for statement in OWE:
            connection.execute(statement, {"sum": sum(1000 + n for n in range(1, PAYMENTS + 1)), "count": PAYMENTS})
    staff = server.demo()["staff"]
    officer = next(s for s in staff if "finance_officer" in s["roles"])
    approver = next(s for s in staff if "approver" in s["roles"] and s["username"] != officer["username"])
    visitors = []
    for person in (officer, approver):
        visitor = Visitor(server.base_url)
        visitor.sign_in(person["username"], person["password"])
        visitors.append(visitor)
    form = next(f for f in visitors[0].page("/staff/payouts").forms if f.action == "/staff/payouts")
    before = rss_mib(server.process.pid)
    began = time.monotonic()
    prepared = visitors[0].session.post(server.base_url + form.action, dict(form.values()), timeout=70)
    page = visitors[1].get(prepared.url)
    approve = next(f for f in Page(page.text).forms if f.action.endswith("/approve"))
    visitors[1].session.post(server.base_url + approve.action, dict(approve.values()), timeout=70)
    most = before

    def is_written():
        nonlocal most
        most = max(most, rss_mib(server.process.pid))
        with server.connect() as connection:
            return connection.execute("SELECT f.bytes FROM payouts.file AS f JOIN payouts.batch AS b ON b.id = f.batch_id WHERE b.count = %s", [PAYMENTS]).fetchone()
    size = until(is_written, 10 * PAYMENTS_SECONDS_MAX, "a payment file")[0]
    return time.monotonic() - began, most - before, size


def payments_row(measured):
    seconds, growth, size = measured
    good = seconds < PAYMENTS_SECONDS_MAX and growth < PAYMENTS_GROWTH_MIB_MAX
    print(f"\nA batch of {PAYMENTS:,} outgoing payments, prepared, approved, posted and written ({size / 2**20:.0f} MiB): {seconds:.1f} s (at most {PAYMENTS_SECONDS_MAX}); "
          f"the server grew by {growth:.0f} MiB (at most {PAYMENTS_GROWTH_MIB_MAX}): {'ok' if good else 'FAILED'}")
    return good


def check_widths(server):
    """The reference writes what reads write."""
    with server.connect() as connection:
        reference_width, width = (float(value) for value in connection.execute(ENTRY_WIDTHS).fetchone())
    assert abs(reference_width - width) <= ENTRY_WIDTH_TOLERANCE * width, f"rows of {reference_width:.0f} bytes stand for entries of {width:.0f}"


def memory(start_mib, samples, errors):
    third = max(1, len(samples) // 3)
    middle, last = statistics.median(samples[third:2 * third] or samples), statistics.median(samples[2 * third:] or samples)
    good = start_mib < RSS_START_MIB_MAX and last - middle <= RSS_GROWTH_MIB_MAX and errors == 0
    print("\n| resident set | MiB | at most | |\n|---|--:|--:|---|")
    print(f"| after start | {start_mib:.0f} | {RSS_START_MIB_MAX} | {'ok' if start_mib < RSS_START_MIB_MAX else 'FAILED'} |")
    print(f"| under load, after warm-up → at the end | {middle:.0f} → {last:.0f} | +{RSS_GROWTH_MIB_MAX} | "
          f"{'ok' if last - middle <= RSS_GROWTH_MIB_MAX else 'FAILED'} |")
    print(f"\nSamples each {RSS_SAMPLE_SECONDS} s: {', '.join(f'{s:.0f}' for s in samples)}; errors meanwhile: {errors}")
    return good


def main():
    with tempfile.TemporaryDirectory(prefix="stoa-bench-") as folder:
        server = StoaServer()
        try:
            server.start()
            parts = {"": measure, "ledger": ledger.measure, "identity": identity.measure}
            good = all([part(server, pathlib.Path(folder)) for name, part in parts.items() if ONLY in ("", name)])
            assert server.stop() == 0, "the server did not stop cleanly"
        finally:
            server.end()
    if not good:
        say("something is under its bound, or an error happened")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
