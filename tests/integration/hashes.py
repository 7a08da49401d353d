#!/usr/bin/env python3
"""Hashes: every command against a dictionary, with restarts and failovers in between."""

# also under: asan tsan

import nodes
from harness import Server, equal, main, scaled, test, wait_for
from models import Model, check_cold, check_with_failovers, check_with_kills
from resp import Closed, ReplyError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def pairs(reply: list) -> dict:
    return dict(zip(reply[::2], reply[1::2]))


class Hashes(Model):
    kinds = ("hset", "hset", "hset", "hsetnx", "hdel", "hdel", "hincrby", "reads", "delete", "copy")
    empty = {}

    def field(self) -> bytes:
        # Enough fields to leave the small form (tests set its limit to 32), not so many as to miss.
        return b"f%d" % self.random.randrange(60)

    def value(self) -> bytes:
        return self.random.randbytes(self.random.choice((0, 5, 20, 70, 300)))

    def hset(self, client, key, hash):
        given = [(self.field(), self.value()) for _ in range(self.random.randint(1, 6))]
        new = len({field for field, _ in given} - hash.keys())
        equal(client("HSET", key, *[word for pair in given for word in pair]), new)
        self.keep(key, {**hash, **dict(given)})

    def hsetnx(self, client, key, hash):
        field, value = self.field(), self.value()
        equal(client("HSETNX", key, field, value), 0 if field in hash else 1)
        self.keep(key, {field: value, **hash})

    def hdel(self, client, key, hash):
        fields = [self.field() for _ in range(self.random.randint(1, 12))]
        equal(client("HDEL", key, *fields), len(set(fields) & hash.keys()))
        self.keep(key, {field: value for field, value in hash.items() if field not in fields})

    def hincrby(self, client, key, hash):
        field, by = b"number", self.random.randint(-1000, 1000)
        value = int(hash.get(field, b"0")) + by
        equal(client("HINCRBY", key, field, by), value)
        self.keep(key, {**hash, field: b"%d" % value})

    def reads(self, client, key, hash):
        fields = [self.field() for _ in range(5)]
        equal(client("HMGET", key, *fields), [hash.get(field) for field in fields])
        equal(client("HLEN", key), len(hash))
        equal(client("HEXISTS", key, fields[0]), int(fields[0] in hash))
        equal(client("HSTRLEN", key, fields[1]), len(hash.get(fields[1], b"")))
        picked = client("HRANDFIELD", key, 4) if hash else []
        equal(len(picked), min(4, len(hash)))
        assert set(picked) <= hash.keys(), picked

    def check_key(self, client, key, hash):
        equal(pairs(client("HGETALL", key)), hash, key)
        equal(sorted(client("HKEYS", key)), sorted(hash))
        equal(sorted(client("HVALS", key)), sorted(hash.values()))


@test
def every_command_against_a_dictionary_with_kills_in_between():
    check_with_kills(Hashes, **{"hash-max-listpack-entries": 32})


@test
def uncommitted_changes_are_forgotten_and_committed_ones_are_not():
    check_with_failovers(Hashes, **{"hash-max-listpack-entries": 32})


@test
def values_leave_memory_and_come_back():
    check_cold(Hashes, **{"hash-max-listpack-entries": 32})


@test
def a_transaction_is_all_or_nothing():
    server = Server()
    with server.client() as client:
        equal(client("HSET", "h", "a", "1", "b", "2"), 2)
        client("MULTI")
        client("HDEL", "h", "a", "b")
        client("HSET", "h", "c", "3")
        client("SET", "h", "string")
        client("DEL", "h")
        client("HSET", "h", "d", "4")
        equal(client("EXEC"), [2, 1, "OK", 1, 1])
        equal(client("HGETALL", "h"), [b"d", b"4"])
    server.kill()
    server.launch()
    server.wait_ready()
    with server.client() as client:
        equal(client("HGETALL", "h"), [b"d", b"4"])
        client("WATCH", "h")
        with server.client() as other:
            other("HSET", "h", "d", "5")
        client("MULTI")
        client("HSET", "h", "d", "6")
        equal(client("EXEC"), None)


