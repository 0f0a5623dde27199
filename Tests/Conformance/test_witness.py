"""Two cities, of which one witnesses the other's log: what it signs is checked here by none of the servers' code; then the log's cluster is copied back
to an old state, as a restore does, and the log stops instead of going on as another one."""
import base64
import hashlib
import shutil
import socketserver
import struct
import subprocess
import threading
import time

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harness.api import API, TIMEOUT_SECONDS
from harness.fixtures import activity_on
from harness.oauth import organisation_session
from harness.server import StoaServer, until
from test_log_proofs import opened, sha256, tree

# A round of asking the witnesses, and what two slow cores add.
COSIGNED_SECONDS_MAX = 60


def cosigner(vkey):
    """A C2SP verifier key of a witness: name+hex(key id)+base64(0x04 ‖ public key)."""
    name, key_id, encoded = vkey.split("+", 2)
    material = base64.b64decode(encoded, validate=True)
    assert material[0] == 4 and len(material) == 33
    assert hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() == key_id
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(material[1:])


def cosignature(note, vkey):
    """The moment at which the witness signed the note, None where it did not; raises where its line does not fit."""
    text, _, signatures = note.rpartition("\n\n")
    name, key_id, key = cosigner(vkey)
    for line in signatures.splitlines():
        if line.startswith(f"— {name} "):
            signature = base64.b64decode(line.rsplit(" ", 1)[1], validate=True)
            if signature[:4] == key_id:
                (seconds,) = struct.unpack(">Q", signature[4:12])
                key.verify(signature[12:], f"cosignature/v1\ntime {seconds}\n{text}\n".encode())
                return seconds
    return None


def published(server):
    answer = requests.get(server.base_url + "/log/checkpoint", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    return answer.content.decode()


def newest_size(server):
    """Leaves under the newest head, whoever signed it beside the log."""
    with server.connect() as connection:
        return connection.execute("SELECT max(tree_size) FROM access_log.checkpoint").fetchone()[0]


class Drip(socketserver.BaseRequestHandler):
    """A witness that begins to answer and sends a byte a second from then on."""

    def handle(self):
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10000\r\n\r\n")
        try:
            while not self.server.is_over:
                self.request.sendall(b"x")
                time.sleep(1)
        except OSError:
            pass  # the city has hung up


class WitnessedCity:
    """A city whose log a neighbour witnesses; and so would another, that only drips."""

    def __init__(self):
        self.city, self.neighbour = StoaServer(), StoaServer()
        self.drip = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip)
        self.drip.daemon_threads, self.drip.is_over = True, False
        threading.Thread(target=self.drip.serve_forever, daemon=True).start()

    def start(self):
        # Each needs the other's key: the log's is made at the first start, the witness's when it learns of the log.
        self.city.environment["STOA_LOG_ORIGIN"] = "city.example/log"
        self.city.start()
        self.log_vkey = self.city.demo()["log_vkey"]
        assert self.city.stop() == 0
        self.neighbour.environment |= {"STOA_WITNESS_LOGS": self.log_vkey, "STOA_WITNESS_NAME": "neighbour.example/witness"}
        self.neighbour.start()
        self.witness_vkey = self.neighbour.run("witness", "vkey").stdout.strip()
        self.prefix = f"http://127.0.0.1:{self.neighbour.port}/witness"
        material = b"\x04" + Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        key_id = hashlib.sha256(b"drip.example/witness\n" + material).digest()[:4].hex()
        drip = f"http://127.0.0.1:{self.drip.server_address[1]} drip.example/witness+{key_id}+{base64.b64encode(material).decode()}"
        self.city.environment["STOA_LOG_WITNESSES"] = f"{drip}, {self.prefix} {self.witness_vkey}"
        self.city.start()
        return self

    def reader(self):
        demo = self.city.demo()
        self.organisation, self.purpose = activity_on(demo, lambda basis: basis != "consent")
        return API(self.city.base_url, organisation_session(self.city, self.organisation).token["access_token"])

    def read(self, count):
        reader = self.reader()
        for _ in range(count):
            answer = reader.read(next(iter(self.organisation["subjects"].values())), self.purpose["id"], self.purpose["attributes"])
            assert answer.status_code == 200, answer.text

    def cosigned_size(self):
        """Leaves under the head that is shown, if the neighbour signed it; -1 otherwise."""
        note = published(self.city)
        size, _ = opened(note, self.log_vkey)
        return size if cosignature(note, self.witness_vkey) else -1

    def end(self):
        self.drip.is_over = True
        self.drip.shutdown()
        self.city.end()
        self.neighbour.end()


@pytest.fixture(scope="module")
def cities():
    cities = WitnessedCity()
    try:
        yield cities.start()
    finally:
        cities.end()


def test_a_head_is_signed_by_both(cities):
    before = newest_size(cities.city)
    cities.read(3)
    until(lambda: cities.cosigned_size() >= before + 3, COSIGNED_SECONDS_MAX, "a head over the three reads that the witness signed")
    note = published(cities.city)
    size, root = opened(note, cities.log_vkey)
    seconds = cosignature(note, cities.witness_vkey)
    assert abs(seconds - time.time()) < COSIGNED_SECONDS_MAX + 10
    with pytest.raises(InvalidSignature):
        cosignature(note.replace(f"\n{size}\n", f"\n{size + 1}\n"), cities.witness_vkey)
    # The other one is given up after a few seconds, each time it is asked.
    assert "drip.example/witness" in cities.city.log() and "no whole answer within" in cities.city.log()
    # The witness shows the same log, under the hash of its name.
    origin = hashlib.sha256(b"city.example/log").hexdigest()
    kept = requests.get(f"{cities.prefix}/{origin}/checkpoint", timeout=TIMEOUT_SECONDS)
    assert kept.status_code == 200 and cosignature(kept.content.decode(), cities.witness_vkey)
    assert opened(kept.content.decode(), cities.log_vkey)[0] >= size
    assert requests.get(f"{cities.prefix}/{hashlib.sha256(b'x').hexdigest()}/checkpoint", timeout=TIMEOUT_SECONDS).status_code == 404


