"""The cookie in which REST clients keep the id of their session, as Go's net/http reads and writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate

NAME = "ldlm-session"

# What net/http takes for a value: no control characters, quotes, commas, semicolons or backslashes.
_VALUE = re.compile(r"[!#-+\-./0-9:<-\[\]-~ ,]*\Z")


def session_id(fields: Iterable[str]) -> str | None:
    """The id in the first such cookie; None if there is none.

    Args:
        fields: the Cookie fields of a request.
    """
    for field in fields:
        for part in field.split(";"):
            name, _, value = part.strip(" \t").partition("=")
            if name == NAME:
                if len(value) > 1 and value[0] == value[-1] == '"':
                    value = value[1:-1]
                if _VALUE.match(value):
                    return value
    return None


class Cookies:
    """Makes cookies that are good for a while."""

    def __init__(self) -> None:
        self._second = -1
        self._expires = ""

    def keep(self, session: str, until: float) -> str:
        """A cookie that keeps the id of a session.

        Args:
            until: seconds since 1970.
        """
        if int(until) != self._second:
            self._second = int(until)
            self._expires = formatdate(self._second, usegmt=True)
        return f"{NAME}={session}; Path=/; Expires={self._expires}"


FORGET = f"{NAME}=; Path=/"
