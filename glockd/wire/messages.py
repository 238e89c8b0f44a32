"""Conversations in messages: each is one command, and each gets one message back."""

from __future__ import annotations

from collections import deque

from glockd.core.events import Notice
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.wire.conversation import Conversation
from glockd.wire.policy import Policy


class MessageConversation(Conversation):
    """A conversation in which white space ends no command."""

    __slots__ = ("held_back",)
    unread: deque[bytes]

    def __init__(self, state: State, session: Session, policy: Policy, outbox: list[Notice]) -> None:
        super().__init__(state, session, policy, outbox)
        self.unread = deque()
        self.held_back = 0  # their bytes

    def receive(self, message: bytes, now: float) -> list[bytes]:
        """Carry out one command; the replies that are due now, one message each.

        Args:
            message: its payload.
            now: monotonic seconds.
        """
        if self.waiter is not None or self.unread or self.over:
            return self._hold_back(message, now)
        reply = self.carry_out(message, now)
        if reply is None:
            if self.waiter is not None:
                return []
            reply, self.late = self.late, b""
        return [reply]

    def resume(self, now: float) -> list[bytes]:
        """Go on where a wait was; the replies."""
        self.more = False
        replies: list[bytes] = []
        while self.unread and self.waiter is None and not self.over:
            message = self.unread.popleft()
            self.held_back -= len(message)
            reply = self.carry_out(message, now)
            if reply is not None:
                replies.append(reply)
            elif self.waiter is None:
                replies.append(self.late)
                self.late = b""
        return replies

    def _hold_back(self, message: bytes, now: float) -> list[bytes]:
        """Keep a message for after the wait, but act on a `cancel` at once."""
        if self.over:
            return []
        if self.waiter is not None and self.is_cancel(message):
            return self.cancel(now)
        self.unread.append(message)
        self.held_back += len(message)
        return []
