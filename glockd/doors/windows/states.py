"""What a run may be, and what it may become (the specification, section 8).

| state | set by | what holds then |
|---|---|---|
| pending | it was made | its window is taken; it begins at its start |
| running | its start has come | it holds its resource, and ends with its lease |
| finished | its time was up | its end is when it ended; its result is a success |
| failed | it could not be carried out | likewise; its result is a failure |
| overdue | running 30 s behind its end | |
| missed | pending 30 s behind its start, as when the daemon was down | |
| nonstart | there was no room for it | it takes no window |
| canceled | its task was deleted while it was on | its window is free; nothing changes any more |

Never left, and only for those who know them: scheduling, on-deck, cleanup, preempted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCHEDULING: Final = "scheduling"
PENDING: Final = "pending"
ON_DECK: Final = "on-deck"
RUNNING: Final = "running"
CLEANUP: Final = "cleanup"
FINISHED: Final = "finished"
OVERDUE: Final = "overdue"
MISSED: Final = "missed"
FAILED: Final = "failed"
PREEMPTED: Final = "preempted"
NONSTART: Final = "nonstart"
CANCELED: Final = "canceled"

# How each is shown to people.
DISPLAY: Final[Mapping[str, str]] = {
    SCHEDULING: "Scheduling",
    PENDING: "Pending",
    ON_DECK: "On Deck",
    RUNNING: "Running",
    CLEANUP: "Cleanup",
    FINISHED: "Finished",
    OVERDUE: "Overdue",
    MISSED: "Missed",
    FAILED: "Failed",
    PREEMPTED: "Preempted",
    NONSTART: "Non-Starter",
    CANCELED: "Canceled",
}

# Nothing is to be waited for any more.
OVER: Final = frozenset({CLEANUP, FINISHED, OVERDUE, MISSED, FAILED, PREEMPTED, NONSTART, CANCELED})

# A run that is one of these is still to come, or was to.
UPCOMING: Final = frozenset({PENDING, ON_DECK, RUNNING, NONSTART})

# Those that have a result.
WITH_RESULT: Final = frozenset({FINISHED, FAILED})

LEGAL: Final[Mapping[str, frozenset[str]]] = {
    SCHEDULING: frozenset({PENDING, PREEMPTED, CANCELED, NONSTART}),
    PENDING: frozenset({ON_DECK, RUNNING, MISSED, FAILED, PREEMPTED, CANCELED, NONSTART}),
    ON_DECK: frozenset({RUNNING, OVERDUE, MISSED, FAILED, CANCELED, PREEMPTED}),
    RUNNING: frozenset({CLEANUP, FINISHED, OVERDUE, MISSED, FAILED, PREEMPTED, CANCELED}),
    CLEANUP: frozenset({FINISHED, FAILED}),
    FINISHED: frozenset({FAILED}),
    OVERDUE: frozenset({FINISHED, MISSED, FAILED, CANCELED, PREEMPTED}),
    MISSED: frozenset({FAILED}),
    FAILED: frozenset(),
    PREEMPTED: frozenset(),
    NONSTART: frozenset({CANCELED}),
    CANCELED: frozenset(),
}


def may_become(state: str, new: str) -> bool:
    """Whether a run is to become another; False for one that was canceled, which stays so whatever is said.

    Raises:
        ValueError: a run of that state never becomes that.
    """
    if state == CANCELED:
        return False
    if new not in LEGAL[state]:
        raise ValueError(f"a run that is {state} cannot become {new}")
    return True
