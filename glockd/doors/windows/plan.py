"""When runs of a task are wanted: what its schedule says (the specification, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glockd.doors.windows.cron import Cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When runs are wanted; all times are whole seconds since 1970, all lengths whole seconds.

    Args:
        start: no earlier; None: as soon as can be.
        slip: by how much later one may be.
        sliprand: whether it is somewhere within the slip, and not at its first gap.
        repeat: from one to the next; None: that is not said.
        cron: when else they are wanted.
        until: none begins then or later; None: that is not said.
        max_runs: how many at the most; None: that is not said.
    """

    start: int | None = None
    slip: int = 0
    sliprand: bool = False
    repeat: int | None = None
    cron: Cron | None = None
    until: int | None = None
    max_runs: int | None = None

    @property
    def repeats(self) -> bool:
        """Whether there is more than one run."""
        return self.repeat is not None or self.cron is not None

    @property
    def most(self) -> int | None:
        """How many runs there are at the most; None: no number of them is."""
        return self.max_runs if self.repeats else 1

    def wanted(self, soonest: int, now: int, first: int | None, latest: int | None) -> int | None:
        """When the next run is wanted.

        Args:
            soonest: when one may begin that is made now.
            now: the moment.
            first: when the first run was, if there was one.
            latest: when the latest one was.

        Returns:
            The moment; None if there is none any more.
        """
        if latest is None and self.cron is None:
            wanted = max(self.start or 0, soonest)
        elif not self.repeats:
            return None
        else:
            wanted = min(self._repeated(now, soonest, first, latest), self._named(now, latest))
        return None if self.repeats and self.until is not None and wanted >= self.until else wanted

    def slip_of(self, length: int) -> int:
        """By how much a run of that length may slip, so that it does not meet the next one."""
        if self.repeat is None or self.slip + length < self.repeat:
            return self.slip
        return max(0, self.repeat - length)

    def _repeated(self, now: int, soonest: int, first: int | None, latest: int | None) -> int:
        if self.repeat is None:
            return NEVER
        if latest is None:
            return max(self.start or 0, soonest)
        begin = first if self.start is None else self.start
        assert begin is not None
        # The smallest step that lies behind both.
        return begin + ((max(latest, now) - begin) // self.repeat + 1) * self.repeat

    def _named(self, now: int, latest: int | None) -> int:
        if self.cron is None:
            return NEVER
        # Whoever names a start wants nothing before it; a run at the start itself may be.
        return self.cron.next(max(now, (self.start or 1) - 1, latest or 0))


NEVER = 1 << 62  # later than any moment
