"""The verbs that the original never had: one reply line each, ending with LF."""

from __future__ import annotations

import hmac
import math
from typing import TYPE_CHECKING

from glockd import __version__
from glockd.core.deadlines import NEVER
from glockd.core.events import Refused
from glockd.core.holds import WHOLE
from glockd.doors.line.wire import reports
from glockd.doors.line.wire.arguments import integer, seconds
from glockd.doors.line.wire.language import (
    BAD_ARGUMENT,
    BYE,
    COUNTED_GET_SUCCESS,
    DEAD_PEER_SECONDS,
    DISABLED,
    GET_DEADLOCK,
    GET_FAILURE,
    GET_SUCCESS,
    KICKED,
    LEASE_FAILURE,
    LEASE_SUCCESS,
    LF,
    LOCK_TOKEN,
    NOT_AUTHORISED,
    NOTHING_TO_CANCEL,
    OK,
    PONG,
    SHARED_GET_DEADLOCK,
    SHARED_GET_FAILURE,
    SHARED_GET_SUCCESS,
    TAKE_FAILURE,
    TOKEN_CURRENT,
    TOKEN_STALE,
    VERSION,
)
from glockd.notices import Kicked

if TYPE_CHECKING:
    from glockd.core.holds import Waiter
    from glockd.core.locks import LockTable
    from glockd.core.tables import Table
    from glockd.doors.line.wire.conversation import Conversation

# With more holds than this to look through, a command lets others have their turn behind it.
MANY = 64

_FAILURES = {"exclusive": GET_FAILURE, "shared": SHARED_GET_FAILURE, "items": TAKE_FAILURE}


