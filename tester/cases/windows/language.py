"""pScheduler's language, as `language.Language` wants it."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import CannotTest
from ..files import Case
from ..language import Stage
from ..values import Json
from .conversation import ROOT, connect, play

WINDOWS = "-windows"
GREETING = b"pScheduler API server"


class Windows:
    """See `language.Language`. The daemon speaks https, as pScheduler's clients do."""

    listeners: Sequence[str] = (WINDOWS,)

    def files(self) -> list[Path]:
        return sorted(Path(__file__).parent.glob("*.json"))

    def needs_certificates(self, profile: Mapping[str, Json]) -> bool:
        return True

    def options(self, profile: Mapping[str, Json], folder: Path, mark: str) -> list[str]:
        certificate, key = folder / "server.pem", folder / "server.key"
        return [
            *("-tls-cert", str(certificate), "-tls-key", str(key), "-tls-for", "windows"),
            *("-records", str(folder / f"records-{mark}")),
        ]

    def is_usual(self, profile: Mapping[str, Json]) -> bool:
        return True

    def places(self, stage: Stage) -> dict[str, str]:
        base = "https://{}:{}".format(*stage.addresses[WINDOWS])
        return {"url": base, "address": base.removeprefix("https://"), "ca": str(stage.folder / "ca.pem")}

    def look(self, listener: str, address: tuple[str, int], seconds: float) -> None:
        _scheme(address, seconds)

    def play(self, case: Case, stage: Stage) -> None:
        address = stage.address(WINDOWS)
        play(case, "https" if stage.daemon is not None else _scheme(address, 10), address)


def _scheme(address: tuple[str, int], seconds: float) -> str:
    """How the server is spoken to: https or http.

    Raises:
        CannotTest: it speaks another language.
        OSError: nobody listens.
    """
    for scheme in ("https", "http"):
        connection = connect(scheme, address, seconds)
        with (
            contextlib.closing(connection),
            contextlib.suppress(ssl.SSLError, http.client.HTTPException, TimeoutError),
        ):
            connection.request("GET", f"{ROOT}/")
            if GREETING in connection.getresponse().read():
                return scheme
    raise CannotTest("what listens there does not speak pScheduler's API")


LANGUAGE = Windows()
