"""A request and the answer to it, as handlers see them; no sockets, so handlers are tested without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit


class Fields:
    """Header fields, in the order they came.

    Args:
        pairs: names and values. What is no ASCII stands there as surrogates (PEP 383).
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    @classmethod
    def of(cls, pairs: list[tuple[str, str]]) -> Fields:
        """Fields whose names are in lower case already; the list is taken over."""
        fields = cls.__new__(cls)
        fields._pairs = pairs
        return fields

    def get_all(self, name: str) -> list[str]:
        """The values of all fields called `name`, in any case."""
        name = name.lower()
        return [value for one, value in self._pairs if one == name]

    def get(self, name: str, default: str = "") -> str:
        """The values of all fields called `name` as one list (RFC 9110, 5.3), or `default` if there is none."""
        return ", ".join(self.get_all(name)) if name in self else default

    def words(self, name: str) -> list[str]:
        """The words of a field that is a list, in lower case."""
        return [word.strip().lower() for word in self.get(name).split(",") if word.strip()]

    def __contains__(self, name: str) -> bool:
        name = name.lower()
        return any(one == name for one, _ in self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


@dataclass(slots=True)
class Ask:
    """A request that has come whole."""

    method: str
    path: str  # as it came: percent-decoding is for the one who knows what a slash means there
    query: str = ""  # as it came, without the question mark
    headers: Fields = field(default_factory=Fields)
    body: bytes = b""
    peer: bytes = b""  # the address of the one who asks, as listings show it


class Pieces(Protocol):
    """The body of an answer that comes bit by bit, as an async generator gives it.

    The next piece is asked for when there is room for it; of an answer to HEAD none is. `aclose` is awaited when an
    answer that was begun has ended, sent to its end or not, or the client has left; a generator's `finally` runs then,
    if a piece has been asked for.
    """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Itself."""

    async def aclose(self) -> object:
        """Nothing more is wanted."""


@dataclass(slots=True)
class Answer:
    """What is answered. Length, date and what becomes of the connection are added when it is sent."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    pieces: Pieces | None = None  # instead of `body`


# Answers a request, or says who will.
Handler: TypeAlias = Callable[[Ask], "Answer | asyncio.Future[Answer]"]


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request's target, as they came.

    Raises:
        ValueError: it is no target.
    """
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query
    # RFC 9112, 3.2.2: a request may name the whole URL.
    parts = urlsplit(target)
    return parts.path or "/", parts.query
