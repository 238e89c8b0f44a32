"""What every client must hear, worked out dully from the description of the verbs.

No deadlock search, no graph: whether a wait can ever be granted is found by playing on, with everybody who does not
wait giving everything back, until nothing more happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

ALL = 1000  # units that the holder of a whole lock has: more than all readers together


@dataclass(eq=False)
class Grip:
    who: str
    lock: tuple[str, str]  # table and name
    units: int
    leased: bool = False
    token: int = 0


@dataclass(eq=False)
class Place:
    who: str
    lock: tuple[str, str]
    units: int
    limit: int


@dataclass
class Model:
    """Who holds what, who stands in line, and what each client has been told.

    Commands are those of the line language; a client that waits says nothing but `cancel`.
    """

    grips: list[Grip] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    tokens: Iterator[int] = field(default_factory=lambda: count(1))

    # Looking

    def of(self, lock: tuple[str, str]) -> list[Grip]:
        return [grip for grip in self.grips if grip.lock == lock]

    def line(self, lock: tuple[str, str]) -> list[Place]:
        return [place for place in self.places if place.lock == lock]

    def mine(self, who: str, lock: tuple[str, str]) -> Grip | None:
        return next((grip for grip in self.of(lock) if grip.who == who), None)

    def waits(self, who: str) -> bool:
        return any(place.who == who for place in self.places)

    def fits(self, place: Place) -> bool:
        return sum(grip.units for grip in self.of(place.lock)) + place.units <= place.limit

    def can_ever_be_granted(self, place: Place) -> bool:
        grips, places = list(self.grips), list(self.places)
        while True:
            waiting = {one.who for one in places}
            left = [grip for grip in grips if grip.who in waiting and not grip.leased]
            stays = []
            blocked = set()  # locks whose line does not move
            for one in places:
                used = sum(grip.units for grip in left if grip.lock == one.lock)
                if one.lock in blocked or used + one.units > one.limit:
                    blocked.add(one.lock)
                    stays.append(one)
            if place not in stays:
                return True
            if (left, stays) == (grips, places):
                return False
            grips, places = left, stays

    # Telling

    def tell(self, who: str, reply: str) -> None:
        self.told[who] = self.told.get(who, "") + reply

    def tell_granted(self, who: str, lock: tuple[str, str], units: int) -> None:
        table, name = lock
        if units == ALL:
            self.tell(who, f"1 Lock Get Success: {name}\n")
        elif table == "exclusive":
            self.tell(who, f"{len(self.of(lock))} Lock Get Success: {name}\n")
        else:
            self.tell(who, f"{len(self.of(lock))} Shared Lock Get Success: {name}\n")

    def tell_no(self, who: str, lock: tuple[str, str], word: str = "Failure") -> None:
        table, name = lock
        self.tell(who, f"0 {'Shared ' if table == 'shared' else ''}Lock Get {word}: {name}\n")

    # Doing

    def serve(self, lock: tuple[str, str]) -> None:
        while (line := self.line(lock)) and self.fits(line[0]):
            first = line[0]
            self.places.remove(first)
            self.take(first)

    def take(self, place: Place) -> None:
        self.grips.append(Grip(place.who, place.lock, place.units, token=next(self.tokens)))
        self.tell_granted(place.who, place.lock, place.units)

    def drop(self, grip: Grip) -> None:
        self.grips.remove(grip)
        self.serve(grip.lock)

    def leave(self, place: Place) -> None:
        self.places.remove(place)
        self.serve(place.lock)

    def acquire(self, place: Place, patient: bool) -> str:
        """What becomes of it: granted, queued, refused (a deadlock) or failed."""
        mine = self.mine(place.who, place.lock)
        if mine is not None and (mine.units == ALL or place.units == 1):
            self.tell_granted(place.who, place.lock, mine.units if mine.units == ALL == place.units else 1)
            return "granted"
        if not self.line(place.lock) and self.fits(place):
            self.take(place)
            return "granted"
        if not patient:
            self.tell_no(place.who, place.lock)
            return "failed"
        self.places.append(place)
        if self.can_ever_be_granted(place):
            return "queued"
        self.places.remove(place)
        self.tell_no(place.who, place.lock, "Deadlock")
        return "refused"

    def says(self, who: str, line: str) -> str:
        """Carry out a command; for those that take a lock, what became of it."""
        verb, *words = line.split()
        match verb:
            case "wait" | "read":
                seconds, name = words
                units = ALL if verb == "wait" else 1
                return self.acquire(Place(who, ("exclusive", name), units, ALL), seconds != "0")
            case "share":
                seconds, limit, name = words
                return self.acquire(Place(who, ("shared", name), 1, int(limit)), seconds != "0")
            case "sg":
                lock = ("shared", words[0])
                if self.mine(who, lock) is None:
                    self.grips.append(Grip(who, lock, 1, token=next(self.tokens)))
                self.tell(who, f"{len(self.of(lock))} Shared Lock Get Success: {words[0]}\r\n")
            case "r" | "sr":
                lock = ("shared" if verb == "sr" else "exclusive", words[0])
                grip = self.mine(who, lock)
                shared, end = ("Shared ", "\r\n") if verb == "sr" else ("", "\n")
                yes = "1 {}Lock Release Success" if grip else "0 {}Lock Release Failure"
                self.tell(who, f"{yes.format(shared)}: {words[0]}{end}")
                if grip is not None:
                    self.drop(grip)
            case "lease":
                seconds, name = words
                grip = self.mine(who, ("exclusive", name))
                if grip is not None:
                    grip.leased = seconds != "inf"
                self.tell(
                    who, f"{'1' if grip else '0'} Lock Lease {'Success' if grip else 'Failure'}: {name}\n"
                )
            case "token":
                grip = self.mine(who, ("exclusive", words[0]))
                self.tell(who, f"{grip.token if grip else 0} Lock Token: {words[0]}\n")
            case "cancel":
                place = next((place for place in self.places if place.who == who), None)
                if place is None:
                    self.tell(who, "0 Nothing To Cancel\n")
                else:
                    self.tell_no(who, place.lock)
                    self.tell(who, "1 Cancelled\n")
                    self.leave(place)
            case _:
                raise AssertionError(line)
        return ""

    def dies(self, who: str) -> None:
        """Waits first, then holds: exclusive ones before shared ones, oldest first."""
        for place in [place for place in self.places if place.who == who]:
            self.tell_no(who, place.lock)
            self.leave(place)
        for grip in sorted((g for g in self.grips if g.who == who), key=lambda g: (g.lock[0], g.token)):
            self.drop(grip)
