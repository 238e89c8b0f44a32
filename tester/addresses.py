"""Where a server listens: the one way in which every command of the tester takes an address.

The grammar is that of all clients, clients/addresses.json; the tester speaks no TLS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

Transport = Literal["tcp", "unix", "ws"]
DEFAULT_PORTS: dict[Transport, int] = {"tcp": 9999, "ws": 9998}

_HOST = re.compile(r"[A-Za-z0-9._-]+")
_IPV6 = re.compile(r"\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?)\]")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_PATH = re.compile(r"[!-~]*")


@dataclass(frozen=True)
class Address:
    """One door of a server: `host` and `port` for tcp and ws, `path` for unix and in a ws URL."""

    transport: Transport
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.transport == "unix":
            return f"unix://{self.path}"
        return f"{self.transport}://{host_port(self.host, self.port)}{self.path}"

    @property
    def local(self) -> bool:
        """The server runs on this machine, as far as the address tells."""
        return self.transport == "unix" or self.host in ("localhost", "::1") or self.host.startswith("127.")


def host_port(host: str, port: int) -> str:
    """`host:port` as the server prints it: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(spelled: str, transport: Transport = "tcp") -> Address:
    """The address that a person typed.

    Args:
        spelled: `host`, `host:port`, `[::1]:port`, `tcp://host:port`, `ws://host:port/`, `unix:///path`, `/path`.
        transport: what is meant where no scheme is named; ports default to 9999 (tcp) and 9998 (ws).

    Raises:
        ValueError: with a sentence for that person.
    """
    text = spelled.strip()
    if not text:
        raise ValueError("a server's address is missing: it is empty")
    if "," in text:
        _refuse(text, "several servers are more than is asked for")
    if text.startswith("/"):
        return _unix(text, text)
    scheme, found, rest = text.partition("://")
    if not found:
        if text[:5].lower() == "unix:" or transport == "unix":
            return _unix(text, text[5:] if text[:5].lower() == "unix:" else text)
        scheme, rest = transport, text
    return _at(text, scheme.lower(), rest)


def _at(text: str, scheme: str, rest: str) -> Address:
    match scheme:
        case "unix":
            return _unix(text, rest)
        case "tcp" | "ws":
            return _internet(text, scheme, rest)
        case "tls" | "wss":
            _refuse(text, f"this client does not speak {scheme}://")
    _refuse(text, "it begins with none of tcp:// unix:// tls:// ws:// wss://")


def _unix(text: str, path: str) -> Address:
    if not path.startswith("/") or "\0" in path:
        _refuse(text, "a Unix socket is unix:///absolute/path")
    return Address("unix", path=path)


def _internet(text: str, scheme: Literal["tcp", "ws"], rest: str) -> Address:
    if "#" in rest:
        _refuse(text, "a # means nothing in an address")
    if "@" in rest.partition("?")[0]:
        _refuse(text, "the secret belongs in GLOCK_SECRET, not in the address")
    place, _, path = rest.partition("?")[0].partition("/")
    host, port = _host_and_port(text, place)
    if "?" in rest:
        _refuse(text, "only tls:// and wss:// take options")
    if scheme == "tcp" and path:
        _refuse(text, "no path belongs behind the host")
    if not _PATH.fullmatch(path):
        _refuse(text, "the path has to be plain ASCII without blanks")
    return Address(scheme, host.lower(), port or DEFAULT_PORTS[scheme], "/" + path if scheme == "ws" else "")


def _host_and_port(text: str, place: str) -> tuple[str, int]:
    """The parts of `host:port`; the port is 0 if there is none."""
    bracketed = _IPV6.match(place)
    host, colon, port = place.partition(":")
    if bracketed:
        host, behind = bracketed[1], place[bracketed.end() :]
        colon, port = behind[:1], behind[1:]
    if not bracketed:
        if not host and ":" not in port:
            _refuse(text, "the host is missing")
        if ":" in port and "[" not in place and "]" not in place:
            _refuse(text, "an IPv6 address stands in brackets, as in [::1]:9999")
    if (not bracketed and not _HOST.fullmatch(host)) or colon not in ("", ":"):
        _refuse(text, "the host is no name or address")
    if colon and (not _PORT.fullmatch(port) or int(port) > 65535):
        _refuse(text, "the port is no number from 1 to 65535")
    return host, int(port) if colon else 0


def _refuse(text: str, why: str) -> NoReturn:
    # What may have a secret in it is not repeated.
    raise ValueError(f"a server's address is wrong: {why}" if "@" in text else f"{text!r}: {why}")
