"""A resident lets another act for them; that one reads and sees the bills in their place, every page says so, and the resident reads it in the log and ends it.
By keyboard; every page is inspected."""
import pytest

NAME = "Nadia <b>& Söhne</b>, my niece with a rather long name"


@pytest.mark.parametrize("language", ["fr", "ar"])
def test_a_helper_acts_and_the_resident_sees_it(language, browser, demo):
    resident, helper = demo["residents"][1], demo["residents"][2]
    person = browser(language)

    person.sign_in(resident["username"], resident["password"])
    person.visit("/mandates")
    person.follow_text("mandates.new.action", "link")
    person.submit("mandates.new.submit")
    person.expect("mandates.new.themes_missing")
    person.fill_text("mandates.new.helper", helper["public_code"])
    person.fill_text("mandates.new.name", NAME)
    person.tick(person.t("mandates.theme.messages"))
    person.tick(person.t("mandates.theme.money"))
    person.pick_text("mandates.duration.month")
    person.submit("mandates.new.submit")
    person.expect("mandates.new.done")
    person.expect("mandates.state.waiting")
    assert NAME in person.text()
    person.submit("web.sign_out")

    person.sign_in(helper["username"], helper["password"])
    person.visit("/mandates")
    person.submit("mandates.accept")
    person.expect("mandates.done.accepted")
    person.submit("mandates.act")
    person.expect("mandates.acting.lead")
    person.expect("web.acting.text")
    person.follow_text("mandates.theme.messages", "link")
    person.expect("web.acting.text")
    person.expect("messages.kind.mandate_accepted")
    person.follow_text("web.acting.where", "link")
    person.follow_text("mandates.theme.money", "link")
    person.expect("web.acting.text")
    person.visit("/details")
    person.expect("mandates.acting.only_these")
    person.submit("web.acting.stop")
    person.expect("mandates.acting.stopped")
    person.submit("web.sign_out")

    person.sign_in(resident["username"], resident["password"])
    person.visit("/access-log")
    person.expect("access_log.did.mandate_view.permitted")
    person.follow_text("access_log.did.mandate_view.permitted", "link")
    person.expect("access_log.entry.because_mandate")
    person.visit("/mandates")
    person.submit("mandates.withdraw")
    person.expect("mandates.done.withdrawn")
    person.expect("mandates.state.withdrawn")
