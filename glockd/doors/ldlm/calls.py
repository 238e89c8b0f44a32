"""Lock, TryLock, Unlock and Renew, decided on the core: no clock, no I/O, no bytes of a wire.

One name is one lock, whatever the language: a lock of size 1 is the whole, as `g` of the line language takes it, one of
size N has room for N holds of weight 1. The key that a client is given is the key of its hold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from glockd.core.deadlines import NEVER
from glockd.core.events import Refused
from glockd.core.holds import WHOLE, Hold, Waiter
from glockd.doors.ldlm import outcomes
from glockd.doors.ldlm.outcomes import Outcome, Problem
from glockd.doors.ldlm.sizes import Sizes

if TYPE_CHECKING:
    from glockd.core.sessions import Concurrent, Session
    from glockd.core.state import State
    from glockd.policy import Policy

DOOR = "ldlm"  # in options, metrics, logs and Session.door

# Of so many ended holds it is remembered why they ended.
MOST_ENDED = 4096


def new_key() -> str:
    """A key as LDLM's server makes it: a random UUID, version 4."""
    return str(uuid4())


def key_of(subject: Hold | Waiter) -> str:
    """The key that a client was given. The core keeps it as bytes, which take less memory than text."""
    key = subject.key
    assert isinstance(key, bytes)
    return key.decode()


