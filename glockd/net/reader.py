"""From bytes to requests: what is read of one connection, and what of it is refused.

httptools tells what it finds in this order: on_message_begin, on_url, on_header …, on_headers_complete, on_body …,
on_message_complete. By then:

stage    set by                 what holds
IDLE     on_message_complete    nothing of the next request has come
HEAD     on_message_begin       some of its head has come
BODY     on_headers_complete    its head is right; its body is still to come
over     a refusal, or a request that is the last one: nothing that comes behind it is read
"""

from __future__ import annotations

from typing import Final, NamedTuple

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from httptools.parser.errors import HttpParserInvalidMethodError

from glockd.net.answers import Refused, refused
from glockd.net.exchange import Ask, Fields, split_target

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2

# Header fields of one request.
MOST_FIELDS = 128

# Bytes that are read at once at most, hence how far a limit for the head may be passed before that is noticed.
BYTES_A_TURN = 16384

LARGEST_HEAD = 1 << 20

# What is looked for in a head before anybody asks.
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "expect"})


class Limits(NamedTuple):
    """What one connection may ask for."""

    head: int = 16384  # bytes of request line and header fields, from BYTES_A_TURN to LARGEST_HEAD
    body: int = 1 << 20  # bytes
    body_seconds: int = 30  # for a body to come
    idle_seconds: int = 75  # between two requests


class Due(NamedTuple):
    """An answer that is due."""

    ask: Ask
    refusal: Refused | None = None  # what to answer, without asking anybody
    old: bool = False  # HTTP/1.0: the client knows no chunks
    keeps: bool = False  # the client wants to go on behind it
    head: bytes = b""  # for who speaks websockets: the request as it came; empty if it asks for no websocket


