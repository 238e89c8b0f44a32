"""The prose that can be checked: what it names exists, and what exists is named where a reader looks for it."""

from __future__ import annotations

import re

import glock
import pytest

import glockd
from glockd.config import flag, options
from glockd.core import history
from glockd.doors.line.wire import language
from glockd.doors.line.wire.language import VERBS
from tests.support.places import ROOT

PROTOCOL = (ROOT / "docs" / "protocol.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


def rows(text: str) -> list[str]:
    """The first cells of all tables, as they are written in code spans."""
    return [row.replace("\\|", "|") for row in re.findall(r"^\| `((?:[^`|]|\\\|)+)`", text, re.M)]


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.word.decode())
def test_every_verb_has_a_row_in_the_protocol_and_in_the_readme(verb: language.Verb) -> None:
    assert verb.syntax in rows(PROTOCOL)
    assert verb.syntax in rows(README)


def test_the_protocol_has_no_verb_that_the_daemon_does_not_understand() -> None:
    table = PROTOCOL[PROTOCOL.index("## The original verbs") : PROTOCOL.index("## Pushes")]
    assert set(rows(table)) == {verb.syntax for verb in VERBS.values()}


def test_every_reply_is_in_the_protocol() -> None:
    replies = [
        value.decode().strip()
        for name, value in vars(language).items()
        if name.isupper() and isinstance(value, bytes) and value.strip()
    ]
    assert len(replies) > 20
    assert [reply for reply in replies if reply not in PROTOCOL] == []


def replies_told(verb: language.Verb) -> set[str]:
    """The replies in the verb's rows of the protocol's tables, with X for each value."""
    table = PROTOCOL[PROTOCOL.index("## The original verbs") : PROTOCOL.index("## Pushes")]
    found = set()
    word = ""
    for row in re.findall(r"^\|.*\|$", table, re.M):
        cells = [cell.strip().replace("\0", "|") for cell in row.replace("\\|", "\0").split("|")[1:-1]]
        word = cells[0].strip("`").split(" ")[0] or word
        if word == verb.word.decode():
            found |= {anonymous(code.rstrip("␍␊")) for code in re.findall(r"`([^`]+)`", cells[-1])}
    return found - {"shared"}


def anonymous(reply: str) -> str:
    return re.sub(r"\b[A-Z]+\b", "X", reply.replace("PROXY", "proxy"))


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.word.decode())
def test_every_reply_of_a_verb_is_in_its_row_of_the_protocol_and_no_other(verb: language.Verb) -> None:
    assert replies_told(verb) == {anonymous(reply.decode()) for reply in verb.replies}


def test_every_event_of_the_history_is_in_the_protocol() -> None:
    kinds = [value for name, value in vars(history).items() if name.isupper() and isinstance(value, str)]
    assert len(kinds) == 10
    assert [kind for kind in kinds if f"`{kind}`" not in PROTOCOL] == []


@pytest.mark.parametrize("name", [flag(one.name) for one in options()])
def test_every_option_is_in_the_readme(name: str) -> None:
    assert f"`-{name}" in README


def test_the_newest_version_in_the_changelog_is_the_package_s() -> None:
    newest = re.search(r"^## \[(\d[^\]]*)\]", CHANGELOG, re.M)
    assert newest
    assert newest[1] == glockd.__version__


def test_the_python_client_is_released_with_the_daemon() -> None:
    assert glock.__version__ == glockd.__version__
