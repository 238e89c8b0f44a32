"""The records that the core returns, for facts that concern somebody else than the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from glockd.core.holds import Hold, Waiter
    from glockd.core.sessions import Owner, Session


class Granted(NamedTuple):
    """A waiter's turn has come."""

    # A tuple, because somebody waits for it: it is made three times as fast.

    waiter: Waiter
    hold: Hold
    holders: int  # how many hold the lock now, this one included


@dataclass(frozen=True, slots=True)
class Queued:
    """A session waits in line now."""

    waiter: Waiter


@dataclass(frozen=True, slots=True)
class Refused:
    """A wait that could never be granted was not begun."""

    waiter: Waiter  # never in line
    cycle: tuple[
        Session, ...
    ]  # each waits for a lock that the next one holds, the last for one of the first's


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A waiter's time was up; it has left the line."""

    waiter: Waiter


@dataclass(frozen=True, slots=True)
class Expired:
    """A lease is over: the daemon has taken the lock back."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The time of an owner is over; it is there, with all it holds, until it is ended."""

    owner: Owner


Event = Granted | Queued | Refused | TimedOut | Expired | Lapsed
