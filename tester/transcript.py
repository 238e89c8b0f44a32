"""The format of a recorded or scripted conversation: a JSON file becomes a `Transcript` of `Step`s.

The recordings of the original and this format are described in tester/transcripts/README.md. What the
scripted conversations of this package add to it (`needs`, `match`, `json`, `grows`, `closed`) is described
in docs/tester.md. Strings stand for bytes: each character U+0000 to U+00FF is the byte of that value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import CannotTest

DEFAULT_FLAGS = {"registry": True, "dump": True}
TRANSPORTS = ("tcp", "tcp6", "unix", "ws")


class Malformed(CannotTest):
    """A file is no transcript; the text says which and why."""


@dataclass(frozen=True)
class Step:
    """One thing that one client does or sees. The fields are the keys of the file."""

    client: str = ""
    transport: str | None = None
    connect: bool = False
    send: str | None = None
    binary: bool = False
    expect: str | None = None
    unordered: bool = False
    stats: Mapping[str, int] | None = None
    match: str | None = None
    json: Any = None
    grows: tuple[str, str] | None = None
    closed: bool = False
    shutdown: bool = False
    close: bool | str = False
    sleep: float = 0.0

    def brief(self) -> str:
        """What the step is, in a few words, for a report."""
        text = repr(self.send) if self.send is not None else " ".join(self.actions())
        return text if len(text) <= 60 else text[:57] + "..."

    def actions(self) -> list[str]:
        """The names of the keys that say what is done."""
        names = (
            "connect",
            "expect",
            "stats",
            "match",
            "json",
            "grows",
            "closed",
            "shutdown",
            "close",
            "sleep",
        )
        return [name for name in names if getattr(self, name) not in (None, False, 0.0)]


@dataclass(frozen=True)
class Transcript:
    """One conversation.

    Attributes:
        flags: the server flags that it was made for, complete.
        deviation: why a clone should not behave like this; None for what every server should do.
        needs: features that a server must have (`replay.Features`); none for the original's own words.
    """

    name: str
    what: str
    steps: tuple[Step, ...]
    flags: Mapping[str, bool] = field(default_factory=lambda: dict(DEFAULT_FLAGS))
    deviation: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def transports(self) -> set[str]:
        return {step.transport for step in self.steps if step.transport}


STEP_KEYS = {one.name for one in fields(Step)}
TOP_KEYS = {one.name for one in fields(Transcript)}


def read_transcript(path: Path) -> Transcript:
    """The transcript in the file at `path`.

    Raises:
        OSError: it cannot be read.
        Malformed: it holds something else.
    """
    try:
        raw = json.loads(path.read_text("ascii"))
    except ValueError as problem:
        raise Malformed(f"{path}: {problem}") from problem
    if not isinstance(raw, dict) or not isinstance(raw.get("steps"), list) or not raw["steps"]:
        raise Malformed(f"{path}: a transcript is an object with a list of steps")
    if unknown := raw.keys() - TOP_KEYS:
        raise Malformed(f"{path}: unknown keys {', '.join(sorted(unknown))}")
    steps = tuple(_step(f"{path}, step {number}", step) for number, step in enumerate(raw["steps"], 1))
    _check_order(path, steps)
    return Transcript(
        name=str(raw.get("name", path.stem)),
        what=str(raw.get("what", "")),
        steps=steps,
        flags=DEFAULT_FLAGS | raw.get("flags", {}),
        deviation=raw.get("deviation"),
        needs=tuple(raw.get("needs", ())),
    )


def _step(where: str, raw: Any) -> Step:
    if not isinstance(raw, dict):
        raise Malformed(f"{where}: a step is an object")
    if unknown := raw.keys() - STEP_KEYS:
        raise Malformed(f"{where}: unknown keys {', '.join(sorted(unknown))}")
    if "grows" in raw:
        raw = raw | {"grows": tuple(raw["grows"])}
    step = Step(**raw)
    if not step.client and not step.sleep and not step.grows:
        raise Malformed(f"{where}: it belongs to no client")
    if step.transport not in (None, *TRANSPORTS):
        raise Malformed(f"{where}: unknown transport {step.transport}")
    return step


def _check_order(path: Path, steps: tuple[Step, ...]) -> None:
    known: set[str] = set()
    for number, step in enumerate(steps, 1):
        if step.transport:
            known.add(step.client)
        elif step.client and step.client not in known:
            raise Malformed(f"{path}, step {number}: the first step of {step.client} names no transport")
