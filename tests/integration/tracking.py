#!/usr/bin/env python3
"""Client-side caching: caches that believe what they are told never keep an old value, whichever
core or node has the key, whoever leads, and what each mode of CLIENT TRACKING tells.
"""

# also under: asan tsan

import random

from harness import ReplyError, Server, equal, main, scaled, test, wait_for
from nodes import cluster, hand_over, leader_of, others
from resp import Client, Closed, Push, encode

# Keys of a group are in one partition.
GROUPS = 5
KEYS = [f"{{{i % GROUPS}}}:{i}" for i in range(40)]


class Cache:
    """A connection that keeps what it has read until it is told otherwise."""

    def __init__(self, server: Server, *options):
        self.server = server
        self.client = server.client(resp=3)
        self.opt_in = "OPTIN" in options
        self.client("CLIENT", "TRACKING", "ON", *options)
        self.values = {}
        # Keys whose values are on their way, a list of them for EXEC's; None: something else.
        self.asked = []

    def ask(self, keys: list[str]) -> None:
        if not self.opt_in and len(keys) > 1 and len({key.split("}")[0] for key in keys}) == 1:
            # As a transaction.
            self.client.send("MULTI")
            for key in keys:
                self.client.send("GET", key)
            self.client.send("EXEC")
            self.asked += [None] * (len(keys) + 1) + [keys]
            return
        for key in keys:
            if self.opt_in:
                self.client.send("CLIENT", "CACHING", "YES")
                self.asked.append(None)
            self.client.send("GET", key)
            self.asked.append(key)

    def write(self, key: str, value) -> None:
        """For NOLOOP: it knows what it has written itself."""
        self.client.send("SET", key, value)
        self.asked.append((key, str(value).encode()))

    def take(self) -> None:
        while self.asked:
            reply = self.client.read()
            if isinstance(reply, Push):
                self.told(reply)
                continue
            key = self.asked.pop(0)
            if isinstance(key, list):
                if not isinstance(reply, ReplyError):
                    self.values.update(zip(key, reply))
            elif isinstance(key, tuple):
                key, value = key
                # Not known: it may have been written.
                self.values.pop(key, None)
                if not isinstance(reply, ReplyError):
                    self.values[key] = value
            elif key is not None and not isinstance(reply, ReplyError):
                self.values[key] = reply

    def told(self, push: Push) -> None:
        equal(push[0], b"invalidate")
        if push[1] is None:
            self.values.clear()
        else:
            for key in push[1]:
                self.values.pop(key.decode(), None)

    def hear(self) -> None:
        """What has been told so far."""
        self.client.send("ECHO", "end")
        while (reply := self.client.read()) != b"end":
            assert isinstance(reply, Push), reply
            self.told(reply)


class Writers:
    """Changes keys in every way, by connections to all servers; answers are not waited for one by
    one."""

    def __init__(self, servers: list[Server], rng: random.Random, flushes=True):
        self.rng = rng
        self.flushes = flushes
        self.clients = [server.client() for server in servers]
        self.sent = [0] * len(self.clients)

    def send(self) -> None:
        which = self.rng.randrange(len(self.clients))
        for request in self._requests():
            self.clients[which].send(*request)
            self.sent[which] += 1

    def _requests(self) -> list[tuple]:
        group = self.rng.randrange(GROUPS)
        a, b = self.rng.sample([key for key in KEYS if key.startswith(f"{{{group}}}")], 2)
        n = self.rng.randrange(1000)
        kinds = [
            [("SET", a, n)],
            [("SET", a, n), ("APPEND", a, "x")],
            [("DEL", a)],
            [("MSET", a, n, b, n)],
            [("RENAME", a, b)],
            [("COPY", a, b, "REPLACE")],
            [("SET", a, n, "PX", 30)],
            [("PEXPIRE", a, 20)],
            [("SETRANGE", a, 1, "yz"), ("GETDEL", b)],
            [("MULTI",), ("SET", a, n), ("GET", b), ("DEL", b), ("EXEC",)],
            [("EVAL", "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[2])", 2, a, b, n)],
        ]
        if self.flushes and self.rng.random() < 0.01:
            return [("FLUSHALL",)]
        return self.rng.choice(kinds)

    def take(self) -> None:
        for client, count in zip(self.clients, self.sent):
            client.read_n(count)
        self.sent = [0] * len(self.clients)

    def leave(self, server: Server) -> None:
        at = [client.socket.getpeername()[1] == server.port for client in self.clients].index(True)
        del self.clients[at]
        del self.sent[at]


