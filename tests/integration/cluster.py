#!/usr/bin/env python3
"""Three nodes as one server: any node takes any command, and one may go away at any time."""

import time

from harness import ReplyError, Server, equal, main, ports, refused_start, scaled, temp_dir, test, wait_for
from nodes import cluster, leader_of, members, node, node_id, others, raft, voters

# How long a failover may take from kill -9 to the next acknowledged write, with default settings.
FAILOVER_S = 1.0


@test
def any_node_takes_any_command():
    nodes = cluster()
    clients = [each.client() for each in nodes]
    for i, c in enumerate(clients):
        equal(c("SET", f"k{i}", f"v{i}"), "OK")
        for other in clients:
            equal(other("GET", f"k{i}"), f"v{i}".encode())
    equal(clients[1]("MSET", "a", "1", "b", "2"), "OK")
    equal(clients[2]("MGET", "a", "b", "none"), [b"1", b"2", None])
    equal(sorted(clients[0]("KEYS", "*")), sorted(clients[1]("KEYS", "*")))
    for c in clients:
        equal(c("DBSIZE"), 5)
        equal(c.error("INCR", "k0"), "ERR value is not an integer or out of range")
        equal(c.error("GET"), "ERR wrong number of arguments for 'get' command")
    # In another database, and with RESP3.
    with nodes[1].client(resp=3, db=3) as c:
        equal(c("SET", "deep", "x"), "OK")
        equal(c("EXISTS", "deep"), 1)
    equal(clients[2]("EXISTS", "deep"), 0)
    equal(clients[2]("FLUSHALL"), "OK")
    for c in clients:
        equal(c("DBSIZE"), 0)


@test
def a_pipeline_keeps_its_order_on_every_node():
    nodes = cluster()
    for each in nodes:
        with each.client() as c:
            c("SET", "n", "0")
            replies = c.pipeline([("INCR", "n") for _ in range(3000)])
            equal(replies, list(range(1, 3001)))


@test
def transactions_and_watch_through_a_follower():
    nodes = cluster()
    leader = leader_of(nodes)
    follower, other = others(nodes, leader)
    with follower.client() as c, other.client() as d:
        c("SET", "k", "1")
        c("MULTI")
        equal(c("INCR", "k"), "QUEUED")
        equal(c("PING"), "QUEUED")
        equal(c("GET", "k"), "QUEUED")
        equal(c("EXEC"), [2, "PONG", b"2"])
        equal(c("WATCH", "k"), "OK")
        c("MULTI")
        c("SET", "k", "mine")
        equal(c("EXEC"), ["OK"])
        equal(c("WATCH", "k"), "OK")
        equal(d("SET", "k", "theirs"), "OK")
        c("MULTI")
        c("SET", "k", "mine again")
        equal(c("EXEC"), None)
        equal(c("GET", "k"), b"theirs")


@test
def locks_wait_on_any_node():
    nodes = cluster()
    leader = leader_of(nodes)
    first, second = others(nodes, leader)
    with first.client() as a, second.client() as b, second.client() as watcher:
        token = a("LOCK", "l", "a", 60_000)
        assert token > 0
        b.send("LOCK", "l", "b", 60_000, "WAIT", 30_000)
        wait_for("b waits", lambda: dict(zip(*[iter(watcher("LOCKINFO", "l"))] * 2))[b"waiters"] == 1)
        equal(a("UNLOCK", "l", "a"), 1)
        later = b.read()
        assert later > token, f"{later} after {token}"
        assert watcher.error("EXTEND", "l", 1000).startswith("ERR a lock is extended by its owner only")
        # A client that goes away leaves the line.
        c = first.client()
        c.send("LOCK", "l", "c", 60_000, "WAIT", 30_000)
        wait_for("c waits", lambda: dict(zip(*[iter(watcher("LOCKINFO", "l"))] * 2))[b"waiters"] == 1)
        c.close()
        wait_for("c is gone", lambda: dict(zip(*[iter(watcher("LOCKINFO", "l"))] * 2))[b"waiters"] == 0)