class Reader:
    """Finds the requests in what a client sends.

    Args:
        limits: for each request.
        peer: the client's address.
    """

    __slots__ = (
        "_barren",
        "_body",
        "_fields",
        "_ignored",
        "_limits",
        "_parser",
        "_peer",
        "_size",
        "_target",
        "_upgrades",
        "_version",
        "due",
        "expects",
        "over",
        "stage",
    )

    def __init__(self, limits: Limits, peer: bytes) -> None:
        self.due: list[Due] = []  # a deque would double the memory of a connection
        self.stage = IDLE
        self.over = False
        self.expects = False  # the client waits for leave to send its body
        self._limits = limits
        self._peer = peer
        self._parser = HttpRequestParser(self)
        self._barren = 0  # bytes read since anything came of them
        self._target = b""
        self._fields: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0  # of what has come of the body
        self._version = ""
        self._upgrades = False  # to a protocol other than HTTP
        self._ignored = False  # it does, but not to one that is spoken here

    def feed(self, data: bytes) -> bytes:
        """Read on.

        Args:
            data: at most BYTES_A_TURN.

        Returns:
            What lies behind a request for a websocket, and is not read yet; mostly nothing.
        """
        if self.over:
            return b""
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return self._behind(data[upgrade.args[0] :])
        except HttpParserCallbackError:
            raise  # our own fault
        except HttpParserError as error:
            if not self.over:
                self._refuse(_malformed(error))
        if self._barren > self._limits.head and not self.over:
            self._refuse(_too_long())
        return b""

    def close(self) -> None:
        """Let go of the parser, which refers to this and is referred to by it."""
        del self._parser

    def _behind(self, data: bytes) -> bytes:
        if not self._ignored:
            return data
        # The parser takes the body of such a request for that other protocol. Without the wish it reads on.
        head = self._head(but="upgrade")
        self._ignored = False
        self._parser = HttpRequestParser(self)
        self.feed(head)
        return self.feed(data)

    def _head(self, but: str = "") -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in self._fields if name != but]
        fields = "".join(lines).encode("ascii", "surrogateescape")
        line = self._parser.get_method() + b" " + self._target + b" HTTP/" + self._version.encode()
        return line + b"\r\n" + fields + b"\r\n"

    def _refuse(self, refusal: Refused) -> None:
        self.over = True
        self.expects = False
        self.due.append(Due(Ask("", ""), refusal))

    # What httptools tells

    def on_message_begin(self) -> None:
        """Something of a request has come."""
        self.stage = HEAD
        self._barren = self._size = 0
        self._target = b""
        self._fields = []
        self._body = []

    def on_url(self, piece: bytes) -> None:
        """Some of the target."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; those behind the last chunk concern nobody."""
        if self.stage == HEAD:
            words = value.strip(b" \t").decode("ascii", "surrogateescape")
            self._fields.append((name.decode("ascii").lower(), words))

    def on_headers_complete(self) -> None:
        """The head is there: see whether its body is worth reading."""
        parser = self._parser
        self._version = parser.get_http_version()
        self._upgrades = parser.should_upgrade()
        refusal = self._too_large() or self._unfit()
        self.stage = BODY
        self._barren = 0
        if refusal is not None:
            self._refuse(refusal)

    def on_body(self, piece: bytes) -> None:
        """Some of the body."""
        if self.over:
            return
        self.expects = False
        self._barren = 0
        self._size += len(piece)
        if self._size > self._limits.body:
            self._refuse(_too_much(self._limits.body))
        else:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.over:
            return
        fields = Fields.of(self._fields)
        if self._upgrades:
            self._ignored = not self._asks_for_websocket(fields)
            if self._ignored:
                return
        body = self._body
        method = self._parser.get_method().decode("ascii")
        path, query = split_target(self._target.decode("ascii"))
        whole = body[0] if len(body) == 1 else b"".join(body)
        keeps = self._parser.should_keep_alive()
        head = self._head() if self._upgrades else b""
        self.due.append(
            Due(
                Ask(method, path, query, fields, whole, self._peer), None, self._version == "1.0", keeps, head
            )
        )
        self.stage = IDLE
        self.expects = False
        self._barren = 0
        self.over = not keeps and not head

    # What is refused of a head

    def _too_large(self) -> Refused | None:
        fields = self._fields
        if len(fields) > MOST_FIELDS:
            return refused("head", 431, f"More than {MOST_FIELDS} header fields.")
        # Only a head of several turns can be too long: one turn is within every limit.
        if self._barren and self._length() > self._limits.head:
            return _too_long()
        return None

    def _length(self) -> int:
        return len(self._target) + sum(len(name) + len(value) + 4 for name, value in self._fields)

    def _unfit(self) -> Refused | None:
        """What is wrong with a head that is one."""
        if self._version not in ("1.1", "1.0"):
            return refused("malformed", 505, "HTTP/1.1 is spoken here.")
        if self._parser.get_method() == b"CONNECT":
            return refused("malformed", 501, "This is no proxy.")
        try:
            if b"#" in self._target:
                raise ValueError
            split_target(self._target.decode("ascii"))
        except ValueError:
            return refused("malformed", 400, "The target is no path or URL.")
        return self._unframed([pair for pair in self._fields if pair[0] in _FRAMING])

    def _unframed(self, pairs: list[tuple[str, str]]) -> Refused | None:
        hosts = 0
        for name, value in pairs:
            if name == "host":
                hosts += 1
            elif name == "content-length":
                # Digits, and only one such field: the parser has seen to that.
                if int(value) > self._limits.body:
                    return _too_much(self._limits.body)
            elif name == "transfer-encoding":
                # RFC 9112, 6.1: who says 1.0 and sends chunks is not to be trusted about where they end.
                if self._version == "1.0":
                    return refused("malformed", 400, "HTTP/1.0 has no Transfer-Encoding.")
                if value.lower() != "chunked":
                    return refused("malformed", 501, "The only Transfer-Encoding understood is chunked.")
            elif self._version == "1.1":  # RFC 9110, 10.1.1: an expectation of HTTP/1.0 is ignored
                if value.lower() != "100-continue":
                    return refused("malformed", 417, "The only expectation understood is 100-continue.")
                self.expects = True
        if hosts > 1 or (hosts == 0 and self._version == "1.1"):
            return refused("malformed", 400, "A request names one Host.")
        return None

    def _asks_for_websocket(self, fields: Fields) -> bool:
        """Whether a request for another protocol is one for a websocket, and has no body."""
        framed = "content-length" in fields or "transfer-encoding" in fields
        return not framed and self._parser.get_method() == b"GET" and "websocket" in fields.words("upgrade")


def _too_long() -> Refused:
    return refused("head", 431, "The head of the request is too long.")


def _too_much(limit: int) -> Refused:
    return refused("body", 413, f"A body may have {limit} bytes.")


def _malformed(error: HttpParserError) -> Refused:
    if isinstance(error, HttpParserInvalidMethodError):
        return refused("malformed", 501, "This method is not known, or this is no HTTP.")
    why = str(error)
    if "Transfer-Encoding" in why and "Content-Length" not in why:
        return refused("malformed", 501, "The only Transfer-Encoding understood is chunked.")
    if why in ("Invalid HTTP version", "Pause on PRI/Upgrade"):
        return refused("malformed", 505, "HTTP/1.1 is spoken here.")
    return refused("malformed", 400, f"This is no HTTP: {why}.")