def some_keys(rng: random.Random) -> list[str]:
    group = f"{{{rng.randrange(GROUPS)}}}" if rng.random() < 0.4 else ""
    return rng.sample([key for key in KEYS if key.startswith(group)], rng.randrange(1, 6))


def run(caches: list[Cache], writers: Writers, rng: random.Random, rounds: int) -> int:
    """Reads and writes at the same time; the number of values that were in caches in between."""
    kept = 0
    for _ in range(rounds):
        steps = [lambda cache=cache: cache.ask(some_keys(rng)) for cache in rng.sample(caches, 2)]
        steps += [writers.send] * rng.randrange(4)
        rng.shuffle(steps)
        for step in steps:
            step()
        writers.take()
        for cache in caches:
            cache.take()
            kept += len(cache.values)
    return kept


def check_coherent(caches: list[Cache], server: Server) -> None:
    """In the end no cache has anything that isn't so."""
    truth = server.client()

    def stale() -> list:
        found = []
        for cache in caches:
            cache.hear()
            keys = sorted(cache.values)
            now = truth.pipeline([("GET", key) for key in keys])
            found += [(key, cache.values[key], value) for key, value in zip(keys, now) if value != cache.values[key]]
        return found

    wait_for("coherent caches", lambda: not stale(), timeout=5)


def all_modes(server: Server) -> list[Cache]:
    return [
        Cache(server),
        Cache(server),
        Cache(server, "OPTIN"),
        Cache(server, "BCAST"),
        Cache(server, "BCAST", *(f for i in range(GROUPS) for f in ("PREFIX", f"{{{i}}}:"))),
    ]


def caches_stay_coherent(**options):
    rng = random.Random(7)
    server = Server(**options)
    caches = all_modes(server) + all_modes(server)
    kept = run(caches, Writers([server, server, server], rng), rng, scaled(600))
    assert kept > scaled(600), "the caches were always empty"
    check_coherent(caches, server)


@test
def one_core():
    caches_stay_coherent(cores=1)


@test
def two_cores():
    caches_stay_coherent(cores=2, partitions=2)


@test
def many_partitions():
    caches_stay_coherent(cores=2, partitions=5)


@test
def a_small_table():
    caches_stay_coherent(cores=2, partitions=2, tracking_table_max_keys=8)


@test(180)
def through_all_nodes_and_leaders():
    rng = random.Random(11)
    nodes = cluster(cores=2, partitions=2)
    caches = [cache for each in nodes for cache in all_modes(each)]
    writers = Writers(nodes, rng)
    kept = run(caches, writers, rng, scaled(200))
    assert kept > scaled(200), "the caches were always empty"
    check_coherent(caches, nodes[0])
    for _ in range(3):
        old = leader_of(nodes)
        new = rng.choice(others(nodes, old))
        with old.client() as c:
            hand_over(c, new)
        run(caches, writers, rng, scaled(100))
        check_coherent(caches, nodes[0])
    killed = leader_of(nodes)
    killed.kill()
    writers.leave(killed)
    caches = [cache for cache in caches if cache.server is not killed]
    run(caches, writers, rng, scaled(200))
    check_coherent(caches, caches[0].server)


@test
def followers_that_read_for_themselves():
    rng = random.Random(13)
    nodes = cluster()
    caches = [Cache(each) for each in others(nodes, leader_of(nodes)) for _ in range(2)]
    for cache in caches:
        cache.client("READONLY")
    kept = run(caches, Writers(nodes, rng), rng, scaled(200))
    assert kept > scaled(100), "the caches were always empty"
    check_coherent(caches, nodes[0])
    with caches[0].server.client() as c:
        assert int(c.info("stats")["follower_reads"]) > 0


