#!/usr/bin/env python3
"""Access control: users of one node and of three, and that no secret gets anywhere."""

# also under: asan tsan

import hashlib
import os
import socket
import subprocess
import threading

from harness import ReplyError, Server, equal, main, ports, refused_start, scaled, temp_dir, test, wait_for
from nodes import cluster, leader_of, node, others, voters
from resp import Client, Closed

NO_COMMAND = "NOPERM this user has no permissions to run the '{}' command"
NO_KEY = "NOPERM this user has no permissions to access one of the keys used as arguments"
NO_CHANNEL = "NOPERM this user has no permissions to access one of the channels used as arguments"
SECRET = "s3cr3t-that-nobody-may-see"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def as_user(server: Server, name: str, password: str = "pw") -> Client:
    client = server.client()
    equal(client("AUTH", name, password), "OK")
    return client


def refusal(client: Client, *request) -> str:
    reply = client.ask(*request)
    assert isinstance(reply, ReplyError), (request, reply)
    return str(reply)


def is_closed(client: Client) -> bool:
    try:
        client.ask("PING")
    except (Closed, OSError):
        return True
    return False


def is_open(server: Server) -> bool:
    try:
        server.client().close()
    except OSError:
        return False
    return True


def users(server: Server) -> list[bytes]:
    with server.client() as c:
        return c("ACL", "LIST")


# ---- One node


@test
def what_a_user_may_is_checked_on_all_ways():
    server = Server(cores=2, partitions=2)
    with server.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "%R~r*", "&news", "+@all", "-@admin", "-flushall")
        c("SET", "r1", "1")
    with as_user(server, "alice") as a:
        equal(a("ACL", "WHOAMI"), b"alice")
        equal(a("SET", "a1", "v"), "OK")
        equal(a("GET", "r1"), b"1")
        equal(refusal(a, "SET", "r1", "v"), NO_KEY)
        equal(refusal(a, "GET", "x"), NO_KEY)
        equal(refusal(a, "MGET", "a1", "x"), NO_KEY)
        equal(refusal(a, "FLUSHALL"), NO_COMMAND.format("flushall"))
        equal(refusal(a, "CONFIG", "GET", "*"), NO_COMMAND.format("config|get"))
        equal(refusal(a, "PUBLISH", "other", "x"), NO_CHANNEL)
        equal(a("PUBLISH", "news", "x"), 0)
        equal(refusal(a, "PSUBSCRIBE", "new*"), NO_CHANNEL)
        equal(refusal(a, "SORT", "a2", "BY", "w*"), "ERR BY option of SORT denied due to insufficient ACL permissions.")
        equal(a("LOCK", "a-lock", "me", 1000) > 0, True)
        equal(refusal(a, "LOCK", "x-lock", "me", 1000), NO_KEY)
        # Holdfast's own SETs that read.
        equal(refusal(a, "SET", "r1", "v", "IFEQ", "1"), NO_KEY)


@test
def transactions_are_checked_twice():
    server = Server(cores=2, partitions=2)
    with server.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~*", "&*", "+@all")
        with as_user(server, "alice") as a:
            a("MULTI")
            equal(a("SET", "k", "1"), "QUEUED")
            equal(a("INCR", "k"), "QUEUED")
            equal(a("PING"), "QUEUED")
            c("ACL", "SETUSER", "alice", "-incr", "-ping")
            replies = a("EXEC")
            equal(replies[0], "OK")
            for reply in replies[1:]:
                equal(
                    str(reply),
                    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call."
                    " This command is no longer allowed for the following reason: no permission to execute the"
                    " command or subcommand",
                )
            equal(c("GET", "k"), b"1")
            a("MULTI")
            equal(refusal(a, "INCR", "k"), NO_COMMAND.format("incr"))
            assert refusal(a, "EXEC").startswith("EXECABORT"), "a refused command aborts"
        contexts = {entry[5] for entry in c("ACL", "LOG")}
        equal(contexts, {b"multi"})
        # Who one becomes inside of it counts for what follows on the connection's own core.
        c("ACL", "SETUSER", "bob", "on", ">pw", "+multi", "+exec")
        c("MULTI")
        c("AUTH", "bob", "pw")
        c("CONFIG", "GET", "port")
        replies = c("EXEC")
        equal(replies[0], "OK")
        assert str(replies[1]).startswith("NOPERM"), replies


