"""Second factors with an authenticator app that is not ours (pyotp), for a resident and, where the city requires it, for staff."""
import time
import uuid

import pyotp
import pytest

from harness.pages import Page, Visitor
from harness.server import StoaServer

PASSWORD = "vier sterne über dem hafen"
STEP_SECONDS = 30


def form_to(answer, action):
    return next(f for f in Page(answer.text).forms if f.action == action)


def test_a_resident_adds_an_app_and_signs_in_with_it(base_url):
    visitor = Visitor(base_url)
    username = f"totp-{uuid.uuid4().hex[:8]}"
    answer = visitor.get("/register")
    visitor.send(form_to(answer, "/register"), answer.url, {"username": username, "password": PASSWORD})
    security = visitor.get("/security")
    answer = visitor.send(form_to(security, "/security/app"), security.url)
    app = pyotp.parse_uri(next(link for link in Page(answer.text).links if link.startswith("otpauth:")))
    assert (app.digits, app.interval, app.issuer) == (6, STEP_SECONDS, "Stoa")
    form = form_to(answer, "/security/app/code")
    refused = visitor.send(form, answer.url, {"code": "not a code"})
    assert refused.status_code == 422
    now = app.now()
    answer = visitor.send(form_to(refused, "/security/app/code"), refused.url, {"code": now})
    assert answer.url.endswith("/security") and "level 2" in answer.text

    stranger = Visitor(base_url)
    asked = stranger.sign_in(username, PASSWORD)
    assert asked.url.split("?")[0].endswith("/sign-in/second-factor")
    assert stranger.get("/details", allow_redirects=False).status_code == 303
    # The code that confirmed the app is used up; the next one is taken a little early.
    again = stranger.send(form_to(asked, "/sign-in/second-factor"), asked.url, {"code": now})
    assert again.status_code == 422
    done = stranger.send(form_to(again, "/sign-in/second-factor"), again.url, {"code": app.at(time.time() + STEP_SECONDS)})
    assert done.status_code == 200 and stranger.get("/details", allow_redirects=False).status_code == 200


@pytest.fixture(scope="module")
def strict():
    """A demo city whose staff need a second factor."""
    server = StoaServer(settings={"STOA_IDENTITY_STAFF_SECOND_FACTOR": "required"})
    try:
        yield server.start()
        assert server.stop() == 0, server.log()[-4000:]
    finally:
        server.end()


def test_staff_come_in_with_their_app_alone(strict):
    clerk = strict.demo()["staff"][0]
    visitor = Visitor(strict.base_url)
    asked = visitor.sign_in(clerk["username"], clerk["password"])
    assert asked.url.split("?")[0].endswith("/sign-in/second-factor")
    assert visitor.get("/staff", allow_redirects=False).status_code == 303
    code = pyotp.TOTP(clerk["totp_secret"]).now()
    answer = visitor.send(form_to(asked, "/sign-in/second-factor"), asked.url, {"code": code})
    assert answer.url.endswith("/staff") and answer.status_code == 200
    # The same code a second time, by somebody who looked over a shoulder.
    thief = Visitor(strict.base_url)
    asked = thief.sign_in(clerk["username"], clerk["password"])
    assert thief.send(form_to(asked, "/sign-in/second-factor"), asked.url, {"code": code}).status_code == 422
