#!/usr/bin/env python3
"""Functions: FUNCTION and FCALL on one node with several cores and partitions, beside Redis, and on three nodes."""

import os
import shutil
import signal
import subprocess
import threading

from harness import Server, equal, main, ports, scaled, temp_dir, test, wait_for
from nodes import cluster, leader_of, others, raft
from resp import Client

BUSY_SCRIPT = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
BUSY_FUNCTION = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
NOTBUSY = "NOTBUSY No scripts in execution right now."
NOT_FOUND = "ERR Function not found"


def library(name: str, **functions: str) -> str:
    """The code of a library whose functions have these bodies."""
    code = f"#!lua name={name}\n"
    for function, body in functions.items():
        code += f"redis.register_function('{function}', function(keys, args) {body} end)\n"
    return code


def names(client) -> list[str]:
    return sorted(entry[1].decode() for entry in client("FUNCTION", "LIST"))


# --- One node -------------------------------------------------------------------------------------


@test
def loaded_called_listed_deleted():
    with Server(cores=2, partitions=4).client() as c:
        code = library("one", get="return redis.call('get', keys[1])", set="return redis.call('set', keys[1], args[1])")
        equal(c("FUNCTION", "LOAD", code), b"one")
        for i in range(20):
            equal(c("FCALL", "set", 1, f"k{i}", i), "OK")
            equal(c("FCALL", "GET", 1, f"k{i}"), str(i).encode())
        equal(c("FUNCTION", "LIST"), [[b"library_name", b"one", b"engine", b"LUA", b"functions", [
            [b"name", name, b"description", None, b"flags", []] for name in (b"get", b"set")]]])
        equal(c.error("FUNCTION", "LOAD", code), "ERR Library 'one' already exists")
        equal(c.error("FUNCTION", "LOAD", library("two", SET="return 1")), "ERR Function SET already exists")
        equal(c("FUNCTION", "LOAD", "REPLACE", library("one", get="return 'new'")), b"one")
        equal(c("FCALL", "get", 0), b"new")
        equal(c.error("FCALL", "set", 0), NOT_FOUND)
        equal(c("FUNCTION", "STATS"), [b"running_script", None, b"engines", [
            b"LUA", [b"libraries_count", 1, b"functions_count", 1]]])
        equal(c("FLUSHALL"), "OK")
        equal(c("FCALL", "get", 0), b"new")
        equal(c("FUNCTION", "DELETE", "one"), "OK")
        equal(c.error("FUNCTION", "DELETE", "one"), "ERR Library not found")
        equal(c.error("FCALL", "get", 0), NOT_FOUND)
        equal(c("FUNCTION", "FLUSH"), "OK")


@test
def flags_and_read_only_calls():
    with Server().client() as c:
        c("FUNCTION", "LOAD", "#!lua name=l\n"
          "redis.register_function('write', function(k) return redis.call('set', k[1], 'v') end)\n"
          "redis.register_function{function_name='read', flags={'no-writes'}, callback=function(k) "
          "return redis.call('get', k[1]) end}\n"
          "redis.register_function{function_name='cheat', flags={'no-writes'}, callback=function(k) "
          "return redis.call('set', k[1], 'w') end}")
        equal(c.error("FCALL_RO", "write", 1, "k"), "ERR Can not execute a script with write flag using *_ro command.")
        equal(c("FCALL", "write", 1, "k"), "OK")
        equal(c("FCALL_RO", "read", 1, "k"), b"v")
        assert c.error("FCALL", "cheat", 1, "k").startswith("ERR Write commands are not allowed from read-only scripts.")
        c("MULTI")
        c("FCALL", "write", 1, "k")
        c("FCALL_RO", "read", 1, "k")
        equal(c("EXEC"), ["OK", b"v"])
        equal(c("COMMAND", "GETKEYS", "FCALL", "f", 2, "a", "b", "c"), [b"a", b"b"])


