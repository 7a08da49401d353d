#!/usr/bin/env python3
"""Hostile clients: storms of connections, more of them than there is room for, credentials of
megabytes, patterns made to be slow. Others are served meanwhile, and nothing stays behind."""

# also under: asan tsan

import os
import random
import resource
import socket
import ssl
import struct
import threading

from encrypted import TlsServer, certificates, client_hello, context
from harness import (
    IS_REDIS, SANITIZER, SLOWNESS, Client, Closed, ReplyError, Server, equal, main, scaled, test, wait_for,
)  # fmt: skip
from resp import encode

MIB = 1 << 20
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
AT_ONCE = 100  # connections of one of a storm's threads
THREADS = 4
SERVED_OFTEN = 20


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def memory_slack_kb() -> int:
    """What may stay of memory: an allocator keeps some; a sanitizer holds back what was freed."""
    return 200 * 1024 if SANITIZER else 16 * 1024


# --- Storms -------------------------------------------------------------------------------------

# What a connection has said when it ends, by its number.
HALVES = [
    b"",
    b"*2\r\n$3\r\nGE",
    b"*3\r\n$3\r\nSET\r\n$5\r\nstorm\r\n$100000\r\n" + b"x" * 40_000,
    encode("MULTI") + encode("SET", "storm", "never") + encode("GET", "storm"),
    encode("BLPOP", "storm:list", "0"),
    encode("SUBSCRIBE", "storm") + encode("PSUBSCRIBE", "storm*"),
    encode("GET", "storm:big") * 200,
    encode("INCR", "storm:count") * 50,
    encode("HELLO", "3") + encode("CLIENT", "TRACKING", "ON") + encode("GET", "storm:big"),
    encode("WATCH", "storm") + b"*1\r\n$4\r\nMUL",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(256)),
    b"PING\r\nSET storm:inline ",
]


def end(connection: socket.socket, number: int) -> None:
    """By a reset, a goodbye of one side, or a close."""
    try:
        if number % 3 == 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif number % 3 == 1:
            connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server was first
    connection.close()


def say(connection: socket.socket, data: bytes, wait_for_answer=False) -> None:
    """Errors are the server's right: it may have closed."""
    try:
        connection.sendall(data)
        if wait_for_answer:
            connection.recv(1 << 16)
    except OSError:
        pass


