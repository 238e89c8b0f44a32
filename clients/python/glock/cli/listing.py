"""Locks as `glock list` and `glock top` show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glock.cli.output import Column
from glock.cli.words import Entry, label, span
from glock.errors import Unsupported

if TYPE_CHECKING:
    from glock.client import Client

COLUMNS = (
    Column("kind"),
    Column("lock"),
    Column("holder"),
    Column("held", span),
    Column("waiters"),
    Column("waited", span),
)


@dataclass(frozen=True)
class Lock:
    """A lock that is held or waited for.

    Attributes:
        held: seconds, of the oldest hold; None if there is none. waiters: how many. waited: seconds, of the first in
            line. Each is None if the server does not tell.
    """

    kind: str
    name: str
    holder: str
    held: float | None = None
    waiters: int | None = None
    waited: float | None = None

    @property
    def row(self) -> tuple[object, ...]:
        return self.kind, self.name, self.holder, self.held, self.waiters, self.waited

    @property
    def rank(self) -> tuple[float, float]:
        """Sorts the longest wait first, then the longest hold."""
        return -(-1.0 if self.waited is None else self.waited), -(self.held or 0.0)


def locks(client: Client, name: str | None) -> list[Lock]:
    """All locks that are held, or those of one name; the longest wait first.

    Raises:
        GlockError: the server does not tell.
    """
    try:
        if name is not None:
            return one(client.explain(name))
        return ranked(client.find("exclusive") + client.find("shared"))
    except Unsupported:  # the original
        return [
            Lock(kind, each.name, each.who)
            for kind in ("exclusive", "shared")
            for each in client.holders(name, shared=kind == "shared")
        ]


def foremost(client: Client, most: int) -> list[Lock]:
    """So many of the locks, those that are waited for before all others.

    Raises:
        GlockError: the server does not tell.
    """
    try:
        found = client.find("waited")
        for kind in ("exclusive", "shared"):
            found += client.find(kind, most=max(most, 1))
        return ranked(found)[:most]
    except Unsupported:
        return locks(client, None)[:most]


def ranked(entries: Iterable[Entry]) -> list[Lock]:
    """What `find` says. A lock may be there twice: pages are of several moments."""
    found = {(each["table"], each["name"]): each for each in entries}
    return sorted(map(_lock, found.values()), key=lambda lock: lock.rank)


def _lock(entry: Entry) -> Lock:
    return Lock(
        entry["table"],
        entry["name"],
        _holder(entry["holder"], entry["holders"]),
        None if entry["holder"] is None else entry["holder"]["seconds"],
        entry["waiters"],
        entry["waited"],
    )


def _holder(first: Entry | None, count: int) -> str:
    if first is None:  # a pool may be waited for without a unit in it
        return "nobody"
    reader = " (reader)" if first["mode"] == "read" else ""
    return label(first) + reader + (f" and {count - 1} more" if count > 1 else "")


def one(found: Entry) -> list[Lock]:
    """What `explain` says of one name: its exclusive lock and its shared one, as far as they are held."""
    return [
        _of_table(kind, found["name"], found[kind]["holders"], found[kind]["waiters"])
        for kind in ("exclusive", "shared")
        if found[kind]["holders"]
    ]


def _of_table(kind: str, name: str, holders: Sequence[dict[str, Any]], waiters: Sequence[Entry]) -> Lock:
    waited = waiters[0]["seconds"] if waiters else None
    return Lock(kind, name, _holder(holders[0], len(holders)), holders[0]["seconds"], len(waiters), waited)
