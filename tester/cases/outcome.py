"""How a case went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class Failed(Exception):
    """A step did not go as written; the text says how."""


class Skipped(Exception):
    """The case cannot be played here; the text says why."""


@dataclass(frozen=True)
class Result:
    """How one case went; `reason` says why it failed or was left out."""

    case: str
    outcome: Literal["passed", "failed", "skipped"]
    reason: str = ""
