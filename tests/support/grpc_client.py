"""A gRPC client on a bare socket, which can end as no library lets it."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from hpack import Decoder, Encoder

from glockd.net.frames import PREFACE, frame
from tests.support.clients import PATIENCE
from tests.support.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RESET,
    SETTINGS,
    prefixed,
    request,
)

ACK = 1
ROOM = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 24)) + frame(8, 0, 0, struct.pack(">I", 1 << 24))


class Ended(Exception):
    """The server has ended the connection."""


class Called(NamedTuple):
    """What a call has come to."""

    status: int
    details: str
    message: bytes
    trailers: dict[str, str]


class GrpcClient:
    """One connection.

    Args:
        address: host and port of the server.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = bytearray()
        self._encoder, self._decoder = Encoder(), Decoder()
        self._next = 1
        self._headers: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._done: dict[int, Called] = {}
        self.socket.sendall(PREFACE + ROOM)

    def begins(self, method: str, message: bytes, *more: tuple[str, str]) -> int:
        """Send a call; the number of its stream."""
        stream, self._next = self._next, self._next + 2
        block = bytes(self._encoder.encode(request(method, *more)))
        out = frame(HEADERS, END_HEADERS, stream, block)
        body = prefixed(message)
        for at in range(0, len(body), 16384):
            last = at + 16384 >= len(body)
            out += frame(DATA, END_STREAM if last else 0, stream, body[at : at + 16384])
        self._bodies[stream] = bytearray()
        self._headers[stream] = {}
        self.socket.sendall(out)
        return stream

    def hears(self, stream: int) -> Called:
        """Wait for the answer to a call.

        Raises:
            Ended: the connection is over.
        """
        while stream not in self._done:
            self._read()
        return self._done.pop(stream)

    def calls(self, method: str, message: bytes, *more: tuple[str, str]) -> Called:
        """Make a call."""
        return self.hears(self.begins(method, message, *more))

    def cancels(self, stream: int) -> None:
        """Give a call up."""
        self.socket.sendall(frame(RESET, 0, stream, struct.pack(">I", 8)))

    def closes(self) -> None:
        """Hang up."""
        self.socket.close()

    def resets(self) -> None:
        """End the connection as a machine does that has lost it."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read(self) -> None:
        while len(self._unread) < 9 or len(self._unread) < 9 + int.from_bytes(self._unread[:3], "big"):
            try:
                data = self.socket.recv(65536)
            except ConnectionError as error:
                raise Ended from error
            if not data:
                raise Ended
            self._unread += data
        size, kind, flags = int.from_bytes(self._unread[:3], "big"), self._unread[3], self._unread[4]
        stream = int.from_bytes(self._unread[5:9], "big")
        payload = bytes(self._unread[9 : 9 + size])
        del self._unread[: 9 + size]
        self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS:
            self._headers[stream] |= {str(name): str(value) for name, value in self._decoder.decode(payload)}
        elif kind == DATA:
            self._bodies[stream] += payload
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == RESET:
            raise Ended(f"stream {stream} is reset")
        elif kind == GOAWAY and struct.unpack_from(">I", payload, 4)[0]:
            raise Ended(payload[8:].decode())
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            fields = self._headers.pop(stream)
            body = bytes(self._bodies.pop(stream))
            self._done[stream] = Called(
                int(fields["grpc-status"]), fields.get("grpc-message", ""), body[5:], fields
            )
