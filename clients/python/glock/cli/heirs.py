"""Does anybody else have the connection that a command inherited?

Two signs, either of which is enough to leave the lock alone:
- a pipe that the command inherits together with the connection: as long as its other end is open somewhere,
  descendants live that have what they were given;
- /proc, where there is one: a process may have been given the connection on purpose, and not the pipe.
"""

from __future__ import annotations

import os
import select


class Heirs:
    """Those who have inherited a connection, from before it is given to them until nobody has it."""

    def __init__(self, fd: int) -> None:
        """
        Args:
            fd: the connection.
        """
        self.fd = fd
        # What /proc calls the connection: proc_pid_fd(5). The descriptor may be closed when it is asked for.
        self._socket = os.readlink(f"/proc/self/fd/{fd}") if os.path.isdir("/proc/self/fd") else None
        self._alive, self._given = os.pipe()
        os.set_inheritable(self._given, True)

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
        """Has another process the connection?"""
        poll = select.poll()
        poll.register(self._alive, select.POLLIN)
        is_closed = any(event & select.POLLHUP for _, event in poll.poll(0))
        return not is_closed or self._is_in_proc()

    def close(self) -> None:
        os.close(self._alive)

    def _is_in_proc(self) -> bool:
        if self._socket is None:
            return False
        me = str(os.getpid())
        for pid in os.listdir("/proc"):
            if pid.isdigit() and pid != me and self._socket in _links(f"/proc/{pid}/fd"):
                return True
        return False


def _links(folder: str) -> set[str]:
    """What the descriptors in a folder of /proc link to; nothing if that is another user's, or gone."""
    found = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found.add(os.readlink(entry.path))
                except OSError:  # closed meanwhile
                    continue
    except OSError:
        pass
    return found
