"""The book: one commit a turn, answers behind it, and what happens when it cannot be written."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from glockd.notices import CheckpointFailed, Recording, Unrecorded
from glockd.store import book as module
from glockd.store.book import Book
from glockd.store.checkpoints import Checkpoint, Checkpointer
from glockd.store.values import Row, Value
from tests.store.rooms import PUT, ROOM, commits, open_files, opened, things

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records"


async def until(so: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not so():  # noqa: ASYNC110 - facts that no event tells
            await asyncio.sleep(0.001)


async def test_what_is_put_in_is_there_again(path: Path) -> None:
    values: list[Value] = [
        1,
        -(1 << 63),
        (1 << 63) - 1,
        0.5,
        float("inf"),
        "täxt\0\n",
        "",
        b"\0\xff",
        None,
        True,
    ]
    with opened(path) as (book, _):
        for number, value in enumerate(values):
            book.put(PUT, (str(number), value))
        await book.written()
    with opened(path) as (book, _):
        rows = dict(book.read("SELECT name, value FROM room_thing"))
        assert [rows[str(number)] for number in range(len(values))] == values
        assert list(book.read("SELECT name FROM room_thing WHERE value = ?", ("",))) == [("6",)]


async def test_all_that_a_turn_puts_in_is_one_commit(path: Path) -> None:
    with opened(path) as (book, _):
        for number in range(100):
            book.put(PUT, (f"a{number}", 1), (f"b{number}", 2))
        assert things(path) == {}
        await book.written()
        assert (commits(book), book.writes, len(things(path))) == (1, 200, 200)
        book.put(PUT, ("c", 3))
        await book.written()
        assert (commits(book), book.writes) == (2, 201)


async def test_an_answer_goes_out_behind_the_commit_and_in_order(path: Path) -> None:
    heard: list[tuple[str, bool]] = []
    with opened(path) as (book, _):
        for name in ("a", "b", "c"):
            book.put(PUT, (name, 1))
            book.then(lambda name=name: heard.append((name, name in things(path))))  # type: ignore[misc]
        assert heard == []
        await book.written()
        await until(lambda: len(heard) == 3)
    assert heard == [("a", True), ("b", True), ("c", True)]


async def test_who_has_put_in_nothing_waits_for_no_disk(path: Path) -> None:
    with opened(path) as (book, _):
        await book.written()
        assert commits(book) == 0


async def test_an_answer_that_fails_keeps_no_other_back(path: Path) -> None:
    failed: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
        book.then(lambda: 1 // 0)  # type: ignore[arg-type]
        await book.written()
        assert [type(one["exception"]) for one in failed] == [ZeroDivisionError]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1 << 63, ValueError),
        (-(1 << 63) - 1, ValueError),
        (float("nan"), ValueError),
        ("\ud800", ValueError),
        (bytes((64 << 20) + 1), ValueError),
        ([], TypeError),
        (1j, TypeError),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_value_that_cannot_be_recorded_spoils_no_other(
    path: Path, value: object, error: type[Exception]
) -> None:
    with opened(path) as (book, said):
        book.put(PUT, ("a", 1))
        with pytest.raises(error):
            book.put(PUT, ("b", 2), ("c", value))  # type: ignore[arg-type]
        book.put(PUT, ("d", 4))
        await book.written()
        assert things(path) == {"a": 1, "d": 4}
        assert said == []


async def test_what_is_left_is_written_at_the_end(path: Path) -> None:
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
    assert things(path) == {"a": 1}
    assert [one.name for one in path.parent.iterdir()] == ["records"]


async def test_what_waits_for_a_checkpoint_is_written_at_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGES_MOST", 1)
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
        await book.written()
        book.put(PUT, ("b", 2))
        answer = book.written()
        await asyncio.sleep(0)  # the commit's turn: it is put off
        assert things(path) == {"a": 1}
    assert things(path) == {"a": 1, "b": 2}
    await answer


async def test_a_caller_that_has_gone_is_no_trouble(path: Path) -> None:
    with opened(path) as (book, said):
        book.put(PUT, ("a", 1))
        book.written().cancel()
        await book.written()
        assert (things(path), said) == ({"a": 1}, [])


# When it cannot be written


@pytest.fixture
def hindrance(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program, that can keep the daemon from writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def test_answers_wait_until_records_can_be_written(path: Path, hindrance: sqlite3.Connection) -> None:
    heard: list[str] = []
    with opened(path) as (book, said):
        hindrance.execute("BEGIN IMMEDIATE")
        book.put(PUT, ("a", 1))
        book.put(PUT, ("b", 2))
        book.then(lambda: heard.append("b"))
        await until(lambda: book.trouble)
        assert book.trouble == "database is locked"
        # What happens by itself is put in all the same, and is not written in another order.
        book.put("DELETE FROM room_thing WHERE name = ?", ("a",))
        book.then(lambda: heard.append("gone"))
        await asyncio.sleep(0.05)  # several tries
        assert (heard, said, things(path)) == ([], [Unrecorded("database is locked")], {})
        hindrance.execute("ROLLBACK")
        await until(lambda: len(heard) == 2)
        assert (heard, book.trouble, things(path)) == (["b", "gone"], "", {"b": 2})
        assert isinstance(said[1], Recording)
        assert said[1].seconds >= 0.05
        book.put(PUT, ("c", 3))
        await book.written()
        assert len(said) == 2


async def test_a_failure_in_the_midst_leaves_nothing_of_the_turn(path: Path) -> None:
    with opened(path) as (book, said):
        book.put(PUT, ("a", 1))
        book.put("INSERT INTO room_nothing VALUES (?)", (1,))
        await until(lambda: book.trouble)
        assert said == [Unrecorded("no such table: room_nothing")]
        assert things(path) == {}
        book.put(PUT, ("b", 1))
        await asyncio.sleep(0.05)
        assert things(path) == {}
    assert things(path) == {}  # what was never answered is not there in part either


async def test_the_end_does_not_wait_for_a_disk_that_is_full(
    path: Path, hindrance: sqlite3.Connection
) -> None:
    with opened(path) as (book, _):
        hindrance.execute("BEGIN IMMEDIATE")
        book.put(PUT, ("a", 1))
        answer = book.written()
    assert not answer.done()
    hindrance.execute("ROLLBACK")
    assert things(path) == {}


# Large writes


async def test_a_large_write_is_many_commits_and_others_go_between(path: Path) -> None:
    with opened(path) as (book, _):
        rows = ((str(number), "all") for number in range(5000))
        large = asyncio.create_task(book.put_large(ROOM, "furnish", "all", PUT, rows))
        await until(lambda: commits(book) > 3)
        book.put(PUT, ("small", 1))
        await book.written()
        assert 0 < len(things(path)) < 5001
        await large
        assert (len(things(path)), commits(book) >= 20) == (5001, True)
        assert list(book.read("SELECT * FROM unfinished")) == []


async def test_what_a_dead_daemon_left_unfinished_is_mended_at_the_start(path: Path) -> None:
    with opened(path) as (book, _):
        book.put(PUT, ("kept", "other"), ("half", "all"))
        book.put("INSERT INTO unfinished VALUES (?, ?, ?, ?)", (7, "room", "furnish", "all"))
        book.put("INSERT INTO unfinished VALUES (?, ?, ?, ?)", (9, "elsewhere", "furnish", "other"))
        await book.written()
    with opened(path) as (book, _):
        assert list(book.read("SELECT name FROM room_thing")) == [("kept",)]
        # Another door's is that door's, and its number is not given again.
        assert list(book.read("SELECT number FROM unfinished")) == [(9,)]
        await book.put_large(ROOM, "furnish", "all", PUT, [("a", "all")])
        assert things(path) == {"kept": "other", "a": "all"}


async def test_a_large_write_that_fails_leaves_nothing(path: Path) -> None:
    with opened(path) as (book, _):
        rows: list[Row] = [*((str(number), "all") for number in range(1000)), ("bad", float("nan"))]
        with pytest.raises(ValueError, match="a number that is none"):
            await book.put_large(ROOM, "furnish", "all", PUT, rows)
        await book.written()
        assert things(path) == {}
        assert list(book.read("SELECT * FROM unfinished")) == []


async def test_a_large_write_that_is_given_up_leaves_nothing(path: Path) -> None:
    with opened(path) as (book, _):
        rows = ((str(number), "all") for number in range(1 << 40))
        large = asyncio.create_task(book.put_large(ROOM, "furnish", "all", PUT, rows))
        await until(lambda: things(path))
        large.cancel()
        await asyncio.wait([large])
        await book.written()
        assert large.cancelled()
        assert things(path) == {}


async def test_a_large_write_of_an_unknown_kind_is_a_mistake(path: Path) -> None:
    with opened(path) as (book, _):
        with pytest.raises(KeyError):
            await book.put_large(ROOM, "paint", "all", PUT, [("a", 1)])
        await book.written()
        assert (things(path), commits(book)) == ({}, 0)


# Checkpoints


async def write(book: Book, number: int) -> None:
    for one in range(number):
        book.put(PUT, (f"{one}", f"{one:04000}"))
        await book.written()


def log_of(path: Path) -> int:
    return path.with_name("records-wal").stat().st_size


async def test_the_log_does_not_grow_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGES_A_CHECKPOINT", 10)
    monkeypatch.setattr(module, "PAGES_MOST", 50)
    with opened(path) as (book, said):
        await write(book, 2000)
        assert log_of(path) < 2 << 20  # 2000 commits are some 16 MB
        assert sum(book.checkpoints.buckets) >= 10
        assert said == []
    assert len(things(path)) == 2000


async def test_who_reads_for_long_stops_no_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup keeps the log from beginning anew as long as it reads in it."""
    monkeypatch.setattr(module, "PAGES_A_CHECKPOINT", 10)
    monkeypatch.setattr(module, "PAGES_MOST", 50)
    with opened(path) as (book, _), closing(sqlite3.connect(path, isolation_level=None)) as reader:
        await write(book, 1)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM room_thing").fetchone() == (1,)
        await write(book, 500)
        assert reader.execute("SELECT count(*) FROM room_thing").fetchone() == (1,)
        grown = log_of(path)
        reader.execute("COMMIT")
        await write(book, 500)
        assert log_of(path) < grown + (2 << 20)
    assert len(things(path)) == 500


