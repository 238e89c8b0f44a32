"""`glock work`: one command after the other, each with an item of a work list."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glock.aio import AsyncClient
from glock.aio_items import AsyncItem
from glock.cli.exits import LOST
from glock.cli.output import printable, say
from glock.cli.run import NOT_EXECUTABLE, NOT_FOUND
from glock.cli.words import span
from glock.errors import Disabled, GlockError, LockLost, WaitTimeout

LOOK = 1.0  # seconds between two looks whether others still hold items
LONGEST = 1e8  # seconds of a timer
PROGRESS = 0.2  # seconds between two lines of progress
HERE = "{}"  # in the command: where the item belongs


class Foreman:
    """Takes items and has them worked on.

    Args:
        pool: the list.
        command: what is run, with the item in the place of HERE, or behind.
        server: what commands are told in GLOCK_SERVER.
        jobs: how many at a time.
        retries: how often an item is given back before it counts as failed.
        stay: whether to wait when the list is empty.
        keep: seconds that a command may take; None: as long as it likes.
        grace: seconds between TERM and KILL for a command whose item is lost.
        inherit: whether commands have the connection.
    """

    def __init__(
        self,
        pool: str,
        command: Sequence[str],
        *,
        server: str | None,
        jobs: int,
        retries: int,
        stay: bool,
        keep: float | None,
        grace: float,
        inherit: bool,
    ) -> None:
        self.pool = pool
        self.command = list(command)
        self.server = server
        self.jobs = jobs
        self.retries = retries
        self.stay = stay
        self.keep = keep
        self.grace = grace
        self.inherit = inherit
        self.done = self.failed = self.given = 0
        self.running: dict[asyncio.subprocess.Process, None] = {}
        self.stopping = 0  # the number of the signal that ends it
        self.unusable = 0  # 126 or 127: the command cannot be started
        self.begun = time.monotonic()

    async def run(self, url: str | None, options: Mapping[str, Any]) -> int:
        """Work until the list is empty, or a signal says to stop.

        Returns:
            the exit code.
        """
        loop = asyncio.get_running_loop()
        async with AsyncClient(url, **options) as client:
            workers = [asyncio.create_task(self.works(client)) for _ in range(self.jobs)]
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) != signal.SIG_IGN:
                    loop.add_signal_handler(number, self.stop, number, workers)
            with self.progress(loop):
                ended = await asyncio.gather(*workers, return_exceptions=True)
        self.summarise()
        for error in ended:
            if isinstance(error, LockLost) and not self.stopping:
                say(str(error))
                return LOST
            if isinstance(error, Exception):
                raise error
        if self.stopping:
            return 128 + self.stopping
        return self.unusable or int(self.failed > 0)

    def stop(self, number: int, workers: Sequence[asyncio.Task[None]]) -> None:
        """Take no more items, and pass the signal on; the second time there is no mercy."""
        again = bool(self.stopping)
        self.stopping = number
        for process in self.running:
            self.send(process, signal.SIGKILL if again else number)
        if not self.running:
            for worker in workers:
                worker.cancel()

    async def works(self, client: AsyncClient) -> None:
        """One item after the other."""
        while not self.stopping and not self.unusable:
            try:
                item = await self.takes(client)
                if item is None:
                    return
            except asyncio.CancelledError:
                return
            await self.works_on(item)

    async def takes(self, client: AsyncClient) -> AsyncItem | None:
        """The next item; None when there is none, and nobody holds one that might come back."""
        wanted = client.take(self.pool, wait=LOOK, keep=self.keep)
        while not self.stopping and not self.unusable:
            try:
                if self.stay:
                    return await client.take(self.pool, keep=self.keep).acquire()
                if not await self.is_over(client):
                    return await wanted.acquire()
                return None
            except WaitTimeout:
                continue
        return None

    async def is_over(self, client: AsyncClient) -> bool:
        try:
            counts = await client.pool(self.pool)
        except Disabled:  # the operator shows nobody what there is
            counts = {"free": 0, "held": 0}
            with contextlib.suppress(GlockError):
                item = await client.take(self.pool, wait=0).acquire()
                await item.give()
                return False
        return not counts["free"] and not counts["held"]

    async def works_on(self, item: AsyncItem) -> None:
        """Run the command, and say what became of the item."""
        status = await self.status_of(item)
        try:
            if status is None or self.stopping:
                if item.reason is None:
                    await item.give()
                self.given += 1
            elif status == 0:
                await item.done()
                self.done += 1
            elif item.attempt <= self.retries:
                say(f"{printable(item.name)}: status {status}, attempt {item.attempt}: given back")
                await item.give()
                self.given += 1
            else:
                say(f"{printable(item.name)}: status {status}: failed")
                await item.fail()
                self.failed += 1
        except LockLost as loss:
            say(str(loss))
            self.given += 1
            if item.reason is not None and isinstance(loss, ConnectionError):
                raise

    async def status_of(self, item: AsyncItem) -> int | None:
        """The command's exit status, 128 + N for signal N; None if it was not to be had."""
        arguments = [word.replace(HERE, item.name) for word in self.command]
        if arguments == self.command:
            arguments.append(item.name)
        fds = [os.dup(item.fileno())] if self.inherit else []
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                env=self.environment(item, fds),
                pass_fds=fds,
                process_group=0,
            )
        except OSError as error:
            say(f"{arguments[0]}: {error.strerror}")
            self.unusable = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            return None
        finally:
            for fd in fds:
                os.close(fd)
        self.running[process] = None
        watcher = asyncio.create_task(self.ends_when_lost(item, process))
        try:
            status = await process.wait()
        finally:
            watcher.cancel()
            del self.running[process]
        if item.reason is not None:
            return None
        return status if status >= 0 else 128 - status

    def environment(self, item: AsyncItem, fds: Sequence[int]) -> dict[str, str]:
        told = {
            **os.environ,
            "GLOCK_ITEM": item.name,
            "GLOCK_POOL": item.pool,
            "GLOCK_ATTEMPT": str(item.attempt),
        }
        told.pop("GLOCK_FD", None)
        if fds:
            told["GLOCK_FD"] = str(fds[0])
        if self.server is not None:
            told["GLOCK_SERVER"] = self.server
        return told

    async def ends_when_lost(self, item: AsyncItem, process: asyncio.subprocess.Process) -> None:
        await item.lost.wait()
        say(f"the item {printable(item.name)!r} was lost: {item.reason}; ending the command")
        self.send(process, signal.SIGTERM)
        self.send(process, signal.SIGCONT)  # one that is stopped could not end
        await asyncio.sleep(min(self.grace, LONGEST))
        self.send(process, signal.SIGKILL)

    def send(self, process: asyncio.subprocess.Process, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    # What people see

    @contextlib.contextmanager
    def progress(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """A line on the terminal that says how far it is."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status("") as status:

            async def tell() -> None:
                while True:
                    status.update(self.so_far())
                    await asyncio.sleep(PROGRESS)

            teller = loop.create_task(tell())
            try:
                yield
            finally:
                teller.cancel()

    def so_far(self) -> str:
        """How far it is, in words."""
        words = [f"{self.done} done"]
        words += [f"{self.failed} failed"] if self.failed else []
        words += [f"{self.given} given back"] if self.given else []
        words += [f"{len(self.running)} running"] if self.running else []
        return f"{self.pool}: {', '.join(words)}, {span(time.monotonic() - self.begun)}"

    def summarise(self) -> None:
        if sys.stderr.isatty() or self.failed or self.given:
            say(printable(self.so_far()))
