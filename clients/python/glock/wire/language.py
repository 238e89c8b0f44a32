"""Spelling commands, reading replies."""

from __future__ import annotations

import re
from typing import NoReturn

from glock.errors import (
    BadArgument,
    Deadlock,
    Disabled,
    LimitReached,
    NotAuthorised,
    NotRecorded,
    ProtocolError,
)
from glock.wire.arguments import duration, text

# What the daemon takes for white space: Unicode's White_Space in valid UTF-8, nothing else (str.split knows
# more).
_WHITE_SPACE = re.compile(
    rb"(?:[\t-\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)+"
)
_PLAIN = re.compile(rb"[!-~]+")  # no white space in it, in any reading
MAX_LINE = 4095  # the daemon cuts a line that has no LF among its first 4096 bytes

Name = str | bytes


def encode(name: Name, what: str = "lock name") -> bytes:
    """`name` as the daemon will echo it: UTF-8, white space at the ends gone, each run inside one space.

    Raises:
        TypeError: it is neither `str` nor `bytes`.
        ValueError: it has a line end in it, or is longer than the daemon reads.
    """
    raw = text(name, what)
    if len(raw) > MAX_LINE:
        raise ValueError(f"the {what} is longer than {MAX_LINE} bytes")
    if _PLAIN.fullmatch(raw):
        return raw
    if b"\n" in raw or b"\r" in raw:
        raise ValueError(f"a {what} cannot hold a line end: {name!r}")
    return _WHITE_SPACE.sub(b" ", raw).strip(b" ")


def decode(name: bytes) -> str:
    """A name from the wire as text; bytes that are not UTF-8 survive a round trip (PEP 383)."""
    return name.decode("utf-8", "surrogateescape")


def secret_of(given: Name | None) -> bytes | None:
    """A secret as it is sent; None if it is empty. The line end that a file or a variable ends with does not
    belong to it.

    Raises:
        TypeError: it is neither `str` nor `bytes`.
        ValueError: it has a line end inside, or is too long. The message does not repeat it.
    """
    raw = b"" if given is None else text(given, "secret").strip(b"\r\n")
    if b"\n" in raw or b"\r" in raw:
        raise ValueError("a secret cannot hold a line end")
    return encode(raw, "secret") or None


def line(verb: bytes, *arguments: bytes) -> bytes:
    """One command.

    Raises:
        ValueError: the daemon would cut the line, and take its tail for another command.
    """
    whole = b" ".join((verb, *arguments))
    if len(whole) > MAX_LINE:
        raise ValueError(f"the command is longer than {MAX_LINE} bytes: shorten the name")
    return whole + b"\n"


def seconds(value: float) -> bytes:
    """Seconds as the daemon reads them: a decimal without an exponent, or `inf`.

    Raises:
        TypeError, ValueError: negative, or not a number.
    """
    value = duration(value, "a time")
    if value == float("inf"):
        return b"inf"
    return f"{value:.6f}".rstrip("0").rstrip(".").encode()


def number(reply: bytes) -> tuple[int, bytes]:
    """A reply's integer and its text.

    Raises:
        ProtocolError: it begins with none.
    """
    first, _, text = reply.partition(b" ")
    if not first.isdigit():
        raise ProtocolError(f"this is no reply of a glockd: {reply[:80]!r}")
    return int(first), text


def refuse(reply: bytes, hint: str = "") -> NoReturn:
    """Raise what `reply`, which is not the one hoped for, means.

    Args:
        hint: what an operator does to have the command.
    """
    _, text = number(reply)
    if text == b"disabled":
        raise Disabled("the server's operator has switched this command off" + (hint and f": {hint}"))
    if text == b"Not Authorised":
        raise NotAuthorised("the server wants a secret, or another one (GLOCK_SECRET)")
    if text.startswith(b"Bad Argument"):
        raise BadArgument(decode(text))
    if text.startswith((b"Too Many ", b"Name Too Long")):
        raise LimitReached(f"the server allows no more: {decode(text)}")
    if text.startswith(b"Not Recorded"):
        raise NotRecorded("the server cannot write its records: nothing has changed, try again later")
    if b" Deadlock: " in text:
        raise Deadlock("waiting was refused: it would never end, as those in the way wait for this session")
    raise ProtocolError(f"this is no answer to what was asked: {reply[:80]!r}")
