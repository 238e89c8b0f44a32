"""Composition root: builds everything, delivers and logs events, starts, drains, stops."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import structlog
from websockets.http11 import Request, Response

from glockd import __version__, logs, summary
from glockd.bounds import set_bounds
from glockd.config import Config, ConfigError, StartError, options, words
from glockd.core.deadlines import NEVER
from glockd.core.events import (
    Expired,
    Granted,
    Kicked,
    Leased,
    Misspoken,
    Notice,
    Queued,
    Refused,
    Renamed,
    TimedOut,
)
from glockd.core.history import GRANTED, KICKED, ORPHANED, History, Journal, Record
from glockd.core.holds import Hold
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.connection import Client
from glockd.doors.line.stream import StreamProtocol, WatchedStreamProtocol
from glockd.doors.line.websocket import WebSocketProtocol
from glockd.doors.line.wire.language import VERBS, lost, normalise
from glockd.doors.line.wire.reports import text
from glockd.net.addresses import UnixAddresses, ip_address
from glockd.net.gate import Gate, Limits
from glockd.net.guard import Visitors
from glockd.net.porch import Porch
from glockd.net.sweep import Sweep
from glockd.net.tls import Tls, TlsError
from glockd.policy import Policy
from glockd.process.notify import Notifier
from glockd.process.pidfile import PidFile
from glockd.process.pulse import Pulse
from glockd.process.sockets import (
    BACKLOG,
    UnixSocket,
    bound_keepalive,
    inherited_sockets,
    listen_ip,
    raise_descriptor_limit,
)
from glockd.reload import changes
from glockd.tokens import TokenFile, from_clock
from glockd.web import app, console
from glockd.web.metrics import Metrics

# How many holds of one ended session, or how many deadlines, are dealt with before others get their turn: some 2 ms.
SLICE = 1000

# How many notices are told before others get their turn: some 2 ms, as each may be a system call.
TELL = 250

# How many connections are closed before others get their turn: some 1 ms.
FAREWELLS = 100

# How often the event loop's lag is measured, and the service manager told what goes on, in seconds.
LAG_SAMPLING = 0.25
STATUS_INTERVAL = 10.0

# How long clients may take to read their last replies when the daemon stops, in seconds.
DRAIN = 3.0


class Daemon:
    """One lock server.

    Args:
        config: what the operator wants.
        loop: the event loop it will run on.
        reread: what the operator wants by the time it is called; raises ConfigError if that makes no sense.
    """

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop, reread: Callable[[], Config]) -> None:
        self.config = config
        self._reread = reread
        self.loop = loop
        self.now = loop.time
        self.log = structlog.get_logger()
        self.outbox: deque[Notice] = deque()
        self.names: dict[str, Callable[[asyncio.BaseTransport], bytes]] = {
            "tcp": ip_address,
            "unix": UnixAddresses(),
        }
        self.policy = Policy(
            history=config.history > 0,
            verbose=config.verbose,
            dead_peer_seconds=config.dead_peer_seconds,
            # Not loop.time(), which is that clock at the beginning of the turn.
            wall_offset=lambda: time.time() - time.monotonic(),
        )
        self.limits = Limits()
        self._descriptors = raise_descriptor_limit()
        switch(self.policy, config, read_secrets(config.auth_file))
        set_bounds(config, self._descriptors, self.policy, self.limits)
        self.gate = Gate(self.limits, self.policy.refused)
        self.sweep = Sweep(loop, self._take_stock)
        self._refusals: Counter[str] = Counter()
        try:
            self.tls = Tls(config.tls_cert, config.tls_key, config.tls_client_ca) if config.tls_cert else None
        except TlsError as error:
            raise StartError(str(error)) from error
        # One's own name is no foreign site's.
        self._visitors = Visitors(words(config.ws_origin), [*words(config.ws_host), socket.gethostname()])
        history: History | None = None
        if config.verbose:
            history = Journal(config.history, self.outbox)
        elif config.history:
            history = History(config.history)
        self._token_file, tokens = self._open_tokens()
        self.state = State(tokens, history, VERBS)
        # Kept by the registry: a dictionary more would be a tenth of what a connection takes here.
        self.clients = cast(dict[Session, Client], self.state.registry.owners)
        self._leaving: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._armed = NEVER
        self._servers: list[asyncio.Server] = []
        self._http_servers: list[asyncio.Server] = []  # open to the end, to say that the daemon drains
        self._unix_socket: UnixSocket | None = None
        self._notifier = Notifier()
        self._stopping = asyncio.Event()
        self._draining = False
        self._pulses: list[Pulse] = []

    # Door: what transports need

    def admit(self, client: Client, session: Session) -> None:
        """Count `session` as connected."""
        self.state.registry.add(session, client)
        if self.config.verbose:
            self.log.info("connected", session=text(session.address), transport=session.transport)

    def deliver(self) -> None:
        """Tell those concerned what is in the outbox."""
        outbox = self.outbox
        turn = TELL
        while outbox:
            if not turn:
                # A lock that thousands of readers have waited for is worth thousands of system calls.
                self.loop.call_soon(self.deliver)
                break
            turn -= 1
            notice = outbox.popleft()
            if type(notice) is Granted:
                client = self.clients.get(notice.waiter.session)
                if client is not None:
                    client.granted(notice)
            else:
                self._tell(notice)
        self._arm()

    def part(self, session: Session, how: str, then: Callable[[], None]) -> None:
        """End a session, in several turns if it holds very much."""
        self._part_some(session, how, then)

    def _part_some(self, session: Session, how: str, then: Callable[[], None]) -> None:
        why = KICKED if how == KICKED else ORPHANED
        events, done = self.state.end(session, self.now(), SLICE, why, how)
        self.outbox += events
        self.deliver()
        if not done:
            self.loop.call_soon(self._part_some, session, how, then)
            return
        if self.config.verbose:
            self.log.info("disconnected", session=text(session.address), how=how)
        if not self._leaving:
            self.loop.call_soon(self._see_off)
        self._leaving.append(then)

    def _see_off(self) -> None:
        """Close connections whose sessions have ended, but not thousands in one turn."""
        for _ in range(min(FAREWELLS, len(self._leaving))):
            self._leaving.popleft()()
        if self._leaving:
            self.loop.call_soon(self._see_off)

    # Events

    def _client(self, session: Session) -> Client | None:
        """Who moves the bytes of `session`, unless it is being ended."""
        client = self.clients.get(session)
        return None if client is None or client.session is None else client

    def _tell(self, notice: Notice) -> None:
        match notice:
            case TimedOut(waiter=waiter):
                client = self._client(waiter.session)
                if client is not None:
                    client.timed_out()
            case Expired(hold=hold):
                self._tell_of_losses([hold], b"expired")
            case Kicked(session=session):
                # Who asked for it may be among the kicked, and is still to be answered.
                self.loop.call_soon(self._kick, session)
            case Refused(waiter=waiter, cycle=cycle):
                circle = [text(session.address) for session in cycle]
                self.log.warning("deadlock refused", lock=text(waiter.name), cycle=circle)
            case Record():
                self._log_record(notice)
            case Renamed(session=session):
                self.log.info("changed name", session=text(session.address), name=text(session.label))
            case Misspoken(session=session, line=line):
                self.log.info(
                    "invalid command", session=text(session.address), line=text(line.strip(b"\0\r\n"))
                )
            case Queued() | Leased():
                pass  # the timer is set anyway

    def _kick(self, session: Session) -> None:
        client = self._client(session)
        if client is not None:
            self._tell_of_losses(session.holds, b"kicked")
            client.hang_up(KICKED)

    def _tell_of_losses(self, holds: Collection[Hold], reason: bytes) -> None:
        """Tell one session that these holds of its end, if it wants to know."""
        for hold in holds:
            client = self._client(hold.session)
            if client is None or client.talk is None or not client.talk.notify:
                return
            client.push(lost(hold.name, reason))

    def _log_record(self, record: Record) -> None:
        subject = record.subject
        extra: dict[str, object] = {"detail": record.detail} if record.detail else {}
        if isinstance(subject, Hold):
            extra["token"] = subject.token
            if record.kind != GRANTED:
                extra["held"] = round(record.now - subject.since, 3)
        self.log.info(
            record.kind,
            session=text(subject.session.address),
            lock=text(subject.name),
            table=subject.table.kind,
            **extra,
        )

    # Limits

    def _take_stock(self) -> None:
        """Once a second: see how near the limits are, and tell the operator who was refused."""
        self.policy.consider(self.state.exclusive.held + self.state.shared.held)
        refused = Counter(self.policy.refused)
        if refused != self._refusals:
            self.log.warning("refused", **(refused - self._refusals))
            self._refusals = refused

    # Deadlines

    def _arm(self) -> None:
        """Set the one timer for the next deadline."""
        deadline = self.state.next_deadline()
        if deadline == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = deadline
        if deadline != NEVER:
            self._timer = self.loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        # A daemon that was stopped for a while finds its timer due before it has looked at its sockets, where
        # renewals may lie. Two turns of the loop have one look at the sockets between them.
        self.loop.call_soon(self.loop.call_soon, self._expire)

    def _expire(self) -> None:
        self.outbox += self.state.expire(self.now(), SLICE)
        self._timer = None
        self._armed = NEVER
        self.deliver()

    # Life

    def _open_tokens(self) -> tuple[TokenFile | None, Iterator[int]]:
        if not self.config.state_dir:
            return None, from_clock(time.time())

        def complain(error: OSError) -> None:
            self.log.error("cannot save the token mark", reason=error.strerror)

        try:
            file = TokenFile(Path(self.config.state_dir), time.time(), complain)
        except BlockingIOError as error:
            raise StartError(f"-state-dir: {self.config.state_dir}: another daemon uses it") from error
        except OSError as error:
            raise StartError(f"-state-dir: {self.config.state_dir}: {error.strerror}") from error
        except ValueError as error:
            raise StartError(f"-state-dir: {self.config.state_dir}/token does not hold a number") from error
        return file, file.tokens()

    async def run(self) -> None:
        """Serve until a signal says to stop.

        Raises:
            StartError: a listener cannot be set up; nothing is left behind but the pid file.
        """
        pid_file = PidFile(self.config.pidfile) if self.config.pidfile else None
        await self._listen()
        self.sweep.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._stopping.set)
        self.loop.add_signal_handler(signal.SIGHUP, self._reload)
        self.loop.add_signal_handler(signal.SIGUSR1, self._summarise)
        # The core has no cycles, transports break theirs: no collector has to walk through all locks.
        gc.collect()
        gc.freeze()
        gc.disable()
        if self.config.verbose:
            self.log.info("configuration", **{one.name: getattr(self.config, one.name) for one in options()})
        servers = self._servers + self._http_servers
        addresses = [_name(sock) for server in servers for sock in server.sockets]
        self.log.info("ready", version=__version__, listening=addresses)
        self._notifier.tell("READY=1", f"STATUS=listening on {', '.join(addresses) or 'nothing'}")
        self._start_pulses()
        await self._stopping.wait()
        self._notifier.tell("STOPPING=1", "STATUS=draining")
        self.log.info("stopping", connections=len(self.clients))
        self.sweep.stop()
        await self._drain()
        for pulse in self._pulses:
            pulse.stop()
        if self._unix_socket is not None:
            self._unix_socket.remove()
        if self._token_file is not None:
            self._token_file.close()
        if pid_file is not None:
            pid_file.remove()
        self.log.info("stopped")

    def _start_pulses(self) -> None:
        notifier = self._notifier

        def beat(every: float, job: Callable[[float], None]) -> None:
            self._pulses.append(Pulse(self.loop, every, job))

        beat(LAG_SAMPLING, self.state.stats.lag.add)
        if notifier.watchdog_seconds:
            # sd_watchdog_enabled(3): every half of the time is recommended.
            beat(notifier.watchdog_seconds / 2, lambda _: notifier.tell("WATCHDOG=1"))
        if notifier.is_heard:
            beat(STATUS_INTERVAL, lambda _: notifier.tell(f"STATUS={summary.line(self.state)}"))

    def _reload(self) -> None:
        """Take over what can be taken over from a changed configuration; if it is wrong, nothing."""
        self._notifier.reloading()
        try:
            config, taken, left = changes(self.config, self._reread())
            secrets = read_secrets(config.auth_file)
            if self.tls is not None:
                self.tls.reload()
        except (ConfigError, StartError, TlsError) as error:
            self.log.error("reload failed, nothing has changed", reason=str(error))
        else:
            self.config = config
            logs.configure(config.log_format, config.log_level)
            switch(self.policy, config, secrets)
            set_bounds(config, self._descriptors, self.policy, self.limits)
            self.log.info("reloaded", changed=taken, secrets=len(secrets))
            if left:
                self.log.warning("a restart is needed for these options", options=left)
        self._notifier.tell("READY=1", f"STATUS={summary.line(self.state)}")

    def _summarise(self) -> None:
        self.log.info("state", **summary.summary(self.state, self.now()))

    async def _listen(self) -> None:
        config = self.config
        sockets = inherited_sockets(config.ws)
        given = {kind for kind, _ in sockets}
        if "http" not in given:
            found = [(host, listen_ip(host, port)) for host, port in config.http_addresses]
            sockets += [("http", sock) for _, sock in found if sock is not None]
        websocket_site, http_site = self._sites(apart=bool(config.http) or "http" in given)
        stream = WatchedStreamProtocol if self.limits.watches_the_quiet else StreamProtocol
        factories: dict[str, Callable[[], Client]] = {
            "tcp": partial(stream, self, "tcp"),
            "unix": partial(stream, self, "unix"),
            "ws": partial(WebSocketProtocol, self, partial(self._answer, websocket_site)),
            "http": partial(WebSocketProtocol, self, partial(self._answer, http_site)),
        }
        for kind, port in (("tcp", config.port), ("ws", config.ws)):
            if port and kind not in given:
                found = [(host, listen_ip(host, port)) for host in config.hosts]
                sockets += [(kind, sock) for _, sock in found if sock is not None]
        if config.unix and "unix" not in given:
            mode = int(config.unix_mode, 8)
            self._unix_socket = UnixSocket(config.unix, mode, config.unix_owner, config.unix_group)
            sockets.append(("unix", self._unix_socket.socket))
        for kind, sock in sockets:
            factory = factories[kind]
            if kind == "unix":
                server = await self.loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)
            else:
                bound_keepalive(sock, config.dead_peer_seconds)
                server = await self.loop.create_server(
                    partial(Porch, self, self.tls, factory) if self.tls else factory,
                    sock=sock,
                    backlog=BACKLOG,
                )
            (self._http_servers if kind == "http" else self._servers).append(server)

    def _sites(self, apart: bool) -> tuple[app.Site, app.Site]:
        """What the websocket port and the HTTP port answer to requests; all is on one of the two."""
        config = self.config
        pages: dict[str, app.Page] = {}
        if config.console:
            pages["/"] = console.page(console.FILE.read_bytes())
        if config.health:
            pages["/healthz"] = app.Page(app.health, guarded=False)
            pages["/readyz"] = app.readiness(lambda: self._draining)
        if config.metrics:
            metrics = Metrics(self.state, self.policy, self.now, lambda: self._draining)
            pages["/metrics"] = app.Page(metrics.show)
            # Not aside: a thread that opens files while descriptors run out takes the one that libuv keeps to turn
            # clients away with, and from then on the loop is busy with nothing.
            metrics.prepare()

        def secrets() -> tuple[bytes, ...]:
            return self.policy.secrets

        def heard() -> bool:
            # The console page talks to where it came from.
            return config.console and not self._draining

        return app.Site({} if apart else pages, secrets), app.Site(pages, secrets, heard)

    def _answer(self, site: app.Site, request: Request) -> Response | None:
        """The answer to an HTTP request; None lets a websocket handshake go on."""
        refusal = self._visitors.refuse(request)
        if refusal is None:
            return site(request)
        what, page = refusal
        self.policy.refused[what] += 1
        return page

    async def _drain(self) -> None:
        """Answer what has arrived, then close every connection."""
        self._draining = True
        for server in self._servers:
            server.close()
        deadline = self.now() + DRAIN
        # Two turns of the loop: what lies in the sockets is read.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        clients = list(self.clients.values())
        await self._until(
            lambda: not any(one.talk is not None and one.talk.more for one in clients), deadline
        )
        for session, client in list(self.clients.items()):
            if client.session is not None:
                self._tell_of_losses(session.holds, b"shutdown")
                client.hang_up("shutdown")
        await self._until(lambda: all(_is_closed(one.transport) for one in clients), deadline)
        for client in clients:
            client.transport.abort()
        for server in self._http_servers:
            server.close()

    async def _until(self, so: Callable[[], bool], deadline: float) -> None:
        """Wait for what no event tells."""
        while not so() and self.now() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def switch(policy: Policy, config: Config, secrets: tuple[bytes, ...]) -> None:
    """Set what clients may do, at the start and at each reload."""
    policy.registry = config.registry
    policy.dump = config.dump
    policy.admin = config.admin
    policy.secrets = secrets


def read_secrets(path: str) -> tuple[bytes, ...]:
    """The secrets in a file, one a line; none if there is no file.

    Raises:
        StartError: it cannot be read, or there is no secret in it.
    """
    if not path:
        return ()
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise StartError(f"-auth-file: {path}: {error.strerror}") from error
    secrets = tuple(secret for secret in map(normalise, lines) if secret)
    if not secrets:
        raise StartError(f"-auth-file: {path}: there is no secret in it")
    return secrets


def _is_closed(transport: asyncio.Transport) -> bool:
    return transport.is_closing() and not transport.get_write_buffer_size()


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return str(name)
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
