"""What stands in a document to be typed, run or saved, in its order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes:
        language: what follows the fence: `sh`, `console`, `text`, `python` ….
        label: the word behind it, which readers do not see: a file's name if it has a dot in it, else a terminal.
        text: its lines.
        place: document and line, for whoever has to mend it.
    """

    language: str
    label: str
    text: str
    place: str

    @property
    def file(self) -> str:
        return self.label if "." in self.label else ""


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of `document`."""
    text = document.read_text("utf-8")
    return [
        Block(
            found[1], found[2] or "", found[3], f"{document.name}:{text.count(chr(10), 0, found.start()) + 1}"
        )
        for found in FENCE.finditer(text)
    ]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a `console` block, each with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


# What is another one each time: tokens, ports of clients, times of day and how long ago they were.
VARYING = (
    (re.compile(r"\b\d{10,}\b"), "TOKEN"),
    (re.compile(r"\b(127\.0\.0\.1|\[::1\]):\d{4,5}\b"), "CLIENT"),
    (re.compile(r"\b\d\d:\d\d:\d\d \([\d.]+ m?s\)"), "TIME"),
)


def alike(lines: list[str]) -> list[str]:
    """`lines` with one word for whatever varies from run to run."""
    changed = [line.rstrip("\r") for line in lines]
    for pattern, word in VARYING:
        changed = [pattern.sub(word, line) for line in changed]
    return changed
