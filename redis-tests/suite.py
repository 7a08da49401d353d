"""Obtains Redis 7.0.15's Tcl test suite and prepares a copy of it below cache/.

The suite comes from Debian's source package `redis` (bookworm). Only the upstream tarball is used,
pinned by its checksum: every machine runs the same tests, whichever security update Debian is at.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VERSION = "7.0.15"
TARBALL = f"redis_{VERSION}.orig.tar.gz"
SHA256 = "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982"
MIRROR = "http://deb.debian.org/debian"  # DEBIAN_MIRROR in the environment takes precedence


class SuiteError(Exception):
    """The suite can't be had; the text says what the reader can do about it."""


@dataclass(frozen=True)
class Patch:
    """Replaces `old` in `path` by `new`; preparing fails unless it occurs `count` times."""

    path: str
    old: str
    new: str
    why: str
    count: int = 1


# As few as possible: a patch is for code outside of `test` bodies, which a skip list can't reach.
PATCHES = [
    Patch(
        "tests/support/server.tcl",
        "    r function flush\n",
        "    catch {r function flush}\n",
        "sent before every block of tests; a server without FUNCTION has none to flush",
    ),
    Patch(
        "tests/support/server.tcl",
        "        # If we enable appendonly, wait for for rewrite",
        "        if {$param eq {requirepass}} {\n"
        "            $client close\n"
        "            set client [redis $::host $::port 0 $::tls]\n"
        "            dict set srv client $client\n"
        "            lset ::servers end $srv\n"
        "        }\n"
        "        # If we enable appendonly, wait for for rewrite",
        "unit/auth: a password binds new connections only, so the tests have to start on one",
    ),
    Patch(
        "tests/unit/auth.tcl",
        '{"auth external:skip"}',
        '{"auth"}',
        "an external server may be anybody's, ours is fresh and may be given a password",
        count=2,
    ),
    Patch(
        "tests/unit/auth.tcl",
        '{"auth_binary_password external:skip"}',
        '{"auth_binary_password"}',
        "as above",
    ),
    Patch(
        "tests/unit/auth.tcl",
        '    start_server {tags {"masterauth"}}',
        "    catch {r config set requirepass {}}\n"
        '    start_server {tags {"masterauth external:skip"}}',
        "the block inside of the one above needs a replica; and no password is left behind",
    ),
    Patch(
        "tests/unit/info.tcl",
        '{"info" "external:skip"}',
        '{"info"}',
        "its counters need a server that nobody else uses, and ours is one",
    ),
    Patch(
        "tests/unit/pubsubshard.tcl",
        'start_server {tags {"pubsubshard external:skip"}} {\n    test "SPUBLISH/SSUBSCRIBE basics"',
        'start_server {tags {"pubsubshard"}} {\n    test "SPUBLISH/SSUBSCRIBE basics"',
        "counts the subscribers of a server that nobody else uses, and ours is one",
    ),
    Patch(
        "tests/unit/limits.tcl",
        '{"limits network external:skip"}',
        '{"limits network"}',
        "an external server may be anybody's, ours may be given a limit of clients",
    ),
    Patch(
        "tests/unit/obuf-limits.tcl",
        '{"obuf-limits external:skip"}',
        '{"obuf-limits"}',
        "looks at the clients of a server that nobody else uses, and ours is one",
    ),
    Patch(
        "tests/unit/maxmemory.tcl",
        'start_server {tags {"maxmemory" "external:skip"}} {\n    r config set maxmemory 11mb',
        'start_server {tags {"maxmemory"}} {\n    r config set maxmemory 11mb',
        "needs a server that nobody else uses, and ours is one",
    ),
    Patch(
        "tests/unit/maxmemory.tcl",
        'start_server {tags {"maxmemory external:skip"}} {\n'
        '    test "Without maxmemory small integers are shared"',
        "catch {r config set maxmemory 0; r config set maxmemory-policy noeviction}\n"
        'start_server {tags {"maxmemory"}} {\n'
        '    test "Without maxmemory small integers are shared"',
        "as above; and the limits of the block before are lifted, as a server of its own would have none",
    ),
    Patch(
        "tests/unit/acl.tcl",
        'start_server {tags {"acl external:skip"}} {',
        'start_server {tags {"acl"}} {',
        "an external server may have users of its own, ours is fresh",
    ),
    Patch(
        "tests/unit/acl-v2.tcl",
        'start_server {tags {"acl external:skip"}} {',
        'start_server {tags {"acl"}} {',
        "as above",
    ),
    Patch(
        "tests/unit/acl-v2.tcl",
        "    # Existence test commands are not marked as access since",
        "    r ACL setuser command-test +@all %R~read* %W~write* %RW~rw*\n"
        "    # Existence test commands are not marked as access since",
        "the tests behind need the user of one that is skipped, since it asks for MIGRATE",
    ),
    Patch(
        "tests/unit/keyspace.tcl",
        "    test {MOVE basic usage} {\n",
        "    r flushdb\n    test {MOVE basic usage} {\n",
        "wants the empty database that a COPY test on streams leaves behind, which is skipped",
    ),
]


