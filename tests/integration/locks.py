#!/usr/bin/env python3
"""Locks: who gets one, with which token, in which order, and what ends a wait."""

# also under: asan tsan

import random
import time

from harness import SLOWNESS, Client, Server, equal, main, scaled, test, wait_for
from resp import encode

MINUTE_MS = 60_000
NOT_OWNER = "NOTOWNER the lock is held by another owner"
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def info(client: Client, name: str) -> dict | None:
    reply = client("LOCKINFO", name)
    return reply if reply is None else dict(zip(reply[::2], reply[1::2]))


def wait_for_waiters(client: Client, name: str, count: int) -> None:
    wait_for(f"{count} wait for {name}", lambda: (info(client, name) or {}).get(b"waiters") == count)


# --- One client ---------------------------------------------------------------------------------


@test
def taking_and_giving_back():
    with Server().client() as c:
        token = c("LOCK", "name", "me", MINUTE_MS)
        assert isinstance(token, int) and 0 < token < 2**53, token
        equal(c("LOCK", "name", "other", MINUTE_MS), None)
        equal(c("UNLOCK", "name", "other"), 0)
        equal(c("UNLOCK", "name", "me"), 1)
        equal(c("UNLOCK", "name", "me"), 0)
        following = c("LOCK", "name", "other", MINUTE_MS)
        assert following > token, f"token {following} after {token}"
        equal(c("DEL", "name"), 1)
        equal(info(c, "name"), None)
        assert c("LOCK", "name", "me", MINUTE_MS) > following
        # Tokens of another lock rise, too: they are revisions.
        equal(c("UNLOCK", "nothing", "me"), 0)


@test
def a_retried_lock_keeps_its_token_and_at_least_its_lease():
    with Server().client() as c:
        token = c("LOCK", "name", "me", MINUTE_MS)
        equal(c("LOCK", "name", "me", 1000), token)
        assert c("PTTL", "name") > 50_000, "a retried LOCK made the lease shorter"
        equal(c("LOCK", "name", "me", 10 * MINUTE_MS), token)
        assert c("PTTL", "name") > 9 * MINUTE_MS, "a retried LOCK didn't get its lease"
        equal(info(c, "name")[b"token"], token)


@test
def lockinfo():
    server = Server()
    with server.client() as c, server.client(resp=3) as three:
        equal(info(c, "name"), None)
        equal(three("LOCKINFO", "name"), None)
        token = c("LOCK", "name", b"\x00\r\nme", MINUTE_MS)
        found = info(c, "name")
        equal(list(found), [b"owner", b"token", b"remaining-ms", b"waiters"])
        equal((found[b"owner"], found[b"token"], found[b"waiters"]), (b"\x00\r\nme", token, 0))
        assert 50_000 < found[b"remaining-ms"] <= MINUTE_MS, found
        assert isinstance(three("LOCKINFO", "name"), dict)
        equal(three("LOCKINFO", "name")[b"token"], token)


@test
def extend():
    with Server().client() as c:
        token = c("LOCK", "name", "me", MINUTE_MS)
        equal(c("EXTEND", "name", 5 * MINUTE_MS, "OWNER", "me"), [1, token])
        assert c("PTTL", "name") > 4 * MINUTE_MS
        # Its owner may also make it shorter.
        equal(c("EXTEND", "name", MINUTE_MS, "OWNER", "me"), [1, token])
        assert c("PTTL", "name") <= MINUTE_MS
        equal(c.error("EXTEND", "name", MINUTE_MS, "OWNER", "other"), NOT_OWNER)
        assert c.error("EXTEND", "name", MINUTE_MS).startswith(("NOTOWNER", "ERR")), "a lock needs its owner"
        equal(c("EXTEND", "missing", MINUTE_MS, "OWNER", "me")[0], 0)
        equal(info(c, "name")[b"token"], token)
        # A string has no owner.
        c("SET", "string", "x")
        revision = c("GETREV", "string")[1]
        equal(c("EXTEND", "string", MINUTE_MS), [1, revision])
        assert 0 < c("PTTL", "string") <= MINUTE_MS
        equal(c("GETREV", "string")[1], revision)


