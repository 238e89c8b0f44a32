"""Pools: how units of them come, are held, and are gone for good."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from glockd.core.events import Granted
from glockd.core.holds import WHOLE, Hold, Lock
from glockd.core.sessions import Session
from glockd.core.tables import Table
from glockd.core.units import ANY, Units

# What callers did wrong.
_NO_POOL = "the lock is no pool"


class PoolTable(Table):
    """The pools of one namespace; `Table` has what its arguments are."""

    def offer(self, pool: bytes, unit: Hashable, rank: float, now: float) -> Sequence[Granted]:
        """Put a unit into a pool, or give one that is there another rank; a retired one is there again.

        A unit that is held has the new rank when it comes free. The pool is made if it does not exist, and stays as
        long as it has units, holds or waiters.

        Args:
            unit: its name, unique in the pool; anything hashable but None and ANY.
            rank: the lowest is taken first; of equal ones, the one that has been free longest.
            now: monotonic seconds, from the caller.

        Returns:
            A `Granted` for whoever waited longest for the unit or for any, or nothing.

        Raises:
            ValueError: it is a lock without units; or the unit is None or ANY. Nothing has changed.
        """
        if unit is None or unit is ANY:
            raise ValueError("that is not a name for a unit")
        lock = self._pool(pool)
        assert lock.units is not None
        if unit not in lock.units.ranks:
            self.offered += 1
        lock.units.rank(unit, rank)
        return () if unit in lock.holds else self._pass_on(lock, unit, now)

    def retire(self, pool: bytes, unit: Hashable) -> bool:
        """Take a unit out of a pool for good; whoever holds it keeps it until that hold ends.

        Whoever waits for just this unit stays in line, in case it is offered again.

        Returns:
            Whether the pool had such a unit; if not, nothing has changed.

        Raises:
            ValueError: it is a lock without units.
        """
        found = self._locks.get(pool)
        if found is None:
            return False
        lock, units = opened(found)
        known = units.retire(unit)
        self.offered -= known
        self._forget(lock)
        return known

    def take_unit(self, pool: bytes, session: Session, now: float, unit: Hashable = ANY) -> Hold | None:
        """Hold a free unit of a pool at once, or not at all; it never overtakes, since nobody waits for what is free.

        Args:
            now: monotonic seconds, from the caller.
            unit: which one; ANY for the one with the lowest rank.

        Returns:
            The hold, whose key is the unit; or None if there is no such free unit, and then nothing has changed.

        Raises:
            ValueError: it is a lock without units.
        """
        found = self._locks.get(pool)
        if found is None:
            return None
        lock, units = opened(found)
        taken = units.take(unit)
        return None if taken is None else self._grant(lock, taken, session, 1, now, 0.0)

    def take_next(self, pool: bytes, session: Session, now: float) -> tuple[Hold, int] | None:
        """As `take_unit` for any unit, whose rank says how often it was taken: that is one more from then on.

        Returns:
            The hold and the new rank; or None, and nothing has changed.

        Raises:
            ValueError: it is a lock without units.
        """
        found = self._locks.get(pool)
        if found is None:
            return None
        lock, units = opened(found)
        unit = units.take()
        if unit is None:
            return None
        return self._grant(lock, unit, session, 1, now, 0.0), units.tried(unit)

    def tried(self, hold: Hold) -> int:
        """What `take_next` does to the rank of a unit that it has taken, for one that was waited for."""
        return opened(self._locks[hold.name])[1].tried(hold.key)

    def finish(self, hold: Hold, now: float, why: str) -> None:
        """End the hold of a unit that is retired by that: nobody gets it.

        Args:
            now: monotonic seconds, from the caller.
            why: DONE or FAILED, for counters and history.
        """
        lock, units = opened(self._locks[hold.name])
        self.offered -= units.retire(hold.key)
        self._end_of(lock, hold, now, why, "")
        if not lock.holds and not units.ranks:
            self._forget(lock)

    # Inside

    def _new_lock(self, name: bytes, size: int = WHOLE, units: Units | None = None) -> Lock:
        """A lock that nobody holds yet."""
        lock = self._locks[name] = Lock(self, name, size, units)
        self._surplus -= 1
        return lock

    def _pool(self, name: bytes) -> Lock:
        """The pool of that name, made if it does not exist."""
        found = self._locks.get(name)
        return self._new_lock(name, units=Units()) if found is None else opened(found)[0]


def opened(found: Hold | Lock) -> tuple[Lock, Units]:
    """A pool in the form that it has. Raises ValueError: it is a lock without units."""
    if type(found) is not Lock or found.units is None:
        raise ValueError(_NO_POOL)
    return found, found.units


def check_wanted(lock: Lock, units: Units, unit: Hashable) -> None:
    """See that somebody may wait for a unit. Raises ValueError: it is not there, or it is free."""
    if unit is not ANY and unit not in units.ranks and unit not in lock.holds:
        raise ValueError("the pool does not have that unit")
    if units.is_free(unit):
        raise ValueError("the unit is free")
