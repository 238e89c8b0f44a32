"""A program that writes down what it is told on standard input, and answers once it is written.

python -m tests.store.diary PATH SYNC: each line is a word and a number. `note N` writes two rows, `large N` ROWS of
them in several commits; either is answered by itself. `fill N` leaves no room on the disk, `free N` gives it back,
`trouble N` tells what there is of it, `all N` reads what is written.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from glockd.store.book import Book
from tests.store.rooms import PUT, ROOM, things

ROWS = 1000


class Diary:
    """What is done with each line."""

    def __init__(self, path: Path, sync: str) -> None:
        self.path, self.loop, self.rest = path, asyncio.get_running_loop(), b""
        self.book = Book(str(path), sync, self.loop, lambda _: None)
        self.book.shelve(ROOM)
        self.ended = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop.add_reader(0, self.read)
        print("ready", flush=True)

    def read(self) -> None:
        data = os.read(0, 1 << 16)
        if not data:
            self.loop.remove_reader(0)
            self.ended.set()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            word, number = line.decode().split()
            DOES[word](self, number)

    def note(self, number: str) -> None:
        self.book.put(PUT, (f"{number} left", number))
        self.book.put(PUT, (f"{number} right", number))
        self.book.then(lambda: self.answer("note", number))

    def large(self, number: str) -> None:
        task = self.loop.create_task(self.furnish(number))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def furnish(self, number: str) -> None:
        rows = ((f"{number} {one}", f"large {number}") for one in range(ROWS))
        await self.book.put_large(ROOM, "furnish", f"large {number}", PUT, rows)
        self.answer("large", number)

    def fill(self, number: str) -> None:
        filler = os.open(self.path.with_name("filler"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (4096, 1):
            try:
                while True:
                    os.write(filler, bytes(size))
            except OSError:
                continue
        os.close(filler)
        self.answer("fill", number)

    def free(self, number: str) -> None:
        self.path.with_name("filler").unlink()
        self.answer("free", number)

    def trouble(self, number: str) -> None:
        self.answer("trouble", number, self.book.trouble)

    def all(self, number: str) -> None:
        self.answer("all", number, *sorted(things(self.path)))

    def answer(self, *words: str) -> None:
        print(*words, sep="\t", flush=True)


DOES: dict[str, Callable[[Diary, str], None]] = {
    "note": Diary.note,
    "large": Diary.large,
    "fill": Diary.fill,
    "free": Diary.free,
    "trouble": Diary.trouble,
    "all": Diary.all,
}


async def main() -> None:
    diary = Diary(Path(sys.argv[1]), sys.argv[2])
    await diary.ended.wait()
    diary.book.close()


if __name__ == "__main__":
    asyncio.run(main())
