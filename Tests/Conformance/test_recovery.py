"""A server of its own that is hurt: its cluster killed, itself killed, stopped and started again. Nothing acknowledged is lost."""
import os
import signal

import pytest
import requests

from harness.api import API, TIMEOUT_SECONDS, assert_page_that_helps, assert_problem
from harness.fixtures import activity_on
from harness.oauth import app_session, organisation_session
from harness.pages import Visitor
from harness.server import StoaServer, is_running, until

RECOVERY_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def hurt():
    server = StoaServer()
    try:
        yield server.start()
        assert server.stop() == 0, server.log()[-4000:]
    finally:
        server.end()


@pytest.fixture(scope="module")
def story(hurt):
    """A given consent, and what the organisation needs to read under it."""
    demo = hurt.demo()
    organisation, purpose = activity_on(demo, lambda basis: basis == "consent")
    username, subject = next(iter(organisation["subjects"].items()))
    resident = next(r for r in demo["residents"] if r["username"] == username)
    app = API(hurt.base_url, app_session(hurt, resident).token["access_token"])
    reader = API(hurt.base_url, organisation_session(hurt, organisation).token["access_token"])
    item = next(i for i in app.items("/api/v1/consents") if i["legal_basis"] == "consent" and i["attributes"] == purpose["attributes"]
                and purpose["id"] in str(i["purpose"]))
    assert app.put(f"/api/v1/consents/{item['id']}", {"state": "given"}).status_code == 200
    return app, reader, item, (subject, purpose["id"], item["attributes"])


def test_the_database_goes_down_and_comes_back(hurt, story):
    app, reader, _, read = story
    assert reader.read(*read).status_code == 200
    os.kill(hurt.postmaster(), signal.SIGKILL)

    # While it is away, everybody is told so and when to come again; the process itself lives.
    answer = reader.read(*read)
    if answer.status_code != 200:  # it may be back already
        assert_told_to_come_again(answer)
    assert requests.get(hurt.base_url + "/health/live", timeout=TIMEOUT_SECONDS).status_code == 200

    # The service returns by itself, with every token and consent.
    until(lambda: reader.read(*read).status_code == 200, RECOVERY_SECONDS_MAX, "reads again after the database came back")
    until(lambda: requests.get(hurt.base_url + "/health/ready", timeout=TIMEOUT_SECONDS).status_code == 200, RECOVERY_SECONDS_MAX, "readiness")
    assert app.get("/api/v1/consents").status_code == 200


def assert_told_to_come_again(answer):
    assert_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_database_that_stays_away(hurt, story):
    """A stopped postmaster answers nobody: 503 with Retry-After on both faces, not ready, still alive; then all is well again."""
    app, reader, _, read = story
    visitor = Visitor(hurt.base_url)
    visitor.sign_in(hurt.demo()["residents"][0]["username"], hurt.demo()["residents"][0]["password"])
    postmaster = hurt.postmaster()
    backends = [postmaster, *children(postmaster)]
    for process in backends:
        stop(process, signal.SIGSTOP)
    try:
        assert_told_to_come_again(app.get("/api/v1/consents"))
        assert_told_to_come_again(reader.read(*read))
        page = visitor.get("/consents")
        assert_page_that_helps(page, 503)
        assert int(page.headers["Retry-After"]) > 0
        assert requests.get(hurt.base_url + "/health/ready", timeout=TIMEOUT_SECONDS).status_code == 503
        assert requests.get(hurt.base_url + "/health/live", timeout=TIMEOUT_SECONDS).status_code == 200
    finally:
        for process in backends:
            stop(process, signal.SIGCONT)
    until(lambda: reader.read(*read).status_code == 200, RECOVERY_SECONDS_MAX, "reads again")


def children(process):
    with open(f"/proc/{process}/task/{process}/children") as file:
        return [int(child) for child in file.read().split()]


def stop(process, how):
    try:
        os.kill(process, how)
    except ProcessLookupError:
        pass  # a backend that has ended meanwhile


def test_kill_9_of_stoa_keeps_what_was_acknowledged(hurt, story):
    app, reader, item, read = story
    assert app.put(f"/api/v1/consents/{item['id']}", {"state": "withdrawn"}).status_code == 200
    entries = len(app.items("/api/v1/access-entries"))
    orphan = hurt.postmaster()
    demo = hurt.demo()
    hurt.kill()
    hurt.start()
    assert hurt.demo()["residents"] == demo["residents"] and hurt.demo()["log_vkey"] == demo["log_vkey"]
    # The withdrawal stands, the tokens too, and the orphaned cluster serves no second master.
    assert_problem(reader.read(*read), 403)
    assert len(app.items("/api/v1/access-entries")) > entries
    assert hurt.postmaster() == orphan or not is_running(orphan)


def test_a_clean_stop_and_a_second_start(hurt, story):
    app, *_ = story
    before = app.get("/api/v1/consents").json()
    assert hurt.stop() == 0
    hurt.start()
    assert app.get("/api/v1/consents").json() == before
    for what in ("log", "ledger"):
        hurt.run("verify", what)
