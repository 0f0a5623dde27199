"""Money out: from a resident's wallet through two people into a file that the published schema accepts, and back when the bank refuses."""
import decimal
import hashlib
import importlib.resources
import re
import stat
import xml.etree.ElementTree as ET

import pytest
import xmlschema

from harness.api import API
from harness.fixtures import staff_with
from harness.pages import Page
from harness.server import until

FILE_SECONDS_MAX = 60
PAIN_001 = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"
AMOUNTS = ("1.00", "2.50")
# The characters that every bank in SEPA takes (EPC217-08).
PLAIN = re.compile(r"^[A-Za-z0-9/?:().,'+ -]+$")


def form_to(page, action):
    return next(form for form in page.forms if form.action.endswith(action))


def report(reference, count, total, message, outcomes):
    """A bank's pain.002.001.10. outcomes: (end-to-end id, status, reason)."""
    named = "".join(
        f"<TxInfAndSts><OrgnlEndToEndId>{payment}</OrgnlEndToEndId><TxSts>{status}</TxSts>"
        + (f"<StsRsnInf><Rsn><Cd>{reason}</Cd></Rsn></StsRsnInf>" if reason else "") + "</TxInfAndSts>" for payment, status, reason in outcomes)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt><GrpHdr><MsgId>{message}</MsgId><CreDtTm>2026-11-21T10:00:00</CreDtTm></GrpHdr>
<OrgnlGrpInfAndSts><OrgnlMsgId>{reference}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId><OrgnlNbOfTxs>{count}</OrgnlNbOfTxs><OrgnlCtrlSum>{total}</OrgnlCtrlSum></OrgnlGrpInfAndSts>
<OrgnlPmtInfAndSts><OrgnlPmtInfId>{reference}</OrgnlPmtInfId>{named}</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>
"""


@pytest.fixture(scope="module")
def approved(demo, base_url, sign_in):
    """A batch with two payments of a demo resident, prepared by one person and approved by another: its page's address, and who prepared it."""
    resident, officer = sign_in(demo["residents"][0]), sign_in(staff_with(demo, "finance_officer"))
    for amount in AMOUNTS:
        asked = resident.send(form_to(resident.page("/money-out"), "/money-out"), base_url + "/money-out", {"amount": amount})
        assert asked.status_code == 200 and "/money-out" in asked.url, asked.text[:600]
    prepared = officer.send(form_to(officer.page("/staff/payouts"), "/staff/payouts"), base_url + "/staff/payouts")
    assert re.search(r"/staff/payouts/[0-9a-f-]{36}$", prepared.url), prepared.text[:600]
    assert not [form for form in Page(prepared.text).forms if form.action.endswith("/approve")]
    approver = sign_in(next(s for s in demo["staff"] if "approver" in s["roles"] and s["username"] != staff_with(demo, "finance_officer")["username"]))
    page = approver.get(prepared.url)
    done = approver.send(form_to(Page(page.text), "/approve"), page.url)
    assert done.status_code == 200, done.text[:600]
    return prepared.url, officer


@pytest.fixture(scope="module")
def file(approved, server):
    """The file's bytes as the finance officer downloads them, and the hash that the page shows."""
    address, officer = approved
    shown = until(lambda: re.search(r"\b[0-9a-f]{64}\b", Page(officer.get(address).text).text), FILE_SECONDS_MAX, "a file with its hash")
    answer = officer.get(address + "/file.xml")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/xml")
    return answer.content, shown.group(0)


def test_the_published_schema_accepts_the_file(file):
    content, shown_hash = file
    assert hashlib.sha256(content).hexdigest() == shown_hash
    schema = xmlschema.XMLSchema(str(importlib.resources.files("sepaxml") / "schemas" / "pain.001.001.09.xsd"))
    schema.validate(content.decode())
    wrong = content.replace(b"<Ctry>FR</Ctry>", b"<Ctry>France</Ctry>", 1)
    assert wrong != content and not schema.is_valid(wrong.decode())


