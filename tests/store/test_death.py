"""Records and the death of the daemon: what was answered is there, and nothing is half there."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.diary import ROWS
from tests.store.rooms import opened, things
from tests.support.places import ROOT

LIVES = int(os.environ.get("GLOCKD_LIVES", "12"))
AT_ONCE = 40  # lines that are on their way


class Writer:
    """A diary in a process of its own.

    Attributes:
        answered: what it has said of each line that it has answered, by word and number.
    """

    def __init__(self, path: Path, sync: str, *before: str) -> None:
        self.answered: dict[tuple[str, str], list[str]] = {}
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "tests.store.diary", str(path), sync],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        assert self.stdout.readline() == "ready\n"

    def says(self, word: str, number: int) -> None:
        self.stdin.write(f"{word} {number}\n")
        self.stdin.flush()

    def hears(self) -> tuple[str, str] | None:
        """The line that the next answer is for; None at the end."""
        line = self.stdout.readline()
        if not line.endswith("\n"):
            return None
        word, number, *rest = line[:-1].split("\t")
        self.answered[word, number] = rest
        return word, number

    def asks(self, word: str, number: int) -> list[str]:
        """What it answers, and before it what else is due."""
        self.says(word, number)
        while self.hears() != (word, str(number)):
            pass
        return self.answered[word, str(number)]

    def is_killed(self) -> None:
        """It ends at once; what it has answered before is heard."""
        self.process.kill()
        while self.hears():
            pass
        self.process.wait()
        self.stdin.close()
        self.stdout.close()

    def ends(self) -> None:
        self.stdin.close()
        while self.hears():
            pass
        assert self.process.wait() == 0
        self.stdout.close()


def word_for(number: int) -> str:
    return "large" if number % 10 == 0 else "note"


def lead_a_life(path: Path, sync: str, first: int, chance: random.Random) -> Writer:
    """Write until a moment that nobody knows before, when the writer is killed."""
    writer = Writer(path, sync)
    for number in range(first, first + AT_ONCE):
        writer.says(word_for(number), number)
    for number in range(first + AT_ONCE, first + AT_ONCE + chance.randrange(1, 400)):
        assert writer.hears()
        writer.says(word_for(number), number)
    writer.is_killed()
    return writer


def unfinished(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        number: int = connection.execute("SELECT count(*) FROM unfinished").fetchone()[0]
    return number


@pytest.mark.parametrize("sync", ["normal", "full"])
async def test_all_that_was_answered_is_there_and_nothing_is_by_halves(tmp_path: Path, sync: str) -> None:
    path, chance = tmp_path / "records", random.Random(f"{sync} 7")
    answered: set[str] = set()
    left = 0
    for life in range(LIVES):
        writer = lead_a_life(path, sync, life * 10_000, chance)
        answered |= {number for _, number in writer.answered}
        left += unfinished(path)
        with opened(path):
            found = Counter(name.partition(" ")[0] for name in things(path))
        assert answered <= found.keys()
        for number, rows in found.items():
            assert rows == (ROWS if word_for(int(number)) == "large" else 2), number
    assert len(answered) > 10 * LIVES
    assert left  # or this has shown nothing about large writes


def test_a_full_disk_keeps_answers_back_until_there_is_room(
    tmp_path: Path, in_namespace: tuple[str, ...]
) -> None:
    mount = f'mount -t tmpfs -o size=1m none {tmp_path} && exec "$@"'
    writer = Writer(tmp_path / "records", "normal", *in_namespace, "sh", "-c", mount, "sh")
    for number in range(50):
        writer.asks("note", number)
    writer.asks("fill", 0)
    number = 50
    trouble = [""]
    while trouble == [""]:
        writer.says("note", number)
        number += 1
        trouble = writer.asks("trouble", number)
    assert trouble == ["database or disk is full"]
    told = {one for word, one in writer.answered if word == "note"}
    assert len(told) < number
    written = {name.partition(" ")[0] for name in writer.asks("all", 0)}
    assert told <= written
    writer.asks("free", 0)
    while ("note", str(number - 1)) not in writer.answered:
        writer.hears()
    told = {one for word, one in writer.answered if word == "note"}
    assert told == {str(one) for one in range(number)}
    assert len(writer.asks("all", 1)) == 2 * number
    assert writer.asks("trouble", 1) == [""]
    writer.ends()
