#!/usr/bin/env python3
"""Sorted sets and geo: every command against a dictionary, with restarts and failovers in between."""

# also under: asan tsan

import math
import random

from harness import Client, Server, equal, main, scaled, test, wait_for
from models import Model, check_cold, check_with_failovers, check_with_kills
from resp import ReplyError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def text(score: float) -> bytes:
    """A score as a reply of RESP2 has it; the scores here are short."""
    if math.isinf(score):
        return b"inf" if score > 0 else b"-inf"
    return b"%d" % score if score == int(score) and abs(score) < 1e17 else b"%.17g" % score


def flat(members, with_scores: bool) -> list:
    return [word for member, score in members for word in ((member, text(score)) if with_scores else (member,))]


def refusal(client: Client, *words) -> str:
    try:
        reply = client(*words)
    except ReplyError as error:
        return str(error)
    raise AssertionError(f"{words} answered {reply!r}")


class SortedSets(Model):
    kinds = ("zadd", "zadd", "zadd", "options", "zincrby", "zrem", "pop", "remove_range", "reads", "reads") + (
        "ranges", "ranges", "store", "store", "delete", "copy", "dump",
    )  # fmt: skip
    empty: dict[bytes, float] = {}

    def member(self) -> bytes:
        # Enough members to leave the small form (tests set its limit to 24), not so many as to miss.
        return b"m%d" % self.random.randrange(60)

    def score(self) -> float:
        return self.random.choice((float(self.random.randrange(-8, 9)), self.random.randrange(1 << 20) / 64, math.inf))

    @staticmethod
    def ordered(zset: dict) -> list[tuple[bytes, float]]:
        return sorted(zset.items(), key=lambda pair: (pair[1], pair[0]))

    def zadd(self, client, key, zset):
        given = [(self.score(), self.member()) for _ in range(self.random.randint(1, 6))]
        words = [word for score, member in given for word in (text(score), member)]
        after = {**zset, **{member: score for score, member in given}}
        new = len(after) - len(zset)
        if self.random.random() < 0.3:
            # Each pair counts that changes something, one after the other.
            changed = 0
            seen = dict(zset)
            for score, member in given:
                changed += seen.get(member) != score
                seen[member] = score
            equal(client("ZADD", key, "CH", *words), changed)
        else:
            equal(client("ZADD", key, *words), new)
        self.keep(key, after)

    def options(self, client, key, zset):
        zset = dict(zset)
        option, compare = self.random.choice((("NX", None), ("XX", None), ("GT", "gt"), ("LT", "lt")))
        score, member = self.score(), self.member()
        old = zset.get(member)
        if option == "NX":
            takes = old is None
        elif option == "XX":
            takes = old is not None
        else:
            takes = old is None or (score > old if compare == "gt" else score < old)
        equal(client("ZADD", key, option, "CH", text(score), member), int(takes and old != score), (option, old, score))
        if takes:
            zset[member] = score
        self.keep(key, zset)

    def zincrby(self, client, key, zset):
        by, member = self.random.randrange(-64, 64) / 8, self.member()
        score = zset.get(member, 0) + by
        words = ("ZINCRBY", key, by, member) if self.random.random() < 0.5 else ("ZADD", key, "INCR", by, member)
        equal(client(*words), text(score))
        self.keep(key, {**zset, member: score})

    def zrem(self, client, key, zset):
        members = [self.member() for _ in range(self.random.randint(1, 12))]
        equal(client("ZREM", key, *members), len(set(members) & zset.keys()))
        self.keep(key, {member: score for member, score in zset.items() if member not in members})

    def pop(self, client, key, zset):
        count = self.random.randint(0, 4)
        largest = self.random.random() < 0.5
        order = self.ordered(zset)[:: -1 if largest else 1]
        if count and self.random.random() < 0.5:
            reply = client("ZMPOP", 2, "{same}none", key, "MAX" if largest else "MIN", "COUNT", count)
            expected = [[member, text(score)] for member, score in order[:count]]
            equal(reply, [key.encode(), expected] if zset else None)
        else:
            equal(client("ZPOPMAX" if largest else "ZPOPMIN", key, count), flat(order[:count], True))
        self.keep(key, dict(order[count:]))

    def bound(self) -> tuple[float, bool]:
        return self.random.randrange(-10, 10) + self.random.choice((0, 0.5)), self.random.random() < 0.3

    def by_score(self, zset: dict) -> tuple[list, list]:
        """Two ends of a range, and the members in it."""
        (low, open_low), (high, open_high) = sorted((self.bound(), self.bound()))
        if self.random.random() < 0.2:
            high, open_high = math.inf, False
        words = [b"(" * open_low + text(low), b"(" * open_high + text(high)]
        inside = [
            (member, score)
            for member, score in self.ordered(zset)
            if low <= score <= high and not (open_low and score == low) and not (open_high and score == high)
        ]
        return words, inside

    def remove_range(self, client, key, zset):
        order = self.ordered(zset)
        if self.random.random() < 0.5:
            words, gone = self.by_score(zset)
            gone = gone if len(gone) < 10 or self.random.random() < 0.1 else None
            if gone is None:
                return
            equal(client("ZREMRANGEBYSCORE", key, *words), len(gone))
        else:
            start, stop = sorted((self.random.randrange(20), self.random.randrange(20)))
            gone = order[start : stop + 1]
            equal(client("ZREMRANGEBYRANK", key, start, stop), len(gone))
        self.keep(key, {member: score for member, score in order if (member, score) not in gone})

    def reads(self, client, key, zset):
        members = [self.member() for _ in range(4)]
        order = [member for member, _ in self.ordered(zset)]
        scores = [text(zset[member]) if member in zset else None for member in members]
        equal(client("ZMSCORE", key, *members), scores)
        equal(client("ZSCORE", key, members[0]), scores[0])
        equal(client("ZCARD", key), len(zset))
        rank = order.index(members[0]) if members[0] in zset else None
        equal(client("ZRANK", key, members[0]), rank)
        equal(client("ZREVRANK", key, members[0]), None if rank is None else len(order) - 1 - rank)
        picked = client("ZRANDMEMBER", key, 4) if zset else []
        equal(len(set(picked)), min(4, len(zset)))
        assert set(picked) <= zset.keys(), picked

    def ranges(self, client, key, zset):
        order = self.ordered(zset)
        start, stop = self.random.randrange(-30, 30), self.random.randrange(-30, 30)
        first = max(start + len(order), 0) if start < 0 else start
        last = stop + len(order) if stop < 0 else stop
        equal(client("ZRANGE", key, start, stop, "WITHSCORES"), flat(order[first : last + 1] if last >= 0 else [], True))
        backwards = order[::-1]
        equal(client("ZREVRANGE", key, start, stop), flat(backwards[first : last + 1] if last >= 0 else [], False))
        words, inside = self.by_score(zset)
        offset, count = self.random.randrange(4), self.random.randrange(-1, 6)
        limited = lambda members: members[offset:] if count < 0 else members[offset : offset + count]  # noqa: E731
        equal(client("ZCOUNT", key, *words), len(inside))
        limit = ("LIMIT", offset, count)
        equal(client("ZRANGEBYSCORE", key, *words, "WITHSCORES", *limit), flat(limited(inside), True))
        equal(client("ZRANGE", key, *words[::-1], "BYSCORE", "REV", *limit), flat(limited(inside[::-1]), False))

    def store(self, client, key, zset):
        """All members of a source with score 0, so that ranges by member mean something; or a combination."""
        others = [self.random.choice(self.keys) for _ in range(2)]
        sources = [self.values.get(other, {}) for other in others]
        name = self.random.choice(("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE", "ZRANGESTORE", "LEX"))
        first, second = sources
        both = first.keys() & second.keys()
        if name == "ZUNIONSTORE":
            result = {m: max(s.get(m, -math.inf) for s in sources) for m in first.keys() | second.keys()}
            reply = client(name, key, 2, *others, "AGGREGATE", "MAX")
        elif name == "ZINTERSTORE":
            result = {m: first[m] * 2 + second[m] for m in both}
            reply = client(name, key, 2, *others, "WEIGHTS", 2, 1)
            if key not in others:
                equal(client("ZINTERCARD", 2, *others), len(both))
        elif name == "ZDIFFSTORE":
            result = {m: s for m, s in first.items() if m not in second}
            reply = client(name, key, 2, *others)
        elif name == "ZRANGESTORE":
            result = dict(self.ordered(first)[3:13])
            reply = client(name, key, others[0], 3, 12)
        else:
            result = {m: 0.0 for m in first}
            client("DEL", key)
            reply = client("ZADD", key, *[word for m in result for word in (0, m)]) if result else 0
            members = [m for m in sorted(result) if b"m2" <= m < b"m5"]
            equal(client("ZRANGEBYLEX", key, "[m2", "(m5"), members)
            equal(client("ZLEXCOUNT", key, "[m2", "(m5"), len(members))
            equal(client("ZREVRANGEBYLEX", key, "+", "-", "LIMIT", 1, 3), sorted(result)[::-1][1:4])
            equal(client("ZREMRANGEBYLEX", key, "-", "(m3"), sum(m < b"m3" for m in result))
            equal(reply, len(result), name)
            self.keep(key, {m: s for m, s in result.items() if m >= b"m3"})
            return
        equal(reply, len(result), name)
        self.keep(key, result)

    def dump(self, client, key, zset):
        other = self.random.choice(self.keys)
        if zset:
            equal(client("RESTORE", other, 0, client("DUMP", key), "REPLACE"), "OK")
            self.values[other] = zset.copy()

    def check_key(self, client: Client, key: str, zset: dict) -> None:
        equal(client("ZRANGE", key, 0, -1, "WITHSCORES"), flat(self.ordered(zset), True), key)
        scanned = client("ZSCAN", key, 0, "COUNT", 1000)[1]
        equal(dict(zip(scanned[::2], scanned[1::2])), {member: text(score) for member, score in zset.items()})


