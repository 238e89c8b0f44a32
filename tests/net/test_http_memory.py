"""An HTTP connection that has ended leaves nothing behind: the daemon has no cyclic garbage collector to rely on."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator, Iterator

import pytest
from httptools import HttpRequestParser

from glockd.net.exchange import Answer, Ask
from glockd.net.http import HttpProtocol
from glockd.net.reader import Reader
from glockd.net.streams import Pump
from tests.support.wires import service_alone, way
from tools.fuzz import HANDSHAKE, Wire

KINDS = (HttpProtocol, Reader, HttpRequestParser, Pump, Ask, Answer, asyncio.Future)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> list[object]:
    """What is in memory of connections."""
    return [each for each in gc.get_objects() if isinstance(each, KINDS)]


async def endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield b"piece"
        await asyncio.get_running_loop().create_future()


def answer(ask: Ask) -> Answer | asyncio.Future[Answer]:
    """Whatever the path names."""
    match ask.path:
        case "/later":
            return asyncio.get_running_loop().create_future()
        case "/stream":
            return Answer(pieces=endless())
        case "/fault":
            raise ValueError
    return Answer(200, (), ask.body)


GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
COURSES = {
    "nothing": [],
    "within a head": [GET[:7]],
    "after an answer": [GET % b"/"],
    "many at once": [GET % b"/" * 100],
    "junk": [b"nonsense\r\n\r\n"],
    "junk behind a request": [GET % b"/" + b"\x16\x03\x01"],
    "within a body": [POST + b"Content-Length: 9\r\n\r\nabc"],
    "within a chunk": [POST + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"],
    "a body that is too large": [POST + b"Content-Length: 99999999\r\n\r\nabc"],
    "waiting for leave": [POST + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"],
    "a call given up": [GET % b"/later"],
    "a call given up, with others behind it": [GET % b"/later" * 100, b"junk" * 100_000],
    "a stream given up": [GET % b"/stream"],
    "a fault": [GET % b"/fault"],
    "another protocol": [
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    ],
    "a websocket that is none": [HANDSHAKE],
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
@pytest.mark.parametrize("turns", [0, 3])
@pytest.mark.parametrize("packets", COURSES.values(), ids=COURSES.keys())
async def test_a_connection_leaves_nothing_behind(
    packets: list[bytes], turns: int, error: Exception | None
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # faults are asked for
    one = way(service_alone(), answer)
    before = len(left())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        protocol = one.protocol()
        protocol.connection_made(Wire(ours, 1234))
        for packet in packets:
            protocol.data_received(packet)
        for _ in range(turns):
            await asyncio.sleep(0)
        assert len(left()) > before
        protocol.connection_lost(error)
        del protocol
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(left()) == before, left()
