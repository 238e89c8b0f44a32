"""Who has gone leaves nothing behind: the daemon has no cyclic garbage collector to rely on."""

from __future__ import annotations

import asyncio
import gc
import json
import struct
from collections.abc import Awaitable, Callable, Iterator

import pytest
from httptools import HttpRequestParser

from glockd.core.holds import Hold, Waiter
from glockd.core.sessions import Session
from glockd.doors.ldlm.calls import key_of
from glockd.doors.ldlm.keeper import Keeper
from glockd.net.exchange import Answer, Ask
from glockd.net.frames import frame
from glockd.net.grpc import GrpcConnection
from glockd.net.http import HttpProtocol
from glockd.net.reader import Reader
from glockd.net.stream import Stream
from tests.doors.ldlm.callers import Caller, House, Visitor
from tests.support.http2 import RESET, prefixed, request

KINDS = (
    *(GrpcConnection, Stream, HttpProtocol, Reader, HttpRequestParser, Ask, Answer),
    *(Keeper, Session, Hold, Waiter, asyncio.Future),
)
HOUR = 3600.0  # seconds; everything here ends sooner by itself


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> list[object]:
    """What is in memory of clients."""
    return [one for one in gc.get_objects() if isinstance(one, KINDS) and not isinstance(one, asyncio.Task)]


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# By gRPC: what a client does before it goes.


async def silence(client: Caller) -> None:
    pass


async def junk(client: Caller) -> None:
    client.takes()
    client.sends(b"\xff" * 100)


async def a_message_that_is_none(client: Caller) -> None:
    client.says(client.begins(request("/ldlm.LDLM/Lock")), prefixed(b"\xff\xff"))


async def half_a_body(client: Caller) -> None:
    client.says(client.begins(request("/ldlm.LDLM/Lock")), prefixed(bytes(50_000))[:-1], ends=False)


async def holds(client: Caller) -> None:
    client.takes()
    client.takes(name="leased", lock_timeout_seconds=60)
    client.takes(name="many", size=3)
    client.takes(name="many", size=3)


async def holds_no_more(client: Caller) -> None:
    client.asks("Unlock", key=client.takes())
    client.asks("Unlock", key="wrong")
    client.asks("Renew", key="wrong", lock_timeout_seconds=1)
    client.asks("TryLock", size=-1)


async def waits(client: Caller) -> None:
    client.takes()
    for _ in range(5):
        client.asks("Lock")
        client.asks("Lock", wait_timeout_seconds=60)


async def has_waited(client: Caller) -> None:
    key = client.takes()
    client.asks("Lock")
    client.asks("Unlock", key=key)


async def has_waited_in_vain(client: Caller) -> None:
    client.takes()
    client.asks("Lock", ("grpc-timeout", "1u"))
    await asyncio.sleep(0.01)


async def cancels(client: Caller) -> None:
    client.takes()
    for _ in range(5):
        client.sends(frame(RESET, 0, client.asks("Lock"), struct.pack(">I", 8)))


async def cancels_in_the_instant_of_a_grant(client: Caller) -> None:
    key = client.takes()
    stream = client.asks("Lock")
    client.asks("Unlock", key=key)
    client.sends(frame(RESET, 0, stream, struct.pack(">I", 8)))


GRPC_COURSES: list[Callable[[Caller], Awaitable[None]]] = [
    *(silence, junk, a_message_that_is_none, half_a_body, holds, holds_no_more),
    *(waits, has_waited, has_waited_in_vain, cancels, cancels_in_the_instant_of_a_grant),
]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
@pytest.mark.parametrize("patient", [False, True], ids=["at once", "a while later"])
@pytest.mark.parametrize("course", GRPC_COURSES)
async def test_a_connection_leaves_nothing_behind(
    course: Callable[[Caller], Awaitable[None]], patient: bool, error: Exception | None
) -> None:
    house = House()
    before = len(left())
    client = house.caller()
    await course(client)
    if patient:
        await turns()
    assert len(left()) > before
    client.vanishes(error)
    del client
    await turns()
    assert house.is_empty()
    house.passes(
        HOUR
    )  # what is over stays in the heap of deadlines until then, or until there is too much of it
    assert len(left()) == before, left()


