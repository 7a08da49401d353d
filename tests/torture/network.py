"""The links between the nodes of a cluster, and how they are cut.

A link is an ordered pair of nodes: cutting (a, b) stops what a sends to b and leaves what b sends to a.
Nodes are numbered from 1. Clients are never cut off.

  Direct       nothing can be cut
  Proxies      each pair has a TCP proxy; the preloaded shim (shim.c) sends a node's connections there,
               so the nodes know one another by their true addresses. Cut bytes are held, as TCP itself
               would hold them, and go on when the link heals; `reset` also closes the connections
  Namespaces   each node has a network namespace with an address of its own on a bridge. A cut link is a
               wrong hardware address in the sender's neighbour table: packets go out and reach nobody.
               Needs root
"""

import atexit
import itertools
import os
import re
import selectors
import socket
import subprocess
import threading
import time

CLUSTER_PORT_OFFSET = 10_000


class Direct:
    kind = "direct"
    can_cut = False

    def __init__(self, count: int):
        self.count = count
        self.hosts = None
        self.cuts: set[tuple[int, int]] = set()

    def prepare(self, nodes: list) -> None:
        """Changes how the nodes are started."""

    def links(self) -> list[tuple[int, int]]:
        return list(itertools.permutations(range(1, self.count + 1), 2))

    def cut(self, links) -> None:
        self.cuts.update(links)
        self.apply()

    def heal(self) -> None:
        self.cuts.clear()
        self.apply()

    def apply(self) -> None:
        """Makes the network what self.cuts says."""

    def close(self) -> None:
        pass


def between(side: set[int], count: int) -> list[tuple[int, int]]:
    """Both directions of all links between these nodes and the others."""
    others = set(range(1, count + 1)) - side
    return [pair for a in side for b in others for pair in ((a, b), (b, a))]


class _Pipe:
    """One direction of a proxied connection."""

    LIMIT = 1 << 20  # bytes held

    def __init__(self, link: tuple[int, int], source: socket.socket, target: socket.socket):
        self.link = link
        self.source = source
        self.target = target
        self.held = bytearray()
        self.ready_at = 0.0  # when the delay of the oldest byte is over
        self.ended = False


class Proxies(Direct):
    kind = "proxy"
    can_cut = True

    def __init__(self, count: int, shim: str, ports):
        super().__init__(count)
        self.shim = shim
        self.delay_s = 0.0
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._pipes: list[_Pipe] = []
        self._listeners = {}
        self._ports = {}
        self._targets = {}
        for link in self.links():
            self._ports[link] = ports.take()
            listener = socket.create_server(("127.0.0.1", self._ports[link]))
            listener.setblocking(False)
            self._listeners[link] = listener
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def prepare(self, nodes: list) -> None:
        cluster_port = {node.number: node.port + CLUSTER_PORT_OFFSET for node in nodes}
        for a, b in self.links():
            self._targets[(a, b)] = cluster_port[b]
        for node in nodes:
            pairs = [f"{cluster_port[b]}={self._ports[(a, b)]}" for a, b in self.links() if a == node.number]
            node.environment |= {"LD_PRELOAD": self.shim, "SHIM_CONNECT": ",".join(pairs)}
        self._thread.start()

    def reset(self, a: int, b: int) -> None:
        """Closes the connections between two nodes."""
        with self._lock:
            for pipe in self._pipes:
                if set(pipe.link) == {a, b}:
                    pipe.ended = True

    def close(self) -> None:
        self._closed = True
        for listener in self._listeners.values():
            listener.close()

    # The rest runs on the thread.

    def _run(self) -> None:
        while not self._closed:
            for link, listener in self._listeners.items():
                self._accept(link, listener)
            with self._lock:
                moved = any([self._move(pipe) for pipe in self._pipes])
                self._sweep()
            if not moved:
                time.sleep(0.0005)

    def _accept(self, link: tuple[int, int], listener: socket.socket) -> None:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._targets[link]), timeout=1)
        except OSError:
            near.close()
            return
        for connection in (near, far):
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pipes += [_Pipe(link, near, far), _Pipe(link[::-1], far, near)]

    def _move(self, pipe: _Pipe) -> bool:
        """Whether anything went through."""
        moved = False
        try:
            if len(pipe.held) < pipe.LIMIT:
                data = pipe.source.recv(1 << 18)
                moved = True
                pipe.ended = pipe.ended or not data
                if data and not pipe.held:
                    pipe.ready_at = time.monotonic() + self.delay_s
                pipe.held += data
        except BlockingIOError:
            pass
        except OSError:
            pipe.ended = True
        if pipe.held and pipe.link not in self.cuts and time.monotonic() >= pipe.ready_at:
            try:
                sent = pipe.target.send(pipe.held)
                del pipe.held[:sent]
                moved = True
            except BlockingIOError:
                pass
            except OSError:
                pipe.ended = True
        return moved

    def _sweep(self) -> None:
        """An end is passed on at once in both directions; what a cut holds is lost then."""
        ended = {id(s) for pipe in self._pipes if pipe.ended for s in (pipe.source, pipe.target)}
        if not ended:
            return
        for pipe in self._pipes:
            if id(pipe.source) in ended:
                pipe.source.close()
                pipe.target.close()
        self._pipes = [pipe for pipe in self._pipes if id(pipe.source) not in ended]


