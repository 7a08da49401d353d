#!/usr/bin/env python3
"""Nodes that the log can't help any more get the state as a snapshot."""

import random
import time

from harness import ReplyError, Server, equal, main, ports, test, wait_for

SECRET = "a secret of the tests"


def node(seeds=(), **options) -> Server:
    cluster_port = ports.take()
    entry = {"join": " ".join(f"127.0.0.1:{s.cluster_port}" for s in seeds)} if seeds else {"bootstrap": "yes"}
    server = Server(
        start=False, cores=1, cluster_port=cluster_port, cluster_secret=SECRET, wal_segment_bytes="256kb",
        flush_interval_ms=50, **entry, **options,
    )  # fmt: skip
    server.cluster_port = cluster_port
    server.start()
    return server


def ask(server: Server, *words, deadline_s=30):
    """Asks until the answer is no passing trouble."""
    deadline = time.monotonic() + deadline_s
    while True:
        with server.client() as client:
            reply = client.ask(*words)
        text = str(reply)
        if not isinstance(reply, ReplyError) and not text.startswith(("TRYAGAIN", "CLUSTERDOWN", "INDOUBT")):
            return reply
        assert time.monotonic() < deadline, f"{words[:2]}: {text}"
        time.sleep(0.05)


def partition_line(server: Server) -> dict[str, str]:
    with server.client() as client:
        info = client.ask("INFO", "holdfast")
    text = info.decode() if isinstance(info, bytes) else str(info)
    line = next(line for line in text.splitlines() if line.startswith("partition0:"))
    return dict(pair.split("=", 1) for pair in line.split(":", 1)[1].split(","))


def field(server: Server, name: str) -> int:
    return int(partition_line(server)[name])


def fill(server: Server, prefix: str, megabytes: int) -> None:
    block = 50
    with server.client() as client:
        for first in range(0, megabytes * 10, block):
            for i in range(first, first + block):
                value = random.randbytes(50_000).hex()
                while isinstance(client.ask("SET", f"{prefix}:{i}", value), ReplyError):
                    time.sleep(0.05)


def cluster_of(count: int) -> list[Server]:
    nodes = [node()]
    for _ in range(count - 1):
        nodes.append(node([nodes[0]]))
    # A voter can be made the leader, and every node has been one of its partition's followers then.
    for new in nodes[1:] + nodes[:1]:
        leader = wait_for("somebody leads", lambda: next((n for n in nodes if partition_line(n)["role"] == "leader"), None))
        make_leader(leader, new)
    return nodes


def make_leader(old: Server, new: Server) -> None:
    """`old` leads; it answers for the partition only as long as it does."""
    name = ask(new, "CLUSTER", "MYID")

    def leads():
        if partition_line(new)["role"] == "leader":
            return True
        with old.client() as client:
            client.ask("CLUSTER", "TRANSFER", "0", name)  # may be too early, or done
        return False

    wait_for("it leads", leads, 30)


def catches_up(server: Server, leader: Server) -> None:
    goal = field(leader, "committed")
    wait_for("it has caught up", lambda: field(server, "committed") >= goal, 60)


@test(280)
def a_node_that_was_away_and_one_that_is_new():
    nodes = cluster_of(3)
    leader = next(n for n in nodes if partition_line(n)["role"] == "leader")
    away = next(n for n in nodes if n is not leader)
    away.kill()
    fill(leader, "a", 45)
    away.start()
    fill(leader, "b", 5)
    catches_up(away, leader)
    assert field(away, "snapshot_installed") > 0, "the log was enough"
    make_leader(leader, away)
    equal(len(ask(away, "GET", "a:7")), 100_000)
    equal(field(away, "keys"), 500)
    # The snapshot is what it starts with.
    away.kill()
    away.start()
    fresh = node([leader])
    leader = wait_for("somebody leads", lambda: next((n for n in nodes if partition_line(n)["role"] == "leader"), None))
    catches_up(fresh, leader)
    catches_up(away, leader)
    equal(field(fresh, "keys"), 500)


@test(280)
def the_receiver_dies_on_the_way():
    nodes = cluster_of(3)
    leader = next(n for n in nodes if partition_line(n)["role"] == "leader")
    away = next(n for n in nodes if n is not leader)
    away.kill()
    fill(leader, "a", 45)
    for _ in range(6):
        away.start()
        time.sleep(random.uniform(0.05, 0.9))
        away.kill()
        fill(leader, "b", 5)
    away.start()
    catches_up(away, leader)
    make_leader(leader, away)
    equal(field(away, "keys"), 500)


if __name__ == "__main__":
    main()
