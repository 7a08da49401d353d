#!/usr/bin/env python3
"""Values that left memory (resident-memory): every way to ask for them, order, waiting, restarts."""

# also under: asan tsan

import os
import random
import signal
import threading

import nodes
from harness import Server, equal, main, scaled, test, wait_for
from models import Model, check_cold
from resp import Client

COLD = {"resident-memory": 1, "flush-interval-ms": 20}
PATIENT = {"cluster-retry-timeout": 20_000}  # however slow the machine is


def cold_keys(client: Client) -> int:
    return int(client.info("memory")["cold_keys"])


def wait_cold(client: Client, keys: int) -> None:
    wait_for(f"{keys} keys whose values left memory", lambda: cold_keys(client) >= keys)


class Strings(Model):
    kinds = ("set", "set", "append", "setrange", "getdel", "getset", "reads", "expiry", "delete", "copy")
    empty = b""

    def value(self) -> bytes:
        return self.random.randbytes(self.random.choice((3, 70, 300, 2000)))

    def keep(self, key, value):
        super().keep(key, bytearray(value))

    def check_key(self, client, key, value):
        equal(client("GET", key), bytes(value) if value else None, key)
        equal(client("STRLEN", key), len(value))

    def set(self, client, key, value):
        fresh = self.value()
        equal(client("SET", key, fresh), "OK")
        self.keep(key, fresh)

    def append(self, client, key, value):
        more = self.value()
        equal(client("APPEND", key, more), len(value) + len(more))
        self.keep(key, value + more)

    def setrange(self, client, key, value):
        at, bytes_ = self.random.randrange(2500), self.value()
        grown = bytearray(value.ljust(at + len(bytes_), b"\0"))
        grown[at : at + len(bytes_)] = bytes_
        equal(client("SETRANGE", key, at, bytes_), len(grown))
        self.keep(key, grown)

    def getdel(self, client, key, value):
        equal(client("GETDEL", key), bytes(value) if value else None)
        self.keep(key, b"")

    def getset(self, client, key, value):
        fresh = self.value()
        equal(client("SET", key, fresh, "GET"), bytes(value) if value else None)
        self.keep(key, fresh)

    def reads(self, client, key, value):
        self.check_key(client, key, value)
        equal(client("MGET", *self.keys), [bytes(self.values[k]) if k in self.values else None for k in self.keys])
        equal(client("EXISTS", key), int(bool(value)))

    def expiry(self, client, key, value):
        equal(client("EXPIRE", key, 1000), int(bool(value)))
        equal(client("PERSIST", key), int(bool(value)))


@test
def strings_leave_memory_and_come_back():
    check_cold(Strings)


@test
def a_server_starts_with_cold_values_and_finds_them():
    server = Server(**COLD)
    with server.client() as client:
        for i in range(scaled(2000)):
            client("SET", f"s{i}", f"{i} " + "x" * 200)
            client("HSET", f"h{i}", "a", i, "b", "y" * 100)
        wait_cold(client, 2 * scaled(2000))
    server.restart()
    with server.client() as client:
        # Nothing was asked for yet.
        assert cold_keys(client) > scaled(2000), cold_keys(client)
        for i in random.sample(range(scaled(2000)), 100):
            equal(client("GET", f"s{i}"), f"{i} ".encode() + b"x" * 200)
            equal(client("HGET", f"h{i}", "a"), b"%d" % i)
        equal(client("DBSIZE"), 2 * scaled(2000))
        # What needs no value loads none.
        before = int(client.info("stats")["values_loaded"])
        equal(client("EXPIRE", "s0", 1000), 1)
        equal(client("TYPE", "h1"), "hash")
        equal(client("DEL", "s1", "h2"), 2)
        equal(client("SET", "s3", "new"), "OK")
        equal(int(client.info("stats")["values_loaded"]), before)
        # What is replaced is not looked at. From here on nothing leaves memory.
        client("CONFIG", "SET", "resident-memory", 0)
        before = int(client.info("stats")["values_loaded"])
        equal(client("HGET", "h5", "a"), b"5")
        equal(client("COPY", "h5", "h6", "REPLACE"), 1)
        equal(client("RENAME", "h5", "s7"), "OK")
        assert int(client.info("stats")["values_loaded"]) <= before + 1


