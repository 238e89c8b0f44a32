"""LDLM's holds as records, with -ldlm-keep-over-restart: what LDLM's server keeps in its state file, and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from glockd.doors.ldlm.calls import key_of
from glockd.doors.ldlm.outcomes import NotRecorded
from glockd.store.shelf import Shelf

if TYPE_CHECKING:
    from glockd.core.holds import Hold
    from glockd.store.book import Book

SHELF = Shelf(
    name="ldlm",
    version=1,
    tables=("CREATE TABLE ldlm_holds (key TEXT PRIMARY KEY, name BLOB, size INTEGER, token INTEGER) STRICT",),
)


class Kept(NamedTuple):
    """A hold that outlived the daemon."""

    key: str
    name: bytes
    size: int
    token: int


class Records:
    """What is held, in the book.

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

    def read(self) -> Iterator[Kept]:
        """What was held, in the order in which it was granted; at the start only."""
        query = "SELECT key, name, size, token FROM ldlm_holds ORDER BY token"
        return (Kept(*row) for row in self._book.read(query))

    def demand(self) -> None:
        """See that records can be written.

        Raises:
            NotRecorded: they cannot.
        """
        if self._book.trouble:
            raise NotRecorded(f"records cannot be written: {self._book.trouble}")

    def keep(self, hold: Hold, size: int) -> None:
        """A lock of that size has been taken."""
        row = key_of(hold), hold.name, size, hold.token
        self._book.put("INSERT OR REPLACE INTO ldlm_holds VALUES (?, ?, ?, ?)", row)

    def erase(self, *keys: str) -> None:
        """The holds under these keys have ended."""
        self._book.put("DELETE FROM ldlm_holds WHERE key = ?", *((key,) for key in keys))

    def erase_all(self) -> None:
        """No hold outlives the daemon."""
        self._book.put("DELETE FROM ldlm_holds", ())
