"""One asyncio connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

from glock import forks
from glock.address import SECURE, WEB, Address
from glock.errors import ProtocolError, Unreachable
from glock.options import Options
from glock.session import unreachable
from glock.sockets import borrowed, tune
from glock.wire.conversation import FIRST_NUDGE, LAST_NUDGE, Conversation, Pause, Slot
from glock.wire.recipes import Recipe, open_conversation
from glock.wire.websocket import Messages

T = TypeVar("T")
LONGEST = 2e6  # seconds: a loop's timers are milliseconds in an int, some of them


class AsyncSession(asyncio.Protocol):
    """A connection that carries out recipes; several at once are served in the order they came in.

    Everything a recipe has to say is written before the first await, and what undoes it at the moment of
    cancellation. So no cancellation, wherever it hits, leaves anything held or waited for that was not
    returned.

    Attributes:
        taken: how many `AsyncLock` objects of this session have not been released yet.
        owner: the task that has got them; None if `taken` is 0, or nobody knows.
    """

    def __init__(self, address: Address, options: Options) -> None:
        """Not connected yet: `open` is next."""
        self.address = address
        self.talk = Conversation()
        self.taken = 0
        self.owner: weakref.ref[asyncio.Task[Any]] | None = None
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self._options = options
        self._timeout = options.timeout
        self._transport: asyncio.Transport | None = None
        self._messages = Messages(address) if address.scheme in WEB else None
        self._limit: asyncio.Timeout | None = None
        self._opened: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = float("inf")
        self._patience_ends = 0.0
        self._was_closed = False
        self._heard = 0.0
        self._listens: asyncio.TimerHandle | None = None
        forks.guard(self)

    @property
    def is_connected(self) -> bool:
        return self._transport is not None

    async def open(self) -> None:
        """Connect.

        Raises:
            Unreachable: nobody is there. NotAuthorised, ProtocolError, Unsupported: somebody is, but.
            ConnectionLost: it was closed meanwhile.
        """
        options = self._options
        try:
            async with asyncio.timeout(options.timeout) as limit:
                self._limit = limit  # `close` ends it early
                try:
                    await self._connect()
                finally:
                    self._limit = None
            await self.run(open_conversation(self.talk, options.secret, options.name, options.alive))
        except BaseException as error:
            self._lose("not opened")
            if self._was_closed and isinstance(error, OSError):
                assert self.talk.closed is not None
                raise self.talk.closed from error
            if isinstance(error, TimeoutError):
                raise Unreachable(f"{self.address.url}: no answer within {options.timeout:g} s") from error
            if (meant := unreachable(self.address, error)) is not None:
                raise meant from error
            raise
        if options.alive is not None:
            self._heard = self.loop.time()
            self._listen()

    async def _connect(self) -> None:
        address = self.address
        if address.scheme == "unix":
            await self.loop.create_unix_connection(lambda: self, address.path)
        else:
            tls = (self._options.tls or address.tls_context()) if address.scheme in SECURE else None
            host = address.server_hostname if tls is not None else None
            await self.loop.create_connection(
                lambda: self, address.host, address.port, ssl=tls, server_hostname=host
            )
        if self._messages is not None:
            await self._shake_hands(self._messages)

    async def run(self, recipe: Recipe[T]) -> T:
        """Carry it out. Cancelled, it leaves nothing held or waited for."""
        try:
            step = next(recipe)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = recipe.send([])
                    continue
                slot = Slot(step)
                answered = self._ask(slot)
                if answered is not None:
                    try:
                        await answered
                    except BaseException:
                        self._give_up(slot)
                        raise
                step = recipe.send(slot.result())
        except StopIteration as done:
            result: T = done.value
            return result
        except ProtocolError as error:
            self._lose(str(error))
            raise

    def _ask(self, slot: Slot) -> asyncio.Future[None] | None:
        """Send it. The future is done when the slot is; None: the slot is done already."""
        alone = self.talk.is_quiet
        self.talk.submit(slot)
        self._flush()
        if slot.done:
            return None
        answered: asyncio.Future[None] = self.loop.create_future()

        def wake() -> None:
            if not answered.done():
                answered.set_result(None)

        slot.on_done = wake
        if not self.talk.modern and slot.ask.wants_nudge:
            _Nudger(self, slot)
        self._expect_answer(self._timeout + slot.ask.patience, alone)
        return answered

    def _give_up(self, slot: Slot) -> None:
        """Nobody waits for the answer any more: leave nothing behind."""
        self.talk.abandon(slot)
        self._expect_answer(self._timeout, True)
        self._flush()

    def _expect_answer(self, seconds: float, alone: bool) -> None:
        # A timer for each question would cost as much as all else here, and hardly any would ever ring. So
        # one that is running is left alone, and looks again when it rings.
        ends = self.loop.time() + seconds
        if not alone and ends < self._patience_ends:
            ends = self._patience_ends  # behind a wait it may take longer
        self._patience_ends = ends
        if ends < self._rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self._ring_at(ends)

    def _ring_at(self, when: float) -> None:
        self._rings_at = when = min(when, self.loop.time() + LONGEST)
        self._timer = self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = float("inf")
        if self.talk.is_quiet:
            return
        if self.loop.time() >= self._patience_ends:
            self._lose(f"no answer within {self._timeout:g} s")
        else:
            self._ring_at(self._patience_ends)

    def _listen(self) -> None:
        """Signs of life have been asked for: look when the next ones must have come."""
        left = self._heard + self._options.silence - self.loop.time()
        if left > 0:
            self._listens = self.loop.call_later(min(left, LONGEST), self._listen)
        else:
            self._lose(self._options.silent)

    def _flush(self) -> None:
        data = self.talk.outgoing()
        if data and self._transport is not None:
            self._transport.write(data if self._messages is None else self._messages.encode(data))
        if self.talk.closed is not None:
            self._abort()

    async def _shake_hands(self, messages: Messages) -> None:
        assert self._transport is not None
        self._opened = self.loop.create_future()
        self._transport.write(messages.hello())
        await self._opened

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is not derived from it
        if self.talk.closed is not None:  # cancelled meanwhile
            transport.abort()
        else:
            with borrowed(transport) as sock:
                tune(sock)

    def data_received(self, data: bytes) -> None:
        if self._listens is not None:
            self._heard = self.loop.time()
        if self._messages is not None and self._transport is not None:
            data, reply = self._messages.decode(data)
            if reply:
                self._transport.write(reply)
            if self._opened is not None and not self._opened.done():
                self._open(self._messages)
        self.talk.feed(data)
        if self.talk.has_outgoing or self.talk.closed is not None:
            self._flush()

    def _open(self, messages: Messages) -> None:
        assert self._opened is not None
        try:
            if messages.is_open:
                self._opened.set_result(None)
        except Unreachable as error:
            self._opened.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(Unreachable("the server closed the connection during the handshake"))
        self.talk.close("the server closed it" if exc is None else str(exc))
        for timer in (self._timer, self._listens):
            if timer is not None:
                timer.cancel()
        self.ended.set()

    # End

    def later(self, callback: Callable[[], None]) -> None:
        """Have `callback` called soon."""
        self.loop.call_soon(callback)

    def close(self, reason: str) -> None:
        """End the connection, and so everything that is held or waited for on it, whatever other process has
        its descriptor."""
        self._was_closed = True
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        self.talk.close(reason)
        self._abort()

    def _abort(self) -> None:
        # abort() closes at once; close() would wait for a peer that may not read any more.
        if self.loop.is_closed():
            return
        if self._transport is not None:
            with contextlib.suppress(OSError), borrowed(self._transport) as sock:
                sock.shutdown(socket.SHUT_RDWR)
            self._transport.abort()
        elif self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self.loop.time())  # it is being opened: no longer

    def fileno(self) -> int:
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        return sock.fileno() if sock is not None else -1

    def forget(self, reason: str) -> None:
        """In a forked child: the connection is the parent's."""
        self._transport = None
        self.taken = 0
        self.talk.close(reason)


class _Nudger:
    """Asks again and again, ever more rarely, until the slot is done or abandoned; the original loses what
    it does not like."""

    def __init__(self, session: AsyncSession, slot: Slot) -> None:
        self._session = session
        self._slot = slot
        self._delay = FIRST_NUDGE
        session.loop.call_later(self._delay, self._nudge)

    def _nudge(self) -> None:
        if self._slot.done or self._slot.on_done is None:
            return
        self._session.talk.nudge(self._slot)
        self._session._flush()
        self._delay = min(self._delay * 2, LAST_NUDGE)
        self._session.loop.call_later(self._delay, self._nudge)
