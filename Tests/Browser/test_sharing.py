"""An organisation asks, the resident puts it off, shares a part, keeps the receipt, sees what was given, stops all of it, and takes everything along: by keyboard, in
three languages. Every page on the way is inspected."""
import uuid

import pytest

from harness.api import API
from harness.catalogue import LANGUAGES

PURPOSE = "vaccination-reminders"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_request_is_answered_in_part_seen_and_stopped(language, browser, base_url, demo, organisation_token, app_token):
    organisation = next(o for o in demo["organisations"] if any(p["id"] == PURPOSE for p in o["purposes"]))
    # Another resident for each language: after a withdrawal the same cannot be asked again.
    resident = [r for r in demo["residents"] if r["username"] in organisation["subjects"]][LANGUAGES.index(language)]
    subject = organisation["subjects"][resident["username"]]
    clinic = API(base_url, organisation_token(organisation))
    asked = clinic.post("/api/v1/exchange/consent-requests", {
        "subject": subject, "purpose": PURPOSE, "attributes": ["date_of_birth", "email"], "message": "One line, no more.", "message_language": "en"},
                        headers={"Idempotency-Key": str(uuid.uuid4())})
    assert asked.status_code == 201, asked.text
    items = API(base_url, app_token(resident)).get("/api/v1/consents", headers={"Accept-Language": language}).json()["items"]
    sharing = next(i for i in items if i["purpose"] == PURPOSE)

    person = browser(language)
    person.sign_in(resident["username"], resident["password"])
    person.visit("/consent-requests")
    person.expect("consent.request.lead")
    person.activate(sharing["purpose_title"], "link")
    person.expect("consent.request.free")
    person.submit("consent.request.later")
    person.expect("consent.request.notice.deferred")
    person.visit(f"/consent-requests/{asked.json()['id']}")
    person.expect("consent.request.deferred")
    person.follow_text("consent.request.choose", "link")
    person.submit("consent.share_part")
    person.expect("consent.error.nothing_ticked")
    person.tick(person.t("attributes.date_of_birth"))
    person.submit("consent.share_part")
    person.expect("consent.notice.shared")
    for _ in range(2):
        assert clinic.read(subject, PURPOSE, ["date_of_birth"]).status_code == 200
    assert clinic.read(subject, PURPOSE, ["email"]).status_code == 403

    person.visit(f"/consents/{sharing['id']}")
    person.follow_text("consent.receipt.link", "link")
    person.expect("consent.receipt.proof_text")

    person.visit("/consents")
    person.activate(person.t("consent.organisation.link"), "link", about=sharing["organisation_name"])
    person.expect("consent.stop_all_lead")
    person.expect("attributes.date_of_birth")
    person.expect("consent.organisation.keeps")
    assert sharing["retention"] in person.text()
    person.submit("consent.stop_all")
    person.expect("consent.notice.stopped_all")
    person.expect("consent.stop_all_nothing")
    assert sharing["retention"] in person.text(), "what was given before is still there"
    assert clinic.read(subject, PURPOSE, ["date_of_birth"]).status_code == 403
    person.visit("/access-log")
    person.expect("access_log.refusal.consent_missing")


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_is_one_page_away(language, browser, demo):
    resident = demo["residents"][LANGUAGES.index(language)]
    person = browser(language)
    person.sign_in(resident["username"], resident["password"])
    person.visit("/details")
    person.follow_text("register.take", "link")
    for key in ("your_data.lead", "your_data.careful", "your_data.csv", "your_data.portable", "payments.own_data.wallet", "register.own_data.details"):
        person.expect(key)
