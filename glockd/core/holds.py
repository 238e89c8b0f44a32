"""What a session has to do with a lock: it holds it, or it waits for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, final

from glockd.core.deadlines import NEVER

if TYPE_CHECKING:
    from glockd.core.sessions import Session
    from glockd.core.tables import Table
    from glockd.core.units import Units

# The size of a lock without bounds, in units, and the weight of a hold of the whole: nothing fits beside it. More units
# than that would not fit into memory, and numbers below 2**30 compare fastest.
WHOLE = 1 << 29


@final
class Hold:
    """One session's grip on a lock.

    `key` tells the holds of one lock apart. The line language uses the session itself, so it has one hold a session;
    a door that lets a session hold several units brings keys of its own. In a pool the key is the unit.
    """

    __slots__ = ("deadline", "key", "name", "session", "since", "table", "token", "weight")

    def __init__(
        self,
        table: Table,
        name: bytes,
        key: Hashable,
        session: Session,
        weight: int,
        token: int,
        since: float,
    ) -> None:
        self.table = table
        self.name = name
        self.key = key
        self.session = session
        self.weight = weight  # in units, or WHOLE
        self.token = token
        self.since = since  # monotonic seconds
        self.deadline = NEVER  # the end of its lease


@final
class Waiter:
    """A session's place in line for a lock."""

    __slots__ = ("deadline", "key", "limit", "name", "session", "since", "table", "weight")

    def __init__(
        self,
        table: Table,
        name: bytes,
        key: Hashable,
        session: Session,
        weight: int,
        limit: int,
        since: float,
    ) -> None:
        self.table = table
        self.name = name
        self.key = key  # that of the hold to come; in a pool the unit that is wanted, or ANY
        self.session = session
        self.weight = weight
        self.limit = limit  # how many units may be held, its own included, when its turn comes
        self.since = since
        self.deadline = NEVER  # until when it waits


@final
class Lock:
    """A lock that more than one session has had to do with since it was free, one with a size, or a pool.

    One that is just held is its `Hold` and nothing else.
    """

    __slots__ = ("holds", "name", "size", "table", "units", "used", "waiters")

    def __init__(self, table: Table, name: bytes, size: int = WHOLE, units: Units | None = None) -> None:
        self.table = table
        self.name = name
        self.size = size  # how many units may be held; WHOLE if it has no size of its own
        self.units = units  # of a pool
        self.used = 0  # the sum of the holds' weights, never above size but for a hold of the whole
        self.holds: dict[Hashable, Hold] = {}  # in the order in which they were granted
        # First come, first served. Never empty of holds while somebody waits, and the first in line does not fit.
        # In a pool: nobody waits for a unit that is free, and whoever wants a certain one holds up nobody.
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
