"""The city that the benchmark loads: ten thousand imported residents who consented to one purpose of one organisation.

Consents are written straight into the tables, as the owner and with the events that a decision of theirs would leave: there are
no ten thousand accounts to make them. Only a benchmark may do so; the server's role has no such right."""
import csv
import json
import random

from harness.api import API
from harness.residents import residents, write_csv

RESIDENTS = 10_000
ATTRIBUTES = ["national_number", "given_names", "family_name", "date_of_birth"]
CHECKED_SUBJECTS = 200
# As many as a list can have, and enough different lists that no answer comes from a warm cache alone.
SUBJECTS_PER_LIST, LISTS = 1_000, 20
PURPOSE = "benchmark-reads"
ACTIVITY = "00000000-0000-7000-8000-00000000be9c"

ADD_ACTIVITY = """
BEGIN;
INSERT INTO consent.processing_activity (id, organisation_id, purpose, legal_basis)
    SELECT %(activity)s, organisation_id, %(purpose)s, 'consent' FROM openid.client WHERE id = %(client)s;
INSERT INTO consent.policy (activity_id, version, attributes, title, explanation)
    VALUES (%(activity)s, 1, %(attributes)s, %(text)s, %(text)s);
COMMIT;
"""
# consent.event first, then the state it adds up to, then the pseudonym: what consent.append does, ten thousand times at once.
GIVE_CONSENTS = """
WITH given AS (
    INSERT INTO consent.event (id, resident_id, activity_id, policy_version, sequence, kind, attributes, capacity, method, language)
        SELECT gen_random_uuid(), id, %(activity)s, 1, 1, 'given', %(attributes)s, 'system', 'identity_linked', 'en'
        FROM register.resident WHERE created_at >= %(since)s
    RETURNING *
), state AS (
    INSERT INTO consent.state (resident_id, activity_id, state, policy_version, attributes, event_id, sequence, since)
        SELECT resident_id, activity_id, kind, policy_version, attributes, id, sequence, at FROM given
)
INSERT INTO exchange.pseudonym (organisation_id, resident_id)
    SELECT a.organisation_id, g.resident_id FROM given AS g JOIN consent.processing_activity AS a ON a.id = g.activity_id
    ON CONFLICT (resident_id, organisation_id) DO NOTHING
"""
# One organisation asks here what a hundred would: its limit is not what is measured.
RAISE_LIMITS = """
UPDATE consent.organisation SET requests_per_minute_max = 2000000000, subjects_per_minute_max = 2000000000
WHERE id = (SELECT organisation_id FROM openid.client WHERE id = %(client)s)
"""
SUBJECTS = """
SELECT p.pseudonym::text FROM exchange.pseudonym AS p
JOIN consent.processing_activity AS a ON a.organisation_id = p.organisation_id AND a.id = %(activity)s
JOIN consent.state AS s ON s.resident_id = p.resident_id AND s.activity_id = a.id
"""


def load(server, client_id, folder):
    """Imports the residents and their consents. Returns the subjects, which are also in files, and the records by national number."""
    file = write_csv(folder / "residents.csv", residents(RESIDENTS, seed=1))
    with server.connect() as connection:
        since = connection.execute("SELECT now()").fetchone()[0]
    server.run("import", "residents", file)
    text = json.dumps({"en": "Reads of the benchmark", "fr": "Lectures du banc d’essai", "ar": "قراءات القياس"})
    binds = {"activity": ACTIVITY, "purpose": PURPOSE, "client": client_id, "attributes": ATTRIBUTES, "text": text, "since": since}
    with server.connect() as connection:
        for statement in ADD_ACTIVITY.strip().split(";\n"):
            connection.execute(statement.rstrip(";"), binds if "%(" in statement else None)
        connection.execute(GIVE_CONSENTS, binds)
        connection.execute(RAISE_LIMITS, binds)
        subjects = [row[0] for row in connection.execute(SUBJECTS, binds)]
        connection.execute("ANALYZE")
    assert len(subjects) >= RESIDENTS, f"only {len(subjects)} subjects"
    (folder / "subjects").write_text("\n".join(subjects) + "\n")
    # A line is what stands between the brackets of a list.
    drawn = [random.Random(number).sample(subjects, SUBJECTS_PER_LIST) for number in range(LISTS)]
    (folder / "lists").write_text("\n".join(",".join(f'"{subject}"' for subject in one) for one in drawn) + "\n")
    with open(file, encoding="utf-8", newline="") as rows:
        return subjects, {row["national_number"]: row for row in csv.DictReader(rows)}


def check_reads(base_url, token, subjects, records):
    """Some of the reads, value by value, against the file that was imported: the load generator sees only names."""
    reader = API(base_url, token)
    checked = subjects[:: max(1, len(subjects) // CHECKED_SUBJECTS)]
    singles = []
    for subject in checked:
        answer = reader.read(subject, PURPOSE, ATTRIBUTES, "BENCH-1")
        assert answer.status_code == 200, answer.text
        singles.append(check_values(answer.json()["attributes"], records))
    answer = reader.post("/api/v1/exchange/lists", {"subjects": checked, "purpose": PURPOSE, "attributes": ATTRIBUTES, "case_reference": "BENCH-1"})
    assert answer.status_code == 200, answer.text
    assert [item["subject"] for item in answer.json()["items"]] == checked
    assert [item.get("attributes") for item in answer.json()["items"]] == singles


def check_values(values, records):
    record = records.get(values["national_number"])
    assert record is not None, f"{values} was never imported"
    assert values == {name: record[name] for name in ATTRIBUTES}, f"{values} is not {record}"
    return values
