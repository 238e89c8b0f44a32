"""SIGHUP from a terminal that is closed ends the daemon; from anybody else it means a reload."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glockd.process.terminal import LOOKS, Terminal
from tests.support.clients import PATIENCE, wait_until
from tests.support.http import ask
from tests.support.process import Glockd, Spawner, environment, free_port, glockd_command


class Window:
    """A terminal of the test's own."""

    def __init__(self) -> None:
        self.end, self.terminal = pty.openpty()
        self.seen = b""

    def shows(self, words: str) -> None:
        while words.encode() not in self.seen:
            self.seen += os.read(self.end, 1 << 16)

    def closes(self) -> None:
        os.close(self.end)
        self.end = -1

    def close(self) -> None:
        for descriptor in {self.end, self.terminal} - {-1}:
            os.close(descriptor)


@pytest.fixture
def window() -> Iterator[Window]:
    window = Window()
    yield window
    window.close()


def start(glockd: Spawner, window: Window, script: str = 'exec "$@"') -> Glockd:
    """A daemon in a window, started by a shell there."""
    through = ("setsid", "-c", "bash", "-c", script, "bash")
    daemon = glockd.within(window.terminal, "-verbose", through=through)
    os.close(window.terminal)
    window.terminal = -1
    daemon.wait_until_ready()
    return daemon


def test_a_terminal_that_is_closed_ends_the_daemon(glockd: Spawner, window: Window) -> None:
    daemon = start(glockd, window)
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    window.closes()
    alice.is_hung_up_on()
    assert daemon.ends() == 0


def test_a_hang_up_signal_from_elsewhere_is_a_reload(glockd: Spawner, window: Window) -> None:
    daemon = start(glockd, window)
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    daemon.gets(signal.SIGHUP)
    window.shows("reloaded")
    alice.says("i job").hears("1 Lock Is Locked: job")


@pytest.mark.parametrize("ignored", ["", "HUP"])
def test_a_daemon_whose_log_is_elsewhere_belongs_to_no_terminal(
    glockd: Spawner, window: Window, ignored: str
) -> None:
    """With a log file, or under nohup(1), it is left behind on purpose."""
    script = "trap '' HUP; exec \"$@\"" if ignored else 'exec "$@" 2>log'
    daemon = start(glockd, window, script)
    alice = daemon.stream()
    alice.says("g job").hears("1 Lock Get Success: job")
    window.closes()
    alice.says("i job").hears("1 Lock Is Locked: job")
    daemon.gets(signal.SIGHUP)  # if that of the terminal has not come
    alice.says("r job").hears("1 Lock Release Success: job")


def test_a_terminal_that_went_without_a_signal_was_left_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `disown` in bash: a later SIGHUP is a reload."""
    end, slave = pty.openpty()
    monkeypatch.setattr("glockd.process.terminal.is_own_terminal", lambda _: True)
    terminal = Terminal(slave)
    assert not terminal.is_gone()
    terminal.look()
    os.close(end)
    for _ in range(LOOKS):
        assert terminal.is_gone()
        terminal.look()
    assert not terminal.is_gone()
    terminal.look()
    os.close(slave)


def test_in_tmux(tmp_path: Path, need: Callable[..., str]) -> None:
    """A signal by hand is a reload there, the end of the window is the end."""
    tmux = [need("tmux"), "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    port, web = free_port(), free_port()
    flags = ("-port", str(port), "-ws", str(web), "-bind", "127.0.0.1", "-pidfile", str(tmp_path / "pid"))
    subprocess.run(
        [*tmux, "new-session", "-d", *glockd_command(*flags)], check=True, env=environment(), cwd=tmp_path
    )

    def shown() -> str:
        words = [*tmux, "capture-pane", "-p", "-t", "0"]
        return subprocess.run(words, check=False, capture_output=True, text=True).stdout

    try:
        wait_until(lambda: "ready" in shown(), about=shown)
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: "reloaded" in shown(), about=shown)
        assert ask(("127.0.0.1", web), "/healthz").status == 200
        process = os.pidfd_open(pid)
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    assert select.select([process], [], [], PATIENCE)[0], "the daemon lives on"
    os.close(process)
    assert not (tmp_path / "pid").exists()  # it has ended properly
