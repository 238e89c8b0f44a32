"""One client of a server, seen from the wire: blocking, with a deadline on every read.

A stream (tcp, unix) hands over the bytes as they come, a websocket whole messages; `ask` hides the difference
for those who only want a reply.
"""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import time
from collections import deque

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from .addresses import Address, host_port
from .errors import CannotTest

# socket(7), SO_ATTACH_FILTER: a classic BPF program of the one instruction "accept 0 bytes". Every segment
# for the socket is dropped before TCP sees it, so nothing is acknowledged: the peer has vanished.
SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)


class Ended(CannotTest):
    """The server has ended the connection; the text says how."""


class Peer:
    """A stream connection. Not for several threads at once, but one may send while another receives.

    Attributes:
        name: how the server calls this client; empty for unix, whose numbers only the server knows.
    """

    framed = False  # one receive is one reply

    def __init__(self, address: Address, timeout: float = 5.0) -> None:
        """Connect within `timeout` seconds.

        Raises:
            OSError: the server cannot be reached.
            Ended: it answers, but refuses.
        """
        self.address = address
        self.timeout = timeout
        if address.transport == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            try:
                self.socket.connect(address.path)
            except OSError:
                self.socket.close()
                raise
            self.name = ""
        else:
            self.socket = socket.create_connection((address.host, address.port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.name = host_port(*self.socket.getsockname()[:2])
        self.poller = select.poll()
        self.poller.register(self.socket, select.POLLIN)
        self.lines: deque[bytes] = deque()
        self.rest = b""

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes, *, binary: bool = False) -> None:
        """Write `data` as it is: on a websocket one message, text unless `binary`."""
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)

    def receive(self, timeout: float) -> bytes | None:
        """What has come, at most `timeout` seconds from now; None if nothing has.

        Raises:
            Ended: the server has closed or reset the connection and everything before was received.
        """
        data = self._read(timeout)
        if data == b"":
            raise Ended(f"{self.address}: closed by the server")
        return data

    def _read(self, timeout: float) -> bytes | None:
        if not self.poller.poll(max(timeout, 0) * 1000):
            return None
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError as problem:
            raise Ended(f"{self.address}: reset by the server") from problem

    def receive_line(self, timeout: float) -> bytes | None:
        """The next line without its end, or None; on a websocket the next message. Raises as `receive`."""
        deadline = time.monotonic() + timeout
        while not self.lines:
            data = self.receive(deadline - time.monotonic())
            if data is None:
                return None
            if self.framed:
                self.lines.append(data.rstrip(b"\r\n"))
            else:
                *lines, self.rest = (self.rest + data).split(b"\n")
                self.lines.extend(line.removesuffix(b"\r") for line in lines)
        return self.lines.popleft()

    def ask(self, line: bytes) -> bytes:
        """Send a command that has a reply and return the reply's (first) line.

        Raises:
            TimeoutError: no reply within the peer's timeout.
            Ended: the server has hung up.
        """
        self.send(line if self.framed else line + b"\n")
        reply = self.receive_line(self.timeout)
        if reply is None:
            raise TimeoutError(f"no reply to {line.decode('latin-1')!r} within {self.timeout:g} s")
        return reply

    def shut_down(self) -> None:
        """Say that nothing more will be sent; replies can still be received."""
        self.socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """From now on behave as a host that lost its power: acknowledge nothing. On TCP and Linux only."""
        program = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
        descriptor = struct.pack("HP", 1, ctypes.addressof(program))  # struct sock_fprog
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, descriptor)

    def close(self, *, abort: bool = False) -> None:
        """Hang up: in form, or with `abort` by a reset (tcp) or without a close frame (websocket)."""
        if abort and self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class WebPeer(Peer):
    """A websocket connection; a reply is one text message, so an empty reply differs from none."""

    framed = True

    def __init__(self, address: Address, timeout: float = 5.0) -> None:
        super().__init__(address, timeout)
        self.protocol = ClientProtocol(
            parse_uri(f"ws://{host_port(address.host, address.port)}{address.path or '/'}"),
            origin=None,
            max_size=None,
        )
        self.messages: deque[Frame] = deque()
        request = self.protocol.connect()
        request.headers["Origin"] = f"http://{host_port(address.host, address.port)}"
        self.protocol.send_request(request)
        self._flush()
        try:
            self._shake_hands(time.monotonic() + timeout)
        except BaseException:
            self.socket.close()
            raise

    def _shake_hands(self, deadline: float) -> None:
        while True:
            data = self._read(deadline - time.monotonic())
            if data is None:
                raise TimeoutError("no answer to the websocket handshake")
            events = self._digest(data)
            if self.protocol.handshake_exc is not None:
                raise Ended(f"{self.address}: no websocket: {self.protocol.handshake_exc}")
            if events:
                self.messages.extend(event for event in events[1:] if isinstance(event, Frame))
                return

    def _digest(self, data: bytes) -> list[object]:
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        events: list[object] = list(self.protocol.events_received())
        self._flush()
        return events

    def _flush(self) -> None:
        try:
            for data in self.protocol.data_to_send():
                if data:
                    super().send(data)
        except OSError:  # the server was faster to hang up: the next receive tells
            pass

    def send(self, data: bytes, *, binary: bool = False) -> None:
        if binary:
            self.protocol.send_binary(data)
        else:
            self.protocol.send_text(data)
        for part in self.protocol.data_to_send():
            if part:
                super().send(part)

    def receive(self, timeout: float) -> bytes | None:
        deadline = time.monotonic() + timeout
        while True:
            while self.messages:
                frame = self.messages.popleft()
                if frame.opcode in (Opcode.PING, Opcode.PONG):
                    continue
                if frame.opcode is Opcode.CLOSE:
                    code = self.protocol.close_rcvd.code if self.protocol.close_rcvd else None
                    raise Ended(f"{self.address}: closed by the server with code {code}")
                if frame.opcode is not Opcode.TEXT or not frame.fin:
                    raise Ended(f"a reply that is not one text message: {frame}")
                return bytes(frame.data)
            data = self._read(deadline - time.monotonic())
            if data is None:
                return None
            self.messages.extend(event for event in self._digest(data) if isinstance(event, Frame))
            if data == b"" and not self.messages:
                raise Ended(f"{self.address}: closed by the server without a close frame")

    def shut_down(self) -> None:
        """A websocket has no half close: begin the closing handshake."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(1000)
        self._flush()

    def close(self, *, abort: bool = False) -> None:
        try:
            if not abort and self.socket.fileno() >= 0:
                self.shut_down()
                deadline = time.monotonic() + self.timeout
                while (self._read(deadline - time.monotonic())) not in (b"", None):
                    pass
        except (OSError, Ended):
            pass
        finally:
            super().close(abort=abort)


def connect(address: Address, timeout: float = 5.0) -> Peer:
    """A new client of the server at `address`. Raises what `Peer` does."""
    try:
        return WebPeer(address, timeout) if address.transport == "ws" else Peer(address, timeout)
    except OSError as problem:
        problem.filename = str(address)
        raise
