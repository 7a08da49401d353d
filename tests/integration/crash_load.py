"""The load of crash.py: random requests for a connection's own keys, and connections that keep many
under way and check each answer against the model."""

import random
import select
import socket
import time

from crash_model import Operation, apply_answered
from resp import Closed, Parser, encode

TAGS = 3  # of a connection
DATABASES = 3  # of a connection
FAR_MS = 10_000_000  # expiry that no test reaches


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def number(value) -> bytes:
    return str(value).encode()


class Generator:
    """Requests of one connection. What they do is left to the model, only who may touch what is fixed:
    names begin with what a key holds, because the model knows few type errors."""

    def __init__(self, connection: int, random_: random.Random, payloads: list[tuple[bytes, bytes]], swaps: bool):
        self.random = random_
        self.tags = [b"{c%d.%d}" % (connection, i) for i in range(TAGS)]
        self.databases = list(range(DATABASES * connection, DATABASES * (connection + 1)))
        self.db = self.databases[0]
        self.payloads = payloads  # of DUMP, with the values they hold
        self.swaps = swaps  # whether SWAPDB is possible

    # ---- ingredients

    def key(self, tag: bytes, kind: str) -> bytes:
        """Kinds: n numbers, f fractions, b bytes, g large, l locks, q sequences, x short-lived."""
        return tag + kind.encode() + number(self.random.randrange(3))

    def bytes(self, limit=40) -> bytes:
        return self.random.randbytes(self.random.randrange(limit + 1))

    def future(self) -> int:
        return now_ms() + FAR_MS + self.random.randrange(FAR_MS)

    def expiry(self) -> list[bytes]:
        far_s = number(FAR_MS // 1000 + self.random.randrange(1000))
        return self.random.choice(
            [
                [],
                [b"EX", far_s],
                [b"PX", far_s + b"123"],
                [b"PXAT", number(self.future())],
                [b"EXAT", number(self.future() // 1000)],
                [b"KEEPTTL"],
            ]
        )

    def owner(self) -> bytes:
        return self.random.choice([b"alice", b"bob", b"\x00\r\n"])

    # ---- commands

    def next(self) -> Operation:
        roll = self.random.random()
        if roll < 0.05:
            self.db = self.random.choice(self.databases)
            return Operation([[b"SELECT", number(self.db)]], [])
        if roll < 0.13:
            return self.transaction()
        if roll < 0.22:
            return self.spread()
        return self.single()

    def single(self) -> Operation:
        tag = self.random.choice(self.tags)
        args, meaning = self.command(tag)
        return Operation([args], [(tag, self.db, meaning, None)])

    def transaction(self) -> Operation:
        tag = self.random.choice(self.tags)
        requests, parts = [[b"MULTI"]], []
        for i in range(self.random.randrange(1, 8)):
            args, meaning = self.command(tag)
            requests.append(args)
            parts.append((tag, self.db, meaning, i))
        requests.append([b"EXEC"])
        return Operation(requests, parts)

    def spread(self) -> Operation:
        """Over several tags."""
        roll = self.random.random()
        if roll < 0.12:
            return self.everywhere([b"FLUSHDB"])
        if roll < 0.24 and self.swaps:
            a, b = self.random.sample(self.databases, 2)
            return self.everywhere([b"SWAPDB", number(a), number(b)])
        tags = self.random.sample(self.tags, self.random.randrange(1, TAGS + 1))
        if roll < 0.6:
            pairs = {tag: [self.key(tag, "b"), self.bytes(), self.key(tag, "b"), self.bytes()] for tag in tags}
            request = [b"MSET"] + [word for tag in tags for word in pairs[tag]]
            return Operation([request], [(tag, self.db, [b"MSET", *pairs[tag]], None) for tag in tags])
        name = self.random.choice([b"DEL", b"UNLINK", b"EXISTS"])
        keys = {tag: [self.key(tag, self.random.choice("nfblq")) for _ in range(2)] for tag in tags}
        request = [name] + [key for tag in tags for key in keys[tag]]
        return Operation([request], [(tag, self.db, [name, *keys[tag]], None) for tag in tags], sums=True)

    def everywhere(self, request: list[bytes]) -> Operation:
        return Operation([request], [(tag, self.db, request, None) for tag in self.tags])

    def command(self, tag: bytes) -> tuple[list[bytes], list[bytes]]:
        """A command on one tag, as sent and as the model takes it."""
        make = self.random.choices(self.FAMILIES, self.WEIGHTS)[0]
        args = make(self, tag)
        if isinstance(args, tuple):
            return args
        return args, args

    def strings(self, tag):
        pick, b = self.random.choice, self.key(tag, "b")
        value = self.bytes()
        return pick(
            [
                [b"SET", b, value, *self.expiry()],
                [b"SET", b, value, pick([b"NX", b"XX"]), *self.expiry()],
                [b"SET", b, value, b"GET", *self.expiry()],
                [b"SET", b, value, pick([b"IFEQ", b"IFNE"]), self.bytes(1)],
                [b"SETNX", b, value],
                [b"SETEX", b, number(FAR_MS), value],
                [b"PSETEX", b, number(FAR_MS), value],
                [b"GETSET", b, value],
                [b"GETDEL", b],
                [b"GETEX", b, *pick([[b"PERSIST"], [b"PX", number(FAR_MS)]])],
                [b"GET", b],
                [b"STRLEN", b],
                [b"MSETNX", b, value, self.key(tag, "b"), self.bytes()],
                [b"MSETEX", b"2", b, value, self.key(tag, "b"), self.bytes(), pick([b"NX", b"XX"]), b"PX", number(FAR_MS)],
            ]
        )

    def patches(self, tag):
        b = self.key(tag, "b")
        return self.random.choice(
            [
                [b"APPEND", b, self.bytes()],
                [b"SETRANGE", b, number(self.random.randrange(60)), self.bytes()],
                [b"SETBIT", b, number(self.random.randrange(600)), number(self.random.randrange(2))],
                [b"BITCOUNT", b],
                [b"BITOP", self.random.choice([b"AND", b"OR", b"XOR"]), b, self.key(tag, "b"), self.key(tag, "b")],
                [b"BITOP", b"NOT", b, self.key(tag, "b")],
                [b"BITFIELD", b, b"INCRBY", b"u16", b"#%d" % self.random.randrange(8), b"1000",
                 b"SET", b"u8", b"#%d" % self.random.randrange(20), number(self.random.randrange(256))],
            ]
        )  # fmt: skip

    def numbers(self, tag):
        n = self.key(tag, "n")
        amount = number(self.random.randrange(-1000, 1000))
        return self.random.choice(
            [
                [b"INCR", n],
                [b"DECR", n],
                [b"INCRBY", n, amount],
                [b"DECRBY", n, amount],
                [b"INCRBYFLOAT", self.key(tag, "f"), number(self.random.randrange(-400, 400) / 4)],
                [b"INCR", self.key(tag, "b")],
                [b"GET", n],
            ]
        )

    def keys(self, tag):
        kind = self.random.choice("bnfq")
        k, other = self.key(tag, kind), self.key(tag, kind)
        db = number(self.random.choice([db for db in self.databases if db != self.db]))
        past = number(now_ms() - 100_000)
        copy = [b"COPY", k, other] if k != other else [b"COPY", k, k, b"DB", db]
        return self.random.choice(
            [
                [b"DEL", k],
                [b"UNLINK", k, other],
                [b"TYPE", k],
                [b"EXPIRE", k, number(FAR_MS // 1000)],
                [b"PEXPIRE", k, number(FAR_MS)],
                [b"EXPIREAT", k, number(self.future() // 1000)],
                [b"PEXPIREAT", k, self.random.choice([number(self.future()), past])],
                [b"PERSIST", k],
                [b"RENAME", k, other],
                [b"RENAMENX", k, other],
                copy,
                [*copy, b"REPLACE"],
                [b"COPY", k, other, b"DB", db],
                [b"MOVE", k, db],
            ]
        )

    def conditions(self, tag):
        b, pick = self.key(tag, "b"), self.random.choice
        value = self.bytes(1)
        return pick(
            [
                [b"CAS", b, self.bytes(1), value, *self.expiry()],
                [b"CASREV", b, pick([b"0", b"1"]), value, *self.expiry()],
                [b"SET", b, value],
                [b"DELEX", b, pick([b"IFEQ", b"IFNE"]), value],
                [b"DELIFEQ", b, value],
                [b"EXTEND", b, number(FAR_MS)],
                [b"GETREV", b],
            ]
        )

    def locks(self, tag):
        name, owner = self.key(tag, "l"), self.owner()
        lease = number(FAR_MS + self.random.randrange(1000))
        return self.random.choice(
            [
                [b"LOCK", name, owner, lease],
                [b"LOCK", name, owner, lease],
                [b"UNLOCK", name, owner],
                [b"LOCK", name, owner, b"1000"],
                [b"CAS", name, owner, b"x"],
                [b"DEL", name],
            ]
        )

    def sequences(self, tag):
        name = self.key(tag, "q")
        return self.random.choice(
            [
                [b"SEQNEXT", name],
                [b"SEQNEXT", name, b"COUNT", number(self.random.randrange(1, 100))],
                [b"SEQCREATE", name, b"START", number(self.random.randrange(1000))],
            ]
        )

    def larges(self, tag):
        g = self.key(tag, "g")
        size = self.random.choice([1000, 5000, 70_000, 300_000])
        return self.random.choice(
            [
                [b"SET", g, self.random.randbytes(size), *self.expiry()],
                [b"APPEND", g, self.random.randbytes(size // 20)],
                [b"SETRANGE", g, number(self.random.randrange(100_000)), self.random.randbytes(100)],
                [b"SETBIT", g, number(self.random.randrange(1_000_000)), b"1"],
                [b"DEL", g],
                [b"DEL", g],
            ]
        )

    def short_lived(self, tag):
        """Only ever written, never read: when it is gone depends on who looks."""
        at = now_ms() + self.random.choice([20, 200, 1000])
        return [b"SET", self.key(tag, "x"), self.bytes(), b"PXAT", number(at)]

    def restores(self, tag):
        payload, value = self.random.choice(self.payloads)
        key, ttl, options = self.key(tag, "b"), b"0", []
        if self.random.random() < 0.5:
            ttl, options = number(self.future()), [b"ABSTTL"]
        if self.random.random() < 0.7:
            options.append(b"REPLACE")
        return [b"RESTORE", key, ttl, payload, *options], [b"RESTORE", key, ttl, payload, *options, value]

    FAMILIES = [
        strings, patches, numbers, keys, conditions, locks, sequences, larges, short_lived, restores,
    ]  # fmt: skip
    WEIGHTS = [25, 14, 14, 16, 12, 8, 5, 2, 3, 2]


class Connection:
    """Keeps up to `depth` operations under way and gives their replies to the model."""

    def __init__(self, state: dict, generator: Generator):
        self.state = state  # the model of everything that was answered; {tag: databases}
        self.generator = generator
        self.under_way: list[Operation] = []
        self.answered = 0
        self.depth = 1
        self.socket: socket.socket | None = None

    def open(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.parser = Parser()
        self.out = bytearray()
        self.under_way = []
        self.generator.db = self.generator.databases[0]
        self.add(Operation([[b"SELECT", number(self.generator.db)]], []))

    def add(self, operation: Operation) -> None:
        operation.sent_ms = now_ms()
        self.under_way.append(operation)
        for request in operation.requests:
            self.out += encode(*request)

    def fill(self) -> None:
        # A full burst at a time, so that pipelines arrive as such.
        if len(self.under_way) <= self.depth // 2 and len(self.out) < 1 << 20:
            while len(self.under_way) < self.depth:
                self.add(self.generator.next())

    def write(self) -> None:
        try:
            del self.out[: self.socket.send(self.out)]
        except BlockingIOError:
            pass

    def read(self) -> None:
        """Takes what has arrived; Closed at the end."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed
        self.parser.feed(data)
        while (reply := self.parser.next()) is not None:
            operation = self.under_way[0]
            operation.replies.append(reply[0])
            if operation.is_answered():
                self.under_way.pop(0)
                self.answered += 1
                if operation.parts:
                    apply_answered(self.state, operation, now_ms())

    def drain(self) -> None:
        """After the server's end: what it had sent counts as answered."""
        self.socket.settimeout(10)
        try:
            while True:
                self.read()
        except (Closed, TimeoutError):
            pass
        self.socket.close()


def run_load(connections: list[Connection], is_over) -> None:
    """Until is_over(), asked all the time, is true, or the server closes a connection."""
    while not is_over():
        for connection in connections:
            connection.fill()
        readable, writable, _ = select.select(
            [c.socket for c in connections], [c.socket for c in connections if c.out], [], 0.01
        )
        for connection in connections:
            try:
                if connection.socket in writable:
                    connection.write()
                if connection.socket in readable:
                    connection.read()
            except (Closed, ConnectionError):
                return
