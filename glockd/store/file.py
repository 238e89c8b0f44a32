"""The file of records: nobody else's, nobody else in it, and of a format that this daemon knows."""

from __future__ import annotations

import fcntl
import os
import pwd
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from glockd.config import StartError
from glockd.store.transaction import transaction

# SQLite's field for telling files of one program from those of others: "glkd".
APPLICATION = 0x676C6B64

# The version of the tables below. Those of doors have versions of their own, see shelf.py. To change them: write TABLES
# as they are to be, add 1 here, and have `_settle_in` lead files of every earlier version there, in its transaction.
FORMAT = 1
TABLES = (
    # What each door has put up, and in which version.
    "CREATE TABLE shelves (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    # Large writes that have begun, and have yet to end.
    """CREATE TABLE unfinished (
        number INTEGER PRIMARY KEY, shelf TEXT NOT NULL, kind TEXT NOT NULL, what ANY
    ) STRICT""",
)

# https://sqlite.org/fileformat.html, 1.3: how every SQLite file begins.
MAGIC = b"SQLite format 3\0"

# A log of writes that has grown beyond this is cut to it when it begins anew, in bytes.
LONGEST_LOG = 64 << 20

SYNCHRONOUS = {"normal": "NORMAL", "full": "FULL"}


class RecordsFile:
    """The file, locked as long as it is open, with nobody but its owner allowed to read it.

    Args:
        path: where it lies; made if it does not exist.
        sync: normal: a commit survives the end of the daemon; full: the end of the machine too.

    Raises:
        StartError: it cannot be used; then it is as it was.
    """

    def __init__(self, path: str, sync: str) -> None:
        self.path = os.path.abspath(path)
        self._sync = SYNCHRONOUS[sync]
        try:
            # Closed last of all: close(2) on any descriptor of a file drops the locks that SQLite has on it.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        except OSError as error:
            raise self.refusal(error.strerror or "") from error
        try:
            self._take()
            with closing(self.connect()) as connection:
                self._settle_in(connection)
        except sqlite3.Error as error:
            self.close()
            raise self.refusal(str(error)) from error
        except BaseException:
            self.close()
            raise

    def connect(self) -> sqlite3.Connection:
        """A connection, for whichever thread uses it alone.

        Raises:
            sqlite3.Error: there is none to be had.
        """
        connection = sqlite3.connect(
            self.path,
            timeout=0,  # The event loop waits for nobody.
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute(f"PRAGMA synchronous = {self._sync}")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA journal_size_limit = {LONGEST_LOG}")
            # No file is opened after the start: the last descriptors are needed to turn clients away.
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA trusted_schema = OFF")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Let another daemon have it; all connections are closed by now."""
        os.close(self._descriptor)

    def refusal(self, what: str) -> StartError:
        """What tells the operator why the file cannot be used."""
        return StartError(f"-records: {self.path}: {what}")

    def _take(self) -> None:
        """Lock the file and keep others out of it and of what lies beside it."""
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise self.refusal("is no regular file")
        self._demand_ownership(self.path, status)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self.refusal("another daemon uses it") from error
        begin = os.pread(self._descriptor, len(MAGIC), 0)
        if begin not in (b"", MAGIC):
            raise self.refusal("is no file of records")
        for beside in (Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
            with suppress(FileNotFoundError):
                status = beside.lstat()
                self._demand_ownership(str(beside), status)
                if not begin and status.st_size:
                    raise self.refusal(f"is empty, but {beside} is not: one of them is not where it belongs")
                beside.chmod(0o600)
        # SQLite gives those beside it the same permissions.
        os.fchmod(self._descriptor, 0o600)

    def _demand_ownership(self, path: str, status: os.stat_result) -> None:
        if status.st_uid != os.geteuid():
            owner = str(status.st_uid)
            with suppress(KeyError):
                owner = pwd.getpwuid(status.st_uid).pw_name
            raise StartError(f"-records: {path}: belongs to {owner}, and another user runs this daemon")

    def _settle_in(self, connection: sqlite3.Connection) -> None:
        """See that the file is sound and one of ours, and make its tables if it is new."""
        fault = _one(connection, "PRAGMA quick_check(1)")
        if fault != "ok":
            raise self.refusal(f"is damaged: {fault.strip()}")
        application, version = (
            _one(connection, "PRAGMA application_id"),
            _one(connection, "PRAGMA user_version"),
        )
        new = application == 0 and _one(connection, "SELECT count(*) FROM sqlite_schema") == 0
        if application != APPLICATION and not new:
            raise self.refusal("belongs to another program")
        if version != FORMAT and not new:
            raise self.refusal(f"has format {version}, and this glockd knows none after {FORMAT}")
        mode = _one(connection, "PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise self.refusal(f"no write-ahead log can be kept there, but: {mode}")
        if new:
            self._make_tables(connection)

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        with transaction(connection):
            for statement in TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")


def _one(connection: sqlite3.Connection, query: str) -> Any:
    """The one value that a query finds."""
    return connection.execute(query).fetchone()[0]
