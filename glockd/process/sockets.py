"""Sockets that listen: made here, or handed over by a service manager."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import socket
import stat
import sys
from pathlib import Path

from glockd.config import SOCKETS, StartError
from glockd.process.binding import Address
from glockd.process.pidfile import remove_if_same

# sd_listen_fds(3): inherited descriptors start at 3.
LISTEN_FDS_START = 3

# How many connections may wait to be accepted; the kernel's net.core.somaxconn is in force besides.
BACKLOG = 4096


def inherited_sockets(ws_port: int) -> list[tuple[str, socket.socket]]:
    """The listening sockets handed over by a service manager, each with its kind: unix, or one of SOCKETS.

    The name given to a socket (FileDescriptorName= in systemd) decides; without one of these names, its family and,
    for the websocket, its port.

    Args:
        ws_port: the port that means websocket.
    """
    environment = os.environ
    # sd_listen_fds(3): they are for another process unless the pid is this one's.
    mine = environment.pop("LISTEN_PID", "") == str(os.getpid())
    number = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    found: list[tuple[str, socket.socket]] = []
    if not mine or not number.isdigit():
        return found
    for index in range(int(number)):
        try:
            sock = socket.socket(fileno=LISTEN_FDS_START + index)
        except OSError as error:
            raise StartError(f"inherited descriptor {LISTEN_FDS_START + index} is no socket") from error
        sock.setblocking(False)
        os.set_inheritable(sock.fileno(), False)
        name = names[index] if index < len(names) else ""
        if sock.family == socket.AF_UNIX:
            kind = "unix"
        elif name in SOCKETS:
            kind = name
        elif name in ("ws", "websocket") or (name != "tcp" and sock.getsockname()[1] == ws_port):
            kind = "ws"
        else:
            kind = "tcp"
        found.append((kind, sock))
    return found


def listen_ip(address: Address) -> socket.socket | None:
    """A socket that listens on an address of this machine; None if it is IPv6, there is none here and none is needed.

    Raises:
        OSError: the port is taken, the address is not this machine's.
    """
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT and not address.is_needed:
            return None
        raise
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not address.both)
        sock.bind(address.address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRNOTAVAIL and not address.is_needed:
            return None
        raise
    sock.setblocking(False)
    return sock


class UnixSocket:
    """A listening Unix socket. A stale one at its path is replaced, a live one or another file never.

    Args:
        path: where it lies.
        mode: its permissions.
        owner: the user it belongs to; empty: who made it.
        group: the group it belongs to; empty: that of who made it.

    Raises:
        StartError: something that is no dead socket is there, or the path cannot be used.
    """

    def __init__(self, path: str, mode: int, owner: str = "", group: str = "") -> None:
        self.path = path
        _make_way(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Nobody may get in between bind and chmod.
        umask = os.umask(0o777)
        try:
            self.socket.bind(path)
            if owner or group:
                shutil.chown(path, owner or None, group or None)  # type: ignore[arg-type]
            os.chmod(path, mode)
            self.socket.listen(BACKLOG)
            self._file = os.stat(path)
        except LookupError as error:
            self.socket.close()
            Path(path).unlink()
            raise StartError(f"cannot listen on {path}: {error.args[0]}") from error
        except OSError as error:
            self.socket.close()
            raise StartError(f"cannot listen on {path}: {error.strerror or error}") from error
        finally:
            os.umask(umask)
        self.socket.setblocking(False)

    def remove(self) -> None:
        """Take the socket's file away, as long as it is still this one."""
        remove_if_same(self.path, self._file)


def bound_keepalive(sock: socket.socket, seconds: int) -> None:
    """Let the kernel find peers of this listener that vanished, idle or not, within `seconds` (5 or more).

    Connections inherit this from their listener. tcp(7): TCP_USER_TIMEOUT ends a connection whose data stay
    unacknowledged for so long, and with keep-alive one that has been silent for so long, at the next probe.
    """
    probe = max(1, seconds // 6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, seconds // 3))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, probe)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5)
    # One probe's time is left for the probe that finds it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (seconds - probe) * 1000 - 500)


def raise_descriptor_limit() -> int:
    """Let the process have as many open files and sockets as it may; how many that are (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _make_way(path: str) -> None:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartError(f"cannot listen on {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(there.st_mode):
        raise StartError(f"cannot listen on {path}: it exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            remove_if_same(path, there)
            return
        except OSError as error:
            raise StartError(f"cannot listen on {path}: {error.strerror or error}") from error
    raise StartError(f"cannot listen on {path}: another server listens there")
