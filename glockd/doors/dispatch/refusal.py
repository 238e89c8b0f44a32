"""What is wrong with a request."""

from __future__ import annotations

NOT_AUTHORISED = "Not authorized"
NO_PROJECT = "Project not found"


class Refusal(Exception):
    """A request that is not carried out; nothing has changed.

    Args:
        status: of the answer.
        line: what the answer says.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status
        self.line = line
