"""Tokens and passwords as the original's clients show them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re

from ..values import Json


def mint(secret: str, **claims: Json) -> str:
    """A JSON web token, signed with HS256 and the SHA-256 of `secret`."""
    signed = ".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    key = hashlib.sha256(secret.encode()).digest()
    return f"{signed}.{_encode(hmac.digest(key, signed.encode(), 'sha256'))}"


def claims_of(token: str) -> Json:
    """What a token says. Raises ValueError, IndexError."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def digest(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """The answer to a challenge, as RFC 2617 has it with qop=auth.

    Raises:
        KeyError: the challenge lacks something.
    """
    offer = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    cnonce, count = "0123456789abcdef", "00000001"
    secret = md5(f"{user}:{offer['realm']}:{password}")
    proof = md5(f"{secret}:{offer['nonce']}:{count}:{cnonce}:auth:{md5(f'{method}:{uri}')}")
    return (
        f'Digest username="{user}", realm="{offer["realm"]}", nonce="{offer["nonce"]}", uri="{uri}", '
        f'response="{proof}", algorithm="MD5", qop="auth", nc={count}, cnonce="{cnonce}"'
    )


def md5(text: str) -> str:
    """Its MD5 in hex, of which `htdigest` makes passwords."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
