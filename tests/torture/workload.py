"""Clients that ask, and write down what they asked and got, in the format of tests/linear/history.h.

Each client is a thread with one connection; several processes have a few of them each. Outcomes:

  ok       there is a reply
  failed   -TRYAGAIN, -CLUSTERDOWN, -NOTLEADER, -LOADING, -READONLY: certainly not applied
  doubt    -INDOUBT; no reply in time, or the connection was lost behind the sending

Any other error reply is unexpected and fails the round.
"""

import multiprocessing
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
from resp import Client, Closed, ReplyError  # noqa: E402

NOT_APPLIED = ("TRYAGAIN", "CLUSTERDOWN", "NOTLEADER", "LOADING", "READONLY")
REPLY_TIMEOUT_S = 5
LEASE_MS = 300
APPEND_SECONDS = 2  # after so long another key is appended to: reads of long ones cost too much

REGISTERS, COUNTERS, LOCKS, APPENDS = 16, 6, 6, 4


def text(value) -> str:
    return "~" if value is None or value == b"" else value.decode() if isinstance(value, bytes) else str(value)


class Unexpected(Exception):
    pass


class Duration:
    """How long the clients of a round ask: `seconds`; when fewer than `least` operations have succeeded
    by then, longer, but no longer than three times that. Shared by all processes."""

    def __init__(self, seconds: float, least: float, clients: int):
        began = time.monotonic()
        self.least = least
        self.soonest = began + seconds
        self.latest = began + 3 * seconds
        self.succeeded = multiprocessing.get_context("fork").RawArray("q", clients)  # each client writes its own

    def is_over(self) -> bool:
        now = time.monotonic()
        return now >= self.latest or (now >= self.soonest and sum(self.succeeded) >= self.least)


class Recorder:
    """The connection of one client, and its history."""

    def __init__(self, number: int, prefix: str, addresses: list[tuple[str, int]], duration: Duration):
        self.number = number
        self.name = f"{prefix}{number}"
        self.addresses = addresses
        self.lines: list[str] = []
        self.duration = duration
        self.counts = {"ok": 0, "failed": 0, "doubt": 0}
        self._client: Client | None = None

    def connect(self) -> bool:
        """Any node will do."""
        while self._client is None:
            if self.duration.is_over():
                return False
            host, port = random.choice(self.addresses)
            try:
                client = Client(port, host=host, timeout=REPLY_TIMEOUT_S)
                # Half of the clients read from the node that they are connected to. (Alone, it
                # answers that it is no cluster, and that is fine, too.)
                if random.random() < 0.5:
                    client.ask("READONLY")
                self._client = client
            except (Closed, OSError):
                time.sleep(0.02)
        return True

    def disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def ask(self, model: str, key: str, operation: str, result, *request):
        """Sends one request. result(reply) is the text behind the `=` of the line, "" where the
        operation has none. Returns the reply; None also when there was none."""
        if not self.connect():
            return None
        started = time.monotonic_ns()
        outcome, reply = "doubt", None
        try:
            reply = self._client.ask(*request)
            outcome = "ok"
        except (Closed, OSError):
            self.disconnect()
        ended = time.monotonic_ns()
        shown = ""
        if isinstance(reply, ReplyError):
            error = str(reply)
            if error.startswith(NOT_APPLIED):
                outcome = "failed"
            elif error.startswith("INDOUBT"):
                outcome = "doubt"
            elif error.startswith("NOTOWNER") and request[0] == "EXTEND":
                shown = " = notowner"
            else:
                raise Unexpected(f"{' '.join(map(str, request))} was answered -{error}")
            reply = None
        elif outcome == "ok":
            shown = result(reply)
            shown = f" = {shown}" if shown else ""
        end = "-" if outcome == "doubt" else str(ended)
        self.counts[outcome] += 1
        self.duration.succeeded[self.number] = self.counts["ok"]
        self.lines.append(f"{model} {key} {self.name} {started} {end} {outcome} {operation}{shown}")
        return reply


