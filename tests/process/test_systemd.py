"""The service manager's side: units, inherited sockets, notifications."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from glockd.process.notify import Notifier
from tests.support.clients import PATIENCE, StreamClient, WebSocketClient, wait_until
from tests.support.http import ask
from tests.support.places import ROOT
from tests.support.process import Glockd, Spawner, environment, free_port, glockd_command

UNITS = ROOT / "systemd"
GLOCKD = Path(sys.executable).with_name("glockd")


def tells(daemon: Glockd, *assignments: str) -> dict[str, str]:
    """Wait for a notification with all `assignments`, and return it whole."""
    deadline = time.monotonic() + PATIENCE
    heard = []
    while time.monotonic() < deadline:
        try:
            message = daemon.notify.recv(4096).decode()
        except TimeoutError:
            continue
        heard.append(message)
        daemon.is_ready |= "READY=1" in message.split("\n")
        if set(assignments) <= set(message.split("\n")):
            return dict(line.split("=", 1) for line in message.split("\n"))
    raise AssertionError(f"nothing with {assignments} in {heard}")


# Notifications (sd_notify(3))


def test_the_life_of_a_daemon_is_told(glockd: Spawner) -> None:
    daemon = glockd()
    ready = tells(daemon, "READY=1")
    assert str(daemon.tcp[1]) in ready["STATUS"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.gets(signal.SIGHUP)
    reloading = tells(daemon, "RELOADING=1")
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(reloading["MONOTONIC_USEC"]) <= after
    assert "0 locks" in tells(daemon, "READY=1")["STATUS"]
    daemon.gets(signal.SIGTERM)
    tells(daemon, "STOPPING=1")
    assert daemon.ends() == 0


def test_a_service_manager_that_does_not_listen_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf, ThreadPoolExecutor(1) as aside:
        deaf.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = Notifier()

        # unix(7): more than net.unix.max_dgram_qlen of them do not fit.
        def tell() -> None:
            for _ in range(1000):
                notifier.tell("STATUS=fine")

        telling = aside.submit(tell)
        try:
            telling.result(PATIENCE)
        finally:
            deaf.close()


def test_the_watchdog_is_fed_often_enough(glockd: Spawner) -> None:
    daemon = glockd(WATCHDOG_USEC="400000")
    tells(daemon, "READY=1")
    tells(daemon, "WATCHDOG=1")
    began = time.monotonic()
    for _ in range(3):
        tells(daemon, "WATCHDOG=1")
    assert time.monotonic() - began < 3 * 0.4


def test_a_watchdog_for_somebody_else_is_not_fed(glockd: Spawner) -> None:
    daemon = glockd(WATCHDOG_USEC="20000", WATCHDOG_PID="1")
    tells(daemon, "READY=1")
    wait_until(
        lambda: "event_loop_lag_seconds_count 1" in ask(daemon.ws, "/metrics").text,  # 250 ms, 25 meals
        about=lambda: "no beat",
    )
    daemon.gets(signal.SIGTERM)
    message = tells(daemon, "STOPPING=1")
    assert "WATCHDOG" not in message
    assert daemon.ends() == 0


def test_an_abstract_socket_is_told_too(glockd: Spawner) -> None:
    name = f"glockd-test-{os.getpid()}-{time.monotonic_ns()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind("\0" + name)
        sock.settimeout(PATIENCE)
        daemon = glockd(NOTIFY_SOCKET="@" + name)
        assert b"READY=1" in sock.recv(4096)
        daemon.is_ready = True


# Socket activation


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture
def activated(
    need: Callable[..., str], tmp_path: Path, ports: tuple[int, int]
) -> Iterator[subprocess.Popen[bytes]]:
    """systemd's own program holds the sockets, as glockd.socket does, and starts glockd when somebody comes."""
    tcp, ws = ports
    program = need("systemd-socket-activate", "systemd")
    listeners = [f"127.0.0.1:{tcp}", f"127.0.0.1:{ws}", str(tmp_path / "sock")]
    command = [program, *(f"--listen={one}" for one in listeners), "--fdname=glockd:glockd:glockd"]
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--", *glockd_command("-ws", str(ws))], env=environment(), stderr=stderr
        )
        try:
            wait_until(lambda: (tmp_path / "sock").exists(), about=lambda: "no socket")
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def test_sockets_of_a_socket_unit(
    activated: subprocess.Popen[bytes], ports: tuple[int, int], tmp_path: Path
) -> None:
    """They all have one name, so that only its port tells the websocket."""
    tcp, ws = ports
    alice = StreamClient(socket.create_connection(("127.0.0.1", tcp), PATIENCE), "", "tcp")
    alice.says("g job").hears("1 Lock Get Success: job")
    sock = socket.create_connection(("127.0.0.1", ws), PATIENCE)
    bob = WebSocketClient(sock, "").opens()
    bob.says("g job").hears("0 Lock Get Failure: job")
    unix = socket.socket(socket.AF_UNIX)
    unix.settimeout(PATIENCE)
    unix.connect(str(tmp_path / "sock"))
    carol = StreamClient(unix, "unix:1", "unix")
    carol.says("me").hears("1 unix:1 unix:1")
    assert ask(("127.0.0.1", ws), "/readyz").status == 200
    for client in (alice, bob, carol):
        client.hangs_up()
    activated.terminate()
    assert activated.wait(PATIENCE) == 0
    # The socket is the unit's, which hands it to the next daemon.
    assert (tmp_path / "sock").exists()


def test_a_socket_named_http_has_the_pages(glockd: Spawner) -> None:
    daemon = glockd(listen=("tcp", "ws", "http"))
    assert ask(daemon.tcp, "/healthz").status == 200  # the last that was bound
    assert ask(daemon.ws, "/healthz").status == 400


# Units


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as installed, but for where the program lies."""
    for name in ("glockd.service", "glockd.socket"):
        text = (UNITS / name).read_text()
        assert name != "glockd.service" or "ExecStart=/usr/bin/glockd\n" in text
        (tmp_path / name).write_text(text.replace("/usr/bin/glockd", str(GLOCKD)))
    return tmp_path


def test_systemd_finds_nothing_to_mend(units: Path, need: Callable[..., str]) -> None:
    names = [str(units / name) for name in ("glockd.service", "glockd.socket")]
    command = [need("systemd-analyze", "systemd"), "verify", "--man=no", *names]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_daemon_is_locked_in(units: Path, need: Callable[..., str]) -> None:
    unit = str(units / "glockd.service")
    command = [need("systemd-analyze", "systemd"), "security", "--offline=true", "--threshold=20", unit]
    result = subprocess.run(
        [*command, "--no-pager"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    found = re.search(r"Overall exposure level for glockd\.service: ([\d.]+)", result.stdout)
    assert found, result.stdout + result.stderr
    assert float(found[1]) <= 2.0
    assert result.returncode == 0


def test_sockets_and_options_of_the_units_agree() -> None:
    unit = (UNITS / "glockd.socket").read_text()
    from glockd.config import Config

    config = Config()
    streams = re.findall(r"^ListenStream=(.*)$", unit, re.MULTILINE)
    for port in (config.port, config.ws):
        assert f"127.0.0.1:{port}" in streams
        assert f"[::1]:{port}" in streams


def test_the_environment_file_names_options_that_exist() -> None:
    from glockd.config import options

    text = (UNITS / "glockd.env").read_text() + (UNITS / "glockd.service").read_text()
    named = set(re.findall(r"\bGLOCKD_([A-Z][A-Z_]*)=", text))
    assert named
    assert named <= {"CONFIG", *(one.name.upper() for one in options())}
