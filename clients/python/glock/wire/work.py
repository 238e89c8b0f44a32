"""The steps of taking an item of a work list, and of what becomes of it. They are recipes, as those of `recipes`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from glock.errors import LimitReached, LockBusy, ProtocolError, Unsupported, WaitTimeout
from glock.wire.arguments import INFINITE, duration, period
from glock.wire.conversation import Ask, Conversation, Hold
from glock.wire.language import Name, decode, encode, line, number, refuse, seconds
from glock.wire.recipes import Recipe

Verb = Literal["done", "fail", "give"]


def pool_of(name: Name) -> bytes:
    """A pool's name as it is sent: one word.

    Raises:
        TypeError: it is neither `str` nor `bytes`.
        ValueError: it is empty or has white space in it.
    """
    raw = encode(name, "pool")
    if not raw or b" " in raw:
        raise ValueError(f"a pool's name is one word, not {name!r}")
    return raw


def item_of(name: Name) -> bytes:
    """An item as it is sent.

    Raises:
        TypeError: it is neither `str` nor `bytes`.
        ValueError: it is empty, or has a line end in it.
    """
    raw = encode(name, "item")
    if not raw:
        raise ValueError("an item is not empty")
    return raw


@dataclass(frozen=True)
class WantItem:
    """Any item of a pool, and how long somebody waits for it (seconds; 0 not at all).

    Raises:
        TypeError, ValueError: an argument makes no sense.
    """

    name: bytes  # the pool's
    wait: float = INFINITE
    keep: float | None = None  # seconds

    mode = "item"

    def __post_init__(self) -> None:
        object.__setattr__(self, "wait", duration(self.wait, "wait"))
        if self.keep is not None:
            object.__setattr__(self, "keep", period(self.keep, "keep"))

    @cached_property
    def verb(self) -> bytes:
        """The line that takes one."""
        return line(b"take", seconds(self.wait), self.name)

    def give_back(self, lines: list[bytes]) -> bytes:
        """The line that undoes what was answered."""
        item = self._item(lines[0])
        return b"" if item is None else line(b"give", self.name, item)

    def taken(self, reply: bytes) -> tuple[int, bytes]:
        """Which attempt it is at which item.

        Raises:
            LockBusy, WaitTimeout, LimitReached: there is none.
        """
        item = self._item(reply)
        if item is not None:
            return number(reply)[0], item
        if reply != b"0 Item Take Failure: " + self.name:
            refuse(reply)
        text = decode(self.name)
        if not self.wait:
            raise LockBusy(f"no item of {text!r} is free")
        if self.wait == INFINITE:
            raise LimitReached(f"the server lets this client take no more items of {text!r}")
        raise WaitTimeout(f"no item of {text!r} was free within {self.wait:g} s")

    @staticmethod
    def _item(reply: bytes) -> bytes | None:
        attempt, _, rest = reply.partition(b" ")
        what, found, item = rest.partition(b"Item Take Success: ")
        return item if attempt.isdigit() and int(attempt) and found and not what else None


class ItemHold(Hold):
    """An item that the session has, or has lost."""

    __slots__ = ("attempt", "pool")

    def __init__(self, pool: bytes, item: bytes, attempt: int) -> None:
        super().__init__(item, "item", Ask(line(b"give", pool, item)), 1, None, key=("item", pool, item))
        self.pool = pool
        self.attempt = attempt


def take(talk: Conversation, want: WantItem) -> Recipe[ItemHold]:
    """Take an item.

    Raises:
        LockBusy, WaitTimeout: none was to be had; nothing has changed.
        LimitReached: this client has as many as it may.
        Unsupported: the original has no work lists. Nothing was sent.
    """
    _need(talk)
    undo = b"cancel\n" if want.wait else b""
    lines = yield Ask(want.verb, undo, want.wait, settle=want.give_back)
    attempt, item = want.taken(lines[0])
    hold = ItemHold(want.name, item, attempt)
    if want.keep is not None:
        command = line(b"keep", seconds(want.keep), want.name, item)
        lines = yield Ask(command, undo=hold.give_back.data)
        if lines[0] != b"1 Item Keep Success: " + item:
            yield hold.give_back
            refuse(lines[0])
    talk.holds[hold.key] = hold
    return hold


def finish(talk: Conversation, hold: ItemHold, verb: Verb) -> Recipe[None]:
    """Say what became of an item; it is not ours from then on.

    Raises:
        LockLost, ConnectionLost: it was not ours any more.
        GlockError: the server cannot record it; it is ours as before.
    """
    if hold.lost is not None:
        raise hold.lost
    what = f"Item {verb.title()} ".encode()
    lines = yield Ask(line(verb.encode(), hold.pool, hold.name))
    if lines[0] == b"1 " + what + b"Success: " + hold.name:
        talk.holds.pop(hold.key, None)
        return
    if lines[0] == b"0 " + what + b"Failure: " + hold.name:
        raise talk.lose(hold, "the server no longer knew of it")
    refuse(lines[0])


def keep(talk: Conversation, hold: ItemHold, length: float) -> Recipe[None]:
    """From now on the daemon takes the item back after `length` seconds, unless this comes again; `inf`: never.

    Raises:
        LockLost: it was not ours any more.
        TypeError, ValueError: `length` makes no sense. It is held as before.
    """
    if hold.lost is not None:
        raise hold.lost
    lines = yield Ask(line(b"keep", seconds(period(length, "keep")), hold.pool, hold.name))
    if lines[0] == b"0 Item Keep Failure: " + hold.name:
        raise talk.lose(hold, "its time was over")
    if lines[0] != b"1 Item Keep Success: " + hold.name:
        refuse(lines[0])


def put(talk: Conversation, pool: bytes, item: bytes) -> Recipe[bool]:
    """Offer an item; whether it is new."""
    _need(talk)
    lines = yield Ask(line(b"put", pool, item))
    if lines[0] == b"1 Item Put Success: " + item:
        return True
    if lines[0] == b"0 Item Put Failure: " + item:
        return False
    refuse(lines[0])


def counts(talk: Conversation, pool: bytes) -> Recipe[dict[str, Any]]:
    """What there is of a pool, in numbers."""
    found: dict[str, Any] = yield from _counts(talk, line(b"pool", pool), dict)
    return found


def all_counts(talk: Conversation) -> Recipe[list[dict[str, Any]]]:
    """The same of all pools."""
    found: list[dict[str, Any]] = yield from _counts(talk, b"pool\n", list)
    return found


def _counts(talk: Conversation, command: bytes, kind: type) -> Recipe[Any]:
    _need(talk)
    lines = yield Ask(command)
    _, text = number(lines[0])
    if text[:1] not in (b"{", b"["):
        refuse(lines[0])
    try:
        found = json.loads(text)
    except ValueError:
        raise ProtocolError(f"this is no JSON: {text[:80]!r}") from None
    if not isinstance(found, kind):
        raise ProtocolError("pool did not answer with counts")
    return found


def _need(talk: Conversation) -> None:
    if not talk.modern:
        raise Unsupported("this server is the original glockd, which has no work lists")
