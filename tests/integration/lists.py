#!/usr/bin/env python3
"""Lists: every command against a list, with restarts and failovers in between; those that wait."""

# also under: asan tsan

import threading

import nodes
from harness import Server, equal, main, scaled, test, wait_for
from models import Model, check_cold, check_with_failovers, check_with_kills
from resp import Client, Closed, ReplyError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Lists(Model):
    kinds = ("push", "push", "push", "pop", "lset", "linsert", "lrem", "ltrim", "move", "reads", "delete", "copy")
    empty: list[bytes] = []

    def item(self) -> bytes:
        return self.random.choice((b"a", b"b", b"c", self.random.randbytes(self.random.choice((0, 3, 70)))))

    def push(self, client, key, value):
        items = [self.item() for _ in range(self.random.randint(1, 40))]
        name = self.random.choice(("LPUSH", "RPUSH", "LPUSHX", "RPUSHX"))
        after = items[::-1] + value if name[0] == "L" else value + items
        if name[-1] == "X" and not value:
            after = []
        equal(client(name, key, *items), len(after))
        self.keep(key, after)

    def pop(self, client, key, value):
        count = self.random.randint(1, 30)
        if self.random.random() < 0.5:
            popped, rest = value[:count], value[count:]
            equal(client("LPOP", key, count), popped or None)
        else:
            popped, rest = value[-count:][::-1], value[:-count]
            equal(client("RPOP", key, count), popped or None)
        self.keep(key, rest)

    def lset(self, client, key, value):
        if not value:
            return
        index, item = self.random.randrange(-len(value), len(value)), self.item()
        equal(client("LSET", key, index, item), "OK")
        after = value.copy()
        after[index] = item
        self.keep(key, after)

    def linsert(self, client, key, value):
        pivot, item, where = self.item(), self.item(), self.random.choice(("BEFORE", "AFTER"))
        after = value.copy()
        if pivot in value:
            after.insert(value.index(pivot) + (where == "AFTER"), item)
        equal(client("LINSERT", key, where, pivot, item), (len(after) if pivot in value else -1) if value else 0)
        self.keep(key, after)

    def lrem(self, client, key, value):
        item, count = self.item(), self.random.randint(-3, 3)
        after = value[::-1] if count < 0 else value.copy()
        removed = 0
        while item in after and (count == 0 or removed < abs(count)):
            after.remove(item)
            removed += 1
        equal(client("LREM", key, count, item), removed)
        self.keep(key, after[::-1] if count < 0 else after)

    def ltrim(self, client, key, value):
        if len(value) < 60:
            return
        first, last = self.random.randint(0, 5), self.random.randint(20, 50)
        equal(client("LTRIM", key, first, last), "OK")
        self.keep(key, value[first : last + 1])

    def move(self, client, key, value):
        other = self.random.choice(self.keys)
        source, target = self.random.choice(("LEFT", "RIGHT")), self.random.choice(("LEFT", "RIGHT"))
        words = ("LMOVE", key, other, source, target)
        if self.random.random() < 0.5:
            words = ("BLMOVE", *words[1:], "0.001")
        if not value:
            equal(client(*words), None)
            return
        item, rest = (value[0], value[1:]) if source == "LEFT" else (value[-1], value[:-1])
        equal(client(*words), item)
        self.keep(key, rest)
        onto = self.values.get(other, self.empty)
        self.keep(other, [item] + onto if target == "LEFT" else onto + [item])

    def reads(self, client, key, value):
        first, last = self.random.randint(0, 20), self.random.randint(0, 40)
        equal(client("LLEN", key), len(value))
        equal(client("LRANGE", key, first, last), value[first : last + 1])
        equal(client("LINDEX", key, first), value[first] if first < len(value) else None)
        item = self.item()
        equal(client("LPOS", key, item, "COUNT", 0), [i for i, each in enumerate(value) if each == item])

    def check_key(self, client, key, value):
        equal(client("LRANGE", key, 0, -1), value, key)


@test
def every_command_against_a_list_with_kills_in_between():
    check_with_kills(Lists)


@test
def uncommitted_changes_are_forgotten_and_committed_ones_are_not():
    check_with_failovers(Lists)


@test
def values_leave_memory_and_come_back():
    check_cold(Lists)


def blocked(server: Server) -> int:
    with server.client() as client:
        return int(client.info("clients")["blocked_clients"])


def waiting(server: Server, *words, count: int = 1, **options) -> Client:
    """A client that waits with this request, as the one of this number."""
    client = server.client(**options)
    client.send(*words)
    wait_for(f"{count} wait", lambda: blocked(server) == count)
    return client


