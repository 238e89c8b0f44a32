"""Which pages of which sites may talk to the daemon through somebody's browser."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.http11 import Request, Response

from glockd.policy import Reason
from glockd.web.app import text

ANY = "*"


class Visitors:
    """Checks Origin and Host of requests. Clients that are no browsers send no Origin, and are welcome.

    Args:
        origins: sites whose pages may open a websocket besides the daemon's own, as `https://example.org`;
            `null` for pages without a site, `*` for all.
        hosts: names by which the daemon may be called besides localhost and addresses; `*` for any.
    """

    def __init__(self, origins: Iterable[str], hosts: Iterable[str]) -> None:
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._hosts = {host.lower() for host in hosts}

    def refuse(self, request: Request) -> tuple[Reason, Response] | None:
        """What is wrong with a request (host or origin) and the answer to it; None if nothing is."""
        origins = request.headers.get_all("Origin")
        hosts = request.headers.get_all("Host")
        shakes_hands = "upgrade" in ", ".join(request.headers.get_all("Connection")).lower()
        if shakes_hands and not origins:
            return None
        host = hosts[0].lower() if hosts else ""
        # DNS rebinding: a page of a foreign site reaches the daemon under the name of that site, which is
        # the same origin then. It can do so with no name that is an address.
        if len(hosts) > 1 or (host and not self._is_mine(host)):
            answer = f"This daemon is not called {_shown(host)}: see -ws-host."
            return "host", text(answer, 421, "Misdirected Request")
        if shakes_hands and (len(origins) > 1 or not self._is_welcome(origins[0].lower(), host)):
            answer = f"Pages of {_shown(origins[0])} may not talk to this daemon: see -ws-origin."
            return "origin", text(answer, 403, "Forbidden")
        return None

    def _is_mine(self, host: str) -> bool:
        name = _name(host)
        return name in self._hosts or ANY in self._hosts or _is_local(name) or _is_address(name)

    def _is_welcome(self, origin: str, host: str) -> bool:
        if ANY in self._origins or origin in self._origins:
            return True
        scheme, slashes, site = origin.partition("://")
        if not slashes or scheme not in ("http", "https"):
            return False
        # On this machine every port is home: what listens there is the user's own.
        return bool(host) and (site == host or (_is_local(_name(site)) and _is_local(_name(host))))


def _name(host: str) -> str:
    """The name or address in `host`, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
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