@test
def scripts_are_checked_call_by_call():
    server = Server()
    with server.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "+@all", "-del")
        c("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(k) return redis.call('GET', k[1]) end)")
    with as_user(server, "alice") as a:
        equal(a("EVAL", "return redis.call('SET', KEYS[1], 'v')", 1, "a1"), "OK")
        equal(refusal(a, "EVAL", "return 1", 1, "x"), NO_KEY)
        said = refusal(a, "EVAL", "return redis.call('GET', 'x')", 0)
        assert "can't access at least one of the keys mentioned in the command arguments" in said, said
        said = refusal(a, "EVAL", "return redis.call('DEL', 'a1')", 0)
        assert "can't run this command or subcommand" in said, said
        said = refusal(a, "EVAL", "return redis.call('PUBLISH', 'c', 'x')", 0)
        assert "can't publish to the channel mentioned in the command" in said, said
        said = refusal(a, "EVAL_RO", "return redis.call('SORT', 'a1', 'GET', 'x')", 0)
        assert "denied" in said or "read-only" in said, said
        equal(a("FCALL", "f", 1, "a1"), b"v")
        equal(
            a("EVAL", "return {redis.acl_check_cmd('GET', 'a1'), redis.acl_check_cmd('GET', 'x')}", 0),
            [1, None],
        )


@test
def a_user_has_a_name():
    # One without would be taken for the node itself where a script runs.
    path = temp_dir() / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n")
    server = Server(aclfile=path)
    with server.client() as c:
        equal(refusal(c, "ACL", "SETUSER", "", "on", "nopass", "~a*", "+@all"), "ERR Usernames can't be empty")
        path.write_text("user default on nopass ~* &* +@all\nuser  on nopass ~a* +@all\n")
        assert "contains invalid characters" in refusal(c, "ACL", "LOAD")
        equal(c("ACL", "USERS"), [b"default"])
        assert refusal(c, "AUTH", "", "x").startswith("WRONGPASS")


@test
def a_transaction_ends_with_an_exec_that_is_refused():
    server = Server()
    with server.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~*", "+@all", "-exec")
    with as_user(server, "alice") as a:
        equal(a("MULTI"), "OK")
        equal(a("SET", "a", "1"), "QUEUED")
        equal(refusal(a, "EXEC"), "EXECABORT Transaction discarded because of: " + NO_COMMAND.format("exec"))
        equal(a("SET", "a", "2"), "OK")
    with server.client() as c:
        equal(c("MULTI"), "OK")
        equal(
            refusal(c, "EXEC", "now"),
            "EXECABORT Transaction discarded because of: ERR wrong number of arguments for 'exec' command",
        )
        equal(c("GET", "a"), b"2")


@test
def changed_rules_reach_connections_at_once():
    server = Server(cores=2, partitions=2)
    with server.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~*", "&*", "+@all")
        with as_user(server, "alice") as blocked, as_user(server, "alice") as listener, as_user(server, "alice") as a:
            blocked.send("BLPOP", "list", 0)
            listener("SUBSCRIBE", "channel")
            wait_for("it waits", lambda: c.info("clients")["blocked_clients"] == "1")
            c("ACL", "SETUSER", "alice", "-blpop", "resetchannels", "&other")
            reply = blocked.read()
            equal(str(reply), NO_COMMAND.format("blpop"))
            wait_for("the listener is closed", lambda: is_closed(listener))
            equal(a("GET", "k"), None)
            # What it would have popped is there.
            c("RPUSH", "list", "v")
            equal(c("LLEN", "list"), 1)
            equal(blocked("PING"), "PONG")
            # One that may go on waiting does.
            blocked.send("BRPOP", "empty", 0)
            wait_for("it waits", lambda: c.info("clients")["blocked_clients"] == "1")
            c("ACL", "SETUSER", "alice", "-get")
            equal(refusal(a, "GET", "k"), NO_COMMAND.format("get"))
            c("RPUSH", "empty", "v")
            equal(blocked.read(), [b"empty", b"v"])
            equal(c("ACL", "DELUSER", "alice", "nobody"), 1)
            for each in (blocked, a):
                wait_for("it is closed", lambda each=each: is_closed(each))
        equal(refusal(c, "ACL", "DELUSER", "default"), "ERR The 'default' user cannot be removed")
        # Whoever deletes the own user has the answer.
        c("ACL", "SETUSER", "bob", "on", ">pw", "+@all")
        with as_user(server, "bob") as b:
            equal(b("ACL", "DELUSER", "bob"), 1)
            wait_for("it is closed", lambda: is_closed(b))


