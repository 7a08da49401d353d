"""Random commands for tests/fuzz/sequences.

A command is a line of GRAMMAR. In it `<name>` is a random value of that kind, `[…]` is there or not,
`(a|b)` is one of them, `…*` comes up to four times; everything else is itself. A sixth of the
commands is then damaged: arguments are dropped, doubled, exchanged or become something else, so that
arity, types, contradictory options and their order are tried as well.
"""

import random
import re

FAMILIES = (
    "strings", "bits", "hashes", "lists", "sets", "zsets", "geo", "streams", "hyperloglog", "sort", "keys",
)  # fmt: skip

GRAMMAR = {
    "strings": """
        SET <k> <v> [NX] [GET] [(EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|KEEPTTL)]
        SET <k> <v> [XX] [GET] [(EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|KEEPTTL)]
        SET <k> <num>
        SET <k> <float>
        SETNX <k> <v>
        SETEX <k> <sec> <v>
        PSETEX <k> <ms> <v>
        GET <k>
        GETDEL <k>
        GETEX <k> [(EX <sec>|PX <ms>|EXAT <at>|PXAT <atms>|PERSIST)]
        GETSET <k> <v>
        APPEND <k> <v>
        STRLEN <k>
        SETRANGE <k> <offset> <v>
        (GETRANGE|SUBSTR) <k> <idx> <idx>
        (INCR|DECR) <k>
        (INCRBY|DECRBY) <k> <int>
        INCRBYFLOAT <k> <float>
        MSET <k> <v> [<k> <v>]*
        MSETNX <k> <v> [<k> <v>]*
        MGET <k> [<k>]*
        LCS <k> <k> [LEN] [IDX] [MINMATCHLEN <idx>] [WITHMATCHLEN]
    """,
    "bits": """
        SETBIT <k> <offset> (0|1|2|<int>)
        GETBIT <k> <offset>
        BITCOUNT <k> [<idx> <idx> [(BYTE|BIT)]]
        BITPOS <k> (0|1|<int>) [<idx> [<idx> [(BYTE|BIT)]]]
        BITOP (AND|OR|XOR) <k> <k> [<k>]*
        BITOP NOT <k> <k> [<k>]
        BITFIELD <k> [(GET <bft> <bfo>|OVERFLOW (WRAP|SAT|FAIL)|SET <bft> <bfo> <int>|INCRBY <bft> <bfo> <int>)]*
        BITFIELD_RO <k> [GET <bft> <bfo>]*
        SET <k> <v>
    """,
    "hashes": """
        HSET <k> <f> <v> [<f> <v>]*
        HMSET <k> <f> <v> [<f> <v>]*
        HSETNX <k> <f> <v>
        HSET <k> <f> <num>
        HGET <k> <f>
        HMGET <k> <f> [<f>]*
        HDEL <k> <f> [<f>]*
        HEXISTS <k> <f>
        HLEN <k>
        HSTRLEN <k> <f>
        HINCRBY <k> <f> <int>
        HINCRBYFLOAT <k> <f> <float>
        (HGETALL|HKEYS|HVALS) <k>
        HRANDFIELD <k> [<count> [WITHVALUES]]
        HSCAN <k> 0 COUNT 1000 [MATCH <pat>]
        HSCAN <k> (0|<int>) [COUNT <count>] [MATCH <pat>]
    """,
    "lists": """
        (LPUSH|RPUSH) <k> <v> [<v>]*
        (LPUSHX|RPUSHX) <k> <v> [<v>]*
        (LPOP|RPOP) <k> [<count>]
        LLEN <k>
        LRANGE <k> <idx> <idx>
        LINDEX <k> <idx>
        LSET <k> <idx> <v>
        LINSERT <k> (BEFORE|AFTER|<v>) <v> <v>
        LREM <k> <idx> <v>
        LTRIM <k> <idx> <idx>
        LPOS <k> <v> [RANK <idx>] [COUNT <count>] [MAXLEN <count>]
        LMOVE <k> <k> (LEFT|RIGHT|<v>) (LEFT|RIGHT)
        RPOPLPUSH <k> <k>
        LMPOP <nkeys> (LEFT|RIGHT) [COUNT <count>]
        (BLPOP|BRPOP) <k> [<k>]* <timeout>
        BLMOVE <k> <k> (LEFT|RIGHT) (LEFT|RIGHT) <timeout>
        BRPOPLPUSH <k> <k> <timeout>
        BLMPOP <timeout> <nkeys> (LEFT|RIGHT) [COUNT <count>]
    """,
    "sets": """
        SADD <k> <m> [<m>]*
        SADD <k> <num> [<num>]*
        SREM <k> <m> [<m>]*
        SCARD <k>
        SISMEMBER <k> <m>
        SMISMEMBER <k> <m> [<m>]*
        SMEMBERS <k>
        SMOVE <k> <k> <m>
        SPOP <k> (1000|0|<badint>)
        SRANDMEMBER <k> [<count>]
        (SINTER|SUNION|SDIFF) <k> [<k>]*
        (SINTERSTORE|SUNIONSTORE|SDIFFSTORE) <k> <k> [<k>]*
        SINTERCARD <nkeys> [LIMIT <count>]
        SSCAN <k> 0 COUNT 1000 [MATCH <pat>]
    """,
    "zsets": """
        ZADD <k> [(NX|XX)] [(GT|LT)] [CH] [INCR] <score> <m> [<score> <m>]*
        ZADD <k> <score> <m> [<score> <m>]*
        ZINCRBY <k> <score> <m>
        ZREM <k> <m> [<m>]*
        ZCARD <k>
        ZSCORE <k> <m>
        ZMSCORE <k> <m> [<m>]*
        (ZRANK|ZREVRANK) <k> <m>
        ZCOUNT <k> <bound> <bound>
        ZADD <lexk> [(NX|XX)] [CH] 0 <m> [0 <m>]*
        ZREM <lexk> <m> [<m>]*
        ZLEXCOUNT <lexk> <lex> <lex>
        ZRANGE <k> <idx> <idx> [REV] [WITHSCORES]
        ZRANGE <k> <bound> <bound> BYSCORE [REV] [LIMIT <idx> <idx>] [WITHSCORES]
        ZRANGE <lexk> <lex> <lex> BYLEX [REV] [LIMIT <idx> <idx>] [WITHSCORES]
        ZREVRANGE <k> <idx> <idx> [WITHSCORES]
        (ZRANGEBYSCORE|ZREVRANGEBYSCORE) <k> <bound> <bound> [WITHSCORES] [LIMIT <idx> <idx>]
        (ZRANGEBYLEX|ZREVRANGEBYLEX) <lexk> <lex> <lex> [LIMIT <idx> <idx>]
        ZRANGESTORE <k> <k> <idx> <idx> [REV]
        ZRANGESTORE <k> <k> <bound> <bound> BYSCORE [REV] [LIMIT <idx> <idx>]
        ZRANGESTORE <k> <lexk> <lex> <lex> BYLEX [REV] [LIMIT <idx> <idx>]
        ZREMRANGEBYRANK <k> <idx> <idx>
        ZREMRANGEBYSCORE <k> <bound> <bound>
        ZREMRANGEBYLEX <lexk> <lex> <lex>
        (ZPOPMIN|ZPOPMAX) <k> [<count>]
        ZMPOP <nkeys> (MIN|MAX) [COUNT <count>]
        (BZPOPMIN|BZPOPMAX) <k> [<k>]* <timeout>
        BZMPOP <timeout> <nkeys> (MIN|MAX) [COUNT <count>]
        (ZINTER|ZUNION) <nkeys> [WEIGHTS <weight> <weight>] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
        (ZINTER|ZUNION) <nkeys> [WITHSCORES]
        ZDIFF <nkeys> [WITHSCORES]
        (ZINTERSTORE|ZUNIONSTORE) <k> <nkeys> [WEIGHTS <weight> <weight>] [AGGREGATE (SUM|MIN|MAX)]
        ZDIFFSTORE <k> <nkeys>
        ZINTERCARD <nkeys> [LIMIT <count>]
        ZRANDMEMBER <k> [<count> [WITHSCORES]]
        ZSCAN <k> 0 COUNT 1000 [MATCH <pat>]
    """,
    "geo": """
        GEOADD <k> [(NX|XX)] [CH] <place> [<place>]*
        GEOADD <k> (181|abc|-181|nan|5) (86|x|-86) <m>
        GEODIST <k> <m> <m> [<unit>]
        (GEOHASH|GEOPOS) <k> [<m>]*
        GEORADIUS <k> <lon> <lat> <radius> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count>] [(ASC|DESC)]
        GEORADIUS_RO <k> <lon> <lat> <radius> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [(ASC|DESC)]
        GEORADIUS <k> <lon> <lat> <radius> <unit> [WITHDIST] [COUNT <count>] (STORE <k>|STOREDIST zd)
        GEORADIUSBYMEMBER <k> <m> <radius> <unit> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT <count>] [(ASC|DESC)]
        GEORADIUSBYMEMBER_RO <k> <m> <radius> <unit> [(ASC|DESC)]
        GEOSEARCH <k> <from> <by> [(ASC|DESC)] [COUNT <count>] [WITHCOORD] [WITHDIST] [WITHHASH]
        GEOSEARCH <k> <from> <by> COUNT 1000 ANY
        GEOSEARCHSTORE <k> <k> <from> <by> [(ASC|DESC)] [COUNT <count>]
        GEOSEARCHSTORE zd <k> <from> <by> [(ASC|DESC)] [COUNT <count>] STOREDIST
        ZRANGE <k> 0 -1 WITHSCORES
        ZREM <k> <m>
    """,
    "streams": """
        XADD <k> [NOMKSTREAM] [<trim>] <id> <f> <v> [<f> <v>]*
        XADD <k> <id> <f> <v>
        XADD <k> <id> <f> <v>
        XLEN <k>
        XDEL <k> <id> [<id>]*
        XRANGE <k> <rid> <rid> [COUNT <count>]
        XREVRANGE <k> <rid> <rid> [COUNT <count>]
        XTRIM <k> <trim>
        XSETID <k> <id> [ENTRIESADDED <int>] [MAXDELETEDID <id>]
        XREAD [COUNT <count>] STREAMS <k> (<id>|$)
        XREAD [COUNT <count>] [BLOCK 1] STREAMS <k> <k> <id> (<id>|$)
        XGROUP CREATE <k> <g> (<id>|$) [MKSTREAM] [ENTRIESREAD <int>]
        XGROUP CREATE <k> <g> 0 MKSTREAM
        XGROUP SETID <k> <g> (<id>|$) [ENTRIESREAD <int>]
        XGROUP DESTROY <k> <g>
        XGROUP CREATECONSUMER <k> <g> <c>
        XGROUP DELCONSUMER <k> <g> <c>
        XREADGROUP GROUP <g> <c> [COUNT <count>] [NOACK] STREAMS <k> (<id>|>)
        XREADGROUP GROUP <g> <c> [COUNT <count>] [BLOCK 1] [NOACK] STREAMS <k> <k> (<id>|>) (<id>|>)
        XREADGROUP GROUP <g> <c> STREAMS <k> >
        XACK <k> <g> <id> [<id>]*
        XPENDING <k> <g>
        XPENDING <k> <g> [IDLE (0|1000000000)] <rid> <rid> <count> [<c>]
        XCLAIM <k> <g> <c> (0|1000000000|-1) <id> [<id>]* [IDLE <int>] [RETRYCOUNT <idx>] [FORCE] [JUSTID] [LASTID <id>]
        XAUTOCLAIM <k> <g> <c> (0|1000000000) <rid> [COUNT <count>] [JUSTID]
        XINFO STREAM <k> [FULL [COUNT <count>]]
        XINFO GROUPS <k>
        XINFO CONSUMERS <k> <g>
    """,
    "hyperloglog": """
        PFADD <k> [<m>]*
        PFADD <k> <num> <num> <num> <m>
        PFCOUNT <k> [<k>]*
        PFMERGE <k> [<k>]*
        GET <k>
        SET <k> <v>
    """,
    "sort": """
        SORT <k> [BY <sortpat>] [LIMIT <idx> <idx>] [GET <sortget>] [GET <sortget>] [(ASC|DESC)] [ALPHA]
        SORT <k> [(ASC|DESC)] [ALPHA] [STORE <k>]
        SORT_RO <k> [(ASC|DESC)] [ALPHA] [LIMIT <idx> <idx>]
        SORT <k> [BY <sortpat>] [GET #] [STORE <k>]
        (LPUSH|SADD) <k> <num> [<num>]*
        ZADD <k> <score> <num>
        SET w<smallint> <num>
        HSET <k> <smallint> <num>
        LPUSH <k> <v> <v>
    """,
    "keys": """
        (DEL|UNLINK|EXISTS|TOUCH) <k> [<k>]*
        TYPE <k>
        (EXPIRE|EXPIREAT) <k> <sec> [(NX|XX|GT|LT)] [(NX|XX|GT|LT)]
        EXPIREAT <k> <at> [(NX|XX|GT|LT)]
        PEXPIRE <k> <ms> [(NX|XX|GT|LT)]
        PEXPIREAT <k> <atms> [(NX|XX|GT|LT)]
        (TTL|PTTL|EXPIRETIME|PEXPIRETIME|PERSIST) <k>
        (RENAME|RENAMENX) <k> <k>
        COPY <k> <k> [DB <db>] [REPLACE]
        MOVE <k> <db>
        SWAPDB <db> <db>
        SELECT <db>
        DBSIZE
        KEYS <pat>
        RANDOMKEY
        SCAN 0 COUNT 1000 [MATCH <pat>] [TYPE (string|hash|list|set|zset|stream|<v>)]
        OBJECT (ENCODING|REFCOUNT|IDLETIME|FREQ|HELP|<v>) <k>
        @CROSSDUMP <k> <k> (0|<ms>) [REPLACE] [ABSTTL] [IDLETIME <int>] [FREQ <int>]
        (@COPYDUMP|@CROSSDUMP) <k> <k> 0 REPLACE
        RESTORE <k> (0|<ms>) <v> [REPLACE]
        FLUSHDB
        ECHO <v>
        PING [<v>]
        DUMP nokey
    """,
}

