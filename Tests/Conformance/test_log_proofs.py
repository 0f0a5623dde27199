"""The log as an auditor and a resident hold it: everything is fetched over HTTP and computed here, by none of the server's code."""
import base64
import hashlib
import re
import struct

import requests

from harness.api import API, TIMEOUT_SECONDS, assert_problem
from harness.server import until
from test_log import LEAF_LABEL, LEAF_LABELS, SEQUENCER_SECONDS_MAX, checkpoint, verifier

TILE_WIDTH = 256


def sha256(data):
    return hashlib.sha256(data).digest()


def tree(hashes):
    """RFC 6962 §2.1, MTH over leaf hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256(b"")
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + tree(hashes[:split]) + tree(hashes[split:]))


def root_from_path(leaf, index, size, path):
    """The root that a path leads to, from the top down; None where it has the wrong length."""
    if size == 1:
        return None if path else leaf
    if not path:
        return None
    split = 1 << (size - 1).bit_length() - 1
    inner = root_from_path(leaf, index, split, path[:-1]) if index < split else root_from_path(leaf, index - split, size - split, path[:-1])
    if inner is None:
        return None
    return sha256(b"\x01" + (inner + path[-1] if index < split else path[-1] + inner))


def place(index, width):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return "/".join(groups) + ("" if width == TILE_WIDTH else f".p/{width}")


def fetch(base_url, path):
    answer = requests.get(f"{base_url}/log/tile/{path}", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:200]}"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert ("immutable" in answer.headers["Cache-Control"]) == (".p/" not in path)
    return answer.content


def level(base_url, number, count):
    """All hashes of one level of tiles."""
    hashes = []
    for start in range(0, count, TILE_WIDTH):
        width = min(TILE_WIDTH, count - start)
        content = fetch(base_url, f"{number}/{place(start // TILE_WIDTH, width)}")
        assert len(content) == 32 * width
        hashes += [content[i:i + 32] for i in range(0, len(content), 32)]
    return hashes


def bundle(content):
    leaves = []
    while content:
        (length,) = struct.unpack(">H", content[:2])
        leaves.append(content[2:2 + length])
        assert len(leaves[-1]) == length
        content = content[2 + length:]
    return leaves


def read_proof(text):
    """A C2SP tlog-proof, taken apart by hand."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1" and lines[1].startswith("extra ") and lines[2].startswith("index ")
    return base64.b64decode(lines[1][6:], validate=True), int(lines[2][6:]), [base64.b64decode(line, validate=True) for line in lines[3:]], note


def opened(note, vkey):
    """Size and root of a note, once the log's signature verifies."""
    text, _, signatures = note.rpartition("\n\n")
    name, key_id, key = verifier(vkey)
    line = next(line for line in signatures.splitlines() if line.startswith(f"— {name} "))
    signature = base64.b64decode(line.rsplit(" ", 1)[1], validate=True)
    assert signature[:4] == key_id
    key.verify(signature[4:], (text + "\n").encode())
    origin, size, root = text.splitlines()[:3]
    assert origin == name
    return int(size), base64.b64decode(root, validate=True)