class Calls:
    """What LDLM's clients may ask for.

    Args:
        state: what the daemon knows.
        policy: what clients may do.
        keys: makes a new key for each Lock and TryLock, none of them twice.
    """

    def __init__(self, state: State, policy: Policy, keys: Callable[[], str] = new_key) -> None:
        self._state = state
        self._table = state.exclusive
        self._policy = policy
        self._new_key = keys
        self.sizes = Sizes(self._table.is_held)
        # Names are as long as clients like, so their hashes stand for them.
        self._ended: OrderedDict[tuple[str, int], str] = OrderedDict()

    def try_lock(self, session: Concurrent, name: bytes, size: int | None, lease: int, now: float) -> Outcome:
        """TryLock: hold `name` at once, or not at all.

        Args:
            size: how many may hold it at once; None for 1.
            lease: seconds until the daemon takes it back; 0 for never.
            now: monotonic seconds.
        """
        if lease < 0:
            return Outcome(False, "", outcomes.BAD_LEASE)
        return self._take(session, name, 1 if size is None else size, lease, now)

    def lock(
        self, session: Concurrent, name: bytes, size: int | None, lease: int, wait: float, now: float
    ) -> Outcome | Waiter:
        """Lock: hold `name`, or stand in line for it.

        Args:
            size: how many may hold it at once; None for 1.
            lease: seconds from the grant until the daemon takes it back; 0 for never.
            wait: seconds to wait at the most; 0 for ever.
            now: monotonic seconds.

        Returns:
            What has come of it; or the waiter, and then `granted` or `timed_out` tells the outcome.
        """
        if lease < 0:
            return Outcome(False, "", outcomes.BAD_LEASE)
        if wait < 0:
            return Outcome(False, "", outcomes.BAD_WAIT)
        size = 1 if size is None else size
        outcome = self._take(session, name, size, lease, now)
        if outcome.done or outcome.problem is not None:
            return outcome
        if self._is_full(session, name):
            self._policy.refused["waiters"] += 1
            return Outcome(False, outcome.key, outcomes.TOO_MANY_WAITERS)
        weight, limit = _share(size)
        deadline = now + wait if wait else NEVER
        queued = self._table.wait(name, session, now, deadline, weight, limit, outcome.key.encode())
        assert not isinstance(queued, Refused)  # a concurrent session has no part in a deadlock
        return queued.waiter

    def granted(self, hold: Hold, lease: int) -> Outcome:
        """The outcome of a Lock whose turn has come.

        Args:
            hold: in force.
            lease: seconds from the grant; 0 for none.
        """
        if lease:
            self._table.lease(hold, hold.since + lease)
        size = 1 if hold.weight == WHOLE else self.sizes.get(hold.name)
        if size is not None and size > 1 and self._table.size(hold.name) is None:
            # It stood in line behind a holder that knew of no size; readers of the line language count from now on.
            self._table.bound(hold.name, min(size, WHOLE))
        return Outcome(True, key_of(hold), None, hold)

    def timed_out(self, waiter: Waiter) -> Outcome:
        """The outcome of a Lock that has waited in vain."""
        return Outcome(False, key_of(waiter), outcomes.TIMED_OUT)

    def unlock(self, name: bytes, key: str, now: float) -> Outcome:
        """Unlock: give back what is held of `name` under `key`, whatever session took it.

        Args:
            now: monotonic seconds.
        """
        hold = self._find(name, key)
        if hold is not None:
            self.keep_size(hold, now)
            granted = self._table.drop(hold, now)
            return Outcome(True, key, None, hold, granted)
        known = name in self.sizes or self._table.is_held(name)
        return Outcome(
            False, key, outcomes.WRONG_KEY if known else outcomes.NO_LOCK, why=self._why(name, key)
        )

    def renew(self, name: bytes, key: str, lease: int, now: float) -> Outcome:
        """Renew: let the lease of what is held of `name` under `key` end `lease` seconds from now.

        Args:
            lease: from 1 up.
            now: monotonic seconds.
        """
        if lease <= 0:
            return Outcome(False, "", outcomes.BAD_LEASE)
        hold = self._find(name, key)
        if hold is None or hold.deadline == NEVER:
            return Outcome(False, key, outcomes.NOTHING_TO_RENEW, why=self._why(name, key))
        self._table.lease(hold, now + lease)
        return Outcome(True, key, None, hold)

    def is_in_force(self, hold: Hold) -> bool:
        """Whether a hold has not ended yet."""
        return self._table.find(hold.name, hold.key) is hold

    def size_of(self, hold: Hold) -> int:
        """The size of the lock of a hold."""
        return 1 if hold.weight == WHOLE else self.sizes.get(hold.name) or 1

    def keep_size(self, hold: Hold, now: float) -> None:
        """Remember the size of a lock whose hold ends.

        Args:
            hold: in force, or just ended.
            now: monotonic seconds.
        """
        self.sizes.use(hold.name, self.size_of(hold), now)

    def note_end(self, hold: Hold, why: str) -> None:
        """Remember why a hold has ended without a call for it, for whoever asks for it by its key.

        Args:
            why: expired, kicked or session ended.
        """
        self._ended[key_of(hold), hash(hold.name)] = why
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)

    def restore(
        self, session: Session, name: bytes, key: str, size: int, token: int, now: float, deadline: float
    ) -> Hold:
        """Put back a hold that outlived the daemon.

        Args:
            session: whose it is from now on.
            now: monotonic seconds.
            deadline: monotonic seconds at which its lease ends.

        Raises:
            ValueError: it does not fit beside what is held; nothing has changed.
        """
        weight, own = (WHOLE, WHOLE) if size == 1 else (1, min(size, WHOLE))
        hold = self._table.restore(name, session, key.encode(), weight, token, now, deadline, own)
        if size > 1:
            self.sizes.use(name, size, now)
        return hold

    # Inside

    def _take(self, session: Concurrent, name: bytes, size: int, lease: int, now: float) -> Outcome:
        key = self._new_key()
        problem = self._problem(session, name, size, now)
        if problem is not None:
            return Outcome(False, key, problem)
        weight, limit = _share(size)
        own = limit
        if size > 1 and self._table.size(name) not in (None, limit):
            own = WHOLE  # it is held by other rules than LDLM's: they are in force besides
        hold = self._table.take(name, session, now, weight, limit, key.encode(), size=own)
        if hold is None:
            return Outcome(False, key)
        if size == 1:
            self.sizes.drop(name)
        return self.granted(hold, lease)

    def _problem(self, session: Concurrent, name: bytes, size: int, now: float) -> Problem | None:
        """What is wrong with wanting `name`; if nothing is, its size is known from now on."""
        policy = self._policy
        if not name:
            return outcomes.NO_NAME
        if size <= 0:
            return outcomes.BAD_SIZE
        if policy.config.max_name and len(name) > policy.config.max_name:
            policy.refused["names"] += 1
            return outcomes.NAME_TOO_LONG
        if not policy.may_hold_more(session, self._state):
            policy.refused["locks"] += 1
            return outcomes.TOO_MANY_LOCKS
        if self._is_whole(name):
            return None if size == 1 else outcomes.OTHER_SIZE
        return None if self.sizes.use(name, size, now) else outcomes.OTHER_SIZE

    def _is_full(self, session: Concurrent, name: bytes) -> bool:
        policy = self._policy
        return len(session.waiters) >= policy.config.max_session_waiters or policy.line_is_full(
            self._state, self._table, name
        )

    def _find(self, name: bytes, key: str) -> Hold | None:
        """A hold of this door's; those of others have keys too, which are not its clients' to use."""
        hold = self._table.find(name, key.encode())
        return hold if hold is not None and hold.session.door == DOOR else None

    def _is_whole(self, name: bytes) -> bool:
        """Whether a hold of this door's tells that the lock has the size 1."""
        holds = self._table.holds(name)
        return len(holds) == 1 and holds[0].weight == WHOLE and holds[0].session.door == DOOR

    def _why(self, name: bytes, key: str) -> str:
        return self._ended.get((key, hash(name)), "")


def _share(size: int) -> tuple[int, int]:
    """The weight of a hold of a lock of that size, and how many units may be held with it."""
    return (WHOLE, WHOLE) if size == 1 else (1, min(size, WHOLE))
