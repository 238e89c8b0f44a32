"""How long something may take, on a machine that may have other work.

`make figures` judges by the times that are promised; everywhere else a test that needs a bound to be able to fail gets
one that only a fault can break.
"""

from __future__ import annotations

import os

FIGURES = os.environ.get("GLOCKD_FIGURES") == "1"
SLACK = 10.0


def at_most(seconds: float) -> float:
    """The bound to judge by, in seconds, for what is promised within `seconds`."""
    return seconds if FIGURES else seconds * SLACK
