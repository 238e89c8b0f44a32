"""The asyncio client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Self, TypeVar

from glock.address import servers
from glock.aio_connections import AsyncConnections
from glock.aio_items import AsyncItem, AsyncItemRequest
from glock.aio_locks import AsyncLock, AsyncLockRequest
from glock.options import Options
from glock.scopes import Servers, listing
from glock.wire import questions, recipes, windows, work
from glock.wire.arguments import INFINITE, callback, whole
from glock.wire.conversation import Conversation
from glock.wire.language import Name, encode
from glock.wire.questions import Holder, Listing, Peer
from glock.wire.recipes import Mode, Recipe, Want
from glock.wire.windows import Booking, WantWindow, number_of, window_of
from glock.wire.work import WantItem, item_of, pool_of

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")


class AsyncClient(Servers[AsyncConnections]):
    """A lock client for any number of tasks of one event loop.

    Each task that holds or waits for something has a connection of its own, so that two tasks exclude each
    other as two processes do, one's waiting never delays another, and the daemon sees a deadlock between
    tasks as what it is. Within one task a lock can be taken again. Connections are made when needed, and idle
    ones kept.

    In a forked child the client holds nothing; locks stay with the parent. Programs that are started do not
    inherit the connections.
    """

    def __init__(
        self,
        url: str | Iterable[str] | None = None,
        *,
        secret: Name | None = None,
        name: Name | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
        alive: float | None = None,
    ) -> None:
        """Nothing is connected yet. Arguments and errors as those of `Client`; `alive` needs no threads."""
        options = Options.checked(secret=secret, name=name, timeout=timeout, tls=tls, alive=alive)
        super().__init__([AsyncConnections(address, options) for address in servers(url)])

    # Locks

    def lock(
        self,
        name: Name,
        *,
        wait: float = INFINITE,
        lease: float | None = None,
        on_lost: Callable[[AsyncLock], None] | None = None,
    ) -> AsyncLockRequest:
        """The exclusive lock. Arguments as those of `Client.lock`; `on_lost` is called by the event loop."""
        return self._request(name, "exclusive", wait, None, lease, on_lost)

    def read(
        self,
        name: Name,
        *,
        wait: float = INFINITE,
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
        wait: float = INFINITE,
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
        callback(on_lost, "on_lost")
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

    # Work lists

    def take(
        self,
        pool: Name,
        *,
        wait: float = INFINITE,
        keep: float | None = None,
        on_lost: Callable[[AsyncItem], None] | None = None,
    ) -> AsyncItemRequest:
        """Any item of a pool. Arguments as those of `Client.take`; `on_lost` is called by the event loop."""
        callback(on_lost, "on_lost")
        return AsyncItemRequest(self, WantItem(pool_of(pool), wait, keep), on_lost)

    async def put(self, pool: Name, item: Name) -> bool:
        """Offer an item to whoever takes one; False if it is there already, free or taken, or there is no room."""
        raw, what = pool_of(pool), item_of(item)
        return await self._ask(self._server(raw), lambda talk: work.put(talk, raw, what))

    async def pool(self, pool: Name) -> dict[str, Any]:
        """How many items are free, held, waited for, done, failed and orphaned; `docs/protocol.md` names the keys."""
        raw = pool_of(pool)
        return await self._ask(self._server(raw), lambda talk: work.counts(talk, raw))

    async def pools(self) -> list[dict[str, Any]]:
        """The same of every pool."""
        return list(chain.from_iterable(await self._ask_all(None, work.all_counts)))

    async def book(
        self,
        name: Name,
        length: float,
        *,
        start: float | datetime | None = None,
        slip: float = 0,
        shared: bool = False,
    ) -> Booking:
        """A window: the name for a stretch of time, agreed now. Arguments as those of `Client.book`."""
        want = WantWindow(window_of(name), length, start, slip, shared)
        return await self._ask(self._server(want.name), lambda talk: windows.book(talk, want))

    async def unbook(self, booking: Booking | int) -> bool:
        """Give a window back that has not begun, or end it; False if it is over, or another machine's.

        Args:
            booking: it, or its number if there is one server.
        """
        number = number_of(booking)
        name = window_of(booking.name) if isinstance(booking, Booking) else None
        return any(await self._ask_all(name, lambda talk: windows.unbook(talk, number)))

    async def bookings(self, name: Name | None = None) -> list[dict[str, Any]]:
        """The windows of a name, or all, that are on or to come, by start; `docs/protocol.md` names the keys."""
        raw = None if name is None else window_of(name)
        return list(chain.from_iterable(await self._ask_all(raw, lambda talk: windows.bookings(talk, raw))))

    async def _take(
        self, want: WantItem, on_lost: Callable[[AsyncItem], None] | None, task: asyncio.Task[Any] | None
    ) -> AsyncItem:
        server = self._server(want.name)
        session = server.own(task) or server.idle() or await server.spare()
        try:
            hold = await session.run(work.take(session.talk, want))
            server.take(session, task)
        except BaseException:
            if not session.taken:
                server.put_back(session)
            raise
        return AsyncItem(server, session, hold, on_lost)

    # Questions: as those of `Client`

    async def inspect(self, name: Name) -> bool:
        """Is the exclusive lock held, by whomever and in either mode?"""
        raw = encode(name)
        return await self._ask(self._server(raw), lambda talk: questions.inspect(talk, raw))

    async def inspect_shared(self, name: Name) -> int:
        """How many hold the shared lock."""
        raw = encode(name)
        return await self._ask(self._server(raw), lambda talk: questions.inspect_shared(talk, raw))

    async def check(self, token: int, name: Name) -> bool:
        """Is `token` the one now in force? For the resource that the lock guards to ask."""
        raw, number = encode(name), whole(token, "token", 1)
        return await self._ask(self._server(raw), lambda talk: questions.check(talk, number, raw))

    async def explain(self, name: Name) -> dict[str, Any]:
        """Who holds it and who waits, since when, with what token and lease; `docs/protocol.md` names
        the keys."""
        raw = encode(name)
        return await self._ask(self._server(raw), lambda talk: questions.explain(talk, raw))

    async def history(self, name: Name | None = None) -> list[dict[str, Any]]:
        """The latest events of a lock, or of all, oldest first. Needs the daemon's `-history`."""
        raw = None if name is None else encode(name)
        return questions.merge_history(await self._ask_all(raw, lambda talk: questions.history(talk, raw)))

    async def find(
        self, what: Listing, text: Name | None = None, *, most: int | None = None
    ) -> list[dict[str, Any]]:
        """A long listing with all there is to know of each entry, got page by page, so that nobody else has to
        wait for it; `docs/protocol.md` names the listings and the keys.

        It is as of several moments: what came or went meanwhile may be missing, or be there twice.

        Args:
            text: only entries with this in their name (or whose session it is, for `held`).
            most: end after so many entries of each server.
        """
        raw = listing(what, text, most)
        return list(
            chain.from_iterable(await self._ask_all(None, lambda talk: questions.find(talk, what, raw, most)))
        )

    async def holders(self, name: Name | None = None, *, shared: bool = False) -> list[Holder]:
        """Who holds a lock, or all; of the exclusive ones or of the shared ones."""
        raw = None if name is None else encode(name)
        return list(
            chain.from_iterable(await self._ask_all(raw, lambda talk: questions.holders(talk, raw, shared)))
        )

    async def who(self, name: Name | None = None) -> list[Peer]:
        """The clients that have a registered name, or those with just this one."""
        raw = None if name is None else encode(name)
        return list(chain.from_iterable(await self._ask_all(None, lambda talk: questions.who(talk, raw))))

    async def stats(self) -> dict[str, int]:
        """The daemon's counters; of several daemons, the sums."""
        return questions.merge_stats(await self._ask_all(None, questions.stats))

    async def kick(self, session: Name) -> int:
        """End a session, by its address, or all of a registered name.

        Only with `-admin`: on the Unix socket, or on a websocket with a secret.
        """
        raw = encode(session, "session")
        return sum(await self._ask_all(None, lambda talk: questions.kick(talk, raw)))

    async def bound(self) -> int:
        """Within how many seconds the daemon finds out that a peer has vanished without a word."""
        return max(await self._ask_all(None, questions.bound))

    async def ping(self) -> float:
        """Seconds for an answer from every server."""
        begin = time.perf_counter()
        await self._ask_all(None, questions.ping)
        return time.perf_counter() - begin

    async def version(self) -> str:
        """What the daemon calls itself; empty for the original glockd, which does not tell."""
        return ", ".join(await self._ask_all(None, questions.version))

    async def _ask_all(self, name: bytes | None, make: Callable[[Conversation], Recipe[T]]) -> list[T]:
        chosen = self._servers if name is None else [self._server(name)]
        return [await self._ask(server, make) for server in chosen]

    async def _ask(self, server: AsyncConnections, make: Callable[[Conversation], Recipe[T]]) -> T:
        session = await server.spare()
        try:
            return await session.run(make(session.talk))
        finally:
            server.put_back(session)

    # End

    async def close(self) -> None:
        """Close all connections. Locks that are held are lost, whoever else has a descriptor of them; every
        task that waits for one, or for an answer, gets ConnectionLost, and is out of the line."""
        for server in self._servers:
            await server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
