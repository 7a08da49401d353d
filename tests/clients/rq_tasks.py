"""What the workers of rq_jobs.py do. Each call is noted in a file, so that it is known how often and in
which order they really ran."""

import os
import signal
from pathlib import Path


def note(file: str, text: str) -> int:
    """How many lines there are now."""
    with Path(file).open("a") as out:
        out.write(text + "\n")
    return len(Path(file).read_text().splitlines())


def add(file: str, a: int, b: int) -> int:
    note(file, f"{a}+{b}")
    return a + b


def flaky(file: str, failures: int) -> str:
    """Fails so often."""
    count = note(file, "attempt")
    if count <= failures:
        raise ValueError(f"failure {count}")
    return f"attempt {count}"


def hang(file: str) -> None:
    note(file, "hangs")
    signal.pause()


def crash(file: str) -> None:
    note(file, "crashes")
    os.kill(os.getpid(), signal.SIGKILL)
