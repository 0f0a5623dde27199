"""The log checked from outside: the checkpoint's signature by an independent implementation, and both verifications of the CLI."""
import base64
import hashlib

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness.api import API, TIMEOUT_SECONDS
from harness.server import until

SEQUENCER_SECONDS_MAX = 30
LEAF_LABEL = b"stoa access entry v1\n"
LEAF_LABELS = {"access_entry": LEAF_LABEL, "consent_event": b"stoa consent leaf v1\n", "ledger_batch": b"stoa ledger batch leaf v1\n", "decision": b"stoa decision leaf v1\n"}


def verifier(vkey):
    """A C2SP verifier key: name+hex(key id)+base64(0x01 ‖ public key)."""
    name, key_id, encoded = vkey.split("+", 2)
    material = base64.b64decode(encoded, validate=True)
    assert material[0] == 1 and len(material) == 33
    assert hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() == key_id
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(material[1:])


def checkpoint(base_url, vkey):
    """Fetches and verifies the signed note; returns origin, tree size and root."""
    answer = requests.get(base_url + "/log/checkpoint", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain")
    text, _, signatures = answer.content.decode().rpartition("\n\n")
    name, key_id, key = verifier(vkey)
    own = [line for line in signatures.splitlines() if line.startswith(f"— {name} ")]
    assert len(own) == 1, answer.text
    signature = base64.b64decode(own[0].rsplit(" ", 1)[1], validate=True)
    assert signature[:4] == key_id
    key.verify(signature[4:], (text + "\n").encode())
    with pytest.raises(InvalidSignature):
        key.verify(signature[4:], (text + "\n").replace("\n", "0\n", 1).encode())
    origin, size, root = text.splitlines()[:3]
    assert origin == name and len(base64.b64decode(root, validate=True)) == 32
    return origin, int(size), root


def test_every_read_reaches_the_signed_tree(base_url, demo, lawful, organisation_token):
    organisation, purpose = lawful
    _, before, root = checkpoint(base_url, demo["log_vkey"])
    reader = API(base_url, organisation_token(organisation))
    for _ in range(3):
        assert reader.read(next(iter(organisation["subjects"].values())), purpose["id"], purpose["attributes"]).status_code == 200
    until(lambda: checkpoint(base_url, demo["log_vkey"])[1] >= before + 3, SEQUENCER_SECONDS_MAX, "three more leaves in the signed tree")
    assert checkpoint(base_url, demo["log_vkey"])[2] != root


def test_the_root_is_that_of_the_commitments(base_url, demo, server):
    """RFC 6962 §2.1 over the leaves of the database, computed here. A leaf's data is its label and the commitment."""
    def tree(hashes):
        if len(hashes) == 1:
            return hashes[0]
        split = 1 << (len(hashes) - 1).bit_length() - 1
        return hashlib.sha256(b"\x01" + tree(hashes[:split]) + tree(hashes[split:])).digest()

    _, size, root = checkpoint(base_url, demo["log_vkey"])
    with server.connect() as connection:
        rows = connection.execute("SELECT kind, commitment FROM access_log.leaf WHERE index < %s ORDER BY index", (size,)).fetchall()
    leaves = [hashlib.sha256(b"\x00" + LEAF_LABELS[kind] + bytes(commitment)).digest() for kind, commitment in rows]
    assert base64.b64encode(tree(leaves)).decode() == root


@pytest.mark.last
def test_log_and_ledger_verify_after_everything(server):
    """Everything that all tests wrote adds up."""
    for what in ("log", "ledger"):
        done = server.run("verify", what)
        assert len(done.stdout.strip()) > 10, f"verify {what} says nothing"


@pytest.mark.last
def test_the_request_log_holds_no_personal_data(server, demo):
    log = server.log()
    for resident in demo["residents"]:
        assert resident["password"] not in log.split("\n{", 1)[-1], "a password is in the log"
    assert "Bearer " not in log and "client_assertion=" not in log and "code_verifier" not in log
