#!/usr/bin/env python3
"""Publish and subscribe: on one node with one core and with several, in RESP2 and RESP3, and between
the nodes of a cluster.
"""

# also under: asan tsan

import os
import random
import signal
import time

from harness import SANITIZER, Client, ReplyError, Server, equal, main, scaled, test, wait_for
from nodes import cluster, leader_of, node, others
from resp import Push, encode

CORES = 2


def server(cores=1, **options) -> Server:
    return Server(cores=cores, partitions=cores, **options)


def both() -> list[Server]:
    return [server(1), server(CORES)]


def spread(s: Server, count: int, **options) -> list[Client]:
    """Connections that are on several cores, when there are several."""
    return [s.client(**options) for _ in range(count)]


def subscribed(client: Client, *names: str, command="SUBSCRIBE", before=0) -> None:
    """Subscribes and checks the answers."""
    client.send(command, *names)
    for i, name in enumerate(names):
        equal(client.read(), [command.lower().encode(), name.encode(), before + i + 1])


def message(channel: str, text) -> list:
    return [b"message", channel.encode(), text if isinstance(text, bytes) else str(text).encode()]


# --- One node -----------------------------------------------------------------------------------


@test
def a_message_reaches_the_subscribers_of_every_core():
    for s in both():
        publishers = spread(s, 4)
        listeners = spread(s, 4) + spread(s, 4, resp=3)
        equal(publishers[0]("PUBLISH", "news", "nobody"), 0)
        for listener in listeners:
            subscribed(listener, "news", "other")
        for i, publisher in enumerate(publishers):
            equal(publisher("PUBLISH", "news", f"m{i}"), len(listeners))
        for listener in listeners:
            for i in range(len(publishers)):
                got = listener.read()
                equal(got, message("news", f"m{i}"))
                equal(type(got), Push if listeners.index(listener) >= 4 else list)
        for n, listener in enumerate(listeners):
            listener.send("UNSUBSCRIBE", "news")
            equal(listener.read(), [b"unsubscribe", b"news", 1])
            equal(publishers[0]("PUBLISH", "news", "x"), len(listeners) - n - 1)
            for rest in listeners[n + 1 :]:
                equal(rest.read(), message("news", "x"))
        equal(publishers[0]("PUBLISH", "other", "y"), len(listeners))


@test
def messages_of_one_publisher_stay_in_order():
    for s in both():
        count = scaled(20_000)
        listeners = spread(s, 3)
        for listener in listeners:
            subscribed(listener, "a", "b")
        for publisher in spread(s, 2):
            requests = [("PUBLISH", "ab"[i % 2], i) for i in range(count)]
            equal(publisher.pipeline(requests), [len(listeners)] * count)
            for listener in listeners:
                for i in range(count):
                    equal(listener.read(), message("ab"[i % 2], i))


@test
def patterns_and_channels_are_told_apart():
    for s in both():
        for resp in (2, 3):
            publisher = s.client()
            listener = s.client(resp=resp)
            subscribed(listener, "foo.bar")
            subscribed(listener, "foo.*", "f?o.*", command="PSUBSCRIBE", before=1)
            equal(publisher("PUBLISH", "foo.bar", "x"), 3)
            equal(listener.read(), message("foo.bar", "x"))
            got = sorted([listener.read(), listener.read()])
            equal(got, [[b"pmessage", p, b"foo.bar", b"x"] for p in (b"f?o.*", b"foo.*")])
            listener.send("PUNSUBSCRIBE")
            left = sorted([listener.read(), listener.read()], key=lambda reply: -reply[2])
            equal([reply[2] for reply in left], [2, 1])
            listener.send("UNSUBSCRIBE")
            equal(listener.read(), [b"unsubscribe", b"foo.bar", 0])
            # There is an answer when there is nothing to leave.
            for command in ("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"):
                equal(listener.ask(command), [command.lower().encode(), None, 0])
                equal(listener.ask(command, "none"), [command.lower().encode(), b"none", 0])


