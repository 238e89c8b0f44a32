"""Data Dispatcher's two unmodified clients from PyPI, library and command, against this server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.dispatch.site import flags
from tests.doors.ldlm.adapters import address
from tests.support.places import ROOT
from tests.support.process import Glockd, Spawner, free_port

CLIENT = "datadispatcher-client==2.0.3"
OLDER = "datadispatcher==1.27.0"
LONG = 300.0  # seconds that a registry may take

LIBRARY = """
from data_dispatcher.api import DataDispatcherClient
from metacat.common.exceptions import WebAPIError

client = DataDispatcherClient(worker_id="w1")
assert client.login_password("alice", "pw")[0] == "alice"
assert client.version()
files = [{"namespace": "n", "name": name} for name in ("a", "b", "c d+e")]
project = client.create_project(files, project_attributes={"k": 1}, query="files", users=["bob"])
number = project["project_id"]
assert [one["name"] for one in project["file_handles"]] == ["a", "b", "c d+e"], project
taken = client.next_file(number, stagger=0)
assert (taken["name"], taken["worker_id"]) == ("a", "w1"), taken
assert [one["name"] for one in client.reserved_handles(number, "w1")] == ["a"]
assert client.file_done(number, "n:a")["state"] == "done"
assert client.next_file(number, stagger=0)["name"] == "b"
assert client.file_failed(number, "n:b", retry=False)["state"] == "failed"
assert client.next_file(number, stagger=0)["name"] == "c d+e"
assert client.next_file(number, stagger=0, timeout=1) is True
assert client.file_done(number, "n:c d+e")["state"] == "done"
try:
    assert client.next_file(number, stagger=0) is False
except WebAPIError as error:  # what 1.27.0 makes of the same answer
    assert "Inactive project" in str(error), error
assert client.get_project(number)["state"] == "failed"
assert client.restart_handles(number, failed=True)["state"] == "active"
assert [one["project_id"] for one in client.search_projects("k = 1")] == [number]
assert number in [one["project_id"] for one in client.list_projects()]
copied = client.copy_project(number)["project_id"]
assert copied != number
assert client.cancel_project(copied)["state"] == "cancelled"
assert client.activate_project(copied)["state"] == "active"
client.delete_project(copied)
assert client.get_project(copied) is None
assert client.list_rses() == []
assert client.get_rse("NONE") is None
print("good")
"""


def environment(client: str, folder: Path) -> Path:
    """Where an environment of the client's own has its programs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", client]
    result = subprocess.run(install, capture_output=True, text=True, timeout=LONG, check=False)
    if result.returncode:
        if os.environ.get("CI"):
            pytest.fail(result.stderr)
        pytest.skip(f"{client} cannot be installed: {result.stderr.strip()[-200:]}")
    return folder / "bin"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(CLIENT, tmp_path_factory.mktemp("datadispatcher"))


@pytest.fixture
def daemon(glockd: Spawner, tmp_path: Path) -> Glockd:
    return glockd(*flags(tmp_path))


Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(daemon: Glockd, programs: Path, folder: Path) -> Run:
    """Runs a program of a client's, at home in that folder."""
    base = "http://{}:{}".format(*address(daemon, "dispatch"))
    folder.mkdir()
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(folder),
        "USER": "alice",
        "DATA_DISPATCHER_URL": f"{base}/data",
        "DATA_DISPATCHER_AUTH_URL": f"{base}/auth",
        "METACAT_SERVER_URL": base,
    }

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(programs / program), *arguments]
        return subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def uses_the_library(run: Run) -> None:
    result = run("python", "-c", LIBRARY)
    assert (result.returncode, result.stdout.splitlines()[-1:]) == (0, ["good"]), result.stderr


def uses_the_command(run: Run, folder: Path, *, older: bool = False) -> None:
    """From the login to the end of a project; `older` has other options, and listings that never work."""

    def ddisp(*words: str) -> str:
        result = run("ddisp", *words)
        assert result.returncode == 0, (words, result.stdout, result.stderr)
        return result.stdout.strip()

    login = (
        "from data_dispatcher.api import DataDispatcherClient as C; print(C().login_password('alice', 'pw'))"
    )
    assert run("python", "-c", login).returncode == 0
    assert "Server version" in ddisp("version")
    files = folder / "files.txt"
    files.write_text("n:a\nn:b\n")
    number = ddisp("project", "create", "-l", str(files))
    assert number.isdigit()
    assert "active" in ddisp("project", "show", number)
    assert number in ddisp("project", "list")
    worker = ddisp("worker", "id", "w1")
    assert worker == "w1"
    assert ddisp("worker", "next", "-w", "w1", number) == "n:a"
    if older:
        assert ddisp("project", "show", "-f", "reserved", number) == "n:a"
        ddisp("worker", "done", number, "n:a")
        assert ddisp("project", "show", "-f", "done", number) == "n:a"
    else:
        assert "name      : a" in ddisp("worker", "list", number)
        ddisp("worker", "done", "-w", "w1", number, "n:a")
        assert "done" in ddisp("file", "show", number, "n:a")
    ddisp("project", "restart", "-a", number)
    listing = ("project", "show", "-f", "active") if older else ("file", "list")
    assert ("n:a" if older else "initial") in ddisp(*listing, number)
    ddisp("project", "cancel", number)
    assert "cancelled" in ddisp("project", "show", number)


def test_the_library(daemon: Glockd, programs: Path, tmp_path: Path) -> None:
    uses_the_library(runner(daemon, programs, tmp_path / "home"))


def test_the_command(daemon: Glockd, programs: Path, tmp_path: Path) -> None:
    uses_the_command(runner(daemon, programs, tmp_path / "home"), tmp_path)


def test_the_older_client(daemon: Glockd, tmp_path: Path) -> None:
    programs = environment(OLDER, tmp_path / "environment")
    uses_the_library(runner(daemon, programs, tmp_path / "library"))
    uses_the_command(runner(daemon, programs, tmp_path / "command"), tmp_path, older=True)


def test_the_five_minutes_of_the_page(programs: Path, tmp_path: Path) -> None:
    """As they stand in docs/dispatch.md, but for what is installed already, and where it listens."""
    page = (ROOT / "docs" / "dispatch.md").read_text("utf-8")
    section = page.split("## Five minutes\n")[1].split("\n## ")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert lines[0].startswith("pip install ")
    assert lines[1].startswith("glockd ")
    port = str(free_port())
    ready = f"until curl -sf http://localhost:{port}/data/version; do sleep 0.1; done >&2"
    script = "\n".join([lines[1], ready, *lines[2:], "kill %1", "wait"])
    script = script.replace("8088", port).replace("/tmp/projects", str(tmp_path / "projects"))
    path = f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
    result = subprocess.run(
        ["bash", "-euc", script],
        env={"PATH": path, "HOME": str(tmp_path), "GLOCKD_PORT": "0", "GLOCKD_WS": "0"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "working on a\nworking on b\n"
