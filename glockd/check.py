"""What can be told of a configuration without starting a daemon: `glockd -check`."""

from __future__ import annotations

import grp
import json
import os
import pwd
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from glockd.config import SOCKETS, Config, StartError, flag, options
from glockd.doors.dispatch.users import read_proximity, read_users
from glockd.net.tls import Tls, TlsError
from glockd.policy import read_all_secrets
from glockd.process.binding import addresses


class Findings(NamedTuple):
    """What was found out, each a line."""

    facts: list[str]
    warnings: list[str]
    errors: list[str]  # a daemon with these options would not start


def toml(value: Any) -> str:
    """An option's value as a TOML file has it."""
    return json.dumps(value, ensure_ascii=False)  # for true, false, numbers and texts the same


def in_force(config: Config, sources: Mapping[str, str]) -> Iterator[str]:
    """Every option as a line of a TOML file, with where its value comes from.

    No option's value is a secret; files of secrets are only named.

    Args:
        config: the options.
        sources: by field name, where each comes from.
    """
    lines = [
        (f"{flag(one.name)} = {toml(getattr(config, one.name))}", sources[one.name]) for one in options()
    ]
    width = max(len(line) for line, _ in lines)
    for line, source in lines:
        yield f"{line:<{width}}  # {source}"


def examine(config: Config) -> Findings:
    """Read all files that the options name, and see whether what they name is there."""
    found = Findings([], [], [])
    for look in (_secrets, _users, _certificates, _places, _hosts):
        try:
            look(config, found)
        except (StartError, TlsError) as error:
            found.errors.append(str(error))
    return found


def _secrets(config: Config, found: Findings) -> None:
    for name, secrets in read_all_secrets(config).items():
        if secrets:
            found.facts.append(f"-{flag(name)}: {getattr(config, name)}: {len(secrets)} secrets")


def _users(config: Config, found: Findings) -> None:
    """What Data Dispatcher's door reads besides its secrets."""
    users = read_users(config.dispatch_users_file, config.dispatch_password_file)
    if users.known is not None:
        found.facts.append(f"-dispatch-users-file: {config.dispatch_users_file}: {len(users.known)} users")
    if config.dispatch_proximity_file:
        rows = read_proximity(config.dispatch_proximity_file)
        found.facts.append(f"-dispatch-proximity-file: {config.dispatch_proximity_file}: {len(rows)} rows")


def _certificates(config: Config, found: Findings) -> None:
    if not config.tls_cert:
        return
    tls = Tls(config.tls_cert, config.tls_key, config.tls_client_ca)
    if tls.objection:
        found.warnings.append(f"-tls-cert: {config.tls_cert}: clients do not accept it: {tls.objection}")
    now = time.time()
    for one in tls.certificates:
        until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one.ends))
        found.facts.append(f"{one.option}: {one.path}: {one.subject}, serial {one.serial}, until {until}")
        trouble = one.trouble(now)
        if trouble:
            found.warnings.append(f"{one.option}: {one.path}: {one.subject} {trouble}: {until}")


def _places(config: Config, found: Findings) -> None:
    """What the daemon writes has a folder that it may write to; as it is for the user who asks."""
    for name, path in (("unix", config.unix), ("pidfile", config.pidfile), ("records", config.records)):
        if path:
            _expect_folder(name, path, Path(path).parent, found)
    if config.state_dir:
        folder = Path(config.state_dir)
        while not folder.exists():  # the daemon makes what is missing
            folder = folder.parent
        _expect_folder("state-dir", config.state_dir, folder, found)
    if config.unix and Path(config.unix).exists() and not Path(config.unix).is_socket():
        found.errors.append(f"-unix: {config.unix}: it exists and is no socket")
    if config.records and Path(config.records).exists() and not Path(config.records).is_file():
        found.errors.append(f"-records: {config.records}: it exists and is no regular file")
    looks = ("unix-owner", config.unix_owner, pwd.getpwnam), ("unix-group", config.unix_group, grp.getgrnam)
    for name, value, look in looks:
        try:
            if config.unix and value:
                look(value)
        except KeyError:
            found.errors.append(f"-{name}: {value}: not found on this machine")


def _expect_folder(name: str, path: str, folder: Path, found: Findings) -> None:
    if not folder.is_dir():
        found.errors.append(f"-{name}: {path}: there is no folder {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        found.errors.append(f"-{name}: {path}: {folder} cannot be written to by this user")


def _hosts(config: Config, found: Findings) -> None:
    somewhere = bool(config.unix)
    for kind in SOCKETS:
        where = config.addresses(kind)
        somewhere = somewhere or bool(where)
        if where:
            addresses([host for host, _ in where], where[0][1])
    if not somewhere:
        found.warnings.append("nothing to listen on, unless sockets are handed over")
