"""What an expression of search_projects says of a project: true, false or unknown (None).

Whoever asks is a stranger: regular expressions run in linear time (RE2), and each value that is looked at costs fuel.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import re2

from glockd.doors.dispatch.project import Project

Scalar: TypeAlias = str | int | float | bool
Truth: TypeAlias = bool | None

# Values that may be looked at for one project.
FUEL = 10_000

LONGEST_PATTERN = 100
LONGEST_TEXT = 1000

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

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

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


class Claim(Protocol):
    """What an expression is made of."""

    def holds(self, subject: Subject) -> Truth:
        """Whether it is true of a project; None: unknown.

        Raises:
            BadQuery: it takes too long.
        """


# What is compared


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


# Tests


@dataclass(frozen=True, slots=True)
class Compares:
    """X OP C."""

    operand: Operand
    sign: str
    constant: Scalar

    def holds(self, subject: Subject) -> Truth:
        compare, wanted = COMPARISONS[self.sign], self.constant
        return _any(
            self.operand,
            subject,
            lambda value: compare(value, wanted) if _alike(value, wanted) else None,
        )


@dataclass(frozen=True, slots=True)
class Matches:
    """X ~ C, and its like."""

    operand: Operand
    pattern: Any  # of RE2
    wanted: bool

    def holds(self, subject: Subject) -> Truth:
        def found(value: object) -> Truth:
            if not isinstance(value, str) or len(value) > LONGEST_TEXT:
                return None
            return (self.pattern.search(value) is not None) is self.wanted

        return _any(self.operand, subject, found)


@dataclass(frozen=True, slots=True)
class IsAmong:
    """X in (C, C …)."""

    operand: Operand
    constants: tuple[Scalar, ...]

    def holds(self, subject: Subject) -> Truth:
        def found(value: object) -> bool:
            subject.spend(len(self.constants))
            return any(_alike(value, one) and value == one for one in self.constants)

        return _any(self.operand, subject, found)


@dataclass(frozen=True, slots=True)
class IsBetween:
    """X in C:C, both ends included."""

    operand: Operand
    least: Scalar
    most: Scalar

    def holds(self, subject: Subject) -> Truth:
        def found(value: Any) -> bool:
            return _alike(value, self.least) and _alike(value, self.most) and self.least <= value <= self.most

        return _any(self.operand, subject, found)


@dataclass(frozen=True, slots=True)
class Contains:
    """C in N: an element of an array, or a text within a text."""

    constant: Scalar
    name: str

    def holds(self, subject: Subject) -> Truth:
        if not subject.has(self.name):
            return False
        found = subject.own(self.name) if self.name in OWN else subject.attribute(self.name)
        if isinstance(found, list):
            subject.spend(len(found))
            return any(_alike(one, self.constant) and one == self.constant for one in found)
        if isinstance(found, str) and isinstance(self.constant, str):
            subject.spend(1 + len(found) // LONGEST_TEXT)
            return self.constant in found
        return False


@dataclass(frozen=True, slots=True)
class IsPresent:
    """N present."""

    name: str

    def holds(self, subject: Subject) -> Truth:
        subject.spend()
        return subject.has(self.name)


@dataclass(frozen=True, slots=True)
class Not:
    """What is unknown stays so."""

    test: Claim

    def holds(self, subject: Subject) -> Truth:
        found = self.test.holds(subject)
        return None if found is None else not found


@dataclass(frozen=True, slots=True)
class All:
    """One and the other."""

    tests: tuple[Claim, ...]

    def holds(self, subject: Subject) -> Truth:
        return _joined((test.holds(subject) for test in self.tests), decisive=False)


@dataclass(frozen=True, slots=True)
class Some:
    """One or the other."""

    tests: tuple[Claim, ...]

    def holds(self, subject: Subject) -> Truth:
        return _joined((test.holds(subject) for test in self.tests), decisive=True)


def pattern(given: Scalar, *, ignores_case: bool) -> Any:
    """A regular expression, to be searched for.

    Raises:
        BadQuery: it is none, or too long, or takes too much memory.
    """
    if not isinstance(given, str):
        raise BadQuery("a regular expression is a text")
    if len(given) > LONGEST_PATTERN:
        raise BadQuery(f"a regular expression may have {LONGEST_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignores_case
    options.max_mem = 1 << 20
    try:
        return re2.compile(given, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        shown = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadQuery(f"the regular expression is not right: {shown}") from None


def contains(subject: Subject, whole: object, part: object) -> bool:
    """Whether a JSON value contains another, as PostgreSQL's `@>` has it.

    Raises:
        BadQuery: it takes too long.
    """
    subject.spend()
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and contains(subject, whole[name], value) for name, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(
            any(contains(subject, one, value) for one in whole) for value in part
        )
    if part is None or whole is None:
        return whole is part
    return _alike(whole, part) and whole == part


def _any(operand: Operand, subject: Subject, test: Callable[[object], Truth]) -> Truth:
    values, otherwise = operand.values(subject)
    subject.spend(1 + len(values))
    return _joined(map(test, values), decisive=not operand.every) if values else otherwise


def _joined(truths: Iterable[Truth], *, decisive: bool) -> Truth:
    unknown = False
    for truth in truths:
        if truth is decisive:
            return decisive
        unknown = unknown or truth is None
    return None if unknown else not decisive


def _alike(one: object, other: object) -> bool:
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
