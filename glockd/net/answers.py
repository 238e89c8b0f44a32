"""Answers that many handlers give, with the headers that all of them have."""

from __future__ import annotations

from typing import NamedTuple

from glockd.net.exchange import Answer
from glockd.policy import Reason

# On every answer: it is what it says it is, nobody may keep it, frame it or learn where it was linked from.
COMMON_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

PLAIN = "text/plain; charset=utf-8"


class Refused(NamedTuple):
    """A request that is not carried out."""

    reason: Reason  # what it is counted as
    answer: Answer


def respond(content: bytes, kind: str, status: int = 200, policy: str = NOTHING_ALLOWED) -> Answer:
    """An answer with the headers that all have.

    Args:
        content: its body.
        kind: what that is, as Content-Type.
        policy: its Content-Security-Policy.
    """
    headers = (*COMMON_HEADERS, ("Content-Type", kind), ("Content-Security-Policy", policy))
    return Answer(status, headers, content)


def text(line: str, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """A line of plain text.

    Args:
        headers: those that it has besides.
    """
    answer = respond(line.encode("utf-8", "backslashreplace") + b"\n", PLAIN, status)
    answer.headers = (*answer.headers, *headers)
    return answer


def refused(reason: Reason, status: int, line: str) -> Refused:
    """A refusal with a line that says why."""
    return Refused(reason, text(line, status))


def not_allowed(*methods: str) -> Answer:
    """405: the path is there, but for other methods."""
    return text(f"Use {' or '.join(methods)}.", 405, ("Allow", ", ".join(methods)))


def unauthorised(page: Answer | None = None) -> Answer:
    """401, with a challenge to the browser to ask for a secret.

    Args:
        page: one that asks for the secret itself, so that the browser must not.
    """
    # RFC 9110, 11.6.1: several challenges are a choice. In fields of their own, because Chromium
    # reads only the first of those in one field, and knows no Bearer.
    bearer = "WWW-Authenticate", 'Bearer realm="glockd"'
    if page is not None:
        return Answer(401, (*page.headers, bearer), page.body)
    basic = "WWW-Authenticate", 'Basic realm="glockd", charset="UTF-8"'
    return text("A secret is needed.", 401, bearer, basic)
