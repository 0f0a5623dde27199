"""A read that both sides can prove: signed by the organisation with its registered key and answered under the city's, each checked by hand
after RFC 9421 and RFC 9530, apart from the server's own code."""
import base64
import hashlib
import json
import time
import uuid

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness.api import assert_problem
from harness.oauth import private_key

READS = "/api/v1/exchange/reads"
TIMEOUT_SECONDS = 30


def digest(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign(jwk, url, body, age_seconds=0):
    """The fields of a signed POST, by ECDSA over P-256 (RFC 9421 §3.3.4: r and s, 32 bytes each)."""
    number = lambda name: int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=="), "big")
    key = ec.derive_private_key(number("d"), ec.SECP256R1())
    parameters = f'("@method" "@target-uri" "content-digest");created={int(time.time()) - age_seconds};nonce="{uuid.uuid4()}";keyid="{jwk["kid"]}";alg="ecdsa-p256-sha256"'
    base = f'"@method": POST\n"@target-uri": {url}\n"content-digest": {digest(body)}\n"@signature-params": {parameters}'
    r, s = utils.decode_dss_signature(key.sign(base.encode(), ec.ECDSA(hashes.SHA256())))
    signature = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    return {"Content-Digest": digest(body), "Signature-Input": f"org={parameters}", "Signature": f"org=:{signature}:"}


def check(answer, vkey, label, request_lines):
    """The city's signature over the answer and over what identifies the request."""
    assert answer.headers["Content-Digest"] == digest(answer.content)
    assert "Content-Encoding" not in answer.headers
    lines = [f'"@status": {answer.status_code}', f'"content-type": {answer.headers["Content-Type"]}', f'"content-digest": {digest(answer.content)}', *request_lines]
    parameters = answer.headers["Signature-Input"].removeprefix(label + "=")
    assert parameters.startswith("(" + " ".join(line.split(": ")[0] for line in lines) + ")")
    assert f'keyid="{vkey.split("+")[1]}"' in parameters
    base = "\n".join([*lines, f'"@signature-params": {parameters}']).encode()
    signature = base64.b64decode(answer.headers["Signature"].removeprefix(label + "=:").removesuffix(":"))
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(vkey.split("+", 2)[2])[1:])
    key.verify(signature, base)
    with pytest.raises(InvalidSignature):
        key.verify(signature, base.replace(b'"@status": 200', b'"@status": 403') + b" ")


def test_signed_read(server, demo, base_url, lawful, organisation_token):
    organisation, purpose = lawful
    url, jwk, vkey = base_url + READS, private_key(organisation, server), demo["log_vkey"]
    body = json.dumps({"subject": next(iter(organisation["subjects"].values())), "purpose": purpose["id"], "attributes": purpose["attributes"],
                       "case_reference": "PROOF-1"}).encode()
    headers = {"Authorization": f"Bearer {organisation_token(organisation)}", "Content-Type": "application/json"}
    post = lambda body, fields: requests.post(url, data=body, headers={**headers, **fields}, timeout=TIMEOUT_SECONDS)

    signed = sign(jwk, url, body)
    answer = post(body, signed)
    assert answer.status_code == 200, answer.text
    request_lines = ['"@method";req: POST', f'"@target-uri";req: {url}']
    check(answer, vkey, "stoa", [*request_lines, f'"content-digest";req: {digest(body)}', f'"signature";req;key="org": {signed["Signature"].removeprefix("org=")}'])

    with server.connect("auditor") as connection:
        kept = connection.execute("SELECT request_sha256, answer_sha256, answer_signature FROM exchange.signed_answer WHERE entry_id = %s",
                                  (answer.json()["access_entry"],)).fetchone()
    assert kept == (hashlib.sha256(body).digest(), hashlib.sha256(answer.content).digest(), answer.headers["Signature"])

    asked = post(body, {"Accept-Signature": 'city=("@status" "content-digest")'})
    check(asked, vkey, "city", request_lines)
    # The last one is the request that was answered above.
    for wrong in (sign(jwk, url, body, age_seconds=3600), sign(jwk, url + "?x", body), {**signed, "Signature": "org=:AAAA:"}, signed):
        assert_problem(post(body, wrong), 401, "signature-invalid")
    assert_problem(post(body + b" ", signed), 400, "content-digest-wrong")
    plain = post(body, {})
    assert plain.status_code == 200 and "Signature" not in plain.headers and "Content-Digest" not in plain.headers
