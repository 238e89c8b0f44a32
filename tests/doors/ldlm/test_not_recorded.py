"""While records cannot be written: what is refused, what waits, and what is answered once they can be."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from glockd.doors.ldlm.calls import key_of
from glockd.net.frames import frame
from glockd.store import book as module
from glockd.store.book import Book
from tests.doors.ldlm.adapters import KINDS as CALLS
from tests.doors.ldlm.callers import Caller, House
from tests.support.http2 import RESET
from tests.support.wires import until

UNAVAILABLE = 14
TROUBLE = "records cannot be written: database is locked"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
async def house(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "RETRY", 0.01)
    house = House(records=str(path), ldlm_keep_over_restart=True)
    house.door._desk.restore()
    yield house
    book_of(house).close()


@pytest.fixture
def hindrance(house: House, path: Path) -> Iterator[sqlite3.Connection]:
    """Another program, that can keep the daemon from writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def book_of(house: House) -> Book:
    assert house.book is not None
    return house.book


def recorded(path: Path) -> dict[str, bytes]:
    """The names that are held, by their keys, for everybody to read."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT key, name FROM ldlm_holds"))


def held(house: House, name: bytes = b"job") -> list[str]:
    return [key_of(hold) for hold in house.service.state.exclusive.holds(name)]


async def trouble(house: House, hindrance: sqlite3.Connection) -> None:
    """Let a commit fail; what it held was nothing of these clients'."""
    hindrance.execute("BEGIN IMMEDIATE")
    book_of(house).put("DELETE FROM ldlm_holds WHERE key = ?", ("nobody's",))
    await until(lambda: book_of(house).trouble)


async def hears(client: Caller, call: str, stream: int) -> dict[str, Any]:
    """The answer to a call, when it comes."""
    await until(lambda: client.answer(stream))
    return CALLS[call][1].decode(client.has(stream).message)


async def test_a_grpc_call_is_refused_and_changes_nothing(
    house: House, hindrance: sqlite3.Connection, path: Path
) -> None:
    alice = house.caller()
    key = (await hears(alice, "TryLock", alice.asks("TryLock")))["key"]
    await trouble(house, hindrance)
    before = recorded(path)
    calls: dict[str, dict[str, Any]] = {
        "TryLock": {"name": "other"},
        "Lock": {"wait_timeout_seconds": 5},
        "Unlock": {"key": key},
    }
    for call, fields in calls.items():
        answer = alice.has(alice.asks(call, **fields))
        assert (answer.status, answer.headers["grpc-message"]) == (UNAVAILABLE, TROUBLE)
    assert (held(house), held(house, b"other")) == ([key], [])
    assert house.service.state.exclusive.waiting == 0
    hindrance.execute("ROLLBACK")
    await until(lambda: not book_of(house).trouble)
    assert recorded(path) == before == {key: b"job"}
    assert (await hears(alice, "Unlock", alice.asks("Unlock", key=key)))["unlocked"]
    assert recorded(path) == {}


async def test_a_rest_call_is_refused_and_changes_nothing(
    house: House, hindrance: sqlite3.Connection, path: Path
) -> None:
    alice = house.visitor()
    await alice.begins()
    alice.asks("POST", "/v1/lock", b'{"name": "job"}')
    key = (await alice.hears())["key"]
    await trouble(house, hindrance)
    unlock = json.dumps({"name": "job", "key": key}).encode()
    for call, body in ("lock", b'{"name": "other"}'), ("lock?wait=5", b'{"name": "job"}'), ("unlock", unlock):
        alice.asks("POST", f"/v1/{call}", body)
        assert b"\r\nSet-Cookie: ldlm-session=" in alice.pipe.written  # the session goes on
        assert await alice.hears(503) == {"code": UNAVAILABLE, "message": TROUBLE, "details": []}
    assert (held(house), held(house, b"other")) == ([key], [])
    hindrance.execute("ROLLBACK")
    await until(lambda: not book_of(house).trouble)
    alice.asks("POST", "/v1/unlock", unlock)
    assert (await alice.hears())["unlocked"]
    assert recorded(path) == {}


async def test_leases_are_no_records_and_can_be_renewed(house: House, hindrance: sqlite3.Connection) -> None:
    alice = house.caller()
    key = (await hears(alice, "TryLock", alice.asks("TryLock", lock_timeout_seconds=60)))["key"]
    await trouble(house, hindrance)
    renewed = alice.asks("Renew", key=key, lock_timeout_seconds=600)
    assert (await hears(alice, "Renew", renewed))["locked"]
    alice.vanishes()
    hindrance.execute("ROLLBACK")
    await until(lambda: not book_of(house).trouble)


async def test_an_answer_waits_for_the_commit_that_has_failed(
    house: House, hindrance: sqlite3.Connection, path: Path
) -> None:
    alice, bob = house.caller(), house.visitor()
    await bob.begins()
    hindrance.execute("BEGIN IMMEDIATE")
    stream = alice.asks("TryLock")
    bob.asks("POST", "/v1/lock", b'{"name": "other"}')
    await until(lambda: book_of(house).trouble)
    assert alice.answer(stream) is None
    assert bob.pipe.written == b""
    assert (len(held(house)), len(held(house, b"other"))) == (1, 1)
    hindrance.execute("ROLLBACK")
    answers = await hears(alice, "TryLock", stream), await bob.hears()
    assert all(one["locked"] for one in answers)
    assert recorded(path) == {answers[0]["key"]: b"job", answers[1]["key"]: b"other"}


async def test_a_turn_that_comes_meanwhile_is_answered_afterwards(
    house: House, hindrance: sqlite3.Connection, path: Path
) -> None:
    alice, bob = house.caller(), house.caller()
    key = (await hears(alice, "TryLock", alice.asks("TryLock")))["key"]
    waiting = bob.asks("Lock")
    await trouble(house, hindrance)
    alice.vanishes(ConnectionResetError())
    await until(lambda: held(house) not in ([], [key]))
    assert bob.answer(waiting) is None
    hindrance.execute("ROLLBACK")
    answer = await hears(bob, "Lock", waiting)
    assert answer["locked"]
    assert recorded(path) == {answer["key"]: b"job"}


@pytest.mark.parametrize("goes", [True, False], ids=["gone", "cancelled"])
async def test_who_does_not_wait_for_the_answer_leaves_no_record(
    house: House, hindrance: sqlite3.Connection, path: Path, goes: bool
) -> None:
    alice, bob = house.caller(), house.caller()
    hindrance.execute("BEGIN IMMEDIATE")
    stream = alice.asks("TryLock")
    await until(lambda: book_of(house).trouble)
    if goes:
        alice.vanishes(ConnectionResetError())
    else:
        alice.sends(frame(RESET, 0, stream, struct.pack(">I", 8)))
    await until(lambda: not held(house))
    hindrance.execute("ROLLBACK")
    await until(lambda: not book_of(house).trouble)
    assert recorded(path) == {}
    assert (await hears(bob, "TryLock", bob.asks("TryLock")))["locked"]


async def test_the_end_of_a_rest_session_is_answered_when_it_is_recorded(
    house: House, hindrance: sqlite3.Connection, path: Path
) -> None:
    alice = house.visitor()
    await alice.begins()
    alice.asks("POST", "/v1/lock", b'{"name": "job"}')
    await alice.hears()
    await trouble(house, hindrance)
    alice.asks("DELETE", "/session")
    await until(lambda: not held(house))
    assert alice.pipe.written == b""
    hindrance.execute("ROLLBACK")
    assert await alice.hears() == {"session_id": ""}
    assert recorded(path) == {}
