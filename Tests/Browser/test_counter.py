"""Steps six to eight at the keyboard: a record is imported, found for a reason, a paper form keyed, and an account linked to it."""
import datetime
import re
import uuid

import pytest

from harness.catalogue import LANGUAGES
from harness.residents import residents, write_csv

PASSWORD = "vier sterne über dem hafen"
CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}")
HELPER = "Ndidi <i>Okoro</i>"


@pytest.fixture(params=LANGUAGES)
def person(request, browser):
    return browser(request.param)


@pytest.fixture
def record(person, server, tmp_path):
    """A register record that is imported now, one for each language, by somebody whose name is markup."""
    found = list(residents(3, seed=4))[LANGUAGES.index(person.language)]
    found["given_names"] = "Zoë <script>alert(1)</script>"
    server.run("import", "residents", write_csv(tmp_path / "residents.csv", [found]))
    return found


def look_up(person, record, case):
    person.visit("/staff/search")
    person.pick_text("access_log.reason.identity_proofing")
    person.fill_text("casework.search.case_reference", case)
    person.pick_text("casework.search.by_national_number")
    person.fill_text("casework.search.by_national_number", record["national_number"])
    person.submit("casework.search.submit")


def test_the_counter(person, record, caseworker):
    case = f"C-{uuid.uuid4().hex[:8]}"
    code, username = register(person)

    # A caseworker must say why and for which case; who does not exist is not found.
    person.sign_in(caseworker["username"], caseworker["password"])
    person.visit("/staff/search")
    person.submit("casework.search.submit")
    person.expect("web.error_summary")
    look_up(person, {"national_number": "999999999999"}, case)
    person.expect("casework.search.subject_unknown")
    look_up(person, record, case)
    person.expect("casework.record.title")
    opening = re.sub(r"^https?://[^/]+", "", person.driver.current_url)
    assert record["given_names"] in person.text(), "the name is shown as it is stored"

    reference = print_form(person)
    key_form(person, opening, reference)
    person.visit(opening)
    person.follow_text("casework.letter.print", "link")
    assert HELPER in person.text() and reference in person.text()

    # The passport links the account, once.
    person.visit(opening)
    person.fill_text("casework.proof.account_code", code)
    person.pick_text("casework.proof.kind.passport")
    person.submit("casework.proof.submit")
    person.expect("casework.proof.linked")
    person.submit("web.sign_out")

    # The resident sees all of it.
    person.sign_in(username, PASSWORD)
    person.expect("messages.kind.identity_proven")
    person.visit("/details")
    assert record["national_number"] in person.text()
    person.visit("/access-log")
    assert case in person.text() and HELPER in person.text()
    person.expect("access_log.did.view.permitted")
    person.visit("/consents")
    person.expect("consent.stop")


def register(person):
    username = f"zoe.{person.language}.{uuid.uuid4().hex[:8]}"
    person.visit("/register")
    person.fill_text("identity.username", username)
    person.fill_text("identity.password", PASSWORD)
    person.submit("identity.register.submit")
    code = CODE.search(person.text()).group()
    person.submit("web.sign_out")
    return code, username


def print_form(person):
    """Prints the blank form of the first sharing; returns the reference that is printed on it."""
    person.visit("/staff")
    forms = [n for n in person.tree() if n.role == "button" and n.name.startswith(person.t("casework.form.print"))]
    assert forms, "the staff's home page offers no form to print"
    person.activate(forms[0].name)
    person.expect("casework.form.title")
    return CODE.search(person.text()).group()


def key_form(person, opening, reference):
    person.visit(opening)
    person.activate(person.t("casework.paper.title"))
    person.submit("casework.paper.submit")  # nothing filled in: helper, signature and read-back are required
    person.expect("casework.paper.read_back_missing")
    person.fill_text("casework.paper.reference", reference)
    person.pick(None)
    person.pick_text("casework.paper.says.given")
    person.tick(None, "checkbox")  # the first kind of data of the first sharing, whose boxes come next
    person.fill_text("casework.paper.helper", HELPER)
    person.pick_text("casework.paper.signed_by.thumbprint")
    today = datetime.date.today()
    person.fill_date(today.day, today.month, today.year)
    person.tick(person.t("casework.paper.read_back"))
    person.submit("casework.paper.submit")
    assert "paper-consent" not in person.driver.current_url, person.text()
