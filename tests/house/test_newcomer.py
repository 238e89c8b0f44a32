"""Somebody new types what README and tutorial say, from top to bottom, in a fresh clone with an empty home."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.blocks import Block
from tests.support.newcomer import Newcomer
from tests.support.process import Spawner
from tests.support.projects import PROJECTS

Need = Callable[..., str]

PROGRAMS = ("bash", "composer", "curl", "git", "go", "make", "node", "npm", "php", "telnet")


@pytest.fixture
def newcomer(tmp_path: Path, need: Need) -> Iterator[Newcomer]:
    for program in PROGRAMS:
        need(program)
    somebody = Newcomer(tmp_path)
    yield somebody
    somebody.close()


def test_readmes_and_tutorial_do_what_they_say(newcomer: Newcomer) -> None:
    assert newcomer.plays("README.md") > 10
    assert newcomer.plays("docs/tutorial.md") > 20
    assert {language: newcomer.learns(language) for language in PROJECTS} == dict.fromkeys(PROJECTS, 2) | {
        "python": 4
    }


# The player itself


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "true\nfalse\ntrue\n"),
        ("sh", "exit 3\n"),
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ echo one\none\ntwo\n"),
        ("console", "$ echo one; echo two\none\n"),
        ("text", "$ telnet localhost 9999\n> i job\n1 Lock Is Locked: job\n"),
        ("text", "$ telnet localhost 9999\n> i job\n0 Lock Not Locked: job\n1 more\n> ping\n1 pong\n"),
        ("crontab", "* * * * * echo loud\n"),
    ],
)
def test_what_does_not_do_what_it_says_is_found(
    newcomer: Newcomer, glockd: Spawner, language: str, text: str
) -> None:
    newcomer.ports[9999] = glockd().tcp[1]
    with pytest.raises(AssertionError):
        newcomer.play(Block(language, "here", text, "test:1"))
