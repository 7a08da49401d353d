#!/usr/bin/env python3
"""Streams: every command against a model, with restarts and failovers in between; consumer groups."""

# also under: asan tsan

import random
import threading
import time

import nodes
from harness import Client, Server, equal, main, scaled, test, wait_for
from resp import Closed, ReplyError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def refusal(client: Client, *words) -> str:
    try:
        reply = client(*words)
    except ReplyError as error:
        return str(error)
    raise AssertionError(f"{words} answered {reply!r}")


def mapped(reply: list) -> dict:
    return dict(zip(reply[::2], reply[1::2]))


def text(id: tuple) -> bytes:
    return b"%d-%d" % id


class Group:
    def __init__(self, last: tuple):
        self.last = last
        self.consumers: set[str] = set()
        self.pending: dict[tuple, list] = {}  # id: [consumer, deliveries]

    def copy(self) -> "Group":
        other = Group(self.last)
        other.consumers = set(self.consumers)
        other.pending = {id: list(owner) for id, owner in self.pending.items()}
        return other


class Stream:
    def __init__(self):
        self.entries: dict[tuple, list] = {}
        self.last = (0, 0)
        self.added = 0
        self.deleted = (0, 0)
        self.groups: dict[str, Group] = {}

    def copy(self) -> "Stream":
        other = Stream()
        other.entries, other.last, other.added, other.deleted = dict(self.entries), self.last, self.added, self.deleted
        other.groups = {name: group.copy() for name, group in self.groups.items()}
        return other


