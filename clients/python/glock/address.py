"""Where a server is: `tcp://host:port`, `unix:///path`, `tls://host:port`, `ws://host:port`, `wss://host:port`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT = "tcp://127.0.0.1:9999"
PORTS = {"tcp": 9999, "tls": 9999, "ws": 9998, "wss": 9998}
SECURE = frozenset({"tls", "wss"})
TLS_OPTIONS = frozenset({"ca", "cert", "key", "host"})


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
        options = dict(self.options)
        context = ssl.create_default_context(cafile=options.get("ca"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
        return context


def parse(url: str) -> Address:
    """The server that `url` names.

    `tls://` and `wss://` take `?ca=FILE`, `cert=FILE`, `key=FILE` and `host=NAME` (the certificate's).
    A missing port is 9999, or 9998 for websockets.

    Raises:
        ValueError: it names none; the message says what is wrong with it.
    """
    parts = urlsplit(url.strip())
    scheme = parts.scheme
    if scheme == "unix":
        path = unquote(parts.path)
        if parts.netloc or not path.startswith("/"):
            raise ValueError(f"{url!r}: a Unix socket is unix:///absolute/path")
        return Address("unix", path=path)
    if scheme not in PORTS:
        known = ", ".join(f"{name}://" for name in ("tcp", "unix", "tls", "ws", "wss"))
        raise ValueError(f"{url!r}: a server's address begins with one of {known}")
    if not parts.hostname:
        raise ValueError(f"{url!r}: the host is missing")
    try:
        port = parts.port or PORTS[scheme]
    except ValueError:
        raise ValueError(f"{url!r}: the port is no number from 1 to 65535") from None
    if parts.username is not None:
        raise ValueError(f"{url!r}: the secret does not belong in the address, but in GLOCK_SECRET")
    websocket = scheme in {"ws", "wss"}
    if parts.path not in {"", "/"} and not websocket:
        raise ValueError(f"{url!r}: no path belongs behind a {scheme}:// address")
    options = tuple(parse_qsl(parts.query)) if scheme in SECURE else ()
    if unknown := {key for key, _ in options} - TLS_OPTIONS:
        raise ValueError(f"{url!r}: unknown option {', '.join(sorted(unknown))}")
    return Address(scheme, parts.hostname, port, (parts.path or "/") if websocket else "", options)


def servers(url: str | Iterable[str] | None = None) -> tuple[Address, ...]:
    """The servers that `url` (one, several, or several in one string with commas between) names.

    Without it: those of the environment's GLOCK_SERVER, or else the daemon on this machine, tcp://127.0.0.1:9999.
    Their order does not matter.

    Raises:
        ValueError: one of them names no server, or one is named twice.
    """
    if url is None:
        url = os.environ.get("GLOCK_SERVER") or DEFAULT
    urls = url.split(",") if isinstance(url, str) else list(url)
    found = tuple(parse(one) for one in urls)
    if not found:
        raise ValueError("no server is named")
    if len({address.url for address in found}) < len(found):
        raise ValueError("a server is named twice")
    return found
