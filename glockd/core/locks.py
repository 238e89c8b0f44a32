"""Tables of locks: who holds them, who waits for them, and when that ends."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence

from glockd.core import deadlock
from glockd.core.deadlines import NEVER, Deadlines
from glockd.core.events import Granted, Queued, Refused
from glockd.core.history import (
    CANCELLED,
    EXPIRED,
    GRANTED,
    REFUSED,
    RELEASED,
    TIMED_OUT,
    History,
    Record,
)
from glockd.core.holds import WHOLE, Hold, Lock, Waiter
from glockd.core.sessions import Session
from glockd.core.stats import TableStats

_new = object.__new__
_new_tuple = tuple.__new__


class LockTable:
    """One namespace of locks.

    Args:
        kind: what the namespace is called: `exclusive` or `shared`.
        tokens: gives the fencing tokens, each larger than all before; shared between tables, and must not raise.
        deadlines: where leases and waits are put; shared between tables.
        contended: the locks that somebody waits for; shared between tables, because a deadlock may run through both.
    """

    def __init__(
        self,
        kind: str,
        tokens: Iterator[int],
        deadlines: Deadlines,
        contended: dict[Lock, None],
        history: History | None = None,
    ) -> None:
        self.kind = kind
        self.stats = TableStats()
        self._note = None if history is None else history.add
        self.waiting = 0  # how many sessions wait in line
        self._more_holds = 0  # holds beyond the first one of each lock
        self._tokens = tokens
        self._deadlines = deadlines
        self._contended = contended
        self._locks: dict[bytes, Hold | Lock] = {}  # only what somebody holds

    # What is held, for those who look

    def __len__(self) -> int:
        """How many names are held."""
        return len(self._locks)

    @property
    def held(self) -> int:
        """How many holds there are; a lock may have several."""
        return len(self._locks) + self._more_holds

    def names(self) -> list[bytes]:
        """The names that are held, in the order in which they were first taken."""
        return list(self._locks)

    def __iter__(self) -> Iterator[bytes]:
        """As `names`, one after the other, for who looks at some of very many; over when the table changes."""
        return iter(self._locks)

    def contended(self) -> list[bytes]:
        """The names that somebody waits for, those first that have been waited for longest."""
        return [lock.name for lock in self._contended if lock.table is self]

    def holds(self, name: bytes) -> Sequence[Hold]:
        """The holds of `name`, oldest first; none if it is free."""
        found = self._locks.get(name)
        if found is None:
            return ()
        return (found,) if type(found) is Hold else tuple(found.holds.values())

    def waiters(self, name: bytes) -> Collection[Waiter]:
        """Who waits for `name`, in the order of service; a view, not to be kept while the table changes."""
        found = self._locks.get(name)
        return found.waiters.keys() if type(found) is Lock else ()

    def lines(self) -> Iterator[tuple[bytes, int]]:
        """The locks that somebody waits for, and how many do."""
        return ((lock.name, len(lock.waiters)) for lock in self._contended if lock.table is self)

    def oldest_waiter(self) -> Waiter | None:
        """Who has waited longest in this namespace."""
        first = (next(iter(lock.waiters)) for lock in self._contended if lock.table is self)
        return min(first, key=lambda waiter: waiter.since, default=None)

    def count(self, name: bytes) -> int:
        """How many holds `name` has."""
        found = self._locks.get(name)
        return 0 if found is None else 1 if type(found) is Hold else len(found.holds)

    def is_held(self, name: bytes) -> bool:
        """Whether anybody holds `name`."""
        return name in self._locks

    def find(self, name: bytes, key: Hashable) -> Hold | None:
        """The hold of `name` under `key`, if there is one."""
        found = self._locks.get(name)
        if found is None:
            return None
        if type(found) is Hold:
            return found if found.key is key or found.key == key else None
        return found.holds.get(key)

    # Taking

    def take(
        self,
        name: bytes,
        session: Session,
        now: float,
        weight: int = WHOLE,
        limit: int = WHOLE,
        key: Hashable = None,
        overtake: bool = False,
        size: int = WHOLE,
    ) -> Hold | None:
        """Hold `name` at once, or not at all.

        Args:
            now: monotonic seconds, from the caller; the core owns no clock.
            weight: units from 1 up, or WHOLE.
            limit: how many units may be held with these; the lock's own size is in force besides.
            key: tells this hold from others of the lock; the session itself if none is given.
            overtake: do not mind those who wait.
            size: how many units the lock has, for who takes it first; it keeps that size until it is free.

        Returns:
            The hold, or None if it does not fit or somebody waits; nothing has changed then.

        Raises:
            ValueError: the lock is held under that key; nothing has changed.
        """
        found = self._locks.get(name)
        if key is None:
            key = session
        if found is None:
            if size != WHOLE:
                return self._take_sized(name, session, now, min(weight, size), min(limit, size), key, size)
            if weight > limit:
                return None
            # As Hold(...), in place: this is the hot path, and the call would double its cost.
            hold = _new(Hold)
            hold.table = self
            hold.name = name
            hold.key = key
            hold.session = session
            hold.weight = weight
            hold.token = next(self._tokens)
            hold.since = now
            hold.deadline = NEVER
            self._locks[name] = hold
            # As session.add(hold), in place.
            holds = session.holds
            if not holds:
                session.holds = (hold,)
            elif type(holds) is set:
                holds.add(hold)
            else:
                session.holds = {hold, *holds}
            note = self._note
            if note is not None:
                note(hold)
            return hold
        if type(found) is Hold:
            used = found.weight
        else:
            if found.waiters and not overtake:
                return None
            used, weight, limit = found.used, min(weight, found.size), min(limit, found.size)
        if used + weight > limit:
            return None
        if self.find(name, key) is not None:
            raise ValueError("the lock is held under that key")
        return self._grant(self._widen(name), key, session, weight, now, 0.0)

    def wait(
        self,
        name: bytes,
        session: Session,
        now: float,
        deadline: float,
        weight: int = WHOLE,
        limit: int = WHOLE,
        key: Hashable = None,
    ) -> Queued | Refused:
        """Stand in line for `name`, after `take` has said no.

        Args:
            deadline: monotonic seconds until which to wait, or NEVER.

        Returns:
            Queued, or Refused if the wait could never be granted as long as everybody who waits goes on waiting; then
            nothing has changed.

        Raises:
            ValueError: some of the lock is held under that key, and not the whole is wanted; nothing has changed.
        """
        if weight != WHOLE and self.find(name, session if key is None else key) is not None:
            raise ValueError("the lock is held under that key")
        lock = self._widen(name)
        waiter = Waiter(
            self,
            name,
            session if key is None else key,
            session,
            min(weight, lock.size),
            min(limit, lock.size),
            now,
        )
        lock.waiters[waiter] = None
        session.waiters += (waiter,)
        self._contended[lock] = None
        self.waiting += 1
        cycle = deadlock.find_cycle(waiter, self._contended)
        if cycle is not None:
            self._leave(lock, waiter)
            self.stats.refused += 1
            if self._note is not None:
                names = " -> ".join(one.address.decode() for one in (*cycle, cycle[0]))
                self._note(Record(REFUSED, now, waiter, 0.0, names))
            return Refused(waiter, cycle)
        self._deadlines.set(waiter, deadline)
        return Queued(waiter)

    # Giving back

    def release(
        self, name: bytes, session: Session, now: float, key: Hashable = None
    ) -> Sequence[Granted] | None:
        """Give `name` back and serve whoever waited longest.

        Args:
            now: monotonic seconds, from the caller.
            key: the hold to give up; the session's own if none is given.

        Returns:
            A `Granted` for every waiter whose turn it is now, mostly none; or None if there is no such hold, and then
            nothing has changed.
        """
        found = self._locks.get(name)
        if found is None:
            return None
        if key is None:
            key = session
        if type(found) is Hold:
            if found.key is not key and found.key != key:
                return None
            # As _end, in place: this is the hot path.
            del self._locks[name]
            if type(session.holds) is set:
                session.discard(found)
            else:
                session.holds = ()
            if now == found.since:
                self.stats.held.instant += 1
            else:
                self.stats.held.add(now - found.since)
            if found.deadline != NEVER:
                self._deadlines.clear(found)
            note = self._note
            if note is not None:
                note((found, now))
            return ()
        hold = found.holds.get(key)
        return None if hold is None else self._drop(found, hold, now, RELEASED, "")

    def drop(self, hold: Hold, now: float, why: str = RELEASED, detail: str = "") -> Sequence[Granted]:
        """End a hold that is in force and serve whoever waited longest.

        Args:
            why: RELEASED, ORPHANED, EXPIRED or KICKED, for counters and history.

        Returns:
            A `Granted` for every waiter whose turn it is now.
        """
        found = self._locks[hold.name]
        if type(found) is Hold:
            del self._locks[hold.name]
            self._end(hold, now, why, detail)
            return ()
        return self._drop(found, hold, now, why, detail)

    def withdraw(
        self, waiter: Waiter, now: float, why: str = CANCELLED, detail: str = ""
    ) -> Sequence[Granted]:
        """Take a waiter out of the line.

        Args:
            why: CANCELLED, TIMED_OUT or ORPHANED, for counters and history.

        Returns:
            A `Granted` for every waiter that it had kept from its turn.
        """
        lock = self._widen(waiter.name)
        self._leave(lock, waiter)
        if why is TIMED_OUT:
            self.stats.timed_out += 1
        else:
            self.stats.cancelled += 1
        self.stats.waited.add(now - waiter.since)
        if self._note is not None:
            self._note(Record(why, now, waiter, now - waiter.since, detail))
        return self._serve(lock, now)

    def lease(self, hold: Hold, deadline: float) -> None:
        """Let a hold in force end at `deadline`, in monotonic seconds; NEVER takes the lease away."""
        self._deadlines.set(hold, deadline)

    # Inside

    def _take_sized(
        self, name: bytes, session: Session, now: float, weight: int, limit: int, key: Hashable, size: int
    ) -> Hold | None:
        if weight > limit:
            return None
        lock = self._locks[name] = Lock(self, name, size)
        return self._grant(lock, key, session, weight, now, 0.0)

    def _widen(self, name: bytes) -> Lock:
        """The lock `name` in its roomy form."""
        found = self._locks[name]
        if type(found) is Lock:
            return found
        lock = Lock(self, name)
        lock.holds[found.key] = found
        lock.used = found.weight
        self._locks[name] = lock
        return lock

    def _drop(self, lock: Lock, hold: Hold, now: float, why: str, detail: str) -> Sequence[Granted]:
        del lock.holds[hold.key]
        if lock.holds:
            self._more_holds -= 1
        lock.used -= hold.weight
        self._end(hold, now, why, detail)
        return self._serve(lock, now)

    def _grant(
        self, lock: Lock, key: Hashable, session: Session, weight: int, now: float, waited: float
    ) -> Hold:
        hold = Hold(self, lock.name, key, session, weight, next(self._tokens), now)
        holds = lock.holds
        if holds:
            self._more_holds += 1
        holds[key] = hold
        lock.used += weight
        session.add(hold)
        if self._note is not None:
            self._note(Record(GRANTED, now, hold, waited, ""))
        return hold

    def _serve(self, lock: Lock, now: float) -> Sequence[Granted]:
        """Grant the lock to those in front who fit; forget it if nobody has to do with it any more."""
        if not lock.waiters:
            if not lock.holds:
                del self._locks[lock.name]
            return ()
        granted = []
        stats = self.stats
        while lock.waiters:
            waiter = next(iter(lock.waiters))
            if lock.used + waiter.weight > waiter.limit:
                break
            self._leave(lock, waiter)
            waited = now - waiter.since
            hold = self._grant(lock, waiter.key, waiter.session, waiter.weight, now, waited)
            stats.granted_after_wait += 1
            stats.waited.add(waited)
            granted.append(_new_tuple(Granted, (waiter, hold, len(lock.holds))))
        return granted

    def _leave(self, lock: Lock, waiter: Waiter) -> None:
        del lock.waiters[waiter]
        if not lock.waiters:
            del self._contended[lock]
        self.waiting -= 1
        session = waiter.session
        if len(session.waiters) == 1:
            session.waiters = ()
        else:
            session.waiters = tuple(other for other in session.waiters if other is not waiter)
        if waiter.deadline != NEVER:
            self._deadlines.clear(waiter)

    def _end(self, hold: Hold, now: float, why: str, detail: str) -> None:
        hold.session.discard(hold)
        if hold.deadline != NEVER:
            self._deadlines.clear(hold)
        if why is RELEASED:
            pass
        elif why is EXPIRED:
            self.stats.expired += 1
        else:
            self.stats.orphans += 1
        self.stats.held.add(now - hold.since)
        if self._note is not None:
            self._note(Record(why, now, hold, 0.0, detail))
