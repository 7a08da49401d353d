"""What all integration tests stand on: servers of their own on free ports, and the run of the tests.

A file of tests is executable, registers functions by @test and ends with harness.main(). It tests the
binary that $HOLDFAST names (default build/holdfast). Tests wait for conditions with a deadline,
never for a time. Behind each test its servers are ended by SIGTERM and have to exit with 0, so that
every test also tests that: a crash or a sanitizer's report fails it.

$HOLDFAST may name a redis-server, to see whether a test says the truth about Redis; options that only
Holdfast has are left out then.
"""

import argparse
import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from resp import Client, Closed, ReplyError

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = str(Path(os.environ.get("HOLDFAST", ROOT / "build/holdfast")).absolute())
IS_REDIS = Path(BINARY).name.startswith("redis-server")
# A sanitizer makes the server several times slower.
SANITIZER = next((name for name in ("asan", "tsan", "ubsan") if f"/{name}/" in BINARY), None)
SLOWNESS = 6 if SANITIZER else 1

START_DEADLINE_S = 30 * SLOWNESS
STOP_DEADLINE_S = 30 * SLOWNESS
TEST_DEADLINE_S = 300  # of one test, unless @test(seconds) says otherwise
LOG_LINES = 40  # of a server, shown when its test fails

# What a redis-server understands of the flags.
REDIS_FLAGS = {
    "requirepass", "maxclients", "timeout", "maxmemory", "maxmemory-policy", "client-query-buffer-limit",
    "client-output-buffer-limit", "proto-max-bulk-len", "hz", "maxmemory-samples", "aclfile",
    "tls-port", "tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-auth-clients",
}  # fmt: skip


def scaled(count: int) -> int:
    """Fewer repetitions under a sanitizer."""
    return max(1, count // SLOWNESS)


def wait_for(what: str, condition, timeout: float = 20):
    """Polls until condition() is true and returns its value; fails the test at the deadline."""
    deadline = time.monotonic() + timeout * SLOWNESS
    pause = 0.001
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout * SLOWNESS} s in vain for: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return value


def equal(actual, expected, what: str = "") -> None:
    """An assertion that shows both sides."""
    if actual != expected:
        text = f"{what + ': ' if what else ''}expected {_short(expected)}, got {_short(actual)}"
        raise AssertionError(text)


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:300]} … {text[-200:]} ({len(text)} characters)"


class Ports:
    """Loopback ports below those that the kernel gives to outgoing connections, each given once."""

    def __init__(self):
        self._given = set()

    def take(self) -> int:
        for _ in range(1000):
            port = random.SystemRandom().randrange(20000, 32000)
            if port not in self._given and self._is_free(port):
                self._given.add(port)
                return port
        raise RuntimeError("no free port between 20000 and 32000")

    @staticmethod
    def _is_free(port: int) -> bool:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True


ports = Ports()
_servers: list["Server"] = []  # of the running test
_directories: list[Path] = []


