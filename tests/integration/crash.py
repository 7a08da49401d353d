#!/usr/bin/env python3
"""kill -9 at any moment: every acknowledged write is there after the next start, every other one fully
or not at all, and revisions, fencing tokens and sequences never go back."""

# also under: asan tsan

import random
import time

import crash_model
from crash_load import DATABASES, TAGS, Connection, Generator, now_ms, run_load
from crash_model import Mismatch, Object, Operation, Window, check_connection
from harness import IS_REDIS, Server, equal, main, scaled, temp_dir, test

CONNECTIONS = 4
WITNESS_DB = 15
LONG_MS = 3_600_000


class Witness:
    """One more client, on keys that are never deleted: what it is given must rise for ever."""

    def __init__(self):
        self.numbers = set()
        self.last_token = 0
        self.unlocked = True  # the last grant was given back for certain
        self.last_revision = 0
        self.wrote = 0  # value of the last SET that was answered

    def work(self, port_client) -> None:
        c = port_client
        c("SELECT", WITNESS_DB)
        for _ in range(3):
            first, last = c("SEQNEXT", "numbers", "COUNT", 5)
            for given in [*range(first, last + 1), c("SEQNEXT", "numbers")]:
                assert given not in self.numbers, f"SEQNEXT gave {given} again"
                self.numbers.add(given)
            before = self.last_token
            token = c("LOCK", "lock", "witness", LONG_MS)
            equal(c("LOCK", "lock", "witness", LONG_MS), token, "the token of a retried LOCK")
            if self.unlocked:
                assert token > before, f"fencing token {token} after {before}"
            else:
                assert token >= before, f"fencing token {token} after {before}"
            self.last_token, self.unlocked = token, False
            equal(c("UNLOCK", "lock", "witness"), 1)
            self.unlocked = True
            revision = self.read_revision(c)
            assert revision >= self.last_revision, f"revision {revision} after {self.last_revision}"
            equal(c("SET", "key", self.wrote + 1), "OK")
            self.wrote += 1
            after = self.read_revision(c)
            assert after > revision, f"revision {after} after a write, {revision} before it"
            self.last_revision = after

    def read_revision(self, c) -> int:
        reply = c("GETREV", "key")
        if reply is None:
            equal(self.wrote, 0, "writes that were answered before the key was missing")
            return self.last_revision
        assert self.wrote <= int(reply[0]) <= self.wrote + 1, f"{reply[0]} was read, {self.wrote} was written"
        self.wrote = int(reply[0])
        return reply[1]


