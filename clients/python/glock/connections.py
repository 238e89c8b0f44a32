"""The blocking client's connections to one server."""

from __future__ import annotations

import threading

from glock import forks
from glock.address import Address
from glock.options import Options
from glock.session import Session

MOST_IDLE = 8  # connections kept for later


class Connections:
    """The connections to one server: one for each thread that holds or waits, the others idle."""

    def __init__(self, address: Address, options: Options) -> None:
        self.address = address
        self._options = options
        self._idle: list[Session] = []
        self._all: set[Session] = set()
        self._mutex = threading.RLock()  # a signal handler may close what its thread is about to use
        self._own = threading.local()
        self._closed = False
        forks.guard(self)

    def fileno(self) -> int:
        return -1  # its sessions have them

    def forget(self, reason: str) -> None:
        """In a forked child: begin anew."""
        self._mutex = threading.RLock()  # a signal handler may close what its thread is about to use
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
        session = Session(self.address, self._options)
        with self._mutex:
            self._all.add(session)  # so that `close` finds it, also while it is being opened
        if self._closed:  # looked at when it can be found: whoever closes looks the other way round
            self._discard(session)
            raise RuntimeError("this client is closed")
        try:
            session.open()
        except BaseException:
            self._discard(session)
            raise
        return session

    def _discard(self, session: Session) -> None:
        with self._mutex:
            self._all.discard(session)
        session.close("not needed any more")

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
            self._discard(session)

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
        for session in self._all:
            session.drop()
