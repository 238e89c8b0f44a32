"""LDLM's codes of errors within an answer, which go over the wire as their place in this list."""

from __future__ import annotations

ERROR_CODES = (
    "Unknown",
    "LockDoesNotExist",
    "InvalidLockKey",
    "LockWaitTimeout",
    "NotLocked",
    "LockDoesNotExistOrInvalidKey",
    "LockSizeMismatch",
    "InvalidLockSize",
)
