"""The keyspace that crash.py expects: what every command does to it and answers, and which states a
server may come back with after a crash.

A connection has databases and keys of its own, so what it sees depends on its own requests only. Keys
are grouped by hash tag. All keys of one request carry one tag, except for MSET, DEL and such, FLUSHDB
and SWAPDB: these have one part for each tag.

What a crash may do (check_connection): every request that was answered is there; of those that were
not, a first part, in the order they were sent. With one log that is one cut for the whole connection.
With several logs it is one cut for each tag, because the logs end independently. Each request, also a
whole MULTI, is there fully or not at all (with several logs: in each tag).
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from resp import ReplyError

UNKNOWN = object()  # the reply of a request that got none
NOT_INTEGER = "ERR value is not an integer or out of range"
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NO_SUCH_KEY = "ERR no such key"
CLOCK_SLACK_MS = 50  # a server may read the clock once for many requests
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class Object(NamedTuple):
    kind: str  # "string", "lock", "sequence"
    value: object  # bytes; (owner, token or None if not known); next number
    expire: tuple[int, int] | None = None  # unix ms, between these; None: never
    revision: int | None = None  # None: not known


class Window(NamedTuple):
    """Between which unix times in ms something happened."""

    low: int
    high: int


class Mismatch(Exception):
    """A reply or state that can't be."""


Databases = dict[int, dict[bytes, Object]]  # of one tag


class Text(str):
    """An expected error."""


def expect(reply, expected) -> None:
    if reply is UNKNOWN:
        return
    if isinstance(expected, Text):
        if not isinstance(reply, ReplyError) or str(reply) != expected:
            raise Mismatch(f"expected the error {expected!r}, got {reply!r}")
    elif isinstance(reply, ReplyError) or reply != expected:
        raise Mismatch(f"expected {str(expected)[:200]!r}, got {str(reply)[:200]!r}")


def expect_that(reply, condition, what: str) -> None:
    if reply is not UNKNOWN and not condition:
        raise Mismatch(f"{what}: got {reply!r}")


def as_int(value: bytes) -> int | None:
    try:
        number = int(value)
    except ValueError:
        return None
    return number if str(number).encode() == value and INT_MIN <= number <= INT_MAX else None


def format_decimal(number: Decimal) -> bytes:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.encode()


