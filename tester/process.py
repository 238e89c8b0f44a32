"""What the system tells of a server on this machine: its process, its CPU time, its memory. Linux only."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from .addresses import Address
from .errors import CannotTest


class Unseen(CannotTest):
    """A process is gone, or not ours to look at; the text is why."""


def find_server(address: Address) -> int | None:
    """The process that listens at `address`, or None if it is not on this machine or not ours to see.

    A listener may be shared with who handed it over (systemd, a test): then the youngest process counts.
    """
    if not address.local:
        return None
    found = max(
        (process for process in psutil.process_iter() if _listens(process, address)),
        key=lambda process: (process.create_time(), process.pid),
        default=None,
    )
    return None if found is None else found.pid


def _listens(process: psutil.Process, address: Address) -> bool:
    with contextlib.suppress(psutil.Error):
        if address.transport == "unix":
            return any(str(each.laddr) == address.path for each in process.net_connections("unix"))
        return any(
            each.status == psutil.CONN_LISTEN and each.laddr.port == address.port
            for each in process.net_connections("tcp")
        )
    return False


def exists(pid: int) -> bool:
    """Whether there is such a process."""
    return psutil.pid_exists(pid)


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of `pid` have used, in seconds, to the nanosecond; 0 if it is gone."""
    total = 0
    # psutil counts in clock ticks, as /proc/PID/stat does: 10 ms are too coarse for the cost of a command.
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text("ascii").split()[0])
    return total / 1e9


@contextlib.contextmanager
def _seen(pid: int) -> Iterator[psutil.Process]:
    try:
        yield psutil.Process(pid)
    except psutil.Error as problem:
        raise Unseen(str(problem)) from problem


def resident_bytes(pid: int) -> int:
    """Memory of `pid` that is in RAM. Raises Unseen."""
    with _seen(pid) as process:
        return process.memory_info().rss


def open_files(pid: int) -> int:
    """How many file descriptors `pid` has open. Raises Unseen."""
    with _seen(pid) as process:
        return process.num_fds()


def allow_open_files(count: int) -> None:
    """Let this process open so many files. Raises ValueError if the hard limit (ulimit -Hn) is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ValueError(f"{count} open files are needed, and only {hard} are allowed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
