"""The core against a dull model of lists and deadlines, and the whole of it compared after every step."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from glockd.core.events import Event, Expired, Granted, Queued, Refused, TimedOut
from glockd.core.holds import WHOLE
from glockd.core.locks import LockTable
from glockd.core.sessions import Session
from glockd.core.state import State

Kind = Literal["exclusive", "shared"]
SESSIONS = 4
UNBOUNDED = 10**6  # more units than a test can hold

# Which of those who can, by number. What is drawn must not depend on what is held, since it is left open in
# which order the holds of a session end.
picks = st.integers(0, 11)
names = st.sampled_from([b"", b"a"])
seconds = st.sampled_from([1, 20, math.inf, math.inf])


# The model. A hold of the whole has as many units as there are; everything else is counted one by one.


@dataclass(eq=False)
class ModelHold:
    kind: Kind
    name: bytes
    slot: int
    key: object
    units: int
    token: int
    deadline: float = math.inf


@dataclass(eq=False)
class ModelWaiter:
    kind: Kind
    name: bytes
    slot: int
    units: int
    limit: int
    deadline: float
    holders: int = 0  # how many held the lock when its turn came, itself included


@dataclass
class Model:
    """Who holds and who waits, each in order."""

    holds: list[ModelHold] = field(default_factory=list)
    waiters: list[ModelWaiter] = field(default_factory=list)
    sizes: dict[tuple[Kind, bytes], int] = field(default_factory=dict)  # of locks that have one of their own

    def held(self, kind: Kind, name: bytes) -> list[ModelHold]:
        return [hold for hold in self.holds if (hold.kind, hold.name) == (kind, name)]

    def line(self, kind: Kind, name: bytes) -> list[ModelWaiter]:
        return [waiter for waiter in self.waiters if (waiter.kind, waiter.name) == (kind, name)]

    def size(self, kind: Kind, name: bytes) -> int:
        return self.sizes.get((kind, name), UNBOUNDED)

    def fits(self, kind: Kind, name: bytes, units: int, limit: int) -> bool:
        size = self.size(kind, name)
        used = sum(hold.units for hold in self.held(kind, name))
        return used + min(units, size) <= min(limit, size)

    def waits(self, slot: int) -> bool:
        return any(waiter.slot == slot for waiter in self.waiters)

    def serve(self, kind: Kind, name: bytes) -> list[ModelWaiter]:
        """Those in front who fit now, moved from the line to the holds; their tokens are still to be told."""
        served = []
        while line := self.line(kind, name):
            first = line[0]
            if not self.fits(kind, name, first.units, first.limit):
                break
            self.waiters.remove(first)
            units = min(first.units, self.size(kind, name))
            self.holds.append(ModelHold(kind, name, first.slot, None, units, 0))
            first.holders = len(self.held(kind, name))
            served.append(first)
        self.forget_size(kind, name)
        return served

    def forget_size(self, kind: Kind, name: bytes) -> None:
        if not self.held(kind, name):
            self.sizes.pop((kind, name), None)

    def can_ever_be_granted(self, waiter: ModelWaiter) -> bool:
        """Play on: who does not wait gives everything back, leases end, those in line have their turns."""
        play = Model(list(self.holds), list(self.waiters), dict(self.sizes))
        going_on = True
        while going_on:
            gone = [hold for hold in play.holds if not play.waits(hold.slot) or hold.deadline != math.inf]
            play.holds = [hold for hold in play.holds if hold not in gone]
            served = [play.serve(kind, name) for kind, name in {(one.kind, one.name) for one in play.waiters}]
            going_on = bool(gone) or any(served)
        return waiter not in play.waiters


class Core(RuleBasedStateMachine):
    """Random sessions do random things to the core and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.serial = count(1)
        self.state = State(count(1))
        self.sessions = [self.new_session() for _ in range(SESSIONS)]
        self.ending: set[int] = set()  # slots of sessions that have ended but for holds that come next
        self.model = Model()
        self.last_token = 0
        self.counted: Counter[tuple[Kind, str]] = Counter()

    def new_session(self) -> Session:
        session = Session(b"session:%d" % next(self.serial), since=self.now)
        self.state.registry.add(session)
        return session

    def table(self, kind: Kind) -> LockTable:
        return self.state.exclusive if kind == "exclusive" else self.state.shared

    def deadline(self, after: float) -> float:
        """A time from now that no other deadline has, so that it is clear what comes first."""
        return self.now + after + next(self.serial) / (1 << 20)

    def acts(self, slot: int) -> bool:
        """Whether the session can say anything: it cannot while it waits, nor after its end."""
        return slot not in self.ending and not self.model.waits(slot)

    def actor(self, pick: int) -> int | None:
        """One of the sessions that can say something."""
        actors = [slot for slot in range(SESSIONS) if self.acts(slot)]
        return actors[pick % len(actors)] if actors else None

    def new_token(self, token: int) -> int:
        assert token > self.last_token
        self.last_token = token
        return token

    def expect_granted(self, events: list[Granted], served: list[ModelWaiter]) -> None:
        """The events are just these turns, in this order; and the model learns the tokens."""
        assert [event.waiter.session for event in events] == [self.sessions[one.slot] for one in served]
        for event, waiter in zip(events, served, strict=True):
            (hold,) = [
                hold
                for hold in self.model.held(waiter.kind, waiter.name)
                if hold.slot == waiter.slot and hold.key is None
            ]
            hold.token = self.new_token(event.hold.token)
            assert event.holders == waiter.holders
            self.counted[waiter.kind, "granted"] += 1

    def give_back(self, hold: ModelHold) -> list[ModelWaiter]:
        self.model.holds.remove(hold)
        return self.model.serve(hold.kind, hold.name)

    # Taking and waiting

    def take(
        self, slot: int, kind: Kind, name: bytes, units: int, limit: int, *, overtake: bool = False
    ) -> bool:
        table, session = self.table(kind), self.sessions[slot]
        in_line = bool(self.model.line(kind, name)) and not overtake
        fits = not in_line and self.model.fits(kind, name, units, limit)
        weight = WHOLE if units == UNBOUNDED else units
        most = WHOLE if limit == UNBOUNDED else limit
        if any(hold.slot == slot and hold.key is None for hold in self.model.held(kind, name)):
            return False  # the line language asks before it takes
        hold = table.take(name, session, self.now, weight, most, overtake=overtake)
        assert (hold is not None) == fits
        if hold is not None:
            units = min(units, self.model.size(kind, name))
            token = self.new_token(hold.token)
            self.model.holds.append(ModelHold(kind, name, slot, None, units, token))
        return fits

    def take_or_wait(
        self, slot: int | None, kind: Kind, name: bytes, units: int, limit: int, patience: float
    ) -> None:
        if slot is None or self.take(slot, kind, name, units, limit):
            return
        table, session = self.table(kind), self.sessions[slot]
        mine = any(hold.slot == slot and hold.key is None for hold in self.model.held(kind, name))
        if mine and units < UNBOUNDED:
            return  # it has what it wants; only a reader that wants the whole is left to the core
        deadline = math.inf if patience == math.inf else self.deadline(patience)
        weight = WHOLE if units == UNBOUNDED else units
        most = WHOLE if limit == UNBOUNDED else limit
        waiter = ModelWaiter(kind, name, slot, units, limit, deadline)
        answer = table.wait(name, session, self.now, deadline, weight, most)
        self.model.waiters.append(waiter)
        if self.model.can_ever_be_granted(waiter):
            assert isinstance(answer, Queued)
            assert answer.waiter.session is session
        else:
            assert isinstance(answer, Refused)
            assert answer.cycle[0] is session
            self.check_cycle(answer.cycle)
            self.model.waiters.remove(waiter)
            self.counted[kind, "refused"] += 1

    def check_cycle(self, cycle: tuple[Session, ...]) -> None:
        """Each one waits for a lock that the next one holds (the model still has the refused one in line)."""
        for one, other in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            waited_for = {
                (waiter.kind, waiter.name)
                for waiter in self.model.waiters
                if self.sessions[waiter.slot] is one
            }
            held = {(hold.kind, hold.name) for hold in self.model.holds if self.sessions[hold.slot] is other}
            assert waited_for & held

    @rule(pick=picks, name=names)
    def get(self, pick: int, name: bytes) -> None:
        slot = self.actor(pick)
        if slot is not None:
            self.take(slot, "exclusive", name, UNBOUNDED, UNBOUNDED)

    @rule(pick=picks, name=names)
    def get_shared(self, pick: int, name: bytes) -> None:
        slot = self.actor(pick)
        if slot is not None:
            self.take(slot, "shared", name, 1, UNBOUNDED, overtake=True)

    @rule(pick=picks, name=names, patience=seconds)
    def wait(self, pick: int, name: bytes, patience: float) -> None:
        slot = self.actor(pick)
        self.take_or_wait(slot, "exclusive", name, UNBOUNDED, UNBOUNDED, patience)

    @rule(pick=picks, name=names, patience=seconds)
    def read(self, pick: int, name: bytes, patience: float) -> None:
        slot = self.actor(pick)
        self.take_or_wait(slot, "exclusive", name, 1, UNBOUNDED, patience)

    @rule(pick=picks, name=names, limit=st.integers(1, 4), patience=seconds)
    def share(self, pick: int, name: bytes, limit: int, patience: float) -> None:
        slot = self.actor(pick)
        self.take_or_wait(slot, "shared", name, 1, limit, patience)

    @rule(pick=picks, key=st.integers(1, 3), size=st.integers(1, 4), units=st.integers(1, 4))
    def take_units(self, pick: int, key: int, size: int, units: int) -> None:
        """A sized lock, of which a session may hold several units, each under a key of its own."""
        slot = self.actor(pick)
        if slot is None:
            return
        kind: Kind = "shared"
        name = b"sized"
        table, model = self.table(kind), self.model
        before = model.held(kind, name)
        if not before:
            model.sizes[kind, name] = size
        fits = not model.line(kind, name) and model.fits(kind, name, units, UNBOUNDED)
        if any(hold.key == key for hold in before):
            if fits:
                try:
                    table.take(name, self.sessions[slot], self.now, units, key=key, size=size)
                except ValueError:
                    return
                raise AssertionError("two holds under one key")
            return
        hold = table.take(name, self.sessions[slot], self.now, units, key=key, size=size)
        assert (hold is not None) == fits
        if hold is not None:
            units = min(units, model.size(kind, name))
            model.holds.append(ModelHold(kind, name, slot, key, units, self.new_token(hold.token)))
        model.forget_size(kind, name)

    @rule(pick=picks, units=st.integers(1, 3), patience=seconds)
    def wait_for_units(self, pick: int, units: int, patience: float) -> None:
        slot = self.actor(pick)
        if self.model.held("shared", b"sized"):
            self.take_or_wait(slot, "shared", b"sized", units, UNBOUNDED, patience)

    # Giving back

    @rule(pick=picks)
    def release(self, pick: int) -> None:
        mine = [hold for hold in self.model.holds if self.acts(hold.slot)]
        if not mine:
            return
        hold = mine[pick % len(mine)]
        table, session = self.table(hold.kind), self.sessions[hold.slot]
        granted = table.release(hold.name, session, self.now, hold.key)
        assert granted is not None
        self.expect_granted(list(granted), self.give_back(hold))

    @rule(pick=picks, kind=st.sampled_from(["exclusive", "shared"]), name=names)
    def release_in_vain(self, pick: int, kind: Kind, name: bytes) -> None:
        slot = self.actor(pick)
        held = {hold.slot for hold in self.model.held(kind, name)}
        if slot is not None and slot not in held:
            assert self.table(kind).release(name, self.sessions[slot], self.now) is None

    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        if self.model.waiters:
            mine = self.model.waiters[pick % len(self.model.waiters)]
            (waiter,) = self.sessions[mine.slot].waiters
            granted = waiter.table.withdraw(waiter, self.now)
            self.model.waiters.remove(mine)
            self.counted[mine.kind, "cancelled"] += 1
            self.expect_granted(list(granted), self.model.serve(mine.kind, mine.name))

    @rule(pick=picks, after=seconds)
    def lease(self, pick: int, after: float) -> None:
        mine = [hold for hold in self.model.holds if self.acts(hold.slot)]
        if not mine:
            return
        hold = mine[pick % len(mine)]
        hold.deadline = math.inf if after == math.inf else self.deadline(after)
        table = self.table(hold.kind)
        real = table.find(hold.name, self.sessions[hold.slot] if hold.key is None else hold.key)
        assert real is not None
        table.lease(real, hold.deadline)

    @rule(pick=picks, most=st.integers(1, 3))
    def end(self, pick: int, most: int) -> None:
        """A session ends, a few holds at a time; what others do comes in between."""
        slot = pick % SESSIONS
        session, model = self.sessions[slot], self.model
        served = []
        for waiter in [one for one in model.waiters if one.slot == slot]:
            model.waiters.remove(waiter)
            self.counted[waiter.kind, "cancelled"] += 1
            served += model.serve(waiter.kind, waiter.name)
        events, done = self.state.end(session, self.now, most)
        left = {hold.token for hold in session.holds}
        mine = [hold for hold in model.holds if hold.slot == slot]
        gone = sorted((hold for hold in mine if hold.token not in left), key=lambda it: (it.kind, it.token))
        assert len(gone) == min(most, len(mine))
        for hold in gone:
            served += self.give_back(hold)
            self.counted[hold.kind, "orphans"] += 1
        assert all(isinstance(event, Granted) for event in events)
        self.expect_granted([event for event in events if isinstance(event, Granted)], served)
        assert done == (len(gone) == len(mine))
        if done:
            self.ending.discard(slot)
            self.sessions[slot] = self.new_session()
        else:
            self.ending.add(slot)

    # Time

    @rule(after=st.sampled_from([0.5, 2.0, 10.0]), most=st.sampled_from([1, 2, 100]))
    def time_passes(self, after: float, most: int) -> None:
        self.now += after
        self.compare_expiry(self.state.expire(self.now, most), most)

    def compare_expiry(self, events: list[Event], most: int) -> None:
        model = self.model
        real: Iterator[Event] = iter(events)
        for _ in range(most):
            timed: list[ModelHold | ModelWaiter] = [*model.holds, *model.waiters]
            due = min(
                (one for one in timed if one.deadline <= self.now), key=lambda it: it.deadline, default=None
            )
            if due is None:
                break
            event = next(real)
            if isinstance(due, ModelHold):
                assert isinstance(event, Expired)
                assert event.hold.token == due.token
                self.counted[due.kind, "expired"] += 1
                served = self.give_back(due)
            else:
                assert isinstance(event, TimedOut)
                assert event.waiter.session is self.sessions[due.slot]
                self.counted[due.kind, "timed out"] += 1
                model.waiters.remove(due)
                served = model.serve(due.kind, due.name)
            granted = [next(real) for _ in served]
            assert all(isinstance(one, Granted) for one in granted)
            self.expect_granted([one for one in granted if isinstance(one, Granted)], served)
        assert list(real) == []

    @rule()
    def nothing_ends_early(self) -> None:
        soonest = self.state.next_deadline()
        if soonest != math.inf and soonest > self.now:
            assert self.state.expire(math.nextafter(soonest, 0), 100) == []

    # What must always hold

    @invariant()
    def holders_and_waiters_are_as_in_the_model(self) -> None:
        model = self.model
        for kind in ("exclusive", "shared"):
            table = self.table(kind)
            held_names = {hold.name for hold in model.holds if hold.kind == kind}
            assert set(table.names()) == held_names
            assert table.held == sum(1 for hold in model.holds if hold.kind == kind)
            lines = Counter(waiter.name for waiter in model.waiters if waiter.kind == kind)
            assert dict(table.lines()) == lines
            oldest = table.oldest_waiter()
            all_waiters = [one for session in self.sessions for one in session.waiters if one.table is table]
            assert (oldest is None) == (not all_waiters)
            assert oldest is None or oldest.since == min(one.since for one in all_waiters)
            assert len(table) == len(held_names)
            assert table.waiting == sum(waiter.kind == kind for waiter in model.waiters)
            for name in (b"", b"a", b"sized"):
                held, line = model.held(kind, name), model.line(kind, name)
                assert [(hold.session, hold.token, hold.deadline) for hold in table.holds(name)] == [
                    (self.sessions[hold.slot], hold.token, hold.deadline) for hold in held
                ]
                assert [(one.session, one.deadline) for one in table.waiters(name)] == [
                    (self.sessions[one.slot], one.deadline) for one in line
                ]
                assert table.count(name) == len(held)
                assert table.is_held(name) == bool(held)

    @invariant()
    def sessions_know_what_they_hold_and_wait_for(self) -> None:
        for slot, session in enumerate(self.sessions):
            tokens = {hold.token for hold in self.model.holds if hold.slot == slot}
            assert {hold.token for hold in session.holds} == tokens
            assert len(session.waiters) == self.model.waits(slot)
        assert len(self.state.registry) == SESSIONS

    @invariant()
    def nobody_waits_for_what_there_is(self) -> None:
        for waiter in self.model.waiters:
            first = self.model.line(waiter.kind, waiter.name)[0]
            assert not self.model.fits(first.kind, first.name, first.units, first.limit)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        assert all(self.model.can_ever_be_granted(waiter) for waiter in self.model.waiters)

    @invariant()
    def the_next_deadline_is_the_soonest(self) -> None:
        timed: list[ModelHold | ModelWaiter] = [*self.model.holds, *self.model.waiters]
        assert self.state.next_deadline() == min((one.deadline for one in timed), default=math.inf)

    @invariant()
    def everything_is_counted(self) -> None:
        for kind in ("exclusive", "shared"):
            stats = self.table(kind).stats
            words = {
                "orphans": stats.orphans,
                "expired": stats.expired,
                "refused": stats.refused,
                "timed out": stats.timed_out,
                "cancelled": stats.cancelled,
                "granted": stats.granted_after_wait,
            }
            assert words == {word: self.counted[kind, word] for word in words}


TestCore = Core.TestCase
TestCore.settings = settings(max_examples=max(300, settings().max_examples))
