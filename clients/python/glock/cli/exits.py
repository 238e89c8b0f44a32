"""What `glock` itself exits with.

A command's own status, 126, 127 and 128 + signal are passed through by `run`.
"""

from __future__ import annotations

from glock.errors import (
    Deadlock,
    GlockError,
    LockBusy,
    LockLost,
    NotAuthorised,
    Unreachable,
    WaitTimeout,
)

BUSY = 75  # sysexits(3), EX_TEMPFAIL: try again later
TIMED_OUT = 76
NOT_AUTHORISED = 77  # sysexits(3), EX_NOPERM
UNREACHABLE = 78
LOST = 79
DEADLOCK = 80
REFUSED = 81

TABLE = (
    (BUSY, "busy: somebody else has the lock, and -n (or -w 0) was given"),
    (TIMED_OUT, "timed out: the lock was not free within -w SECS"),
    (NOT_AUTHORISED, "the server wants a secret, or another one"),
    (UNREACHABLE, "no connection to the server"),
    (LOST, "the lock or the connection was lost"),
    (DEADLOCK, "deadlock: waiting would never have ended"),
    (REFUSED, "the server does not know or allow what was asked, or is no glockd"),
)

_CODES: tuple[tuple[type[GlockError], int], ...] = (
    (WaitTimeout, TIMED_OUT),
    (LockBusy, BUSY),
    (NotAuthorised, NOT_AUTHORISED),
    (Unreachable, UNREACHABLE),
    (LockLost, LOST),
    (Deadlock, DEADLOCK),
)


def code(error: GlockError) -> int:
    """The exit code for an error."""
    return next((number for kind, number in _CODES if isinstance(error, kind)), REFUSED)
