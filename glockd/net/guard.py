"""Who may ask: which pages of which sites through somebody's browser, and who knows a secret."""

from __future__ import annotations

import base64
import binascii
import hmac
import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from glockd.config import Config, words
from glockd.core.names import normalise
from glockd.net.answers import Refused, refused
from glockd.net.exchange import Ask
from glockd.policy import Reason

ANY = "*"

# Of so many origins and names that are refused the operator is told.
MOST_KNOWN = 100


def untold(reason: Reason, name: str) -> None:
    """Nobody wants to know who was refused."""


class Visitors:
    """Checks where a request comes from. Clients that are no browsers send no Origin, and are welcome.

    Args:
        origins: sites whose pages may talk to the daemon besides its own, as `https://example.org`;
            `null` for pages without a site, `*` for all.
        hosts: names by which the daemon may be called besides localhost and addresses; `*` for any.
        told: is told once of each origin and name that is refused, with the reason: the operator may want to allow it.
    """

    def __init__(
        self, origins: Iterable[str], hosts: Iterable[str], told: Callable[[Reason, str], None] = untold
    ) -> None:
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._told = told
        self._known: set[tuple[Reason, str]] = set()

    @classmethod
    def of(cls, config: Config, told: Callable[[Reason, str], None] = untold) -> Visitors:
        """Those that the options welcome."""
        # One's own name is no foreign site's.
        return cls(words(config.ws_origin), [*words(config.ws_host), socket.gethostname()], told)

    def refuse_page(self, ask: Ask) -> Refused | None:
        """What is wrong with a request for a page or a websocket; None if nothing is.

        A page changes nothing, and its headers keep other sites from reading it: links to it may be anywhere.
        """
        shakes_hands = "upgrade" in ask.headers.get("Connection").lower()
        if shakes_hands and "Origin" not in ask.headers:
            return None
        return self._misdirected(ask) or (self._foreign(ask) if shakes_hands else None)

    def refuse_call(self, ask: Ask, *, is_open: bool) -> Refused | None:
        """What is wrong with a call at a door; None if nothing is.

        Args:
            is_open: the door asks for no secret, so that the name it is called by is all that keeps a foreign page
                from it.
        """
        # A name without a dot is known to the own network only: nobody can give it to a foreign site.
        foreign = "." in _name(ask.headers.get("Host"))
        misdirected = self._misdirected(ask) if is_open and foreign else None
        if misdirected is not None:
            return misdirected
        if "Origin" in ask.headers:
            return self._foreign(ask)
        # Fetch Metadata (W3C): a browser says so itself, also of pictures and links, which have no Origin.
        if "cross-site" in ask.headers.words("Sec-Fetch-Site") and ANY not in self._origins:
            answer = "Pages of other sites may not talk to this daemon: see -ws-origin."
            return refused("cross_site", 403, answer)
        return None

    def _misdirected(self, ask: Ask) -> Refused | None:
        hosts = ask.headers.get_all("Host")
        host = hosts[0].lower() if hosts else ""
        # DNS rebinding: a page of a foreign site reaches the daemon under the name of that site, which is
        # the same origin then. It can do so with no name that is an address.
        if len(hosts) > 1 or (host and not self._is_mine(host)):
            self._tell("host", _shown(host))
            return refused("host", 421, f"This daemon is not called {_shown(host)}: see -ws-host.")
        return None

    def _foreign(self, ask: Ask) -> Refused | None:
        origins, host = ask.headers.get_all("Origin"), ask.headers.get("Host").lower()
        if len(origins) == 1 and self._is_welcome(origins[0].lower(), host):
            return None
        self._tell("origin", _shown(origins[0]))
        answer = f"Pages of {_shown(origins[0])} may not talk to this daemon: see -ws-origin."
        return refused("origin", 403, answer)

    def _tell(self, reason: Reason, name: str) -> None:
        # Strangers choose these names: no more of them are kept than an operator would read.
        if len(self._known) < MOST_KNOWN and (reason, name) not in self._known:
            self._known.add((reason, name))
            self._told(reason, name)

    def _is_mine(self, host: str) -> bool:
        name = _name(host)
        return name in self._hosts or ANY in self._hosts or _is_local(name) or _is_address(name)

    def _is_welcome(self, origin: str, host: str) -> bool:
        if ANY in self._origins or origin in self._origins:
            return True
        site = _site(origin)
        # On this machine every port is home: what listens there is the user's own.
        return bool(site and host) and (site == host or (_is_local(_name(site)) and _is_local(_name(host))))


def is_own_page(origins: Sequence[str], hosts: Sequence[str]) -> bool:
    """Whether who asks is a page of the daemon's own, or no page at all.

    Args:
        origins: every Origin header of a request; without any it is no page's.
        hosts: every Host header, which says what the request calls the daemon.

    Returns:
        False for each other site and port, even where `-ws-origin` or this machine makes it welcome.
    """
    if not origins:
        return True
    site = _site(origins[0].lower())
    return bool(site) and len(origins) == len(hosts) == 1 and site == hosts[0].lower()


class Principal(NamedTuple):
    """Who asks, as far as is known."""

    name: str  # that it gives with its password; empty: it gives none
    secret: bytes  # that it knows; empty: none was asked for


NOBODY = Principal("", b"")


def identify(ask: Ask, secrets: tuple[bytes, ...]) -> Principal | None:
    """Who asks; None if no secret is known to them: then the answer is `answers.unauthorised()`.

    Args:
        secrets: any of which may be the bearer token, or the password of any user; with none, everybody is welcome.
    """
    if not secrets:
        return NOBODY
    given = ask.headers.get_all("Authorization")
    scheme, _, credentials = (given[0] if len(given) == 1 else "").strip().partition(" ")
    name, secret = b"", credentials.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(secret, validate=True).partition(b":")
        except binascii.Error:
            return None
    elif scheme.lower() != "bearer":
        return None
    # As `auth` takes it, with single blanks; and as those mean it who still send Latin-1.
    spellings = normalise(secret), normalise(secret.decode("latin-1").encode())
    # Every secret is compared, in constant time each: the answer's time tells nothing.
    known = [one for one in secrets if sum([hmac.compare_digest(each, one) for each in spellings])]
    return Principal(name.decode("utf-8", "backslashreplace"), known[0]) if known else None


def _site(origin: str) -> str:
    """The host and port of an http origin; empty for any other, `null` among them."""
    scheme, slashes, site = origin.partition("://")
    return site if slashes and scheme in ("http", "https") else ""


def _name(host: str) -> str:
    """The name or address in `host`, without its port."""
    try:
        # A dot at the end, as resolvers with search lists send it, makes it no other name (RFC 1034, 3.1).
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(name: str) -> bool:
    # RFC 6761, 6.3: localhost and names within it are this machine.
    return (
        name == "localhost"
        or name.endswith(".localhost")
        or (_is_address(name) and ip_address(name).is_loopback)
    )


def _shown(word: str) -> str:
    return word[:100].encode("ascii", "backslashreplace").decode()
