"""The console command `glock`. `run` starts commands under a lock, `app` is the table of all commands and options."""

from __future__ import annotations

import sys


def main() -> None:
    """Console entry point."""
    try:
        from glock.cli.app import glock
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.exit(f"glock: {error.name} is not installed: pip install 'glockd-client[cli]'")
    glock(prog_name="glock")