def prepare(cache: Path) -> Path:
    """Returns the directory to run the suite in; downloads and patches first where needed.

    Several processes may do this at a time.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tarball = cache / TARBALL
        if not tarball.exists():
            _download(tarball)
        if _sha256(tarball) != SHA256:
            raise SuiteError(f"{tarball} has a wrong SHA-256; remove it and run again")
        # The stamp names what the copy was made of, so a changed patch makes a new copy.
        stamp_text = hashlib.sha256((SHA256 + repr(PATCHES)).encode()).hexdigest()
        directory = cache / f"redis-{VERSION}"
        stamp = directory / ".stamp"
        if not (stamp.exists() and stamp.read_text() == stamp_text):
            _extract(tarball, directory)
            for patch in PATCHES:
                _apply(directory, patch)
            stamp.write_text(stamp_text)
        return directory


def all_units(directory: Path) -> list[str]:
    """The units that the suite itself would run, in its order."""
    text = (directory / "tests/test_helper.tcl").read_text()
    return text.split("set ::all_tests {", 1)[1].split("}", 1)[0].split()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(tarball: Path) -> None:
    """Fetches the source package with apt, with a source list and state of our own.

    The system's sources and package lists stay as they are.
    """
    if not shutil.which("apt-get"):
        raise SuiteError(f"apt-get not found: put Debian's {TARBALL} into {tarball.parent} by hand")
    with tempfile.TemporaryDirectory(prefix="redis-tests-apt.") as tmp:
        for directory in ("lists/partial", "cache/archives/partial"):
            Path(tmp, directory).mkdir(parents=True)
        mirror = os.environ.get("DEBIAN_MIRROR", MIRROR)
        Path(tmp, "sources.list").write_text(f"deb-src {mirror} bookworm main\n")
        options = {
            "Dir::Etc::sourcelist": f"{tmp}/sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": f"{tmp}/lists",
            "Dir::Cache": f"{tmp}/cache",
            # As root apt would drop to a user who can't write into our directory.
            "APT::Sandbox::User": "",
            # Otherwise an unreachable mirror is a mere warning.
            "APT::Update::Error-Mode": "any",
        }
        apt = ["apt-get", "-q"]
        for name, value in options.items():
            apt += ["-o", f"{name}={value}"]
        for command in (["update"], ["source", "--download-only", "redis"]):
            done = subprocess.run(
                apt + command, cwd=tmp, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if done.returncode != 0:
                text = f"apt-get {' '.join(command)} failed (mirror {mirror})"
                raise SuiteError(f"{text}:\n{done.stderr.strip()}")
        found = Path(tmp, TARBALL)
        if not found.exists():
            raise SuiteError(f"the source package redis at {mirror} has no {TARBALL}")
        # Copy, then rename: an interrupted run must not leave half a tarball under the final name.
        partial = tarball.with_suffix(".partial")
        shutil.copyfile(found, partial)
        partial.rename(tarball)


def _extract(tarball: Path, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    prefix = f"redis-{VERSION}/tests/"
    with tarfile.open(tarball) as archive:
        members = [member for member in archive.getmembers() if member.name.startswith(prefix)]
        archive.extractall(directory.parent, members)


def _apply(directory: Path, patch: Patch) -> None:
    file = directory / patch.path
    text = file.read_text(encoding="latin-1")  # keeps every byte as it is
    if text.count(patch.old) != patch.count:
        found = text.count(patch.old)
        raise SuiteError(f"patch of {patch.path} doesn't fit: {patch.old!r} occurs {found} times")
    file.write_text(text.replace(patch.old, patch.new), encoding="latin-1")
