"""Conversations on a byte stream: a command is a line."""

from __future__ import annotations

import re
from collections import deque
from typing import Literal, TypeAlias, cast

from glockd.core.names import normalise
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.wire.conversation import Conversation
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.doors.line.wire.language import LF, LINE_END, MAX_LINE, NO_HTTP, NO_PROXY, NO_TLS, SPACE
from glockd.net.proxy import SIGNATURE
from glockd.notices import Notice
from glockd.policy import Policy

# How a TLS handshake begins.
TLS_RECORD = b"\x16\x03"

# What no command is: a TLS handshake; an HTTP request, of which the line may be longer than ours can be; the PROXY
# protocol, version 1.
_FOREIGN = re.compile(
    TLS_RECORD
    + rb"(?P<tls>)"
    + rb"|(?:[A-Z]+ [^ ]+ HTTP/[0-9.]+\Z|(?:GET|HEAD|POST) /[^ ]{%d})(?P<http>)" % (MAX_LINE - 64)
    + rb"|PROXY (?:TCP[46]|UNKNOWN)(?P<proxy>)"
)

Foreign: TypeAlias = Literal["tls", "http", "proxy"]

# How many lines of one client are carried out before others get their turn.
LINES_A_TURN = 1024


class LineConversation(Conversation):
    """A conversation in lines that end with LF."""

    __slots__ = ()
    unread: bytes  # an unfinished line; behind a pause, whole lines too

    def __init__(
        self,
        state: State,
        session: Session,
        policy: Policy,
        outbox: deque[Notice],
        vocabulary: Vocabulary,
    ) -> None:
        super().__init__(state, session, policy, outbox, vocabulary)
        self.unread = b""

    def receive(self, data: bytes, now: float) -> bytes:
        """Carry out the lines that `data` completes; their replies, as far as there are any yet.

        Args:
            data: what has arrived.
            now: monotonic seconds.
        """
        if not self.busy:
            # The hot path: a command in its plainest form, `word name LF`. All else takes the long way.
            words = data.split()
            if len(words) == 2:
                word, name = words
                found = self.handlers.get(word)
                if (
                    found is not None
                    and MAX_LINE > len(data) == len(word) + len(name) + 2
                    and data[-1] == LINE_END
                    and data[len(word)] == SPACE
                    and data.isascii()
                ):
                    handler, place = found
                    self.uses[place] += 1
                    reply = handler(self, name, now)
                    return self._told() if reply is None else reply
            elif len(words) > 2 and len(data) < MAX_LINE and data.isascii():
                # As plain, `word argument argument LF`: numbers come before a name, and a name may have several words.
                found = self.handlers.get(words[0])
                if found is not None and b" ".join(words) + LF == data:
                    handler, place = found
                    self.uses[place] += 1
                    reply = handler(self, data[len(words[0]) + 1 : -1], now)
                    return self._told() if reply is None else reply
            if data.startswith(SIGNATURE):
                # Version 2 has line ends in the middle.
                self.busy = self.over = True
                self.policy.refused["proxy"] += 1
                return NO_PROXY
        reply = self._receive(data, now)
        self.busy = (
            self.more
            or self.over
            or self.waiter is not None
            or self.promise is not None
            or self.unread != b""
        )
        return reply

    def _told(self) -> bytes:
        """What is to be said now in reply to a command that wants a pause, and behind which nothing has come yet."""
        self.busy = True
        self.more = self.pieces is not None
        reply, self.late = self.late, b""
        return reply

    def _receive(self, data: bytes, now: float) -> bytes:
        if self.waiter is not None or self.promise is not None:
            return self._overhear(data, now)
        if self.unread:
            data = self.unread + data
        if self.more or self.over:
            self.unread = data
            return b""
        lines = data.split(b"\n", LINES_A_TURN)
        rest = lines.pop()
        if len(data) >= MAX_LINE:
            lines, rest = _cut(lines, rest)
        plain = data.isascii()
        handlers = self.handlers
        uses = self.uses
        replies = []
        for done, line in enumerate(lines, 1):
            word, _, argument = line.partition(b" ")
            found = handlers.get(word)
            if found is None:
                if done > 1:
                    # A client that sends C strings has a NUL behind each LF.
                    line = line.lstrip(b"\0")
                reply = self.carry_out(line, now)
            else:
                handler, place = found
                uses[place] += 1
                words = argument.split()
                name = words[0] if plain and len(words) == 1 else normalise(argument)
                reply = handler(self, name, now)
            if reply is None:
                replies.append(self.late)
                self.late = b""
                # A line of the full length has been cut, and has no LF of its own. (The NUL of a C string: as above.)
                parts = [part if len(part) == MAX_LINE else part + b"\n" for part in lines[done:]]
                rest = b"".join((*parts, rest)).lstrip(b"\0")
                if (self.waiter is not None or self.promise is not None) and rest:
                    self.unread = b""
                    replies.append(self._overhear(rest, now))
                    return b"".join(replies)
                whole = b"\n" in rest or len(rest) >= MAX_LINE
                self.more = not self.over and (self.pieces is not None or whole)
                break
            replies.append(reply)
        else:
            if rest:
                if lines:
                    rest = rest.lstrip(b"\0")
                self.more = b"\n" in rest
                if rest.startswith(TLS_RECORD):
                    # Not to be waited for: its end of line is not going to come.
                    self.carry_out(rest, now)
                    replies.append(self.late)
                    self.late = rest = b""
                    self.more = False
        self.unread = rest
        return b"".join(replies)

    def resume(self, now: float) -> bytes:
        """Go on where a pause was; the replies."""
        if self.promise is not None:
            return self.kept()
        if not self.more:
            return b""
        if self.pieces is not None:
            piece = next(self.pieces, None)
            if piece is not None:
                return piece
            self.pieces = None
        self.more = False
        replies = self.receive(b"", now)
        return replies + self._finish(now) if self.ended and not self.more else replies

    def end_of_input(self, now: float, how: str = "closed") -> bytes:
        """Carry out what is left, an unfinished line too; a wait in progress ends. The replies.

        Call `resume` as long as there is `more`; then nothing more comes from this client.

        Args:
            how: closed, reset or dead peer.
            lost: the connection is gone, and nobody hears the replies.
        """
        self.ended = True
        reply = self.withdraw(now, how)
        return reply if self.more else reply + self._finish(now)

    def _finish(self, now: float) -> bytes:
        line, self.unread = self.unread, b""
        reply = self.carry_out(line, now) if line and not self.over else b""
        if reply is None:
            reply, self.late = self.late, b""
        self.more = self.pieces is not None
        self.over = not self.more
        return reply

    def misunderstood(self, command: bytes) -> bytes | None:
        """Nothing; but the talk ends with somebody who speaks another protocol.

        A TLS client would wait for ever for its handshake, and an HTTP client for its answer. A browser can be made, by
        any page, to post commands here (cross-protocol scripting); what it sends begins with the request line.
        """
        found = _FOREIGN.match(command)
        if found is None:
            return b""
        who = cast(Foreign, found.lastgroup)
        self.policy.refused[who] += 1
        self.over = True
        return self.pause_behind(self._farewell(who))

    def _farewell(self, who: Foreign) -> bytes:
        """What is said to who speaks another protocol."""
        if who != "http":
            return NO_TLS if who == "tls" else NO_PROXY
        pages = self.policy.pages
        return NO_HTTP + (b": see " + pages.encode() if pages else b"") + LF

    def _overhear(self, data: bytes, now: float) -> bytes:
        """Keep `data` for after the wait, but act on a `cancel` in it at once."""
        # What was there before has been looked through, but for its last line, which was not whole.
        start = self.unread.rfind(b"\n") + 1
        data = self.unread + data
        self.unread = data
        place = data.find(b"cancel", start)
        while place >= 0:
            begin = data.rfind(b"\n", 0, place) + 1
            end = data.find(b"\n", place)
            if end < 0:
                break
            if self.is_cancel(data[begin:end]):
                self.unread = data[:begin] + data[end + 1 :]
                return b"".join(self.cancel(now))
            place = data.find(b"cancel", end)
        return b""


def _cut(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """Cut lines that are too long: MAX_LINE bytes are a line, what follows is the next one."""
    cut = []
    for line in lines:
        while len(line) >= MAX_LINE:
            cut.append(line[:MAX_LINE])
            line = line[MAX_LINE:]
        cut.append(line)
    while len(rest) >= MAX_LINE and b"\n" not in rest[:MAX_LINE]:
        cut.append(rest[:MAX_LINE])
        rest = rest[MAX_LINE:]
    return cut, rest
