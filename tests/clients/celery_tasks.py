"""The application of celery_jobs.py, which its workers and its producer have in common. Each call is
noted in a file, so that it is known how often and in which order they really ran."""

import os
import signal
import time
from pathlib import Path

from celery import Celery

URL = os.environ["TASKS_URL"]
app = Celery("celery_tasks", broker=URL, backend=URL)
app.conf.update(
    worker_prefetch_multiplier=50,  # or it asks for one message a second
    broker_connection_max_retries=None,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        # Seconds until what a dead worker had taken is given to another one.
        "visibility_timeout": int(os.environ["VISIBILITY_TIMEOUT"]),
        "queue_order_strategy": "priority",
    },
)


def note(file: str, text: str) -> int:
    """How many lines there are now."""
    with Path(file).open("a") as out:
        out.write(text + "\n")
    return len(Path(file).read_text().splitlines())


@app.task
def add(file: str, a: int, b: int) -> int:
    note(file, f"{a}+{b}")
    return a + b


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def named(file: str, name: str) -> float:
    """When it ran."""
    note(file, name)
    return time.time()


@app.task(bind=True, max_retries=2)
def flaky(self, file: str, failures: int) -> str:
    """Fails so often."""
    count = note(file, "attempt")
    if count <= failures:
        raise self.retry(exc=ValueError(f"failure {count}"), countdown=0.05)
    return f"attempt {count}"


@app.task
def broken() -> None:
    raise KeyError("no such thing")


@app.task(acks_late=True)
def hangs_once(file: str) -> str:
    if note(file, "called") == 1:
        signal.pause()
    return "done"