class Model:
    """What a few streams ought to hold, and random commands that check it."""

    def __init__(self, seed: int, keys: int = 4):
        self.random = random.Random(seed)
        self.keys = [f"{{s}}stream:{i}" for i in range(keys)]
        self.streams: dict[str, Stream] = {}

    def step(self, client: Client) -> None:
        key = self.random.choice(self.keys)
        names = ["xadd"] * 6 + ["xdel", "xtrim", "xsetid", "create", "read", "read", "read", "history", "ack", "ack"]
        names += ["claim", "autoclaim", "ranges", "destroy", "consumers", "copy", "delete"]
        getattr(self, self.random.choice(names))(client, key, self.streams.get(key))

    def entry(self, stream: Stream, id: tuple) -> list:
        return [text(id), stream.entries[id]]

    def id(self, stream: Stream | None) -> tuple:
        """One that is there, mostly."""
        known = list(stream.entries) if stream else []
        if known and self.random.random() < 0.8:
            return self.random.choice(known)
        return self.random.randrange(1, 50), self.random.randrange(3)

    def xadd(self, client, key, stream):
        stream = stream or Stream()
        for _ in range(self.random.randint(1, 4)):
            ms, seq = stream.last
            id = (ms, seq + 1) if self.random.random() < 0.5 else (ms + self.random.randint(1, 5), 0)
            fields = [b"field", self.random.randbytes(self.random.choice((1, 10, 200)))]
            if self.random.random() < 0.2:
                fields += [b"more", b"1"]
            trim = []
            if self.random.random() < 0.3:
                trim = ["MAXLEN", "=", self.random.randint(0, 30)]
            equal(client("XADD", key, *trim, text(id), *fields), text(id))
            stream.entries[id] = fields
            stream.last = id
            stream.added += 1
            if trim:
                self.shorten(stream, trim[2])
        self.streams[key] = stream

    def shorten(self, stream: Stream, length: int) -> int:
        gone = list(stream.entries)[: max(0, len(stream.entries) - length)]
        for id in gone:
            del stream.entries[id]
        return len(gone)

    def xdel(self, client, key, stream):
        ids = [self.id(stream) for _ in range(self.random.randint(1, 5))]
        there = {id for id in ids if stream and id in stream.entries}
        equal(client("XDEL", key, *map(text, ids)), len(there))
        for id in there:
            del stream.entries[id]
            stream.deleted = max(stream.deleted, id)

    def xtrim(self, client, key, stream):
        if self.random.random() < 0.5:
            length = self.random.randint(0, 40)
            equal(client("XTRIM", key, "MAXLEN", length), self.shorten(stream, length) if stream else 0)
            return
        id = self.id(stream)
        later = sum(each >= id for each in stream.entries) if stream else 0
        equal(client("XTRIM", key, "MINID", text(id)), self.shorten(stream, later) if stream else 0)

    def xsetid(self, client, key, stream):
        if stream:
            stream.last = (stream.last[0] + 1, 7)
            equal(client("XSETID", key, text(stream.last)), "OK")

    def group(self, stream: Stream | None) -> str:
        return self.random.choice(list(stream.groups) if stream and stream.groups else ["none"])

    def create(self, client, key, stream):
        name = f"group{self.random.randrange(3)}"
        if stream and name in stream.groups:
            equal(refusal(client, "XGROUP", "CREATE", key, name, "$"), "BUSYGROUP Consumer Group name already exists")
            return
        stream = self.streams.setdefault(key, Stream())
        from_end = self.random.random() < 0.5
        equal(client("XGROUP", "CREATE", key, name, "$" if from_end else "0", "MKSTREAM"), "OK")
        stream.groups[name] = Group(stream.last if from_end else (0, 0))

    def destroy(self, client, key, stream):
        if stream and self.random.random() < 0.3:
            name = self.group(stream)
            equal(client("XGROUP", "DESTROY", key, name), int(stream.groups.pop(name, None) is not None))

    def consumers(self, client, key, stream):
        name = self.group(stream)
        if name == "none":
            return
        group, consumer = stream.groups[name], f"c{self.random.randrange(4)}"
        if self.random.random() < 0.6:
            equal(client("XGROUP", "CREATECONSUMER", key, name, consumer), int(consumer not in group.consumers))
            group.consumers.add(consumer)
        else:
            owned = [id for id, (owner, _) in group.pending.items() if owner == consumer]
            equal(client("XGROUP", "DELCONSUMER", key, name, consumer), len(owned))
            group.consumers.discard(consumer)
            for id in owned:
                del group.pending[id]

    def read(self, client, key, stream):
        name = self.group(stream)
        consumer, count = f"c{self.random.randrange(4)}", self.random.randint(1, 10)
        options = ["NOACK"] if self.random.random() < 0.2 else []
        words = ["XREADGROUP", "GROUP", name, consumer, "COUNT", count, *options, "STREAMS", key, ">"]
        if name == "none":
            assert refusal(client, *words).startswith("NOGROUP"), words
            return
        group = stream.groups[name]
        ids = [id for id in stream.entries if id > group.last][:count]
        expected = [[key.encode(), [self.entry(stream, id) for id in ids]]] if ids else None
        equal(client(*words), expected)
        if not ids:
            return
        group.last = ids[-1]
        group.consumers.add(consumer)
        if not options:
            group.pending.update({id: [consumer, 1] for id in ids})

    def history(self, client, key, stream):
        name = self.group(stream)
        if name == "none":
            return
        group, consumer = stream.groups[name], f"c{self.random.randrange(4)}"
        owned = sorted(id for id, (owner, _) in group.pending.items() if owner == consumer)
        expected = [self.entry(stream, id) if id in stream.entries else [text(id), None] for id in owned]
        equal(client("XREADGROUP", "GROUP", name, consumer, "STREAMS", key, "0"), [[key.encode(), expected]])
        group.consumers.add(consumer)
        for id in owned:
            if id in stream.entries:
                group.pending[id][1] += 1

    def ack(self, client, key, stream):
        name = self.group(stream)
        pending = stream.groups[name].pending if name != "none" else {}
        ids = self.random.sample(sorted(pending), min(len(pending), self.random.randint(0, 5)))
        ids += [self.id(stream)]
        there = set(ids) & pending.keys()
        equal(client("XACK", key, name, *map(text, ids)), len(there))
        for id in there:
            del pending[id]

    def claim(self, client, key, stream):
        name = self.group(stream)
        if name == "none":
            return
        group, consumer = stream.groups[name], f"c{self.random.randrange(4)}"
        ids = self.random.sample(sorted(group.pending), min(len(group.pending), 3)) + [self.id(stream)]
        force = self.random.random() < 0.3
        expected = []
        for id in ids:
            if id not in stream.entries:
                group.pending.pop(id, None)
            elif id in group.pending or force:
                group.pending[id] = [consumer, group.pending.get(id, [None, 1])[1] + 1]
                group.consumers.add(consumer)
                expected.append(self.entry(stream, id))
        options = ["FORCE"] if force else []
        equal(client("XCLAIM", key, name, consumer, 0, *map(text, ids), *options), expected)

    def autoclaim(self, client, key, stream):
        name = self.group(stream)
        if name == "none":
            return
        group, consumer = stream.groups[name], f"c{self.random.randrange(4)}"
        count = self.random.randint(1, 6)
        ids = sorted(group.pending)
        looked_at, rest = ids[:count], ids[count:]
        claimed = [id for id in looked_at if id in stream.entries]
        gone = [id for id in looked_at if id not in stream.entries]
        expected = [text(rest[0] if rest else (0, 0)), [text(id) for id in claimed], [text(id) for id in gone]]
        equal(client("XAUTOCLAIM", key, name, consumer, 0, "-", "COUNT", count, "JUSTID"), expected)
        for id in gone:
            del group.pending[id]
        for id in claimed:
            group.pending[id][0] = consumer
            group.consumers.add(consumer)

    def ranges(self, client, key, stream):
        entries = stream.entries if stream else {}
        first, last = sorted((self.id(stream), self.id(stream)))
        inside = [self.entry(stream, id) for id in entries if first <= id <= last]
        equal(client("XRANGE", key, text(first), text(last)), inside)
        equal(client("XREVRANGE", key, text(last), text(first), "COUNT", 3), inside[::-1][:3])
        after = [self.entry(stream, id) for id in entries if id > first][:5]
        expected = [[key.encode(), after]] if after else None
        equal(client("XREAD", "COUNT", 5, "STREAMS", key, text(first)), expected)

    def copy(self, client, key, stream):
        other = self.random.choice(self.keys)
        if other == key or self.random.random() < 0.5:
            return
        if self.random.random() < 0.5:
            equal(client("COPY", key, other, "REPLACE"), int(bool(stream)))
        elif stream:
            equal(client("RESTORE", other, 0, client("DUMP", key), "REPLACE"), "OK")
        if stream:
            self.streams[other] = stream.copy()

    def delete(self, client, key, stream):
        if self.random.random() < 0.2:
            equal(client("DEL", key), int(bool(stream)))
            self.streams.pop(key, None)

    def check(self, client: Client) -> None:
        for key in self.keys:
            stream = self.streams.get(key)
            equal(client("EXISTS", key), int(bool(stream)))
            entries = [self.entry(stream, id) for id in stream.entries] if stream else []
            equal(client("XRANGE", key, "-", "+"), entries, key)
            equal(client("XLEN", key), len(entries))
            if not stream:
                continue
            about = mapped(client("XINFO", "STREAM", key, "FULL", "COUNT", 0))
            equal(about[b"last-generated-id"], text(stream.last))
            equal(about[b"entries-added"], stream.added)
            equal(about[b"max-deleted-entry-id"], text(stream.deleted))
            groups = [mapped(group) for group in about[b"groups"]]
            equal([group[b"name"].decode() for group in groups], sorted(stream.groups))
            for group in groups:
                self.check_group(group, stream.groups[group[b"name"].decode()])
        equal(client("DBSIZE"), len(self.streams))

    def check_group(self, about: dict, group: Group) -> None:
        equal(about[b"last-delivered-id"], text(group.last))
        pending = [[id, owner.decode(), count] for id, owner, _, count in about[b"pending"]]
        equal(pending, [[text(id), *group.pending[id]] for id in sorted(group.pending)])
        consumers = {each[b"name"].decode(): each for each in map(mapped, about[b"consumers"])}
        equal(sorted(consumers), sorted(group.consumers))
        for name, consumer in consumers.items():
            owned = sorted(id for id, (owner, _) in group.pending.items() if owner == name)
            equal([id for id, _, _ in consumer[b"pending"]], [text(id) for id in owned])


