"""A conversation without a daemon: the test stands in for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from glockd_tester.cases import certificates
from glockd_tester.cases.daemon import Daemon
from glockd_tester.cases.language import Stage
from glockd_tester.cases.ldlm.conversation import Conversation

NOWHERE = ("127.0.0.1", 9)  # RFC 863: discard; nobody listens there


class NoDaemon:
    """Notes what is done to it. `code` is how it ends."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.code = 0

    def start(self) -> None:
        self.done.append("start")

    def kill(self) -> None:
        self.done.append("kill")

    def stop(self) -> int:
        self.done.append("stop")
        return self.code


Converse = Callable[..., Conversation]


@pytest.fixture
def no_daemon() -> NoDaemon:
    return NoDaemon()


@pytest.fixture
def converse(no_daemon: NoDaemon, tmp_path: Path) -> Iterator[Converse]:
    """Makes a conversation with servers at these addresses."""
    made: list[Conversation] = []

    def make(
        grpc: tuple[str, int] = NOWHERE,
        rest: tuple[str, int] = NOWHERE,
        profile: Mapping[str, Any] | None = None,
        folder: Path = tmp_path,
    ) -> Conversation:
        addresses = {"-ldlm": grpc, "-ldlm-rest": rest}
        made.append(Conversation(Stage(profile or {}, folder, addresses, cast(Daemon, no_daemon))))
        return made[-1]

    yield make
    for conversation in made:
        conversation.close()


@pytest.fixture(scope="session")
def certificates_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificates")
    certificates.make(folder)
    return folder
