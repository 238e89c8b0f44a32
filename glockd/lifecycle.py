"""The daemon as a process: pid file, listening sockets, word to the service manager. Knows nothing of locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import shutil
import socket
import stat
import sys
import time
from pathlib import Path

# sd_listen_fds(3): inherited descriptors start at 3.
LISTEN_FDS_START = 3

# How many connections may wait to be accepted; the kernel's net.core.somaxconn is in force besides.
BACKLOG = 4096


class StartError(Exception):
    """The daemon cannot start. The text is for the operator.

    Args:
        message: one line.
        code: the exit code; those of the original where it had the case.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class PidFile:
    """A file with the process id, locked as long as the process lives.

    Raises:
        StartError: it cannot be opened (3), or another process has it locked (4) and then it is left as it was.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            # The descriptor stays open for life, and the lock with it.
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise StartError(f"Error opening pidfile: {path}: open {path}: {reason}", 3) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            reason = (error.strerror or "").lower()
            raise StartError(f"Error locking  pidfile: {path}: {reason}", 4) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def remove(self) -> None:
        """Take the file away, as long as it is still this one."""
        _remove_if_same(self.path, os.fstat(self._descriptor))
        os.close(self._descriptor)


def inherited_sockets(ws_port: int) -> list[tuple[str, socket.socket]]:
    """The listening sockets handed over by a service manager, each with its kind: tcp, unix, ws or http.

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
        elif name == "http":
            kind = "http"
        elif name in ("ws", "websocket") or (name != "tcp" and sock.getsockname()[1] == ws_port):
            kind = "ws"
        else:
            kind = "tcp"
        found.append((kind, sock))
    return found


def listen_ip(host: str, port: int) -> socket.socket | None:
    """A socket that listens on an address of this machine; None if it is ::1 and there is no IPv6 here.

    Raises:
        StartError: the port is taken, the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        if host == "::1" and error.errno == errno.EAFNOSUPPORT:
            return None
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` takes IPv4 too, as the original's sockets do, unless 0.0.0.0 is asked for besides.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if host == "::1" and error.errno == errno.EADDRNOTAVAIL:
            return None
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def raise_descriptor_limit() -> int:
    """Let the process have as many open files and sockets as it may; how many that are (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


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
        _remove_if_same(self.path, self._file)


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


class Notifier:
    """Word to the service manager, if there is one (sd_notify(3))."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        # sd_watchdog_enabled(3)
        usec = os.environ.pop("WATCHDOG_USEC", "")
        mine = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(usec) / 1_000_000 if usec.isdigit() and mine and self._address else 0.0

    @property
    def is_heard(self) -> bool:
        """Whether there is a service manager."""
        return bool(self._address)

    def reloading(self) -> None:
        """Announce a reload; READY=1 ends it."""
        # sd_notify(3), RELOADING=1: the time tells it from the READY=1 of an earlier one.
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def tell(self, *states: str) -> None:
        """Send assignments such as READY=1; that nobody listens is no error, and nothing to wait for."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto("\n".join(states).encode(), socket.MSG_DONTWAIT, address)


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
            _remove_if_same(path, there)
            return
        except OSError as error:
            raise StartError(f"cannot listen on {path}: {error.strerror or error}") from error
    raise StartError(f"cannot listen on {path}: another server listens there")


def _remove_if_same(path: str, file: os.stat_result) -> None:
    with contextlib.suppress(OSError):
        if os.path.samestat(os.lstat(path), file):
            Path(path).unlink()