@test
def users_survive_a_crash():
    server = Server()
    with server.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "+get", "(~b* +set)")
        before = c("ACL", "LIST")
    server.kill()
    server.start()
    equal(users(server), before)
    with as_user(server, "alice") as a:
        equal(refusal(a, "SET", "a", "v"), NO_KEY)
    server.restart()
    equal(users(server), before)


@test
def requirepass_is_the_default_users_password():
    server = Server(requirepass="first")
    with server.client() as c:
        assert refusal(c, "GET", "k").startswith("NOAUTH")
        assert refusal(c, "AUTH", "wrong").startswith("WRONGPASS")
        equal(c("AUTH", "first"), "OK")
        c("CONFIG", "SET", "requirepass", "second")
        c("ACL", "SETUSER", "alice", "on", ">pw", "+ping")
    with server.client() as c:
        assert refusal(c, "AUTH", "first").startswith("WRONGPASS")
        equal(c("AUTH", "default", "second"), "OK")
        # A user of its own rules from here on; the option goes on setting its password.
        c("ACL", "SETUSER", "default", "-flushall")
        c("CONFIG", "SET", "requirepass", "third")
    with server.client() as c:
        assert refusal(c, "AUTH", "second").startswith("WRONGPASS")
        equal(c("AUTH", "third"), "OK")
        equal(refusal(c, "FLUSHALL"), NO_COMMAND.format("flushall"))
        c("CONFIG", "SET", "requirepass", "")
    with server.client() as c:
        equal(c("PING"), "PONG")
    server.restart()
    with server.client() as c:
        # Its record wins over the file.
        equal(c("PING"), "PONG")


@test
def secrets_are_nowhere():
    server = Server(log_level="debug", slowlog_log_slower_than=0)
    with server.client() as c, server.client() as monitor:
        monitor("MONITOR")
        c("ACL", "SETUSER", "alice", "on", f">{SECRET}", "~*", "+@all")
        c("CONFIG", "SET", "requirepass", SECRET)
        c("AUTH", SECRET)
        c("AUTH", "alice", SECRET)
        c("HELLO", 3, "AUTH", "alice", SECRET)
        refusal(c, "ACL", "SETUSER", "bob", f"<{SECRET}")
        refusal(c, "AUTH", "bob", SECRET)
        c("ACL", "DRYRUN", "alice", "AUTH", SECRET)
        c("ACL", "DRYRUN", "alice", "ACL", "SETUSER", "alice", f">{SECRET}")
        refusal(c, "CONFIG", "SET", "masterauth", SECRET)
        c("MULTI")
        c("AUTH", "alice", SECRET)
        c("EXEC")
        c("SET", "last", "one")
        seen = []
        while not seen or b"last" not in seen[-1]:
            seen.append(monitor.read() if isinstance(monitor, Client) else b"")
            if isinstance(seen[-1], str):
                seen[-1] = seen[-1].encode()
        shown = [b"".join(seen), repr(c("SLOWLOG", "GET", -1)).encode()]
        shown.append(repr([c("INFO", "everything"), c("ACL", "LOG"), c("ACL", "LIST"), c("CLIENT", "LIST")]).encode())
        c("SAVE")
        for text in shown:
            assert SECRET.encode() not in text, text
        assert b"(redacted)" in shown[1], shown[1]
        assert sha256(SECRET).encode() not in shown[0] + shown[1]
    server.terminate()
    assert SECRET not in server.log_text()
    for path in server.directory.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


