"""A command that runs in a window: waits for it, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glock.aio import AsyncClient
from glock.cli.exits import LOST
from glock.cli.output import printable, say
from glock.cli.run import NOT_EXECUTABLE, NOT_FOUND
from glock.errors import Disabled, GlockError
from glock.wire.windows import Booking, WantWindow

NEAR = 0.1  # seconds between two looks when the window is about to begin
FAR = 5.0  # likewise when it is not, and while it is on
LONGEST = 1e8  # seconds of a timer


class Attendant:
    """Waits for a window and runs a command in it.

    The window is the server's: so it is looked at there, whose clock counts, and over restarts of it.

    Args:
        want: the window.
        command: what is run.
        server: what it is told in GLOCK_SERVER.
        grace: seconds between TERM and KILL when the window is over.
    """

    booking: Booking

    def __init__(self, want: WantWindow, command: Sequence[str], *, server: str | None, grace: float) -> None:
        self.want = want
        self.command = list(command)
        self.server = server
        self.grace = grace
        self.is_over = False  # the command is being ended, since the window is over
        self.stopping = 0  # the number of the signal that ends it
        self.process: asyncio.subprocess.Process | None = None
        self.is_unseen = False  # the server tells nobody of windows; or, for a while, nothing at all

    async def run(self, url: str | None, options: Mapping[str, Any], told: Callable[[Booking], None]) -> int:
        """Book the window, run the command in it, and give back what is left.

        Args:
            url: the server's.
            options: those of the client.
            told: called with the window once it is booked.

        Returns:
            the exit code.

        Raises:
            GlockError: it cannot be booked.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self.stop, number, task)
        async with AsyncClient(url, **options) as client:
            booked = asyncio.create_task(self.books(client))
            try:
                self.booking = await asyncio.shield(booked)
                told(self.booking)
                if not await self.is_open(client):
                    say(f"the window of {self.name!r} is over, or was lost, before it began")
                    return LOST
                return await self.attend(client)
            except asyncio.CancelledError:
                task.uncancel()
                return 128 + self.stopping
            finally:
                with contextlib.suppress(GlockError):
                    await client.unbook(await booked)

    async def books(self, client: AsyncClient) -> Booking:
        want = self.want
        return await client.book(want.name, want.length, start=want.start, slip=want.slip, shared=want.shared)

    @property
    def name(self) -> str:
        return printable(self.booking.name)

    def stop(self, number: int, task: asyncio.Task[Any]) -> None:
        """Pass a signal on, or give the window up; the second time there is no mercy."""
        again, self.stopping = bool(self.stopping), number
        if self.process is None:
            task.cancel()
        else:
            self.send(signal.SIGKILL if again else number)

    async def is_open(self, client: AsyncClient) -> bool:
        """Wait for the window; whether it is on."""
        while True:
            state = await self.look(client)
            left = self.booking.start.timestamp() - time.time()
            if state == "running" or (state == "unknown" and left <= 0):
                return True
            if state == "gone":
                return False
            await asyncio.sleep(min(FAR, max(NEAR, left / 2)))

    async def look(self, client: AsyncClient) -> str:
        """pending, running, gone, or unknown as long as the server does not say."""
        try:
            found = await client.bookings(self.booking.name)
        except Disabled:
            return "unknown"
        except (ConnectionError, OSError) as error:
            if not self.is_unseen:
                say(f"{error}; the window is looked at again when there is a server")
            self.is_unseen = True
            return "unknown" if self.process is not None else "pending"
        self.is_unseen = False
        mine = (one["state"] for one in found if one["id"] == self.booking.number)
        return next(mine, "gone")

    async def attend(self, client: AsyncClient) -> int:
        """Run the command until it or the window has ended."""
        until = time.monotonic() + await self.left(client)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                env=self.environment(),
                process_group=0,
            )
        except OSError as error:
            say(f"{self.command[0]}: {error.strerror}")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        watcher = asyncio.create_task(self.ends_with_the_window(client, until))
        try:
            status = await self.process.wait()
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])
        if self.is_over and not self.stopping:
            return LOST
        return status if status >= 0 else 128 - status

    async def left(self, client: AsyncClient) -> float:
        """How many seconds are left of the window: by the server's own clock, if it says so."""
        with contextlib.suppress(GlockError, KeyError, TypeError):
            holders = (await client.explain(self.booking.name))["windows"]["holders"]
            mine = f"window:{self.booking.number}"
            return float(next(one["lease"] for one in holders if one["address"] == mine))
        return self.booking.end.timestamp() - time.time()

    async def ends_with_the_window(self, client: AsyncClient, until: float) -> None:
        """End the command when the window is over, or is no longer ours."""
        why = "is over"
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(FAR, left))
            if until - time.monotonic() > NEAR and await self.look(client) == "gone":
                why = "was given back"
                break
        self.is_over = True
        say(f"the window of {self.name!r} {why}; ending the command")
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)  # one that is stopped could not end
        await asyncio.sleep(min(self.grace, LONGEST))
        self.send(signal.SIGKILL)

    def environment(self) -> dict[str, str]:
        told = {
            **os.environ,
            "GLOCK_WINDOW": str(self.booking.number),
            "GLOCK_WINDOW_END": self.booking.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if self.server is not None:
            told["GLOCK_SERVER"] = self.server
        return told

    def send(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