@test
def kill_9_of_the_leader_loses_nothing():
    nodes = cluster()
    slowest = 0.0
    written = 0
    for _ in range(4):
        leader = leader_of(nodes)
        with others(nodes, leader)[0].client() as c:
            for _ in range(50):
                written = c("INCR", "n")
            leader.kill()
            killed = time.monotonic()
            while True:
                reply = c.ask("SET", "after", "x")
                if reply == "OK":
                    break
                assert str(reply).startswith(("TRYAGAIN", "CLUSTERDOWN", "INDOUBT")), reply
            slowest = max(slowest, time.monotonic() - killed)
            equal(c("GET", "n"), str(written).encode())
        leader.start()
        wait_for("it follows again", lambda leader=leader: raft(leader)["leader"] != "0" * 16)
    print(f"slowest failover: {slowest * 1000:.0f} ms")


@test
def all_nodes_at_once():
    nodes = cluster()
    with nodes[1].client() as c:
        for i in range(500):
            equal(c("SET", f"k{i}", i), "OK")
        revision = c("GETREV", "k7")[1]
    for each in nodes:
        each.kill()
    for each in nodes:
        each.launch()
    for each in nodes:
        each.wait_ready()
    leader_of(nodes)
    with nodes[2].client() as c:
        equal(c("DBSIZE"), 500)
        equal(c("GET", "k7"), b"7")
        equal(c("GETREV", "k7")[1], revision)
        assert c("CASREV", "k7", revision, "new")[1] > revision


@test
def without_a_majority_nothing_is_acknowledged():
    nodes = cluster(cluster_retry_timeout=300)
    survivor = nodes[0]
    with survivor.client() as c:
        c("SET", "k", "old")
    for each in nodes[1:]:
        each.kill()

    def refused():
        with survivor.client() as c:
            reply = str(c.ask("SET", "k", "new"))
        assert reply != "OK"
        return reply.startswith(("CLUSTERDOWN", "TRYAGAIN"))

    wait_for("the leader knows that it is alone", refused)
    with survivor.client() as c:
        assert isinstance(c.ask("GET", "k"), ReplyError), "a read that nobody confirms"
        equal(c("PING"), "PONG")
    nodes[1].start()
    with survivor.client() as c:
        wait_for("two are a majority", lambda: c.ask("SET", "again", "x") == "OK")


@test
def leadership_moves_on_demand():
    nodes = cluster()
    for target in nodes:
        name = node_id(target)
        with nodes[0].client() as c:
            wait_for("it is done", lambda: c.ask("CLUSTER", "TRANSFER", "0", name) == "OK")
        wait_for("the other one leads", lambda target=target: raft(target)["role"] == "leader")
        with nodes[0].client() as c:
            equal(c("SET", "k", name), "OK")
    with nodes[0].client() as c:
        equal(c.error("CLUSTER", "TRANSFER", "9", name), "ERR Invalid partition number")
        equal(c.error("CLUSTER", "TRANSFER", "0", "xyz"), "ERR Invalid node id: 16 hexadecimal digits are expected")


@test
def a_transfer_is_answered_although_leadership_is_gone_by_then():
    nodes = cluster()
    for i in range(scaled(30)):
        leader = leader_of(nodes)
        target = others(nodes, leader)[i % 2]
        asked = (leader, target, others(nodes, leader)[1 - i % 2])[i % 3]
        with asked.client() as c:
            # The one that took over just now may not know yet how far the others are.
            reply = wait_for("an answer", lambda: refused_for_now(c.ask("CLUSTER", "TRANSFER", 0, node_id(target))))
            equal(reply, "OK")
        wait_for("the other one leads", lambda: raft(target)["role"] == "leader")


def refused_for_now(reply):
    """None for what has to be asked again: nothing was done."""
    again = ("lacks too much of the log", "Leadership is on its way", "can't lead", "had no leader")
    return None if any(text in str(reply) for text in again) else reply


