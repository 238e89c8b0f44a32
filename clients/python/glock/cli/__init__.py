"""The console command `glock`.

`run` starts commands under a lock, `app` is the table of all commands and options.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Console entry point."""
    try:
        from glock.cli.app import glock
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"click", "rich"}:
            raise
        sys.exit(f"glock: {missing} is not installed: pip install 'glockd-client[cli]'")
    glock(prog_name="glock")
