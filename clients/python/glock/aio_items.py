"""An item of a work list, for the asyncio client: wanted, and held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from glock.aio_connections import AsyncConnections
from glock.aio_locks import AsyncWatched, Guard
from glock.aio_session import AsyncSession
from glock.errors import GlockError
from glock.scopes import Entered, Scope, spoil
from glock.wire import work
from glock.wire.language import decode
from glock.wire.work import ItemHold, Verb, WantItem

if TYPE_CHECKING:
    from glock.aio import AsyncClient


class AsyncItem(AsyncWatched):
    """An item that is this client's, until it is done, failed or given back, the client's `close`, or its loss.

    Attributes:
        attempt: how often it has been taken, this time included.
        pool: the list that it is of.
    """

    def __init__(
        self,
        server: AsyncConnections,
        session: AsyncSession,
        hold: ItemHold,
        on_lost: Callable[[AsyncItem], None] | None,
    ) -> None:
        super().__init__(server, session, hold, on_lost)
        self.attempt = hold.attempt
        self.pool = decode(hold.pool)
        self._item = hold

    async def done(self) -> None:
        """It is finished, and gone.

        Raises:
            LockLost, ConnectionLost: it was lost before, and is or will be somebody else's.
            RuntimeError: its end was told before.
            NotRecorded: the server cannot write that down; it is held as before.
        """
        await self._finish("done")

    async def fail(self) -> None:
        """It is given up: gone, and counted as failed. Errors as those of `done`."""
        await self._finish("fail")

    async def give(self) -> None:
        """It goes back, behind those tried less. Errors as those of `done`."""
        await self._finish("give")

    async def keep(self, seconds: float) -> None:
        """From now on the daemon takes it back after so many seconds, unless this comes again; `inf` ends that.

        Raises:
            LockLost, ConnectionLost: it was lost.
        """
        await self._session.run(work.keep(self._session.talk, self._item, seconds))

    async def _finish(self, verb: Verb) -> None:
        self._releasing()
        try:
            await self._session.run(work.finish(self._session.talk, self._item, verb))
        except asyncio.CancelledError:
            self._session.talk.holds.pop(self._item.key, None)  # it has been said, whatever is answered
            raise
        except BaseException:
            self._released = self._item.key not in self._session.talk.holds
            raise
        finally:
            if self._released:
                self._server.let_go(self._session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._released:
            return
        try:
            await self._finish("done" if error is None else "give")
        except GlockError as loss:
            spoil(error, loss)


class AsyncItemRequest(Scope[WantItem]):
    """An item to be taken: by `acquire`, or by `async with`, whose end says done, or gives it back if by an error;
    again and again.

    If it is lost while the body of its `async with` waits for something, the body is interrupted, and `LockLost` or
    `ConnectionLost` comes out of the `async with`.
    """

    def __init__(
        self, client: AsyncClient, want: WantItem, on_lost: Callable[[AsyncItem], None] | None
    ) -> None:
        super().__init__(want)
        self._client = client
        self._on_lost = on_lost
        self._entered: Entered[asyncio.Task[Any] | None, tuple[AsyncItem, Guard]] = Entered()

    async def acquire(self) -> AsyncItem:
        """Take one. Cancelled, none is taken or waited for.

        Raises:
            LockBusy: none is free, and `wait` was 0. WaitTimeout: … all the time.
            LimitReached: this client has as many as it may.
            Unreachable, ConnectionLost, NotAuthorised, NotRecorded, Disabled, Unsupported: see `glock.errors`.
        """
        return await self._client._take(self.want, self._on_lost, asyncio.current_task())

    async def __aenter__(self) -> AsyncItem:
        task = asyncio.current_task()
        item = await self._client._take(self.want, self._on_lost, task)
        self._entered.push(task, (item, Guard(item, task)))
        return item

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        item, guard = self._entered.pop(asyncio.current_task())
        left = guard.leave(error)
        await item.__aexit__(type(left) if left is not None else None, left, trace)