def _ip(*words: str, check=True) -> None:
    result = subprocess.run(["ip", *words], capture_output=True, text=True)
    if check and result.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {result.stderr.strip()}")


class Namespaces(Direct):
    kind = "netns"
    can_cut = True
    NOBODY = "02:00:00:00:00:fe"

    def __init__(self, count: int):
        super().__init__(count)
        self.tag = f"hf{os.getpid()}"
        subnet = 1 + os.getpid() % 250
        self.hosts = [f"10.213.{subnet}.{i}" for i in range(1, count + 1)]
        self._applied: set[tuple[int, int]] = set()
        self._remove_leftovers()
        atexit.register(self.close)
        _ip("link", "add", self.tag, "type", "bridge")
        _ip("addr", "add", f"10.213.{subnet}.254/24", "dev", self.tag)
        _ip("link", "set", self.tag, "up")
        for i in range(1, count + 1):
            outside, inside, name = f"{self.tag}o{i}", f"{self.tag}i{i}", self.name(i)
            _ip("netns", "add", name)
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            _ip("link", "set", inside, "netns", name)
            _ip("link", "set", outside, "master", self.tag, "up")
            _ip("-n", name, "addr", "add", f"{self.hosts[i - 1]}/24", "dev", inside)
            _ip("-n", name, "link", "set", inside, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    @staticmethod
    def works() -> bool:
        """Whether this machine lets us."""
        try:
            network = Namespaces(1)
        except (RuntimeError, FileNotFoundError):
            return False
        network.close()
        return True

    @staticmethod
    def _remove_leftovers() -> None:
        """Of runs that were killed."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
        for name in re.findall(r"^hf\d+n\d+", listed, re.M):
            tag, number = name.split("n")
            if not os.path.exists(f"/proc/{tag[2:]}"):
                _ip("link", "del", f"{tag}o{number}", check=False)
                _ip("netns", "del", name, check=False)
                _ip("link", "del", tag, check=False)

    def name(self, node: int) -> str:
        return f"{self.tag}n{node}"

    def prepare(self, nodes: list) -> None:
        for node in nodes:
            node.command = ["ip", "netns", "exec", self.name(node.number), *node.command]

    def apply(self) -> None:
        for a, b in self.cuts - self._applied:
            words = ("neigh", "replace", self.hosts[b - 1], "lladdr", self.NOBODY, "nud", "permanent")
            _ip("-n", self.name(a), *words, "dev", f"{self.tag}i{a}")
        for a, b in self._applied - self.cuts:
            _ip("-n", self.name(a), "neigh", "del", self.hosts[b - 1], "dev", f"{self.tag}i{a}")
        self._applied = set(self.cuts)

    def close(self) -> None:
        for i in range(1, self.count + 1):
            _ip("link", "del", f"{self.tag}o{i}", check=False)
            _ip("netns", "del", self.name(i), check=False)
        _ip("link", "del", self.tag, check=False)
