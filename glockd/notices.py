"""What goes out besides events: plain records of what the log and the service are to know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from glockd.core.events import Event
from glockd.core.history import Record

if TYPE_CHECKING:
    from glockd.core.sessions import Session


@dataclass(frozen=True, slots=True)
class Connected:
    """A session has begun."""

    session: Session


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A session has ended, and holds nothing any more."""

    session: Session
    how: str  # closed, reset, dead peer, kicked, lapsed, shutdown or idle


@dataclass(frozen=True, slots=True)
class Kicked:
    """An operator wants this session to end."""

    session: Session
    by: Session  # the operator's


@dataclass(frozen=True, slots=True)
class Renamed:
    """A session calls itself something else now."""

    session: Session


@dataclass(frozen=True, slots=True)
class Misspoken:
    """A session sent a line that is no command."""

    session: Session
    line: bytes


@dataclass(frozen=True, slots=True)
class Refusals:
    """What was refused of late, by reason."""

    reasons: Counter[str]


@dataclass(frozen=True, slots=True)
class Stranger:
    """A name that the daemon was called by, or a site whose page asked, which is refused; told once for each."""

    reason: str  # host or origin
    name: str


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Records cannot be written."""

    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """Records are written again."""

    seconds: float  # since they were not


@dataclass(frozen=True, slots=True)
class CheckpointFailed:
    """Records are written, and what they are written into cannot be emptied."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that a door was to read again cannot be used; what it said before is in force."""

    reason: str


# What lies in the service's outbox: events for the listeners of sessions, and the rest for the log, the history's
# records among it where they are logged as they happen.
Notice: TypeAlias = (
    Event
    | Record
    | Connected
    | Disconnected
    | Kicked
    | Renamed
    | Misspoken
    | Refusals
    | Stranger
    | Unrecorded
    | Recording
    | CheckpointFailed
    | Unread
)
