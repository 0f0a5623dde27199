"""The ledger as a program of another make uses it: balances followed by a model of a few lines, one transfer sent many times at once, hledger and
Beancount adding the journal up, and kills under load."""
import concurrent.futures
import csv
import datetime
import os
import random
import signal
import subprocess
import threading
import uuid

import pytest
import requests

from harness.api import API, assert_problem
from harness.oauth import organisation_session
from harness.server import StoaServer, until

CALLERS = 16


@pytest.fixture(scope="module")
def ledger(server):
    """The demo city's ledger client, and what demo.json says about it."""
    client = server.demo()["ledger_client"]
    return API(server.base_url, organisation_session(server, client).token["access_token"]), client


def account(api, client):
    body = {"id": str(uuid.uuid4()), "kind": client["account_kind"], "currency": client["currency"]}
    answer = api.post("/api/v1/ledger/accounts", body)
    assert answer.status_code == 201 and answer.json()["posted"] == 0, answer.text
    assert api.post("/api/v1/ledger/accounts", body).status_code == 200
    return body["id"]


def transfer(client, debit, credit, amount, name=None, kind="post", **more):
    return {"id": name or str(uuid.uuid4()), "kind": kind, "debit_account": debit, "credit_account": credit, "amount": amount,
            "currency": client["currency"], "reference": "conformance", **more}


def balances(api, ids):
    return {name: api.get(f"/api/v1/ledger/accounts/{name}").json()["available"] for name in ids}


def test_random_batches_leave_what_a_model_says(ledger):
    api, client = ledger
    chance = random.Random(4)
    ids = [account(api, client) for _ in range(4)]
    model = dict.fromkeys(ids, 0)
    for _ in range(10):
        items, expected = [], []
        for _ in range(40):
            debit, credit = chance.sample([*ids, client["funding_account"]], 2)
            if credit == client["funding_account"]:
                continue
            amount = chance.randint(1, 50)
            items.append(transfer(client, debit, credit, amount))
            enough = debit not in model or model[debit] >= amount
            expected.append("created" if enough else "insufficient_funds")
            if enough:
                model[credit] += amount
                if debit in model:
                    model[debit] -= amount
        answer = api.post("/api/v1/ledger/transfer-batches", {"transfers": items, "atomic": False})
        assert answer.status_code == 200
        assert [item["result"] for item in answer.json()["results"]] == expected
    assert balances(api, ids) == model
    entries = api.items(f"/api/v1/ledger/accounts/{ids[0]}/entries")
    assert sum(entry["amount"] if entry["side"] == "credit" else -entry["amount"] for entry in entries) == model[ids[0]]


def test_the_same_transfer_at_once_counts_once(ledger, server):
    api, client = ledger
    source, target = account(api, client), account(api, client)
    assert api.post("/api/v1/ledger/transfers", transfer(client, client["funding_account"], source, 100)).status_code == 201
    body = transfer(client, source, target, 60)
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: api.post("/api/v1/ledger/transfers", body).status_code, range(4 * CALLERS)))
    assert sorted(answers) == [200] * (4 * CALLERS - 1) + [201]
    assert balances(api, [source, target]) == {source: 40, target: 60}
    poor = transfer(client, source, target, 60)
    assert assert_problem(api.post("/api/v1/ledger/transfers", poor), 422, "insufficient-funds")["result"] == "insufficient_funds"
    assert assert_problem(api.post("/api/v1/ledger/transfers", {**body, "amount": 61}), 409, "id-conflict")["field"] == "amount"
    server.run("verify", "ledger")


def test_an_atomic_batch_whose_fourth_leg_fails_has_no_effect(ledger):
    api, client = ledger
    legs = [account(api, client) for _ in range(5)]
    items = [transfer(client, client["funding_account"], leg, 10) for leg in legs]
    items[3] = transfer(client, legs[3], legs[0], 11)
    answer = api.post("/api/v1/ledger/transfer-batches", {"transfers": items, "atomic": True})
    assert [item["result"] for item in answer.json()["results"]] == ["batch_refused"] * 3 + ["insufficient_funds", "batch_refused"]
    assert set(balances(api, legs).values()) == {0}


