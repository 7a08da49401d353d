"""A RESP client of the tests' own: raw bytes when a test is about bytes, replies of RESP2 and RESP3.

A reply becomes: `+` str, `-` ReplyError (a value, not raised, except by Client.__call__), `:` and `(`
int, `$` bytes, `=` bytes, `_` `$-1` `*-1` None, `#` bool, `,` float, `*` list, `~` RespSet, `%` dict,
`>` Push. An attribute is read and dropped.
"""

import math
import socket
import ssl
import time

TIMEOUT_S = 30  # of one reply, unless the test says otherwise


class ReplyError(Exception):
    """An error reply; str() is its text without the `-`."""


class ProtocolError(Exception):
    """Bytes that are no RESP."""


class Closed(Exception):
    """The server closed the connection, or it was reset."""


class Push(list):
    pass


class RespSet(list):
    pass


class _Incomplete(Exception):
    pass


def encode(*args) -> bytes:
    """A request as an array of bulk strings. Numbers and text are converted."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        if isinstance(arg, str):
            arg = arg.encode()
        elif not isinstance(arg, (bytes, bytearray)):
            arg = str(arg).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(arg), arg))
    return b"".join(parts)


class Parser:
    """Replies out of a stream of bytes, however it was cut."""

    def __init__(self):
        self._data = bytearray()
        self._at = 0  # start of the first reply not yet taken
        self._needed = 0  # so many bytes must be there before another try makes sense

    def feed(self, data: bytes) -> None:
        self._data += data

    def pending(self) -> int:
        """Bytes of incomplete replies."""
        return len(self._data) - self._at

    def next(self):
        """The next reply as a one-element tuple, or None when it isn't complete."""
        if len(self._data) < self._needed or self._at == len(self._data):
            return None
        try:
            value, end = self._parse(self._at)
        except _Incomplete:
            return None
        self._at = end
        self._needed = 0
        if self._at > 1 << 20 or self._at == len(self._data):
            del self._data[: self._at]
            self._at = 0
        return (value,)

    def _line(self, at: int) -> tuple[bytes, int]:
        end = self._data.find(b"\r\n", at)
        if end < 0:
            raise _Incomplete
        return bytes(self._data[at:end]), end + 2

    def _parse(self, at: int):
        line, at = self._line(at)
        kind, text = line[:1], line[1:]
        if kind == b"$" or kind == b"=":
            length = int(text)
            if length < 0:
                return None, at
            if len(self._data) < at + length + 2:
                self._needed = at + length + 2
                raise _Incomplete
            if self._data[at + length : at + length + 2] != b"\r\n":
                raise ProtocolError("no line end behind a string")
            value = bytes(self._data[at : at + length])
            return (value if kind == b"$" else value[4:]), at + length + 2
        if kind == b":" or kind == b"(":
            return int(text), at
        if kind == b"+":
            return text.decode(), at
        if kind == b"-":
            return ReplyError(text.decode(errors="replace")), at
        if kind == b"*" or kind == b"~" or kind == b">":
            return self._array(kind, int(text), at)
        if kind == b"%" or kind == b"|":
            pairs, at = self._array(b"*", 2 * int(text), at)
            if kind == b"|":
                return self._parse(at)
            return dict(zip(map(_hashable, pairs[::2]), pairs[1::2])), at
        if kind == b"_":
            return None, at
        if kind == b"#":
            return text == b"t", at
        if kind == b",":
            return float(text.decode()) if text != b"nan" else math.nan, at
        raise ProtocolError(f"a reply begins with {line[:40]!r}")

    def _array(self, kind: bytes, count: int, at: int):
        if count < 0:
            return None, at
        items = Push() if kind == b">" else RespSet() if kind == b"~" else []
        for _ in range(count):
            item, at = self._parse(at)
            items.append(item)
        return items, at


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value


class Client:
    """One connection. Blocking; every wait has a deadline. `tls` is an ssl.SSLContext."""

    def __init__(self, port: int, *, host="127.0.0.1", user=None, password=None, resp=2, db=0, timeout=TIMEOUT_S, tls=None):
        self.timeout = timeout
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.parser = Parser()
        if password is not None:
            self("AUTH", *([user] if user is not None else []), password)
        if resp != 2:
            self("HELLO", resp)
        if db != 0:
            self("SELECT", db)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *args) -> None:
        self.send_raw(encode(*args))

    def send_raw(self, data: bytes) -> None:
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
            raise Closed(str(error)) from None

    def read(self, timeout=None):
        """The next reply; errors are returned. Raises Closed, or TimeoutError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while (reply := self.parser.next()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no reply in time")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except socket.timeout:
                continue
            except (ConnectionResetError, ssl.SSLError) as error:
                raise Closed(str(error)) from None
            if not data:
                raise Closed("the server closed the connection")
            self.parser.feed(data)
        return reply[0]

    def read_n(self, count: int, timeout=None) -> list:
        return [self.read(timeout) for _ in range(count)]

    def ask(self, *args, timeout=None):
        """Sends and reads; an error reply is returned as a ReplyError."""
        self.send(*args)
        return self.read(timeout)

    def __call__(self, *args, timeout=None):
        """Sends and reads; an error reply is raised."""
        reply = self.ask(*args, timeout=timeout)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def error(self, *args) -> str:
        """The text of the error that this request gets; anything else fails the test."""
        reply = self.ask(*args)
        assert isinstance(reply, ReplyError), f"{args!r} was answered {reply!r}, not an error"
        return str(reply)

    def pipeline(self, requests) -> list:
        """Sends all in one go and reads as many replies."""
        requests = list(requests)
        self.send_raw(b"".join(encode(*request) for request in requests))
        return self.read_n(len(requests))

    def is_silent(self, seconds: float) -> bool:
        """True when nothing arrives for so long. The only wait that is for a time."""
        try:
            reply = self.read(seconds)
        except TimeoutError:
            return True
        raise AssertionError(f"unexpected reply {reply!r}")

    def wait_closed(self, timeout=None) -> list:
        """Waits until the server closes the connection; the replies that came before."""
        replies = []
        while True:
            try:
                replies.append(self.read(timeout))
            except Closed:
                return replies

    def info(self, section="everything") -> dict[str, str]:
        text = self("INFO", section).decode()
        lines = (line for line in text.split("\r\n") if line and not line.startswith("#"))
        return dict(line.split(":", 1) for line in lines)

    def config(self, name: str) -> str:
        reply = self("CONFIG", "GET", name)
        pairs = list(reply.values()) if isinstance(reply, dict) else reply[1::2]
        assert len(pairs) == 1, f"CONFIG GET {name}: {reply!r}"
        return pairs[0].decode()
