#!/usr/bin/env python3
"""maxmemory and its policies, the reserve of the disk, and that disk and memory come back."""

import random
import threading
import time

from harness import IS_REDIS, SANITIZER, SLOWNESS, Server, equal, main, test, wait_for
from resp import Closed

MIB = 1 << 20
ROOM = 12 * MIB  # for keys
# What the log and its way to LevelDB may take on top of that.
SLACK = 6 * MIB
QUICK = {"flush_interval_ms": 20, "flush_max_bytes": "256kb"}
OOM = "OOM command not allowed when used memory > 'maxmemory'."


def used(client) -> int:
    return int(client.info("memory")["used_memory"])


def evicted(client) -> int:
    return int(client.info("stats")["evicted_keys"])


def fill(client, count: int, size=1000, prefix="k", *options) -> int:
    """Sets so many keys; how many were accepted."""
    done = 0
    for start in range(0, count, 500):
        part = range(start, min(start + 500, count))
        replies = client.pipeline([("SET", f"{prefix}{i}", "v" * size, *options) for i in part])
        for reply in replies:
            if reply == "OK":
                done += 1
            else:
                equal(str(reply), OOM)
    return done


def limited(policy: str, **options) -> tuple[Server, int]:
    """A server with room for some 12 MB of keys over what it takes empty."""
    server = Server(maxmemory_policy=policy, **QUICK, **options)
    with server.client() as c:
        limit = used(c) + ROOM
        c("CONFIG", "SET", "maxmemory", limit)
    return server, limit


@test
def noeviction():
    server, limit = limited("noeviction")
    with server.client() as c:
        done = fill(c, 25_000)
        assert 5000 < done < 13_000, f"{done} keys of 1 kB fit into 12 MB"
        assert used(c) < limit + SLACK, f"{used(c)} of {limit} bytes"
        equal(evicted(c), 0)
        # Well above the limit: whatever may need memory is refused, the rest goes on.
        c("CONFIG", "SET", "maxmemory", limit - 4 * MIB)
        for request in (
            ("SET", "new", "x"), ("APPEND", "k1", "x"), ("INCR", "n"), ("SETRANGE", "k1", "1", "x"),
            ("MSET", "a", "1", "b", "2"), ("SETBIT", "k1", "1", "1"), ("BITFIELD", "k1", "SET", "u8", "0", "1"),
            ("GETSET", "k1", "x"), ("SETNX", "new", "x"), ("COPY", "k1", "k0", "REPLACE"),
        ):  # fmt: skip
            equal(c.error(*request), OOM, " ".join(request))
        if not IS_REDIS:
            for request in (("LOCK", "l", "me", "1000"), ("CAS", "k1", "a", "b"), ("SEQNEXT", "s")):
                equal(c.error(*request), OOM, " ".join(request))
        equal(c("GET", "k1"), b"v" * 1000)
        equal(c("EXISTS", "k1"), 1)
        equal(c("EXPIRE", "k1", 1000), 1)
        equal(c("PERSIST", "k1"), 1)
        equal(c("RENAME", "k1", "k1b"), "OK")
        equal(c("GETDEL", "k2"), b"v" * 1000)
        equal(len(c("SCAN", "0", "COUNT", 10)), 2)
        # A transaction that was queued with such a command is given up.
        c("MULTI")
        equal(c.error("SET", "new", "x"), OOM)
        equal(c.error("EXEC"), "EXECABORT Transaction discarded because of previous errors.")
        # Deleting makes room.
        equal(c("DEL", *[f"k{i}" for i in range(10, 5000)]), 4990)
        wait_for("there is room again", lambda: c.ask("SET", "new", "x") == "OK")
        c("CONFIG", "SET", "maxmemory", 0)
        equal(fill(c, 5000, prefix="more"), 5000)