class Keys:
    """Executes one command on one tag's keys in one database. Window is when the server did."""

    def __init__(self, databases: Databases, db: int, window: Window):
        self.databases = databases
        self.db = db
        self.keys = databases.setdefault(db, {})
        self.window = window

    def run(self, args: list[bytes], reply) -> None:
        getattr(self, args[0].decode().lower())(args[1:], reply)

    # ---- helpers

    def string(self, key: bytes) -> bytes | None:
        """The value of a string, None when it is missing."""
        found = self.keys.get(key)
        return None if found is None else found.value

    def is_other(self, key: bytes, reply, kind="string") -> bool:
        """True, with WRONGTYPE expected, when the key is of another kind."""
        found = self.keys.get(key)
        if found is None or found.kind == kind:
            return False
        expect(reply, Text(WRONG_TYPE))
        return True

    def put(self, key: bytes, value: bytes, expire=None, revision=None) -> None:
        self.keys[key] = Object("string", value, expire, revision)

    def change(self, key: bytes, value: bytes) -> None:
        """Another value with the same expiry."""
        found = self.keys.get(key)
        self.put(key, value, found.expire if found else None)

    def expiry(self, options: list[bytes], key: bytes):
        """What EX, PX, EXAT, PXAT, KEEPTTL among the options mean."""
        for i, option in enumerate(options):
            name = option.upper()
            if name == b"KEEPTTL":
                return self.keys[key].expire if key in self.keys else None
            if name in (b"EX", b"PX", b"EXAT", b"PXAT"):
                amount = int(options[i + 1]) * (1000 if name in (b"EX", b"EXAT") else 1)
                return (amount, amount) if name.endswith(b"AT") else self.relative(amount)
        return None

    def relative(self, ms: int) -> tuple[int, int]:
        return (self.window.low + ms - CLOCK_SLACK_MS, self.window.high + ms)

    # ---- strings

    def get(self, args, reply):
        if not self.is_other(args[0], reply):
            expect(reply, self.string(args[0]))

    def strlen(self, args, reply):
        if not self.is_other(args[0], reply):
            expect(reply, len(self.string(args[0]) or b""))

    def set(self, args, reply):
        key, value, options = args[0], args[1], [a.upper() if len(a) < 8 else a for a in args[2:]]
        old = self.keys.get(key)
        gets = b"GET" in options
        if old is not None and old.kind != "string" and (gets or b"IFEQ" in options or old.kind == "lock"):
            expect(reply, Text(WRONG_TYPE))
            return
        holds = True
        if b"NX" in options:
            holds = old is None
        elif b"XX" in options:
            holds = old is not None
        elif b"IFEQ" in options:
            holds = old is not None and old.value == args[2 + options.index(b"IFEQ") + 1]
        elif b"IFNE" in options:
            holds = old is None or old.value != args[2 + options.index(b"IFNE") + 1]
        if gets:
            expect(reply, old.value if old else None)
        else:
            expect(reply, "OK" if holds else None)
        if holds:
            self.put(key, value, self.expiry(options, key))

    def setnx(self, args, reply):
        expect(reply, int(args[0] not in self.keys))
        if args[0] not in self.keys:
            self.put(args[0], args[1])

    def setex(self, args, reply):
        expect(reply, "OK")
        self.put(args[0], args[2], self.relative(int(args[1]) * 1000))

    def psetex(self, args, reply):
        expect(reply, "OK")
        self.put(args[0], args[2], self.relative(int(args[1])))

    def getset(self, args, reply):
        expect(reply, self.string(args[0]))
        self.put(args[0], args[1])

    def getdel(self, args, reply):
        expect(reply, self.string(args[0]))
        self.keys.pop(args[0], None)

    def getex(self, args, reply):
        found = self.keys.get(args[0])
        expect(reply, found.value if found else None)
        if found is None:
            return
        if args[1].upper() == b"PERSIST":
            self.put(args[0], found.value)
        else:
            self.put(args[0], found.value, self.expiry(args[1:], args[0]))

    def mset(self, args, reply):
        expect(reply, "OK")
        for key, value in zip(args[::2], args[1::2]):
            self.put(key, value)

    def msetnx(self, args, reply):
        free = not any(key in self.keys for key in args[::2])
        expect(reply, int(free))
        if free:
            for key, value in zip(args[::2], args[1::2]):
                self.put(key, value)

    def msetex(self, args, reply):
        count = int(args[0])
        pairs, options = args[1 : 1 + 2 * count], [o.upper() for o in args[1 + 2 * count :]]
        present = [key in self.keys for key in pairs[::2]]
        holds = (b"NX" not in options or not any(present)) and (b"XX" not in options or all(present))
        expect(reply, int(holds))
        if holds:
            for key, value in zip(pairs[::2], pairs[1::2]):
                self.put(key, value, self.expiry(options, key))

    def append(self, args, reply):
        value = (self.string(args[0]) or b"") + args[1]
        expect(reply, len(value))
        self.change(args[0], value)

    def setrange(self, args, reply):
        offset, old = int(args[1]), self.string(args[0]) or b""
        if args[2]:
            new = old[:offset].ljust(offset, b"\0") + args[2] + old[offset + len(args[2]) :]
            self.change(args[0], new)
            old = new
        expect(reply, len(old))

    def incrby(self, args, reply):
        if self.is_other(args[0], reply):
            return
        value = self.string(args[0])
        old = 0 if value is None else as_int(value)
        if old is None:
            expect(reply, Text(NOT_INTEGER))
            return
        new = old + int(args[1])
        expect(reply, new)
        self.change(args[0], str(new).encode())

    def incr(self, args, reply):
        self.incrby([args[0], b"1"], reply)

    def decr(self, args, reply):
        self.incrby([args[0], b"-1"], reply)

    def decrby(self, args, reply):
        self.incrby([args[0], str(-int(args[1])).encode()], reply)

    def incrbyfloat(self, args, reply):
        value = self.string(args[0])
        new = format_decimal(Decimal("0" if value is None else value.decode()) + Decimal(args[1].decode()))
        expect(reply, new)
        self.change(args[0], new)

    # ---- bits

    def setbit(self, args, reply):
        offset, bit = int(args[1]), int(args[2])
        value = bytearray((self.string(args[0]) or b"").ljust(offset // 8 + 1, b"\0"))
        mask = 0x80 >> offset % 8
        expect(reply, int(bool(value[offset // 8] & mask)))
        value[offset // 8] = value[offset // 8] & ~mask | (mask if bit else 0)
        self.change(args[0], bytes(value))

    def bitcount(self, args, reply):
        expect(reply, sum(byte.bit_count() for byte in self.string(args[0]) or b""))

    def bitop(self, args, reply):
        operation, target, sources = args[0].upper(), args[1], args[2:]
        values = [self.string(key) or b"" for key in sources]
        size = max(map(len, values))
        values = [value.ljust(size, b"\0") for value in values]
        result = bytearray(values[0])
        if operation == b"NOT":
            result = bytearray(~byte & 0xFF for byte in result)
        for value in values[1:]:
            for i, byte in enumerate(value):
                if operation == b"AND":
                    result[i] &= byte
                elif operation == b"OR":
                    result[i] |= byte
                else:
                    result[i] ^= byte
        expect(reply, size)
        if size:
            self.put(target, bytes(result))
        else:
            self.keys.pop(target, None)

    def bitfield(self, args, reply):
        """Only INCRBY u16 at #offset, wrapping, and SET u8 at #offset."""
        key, replies = args[0], []
        value = bytearray(self.string(key) or b"")
        for i in range(1, len(args), 4):
            operation, size = args[i].upper(), int(args[i + 1][1:]) // 8
            at, amount = int(args[i + 2][1:]) * size, int(args[i + 3])
            value = value.ljust(at + size, b"\0")
            old = int.from_bytes(value[at : at + size], "big")
            new = (old + amount if operation == b"INCRBY" else amount) % (1 << 8 * size)
            value[at : at + size] = new.to_bytes(size, "big")
            replies.append(new if operation == b"INCRBY" else old)
        expect(reply, replies)
        self.change(key, bytes(value))

    # ---- keys

    def delete(self, args, reply):
        count = sum(key in self.keys for key in dict.fromkeys(args))
        expect(reply, count)
        for key in args:
            self.keys.pop(key, None)

    unlink = delete

    def exists(self, args, reply):
        expect(reply, sum(key in self.keys for key in args))

    def type(self, args, reply):
        found = self.keys.get(args[0])
        expect(reply, found.kind if found else "none")

    def set_expire(self, key: bytes, expire, reply) -> None:
        found = self.keys.get(key)
        if found is not None and found.kind == "lock":
            return  # not generated: a lock has its lease
        expect(reply, int(found is not None))
        if found is None:
            return
        if expire[1] < self.window.low:
            del self.keys[key]
        else:
            self.keys[key] = Object(found.kind, found.value, expire)

    def expire(self, args, reply):
        self.set_expire(args[0], self.relative(int(args[1]) * 1000), reply)

    def pexpire(self, args, reply):
        self.set_expire(args[0], self.relative(int(args[1])), reply)

    def expireat(self, args, reply):
        self.set_expire(args[0], (int(args[1]) * 1000,) * 2, reply)

    def pexpireat(self, args, reply):
        self.set_expire(args[0], (int(args[1]),) * 2, reply)

    def persist(self, args, reply):
        found = self.keys.get(args[0])
        expect(reply, int(found is not None and found.expire is not None))
        if found is not None and found.expire is not None:
            self.keys[args[0]] = Object(found.kind, found.value)

    def rename(self, args, reply):
        found = self.keys.get(args[0])
        if found is None:
            expect(reply, Text(NO_SUCH_KEY))
            return
        expect(reply, "OK")
        if args[0] != args[1]:
            del self.keys[args[0]]
            self.keys[args[1]] = found._replace(revision=None)

    def renamenx(self, args, reply):
        found = self.keys.get(args[0])
        if found is None:
            expect(reply, Text(NO_SUCH_KEY))
            return
        free = args[1] not in self.keys
        expect(reply, int(free))
        if free:
            del self.keys[args[0]]
            self.keys[args[1]] = found._replace(revision=None)

    def copy(self, args, reply):
        options = [o.upper() for o in args[2:]]
        target = self.keys
        if b"DB" in options:
            target = self.databases.setdefault(int(options[options.index(b"DB") + 1]), {})
        found = self.keys.get(args[0])
        done = found is not None and (b"REPLACE" in options or args[1] not in target)
        expect(reply, int(done))
        if done:
            target[args[1]] = found._replace(revision=None)

    def move(self, args, reply):
        target = self.databases.setdefault(int(args[1]), {})
        found = self.keys.get(args[0])
        done = found is not None and args[0] not in target
        expect(reply, int(done))
        if done:
            del self.keys[args[0]]
            target[args[0]] = found._replace(revision=None)

    def restore(self, args, reply):
        """The payload stands behind the options here, as the value that it holds."""
        key, ttl, options, value = args[0], int(args[1]), args[3:-1], args[-1]
        if b"REPLACE" not in options and key in self.keys:
            expect(reply, Text("BUSYKEY Target key name already exists."))
            return
        expect(reply, "OK")
        expire = None
        if ttl:
            expire = (ttl, ttl) if b"ABSTTL" in options else self.relative(ttl)
        self.put(key, value, expire)

    def flushdb(self, _args, reply):
        expect(reply, "OK")
        self.keys.clear()

    def swapdb(self, args, reply):
        expect(reply, "OK")
        a, b = int(args[0]), int(args[1])
        databases = self.databases
        databases[a], databases[b] = databases.get(b, {}), databases.get(a, {})

    # ---- revisions

    def getrev(self, args, reply):
        found = self.keys.get(args[0])
        if found is None:
            expect(reply, None)
            return
        expect_that(reply, isinstance(reply, list) and len(reply) == 3, "value, revision and version")
        if reply is UNKNOWN:
            return
        expect(reply[0], found.value)
        expect_that(reply, reply[2] >= 1, "a version")
        self.learn(args[0], reply[1], reply)

    def learn(self, key: bytes, revision: int, reply) -> None:
        """The server names the key's revision."""
        found = self.keys[key]
        expect_that(reply, found.revision in (None, revision), f"the revision was {found.revision}")
        expect_that(reply, 0 < revision < 2**53, "a revision")
        self.keys[key] = found._replace(revision=revision)

    def outcome(self, key: bytes, done: bool, new: bytes, expire, reply) -> None:
        """Of CAS and CASREV: whether it was done, and the revision."""
        found = self.keys.get(key)
        expect_that(reply, isinstance(reply, list) and len(reply) == 2, "done and revision")
        if done:
            self.put(key, new, expire)
        if reply is UNKNOWN:
            return
        expect(reply[0], int(done))
        if done:
            before = found.revision if found else None
            expect_that(reply, before is None or reply[1] > before, f"a revision above {before}")
        if key in self.keys:
            self.learn(key, reply[1], reply)
        else:
            expect(reply[1], 0)

    def cas(self, args, reply):
        if self.is_other(args[0], reply):
            return
        found = self.keys.get(args[0])
        done = found is not None and found.value == args[1]
        self.outcome(args[0], done, args[2], self.expiry(args[3:], args[0]), reply)

    def casrev(self, args, reply):
        """Only with revision 0 and 1: the key must not exist, and never."""
        if self.is_other(args[0], reply):
            return
        done = args[0] not in self.keys and args[1] == b"0"
        self.outcome(args[0], done, args[2], self.expiry(args[3:], args[0]), reply)

    def extend(self, args, reply):
        found = self.keys.get(args[0])
        expect_that(reply, isinstance(reply, list) and len(reply) == 2, "done and revision")
        if reply is not UNKNOWN:
            expect(reply[0], int(found is not None))
        if found is not None:
            self.keys[args[0]] = found._replace(expire=self.relative(int(args[1])))
            if reply is not UNKNOWN:
                self.learn(args[0], reply[1], reply)

    def delex(self, args, reply):
        found = self.keys.get(args[0])
        done = found is not None
        if done and len(args) == 3:
            equal = found.value == args[2]
            done = equal if args[1].upper() == b"IFEQ" else not equal
        expect(reply, int(done))
        if done:
            del self.keys[args[0]]

    def delifeq(self, args, reply):
        self.delex([args[0], b"IFEQ", args[1]], reply)

    # ---- locks and sequences

    def lock(self, args, reply):
        if self.is_other(args[0], reply, "lock"):
            return
        found = self.keys.get(args[0])
        if found is not None and found.value[0] != args[1]:
            expect(reply, None)
            return
        token = found.value[1] if found else None
        expect_that(reply, isinstance(reply, int), "a token")
        expect_that(reply, token is None or reply == token, f"the token was {token}")
        self.keys[args[0]] = Object("lock", (args[1], token if reply is UNKNOWN else reply))

    def unlock(self, args, reply):
        found = self.keys.get(args[0])
        held = found is not None and found.value[0] == args[1]
        expect(reply, int(held))
        if held:
            del self.keys[args[0]]

    def seqcreate(self, args, reply):
        if args[0] in self.keys:
            expect(reply, Text("ERR sequence already exists"))
            return
        expect(reply, "OK")
        self.keys[args[0]] = Object("sequence", int(args[2]))

    def seqnext(self, args, reply):
        found = self.keys.get(args[0])
        first = found.value if found else 1
        count = int(args[2]) if len(args) == 3 else 1
        expect(reply, [first, first + count - 1] if len(args) == 3 else first)
        self.keys[args[0]] = Object("sequence", first + count, found.expire if found else None)


COMMANDS_OF_OTHER_NAMES = {b"DEL": b"DELETE"}


@dataclass
class Operation:
    """Requests that are one: a command, or a MULTI with its EXEC.

    parts: what they do, as (tag, database, arguments, which): `which` is the position among the
    commands of a transaction, None of a command that stands alone.
    """

    requests: list[list[bytes]]
    parts: list[tuple[bytes, int, list[bytes], int | None]]
    sent_ms: int = 0
    replies: list = field(default_factory=list)
    # The reply is the sum of what the parts would answer (DEL, EXISTS over several tags).
    sums: bool = False

    def is_answered(self) -> bool:
        return len(self.replies) == len(self.requests)


def apply_part(state: dict[bytes, Databases], part, window: Window, reply) -> None:
    tag, db, args, _ = part
    keys = Keys(state.setdefault(tag, {}), db, window)
    keys.run([COMMANDS_OF_OTHER_NAMES.get(args[0], args[0]), *args[1:]], reply)


def apply_answered(state: dict[bytes, Databases], operation: Operation, now_ms: int) -> None:
    """Takes an answered operation over; Mismatch when a reply can't be."""
    window = Window(operation.sent_ms, now_ms)
    last = operation.replies[-1]
    try:
        if operation.sums:
            # Each part's own share isn't visible: count what vanishes, or is there.
            expected = sum(_share(state, part) for part in operation.parts)
            expect(last, expected)
        transaction = len(operation.requests) > 1
        if transaction:
            expect(operation.replies[0], "OK")
            for reply in operation.replies[1:-1]:
                expect(reply, "QUEUED")
            expect_that(last, isinstance(last, list) and len(last) == len(operation.parts), "as many replies")
        for part in operation.parts:
            reply = UNKNOWN if operation.sums else last[part[3]] if transaction else last
            apply_part(state, part, window, reply)
    except Mismatch as mismatch:
        raise Mismatch(f"{show(operation)}: {mismatch}") from None


def _share(state, part) -> int:
    tag, db, args, _ = part
    keys = state.get(tag, {}).get(db, {})
    return sum(key in keys for key in (args[1:] if args[0] == b"EXISTS" else dict.fromkeys(args[1:])))


def show(operation: Operation) -> str:
    return " ; ".join(b" ".join(arg[:60] for arg in request).decode("latin1") for request in operation.requests)


def copy_state(state: dict[bytes, Databases]) -> dict[bytes, Databases]:
    """Everything below the dictionaries is immutable."""
    return {tag: {db: dict(keys) for db, keys in dbs.items()} for tag, dbs in state.items()}


# --- After a crash ------------------------------------------------------------------------------


def difference(expected: Databases, actual: Databases, read: Window) -> str | None:
    """How the actual keys of a tag contradict the expected ones, None when they don't."""
    for db in sorted(expected.keys() | actual.keys()):
        wanted, found = expected.get(db, {}), actual.get(db, {})
        for key in wanted.keys() | found.keys():
            fault = _key_difference(wanted.get(key), found.get(key), read)
            if fault:
                return f"db {db}, key {key.decode('latin1')}: {fault}"
    return None


def _key_difference(wanted: Object | None, found: Object | None, read: Window) -> str | None:
    if wanted is not None and wanted.expire is not None:
        if wanted.expire[1] < read.low:
            wanted = None  # has expired
        elif wanted.expire[0] <= read.high and found is None:
            return None  # perhaps expired just now
    if wanted is None or found is None:
        return None if wanted is found else f"expected {brief(wanted)}, found {brief(found)}"
    same = wanted.kind == found.kind
    if same and wanted.kind == "lock":
        (owner, token), (found_owner, found_token) = wanted.value, found.value
        # A lease isn't compared: it starts again with the server.
        same = owner == found_owner and token in (None, found_token)
    elif same:
        same = wanted.value == found.value and (wanted.expire is None) == (found.expire is None)
        if same and wanted.expire is not None:
            same = wanted.expire[0] <= found.expire[0] <= wanted.expire[1]
        if same and wanted.revision is not None and found.revision is not None:
            same = wanted.revision == found.revision
    return None if same else f"expected {brief(wanted)}, found {brief(found)}"


def brief(thing: Object | None) -> str:
    if thing is None:
        return "nothing"
    value = thing.value
    if isinstance(value, bytes) and len(value) > 60:
        value = f"{value[:40]!r}… of {len(value)} bytes"
    return f"{thing.kind} {value!r}, expiry {thing.expire}, revision {thing.revision}"


def check_connection(
    state: dict[bytes, Databases],
    doubtful: list[Operation],
    actual: dict[bytes, Databases],
    read: Window,
    crashed_ms: int,
    one_log: bool,
) -> None:
    """Whether `actual`, read within `read`, can be what a crash left of `state` (everything that was
    answered) and of the operations that were not, in the order they were sent. Raises Mismatch."""
    if one_log:
        _find_cut(state, doubtful, actual, read, crashed_ms, "the connection")
        return
    for tag in sorted(state.keys() | actual.keys() | {part[0] for op in doubtful for part in op.parts}):
        own = []
        for op in doubtful:
            parts = [part for part in op.parts if part[0] == tag]
            if parts:
                own.append(Operation(op.requests, parts, op.sent_ms))
        _find_cut({tag: state.get(tag, {})}, own, {tag: actual.get(tag, {})}, read, crashed_ms, f"tag {tag.decode()}")


def _find_cut(state, doubtful, actual, read: Window, crashed_ms: int, what: str) -> None:
    candidate = copy_state(state)
    faults = []
    for count in range(len(doubtful) + 1):
        if count > 0:
            operation = doubtful[count - 1]
            for part in operation.parts:
                apply_part(candidate, part, Window(operation.sent_ms, crashed_ms), UNKNOWN)
        fault = next(
            (
                fault
                for tag in candidate.keys() | actual.keys()
                if (fault := difference(candidate.get(tag, {}), actual.get(tag, {}), read))
            ),
            None,
        )
        if fault is None:
            return
        faults.append(fault)
    lines = [f"no cut fits the state that {what} left, {len(doubtful)} operations were in doubt"]
    for count, fault in list(enumerate(faults))[:40]:
        lines.append(f"  with {count} of them ({show(doubtful[count - 1]) if count else 'none'}): {fault}")
    raise Mismatch("\n".join(lines))
