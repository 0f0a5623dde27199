"""Step five at the keyboard: a bill is paid from the wallet, and a benefit needs two people."""
import re
import uuid

import pytest

from harness.api import API
from harness.catalogue import LANGUAGES
from harness.fixtures import staff_with


@pytest.fixture(params=LANGUAGES)
def person(request, browser):
    return browser(request.param)


AFFORDABLE_CENTS_MAX = 10_000  # the demo's wallets cover two such bills


def debtors(demo, base_url, app_token):
    """Residents who still have something to pay that their wallet covers, with that bill."""
    for resident in demo["residents"]:
        for bill in API(base_url, app_token(resident)).items("/api/v1/bills"):
            if bill["status"] != "paid" and bill["amount"] <= AFFORDABLE_CENTS_MAX:
                yield resident, bill


def test_a_bill_is_paid_once_with_a_receipt(person, demo, base_url, app_token):
    resident, bill = next(debtors(demo, base_url, app_token), (None, None))
    assert resident, "no demo resident has a bill left to pay: the demo needs one for each language and one for the API"
    person.sign_in(resident["username"], resident["password"])
    person.visit("/money")
    person.expect("payments.money.wallet")
    person.visit(f"/bills/{bill['id']}")
    person.expect("payments.help.bill")
    person.follow_text("payments.bill.pay", "link")
    person.expect("payments.pay.once")
    person.submit("payments.pay.button")
    person.expect("payments.receipt.title")
    for part in ("gross", "net", "code"):
        person.expect(f"payments.receipt.{part}")
    # The form once more, as with a second press or the back button: nothing more leaves the wallet.
    person.visit(f"/bills/{bill['id']}/pay")
    person.expect("payments.receipt.title")
    person.visit("/bills")
    person.expect("payments.bills.paid")
    assert API(base_url, app_token(resident)).get(f"/api/v1/bills/{bill['id']}").json()["status"] == "paid"


def test_a_benefit_takes_two_people(person, demo):
    caseworker, approver = staff_with(demo, "caseworker"), staff_with(demo, "approver")
    assert caseworker["username"] != approver["username"], "four eyes need two people in the demo"
    resident = demo["residents"][0]
    case = f"BEN-{uuid.uuid4().hex[:8]}"
    person.sign_in(caseworker["username"], caseworker["password"])
    person.visit("/staff/benefits")
    person.follow_text("benefits.prepare.action")
    person.submit("benefits.prepare.button")  # nothing filled in
    person.expect("web.error_summary")
    person.fill_text("benefits.public_code", resident["public_code"].lower())
    person.fill_text("benefits.case_reference", case)
    person.pick(None)
    person.fill_text("benefits.amount", "12.50")
    person.fill_text("benefits.reason", "Heating <b>grant</b> for the winter")
    person.submit("benefits.prepare.button")
    person.expect("benefits.decide.another")
    assert "<b>grant</b>" in person.text(), "markup that was typed is shown as it was typed"
    address = re.sub(r"^https?://[^/]+", "", person.driver.current_url)
    assert not [n for n in person.tree() if n.role == "button" and n.name == person.t("benefits.decide.approve")]
    person.submit("web.sign_out")

    person.sign_in(approver["username"], approver["password"])
    person.visit(address)
    person.submit("benefits.decide.approve")
    person.expect("benefits.decide.approved")
    person.submit("web.sign_out")

    person.sign_in(resident["username"], resident["password"])
    person.visit("/money")
    assert case in person.text()
    person.expect("payments.money.four_eyes")
    person.visit("/access-log")
    assert case in person.text(), "the look-up by public code is in the resident's log"