@test
def requests_of_a_connection_keep_their_order():
    server = Server(**COLD)
    with server.client() as client, server.client() as other:
        for i in range(50):
            client("SET", f"k{i}", f"{i} " + "x" * 200)
        for round in range(20):
            wait_cold(client, 40)
            key = f"k{random.randrange(50)}"
            first = client("GET", key) if round % 4 == 0 else None
            client.send("GET", key)
            client.send("SET", key, f"{round} " + "y" * 200)
            client.send("GET", key)
            client.send("SET", "warm", round)
            client.send("GET", "warm")
            replies = [client.read() for _ in range(5)]
            assert first is None or replies[0] == first
            assert len(replies[0]) >= 200, replies
            equal(replies[1:], ["OK", f"{round} ".encode() + b"y" * 200, "OK", b"%d" % round])
            equal(other("GET", key), replies[2])


@test
def scripts_and_sort_find_what_nobody_named():
    server = Server(**COLD)
    with server.client() as client:
        numbers = list(range(30))
        random.shuffle(numbers)
        for i in range(30):
            client("SET", f"weight{i}", f"{numbers[i]:03} " + "x" * 200)
            client("RPUSH", "list", i)
        wait_cold(client, 30)
        script = "local n = 0 for i = 0, 29 do n = n + #redis.call('GET', 'weight' .. i) end return n"
        equal(client("EVAL", script, 0), 30 * 204)
        wait_cold(client, 30)
        by_weight = sorted(range(30), key=lambda i: numbers[i])
        equal(client("SORT", "list", "BY", "weight*", "ALPHA"), [b"%d" % i for i in by_weight])
        wait_cold(client, 30)
        equal(client("SORT", "list", "BY", "weight*", "ALPHA", "GET", "weight*", "STORE", "sorted"), 30)
        equal(client("LINDEX", "sorted", 29), b"029 " + b"x" * 200)
        wait_cold(client, 30)
        client("MULTI")
        client("INCR", "n")
        client("SORT", "list", "BY", "weight*", "ALPHA", "LIMIT", 0, 1)
        equal(client("EXEC"), [1, [b"%d" % by_weight[0]]])


@test
def a_transaction_finds_other_keys_behind_swapdb():
    server = Server(**COLD)
    with server.client() as client:
        client("SET", "k", "zero" + "x" * 200)
        client("SELECT", 1)
        client("SET", "k", "one" + "x" * 200)
        client("SELECT", 0)
        wait_cold(client, 2)
        client("MULTI")
        client("INCR", "n")
        client("SWAPDB", 0, 1)
        client("GET", "k")
        client("SWAPDB", 0, 1)
        client("APPEND", "k", "!")
        equal(client("EXEC"), [1, "OK", b"one" + b"x" * 200, "OK", 205])
        wait_cold(client, 2)
        equal(client("MOVE", "k", 1), 0)
        equal(client("COPY", "k", "k", "DB", 1, "REPLACE"), 1)
        client("SELECT", 1)
        equal(client("GET", "k"), b"zero" + b"x" * 200 + b"!")


@test
def who_waits_for_several_keys_is_served_in_turn():
    server = Server(**COLD)
    with server.client() as client:
        # Not empty, so that it can leave memory, and without anything new for who waits.
        for i in range(20):
            client("XADD", "old", f"{i + 1}-0", "field", "x" * 100)
        got = []

        def read():
            with server.client() as reader:
                got.append(reader("XREAD", "BLOCK", 0, "STREAMS", "new", "old", "0", "20-0"))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for thread in readers:
            thread.start()
        wait_for("blocked readers", lambda: int(client.info("clients")["blocked_clients"]) == 3)
        wait_cold(client, 1)
        client("XADD", "new", "5-0", "a", "b")
        for thread in readers:
            thread.join(20)
        equal(got, [[[b"new", [[b"5-0", [b"a", b"b"]]]]]] * 3)


