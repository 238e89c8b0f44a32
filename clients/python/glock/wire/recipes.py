"""The steps of each operation, once for the blocking and the asyncio client.

A recipe is a generator: it yields an `Ask` and is sent the reply lines, or yields a `Pause`; it returns the
result or raises what went wrong. Whoever drives it does the I/O and keeps the time.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

from glock.errors import (
    Deadlock,
    GlockError,
    LockBusy,
    NotAuthorised,
    ProtocolError,
    Unsupported,
    WaitTimeout,
)
from glock.wire.conversation import Ask, Conversation, Hold, Pause
from glock.wire.language import decode, encode, line, number, refuse, seconds

T = TypeVar("T")
Recipe = Generator[Ask | Pause, list[bytes], T]
Mode = Literal["exclusive", "read", "shared"]
INFINITE = float("inf")
POLL_FIRST, POLL_MOST = 0.01, 0.5  # seconds between tries where the server cannot wait


@dataclass(frozen=True)
class Want:
    """A lock that somebody wants: how, and how long they wait for it (seconds; 0 not at all)."""

    name: bytes
    mode: Mode = "exclusive"
    wait: float = 0.0
    limit: int | None = None  # of holders; "shared" only
    lease: float | None = None  # seconds

    def __post_init__(self) -> None:
        if not self.wait >= 0:
            raise ValueError(f"wait must be 0 seconds or more, not {self.wait!r}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be 1 or more, not {self.limit!r}")
        if self.lease is not None and not self.lease > 0:
            raise ValueError(f"lease must be more than 0 seconds, not {self.lease!r}")

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


def open_conversation(talk: Conversation, secret: str | None, name: bytes | None) -> Recipe[None]:
    """Find out who is there, show the secret, introduce ourselves.

    Raises:
        NotAuthorised: the daemon wants a secret, or another one.
    """
    if secret is not None:
        lines = yield Ask(line(b"auth", encode(secret)), opening=True)
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
    attempt = want if want.wait == 0 else Want(want.name, want.mode)
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
    """
    if hold.lost is not None:
        raise hold.lost
    if not lease > 0:
        raise ValueError(f"lease must be more than 0 seconds, not {lease!r}")
    if not talk.modern or hold.mode == "shared":
        raise Unsupported("leases are for exclusive and read locks, and not known to the original glockd")
    lines = yield Ask(line(b"lease", seconds(lease), hold.name))
    if lines[0] == b"0 Lock Lease Failure: " + hold.name:
        raise talk.lose(hold, "the lease was over")
    if lines[0] != b"1 Lock Lease Success: " + hold.name:
        refuse(lines[0])


# Questions: asked on a session that holds nothing


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds what. `who` is the name that the holder has registered, or else its address."""

    name: str
    who: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A connected client that has registered a name."""

    address: str
    name: str


def inspect(talk: Conversation, name: bytes) -> Recipe[bool]:
    lines = yield Ask(line(b"i", name))
    if lines[0] == b"1 Lock Is Locked: " + name:
        return True
    if lines[0] == b"0 Lock Not Locked: " + name:
        return False
    refuse(lines[0])


def inspect_shared(talk: Conversation, name: bytes) -> Recipe[int]:
    lines = yield Ask(line(b"si", name))
    count, text = number(lines[0])
    if text in (b"Shared Lock Is Locked: " + name, b"Shared Lock Not Locked: " + name):
        return count
    refuse(lines[0])


def check(talk: Conversation, token: int, name: bytes) -> Recipe[bool]:
    yield from _need(talk)
    lines = yield Ask(line(b"check", b"%d" % operator.index(token), name))
    if lines[0] == b"1 Lock Token Current: " + name:
        return True
    if lines[0] == b"0 Lock Token Stale: " + name:
        return False
    refuse(lines[0])


def holders(talk: Conversation, name: bytes | None, shared: bool) -> Recipe[list[Holder]]:
    command = b"sd" if shared else b"d"
    lines = yield from _listing(line(command, name) if name is not None else command + b"\n")
    found = []
    for each in lines:
        if name is not None and each.startswith(name + b": "):
            lock, who = name, each[len(name) + 2 :]
        else:
            lock, _, who = each.rpartition(b": ")
        found.append(Holder(decode(lock), decode(who)))
    return found


def who(talk: Conversation, name: bytes | None) -> Recipe[list[Peer]]:
    lines = yield from _listing(line(b"who", name) if name is not None else b"who\n")
    return [
        Peer(decode(address), decode(given))
        for address, _, given in (each.partition(b": ") for each in lines)
    ]


def stats(talk: Conversation) -> Recipe[dict[str, int]]:
    lines = yield from _listing(b"q\n")
    try:
        return {decode(key): int(value) for key, _, value in (each.partition(b": ") for each in lines)}
    except ValueError:
        raise ProtocolError("these are no counters of a glockd") from None


def _listing(command: bytes) -> Recipe[list[bytes]]:
    lines = yield Ask(command, listing=True)
    if lines and (lines[0] in (b"0 disabled", b"0 Not Authorised") or lines[0].startswith(b"0 Bad Argument")):
        refuse(lines[0])
    return lines


def explain(talk: Conversation, name: bytes) -> Recipe[dict[str, Any]]:
    yield from _need(talk)
    result = yield from _json(line(b"explain", name))
    if not isinstance(result, dict):
        raise ProtocolError("explain did not answer with an object")
    return result


def history(talk: Conversation, name: bytes | None) -> Recipe[list[dict[str, Any]]]:
    yield from _need(talk)
    command = line(b"history", name) if name is not None else b"history\n"
    result = yield from _json(command, "the daemon's -history turns it on")
    if not isinstance(result, list):
        raise ProtocolError("history did not answer with a list")
    return result


def _json(command: bytes, hint: str = "") -> Recipe[Any]:
    lines = yield Ask(command)
    _, text = number(lines[0])
    if text[:1] not in (b"{", b"["):
        refuse(lines[0], hint)
    try:
        return json.loads(text)
    except ValueError:
        raise ProtocolError(f"this is no JSON: {text[:80]!r}") from None


def kick(talk: Conversation, session: bytes) -> Recipe[int]:
    yield from _need(talk)
    lines = yield Ask(line(b"kick", session))
    count, text = number(lines[0])
    if text != b"Kicked: " + session:
        refuse(lines[0], "kick is for the Unix socket, with -admin")
    return count


def bound(talk: Conversation) -> Recipe[int]:
    yield from _need(talk)
    lines = yield Ask(b"bound\n")
    count, text = number(lines[0])
    if text != b"Dead Peer Seconds":
        refuse(lines[0])
    return count


def ping(talk: Conversation) -> Recipe[None]:
    # `me` is the original's cheapest word that is always answered.
    lines = yield Ask(b"ping\n" if talk.modern else b"me\n")
    if not lines[0].startswith(b"1 "):
        refuse(lines[0])


def version(talk: Conversation) -> Recipe[str]:
    """What the server calls itself; empty for the original, which does not tell."""
    return talk.version
    yield


def _need(talk: Conversation) -> Recipe[None]:
    if not talk.modern:
        raise Unsupported("this server is the original glockd, which does not know this command")
    return
    yield


# Answers of several servers, put together


def merge_stats(each: list[dict[str, int]]) -> dict[str, int]:
    """The sums."""
    total: dict[str, int] = {}
    for counters in each:
        for key, value in counters.items():
            total[key] = total.get(key, 0) + value
    return total


def merge_history(each: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """By wall time, which several daemons only roughly agree on."""
    if len(each) == 1:
        return each[0]
    return sorted((event for events in each for event in events), key=lambda event: event.get("time", 0))
