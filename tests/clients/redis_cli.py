"""redis-cli: python3 redis_cli.py <port> [no-locks]. See common.js for the agreement with
tests/clients/run."""

import json
import subprocess

from common import equal, finish, holds, port, restart, wait_for, with_locks

PORT = str(port)


def cli(*args, data=b"", code=0) -> bytes:
    """What redis-cli prints."""
    done = subprocess.run(["redis-cli", "-p", PORT, *args], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == code, f"{args}: exit code {done.returncode}, {done.stdout!r} {done.stderr!r}"
    return done.stdout


def single_commands():
    equal(cli("PING"), b"PONG\n")
    equal(cli("SET", "key", "value"), b"OK\n")
    equal(cli("GET", "key"), b"value\n")
    equal(cli("--no-raw", "GET", "key"), b'"value"\n')
    equal(cli("--no-raw", "GET", "missing"), b"(nil)\n")
    equal(cli("--no-raw", "INCR", "n"), b"(integer) 1\n")
    equal(cli("-r", "5", "INCR", "n"), b"2\n3\n4\n5\n6\n")
    equal(cli("-n", "3", "EXISTS", "key"), b"0\n")
    equal(cli("--csv", "MGET", "key", "n", "missing"), b'"value","6",NULL\n')
    equal(cli("SET", "e", "1", "EX", "100"), b"OK\n")
    holds(90 < int(cli("TTL", "e")) <= 100, "TTL after EX 100")
    # A last argument from standard input, with any bytes.
    binary = bytes(range(256))
    equal(cli("-x", "SET", "bytes", data=binary), b"OK\n")
    equal(cli("GET", "bytes"), binary + b"\n")


def resp3():
    equal(cli("-3", "--no-raw", "GET", "missing"), b"(nil)\n")
    hello = json.loads(cli("-3", "--json", "HELLO", "3"))
    equal(hello["proto"], 3)
    equal(json.loads(cli("-3", "--json", "CONFIG", "GET", "maxmemory")), {"maxmemory": "0"})
    if with_locks:
        cli("LOCK", "lock", "me", "60000")
        lock = json.loads(cli("-3", "--json", "LOCKINFO", "lock"))
        equal((lock["owner"], lock["waiters"]), ("me", 0))
        cli("DEL", "lock")


def scripts():
    """Many commands from standard input."""
    equal(cli(data=b"SET a 1\nINCR a\nGET a\nMULTI\nINCR a\nINCR a\nEXEC\n"), b"OK\n2\n2\nOK\nQUEUED\nQUEUED\n3\n4\n")
    equal(cli(data=b'SET "with blanks" "\\x00\\n"\nSTRLEN "with blanks"\n'), b"OK\n2\n")
    equal(cli(data=b"SELECT 2\nSET two 2\nSELECT 0\nEXISTS two\n"), b"OK\nOK\nOK\n0\n")
    equal(cli(data=b"WATCH a\nSET a 9\nMULTI\nGET a\nEXEC\n"), b"OK\nOK\nOK\nQUEUED\n\n")


def errors():
    equal(cli("INCR", "key"), b"ERR value is not an integer or out of range\n\n")
    holds(cli("NOSUCH").startswith(b"ERR unknown command"), "an unknown command")
    cli("-e", "INCR", "key", code=1)
    equal(cli("-h", "127.0.0.1", "PING"), b"PONG\n")


def mass_insertion():
    cli("FLUSHALL")
    count = 30_000
    inline = b"".join(b"SET mass:%d %d\r\n" % (i, i) for i in range(count))
    output = cli("--pipe", data=inline)
    holds(b"errors: 0, replies: %d" % count in output, output)
    arrays = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\nmore:%d\r\n$1\r\nv\r\n" % (len(f"more:{i}"), i) for i in range(count))
    output = cli("--pipe", data=arrays + b"*1\r\n$6\r\nNOSUCH\r\n", code=1)
    holds(b"errors: 1, replies: %d" % (count + 1) in output, output)
    equal(cli("DBSIZE"), b"%d\n" % (2 * count))
    keys = cli("--scan", "--pattern", "mass:*").split()
    equal(len(set(keys)), count)
    equal(len(cli("--scan", "--pattern", "mass:1234?").split()), 10)
    holds(b"60000 keys in the keyspace" in cli("--bigkeys"), "--bigkeys")


def locks():
    token = int(cli("LOCK", "lock", "me", "60000"))
    waiter = subprocess.Popen(["redis-cli", "-p", PORT, "LOCK", "lock", "you", "60000", "WAIT", "30000"], stdout=subprocess.PIPE)
    wait_for("the other one waits", lambda: b"blocked_clients:1\r" in cli("INFO", "clients"))
    equal(cli("UNLOCK", "lock", "me"), b"1\n")
    output, _ = waiter.communicate(timeout=30)
    holds(int(output) > token, "tokens rise")
    holds(cli("SET", "g", "x", "FENCE", output.decode().strip()) == b"OK\n", "FENCE")


def reconnect():
    """A redis-cli that stays while the server is started again."""
    process = subprocess.Popen(["redis-cli", "-p", PORT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(line: bytes) -> bytes:
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        return process.stdout.readline()

    equal(ask(b"SET kept stays"), b"OK\n")
    restart()
    # The first request finds the connection closed, which is an error on the other output; with the
    # next one redis-cli connects again.
    process.stdin.write(b"PING\n")
    equal(ask(b"GET kept"), b"stays\n")
    process.stdin.close()
    process.wait(30)


cli("FLUSHALL")
single_commands()
resp3()
scripts()
errors()
mass_insertion()
if with_locks:
    locks()
reconnect()
finish()
