"""A lock of the blocking client: wanted, and held."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from glock.connections import Connections
from glock.errors import GlockError
from glock.scopes import Entered, Held, Scope, spoil
from glock.session import Session
from glock.wire import recipes
from glock.wire.conversation import Hold
from glock.wire.recipes import Want

if TYPE_CHECKING:
    from glock.client import Client

F = TypeVar("F", bound=Callable[..., Any])


class Watched(Held):
    """What is held on a connection, and whose loss can be told of."""

    def __init__(
        self, server: Connections, session: Session, hold: Hold, on_lost: Callable[[Any], None] | None
    ) -> None:
        super().__init__(hold)
        self._server = server
        self._session = session
        self._lost: threading.Event | None = None
        if on_lost is not None:

            def tell() -> None:
                if not self._released:
                    session.later(lambda: on_lost(self))

            hold.on_lost.append(tell)
            session.watch()

    @property
    def lost(self) -> threading.Event:
        """Set as soon as it is known to be lost.

        The first use starts a thread that watches the connection.
        """
        if self._lost is None:
            self._lost = event = threading.Event()
            self._hold.on_lost.append(event.set)
            if self._hold.lost is not None:
                event.set()
            self._session.watch()
        return self._lost

    def check(self) -> None:
        """Look whether it is still held, by what has arrived; the server is not asked.

        Raises:
            LockLost, ConnectionLost: it is not.
        """
        if self._hold.lost is None:
            self._session.look()
        if self._hold.lost is not None:
            raise self._hold.lost

    def fileno(self) -> int:
        """The descriptor of the connection that the lock lives by; it becomes readable when there may be news
        of a loss.

        On `tcp://` and `unix://` the lock lives as long as any process has a copy of it open and the client is
        not closed, which is how `glock run` works.
        """
        return self._session.fileno()


class Lock(Watched):
    """A lock that is held, until `release`, the end of its `with`, the client's `close`, or its loss."""

    def leave(self) -> None:
        """Leave it to another process that has the connection, which this one does not read from any more.

        Raises:
            LockLost, ConnectionLost: it was lost.
        """
        if self._session.gets_signs_of_life:
            self._session.run(recipes.live(self._session.talk, 0))
        self.check()

    def renew(self, lease: float) -> None:
        """From now on the daemon takes it back after `lease` seconds, unless this comes again; `inf` ends the
        lease.

        Raises:
            LockLost, ConnectionLost: it was lost.
            Unsupported: a shared lock, or the original glockd.
        """
        self._session.run(recipes.renew(self._session.talk, self._hold, lease))

    def release(self) -> None:
        """Give it back. From another thread than the one that got it: waits until that one waits for nothing.

        Raises:
            LockLost, ConnectionLost: it was lost before.
            RuntimeError: it was released before.
        """
        self._releasing()
        try:
            self._session.run(recipes.release(self._session.talk, self._hold))
        finally:
            self._server.let_go(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._released:
            return
        try:
            self.release()
        except GlockError as loss:
            spoil(error, loss)


class LockRequest(Scope[Want], ContextDecorator):
    """A lock to be got: by `acquire`, by `with`, or around a function as its decorator; again and again."""

    def __init__(self, client: Client, want: Want, on_lost: Callable[[Lock], None] | None) -> None:
        super().__init__(want)
        self._client = client
        self._on_lost = on_lost
        self._entered: Entered[int, Lock] = Entered()

    def acquire(self) -> Lock:
        """Get it.

        Raises:
            LockBusy: somebody else has it, and `wait` was 0. WaitTimeout: … all the time.
            Deadlock: waiting would never have ended.
            Unreachable, ConnectionLost, NotAuthorised, Disabled, LimitReached, Unsupported: see
            `glock.errors`.
        """
        return self._client._acquire(self.want, self._on_lost)

    def __enter__(self) -> Lock:
        lock = self.acquire()
        self._entered.push(threading.get_ident(), lock)
        return lock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.pop(threading.get_ident()).__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(
                f"{function.__qualname__} would run after the lock's release: use `with` inside it"
            )
        return super().__call__(function)