class Rounds:
    """A data directory, its server and the model of what is in it, from crash to crash."""

    def __init__(self, partitions: int, cores: list[int]):
        self.partitions = partitions
        self.cores = cores
        self.random = random.Random(random.getrandbits(64))
        self.server = Server(temp_dir(), start=False)
        self.connections: list[Connection] = []
        self.witness = Witness()
        self.number = 0
        self.operations = 0
        self.in_doubt = 0
        self.one_log = True

    def options(self) -> dict:
        """Of the next start: each choice puts the crash into another part of the way to the disk."""
        pick = self.random.choice
        return {
            "partitions": self.partitions,
            "cores": self.cores[self.number % len(self.cores)],
            "flush_interval_ms": pick([1, 10, 100, 1000, 60_000]),
            "flush_max_bytes": pick(["64kb", "1mb", "32mb"]),
            "wal_segment_bytes": pick(["64kb", "64kb", "512kb", "64mb"]),
            "durability": pick(["fsync", "fsync", "fsync", "os"]),
        }

    def start(self) -> None:
        options = self.options()
        # A crash while the log of the last one is read.
        for _ in range(2 if self.random.random() < 0.2 else 0):
            self.server.launch(**options)
            time.sleep(self.random.random() * 0.15)
            self.server.kill()
        self.server.start(**options)
        # What of a pipeline is durable is a first part of it only where all is in one log.
        self.one_log = self.partitions == 1

    def prepare(self) -> None:
        """The first start."""
        self.start()
        payloads = []
        with self.server.client() as c:
            for value in (b"", b"12345", b"text \x00\xff", b"x" * 3000):
                c("SET", "source", value)
                payloads.append((c("DUMP", "source"), value))
            c("DEL", "source")
        for i in range(CONNECTIONS):
            generator = Generator(i, random.Random(self.random.getrandbits(64)), payloads, self.partitions == 1)
            self.connections.append(Connection({}, generator))

    def run(self) -> None:
        """Load, end, start, comparison."""
        for connection in self.connections:
            connection.depth = self.random.choice([1, 4, 16, 64])
            connection.open(self.server.port)
        goal = sum(c.answered for c in self.connections) + self.random.randrange(800)
        deadline = time.monotonic() + self.random.random() * 0.4
        run_load(
            self.connections,
            lambda: time.monotonic() > deadline or sum(c.answered for c in self.connections) >= goal,
        )
        self.end_server()
        crashed_ms = now_ms()
        for connection in self.connections:
            connection.drain()
        self.number += 1
        self.start()
        for connection in self.connections:
            self.compare(connection, crashed_ms)
        with self.server.client() as c:
            self.witness.work(c)

    def end_server(self) -> None:
        if self.random.random() < 0.1:
            self.server.process.terminate()
            equal(self.server.wait_exit(), 0, "exit code at SIGTERM")
        else:
            self.server.kill()

    def compare(self, connection: Connection, crashed_ms: int) -> None:
        actual, read = self.read_back(connection)
        self.in_doubt += len(connection.under_way)
        doubtful = [op for op in connection.under_way if op.parts]
        check_connection(connection.state, doubtful, actual, read, crashed_ms, self.one_log)
        connection.state.clear()
        connection.state.update(actual)

    def read_back(self, connection: Connection):
        """Everything that is in a connection's databases."""
        started = now_ms()
        state = {tag: {} for tag in connection.generator.tags}
        with self.server.client() as c:
            for db in connection.generator.databases:
                c("SELECT", db)
                keys = sorted(c("KEYS", "*"))
                equal(c("DBSIZE"), len(keys), "DBSIZE against KEYS") if not any(b"}x" in k for k in keys) else None
                kinds = c.pipeline([("TYPE", key) for key in keys])
                reads = {"string": "GETREV", "lock": "LOCKINFO", "sequence": "SEQINFO", "none": "GETREV"}
                values = c.pipeline([(reads[kind], key) for key, kind in zip(keys, kinds)])
                times = c.pipeline([("PEXPIRETIME", key) for key in keys])
                for key, kind, value, at in zip(keys, kinds, values, times):
                    tag = key[: key.index(b"}") + 1]
                    if value is not None and at != -2:
                        state[tag].setdefault(db, {})[key] = self.as_object(kind, value, at)
        return state, Window(started, now_ms())

    @staticmethod
    def as_object(kind: str, value, at: int) -> Object:
        expire = None if at == -1 else (at, at)
        if kind == "string":
            return Object(kind, value[0], expire, value[1])
        fields = dict(zip(value[::2], value[1::2]))
        if kind == "lock":
            return Object(kind, (fields[b"owner"], fields[b"token"]))
        return Object(kind, fields[b"next"], expire)

    def flush_everything(self) -> None:
        """FLUSHALL with a crash while it is under way; everything or nothing, of each partition."""
        client = self.server.client()
        client.send("FLUSHALL")
        answered = self.random.random() < 0.5
        if answered:
            equal(client.read(), "OK")
        self.server.kill()
        crashed_ms = now_ms()
        if not answered:
            answered = [str(reply) for reply in client.wait_closed()] == ["OK"]
        client.close()
        self.number += 1
        self.start()
        for connection in self.connections:
            flush = [
                (tag, db, [b"FLUSHDB"], None)
                for tag in connection.generator.tags
                for db in connection.generator.databases
            ]
            operation = Operation([[b"FLUSHALL"]], flush, crashed_ms)
            if answered:
                connection.state.clear()
            connection.under_way = [] if answered else [operation]
            self.compare(connection, crashed_ms)
        # The witness's keys may have gone with the others. Tokens and revisions go on, numbers don't.
        with self.server.client() as c:
            c("SELECT", WITNESS_DB)
            keys = c("DBSIZE")
            assert keys == 0 or not answered, "FLUSHALL was answered, and keys are there"
            if keys == 0:
                self.witness.numbers.clear()
                self.witness.wrote = 0

    def report(self) -> None:
        total = sum(c.answered for c in self.connections)
        print(f"        {self.number} starts, {total} operations answered, {self.in_doubt} in doubt")
        # Without these numbers nothing was tested.
        assert total > 50 * self.number, f"only {total} operations in {self.number} rounds"
        assert self.in_doubt > self.number, f"only {self.in_doubt} operations were in doubt"


