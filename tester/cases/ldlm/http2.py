"""Steps that speak HTTP/2 frame by frame, for what no gRPC library can be made to do."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from typing import Any

from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

from ..outcome import Failed

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
MESSAGE_HEAD = struct.Struct(
    ">BI"
)  # gRPC over HTTP/2: a flag, 0 for not compressed, and the message's length
HEAD = 9  # bytes before a frame's body, section 4.1
PATIENCE = 5.0  # seconds to connect


class Http2:
    """One connection that does exactly what it is told; by itself it only answers SETTINGS, and pings if it may.

    What the server sends is noted as events: `settings`, `data`, `ping`, `pong`, `goaway`, and last `closed`.
    """

    def __init__(self, address: tuple[str, int], *, answer_pings: bool) -> None:
        """Connect. Raises OSError."""
        self.answer_pings = answer_pings
        self.stream = -1  # of the latest call: a client's have odd numbers
        self.headers = Encoder()
        self.authority = "{}:{}".format(*address)
        self.events: list[tuple[str, Any]] = []
        self.changed = threading.Condition()
        self.began = time.monotonic()
        self.sock = socket.create_connection(address, PATIENCE)
        self.over, self._end = os.pipe()
        self.sock.sendall(PREFACE + SettingsFrame(0).serialize())
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def call(self, method: str, message: bytes) -> int:
        """Send a unary call; the number of its stream."""
        self.stream += 2
        headers = HeadersFrame(self.stream, flags=["END_HEADERS"])
        headers.data = self.headers.encode(
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", f"/ldlm.LDLM/{method}"),
                (":authority", self.authority),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            ]
        )
        data = DataFrame(self.stream, MESSAGE_HEAD.pack(0, len(message)) + message, flags=["END_STREAM"])
        self.sock.sendall(headers.serialize() + data.serialize())
        return self.stream

    def answer(self, stream: int, seconds: float) -> bytes:
        """Wait for the message that answers a call, which may come in pieces. Raises Failed."""
        data = b""
        while (
            len(data) < MESSAGE_HEAD.size or len(data) < MESSAGE_HEAD.size + MESSAGE_HEAD.unpack_from(data)[1]
        ):
            data += self.expect("data", seconds, stream)[1]
        return data[MESSAGE_HEAD.size :]

    def ping(self) -> None:
        """Send a ping."""
        self.sock.sendall(PingFrame(0, b"12345678").serialize())

    def expect(self, kind: str, seconds: float, stream: int | None = None) -> Any:
        """Wait for the first event of this kind that nobody has taken, and take it.

        Args:
            stream: only one of that stream.

        Returns:
            What came with it.

        Raises:
            Failed: none came within that time.
        """
        with self.changed:
            if not self.changed.wait_for(lambda: self._find(kind, stream) is not None, seconds):
                raise Failed(f"no {kind} in {seconds:g} s")
            found = self._find(kind, stream)
            assert found is not None
            self.events.remove(found)
            return found[1]

    def closed(self) -> bool:
        """Whether the server has hung up."""
        with self.changed:
            return self._find("closed", None) is not None

    def close(self, *, reset: bool = False) -> None:
        """Hang up; with `reset` the peer gets RST instead of FIN."""
        if self.sock.fileno() < 0:
            return
        os.close(self._end)
        self.reader.join()  # while it reads, the socket would not really be closed
        os.close(self.over)
        if reset:  # socket(7): to close with a linger time of 0 resets
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _find(self, kind: str, stream: int | None) -> tuple[str, Any] | None:
        fitting = (e for e in self.events if e[0] == kind and (stream is None or e[1][0] == stream))
        return next(fitting, None)

    def _note(self, kind: str, value: Any = None) -> None:
        with self.changed:
            self.events.append((kind, value))
            self.changed.notify_all()

    def _read(self) -> None:
        """Read frames until either side hangs up."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                frame, length = Frame.parse_frame_header(memoryview(self._receive(HEAD)))
                frame.parse_body(memoryview(self._receive(length)))
                self._understand(frame)
        self._note("closed")

    def _receive(self, length: int) -> bytes:
        """So many bytes. Raises EOFError when either side has hung up."""
        data = b""
        while len(data) < length:
            readable, _, _ = select.select([self.sock.fileno(), self.over], [], [])
            more = b"" if self.over in readable else self.sock.recv(length - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _understand(self, frame: Frame) -> None:
        acknowledged = "ACK" in frame.flags
        if isinstance(frame, DataFrame):
            self._note("data", (frame.stream_id, frame.data))
        elif isinstance(frame, SettingsFrame) and not acknowledged:
            self._note("settings", {str(number): value for number, value in frame.settings.items()})
            self.sock.sendall(SettingsFrame(0, flags=["ACK"]).serialize())
        elif isinstance(frame, PingFrame):
            self._note("pong" if acknowledged else "ping")
            if self.answer_pings and not acknowledged:
                self.sock.sendall(PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize())
        elif isinstance(frame, GoAwayFrame):
            text = frame.additional_data.decode(errors="replace")
            self._note("goaway", {"code": frame.error_code, "text": text})
