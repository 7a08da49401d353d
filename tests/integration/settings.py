#!/usr/bin/env python3
"""Options of the whole cluster: CONFIG SET at any node is in force on all of them."""

# also under: asan tsan

import os
import signal
import time

from harness import ReplyError, Server, equal, main, test, wait_for
from nodes import cluster, leader_of, node, others, voters


def value(server: Server, option: str) -> str:
    with server.client() as c:
        return c("CONFIG", "GET", option)[1].decode()


@test
def a_change_is_in_force_everywhere_when_it_is_answered():
    nodes = cluster(3, cores=2, partitions=2)
    for i, each in enumerate(nodes * 3):
        with each.client() as c:
            equal(c("CONFIG", "SET", "maxmemory", f"{i + 100}mb", "hash-max-listpack-entries", i), "OK")
        for other in nodes:
            equal(value(other, "maxmemory"), str((i + 100) << 20))
            equal(value(other, "hash-max-listpack-entries"), str(i))


@test
def what_follows_on_the_connection_finds_it_wherever_the_key_is_led():
    nodes = cluster(3)
    follower = others(nodes, leader_of(nodes))[0]
    with follower.client() as c:
        for entries in (0, 10, 0, 10):
            c("CONFIG", "SET", "hash-max-listpack-entries", entries)
            c("DEL", "h")
            c("HSET", "h", "f", "v")
            equal(c("OBJECT", "ENCODING", "h"), b"listpack" if entries else b"hashtable")


@test
def options_of_a_node_stay_its_own():
    nodes = cluster(3)
    with nodes[1].client() as c:
        equal(c("CONFIG", "SET", "slowlog-max-len", 77, "maxmemory-samples", 9), "OK")
    equal([value(each, "slowlog-max-len") for each in nodes], ["128", "77", "128"])
    equal([value(each, "maxmemory-samples") for each in nodes], ["9", "9", "9"])


@test
def a_wrong_value_changes_nothing_anywhere():
    nodes = cluster(3)
    with nodes[1].client() as c:
        for wrong in (
            ("maxmemory-policy", "no-such"),
            ("maxmemory", "1gb", "maxmemory-samples", "-1"),
            ("maxmemory", "1gb", "no-such", "1"),
            ("maxmemory", "1gb", "slowlog-max-len", "x"),
            ("maxmemory", "1gb", "port", str(nodes[1].port + 1)),
        ):
            reply = c.ask("CONFIG", "SET", *wrong)
            assert isinstance(reply, ReplyError), (wrong, reply)
    for each in nodes:
        equal(value(each, "maxmemory"), "0")
        equal(value(each, "maxmemory-policy"), "noeviction")


@test
def settings_survive_restarts_and_win_over_flags():
    nodes = cluster(3, maxmemory="300mb")
    with nodes[2].client() as c:
        c("CONFIG", "SET", "maxmemory", "200mb")
    for each in nodes:
        each.kill()
    # None of them lets anybody in before the others are there: they have hardly begun.
    for each in nodes:
        each.launch()
    for each in nodes:
        each.wait_ready()
    # A node takes what its store and log have when it starts; what it missed comes with the log.
    for each in nodes:
        wait_for("the cluster's value", lambda each=each: value(each, "maxmemory") == str(200 << 20))


@test
def nodes_that_come_or_come_back_learn_them():
    nodes = cluster(3)
    away = others(nodes, leader_of(nodes))[0]
    away.kill()
    with leader_of(others(nodes, away)).client() as c:
        c("CONFIG", "SET", "notify-keyspace-events", "KEA")
    away.start()
    wait_for("the one that was away", lambda: value(away, "notify-keyspace-events") == "AKE")
    new = node(nodes[0])
    wait_for("four voters", lambda: voters(new, 4))
    wait_for("the new one", lambda: value(new, "notify-keyspace-events") == "AKE")


@test
def a_node_that_stands_still_holds_nobody_up_for_long():
    nodes = cluster(3)
    stopped = others(nodes, leader_of(nodes))[0]
    rest = others(nodes, stopped)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        with rest[0].client() as c:
            equal(c("CONFIG", "SET", "maxmemory-samples", 7), "OK")
        for each in rest:
            equal(value(each, "maxmemory-samples"), "7")
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    wait_for("the one that stood still", lambda: value(stopped, "maxmemory-samples") == "7")


@test
def what_was_set_is_kept_in_full():
    nodes = cluster(3)
    with nodes[0].client() as a, nodes[1].client() as b:
        a("CONFIG", "SET", "notify-keyspace-events", "AEn")
        with nodes[2].client() as listener:
            listener("PSUBSCRIBE", "__keyevent@0__:*")
            a("SET", "k", "v")
            equal([listener.read()[2] for _ in range(2)], [b"__keyevent@0__:new", b"__keyevent@0__:set"])
        # Of an option that has several parts each client may set one.
        for i in range(10):
            a.send("CONFIG", "SET", "client-output-buffer-limit", f"normal {i + 1}mb 0 0")
            b.send("CONFIG", "SET", "client-output-buffer-limit", f"pubsub {i + 1}mb 0 0")
            equal([a.read(), b.read()], ["OK", "OK"])
            for each in nodes:
                limits = value(each, "client-output-buffer-limit")
                assert f"normal {(i + 1) << 20} 0 0" in limits and f"pubsub {(i + 1) << 20} 0 0" in limits, limits


@test
def a_pause_of_writes_holds_nothing_up():
    nodes = cluster(3)
    with nodes[0].client() as c:
        c("CLIENT", "PAUSE", 100_000, "WRITE")
        equal(c("CONFIG", "SET", "maxmemory-samples", 8), "OK")
        equal(c("CLIENT", "UNPAUSE"), "OK")
    equal(value(nodes[2], "maxmemory-samples"), "8")


@test
def a_node_that_ends_answers_who_waits():
    nodes = cluster(3, shutdown_timeout=60)
    stopped, asked = others(nodes, leader_of(nodes))
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        with asked.client() as c:
            c.send("CONFIG", "SET", "maxmemory-samples", 8)
            wait_for("the change", lambda: value(asked, "maxmemory-samples") == "8")
            began = time.monotonic()
            asked.process.terminate()
            equal(c.read(), "OK")
            equal(asked.wait_exit(), 0)
            assert time.monotonic() - began < 30
    finally:
        os.kill(stopped.pid, signal.SIGCONT)


@test
def without_a_majority_it_is_refused():
    nodes = cluster(3, cluster_retry_timeout=500)
    alone = nodes[0]
    for each in nodes[1:]:
        each.kill()
    with alone.client() as c:
        reply = c.ask("CONFIG", "SET", "maxmemory", "1gb")
        assert str(reply).startswith(("CLUSTERDOWN", "TRYAGAIN", "INDOUBT")), reply
        # What is of the node alone needs nobody.
        equal(c("CONFIG", "SET", "slowlog-max-len", 5), "OK")


@test
def many_clients_change_options_at_once():
    nodes = cluster(3)
    clients = [nodes[i % 3].client() for i in range(30)]
    for i, c in enumerate(clients):
        c.send("CONFIG", "SET", "maxmemory-samples", i + 1)
    for c in clients:
        equal(c.read(), "OK")
    final = value(nodes[0], "maxmemory-samples")
    for each in nodes:
        equal(value(each, "maxmemory-samples"), final)


main()