@test
def every_command_against_a_model_with_kills_in_between():
    options = {"stream-node-max-entries": 10, "flush-interval-ms": 50}
    for seed, partitions in ((1, 1), (2, 4)):
        server = Server(partitions=partitions, **options)
        model = Model(seed)
        for round in range(scaled(6)):
            with server.client() as client:
                for _ in range(scaled(400)):
                    model.step(client)
                model.check(client)
            if round % 2:
                server.kill()
                server.launch()
                server.wait_ready()
            else:
                server.restart()
            with server.client() as client:
                model.check(client)


@test
def uncommitted_changes_are_forgotten_and_committed_ones_are_not():
    """The leader dies or hands over again and again; one writer, so that each answer is known."""
    servers = nodes.cluster(3, **{"stream-node-max-entries": 10})
    model = Model(3)
    for round in range(4):
        leader = nodes.leader_of(servers)
        follower = nodes.others(servers, leader)[0]
        with follower.client() as client:
            for _ in range(scaled(200)):
                model.step(client)
            model.check(client)
        if round % 2:
            with leader.client() as client:
                nodes.hand_over(client, follower)
        else:
            leader.kill()
            nodes.leader_of(nodes.others(servers, leader))
            leader.launch()
            leader.wait_ready()
        nodes.leader_of(servers)
    with nodes.others(servers, nodes.leader_of(servers))[1].client() as client:
        client("READONLY")
        for key, stream in model.streams.items():
            equal(client("XRANGE", key, "-", "+"), [model.entry(stream, id) for id in stream.entries])


