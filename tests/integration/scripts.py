#!/usr/bin/env python3
"""Scripts: EVAL, EVALSHA and SCRIPT on one node with several cores and partitions, and on three nodes."""

# also under: asan tsan

import hashlib
import json
import threading
import time

from harness import SLOWNESS, Server, equal, main, scaled, test, wait_for
from nodes import cluster, leader_of, others

NOSCRIPT = "NOSCRIPT No matching script. Please use EVAL."
BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
NOTBUSY = "NOTBUSY No scripts in execution right now."
CROSSSLOT = "CROSSSLOT Keys in request don't hash to the same slot"
NOT_LOCAL = "ERR Script attempted to access a non local key in a cluster node"

# What redis-py's Lock sends.
RELEASE = """
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        redis.call('del', KEYS[1])
        return 1
    """
EXTEND = """
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        local expiration = redis.call('pttl', KEYS[1])
        if not expiration then
            expiration = 0
        end
        if expiration < 0 then
            return 0
        end

        local newttl = ARGV[2]
        if ARGV[3] == "0" then
            newttl = ARGV[2] + expiration
        end
        redis.call('pexpire', KEYS[1], newttl)
        return 1
    """


def sha(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()


def ends(script: str) -> str:
    """What stands behind the text of an error on the script's first line."""
    return f" script: {sha(script)}, on @user_script:1."


def key_of(partition: int, partitions: int) -> str:
    """A key in that partition of a node with so many."""
    for i in range(10_000):
        key = f"key{i}"
        if slot(key) * partitions // 16384 == partition:
            return key
    raise RuntimeError("no such key")


def slot(key: str) -> int:
    crc = 0
    for byte in key.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % 16384


# --- One node -----------------------------------------------------------------------------------


@test
def a_lock_of_redis_py():
    with Server(cores=2, partitions=5).client() as c:
        for i in range(20):
            name = f"lock{i}"
            equal(c("SET", name, "token", "NX", "PX", 60_000), "OK")
            for script in (RELEASE, EXTEND):
                if c.ask("EVALSHA", sha(script), 1, name, "another", 1000, "0") != 0:
                    equal(c("SCRIPT", "LOAD", script), sha(script).encode())
                    equal(c("EVALSHA", sha(script), 1, name, "another", 1000, "0"), 0)
            equal(c("EVALSHA", sha(EXTEND), 1, name, "token", 30_000, "0"), 1)
            assert 80_000 < c("PTTL", name) <= 90_000
            equal(c("EVALSHA", sha(EXTEND), 1, name, "token", 10_000, "1"), 1)
            assert 9_000 < c("PTTL", name) <= 10_000
            equal(c("EVALSHA", sha(RELEASE), 1, name, "token"), 1)
            equal(c("EVALSHA", sha(RELEASE), 1, name, "token"), 0)
            equal(c("EXISTS", name), 0)


@test
def keys_and_partitions():
    with Server(cores=2, partitions=4).client() as c:
        here, there = key_of(0, 4), key_of(3, 4)
        equal(c.error("EVAL", "return 1", 2, here, there), CROSSSLOT)
        both = "{%s}a" % here, "{%s}b" % here
        equal(c("EVAL", "return redis.call('mset', KEYS[1], 1, KEYS[2], 2)", 2, *both), "OK")
        equal(c("EVAL", "return redis.call('mget', KEYS[1], KEYS[2])", 2, *both), [b"1", b"2"])
        # Keys that were not named work where they are of the same partition.
        equal(c("EVAL", "return redis.call('get', ARGV[1])", 1, *both), b"2")
        script = "return redis.call('get', ARGV[1])"
        equal(c.error("EVAL", script, 1, here, there), NOT_LOCAL + ends(script))
        equal(c.error("EVAL", script, 0, there), NOT_LOCAL + ends(script))
        equal(c("EVAL", "return {KEYS[1] or 'none', ARGV[1]}", 0, "a"), [b"none", b"a"])
        script = "return redis.call('dbsize')"
        equal(c.error("EVAL", script, 0), NOT_LOCAL + ends(script))
        for p in range(4):
            key = key_of(p, 4)
            equal(c("EVAL", "return redis.call('incr', KEYS[1])", 1, key), 1)
            equal(c("EVALSHA", sha("return redis.call('incr', KEYS[1])"), 1, key), 2)
    with Server().client() as c:
        c("SET", "a", 1)
        equal(c("EVAL", "return redis.call('dbsize')", 0), 1)
        equal(c("EVAL", "return redis.call('keys', '*')", 0), [b"a"])


@test
def what_is_wrong_with_a_request():
    with Server().client() as c:
        equal(c.error("EVAL", "return 1"), "ERR wrong number of arguments for 'eval' command")
        equal(c.error("EVAL", "return 1", "x"), "ERR value is not an integer or out of range")
        equal(c.error("EVAL", "return 1", 3, "a"), "ERR Number of keys can't be greater than number of args")
        equal(c.error("EVAL", "return 1", -1, "a"), "ERR Number of keys can't be negative")
        equal(c.error("EVALSHA", "0" * 40, 0), NOSCRIPT)
        equal(c.error("EVALSHA", "short", 0), NOSCRIPT)
        equal(c.error("EVAL", "xx yy", 0), "ERR Error compiling script (new function): user_script:1: '=' expected near 'yy'")
        equal(c.error("SCRIPT", "KILL"), NOTBUSY)
        equal(c.error("SCRIPT", "NONE"), "ERR unknown subcommand 'NONE'. Try SCRIPT HELP.")
        for script, text in (
            ("redis.call('nosuch')", "ERR Unknown Redis command called from script"),
            ("redis.call('get')", "ERR Wrong number of args calling Redis command from script"),
            ("redis.call('multi')", "ERR This Redis command is not allowed from script"),
            ("redis.call('eval', 'return 1', 0)", "ERR This Redis command is not allowed from script"),
        ):
            equal(c.error("EVAL", script, 0), text + ends(script))
        script = "return redis.call('set', KEYS[1], 1)"
        refused = "ERR Write commands are not allowed from read-only scripts." + ends(script)
        equal(c.error("EVAL_RO", script, 1, "a"), refused)
        equal(c("EXISTS", "a"), 0)
        equal(c("EVAL_RO", "return redis.call('get', KEYS[1])", 1, "a"), None)
        equal(
            c.error("EVAL_RO", "#!lua\nreturn 1", 0),
            "ERR Can not execute a script with write flag using *_ro command.",
        )


@test
def what_a_script_does_is_all_or_nothing_visible():
    server = Server()
    with server.client() as c, server.client(resp=3) as three:
        c("SET", "a", "x")
        script = "redis.call('set', 'b', 1) redis.call('incr', 'a')"
        text = "ERR value is not an integer or out of range" + ends(script)
        equal(c.error("EVAL", script, 0), text)
        # As in Redis: an error doesn't take back what came before it.
        equal(c("GET", "b"), b"1")
        script = "redis.pcall('incr', 'a') redis.call('select', 3) return redis.call('set', 'deep', 1)"
        equal(c("EVAL", script, 0), "OK")
        equal(c("EXISTS", "deep"), 0)
        equal(three("EVAL", "redis.setresp(3) return {redis.call('get', 'none') == nil, true}", 0), [True, True])
        c("MULTI")
        c("SET", "n", 1)
        c("EVAL", "return redis.call('incr', KEYS[1])", 1, "n")
        c("EVALSHA", "0" * 40, 0)
        c("INCR", "n")
        replies = c("EXEC")
        equal((replies[:2], str(replies[2]), replies[3]), (["OK", 2], NOSCRIPT, 3))
        equal(c("EVAL", "return redis.call('lock', KEYS[1], 'me', 1000) > 0", 1, "l"), 1)
        # It would wait anywhere else.
        equal(c("EVAL", "return redis.call('lock', KEYS[1], 'you', 1000, 'wait', 0)", 1, "l"), None)


@test
def survives_a_restart():
    server = Server(partitions=3)
    script = "for i = 1, 10 do redis.call('set', KEYS[1] .. i, ARGV[1]) end return 'done'"
    with server.client() as c:
        equal(c("EVAL", script, 1, "{k}", "v"), b"done")
    server.kill()
    server.start()
    with server.client() as c:
        equal(c("MGET", *(f"{{k}}{i}" for i in range(1, 11))), [b"v"] * 10)
        # The cache is not a part of the data.
        equal(c("SCRIPT", "EXISTS", sha(script)), [0])


@test
def the_cache():
    server = Server(cores=2, partitions=4, script_cache_size="1mb")
    with server.client() as c, server.client() as d:
        equal(c("SCRIPT", "LOAD", "return 1"), sha("return 1").encode())
        equal(c("SCRIPT", "EXISTS", sha("return 1").upper(), "x"), [1, 0])
        for p in range(4):
            equal(d("EVALSHA", sha("return 1").upper(), 1, key_of(p, 4)), 1)
        equal(c("SCRIPT", "FLUSH"), "OK")
        for p in range(4):
            equal(d.error("EVALSHA", sha("return 1"), 1, key_of(p, 4)), NOSCRIPT)
        filler = "--" + "x" * 35_000
        for i in range(scaled(300)):
            equal(c("EVAL", f"return {i} {filler}", 1, key_of(i % 4, 4)), i)
        equal(c("EVALSHA", sha(f"return {scaled(300) - 1} {filler}"), 0), scaled(300) - 1)
        info = c.info("memory")
        assert int(info["used_memory_scripts"]) <= 1 << 20, info
        if scaled(300) > 100:
            equal(c.error("EVALSHA", sha(f"return 0 {filler}"), 0), NOSCRIPT)


@test
def memory_is_limited():
    with Server(lua_memory_limit="8mb").client() as c:
        script = "local t = {} for i = 1, 1e8 do t[i] = 'x' .. i end"
        assert "not enough memory" in c.error("EVAL", script, 0)
        equal(c("EVAL", "return 1", 0), 1)


@test
def a_reentrant_lock_in_a_hash():
    """The shape of Redisson's locks: a hash of holders and how often they hold, and a channel that says it is free."""
    take = """
        if redis.call('exists', KEYS[1]) == 0 or redis.call('hexists', KEYS[1], ARGV[2]) == 1 then
            redis.call('hincrby', KEYS[1], ARGV[2], 1)
            redis.call('pexpire', KEYS[1], ARGV[1])
            return nil
        end
        return redis.call('pttl', KEYS[1])
    """
    give = """
        if redis.call('hexists', KEYS[1], ARGV[2]) == 0 then return nil end
        if redis.call('hincrby', KEYS[1], ARGV[2], -1) > 0 then
            redis.call('pexpire', KEYS[1], ARGV[1])
            return 0
        end
        redis.call('del', KEYS[1])
        redis.call('publish', KEYS[2], ARGV[3])
        return 1
    """
    server = Server(cores=2, partitions=3)
    with server.client() as c, server.client() as e:
        channel = "{lock}:free"
        e("SUBSCRIBE", channel)
        equal(c("EVAL", take, 1, "lock", 30_000, "a:1"), None)
        equal(c("EVAL", take, 1, "lock", 30_000, "a:1"), None)
        assert 0 < c("EVAL", take, 1, "lock", 30_000, "b:1") <= 30_000
        equal(c("EVAL", give, 2, "lock", channel, 30_000, "b:1", "free"), None)
        equal(c("EVAL", give, 2, "lock", channel, 30_000, "a:1", "free"), 0)
        equal(c("EVAL", give, 2, "lock", channel, 30_000, "a:1", "free"), 1)
        equal(e.read(), [b"message", channel.encode(), b"free"])
        equal(c("EVAL", take, 1, "lock", 30_000, "b:1"), None)


@test
def a_lock_of_redlock():
    acquire = """
        for i, key in ipairs(KEYS) do if redis.call("exists", key) == 1 then return 0 end end
        for i, key in ipairs(KEYS) do redis.call("set", key, ARGV[1], "PX", ARGV[2]) end
        return #KEYS
    """
    extend = """
        for i, key in ipairs(KEYS) do if redis.call("get", key) ~= ARGV[1] then return 0 end end
        for i, key in ipairs(KEYS) do redis.call("set", key, ARGV[1], "PX", ARGV[2]) end
        return #KEYS
    """
    release = """
        local count = 0
        for i, key in ipairs(KEYS) do
            if redis.call("get", key) == ARGV[1] then redis.pcall("del", key) count = count + 1 end
        end
        return count
    """
    with Server(partitions=4).client() as c:
        keys = ["{r}a", "{r}b", "{r}c"]
        for n in range(3):
            equal(c("EVAL", acquire, 3, *keys, f"token{n}", 30_000), 3)
            equal(c("EVAL", acquire, 1, keys[1], "other", 30_000), 0)
            equal(c("EVAL", extend, 3, *keys, "other", 30_000), 0)
            equal(c("EVAL", extend, 3, *keys, f"token{n}", 60_000), 3)
            assert c("PTTL", keys[2]) > 30_000
            equal(c("EVAL", release, 3, *keys, "other"), 0)
            equal(c("EVAL", release, 3, *keys, f"token{n}"), 3)


@test
def a_rate_limiter():
    """As rate-limiter-flexible counts: points in a window that begins with the first of them."""
    consume = """
        redis.call('set', KEYS[1], 0, 'EX', ARGV[2], 'NX')
        local consumed = redis.call('incrby', KEYS[1], ARGV[1])
        local ttl = redis.call('pttl', KEYS[1])
        if ttl == -1 then
            redis.call('expire', KEYS[1], ARGV[2])
            ttl = 1000 * ARGV[2]
        end
        return {consumed, ttl}
    """
    with Server(partitions=2).client() as c:
        for n in range(1, 20):
            consumed, ttl = c("EVAL", consume, 1, "user:1", 2, 60)
            equal(consumed, 2 * n)
            assert 0 < ttl <= 60_000


@test
def a_queue_with_packed_options():
    """A large script that keeps jobs in lists and hashes, with options as cmsgpack and events as JSON."""
    helpers = "".join(
        f"local function helper{i}(t, n)\n  if n <= 0 then return t end\n  t['k{i}'] = n\n  return t\nend\n" for i in range(180))
    script = helpers + """
        local options = cmsgpack.unpack(ARGV[1])
        local id = redis.call('incr', KEYS[1] .. 'id')
        local job = KEYS[1] .. id
        local data = cjson.decode(ARGV[2])
        data.id = id
        redis.call('hset', job, 'data', cjson.encode(data), 'opts', cmsgpack.pack(options), 'priority', options.priority)
        if options.lifo then
            redis.call('rpush', KEYS[1] .. 'wait', id)
        else
            redis.call('lpush', KEYS[1] .. 'wait', id)
        end
        redis.call('publish', KEYS[1] .. 'events', cjson.encode({event = 'waiting', jobId = tostring(id)}))
        local fields = redis.call('hgetall', job)
        local result = {}
        for i = 1, #fields, 2 do result[fields[i]] = fields[i + 1] end
        return {id, cmsgpack.unpack(result['opts']).priority, cjson.decode(result['data']).name}
    """
    script += "--" + "x" * max(0, 35_000 - len(script))
    # {"priority": 7, "lifo": true} as MessagePack.
    options = b"\x82\xa8priority\x07\xa4lifo\xc3"
    nodes = cluster(partitions=2)
    clients = [each.client() for each in nodes]
    with nodes[0].client() as listener:
        listener("SUBSCRIBE", "{q}:events")
        equal(clients[0]("SCRIPT", "LOAD", script), sha(script).encode())
        for n in range(1, scaled(40)):
            c = clients[n % 3]
            if c.ask("EVALSHA", sha(script), 1, "{q}:", options, '{"name":"job"}') == [n, 7, b"job"]:
                pass
            else:
                equal(c("EVAL", script, 1, "{q}:", options, '{"name":"job"}'), [n, 7, b"job"])
            message = listener.read()
            equal(json.loads(message[2]), {"event": "waiting", "jobId": str(n)})
        equal(clients[1]("LLEN", "{q}:wait"), scaled(40) - 1)


# --- Scripts that take long -----------------------------------------------------------------------


def busy_server(**options) -> Server:
    return Server(busy_reply_threshold=200, **options)


def wait_for_busy(client, key: str) -> None:
    wait_for("a script makes it busy", lambda: str(client.ask("GET", key)) == BUSY)


@test
def an_endless_script_is_killed():
    server = busy_server(cores=2, partitions=4)
    key, elsewhere = key_of(0, 4), key_of(2, 4)
    with server.client() as c, server.client() as d:
        for script in (
            "while true do end",
            "while true do pcall(function() while true do end end) end",
            "while true do redis.pcall('get', KEYS[1]) end",
        ):
            c.send("EVAL", script, 1, key)
            c.send("PING")
            wait_for_busy(d, key)
            # Other partitions go on, on the same core too.
            equal(d("SET", elsewhere, "v"), "OK")
            equal(d.error("SET", key, "v"), BUSY)
            d("MULTI")
            equal(d.error("GET", key), BUSY)
            equal(d("GET", elsewhere), "QUEUED")
            equal(d.error("EXEC"), "EXECABORT Transaction discarded because of previous errors.")
            equal(d.error("EVAL", "return 1", 1, key), BUSY)
            equal(d("SCRIPT", "KILL"), "OK")
            assert str(c.read()).startswith("ERR Script killed by user with SCRIPT KILL."), script
            equal(c.read(), "PONG")
            equal(d("SET", key, "v"), "OK")
            equal(d.error("SCRIPT", "KILL"), NOTBUSY)


@test
def who_has_written_is_not_killed():
    server = busy_server()
    with server.client() as c, server.client() as d:
        d("SET", "other", "before")
        seconds = 1.5 * SLOWNESS
        c.send("EVAL", f"redis.call('set', 'k', 'half') local t = os.clock() while os.clock() - t < {seconds} do end "
               "redis.call('set', 'other', 'after') return redis.call('get', 'k')", 2, "k", "other")
        wait_for_busy(d, "k")
        assert d.error("SCRIPT", "KILL").startswith("UNKILLABLE Sorry the script already executed write commands")
        equal(d.error("GET", "other"), BUSY)
        equal(c.read(), b"half")
        equal(d("MGET", "k", "other"), [b"half", b"after"])
    server.kill()
    server.start()
    with server.client() as d:
        equal(d("MGET", "k", "other"), [b"half", b"after"])


@test
def others_wait_for_a_script_in_their_order():
    server = Server(cores=2, partitions=2)
    key = key_of(1, 2)
    with server.client() as c, server.client() as d, server.client() as e:
        c.send("EVAL", "local t = os.clock() while os.clock() - t < 0.4 do end return redis.call('incr', KEYS[1])", 1, key)
        time.sleep(0.1)
        for each in (d, e):
            each.send("MULTI")
            each.send("INCR", key)
            each.send("GET", key)
            each.send("EXEC")
        d.send("EVAL", "return redis.call('incr', KEYS[1])", 1, key)
        d.send("INCR", key)
        equal(c.read(), 1)
        for each in (d, e):
            equal(each.read_n(3), ["OK", "QUEUED", "QUEUED"])
        first, second = d.read(), e.read()
        for reply in (first, second):
            equal(str(reply[0]).encode(), reply[1])
        replies = [first[0], second[0], d.read(), d.read()]
        equal(sorted(replies), [2, 3, 4, 5])


@test
def a_long_script_in_a_transaction():
    server = busy_server()
    with server.client() as c, server.client() as d:
        c("MULTI")
        c("EVAL", "local t = os.clock() while os.clock() - t < 0.6 do end return 1", 0)
        c("PING")
        c("SET", "k", "v")
        c.send("EXEC")
        wait_for_busy(d, "k")
        equal(c.read(), [1, "PONG", "OK"])
        equal(d("GET", "k"), b"v")
        c("MULTI")
        c("SET", "k", "w")
        c("EVAL", "while os.clock() do if redis.call('get', 'k') == 'x' then break end end", 0)
        c.send("EXEC")
        wait_for_busy(d, "k")
        assert d.error("SCRIPT", "KILL").startswith("UNKILLABLE")
        # The process ends although that one never does.
        server.kill()


@test
def a_server_ends_under_an_endless_script():
    server = busy_server()
    with server.client() as c, server.client() as d:
        c.send("EVAL", "while true do end", 0)
        wait_for_busy(d, "k")
        equal(server.terminate(), 0)


# --- Three nodes ----------------------------------------------------------------------------------


@test
def any_node_takes_any_script():
    nodes = cluster(partitions=3)
    clients = [each.client() for each in nodes]
    for i, c in enumerate(clients):
        for k in range(6):
            key = f"{i}-{k}"
            equal(c("EVAL", f"return redis.call('set', KEYS[1], {i})", 1, key), "OK")
            for other in clients:
                equal(other("GET", key), str(i).encode())
    # A script that one node knows runs wherever the key is led; the others don't know it.
    for i, c in enumerate(clients):
        script = f"return {{{i}, redis.call('incr', KEYS[1])}}"
        equal(c("SCRIPT", "LOAD", script), sha(script).encode())
        for k in range(6):
            equal(c("EVALSHA", sha(script), 1, f"n{i}-{k}"), [i, 1])
            equal(c("EVALSHA_RO", sha("return 1"), 1, f"n{i}-{k}") if c("EVAL_RO", "return 1", 0) else 1, 1)
        c("MULTI")
        c("EVALSHA", sha(script), 1, "tx")
        c("INCR", "tx")
        equal(c("EXEC"), [[i, i * 2 + 1], i * 2 + 2])
    for c in clients:
        equal(c.error("EVALSHA", "f" * 40, 1, "k"), NOSCRIPT)
        # What passed by as EVAL is known, too.
        c("EVAL", "return 'passed by'", 1, "k")
        for k in range(6):
            equal(c("EVALSHA", sha("return 'passed by'"), 1, f"k{k}"), b"passed by")
        c("SCRIPT", "FLUSH")
        for k in range(6):
            equal(c.error("EVALSHA", sha("return 'passed by'"), 1, f"k{k}"), NOSCRIPT)


@test
def killed_through_any_node():
    nodes = cluster(busy_reply_threshold=200)
    leader = leader_of(nodes)
    follower, other = others(nodes, leader)
    with follower.client() as c, other.client() as d:
        c.send("EVAL", "while true do end", 1, "k")
        wait_for_busy(d, "k")
        equal(d("SCRIPT", "KILL"), "OK")
        assert str(c.read()).startswith("ERR Script killed by user with SCRIPT KILL.")
        equal(d("SET", "k", "v"), "OK")
        # Nobody was elected meanwhile.
        equal(leader_of(nodes), leader)


@test
def leadership_that_moves_ends_a_script():
    nodes = cluster(busy_reply_threshold=200)
    leader = leader_of(nodes)
    follower, other = others(nodes, leader)
    with leader.client() as c, other.client() as d:
        d("SET", "k", "before")
        c.send("EVAL", "redis.call('set', 'k', 'half') while true do end", 1, "k")
        wait_for_busy(d, "k")
        with follower.client() as f:
            f.send("CLUSTER", "TRANSFER", 0, f("CLUSTER", "MYID"))
            assert str(c.read()).startswith("TRYAGAIN"), "the script's reply"
        wait_for("a new leader", lambda: d.ask("GET", "k") == b"before")
        equal(d("SET", "k", "after"), "OK")
        equal(c("GET", "k"), b"after")


@test
def a_counter_in_scripts_under_load():
    nodes = cluster(partitions=2)
    script = "local n = redis.call('get', KEYS[1]) or '0' redis.call('set', KEYS[1], n + 1) return n + 1"
    count = scaled(300)
    seen: list[int] = []

    def work(server):
        with server.client() as c:
            seen.extend(c("EVAL", script, 1, "counter") for _ in range(count))

    threads = [threading.Thread(target=work, args=(each,)) for each in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sorted(seen), list(range(1, 3 * count + 1)))


if __name__ == "__main__":
    main()