async def test_the_backup_that_the_manual_names_is_whole(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with opened(path) as (book, _):
        await write(book, 100)
        with closing(sqlite3.connect(path)) as other:
            other.execute("VACUUM INTO ?", (str(copy),))
        await write(book, 200)
    assert len(things(copy)) == 100
    copy.chmod(0o644)
    with opened(copy) as (book, _):
        assert list(book.read("SELECT count(*) FROM room_thing")) == [(100,)]
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_no_file_is_opened_after_the_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One opened in another thread could be the descriptor that libuv keeps for when there are no more."""
    monkeypatch.setattr(module, "PAGES_A_CHECKPOINT", 10)
    with opened(path) as (book, _):
        before = open_files()
        while sum(book.checkpoints.buckets) < 5:
            await write(book, 20)
        await book.put_large(ROOM, "furnish", 1, PUT, ((str(number), 1) for number in range(3000)))
        assert open_files() == before
        assert sum("records" in where for where in before.values()) == 6


async def test_a_checkpoint_that_fails_says_so_and_stops_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGES_A_CHECKPOINT", 1)
    monkeypatch.setattr(module, "PAGES_MOST", 5)
    failed = Checkpoint(0.5, error="disk I/O error")
    monkeypatch.setattr(Checkpointer, "_checkpoint", lambda self: failed)
    with opened(path) as (book, said):
        await write(book, 50)
        assert said == [CheckpointFailed("disk I/O error")]
        assert len(things(path)) == 50
        monkeypatch.undo()
        monkeypatch.setattr(module, "PAGES_A_CHECKPOINT", 1)
        await write(book, 5)
    assert said == [CheckpointFailed("disk I/O error")]


async def test_a_checkpointer_tells_what_went_wrong(path: Path) -> None:
    sqlite3.connect(path).close()
    heard: list[Checkpoint] = []
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    checkpointer = Checkpointer(connection, asyncio.get_running_loop(), heard.append)
    connection.close()
    checkpointer.ask()
    await until(lambda: heard)
    checkpointer.stop()
    assert [(one.complete, one.error) for one in heard] == [(False, "Cannot operate on a closed database.")]
