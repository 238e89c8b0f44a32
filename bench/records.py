"""What records cost: writes a second, and for how long a commit or a checkpoint keeps the event loop.

    python bench/records.py [--folder /var/tmp] [--seconds 3] [--large 100000]

A book is written to in its event loop, so many rows a turn, as doors do it; each turn waits for its commit. The row is
that of a lock that LDLM keeps over a restart. Beside it: one large write as of a project with so many files, taking it
away again, and the start with it in the file.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from glockd.core.stats import Durations
from glockd.notices import Notice
from glockd.store.book import Book
from glockd.store.shelf import Shelf

SHELF = Shelf(
    name="bench",
    version=1,
    tables=(
        """CREATE TABLE bench_hold (
            name BLOB, key TEXT, size INTEGER NOT NULL, ends REAL, PRIMARY KEY (name, key)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE bench_file (
            project INTEGER, name TEXT, state TEXT NOT NULL, attributes TEXT NOT NULL, PRIMARY KEY (project, name)
        ) STRICT, WITHOUT ROWID""",
    ),
    mends={"create": ("DELETE FROM bench_file WHERE project = ?1",)},
)
HOLD = "INSERT OR REPLACE INTO bench_hold VALUES (?, ?, ?, ?)"
FILE = "INSERT INTO bench_file VALUES (?, ?, ?, ?)"
GONE = "DELETE FROM bench_file WHERE project = ? AND name = ?"

HELD = 10_000  # locks, among which each write finds its own


class Times(Durations):
    """Each of the durations, and when it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[tuple[float, float]] = []

    def add(self, seconds: float) -> None:
        super().add(seconds)
        self.each.append((time.monotonic(), seconds))

    def part(self, share: float) -> float:
        """Milliseconds that so great a share of them stays below."""
        lengths = sorted(seconds for _, seconds in self.each)
        return lengths[min(len(lengths) - 1, int(share * len(lengths)))] * 1000 if lengths else 0.0


class Bench:
    """A book whose times are noted."""

    def __init__(self, path: Path, sync: str) -> None:
        self.begun = time.monotonic()
        self.book = Book(str(path), sync, asyncio.get_running_loop(), self.say)
        self.book.shelve(SHELF)
        self.opened = time.monotonic() - self.begun
        self.forget()

    def say(self, notice: Notice) -> None:
        print(notice)

    def forget(self) -> None:
        self.book.commits, self.book.checkpoints = self.commits, self.checkpoints = Times(), Times()

    def during_checkpoints(self) -> float:
        """The longest commit, in ms, in the time of a checkpoint."""
        spans = [(end - seconds, end) for end, seconds in self.checkpoints.each]
        met = [
            seconds
            for end, seconds in self.commits.each
            if any(begin <= end and end - seconds <= until for begin, until in spans)
        ]
        return max(met, default=0.0) * 1000

    def row(self, what: str, rate: str) -> None:
        commits, checkpoints = self.commits, self.checkpoints
        print(
            f"| {what} | {rate} | {commits.part(0.5):.2f} | {commits.part(0.99):.2f} | {commits.part(1):.1f} "
            f"| {len(checkpoints.each)}: {checkpoints.part(0.5):.0f}, {checkpoints.part(1):.0f} "
            f"| {self.during_checkpoints():.1f} |"
        )


def names() -> Iterator[int]:
    while True:
        yield from range(HELD)


async def small(folder: Path, sync: str, a_turn: int, seconds: float) -> None:
    bench = Bench(folder / f"small-{sync}-{a_turn}", sync)
    book, number = bench.book, names()
    begin, written, waited = time.monotonic(), 0, 0.0
    while time.monotonic() < begin + seconds:
        for _ in range(a_turn):
            one = next(number)
            book.put(HOLD, (b"lock-%d" % one, f"5ca1ab1e-0000-4000-8000-{one:012}", 1, 1.8e9))
        asked = time.monotonic()
        await book.written()
        waited = max(waited, time.monotonic() - asked)
        written += a_turn
    rate = written / (time.monotonic() - begin)
    bench.row(f"{a_turn} a turn, {sync}", f"{rate:,.0f}/s, {waited * 1000:.0f} ms")
    book.close()


async def large(folder: Path, sync: str, files: int) -> None:
    path = folder / f"large-{sync}"
    bench = Bench(path, sync)
    rows = [(1, f"scope:file-{number:07}.root", "initial", '{"size": 1}') for number in range(files)]
    begin = time.monotonic()
    await bench.book.put_large(SHELF, "create", 1, FILE, rows)
    bench.row(f"{files:,} files, {sync}", f"{time.monotonic() - begin:.2f} s")
    bench.forget()
    begin = time.monotonic()
    bench.book.put("UPDATE bench_file SET state = ? WHERE project = ?", ("active", 1))
    await bench.book.written()
    bench.row(f"all of them in one statement, {sync}", f"{time.monotonic() - begin:.2f} s")
    bench.book.close()
    bench = Bench(path, sync)
    print(f"| the start with them, {sync} | {bench.opened:.3f} s | | | | | |")
    begin = time.monotonic()
    await bench.book.put_large(SHELF, "create", 1, GONE, (row[:2] for row in rows))
    bench.row(f"taking them away, {sync}", f"{time.monotonic() - begin:.2f} s")
    bench.book.close()


async def main(folder: Path, seconds: float, files: int) -> None:
    print("| what | rate or time, longest wait | commit ms p50 | p99 | longest | checkpoints: ms p50, longest "
          "| longest commit beside one |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for sync in ("normal", "full"):
        for a_turn in (1, 8, 64):
            await small(folder, sync, a_turn, seconds)
        await large(folder, sync, files)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", default="/var/tmp", help="on the disk that is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row of the table")
    parser.add_argument("--large", type=int, default=100_000, help="rows of the large write")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as place,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(main(Path(place), arguments.seconds, arguments.large))