@test
def a_lock_is_a_key():
    with Server().client() as c:
        c("LOCK", "name", "me", MINUTE_MS)
        equal(c("TYPE", "name"), "lock")
        equal(c("EXISTS", "name"), 1)
        equal(c("SCAN", "0"), [b"0", [b"name"]])
        equal(c("SCAN", "0", "TYPE", "lock"), [b"0", [b"name"]])
        equal(c("DBSIZE"), 1)
        assert 50_000 < c("PTTL", "name") <= MINUTE_MS
        for request in (
            ("SET", "name", "x"), ("GET", "name"), ("APPEND", "name", "x"), ("INCR", "name"),
            ("CAS", "name", "me", "x"), ("SEQNEXT", "name"), ("SETBIT", "name", "1", "1"),
            ("RENAME", "name", "other"), ("COPY", "name", "other"), ("EXPIRE", "name", "1"), ("PERSIST", "name"),
        ):  # fmt: skip
            equal(c.error(*request), WRONG_TYPE, " ".join(request))
        equal(c("EXISTS", "other"), 0)
        c("SET", "string", "x")
        for request in (("LOCK", "string", "me", "1000"), ("UNLOCK", "string", "me"), ("LOCKINFO", "string")):
            equal(c.error(*request), WRONG_TYPE, " ".join(request))
        # In another database the name is free.
        c("SELECT", 1)
        assert isinstance(c("LOCK", "name", "other", MINUTE_MS), int)
        c("FLUSHDB")
        c("SELECT", 0)
        equal(info(c, "name")[b"owner"], b"me")


@test
def bad_arguments():
    with Server().client() as c:
        for request in (
            ("LOCK", "name", "me"), ("LOCK", "name", "me", "x"), ("LOCK", "name", "me", "0"),
            ("LOCK", "name", "me", "-1"), ("LOCK", "name", "me", "1.5"), ("LOCK", "name", "me", str(2**63)),
            ("LOCK", "name", "me", str(2**63 - 1)), ("LOCK", "name", "", "1000"),
            ("LOCK", "name", "me", "1000", "WAIT"), ("LOCK", "name", "me", "1000", "WAIT", "x"),
            ("LOCK", "name", "me", "1000", "WAIT", "-1"), ("LOCK", "name", "me", "1000", "WAIT", str(2**63 - 1)),
            ("LOCK", "name", "me", "1000", "STAY", "5"), ("LOCK", "name", "o" * 100_000, "1000"),
            ("UNLOCK", "name"), ("UNLOCK", "name", ""), ("LOCKINFO",), ("EXTEND", "name"),
            ("EXTEND", "name", "0", "OWNER", "me"), ("EXTEND", "name", "x"),
        ):  # fmt: skip
            assert c.error(*request).startswith("ERR "), request
        equal(c("DBSIZE"), 0)


@test
def fence():
    """A writer that lost its lock is refused once a later one has written."""
    with Server().client() as c:
        first = c("LOCK", "name", "a", MINUTE_MS)
        equal(c("SET", "data", "from a", "FENCE", first), "OK")
        c("UNLOCK", "name", "a")
        second = c("LOCK", "name", "b", MINUTE_MS)
        equal(c("SET", "data", "still a", "FENCE", first), "OK", "no higher token has written yet")
        equal(c("SET", "data", "from b", "FENCE", second), "OK")
        assert c.error("SET", "data", "late a", "FENCE", first).startswith("FENCED ")
        equal(c("GET", "data"), b"from b")
        equal(c("SET", "data", "again b", "FENCE", second), "OK")
        assert c.error("SET", "data", "x", "FENCE", "abc").startswith("ERR ")
        assert c.error("SET", "data", "x", "FENCE", "-1").startswith("ERR ")
        equal(c("GET", "data"), b"again b")


@test
def fence_survives_a_crash():
    server = Server(flush_interval_ms=3_600_000)
    with server.client() as c:
        first = c("LOCK", "name", "a", MINUTE_MS)
        c("DEL", "name")
        second = c("LOCK", "name", "b", MINUTE_MS)
        c("SET", "data", "b", "FENCE", second)
        c("SAVE")
        c("SET", "other", "b", "FENCE", second)
    server.kill()
    server.start()
    with server.client() as c:
        for key in ("data", "other"):
            assert c.error("SET", key, "a", "FENCE", first).startswith("FENCED ")
            equal(c("SET", key, "b again", "FENCE", second), "OK")


# --- Waiting ------------------------------------------------------------------------------------


