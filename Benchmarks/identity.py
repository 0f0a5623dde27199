"""Signing in and renewing tokens. Part of `Benchmarks/run`; `BENCH_ONLY=identity` runs it alone.

Password sign-ins stand beside the library that hashes them, called in a loop by as many processes as there are processors; refreshes beside `pgbench -N`; the
latencies of a page and of the token endpoint with a million stored sessions and tokens beside those with a thousand."""
import base64
import ctypes
import hashlib
import multiprocessing
import os
import secrets
import statistics
import subprocess
import threading
import time
import urllib.parse

import requests
from harness.pages import Page, Visitor
from loads import ROUNDS, SECONDS, WRK_SECONDS_OVER_MAX, Result, http, http_result, latency_row, pgbench, pgbench_result, row, say, table_head, wrk_environment

# argon2id as config/stoa.yaml has it.
MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
PASSWORD = "four plain words of a benchmark"
# Accounts that sign in: attempts at one account take turns, so many as there are connections.
ACCOUNTS, SIGN_IN_CONNECTIONS, SIGN_IN_THREADS = 16, 12, 1
SIGN_IN_RATIO_MIN, HEALTH_P99_MS_MAX = 0.9, 50
HEALTH_EACH_SECONDS = 0.02
REFRESH_RATIO_MIN, REFRESH_CONNECTIONS, REFRESH_THREADS = 0.25, 16, 1
STORED, LATENCY_CALLS, LATENCY_RATIO_MAX = (1_000, 1_000_000), 200, 1.3
CLIENT = "benchmark-renewing"

# A public service of an organisation, with one sign-in for each refresh token; the secrets are known here, so nobody has to sign in a million times.
SERVICE = """
INSERT INTO openid.client (id, kind, organisation_id, name, redirect_uris, scope)
SELECT %(client)s, 'public', o.id, '{"en": "Benchmark"}', '{http://127.0.0.1/signed-in}', '{openid,offline_access}' FROM consent.organisation AS o ORDER BY o.id LIMIT 1
ON CONFLICT DO NOTHING
"""
SIGN_INS = """
WITH person AS (SELECT a.id, a.resident_id FROM identity.account AS a ORDER BY a.id LIMIT 1),
made AS (
    INSERT INTO openid.sign_in (id, client_id, account_id, resident_id, subject, session_id, signed_in_at, authenticator_assurance, scope, user_info_claims)
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, %(client)s, p.id, p.resident_id, gen_random_uuid(), gen_random_uuid(), public.stoa_now(), 1,
        '{openid,offline_access}', '{}'
    FROM person AS p, generate_series(%(first)s::bigint, %(last)s) AS n RETURNING id)
INSERT INTO openid.refresh_token (hash, sign_in_id, access_hash, expires_at)
SELECT sha256(convert_to(%(secret)s || n, 'UTF8')), ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, sha256(convert_to('access' || n, 'UTF8')),
    public.stoa_now() + interval '30 days'
FROM generate_series(%(first)s::bigint, %(last)s) AS n, (SELECT count(*) FROM made) AS all_made
"""
SESSIONS = """
INSERT INTO web.credential (hash, kind, account_id, authenticator_assurance, first_factor, idle_after, expires_at)
SELECT sha256(convert_to('session' || %(secret)s || n, 'UTF8')), 'session', a.ids[1 + n %% cardinality(a.ids)], 1, 'password', interval '15 minutes',
    public.stoa_now() + interval '12 hours'
FROM (SELECT array_agg(id) AS ids FROM identity.account) AS a, generate_series(%(first)s::bigint, %(last)s) AS n
"""
FILL_EACH = 100_000


def hash_until(ends_at, count):
    """Hashes passwords with the system's libargon2, as the server does, until a moment."""
    library = ctypes.CDLL("libargon2.so.1")
    password, salt, out = PASSWORD.encode(), os.urandom(16), ctypes.create_string_buffer(32)
    done = 0
    while time.monotonic() < ends_at:
        status = library.argon2id_hash_raw(PASSES, MEMORY_KIB, LANES, password, len(password), salt, len(salt), out, len(out))
        assert status == 0, f"argon2: {status}"
        done += 1
    count.value = done


