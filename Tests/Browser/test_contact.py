"""Somebody registers with an e-mail address, types the code that came, and says what they wish to hear of. By keyboard, in three languages; every page is inspected."""
import email
import email.policy
import re
import uuid

import pytest

from harness.catalogue import LANGUAGES
from harness.server import until

PASSWORD = "vier sterne über dem hafen"
CODE = re.compile(r"\d{4} \d{4}")
DELIVERY_SECONDS_MAX = 60


def code_in_mail(server, address):
    """The code in the newest e-mail to an address; messages of the demo city are files."""
    def found():
        files = sorted((p for p in (server.data / "outgoing").glob("*.eml") if address in p.read_text()), key=lambda p: p.stat().st_mtime)
        return files and CODE.search(email.message_from_bytes(files[-1].read_bytes(), policy=email.policy.default).get_body().get_content())
    return until(found, DELIVERY_SECONDS_MAX, f"an e-mail to {address}").group()


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_address_is_proven_and_chosen(language, browser, server):
    person = browser(language)
    address = f"zoe.{language}.{uuid.uuid4().hex[:8]}.with.a.rather.long.name@a-domain-that-is-long-too.example.org"
    person.visit("/register")
    person.fill_text("identity.email", address)
    person.fill_text("identity.password", PASSWORD)
    person.submit("identity.register.submit")
    person.expect("contact.verify.lead")
    assert address in person.text()
    person.fill_text("contact.verify.code", "1")
    person.submit("contact.verify.submit")
    person.expect("contact.verify.malformed")
    person.fill_text("contact.verify.code", code_in_mail(server, address))
    person.submit("contact.verify.submit")
    person.expect("contact.verify.done")
    person.expect("contact.primary")

    person.follow_text("contact.add.action", "link")
    person.submit("contact.add.submit")
    person.expect("contact.add.missing")
    person.visit("/contact")
    person.pick_text("contact.channel.email")
    person.submit("contact.save")
    person.expect("contact.saved")
    person.submit("contact.remove")
    person.expect("contact.last_name")
