"""Clients of LDLM's door on bare sockets, which die in ways that no library lets them."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator

from .peers import Ended

PATIENCE = 20.0  # seconds
# RFC 9113: the preface, our SETTINGS, and the acknowledgement of theirs.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW = 0, 1, 3, 4, 6, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4
AT_ONCE = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: close with a reset


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def plain(name: bytes, value: bytes) -> bytes:
    """A header without compression (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def text(number: int, value: bytes) -> bytes:
    """A field of a message: a string of up to 127 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


class GrpcPeer:
    """One gRPC connection."""

    def __init__(self, address: tuple[str, int], service: bytes = b"/ldlm.LDLM/") -> None:
        """Connect. Raises OSError."""
        self.service = service
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = -1
        self._unread = b""
        # Room for all answers that it will ever get.
        room = frame(WINDOW, 0, 0, struct.pack(">I", 1 << 30))
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(SETTINGS, ACK, 0, b"") + room)

    def send(self, method: bytes, *fields: bytes) -> None:
        """Begin a call."""
        self._stream += 2
        headers = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", self.service + method),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
        block = b"".join(plain(*one) for one in headers)
        message = b"".join(fields)
        body = struct.pack(">BI", 0, len(message)) + message
        self.socket.sendall(
            frame(HEADERS, END_HEADERS, self._stream, block) + frame(DATA, END_STREAM, self._stream, body)
        )

    def receive(self) -> bytes:
        """The message of the next answer.

        Raises:
            Ended: the connection is over.
        """
        message = b""
        for kind, flags, payload in self._frames():
            if kind == DATA:
                message += payload
            if kind == RESET or (kind in (DATA, HEADERS) and flags & END_STREAM):
                return message[5:]
        raise Ended("no more frames")

    def take(self, method: bytes, name: bytes) -> bytes:
        """The key of a lock that is free, or comes free within our patience; empty if it is not."""
        self.send(method, text(1, name))
        return key(self.receive())

    def _frames(self) -> Iterator[tuple[int, int, bytes]]:
        while True:
            head = self._exactly(9)
            payload = self._exactly(int.from_bytes(head[:3], "big"))
            if head[3] == PING and not head[4] & ACK:
                self.socket.sendall(frame(PING, ACK, 0, payload))
            yield head[3], head[4], payload

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            data = self.socket.recv(65536)
            if not data:
                raise Ended("the server has hung up")
            self._unread += data
        found, self._unread = self._unread[:size], self._unread[size:]
        return found

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def reset(self) -> None:
        """End the connection as a machine does that knows it no more."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.socket.close()


def key(message: bytes) -> bytes:
    """The key in the answer of Lock or TryLock; empty if it was not locked."""
    if not message.startswith(b"\x08\x01"):
        return b""
    return message[message.rindex(b"\x1a\x24") + 2 :][:36]


class RestPeer:
    """One REST session, each request on a connection of its own."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Open a session. Raises OSError, Ended."""
        self.address = address
        self.cookie = ""
        self.cookie = str(self.ask("/session", b"")["session_id"])

    def begin(self, path: str, length: int) -> socket.socket:
        """Send the head of a request whose body has `length` bytes."""
        sock = socket.create_connection(self.address, PATIENCE)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n"
        sock.sendall(f"{head}Cookie: ldlm-session={self.cookie}\r\n\r\n".encode())
        return sock

    def ask(self, path: str, body: bytes) -> dict[str, object]:
        """What a request is answered."""
        with self.begin(path, len(body)) as sock:
            sock.sendall(body)
            return answer(sock)


def answer(sock: socket.socket) -> dict[str, object]:
    """The JSON object that comes on a connection until its end. Raises Ended if there is none."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    try:
        found: dict[str, object] = json.loads(data.partition(b"\r\n\r\n")[2])
    except ValueError:
        raise Ended(f"no JSON, but {data[:80]!r}") from None
    return found