@test
def many_clients_share_loads():
    server = Server(**COLD)
    keys = scaled(300)
    with server.client() as client:
        for i in range(keys):
            client("RPUSH", f"l{i}", *[f"{i}-{j}-" + "x" * 30 for j in range(20)])
            client("SET", f"c{i}", "0" * 100)
        wait_cold(client, keys)
        faults = []

        def work(seed: int) -> None:
            rng = random.Random(seed)
            try:
                with server.client() as mine:
                    for _ in range(scaled(400)):
                        i = rng.randrange(keys)
                        items = mine("LRANGE", f"l{i}", 0, -1)
                        assert len(items) == 20 and items[0].startswith(b"%d-" % i), items[:2]
                        mine("APPEND", f"c{i}", "1")
            except Exception as error:
                faults.append(error)

        threads = [threading.Thread(target=work, args=[seed]) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(faults, [])
        equal(sum(client("STRLEN", f"c{i}") for i in range(keys)), 100 * keys + 8 * scaled(400))


@test
def followers_hold_no_more_than_the_leader_and_can_take_over():
    servers = nodes.cluster(3, **COLD, **PATIENT)
    leader = nodes.leader_of(servers)
    with leader.client() as client:
        for i in range(scaled(500)):
            client("SET", f"s{i}", f"{i} " + "x" * 200)
        for server in servers:
            with server.client() as own:
                wait_cold(own, scaled(500))
        # Changes of what followers don't have in memory.
        for i in range(scaled(500)):
            client("APPEND", f"s{i}", f"-{i}")
    follower = nodes.others(servers, leader)[0]
    leader.kill()
    nodes.leader_of(nodes.others(servers, leader))
    with follower.client() as client:
        for i in range(scaled(500)):
            equal(client("GET", f"s{i}"), f"{i} ".encode() + b"x" * 200 + b"-%d" % i)
    leader.launch()
    leader.wait_ready()


def after_kill(server: Server, **changes) -> Client:
    server.kill()
    server.launch(**changes)
    server.wait_ready()
    return server.client()


@test
def a_change_on_its_way_to_the_store_is_waited_for_when_the_meta_has_changed_since():
    server = Server(**COLD)
    slow = {"flush-interval-ms": 600_000}
    with server.client() as client:
        client("SET", "s", "x" * 200)
        client("RPUSH", "l", *["i" * 100] * 3)
        wait_cold(client, 2)
    with after_kill(server, **slow) as client:
        equal(client("APPEND", "s", "ZZZ"), 203)
        equal(client("RPUSH", "l", "new1", "new2"), 5)
    with after_kill(server, **slow) as client:
        # The log's entries were applied to cold keys, and the store has yet to get them.
        equal(client("EXPIRE", "s", 1000), 1)
        equal(client("EXPIRE", "l", 1000), 1)
        equal(client("LLEN", "l"), 5)
        equal(client("RPUSH", "l", "after"), 6)
        equal(client("STRLEN", "s"), 203)
    with after_kill(server) as client:
        equal(client("LRANGE", "l", 3, -1), [b"new1", b"new2", b"after"])
        equal(client("GET", "s"), b"x" * 200 + b"ZZZ")


def fill_hash(client: Client, key: str, fields: int) -> None:
    for i in range(0, fields, 10_000):
        client("HSET", key, *(word for j in range(i, min(fields, i + 10_000)) for word in (f"field{j}", "v" * 20)))


@test
def what_is_flushed_or_deleted_while_it_is_loaded_is_gone():
    server = Server(**COLD, cores=1)
    keys = [f"h{i}" for i in range(12)]
    for forget in (["FLUSHALL"], ["DEL", *keys]):
        with server.client() as client:
            for key in keys:
                fill_hash(client, key, scaled(40_000))
            wait_cold(client, len(keys))
            readers = [server.client() for _ in keys]
            for reader, key in zip(readers, keys):
                reader.send("HGET", key, "field1")
            wait_for("requests", lambda: client("CLIENT", "LIST").count(b"cmd=hget") == len(keys))
            client(*forget)
            for reader in readers:
                assert reader.read() in (b"v" * 20, None)
                reader.close()
            wait_for("all garbage collected", lambda: server.is_running() and not client("EXISTS", *keys))
            equal(client("HGET", "h0", "field1"), None)


BUSY_FOR = """local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
    local begin = now() repeat until now() - begin > tonumber(ARGV[1]) return 1"""


@test
def a_script_beside_a_load_changes_no_order():
    server = Server(**COLD, cores=1)
    with server.client() as client, server.client() as other:
        fill_hash(client, "big", scaled(200_000))
        for _ in range(3):
            wait_cold(client, 1)
            client("HDEL", "big", "new")
            wait_cold(client, 1)
            client.send("HSET", "big", "new", 1)
            other.send("EVAL", BUSY_FOR, 0, 600)
            client.send("HGET", "big", "new")
            client.send("WATCH", "big")
            client.send("MULTI")
            client.send("HGET", "big", "new")
            client.send("EXEC")
            equal([client.read() for _ in range(6)], [1, b"1", "OK", "OK", "QUEUED", [b"1"]])
            equal(other.read(), 1)


@test
def a_transaction_goes_on_behind_a_script_that_was_killed():
    server = Server(**COLD, **{"busy-reply-threshold": 50})
    with server.client() as client, server.client() as other:
        client("SET", "k", "x" * 200)
        wait_cold(client, 1)
        client("MULTI")
        client("EVAL", "while true do end", 0)
        client("GET", "k")
        client("INCR", "n")
        client.send("EXEC")
        client.send("PING")
        wait_for("a script to kill", lambda: other.ask("SCRIPT", "KILL") == "OK")
        replies = client.read()
        assert "killed" in str(replies[0]), replies
        equal(replies[1:], [b"x" * 200, 1])
        equal(client.read(), "PONG")


@test
def a_transaction_finds_values_of_other_types_behind_swapdb():
    server = Server(**COLD)
    with server.client() as client:
        client("SELECT", 1)
        client("SET", "s", "x" * 200)
        client("HSET", "h", "f", "x" * 200)
        client("SELECT", 0)
        wait_cold(client, 2)
        client("MULTI")
        client("SWAPDB", 0, 1)
        client("LOCK", "s", "me", 1000)
        client("LOCK", "h", "me", 1000)
        client("SEQNEXT", "h")
        client("HINCRBY", "s", "f", 1)
        client("SWAPDB", 0, 1)
        replies = client("EXEC")
        equal([replies[0], replies[5]], ["OK", "OK"])
        for reply in replies[1:5]:
            assert "WRONGTYPE" in str(reply), replies


def large_collections(client: Client, elements: int) -> dict[str, list]:
    """A large one of every type, by name: the command that reads all of it."""
    fill_hash(client, "hash", elements)
    for i in range(0, elements, 5_000):
        numbers = range(i, min(elements, i + 5_000))
        client("SADD", "set", *(f"member{j}" for j in numbers))
        client("RPUSH", "list", *(f"item{j}" for j in numbers))
        client("ZADD", "zset", *(word for j in numbers for word in (j, f"member{j}")))
    pipeline = range(1, elements // 2)
    for i in pipeline:
        client.send("XADD", "stream", f"{i}-1", "field", i)
    for _ in pipeline:
        client.read()
    client("XGROUP", "CREATE", "stream", "group", "0")
    client("XREADGROUP", "GROUP", "group", "me", "COUNT", 100, "STREAMS", "stream", ">")
    return {
        "hash": ["HGETALL"],
        "set": ["SMEMBERS"],
        "list": ["LRANGE", 0, -1],
        "zset": ["ZRANGE", 0, -1, "WITHSCORES"],
        "stream": ["XRANGE", "-", "+"],
    }


CHANGES = {
    "hash": ["HSET", "field1", "changed"],
    "set": ["SADD", "new"],
    "list": ["LPUSH", "new"],
    "zset": ["ZADD", 5, "new"],
    "stream": ["XADD", "*", "field", "new"],
}


def all_of(client: Client, key: str, read: list) -> list:
    reply = client(read[0], key, *read[1:])
    if read[0] == "HGETALL":
        return sorted(zip(reply[::2], reply[1::2]))
    return sorted(reply) if read[0] == "SMEMBERS" else reply


@test
def large_collections_are_copied_and_renamed_whole():
    # With a limit, though none that is reached, copies are loaded when they are wanted.
    server = Server(cores=1, **{"flush-interval-ms": 600_000, "resident-memory": "10gb"})
    with server.client() as client:
        reads = large_collections(client, 20_000)  # as many records as it takes
        first = {key: all_of(client, key, read) for key, read in reads.items()}
        for key in reads:
            client("SET", f"{key}-copy", "old")
            client("EXPIRE", key, 10_000)
        # What the source becomes in the same moment is not the copy's.
        for key in reads:
            client.send("COPY", key, f"{key}-copy")
            client.send("COPY", key, f"{key}-copy", "REPLACE")
            client.send(CHANGES[key][0], key, *CHANGES[key][1:])
            client.send("TTL", f"{key}-copy")
            client.send("TYPE", f"{key}-copy")
        for key in reads:
            replies = [client.read() for _ in range(5)]
            equal(replies[:2] + replies[4:], [0, 1, key])
            assert 9_000 < replies[3] <= 10_000, replies
        # Nothing was loaded yet; the first who asks waits, and what it writes is written.
        equal(cold_keys(client), len(reads))
        changed = {key: all_of(client, key, read) for key, read in reads.items()}
        for key, read in reads.items():
            assert changed[key] != first[key]
            equal(all_of(client, f"{key}-copy", read), first[key], key)
            client(CHANGES[key][0], f"{key}-copy", *CHANGES[key][1:])
        equal(client("XPENDING", "stream-copy", "group")[0], 100)
        equal(cold_keys(client), 0)
        # A copy of a copy that nobody has looked at; names are changed without loading anything.
        for key in reads:
            equal(client("COPY", key, f"{key}-2"), 1)
            equal(client("COPY", f"{key}-2", f"{key}-3", "DB", 1), 1)
            equal(client("RENAME", key, f"{key}-new"), "OK")
            equal(client("MOVE", f"{key}-new", 2), 1)
        equal(client("EXISTS", *reads), 0)

    def check(client: Client) -> None:
        for key, read in reads.items():
            for database, name in ((0, f"{key}-2"), (1, f"{key}-3"), (2, f"{key}-new")):
                client("SELECT", database)
                equal(all_of(client, name, read), changed[key], name)
        client("SELECT", 0)

    with after_kill(server) as client:
        check(client)
        # In a transaction and in a script the copy is wanted at once.
        client("MULTI")
        client("COPY", "hash-2", "t")
        client("HSET", "t", "field1", "of the copy")
        client("HGET", "hash-2", "field1")
        client("RENAME", "t", "u")
        client("HGET", "u", "field1")
        equal(client("EXEC"), [1, 0, b"changed", "OK", b"of the copy"])
        script = "redis.call('COPY', KEYS[1], KEYS[2]) return redis.call('LLEN', KEYS[2])"
        equal(client("EVAL", script, 2, "list-2", "of-a-script"), len(changed["list"]))
        equal(client("DEL", *(f"{key}-2" for key in reads), "u", "of-a-script"), len(reads) + 2)
        for key in reads:
            client("SELECT", 1)
            equal(client("COPY", f"{key}-3", f"{key}-2", "DB", 0), 1)
            client("SELECT", 0)
    with after_kill(server) as client:
        check(client)
        equal(client("FLUSHALL"), "OK")
        equal(client("DBSIZE"), 0)


@test
def copies_survive_their_leader():
    servers = nodes.cluster(3, **PATIENT)
    leader = nodes.leader_of(servers)
    with leader.client() as client:
        fill_hash(client, "h", 20_000)
        equal(client("COPY", "h", "h2"), 1)
        wait_for("the copy in memory", lambda: cold_keys(client) == 0)
        equal(client("DEL", "h", "h2"), 2)
        fill_hash(client, "hash", 20_000)
        equal(client("COPY", "hash", "copy"), 1)
        equal(client("HSET", "hash", "field1", "changed"), 0)
        equal(client("RENAME", "hash", "renamed"), "OK")
    leader.kill()
    others = nodes.others(servers, leader)
    nodes.leader_of(others)
    with others[0].client() as client, others[1].client() as other:
        equal(client("HGET", "copy", "field1"), b"v" * 20)
        equal(other("HLEN", "copy"), 20_000)
        equal(client("HGET", "renamed", "field1"), b"changed")
        equal(other("HLEN", "renamed"), 20_000)
        equal(client("HSET", "copy", "field1", "too"), 0)
    leader.launch()
    leader.wait_ready()
    with leader.client() as client:
        equal(client("HGET", "copy", "field1"), b"too")


@test
def copies_in_a_row_answer_everybody():
    server = Server(cores=1)
    fields = 20_000
    with server.client() as client, server.client() as other:
        fill_hash(client, "a", fields)
        for _ in range(scaled(5)):
            for command in (["COPY", "a", "b", "REPLACE"], ["HLEN", "b"]) * 4:
                client.send(*command)
            other.send("HLEN", "b")
            equal([client.read() for _ in range(8)], [1, fields] * 4)
            assert other.read() in (0, fields)
        renames = scaled(50) * 2
        for i in range(renames):
            client.send("RENAME", "ab"[i % 2], "ba"[i % 2])
        client.send("HLEN", "a")
        equal([client.read() for _ in range(renames + 1)], ["OK"] * renames + [fields])
    with after_kill(server) as client:
        equal(client("HLEN", "a"), fields)
        equal(client("EXISTS", "b"), 0)


@test
def copies_count_as_used_memory():
    server = Server(**{"maxmemory": "48mb"})
    with server.client() as client:
        fill_hash(client, "h", 60_000)
        for i in range(30):
            client.send("COPY", "h", f"h{i}")
        replies = [client.read() for _ in range(30)]
        assert any("OOM" in str(reply) for reply in replies), replies
        wait_for("copies in memory", lambda: cold_keys(client) == 0)
        used = int(client.info("memory")["used_memory"])
        assert used < 64 << 20, used


@test
def a_transfer_leaves_alone_who_waits_for_a_copy():
    servers = nodes.cluster(3)
    leader = nodes.leader_of(servers)
    stopped = nodes.others(servers, leader)[0]
    with leader.client() as client, leader.client() as waiting, leader.client() as unblocked:
        client("RPUSH", "a", *(f"item{i}" for i in range(10_000)))
        blocked = unblocked("CLIENT", "ID")
        waiting.send("BLPOP", "b", 0)
        unblocked.send("BLPOP", "c", 0)
        wait_for("blocked clients", lambda: int(client.info("clients")["blocked_clients"]) == 2)
        target = nodes.node_id(stopped)
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            client("COPY", "a", "b")
            client.ask("CLUSTER", "TRANSFER", 0, target)  # may take longer than it waits
            client.ask("CLIENT", "UNBLOCK", blocked)
            equal(waiting.read(), [b"b", b"item0"])
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        assert leader.is_running()


main()
