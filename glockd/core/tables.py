"""Tables of locks: who holds them, who waits for them, and what follows when that ends."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence

from glockd.core.deadlines import NEVER, Deadlines
from glockd.core.events import Granted
from glockd.core.history import (
    CANCELLED,
    DONE,
    EXPIRED,
    FAILED,
    GRANTED,
    RELEASED,
    TIMED_OUT,
    History,
    Record,
)
from glockd.core.holds import WHOLE, Hold, Lock, Waiter
from glockd.core.sessions import Session
from glockd.core.stats import TableStats
from glockd.core.units import ANY

_new = object.__new__
_new_tuple = tuple.__new__


class Table:
    """One namespace of locks, for those who look and for what ends; how holds and waits begin is LockTable's.

    Args:
        kind: what the namespace is called, see `state.KINDS`.
        tokens: gives the fencing tokens, each larger than all before; shared between tables, and must not raise.
        deadlines: where leases and waits are put; shared between tables.
        contended: the locks that somebody waits for; shared between tables, because a deadlock may run through several.
        history: where records go; None if nobody wants to know.
        replenished: anybody may offer a unit at any moment, so that whoever waits for one depends on no holder.
    """

    def __init__(
        self,
        kind: str,
        tokens: Iterator[int],
        deadlines: Deadlines,
        contended: dict[Lock, None],
        history: History | None = None,
        *,
        replenished: bool = False,
    ) -> None:
        self.kind = kind
        self.replenished = replenished
        self.stats = TableStats()
        self._note = None if history is None else history.add
        self.waiting = 0  # how many waiters there are
        self._surplus = 0  # how many holds there are, less how many names
        self.offered = 0  # units of all pools, held or free, but for retired ones
        self._tokens = tokens
        self._deadlines = deadlines
        self._contended = contended
        # Only what somebody holds, and pools with units or waiters.
        self._locks: dict[bytes, Hold | Lock] = {}

    # For those who look

    def __len__(self) -> int:
        """How many names there are: those held, and pools."""
        return len(self._locks)

    @property
    def held(self) -> int:
        """How many holds there are; a lock may have several."""
        return len(self._locks) + self._surplus

    def is_used(self) -> bool:
        """Whether there is anything in it, or has ever been held."""
        return bool(self._locks) or any(self.stats.held.buckets)

    def names(self) -> list[bytes]:
        """The names that are held, and those of pools, in the order in which they first were."""
        return list(self._locks)

    def __iter__(self) -> Iterator[bytes]:
        """As `names`, one after the other, to look at some of very many; over when the table changes."""
        return iter(self._locks)

    def __contains__(self, name: bytes) -> bool:
        """Whether somebody holds `name`, or it is a pool."""
        return name in self._locks

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
        """Who waits for `name`, first come first; a view, not to be kept while the table changes."""
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
        found = self._locks.get(name)
        return found is not None and (type(found) is Hold or bool(found.holds))

    def find(self, name: bytes, key: Hashable) -> Hold | None:
        """The hold of `name` under `key`, if there is one; in a pool the hold of the unit `key`."""
        found = self._locks.get(name)
        if found is None:
            return None
        if type(found) is Hold:
            return found if found.key is key or found.key == key else None
        return found.holds.get(key)

    def in_the_way(self, waiter: Waiter) -> Sequence[Hold]:
        """The holds that keep a waiter from its turn, or the waiters ahead of it from theirs, oldest first."""
        if self.replenished:
            return ()
        if waiter.key is ANY or self.units(waiter.name) is None:
            return self.holds(waiter.name)
        hold = self.find(waiter.name, waiter.key)
        return () if hold is None else (hold,)

    def size(self, name: bytes) -> int | None:
        """The size that `name` has of its own: what its first taker gave it, or the number of a pool's units.

        Returns:
            From 1 up, 0 for a pool without units; None if the lock is free or without bounds.
        """
        found = self._locks.get(name)
        if type(found) is not Lock:
            return None
        if found.units is not None:
            return len(found.units.ranks)
        return None if found.size == WHOLE else found.size

    def units(self, pool: bytes) -> Mapping[Hashable, float] | None:
        """The units of `pool` that are not retired, held or free, with their ranks; a view; None if it is no pool."""
        found = self._locks.get(pool)
        if type(found) is not Lock or found.units is None:
            return None
        return found.units.ranks

    def ended(self, pool: bytes) -> Mapping[str, int]:
        """How many holds of units of `pool` have ended since it was made, by how they did; none if it is no pool."""
        found = self._locks.get(pool)
        return found.units.ended if type(found) is Lock and found.units is not None else {}

    def free_units(self, pool: bytes) -> int:
        """How many units of `pool` are free; 0 if it is no pool."""
        found = self._locks.get(pool)
        return found.units.free if type(found) is Lock and found.units is not None else 0

    # What ends

    def drop(self, hold: Hold, now: float, why: str = RELEASED, detail: str = "") -> Sequence[Granted]:
        """End a hold that is in force and serve whoever waited longest.

        Args:
            now: monotonic seconds, from the caller.
            why: RELEASED, DONE, FAILED, ORPHANED, EXPIRED or KICKED, for counters and history.

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
            now: monotonic seconds, from the caller.
            why: CANCELLED, TIMED_OUT, ORPHANED or KICKED, for counters and history.

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
        if lock.units is not None:
            # Nobody waits for what is free, so nobody was kept from a unit.
            self._forget(lock)
            return ()
        return self._serve(lock, now)

    def lease(self, hold: Hold, deadline: float) -> None:
        """Let a hold in force end at `deadline`, in monotonic seconds; NEVER takes the lease away."""
        self._deadlines.set(hold, deadline)

    # Inside

    def _widen(self, name: bytes) -> Lock:
        """The lock `name`, which is there, in its roomy form."""
        found = self._locks[name]
        if type(found) is Lock:
            return found
        lock = Lock(self, name)
        lock.holds[found.key] = found
        lock.used = found.weight
        self._locks[name] = lock
        return lock

    def _grant(
        self, lock: Lock, key: Hashable, session: Session, weight: int, now: float, waited: float
    ) -> Hold:
        # As Hold(...), in place: somebody waits for it.
        hold = _new(Hold)
        hold.table = self
        hold.name = lock.name
        hold.key = key
        hold.session = session
        hold.weight = weight
        hold.token = next(self._tokens)
        hold.since = now
        hold.deadline = NEVER
        lock.holds[key] = hold
        self._surplus += 1
        lock.used += weight
        session.add(hold)
        if self._note is not None:
            self._note(Record(GRANTED, now, hold, waited, ""))
        return hold

    def _drop(self, lock: Lock, hold: Hold, now: float, why: str, detail: str) -> Sequence[Granted]:
        self._end_of(lock, hold, now, why, detail)
        return self._serve(lock, now) if lock.units is None else self._pass_on(lock, hold.key, now)

    def _end_of(self, lock: Lock, hold: Hold, now: float, why: str, detail: str) -> None:
        """End a hold of a lock in its roomy form."""
        del lock.holds[hold.key]
        self._surplus -= 1
        lock.used -= hold.weight
        self._end(hold, now, why, detail)
        if lock.units is not None:
            ended = lock.units.ended
            ended[why] = ended.get(why, 0) + 1

    def _pass_on(self, lock: Lock, unit: Hashable, now: float) -> Sequence[Granted]:
        """Let a pool's unit that nobody holds be free, or give it to whoever waits for it."""
        assert lock.units is not None
        waiter = lock.units.put(unit)
        if waiter is not None:
            return (self._hand_over(lock, waiter, unit, now),)
        self._forget(lock)
        return ()

    def _serve(self, lock: Lock, now: float) -> Sequence[Granted]:
        """Grant the lock to those in front who fit; forget it if nobody has to do with it any more."""
        if not lock.waiters:
            self._forget(lock)
            return ()
        granted: list[Granted] = []
        while lock.waiters:
            waiter = next(iter(lock.waiters))
            # Whoever is first fits where nothing is used, whatever it wants.
            if lock.used and (lock.used + waiter.weight > waiter.limit or waiter.key in lock.holds):
                break
            granted.append(self._hand_over(lock, waiter, waiter.key, now))
        return granted

    def _hand_over(self, lock: Lock, waiter: Waiter, key: Hashable, now: float) -> Granted:
        """Give a waiter whose turn it is its hold."""
        self._leave(lock, waiter)
        waited = now - waiter.since
        hold = self._grant(lock, key, waiter.session, waiter.weight, now, waited)
        stats = self.stats
        stats.granted_after_wait += 1
        stats.waited.add(waited)
        return _new_tuple(Granted, (waiter, hold, len(lock.holds)))

    def _forget(self, lock: Lock) -> None:
        """Forget a lock that nobody has to do with any more."""
        if not (lock.holds or lock.waiters) and (lock.units is None or not lock.units.ranks):
            del self._locks[lock.name]
            self._surplus += 1

    def _leave(self, lock: Lock, waiter: Waiter) -> None:
        del lock.waiters[waiter]
        if not lock.waiters:
            del self._contended[lock]
        self.waiting -= 1
        session = waiter.session
        if type(session.waiters) is dict:
            session.leave(waiter)
        else:
            session.waiters = ()
        if waiter.deadline != NEVER:
            self._deadlines.clear(waiter)
        if lock.units is not None:
            lock.units.leave(waiter)

    def _end(self, hold: Hold, now: float, why: str, detail: str) -> None:
        hold.session.discard(hold)
        if hold.deadline != NEVER:
            self._deadlines.clear(hold)
        if why is RELEASED:
            pass
        elif why is DONE:
            self.stats.done += 1
        elif why is FAILED:
            self.stats.failed += 1
        elif why is EXPIRED:
            self.stats.expired += 1
        else:
            self.stats.orphans += 1
        self.stats.held.add(now - hold.since)
        if self._note is not None:
            self._note(Record(why, now, hold, 0.0, detail))
