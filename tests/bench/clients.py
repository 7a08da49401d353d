"""The parts of tests/bench/run that are about what clients cost: idle ones, and those that track."""
import os
import resource
import selectors
import socket
import ssl
import statistics
import threading

from servers import KEYS, Server, encode, load, median_ratio, settle, test_certificates

HIGHEST_RATIO_OF_IDLE = 1.2
# Descriptors that a server needs beside those of its clients, at most; this program needs fewer.
RESERVED_DESCRIPTORS = 500
CONNECTIONS_PER_ADDRESS = 20_000  # of the ports that the kernel gives away

TAKE_EVERY_S = 0.01
MODES = ("none", "each key", "prefix")


# --- Idle connections ---------------------------------------------------------------------------


def connections_that_fit(wanted):
    """Raises the limit of open files as far as it goes, also for the servers that are started later."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or wanted <= hard - RESERVED_DESCRIPTORS:
        return wanted
    fit = max(1, hard - RESERVED_DESCRIPTORS)
    print(f"{wanted} connections don't fit: the limit of open files is {hard}. {fit} are made")
    return fit


def connect(server, context, number):
    """A connection that was answered."""
    source = (f"127.0.0.{1 + number // CONNECTIONS_PER_ADDRESS}", 0) if number >= CONNECTIONS_PER_ADDRESS else None
    port = server.tls_port if context else server.port
    connection = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=source)
    if context:
        connection = context.wrap_socket(connection, server_hostname="localhost")
    connection.sendall(encode(b"PING"))
    answer = connection.recv(100)
    if answer != b"+PONG\r\n":
        raise SystemExit(f"{server.kind}: connection {number + 1} was answered {answer!r}")
    return connection


def memory_of_idle(kind, count, certificates, smoke):
    """Resident bytes per connection: when the last one has been answered, and when nothing moves any more."""
    server = Server(kind, ["--maxclients", str(count + 100)], certificates)
    context = None
    if certificates:
        context = ssl.create_default_context(cafile=f"{certificates}/ca.crt")
        context.load_cert_chain(f"{certificates}/client.crt", f"{certificates}/client.key")
    connections = []
    try:
        server.start()
        connect(server, context, 0).close()
        if not smoke:
            settle(server)
        empty = server.rss_bytes()
        for i in range(count):
            connections.append(connect(server, context, i))
        connected = (server.rss_bytes() - empty) / count
        if not smoke:
            settle(server)
        return connected, (server.rss_bytes() - empty) / count
    finally:
        for connection in connections:
            connection.close()
        server.close()


def idle(options):
    count = connections_that_fit(options.connections)
    print(f"{count} connections that have said PING: resident bytes of each when all are there, and when it is")
    print("settled (Redis takes seconds to make their buffers small); Holdfast, Redis, ratio")
    with test_certificates() as certificates:
        for label, folder in (("plain", None), ("TLS", certificates)):
            ours, theirs = (memory_of_idle(kind, count, folder, options.smoke) for kind in ("holdfast", "redis"))
            cells = "".join(f"{a:11.0f}{b:9.0f}{a / max(b, 1):7.2f}" for a, b in zip(ours, theirs))
            mark = f"   above {HIGHEST_RATIO_OF_IDLE}" if ours[1] > HIGHEST_RATIO_OF_IDLE * theirs[1] else ""
            print(f"{label:6}{cells}{mark}", flush=True)


# --- Clients that track -------------------------------------------------------------------------


class Trackers:
    """Clients that are told what changes, and a thread that takes it and counts the keys."""

    def __init__(self, server, mode, count, keys):
        self.keys_told = 0
        self._stop = threading.Event()
        self._selector = selectors.DefaultSelector()
        track = [b"CLIENT", b"TRACKING", b"ON"]
        if mode == "prefix":
            track += [b"BCAST", b"PREFIX", b"key:"]
        self._connections = []
        for _ in range(0 if mode == "none" else count):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            self._connections.append(connection)
            connection.sendall(encode(b"HELLO", b"3") + encode(*track))
            self._read_until(connection, b"+OK\r\n")
            if mode == "each key":
                self._read_all_keys(connection, keys)
            self._selector.register(connection, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    @staticmethod
    def _read_until(connection, end):
        got = b""
        while not got.endswith(end):
            data = connection.recv(1 << 20)
            if not data:
                raise SystemExit("a client that tracks was closed")
            got = got[-len(end):] + data

    def _read_all_keys(self, connection, keys):
        for begin in range(0, keys, 10_000):
            for i in range(begin, min(begin + 10_000, keys), 100):
                connection.sendall(encode(b"MGET", *(b"key:%012d" % k for k in range(i, min(i + 100, keys)))))
            connection.sendall(encode(b"PING"))
            self._read_until(connection, b"+PONG\r\n")

    def _take(self):
        rests = {}
        # At intervals: woken for every message, it would take the processor from the server.
        while not self._stop.wait(TAKE_EVERY_S):
            for key, _ in self._selector.select(0):
                data = rests.get(key.fd, b"") + key.fileobj.recv(1 << 20)
                self.keys_told += data.count(b"key:")
                rests[key.fd] = data[-3:]  # shorter than what is counted

    def close(self):
        self._stop.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()
        self._selector.close()


def measure_tracking(server, test, mode, keys, options):
    """(requests per second, CPU seconds per million, keys told per request and tracker)."""
    requests = options.requests * 2
    flags = ["-t", test, "-r", str(keys), "-d", "64"]
    if mode == "own":
        result = load(server, requests, 50, 16, *flags, "-3", "--enable-tracking")
        told = 0.0
    else:
        trackers = Trackers(server, mode, options.trackers, keys)
        try:
            result = load(server, requests, 50, 16, *flags)
        finally:
            trackers.close()
        told = trackers.keys_told / requests / options.trackers
    if mode in ("each key", "own"):
        server.fill(keys)  # nobody is remembered any longer
    tick = 1e6 / requests / os.sysconf("SC_CLK_TCK")  # less isn't measured
    return result[0], max(result[1], tick), told


def tracking(options):
    keys = 2000 if options.smoke else KEYS
    servers = [Server("holdfast"), Server("redis")]
    print(f"c=50, P=16, {keys} keys, {options.trackers} other clients that track: none of them; each has read every")
    print("key; all keys by their prefix (BCAST). own: those who GET track themselves.")
    print("told: keys per request and tracker. Beside the rates with/without, and Holdfast's over Redis's")
    print(f"{'test':5}{'tracked':10}{'holdfast/s':>12}{'w/o':>6}{'redis/s':>12}{'w/o':>6}{'ratio':>7}"
          f"{'cpu s/M':>9}{'w/o':>6}{'redis':>7}{'w/o':>6}{'told':>7}{'redis':>7}")
    try:
        for server in servers:
            server.start()
            server.fill(keys)
        for test, modes in (("set", MODES), ("get", (*MODES, "own"))):
            runs = {mode: ([], []) for mode in modes}
            for _ in range(options.repeat):
                for mode in modes:
                    for server, of_server in zip(servers, runs[mode]):
                        of_server.append(measure_tracking(server, test, mode, keys, options))
            for mode in modes:
                print_tracking(test, mode, runs[mode], runs["none"])
    finally:
        for server in servers:
            server.close()


def print_tracking(test, mode, runs, without):
    """A line of the table; `runs` and `without` are those of Holdfast and those of Redis."""

    def middle(server, column):
        return statistics.median(run[column] for run in runs[server])

    def kept(server, column):
        return median_ratio([run[column] for run in runs[server]], [run[column] for run in without[server]])

    speeds, cpus = [kept(s, 0) for s in (0, 1)], [kept(s, 1) for s in (0, 1)]
    print(f"{test:5}{mode:10}{middle(0, 0):12.0f}{speeds[0]:6.2f}{middle(1, 0):12.0f}{speeds[1]:6.2f}"
          f"{speeds[0] / speeds[1]:7.2f}{middle(0, 1):9.2f}{cpus[0]:6.2f}{middle(1, 1):7.2f}{cpus[1]:6.2f}"
          f"{middle(0, 2):7.2f}{middle(1, 2):7.2f}", flush=True)