def check_eviction(policy: str, *options, **server_options) -> None:
    server, limit = limited(policy, **server_options)
    with server.client() as c:
        highest = 0
        for part in range(20):
            equal(fill(c, 2000, 1000, f"p{part}:", *options), 2000, f"writes accepted under {policy}")
            highest = max(highest, used(c))
        count = evicted(c)
        size = c("DBSIZE")
        assert count > 20_000, f"{count} keys were evicted of 40000 that need four times the memory"
        equal(size + count, 40_000, "keys that are there and evicted ones")
        assert highest < limit + SLACK, f"{highest} bytes used with a limit of {limit}"
        assert size > 4000, f"only {size} keys are left"
        # What was evicted is gone from the disk's state as well.
        server.kill()
        server.start()
    with server.client() as c:
        equal(c("DBSIZE"), size)
        c("CONFIG", "SET", "maxmemory", 1)

        def is_empty():
            # A write looks for room; the last one of them may stay.
            c.ask("SET", "x", "y", "EX", 1000)
            return c("DBSIZE") <= 1

        wait_for("everything goes with a limit of one byte", is_empty)


@test
def allkeys_lru():
    check_eviction("allkeys-lru")


@test
def allkeys_random():
    check_eviction("allkeys-random")


@test
def volatile_lru():
    check_eviction("volatile-lru", "EX", 100_000)


@test
def volatile_random():
    check_eviction("volatile-random", "EX", 100_000)


@test
def allkeys_lfu():
    check_eviction("allkeys-lfu")


@test
def volatile_lfu():
    check_eviction("volatile-lfu", "EX", 100_000)


@test
def volatile_ttl():
    check_eviction("volatile-ttl", "EX", 100_000)


@test
def eviction_in_many_partitions():
    check_eviction("allkeys-lru", partitions=8, cores=2)


@test
def lru_keeps_what_is_used():
    server, _ = limited("allkeys-lru", maxmemory_samples=10)
    with server.client() as c:
        hot = [f"hot{i}" for i in range(300)]
        for key in hot:
            c("SET", key, "v" * 1000)
        for part in range(30):
            fill(c, 1000, 1000, f"cold{part}:")
            # Long enough for the clock of accesses to move on.
            until = time.monotonic() + 0.15
            while time.monotonic() < until:
                c.pipeline([("GET", key) for key in hot])
        left = c("EXISTS", *hot)
        assert evicted(c) > 15_000
        assert left > 240, f"only {left} of 300 keys that were read all the time are left"


@test
def lfu_keeps_what_was_used_often():
    """Although everything else was used later."""
    server, _ = limited("allkeys-lfu", maxmemory_samples=10)
    with server.client() as c:
        hot = [f"hot{i}" for i in range(300)]
        for key in hot:
            c("SET", key, "v" * 1000)
        for _ in range(100):
            c.pipeline([("GET", key) for key in hot])
        assert c("OBJECT", "FREQ", "hot0") > 5
        fill(c, 30_000, 1000, "cold")
        left = c("EXISTS", *hot)
        assert evicted(c) > 15_000
        assert left > 240, f"only {left} of 300 keys that were read often are left"


@test
def a_lower_limit_holds_without_writes():
    server, limit = limited("allkeys-lru")
    with server.client() as c:
        equal(fill(c, 8000), 8000)
        equal(evicted(c), 0)
        # Not in a pause, as in Redis. The tick that ends the lease would evict as well.
        assert c("LOCK", "l", "me", 300) > 0
        c("CLIENT", "PAUSE", 600_000, "WRITE")
        c("CONFIG", "SET", "maxmemory", limit - 6 * MIB)
        wait_for("the lock is gone", lambda: c("DBSIZE") <= 8000)
        equal(evicted(c), 0)
        c("CLIENT", "UNPAUSE")
        wait_for("keys are evicted", lambda: used(c) <= limit - 6 * MIB)
        assert evicted(c) > 1000
        equal(c("DBSIZE"), 8000 - evicted(c))


@test
def buffers_of_clients_count():
    server, _ = limited("allkeys-lru")
    with server.client() as c:
        equal(fill(c, 8000), 8000)
        equal(evicted(c), 0)
        started = used(c)
        begun = [server.client() for _ in range(8)]
        for client in begun:
            client.send_raw(b"*2\r\n$3\r\nGET\r\n$2000000\r\n" + b"x" * 1_000_000)
        wait_for("they have sent it", lambda: evicted(c) > 1000)
        for client in begun:
            client.close()
        wait_for("they are gone", lambda: used(c) < started)


