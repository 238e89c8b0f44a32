"""The paths of the auth server: passwords and old tokens for new ones (RFC 2617, digest with MD5 and qop=auth)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Sequence
from typing import Final

from glockd.doors.dispatch import tokens
from glockd.doors.dispatch.refusal import Refusal
from glockd.doors.dispatch.users import Users, bearer, identify
from glockd.net.answers import text
from glockd.net.exchange import Answer, Ask

FAILED: Final = "Authentication failed"

TOKEN_SECONDS = 7 * 24 * 3600

# How long a challenge may be answered.
NONCE_SECONDS = 300

_FIELD = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


class Auth:
    """Gives tokens.

    Args:
        key: what challenges are marked with, so that none has to be remembered.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or randomness.token_bytes(32)

    def answer(
        self, ask: Ask, path: str, query: dict[str, str], users: Users, secrets: Sequence[bytes], now: float
    ) -> Answer:
        """Answer a request to `path`, one of the auth server's.

        Args:
            now: seconds since 1970.

        Raises:
            Refusal: it is not carried out.
        """
        match path:
            case "/auth":
                return self._login(ask, query, users, secrets, now)
            case "/verify":
                identify(ask, users, secrets, now)
                return text("OK")
            case "/whoami":
                try:
                    return text(identify(ask, users, secrets, now).name)
                except Refusal:
                    return text("")
            case "/mydn":
                raise Refusal(400, "Use HTTPS connection")
        raise Refusal(404, "Not found")

    def challenge(self, realm: str, now: float) -> Answer:
        """Ask for user and password."""
        stated = f'Digest realm="{realm}", nonce="{self._nonce(now)}", algorithm=MD5, qop="auth"'
        return text("Authorization required", 401, ("WWW-Authenticate", stated))

    def _login(
        self, ask: Ask, query: dict[str, str], users: Users, secrets: Sequence[bytes], now: float
    ) -> Answer:
        method = query.get("method")
        if method == "ldap":
            raise Refusal(401, "LDAP is not configured")
        if method == "x509":
            raise Refusal(401, "HTTPS scheme required")
        if method == "token":
            return self._renew(ask, query.get("username", ""), users, secrets, now)
        if method != "digest":
            raise Refusal(401, "Unknown authentication method")
        given = next(iter(ask.headers.get_all("Authorization")), "")
        scheme, _, rest = given.partition(" ")
        if scheme.lower() != "digest":
            return self.challenge(users.realm, now)
        name = self._proven(ask, rest, users, now)
        return self._token(name, now + TOKEN_SECONDS, secrets, now)

    def _proven(self, ask: Ask, given: str, users: Users, now: float) -> str:
        """The user who has proven to know their password.

        Raises:
            Refusal: nobody has.
        """
        fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(given)}
        name = fields.get("username", "")
        # An unknown user costs as long as a known one.
        password = users.passwords.get(name, "")
        uri = fields.get("uri", "")
        asked = _md5(f"{ask.method}:{uri}")
        parts = (
            password,
            fields.get("nonce", ""),
            fields.get("nc", ""),
            fields.get("cnonce", ""),
            "auth",
            asked,
        )
        right = hmac.compare_digest(_md5(":".join(parts)).encode(), _ascii(fields.get("response", "")))
        target = ask.path + ("?" + ask.query if ask.query else "")
        if not (right and password and fields.get("qop") == "auth" and uri == target):
            raise Refusal(401, FAILED)
        if not self._is_mine(fields.get("nonce", ""), now):
            raise Refusal(401, FAILED)
        try:
            return users.find(name).name
        except tokens.BadToken:
            raise Refusal(401, FAILED) from None

    def _renew(self, ask: Ask, name: str, users: Users, secrets: Sequence[bytes], now: float) -> Answer:
        try:
            claims = tokens.verify(bearer(ask) or "", secrets, now)
            if claims.get("sub") != name:
                raise Refusal(401, FAILED)
            users.find(name)
        except tokens.BadToken:
            raise Refusal(401, FAILED) from None
        return self._token(name, float(claims["exp"]), secrets, now)

    def _token(self, name: str, until: float, secrets: Sequence[bytes], now: float) -> Answer:
        if not secrets:
            raise Refusal(401, FAILED)
        token = issue(name, until, secrets[0], now)
        return Answer(200, (("Content-Type", "text/plain; charset=utf-8"), ("X-Authentication-Token", token)))

    def _nonce(self, now: float) -> str:
        stamp = f"{int(now):x}"
        return f"{stamp}-{self._mark(stamp)}"

    def _is_mine(self, nonce: str, now: float) -> bool:
        stamp, _, mark = nonce.partition("-")
        if not hmac.compare_digest(_ascii(mark), self._mark(stamp).encode()):
            return False
        return 0 <= now - int(stamp, 16) + 1 <= NONCE_SECONDS

    def _mark(self, stamp: str) -> str:
        return hmac.new(self._key, stamp.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:32]


def issue(name: str, until: float, secret: bytes, now: float) -> str:
    """A token for a user.

    Args:
        until: its end, in seconds since 1970.
        secret: as its file has it.
        now: seconds since 1970.
    """
    claims = {"sub": name, "iat": now, "nbf": now, "exp": until, "jti": randomness.token_hex(4)}
    return tokens.sign(secret, claims)


def _md5(content: str) -> str:
    return hashlib.md5(content.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _ascii(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
