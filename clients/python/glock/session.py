"""One blocking connection.

Who may touch what:
- `_mutex` is held by whoever talks on the connection or looks at it; only they change `talk` and use `_readable`.
- `close` may come from any thread, and from a signal handler inside any of them. It notes the reason in
  `_ending` and shuts the socket down, which wakes whoever is inside; the last one out ends the talk.
- Once `talk.closed` is set nothing is held or waited for any more, and the descriptor is free or about to be.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from glock import forks
from glock.address import SECURE, WEB, Address
from glock.errors import ConnectionLost, GlockError, ProtocolError, Unreachable
from glock.options import Options
from glock.sockets import tune
from glock.wire.arguments import INFINITE
from glock.wire.conversation import FIRST_NUDGE, LAST_NUDGE, Ask, Conversation, Pause, Slot
from glock.wire.recipes import Recipe, open_conversation
from glock.wire.websocket import Messages

T = TypeVar("T")
log = logging.getLogger("glock")
SETTLE = 2.0  # seconds that an interrupted caller is kept for, to leave nothing behind
LONGEST = 2e6  # seconds: poll(2) takes milliseconds as an int, and CPython cuts what does not fit


class Session:
    """A connection that carries out recipes, one at a time, for whichever thread asks.

    Attributes:
        taken: how many `Lock` objects of this session have not been released yet, or are about to be got.
        owner: the thread that has got them; None if `taken` is 0.
    """

    def __init__(self, address: Address, options: Options) -> None:
        """Not connected yet: `open` is next."""
        self.address = address
        self.talk = Conversation()
        self.taken = 0
        self.owner: int | None = None
        self._options = options
        self._mutex = threading.Lock()
        self._ending: str | None = None
        self._timeout = options.timeout
        self._silence = INFINITE  # seconds without a word that are a loss, once signs of life come
        self._heard = 0.0
        self._current_timeout: float | None = None
        self._sending = False
        self._callbacks: list[Callable[[], None]] = []
        self._stop_watching: socket.socket | None = None
        self._messages: Messages | None = None
        self._pending: Callable[[], int] | None = None  # bytes that TLS has and poll(2) does not know of
        self._sock = socket.socket(socket.AF_UNIX)  # until there is one that is connected
        forks.guard(self)

    def open(self) -> None:
        """Connect.

        Raises:
            Unreachable: nobody is there. NotAuthorised, ProtocolError, Unsupported: somebody is, but.
            ConnectionLost: it was closed meanwhile.
        """
        address, options = self.address, self._options
        try:
            self._connect()
            self._readable = select.poll()
            self._readable.register(self._sock, select.POLLIN)
            if address.scheme in WEB:
                self._messages = Messages(address)
                self._shake_hands(self._messages)
            self.run(open_conversation(self.talk, options.secret, options.name, options.alive))
        except BaseException as error:
            was_closed = self._ending is not None
            with self._mutex:
                self._lose("not opened")
            if was_closed and isinstance(error, OSError):
                assert self.talk.closed is not None
                raise self.talk.closed from error
            if (meant := unreachable(address, error)) is not None:
                raise meant from error
            raise
        if options.alive is not None:
            self._silence = options.silence
            self.watch()

    def _connect(self) -> None:
        address = self.address
        if address.scheme == "unix":
            self._try(socket.AF_UNIX, address.path)
            return
        error: OSError | None = None
        for family, _, _, _, place in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
            try:
                self._try(family, place)
                break
            except OSError as problem:
                error = problem
        else:
            raise error or OSError("the name has no address")
        tune(self._sock)
        if address.scheme in SECURE:
            context = self._options.tls or address.tls_context()
            assert context is not None
            wrapped = context.wrap_socket(
                self._sock, server_hostname=address.server_hostname, do_handshake_on_connect=False
            )
            # From here on `close` finds the descriptor, which the plain socket has no more.
            self._sock, self._pending = wrapped, wrapped.pending
            self._unless_closed()
            wrapped.do_handshake()

    def _try(self, family: int, place: tuple[Any, ...] | str) -> None:
        self._sock.close()
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.settimeout(self._timeout)
        self._current_timeout = self._timeout
        self._unless_closed()
        self._sock.connect(place)
        self._unless_closed()

    def _unless_closed(self) -> None:
        """
        Raises:
            ConnectionAbortedError: it has been closed meanwhile.
        """
        if self._ending is not None:
            raise ConnectionAbortedError(self._ending)

    @property
    def gets_signs_of_life(self) -> bool:
        return self._silence < INFINITE

    def fileno(self) -> int:
        return self._sock.fileno()

    def run(self, recipe: Recipe[T]) -> T:
        """Carry it out.

        Whatever interrupts it, nothing is left held or waited for that the recipe did not return.
        """
        try:
            with self._mutex:
                step = next(recipe)
                while True:
                    if isinstance(step, Pause):
                        time.sleep(step.seconds)
                        step = recipe.send([])
                    else:
                        step = recipe.send(self._ask(step))
        except StopIteration as done:
            result: T = done.value
            return result
        except ProtocolError as error:
            self.close(str(error))
            raise
        finally:
            if self._ending is not None:
                self._end()
            if self._callbacks:
                self._call_back()

    def _ask(self, ask: Ask) -> list[bytes]:
        slot = Slot(ask)
        try:
            self.talk.submit(slot)
            self._send()
            self._await(slot)
        except OSError as error:
            self._lose(error.strerror or str(error))
        except BaseException:
            self._give_up(slot)
            raise
        return slot.result()

    def _await(self, slot: Slot) -> None:
        """Read until the slot is done, or nobody can be expected to answer any more."""
        begin = time.monotonic()
        most = left = self._timeout + slot.ask.patience
        nudge = FIRST_NUDGE if slot.ask.wants_nudge and not self.talk.modern else None
        while not slot.done:
            try:
                self._receive(min(left, self._silence, nudge or LONGEST))
            except TimeoutError:
                if nudge:
                    self.talk.nudge(slot)
                    nudge = min(nudge * 2, LAST_NUDGE)
            if slot.done:
                return
            left = begin + most - time.monotonic()
            if left <= 0:
                self._lose(f"no answer within {self._timeout:g} s")
            elif self._is_silent():
                self._lose(self._options.silent)
            else:
                self._send()

    def _give_up(self, slot: Slot) -> None:
        """The caller was interrupted: leave nothing behind."""
        try:
            if self._sending:
                self._lose("interrupted while sending")
            self.talk.abandon(slot)
            self._send()
            until = time.monotonic() + SETTLE
            # An item is known, and can be given back, only once it is told.
            while self.talk.has_unsent or (slot.ask.settle is not None and not self.talk.is_quiet):
                self._receive(max(until - time.monotonic(), 0.001))
                self._send()
        except BaseException as error:
            self._lose(f"interrupted: {error}")
            if not isinstance(error, OSError):
                raise

    def _send(self) -> None:
        data = self.talk.outgoing()
        if data:
            if self._messages is not None:
                data = self._messages.encode(data)
            self._sending = True
            self._sock.sendall(data)
            self._sending = False

    def _receive(self, timeout: float) -> None:
        if timeout != self._current_timeout:
            self._sock.settimeout(timeout)
            self._current_timeout = timeout
        data = self._sock.recv(65536)
        while self._pending is not None and self._pending():
            data += self._sock.recv(65536)  # what poll(2) will not tell of
        if self._silence < INFINITE:
            self._heard = time.monotonic()
        if not data:
            self._lose("the server closed it")
        elif self._messages is None:
            self.talk.feed(data)
        else:
            payload, reply = self._messages.decode(data)
            if reply:
                self._sock.sendall(reply)
            self.talk.feed(payload)

    def _is_silent(self) -> bool:
        """Have signs of life been asked for, and failed to come?"""
        return self.gets_signs_of_life and time.monotonic() - self._heard >= self._silence

    def _shake_hands(self, messages: Messages) -> None:
        self._sock.sendall(messages.hello())
        while not messages.is_open:
            data = self._sock.recv(65536)
            if not data:
                raise Unreachable("the server closed the connection during the websocket handshake")
            payload, reply = messages.decode(data)
            if reply:
                self._sock.sendall(reply)
            self.talk.feed(payload)

    # Loss

    @property
    def is_lost(self) -> bool:
        """Has the connection ended? Looks at what has arrived; asks nobody."""
        self.look()
        return self._ending is not None or self.talk.closed is not None

    def look(self) -> None:
        """Take in what has arrived without being asked for, if anything."""
        with self._mutex:
            try:
                while self.talk.closed is None and self._readable.poll(0):
                    self._receive(0.001)
            except TimeoutError:
                pass  # a part of a TLS record or a websocket frame
            except OSError as error:
                self._lose(error.strerror or str(error))
            if self.talk.closed is None and self._is_silent():
                self._lose(self._options.silent)
        if self._ending is not None:
            self._end()
        self._call_back()

    def watch(self) -> None:
        """From now on a thread looks at the connection, so that a loss is noticed at once."""
        with self._mutex:
            if self._stop_watching is not None or self.talk.closed is not None:
                return
            self._heard = time.monotonic()
            self._stop_watching, stopped = socket.socketpair()
            threading.Thread(target=self._watch, args=(stopped,), name="glock-watch", daemon=True).start()

    def _watch(self, stopped: socket.socket) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(stopped, select.POLLIN)
        with stopped:
            while self.talk.closed is None:
                ready = poll.poll(1000 * min(self._silence, LONGEST))
                if any(fd == stopped.fileno() for fd, _ in ready):
                    return
                self.look()

    def unwatch(self) -> None:
        """End what `watch` began. Where signs of life come somebody has to read them until the end."""
        if self._options.alive is None:
            self._stop_watcher()

    def _stop_watcher(self) -> None:
        stop, self._stop_watching = self._stop_watching, None
        if stop is not None:
            stop.close()  # the other end becomes readable

    def later(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when this session is not in use by the thread that noticed a loss."""
        self._callbacks.append(callback)

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("an on_lost callback failed")

    # End

    def close(self, reason: str) -> None:
        """End the connection, and so everything that is held or waited for on it, by whichever thread and
        whatever process: whoever waits gets ConnectionLost within moments."""
        if self._ending is None:
            self._ending = reason
        self._shut_down()
        self._end()
        self._call_back()

    def drop(self) -> None:
        """Nobody refers to it any more. Where another process has its descriptor, the connection goes on."""
        self._stop_watcher()
        self._sock.close()

    def _shut_down(self) -> None:
        # Closing a descriptor wakes nobody who reads from it, and frees no lock as long as a copy of it is
        # open. (Not SSLSocket.shutdown, which would take TLS away from under a reader.)
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _end(self) -> None:
        """Do what `close` has asked for, unless somebody is inside, who will do it on the way out."""
        if self._mutex.acquire(blocking=False):
            try:
                self._lose(self._ending or "")
            finally:
                self._mutex.release()

    def _lose(self, reason: str) -> None:
        """The connection has ended, or must. For those who have the mutex."""
        self.talk.close(self._ending or reason)
        self._stop_watcher()
        self._shut_down()
        self._sock.close()

    def forget(self, reason: str) -> None:
        """In a forked child: the connection is the parent's."""
        self._mutex = threading.Lock()
        self._stop_watching = None
        self._ending = reason
        self.taken = 0
        self.talk.close(reason)
        self._sock.detach()


def unreachable(address: Address, error: BaseException) -> Unreachable | None:
    """What an error before anything was asked for means to the caller; None: itself."""
    if isinstance(error, ConnectionLost):
        return Unreachable(f"{address.url}: {error.reason}")
    if isinstance(error, OSError) and not isinstance(error, GlockError):
        return Unreachable(f"{address.url}: {error.strerror or error}")
    return None