@test
def functions_survive_restarts():
    server = Server(cores=2, partitions=3)
    with server.client() as c:
        for i in range(10):
            c("FUNCTION", "LOAD", library(f"l{i}", **{f"f{i}": f"return {i}"}))
        c("FUNCTION", "DELETE", "l3")
        c("FUNCTION", "LOAD", "REPLACE", library("l4", f4="return 'four'"))
    for end in (server.kill, server.terminate):
        end()
        server.start()
        with server.client() as c:
            equal(names(c), [f"l{i}" for i in range(10) if i != 3])
            equal(c("FCALL", "f9", 1, "k"), 9)
            equal(c("FCALL", "f4", 1, "k"), b"four")
            equal(c.error("FCALL", "f3", 0), NOT_FOUND)
            equal(int(c.info("memory")["number_of_libraries"]), 9)


@test
def payloads_are_those_of_redis():
    if shutil.which("redis-server") is None:
        return
    port = ports.take()
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--dir", str(temp_dir())],
                             stdout=subprocess.DEVNULL)
    try:
        with Server().client() as c:
            def connect():
                try:
                    return Client(port)
                except OSError:
                    return None

            other = wait_for("redis-server answers", connect)
            code = library("shared", f="return 'from ' .. args[1]") + "-- " + "x" * 5000
            for source, target in ((c, other), (other, c)):
                for each in (source, target):
                    equal(each("FUNCTION", "FLUSH"), "OK")
                equal(source("FUNCTION", "LOAD", code), b"shared")
                payload = source("FUNCTION", "DUMP")
                equal(target("FUNCTION", "RESTORE", payload), "OK")
                equal(target("FUNCTION", "LIST", "WITHCODE"), source("FUNCTION", "LIST", "WITHCODE"))
                equal(target("FCALL", "f", 0, "here"), b"from here")
                equal(target.error("FUNCTION", "RESTORE", payload), "ERR Library shared already exists")
                equal(target("FUNCTION", "RESTORE", payload, "REPLACE"), "OK")
            for bad in (b"", payload[:-1], payload[:-1] + b"?"):
                for each in (c, other):
                    equal(each.error("FUNCTION", "RESTORE", bad), "ERR DUMP payload version or checksum are wrong")
            # The same errors, word for word.
            for wrong in ("return 1", "#!lua name=x", "#!lua name=x\n", "#!lua name=x\nbad", "#!js name=x\n", "#!lua\n",
                          "#!lua name=x\nredis.register_function()", "#!lua name=x\na = 1", "#!lua name=x y=z\n",
                          "#!lua name=x\nredis.call('ping')", "#!lua name=x\nerror('x')", "#!lua name=shared\n",
                          library("x", F="return 1"), "#!lua name=x\nredis.register_function{flags={1}}"):
                equal(c.error("FUNCTION", "LOAD", wrong), other.error("FUNCTION", "LOAD", wrong), wrong)
            for call in (("FCALL", "f", "x"), ("FCALL", "f", 1), ("FCALL", "f", -1), ("FCALL", "g", "x"),
                         ("FUNCTION", "LOAD", "x", "y"), ("FUNCTION", "LIST", "x"), ("FUNCTION", "LIST", "LIBRARYNAME"),
                         ("FUNCTION", "FLUSH", "x"), ("FUNCTION", "FLUSH", "SYNC", "x"), ("FUNCTION", "RESTORE", "x", "y"),
                         ("FUNCTION", "RESTORE", "x", "y", "z"), ("FUNCTION", "NONE"), ("FUNCTION", "DUMP", "x"),
                         ("FUNCTION", "KILL"), ("FUNCTION", "DELETE", "none"), ("FCALL", "f", 0)):
                equal(c.error(*call), other.error(*call), str(call))
    finally:
        redis.send_signal(signal.SIGKILL)
        redis.wait()


