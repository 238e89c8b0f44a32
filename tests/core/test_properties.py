"""The core against a dull model of lists and deadlines."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from glockd.core.events import Event, Expired, Granted, Lapsed, TimedOut
from glockd.core.sessions import Owner
from glockd.core.units import ANY
from tests.core.machine import OWNER, POOL, SIZED, SLOTS, SideBySide, core_units
from tests.core.model import ALL, ModelHold, ModelWaiter, Turn, Where

# Which of those who can, by number. What is drawn must not depend on what is held, since it is left open in
# which order the holds of a session end.
picks = st.integers(0, 23)
names = st.sampled_from([b"", b"a"])
seconds = st.sampled_from([1, 20, math.inf, math.inf])
units = st.integers(0, 2)


class Endings(SideBySide):
    """What befalls holds and waits of any kind."""

    # Coming back

    @rule(
        pick=picks,
        where=st.sampled_from([("exclusive", b"a"), SIZED, POOL]),
        key=st.sampled_from([None, 1, 2]),
        weight=st.sampled_from([1, 2, ALL]),
        size=st.sampled_from([2, 3, ALL]),
        after=seconds,
    )
    def restore(self, pick: int, where: Where, key: int | None, weight: int, size: int, after: float) -> None:
        """A hold of before, with its token; also of a session that has begun again."""
        slot, model = self.actor(pick), self.model
        if slot is None or (where == POOL and not model.names("slots")):
            return
        held, used = model.held(where), sum(hold.units for hold in model.held(where))
        if where == POOL:
            fits = weight == 1 and model.next_unit(POOL, -1 if key is None else key) is not None
        elif held:
            same = model.size(where) == size
            fits = same and used + weight <= size and not model.holds_under(where, slot, key)
        else:
            fits = weight in (1, ALL) or weight <= size
        token, deadline = next(self.old_tokens), self.deadline(after)
        try:
            hold = self.table(where).restore(
                where[1], self.sessions[slot], key, core_units(weight), token, 7.0, deadline, core_units(size)
            )
        except ValueError:
            assert not fits
            return
        assert fits
        assert (hold.token, hold.since) == (token, 7.0)
        if where == POOL:
            assert key is not None
            model.free.remove((POOL, key))
        elif not held and size != ALL:
            model.sizes[where] = size
        model.holds.append(ModelHold(where, slot, key, weight, token, deadline))

    # Giving back

    @rule(pick=picks)
    def release(self, pick: int) -> None:
        hold = self.their_hold(pick)
        if hold is not None:
            self.give_back(hold)

    @rule(pick=picks)
    def release_what_is_waited_for(self, pick: int) -> None:
        awaited = [hold for hold in self.model.holds if self.acts(hold.slot) and self.model.line(hold.where)]
        if awaited:
            self.give_back(awaited[pick % len(awaited)])

    def give_back(self, hold: ModelHold) -> None:
        table, name = self.table(hold.where), hold.where[1]
        granted: Sequence[Granted] | None
        if hold.key is None:
            granted = table.release(name, self.sessions[hold.slot], self.now)
        else:
            real = table.find(name, hold.key)
            assert real is not None
            assert real.session is self.sessions[hold.slot]
            granted = table.drop(real, self.now)
        assert granted is not None
        self.expect_turns(granted, self.model.give_back(hold))

    @rule(
        pick=picks,
        where=st.sampled_from([("exclusive", b""), ("exclusive", b"a"), ("shared", b"a"), SIZED, POOL]),
    )
    def release_in_vain(self, pick: int, where: Where) -> None:
        """Nobody gives back what is another's, or what is its own under a key."""
        slot = self.actor(pick)
        if slot is not None and not self.model.holds_under(where, slot, None):
            assert self.table(where).release(where[1], self.sessions[slot], self.now) is None

    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        if self.model.waiters:
            mine = self.model.waiters[pick % len(self.model.waiters)]
            assert mine.real in self.sessions[mine.slot].waiters
            assert mine.real is not None
            granted = mine.real.table.withdraw(mine.real, self.now)
            self.counted[mine.where[0], "cancelled"] += 1
            self.expect_turns(granted, self.model.leave(mine))

    @rule(pick=picks, after=seconds)
    def lease(self, pick: int, after: float) -> None:
        hold = self.their_hold(pick)
        if hold is None:
            return
        hold.deadline = self.deadline(after)
        table = self.table(hold.where)
        real = table.find(hold.where[1], self.key(hold.slot, hold.key))
        assert real is not None
        table.lease(real, hold.deadline)

    @rule(pick=picks, most=st.integers(1, 3))
    def end(self, pick: int, most: int) -> None:
        """A session ends, a few waits and holds at a time; what others do comes in between."""
        slot = pick % SLOTS
        session, model = self.sessions[slot], self.model
        turns = []
        mine = [waiter for waiter in reversed(model.waiters) if waiter.slot == slot][:most]
        for waiter in mine:
            turns += model.leave(waiter)
            self.counted[waiter.where[0], "cancelled"] += 1
        events, done = self.state.end(session, self.now, most)
        left = {hold.token for hold in session.holds}
        holds = [hold for hold in model.holds if hold.slot == slot]
        gone = sorted(
            (hold for hold in holds if hold.token not in left), key=lambda it: (it.where[0], it.token)
        )
        assert len(gone) == min(most - len(mine), len(holds))
        for hold in gone:
            turns += model.give_back(hold)
            self.counted[hold.where[0], "orphans"] += 1
        self.expect_turns(events, turns)
        if slot == OWNER:
            model.lives[slot] = math.inf
        assert done == (len(gone) == len(holds) and not model.waits(slot))
        if done:
            self.ending.discard(slot)
            self.sessions[slot] = self.new_session(slot)
        else:
            self.ending.add(slot)

    # Time

    @rule(after=seconds)
    def extend(self, after: float) -> None:
        owner = self.sessions[OWNER]
        if OWNER not in self.ending:
            assert isinstance(owner, Owner)
            self.model.lives[OWNER] = self.deadline(after)
            self.state.extend(owner, self.model.lives[OWNER])

    @rule(after=st.sampled_from([0.5, 2.0, 10.0]), most=st.sampled_from([1, 2, 100]))
    def time_passes(self, after: float, most: int) -> None:
        self.now += after
        self.compare_expiry(self.state.expire(self.now, most), most)

    def compare_expiry(self, events: list[Event], most: int) -> None:
        real: Iterator[Event] = iter(events)
        for _ in range(most):
            due = [one for deadline, one in self.timed() if deadline <= self.now]
            if not due:
                break
            turns = self.expect_the_end_of(due[0], next(real))
            self.expect_turns([next(real) for _ in turns], turns)
        assert list(real) == []

    def expect_the_end_of(self, due: ModelHold | ModelWaiter | int, event: Event) -> list[Turn]:
        """The event says that this is over; whose turn has come by it."""
        model = self.model
        if isinstance(due, int):
            assert event == Lapsed(self.sessions[due])  # type: ignore[arg-type]
            model.lives[due] = math.inf
            return []
        if isinstance(due, ModelHold):
            assert isinstance(event, Expired)
            assert event.hold.token == due.token
            self.counted[due.where[0], "expired"] += 1
            return model.give_back(due)
        assert isinstance(event, TimedOut)
        assert event.waiter is due.real
        self.counted[due.where[0], "timed out"] += 1
        return model.leave(due)

    @rule()
    def nothing_ends_early(self) -> None:
        soonest = self.state.next_deadline()
        if soonest != math.inf and soonest > self.now:
            assert self.state.expire(math.nextafter(soonest, 0), 100) == []


