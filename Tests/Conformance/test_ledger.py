"""The ledger as a program of another make uses it: balances followed by a model of a few lines, and one transfer sent many times at once."""
import concurrent.futures
import datetime
import random
import uuid

import pytest

from harness.api import API, assert_problem
from harness.oauth import organisation_session
from harness.server import until

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
