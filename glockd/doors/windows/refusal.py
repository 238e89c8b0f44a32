"""What is wrong with a request."""

from __future__ import annotations


class Refusal(Exception):
    """A request is not carried out, and nothing has changed.

    Args:
        status: of the answer.
        line: what it says.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status
        self.line = line


def not_found() -> Refusal:
    """There is no such thing."""
    return Refusal(404, "Resource not found.")
