"""The console command `glock`.

`app` is the table of all commands and options, which lie in `locking`, `items`, `questions` and `completion`; `run`
starts commands under a lock, `working` those that work on items; `words` tells people of locks, `output` prints.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> None:
    """Console entry point."""
    try:
        from glock.cli.app import glock

        if "_GLOCK_COMPLETE" in os.environ:
            from glock.cli import complete

            complete.register()
    except ModuleNotFoundError as error:
        missing(error)
    from glock.cli.output import be_printable

    be_printable()
    try:
        glock(prog_name="glock")
    except ModuleNotFoundError as error:
        missing(error)


def missing(error: ModuleNotFoundError) -> NoReturn:
    """End with what to install, if that is what is wrong.

    Raises:
        SystemExit: it is. ModuleNotFoundError: it is not.
    """
    package = (error.name or "").partition(".")[0]
    if package not in {"click", "rich"}:
        raise error
    sys.exit(f"glock: {package} is not installed: pip install 'glockd-client[cli]'")
