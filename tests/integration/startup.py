#!/usr/bin/env python3
"""Starts and ends: what is refused with one clear line and exit code 1, what survives, and that the
files of a refused start are left as they were."""

# also under: asan

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from harness import (
    BINARY,
    SLOWNESS,
    Closed,
    ReplyError,
    Server,
    clean_environment,
    equal,
    main,
    ports,
    refused_start,
    scaled,
    temp_dir,
    test,
    wait_for,
)
from resp import encode


def run(*arguments: str, environment=None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean_environment(), **(environment or {})},
        check=False,
    )


def base(directory: Path, port: int | None = None) -> list[str]:
    return ["--port", str(port or ports.take()), "--dir", str(directory), "--bind", "127.0.0.1"]


def says(line: str, *words: str) -> None:
    for word in words:
        assert word.lower() in line.lower(), f"{word!r} isn't in {line!r}"


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def filled(**options) -> Server:
    """A server that was ended cleanly, with 300 keys in its directory."""
    server = Server(**options)
    with server.client() as c:
        # In steps that are waited for: each is at least one write of the log.
        for first in range(0, 300, 10):
            for i in range(first, first + 10):
                c.send("SET", f"key:{i}", f"value {i} " * 20)
            equal(c.read_n(10), ["OK"] * 10)
    return server


def check_filled(server: Server) -> None:
    with server.client() as c:
        equal(c("DBSIZE"), 300)
        for i in range(0, 300, 7):
            equal(c("GET", f"key:{i}"), (f"value {i} " * 20).encode())


# --- Options ------------------------------------------------------------------------------------


@test
def bad_flags():
    directory = temp_dir() / "data"
    for arguments, *words in (
        (["--no-such-option", "1"], "no-such-option"),
        (["-x"], "-x"),
        (["--port"], "port", "missing"),
        (["--port", "abc"], "port", "abc"),
        (["--port", "0"], "port", "0"),
        (["--port", "65536"], "port", "65536"),
        (["--port", "63 79"], "port"),
        (["--port="], "port"),
        (["--cores", "-1"], "cores"),
        (["--cores", "100000"], "cores"),
        (["--partitions", "0"], "partitions"),
        (["--partitions", "1.5"], "partitions"),
        (["--durability", "maybe"], "durability", "maybe"),
        (["--bind", "localhost"], "bind", "localhost"),
        (["--bind", "127.0.0.256"], "bind", "127.0.0.256"),
        (["--bind", ""], "bind"),
        (["--dir", ""], "dir"),
        (["--maxmemory", "12xb"], "maxmemory", "12xb"),
        (["--maxmemory", "1 gb"], "maxmemory"),
        (["--maxmemory", "-1"], "maxmemory"),
        (["--maxmemory", "99999999999999999999gb"], "maxmemory"),
        (["--maxmemory-policy", "allkeys-lfo"], "maxmemory-policy", "allkeys-lfo"),
        (["--wal-segment-bytes", "1kb"], "wal-segment-bytes"),
        (["--flush-interval-ms", "10ms"], "flush-interval-ms", "10ms"),
        (["--timeout", "-1"], "timeout"),
        (["--log-level", "loud"], "log-level", "loud"),
        (["--client-output-buffer-limit", "normal 1 2"], "client-output-buffer-limit"),
        (["--latency-tracking", "perhaps"], "latency-tracking", "perhaps"),
        (["a.yaml", "b.yaml"], "b.yaml"),
    ):
        line = refused_start([*base(directory), *arguments])
        says(line, *words)
    assert not directory.exists(), "a refused start made its directory"


@test
def a_password_is_not_repeated_in_errors():
    file = temp_dir() / "bad.yaml"
    file.write_text("requirepass: [hunter2, hunter3]\n")
    line = refused_start([str(file)])
    assert "hunter" not in line, line


@test
def bad_variables():
    directory = temp_dir() / "data"
    for name, value, *words in (
        ("HOLDFAST_NO_SUCH_OPTION", "1", "HOLDFAST_NO_SUCH_OPTION"),
        ("HOLDFAST_PORT", "abc", "HOLDFAST_PORT", "abc"),
        ("HOLDFAST_MAXMEMORY", "1q", "HOLDFAST_MAXMEMORY", "1q"),
        ("HOLDFAST_CONFIG", "/nonexistent/file.yaml", "/nonexistent/file.yaml"),
    ):
        says(refused_start(["--dir", str(directory)], {name: value}), *words)
    assert not directory.exists()