@test
def those_who_wait_are_served_in_the_order_of_their_arrival():
    server = Server()
    clients = [waiting(server, "BLPOP", "a", "b", 0, count=i + 1) for i in range(4)]
    clients.append(waiting(server, "BRPOP", "b", 0, count=5))
    with server.client() as c:
        equal(c("RPUSH", "b", "1", "2"), 2)
        equal(c("LLEN", "b"), 0)
        equal([client.read() for client in clients[:2]], [[b"b", b"1"], [b"b", b"2"]])
        equal(c("MULTI"), "OK")
        c("RPUSH", "a", "x")
        c("RPUSH", "a", "y")
        equal(c("EXEC"), [1, 2])
        # The transaction is over before anybody is served; a key with what was pushed last is no reason to jump the line.
        equal([client.read() for client in clients[2:4]], [[b"a", b"x"], [b"a", b"y"]])
        c("RPUSH", "b", "last")
        equal(clients[4].read(), [b"b", b"last"])
        equal(blocked(server), 0)
        equal(c("DBSIZE"), 0)


@test
def one_that_is_of_no_use_keeps_nobody_waiting():
    server = Server()
    with server.client() as c:
        c("SET", "string", "x")
        # The target of the first is wrong: it is told so, and the item goes to the next one.
        first = waiting(server, "BLMOVE", "a", "string", "LEFT", "LEFT", 0)
        second = waiting(server, "BLPOP", "a", 0, count=2)
        c("RPUSH", "a", "1")
        equal(str(first.read()), WRONG_TYPE)
        equal(second.read(), [b"a", b"1"])
        # What another type comes to be leaves them waiting.
        third = waiting(server, "BLPOP", "a", 0)
        c("SADD", "a", "member")
        equal(blocked(server), 1)
        c("DEL", "a")
        c("RPUSH", "a", "2")
        equal(third.read(), [b"a", b"2"])


@test
def a_moved_item_wakes_who_waits_for_its_target():
    server = Server()
    mover = waiting(server, "BRPOPLPUSH", "a", "b", 0)
    last = waiting(server, "BLMPOP", 0, 2, "c", "b", "RIGHT", "COUNT", 5, count=2)
    with server.client() as c:
        equal(c("RPUSH", "a", "x"), 1)
        equal(mover.read(), b"x")
        equal(last.read(), [b"b", [b"x"]])
        equal(c("DBSIZE"), 0)
        renamed = waiting(server, "BLPOP", "new", 0)
        c("RPUSH", "old", "1")
        c("RENAME", "old", "new")
        equal(renamed.read(), [b"new", b"1"])
        swapped = waiting(server, "BLPOP", "k", 0, db=1)
        c("RPUSH", "k", "1")
        c("SWAPDB", 0, 1)
        equal(swapped.read(), [b"k", b"1"])


