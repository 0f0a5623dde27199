"""The fixtures of both folders. One server serves the whole run; tests that kill one start their own."""
import time

import pytest

from harness import chromium
from harness.api import API
from harness.browsing import Person
from harness.inspection import Inspector
from harness.oauth import app_session, organisation_session
from harness.pages import Visitor
from harness.server import StoaServer

TOKEN_SECONDS_LEFT_MIN = 120  # longer than any one test


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)  # stable: all others keep their order


@pytest.fixture(scope="session")
def server():
    """The server of this run. At the end: Ctrl-C, exit status 0, no process left."""
    server = StoaServer()
    try:
        try:
            server.start()
        except AssertionError as failure:
            pytest.exit(f"no server, no tests: {failure}", returncode=1)
        yield server
        assert server.process.poll() is None, f"the server ended with {server.process.returncode} during the run:\n{server.log()[-4000:]}"
        assert server.stop() == 0, f"the server did not stop cleanly:\n{server.log()[-4000:]}"
    finally:
        server.end()


@pytest.fixture(scope="session")
def demo(server):
    return server.demo()


@pytest.fixture(scope="session")
def base_url(demo):
    return demo["base_url"]


@pytest.fixture(scope="session")
def resident(demo):
    """The demo resident whom most stories are about."""
    return demo["residents"][0]


@pytest.fixture(scope="session")
def other_resident(demo):
    return demo["residents"][1]


def staff_with(demo, role):
    return next(s for s in demo["staff"] if role in s["roles"])


@pytest.fixture(scope="session")
def caseworker(demo):
    return staff_with(demo, "caseworker")


@pytest.fixture(scope="session")
def app_token(server):
    """`app_token(resident)`: an access token of the resident's app, obtained by the whole flow: once, and again where a test changed the password, which ends it."""
    held = {}

    def obtain(resident):
        token = held.get(resident["username"])
        if token is None or API(server.base_url, token).get("/api/v1/me").status_code == 401:
            held[resident["username"]] = app_session(server, resident).token["access_token"]
        return held[resident["username"]]
    return obtain


@pytest.fixture(scope="session")
def organisation_token(server):
    """`organisation_token(organisation)`: a client-credentials token, obtained again before it ends."""
    held = {}

    def obtain(organisation):
        token = held.get(organisation["client_id"])
        if token is None or token["expires_at"] < time.time() + TOKEN_SECONDS_LEFT_MIN:
            token = held[organisation["client_id"]] = organisation_session(server, organisation).token
        return token["access_token"]
    return obtain


@pytest.fixture
def app(base_url, app_token, resident):
    """The API as the resident's app."""
    return API(base_url, app_token(resident))


@pytest.fixture
def nobody(base_url):
    return API(base_url)


@pytest.fixture(scope="session")
def consented(demo):
    """An organisation and a purpose of it that rests on consent."""
    return activity_on(demo, lambda basis: basis == "consent")


@pytest.fixture(scope="session")
def lawful(demo):
    """An organisation and a purpose of it that a law allows."""
    return activity_on(demo, lambda basis: basis != "consent")


def activity_on(demo, accepts):
    return next((organisation, purpose) for organisation in demo["organisations"] for purpose in organisation["purposes"]
                if accepts(purpose["legal_basis"]) and organisation.get("subjects"))


@pytest.fixture(scope="session")
def sign_in(base_url):
    """`sign_in(person)`: a visitor with the session of that resident or member of staff."""
    def enter(person, language="en"):
        visitor = Visitor(base_url, language)
        answer = visitor.sign_in(person["username"], person["password"])
        assert answer.status_code == 200 and "sign-in" not in answer.url, f"{answer.url}: {answer.status_code}"
        return visitor
    return enter


@pytest.fixture(scope="session")
def inspector(base_url):
    """Collects what is wrong with pages; the last test of Tests/Browser shows it."""
    inspector = Inspector(base_url)
    yield inspector
    inspector.quit()


@pytest.fixture(scope="session")
def chromium_without_scripts():
    driver = chromium.start(scripts=False, width=1280)
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def browser(chromium_without_scripts, base_url, inspector):
    """`browser(language)`: a person who starts afresh in that language. One Chromium serves them all, one after the other."""
    return lambda language: Person(chromium_without_scripts, base_url, inspector, language)