class Locks(Endings):
    """Exclusive locks, readers, and counted shared locks."""

    @rule(pick=picks, name=names)
    def get(self, pick: int, name: bytes) -> None:
        slot = self.actor(pick)
        if slot is not None:
            self.take(slot, ("exclusive", name), ALL, ALL)

    @rule(pick=picks, name=names)
    def get_shared(self, pick: int, name: bytes) -> None:
        slot = self.actor(pick)
        if slot is not None:
            self.take(slot, ("shared", name), 1, ALL, overtake=True)

    @rule(pick=picks, name=names, patience=seconds)
    def wait(self, pick: int, name: bytes, patience: float) -> None:
        self.take_or_wait(self.actor(pick), ("exclusive", name), ALL, ALL, patience)

    @rule(pick=picks, name=names, patience=seconds)
    def read(self, pick: int, name: bytes, patience: float) -> None:
        self.take_or_wait(self.actor(pick), ("exclusive", name), 1, ALL, patience)

    @rule(pick=picks, name=names, limit=st.integers(1, 4), patience=seconds)
    def share(self, pick: int, name: bytes, limit: int, patience: float) -> None:
        self.take_or_wait(self.actor(pick), ("shared", name), 1, limit, patience)


class Sizes(Endings):
    """A sized lock, of which a session may hold several units, each under a key of its own."""

    @rule(
        pick=picks, key=st.integers(1, 3), size=st.integers(1, 4), wanted=st.sampled_from([1, 2, 3, 4, ALL])
    )
    def take_units(self, pick: int, key: int, size: int, wanted: int) -> None:
        """A sized lock, of which a session may hold several units, each under a key of its own."""
        slot, table, model = self.actor(pick), self.table(SIZED), self.model
        if slot is None:
            return
        if not model.held(SIZED):
            model.sizes[SIZED] = size
        else:
            assert table.size(b"sized") == model.sizes.get(SIZED)
        same = model.size(SIZED) in (ALL, size)
        fits = not model.line(SIZED) and model.fits(SIZED, wanted, size)
        taken = model.holds_under(SIZED, slot, key)
        try:
            hold = table.take(b"sized", self.sessions[slot], self.now, core_units(wanted), key=key, size=size)
        except ValueError:
            assert not same or (taken and fits)
            return
        assert same
        assert not (taken and fits)
        assert (hold is not None) == fits
        if hold is not None:
            weight = model.weight(SIZED, wanted)
            model.holds.append(ModelHold(SIZED, slot, key, weight, self.new_token(hold.token)))

    @rule(
        pick=picks,
        key=st.sampled_from([None, 1, 2]),
        wanted=st.sampled_from([1, 2, 3, ALL]),
        patience=seconds,
    )
    def wait_for_units(self, pick: int, key: int | None, wanted: int, patience: float) -> None:
        if self.model.held(SIZED):
            self.take_or_wait(self.actor(pick), SIZED, wanted, ALL, patience, key)


