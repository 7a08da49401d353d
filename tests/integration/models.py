"""Collections against a model in memory, with restarts, kills and failovers in between."""

import random

import nodes
from harness import Server, equal, scaled, wait_for
from resp import Client


class Model:
    """What a few keys ought to hold, and random commands that check it.

    `kinds` names the methods that `step` draws from; each is called with the client, a key and what
    the key holds, which is `empty` for a missing one."""

    kinds: tuple[str, ...] = ()
    empty: object = None

    def __init__(self, seed: int, keys: int = 8, prefix: str = ""):
        self.random = random.Random(seed)
        # With a hash tag as prefix the keys share a slot: RENAME and COPY work over several partitions.
        self.keys = [f"{prefix}key:{i}" for i in range(keys)]
        self.values: dict[str, object] = {}

    def step(self, client: Client) -> None:
        key = self.random.choice(self.keys)
        getattr(self, self.random.choice(self.kinds))(client, key, self.values.get(key, self.empty))

    def keep(self, key: str, value) -> None:
        if value:
            self.values[key] = value
        else:
            self.values.pop(key, None)

    def delete(self, client, key, value):
        equal(client(self.random.choice(("DEL", "UNLINK")), key), int(bool(value)))
        self.keep(key, self.empty)

    def copy(self, client, key, value):
        other = self.random.choice(self.keys)
        if other == key:
            return
        if self.random.random() < 0.5:
            equal(client("COPY", key, other, "REPLACE"), int(bool(value)))
        elif value:
            equal(client("RENAME", key, other), "OK")
            del self.values[key]
        if value:
            self.values[other] = value.copy()

    def check_key(self, client: Client, key: str, value) -> None:
        raise NotImplementedError

    def check(self, client: Client) -> None:
        for key in self.keys:
            self.check_key(client, key, self.values.get(key, self.empty))
        equal(client("DBSIZE"), len(self.values))


def has_cold(client: Client) -> bool:
    return int(client.info("memory")["cold_keys"]) > 0


def check_cold(kind: type[Model], **options) -> None:
    """The same with values that leave memory as soon as they may, and are read when they are asked for."""
    options = {"resident-memory": 1, "flush-interval-ms": 20, **options}
    check_with_kills(kind, cold=True, **options)
    check_with_failovers(kind, **options)


def check_with_kills(kind: type[Model], cold: bool = False, **options) -> None:
    """Restarts and kills one node, again and again; `cold`: each time some values come back into memory."""
    for seed, partitions in ((1, 1), (2, 8)):
        server = Server(partitions=partitions, **{"flush-interval-ms": 50, **options})
        model = kind(seed, prefix="{same}")
        for round in range(scaled(6)):
            with server.client() as client:
                for _ in range(scaled(400)):
                    model.step(client)
                if cold:
                    wait_for("values that left memory", lambda: has_cold(client) or model.step(client))
                model.check(client)
            if round % 2:
                server.kill()
                server.launch()
                server.wait_ready()
            else:
                server.restart()
            with server.client() as client:
                model.check(client)


def check_with_failovers(kind: type[Model], **options) -> None:
    """The leader dies or hands over again and again; one writer, so that each answer is known."""
    # Elections may take long on a machine that does much else.
    servers = nodes.cluster(3, **{"cluster-retry-timeout": 20_000, **options})
    model = kind(3, keys=4)
    for round in range(4):
        leader = nodes.leader_of(servers)
        follower = nodes.others(servers, leader)[0]
        with follower.client() as client:
            for _ in range(scaled(200)):
                model.step(client)
            model.check(client)
        if round % 2:
            with leader.client() as client:
                nodes.hand_over(client, follower)
        else:
            leader.kill()
            nodes.leader_of(nodes.others(servers, leader))
            leader.launch()
            leader.wait_ready()
        nodes.leader_of(servers)
    with nodes.others(servers, nodes.leader_of(servers))[1].client() as client:
        client("READONLY")
        for key in model.keys:
            model.check_key(client, key, model.values.get(key, model.empty))
