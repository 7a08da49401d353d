"""Celery, with the server as broker and as result backend: python3 celery_jobs.py <port> [words]. A
producer, and workers in processes of their own. See common.js for the agreement with
tests/clients/run."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import certificates, equal, fails, finish, flush_all, holds, port, redis_url, refusals, restart, user, wait_for

HERE = Path(__file__).resolve().parent
LONG_S = 3600
os.environ["TASKS_URL"] = redis_url("/0", "&ssl_cert_reqs=required")
os.environ["VISIBILITY_TIMEOUT"] = str(LONG_S)

from celery import chain, chord, group  # noqa: E402
from celery_tasks import add, app, broken, flaky, hangs_once, named, total  # noqa: E402
from kombu.exceptions import OperationalError  # noqa: E402

directory = Path(tempfile.mkdtemp(prefix="holdfast-celery-"))
PATIENCE_S = 60


def notes(name: str) -> list[str]:
    path = directory / name
    return path.read_text().splitlines() if path.exists() else []


def get(result):
    return result.get(timeout=PATIENCE_S, interval=0.02)


@contextlib.contextmanager
def worker(queue: str, concurrency: int = 1, visibility_s: int = LONG_S):
    """A real worker process, which ends what it does and then itself at SIGTERM."""
    command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-Q", queue, "-n", f"{queue}-{port}@%h"]
    command += ["--concurrency", str(concurrency), "--loglevel", "INFO"]
    command += ["--without-mingle"] if concurrency == 1 else []  # a second in which it asks for others
    environment = {**os.environ, "VISIBILITY_TIMEOUT": str(visibility_s)}
    log = directory / "worker.log"
    with log.open("a") as out:
        process = subprocess.Popen(
            command,
            cwd=HERE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
        if process.poll() is None:
            process.terminate()
            code = process.wait(PATIENCE_S)
            assert code == 0, f"a worker ended with {code}:\n{log.read_text()}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def results() -> None:
    count = 40
    file = str(directory / "once")
    many = group(add.s(file, i, 1000) for i in range(count)).apply_async()
    equal(get(many), [i + 1000 for i in range(count)])
    equal(sorted(notes("once")), sorted(f"{i}+1000" for i in range(count)))
    # One behind the other, with what the one before returned; and one behind many.
    file = str(directory / "steps")
    equal(get(chain(group(add.s(file, i, i) for i in range(10)), total.s())()), 90)
    equal(get(chord((add.s(file, i, 1) for i in range(20)), total.s())()), 210)
    equal(get(chain(add.si(file, 1, 1), add.si(file, 2, 2), add.si(file, 3, 3))()), 6)
    equal(notes("steps")[-3:], ["1+1", "2+2", "3+3"])


def failures() -> None:
    equal(get(flaky.delay(str(directory / "flaky"), 2)), "attempt 3")
    equal(len(notes("flaky")), 3)
    fails(ValueError, "failure 3", get, flaky.delay(str(directory / "failing"), 99))
    equal(len(notes("failing")), 3)
    result = broken.delay()
    fails(KeyError, "no such thing", get, result)
    equal((result.state, result.failed()), ("FAILURE", True))
    result.forget()
    equal(result.state, "PENDING")


def delays() -> None:
    started = time.time()
    file = str(directory / "delayed")
    later = named.apply_async((file, "later"), countdown=1)
    revoked = named.apply_async((file, "revoked"), countdown=0.7)
    revoked.revoke()  # by a message to all workers
    inspect = app.control.inspect(limit=1, timeout=PATIENCE_S)
    wait_for("it is known to be revoked", lambda: revoked.id in str(inspect.revoked()))
    holds(get(later) - started >= 1, "not before its time")
    wait_for("it is thrown away", lambda: revoked.state == "REVOKED")
    equal(notes("delayed"), ["later"])


def control() -> None:
    equal(len(app.control.ping(timeout=PATIENCE_S, limit=1)), 1)
    active = app.control.inspect(limit=1, timeout=PATIENCE_S).active_queues()
    equal({queue["name"] for queues in active.values() for queue in queues}, {"celery"})
    stats = app.control.inspect(limit=1, timeout=PATIENCE_S).stats()
    equal({each["broker"]["transport"] for each in stats.values()}, {"rediss" if certificates else "redis"})


def order_over_restart() -> None:
    """What waits survives, and is done by priority, in the order of its coming where that is the same."""
    file = str(directory / "order")
    sent = [named.apply_async((file, f"{i} of {p}"), queue="ordered", priority=p) for i in range(3) for p in (9, 3, 0, 6)]
    restart()
    # The producer connects again by itself. A worker of Celery 5.2 often doesn't, whatever the server.
    sent.append(named.apply_async((file, "last"), queue="ordered", priority=9))
    with worker("ordered"):
        for result in sent:
            get(result)
    equal(notes("order"), [*(f"{i} of {p}" for p in (0, 3, 6, 9) for i in range(3)), "last"])


def worker_dies() -> None:
    file = str(directory / "dies")
    result = hangs_once.apply_async((file,), queue="mortal")
    with worker("mortal", visibility_s=1) as process:
        wait_for("it hangs", lambda: notes("dies"))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    equal(result.state, "PENDING")
    taken = app.backend.client.zrange("unacked_index", 0, -1, withscores=True)
    equal(len(taken), 1)
    wait_for("another one may have it", lambda: time.time() > taken[0][1] + 1)
    with worker("mortal", visibility_s=1):
        equal(get(result), "done")
    equal(notes("dies"), ["called"] * 2)


def main() -> None:
    flush_all()
    refusals()
    if user:
        fails(OperationalError, "one of the keys", named.apply_async, (str(directory / "never"), "x"), queue="!other")
    try:
        with worker("celery", 2):
            results()
            failures()
            delays()
            control()
        worker_dies()
        order_over_restart()
    except BaseException:
        print((directory / "worker.log").read_text()[-4000:])
        raise
    finally:
        shutil.rmtree(directory)
    finish()


main()
