"""What an expression of search_projects says of a project: true, false or unknown (None).

Whoever asks is a stranger: regular expressions run in linear time (RE2), and each value that is looked at costs fuel.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import re2

from glockd.doors.dispatch.operands import OWN, BadQuery, Operand, Scalar, Subject, Truth, alike

LONGEST_PATTERN = 100
LONGEST_TEXT = 1000

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Claim(Protocol):
    """What an expression is made of."""

    def holds(self, subject: Subject) -> Truth:
        """Whether it is true of a project; None: unknown.

        Raises:
            BadQuery: it takes too long.
        """


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
            lambda value: compare(value, wanted) if alike(value, wanted) else None,
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
            return any(alike(value, one) and value == one for one in self.constants)

        return _any(self.operand, subject, found)


@dataclass(frozen=True, slots=True)
class IsBetween:
    """X in C:C, both ends included."""

    operand: Operand
    least: Scalar
    most: Scalar

    def holds(self, subject: Subject) -> Truth:
        def found(value: Any) -> bool:
            return alike(value, self.least) and alike(value, self.most) and self.least <= value <= self.most

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
            return any(alike(one, self.constant) and one == self.constant for one in found)
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
    return alike(whole, part) and whole == part


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
