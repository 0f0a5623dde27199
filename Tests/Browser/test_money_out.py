"""Money out, as people see it in each language: the resident's account and payouts, and the finance officer's batches. The inspector looks at every page."""
import pytest

from harness.catalogue import LANGUAGES
from harness.fixtures import staff_with


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_of_money_out(browser, language, demo):
    person, resident = browser(language), demo["residents"][0]
    person.sign_in(resident["username"], resident["password"])
    person.visit("/money")
    person.follow_text("payouts.out.title", "link")
    person.expect("payouts.out.fee")
    person.visit("/payout-account")
    person.fill_text("payouts.account.holder", "ليلى")
    person.submit("payouts.account.give")
    person.expect("payouts.account.characters")

    officer = staff_with(demo, "finance_officer")
    staff = browser(language)
    staff.sign_in(officer["username"], officer["password"])
    staff.visit("/staff/payouts")
    staff.expect("payouts.plan.title")
    staff.follow_text("payouts.report.title", "link")
    staff.submit("payouts.report.button")
    staff.expect("payouts.report.label")
