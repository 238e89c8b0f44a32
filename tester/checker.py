"""Judges a history: every way in which it shows that the server broke a promise.

Knows nothing of the server's code, and blames only what no correct server could have done, whatever the
timing (see `facts`). Each rule is a generator of violations; `RULES` names them all.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from .facts import TIMER_SLACK, Claim, Facts, Hold, Key, names
from .history import History, Operation, Session

_DUMPED = re.compile(r"([^\s:\[\]]+):(\[[^\]]*\]|\S+)")


@dataclass(frozen=True)
class Violation:
    """A broken promise. `rule` is a key of RULES, `at` a time in the history near which to look."""

    rule: str
    what: str
    at: float

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def judge(history: History) -> list[Violation]:
    """All violations that the history proves, in the order of time."""
    facts = Facts(history)
    found = [Violation(rule, what, at) for rule, check in RULES.items() for what, at in check(facts)]
    return sorted(found, key=lambda violation: violation.at)


Finding = tuple[str, float]


def compatible(one: Hold | Claim, two: Hold | Claim) -> bool:
    """Both may hold at once, limits aside."""
    return one.mode == two.mode != "write"


def exclusion(facts: Facts) -> Iterator[Finding]:
    """A writer is alone."""
    for holds in facts.holds.values():
        active: list[Hold] = []
        for hold in sorted(holds, key=lambda hold: hold.since):
            if not hold.since < hold.until:
                continue
            active = [other for other in active if other.until > hold.since]
            for other in active:
                if other.session is not hold.session and not compatible(hold, other):
                    yield f"two at once: {other}; {hold}", hold.since
            active.append(hold)


def fifo(facts: Facts) -> Iterator[Finding]:
    """Nobody is served before one who was in line earlier; a plain `sg` may."""
    for claims in facts.claims.values():
        queue = sorted((claim for claim in claims if claim.seconds > 0), key=lambda claim: claim.queued)
        late = [c for c in claims if c.hold is not None and c.hold.certain and not c.plain_shared]
        late.sort(key=lambda claim: claim.operation.start)
        line: list[Claim] = []
        upcoming = 0
        for claim in late:
            start, end = claim.operation.start, claim.operation.end
            while upcoming < len(queue) and queue[upcoming].queued < start:
                line.append(queue[upcoming])
                upcoming += 1
            line = [first for first in line if first.leaves > start]
            for first in line:
                if first.session is not claim.session and _overtaken(first, claim, end):
                    yield f"overtaken: {first.operation}; then {claim.operation}", end


def _overtaken(first: Claim, second: Claim, end: float) -> bool:
    """`second`, which came later and had its reply at `end`, was certainly granted before `first`."""
    one, two = first.hold, second.hold
    if one is not None and two is not None and one.token and two.token:
        return one.token > two.token
    if first.granted and compatible(first, second):
        return False  # both may have held at once, in whichever order they got it
    return end < first.leaves


def limits(facts: Facts) -> Iterator[Finding]:
    """A `share` is granted only while fewer than its LIMIT hold the lock."""
    for claim in _claims(facts):
        if claim.hold is None or claim.limit == math.inf:
            continue
        operation = claim.operation
        others = facts.certain(claim.key, operation.start, operation.end, claim.session)
        if len(others) >= claim.limit:
            yield f"over the limit: {operation}, while {names(others)}", operation.end
        elif claim.count > claim.limit:
            yield f"over the limit by its own count: {operation}", operation.end


def counts(facts: Facts) -> Iterator[Finding]:
    """The number of holders in a reply is one that can have been true."""
    for claim in _claims(facts):
        if claim.granted and claim.mode != "write":
            yield from _count(facts, claim.operation, claim.key, claim.count, 1)
    for operation in facts.history.operations:
        if operation.line.startswith("si ") and operation.reply is not None:
            key: Key = ("shared", operation.line[3:])
            yield from _count(facts, operation, key, int(operation.reply.partition(" ")[0]), 0)


def _count(facts: Facts, operation: Operation, key: Key, count: int, own: int) -> Iterator[Finding]:
    """`own` is 1 when the asking session is one of the holders, 0 when that is to be found out as well."""
    start, end, asking = operation.start, operation.end, operation.session
    possible = facts.possible(key, start, end)
    if own and any(hold.mode == "write" and hold.session is asking for hold in possible):
        return  # a whole holder that reads again is told 1
    but = {asking.name} if own else set()
    low = len({hold.session.name for hold in facts.certain(key, start, end)} - but) + own
    high = len({hold.session.name for hold in possible} - but) + own
    if not low <= count <= high:
        yield f"wrong count: {operation}; it can only be {low} to {high}", operation.end


def tokens(facts: Facts) -> Iterator[Finding]:
    """Tokens are never used twice, never change, and grow with every grant."""
    owners: dict[int, Hold] = {}
    for operation, hold, token in facts.tokens_read:
        if hold.certain and hold.token != token:
            yield f"the token of one hold changed from {hold.token}: {operation}", operation.end
        if hold.certain and owners.setdefault(token, hold) is not hold:
            yield f"one token for two: {owners[token]}; {hold}; token {token}", operation.end
    known = [hold for holds in facts.holds.values() for hold in holds if hold.token]
    by_end = sorted(known, key=lambda hold: hold.since)
    largest: Hold | None = None
    earlier = 0
    for hold in sorted(known, key=lambda hold: hold.earliest):
        while earlier < len(by_end) and by_end[earlier].since < hold.earliest:
            if largest is None or by_end[earlier].token > largest.token:
                largest = by_end[earlier]
            earlier += 1
        if largest is not None and largest.token >= hold.token:
            two = f"{largest} with token {largest.token}; later {hold} with {hold.token}"
            yield f"a token that is not larger: {two}", hold.since
    yield from _tokens_of_one_lock(facts)


def _tokens_of_one_lock(facts: Facts) -> Iterator[Finding]:
    """Writers hold one after the other, so their tokens grow in that order, however long they waited."""
    for holds in facts.holds.values():
        writers = [hold for hold in holds if hold.token and hold.mode == "write" and hold.since < hold.until]
        writers.sort(key=lambda hold: hold.since)
        for one, two in pairwise(writers):
            if one.token >= two.token:
                yield f"no larger token: {one} with {one.token}; then {two} with {two.token}", two.since


def checks(facts: Facts) -> Iterator[Finding]:
    """`check` tells the truth about a token."""
    owner = {hold.token: hold for holds in facts.holds.values() for hold in holds if hold.token}
    for operation in facts.history.operations:
        if not operation.line.startswith("check ") or operation.reply is None:
            continue
        number, _, name = operation.line.removeprefix("check ").partition(" ")
        hold = owner.get(int(number))
        if hold is None or hold.key != ("exclusive", name):
            continue
        if operation.reply.startswith("0") and hold.covers(operation.start, operation.end):
            yield f"a token in force called stale: {operation}, while {hold}", operation.end
        if operation.reply.startswith("1") and hold.latest < operation.start:
            yield f"a token long gone called current: {operation}, though {hold}", operation.end


def presence(facts: Facts) -> Iterator[Finding]:
    """Who holds a lock keeps it: it is not lost without a lease, a release or an end of the session."""
    for denied in facts.denied:
        yield f"a hold that was lost: {denied.hold}, but {denied.operation}", denied.operation.end
    for operation in facts.history.operations:
        if not operation.line.startswith("i ") or operation.reply is None:
            continue
        key: Key = ("exclusive", operation.line[2:])
        if operation.reply.startswith("0"):
            if holders := facts.certain(key, operation.start, operation.end):
                yield f"called free though held: {operation}, while {names(holders)}", operation.end
        elif not facts.possible(key, operation.start, operation.end):
            yield f"called locked though nobody can hold it: {operation}", operation.end


def refusals(facts: Facts) -> Iterator[Finding]:
    """Nobody is refused a lock that is free, and nobody's time is up too early."""
    for claim in _claims(facts):
        operation = claim.operation
        if not claim.refused("Failure") or operation.end >= claim.session.ending:
            continue
        start = operation.start + claim.seconds - TIMER_SLACK if claim.seconds else operation.start
        if claim.leaves < start:  # cancelled
            start = operation.start
        elif claim.seconds and operation.end < start:
            yield f"its time was not up: {operation}", operation.end
            continue
        if not _excused(facts, claim, start, operation.end):
            yield f"refused though nobody can have been in the way: {operation}", operation.end


