"""The client's side of HTTP/2, frame by frame, against the engine's protocol object: no process, no socket."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import NamedTuple

from hpack import Decoder, Encoder

from glockd.net.frames import PREFACE, frame
from glockd.net.grpc import GrpcConnection, GrpcServer, Manners
from tests.support.grpc_server import Bench, echo_server

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1


class Frame(NamedTuple):
    """One frame that the server has sent."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Answer(NamedTuple):
    """What a call has come to."""

    headers: dict[str, str]
    body: bytes
    reset: int | None  # the error code, if the stream was reset

    @property
    def message(self) -> bytes:
        """The one message of a good answer."""
        assert self.headers["grpc-status"] == "0", self.headers
        assert self.body[:5] == struct.pack(">BI", 0, len(self.body) - 5)
        return self.body[5:]

    @property
    def status(self) -> int:
        """The status of an answer that has no message."""
        return int(self.headers["grpc-status"])


class Pipe(asyncio.Transport):
    """A transport that keeps what is written, and may be as full as a test likes."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1234), "sslcontext": None})
        self.written = bytearray()
        self.closing = False  # as the client sees it
        self.closed = self.aborted = self.reading_paused = False
        self.full = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closing = True

    def close(self) -> None:
        self.closing = self.closed = True

    def abort(self) -> None:
        self.closing = self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def get_write_buffer_size(self) -> int:
        return self.full


def request(path: str, *more: tuple[str, str], method: str = "POST") -> list[tuple[str, str]]:
    """Headers of a call."""
    return [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    ]


def prefixed(message: bytes) -> bytes:
    """A message as gRPC puts it into a body."""
    return struct.pack(">BI", 0, len(message)) + message


class Client:
    """A client of `server`, connected and greeted.

    Args:
        greets: whether it begins as HTTP/2 does.
    """

    def __init__(self, server: GrpcServer, *, greets: bool = True) -> None:
        self.server = server
        self.pipe = Pipe()
        self.connection: GrpcConnection = server()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.read = 0
        self.stream = -1
        self.frames: list[Frame] = []  # all that have come
        self.connection.connection_made(self.pipe)
        if greets:
            self.sends(PREFACE, frame(SETTINGS, 0, 0, b""))

    def sends(self, *data: bytes) -> None:
        """Bytes, in one packet."""
        self.connection.data_received(b"".join(data))

    def hears(self) -> list[Frame]:
        """The frames that have come since the last time."""
        new = []
        data = self.pipe.written
        while len(data) - self.read >= 9:
            size = int.from_bytes(data[self.read : self.read + 3], "big")
            kind, flags, stream = struct.unpack_from(">BBI", data, self.read + 3)
            start = self.read + 9
            assert len(data) >= start + size, "a frame is cut off"
            assert size <= 16384
            self.read = start + size
            new.append(Frame(kind, flags, stream, bytes(data[start : self.read])))
        assert self.read == len(data)
        self.frames += new
        return new

    def block(self, headers: Sequence[tuple[str, str]]) -> bytes:
        """A block of headers."""
        return bytes(self.encoder.encode(headers))

    def begins(self, headers: Sequence[tuple[str, str]], *, ends: bool = False) -> int:
        """A new stream; its number."""
        self.stream += 2
        flags = END_HEADERS | (END_STREAM if ends else 0)
        self.sends(frame(HEADERS, flags, self.stream, self.block(headers)))
        return self.stream

    def calls(self, method: str, message: bytes = b"", *more: tuple[str, str]) -> int:
        """A whole call of test.Echo; its stream."""
        stream = self.begins(request(f"/test.Echo/{method}", *more))
        self.says(stream, prefixed(message))
        return stream

    def says(self, stream: int, body: bytes, *, ends: bool = True, piece: int = 16384) -> None:
        """A body, in frames of `piece` bytes."""
        pieces = [body[at : at + piece] for at in range(0, len(body), piece)] or [b""]
        for number, some in enumerate(pieces, 1):
            last = ends and number == len(pieces)
            self.sends(frame(DATA, END_STREAM if last else 0, stream, some))

    def answer(self, stream: int) -> Answer | None:
        """What has come of a call; None if nothing has, or not all."""
        self.hears()
        mine = [one for one in self.frames if one.stream == stream and one.kind in (DATA, HEADERS, RESET)]
        if not any(one.kind == RESET or one.flags & END_STREAM for one in mine):
            return None
        headers: dict[str, str] = {}
        for one in mine:
            if one.kind == HEADERS:
                headers |= {str(name): str(value) for name, value in self.decoder.decode(one.payload)}
        body = b"".join(one.payload for one in mine if one.kind == DATA)
        resets = [int.from_bytes(one.payload, "big") for one in mine if one.kind == RESET]
        return Answer(headers, body, resets[0] if resets else None)

    def has(self, stream: int) -> Answer:
        """What has come of a call, which must be all."""
        answer = self.answer(stream)
        assert answer is not None, "nothing has come"
        return answer

    def goaway(self) -> tuple[int, int, str] | None:
        """Last stream, error code and text of the GOAWAY that has come, if one has."""
        self.hears()
        for one in self.frames:
            if one.kind == GOAWAY:
                return (*struct.unpack_from(">II", one.payload), one.payload[8:].decode())
        return None

    def vanishes(self, error: Exception | None = None) -> None:
        """The connection is lost."""
        self.connection.connection_lost(error)


class Place:
    """A server without a socket, and who is connected to it."""

    def __init__(self, manners: Manners | None = None, **limits: int) -> None:
        self.bench = Bench()
        self.server = echo_server(asyncio.get_running_loop(), self.bench, manners, **limits)

    def client(self, *, greets: bool = True) -> Client:
        """Another client."""
        return Client(self.server, greets=greets)

    @property
    def refused(self) -> dict[str, int]:
        """What was refused, by reason."""
        return {str(why): count for why, count in self.server.service.policy.refused.items()}


async def turns(count: int = 5) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)
