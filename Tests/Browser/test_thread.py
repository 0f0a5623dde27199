"""The nine steps of the thread at the keyboard, with scripts off, in each language. Every page on the way is inspected."""
import http.server
import threading
import urllib.parse
import uuid

import pytest

from harness.api import API
from harness.catalogue import LANGUAGES
from harness.oauth import App

PASSWORD = "vier sterne über dem hafen"


@pytest.fixture(params=LANGUAGES)
def person(request, browser):
    return browser(request.param)


def test_a_resident_registers_signs_in_and_asks_for_a_correction(person):
    username = f"anna.{person.language}.{uuid.uuid4().hex[:8]}"
    person.visit("/")
    person.follow_text("identity.register.action")
    # Nothing filled in: the page comes back with what is wrong.
    person.submit("identity.register.submit")
    person.expect("identity.register.name_missing")
    person.fill_text("identity.username", username)
    person.fill_text("identity.password", PASSWORD)
    person.submit("identity.register.submit")
    for part in ("tasks", "messages", "identity", "money", "sharing", "log", "task_prove"):
        person.expect(f"identity.home.{part}")

    person.follow_text("identity.home.identity", "link")
    person.expect("register.assurance.level_0")
    assert username in person.text()
    person.follow_text("register.correction.action", "link")
    person.submit("register.correction.submit")
    person.expect("web.field.required")
    person.fill_text("register.correction.statement", "My name is written Anna <b>")
    person.submit("register.correction.submit")
    person.expect("register.correction.received")
    person.visit("/messages")
    person.expect("messages.kind.correction_received")

    person.submit("web.sign_out")
    person.expect("identity.signed_out")
    person.visit("/sign-in")
    person.fill_text("identity.sign_in.name", username)
    person.fill_text("identity.password", "not the password")
    person.submit("identity.sign_in.submit")
    person.expect("identity.sign_in.wrong")
    person.sign_in(username, PASSWORD)
    person.expect("identity.home.title")


def test_consent_exchange_and_access_log(person, demo, consented, base_url, organisation_token, app_token):
    organisation, purpose = consented
    username, subject = next(iter(organisation["subjects"].items()))
    resident = next(r for r in demo["residents"] if r["username"] == username)
    reader = API(base_url, organisation_token(organisation))

    def read(case):
        return reader.read(subject, purpose["id"], purpose["attributes"], case).status_code

    person.sign_in(resident["username"], resident["password"])
    person.visit("/consents")
    person.expect("consent.lead")
    person.expect("consent.standing.law")  # named without a switch
    title = purpose_title(base_url, app_token(resident), organisation, purpose, person.language)
    for stop in [n for n in person.tree() if n.role == "button" and n.name == person.t("consent.stop") and title in n.description]:
        person.activate(stop.name, "button", about=title)
        person.visit("/consents")
    case = f"B-{uuid.uuid4().hex[:10]}"
    assert read(case) == 403

    person.activate(person.t("consent.share"), "button", about=title)
    person.expect("consent.notice.shared")
    person.expect("consent.standing.given")
    assert read(case) == 200

    person.activate(person.t("consent.stop"), "button", about=title)
    person.expect("consent.notice.stopped")
    assert read(case) == 403
    # What was given before stands below the notice.
    person.expect("consent.organisation.how_often")
    person.visit("/consents")
    person.activate(person.t("consent.more"), "link", about=title)
    person.expect("consent.event.withdrawn")

    person.visit("/access-log")
    assert case in person.text()
    headings = [n.name for n in person.tree() if n.role == "heading"][1:]
    assert len(headings) >= 3
    person.expect("access_log.refusal.consent_missing")
    person.reach(("DisclosureTriangle", "button"), person.t("access_log.filter.title"))
    person.press("Enter")
    person.tick(person.t("access_log.filter.own"))
    person.submit("access_log.filter.show")
    person.expect("access_log.did.own_view.permitted")
    # Why could they, and the question about it, to its place among what was asked.
    person.visit("/access-log")
    person.follow_text("access_log.did.disclose.refused", "link")
    person.expect("access_log.entry.why_refused")
    person.follow_text("access_log.entry.ask", "link")
    person.fill_text("questions.ask.words", "⁇ " + case)
    person.submit("questions.ask.submit")
    person.expect("questions.asked")
    assert "⁇ " + case in person.text()
    person.follow_text("questions.back", "link")
    person.follow_text("access_log.entry.see_question", "link")

def purpose_title(base_url, token, organisation, purpose, language):
    """The heading of the switch, as the page shows it in this language."""
    items = API(base_url, token).get("/api/v1/consents", headers={"Accept-Language": language}).json()["items"]
    return next(i["purpose_title"] for i in items if i["purpose"] == purpose["id"] and i["organisation"] in organisation["client_id"])


@pytest.fixture
def loopback():
    """What listens in the app: gives the address it was called back at."""
    called = []

    class Callback(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.startswith("/callback"):
                called.append(f"http://127.0.0.1:{self.server.server_port}{self.path}")
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<!doctype html><html lang=en><title>App</title><h1>Back in the app</h1>")

        def log_message(self, *_):
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Callback)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield listener.server_port, called
    listener.shutdown()


def test_an_app_is_let_in(person, server, demo, loopback, base_url):
    port, called = loopback
    resident = demo["residents"][0]
    app = App(server, f"http://127.0.0.1:{port}/callback")
    url = app.authorization_url()
    person.visit(url.removeprefix(base_url))
    person.fill_text("identity.sign_in.name", resident["username"])
    person.fill_text("identity.password", resident["password"])
    person.enter()
    person.expect("openid.approval.what")
    person.submit("openid.approval.allow")
    assert len(called) == 1, f"the app was not called back; the browser is at {person.driver.current_url}"
    app.redeem(called[0])
    assert resident["public_code"] in API(base_url, app.session.token["access_token"]).get("/api/v1/me").text

    # And refused: the app is told so.
    app = App(server, f"http://127.0.0.1:{port}/callback")
    person.visit(app.authorization_url().removeprefix(base_url))
    person.submit("openid.approval.refuse")
    assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(called[1]).query))["error"] == "access_denied"
