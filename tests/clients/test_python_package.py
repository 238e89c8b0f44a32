"""What somebody installs: the distribution `glockd-client`, from a clone in one line as the README has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import glock
import pytest

from tests.support.places import ROOT
from tests.support.process import environment

README = (ROOT / "clients" / "python" / "README.md").read_text("utf-8")
LINES = re.findall(r"^    (pip install .*?)(?:  +#.*)?$", README, re.MULTILINE)
NOT_SOURCE = shutil.ignore_patterns("*.egg-info", "build", "dist", "__pycache__", ".*_cache")
LONG = 300.0  # seconds that a package index may take


def runs(*command: str | Path, cwd: Path, **env: str) -> str:
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment(PIP_DISABLE_PIP_VERSION_CHECK="1", **env),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of a clone as the client needs; a copy, because building leaves things behind."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "clients" / "python", folder / "clients" / "python", ignore=NOT_SOURCE)
    return folder


@pytest.fixture(scope="module")
def distributions(clone: Path) -> Path:
    runs(sys.executable, "-m", "build", "--outdir", clone / "dist", "clients/python", cwd=clone)
    return clone / "dist"


def test_the_index_would_take_them(distributions: Path) -> None:
    files = sorted(distributions.iterdir())
    version = glock.__version__
    assert [file.name for file in files] == [
        f"glockd_client-{version}-py3-none-any.whl",
        f"glockd_client-{version}.tar.gz",
    ]
    said = runs(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=distributions)
    assert said.count("PASSED") == 2


def test_they_have_all_modules_the_types_and_the_licence(distributions: Path) -> None:
    package = ROOT / "clients" / "python" / "glock"
    modules = {f"glock/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    licence = (ROOT / "LICENSE").read_bytes()
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        assert modules | {"glock/py.typed"} <= set(wheel.namelist())
        (place,) = (name for name in wheel.namelist() if name.endswith("LICENSE"))
        assert wheel.read(place) == licence
        (place,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = HeaderParser().parsestr(wheel.read(place).decode())
    assert metadata["Name"] == "glockd-client", "glock belongs to somebody else"
    assert {each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each} == set()
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as sdist:
        assert any(name.endswith("/LICENSE") for name in sdist.getnames())


def test_the_readme_has_a_line_for_each_extra() -> None:
    assert LINES == [
        "pip install ./clients/python",
        "pip install './clients/python[cli]'",
        "pip install './clients/python[ws]'",
    ]


def test_each_line_installs_it_from_a_clone(clone: Path, tmp_path: Path) -> None:
    runs(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    programs = tmp_path / "venv" / "bin"
    for line in LINES:
        runs(
            *["sh", "-c", line.replace("pip install", "pip install --quiet")],
            cwd=clone,
            PATH=f"{programs}:/usr/bin:/bin",
        )
        use = "from glock import AsyncClient, Client; print(Client('unix:/x').urls[0])"
        assert runs(programs / "python", "-c", use, cwd=tmp_path) == "unix:///x\n"
        result = subprocess.run(
            [programs / "glock", "--version"], capture_output=True, text=True, check=False
        )
        if line == LINES[0]:
            assert (result.returncode, result.stderr) == (
                1,
                "glock: click is not installed: pip install 'glockd-client[cli]'\n",
            )
        else:
            assert result.stdout == f"glock, version {glock.__version__}\n"
    runs(programs / "python", "-c", "import websockets", cwd=tmp_path)
