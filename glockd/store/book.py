"""The book of records: all that was put in during a turn of the event loop is written in one commit.

What a call does with it, besides the four rules in service.py: it looks at `trouble` before it changes anything, puts
its records in beside what it does to the core, and lets its answer wait for `then`.

| state | set by | what holds then |
|---|---|---|
| `_due` | `put`, `then` | a commit comes in this turn of the loop |
| `trouble` | a commit that failed | nothing is written or answered; it is tried again every second; a call is refused |
| `_held` | a log of writes that has grown too long | nothing is written until a checkpoint has caught up with it |
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from glockd.core.stats import Durations
from glockd.notices import CheckpointFailed, Notice, Recording, Unrecorded
from glockd.store.checkpoints import Checkpoint, Checkpointer
from glockd.store.file import RecordsFile
from glockd.store.shelf import Shelf
from glockd.store.transaction import transaction
from glockd.store.values import Row, Value, demand

# How long after a failure a commit is tried again, in seconds.
RETRY = 1.0

# How many rows of a large write are written before others get their turn: some 1 ms.
ROWS_A_TURN = 250

# How many pages may be written until a checkpoint, about: 4 MB.
PAGES_A_CHECKPOINT = 1000

# How many may be, while checkpoints come in the midst of writes and cannot end the log: 64 MB. Then writes wait.
PAGES_MOST = 16_000


class Book:
    """The records of all doors.

    Args:
        path: the file.
        sync: normal: a commit survives the end of the daemon; full: the end of the machine too, and waits for the disk.
        loop: the event loop; all is called on it.
        say: is told what the log is to know.

    Raises:
        StartError: the file cannot be used.

    Attributes:
        trouble: why nothing can be written now; empty: it can. A call that would change records is refused meanwhile,
            before it changes anything else. What happens by itself (a lease ends) is put in all the same.
        writes: rows ever changed.
        commits: how long each took, in seconds: so long everybody waited.
        checkpoints: how long each took, in seconds: for nobody to wait.
    """

    def __init__(
        self, path: str, sync: str, loop: asyncio.AbstractEventLoop, say: Callable[[Notice], None]
    ) -> None:
        self._loop = loop
        self._say = say
        self._file = RecordsFile(path, sync)
        self._connection, self._checkpointer = self._open()
        self.trouble = ""
        self.writes = 0
        self.commits = Durations()
        self.checkpoints = Durations()
        self._writes: list[tuple[str, Sequence[Row]]] = []  # put in since the last commit, in order
        self._waiting: list[Callable[[], None]] = []  # for that commit
        self._due = False
        self._held = False
        self._failed_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._checkpointing = False
        self._checkpoint_error = ""
        self._pages = 0  # that long values will fill, of those put in since the last commit
        self._grown = 0  # pages in the log of writes, about: one a row, and those of long values
        self._since = 0  # those among them that the latest checkpoint does not know of
        [(self._number,)] = self._connection.execute("SELECT coalesce(max(number), 0) FROM unfinished")

    def _open(self) -> tuple[sqlite3.Connection, Checkpointer]:
        connection: sqlite3.Connection | None = None
        try:
            connection = self._file.connect()
            return connection, Checkpointer(self._file.connect(), self._loop, self._checkpointed)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            self._file.close()
            raise self._file.refusal(str(error)) from error

    # At the start

    def shelve(self, shelf: Shelf) -> None:
        """Make room for the records of a door, and mend what its last run has left unfinished: in its `start()`.

        Raises:
            StartError: they are of a later version, or cannot be written; then they are as they were.
        """
        try:
            with transaction(self._connection):
                shelf.settle_in(self._connection)
        except sqlite3.Error as error:
            raise self._file.refusal(f"{shelf.name}: {error}") from error

    def read(self, query: str, values: Row = ()) -> Iterator[tuple[Any, ...]]:
        """The rows that a query finds: in a door's `start()`, and never later, since everybody waits for the disk.

        Args:
            query: SQL, with `?` for each value.
            values: what they stand for.
        """
        yield from self._connection.execute(query, values)

    # In calls

    def put(self, statement: str, *rows: Row) -> None:
        """Have rows written, in the commit of this turn.

        Args:
            statement: SQL that changes a door's own tables, with `?` for each value. One that cannot be carried out is
                a fault of the door, and leaves the book in trouble. If it changes many rows, everybody waits for it:
                100,000 take some 40 ms.
            rows: the values, once or several times; it is carried out for each.

        Raises:
            ValueError: a value cannot be recorded; then nothing of this is written.
            TypeError: likewise.
        """
        self._pages += sum(map(demand, rows))
        self._writes.append((statement, rows))
        self._expect_commit()

    def then(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once all that has been put in by now is written: an answer goes out then."""
        self._waiting.append(callback)
        self._expect_commit()

    def written(self) -> asyncio.Future[None]:
        """A future that is done once all that has been put in by now is written."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.then(lambda: None if future.done() else future.set_result(None))
        return future

    async def put_large(
        self, shelf: Shelf, kind: str, what: Value, statement: str, rows: Iterable[Row]
    ) -> None:
        """Write very many rows, some a turn: in the end, and after the end of the daemon, it is all or nothing.

        What is put in meanwhile is written beside it; what builds on it comes behind.

        Args:
            shelf: whose they are.
            kind: of the write; `shelf.mends` says by it what is to be done if it is not finished.
            what: what it is about: the value of those statements.
            statement: as for `put`.
            rows: read on as they are written.

        Raises:
            KeyError: there are no mends of that kind.
            ValueError: a value cannot be recorded; the mends are put in, as they are when this is cancelled.
            TypeError: likewise.
        """
        mends = shelf.mends[kind]
        number = self._number = self._number + 1
        self.put("INSERT INTO unfinished VALUES (?, ?, ?, ?)", (number, shelf.name, kind, what))
        remaining = iter(rows)
        try:
            while rows_of_a_turn := tuple(islice(remaining, ROWS_A_TURN)):
                self.put(statement, *rows_of_a_turn)
                await self.written()
        except BaseException:
            for mend in mends:
                self.put(mend, (what,))
            raise
        finally:
            self.put("DELETE FROM unfinished WHERE number = ?", (number,))
        await self.written()

    # At the end

    def close(self) -> None:
        """Write what is left, if that is possible, and let another daemon have the file."""
        if not self._writes or self._write():
            self._answer()
        if self._timer is not None:
            self._timer.cancel()
        self._checkpointer.stop()
        self._connection.close()
        self._file.close()

    # What happens by itself

    def _expect_commit(self) -> None:
        if not (self._due or self.trouble or self._held):
            self._due = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._due = False
        if self._grown >= PAGES_MOST:
            self._held = True
            self._ask()
            return
        if self._writes and not self._write():
            return
        self._answer()
        if self._since >= PAGES_A_CHECKPOINT:
            self._ask()

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            self._loop.call_soon(callback)

    def _write(self) -> bool:
        """Write all that was put in, or nothing; whether it is written."""
        begun = time.monotonic()  # The loop's time is that of the beginning of its turn.
        try:
            changed = self._carry_out()
        except (sqlite3.Error, MemoryError) as error:
            self._fail(str(error) or type(error).__name__)
            return False
        now = time.monotonic()
        self.commits.add(now - begun)
        self.writes += changed
        self._writes = []
        self._grown += changed + self._pages
        self._since += changed + self._pages
        self._pages = 0
        if self.trouble:
            self.trouble = ""
            self._say(Recording(now - self._failed_at))
        return True

    def _carry_out(self) -> int:
        """How many rows have changed."""
        connection = self._connection
        before = connection.total_changes
        with transaction(connection):
            for statement, rows in self._writes:
                connection.executemany(statement, rows)
        return connection.total_changes - before

    def _fail(self, reason: str) -> None:
        if not self.trouble:
            self._failed_at = time.monotonic()
        if self.trouble != reason:
            self._say(Unrecorded(reason))
        self.trouble = reason
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(RETRY, self._commit)

    # Checkpoints

    def _ask(self) -> None:
        if not self._checkpointing:
            self._checkpointing = True
            self._since = 0
            self._checkpointer.ask()

    def _checkpointed(self, how: Checkpoint) -> None:
        self._checkpointing = False
        self.checkpoints.add(how.seconds)
        if how.error and how.error != self._checkpoint_error:
            self._say(CheckpointFailed(how.error))
        self._checkpoint_error = how.error
        if self._held and self._since:
            self._ask()
        elif self._held:
            # If somebody reads in the log, as a backup does, it cannot begin anew: it may grow by as much again.
            self._held = False
            self._grown = 0
            self._commit()
        elif how.complete and not self._since:
            self._grown = 0  # The next write begins the log anew.
