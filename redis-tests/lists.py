"""units.txt and skip.txt: what is run, and what of it is left out for which reason."""

import re
from dataclasses import dataclass
from pathlib import Path

STATES = ("run", "later", "never")
TAG = "*"  # in skip.txt's unit column: the second column is a tag, not a test


class ListError(Exception):
    """A line that makes no sense; the text names file and line."""


@dataclass(frozen=True)
class Skip:
    """One line of a list: a test (unit, name) or, for unit `*`, a tag."""

    file: str
    line: int
    unit: str
    name: str

    def matches(self, test: str) -> bool:
        # As the suite does it: /expression searches, anything else is equal or not.
        if self.name.startswith("/"):
            return re.search(self.name[1:], test) is not None
        return self.name == test

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.unit} | {self.name}"


def read_units(path: Path, suite_units: list[str]) -> dict[str, str]:
    """Unit -> state, in file order. Every unit has to be listed, so that none is forgotten."""
    states = {}
    for number, unit, state in _rows(path):
        if state not in STATES:
            raise ListError(f"{path.name}:{number}: state {state} is none of {' '.join(STATES)}")
        if unit not in suite_units or unit in states:
            raise ListError(f"{path.name}:{number}: {unit} is no unit, or is listed twice")
        states[unit] = state
    missing = [unit for unit in suite_units if unit not in states]
    if missing:
        raise ListError(f"{path.name}: not listed: {' '.join(missing)}")
    return states


def read_skips(path: Path, units: dict[str, str]) -> list[Skip]:
    skips = []
    for number, unit, name in _rows(path):
        if unit != TAG and unit not in units:
            raise ListError(f"{path.name}:{number}: {unit} is no unit of the suite")
        if name.startswith("/") and name.endswith("/") and len(name) > 1:
            name = name[:-1]  # the suite wants an opening slash only
        skips.append(Skip(path.name, number, unit, name))
    return skips


def _rows(path: Path):
    """Line number and the first two columns of `a | b | reason`; # starts a comment line."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        # A test's name may contain " | ", a unit's name and a reason may not.
        match = re.fullmatch(r"(.+?) \| (.+) \| (.+)", line)
        if not match:
            raise ListError(f"{path.name}:{number}: expected three columns separated by ' | '")
        yield number, match[1].strip(), match[2].strip()
