"""Replies as they came, and whether two of them say the same. For tests/fuzz/sequences.

A reply is (kind, value): the first byte on the wire, and bytes, a list of replies, or None for a null.
So `+OK` and `$2 OK`, or a set and an array, are not the same.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """An intended difference: command and both replies match."""

    command: str  # regular expressions
    holdfast: str
    redis: str
    reason: str
    beside: str = ""  # only in a sequence in which a command matches
    ends: bool = False  # what comes behind it isn't compared: the states differ


KNOWN = (
    Known(r"^B[LRZ]", "-ERR timeout is out of range", "-ERR timeout is negative",
          "Redis converts a number that is too large for its type, which C++ doesn't define"),
    Known("^OBJECT REFCOUNT", ":1", ":2147483647", "small integers aren't shared objects here"),
    Known("^OBJECT IDLETIME", ":", ":", "small integers, which are shared, are all used at once in Redis"),
    Known("^(OBJECT|XGROUP|XINFO) HELP", "(not allowed from script|string|table)", "", "scripts get no help here"),
    Known("^OBJECT ENCODING", "listpack", "skiplist",
          "SORT changes how Redis keeps a sorted set that it only reads", beside="^SORT"),
    Known("^OBJECT ENCODING", "(int|embstr)", "(embstr|raw)",
          "the encoding of a string is told by its value here", beside="^(INCRBYFLOAT|APPEND|SET(RANGE|BIT)|BITFIELD)"),
    Known("^LPOS .* RANK -9223372036854775808", "-ERR value is out of range, must be greater", "",
          "Redis takes the absolute value of it, which C++ doesn't define"),
    Known("^EVAL.* LPOS .* RANK -9223372036854775808", "", "", "the same"),
    Known("^EXEC", r"\(nil", r"^\[", "all changes of a stream are seen by WATCH here", beside="^X(GROUP|READG|ACK|CLAIM|AUTOC)", ends=True),
    Known("^EXEC", r"^\[", r"\(nil", "what is written with a time that has passed isn't written at all here",
          beside=r"(EXAT|PXAT) \+?\d{1,10}( |$)", ends=True),
    Known("^OBJECT ENCODING", "(listpack|intset)", "(hashtable|skiplist)",
          "what is copied, or read again from the disk, is kept as its elements are now",
          beside="^(@|COPY|RESTORE)"),
    Known("^Z", "", r"(^|[\[ ,':])-0(?![.\d])", "whether -0 is kept, is told by how Redis keeps the set"),
    Known("^Z", r"(^|[\[ ,':])-0(?![.\d])", "", "the same, where Redis has read it from a dump"),
    Known("", "INVALIDOBJ", "^[^-]", "damage is found where Redis doesn't look", beside="^(APPEND|SET|BITFIELD)", ends=True),
    Known("^SORT", "^[^-]", "-ERR One or more scores", "Redis takes errno from an earlier command", ends=True),
    Known("^SCAN [^0]", "-ERR invalid cursor", "^\\[", "a cursor that no SCAN gave, in a slot that doesn't exist"),
    Known("^RESTORE", "-ERR invalid expire time", "OK", "Redis adds without looking at the overflow", ends=True),
)  # fmt: skip


class Undefined(Exception):
    """The rest of the sequence isn't compared."""


TOLERANCE_MS = 60_000
TIMES = {"TTL": 60, "EXPIRETIME": 60, "PTTL": TOLERANCE_MS, "PEXPIRETIME": TOLERANCE_MS}
ELEMENTS = {"SMEMBERS", "SPOP", "SINTER", "SUNION", "SDIFF", "KEYS", "HKEYS", "HVALS"}
SCANS = {"SCAN", "SSCAN", "HSCAN", "ZSCAN"}
BY_CHANCE = {"SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER", "RANDOMKEY", "DUMP"}
# Of XINFO: how Redis keeps a stream.
INSIDE = (b"radix-tree-keys", b"radix-tree-nodes")


class Incomplete(Exception):
    pass


class Replies:
    """Replies out of a stream of bytes."""

    def __init__(self):
        self.data = b""

    def take(self, more: bytes) -> list:
        """The replies that are complete with this."""
        self.data += more
        replies, at = [], 0
        while at < len(self.data):
            try:
                reply, at = self._parse(at)
            except Incomplete:
                break
            replies.append(reply)
        self.data = self.data[at:]
        return replies

    def _parse(self, at: int):
        end = self.data.find(b"\r\n", at)
        if end < 0:
            raise Incomplete
        kind, text, at = self.data[at : at + 1].decode("latin-1"), self.data[at + 1 : end], end + 2
        if kind in "$=":
            length = int(text)
            if length < 0:
                return (kind, None), at
            if len(self.data) < at + length + 2:
                raise Incomplete
            return (kind, self.data[at : at + length]), at + length + 2
        if kind in "*~>%":
            count = int(text) * (2 if kind == "%" else 1)
            if count < 0:
                return (kind, None), at
            items = []
            for _ in range(count):
                item, at = self._parse(at)
                items.append(item)
            return (kind, items), at
        if kind not in "+-:_#,(":
            raise ValueError(f"a reply begins with {kind!r} {text[:40]!r}")
        return (kind, None if kind == "_" else text), at


