"""What the operator lets clients do; shared by all sessions, so that a reload reaches them all."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from glockd.bounds import in_force
from glockd.config import UNLIMITED, Config, StartError, flag, options
from glockd.core.names import normalise

if TYPE_CHECKING:
    from glockd.core.sessions import Session
    from glockd.core.state import State
    from glockd.core.tables import Table

# Below `max_locks` by this many, each get is checked against it. Not more can be got between two looks.
MARGIN = 3_000_000

# Why something was refused: the word in metrics and log.
Reason: TypeAlias = Literal[
    "connections",
    "address_connections",
    "locks",
    "waiters",
    "items",
    "windows",
    "names",
    "auth",
    "tls",
    "http",
    "proxy",
    "host",
    "origin",
    "cross_site",
    "malformed",
    "head",
    "body",
    "slow",
    "handshake",
    "output",
    "first_command",
    "idle",
    "deadlock",
    "headers",
    "message",
    "streams",
    "flood",
    "pings",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(slots=True)
class Policy:
    """The switches and limits that doors obey."""

    # What is in force: UNLIMITED stands where the operator says 0 for no limit.
    config: Config = field(default_factory=lambda: in_force(Config(), UNLIMITED))
    secrets: tuple[bytes, ...] = ()  # any of them is what auth wants to hear first; none: no auth needed
    # By the option that names their file, those of other doors too: any of them lets a client in, and with none
    # everybody comes in.
    secrets_of: Mapping[str, tuple[bytes, ...]] = field(default_factory=lambda: read_all_secrets(Config()))
    # What to add to monotonic seconds for those since 1970; asked for when somebody looks.
    wall_offset: Callable[[], float] = lambda: 0.0
    # How many lines of the log nobody took; asked for when somebody looks.
    lost_log_lines: Callable[[], int] = lambda: 0
    # When certificates end, in seconds since 1970, by the option that names their file; asked for likewise.
    certificate_ends: Callable[[], Mapping[str, float]] = dict
    # A session with fewer holds needs no check against limits. One comparison on the hot path.
    unchecked: int = UNLIMITED
    pages: str = ""  # the URL at which HTTP is spoken; none if it is nowhere
    # What was refused, by reason.
    refused: Counter[Reason] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.consider(0)

    def obey(
        self,
        config: Config,
        secrets: tuple[bytes, ...],
        secrets_of: Mapping[str, tuple[bytes, ...]] | None = None,
    ) -> None:
        """Put what the operator wants in force, for those who are connected too.

        Args:
            config: as `in_force` gives it.
            secrets: of the line language and of pages.
            secrets_of: those of other doors, as `read_all_secrets` gives them; None leaves them as they are.
        """
        self.config = config
        self.secrets = secrets
        if secrets_of is not None:
            self.secrets_of = secrets_of
        self.consider(0)

    def consider(self, held: int) -> None:
        """Decide how closely gets are checked; to be called every second, and when a limit changes.

        Args:
            held: holds of all sessions.
        """
        config = self.config
        self.unchecked = config.max_session_locks if held < config.max_locks - MARGIN else 0

    def may_hold_more(self, session: Session, state: State) -> bool:
        """Whether a session with what it waits for, and all sessions together, hold less than they may."""
        mine = len(session.holds) + len(session.waiters)
        return mine < self.unchecked or (
            mine < self.config.max_session_locks and state.held < self.config.max_locks
        )

    def line_is_full(self, state: State, table: Table, name: bytes) -> bool:
        """Whether nobody else may wait for `name` in `table`."""
        config = self.config
        return state.waiting >= config.max_waiters or len(table.waiters(name)) >= config.max_lock_waiters


def read_all_secrets(config: Config) -> dict[str, tuple[bytes, ...]]:
    """The secrets in each file of secrets, by the field that names the file.

    Raises:
        StartError: one of them cannot be read, or there is no secret in it.
    """
    names = [one.name for one in options() if one.metadata["secrets"]]
    return {name: read_secrets(getattr(config, name), flag(name)) for name in names}


def read_secrets(path: str, option: str = "auth-file") -> tuple[bytes, ...]:
    """The secrets in a file, one a line, as clients send them: in UTF-8; none if there is no file.

    An editor's mark at the beginning (BOM) is no part of a secret. A file without one is taken as it is.

    Raises:
        StartError: it cannot be read, or there is no secret in it.
    """
    if not path:
        return ()
    try:
        content = _in_utf8(Path(path).read_bytes())
    except OSError as error:
        raise StartError(f"-{option}: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"-{option}: {path}: it begins as UTF-16 and goes on otherwise") from error
    secrets = tuple(secret for secret in map(normalise, content.splitlines()) if secret)
    if not secrets:
        raise StartError(f"-{option}: {path}: there is no secret in it")
    return secrets


def _in_utf8(content: bytes) -> bytes:
    """A text without its byte order mark, by which editors and shells of Windows tell its encoding."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16").encode()
    return content.removeprefix(codecs.BOM_UTF8)
