"""One client's side of the talk: commands carried out on the State in order, for one session.

A conversation is where its flags say. What moves the bytes of lines looks at `busy` behind each call, and at the others
only if that is set.

| flag | set by | what holds then | ended by |
|---|---|---|---|
| `waiter` | a verb that waits | only `cancel` is carried out; the rest goes to `unread` | its grant, its end |
| `late` | `pause_behind` | a handler gave None: this is its reply | the caller, who takes it |
| `more` | a pause; the end of a wait | something can be carried out: call `resume` in a later turn | resume |
| `after` | `behind_records` | call `resume` when this calls back, not in the next turn | the caller, who takes it |
| `promise` | `wait_for` | the reply comes from another door; else as `waiter` | `resume`, its end |
| `pieces` | `recite` | a long reply is half told, and nothing may come in between; `more` holds too | resume |
| `unread` | receive | what has come behind a pause or wait, or part of a line | resume |
| `ended` | end_of_input | no more input comes, so nothing may wait | |
| `deaf` | the transport, cut off | nobody hears the replies: long ones are not made | |
| `over` | a last reply | hang up; nothing is carried out any more | |
| `busy` | receive of lines; with `more` | one of `waiter more over unread` may hold, or none | receive of lines |
| `notify` | `notify on` | holds that end without the session's doing are pushed | `notify off` |
| `proof` | `auth`, of messages | the secret that it has proved to know, as long as that is in force | another `auth` |
| `alive` | `alive SECONDS` | so often, in whole seconds, a line is pushed; 0: never | `alive 0` |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain

from glockd.core.events import Granted
from glockd.core.history import CANCELLED, ORPHANED
from glockd.core.holds import WHOLE, Waiter
from glockd.core.locks import LockTable
from glockd.core.names import normalise
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.core.tables import Table
from glockd.core.units import ANY
from glockd.doors.line.wire.extensions import got, refuse, waited_in_vain
from glockd.doors.line.wire.handlers import Handlers, Vocabulary
from glockd.doors.line.wire.items import taken, taken_lately
from glockd.doors.line.wire.language import CANCELLED as CANCELLED_REPLY
from glockd.doors.line.wire.language import (
    LF,
    NAME_TOO_LONG,
    SPACE,
    TOO_MANY_LOCKS,
    TOO_MANY_WAITERS,
    trim,
)
from glockd.notices import Misspoken, Notice
from glockd.policy import Policy
from glockd.service import Promise


class Conversation:
    """What line and message conversations have in common.

    Args:
        state: what all sessions share.
        session: the client's, connected already.
        policy: what the client may do.
        outbox: takes what concerns other sessions or the daemon.
        vocabulary: the verbs that are understood.
    """

    __slots__ = (
        "after",
        "alive",
        "busy",
        "deaf",
        "ended",
        "handlers",
        "late",
        "more",
        "notify",
        "outbox",
        "over",
        "pieces",
        "policy",
        "promise",
        "session",
        "state",
        "unread",
        "uses",
        "vocabulary",
        "waiter",
    )
    unread: bytes | deque[bytes]

    def __init__(
        self,
        state: State,
        session: Session,
        policy: Policy,
        outbox: deque[Notice],
        vocabulary: Vocabulary,
    ) -> None:
        self.state = state
        self.uses = state.stats.uses
        self.session = session
        self.policy = policy
        self.outbox = outbox
        self.vocabulary = vocabulary
        self.handlers: Handlers = vocabulary.unauthorised if policy.secrets else self.all_handlers()
        # The flags: see the table above.
        self.waiter: Waiter | None = None
        self.late = b""
        self.busy = False
        self.more = False
        self.after: Callable[[Callable[[], None]], None] | None = None
        self.promise: tuple[Promise, bytes] | None = None  # with the reply if it is given up
        self.pieces: Iterator[bytes] | None = None
        self.ended = False
        self.deaf = False
        self.over = False
        self.notify = False
        self.alive = 0

    def carry_out(self, line: bytes, now: float) -> bytes | None:
        """The reply to one command; None if a pause follows, either for a wait or behind the reply in `late`."""
        # The plainest form, `word name`, first: it needs no second look.
        words = line.split(None, 2)  # no further: a message may have half a million words
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
        argument = normalise(argument)
        found = self.handlers.get(word)
        if found is None:
            if self.handlers is self.vocabulary.unauthorised:
                return refuse(self, b"", now)
            found = self.vocabulary.bare.get(b"%b %b" % (word, argument) if argument else word)
        if found is None:
            self.state.stats.invalid_commands += 1
            if self.policy.config.verbose:
                self.outbox.append(Misspoken(self.session, line))
            return self.misunderstood(command)
        handler, place = found
        self.uses[place] += 1
        return handler(self, argument, now)

    def granted(self, event: Granted) -> bytes:
        """The reply to the wait that `event` ends; `resume` carries on behind it."""
        # As _stop_waiting, in place: somebody has waited for this.
        self.waiter = None
        self.more = self.busy = self.ended or bool(self.unread)
        waiter = event.waiter
        if waiter.key is ANY:
            reply = taken(self, event.hold)
            if self.vocabulary.records is None:
                return reply
            self.busy = True
            self.behind_records(reply)
            return b""
        return got(waiter.table, waiter.weight, waiter.name, event.holders)

    def timed_out(self) -> bytes:
        """The reply to the wait whose time is up; `resume` carries on behind it."""
        waiter = self._stop_waiting()
        return b"" if waiter is None else waited_in_vain(waiter)

    def withdraw(self, now: float, how: str = "") -> bytes:
        """End the wait in progress, if there is one, and give its reply.

        Args:
            how: how the session ends, if that is why: closed, reset or dead peer.
        """
        if self.promise is not None:
            return self._give_up(*self.promise)
        waiter = self._stop_waiting()
        if waiter is None:
            return b""
        if waiter not in self.session.waiters:
            # It has been granted, or its time was up, and word of it is on its way.
            table, name = waiter.table, waiter.name
            if waiter.key is ANY:
                return taken_lately(self, name) or waited_in_vain(waiter)
            if table.find(name, self.session) is None:
                return waited_in_vain(waiter)
            return got(table, waiter.weight, name, table.count(name))
        self.outbox += waiter.table.withdraw(waiter, now, ORPHANED if how else CANCELLED, how)
        return waited_in_vain(waiter)

    def cancel(self, now: float) -> list[bytes]:
        """Act on a `cancel` that overtakes what else the client has sent during its wait; both replies."""
        self.uses[self.vocabulary.bare[b"cancel"][1]] += 1
        return [self.withdraw(now), CANCELLED_REPLY]

    def _stop_waiting(self) -> Waiter | None:
        """Be ready for what the client has sent meanwhile; what it waited for, if it did."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            self.more = self.busy = self.ended or bool(self.unread)
        return waiter

    def _give_up(self, promise: Promise, otherwise: bytes) -> bytes:
        """End the wait for another door; the reply to it."""
        self.promise = None
        self.more = self.busy = self.ended or bool(self.unread)
        if promise.done() and not promise.cancelled():
            return promise.result()
        promise.cancel()
        return otherwise

    def is_cancel(self, line: bytes) -> bool:
        """Whether `line` says `cancel` while there is something to cancel."""
        return trim(line) == b"cancel" and (self.promise is not None or self.waiter in self.session.waiters)

    def authorise(self, secret: bytes = b"") -> None:
        """Let the client use every verb from now on.

        Args:
            secret: the one in force that it has proved to know; empty: none was asked for.
        """
        self.handlers = self.all_handlers()

    def may_kick(self) -> bool:
        """Whether this client may end the sessions of others: with `-admin`, who came by the Unix socket."""
        return self.policy.config.admin and self.session.transport == "unix"

    def all_handlers(self) -> Handlers:
        """Every verb; those that keep names look at their length only if there is a limit."""
        return self.vocabulary.careful if self.policy.config.max_name else self.vocabulary.open

    # For those who carry out commands

    @property
    def exclusive(self) -> LockTable:
        """The exclusive locks."""
        return self.state.exclusive

    @property
    def shared(self) -> LockTable:
        """The shared locks."""
        return self.state.shared

    def pause_behind(self, reply: bytes) -> bytes | None:
        """Give `reply`, and let others have their turn before the next command; for what may take long."""
        self.late = reply
        self.more = True
        return None

    def behind_records(self, reply: bytes) -> bytes | None:
        """Give `reply` once all that it tells is on record; at once if there are no records."""
        records = self.vocabulary.records
        if records is None:
            return reply
        self.late = b""
        self.pieces = iter((reply,))
        self.more = True
        self.after = records.then
        return None

    def wait_for(self, promise: Promise, otherwise: bytes) -> bytes | None:
        """Give the reply that comes later; or `otherwise`, if the client does not wait so long."""
        if promise.done():
            return promise.result()
        self.late = b""
        self.promise = promise, otherwise
        self.after = lambda go_on: promise.add_done_callback(lambda _: go_on())
        return None

    def kept(self) -> bytes:
        """The reply that came from another door, if that was waited for; `resume` begins with it."""
        return b"" if self.promise is None else self._give_up(*self.promise)

    def recite(self, pieces: Iterator[bytes]) -> bytes | None:
        """Give a reply that may be very long, others having their turn between its pieces.

        Args:
            pieces: makes the reply as it goes; each piece should take a few milliseconds at the most.
        """
        if self.deaf:
            return b""
        first = next(pieces, b"")
        second = next(pieces, None)
        if second is not None:
            self.pieces = chain((second,), pieces)
        return self.pause_behind(first)

    def misunderstood(self, command: bytes) -> bytes | None:
        """The reply to what is no command: nothing, as in the original."""
        return b""

    def holds_whole(self, name: bytes) -> bool:
        """Whether this session has the exclusive lock `name` for itself."""
        hold = self.exclusive.find(name, self.session)
        return hold is not None and hold.weight == WHOLE

    def may_hold_more(self) -> bool:
        """Whether this session, and all of them together, hold less than they may."""
        return self.policy.may_hold_more(self.session, self.state)

    def line_is_full(self, table: Table, name: bytes) -> bool:
        """Whether nobody else may wait for `name`."""
        return self.policy.line_is_full(self.state, table, name)

    def too_many_locks(self, name: bytes) -> bytes:
        """Refuse a lock at a limit."""
        self.policy.refused["locks"] += 1
        return TOO_MANY_LOCKS + name + LF

    def name_too_long(self, argument: bytes) -> bytes:
        """Refuse a name at the limit; a longer reply than it allows would be no help."""
        self.policy.refused["names"] += 1
        return NAME_TOO_LONG + argument[: self.policy.config.max_name or 64] + LF

    def too_many_waiters(self, name: bytes) -> bytes:
        """Refuse a wait at a limit."""
        self.policy.refused["waiters"] += 1
        return TOO_MANY_WAITERS + name + LF