def test_the_witness_as_the_specification_has_it(cities):
    """A log of our own, made here, in place of the city's: the witness must not know it; and nothing makes it sign for the city's."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    leaves = [sha256(b"\x00" + bytes([n])) for n in range(5)]

    def note(origin, size):
        text = f"{origin}\n{size}\n{base64.b64encode(tree(leaves[:size])).decode()}\n"
        key_id = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
        return text + f"\n— {origin} {base64.b64encode(key_id + key.sign(text.encode())).decode()}\n"

    def add(body):
        return requests.post(f"{cities.prefix}/add-checkpoint", data=body.encode(), timeout=TIMEOUT_SECONDS)

    assert add("old 0\n\n" + note("stranger.example/log", 5)).status_code == 404
    assert add("old 0\n\n" + note("city.example/log", 5)).status_code == 403
    assert add("nonsense").status_code == 400
    real = published(cities.city)
    size, _ = opened(real, cities.log_vkey)
    assert add(f"old {size + 1}\n\n{real}").status_code == 400
    conflict = add("old 0\n\n" + real)
    assert conflict.status_code == 409 and conflict.headers["Content-Type"] == "text/x.tlog.size" and int(conflict.text) >= size
    assert conflict.text == f"{int(conflict.text)}\n"


def test_a_proof_names_its_witness(cities, tmp_path):
    """Downloaded by the resident whom the reads are about, and checked by the CLI."""
    from harness.oauth import app_session
    username = next(iter(cities.organisation["subjects"]))
    resident = next(r for r in cities.city.demo()["residents"] if r["username"] == username)
    app = API(cities.city.base_url, app_session(cities.city, resident).token["access_token"])
    # The oldest of the reads: a witness has signed over it by now.
    entry = [item for item in app.items("/api/v1/access-entries") if item["operation"] == "disclose"][-1]
    file = tmp_path / "entry.tlog-proof"
    file.write_text(app.get(f"/api/v1/access-entries/{entry['id']}/proof").text)
    assert cosignature(file.read_text().partition("\n\n")[2], cities.witness_vkey)
    said = cities.city.run("verify", "entry", file, "--vkey", cities.log_vkey, "--witness", cities.witness_vkey).stdout
    assert "1 of the 1 witnesses signed this head: neighbour.example/witness." in said


def test_a_restored_log_stops(cities):
    city = cities.city
    assert city.stop() == 0
    cluster = city.data / "postgres"
    backup = city.data.with_name(city.data.name + "-backup")
    subprocess.run(["cp", "-a", cluster, backup], check=True)
    try:
        city.start()
        old_size = newest_size(city)
        cities.read(4)
        until(lambda: cities.cosigned_size() >= old_size + 4, COSIGNED_SECONDS_MAX, "the later reads under a head that the witness signed")
        later = cities.cosigned_size()
        assert city.stop() == 0
        shutil.rmtree(cluster)
        subprocess.run(["cp", "-a", backup, cluster], check=True)
    finally:
        shutil.rmtree(backup)
    city.start()

    def warnings():
        answer = requests.get(city.base_url + "/health/ready", timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 200, "the city goes on serving"
        return answer.json()["warnings"]
    until(lambda: warnings() == ["log-halted"], COSIGNED_SECONDS_MAX, "the finding")
    size = newest_size(city)
    assert size < later
    until(lambda: "The log has stopped: the witness neighbour.example/witness has seen" in city.log(), COSIGNED_SECONDS_MAX, "the finding in words")

    # Reads are answered and logged; nothing is signed over them.
    cities.read(2)
    with city.connect() as connection:
        assert connection.execute("SELECT count(*) >= 2 FROM access_log.queue").fetchone() == (True,)
    assert newest_size(city) == size
    verified = city.run("verify", "log", check=False)
    assert verified.returncode == 1 and "The log has stopped" in verified.stdout
    # The neighbour still shows the longer history.
    origin = hashlib.sha256(b"city.example/log").hexdigest()
    kept = requests.get(f"{cities.prefix}/{origin}/checkpoint", timeout=TIMEOUT_SECONDS).content.decode()
    assert opened(kept, cities.log_vkey)[0] >= later


def test_the_owner_decides(cities):
    """Without the witness, on record: the log goes on, and to the neighbour it is another one."""
    city = cities.city
    assert city.run("log", "resume", "--authority", "me", check=False).returncode == 64
    assert city.stop() == 0
    del city.environment["STOA_LOG_WITNESSES"]
    city.start()
    before = newest_size(city)
    said = city.run("log", "resume", "--authority", "City council 12/2026").stdout
    assert "neighbour.example/witness" in said and "City council 12/2026" in said
    assert city.run("log", "resume", "--authority", "City council 12/2026", check=False).returncode == 1
    until(lambda: newest_size(city) > before, COSIGNED_SECONDS_MAX, "leaves for what waited")
    assert requests.get(city.base_url + "/health/ready", timeout=TIMEOUT_SECONDS).json()["warnings"] == []
    city.run("verify", "log")