@test
def a_leader_that_is_stopped_hands_over_first():
    nodes = cluster(cluster_election_timeout=3000)
    leader = leader_of(nodes)
    before = int(raft(leader)["term"])
    with others(nodes, leader)[0].client() as c:
        c("SET", "n", "0")
        leader.process.terminate()
        # No request waits until a silence of three seconds is noticed.
        done = 0
        while leader.is_running() or done < 100:
            done += 1
            began = time.monotonic()
            equal(c("INCR", "n"), done)
            assert time.monotonic() - began < 2, "a request waited for an election"
    equal(leader.wait_exit(), 0)
    successor = leader_of(others(nodes, leader))
    equal(int(raft(successor)["term"]), before + 1)


@test
def nodes_come_and_go():
    nodes = cluster()
    with nodes[0].client() as c:
        c("SET", "k", "v")
    fourth = node(nodes[1])
    wait_for("four voters", lambda: voters(nodes[0], 4))
    wait_for("four members", lambda: members(nodes[0], 4))
    gone = leader_of(nodes)
    rest = [each for each in [*nodes, fourth] if each is not gone]
    name = node_id(gone)
    with rest[0].client() as c:
        equal(c("CLUSTER", "REMOVENODE", name), "OK")
        wait_for("three voters", lambda: voters(rest[0], 3))
        wait_for("it is in no list", lambda: name not in c("CLUSTER", "NODES").decode())
        equal(c("GET", "k"), b"v")
        assert "was removed" in c.error("CLUSTER", "ADDNODE", name, "127.0.0.1:1")
    gone.kill()
    with fourth.client() as c:
        equal(c("SET", "k", "w"), "OK")


@test
def the_same_command_line_starts_a_node_again():
    nodes = cluster()
    for each in nodes:
        each.restart()
    with nodes[0].client() as c:
        wait_for("it takes writes", lambda: c.ask("SET", "k", "v") == "OK")
        equal(c("CLUSTER", "NODES").decode().count("\n"), 3)


@test
def a_single_node_becomes_a_cluster_with_its_data():
    server = Server()
    with server.client() as c:
        c("SET", "k", "v")
    server.options.update(cluster_port=ports.take(), cluster_secret="secret", bootstrap="yes")
    server.restart()
    second = node(server)
    wait_for("two voters", lambda: voters(second, 2))
    with second.client() as c:
        equal(c("GET", "k"), b"v")


@test
def P14_who_does_not_belong_stays_out():
    nodes = cluster(size=1)
    seed = f"127.0.0.1:{nodes[0].options['cluster_port']}"
    # Another secret: never gets in.
    stranger = Server(start=False, cluster_port=ports.take(), cluster_secret="wrong", join=seed)
    stranger.launch()
    wait_for("it is told why", lambda: "failed" in stranger.log_text())
    stranger.kill()
    # Data of its own: refused, and untouched.
    own = Server()
    with own.client() as c:
        c("SET", "mine", "1")
    own.terminate()
    common = ["--port", str(own.port), "--dir", str(own.directory), "--cluster-secret", "secret"]
    line = refused_start([*common, "--cluster-port", str(ports.take()), "--join", seed])
    assert "data of its own" in line, line
    own.start()
    with own.client() as c:
        equal(c("GET", "mine"), b"1")
        equal(c.error("CLUSTER", "NODES"), "ERR This instance has cluster support disabled")
    # A plain client doesn't speak to the cluster port.
    with nodes[0].client() as c:
        equal(c("SET", "k", "v"), "OK")


@test
def senseless_options_are_refused():
    directory = str(temp_dir())
    common = ["--port", str(ports.take()), "--dir", directory]
    cluster_port = ["--cluster-port", str(ports.take())]
    assert "cluster-port" in refused_start([*common, "--bootstrap"])
    assert "one of them" in refused_start([*common, *cluster_port, "--bootstrap", "--join", "127.0.0.1:1"])
    assert "numeric address" in refused_start([*common, *cluster_port, "--join", "localhost:1"])
    assert "half" in refused_start([*common, *cluster_port, "--bootstrap", "--cluster-heartbeat-interval", "300"])


main()