def run_rounds(count: int, partitions: int, cores: list[int]) -> None:
    rounds = Rounds(partitions, cores)
    rounds.prepare()
    for _ in range(scaled(count)):
        rounds.run()
    rounds.report()


@test(600)
def one_partition():
    run_rounds(100, 1, [1])


@test(600)
def eight_partitions_on_two_cores():
    run_rounds(40, 8, [2])


@test(600)
def another_number_of_cores_at_each_start():
    run_rounds(30, 8, [1, 3, 2])


@test(600)
def flushall():
    rounds = Rounds(1, [1])
    rounds.prepare()
    for _ in range(scaled(12)):
        rounds.run()
        rounds.flush_everything()


# --- The checker must be able to fail -----------------------------------------------------------


def write(key: bytes, value: bytes, sent_ms=1000) -> Operation:
    args = [b"SET", key, value]
    return Operation([args], [(b"{t}", 0, args, None)], sent_ms)


def transaction(*writes: Operation) -> Operation:
    requests = [[b"MULTI"], *(w.requests[0] for w in writes), [b"EXEC"]]
    parts = [(b"{t}", 0, w.requests[0], i) for i, w in enumerate(writes)]
    return Operation(requests, parts, 1000)


def strings(**values) -> dict:
    return {b"{t}": {0: {b"{t}" + k.encode(): Object("string", v) for k, v in values.items()}}}


READ = Window(1_000_000, 1_000_010)


def accepts(state, doubtful, actual, one_log=True) -> None:
    check_connection(state, doubtful, actual, READ, 2000, one_log)


def rejects(state, doubtful, actual, one_log=True) -> None:
    try:
        check_connection(state, doubtful, actual, READ, 2000, one_log)
    except Mismatch:
        return
    raise AssertionError(f"the checker takes {actual} for what is left of {state} and {doubtful}")


@test
def the_checker_rejects_what_can_not_be():
    a, b, c = write(b"{t}a", b"1"), write(b"{t}b", b"2"), write(b"{t}c", b"3")
    doubtful = [a, b, c]
    for left in ({}, {"a": b"1"}, {"a": b"1", "b": b"2"}, {"a": b"1", "b": b"2", "c": b"3"}):
        accepts(strings(), doubtful, strings(**left))
    # A later one without an earlier one.
    for left in ({"b": b"2"}, {"a": b"1", "c": b"3"}, {"b": b"2", "c": b"3"}):
        rejects(strings(), doubtful, strings(**left))
        rejects(strings(), doubtful, strings(**left), one_log=False)
    # An acknowledged write is lost, changed, or undone by one that is older.
    rejects(strings(a=b"1"), [], strings())
    rejects(strings(a=b"1"), [], strings(a=b"0"))
    rejects(strings(a=b"1"), [b], strings(b=b"2"))
    # Something nobody wrote.
    rejects(strings(), [], strings(z=b"1"))
    # Half of a transaction.
    both = transaction(a, b)
    accepts(strings(), [both], strings())
    accepts(strings(), [both], strings(a=b"1", b=b"2"))
    rejects(strings(), [both], strings(a=b"1"))
    rejects(strings(), [both], strings(b=b"2"), one_log=False)
    # A deletion that was acknowledged, but is undone.
    rejects(strings(), [], strings(a=b"1"))


