"""Deals cases out to daemons and threads, and tells how each went."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import CannotTest
from ..server import GLOCKD
from . import certificates
from .daemon import Daemon
from .files import Case, CaseFile
from .language import Language, Stage
from .outcome import Failed, Result, Skipped
from .values import Json

Profile = Mapping[str, Json]


@dataclass(frozen=True)
class House:
    """Starts daemons for profiles.

    Attributes:
        folder: for their files.
        command: the program to start, and what comes before its options.
    """

    language: Language
    folder: Path
    command: Sequence[str] = GLOCKD

    @contextlib.contextmanager
    def stage(self, profile: Profile, *, port: int = 0) -> Iterator[Stage]:
        """A daemon with the options of `profile`, and ended afterwards.

        Args:
            port: for its first listener; 0: any.

        Raises:
            CannotTest: it cannot be started like that; the text says why.
            OSError: the port is taken.
        """
        if self.language.needs_certificates(profile) and not (self.folder / "ca.pem").exists():
            certificates.make(self.folder)
        options = self.language.options(profile, self.folder, secrets.token_hex(4))
        listeners = self.language.listeners
        with Daemon(options, listeners, self.folder, command=self.command, port=port) as daemon:
            addresses = {listener: daemon.address(listener) for listener in listeners}
            yield Stage(profile, self.folder, addresses, daemon)


@contextlib.contextmanager
def house(language: Language, command: Sequence[str] = GLOCKD) -> Iterator[House]:
    """A `House` with a folder of its own, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="glockd-cases-") as name:
        yield House(language, Path(name), command)


def play(
    place: House, files: Sequence[CaseFile], wanted: Callable[[Case], bool], jobs: int
) -> Iterator[Result]:
    """Play the wanted cases of these files, profile after profile, and tell how each went as soon as it is known.

    Those that leave their daemon alone share one. A daemon that cannot be started fails its cases.

    Args:
        jobs: how many cases are played at the same time, 1 up.
    """
    with ThreadPoolExecutor(jobs) as pool:
        for file in files:
            chosen = [case for case in file.cases if wanted(case)]
            for name, profile in file.profiles.items():
                cases = [case for case in chosen if case.profile == name]
                yield from _together(place, profile, [case for case in cases if not case.alone], pool)
                alone = [case for case in cases if case.alone]
                yield from pool.map(lambda case, profile=profile: _alone(place, profile, case), alone)


def _together(
    place: House, profile: Profile, cases: list[Case], pool: ThreadPoolExecutor
) -> Iterator[Result]:
    if not cases:
        return
    try:
        with place.stage(profile) as stage:
            yield from pool.map(lambda case: attempt(place.language, stage, case), cases)
    except (CannotTest, OSError) as problem:
        for case in cases:
            yield Result(case.name, "failed", str(problem))


def _alone(place: House, profile: Profile, case: Case) -> Result:
    try:
        with place.stage(profile) as stage:
            return attempt(place.language, stage, case)
    except (CannotTest, OSError) as problem:
        return Result(case.name, "failed", str(problem))


def attempt(language: Language, stage: Stage, case: Case) -> Result:
    """Play a case, and tell how it went."""
    try:
        language.play(case, stage)
    except Skipped as why:
        return Result(case.name, "skipped", str(why))
    except Failed as why:
        return Result(case.name, "failed", str(why))
    except Exception as problem:  # a fault of the player must not end the others' play, and is no success
        return Result(case.name, "failed", f"{type(problem).__name__}: {problem}")
    return Result(case.name, "passed")
