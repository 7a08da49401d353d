#!/usr/bin/env python3
"""Requests over several partitions, and partitions on several cores: same answers, same order."""

# also under: asan tsan

import random
import threading

from harness import Closed, Server, equal, main, scaled, test, wait_for
from resp import encode

CROSSSLOT = "CROSSSLOT Keys in request don't hash to the same slot"
PARTITIONS = 8


def server(**options) -> Server:
    return Server(**{"partitions": PARTITIONS, "cores": 2, **options})


def names(count: int, prefix="key") -> list[str]:
    """With so many, each partition has some."""
    return [f"{prefix}:{i}" for i in range(count)]


def crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def partition_of(key: str) -> int:
    data = key.encode()
    start = data.find(b"{")
    if start >= 0:
        end = data.find(b"}", start + 1)
        if end > start + 1:
            data = data[start + 1 : end]
    return crc16(data) % 16384 * PARTITIONS // 16384


def apart(prefix="far") -> tuple[str, str]:
    """Two keys of different partitions."""
    first = f"{prefix}:0"
    for i in range(1, 1000):
        other = f"{prefix}:{i}"
        if partition_of(other) != partition_of(first):
            return first, other
    raise AssertionError("unreachable")


@test
def keys_are_where_the_test_thinks():
    equal(crc16(b"123456789"), 0x31C3)
    equal(len({partition_of(name) for name in names(200)}), PARTITIONS)
    equal(partition_of("{user}a"), partition_of("{user}b"))
    equal(partition_of("foo{}{bar}"), partition_of("foo{}{bar}"))


@test
def mget_and_mset():
    with server().client() as c:
        keys = names(200)
        pairs = [x for key in keys for x in (key, f"value of {key}")]
        equal(c("MSET", *pairs), "OK")
        equal(c("MGET", *keys), [f"value of {key}".encode() for key in keys])
        shuffled = keys + ["missing", "key:7", "key:7"]
        random.shuffle(shuffled)
        expected = [None if key == "missing" else f"value of {key}".encode() for key in shuffled]
        equal(c("MGET", *shuffled), expected, "values are in the order of the keys")
        # The last of several values for one key counts.
        equal(c("MSET", "twice", "1", "other", "2", "twice", "3"), "OK")
        equal(c("GET", "twice"), b"3")
        c("LOCK", "lock", "me", 60_000)
        equal(c("MGET", "key:1", "lock"), [b"value of key:1", None])


@test
def counts():
    with server().client() as c:
        keys = names(120)
        c("MSET", *[x for key in keys for x in (key, "v")])
        equal(c("EXISTS", *keys, *keys[:5], "missing"), 125)
        equal(c("TOUCH", *keys, "missing"), 120)
        equal(c("DBSIZE"), 120)
        equal(c("DEL", *keys[:40], *keys[:40], "missing"), 40)
        equal(c("UNLINK", *keys[20:60]), 20)
        equal(c("EXISTS", *keys), 60)
        equal(c("DBSIZE"), 60)
        equal(sorted(c("KEYS", "*")), sorted(key.encode() for key in keys[60:]))
        equal(c("KEYS", "key:11[0-9]") and len(c("KEYS", "key:11[0-9]")), 10)
        found = {c("RANDOMKEY") for _ in range(600)}
        assert found <= {key.encode() for key in keys[60:]} and len({partition_of(k.decode()) for k in found}) == PARTITIONS
        equal(c("FLUSHALL"), "OK")
        equal(c("DBSIZE"), 0)
        equal(c("RANDOMKEY"), None)
        equal(c("KEYS", "*"), [])


@test
def databases():
    s = server()
    with s.client() as zero, s.client(db=1) as one:
        keys = names(50)
        zero("MSET", *[x for key in keys for x in (key, "zero")])
        one("MSET", *[x for key in keys[:20] for x in (key, "one")])
        equal((zero("DBSIZE"), one("DBSIZE")), (50, 20))
        equal(one("MGET", *keys[:2], keys[30]), [b"one", b"one", None])
        # That would have to happen everywhere at once.
        equal(zero.error("SWAPDB", 0, 1), CROSSSLOT)
        equal(one("FLUSHDB"), "OK")
        equal((zero("DBSIZE"), one("DBSIZE")), (50, 0))
        equal(zero("MOVE", keys[0], 1), 1)
        equal(zero("COPY", keys[1], keys[1], "DB", 1), 1)
        equal((zero("DBSIZE"), one("DBSIZE")), (49, 2))
        info = zero.info("keyspace")
        assert info["db0"].startswith("keys=49,") and info["db1"].startswith("keys=2,"), info


def scan(client, *options) -> list[bytes]:
    cursor, found = b"0", []
    for _ in range(100_000):
        cursor, part = client("SCAN", cursor, *options)
        found += part
        if cursor == b"0":
            return found
    raise AssertionError("SCAN doesn't end")


