#!/usr/bin/env python3
"""Keyspace notifications: what each command tells of, when it is told, and to whom. What is said of
Redis's commands holds for HOLDFAST=redis-server, too.
"""

# also under: asan tsan

import shlex

from harness import IS_REDIS, ReplyError, Server, equal, main, scaled, test, wait_for
from nodes import cluster, leader_of, others
from resp import encode

# Each command with the events that it causes, in their order. Keys go on from one line to the next.
STRINGS = """
SET s v | set s
SET s v EX 100 | set s, expire s
SET s v NX |
SETNX s v |
SETNX s2 v | set s2
SETEX s 100 v | set s, expire s
PSETEX s 100000 v | set s, expire s
GETSET s w | set s
MSET s a s2 b | set s, set s2
MSETNX s a s3 b |
MSETNX s4 a s5 b | set s4, set s5
APPEND s tail | append s
APPEND s6 tail | append s6
SETRANGE s 1 xyz | setrange s
SETRANGE s 1 "" |
SETBIT s 3 1 | setbit s
SET n 10 | set n
INCR n | incrby n
DECRBY n 3 | incrby n
INCRBYFLOAT n 0.5 | incrbyfloat n
BITFIELD b SET u8 0 255 INCRBY u8 8 1 | setbit b
BITFIELD b GET u8 0 |
BITOP AND dest s b | set dest
BITOP AND dest none none2 | del dest
PFADD hll a b c | pfadd hll
PFADD hll a |
PFMERGE hll2 hll | pfadd hll2
GETEX n EX 100 | expire n
GETEX n PERSIST | persist n
GETEX n PERSIST |
GETEX n |
GETEX n PXAT 1 | del n
GETDEL s | del s
GETDEL s |
"""
KEYS = """
MSET a 1 b 2 c 3 | set a, set b, set c
EXPIRE a 100 | expire a
EXPIRE a 100 NX |
PEXPIREAT a 1900000000000 | expire a
PERSIST a | persist a
PERSIST a |
EXPIRE a -1 | del a
EXPIRE a 10 |
RENAME b d | rename_from b, rename_to d
RENAME d d |
RENAMENX d c |
RENAMENX d e | rename_from d, rename_to e
COPY e f | copy_to f
COPY e f |
COPY e f REPLACE | copy_to f
DEL c e none | del c, del e
UNLINK f | del f
SET k v | set k
RPUSH l b a | rpush l
SORT l ALPHA STORE sorted | sortstore sorted
SORT none STORE sorted | del sorted
SORT none STORE sorted |
TOUCH l |
"""
HASHES = """
HSET h a 1 b 2 | hset h
HMSET h a 1 | hset h
HSETNX h a 1 |
HSETNX h c 1 | hset h
HINCRBY h a 1 | hincrby h
HINCRBYFLOAT h a 1.5 | hincrbyfloat h
HDEL h none |
HDEL h a b | hdel h
HDEL h c | hdel h, del h
"""
LISTS = """
LPUSH l a b c | lpush l
RPUSH l d | rpush l
LPUSHX none a |
RPUSHX l e | rpush l
LSET l 0 x | lset l
LINSERT l BEFORE x y | linsert l
LINSERT l AFTER none y |
LPOP l | lpop l
RPOP l 1 | rpop l
LPOP l 0 |
LREM l 0 none |
LREM l 1 x | lrem l
LRANGE l 0 -1 |
RPOPLPUSH l m | lpush m, rpop l
LMOVE l m RIGHT RIGHT | rpush m, rpop l
LMOVE m m LEFT RIGHT | rpush m, lpop m
LLEN m |
LMOVE l m LEFT LEFT | lpush m, lpop l, del l
LTRIM m 0 -1 | ltrim m
LTRIM m 0 1 | ltrim m
LTRIM m 5 6 | ltrim m, del m
RPUSH l a b c | rpush l
BLPOP l 1 | lpop l
LMPOP 1 l LEFT COUNT 10 | lpop l, del l
"""
SETS = """
SADD s a b c | sadd s
SADD s a |
SREM s none |
SREM s a | srem s
SMOVE s t b | srem s, sadd t
SMOVE s t c | srem s, del s, sadd t
SADD s b | sadd s
SMOVE s t b | srem s, del s
SADD s x | sadd s
SUNIONSTORE u s t | sunionstore u
SINTERSTORE u s t | del u
SINTERSTORE u s t |
SDIFFSTORE u s t | sdiffstore u
SPOP u 10 | spop u, del u
SPOP t | spop t
"""
SORTED_SETS = """
ZADD z 1 a 2 b 3 c | zadd z
ZADD z 1 a |
ZADD z XX 4 none |
ZADD z INCR 1 a | zincr z
ZINCRBY z 1 a | zincr z
ZREM z none |
ZREM z a | zrem z
ZADD z 1 a 4 d 5 e 6 f 7 g | zadd z
ZRANGESTORE r z 0 1 | zrangestore r
ZRANGESTORE r z 100 200 | del r
ZUNIONSTORE u 2 z r | zunionstore u
ZINTERSTORE u 2 z r | del u
ZDIFFSTORE u 2 z r | zdiffstore u
ZPOPMIN z | zpopmin z
ZPOPMAX z 1 | zpopmax z
ZREMRANGEBYRANK z 0 0 | zremrangebyrank z
ZREMRANGEBYSCORE z -inf 3 | zremrangebyscore z
ZREMRANGEBYSCORE z 100 200 |
ZREMRANGEBYLEX u - + | zremrangebylex u, del u
BZPOPMIN z 1 | zpopmin z
ZMPOP 1 z MIN COUNT 10 | zpopmin z, del z
GEOADD g 13.361389 38.115556 Palermo | zadd g
GEORADIUS g 13 38 200 km STORE gs | georadiusstore gs
GEOSEARCHSTORE gs g FROMLONLAT 13 38 BYRADIUS 200 km | geosearchstore gs
GEOSEARCHSTORE gs g FROMLONLAT 50 38 BYRADIUS 1 km | del gs
"""
STREAMS = """
XADD x 1-1 f v | xadd x
XADD x 2-1 f v | xadd x
XADD x MAXLEN 2 3-1 f v | xadd x, xtrim x
XTRIM x MAXLEN 5 |
XTRIM x MAXLEN 1 | xtrim x
XDEL x 1-1 |
XDEL x 3-1 | xdel x
XADD x 4-1 f v | xadd x
XSETID x 5-1 | xsetid x
XGROUP CREATE x g 0 | xgroup-create x
XGROUP CREATECONSUMER x g c | xgroup-createconsumer x
XGROUP CREATECONSUMER x g c |
XREADGROUP GROUP g d STREAMS x > | xgroup-createconsumer x
XREADGROUP GROUP g d STREAMS x 0 |
XACK x g 4-1 |
XGROUP SETID x g 0 | xgroup-setid x
XGROUP DELCONSUMER x g c | xgroup-delconsumer x
XGROUP DESTROY x g | xgroup-destroy x
XGROUP DESTROY x g |
"""
# With the classes n and m alone.
NEW_AND_MISSING = """
SET s v | new s
SET s w |
SET s v GET |
SADD a x | new a
SADD a y |
SUNIONSTORE b a | new b
SUNIONSTORE b a |
ZADD z 1 a | new z
ZUNIONSTORE y 1 z | new y
ZUNIONSTORE y 1 z |
ZRANGESTORE y z 0 -1 |
RPUSH l 1 2 | new l
SORT l STORE m | new m
SORT l STORE m |
RENAME l m | new m
RENAME m l | new l
SET s2 v | new s2
RENAME s s2 | new s2
COPY s2 a REPLACE | new a
COPY a l REPLACE | new l
HSET h f v | new h
SET h v |
XGROUP CREATE x g $ MKSTREAM | new x
INCR n | new n
APPEND n 1 |
GET none | keymiss none
MGET none s2 gone | keymiss none, keymiss gone
TTL none | keymiss none
TYPE none | keymiss none
EXISTS none s2 | keymiss none
STRLEN none | keymiss none
HGET none f | keymiss none
LPOP none |
SPOP none |
ZPOPMIN none |
LMOVE none l LEFT LEFT |
RPOPLPUSH none l |
GETDEL none | keymiss none
GETEX none | keymiss none
GETSET none v | keymiss none, new none
DEL none |
DEL none |
EXPIRE none 10 |
"""
HOLDFAST = """
CAS c none v |
SET c v | set c
CAS c v w | set c
CAS c v x |
CAS c w x PX 100000 | set c, expire c
EXTEND c 1000 | expire c
DELIFEQ c v |
DELIFEQ c x | del c
SET c v | set c
DELEX c IFEQ v | del c
MSETEX 2 a 1 b 2 EX 100 | set a, expire a, set b, expire b
LOCK l me 10000 | lock l
LOCK l you 10000 |
EXTEND l 20000 OWNER me | expire l
UNLOCK l you |
UNLOCK l me | unlock l
SEQCREATE q | seqcreate q
SEQNEXT q | seqnext q
"""


