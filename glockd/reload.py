"""What a running daemon can take over from a changed configuration, and what wants a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from glockd.config import Config, flag, options


class Changes(NamedTuple):
    """What a reload comes to."""

    config: Config  # in force from now on
    taken: list[str]  # options with a new value that is in force now
    left: list[str]  # options with a new value that a restart will bring


def changes(running: Config, wanted: Config) -> Changes:
    """What to do to come from one configuration to another without a restart."""
    differing = [one for one in options() if getattr(running, one.name) != getattr(wanted, one.name)]
    # Everything else is bound to what was set up at the start: sockets, files, the shape of the state.
    taken = {one.name: getattr(wanted, one.name) for one in differing if one.metadata["reloads"]}
    return Changes(
        replace(running, **taken),
        [flag(name) for name in taken],
        [flag(one.name) for one in differing if one.name not in taken],
    )