@test
def restoring_is_all_or_nothing():
    with Server().client() as c:
        c("FUNCTION", "LOAD", library("a", fa="return 1"))
        c("FUNCTION", "LOAD", library("b", fb="return 2"))
        payload = c("FUNCTION", "DUMP")
        c("FUNCTION", "FLUSH")
        c("FUNCTION", "LOAD", library("c", fb="return 3"))
        equal(c.error("FUNCTION", "RESTORE", payload), "ERR Function fb already exists")
        equal(c.error("FUNCTION", "RESTORE", payload, "REPLACE"), "ERR Function fb already exists")
        equal(names(c), ["c"])
        equal(c("FUNCTION", "RESTORE", payload, "FLUSH"), "OK")
        equal(names(c), ["a", "b"])
        equal(c("FCALL", "fb", 0), 2)


# --- Functions that take long ---------------------------------------------------------------------


@test
def an_endless_function_is_killed():
    server = Server(busy_reply_threshold=100)
    with server.client() as c, server.client() as d:
        d("FUNCTION", "LOAD", library("l", f="while true do end"))
        c.send("FCALL", "F", 1, "k", "x")
        wait_for("it is busy", lambda: str(d.ask("GET", "k")) == BUSY_FUNCTION)
        # With one partition nothing is served, as in Redis.
        equal(d.error("PING"), BUSY_FUNCTION)
        running = d("FUNCTION", "STATS")[1]
        equal(running[:4], [b"name", b"f", b"command", [b"FCALL", b"F", b"1", b"k", b"x"]])
        equal(d.error("SCRIPT", "KILL"), BUSY_FUNCTION)
        equal(d("MULTI"), "OK")
        equal(d.error("INCR", "k"), BUSY_FUNCTION)
        equal(d("FUNCTION", "KILL"), "QUEUED")
        equal(d.error("EXEC"), f"EXECABORT Transaction discarded because of: {BUSY_FUNCTION}")
        equal(d("FUNCTION", "KILL"), "OK")
        assert str(c.read()).startswith("ERR Script killed by user with SCRIPT KILL..."), "the function's end"
        equal(d("PING"), "PONG")
        equal(d.error("FUNCTION", "KILL"), NOTBUSY)
        c.send("EVAL", "while true do end", 0)
        wait_for("it is busy", lambda: str(d.ask("GET", "k")) == BUSY_SCRIPT)
        equal(d.error("FUNCTION", "KILL"), BUSY_SCRIPT)
        equal(d.error("FUNCTION", "STATS"), BUSY_SCRIPT)
        equal(d("SCRIPT", "KILL"), "OK")


@test
def loading_takes_half_a_second_at_most():
    server = Server(cores=2, partitions=2)
    with server.client() as c, server.client() as d:
        c.send("FUNCTION", "LOAD", "#!lua name=l\nwhile true do end")
        # Nobody else waits for it.
        for i in range(100):
            equal(d("SET", f"k{i}", i), "OK")
        equal(str(c.read()), "ERR Error registering functions: ERR FUNCTION LOAD timeout")
        equal(names(d), [])


@test
def messages_leave_when_the_script_is_committed():
    server = Server(cores=2, partitions=2)
    with server.client() as c, server.client() as d, server.client() as watcher:
        watcher("SUBSCRIBE", "news")
        script = "redis.call('set', KEYS[1], 'v') for i = 1, 3 do redis.call('publish', 'news', i) end return redis.call('get', KEYS[1])"
        for key in ("a", "b", "c", "d"):
            equal(c("EVAL", script, 1, key), b"v")
            c("PUBLISH", "news", "behind " + key)
            equal([watcher.read()[2] for _ in range(4)], [b"1", b"2", b"3", f"behind {key}".encode()])
        c("FUNCTION", "LOAD", library("l", f="return redis.call('publish', 'news', args[1])"))
        c("FCALL", "f", 0, "one")
        c("PUBLISH", "news", "two")
        equal([watcher.read()[2] for _ in range(2)], [b"one", b"two"])
        c("MULTI")
        c("SET", "a", 1)
        c("EVAL", "redis.call('publish', 'news', 'in a transaction') return 1", 1, "a")
        equal(c("EXEC"), ["OK", 1])
        equal(watcher.read()[2], b"in a transaction")
        assert d.error("EVAL_RO", "return redis.call('publish', 'news', 'x')", 0).startswith("ERR Write commands")


