"""A resident asks about a line of their log with the app; an auditor answers on the pages; the app reads the answer and who looked into it."""
import pytest

from harness.api import API, assert_problem
from harness.fixtures import staff_with


@pytest.fixture()
def read_entry(base_url, lawful, organisation_token, resident):
    """The id of an entry that an organisation made about the resident."""
    organisation, purpose = lawful
    reader = API(base_url, organisation_token(organisation))
    answer = reader.read(organisation["subjects"][resident["username"]], purpose["id"], purpose["attributes"])
    assert answer.status_code == 200, answer.text
    return answer.json()["access_entry"]


def test_asked_answered_and_read(base_url, demo, app, app_token, other_resident, read_entry, sign_in):
    path = f"/api/v1/access-entries/{read_entry}"
    entry = app.get(path)
    assert entry.status_code == 200 and entry.json()["operation"] == "disclose"
    assert_problem(app.get(path + "/question"), 404)
    assert_problem(app.put(path + "/question", {}), 400)

    asked = app.put(path + "/question", {"words": "Why did you need this?"})
    assert asked.status_code == 201 and asked.json()["state"] == "open", asked.text
    again = app.put(path + "/question", {"words": "Why did you need this?"})
    assert again.status_code == 200 and again.json() == asked.json()
    assert_problem(app.put(path + "/question", {"words": "Something else?"}), 409, "question-stands")

    stranger = API(base_url, app_token(other_resident))
    for answer in (stranger.get(path), stranger.get(path + "/question"), stranger.put(path + "/question", {"words": "Mine?"})):
        assert_problem(answer, 404)

    reference = asked.json()["reference"]
    auditor = sign_in(staff_with(demo, "auditor"))
    assert "/staff/questions" in auditor.page("/staff").links
    queue = auditor.page("/staff/questions")
    assert reference in queue.text and "Why did you need this?" not in queue.text
    page = auditor.get(f"/staff/questions/{reference}")
    assert "Why did you need this?" in page.text
    form = next(form for form in auditor.page(f"/staff/questions/{reference}").forms if form.action.endswith(reference))
    sent = auditor.send(form, page.url, {"finding": "unlawful", "words": "It should not have asked. It was told so."})
    assert sent.status_code in (200, 303), sent.text[:300]

    told = app.get(path + "/question").json()
    assert (told["state"], told["finding"], told["answer"]) == ("answered", "unlawful", "It should not have asked. It was told so.")
    looks = [item for item in app.items("/api/v1/access-entries") if item["operation"] == "log_view" and item["case_reference"] == reference]
    assert looks and all(item["role"] == "auditor" and item["legal_ground"] for item in looks)
