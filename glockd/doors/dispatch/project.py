"""A project and its files: what is known of them besides who works on which.

A handle is a unit of the pool of its project. That it is reserved, by whom and until when, is known by the hold of that
unit and nowhere else; `ended` is None until it is done or failed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from glockd.core.sessions import Owner

DOOR: Final = "dispatch"

ACTIVE: Final = "active"
DONE: Final = "done"
FAILED: Final = "failed"
STOPPED: Final = "cancelled"
ABANDONED: Final = "abandoned"

INITIAL: Final = "initial"
RESERVED: Final = "reserved"

Attributes: TypeAlias = dict[str, Any]

# Files of one project, at most; above the largest position, for `Handle.rank`.
MOST_FILES = 100_000
POSITIONS = 1 << 17


class Moment(NamedTuple):
    """A point in time, on both clocks."""

    now: float  # monotonic seconds
    wall: float  # seconds since 1970


class Handle:
    """A file of a project.

    Args:
        namespace, unit: of its name; the unit is the DID in UTF-8.
        position: in the list of the project's files, 0 up.
        attributes: None for none. Never changed in place, since copies share it.
    """

    __slots__ = ("attempts", "attributes", "ended", "namespace", "position", "reserved_since", "unit")

    def __init__(self, namespace: str, unit: bytes, position: int, attributes: Attributes | None) -> None:
        self.namespace = namespace
        self.unit = unit
        self.position = position
        self.attributes = attributes
        self.attempts = 0
        self.ended: str | None = None  # DONE or FAILED
        self.reserved_since: float | None = None  # seconds since 1970; stays when it is given back

    @property
    def name(self) -> str:
        """Its name, without the namespace."""
        return self.unit.decode()[len(self.namespace) + 1 :]

    @property
    def rank(self) -> int:
        """Its place among free files: fewest attempts first, then as listed."""
        return self.attempts * POSITIONS + self.position

    def count_timeout(self) -> None:
        """Note among its attributes that a worker has kept it too long."""
        before = (self.attributes or {}).get("timeouts")
        number = before if isinstance(before, int) and not isinstance(before, bool) else 0
        self.attributes = {**(self.attributes or {}), "timeouts": number + 1}


class Project(Owner):
    """A list of files to be worked on.

    It is an owner that holds nothing: its deadline is when it counts as abandoned.

    Args:
        number: its id, from 1 up.
        owner: the user who made it.
        at: when that was.
    """

    __slots__ = (
        "attributes",
        "created",
        "ended",
        "failures",
        "handles",
        "idle_timeout",
        "number",
        "owner",
        "pool",
        "query",
        "roles",
        "state",
        "successes",
        "used",
        "users",
        "worker_timeout",
    )

    def __init__(self, number: int, owner: str, at: Moment) -> None:
        super().__init__(b"project:%d" % number, DOOR, at.now)
        self.number = number
        self.pool = b"#%d" % number
        self.owner = owner
        self.state: str = ACTIVE
        self.attributes: Attributes = {}
        self.created = at.wall
        self.ended: float | None = None  # seconds since 1970
        self.used = at.now  # when it was last worked on
        self.query: str | None = None
        self.worker_timeout: float | None = None  # seconds
        self.idle_timeout: float | None = None
        self.users: tuple[str, ...] = ()
        self.roles: tuple[str, ...] = ()
        self.handles: dict[bytes, Handle] = {}  # by unit, in order
        self.successes = 0  # how many handles are done
        self.failures = 0  # how many have failed

    @property
    def unfinished(self) -> bool:
        """Whether a handle is neither done nor failed."""
        return self.successes + self.failures < len(self.handles)

    @property
    def active(self) -> bool:
        """Whether there is anything to be worked on."""
        return self.state == ACTIVE and self.unfinished

    @property
    def virtual(self) -> bool:
        """Whether its files need no replicas."""
        return bool(self.attributes.get("virtual"))

    @property
    def fails_late(self) -> bool:
        """Whether a file that a worker keeps too long has failed."""
        return bool(self.attributes.get("retry_on_timeout", "True") != "True")

    def close(self, handle: Handle, how: str) -> None:
        """Let a handle that has not ended be DONE or FAILED."""
        handle.ended = how
        self.successes += how == DONE
        self.failures += how == FAILED

    def reopen(self, handle: Handle) -> None:
        """Let a handle be as if it had not ended."""
        self.successes -= handle.ended == DONE
        self.failures -= handle.ended == FAILED
        handle.ended = None


class Worker(Owner):
    """Whoever works on files under one worker id, for as long as they have any or wait for one.

    Args:
        name: the worker id, any text.
        now: monotonic seconds.
    """

    __slots__ = ("worker_id",)

    def __init__(self, name: str, now: float) -> None:
        super().__init__(b"worker:" + name.encode("utf-8", "surrogatepass"), DOOR, now)
        self.worker_id = name
