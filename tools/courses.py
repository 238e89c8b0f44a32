"""What all kinds of fuzzing have in common: what is counted, and junk to choose from."""

from __future__ import annotations

import gc
import random
import time
import traceback
from typing import Any

from glockd_tester.faults_clients import junk

HANG = 2.0  # seconds


class Course:
    """What is counted of one kind of fuzzing; `crashes` holds tracebacks by their last lines."""

    def __init__(self) -> None:
        self.inputs = self.hangs = self.sessions = self.commands = 0
        self.slowest = 0.0
        self.crashes: dict[str, str] = {}
        self.memory: list[int] = []  # objects that the collector knows, each time everybody has gone

    def feed(self, receive: Any, data: bytes) -> None:
        self.inputs += 1
        start = time.perf_counter()
        try:
            receive(data)
        except Exception as problem:
            where = traceback.extract_tb(problem.__traceback__)[-1]
            self.crashes.setdefault(f"{problem!r} at {where.filename}:{where.lineno}", data[:200].hex())
        took = time.perf_counter() - start
        self.slowest = max(self.slowest, took)
        self.hangs += took > HANG

    def all_are_gone(self) -> None:
        # The daemon runs without a cyclic collector, so none may help here either.
        self.memory.append(len(gc.get_objects()))

    def kept(self) -> int:
        """Objects that are there at the end and were not in the middle: the first rounds fill what is filled once."""
        return self.memory[-1] - self.memory[len(self.memory) // 2] if self.memory else 0

    def figures(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs,
            "sessions": self.sessions,
            "commands understood": self.commands,
            "crashes": self.crashes,
            "hangs": self.hangs,
            "slowest input, ms": round(self.slowest * 1e3, 2),
            "objects kept, from half of the run to its end": self.kept(),
        }


def pieces(dice: random.Random) -> list[bytes]:
    """Inputs to choose from, again and again in other orders: making them costs more than the parsers do."""
    return [junk(dice) for _ in range(20_000)]
