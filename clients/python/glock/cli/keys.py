"""Keys, as they are pressed."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
import tty
from collections.abc import Callable, Iterator

from glock.cli.run import foreground_terminal

QUIT = b"qQ"


@contextlib.contextmanager
def quitting() -> Iterator[Callable[[float], bool]]:
    """A function that waits so many seconds, and tells at once if q is pressed meanwhile.

    Where standard input is no terminal, or somebody else's, it only waits. Ctrl-C is what it always was.
    """
    terminal = foreground_terminal()
    if terminal is None:
        yield _only_wait
        return
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSADRAIN)
    try:
        yield lambda seconds: _is_quit_within(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _only_wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _is_quit_within(terminal: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while select.select([terminal], [], [], max(until - time.monotonic(), 0))[0]:
        if set(os.read(terminal, 64)) & set(QUIT):
            return True
    return False