@test
def an_acl_file_is_loaded_and_saved():
    path = temp_dir() / "users.acl"
    path.write_text("user alice on >pw ~a* +@all\nuser default on nopass ~* &* +@all\n")
    server = Server(aclfile=path)
    with server.client() as c:
        equal(c("ACL", "USERS"), [b"alice", b"default"])
        c("ACL", "SETUSER", "bob", "on", ">pw", "+get", "~b*", "(+set ~c*)")
        before = c("ACL", "LIST")
        equal(c("ACL", "SAVE"), "OK")
        lines = path.read_text().splitlines()
        equal([line.encode() for line in lines], before)
        equal(path.stat().st_mode & 0o777, 0o600)
        assert [each.name for each in path.parent.iterdir()] == ["users.acl"], "no temporary file stays"
        c("ACL", "SETUSER", "carol", "on")
        with as_user(server, "bob") as b, as_user(server, "alice") as a:
            c("ACL", "SETUSER", "bob", "-get")
            equal(c("ACL", "LOAD"), "OK")
            equal(c("ACL", "LIST"), before)
            equal(b("GET", "b1"), None)
            # A file with faults changes nothing.
            path.write_text("user bob +@nothing\nuser bob on\nwhat\n")
            said = refusal(c, "ACL", "LOAD")
            for part in (":1: Error in applying operation '+@nothing'", "Duplicate user 'bob' found on line 2", ":3 should start"):
                assert part in said, said
            equal(c("ACL", "LIST"), before)
            path.unlink()
            assert refusal(c, "ACL", "LOAD").startswith("ERR Error loading ACLs, opening file")
            path.write_text("user default on nopass ~* &* +@all\nuser alice on >pw ~a* +@all\n")
            equal(c("ACL", "LOAD"), "OK")
            wait_for("a user that is gone is closed", lambda: is_closed(b))
            equal(a("GET", "a"), None)
    server.restart()
    with server.client() as c:
        equal(c("ACL", "USERS"), [b"alice", b"default"])
    with Server().client() as c:
        assert "not configured to use an ACL file" in refusal(c, "ACL", "SAVE")


@test
def users_of_the_configuration():
    file = temp_dir() / "holdfast.yaml"
    file.write_text("users:\n  - user alice on >pw ~a* +@all (+get ~b*)\n  - user default on >top ~* &* +@all\n")
    server = Server(config=file)
    with server.client() as c:
        assert refusal(c, "PING").startswith("NOAUTH")
        c("AUTH", "top")
        equal(c("ACL", "USERS"), [b"alice", b"default"])
        assert b"pw" not in c("CONFIG", "GET", "users")[1]
        c("ACL", "SETUSER", "alice", "+@all", "resetkeys")
        before = c("ACL", "LIST")
    server.restart()
    with server.client() as c:
        # Records win from the first change on.
        c("AUTH", "top")
        equal(c("ACL", "LIST"), before)
    directory = temp_dir()
    base = ["--dir", str(directory / "data"), "--port", str(ports.take())]
    said = refused_start([*base, "--users", "user a on user a off"])
    assert "defined twice" in said, said
    said = refused_start([*base, "--users", "user a +nothing"])
    assert "Unknown command or category name in ACL" in said, said
    acl = directory / "users.acl"
    acl.write_text("user a on\n")
    said = refused_start([*base, "--users", "user a on", "--aclfile", str(acl)])
    assert "give one of them" in said, said
    acl.write_text("user a wrong\n")
    said = refused_start([*base, "--aclfile", str(acl)])
    assert ":1: Syntax error" in said, said


@test
def hostile_input_costs_little():
    server = Server()
    with server.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "+@all", "~" + "a*" * 64 + "b")
        equal(refusal(c, "ACL", "SETUSER", "bob", "~" + "x" * (2 << 20)), "ERR The user would have too many rules")
        equal(refusal(c, "ACL", "SETUSER", "b" * 2000), "ERR Usernames can't be so long")
        equal(refusal(c, "ACL", "SETUSER", "a b"), "ERR Usernames can't contain spaces or null characters")
        assert refusal(c, "AUTH", "alice", "x" * (8 << 20)).startswith("WRONGPASS")
        assert refusal(c, "AUTH", "u" * (8 << 20), "x").startswith("WRONGPASS")
        equal(len(c("ACL", "LOG")[0][9]), 1024)
    with as_user(server, "alice") as a:
        equal(refusal(a, "GET", "a" * 100_000), NO_KEY)


