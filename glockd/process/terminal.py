"""The terminal that the daemon was started in, and whether it still is there."""

from __future__ import annotations

import os
import select
import signal

# After so many looks at a terminal that is gone, a hang-up signal no longer comes from there.
LOOKS = 20


class Terminal:
    """The terminal that the daemon belongs to; whether a hang-up signal tells its end, or asks for a reload.

    The daemon belongs to one if standard error is its controlling terminal, unless hang-ups are ignored (nohup(1)).

    Args:
        descriptor: standard error.
    """

    def __init__(self, descriptor: int = 2) -> None:
        self._looks_left = LOOKS
        self._poll: select.poll | None = None
        if is_own_terminal(descriptor) and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._poll = select.poll()
            self._poll.register(descriptor, 0)  # poll(2): POLLHUP and POLLERR are told unasked

    def is_gone(self) -> bool:
        """Whether the daemon belonged to a terminal that was closed just now."""
        return self._poll is not None and bool(self._poll.poll(0))

    def look(self) -> None:
        """To be called every quarter of a second: one that goes without a signal was left on purpose (`disown`)."""
        if self.is_gone():
            self._looks_left -= 1
            if not self._looks_left:
                self._poll = None


def is_own_terminal(descriptor: int) -> bool:
    """Whether it is the terminal that the process belongs to."""
    try:
        os.tcgetpgrp(descriptor)  # tcgetpgrp(3): an error unless it is the caller's controlling terminal
    except OSError:
        return False
    return True
