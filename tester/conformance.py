"""Does a server speak the language? Which transcripts apply to it, and how each of them went."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .replay import Doors, Failed, Features, Replay
from .transcript import Transcript, read_transcript

HERE = Path(__file__).resolve().parent
CONVERSATIONS = HERE / "conversations"  # scripted: the new verbs, and what a recording cannot show
RECORDINGS = HERE / "transcripts"  # of the original


@dataclass(frozen=True)
class Result:
    """How one transcript went; `reason` says why it failed or was left out."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    reason: str = ""
    seconds: float = 0.0


def collect(paths: Iterable[Path] = ()) -> list[Transcript]:
    """The transcripts in files and folders; without any, all that the tester knows.

    Raises:
        OSError, transcript.Malformed
    """
    chosen = list(paths) or [RECORDINGS, CONVERSATIONS]
    files = [file for path in chosen for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    return [read_transcript(file) for file in files]


def left_out(transcript: Transcript, doors: Doors, features: Features, *, deviations: bool) -> str:
    """Why `transcript` says nothing about this server; empty if it applies."""
    if transcript.flags != features.flags:
        return "made for other flags"
    if missing := sorted(name for name in transcript.transports if not doors.offers(name)):
        return f"no address for {', '.join(missing)}"
    if transcript.deviation and not deviations:
        return "what a clone need not copy"
    if missing := sorted(set(transcript.needs) - features.names):
        return f"the server has no {', '.join(missing)}"
    return ""


def conform(
    doors: Doors, features: Features, transcripts: Iterable[Transcript], *, deviations: bool = False
) -> Iterator[Result]:
    """Play each transcript that applies to the server, one after the other.

    Args:
        deviations: play also the recordings of what a clone should not copy.
    """
    for transcript in transcripts:
        if reason := left_out(transcript, doors, features, deviations=deviations):
            yield Result(transcript.name, "skipped", reason)
            continue
        start = time.monotonic()
        try:
            Replay(doors, transcript).run()
        except Failed as problem:
            yield Result(transcript.name, "failed", str(problem), time.monotonic() - start)
        else:
            yield Result(transcript.name, "passed", "", time.monotonic() - start)