def test_the_root_is_rebuilt_from_tiles_and_the_tiles_from_leaves(base_url, demo, lawful, organisation_token):
    """More reads than a tile holds, so that there is a full one and one above it: of somebody whose list no other test walks through."""
    organisation, purpose = lawful
    reader = API(base_url, organisation_token(organisation))
    subject = organisation["subjects"][demo["residents"][-1]["username"]]
    _, before, old_root = checkpoint(base_url, demo["log_vkey"])
    for _ in range(TILE_WIDTH + 1):
        assert reader.read(subject, purpose["id"], purpose["attributes"]).status_code == 200
    until(lambda: checkpoint(base_url, demo["log_vkey"])[1] > before + TILE_WIDTH, SEQUENCER_SECONDS_MAX, "all leaves in the signed tree")
    _, size, root = checkpoint(base_url, demo["log_vkey"])
    hashes = level(base_url, 0, size)
    assert base64.b64encode(tree(hashes)).decode() == root
    # Whoever kept the old head sees that it was of a beginning of this tree.
    assert base64.b64encode(tree(hashes[:before])).decode() == old_root
    assert level(base_url, 1, size // TILE_WIDTH) == [tree(hashes[n:n + TILE_WIDTH]) for n in range(0, size - size % TILE_WIDTH, TILE_WIDTH)]

    leaves = []
    for start in range(0, size, TILE_WIDTH):
        leaves += bundle(fetch(base_url, f"entries/{place(start // TILE_WIDTH, min(TILE_WIDTH, size - start))}"))
    assert [sha256(b"\x00" + leaf) for leaf in leaves] == hashes
    # Label and commitment, and nothing else: nobody is named.
    assert all(any(leaf.startswith(label) and len(leaf) == len(label) + 32 for label in LEAF_LABELS.values()) for leaf in leaves)


def test_nothing_beyond_the_head_and_no_other_paths(base_url, demo):
    _, size, _ = checkpoint(base_url, demo["log_vkey"])
    full = size // TILE_WIDTH
    for path in (f"0/{place(full + 1000, TILE_WIDTH)}", f"entries/{place(full + 1000, 7)}", "9/000", "0/0", "0/000/", "0/000.p/0", "0/000.p/256", "x/000",
                 "0/x000/000", "entries/-01", "0/..%2F..%2Fcheckpoint"):
        assert_problem(requests.get(f"{base_url}/log/tile/{path}", timeout=TIMEOUT_SECONDS), 404)


def test_a_resident_proves_an_entry(base_url, demo, lawful, organisation_token, app, resident, sign_in, server, tmp_path):
    """From the read to the file, checked three times: here, by the CLI, and on the page."""
    organisation, purpose = lawful
    read = API(base_url, organisation_token(organisation)).read(
        organisation["subjects"][resident["username"]], purpose["id"], purpose["attributes"], "PROOF-77")
    entry = read.json()["access_entry"]
    path = f"/api/v1/access-entries/{entry}/proof"
    until(lambda: app.get(path).status_code == 200, SEQUENCER_SECONDS_MAX, "the entry's place in the tree")
    answer = app.get(path)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{entry}.tlog-proof"'

    extra, index, hashes, note = read_proof(answer.text)
    size, root = opened(note, demo["log_vkey"])
    assert extra.startswith(LEAF_LABEL)
    leaf = sha256(b"\x00" + LEAF_LABEL + sha256(extra))
    assert root_from_path(leaf, index, size, hashes) == root
    entry_bytes = extra[len(LEAF_LABEL) + 32:]
    assert bytes.fromhex(entry.replace("-", "")) in entry_bytes and b"PROOF-77" in entry_bytes and purpose["id"].encode() in entry_bytes
    # It is the leaf that everybody sees at this place.
    everybodys = level(base_url, 0, checkpoint(base_url, demo["log_vkey"])[1])
    assert everybodys[index] == leaf
    # A changed entry leads elsewhere.
    assert root_from_path(sha256(b"\x00" + LEAF_LABEL + sha256(extra.replace(b"PROOF-77", b"PROOF-78"))), index, size, hashes) != root

    file, changed = tmp_path / "entry.tlog-proof", tmp_path / "changed.tlog-proof"
    file.write_text(answer.text)
    changed.write_text(answer.text.replace(f"index {index}\n", f"index {index + 1}\n"))
    assert "PROOF-77" in server.run("verify", "entry", str(file), "--vkey", demo["log_vkey"]).stdout

    visitor = sign_in(resident)
    from_page = visitor.session.get(f"{base_url}/access-log/{entry}/proof", timeout=TIMEOUT_SECONDS)
    assert from_page.status_code == 200 and read_proof(from_page.text)[0] == extra
    for text, status, words in ((answer.text, 200, "The proof stands"), (changed.read_text(), 422, "is not what stands in the log")):
        form = visitor.session.get(f"{base_url}/log/verify", timeout=TIMEOUT_SECONDS).text
        token = re.search(r'action="/log/verify">\s*<input type="hidden" name="form_token" value="([^"]+)"', form).group(1)
        checked = visitor.session.post(f"{base_url}/log/verify", data={"proof": text, "form_token": token}, timeout=TIMEOUT_SECONDS)
        assert checked.status_code == status and words in checked.text


def test_nobody_elses_entry(base_url, lawful, organisation_token, app_token, other_resident, resident, nobody):
    organisation, purpose = lawful
    read = API(base_url, organisation_token(organisation)).read(
        organisation["subjects"][resident["username"]], purpose["id"], purpose["attributes"])
    path = f"/api/v1/access-entries/{read.json()['access_entry']}/proof"
    assert_problem(API(base_url, app_token(other_resident)).get(path), 404, "not-found")
    assert_problem(nobody.get(path), 401)