@test
def thousands_of_users_are_loaded_listed_and_saved():
    path = temp_dir() / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n")
    server = Server(cores=1, aclfile=path)
    rules = "~app:* resetchannels -@all +@read +@write -@dangerous +ping +select|0"
    count = scaled(10_000)
    lines = [f"user u{i} on #{i:064x} {rules}\n" for i in range(count)]
    path.write_text("user default on nopass ~* &* +@all\n" + "".join(lines))
    with server.client() as c:
        equal(c("ACL", "LOAD"), "OK")
        listed = c("ACL", "LIST")
        equal(len(listed), count + 1)
        equal(c("ACL", "SAVE"), "OK")
        # What was saved means the same.
        equal(c("ACL", "LOAD"), "OK")
        assert c("ACL", "LIST") == listed


@test
def protected_mode_keeps_others_out():
    addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    outside = next((each for each in addresses if "." in each and not each.startswith("127.")), None)
    if outside is None:
        print("    not tested: this machine has no address but the loopback interface's")
        return
    server = Server(bind=f"127.0.0.1 {outside}")

    def from_outside() -> bytes:
        with socket.create_connection((outside, server.port), timeout=10, source_address=(outside, 0)) as s:
            s.sendall(b"PING\r\n") if protected is False else None
            received = b""
            while not received.endswith(b"\r\n"):
                part = s.recv(4096)
                if not part:
                    break
                received += part
            return received

    protected = True
    text = from_outside()
    assert text.startswith(b"-DENIED Redis is running in protected mode because protected mode is enabled"), text
    with server.client() as c:
        equal(c("PING"), "PONG")
        protected = False
        c("CONFIG", "SET", "protected-mode", "no")
        equal(from_outside(), b"+PONG\r\n")
        c("CONFIG", "SET", "protected-mode", "yes", "requirepass", "pw")
        assert from_outside().startswith(b"-NOAUTH"), "a password is protection enough"
        c("CONFIG", "SET", "requirepass", "")
        protected = True
        assert from_outside().startswith(b"-DENIED")
        equal(int(c.info("stats")["rejected_connections"]), 2)


# ---- Three nodes


@test
def a_user_is_known_everywhere_when_it_is_answered():
    nodes = cluster(3, cores=2, partitions=2)
    for i, each in enumerate(nodes * 2):
        with each.client() as c:
            c("ACL", "SETUSER", f"u{i}", "on", ">pw", "~a*", "+get", "+acl|whoami")
        for other in nodes:
            with as_user(other, f"u{i}") as u:
                equal(u("ACL", "WHOAMI"), f"u{i}".encode())
                equal(u("GET", "a1"), None)
                equal(refusal(u, "GET", "x"), NO_KEY)
                equal(refusal(u, "SET", "a1", "v"), NO_COMMAND.format("set"))
    lists = [users(each) for each in nodes]
    equal(lists[0], lists[1])
    equal(lists[0], lists[2])
    with nodes[1].client() as c:
        c("ACL", "DELUSER", "u0")
    for each in nodes:
        with each.client() as c:
            assert refusal(c, "AUTH", "u0", "pw").startswith("WRONGPASS")


@test
def users_outlive_a_leader():
    nodes = cluster(3)
    leader = leader_of(nodes)
    with others(nodes, leader)[0].client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "+@all")
        c("ACL", "SETUSER", "default", "on", "-flushall")
    leader.kill()
    rest = others(nodes, leader)
    leader_of(rest)
    for each in rest:
        with as_user(each, "alice") as a:
            equal(refusal(a, "SET", "x", "v"), NO_KEY)
        with each.client() as c:
            equal(refusal(c, "FLUSHALL"), NO_COMMAND.format("flushall"))
    def changed():
        with rest[1].client() as c:
            return c.ask("ACL", "SETUSER", "alice", "-set") == "OK"
    wait_for("the new leader takes changes", changed)
    leader.start()
    def knows():
        with leader.client() as c:
            return c.ask("AUTH", "alice", "pw") == "OK" and "'set'" in str(c.ask("SET", "a", "v"))
    wait_for("the old one has learned", knows)
    equal(users(leader), users(rest[0]))


