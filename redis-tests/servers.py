"""Child processes, ports, and the server that a unit runs against."""

import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

START_DEADLINE_S = 30
STOP_DEADLINE_S = 15


class ServerError(Exception):
    """The server can't be used; the text says why, with the end of its log."""


class Processes:
    """The running children, each leading a process group; ended by their ids only. Any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._children = []
        self._stopping = False

    def start(self, command: list[str], **kwargs) -> subprocess.Popen:
        with self._lock:
            if self._stopping:
                raise ServerError("interrupted")
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, start_new_session=True, **kwargs
            )
            self._children.append(child)
            return child

    def kill(self, child: subprocess.Popen) -> None:
        """Ends the child's group, including what a child that has ended left behind. Idempotent."""
        with self._lock:
            if child not in self._children:
                return  # its id may be another process's by now
            self._children.remove(child)
        # Nothing has reaped the child before (see exit_status), so the id still is its group's.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def stop_all(self) -> None:
        """Ends everything and lets nothing start any more."""
        with self._lock:
            self._stopping = True
            children = list(self._children)
        for child in children:
            self.kill(child)


class Ports:
    """Hands out loopback ports, each once. Any thread.

    They lie below the range that the kernel uses for outgoing connections.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._given = set()

    def take(self) -> int:
        with self._lock:
            for _ in range(1000):
                port = random.randrange(20000, 30000)
                if port not in self._given and self._is_free(port):
                    self._given.add(port)
                    return port
        raise ServerError("no free port between 20000 and 30000")

    @staticmethod
    def _is_free(port: int) -> bool:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True


class Server:
    """A server started for one unit, with data and log below `directory`; answers when constructed.

    `template` is a command line in which {port} and {dir} are replaced. With `tls_port` and the
    directory `certificates` it listens there, too, for clients that speak TLS.
    """

    def __init__(
        self, processes: Processes, template: str, port: int, directory: Path,
        tls_port: int | None = None, certificates: Path | None = None,
    ):  # fmt: skip
        self._processes = processes
        self.port = port  # the suite's
        self.log = directory / "server.log"
        data = directory / "data"
        data.mkdir()
        command = [
            part.replace("{port}", str(port)).replace("{dir}", str(data))
            for part in shlex.split(template)
        ]
        if tls_port is not None:
            self.port = tls_port
            command += ["--tls-port", str(tls_port)]
            for option, file in (("cert-file", "server.crt"), ("key-file", "server.key"), ("ca-cert-file", "ca.crt")):
                command += [f"--tls-{option}", str(certificates / file)]
        # The server runs in its data directory, so a relative program name is resolved here.
        command[0] = os.path.abspath(shutil.which(command[0]) or command[0])
        with open(self.log, "wb") as log:
            self._child = processes.start(command, cwd=data, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_DEADLINE_S
        while not answers_ping("127.0.0.1", port):
            problem = self.problem()
            if problem is None and time.monotonic() > deadline:
                problem = f"the server didn't answer PING within {START_DEADLINE_S} s"
            if problem:
                self.kill()
                raise ServerError(f"{problem}\n{self.log_tail()}")
            time.sleep(0.02)

    def problem(self) -> str | None:
        """What is wrong with a server that should be running."""
        status = exit_status(self._child, 0)
        return None if status is None else f"the server ended by itself, {describe(status)}"

    def stop(self) -> str | None:
        """Asks the server to end; returns what was wrong with the way it did."""
        os.kill(self._child.pid, signal.SIGTERM)
        status = exit_status(self._child, STOP_DEADLINE_S)
        if status is None:
            return f"the server didn't end within {STOP_DEADLINE_S} s of SIGTERM"
        return None if status == 0 else f"after SIGTERM the server ended with {describe(status)}"

    def kill(self) -> None:
        self._processes.kill(self._child)

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-20:]
        return "\n".join(f"server: {line}" for line in lines)


def _load_cluster():
    """utils/cluster is a program without a suffix."""
    loader = SourceFileLoader("cluster", str(ROOT / "utils/cluster"))
    module = module_from_spec(spec_from_loader("cluster", loader))
    loader.exec_module(module)
    return module


class ClusterPorts:
    """Hands out ports of nodes; their cluster ports are free, too. Any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._given = set()

    def take(self, count: int) -> int:
        """The first of so many in a row."""
        with self._lock:
            for _ in range(1000):
                first = random.randrange(10_100, 19_900)
                wanted = {port + i for i in range(count) for port in (first, first + 10_000)}
                if not wanted & self._given and all(map(Ports._is_free, wanted)):
                    self._given |= wanted
                    return first
        raise ServerError("no free ports for a cluster")