def raw_hashes():
    """Hashes a second of all processors together."""
    counts = [multiprocessing.Value("q", 0) for _ in range(os.cpu_count())]
    began = time.monotonic()
    workers = [multiprocessing.Process(target=hash_until, args=(began + SECONDS, count)) for count in counts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return Result(sum(count.value for count in counts) / (time.monotonic() - began), 0, 0, 0)


class SignIns:
    def __init__(self, server, folder):
        self.server, mark = server, secrets.token_hex(3)
        say("making accounts that sign in")
        names = [f"bench-{mark}-{number}" for number in range(ACCOUNTS)]
        for name in names:
            visitor = Visitor(server.base_url)
            page = visitor.get("/register")
            form = next(f for f in Page(page.text).forms if f.action == "/register")
            assert visitor.send(form, page.url, {"username": name, "password": PASSWORD}, allow_redirects=False).status_code == 303, "a registration"
        self.names = folder / "names"
        self.names.write_text("\n".join(names) + "\n")

    def load(self):
        """Sign-ins over HTTP, and what a health check waits meanwhile."""
        visitor = Visitor(self.server.base_url)
        page = visitor.get("/sign-in")
        form = next(f for f in Page(page.text).forms if f.action == "/sign-in")
        fields = [(name, value) for name, value in form.values() if name not in ("username", "password")]
        body = urllib.parse.urlencode(fields + [("password", PASSWORD)]) + "&username=%s"
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.session.cookies)
        headers = "Content-Type: application/x-www-form-urlencoded" + (f"\nCookie: {cookies}" if cookies else "")
        environment = wrk_environment("/sign-in", method="POST", headers=headers, body=body, subjects=self.names, status=303)
        waits, is_over = [], threading.Event()
        checks = threading.Thread(target=self.check_health, args=(waits, is_over))
        checks.start()
        result = http(self.server.base_url, environment, connections=SIGN_IN_CONNECTIONS, threads=SIGN_IN_THREADS)
        is_over.set()
        checks.join()
        return result, waits

    def check_health(self, waits, is_over):
        session = requests.Session()
        while not is_over.wait(HEALTH_EACH_SECONDS):
            began = time.monotonic()
            assert session.get(self.server.base_url + "/health/live", timeout=10).status_code == 200
            waits.append((time.monotonic() - began) * 1000)


def token(secret, number):
    """43 characters, as ours have; what is stored is the hash."""
    return base64.urlsafe_b64encode(hashlib.sha256(f"{secret}{number}".encode()).digest()).decode().rstrip("=")


