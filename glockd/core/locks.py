"""Locks: how holds of them begin and are given back, and how a wait begins, for a unit of a pool too."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from glockd.core import deadlock
from glockd.core.deadlines import NEVER
from glockd.core.events import Granted, Queued, Refused
from glockd.core.history import REFUSED, RELEASED, Record
from glockd.core.holds import WHOLE, Hold, Lock, Waiter
from glockd.core.pools import PoolTable, check_wanted
from glockd.core.sessions import Session
from glockd.core.units import ANY

_new = object.__new__

# What callers did wrong.
_HELD_UNDER_KEY = "the lock is held under that key"
_OTHER_SIZE = "the lock has another size"
_IS_A_POOL = "the lock is a pool: its units are taken"
_NEVER_FITS = "more is wanted than may be held"


class LockTable(PoolTable):
    """One namespace of locks and pools; `Table` has what its arguments are."""

    # Locks

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
            weight: units from 1 up, or WHOLE; more than the lock's size count as its size.
            limit: how many units may be held with these; the lock's own size is in force besides.
            key: tells this hold from others of the lock; the session itself if none is given.
            overtake: do not mind those who wait.
            size: how many units the lock has, for whoever takes it first; it keeps that size until nobody holds it or
                waits for it. `Table.size` tells it. On a lock that is held without a size it is one more limit.

        Returns:
            The hold, or None if it does not fit or somebody waits; nothing has changed then.

        Raises:
            ValueError: the lock is held under that key, or has another size, or is a pool; nothing has changed.
        """
        found = self._locks.get(name)
        if key is None:
            key = session
        if found is None:
            if size != WHOLE:
                return self._take_sized(name, session, now, weight, limit, key, size)
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
            if found.units is not None:
                raise ValueError(_IS_A_POOL)
            if found.size != WHOLE:
                if size not in (WHOLE, found.size):
                    raise ValueError(_OTHER_SIZE)
                weight, limit = _within(weight, limit, found.size)
            if found.waiters and not overtake:
                return None
            used = found.used
        if used + weight > limit or used + weight > size:
            return None
        if self.find(name, key) is not None:
            raise ValueError(_HELD_UNDER_KEY)
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
        """Stand in line for `name` after `take` has said no, or for a unit of a pool after `take_unit` has.

        Args:
            now: monotonic seconds, from the caller.
            deadline: monotonic seconds until which to wait, or NEVER.
            weight: as for `take`; a unit of a pool counts one, whatever is said here.
            limit: as for `take`; without meaning for a pool.
            key: of the hold to come; the session itself if none is given. For a pool the unit that is wanted, or ANY,
                which makes the pool if it does not exist.

        Returns:
            Queued, or Refused if the wait could never be granted as long as everybody who waits goes on waiting; then
            nothing has changed.

        Raises:
            ValueError: the session waits already and is not `concurrent`; `weight` is above `limit`; nobody holds the
                lock; some of it is held under that key, and not the whole is wanted; the pool does not have that
                unit, or it is free. Nothing has changed.
        """
        if session.waiters and not session.concurrent:
            raise ValueError("the session waits already")
        if weight > limit:
            raise ValueError(_NEVER_FITS)
        if key is None:
            key = session
        lock = self._pool(name) if key is ANY else self._held(name)
        if lock.units is not None:
            check_wanted(lock, lock.units, key)
            weight, limit = 1, WHOLE
        else:
            if weight != WHOLE and key in lock.holds:
                raise ValueError(_HELD_UNDER_KEY)
            if lock.size != WHOLE:
                weight, limit = _within(weight, limit, lock.size)
        waiter = Waiter(self, name, key, session, weight, limit, now)
        lock.waiters[waiter] = None
        if session.waiters:
            session.join(waiter)
        else:
            session.waiters = (waiter,)
        self._contended[lock] = None
        self.waiting += 1
        if lock.units is not None:
            lock.units.join(waiter)
        cycle = deadlock.find_cycle(waiter, self._contended)
        if cycle is not None:
            return self._refuse(lock, waiter, now, cycle)
        self._deadlines.set(waiter, deadline)
        return Queued(waiter)

    def bound(self, name: bytes, size: int) -> bool:
        """Give a lock that is held without a size of its own one, from which takers to come are bound.

        Args:
            size: units from 1 up.

        Returns:
            Whether it has that size now: not if more is held, or it has another size or is a pool; then nothing has
            changed.

        Raises:
            ValueError: nobody holds the lock.
        """
        lock = self._held(name)
        if lock.units is None and lock.size == WHOLE and lock.used <= size:
            lock.size = size
        return lock.units is None and lock.size == size

    def release(self, name: bytes, session: Session, now: float) -> Sequence[Granted] | None:
        """Give back what `session` holds of `name` under no other key, and serve whoever waited longest.

        For holds under keys of their own: `find`, see whose the hold is, then `drop`.

        Args:
            now: monotonic seconds, from the caller.

        Returns:
            A `Granted` for every waiter whose turn it is now, mostly none; or None if there is no such hold, and then
            nothing has changed.
        """
        found = self._locks.get(name)
        if found is None:
            return None
        if type(found) is Hold:
            if found.key is not session:
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
        hold = found.holds.get(session)
        return None if hold is None else self._drop(found, hold, now, RELEASED, "")

    # What outlived the daemon

    def restore(
        self,
        name: bytes,
        session: Session,
        key: Hashable,
        weight: int,
        token: int,
        since: float,
        deadline: float,
        size: int = WHOLE,
    ) -> Hold:
        """Put a hold back as it was, with the token it had; nothing is noted or counted.

        Whoever calls sees to it that the source of tokens starts above `token`: one that starts at the wall clock or
        at a mark that was saved (see tokens.py) does if the token came from it. Holds of one lock are put back in
        the order of their tokens. A unit of a pool is offered first, and retired afterwards if it was retired.

        Args:
            key: the session itself if None; in a pool the unit, which must be free.
            weight: units from 1 up, or WHOLE; 1 in a pool.
            since: monotonic seconds of the grant; below 0 if it came before the clock began.
            deadline: monotonic seconds at which its lease ends, or NEVER.
            size: that of the lock, for the first of its holds; WHOLE if it has none of its own.

        Returns:
            The hold, in force.

        Raises:
            ValueError: it does not fit beside what is held, or is held under that key; the lock has another size; the
                unit is not free. Nothing has changed.
        """
        if key is None:
            key = session
        found = self._locks.get(name)
        if weight != WHOLE and weight > size:
            raise ValueError(_NEVER_FITS)
        if found is not None:
            self._make_room(self._widen(name), key, weight, size)
        hold = Hold(self, name, key, session, weight, token, since)
        if found is None and size == WHOLE:
            self._locks[name] = hold
        else:
            lock = self._new_lock(name, size) if found is None else self._widen(name)
            lock.holds[key] = hold
            lock.used += weight
            self._surplus += 1
        session.add(hold)
        if deadline != NEVER:
            self._deadlines.set(hold, deadline)
        return hold

    # Inside

    def _take_sized(
        self, name: bytes, session: Session, now: float, weight: int, limit: int, key: Hashable, size: int
    ) -> Hold | None:
        if weight > limit:
            return None
        weight, _ = _within(weight, limit, size)
        return self._grant(self._new_lock(name, size), key, session, weight, now, 0.0)

    def _refuse(self, lock: Lock, waiter: Waiter, now: float, cycle: tuple[Session, ...]) -> Refused:
        self._leave(lock, waiter)
        self.stats.refused += 1
        if self._note is not None:
            names = " -> ".join(one.address.decode() for one in (*cycle, cycle[0]))
            self._note(Record(REFUSED, now, waiter, 0.0, names))
        return Refused(waiter, cycle)

    def _held(self, name: bytes) -> Lock:
        try:
            return self._widen(name)
        except KeyError:
            raise ValueError("nobody holds the lock") from None

    def _make_room(self, lock: Lock, key: Hashable, weight: int, size: int) -> None:
        """See that one more hold fits; in a pool its unit is free no more from then on."""
        if lock.units is not None:
            if weight != 1 or key is ANY or lock.units.take(key) is None:
                raise ValueError("the unit is not free")
        elif key in lock.holds:
            raise ValueError(_HELD_UNDER_KEY)
        elif size != lock.size:
            raise ValueError(_OTHER_SIZE)
        elif lock.used + weight > size:
            raise ValueError(_NEVER_FITS)


def _within(weight: int, limit: int, size: int) -> tuple[int, int]:
    """Weight and limit as they are in force where a lock has a size; the whole stays the whole."""
    return weight if weight == WHOLE else min(weight, size), min(limit, size)