def wait(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`wait SECONDS NAME`: an exclusive lock, waiting for up to SECONDS."""
    word, _, name = argument.partition(b" ")
    patience = seconds(word)
    if patience is None:
        return BAD_ARGUMENT + b"SECONDS\n"
    if talk.holds_whole(name):
        return GET_SUCCESS + name + LF
    return _acquire(talk, talk.exclusive, name, now, patience, WHOLE, WHOLE)


def read(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`read SECONDS NAME`: the same lock as one of several readers."""
    word, _, name = argument.partition(b" ")
    patience = seconds(word)
    if patience is None:
        return BAD_ARGUMENT + b"SECONDS\n"
    if talk.exclusive.find(name, talk.session) is not None:
        return got(talk.exclusive, 1, name, talk.exclusive.count(name))
    return _acquire(talk, talk.exclusive, name, now, patience, 1, WHOLE)


def share(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`share SECONDS LIMIT NAME`: a shared lock that fewer than LIMIT hold."""
    word, _, rest = argument.partition(b" ")
    number, _, name = rest.partition(b" ")
    patience = seconds(word)
    if patience is None:
        return BAD_ARGUMENT + b"SECONDS\n"
    limit = integer(number)
    if limit is None:
        return BAD_ARGUMENT + b"LIMIT\n"
    if talk.shared.find(name, talk.session) is not None:
        return got(talk.shared, 1, name, talk.shared.count(name))
    return _acquire(talk, talk.shared, name, now, patience, 1, limit)


def _acquire(
    talk: Conversation, table: LockTable, name: bytes, now: float, patience: float, weight: int, limit: int
) -> bytes | None:
    """Take the lock, or stand in line for it."""
    session = talk.session
    if not talk.may_hold_more():
        return talk.too_many_locks(name)
    if table.take(name, session, now, weight, limit) is not None:
        return got(table, weight, name, table.count(name))
    if patience == 0 or talk.ended:
        return _failure(table) + name + LF
    if talk.line_is_full(table, name):
        return talk.too_many_waiters(name)
    outcome = table.wait(name, session, now, now + patience, weight, limit)
    if isinstance(outcome, Refused):
        talk.outbox.append(outcome)
        return talk.pause_behind(
            (GET_DEADLOCK if table is talk.exclusive else SHARED_GET_DEADLOCK) + name + LF
        )
    talk.waiter = outcome.waiter
    return None


def got(table: Table, weight: int, name: bytes, holders: int) -> bytes:
    """The reply to who has the lock now, as one of so many holders."""
    if weight == WHOLE:
        return GET_SUCCESS + name + LF
    success = COUNTED_GET_SUCCESS if table.kind == "exclusive" else SHARED_GET_SUCCESS
    return b"%d" % holders + success + name + LF


def waited_in_vain(waiter: Waiter) -> bytes:
    """The reply to a wait that has ended without the lock, or without an item."""
    return _failure(waiter.table) + waiter.name + LF


def _failure(table: Table) -> bytes:
    return _FAILURES[table.kind]


def cancel(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`cancel` outside of a wait; one that comes during a wait overtakes and does not come here."""
    return NOTHING_TO_CANCEL


def lease(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`lease SECONDS NAME`: let the daemon take my lock back after SECONDS, from now."""
    word, _, name = argument.partition(b" ")
    length = seconds(word)
    if length is None:
        return BAD_ARGUMENT + b"SECONDS\n"
    hold = talk.exclusive.find(name, talk.session)
    if hold is None:
        return LEASE_FAILURE + name + LF
    talk.exclusive.lease(hold, NEVER if length == math.inf else now + length)
    return LEASE_SUCCESS + name + LF


def token(talk: Conversation, name: bytes, now: float) -> bytes:
    """`token NAME`: the fencing token of my hold; 0 if I do not hold it."""
    hold = talk.exclusive.find(name, talk.session)
    return b"%d" % (0 if hold is None else hold.token) + LOCK_TOKEN + name + LF


def check(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`check TOKEN NAME`: is TOKEN that of a hold in force?"""
    word, _, name = argument.partition(b" ")
    number = integer(word)
    if number is None:
        return BAD_ARGUMENT + b"TOKEN\n"
    holds = talk.exclusive.holds(name)
    current = any(hold.token == number for hold in holds)
    reply = (TOKEN_CURRENT if current else TOKEN_STALE) + name + LF
    return reply if len(holds) <= MANY else talk.pause_behind(reply)


def explain(talk: Conversation, name: bytes, now: float) -> bytes | None:
    """`explain NAME`: who holds it and who waits, in both namespaces, as JSON."""
    if not talk.policy.config.dump:
        return DISABLED
    if talk.deaf:
        return b""
    return talk.pause_behind(b"1 " + reports.explain(talk.state, name, now) + LF)


def history(talk: Conversation, name: bytes, now: float) -> bytes | None:
    """`history [NAME]`: the latest events, oldest first, as JSON."""
    if not talk.policy.config.dump or not talk.policy.config.history or talk.state.history is None:
        return DISABLED
    if talk.deaf:
        return b""
    records = list(talk.state.history.records(name or None))
    report = reports.history(records, talk.policy.wall_offset())
    return talk.pause_behind(b"%d " % len(records) + report + LF)


def notify(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`notify on`, `notify off`: push a line when a hold ends without my doing, or do not."""
    if argument not in (b"on", b"off"):
        return BAD_ARGUMENT + b"on or off\n"
    talk.notify = argument == b"on"
    return OK


def alive(talk: Conversation, word: bytes, now: float) -> bytes | None:
    """`alive SECONDS`: push a line that often, in whole seconds; 0 or inf: no more."""
    often = seconds(word)
    if often is None:
        return BAD_ARGUMENT + b"SECONDS\n"
    talk.alive = 0 if often == math.inf else math.ceil(often)
    # A pause, in which whoever moves the bytes learns of it.
    return talk.pause_behind(OK)


def kick(talk: Conversation, who: bytes, now: float) -> bytes:
    """`kick SESSION`: end a session by address, or every session of that registered name."""
    if not talk.may_kick():
        return DISABLED
    if not who:
        return BAD_ARGUMENT + b"SESSION\n"
    sessions = talk.state.registry.find(who)
    talk.outbox += [Kicked(session, talk.session) for session in sessions]
    return b"%d" % len(sessions) + KICKED + who + LF


def bound(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`bound`: within how many seconds a peer that vanished is found."""
    return b"%d" % talk.policy.config.dead_peer_seconds + DEAD_PEER_SECONDS + LF


def ping(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`ping`: the daemon lives and answers."""
    return PONG


def version(talk: Conversation, argument: bytes, now: float) -> bytes:
    """`version`: what the daemon is."""
    return VERSION + __version__.encode() + LF


def quit(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`quit`: end the connection."""
    talk.over = True
    return talk.pause_behind(BYE)


def auth(talk: Conversation, secret: bytes, now: float) -> bytes | None:
    """`auth SECRET`: the right one opens the conversation, a wrong one ends it."""
    secrets = talk.policy.secrets
    # Every secret is compared, in constant time each: the answer's time tells nothing.
    known = [one for one in secrets if hmac.compare_digest(secret, one)]
    if secrets and not known:
        return refuse(talk, secret, now)
    talk.authorise(known[0] if known else b"")
    # A pause: what came along behind it is to be served by the verbs that are allowed from now on.
    talk.late = OK
    return None


def refuse(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """What is answered to a client that has not proved who it is: no, and the end."""
    talk.policy.refused["auth"] += 1
    talk.over = True
    return talk.pause_behind(NOT_AUTHORISED)
