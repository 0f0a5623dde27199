"""A protected resident: the counter is refused, breaks the glass with a reason, an auditor reviews it, and the resident's app reads it all."""
import re

import pytest

from harness.api import API, assert_problem
from harness.fixtures import staff_with
from harness.pages import Page

WORDS = "Water is running into the flat below, and nobody answers the door."


@pytest.fixture()
def protected(demo, sign_in):
    """A resident whose record is protected while this test runs."""
    person, auditor = demo["residents"][2], sign_in(staff_with(demo, "auditor"))

    def change(kind):
        form = form_to(auditor.page("/staff/protection"), "/staff/protection")
        answer = auditor.send(form, auditor.base_url + "/staff/protection", {
            "public_code": person["public_code"], "case_reference": "P-1", "change": kind, "words": "Moved here to be safe from somebody."})
        assert answer.status_code == 200, answer.text[:300]
    change("protect")
    yield person
    change("lift")


def form_to(page, action):
    return next(form for form in page.forms if form.action.endswith(action))


def search(visitor, person):
    form = form_to(visitor.page("/staff/search"), "/staff/search")
    return visitor.send(form, visitor.base_url + "/staff/search", {
        "reason": "assistance", "case_reference": "FLOOD-3", "kind": "public_code", "public_code": person["public_code"]})


def entries(app, **wanted):
    return [e for e in app.items("/api/v1/access-entries") if all(e[k] == v for k, v in wanted.items())]


def test_broken_reviewed_and_read(base_url, demo, protected, sign_in, app_token, other_resident):
    clerk, app = sign_in(staff_with(demo, "caseworker")), API(base_url, app_token(protected))
    asked = search(clerk, protected)
    assert asked.status_code == 422 and protected["name"] not in asked.text
    assert entries(app, refusal="subject_protected", operation="search")

    form = form_to(Page(asked.text), "/staff/emergency")
    short = clerk.send(form, asked.url, {"emergency": "Because"})
    assert short.status_code == 422 and not entries(app, operation="break_glass")
    opened = clerk.send(form_to(Page(short.text), "/staff/emergency"), short.url, {"emergency": WORDS})
    assert opened.status_code == 200 and re.search(r"/staff/records/[0-9a-f-]{36}$", opened.url), opened.url
    assert sum(m["kind"] == "glass_broken" for m in app.items("/api/v1/messages")) == 1

    broken, viewed = entries(app, operation="break_glass")[0], entries(app, operation="view", emergency=True)[0]
    path = f"/api/v1/access-entries/{viewed['id']}/emergency"
    told = app.get(path).json()
    assert told["reason"] == WORDS and told["finding"] is None
    assert app.get(f"/api/v1/access-entries/{broken['id']}/emergency").json() == told
    assert_problem(API(base_url, app_token(other_resident)).get(path), 404)
    assert_problem(app.get(f"/api/v1/access-entries/{entries(app, refusal='subject_protected')[0]['id']}/emergency"), 404)

    auditor, place = sign_in(staff_with(demo, "auditor")), f"/staff/emergencies/{told['reference']}"
    assert clerk.get(place).status_code == 403
    assert place in auditor.page("/staff/emergencies").links
    sent = auditor.send(form_to(auditor.page(place), told["reference"]), base_url + place, {
        "finding": "not_justified", "words": "The neighbour had the key."})
    assert sent.status_code == 200 and sent.url.endswith("/staff/emergencies"), sent.url
    told = app.get(path).json()
    assert (told["finding"], told["review"]) == ("not_justified", "The neighbour had the key.")
    assert entries(app, operation="view", emergency=True)[0]["finding"] == "not_justified"
    looks = [e for e in entries(app, operation="log_view") if e["case_reference"] == told["reference"]]
    assert looks and all(e["purpose"] == "break_glass_review" for e in looks)
    # The role is told, and no name.
    assert all(e["name"] is None for e in app.items("/api/v1/access-entries"))
