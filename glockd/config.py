"""Every option of the daemon, once: its name, default, unit and what it does."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any


class ConfigError(Exception):
    """An option that makes no sense; the text is for the operator."""


class StartError(Exception):
    """The daemon cannot start. The text is for the operator.

    Args:
        message: one line.
        code: the exit code; those of the original where it had the case.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def option(default: Any, help: str, metavar: str = "") -> Any:
    """A field of `Config` with what the command line says about it."""
    return field(default=default, metadata={"help": help, "metavar": metavar})


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What the operator wants.

    Raises:
        ConfigError: a value is out of its range.
    """

    port: int = option(9999, "TCP port; 0: no TCP", "PORT")
    ws: int = option(9998, "websocket and HTTP port; 0: neither", "PORT")
    unix: str = option("", "path of the Unix socket; empty: none", "PATH")
    pidfile: str = option(
        "", "file for the process id, locked as long as the daemon runs; empty: none", "PATH"
    )
    registry: bool = option(True, "let clients register names (iam, who)")
    dump: bool = option(True, "let clients list locks (d, sd, dump, who, explain, history, find)")
    verbose: bool = option(False, "log who connected, took, released and lost what")
    bind: str = option("127.0.0.1,::1", "addresses to listen on, by commas", "HOSTS")
    unix_mode: str = option("0660", "permissions of the Unix socket, octal", "MODE")
    history: int = option(0, "how many events of locks to remember for `history`; 0: none", "N")
    admin: bool = option(False, "allow `kick`, on the Unix socket only")
    state_dir: str = option(
        "", "folder that remembers how far tokens have come; empty: the clock is trusted", "PATH"
    )
    auth_file: str = option("", "file of secrets, one a line, any of which `auth` must give first", "PATH")
    http: str = option(
        "", "where metrics, health and console page are, if not on the websocket port", "HOST:PORT"
    )
    metrics: bool = option(True, "serve /metrics to Prometheus")
    health: bool = option(True, "serve /healthz and /readyz")
    console: bool = option(True, "serve the console page, /")
    dead_peer_seconds: int = option(
        30, "find a peer that vanished without a word within so many seconds", "SECONDS"
    )
    ws_ping: bool = option(True, "ping silent websocket clients, and end those that do not answer in time")
    tls_cert: str = option(
        "",
        "certificate (PEM, with those up to the root): TLS on the TCP and websocket ports; empty: none",
        "PATH",
    )
    tls_key: str = option("", "its key (PEM); empty: it is in the certificate's file", "PATH")
    tls_client_ca: str = option(
        "", "CAs (PEM) of which clients must have a certificate; empty: they need none", "PATH"
    )
    ws_origin: str = option(
        "", "sites whose pages may open a websocket besides the daemon's own, by commas; *: all", "ORIGINS"
    )
    ws_host: str = option(
        "", "names the daemon is called by in browsers, besides its addresses, by commas; *: any", "NAMES"
    )
    unix_owner: str = option("", "user that the Unix socket belongs to; empty: who runs the daemon", "USER")
    unix_group: str = option(
        "", "group that the Unix socket belongs to; empty: of who runs the daemon", "GROUP"
    )
    max_connections: int = option(0, "connections at the same time; 0: as many as there are descriptors", "N")
    max_address_connections: int = option(
        0, "connections at the same time from one IPv4 address or IPv6 /64; 0: no limit", "N"
    )
    max_locks: int = option(10_000_000, "locks held by all clients; 0: no limit", "N")
    max_session_locks: int = option(1_000_000, "locks held by one client; 0: no limit", "N")
    max_waiters: int = option(0, "clients that wait for a lock; 0: no limit", "N")
    max_lock_waiters: int = option(0, "clients that wait for the same lock; 0: no limit", "N")
    max_name: int = option(
        0, "bytes in the name of a lock or client; 0: as many as fit into a line or message", "BYTES"
    )
    max_message: int = option(32 << 20, "bytes in a websocket message", "BYTES")
    max_output: int = option(64 << 20, "bytes that may wait for a client that does not read them", "BYTES")
    slow_reader_seconds: int = option(
        30, "end a client that reads nothing of what waits for it for so long", "SECONDS"
    )
    handshake_seconds: int = option(10, "time for TLS and websocket handshakes", "SECONDS")
    first_command_seconds: int = option(
        0, "time for a client's first command; 0: as long as it likes", "SECONDS"
    )
    idle_seconds: int = option(
        0, "end a client that for so long has no lock, no wait and sends no command; 0: never", "SECONDS"
    )
    log_format: str = option("console", "how log lines look: console or json", "FORMAT")
    log_level: str = option("info", "least level that is logged: debug, info, warning, error", "LEVEL")

    def __post_init__(self) -> None:
        for name in ("port", "ws"):
            value = getattr(self, name)
            _demand(0 <= value <= 65535, name, f"{value} is no port, which is from 0 to 65535")
        _demand(not self.port or self.port != self.ws, "ws", f"{self.ws} is the TCP port already")
        _demand(bool(self.hosts) or not (self.port or self.ws), "bind", "names no address")
        _demand(0 <= self.history <= MAX_HISTORY, "history", f"must be from 0 to {MAX_HISTORY}")
        _demand(5 <= self.dead_peer_seconds <= 86400, "dead-peer-seconds", "must be from 5 to 86400")
        for name in ("max_connections", "max_address_connections", "max_locks", "max_session_locks"):
            _demand(getattr(self, name) >= 0, flag(name), "must be 0 or more")
        for name in ("max_waiters", "max_lock_waiters", "max_name", "first_command_seconds", "idle_seconds"):
            _demand(getattr(self, name) >= 0, flag(name), "must be 0 or more")
        for name in ("max_message", "max_output"):
            _demand(4096 <= getattr(self, name) <= 1 << 30, flag(name), f"must be from 4096 to {1 << 30}")
        for name in ("slow_reader_seconds", "handshake_seconds"):
            _demand(1 <= getattr(self, name) <= 86400, flag(name), "must be from 1 to 86400")
        needless = [
            name for name in ("tls_key", "tls_client_ca") if getattr(self, name) and not self.tls_cert
        ]
        _demand(not needless, flag("".join(needless[:1])), "means nothing without -tls-cert")
        if self.http:
            _, colon, port = self.http.rpartition(":")
            in_range = port.isdecimal() and 1 <= int(port) <= 65535
            _demand(bool(colon) and in_range, "http", f"{self.http!r} is not HOST:PORT")
        _demand(self.log_format in LOG_FORMATS, "log-format", f"must be one of {', '.join(LOG_FORMATS)}")
        _demand(self.log_level in LOG_LEVELS, "log-level", f"must be one of {', '.join(LOG_LEVELS)}")
        try:
            mode_in_range = 0 <= int(self.unix_mode, 8) <= 0o777
        except ValueError:
            mode_in_range = False
        _demand(mode_in_range, "unix-mode", f"{self.unix_mode!r} is no octal mode from 0 to 0777")

    @property
    def hosts(self) -> list[str]:
        """The addresses to listen on."""
        return list(dict.fromkeys(map(_bare, words(self.bind))))

    @property
    def http_addresses(self) -> list[tuple[str, int]]:
        """Where to listen for HTTP alone; on the addresses of `bind` if only a port was named."""
        host, _, port = self.http.rpartition(":")
        hosts = [_bare(host)] if host else self.hosts
        return [(one, int(port)) for one in hosts] if port else []


def _bare(host: str) -> str:
    """A host without the brackets that a URL has around an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def words(value: str) -> list[str]:
    """The words of an option that has several, by commas."""
    return [word.strip() for word in value.split(",") if word.strip()]


