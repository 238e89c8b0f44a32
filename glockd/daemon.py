"""Composition root: builds everything, reloads, drains, stops. Nothing here happens per event."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from glockd import __version__, logs, summary
from glockd.bounds import in_force
from glockd.config import Config, ConfigError, StartError, options
from glockd.core.history import History, Journal
from glockd.core.state import State
from glockd.doors import OPTIONAL, Door
from glockd.doors.line.door import LineDoor
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.listening import Listening, handed_over
from glockd.net.gate import Gate
from glockd.net.sweep import Sweep
from glockd.net.tls import Tls, TlsError
from glockd.notices import Notice
from glockd.policy import Policy, read_all_secrets
from glockd.process.notify import Notifier
from glockd.process.pidfile import PidFile
from glockd.process.pulse import Pulse
from glockd.process.sockets import raise_descriptor_limit
from glockd.process.stderr import lost_lines
from glockd.process.terminal import Terminal
from glockd.reload import changes
from glockd.service import Service
from glockd.tokens import open_tokens
from glockd.web.site import Sites

if TYPE_CHECKING:
    from glockd.store.book import Book

# How often the event loop's lag is measured, and the service manager told what goes on, in seconds.
LAG_SAMPLING = 0.25
STATUS_INTERVAL = 10.0

# How often lines that wait for the log are tried again, in seconds.
LOOK_AROUND = 0.25

# How often certificates are told about that will soon be over, in seconds.
CERTIFICATES = 86400.0

# How long clients may take to read their last replies when the daemon stops, in seconds.
DRAIN = 3.0


class Daemon:
    """One lock server.

    Args:
        config: what the operator wants.
        loop: the event loop it will run on.
        reread: what the operator wants by the time it is called; raises ConfigError if that makes no sense.

    Raises:
        StartError: something that the options name cannot be used.
    """

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop, reread: Callable[[], Config]) -> None:
        self.config = config
        self._reread = reread
        self._loop = loop
        self._terminal = Terminal()
        self._log = structlog.get_logger()
        self._descriptors = raise_descriptor_limit()
        try:
            self._tls = (
                Tls(config.tls_cert, config.tls_key, config.tls_client_ca) if config.tls_cert else None
            )
        except TlsError as error:
            raise StartError(str(error)) from error
        secrets = read_all_secrets(config)
        policy = Policy(
            in_force(config, self._descriptors),
            secrets["auth_file"],
            secrets,
            # Not loop.time(), which is that clock at the beginning of the turn.
            wall_offset=lambda: time.time() - time.monotonic(),
            lost_log_lines=lost_lines,
            certificate_ends=self._tls.ends if self._tls is not None else dict,
        )
        self._token_file, tokens = open_tokens(config.state_dir, time.time(), self._complain)
        vocabulary = Vocabulary()
        outbox: deque[Notice] = deque()
        state = State(tokens, _history(config, outbox), vocabulary.words)
        sweep = Sweep(loop, lambda: self.service.take_stock())
        self.service = Service(loop, state, policy, Gate(policy), sweep, outbox, logs.say)
        self._inherited = handed_over(config)
        self.book = self._open_book()
        apart = bool(config.http) or any(kind == "http" for kind, _ in self._inherited)
        sites = Sites(self.service, apart=apart, draining=lambda: self._draining, book=self.book)
        self.line = LineDoor(self.service, vocabulary, sites.on_websocket, self.book)
        kinds = {kind for kind, _ in self._inherited}
        wanted = [one for one in OPTIONAL if one.is_wanted(config, kinds)]
        self._doors: list[Door] = [self.line, *(one.build(self.service, self.book) for one in wanted)]
        for door in self._doors:
            vocabulary.elsewhere.update(door.verbs)
        answers = {kind: answer for door in self._doors for kind, answer in door.answers.items()}
        self._http = sites.on_http(self.line.websocket(sites.on_websocket))
        answers["http"] = self._http.protocol
        self._listening = Listening(config, self.service, self._tls, answers)
        self._notifier = Notifier()
        self._stopping = asyncio.Event()
        self._draining = False
        self._pulses: list[Pulse] = []

    def _open_book(self) -> Book | None:
        if not self.config.records:
            return None
        # Not before it is wanted: without records nobody has to load SQLite.
        from glockd.store.book import Book

        return Book(self.config.records, self.config.records_sync, self._loop, logs.say)

    def _complain(self, error: OSError) -> None:
        self._log.error("cannot save the token mark", reason=error.strerror)

    async def run(self) -> None:
        """Serve until a signal says to stop.

        Raises:
            StartError: a door or a listener cannot be set up; nothing is left behind but the pid file.
        """
        try:
            pid_file = PidFile(self.config.pidfile) if self.config.pidfile else None
            for door in self._doors:
                await door.start()
            self._listening.bind(self._inherited)
            self._expose(self.config, self.service.policy.secrets_of)
        except StartError:
            self._listening.unbind()
            if self.book is not None:
                self.book.close()
            raise
        await self._listening.open()
        self.service.policy.pages = self._listening.pages
        self.service.sweep.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopping.set)
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        self._loop.add_signal_handler(signal.SIGUSR1, self._summarise)
        # The core has no cycles, transports break theirs: no collector has to walk through all locks.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._say_ready()
        self._start_pulses()
        await self._stopping.wait()
        await self._stop()
        if pid_file is not None:
            pid_file.remove()
        # The loop gives its signals back when it is closed: another one would end the process then, and not well.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        self._log.info("stopped")

    def _expose(self, config: Config, secrets_of: Mapping[str, tuple[bytes, ...]]) -> None:
        """See that no door is a back door: one that is open, where the line language asks for a secret.

        Raises:
            StartError: one is.
        """
        for found, is_forbidden in self._listening.exposed(secrets_of):
            if config.auth_file or is_forbidden:
                raise StartError(found)
            self._log.warning(found)

    def _say_ready(self) -> None:
        if self.config.verbose:
            self._log.info("configuration", **{one.name: getattr(self.config, one.name) for one in options()})
        self._say_certificates()
        where = self._listening
        besides = {name: value for name in ("tls", "console") if (value := getattr(where, name))}
        self._log.info("ready", version=__version__, **where.addresses, **besides)
        listening = "; ".join(f"{kind} {', '.join(found)}" for kind, found in where.addresses.items())
        self._notifier.tell("READY=1", f"STATUS=listening on {listening}")

    def _start_pulses(self) -> None:
        notifier, state = self._notifier, self.service.state

        def beat(every: float, job: Callable[[float], None]) -> None:
            self._pulses.append(Pulse(self._loop, every, job))

        beat(LAG_SAMPLING, state.stats.lag.add)
        beat(LOOK_AROUND, lambda _: self._look_around())
        beat(CERTIFICATES, lambda _: self._say_certificates(troubles_only=True))
        if notifier.watchdog_seconds:
            # sd_watchdog_enabled(3): every half of the time is recommended.
            beat(notifier.watchdog_seconds / 2, lambda _: notifier.tell("WATCHDOG=1"))
        if notifier.is_heard:
            beat(STATUS_INTERVAL, lambda _: notifier.tell(f"STATUS={summary.line(state)}"))

    def _say_certificates(self, *, troubles_only: bool = False) -> None:
        if self._tls is not None:
            logs.say_certificates(self._tls, time.time(), troubles_only=troubles_only)

    def _look_around(self) -> None:
        sys.stderr.flush()
        self._terminal.look()

    def _hang_up(self) -> None:
        """The terminal is gone, and the daemon goes with it; or somebody wants a reload."""
        if self._terminal.is_gone():
            self._stopping.set()
        else:
            self._reload()

    def _reload(self) -> None:
        """Take over what can be taken over from a changed configuration; if it is wrong, nothing."""
        self._notifier.reloading()
        try:
            config, taken, left = changes(self.config, self._reread())
            secrets = read_all_secrets(config)
            self._expose(config, secrets)
            if self._tls is not None:
                self._tls.reload()
        except (ConfigError, StartError, TlsError) as error:
            self._log.error("reload failed, nothing has changed", reason=str(error))
        else:
            self.config = config
            logs.configure(config.log_format, config.log_level)
            self.service.policy.obey(in_force(config, self._descriptors), secrets["auth_file"], secrets)
            for door in self._doors:
                door.reload(config)
            self._say_certificates()
            self._log.info("reloaded", changed=taken, secrets=len(secrets["auth_file"]))
            if left:
                self._log.warning("a restart is needed for these options", options=left)
        self._notifier.tell("READY=1", f"STATUS={summary.line(self.service.state)}")

    def _summarise(self) -> None:
        self._log.info("state", **summary.summary(self.service.state, self.service.now()))

    async def _stop(self) -> None:
        """Answer what has arrived, then close every connection and put everything away."""
        self._notifier.tell("STOPPING=1", "STATUS=draining")
        self._log.info("stopping", connections=len(self.service.state.registry))
        self.service.sweep.stop()
        self._draining = True
        self._listening.close(but="http")  # open to the end, to say that the daemon drains
        deadline = self.service.now() + DRAIN
        # Two turns of the loop: what lies in the sockets is read.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for door in self._doors:
            await door.drain(deadline)
        self._listening.close()
        await self._http.drain(deadline)
        self.service.sweep.drop()
        await asyncio.sleep(0)
        for pulse in self._pulses:
            pulse.stop()
        self._listening.remove()
        if self.book is not None:
            self.book.close()
        if self._token_file is not None:
            self._token_file.close()


def _history(config: Config, outbox: deque[Notice]) -> History | None:
    if config.verbose:
        return Journal(config.history, outbox.append)
    return History(config.history) if config.history else None
