"""The pid file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from glockd.config import StartError


class PidFile:
    """A file with the process id, locked as long as the process lives.

    Raises:
        StartError: it cannot be opened or written (3); or another process has it locked (4), and then it is left as it
            was.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # The descriptor stays open for life, and the lock with it.
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise StartError(f"Error opening pidfile: {path}: open {path}: {reason}", 3) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            reason = (error.strerror or "").lower()
            raise StartError(f"Error locking  pidfile: {path}: {reason}", 4) from error
        try:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode())
        except OSError as error:
            os.close(self._descriptor)
            raise StartError(f"Error writing pidfile: {path}: {(error.strerror or '').lower()}", 3) from error

    def remove(self) -> None:
        """Take the file away, as long as it is still this one."""
        remove_if_same(self.path, os.fstat(self._descriptor))
        os.close(self._descriptor)


def remove_if_same(path: str, file: os.stat_result) -> None:
    """Take the file at `path` away, as long as it is still the one that `file` describes."""
    with contextlib.suppress(OSError):
        if os.path.samestat(os.lstat(path), file):
            Path(path).unlink()