def test_sums_names_and_addresses_by_another_reader(file):
    root = ET.fromstring(file[0])
    payments = root.findall(f".//{PAIN_001}CdtTrfTxInf")
    amounts = [decimal.Decimal(p.find(f"{PAIN_001}Amt/{PAIN_001}InstdAmt").text) for p in payments]
    for head in ("GrpHdr", "PmtInf"):
        block = root.find(f".//{PAIN_001}{head}")
        assert int(block.find(f"{PAIN_001}NbOfTxs").text) == len(payments)
        assert decimal.Decimal(block.find(f"{PAIN_001}CtrlSum").text) == sum(amounts)
    assert sorted(amounts) == sorted(decimal.Decimal(a) for a in AMOUNTS)
    for payment in payments:
        name, address = payment.find(f"{PAIN_001}Cdtr/{PAIN_001}Nm").text, payment.find(f"{PAIN_001}Cdtr/{PAIN_001}PstlAdr")
        assert PLAIN.match(name) and len(name) <= 70
        assert address.find(f"{PAIN_001}TwnNm").text and len(address.find(f"{PAIN_001}Ctry").text) == 2 and address.find(f"{PAIN_001}AdrLine") is None
        iban = payment.find(f"{PAIN_001}CdtrAcct/{PAIN_001}Id/{PAIN_001}IBAN").text
        assert int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1
    ids = [e.text for e in root.iter(f"{PAIN_001}EndToEndId")]
    assert len(set(ids)) == len(ids)


def test_the_command_writes_the_same_file_again(file, server):
    reference = ET.fromstring(file[0]).find(f".//{PAIN_001}MsgId").text
    path = server.data / "payouts" / f"{reference}.xml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_bytes() == file[0]
    path.unlink()
    # As a run leaves it that was killed in the middle.
    part = path.with_name(path.name + ".part")
    part.write_bytes(file[0][: len(file[0]) // 2])
    said = server.run("payouts", "write", reference).stdout
    assert file[1] in said and path.read_bytes() == file[0] and not part.exists()
    unknown = server.run("payouts", "write", "PAYOUT-20000101-000000000000", check=False)
    assert unknown.returncode == 1 and "no approved batch" in unknown.stderr


def test_whoever_is_in_the_file_reads_that_it_was_opened(file, demo, base_url, app_token):
    seen = [e for e in API(base_url, app_token(demo["residents"][0])).items("/api/v1/access-entries") if e["operation"] == "payout"]
    assert seen and {e["attributes"][0] for e in seen} == {"bank_account"} and all(e["count"] == 2 and e["legal_ground"] for e in seen)
    # The officer of the demo city is an approver too, and that is the role that the log tells.
    assert len(seen) >= 2 and {e["role"] for e in seen} == {"approver"}


def test_a_report_is_taken_whole_and_once(approved, file, demo, server, base_url, sign_in, tmp_path):
    root = ET.fromstring(file[0])
    reference, total = (root.find(f".//{PAIN_001}{name}").text for name in ("MsgId", "CtrlSum"))
    ids = [e.text for e in root.iter(f"{PAIN_001}EndToEndId")]

    def take(text):
        path = tmp_path / "report.xml"
        path.write_text(text)
        return server.run("payouts", "report", path, check=False)

    for wrong, words in (
        (report(reference, 2, "3.51", "B-1", [(ids[0], "RJCT", "AC04")]), "control sum"),
        (report(reference, 3, total, "B-1", [(ids[0], "RJCT", "AC04")]), "number of payments"),
        (report(reference, 2, total, "B-1", [(ids[0], "RJCT", "AC04"), ("P0", "ACSC", None)]), "P0"),
        (report(reference, 2, total, "B-1", [(ids[0], "RJCT", "AC04")])[:-40], "line"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd">' + report(reference, 2, total, "B-1", []), "document type"),
    ):
        done = take(wrong)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    sound = report(reference, 2, total, "B-1", [(ids[0], "RJCT", "AC04"), (ids[1], "ACSC", None)])
    assert "1 settled, 1 rejected" in take(sound).stdout
    assert "Nothing changed" in take(sound).stdout
    server.run("verify", "ledger")

    # The resident sees both, and can send the refused one again, once.
    resident = sign_in(demo["residents"][0])
    page = resident.page("/money-out")
    assert "AC04" in page.text
    again = [form for form in page.forms if form.action.endswith("/again")]
    assert len(again) == 1
    assert resident.send(again[0], base_url + "/money-out").status_code == 200
    assert not [form for form in resident.page("/money-out").forms if form.action.endswith("/again")]
