"""Measures what must stay fast when the log has grown: the same resident's page of the log, and proofs of inclusion, with a hundred thousand
entries in it and with ten million. Started by `Benchmarks/run scale`; prints a table and exits 1 where a bound is broken.

Entries, leaves and chains are written straight into the tables, as the owner: as many through the door would take hours. They are about
people who are in no register, each with ENTRIES_PER_SUBJECT of them, and commit to what they say, so that `stoa verify log` could follow them.
The server's own sequencer then signs over them and fills the tiles."""
import os
import shutil
import statistics
import sys
import time

from harness.oauth import app_session, organisation_session
from harness.pages import Visitor
from harness.server import StoaServer, until
from measure import latency_row, say

SMALL = 100_000
LARGE = int(os.environ.get("SCALE_ENTRIES", "10000000"))
ENTRIES_PER_SUBJECT = 10
# Leaves that the sequencer finds without a head over them are hashed in one transaction: this many take some seconds.
LEAVES_PER_HEAD = 250_000
OWN_ENTRIES = 60
PAGES, PROOFS = 300, 1_000
PAGE_RATIO_MAX = 1.3
PROOF_MS_MAX = 5
SEQUENCED_SECONDS_MAX = 600

ENTRIES = """
WITH made AS (
INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes, purpose,
                              legal_basis, law, case_reference, outcome)
SELECT gen_random_uuid(), now() - (%(number)s || ' days')::interval - s.n * interval '1 second', s.id, 'organisation', c.id, 'organisation',
    c.organisation_id, c.id, 'disclose', '{given_names,family_name}', 'scale', 'public_task', 'City Services Act § 8', 'SCALE-1', 'permitted'
FROM scale_subject AS s, openid.client AS c WHERE c.id = %(client)s AND s.n BETWEEN %(first)s AND %(last)s
RETURNING id)
INSERT INTO scale_made SELECT id FROM made
"""
# What access_log.sequence does, with the entries of one number in every chain at once.
LEAVES = """
WITH next AS (
    SELECT e.id, e.subject_id, coalesce(h.number, 0) + 1 AS number, h.commitment AS previous,
        sha256('stoa access entry v1\\012'::bytea || e.salt || access_log.canonical(e, coalesce(h.number, 0) + 1, h.commitment)) AS commitment
    FROM scale_made AS m JOIN access_log.entry AS e ON e.id = m.id LEFT JOIN access_log.subject_head AS h ON h.chain_id = e.subject_id
), head AS (
    INSERT INTO access_log.subject_head (chain_id, number, commitment) SELECT n.subject_id, n.number, n.commitment FROM next AS n
    ON CONFLICT (subject_id) DO UPDATE SET number = excluded.number, commitment = excluded.commitment
)
INSERT INTO access_log.leaf (index, entry_id, commitment, subject_number, previous_commitment)
SELECT (SELECT coalesce(max(index) + 1, 0) FROM access_log.leaf) + row_number() OVER (ORDER BY n.commitment) - 1, n.id, n.commitment, n.number, n.previous
FROM next AS n ORDER BY n.commitment
"""


def newest_head(connection):
    return connection.execute("SELECT max(tree_size) FROM access_log.checkpoint").fetchone()[0]


def leaves(connection):
    return connection.execute("SELECT coalesce(max(index) + 1, 0) FROM access_log.leaf").fetchone()[0]


