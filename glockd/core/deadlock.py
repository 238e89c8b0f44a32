"""Waits that could never be granted, since nobody they depend on could ever act again.

A session that waits cannot release anything. It can go on once the holds in its way, and in the way of those ahead of
it in line, are gone, but for as many as its limit tolerates; who waits for any unit of a pool, once one of all the
holds there is gone. A hold with a lease goes by itself, and a session that is `concurrent` may give back what it holds,
or leave a line, while it waits. So the sessions that wait settle into those that can still go on, starting from the
ones that do not wait at all, and the rest: deadlock.

Units that are retired may leave sessions stuck that could go on when they began to wait. A new unit may help them, so
who has to wait for them is not refused.
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

    Only who is waited for can close a circle, so most waits cost no search, however long the lines.

    Args:
        contended: every lock that somebody waits for.

    Returns:
        The sessions of the circle, the waiter's first; or None if it closes none.
    """
    session = waiter.session
    if session.concurrent or not _is_waited_for(session, contended):
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
    """The holds in the waiter's way that stay until their session acts, and whose session waits."""
    for hold in waiter.table.in_the_way(waiter):
        if hold.deadline == NEVER and hold.session.waiters and not hold.session.concurrent:
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
    weights = [hold.weight for hold in _blockers(waiter) if hold.session in stuck]
    if not weights:
        return True
    table, name = waiter.table, waiter.name
    if table.units(name) is not None:
        # Those ahead give back what they get: a unit that comes free at all comes to all who wait for it.
        return len(weights) < len(table.in_the_way(waiter))
    units = sum(weights)
    for ahead in table.waiters(name):
        if units + ahead.weight > ahead.limit and not ahead.session.concurrent:
            return False
        if ahead is waiter:
            break
    return True


def _circle(session: Session, stuck: dict[Session, None]) -> tuple[Session, ...] | None:
    """The shortest way from `session` back to itself, if there is one."""
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
    return None
