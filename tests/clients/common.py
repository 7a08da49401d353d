"""What the Python programs share; common.js says what a program is told and what it may ask for."""

import os
import signal
import sys
import time
from collections.abc import Callable

port = int(sys.argv[1])
with_locks = "no-locks" not in sys.argv
other_port = next((int(word[8:]) for word in sys.argv if word.startswith("cluster=")), None)
DEADLINE_S = 30
# redis-py's options for TLS, and what an URL has of them.
certificates = os.environ.get("CLIENTS_TLS")
tls_options: dict = {}
if certificates:
    tls_options = {
        "ssl": True,
        "ssl_ca_certs": f"{certificates}/ca.crt",
        "ssl_certfile": f"{certificates}/client.crt",
        "ssl_keyfile": f"{certificates}/client.key",
    }
_checks = 0

# As by an exception: what was started is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def redis_url(database: str = "", verify: str = "") -> str:
    if not certificates:
        return f"redis://127.0.0.1:{port}{database}"
    files = "&".join(f"{name}={value}" for name, value in tls_options.items() if name != "ssl")
    return f"rediss://127.0.0.1:{port}{database}?{files}{verify}"


def equal(actual, expected) -> None:
    global _checks
    assert actual == expected, f"expected {expected!r}, got {actual!r}"
    _checks += 1


def holds(condition, what) -> None:
    equal(bool(condition) or what, True)


def fails(kind: type[BaseException], text: str, function: Callable, *args, **options) -> None:
    try:
        function(*args, **options)
    except kind as error:
        holds(text in str(error), f"{error} contains {text}")
        return
    raise AssertionError(f"{args} didn't fail")


def wait_for(what: str, condition: Callable, seconds: float = DEADLINE_S):
    """The condition's value, once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.005)
    return value


def restart() -> None:
    print("RESTART", flush=True)
    sys.stdin.readline()


def kill_leader() -> None:
    print("KILL LEADER", flush=True)
    sys.stdin.readline()


def finish() -> None:
    print(f"{_checks} checks")