@test
def a_list_that_has_expired_wakes_nobody():
    server = Server()
    with server.client() as c, server.client(db=1) as other:
        c("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        end = other("TIME")
        other("RPUSH", "k", "old")
        other("PEXPIREAT", "k", int(end[0]) * 1000 + 1500)
        waiter = waiting(server, "BRPOP", "k", 0)
        wait_for("its time is over", lambda: int(c("TIME")[0]) >= int(end[0]) + 2)
        c("SWAPDB", 0, 1)
        equal(blocked(server), 1)
        c("RPUSH", "k", "new")
        equal(waiter.read(), [b"k", b"new"])


@test
def waiting_ends_by_time_or_by_others():
    server = Server()
    with server.client() as two, server.client(resp=3) as three:
        equal(two("BLPOP", "a", "b", "0.01"), None)
        equal(three("BLMOVE", "a", "b", "LEFT", "LEFT", "0.01"), None)
        for text in ("x", "1x", "nan", ""):
            equal(two.error("BLPOP", "a", text), "ERR timeout is not a float or out of range")
        equal(two.error("BLPOP", "a", "-1"), "ERR timeout is negative")
        equal(two.error("BRPOP", "a", "1e300"), "ERR timeout is out of range")
        equal(two.error("BLMPOP", "0", "0", "a", "LEFT"), "ERR numkeys should be greater than 0")
        equal(two.error("BLMPOP", "0", "1", "a", "UP"), "ERR syntax error")
        equal(two.error("BLMPOP", "0", "1", "a", "LEFT", "COUNT", "0"), "ERR count should be greater than 0")
        client = server.client()
        id = client("CLIENT", "ID")
        for how, answer in (("TIMEOUT", None), ("ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK")):
            client.send("BLPOP", "a", 0)
            wait_for("it waits", lambda: blocked(server) == 1)
            equal(two("CLIENT", "UNBLOCK", id, how), 1)
            reply = client.read()
            equal(str(reply) if isinstance(reply, ReplyError) else reply, answer)
        # One that is gone takes nothing with it.
        waiting(server, "BLPOP", "a", 0).close()
        wait_for("it is gone", lambda: blocked(server) == 0)
        two("RPUSH", "a", "1")
        equal(two("MULTI"), "OK")
        two("BLPOP", "a", 0)
        two("BLPOP", "a", 0)
        equal(two("EXEC"), [[b"a", b"1"], None])


@test
def nothing_is_lost_and_nothing_is_given_twice_when_leaders_fail():
    """Workers wait at every node while leaders are killed. An item whose push was acknowledged is given to one
    worker, is still there, or was about to be given when a worker was told that the outcome isn't known."""
    servers = nodes.cluster(3)
    given: list[bytes] = []
    in_doubt = 0
    lock = threading.Lock()
    over = threading.Event()

    def work(number: int) -> None:
        nonlocal in_doubt
        while not over.is_set():
            try:
                with servers[number % 3].client(timeout=5) as client:
                    while not over.is_set():
                        reply = client("BRPOP", "other", "queue", "0.2")
                        if reply:
                            with lock:
                                given.append(reply[1])
            except (ReplyError, Closed, OSError) as error:
                # Whoever lost its connection, or was told INDOUBT, may have lost one item.
                if not str(error).startswith(("CLUSTERDOWN", "TRYAGAIN")) and not isinstance(error, ConnectionRefusedError):
                    with lock:
                        in_doubt += 1

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    pushed: set[bytes] = set()
    doubtful: set[bytes] = set()
    number = 0
    for _ in range(3):
        leader = nodes.leader_of(servers)
        pusher = nodes.others(servers, leader)[0].client(timeout=20)
        for i in range(scaled(150)):
            if i == scaled(150) // 2:
                leader.kill()
            item = b"%d" % number
            number += 1
            try:
                pusher("LPUSH", "queue", item)
                pushed.add(item)
            except ReplyError as error:
                if str(error).startswith("INDOUBT"):
                    doubtful.add(item)
        pusher.close()
        leader.launch()
        leader.wait_ready()
        nodes.leader_of(servers)
    with nodes.leader_of(servers).client(timeout=20) as client:
        wait_for("the queue is empty", lambda: client("LLEN", "queue") == 0)
        over.set()
        for worker in workers:
            worker.join()
        left = client("LRANGE", "queue", 0, -1)
    equal(len(given), len(set(given)), "each once")
    assert set(given) <= pushed | doubtful
    missing = pushed - set(given) - set(left)
    assert len(missing) <= in_doubt, f"{len(missing)} are missing, {in_doubt} outcomes were not known"


@test
def sort_looks_at_keys_of_its_partition_only():
    server = Server(partitions=8)
    with server.client() as c:
        c("RPUSH", "{t}l", "1", "3", "2")
        c("MSET", "{t}w1", "30", "{t}w2", "20", "{t}w3", "10")
        c("HSET", "{t}h2", "name", "two")
        equal(c("SORT", "{t}l"), [b"1", b"2", b"3"])
        # A hash tag says where the keys are.
        equal(c("SORT", "{t}l", "BY", "{t}w*", "GET", "#", "GET", "{t}h*->name"), [b"3", None, b"2", b"two", b"1", None])
        for pattern in ("w*", "w*{t}", "{u}w*", "{*}t"):
            equal(c.error("SORT", "{t}l", "BY", pattern), "ERR BY option of SORT denied in cluster mode.")
            equal(c.error("SORT_RO", "{t}l", "GET", pattern), "ERR GET option of SORT denied in cluster mode.")
        equal(c("SORT", "{t}l", "BY", "nosort", "GET", "#"), [b"1", b"3", b"2"])
        equal(c.error("SORT", "{t}l", "STORE", "elsewhere"), "CROSSSLOT Keys in request don't hash to the same slot")
        c("SADD", "{t}target", "x")
        equal(c("SORT", "{t}l", "DESC", "LIMIT", "0", "2", "STORE", "{t}target"), 2)
        equal(c("LOCK", "{t}lock", "me", "60000") > 0, True)
        equal(c.error("SORT", "{t}l", "STORE", "{t}lock"), WRONG_TYPE)
    server.kill()
    server.launch()
    server.wait_ready()
    with server.client() as c:
        equal(c("LRANGE", "{t}target", 0, -1), [b"3", b"2"])
        equal(c("SORT", "{t}l", "LIMIT", "5", "1", "STORE", "{t}target"), 0)
        equal(c("EXISTS", "{t}target"), 0)


@test
def errors_change_nothing():
    server = Server()
    with server.client() as client:
        client("SET", "string", "x")
        client("RPUSH", "l", "a", "b")
        for words in (
            ("LPUSH", "string", "x"), ("RPOP", "string"), ("LRANGE", "string", "0", "1"), ("LSET", "string", "0", "x"),
            ("LMOVE", "l", "string", "LEFT", "LEFT"), ("RPOPLPUSH", "string", "l"), ("LINSERT", "string", "BEFORE", "a", "b"),
            ("BLPOP", "string", "0"), ("BLPOP", "none", "string", "l", "0"), ("BLMOVE", "l", "string", "LEFT", "LEFT", "0"),
            ("LMPOP", "1", "string", "LEFT"), ("LPOS", "string", "a"), ("SADD", "l", "x"), ("GET", "l"), ("SETBIT", "l", "0", "1"),
        ):  # fmt: skip
            equal(client.error(*words), WRONG_TYPE, words)
        equal(client.error("LSET", "none", "0", "x"), "ERR no such key")
        equal(client.error("LSET", "l", "2", "x"), "ERR index out of range")
        equal(client.error("LPOP", "l", "-1"), "ERR value is out of range, must be positive")
        equal(client.error("LINSERT", "l", "BESIDE", "a", "b"), "ERR syntax error")
        equal(client("LRANGE", "l", 0, -1), [b"a", b"b"])
        equal(client("GET", "string"), b"x")


main()
