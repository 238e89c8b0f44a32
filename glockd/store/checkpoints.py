"""Checkpoints: what was written into the log of writes goes where it belongs, in a thread of its own."""

from __future__ import annotations

import sqlite3
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How one went."""

    seconds: float
    complete: bool = False  # whether all of the log was moved, and nobody reads in it
    error: str = ""  # why it failed


class Checkpointer:
    """The thread: the one thing of the daemon that waits for the disk beside the event loop.

    A checkpoint waits for the disk several times. Writes go on meanwhile, on the event loop's own connection.

    Args:
        connection: for the thread alone. It has all files open that it needs: a thread that opens some while
            descriptors run out takes the one that libuv keeps to turn clients away with.
        loop: the event loop.
        done: is told on the event loop how each went.
    """

    def __init__(
        self, connection: sqlite3.Connection, loop: AbstractEventLoop, done: Callable[[Checkpoint], None]
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._done = done
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._stopped = False
        # The log and its index are opened by the first checkpoint: now.
        self._checkpoint()
        self._thread = Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Have a checkpoint made; not again before it is done."""
        self._asked.put(True)

    def stop(self) -> None:
        """End the thread, behind the checkpoint that it is at; of that one nobody is told any more."""
        self._stopped = True
        self._asked.put(False)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._asked.get():
            self._loop.call_soon_threadsafe(self._tell, self._checkpoint())

    def _tell(self, how: Checkpoint) -> None:
        if not self._stopped:
            self._done(how)

    def _checkpoint(self) -> Checkpoint:
        begun = time.monotonic()
        try:
            _, grown, moved = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            return Checkpoint(time.monotonic() - begun, error=str(error) or type(error).__name__)
        return Checkpoint(time.monotonic() - begun, complete=grown == moved)
