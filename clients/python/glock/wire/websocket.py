"""Lines in websocket messages (RFC 6455), by the `websockets` package: `pip install glockd-client[ws]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glock.address import Address
from glock.errors import Unreachable

if TYPE_CHECKING:
    from websockets.client import ClientProtocol


class Messages:
    """Each line becomes a message; each message that comes is its lines, a message without any being no
    reply."""

    def __init__(self, address: Address) -> None:
        """
        Raises:
            Unreachable: the `websockets` package is not installed.
        """
        try:
            from websockets.client import ClientProtocol
            from websockets.uri import parse_uri
        except ImportError:
            raise Unreachable(
                f"{address.url}: websockets need another package: pip install 'glockd-client[ws]'"
            ) from None
        self._protocol: ClientProtocol = ClientProtocol(parse_uri(address.url), max_size=None)
        self._parts: list[bytes] = []

    def hello(self) -> bytes:
        """The bytes that begin the handshake."""
        self._protocol.send_request(self._protocol.connect())
        return b"".join(self._protocol.data_to_send())

    @property
    def is_open(self) -> bool:
        """Is the handshake over?

        Raises:
            Unreachable: it was refused.
        """
        from websockets.protocol import OPEN

        if self._protocol.handshake_exc is not None:
            raise Unreachable(f"the websocket was refused: {self._protocol.handshake_exc}")
        return self._protocol.state is OPEN

    def encode(self, data: bytes) -> bytes:
        """The bytes that carry these lines."""
        for line in data.splitlines(keepends=True):
            self._protocol.send_binary(line)
        return b"".join(self._protocol.data_to_send())

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """The reply lines in `data`, and the bytes to send because of it (a pong, the close)."""
        from websockets.frames import Frame, Opcode

        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
        payload, self._parts = b"".join(self._parts), []
        return payload, b"".join(self._protocol.data_to_send())
