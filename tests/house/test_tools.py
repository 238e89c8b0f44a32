"""Programs that people have: what they type in them works."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clients import PATIENCE
from tests.support.daemons import ProcessDaemon, Views
from tests.support.pages import serving

Need = Callable[..., str]

# What both kinds of JavaScript do: talk, and hang up. A reply is a string, as it is a text message.
CONVERSATION = """
const talk = (url) => new Promise((resolve, reject) => {
  const lines = ["g job", "i job", "nonsense", "sg pool", "g caf\\u00e9"], heard = [];
  const socket = new WebSocket(url);
  socket.onopen = () => lines.forEach((line) => socket.send(line));
  socket.onmessage = (event) => {
    heard.push(event.data);
    if (heard.length === lines.length) socket.close(1000, "done");
  };
  socket.onclose = (event) => resolve({ heard, code: event.code, clean: event.wasClean });
  socket.onerror = () => reject(new Error("no connection"));
});
"""
HEARD = [
    "1 Lock Get Success: job\r\n",
    "1 Lock Is Locked: job\n",
    "",
    "1 Shared Lock Get Success: pool\r\n",
    "1 Lock Get Success: caf\u00e9\r\n",
]


@pytest.fixture
def daemon(shared_daemon: Views) -> ProcessDaemon:
    return shared_daemon("tcp")


def run(command: list[str], text: bytes = b"") -> bytes:
    result = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, (result.returncode, result.stdout, result.stderr)
    return result.stdout


# netcat


@pytest.mark.parametrize("text", [b"g job\nsi job\nr job\n", b"g job\nsi job\nr job"])
def test_nc_asks_on_tcp(daemon: ProcessDaemon, need: Need, text: bytes) -> None:
    host, port = daemon.process.tcp
    heard = run([need("nc", "netcat-openbsd"), "-N", host, str(port)], text)
    assert heard == (
        b"1 Lock Get Success: job\r\n0 Shared Lock Not Locked: job\r\n1 Lock Release Success: job\n"
    )


def test_nc_asks_on_the_unix_socket(daemon: ProcessDaemon, need: Need) -> None:
    command = [need("nc", "netcat-openbsd"), "-N", "-U", str(daemon.process.unix)]
    daemon.process.unix_count += 1
    address = f"unix:{daemon.process.unix_count}"
    assert run(command, b"me") == f"1 {address} {address}\n".encode()


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_lock_lives_as_long_as_the_nc_that_got_it(daemon: ProcessDaemon, need: Need) -> None:
    alice = daemon.client()
    host, port = daemon.process.tcp
    with running([need("nc", "netcat-openbsd"), host, str(port)]) as nc:
        assert nc.stdin
        assert nc.stdout
        nc.stdin.write(b"g job\n")
        nc.stdin.flush()
        assert nc.stdout.readline() == b"1 Lock Get Success: job\r\n"
        alice.says("g job").hears("0 Lock Get Failure: job")
        nc.kill()
        daemon.counts(orphans=1)
    alice.says("g job").hears("1 Lock Get Success: job")


# socat


def test_socat_asks_on_the_unix_socket(daemon: ProcessDaemon, need: Need) -> None:
    daemon.process.unix_count += 1
    heard = run([need("socat"), "-t", "30", "-", f"UNIX-CONNECT:{daemon.process.unix}"], b"g job\ni job\n")
    assert heard == b"1 Lock Get Success: job\r\n1 Lock Is Locked: job\n"
    daemon.counts(orphans=1)


# telnet


class Terminal:
    """A program that a person uses in a terminal."""

    def __init__(self, command: list[str]) -> None:
        self.screen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:  # pragma: no cover
            os.execv(command[0], command)

    def types(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def shows(self, text: str) -> None:
        """Wait until `text` has appeared below what was looked at before."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.screen:
            assert time.monotonic() < deadline, self.screen
            if select.select([self.fd], [], [], 1)[0]:
                self.screen += os.read(self.fd, 4096)
        self.screen = self.screen.partition(text.encode())[2]

    def ends(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has the other end open any more
            while os.read(self.fd, 4096):
                pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def test_a_person_types_in_telnet(daemon: ProcessDaemon, need: Need) -> None:
    alice = daemon.client()
    host, port = daemon.process.tcp
    terminal = Terminal([need("telnet"), host, str(port)])
    terminal.shows("Escape character is '^]'.")
    terminal.types("g the job\r")
    terminal.shows("1 Lock Get Success: the job")
    alice.says("g the job").hears("0 Lock Get Failure: the job")
    terminal.types("iam Tess\r")
    terminal.shows("1 ok")
    alice.says("d").hears("the job: Tess")
    terminal.types("r the job\r")
    terminal.shows("1 Lock Release Success: the job")
    terminal.types("g last\r")
    terminal.shows("1 Lock Get Success: last")
    terminal.types("help\r")
    terminal.shows("(help all: what they do; help VERB: what it answers)")
    terminal.types("help all\r")
    terminal.shows("quit                          end this connection")
    terminal.types("help i\r")
    terminal.shows("1 i NAME: is it locked? -> 1 Lock Is Locked: NAME | 0 Lock Not Locked: NAME")
    terminal.types("quit\r")
    terminal.shows("1 Bye")
    terminal.shows("Connection closed by foreign host.")
    terminal.ends()
    daemon.counts(orphans=1, connections=1)


# WebSocket in Node and in a browser


def test_node_asks_on_the_websocket(daemon: ProcessDaemon, need: Need) -> None:
    node = need("node", "nodejs")
    host, port = daemon.process.ws
    script = f"{CONVERSATION} talk('ws://{host}:{port}/').then((it) => console.log(JSON.stringify(it)));"
    versions = run([node, "--version"]).decode().removeprefix("v").split(".")
    flags = ["--experimental-websocket"] if int(versions[0]) < 22 else []
    heard = json.loads(run([node, *flags, "-e", script]))
    assert heard == {"heard": HEARD, "code": 1000, "clean": True}
    daemon.counts(connections=0, orphans=2, shared_orphans=1, invalid_commands=1)


CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def test_a_browser_asks_on_the_websocket(daemon: ProcessDaemon, need: Need, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = need("chromium")
    host, port = daemon.process.ws
    # A page of this machine: those of other sites, and of none, are refused.
    (tmp_path / "index.html").write_text("<!doctype html><title>glockd</title>")
    with serving(tmp_path) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        try:
            page = browser.new_page()
            page.goto(site)
            heard = page.evaluate(f"() => {{ {CONVERSATION} return talk('ws://{host}:{port}/'); }}")
            assert heard == {"heard": HEARD, "code": 1000, "clean": True}
            daemon.counts(connections=0, orphans=2, shared_orphans=1)
            # A tab that is closed lets go as well.
            page.evaluate(
                f"""() => new Promise((resolve) => {{
                    const socket = new WebSocket('ws://{host}:{port}/');
                    socket.onopen = () => socket.send('g tab');
                    socket.onmessage = () => resolve();
                }})"""
            )
            daemon.counts(connections=1, locks=1)
            page.close()
            daemon.counts(connections=0, locks=0, orphans=3)
        finally:
            browser.close()
