"""A lock of the asyncio client: wanted, and held."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AsyncContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from glock.aio_connections import AsyncConnections
from glock.aio_session import AsyncSession
from glock.errors import GlockError
from glock.scopes import Entered, Held, Scope, spoil
from glock.wire import recipes
from glock.wire.conversation import Hold
from glock.wire.recipes import Want

if TYPE_CHECKING:
    from glock.aio import AsyncClient

F = TypeVar("F", bound=Callable[..., Any])


class AsyncWatched(Held):
    """What is held on a connection, and whose loss can be told of."""

    def __init__(
        self,
        server: AsyncConnections,
        session: AsyncSession,
        hold: Hold,
        on_lost: Callable[[Any], None] | None,
    ) -> None:
        super().__init__(hold)
        self._server = server
        self._session = session
        self._lost: asyncio.Event | None = None
        if on_lost is not None:

            def tell() -> None:
                if not self._released:
                    session.later(lambda: on_lost(self))

            hold.on_lost.append(tell)

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as it is known to be lost."""
        if self._lost is None:
            self._lost = asyncio.Event()
            self._hold.on_lost.append(self._lost.set)
            if self._hold.lost is not None:
                self._lost.set()
        return self._lost

    def fileno(self) -> int:
        """The descriptor of the connection that it lives by; see `Lock.fileno`."""
        return self._session.fileno()

    def check(self) -> None:
        """Look whether it is still held, by what has arrived; the server is not asked.

        Raises:
            LockLost, ConnectionLost: it is not.
        """
        if self._hold.lost is not None:
            raise self._hold.lost


class AsyncLock(AsyncWatched):
    """A lock that is held, until `release`, the end of its `async with`, the client's `close`, or its loss."""

    async def renew(self, lease: float) -> None:
        """From now on the daemon takes it back after `lease` seconds, unless this comes again; `inf` ends the
        lease.

        Raises:
            LockLost, ConnectionLost: it was lost.
            Unsupported: a shared lock, or the original glockd.
        """
        await self._session.run(recipes.renew(self._session.talk, self._hold, lease))

    async def release(self) -> None:
        """Give it back. It is given back also if this is cancelled.

        Raises:
            LockLost, ConnectionLost: it was lost before.
            RuntimeError: it was released before.
        """
        self._releasing()
        try:
            await self._session.run(recipes.release(self._session.talk, self._hold))
        finally:
            self._server.let_go(self._session)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._released:
            return
        try:
            await self.release()
        except GlockError as loss:
            spoil(error, loss)


class Guard:
    """The body of one `async with`: cancelled when its lock is lost, which then comes out as the loss
    (as asyncio.timeout)."""

    __slots__ = ("_cancelling", "_hold", "_interrupted", "_task")

    def __init__(self, lock: AsyncWatched, task: asyncio.Task[Any] | None) -> None:
        self._hold = hold = lock._hold
        self._task = task
        self._cancelling = task.cancelling() if task is not None else 0
        self._interrupted = False
        hold.on_lost.append(self._interrupt)
        if hold.lost is not None:
            self._interrupt()

    def _interrupt(self) -> None:
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()

    def leave(self, error: BaseException | None) -> BaseException | None:
        """The body has ended, by `error`. Returns what is left of that."""
        if self._hold.lost is None:
            self._hold.on_lost.remove(self._interrupt)
        task, self._task = self._task, None
        if self._interrupted and task is not None:
            ours = task.uncancel() <= self._cancelling
            if ours and isinstance(error, asyncio.CancelledError):
                return None  # nobody else wanted the cancellation
        return error


class AsyncLockRequest(Scope[Want], AsyncContextDecorator):
    """A lock to be got: by `acquire`, by `async with`, or around a coroutine function as its decorator; again
    and again.

    If the lock is lost while the body of its `async with` waits for something, the body is interrupted, and
    `LockLost` or `ConnectionLost` comes out of the `async with`.
    """

    def __init__(self, client: AsyncClient, want: Want, on_lost: Callable[[AsyncLock], None] | None) -> None:
        super().__init__(want)
        self._client = client
        self._on_lost = on_lost
        self._entered: Entered[asyncio.Task[Any] | None, tuple[AsyncLock, Guard]] = Entered()

    async def acquire(self) -> AsyncLock:
        """Get it. Cancelled, it is neither held nor waited for.

        Raises:
            LockBusy: somebody else has it, and `wait` was 0. WaitTimeout: … all the time.
            Deadlock: waiting would never have ended.
            Unreachable, ConnectionLost, NotAuthorised, Disabled, LimitReached, Unsupported: see
            `glock.errors`.
        """
        return await self._client._acquire(self.want, self._on_lost, asyncio.current_task())

    async def __aenter__(self) -> AsyncLock:
        task = asyncio.current_task()
        lock = await self._client._acquire(self.want, self._on_lost, task)
        self._entered.push(task, (lock, Guard(lock, task)))
        return lock

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock, guard = self._entered.pop(asyncio.current_task())
        await lock.__aexit__(None, guard.leave(error), None)

    def __call__(self, function: F) -> F:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is no coroutine function")
        return super().__call__(function)
