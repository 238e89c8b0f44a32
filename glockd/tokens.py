"""Where fencing tokens come from: each is larger than all before, those of earlier runs included."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from glockd.config import StartError

# Tokens stay below 2**53, so that every language reads them as exact numbers; in microseconds that is the year 2255.

# So many tokens are promised to the file at a time: one write for as many grants.
BLOCK = 1_000_000


def from_clock(wall: float) -> Iterator[int]:
    """Tokens that start at the wall clock, in microseconds: above those of earlier runs if it was never set back.

    Args:
        wall: seconds since 1970.
    """
    return count(int(wall * 1_000_000))


class TokenFile:
    """A small synced file that holds a number above every token ever given.

    Args:
        folder: where it lies; made if it does not exist.
        wall: seconds since 1970; tokens start there at least, for those of runs without the file.
        complain: is told when the file cannot be written. Tokens are given all the same: the clock is then the only
            promise that a next run starts above them.

    Raises:
        OSError: it cannot be read or written, or another daemon uses it (BlockingIOError).
        ValueError: there is something else in it.
    """

    def __init__(self, folder: Path, wall: float, complain: Callable[[OSError], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / "token"
        self._complain = complain
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark = int(self._path.read_text("ascii")) if self._path.exists() else 0
            self._start = max(mark, int(wall * 1_000_000))
            self._save(self._start + BLOCK)
        except BaseException:
            os.close(self._lock)
            raise

    def tokens(self) -> Iterator[int]:
        """The tokens, without end."""
        start = self._start
        while True:
            yield from range(start, start + BLOCK)
            start += BLOCK
            try:
                self._save(start + BLOCK)
            except OSError as error:
                self._complain(error)

    def close(self) -> None:
        """Let another daemon use the folder."""
        os.close(self._lock)

    def _save(self, mark: int) -> None:
        # Written beside and renamed, so that a crash leaves the old mark or the new one, and nothing in between.
        new = self._path.with_suffix(".new")
        with new.open("w", encoding="ascii") as file:
            file.write(f"{mark}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_tokens(
    folder: str, wall: float, complain: Callable[[OSError], None]
) -> tuple[TokenFile | None, Iterator[int]]:
    """The fencing tokens, and the file that remembers how far they have come, if there is one.

    Args:
        folder: where the file lies; empty: there is none, and the clock is trusted.
        wall: seconds since 1970.
        complain: is told when the file cannot be written later on.

    Raises:
        StartError: the file cannot be used.
    """
    if not folder:
        return None, from_clock(wall)
    try:
        file = TokenFile(Path(folder), wall, complain)
    except BlockingIOError as error:
        raise StartError(f"-state-dir: {folder}: another daemon uses it") from error
    except OSError as error:
        raise StartError(f"-state-dir: {folder}: {error.strerror}") from error
    except ValueError as error:
        raise StartError(f"-state-dir: {folder}/token does not hold a number") from error
    return file, file.tokens()