class Listener:
    """Hears all events by their names, until a marker."""

    def __init__(self, server: Server, classes="AKE"):
        self.setter = server.client()
        self.setter("CONFIG", "SET", "notify-keyspace-events", classes)
        self.client = server.client()
        self.client("PSUBSCRIBE", "__keyevent@*__:*")
        self.marks = 0

    def events(self) -> list[str]:
        """What has come: `event key`, or `event key @db` when that isn't 0."""
        self.marks += 1
        self.setter("PUBLISH", "__keyevent@0__:mark", self.marks)
        found = []
        while True:
            _, _, channel, key = self.client.read()
            where, event = channel.decode().removeprefix("__keyevent@").split("__:", 1)
            if event == "mark":
                equal(int(key), self.marks)
                return found
            found.append(f"{event} {key.decode()}" + (f" @{where}" if where != "0" else ""))


def check(table: str, classes="AKE") -> None:
    server = Server()
    listener = Listener(server, classes)
    with server.client() as client:
        for line in table.strip().splitlines():
            command, _, expected = line.partition("|")
            reply = client.ask(*shlex.split(command))
            assert not isinstance(reply, ReplyError), f"{command}: {reply}"
            wanted = [event.strip() for event in expected.split(",") if event.strip()]
            equal(listener.events(), wanted, command)