class Worker:
    """A consumer that goes on whatever happens to its connection, and remembers what it was given."""

    def __init__(self, name: str, servers: list[Server], done: threading.Event):
        self.name, self.servers, self.done = name, servers, done
        self.given: set[bytes] = set()
        self.acknowledged: set[bytes] = set()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        turn = 0
        try:
            while not self.done.is_set():
                turn += 1
                try:
                    with self.servers[turn % len(self.servers)].client(timeout=10) as client:
                        self.consume(client)
                except (OSError, Closed, ReplyError):
                    time.sleep(0.01)
        except BaseException as error:  # noqa: BLE001
            self.error = error

    def consume(self, client: Client) -> None:
        # First what it was given before, which an answer that was lost may have been about.
        source = "0"
        while not self.done.is_set():
            words = ["XREADGROUP", "GROUP", "group", self.name, "COUNT", 5, "BLOCK", 50, "STREAMS", "events", source]
            reply = client(*words)
            ids = [id for id, _ in reply[0][1]] if reply else []
            self.given.update(ids)
            if ids:
                client("XACK", "events", "group", *ids)
                self.acknowledged.update(ids)
            elif source == "0":
                source = ">"


def produce(servers: list[Server], count: int) -> set[bytes]:
    """Ids of entries whose XADD was acknowledged."""
    added: set[bytes] = set()
    turn = 0
    deadline = time.monotonic() + 60
    while len(added) < count and time.monotonic() < deadline:
        turn += 1
        try:
            with servers[turn % len(servers)].client(timeout=10) as client:
                while len(added) < count:
                    added.add(client("XADD", "events", "*", "number", len(added)))
        except (OSError, Closed, ReplyError):
            time.sleep(0.01)
    return added


@test
def a_group_gives_each_entry_to_one_consumer_and_loses_none():
    servers = nodes.cluster(3)
    with servers[0].client() as client:
        client("XGROUP", "CREATE", "events", "group", "0", "MKSTREAM")
    done = threading.Event()
    workers = [Worker(f"worker{i}", servers, done) for i in range(3)]
    added: set[bytes] = set()
    try:
        for _ in range(scaled(3)):
            added |= produce(servers, 200)
            leader = nodes.leader_of(servers)
            leader.kill()
            added |= produce(nodes.others(servers, leader), 200)
            leader.launch()
            leader.wait_ready()
        with nodes.leader_of(servers).client(timeout=30) as client:
            pending = lambda: client("XPENDING", "events", "group")[0]  # noqa: E731
            lag = lambda: mapped(client("XINFO", "GROUPS", "events")[0])[b"lag"]  # noqa: E731
            wait_for("everything is acknowledged", lambda: lag() == 0 and pending() == 0, timeout=60)
            there = {id for id, _ in client("XRANGE", "events", "-", "+")}
    finally:
        done.set()
        for worker in workers:
            worker.thread.join()
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    assert added <= there, f"{len(added - there)} entries that were acknowledged are gone"
    given = [id for worker in workers for id in worker.given]
    equal(len(given), len(set(given)), "entries were given to two consumers")
    equal(set(given), there)