@test
def bad_files():
    directory = temp_dir()
    file = directory / "holdfast.yaml"
    for text, *words in (
        ("port: 6379\nno-such-option: 1\n", ":2", "no-such-option"),
        ("port: 6379\n\n# x\nport: 6380\n", ":4", "twice"),
        ("cores: many\n", ":1", "cores", "many"),
        ("maxmemory: 10 parrots\n", ":1", "maxmemory"),
        ("port: [1, 2]\n", ":1", "port"),
        ("port: {a: b}\n", ":1", "port"),
        ("- port\n- cores\n", "name: value"),
        ("port 6379\n", "name: value"),
        ("port: 'x\n", ":1"),
        ("a: b: c\n", "YAML"),
        ("port: 6379\n---\ncores: 1\n", "one YAML document"),
    ):
        file.write_text(text)
        says(refused_start([str(file)]), str(file), *words)
        says(refused_start(["--config", str(file), "--check-config"]), str(file), *words)
    says(refused_start([str(directory / "missing.yaml")]), "missing.yaml")
    says(refused_start([str(directory)]), str(directory))


@test
def the_right_one_wins():
    """Flags over variables over the file."""
    directory = temp_dir()
    file = directory / "holdfast.yaml"
    file.write_text("maxclients: 111\ntimeout: 222\ntcp-keepalive: 333\nslowlog-max-len: 44\n")
    server = Server(start=False, config=file, timeout=555)
    server.launch({"HOLDFAST_MAXCLIENTS": "666", "HOLDFAST_TIMEOUT": "777"})
    server.wait_ready()
    with server.client() as c:
        equal(c.config("maxclients"), "666")
        equal(c.config("timeout"), "555")
        equal(c.config("tcp-keepalive"), "333")
        equal(c.config("slowlog-max-len"), "44")


@test
def what_is_printed_without_serving():
    version = run("--version")
    equal(version.returncode, 0)
    assert re.fullmatch(r"holdfast \d+\.\d+\.\d+ .*\n", version.stdout), version.stdout
    usage = run("--help")
    equal(usage.returncode, 0)
    for word in ("--port", "--partitions", "--durability", "--check-config", "HOLDFAST_"):
        assert word in usage.stdout, f"{word} isn't in --help"
    directory = temp_dir() / "data"
    check = run(*base(directory), "--check-config")
    equal((check.returncode, check.stderr), (0, ""))
    assert "valid" in check.stdout, check.stdout
    assert not directory.exists(), "--check-config made the directory"

    # What is printed as a file is taken as one, and says the same again.
    printed = run("--print-config", "--maxmemory", "100mb", "--requirepass", 'a "quoted" # \\ word', "--port", "7777")
    equal(printed.returncode, 0)
    file = temp_dir() / "printed.yaml"
    file.write_text(printed.stdout)
    again = run(str(file), "--print-config")
    equal((again.returncode, again.stdout), (0, printed.stdout))
    # And so are its defaults the shipped file.
    shipped = (Path(__file__).resolve().parent.parent.parent / "conf/holdfast.yaml").read_text()
    equal(run("--print-config").stdout, shipped, "conf/holdfast.yaml is old: make conf")


# --- Ports and directories ----------------------------------------------------------------------


@test
def port_of_another_process():
    directory = temp_dir() / "data"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        says(refused_start(base(directory, port)), str(port))
    # Another Holdfast, which shares its port among its own cores only.
    server = Server(cores=2)
    says(refused_start([*base(directory, server.port), "--cores", "2"]), str(server.port))
    says(refused_start([*base(directory, server.port), "--bind", "0.0.0.0"]), str(server.port))
    assert not directory.exists(), "a refused start made its directory"
    with server.client() as c:
        equal(c("PING"), "PONG")


@test
def address_of_another_machine():
    says(refused_start([*base(temp_dir() / "data"), "--bind", "192.0.2.1"]), "192.0.2.1")


@test
def unusable_directories():
    parent = temp_dir()
    file = parent / "file"
    file.write_text("I am a file")
    says(refused_start(base(file)), str(file))
    says(refused_start(base(file / "below")), str(file))
    says(refused_start(base(parent / "a/b/c")), "a/b/c")
    equal(file.read_text(), "I am a file")
    if os.getuid() != 0:
        closed = parent / "closed"
        closed.mkdir(mode=0o500)
        says(refused_start(base(closed)), str(closed))
        says(refused_start(base(closed / "data")), str(closed))


