"""Sessions, holds and waits as the tests of the core make them: with no clock and no bytes."""

from __future__ import annotations

from collections.abc import Collection

from glockd.core.deadlines import NEVER
from glockd.core.events import Queued
from glockd.core.holds import Hold, Waiter
from glockd.core.locks import LockTable
from glockd.core.sessions import Session


def sessions(number: int) -> list[Session]:
    return [Session(b"address:%d" % serial) for serial in range(number)]


def taken(table: LockTable, name: bytes, session: Session, now: float = 0.0, **how: int) -> Hold:
    hold = table.take(name, session, now, **how)  # type: ignore[arg-type]
    assert hold is not None
    return hold


def queued(table: LockTable, name: bytes, session: Session, now: float = 0.0, until: float = NEVER) -> Waiter:
    outcome = table.wait(name, session, now, until)
    assert isinstance(outcome, Queued)
    return outcome.waiter


def held_by(session: Session) -> Collection[Hold]:
    return session.holds


def awaited_by(session: Session) -> Collection[Waiter]:
    return session.waiters
