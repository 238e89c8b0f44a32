"""glockd-tester's command line: whatever is typed, one clear line and exit code 2, and no measurement of nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from glockd_tester.cli import COMMANDS, main
from glockd_tester.server import LocalServer


def refused(*arguments: str) -> str:
    """What the tester says about arguments that it cannot use."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def test_help_loads_no_command() -> None:
    calls = "from glockd_tester.cli import main; main(['--help'], standalone_mode=False)"
    script = f"import sys; {calls}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    said, _, modules = ran.stdout.rstrip().rpartition("\n")
    assert all(f"  {name} " in said and sentence in said for name, sentence in COMMANDS.items())
    assert {name for name in modules.split() if name.startswith("glockd_tester")} == {
        "glockd_tester",
        "glockd_tester.cli",
    }
    assert not {"rich", "psutil", "websockets"} & set(modules.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help
    said = CliRunner().invoke(main, [name, "--help"])
    assert said.exit_code == 0
    assert said.stdout.startswith(f"Usage: main {name} ")


def test_a_command_that_is_not_there() -> None:
    assert "No such command 'cli'" in refused("cli")


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f"tcp://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def junk() -> Iterator[str]:
    """The address of a real server on the wrong port: websockets only."""
    with LocalServer() as server:
        assert server.ws is not None
        yield f"tcp://{server.ws.host}:{server.ws.port}"


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "-1", "1e400", ""])
@pytest.mark.parametrize(
    "command",
    [
        "bench pingpong localhost --seconds",
        "bench handover localhost --hold",
        "chaos --seconds",
        "chaos --grace",
        "chaos --transit",
        "doctor localhost --idle",
        "doctor localhost --dead-peer",
        "conformance --start= --timeout",
        "conformance --start= --settle",
    ],
)
def test_seconds_are_a_finite_number(command: str, value: str) -> None:
    words = command.split()
    assert f"Invalid value for '{words[-1]}'" in refused(*words, value)


@pytest.mark.parametrize("command", ["conformance --start", "chaos --options", "chaos --server"])
def test_a_quote_that_does_not_end(command: str) -> None:
    assert "No closing quotation" in refused(*command.split(), "-unix 'x")


@pytest.mark.parametrize(
    "command",
    ["conformance --timeout 1 --tcp", "bench pingpong", "bench handover", "chaos", "doctor"],
)
def test_nobody_is_there(nobody: str, command: str) -> None:
    said = refused(*command.split(), nobody)
    assert said.startswith(f"Error: {nobody}: ")
    assert said.endswith("Connection refused\n")


def test_a_door_that_is_no_line_protocol_is_named(junk: str) -> None:
    assert refused("doctor", junk).startswith(f"Error: {junk}: ")


@pytest.mark.parametrize("command", ["chaos --keep", "bench pingpong localhost --plot"])
def test_where_nothing_can_be_written_is_known_before_the_work(tmp_path: Path, command: str) -> None:
    file = tmp_path / "no such folder" / "file"
    assert "nothing can be written there" in refused(*command.split(), str(file))


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "nothing is recorded in it"), (b"\xff\xfe\0", "line 1"), (b"{}\n", "a record has")],
)
def test_what_is_no_history_is_not_judged(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "history"
    file.write_bytes(content)
    assert what in refused("judge", str(file))


def test_a_process_that_is_not_there_has_no_cpu_time(nobody: str) -> None:
    assert "there is no process 4194305" in refused("bench", "pingpong", nobody, "--pid", str(2**22 + 1))


@pytest.mark.parametrize("option", ["--connections", "--pipeline", "--rounds"])
def test_none_of_something_is_not_measured(option: str) -> None:
    assert f"Invalid value for '{option}'" in refused("bench", "pingpong", "localhost", option, "0")


def test_an_echo_is_called_so() -> None:
    with LocalServer() as server:
        result = CliRunner().invoke(
            main, ["bench", "pingpong", str(server.tcp), "--vs", "echo", "-s", "0.05", "-r", "1"]
        )
    assert result.exit_code == 0
    assert "pingpong bare echo" in result.stdout
    assert result.stderr == ""  # no bar where nobody looks