# --- Three nodes ----------------------------------------------------------------------------------


@test
def what_one_node_has_loaded_every_node_runs():
    nodes = cluster(partitions=3)
    clients = [each.client() for each in nodes]
    for round_number in range(scaled(30)):
        for i, c in enumerate(clients):
            code = library("l", f=f"return {{'{round_number}.{i}', redis.call('incr', keys[1])}}")
            equal(c("FUNCTION", "LOAD", "REPLACE", code), b"l")
            # At once, wherever the key is led.
            for k in range(6):
                equal(c("FCALL", "f", 1, f"{{k{k}}}{round_number}")[0], f"{round_number}.{i}".encode())
    for c in clients:
        equal(names(c), ["l"])
        equal(c("FUNCTION", "DUMP"), clients[0]("FUNCTION", "DUMP"))
    equal(clients[1]("FUNCTION", "DELETE", "l"), "OK")
    for k in range(6):
        equal(clients[1].error("FCALL", "f", 1, f"k{k}"), NOT_FOUND)
    for c in clients:
        wait_for("every node knows", lambda c=c: str(c.ask("FCALL", "f", 1, "k")) == NOT_FOUND)


@test
def functions_survive_failovers():
    nodes = cluster(partitions=2)
    with nodes[0].client() as c:
        c("FUNCTION", "LOAD", library("l", f="return redis.call('incr', keys[1])"))
        equal(c("FCALL", "f", 1, "k"), 1)
    meta_leader = wait_for("the meta group has a leader", lambda: next(
        (each for each in nodes if raft(each, "meta")["role"] == "leader"), None))
    rest = others(nodes, meta_leader)
    meta_leader.kill()
    with rest[0].client() as c, rest[1].client() as d:
        wait_for("somebody leads", lambda: c.ask("FUNCTION", "LOAD", library("m", g="return 'new'")) == b"m")
        equal(d("FCALL", "f", 1, "k"), 2)
        equal(c("FCALL", "g", 1, "k"), b"new")
        equal(names(d), ["l", "m"])
    meta_leader.start()
    with meta_leader.client() as c:
        wait_for("it has caught up", lambda: c.ask("FCALL", "g", 1, "k") == b"new")
        equal(names(c), ["l", "m"])
    for each in nodes:
        each.kill()
    for each in nodes:
        each.launch()
    for each in nodes:
        each.wait_ready()
    leader_of(nodes)
    with rest[1].client() as c:
        wait_for("the libraries are there", lambda: c.ask("FCALL", "f", 1, "k") == 3)


@test
def replacing_at_the_same_time():
    nodes = cluster()
    count = scaled(60)
    wrong: list[str] = []

    def work(i: int, server: Server):
        with server.client() as c:
            for n in range(count):
                c("FUNCTION", "LOAD", "REPLACE", library("l", f=f"return {{{i}, {n}}}"))
                by, number = c("FCALL", "f", 1, "k")
                # One's own, or what somebody has put in its place since; never an older one of one's own.
                if by == i and number != n:
                    wrong.append(f"{i} has loaded {n} and got {number}")

    threads = [threading.Thread(target=work, args=(i, each)) for i, each in enumerate(nodes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])
    with nodes[0].client() as c:
        last = c("FUNCTION", "LIST", "WITHCODE")
    for each in nodes[1:]:
        with each.client() as c:
            equal(c("FUNCTION", "LIST", "WITHCODE"), last)


@test
def a_single_node_that_founds_a_cluster_keeps_its_functions():
    server = Server(partitions=2)
    with server.client() as c:
        c("FUNCTION", "LOAD", library("l", f="return 'kept'"))
    server.terminate()
    server.start(cluster_port=ports.take(), cluster_secret="secret", bootstrap="yes")
    with server.client() as c:
        equal(c("FCALL", "f", 1, "k"), b"kept")
        equal(names(c), ["l"])


if __name__ == "__main__":
    main()
