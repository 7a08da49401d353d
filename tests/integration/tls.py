#!/usr/bin/env python3
"""Encryption: the tls-port, certificates and their renewal, hostile input, links between nodes."""

# also under: asan tsan

import hashlib
import hmac
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path

from encrypted import TlsServer, certificates, client_hello, context, flags
from harness import (
    SLOWNESS, Client, Closed, ReplyError, Server, equal, main, ports, refused_start, scaled, temp_dir, test, wait_for,
)  # fmt: skip
from nodes import cluster, leader_of, members, node, others, voters

HANDSHAKE_DEADLINE_S = 10  # net::Connection::kHandshakeDeadlineMs


# --- clients ------------------------------------------------------------------------------------


@test
def plain_and_encrypted_clients_beside_each_other():
    server = TlsServer(certificates())
    with server.client() as plain, server.tls() as tls:
        equal(tls("SET", "k", "v"), "OK")
        equal(plain("GET", "k"), b"v")
        big = random.randbytes(scaled(20_000_000))
        equal(tls("SET", "big", big), "OK")
        equal(tls("GET", "big") == big, True)
        equal(tls.pipeline([("INCR", "n")] * 2000), list(range(1, 2001)))
        # A transaction, a blocked client and messages, across the two.
        tls("SUBSCRIBE", "c")
        equal(plain("PUBLISH", "c", "m"), 1)
        equal(tls.read(), [b"message", b"c", b"m"])
    equal(int(server.stats()["tls_connections"]), 1)


@test
def redis_cli_and_without_a_plain_port():
    folder = certificates("--rsa")
    server = TlsServer(folder, start=False, port=0)
    server.launch()
    wait_for("it answers", lambda: server.takes("client"))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0, "somebody listens on the plain port"
    files = ["--cacert", folder / "ca.crt", "--cert", folder / "client.crt", "--key", folder / "client.key"]
    command = ["redis-cli", "--tls", "-p", str(server.tls_port), *files, "ECHO", "hello"]
    equal(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout, b"hello\n")
    with server.tls() as c:
        equal(c.info("server")["tcp_port"], str(server.tls_port))
        # Nobody else can connect, until it is another door's turn.
        equal(c("CONFIG", "SET", "tls-port", "0"), "OK")
        assert not server.takes("client")
        equal(c("CONFIG", "SET", "port", server.tls_port), "OK")
        with Client(server.tls_port) as plain:
            equal(plain("CONFIG", "SET", "port", 0), "OK")
            equal(plain("CONFIG", "SET", "tls-port", server.tls_port), "OK")
        assert server.takes("client")
        equal(c("PING"), "PONG")
    line = refused_start(["--port", "0", "--dir", str(temp_dir())])
    assert "port and tls-port are both 0" in line, line


@test
def who_has_to_show_a_certificate():
    folder = certificates()
    # Of each of yes, no, optional.
    wanted = {
        "client": (True, True, True), None: (False, True, True), "other": (False, True, False),
        "expired": (False, True, False), "node": (True, True, True),
    }  # fmt: skip
    server = TlsServer(folder)
    for i, value in enumerate(("yes", "no", "optional")):
        with server.client() as c:
            equal(c("CONFIG", "SET", "tls-auth-clients", value), "OK")
        for name, taken in wanted.items():
            equal(server.takes(name), taken[i], f"tls-auth-clients {value}, certificate {name}")
    assert "certificate verify failed (certificate has expired)" in server.log_text() or (
        "peer did not return a certificate" in server.log_text()
    ), server.log_text()
    # And the client finds out about a server of another CA.
    try:
        Client(server.tls_port, tls=context(folder, ca="other-ca"))
        raise AssertionError("the server's certificate was not verified")
    except ssl.SSLCertVerificationError:
        pass


