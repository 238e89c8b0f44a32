"""From a history to facts: who certainly held what when, who possibly did, who was certainly in line.

A client sees a command begin and its reply come; in between, at one unknown moment, the server carried it
out. So each hold has two intervals: the time in which it **certainly** lasted (from the reply that granted
it to the moment its release was about to be sent) and the time in which it **possibly** did (from the
request to the release's reply, or until the server must have noticed that the session has ended). Rules
that say "this must not be" are judged on the certain ones, excuses on the possible ones: a correct server
is never blamed.
"""

from __future__ import annotations

import bisect
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .history import History, Operation, Session
from .timeline import Timeline

TIMER_SLACK = 0.1  # seconds: a server may read its clock but once in a turn of its event loop
Table = Literal["exclusive", "shared"]
Mode = Literal["write", "read", "shared"]
Key = tuple[Table, str]

_GRANTED = re.compile(r"([1-9]\d*) (?:Shared )?Lock Get Success: ")
_ACQUIRING = re.compile(
    r"(?:(?P<g>g)|(?P<sg>sg)|(?P<wait>wait|read) (?P<s>\S+)|share (?P<share>\S+) (?P<limit>\d+)) (?P<name>.*)"
)


@dataclass(eq=False)
class Claim:
    """One request for a lock."""

    operation: Operation
    key: Key
    mode: Mode
    seconds: float  # how long it may wait
    limit: float  # how many holders it accepts, itself included
    queued: float = math.inf  # certainly in line, or through it, from here on
    leaves: float = math.inf  # not before this did it stop waiting and holding
    hold: Hold | None = None  # what it was granted; None also for a re-get

    @property
    def session(self) -> Session:
        return self.operation.session

    @property
    def granted(self) -> bool:
        return self.operation.reply is not None and bool(_GRANTED.match(self.operation.reply))

    @property
    def count(self) -> int:
        """The number of holders that the reply tells."""
        found = _GRANTED.match(self.operation.reply or "")
        return int(found[1]) if found else 0

    @property
    def over(self) -> float:
        """It was answered then, or its session began to end."""
        return min(self.operation.end, self.session.ending)

    @property
    def plain_shared(self) -> bool:
        """`sg`: it never waits and may pass those who do."""
        return self.operation.line.startswith("sg ")

    def refused(self, why: str) -> bool:
        """It was answered no, for that reason: `Failure` or `Deadlock`."""
        reply = self.operation.reply or ""
        return reply.startswith("0 ") and f" {why}: " in reply


@dataclass(eq=False)
class Hold:
    """A lock in somebody's hands. `since` to `until` certainly, `earliest` to `latest` possibly."""

    session: Session
    key: Key
    mode: Mode
    earliest: float
    since: float
    until: float = math.inf
    latest: float = math.inf
    token: int = 0
    certain: bool = True  # it is known to be one hold and not two, one after the other
    lease_earliest: float = math.inf  # its lease cannot have run out before this
    claim: Claim | None = None

    def covers(self, start: float, end: float) -> bool:
        """It was certainly held all that time."""
        return self.since <= start and self.until >= end

    def __str__(self) -> str:
        end = f"{self.until:.6f}" if self.until < math.inf else "the end"
        return f"{self.session.name} held {self.key[1]!r} ({self.mode}) from {self.since:.6f} to {end}"


@dataclass
class Denied:
    """A session was told that it does not hold what it certainly held."""

    operation: Operation
    hold: Hold


