"""What is done to a cluster while clients use it. Each fault is made, kept for a while, and ended."""

import random
import signal
import threading
import time

from network import between

# Which faults each choice of --nemesis draws from; the second number is how many nodes they take.
KINDS = {
    "kill": 1,
    "kill-all": 1,
    "pause": 1,
    "partition": 3,
    "one-way": 3,
    "reset": 3,
    "slow": 3,
    "transfer": 2,
    "member": 3,
    "lose": 1,
}
ON_LINKS = {"partition", "one-way", "reset", "slow"}
LONGEST_FAULT_S = 2.5


class Nemesis:
    """Runs on a thread of its own, from start() to stop(); stop() ends all faults."""

    def __init__(self, cluster, network, kinds: list[str], overlap: bool, seed: str, tools):
        self.cluster = cluster
        self.network = network
        self.kinds = kinds
        self.overlap = overlap
        self.tools = tools  # what needs a connection: Tools in run
        self.random = random.Random(seed)
        self.counts: dict[str, int] = {}
        self.kills = 0
        self.ended: set[int] = set()  # nodes that were ended here
        self.faults: list[str] = []  # of the nemesis itself
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(self.random.uniform(0.2, 1.2)):
                chosen = [self.random.choice(self.kinds)]
                if self.overlap and len(self.kinds) > 1 and self.random.random() < 0.4:
                    chosen.append(self.random.choice([kind for kind in self.kinds if kind != chosen[0]]))
                for kind in chosen:
                    self.counts[kind] = self.counts.get(kind, 0) + 1
                    getattr(self, "begin_" + kind.replace("-", "_"))()
                self._stop.wait(self.random.uniform(0.1, LONGEST_FAULT_S))
                self.end_all()
        except Exception as error:
            self.faults.append(f"the nemesis failed: {type(error).__name__}: {error}")
        finally:
            self.end_all()

    def end_all(self) -> None:
        self.network.heal()
        if hasattr(self.network, "delay_s"):
            self.network.delay_s = 0.0
        for node in self.cluster.nodes:
            node.send_signal(signal.SIGCONT)
            if node.is_running():
                continue
            if node.number not in self.ended and not self.tools.may_end(node):
                self.faults.append(f"{node} ended by itself\n{node.log_tail()}")
            node.launch()
        self.ended.clear()
        self.tools.restore_members()

    def _node(self):
        return self.random.choice(self.cluster.nodes)

    def _minority(self) -> list:
        most = max(1, (len(self.cluster.nodes) - 1) // 2)
        return self.random.sample(self.cluster.nodes, self.random.randint(1, most))

    def begin_kill(self) -> None:
        for node in self._minority():
            self._kill(node)

    def _kill(self, node) -> None:
        if node.kill():
            self.ended.add(node.number)
            self.kills += 1

    def begin_kill_all(self) -> None:
        running = [node.number for node in self.cluster.nodes if node.send_signal(signal.SIGKILL)]
        for node in self.cluster.nodes:
            node.wait_end()
        self.ended.update(running)
        self.kills += len(running)

    def begin_lose(self) -> None:
        """A power cut at one node: what it didn't sync is gone."""
        node = self._node()
        if not node.is_running():
            return
        self.ended.add(node.number)
        self.tools.lose_unsynced(node)
        self.kills += 1

    def begin_pause(self) -> None:
        for node in self._minority():
            node.send_signal(signal.SIGSTOP)

    def begin_partition(self) -> None:
        side = {node.number for node in self._minority()}
        self.network.cut(between(side, len(self.cluster.nodes)))

    def begin_one_way(self) -> None:
        links = between({self._node().number}, len(self.cluster.nodes))
        choice = self.random.randrange(3)
        if choice == 0:  # hears all, is heard by none, or the other way round
            links = links[::2]
        elif choice == 1:
            links = links[1::2]
        else:
            links = [self.random.choice(links)]
        self.network.cut(links)

    def begin_reset(self) -> None:
        a, b = self.random.choice(self.network.links())
        self.network.reset(a, b)

    def begin_slow(self) -> None:
        self.network.delay_s = self.random.uniform(0.005, 0.1)

    def begin_transfer(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.tools.transfer(self._node())
            time.sleep(0.05)

    def begin_member(self) -> None:
        node = self._node()
        self.ended.add(node.number)
        self.tools.remove_member(node)