FIXED = {
    "badint": ["-1", "abc", "", "1.5", " 1", "1 ", "+1", "01", "-0", "9223372036854775808", "-9223372036854775809",
               "99999999999999999999", "0x10", "1e3"],
    "edgeint": ["9223372036854775807", "-9223372036854775808", "2147483647", "2147483648", "-2147483648",
                "4294967295", "4294967296", "4611686018427387904"],
    "smallint": [str(i) for i in range(-3, 12)],
    "badfloat": ["abc", "", "nan", "-nan", "1e400", " 1", "1 ", "0x1p3", "1.0.0", "1,5", "--1", "1e", "inf ", "infinit"],
    "goodfloat": ["0", "1", "-1", "0.1", "3.14159", "1e3", "1e-5", "1e17", "-1.5e20", "1e300", "5e-324", "0.30000000000000004",
                  "100000000000000000000", "inf", "-inf", "+inf", "Infinity", "-0", "-0.0", "0.5", "17179869184.125", ".5", "5.",
                  "1234567890123456789", "3.0e3", "+5"],
    "lexk": ["y1", "y2"],  # all scores are the same: without that, ranges by members aren't defined
    "m": ["a", "b", "c", "d", "e", "", "1", "2", "10", "-5", "foo", "bar", "x" * 70, "\xfe\x00\n", "Zz", "aa", "ab"],
    "f": ["f1", "f2", "f3", "f4", "1", "2", "", "name", "g" * 65, "\x01\xfe"],
    "lex": ["-", "+", "[a", "(a", "[c", "(c", "[", "(", "[foo", "[\xff", "a", "", "-x", "[x"],
    "pat": ["*", "?", "a*", "k*", "[a-c]*", "[^a]", "*1*", "\\*", "", "f?", "[", "[a", "\\", "s1", "*[z-a]*"],
    "unit": ["m", "km", "ft", "mi", "KM", "xx"],
    "g": ["g1", "g2", "", "nogroup"],
    "c": ["c1", "c2", "c3", ""],
    "sortpat": ["nosort", "w*", "h1->*", "w*->*", "", "*", "*->", "nokey*", "w*"],
    "sortget": ["#", "w*", "h1->*", "*", "nokey*", "", "w*->a"],
    "id": ["*", "0", "0-0", "0-1", "0-*", "-", "+", "abc", "1-", "-1", "18446744073709551615-18446744073709551615",
           "18446744073709551615", "18446744073709551616", "1-1-1", "", "(1"],
    "rid": ["-", "+", "-", "+", "0", "(1-1", "(2", "(0-0", "(18446744073709551615-18446744073709551615", "(-", "(", "x", "1"],
    "bft": ["u8", "i8", "u4", "i5", "u1", "i64", "u63", "i1", "i16", "u64", "i65", "u0", "x8", "u", "", "i32", "U8"],
    "bfo": ["0", "1", "7", "#0", "#1", "#3", "100", "-1", "#-1", "x", "#", "4294967295", "536870912"],
    "db": ["0", "0", "1", "0", "2", "-1", "16", "abc"],
    "timeout": ["0.001", "0.001", "0.002", "-1", "abc", "1e400", "nan", "99999999999999999999", ""],
}  # fmt: skip