# What outlives its connection


async def unlock(house: House, key: str) -> None:
    other = house.caller()
    other.asks("Unlock", key=key)
    other.vanishes()


async def kick(house: House, key: str) -> None:
    [listener] = house.service.state.registry.listeners.values()
    assert listener is not None
    listener.end("kicked")


async def expire(house: House, key: str) -> None:
    house.passes(1)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", [unlock, kick, expire])
async def test_what_outlives_its_connection_leaves_nothing_when_it_ends(
    end: Callable[[House, str], Awaitable[None]],
) -> None:
    house = House(ldlm_keep_on_disconnect=True)
    before = len(left())
    client = house.caller()
    key = client.takes(lock_timeout_seconds=1 if end is expire else 0)
    client.asks("Lock")
    client.vanishes(ConnectionResetError())
    del client
    await turns()
    assert [key_of(hold) for hold in house.service.state.exclusive.holds(b"job")] == [key]
    kept = [type(one).__name__ for one in left()]
    assert len(kept) == before + 3, kept  # the session, its listener, its hold
    await end(house, key)
    await turns()
    assert len(left()) == before, left()
    assert house.is_empty()


# By REST


async def nonsense(client: Visitor) -> None:
    await client.begins()
    client.sends(b"nonsense\r\n\r\n")


async def part_of_a_body(client: Visitor) -> None:
    await client.begins()
    head = f"POST /v1/lock HTTP/1.1\r\nHost: x\r\n{client.cookie}Content-Length: 99\r\n\r\n"
    client.sends(head.encode() + b'{"name":')


async def a_body_that_is_none(client: Visitor) -> None:
    await client.begins()
    client.asks("POST", "/v1/lock", b"\xff")


async def a_lock(client: Visitor) -> None:
    await client.begins()
    client.asks("POST", "/v1/lock", b'{"name": "job"}')
    assert (await client.hears())["locked"]


async def a_lock_given_back(client: Visitor) -> None:
    await client.begins()
    client.asks("POST", "/v1/lock", b'{"name": "job"}')
    key = (await client.hears())["key"]
    client.asks("POST", "/v1/unlock", json.dumps({"name": "job", "key": key}).encode())
    assert (await client.hears())["unlocked"]


async def a_wait(client: Visitor) -> None:
    await a_lock(client)
    client.asks("POST", "/v1/lock?wait=inf", b'{"name": "job"}')


async def requests_behind_a_wait(client: Visitor) -> None:
    await a_wait(client)
    for _ in range(20):
        client.asks("POST", "/v1/lock", b'{"name": "other"}')


async def a_session_closed(client: Visitor) -> None:
    await a_lock(client)
    client.asks("DELETE", "/session")


REST_COURSES: list[Callable[[Visitor], Awaitable[None]]] = [
    *(Visitor.begins, nonsense, part_of_a_body, a_body_that_is_none, a_lock, a_lock_given_back),
    *(a_wait, requests_behind_a_wait, a_session_closed),
]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
@pytest.mark.parametrize("patient", [False, True], ids=["at once", "a while later"])
@pytest.mark.parametrize("course", REST_COURSES)
async def test_a_session_that_has_lapsed_leaves_nothing_behind(
    course: Callable[[Visitor], Awaitable[None]], patient: bool, error: Exception | None
) -> None:
    house = House()
    before = len(left())
    client = house.visitor()
    await course(client)
    if patient:
        await turns()
    assert len(left()) > before
    client.vanishes(error)
    del client
    house.passes(HOUR)
    await turns()
    assert house.is_empty()
    assert len(left()) == before, left()
    assert not house.door._rest.sessions
