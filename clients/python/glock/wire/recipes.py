"""The steps of each operation, once for the blocking and the asyncio client.

A recipe is a generator: it yields an `Ask` and is sent the reply lines, or yields a `Pause`; it returns the
result or raises what went wrong. Whoever drives it does the I/O and keeps the time.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from glock.errors import (
    Deadlock,
    GlockError,
    LockBusy,
    NotAuthorised,
    Unsupported,
    WaitTimeout,
)
from glock.wire.arguments import INFINITE, duration, period, whole
from glock.wire.conversation import Ask, Conversation, Hold, Pause
from glock.wire.language import decode, line, number, refuse, seconds

T = TypeVar("T")
Recipe = Generator[Ask | Pause, list[bytes], T]
Mode = Literal["exclusive", "read", "shared"]
POLL_FIRST, POLL_MOST = 0.01, 0.5  # seconds between tries where the server cannot wait


@dataclass(frozen=True)
class Want:
    """A lock that somebody wants: how, and how long they wait for it (seconds; 0 not at all).

    Raises:
        TypeError, ValueError: an argument makes no sense.
    """

    name: bytes
    mode: Mode = "exclusive"
    wait: float = INFINITE
    limit: int | None = None  # of holders; "shared" only
    lease: float | None = None  # seconds

    def __post_init__(self) -> None:
        checked: dict[str, object] = {"wait": duration(self.wait, "wait")}
        if self.limit is not None:
            checked["limit"] = whole(self.limit, "limit", 1)
        elif self.mode == "shared":
            checked["wait"] = 0.0  # without a limit it is always to be had
        if self.lease is not None:
            checked["lease"] = period(self.lease, "lease")
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # frozen

    @property
    def text(self) -> str:
        return decode(self.name)

    @property
    def is_new(self) -> bool:
        """Does this need words that the original does not know?"""
        return self.mode == "read" or self.limit is not None or self.lease is not None

    @cached_property
    def verb(self) -> bytes:
        """The line that gets it. Where an old word does, it is used."""
        if self.mode == "read":
            return line(b"read", seconds(self.wait), self.name)
        if self.mode == "shared":
            if self.limit is None:
                return line(b"sg", self.name)
            return line(b"share", seconds(self.wait), str(self.limit).encode(), self.name)
        return line(b"wait", seconds(self.wait), self.name) if self.wait else line(b"g", self.name)

    @cached_property
    def give_back(self) -> Ask:
        return Ask(line(b"sr" if self.mode == "shared" else b"r", self.name))

    @cached_property
    def success(self) -> bytes:
        """What the daemon says, behind the number of holders, when it is got."""
        return (b"Shared " if self.mode == "shared" else b"") + b"Lock Get Success: " + self.name

    @cached_property
    def failure(self) -> bytes:
        return (b"Shared " if self.mode == "shared" else b"") + b"Lock Get Failure: " + self.name

    @cached_property
    def ask(self) -> Ask:
        """Get it, and what there is to know about it, in one packet."""
        data, undo = self.verb, self.give_back.data
        if self.mode != "shared":
            data += line(b"token", self.name)
        if self.lease is not None:
            data += line(b"lease", seconds(self.lease), self.name)
        if self.wait:
            undo = b"cancel\n" + undo
        return Ask(data, undo, self.wait)


def open_conversation(
    talk: Conversation, secret: bytes | None, name: bytes | None, alive: int | None = None
) -> Recipe[None]:
    """Find out who is there, show the secret, introduce ourselves, ask for signs of life.

    Args:
        alive: seconds between two signs of life; None: none.

    Raises:
        NotAuthorised: the daemon wants a secret, or another one.
        Unsupported: it knows no signs of life.
    """
    if secret is not None:
        lines = yield Ask(line(b"auth", secret), opening=True)
        # A daemon without -auth-file has no use for a secret, and says so in whatever way.
        if lines == [b"0 Not Authorised"]:
            raise NotAuthorised("the server does not accept this secret (GLOCK_SECRET)")
    lines = yield Ask(b"version\n", opening=True)
    if lines:
        if not lines[0].startswith(b"1 glockd "):
            refuse(lines[0])
        talk.modern = True
        talk.version = decode(lines[0].removeprefix(b"1 "))
    hello = b"notify on\n" if talk.modern else b""
    if name is not None:
        hello += line(b"iam", name)
    if hello:
        lines = yield Ask(hello)
        if talk.modern and lines[0] != b"1 ok":
            refuse(lines[0])
    if alive is not None:
        yield from live(talk, alive)


def live(talk: Conversation, alive: int) -> Recipe[None]:
    """From now on the server gives a sign of life every `alive` seconds; 0: no more.

    Raises:
        Unsupported: it knows no signs of life.
    """
    lines = []
    if talk.modern:
        lines = yield Ask(line(b"alive", b"%d" % alive), opening=True)
    if not lines:
        raise Unsupported("this server does not know `alive`: it gives no signs of life")
    if lines[0] != b"1 ok":
        refuse(lines[0])


def acquire(talk: Conversation, want: Want) -> Recipe[Hold]:
    """Get a lock, or take it once more if this session's owner has it.

    Raises:
        LockBusy, WaitTimeout, Deadlock: not got; nothing has changed.
        Unsupported: the original does not know how. Nothing was sent.
    """
    held = talk.holds.get((want.mode == "shared", want.name))
    if held is not None:
        if held.mode == "read" and want.mode == "exclusive":
            raise Deadlock(f"{want.text!r} is held for reading: the whole would wait for its own reader")
        held.count += 1
        return held
    if want.is_new and not talk.modern:
        raise Unsupported("this server is the original glockd: it has no read locks, limits or leases")
    if talk.modern:
        lines = yield want.ask
        holders = _granted(want, lines[0])
        try:
            token = _token(want, lines)
        except GlockError:
            yield want.give_back
            raise
    else:
        holders, token = (yield from _poll(want)), None
    hold = Hold(want.name, want.mode, want.give_back, holders, token)
    talk.holds[hold.key] = hold
    return hold


def _token(want: Want, lines: list[bytes]) -> int | None:
    """What is told of a lock that was granted."""
    if want.mode == "shared":
        return None
    token, text = number(lines[1])
    if not token or text != b"Lock Token: " + want.name:
        refuse(lines[1])
    if want.lease is not None and lines[2] != b"1 Lock Lease Success: " + want.name:
        refuse(lines[2])
    return token


def _poll(want: Want) -> Recipe[int]:
    # The original cannot wait: ask again and again, which is not first come, first served.
    pause, waited = POLL_FIRST, 0.0
    attempt = want if want.wait == 0 else Want(want.name, want.mode, 0.0)
    while True:
        lines = yield Ask(attempt.verb, undo=attempt.give_back.data)
        try:
            return _granted(attempt, lines[0])
        except LockBusy:
            if waited >= want.wait:
                _busy(want)
        pause = min(pause, want.wait - waited)
        yield Pause(pause)
        waited += pause
        pause = min(pause * 2, POLL_MOST)


def _granted(want: Want, reply: bytes) -> int:
    """How many hold it now."""
    count, text = number(reply)
    if count and text == want.success:
        return count
    if not count and text == want.failure:
        _busy(want)
    refuse(reply)


def _busy(want: Want) -> None:
    if want.wait:
        raise WaitTimeout(f"{want.text!r} was not free within {want.wait:g} s")
    raise LockBusy(f"{want.text!r} is held by somebody else")


def release(talk: Conversation, hold: Hold) -> Recipe[None]:
    """Give back what `acquire` has got; the last time frees it.

    Raises:
        LockLost, ConnectionLost: it was not held any more.
    """
    if hold.lost is not None:
        raise hold.lost
    hold.count -= 1
    if hold.count:
        return
    # From here on the lock is not ours, whatever happens to the answer.
    talk.holds.pop(hold.key, None)
    what = b"Shared Lock" if hold.mode == "shared" else b"Lock"
    lines = yield hold.give_back
    if lines[0] == b"1 " + what + b" Release Success: " + hold.name:
        return
    if lines[0] == b"0 " + what + b" Release Failure: " + hold.name:
        raise talk.lose(hold, "the server no longer knew of it")
    refuse(lines[0])


def renew(talk: Conversation, hold: Hold, lease: float) -> Recipe[None]:
    """From now on the daemon takes the lock back after `lease` seconds, unless this comes again; `inf`:
    never.

    Raises:
        LockLost: it was not held any more.
        TypeError, ValueError: `lease` makes no sense. It is held as before.
    """
    if hold.lost is not None:
        raise hold.lost
    lease = period(lease, "lease")
    if not talk.modern or hold.mode == "shared":
        raise Unsupported("leases are for exclusive and read locks, and not known to the original glockd")
    lines = yield Ask(line(b"lease", seconds(lease), hold.name))
    if lines[0] == b"0 Lock Lease Failure: " + hold.name:
        raise talk.lose(hold, "the lease was over")
    if lines[0] != b"1 Lock Lease Success: " + hold.name:
        refuse(lines[0])