SCRIPTS = (
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "local r = redis.call(unpack(ARGV)); return r",
    "redis.setresp(3); return redis.call(unpack(ARGV))",
    "local r = redis.pcall(unpack(ARGV)); return type(r)",
    "redis.call('SET', 's1', 'x'); return redis.call(unpack(ARGV))",
    "local ok, e = pcall(redis.call, unpack(ARGV)); if ok then return 1 end; return {tostring(type(e))}",
)
# Their replies within a script would depend on an order that isn't defined.
UNORDERED_HEADS = (
    "SMEMBERS SINTER SUNION SDIFF HGETALL HKEYS HVALS KEYS SCAN HSCAN SSCAN ZSCAN SRANDMEMBER HRANDFIELD "
    "ZRANDMEMBER RANDOMKEY GEORADIUS GEORADIUS_RO GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO"
    " GEOSEARCH"
).split()
BLOCKING = "BLPOP BRPOP BLMOVE BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP".split()
# What damage must not turn a command into.
NOT_SENT = re.compile(r"(?i)^(shutdown|debug|monitor|subscribe|psubscribe|client|config|sync|psync)$")

PREFIX = {
    "strings": "s", "bits": "s", "hashes": "h", "lists": "l", "sets": "t", "zsets": "z", "geo": "o",
    "streams": "x", "hyperloglog": "p", "sort": "l", "keys": "k",
}  # fmt: skip


