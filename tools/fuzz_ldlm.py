"""Junk for LDLM's door: random and half-right calls on both faces at once, by clients that come and go.

In every second round locks stay when their connection ends, so that what is left at its end is kicked.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

from hpack import Encoder

from glockd.config import Config
from glockd.core.holds import Hold
from glockd.daemon import Daemon
from glockd.doors.ldlm import messages
from glockd.doors.ldlm.calls import key_of
from glockd.doors.ldlm.door import LdlmDoor
from glockd.net.frames import DATA, HEADERS, PREFACE, SETTINGS, frame
from glockd.net.protobuf import Message
from tests.support.http2 import PING, RESET, Pipe, prefixed, request
from tests.support.wires import rings
from tools.courses import Course, pieces

NAMES = tuple(b"%d" % number for number in range(20))
ODD_NAMES = (b"", "\u00fc".encode(), b"x" * 9000, b"a\n\0b")
SIZES = (2, 3, 0, -1, 2**31 - 1)
SECONDS = (None, 0, 1, 30)
CLIENTS = 8  # at a time
LONGER_THAN_SESSIONS = 700.0  # seconds
CALLS: dict[str, Message] = {
    "Lock": messages.LOCK_REQUEST,
    "TryLock": messages.TRY_LOCK_REQUEST,
    "Unlock": messages.UNLOCK_REQUEST,
    "Renew": messages.RENEW_REQUEST,
    "Nope": messages.LOCK_REQUEST,
}
PATHS = (*["/v1/lock"] * 4, *["/v1/lock?wait=inf", "/v1/lock?wait=1", "/v1/unlock", "/v1/renew"] * 2)
ODD_PATHS = ("/v1/lock?wait=x", "/v1/nope", "/", "/%zz", "/v1/%6cock", "*")
ODD_FIELDS = (
    "X-HTTP-Method-Override: PUT",
    "grpc-timeout: 1",
    "grpc-metadata-a-bin: !",
    "Expect: 100-continue",
    "Origin: https://evil.example",
    "Connection: close",
)


class House:
    """The door, on a service whose clock the fuzzer moves."""

    def __init__(self, *, keeps: bool) -> None:
        loop = asyncio.get_running_loop()
        config = Config(port=0, ws=0, history=50, ldlm_keep_on_disconnect=keeps)
        self.service = Daemon(config, loop, Config).service
        self.door = LdlmDoor(self.service, None)
        self.passed = 0.0
        self.service.now = lambda: loop.time() + self.passed

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds
        rings(self.service)

    def holds(self) -> Iterator[Hold]:
        """All that is held."""
        for session in self.service.state.registry.listeners:
            yield from session.holds

    def fields(self, dice: random.Random) -> dict[str, Any]:
        """Those of a call, mostly such as make sense."""
        name, key = dice.choice(NAMES if dice.random() < 0.95 else ODD_NAMES), ""
        if dice.random() < 0.5 and (held := list(self.holds())):
            hold = dice.choice(held)
            name, key = hold.name, key_of(hold)
        return {
            "name": name,
            "key": dice.choice((key, key, key, key, "wrong")),
            "size": dice.choice(SIZES if dice.random() < 0.1 else (None, 1)),
            "lock_timeout_seconds": dice.choice(SECONDS if dice.random() < 0.95 else (-1,)),
            "wait_timeout_seconds": dice.choice(SECONDS if dice.random() < 0.95 else (-1,)),
        }

    async def empties(self) -> str:
        """End every session, and say what is left then."""
        state, door = self.service.state, self.door
        for listener in list(state.registry.listeners.values()):
            if listener is not None:
                listener.end("kicked")
        for _ in range(10):
            await asyncio.sleep(0)
        self.passes(LONGER_THAN_SESSIONS)  # what is over stays in the heap of deadlines until then
        left = {
            "sessions": len(state.registry),
            "locks": len(state.exclusive),
            "waits": state.exclusive.waiting,
            "REST sessions": len(door._rest.sessions),
            "connections": len(door._grpc.connections) + len(door._way.connections),
            "admitted": self.service.gate.connections,
        }
        # Bounded, but they come and go by more than a leak.
        door._desk.calls._ended.clear()
        door._grpc._known.clear()
        return ", ".join(f"{count} {what}" for what, count in left.items() if count)


class Client:
    """A connection to one face, with a transport that swallows what is written."""

    def __init__(self, house: House, kind: str) -> None:
        self.house = house
        self.pipe = Pipe()
        self.protocol = house.door.answers[kind]()
        self.protocol.connection_made(self.pipe)

    def receive(self, data: bytes) -> None:
        """Have the door read."""
        self.protocol.data_received(data)
        self.pipe.written.clear()

    def packet(self, dice: random.Random) -> bytes:
        """What it sends next."""
        raise NotImplementedError


class Caller(Client):
    """A gRPC client."""

    def __init__(self, house: House) -> None:
        super().__init__(house, "ldlm")
        self.encoder = Encoder()
        self.stream = -1
        self.receive(PREFACE + frame(SETTINGS, 0, 0, b""))

    def packet(self, dice: random.Random) -> bytes:
        chance = dice.random()
        if chance < 0.1 and self.stream > 0:
            stream = dice.randrange(1, self.stream + 2, 2)
            return frame(RESET, 0, stream, (8).to_bytes(4, "big"))
        if chance < 0.12:
            return frame(PING, 0, 0, bytes(8))
        self.stream += 2
        call = dice.choice((*["TryLock"] * 3, *["Lock", "Unlock"] * 3, "Renew", "Renew", "Nope"))
        message = bent(dice, CALLS[call].encode(self.house.fields(dice)))
        more = [("grpc-timeout", dice.choice(("1u", "1H", "x")))] if dice.random() < 0.1 else []
        block = bytes(self.encoder.encode(request(f"/ldlm.LDLM/{call}", *more)))
        body = frame(DATA, dice.random() < 0.95, self.stream, prefixed(message))
        return frame(HEADERS, 4, self.stream, block) + body


class Visitor(Client):
    """A REST client."""

    def __init__(self, house: House) -> None:
        super().__init__(house, "ldlm-rest")

    def packet(self, dice: random.Random) -> bytes:
        sessions = list(self.house.door._rest.sessions)
        chance = dice.random()
        if chance < 0.15 or not sessions:
            method, path = "POST", "/session"
        elif chance < 0.2:
            method, path = "DELETE", "/session"
        else:
            method = dice.choice(("POST", "POST", "POST", "POST", "POST", "POST", "GET"))
            path = dice.choice(PATHS if dice.random() < 0.95 else ODD_PATHS)
        fields = self.house.fields(dice)
        fields["name"] = fields["name"].decode()
        told = {name: value for name, value in fields.items() if value is not None}
        body = bent(dice, json.dumps(told).encode())
        session = dice.choice(sessions) if sessions and dice.random() < 0.95 else "0" * 32
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        head += [f"Cookie: ldlm-session={session}"] if dice.random() < 0.97 else []
        head += [dice.choice(ODD_FIELDS)] if dice.random() < 0.03 else []
        return bent(dice, "\r\n".join((*head, "", "")).encode(), 0.01) + body


def bent(dice: random.Random, data: bytes, often: float = 0.05) -> bytes:
    """The same, with a byte changed or the end lost now and then."""
    if not data or dice.random() >= often:
        return data
    at = dice.randrange(len(data))
    return data[:at] if dice.random() < 0.3 else data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]


async def ldlm(inputs: int, dice: random.Random) -> Course:
    """Fuzz LDLM's door."""
    course, some = Course(), pieces(dice)

    def note(_: object, context: dict[str, Any]) -> None:
        what = context.get("exception") or context["message"]
        course.crashes.setdefault(repr(what), "in the event loop")

    asyncio.get_running_loop().set_exception_handler(note)
    houses = House(keeps=False), House(keeps=True)
    while course.inputs < inputs:
        for house in houses:
            await _round(course, house, inputs // 40 + 1, some, dice)
            if left := await house.empties():
                course.crashes["something is left"] = left
        course.all_are_gone()
    for house in houses:
        stats = house.service.state.exclusive.stats
        course.commands += sum(stats.held.buckets) - stats.orphans - stats.expired  # given back by Unlock
    return course


async def _round(course: Course, house: House, inputs: int, some: list[bytes], dice: random.Random) -> None:
    """Clients that come, call and go until there were so many inputs; none is left then."""
    end = course.inputs + inputs
    clients: list[Client] = []
    while course.inputs < end:
        if len(clients) < CLIENTS:
            course.sessions += 1
            clients.append(dice.choice((Caller, Visitor))(house))
        client = dice.choice(clients)
        data = client.packet(dice) if dice.random() < 0.99 else dice.choice(some)
        cut = dice.randrange(len(data) + 1) if dice.random() < 0.2 else len(data)
        for part in filter(None, (data[:cut], data[cut:])):
            course.feed(client.receive, part)
        if dice.random() < 0.5:
            await asyncio.sleep(0)
        if client.pipe.closing or dice.random() < 0.03:
            clients.remove(client)
            client.protocol.connection_lost(dice.choice((None, ConnectionResetError())))
        if dice.random() < 0.01:
            house.passes(dice.choice((0.5, 0.5, 0.5, LONGER_THAN_SESSIONS)))
    for client in clients:
        client.protocol.connection_lost(None)