@test
def clients_are_evicted_instead_of_keys():
    server, _ = limited("allkeys-lru", maxmemory_clients="3mb", cores=2)
    with server.client() as c:
        equal(c("CLIENT", "NO-EVICT", "ON"), "OK")
        equal(fill(c, 6000), 6000)
        begun = [server.client() for _ in range(20)]
        for client in begun:
            try:
                client.send_raw(b"*2\r\n$3\r\nGET\r\n$2000000\r\n" + b"x" * 500_000)
            except Closed:
                pass  # evicted meanwhile
        wait_for("many are gone", lambda: int(c.info("stats")["evicted_clients"]) > 10)
        equal(evicted(c), 0)
        equal(c("DBSIZE"), 6000)
        assert int(c.info("clients")["connected_clients"]) > 3, "those that fit into the limit are left"
        for client in begun:
            client.close()


@test
def what_is_freed_elsewhere_is_counted():
    server = Server(cores=2, partitions=2)
    with server.client() as c:
        def freed():
            memory = c.info("memory")
            return memory["lazyfree_pending_objects"] == "0" and int(memory["lazyfreed_objects"])

        c("SADD", "large", *range(2000))
        c("SADD", "small", 1, 2, 3)
        c("UNLINK", "large")
        c("DEL", "small")
        wait_for("the large one is freed", lambda: freed() == 1)
        c("CONFIG", "RESETSTAT")
        equal(freed(), 0)
        fill(c, 1000)
        c("FLUSHALL")
        wait_for("all keys are", lambda: freed() == 1000)


@test
def deletions_that_take_long_show_in_latency():
    server = Server(latency_monitor_threshold=1, active_expire_effort=10, hz=1)
    with server.client() as c:
        # 1000 sets of 400 members each, freed at once.
        make = "for i = 1, ARGV[1] do redis.call('sadd', KEYS[1] .. i, unpack(ARGV, 2)) end"
        c("EVAL", make, 1, "{k}", 1000, *[f"member-{i}" for i in range(400)])
        c("LATENCY", "RESET")
        c("EVAL", "for i = 1, 1000 do redis.call('pexpire', KEYS[1] .. i, 1) end", 1, "{k}")

        def events():
            return {event[0].decode() for event in c("LATENCY", "LATEST")}

        wait_for("expiring them was slow", lambda: "expire-cycle" in events())
        wait_for("all are gone", lambda: c("DBSIZE") == 0)
        assert b"active-expire-effort" in c("LATENCY", "DOCTOR")
        assert c("LATENCY", "HISTORY", "expire-cycle")[0][1] >= 1
        c("EVAL", make, 1, "{k}", 1000, *[f"member-{i}" for i in range(400)])
        c("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", used(c) - 12 * MIB)
        wait_for("so was evicting them", lambda: "eviction-cycle" in events())


@test
def ttl_takes_what_expires_first():
    server, _ = limited("volatile-ttl", maxmemory_samples=10)
    with server.client() as c:
        fill(c, 4000, 1000, "late", "EX", 1_000_000)
        fill(c, 4000, 1000, "soon", "EX", 10_000)
        fill(c, 5000, 1000, "later", "EX", 1_000_000)
        late = c("EXISTS", *[f"late{i}" for i in range(4000)])
        soon = c("EXISTS", *[f"soon{i}" for i in range(4000)])
        assert evicted(c) > 1000
        assert soon < late, f"{soon} that expire soon are left, and {late} of the others"


@test
def volatile_leaves_keys_without_expiry():
    for policy in ("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"):
        server, _ = limited(policy)
        with server.client() as c:
            equal(fill(c, 1000, 1000, "stays"), 1000)
            fill(c, 1000, 1000, "goes", "EX", 100_000)
            done = fill(c, 20_000, 1000, "more")
            assert done < 13_000, "nothing can be evicted any more, and still writes are accepted"
            equal(c("EXISTS", *[f"stays{i}" for i in range(1000)]), 1000, f"{policy}: keys without expiry")
            equal(c("EXISTS", *[f"goes{i}" for i in range(1000)]), 0, f"{policy}: keys with expiry")
            equal(c.error("SET", "x", "y"), OOM)


