"""`find`: long listings page by page.

`d` and `dump` of 100,000 locks are 4 MB in one piece, and nobody else is served while they are put together, for
50 ms or so; who looks at them wants one page at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from glockd.doors.line.wire import reports
from glockd.doors.line.wire.items import counted
from glockd.doors.line.wire.language import BAD_ARGUMENT, DISABLED, LF

if TYPE_CHECKING:
    from glockd.core.history import Record
    from glockd.core.holds import Hold
    from glockd.core.locks import LockTable
    from glockd.core.sessions import Session
    from glockd.doors.line.wire.conversation import Conversation

# The most entries on a page.
MAX_COUNT = 1000

# How many entries one command looks at to find those with TEXT in them: 1 to 2 ms.
SCAN = 5_000

_NUMBER = re.compile(rb"[0-9]{1,15}\Z")

T = TypeVar("T")


class Listing(NamedTuple, Generic[T]):
    """What there is to find."""

    total: int  # how many entries there are
    entries: Iterable[T]
    text: Callable[[T], bytes] | None  # what TEXT is searched in; None if every entry is wanted
    describe: Callable[[T], dict[str, Any]]


def find(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`find WHAT FROM COUNT [TEXT]`: up to COUNT entries with TEXT in them, from place FROM on, as JSON."""
    if not talk.policy.config.dump:
        return DISABLED
    what, begin, most, text = (argument.split(b" ", 3) + [b""] * 3)[:4]
    look = LISTINGS.get(what)
    if look is None:
        return BAD_ARGUMENT + b"WHAT\n"
    if not _NUMBER.match(begin):
        return BAD_ARGUMENT + b"FROM\n"
    if not _NUMBER.match(most) or not 1 <= int(most) <= MAX_COUNT:
        return BAD_ARGUMENT + b"COUNT\n"
    if what == b"held" and not text:
        return BAD_ARGUMENT + b"TEXT\n"
    listing = look(talk, text, now)
    if listing is None:
        return DISABLED
    found, place = _page(listing, text, int(begin), int(most))
    page = reports.page(found, place, listing.total, talk.state.waiting)
    return talk.pause_behind(b"%d " % len(found) + page + LF)


def _page(listing: Listing[T], text: bytes, begin: int, most: int) -> tuple[list[dict[str, Any]], int | None]:
    """The entries of a page, and where the next one begins, if there is one."""
    search = listing.text if text else None
    entries = list(islice(listing.entries, begin, begin + (most if search is None else SCAN)))
    if search is None:
        hits = [*range(len(entries))]
    else:
        hits = [index for index, one in enumerate(map(search, entries)) if text in one]
    place = begin + (hits[most - 1] + 1 if len(hits) >= most else len(entries))
    found = [listing.describe(entries[index]) for index in hits[:most]]
    return found, place if place < listing.total else None


def _table(table: LockTable, now: float) -> Listing[bytes]:
    return Listing(len(table), table, bytes, lambda name: reports.lock(table, name, now))


def _exclusive(talk: Conversation, text: bytes, now: float) -> Listing[bytes]:
    return _table(talk.exclusive, now)


def _shared(talk: Conversation, text: bytes, now: float) -> Listing[bytes]:
    return _table(talk.shared, now)


def _pools(talk: Conversation, text: bytes, now: float) -> Listing[bytes]:
    """Work lists, in numbers."""
    pools = talk.state.items
    return Listing(len(pools), pools, bytes, lambda name: counted(pools, name))


def _waited(talk: Conversation, text: bytes, now: float) -> Listing[tuple[LockTable, bytes]]:
    """The locks that somebody waits for, of all namespaces."""
    locks = [(table, name) for table in talk.state.tables.values() for name in table.contended()]
    return Listing(len(locks), locks, _name, lambda lock: reports.lock(*lock, now))


def _held(talk: Conversation, text: bytes, now: float) -> Listing[Hold]:
    """What the session with the address TEXT holds, or every session of that registered name.

    Oldest first; in no order if they are so many that it would take long.
    """
    sessions = talk.state.registry.find(text)
    total = sum(len(session.holds) for session in sessions)
    holds: Iterable[Hold] = chain.from_iterable(session.holds for session in sessions)
    if total <= SCAN:
        holds = sorted(holds, key=_token)
    return Listing(total, holds, None, lambda hold: reports.hold(hold, now))


def _sessions(talk: Conversation, text: bytes, now: float) -> Listing[Session]:
    registry = talk.state.registry
    return Listing(len(registry), registry.sessions(), _who, lambda session: reports.session(session, now))


def _history(talk: Conversation, text: bytes, now: float) -> Listing[Record] | None:
    """The latest events, newest first."""
    history = talk.state.history
    if not talk.policy.config.history or history is None:
        return None
    offset = talk.policy.wall_offset()
    return Listing(history.count(), history.latest(), _lock, lambda record: reports.event(record, offset))


def _name(lock: tuple[LockTable, bytes]) -> bytes:
    return lock[1]


def _token(hold: Hold) -> int:
    return hold.token


def _who(session: Session) -> bytes:
    return session.address if session.name is None else session.address + b" " + session.name


def _lock(record: Record) -> bytes:
    return record.subject.name


LISTINGS: dict[bytes, Callable[[Conversation, bytes, float], Listing[Any] | None]] = {
    b"exclusive": _exclusive,
    b"shared": _shared,
    b"waited": _waited,
    b"pools": _pools,
    b"held": _held,
    b"sessions": _sessions,
    b"history": _history,
}
