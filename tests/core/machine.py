"""The core and its dull model side by side, compared in whole after every step; test_properties says what is done."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import count

from hypothesis.stateful import RuleBasedStateMachine, invariant

from glockd.core.events import Event, Granted, Queued, Refused
from glockd.core.holds import WHOLE
from glockd.core.locks import LockTable
from glockd.core.sessions import Concurrent, Owner, Session
from glockd.core.state import State
from glockd.core.units import ANY
from tests.core.model import ALL, KINDS, Kind, Model, ModelHold, ModelWaiter, Turn, Where

# Which sessions, by their slots: four that say nothing while they wait, one with calls side by side, one owner.
PLAIN, CALLS, OWNER = range(4), 4, 5
SLOTS = 6

SIZED: Where = ("shared", b"sized")
POOL: Where = ("slots", b"pool")
NAMES: dict[Kind, tuple[bytes, ...]] = {
    "exclusive": (b"", b"a"),
    "shared": (b"", b"a", b"sized"),
    "slots": (b"pool",),
}


class SideBySide(RuleBasedStateMachine):
    """The core, the model, and what it takes to do the same to both."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.serial = count(1)
        self.state = State(count(1000))
        self.model = Model(frozenset({CALLS, OWNER}))
        self.sessions = [self.new_session(slot) for slot in range(SLOTS)]
        self.ending: set[int] = set()  # slots of sessions that have ended but for what comes next
        self.retired = False  # whether a unit was, which may leave sessions stuck that could go on before
        self.last_token = 0
        self.old_tokens = iter(range(1, 1000))  # of holds from before the daemon began
        self.counted: Counter[tuple[Kind, str]] = Counter()

    def new_session(self, slot: int) -> Session:
        address = b"session:%d" % next(self.serial)
        session: Session
        if slot in PLAIN:
            session = Session(address, since=self.now)
        elif slot == CALLS:
            session = Concurrent(address, "ldlm", since=self.now)
        else:
            session = Owner(address, "dispatch", since=self.now)
            self.model.lives[slot] = math.inf
        self.state.registry.add(session)
        return session

    def table(self, where: Where) -> LockTable:
        return self.state.tables[where[0]]

    def deadline(self, after: float) -> float:
        """A time from now that no other deadline has, so that it is clear what comes first."""
        return math.inf if after == math.inf else self.now + after + next(self.serial) / (1 << 20)

    def acts(self, slot: int) -> bool:
        """Whether the session can do anything: most cannot while they wait, none can after its end."""
        return slot not in self.ending and (slot not in PLAIN or not self.model.waits(slot))

    def actor(self, pick: int) -> int | None:
        """One of the sessions that can do something."""
        actors = [slot for slot in range(SLOTS) if self.acts(slot)]
        return actors[pick % len(actors)] if actors else None

    def their_hold(self, pick: int) -> ModelHold | None:
        """One of the holds of those who can do something."""
        theirs = [hold for hold in self.model.holds if self.acts(hold.slot)]
        return theirs[pick % len(theirs)] if theirs else None

    def new_token(self, token: int) -> int:
        assert token > self.last_token
        self.last_token = token
        return token

    def key(self, slot: int, key: Hashable) -> Hashable:
        return self.sessions[slot] if key is None else key

    def expect_turns(self, events: Sequence[Event], turns: list[Turn]) -> None:
        """The events are just these turns, in this order; and the model learns the tokens."""
        granted = [event for event in events if isinstance(event, Granted)]
        assert len(granted) == len(events)
        assert [event.waiter for event in granted] == [turn.waiter.real for turn in turns]
        for event, turn in zip(granted, turns, strict=True):
            assert event.hold.key == self.key(turn.hold.slot, turn.hold.key)
            assert event.holders == turn.waiter.holders
            turn.hold.token = self.new_token(event.hold.token)
            self.counted[turn.hold.where[0], "granted"] += 1

    # Taking and waiting

    def take(
        self,
        slot: int,
        where: Where,
        wanted: int,
        limit: int,
        key: Hashable = None,
        *,
        overtake: bool = False,
    ) -> bool:
        table, session = self.table(where), self.sessions[slot]
        if self.model.holds_under(where, slot, key):
            return False  # the line language asks before it takes
        in_line = bool(self.model.line(where)) and not overtake
        fits = not in_line and self.model.fits(where, wanted, limit)
        hold = table.take(where[1], session, self.now, core_units(wanted), core_units(limit), key, overtake)
        assert (hold is not None) == fits
        if hold is not None:
            weight = self.model.weight(where, wanted)
            self.model.holds.append(ModelHold(where, slot, key, weight, self.new_token(hold.token)))
        return fits

    def take_or_wait(
        self, slot: int | None, where: Where, wanted: int, limit: int, patience: float, key: Hashable = None
    ) -> None:
        if slot is None or self.take(slot, where, wanted, limit, key):
            return
        if self.model.holds_under(where, slot, key) and wanted < ALL:
            return  # it has what it wants; only a reader that wants the whole is left to the core
        self.wait_for(ModelWaiter(where, slot, key, wanted, limit, self.deadline(patience)))

    def wait_for(self, waiter: ModelWaiter) -> None:
        """Stand in line, and see that it is refused just if it can never be granted."""
        (kind, name), model = waiter.where, self.model
        stuck_before = model.stuck()
        model.waiters.append(waiter)
        answer = self.table(waiter.where).wait(
            name,
            self.sessions[waiter.slot],
            self.now,
            waiter.deadline,
            core_units(waiter.units),
            core_units(waiter.limit),
            waiter.key,
        )
        waiter.real = answer.waiter
        assert answer.waiter.session is self.sessions[waiter.slot]
        if waiter not in model.stuck():
            assert isinstance(answer, Queued)
        elif not stuck_before:
            assert isinstance(answer, Refused)
        if isinstance(answer, Refused):
            assert answer.cycle[0] is self.sessions[waiter.slot]
            self.check_cycle(answer.cycle)
            model.waiters.remove(waiter)
            self.counted[kind, "refused"] += 1

    def check_cycle(self, cycle: tuple[Session, ...]) -> None:
        """Each one waits for a lock that the next one holds (the model still has the refused one in line)."""
        for one, other in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            waits = [waiter for waiter in self.model.waiters if self.sessions[waiter.slot] is one]
            held = [hold for hold in self.model.holds if self.sessions[hold.slot] is other]
            assert any(
                waiter.where == hold.where and (waiter.where != POOL or waiter.key in (ANY, hold.key))
                for waiter in waits
                for hold in held
            )

    def timed(self) -> list[tuple[float, ModelHold | ModelWaiter | int]]:
        """All that has a deadline, soonest first; an owner is its slot."""
        timed: list[ModelHold | ModelWaiter] = [*self.model.holds, *self.model.waiters]
        ends: list[tuple[float, ModelHold | ModelWaiter | int]] = [(one.deadline, one) for one in timed]
        ends += [(deadline, slot) for slot, deadline in self.model.lives.items()]
        return sorted((one for one in ends if one[0] != math.inf), key=lambda one: one[0])

    @invariant()
    def holders_and_waiters_are_as_in_the_model(self) -> None:
        for kind in KINDS:
            for name in NAMES[kind]:
                where, table = (kind, name), self.state.tables[kind]
                held, line = self.model.held(where), self.model.line(where)
                assert [
                    (hold.session, hold.key, hold.token, hold.weight, hold.deadline)
                    for hold in table.holds(name)
                ] == [
                    (
                        self.sessions[one.slot],
                        self.key(one.slot, one.key),
                        one.token,
                        core_units(one.units),
                        one.deadline,
                    )
                    for one in held
                ]
                assert [(one, one.deadline) for one in table.waiters(name)] == [
                    (one.real, one.deadline) for one in line
                ]
                assert table.count(name) == len(held)
                assert table.is_held(name) == bool(held)

    @invariant()
    def tables_tell_what_is_in_them(self) -> None:
        model = self.model
        for kind in KINDS:
            table, there = self.state.tables[kind], model.names(kind)
            assert set(table.names()) == there
            assert len(table) == len(there)
            assert table.held == sum(1 for hold in model.holds if hold.where[0] == kind)
            waiters = [waiter for waiter in model.waiters if waiter.where[0] == kind]
            assert dict(table.lines()) == Counter(waiter.where[1] for waiter in waiters)
            assert table.waiting == len(waiters)
            since = [one.since for session in self.sessions for one in session.waiters if one.table is table]
            oldest = table.oldest_waiter()
            assert (None if oldest is None else oldest.since) == min(since, default=None)
        assert (self.state.held, self.state.waiting) == (len(model.holds), len(model.waiters))

    @invariant()
    def units_are_as_in_the_model(self) -> None:
        table = self.table(POOL)
        assert dict(table.units(b"pool") or {}) == self.model.ranks.get(POOL, {})
        assert table.free_units(b"pool") == len(self.model.free)

    @invariant()
    def sessions_know_what_they_hold_and_wait_for(self) -> None:
        for slot, session in enumerate(self.sessions):
            tokens = [hold.token for hold in self.model.holds if hold.slot == slot]
            assert sorted(hold.token for hold in session.holds) == sorted(tokens)
            mine = [waiter.real for waiter in self.model.waiters if waiter.slot == slot]
            assert list(session.waiters) == mine
        assert len(self.state.registry) == SLOTS
        assert self.state.registry.connections == SLOTS - 1

    @invariant()
    def nobody_waits_for_what_there_is(self) -> None:
        model = self.model
        for waiter in model.waiters:
            first = model.line(waiter.where)[0]
            if waiter.where == POOL:
                assert model.next_unit(POOL, waiter.key) is None
            elif not model.holds_under(first.where, first.slot, first.key):
                assert not model.fits(first.where, first.units, first.limit)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        assert self.retired or not self.model.stuck()

    @invariant()
    def the_next_deadline_is_the_soonest(self) -> None:
        assert self.state.next_deadline() == min((deadline for deadline, _ in self.timed()), default=math.inf)

    @invariant()
    def everything_is_counted(self) -> None:
        for kind in KINDS:
            stats = self.state.tables[kind].stats
            words = {
                "orphans": stats.orphans,
                "expired": stats.expired,
                "refused": stats.refused,
                "timed out": stats.timed_out,
                "cancelled": stats.cancelled,
                "granted": stats.granted_after_wait,
            }
            assert words == {word: self.counted[kind, word] for word in words}


def core_units(units: int) -> int:
    """Units as the core counts them."""
    return WHOLE if units == ALL else units