@test
def shard_channels_are_a_world_of_their_own():
    for s in both():
        publisher = s.client()
        sharded, plain = s.client(), s.client()
        subscribed(sharded, "c", command="SSUBSCRIBE")
        subscribed(plain, "c")
        subscribed(plain, "*", command="PSUBSCRIBE", before=1)
        equal(publisher("SPUBLISH", "c", "s"), 1)
        equal(publisher("PUBLISH", "c", "p"), 2)
        equal(sharded.read(), [b"smessage", b"c", b"s"])
        equal(plain.read(), message("c", "p"))
        equal(plain.read(), [b"pmessage", b"*", b"c", b"p"])
        # They are counted by themselves.
        sharded.send("SUBSCRIBE", "x")
        equal(sharded.read(), [b"subscribe", b"x", 1])
        sharded.send("SSUBSCRIBE", "d")
        equal(sharded.read(), [b"ssubscribe", b"d", 2])
        equal(publisher("PUBSUB", "SHARDCHANNELS"), [b"c", b"d"])
        equal(publisher("PUBSUB", "SHARDCHANNELS", "d*"), [b"d"])
        equal(publisher("PUBSUB", "SHARDNUMSUB", "c", "none"), [b"c", 1, b"none", 0])
        sharded.send("SUNSUBSCRIBE", "c")
        equal(sharded.read(), [b"sunsubscribe", b"c", 1])
        equal(publisher("SPUBLISH", "c", "s"), 0)


@test
def resp2_listeners_may_do_little_else():
    s = server(CORES)
    listener = s.client()
    subscribed(listener, "c")
    text = (
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
        "allowed in this context"
    )
    for name, request in [
        ("get", ("GET", "k")), ("multi", ("MULTI",)), ("publish", ("PUBLISH", "c", "x")),
        ("client|list", ("CLIENT", "LIST")), ("hello", ("HELLO", "3")),
    ]:  # fmt: skip
        equal(listener.error(*request), text.format(name))
    equal(listener.ask("PING"), [b"pong", b""])
    equal(listener.ask("PING", "you"), [b"pong", b"you"])
    equal(listener.ask("SSUBSCRIBE", "d"), [b"ssubscribe", b"d", 1])
    equal(listener.ask("UNSUBSCRIBE", "c"), [b"unsubscribe", b"c", 0])
    # The shard channel is still listened to.
    equal(listener.error("GET", "k"), text.format("get"))
    equal(listener.ask("SUNSUBSCRIBE"), [b"sunsubscribe", b"d", 0])
    equal(listener.ask("PING"), "PONG")
    equal(listener.ask("GET", "k"), None)
    equal(listener.ask("SUBSCRIBE", "c"), [b"subscribe", b"c", 1])
    equal(listener.ask("QUIT"), "OK")
    equal(listener.wait_closed(), [])


@test
def resp3_listeners_may_do_everything():
    for s in both():
        listener = s.client(resp=3)
        subscribed(listener, "c", "d")
        equal(listener("SET", "k", "v"), "OK")
        equal(listener("GET", "k"), b"v")
        equal(listener("PING"), "PONG")
        # What it publishes to itself comes behind the answer.
        equal(listener("PUBLISH", "c", "mine"), 1)
        equal(listener.read(), message("c", "mine"))
        # And never in the middle of a transaction's array.
        listener("MULTI")
        for request in (("SET", "k", "w"), ("PUBLISH", "c", "m1"), ("GET", "k"), ("PUBLISH", "d", "m2"), ("PING",)):
            equal(listener(*request), "QUEUED")
        equal(listener("EXEC"), ["OK", 1, b"w", 1, "PONG"])
        equal(listener.read(), message("c", "m1"))
        equal(listener.read(), message("d", "m2"))
        # Back to RESP2, whose rules hold from now on.
        reply = listener("HELLO", "2")
        equal(reply[reply.index(b"proto") + 1], 2)
        assert "Can't execute 'get'" in listener.error("GET", "k")


@test
def a_listener_that_waits_for_a_lock_hears_its_messages():
    for s in both():
        holder, publisher = s.client(), s.client()
        waiter = s.client(resp=3)
        holder("LOCK", "l", "holder", 60_000)
        subscribed(waiter, "c")
        waiter.send("LOCK", "l", "waiter", 60_000, "WAIT", 60_000)
        wait_for("it waits", lambda: holder.info("clients")["blocked_clients"] == "1")
        for i in range(3):
            equal(publisher("PUBLISH", "c", i), 1)
            equal(waiter.read(), message("c", i))
        holder("UNLOCK", "l", "holder")
        token = waiter.read()
        assert isinstance(token, int) and token > 0, token
        equal(publisher("PUBLISH", "c", "after"), 1)
        equal(waiter.read(), message("c", "after"))