def show(reply) -> str:
    kind, value = reply
    if value is None:
        return "(nil)" if kind == "_" else f"(nil {kind})"
    if isinstance(value, list):
        brackets = {"*": "[]", "~": "~[]", "%": "%[]", ">": ">[]"}[kind]
        return f"{brackets[:-1]}{', '.join(map(show, value))}{brackets[-1]}"
    if kind == "$":
        return repr(value)[1:]
    return kind + value.decode("latin-1")


def same(words: list[str], ours, theirs, commands: list[str]) -> bool:
    """Whether these replies of Holdfast and of Redis to a command mean the same. `commands`: those
    of the sequence."""
    if ours == theirs:
        return True
    if words[0].upper() in ("EVAL", "EVAL_RO") and len(words) > 3:
        words = words[3:]
    upper = [word.upper() for word in words]
    head = upper[0]
    (our_kind, our), (their_kind, their) = ours, theirs
    if our_kind == their_kind and our is not None and their is not None and our_kind != "-":
        if head in TIMES and our_kind == ":":
            return min(int(our), int(their)) > 0 and abs(int(our) - int(their)) <= TIMES[head]
        if isinstance(our, list) and same_lists(head, upper, our, their):
            return True
    if head == "DBSIZE" and our_kind == their_kind == ":":
        return int(our) < int(their)  # Redis counts keys that have expired until it looks at them
    if head in BY_CHANCE and our_kind == their_kind and (our is None) == (their is None):
        return not isinstance(our, list) or len(our) == len(their)
    if our_kind == their_kind == "-" and re.sub(b"\0[^']*", b"", our) == their:
        return True  # Redis's errors quote an argument up to a NUL
    return is_known(" ".join(words), show(ours), show(theirs), commands)


def is_known(command: str, ours: str, theirs: str, commands: list[str]) -> bool:
    for known in KNOWN:
        matches = re.search(known.command, command, re.I | re.S) and re.search(known.holdfast, ours)
        if not matches or not re.search(known.redis, theirs):
            continue
        if known.beside and not any(re.search(known.beside, command, re.I) for command in commands):
            continue
        if known.ends:
            raise Undefined
        return True
    return False


def same_lists(head: str, upper: list[str], ours: list, theirs: list) -> bool:
    if head in ELEMENTS:
        return counted(ours) == counted(theirs)
    if head == "HGETALL":
        return pairs(ours) == pairs(theirs)
    if head in SCANS and len(ours) == len(theirs) == 2:
        if ours[0] != theirs[0] or upper[1 if head == "SCAN" else 2] != "0":
            return True  # a cursor is whatever the server likes
        as_pairs = head in ("HSCAN", "ZSCAN")
        return (pairs if as_pairs else counted)(ours[1][1]) == (pairs if as_pairs else counted)(theirs[1][1])
    if head.startswith("GEO") and not {"ASC", "DESC", "COUNT"} & set(upper):
        return counted(ours) == counted(theirs)
    if head.startswith("SORT"):
        is_free = "BY" in upper and ("ALPHA" in upper or any("*" not in w for w in after(upper, "BY")))
        return is_free and counted(ours) == counted(theirs)
    if head == "XPENDING":
        return len(ours) == len(theirs) and all(map(same_pending, ours, theirs))
    if head == "XINFO":
        return same_info(ours, theirs)
    return False


def after(words: list[str], name: str) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words[:-1]) if word == name]


def counted(items: list) -> list:
    return sorted(map(repr, items))


def pairs(items: list) -> list:
    return counted(list(zip(items[::2], items[1::2]))) if len(items) % 2 == 0 else items


def same_pending(ours, theirs) -> bool:
    """[id, consumer, idle, count]"""
    left, right = ours[1], theirs[1]
    if not isinstance(left, list) or not isinstance(right, list) or len(left) != 4 or len(right) != 4:
        return ours == theirs
    return left[:2] == right[:2] and left[3] == right[3] and abs(int(left[2][1]) - int(right[2][1])) <= TOLERANCE_MS


def same_info(ours: list, theirs: list) -> bool:
    """What XINFO says, but for times and how it is kept."""
    if len(ours) != len(theirs):
        return False
    name = None
    for left, right in zip(ours, theirs):
        if isinstance(left[1], list) and isinstance(right[1], list):
            if left[0] != right[0] or not same_info(left[1], right[1]):
                return False
        elif left != right and name not in INSIDE:
            if left[0] != ":" or right[0] != ":":
                return False
            is_time = name == b"idle" or min(int(left[1]), int(right[1])) > 10**11
            if not is_time or abs(int(left[1]) - int(right[1])) > TOLERANCE_MS:
                return False
        name = left[1]
    return True


READS = {
    b"string": [["GET"]],
    b"hash": [["HGETALL"]],
    b"list": [["LRANGE", 0, -1]],
    b"set": [["SMEMBERS"]],
    b"zset": [["ZRANGE", 0, -1, "WITHSCORES"]],
    b"stream": [["XRANGE", "-", "+"], ["XINFO STREAM", "FULL", "COUNT", 0]],
}


def reads_of(kind: bytes, key: bytes) -> list[list]:
    """The commands that read all of a key."""
    commands = [["TYPE", key], ["PEXPIRETIME", key], ["OBJECT", "ENCODING", key]]
    for name, *rest in READS.get(kind, []):
        commands.append([*name.split(), key, *map(str, rest)])
    return commands
