"""Bills: a resident pays once, however often the request arrives."""
import concurrent.futures
import re
import uuid

import pytest
import zxingcpp

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


def fresh_bill(server, resident_bill, reference, amount):
    """A bill for the resident of another bill, and what a bank transfer to it must carry."""
    bill = str(uuid.uuid4())
    with server.connect() as connection:
        connection.execute(
            """SELECT payments.issue_bill(%s, b.resident_id, 'fee', %s, '{"en": "Library"}', b.currency, b.issued_on, b.due_on, b.pays_into,
                                          ARRAY['{"en": "Late"}']::jsonb[], ARRAY[%s::bigint]) FROM payments.bill AS b WHERE b.id = %s""",
            (bill, reference, amount, resident_bill))
        return bill, connection.execute("SELECT creditor_reference FROM payments.bill WHERE id = %s", (bill,)).fetchone()[0]


def read_code(page):
    """What an independent reader finds in the drawing of a page: its SVG path becomes pixels first."""
    size = int(re.search(r'viewBox="0 0 (\d+) \d+"', page).group(1))
    path = re.search(r'stroke="#000" d="([^"]+)"', page).group(1)
    assert re.fullmatch(r"(M\d+ \d+\.5h\d+(m\d+ 0h\d+)*)+", path), path[:80]
    pixels, scale, x, y = bytearray(b"\xff" * (size * 4) ** 2), 4, 0, 0
    for command, number, row in re.findall(r"([Mmh])(\d+)(?: ([\d.]+))?", path):
        if command == "M":
            x, y = int(number), int(float(row))
        elif command == "m":
            x += int(number)
        else:
            for line in range(y * scale, (y + 1) * scale):
                start = line * size * scale + x * scale
                pixels[start:start + int(number) * scale] = bytes(int(number) * scale)
            x += int(number)
    found = zxingcpp.read_barcodes(memoryview(pixels).cast("B", (size * scale, size * scale)))
    assert len(found) == 1
    return found[0].text


def statement(account, reference, cents, name, opening=0):
    """A camt.053 of one credit, as a bank writes it."""
    balance = ('<Bal><Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{}.{:02}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-20</Dt></Dt></Bal>')
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>{name}</MsgId></GrpHdr>'
            f'<Stmt><Id>{name}</Id><Acct><Id><IBAN>{account}</IBAN></Id></Acct>{balance.format("OPBD", opening // 100, opening % 100)}'
            f'{balance.format("CLBD", (opening + cents) // 100, (opening + cents) % 100)}'
            f'<Ntry><Amt Ccy="EUR">{cents // 100}.{cents % 100:02}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-20</Dt></BookgDt>'
            f'<NtryDtls><TxDtls><RmtInf><Strd><CdtrRefInf><Ref>{reference}</Ref></CdtrRefInf></Strd></RmtInf></TxDtls></NtryDtls></Ntry></Stmt></BkToCstmrStmt></Document>\n')


def test_a_transfer_with_what_the_code_says_pays_the_bill_once(demo, base_url, server, app_token, sign_in, tmp_path):
    for resident in demo["residents"]:
        api = API(base_url, app_token(resident))
        bills = api.items("/api/v1/bills")
        if bills:
            break
    bill, reference = fresh_bill(server, bills[0]["id"], f"LIB-{uuid.uuid4().hex[:8].upper()}", 1_205)
    page = sign_in(resident).get(f"/bills/{bill}").text
    lines = read_code(page).split("\n")
    assert lines[:5] == ["BCD", "002", "1", "SCT", ""] and lines[7:] == ["EUR12.05", "", reference]
    account = lines[6]

    file = tmp_path / "statement.xml"
    file.write_text(statement(account, reference, 1_305, "S1"), encoding="utf-8")
    assert "1 movements booked" in server.run("import", "statement", file).stdout
    paid = api.get(f"/api/v1/bills/{bill}").json()
    assert paid["outstanding"] == 0 and paid["status"] == "paid" and paid["payment"]["method"] == "bank_transfer" and paid["payment"]["net"] == 1_205

    assert "imported before" in server.run("import", "statement", file).stdout
    # Told once more by another file, it is known; cut, or not adding up, a file books nothing.
    file.write_text(statement(account, reference, 1_305, "S2"), encoding="utf-8")
    assert "0 movements booked" in server.run("import", "statement", file).stdout
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    cut = server.run("import", "statement", file, check=False)
    assert cut.returncode == 1 and "ends before it is whole" in cut.stdout + cut.stderr and "line 2" in cut.stdout + cut.stderr
    file.write_bytes(whole.replace(b"<Amt Ccy=\"EUR\">0.00</Amt>", b"<Amt Ccy=\"EUR\">1.00</Amt>").replace(b"2026-11-20", b"2026-11-21"))
    waits = server.run("import", "statement", file, check=False)
    assert waits.returncode == 1 and "waits for a finance officer" in waits.stdout
    with server.connect() as connection:
        assert connection.execute("SELECT count(*) FROM payments.bank_movement").fetchone()[0] == 1