def _excused(facts: Facts, claim: Claim, start: float, end: float) -> bool:
    """Somebody may have been in the way of `claim` at some moment of that time."""
    if any(facts.pending(claim.key, start, end, claim.session)):
        return True
    holds = [hold for hold in facts.possible(claim.key, start, end) if hold.claim is not claim]
    if claim.mode == "shared":
        return len({hold.session.name for hold in holds}) >= claim.limit
    return any(hold.session is claim.session or not compatible(hold, claim) for hold in holds)


def liveness(facts: Facts) -> Iterator[Finding]:
    """A lock is not free while somebody waits for it, and every command is answered."""
    for claim in _claims(facts):
        operation = claim.operation
        if claim.seconds and claim.queued < math.inf:
            end = min(claim.over, facts.history.last)
            free_since = _last_in_the_way(facts, claim, claim.queued, end)
            if free_since is not None and facts.noticed(free_since) < end:
                yield f"waited though nobody has been in the way since {free_since:.6f}: {operation}", end
    for session in facts.history.sessions.values():
        for operation in session.silent:
            yield f"never answered: {operation}", operation.start


def _last_in_the_way(facts: Facts, claim: Claim, queued: float, end: float) -> float | None:
    """When the last one in the way of a waiting `claim` was certainly gone; None if never before `end`."""
    if not _excused(facts, claim, end, end):
        blockers = [hold.latest for hold in facts.possible(claim.key, queued, end) if hold.latest < end]
        ahead = [
            min(other.operation.end, facts.ends[other.session.name])
            for other in facts.pending(claim.key, queued, end, claim.session)
        ]
        return max([queued, *blockers, *(at for at in ahead if at < end)])
    return None