@test
def a_directory_with_something_else_in_it():
    directory = temp_dir()
    (directory / "wal").mkdir()
    (directory / "wal" / "notes.txt").write_text("mine")
    before = contents(directory)
    says(refused_start(base(directory)), str(directory))
    for name, data in before.items():
        equal((directory / name).read_bytes(), data)


@test
def second_process_on_the_same_directory():
    server = filled()
    line = refused_start(base(server.directory))
    says(line, str(server.directory), "another process")
    check_filled(server)
    server.restart()
    check_filled(server)


@test
def another_number_of_partitions():
    server = filled(partitions=4)
    equal(server.terminate(), 0)
    before = contents(server.directory)
    line = refused_start([*base(server.directory), "--partitions", "8"])
    says(line, "partitions", "4", "8")
    equal(contents(server.directory), before, "a refused start changed the directory")
    server.start()
    check_filled(server)


# --- Damage -------------------------------------------------------------------------------------


def segments(server: Server) -> list[Path]:
    return sorted((server.directory / "wal").glob("*.wal"))


def crashed_with_log(**options) -> Server:
    """A server killed while all of its data is in the log and nothing in LevelDB."""
    server = filled(flush_interval_ms=3_600_000, cores=1, **options)
    server.kill()
    assert segments(server), "there is no log"
    return server


def data_end(data: bytes) -> int:
    """Where the zeros begin that a segment may be filled up with."""
    return len(data.rstrip(b"\0"))


