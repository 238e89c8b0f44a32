"""Clients that speak to the daemon in raw bytes, and say what they hear.

They share no code with the daemon, and know only what docs/protocol.md says.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Literal, Self

PATIENCE = (
    20.0  # seconds to wait for a fact: far longer than a busy machine needs, as it is spent on failure only
)
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
) + "\u2028\u2029\u202f\u205f\u3000"

Text = str | bytes


def encoded(text: Text) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def normalised(line: bytes) -> bytes:
    """A line or name as the daemon understands it: words with single spaces between."""
    text = line.decode("utf-8", "surrogateescape")
    words = "".join(" " if char in WHITE_SPACE else char for char in text).split(" ")
    return " ".join(word for word in words if word).encode("utf-8", "surrogateescape")


class Client(ABC):
    """One client's side of a conversation.

    `says` and `hears` speak in lines without line ends. Since a reply's line end is irregular (CR LF or LF,
    depending on the verb and on whether this client holds the lock), `hears` works out which one must be
    there from what was said, and compares every byte.
    """

    address: str
    transport: str

    def __init__(self) -> None:
        self.asked: deque[bytes] = deque()  # lines said, whose replies have not been heard yet
        self.mine: set[bytes] = set()  # exclusive locks that this client holds, by what it has heard

    # Talking

    def says(self, *lines: Text) -> Self:
        """Send all `lines` at once: in one packet, or each as a websocket message of its own."""
        self.asked.extend(map(encoded, lines))
        self.transmit_lines([encoded(line) for line in lines])
        return self

    def hears(self, *lines: Text) -> Self:
        """The reply to the oldest unanswered line is exactly `lines`, with the right line ends."""
        words = list(map(encoded, lines))
        self.expect(self.ended(words))
        return self

    def hears_in_any_order(self, *lines: Text) -> Self:
        """As `hears`, for a listing that comes in no particular order."""
        wanted = self.ended(list(map(encoded, lines)))
        got = self.receive(len(wanted))
        assert sorted(got.splitlines(keepends=True)) == sorted(wanted.splitlines(keepends=True))
        return self

    def hears_nothing(self) -> Self:
        """The oldest unanswered line has the empty reply.

        On a websocket that is an empty message. On a stream it is nothing at all: what comes nevertheless
        is found by the next `hears` or, at the latest, when the client hangs up.
        """
        if self.asked:
            self.asked.popleft()
        self.expect(b"")
        return self

    def hears_bytes(self, wanted: Text) -> Self:
        """Receive exactly `wanted`, line ends included."""
        if self.asked:
            self.asked.popleft()
        self.expect(encoded(wanted))
        return self

    def hears_a_line(self) -> bytes:
        """Receive one line, whatever it says, and return it with its line end."""
        if self.asked:
            self.asked.popleft()
        return self.receive_line()

    def ended(self, lines: list[bytes]) -> bytes:
        """`lines` with the line ends that the table of replies demands."""
        verb, _, name = normalised(self.asked.popleft() if self.asked else b"").partition(b" ")
        mine = name in self.mine
        crlf = verb in (b"sg", b"sr", b"si") or (verb in (b"g", b"i") and not mine)
        if verb in (b"wait", b"read"):
            name = name.partition(b" ")[2]
        if verb in (b"g", b"wait", b"read") and b" Lock Get Success: " in lines[0]:
            self.mine.add(name)
        if verb == b"r" and lines[0].startswith(b"1 "):
            self.mine.discard(name)
        if lines == [b"0 disabled"]:
            crlf = False
        return b"".join(line + (b"\r\n" if crlf else b"\n") for line in lines)

    # To be had from a transport

    @abstractmethod
    def transmit_lines(self, lines: list[bytes]) -> None:
        """Send command lines in the way of this transport."""

    @abstractmethod
    def expect(self, wanted: bytes) -> None:
        """Receive one reply and compare it with `wanted`."""

    @abstractmethod
    def receive(self, size: int) -> bytes:
        """Receive one reply of `size` bytes."""

    @abstractmethod
    def receive_line(self) -> bytes: ...

    @abstractmethod
    def hangs_up(self) -> None:
        """End the connection properly; what the daemon has said unasked is an error."""

    @abstractmethod
    def vanishes(self) -> None:
        """End the connection without a proper close: a reset, or a websocket without a close frame."""

    @property
    @abstractmethod
    def is_open(self) -> bool: ...


class SocketClient(Client):
    """A client on a real connection, whose other end is `address` for the daemon."""

    def __init__(self, sock: socket.socket, address: str, transport: str) -> None:
        super().__init__()
        self.sock, self.address, self.transport = sock, address, transport
        self.buffer = bytearray()
        sock.settimeout(PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def is_open(self) -> bool:
        return self.sock.fileno() >= 0

    def sends(self, data: Text) -> Self:
        """Send raw bytes, in one write."""
        self.sock.sendall(encoded(data))
        return self

    def read_more(self) -> bool:
        """Wait for bytes to come; False at the end of the connection."""
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        except TimeoutError:
            raise AssertionError(
                f"nothing came within {PATIENCE} s; before that {self.buffer[-200:]!r}"
            ) from None
        self.buffer += data
        return bool(data)

    def take(self, size: int) -> bytes:
        """Take `size` bytes, or less if the connection ends before."""
        while len(self.buffer) < size and self.read_more():
            pass
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def take_until(self, end: bytes) -> bytes:
        """Take all up to and including `end`, or less if the connection ends before."""
        while end not in self.buffer and self.read_more():
            pass
        place = self.buffer.find(end)
        return self.take(len(self.buffer) if place < 0 else place + len(end))

    def is_hung_up_on(self) -> Self:
        """The daemon has closed the connection and said nothing more."""
        try:
            while self.read_more():
                pass
            assert not self.buffer, f"said, and not asked for: {bytes(self.buffer[:200])!r}"
        finally:
            self.sock.close()
        return self

    def vanishes(self) -> None:
        if self.sock.family != socket.AF_UNIX:
            # socket(7): lingering for no time makes close() a reset.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class StreamClient(SocketClient):
    """A client on TCP or a Unix socket."""

    def transmit_lines(self, lines: list[bytes]) -> None:
        self.sends(b"".join(line + b"\n" for line in lines))

    def expect(self, wanted: bytes) -> None:
        while len(self.buffer) < len(wanted) and wanted.startswith(bytes(self.buffer)) and self.read_more():
            pass
        got = bytes(self.buffer[: len(wanted)])
        del self.buffer[: len(wanted)]
        assert got == wanted

    def receive(self, size: int) -> bytes:
        return self.take(size)

    def receive_line(self) -> bytes:
        return self.take_until(b"\n")

    def finishes(self) -> Self:
        """Shut the sending side down, as `nc -N` does after the last byte of its input."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def hangs_up(self) -> None:
        """Shut down, read what was left unheard up to the end of the connection, and close."""
        self.finishes()
        self.is_hung_up_on()