MAX_HISTORY = 10_000_000  # some GB

LOG_FORMATS = ("console", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


def flag(name: str) -> str:
    """How an option is written on the command line and in a file, without its dash."""
    return name.replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of an option."""
    return f"GLOCKD_{name.upper()}"


def options() -> tuple[Field[Any], ...]:
    """Every option, in the order of the help."""
    return fields(Config)


def default(one: Field[Any]) -> Any:
    """What an option is if nobody says anything."""
    assert one.default is not MISSING
    return one.default


def from_file(path: str) -> dict[str, Any]:
    """The options in a TOML file, by field name.

    Raises:
        ConfigError: it cannot be read, is no TOML, has an unknown key or a value of the wrong type.
    """
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    known = {flag(one.name): one for one in options()}
    found = {}
    for key, value in content.items():
        one = known.get(flag(key))
        if one is None:
            raise ConfigError(f"{path}: there is no option {key}")
        wanted = type(default(one))
        if type(value) is not wanted:
            raise ConfigError(f"{path}: {key} must be {WORDS_FOR_TYPES[wanted]}")
        found[one.name] = value
    return found


WORDS_FOR_TYPES = {int: "a number", bool: "true or false", str: "a text in quotes"}


def build(*layers: Mapping[str, Any]) -> Config:
    """A Config from options by field name; later layers beat earlier ones.

    Raises:
        ConfigError: a value is out of its range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    return Config(**merged)


def _demand(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise ConfigError(f"-{name}: {what}")
