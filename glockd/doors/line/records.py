"""Items of work lists as records: what is to be done outlives the daemon, who was doing it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from glockd.store.shelf import Shelf

if TYPE_CHECKING:
    from glockd.store.book import Book

SHELF = Shelf(
    name="line",
    version=1,
    tables=(
        "CREATE TABLE line_items (place INTEGER PRIMARY KEY, pool BLOB NOT NULL, item BLOB NOT NULL,"
        " attempts INTEGER NOT NULL, UNIQUE (pool, item)) STRICT",
    ),
)


class Records:
    """Items, in the book.

    Args:
        book: all doors' records.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        # Called once all that was put in by now is written.
        self.then: Callable[[Callable[[], None]], None] = book.then

    def open(self) -> None:
        """Make room in the book.

        Raises:
            StartError: that cannot be done.
        """
        self._book.shelve(SHELF)

    def read(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Each item's pool, the item, and how often it was taken; oldest first, at the start only."""
        yield from self._book.read("SELECT pool, item, attempts FROM line_items ORDER BY place")

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty: it can."""
        return self._book.trouble

    def put(self, pool: bytes, item: bytes) -> None:
        """There is a new item."""
        self._book.put("INSERT INTO line_items (pool, item, attempts) VALUES (?, ?, 0)", (pool, item))

    def taken(self, pool: bytes, item: bytes, attempt: int) -> None:
        """An item has been taken for that time."""
        self._book.put(
            "UPDATE line_items SET attempts = ? WHERE pool = ? AND item = ?", (attempt, pool, item)
        )

    def erase(self, pool: bytes, item: bytes) -> None:
        """An item is done, or given up."""
        self._book.put("DELETE FROM line_items WHERE pool = ? AND item = ?", (pool, item))