def grow(server, connection, client_id, entries, read):
    """Adds entries until the log holds so many, a head over every LEAVES_PER_HEAD. `read` makes one more, which makes the sequencer work."""
    subjects = entries // ENTRIES_PER_SUBJECT
    connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS scale_subject (n bigint PRIMARY KEY, id uuid NOT NULL)")
    # Named, so that no plan has to find out which entries lack a leaf: a wrong one took minutes for what takes seconds.
    connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS scale_made (id uuid NOT NULL)")
    have = connection.execute("SELECT count(*) FROM scale_subject").fetchone()[0]
    connection.execute("INSERT INTO scale_subject SELECT n, gen_random_uuid() FROM generate_series(%s::bigint, %s::bigint) AS n", (have + 1, subjects))
    connection.execute("ANALYZE scale_subject")
    for number in range(ENTRIES_PER_SUBJECT):
        for first in range(have + 1, subjects + 1, LEAVES_PER_HEAD):
            part = {"number": number, "client": client_id, "first": first, "last": min(first + LEAVES_PER_HEAD - 1, subjects)}
            # The sequencer may give leaves to entries of its own meanwhile: it waits for this one's lock.
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(7308895158)")
                connection.execute("TRUNCATE scale_made")
                connection.execute(ENTRIES, part)
                connection.execute("ANALYZE scale_made")
                connection.execute(LEAVES)
            size = leaves(connection)
            read()
            until(lambda: newest_head(connection) > size, SEQUENCED_SECONDS_MAX, f"a head over {size:,} leaves")
            say(f"{size:,} leaves")
    connection.execute("ANALYZE")


def pages(visitor, name):
    """Milliseconds of the resident's page, one after the other."""
    taken = []
    for _ in range(PAGES):
        start = time.perf_counter()
        page = visitor.get("/access-log")
        taken.append((time.perf_counter() - start) * 1000)
        assert page.status_code == 200 and name in page.text, page.text[:500]
    return statistics.median(taken)


def proofs(api, base_url, entries):
    taken = []
    for number in range(PROOFS):
        start = time.perf_counter()
        answer = api.get(f"{base_url}/api/v1/access-entries/{entries[number % len(entries)]}/proof")
        taken.append((time.perf_counter() - start) * 1000)
        assert answer.status_code == 200 and answer.text.startswith("c2sp.org/tlog-proof@v1"), answer.text[:500]
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def lawful_purpose(demo):
    """An organisation and a purpose of it that a law covers: a read needs nobody's agreement."""
    return next((organisation, purpose) for organisation in demo["organisations"] for purpose in organisation["purposes"]
                if purpose["legal_basis"] != "consent")


def measure(server):
    demo = server.demo()
    resident = demo["residents"][0]
    organisation, purpose = lawful_purpose(demo)
    question = {"subject": organisation["subjects"][resident["username"]], "purpose": purpose["id"], "attributes": purpose["attributes"][:1],
                "case_reference": "SCALE-OWN"}

    def read():
        # A token ends after ten minutes, loading takes longer.
        answer = organisation_session(server, organisation).post(f"{server.base_url}/api/v1/exchange/reads", json=question)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_entry"]

    own = [read() for _ in range(OWN_ENTRIES)]
    found = {}
    with server.connect() as connection:
        for entries in (SMALL, LARGE):
            say(f"growing the log to {entries:,} entries")
            grow(server, connection, organisation["client_id"], entries, read)
            say("pages and proofs")
            # Anew each time: growing takes longer than a session may be idle.
            visitor = Visitor(server.base_url)
            visitor.sign_in(resident["username"], resident["password"])
            app = app_session(server, resident, scope="access_log")
            found[entries] = pages(visitor, organisation["name"]), proofs(app, server.base_url, own)
    small, large = found[SMALL], found[LARGE]
    ratio = large[0] / small[0]
    verdict = "ok" if ratio <= PAGE_RATIO_MAX else "FAILED"
    print("\n| what | entries | ms (median) | against | at most | |\n|---|--:|--:|--:|--:|---|")
    print(f"| a resident's page of the log, one caller | {SMALL:,} | {small[0]:.2f} | | | |")
    print(f"| the same | {LARGE:,} | {large[0]:.2f} | {ratio:.2f} × | {PAGE_RATIO_MAX} × | {verdict} |")
    print("\n| what | p50 ms | p99 ms | p99 under | |\n|---|--:|--:|--:|---|")
    return latency_row(f"proof of inclusion over HTTP at {LARGE:,} leaves, one caller", *large[1], PROOF_MS_MAX) & (verdict == "ok")


def main():
    server = StoaServer()
    try:
        server.start()
        good = measure(server)
        assert server.stop() == 0, "the server did not stop cleanly"
    finally:
        server.end()
        shutil.rmtree(server.data, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
