"""glockd-tester conformance in the languages of other lock servers, with a server that runs already."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from glockd_tester.cases.language import LANGUAGES, load
from glockd_tester.cases.running import FACES
from glockd_tester.cli import main
from tests.doors.ldlm.adapters import address
from tests.support.process import Glockd, Spawner

FLAGS = ("-ldlm=127.0.0.1:0", "-ldlm-rest=127.0.0.1:0")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["conformance", "--timeout", "1", *arguments])


def report(*arguments: str) -> tuple[int, Any]:
    """Exit code and JSON of the command."""
    result = run("--json", *arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(result.stdout)


def place(daemon: Glockd, kind: str) -> str:
    host, port = address(daemon, kind)
    return f"{host}:{port}"


def test_every_listener_of_every_language_has_an_option() -> None:
    for name in LANGUAGES:
        rows = [face.listener for face in FACES if face.language == name]
        assert rows in ([], list(load(name).listeners))
    assert {face.language for face in FACES} <= set(LANGUAGES)


def test_the_daemon_conforms_again_and_again(glockd: Spawner) -> None:
    """What a case has held is free when the next run asks for it."""
    daemon = glockd(*FLAGS)
    places = ["--ldlm", place(daemon, "ldlm"), "--ldlm-rest", place(daemon, "ldlm-rest")]
    for _ in range(2):
        code, found = report(*places)
        assert [result for result in found["results"] if result["outcome"] == "failed"] == []
        assert code == 0
        assert found["server"] == {"languages": ["ldlm"]}
        assert found["passed"] > 150
    reasons = {result["reason"] for result in found["results"] if result["outcome"] == "skipped"}
    assert "made for other options: password" in reasons
    assert "ends the server, which is not ours" in reasons


def test_other_options_fail(glockd: Spawner, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    secret.chmod(0o600)
    daemon = glockd(*FLAGS, f"-ldlm-password-file={secret}")
    result = run("--ldlm-rest", place(daemon, "ldlm-rest"))
    assert result.exit_code == 1
    assert "status: 401 instead of 201" in result.output
    assert "no address for ldlm" in result.output


def test_the_line_and_another_language_in_one_run(glockd: Spawner) -> None:
    daemon = glockd("-registry=false", "-dump=false", *FLAGS)
    line = f"127.0.0.1:{daemon.tcp[1]}"
    result = run("--tcp", line, "--ldlm-rest", place(daemon, "ldlm-rest"))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert sum(line.startswith("a glockd with the new verbs: ") for line in lines) == 1
    assert lines[-1].startswith("ldlm: ")
    assert lines[-1].endswith(" passed, 0 failed")


class Liar(BaseHTTPRequestHandler):
    """HTTP, but not LDLM's."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def lying() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_what_answers_otherwise_fails() -> None:
    with lying() as where:
        code, found = report("--ldlm-rest", where)
    assert code == 1
    assert found["failed"] > 50


def test_what_speaks_something_else_is_told_in_one_line() -> None:
    with lying() as where:
        result = run("--ldlm", where)
    assert result.exit_code == 2
    assert result.stderr == f"Error: ldlm {where}: what listens there does not speak gRPC without TLS\n"


@pytest.mark.parametrize(("option", "language"), [("--ldlm", "gRPC"), ("--ldlm-rest", "HTTP")])
def test_silence_is_told_in_one_line(option: str, language: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        result = run(option, where, "--timeout", "0.1")
    assert result.exit_code == 2
    assert result.stderr.endswith(f"{where}: what listens there does not speak {language} without TLS\n")


def test_nobody_there_is_told_in_one_line() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{nobody.getsockname()[1]}"
        result = run("--ldlm", where)
    assert result.exit_code == 2
    assert result.stderr == f"Error: ldlm {where}: Connection refused\n"


@pytest.mark.parametrize(
    "wrong", ["localhost", "/run/socket", "ws://localhost:1", "[::1]", "host:0", "a,b:1"]
)
def test_an_address_without_host_or_port_is_refused(wrong: str) -> None:
    result = run("--ldlm", wrong)
    assert result.exit_code == 2
    assert "'--ldlm'" in result.stderr


@pytest.mark.parametrize(
    "option", [["--flags", "dump=false"], ["--old-verbs-only"], ["--deviations"], [__file__]]
)
def test_what_is_for_the_line_is_refused_without_it(option: list[str]) -> None:
    result = run("--ldlm", "localhost:1", *option)
    assert result.exit_code == 2
    assert "go with the line language" in result.stderr
