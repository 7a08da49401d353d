"""redis-cli: python3 redis_cli.py <port> [no-locks]. See common.js for the agreement with
tests/clients/run."""

import json
import re
import subprocess
import time

from common import certificates, equal, finish, flush_all, holds, password, port, restart, user, wait_for, with_locks

PORT = str(port)
TLS = []
if certificates:
    TLS = ["--tls", "--cacert", f"{certificates}/ca.crt"]
    TLS += ["--cert", f"{certificates}/client.crt", "--key", f"{certificates}/client.key"]
LOGIN = ["--user", user, "--pass", password, "--no-auth-warning"] if user else []
CLI = ["redis-cli", "-p", PORT, *TLS]


def cli(*args, data=b"", code=0) -> bytes:
    """What redis-cli prints."""
    done = subprocess.run([*CLI, *LOGIN, *args], input=data, capture_output=True, timeout=60, check=False)
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
    flush_all()
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
    equal(len(set(cli("--scan").split())), 2 * count)
    holds(b"60000 keys in the keyspace" in cli("--bigkeys"), "--bigkeys")

    # Any bytes, in one pipe with what is larger than all buffers on the way.
    long = bytes(range(256)) * 40_000
    pipe = b"*3\r\n$3\r\nSET\r\n$6\r\n\r\n\x00\xff\r\n\r\n$%d\r\n%b\r\n" % (len(long), long)
    holds(b"errors: 0, replies: 3" in cli("--pipe", data=pipe * 3), "--pipe of ten megabytes a value")
    equal(cli("-x", "STRLEN", data=b"\r\n\x00\xff\r\n"), b"%d\n" % len(long))


def samples():
    """What takes most, of each type."""
    flush_all()
    rows = [b"SET small 1", b"SET large " + b"x" * 5000, b"RPUSH list " + b" e" * 300, b"SADD set" + b" %d" * 60 % tuple(range(60))]
    rows += [b"HSET hash" + b" f%d v" * 40 % tuple(range(40)), b"ZADD zset 1 a 2 b", b"XADD stream * f v", b"SADD one 1"]
    holds(b"ERR" not in cli(data=b"\n".join(rows) + b"\n"), "rows of all types")
    output = cli("--bigkeys")
    for line in (
        b'string found \'"large"\' has 5000 bytes',
        b'list found \'"list"\' has 300 items',
        b'set found \'"set"\' has 60 members',
        b'hash found \'"hash"\' has 40 fields',
        b'zset found \'"zset"\' has 2 members',
        b'stream found \'"stream"\' has 1 entries',
        b"2 strings with 5001 bytes",
        b"Sampled 8 keys in the keyspace!",
    ):
        holds(line in output, f"--bigkeys: {line} in {output}")
    output = cli("--memkeys")
    for name, kind in (("large", "string"), ("list", "list"), ("set", "set"), ("hash", "hash"), ("stream", "stream")):
        holds(re.search(rf"^Biggest +{kind} found '\"{name}\"' has \d+ bytes$".encode(), output, re.M), output)
    usage = {name: int(cli("MEMORY", "USAGE", name)) for name in ("small", "large", "list", "one", "set")}
    holds(usage["large"] > 5000 > usage["small"] > 0 and usage["list"] > 300 and usage["set"] > usage["one"], usage)
    holds(b"2 strings with %d bytes" % (usage["small"] + usage["large"]) in output, "the sum of --memkeys")
    equal(sorted(cli("--scan", "--pattern", "s*").split()), [b"set", b"small", b"stream"])


def refusals():
    """What the user of --acl may not do, and what nobody and somebody else is told."""
    if not user:
        return
    holds(b"NOPERM" in cli("GET", "!key") and b"one of the keys" in cli("GET", "!key"), "a key")
    holds(b"NOPERM" in cli("PUBLISH", "!news", "x"), "a channel")
    equal(cli("CONFIG", "SET", "timeout", "0"), b"NOPERM this user has no permissions to run the 'config|set' command\n\n")
    cli("-e", "CONFIG", "SET", "timeout", "0", code=1)
    for login, error in (([], b"NOAUTH "), (["--user", user, "--pass", "wrong"], b"WRONGPASS ")):
        done = subprocess.run([*CLI, *login, "GET", "key"], capture_output=True, timeout=60, check=False)
        holds(error in done.stdout + done.stderr, done)


def monitor():
    process = subprocess.Popen([*CLI, *LOGIN, "MONITOR"], stdout=subprocess.PIPE)
    equal(process.stdout.readline(), b"OK\n")
    cli(data=b'SET m "\\x01 \\"quoted\\""\nSELECT 3\nGET m\nNOSUCH\nGET\nAUTH a secret\nMULTI\nINCR n\nEXEC\n')
    cli("EVAL", "return redis.call('INCR', KEYS[1])", "1", "n")
    cli("ECHO", "over")
    lines = []
    while not lines or b"over" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "MONITOR ended"
    process.terminate()
    process.wait(30)
    shape = re.compile(rb"(\d+\.\d{6}) \[(\d+) (127\.0\.0\.1:\d+|lua)\] (.*)\n")
    parsed = [shape.fullmatch(line).groups() for line in lines]
    seconds = [float(line[0]) for line in parsed]
    equal(seconds, sorted(seconds))
    holds(abs(seconds[0] - time.time()) < 3600, "seconds since 1970")
    # Not what isn't a command, nor any password.
    expected = [
        (b"0", False, b'"COMMAND" "DOCS"'),  # redis-cli's own
        (b"0", False, b'"SET" "m" "\\x01 \\"quoted\\""'),
        (b"3", False, b'"SELECT" "3"'),
        (b"3", False, b'"GET" "m"'),
        (b"3", False, b'"AUTH" "(redacted)" "(redacted)"'),
        (b"3", False, b'"MULTI"'),
        (b"3", False, b'"INCR" "n"'),
        (b"3", False, b'"EXEC"'),
        (b"0", False, b'"EVAL" "return redis.call(\'INCR\', KEYS[1])" "1" "n"'),
        (b"0", True, b'"INCR" "n"'),
        (b"0", False, b'"ECHO" "over"'),
    ]
    if user:
        for at in (10, 8, 0):  # of each connection but MONITOR's
            expected.insert(at, (b"0", False, b'"AUTH" "(redacted)" "(redacted)"'))
    equal([(db, who == b"lua", words) for _, db, who, words in parsed], expected)


def locks():
    token = int(cli("LOCK", "lock", "me", "60000"))
    waiter = subprocess.Popen([*CLI, *LOGIN, "LOCK", "lock", "you", "60000", "WAIT", "30000"], stdout=subprocess.PIPE)
    wait_for("the other one waits", lambda: b"blocked_clients:1\r" in cli("INFO", "clients"))
    equal(cli("UNLOCK", "lock", "me"), b"1\n")
    output, _ = waiter.communicate(timeout=30)
    holds(int(output) > token, "tokens rise")
    holds(cli("SET", "g", "x", "FENCE", output.decode().strip()) == b"OK\n", "FENCE")


def reconnect():
    """A redis-cli that stays while the server is started again."""
    process = subprocess.Popen([*CLI, *LOGIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

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


flush_all()
refusals()
single_commands()
resp3()
scripts()
errors()
mass_insertion()
samples()
monitor()
if with_locks:
    locks()
reconnect()
finish()
