"""Sessions, holds and waits as the tests of the core make them: with no clock and no bytes."""

from __future__ import annotations

import sys
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from glockd.core.deadlines import NEVER
from glockd.core.events import Granted, Queued
from glockd.core.holds import Hold, Waiter
from glockd.core.locks import LockTable
from glockd.core.sessions import Concurrent, Session


def sessions(number: int) -> list[Session]:
    return [Session(b"address:%d" % serial) for serial in range(number)]


def concurrents(number: int) -> list[Session]:
    """Sessions that can act while they wait."""
    return [Concurrent(b"calls:%d" % serial, "ldlm") for serial in range(number)]


def taken(table: LockTable, name: bytes, session: Session, now: float = 0.0, **how: int) -> Hold:
    hold = table.take(name, session, now, **how)  # type: ignore[arg-type]
    assert hold is not None
    return hold


def queued(
    table: LockTable,
    name: bytes,
    session: Session,
    now: float = 0.0,
    until: float = NEVER,
    key: Hashable = None,
) -> Waiter:
    outcome = table.wait(name, session, now, until, key=key)
    assert isinstance(outcome, Queued)
    return outcome.waiter


def turns(events: Sequence[object] | None) -> list[tuple[Session, Hashable]]:
    """Whose turn has come, and the key of what each holds now."""
    granted = [event for event in events or () if isinstance(event, Granted)]
    assert len(granted) == len(events or ())
    return [(event.waiter.session, event.hold.key) for event in granted]


def held_by(session: Session) -> Collection[Hold]:
    return session.holds


def awaited_by(session: Session) -> Collection[Waiter]:
    return session.waiters


@contextmanager
def steps() -> Iterator[list[int]]:
    """How many lines are run meanwhile."""
    counted = [0]

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        counted[0] += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield counted
    finally:
        sys.settrace(before)
