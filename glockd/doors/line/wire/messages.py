"""Conversations in messages: each is one command, and each gets one message back."""

from __future__ import annotations

from collections import deque

from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.wire.conversation import Conversation
from glockd.doors.line.wire.handlers import Vocabulary
from glockd.notices import Notice
from glockd.policy import Policy

# A message above LARGE bytes may have WORDY bytes that are, or may begin, white space: to make one name of the words of
# 32 MiB would take a second. Nobody means that as a name.
LARGE = 1 << 20
WORDY = 16384
_MAYBE_SPACE = b"\t\n\v\f\r \xc2\xe1\xe2\xe3"

# How many held back messages are carried out before others get their turn.
MESSAGES_A_TURN = 256


class MessageConversation(Conversation):
    """A conversation in which white space ends no command.

    Args:
        own_page: whether no page of another site speaks through the client.
    """

    __slots__ = ("held_back", "own_page", "proof", "spoken")
    unread: deque[bytes]

    def __init__(
        self,
        state: State,
        session: Session,
        policy: Policy,
        outbox: deque[Notice],
        vocabulary: Vocabulary,
        *,
        own_page: bool = False,
    ) -> None:
        super().__init__(state, session, policy, outbox, vocabulary)
        self.own_page = own_page
        self.proof = b""  # the secret that it has proved to know; empty: none
        self.unread = deque()
        self.held_back = 0  # their bytes
        self.spoken: list[bytes] = []  # the beginning of a reply that is not whole yet

    def receive(self, message: bytes, now: float) -> list[bytes]:
        """Carry out one command; the replies that are due now, one message each.

        Args:
            message: its payload.
            now: monotonic seconds.
        """
        if self.waiter is not None or self.promise is not None or self.unread or self.more or self.over:
            return self._hold_back(message, now)
        reply = self._carry_out(message, now)
        return self._late_replies() if reply is None else [reply]

    def resume(self, now: float) -> list[bytes]:
        """Go on where a wait was; the replies."""
        if self.promise is not None:
            return [self.kept()]
        replies: list[bytes] = []
        if self.pieces is not None:
            piece = next(self.pieces, None)
            if piece is not None:
                self.spoken.append(piece)
                return []
            self.pieces = None
            replies.append(b"".join(self.spoken))
            self.spoken = []
        self.more = False
        for _ in range(MESSAGES_A_TURN):
            if not self.unread or self._waits() or self.more or self.over:
                return replies
            message = self.unread.popleft()
            self.held_back -= len(message)
            reply = self._carry_out(message, now)
            if reply is None:
                replies += self._late_replies()
            else:
                replies.append(reply)
        self.more = bool(self.unread) and not self._waits() and not self.over
        return replies

    def authorise(self, secret: bytes = b"") -> None:
        super().authorise(secret)
        self.proof = secret

    def may_kick(self) -> bool:
        """Whether this client may end the sessions of others.

        With `-admin`, who knows a secret that is in force now. Pages of other sites never: `-ws-origin` lets them take
        locks, and whoever types a secret there did not mean that.
        """
        return self.policy.config.admin and self.own_page and self.proof in self.policy.secrets

    def _carry_out(self, message: bytes, now: float) -> bytes | None:
        if len(message) > LARGE and len(message) - len(message.translate(None, _MAYBE_SPACE)) > WORDY:
            return self.name_too_long(message)
        return self.carry_out(message, now)

    def _waits(self) -> bool:
        return self.waiter is not None or self.promise is not None

    def _late_replies(self) -> list[bytes]:
        """What is due at once of the reply to a command that wants a pause behind it."""
        if self._waits():
            return []
        reply, self.late = self.late, b""
        if self.pieces is None:
            self.more = self.more and not self.over
            return [reply]
        self.spoken = [reply]
        return []

    def _hold_back(self, message: bytes, now: float) -> list[bytes]:
        """Keep a message for after the wait, but act on a `cancel` at once."""
        if self.over:
            return []
        if self._waits() and self.is_cancel(message):
            return self.cancel(now)
        self.unread.append(message)
        self.held_back += len(message)
        return []
