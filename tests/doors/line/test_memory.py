"""A connection that has ended leaves nothing behind: the daemon has no cyclic garbage collector to rely on."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
from collections.abc import Iterator

import pytest
from websockets.server import ServerProtocol

from glockd.config import Config
from glockd.daemon import Daemon
from glockd.doors.line.websocket import WebSocketProtocol
from tools.fuzz import HANDSHAKE, Wire, frame


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> int:
    """How many websocket connections are in memory."""
    return sum(isinstance(each, ServerProtocol | WebSocketProtocol) for each in gc.get_objects())


COURSES = {
    "before the handshake": [b"GET / HT"],
    "after a page": [b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    "after no request": [b"nonsense\r\n\r\n"],
    "after the handshake": [HANDSHAKE],
    "after a command": [HANDSHAKE, frame(random.Random(1), b"g job")],
    "within a frame": [HANDSHAKE, frame(random.Random(1), b"g job")[:-2]],
    "after a frame that is none": [HANDSHAKE, b"\xff\xff\xff\xff"],
    "after a close frame": [HANDSHAKE, b"\x88\x80\x00\x00\x00\x00"],
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("packets", COURSES.values(), ids=COURSES.keys())
async def test_a_websocket_connection_leaves_nothing_behind(packets: list[bytes]) -> None:
    daemon = Daemon(Config(port=0, ws=0), asyncio.get_running_loop(), Config)
    before = left()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # As the daemon does: what answers is made for each connection.
        protocol = daemon.line.websocket(lambda request: None)()
        protocol.connection_made(Wire(ours, 1234))
        for packet in packets:
            protocol.data_received(packet)
        assert left() > before
        protocol.connection_lost(None)
        del protocol
        await asyncio.sleep(0)
        assert left() == before
