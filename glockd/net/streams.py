"""An answer that is sent bit by bit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from glockd.net.exchange import Pieces


class Pump:
    """Sends the pieces of one answer, no faster than its client reads.

    Args:
        loop: where it runs.
        pieces: what to send.
        write: takes each piece; None: none is wanted, and the pieces are only told so.
        done: called when all has been sent, or there will be no more because of a fault, which has been reported to the
            loop; not if it was stopped.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pieces: Pieces,
        write: Callable[[bytes], None] | None,
        done: Callable[[bool], None],  # whether all has been sent
    ) -> None:
        self._loop = loop
        self._pieces = pieces
        self._write = write
        self._done = done
        self._room: asyncio.Future[None] | None = None  # while the client does not read
        self._running = False
        self._stopped = False
        self._task = loop.create_task(self._run())

    def pause(self) -> None:
        """Send nothing until `resume`."""
        if self._room is None:
            self._room = self._loop.create_future()

    def resume(self) -> None:
        """Go on."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def stop(self) -> None:
        """Nobody listens any more: tell the pieces, and nobody else."""
        self._stopped = True
        # A task that is cancelled before its first step never takes it, and would tell nobody.
        if self._running:
            self._task.cancel()

    async def _run(self) -> None:
        self._running = True
        whole = False
        try:
            await self._send()
            whole = True
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        except Exception as error:
            self._report(error)
        try:
            await self._pieces.aclose()
        except Exception as error:
            whole = False
            self._report(error)
        if not self._stopped:
            self._done(whole)

    async def _send(self) -> None:
        write = self._write
        if self._stopped or write is None:
            return
        async for piece in self._pieces:
            if self._room is not None:
                await self._room
            if piece:
                write(piece)

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "an answer has broken off", "exception": error})
