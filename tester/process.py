"""What /proc tells of a server on this machine: its process, its CPU time, its memory. Linux only."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from pathlib import Path

from .addresses import Address

LISTEN = "0A"  # TCP_LISTEN, as /proc/net/tcp writes it (proc(5))
ACCEPTS = 0x10000  # __SO_ACCEPTCON in /proc/net/unix


def find_server(address: Address) -> int | None:
    """The process that listens at `address`, or None if it is not on this machine or not ours to see.

    A listener may be shared with who handed it over (systemd, a test): then the youngest process counts.
    """
    if not address.local:
        return None
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(address)}
    if not inodes:
        return None
    owners = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _owns(pid, inodes)]
    return max(owners, key=_started, default=None)


def _listening_inodes(address: Address) -> set[str]:
    if address.transport == "unix":
        rows = [row.split() for row in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]]
        return {
            row[6] for row in rows if len(row) > 7 and row[7] == address.path and int(row[3], 16) & ACCEPTS
        }
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text("ascii").splitlines()[1:]:
                fields = row.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == address.port:
                    inodes.add(fields[9])
    return inodes


def _owns(pid: int, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    return True
    return False


def _started(pid: int) -> tuple[int, int]:
    with contextlib.suppress(OSError, IndexError):
        # proc(5): field 22 is the start time; the name in field 2 may hold spaces and brackets.
        return int(Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[19]), pid
    return 0, pid


def exists(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def cpu_seconds(pid: int) -> float:
    """CPU time that all threads of `pid` have used, in seconds, to the nanosecond; 0 if it is gone."""
    total = 0
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text("ascii").split()[0])
    return total / 1e9


def resident_bytes(pid: int) -> int:
    """Memory of `pid` that is in RAM. Raises OSError if it is gone."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("latin-1"))
    return int(found[1]) * 1024 if found else 0


def open_files(pid: int) -> int:
    """How many file descriptors `pid` has open. Raises OSError if it is gone or not ours to see."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def allow_open_files(count: int) -> None:
    """Let this process open so many files. Raises ValueError if the hard limit (ulimit -Hn) is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ValueError(f"{count} open files are needed, and only {hard} are allowed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