@test
def scan_of_an_unchanging_keyspace():
    with server().client() as c:
        keys = names(3000)
        c("MSET", *[x for key in keys for x in (key, "v")])
        expected = sorted(key.encode() for key in keys)
        for count in (1, 10, 333, 100_000):
            equal(sorted(scan(c, "COUNT", count)), expected, f"COUNT {count}")
        equal(len(scan(c, "MATCH", "key:1*", "COUNT", 50)), 1111)
        equal(scan(c, "TYPE", "lock"), [])
        c("LOCK", "a lock", "me", 60_000)
        equal(scan(c, "TYPE", "lock"), [b"a lock"])
        c("FLUSHALL")
        equal(scan(c), [])
        # A cursor of a keyspace that is gone ends, too.
        assert c("SCAN", "123456789")[0] is not None


@test
def scan_while_others_write():
    """An element that is there from begin to end is returned, whatever grows, shrinks and moves."""
    s = server()
    with s.client() as c:
        constant = names(1000, "constant")
        c("MSET", *[x for key in constant for x in (key, "v")])
        stop = threading.Event()
        failures = []

        def write(number: int):
            choice = random.Random(number)
            try:
                with s.client() as w:
                    while not stop.is_set():
                        part = [f"noise:{number}:{choice.randrange(6000)}" for _ in range(200)]
                        requests = [("SET", key, "x") for key in part] if choice.random() < 0.6 else [("DEL", *part)]
                        # Values of the constant ones change, they themselves stay.
                        requests.append(("SET", choice.choice(constant), "y" * choice.randrange(100)))
                        w.pipeline(requests)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        try:
            for round_ in range(scaled(12)):
                found = set(scan(c, "COUNT", random.choice([10, 50, 500])))
                missing = [key for key in constant if key.encode() not in found]
                equal(missing, [], f"keys that SCAN missed in round {round_}")
                extra = {key for key in found if not key.startswith((b"constant:", b"noise:"))}
                equal(extra, set(), "keys that never were")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        equal(failures, [])


@test
def crossslot():
    with server().client() as c:
        a, b = apart()
        c("MSET", a, "1", b, "2")
        for request in (
            ("RENAME", a, b), ("RENAMENX", a, b), ("COPY", a, b), ("MSETNX", a, "1", b, "2"),
            ("MSETEX", "2", a, "1", b, "2"), ("BITOP", "OR", "dest", a, b), ("BITOP", "NOT", a, b), ("LCS", a, b),
        ):  # fmt: skip
            equal(c.error(*request), CROSSSLOT, " ".join(request))
        equal(c("MGET", a, b), [b"1", b"2"])
        # With one tag all of them work.
        c("MSET", "{t}a", "abc", "{t}b", "xbc")
        equal(c("LCS", "{t}a", "{t}b"), b"bc")
        equal(c("RENAME", "{t}a", "{t}c"), "OK")
        equal(c("BITOP", "OR", "{t}d", "{t}b", "{t}c"), 3)
        equal(c("MSETNX", "{t}x", "1", "{t}y", "2"), 1)
        equal(c("COPY", "{t}x", "{t}z"), 1)


@test
def transactions_in_one_partition():
    """On whichever core it is."""
    s = server()
    with s.client() as c, s.client() as other:
        for i in range(40):
            tag = "{t%d}" % i
            replies = c.pipeline(
                [("MULTI",), ("SET", tag + "a", i), ("INCR", tag + "a"), ("MGET", tag + "a", tag + "b"), ("PING",), ("EXEC",)]
            )
            equal(replies[-1], ["OK", i + 1, [str(i + 1).encode(), None], "PONG"])
            # WATCH on a partition of another core sees a change from anywhere.
            equal(c("WATCH", tag + "a"), "OK")
            other("INCR", tag + "a")
            equal(c.pipeline([("MULTI",), ("SET", tag + "a", "lost"), ("EXEC",)])[2], None)
            equal(c("GET", tag + "a"), str(i + 2).encode())
            # And none when there was none.
            c("WATCH", tag + "a", tag + "b")
            equal(c.pipeline([("MULTI",), ("SET", tag + "a", "won"), ("EXEC",)])[2], ["OK"])
            # Also of keys that are gone, or come.
            c("WATCH", tag + "gone")
            other("SET", tag + "gone", "1")
            other("DEL", tag + "gone")
            equal(c.pipeline([("MULTI",), ("PING",), ("EXEC",)])[2], None)
            c("WATCH", tag + "a")
            c("UNWATCH")
            other("DEL", tag + "a")
            equal(c.pipeline([("MULTI",), ("PING",), ("EXEC",)])[2], ["PONG"])