@test
def every_command_against_a_dictionary_with_kills_in_between():
    check_with_kills(SortedSets, **{"zset-max-listpack-entries": 24})


@test
def committed_changes_outlive_leaders():
    check_with_failovers(SortedSets, **{"zset-max-listpack-entries": 24})


@test
def values_leave_memory_and_come_back():
    check_cold(SortedSets, **{"zset-max-listpack-entries": 24})


@test
def those_who_wait_are_served_in_the_order_of_their_arrival():
    server = Server()
    blocked = lambda: int(control.info("clients")["blocked_clients"])  # noqa: E731
    with server.client() as control, server.client() as one, server.client(resp=3) as two, server.client() as three:
        one.send("BZPOPMIN", "a", "b", 0)
        wait_for("one waits", lambda: blocked() == 1)
        two.send("BZPOPMAX", "b", "a", 30)
        wait_for("two wait", lambda: blocked() == 2)
        three.send("BZMPOP", 0, 2, "b", "c", "MAX", "COUNT", 2)
        wait_for("three wait", lambda: blocked() == 3)
        control("SADD", "c", "no sorted set")
        control("DEL", "c")
        equal(control("ZADD", "b", 1, "x", 2.5, "y", 3, "z", 4, "w"), 4)
        equal(one.read(), [b"b", b"x", b"1"])
        equal(two.read(), [b"b", b"w", 4.0])
        equal(three.read(), [b"b", [[b"z", b"3"], [b"y", b"2.5"]]])
        equal(control("EXISTS", "b"), 0)
        equal(one("BZPOPMIN", "a", 0.01), None)
        equal(two("BZMPOP", 0.01, 1, "a", "MIN"), None)
        # Geo and stores wake as well.
        one.send("BZPOPMIN", "a", 0)
        wait_for("one waits", lambda: blocked() == 1)
        control("GEOADD", "source", 13.361389, 38.115556, "Palermo")
        control("ZUNIONSTORE", "a", 1, "source", "WEIGHTS", 0)
        equal(one.read(), [b"a", b"Palermo", b"0"])
        control("MULTI")
        control("BZPOPMIN", "a", 0)
        control("BZMPOP", 0, 1, "a", "MIN")
        equal(control("EXEC"), [None, None])
        equal(refusal(control, "BZPOPMIN", "a", "x"), "ERR timeout is not a float or out of range")
        equal(refusal(control, "BZPOPMIN", "a", -1), "ERR timeout is negative")


