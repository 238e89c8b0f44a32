"""The JavaScript client, in Node and in a real page, against the real daemon."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from glockd import __version__
from tests.support.languages import (
    CLIENTS,
    CONVERSATIONS,
    WINDOWS,
    code_blocks,
    run,
    run_own_tests,
    server,
    titles,
)
from tests.support.pages import serving
from tests.support.process import Spawner

Need = Callable[[str, str | None], str]

HERE = CLIENTS / "javascript"
SOURCES = sorted(HERE.rglob("*.js"))

# Versions are pinned, so that a new release of a tool cannot fail the tests of unchanged code.
PRETTIER = "prettier@3.6.2"
TYPESCRIPT = "typescript@5.9.3"


@pytest.fixture
def node(need: Need) -> str:
    return need("node", "nodejs")


@pytest.fixture
def site() -> Iterator[str]:
    """The address at which a browser finds the clients."""
    with serving(CLIENTS) as address:
        yield address


@pytest.fixture
def page(need: Need) -> Iterator[Page]:
    """A page of a real browser."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=need("chromium", None), args=quiet) as browser,
    ):
        yield browser.new_page()


def test_it_is_valid(node: str) -> None:
    for path in SOURCES:
        run(node, "--check", str(path), cwd=HERE)


def test_it_is_formatted(need: Need) -> None:
    patterns = ("*.{js,ts,json}", "src/*.js", "test/*.{js,ts}", "example/*.js")
    run(need("npx", "npm"), "--yes", PRETTIER, "--check", *patterns, cwd=HERE)


def test_its_declarations_fit_their_use(need: Need) -> None:
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2023,dom")
    npx = (need("npx", "npm"), "--yes", "--package", TYPESCRIPT, "tsc")
    run(*npx, *options, "test/types.ts", cwd=HERE)


def test_everything_exported_is_declared(node: str) -> None:
    program = "console.log(Object.keys(await import('glockd-client')).sort().join())"
    exported = run(node, "--input-type=module", "--eval", program, cwd=HERE).strip().split(",")
    declared = (HERE / "glock.d.ts").read_text()
    types = {"Lock": "interface", "Item": "interface"}  # made by the module only
    for name in exported:
        assert re.search(rf"^export (class|const|{types.get(name, 'class')}) {name}\b", declared, re.M)


def test_npm_packs_all_that_it_needs(node: str, need: Need, tmp_path: Path) -> None:
    npm = need("npm", None)
    (packed,) = json.loads(run(npm, "pack", "--json", "--pack-destination", str(tmp_path), cwd=HERE))
    files = {file["path"] for file in packed["files"]}
    modules = {str(path.relative_to(HERE)) for path in (HERE / "src").iterdir()}
    assert files == {"LICENSE", "README.md", "glock.d.ts", "glock.js", "package.json"} | modules
    run(npm, "install", str(tmp_path / packed["filename"]), cwd=tmp_path)
    program = "import { LockManager } from 'glockd-client'; new LockManager('host').close()"
    run(node, "--input-type=module", "--eval", program, cwd=tmp_path)


def test_its_version_is_the_daemons() -> None:
    assert json.loads((HERE / "package.json").read_text())["version"] == __version__


def test_its_own_tests_pass(node: str, glockd: Spawner) -> None:
    output = run_own_tests(node, "--test", "test/glock.test.js", cwd=HERE, glockd=glockd)
    assert re.search(r"^\S+ fail 0$", output, re.M)


def test_it_passes_the_shared_conversations_in_a_page(page: Page, site: str, glockd: Spawner) -> None:
    page.goto(f"{site}/README.md")  # any page of the site
    play = """async ([server, list]) => {
        const { play } = await import('/javascript/test/conversations.js');
        const lines = [];
        await play(server, list, (line) => lines.push(line));
        return lines;
    }"""
    lines = page.evaluate(play, [server(glockd(*WINDOWS), "ws"), json.loads(CONVERSATIONS.read_text())])
    assert lines == [f"{len(titles())} passed, 0 failed"]


def test_the_example_page_runs(page: Page, site: str, glockd: Spawner) -> None:
    assert (HERE / "example" / "page.html").read_text() in code_blocks(HERE / "README.md")
    daemon = glockd()
    other = daemon.client()
    other.says("g front desk").hears("1 Lock Get Success: front desk")
    page.goto(f"{site}/javascript/example/page.html?server={server(daemon, 'ws')}")
    state = page.locator("#state")
    expect(state).to_have_text("waiting")
    other.says("r front desk").hears("1 Lock Release Success: front desk")
    expect(state).to_have_text("holding front desk")
    other.says("g front desk").hears("0 Lock Get Failure: front desk")
    page.mouse.click(5, 5)
    expect(state).to_have_text("released")
    other.says("g front desk").hears("1 Lock Get Success: front desk")


def test_a_page_speaks_websockets_only(page: Page, site: str) -> None:
    page.goto(f"{site}/README.md")
    connect = """async (server) => {
        const { Session } = await import('/javascript/glock.js');
        return Session.connect(server).then(() => 'connected', (error) => `${error.name}: ${error.message}`);
    }"""
    for kind, where in (("tcp", "host"), ("tls", "tls://host"), ("unix", "/run/glockd.sock")):
        said = page.evaluate(connect, where)
        assert said.startswith("TypeError: ")
        assert f"this client does not speak {kind}://" in said


def test_a_page_that_is_closed_holds_nothing(page: Page, site: str, glockd: Spawner) -> None:
    daemon = glockd()
    page.goto(f"{site}/javascript/example/page.html?server={server(daemon, 'ws')}")
    expect(page.locator("#state")).to_have_text("holding front desk")
    other = daemon.client()
    other.says("g front desk").hears("0 Lock Get Failure: front desk")
    page.close()
    other.says("wait 10 front desk").hears("1 Lock Get Success: front desk")
