"""The fixtures of both folders. One server serves the whole run; tests that kill one start their own."""
import pytest

from harness.api import API
from harness.oauth import app_session, organisation_session
from harness.pages import Visitor
from harness.server import StoaServer, is_running


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)  # stable: all others keep their order


@pytest.fixture(scope="session")
def server():
    """The server of this run. At the end: Ctrl-C, exit status 0, no process left."""
    server = StoaServer()
    try:
        server.start()
        yield server
        assert is_running(server.process.pid), f"the server died during the run:\n{server.log()[-4000:]}"
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
    """`app_token(resident)`: an access token of the resident's app, obtained once a run by the whole flow."""
    held = {}

    def obtain(resident):
        if resident["username"] not in held:
            held[resident["username"]] = app_session(server, resident).token["access_token"]
        return held[resident["username"]]
    return obtain


@pytest.fixture(scope="session")
def organisation_token(server):
    """`organisation_token(organisation)`: a client-credentials token, obtained once a run."""
    held = {}

    def obtain(organisation):
        client = organisation["client_id"]
        if client not in held:
            held[client] = organisation_session(server, organisation).token["access_token"]
        return held[client]
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


@pytest.fixture
def sign_in(base_url):
    """`sign_in(person)`: a visitor with that resident's or staff member's session; staff come in by their own door."""
    def enter(person, staff=False, language="en"):
        visitor = Visitor(base_url, language)
        answer = visitor.sign_in(person["username"], person["password"], "/staff/sign-in" if staff else "/sign-in")
        assert answer.status_code == 200 and "sign-in" not in answer.url, f"{answer.url}: {answer.status_code}"
        return visitor
    return enter