@test
def the_checker_knows_times():
    def expiring(at):
        return {b"{t}": {0: {b"{t}a": Object("string", b"1", (at, at))}}}

    accepts(expiring(READ.low + 5), [], strings())
    accepts(expiring(READ.low + 5), [], expiring(READ.low + 5))
    rejects(expiring(READ.low - 5), [], expiring(READ.low - 5))  # expired, but there
    accepts(expiring(READ.low - 5), [], strings())
    rejects(expiring(READ.high + 5), [], strings())  # gone too early
    rejects(expiring(READ.high + 5), [], expiring(READ.high + 6))
    rejects(expiring(READ.high + 5), [], strings(a=b"1"))  # lost its expiry
    # A relative time counts from when the request was on its way.
    args = [b"PEXPIRE", b"{t}a", b"5000000"]
    prolong = Operation([args], [(b"{t}", 0, args, None)], 1000)
    accepts(strings(a=b"1"), [prolong], expiring(5_001_500))
    rejects(strings(a=b"1"), [prolong], expiring(5_003_000))


@test
def the_checker_knows_locks_and_several_logs():
    def locked(owner, token):
        return {b"{t}": {0: {b"{t}l": Object("lock", (owner, token))}}}

    accepts(locked(b"me", 7), [], locked(b"me", 7))
    rejects(locked(b"me", 7), [], locked(b"me", 8))
    rejects(locked(b"me", 7), [], locked(b"you", 7))
    rejects(locked(b"me", 7), [], strings())
    # Two tags: with several logs each ends for itself, within a tag the order holds.
    args = [b"MSET", b"{t}a", b"1", b"{u}a", b"1"]
    both = Operation([args], [(b"{t}", 0, args[:3], None), (b"{u}", 0, [b"MSET", *args[3:]], None)], 1000)
    one = {b"{u}": {0: {b"{u}a": Object("string", b"1")}}}
    accepts({}, [both], one, one_log=False)
    rejects({}, [both], one, one_log=True)


@test
def the_model_rejects_wrong_answers():
    def answered(state, args, reply):
        operation = Operation([args], [(b"{t}", 0, args, None)], 1000, [reply])
        crash_model.apply_answered(state, operation, 1001)

    for args, right, wrong in (
        ([b"INCR", b"{t}n"], 1, 2),
        ([b"APPEND", b"{t}a", b"xy"], 2, 1),
        ([b"SET", b"{t}a", b"1", b"XX"], None, "OK"),
        ([b"GET", b"{t}a"], None, b"1"),
        ([b"SEQNEXT", b"{t}q", b"COUNT", b"3"], [1, 3], [1, 4]),
        ([b"DEL", b"{t}a"], 0, 1),
        ([b"RENAME", b"{t}a", b"{t}b"], crash_model.ReplyError("ERR no such key"), "OK"),
    ):
        answered({}, args, right)
        try:
            answered({}, args, wrong)
        except Mismatch:
            continue
        raise AssertionError(f"the model takes {wrong!r} for an answer to {args}")
    # The token of a lock that is held doesn't change.
    state = {}
    answered(state, [b"LOCK", b"{t}l", b"me", b"1000"], 7)
    answered(state, [b"LOCK", b"{t}l", b"me", b"1000"], 7)
    try:
        answered(state, [b"LOCK", b"{t}l", b"me", b"1000"], 8)
    except Mismatch:
        return
    raise AssertionError("the model takes another token for the same grant")


assert not IS_REDIS, "redis-server has none of the commands that this test is about"
assert CONNECTIONS * DATABASES <= WITNESS_DB and TAGS > 1
main()
