"""One Stoa server as a child process, on data of its own and a free port: started, killed, stopped and looked into."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import psycopg
import requests

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
START_SECONDS_MAX = 180  # a first start makes a cluster and loads the demo city, on two slow cores
STOP_SECONDS_MAX = 60
POLL_SECONDS = 0.05


def until(condition, seconds, what):
    """Polls `condition` until it gives something true, which is returned; fails naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(POLL_SECONDS)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class StoaServer:
    """`stoa demo` under a name for its log. `stop` and `kill` may be followed by another `start` on the same data."""

    def __init__(self, data=None, binary=None, settings=None):
        """`settings`: environment variables of this server alone."""
        # A parent that the postgres user can enter (mkdtemp makes 0700): the cluster then lies inside it.
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="stoa-conformance-"))
        self.data.chmod(0o755)
        self.port = free_port()
        self.binary = str(binary or os.environ["STOA_BINARY"])
        self.environment = {**os.environ, "PORT": str(self.port), "STOA_DATA": str(self.data), **(settings or {})}
        self.log_path = self.data.with_name(self.data.name + ".log")
        self.process = None

    def start(self):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([self.binary, "demo"], cwd=REPOSITORY, env=self.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        until(self.is_ready, START_SECONDS_MAX, "a server that answers /health/ready")
        return self

    def is_ready(self):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log()[-4000:]}"
        try:
            ready = requests.get(f"http://localhost:{self.port}/health/ready", timeout=5).status_code == 200
        except requests.RequestException:
            return False
        return ready and (self.data / "demo.json").exists()

    def stop(self):
        """Ctrl-C: returns the exit status; the cluster has gone with the server."""
        postmaster = self.postmaster()
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(STOP_SECONDS_MAX)
        until(lambda: not is_running(postmaster), STOP_SECONDS_MAX, f"the end of the embedded cluster (process {postmaster})")
        return status

    def kill(self):
        """kill -9 of Stoa alone: the cluster is left an orphan."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)

    def end(self):
        """Whatever happened: nothing stays."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()

    @property
    def base_url(self):
        return self.demo()["base_url"]

    def demo(self):
        return json.loads((self.data / "demo.json").read_text())

    def log(self):
        return self.log_path.read_text(errors="replace")

    def run(self, *arguments, check=True, seconds=300):
        """A command of the CLI on this server's data: its exit status and what it wrote."""
        done = subprocess.run([self.binary, *map(str, arguments)], cwd=REPOSITORY, env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds)
        if check:
            assert done.returncode == 0, f"stoa {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def database_url(self, role=None):
        arguments = ["database", "url"] + (["--role", role] if role else [])
        return self.run(*arguments).stdout.strip()

    def connect(self, role="owner"):
        return psycopg.connect(self.database_url(role), autocommit=True)

    def postmaster(self):
        """The process that is the embedded cluster: the parent of any of its backends."""
        with self.connect() as connection:
            backend = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
            return parent_of(backend)


def parent_of(process):
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[1])
    raise AssertionError(f"process {process} has no parent")


def is_running(process):
    try:
        state = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