class WebSocketClient(SocketClient):
    """A websocket client (RFC 6455) that can also do what a decent one does not."""

    CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
    GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3

    def __init__(self, sock: socket.socket, address: str) -> None:
        super().__init__(sock, address, "websocket")
        self.headers: dict[str, str] = {}

    # The handshake

    def request(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Mapping[str, str | None] | None = None,
        body: bytes = b"",
    ) -> tuple[int, bytes]:
        """Send an upgrade request and return status and body of the answer.

        Args:
            headers: added to those of a plain upgrade; None leaves one out.
        """
        key = base64.b64encode(os.urandom(16))
        names: dict[str, str | None] = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(),
        }
        names |= headers or {}
        if body:
            names["Content-Length"] = str(len(body))
        lines = [f"{name}: {value}" for name, value in names.items() if value is not None]
        self.sends("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body)
        status, *fields = self.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.headers = {
            name.lower(): value.strip() for name, found, value in (f.partition(":") for f in fields) if found
        }
        code = int(status.split(" ")[1])
        if code == 101:
            proof = base64.b64encode(hashlib.sha1(key + self.GUID, usedforsecurity=False).digest())
            assert self.headers["sec-websocket-accept"] == proof.decode()
            return code, b""
        return code, self.take(int(self.headers.get("content-length", "0")))

    def opens(self, path: str = "/", headers: Mapping[str, str | None] | None = None) -> Self:
        status, body = self.request(path=path, headers=headers)
        assert status == 101, (status, body)
        return self

    # Frames

    def sends_frame(
        self, opcode: int, payload: Text = b"", *, final: bool = True, masked: bool = True, reserved: int = 0
    ) -> Self:
        return self.sends(self.frame(opcode, payload, final=final, masked=masked, reserved=reserved))

    @staticmethod
    def frame(
        opcode: int, payload: Text = b"", *, final: bool = True, masked: bool = True, reserved: int = 0
    ) -> bytes:
        data = encoded(payload)
        flag = 0x80 if masked else 0
        if len(data) < 126:
            length = struct.pack(">B", flag | len(data))
        elif len(data) < 1 << 16:
            length = struct.pack(">BH", flag | 126, len(data))
        else:
            length = struct.pack(">BQ", flag | 127, len(data))
        head = bytes([(0x80 if final else 0) | reserved << 4 | opcode]) + length
        if not masked:
            return head + data
        mask = os.urandom(4)
        repeated = (mask * (len(data) // 4 + 1))[: len(data)]
        return head + mask + (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(len(data))

    def receive_frame(self) -> tuple[int, bytes]:
        """The next frame's first byte and payload; (-1, b"") at the end of the connection."""
        head = self.take(2)
        if len(head) < 2:
            assert head == b""
            return -1, b""
        assert head[1] & 0x80 == 0, "a server masks nothing"
        size = head[1] & 127
        if size >= 126:
            size = int.from_bytes(self.take(2 if size == 126 else 8))
        payload = self.take(size)
        assert len(payload) == size
        return head[0], payload

    def hears_frame(self, opcode: int, payload: Text) -> Self:
        """The next frame is unfragmented, and just this."""
        assert self.receive_frame() == (0x80 | opcode, encoded(payload))
        return self

    def hears_close(self, code: int) -> Self:
        """The next frame closes with `code`, and then the connection ends."""
        first, payload = self.receive_frame()
        assert first == 0x80 | self.CLOSE, (first, payload)
        assert struct.unpack(">H", payload[:2]) == (code,)
        assert self.receive_frame() == (-1, b"")
        self.sock.close()
        return self

    # A conversation

    def transmit_lines(self, lines: list[bytes]) -> None:
        self.sends(b"".join(self.frame(self.TEXT, line) for line in lines))

    def expect(self, wanted: bytes) -> None:
        self.hears_frame(self.TEXT, wanted)

    def receive(self, size: int) -> bytes:
        first, payload = self.receive_frame()
        assert first == 0x80 | self.TEXT
        return payload

    def receive_line(self) -> bytes:
        return self.receive(0)

    def hangs_up(self) -> None:
        self.sends_frame(self.CLOSE, struct.pack(">H", 1000))
        self.hears_close(1000)


def host_port(name: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """A socket's name as the daemon writes it."""
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def wait_until(fact: object, *, about: object = "", patience: float = PATIENCE) -> None:
    """Wait until `fact()` is true. The pause between looks only spares the machine."""
    assert callable(fact)
    deadline = time.monotonic() + patience
    while not fact():
        assert time.monotonic() < deadline, about() if callable(about) else about
        time.sleep(0.005)


Transport = Literal["tcp", "unix", "websocket", "conversation"]
