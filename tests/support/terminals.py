"""Terminals with bash or telnet in them, as somebody at a keyboard has them."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.clients import PATIENCE, wait_until

SLOW = 300.0  # seconds that a command may take: a package index, a compiler

# A shell that reads its commands from files whose names come in on descriptor 3, and tells on 4 how each ended:
# what it runs finds nothing on its standard input.
SHELL = 'while read -r file <&3; do . "$file" 3<&- 4>&-; echo $? >&4; done'


class Shell:
    """A terminal with bash in it."""

    def __init__(self, folder: Path, env: Mapping[str, str], cwd: Path) -> None:
        folder.mkdir()
        self.folder, self.count = folder, 0
        self.output = folder / "output"
        orders, self.orders = os.pipe()
        self.ends, ends = os.pipe()
        # bash names its own ends 3 and 4.
        command = f"exec 3<&{orders} 4>&{ends} {orders}<&- {ends}>&-; {SHELL}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-c", command],
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[orders, ends],
                start_new_session=True,
            )
        os.close(orders)
        os.close(ends)

    def begin(self, command: str) -> None:
        self.count += 1
        file = self.folder / f"command-{self.count}"
        file.write_text(command)
        os.write(self.orders, f"{file}\n".encode())

    def run(self, command: str) -> tuple[int, list[str]]:
        """Run a command to its end; its exit status, and what it printed."""
        before = self.output.stat().st_size
        self.begin(command)
        assert select.select([self.ends], [], [], SLOW)[0], f"{command} does not end"
        status = os.read(self.ends, 16)
        said = self.output.read_bytes()[before:].decode()
        assert status, f"{command} ended the shell:\n{said}"
        return int(status), said.splitlines()

    def says(self, word: str) -> None:
        """Wait until `word` has been printed."""

        def said() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return word in self.output.read_text()

        wait_until(said, patience=SLOW, about=lambda: self.output.read_text())

    def close(self) -> None:
        """End what runs in it, as closing a terminal does."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            os.close(self.orders)
            os.close(self.ends)


class Telnet:
    """A terminal with telnet in it: what is typed and what is answered stand there one below the other."""

    def __init__(self, command: list[str]) -> None:
        self.screen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:  # pragma: no cover
            os.execvp(command[0], command)
        while self.line() != "Escape character is '^]'.":
            pass

    def line(self) -> str:
        """The next line on the screen."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self.screen:
            assert time.monotonic() < deadline, f"nothing more comes after {self.screen!r}"
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    self.screen += os.read(self.fd, 4096)
                except OSError as error:  # EIO: nobody has the other end any more
                    raise AssertionError("telnet has ended") from error
        line, _, self.screen = self.screen.partition(b"\n")
        return line.decode().rstrip("\r")

    def types(self, text: str) -> None:
        os.write(self.fd, f"{text}\r".encode())

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
