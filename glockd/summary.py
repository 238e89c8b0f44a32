"""The state in a few words, for the log and the service manager."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

from glockd.core.names import text

if TYPE_CHECKING:
    from glockd.core.state import State

# So many of the longest lines are told.
MOST = 5


def line(state: State) -> str:
    """One line, as `systemctl status` shows it."""
    return (
        f"{state.registry.connections} connections, {len(state.exclusive)} locks, "
        f"{len(state.shared)} shared locks, {state.waiting} waiting"
    )


def summary(state: State, now: float) -> dict[str, object]:
    """What an operator wants to know first, as fields of a log entry.

    Args:
        now: monotonic seconds.
    """
    tables = state.shown()
    sessions = state.registry.sessions()
    busiest = heapq.nlargest(MOST, sessions, key=lambda session: len(session.holds))
    longest_lines = heapq.nlargest(
        MOST, (item for table in tables for item in table.lines()), key=lambda item: item[1]
    )
    return {
        "connections": dict(Counter(session.transport for session in sessions if session.carried)),
        "locks": {table.kind: len(table) for table in tables},
        "waiting": {table.kind: table.waiting for table in tables},
        "longest_wait": {
            table.kind: round(now - waiter.since, 3)
            for table in tables
            if (waiter := table.oldest_waiter()) is not None
        },
        "longest_lines": {text(name): waiting for name, waiting in longest_lines},
        "most_locks": {text(one.label): len(one.holds) for one in busiest if one.holds},
        "orphans": {table.kind: table.stats.orphans for table in tables},
        "expired": {table.kind: table.stats.expired for table in tables},
        "commands": sum(state.stats.commands.values()),
        "invalid_commands": state.stats.invalid_commands,
    }
