"""The file of records: who may have it, and what is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from glockd.config import StartError
from glockd.store.file import APPLICATION, RecordsFile
from tests.store.rooms import PUT, open_files, opened, things


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records"


def refusal(path: Path) -> str:
    """Why the file cannot be used; and it can by somebody else, since it is let go of."""
    with pytest.raises(StartError) as error:
        RecordsFile(str(path), "normal")
    assert not any(str(path) in one for one in open_files().values())
    return str(error.value)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
async def test_nobody_else_may_read_it_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with opened(path) as (book, _):
            book.put(PUT, ("a", 1))
            await book.written()
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"records": 0o600, "records-wal": 0o600, "records-shm": 0o600}


async def test_what_others_may_read_is_closed_to_them(path: Path) -> None:
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
        await book.written()
        copies = bytes_of(path.parent)
    for name, content in copies.items():
        path.with_name(name).write_bytes(content)
        path.with_name(name).chmod(0o666)
    with opened(path):
        assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
    assert things(path) == {"a": 1}


@pytest.mark.parametrize("whose", ["records", "records-wal", "records-shm"])
async def test_another_user_s_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
        await book.written()
        copies = bytes_of(path.parent)
    for name, content in copies.items():
        path.with_name(name).write_bytes(content)
    fstat, lstat = os.fstat, Path.lstat

    def foreign(status: os.stat_result) -> os.stat_result:
        return os.stat_result((*status[:4], 54321, *status[5:]))

    def foreign_fstat(descriptor: int) -> os.stat_result:
        return foreign(fstat(descriptor)) if whose == "records" else fstat(descriptor)

    def foreign_lstat(self: Path) -> os.stat_result:
        return foreign(lstat(self)) if self.name == whose else lstat(self)

    monkeypatch.setattr(os, "fstat", foreign_fstat)
    monkeypatch.setattr(Path, "lstat", foreign_lstat)
    why = refusal(path)
    monkeypatch.undo()
    assert why == f"-records: {path.with_name(whose)}: belongs to 54321, and another user runs this daemon"
    assert bytes_of(path.parent) == copies


async def test_one_daemon_has_it(path: Path) -> None:
    with opened(path) as (book, _):
        with pytest.raises(StartError) as error:
            RecordsFile(str(path), "normal")
        assert str(error.value) == f"-records: {path}: another daemon uses it"
        # The refused one has taken no lock of SQLite's from the other.
        book.put(PUT, ("a", 1))
        await book.written()
        assert book.trouble == ""
    assert things(path) == {"a": 1}
    RecordsFile(str(path), "normal").close()


def no_sqlite(path: Path) -> None:
    path.write_text("dear diary\n" * 1000)


def cut_in_the_header(path: Path) -> None:
    os.truncate(path, 50)


def cut_in_the_midst(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def scribbled_on(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 4096)


def another_program_s(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 1")


def later_format(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


def nobody_s(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (thing)")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (no_sqlite, "is no file of records"),
        (cut_in_the_header, "database disk image is malformed"),
        (cut_in_the_midst, "database disk image is malformed"),
        (scribbled_on, "is damaged: "),
        (another_program_s, "belongs to another program"),
        (nobody_s, "belongs to another program"),
        (later_format, "has format 2, and this glockd knows none after 1"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_what_is_wrong_is_refused_and_left_as_it_is(
    path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    with opened(path) as (book, _):
        book.put(PUT, *((f"{number}", "x" * 1000) for number in range(1000)))
    spoil(path)
    before = bytes_of(path.parent)
    assert refusal(path).startswith(f"-records: {path}: {why}")
    assert bytes_of(path.parent) == before


async def test_an_empty_file_beside_a_log_is_no_new_one(path: Path) -> None:
    with opened(path) as (book, _):
        book.put(PUT, ("a", 1))
        await book.written()
        copies = bytes_of(path.parent)
    for name, content in (copies | {"records": b""}).items():
        path.with_name(name).write_bytes(content)
    assert "is empty, but " in refusal(path)
    assert bytes_of(path.parent) == copies | {"records": b""}


async def test_an_empty_file_is_a_new_one(path: Path) -> None:
    os.mknod(path)
    with opened(path) as (book, _):
        assert list(book.read("PRAGMA application_id")) == [(APPLICATION,)]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("no/records", "No such file or directory"),
        (".", "Is a directory"),
        ("pipe", "is no regular file"),
        (":memory:", None),
        ("file:records?mode=ro", None),
    ],
)
def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, why: str | None) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    if why is None:  # a name like any other
        RecordsFile(where, "normal").close()
        assert (tmp_path / where).stat().st_size > 0
    else:
        with pytest.raises(StartError, match=why):
            RecordsFile(where, "normal")


@pytest.mark.parametrize(("sync", "level"), [("normal", 1), ("full", 2)])
def test_how_much_is_synced(path: Path, sync: str, level: int) -> None:
    """https://sqlite.org/pragma.html#pragma_synchronous."""
    file = RecordsFile(str(path), sync)
    with closing(file.connect()) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()