@test
def partitions_that_cannot_evict_have_others_do_it():
    """Locks are never evicted: a partition that holds nothing else makes room in the others."""
    for cores in (1, 2):
        server, limit = limited("allkeys-lru", partitions=2, cores=cores)
        with server.client() as c:
            # {c} is in partition 0 and {a} in partition 1.
            fill(c, 20_000, 1000, "{a}")
            before = evicted(c)
            replies = c.pipeline([("LOCK", f"{{c}}{i:0200}", "owner", 1_000_000) for i in range(4000)])
            equal([r for r in replies if not isinstance(r, int)], [], "refused locks")
            assert evicted(c) > before + 300, f"{evicted(c) - before} keys made room for 4000 locks"
            assert used(c) < limit + SLACK, f"{used(c)} of {limit} bytes"


@test
def refused_when_no_partition_has_anything_to_evict():
    server, _ = limited("volatile-lru", partitions=4, cores=2)
    with server.client() as c:
        equal(fill(c, 1000, 1000, "stays"), 1000)
        fill(c, 1000, 1000, "goes", "EX", 100_000)
        done = fill(c, 20_000, 1000, "more")
        assert done < 13_000, "nothing can be evicted any more, and still writes are accepted"
        equal(c("EXISTS", *[f"stays{i}" for i in range(1000)]), 1000, "keys without expiry")
        equal(c("EXISTS", *[f"goes{i}" for i in range(1000)]), 0, "keys with expiry")
        for i in range(20):
            equal(c.error("SET", f"x{i}", "y"), OOM)


@test
def P43_too_little_free_space_on_the_disk():
    """Writes are refused before the log would fail; reads, and what frees space, go on."""
    server = Server()
    with server.client() as c:
        equal(fill(c, 1000), 1000)
    server.restart(disk_reserve_bytes="1000000gb")
    with server.client() as c:
        for request in (("SET", "x", "y"), ("INCR", "n"), ("LOCK", "l", "me", "1000"), ("MSET", "a", "1", "b", "2")):
            assert c.error(*request).startswith("MISCONF "), request
        c("MULTI")
        c.ask("SET", "x", "y")
        assert str(c.ask("EXEC")).startswith(("MISCONF", "EXECABORT")), "a transaction with a write"
        equal(c("GET", "k1"), b"v" * 1000)
        equal(c("DBSIZE"), 1000)
        equal(c("EXISTS", "x", "n", "l", "a", "b"), 0)
        equal(c("PING"), "PONG")
    server.restart(disk_reserve_bytes="1mb")
    with server.client() as c:
        equal(c("SET", "x", "y"), "OK")
        equal(c("DBSIZE"), 1001)


def small_disk_server(**options) -> Server:
    return Server(**{"wal_segment_bytes": "1mb", "flush_interval_ms": 50, **options})


def write_values(c, count: int, size: int, prefix="big") -> None:
    for start in range(0, count, 50):
        part = range(start, min(start + 50, count))
        equal(c.pipeline([("SET", f"{prefix}{i}", random.randbytes(size)) for i in part]), ["OK"] * len(part))


def check_disk_returns(server: Server, what: str, limit: int) -> None:
    with server.client() as c:
        equal(c("SAVE"), "OK")

        def small():
            # Some writes, so that the log moves on; LevelDB compacts when it is written.
            c("SET", "tick", random.randbytes(1000))
            return server.disk_bytes() < limit

        wait_for(f"{what}: {server.disk_bytes()} bytes fall below {limit}", small, 60)


@test
def P35_disk_use_returns_after_flushall():
    server = small_disk_server()
    with server.client() as c:
        write_values(c, 600, 100_000)
        c("SAVE")
        before = server.disk_bytes()
        assert before > 40 * MIB, f"{before} bytes on disk of 60 MB of random values"
        equal(c("FLUSHALL"), "OK")
    check_disk_returns(server, "after FLUSHALL", 12 * MIB)
    server.restart()
    with server.client() as c:
        equal(c("DBSIZE"), 1)


@test
def P35_disk_use_returns_after_deletes():
    server = small_disk_server(partitions=4, cores=2)
    with server.client() as c:
        write_values(c, 600, 100_000)
        c("SAVE")
        assert server.disk_bytes() > 40 * MIB
        equal(c("DEL", *[f"big{i}" for i in range(600)]), 600)
    check_disk_returns(server, "after DEL of everything", 20 * MIB)


