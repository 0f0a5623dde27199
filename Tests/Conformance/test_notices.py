"""A resident stops sharing; the organisation is told by a notice that verifies with an implementation that is not ours, and says what it did. With a webhook it is posted
too: a real receiver checks digest and signature (RFC 9530, RFC 9421) by itself."""
import base64
import hashlib
import http.server
import json
import re
import threading
import time
import uuid

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness.api import API, assert_problem
from harness.server import until

NOTICES = "/api/v1/exchange/notices"
DELIVERY_SECONDS_MAX = 60  # the loop looks every second; on a busy machine it waits


def canonical(value):
    """RFC 8785 for what notices hold: ASCII names and texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def organisation_api(base_url, organisation_token, consented):
    return lambda organisation=consented[0]: API(base_url, organisation_token(organisation))


def all_notices(api):
    """Page after page, by the numbers."""
    items, after = [], 0
    while after is not None:
        answer = api.get(NOTICES, params={"after": after}).json()
        items, after = items + answer["items"], answer["next_cursor"]
    return items


def stop(app, organisation, purpose):
    """Shares and stops again, as the resident's app."""
    consent = next(i for i in app.items("/api/v1/consents") if i["organisation"] == organisation["client_id"] and i["purpose"] == purpose["id"])
    for state in ("given", "withdrawn"):
        assert app.put(f"/api/v1/consents/{consent['id']}", {"state": state}).status_code == 200


def test_told_verified_answered(app, resident, organisation_api, consented, demo):
    organisation, purpose = consented
    api = organisation_api()
    seen = all_notices(api)
    after = max([item["number"] for item in seen], default=0)
    stop(app, organisation, purpose)
    new = api.get(NOTICES, params={"after": after}).json()["items"]
    assert [item["number"] for item in new] == [after + 1]
    notice, signature = new[0]["notice"], new[0]["signature"]
    assert notice["subject"] == organisation["subjects"][resident["username"]]
    assert notice["purpose"] == purpose["id"] and notice["attributes"] == purpose["attributes"] and notice["reason"] == "withdrawn"
    assert signature["vkey"] == demo["log_vkey"]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature["vkey"].split("+", 2)[2])[1:])
    signed = signature["label"].encode() + b"\n" + canonical(notice)
    key.verify(base64.b64decode(signature["value"]), signed)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature["value"]), signed.replace(b"withdrawn", b"narrowed!"))

    address = f"{NOTICES}/{notice['id']}/acknowledgement"
    other = next(o for o in demo["organisations"] if o["client_id"] != organisation["client_id"])
    assert_problem(organisation_api(other).put(address, {"done": "deleted"}), 404)
    assert all(item["notice"]["organisation"] == other["client_id"] for item in organisation_api(other).get(NOTICES).json()["items"])
    assert_problem(api.put(address, {"done": "kept"}), 400, "invalid-body")
    assert_problem(api.put(f"{NOTICES}/{uuid.uuid4()}/acknowledgement", {"done": "deleted"}), 404)
    for _ in range(2):
        answered = api.put(address, {"done": "deleted"})
        assert answered.status_code == 200 and answered.json()["state"] == "acknowledged" and answered.json()["notice"] == notice
    assert_problem(api.put(address, {"done": "kept", "law": "Archives Act § 1"}), 409, "acknowledgement-stands")
    assert_problem(api.get(NOTICES, params={"after": "last"}), 400, "malformed-cursor")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes posts; the first is turned away."""
    posts, statuses = [], []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posts.append((self.path, dict(self.headers.items()), body))
        self.send_response(self.statuses.pop(0) if self.statuses else 204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def receiver():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/notices?from=stoa"
    server.shutdown()
    server.server_close()


def check_signature(url, headers, body, vkey):
    """RFC 9421 §3.2 by hand, for the one form in which Stoa signs."""
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["content-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    label, parameters = headers["signature-input"].split("=", 1)
    covered = re.match(r'\(((?:"[^"]+" ?)+)\)', parameters).group(1).split()
    values = {"@method": "POST", "@target-uri": url, **headers}
    lines = [f"{name}: {values[name.strip(chr(34))]}" for name in covered] + [f'"@signature-params": {parameters}']
    assert {'"@method"', '"@target-uri"', '"content-type"', '"content-digest"'} <= set(covered)
    assert f'keyid="{vkey.split("+")[1]}"' in parameters and 'alg="ed25519"' in parameters
    assert abs(int(re.search(r"created=(\d+)", parameters).group(1)) - time.time()) < 120
    signature = base64.b64decode(headers["signature"].removeprefix(label + "=:").removesuffix(":"))
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(vkey.split("+", 2)[2])[1:])
    key.verify(signature, "\n".join(lines).encode())
    with pytest.raises(InvalidSignature):
        key.verify(signature, "\n".join(lines).replace("POST", "PUT").encode())


def test_posted_again_until_it_is_taken(server, app, organisation_api, consented, demo, receiver):
    organisation, purpose = consented
    refused = server.run("organisation", "set", "--id", organisation["client_id"], "--webhook", "http://192.168.0.1/", check=False)
    assert refused.returncode == 64 and "cannot be a webhook" in refused.stderr, refused.stderr
    assert server.run("organisation", "set", "--id", "nobody", "--webhook", receiver, check=False).returncode == 1
    server.run("organisation", "set", "--id", organisation["client_id"], "--webhook", receiver)
    Receiver.statuses[:] = [503]
    stop(app, organisation, purpose)
    until(lambda: len(Receiver.posts) == 1, DELIVERY_SECONDS_MAX, "the first post")
    # The owner makes the second attempt due now instead of in a minute.
    def again():
        with server.connect("owner") as connection:
            return connection.execute("UPDATE exchange.delivery SET next_at = now() WHERE outcome = 'status 503' AND next_at IS NOT NULL").rowcount == 1
    until(again, DELIVERY_SECONDS_MAX, "the outcome of the first post")
    until(lambda: len(Receiver.posts) == 2, DELIVERY_SECONDS_MAX, "the second post")
    for path, headers, body in Receiver.posts:
        assert path == "/notices?from=stoa"
        check_signature(receiver, headers, body, demo["log_vkey"])
    posted = json.loads(Receiver.posts[1][2])
    listed = all_notices(organisation_api())[-1]
    assert posted["notice"] == listed["notice"] and posted["number"] == listed["number"] and posted["signature"] == listed["signature"]
    server.run("organisation", "set", "--id", organisation["client_id"], "--no-webhook")
    stop(app, organisation, purpose)
    assert all_notices(organisation_api())[-1]["number"] == listed["number"] + 1
    assert len(Receiver.posts) == 2
