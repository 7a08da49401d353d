"""redis-py's Lock, wanted by several processes: python3 redis_py_lock.py <port> [words]. Whoever holds
it makes a file that must not exist yet, so that two holders are seen whatever the server says. See
common.js for the agreement with tests/clients/run."""

import multiprocessing
import os
import shutil
import tempfile
import threading
from pathlib import Path

import redis
from common import equal, fails, finish, flush_all, holds, options, other_port, port, refusals, restart, user, wait_for
from redis.exceptions import LockError, LockNotOwnedError, NoPermissionError

LEASE_S = 60  # longer than any pause of a slow machine
PROCESSES, ROUNDS = 5, 40


def single(r, other) -> None:
    lock = r.lock("one", timeout=LEASE_S)
    equal(lock.acquire(), True)
    equal((lock.owned(), lock.locked()), (True, True))
    theirs = other.lock("one", timeout=LEASE_S, blocking_timeout=0.05, sleep=0.01)
    equal(theirs.acquire(), False)
    fails(LockError, "unlocked", theirs.release)
    equal(lock.extend(100), True)
    holds(LEASE_S < r.ttl("one") <= LEASE_S + 100, "it is extended")
    equal(lock.extend(5, replace_ttl=True), True)
    holds(0 < r.ttl("one") <= 5, "it is shortened")
    equal(lock.reacquire(), True)
    holds(5 < r.ttl("one") <= LEASE_S, "it is as at first")
    lock.release()
    equal((lock.locked(), r.exists("one")), (False, 0))
    with other.lock("one", timeout=LEASE_S, blocking_timeout=30):
        equal(r.lock("one", blocking=False).acquire(), False)
    equal(r.exists("one"), 0)

    # What ends by itself belongs to somebody else then, and isn't given back by the first one.
    short = r.lock("short", timeout=0.05)
    equal(short.acquire(), True)
    after = other.lock("short", timeout=LEASE_S, sleep=0.01)
    equal(after.acquire(blocking_timeout=30), True)
    fails(LockNotOwnedError, "no longer owned", short.release)
    equal(after.owned(), True)
    after.release()

    # The scripts are forgotten.
    lock = r.lock("one", timeout=LEASE_S)
    equal(lock.acquire(), True)
    r.script_flush()
    lock.release()
    equal(r.exists("one"), 0)

    # Given back by another thread than took it.
    shared = r.lock("shared", timeout=LEASE_S, thread_local=False)
    equal(shared.acquire(), True)
    thread = threading.Thread(target=shared.release)
    thread.start()
    thread.join(30)
    equal(r.exists("shared"), 0)


def contend(to: int, directory: Path, number: int) -> None:
    r = redis.Redis(port=to, **options)
    for i in range(ROUNDS):
        name = f"contended:{(number + i) % 2}"
        with r.lock(name, timeout=LEASE_S, sleep=0.005):
            file = directory / name
            os.close(os.open(file, os.O_CREAT | os.O_EXCL))  # fails when somebody else is here
            count = int(r.get(f"count:{name}") or 0)
            r.set(f"count:{name}", count + 1)
            file.unlink()


def contention(r) -> None:
    directory = Path(tempfile.mkdtemp(prefix="holdfast-locks-"))
    ports = [port, other_port or port]
    processes = [
        multiprocessing.Process(target=contend, args=(ports[i % 2], directory, i), daemon=True) for i in range(PROCESSES)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        equal([process.exitcode for process in processes], [0] * PROCESSES)
        equal(list(directory.iterdir()), [])
    finally:
        for process in processes:
            process.kill()
        shutil.rmtree(directory)
    counts = [int(r.get(f"count:contended:{i}")) for i in range(2)]
    equal(counts, [PROCESSES * ROUNDS / 2] * 2)
    equal(list(r.scan_iter("contended:*")), [])


def over_restart(r, other) -> None:
    lock = r.lock("kept", timeout=LEASE_S)
    equal(lock.acquire(), True)
    # One waits all the time, and gets it when it is given back.
    got = []

    def wait() -> None:
        theirs = other.lock("kept", timeout=LEASE_S, sleep=0.01)
        while not got:
            try:
                got.append(theirs.acquire())
            except redis.ConnectionError:
                continue

    thread = threading.Thread(target=wait)
    thread.start()
    restart()
    wait_for("it is there again", lambda: r.ping())
    equal((lock.owned(), got), (True, []))
    lock.release()
    thread.join(30)
    equal(got, [True])


def main() -> None:
    r = redis.Redis(port=port, retry_on_timeout=True, **options)
    other = redis.Redis(port=other_port or port, **options)
    flush_all()
    refusals()
    if user:
        fails(NoPermissionError, "one of the keys", r.lock("!one", timeout=LEASE_S).acquire)
    single(r, other)
    contention(r)
    if other_port is None:
        over_restart(r, other)
    finish()


if __name__ == "__main__":
    main()
