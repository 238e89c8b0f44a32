"""What a language offers whose cases can be played, and the table of them.

To add one: a folder here with its case files and a `language.py` whose `LANGUAGE` is a `Language`, a line in
LANGUAGES, and the folder's package and files in setup.cfg.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from .daemon import Daemon
from .files import Case
from .outcome import Skipped
from .values import Json

LANGUAGES = ("dispatch", "ldlm", "windows")


@dataclass(frozen=True)
class Stage:
    """Where a case is played.

    Attributes:
        profile: the options that the server runs with, by the names that the original gives them.
        folder: has the certificates, see `certificates.make`.
        addresses: where the server listens, by the daemon's options for it.
        daemon: the server, if it is ours to end and start.
    """

    profile: Mapping[str, Json]
    folder: Path
    addresses: Mapping[str, tuple[str, int]]
    daemon: Daemon | None = None

    def address(self, listener: str) -> tuple[str, int]:
        """Host and port of a listener. Raises Skipped if there is none."""
        if listener not in self.addresses:
            raise Skipped(f"no address for {listener.lstrip('-')}")
        return self.addresses[listener]


class Language(Protocol):
    """A language of another lock server that the daemon speaks."""

    listeners: Sequence[str]
    """The daemon's options that name an address each; the first is the one that `--serve PORT` sets."""

    def files(self) -> list[Path]:
        """The case files that come along."""

    def needs_certificates(self, profile: Mapping[str, Json]) -> bool:
        """Whether the daemon or its clients show certificates."""

    def options(self, profile: Mapping[str, Json], folder: Path, mark: str) -> list[str]:
        """The daemon's options for a profile; may write files.

        Args:
            folder: for this run's files; has the certificates, if they are needed.
            mark: what makes the daemon's own files differ from those of other daemons.

        Raises:
            CannotTest: the daemon has no such option, or not this value.
        """

    def is_usual(self, profile: Mapping[str, Json]) -> bool:
        """Whether a server that runs already can be supposed to have this profile."""

    def places(self, stage: Stage) -> dict[str, str]:
        """What a client has to know: those that apply of url address auth_url locket secret ca cert key."""

    def look(self, listener: str, address: tuple[str, int], seconds: float) -> None:
        """See that what listens there speaks this language.

        Args:
            listener: one of `listeners`.
            seconds: until silence counts as an answer.

        Raises:
            CannotTest: it does not; the text says what it does.
            OSError: nobody listens.
        """

    def play(self, case: Case, stage: Stage) -> None:
        """Play a case.

        Raises:
            Failed: a step did not go as written.
            Skipped: it cannot be played here.
        """


def load(name: str) -> Language:
    """The language of that name, one of LANGUAGES."""
    return cast(Language, import_module(f".{name}.language", __package__).LANGUAGE)