@test
def first_come_first_served():
    server = Server()
    count = 30
    with server.client() as c:
        c("LOCK", "name", "holder", MINUTE_MS)
        waiters = []
        for i in range(count):
            waiter = server.client()
            waiter.send("LOCK", "name", f"waiter{i}", MINUTE_MS, "WAIT", MINUTE_MS)
            waiters.append(waiter)
            wait_for_waiters(c, "name", i + 1)
        equal(c.info("clients")["blocked_clients"], str(count))
        last_token = info(c, "name")[b"token"]
        c("UNLOCK", "name", "holder")
        for i, waiter in enumerate(waiters):
            token = waiter.read()
            assert token > last_token, f"waiter {i} got {token} after {last_token}"
            last_token = token
            found = info(c, "name")
            equal((found[b"owner"], found[b"token"], found[b"waiters"]), (b"waiter%d" % i, token, count - 1 - i))
            # One who comes now and doesn't wait gets nothing.
            equal(c("LOCK", "name", "newcomer", MINUTE_MS), None)
            equal(waiter("UNLOCK", "name", f"waiter{i}"), 1)
            waiter.close()
        equal(info(c, "name"), None)
        equal(c.info("clients")["blocked_clients"], "0")


@test
def a_wait_ends_in_time():
    server = Server()
    with server.client() as c, server.client() as waiter:
        c("LOCK", "name", "holder", MINUTE_MS)
        started = time.monotonic()
        equal(waiter("LOCK", "name", "me", MINUTE_MS, "WAIT", 300), None)
        took = time.monotonic() - started
        assert 0.29 < took < 5 * SLOWNESS, f"WAIT 300 took {took:.3f} s"
        equal(info(c, "name")[b"waiters"], 0)
        equal(waiter("LOCK", "name", "me", MINUTE_MS, "WAIT", 0), None)
        equal(waiter("PING"), "PONG")