class Cluster:
    """Nodes started for one unit by utils/cluster; as a Server, whose port is one of a follower."""

    def __init__(self, nodes: int, template: str, port: int, directory: Path):
        self._module = _load_cluster()
        self.log = directory / "server.log"
        words = shlex.split(template)
        # Scripts that the suite runs, on a busy machine, must not make another node lead.
        options = ["--cluster-election-timeout", "2000"]
        # And the template's own, but for those that every node has for itself.
        for word, value in zip(words[1::2], words[2::2]):
            if word not in ("--port", "--dir", "--bind"):
                options += [word, value]
        binary = os.path.abspath(shutil.which(words[0]) or words[0])
        self._cluster = self._module.Cluster.create(directory / "data", nodes, port, binary, options)
        for node in self._cluster.nodes:
            node.outlives_us = False
        try:
            self._cluster.start()
            self._wait_for_voters(nodes)
            self.port = self._follower()
        except (OSError, self._module.ClusterError, ServerError) as error:
            self.kill()
            raise ServerError(f"{error}\n{self.log_tail()}") from error
        self._ask(self.port, "FLUSHALL")  # what utils/cluster has written

    def _ask(self, port: int, *args: str) -> str:
        return self._module.ask("127.0.0.1", port, *args, timeout=10)

    def _raft(self, port: int) -> dict[str, str]:
        """What a node says of partition 0, and of the group that knows the members."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"INFO raft\r\nQUIT\r\n")
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        lines = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
        return {name: lines.get(name, "") for name in ("partition_0", "meta")}

    def _wait(self, what: str, condition):
        deadline = time.monotonic() + START_DEADLINE_S
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise ServerError(f"waited {START_DEADLINE_S} s in vain for: {what}")
            time.sleep(0.02)
        return value

    def _wait_for_voters(self, nodes: int) -> None:
        wanted = f"voters={nodes},learners=0"
        for node in self._cluster.nodes:
            self._wait(
                f"all votes at {node}",
                lambda node=node: all(wanted in line for line in self._raft(node.port).values()),
            )

    def _follower(self) -> int:
        """The port of the last node, which leads nothing."""
        first, last = self._cluster.nodes[0], self._cluster.nodes[-1]
        name = self._node_id(first.port)

        def follows():
            roles = self._raft(last.port)
            if not any("role=leader" in line for line in roles.values()):
                return True
            self._ask(last.port, "CLUSTER", "TRANSFER", "0", name)
            return False

        self._wait(f"{last} doesn't lead", follows)
        return last.port

    @staticmethod
    def _node_id(port: int) -> str:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"CLUSTER MYID\r\nQUIT\r\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode().split("\r\n")[1]

    def problem(self) -> str | None:
        ended = [str(node) for node in self._cluster.nodes if not node.is_running()]
        return f"ended by itself: {', '.join(ended)}" if ended else None

    def stop(self) -> str | None:
        try:
            self._cluster.stop()
        except self._module.ClusterError as error:
            return str(error)
        bad = [node for node in self._cluster.nodes if node.exit_code() != 0]
        return "\n".join(f"after SIGTERM {node} ended with {node.exit_code()}" for node in bad) or None

    def kill(self) -> None:
        for node in self._cluster.nodes:
            node.kill()
        with open(self.log, "w") as out:
            print(self.log_tail(), file=out)

    def log_tail(self) -> str:
        return "\n".join(node.log_tail() for node in self._cluster.nodes if not node.is_running())


def answers_ping(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(1) in (b"+", b"-")  # "-": the server wants a password
    except OSError:
        return False


def exit_status(child: subprocess.Popen, timeout_s: float) -> int | None:
    """The status as Popen has it, None while the child runs. Doesn't reap: the id stays ours."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            info = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return child.wait()  # stop_all has ended and reaped it
        if info is not None:
            return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.01)


def describe(status: int) -> str:
    """An exit status as Popen gives it."""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
