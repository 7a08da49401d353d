#!/usr/bin/env python3
"""What the nodes that don't lead are good for: reads, and copies that WAIT counts."""

import signal
import time
from pathlib import Path

from harness import ReplyError, Server, equal, main, test, wait_for
from nodes import cluster, leader_of, node, node_id, others


def follower_reads(server: Server) -> int:
    with server.client() as c:
        return int(c.info("stats")["follower_reads"])


def pause(server: Server) -> None:
    server.process.send_signal(signal.SIGSTOP)
    stat = Path(f"/proc/{server.pid}/stat")
    wait_for("it is stopped", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")


def readonly(server: Server):
    client = server.client()
    equal(client("READONLY"), "OK")
    return client


@test
def a_follower_shows_every_acknowledged_write():
    nodes = cluster()
    leader = leader_of(nodes)
    readers = [readonly(each) for each in others(nodes, leader)]
    with leader.client() as writer:
        for i in range(300):
            equal(writer("SET", "k", i), "OK")
            for reader in readers:
                equal(reader("GET", "k"), str(i).encode())
        for each in others(nodes, leader):
            assert follower_reads(each) >= 300, "the reads were forwarded"
        equal(follower_reads(leader), 0)
        # Many of one connection, over many keys and beside writes.
        writer("MSET", *[word for i in range(1000) for word in (f"m{i}", i)])
        for reader in readers:
            replies = reader.pipeline([("GET", f"m{i}") for i in range(1000)])
            equal(replies, [str(i).encode() for i in range(1000)])
            equal(reader("MGET", "m1", "none", "m2"), [b"1", None, b"2"])
            equal(reader.error("GET"), "ERR wrong number of arguments for 'get' command")
            equal(reader("READWRITE"), "OK")
            before = follower_reads(others(nodes, leader)[readers.index(reader)])
            equal(reader("GET", "k"), b"299")
            equal(follower_reads(others(nodes, leader)[readers.index(reader)]), before)


@test
def what_one_connection_asks_keeps_its_order():
    nodes = cluster()
    for each in nodes:
        with readonly(each) as c:
            equal(c("SET", "k", "0"), "OK")
            requests, expected = [], []
            for i in range(500):
                requests += [("GET", "k"), ("SET", "k", i + 1), ("GET", "k"), ("GET", "k")]
                expected += [str(i).encode(), "OK", str(i + 1).encode(), str(i + 1).encode()]
            requests += [("MULTI",), ("INCR", "k"), ("GET", "k"), ("EXEC",), ("GET", "k")]
            expected += ["OK", "QUEUED", "QUEUED", [501, b"501"], b"501"]
            equal(c.pipeline(requests), expected)


@test
def a_follower_leaves_expiry_and_leases_to_the_leader():
    nodes = cluster()
    leader = leader_of(nodes)
    follower = others(nodes, leader)[0]
    with leader.client() as c, readonly(follower) as reader:
        c("SET", "short", "x", "PX", 100)
        c("SET", "long", "x", "PX", 100_000)
        token = c("LOCK", "l", "me", 60_000)
        wait_for("it is over", lambda: reader("GET", "short") is None)
        equal(c("GET", "short"), None)
        assert 0 < reader("PTTL", "long") <= 100_000
        equal(dict(zip(*[iter(reader("LOCKINFO", "l"))] * 2))[b"token"], token)
        assert 0 < reader("PTTL", "l") <= 60_000
        equal(reader.pipeline([("TYPE", "l"), ("TYPE", "long"), ("EXISTS", "l", "long", "short")]),
              ["lock", "string", 2])  # fmt: skip


@test
def reads_go_on_when_the_leader_goes():
    nodes = cluster()
    leader = leader_of(nodes)
    follower = others(nodes, leader)[0]
    with readonly(follower) as reader:
        written = 0
        with follower.client() as c:
            for _ in range(100):
                written = c("INCR", "n")
        leader.kill()
        # As for every read: held until somebody leads.
        began = time.monotonic()
        equal(reader("GET", "n"), str(written).encode())
        assert time.monotonic() - began < 2
        leader.start()


@test
def without_a_majority_only_local_reads_are_answered():
    nodes = cluster(cluster_retry_timeout=200)
    local = node(nodes[0], cluster_retry_timeout=200, reads="local")
    with nodes[0].client() as c:
        c("SET", "k", "old")
    with local.client() as c:
        wait_for("it has the write", lambda: c("GET", "k") == b"old")
        assert follower_reads(local) > 0
    for each in nodes[1:]:
        pause(each)
    nodes[0].kill()
    with local.client() as c:
        equal(c("GET", "k"), b"old")
        error = c.ask("SET", "k", "new")
        assert str(error).startswith(("CLUSTERDOWN", "TRYAGAIN", "INDOUBT")), error
        equal(c("GET", "k"), b"old")
    for each in nodes[1:]:
        each.process.send_signal(signal.SIGCONT)


@test
def a_lease_answers_reads_and_ends_in_time():
    nodes = cluster(reads="lease")
    for _ in range(3):
        leader = leader_of(nodes)
        follower = others(nodes, leader)[0]
        with leader.client() as c, follower.client() as d:
            for i in range(100):
                equal(d("SET", "k", i), "OK")
                equal(c("GET", "k"), str(i).encode())
            # A leader that slept must not answer from the time before.
            pause(leader)
            c.send("GET", "k")
            wait_for("another leads", lambda: d.ask("SET", "k", "new") == "OK")
            leader.process.send_signal(signal.SIGCONT)
            reply = c.read()
            assert reply == b"new" or isinstance(reply, ReplyError), reply


@test
def wait_counts_the_copies():
    nodes = cluster()
    leader = leader_of(nodes)
    with leader.client() as c:
        equal(c.info("replication")["connected_slaves"], "2")
        equal(len(c("ROLE")[2]), 2)
    for each in nodes:
        with each.client() as c:
            c("SET", "k", "v")
            equal(c("WAIT", 2, 10_000), 2)
            equal(c("WAITAOF", 1, 2, 10_000), [1, 2])
            equal(c.pipeline([("SET", "k", "w"), ("WAIT", 2, 10_000), ("GET", "k")]), ["OK", 2, b"w"])
    lost, asked = others(nodes, leader)
    lost.kill()
    with asked.client() as c:
        c("SET", "k", "x")
        began = time.monotonic()
        equal(c("WAIT", 2, 300), 1)
        assert 0.25 < time.monotonic() - began < 3
        equal(c("WAIT", 1, 10_000), 1)
        equal(c("WAITAOF", 0, 2, 100), [1, 1])
        c.send("WAIT", 2, 0)
        lost.start()
        equal(c.read(), 2)
        equal(c.error("WAIT", "x", 0), "ERR value is not an integer or out of range")
        equal(c.error("WAIT", 1, -1), "ERR timeout is negative")
        equal(c.error("WAIT", 9, 2**63 - 1), "ERR timeout is out of range")
        equal(c.error("WAITAOF", 0, 9, 2**63 - 1), "ERR timeout is out of range")
        equal(c.error("CLUSTER", "WAIT", 0, 9, 2**63 - 1), "ERR timeout is out of range")
        equal(c("CLUSTER", "WAIT", 0, 2, 1000)[0], 2)
        equal(c("CLUSTER", "WAIT", 0, 1, 50, 10**15), [0, 10**15])
    # One that waits for ever does not keep the node from stopping.
    lost.kill()
    with asked.client() as c:
        c.send("WAIT", 2, 0)
        began = time.monotonic()
        equal(asked.terminate(), 0)
        assert time.monotonic() - began < 5


@test
def wait_on_several_partitions_is_the_least_of_them():
    nodes = cluster(partitions=4, cores=2)
    with nodes[1].client() as c:
        for i in range(20):
            c("SET", f"k{i}", i)
        equal(c("WAIT", 2, 10_000), 2)
    with readonly(nodes[2]) as c:
        equal([c("GET", f"k{i}") for i in range(20)], [str(i).encode() for i in range(20)])
    nodes[0].kill()
    with nodes[1].client() as c:
        c("SET", "k1", "x")
        equal(c("WAIT", 2, 300), 1)


@test
def alone_there_is_nothing_to_wait_for():
    with Server().client() as c:
        equal(c("WAIT", 1, 0), 0)
        equal(c("WAITAOF", 1, 1, 0), [1, 0])
        equal(c.info("replication")["connected_slaves"], "0")
        equal(c.error("READONLY"), "ERR This instance has cluster support disabled")
        equal(c.error("READWRITE"), "ERR This instance has cluster support disabled")
    founder = node()
    with founder.client() as c:
        equal(c("READONLY"), "OK")
        equal(c("WAIT", 1, 100), 0)
        equal(c.info("replication")["connected_slaves"], "0")
        assert node_id(founder)


if __name__ == "__main__":
    main()