class Pools(Endings):
    """A pool, and a lock that those who hold its units wait for."""

    @initialize(rank=st.integers(0, 2))
    def begin(self, rank: float) -> None:
        self.offer(0, rank)
        self.offer(1, 1)

    @rule(unit=units, rank=st.integers(0, 2))
    def offer(self, unit: int, rank: float) -> None:
        granted = self.table(POOL).offer(b"pool", unit, rank, self.now)
        self.expect_turns(granted, self.model.offer(POOL, unit, rank))

    @rule(unit=units)
    def retire(self, unit: int) -> None:
        known = self.model.retire(POOL, unit)
        assert self.table(POOL).retire(b"pool", unit) == known
        self.retired |= known

    @rule(pick=picks, wanted=st.sampled_from([ANY, ANY, 0, 1]), patience=seconds, stays=st.booleans())
    def take_unit(self, pick: int, wanted: Hashable, patience: float, stays: bool) -> None:
        slot, table, model = self.actor(pick), self.table(POOL), self.model
        if slot is None:
            return
        unit = model.next_unit(POOL, wanted)
        hold = table.take_unit(b"pool", self.sessions[slot], self.now, wanted)
        assert (None if hold is None else hold.key) == unit
        if hold is not None:
            assert unit is not None
            model.free.remove((POOL, unit))
            model.holds.append(ModelHold(POOL, slot, unit, 1, self.new_token(hold.token)))
        elif stays and (wanted is ANY or table.find(b"pool", wanted)):
            self.wait_for(ModelWaiter(POOL, slot, wanted, 1, ALL, self.deadline(patience)))

    @rule(pick=picks, patience=seconds)
    def wait_for_a_lock(self, pick: int, patience: float) -> None:
        self.take_or_wait(self.actor(pick), ("exclusive", b""), ALL, ALL, patience)


class Everything(Locks, Sizes, Pools):
    """All of it at once."""


# Long runs: only where much is held and waited for has anybody a turn.
LONG = settings(max_examples=max(100, settings().max_examples), stateful_step_count=200)
TestLocks = Locks.TestCase
TestSizes = Sizes.TestCase
TestPools = Pools.TestCase
TestEverything = Everything.TestCase
TestLocks.settings = TestSizes.settings = TestPools.settings = TestEverything.settings = LONG
