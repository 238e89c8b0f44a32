"""Numbers and times among the words of a command."""

from __future__ import annotations

import math
import re

_SECONDS = re.compile(rb"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\Z")
_INTEGER = re.compile(rb"[0-9]{1,18}\Z")


def seconds(word: bytes) -> float | None:
    """A time from the wire: decimal, 0 or more, or `inf`; None if it is not one."""
    if word == b"inf":
        return math.inf
    return float(word) if _SECONDS.match(word) else None


def integer(word: bytes) -> int | None:
    """A LIMIT or TOKEN from the wire, from 1 up; None if it is not one."""
    return (int(word) or None) if _INTEGER.match(word) else None
