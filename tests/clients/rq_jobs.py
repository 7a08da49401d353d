"""RQ: python3 rq_jobs.py <port> [words]. A producer, and workers in processes of their own. See
common.js for the agreement with tests/clients/run."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import redis
from common import equal, fails, finish, flush_all, holds, options, port, redis_url, refusals, restart, user, wait_for
from rq import Queue, Retry, Worker
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation
from rq.job import Job, JobStatus

HERE = Path(__file__).resolve().parent
directory = Path(tempfile.mkdtemp(prefix="holdfast-rq-"))


def notes(name: str) -> list[str]:
    path = directory / name
    return path.read_text().splitlines() if path.exists() else []


@contextlib.contextmanager
def worker(*queues: str, scheduler: bool = False):
    """A real worker process, which ends what it does and then itself at SIGTERM."""
    command = [sys.executable, "-m", "rq.cli", "worker", "-u", redis_url(), "-P", str(HERE), "-q"]
    command += ["--with-scheduler"] if scheduler else []
    log = directory / "worker.log"
    with log.open("a") as out:
        process = subprocess.Popen([*command, *queues], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
        if process.poll() is None:
            process.terminate()
            code = process.wait(60)
            assert code == 0, f"a worker ended with {code}:\n{log.read_text()}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finished(job: Job, status: JobStatus = JobStatus.FINISHED, seconds: float = 60) -> Job:
    wait_for(f"job {job.id} is {status.value}", lambda: job.get_status(refresh=True) == status, seconds)
    job.refresh()
    return Job.fetch(job.id, job.connection)  # one that doesn't remember an earlier result


def each_once(r) -> None:
    count = 16
    queue = Queue("once", connection=r)
    jobs = [queue.enqueue("rq_tasks.add", str(directory / "once"), i, 1000) for i in range(count)]
    equal((len(queue), queue.get_job_ids()), (count, [job.id for job in jobs]))
    with worker("once"), worker("once"):
        equal([finished(job).result for job in jobs], [i + 1000 for i in range(count)])
        equal(sorted(notes("once")), sorted(f"{i}+1000" for i in range(count)))
        wait_for("both are known", lambda: len(Worker.all(r)) == 2)
        equal(queue.finished_job_registry.count, count)
        equal((len(queue), queue.started_job_registry.count), (0, 0))
    equal(Worker.all(r), [])


def order(r) -> None:
    high, low = Queue("high", connection=r), Queue("low", connection=r)
    file = str(directory / "order")
    last = [low.enqueue("rq_tasks.note", file, f"low {i}") for i in range(5)][-1]
    for i in range(5):
        high.enqueue("rq_tasks.note", file, f"high {i}")
    high.enqueue("rq_tasks.note", file, "first", at_front=True)
    after = low.enqueue("rq_tasks.note", file, "after", depends_on=last)
    equal((after.get_status(), low.deferred_job_registry.count), (JobStatus.DEFERRED, 1))
    with worker("high", "low"):
        finished(after)
    expected = ["first", *(f"high {i}" for i in range(5)), *(f"low {i}" for i in range(5)), "after"]
    equal(notes("order"), expected)


def emptied(r) -> None:
    """By a script."""
    queue = Queue("emptied", connection=r)
    jobs = [queue.enqueue("rq_tasks.add", str(directory / "emptied"), i, 1) for i in range(5)]
    equal((queue.empty(), len(queue), Job.exists(jobs[0].id, r)), (5, 0, False))


def retries(r) -> None:
    queue = Queue("retries", connection=r)
    with worker("retries", scheduler=True):
        again = queue.enqueue("rq_tasks.flaky", str(directory / "at-once"), 2, retry=Retry(max=3))
        later = queue.enqueue("rq_tasks.flaky", str(directory / "later"), 1, retry=Retry(max=2, interval=1))
        failing = queue.enqueue("rq_tasks.flaky", str(directory / "failing"), 9, retry=Retry(max=1))
        delayed_from = time.time()
        delayed = queue.enqueue_in(timedelta(seconds=1), "rq_tasks.note", str(directory / "delayed"), "x")
        slow = queue.enqueue("rq_tasks.hang", str(directory / "slow"), job_timeout=1)
        crashing = queue.enqueue("rq_tasks.crash", str(directory / "crash"))
        equal(finished(again).result, "attempt 3")
        finished(failing, JobStatus.FAILED)
        holds("failure 2" in failing.exc_info, failing.exc_info)
        equal(len(notes("failing")), 2)
        finished(slow, JobStatus.FAILED)
        holds("JobTimeoutException" in slow.exc_info, slow.exc_info)
        finished(crashing, JobStatus.FAILED)
        equal(notes("crash"), ["crashes"])
        equal(set(queue.failed_job_registry.get_job_ids()), {failing.id, slow.id, crashing.id})
        finished(delayed)
        holds(delayed.started_at.timestamp() - delayed_from >= 0.9, "not before its time")
        equal(finished(later).result, "attempt 2")
        equal(len(notes("later")), 2)

        # Once more, by hand.
        (directory / "failing").write_text("attempt\n" * 20)
        failing.requeue()
        equal(finished(failing).result, "attempt 21")
        equal(queue.scheduled_job_registry.count, 0)


def stops(r) -> None:
    queue = Queue("stops", connection=r)
    with worker("stops"):
        hanging = queue.enqueue("rq_tasks.hang", str(directory / "stopped"))
        waiting = queue.enqueue("rq_tasks.note", str(directory / "cancelled"), "x")
        wait_for("it hangs", lambda: notes("stopped"))
        waiting.cancel()
        fails(InvalidJobOperation, "", waiting.cancel)
        send_stop_job_command(r, hanging.id)  # by PUBLISH
        finished(hanging, JobStatus.STOPPED)
        equal(finished(queue.enqueue("rq_tasks.add", str(directory / "more"), 1, 2)).result, 3)
    equal((notes("cancelled"), waiting.get_status()), ([], JobStatus.CANCELED))


def over_restart(r) -> None:
    queue, unserved = Queue("restart", connection=r), Queue("unserved", connection=r)
    kept = [unserved.enqueue("rq_tasks.note", str(directory / "kept"), str(i)) for i in range(10)]
    with worker("restart"):
        finished(queue.enqueue("rq_tasks.add", str(directory / "before"), 1, 1))
        # It is back at its queue, where it lives through the loss of its connection.
        wait_for("the worker waits", lambda: r.info("clients")["blocked_clients"] == 1)
        restart()
        equal(unserved.get_job_ids(), [job.id for job in kept])
        # The worker connects again by itself.
        equal(finished(queue.enqueue("rq_tasks.add", str(directory / "behind"), 2, 2)).result, 4)
    with worker("unserved"):
        finished(kept[-1])
    equal(notes("kept"), [str(i) for i in range(10)])


def main() -> None:
    r = redis.Redis(port=port, retry_on_timeout=True, **options)
    flush_all()
    refusals()
    try:
        each_once(r)
        order(r)
        emptied(r)
        retries(r)
        stops(r)
        over_restart(r)
    except BaseException:
        print((directory / "worker.log").read_text()[-4000:])
        raise
    finally:
        shutil.rmtree(directory)
    finish()


main()