@test
def errors_change_nothing():
    server = Server()
    with server.client() as client:
        client("SET", "string", "x")
        client("ZADD", "z", 1, "a", "inf", "b")
        for words in (
            ("ZADD", "string", 1, "m"), ("ZSCORE", "string", "m"), ("ZRANGE", "string", 0, -1), ("ZPOPMIN", "string"),
            ("ZUNION", 1, "string"), ("ZREMRANGEBYRANK", "string", 0, 1), ("GEOADD", "string", 1, 1, "m"),
            ("GEOPOS", "string", "m"), ("GET", "z"), ("HGET", "z", "a"), ("SADD", "z", "a"), ("LPUSH", "z", "a"),
        ):  # fmt: skip
            equal(refusal(client, *words), WRONG_TYPE, words)
        for words, error in (
            (("ZADD", "z", "x", "a"), "ERR value is not a valid float"),
            (("ZADD", "z", 5, "c", "nan", "d"), "ERR value is not a valid float"),
            (("ZADD", "z", 5, "c", "d"), "ERR syntax error"),
            (("ZADD", "z", "NX", "XX", 1, "a"), "ERR XX and NX options at the same time are not compatible"),
            (("ZADD", "z", "GT", "LT", 1, "a"), "ERR GT, LT, and/or NX options at the same time are not compatible"),
            (("ZADD", "z", "INCR", 1, "a", 2, "b"), "ERR INCR option supports a single increment-element pair"),
            (("ZINCRBY", "z", "-inf", "b"), "ERR resulting score is not a number (NaN)"),
            (("ZRANGE", "z", 0, -1, "BYLEX"), "ERR min or max not valid string range item"),
            (("ZRANGEBYSCORE", "z", "a", 1), "ERR min or max is not a float"),
            (("ZRANGE", "z", 0, 1, "LIMIT", 0, 1),
             "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"),
            (("ZUNION", 0, "z"), "ERR at least 1 input key is needed for 'zunion' command"),
            (("ZINTERCARD", 1, "z", "LIMIT", -1), "ERR LIMIT can't be negative"),
            (("ZUNIONSTORE", "z", 1, "z", "WEIGHTS", "x"), "ERR weight value is not a float"),
            (("ZMPOP", 0, "z", "MIN"), "ERR numkeys should be greater than 0"),
            (("ZPOPMIN", "z", -1), "ERR value is out of range, must be positive"),
            (("GEOADD", "z", 181, 0, "c"), "ERR invalid longitude,latitude pair 181.000000,0.000000"),
            (("GEODIST", "z", "a", "b", "x"), "ERR unsupported unit provided. please use M, KM, FT, MI"),
        ):  # fmt: skip
            equal(refusal(client, *words), error, words)
        equal(client("ZRANGE", "z", 0, -1, "WITHSCORES"), [b"a", b"1", b"b", b"inf"])
        equal(client("GET", "string"), b"x")
        # Locks aren't written over.
        client("LOCK", "lock", "me", 10_000)
        equal(refusal(client, "ZUNIONSTORE", "lock", 1, "z"), WRONG_TYPE)
        equal(refusal(client, "ZRANGESTORE", "lock", "none", 0, 1), WRONG_TYPE)


