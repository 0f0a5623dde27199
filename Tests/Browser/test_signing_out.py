"""What a browser still shows of somebody who has gone: nothing."""
import uuid

from harness import chromium

PASSWORD = "vier sterne über dem hafen"


def test_back_shows_nothing_after_signing_out(browser):
    person = browser("en")
    username = f"back.{uuid.uuid4().hex[:8]}"
    person.visit("/register")
    person.fill_text("identity.username", username)
    person.fill_text("identity.password", PASSWORD)
    person.submit("identity.register.submit")
    person.visit("/details")
    assert username in person.text()
    person.submit("web.sign_out")
    person.expect("identity.signed_out")
    person.follow(person.driver.back)
    # The page is asked for again, and only the way to sign in comes.
    assert username not in chromium.outer_html(person.driver)
    person.expect("identity.sign_in.title")
