"""LDLM's calls and the line language on the same names, beside a dull model of both."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from glockd.core.events import Event, Expired, Granted, Queued, Refused, TimedOut
from glockd.core.holds import Waiter
from glockd.core.sessions import Concurrent, Session
from glockd.doors.ldlm import outcomes
from glockd.doors.ldlm.calls import key_of
from glockd.doors.ldlm.outcomes import Outcome, Problem
from tests.support.ldlm import Counter

NAMES = (b"a", b"b")
ALL = 10**6  # the units of the whole
IDLE = 5.0

names = st.sampled_from(NAMES)
picks = st.integers(0, 99)
sizes = st.sampled_from([None, 1, 1, 2, 2, 3, 0, -1])
leases = st.sampled_from([0, 0, 0, 3, 7, -1])
waits = st.sampled_from([0, 0, 4, 9, -1])


@dataclass(eq=False)
class Grip:
    """A hold, or a wait for one."""

    who: Session
    key: str | None  # None for the line
    units: int
    limit: int
    lease: int = 0
    until: float = math.inf  # its lease ends, or its wait
    token: int = 0


@dataclass
class Lock:
    """What is known of one name."""

    size: int | None = None  # as LDLM's clients know it
    used: float = 0.0
    holds: list[Grip] = field(default_factory=list)
    line: list[Grip] = field(default_factory=list)

    def fits(self, grip: Grip) -> bool:
        units = sum(one.units for one in self.holds)
        return not units or units + grip.units <= grip.limit


class BothDoors(RuleBasedStateMachine):
    """The calls and the model side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()
        self.numbers = count(1)
        self.locks = {name: Lock() for name in NAMES}
        self.callers: list[Concurrent] = [self.counter.session() for _ in range(3)]
        self.speakers = [self.speaker() for _ in range(2)]
        self.keys: list[tuple[bytes, str]] = []  # all that were ever good
        self.waiters: dict[Grip, Waiter] = {}
        self.last_token = 0

    def speaker(self) -> Session:
        """A session of the line language."""
        session = Session(b"line:%d" % next(self.numbers))
        self.counter.state.registry.add(session)
        return session

    # The model

    def serve(self, name: bytes) -> None:
        """Let those in front have their turn, as the model sees it."""
        lock = self.locks[name]
        while lock.line and lock.fits(lock.line[0]):
            grip = lock.line.pop(0)
            grip.until = self.counter.now + grip.lease if grip.lease else math.inf
            lock.holds.append(grip)
            self.waiters.pop(grip)
            if grip.key is not None:
                self.keys.append((name, grip.key))

    def heard(self, events: list[Event] | tuple[Granted, ...]) -> None:
        """Tell the calls whose turn has come, as the door does."""
        for event in events:
            if isinstance(event, Expired):
                self.counter.calls.keep_size(event.hold, self.counter.now)
            elif isinstance(event, Granted) and isinstance(event.hold.key, bytes):
                outcome = self.counter.calls.granted(event.hold, self.counter.leases[event.waiter])
                assert outcome.done
                assert outcome.key == key_of(event.waiter)
            elif isinstance(event, TimedOut) and isinstance(event.waiter.key, bytes):
                assert self.counter.calls.timed_out(event.waiter).problem == outcomes.TIMED_OUT

    def problem(self, name: bytes, size: int, lease: int, wait: int) -> Problem | None:
        if lease < 0:
            return outcomes.BAD_LEASE
        if wait < 0:
            return outcomes.BAD_WAIT
        if size <= 0:
            return outcomes.BAD_SIZE
        return None if self.locks[name].size in (None, size) else outcomes.OTHER_SIZE

    def asks(self, name: bytes, who: Concurrent, size: int | None, lease: int, wait: int | None) -> None:
        """TryLock, or Lock with a wait."""
        counter, lock = self.counter, self.locks[name]
        ask = counter.try_lock(who, name, size, lease) if wait is None else None
        found = counter.lock(who, name, size, lease, wait or 0) if ask is None else ask
        size = 1 if size is None else size
        problem = self.problem(name, size, lease, wait or 0)
        if problem is not None:
            assert isinstance(found, Outcome)
            assert (found.done, found.problem) == (False, problem)
            return
        lock.size, lock.used = size, counter.now
        key = found.key if isinstance(found, Outcome) else key_of(found)
        grip = Grip(who, key, ALL if size == 1 else 1, ALL if size == 1 else size, lease)
        if not lock.line and lock.fits(grip):
            assert isinstance(found, Outcome)
            assert found.done
            grip.until = counter.now + lease if lease else math.inf
            lock.holds.append(grip)
            self.keys.append((name, key))
        elif wait is None:
            assert found == Outcome(False, key)
        else:
            assert isinstance(found, Waiter)
            grip.until = counter.now + wait if wait else math.inf
            lock.line.append(grip)
            self.waiters[grip] = found

    # LDLM's clients

    @rule(name=names, pick=picks, size=sizes, lease=leases)
    def try_lock(self, name: bytes, pick: int, size: int | None, lease: int) -> None:
        self.asks(name, self.callers[pick % len(self.callers)], size, lease, None)

    @rule(name=names, pick=picks, size=sizes, lease=leases, wait=waits)
    def lock(self, name: bytes, pick: int, size: int | None, lease: int, wait: int) -> None:
        self.asks(name, self.callers[pick % len(self.callers)], size, lease, wait)

    @rule(pick=picks, other=names, wrong=st.booleans())
    def unlock(self, pick: int, other: bytes, wrong: bool) -> None:
        name, key = self.keys[pick % len(self.keys)] if self.keys else (other, "")
        name = other if wrong else name
        lock = self.locks[name]
        grip = next((one for one in lock.holds if one.key is not None and one.key == key), None)
        found = self.counter.calls.unlock(name, key, self.counter.now)
        if grip is None:
            known = lock.size is not None or bool(lock.holds)
            assert found.problem == (outcomes.WRONG_KEY if known else outcomes.NO_LOCK)
            return
        assert found.done
        assert found.hold is not None
        assert found.hold.session is grip.who
        lock.holds.remove(grip)
        lock.used = self.counter.now
        self.serve(name)
        self.heard(tuple(found.granted))

    @rule(pick=picks, other=names, wrong=st.booleans(), lease=leases)
    def renew(self, pick: int, other: bytes, wrong: bool, lease: int) -> None:
        name, key = self.keys[pick % len(self.keys)] if self.keys else (other, "")
        name = other if wrong else name
        grip = next((one for one in self.locks[name].holds if one.key is not None and one.key == key), None)
        found = self.counter.renew(key, lease, name)
        if lease <= 0:
            assert found == Outcome(False, "", outcomes.BAD_LEASE)
        elif grip is None or grip.until == math.inf:
            assert found == Outcome(False, key, outcomes.NOTHING_TO_RENEW)
        else:
            assert found.done
            grip.until = self.counter.now + lease

    @rule(pick=picks)
    def give_a_wait_up(self, pick: int) -> None:
        if self.waiters:
            grip, waiter = list(self.waiters.items())[pick % len(self.waiters)]
            del self.waiters[grip]
            self.locks[waiter.name].line.remove(grip)
            self.serve(waiter.name)
            self.heard(tuple(waiter.table.withdraw(waiter, self.counter.now)))

    @rule(pick=picks)
    def end(self, pick: int) -> None:
        who = self.callers.pop(pick % len(self.callers))
        self.ends(who)
        self.callers.append(self.counter.session())

    # The line language

    @rule(name=names, pick=picks)
    def get(self, name: bytes, pick: int) -> None:
        who, lock = self.speakers[pick % len(self.speakers)], self.locks[name]
        if who.waiters or any(one.who is who for one in lock.holds):
            return
        hold = self.counter.state.exclusive.take(name, who, self.counter.now)
        grip = Grip(who, None, ALL, ALL)
        assert (hold is not None) == (not lock.line and lock.fits(grip))
        if hold is not None:
            lock.holds.append(grip)

    @rule(name=names, pick=picks)
    def release(self, name: bytes, pick: int) -> None:
        who, lock = self.speakers[pick % len(self.speakers)], self.locks[name]
        found = self.counter.state.exclusive.release(name, who, self.counter.now)
        mine = [one for one in lock.holds if one.who is who]
        assert (found is not None) == bool(mine)
        if found is not None:
            lock.holds.remove(mine[0])
            self.serve(name)
            self.heard(tuple(found))

    @rule(name=names, pick=picks)
    def stand_in_line(self, name: bytes, pick: int) -> None:
        who, lock = self.speakers[pick % len(self.speakers)], self.locks[name]
        mine = any(one.who is who for one in lock.holds)
        if who.waiters or mine or not lock.holds:
            return
        queued = self.counter.state.exclusive.wait(name, who, self.counter.now, math.inf)
        if isinstance(queued, Refused):
            return  # a circle, which the tests of the core know
        assert isinstance(queued, Queued)
        grip = Grip(who, None, ALL, ALL)
        lock.line.append(grip)
        self.waiters[grip] = queued.waiter

    @rule(pick=picks)
    def hang_up(self, pick: int) -> None:
        self.ends(self.speakers.pop(pick % len(self.speakers)))
        self.speakers.append(self.speaker())

    def ends(self, who: Session) -> None:
        for hold in who.holds:
            if isinstance(hold.key, bytes):
                self.counter.calls.keep_size(hold, self.counter.now)
                self.locks[hold.name].used = self.counter.now
        events, done = self.counter.state.end(who, self.counter.now, 1000)
        assert done
        for name, lock in self.locks.items():
            for grip in [one for one in lock.line if one.who is who]:
                lock.line.remove(grip)
                del self.waiters[grip]
            lock.holds = [one for one in lock.holds if one.who is not who]
            self.serve(name)
        self.heard(events)

    # Time

    @rule(seconds=st.sampled_from([1.0, 2.5, 6.0]))
    def passes(self, seconds: float) -> None:
        end = self.counter.now + seconds
        while True:
            ends = [one.until for lock in self.locks.values() for one in lock.holds + lock.line]
            if min(ends, default=math.inf) > end:
                break
            self.counter.now = min(ends)
            for name, lock in self.locks.items():
                for grip in [one for one in lock.line if one.until <= self.counter.now]:
                    lock.line.remove(grip)
                    del self.waiters[grip]
                if any(one.until <= self.counter.now for one in lock.holds):
                    lock.used = self.counter.now
                lock.holds = [one for one in lock.holds if one.until > self.counter.now]
                self.serve(name)
            self.heard(self.counter.state.expire(self.counter.now, 1000))
        self.counter.now = end

    @rule()
    def collect(self) -> None:
        self.counter.calls.sizes.collect(self.counter.now, IDLE, 1000)
        for lock in self.locks.values():
            if lock.size is not None and lock.used + IDLE < self.counter.now:
                if lock.holds:
                    lock.used = self.counter.now  # what is held is in use
                else:
                    lock.size = None

    # What holds

    @invariant()
    def the_same_hold_and_wait(self) -> None:
        table = self.counter.state.exclusive
        for name, lock in self.locks.items():
            assert {(hold.session, hold.key) for hold in table.holds(name)} == {
                (one.who, one.who if one.key is None else one.key.encode()) for one in lock.holds
            }
            assert {hold.key: hold.deadline for hold in table.holds(name)} == {
                one.who if one.key is None else one.key.encode(): one.until for one in lock.holds
            }
            assert [waiter.session for waiter in table.waiters(name)] == [one.who for one in lock.line]
            assert not lock.line or lock.holds

    @invariant()
    def nobody_is_beside_the_whole(self) -> None:
        for name in NAMES:
            weights = [hold.weight for hold in self.counter.state.exclusive.holds(name)]
            assert len(weights) <= (self.locks[name].size or 1)

    @invariant()
    def each_key_is_held_once(self) -> None:
        keys = [hold.key for name in NAMES for hold in self.counter.state.exclusive.holds(name)]
        assert len(keys) == len(set(keys)) or any(not isinstance(key, bytes) for key in keys)


TestBothDoors = BothDoors.TestCase
TestBothDoors.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
