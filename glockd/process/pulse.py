"""Things done again and again as long as the daemon lives, by timers of its event loop."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable


class Pulse:
    """Beats until it is stopped.

    Args:
        loop: the event loop it runs on.
        every: seconds between beats.
        beat: called at each; gets the seconds by which the loop came late to it, 0 or more.
    """

    def __init__(self, loop: AbstractEventLoop, every: float, beat: Callable[[float], None]) -> None:
        self._loop = loop
        self._every = every
        self._beat = beat
        self._due = loop.time() + every
        self._timer: TimerHandle = loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        late = max(now - self._due, 0.0)
        # A late beat is not made up for.
        self._due = now + self._every
        self._timer = self._loop.call_at(self._due, self._ring)
        self._beat(late)

    def stop(self) -> None:
        """No beat from now on."""
        self._timer.cancel()