class Generator:
    """The commands of one sequence."""

    def __init__(self, seed, families):
        self.random = random.Random(str(seed))
        # A sequence in which few families take part has more collisions.
        count = self.random.choice((1, 1, 2, 3, len(families)))
        self.families = self.random.sample(list(families), min(count, len(families)))
        self.prefixes = [PREFIX[name] for name in self.families] if self.families != ["keys"] else list("slhz")
        self.damage = self.random.choice((0, 0.05, 0.2, 0.5))
        self.large = self.random.random() < 0.15
        self.rules = {name: [r.strip() for r in GRAMMAR[name].strip().splitlines()] for name in GRAMMAR}
        self.family = self.families[0]
        self.last_id = 0

    def command(self) -> list[str]:
        self.family = self.random.choice([*self.families, *self.families, *self.families, "keys"])
        while True:
            words = self._words(self._expand(self.random.choice(self.rules[self.family])))
            if self.random.random() < self.damage:
                self._damage(words)
            if words and self._may_send(words):
                return words

    def script(self) -> list[str]:
        while True:
            words = self.command()
            head = words[0].upper()
            if head not in UNORDERED_HEADS and not head.startswith("@") and head not in ("SORT", "SORT_RO", "XINFO"):
                break
        name = self.random.choice(("EVAL", "EVAL", "EVAL", "EVAL_RO"))
        return [name, self.random.choice(SCRIPTS), "0", *words]

    # --- the grammar ---

    def _expand(self, rule: str) -> str:
        """Chooses among alternatives, innermost first; what isn't known is left in <…>."""
        pattern = re.compile(r"\[([^\[\]()]*)\](\*?)|\(([^\[\]()]*)\)")
        while match := pattern.search(rule):
            if match[3] is not None:
                text = self.random.choice(match[3].split("|"))
            else:
                most = 4 if match[2] else 1
                text = " ".join([match[1]] * self.random.choice((0, 0, 0, *range(1, most + 1), 1, 1)))
            rule = rule[: match.start()] + text + rule[match.end() :]
        return rule

    def _words(self, rule: str) -> list[str]:
        words = []
        for word in rule.split():
            match = re.fullmatch(r"(.*)<(\w+)>", word)
            if not match:
                words.append(word)
                continue
            value = getattr(self, "_" + match[2], None)
            value = value() if value else self.random.choice(FIXED[match[2]])
            if isinstance(value, list):
                words += value
            else:
                words.append(match[1] + value)
        return words

    def _k(self) -> str:
        chance = self.random.random()
        if chance < 0.75:
            prefix = PREFIX[self.family] if self.family != "keys" else self.random.choice(self.prefixes)
            return prefix + self.random.choice("1123")
        if chance < 0.97:
            return self.random.choice(self.prefixes) + self.random.choice("12")
        return self.random.choice(("nokey", "", "k\xff\x01"))

    def _v(self) -> str:
        return self.random.choice(
            ("", "a", "b", "foo", "hello world", "\xff\x00\r\n", "x" * 44, "x" * 45, "y" * 100, self._num(), self._num(),
             self.random.choice(FIXED["m"]), "z" * 5000 if self.large else "z", "abcabcabc" * self.random.randrange(5))
        )  # fmt: skip

    def _num(self) -> str:
        return str(self.random.choice((self.random.randrange(10), self.random.randrange(-100, 1000), 12345678901)))

    def _int(self) -> str:
        kind = self.random.choice(("smallint",) * 6 + ("edgeint", "badint"))
        return self.random.choice(FIXED[kind])

    _idx = _int

    def _count(self) -> str:
        return self._int() if self.random.random() < 0.4 else str(self.random.randrange(1, 12))

    def _offset(self) -> str:
        if self.random.random() < 0.15:
            return self.random.choice(("-1", "536870912", "4294967296", "9223372036854775807", "abc", "536870911999"))
        return str(self.random.choice((0, 1, 7, 8, 20, 63, 64, 100, 1000)))

    def _float(self) -> str:
        kind = "badfloat" if self.random.random() < 0.15 else "goodfloat"
        return self.random.choice(FIXED[kind])

    def _score(self) -> str:
        return self._num() if self.random.random() < 0.6 else self._float()

    _weight = _score

    def _bound(self) -> str:
        if self.random.random() < 0.4:
            return self.random.choice(("-inf", "+inf", "(0", "(-inf", "(5", "(", "((1"))
        return self._score()

    def _m(self) -> str:
        if self.large and self.random.random() < 0.7:
            return f"member:{self.random.randrange(300)}"
        return self.random.choice(FIXED["m"])

    def _f(self) -> str:
        if self.large and self.random.random() < 0.7:
            return f"field:{self.random.randrange(300)}"
        return self.random.choice(FIXED["f"])

    def _time(self, scale: int) -> str:
        if self.random.random() < 0.2:
            return self.random.choice(("0", "-1", *FIXED["edgeint"], *FIXED["badint"]))
        return str(self.random.choice((1000, 5000, 100_000, 10_000_000)) * scale)

    def _sec(self) -> str:
        return self._time(1)

    def _ms(self) -> str:
        return self._time(1000)

    def _at(self) -> str:
        return self._int() if self.random.random() < 0.2 else str(self.random.choice((4102444800, 5000000000, 33000000000)))

    def _atms(self) -> str:
        return self._int() if self.random.random() < 0.2 else str(self.random.choice((4102444800123, 5000000000000)))

    def _nkeys(self) -> list[str]:
        count = self.random.choice((1, 2, 2, 3))
        said = str(count) if self.random.random() < 0.85 else self._int()
        return [said, *(self._k() for _ in range(count))]

    def _place(self) -> list[str]:
        # No two members share a place, so that orders by distance are defined.
        member = self.random.choice(FIXED["m"])
        at = FIXED["m"].index(member)
        return [f"{at * 1.37 - 9 + self.random.randrange(3) * 0.011:.3f}", f"{at * 0.93 + 1.1:.4f}", member]

    def _lon(self) -> str:
        return self.random.choice(("0", "13.361389", "2.5", "-9", "100", "-100", "181", "abc", "nan", "5"))

    def _lat(self) -> str:
        return self.random.choice(("0", "38.115556", "1.1", "5", "85.05112878", "86", "-86", "", "3"))

    def _radius(self) -> str:
        return self.random.choice(("0", "1", "200", "5000", "100000", "1e7", "-1", "abc"))

    def _from(self) -> list[str]:
        if self.random.random() < 0.5:
            return ["FROMMEMBER", self._m()]
        return ["FROMLONLAT", self._lon(), self._lat()]

    def _by(self) -> list[str]:
        if self.random.random() < 0.5:
            return ["BYRADIUS", self._radius(), self.random.choice(FIXED["unit"])]
        return ["BYBOX", self._radius(), self._radius(), self.random.choice(FIXED["unit"])]

    def _id(self) -> str:
        chance = self.random.random()
        if chance < 0.05:
            return self.random.choice([i for i in FIXED["id"] if not i.startswith("*")])
        if chance < 0.4:
            self.last_id += self.random.choice((0, 1, 1, 2))
            return f"{self.last_id // 4}-{self.random.choice(('1', '2', '*', str(self.last_id)))}"
        return f"{max(0, self.last_id // 4 - self.random.randrange(3))}-{self.random.randrange(4)}"

    def _rid(self) -> str:
        return self._id() if self.random.random() < 0.4 else self.random.choice(FIXED["rid"])

    def _trim(self) -> list[str]:
        words = [self.random.choice(("MAXLEN", "MAXLEN", "MINID"))]
        words += ["="] * (self.random.random() < 0.5)
        words.append(self._id() if words[0] == "MINID" else self._count())
        if self.random.random() < 0.1:
            words += ["LIMIT", self._count()]
        return words

    # --- damage ---

    def _damage(self, words: list[str]) -> None:
        for _ in range(self.random.choice((1, 1, 2))):
            at = self.random.randrange(len(words))
            kind = self.random.randrange(6)
            if kind == 0 and at > 0:
                del words[at]
            elif kind == 1:
                words.insert(at + 1, words[at])
            elif kind == 2 and at > 0:
                other = self.random.randrange(1, len(words))
                words[at], words[other] = words[other], words[at]
            elif kind == 3 and at > 0:
                words[at] = self.random.choice((self._v(), self._int(), self._float(), self._k()))
            elif kind == 4:
                words.append(self.random.choice((*words, self._v(), self._int())))
            elif words[at].isascii():
                words[at] = words[at].swapcase()

    def _may_send(self, words: list[str]) -> bool:
        head, upper = words[0].upper(), [word.upper() for word in words]
        if NOT_SENT.match(head) or len(words) > 40:
            return False
        if head.startswith("@"):
            return words[0] == head and len(words) >= 4 and not (words[3].isdigit() and 0 < int(words[3]) < 1000)
        if head in BLOCKING or "BLOCK" in upper:
            return self._ends_soon(head, upper)
        if head == "XADD" and "*" in upper:
            return False  # the ids would be of the clock
        if head == "XREADGROUP" and any(word.count("18446744073709551615") == 2 for word in words):
            return False  # which Redis takes for >
        if head == "XTRIM" or head == "XADD":
            return "~" not in upper
        if head in ("SORT", "SORT_RO") and "BY" in upper:
            # Equal weights, and no order at all, have an order that is not defined.
            return not ("ALPHA" in upper or "NOSORT" in upper) or not ("LIMIT" in upper or "STORE" in upper)
        if head in ("ZADD", "ZINCRBY") and upper[1:2] in (["Y1"], ["Y2"]):
            pairs = upper[2:]
            while pairs and pairs[0] in ("NX", "XX", "CH"):
                pairs.pop(0)
            return head == "ZADD" and set(pairs[::2]) <= {"0"}
        if "LEX" in head or "BYLEX" in upper:
            return "Y1" in upper or "Y2" in upper
        if head == "SPOP":
            return len(words) > 2 and not "1" <= words[2] < "1000"
        if "ANY" in upper and head.startswith("GEO"):
            return "1000" in upper
        if "STOREDIST" in upper:
            return "ZD" in upper  # its scores are no places
        if head in ("SETBIT", "SETRANGE", "BITFIELD", "GETBIT"):
            return not any(word in ("536870911", "4294967295", "536870912") for word in words[2:])
        if any(word.isdigit() and 0 < int(word) < 1000 for word in self._lifetimes(head, words, upper)):
            return False  # it would end at a time between two replies
        if head in ("SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"):
            return all(len(word) < 5 for word in words[2:3])  # or a reply of gigabytes
        return True

    @staticmethod
    def _lifetimes(head: str, words: list[str], upper: list[str]) -> list[str]:
        """The arguments that are a time to live."""
        if head in ("EXPIRE", "PEXPIRE", "SETEX", "PSETEX", "RESTORE"):
            return words[2:3]
        if head in ("SET", "GETEX"):
            return [words[i + 1] for i, word in enumerate(upper[:-1]) if word in ("EX", "PX")]
        return []

    @staticmethod
    def _ends_soon(head: str, upper: list[str]) -> bool:
        """Whether it waits for a short time, or not at all because its timeout is none."""

        def short(word: str) -> bool:
            return word in ("0.001", "0.002", "-1", "ABC", "1E400", "NAN", "99999999999999999999", "")

        if head in ("BLMPOP", "BZMPOP"):
            return len(upper) > 1 and short(upper[1])
        if head in BLOCKING:
            return short(upper[-1])
        return all(upper[i + 1 : i + 2] == ["1"] for i, word in enumerate(upper) if word == "BLOCK")
