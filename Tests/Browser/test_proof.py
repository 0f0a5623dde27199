"""A resident takes the proof of an entry home, and anybody checks it on the page: by keyboard, in three languages."""
import pytest

from harness.api import API
from harness.catalogue import LANGUAGES
from harness.server import until

SEQUENCER_SECONDS_MAX = 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_proof_is_taken_and_checked(language, browser, base_url, demo, app_token):
    resident = demo["residents"][1 + LANGUAGES.index(language) % (len(demo["residents"]) - 1)]
    app = API(base_url, app_token(resident))

    def newest():
        """Opening the list is an entry itself, so there always is one."""
        return app.get("/api/v1/access-entries", params={"own": "shown"}).json()["items"][0]["id"]

    until(lambda: app.get(f"/api/v1/access-entries/{newest()}/proof").status_code == 200, SEQUENCER_SECONDS_MAX, "a leaf for an entry")
    proof = app.get(f"/api/v1/access-entries/{newest()}/proof").text

    person = browser(language)
    person.sign_in(resident["username"], resident["password"])
    person.visit(f"/access-log/{newest()}")
    person.expect("log.take.lead")
    person.expect("log.take.download")
    person.follow_text("log.take.check", "link")
    person.expect("log.verify.lead")
    person.fill_text("log.verify.proof", proof)
    person.submit("log.verify.check")
    person.expect("log.verify.stands")
    person.expect("log.verify.says")
    person.fill_text("log.verify.proof", proof.replace("index ", "index 1"))
    person.submit("log.verify.check")
    person.expect("log.verify.fault.not_included")
