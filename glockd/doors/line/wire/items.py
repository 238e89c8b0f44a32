"""Work lists: the verbs for items of which a client takes any that is free and keeps it as long as it lives.

A pool of the core is a list, an item one of its units, and the rank of a unit how often it has been taken: so those
that were tried least come first. Lists whose names begin with `#` are those of another door.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from glockd.core.deadlines import NEVER
from glockd.core.events import Queued
from glockd.core.history import DONE, FAILED, KICKED, ORPHANED, RELEASED
from glockd.core.names import text
from glockd.core.units import ANY
from glockd.doors.line.wire.arguments import seconds
from glockd.doors.line.wire.language import (
    BAD_ARGUMENT,
    DISABLED,
    DONE_FAILURE,
    DONE_SUCCESS,
    FAIL_FAILURE,
    FAIL_SUCCESS,
    GIVE_FAILURE,
    GIVE_SUCCESS,
    KEEP_FAILURE,
    KEEP_SUCCESS,
    LF,
    NOT_RECORDED,
    PUT_FAILURE,
    PUT_SUCCESS,
    TAKE_FAILURE,
)

if TYPE_CHECKING:
    from glockd.core.holds import Hold
    from glockd.core.locks import LockTable
    from glockd.core.sessions import Session
    from glockd.doors.line.wire.conversation import Conversation

# How many pools a listing tells of before others get their turn: some 1 ms.
SLICE = 250

ELSEWHERE = b"#"

_VERBS = {DONE: b"done #", FAILED: b"fail #", RELEASED: b"give #"}


def put(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`put POOL ITEM`: an item for whoever takes one, behind those that nobody has tried."""
    pool, _, item = argument.partition(b" ")
    if not item:
        return _missing(pool)
    if pool.startswith(ELSEWHERE):
        return _elsewhere(talk, b"put #", argument, now)
    items = talk.state.items
    units = items.units(pool) or {}
    if item in units:
        return PUT_FAILURE + item + LF
    config = talk.policy.config
    if len(units) >= config.max_pool_items or items.offered >= config.max_items:
        talk.policy.refused["items"] += 1
        return PUT_FAILURE + item + LF
    records = talk.vocabulary.records
    if records is not None:
        if records.trouble:
            return NOT_RECORDED + item + LF
        records.put(pool, item)
    talk.outbox += items.offer(pool, item, 0, now)
    return talk.behind_records(PUT_SUCCESS + item + LF)


