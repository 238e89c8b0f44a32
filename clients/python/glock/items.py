"""An item of a work list, for the blocking client: wanted, and held."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from glock.connections import Connections
from glock.errors import GlockError
from glock.locks import Watched
from glock.scopes import Entered, Scope, spoil
from glock.session import Session
from glock.wire import work
from glock.wire.language import decode
from glock.wire.work import ItemHold, Verb, WantItem

if TYPE_CHECKING:
    from glock.client import Client


class Item(Watched):
    """An item that is this client's, until it is done, failed or given back, the client's `close`, or its loss.

    Attributes:
        attempt: how often it has been taken, this time included.
        pool: the list that it is of.
    """

    def __init__(
        self,
        server: Connections,
        session: Session,
        hold: ItemHold,
        on_lost: Callable[[Item], None] | None,
    ) -> None:
        super().__init__(server, session, hold, on_lost)
        self.attempt = hold.attempt
        self.pool = decode(hold.pool)
        self._item = hold

    def done(self) -> None:
        """It is finished, and gone.

        Raises:
            LockLost, ConnectionLost: it was lost before, and is or will be somebody else's.
            RuntimeError: its end was told before.
            NotRecorded: the server cannot write that down; it is held as before.
        """
        self._finish("done")

    def fail(self) -> None:
        """It is given up: gone, and counted as failed. Errors as those of `done`."""
        self._finish("fail")

    def give(self) -> None:
        """It goes back, behind those tried less. Errors as those of `done`."""
        self._finish("give")

    def keep(self, seconds: float) -> None:
        """From now on the daemon takes it back after so many seconds, unless this comes again; `inf` ends that.

        Raises:
            LockLost, ConnectionLost: it was lost.
        """
        self._session.run(work.keep(self._session.talk, self._item, seconds))

    def _finish(self, verb: Verb) -> None:
        self._releasing()
        try:
            self._session.run(work.finish(self._session.talk, self._item, verb))
        except BaseException:
            self._released = self._item.key not in self._session.talk.holds
            raise
        finally:
            if self._released:
                self._server.let_go(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._released:
            return
        try:
            self._finish("done" if error is None else "give")
        except GlockError as loss:
            spoil(error, loss)


class ItemRequest(Scope[WantItem]):
    """An item to be taken: by `acquire`, or by `with`, whose end says done, or gives it back if by an error; again and
    again."""

    def __init__(self, client: Client, want: WantItem, on_lost: Callable[[Item], None] | None) -> None:
        super().__init__(want)
        self._client = client
        self._on_lost = on_lost
        self._entered: Entered[int, Item] = Entered()

    def acquire(self) -> Item:
        """Take one.

        Raises:
            LockBusy: none is free, and `wait` was 0. WaitTimeout: … all the time.
            LimitReached: this client has as many as it may.
            Unreachable, ConnectionLost, NotAuthorised, NotRecorded, Disabled, Unsupported: see `glock.errors`.
        """
        return self._client._take(self.want, self._on_lost)

    def __enter__(self) -> Item:
        item = self.acquire()
        self._entered.push(threading.get_ident(), item)
        return item

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.pop(threading.get_ident()).__exit__(kind, error, trace)