def test_a_hold_is_posted_in_part_or_expires_and_a_payment_is_reversed_once(ledger, server):
    api, client = ledger
    source, target = account(api, client), account(api, client)

    def send(*arguments, **more):
        body = transfer(client, *arguments, **more)
        return body, api.post("/api/v1/ledger/transfers", body)

    def seen(name):
        found = api.get(f"/api/v1/ledger/accounts/{name}").json()
        return found["posted"], found["held"], found["available"]

    assert send(client["funding_account"], source, 100)[1].status_code == 201
    hold, answer = send(source, target, 70, kind="hold")
    assert answer.status_code == 201 and answer.json()["result"] == "created"
    assert seen(source) == (100, 70, 30)
    assert_problem(send(source, target, 31)[1], 422, "insufficient-funds")
    part, answer = send(source, target, 40, kind="post_hold", hold_id=hold["id"])
    assert answer.status_code == 201 and seen(source) == (60, 0, 60) and seen(target) == (40, 0, 40)
    assert assert_problem(send(source, target, 70, kind="void_hold", hold_id=hold["id"])[1], 422)["result"] == "hold_posted"
    assert send(target, source, 40, kind="reversal", reversal_of=part["id"])[1].status_code == 201
    assert assert_problem(send(target, source, 40, kind="reversal", reversal_of=part["id"])[1], 422)["result"] == "already_reversed"
    assert seen(source) == (100, 0, 100)

    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)
    short, answer = send(source, target, 100, kind="hold", expires_at=expires.isoformat())
    assert answer.status_code == 201 and seen(source) == (100, 100, 0)
    until(lambda: seen(source) == (100, 0, 100), 30, "the hold to expire")
    assert assert_problem(send(source, target, 1, kind="post_hold", hold_id=short["id"])[1], 422)["result"] == "hold_expired"
    assert api.post("/api/v1/ledger/transfers", short).status_code == 200
    server.run("verify", "ledger")


def test_what_is_no_amount_is_refused(ledger):
    api, client = ledger
    target = account(api, client)
    for amount in (0, -1, 1.0, 1.5, 2**53, "1", None, True):
        assert_problem(api.post("/api/v1/ledger/transfers", transfer(client, client["funding_account"], target, amount)), 400)
    assert_problem(API(api.base_url).get(f"/api/v1/ledger/accounts/{target}"), 401)


