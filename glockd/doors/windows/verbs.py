"""Windows in the line language: `book sbook bookings unbook` (the specification, section 15)."""

from __future__ import annotations

import heapq
import json
import math
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from glockd.core.names import text
from glockd.doors.windows import times
from glockd.doors.windows.calendar import EXCLUSIVE, SHARED
from glockd.doors.windows.plan import Plan
from glockd.doors.windows.refusal import Refusal
from glockd.doors.windows.states import PENDING
from glockd.doors.windows.task import Run, Task

if TYPE_CHECKING:
    from glockd.core.sessions import Session
    from glockd.doors.windows.desk import Desk
    from glockd.service import Handler, Talk

# A start that has passed by so much is still good, in seconds.
GRACE: Final = 1

# Runs of a listing before others get their turn: some 2 ms.
RUNS_A_TURN: Final = 100
LOOKED_AT_A_TURN: Final = 2000

_SECONDS: Final = re.compile(rb"(?:[0-9]{1,12}(?:\.[0-9]*)?|\.[0-9]+)\Z")
_MOMENT: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")

_TESTS: Final = {EXCLUSIVE: "window", SHARED: "window-shared"}


class Verbs:
    """The verbs, as the line language is given them.

    Args:
        desk: where they become calls.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.verbs: Mapping[bytes, Handler] = {
            b"book": lambda talk, words, now: self._book(talk, words, EXCLUSIVE),
            b"sbook": lambda talk, words, now: self._book(talk, words, SHARED),
            b"bookings": self.list,
            b"unbook": self.unbook,
        }

    def _book(self, talk: Talk, words: bytes, mode: str) -> bytes | None:
        """`book START LENGTH SLIP NAME`, `sbook START LENGTH SLIP NAME`: have NAME for a stretch of time."""
        word, length_word, slip_word, name = (*words.split(b" ", 3), b"", b"", b"", b"")[:4]
        desk, wall = self._desk, self._desk.wall()
        start, length, slip = _start(word, wall), _seconds(length_word), _seconds(slip_word)
        if start is None or start < wall - GRACE:
            return b"0 Bad Argument: START\n"
        if not length:
            return b"0 Bad Argument: LENGTH\n"
        if slip is None:
            return b"0 Bad Argument: SLIP\n"
        if not name:
            return b"0 Bad Argument: NAME\n"
        try:
            desk.demand()
        except Refusal:
            return b"0 Not Recorded: " + name + b"\n"
        task = self._task(talk.session, mode, max(start, math.floor(wall)), length, slip, name)
        try:
            run = desk.book_window(task)
        except Refusal:
            desk.service.policy.refused["windows"] += 1
            run = None
        if run is None:
            return b"0 Not Booked: " + name + b"\n"
        desk.tell(run, talk.session)
        return talk.behind_records(_booked(run))

    def _task(self, session: Session, mode: str, start: int, length: int, slip: int, name: bytes) -> Task:
        duration = times.write_duration(length)
        return Task(
            uuid=str(uuid4()),
            number=next(self._desk.book.task_numbers),
            test=_TESTS[mode],
            tool="hold",
            resource=name,
            mode=mode,
            length=length,
            lasts=float(length),
            plan=Plan(start=start, slip=slip),
            added=self._desk.wall(),
            requester=_host(session),
            by=session.label,
            spec={"schema": 1, "duration": duration, "resource": name.decode("utf-8", "surrogateescape")},
        )

    def list(self, talk: Talk, words: bytes, now: float) -> bytes | None:
        """`bookings [NAME]`: windows that are on or to come."""
        if not talk.policy.config.dump:
            return b"0 disabled\n"
        return talk.recite(_told(list(self._desk.book.runs.values()), words))

    def unbook(self, talk: Talk, words: bytes, now: float) -> bytes | None:
        """`unbook ID`: give a window back, or end it."""
        run = self._desk.book.find(int(words)) if words.isdigit() and len(words) < 19 else None
        if run is None or run.is_over or not self._may(talk.session, run):
            return b"0 Unbook Failure: " + words + b"\n"
        try:
            self._desk.demand()
        except Refusal:
            return b"0 Not Recorded: " + words + b"\n"
        if run.is_on:
            self._desk.give_back(run)
        else:
            self._desk.remove(run)
        return talk.behind_records(b"1 Unbooked: " + words + b"\n")

    def _may(self, session: Session, run: Run) -> bool:
        """Whether a client may give a window back: whoever comes from where it was booked, or by the Unix socket."""
        return session.transport == "unix" or _host(session) == run.task.requester


def _told(runs: list[Run], name: bytes) -> Iterator[bytes]:
    """A listing of the windows that are on or to come, by start, piece by piece.

    Args:
        runs: all runs.
        name: whose windows; empty: of all names.
    """
    chosen: list[list[Run]] = []
    for begin in range(0, len(runs), LOOKED_AT_A_TURN):
        if begin:
            yield b""
        some = (run for run in runs[begin : begin + LOOKED_AT_A_TURN] if run.is_on or run.state == PENDING)
        wanted = (run for run in some if not run.task.is_background and name in (b"", run.task.resource))
        chosen.append(sorted(wanted, key=_by_start))
    between = b"%d [" % sum(map(len, chosen))
    remaining = heapq.merge(*chosen, key=_by_start)
    while some_of_them := list(islice(remaining, RUNS_A_TURN)):
        yield between + b",".join([_json(_described(run)) for run in some_of_them])
        between = b","
    yield (b"" if between == b"," else between) + b"]\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _by_start(run: Run) -> tuple[int, int]:
    return run.start, run.number


def _described(run: Run) -> dict[str, Any]:
    task = run.task
    return {
        "id": run.number,
        "name": text(task.resource),
        "mode": task.mode,
        "start": times.write_short(run.start),
        "end": times.write_short(run.end),
        "state": run.state,
        "by": text(task.by),
        "task": None if task.posted is None else task.uuid,
    }


def _booked(run: Run) -> bytes:
    shared = b"Shared " if run.task.mode == SHARED else b""
    span = f"{times.write_short(run.start)} {times.write_short(run.end)}".encode()
    return b"%d %bBooked %b: %b\n" % (run.number, shared, span, run.task.resource)


def _start(word: bytes, wall: float) -> int | None:
    """When a window is to begin, in whole seconds since 1970; None if the word does not say."""
    if word == b"now":
        return math.floor(wall)
    if word.startswith(b"+"):
        seconds = _seconds(word[1:])
        return None if seconds is None else math.ceil(wall) + seconds
    if not _MOMENT.match(word):
        return None
    try:
        return times.moment(word.decode())
    except ValueError:
        return None


def _seconds(word: bytes) -> int | None:
    """Seconds, rounded up to whole ones; None if the word is none."""
    return math.ceil(float(word)) if _SECONDS.match(word) else None


def _host(session: Session) -> str:
    """The address of a client, without its port."""
    address = session.address.decode("ascii", "backslashreplace")
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")