@test
def scripts_are_checked_where_they_run():
    nodes = cluster(3)
    leader = leader_of(nodes)
    follower = others(nodes, leader)[0]
    with follower.client() as c, leader.client() as l:
        c("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(k) return redis.call('GET', 'x') end)")
        c("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "+@all")
        with as_user(follower, "alice") as a:
            for i in range(20):
                equal(a("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", 1, "a1", i), "OK")
                c("ACL", "SETUSER", "alice", "-set")
                said = refusal(a, "EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", 1, "a1", i)
                assert "can't run this command" in said, said
                c("ACL", "SETUSER", "alice", "+set")
            said = refusal(a, "FCALL", "f", 1, "a1")
            assert "can't access at least one of the keys" in said, said
            equal(a("EVAL", "return {redis.acl_check_cmd('GET', 'a'), redis.acl_check_cmd('GET', 'x')}", 1, "a"), [1, None])
            # Nor does EXEC open a way around.
            a("MULTI")
            a("SET", "a2", "v")
            a("EVAL", "return redis.call('GET', 'x')", 1, "a1")
            replies = a("EXEC")
            equal(replies[0], "OK")
            assert "can't access at least one of the keys" in str(replies[1]), replies
        # The leader, where it ran, has it in its log.
        assert any(entry[5] == b"lua" for entry in l("ACL", "LOG", 100))


@test
def scripts_wait_for_users_only():
    # A node that starts, or gets a snapshot, knows of revisions that have nothing to do with users:
    # other nodes' are no older for that.
    nodes = cluster(3)
    leader = leader_of(nodes)
    other = others(nodes, leader)[0]
    with leader.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "+@all")
        c("CONFIG", "SET", "maxmemory-samples", "7")
    wait_for("it is there, too", lambda: other.client().config("maxmemory-samples") == "7")
    with other.client() as c:
        c("SAVE")
    other.restart()
    wait_for("it votes again", lambda: voters(other, 3))
    wait_for("the leader stays", lambda: leader_of(nodes) is leader)
    with as_user(other, "alice") as a:
        equal(a("EVAL", "return redis.call('SET', KEYS[1], 'v')", 1, "a1"), "OK")
        assert "can't access" in refusal(a, "EVAL", "return redis.call('SET', 'b', 'v')", 1, "a1")


@test
def what_nodes_say_to_each_other_is_not_for_clients():
    server = node()
    wait_for("it leads", lambda: server.client().ask("ACL", "SETUSER", "alice", "on", ">pw", "~a*", "+@all", "-acl", "-config") == "OK")
    before = users(server)
    with as_user(server, "alice") as a:
        for name in ("SETUSERS", "setoption"):
            said = f"ERR unknown subcommand '{name}'. Try CLUSTER HELP."
            equal(refusal(a, "CLUSTER", name, "SET", "alice", "~*", "+acl"), said)
        equal(refusal(a, "CLUSTER", "SETUSERS", "LOAD"), "ERR unknown subcommand 'SETUSERS'. Try CLUSTER HELP.")
    equal(users(server), before)


@test
def what_is_forwarded_and_blocked_ends_too():
    nodes = cluster(3)
    leader = leader_of(nodes)
    follower = others(nodes, leader)[0]
    with leader.client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~*", "+@all")
        with as_user(follower, "alice") as a, follower.client() as f:
            a.send("BLPOP", "list", 0)
            wait_for("it waits", lambda: f.info("clients")["blocked_clients"] == "1")
            c("ACL", "SETUSER", "alice", "resetkeys", "~other")
            equal(str(a.read()), NO_KEY)
            c("RPUSH", "list", "v")
            equal(c("LRANGE", "list", 0, -1), [b"v"])
            a("MULTI")
            equal(a("SET", "other", "v"), "QUEUED")
            c("ACL", "SETUSER", "alice", "-set")
            assert "no permission to execute the command" in str(a("EXEC")[0])
            equal(c("GET", "other"), None)