@test
def replies_of_both_protocols():
    server = Server()
    with server.client() as two, server.client(resp=3) as three:
        two("ZADD", "z", "1.5", "a", "inf", "b")
        equal(two("ZSCORE", "z", "a"), b"1.5")
        equal(three("ZSCORE", "z", "a"), 1.5)
        equal(three("ZMSCORE", "z", "a", "none"), [1.5, None])
        equal(two("ZRANGE", "z", 0, -1, "WITHSCORES"), [b"a", b"1.5", b"b", b"inf"])
        equal(three("ZRANGE", "z", 0, -1, "WITHSCORES"), [[b"a", 1.5], [b"b", math.inf]])
        equal(three("ZUNION", 1, "z", "WITHSCORES"), [[b"a", 1.5], [b"b", math.inf]])
        equal(three("ZINCRBY", "z", 1, "a"), 2.5)
        equal(three("ZSCAN", "z", 0), [b"0", [b"a", b"2.5", b"b", b"inf"]])
        equal(three("ZADD", "z", "XX", "INCR", 1, "none"), None)
        equal(two("ZMPOP", 1, "none", "MIN"), None)
        equal(three("ZPOPMIN", "z"), [b"a", 2.5])
        equal(three("ZPOPMIN", "z", 1), [[b"b", math.inf]])
        two("GEOADD", "g", 13.361389, 38.115556, "Palermo")
        equal(two("GEOPOS", "g", "Palermo", "none"), [[b"13.36138933897018433", b"38.11555639549629859"], None])
        equal(three("GEOPOS", "g", "Palermo"), [[13.36138933897018433, 38.11555639549629859]])


