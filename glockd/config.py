"""Every option of the daemon, once: its name, default, unit and what it does."""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from glockd.sites import bare, is_host_name, is_origin


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


# The kinds of IP sockets, each by the name that other options and a service manager know it by.
SOCKETS = ("tcp", "ws", "http", "ldlm", "ldlm-rest", "dispatch", "windows")

UNLIMITED = 1 << 29  # more than fits into memory; compares faster than infinity
MAX_HISTORY = 10_000_000  # some GB
DAY = 86400


def option(
    default: Any,
    help: str,
    metavar: str = "",
    *,
    within: tuple[int, int] | None = None,
    endless: bool = False,
    reloads: bool = False,
    secrets: bool = False,
    choices: tuple[str, ...] = (),
    needs: str = "",
) -> Any:
    """A field of `Config`, with all there is to say about the option: nothing else lists options one by one.

    Args:
        help: what the command line says about it.
        metavar: what stands for its value there.
        within: the least and the largest value.
        endless: 0 stands for no limit.
        reloads: a running daemon takes a new value over (SIGHUP); others want a restart.
        secrets: the value is the path of a file of secrets.
        choices: the words that it may be.
        needs: the option without which another value than the default means nothing.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "metavar": metavar,
            "within": within,
            "endless": endless,
            "reloads": reloads,
            "secrets": secrets,
            "choices": choices,
            "needs": needs,
        },
    )


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
    registry: bool = option(True, "let clients register names (iam, who)", reloads=True)
    dump: bool = option(
        True, "let clients list locks (d, sd, dump, who, pool, explain, history, find)", reloads=True
    )
    verbose: bool = option(False, "log who connected, took, released and lost what")
    bind: str = option("127.0.0.1,::1", "addresses to listen on, by commas", "HOSTS")
    unix_mode: str = option("0660", "permissions of the Unix socket, octal", "MODE")
    history: int = option(
        0, "how many events of locks to remember for `history`; 0: none", "N", within=(0, MAX_HISTORY)
    )
    admin: bool = option(
        False, "allow `kick`, on the Unix socket and to websockets that know a secret", reloads=True
    )
    state_dir: str = option(
        "", "folder that remembers how far tokens have come; empty: the clock is trusted", "PATH"
    )
    records: str = option(
        "", "file that keeps records over restarts, those of doors that have any; empty: none", "PATH"
    )
    records_sync: str = option(
        "normal",
        "what a record survives: normal: the end of the daemon; full: that of the machine",
        "WHEN",
        choices=("normal", "full"),
        needs="records",
    )
    auth_file: str = option(
        "",
        "file of secrets, one a line, any of which `auth` must give first",
        "PATH",
        reloads=True,
        secrets=True,
    )
    http: str = option(
        "", "where metrics, health and console page are, if not on the websocket port", "HOST:PORT"
    )
    metrics: bool = option(True, "serve /metrics to Prometheus")
    health: bool = option(True, "serve /healthz and /readyz")
    console: bool = option(True, "serve the console page, /")
    dead_peer_seconds: int = option(
        30, "find a peer that vanished without a word within so many seconds", "SECONDS", within=(5, DAY)
    )
    ws_ping: bool = option(True, "ping silent websocket clients, and end those that do not answer in time")
    tls_cert: str = option(
        "",
        "certificate (PEM, with those up to the root): TLS on the TCP and websocket ports; empty: none",
        "PATH",
    )
    tls_key: str = option(
        "", "its key (PEM); empty: it is in the certificate's file", "PATH", needs="tls_cert"
    )
    tls_client_ca: str = option(
        "",
        "CAs (PEM) of which clients must have a certificate; empty: they need none",
        "PATH",
        needs="tls_cert",
    )
    tls_for: str = option(
        "",
        f"kinds of sockets with TLS ({', '.join(SOCKETS)}), by commas; empty: all but unix",
        "KINDS",
        needs="tls_cert",
    )
    tls_client_ca_for: str = option(
        "",
        "kinds of sockets on which clients must have a certificate; empty: all with TLS",
        "KINDS",
        needs="tls_client_ca",
    )
    proxy_protocol: str = option(
        "",
        "networks of proxies that begin each connection with a PROXY protocol header, by commas; empty: none",
        "NETWORKS",
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
    max_connections: int = option(
        0,
        "connections at the same time; 0: as many as there are descriptors",
        "N",
        endless=True,
        reloads=True,
    )
    max_address_connections: int = option(
        0,
        "connections at the same time from one IPv4 address or IPv6 /64; 0: no limit",
        "N",
        endless=True,
        reloads=True,
    )
    max_locks: int = option(
        10_000_000, "locks held by all clients; 0: no limit", "N", endless=True, reloads=True
    )
    max_session_locks: int = option(
        1_000_000, "locks held by one client; 0: no limit", "N", endless=True, reloads=True
    )
    max_waiters: int = option(0, "clients that wait for a lock; 0: no limit", "N", endless=True, reloads=True)
    max_session_waiters: int = option(
        10_000, "waits in line of one client; 0: no limit", "N", endless=True, reloads=True
    )
    max_lock_waiters: int = option(
        0, "clients that wait for the same lock; 0: no limit", "N", endless=True, reloads=True
    )
    max_items: int = option(
        1_000_000, "items of all work lists; 0: no limit", "N", endless=True, reloads=True
    )
    max_pool_items: int = option(
        100_000, "items of one work list; 0: no limit", "N", endless=True, reloads=True
    )
    max_session_items: int = option(
        10_000, "items held by one client; 0: no limit", "N", endless=True, reloads=True
    )
    max_name: int = option(
        0,
        "bytes in the name of a lock or client; 0: as many as fit into a line or message",
        "BYTES",
        within=(0, UNLIMITED),
    )
    max_message: int = option(32 << 20, "bytes in a websocket message", "BYTES", within=(4096, 1 << 30))
    max_output: int = option(
        64 << 20,
        "bytes that may wait for a client that does not read them",
        "BYTES",
        within=(4096, 1 << 30),
        reloads=True,
    )
    slow_reader_seconds: int = option(
        30,
        "end a client that reads nothing of what waits for it for so long",
        "SECONDS",
        within=(1, DAY),
        reloads=True,
    )
    handshake_seconds: int = option(
        10, "time for TLS and websocket handshakes", "SECONDS", within=(1, DAY), reloads=True
    )
    first_command_seconds: int = option(
        0, "time for a client's first command; 0: as long as it likes", "SECONDS", endless=True
    )
    idle_seconds: int = option(
        0,
        "end a client that for so long has no lock, no wait and sends no command; 0: never",
        "SECONDS",
        endless=True,
    )
    ldlm: str = option("", "where LDLM's gRPC clients are served; empty: nowhere", "HOST:PORT")
    ldlm_rest: str = option("", "where LDLM's REST clients are served; empty: nowhere", "HOST:PORT")
    ldlm_password_file: str = option(
        "",
        "file of passwords, one a line, any of which LDLM's clients must give",
        "PATH",
        reloads=True,
        secrets=True,
    )
    ldlm_session_seconds: int = option(
        600,
        "end an LDLM REST session that asks for nothing for so long",
        "SECONDS",
        within=(1, 365 * DAY),
        reloads=True,
    )
    ldlm_default_lease_seconds: int = option(
        600,
        "lease of LDLM locks that are restored after a restart; 0: they are free at once",
        "SECONDS",
        within=(0, 365 * DAY),
    )
    ldlm_keep_on_disconnect: bool = option(
        False, "keep LDLM locks when their connection or REST session ends, until they are unlocked"
    )
    ldlm_keep_over_restart: bool = option(
        False,
        "keep LDLM locks over a restart, in -records, with -ldlm-default-lease-seconds",
        needs="records",
    )
    ldlm_keepalive_seconds: int = option(
        60, "ping an LDLM gRPC client that is silent for so long", "SECONDS", within=(1, DAY), reloads=True
    )
    ldlm_keepalive_timeout_seconds: int = option(
        10, "end one that does not answer that within so long", "SECONDS", within=(1, DAY), reloads=True
    )
    ldlm_gc_seconds: int = option(
        1800, "how often to forget the sizes of unused LDLM locks", "SECONDS", within=(1, DAY), reloads=True
    )
    ldlm_gc_idle_seconds: int = option(
        300,
        "how long an LDLM lock must have been unused for that",
        "SECONDS",
        within=(0, 365 * DAY),
        reloads=True,
    )
    dispatch: str = option("", "where Data Dispatcher's clients are served; empty: nowhere", "HOST:PORT")
    dispatch_secret_file: str = option(
        "",
        "file of secrets, one a line: the first signs Data Dispatcher's tokens, any is good to check them",
        "PATH",
        reloads=True,
        secrets=True,
    )
    dispatch_users_file: str = option(
        "",
        "file of Data Dispatcher's users: NAME [admin] [role:NAME]... a line; empty: whoever has a token",
        "PATH",
        reloads=True,
    )
    dispatch_password_file: str = option(
        "", "file of Data Dispatcher's passwords, as htdigest writes it", "PATH", reloads=True
    )
    dispatch_proximity_file: str = option(
        "", "file of how near storage elements are to sites: SITE ELEMENT NUMBER a line", "PATH"
    )
    dispatch_hold_seconds: int = option(
        20,
        "keep a Data Dispatcher's worker waiting for so long when no file is free; 0: not at all",
        "SECONDS",
        within=(0, 600),
        reloads=True,
    )
    windows: str = option("", "where pScheduler's clients are served; empty: nowhere", "HOST:PORT")
    windows_horizon_seconds: int = option(
        DAY, "how far ahead windows are booked", "SECONDS", within=(60, 366 * DAY), reloads=True
    )
    windows_keep_seconds: int = option(
        2 * DAY, "how long to know of windows that are over", "SECONDS", within=(60, 366 * DAY), reloads=True
    )
    log_format: str = option(
        "console", "how log lines look: console or json", "FORMAT", reloads=True, choices=("console", "json")
    )
    log_level: str = option(
        "info",
        "least level that is logged: debug, info, warning, error",
        "LEVEL",
        reloads=True,
        choices=("debug", "info", "warning", "error"),
    )

    def __post_init__(self) -> None:
        for one in options():
            _check(one, getattr(self, one.name), self)
        _demand(not self.port or self.port != self.ws, "ws", f"{self.ws} is the TCP port already")
        _demand(bool(self.hosts) or not (self.port or self.ws), "bind", "names no address")
        try:
            self.proxies  # noqa: B018
        except ValueError as error:
            raise ConfigError(f"-proxy-protocol: {error}") from error
        for name, check in (("ws-origin", is_origin), ("ws-host", is_host_name)):
            wrong = [word for word in words(getattr(self, name.replace("-", "_"))) if not check(word)]
            _demand(not wrong, name, f"{', '.join(wrong)}: not {WANTED[name]}")
        try:
            mode_in_range = 0 <= int(self.unix_mode, 8) <= 0o777
        except ValueError:
            mode_in_range = False
        _demand(mode_in_range, "unix-mode", f"{self.unix_mode!r} is no octal mode from 0 to 0777")

    @property
    def hosts(self) -> list[str]:
        """The addresses to listen on."""
        return list(dict.fromkeys(map(bare, words(self.bind))))

    def addresses(self, kind: str) -> list[tuple[str, int]]:
        """Where to listen on sockets of that kind, one of SOCKETS; on the addresses of `bind` if only a port is named.

        Port 0 leaves the choice to the system.
        """
        value = getattr(self, kind.replace("-", "_") if kind != "tcp" else "port")
        if isinstance(value, int):
            return [(one, value) for one in self.hosts] if value else []
        host, _, port = value.rpartition(":")
        hosts = [bare(host)] if host else self.hosts
        return [(one, int(port)) for one in hosts] if port else []

    def dead_peer(self, kind: str) -> int:
        """Within how many seconds a peer that vanished is found on sockets of that kind."""
        if kind == "ldlm":
            return max(5, self.ldlm_keepalive_seconds + self.ldlm_keepalive_timeout_seconds)
        return self.dead_peer_seconds

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """The networks from which connections begin with a header of the PROXY protocol.

        Raises:
            ValueError: one is no network; the text says which. Not after the options have been checked.
        """
        return [ip_network(word) for word in words(self.proxy_protocol)]

    @property
    def tls_sockets(self) -> frozenset[str]:
        """The kinds of sockets with TLS, if there is a certificate."""
        return frozenset(words(self.tls_for) or SOCKETS)

    @property
    def tls_client_ca_sockets(self) -> frozenset[str]:
        """The kinds of sockets on which clients must have a certificate, if there is a CA."""
        return frozenset(words(self.tls_client_ca_for) or SOCKETS)


# What the words of some options are.
WANTED = {
    "ws-origin": "a site as https://example.org:8443, without a path; nor null, nor *",
    "ws-host": "a name as locks.example.org, without a port; nor *",
}


def words(value: str) -> list[str]:
    """The words of an option that has several, by commas."""
    return [word.strip() for word in value.split(",") if word.strip()]


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


def _check(one: Field[Any], value: Any, config: Config) -> None:
    """See that an option has a value that it may have, as far as it tells by itself.

    Raises:
        ConfigError: it has not.
    """
    name, about = flag(one.name), one.metadata
    if about["endless"]:
        _demand(value >= 0, name, "must be 0 or more")
    elif about["within"] is not None:
        least, most = about["within"]
        _demand(least <= value <= most, name, f"must be from {least} to {most}")
    elif about["choices"]:
        _demand(value in about["choices"], name, f"must be one of {', '.join(about['choices'])}")
    elif about["metavar"] == "PORT":
        _demand(0 <= value <= 65535, name, f"{value} is no port, which is from 0 to 65535")
    elif about["metavar"] == "HOST:PORT":
        _, colon, port = value.rpartition(":")
        in_range = bool(colon) and port.isdecimal() and int(port) <= 65535
        _demand(not value or in_range, name, f"{value!r} is not HOST:PORT")
    elif about["metavar"] == "KINDS":
        strange = [kind for kind in words(value) if kind not in SOCKETS]
        _demand(not strange, name, f"{', '.join(strange)}: no kind of socket; there are {', '.join(SOCKETS)}")
    if about["needs"] and value != one.default:
        _demand(bool(getattr(config, about["needs"])), name, f"means nothing without -{flag(about['needs'])}")


def _demand(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise ConfigError(f"-{name}: {what}")
