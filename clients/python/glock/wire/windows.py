"""The steps of booking windows, and of giving them back. They are recipes, as those of `recipes`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from glock.errors import LockBusy, ProtocolError, Unsupported
from glock.wire.arguments import duration, whole
from glock.wire.conversation import Ask, Conversation
from glock.wire.language import Name, decode, encode, line, number, refuse, seconds
from glock.wire.recipes import Recipe

_BOOKED = re.compile(rb"([1-9]\d*) (Shared )?Booked (\S+Z) (\S+Z): ")
_STAMP = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Booking:
    """A window that is booked: a name for a stretch of time.

    Attributes:
        number: what the server calls it; never used again.
        name: what it is a window of.
        start: when it begins.
        end: when it is over.
        shared: whether it may be beside others that are shared.
    """

    number: int
    name: str
    start: datetime
    end: datetime
    shared: bool


@dataclass(frozen=True, slots=True)
class WantWindow:
    """A window, and when it may be.

    Args:
        name: what it is to be a window of.
        length: seconds, more than 0.
        start: None: now; seconds from now on; or a moment.
        slip: by how many seconds it may be later.
        shared: whether it may be beside others that are shared.

    Raises:
        TypeError, ValueError: an argument makes no sense.
    """

    name: bytes
    length: float
    start: float | datetime | None = None
    slip: float = 0
    shared: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a window has a name")
        for what in ("length", "slip"):
            if math.isinf(duration(getattr(self, what), what)):
                raise ValueError(f"a {what} has an end")
        if not self.length:
            raise ValueError("a window has a length")
        if isinstance(self.start, datetime):
            if self.start.tzinfo is None:
                raise ValueError(f"{self.start} does not say in which time zone it is")
        elif self.start is not None and math.isinf(duration(self.start, "start")):
            raise ValueError("a start is some time")

    @property
    def verb(self) -> bytes:
        """The line that books it."""
        words = self._start(), seconds(self.length), seconds(self.slip), self.name
        return line(b"sbook" if self.shared else b"book", *words)

    def _start(self) -> bytes:
        if self.start is None:
            return b"now"
        if not isinstance(self.start, datetime):
            return b"+" + seconds(self.start)
        # The server takes whole seconds; none begins before it was wanted.
        at = self.start.astimezone(UTC)
        at = at if not at.microsecond else at.replace(microsecond=0) + timedelta(seconds=1)
        return at.strftime(_STAMP).encode()


def book(talk: Conversation, want: WantWindow) -> Recipe[Booking]:
    """Book a window.

    Raises:
        LockBusy: there is no room for it; nothing has changed.
        Unsupported: the original has no windows. Nothing was sent.
    """
    _need(talk)
    lines = yield Ask(want.verb)
    found = _BOOKED.match(lines[0])
    if found is not None and lines[0][found.end() :] == want.name and bool(found[2]) == want.shared:
        start, end = (_moment(stamp) for stamp in (found[3], found[4]))
        return Booking(int(found[1]), decode(want.name), start, end, want.shared)
    if lines[0] == b"0 Not Booked: " + want.name:
        raise LockBusy(
            f"there is no room for a window of {decode(want.name)!r}, or it lies further ahead than the server books"
        )
    refuse(lines[0], hint="-windows")


def unbook(talk: Conversation, number: int) -> Recipe[bool]:
    """Give a window back, or end it; whether it was ours and not over yet."""
    _need(talk)
    lines = yield Ask(line(b"unbook", b"%d" % number))
    if lines[0] == b"1 Unbooked: %d" % number:
        return True
    if lines[0] == b"0 Unbook Failure: %d" % number:
        return False
    refuse(lines[0], hint="-windows")


def bookings(talk: Conversation, name: bytes | None) -> Recipe[list[dict[str, Any]]]:
    """The windows of a name, or all, that are on or to come."""
    _need(talk)
    lines = yield Ask(b"bookings\n" if name is None else line(b"bookings", name))
    _, text = number(lines[0])
    if text[:1] != b"[":
        refuse(lines[0], hint="-windows, and not -dump=false")
    try:
        found = json.loads(text)
    except ValueError:
        raise ProtocolError(f"this is no JSON: {text[:80]!r}") from None
    if not isinstance(found, list):
        raise ProtocolError("bookings did not answer with a list")
    return found


def window_of(name: Name) -> bytes:
    """A window's name as it is sent."""
    return encode(name, "name of a window")


def number_of(booking: Booking | int) -> int:
    """What the server calls a window.

    Raises:
        TypeError, ValueError: it is none.
    """
    return booking.number if isinstance(booking, Booking) else whole(booking, "a booking", 1)


def _moment(stamp: bytes) -> datetime:
    try:
        return datetime.strptime(stamp.decode(), _STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise ProtocolError(f"this is no moment: {stamp[:80]!r}") from None


def _need(talk: Conversation) -> None:
    if not talk.modern:
        raise Unsupported("this server is the original glockd, which has no windows")
