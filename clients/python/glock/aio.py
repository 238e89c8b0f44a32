"""The asyncio client."""

from __future__ import annotations

import asyncio
import inspect
import ssl
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import AsyncContextDecorator
from itertools import chain
from types import TracebackType
from typing import Any, Self, TypeVar

from glock.address import Address, servers
from glock.aio_session import AsyncSession
from glock.errors import GlockError
from glock.scopes import Entered, Held, Scope, Servers, spoil
from glock.session import MOST_IDLE, Options
from glock.wire import recipes
from glock.wire.conversation import Conversation, Hold
from glock.wire.language import Name, encode
from glock.wire.recipes import Holder, Mode, Peer, Recipe, Want

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class AsyncLock(Held):
    """A lock that is held, until `release`, the end of its `async with`, the client's `close`, or its loss."""

    def __init__(
        self,
        server: _AsyncServer,
        session: AsyncSession,
        hold: Hold,
        on_lost: Callable[[AsyncLock], None] | None,
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
        """Set as soon as the lock is known to be lost."""
        if self._lost is None:
            self._lost = asyncio.Event()
            self._hold.on_lost.append(self._lost.set)
            if self._hold.lost is not None:
                self._lost.set()
        return self._lost

    def check(self) -> None:
        """Look whether it is still held, by what has arrived; the server is not asked.

        Raises:
            LockLost, ConnectionLost: it is not.
        """
        if self._hold.lost is not None:
            raise self._hold.lost

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


class _Guard:
    """The body of one `async with`: cancelled when its lock is lost, which then comes out as the loss
    (as asyncio.timeout)."""

    __slots__ = ("_cancelling", "_hold", "_interrupted", "_task", "lock")

    def __init__(self, lock: AsyncLock, task: asyncio.Task[Any] | None) -> None:
        self.lock = lock
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


class AsyncLockRequest(Scope, AsyncContextDecorator):
    """A lock to be got: by `acquire`, by `async with`, or around a coroutine function as its decorator; again
    and again.

    If the lock is lost while the body of its `async with` waits for something, the body is interrupted, and
    `LockLost` or `ConnectionLost` comes out of the `async with`.
    """

    def __init__(self, client: AsyncClient, want: Want, on_lost: Callable[[AsyncLock], None] | None) -> None:
        super().__init__(want)
        self._client = client
        self._on_lost = on_lost
        self._entered: Entered[asyncio.Task[Any] | None, _Guard] = Entered()

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
        self._entered.push(task, _Guard(lock, task))
        return lock

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        guard = self._entered.pop(asyncio.current_task())
        await guard.lock.__aexit__(None, guard.leave(error), None)

    def __call__(self, function: F) -> F:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__qualname__} is no coroutine function")
        return super().__call__(function)


class _AsyncServer:
    """The connections to one server: one for each task that holds or waits, the others idle."""

    def __init__(self, address: Address, options: Options) -> None:
        self.address = address
        self._options = options
        self._idle: list[AsyncSession] = []
        self._all: set[AsyncSession] = set()
        self._own: dict[weakref.ref[asyncio.Task[Any]], AsyncSession] = {}  # those that hold something
        self._closed = False

    def own(self, task: asyncio.Task[Any] | None) -> AsyncSession | None:
        """The task's, if it holds something.

        Raises:
            ConnectionLost: … or believes that it does.
        """
        own = self._own.get(weakref.ref(task)) if self._own and task is not None else None
        if own is None or not own.taken:
            return None
        if own.talk.closed is not None:
            # No new connection as long as locks that were lost are believed to be held.
            raise own.talk.closed
        return own

    def idle(self) -> AsyncSession | None:
        """One that holds nothing, if there is any."""
        loop = asyncio.get_running_loop()
        while self._idle:
            session = self._idle.pop()
            if session.talk.closed is None and session.loop is loop:
                return session
            self.put_back(session)
        return None

    async def spare(self) -> AsyncSession:
        """One that holds nothing, idle or new."""
        if (idle := self.idle()) is not None:
            return idle
        if self._closed:
            raise RuntimeError("this client is closed")
        session = await AsyncSession.open(self.address, self._options)
        self._all.add(session)
        return session

    def put_back(self, session: AsyncSession) -> None:
        """It holds nothing: keep it for later."""
        fit = session.talk.closed is None and not session.talk.holds and not session.loop.is_closed()
        if fit and len(self._idle) < MOST_IDLE and not self._closed:
            self._idle.append(session)
        else:
            self._all.discard(session)
            session.close("not needed any more")

    def take(self, session: AsyncSession, task: asyncio.Task[Any] | None) -> None:
        """The task has got a lock on it."""
        session.taken += 1
        if session.owner is None and task is not None:
            session.owner = weakref.ref(task)
            self._own[session.owner] = session

    def let_go(self, session: AsyncSession) -> None:
        """A lock on it has been released, by whichever task."""
        session.taken -= 1
        if not session.taken:
            if session.owner is not None and self._own.get(session.owner) is session:
                del self._own[session.owner]
            session.owner = None
            self.put_back(session)

    async def close(self) -> None:
        self._closed = True
        self._idle.clear()
        sessions, self._all = self._all, set()
        for session in sessions:
            session.close("this client was closed")
        for session in sessions:
            if session.loop is asyncio.get_running_loop():
                await session.ended.wait()


