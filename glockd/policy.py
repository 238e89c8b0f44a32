"""What the operator lets clients do; shared by all conversations, so that a reload reaches them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

UNLIMITED = 1 << 29  # more than fits into memory; compares faster than infinity

# Below `max_locks` by this many, each get is checked against it. Not more can be got between two looks.
MARGIN = 3_000_000


@dataclass(slots=True)
class Policy:
    """The switches and limits that conversations obey."""

    registry: bool = True  # iam, who
    dump: bool = True  # d, sd, dump, who, explain, history, find
    admin: bool = False  # kick, on the Unix socket
    secrets: tuple[bytes, ...] = ()  # any of them is what auth wants to hear first; none: no auth needed
    dead_peer_seconds: int = 30  # what bound answers
    history: bool = False  # history
    verbose: bool = False  # report names and invalid lines to the daemon
    # What to add to monotonic seconds for those since 1970; asked for when somebody looks.
    wall_offset: Callable[[], float] = lambda: 0.0
    max_locks: int = UNLIMITED  # holds of all sessions
    max_session_locks: int = UNLIMITED  # holds of one session
    max_waiters: int = UNLIMITED  # sessions in line for all locks
    max_lock_waiters: int = UNLIMITED  # sessions in line for one lock
    max_name: int = 0  # bytes in a lock's name; 0: only the line is limited
    # A session with fewer holds needs no check against the limits above. One comparison on the hot path.
    unchecked: int = UNLIMITED
    # What was refused at a limit, by the limit's name.
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.consider(0)

    def consider(self, held: int) -> None:
        """Decide how closely gets are checked; to be called every second, and when a limit changes.

        Args:
            held: holds of all sessions.
        """
        self.unchecked = self.max_session_locks if held < self.max_locks - MARGIN else 0
