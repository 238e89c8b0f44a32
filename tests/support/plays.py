"""Random plays: what some clients say, in turn, to bare conversations and to the model."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.support.conversations import ConversationClient, ConversationDaemon
from tests.support.model import Model

Step = tuple[str, str]  # who says what; "dies" is not said


class Play:
    """Clients a, b, c … on one daemon, and what the model says they must hear.

    Attributes:
        outcomes: what became of the requests for locks, by the model.
    """

    def __init__(self) -> None:
        self.daemon = ConversationDaemon()
        self.model = Model()
        self.clients: dict[str, ConversationClient] = {}
        self.heard: dict[str, str] = {}
        self.outcomes: list[str] = []

    def step(self, who: str, line: str) -> None:
        """One client does one thing, and everybody has heard just what the model says."""
        if who not in self.clients:
            self.clients[who] = self.daemon.client()
        client = self.clients[who]
        if self.model.waits(who) and line not in ("cancel", "dies"):
            return  # it would stay unread
        if line == "dies":
            self.model.dies(who)
            client.vanishes()
        else:
            self.outcomes.append(self.model.says(who, line))
            client.sends(line.encode() + b"\n")
        for one, other in self.clients.items():
            self.heard[one] = self.heard.get(one, "") + other.buffer.decode()
            other.buffer = b""
        assert self.heard == {one: self.model.told.get(one, "") for one in self.clients}
        if line == "dies":
            del self.clients[who], self.heard[who]
            self.model.told.pop(who, None)

    def run(self, steps: Sequence[Step]) -> None:
        for who, line in steps:
            self.step(who, line)


def plays(lines: Sequence[str], clients: str = "abcde", most: int = 40) -> st.SearchStrategy[list[Step]]:
    """Lists of steps in which `clients` say some of `lines`."""
    return st.lists(st.tuples(st.sampled_from(clients), st.sampled_from(lines)), min_size=8, max_size=most)
