"""Unary gRPC calls as a door sees them: what comes, what it may answer, and what the engine tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple, Protocol, TypeAlias

# What a client says besides the message: names in lower case, of each the first value. Values of names that end in
# `-bin` are bytes as they were before base64. Not to be changed: calls share it.
Metadata: TypeAlias = Mapping[str, bytes]


class Code(IntEnum):
    """How a call has ended."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Status(Exception):
    """A call has no answer but this; to be returned, or raised where that is shorter.

    One that is made once and used often is to be returned only: each time it is raised it would grow by a traceback.

    Args:
        code: not OK.
        message: for people; any text, of which the client sees some 1,000 characters.
        trailers: metadata behind it, as of `Reply`.
    """

    def __init__(self, code: Code, message: str, trailers: Trailers = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.trailers = trailers


# Metadata behind an answer: names in lower case and values, ASCII but for names that end in `-bin`. Some 8 KB at most.
Trailers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Reply(NamedTuple):
    """An answer with metadata behind it; one without is the bare message."""

    message: bytes
    trailers: Trailers


Answer: TypeAlias = bytes | Reply | Status

# Answers a call: takes the caller, its metadata and the message. A future is cancelled when nobody waits for its answer
# any more: the client has given the call up, its deadline has passed, or the connection has ended; in that last case
# `leave` comes first. Its callbacks hear of that a turn later: who answers it looks at `done()` first. What is raised
# besides `Status` is told the log, and the client only that there was something.
Handler: TypeAlias = Callable[[Any, Metadata, bytes], "Answer | asyncio.Future[Answer]"]


class Caller(Protocol):
    """The door's side of one connection: who calls."""

    def leave(self, how: str) -> None:
        """The connection has ended, or ends now; called once. No call of it is answered any more.

        Args:
            how: closed, reset, dead peer, slow reader, or what `end` of the connection was given: kicked, shutdown,
                idle, lapsed.
        """

    def is_idle(self) -> bool:
        """Whether the connection may end when nothing is said on it, as far as options demand that."""
