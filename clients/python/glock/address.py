"""Where a server is: `host`, `host:port`, `/path`, `tcp://`, `tls://`, `unix:`, `ws://`, `wss://`.

`clients/addresses.json` has the grammar, for this client as for all others, and cases of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    import ssl

DEFAULT = "tcp://127.0.0.1:9999"
PORTS = {"tcp": 9999, "tls": 9999, "ws": 9998, "wss": 9998}
SECURE = frozenset({"tls", "wss"})
WEB = frozenset({"ws", "wss"})
TLS_OPTIONS = frozenset({"ca", "cert", "key", "host"})

_HOST = re.compile(r"[A-Za-z0-9._-]+")
_IPV6 = re.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_PATH = re.compile(r"[!-~]*")


@dataclass(frozen=True, slots=True)
class Address:
    """One server.

    `url` is its canonical spelling, which is also what names are hashed with when there are several servers.
    `path` is the Unix socket's path, or the HTTP path of a websocket.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def is_stream(self) -> bool:
        """Are commands plain lines on a socket, so that holding the descriptor is holding the lock?"""
        return self.scheme in {"tcp", "unix"}

    @property
    def server_hostname(self) -> str:
        """The name that the server's certificate must be for."""
        return dict(self.options).get("host", self.host)

    def tls_context(self) -> ssl.SSLContext | None:
        """Verification as the `ca`, `cert` and `key` of the URL say; the system's authorities without `ca`.

        Raises:
            OSError: a file cannot be read (`ssl.SSLError` if it holds no certificate or key).
        """
        if self.scheme not in SECURE:
            return None
        import ssl  # a fifth of the time that `glock` takes to start, and most servers need none

        options = dict(self.options)
        context = ssl.create_default_context(cafile=options.get("ca"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
        return context


def parse(spelled: str) -> Address:
    """The one server that `spelled` names.

    `tls://` and `wss://` take `?ca=FILE`, `cert=FILE`, `key=FILE` and `host=NAME` (the certificate's).
    A missing port is 9999, or 9998 for websockets.

    Raises:
        TypeError: it is no text.
        ValueError: it names none; the message says what is wrong with it.
    """
    if not isinstance(spelled, str):
        raise TypeError(f"a server's address is text, not {type(spelled).__name__}")
    text = spelled.strip()
    if not text:
        raise ValueError("a server's address is missing: it is empty")
    if text.startswith("/"):
        return _unix(text, text)
    scheme, found, rest = text.partition("://")
    if not found:
        if text[:5].lower() == "unix:":
            return _unix(text, text[5:])
        scheme, rest = "tcp", text
    scheme = scheme.lower()
    if scheme == "unix":
        return _unix(text, rest)
    if scheme not in PORTS:
        _refuse(text, "it begins with none of tcp:// unix:// tls:// ws:// wss://")
    return _internet(text, scheme, rest)


def _unix(text: str, path: str) -> Address:
    if not path.startswith("/") or "\0" in path:
        _refuse(text, "a Unix socket is unix:///absolute/path")
    return Address("unix", path=path)


def _internet(text: str, scheme: str, rest: str) -> Address:
    if "#" in rest:
        _refuse(text, "a # means nothing in an address")
    rest, asks, query = rest.partition("?")
    if "@" in rest:
        _refuse(text, "the secret belongs in GLOCK_SECRET, not in the address")
    place, slash, path = rest.partition("/")
    host, port = _host_and_port(text, place)
    if asks and scheme not in SECURE:
        _refuse(text, "only tls:// and wss:// take options")
    if scheme not in WEB:
        if path:
            _refuse(text, "no path belongs behind the host")
        slash = ""
    elif not _PATH.fullmatch(path):
        _refuse(text, "the path has to be plain ASCII without blanks")
    else:
        slash = "/"
    number = int(port) if port is not None else PORTS[scheme]
    return Address(scheme, host.lower(), number, slash + path, _options(text, query))


def _host_and_port(text: str, place: str) -> tuple[str, str | None]:
    """`place` taken apart; the port is None if there is none."""
    if place.startswith("["):
        host, closed, behind = place[1:].partition("]")
        if not closed or not _IPV6.fullmatch(host) or (behind and behind[0] != ":"):
            _refuse(text, "the host is no name or address")
        colon, port = behind[:1], behind[1:]
    else:
        host, colon, port = place.partition(":")
        if not host and not port.count(":"):
            _refuse(text, "the host is missing")
        if ":" in port and "[" not in port and "]" not in port:
            _refuse(text, "an IPv6 address stands in brackets, as in [::1]:9999")
        if not _HOST.fullmatch(host):
            _refuse(text, "the host is no name or address")
    if colon and (not _PORT.fullmatch(port) or int(port) > 65535):
        _refuse(text, "the port is no number from 1 to 65535")
    return host, port if colon else None


def _options(text: str, query: str) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for each in query.split("&") if query else ():
        key, _, value = each.partition("=")
        if key not in TLS_OPTIONS:
            _refuse(text, f"unknown option: {key}")
        if not value:
            _refuse(text, f"the option {key} has no value")
        if key in found:
            _refuse(text, f"the option {key} is there twice")
        found[key] = unquote_plus(value)
    if "key" in found and "cert" not in found:
        _refuse(text, "the option key needs cert")
    return tuple(found.items())


def _refuse(text: str, why: str) -> NoReturn:
    # What may have a secret in it is not repeated: messages end up in logs.
    raise ValueError(f"a server's address is wrong: {why}" if "@" in text else f"{text!r}: {why}")


def servers(spelled: str | Iterable[str] | None = None) -> tuple[Address, ...]:
    """The servers that `spelled` (one, several, or several in one string with commas between) names.

    Without it: those of the environment's GLOCK_SERVER, or else, if that is not set or blank, the daemon on
    this machine, tcp://127.0.0.1:9999. Their order does not matter.

    Raises:
        TypeError: it is neither text nor several texts.
        ValueError: one of them names no server, or one is named twice.
    """
    if spelled is None:
        spelled = os.environ.get("GLOCK_SERVER", "").strip() or DEFAULT
    if isinstance(spelled, str):
        several = spelled.split(",")
        if len(several) > 1 and not all(each.strip() for each in several):
            raise ValueError(f"{spelled!r}: one of several servers is empty")
    elif isinstance(spelled, Iterable):
        several = list(spelled)
    else:
        raise TypeError(f"a server's address is text, not {type(spelled).__name__}")
    found = tuple(parse(one) for one in several)
    if not found:
        raise ValueError("no server is named")
    if len({address.url for address in found}) < len(found):
        raise ValueError("a server is named twice")
    return found
