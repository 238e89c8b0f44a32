"""After a fork the child has its parent's sockets.

It must not talk on them, nor keep the parent's locks alive.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Protocol


class Forked(Protocol):
    def fileno(self) -> int: ...

    def forget(self, reason: str) -> None: ...


_open: weakref.WeakSet[Forked] = weakref.WeakSet()


def guard(session: Forked) -> None:
    """From now on a forked child loses this session: its locks are lost there, and stay with the parent
    here."""
    _open.add(session)


def _in_child() -> None:
    sessions = list(_open)
    if not sessions:
        return
    # The descriptor's number stays taken, so that whatever still closes it closes nothing else.
    nothing = os.open(os.devnull, os.O_RDWR)
    for session in sessions:
        if (fd := session.fileno()) >= 0:
            with contextlib.suppress(OSError):
                os.dup2(nothing, fd, inheritable=False)
        session.forget("this process was forked, and the lock stays with its parent")
    os.close(nothing)
    _open.clear()


os.register_at_fork(after_in_child=_in_child)
