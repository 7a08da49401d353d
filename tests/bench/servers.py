"""What the parts of tests/bench/run have in common: servers, their load, and how two are compared."""
import contextlib
import csv
import io
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOLDFAST = os.environ.get("HOLDFAST", os.path.join(ROOT, "build", "holdfast"))
KEYS = 100_000
VALUE_BYTES = 64
START_DEADLINE_S = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def encode(*args):
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)


@contextlib.contextmanager
def test_certificates():
    """A folder of certificates, elliptic ones."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-certs-") as folder:
        subprocess.run([os.path.join(ROOT, "utils", "gen-test-certs"), folder], check=True)
        yield folder


class Server:
    """One server process on a directory of its own. With `certificates`, a folder, the load is encrypted."""

    def __init__(self, kind, extra=(), certificates=None):
        self.kind = kind
        self.extra = list(extra)
        self.load_flags = []
        self.tls_port = None
        if certificates:
            self.tls_port = free_port()
            self.extra += ["--tls-port", str(self.tls_port), "--tls-cert-file", f"{certificates}/server.crt",
                           "--tls-key-file", f"{certificates}/server.key",
                           "--tls-ca-cert-file", f"{certificates}/ca.crt"]
            self.load_flags = ["--tls", "-p", str(self.tls_port), "--cacert", f"{certificates}/ca.crt",
                               "--cert", f"{certificates}/client.crt", "--key", f"{certificates}/client.key"]
        self.directory = tempfile.mkdtemp(prefix=f"holdfast-bench-{kind}-")
        self.port = free_port()
        self.process = None

    def start(self):
        if self.kind == "holdfast":
            command = [HOLDFAST, "--port", str(self.port), "--dir", self.directory,
                       "--log-level", "warning"]
        else:
            command = ["redis-server", "--port", str(self.port), "--dir", self.directory,
                       "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                       "--auto-aof-rewrite-percentage", "0", "--loglevel", "warning"]
        began = time.monotonic()
        self.process = subprocess.Popen(command + self.extra, stdout=subprocess.DEVNULL)
        while time.monotonic() - began < START_DEADLINE_S:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.kind} ended with {self.process.returncode}")
            try:
                if self.command(b"PING").startswith(b"+PONG"):
                    return time.monotonic() - began
            except OSError:
                time.sleep(0.002)
        raise SystemExit(f"{self.kind} did not start in {START_DEADLINE_S} s")

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, *args):
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            s.sendall(encode(*args))
            return s.recv(1 << 16)

    def send(self, commands):
        """Commands, each of them answered by one line, through one connection, a batch at a time."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as s:
            batch, size = [], 0
            for command in commands:
                batch.append(encode(*command))
                size += len(batch[-1])
                if size >= 1 << 16:
                    self._exchange(s, batch)
                    batch, size = [], 0
            if batch:
                self._exchange(s, batch)

    def _exchange(self, connection, batch):
        connection.sendall(b"".join(batch))
        left, start_of_line = len(batch), True
        while left > 0:
            got = connection.recv(1 << 16)
            if not got or b"\n-" in got or (start_of_line and got[:1] == b"-"):
                raise SystemExit(f"{self.kind}: filling failed: {got[:80]!r}")
            left -= got.count(b"\n")
            start_of_line = got.endswith(b"\n")

    def fill(self, keys, value_bytes=VALUE_BYTES):
        """SETs `keys` distinct keys of 16 bytes, those that redis-benchmark takes with -r."""
        value = b"v" * value_bytes
        self.send((b"SET", b"key:%012d" % i, value) for i in range(keys))

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def info(self, section, field):
        for line in self.command(b"INFO", section).split(b"\r\n"):
            if line.startswith(field + b":"):
                return int(line.split(b":")[1])
        return None

    def used_bytes(self):
        """What the server itself counts as used, for data and around it."""
        return self.info(b"memory", b"used_memory")

    def write_out(self):
        """What was prepared costs nothing later: Redis has it in its log, Holdfast also in LevelDB."""
        if self.kind == "holdfast" and not self.command(b"SAVE").startswith(b"+OK"):
            raise SystemExit("holdfast: SAVE failed")

    def writes_behind(self):
        """Whether there are changes in the log that LevelDB doesn't hold yet."""
        return self.kind == "holdfast" and self.info(b"holdfast", b"persister_pending_bytes") != 0


def load(server, requests, clients, pipeline, *args):
    """Runs redis-benchmark. (requests per second, server CPU seconds per million requests)."""
    before = server.cpu_s()
    out = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-c", str(clients), "-P", str(pipeline), "-n",
         str(requests), "--csv", *server.load_flags, *args],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    cpu = server.cpu_s() - before
    for row in csv.DictReader(io.StringIO(out)):
        return float(row["rps"]), cpu / requests * 1e6
    raise SystemExit(f"redis-benchmark printed nothing for {args}")


def median_ratio(ours, theirs):
    return statistics.median(a / b for a, b in zip(ours, theirs) if b > 0)


def settle(server):
    """Waits until write-behind has caught up and resident memory has stopped moving for six seconds:
    an allocator gives memory back slowly."""
    deadline = time.monotonic() + 60
    seen = []
    while time.monotonic() < deadline:
        if server.writes_behind():
            seen = []
        seen = [*seen[-4:], server.rss_bytes()]
        if len(seen) == 5 and max(seen) - min(seen) < 1 << 20:
            return
        time.sleep(1.5)