@test
def errors_change_nothing():
    server = Server()
    with server.client() as client:
        client("SET", "string", "x")
        client("XADD", "s", "5-5", "f", "v")
        client("XGROUP", "CREATE", "s", "g", "0")
        dump = client("DUMP", "s")
        for words in (
            ("XADD", "string", "*", "f", "v"), ("XLEN", "string"), ("XRANGE", "string", "-", "+"), ("XDEL", "string", "1"),
            ("XREAD", "STREAMS", "string", "0"), ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "string", ">"),
            ("XACK", "string", "g", "1"), ("XPENDING", "string", "g"), ("XCLAIM", "string", "g", "c", "0", "1"),
            ("XAUTOCLAIM", "string", "g", "c", "0", "0"), ("XINFO", "STREAM", "string"), ("XTRIM", "string", "MAXLEN", "1"),
            ("XGROUP", "CREATE", "string", "g", "0", "MKSTREAM"), ("XSETID", "string", "1-1"), ("GET", "s"), ("HGET", "s", "f"),
        ):  # fmt: skip
            equal(refusal(client, *words), WRONG_TYPE, words)
        bad_id = "ERR Invalid stream ID specified as stream command argument"
        for words in (
            ("XADD", "s", "abc", "f", "v"), ("XDEL", "s", "5-5", "x"), ("XACK", "s", "g", "5-5", "x"), ("XADD", "s", "1-2-3", "f", "v"),
            ("XRANGE", "s", "(-", "+"), ("XSETID", "s", "-"), ("XREAD", "STREAMS", "s", "+"), ("XADD", "s", "6-*x", "f", "v"),
        ):  # fmt: skip
            equal(refusal(client, *words), bad_id, words)
        equal(refusal(client, "XADD", "s", "*", "f"), "ERR wrong number of arguments for 'xadd' command")
        equal(refusal(client, "XADD", "s", "0-0", "f", "v"), "ERR The ID specified in XADD must be greater than 0-0")
        top = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        equal(refusal(client, "XADD", "s", "5-5", "f", "v"), top)
        equal(refusal(client, "XADD", "s", "MAXLEN", "-1", "*", "f", "v"), "ERR The MAXLEN argument must be >= 0.")
        unbalanced = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
        equal(refusal(client, "XREAD", "COUNT", "1", "STREAMS", "s"), unbalanced)
        equal(refusal(client, "XREAD", "BLOCK", "-1", "STREAMS", "s", "0"), "ERR timeout is negative")
        equal(refusal(client, "EVAL", "return redis.call('XREAD', 'BLOCK', '1', 'STREAMS', 's', '0')", 0).split(" script:")[0],
              "ERR XREAD command is not allowed with BLOCK option from scripts")
        assert refusal(client, "XGROUP", "CREATE", "none", "g", "0").startswith("ERR The XGROUP subcommand requires the key")
        equal(client("EXISTS", "none"), 0)
        equal(client("DUMP", "s"), dump)
        equal(client("GET", "string"), b"x")


