"""Clusters of real processes."""

from harness import SANITIZER, SLOWNESS, Server, equal, ports, wait_for
from resp import Client


def node(first: Server | None = None, **options) -> Server:
    """A node that founds a cluster, or joins that of `first`."""
    if SANITIZER:
        # A node that gets no processor for a while is no reason for an election.
        given = {name.replace("-", "_") for name in options}
        slow = {"cluster_election_timeout": 400 * SLOWNESS, "cluster_retry_timeout": 3000 * SLOWNESS}
        options |= {name: value for name, value in slow.items() if name not in given}
    cluster_port = ports.take()
    entry = {"join": f"127.0.0.1:{first.options['cluster_port']}"} if first else {"bootstrap": "yes"}
    server = Server(start=False, cluster_port=cluster_port, cluster_secret="secret", **entry, **options)
    return server.start()


def hand_over(client: Client, to: Server) -> None:
    """Asks a leader to give its leadership away."""
    equal(client("CLUSTER", "TRANSFER", 0, node_id(to)), "OK")


def node_id(server: Server) -> str:
    with server.client() as c:
        return c("CLUSTER", "MYID").decode()


def raft(server: Server, name="partition_0") -> dict[str, str]:
    with server.client() as c:
        line = c.info("raft")[name]
    return dict(part.split("=") for part in line.split(","))


def voters(server: Server, count: int) -> bool:
    with server.client() as c:
        info = c.info("raft")
    lines = [info["partition_0"], info["meta"]]
    return all(f"voters={count},learners=0" in line for line in lines)


def members(server: Server, count: int) -> bool:
    """Whether so many nodes have arrived, as far as this one knows."""
    with server.client() as c:
        lines = c("CLUSTER", "NODES").decode().splitlines()
    return len(lines) == count and not any("handshake" in line for line in lines)


def cluster(size=3, own=dict, **options) -> list[Server]:
    """`own` makes those options that every node has for itself."""
    first = node(**options, **own())
    nodes = [first]
    for _ in range(size - 1):
        nodes.append(node(first, **options, **own()))
    for each in nodes:
        wait_for(f"{size} voters everywhere", lambda each=each: voters(each, size))
        wait_for("all are members", lambda each=each: members(each, size))
    return nodes


def leader_of(nodes: list[Server]) -> Server:
    def find():
        for each in nodes:
            if each.is_running() and raft(each)["role"] == "leader":
                return each
        return None

    return wait_for("somebody leads", find)


def others(nodes: list[Server], one: Server) -> list[Server]:
    return [each for each in nodes if each is not one]
