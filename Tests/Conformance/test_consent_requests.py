"""An organisation asks, a resident answers in an app: asked once, read after the yes, quiet after the no, and nobody else sees it. The
receipt of the answer verifies with an implementation that is not ours."""
import base64
import hashlib
import json
import uuid

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness.api import API, assert_problem
from harness.server import until
from test_log import LEAF_LABELS, SEQUENCER_SECONDS_MAX
from test_log_proofs import opened, read_proof, root_from_path

REQUESTS = "/api/v1/exchange/consent-requests"


@pytest.fixture(scope="module")
def story(demo):
    """The last resident of the demo city whom an organisation with a purpose on consent knows; the other stories are about the first."""
    organisation = next(o for o in reversed(demo["organisations"]) if any(p["legal_basis"] == "consent" for p in o["purposes"]) and o["subjects"])
    purpose = next(p for p in organisation["purposes"] if p["legal_basis"] == "consent")
    person = [r for r in demo["residents"] if r["username"] in organisation["subjects"]][-1]
    return person, organisation, purpose, organisation["subjects"][person["username"]]


@pytest.fixture
def api(base_url, app_token, story):
    return API(base_url, app_token(story[0]))


@pytest.fixture
def asker(base_url, organisation_token, story):
    return API(base_url, organisation_token(story[1]))


def ask(asker, story, key=None, **changes):
    _, _, purpose, subject = story
    body = {"subject": subject, "purpose": purpose["id"], "attributes": purpose["attributes"][:2], "message": "Une ligne, pas plus.",
            "message_language": "fr", **changes}
    return asker.post(REQUESTS, body, headers={"Idempotency-Key": key or str(uuid.uuid4())})


def test_asked_once_answered_read_and_not_asked_again(api, asker, story, base_url, demo, organisation_token, app_token, other_resident):
    _, organisation, purpose, subject = story
    for attribute in ("shoe_size", purpose["attributes"][0] + "x"):
        assert_problem(ask(asker, story, attributes=[attribute]), 422, "attributes-not-offered")
    assert_problem(ask(asker, story, subject=str(uuid.uuid4())), 404, "subject-unknown")
    assert_problem(asker.post(REQUESTS, {}), 400, "idempotency-key-missing")

    key = str(uuid.uuid4())
    made = ask(asker, story, key)
    assert made.status_code == 201, made.text
    assert ask(asker, story, key).json() == made.json()
    assert_problem(ask(asker, story, key, message="Another."), 422, "idempotency-key-reused")
    assert_problem(ask(asker, story), 409, "request-open")
    address = f"{REQUESTS}/{made.json()['id']}"
    assert asker.get(address).json()["state"] == "requested"
    assert_problem(asker.read(subject, purpose["id"], purpose["attributes"][:2]), 403, "consent-missing")

    # Nobody else's organisation or app finds it.
    other = next(o for o in demo["organisations"] if o["client_id"] != organisation["client_id"])
    stranger = API(base_url, organisation_token(other))
    assert_problem(stranger.get(address), 404)
    assert_problem(stranger.call("DELETE", address), 404)
    own = f"/api/v1/consent-requests/{made.json()['id']}"
    assert_problem(API(base_url, app_token(other_resident)).put(own, {"decision": "given"}), 404)

    waiting = next(i for i in api.items("/api/v1/consent-requests") if i["id"] == made.json()["id"])
    assert waiting["attributes"] == purpose["attributes"][:2] and waiting["message_language"] == "fr"
    assert api.put(own, {"decision": "deferred"}).json()["state"] == "deferred"
    assert asker.get(address).json()["state"] == "requested"
    assert_problem(api.put(own, {"decision": "given", "policy_version": waiting["policy_version"] + 1}), 409, "policy-changed")
    given = api.put(own, {"decision": "given", "policy_version": waiting["policy_version"]})
    assert given.status_code == 200 and given.json()["granted_attributes"] == purpose["attributes"][:2], given.text
    assert_problem(api.put(own, {"decision": "refused"}), 409, "request-closed")
    assert asker.get(address).json()["state"] == "given"
    assert asker.read(subject, purpose["id"], purpose["attributes"][:2]).status_code == 200
    assert_problem(ask(asker, story), 409, "consent-in-force")
    check_receipt(api, waiting["consent"], demo["log_vkey"], purpose["attributes"][:2])
    assert_problem(API(base_url, app_token(other_resident)).get(f"/api/v1/consents/{waiting['consent']}/receipt"), 404)
    assert_problem(asker.call("DELETE", address), 409, "request-closed")

    # Stopping keeps the same request away as well as a refusal does.
    assert api.put(f"/api/v1/consents/{waiting['consent']}", {"state": "withdrawn"}).status_code == 200
    assert "not_before" in assert_problem(ask(asker, story), 409, "refused-recently")


def test_a_law_needs_no_consent(base_url, organisation_token, lawful):
    organisation, purpose = lawful
    subject = next(iter(organisation["subjects"].values()))
    answer = API(base_url, organisation_token(organisation)).post(
        REQUESTS, {"subject": subject, "purpose": purpose["id"], "attributes": purpose["attributes"]}, headers={"Idempotency-Key": "law"})
    assert_problem(answer, 409, "consent-not-needed")


def canonical(value):
    """RFC 8785 for what receipts hold: ASCII names, whole numbers, texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def check_receipt(api, consent, vkey, attributes):
    answer = api.get(f"/api/v1/consents/{consent}/receipt").json()
    receipt, signature = answer["receipt"], answer["signature"]
    assert signature["vkey"] == vkey
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(vkey.split("+", 2)[2])[1:])
    signed = signature["label"].encode() + b"\n" + canonical(receipt)
    key.verify(base64.b64decode(signature["value"]), signed)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature["value"]), signed.replace(b"dpv:ConsentGiven", b"dpv:ConsentRefused"))
    notice, process = receipt["dpv:hasNotice"], receipt["dpv:hasProcess"][0]
    assert hashlib.sha256(canonical(notice["stoa:shown"])).hexdigest() == notice["stoa:sha256"]
    assert process["dpv:hasPersonalData"] == attributes and process["dpv:hasConsentStatus"]["@type"] == "dpv:ConsentGiven"

    # The log holds the event that the receipt names: from the hash to the signed head, by none of the server's code.
    until(lambda: api.get(f"/api/v1/consents/{consent}/receipt").json()["log_proof"], SEQUENCER_SECONDS_MAX, "the event's place in the tree")
    answer = api.get(f"/api/v1/consents/{consent}/receipt").json()
    extra, index, hashes, note = read_proof(answer["log_proof"])
    size, root = opened(note, vkey)
    label = LEAF_LABELS["consent_event"]
    assert extra.startswith(label) and extra[len(label) + 32:].hex() == answer["receipt"]["stoa:chain"]["sha256"]
    leaf = hashlib.sha256(b"\x00" + label + hashlib.sha256(extra).digest()).digest()
    assert root_from_path(leaf, index, size, hashes) == root
