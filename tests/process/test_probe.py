"""`glockd -probe`: whether a daemon is well, with whatever options it runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glockd.config import Config
from glockd.probe import Way, ways
from tests.support.certificates import Authority
from tests.support.process import Spawner, free_port, run_glockd


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str, str | None], str]) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), need("openssl", None))


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> dict[str, str]:
    certificate, key = authority.issue("server")
    secrets = tmp_path / "secrets"
    secrets.write_text("secret\n")
    return {
        "CERT": str(certificate),
        "KEY": str(key),
        "CA": str(authority.ca),
        "SECRETS": str(secrets),
        "SOCK": str(tmp_path / "sock"),
    }


TLS = "-tls-cert CERT -tls-key KEY"


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ("-port PORT -ws WEB", "ws 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
        ("-port PORT -ws 0", "tcp 127.0.0.1 port PORT: 1 pong"),
        ("-port 0 -ws 0 -unix SOCK", "unix SOCK: 1 pong"),
        ("-port 0 -ws 0 -http 127.0.0.1:WEB", "http 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
        ("-port PORT -ws WEB -health=false", "tcp 127.0.0.1 port PORT: 1 pong"),
        ("-port 0 -ws WEB -health=false", "ws 127.0.0.1 port WEB: HTTP/1.1 404 Not Found"),
        ("-port PORT -ws WEB -bind *", "ws 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
        ("-port PORT -ws WEB -bind 127.0.0.2", "ws 127.0.0.2 port WEB: HTTP/1.1 200 OK"),
        (f"-port PORT -ws WEB {TLS}", "ws 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
        (f"-port PORT -ws 0 {TLS}", "tcp 127.0.0.1 port PORT: 1 pong"),
        (f"-port PORT -ws WEB {TLS} -tls-for tcp", "ws 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
        (
            f"-port PORT -ws 0 {TLS} -tls-client-ca CA",
            "tcp 127.0.0.1 port PORT: it lets",
        ),
        ("-port PORT -ws WEB -proxy-protocol 127.0.0.0/8", "ws 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
        ("-port PORT -ws 0 -proxy-protocol 127.0.0.1", "tcp 127.0.0.1 port PORT: 1 pong"),
        (f"-port PORT -ws WEB {TLS} -proxy-protocol 127.0.0.1", "ws 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
        ("-port PORT -ws 0 -auth-file SECRETS", "tcp 127.0.0.1 port PORT: 0 Not Authorised"),
        ("-port PORT -ws WEB -auth-file SECRETS", "ws 127.0.0.1 port WEB: HTTP/1.1 200 OK"),
    ],
)
def test_a_daemon_is_well_however_it_is_configured(
    glockd: Spawner, files: dict[str, str], options: str, asked: str
) -> None:
    names = {"PORT": str(free_port()), "WEB": str(free_port())} | files
    flags = [names.get(word, word.replace("WEB", names["WEB"])) for word in options.split()]
    for name, value in names.items():
        asked = asked.replace(name, value) if name in ("PORT", "WEB", "SOCK") else asked
    daemon = glockd(*flags, listen=())
    # By its process, whose command line says it all; and by its options once more.
    for words in (("-probe", str(daemon.pid)), ("-probe", "0", *flags)):
        result = run_glockd(*words)
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(asked)
    daemon.stop()
    for words in (("-probe", str(daemon.pid)), ("-probe", "0", *flags)):
        result = run_glockd(*words)
        assert result.returncode == 1
        assert result.stderr.startswith("glockd: ")


def test_options_from_environment_and_file_are_seen(glockd: Spawner, tmp_path: Path) -> None:
    port, web = free_port(), free_port()
    (tmp_path / "glockd-0").mkdir()
    (tmp_path / "glockd-0" / "glockd.toml").write_text(f"port = {port}\n")
    (tmp_path / "glockd-0").rename(tmp_path / "kept")
    daemon = glockd("-config", "../kept/glockd.toml", listen=(), GLOCKD_WS=str(web), GLOCKD_HEALTH="false")
    assert run_glockd("-probe", str(daemon.pid)).stdout == f"tcp 127.0.0.1 port {port}: 1 pong\n"


def test_an_init_before_the_daemon_is_looked_through(glockd: Spawner, tmp_path: Path) -> None:
    """As `docker run --init` has it: process 1 is the init, with the daemon's command line behind its own."""
    port = free_port()
    daemon = glockd("-port", str(port), "-ws", "0", listen=())
    program = Path(sys.executable).with_name("glockd")
    init = ["sh", "-c", "read line", "--", str(program), "-port", str(port), "-ws", "0"]
    with subprocess.Popen(init, stdin=subprocess.PIPE) as process:
        result = run_glockd("-probe", str(process.pid))
        assert result.stdout == f"tcp 127.0.0.1 port {port}: 1 pong\n", result.stderr
        process.communicate(b"\n")
    assert daemon.is_running


def test_a_full_daemon_is_not_to_be_restarted(glockd: Spawner) -> None:
    port, web = free_port(), free_port()
    daemon = glockd("-port", str(port), "-ws", str(web), "-max-connections", "1", listen=())
    daemon.tcp = ("127.0.0.1", port)
    daemon.client().says("g job").hears("1 Lock Get Success: job")
    result = run_glockd("-probe", str(daemon.pid))
    answer = "HTTP/1.1 503 Service Unavailable"
    assert (result.returncode, result.stdout) == (0, f"ws 127.0.0.1 port {web}: {answer}\n")


def test_a_daemon_that_stands_still_is_not_well(glockd: Spawner) -> None:
    port = free_port()
    daemon = glockd("-port", str(port), "-ws", "0", listen=())
    daemon.gets(signal.SIGSTOP)
    result = run_glockd("-probe", "0", "-port", str(port), "-ws", "0")
    daemon.gets(signal.SIGCONT)
    assert result.returncode == 1
    assert result.stderr == f"glockd: tcp 127.0.0.1 port {port}: timed out\n"


@pytest.mark.parametrize("pid", ["1073741824", "-1", "x", ""])
def test_a_process_that_is_no_daemon(pid: str) -> None:
    result = run_glockd("-probe", pid)
    assert result.returncode in (1, 2)
    assert result.stderr


def test_another_program_is_no_daemon() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        result = run_glockd("-probe", str(process.pid))
        process.kill()
    assert result.stderr == f"glockd: process {process.pid} is no glockd\n"


def test_where_there_is_nothing_to_ask() -> None:
    assert list(ways(Config(port=0, ws=0, http="127.0.0.1:0"))) == []
    assert "no address to ask at" in run_glockd("-probe", "0", "-port", "0", "-ws", "0").stderr


def test_all_addresses_are_asked_on_loopback() -> None:
    found = list(ways(Config(port=1, ws=0, bind="0.0.0.0,::")))
    assert found == [Way("tcp", ("127.0.0.1", 1), False), Way("tcp", ("::1", 1), False)]
