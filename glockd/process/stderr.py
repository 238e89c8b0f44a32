"""Standard error that holds nobody up: what takes the log may stop, be slow, be full or be gone.

The rules. A line is written at once, or waits in a queue of bounded size. Once the queue is full, all that follows is
lost until the queue has been taken; then one line tells how many were. An error loses what waits. A line that has
begun to go out is never torn by another.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from glockd.process.terminal import is_own_terminal

# What may wait for a reader that is slow, in bytes.
QUEUE = 256 << 10

# pipe(7): so much fits into a pipe that poll(2) calls writable.
PIPE_BUF = select.PIPE_BUF

# A terminal that poll(2) calls writable may have room for no more than one character.
TERMINAL = 1


class Stderr(io.TextIOBase):
    """Takes lines for a descriptor, and never waits for it.

    No thread, and never O_NONBLOCK on the descriptor itself: the shell, make and other daemons share it.

    Args:
        told: makes the line that tells how many lines were lost, line end included.
        descriptor: where lines go; it stays open and as it is.

    Attributes:
        lost: how many lines were lost in all.
    """

    def __init__(self, told: Callable[[int], str], descriptor: int = 2) -> None:
        self.lost = 0
        self._told = told
        self._descriptor = descriptor
        self._begun = ""  # a line whose end has not been written yet
        self._queue: deque[bytes] = deque()
        self._waiting = 0  # bytes in the queue
        self._is_torn = False  # the first of the queue has begun to go out
        self._telling = 0  # lines lost that the first of the queue tells of; 0: it is an ordinary line
        self._untold = (
            0  # lines lost since the last line that got into the queue; while there are any, none gets in
        )
        self._opened = contextlib.ExitStack()
        self._send = _sender(descriptor, self._opened)

    def write(self, text: str) -> int:
        """Take `text`; its lines go out one by one, each when its end has come."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._take(line.encode("utf-8", "backslashreplace") + b"\n")
        return len(text)

    def flush(self) -> None:
        """Write what waits, as far as it is taken now. To be called now and then: no event tells when that is."""
        try:
            while self._queue:
                self._advance(self._send(self._queue[0]))
        except BlockingIOError:
            return
        except OSError:
            self._give_up()
            return
        if self._untold:
            self._telling, self._untold = self._untold, 0
            self._put(self._told(self._telling).encode())
            self.flush()

    def drain(self, seconds: float) -> None:
        """Write what waits, for so long at most: the last words of a process."""
        deadline = time.monotonic() + seconds
        self.flush()
        while self._queue and time.monotonic() < deadline:
            time.sleep(0.01)
            self.flush()

    def close(self) -> None:
        """Write what is taken now, and put away what was opened besides the descriptor."""
        super().close()
        self._opened.close()

    def isatty(self) -> bool:
        """Whether a terminal takes the lines."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def writable(self) -> bool:
        """It is."""
        return True

    def _take(self, line: bytes) -> None:
        if self._queue or self._untold:
            self.flush()
        if self._untold or self._waiting + len(line) > QUEUE:
            self._lose(1)
        else:
            self._put(line)
            self.flush()

    def _put(self, line: bytes) -> None:
        self._queue.append(line)
        self._waiting += len(line)

    def _advance(self, sent: int) -> None:
        """Note that so many bytes of the first line have gone out."""
        rest = self._queue[0][sent:]
        self._waiting -= sent
        self._is_torn = bool(rest)
        if rest:
            self._queue[0] = rest
        else:
            self._queue.popleft()
            self._telling = 0

    def _give_up(self) -> None:
        """Lose what waits, but not the rest of a line of which a part can be read already."""
        kept = [self._queue.popleft()] if self._is_torn else []
        if not kept and self._telling:
            self._queue.popleft()  # no line of anybody's, and still to be told
            self._untold += self._telling
        self._telling = 0
        self._lose(len(self._queue))
        self._queue = deque(kept)
        self._waiting = sum(map(len, kept))

    def _lose(self, lines: int) -> None:
        self.lost += lines
        self._untold += lines


def hold_standard_descriptors() -> None:
    """Open what is closed of standard input, output and error.

    Otherwise the next socket gets such a number, and is written to by whatever writes to standard error.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError as error:
            if error.errno == errno.EBADF:
                # open(2) takes the lowest number that is free, which is this one.
                os.open(os.devnull, os.O_RDWR)


def replace_stderr(told: Callable[[int], str]) -> Stderr:
    """Let all that Python writes to standard error go through one `Stderr`."""
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.flush()
    stderr = sys.stderr = Stderr(told)
    return stderr


def lost_lines() -> int:
    """How many lines were lost since `replace_stderr`."""
    return sys.stderr.lost if isinstance(sys.stderr, Stderr) else 0


def _sender(descriptor: int, opened: contextlib.ExitStack) -> Callable[[bytes], int]:
    """What writes to a descriptor without waiting: gives the bytes that were taken, or raises OSError.

    Args:
        descriptor: where lines go.
        opened: closes what is opened for it.
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return partial(os.write, descriptor)
    if stat.S_ISSOCK(mode):
        sock = opened.enter_context(socket.socket(fileno=os.dup(descriptor)))
        return lambda line: sock.send(line, socket.MSG_DONTWAIT)
    terminal = os.isatty(descriptor)
    if not terminal and not stat.S_ISFIFO(mode):
        return partial(os.write, descriptor)  # a file is always ready
    own = _opened_anew(descriptor, terminal)
    if own is not None:
        opened.callback(os.close, own)
        return partial(os.write, own)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    most = TERMINAL if terminal else PIPE_BUF

    def send(line: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(descriptor, line[:most])

    return send


def _opened_anew(descriptor: int, terminal: bool) -> int | None:
    """The same pipe or terminal with an open file description of its own, where O_NONBLOCK is nobody else's business.

    None if this process may not open it, as another user's terminal: then poll(2) has to do, though others who write
    to it may be faster.
    """
    paths = [f"/proc/self/fd/{descriptor}"]
    if terminal and is_own_terminal(descriptor):
        paths.append("/dev/tty")  # tty(4): open to whoever belongs to it
    for path in paths:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return None
