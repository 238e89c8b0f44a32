"""What comes of a call, before it is put into the bytes of any wire."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from glockd.core.events import Granted
    from glockd.core.holds import Hold


class Code(IntEnum):
    """What went wrong; the numbers are gRPC's, the names REST's."""

    Unknown = 0
    LockDoesNotExist = 1
    InvalidLockKey = 2
    LockWaitTimeout = 3
    NotLocked = 4  # never sent, there as well
    LockDoesNotExistOrInvalidKey = 5
    LockSizeMismatch = 6
    InvalidLockSize = 7


class Problem(NamedTuple):
    """Why a call has come to nothing."""

    code: Code
    message: str


class NotRecorded(Exception):
    """Records cannot be written, so nothing that would change them is done; the text says why."""


class Outcome(NamedTuple):
    """What has come of a call."""

    done: bool  # locked, unlocked or renewed
    key: str = ""  # as it is answered
    problem: Problem | None = None  # None too if the lock is just held by others
    hold: Hold | None = None  # the one that was taken or renewed, or has ended by the call
    granted: Sequence[Granted] = ()  # for the service's outbox
    why: str = (
        ""  # the lock that is meant is gone: expired, kicked or session ended; empty if that is not known
    )


BAD_LEASE = Problem(Code.Unknown, "lock timeout must be greater than 0")
BAD_WAIT = Problem(Code.Unknown, "wait timeout must be greater than 0")
NO_NAME = Problem(Code.Unknown, "lock name cannot be empty")
BAD_SIZE = Problem(Code.InvalidLockSize, "lock size must be greater than 0")
OTHER_SIZE = Problem(Code.LockSizeMismatch, "lock size mismatch")
TIMED_OUT = Problem(Code.LockWaitTimeout, "timeout waiting to acquire lock")
NO_LOCK = Problem(Code.LockDoesNotExist, "a lock by that name does not exist")
WRONG_KEY = Problem(Code.InvalidLockKey, "invalid lock key")
NOTHING_TO_RENEW = Problem(Code.LockDoesNotExistOrInvalidKey, "lock does not exist or invalid key")

# Limits of ours, which LDLM's server does not have.
TOO_MANY_LOCKS = Problem(Code.Unknown, "too many locks")
TOO_MANY_WAITERS = Problem(Code.Unknown, "too many waiters")
NAME_TOO_LONG = Problem(Code.Unknown, "lock name too long")
