"""From options to the limits that clients and connections obey."""

from __future__ import annotations

from glockd.config import Config
from glockd.net.gate import Limits
from glockd.policy import UNLIMITED, Policy

# Descriptors that are not for clients: listeners, the loop's own, files; and connections that are refused, but not
# closed yet.
RESERVE = 64


def set_bounds(config: Config, descriptors: int, policy: Policy, limits: Limits) -> None:
    """Put the limits in `config` in force, for those who are connected too.

    Args:
        descriptors: how many files and sockets the process may have open.
    """
    room = max(1, descriptors - RESERVE)
    policy.max_locks = config.max_locks or UNLIMITED
    policy.max_session_locks = config.max_session_locks or UNLIMITED
    policy.max_waiters = config.max_waiters or UNLIMITED
    policy.max_lock_waiters = config.max_lock_waiters or UNLIMITED
    policy.max_name = config.max_name
    policy.consider(0)
    limits.connections = min(config.max_connections or UNLIMITED, room)
    limits.address_connections = config.max_address_connections or UNLIMITED
    limits.message = config.max_message
    limits.output = config.max_output
    limits.slow_reader = config.slow_reader_seconds
    limits.handshake = config.handshake_seconds
    limits.first_command = config.first_command_seconds or UNLIMITED
    limits.idle = config.idle_seconds or UNLIMITED
    limits.dead_peer = config.dead_peer_seconds
    limits.ping = config.ws_ping
