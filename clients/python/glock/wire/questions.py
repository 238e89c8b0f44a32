"""The steps of each question, asked on a session that holds nothing. They are recipes, as those of `recipes`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from glock.errors import ProtocolError, Unsupported
from glock.wire.conversation import Ask, Conversation
from glock.wire.language import decode, line, number, refuse
from glock.wire.recipes import Recipe

Listing = Literal["exclusive", "shared", "waited", "pools", "sessions", "held", "history"]
PAGE = 1000  # entries: the most that the daemon gives at once


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
    lines = yield Ask(line(b"check", b"%d" % token, name))
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


def find(
    talk: Conversation, what: Listing, text: bytes | None, most: int | None
) -> Recipe[list[dict[str, Any]]]:
    yield from _need(talk)
    found: list[dict[str, Any]] = []
    place: int | None = 0
    while place is not None and (most is None or len(found) < most):
        count = PAGE if most is None else min(PAGE, most - len(found))
        words = [b"find", what.encode(), b"%d" % place, b"%d" % count]
        page = yield from _json(line(*words, *([text] if text else [])))
        try:
            found += page["entries"]
            place = page["next"]
        except (TypeError, KeyError):
            raise ProtocolError("find did not answer with a page") from None
    return found


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
