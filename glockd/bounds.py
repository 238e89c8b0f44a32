"""From what the operator wants to what is in force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from glockd.config import UNLIMITED, Config, options

# Descriptors that are not for clients: listeners, the loop's own, files; and connections that are refused, but not
# closed yet.
RESERVE = 64


def in_force(config: Config, descriptors: int) -> Config:
    """`config` with UNLIMITED wherever 0 stands for that, and no more connections than there is room for.

    Args:
        descriptors: how many files and sockets the process may have open.
    """
    limits: dict[str, Any] = {
        one.name: min(getattr(config, one.name) or UNLIMITED, UNLIMITED)
        for one in options()
        if one.metadata["endless"]
    }
    limits["max_connections"] = min(limits["max_connections"], max(1, descriptors - RESERVE))
    return replace(config, **limits)