@test
def changes_at_all_nodes_at_once_are_all_kept():
    nodes = cluster(3)

    def work(i: int, server: Server):
        with server.client() as c:
            for n in range(10):
                equal(c("ACL", "SETUSER", "shared", f"~{i}-{n}"), "OK")

    threads = [threading.Thread(target=work, args=(i, each)) for i, each in enumerate(nodes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = {f"~{i}-{n}" for i in range(3) for n in range(10)}
    for each in nodes:
        with each.client() as c:
            reply = c("ACL", "GETUSER", "shared")
            fields = dict(zip(reply[::2], reply[1::2]))
            equal(set(fields[b"keys"].decode().split()), wanted)


@test
def a_password_of_one_node_is_that_of_all():
    nodes = cluster(3)
    with nodes[2].client() as c:
        c("CONFIG", "SET", "requirepass", "pw")
    for each in nodes:
        with each.client() as c:
            assert refusal(c, "GET", "k").startswith("NOAUTH")
            equal(c("AUTH", "pw"), "OK")
            equal(c.ask("GET", "k"), None)
    # A change of leader needs no password of clients.
    leader = nodes[0]
    leader.kill()
    leader.start()
    with leader.client() as c:
        equal(c("AUTH", "pw"), "OK")


@test
def a_node_learns_the_users_before_it_listens():
    nodes = cluster(3)
    away = others(nodes, leader_of(nodes))[0]
    with nodes[0].client() as c:
        c("ACL", "SETUSER", "alice", "on", ">pw", "~*", "+@all")
    away.kill()
    with leader_of(others(nodes, away)).client() as c:
        c("ACL", "DELUSER", "alice")
        c("ACL", "SETUSER", "default", "resetpass", ">top")
    away.start()
    new = node(nodes[0])
    # Their first connections, as soon as they take any.
    for each in (away, new):
        with each.client() as c:
            assert refusal(c, "GET", "k").startswith("NOAUTH")
            assert refusal(c, "AUTH", "alice", "pw").startswith("WRONGPASS")
            equal(c("AUTH", "top"), "OK")


@test
def a_new_node_lets_nobody_in_before_it_knows_the_users():
    nodes = cluster(3)
    with nodes[0].client() as c:
        c("ACL", "SETUSER", "default", "resetpass", ">pw")
    new = node(nodes[0])
    # Before it has written down anything.
    new.kill()
    for each in nodes:
        each.kill()
    new.launch()
    try:
        wait_for("it says so", lambda: "clients have to wait" in new.log_text() or is_open(new))
        assert not is_open(new), "who connects now stays in without a password"
    finally:
        for each in nodes:
            each.launch()
        for each in (*nodes, new):
            each.wait_ready()
    equal(refusal(new.client(), "PING"), "NOAUTH Authentication required.")


@test
def acl_load_replaces_the_users_of_all_nodes():
    path = temp_dir() / "users.acl"
    path.write_text("user alice on >pw ~a* +@all\n")
    nodes = cluster(3, aclfile=path)
    with nodes[0].client() as c:
        c("ACL", "SETUSER", "bob", "on", ">pw", "+@all", "~*")
        with as_user(nodes[1], "bob") as b:
            path.write_text("user alice on >pw ~other +@all\n")
            equal(c("ACL", "LOAD"), "OK")
            wait_for("bob is gone everywhere", lambda: is_closed(b))
    for each in nodes:
        with as_user(each, "alice") as a:
            equal(refusal(a, "GET", "a1"), NO_KEY)
        with each.client() as c:
            equal(c("ACL", "USERS"), [b"alice", b"default"])


@test
def a_node_without_a_majority_changes_nothing():
    nodes = cluster(3, cluster_retry_timeout=500)
    before = users(nodes[0])
    for each in nodes[1:]:
        each.kill()
    with nodes[0].client() as c:
        said = refusal(c, "ACL", "SETUSER", "alice", "on")
        assert said.startswith(("CLUSTERDOWN", "TRYAGAIN", "INDOUBT")), said
        equal(c("ACL", "LIST"), before)


if __name__ == "__main__":
    main()
