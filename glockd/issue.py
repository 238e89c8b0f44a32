"""Tokens by hand: `glockd -dispatch-token USER`, for users without a password and for scripts."""

from __future__ import annotations

import socket
import time

from glockd.config import Config, ConfigError, StartError
from glockd.doors.dispatch.auth import TOKEN_SECONDS, issue
from glockd.doors.dispatch.tokens import BadToken
from glockd.doors.dispatch.users import read_users
from glockd.policy import read_secrets

# Who listens on all addresses is reached under the machine's name.
EVERYWHERE = ("0.0.0.0", "::", "*")


def token_line(config: Config, user: str) -> str:
    """The line for a user's ~/.token_library: where the token is good, and the token, for 7 days.

    Raises:
        ConfigError: the options name no address or no secret for Data Dispatcher's clients.
        StartError: the user is not known, or a file that the options name cannot be used.
    """
    places = config.addresses("dispatch")
    if not places:
        raise ConfigError("-dispatch-token: -dispatch says where the token is to be good")
    secrets = read_secrets(config.dispatch_secret_file, "dispatch-secret-file")
    if not secrets:
        raise ConfigError("-dispatch-token: -dispatch-secret-file has what tokens are signed with")
    try:
        name = read_users(config.dispatch_users_file, config.dispatch_password_file).find(user).name
    except BadToken as error:
        raise StartError(f"-dispatch-token: {error}") from error
    host, port = places[0]
    host = socket.getfqdn() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    scheme = "https" if config.tls_cert and "dispatch" in config.tls_sockets else "http"
    now = time.time()
    return f"{scheme}://{host}:{port}/data {issue(name, now + TOKEN_SECONDS, secrets[0], now)}"
