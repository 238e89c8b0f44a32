"""What `glock` prints: tables on a terminal, tab-separated lines in a pipe, JSON when asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def say(message: str) -> None:
    """A line for people, on standard error."""
    print(f"glock: {message}", file=sys.stderr, flush=True)


def be_printable() -> None:
    """From now on a character that standard output has no bytes for is printed as an escape, not a traceback."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # not everything that stands in for it has one
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def printable(value: object) -> str:
    """Text that cannot command a terminal: lock names are any bytes, and anybody can choose them."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode()
        for each in str(value)
    )


@dataclass(frozen=True)
class Column:
    """A column of a listing.

    Attributes:
        title: also the key in JSON.
        tell: a value as people want it, which is how a table shows it; None: as in a pipe.
    """

    title: str
    tell: Callable[[Any], str] | None = None

    def cell(self, value: object) -> str:
        return self.tell(value) if self.tell is not None and value is not None else printable(value)


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> Table:
    """A table in which no cell is cut: what is too long goes on in the next line."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE, pad_edge=False)
    for column in columns:
        drawn.add_column(column.title, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(column.cell(value)) for column, value in zip(columns, row, strict=True)))
    return drawn


def show(columns: Sequence[Column], rows: Iterable[Sequence[object]], as_json: bool) -> None:
    """Print rows: as objects with the titles for keys, as a table, or as lines with tabs between."""
    if as_json:
        titles = [column.title for column in columns]
        show_json([dict(zip(titles, row, strict=True)) for row in rows])
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(table(columns, rows))
    else:
        for row in rows:
            print("\t".join(printable(value) for value in row))


def show_json(value: Sequence[object] | Mapping[str, object]) -> None:
    import json

    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None))
