"""JSON web tokens (RFC 7519), as Data Dispatcher's auth server signs them: HS256 with the SHA-256 of a secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

# Longer ones are nobody's.
LONGEST = 8192

# By how many seconds the clock of who signs may be ahead (RFC 7519, 4.1.5: a small leeway).
LEEWAY = 5

HEAD = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


class BadToken(Exception):
    """A token that is good for nothing; the text says why, as clients know it."""


def sign(secret: bytes, claims: Mapping[str, Any]) -> str:
    """A token with these claims.

    Args:
        secret: as its file has it.
    """
    signed = HEAD + b"." + _encode(json.dumps(claims).encode())
    return (signed + b"." + _encode(_digest(secret, signed))).decode()


def verify(token: str, secrets: Sequence[bytes], now: float) -> dict[str, Any]:
    """The claims of a token.

    Args:
        secrets: it must be signed with one of them.
        now: seconds since 1970.

    Raises:
        BadToken: it is not, or its time has not come or is over.
    """
    head, claims, signed, signature = _split(token)
    if not isinstance(head, dict) or head.get("alg") != "HS256":
        raise BadToken("Invalid token algorithm")
    # Every secret is tried, in constant time each: the answer's time tells nothing.
    if not sum([hmac.compare_digest(_digest(secret, signed), signature) for secret in secrets]):
        raise BadToken("Token verification failed")
    if not isinstance(claims, dict):
        raise BadToken("Token verification failed")
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if not (_is_number(expires) and _is_number(begins)):
        raise BadToken("Token verification failed")
    if expires <= now:
        raise BadToken("Token expired")
    if begins > now + LEEWAY:
        raise BadToken("Token immature")
    return claims


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token, whoever signed it: where everybody may say who they are.

    Raises:
        BadToken: it is no token.
    """
    claims = _split(token)[1]
    if not isinstance(claims, dict):
        raise BadToken("Token verification failed")
    return claims


def _split(token: str) -> tuple[Any, Any, bytes, bytes]:
    try:
        head, claims, signature = token.encode("ascii").split(b".")
        if len(token) > LONGEST:
            raise ValueError("it is too long")
        return (
            json.loads(_decode(head)),
            json.loads(_decode(claims)),
            head + b"." + claims,
            _decode(signature),
        )
    except (ValueError, RecursionError):
        raise BadToken("Token verification failed") from None


def _digest(secret: bytes, signed: bytes) -> bytes:
    return hmac.digest(hashlib.sha256(secret).digest(), signed, "sha256")


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(data: bytes) -> bytes:
    return base64.b64decode(data + b"=" * (-len(data) % 4), b"-_", validate=True)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
