"""What a chaos run saw: a file of records, one JSON object a line, in the order of their times.

Every record has `at`, monotonic seconds of the machine that ran the clients, and `event`:

| event | further keys | meaning | |---|---|---| | `run` | `seed`, `server`, `alone`, `grace`,
`transit`, … | the first record; `alone`: the server has no other clients | | `opening` | `session` | it is
about to connect | | `unopened` | `session` | that came to nothing | | `open` | `session`, `transport`,
`address`, `began` | it is connected and its `me` was answered; `began` before | | `send` | `session`, `op`,
`line` | a command
is about to be written | | `sent` | `session`, `op` | its last byte has been written | | `reply` |
`session`, `op`, `line` | its reply has been read | | `push` | `session`, `line` | a line came that no
command asked for | | `silent` | `session`, `op` | the client has given up waiting for this reply | |
`ending`, `ended` | `session`, `how` | before and after the client's call that ends the connection | |
`lost` | `session` | the server has ended the connection | | `killing`, `killed` | `worker` | before and
after all sessions called WORKER.x died with their process | | `fault` | `what` | anything else that was
done to the server or the clients, for the reader |

Text is Latin-1, so that each character is a byte. A `send` without a `reply` may or may not have been
carried out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import CannotTest

Record = dict[str, Any]


class NotAHistory(CannotTest):
    """A file is no history; the text says where and why."""


@dataclass
class Operation:
    """One command: begun at `start`, all sent at `sent`, answered at `end`; infinity is "never seen"."""

    session: Session
    number: int
    line: str
    start: float
    sent: float = math.inf
    end: float = math.inf
    reply: str | None = None

    def __str__(self) -> str:
        answer = f"{self.reply!r} at {self.end:.6f}" if self.reply is not None else "no reply"
        return f"{self.session.name} sent {self.line!r} at {self.start:.6f}: {answer}"


@dataclass
class Session:
    """One connection, from the client's side.

    Attributes:
        ending: not before this did it end. ended: when the client knew that it had ended.
    """

    name: str
    transport: str
    address: str
    began: float
    opened: float
    ending: float = math.inf
    ended: float = math.inf
    how: str = ""
    operations: list[Operation] = field(default_factory=list)
    pushes: list[tuple[float, str]] = field(default_factory=list)
    silent: list[Operation] = field(default_factory=list)


@dataclass
class Attempt:
    """To connect, without the client ever knowing that it was: begun at `began`, given up or killed at `ended`."""

    began: float
    ended: float = math.inf


@dataclass
class History:
    """All that is known of a run. An attempt of a session that was opened is its session's `began`."""

    about: Record
    sessions: dict[str, Session]
    attempts: dict[str, Attempt]
    last: float  # the time of the last record

    @property
    def operations(self) -> Iterator[Operation]:
        for session in self.sessions.values():
            yield from session.operations

    @property
    def grace(self) -> float:
        """Seconds within which the server must have noticed that a connection has ended."""
        return float(self.about.get("grace", 2.0))

    @property
    def transit(self) -> float:
        """Seconds that what is sent may be on its way, and be overtaken by what others send later."""
        return float(self.about.get("transit", 0.0))

    @property
    def alone(self) -> bool:
        return bool(self.about.get("alone", False))


def read_records(path: Path) -> list[Record]:
    """The records in a file. Raises OSError or NotAHistory."""
    records = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError as problem:
            raise NotAHistory(f"{path}, line {number}: {problem}") from problem
        if (
            not isinstance(record, dict)
            or "event" not in record
            or not isinstance(record.get("at"), int | float)
        ):
            raise NotAHistory(f"{path}, line {number}: a record has `at` and `event`")
        records.append(record)
    return records


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records so that `read_records` gives them back."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


def understand(records: Iterable[Record]) -> History:
    """Put the records together.

    Raises:
        NotAHistory: a record speaks of a session or operation that was never begun, or lacks a key.
    """
    history = History({}, {}, {}, 0.0)
    operations: dict[tuple[str, int], Operation] = {}
    for record in sorted(records, key=lambda record: float(record["at"])):
        history.last = max(history.last, float(record["at"]))
        try:
            _add(history, operations, record)
        except KeyError as problem:
            raise NotAHistory(f"{problem} is missing or unknown in {record}") from problem
    for session in history.sessions.values():
        if session.how == "lost":  # the server was alive for it when it carried out the last answered command
            session.ending = max((op.start for op in session.operations if op.reply is not None), default=0.0)
    return history


def _add(history: History, operations: dict[tuple[str, int], Operation], record: Record) -> None:
    event, at = record["event"], float(record["at"])
    sessions = history.sessions
    if event == "run":
        history.about = record
    elif event == "opening":
        history.attempts[record["session"]] = Attempt(at)
    elif event == "unopened":
        history.attempts[record["session"]].ended = at
    elif event == "open":
        history.attempts.pop(record["session"], None)
        began = float(record.get("began", at))
        sessions[record["session"]] = Session(
            record["session"], record.get("transport", "tcp"), record.get("address", ""), began, at
        )
    elif event in ("killing", "killed"):
        if event == "killed":
            _end_attempts(history, record["worker"], at)
        for name, session in sessions.items():
            if name.startswith(record["worker"] + ".") and session.ended == math.inf:
                session.how = session.how or "killed"
                if event == "killing":
                    session.ending = min(session.ending, at)
                else:
                    session.ended = at
    elif event != "fault":
        _add_to_session(sessions[record["session"]], operations, record, event, at)


def _end_attempts(history: History, worker: str, at: float) -> None:
    for name, attempt in history.attempts.items():
        if name.startswith(worker + "."):
            attempt.ended = min(attempt.ended, at)


def _add_to_session(
    session: Session, operations: dict[tuple[str, int], Operation], record: Record, event: str, at: float
) -> None:
    if event == "send":
        operation = Operation(session, int(record["op"]), record["line"], at)
        operations[session.name, operation.number] = operation
        session.operations.append(operation)
    elif event == "sent":
        operations[session.name, int(record["op"])].sent = at
    elif event == "reply":
        operation = operations[session.name, int(record["op"])]
        operation.end, operation.reply = at, record["line"]
        operation.sent = min(operation.sent, at)
    elif event == "push":
        session.pushes.append((at, record["line"]))
    elif event == "silent":
        session.silent.append(operations[session.name, int(record["op"])])
    elif event == "ending":
        session.ending, session.how = at, record.get("how", "closed")
    elif event == "ended":
        session.ended = at
    elif event == "lost":
        session.how = session.how or "lost"
        session.ended = min(session.ended, at)
    else:
        raise KeyError(event)