@test
def strings():
    check(STRINGS)


@test
def keys():
    check(KEYS)


@test
def hashes():
    check(HASHES)


@test
def lists():
    check(LISTS)


@test
def sets():
    check(SETS)


@test
def sorted_sets():
    check(SORTED_SETS)


@test
def streams():
    check(STREAMS)


@test
def new_and_missing_keys():
    check(NEW_AND_MISSING, "Enm")


@test
def commands_of_holdfast():
    if not IS_REDIS:
        check(HOLDFAST)


@test
def classes_choose_channels_and_events():
    server = Server()
    with server.client() as client, server.client() as listener:
        listener("PSUBSCRIBE", "__key*@*__:*")
        heard = {
            "": [],
            "KE": [],
            "A": [],
            "K$": ["__keyspace@0__:k set"],
            "E$": ["__keyevent@0__:set k"],
            "KEg": ["__keyspace@0__:k del", "__keyevent@0__:del k"],
            "KEn": ["__keyspace@0__:k new", "__keyevent@0__:new k"],
            "Em": ["__keyevent@0__:keymiss k"],
            "EA": ["__keyevent@0__:set k", "__keyevent@0__:del k"],
        }
        for classes, expected in heard.items():
            client("CONFIG", "SET", "notify-keyspace-events", classes)
            client("SET", "k", "v")
            client("DEL", "k")
            client("GET", "k")
            client("PUBLISH", "__key@mark__:", "m")
            got = []
            while not got or not got[-1].startswith("__key@mark"):
                _, _, channel, text = listener.read()
                got.append(f"{channel.decode()} {text.decode()}")
            equal(got[:-1], expected, classes)
        given_and_shown = {"gxE": "gxE", "KAE": "AKE", "AKEm": "AKEm", "Knm": "nKm", "g$lshzxetdKE": "AKE"}
        if not IS_REDIS:  # Redis forgets to show the n behind A
            given_and_shown["AKEmn"] = "AnKEm"
        for given, shown in given_and_shown.items():
            client("CONFIG", "SET", "notify-keyspace-events", given)
            equal(client("CONFIG", "GET", "notify-keyspace-events")[1], shown.encode())
        client("CONFIG", "SET", "notify-keyspace-events", "KEA")
        error = client.ask("CONFIG", "SET", "notify-keyspace-events", "Eq")
        assert "Invalid event class character. Use 'Ag$lshzxeKEtmdn'." in str(error), error
        equal(client("CONFIG", "GET", "notify-keyspace-events")[1], b"AKE")


