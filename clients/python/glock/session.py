"""One blocking connection."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from glock import forks
from glock.address import Address
from glock.errors import ConnectionLost, GlockError, ProtocolError, Unreachable
from glock.sockets import tune
from glock.wire.conversation import FIRST_NUDGE, LAST_NUDGE, Ask, Conversation, Pause, Slot
from glock.wire.language import Name, encode
from glock.wire.recipes import Recipe, open_conversation
from glock.wire.websocket import Messages

T = TypeVar("T")
log = logging.getLogger("glock")
MOST_IDLE = 8  # connections kept for later
SETTLE = 2.0  # seconds that an interrupted caller is kept for, to leave nothing behind


@dataclass(frozen=True, slots=True)
class Options:
    """How a client connects.

    `timeout` (seconds): for connecting, and for any answer beyond the wait asked for.
    """

    secret: str | None = None
    name: bytes | None = None
    timeout: float = 30.0
    tls: ssl.SSLContext | None = None

    @classmethod
    def checked(
        cls, secret: str | None, name: Name | None, timeout: float, tls: ssl.SSLContext | None
    ) -> Options:
        """
        Raises:
            ValueError: an argument makes no sense.
        """
        if not 0 < timeout < float("inf"):
            raise ValueError(f"timeout must be more than 0 seconds, and finite, not {timeout!r}")
        secret = os.environ.get("GLOCK_SECRET") if secret is None else secret
        if secret is not None:
            encode(secret, "secret")
        return cls(secret or None, None if name is None else encode(name, "client's name"), timeout, tls)


class Session:
    """A connection that carries out recipes, one at a time, for whichever thread asks.

    Attributes:
        taken: how many `Lock` objects of this session have not been released yet, or are about to be got.
        owner: the thread that has got them; None if `taken` is 0.
    """

    def __init__(self, address: Address, options: Options) -> None:
        """Connect.

        Raises:
            Unreachable: nobody is there. NotAuthorised, ProtocolError: somebody is, but.
        """
        self.talk = Conversation()
        self.taken = 0
        self.owner: int | None = None
        self._mutex = threading.Lock()
        self._timeout = options.timeout
        self._current_timeout: float | None = options.timeout
        self._sending = False
        self._callbacks: list[Callable[[], None]] = []
        self._stop_watching: socket.socket | None = None
        self._messages: Messages | None = None
        self._sock = _connect(address, options)
        self._readable = select.poll()
        self._readable.register(self._sock, select.POLLIN)
        forks.guard(self)
        try:
            if address.scheme in {"ws", "wss"}:
                self._messages = Messages(address)
                self._shake_hands(self._messages)
            self.run(open_conversation(self.talk, options.secret, options.name))
        except BaseException as error:
            self.close("not opened")
            if (meant := unreachable(address, error)) is not None:
                raise meant from error
            raise

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
            if self._callbacks:
                self._call_back()

    def _ask(self, ask: Ask) -> list[bytes]:
        slot = Slot(ask)
        nudge = FIRST_NUDGE if ask.wants_nudge and not self.talk.modern else None
        give_up = time.monotonic() + self._timeout if nudge else 0.0
        try:
            self.talk.submit(slot)
            self._send()
            while not slot.done:
                try:
                    self._receive(nudge if nudge else self._timeout + ask.patience)
                except TimeoutError:
                    if not nudge or time.monotonic() > give_up:
                        self.close(f"no answer within {self._timeout:g} s")
                        break
                    self.talk.nudge(slot)
                    nudge = min(nudge * 2, LAST_NUDGE)
                self._send()
        except OSError as error:
            self.close(error.strerror or str(error))
        except BaseException:
            self._give_up(slot)
            raise
        return slot.result()

    def _give_up(self, slot: Slot) -> None:
        """The caller was interrupted: leave nothing behind."""
        try:
            if self._sending:
                self.close("interrupted while sending")
            self.talk.abandon(slot)
            self._send()
            until = time.monotonic() + SETTLE
            while self.talk.has_unsent:
                self._receive(max(until - time.monotonic(), 0.001))
                self._send()
        except BaseException as error:
            self.close(f"interrupted: {error}")
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
        limit = None if timeout == float("inf") else timeout
        if limit != self._current_timeout:
            self._sock.settimeout(limit)
            self._current_timeout = limit
        data = self._sock.recv(65536)
        while isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            data += self._sock.recv(65536)  # what poll(2) will not tell of
        if not data:
            self.close("the server closed it")
        elif self._messages is None:
            self.talk.feed(data)
        else:
            payload, reply = self._messages.decode(data)
            if reply:
                self._sock.sendall(reply)
            self.talk.feed(payload)

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
        if self.talk.closed is None and self._readable.poll(0):
            self.look()
        return self.talk.closed is not None

    def look(self) -> None:
        """Take in what has arrived without being asked for, if anything."""
        with self._mutex:
            try:
                while self.talk.closed is None and self._readable.poll(0):
                    self._receive(0.001)
            except TimeoutError:
                pass  # a part of a TLS record or a websocket frame
            except OSError as error:
                self.close(error.strerror or str(error))
        self._call_back()

    def watch(self) -> None:
        """From now on a thread looks at the connection while locks are held, so that their loss is
        noticed at once."""
        with self._mutex:
            if self._stop_watching is not None or self.talk.closed is not None:
                return
            self._stop_watching, stopped = socket.socketpair()
            threading.Thread(target=self._watch, args=(stopped,), name="glock-watch", daemon=True).start()

    def _watch(self, stopped: socket.socket) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(stopped, select.POLLIN)
        with stopped:
            while self.talk.closed is None:
                ready = poll.poll()
                if any(fd == stopped.fileno() for fd, _ in ready):
                    return
                self.look()

    def unwatch(self) -> None:
        """End what `watch` began."""
        if self._stop_watching is not None:
            self._stop_watching.close()  # the other end becomes readable
            self._stop_watching = None

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
        """End the connection, and so everything that is held on it."""
        self.talk.close(reason)
        self.unwatch()
        self._sock.close()

    def forget(self, reason: str) -> None:
        """In a forked child: the connection is the parent's."""
        self._mutex = threading.Lock()
        self._stop_watching = None
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


def _connect(address: Address, options: Options) -> socket.socket:
    sock: socket.socket | None = None
    try:
        if address.scheme == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(options.timeout)
            sock.connect(address.path)
            return sock
        sock = socket.create_connection((address.host, address.port), options.timeout)
        tune(sock)
        if address.scheme in {"tls", "wss"}:
            context = options.tls or address.tls_context()
            assert context is not None
            return context.wrap_socket(sock, server_hostname=address.server_hostname)
        return sock
    except BaseException as error:
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        if (meant := unreachable(address, error)) is not None:
            raise meant from error
        raise