@test
def requests_behind_a_wait_stay_in_order():
    server = Server()
    with server.client() as c, server.client() as waiter:
        token = c("LOCK", "name", "holder", MINUTE_MS)
        waiter.send_raw(
            encode("SET", "k", "before") + encode("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS)
            + encode("SET", "k", "after") + encode("GET", "k")
        )  # fmt: skip
        equal(waiter.read(), "OK")
        wait_for_waiters(c, "name", 1)
        assert waiter.is_silent(0.1)
        equal(c("GET", "k"), b"before", "requests behind a waiting one aren't executed")
        c("UNLOCK", "name", "holder")
        granted, *others = waiter.read_n(3)
        assert granted > token
        equal(others, ["OK", b"after"])


@test
def a_waiter_that_disconnects_is_passed_over():
    server = Server()
    with server.client() as c:
        c("LOCK", "name", "holder", MINUTE_MS)
        waiters = []
        for i in range(9):
            waiter = server.client()
            waiter.send("LOCK", "name", f"waiter{i}", MINUTE_MS, "WAIT", MINUTE_MS)
            waiters.append(waiter)
            wait_for_waiters(c, "name", i + 1)
        for i in (0, 3, 4, 8):
            waiters[i].close()
        wait_for_waiters(c, "name", 5)
        c("UNLOCK", "name", "holder")
        for i in (1, 2, 5, 6, 7):
            assert isinstance(waiters[i].read(), int)
            equal(info(c, "name")[b"owner"], b"waiter%d" % i)
            equal(waiters[i]("UNLOCK", "name", f"waiter{i}"), 1)
            waiters[i].close()
        equal(info(c, "name"), None, "a client that is gone got the lock")


@test
def a_disconnected_owner_keeps_its_lease():
    server = Server()
    with server.client() as c:
        with server.client() as owner:
            owner("LOCK", "name", "owner", 700)
        started = time.monotonic()
        with server.client() as waiter:
            assert isinstance(waiter("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS), int)
        assert time.monotonic() - started > 0.4, "the lease ended with the connection"
        equal(info(c, "name")[b"owner"], b"me")


@test
def an_expired_lease_goes_to_the_next_in_line():
    server = Server()
    with server.client() as c:
        previous = c("LOCK", "name", "holder", 200)
        started = time.monotonic()
        waiters = []
        for i in range(3):
            waiter = server.client()
            waiter.send("LOCK", "name", f"waiter{i}", 200, "WAIT", MINUTE_MS)
            waiters.append(waiter)
            # The first lease may end meanwhile; that all are in line is what counts.
            wait_for("it waits or has it", lambda i=i: info(c, "name") and c.info("clients") and True)
        got = []
        for waiter in waiters:
            token = waiter.read()
            got.append(token)
            assert token > previous
            previous = token
        took = time.monotonic() - started
        assert took > 0.55, f"three leases of 200 ms were over in {took:.3f} s"
        assert took < 10 * SLOWNESS, f"nobody noticed an expired lease for {took:.1f} s"
        # Who let its lease end is told so.
        wait_for("the last lease ends", lambda: info(c, "name") is None)
        equal(waiters[0]("UNLOCK", "name", "waiter0"), 0)
        for waiter in waiters:
            waiter.close()


@test
def a_lease_never_ends_early():
    server = Server()
    with server.client() as c:
        for lease in (50, 120, 333):
            started = time.monotonic()
            c("LOCK", "name", "holder", lease)
            wait_for("it ends", lambda: c("LOCK", "name", "other", MINUTE_MS) is not None)
            took = (time.monotonic() - started) * 1000
            assert took >= lease, f"a lease of {lease} ms ended after {took:.1f} ms"
            equal(c("UNLOCK", "name", "other"), 1)


@test
def client_unblock():
    server = Server()
    with server.client() as c, server.client() as waiter:
        number = waiter("CLIENT", "ID")
        c("LOCK", "name", "holder", MINUTE_MS)
        waiter.send("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS)
        wait_for_waiters(c, "name", 1)
        equal(c("CLIENT", "UNBLOCK", number), 1)
        equal(waiter.read(), None)
        waiter.send("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS)
        wait_for_waiters(c, "name", 1)
        equal(c("CLIENT", "UNBLOCK", number, "ERROR"), 1)
        equal(str(waiter.read()), "UNBLOCKED client unblocked via CLIENT UNBLOCK")
        equal(c("CLIENT", "UNBLOCK", number), 0)
        equal(info(c, "name")[b"waiters"], 0)
        # And killed while it waits.
        waiter.send("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS)
        wait_for_waiters(c, "name", 1)
        equal(c("CLIENT", "KILL", "ID", number), 1)
        equal(waiter.wait_closed(), [])
        wait_for_waiters(c, "name", 0)


@test
def every_way_to_free_a_lock_wakes_the_next():
    server = Server()
    for free in (
        [("UNLOCK", "name", "holder")],
        [("DEL", "name")],
        [("UNLINK", "name")],
        [("FLUSHDB",)],
        [("FLUSHALL",)],
        [("EXTEND", "name", "1", "OWNER", "holder")],
        [("MULTI",), ("UNLOCK", "name", "holder"), ("EXEC",)],
        [("SWAPDB", "0", "1")],
    ):
        with server.client() as c, server.client() as waiter:
            c("FLUSHALL")
            c("LOCK", "name", "holder", MINUTE_MS)
            waiter.send("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS)
            wait_for_waiters(c, "name", 1)
            for request in free:
                c(*request)
            try:
                assert isinstance(waiter.read(10 * SLOWNESS), int)
            except TimeoutError:
                raise AssertionError(f"{free} didn't wake the waiter") from None
            equal(info(c, "name")[b"owner"], b"me", f"after {free}")


@test
def the_wait_of_the_same_owner():
    """An owner that asks again while it holds the lock doesn't wait for itself; two connections of
    one owner that wait get one grant."""
    server = Server()
    with server.client() as c, server.client() as a, server.client() as b:
        token = c("LOCK", "name", "me", MINUTE_MS)
        equal(a("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS), token)
        c("UNLOCK", "name", "me")
        c("LOCK", "name", "holder", MINUTE_MS)
        for i, waiter in enumerate((a, b)):
            waiter.send("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS)
            wait_for_waiters(c, "name", i + 1)
        c("UNLOCK", "name", "holder")
        first = a.read()
        assert first > token
        equal(b.read(), first)


@test
def no_wait_inside_multi():
    server = Server()
    with server.client() as c, server.client() as other:
        c("LOCK", "name", "holder", MINUTE_MS)
        started = time.monotonic()
        equal(other("MULTI"), "OK")
        equal(other("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS), "QUEUED")
        equal(other("SET", "k", "1"), "QUEUED")
        equal(other("EXEC"), [None, "OK"])
        assert time.monotonic() - started < 10 * SLOWNESS
        c("UNLOCK", "name", "holder")
        replies = other.pipeline([("MULTI",), ("LOCK", "name", "me", MINUTE_MS, "WAIT", MINUTE_MS), ("EXEC",)])
        assert isinstance(replies[2][0], int), replies


@test
def watch_sees_a_lock_change():
    server = Server()
    with server.client() as c, server.client() as other:
        c("WATCH", "name")
        other("LOCK", "name", "other", MINUTE_MS)
        equal(c.pipeline([("MULTI",), ("SET", "k", "1"), ("EXEC",)])[2], None)


# --- Restarts -----------------------------------------------------------------------------------


@test
def P33_a_lease_starts_again_at_its_full_length():
    server = Server(flush_interval_ms=3_600_000)
    lease = 1500 * SLOWNESS
    with server.client() as c:
        token = c("LOCK", "name", "me", lease)
        # Shorter is not what was granted.
        longer = c("LOCK", "longer", "me", 1000)
        equal(c("LOCK", "longer", "me", MINUTE_MS), longer)
        wait_for("a third of it is over", lambda: c("PTTL", "name") < lease * 2 / 3)
    for end in (server.kill, server.terminate):
        end()
        server.start()
        ready = time.monotonic()
        with server.client() as c:
            found = info(c, "name")
            passed = (time.monotonic() - ready) * 1000
            equal((found[b"owner"], found[b"token"]), (b"me", token))
            # Ready is noticed a little later than the lease begins anew.
            low = lease - passed - 1000 * SLOWNESS
            assert low < found[b"remaining-ms"] <= lease, f"{found[b'remaining-ms']} ms are left of {lease}"
            equal(c("LOCK", "name", "other", 1000), None)
            equal(c("LOCK", "name", "me", 1), token, "the owner finds its grant")
            equal(info(c, "longer")[b"token"], longer)
            assert info(c, "longer")[b"remaining-ms"] > MINUTE_MS / 2
    with server.client() as c:
        following = c("LOCK", "name", "other", MINUTE_MS, "WAIT", MINUTE_MS)
        assert following > token, "P32: a token went back"


@test
def P32_tokens_rise_over_crashes():
    server = Server()
    last = 0
    for i in range(scaled(8)):
        with server.client() as c:
            for _ in range(5):
                token = c("LOCK", "name", f"owner{i}", MINUTE_MS)
                assert token is not None and token > last, f"token {token} after {last}"
                last = token
                equal(c("UNLOCK", "name", f"owner{i}"), 1)
        server.kill()
        server.start()


# --- Several cores ------------------------------------------------------------------------------


@test
def waiting_across_cores():
    """Connections and locks are spread over the cores, so that most waits cross."""
    server = Server(partitions=8, cores=2)
    names = [f"lock:{i}" for i in range(16)]
    with server.client() as c:
        for name in names:
            c("LOCK", name, "holder", MINUTE_MS)
        waiters = {name: [server.client() for _ in range(3)] for name in names}
        for i in range(3):
            for name in names:
                waiters[name][i].send("LOCK", name, f"w{i}", MINUTE_MS, "WAIT", MINUTE_MS)
            for name in names:
                wait_for_waiters(c, name, i + 1)
        equal(c.info("clients")["blocked_clients"], "48")
        # One of each line leaves.
        for name in names:
            waiters[name][1].close()
            wait_for_waiters(c, name, 2)
        for name in names:
            c("UNLOCK", name, "holder")
        for i in (0, 2):
            for name in names:
                token = waiters[name][i].read()
                found = info(c, name)
                equal((found[b"owner"], found[b"token"]), (b"w%d" % i, token))
                equal(waiters[name][i]("UNLOCK", name, f"w{i}"), 1)
                waiters[name][i].close()
        equal(c.info("clients")["blocked_clients"], "0")


@test
def mutual_exclusion_under_load():
    """Many clients fight for few locks; inside each lock a plain read and write must not be lost."""
    server = Server(partitions=8, cores=2)
    names = [f"lock{i}" for i in range(3)]
    clients = [server.client() for _ in range(12)]
    rounds = scaled(60)
    done = {name: 0 for name in names}
    last_token = {name: 0 for name in names}
    # Each client is a small state machine: all are under way at the same time.
    state = {}
    for i, client in enumerate(clients):
        name = names[i % len(names)]
        state[i] = (name, 0)
        client.send("LOCK", name, f"owner{i}", MINUTE_MS, "WAIT", MINUTE_MS)
    active = set(state)
    while active:
        i = random.choice(sorted(active))
        client, (name, turns) = clients[i], state[i]
        try:
            token = client.read(0.001)
        except TimeoutError:
            continue
        assert token > last_token[name], f"token {token} after {last_token[name]} of {name}"
        last_token[name] = token
        value = int(client("GET", f"counter:{name}") or 0)
        equal(client("SET", f"counter:{name}", value + 1, "FENCE", token), "OK")
        done[name] += 1
        equal(client("UNLOCK", name, f"owner{i}"), 1)
        turns += 1
        state[i] = (name, turns)
        if turns == rounds // 6 + 1:
            active.remove(i)
        else:
            client.send("LOCK", name, f"owner{i}", MINUTE_MS, "WAIT", MINUTE_MS)
    for name in names:
        equal(int(clients[0]("GET", f"counter:{name}")), done[name])
    for client in clients:
        client.close()


main()
