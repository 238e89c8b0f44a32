"""The test files that ship with datadispatcher-client, as they are, against this server.

They want a MetaCat that knows a few files, a project in every state, and a module `env` with fixtures of their site.
"""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from glockd_tester.cases.dispatch.tokens import mint
from tests.clients.test_datadispatcher import CLIENT, LONG, programs
from tests.doors.dispatch.site import SECRET, Site, flags
from tests.doors.ldlm.adapters import address
from tests.support.process import Glockd, Spawner

__all__ = ["programs"]

FILES = [{"namespace": "mengel", "name": f"{letter}.fcl"} for letter in "abcdefg"]
ELEMENT = "FNAL_DCACHE_DISK_TEST"
SPEED = 12  # so much faster passes time where the tests wait for timeouts of minutes

ENV = """
import os
import pytest

@pytest.fixture(scope="session")
def env():
    return os.environ

@pytest.fixture(scope="session")
def token(env):
    return env["BEARER_TOKEN"]

@pytest.fixture(scope="session")
def auth(token):
    assert os.system("ddisp login -m token " + os.environ["USER"]) == 0
"""
# Each `worker next` would sleep for up to 10 s, so that not all workers of a site ask at once.
AT_ONCE = "import random\nrandom.random = lambda: 0.0\n"


class MetaCat(BaseHTTPRequestHandler):
    """Answers every query with the files."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(FILES).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody wants to know."""


@pytest.fixture(scope="session")
def metacat() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), MetaCat) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the client's own tests."""
    folder = tmp_path_factory.mktemp("sdist")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    command = [*download, "--dest", str(folder), CLIENT]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    if result.returncode:
        if os.environ.get("CI"):
            pytest.fail(result.stderr)
        pytest.skip(f"{CLIENT} cannot be downloaded: {result.stderr.strip()[-200:]}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (tests,) = folder.glob("*/tests")
    (tests / "env.py").write_text(ENV)
    (tests / "sitecustomize.py").write_text(AT_ONCE)
    return tests


Play = Callable[..., None]


@pytest.fixture
def play(glockd: Spawner, programs: Path, metacat: str, shipped: Path, tmp_path: Path) -> Play:
    """Plays files of the client's tests against a daemon."""

    def played(daemon: Glockd, *files: str, **more: str) -> None:
        site = Site(daemon, user="root")
        site.asks("create_rse", {"name": ELEMENT, "is_enabled": True, "is_available": True})
        for file in FILES:
            url = {"url": f"root://disk/{file['name']}"}
            place = {"rse": ELEMENT, **file}
            put = site.asks("replica_available?" + urlencode(place), url)
            assert put.status == 200
        base = "http://{}:{}".format(*address(daemon, "dispatch"))
        environment = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "USER": "alice",
            "BEARER_TOKEN": mint(SECRET, sub="alice", nbf=time.time() - 60, exp=time.time() + 1e6),
            "DATA_DISPATCHER_URL": f"{base}/data",
            "DATA_DISPATCHER_AUTH_URL": f"{base}/auth",
            "METACAT_SERVER_URL": metacat,
            "PYTHONPATH": str(shipped),
            **more,
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files]
        result = subprocess.run(
            command, env=environment, cwd=shipped, capture_output=True, text=True, timeout=LONG, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert " passed" in result.stdout
        assert " skipped" not in result.stdout

    return played


def in_all_states(site: Site) -> None:
    """Projects that have failed and that were left, for tests that look for such."""
    failed = site.project("x")
    assert site.takes(failed, "w") == "x"
    assert site.releases(failed, "x", worker_id="w", failed="yes", retry="no").status == 200
    site.project("y", idle_timeout=0.01)


@pytest.mark.parametrize("file", ["test_commandline.py", "test_commandline_json.py", "test_issue_18.py"])
def test_what_the_client_tests_itself(file: str, glockd: Spawner, play: Play, tmp_path: Path) -> None:
    daemon = glockd(*flags(tmp_path), "-dispatch-hold-seconds=0")
    in_all_states(Site(daemon))
    play(daemon, file)


def test_what_the_client_tests_of_timeouts(
    glockd: Spawner, play: Play, tmp_path: Path, need: Callable[[str, str | None], str]
) -> None:
    need("faketime", "faketime")
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    faster: dict[str, Any] = {"LD_PRELOAD": library, "FAKETIME": f"+0 x{SPEED}", "FAKETIME_NO_CACHE": "1"}
    daemon = glockd(*flags(tmp_path), "-dispatch-hold-seconds=0", **faster)
    play(daemon, "test_timeouts.py", **faster)
