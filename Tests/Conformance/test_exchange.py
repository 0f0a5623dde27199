"""Lists and yes-or-no questions, as an organisation's system asks them and as the resident reads about them."""
import uuid

import pytest

from harness.api import API, assert_problem


@pytest.fixture
def cinema(demo):
    """An organisation of the demo city whose one purpose asks for nothing but an answer."""
    return next((organisation, purpose) for organisation in demo["organisations"] for purpose in organisation["purposes"]
                if purpose["attributes"] == ["is_over_18"])


def test_a_list_answers_each_subject_in_the_order_asked(base_url, demo, lawful, organisation_token, app_token):
    organisation, purpose = lawful
    username, subject = next(iter(organisation["subjects"].items()))
    others = [pseudonym for pseudonym in organisation["subjects"].values() if pseudonym != subject]
    stranger, case = str(uuid.uuid4()), f"LIST-{uuid.uuid4().hex[:12]}"
    subjects = [others[0], stranger, subject, *others[1:]]
    client = API(base_url, organisation_token(organisation))
    answer = client.post("/api/v1/exchange/lists", {"subjects": subjects, "purpose": purpose["id"], "attributes": purpose["attributes"],
                                                    "case_reference": case})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["subject"] for item in items] == subjects
    assert items[1]["refused"]["type"].endswith("/problems/subject-unknown") and "attributes" not in items[1]
    assert all(set(item["attributes"]) == set(purpose["attributes"]) for item in items if item["subject"] != stranger)
    # The same as asked for one by one.
    single = client.read(subject, purpose["id"], purpose["attributes"], case)
    assert single.json()["attributes"] == items[2]["attributes"]
    entries = API(base_url, app_token(next(r for r in demo["residents"] if r["username"] == username))).items("/api/v1/access-entries")
    listed = next(entry for entry in entries if entry["id"] == items[2]["access_entry"])
    assert listed["operation"] == "list" and listed["count"] == len(subjects) and listed["case_reference"] == case


def test_lists_that_are_no_lists(base_url, lawful, organisation_token):
    organisation, purpose = lawful
    subject = next(iter(organisation["subjects"].values()))
    client = API(base_url, organisation_token(organisation))
    good = {"subjects": [subject], "purpose": purpose["id"], "attributes": purpose["attributes"], "case_reference": "L-1"}
    for wrong in ({"subjects": []}, {"subjects": subject}, {"subjects": [subject, subject.upper()]}, {"subjects": ["ada"]},
                  {"subjects": [str(uuid.uuid4()) for _ in range(1001)]}, {"subject": subject}):
        problem = assert_problem(client.post("/api/v1/exchange/lists", {**good, **wrong}), 400, "invalid-body")
        assert any(error["field"].startswith("subject") for error in problem["errors"])
    assert_problem(client.post("/api/v1/exchange/lists", {**good, "case_reference": "x" * 70_000}), 413)
    assert client.post("/api/v1/exchange/lists", {**good, "subjects": [str(uuid.uuid4()) for _ in range(1000)]}).status_code == 200


def test_an_answer_in_place_of_a_value(base_url, demo, cinema, organisation_token, app_token, sign_in):
    organisation, purpose = cinema
    username, subject = next(iter(organisation["subjects"].items()))
    resident = next(r for r in demo["residents"] if r["username"] == username)
    app, client = API(base_url, app_token(resident)), API(base_url, organisation_token(organisation))
    item = next(i for i in app.items("/api/v1/consents") if i["purpose"] == purpose["id"])
    assert_problem(client.read(subject, purpose["id"], ["is_over_18"]), 403, "consent-missing")
    assert app.put(f"/api/v1/consents/{item['id']}", {"state": "given"}).status_code == 200
    try:
        answer = client.read(subject, purpose["id"], ["is_over_18"])
        assert answer.status_code == 200 and answer.json()["attributes"] == {"is_over_18": True}, answer.text
        assert_problem(client.read(subject, purpose["id"], ["date_of_birth"]), 403, "attributes-not-in-purpose")
        entry = next(e for e in app.items("/api/v1/access-entries") if e["id"] == answer.json()["access_entry"])
        assert entry["operation"] == "predicate" and entry["attributes"] == ["is_over_18"] and entry["count"] is None
        page = sign_in(resident).get("/access-log").text
        assert "asked a yes-or-no question about you and was answered" in page
        assert "Whether you are 18 or over (yes or no, without your date of birth)" in page
    finally:
        app.put(f"/api/v1/consents/{item['id']}", {"state": "withdrawn"})


def test_the_library_learns_who_lives_in_the_city(base_url, demo, organisation_token, app_token):
    organisation, purpose = next((o, p) for o in demo["organisations"] for p in o["purposes"] if "lives_in_city" in p["attributes"])
    username, subject = next(iter(organisation["subjects"].items()))
    app = API(base_url, app_token(next(r for r in demo["residents"] if r["username"] == username)))
    item = next(i for i in app.items("/api/v1/consents") if i["purpose"] == purpose["id"])
    app.put(f"/api/v1/consents/{item['id']}", {"state": "given"})
    answer = API(base_url, organisation_token(organisation)).read(subject, purpose["id"], ["lives_in_city"])
    assert answer.status_code == 200 and answer.json()["attributes"] == {"lives_in_city": True}, answer.text
    app.put(f"/api/v1/consents/{item['id']}", {"state": "withdrawn"})