def test_another_program_adds_the_journal_up_to_the_same_balances(ledger, server):
    api, client = ledger
    source, target = account(api, client), account(api, client)
    items = [transfer(client, client["funding_account"], source, 1_234), transfer(client, source, target, 567)]
    items[1]["reference"] = 'Rent; "March" \\ | 50 % (late)'
    items[1]["effective_at"] = "2020-03-01T12:00:00Z"
    items.append(transfer(client, target, source, 567, kind="reversal", reversal_of=items[1]["id"]))
    items.append(transfer(client, source, target, 34))
    answer = api.post("/api/v1/ledger/transfer-batches", {"transfers": items, "atomic": True})
    assert [item["result"] for item in answer.json()["results"]] == ["created"] * 4
    journal = server.data / "journal.hledger"
    journal.write_text(server.run("ledger", "export", "--format", "hledger").stdout)
    said = subprocess.run(["hledger", "-f", str(journal), "balance", "--flat", "--empty", "-O", "csv"], capture_output=True, text=True, check=True).stdout
    found = {row["account"].split(":")[1]: row["balance"] for row in csv.DictReader(said.splitlines()) if ":" in row["account"]}
    assert (found[source], found[target]) == (f"-12.00 {client['currency']}", f"-0.34 {client['currency']}")
    total = list(csv.DictReader(said.splitlines()))[-1]
    assert total["account"] == "total" and total["balance"] == "0", total
    beans = server.data / "journal.beancount"
    beans.write_text(server.run("ledger", "export", "--format", "beancount").stdout)
    checked = subprocess.run(["bean-check", str(beans)], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    asked = f"SELECT account, sum(position) AS amount WHERE account ~ '{source.upper()}|{target.upper()}' GROUP BY account"
    said = subprocess.run(["bean-query", "-f", "csv", str(beans), asked], capture_output=True, text=True, check=True).stdout
    found = {row["account"].strip().split(":")[2]: row["amount"].strip() for row in csv.DictReader(said.splitlines())}
    assert found == {source.upper(): f"-12.00 {client['currency']}", target.upper(): f"-0.34 {client['currency']}"}
    rows = list(csv.DictReader(server.run("ledger", "export", "--format", "csv", "--to", "2021-01-01T00:00:00Z").stdout.splitlines()))
    assert [(row["id"], row["amount"], row["reference"]) for row in rows if row["debit_account"] == source] == [(items[1]["id"], "5.67", items[1]["reference"])]


KILL_CALLERS, KILL_AFTER_TRANSFERS, BACK_SECONDS_MAX = 8, 150, 60


@pytest.fixture(scope="module")
def hurt():
    """A server of its own, to be killed."""
    server = StoaServer()
    try:
        yield server.start()
        assert server.stop() == 0, server.log()[-4000:]
    finally:
        server.end()


@pytest.mark.parametrize("victim", ["postgres", "stoa"])
def test_what_was_acknowledged_before_a_kill_is_there_and_nothing_by_halves(hurt, victim):
    client = hurt.demo()["ledger_client"]
    token = organisation_session(hurt, client).token["access_token"]
    ids = [account(API(hurt.base_url, token), client) for _ in range(4)]
    postmaster = hurt.postmaster()
    sent, said = {}, {}
    over = threading.Event()

    def call(number):
        chance, mine, holds = random.Random(number), API(hurt.base_url, token), []
        while not over.is_set():
            source, target = chance.sample(ids, 2)
            kind = chance.choice(["fund", "post", "hold", "end"])
            if kind == "end" and holds:
                hold = holds.pop()
                body = transfer(client, hold["debit_account"], hold["credit_account"], hold["amount"], kind=chance.choice(["post_hold", "void_hold"]),
                                hold_id=hold["id"])
            elif kind == "fund":
                body = transfer(client, client["funding_account"], target, chance.randint(1, 9))
            else:
                body = transfer(client, source, target, chance.randint(1, 9), kind="hold" if kind == "hold" else "post")
            sent[body["id"]] = body
            try:
                answer = mine.post("/api/v1/ledger/transfers", body)
            except requests.RequestException:
                return
            if answer.status_code not in (201, 422):
                return
            said[body["id"]] = answer.json()["result"]
            if answer.status_code == 201 and body["kind"] == "hold":
                holds.append(body)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(KILL_CALLERS)]
    for caller in callers:
        caller.start()
    until(lambda: len(said) >= KILL_AFTER_TRANSFERS, BACK_SECONDS_MAX, "transfers under way")
    os.kill(postmaster if victim == "postgres" else hurt.process.pid, signal.SIGKILL)
    over.set()
    for caller in callers:
        caller.join()
    if victim == "stoa":
        hurt.process.wait(BACK_SECONDS_MAX)
        hurt.start()
    until(hurt.is_ready, BACK_SECONDS_MAX, "a server that is back")

    # Sent again, what was acknowledged is there and what was refused stays so; what was never answered is there, or is done now.
    api = API(hurt.base_url, organisation_session(hurt, client).token["access_token"])
    for name, body in sent.items():
        again = api.post("/api/v1/ledger/transfers", body)
        assert again.status_code in (200, 201, 422), again.text
        if said.get(name) == "created":
            assert again.status_code == 200, (body, again.text)
        elif said.get(name) == "insufficient_funds":
            assert again.json()["result"] == "insufficient_funds", (body, again.text)
    assert "created" in said.values() and "insufficient_funds" in said.values()
    hurt.run("verify", "ledger")