class Tokens:
    def __init__(self, server, folder):
        self.server, self.folder, self.next, self.secret = server, folder, 1, secrets.token_hex(8)
        with server.connect() as connection:
            connection.execute(SERVICE, {"client": CLIENT})

    def fresh(self, count):
        """As many refresh tokens that nobody used."""
        first, self.next = self.next, self.next + count
        made = [token(self.secret, number) for number in range(first, first + count)]
        with self.server.connect() as connection:
            connection.execute(SIGN_INS, {"client": CLIENT, "first": first, "last": first + count - 1, "secret": self.secret})
            for number, characters in zip(range(first, first + count), made):
                connection.execute("UPDATE openid.refresh_token SET hash = %s WHERE hash = sha256(convert_to(%s, 'UTF8'))",
                                   [hashlib.sha256(characters.encode()).digest(), f"{self.secret}{number}"])
        return made

    def load(self):
        path = self.folder / "refresh-tokens"
        path.write_text("\n".join(self.fresh(4 * REFRESH_CONNECTIONS)) + "\n")
        environment = {**os.environ, "BENCH_TOKENS": str(path), "BENCH_CLIENT": CLIENT, "BENCH_THREADS": str(REFRESH_THREADS)}
        command = ["wrk", "--latency", "-t", str(REFRESH_THREADS), "-c", str(REFRESH_CONNECTIONS), "-d", f"{max(1, round(SECONDS))}s", "-s", "Benchmarks/refresh.lua",
                   self.server.base_url]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS + WRK_SECONDS_OVER_MAX)
        return http_result(done.stdout, done.returncode, done.stderr)

    def fill(self, stored):
        """Sessions and refresh tokens until so many are stored."""
        while self.next <= stored:
            last = min(stored, self.next + FILL_EACH - 1)
            with self.server.connect() as connection:
                binds = {"client": CLIENT, "first": self.next, "last": last, "secret": self.secret}
                connection.execute(SIGN_INS, binds)
                connection.execute(SESSIONS, binds)
            self.next = last + 1
        with self.server.connect() as connection:
            connection.execute("ANALYZE web.credential, openid.sign_in, openid.refresh_token")

    def latencies(self, name):
        """Median milliseconds of a sign-in page, of one of a signed-in resident, and of a refresh, one after the other."""
        visitor = Visitor(self.server.base_url)
        visitor.sign_in(name, PASSWORD)
        session, chain = requests.Session(), self.fresh(1)[0]
        times = {"the sign-in page": [], "a page of a resident who is signed in": [], "the token endpoint (refresh)": []}
        for _ in range(LATENCY_CALLS):
            times["the sign-in page"].append(timed(lambda: session.get(self.server.base_url + "/sign-in", timeout=30)))
            times["a page of a resident who is signed in"].append(timed(lambda: visitor.get("/security")))
            answer = None

            def renew():
                nonlocal answer
                answer = session.post(self.server.base_url + "/oauth/token", timeout=30,
                                      data={"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": chain})
                return answer
            times["the token endpoint (refresh)"].append(timed(renew))
            chain = answer.json()["refresh_token"]
        return {what: statistics.median(found) for what, found in times.items()}


def timed(call):
    began = time.monotonic()
    answer = call()
    milliseconds = (time.monotonic() - began) * 1000
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
    return milliseconds


def latency_ratio(what, few, many):
    ratio = many / few
    good = ratio <= LATENCY_RATIO_MAX
    print(f"| {what} | {few:.2f} | {many:.2f} | {ratio:.2f} × | {LATENCY_RATIO_MAX} × | {'ok' if good else 'FAILED'} |")
    return good


def measure(server, folder):
    sign_ins, tokens = SignIns(server, folder), Tokens(server, folder)
    url = server.database_url("owner")
    if not has_pgbench(server):
        pgbench(url, "-i", "-q", "-s", "10")
    ours, raw, renewed, updates, waits = [], [], [], [], []
    for number in range(ROUNDS):
        say(f"signing in and renewing, round {number + 1} of {ROUNDS}")
        raw.append(raw_hashes())
        result, found = sign_ins.load()
        ours.append(result)
        waits += found
        renewed.append(tokens.load())
        updates.append(pgbench_result(pgbench(url, "-N", "-M", "prepared", "-c", "8", "-j", "2", "-n", "-T", str(max(1, round(SECONDS))))))
    print("\nSigning in\n")
    table_head()
    good = row("password sign-ins over HTTP / `argon2id` in a loop on all processors", ours, raw, SIGN_IN_RATIO_MIN)
    good &= row("refreshes at the token endpoint / `pgbench -N`", renewed, updates, REFRESH_RATIO_MIN)
    print("\n| ms | p50 | p99 | at most | |\n|---|--:|--:|--:|---|")
    ordered = sorted(waits)
    good &= latency_row("a health check while passwords are hashed", statistics.median(ordered), ordered[int(len(ordered) * 0.99)], HEALTH_P99_MS_MAX)
    found = []
    name = sign_ins.names.read_text().split()[0]
    for stored in STORED:
        say(f"{stored:,} stored sessions and tokens")
        tokens.fill(stored)
        found.append(tokens.latencies(name))
    print(f"\n| median ms with so many stored sessions and tokens | {STORED[0]:,} | {STORED[1]:,} | ratio | at most | |\n|---|--:|--:|--:|--:|---|")
    for what in found[0]:
        good &= latency_ratio(what, found[0][what], found[1][what])
    return good


def has_pgbench(server):
    with server.connect() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS pgbench")
        return connection.execute("SELECT to_regclass('pgbench.pgbench_accounts') IS NOT NULL").fetchone()[0]