@test
def a_node_without_a_leader_says_that_anything_may_have_changed():
    nodes = cluster()
    leader = leader_of(nodes)
    survivor, other = others(nodes, leader)
    with survivor.client() as c:
        c("SET", "k", 1)
    cache = Cache(survivor)
    broadcast = Cache(survivor, "BCAST")
    cache.ask(["k"])
    cache.take()
    broadcast.values["k"] = b"1"
    leader.kill()
    other.kill()

    def forgotten() -> bool:
        cache.hear()
        broadcast.hear()
        return not cache.values and not broadcast.values

    wait_for("empty caches", forgotten)


def pair(**options) -> tuple[Server, Client, Client]:
    """A server, one who caches and one who writes."""
    server = Server(**options)
    return server, server.client(resp=3), server.client()


def told(client: Client) -> list:
    """What has come by now, as lists of keys."""
    client.send("ECHO", "end")
    found = []
    while (reply := client.read()) != b"end":
        equal(reply[0], b"invalidate")
        found.append(None if reply[1] is None else [key.decode() for key in reply[1]])
    return found


@test
def a_key_is_told_once_and_only_when_it_was_read():
    _, reader, writer = pair(cores=1)
    reader("CLIENT", "TRACKING", "ON")
    writer("MSET", "a", 1, "b", 1)
    equal(told(reader), [])
    reader("GET", "a")
    reader("EXISTS", "b", "none")
    reader("SET", "c", 1)
    writer("SET", "c", 2)
    writer("SET", "a", 2)
    writer("SET", "a", 3)
    writer("INCR", "none")
    equal(told(reader), [["a"], ["none"]])
    # What it writes itself is told as well, behind the answer.
    reader("GET", "a")
    equal(reader("SET", "a", 4), "OK")
    equal(told(reader), [["a"]])
    reader("GET", "b")
    reader("CLIENT", "TRACKING", "OFF")
    reader("GET", "b")
    writer("SET", "b", 2)
    equal(reader.is_silent(0.05), True)


@test
def reads_in_transactions_and_scripts_count():
    _, reader, writer = pair()
    reader("CLIENT", "TRACKING", "ON")
    writer("MSET", "a", 1, "b", 1, "c", 1)
    reader("MULTI")
    reader("GET", "a")
    reader("EXEC")
    reader("EVAL", "redis.call('SET', KEYS[1], 1)", 1, "b")
    reader("EVAL", "return redis.call('GET', ARGV[1])", 0, "c")
    for key in "abc":
        writer("SET", key, 2)
    equal(told(reader), [["a"], ["c"]])
    # Its own changes before the read have been seen.
    reader.pipeline([("MULTI",), ("SET", "a", 3), ("GET", "a"), ("EXEC",)])
    equal(told(reader), [])
    # Those behind it have not.
    reader.pipeline([("MULTI",), ("GET", "b"), ("SET", "b", 3), ("EXEC",)])
    equal(told(reader), [["b"]])


