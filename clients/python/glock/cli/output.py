"""What `glock` prints: tables on a terminal, tab-separated lines in a pipe, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Sequence[object]


def printable(value: object) -> str:
    """Text that cannot command a terminal: lock names are any bytes, and anybody can choose them."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode()
        for each in str(value)
    )


def table(columns: Sequence[str], rows: Iterable[Row], title: str | None = None) -> Table:
    drawn = Table(box=SIMPLE, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        drawn.add_column(column)
    for row in rows:
        drawn.add_row(*(Text(printable(value)) for value in row))
    return drawn


def show(columns: Sequence[str], rows: Iterable[Row], as_json: bool) -> None:
    """Print rows: as objects with `columns` for keys, as a table, or as lines with tabs between."""
    rows = list(rows)
    if as_json:
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif sys.stdout.isatty():
        Console().print(table(columns, rows))
    else:
        for row in rows:
            click.echo("\t".join(printable(value) for value in row))


def show_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None))
