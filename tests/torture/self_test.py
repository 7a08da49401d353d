#!/usr/bin/env python3
"""Tests of the torture harness itself: utils/cluster, cut links, the shim, what is taken for a fault.

    tests/torture/self_test.py

Prints `N passed, N failed`. Namespaces are tested where the machine allows them.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
loader = SourceFileLoader("torture_run", str(HERE / "run"))
run = module_from_spec(spec_from_loader("torture_run", loader))
loader.exec_module(run)
networks = run.networks

ROOT = HERE.parent.parent
BINARY = os.environ.get("HOLDFAST", str(ROOT / "build/holdfast"))
SHIM = str(ROOT / "build/release/shim.so")
QUICK_S = 0.4  # silence for so long is taken for a cut

# A node of these tests: answers each byte on its cluster port by itself, and when told so by a line on
# its standard input, asks another one on a connection that it keeps.
NODE = """
import socket, sys, threading
host, port = sys.argv[1], int(sys.argv[2])
server = socket.create_server((host, port))
got = {}
def echo(connection):
    try:
        while data := connection.recv(100):
            connection.sendall(data)
    except OSError:
        pass
def accept():
    while True:
        connection, _ = server.accept()
        threading.Thread(target=echo, args=[connection], daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
print("ready", flush=True)
peers = {}
for line in sys.stdin:
    host, port, timeout = line.split()
    peer = host, int(port)
    try:
        if peer not in peers:
            peers[peer] = socket.create_connection(peer, timeout=float(timeout))
        peers[peer].settimeout(float(timeout))
        peers[peer].sendall(b"x")
        print("answered" if peers[peer].recv(1) else "closed", flush=True)
    except OSError as error:
        if not isinstance(error, TimeoutError) or peer not in peers:
            peers.pop(peer, None)
        print("silent", flush=True)
"""


class FakeNode:
    """Has what a network prepares of a node of utils/cluster."""

    def __init__(self, number: int, host: str, port: int):
        self.number, self.host, self.port = number, host, port
        self.environment: dict[str, str] = {}
        self.cluster_port = port + networks.CLUSTER_PORT_OFFSET
        self.command = [sys.executable, "-c", NODE, host, str(self.cluster_port)]

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, other: "FakeNode", timeout=QUICK_S) -> str:
        self.process.stdin.write(f"{other.host} {other.cluster_port} {timeout}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class LinkTest:
    """What each kind of network has to do; three nodes."""

    def setUp(self):
        self.network = self.make_network()
        ports = run.Ports()
        hosts = self.network.hosts or [f"127.0.0.{i}" for i in (1, 1, 1)]
        self.nodes = [FakeNode(i + 1, hosts[i], ports.take()) for i in range(3)]
        self.network.prepare(self.nodes)
        for node in self.nodes:
            node.start()

    def tearDown(self):
        for node in self.nodes:
            node.stop()
        self.network.close()

    def answers(self, a: int, b: int, timeout=QUICK_S) -> bool:
        return self.nodes[a - 1].ask(self.nodes[b - 1], timeout) == "answered"

    def wait_answers(self, a: int, b: int) -> None:
        deadline = time.monotonic() + 20
        while not self.answers(a, b):
            self.assertLess(time.monotonic(), deadline, f"{a} doesn't reach {b} again")

    def test_what_is_cut_off_is_silent_and_comes_back(self):
        for a, b in self.network.links():
            self.assertTrue(self.answers(a, b, 5))
        self.network.cut(networks.between({1}, 3))
        for a, b in self.network.links():
            self.assertEqual(self.answers(a, b), 1 not in (a, b), f"{a} to {b}")
        self.network.heal()
        for a, b in self.network.links():
            self.wait_answers(a, b)

    def test_one_direction_alone(self):
        self.network.cut([(1, 2)])
        # Neither the question of 1 nor its answer reaches 2.
        self.assertFalse(self.answers(1, 2))
        self.assertFalse(self.answers(2, 1))
        for a, b in ((1, 3), (3, 1), (2, 3), (3, 2)):
            self.assertTrue(self.answers(a, b, 5))
        self.network.heal()
        self.wait_answers(1, 2)
        self.wait_answers(2, 1)


class ProxyTest(LinkTest, unittest.TestCase):
    def make_network(self):
        return networks.Proxies(3, SHIM, run.Ports())

    def test_reset_closes_connections(self):
        self.assertTrue(self.answers(1, 2, 5))
        self.network.reset(2, 1)
        time.sleep(0.2)
        self.assertFalse(self.answers(1, 2))
        self.wait_answers(1, 2)

    def test_delay(self):
        self.assertTrue(self.answers(1, 2, 5))
        self.network.delay_s = 0.2
        began = time.monotonic()
        self.assertTrue(self.answers(1, 2, 5))
        self.assertGreater(time.monotonic() - began, 0.4)


@unittest.skipUnless(os.geteuid() == 0 and networks.Namespaces.works(), "needs network namespaces")
class NamespaceTest(LinkTest, unittest.TestCase):
    def make_network(self):
        return networks.Namespaces(3)

    def test_one_direction_still_delivers_the_other(self):
        """Datagrams show it without TCP's acknowledgements."""
        script = "import socket,sys; s=socket.socket(2,2); s.sendto(b'x',(sys.argv[1],int(sys.argv[2])))"
        name = self.network.name

        def arrives(a: int, b: int) -> bool:
            host = self.network.hosts[b - 1]
            code = f"import socket; s=socket.socket(2,2); s.bind(('{host}',5000)); s.settimeout(3); "
            code += "print('bound', flush=True); s.recv(9)"
            receiver = subprocess.Popen(
                ["ip", "netns", "exec", name(b), sys.executable, "-c", code],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            receiver.stdout.readline()
            subprocess.run(["ip", "netns", "exec", name(a), sys.executable, "-c", script, host, "5000"], check=True)
            code = receiver.wait()
            receiver.stdout.close()
            return code == 0

        self.network.cut([(1, 2)])
        self.assertFalse(arrives(1, 2))
        self.assertTrue(arrives(2, 1))
        self.network.heal()
        self.assertTrue(arrives(1, 2))


# Writes "first", syncs, overwrites a part, appends, cuts, and waits.
WRITER = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(fd, b"first part;")
os.fdatasync(fd)
os.pwrite(fd, b"FIRST", 0)
os.lseek(fd, 0, os.SEEK_END)
os.write(fd, b"second")
os.pwrite(fd, b"SECOND", 9)
os.ftruncate(fd, 3)
print("written", flush=True)
time.sleep(60)
"""


class ShimTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.file = Path(self.directory.name) / "data/file"
        self.file.parent.mkdir()
        self.environment = {**os.environ, "LD_PRELOAD": SHIM, "SHIM_DIR": str(self.file.parent)}

    def start(self, script: str, **variables) -> subprocess.Popen:
        command = [sys.executable, "-c", script, str(self.file)]
        return subprocess.Popen(command, env={**self.environment, **variables}, stdout=subprocess.PIPE)

    def test_what_was_not_synced_is_lost(self):
        control = Path(self.directory.name) / "lose"
        process = self.start(WRITER, SHIM_LOSE=str(control))
        self.assertEqual(process.stdout.readline(), b"written\n")
        self.assertEqual(self.file.read_bytes(), b"FIR")
        control.touch()
        self.assertEqual(process.wait(10), -9)
        process.stdout.close()
        self.assertEqual(self.file.read_bytes(), b"first part;")

    def test_the_nth_sync_fails_and_all_behind_it(self):
        script = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for i in range(5):
    os.write(fd, b"x")
    try:
        os.fdatasync(fd)
        print(i, end="")
    except OSError as error:
        print("E" if error.errno == 5 else "?", end="")
"""
        process = self.start(script, SHIM_FAIL="sync:4")
        self.assertEqual(process.communicate()[0], b"012EE")
        process = self.start(script.replace("fdatasync(fd)", "pwrite(fd, b'y', 0)"), SHIM_FAIL="write:200")
        self.assertEqual(process.communicate()[0], b"01234")


def grant(key, owner, start, end, token) -> str:
    return f"lock {key} c {start} {end} ok lock {owner} 300 = {token}"


class OracleTest(unittest.TestCase):
    """What the harness checks besides the checker."""

    def test_sums(self):
        history = ["counter a c 1 2 ok incr 5 = 5", "counter a c 3 - doubt incr 2", "counter a c 5 6 failed incr 1"]
        for value, faults in (("4", 1), ("5", 0), ("6", 0), ("7", 0), ("8", 1)):
            self.assertEqual(len(run.check_sums(history, {"a": value})), faults, value)

    def test_tokens(self):
        self.assertEqual(run.check_tokens([grant("l", "a", 1, 2, 7), grant("l", "b", 3, 4, 8)]), [])
        self.assertEqual(run.check_tokens([grant("l", "a", 1, 9, 8), grant("l", "b", 3, 4, 7)]), [])
        self.assertEqual(run.check_tokens([grant("l", "a", 1, 2, 7), grant("l", "a", 3, 4, 7)]), [])
        self.assertEqual(len(run.check_tokens([grant("l", "a", 1, 2, 7), grant("l", "b", 3, 4, 6)])), 1)
        self.assertEqual(len(run.check_tokens([grant("l", "a", 1, 2, 7), grant("l", "b", 3, 4, 7)])), 1)


class DurationTest(unittest.TestCase):
    def test_a_round_lasts_until_enough_has_succeeded(self):
        duration = run.workload.Duration(1000, 10, 2)
        duration.succeeded[0], duration.succeeded[1] = 6, 4
        self.assertFalse(duration.is_over())
        duration.soonest -= 1000
        self.assertTrue(duration.is_over())
        duration.succeeded[0] = 5
        self.assertFalse(duration.is_over())
        duration.latest -= 3000
        self.assertTrue(duration.is_over())


class HarnessTest(unittest.TestCase):
    def test_lost_writes_are_found(self):
        """Power cuts, and a server that was told not to sync."""
        command = [str(HERE / "run"), "--binary", BINARY, "--nodes", "1", "--rounds", "1", "--seconds", "8"]
        command += ["--nemesis", "lose", "--minimum", "1", "--", "--durability", "os"]
        with tempfile.TemporaryDirectory() as directory:
            result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": directory})
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("NOT LINEARIZABLE", result.stdout)
        self.assertTrue(result.stdout.endswith("0 passed, 1 failed\n"), result.stdout[-300:])

    def test_too_little_load_is_void(self):
        command = [str(HERE / "run"), "--binary", BINARY, "--nodes", "1", "--rounds", "1", "--seconds", "2"]
        with tempfile.TemporaryDirectory() as directory:
            environment = {**os.environ, "TMPDIR": directory}
            result = subprocess.run([*command, "--minimum", "1000000"], capture_output=True, text=True, env=environment)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("void: only", result.stdout)


class ClusterTest(unittest.TestCase):
    """utils/cluster, with one node."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.port = str(run.Ports().take())
        self.addCleanup(self.cluster, "stop")

    def cluster(self, *words: str) -> subprocess.CompletedProcess:
        name, *others = words
        command = [str(ROOT / "utils/cluster"), name, "--dir", self.directory.name, *others]
        return subprocess.run(command, capture_output=True, text=True)

    def start(self, *words: str) -> subprocess.CompletedProcess:
        return self.cluster("start", "--nodes", "1", "--port", self.port, "--binary", BINARY, *words)

    def test_start_kill_restart_stop(self):
        self.assertEqual(self.start().returncode, 0)
        self.assertIn("takes writes", self.cluster("status").stdout)
        self.assertEqual(self.start().returncode, 0, "what runs goes on")
        self.assertEqual(self.cluster("kill", "1").returncode, 0)
        self.assertNotEqual(self.cluster("status").returncode, 0)
        self.assertNotEqual(self.cluster("kill", "1").returncode, 0)
        for _ in range(2):
            self.assertEqual(self.cluster("restart", "1").returncode, 0)
        self.assertNotEqual(self.cluster("kill", "2").returncode, 0)
        self.assertEqual(self.cluster("stop").returncode, 0)
        self.assertIn("stopped", self.cluster("status").stdout)

    def test_a_node_that_cannot_start_is_shown(self):
        result = self.start("--", "--no-such-option", "1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("--no-such-option", result.stderr)

    def test_another_process_with_a_recorded_pid_is_left_alone(self):
        self.assertEqual(self.start().returncode, 0)
        self.assertEqual(self.cluster("stop").returncode, 0)
        other = subprocess.Popen(["sleep", "60"])
        record = Path(self.directory.name) / "node1.pid"
        record.write_text(record.read_text().replace(record.read_text().split(",")[0].split()[1], str(other.pid)))
        self.assertNotEqual(self.cluster("kill", "1").returncode, 0)
        self.assertEqual(self.cluster("stop").returncode, 0)
        self.assertIsNone(other.poll())
        other.kill()
        other.wait()

    def test_a_process_runs_as_long_as_one_of_its_threads(self):
        # Its first thread ends, as that of a node may while its log still waits for the disk.
        script = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
        process = subprocess.Popen([sys.executable, "-c", script + "ctypes.CDLL(None).syscall(60, 0)"])
        try:
            stat = Path(f"/proc/{process.pid}/stat")
            deadline = time.monotonic() + 20
            while ") Z " not in stat.read_text() and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertIn(") Z ", stat.read_text())
            self.assertIsNotNone(run.cluster_module.started_at(process.pid))
        finally:
            process.kill()
        process.wait()
        self.assertIsNone(run.cluster_module.started_at(process.pid))


def main() -> int:
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
