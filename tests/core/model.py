"""A dull model of the core: lists of who holds and who waits, gone through from the front each time."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from glockd.core.holds import Waiter
from glockd.core.units import ANY

Kind = Literal["exclusive", "shared", "slots"]
KINDS: tuple[Kind, ...] = ("exclusive", "shared", "slots")
ALL = 10**6  # the units of the whole: more than all others together

Where = tuple[Kind, bytes]


@dataclass(eq=False)
class ModelHold:
    where: Where
    slot: int
    key: Hashable  # None: the session itself
    units: int
    token: int = 0
    deadline: float = math.inf


@dataclass(eq=False)
class ModelWaiter:
    where: Where
    slot: int
    key: Hashable
    units: int
    limit: int
    deadline: float
    real: Waiter | None = None
    holders: int = 0  # how many held the lock when its turn came, itself included


@dataclass
class Turn:
    """A waiter that has its hold now; its token is still to be told."""

    waiter: ModelWaiter
    hold: ModelHold


@dataclass
class Model:
    """Who holds and who waits, each in order; what units there are.

    Args:
        free_to_act: the slots of sessions that can act while they wait.
    """

    free_to_act: frozenset[int]
    holds: list[ModelHold] = field(default_factory=list)
    waiters: list[ModelWaiter] = field(default_factory=list)
    sizes: dict[Where, int] = field(default_factory=dict)  # of locks that have one of their own
    ranks: dict[Where, dict[int, float]] = field(default_factory=dict)  # of units that are not retired
    free: list[tuple[Where, int]] = field(
        default_factory=list
    )  # units, those first that have been free longest
    lives: dict[int, float] = field(default_factory=dict)  # until when owners live, by slot

    def held(self, where: Where) -> list[ModelHold]:
        return [hold for hold in self.holds if hold.where == where]

    def line(self, where: Where) -> list[ModelWaiter]:
        return [waiter for waiter in self.waiters if waiter.where == where]

    def names(self, kind: Kind) -> set[bytes]:
        """The names that are held, waited for, or have units."""
        pools = {where for where, units in self.ranks.items() if units}
        used = {hold.where for hold in self.holds} | {waiter.where for waiter in self.waiters} | pools
        return {name for its, name in used if its == kind}

    def holds_under(self, where: Where, slot: int, key: Hashable) -> ModelHold | None:
        """The hold under a key; the session's own key is its alone."""
        for hold in self.held(where):
            if hold.key == key and (key is not None or hold.slot == slot):
                return hold
        return None

    def size(self, where: Where) -> int:
        return self.sizes.get(where, ALL)

    def weight(self, where: Where, units: int) -> int:
        """The whole is the whole; of anything else there is no more than the size."""
        return units if units == ALL else min(units, self.size(where))

    def fits(self, where: Where, units: int, limit: int) -> bool:
        used = sum(hold.units for hold in self.held(where))
        return not used or used + self.weight(where, units) <= min(limit, self.size(where))

    def waits(self, slot: int) -> bool:
        return any(waiter.slot == slot for waiter in self.waiters)

    def serve(self, where: Where) -> list[Turn]:
        """Those in front who fit now, moved from the line to the holds."""
        served = []
        while line := self.line(where):
            first = line[0]
            taken = self.holds_under(where, first.slot, first.key) is not None
            if taken or not self.fits(where, first.units, first.limit):
                break
            served.append(self.turn(first, first.key, self.weight(where, first.units)))
        self.forget_size(where)
        return served

    def turn(self, waiter: ModelWaiter, key: Hashable, units: int) -> Turn:
        self.waiters.remove(waiter)
        hold = ModelHold(waiter.where, waiter.slot, key, units)
        self.holds.append(hold)
        waiter.holders = len(self.held(waiter.where))
        return Turn(waiter, hold)

    def forget_size(self, where: Where) -> None:
        if not self.held(where):
            self.sizes.pop(where, None)

    def give_back(self, hold: ModelHold) -> list[Turn]:
        self.holds.remove(hold)
        if hold.where[0] != "slots":
            return self.serve(hold.where)
        assert isinstance(hold.key, int)
        return self.pass_on(hold.where, hold.key)

    def leave(self, waiter: ModelWaiter) -> list[Turn]:
        self.waiters.remove(waiter)
        return [] if waiter.where[0] == "slots" else self.serve(waiter.where)

    # Pools

    def pass_on(self, where: Where, unit: int) -> list[Turn]:
        """A unit comes free, unless it is retired: who has waited longest of those who would take it?"""
        if unit not in self.ranks.get(where, {}):
            return []
        for waiter in self.line(where):
            if waiter.key in (ANY, unit):
                return [self.turn(waiter, unit, 1)]
        self.free.append((where, unit))
        return []

    def offer(self, where: Where, unit: int, rank: float) -> list[Turn]:
        self.ranks.setdefault(where, {})[unit] = rank
        if self.holds_under(where, 0, unit) is not None:
            return []
        if (where, unit) in self.free:
            self.free.remove((where, unit))
        return self.pass_on(where, unit)

    def retire(self, where: Where, unit: int) -> bool:
        if (where, unit) in self.free:
            self.free.remove((where, unit))
        return self.ranks.get(where, {}).pop(unit, None) is not None

    def next_unit(self, where: Where, wanted: Hashable) -> int | None:
        """The free unit that is wanted; for ANY the one of the lowest rank that has been free longest."""
        free = [unit for its, unit in self.free if its == where and wanted in (ANY, unit)]
        return min(free, key=lambda unit: self.ranks[where][unit], default=None)

    # Deadlocks

    def stuck(self) -> list[ModelWaiter]:
        """Who can never have a turn. Play on: who can act gives everything back and leaves every line, leases end.

        In pools, units come back though they are retired, and what nobody holds may be offered by anybody.
        """
        holds = [hold for hold in self.holds if hold.slot not in self.free_to_act]
        line = [one for one in self.waiters if one.slot not in self.free_to_act]
        play = Model(frozenset(), holds, line, dict(self.sizes))
        going_on = True
        while going_on:
            gone = [hold for hold in play.holds if not play.waits(hold.slot) or hold.deadline != math.inf]
            play.holds = [hold for hold in play.holds if hold not in gone]
            moved = bool(gone)
            for one in list(play.waiters):
                if one.where[0] == "slots" and self._finds_a_unit(one, play):
                    play.waiters.remove(one)
                    moved = True
            for where in {one.where for one in play.waiters if one.where[0] != "slots"}:
                moved |= bool(play.serve(where))
            going_on = moved
        return play.waiters

    def _finds_a_unit(self, waiter: ModelWaiter, play: Model) -> bool:
        """Whether a unit that it would take has come free in the play, or is not held at all."""
        if waiter.key is ANY:
            return len(play.held(waiter.where)) < len(self.held(waiter.where)) or not self.held(waiter.where)
        return play.holds_under(waiter.where, 0, waiter.key) is None
