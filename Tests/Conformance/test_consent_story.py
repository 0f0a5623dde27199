"""The thread from end to end over JSON: off by default, on, read, off again, refused at once; and both in the log."""
import uuid

import pytest

from harness.api import API, assert_problem


@pytest.fixture(scope="module")
def story(demo, consented):
    """A resident who has decided nothing yet about this purpose, as this organisation knows them."""
    organisation, purpose = consented
    person = next(r for r in demo["residents"] if r["username"] in organisation["subjects"])
    return person, organisation, purpose, organisation["subjects"][person["username"]]


@pytest.fixture
def api(base_url, app_token, story):
    return API(base_url, app_token(story[0]))


@pytest.fixture
def reader(base_url, organisation_token, story):
    return API(base_url, organisation_token(story[1]))


def consent_item(api, story):
    """The item of this organisation's purpose: the attributes tell where the names are display texts."""
    _, organisation, purpose, _ = story
    found = [item for item in api.items("/api/v1/consents") if names(item["purpose"], purpose["id"]) and
             (names(item["organisation"], organisation["name"]) or names(item["organisation"], organisation["client_id"]))]
    assert len(found) == 1, f"{len(found)} items for {organisation['name']}, {purpose['id']}"
    return found[0]


def names(value, wanted):
    """A field may be the id itself or an object that holds it."""
    return value == wanted or isinstance(value, dict) and wanted in value.values()


def test_what_a_list_item_says(api, story):
    for item in api.items("/api/v1/consents"):
        assert {"id", "organisation", "purpose", "attributes", "granted_attributes", "legal_basis", "state",
                "policy_version"} <= item.keys()
        assert item["legal_basis"] in ("consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests")
        assert (item["state"] is None) == (item["legal_basis"] != "consent")


def test_stopping_all_of_an_organisation_refuses_its_next_read(api, reader, story):
    _, organisation, purpose, subject = story
    item = consent_item(api, story)
    assert api.put(f"/api/v1/consents/{item['id']}", {"state": "given"}).status_code == 200
    assert reader.read(subject, purpose["id"], item["attributes"], "STOP-1").status_code == 200
    others = [i for i in api.items("/api/v1/consents") if i["organisation"] != item["organisation"]]

    stopped = api.put(f"/api/v1/consents/organisations/{item['organisation']}", {"state": "withdrawn"})
    assert stopped.status_code == 200, stopped.text
    assert {i["organisation"] for i in stopped.json()["items"]} == {item["organisation"]}
    assert all(i["state"] in (None, "not_given", "withdrawn") for i in stopped.json()["items"])
    assert_problem(reader.read(subject, purpose["id"], item["attributes"], "STOP-2"), 403)
    assert [i for i in api.items("/api/v1/consents") if i["organisation"] != item["organisation"]] == others
    assert_problem(api.put(f"/api/v1/consents/organisations/{item['organisation']}", {"state": "given"}), 400)


def test_on_read_off_refused_and_both_in_the_log(api, reader, story):
    _, organisation, purpose, subject = story
    item = consent_item(api, story)
    address, wanted = f"/api/v1/consents/{item['id']}", item["attributes"]
    assert api.put(address, {"state": "withdrawn"}).status_code == 200
    case = f"CASE-{uuid.uuid4().hex[:12]}"

    refused = assert_problem(reader.read(subject, purpose["id"], wanted, case), 403)
    assert all(attribute in str(refused) for attribute in wanted), refused

    given = api.put(address, {"state": "given"})
    assert given.status_code == 200, given.text
    assert given.json()["state"] == "given" and given.json()["granted_attributes"] == wanted
    assert api.put(address, {"state": "given"}).json() == given.json()

    answer = reader.read(subject, purpose["id"], wanted, case)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["attributes"]) == set(wanted)
    assert all(answer.json()["attributes"].values())

    assert api.put(address, {"state": "withdrawn"}).json()["state"] == "withdrawn"
    refused = assert_problem(reader.read(subject, purpose["id"], wanted, case), 403)
    assert all(attribute in str(refused) for attribute in wanted), refused

    entries = [e for e in api.items("/api/v1/access-entries") if e["case_reference"] == case]
    assert [e["outcome"] for e in entries] == ["refused", "permitted", "refused"]
    assert [e["at"] for e in entries] == sorted((e["at"] for e in entries), reverse=True)
    for entry in entries:
        assert {"at", "organisation", "role", "operation", "purpose", "attributes", "legal_ground", "case_reference",
                "outcome"} <= entry.keys()
        assert set(entry["attributes"]) == set(wanted) and entry["at"].endswith("Z")
    assert entries[1]["legal_ground"]


