"""Does anybody else have the connection that a command inherited?

Two signs tell:
- a pipe that the command inherits together with the connection: as long as its other end is open somewhere,
  descendants live that have kept what they were given;
- /proc, where there is one: a process may have been given the connection alone, or have closed it alone.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator


class Heirs:
    """Those who have inherited a connection, from before it is given to them until nobody has it."""

    def __init__(self, fd: int) -> None:
        """
        Args:
            fd: the connection.
        """
        self.fd = fd
        self._alive, self._given = os.pipe()
        os.set_inheritable(self._given, True)
        # What /proc calls them: proc_pid_fd(5). `fd` may be closed by the time somebody asks.
        self._socket, self._pipe = _link(fd), _link(self._alive)

    def pass_fds(self) -> list[int]:
        """What the command is to inherit: a copy of the connection first, and the pipe.

        A copy, since the original is taken from children that Python itself forks (see `glock.forks`).
        """
        return [os.dup(self.fd), self._given]

    def given(self, fds: list[int]) -> None:
        """`fds`, which came from `pass_fds`, have been handed over, or were not wanted."""
        for fd in fds:
            os.close(fd)

    def are_there(self) -> bool:
        """Has another process the connection? In doubt, yes."""
        poll = select.poll()
        poll.register(self._alive, select.POLLIN)
        keeps_pipe = not any(event & select.POLLHUP for _, event in poll.poll(0))
        has_only_pipe = False
        for links in _processes() if self._socket is not None else ():
            if self._socket in links:
                return True
            has_only_pipe = has_only_pipe or self._pipe in links
        # Whoever keeps the pipe and cannot be looked at, as another user's process, may have both.
        return keeps_pipe and not has_only_pipe

    def close(self) -> None:
        os.close(self._alive)


def _link(fd: int) -> str | None:
    """socket:[INODE] or pipe:[INODE]; None where there is no /proc."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None


def _processes() -> Iterator[set[str]]:
    """What the descriptors of each other process link to, of those that can be looked at."""
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            yield _links(f"/proc/{pid}/fd")


def _links(folder: str) -> set[str]:
    found = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found.add(os.readlink(entry.path))
                except OSError:  # closed meanwhile
                    continue
    except OSError:  # another user's, or gone
        pass
    return found