@test
def damage_in_the_middle_of_the_log():
    server = crashed_with_log()
    path = max(segments(server), key=lambda p: data_end(p.read_bytes()))
    good = path.read_bytes()
    end = data_end(good)
    assert end > 5000, f"only {end} bytes in {path}"
    # Frames follow the damage, so that this was no torn write.
    for at in (end // 4, end // 3, end // 2):
        bad = bytearray(good)
        for i in range(4):
            bad[at + i] ^= 0x5A
        path.write_bytes(bad)
        before = contents(server.directory / "wal")
        line = refused_start(base(server.directory))
        says(line, path.name)
        equal(contents(server.directory / "wal"), before, "the refused start changed the log")
    path.write_bytes(good)
    server.start()
    check_filled(server)


@test
def torn_tail_of_the_log():
    server = crashed_with_log()
    path = max(segments(server), key=lambda p: data_end(p.read_bytes()))
    good = path.read_bytes()
    saved = temp_dir() / "saved"
    shutil.copytree(server.directory, saved)
    for cut in (1, 7, 100):
        shutil.rmtree(server.directory)
        shutil.copytree(saved, server.directory)
        # The last write reached the disk in part.
        path.write_bytes(good[: data_end(good) - cut])
        server.start()
        with server.client() as c:
            size = c("DBSIZE")
            assert 0 <= size <= 300
            # A first part of what was written, in its order.
            present = c.pipeline([("EXISTS", f"key:{i}") for i in range(300)])
            equal(present, [1] * size + [0] * (300 - size))
            equal(c("SET", "after", "1"), "OK")
        server.kill()
        # The cut is durable: the next start finds nothing torn, and everything written since.
        server.start()
        with server.client() as c:
            equal(c("DBSIZE"), size + 1)
        equal(server.terminate(), 0)


@test
def missing_part_of_the_log():
    """A segment between others is gone."""
    server = Server(flush_interval_ms=3_600_000, wal_segment_bytes="64kb", cores=1)
    with server.client() as c:
        # One after the other: what comes together is one record of the log.
        for i in range(300):
            equal(c("SET", f"key:{i}", random.randbytes(1000)), "OK")
    server.kill()
    paths = segments(server)
    assert len(paths) > 2, f"only {len(paths)} segments"
    middle = paths[len(paths) // 2]
    saved = middle.read_bytes()
    middle.unlink()
    refused_start(base(server.directory))
    middle.write_bytes(saved)
    server.start()
    with server.client() as c:
        equal(c("DBSIZE"), 300)


def stored_and_cut() -> Server:
    """A server that was ended cleanly, with 300 keys in LevelDB and no more than the last ones in the log."""
    server = Server(flush_interval_ms=1, cores=1, wal_segment_bytes="64kb")
    with server.client() as c:
        for i in range(300):
            equal(c("SET", f"key:{i}", random.randbytes(1000)), "OK")
        equal(c("SAVE"), "OK")

    def log_bytes() -> int:
        try:
            return sum(p.stat().st_size for p in segments(server))
        except FileNotFoundError:  # cut just now
            return 1 << 40

    wait_for("the log is cut", lambda: log_bytes() < 200_000)
    equal(server.terminate(), 0)
    return server


def damage(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        bad = bytes(byte ^ 0x5A for byte in file.read(8))
        file.seek(at)
        file.write(bad)


def started(server: Server) -> bool:
    """Whether a launched server becomes ready; otherwise it must exit with 1."""

    def ready_or_over():
        if server.process.poll() is not None:
            return True
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", server.port)) == 0

    wait_for("it is ready or over", ready_or_over)
    if server.process.poll() is None:
        server.wait_ready()
        return True
    equal(server.wait_exit(), 1, "exit code of a refused start")
    return False


@test
def damaged_leveldb():
    server = stored_and_cut()
    # Once more: then the data is in a table, and the next one in LevelDB's own log.
    server.start()
    with server.client() as c:
        for i in range(300):
            equal(c("SET", f"more:{i}", random.randbytes(1000)), "OK")
        equal(c("SAVE"), "OK")

    def log_bytes() -> int:
        try:
            return sum(p.stat().st_size for p in segments(server))
        except FileNotFoundError:  # cut just now
            return 1 << 40

    wait_for("the log is cut", lambda: log_bytes() < 200_000)
    equal(server.terminate(), 0)
    files = [p for p in (server.directory / "partitions").rglob("*") if p.suffix in (".log", ".ldb") or "MANIFEST" in p.name]
    files = [p for p in files if p.stat().st_size > 200]
    equal({p.suffix for p in files} >= {".log", ".ldb"}, True, f"files of LevelDB: {files}")
    saved = temp_dir() / "saved"
    shutil.copytree(server.directory, saved)
    refused = 0
    for path in files:
        for part in (0.1, 0.5, 0.9):
            damage(path, int(path.stat().st_size * part))
            server.launch()
            if started(server):
                # The end of LevelDB's log, and our own still has what stood there.
                with server.client() as c:
                    equal(c("DBSIZE"), 600, f"keys after damage in {path.name}")
                server.kill()
            else:
                refused += 1
                says(server.log_text().splitlines()[-1], "partition")
            shutil.rmtree(server.directory)
            shutil.copytree(saved, server.directory)
    assert refused > 2 * len(files), f"only {refused} of {3 * len(files)} damages were refused"
    # A file of the database is gone.
    for path in files:
        path.unlink()
        says(refused_start(base(server.directory)), "partition")
        shutil.rmtree(server.directory)
        shutil.copytree(saved, server.directory)
    server.start()
    with server.client() as c:
        equal(c("DBSIZE"), 600)


@test
def P51_end_of_leveldbs_log_that_is_still_in_ours():
    """Nothing is lost then, and nothing refused: a power loss may leave it so."""
    for cut in (1, 100, 5000):
        server = filled(flush_interval_ms=1)
        with server.client() as c:
            equal(c("SAVE"), "OK")
        server.kill()
        path = next((server.directory / "partitions").rglob("*.log"))
        path.write_bytes(path.read_bytes()[:-cut])
        server.start()
        check_filled(server)


@test
def damaged_and_newer_identity():
    server = filled()
    equal(server.terminate(), 0)
    path = server.directory / "identity"
    good = path.read_bytes()
    # The format's number stands behind the magic. A newer one need not have our checksum.
    newer = bytearray(good)
    newer[8] += 1
    path.write_bytes(newer)
    says(refused_start(base(server.directory)), "newer")
    for bad in (good[:-1], b"", good[:20] + bytes([good[20] ^ 1]) + good[21:], b"X" * len(good)):
        path.write_bytes(bad)
        says(refused_start(base(server.directory)), "identity")
        equal(path.read_bytes(), bad, "the refused start changed the identity file")
    # Without one, the data isn't ours to use.
    path.unlink()
    refused_start(base(server.directory))
    assert not path.exists(), "a new identity was made for old data"
    path.write_bytes(good)
    server.start()
    check_filled(server)


@test
def P14_log_of_another_node():
    ours, theirs = crashed_with_log(), crashed_with_log()
    foreign = segments(theirs)[-1]
    # Under its own name and under one that would come next.
    core, seq = foreign.stem.split("-")[1:]
    boot = f"{int(foreign.stem.split('-')[0], 16):0{len(foreign.stem.split('-')[0])}x}"
    for name in (f"{boot}-{core}-{int(seq, 16) + 1:0{len(seq)}x}.wal", f"{boot}-0001-{seq}.wal"):
        copy = ours.directory / "wal" / name
        if copy.exists():
            continue
        shutil.copy(foreign, copy)
        refused_start(base(ours.directory))
        assert copy.exists(), "the foreign segment was removed"
        copy.unlink()
    # In place of one's own.
    own = segments(ours)[-1]
    saved = own.read_bytes()
    shutil.copy(foreign, own)
    says(refused_start(base(ours.directory)), own.name)
    own.write_bytes(saved)
    ours.start()
    check_filled(ours)


@test
def P14_old_identity_file():
    """The identity file of an earlier start, with a later log: its numbers would be used twice."""
    server = filled(flush_interval_ms=3_600_000)
    old = (server.directory / "identity").read_bytes()
    server.kill()
    server.start()
    with server.client() as c:
        equal(c("SET", "late", "1"), "OK")
    server.kill()
    (server.directory / "identity").write_bytes(old)
    line = refused_start(base(server.directory))
    assert "boot" in line or "identity" in line, line


# --- The end ------------------------------------------------------------------------------------


class Writers:
    """Clients that count up keys of their own, pipelined, until the server ends."""

    def __init__(self, server: Server, count: int):
        self.acknowledged = [0] * count
        self.others = []  # replies that were neither a number nor the end
        self.threads = [threading.Thread(target=self._write, args=(server, i)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _write(self, server: Server, i: int) -> None:
        try:
            with server.client() as c:
                while True:
                    c.send_raw(encode("INCR", f"writer:{i}") * 20)
                    for _ in range(20):
                        reply = c.read()
                        if not isinstance(reply, int):
                            self.others.append(reply)
                            return
                        self.acknowledged[i] = reply
        except (Closed, OSError):
            pass

    def join(self) -> None:
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a writer hangs"


@test
def sigterm_loses_nothing():
    server = Server(cores=2, partitions=4)
    total = [0] * 4
    for _ in range(5):
        writers = Writers(server, 4)
        wait_for("writes are under way", lambda: all(n > before + 100 for n, before in zip(writers.acknowledged, total)))
        equal(server.terminate(), 0, "exit code")
        writers.join()
        equal([str(other) for other in writers.others], [], "answers other than numbers")
        server.start()
        with server.client() as c:
            for i in range(4):
                found = int(c("GET", f"writer:{i}"))
                # What was in flight may have been done, and answered or not.
                low = writers.acknowledged[i]
                assert low <= found <= low + 20, f"{found} of the at least {low} acknowledged are there"
                total[i] = found


@test
def sigterm_answers_what_it_has_done():
    """What a client sent before the end, and got done, is answered."""
    server = Server()
    with server.client() as c:
        c.send_raw(encode("INCR", "n") * 500)
        equal(c.read(), 1)
        server.process.terminate()
        replies = [1, *c.wait_closed()]
        equal(server.wait_exit(), 0)
    equal(replies, list(range(1, len(replies) + 1)))
    server.start()
    with server.client() as c:
        equal(c("GET", "n"), str(len(replies)).encode())


@test
def sigterm_with_idle_blocked_and_silent_clients():
    server = Server(shutdown_timeout=2)
    idle, blocked, slow = server.client(), server.client(), server.client()
    idle("LOCK", "name", "other", 60_000)
    blocked.send("LOCK", "name", "me", 60_000, "WAIT", 60_000)
    with server.client() as c:
        wait_for("it waits", lambda: c.info("clients")["blocked_clients"] == "1")
        c("SET", "big", b"x" * 1_000_000)
    # Asks for much and never reads: the end must not wait for it for ever.
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.send_raw(encode("GET", "big") * 30)
    started = time.monotonic()
    code = server.terminate()
    assert code in (0, 1), f"exit code {code}"
    assert time.monotonic() - started < 8 * SLOWNESS, "the shutdown waits longer than its timeout"
    blocked.wait_closed()
    for client in (idle, blocked, slow):
        client.close()
    server.start()


@test
def shutdown_command():
    server = filled()
    with server.client() as c:
        equal(c.error("SHUTDOWN", "NO"), "ERR syntax error")
        c.send("SHUTDOWN")
        equal(c.wait_closed(), [], "answers to SHUTDOWN")
    equal(server.wait_exit(), 0)
    server.start()
    check_filled(server)
    with server.client() as c:
        c.send("SHUTDOWN", "NOSAVE")
        equal(c.wait_closed(), [])
    equal(server.wait_exit(), 0)
    server.start()
    check_filled(server)


@test
def sigint_and_a_second_signal():
    server = filled()
    server.process.send_signal(2)
    equal(server.wait_exit(), 0)
    server.start()
    server.process.terminate()
    try:
        server.process.terminate()
    except ProcessLookupError:
        pass
    assert server.wait_exit() in (0, -15)
    server.start()
    check_filled(server)


@test
def a_cluster_port_that_is_open_to_all_is_warned_of():
    for options, warned in (
        ({"bind": "0.0.0.0"}, True),
        ({"bind": "0.0.0.0", "cluster_secret": "s"}, False),
        ({}, False),
    ):
        server = Server(**options, cluster_port=ports.take(), bootstrap="yes")
        equal("whoever reaches the cluster port" in server.log_text(), warned, str(options))


@test
def signals_while_it_starts():
    """Whoever gets a connection finds a server that a signal ends cleanly, and that renews certificates."""
    for _ in range(scaled(12)):
        server = Server(start=False)
        server.launch()
        knock(server.port)
        server.process.send_signal(signal.SIGHUP)
        equal(server.terminate(), 0, "exit code")


def knock(port: int) -> None:
    """Connects as soon as that's possible: wait_for would pause."""
    deadline = time.monotonic() + 20 * SLOWNESS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            os.sched_yield()
    raise AssertionError("nobody listens")


@test
def other_numbers_of_cores():
    server = filled(partitions=8, cores=2)
    for cores in (1, 4, 3, 8, 1):
        server.restart(cores=cores)
        check_filled(server)
        with server.client() as c:
            equal(c("INCR", "cores"), 1)
            equal(c("DEL", "cores"), 1)
        # And once without a clean end.
        server.kill()
        server.start(cores=cores + 1)
        check_filled(server)


@test
def config_rewrite():
    directory = temp_dir()
    file = directory / "holdfast.yaml"
    file.write_text("# mine\nmaxclients: 100 # stays\nrequirepass: 'old'\n")
    server = Server(start=False, config=file)
    server.launch()
    server.wait_ready()
    with server.client(password="old") as c:
        equal(c("CONFIG", "SET", "requirepass", "new", "maxmemory", "100mb"), "OK")
        equal(c("CONFIG", "REWRITE"), "OK")
    text = file.read_text()
    assert "# mine" in text and "'old'" not in text, text
    server.restart()
    with server.client(password="new") as c:
        equal(c.config("maxmemory"), str(100 << 20))
        equal(c.config("maxclients"), "100")
    with Server().client() as c:
        assert "config file" in c.error("CONFIG", "REWRITE")


@test
def port_and_address_change_while_running():
    server = Server(cores=2)
    with server.client() as old:
        port = ports.take()
        equal(old("CONFIG", "SET", "port", port), "OK")
        before, server.port = server.port, port

        def serves():
            try:
                with server.client() as c:
                    return c("PING") == "PONG"
            except (OSError, Closed):
                return False

        wait_for("the new port is served", serves)
        equal(old("PING"), "PONG", "connections stay")

        def closed():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", before)) != 0

        wait_for("the old port is closed", closed)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            reply = old.ask("CONFIG", "SET", "port", taken.getsockname()[1])
            assert isinstance(reply, ReplyError) and "Unable to listen on this port" in str(reply), reply
        assert serves()


@test
def log_and_pid_files():
    directory = temp_dir()
    log, pid = directory / "log", directory / "pid"
    server = Server(log_file=log, pidfile=pid)
    equal(pid.read_text().strip(), str(server.pid))
    assert "ready to accept connections" in log.read_text()
    equal(server.log_text(), "", "standard output beside a log file")
    equal(server.terminate(), 0)
    assert not pid.exists(), "the pid file stays"
    says(refused_start([*base(directory / "d"), "--log-file", str(directory)]), str(directory))


main()
