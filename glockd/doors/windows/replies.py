"""Answers in the forms that this door gives them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

from glockd.doors.windows.jsons import write, write_array
from glockd.net.answers import respond
from glockd.net.exchange import Answer

JSON: Final = "application/json"

# Items of an array that are written before others get their turn: some 2 ms.
ITEMS_A_TURN: Final = 25

T = TypeVar("T")


def json(value: Any, *, pretty: bool, status: int = 200) -> Answer:
    """A value."""
    return respond(f"{write(value, pretty=pretty)}\n".encode(), JSON, status)


def array(values: Iterable[Any], *, pretty: bool) -> Answer:
    """An array that may be very long: others have their turn between its pieces."""
    pieces = write_array(values, pretty=pretty)
    first = list(islice(pieces, ITEMS_A_TURN))
    if len(first) < ITEMS_A_TURN:
        return respond("".join(first).encode(), JSON)
    answer = respond(b"", JSON)
    answer.pieces = _rest("".join(first), pieces)
    return answer


async def _rest(first: str, pieces: Iterator[str]) -> AsyncGenerator[bytes, None]:
    yield first.encode()
    while some := list(islice(pieces, ITEMS_A_TURN)):
        await asyncio.sleep(0)
        yield "".join(some).encode()
