"""One client's side of the talk: commands carried out on the State in order, for one session."""

from __future__ import annotations

from collections import deque

from glockd.core.events import Granted, Misspoken, Notice
from glockd.core.history import CANCELLED
from glockd.core.locks import WHOLE, LockTable, Waiter
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.wire.extensions import granted_reply, refuse, waited_in_vain
from glockd.wire.handlers import BARE, HANDLERS, UNAUTHORISED, Handlers
from glockd.wire.language import CANCELLED as CANCELLED_REPLY
from glockd.wire.language import LF, SPACE, TOO_MANY_LOCKS, TOO_MANY_WAITERS, normalise, trim
from glockd.wire.policy import Policy

# A reply up to this many bytes may be followed by others at once.
SHORT = 4096


class Conversation:
    """What line and message conversations have in common.

    Args:
        state: what all sessions share.
        session: the client's, connected already.
        policy: what the client may do.
        outbox: takes what concerns other sessions or the daemon.
    """

    __slots__ = (
        "busy",
        "ended",
        "exclusive",
        "handlers",
        "late",
        "more",
        "notify",
        "outbox",
        "over",
        "policy",
        "session",
        "shared",
        "state",
        "unread",
        "uses",
        "waiter",
    )
    unread: bytes | deque[bytes]  # what has come but cannot be carried out yet

    def __init__(self, state: State, session: Session, policy: Policy, outbox: list[Notice]) -> None:
        self.state = state
        self.exclusive = state.exclusive
        self.shared = state.shared
        self.uses = state.stats.uses
        self.session = session
        self.policy = policy
        self.outbox = outbox
        self.handlers: Handlers = UNAUTHORISED if policy.secrets else HANDLERS
        self.waiter: Waiter | None = (
            None  # what a wait in progress waits for; nothing is carried out meanwhile
        )
        self.late = b""  # the reply that a handler leaves here when it wants a pause behind it
        self.busy = (
            False  # not ready for a new command at once: one of the following, or part of a line is there
        )
        self.more = False  # there is more to carry out: call `resume` when others have had their turn
        self.ended = False  # no more input will come, so nothing may wait
        self.over = False  # the last reply has been given: hang up
        self.notify = False  # tell of holds that ended without this session's doing

    def carry_out(self, line: bytes, now: float) -> bytes | None:
        """The reply to one command; None if a pause follows, either for a wait or behind the reply in `late`."""
        # The plainest form, `word name`, first: it needs no second look.
        words = line.split()
        if len(words) == 2:
            word, name = words
            found = self.handlers.get(word)
            if (
                found is not None
                and len(line) == len(word) + len(name) + 1
                and line[len(word)] == SPACE
                and line.isascii()
            ):
                handler, place = found
                self.uses[place] += 1
                return handler(self, name, now)
        command = trim(line)
        word, _, argument = command.partition(b" ")
        found = self.handlers.get(word)
        if found is None:
            if self.handlers is UNAUTHORISED:
                return refuse(self, b"", now)
            found = BARE.get(command)
        if found is None:
            self.state.stats.invalid_commands += 1
            if self.policy.verbose:
                self.outbox.append(Misspoken(self.session, line))
            return b""
        handler, place = found
        self.uses[place] += 1
        return handler(self, normalise(argument), now)

    def granted(self, event: Granted) -> bytes:
        """The reply to the wait that `event` ends; `resume` carries on behind it."""
        self._stop_waiting()
        return granted_reply(event)

    def timed_out(self) -> bytes:
        """The reply to the wait whose time is up; `resume` carries on behind it."""
        waiter = self._stop_waiting()
        return b"" if waiter is None else waited_in_vain(waiter)

    def withdraw(self, now: float) -> bytes:
        """End the wait in progress, if there is one, and give its reply."""
        waiter = self._stop_waiting()
        if waiter is None:
            return b""
        self.outbox += waiter.table.withdraw(waiter, now, CANCELLED)
        return waited_in_vain(waiter)

    def cancel(self, now: float) -> list[bytes]:
        """Act on a `cancel` that overtakes what else the client has sent during its wait; both replies."""
        self.uses[BARE[b"cancel"][1]] += 1
        return [self.withdraw(now), CANCELLED_REPLY]

    def _stop_waiting(self) -> Waiter | None:
        """Be ready for what the client has sent meanwhile; what it waited for, if it did."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            self.more = self.ended or bool(self.unread)
        return waiter

    def is_cancel(self, line: bytes) -> bool:
        """Whether `line` says `cancel`."""
        return trim(line) == b"cancel"

    def authorise(self) -> None:
        """Let the client use every verb from now on."""
        self.handlers = HANDLERS

    # For those who carry out commands

    def pause_behind(self, reply: bytes) -> bytes | None:
        """Give `reply`, and let others have their turn before the next command; for replies that may be long."""
        if len(reply) <= SHORT and not self.over:
            return reply
        self.late = reply
        return None

    def holds_whole(self, name: bytes) -> bool:
        """Whether this session has the exclusive lock `name` for itself."""
        hold = self.exclusive.find(name, self.session)
        return hold is not None and hold.weight == WHOLE

    def line_is_full(self, table: LockTable, name: bytes) -> bool:
        """Whether nobody else may wait for `name`."""
        policy = self.policy
        return (
            self.exclusive.waiting + self.shared.waiting >= policy.max_waiters
            or len(table.waiters(name)) >= policy.max_lock_waiters
        )

    def too_many_locks(self, name: bytes) -> bytes:
        """Refuse a lock at a limit."""
        self.policy.refused["locks"] += 1
        return TOO_MANY_LOCKS + name + LF

    def too_many_waiters(self, name: bytes) -> bytes:
        """Refuse a wait at a limit."""
        self.policy.refused["waiters"] += 1
        return TOO_MANY_WAITERS + name + LF
