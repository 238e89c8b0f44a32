"""The head of an answer, as bytes."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from time import time

from glockd.net.exchange import Answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {int(status): f"HTTP/1.1 {status:d} {status.phrase}\r\n" for status in HTTPStatus}


class Clock:
    """Dates for answers: made once a second, as making one takes longer than all the rest."""

    __slots__ = ("_date", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._date = ""

    def date(self) -> str:
        """Now, as RFC 9110, 5.6.7 writes it."""
        now = int(time())
        if now != self._second:
            self._second = now
            self._date = formatdate(now, usegmt=True)
        return self._date


def head(answer: Answer, date: str, *, old: bool, keeps: bool) -> bytes:
    """The head of `answer`.

    Args:
        date: now.
        old: the client speaks HTTP/1.0.
        keeps: the connection goes on behind it.

    Raises:
        ValueError: a field of the answer has a line end or NUL in it, and would be taken for several.
    """
    status = answer.status
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in answer.headers]
    lines.append(f"Date: {date}\r\n")
    if answer.pieces is not None:
        if not old:
            lines.append("Transfer-Encoding: chunked\r\n")
    elif has_body(status):
        lines.append(f"Content-Length: {len(answer.body)}\r\n")
    if not keeps:
        lines.append("Connection: close\r\n")
    elif old:
        lines.append("Connection: keep-alive\r\n")
    whole = "".join(lines)
    if not len(lines) == whole.count("\r") == whole.count("\n") or "\0" in whole:
        raise ValueError("a header field of more than one line")
    return whole.encode("utf-8", "surrogateescape") + b"\r\n"


def has_body(status: int) -> bool:
    """Whether answers with this status have a body (RFC 9110, 6.4.1)."""
    return status >= 200 and status not in (204, 304)
