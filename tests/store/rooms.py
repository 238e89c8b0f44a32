"""A book with the tables of a door that exists only here."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from glockd.notices import Notice
from glockd.store.book import Book
from glockd.store.shelf import Shelf

ROOM = Shelf(
    name="room",
    version=1,
    tables=("CREATE TABLE room_thing (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID",),
    mends={"furnish": ("DELETE FROM room_thing WHERE value = ?1",)},
)
PUT = "INSERT OR REPLACE INTO room_thing VALUES (?, ?)"


@contextmanager
def opened(path: Path, sync: str = "normal", shelf: Shelf = ROOM) -> Iterator[tuple[Book, list[Notice]]]:
    """A book, and what it has told the log, on the running event loop."""
    said: list[Notice] = []
    book = Book(str(path), sync, asyncio.get_running_loop(), said.append)
    try:
        book.shelve(shelf)
        yield book, said
    finally:
        book.close()


def things(path: Path) -> dict[str, object]:
    """What is written, for everybody to read."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, value FROM room_thing"))


def commits(book: Book) -> int:
    """How many there have been."""
    return sum(book.commits.buckets)


def open_files() -> dict[str, str]:
    """What this process has open, by descriptor."""
    found: dict[str, str] = {}
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the folder itself
            found[one.name] = os.readlink(one)
    return found
