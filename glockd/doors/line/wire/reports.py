"""What `explain`, `history` and `find` tell, as JSON.

Names and addresses are text there: bytes that are no UTF-8 appear as backslash escapes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from glockd.core.deadlines import NEVER
from glockd.core.history import GRANTED, Record
from glockd.core.holds import WHOLE, Hold, Waiter
from glockd.core.names import text

if TYPE_CHECKING:
    from glockd.core.locks import LockTable
    from glockd.core.sessions import Session
    from glockd.core.state import State
    from glockd.core.tables import Table

# Characters of a key that are shown.
SHOWN_OF_KEYS = 8


def explain(state: State, name: bytes, now: float) -> bytes:
    """Who holds `name` and who waits for it, in both namespaces; in those of other doors if anybody does."""
    line = (state.exclusive, state.shared)
    tables = [table for table in state.shown() if table in line or name in table]
    return _json({"name": text(name)} | {table.kind: _table(table, name, now) for table in tables})


def history(records: Sequence[Record], wall_offset: float) -> bytes:
    """The records in words.

    Args:
        wall_offset: what to add to monotonic seconds to get those since 1970.
    """
    return _json([event(record, wall_offset) for record in records])


def mode(subject: Hold | Waiter) -> str:
    """How a lock is held or wanted: write, read, shared, exclusive for a window, or unit for one of several units."""
    if subject.table.kind == "shared":
        return "shared"
    if subject.table.kind == "windows":
        return "exclusive" if subject.weight == WHOLE else "shared"
    if subject.weight == WHOLE:
        return "write"
    # A reader's key is the reader; who takes units of a pool or of a sized lock has them under keys of their own.
    return "read" if subject.key is subject.session else "unit"


def _table(table: LockTable, name: bytes, now: float) -> dict[str, Any]:
    return {
        "holders": [_hold(hold, now) for hold in table.holds(name)],
        "waiters": [
            _session(waiter.session)
            | {
                "mode": mode(waiter),
                "place": place,
                "seconds": round(now - waiter.since, 3),
                "limit": None if waiter.limit == WHOLE else waiter.limit,
                "timeout": _left(waiter.deadline, now),
            }
            for place, waiter in enumerate(table.waiters(name), 1)
        ],
        **({} if table.units(name) is None else {"free": table.free_units(name)}),
    }


def lock(table: Table, name: bytes, now: float) -> dict[str, Any]:
    """One lock of a listing: its oldest hold whole, if it has one, the others and the line in numbers."""
    return _lock(table, name, next(iter(table.holds(name)), None), now)


def hold(one: Hold, now: float) -> dict[str, Any]:
    """One hold of a listing, with what is to be said of its lock."""
    return _lock(one.table, one.name, one, now)


def _lock(table: Table, name: bytes, one: Hold | None, now: float) -> dict[str, Any]:
    waiters = table.waiters(name)
    first = next(iter(waiters), None)
    return {
        "name": text(name),
        "table": table.kind,
        "holder": None if one is None else _hold(one, now),
        "holders": table.count(name),
        "waiters": len(waiters),
        "waited": None if first is None else round(now - first.since, 3),
    }


def session(one: Session, now: float) -> dict[str, Any]:
    """One session of a listing: what it waits for, and how much it holds."""
    return {
        **_session(one),
        "seconds": round(now - one.since, 3),
        "holds": len(one.holds),
        "waits": [
            {
                "name": text(waiter.name),
                "table": waiter.table.kind,
                "mode": mode(waiter),
                "seconds": round(now - waiter.since, 3),
            }
            for waiter in one.waiters
        ],
    }


def page(entries: Sequence[dict[str, Any]], place: int | None, total: int, waiting: int) -> bytes:
    """A page of a listing.

    Args:
        place: where the next page begins, None if this is the last.
        total: how many entries the listing has, before any search.
        waiting: how many sessions wait in line, for all locks.
    """
    return _json({"next": place, "total": total, "waiting": waiting, "entries": entries})


def _hold(hold: Hold, now: float) -> dict[str, Any]:
    return _session(hold.session) | {
        "mode": mode(hold),
        "seconds": round(now - hold.since, 3),
        "token": hold.token,
        "lease": _left(hold.deadline, now),
        **_key(hold),
    }


def _key(subject: Hold | Waiter) -> dict[str, Any]:
    """The beginning of the key that a client of another door has: the whole would let others give its lock back."""
    key = subject.key
    if subject.table.kind == "items" and isinstance(key, bytes):
        return {"item": text(key)}
    if subject.table.kind != "exclusive" or not isinstance(key, bytes):
        return {}
    return {"key": text(key[:SHOWN_OF_KEYS])}


def _session(one: Session) -> dict[str, Any]:
    return {
        "address": text(one.address),
        "name": None if one.name is None else text(one.name),
        "transport": one.transport or None,
    }


def _left(deadline: float, now: float) -> float | None:
    return None if deadline == NEVER else round(max(deadline - now, 0.0), 3)


def event(record: Record, wall_offset: float) -> dict[str, Any]:
    """One record in words; see `history`."""
    subject = record.subject
    entry: dict[str, Any] = {
        "event": record.kind,
        "time": round(record.now + wall_offset, 3),
        "lock": text(subject.name),
        "table": subject.table.kind,
        "mode": mode(subject),
        **_session(subject.session),
        "waited": round(record.waited, 3),
        "held": 0.0,
        "token": None,
        "detail": record.detail,
        **_key(subject),
    }
    if isinstance(subject, Hold):
        entry["token"] = subject.token
        if record.kind != GRANTED:
            entry["held"] = round(record.now - subject.since, 3)
    return entry


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
