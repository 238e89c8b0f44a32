"""What a record may be made of: what SQLite keeps and gives back as it was."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TypeAlias

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = Sequence[Value]

# https://sqlite.org/datatype3.html: an integer has 8 bytes at most.
LEAST, MOST = -(1 << 63), (1 << 63) - 1

# Far below what SQLite takes, and what one commit should.
LONGEST = 64 << 20

PAGE = 4096  # bytes


def demand(row: Row) -> int:
    """See that a row can be written.

    A commit would find out too, but then it is everybody's that fails.

    Returns:
        How many pages its values fill, short ones apart.

    Raises:
        ValueError: an integer beyond 64 bits, a number that is none, a text that UTF-8 cannot write, or too long a
            value.
        TypeError: a value that is none of `Value`.
    """
    length = 0
    for value in row:
        if isinstance(value, str):
            length += len(value.encode())  # UnicodeEncodeError is a ValueError.
        elif isinstance(value, bytes):
            length += len(value)
        elif isinstance(value, int):
            if not LEAST <= value <= MOST:
                raise ValueError("an integer of more than 64 bits cannot be recorded")
        elif isinstance(value, float):
            if isnan(value):
                raise ValueError("a number that is none cannot be recorded")
        elif value is not None:
            raise TypeError(f"{type(value).__name__} cannot be recorded")
    if length > LONGEST:
        raise ValueError(f"a record of more than {LONGEST} bytes cannot be written")
    return length // PAGE
