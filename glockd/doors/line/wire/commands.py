"""The original's thirteen verbs, with the original's bytes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from glockd.core.names import shown
from glockd.doors.line.wire.language import (
    ALWAYS_COUNTED,
    CRLF,
    DISABLED,
    GET_FAILURE,
    GET_SUCCESS,
    IS_LOCKED,
    LF,
    NOT_LOCKED,
    OK,
    RELEASE_FAILURE,
    RELEASE_SUCCESS,
    SHARED_GET_SUCCESS,
    SHARED_IS_LOCKED,
    SHARED_NOT_LOCKED,
    SHARED_RELEASE_FAILURE,
    SHARED_RELEASE_SUCCESS,
)
from glockd.notices import Renamed

if TYPE_CHECKING:
    from glockd.core.locks import LockTable
    from glockd.core.state import State
    from glockd.doors.line.wire.conversation import Conversation


def get(talk: Conversation, name: bytes, now: float) -> bytes:
    """`g NAME`: take an exclusive lock, if it is free."""
    session = talk.session
    if len(session.holds) >= talk.policy.unchecked and not talk.may_hold_more():
        return get_at_the_limit(talk, name)
    if talk.state.exclusive.take(name, session, now) is not None:
        return GET_SUCCESS + name + CRLF
    return reget(talk, name)


def reget(talk: Conversation, name: bytes) -> bytes:
    """The answer to a `g` that took nothing: the whole holder is told 1."""
    if talk.holds_whole(name):
        return GET_SUCCESS + name + LF
    return GET_FAILURE + name + CRLF


def get_at_the_limit(talk: Conversation, name: bytes) -> bytes:
    """The answer to a `g` when no more may be taken."""
    if talk.exclusive.is_held(name):
        return reget(talk, name)
    return talk.too_many_locks(name)


def inspect(talk: Conversation, name: bytes, now: float) -> bytes:
    """`i NAME`: is it locked?"""
    if talk.exclusive.find(name, talk.session) is not None:
        return IS_LOCKED + name + LF
    return IS_LOCKED + name + CRLF if talk.exclusive.is_held(name) else NOT_LOCKED + name + CRLF


def release(talk: Conversation, name: bytes, now: float) -> bytes:
    """`r NAME`: release an exclusive lock, or one's part in it as a reader."""
    granted = talk.state.exclusive.release(name, talk.session, now)
    if granted is None:
        return RELEASE_FAILURE + name + LF
    if granted:
        talk.outbox += granted
    return RELEASE_SUCCESS + name + LF


def shared_get(talk: Conversation, name: bytes, now: float) -> bytes:
    """`sg NAME`: take a shared lock; never waits, never fails but at a limit of the daemon."""
    shared, session = talk.state.shared, talk.session
    if shared.find(name, session) is None:
        if not talk.may_hold_more():
            return talk.too_many_locks(name)
        shared.take(name, session, now, 1, overtake=True)
    return b"%d" % shared.count(name) + SHARED_GET_SUCCESS + name + CRLF


def shared_inspect(talk: Conversation, name: bytes, now: float) -> bytes:
    """`si NAME`: how many hold it?"""
    count = talk.shared.count(name)
    return (b"%d" % count + SHARED_IS_LOCKED if count else SHARED_NOT_LOCKED) + name + CRLF


def shared_release(talk: Conversation, name: bytes, now: float) -> bytes:
    """`sr NAME`: release a shared lock."""
    granted = talk.state.shared.release(name, talk.session, now)
    if granted is None:
        return SHARED_RELEASE_FAILURE + name + CRLF
    if granted:
        talk.outbox += granted
    return SHARED_RELEASE_SUCCESS + name + CRLF


def list_exclusive(talk: Conversation, name: bytes, now: float) -> bytes | None:
    """`d [NAME]`: a line for each exclusive lock, or for each of its readers."""
    return _list(talk, talk.exclusive, name)


def list_shared(talk: Conversation, name: bytes, now: float) -> bytes | None:
    """`sd [NAME]`: a line for each shared lock and holder."""
    return _list(talk, talk.shared, name)


def dump(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`dump [shared]`: all locks in one line, sorted, with addresses."""
    if not talk.policy.config.dump:
        return DISABLED
    shared = argument == b"shared"
    table = talk.shared if shared else talk.exclusive
    return talk.recite(_dump(table, shared))


def me(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`me`: this connection's address and registered name."""
    return b"1 " + talk.session.address + b" " + talk.session.label + LF


def iam(talk: Conversation, name: bytes, now: float) -> bytes:
    """`iam [NAME]`: register a name, or take it back."""
    if not talk.policy.config.registry:
        return DISABLED
    talk.state.registry.register(talk.session, name)
    if talk.policy.config.verbose:
        talk.outbox.append(Renamed(talk.session))
    return OK


def who(talk: Conversation, name: bytes, now: float) -> bytes | None:
    """`who [NAME]`: a line for each connection with a registered name, or with just that one."""
    if not (talk.policy.config.registry and talk.policy.config.dump):
        return DISABLED
    if talk.deaf:
        return b""
    return talk.pause_behind(
        b"".join(
            session.address + b": " + shown(session.label) + LF for session in talk.state.registry.named(name)
        )
    )


def counters(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`q`: the counters, sorted by key."""
    return b"".join(b"%s: %d\n" % item for item in sorted(snapshot(talk.state).items()))


def snapshot(state: State) -> dict[bytes, int]:
    """The values that `q` shows, by key."""
    values = {
        b"command_" + word: uses
        for word, uses in state.stats.commands.items()
        if uses or word in ALWAYS_COUNTED
    }
    values[b"connections"] = state.registry.connections
    values[b"invalid_commands"] = state.stats.invalid_commands
    values[b"locks"] = len(state.exclusive)
    values[b"shared_locks"] = len(state.shared)
    values[b"orphans"] = state.exclusive.stats.orphans
    values[b"shared_orphans"] = state.shared.stats.orphans
    return values


def _list(talk: Conversation, table: LockTable, name: bytes) -> bytes | None:
    if not talk.policy.config.dump:
        return DISABLED
    return talk.recite(_lines(table, name))


# How many locks a long listing tells of before others get their turn: some 1 ms.
SLICE = 1000


def _slices(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    rest = iter(names)
    while some := list(islice(rest, SLICE)):
        yield some


# A long listing tells the names of the moment it was asked for. Each lock is told as it is when its turn comes, so that
# what is told was true; one that is free by then is left out.


def _lines(table: LockTable, name: bytes) -> Iterator[bytes]:
    for some in _slices([name] if name else table.names()):
        yield b"".join(
            shown(one) + b": " + shown(hold.session.label) + LF for one in some for hold in table.holds(one)
        )


def _dump(table: LockTable, shared: bool) -> Iterator[bytes]:
    parts = []
    for part in _slices(table.names()):
        parts.append(sorted(part))
        if len(parts) > 1:
            yield b""
    told, gap = b"map[", b""
    # Merged as they are needed: to sort half a million names takes most of a second.
    for some in _slices(heapq.merge(*parts)):
        if gap:
            yield told
            told = b""
        entries = []
        for name in some:
            addresses = [hold.session.address for hold in table.holds(name)]
            if addresses:
                who = b" ".join(addresses)
                entries.append(
                    shown(name) + (b":[" + who + b"]" if shared or len(addresses) > 1 else b":" + who)
                )
        if entries:
            told += gap + b" ".join(entries)
            gap = b" "
    yield told + b"]\n"
