"""Links of the documents lead somewhere, and what they name exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import click
import pytest

from glockd.config import options
from glockd.doors.line.wire.language import VERBS
from glockd_tester import cli
from tests.clients.test_all import LANGUAGES, Language
from tests.support.languages import code_blocks
from tests.support.places import ROOT, tracked

DOCUMENTS = [path for path in tracked() if path.suffix == ".md"]
# History tells of what was, design notes of what was thought then.
PRESENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md" and "design" not in path.parts]


@cache
def text(document: Path) -> str:
    return (ROOT / document).read_text("utf-8")


def prose(document: Path) -> str:
    """Without code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "``", re.sub(r"^```.*?^```$", "", text(document), flags=re.M | re.S))


def links(document: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(document))


@cache
def anchors(document: Path) -> set[str]:
    """What a `#` may be followed by: headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text(document), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    lost = []
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / document.parent / name).resolve() if name else ROOT / document
        if not target.exists() or (anchor and anchor not in anchors(target.relative_to(ROOT))):
            lost.append(link)
    assert lost == []


def test_the_readme_leads_to_every_document() -> None:
    reached, new = set[Path](), {Path("README.md")}
    while new:
        document = new.pop()
        reached.add(document)
        for link in links(document):
            target = (ROOT / document.parent / link.partition("#")[0]).resolve()
            if target.is_dir():
                found = {path.relative_to(ROOT) for path in target.glob("*.md")}
            else:
                found = {target.relative_to(ROOT)} if target.suffix == ".md" and target.exists() else set()
            new |= found - reached
    assert {path for path in DOCUMENTS if path.parts[0] in ("docs", "clients")} - reached == set()
    direct = {(ROOT / link.partition("#")[0]).resolve() for link in links(Path("README.md"))}
    beside = set((ROOT / "docs").glob("*.md")) | {
        ROOT / "SECURITY.md",
        ROOT / "CONTRIBUTING.md",
    }
    assert beside - direct == set()


def test_the_readme_shows_what_it_is_and_how_to_try_it_on_its_first_screen() -> None:
    first = "\n".join(text(Path("README.md")).splitlines()[:45])
    for word in ("make run", ".venv/bin/glock", "telnet localhost 9999", "glock run"):
        assert word in first


# What is named exists


@pytest.mark.parametrize("document", PRESENT, ids=str)
def test_options_of_the_daemon_that_are_named_exist(document: Path) -> None:
    names = {one.name.replace("_", "-") for one in options()} | {
        "check",
        "probe",
        "help",
        "version",
        "config",
    }
    named = re.findall(r"`-([a-z][a-z-]{2,})(?:[ =][^`]*)?`", text(document))
    suffixes = {"wal", "shm"}  # of SQLite's files
    assert [name for name in named if name not in names | suffixes] == []


@pytest.mark.parametrize("document", PRESENT, ids=str)
def test_verbs_that_are_named_exist_and_take_what_they_are_given(document: Path) -> None:
    verbs = {verb.word.decode(): verb.syntax.split() for verb in VERBS.values()}
    for line in re.findall(r"`([a-z]+ (?:NAME|SECONDS|TOKEN|SESSION|ADDRESS|WHAT)\b[^`]*)`", text(document)):
        word, *given = line.split()
        assert word in verbs, line
        most = len(verbs[word]) - 1
        assert len(given) <= most, line


@pytest.mark.parametrize("document", PRESENT, ids=str)
def test_commands_of_make_that_are_named_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    named = re.findall(r"(?:`|^ {4}|^)(?:sudo )?make ([a-z-]+)", text(document), re.M)
    assert set(named) <= set(phony.split())


def test_every_command_of_make_is_in_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    assert [name for name in phony.split() if f"`make {name}`" not in text(Path("README.md"))] == []


@pytest.mark.parametrize("document", PRESENT, ids=str)
def test_commands_of_the_tester_that_are_shown_are_understood(document: Path) -> None:
    assert isinstance(cli.main, click.Group)
    for line in re.findall(
        r"(?:`|^ {4}|^)(?:\.venv/bin/)?glockd-tester ([a-z]+ [^`\n]*)", text(document), re.M
    ):
        words = re.sub(r"  +#.*", "", line).replace('"', "").split()
        command = cli.main.get_command(click.Context(cli.main), words[0])
        assert command is not None, line
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, line


# Tables


def rows(document: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the tables below a heading, by their first cells."""
    below = text(document).partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*\|$", below, re.M)]
    return {first: others for first, *others in cells}


def test_the_table_of_clients_says_what_is_tested() -> None:
    table = rows(Path("clients/README.md"), "## What each can do")
    titles = [title.strip("`").lower() for title in table[""]]
    for language in LANGUAGES:
        column = titles.index(language.folder)
        kinds = {kind for kind in ("tcp", "unix", "tls") if table[f"`{kind}://`"][column] != "no"}
        kinds |= {"ws"} if table["`ws://`, `wss://`"][column] != "no" else set()
        assert kinds == set(language.transports)


def test_the_table_of_clients_has_no_hole() -> None:
    table = rows(Path("clients/README.md"), "## What each can do")
    folders = {path.parts[1] for path in tracked() if path.parts[0] == "clients" and len(path.parts) > 2}
    assert {title.strip("`").lower() for title in table[""]} == folders | {"glock"}
    features = [cells for cells in table.values() if len(cells) == len(table[""])]
    assert len(features) > 10
    assert all(cell for cells in features for cell in cells)


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_the_readme_installs_a_client_as_the_client_s_own_does(language: Language) -> None:
    line = code_blocks(language.home / "README.md")[0].strip()
    assert f"(clients/{language.folder}/README.md) | `{line}` |" in text(Path("README.md"))


def test_every_fact_of_the_comparison_has_its_source() -> None:
    document = Path("docs/comparison.md")
    headings = [
        heading
        for heading in re.findall(r"^## .+$", text(document), re.M)
        if "source |" in text(document).partition(heading)[2].partition("\n## ")[0]
    ]
    assert len(headings) == 4
    for heading in headings:
        table = rows(document, heading)
        for name in ("glockd", "flock", "Redis", "PostgreSQL", "etcd", "Consul", "LDLM"):
            (cells,) = (cells for first, cells in table.items() if f"**{name}**" in first)
            assert all(cells)
            assert re.search(r"[,;(\[]", cells[-1]) or cells[-1].startswith("Linux man-pages")