@test
def at_a_follower_nothing_is_told_late_or_twice():
    """Whoever writes there is answered behind what is told. Heartbeats would come too late for that."""
    nodes = cluster(cores=1, cluster_heartbeat_interval=500, cluster_election_timeout=3000)
    leader = leader_of(nodes)
    follower = others(nodes, leader)[0]
    reader, writer = follower.client(resp=3), follower.client()
    reader("CLIENT", "TRACKING", "ON")
    script = "return redis.call(ARGV[1], KEYS[1], ARGV[2])"
    for i in range(scaled(12)):
        writer("SET", "a", i)
        equal(told(reader), [["a"]] if i else [])
        equal(reader("GET", "a"), b"%d" % i)
        writer("SET", "other", i)
        equal(told(reader), [], "what has been read already")
        equal(writer("INCRBY", "a", 1000), i + 1000)
        equal(told(reader), [["a"]])
        # Who begins now hears only of what comes.
        broadcast = follower.client(resp=3)
        broadcast("CLIENT", "TRACKING", "ON", "BCAST")
        writer("SET", "other", i)
        equal(told(broadcast), [["other"]])
        broadcast.close()
        # Scripts that read something, or nothing.
        writer("SET", "b", i)
        reader("EVAL", script, 1, "b", "SET", i)
        writer("SET", "b", "x")
        equal(told(reader), [])
        reader("EVAL", "return redis.call('GET', KEYS[1])", 1, "b")
        writer("SET", "b", i)
        equal(told(reader), [["b"]])
        # Both at once, whichever is answered first.
        reader.send("EVAL", script, 1, "b", "SET", i)
        reader.send("GET", "b")
        equal([reader.read(), reader.read()], ["OK", b"%d" % i])
        writer("SET", "b", "y")
        assert told(reader)[-1:] == [["b"]]
        # All that is known is gone, and then there is something again.
        writer("FLUSHALL")
        equal(told(reader), [None])
        reader("GET", "a")
        reader("GET", "b")
        writer("SET", "b", i)
        equal(told(reader), [["b"]])
    # In a transaction, and by another node.
    writer.pipeline([("MULTI",), ("SET", "a", 1), ("EXEC",)])
    equal(told(reader), [["a"]])
    reader("GET", "a")
    with leader.client() as c:
        c("SET", "a", 2)
    wait_for("it is told", lambda: told(reader) == [["a"]])


@test
def replies_that_come_late_come_before_what_is_told():
    # With two cores the transaction runs on the other one for half of the keys; the script takes so
    # long that others run while it is suspended.
    for cores, script in ((2, "return 1"), (1, "for i = 1, 3000000 do end return 1")):
        server = Server(cores=cores, partitions=cores)
        with server.client(resp=3) as reader, server.client() as writer:
            reader("CLIENT", "TRACKING", "ON")
            for i in range(scaled(60) if cores == 2 else 3):
                key = f"{{{i}}}"
                writer("SET", key, "old")
                reader.send_raw(
                    encode("MULTI") + encode("GET", key) + encode("EVAL", script, 1, key + "s") + encode("EXEC")
                )
                writer("SET", key, "new")
                reply = reader.read()
                while not isinstance(reply, list) or isinstance(reply, Push):
                    reply = reader.read()
                if reply[0] == b"old":
                    behind = []
                    wait_for("what has changed", lambda: behind.extend(told(reader)) or [key] in behind)


@test
def what_a_script_reads_between_others_changes_is_told():
    # The script is suspended in the middle of a batch, which is split; what is changed behind it
    # comes into the same entry.
    _, reader, writer = pair(cores=1)
    reader("CLIENT", "TRACKING", "ON")
    script = "redis.call('SET', KEYS[1], 1) for i = 1, 30000000 do end return redis.call('GET', KEYS[2])"
    for before in (0, 50):
        writer("SET", "k", "old")
        sets = b"".join(encode("SET", f"s{i}", i) for i in range(before))
        reader.send_raw(sets + encode("EVAL", script, 2, "w", "k"))
        # They are answered when the script is suspended.
        reader.read_n(before)
        writer("SET", "k", "new")
        if reader.read() == b"old":
            behind = []
            wait_for("what has changed", lambda: behind.extend(told(reader)) or ["k"] in behind)