@test
def databases_transactions_and_scripts_tell_too():
    server = Server()
    listener = Listener(server)
    with server.client() as client:
        client("SELECT", 3)
        client("SET", "a", 1)
        client("MOVE", "a", 4)
        equal(listener.events(), ["set a @3", "move_from a @3", "move_to a @4"])
        client("SELECT", 0)
        client("MULTI")
        client("SET", "x", 1)
        client("LPUSH", "l", 1)
        equal(listener.events(), [])
        client("EXEC")
        equal(listener.events(), ["set x", "lpush l"])
        client("EVAL", "redis.call('DEL', KEYS[1]); redis.call('SADD', KEYS[2], 'a') return 1", 2, "x", "s")
        equal(listener.events(), ["del x", "sadd s"])
        client.ask("EVAL", "redis.call('SET', KEYS[1], 'a') return redis.error_reply('no')", 1, "x")
        equal(listener.events(), ["set x"])
        client("WATCH", "x")
        client("SET", "x", 2)
        client("MULTI")
        client("SET", "x", 3)
        equal(client("EXEC"), None)
        equal(listener.events(), ["set x"])


@test
def keys_tell_when_they_expire_and_are_evicted():
    server = Server()
    listener = Listener(server)
    with server.client() as client:
        client("PSETEX", "gone", 30, "v")
        wait_for("an expired key", lambda: client("EXISTS", "gone") == 0)
        equal(listener.events(), ["set gone", "expire gone", "expired gone"])
        # Nobody asks for this one.
        client("PSETEX", "idle", 30, "v")
        seen = []
        wait_for("an expired key", lambda: seen.extend(listener.events()) or "expired idle" in seen)
        if not IS_REDIS:
            client("LOCK", "lease", "me", 30)
            wait_for("a lease", lambda: seen.extend(listener.events()) or "expired lease" in seen)
        client("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        client("SET", "evicted", "v")
        client("CONFIG", "SET", "maxmemory", 1)
        wait_for("an evicted key", lambda: seen.extend(listener.events()) or "evicted evicted" in seen)
        client("CONFIG", "SET", "maxmemory", 0)


@test
def who_waits_is_served_with_an_event():
    server = Server()
    listener = Listener(server)
    with server.client() as client, server.client() as waiting:
        waiting.send("BLPOP", "l", 0)
        wait_for("a blocked client", lambda: int(client.info("clients")["blocked_clients"]) == 1)
        client("RPUSH", "l", "a", "b")
        equal(waiting.read(), [b"l", b"a"])
        equal(listener.events(), ["rpush l", "lpop l"])


@test
def an_event_comes_before_the_answer():
    server = Server()
    with server.client(resp=3) as client:
        client("CONFIG", "SET", "notify-keyspace-events", "KEA")
        client("SUBSCRIBE", "__keyevent@0__:set")
        event = [b"message", b"__keyevent@0__:set", b"k"]
        client.send("SET", "k", "v")
        got = [client.read(), client.read()]
        assert got in (["OK", event], [event, "OK"]), got
    other = server.client()
    with server.client() as listener:
        listener("SUBSCRIBE", "__keyevent@0__:del")
        other("DEL", "k")
        # The message is in the listener's socket already: what it asks next comes behind.
        listener.send("PING")
        equal(listener.read(), [b"message", b"__keyevent@0__:del", b"k"])
        equal(listener.read(), [b"pong", b""])


@test
def a_script_that_takes_long_tells_at_its_end():
    server = Server()
    listener = Listener(server)
    script = """
        redis.call('SET', KEYS[1], 'a')
        for i = 1, %d do redis.sha1hex('some text that takes a while to hash') end
        redis.call('SET', KEYS[2], 'b')
        return 1""" % scaled(300_000)
    with server.client() as client, server.client() as running:
        client("SET", "k", "v")
        # In one turn, so that the script begins behind a change that isn't proposed yet.
        running.send_raw(encode("SET", "before", "v") + encode("EVAL", script, 2, "x", "y"))
        equal(running.read(), "OK")
        equal(running.read(), 1)
        equal(listener.events(), ["set k", "set before", "set x", "set y"])


@test
def a_script_that_takes_long_keeps_nobody_elses_events():
    if IS_REDIS:
        return
    server = Server()
    listener = Listener(server, "AKEm")
    script = "for i = 1, %d do redis.sha1hex('some text that takes a while to hash') end" % scaled(300_000)
    with server.client() as client:
        client("LOCK", "l", "me", 100_000)
        equal(listener.events(), ["lock l"])
        # They change nothing, so that no entry tells of them.
        for request, event in ((("GET", "none"), "keymiss none"), (("EXTEND", "l", 50_000, "OWNER", "me"), "expire l")):
            client.send_raw(encode(*request) + encode("EVAL", script, 0))
            client.read()
            client.read()
            equal(listener.events(), [event])
        client("EVAL", "redis.call('GET', 'none') " + script, 0)
        equal(listener.events(), ["keymiss none"])


@test
def every_core_hears_every_partition():
    if IS_REDIS:
        return
    server = Server(cores=2, partitions=4)
    count = scaled(2_000)
    clients = [server.client() for _ in range(6)]
    clients[0]("CONFIG", "SET", "notify-keyspace-events", "E$")
    for listener in clients[1:]:
        listener("SUBSCRIBE", "__keyevent@0__:set")
    clients[0].pipeline([("SET", f"k{i}", "v") for i in range(count)])
    for listener in clients[1:]:
        keys = [listener.read()[2] for _ in range(count)]
        equal(sorted(keys), sorted(f"k{i}".encode() for i in range(count)))


# --- Between nodes --------------------------------------------------------------------------------


@test
def all_nodes_hear_what_happens_to_keys_led_elsewhere():
    if IS_REDIS:
        return
    nodes = cluster(3)
    leader = leader_of(nodes)
    follower = others(nodes, leader)[0]
    listeners = [each.client() for each in nodes]
    with follower.client() as client:
        client("CONFIG", "SET", "notify-keyspace-events", "EA")
        for listener in listeners:
            listener("PSUBSCRIBE", "__keyevent@0__:*")
        client("SET", "k", "v")
        client("DEL", "k")
        client("PSETEX", "short", 20, "v")
        wanted = ["set k", "del k", "set short", "expire short", "expired short"]
        for listener in listeners:
            got = [listener.read() for _ in wanted]
            equal([f"{m[2].decode().split(':')[1]} {m[3].decode()}" for m in got], wanted)


@test
def a_new_leader_tells_of_what_it_changes():
    if IS_REDIS:
        return
    nodes = cluster(3)
    with nodes[0].client() as client:
        client("CONFIG", "SET", "notify-keyspace-events", "E$")
    leader = leader_of(nodes)
    rest = others(nodes, leader)
    with rest[0].client() as listener, rest[1].client() as client:
        listener("SUBSCRIBE", "__keyevent@0__:set")
        client("SET", "before", "v")
        equal(listener.read()[2], b"before")
        leader.kill()
        wait_for("a leader", lambda: client.ask("SET", "after", "v") == "OK")
        # What was in doubt may have been told of, too.
        while listener.read()[2] != b"after":
            pass


main()