def temp_dir() -> Path:
    """A directory that is removed behind the test."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    _directories.append(path)
    return path


def clean_environment() -> dict[str, str]:
    """Without variables that the server would take for options."""
    return {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST")}


class Server:
    """One server process. Options are given as keywords: wal_segment_bytes="64kb"."""

    def __init__(self, directory: Path | None = None, *, start=True, login: dict | None = None, **options):
        self.directory = directory if directory is not None else temp_dir()
        self.port = ports.take()
        self.options = options
        self.login = login or {}  # what its clients say of themselves: user=, password=
        self.process: subprocess.Popen | None = None
        self.log = temp_dir() / "log"
        self.exit_expected = False  # whether the test itself ends or crashes the process
        _servers.append(self)
        if start:
            self.start()

    def command(self, **changes) -> list[str]:
        options = {"bind": "127.0.0.1", **self.options, **changes}
        words = [BINARY, "--port", str(self.port), "--dir", str(self.directory)]
        if IS_REDIS:
            self.directory.mkdir(exist_ok=True)
            words += ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"]
        for name, value in options.items():
            name = name.replace("_", "-")
            if not IS_REDIS or name in REDIS_FLAGS:
                words += [f"--{name}", *(str(value).split() if IS_REDIS else [str(value)])]
        return words

    def launch(self, environment: dict[str, str] | None = None, **changes) -> None:
        """Starts the process and doesn't wait."""
        assert self.process is None or self.process.poll() is not None, "it still runs"
        self.exit_expected = False
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command(**changes),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**clean_environment(), **(environment or {})},
            )

    def start(self, **changes) -> "Server":
        """Starts the process and waits until it answers."""
        self.launch(**changes)
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        def answers():
            code = self.process.poll()
            assert code is None, f"the server exited with {code} at its start:\n{self.log_tail()}"
            try:
                with Client(self.port, timeout=START_DEADLINE_S, **self.login) as client:
                    reply = client.ask("PING")
                    # It answers, if only that it wants a password.
                    return reply == "PONG" or str(reply).startswith(("NOAUTH", "ERR max"))
            except (OSError, Closed):
                return False

        wait_for("the server answers", answers, START_DEADLINE_S / SLOWNESS)

    @property
    def pid(self) -> int:
        return self.process.pid

    def client(self, **options) -> Client:
        return Client(self.port, **{"timeout": 30 * SLOWNESS, **self.login, **options})

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        self.exit_expected = True
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.wait_exit()

    def wait_exit(self) -> int:
        self.exit_expected = True
        try:
            return self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server didn't exit in {STOP_DEADLINE_S} s") from None

    def restart(self, **changes) -> "Server":
        """Ends it cleanly and starts it on the same directory."""
        equal(self.terminate(), 0, "exit code")
        return self.start(**changes)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        return "\n".join(self.log_text().splitlines()[-LOG_LINES:])

    def memory_kb(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk_bytes(self) -> int:
        """What the data directory takes; files may vanish meanwhile."""
        total = 0
        for path in self.directory.rglob("*"):
            try:
                stat = path.lstat()
            except FileNotFoundError:
                continue
            total += stat.st_blocks * 512
        return total


def refused_start(arguments: list[str], environment: dict[str, str] | None = None, cwd=None) -> str:
    """Starts the binary, which must exit with 1 and say why in one line; that line."""
    process = subprocess.run(
        [BINARY, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=START_DEADLINE_S,
        env={**clean_environment(), **(environment or {})},
        cwd=cwd,
        check=False,
    )
    output = process.stderr.decode()
    equal(process.returncode, 1, f"exit code of {arguments}, which wrote {output!r}")
    lines = output.splitlines()
    assert len(lines) == 1 and lines[0].strip(), f"{arguments} wrote not one line but: {output!r}"
    return lines[0]


# --- The run ------------------------------------------------------------------------------------

_tests: list[tuple[str, object, float]] = []


def test(argument):
    """Registers a test: @test, or @test(seconds) with a deadline of its own."""

    def register(function, deadline_s: float):
        _tests.append((function.__name__, function, deadline_s))
        return function

    if callable(argument):
        return register(argument, TEST_DEADLINE_S)
    return lambda function: register(function, argument)


class _Deadline(BaseException):
    pass


def _on_alarm(*_):
    raise _Deadline


def _end_servers() -> list[str]:
    """Ends what runs; what was wrong with it."""
    faults = []
    for server in _servers:
        process = server.process
        if process is None:
            continue
        if server.exit_expected and process.poll() is not None:
            continue
        code = process.poll()
        if code is not None:
            faults.append(f"the server on port {server.port} had ended by itself with {code}")
            continue
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            code = process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            faults.append(f"the server on port {server.port} ignored SIGTERM for {STOP_DEADLINE_S} s")
            continue
        if code != 0:
            faults.append(f"the server on port {server.port} exited with {code} at SIGTERM")
    return faults


def _clean_up() -> None:
    for server in _servers:
        if server.process is not None and server.process.poll() is None:
            server.process.kill()
            server.process.wait()
    _servers.clear()
    for directory in _directories:
        shutil.rmtree(directory, ignore_errors=True)
    _directories.clear()


def _run_one(function, deadline_s: float) -> str | None:
    """None, or why it failed."""
    fault = None
    signal.setitimer(signal.ITIMER_REAL, deadline_s * SLOWNESS)
    try:
        function()
    except _Deadline:
        fault = f"took longer than {deadline_s * SLOWNESS} s\n" + traceback.format_exc()
    except Exception:
        fault = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    faults = _end_servers()
    if fault is None and faults:
        fault = "\n".join(faults)
    if fault is not None:
        for server in _servers:
            fault += f"\n--- end of the log of the server on port {server.port}\n{server.log_tail()}"
    _clean_up()
    return fault


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the tests of this file.")
    parser.add_argument("only", nargs="*", help="parts of names of tests; default all")
    parser.add_argument("--list", action="store_true", help="show the names, run nothing")
    parser.add_argument("--seed", type=int, help="of the random choices; default a new one, printed")
    options = parser.parse_args()
    chosen = [t for t in _tests if not options.only or any(part in t[0] for part in options.only)]
    if options.list:
        print("\n".join(name for name, _, _ in chosen))
        return
    if not Path(BINARY).exists():
        sys.exit(f"there is no {BINARY}; build it with make, or name it by $HOLDFAST")
    atexit.register(_clean_up)
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    passed = failed = 0
    for name, function, deadline_s in chosen:
        # Each test has the same choices, whichever others run.
        random.seed(f"{seed} {name}")
        started = time.monotonic()
        fault = _run_one(function, deadline_s)
        seconds = time.monotonic() - started
        if fault is None:
            passed += 1
            print(f"ok      {name} ({seconds:.1f} s)", flush=True)
        else:
            failed += 1
            print(f"FAILED  {name} ({seconds:.1f} s)", flush=True)
            print("\n".join("    " + line for line in fault.splitlines()), flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)


__all__ = [
    "BINARY", "Client", "Closed", "IS_REDIS", "ReplyError", "SANITIZER", "SLOWNESS", "Server", "equal", "main",
    "ports", "refused_start", "scaled", "temp_dir", "test", "wait_for",
]  # fmt: skip
