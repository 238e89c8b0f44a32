"""Shelves: the tables of doors, through their versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from glockd.config import StartError
from glockd.store.shelf import Shelf
from tests.store.rooms import PUT, ROOM, opened

# The room with a column more, as a later version of the program has it.
LATER = Shelf(
    name="room",
    version=3,
    tables=("CREATE TABLE room_thing (name TEXT PRIMARY KEY, value ANY, colour TEXT) STRICT, WITHOUT ROWID",),
    migrations={
        1: ("ALTER TABLE room_thing ADD COLUMN color TEXT DEFAULT 'red'",),
        2: (
            "ALTER TABLE room_thing RENAME COLUMN color TO colour",
            "UPDATE room_thing SET value = value + 1",
        ),
    },
    mends={"furnish": ("DELETE FROM room_thing WHERE colour = ?1",)},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records"


async def test_records_of_earlier_versions_are_led_to_the_latest_once(path: Path) -> None:
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
        book.put("INSERT INTO unfinished VALUES (?, ?, ?, ?)", (1, "room", "furnish", "blue"))
        await book.written()
    for _ in range(2):
        with opened(path, shelf=LATER) as (book, _):
            assert list(book.read("SELECT name, value, colour FROM room_thing")) == [("a", 2, "red")]
            assert list(book.read("SELECT * FROM shelves")) == [("room", 3)]
            assert list(book.read("SELECT * FROM unfinished")) == []


async def test_a_new_file_has_the_latest_tables(path: Path) -> None:
    with opened(path, shelf=LATER) as (book, _):
        assert list(book.read("SELECT colour FROM room_thing")) == []


async def test_an_older_daemon_refuses_newer_records(path: Path) -> None:
    with opened(path, shelf=LATER) as (book, _):
        book.put("INSERT INTO room_thing VALUES (?, ?, ?)", ("a", 1, "blue"))
    with (
        pytest.raises(StartError, match=r"the records of room are of version 3, .* none after 1"),
        opened(path),
    ):
        pass
    with opened(path, shelf=LATER) as (book, _):
        assert list(book.read("SELECT * FROM room_thing")) == [("a", 1, "blue")]


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    wrong = Shelf(
        name="room", version=2, tables=(), migrations={1: ("DELETE FROM room_thing", "DELETE FROM nowhere")}
    )
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
    with (
        pytest.raises(StartError, match=re.escape(f"-records: {path}: room: no such table: nowhere")),
        opened(path, shelf=wrong),
    ):
        pass
    with opened(path) as (book, _):
        assert list(book.read("SELECT * FROM room_thing")) == [("a", 1)]


async def test_a_mark_that_nobody_knows_is_not_thrown_away(path: Path) -> None:
    with opened(path) as (book, _):
        book.put("INSERT INTO unfinished VALUES (?, ?, ?, ?)", (1, "room", "paint", "all"))
    with pytest.raises(StartError, match="an unfinished paint"), opened(path):
        pass


@pytest.mark.parametrize(("version", "known"), [(2, {}), (3, {2: ()}), (1, {1: ()}), (2, {1: (), 2: ()})])
def test_every_earlier_version_has_its_way_on(version: int, known: dict[int, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="a migration is needed from each version"):
        Shelf(name="room", version=version, tables=ROOM.tables, migrations=known)