@test
def a_transaction_publishes_when_it_runs():
    for s in both():
        listener, other = s.client(), s.client()
        subscribed(listener, "c")
        c = s.client()
        c("MULTI")
        equal(c("PUBLISH", "c", "1"), "QUEUED")
        equal(c("SET", "k", "v"), "QUEUED")
        equal(c("PUBLISH", "c", "2"), "QUEUED")
        equal(other("PUBLISH", "c", "0"), 1)
        equal(c("EXEC"), [1, "OK", 1])
        equal(c("PUBLISH", "c", "3"), 1)
        for i in range(4):
            equal(listener.read(), message("c", i))
        # Not when it doesn't.
        c("MULTI")
        c("PUBLISH", "c", "discarded")
        equal(c("DISCARD"), "OK")
        c("WATCH", "k")
        other("SET", "k", "changed")
        c("MULTI")
        c("PUBLISH", "c", "aborted")
        c("SET", "k", "x")
        equal(c("EXEC"), None)
        equal(c("PUBLISH", "c", "4"), 1)
        equal(listener.read(), message("c", "4"))
        # A pipeline behind one that publishes stays behind it.
        requests = []
        for i in range(50):
            requests += [("MULTI",), ("INCR", "n"), ("PUBLISH", "c", f"in {i}"), ("EXEC",), ("PUBLISH", "c", f"out {i}")]
        replies = c.pipeline(requests)
        equal(replies[3::5], [[i + 1, 1] for i in range(50)])
        for i in range(50):
            equal(listener.read(), message("c", f"in {i}"))
            equal(listener.read(), message("c", f"out {i}"))


