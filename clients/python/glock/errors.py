"""Everything that can go wrong, under one base: `GlockError`.

GlockError
├── LockBusy              somebody else has it, and no waiting was asked for
│   └── WaitTimeout       … or the time to wait was up (also a TimeoutError)
├── Deadlock              waiting would never have ended: the holder waits for this session
├── LockLost              a lock that was held is held no more, and its holder did not release it
│   └── ConnectionLost    the connection ended, and with it every lock held on it (also a ConnectionError)
├── Unreachable           no connection could be made (also a ConnectionError)
├── NotAuthorised         the daemon wants another secret (also a PermissionError)
├── Unsupported           the server does not know the word: it is the original glockd
├── Disabled              the operator has switched this command off
├── NotRecorded           the server cannot write its records just now
├── BadArgument           the daemon refused an argument (also a ValueError)
└── ProtocolError         the server said what no glockd says
"""

from __future__ import annotations


class GlockError(Exception):
    """Base of all errors of this package."""


class LockBusy(GlockError):
    """The lock is held by somebody else. Nothing is held or waited for after this."""


class WaitTimeout(LockBusy, TimeoutError):
    """The lock was not free within the time to wait. Nothing is held or waited for after this."""


class Deadlock(GlockError):
    """The wait was refused because it could never have ended. Locks held before are still held."""


class LockLost(GlockError):
    """A lock was taken back by the daemon (lease over, session kicked): `reason` says why."""

    def __init__(self, message: str, *, name: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.name = name
        self.reason = reason


class ConnectionLost(LockLost, ConnectionError):
    """The connection ended: every lock held on it is held no more."""


class Unreachable(GlockError, ConnectionError):
    """No connection to the server could be made. Nothing was sent."""


class NotAuthorised(GlockError, PermissionError):
    """The daemon has an `-auth-file`, and the secret is missing or wrong."""


class Unsupported(GlockError):
    """The server is the original glockd, which does not know this command."""


class Disabled(GlockError):
    """The server's operator has switched this command off (`0 disabled`)."""


class LimitReached(GlockError):
    """A limit that the operator has set: too many locks or waiters, or too long a name.

    Nothing has changed.
    """


class NotRecorded(GlockError):
    """The server cannot write its records just now. Nothing has changed."""


class BadArgument(GlockError, ValueError):
    """The daemon refused an argument, which it names. Nothing has changed."""


class ProtocolError(GlockError):
    """The server said what no glockd says; perhaps it is something else. The connection has been closed."""
