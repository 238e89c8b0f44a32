"""One session's side of the talk: bytes in, bytes out, and what the session holds."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from glock.errors import ConnectionLost, GlockError, LockLost, ProtocolError
from glock.wire.language import decode

FIRST_NUDGE = 0.005  # seconds; doubled each time up to
LAST_NUDGE = 0.5
SIGN_OF_LIFE = b"! alive"  # no line of a listing: those have a colon


@dataclass(slots=True)
class Ask:
    """Lines to send, and how their answer ends.

    Each line has one reply line, unless `listing`: then any number of lines comes. The end of a listing is
    shown by the reply to another question behind it (a sentinel), which on the original cannot go along in
    one packet: it would be lost.

    Attributes:
        undo: lines that leave nothing held or waited for, should nobody want the answer any more.
        settle: the lines that do so besides, once the answer is there, if only that tells what is held.
        patience: seconds that the daemon may take on purpose, beyond the client's own time limit.
        opening: a question that an older server does not answer at all: only a sentinel shows that.
    """

    data: bytes
    undo: bytes = b""
    patience: float = 0.0
    listing: bool = False
    opening: bool = False
    settle: Callable[[list[bytes]], bytes] | None = None
    due: int = field(init=False)  # reply lines

    def __post_init__(self) -> None:
        self.due = self.data.count(b"\n")

    @property
    def wants_nudge(self) -> bool:
        """Does nothing but a sentinel show the end of the answer of the original?"""
        return self.listing or self.opening


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds to let pass before going on."""

    seconds: float


class Slot:
    """Where the answer to one `Ask` is gathered.

    `on_done` is called once, when it is complete or has failed.
    """

    __slots__ = ("ask", "done", "due", "error", "lines", "on_done", "sentinel")

    def __init__(self, ask: Ask, on_done: Callable[[], None] | None = None) -> None:
        self.ask = ask
        self.due = ask.due
        self.lines: list[bytes] = []
        self.error: GlockError | None = None
        self.done = False
        self.on_done = on_done
        self.sentinel = b""  # reply to the last question that was put behind this one to show its end

    def finish(self, error: GlockError | None = None) -> None:
        self.done = True
        self.error = error
        if self.on_done is not None:
            self.on_done()

    def result(self) -> list[bytes]:
        if self.error is not None:
            raise self.error
        return self.lines


class Hold:
    """A lock that the session holds, or has lost.

    `count` is how often the session's owner has it: taking it again inside is counted here, as by
    threading.RLock.
    """

    __slots__ = ("count", "give_back", "holders", "key", "lost", "mode", "name", "on_lost", "token")

    def __init__(
        self,
        name: bytes,
        mode: str,
        give_back: Ask,
        holders: int,
        token: int | None,
        key: Hashable = None,
    ) -> None:
        self.key: Hashable = key or (mode == "shared", name)
        self.name = name
        self.mode = mode  # "exclusive", "read", "shared" or "item"
        self.give_back = give_back
        self.holders = holders
        self.token = token
        self.count = 1
        self.lost: LockLost | None = None
        self.on_lost: list[Callable[[], None]] = []

    @property
    def kind(self) -> str:
        """What it is called."""
        return "item" if self.mode == "item" else "lock"

    def lose(self, error: LockLost) -> LockLost:
        """Held no more; tells whoever asked to be told, once. Returns why it was lost first."""
        if self.lost is None:
            self.lost = error
            callbacks, self.on_lost = self.on_lost, []
            for callback in callbacks:
                callback()
        return self.lost