@test
def blocked_readers_are_served_in_order_and_keep_what_dollar_meant():
    server = Server()
    with server.client() as client, server.client() as one, server.client() as two, server.client(resp=3) as three:
        client("XADD", "a{t}", "1-0", "f", "old")
        client("XGROUP", "CREATE", "a{t}", "g", "$")
        one.send("XREAD", "BLOCK", 0, "STREAMS", "none{t}", "a{t}", "$", "$")
        two.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "a{t}", ">")
        three.send("XREAD", "BLOCK", 0, "STREAMS", "a{t}", "1-0")
        wait_for("they wait", lambda: client.info("clients")["blocked_clients"] == "3")
        client("MULTI")
        client("XADD", "a{t}", "2-0", "f", "x")
        client("XDEL", "a{t}", "2-0")
        client("EXEC")
        client("XADD", "a{t}", "3-0", "f", "new")
        new = [[b"3-0", [b"f", b"new"]]]
        equal(one.read(), [[b"a{t}", new]])
        equal(two.read(), [[b"a{t}", new]])
        equal(three.read(), {b"a{t}": new})
        equal(client("XPENDING", "a{t}", "g")[0], 1)
        for words, error in (
            (("XGROUP", "DESTROY", "a{t}", "g"), "NOGROUP the consumer group this client was blocked on no longer exists"),
            (("SET", "a{t}", "string"), "UNBLOCKED the stream key no longer exists"),
        ):
            two.send("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "a{t}", ">")
            wait_for("it waits", lambda: client.info("clients")["blocked_clients"] == "1")
            client(*words)
            equal(str(two.read()), error)
            client("DEL", "a{t}")
            client("XGROUP", "CREATE", "a{t}", "g", "$", "MKSTREAM")
        equal(two("XREAD", "BLOCK", 1, "STREAMS", "a{t}", "$"), None)


@test
def a_waiting_reader_keeps_its_id_or_is_told_when_the_leader_goes():
    """What is added before the reader waits at the new leader must not be missed in silence."""
    servers = nodes.cluster(3, partitions=1)
    new = [[b"2-0", [b"f", b"new"]]]
    leader = nodes.leader_of(servers)
    follower, third = nodes.others(servers, leader)
    with leader.client(timeout=60) as near, follower.client(timeout=60) as far, follower.client(timeout=60) as writer:
        writer("XADD", "s", "1-0", "f", "old")
        waiting = ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"]
        for reader, server in ((near, leader), (far, follower)):
            reader.send(*waiting)
            with server.client() as client:
                wait_for("it is on its way", lambda: client.info("clients")["blocked_clients"] == "1")
        # What the same node sends later arrives later: both wait there now.
        equal(writer("XLEN", "s"), 1)
        with leader.client() as client:
            nodes.hand_over(client, third)
        wait_for("another leads", lambda: nodes.leader_of(servers) is not leader)
        writer("XADD", "s", "2-0", "f", "new")
        # The first leader has kept the id for its own client; the other's node knows only the `$`.
        equal(near.read(), [[b"s", new]])
        assert str(far.read()).startswith("UNBLOCKED "), "an entry was missed in silence"
        equal(far("XREAD", "BLOCK", 0, "STREAMS", "s", "1-0"), [[b"s", new]])

        leader = nodes.leader_of(servers)
        reader = far if leader is not follower else near
        reader.send(*waiting)
        with (follower if reader is far else servers[0]).client() as client:
            wait_for("it is on its way", lambda: client.info("clients")["blocked_clients"] == "1")
            equal(client("XLEN", "s"), 2)
        leader.kill()
        with nodes.leader_of(nodes.others(servers, leader)).client(timeout=60) as client:
            client("XADD", "s", "3-0", "f", "newer")
        assert str(reader.read()).startswith("UNBLOCKED "), "an entry was missed in silence"


@test
def dump_and_restore_keep_everything():
    server = Server()
    with server.client() as client:
        for i in range(1, 300):
            client("XADD", "s", f"{i}-{i % 3}", "f", "x" * (i % 90), *(["g", i] if i % 7 == 0 else []))
        client("XDEL", "s", "100-1")
        client("XGROUP", "CREATE", "s", "g", "0", "ENTRIESREAD", 0)
        client("XREADGROUP", "GROUP", "g", "c", "COUNT", 50, "STREAMS", "s", ">")
        client("XGROUP", "CREATECONSUMER", "s", "g", "d")
        client("XGROUP", "CREATE", "s", "empty", "$")
        client("RESTORE", "t", 0, client("DUMP", "s"))
        equal(client("XINFO", "STREAM", "t", "FULL", "COUNT", 0), client("XINFO", "STREAM", "s", "FULL", "COUNT", 0))
        equal(client("DUMP", "t"), client("DUMP", "s"))
        equal(client("OBJECT", "ENCODING", "t"), b"stream")
        equal(client("TYPE", "t"), "stream")
        assert 10_000 < client("MEMORY", "USAGE", "t") < 100_000
        client("XTRIM", "t", "MAXLEN", 0)
        client("XGROUP", "DESTROY", "t", "g")
        client("XGROUP", "DESTROY", "t", "empty")
        client("RESTORE", "u", 0, client("DUMP", "t"))
        equal(client("XLEN", "u"), 0)
    server.kill()
    server.launch()
    server.wait_ready()
    with server.client() as client:
        equal(client("XADD", "u", "*", "f", "v") is not None, True)
        equal(client("XLEN", "t"), 0)


main()
