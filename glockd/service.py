"""The core at work: its clock, its one timer, word to those whom events concern, endings in slices.

What every door is given. Four rules of every call: check the policy; call the core with `now()`; `settle()`; write.
Nothing is awaited between look and take.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from glockd.core.deadlines import NEVER
from glockd.core.events import Expired, Granted, Lapsed, TimedOut
from glockd.core.history import KICKED, ORPHANED
from glockd.notices import Connected, Disconnected, Kicked, Notice, Refusals

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

    from glockd.core.sessions import Listener, Session
    from glockd.core.state import State
    from glockd.net.gate import Gate
    from glockd.net.sweep import Sweep
    from glockd.policy import Policy

# How many holds of one ended session, or how many deadlines, are dealt with before others get their turn: some 2 ms.
HOLDS_A_TURN = 1000

# How many notices are told before others get their turn: some 2 ms, as each may be a system call.
NOTICES_A_TURN = 250

# How many connections are closed before others get their turn: some 1 ms.
FAREWELLS_A_TURN = 100


class Promise(Protocol):
    """A reply that comes later, from another door; an asyncio.Future is one."""

    def done(self) -> bool:
        """Whether it is there, or was cancelled."""

    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    def cancel(self) -> bool:
        """Nobody waits for it any more."""

    def result(self) -> bytes:
        """The reply."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        """Have `callback` called once it is done, in a later turn."""


class Talk(Protocol):
    """What a verb of any door is given of the conversation that it was said in."""

    session: Session
    state: State
    policy: Policy
    outbox: deque[Notice]

    def pause_behind(self, reply: bytes) -> bytes | None:
        """Give `reply`, and let others have their turn before the next command; for what may take long."""

    def behind_records(self, reply: bytes) -> bytes | None:
        """Give `reply` once all that it tells is on record; at once if there are no records."""

    def recite(self, pieces: Iterator[bytes]) -> bytes | None:
        """Give a reply that may be very long, others having their turn between its pieces."""

    def wait_for(self, promise: Promise, otherwise: bytes) -> bytes | None:
        """Give the reply that comes later; or `otherwise`, if the client does not wait so long."""


# Carries out a verb: takes the conversation, the normalised argument and the time in monotonic seconds; gives the
# reply, or None for a pause.
Handler: TypeAlias = Callable[[Talk, bytes, float], bytes | None]


def nothing() -> None:
    """What there is to do behind an ending of which nobody waits for the end."""


class Service:
    """What doors stand on.

    Args:
        loop: the event loop it runs on.
        state: what the daemon knows.
        policy: what clients may do.
        gate: how many may come in.
        sweep: looks at connections once a second.
        outbox: takes what concerns others than the caller; `settle` empties it.
        log: is told what the log might say.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        state: State,
        policy: Policy,
        gate: Gate,
        sweep: Sweep,
        outbox: deque[Notice],
        log: Callable[[Notice], None],
    ) -> None:
        self.loop = loop
        self.state = state
        self.policy = policy
        self.gate = gate
        self.sweep = sweep
        self.outbox = outbox
        self.now: Callable[[], float] = loop.time  # monotonic seconds
        self._log = log
        self.deadlines = state.deadlines  # looked at behind every command
        self._listeners = state.registry.listeners
        self._parted: deque[Callable[[], None]] = deque()
        self._followers: dict[Session, Callable[[], None]] = {}
        self._timer: TimerHandle | None = None
        self._armed = NEVER
        self._telling = False  # somebody is being told
        self._refused: Counter[str] = Counter()

    # What doors use

    def admit(self, session: Session, listener: Listener) -> None:
        """Count `session` as live.

        Args:
            listener: is told what befalls it, until it has ended.
        """
        self.state.registry.add(session, listener)
        if self.policy.config.verbose:
            self.outbox.append(Connected(session))
            self.settle()

    def settle(self) -> None:
        """Tell those concerned what has happened, and set the timer: to be called after every use of the core."""
        if self._telling:
            return  # somebody who is being told has used the core: whoever tells goes on with what came of it
        self._telling = True
        try:
            self._tell_all()
        finally:
            self._telling = False
        if self.deadlines.moved:
            self._arm()

    def _tell_all(self) -> None:
        outbox = self.outbox
        turn = NOTICES_A_TURN
        while outbox:
            if not turn:
                # A lock that thousands of readers have waited for is worth thousands of system calls.
                self.loop.call_soon(self.settle)
                break
            turn -= 1
            notice = outbox.popleft()
            if type(notice) is Granted:
                listener = self._listeners.get(notice.waiter.session)
                if listener is not None:
                    listener.granted(notice)
            else:
                self._tell(notice)

    def part(self, session: Session, how: str, then: Callable[[], None] = nothing) -> None:
        """End a session and settle what follows from it: at once, but in several turns if it holds very much.

        Args:
            how: closed, reset, dead peer, kicked, lapsed, shutdown or idle.
            then: called some time after, when it holds nothing any more.
        """
        why = KICKED if how == KICKED else ORPHANED
        events, done = self.state.end(session, self.now(), HOLDS_A_TURN, why, how)
        self.outbox += events
        if done and self.policy.config.verbose:
            self.outbox.append(Disconnected(session, how))
        self.settle()
        if done and session in self._followers:
            self._followers.pop(session)()
        if not done:
            self.loop.call_soon(self.part, session, how, then)
        elif then is not nothing:
            if not self._parted:
                self.loop.call_soon(self._see_off)
            self._parted.append(then)

    def follow(self, session: Session, then: Callable[[], None]) -> None:
        """Have `then` called when a live session of another door has ended; one follower a session."""
        self._followers[session] = then

    # What happens by itself

    def take_stock(self) -> None:
        """Once a second: see how near the limits are, and tell the log who was refused."""
        policy = self.policy
        policy.consider(self.state.held)
        refused: Counter[str] = Counter(policy.refused)
        if refused != self._refused:
            self.outbox.append(Refusals(refused - self._refused))
            self._refused = refused
            self.settle()

    def _see_off(self) -> None:
        """Close connections whose sessions have ended, but not thousands in one turn."""
        for _ in range(min(FAREWELLS_A_TURN, len(self._parted))):
            self._parted.popleft()()
        if self._parted:
            self.loop.call_soon(self._see_off)

    def _tell(self, notice: Notice) -> None:
        match notice:
            case TimedOut(waiter=waiter):
                listener = self._listeners.get(waiter.session)
                if listener is not None:
                    listener.timed_out(waiter)
            case Expired(hold=hold):
                listener = self._listeners.get(hold.session)
                if listener is not None:
                    listener.lost(hold, "expired")
            case Lapsed(owner=owner):
                listener = self._listeners.get(owner)
                if listener is not None:
                    listener.end("lapsed")
            case Kicked(session=session):
                self._log(notice)
                # Who asked for it may be among the kicked, and is still to be answered.
                self.loop.call_soon(self._kick, session)
            case _:
                self._log(notice)

    def _kick(self, session: Session) -> None:
        listener = self._listeners.get(session)
        if listener is not None:
            listener.end(KICKED)

    # The timer

    def _arm(self) -> None:
        """Set the one timer for the next deadline."""
        self.deadlines.moved = False
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
        self._timer = None
        self._armed = NEVER
        self.outbox += self.state.expire(self.now(), HOLDS_A_TURN)
        self.deadlines.moved = True
        self.settle()
