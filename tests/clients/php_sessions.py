"""PHP's sessions in phpredis: python3 php_sessions.py <port> [words]. A web server of PHP's own with
several workers, whose visitors ask for many things at once. See common.js for the agreement with
tests/clients/run."""

import concurrent.futures
import http.client
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import redis
from common import certificates, equal, finish, flush_all, holds, options, other_port, password, port, refusals, restart, user, wait_for

PAGES = Path(__file__).with_suffix(".php")
PREFIX = "PHPREDIS_SESSION:"
LIFETIME_S = 600
WORKERS, VISITORS, VISITS = 4, 3, 40


SAVE_PATH = f"tcp://127.0.0.1:{port}?timeout=30"
if certificates:
    SAVE_PATH = SAVE_PATH.replace("tcp", "tls")
if user:
    SAVE_PATH += f"&auth[]={quote(user, safe='')}&auth[]={quote(password, safe='')}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class WebServer:
    def __init__(self, save_path: str = SAVE_PATH, locking: int = 1):
        self.port = free_port()
        settings = {
            "session.save_handler": "redis",
            "session.save_path": save_path,
            # It has no way to be told a certificate of its own.
            "openssl.cafile": f"{certificates}/ca.crt" if certificates else "",
            "session.gc_maxlifetime": LIFETIME_S,
            "session.use_strict_mode": 1,
            "display_errors": 1,
            "redis.session.locking_enabled": locking,
            "redis.session.lock_expire": 60,
            "redis.session.lock_retries": -1,
            "redis.session.lock_wait_time": 2000,
        }
        flags = [word for name, value in settings.items() for word in ("-d", f'{name}="{value}"')]
        self.process = subprocess.Popen(
            ["php", *flags, "-S", f"127.0.0.1:{self.port}", str(PAGES)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PHP_CLI_SERVER_WORKERS": str(WORKERS)},
            start_new_session=True,
        )
        wait_for("PHP serves", self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, "php ended"
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self) -> None:
        """And its workers, which are a group of their own."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Visitor:
    def __init__(self, server: WebServer):
        self.server = server
        self.id = None

    def visit(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request("GET", path, headers={"Cookie": f"PHPSESSID={self.id}"} if self.id else {})
        response = connection.getresponse()
        text = response.read().decode()
        cookie = response.getheader("Set-Cookie")
        if cookie and "PHPSESSID=" in cookie:
            self.id = cookie.split("PHPSESSID=")[1].split(";")[0]
        connection.close()
        equal((response.status, text), (200, text))
        return text


def life_of_a_session(server: WebServer, r: redis.Redis) -> None:
    visitor, stranger = Visitor(server), Visitor(server)
    equal(visitor.visit(f"/set?text={quote('Zoë 🔑')}"), visitor.id)
    value = {"text": "Zoë 🔑", "numbers": [1, 2.5, None]}
    equal(json.loads(visitor.visit("/get")), value)
    equal(stranger.visit("/get"), "null")
    holds(stranger.id not in (None, visitor.id), "each has a session")
    holds(LIFETIME_S - 60 < r.ttl(PREFIX + visitor.id) <= LIFETIME_S, "it has a lifetime")
    equal(r.exists(PREFIX + visitor.id + "_LOCK"), 0)
    before = visitor.id
    equal(visitor.visit("/regenerate"), visitor.id)
    holds(visitor.id != before, "a new name")
    equal(r.exists(PREFIX + before), 0)
    equal(json.loads(visitor.visit("/get")), value)
    equal(visitor.visit("/destroy"), "bye")
    equal(r.exists(PREFIX + visitor.id), 0)
    equal(visitor.visit("/get"), "null")
    # A name that nobody was given is no session.
    stranger.id = "0123456789abcdefghijklmnop"
    equal(stranger.visit("/get"), "null")
    holds(stranger.id != "0123456789abcdefghijklmnop", "another name")


def refused_sessions() -> None:
    """Of other keys, and of nobody. Not with locks: those it would ask for again and again."""
    for save_path, error in ((f"{SAVE_PATH}&prefix=!other:", "NOPERM"), (SAVE_PATH.split("&auth")[0], "NOAUTH")):
        server = WebServer(save_path, locking=0)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("GET", "/count")
            text = connection.getresponse().read().decode()
            holds(error in text, text)
        finally:
            server.stop()


def many_at_once(server: WebServer, r: redis.Redis) -> list[Visitor]:
    """Each visitor's requests exclude each other."""
    visitors = [Visitor(server) for _ in range(VISITORS)]
    equal([visitor.visit("/count") for visitor in visitors], ["1"] * VISITORS)
    with concurrent.futures.ThreadPoolExecutor(2 * VISITORS) as pool:
        replies = list(pool.map(lambda i: (i, visitors[i].visit("/count")), list(range(VISITORS)) * VISITS))
    for i in range(VISITORS):
        equal(sorted(int(count) for whose, count in replies if whose == i), list(range(2, VISITS + 2)))
    equal(list(r.scan_iter(PREFIX + "*_LOCK")), [])
    return visitors


def main() -> None:
    flush_all()
    refusals()
    r = redis.Redis(port=port, retry_on_timeout=True, **options)
    if user:
        refused_sessions()
    server = WebServer()
    try:
        life_of_a_session(server, r)
        visitors = many_at_once(server, r)
        if other_port is None:
            restart()
            equal([visitor.visit("/count") for visitor in visitors], [str(VISITS + 2)] * VISITORS)
    finally:
        server.stop()
    finish()


main()