@test
def transactions_over_partitions():
    with server().client() as c:
        a, b = apart()
        c("MULTI")
        c.ask("SET", a, "1")
        c.ask("SET", b, "1")
        reply = c.ask("EXEC")
        assert str(reply).startswith(("CROSSSLOT", "EXECABORT")), reply
        equal(c("EXISTS", a, b), 0, "half of a transaction was executed")
        # The connection is out of the transaction.
        equal(c("SET", a, "2"), "OK")
        equal(c("GET", a), b"2")
        # Watching several partitions is refused or works; it must not be ignored.
        reply = c.ask("WATCH", a, b)
        if str(reply).startswith("CROSSSLOT"):
            return
        equal(reply, "OK")
        c("SET", b, "x")
        equal(c.pipeline([("MULTI",), ("SET", a, "3"), ("EXEC",)])[2], None)


@test
def pipelines_keep_their_order():
    s = server()
    with s.client() as c:
        count = scaled(20_000)
        choice = random.Random(random.getrandbits(32))
        requests, expected, values = [], [], {}
        for i in range(count):
            key = f"k{choice.randrange(300)}"
            roll = choice.random()
            if roll < 0.4:
                requests.append(("SET", key, i))
                expected.append("OK")
                values[key] = str(i).encode()
            elif roll < 0.8:
                requests.append(("GET", key))
                expected.append(values.get(key))
            elif roll < 0.9:
                keys = [f"k{choice.randrange(300)}" for _ in range(5)]
                requests.append(("MGET", *keys))
                expected.append([values.get(k) for k in keys])
            elif roll < 0.95:
                requests.append(("ECHO", i))
                expected.append(str(i).encode())
            else:
                requests.append(("DEL", key))
                expected.append(int(values.pop(key, None) is not None))
        replies = c.pipeline(requests)
        for request, reply, wanted in zip(requests, replies, expected):
            equal(reply, wanted, f"{request}")


@test
def what_one_was_answered_another_sees():
    """Also through other cores."""
    s = server()
    with s.client() as a, s.client() as b, s.client() as c:
        for i in range(scaled(1500)):
            key = f"k{i % 97}"
            writer, reader = random.sample([a, b, c], 2)
            writer("SET", key, i)
            equal(reader("GET", key), str(i).encode())


@test
def one_counter_from_many_connections():
    s = server()
    clients = [s.client() for _ in range(8)]
    rounds = scaled(40)
    seen = []
    for _ in range(rounds):
        for client in clients:
            client.send_raw(encode("INCR", "n") * 25 + encode("INCR", "m") * 25)
        for client in clients:
            replies = client.read_n(50)
            equal(sorted(replies[:25]), replies[:25])
            seen += replies[:25]
    equal(sorted(seen), list(range(1, rounds * 8 * 25 + 1)), "numbers that INCR gave")
    equal(clients[0]("GET", "m"), str(rounds * 8 * 25).encode())
    for client in clients:
        client.close()


@test
def expiry_in_every_partition():
    s = server()
    with s.client() as c:
        keys = names(200)
        for key in keys:
            c.send("SET", key, "v", "PX", 150)
        c.read_n(200)
        c("MSET", *[x for key in names(50, "stays") for x in (key, "v")])
        wait_for("they expire without being read", lambda: c("DBSIZE") == 50)
        equal(c("EXISTS", *keys), 0)
        assert int(c.info("stats")["expired_keys"]) >= 200


@test
def monitor_sees_all_cores():
    s = server()
    with s.client() as monitor, s.client() as c:
        equal(monitor("MONITOR"), "OK")
        for i in range(50):
            c("SET", f"seen{i}", i)
        lines = [monitor.read() for _ in range(50)]
        equal([line.split('"')[3] for line in lines], [f"seen{i}" for i in range(50)])


@test
def clients_of_all_cores():
    s = server()
    clients = [s.client() for _ in range(20)]
    for i, client in enumerate(clients):
        client("CLIENT", "SETNAME", f"client{i}")
    lines = clients[0]("CLIENT", "LIST").decode().splitlines()
    equal(len(lines), 20)
    for i in range(20):
        equal(sum(f" name=client{i} " in line for line in lines), 1)
    numbers = [client("CLIENT", "ID") for client in clients]
    equal(len(set(numbers)), 20, "different ids")
    equal(clients[3]("CLIENT", "KILL", "ID", numbers[17]), 1)
    try:
        clients[17].wait_closed()
    except Closed:
        pass
    equal(clients[3].info("clients")["connected_clients"], "19")
    for client in clients:
        client.close()


@test
def config_reaches_all_cores():
    s = server()
    clients = [s.client() for _ in range(6)]
    # The system may have connected one that its core has not seen yet.
    for client in clients:
        equal(client("PING"), "PONG")
    clients[0]("CONFIG", "SET", "requirepass", "secret")
    # Who is connected stays so, whoever comes needs it.
    for client in clients:
        equal(client("PING"), "PONG")
    for _ in range(6):
        with s.client() as c:
            equal(c.error("GET", "k"), "NOAUTH Authentication required.")
            equal(c("AUTH", "secret"), "OK")
    clients[5]("CONFIG", "SET", "requirepass", "")
    for _ in range(6):
        with s.client() as c:
            equal(c("GET", "k"), None)
    for client in clients:
        client.close()


main()
