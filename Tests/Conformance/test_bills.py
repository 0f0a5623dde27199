"""Bills: a resident pays once, however often the request arrives."""
import concurrent.futures
import uuid

import pytest

from harness.api import API, assert_problem


@pytest.fixture(scope="module")
def debtor(demo, base_url, app_token):
    """A demo resident with an open bill, and the API as their app. The smallest bill comes first: the wallet covers it."""
    for resident in reversed(demo["residents"]):
        api = API(base_url, app_token(resident))
        open_bills = [bill for bill in api.items("/api/v1/bills") if is_open(bill)]
        if open_bills:
            return api, sorted(open_bills, key=lambda bill: bill["amount"])
    pytest.fail("no demo resident has an open bill")


def is_open(bill):
    return bill["status"] in ("open", "overdue")


def test_bills_are_listed_and_shown(debtor):
    api, bills = debtor
    for bill in bills:
        answer = api.get(f"/api/v1/bills/{bill['id']}")
        assert answer.status_code == 200 and answer.json()["id"] == bill["id"]
    assert_problem(api.get(f"/api/v1/bills/{uuid.uuid4()}"), 404)
    assert_problem(api.get("/api/v1/bills/1"), 404)


def test_a_payment_needs_a_key_and_happens_once(debtor, server):
    api, bills = debtor
    address = f"/api/v1/bills/{bills[0]['id']}/payments"
    assert_problem(api.post(address, {}), 400)
    assert_problem(api.post(address, {}, headers={"Idempotency-Key": ""}), 400)
    assert_problem(api.post(address, {}, headers={"Idempotency-Key": "k" * 256}), 400)
    assert is_open(api.get(f"/api/v1/bills/{bills[0]['id']}").json())

    key = {"Idempotency-Key": str(uuid.uuid4())}
    with concurrent.futures.ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: API(api.base_url, token_of(api)).post(address, {}, headers=key), range(8)))
    first = answers[0]
    assert {a.status_code for a in answers} == {201}, [a.text[:200] for a in answers]
    assert {a.text for a in answers} == {first.text}
    assert api.post(address, {}, headers=key).text == first.text

    # The same key does not stand for another body, nor for another bill.
    other_body = api.post(address, {"amount": 1}, headers=key)
    assert other_body.status_code in (400, 422), other_body.text
    if len(bills) > 1:
        assert_problem(api.post(f"/api/v1/bills/{bills[1]['id']}/payments", {}, headers=key), 422, "idempotency-key-reused")
    assert not is_open(api.get(f"/api/v1/bills/{bills[0]['id']}").json())

    again = api.post(address, {}, headers={"Idempotency-Key": str(uuid.uuid4())})
    assert_problem(again, 409)


def test_a_wallet_that_holds_too_little(debtor):
    api, bills = debtor
    address = f"/api/v1/bills/{bills[-1]['id']}/payments"
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert_problem(api.post(address, {}, headers=key), 422, "insufficient-funds")
    assert is_open(api.get(f"/api/v1/bills/{bills[-1]['id']}").json())


def token_of(api):
    return api.session.headers["Authorization"].removeprefix("Bearer ")


def test_amounts_are_whole_minor_units(debtor):
    api, bills = debtor
    for bill in bills:
        whole = api.get(f"/api/v1/bills/{bill['id']}").json()
        assert type(whole["amount"]) is int and whole["amount"] > 0
        assert sum(line["amount"] for line in whole["lines"]) == whole["amount"]