def test_a_part_of_what_is_offered(api, reader, story):
    _, _, purpose, subject = story
    item = consent_item(api, story)
    address, offered = f"/api/v1/consents/{item['id']}", item["attributes"]
    assert len(offered) > 1, "the demo offers a purpose with several attributes"
    assert api.put(address, {"state": "given", "attributes": offered[:1]}).json()["granted_attributes"] == offered[:1]
    assert set(reader.read(subject, purpose["id"], offered[:1]).json()["attributes"]) == set(offered[:1])
    # All or nothing: what is missing is named, and what is not missing is not handed out either.
    refused = assert_problem(reader.read(subject, purpose["id"], offered), 403)
    assert offered[1] in str(refused) and "attributes" not in refused
    api.put(address, {"state": "withdrawn"})


def test_puts_that_do_not_fit(api, story):
    item = consent_item(api, story)
    address = f"/api/v1/consents/{item['id']}"
    assert_problem(api.put(address, {"state": "given", "policy_version": item["policy_version"] + 1}), 409)
    assert_problem(api.put(address, {"state": "perhaps"}), 400)
    assert api.put(address, {"state": "given", "attributes": ["shoe_size"]}).status_code in (400, 422)
    assert api.put(address, {"state": "given", "attributes": []}).status_code in (400, 422)
    assert_problem(api.put(f"/api/v1/consents/{uuid.uuid4()}", {"state": "given"}), 404)
    assert_problem(api.put("/api/v1/consents/not-an-id", {"state": "given"}), 404)
    assert consent_item(api, story)["state"] == item["state"]


def test_what_a_law_allows_has_no_switch(base_url, demo, lawful, app_token, organisation_token):
    organisation, purpose = lawful
    username, subject = next(iter(organisation["subjects"].items()))
    api = API(base_url, app_token(next(r for r in demo["residents"] if r["username"] == username)))
    item = next(i for i in api.items("/api/v1/consents") if i["legal_basis"] != "consent" and names(i["purpose"], purpose["id"]))
    assert_problem(api.put(f"/api/v1/consents/{item['id']}", {"state": "withdrawn"}), 409)
    assert_problem(api.put(f"/api/v1/consents/{item['id']}", {"state": "given"}), 409)
    case = f"LAW-{uuid.uuid4().hex[:12]}"
    answer = API(base_url, organisation_token(organisation)).read(subject, purpose["id"], purpose["attributes"], case)
    assert answer.status_code == 200, answer.text
    entry = next(e for e in api.items("/api/v1/access-entries") if e["case_reference"] == case)
    assert entry["outcome"] == "permitted" and entry["legal_ground"]


def test_unknown_and_foreign_pseudonyms_are_the_same_404(base_url, demo, story, reader):
    _, organisation, purpose, subject = story
    other = next(o for o in demo["organisations"] if o["client_id"] != organisation["client_id"] and o["subjects"])
    answers = []
    for name in (str(uuid.uuid4()), next(iter(other["subjects"].values()))):
        assert name != subject
        answer = reader.read(name, purpose["id"], purpose["attributes"])
        assert_problem(answer, 404)
        # Equal byte for byte, but for what names the one request or entry.
        text = answer.text.replace(name, "<subject>")
        for key, value in answer.json().items():
            if key in ("access_entry", "request_id", "instance"):
                text = text.replace(str(value), f"<{key}>")
        varying = ("Date", "X-Request-Id", "Request-Id")
        answers.append((text, sorted((k, v) for k, v in answer.headers.items() if k.title() not in varying)))
    assert answers[0] == answers[1]


def test_reads_outside_the_purpose(reader, story):
    _, _, purpose, subject = story
    assert_problem(reader.read(subject, "no-such-purpose", purpose["attributes"]), 403)
    refused = reader.read(subject, purpose["id"], ["national_number_of_somebody"])
    assert refused.status_code in (400, 403)
    for missing in ("subject", "purpose", "attributes", "case_reference"):
        body = {"subject": subject, "purpose": purpose["id"], "attributes": purpose["attributes"], "case_reference": "X-1"}
        del body[missing]
        assert missing in str(assert_problem(reader.post("/api/v1/exchange/reads", body), 400)["errors"])


def test_an_app_reads_nobody_through_the_exchange(api, story):
    _, _, purpose, subject = story
    assert_problem(api.read(subject, purpose["id"], purpose["attributes"]), 403)
