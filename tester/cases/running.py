"""Plays cases to a server that runs already: those that need no options and do not end it.

To have another door tried: a row in FACES for each of its listeners, in the order of its language's `listeners`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..conformance import Result
from ..errors import CannotTest
from . import files
from .files import Case
from .language import Language, Stage
from .playing import Profile, attempt

JOBS = 8  # cases at a time; most of them wait


@dataclass(frozen=True)
class Face:
    """A listener of a language.

    Attributes:
        language: one of `language.LANGUAGES`.
        listener: the daemon's option for its address.
        title: what is spoken there, for a person.
    """

    language: str
    listener: str
    title: str

    @property
    def option(self) -> str:
        """The tester's option for the same."""
        return f"-{self.listener}"

    @property
    def argument(self) -> str:
        """The name under which a command is given that option."""
        return self.listener.lstrip("-").replace("-", "_")


FACES = (
    Face("ldlm", "-ldlm", "LDLM's gRPC"),
    Face("ldlm", "-ldlm-rest", "LDLM's REST"),
    Face("dispatch", "-dispatch", "Data Dispatcher's HTTP API"),
    Face("windows", "-windows", "pScheduler's REST API"),
)


@dataclass(frozen=True)
class Running:
    """A server that runs already, in one of its languages.

    Attributes:
        addresses: where it listens, by the daemon's options for it; at least one.
    """

    language: Language
    addresses: Mapping[str, tuple[str, int]]

    def look(self, seconds: float) -> None:
        """See that it is there, and speaks the language.

        Args:
            seconds: to wait for a sign of it, at each address.

        Raises:
            CannotTest: it is not; the text names the address.
        """
        for listener, address in self.addresses.items():
            try:
                self.language.look(listener, address, seconds)
            except (CannotTest, OSError) as problem:
                why = problem.strerror or problem if isinstance(problem, OSError) else problem
                raise CannotTest(f"{listener.lstrip('-')} {address[0]}:{address[1]}: {why}") from problem

    def cases(self) -> list[tuple[Case, Profile]]:
        """The cases that come along, and the options for which each is made."""
        read = [files.read(path) for path in self.language.files()]
        return [(case, file.profiles[case.profile]) for file in read for case in file.cases]

    def play(self) -> Iterator[Result]:
        """Play all that apply, some at a time, and tell in their order how each went."""
        with ThreadPoolExecutor(JOBS) as pool:
            yield from pool.map(lambda pair: self._play(*pair), self.cases())

    def _play(self, case: Case, profile: Profile) -> Result:
        if reason := left_out(case, is_usual=self.language.is_usual(profile)):
            return Result(case.name, "skipped", reason)
        begun = time.monotonic()
        # Files are what other options need: certificates, a password, records.
        result = attempt(self.language, Stage(profile, Path(), self.addresses), case)
        return Result(case.name, result.outcome, result.reason, time.monotonic() - begun)


def left_out(case: Case, *, is_usual: bool) -> str:
    """Why a case says nothing about a server that runs already, with its usual options; empty if it does."""
    if not is_usual:
        return f"made for other options: {case.profile}"
    return "ends the server, which is not ours" if case.alone else ""