class AsyncClient(Servers[_AsyncServer]):
    """A lock client for any number of tasks of one event loop.

    Each task that holds or waits for something has a connection of its own, so that two tasks exclude each
    other as two processes do, one's waiting never delays another, and the daemon sees a deadlock between
    tasks as what it is. Within one task a lock can be taken again. Connections are made when needed, and idle
    ones kept.

    In a forked child the client holds nothing; locks stay with the parent.
    """

    def __init__(
        self,
        url: str | Iterable[str] | None = None,
        *,
        secret: str | None = None,
        name: Name | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is connected yet. Arguments and errors as those of `Client`."""
        options = Options.checked(secret, name, timeout, tls)
        super().__init__([_AsyncServer(address, options) for address in servers(url)])

    # Locks

    def lock(
        self,
        name: Name,
        *,
        wait: float = 0.0,
        lease: float | None = None,
        on_lost: Callable[[AsyncLock], None] | None = None,
    ) -> AsyncLockRequest:
        """The exclusive lock. Arguments as those of `Client.lock`; `on_lost` is called by the event loop."""
        return self._request(name, "exclusive", wait, None, lease, on_lost)

    def read(
        self,
        name: Name,
        *,
        wait: float = 0.0,
        lease: float | None = None,
        on_lost: Callable[[AsyncLock], None] | None = None,
    ) -> AsyncLockRequest:
        """The same lock, for reading: readers share it, and whoever has it by `lock` excludes them."""
        return self._request(name, "read", wait, None, lease, on_lost)

    def shared(
        self,
        name: Name,
        *,
        limit: int | None = None,
        wait: float = 0.0,
        on_lost: Callable[[AsyncLock], None] | None = None,
    ) -> AsyncLockRequest:
        """The shared lock of this name, which has nothing to do with the exclusive one.

        Arguments as `Client.shared`.
        """
        return self._request(name, "shared", wait, limit, None, on_lost)

    def _request(
        self,
        name: Name,
        mode: Mode,
        wait: float,
        limit: int | None,
        lease: float | None,
        on_lost: Callable[[AsyncLock], None] | None,
    ) -> AsyncLockRequest:
        return AsyncLockRequest(self, Want(encode(name), mode, wait, limit, lease), on_lost)

    async def _acquire(
        self, want: Want, on_lost: Callable[[AsyncLock], None] | None, task: asyncio.Task[Any] | None
    ) -> AsyncLock:
        server = self._server(want.name)
        session = server.own(task) or server.idle() or await server.spare()
        try:
            hold = await session.run(recipes.acquire(session.talk, want))
            server.take(session, task)
        except BaseException:
            if not session.taken:
                server.put_back(session)
            raise
        return AsyncLock(server, session, hold, on_lost)

    # Questions: as those of `Client`

    async def inspect(self, name: Name) -> bool:
        """Is the exclusive lock held, by whomever and in either mode?"""
        raw = encode(name)
        return await self._ask(self._server(raw), lambda talk: recipes.inspect(talk, raw))

    async def inspect_shared(self, name: Name) -> int:
        """How many hold the shared lock."""
        raw = encode(name)
        return await self._ask(self._server(raw), lambda talk: recipes.inspect_shared(talk, raw))

    async def check(self, token: int, name: Name) -> bool:
        """Is `token` the one now in force? For the resource that the lock guards to ask."""
        raw = encode(name)
        return await self._ask(self._server(raw), lambda talk: recipes.check(talk, token, raw))

    async def explain(self, name: Name) -> dict[str, Any]:
        """Who holds it and who waits, since when, with what token and lease; `docs/protocol.md` names
        the keys."""
        raw = encode(name)
        return await self._ask(self._server(raw), lambda talk: recipes.explain(talk, raw))

    async def history(self, name: Name | None = None) -> list[dict[str, Any]]:
        """The latest events of a lock, or of all, oldest first. Needs the daemon's `-history`."""
        raw = None if name is None else encode(name)
        return recipes.merge_history(await self._ask_all(raw, lambda talk: recipes.history(talk, raw)))

    async def holders(self, name: Name | None = None, *, shared: bool = False) -> list[Holder]:
        """Who holds a lock, or all; of the exclusive ones or of the shared ones."""
        raw = None if name is None else encode(name)
        return list(
            chain.from_iterable(await self._ask_all(raw, lambda talk: recipes.holders(talk, raw, shared)))
        )

    async def who(self, name: Name | None = None) -> list[Peer]:
        """The clients that have a registered name, or those with just this one."""
        raw = None if name is None else encode(name)
        return list(chain.from_iterable(await self._ask_all(None, lambda talk: recipes.who(talk, raw))))

    async def stats(self) -> dict[str, int]:
        """The daemon's counters; of several daemons, the sums."""
        return recipes.merge_stats(await self._ask_all(None, recipes.stats))

    async def kick(self, session: Name) -> int:
        """End a session, by its address, or all of a registered name.

        Only on the Unix socket, and with `-admin`.
        """
        raw = encode(session, "session")
        return sum(await self._ask_all(None, lambda talk: recipes.kick(talk, raw)))

    async def bound(self) -> int:
        """Within how many seconds the daemon finds out that a peer has vanished without a word."""
        return max(await self._ask_all(None, recipes.bound))

    async def ping(self) -> float:
        """Seconds for an answer from every server."""
        begin = time.perf_counter()
        await self._ask_all(None, recipes.ping)
        return time.perf_counter() - begin

    async def version(self) -> str:
        """What the daemon calls itself; empty for the original glockd, which does not tell."""
        return ", ".join(await self._ask_all(None, recipes.version))

    async def _ask_all(self, name: bytes | None, make: Callable[[Conversation], Recipe[T]]) -> list[T]:
        chosen = self._servers if name is None else [self._server(name)]
        return [await self._ask(server, make) for server in chosen]

    async def _ask(self, server: _AsyncServer, make: Callable[[Conversation], Recipe[T]]) -> T:
        session = await server.spare()
        try:
            return await session.run(make(session.talk))
        finally:
            server.put_back(session)

    # End

    async def close(self) -> None:
        """Close all connections. Locks that are held are lost."""
        for server in self._servers:
            await server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
