"""What the Python programs share; common.js says what a program is told and what it may ask for."""

import os
import signal
import sys
import time
from collections.abc import Callable
from urllib.parse import quote

port = int(sys.argv[1])
with_locks = "no-locks" not in sys.argv
other_port = next((int(word[8:]) for word in sys.argv if word.startswith("cluster=")), None)
DEADLINE_S = 30
certificates = os.environ.get("CLIENTS_TLS")
user, password = os.environ.get("CLIENTS_USER"), os.environ.get("CLIENTS_PASSWORD", "")
# redis-py's options for TLS, and what an URL has of them.
tls_options: dict = {}
if certificates:
    tls_options = {
        "ssl": True,
        "ssl_ca_certs": f"{certificates}/ca.crt",
        "ssl_certfile": f"{certificates}/client.crt",
        "ssl_keyfile": f"{certificates}/client.key",
    }
options = {**tls_options, **({"username": user, "password": password} if user else {})}
_checks = 0

# As by an exception: what was started is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def redis_url(database: str = "", verify: str = "") -> str:
    address = f"{user}:{quote(password, safe='')}@127.0.0.1:{port}{database}" if user else f"127.0.0.1:{port}{database}"
    if not certificates:
        return f"redis://{address}"
    files = "&".join(f"{name}={value}" for name, value in tls_options.items() if name != "ssl")
    return f"rediss://{address}?{files}{verify}"


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


def order(what: str) -> None:
    print(what, flush=True)
    sys.stdin.readline()


def flush_all() -> None:
    order("FLUSHALL")


def restart() -> None:
    order("RESTART")


def refusals() -> None:
    """By redis-py: what the user of --acl may not do, and what nobody and somebody else is told."""
    if not user:
        return
    import redis  # noqa: PLC0415

    r = redis.Redis(port=port, **options)
    fails(redis.exceptions.NoPermissionError, "one of the keys used as arguments", r.get, "!key")
    fails(redis.exceptions.NoPermissionError, "run the 'config|set' command", r.config_set, "timeout", 0)
    fails(redis.exceptions.AuthenticationError, "Authentication required", redis.Redis(port=port, **tls_options).get, "key")
    liar = redis.Redis(port=port, **{**options, "password": "wrong"})
    fails(redis.exceptions.RedisError, "WRONGPASS", liar.get, "key")


def finish() -> None:
    print(f"{_checks} checks")
