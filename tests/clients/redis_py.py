"""redis-py, as Debian 12 packages it: python3 redis_py.py <port> [no-locks]. See common.js for the
agreement with tests/clients/run."""

import threading

import redis
from common import equal, fails, finish, flush_all, options, port, refusals, restart, user, wait_for, with_locks


def strings(r):
    equal(r.ping(), True)
    equal(r.set("key", "value"), True)
    equal(r.get("key"), b"value")
    equal(r.get("missing"), None)
    equal(r.set("key", "x", nx=True), None)
    equal(r.set("key", "new", xx=True, get=True), b"value")
    equal(r.append("key", "er"), 5)
    equal(r.mset({"a": 1, "b": 2}), True)
    equal(r.mget("a", "missing", "b"), [b"1", None, b"2"])
    equal(r.incrby("a", 41), 42)
    equal(r.incrbyfloat("a", 0.5), 42.5)
    equal(r.setbit("bits", 9, 1), 0)
    equal(r.bitcount("bits"), 1)
    equal(r.delete("a", "b", "missing"), 2)
    binary = bytes(range(256)) * 2
    equal(r.set(binary, binary), True)
    equal(r.get(binary), binary)
    long = b"x" * 3_000_000
    equal(r.set("long", long), True)
    equal(r.get("long") == long, True)
    equal(r.type("key"), b"string")
    equal(r.rename("key", "renamed"), True)
    equal(r.copy("renamed", "copied"), True)
    equal(r.exists("key", "renamed", "copied"), 2)
    payload = r.dump("copied")
    equal(r.restore("restored", 0, payload), b"OK")
    equal(r.get("restored"), b"newer")


def expiry(r):
    equal(r.set("e", "1", ex=100), True)
    equal(90 < r.ttl("e") <= 100, True)
    equal(r.persist("e"), True)
    equal(r.ttl("e"), -1)
    equal(r.pexpire("e", 60), True)
    wait_for("it expires", lambda: r.get("e") is None)
    equal(r.pttl("e"), -2)


def transactions(r, other):
    with r.pipeline() as p:
        equal(p.set("t", 1).incr("t").get("t").execute(), [True, 2, b"2"])
        p.watch("t")
        other.set("t", "theirs")
        p.multi()
        p.set("t", "mine")
        fails(redis.WatchError, "", p.execute)
    equal(r.get("t"), b"theirs")

    def upper(p):
        value = p.get("t").decode()
        p.multi()
        p.set("t", value.upper())

    equal(r.transaction(upper, "t"), [True])
    equal(r.get("t"), b"THEIRS")


def pipelines(r):
    with r.pipeline(transaction=False) as p:
        for i in range(2000):
            p.set(f"p:{i}", i)
            p.get(f"p:{i}")
        replies = p.execute()
    equal(replies, [x for i in range(2000) for x in (True, str(i).encode())])


def scans(r):
    equal(len(set(r.scan_iter("p:*", count=100))), 2000)
    equal(len(r.keys("p:199?")), 10)


def errors(r):
    fails(redis.ResponseError, "not an integer", r.incr, "renamed")
    fails(redis.ResponseError, "unknown command", r.execute_command, "NOSUCH", "x")
    fails(redis.ResponseError, "wrong number of arguments", r.execute_command, "GET")
    equal(r.ping(), True)


def server(r):
    info = r.info()
    equal(info["loading"], 0)
    equal(info["redis_mode"], "standalone")
    equal(info["role"], "master")
    equal(r.config_get("maxmemory-policy"), {"maxmemory-policy": "noeviction"})
    equal(len(r.client_list()) >= 1, True)
    commands = r.command()
    equal(commands["get"]["arity"], 2)
    equal(r.command_count() > 50, True)
    equal(isinstance(r.time(), tuple), True)
    named = redis.Redis(port=port, db=3, client_name="in-three", **options)
    equal(named.set("only here", 1), True)
    equal(r.exists("only here"), 0)
    equal(named.client_getname(), "in-three")
    named.close()


