"""Standard error of every kind, none of which may hold anybody up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import socket
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from glockd.process import stderr as module
from glockd.process.stderr import QUEUE, Stderr
from tests.support.clients import wait_until

KINDS = ("pipe", "terminal", "stream socket", "datagram socket", "another's pipe", "another's terminal")
LINE = "x" * 200 + "\n"


def told(lines: int) -> str:
    return f"lost {lines}\n"


class Sink:
    """Where standard error leads, and the end that takes it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        match kind.removeprefix("another's "):
            case "pipe":
                self.reader, self.writer = os.pipe()
            case "terminal":
                self.reader, self.writer = pty.openpty()
                tty.setraw(self.writer)  # a line end stays one
            case "stream socket":
                self.reader, self.writer = (sock.detach() for sock in socket.socketpair())
            case _:
                pair = socket.socketpair(type=socket.SOCK_DGRAM)
                self.reader, self.writer = (sock.detach() for sock in pair)
        os.set_blocking(self.reader, False)

    def takes(self) -> str:
        """All that is there to be read now."""
        pieces = []
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.reader, 1 << 16):
                pieces.append(piece)
        return b"".join(pieces).decode()

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture(params=KINDS)
def sink(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    if request.param.startswith("another's"):
        # As where another user has made it: it cannot be opened a second time.
        monkeypatch.setattr(module, "_opened_anew", lambda *_: None)
    sink = Sink(request.param)
    yield sink
    sink.close()


def test_whoever_takes_nothing_holds_nobody_up(sink: Sink) -> None:
    stderr = Stderr(told, sink.writer)
    flags = fcntl.fcntl(sink.writer, fcntl.F_GETFL)
    count = 5 * QUEUE // len(LINE)
    for _ in range(count):
        stderr.write(LINE)
    assert 0 < stderr.lost < count
    assert fcntl.fcntl(sink.writer, fcntl.F_GETFL) == flags  # others share it
    seen = ""

    def all_of_it() -> bool:
        nonlocal seen
        stderr.flush()
        seen += sink.takes()
        return "lost" in seen

    wait_until(all_of_it, about=lambda: seen[-500:])
    stderr.write("at last\n")
    seen += sink.takes()
    # Whole lines in their order, and each is there or counted.
    assert seen == LINE * (count - stderr.lost) + told(stderr.lost) + "at last\n"


def test_whoever_is_slow_loses_nothing(sink: Sink) -> None:
    stderr = Stderr(told, sink.writer)
    lines = [f"{number} {'y' * 150}\n" for number in range(2000)]
    seen = ""
    for number, line in enumerate(lines):
        stderr.write(line)
        if number % 100 == 0:
            seen += sink.takes()

    def all_of_it() -> bool:
        nonlocal seen
        stderr.flush()
        seen += sink.takes()
        return len(seen) == sum(map(len, lines))

    wait_until(all_of_it, about=lambda: seen[-500:])
    assert seen == "".join(lines)
    assert stderr.lost == 0


def test_whoever_is_gone_is_no_error(sink: Sink) -> None:
    stderr = Stderr(told, sink.writer)
    os.close(sink.reader)
    for _ in range(10):
        stderr.write(LINE)
    assert stderr.lost == 10
    stderr.drain(0)


def test_a_full_disk_is_no_error() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    stderr = Stderr(told, descriptor)
    stderr.write("one\ntwo\n")
    os.close(descriptor)
    assert stderr.lost == 2


def test_a_closed_descriptor_is_no_error() -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.close(descriptor)
    stderr = Stderr(told, descriptor)
    stderr.write("one\n")
    assert stderr.lost == 1
    assert not stderr.isatty()


def test_a_file_goes_on_where_others_write_to_it(tmp_path: Path) -> None:
    """It is not opened anew: the place in it is shared with the shell and with whoever else has it."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        stderr = Stderr(told, file.fileno())
        stderr.write("one\n")
        os.write(file.fileno(), b"somebody else\n")
        stderr.write("two\n")
    assert path.read_text() == "one\nsomebody else\ntwo\n"


class Disk:
    """A disk with so many bytes left."""

    def __init__(self, left: int) -> None:
        self.left, self.content = left, b""

    def send(self, line: bytes) -> int:
        if not self.left:
            raise OSError(28, "No space left on device")
        sent = min(self.left, len(line))
        self.content += line[:sent]
        self.left -= sent
        return sent


def test_a_line_that_a_full_disk_has_cut_goes_on_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(6)
    monkeypatch.setattr(module, "_sender", lambda *_: disk.send)
    stderr = Stderr(told)
    stderr.write("one\nsecond\nthird\n")
    stderr.write("fourth\n")
    assert disk.content == b"one\nse"
    disk.left = 1000
    stderr.flush()
    stderr.write("fifth\n")
    assert disk.content == b"one\nsecond\nlost 2\nfifth\n"
    assert stderr.lost == 2


def test_a_line_may_come_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        stderr = Stderr(told, file.fileno())
        stderr.write("a li")
        assert path.read_bytes() == b""
        stderr.write("ne\nand ")
        stderr.write("\udcff another\n")
    assert path.read_bytes() == b"a line\nand \\udcff another\n"


def test_a_terminal_that_is_stopped_holds_nobody_up() -> None:
    """Ctrl-S."""
    master, slave = pty.openpty()
    try:
        termios.tcflow(slave, termios.TCOOFF)
        stderr = Stderr(told, slave)
        stderr.write("while it is stopped\n")
        assert stderr.lost == 0
        termios.tcflow(slave, termios.TCOON)
        stderr.drain(10)
        assert os.read(master, 100) == b"while it is stopped\r\n"
    finally:
        os.close(master)
        os.close(slave)