def the_dead(facts: Facts) -> Iterator[Finding]:
    """A session that has ended holds nothing and is granted nothing."""
    yield from _granted_after_half_close(facts)
    by_address: dict[str, list[Session]] = defaultdict(list)
    for session in facts.history.sessions.values():
        by_address[session.address].append(session)
    for operation in facts.history.operations:
        if not operation.line.startswith("dump") or not (operation.reply or "").startswith("map["):
            continue
        listed = _dumped(operation)
        for key, addresses in listed.items():
            for address in addresses:
                possible = facts.possible(key, operation.start, operation.end)
                if any(hold.session.address == address for hold in possible):
                    continue
                alive = [s for s in by_address[address] if facts.ends[s.name] >= operation.start]
                if by_address[address] and not any(s.began <= operation.end for s in alive):
                    yield f"held by the dead: {key[1]!r} of {address} in {operation}", operation.end
                elif by_address[address]:
                    yield f"listed but not held: {key[1]!r} of {address} in {operation}", operation.end
        yield from _not_listed(facts, operation, listed)


def _granted_after_half_close(facts: Facts) -> Iterator[Finding]:
    for claim in _claims(facts):
        session = claim.session
        if session.how != "half-closed" or claim.hold is None or claim.operation.end < session.ending:
            continue
        noticed = facts.noticed(session.ending)
        for hold in facts.possible(claim.key, session.ending, noticed, session):
            if not compatible(hold, claim) and hold.covers(session.ending, noticed):
                yield f"granted to the dead: {claim.operation}, though {hold}", claim.operation.end


def _dumped(operation: Operation) -> dict[Key, list[str]]:
    table = "shared" if operation.line == "dump shared" else "exclusive"
    inside = (operation.reply or "").removeprefix("map[").removesuffix("]")
    return {
        ("shared" if table == "shared" else "exclusive", name): who.strip("[]").split()
        for name, who in _DUMPED.findall(inside)
    }