@test
def every_flush_is_told_to_who_never_asks():
    _, reader, writer = pair()
    reader("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a")
    equal(reader.error("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "ab")[:10], "ERR Prefix")
    reader("CLIENT", "TRACKING", "ON", "BCAST")
    for _ in range(3):
        writer("FLUSHALL")
        equal(list(reader.read()), [b"invalidate", None])
        writer("SET", "b", 1)
        equal(list(reader.read()), [b"invalidate", [b"b"]])


@test
def keys_that_expire_or_are_evicted_are_told():
    server, reader, writer = pair()
    reader("CLIENT", "TRACKING", "ON")
    writer("SET", "gone", 1, "PX", 50)
    reader("GET", "gone")
    seen = []
    wait_for("the expired key", lambda: seen.extend(told(reader)) or ["gone"] in seen)
    writer("SET", "evicted", "x" * 1000)
    reader("GET", "evicted")
    writer("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    writer("CONFIG", "SET", "maxmemory", 1)
    wait_for("the evicted key", lambda: seen.extend(told(reader)) or ["evicted"] in seen)


@test
def nobody_hears_of_its_own_changes_with_noloop():
    nodes = cluster()
    leader = leader_of(nodes)
    follower = others(nodes, leader)[0]
    for k, server in (("a", leader), ("b", follower)):
        with server.client(resp=3) as own, server.client(resp=3) as all_of_it, leader.client() as writer:
            own("CLIENT", "TRACKING", "ON", "NOLOOP")
            all_of_it("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", k, "NOLOOP")
            for key in ("1", "2", "3", "list", "done"):
                own("EXISTS", k + key)
            all_of_it("SET", k + "4", 1)
            own("SET", k + "1", 1)
            own("EVAL", "redis.call('SET', KEYS[1], 1) return 1", 1, k + "2")
            own.pipeline([("MULTI",), ("INCR", k + "3"), ("EXEC",)])
            equal(own.pipeline([("RPUSH", k + "list", 1), ("BLPOP", k + "list", 1)])[0], 1)
            writer("SET", k + "done", 1)
            own_told, all_told = [], []
            wait_for("the end", lambda: own_told.extend(told(own)) or own_told)
            wait_for("the end", lambda: all_told.extend(told(all_of_it)) or [k + "done"] in all_told)
            equal(own_told, [[k + "done"]])
            names = {key for keys in all_told for key in keys}
            equal(sorted(names), [k + "1", k + "2", k + "3", k + "done", k + "list"])
            if server is follower:
                writer("FLUSHALL")
                wait_for("all", lambda: None in told(own))


@test
def another_connection_is_told():
    server, reader, writer = pair(cores=2, partitions=2)
    for resp in (2, 3):
        # On either core.
        listeners = [server.client(resp=resp) for _ in range(8)]
        for listener in listeners:
            target = listener("CLIENT", "ID")
            if resp == 2:
                listener.send("SUBSCRIBE", "__redis__:invalidate")
                listener.read()
            reader("CLIENT", "TRACKING", "OFF")
            reader("CLIENT", "TRACKING", "ON", "REDIRECT", target)
            equal(reader("CLIENT", "GETREDIR"), target)
            reader("GET", "k")
            writer("SET", "k", 1)
            expected = [b"message", b"__redis__:invalidate", [b"k"]] if resp == 2 else [b"invalidate", [b"k"]]
            equal(list(listener.read()), expected)
            writer("FLUSHALL")
            expected[-1] = None
            equal(list(listener.read()), expected)
        # The last of them goes.
        listeners[-1].close()
        wait_for("its end", lambda: f"id={target} " not in writer("CLIENT", "LIST").decode())
        reader("GET", "k")
        writer("SET", "k", 2)
        equal(list(reader.read()), [b"tracking-redir-broken", target])
        assert "broken_redirect" in str(reader("CLIENT", "TRACKINGINFO"))
        assert "flags=tR" in reader("CLIENT", "INFO").decode()


@test
def what_cannot_be_had_is_refused_and_changes_nothing():
    _, client, _ = pair()
    no_id = "ERR The client ID you want redirect to does not exist"
    for options, error in (
        (("maybe",), "ERR syntax error"),
        (("on", "BCASTS"), "ERR syntax error"),
        (("on", "REDIRECT"), "ERR syntax error"),
        (("on", "REDIRECT", "x"), "ERR value is not an integer or out of range"),
        (("on", "REDIRECT", 123456), no_id),
        (("on", "REDIRECT", -1), no_id),
        (("on", "PREFIX", "a"), "ERR PREFIX option requires BCAST mode to be enabled"),
        (("on", "BCAST", "OPTIN"), "ERR OPTIN and OPTOUT are not compatible with BCAST"),
        (("on", "OPTIN", "OPTOUT"), "ERR You can't specify both OPTIN mode and OPTOUT mode"),
    ):
        equal(client.error("CLIENT", "TRACKING", *options), error)
        equal(client("CLIENT", "GETREDIR"), -1)
    assert client.error("CLIENT", "CACHING", "YES").startswith("ERR CLIENT CACHING can be called only when")
    client("CLIENT", "TRACKING", "ON", "OPTIN")
    assert client.error("CLIENT", "CACHING", "NO").startswith("ERR CLIENT CACHING NO is only valid")
    equal(client.error("CLIENT", "CACHING", "x"), "ERR syntax error")
    assert client.error("CLIENT", "TRACKING", "ON", "OPTOUT").startswith("ERR You can't switch OPTIN/OPTOUT")
    assert client.error("CLIENT", "TRACKING", "ON", "BCAST").startswith("ERR You can't switch BCAST mode on/off")
    client("RESET")
    equal(client("CLIENT", "GETREDIR"), -1)
    equal(client.info("clients")["tracking_clients"], "0")


@test
def the_table_keeps_its_bound():
    server, reader, writer = pair(cores=2, partitions=2, tracking_table_max_keys=100)
    reader("CLIENT", "TRACKING", "ON")
    cached = set()
    for begin in range(0, 2000, 50):
        keys = [f"k{i}" for i in range(begin, begin + 50)]
        reader.send_raw(b"".join(encode("GET", key) for key in keys))
        cached |= set(keys)
        replies = 0
        while replies < len(keys):
            reply = reader.read()
            if isinstance(reply, Push):
                cached -= {key.decode() for key in reply[1]}
            else:
                replies += 1
        assert int(writer.info("stats")["tracking_total_keys"]) <= 100
    for keys in told(reader):
        cached -= set(keys)
    # It knows of all that the client may have.
    assert 0 < len(cached) <= 100, len(cached)
    writer("CONFIG", "SET", "tracking-table-max-keys", 10)
    wait_for("a smaller table", lambda: int(writer.info("stats")["tracking_total_keys"]) <= 10)
    for keys in told(reader):
        cached -= set(keys)
    assert len(cached) <= 10, len(cached)
    reader.close()
    writer("FLUSHALL")
    wait_for("an empty table", lambda: writer.info("stats")["tracking_total_keys"] == "0")
    equal(writer.info("stats")["tracking_total_items"], "0")


@test
def who_waits_is_told_behind_what_it_waits_for():
    _, reader, writer = pair()
    reader("CLIENT", "TRACKING", "ON")
    writer("RPUSH", "to", 1)
    reader("LRANGE", "to", 0, -1)
    reader("EXISTS", "other")
    reader.send("BLMOVE", "from", "to", "LEFT", "LEFT", 0)
    wait_for("a blocked client", lambda: writer.info("clients")["blocked_clients"] == "1")
    # Meanwhile it hears of others.
    writer("SET", "other", 1)
    equal(list(reader.read()), [b"invalidate", [b"other"]])
    writer("RPUSH", "from", "x")
    equal(reader.read(), b"x")
    equal(list(reader.read()), [b"invalidate", [b"to"]])


@test
def a_client_that_leaves_is_forgotten():
    server, reader, writer = pair()
    reader("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "PREFIX", "b")
    equal(writer.info("stats")["tracking_total_prefixes"], "2")
    equal(writer.info("clients")["tracking_clients"], "1")
    reader.close()
    wait_for("nobody", lambda: writer.info("clients")["tracking_clients"] == "0")
    equal(writer.info("stats")["tracking_total_prefixes"], "0")
    with server.client() as again:
        again("SET", "a", 1)
        again.send("QUIT")
        try:
            again.read_n(2)
        except Closed:
            pass


if __name__ == "__main__":
    main()