@dataclass
class Facts:
    """All that follows from a history."""

    history: History
    claims: dict[Key, list[Claim]] = field(default_factory=lambda: defaultdict(list))
    holds: dict[Key, list[Hold]] = field(default_factory=lambda: defaultdict(list))
    denied: list[Denied] = field(default_factory=list)
    tokens_read: list[tuple[Operation, Hold, int]] = field(default_factory=list)
    ends: dict[str, float] = field(default_factory=dict)  # by when the server has noticed a session's end

    def __post_init__(self) -> None:
        answered = sorted((op.start, op.end) for op in self.history.operations if op.reply is not None)
        self._starts = [start for start, _ in answered]
        self._ends = [math.inf] * (len(answered) + 1)  # of all operations from here on, the first end
        for i in range(len(answered) - 1, -1, -1):
            self._ends[i] = min(answered[i][1], self._ends[i + 1])
        for session in self.history.sessions.values():
            self.ends[session.name] = self.noticed(session.ended)
        for session in self.history.sessions.values():
            _Session(self, session).read()
        last = self.history.last
        self._possible: dict[Key, Timeline[Hold]] = defaultdict(lambda: Timeline(last))
        self._pending: dict[Key, Timeline[Claim]] = defaultdict(lambda: Timeline(last))
        for key, holds in self.holds.items():
            for hold in holds:
                self._possible[key].add(hold.earliest, hold.latest, hold)
        for key, claims in self.claims.items():
            for claim in claims:
                until = min(claim.operation.end, self.ends[claim.session.name])
                self._pending[key].add(claim.operation.start, until, claim)

    def fence(self, at: float, rounds: int) -> float:
        """By when the server has dealt with all that had been sent to it at `at`.

        A command begun later and answered shows a turn of the server's loop; what had arrived before that
        command is dealt with in that turn or an earlier one, so two such round trips, one after the other,
        are enough. A network that loses packets delivers late what it delivers at all: `transit`.
        """
        at += self.history.transit
        for _ in range(rounds):
            if at == math.inf:
                break
            at = self._ends[bisect.bisect_right(self._starts, at)]
        return at

    def noticed(self, ended: float) -> float:
        """By when the server has noticed that a connection ended, and has done all that follows from it."""
        return max(self.fence(ended, 4), ended + self.history.grace)

    def possible(self, key: Key, start: float, end: float, but: Session | None = None) -> list[Hold]:
        """Holds of others than `but` that may have been in force at some moment of that time."""
        return [hold for hold in self._possible[key].touching(start, end) if hold.session is not but]

    def certain(self, key: Key, start: float, end: float, but: Session | None = None) -> list[Hold]:
        """Holds of others than `but` that were in force all that time."""
        return [hold for hold in self.possible(key, start, start, but) if hold.covers(start, end)]

    def pending(self, key: Key, start: float, end: float, but: Session | None = None) -> list[Claim]:
        """Requests of others than `but` that may have been in line at some moment of that time."""
        return [claim for claim in self._pending[key].touching(start, end) if claim.session is not but]


