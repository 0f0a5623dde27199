"""A guardian agrees for a child and stops, in their own name; the child reads who agreed and who looked. By keyboard, in three languages; every page is inspected."""
import re
import uuid

import pytest

from harness.catalogue import LANGUAGES

PASSWORD = "vier sterne über dem hafen"
CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}")
CHILD, GUARDIAN = "Lina <i>Wanjiru</i>", "Mama & Co"


def register(person, name):
    username = f"{name}.{person.language}.{uuid.uuid4().hex[:8]}"
    person.visit("/register")
    person.fill_text("identity.username", username)
    person.fill_text("identity.password", PASSWORD)
    person.submit("identity.register.submit")
    code = CODE.search(person.text()).group()
    person.submit("web.sign_out")
    return code, username


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_guardian_decides_and_the_child_sees_it(language, browser, server):
    person = browser(language)
    (mother, mother_name), (child, child_name) = register(person, "mother"), register(person, "child")
    server.run("guardianship", "add", "--child", child, "--guardian", mother, "--born", "2016-02-29", "--child-name", CHILD, "--guardian-name", GUARDIAN,
               "--authority", "Birth register 12/2026")

    person.sign_in(mother_name, PASSWORD)
    person.visit("/consents")
    person.follow_text("consent.child.link", "link")
    person.expect("consent.child.part.guardians")
    person.activate(CHILD, "link")
    for key in ("consent.child.for_whom", "consent.child.lead", "consent.child.standing.law"):
        person.expect(key)
    person.submit("consent.child.agree")
    person.expect("consent.child.notice.agreed")
    person.expect("consent.child.standing.given")
    person.submit("consent.stop")
    person.expect("consent.child.notice.stopped")
    person.expect("consent.child.standing.withdrawn")
    person.submit("web.sign_out")

    person.sign_in(child_name, PASSWORD)
    person.visit("/access-log")
    person.expect("access_log.did.guardian_view.permitted")
    person.follow_text("access_log.did.guardian_view.permitted", "link")
    person.expect("access_log.entry.because_guardian")
    person.visit("/children")
    assert GUARDIAN in person.text()
    person.visit("/consents")
    assert not [node for node in person.tree() if node.role == "button" and node.name == person.t("consent.share")]
    stopped = next(n for n in person.tree() if n.role == "link" and n.name == person.t("consent.more"))
    person.activate(stopped.name, "link")
    person.expect("consent.event.withdrawn")
    person.expect("consent.by_guardian")
    assert GUARDIAN in person.text()