@test
def P35_disk_use_returns_after_expiry():
    server = small_disk_server()
    with server.client() as c:
        write_values(c, 400, 100_000)
        for i in range(400):
            c.send("PEXPIRE", f"big{i}", 300)
        equal(c.read_n(400), [1] * 400)
        wait_for("they expire", lambda: c("DBSIZE") <= 1)
    check_disk_returns(server, "after expiry", 12 * MIB)


# Of each type: how an element is added, and what takes all of them out again, one record each.
COLLECTIONS = {
    "hash": (lambda key, i, value: ["HSET", key, i, value], lambda key, n: ["HDEL", key, *range(n)]),
    "set": (lambda key, i, value: ["SADD", key, value], lambda key, n: ["SPOP", key, n]),
    "list": (lambda key, i, value: ["RPUSH", key, value], lambda key, n: ["LPOP", key, n]),
    "zset": (lambda key, i, value: ["ZADD", key, i, value], lambda key, n: ["ZPOPMIN", key, n]),
    "stream": (lambda key, i, value: ["XADD", key, f"{i + 1}-0", "f", value], lambda key, n: ["XTRIM", key, "MAXLEN", 0]),
}  # fmt: skip


@test
def P35_disk_use_returns_from_collections_of_every_type():
    server = small_disk_server(cores=1)
    elements = 3000
    with server.client() as c:
        for _ in range(2):
            for kind, (add, _) in COLLECTIONS.items():
                for key in (f"{kind}-deleted", f"{kind}-emptied"):
                    c.pipeline([add(key, i, random.randbytes(1000)) for i in range(elements)])
                equal(c("COPY", f"{kind}-deleted", f"{kind}-copied"), 1)
            c("SAVE")
            assert server.disk_bytes() > 35 * MIB
            for kind, (_, empty) in COLLECTIONS.items():
                equal(c("DEL", f"{kind}-deleted", f"{kind}-copied"), 2)
                c(*empty(f"{kind}-emptied", elements))
            c("DEL", "stream-emptied")  # a stream may be empty
            assert c("DBSIZE") <= 1
            check_disk_returns(server, "after all elements went", 14 * MIB)


@test
def overwriting_does_not_fill_the_disk():
    server = small_disk_server()
    with server.client() as c:
        highest = 0
        for _ in range(20):
            write_values(c, 100, 100_000, "same")
            highest = max(highest, server.disk_bytes())
    check_disk_returns(server, "after overwriting 10 MB twenty times", 45 * MIB)


@test
def memory_returns_after_flushall():
    server = Server()
    with server.client() as c:
        before = used(c)
        for _ in range(3):
            fill(c, 30_000)
            high = used(c)
            assert high > before + 25 * MIB, f"{high} bytes used with 30 MB of values, {before} before"
            c("FLUSHALL")
            wait_for("memory returns", lambda: used(c) < before + 6 * MIB)


@test
def resident_memory_returns_by_itself():
    """An idle server gives its pages back: nobody allocates, so the allocator has to have a thread."""
    if SANITIZER:
        return  # another allocator
    server = Server()
    with server.client() as c:
        before = server.memory_kb()
        fill(c, 100_000)
        c("SAVE")
        high = server.memory_kb()
        assert high > before + 100_000, f"{high} kB of memory with 100 MB of values, {before} before"
        c("FLUSHALL")
    # What stays are LevelDB's buffers and cache.
    wait_for("resident memory returns", lambda: server.memory_kb() < before + 90_000, 60)


@test
def writes_go_on_beside_eviction():
    """Several clients at the limit: nobody hangs, nobody is refused."""
    server, limit = limited("allkeys-lru", partitions=4, cores=2)
    failures = []

    def write(number: int):
        try:
            with server.client() as c:
                equal(fill(c, 6000, 1000, f"w{number}:"), 6000)
        except Exception as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 * SLOWNESS)
        assert not thread.is_alive(), "a writer hangs"
    equal(failures, [])
    with server.client() as c:
        assert used(c) < limit + SLACK, f"{used(c)} of {limit} bytes"


main()