@test
def errors_change_nothing():
    server = Server()
    with server.client() as client:
        client("SET", "string", "x")
        client("HSET", "h", "text", "abc", "most", str(2**63 - 1))
        for words in (
            ("HSET", "string", "f", "v"), ("HGET", "string", "f"), ("HGETALL", "string"), ("HDEL", "string", "f"),
            ("HINCRBY", "string", "f", "1"), ("HSCAN", "string", "0"), ("HRANDFIELD", "string", "1"),
            ("HLEN", "string"), ("HSETNX", "string", "f", "v"), ("HVALS", "string"), ("GET", "h"), ("APPEND", "h", "x"),
            ("INCR", "h"), ("SETRANGE", "h", "1", "x"), ("LOCK", "h", "me", "1000"), ("SEQNEXT", "h"),
        ):  # fmt: skip
            equal(client.error(*words), WRONG_TYPE, words)
        equal(client.error("HSET", "h", "f"), "ERR wrong number of arguments for 'hset' command")
        equal(client.error("HSET", "h", "f", "v", "g"), "ERR wrong number of arguments for 'hset' command")
        equal(client.error("HMSET", "h", "f", "v", "g"), "ERR wrong number of arguments for 'hmset' command")
        equal(client.error("HINCRBY", "h", "text", "1"), "ERR hash value is not an integer")
        equal(client.error("HINCRBY", "h", "most", "1"), "ERR increment or decrement would overflow")
        equal(client.error("HINCRBY", "h", "most", "x"), "ERR value is not an integer or out of range")
        equal(client.error("HINCRBYFLOAT", "h", "text", "1"), "ERR hash value is not a float")
        equal(client.error("HINCRBYFLOAT", "h", "most", "x"), "ERR value is not a valid float")
        equal(client.error("HSCAN", "h", "x"), "ERR invalid cursor")
        equal(client.error("HSCAN", "h", "0", "COUNT", "0"), "ERR syntax error")
        equal(client.error("HRANDFIELD", "h", "1", "VALUES"), "ERR syntax error")
        equal(pairs(client("HGETALL", "h")), {b"text": b"abc", b"most": b"%d" % (2**63 - 1)})
        equal(client("GET", "string"), b"x")


@test
def replies_of_both_protocols():
    server = Server()
    with server.client() as two, server.client(resp=3) as three:
        two("HSET", "h", "f", "v")
        equal(two("HGETALL", "h"), [b"f", b"v"])
        equal(three("HGETALL", "h"), {b"f": b"v"})
        equal(three("HGETALL", "none"), {})
        equal(two("HRANDFIELD", "h", -2, "WITHVALUES"), [b"f", b"v", b"f", b"v"])
        equal(three("HRANDFIELD", "h", -2, "WITHVALUES"), [[b"f", b"v"], [b"f", b"v"]])
        equal(three("HSCAN", "h", 0), [b"0", [b"f", b"v"]])
        equal(three("HGET", "h", "none"), None)


@test
def expiry_and_replacement_leave_no_elements_behind():
    """Disk use returns: the elements of what was deleted, replaced or expired are collected."""
    server = Server(**{"flush-interval-ms": 50})
    with server.client() as client:
        for round in range(3):
            client("DEL", *[f"h{i}" for i in range(20)])
            for i in range(20):
                fields = [word for n in range(500) for word in (f"f{n}", "x" * 200)]
                client("HSET", f"h{i}", *fields)
            for i in range(0, 20, 4):
                client("DEL", f"h{i}")
                client("SET", f"h{i + 1}", "string")
                client("PEXPIRE", f"h{i + 2}", 1)
                client("RENAME", f"h{i + 3}", "other")
            client("FLUSHDB" if round == 1 else "DEL", *([] if round == 1 else ["other"]))
            wait_for("the expired are gone", lambda: client("DBSIZE") == (0 if round == 1 else 5))
        client("SAVE")
        records = lambda: server.restart() and int(server.log_text().split(" I loaded ")[-1].split()[0])  # noqa: E731
    wait_for("the elements are collected", lambda: records() == 5, timeout=60)


@test
def a_large_hash_is_scanned_whole_and_deleted():
    server = Server(**{"flush-interval-ms": 50})
    batches = scaled(20)
    with server.client(timeout=60) as client:
        for batch in range(batches):
            words = [word for n in range(10_000) for word in (f"field:{batch}:{n}", "value")]
            equal(client("HSET", "large", *words), 10_000)
        equal(client("HLEN", "large"), batches * 10_000)
        equal(client("OBJECT", "ENCODING", "large"), b"hashtable")
        seen = set()
        cursor = b"0"
        while True:
            cursor, part = client("HSCAN", "large", cursor, "COUNT", 1000)
            seen.update(part[::2])
            client("HDEL", "large", f"field:0:{len(seen) % 100}")
            if cursor == b"0":
                break
        missing = {b"field:%d:%d" % (batch, n) for batch in range(batches) for n in range(100, 10_000)} - seen
        assert not missing, f"{len(missing)} fields that were there all along were not returned"
        equal(client("UNLINK", "large"), 1)
        equal(client("EXISTS", "large"), 0)
    server.restart()
    with server.client() as client:
        equal(client("DBSIZE"), 0)


@test
def unknown_outcomes_are_told():
    """A leader that is cut off from its followers can't say what became of an HSET."""
    servers = nodes.cluster(3)
    leader = nodes.leader_of(servers)
    with leader.client(timeout=30) as client:
        equal(client("HSET", "h", "f", "1"), 1)
        for server in nodes.others(servers, leader):
            server.kill()
        try:
            reply = client("HSET", "h", "f", "2")
            raise AssertionError(f"acknowledged by one node of three: {reply!r}")
        except (ReplyError, Closed) as error:
            assert str(error).startswith("INDOUBT"), error
    for server in nodes.others(servers, leader):
        server.launch()
        server.wait_ready()
    with nodes.leader_of(servers).client(timeout=30) as client:
        assert client("HGET", "h", "f") in (b"1", b"2")


main()
