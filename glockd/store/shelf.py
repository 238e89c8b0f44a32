"""A door's part of the records: its tables, their version, and how to get there from earlier ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from glockd.config import StartError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The tables of one door. No other door knows them.

    To change them: write `tables` as they are to be, add 1 to `version`, and add the statements that lead there from
    the tables of before to `migrations`, under the old version. What was released is never edited.

    Args:
        name: the door's; its tables are called `name_…`, so that no two doors meet.
        version: of the tables, from 1.
        tables: SQL statements that make them, in a file that has none of them.
        migrations: SQL statements by the version that they start from; they lead to the next one.
        mends: SQL statements by the kind of a large write (see `Book.put_large`), with `?1` for what it was about.
            They are carried out at the start, if the daemon has ended in its midst.

    Raises:
        ValueError: there is an earlier version without a way to the next one.
    """

    name: str
    version: int
    tables: Sequence[str]
    migrations: Mapping[int, Sequence[str]] = field(default_factory=dict)
    mends: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.migrations) != set(range(1, self.version)):
            raise ValueError(f"{self.name}: a migration is needed from each version before {self.version}")

    def settle_in(self, connection: sqlite3.Connection) -> None:
        """Make the tables, or those of an earlier version into these, and mend what was left unfinished.

        Args:
            connection: within a transaction.

        Raises:
            StartError: they are of a later version, or something is unfinished that this one cannot mend.
        """
        found = connection.execute("SELECT version FROM shelves WHERE name = ?", (self.name,)).fetchone()
        if found is None:
            steps = [self.tables]
        elif found[0] <= self.version:
            steps = [self.migrations[version] for version in range(found[0], self.version)]
        else:
            raise StartError(
                f"the records of {self.name} are of version {found[0]}, "
                f"and this glockd knows none after {self.version}"
            )
        for statement in (statement for step in steps for statement in step):
            connection.execute(statement)
        connection.execute("INSERT OR REPLACE INTO shelves VALUES (?, ?)", (self.name, self.version))
        self._mend(connection)

    def _mend(self, connection: sqlite3.Connection) -> None:
        marks = "SELECT kind, what FROM unfinished WHERE shelf = ? ORDER BY number"
        for kind, what in connection.execute(marks, (self.name,)).fetchall():
            if kind not in self.mends:
                raise StartError(
                    f"the records of {self.name} have an unfinished {kind}: unknown to this glockd"
                )
            for statement in self.mends[kind]:
                connection.execute(statement, (what,))
        connection.execute("DELETE FROM unfinished WHERE shelf = ?", (self.name,))
