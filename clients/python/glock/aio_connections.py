"""The asyncio client's connections to one server."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from glock.address import Address
from glock.aio_session import AsyncSession
from glock.connections import MOST_IDLE
from glock.options import Options


class AsyncConnections:
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
        session = AsyncSession(self.address, self._options)
        self._all.add(session)  # so that `close` finds it, also while it is being opened
        try:
            await session.open()
        except BaseException:
            self._all.discard(session)
            raise
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
            if session.is_connected and session.loop is asyncio.get_running_loop():
                await session.ended.wait()