def _not_listed(facts: Facts, operation: Operation, listed: dict[Key, list[str]]) -> Iterator[Finding]:
    wanted = "shared" if operation.line == "dump shared" else "exclusive"
    for key in list(facts.holds):
        if key[0] == wanted:
            for hold in facts.certain(key, operation.start, operation.end):
                if hold.session.address not in listed.get(key, ()):
                    yield f"missing in {operation.line}: {hold}", operation.end


def deadlocks(facts: Facts) -> Iterator[Finding]:
    """A deadlock is refused when there can be one, and only then."""
    for claim in _claims(facts):
        if claim.refused("Deadlock") and not _may_be_a_cycle(facts, claim):
            yield f"no deadlock is possible: {claim.operation}", claim.operation.end
    waiting: dict[str, list[Claim]] = defaultdict(list)
    for claim in _claims(facts):
        if claim.seconds and claim.mode != "shared" and claim.queued < claim.over:
            waiting[claim.session.name].append(claim)
    for claims in waiting.values():
        for claim in claims:
            yield from _certain_cycle(facts, claim, waiting)


def _may_be_a_cycle(facts: Facts, claim: Claim) -> bool:
    start, end = claim.operation.start, claim.operation.end
    in_the_way: dict[str, set[str]] = defaultdict(set)
    for key in list(facts.claims):
        for waiter in facts.pending(key, start, end):
            others = {hold.session.name for hold in facts.possible(key, start, end)}
            others |= {other.session.name for other in facts.pending(key, start, end, waiter.session)}
            in_the_way[waiter.session.name] |= others
    goal, seen, todo = claim.session.name, set[str](), [claim.session.name]
    while todo:
        for session in in_the_way[todo.pop()] - seen:
            if session == goal:
                return True
            seen.add(session)
            todo.append(session)
    return False


def _certain_cycle(facts: Facts, claim: Claim, waiting: dict[str, list[Claim]]) -> Iterator[Finding]:
    """Follow, at the moment when `claim` was certainly in line, who holds what it waits for."""
    at, path, current = claim.queued, [claim], claim
    while len(path) <= len(waiting):
        others = facts.certain(current.key, at, at, current.session)
        holders = [hold for hold in others if not compatible(hold, current)]
        if not holders:
            return
        owner = holders[0].session.name
        if owner == claim.session.name:
            if facts.noticed(at) < min(facts.history.last, *(each.over for each in path)):
                yield f"a deadlock that was not refused: {names(c.operation for c in path)}", at
            return
        following = [each for each in waiting.get(owner, ()) if each.queued <= at < each.over]
        if not following:
            return
        current = following[0]
        path.append(current)


def connections(facts: Facts) -> Iterator[Finding]:
    """`q` counts the connections that there are."""
    if not facts.history.alone:
        return
    sessions = list(facts.history.sessions.values())
    attempts = list(facts.history.attempts.values())
    for operation in facts.history.operations:
        found = re.search(r"(?:^|\n)connections: (\d+)", operation.reply or "")
        if operation.line != "q" or not found:
            continue
        start, end = operation.start, operation.end
        least = sum(s.ending > end and any(o.end < start for o in s.operations) for s in sessions)
        most = sum(s.began <= end and facts.ends[s.name] >= start for s in sessions)
        most += sum(a.began <= end and facts.noticed(a.ended) >= start for a in attempts)
        if not least <= int(found[1]) <= most:
            yield f"{found[1]} connections in q at {end:.6f}; it can only be {least} to {most}", end


def _claims(facts: Facts) -> Iterator[Claim]:
    for claims in facts.claims.values():
        yield from claims


RULES: dict[str, Callable[[Facts], Iterator[Finding]]] = {
    "exclusion": exclusion,
    "fifo": fifo,
    "limits": limits,
    "counts": counts,
    "tokens": tokens,
    "checks": checks,
    "presence": presence,
    "refusals": refusals,
    "liveness": liveness,
    "the dead": the_dead,
    "deadlocks": deadlocks,
    "connections": connections,
}
