"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Self, TypeVar

from glock.address import servers
from glock.connections import Connections
from glock.items import Item, ItemRequest
from glock.locks import Lock, LockRequest
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


class Client(Servers[Connections]):
    """A lock client for any number of threads.

    Each thread that holds or waits for something has a connection of its own, so that two threads exclude
    each other as two processes do, one's waiting never delays another, and the daemon sees a deadlock between
    threads as what it is. Within one thread a lock can be taken again, as a threading.RLock can. Connections
    are made when needed, and idle ones kept.

    In a forked child the client holds nothing and begins anew; locks stay with the parent. Programs that are
    started do not inherit the connections.
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
        """Nothing is connected yet.

        Args:
            url: `host`, `host:port`, `/path`, `tcp://host:port`, `unix:///path`, `tls://host:port`,
                `ws://host:port` or `wss://…`; several of them (a list, or commas between) share the names
                among them. Default: GLOCK_SERVER, or else `tcp://127.0.0.1:9999`.
            secret: for a daemon with `-auth-file`. Default: GLOCK_SECRET. Empty: none.
            name: what `who` and `explain` call this client.
            timeout: seconds to connect in, and within which any answer must come (beyond the time waited for
                a lock).
            tls: instead of what the URL says.
            alive: have the daemon say that often (whole seconds, rounded up) that it is there, on every
                connection, so that no proxy takes one for idle; when nothing has come for 2.5 times as long the
                connection is lost. Each connection then has a thread that reads.

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: an argument makes no sense.
        """
        options = Options.checked(secret=secret, name=name, timeout=timeout, tls=tls, alive=alive)
        super().__init__([Connections(address, options) for address in servers(url)])

    # Locks

    def lock(
        self,
        name: Name,
        *,
        wait: float = INFINITE,
        lease: float | None = None,
        on_lost: Callable[[Lock], None] | None = None,
    ) -> LockRequest:
        """The exclusive lock: one holder.

        Args:
            wait: seconds to wait for it, first come, first served; without it, as with `math.inf`, for as long
                as it takes. 0 does not wait: now, or LockBusy. (The original glockd cannot wait: there it is
                asked again and again, in no order.)
            lease: seconds after which the daemon takes it back, unless `Lock.renew` comes first.
            on_lost: called with the `Lock` when it is lost, from a thread of the client's, or the one that
                closes the client.

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: an argument makes no sense.
        """
        return self._request(name, "exclusive", wait, None, lease, on_lost)

    def read(
        self,
        name: Name,
        *,
        wait: float = INFINITE,
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
        wait: float = INFINITE,
        on_lost: Callable[[Lock], None] | None = None,
    ) -> LockRequest:
        """The shared lock of this name, which has nothing to do with the exclusive one.

        Args:
            limit: got only while fewer than this hold it; None: always, at once.
            wait, on_lost: as for `lock`.
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
        callback(on_lost, "on_lost")
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

    # Work lists

    def take(
        self,
        pool: Name,
        *,
        wait: float = INFINITE,
        keep: float | None = None,
        on_lost: Callable[[Item], None] | None = None,
    ) -> ItemRequest:
        """Any item of a pool; whoever has waited longest is served first, also from a pool that is still empty.

        Args:
            wait: seconds to wait for one; without it, as with `math.inf`, for as long as it takes. 0 does not wait:
                now, or LockBusy.
            keep: seconds after which the daemon takes it back, unless `Item.keep` comes first.
            on_lost: as for `lock`.

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: an argument makes no sense.
        """
        callback(on_lost, "on_lost")
        return ItemRequest(self, WantItem(pool_of(pool), wait, keep), on_lost)

    def put(self, pool: Name, item: Name) -> bool:
        """Offer an item to whoever takes one; False if it is there already, free or taken, or there is no room."""
        raw, what = pool_of(pool), item_of(item)
        return self._ask(self._server(raw), lambda talk: work.put(talk, raw, what))

    def pool(self, pool: Name) -> dict[str, Any]:
        """How many items are free, held, waited for, done, failed and orphaned; `docs/protocol.md` names the keys."""
        raw = pool_of(pool)
        return self._ask(self._server(raw), lambda talk: work.counts(talk, raw))

    def pools(self) -> list[dict[str, Any]]:
        """The same of every pool."""
        return list(chain.from_iterable(self._ask_all(None, work.all_counts)))

    def book(
        self,
        name: Name,
        length: float,
        *,
        start: float | datetime | None = None,
        slip: float = 0,
        shared: bool = False,
    ) -> Booking:
        """A window: the name for a stretch of time, agreed now. It outlives this client, and the server's restart.

        Args:
            name: windows have their own names, apart from those of locks.
            length: seconds.
            start: when it is to begin: at a moment (with a time zone), so many seconds from now, or now.
            slip: by how many seconds it may be later; it is put into the first gap.
            shared: beside others that are shared, but not beside those that are not.

        Raises:
            LockBusy: there is no room for it; nothing has changed.
            Disabled: the server has no windows.
            TypeError, ValueError: an argument makes no sense.
        """
        want = WantWindow(window_of(name), length, start, slip, shared)
        return self._ask(self._server(want.name), lambda talk: windows.book(talk, want))

    def unbook(self, booking: Booking | int) -> bool:
        """Give a window back that has not begun, or end it; False if it is over, or another machine's.

        Args:
            booking: it, or its number if there is one server.
        """
        number = number_of(booking)
        name = window_of(booking.name) if isinstance(booking, Booking) else None
        return any(self._ask_all(name, lambda talk: windows.unbook(talk, number)))

    def bookings(self, name: Name | None = None) -> list[dict[str, Any]]:
        """The windows of a name, or all, that are on or to come, by start; `docs/protocol.md` names the keys."""
        raw = None if name is None else window_of(name)
        return list(chain.from_iterable(self._ask_all(raw, lambda talk: windows.bookings(talk, raw))))

    def _take(self, want: WantItem, on_lost: Callable[[Item], None] | None) -> Item:
        server = self._server(want.name)
        session = server.session()
        try:
            hold = session.run(work.take(session.talk, want))
        except BaseException:
            server.let_go(session)
            raise
        return Item(server, session, hold, on_lost)

    # Questions

    def inspect(self, name: Name) -> bool:
        """Is the exclusive lock held, by whomever and in either mode?"""
        raw = encode(name)
        return self._ask(self._server(raw), lambda talk: questions.inspect(talk, raw))

    def inspect_shared(self, name: Name) -> int:
        """How many hold the shared lock."""
        raw = encode(name)
        return self._ask(self._server(raw), lambda talk: questions.inspect_shared(talk, raw))

    def check(self, token: int, name: Name) -> bool:
        """Is `token` the one now in force? For the resource that the lock guards to ask."""
        raw, number = encode(name), whole(token, "token", 1)
        return self._ask(self._server(raw), lambda talk: questions.check(talk, number, raw))

    def explain(self, name: Name) -> dict[str, Any]:
        """Who holds it and who waits, since when, with what token and lease; `docs/protocol.md` names
        the keys."""
        raw = encode(name)
        return self._ask(self._server(raw), lambda talk: questions.explain(talk, raw))

    def history(self, name: Name | None = None) -> list[dict[str, Any]]:
        """The latest events of a lock, or of all, oldest first. Needs the daemon's `-history`."""
        raw = None if name is None else encode(name)
        return questions.merge_history(self._ask_all(raw, lambda talk: questions.history(talk, raw)))

    def find(
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
            chain.from_iterable(self._ask_all(None, lambda talk: questions.find(talk, what, raw, most)))
        )

    def holders(self, name: Name | None = None, *, shared: bool = False) -> list[Holder]:
        """Who holds a lock, or all; of the exclusive ones or of the shared ones."""
        raw = None if name is None else encode(name)
        return list(
            chain.from_iterable(self._ask_all(raw, lambda talk: questions.holders(talk, raw, shared)))
        )

    def who(self, name: Name | None = None) -> list[Peer]:
        """The clients that have a registered name, or those with just this one."""
        raw = None if name is None else encode(name)
        return list(chain.from_iterable(self._ask_all(None, lambda talk: questions.who(talk, raw))))

    def stats(self) -> dict[str, int]:
        """The daemon's counters; of several daemons, the sums."""
        return questions.merge_stats(self._ask_all(None, questions.stats))

    def kick(self, session: Name) -> int:
        """End a session, by its address, or all of a registered name.

        Only with `-admin`: on the Unix socket, or on a websocket with a secret.
        """
        raw = encode(session, "session")
        return sum(self._ask_all(None, lambda talk: questions.kick(talk, raw)))

    def bound(self) -> int:
        """Within how many seconds the daemon finds out that a peer has vanished without a word."""
        return max(self._ask_all(None, questions.bound))

    def ping(self) -> float:
        """Seconds for an answer from every server."""
        begin = time.perf_counter()
        self._ask_all(None, questions.ping)
        return time.perf_counter() - begin

    def version(self) -> str:
        """What the daemon calls itself; empty for the original glockd, which does not tell."""
        return ", ".join(self._ask_all(None, questions.version))

    def _ask_all(self, name: bytes | None, make: Callable[[Conversation], Recipe[T]]) -> list[T]:
        chosen = self._servers if name is None else [self._server(name)]
        return [self._ask(server, make) for server in chosen]

    def _ask(self, server: Connections, make: Callable[[Conversation], Recipe[T]]) -> T:
        session = server.spare()
        try:
            return session.run(make(session.talk))
        finally:
            server.put_back(session)

    # End

    def close(self) -> None:
        """Close all connections. Locks that are held are lost, whoever else has a descriptor of them; every
        thread that waits for one, or for an answer, gets ConnectionLost within moments, and is out of the
        line."""
        for server in self._servers:
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
