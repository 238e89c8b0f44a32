"""Case files: JSON with sets of options a daemon is started with (`servers`) and conversations (`cases`).

Instead of sets of options a file may say what every daemon is to know (`fixtures`): its one set has just that. One
that says neither wants a daemon as it is. Where a case does not say of which kind it is, it says where it was `seen`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import CannotTest
from .outcome import Failed
from .values import Json

KINDS = ("wire", "quirk", "defect", "ours")


# Where a case was seen, and of which kind that makes it.
SEEN = {"ran": "wire", "src": "wire", "ours": "ours"}

DEFAULT = "default"  # the set of options where a file has one only


class NotCases(CannotTest):
    """A file has no cases in it; the text says which and why."""


@dataclass(frozen=True)
class Case:
    """One conversation.

    Attributes:
        kind: `wire`, a client can depend on it; `quirk`, an oddity of the original that we copy; `defect`, a
            fault of the original that we do not; `ours`, what the original does not have.
        profile: the name of the options that the daemon must have.
        alone: it ends and starts the daemon, so it gets one of its own.
        instead: for a defect, what is right.
        slot: what tells it from the others of its file; for those who share something, each its part of it.
    """

    name: str
    title: str
    kind: str
    profile: str
    alone: bool
    instead: str
    steps: list[Json]
    slot: int = 0


@dataclass(frozen=True)
class CaseFile:
    """The cases of a file, and the options of each profile by the names that the original gives them."""

    path: Path
    profiles: Mapping[str, Mapping[str, Json]]
    cases: list[Case]


def read(path: Path) -> CaseFile:
    """Read a case file.

    Raises:
        OSError: it cannot be read.
        NotCases: it is no JSON, a member is missing or of the wrong type, or a profile has no options.
    """
    try:
        data = json.loads(path.read_bytes())
        if "fixtures" in data:
            profiles = {DEFAULT: {"fixtures": dict(data["fixtures"])}}
            cases = [_case(entry["name"], entry.get("about", ""), DEFAULT, entry) for entry in data["cases"]]
        elif "servers" not in data:
            profiles = {DEFAULT: {}}
            cases = [
                _case(entry["id"], entry.get("title", ""), DEFAULT, {"slot": number} | entry)
                for number, entry in enumerate(data["cases"])
            ]
        else:
            profiles = {str(name): dict(options) for name, options in data["servers"].items()}
            cases = [
                _case(entry["id"], entry.get("title", ""), entry["server"], entry) for entry in data["cases"]
            ]
    except (ValueError, TypeError, AttributeError) as problem:
        raise NotCases(f"{path}: {problem}") from problem
    except KeyError as problem:
        raise NotCases(f"{path}: {problem.args[0]!r} is missing") from problem
    for case in cases:
        if case.profile not in profiles:
            raise NotCases(f"{path}: case {case.name}: 'servers' has no {case.profile!r}")
    return CaseFile(path, profiles, cases)


def _case(name: str, title: str, profile: str, entry: Mapping[str, Json]) -> Case:
    case = Case(
        name=name,
        title=title,
        kind=entry["kind"] if "kind" in entry else SEEN.get(entry["seen"], ""),
        profile=profile,
        alone=entry.get("own_server", False) or entry.get("alone", False),
        instead=entry.get("instead", ""),
        steps=entry["steps"],
        slot=int(entry.get("slot", 0)),
    )
    if case.kind not in KINDS:
        raise ValueError(f"case {case.name}: {case.kind!r} is none of {', '.join(KINDS)}")
    if not isinstance(case.steps, list) or not all(isinstance(step, dict) for step in case.steps):
        raise ValueError(f"case {case.name}: 'steps' is no list of objects")
    return case


def know(entry: Mapping[str, Json], keys: Iterable[str], what: str = "step") -> None:
    """See that an object has no other members than these: what is misspelt would never be looked at.

    Raises:
        Failed: it has; the text names them.
    """
    if strange := entry.keys() - set(keys):
        raise Failed(f"{what}: {', '.join(sorted(strange))} is not known")