def take(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`take SECONDS POOL`: any free item, fewest attempts first, then oldest; waits for up to SECONDS."""
    word, _, pool = argument.partition(b" ")
    patience = seconds(word)
    if patience is None:
        return BAD_ARGUMENT + b"SECONDS\n"
    if not pool or b" " in pool:
        return BAD_ARGUMENT + b"POOL\n"
    if pool.startswith(ELSEWHERE):
        return _elsewhere(talk, b"take #", argument, now)
    items, session = talk.state.items, talk.session
    most = talk.policy.config.max_session_items
    if len(session.holds) >= most and _count(items, session) >= most:
        talk.policy.refused["items"] += 1
        return TAKE_FAILURE + pool + LF
    records = talk.vocabulary.records
    if records is not None and records.trouble:
        return NOT_RECORDED + pool + LF
    found = items.take_next(pool, session, now)
    if found is not None:
        hold, attempt = found
        if records is None:
            return b"%d Item Take Success: %b\n" % (attempt, cast(bytes, hold.key))
        return talk.behind_records(_told(talk, hold, attempt))
    if patience == 0 or talk.ended:
        return TAKE_FAILURE + pool + LF
    if talk.line_is_full(items, pool):
        return talk.too_many_waiters(pool)
    outcome = items.wait(pool, session, now, now + patience, key=ANY)
    assert isinstance(outcome, Queued)  # Who waits for what anybody may put depends on no holder.
    talk.waiter = outcome.waiter
    return None


def taken(talk: Conversation, hold: Hold) -> bytes:
    """The reply to who has an item after a wait; it counts as tried once more from then on, however that ends."""
    return _told(talk, hold, talk.state.items.tried(hold))


def taken_lately(talk: Conversation, pool: bytes) -> bytes | None:
    """As `taken`, for the latest item that a session has of a pool; None if it has none."""
    items = talk.state.items
    mine = [hold for hold in talk.session.holds if hold.table is items and hold.name == pool]
    return taken(talk, max(mine, key=lambda hold: hold.token)) if mine else None


def _told(talk: Conversation, hold: Hold, attempt: int) -> bytes:
    item = cast(bytes, hold.key)
    if talk.vocabulary.records is not None:
        talk.vocabulary.records.taken(hold.name, item, attempt)
    return b"%d Item Take Success: %b\n" % (attempt, item)


def done(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`done POOL ITEM`: my item is finished, and gone."""
    return _finish(talk, argument, now, DONE, DONE_SUCCESS, DONE_FAILURE)


def fail(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`fail POOL ITEM`: my item is given up, and gone."""
    return _finish(talk, argument, now, FAILED, FAIL_SUCCESS, FAIL_FAILURE)


def give(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`give POOL ITEM`: my item goes back into the pool, behind those tried less."""
    return _finish(talk, argument, now, RELEASED, GIVE_SUCCESS, GIVE_FAILURE)


def keep(talk: Conversation, argument: bytes, now: float) -> bytes | None:
    """`keep SECONDS POOL ITEM`: let the daemon take my item back after SECONDS, from now."""
    word, _, rest = argument.partition(b" ")
    length = seconds(word)
    if length is None:
        return BAD_ARGUMENT + b"SECONDS\n"
    pool, _, item = rest.partition(b" ")
    if not item:
        return _missing(pool)
    if pool.startswith(ELSEWHERE):
        return _elsewhere(talk, b"keep #", argument, now)
    hold = talk.state.items.find(pool, item)
    if hold is None or hold.session is not talk.session:
        return KEEP_FAILURE + item + LF
    talk.state.items.lease(hold, NEVER if length == math.inf else now + length)
    return KEEP_SUCCESS + item + LF


def counts(talk: Conversation, pool: bytes, now: float) -> bytes | None:
    """`pool [POOL]`: how many items are free, held, done and so on; of all pools without a name."""
    if not talk.policy.config.dump:
        return DISABLED
    if b" " in pool:
        return BAD_ARGUMENT + b"POOL\n"
    items = talk.state.items
    if pool:
        return b"1 " + _json(counted(items, pool)) + LF
    return talk.recite(_all(items))


def counted(items: LockTable, pool: bytes) -> dict[str, Any]:
    """What is to be said of a pool in numbers; zeros if there is none of that name."""
    ended = items.ended(pool)
    return {
        "pool": text(pool),
        "free": items.free_units(pool),
        "held": items.count(pool),
        "waiting": len(items.waiters(pool)),
        "done": ended.get(DONE, 0),
        "failed": ended.get(FAILED, 0),
        "orphaned": ended.get(ORPHANED, 0) + ended.get(KICKED, 0),
    }


def _all(items: LockTable) -> Iterator[bytes]:
    """All pools of the moment, each as it is when its turn comes."""
    names = iter(items.names())
    gap = b"%d [" % len(items)
    while some := list(islice(names, SLICE)):
        yield gap + b",".join([_json(counted(items, name)) for name in some])
        gap = b","
    yield (b"" if gap == b"," else gap) + b"]\n"


def _finish(
    talk: Conversation, argument: bytes, now: float, why: str, success: bytes, failure: bytes
) -> bytes | None:
    pool, _, item = argument.partition(b" ")
    if not item:
        return _missing(pool)
    if pool.startswith(ELSEWHERE):
        return _elsewhere(talk, _VERBS[why], argument, now)
    hold = talk.state.items.find(pool, item)
    if hold is None or hold.session is not talk.session:
        return failure + item + LF
    if why is RELEASED:
        talk.outbox += talk.state.items.drop(hold, now)
        return success + item + LF
    records = talk.vocabulary.records
    if records is not None:
        if records.trouble:
            return NOT_RECORDED + item + LF
        records.erase(pool, item)
    talk.state.items.finish(hold, now, why)
    if records is None:
        return success + item + LF
    return talk.behind_records(success + item + LF)


def _elsewhere(talk: Conversation, word: bytes, argument: bytes, now: float) -> bytes | None:
    """Let the door do it whose the list is, if there is such a door."""
    handler = talk.vocabulary.elsewhere.get(word)
    return DISABLED if handler is None else handler(talk, argument, now)


def _count(items: LockTable, session: Session) -> int:
    """How many items a session holds."""
    return sum(hold.table is items for hold in session.holds)


def _missing(pool: bytes) -> bytes:
    return BAD_ARGUMENT + (b"ITEM\n" if pool else b"POOL\n")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
