"""Junk for the parsers of lines, websockets, HTTP and gRPC and for LDLM's door, without a process or a socket between.

    python tools/fuzz.py --lines 1000000 --messages 200000 --requests 200000 --frames 200000 --ldlm 200000 --seed 1

Everything that comes out as an exception is a crash, an input that takes more than two seconds a hang, and memory that
grows from one tenth of the run to the next a leak. The state behind the parsers must be empty whenever all have gone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import resource
import socket
import sys
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hpack import Encoder

from glockd.config import Config
from glockd.daemon import Daemon
from glockd.net import frames as frames_of
from glockd.net.exchange import Answer, Ask
from glockd.net.frames import DATA, HEADERS, PREFACE, SETTINGS
from glockd.net.grpc import Manners
from glockd.net.guard import Visitors
from glockd.net.http import HttpProtocol
from glockd.net.http_way import HttpWay
from glockd.net.reader import Limits
from glockd.web.app import Page, Site, health
from glockd.web.handshakes import Handshakes
from tests.support.conversations import ConversationClient, ConversationDaemon
from tests.support.grpc_server import Bench, echo_server
from tools.courses import Course, pieces
from tools.fuzz_ldlm import ldlm

LEAK = 1000  # objects; a connection that is not freed is some fifty
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def lines(inputs: int, dice: random.Random) -> Course:
    """Fuzz line conversations: six at a time on one state, which come and go."""
    course, some = Course(), pieces(dice)
    daemon = ConversationDaemon(("-history=50", "-admin"))
    clients: list[ConversationClient] = []
    kinds = ("tcp", "unix")
    while course.inputs < inputs:
        for _ in range(inputs // 20 + 1):
            if len(clients) < 6:
                clients.append(daemon.client(kinds[course.sessions % 2]))
                course.sessions += 1
            client = dice.choice(clients)
            if client.is_open:
                course.feed(client.sends, dice.choice(some))
                client.buffer = b""
            if not client.is_open:
                clients.remove(client)
            elif dice.random() < 0.02:
                clients.remove(client)
                client.vanishes()
            if dice.random() < 0.01:
                daemon.passes(dice.random() * 2)
        for client in clients:
            if client.is_open:
                client.vanishes()
        clients.clear()
        daemon.counts(connections=0, locks=0, shared_locks=0)
        course.all_are_gone()
    course.commands = sum(daemon.state.stats.uses)
    return course


class Wire(asyncio.Transport):
    """A transport that swallows what is written."""

    def __init__(self, sock: socket.socket, port: int) -> None:
        super().__init__({"peername": ("127.0.0.1", port), "socket": sock, "sslcontext": None})
        self.closing = self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert isinstance(data, bytes | bytearray | memoryview)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True


async def messages(inputs: int, dice: random.Random) -> Course:
    """Fuzz the websocket door: its protocol object, before and after the handshake."""
    course, some = Course(), pieces(dice)
    loop = asyncio.get_running_loop()
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    daemon = Daemon(Config(port=0, ws=0, history=50), loop, Config)
    site = Handshakes(lambda _: None, Site({"/healthz": Page(health, guarded=False)}, lambda: ()), print)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        while course.inputs < inputs:
            while course.inputs < inputs * (len(course.memory) + 1) // 20 + 1:
                course.sessions += 1
                wire = Wire(ours, 1024 + course.sessions % 60_000)
                protocol = daemon.line.websocket(site)()
                protocol.connection_made(wire)
                shaken = dice.random() < 0.7
                if shaken:
                    protocol.data_received(HANDSHAKE)
                for _ in range(dice.randint(1, 60)):
                    if wire.closing:
                        break
                    data = dice.choice(some)
                    if shaken and dice.random() < 0.95:
                        data = frame(dice, data[:200])
                    course.feed(protocol.data_received, data)
                    if dice.random() < 0.2:
                        await asyncio.sleep(0)
                protocol.connection_lost(None)
            deadline = time.monotonic() + 10
            while daemon.service.state.registry.listeners and time.monotonic() < deadline:  # noqa: ASYNC110  # what no event tells
                await asyncio.sleep(0)
            counted = daemon.service.state.exclusive, daemon.service.state.shared
            if daemon.service.state.registry.listeners or any(len(table) for table in cast(Any, counted)):
                course.crashes["sessions or locks are left"] = str(
                    len(daemon.service.state.registry.listeners)
                )
            course.all_are_gone()
    course.commands = sum(daemon.service.state.stats.uses)
    for context in failures:
        course.crashes.setdefault(repr(context.get("exception") or context["message"]), "in the event loop")
    return course


def frame(dice: random.Random, payload: bytes) -> bytes:
    """A masked frame (RFC 6455, 5.2), well made but for its opcode and its first bits now and then."""
    first = dice.choice([0x81, 0x82] * 8 + [0x89, 0x8A, 0x01, 0x80, dice.randrange(256)])
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    return bytes([first]) + length + bytes(4) + payload


FIELDS = [
    b"Host: localhost",
    b"Content-Length: 5",
    b"Content-Length: 70000",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Expect: 100-continue",
    b"Authorization: Basic Og==",
    b"Origin: https://evil.example",
    b"X: " + b"x" * 300,
]
BODIES = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", b"x" * 70_000]


def request(dice: random.Random) -> bytes:
    """A request, mostly well made, with a byte changed, doubled or lost now and then."""
    method = dice.choice([b"GET", b"POST", b"HEAD", b"PUT"] * 6 + [b"CONNECT", b"BREW"])
    path = dice.choice([b"/", b"/later", b"/stream", b"http://localhost/later?x", b"*"])
    version = dice.choice([b"1.1"] * 24 + [b"1.0", b"1.0", b"2.0"])
    fields = [FIELDS[0], *dice.sample(FIELDS[1:], dice.choice([0, 1, 1, 1, 2, 3]))]
    head = b"%b %b HTTP/%b\r\n%b\r\n\r\n" % (method, path, version, b"\r\n".join(fields))
    lengths = {FIELDS[1]: BODIES[1], FIELDS[2]: BODIES[4], FIELDS[3]: dice.choice(BODIES[2:4])}
    body = next((lengths[field] for field in fields if field in lengths), b"")
    whole = bytearray(head + (body if dice.random() < 0.9 else dice.choice(BODIES)))
    if dice.random() < 0.1:
        at = dice.randrange(len(head))
        whole[at : at + dice.randint(0, 1)] = dice.choice(
            [b"", b"\r", b"\n", b"\0", b":", b" ", b"\xff", whole[at : at + 1] * 2]
        )
    return bytes(whole)


async def _forever() -> AsyncGenerator[bytes, None]:
    while True:
        yield b"piece"
        await asyncio.get_running_loop().create_future()


def _settle(future: asyncio.Future[Answer]) -> None:
    if not future.done():
        future.set_result(Answer())


def _answer(course: Course, ask: Ask) -> Answer | asyncio.Future[Answer]:
    """Whatever the path names."""
    course.commands += 1
    match ask.path:
        case "/later":
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(_settle, future)
            return future
        case "/stream":
            return Answer(pieces=_forever())
    return Answer(200, (), ask.body)


async def requests(inputs: int, dice: random.Random) -> Course:
    """Fuzz HTTP with bodies: its protocol object, by requests whole, in pieces and as junk, and ends of all kinds."""
    course, some = Course(), pieces(dice)
    loop = asyncio.get_running_loop()
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    service = Daemon(Config(port=0, ws=0), loop, Config).service
    visitors = Visitors((), ())
    guard = partial(visitors.refuse_call, is_open=True)
    way = HttpWay(
        service, partial(_answer, course), guard, service.state.stats.traffic["tcp"], Limits(body=65_536)
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        while course.inputs < inputs:
            while course.inputs < inputs * (len(course.memory) + 1) // 20 + 1:
                course.sessions += 1
                await _visit(course, way.protocol(), Wire(ours, 1024 + course.sessions % 60_000), some, dice)
            for _ in range(5):
                await asyncio.sleep(0)
            if way.connections or service.gate.connections:
                course.crashes["connections are left"] = str(len(way.connections))
            course.all_are_gone()
    for context in failures:
        course.crashes.setdefault(repr(context.get("exception") or context["message"]), "in the event loop")
    return course


async def _visit(
    course: Course, protocol: HttpProtocol, wire: Wire, some: list[bytes], dice: random.Random
) -> None:
    """One connection, from its beginning to one of its ends."""
    protocol.connection_made(wire)
    for _ in range(dice.randint(1, 20)):
        if wire.closing or (wire.ended and dice.random() < 0.9):
            break
        data = request(dice) if dice.random() < 0.97 else dice.choice(some)
        cut = dice.randrange(len(data) + 1) if dice.random() < 0.5 else len(data)
        for part in (data[:cut], data[cut:]):
            if part:
                course.feed(protocol.data_received, part)
        chance = dice.random()
        if chance < 0.6:
            await asyncio.sleep(0)
        elif chance < 0.35:
            dice.choice(
                [protocol.pause_writing, protocol.resume_writing, protocol.look, protocol.eof_received]
            )()
    protocol.connection_lost(dice.choice([None, ConnectionResetError()]))


async def frames(inputs: int, dice: random.Random) -> Course:
    """Fuzz the gRPC engine: frames well made and not, in an order that no client would choose."""
    course, some = Course(), pieces(dice)
    loop = asyncio.get_running_loop()

    def note(_: object, context: dict[str, Any]) -> None:
        # One of the methods makes this mistake, to see what becomes of it.
        if "a secret" not in repr(context.get("exception")):
            course.crashes.setdefault(
                repr(context.get("exception") or context["message"]), "in the event loop"
            )

    loop.set_exception_handler(note)
    ours, theirs = socket.socketpair()
    bench = Bench()
    server = echo_server(loop, bench)
    with ours, theirs:
        while course.inputs < inputs:
            server.manners = Manners(ping_seconds=dice.choice((0, 0, 10)))
            while course.inputs < inputs * (len(course.memory) + 1) // 20 + 1:
                course.sessions += 1
                wire = Wire(ours, 1024 + course.sessions % 60_000)
                connection = server()
                connection.connection_made(wire)
                course.feed(connection.data_received, PREFACE + frames_of.frame(SETTINGS, 0, 0, b""))
                encoder = Encoder()
                for number in range(dice.randint(1, 120)):
                    if wire.closing or wire.ended:
                        break
                    data = odd_frame(dice, encoder, 2 * number + 1, some)
                    course.feed(connection.data_received, data)
                    if dice.random() < 0.1:
                        await asyncio.sleep(0)
                    if dice.random() < 0.02:
                        course.feed(lambda _, look=connection.look: look(), b"")
                        bench.free()
                    if dice.random() < 0.02:
                        connection.pause_writing()
                        connection.resume_writing()
                connection.connection_lost(None)
                if connection.streams or connection.held or connection.unread():
                    course.crashes["a connection that has ended keeps something"] = repr(vars(server.traffic))
                del connection
            for _ in range(10):
                await asyncio.sleep(0)
            if server.connections or bench.waiting or server.service.gate.connections:
                course.crashes["connections or calls are left"] = (
                    f"{len(server.connections)} {len(bench.waiting)}"
                )
            course.commands = bench.echoed
            bench.left.clear()
            server._known.clear()  # bounded, but it comes and goes by more than a leak
            course.all_are_gone()
    return course


METHODS = ("Echo", "Trailers", "Wait", "Free", "Refuse", "Fail", "Size", "End", "Nope")


def odd_frame(dice: random.Random, encoder: Encoder, newest: int, some: list[bytes]) -> bytes:
    """One or two frames: mostly a call or what may come beside it, now and then with something wrong in it."""
    stream = dice.choice(
        (0, newest, newest, newest, max(1, newest - 2), max(1, newest - 4), dice.randrange(99))
    )
    chance = dice.random()
    if chance < 0.75:
        method = dice.choice(METHODS)
        message = str(dice.randrange(100_000)).encode() if method == "Size" else dice.choice(some)[:300]
        headers = [
            *((":method", "POST"), (":scheme", "http"), (":path", f"/test.Echo/{method}")),
            *(("content-type", "application/grpc"), ("te", "trailers")),
        ]
        if dice.random() < 0.3:
            headers.append(("grpc-timeout", f"{dice.randrange(100)}{dice.choice('HMSmunx')}"))
        if dice.random() < 0.3:
            headers.append(("want", str(dice.random())))
        block = bytes(encoder.encode(headers))
        body = dice.choice((b"\0", b"\0", b"\0", b"\1")) + len(message).to_bytes(4, "big") + message
        ends = dice.choice((1, 1, 1, 0))
        data = frames_of.frame(HEADERS, 4, newest, block) + frames_of.frame(DATA, ends, newest, body)
    elif chance < 0.99:
        kind = dice.choice((DATA, 2, 3, 3, 3, SETTINGS, 6, 8, 8, 8, 8, 11, dice.randrange(12)))
        size = {2: 5, 3: 4, SETTINGS: 6, 6: 8, 8: 4}.get(kind, 40)
        payload = bytes(dice.randrange(256) for _ in range(size))
        if kind in (2, SETTINGS, 8) and dice.random() < 0.97:
            payload = bytes((0, 4)) + dice.randrange(100_000).to_bytes(4, "big")
            payload = {2: payload[-4:] + b"\1", SETTINGS: payload, 8: payload[-4:]}[kind]
            stream = 0 if kind == SETTINGS else stream
        if kind == 6 and dice.random() < 0.9:
            stream = 0
        flags = dice.choice((0, 0, 0, 0, 0, 0, 1, dice.randrange(256)))
        data = frames_of.frame(kind, flags & ~1 if kind == SETTINGS else flags, stream, payload)
    else:
        data = dice.choice(some)
    if dice.random() < 0.01:
        at = dice.randrange(len(data) + 1)
        data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    return data


def main() -> None:
    """Fuzz all, and fail if anything came of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--lines", type=int, default=1_000_000, help="inputs for the line parser")
    options.add_argument("--messages", type=int, default=200_000, help="inputs for websockets")
    options.add_argument("--requests", type=int, default=200_000, help="inputs for HTTP with bodies")
    options.add_argument("--frames", type=int, default=200_000, help="inputs for gRPC")
    options.add_argument("--ldlm", type=int, default=200_000, help="inputs for LDLM's door")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    gc.disable()
    courses = {
        "lines": lines(chosen.lines, random.Random(chosen.seed)),
        "websocket": asyncio.run(messages(chosen.messages, random.Random(chosen.seed))),
        "HTTP": asyncio.run(requests(chosen.requests, random.Random(chosen.seed))),
        "gRPC": asyncio.run(frames(chosen.frames, random.Random(chosen.seed))),
        "LDLM": asyncio.run(ldlm(chosen.ldlm, random.Random(chosen.seed))),
    }
    figures: dict[str, Any] = {name: course.figures() for name, course in courses.items()}
    figures["largest memory, MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
    print(json.dumps(figures, indent=2))
    if any(course.crashes or course.hangs or course.kept() > LEAK for course in courses.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
