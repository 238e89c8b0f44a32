"""What of a project an expression of search_projects can look at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, Protocol, TypeAlias

from glockd.doors.dispatch.project import Project

Scalar: TypeAlias = str | int | float | bool
Truth: TypeAlias = bool | None

# Values that may be looked at for one project.
FUEL = 10_000

OWN: Final = frozenset(
    {
        "owner",
        "state",
        "id",
        "query",
        "created_timestamp",
        "ended_timestamp",
        "worker_timeout",
        "idle_timeout",
    }
)
TIMES: Final = frozenset({"created_timestamp", "ended_timestamp"})
TIMEOUTS: Final = frozenset({"worker_timeout", "idle_timeout"})

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_PERIOD = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(second|minute|hour|day)s?\Z")


class BadQuery(ValueError):
    """An expression that means nothing, or too much; the text says what is wrong."""


class Subject:
    """A project that an expression is held against.

    Args:
        project: it.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.spent = 0

    def spend(self, values: int = 1) -> None:
        """Count values that are looked at.

        Raises:
            BadQuery: there are too many.
        """
        self.spent += values
        if self.spent > FUEL:
            raise BadQuery("it looks at too much")

    def own(self, name: str) -> object:
        """A field of the project's own; None if it is empty."""
        project = self._project
        match name:
            case "owner":
                return project.owner
            case "state":
                return project.state
            case "id":
                return project.number
            case "query":
                return project.query
            case "created_timestamp":
                return project.created
            case "ended_timestamp":
                return project.ended
            case "worker_timeout":
                return project.worker_timeout
        return project.idle_timeout

    def has(self, name: str) -> bool:
        """Whether there is such an attribute, or such a field that is not empty."""
        return self.own(name) is not None if name in OWN else name in self._project.attributes

    @property
    def attributes(self) -> Mapping[str, object]:
        """Its attributes."""
        return self._project.attributes

    def attribute(self, name: str) -> object:
        """An attribute that is there."""
        return self._project.attributes[name]


class Operand(Protocol):
    """Something that values of a project are taken from."""

    @property
    def every(self) -> bool:
        """Whether all values must do, and not just any."""

    def values(self, subject: Subject) -> tuple[Sequence[object], Truth]:
        """The values, any of which will do; and what holds if there is none."""

    def read(self, constant: Scalar) -> Scalar:
        """A constant as it is to be compared with those values.

        Raises:
            BadQuery: it cannot be.
        """


@dataclass(frozen=True, slots=True)
class Own:
    """A field of the project's own."""

    name: str
    every: ClassVar[bool] = False

    def values(self, subject: Subject) -> tuple[Sequence[object], Truth]:
        value = subject.own(self.name)
        return ((), False) if value is None else ((value,), None)

    def read(self, constant: Scalar) -> Scalar:
        if self.name in TIMES and isinstance(constant, str):
            return _seconds_since_1970(constant)
        if self.name in TIMEOUTS and isinstance(constant, str):
            return _period(constant)
        return constant


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute: of an array any element will do, or with `every` all must; what is no array is right then."""

    name: str
    every: bool = False

    def values(self, subject: Subject) -> tuple[Sequence[object], Truth]:
        if not subject.has(self.name):
            return (), False
        found = subject.attribute(self.name)
        if isinstance(found, list):
            return found, self.every
        return ((), True) if self.every else ((found,), None)

    def read(self, constant: Scalar) -> Scalar:
        return constant


@dataclass(frozen=True, slots=True)
class Part:
    """An element of an array by its index, or a member of an object by its name."""

    name: str
    key: int | str
    every: ClassVar[bool] = False

    def values(self, subject: Subject) -> tuple[Sequence[object], Truth]:
        found = subject.attribute(self.name) if subject.has(self.name) else None
        if isinstance(found, list) and isinstance(self.key, int) and 0 <= self.key < len(found):
            return (found[self.key],), None
        if isinstance(found, dict) and isinstance(self.key, str) and self.key in found:
            return (found[self.key],), None
        return (), False

    def read(self, constant: Scalar) -> Scalar:
        return constant


@dataclass(frozen=True, slots=True)
class Length:
    """How many elements an array has."""

    name: str
    every: ClassVar[bool] = False

    def values(self, subject: Subject) -> tuple[Sequence[object], Truth]:
        if not subject.has(self.name):
            return (), False
        found = subject.attribute(self.name)
        return ((len(found),), None) if isinstance(found, list) else ((), None)

    def read(self, constant: Scalar) -> Scalar:
        return constant


def alike(one: object, other: object) -> bool:
    """Whether two values are of the same JSON type: truths, numbers or texts."""
    return _kind(one) is _kind(other) and _kind(one) is not None


def _kind(value: object) -> type | None:
    if isinstance(value, bool):
        return bool
    if isinstance(value, int | float):
        return float
    return str if isinstance(value, str) else None


def _seconds_since_1970(given: str) -> float:
    try:
        found = datetime.fromisoformat(given)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadQuery(f"{given[:100]!r} is no date and time") from None


def _period(given: str) -> float:
    found = _PERIOD.match(given)
    if found is None:
        raise BadQuery(f"{given[:100]!r} is no time such as '5 seconds'")
    return float(found[1]) * _UNITS[found[2]]