class Worker:
    """What one client does until the time is over."""

    def __init__(self, recorder: Recorder, prefix: str, seed: str):
        self.ask = recorder.ask
        self.recorder = recorder
        self.name = recorder.name
        self.prefix = prefix
        self.random = random.Random(seed)
        self.number = 0
        self.read = {}  # register -> value and revision, as this client read it last
        self.began = time.monotonic()

    def run(self) -> None:
        kinds = [self.register] * 10 + [self.counter] * 4 + [self.append] * 4 + [self.lock]
        while not self.recorder.duration.is_over():
            self.random.choice(kinds)()
        self.recorder.disconnect()

    def key(self, kind: str, count: int) -> str:
        return f"{self.prefix}{kind}{self.random.randrange(count)}"

    def fresh(self) -> str:
        self.number += 1
        return f"{self.name}-{self.number};"

    def register(self) -> None:
        key = self.key("r", REGISTERS)
        value = self.fresh()
        expected, revision = self.read.get(key, ("none", 0))
        flag_and_revision = lambda reply: f"{reply[0]} {reply[1]}"  # noqa: E731
        choice = self.random.randrange(12)
        if choice < 2:
            self.ask("register", key, f"write {value}", lambda _: "", "SET", key, value)
        elif choice < 4:
            self.ask("register", key, "read", text, "GET", key)
        elif choice < 7:
            show = lambda r: "~" if r is None else f"{text(r[0])} {r[1]}"  # noqa: E731
            reply = self.ask("register", key, "readrev", show, "GETREV", key)
            if reply is not None:
                self.read[key] = (text(reply[0]), reply[1])
        elif choice < 9:
            self.ask("register", key, f"cas {expected} {value}", flag_and_revision, "CAS", key, expected, value)
        elif choice < 10:
            operation = f"casrev {revision} {value}"
            self.ask("register", key, operation, flag_and_revision, "CASREV", key, revision, value)
        elif choice < 11:
            show = lambda r: "0" if r is None else "1"  # noqa: E731
            if self.random.random() < 0.5:
                self.ask("register", key, f"setnx {value}", show, "SET", key, value, "NX")
            else:
                self.ask("register", key, f"cas {expected} {value}", show, "SET", key, value, "IFEQ", expected)
        elif self.random.random() < 0.4:
            self.ask("register", key, "delete", str, "DEL", key)

    def counter(self) -> None:
        key = self.key("c", COUNTERS)
        choice = self.random.randrange(10)
        if choice < 3:
            self.ask("counter", key, "read", lambda r: str(int(r or 0)), "GET", key)
        elif choice < 9:
            self.ask("counter", key, "incr 1", str, "INCR", key)
        else:
            self.ask("counter", key, "incr 7", str, "INCRBY", key, 7)

    def append(self) -> None:
        generation = int((time.monotonic() - self.began) / APPEND_SECONDS)
        key = f"{self.key('a', APPENDS)}-{generation}"
        if self.random.random() < 0.6:
            value = self.fresh()
            self.ask("append", key, f"append {value}", str, "APPEND", key, value)
        else:
            self.ask("append", key, "read", text, "GET", key)

    def lock(self) -> None:
        key = self.key("l", LOCKS)
        if self.random.random() < 0.2:
            self.ask("lock", key, "info", show_lock, "LOCKINFO", key)
            return
        wait = ("WAIT", 200) if self.random.random() < 0.3 else ()
        request = ("LOCK", key, self.name, LEASE_MS, *wait)
        token = self.ask("lock", key, f"lock {self.name} {LEASE_MS}", text, *request)
        if token is None:
            return
        time.sleep(self.random.random() * 0.02)
        if self.random.random() < 0.3:
            show = lambda r: f"1 {r[1]}" if r[0] else "0"  # noqa: E731
            request = ("EXTEND", key, LEASE_MS, "OWNER", self.name)
            self.ask("lock", key, f"extend {self.name} {LEASE_MS}", show, *request)
        # Some leases end by themselves.
        if self.random.random() < 0.85:
            self.ask("lock", key, f"unlock {self.name}", str, "UNLOCK", key, self.name)


def show_lock(reply) -> str:
    if reply is None:
        return "~"
    fields = dict(zip(reply[::2], reply[1::2]))
    return f"{text(fields[b'owner'])} {fields[b'token']}"


def run_threads(numbers, addresses, prefix, seed, duration, path, results) -> None:
    """In a process of its own."""
    recorders = []
    faults = []

    def work(worker: Worker) -> None:
        try:
            worker.run()
        except Exception as error:  # reported by the parent
            faults.append(f"{worker.name}: {type(error).__name__}: {error}")

    threads = []
    for number in numbers:
        recorder = Recorder(number, prefix, addresses, duration)
        recorders.append(recorder)
        threads.append(threading.Thread(target=work, args=[Worker(recorder, prefix, f"{seed} {recorder.name}")]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(path, "w") as out:
        for recorder in recorders:
            out.writelines(line + "\n" for line in recorder.lines)
    results.put(({k: sum(r.counts[k] for r in recorders) for k in ("ok", "failed", "doubt")}, faults))


class Clients:
    """All clients of a round."""

    def __init__(
        self, addresses, prefix: str, seed: str, seconds: float, least: float, directory: Path, processes=4, threads=5
    ):
        context = multiprocessing.get_context("fork")
        self.results = context.Queue()
        self.duration = Duration(seconds, least, processes * threads)
        self.files = [directory / f"clients{i}" for i in range(processes)]
        self.processes = []
        for i, path in enumerate(self.files):
            numbers = range(i * threads, (i + 1) * threads)
            args = (numbers, addresses, prefix, seed, self.duration, path, self.results)
            self.processes.append(context.Process(target=run_threads, args=args, daemon=True))
        for process in self.processes:
            process.start()

    def wait(self) -> tuple[dict[str, int], list[str]]:
        """Operations by outcome, and what was unexpected."""
        totals, faults = {"ok": 0, "failed": 0, "doubt": 0}, []
        deadline = self.duration.latest + 3 * REPLY_TIMEOUT_S + 10
        for _ in self.processes:
            counts, unexpected = self.results.get(timeout=max(1.0, deadline - time.monotonic()))
            faults += unexpected
            totals = {k: totals[k] + counts[k] for k in totals}
        for process in self.processes:
            process.join(10)
        return totals, faults
