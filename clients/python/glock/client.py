"""The blocking client."""

from __future__ import annotations

import inspect
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ContextDecorator
from itertools import chain
from types import TracebackType
from typing import Any, Self, TypeVar

from glock import forks
from glock.address import Address, servers
from glock.errors import GlockError
from glock.scopes import Entered, Held, Scope, Servers, spoil
from glock.session import MOST_IDLE, Options, Session
from glock.wire import recipes
from glock.wire.conversation import Conversation, Hold
from glock.wire.language import Name, encode
from glock.wire.recipes import Holder, Mode, Peer, Recipe, Want

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Lock(Held):
    """A lock that is held, until `release`, the end of its `with`, the client's `close`, or its loss."""

    def __init__(
        self, server: _Server, session: Session, hold: Hold, on_lost: Callable[[Lock], None] | None
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
        """Set as soon as the lock is known to be lost.

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

        On `tcp://` and `unix://` the lock lives as long as any process has it open, which is how `glock run`
        works.
        """
        return self._session.fileno()

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


class LockRequest(Scope, ContextDecorator):
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


class _Server:
    """The connections to one server: one for each thread that holds or waits, the others idle."""

    def __init__(self, address: Address, options: Options) -> None:
        self.address = address
        self._options = options
        self._idle: list[Session] = []
        self._all: set[Session] = set()
        self._mutex = threading.Lock()
        self._own = threading.local()
        self._closed = False
        forks.guard(self)

    def fileno(self) -> int:
        return -1  # its sessions have them

    def forget(self, reason: str) -> None:
        """In a forked child: begin anew."""
        self._mutex = threading.Lock()
        self._idle = []
        self._all = set()

    def session(self) -> Session:
        """The calling thread's, if it holds something, or else an idle or new one; taken, until `let_go`."""
        own: Session | None = getattr(self._own, "session", None)
        if own is not None:
            with self._mutex:  # another thread may be about to release the last lock on it
                if own.taken and own.owner == threading.get_ident():
                    if own.talk.closed is not None:
                        # No new connection as long as locks that were lost are believed to be held.
                        raise own.talk.closed
                    own.taken += 1
                    return own
        session = self.spare()
        session.taken = 1
        session.owner = threading.get_ident()
        self._own.session = session
        return session

    def spare(self) -> Session:
        """One that holds nothing."""
        while self._idle:
            try:
                session = self._idle.pop()
            except IndexError:
                break
            if not session.is_lost:
                return session
            self.put_back(session)
        if self._closed:
            raise RuntimeError("this client is closed")
        session = Session(self.address, self._options)
        with self._mutex:
            self._all.add(session)
        return session

    def put_back(self, session: Session) -> None:
        """It holds nothing: keep it for later."""
        if (
            session.talk.closed is None
            and not session.talk.holds
            and len(self._idle) < MOST_IDLE
            and not self._closed
        ):
            session.unwatch()
            self._idle.append(session)
        else:
            with self._mutex:
                self._all.discard(session)
            session.close("not needed any more")

    def let_go(self, session: Session) -> None:
        """A lock on it has been released, by whichever thread, or was not got."""
        with self._mutex:
            session.taken -= 1
            if session.taken:
                return
            session.owner = None
        if getattr(self._own, "session", None) is session:
            self._own.session = None
        self.put_back(session)

    def close(self) -> None:
        self._closed = True
        self._idle.clear()
        with self._mutex:
            sessions, self._all = self._all, set()
        for session in sessions:
            session.close("this client was closed")

    def __del__(self) -> None:
        self.close()


class Client(Servers[_Server]):
    """A lock client for any number of threads.

    Each thread that holds or waits for something has a connection of its own, so that two threads exclude
    each other as two processes do, one's waiting never delays another, and the daemon sees a deadlock between
    threads as what it is. Within one thread a lock can be taken again, as a threading.RLock can. Connections
    are made when needed, and idle ones kept.

    In a forked child the client holds nothing and begins anew; locks stay with the parent.
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
        """Nothing is connected yet.

        Args:
            url: `tcp://host:port`, `unix:///path`, `tls://host:port`, `ws://host:port` or `wss://…`; several
                of them (a list, or commas between) share the names among them. Default: GLOCK_SERVER, or
                else `tcp://127.0.0.1:9999`.
            secret: for a daemon with `-auth-file`. Default: GLOCK_SECRET.
            name: what `who` and `explain` call this client.
            timeout: seconds to connect in, and within which any answer must come (beyond the time waited for
                a lock).
            tls: instead of what the URL says.

        Raises:
            ValueError: an argument makes no sense.
        """
        options = Options.checked(secret, name, timeout, tls)
        super().__init__([_Server(address, options) for address in servers(url)])

    # Locks

    def lock(
        self,
        name: Name,
        *,
        wait: float = 0.0,
        lease: float | None = None,
        on_lost: Callable[[Lock], None] | None = None,
    ) -> LockRequest:
        """The exclusive lock: one holder.

        Args:
            wait: seconds to wait for it, first come, first served; 0 tries once, `math.inf` waits for as long
                as it takes. (The original glockd cannot wait: there it is asked again and again, in no order.)
            lease: seconds after which the daemon takes it back, unless `Lock.renew` comes first.
            on_lost: called with the `Lock` when it is lost, from a thread of the client's.

        Raises:
            ValueError: an argument makes no sense.
        """
        return self._request(name, "exclusive", wait, None, lease, on_lost)

    def read(
        self,
        name: Name,
        *,
        wait: float = 0.0,
        lease: float | None = None,
        on_lost: Callable[[Lock], None] | None = None,
    ) -> LockRequest:
        """The same lock, for reading: readers share it, and whoever has it by `lock` excludes them.

        Arguments as there.
        """
        return self._request(name, "read", wait, None, lease, on_lost)

    def shared(
        self,
        name: Name,
        *,
        limit: int | None = None,
        wait: float = 0.0,
        on_lost: Callable[[Lock], None] | None = None,
    ) -> LockRequest:
        """The shared lock of this name, which has nothing to do with the exclusive one.

        Args:
            limit: got only while fewer than this hold it; None: always.
        """
        return self._request(name, "shared", wait, limit, None, on_lost)

    def _request(
        self,
        name: Name,
        mode: Mode,
        wait: float,
        limit: int | None,
        lease: float | None,
        on_lost: Callable[[Lock], None] | None,
    ) -> LockRequest:
        return LockRequest(self, Want(encode(name), mode, wait, limit, lease), on_lost)

    def _acquire(self, want: Want, on_lost: Callable[[Lock], None] | None) -> Lock:
        server = self._server(want.name)
        session = server.session()
        try:
            hold = session.run(recipes.acquire(session.talk, want))
        except BaseException:
            server.let_go(session)
            raise
        return Lock(server, session, hold, on_lost)

    # Questions

    def inspect(self, name: Name) -> bool:
        """Is the exclusive lock held, by whomever and in either mode?"""
        raw = encode(name)
        return self._ask(self._server(raw), lambda talk: recipes.inspect(talk, raw))

    def inspect_shared(self, name: Name) -> int:
        """How many hold the shared lock."""
        raw = encode(name)
        return self._ask(self._server(raw), lambda talk: recipes.inspect_shared(talk, raw))

    def check(self, token: int, name: Name) -> bool:
        """Is `token` the one now in force? For the resource that the lock guards to ask."""
        raw = encode(name)
        return self._ask(self._server(raw), lambda talk: recipes.check(talk, token, raw))

    def explain(self, name: Name) -> dict[str, Any]:
        """Who holds it and who waits, since when, with what token and lease; `docs/protocol.md` names
        the keys."""
        raw = encode(name)
        return self._ask(self._server(raw), lambda talk: recipes.explain(talk, raw))

    def history(self, name: Name | None = None) -> list[dict[str, Any]]:
        """The latest events of a lock, or of all, oldest first. Needs the daemon's `-history`."""
        raw = None if name is None else encode(name)
        return recipes.merge_history(self._ask_all(raw, lambda talk: recipes.history(talk, raw)))

    def holders(self, name: Name | None = None, *, shared: bool = False) -> list[Holder]:
        """Who holds a lock, or all; of the exclusive ones or of the shared ones."""
        raw = None if name is None else encode(name)
        return list(chain.from_iterable(self._ask_all(raw, lambda talk: recipes.holders(talk, raw, shared))))

    def who(self, name: Name | None = None) -> list[Peer]:
        """The clients that have a registered name, or those with just this one."""
        raw = None if name is None else encode(name)
        return list(chain.from_iterable(self._ask_all(None, lambda talk: recipes.who(talk, raw))))

    def stats(self) -> dict[str, int]:
        """The daemon's counters; of several daemons, the sums."""
        return recipes.merge_stats(self._ask_all(None, recipes.stats))

    def kick(self, session: Name) -> int:
        """End a session, by its address, or all of a registered name.

        Only on the Unix socket, and with `-admin`.
        """
        raw = encode(session, "session")
        return sum(self._ask_all(None, lambda talk: recipes.kick(talk, raw)))

    def bound(self) -> int:
        """Within how many seconds the daemon finds out that a peer has vanished without a word."""
        return max(self._ask_all(None, recipes.bound))

    def ping(self) -> float:
        """Seconds for an answer from every server."""
        begin = time.perf_counter()
        self._ask_all(None, recipes.ping)
        return time.perf_counter() - begin

    def version(self) -> str:
        """What the daemon calls itself; empty for the original glockd, which does not tell."""
        return ", ".join(self._ask_all(None, recipes.version))

    def _ask_all(self, name: bytes | None, make: Callable[[Conversation], Recipe[T]]) -> list[T]:
        chosen = self._servers if name is None else [self._server(name)]
        return [self._ask(server, make) for server in chosen]

    def _ask(self, server: _Server, make: Callable[[Conversation], Recipe[T]]) -> T:
        session = server.spare()
        try:
            return session.run(make(session.talk))
        finally:
            server.put_back(session)

    # End

    def close(self) -> None:
        """Close all connections. Locks that are held are lost."""
        for server in self._servers:
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