def storm(steady: Client, name: str, attack, times: int) -> None:
    """`attack(thread, number)` in several threads, so many times in each, and until a normal client
    has been served often meanwhile. All its answers have to be right."""
    served_often = threading.Event()
    faults = []

    def attack_often(thread: int) -> None:
        number = 0
        try:
            while number < times or not served_often.is_set():
                attack(thread, number)
                number += 1
        except Exception as fault:  # told by the main thread
            faults.append(fault)

    threads = [threading.Thread(target=attack_often, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    count = 0
    try:
        while any(thread.is_alive() for thread in threads):
            count += 1
            value = random.randbytes(random.randrange(200))
            replies = steady.pipeline([("INCR", name), ("SET", f"{name}:value", value), ("GET", f"{name}:value")])
            equal(replies, [count, "OK", value])
            if count == SERVED_OFTEN:
                served_often.set()
    finally:
        served_often.set()
        for thread in threads:
            thread.join()
    equal(faults, [])


def weather(server: Server, steady: Client, attack, times: int) -> None:
    """Storms one after the other; each has to leave what the first one left."""
    wait_for("steady is alone", lambda: steady.info("clients")["connected_clients"] == "1")
    open_before = descriptors(server)
    memory_kb = []
    for i in range(3):
        storm(steady, f"steady:{i}", attack, times)
        wait_for("they are gone", lambda: steady.info("clients")["connected_clients"] == "1")
        clients = steady.info("clients")
        equal(clients["blocked_clients"], "0")
        equal(steady("PUBSUB", "NUMPAT"), 0)
        # Log and store may have opened a file or two meanwhile.
        wait_for("descriptors are back", lambda: descriptors(server) <= open_before + 8)
        memory_kb.append(server.memory_kb())
    wait_for(
        f"memory is where the first storm left it: {memory_kb}",
        lambda: server.memory_kb() < memory_kb[0] + memory_slack_kb(),
    )


@test
def a_storm_of_plain_connections():
    server = Server()
    with server.client() as steady:
        steady("SET", "storm:big", b"x" * 20_000)

        def attack(thread: int, number: int) -> None:
            connections = []
            for _ in range(AT_ONCE):
                connections.append(socket.create_connection(("127.0.0.1", server.port), timeout=30 * SLOWNESS))
            for i, connection in enumerate(connections):
                say(connection, HALVES[(i + thread + number) % len(HALVES)])
            for i, connection in enumerate(connections):
                end(connection, i + number)

        weather(server, steady, attack, scaled(6))
        equal(steady("EXISTS", "storm:inline"), 0, "half a request was executed")
        assert steady("GET", "storm") is None, "a transaction without EXEC, or half a SET, was executed"
        assert steady("GET", "storm:count") is not None


@test
def a_storm_of_encrypted_connections():
    server = TlsServer(certificates())
    hello = client_hello(server.folder)
    good, stranger = context(server.folder), context(server.folder, "other")

    def shake_hands_in_vain(connection: socket.socket) -> socket.socket:
        # In TLS 1.3 a client hears of its refusal afterwards.
        try:
            return stranger.wrap_socket(connection, server_hostname="localhost")
        except OSError:
            return connection

    with server.client() as steady:
        steady("SET", "storm:big", b"x" * 20_000)

        def attack(thread: int, number: int) -> None:
            connections = [server.raw() for _ in range(AT_ONCE)]
            for i, connection in enumerate(connections):
                kind = (i + thread) % 6
                if kind == 0:
                    say(connection, hello[: random.randrange(len(hello))])
                elif kind == 1:
                    say(connection, hello, i % 2 == 0)  # leaves when it's its turn to speak
                elif kind == 2:
                    say(connection, HALVES[(i // 6) % len(HALVES)])  # isn't encrypted
                elif kind == 3:
                    connections[i] = shake_hands_in_vain(connection)
                elif kind == 4:
                    connections[i] = good.wrap_socket(connection, server_hostname="localhost")
                    say(connections[i], HALVES[(i // 6 + thread) % len(HALVES)])
                # And some say nothing.
            for i, connection in enumerate(connections):
                end(connection, i // 6 + number)

        weather(server, steady, attack, scaled(3))
        equal(steady("EXISTS", "storm:inline", "storm"), 0)
        if not IS_REDIS:
            stats = server.stats()
            assert int(stats["tls_handshake_failures"]) > 0 < int(stats["tls_connections"])
    assert server.takes("client")


# --- More clients than there is room for --------------------------------------------------------


@test
def maxclients_of_encrypted_clients():
    server = TlsServer(certificates(), maxclients=10)
    with server.client() as admin:
        wait_for("admin is alone", lambda: admin.info("clients")["connected_clients"] == "1")
        kept = [server.tls() for _ in range(7)]
        # Who hasn't shaken hands yet counts, too.
        silent = [server.raw() for _ in range(2)]
        for client in kept:
            equal(client("PING"), "PONG")
        wait_for("ten clients", lambda: admin.info("clients")["connected_clients"] == "10")
        refused = int(admin.info("stats")["rejected_connections"])
        for name in ("client", "other"):
            assert not server.takes(name)
        with server.client() as plain:
            equal([str(r) for r in plain.wait_closed()], ["ERR max number of clients reached"])
        equal(int(admin.info("stats")["rejected_connections"]), refused + 3)
        equal([client("INCR", "n") for client in kept], list(range(1, 8)))
        # Places are given again: of one that leaves, one that is reset, one that never spoke.
        for i, leaving in enumerate((kept.pop(), kept.pop(), silent.pop())):
            end(leaving if isinstance(leaving, socket.socket) else leaving.socket, i)
            wait_for("there is room", lambda: server.takes("client"))
        equal(admin("CONFIG", "SET", "maxclients", 200), "OK")
        more = [server.tls() for _ in range(60)]
        for client in kept + more:
            equal(client("PING"), "PONG")
        for client in kept + more + silent:
            client.close()
        wait_for("they are gone", lambda: admin.info("clients")["connected_clients"] == "1")


class LimitedServer(Server):
    """One that may open only so many files: as it is at the start, and at most."""

    def __init__(self, soft: int, hard: int, **options):
        self.limits = f"ulimit -Sn {soft} && ulimit -Hn {hard}"
        super().__init__(cores=2, **options)

    def command(self, **changes) -> list[str]:
        return ["sh", "-c", f'{self.limits} && exec "$@"', "sh", *super().command(**changes)]

    def open_files(self) -> tuple[int, int]:
        return resource.prlimit(self.pid, resource.RLIMIT_NOFILE)


@test
def clients_take_no_descriptors_from_log_and_store():
    server = LimitedServer(600, 600, wal_segment_bytes="1mb")
    with server.client() as c:
        most = int(c.config("maxclients"))
        assert 100 < most < 600, most
        assert "maxclients" in server.log_text(), server.log_text()
        reason = "The operating system is not able to handle the specified number of clients, try with "
        error = c.error("CONFIG", "SET", "maxclients", "10000")
        assert error.startswith(f"ERR CONFIG SET failed (possibly related to argument 'maxclients') - {reason}"), error
        equal(int(c.config("maxclients")), most)
        equal(c("CONFIG", "SET", "maxclients", error.split()[-1]), "OK")
        crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=30 * SLOWNESS) for _ in range(620)]
        wait_for("some are refused", lambda: int(c.info("stats")["rejected_connections"]) > 0)
        # Each of these needs a new file of the log, and SAVE new ones of the store.
        for i in range(10):
            equal(c("SET", f"k{i}", random.randbytes(MIB)), "OK")
        equal(c("SAVE"), "OK")
        for connection in crowd:
            connection.close()
        wait_for("they are gone", lambda: c.info("clients")["connected_clients"] == "1")
    equal(server.terminate(), 0)
    server.start()
    with server.client() as c:
        equal(c("DBSIZE"), 10)
    if not IS_REDIS:
        server.terminate()
        server.limits = "ulimit -n 100"
        server.launch()
        equal(server.wait_exit(), 1)
        assert "leaves no room for clients" in server.log_text(), server.log_text()


@test
def the_limit_of_open_files_is_raised_for_maxclients():
    server = LimitedServer(200, 3000, maxclients=1500)
    soft, hard = server.open_files()
    assert 1500 < soft <= hard, (soft, hard)
    if IS_REDIS:
        return  # it gives up what it doesn't need of the hard limit
    equal(hard, 3000)
    with server.client() as c:
        equal(c.config("maxclients"), "1500")
        equal(c("CONFIG", "SET", "maxclients", "1800"), "OK")
        raised, _ = server.open_files()
        assert soft < raised, (soft, raised)
        assert isinstance(c.ask("CONFIG", "SET", "maxclients", "3000"), ReplyError)
        crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=30 * SLOWNESS) for _ in range(400)]
        wait_for("all are in", lambda: int(c.info("clients")["connected_clients"]) == 401)
        for connection in crowd:
            connection.close()


# --- Credentials --------------------------------------------------------------------------------


def refused_before_login(server: Server, data: bytes, text: str) -> None:
    """The connection is closed with this protocol error."""
    with server.client() as c:
        c.send_raw(data)
        equal([str(r) for r in c.wait_closed()], [f"ERR Protocol error: {text}"], f"replies to {data[:60]!r}")


def closed_before_login(server: Server, data: bytes) -> None:
    """As above, though the error may be lost: bytes that nobody read make the kernel reset."""
    with server.client() as c:
        try:
            c.send_raw(data)
        except Closed:
            pass
        for reply in c.wait_closed():
            assert str(reply).startswith("ERR Protocol error: unauthenticated"), reply


LONGEST, MOST = 16384, 10  # of an argument, and of arguments, of somebody who hasn't logged in


def check_limits_before_login(server: Server) -> None:
    many, long = "unauthenticated multibulk length", "unauthenticated bulk length"
    for count in (MOST + 1, 100_000, MIB, 2**31 - 1):
        refused_before_login(server, b"*%d\r\n" % count, many)
    for name in ("AUTH", "GET"):
        begin = b"*2\r\n" + encode(name)[4:]
        for length in (LONGEST + 1, MIB, 512 * MIB):
            refused_before_login(server, begin + b"$%d\r\n" % length, long)
    refused_before_login(server, b"*5\r\n" + encode("HELLO", "3", "AUTH")[4:] + b"$16385\r\n", long)
    refused_before_login(server, b"*5\r\n" + encode("HELLO", "3", "AUTH", "default")[4:] + b"$16385\r\n", long)
    refused_before_login(server, b"AUTH " + b"x" * (80 * 1024), "too big inline request")
    # And with everything that they announce.
    huge = b"x" * (8 * MIB)
    closed_before_login(server, encode("AUTH", huge))
    closed_before_login(server, encode("AUTH", "default", huge))
    closed_before_login(server, encode("HELLO", "3", "AUTH", huge, "x"))
    closed_before_login(server, encode("HELLO", "3", "AUTH", "default", huge))
    closed_before_login(server, encode("AUTH", *["x"] * 100_000))
    # What is just allowed, several times on one connection.
    with server.client() as c:
        for _ in range(3):
            equal(c.error("AUTH", "x" * LONGEST), WRONGPASS)
            equal(c.error("AUTH", "u" * LONGEST, "x" * LONGEST), WRONGPASS)
            equal(c.error("HELLO", "3", "AUTH", "u" * LONGEST, "x" * LONGEST), WRONGPASS)
            equal(c.error("AUTH", *["x"] * (MOST - 1)), "ERR syntax error")
            equal(c.error(*["DEL"] * MOST), "NOAUTH Authentication required.")
        c.send_raw(b"AUTH " + b"x" * 60_000 + b"\r\n")
        equal(str(c.read()), WRONGPASS)
        # A wrong password doesn't lift the limits.
        c.send_raw(b"*11\r\n")
        equal([str(r) for r in c.wait_closed()], [f"ERR Protocol error: {many}"])


@test
def credentials_of_megabytes_before_login():
    server = Server(requirepass="secret")
    with server.client(password="secret") as c:
        check_limits_before_login(server)
        equal(c("PING"), "PONG")
        # Whoever has logged in has no such limits, until it is nobody again.
        equal(c("DEL", *[str(i) for i in range(100)]), 0)
        equal(c("ECHO", b"x" * MIB), b"x" * MIB)
        equal(c("RESET"), "RESET")
        c.send_raw(b"*11\r\n")
        equal([str(r) for r in c.wait_closed()], ["ERR Protocol error: unauthenticated multibulk length"])


@test
def the_limits_hold_when_the_default_user_is_off():
    server = Server()
    with server.client() as admin:
        equal(admin("ACL", "SETUSER", "boss", "on", ">secret", "+@all", "~*"), "OK")
        equal(admin("AUTH", "boss", "secret"), "OK")
        with server.client() as c:
            equal(c("DEL", *[str(i) for i in range(100)]), 0, "without a password there are no limits")
        # With a password besides, or AUTH with one argument has another error.
        equal(admin("ACL", "SETUSER", "default", "off", ">other"), "OK")
        check_limits_before_login(server)
        equal(admin("PING"), "PONG")


@test
def credentials_of_megabytes_after_login():
    server = Server(requirepass="secret")
    huge = b"x" * (8 * MIB)
    with server.client(password="secret") as c, server.client(password="secret") as other:
        before_kb = 0
        for i in range(scaled(12)):
            for request in (
                ("AUTH", huge), ("AUTH", "default", huge), ("AUTH", huge, "x"), ("AUTH", huge, huge),
                ("HELLO", "3", "AUTH", "default", huge), ("HELLO", "2", "AUTH", huge, "x"),
            ):  # fmt: skip
                equal(c.error(*request), WRONGPASS)
                equal(other("PING"), "PONG")
            if i == 0:
                before_kb = server.memory_kb()
        # It is still who it was, and nothing of all that is kept; Redis's ACL LOG keeps the names.
        equal(c("ACL", "WHOAMI"), b"default")
        if not IS_REDIS:
            wait_for("memory is back", lambda: server.memory_kb() < before_kb + 4 * memory_slack_kb())
            assert all(len(entry[9]) <= 1024 for entry in c("ACL", "LOG"))


# --- Patterns -----------------------------------------------------------------------------------

# Each of them fits only what ends in "b", and is tried with nothing but "a". A matcher that tries
# all ways of sharing the text out among the stars doesn't end before the universe does.
SLOW_PATTERNS = [
    "a*" * 64 + "b",
    "*a" * 64 + "*b",
    "*?" * 64 + "b",
    "?*" * 30 + "*" * 500 + "b",
    "[a-z]*" * 64 + "b",
    "*[^b]*" * 64 + "[b]",
    "\\a*" * 64 + "b",
    "*" + "a" * 500 + "b",
    "*" + "a" * 250 + "*" + "a" * 250 + "b",
    "*" + "[abcdefgh-z]" * 50 + "b",
]
SLOW_TEXT = "a" * scaled(100_000)


class Pinging:
    """A client that asks and is answered all the time while the body runs."""

    def __init__(self, server: Server):
        self.client = server.client()
        self.stop = threading.Event()
        self.fault = None
        self.answers = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            while not self.stop.is_set():
                equal(self.client("PING"), "PONG")
                self.answers += 1
        except Exception as error:  # told by the main thread
            self.fault = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join()
        self.client.close()
        assert self.fault is None, self.fault
        assert self.answers > 0


@test
def access_patterns_that_backtrack():
    server = Server()
    no_key = "NOPERM this user has no permissions to access one of the keys used as arguments"
    no_channel = "NOPERM this user has no permissions to access one of the channels used as arguments"
    with server.client() as admin, server.client() as alice, Pinging(server):
        admin("ACL", "SETUSER", "alice", "on", ">pw", "+@all")
        equal(alice("AUTH", "alice", "pw"), "OK")
        for pattern in SLOW_PATTERNS:
            admin("ACL", "SETUSER", "alice", "resetkeys", "resetchannels", f"~{pattern}", f"&{pattern}")
            equal(alice.error("GET", SLOW_TEXT), no_key)
            equal(alice.error("PUBLISH", SLOW_TEXT, "x"), no_channel)
            equal(alice("SET", SLOW_TEXT + "b", "v"), "OK")
            equal(alice("PUBLISH", SLOW_TEXT + "b", "x"), 0)
        # All at once, and in selectors, for requests with several keys.
        rules = [f"~{pattern}" for pattern in SLOW_PATTERNS]
        selector = "(+@all " + " ".join(rules) + ")"
        admin("ACL", "SETUSER", "alice", "resetkeys", *rules, selector, selector)
        equal(alice.error("MGET", *[SLOW_TEXT + "b"] * 5, SLOW_TEXT), no_key)
        equal(alice("MGET", *[SLOW_TEXT + "b"] * 5), [b"v"] * 5)


@test
def patterns_of_commands_that_backtrack():
    server = Server()
    with server.client() as c, server.client() as listener, Pinging(server):
        # Without one that fits, so that each has to be looked at to its end.
        c("MSET", *[word for i in range(5) for word in (SLOW_TEXT + str(i), "v")])
        c("SADD", "set", SLOW_TEXT, SLOW_TEXT + "1")
        for pattern in SLOW_PATTERNS:
            equal(c("KEYS", pattern), [])
            equal(c("SCAN", 0, "MATCH", pattern, "COUNT", 100), [b"0", []])
            equal(c("SSCAN", "set", 0, "MATCH", pattern, "COUNT", 100), [b"0", []])
            equal(c("CONFIG", "GET", pattern), [])
            listener("PSUBSCRIBE", pattern)
        equal(c("PUBLISH", SLOW_TEXT, "x"), 0)
        equal(c("PUBLISH", SLOW_TEXT + "b", "x"), len(SLOW_PATTERNS))
        for pattern in SLOW_PATTERNS:
            equal(listener.read()[0], b"pmessage")


main()