def pubsub(r):
    with r.pubsub() as p:
        p.subscribe("news", "weather")
        p.psubscribe("w*")
        kinds = [p.get_message(timeout=30)["type"] for _ in range(3)]
        equal(kinds, ["subscribe", "subscribe", "psubscribe"])
        equal(r.publish("news", "hello"), 1)
        equal(p.get_message(timeout=30), {"type": "message", "pattern": None, "channel": b"news", "data": b"hello"})
        equal(r.publish("weather", "rain"), 2)
        got = [p.get_message(timeout=30) for _ in range(2)]
        equal([m["type"] for m in got], ["message", "pmessage"])
        equal([m["pattern"] for m in got], [None, b"w*"])
        p.ping()
        equal(p.get_message(timeout=30)["type"], "pong")
        equal(sorted(r.pubsub_channels()), [b"news", b"weather"])
        equal(r.pubsub_numsub("news", "none"), [(b"news", 1), (b"none", 0)])
        equal(r.pubsub_numpat(), 1)
        p.unsubscribe()
        p.punsubscribe()
        kinds = [p.get_message(timeout=30)["type"] for _ in range(3)]
        equal(kinds, ["unsubscribe", "unsubscribe", "punsubscribe"])
        # By a callback, on a thread of the library's.
        heard = []
        p.subscribe(**{"called": lambda m: heard.append(m["data"])})
        thread = p.run_in_thread(sleep_time=0.01)
        wait_for("it listens", lambda: r.pubsub_numsub("called") == [(b"called", 1)])
        with r.pipeline() as transaction:
            equal(transaction.publish("called", "1").set("published", "x").publish("called", "2").execute(), [1, True, 1])
        wait_for("both are heard", lambda: len(heard) == 2)
        equal(heard, [b"1", b"2"])
        thread.stop()
        thread.join(30)


def scripts(r, other):
    # redis-py's own lock: SET NX PX, and scripts to extend it and to give it back.
    lock = r.lock("redis-py's", timeout=60)
    equal(lock.acquire(blocking=False), True)
    equal(other.lock("redis-py's", timeout=60).acquire(blocking=False), False)
    equal(lock.owned(), True)
    equal(lock.extend(10), True)
    equal(60 < r.ttl("redis-py's") <= 70, True)
    equal(lock.reacquire(), True)
    equal(50 < r.ttl("redis-py's") <= 60, True)
    lock.release()
    equal(r.exists("redis-py's"), 0)
    lost = r.lock("redis-py's", timeout=60)
    equal(lost.acquire(blocking=False), True)
    other.delete("redis-py's")
    fails(redis.exceptions.LockNotOwnedError, "no longer owned", lost.release)
    add = r.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    equal(add(keys=["added"], args=[5]), 5)
    r.script_flush()
    equal(add(keys=["added"], args=[5]), 10)
    equal(r.script_exists(add.sha, "none"), [True, False])
    fails(redis.exceptions.NoScriptError, "No matching script", r.evalsha, "f" * 40, 0)


def locks(r, other):
    token = r.execute_command("LOCK", "lock", "me", 60000)
    equal(isinstance(token, int) and token > 0, True)
    equal(other.execute_command("LOCK", "lock", "you", 60000), None)
    got = []
    thread = threading.Thread(target=lambda: got.append(other.execute_command("LOCK", "lock", "you", 60000, "WAIT", 30000)))
    thread.start()
    wait_for("the other one waits", lambda: r.info("clients")["blocked_clients"] == 1)
    equal(r.execute_command("UNLOCK", "lock", "me"), 1)
    thread.join(30)
    equal(got[0] > token, True)
    equal(other.execute_command("SET", "guarded", "x", "FENCE", got[0]), True)
    fails(redis.ResponseError, "FENCED", r.execute_command, "SET", "guarded", "y", "FENCE", token)
    equal(r.execute_command("SEQNEXT", "numbers", "COUNT", 3), [1, 3])
    equal(r.execute_command("CAS", "guarded", "x", "z")[0], 1)


def reconnect(r):
    equal(r.set("kept", "over the restart"), True)
    restart()
    # A connection that was cut is noticed by the next request, which redis-py repeats once.
    equal(r.get("kept"), b"over the restart")


r = redis.Redis(port=port, retry_on_timeout=True, **options)
other = redis.Redis(port=port, **options)
flush_all()
refusals()
if user:
    fails(redis.exceptions.NoPermissionError, "one of the channels used as arguments", r.publish, "!news", "x")
strings(r)
expiry(r)
transactions(r, other)
pipelines(r)
scans(r)
errors(r)
server(r)
pubsub(r)
scripts(r, other)
if with_locks:
    locks(r, other)
reconnect(r)
finish()