@test
def searches_find_what_is_there():
    """Against every member's distance, at random places: near poles, the date line and anywhere."""
    server = Server(partitions=8)
    rng = random.Random(5)
    # On these longitudes and latitudes an area is most easily cut short.
    places = {
        b"p%d" % i: (
            rng.choice((rng.uniform(-180, 180), rng.uniform(179, 180), rng.uniform(-180, -179))),
            rng.choice((rng.uniform(-85, 85), rng.uniform(80, 85), rng.uniform(-85, -80), rng.uniform(-1, 1))),
        )
        for i in range(scaled(1000))
    }
    with server.client() as client:
        for member, (longitude, latitude) in places.items():
            client("GEOADD", "{g}places", longitude, latitude, member)
        for _ in range(scaled(300)):
            center = rng.choice(list(places))
            km = rng.choice((1, 50, 300, 1000, 3000, 8000, 15000, 21000))
            found = client("GEOSEARCH", "{g}places", "FROMMEMBER", center, "BYRADIUS", km, "km", "ASC", "WITHDIST")
            distances = {member: float(distance) for member, distance in found}
            assert sorted(distances.values()) == list(distances.values())
            near = {member for member, place in places.items() if haversine(places[center], place) < km - 0.01}
            far = {member for member, place in places.items() if haversine(places[center], place) > km + 0.01}
            assert near <= distances.keys(), (center, km, near - distances.keys())
            assert not far & distances.keys(), (center, km)
            equal(client("GEORADIUSBYMEMBER", "{g}places", center, km, "km", "STORE", "{g}found"), len(found))
            equal(client("GEORADIUSBYMEMBER_RO", "{g}places", center, km, "km", "COUNT", 3), [m for m, _ in found[:3]])
            stored = client("GEOSEARCHSTORE", "{g}found", "{g}places", "FROMMEMBER", center, "BYBOX", km, km, "km")
            equal(client("ZCARD", "{g}found"), stored)


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lon_a, lat_a), (lon_b, lat_b) = (tuple(map(math.radians, place)) for place in (a, b))
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6372.797560856 * math.asin(math.sqrt(h))


main()