@test
def subscribing_inside_a_transaction():
    for s in both():
        publisher = s.client()
        for resp in (2, 3):
            c = s.client(resp=resp)
            c("MULTI")
            for request in (("SUBSCRIBE", "c", "d"), ("PSUBSCRIBE", "p*"), ("SET", "k", "v"), ("SSUBSCRIBE", "s")):
                equal(c(*request), "QUEUED")
            # One answer for each channel, so more than the array's head says, as in Redis.
            c.send_raw(encode("EXEC"))
            equal(c.parser.next(), None)
            head = c.read()
            equal(head, [[b"subscribe", b"c", 1], [b"subscribe", b"d", 2], [b"psubscribe", b"p*", 3], "OK"])
            error = c.read()
            assert isinstance(error, ReplyError), error
            equal(str(error), "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
            equal(publisher("PUBLISH", "c", "x"), 1)
            equal(c.read(), message("c", "x"))
            c.close()
            wait_for("it is gone", lambda: publisher("PUBSUB", "NUMSUB", "c") == [b"c", 0])


@test
def reset_and_leaving_end_subscriptions():
    for s in both():
        watcher = s.client()
        clients = spread(s, 4)
        for c in clients:
            subscribed(c, "c", "d")
            subscribed(c, "*", command="PSUBSCRIBE", before=2)
            subscribed(c, "s", command="SSUBSCRIBE")
        info = watcher.info()
        equal(info["pubsub_channels"], "2")
        equal(info["pubsub_patterns"], "1")
        equal(info["pubsubshard_channels"], "1")
        equal(info["pubsub_clients"], "4")
        equal(watcher("PUBSUB", "CHANNELS"), [b"c", b"d"])
        equal(watcher("PUBSUB", "CHANNELS", "d"), [b"d"])
        equal(watcher("PUBSUB", "NUMSUB", "c", "c", "x"), [b"c", 4, b"c", 4, b"x", 0])
        equal(watcher("PUBSUB", "NUMSUB"), [])
        equal(watcher("PUBSUB", "NUMPAT"), 1)
        equal(clients[0].ask("RESET"), "RESET")
        equal(clients[0].ask("PING"), "PONG")
        equal(watcher("PUBSUB", "NUMSUB", "c"), [b"c", 3])
        equal(watcher("PUBLISH", "c", "x"), 6)
        for c in clients[1:]:
            c.close()
        wait_for("all are gone", lambda: watcher("PUBSUB", "NUMSUB", "c") == [b"c", 0])
        info = watcher.info()
        equal([info[f] for f in ("pubsub_channels", "pubsub_patterns", "pubsubshard_channels")], ["0"] * 3)
        equal(watcher("PUBSUB", "CHANNELS"), [])
        equal(watcher("PUBSUB", "NUMPAT"), 0)


@test
def client_list_info_and_kill_know_listeners():
    for s in both():
        admin = s.client()
        listeners = spread(s, 3, resp=3)
        for c in listeners:
            subscribed(c, "a", "b")
            subscribed(c, "p", command="PSUBSCRIBE", before=2)
            subscribed(c, "s", command="SSUBSCRIBE")
        line = listeners[0]("CLIENT", "INFO").decode()
        assert " sub=2 psub=1 ssub=1 " in line and " flags=P " in line, line
        listed = admin("CLIENT", "LIST", "TYPE", "PUBSUB").decode().splitlines()
        equal(len(listed), 3)
        equal(len(admin("CLIENT", "LIST", "TYPE", "NORMAL").decode().splitlines()), 1)
        equal(admin("CLIENT", "KILL", "TYPE", "pubsub"), 3)
        for c in listeners:
            equal(c.wait_closed(), [])
        wait_for("all are gone", lambda: admin("PUBSUB", "CHANNELS") == [])


@test
def client_reply_mutes_no_messages():
    for s in both():
        publisher = s.client()
        c = s.client(resp=3)
        c.send("CLIENT", "REPLY", "OFF")
        c.send("PING")
        subscribed(c, "c")
        subscribed(c, "c*", command="PSUBSCRIBE", before=1)
        equal(publisher("PUBLISH", "c", "x"), 2)
        equal(c.read(), message("c", "x"))
        equal(c.read(), [b"pmessage", b"c*", b"c", b"x"])
        c.send("PUBLISH", "c", "mine")
        equal(c.read(), message("c", "mine"))
        equal(c.read(), [b"pmessage", b"c*", b"c", b"mine"])
        equal(c.ask("PUNSUBSCRIBE"), [b"punsubscribe", b"c*", 1])
        equal(c("CLIENT", "REPLY", "ON"), "OK")
        # SKIP is used up by a command whose answer can't be skipped.
        c.send("CLIENT", "REPLY", "SKIP")
        equal(c.ask("SUBSCRIBE", "d"), [b"subscribe", b"d", 2])
        equal(c.ask("PING"), "PONG")
        c.send("CLIENT", "REPLY", "SKIP")
        c.send("PUBLISH", "nobody", "x")
        equal(c.ask("PING"), "PONG")


@test
def a_slow_listener_is_disconnected_and_memory_stays_bounded():
    for s in both():
        publisher = s.client()
        publisher("CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0")
        before_kb = s.memory_kb()
        slow, quick = s.client(), s.client()
        subscribed(slow, "c")
        subscribed(quick, "c")
        text = b"x" * 100_000
        sent = 0
        while publisher("PUBLISH", "c", text) == 2:
            equal(quick.read(), message("c", text))
            sent += len(text)
            assert sent < 200_000_000, "it is still there"
        equal(quick.read(), message("c", text))
        assert int(publisher.info()["client_output_buffer_limit_disconnections"]) >= 1
        grown_kb = s.memory_kb() - before_kb
        assert grown_kb < 100_000 or SANITIZER, grown_kb
        # One that reads may get more in one go than is allowed to wait for it.
        for _ in range(5):
            equal(publisher.pipeline([("PUBLISH", "c", text)] * 50), [1] * 50)
            equal(quick.read_n(50), [message("c", text)] * 50)


@test
def the_soft_limit_gives_time():
    s = server(CORES)
    publisher = s.client()
    publisher("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1mb 1")
    slow = s.client()
    subscribed(slow, "c")
    text = b"x" * 1_000_000
    started = time.monotonic()
    equal(publisher("PUBLISH", "c", text), 1)
    for _ in range(19):
        # On a slow machine its time may be over before all are sent.
        publisher("PUBLISH", "c", text)
    wait_for("it is disconnected", lambda: publisher("PUBSUB", "NUMSUB", "c") == [b"c", 0])
    assert time.monotonic() - started > 0.9


@test
def a_pause_of_writes_holds_publishers_up():
    # As in Redis, whose replicas would get the message.
    for s in both():
        admin, publisher, listener = s.client(), s.client(), s.client()
        subscribed(listener, "c")
        equal(admin("CLIENT", "PAUSE", "60000", "WRITE"), "OK")
        publisher.send("PUBLISH", "c", "x")
        assert publisher.is_silent(0.1)
        equal(admin("CLIENT", "UNPAUSE"), "OK")
        equal(publisher.read(), 1)
        equal(listener.read(), message("c", "x"))


@test
def an_idle_listener_is_not_timed_out():
    s = server(CORES, timeout=1)
    listener, idle = s.client(), s.client()
    subscribed(listener, "c")
    equal(idle.wait_closed(), [])
    with s.client() as publisher:
        equal(publisher("PUBLISH", "c", "x"), 1)
    equal(listener.read(), message("c", "x"))


@test
def large_and_binary_messages():
    for s in both():
        publisher, listener = s.client(), s.client()
        channel = bytes(range(256))
        listener.send("SUBSCRIBE", channel)
        equal(listener.read(), [b"subscribe", channel, 1])
        for size in (0, 1, 16_384, 5_000_000):
            text = random.randbytes(size)
            publisher.send("PUBLISH", channel, text)
            equal(listener.read(), [b"message", channel, text])
            equal(publisher.read(), 1)
        publisher.send("PUBSUB", "CHANNELS")
        equal(publisher.read(), [channel])


@test
def a_message_is_there_before_its_publisher_is_answered():
    # On whichever cores the two connections of a pair are.
    for s in both():
        pairs = [(s.client(), s.client(resp=3)) for _ in range(6)]
        for i, (_, listener) in enumerate(pairs):
            subscribed(listener, f"c{i}")
        for round_ in range(scaled(200)):
            for i, (publisher, listener) in enumerate(pairs):
                equal(publisher("PUBLISH", f"c{i}", round_), 1)
                # So the message comes before the answer of what is asked after PUBLISH's answer.
                listener.send("PING")
                equal(listener.read(), message(f"c{i}", round_))
                equal(listener.read(), "PONG")


@test
def the_command_table_tells():
    s = server()
    c = s.client()
    info = {row[0].decode(): row for row in c("COMMAND", "INFO", "publish", "spublish", "ssubscribe", "subscribe")}
    equal(sorted(info["publish"][2]), ["fast", "loading", "pubsub", "stale"])
    equal(sorted(info["subscribe"][2]), ["loading", "noscript", "pubsub", "stale"])
    equal(info["publish"][3:6], [0, 0, 0])
    equal(info["spublish"][3:6], [1, 1, 1])
    equal(info["ssubscribe"][3:6], [1, -1, 1])
    equal(info["spublish"][8][0][1], ["not_key"])
    equal(c.error("COMMAND", "GETKEYS", "SPUBLISH", "c", "m"), "ERR The command has no key arguments")
    equal(c.error("PUBLISH", "c"), "ERR wrong number of arguments for 'publish' command")
    equal(c.error("SUBSCRIBE"), "ERR wrong number of arguments for 'subscribe' command")
    assert c.error("PUBSUB", "NOSUCH").startswith("ERR unknown subcommand 'NOSUCH'")
    assert c.error("PUBSUB", "CHANNELS", "a", "b").startswith("ERR ")
    equal(len(c("PUBSUB", "HELP")), 14)


# --- Three nodes --------------------------------------------------------------------------------


def heard(listener: Client, expected: list) -> None:
    equal(listener.read(), expected)


@test
def a_message_reaches_the_subscribers_of_every_node():
    for cores in (1, CORES):
        nodes = cluster(cores=cores, partitions=cores)
        listeners = []
        for each in nodes:
            for resp in (2, 3):
                listener = each.client(resp=resp)
                subscribed(listener, "c")
                subscribed(listener, "c*", command="PSUBSCRIBE", before=1)
                subscribed(listener, "s", command="SSUBSCRIBE")
                listeners.append(listener)
        for each in nodes:
            with each.client() as publisher:
                # The receivers of its own node are counted.
                equal(publisher("PUBLISH", "c", f"from {each.port}"), 4)
                equal(publisher("SPUBLISH", "s", "sharded"), 2)
            for listener in listeners:
                heard(listener, message("c", f"from {each.port}"))
                heard(listener, [b"pmessage", b"c*", b"c", f"from {each.port}".encode()])
                heard(listener, [b"smessage", b"s", b"sharded"])
        for listener in listeners:
            listener.close()
        with nodes[0].client() as c:
            assert int(c.info()["publications_sent"]) >= 2
            assert int(c.info()["publications_received"]) >= 4


@test
def order_holds_between_nodes():
    nodes = cluster(cores=CORES, partitions=CORES)
    count = scaled(5000)
    listeners = [each.client() for each in nodes for _ in range(2)]
    for listener in listeners:
        subscribed(listener, "c")
    publishers = [each.client() for each in nodes]
    # What is published before a link is up is dropped.
    for publisher in publishers:
        for listener in listeners:
            wait_for("it is heard", lambda p=publisher, l=listener: p("PUBLISH", "c", "probe") and not quiet(l))
    for publisher in publishers:
        publisher.send_raw(b"".join(encode("PUBLISH", "c", f"{publishers.index(publisher)} {i}") for i in range(count)))
    for publisher in publishers:
        equal(publisher.read_n(count), [2] * count)
    for listener in listeners:
        nexts = [0] * len(publishers)
        for _ in range(count * len(publishers)):
            while (text := listener.read()[2]) == b"probe":
                pass
            who, i = map(int, text.split())
            equal(i, nexts[who])
            nexts[who] += 1


@test
def transactions_publish_from_every_node():
    nodes = cluster(cores=CORES, partitions=CORES)
    listeners = [each.client() for each in nodes]
    for listener in listeners:
        subscribed(listener, "c")
    for i, each in enumerate(nodes):
        with each.client() as c:
            c("MULTI")
            c("INCR", "n")
            c("PUBLISH", "c", f"{i}")
            equal(c("EXEC"), [i + 1, 1])
        for listener in listeners:
            heard(listener, message("c", f"{i}"))


@test
def what_is_not_committed_is_not_published():
    nodes = cluster()
    leader = leader_of(nodes)
    with leader.client() as c, leader.client(resp=3) as listener, leader.client() as publisher:
        subscribed(listener, "c")
        for each in others(nodes, leader):
            each.kill()
        replies = c.pipeline([("MULTI",), ("SET", "k", "v"), ("PUBLISH", "c", "lost"), ("EXEC",), ("PUBLISH", "c", "next")])
        in_doubt = "INDOUBT the write was proposed but its outcome is not known"
        equal([str(reply) for reply in replies[3]], [in_doubt, in_doubt])
        equal(replies[4], 1)
        heard(listener, message("c", "next"))
        # Without a majority messages still travel.
        equal(publisher("PUBLISH", "c", "last"), 1)
        heard(listener, message("c", "last"))


@test
def a_cluster_wants_shard_channels_of_one_slot():
    single = node()
    with single.client() as c:
        crossed = "CROSSSLOT Keys in request don't hash to the same slot"
        equal(c.error("SSUBSCRIBE", "a", "b"), crossed)
        equal(c.error("SUNSUBSCRIBE", "a", "b"), crossed)
        c.send("SSUBSCRIBE", "{x}a", "{x}b")
        equal(c.read_n(2), [[b"ssubscribe", b"{x}a", 1], [b"ssubscribe", b"{x}b", 2]])


@test
def a_node_that_is_gone_costs_its_messages_only():
    nodes = cluster(cores=CORES, partitions=CORES)
    leader = leader_of(nodes)
    first, second = others(nodes, leader)
    listener, publisher = first.client(), second.client()
    subscribed(listener, "c")
    equal(publisher("PUBLISH", "c", "1"), 0)
    heard(listener, message("c", "1"))
    leader.kill()

    def dropped() -> bool:
        # What is sent before the publisher's node sees the link end counts as sent.
        equal(publisher("PUBLISH", "c", "2"), 0)
        heard(listener, message("c", "2"))
        return int(publisher.info()["publications_dropped"]) >= 1

    wait_for("a message is dropped", dropped)
    leader.start()
    with leader.client() as c:
        subscribed(c, "c")
        # At most once: what is published before the link is back doesn't come.
        wait_for("a message arrives", lambda: publisher("PUBLISH", "c", "again") == 0 and not quiet(c))


def quiet(client: Client) -> bool:
    try:
        client.read(0.05)
    except TimeoutError:
        return True
    return False


@test
def a_node_that_stands_still_costs_no_memory():
    nodes = cluster()
    leader = leader_of(nodes)
    stopped, second = others(nodes, leader)
    publisher = second.client()
    listener = leader.client()
    subscribed(listener, "c")
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        before_kb = second.memory_kb()
        text = b"x" * 1_000_000
        for _ in range(scaled(100)):
            equal(publisher("PUBLISH", "c", text), 0)
            heard(listener, message("c", text))
        grown_kb = second.memory_kb() - before_kb
        assert grown_kb < 60_000 or SANITIZER, grown_kb
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    equal(publisher("SET", "k", "v"), "OK")


if __name__ == "__main__":
    main()
