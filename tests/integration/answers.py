#!/usr/bin/env python3
"""Answers that are Redis's, found by tests/fuzz/sequences. They hold for HOLDFAST=redis-server, too."""

from harness import Server, equal, main, test

RANGE = "ERR value is out of range, value must between -2147483648 and 2147483647"
SYNTAX = "ERR syntax error"


@test
def pcall_gives_the_text_of_an_error():
    with Server().client() as c:
        script = "local ok, e = pcall(redis.call, 'INCR'); return {tostring(ok), type(e), e}"
        text = b"ERR Wrong number of args calling Redis command from script"
        equal(c("EVAL", script, 0), [b"false", b"string", text])
        text = b"mine"
        equal(c("EVAL", "local ok, e = pcall(error, {err = 'mine'}); return e", 0), text)
        # Whatever else was raised stays what it is, and so does what is returned.
        equal(c("EVAL", "local ok, e = pcall(error, {code = 7}); return e.code", 0), 7)
        equal(c("EVAL", "local ok, e = pcall(error, 'text', 0); return e", 0), b"text")
        equal(c("EVAL", "return {select('#', pcall(function() return 1, 2 end))}", 0), [3])
        equal(c("EVAL", "return {pcall(function() return {err = 'E x'} end)}", 0)[0], 1)
        equal(c("EVAL", "local r = redis.pcall('INCR'); return type(r)", 0), b"table")


@test
def arguments_are_looked_at_in_redis_order():
    with Server().client() as c:
        equal(c.error("BLMPOP", "-1", 2, "a", "b", "RIGHT", "c"), SYNTAX)
        equal(c.error("BLMPOP", "abc", -3, "a", "RIGHT"), "ERR numkeys should be greater than 0")
        equal(c.error("BLMPOP", "abc", 1, "a", "RIGHT", "COUNT", 0), "ERR count should be greater than 0")
        equal(c.error("BLMPOP", "abc", 1, "a", "RIGHT"), "ERR timeout is not a float or out of range")
        equal(c.error("LMPOP", 1, "a", "LEFT", "COUNT", "COUNT", 10), "ERR count should be greater than 0")
        equal(c.error("ZMPOP", 1, "a", "MIN", "COUNT", "x", 10), "ERR count should be greater than 0")
        equal(c.error("ZMPOP", 1, "a", "MIN", "COUNT", 1, 10), SYNTAX)
        payload = "ERR DUMP payload version or checksum are wrong"
        equal(c.error("RESTORE", "a", 2**63 - 1, "no payload"), payload)
        equal(c.error("SELECT", -(2**63)), RANGE)
        equal(c.error("EVAL", "return redis.pcall('SELECT', ARGV[1])", 0, 2**40), RANGE)
        text = "ERR value is not an integer or out of range"
        equal(c.error("EVAL", "return redis.pcall('SELECT', 'abc')", 0), text)


@test
def sort_keeps_the_order_of_a_list_or_turns_it_round():
    with Server().client() as c:
        c("RPUSH", "l", *"abcde")
        equal(c("SORT", "l", "BY", "nosort", "LIMIT", 1, 2), [b"b", b"c"])
        equal(c("SORT", "l", "BY", "", "DESC", "LIMIT", 1, 2), [b"d", b"c"])
        equal(c("SORT", "l", "BY", "nosort", "DESC", "LIMIT", 3, 9), [b"b", b"a"])
        equal(c("SORT", "l", "BY", "nosort", "DESC", "STORE", "turned"), 5)
        equal(c("LRANGE", "turned", 0, -1), [b"e", b"d", b"c", b"b", b"a"])


@test
def cursors_are_read_as_by_strtoul():
    with Server().client() as c:
        c("HSET", "h", "f", "v")
        for command in ("HSCAN", "SSCAN", "ZSCAN"):
            for cursor in ("-1", "+1", "01", "", "18446744073709551615"):
                equal(c(command, "nokey", cursor, "COUNT", -1), [b"0", []])
            for cursor in (" 1", "1 ", "abc", "-", "1x", "18446744073709551616"):
                equal(c.error(command, "nokey", cursor), "ERR invalid cursor")
        equal(c("HSCAN", "h", "+0"), [b"0", [b"f", b"v"]])
        equal(c.error("SCAN", "x"), "ERR invalid cursor")
        equal(c("SCAN", 0, "TYPE", ""), [b"0", []])
        equal(c("SCAN", 0, "TYPE", "HASH"), [b"0", [b"h"]])


@test
def integers_in_a_small_sorted_set_are_scanned_with_all_digits():
    with Server().client() as c:
        c("ZADD", "z", "1234567890123456789", "a", "0.5", "b", "-1e18", "c")
        expected = [b"c", b"-1000000000000000000", b"b", b"0.5", b"a", b"1234567890123456768"]
        equal(c("ZSCAN", "z", 0), [b"0", expected])
        equal(c("ZSCORE", "z", "a"), b"1.2345678901234568e+18")


@test
def group_options_and_ids():
    with Server().client() as c:
        text = "ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP."
        equal(c.error("XGROUP", "CREATE", "x", "g", 0, "MKSTREAM", "MKSTREAM", "ENTRIESREAD", 8), text)
        equal(c("EXISTS", "x"), 0)
        equal(c("XGROUP", "CREATE", "x", "g", 0, "MKSTREAM", "ENTRIESREAD", 8), "OK")
        text = "ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP."
        equal(c.error("XGROUP", "SETID", "x", "g", 0, "ENTRIESREAD", 1, "ENTRIESREAD", 8), text)
        equal(c("XADD", "x", " 3-+2", "f", "v"), b"3-2")
        equal(c("XREAD", "STREAMS", "x", " 1"), [[b"x", [[b"3-2", [b"f", b"v"]]]]])


@test
def hyperloglogs_have_redis_bytes():
    with Server().client() as c:
        c("PFADD", "p")
        equal(c("GET", "p"), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff")
        equal(c("PFCOUNT", "p"), 0)
        equal(c("GET", "p"), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff")
        c("PFADD", "q", "a", "b", "c")
        equal(c("PFCOUNT", "q"), 3)
        # Merged into itself: the count is marked as old, and nothing else changes.
        before = c("GET", "q")
        c("PFMERGE", "q")
        equal(c("GET", "q"), before[:15] + b"\x80" + before[16:])


if __name__ == "__main__":
    main()