class _Session:
    """Reads what one session did, in its order."""

    def __init__(self, facts: Facts, session: Session) -> None:
        self.facts, self.session = facts, session
        self.held: dict[Key, Hold] = {}

    def read(self) -> None:
        for operation in self.session.operations:
            verb, _, argument = operation.line.partition(" ")
            if found := _ACQUIRING.fullmatch(operation.line):
                self._claim(operation, found)
            elif verb in ("r", "sr"):
                self._release(operation, ("exclusive" if verb == "r" else "shared", argument))
            elif verb == "lease":
                seconds, _, name = argument.partition(" ")
                self._lease(operation, ("exclusive", name), float(seconds))
            elif verb == "token":
                self._token(operation, ("exclusive", argument))
        for hold in self.held.values():
            self._end(hold, self.session.ending, self.facts.ends[self.session.name])

    def _claim(self, operation: Operation, found: re.Match[str]) -> None:
        seconds = float(found["s"] or found["share"] or 0)
        mode: Mode = "shared" if found["sg"] or found["share"] else "write"
        if found["wait"] == "read":
            mode = "read"
        key: Key = ("shared" if mode == "shared" else "exclusive", found["name"])
        claim = Claim(operation, key, mode, seconds, float(found["limit"] or math.inf))
        self.facts.claims[key].append(claim)
        claim.queued = self.facts.fence(operation.sent, 2)
        claim.leaves = min(self.session.ending, self._gives_up(claim))
        if operation.reply is None:  # it may have been granted, unseen
            self._keep(claim, since=math.inf)
        elif claim.granted:
            self._granted(claim)
        elif not claim.refused("Failure"):
            claim.leaves = -math.inf  # it never was in line

    def _gives_up(self, claim: Claim) -> float:
        """Not before this does it stop waiting of its own accord: its time is up, or `cancel` was sent."""
        operation = claim.operation
        meanwhile = (op for op in self.session.operations if operation.start <= op.start < operation.end)
        cancelled = min((op.start for op in meanwhile if op.line == "cancel"), default=math.inf)
        return min(operation.start + claim.seconds - TIMER_SLACK, cancelled)

    def _granted(self, claim: Claim) -> None:
        hold = self.held.get(claim.key)
        if hold is None:
            self._keep(claim, since=claim.operation.end)
            return
        claim.leaves = -math.inf  # a re-get: it never was in line
        if claim.operation.end >= hold.lease_earliest:
            # Or the lease had run out, and this is another grant. Who can tell? From now on nothing is
            # certain.
            hold.until, hold.certain = min(hold.until, hold.lease_earliest), False

    def _keep(self, claim: Claim, since: float) -> None:
        start = claim.operation.start
        hold = Hold(self.session, claim.key, claim.mode, start, since, certain=claim.granted, claim=claim)
        if claim.granted:
            self.held[claim.key] = hold
            claim.hold = hold
            self.facts.holds[claim.key].append(hold)
            return
        hold.until, hold.latest = -math.inf, self.facts.ends[self.session.name]
        self.facts.holds[claim.key].append(hold)

    def _end(self, hold: Hold, until: float, latest: float) -> None:
        hold.until = min(hold.until, until, hold.lease_earliest, self.session.ending)
        hold.latest = min(hold.latest, latest)
        if hold.claim is not None:
            hold.claim.leaves = hold.until

    def _release(self, operation: Operation, key: Key) -> None:
        hold = self.held.get(key)
        if hold is None:
            return
        if operation.reply is None:
            hold.until = min(hold.until, operation.start)
        elif operation.reply.startswith("1 "):
            self._end(self.held.pop(key), operation.start, operation.end)
        else:
            self._gone(operation, key, hold)

    def _gone(self, operation: Operation, key: Key, hold: Hold) -> None:
        """The server says that `hold` is over; only its lease can have done that."""
        if hold.certain and operation.end < hold.lease_earliest and operation.end < self.session.ending:
            self.facts.denied.append(Denied(operation, hold))
        self._end(self.held.pop(key), hold.lease_earliest, operation.end)

    def _lease(self, operation: Operation, key: Key, seconds: float) -> None:
        hold = self.held.get(key)
        if hold is None:
            return
        earliest = operation.start + seconds - TIMER_SLACK
        if operation.reply is None:
            hold.lease_earliest = min(hold.lease_earliest, earliest)
        elif operation.reply.startswith("1 "):
            # Until this reply came, an earlier lease may have run out; as it did not, only the new one
            # counts.
            hold.lease_earliest = earliest
        else:
            self._gone(operation, key, hold)

    def _token(self, operation: Operation, key: Key) -> None:
        hold = self.held.get(key)
        if hold is None or operation.reply is None:
            return
        number = operation.reply.partition(" ")[0]
        if number == "0":
            self._gone(operation, key, hold)
        elif number.isdigit():
            self.facts.tokens_read.append((operation, hold, int(number)))
            if hold.certain and not hold.token:
                hold.token = int(number)


def names(items: Iterable[object]) -> str:
    """A few things, for a report."""
    shown = [str(item) for item in items]
    return "; ".join(shown[:4]) + (f"; and {len(shown) - 4} more" if len(shown) > 4 else "")