class Conversation:
    """Matches replies with questions, in order; knows what is held.

    Not safe for several threads: whoever drives it sees to that. After `close` every question fails and every
    hold is lost.
    """

    def __init__(self) -> None:
        self.holds: dict[Hashable, Hold] = {}
        self.closed: ConnectionLost | None = None
        self.modern = False  # does the server know the words that the original does not?
        self.version = ""
        self._buffer = b""
        self._slots: deque[Slot] = deque()
        self._unsent: deque[bytes] = deque()  # lines that the original would lose if they came along
        self._outgoing = b""
        self._in_flight = 0  # replies due from the original
        self._sentinels: set[bytes] = set()  # replies to sentinels that are still to come, perhaps

    @property
    def is_quiet(self) -> bool:
        """Is no answer due?"""
        return not self._slots

    # Out

    def submit(self, slot: Slot) -> None:
        """Queue the slot's lines for sending; its answer will be gathered behind all earlier ones."""
        if self.closed is not None:
            slot.finish(self.closed)
            return
        self._slots.append(slot)
        ask = slot.ask
        if self.modern:
            self._outgoing += ask.data
            if ask.wants_nudge:
                self.nudge(slot)
        else:
            self._unsent.extend(ask.data.splitlines(keepends=True))
            self._send_next()

    def _send_next(self) -> None:
        # Deviation 1: the original takes one line out of each read and throws the rest of the read away.
        if self._unsent and not self._in_flight:
            self._outgoing += self._unsent.popleft()
            self._in_flight += 1

    def nudge(self, slot: Slot) -> None:
        """Ask something harmless, the reply to which shows that `slot` has been answered in full.

        The original may lose it, so the driver nudges again, each time after a longer while. Only the reply
        to the last nudge counts: then none is on its way any more, which could make the original lose the
        next question.
        """
        name = f"glock-sentinel-{secrets.token_hex(8)}".encode()
        slot.sentinel = b"0 Lock Not Locked: " + name
        self._sentinels.add(slot.sentinel)
        self._outgoing += b"i " + name + b"\n"

    def abandon(self, slot: Slot) -> None:
        """Nobody wants this answer any more: queue what undoes the question, whether or not it is
        answered by now."""
        slot.on_done = None
        settle = slot.ask.settle
        if settle is not None and self.closed is None:
            if slot.ask.undo and not slot.done:
                self.submit(Slot(Ask(slot.ask.undo)))
            slot.on_done = lambda: self._settle(slot, settle)
            if slot.done:
                slot.on_done()
            return
        if self.closed is not None or not slot.ask.undo:
            if slot.ask.wants_nudge and not slot.done and not self.modern:
                self.close("a question was abandoned")  # nobody nudges any more
            return
        self.submit(Slot(Ask(slot.ask.undo)))

    def _settle(self, slot: Slot, settle: Callable[[list[bytes]], bytes]) -> None:
        data = b"" if slot.error is not None else settle(slot.lines)
        if data:
            self.submit(Slot(Ask(data)))

    @property
    def has_unsent(self) -> bool:
        """Are lines kept back until earlier ones are answered?"""
        return bool(self._unsent)

    @property
    def has_outgoing(self) -> bool:
        return bool(self._outgoing)

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        data, self._outgoing = self._outgoing, b""
        return data

    # In

    def feed(self, data: bytes) -> None:
        """Take in what has arrived.

        A server that speaks something else ends the conversation: every question fails with ProtocolError.
        """
        if self._buffer:
            data = self._buffer + data
        lines = data.replace(b"\r\n", b"\n").split(b"\n")
        self._buffer = lines.pop()
        for line in lines:
            if self.closed is not None:
                return
            self._take(line)

    def _take(self, line: bytes) -> None:
        if line == SIGN_OF_LIFE:
            return
        slot = self._slots[0] if self._slots else None
        if self._sentinels and line in self._sentinels:
            self._sentinels.discard(line)
            if slot is not None and line == slot.sentinel:
                self._sentinels.clear()
                self._complete(slot)
        elif slot is not None and slot.ask.listing:
            slot.lines.append(
                line
            )  # whatever it looks like: a session that lists holds nothing, so can lose nothing
        elif line.startswith(b"! "):
            self._pushed(line)
        elif slot is None:
            self.close(f"the server said what nobody asked for: {line[:80]!r}", ProtocolError)
        else:
            slot.lines.append(line)
            slot.due -= 1
            if slot.due == 0:
                self._complete(slot)
            elif not self.modern:
                self._in_flight = 0
                self._send_next()

    def _complete(self, slot: Slot) -> None:
        self._slots.popleft()
        self._in_flight = 0
        if self._unsent:
            self._send_next()
        slot.finish()

    def _pushed(self, line: bytes) -> bool:
        """`! lost NAME REASON` or `! item POOL ITEM REASON`; other pushes are for later clients.

        Returns:
            Whether it was about something held here.
        """
        what, _, rest = line.removeprefix(b"! ").partition(b" ")
        name, _, reason = rest.rpartition(b" ")
        hold = None
        if what == b"lost":
            hold = self.holds.get((False, name)) or self.holds.get((True, name))
        elif what == b"item":
            pool, _, item = name.partition(b" ")
            hold = self.holds.get(("item", pool, item))
        if hold is None:
            return False
        self.lose(hold, decode(reason))
        return True

    # Holds

    def lose(self, hold: Hold, reason: str) -> LockLost:
        """`hold` is held no more, though its holder did not release it."""
        self.holds.pop(hold.key, None)
        text = decode(hold.name)
        return hold.lose(LockLost(f"the {hold.kind} {text!r} was lost: {reason}", name=text, reason=reason))

    def close(self, reason: str, kind: type[GlockError] = ConnectionLost) -> None:
        """The connection has ended, or must: nothing is held any more. Does nothing the second time."""
        if self.closed is not None:
            return
        self.closed = ConnectionLost(f"the connection to the server was lost: {reason}", reason=reason)
        self._unsent.clear()
        self._outgoing = b""
        slots, self._slots = self._slots, deque()
        holds, self.holds = self.holds, {}
        for hold in holds.values():
            text = decode(hold.name)
            hold.lose(
                ConnectionLost(f"the {hold.kind} {text!r} was lost: {reason}", name=text, reason=reason)
            )
        for slot in slots:
            slot.finish(self.closed if kind is ConnectionLost else kind(reason))
