"""The daemon without a process: bare conversations on one State, and a clock that the test sets."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from glockd.bounds import in_force
from glockd.config import UNLIMITED, Config
from glockd.core.events import Expired, Granted, TimedOut
from glockd.core.history import KICKED, ORPHANED, History
from glockd.core.holds import Hold
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.doors.line.wire.language import lost
from glockd.doors.line.wire.lines import LineConversation
from glockd.notices import Kicked, Notice
from glockd.policy import Policy
from tests.support.clients import Client
from tests.support.daemons import Observer

WALL = 1_700_000_000.0  # seconds since 1970 when the test's clock shows 0
HOLDS_A_TURN = 3  # how much is done in one go when a session ends; few, so that it takes several


VOCABULARY = Vocabulary()


def policy(**options: Any) -> Policy:
    """What these options put in force."""
    return Policy(in_force(Config(**options), UNLIMITED), wall_offset=lambda: WALL)


def options_of(flags: Sequence[str]) -> dict[str, Any]:
    """The options that these flags of the daemon stand for."""
    found: dict[str, Any] = {}
    for flag in flags:
        name, _, value = flag.lstrip("-").replace("-", "_").partition("=")
        found[name] = int(value) if value.isdigit() else value != "false"
    return found


class ConversationDaemon:
    """What the daemon does with conversations, and nothing else."""

    transport = "conversation"

    def __init__(self, flags: Sequence[str] = (), vocabulary: Vocabulary = VOCABULARY) -> None:
        self.now = 1000.0
        self.vocabulary = vocabulary
        self.policy = policy(**options_of(flags))
        size = self.policy.config.history
        self.state = State(history=History(size) if size else None, verbs=VOCABULARY.words)
        self.outbox: deque[Notice] = deque()
        self.kicked: list[Session] = []  # to go when all else has been told
        self.talks: dict[Session, ConversationClient] = {}
        self.serial = 0
        self.observer = Observer(self.client())

    def client(self, transport: str | None = None) -> ConversationClient:
        self.serial += 1
        kind = "unix" if transport == "unix" else "tcp"
        session = Session(b"conversation:%d" % self.serial, kind, self.now)
        self.state.registry.add(session)
        client = self.talks[session] = ConversationClient(self, session)
        return client

    def deliver(self) -> None:
        """Tell those concerned what has happened, until nothing more does."""
        while self.outbox or self.kicked:
            notices = list(self.outbox)
            self.outbox.clear()
            for notice in notices:
                self.tell(notice)
            if not self.outbox and self.kicked:
                self.kick(self.kicked.pop(0))

    def tell(self, notice: Notice) -> None:
        if isinstance(notice, Granted | TimedOut):
            client = self.talks.get(notice.waiter.session)
            if client is not None:
                client.goes_on(notice if isinstance(notice, Granted) else None)
        elif isinstance(notice, Expired):
            self.tell_of_loss(notice.hold, "expired")
        elif isinstance(notice, Kicked):
            self.kicked.append(notice.session)

    def kick(self, session: Session) -> None:
        if session in self.talks:
            for hold in list(session.holds):
                self.tell_of_loss(hold, "kicked")
            self.talks[session].vanishes(KICKED)

    def tell_of_loss(self, hold: Hold, reason: str) -> None:
        client = self.talks.get(hold.session)
        if client is not None and client.talk.notify:
            client.buffer += lost(hold, reason)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.state.next_deadline() <= end:
            self.now = max(self.now, self.state.next_deadline())
            self.outbox += self.state.expire(self.now, 1)
            self.deliver()
        self.now = end
        # Nothing more is due, so that nothing may end.
        self.outbox += self.state.expire(end, 1)
        self.deliver()

    def counts(self, **changes: int) -> None:
        found = self.observer.counters()
        found["connections"] -= 1
        found["command_q"] -= self.observer.asked
        assert {key: found.get(key, 0) for key in changes} == changes

    def ends(self) -> None:
        """Every client hangs up, has heard all that it was told, and leaves nothing behind."""
        for client in list(self.talks.values()):
            if client is not self.observer.client:
                client.hangs_up()
        self.counts(connections=0, locks=0, shared_locks=0)
        assert self.state.next_deadline() == float("inf")


class ConversationClient(Client):
    """A client whose bytes need no transport."""

    def __init__(self, daemon: ConversationDaemon, session: Session) -> None:
        super().__init__()
        self.daemon, self.session = daemon, session
        self.address, self.transport = session.address.decode(), "conversation"
        self.talk = LineConversation(daemon.state, session, daemon.policy, daemon.outbox, daemon.vocabulary)
        self.buffer = b""

    @property
    def is_open(self) -> bool:
        return self.session in self.daemon.talks

    def sends(self, data: bytes) -> None:
        """Send raw bytes, as one packet."""
        self.buffer += self.talk.receive(data, self.daemon.now)
        self.resumes()
        self.daemon.deliver()
        if self.talk.over and self.is_open:
            self.vanishes()

    def resumes(self) -> None:
        while self.talk.more:
            self.buffer += self.talk.resume(self.daemon.now)

    def goes_on(self, granted: Granted | None = None) -> None:
        """A wait is over."""
        self.buffer += self.talk.granted(granted) if granted else self.talk.timed_out()
        self.resumes()

    def transmit_lines(self, lines: list[bytes]) -> None:
        self.sends(b"".join(line + b"\n" for line in lines))

    def expect(self, wanted: bytes) -> None:
        got = self.receive(len(wanted))
        assert got == wanted

    def receive(self, size: int) -> bytes:
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def receive_line(self) -> bytes:
        line, found, self.buffer = self.buffer.partition(b"\n")
        return line + found

    def hangs_up(self) -> None:
        self.vanishes()
        assert self.buffer == b"", "said, and not asked for"

    def vanishes(self, why: str = ORPHANED) -> None:
        daemon = self.daemon
        if why is not KICKED:
            self.buffer += self.talk.end_of_input(daemon.now)
            self.resumes()
        del daemon.talks[self.session]
        done = False
        while not done:
            events, done = daemon.state.end(
                self.session, daemon.now, HOLDS_A_TURN, why, KICKED if why is KICKED else "closed"
            )
            daemon.outbox += events
            daemon.deliver()
