"""What the clients in other languages have in common: the same conversations, and examples that run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.languages import (
    CLIENTS,
    CONVERSATIONS,
    FAILED,
    WINDOWS,
    code_blocks,
    failing_conversations,
    passed_all,
    run,
    server,
)
from tests.support.places import ROOT
from tests.support.process import Spawner

Need = Callable[[str, str | None], str]


@dataclass(frozen=True)
class Language:
    """How a client's programs are run, all but the last from its folder.

    Attributes:
        programs: what they need, each with its package if that is named otherwise; the first runs them.
        play: the arguments that play conversations, before server and file.
        example: the README's example: its file, the arguments that run it, and what it prints.
        short: the main README's example, likewise, run from `short_from`.
        install: how the README's first example, a line of the shell, is tried in a project beside a clone: the files
            that the project has before it, with the main README's example for `EXAMPLE`; what in that example names
            the client, and how it is named there; and the arguments that run it.
    """

    folder: str
    programs: tuple[tuple[str, str | None], ...]
    play: tuple[str, ...]
    example: tuple[str, tuple[str, ...], str]
    short: tuple[str, tuple[str, ...], str]
    short_from: Path
    transports: tuple[str, ...]
    install: tuple[Mapping[str, str], tuple[str, str], tuple[str, ...]]

    @property
    def home(self) -> Path:
        return CLIENTS / self.folder

    def __str__(self) -> str:
        return self.folder


EXAMPLE = "EXAMPLE"
HELD = "holding nightly backup with a token"

LANGUAGES = (
    Language(
        folder="go",
        programs=(("go", "golang-go"),),
        play=("run", "./conversations"),
        example=("main.go", ("run", "./example"), f"{HELD}: true\ndone\n"),
        short=("readme/main.go", ("run", "./example/readme"), "mine: true\n"),
        short_from=CLIENTS / "go",
        transports=("tcp", "unix", "tls"),
        install=({"go.mod": "module mine\n\ngo 1.19\n", "main.go": EXAMPLE}, ("", ""), ("run", ".")),
    ),
    Language(
        folder="javascript",
        programs=(("node", "nodejs"),),
        # Node 20 has a WebSocket only if it is asked for one, and later ones understand the question.
        play=("--experimental-websocket", "test/main.js"),
        example=(
            "example.js",
            ("example/example.js",),
            f"{HELD}: true\ndone\nnightly backup is held, shared\nnobody else had it\n",
        ),
        short=("readme.js", ("example/readme.js",), "mine: true\n"),
        short_from=CLIENTS / "javascript",
        transports=("tcp", "unix", "ws", "tls"),
        install=({"mine.mjs": EXAMPLE}, ("", ""), ("mine.mjs",)),
    ),
    Language(
        folder="php",
        programs=(("php", "php-cli"),),
        play=("tests/conversations.php",),
        example=("example.php", ("example/example.php",), f"{HELD}: true\ndone\n"),
        short=("readme.php", ("clients/php/example/readme.php",), "mine: true\n"),
        short_from=ROOT,
        transports=("tcp", "unix", "tls"),
        install=(
            {"composer.json": "{}", "mine.php": EXAMPLE},
            ("clients/php/src/autoload.php", "vendor/autoload.php"),
            ("mine.php",),
        ),
    ),
    Language(
        folder="shell",
        programs=(("bash", None), ("jq", None), ("socat", None)),
        play=("conversations.sh",),
        example=("example.sh", ("example/example.sh",), f"{HELD}\ndone\n"),
        short=(
            "readme.sh",
            ("clients/shell/example/readme.sh",),
            "mine: 1\na command with the lock held, ended if it is lost\n",
        ),
        short_from=ROOT,
        transports=("tcp", "unix"),
        # There, the line that installs is the script's first.
        install=({"mine.sh": f"INSTALL{EXAMPLE}"}, (". clients/shell/glock.sh\n", ""), ("mine.sh",)),
    ),
)

WAYS = [(language, transport) for language in LANGUAGES for transport in language.transports]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory, need: Need) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), need("openssl", None))


def program(language: Language, need: Need) -> str:
    first, *_ = [need(*each) for each in language.programs]
    return first


@pytest.mark.parametrize(("language", "way"), WAYS, ids=str)
def test_it_passes_the_shared_conversations(
    language: Language, way: str, glockd: Spawner, need: Need, authority: Authority
) -> None:
    if way == "tls":
        certificate, key = authority.issue("server")
        daemon = glockd(*WINDOWS, "-tls-cert", str(certificate), "-tls-key", str(key))
        where = f"tls://127.0.0.1:{daemon.tcp[1]}?ca={authority.ca}&host=localhost"
    else:
        where = server(glockd(*WINDOWS), way)
    command = (program(language, need), *language.play, where, str(CONVERSATIONS))
    assert run(*command, cwd=language.home) == passed_all()


@pytest.mark.parametrize("language", [each for each in LANGUAGES if "tls" in each.transports], ids=str)
def test_it_trusts_nobody_by_accident(
    language: Language, glockd: Spawner, need: Need, authority: Authority
) -> None:
    certificate, key = authority.issue("server")
    daemon = glockd("-tls-cert", str(certificate), "-tls-key", str(key))
    secure = f"tls://localhost:{daemon.tcp[1]}"
    for where in (secure, f"{secure}?ca={authority.ca}&host=other.test"):
        command = (program(language, need), *language.play, where, str(CONVERSATIONS))
        # go run says 1 whatever its program says
        status = 1 if language.folder == "go" else 2
        assert run(*command, cwd=language.home, status=status) == ""


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_its_runner_tells_what_fails(language: Language, glockd: Spawner, need: Need, tmp_path: Path) -> None:
    wrong = failing_conversations(tmp_path)
    command = (program(language, need), *language.play, server(glockd(), "tcp"), str(wrong))
    assert run(*command, cwd=language.home, status=1).endswith(f"{FAILED}\n")


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_the_example_in_its_readme_runs(language: Language, glockd: Spawner, need: Need) -> None:
    file, arguments, printed = language.example
    assert (language.home / "example" / file).read_text() in code_blocks(language.home / "README.md")
    assert run(program(language, need), *arguments, cwd=language.home, daemon=glockd()) == printed


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_the_example_in_the_main_readme_runs(language: Language, glockd: Spawner, need: Need) -> None:
    file, arguments, printed = language.short
    assert (language.home / "example" / file).read_text() in code_blocks(ROOT / "README.md")
    assert run(program(language, need), *arguments, cwd=language.short_from, daemon=glockd()) == printed


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_the_line_in_its_readme_installs_it_from_a_clone(
    language: Language, glockd: Spawner, need: Need, tmp_path: Path
) -> None:
    files, (clone, installed), arguments = language.install
    line = code_blocks(language.home / "README.md")[0]
    assert line.count("\n") == 1
    shutil.copytree(CLIENTS, tmp_path / "glockd" / "clients")
    mine = tmp_path / "mine"
    mine.mkdir()
    example = (language.home / "example" / language.short[0]).read_text()
    for name, text in files.items():
        filled = text.replace("INSTALL", line).replace(EXAMPLE, example.replace(clone, installed))
        (mine / name).write_text(filled)
    for tool in ("npm",) * (language.folder == "javascript") + ("composer",) * (language.folder == "php"):
        need(tool, None)
    # Composer asks the registry for everything, even for what it need not.
    (tmp_path / "config.json").write_text('{"repositories": [{"packagist.org": false}]}')
    home = {"COMPOSER_HOME": str(tmp_path), "COMPOSER_ALLOW_SUPERUSER": "1"}
    run("bash", "-euc", line, cwd=mine, env=home)
    assert run(program(language, need), *arguments, cwd=mine, daemon=glockd()) == language.short[2]


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_the_licence_comes_with_it(language: Language) -> None:
    assert (language.home / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