@test
def protocols_and_ciphers_are_the_options():
    server = TlsServer(certificates(), tls_protocols="TLSv1.2", tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")
    with server.tls() as c:
        equal(c.socket.cipher()[:2], ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2"))
    suite = "TLS_CHACHA20_POLY1305_SHA256"
    with server.client() as c:
        equal(c("CONFIG", "SET", "tls-protocols", "TLSv1.3", "tls-ciphersuites", suite), "OK")
    with server.tls() as c:
        equal(c.socket.cipher()[:2], (suite, "TLSv1.3"))
    old = context(server.folder)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        Client(server.tls_port, tls=old)
        raise AssertionError("TLS 1.2 was spoken")
    except (ssl.SSLError, OSError):
        pass


@test
def commands_of_nodes_are_not_for_clients():
    server = TlsServer(certificates())
    with server.client() as plain, server.tls() as tls:
        for c in (plain, tls):
            for name in ("RAFT.HELLO", "RAFT.AUTH", "RAFT.FRAME", "raft.frame"):
                equal(c.error(name, "x"), f"ERR unknown command '{name}', with args beginning with: 'x' ")


# --- options ------------------------------------------------------------------------------------


@test
def a_wrong_file_refuses_the_start():
    folder = certificates()
    common = ["--port", str(ports.take()), "--dir", str(temp_dir()), "--tls-port", str(ports.take())]
    good = {"cert-file": "server.crt", "key-file": "server.key", "ca-cert-file": "ca.crt"}

    def refusal(**changes) -> str:
        options = good | {name.replace("_", "-"): value for name, value in changes.items()}
        words = [w for name, value in options.items() if value for w in (f"--tls-{name}", str(folder / value))]
        return refused_start([*common, *words])

    for line, parts in (
        (refusal(cert_file=None), ["tls-cert-file is needed"]),
        (refusal(key_file=None), ["tls-key-file is needed"]),
        (refusal(ca_cert_file=None), ["tls-ca-cert-file"]),
        (refusal(cert_file="none.crt"), ["tls-cert-file", f"{folder}/none.crt", "No such file"]),
        (refusal(cert_file="server.key"), ["tls-cert-file", f"{folder}/server.key"]),
        (refusal(key_file="client.key"), ["tls-key-file", f"{folder}/client.key", "mismatch"]),
        (refusal(key_file="encrypted.key"), ["tls-key-file", f"{folder}/encrypted.key"]),
        (refusal(ca_cert_file="dh.pem"), ["tls-ca-cert-file", f"{folder}/dh.pem"]),
        (refusal(ca_cert_dir="none"), ["tls-ca-cert-dir", f"{folder}/none"]),
        (refusal(dh_params_file="ca.crt"), ["tls-dh-params-file", f"{folder}/ca.crt"]),
    ):
        assert all(part in line for part in parts), (line, parts)
    server = TlsServer(
        folder, tls_key_file=folder / "encrypted.key", tls_key_file_pass="secret", tls_dh_params_file=folder / "dh.pem"
    )
    assert server.takes("client")


@test
def a_wrong_change_changes_nothing():
    folder = certificates()
    server = TlsServer(folder)
    with server.client() as c:
        for pairs in (
            ("tls-cert-file", folder / "none.crt"),
            ("tls-key-file", folder / "client.key"),
            ("tls-ca-cert-file", ""),
            ("tls-ciphers", "no-such"),
            ("tls-protocols", "SSLv3"),
            ("maxclients", "77", "tls-cert-file", folder / "other.crt"),
        ):
            option = next(p for p in pairs if str(p).startswith("tls-"))
            text = "Unable to update TLS configuration. Check server logs."
            before = c("CONFIG", "GET", "*")
            equal(
                c.error("CONFIG", "SET", *map(str, pairs)),
                f"ERR CONFIG SET failed (possibly related to argument '{option}') - {text}",
            )
            equal(c("CONFIG", "GET", "*"), before)
        taken = ports.take()
        with socket.socket() as other:
            other.bind(("127.0.0.1", taken))
            other.listen()
            error = c.error("CONFIG", "SET", "tls-port", str(taken))
            assert error.endswith("Unable to listen on this port. Check server logs."), error
        assert str(folder / "none.crt") in server.log_text()
    assert server.takes("client")
    assert not server.takes(None)


@test
def the_port_comes_goes_and_moves():
    folder = certificates()
    server = Server()
    with server.client() as c:
        port, second = ports.take(), ports.take()
        error = c.error("CONFIG", "SET", "tls-port", str(port))
        assert error.endswith("Unable to update TLS configuration. Check server logs."), error
        pairs = [word for name, value in flags(folder).items() for word in (name.replace("_", "-"), str(value))]
        equal(c("CONFIG", "SET", *pairs, "tls-port", str(port)), "OK")
        connected = Client(port, tls=context(folder))
        equal(c("CONFIG", "SET", "tls-port", str(second)), "OK")
        with Client(second, tls=context(folder)) as moved:
            equal(moved("PING"), "PONG")
        equal(connected("PING"), "PONG")
        equal(c("CONFIG", "SET", "tls-port", "0"), "OK")
        for gone in (port, second):
            wait_for("nobody listens", lambda gone=gone: socket.socket().connect_ex(("127.0.0.1", gone)) != 0)
        equal(connected("PING"), "PONG")
        connected.close()


def shown(server: TlsServer) -> int:
    """The serial number of the certificate that new clients get to see."""
    with server.tls() as c:
        return int(c.socket.getpeercert()["serialNumber"], 16)


@test
def certificates_are_renewed_while_clients_stay():
    folder = certificates()
    server = TlsServer(folder)
    first = shown(server)
    clients = [server.tls() for _ in range(20)]

    def replace(source: str) -> None:
        # Both at once, as far as the server can see: it reads only when it is told to.
        for suffix in (".crt", ".key"):
            shutil.copy(folder / (source + suffix), folder / ("server" + suffix))

    with server.client() as c:
        # The same name again; nothing happens before.
        shutil.copy(folder / "server.crt", folder / "old.crt")
        shutil.copy(folder / "server.key", folder / "old.key")
        replace("node")
        equal(shown(server), first)
        equal(c("CONFIG", "SET", "tls-cert-file", str(folder / "server.crt")), "OK")
        second = shown(server)
        assert second != first
        # Two names in one change: neither fits the other's old one.
        pairs = ["tls-cert-file", str(folder / "old.crt"), "tls-key-file", str(folder / "old.key")]
        equal(c("CONFIG", "SET", *pairs), "OK")
        equal(shown(server), first)
        # By the signal.
        for suffix in (".crt", ".key"):
            shutil.copy(folder / ("node" + suffix), folder / ("old" + suffix))
        os.kill(server.pid, signal.SIGHUP)
        wait_for("the new one", lambda: shown(server) == second)
        # And a broken one isn't taken.
        (folder / "old.crt").write_text("nonsense")
        os.kill(server.pid, signal.SIGHUP)
        wait_for("a complaint", lambda: "certificates stay as they were" in server.log_text())
        equal(shown(server), second)
        equal(c("PING"), "PONG")
    for each in clients:
        equal(each("PING"), "PONG")
        each.close()
    # Without TLS the signal is nothing.
    plain = Server()
    os.kill(plain.pid, signal.SIGHUP)
    with plain.client() as c:
        equal(c("PING"), "PONG")


@test
def many_renewals_at_once_while_clients_come_and_go():
    folder = certificates()
    server = TlsServer(folder)
    stop = threading.Event()
    faults = []

    def come_and_go() -> None:
        while not stop.is_set():
            if not server.takes("client"):
                faults.append("a client was not let in")

    def renew(name: str) -> None:
        pairs = ["tls-cert-file", str(folder / f"{name}.crt"), "tls-key-file", str(folder / f"{name}.key")]
        with server.client() as c:
            for _ in range(scaled(60)):
                if c.ask("CONFIG", "SET", *pairs) != "OK":
                    faults.append("a change was refused")
                os.kill(server.pid, signal.SIGHUP)

    comers = [threading.Thread(target=come_and_go) for _ in range(2)]
    renewers = [threading.Thread(target=renew, args=(name,)) for name in ("server", "node", "server")]
    for thread in comers + renewers:
        thread.start()
    for thread in renewers:
        thread.join()
    stop.set()
    for thread in comers:
        thread.join()
    equal(faults, [])


# --- hostile input ------------------------------------------------------------------------------


def ended(connection: socket.socket) -> bool:
    """Reads until the server closes."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


@test
def random_and_cut_handshakes():
    server = TlsServer(certificates())
    hello = client_hello(server.folder)
    good = server.tls()
    texts = [b"PING\r\n", b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\x80\x2e\x01\x00\x02", b"\0" * 50]
    count = scaled(400)
    for i in range(count):
        if i < len(texts):
            data = texts[i]
        elif i % 3 == 0:
            data = random.randbytes(random.randrange(1, 3000))
        else:
            data = bytearray(hello[: random.randrange(1, len(hello))] if i % 3 == 1 else hello)
            for _ in range(random.randrange(4)):
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        with server.raw() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            assert ended(connection)
    equal(good("PING"), "PONG")
    assert server.takes("client")
    stats = server.stats()
    equal(int(stats["tls_handshake_failures"]), count)
    # One line a second at most.
    lines = server.log_text().count("tls-port: ")
    assert 1 <= lines <= 60, lines
    equal(int(stats["tls_connections"]), 2)


@test
def a_client_that_sends_all_before_it_reads():
    """What nobody has read yet doesn't keep the server from reading, and all of it comes in order."""
    server = TlsServer(certificates())
    with server.tls() as c:
        values = [random.randbytes(1_000_000 + i) for i in range(scaled(30))]
        requests = [request for value in values for request in (("SET", "k", value), ("GET", "k"), ("STRLEN", "k"))]
        expected = [reply for value in values for reply in ("OK", value, len(value))]
        assert c.pipeline(requests) == expected


@test
def damaged_records_of_clients_that_were_let_in():
    server = TlsServer(certificates())
    for _ in range(scaled(60)):
        c = server.tls()
        c("PING")
        beneath = socket.socket(fileno=os.dup(c.socket.fileno()))
        beneath.settimeout(30 * SLOWNESS)
        beneath.sendall(random.choice([random.randbytes(100), b"\x17\x03\x03\0\x20" + random.randbytes(32)]))
        beneath.shutdown(socket.SHUT_WR)
        assert ended(beneath)
        beneath.close()
        c.close()
    assert server.takes("client")


@test
def slow_loris():
    server = TlsServer(certificates())
    hello = client_hello(server.folder)
    began = time.monotonic()
    silent = [server.raw() for _ in range(150)]
    dripping = [server.raw() for _ in range(20)]
    sent, open_ones = 0, list(dripping)
    worst = 0.0
    with server.client() as plain:
        while open_ones and time.monotonic() - began < (HANDSHAKE_DEADLINE_S + 20) * SLOWNESS:
            for connection in list(open_ones):
                try:
                    connection.sendall(hello[sent : sent + 1])
                except OSError:
                    open_ones.remove(connection)
            sent += 1
            for _ in range(5):
                asked = time.monotonic()
                equal(plain("PING"), "PONG")
                worst = max(worst, time.monotonic() - asked)
            assert server.takes("client")
            time.sleep(0.1)
        equal(open_ones, [])
        assert time.monotonic() - began >= HANDSHAKE_DEADLINE_S - 1
        for connection in silent + dripping:
            assert ended(connection)
            connection.close()
        wait_for("they are gone", lambda: int(plain.info("clients")["connected_clients"]) == 1)
    assert "took longer than" in server.log_text()
    assert worst < 0.5 * SLOWNESS, f"a PING took {worst:.3f} s"


@test
def a_storm_of_connections():
    # RSA: the server's part of a handshake takes about a millisecond.
    server = TlsServer(certificates("--rsa"), tls_auth_clients="no", tls_session_caching="no")
    plain_context = context(server.folder, None)
    faults = []
    count = scaled(150)

    def storm() -> None:
        waiting = []
        for _ in range(count):
            waiting.append(server.raw())
        for connection in waiting:
            try:
                with plain_context.wrap_socket(connection, server_hostname="localhost") as tls:
                    tls.sendall(b"PING\r\n")
                    if tls.recv(100) != b"+PONG\r\n":
                        faults.append("no answer")
            except OSError as error:
                faults.append(str(error))

    threads = [threading.Thread(target=storm) for _ in range(4)]
    worst, pings = 0.0, 0
    with server.client() as plain:
        plain("CONFIG", "RESETSTAT")
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            asked = time.monotonic()
            equal(plain("PING"), "PONG")
            worst = max(worst, time.monotonic() - asked)
            pings += 1
        turns = [line for name, line in plain.info("holdfast").items() if name.startswith("core")]
        equal(int(plain.info("stats")["tls_connections"]), 4 * count)
    equal(faults, [])
    print(f"        {4 * count} handshakes: the longest of {pings} PINGs took {worst * 1000:.1f} ms; {turns}")
    assert pings > 100 / SLOWNESS
    assert worst < 0.3 * SLOWNESS, f"a PING took {worst:.3f} s"


@test
def more_clients_than_maxclients():
    server = TlsServer(certificates(), maxclients=20)
    with server.client() as plain:
        idle = [server.raw() for _ in range(60)]
        wait_for("refused", lambda: int(plain.info("stats")["rejected_connections"]) > 0)
        equal(plain("PING"), "PONG")
        for connection in idle:
            connection.close()
        wait_for("there is room", lambda: server.takes("client"))


@test
def idle_clients_are_small():
    server = TlsServer(certificates())
    with server.client() as plain:

        def allocated() -> int:
            return int(plain.info("memory")["allocator_allocated"])

        before = allocated()
        clients = [server.tls() for _ in range(300)]
        for c in clients:
            c("ECHO", random.randbytes(40_000))
        each = (allocated() - before) / len(clients)
        print(f"        {each:.0f} bytes a client")
        assert SLOWNESS > 1 or each < 32_000, f"{each} bytes a client"
        for c in clients:
            c.close()


# --- nodes --------------------------------------------------------------------------------------


def tls_node(folder: Path, name="node", ca="ca") -> dict:
    return flags(folder, name, tls_ca_cert_file=folder / f"{ca}.crt") | {"tls_cluster": "yes"}


def joins_in_vain(first: Server, reason: str, **options) -> None:
    """A node that is not let in, and is told why."""
    defaults = {"cluster_secret": "secret", "join": f"127.0.0.1:{first.options['cluster_port']}"}
    stranger = Server(start=False, cluster_port=ports.take(), **{**defaults, **options})
    stranger.launch()
    wait_for("it is told why", lambda: "failed: " in stranger.log_text())
    assert reason in stranger.log_text(), stranger.log_text()
    assert "welcome" not in stranger.log_text()
    stranger.kill()
    assert members(first, len(first.cluster_nodes)), "somebody joined"


@test
def a_cluster_whose_links_are_encrypted():
    folder = certificates()
    nodes = cluster(3, **tls_node(folder))
    nodes[0].cluster_nodes = nodes
    with others(nodes, leader_of(nodes))[0].client() as c:
        equal(c("SET", "k", "v"), "OK")
        big = random.randbytes(scaled(5_000_000))
        equal(c("SET", "big", big), "OK")
        equal(c("GET", "big") == big, True)
        equal(c.pipeline([("INCR", "n")] * 1000), list(range(1, 1001)))
    # Who may not come in: without TLS, of another CA, with another secret.
    seed = nodes[0]
    joins_in_vain(seed, "the peer closed the connection")
    joins_in_vain(seed, "certificate verify failed", **tls_node(folder, "other", "other-ca"))
    joins_in_vain(seed, "alert unknown ca", **tls_node(folder, "other"))
    joins_in_vain(seed, "secrets are not the same", **(tls_node(folder) | {"cluster_secret": "wrong"}))
    # A client's certificate is one of the CA, but no secret.
    joins_in_vain(seed, "a cluster secret is set here, and none on the peer", **(tls_node(folder) | {"cluster_secret": ""}))
    log = seed.log_text()
    assert "is not let in: TLS: " in log, log
    # A leader that goes, and comes again.
    leader = leader_of(nodes)
    leader.kill()
    with others(nodes, leader)[0].client() as c:
        wait_for("somebody else leads", lambda: not isinstance(c.ask("SET", "k", "w"), ReplyError))
        leader.start()
        wait_for("it is back", lambda: voters(leader, 3))
        with leader.client() as back:
            equal(back("GET", "k"), b"w")


@test
def nodes_renew_their_certificates_one_by_one():
    folder = certificates()
    nodes = cluster(3, **tls_node(folder))
    # A second CA that everybody trusts, then certificates of it, then only that one.
    both = (folder / "ca.crt").read_text() + (folder / "other-ca.crt").read_text()
    (folder / "both.crt").write_text(both)
    for step in (
        ("tls-ca-cert-file", "both.crt"),
        ("tls-cert-file", "other.crt", "tls-key-file", "other.key"),
        ("tls-ca-cert-file", "other-ca.crt"),
    ):
        pairs = [word if word.startswith("tls-") else str(folder / word) for word in step]
        for each in nodes:
            with each.client() as c:
                equal(c("CONFIG", "SET", *pairs), "OK")
    # Links that are up stayed; new ones use the new certificates.
    new = tls_node(folder, "other", "other-ca")
    nodes[2].options.update(new)
    nodes[2].restart()
    wait_for("it is back", lambda: voters(nodes[2], 3))
    fourth = node(nodes[0], **new)
    wait_for("four nodes", lambda: members(fourth, 4))
    with nodes[2].client() as c:
        wait_for("it takes writes", lambda: c.ask("SET", "k", "v") == "OK")


class Stranger:
    """Speaks as a node on the cluster port: replica/hello.h."""

    def __init__(self, server: Server, tls: ssl.SSLContext | None, secret: bytes, cluster_id: int, node_id: int):
        self.c = Client(int(server.options["cluster_port"]), tls=tls, timeout=30 * SLOWNESS)
        self.secret = secret
        address = b"\x0b127.0.0.1:1"
        self.hello = struct.pack("<4sHHIBQQQIII", b"HFHL", 1, 3, 1, 1, cluster_id, node_id, 0, 0, 1, 1)
        self.hello += address + address + random.randbytes(32)

    def enter(self):
        """The answer to the handshake's last word."""
        answer = self.c.ask("RAFT.HELLO", self.hello)
        if isinstance(answer, ReplyError):
            return answer
        self.answer = answer[:-32]
        # The mac is over role, length and bytes of the two; lengths are varints.
        return self.c.ask("RAFT.AUTH", self._mac(b"D"))

    def _mac(self, role: bytes) -> bytes:
        text = role
        for part in (self.hello, self.answer):
            length = len(part)
            while length >= 0x80:
                text += bytes([length & 0x7F | 0x80])
                length >>= 7
            text += bytes([length]) + part
        return hmac.new(self.secret, text, hashlib.sha256).digest()


@test
def P14_neither_joins_nor_reads():
    folder = certificates()
    first = node(**tls_node(folder))
    with first.client() as c:
        c("SET", "k", "topsecret")
    good = context(folder, "node")
    good.check_hostname = False

    def speaks(tls, secret: bytes, cluster_id: int):
        stranger = Stranger(first, tls, secret, cluster_id, node_id=random.getrandbits(60) + 1)
        answer = stranger.enter()
        return stranger, answer

    # So that the refusals below prove something: one that may come in.
    stranger, answer = speaks(good, b"secret", 0)
    equal(answer, "OK")
    stranger.c.close()
    # Another secret; another cluster's id.
    _, answer = speaks(good, b"wrong", 0)
    assert isinstance(answer, ReplyError) and "secrets are not the same" in str(answer), answer
    stranger, answer = speaks(good, b"secret", 12345)
    assert isinstance(answer, ReplyError) and "cluster" in str(answer), answer
    try:
        stranger.c.send("RAFT.FRAME", b"x")
        equal(stranger.c.wait_closed(), [])
    except Closed:
        pass
    # No frame and no command before the handshake is over.
    for words in (("RAFT.FRAME", b"x" * 50), ("RAFT.AUTH", b"x" * 32), ("GET", "k"), ("PING",)):
        c = Client(int(first.options["cluster_port"]), tls=good, timeout=30 * SLOWNESS)
        reply = c.ask(*words)
        assert isinstance(reply, ReplyError) and "topsecret" not in str(reply), reply
        equal(c.wait_closed(), [])
    # No certificate, one of another CA, no TLS.
    bare = context(folder, None)
    bare.check_hostname = False
    other = context(folder, "other")
    for tls in (bare, other, None):
        try:
            _, answer = speaks(tls, b"secret", 0)
            raise AssertionError(f"it was answered {answer}")
        except (Closed, OSError):
            pass
    with first.client() as c:
        equal(c("GET", "k"), b"topsecret")
    wait_for("it is alone", lambda: members(first, 1))


main()
