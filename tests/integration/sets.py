#!/usr/bin/env python3
"""Sets: every command against a set, with restarts and failovers in between."""

# also under: asan

from harness import Server, equal, main, test
from models import Model, check_cold, check_with_failovers, check_with_kills

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Sets(Model):
    kinds = ("sadd", "sadd", "sadd", "srem", "spop", "smove", "store", "reads", "delete", "copy")
    empty: set[bytes] = set()

    def member(self) -> bytes:
        # Mostly integers, so that a set changes its form now and then.
        return b"%d" % self.random.randrange(60) if self.random.random() < 0.97 else b"word"

    def some(self, most: int) -> list[bytes]:
        return [self.member() for _ in range(self.random.randint(1, most))]

    def sadd(self, client, key, value):
        members = self.some(6)
        equal(client("SADD", key, *members), len(set(members) - value))
        self.keep(key, value | set(members))

    def srem(self, client, key, value):
        members = self.some(12)
        equal(client("SREM", key, *members), len(set(members) & value))
        self.keep(key, value - set(members))

    def spop(self, client, key, value):
        count = self.random.randint(0, 5)
        popped = client("SPOP", key, count)
        equal(len(popped), min(count, len(value)))
        assert set(popped) <= value, popped
        self.keep(key, value - set(popped))

    def smove(self, client, key, value):
        other, member = self.random.choice(self.keys), self.member()
        equal(client("SMOVE", key, other, member), int(member in value))
        if member in value:
            self.keep(key, value - {member})
            self.keep(other, self.values.get(other, self.empty) | {member})

    def store(self, client, key, value):
        target, other = self.random.choice(self.keys), self.random.choice(self.keys)
        second = self.values.get(other, self.empty)
        name = self.random.choice(("SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"))
        result = {"SUNIONSTORE": value | second, "SINTERSTORE": value & second, "SDIFFSTORE": value - second}[name]
        equal(client(name, target, key, other), len(result))
        self.keep(target, result)

    def reads(self, client, key, value):
        members, other = self.some(4), self.random.choice(self.keys)
        second = self.values.get(other, self.empty)
        equal(client("SMISMEMBER", key, *members), [int(member in value) for member in members])
        equal(client("SCARD", key), len(value))
        equal(set(client("SINTER", key, other)), value & second)
        equal(set(client("SUNION", key, other)), value | second)
        equal(set(client("SDIFF", key, other)), value - second)
        equal(client("SINTERCARD", 2, key, other, "LIMIT", 3), min(3, len(value & second)))
        picked = client("SRANDMEMBER", key, 4)
        equal(len(picked), min(4, len(value)))
        assert set(picked) <= value, picked

    def check_key(self, client, key, value):
        members = client("SMEMBERS", key)
        equal(len(members), len(value))
        equal(set(members), value, key)


@test
def every_command_against_a_set_with_kills_in_between():
    check_with_kills(Sets, **{"set-max-intset-entries": 20})


@test
def uncommitted_changes_are_forgotten_and_committed_ones_are_not():
    check_with_failovers(Sets, **{"set-max-intset-entries": 20})


@test
def values_leave_memory_and_come_back():
    check_cold(Sets, **{"set-max-intset-entries": 20})


@test
def errors_change_nothing():
    server = Server()
    with server.client() as client:
        client("SET", "string", "x")
        client("SADD", "s", "a", "b")
        for words in (
            ("SADD", "string", "m"), ("SREM", "string", "m"), ("SMEMBERS", "string"), ("SPOP", "string"),
            ("SMOVE", "s", "string", "a"), ("SMOVE", "string", "s", "x"), ("SUNION", "s", "string"),
            ("SINTERSTORE", "s", "s", "string"), ("SSCAN", "string", "0"), ("SRANDMEMBER", "string"), ("HSET", "s", "f", "v"),
            ("LPUSH", "s", "x"), ("INCR", "s"),
        ):  # fmt: skip
            equal(client.error(*words), WRONG_TYPE, words)
        equal(client.error("SPOP", "s", "-1"), "ERR value is out of range, must be positive")
        equal(client.error("SINTERCARD", "0", "s"), "ERR numkeys should be greater than 0")
        equal(client.error("SINTERCARD", "2", "s"), "ERR Number of keys can't be greater than number of args")
        equal(sorted(client("SMEMBERS", "s")), [b"a", b"b"])
        equal(client("GET", "string"), b"x")


@test
def replies_of_both_protocols():
    server = Server()
    with server.client() as two, server.client(resp=3) as three:
        two("SADD", "s", "1")
        equal(two("SMEMBERS", "s"), [b"1"])
        equal(type(three("SMEMBERS", "s")).__name__, "RespSet")
        equal(list(three("SUNION", "s", "none")), [b"1"])
        equal(three("SPOP", "none"), None)
        equal(list(three("SPOP", "s", "2")), [b"1"])


main()
