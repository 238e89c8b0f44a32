"""Where a server listens: the one way in which every command of the tester takes an address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Transport = Literal["tcp", "unix", "ws"]
DEFAULT_PORTS = {"tcp": 9999, "ws": 9998}


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


def parse_address(text: str, transport: Transport = "tcp") -> Address:
    """The address that a person typed.

    Args:
        text: `host`, `host:port`, `[::1]:port`, `tcp://host:port`, `ws://host:port/`, `unix:///path`,
        `/path`. transport: what `text` means when it names no scheme; ports default to 9999 (tcp) and 9998
        (ws).

    Raises:
        ValueError: with a sentence for that person.
    """
    if text.startswith("/"):
        return Address("unix", path=text)
    if "://" not in text:
        if transport == "unix":
            return Address("unix", path=text)
        text = f"{transport}://{text}"
    parts = urlsplit(text)
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError(f"{text}: a Unix socket is unix:///path")
        return Address("unix", path=parts.netloc + parts.path)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"{text}: the scheme must be tcp, ws or unix")
    try:
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except ValueError as problem:
        raise ValueError(f"{text}: {problem}") from problem
    scheme: Transport = "ws" if parts.scheme == "ws" else "tcp"
    return Address(scheme, parts.hostname or "127.0.0.1", port, parts.path if scheme == "ws" else "")
