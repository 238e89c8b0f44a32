"""Waits that could never be granted, since nobody they depend on could ever act again.

A session that waits cannot release anything. It can go on once the holds in its way, and in the way of those ahead of
it in line, are gone, but for as many as its limit tolerates. A hold with a lease goes by itself. So the sessions that
wait settle into those that can still go on, starting from the ones that do not wait at all, and the rest: deadlock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glockd.core.deadlines import NEVER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from glockd.core.holds import Hold, Lock, Waiter
    from glockd.core.sessions import Session

# A session with more holds than this is looked for among the contended locks, which are mostly few.
MANY = 64


def find_cycle(waiter: Waiter, contended: Collection[Lock]) -> tuple[Session, ...] | None:
    """Who waits for whom in a circle because of `waiter`, who has just joined a line.

    All who waited before must have been able to go on. Only who is waited for can close a circle, so most waits
    cost no search, however long the lines.

    Args:
        contended: every lock that somebody waits for.

    Returns:
        The sessions of the circle, the waiter's first; or None if it can still be granted.
    """
    session = waiter.session
    if not _is_waited_for(session, contended):
        return None
    stuck = _reachable(session)
    settled = False
    while not settled:
        settled = True
        # Latest found first: those at the far end of a chain are the ones that can go on by themselves.
        for one in reversed(tuple(stuck)):
            if all(_can_go_on(wait, stuck) for wait in one.waiters):
                if one is session:
                    return None
                del stuck[one]
                settled = False
    return _circle(session, stuck)


def _is_waited_for(session: Session, contended: Collection[Lock]) -> bool:
    holds = session.holds
    if type(holds) is not set or len(holds) <= MANY:
        return any(hold.table.waiters(hold.name) for hold in holds)
    return not all(holds.isdisjoint(lock.holds.values()) for lock in contended)


def _blockers(waiter: Waiter) -> Iterator[Hold]:
    """The holds of the lock that stay until their session acts, and whose session waits."""
    for hold in waiter.table.holds(waiter.name):
        if hold.deadline == NEVER and hold.session.waiters:
            yield hold


def _reachable(session: Session) -> dict[Session, None]:
    """Every waiting session that `session` depends on, itself first."""
    found: dict[Session, None] = {session: None}
    todo = [session]
    while todo:
        for waiter in todo.pop().waiters:
            for hold in _blockers(waiter):
                if hold.session not in found:
                    found[hold.session] = None
                    todo.append(hold.session)
    return found


def _can_go_on(waiter: Waiter, stuck: dict[Session, None]) -> bool:
    """Whether `waiter` will have its turn although the sessions in `stuck` do nothing."""
    units = sum(hold.weight for hold in _blockers(waiter) if hold.session in stuck)
    if not units:
        return True
    for ahead in waiter.table.waiters(waiter.name):
        if units + ahead.weight > ahead.limit:
            return False
        if ahead is waiter:
            break
    return True


def _circle(session: Session, stuck: dict[Session, None]) -> tuple[Session, ...]:
    """The shortest way from `session` back to itself."""
    came_from: dict[Session, Session] = {}
    todo = [session]
    for one in todo:
        for waiter in one.waiters:
            for hold in _blockers(waiter):
                if hold.session is session:
                    way = [one]
                    while way[-1] is not session:
                        way.append(came_from[way[-1]])
                    return tuple(reversed(way))
                if hold.session in stuck and hold.session not in came_from:
                    came_from[hold.session] = one
                    todo.append(hold.session)
    raise AssertionError("a deadlock without a circle")
