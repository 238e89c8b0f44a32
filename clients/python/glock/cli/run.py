"""`glock run`: a command that runs while a lock is held.

The command inherits the connected socket. A lock lives as long as its connection, and a connection as long as
any process has it open: so the lock is held until the last descendant that has the descriptor is gone,
whatever becomes of `glock` itself. That is what flock(1) promises for a file, over a network.

When the command has ended and nobody else has the connection, glock releases the lock: it is free when glock
has ended, and no orphan. Else glock ends without a word, and the lock with the last heir.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from glock.cli.exits import LOST
from glock.cli.heirs import Heirs
from glock.cli.output import say
from glock.errors import GlockError, LockLost
from glock.locks import Lock

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as sh(1) and env(1) have them
PASSED_ON = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH")
LONGEST = 2e6  # seconds that poll(2) can be told of; a longer grace is none
STILL_THERE = 0.02  # seconds between two looks whether a process group has ended


class Command:
    """A command and the lock that it runs under."""

    def __init__(
        self,
        argv: Sequence[str],
        lock: Lock,
        *,
        grace: float,
        inherit: bool,
        environment: Mapping[str, str],
        own_group: bool = True,
    ) -> None:
        """
        Args:
            grace: seconds between TERM and KILL when the lock is lost.
            inherit: shall the command have the connected socket?
            environment: the whole environment of the command.
            own_group: a process group of its own, in the terminal's foreground if glock is there.
        """
        self.argv = list(argv)
        self.lock = lock
        self.lock_fd = lock.fileno()
        self.grace = grace
        self.heirs = Heirs(self.lock_fd) if inherit else None
        self.environment = dict(environment)
        self.own_group = own_group
        self.terminal = foreground_terminal() if own_group else None
        self.process: subprocess.Popen[bytes] | None = None
        self.lost = False
        self.kill_at = float("inf")

    def run(self) -> int:
        """Run it to its end.

        Returns:
            its exit status, 128 + N if signal N killed it, 126 or 127 if it could not be started, or LOST.
        """
        try:
            status = self.carry_out()
        finally:
            self.give_back()
        if self.lost:
            return LOST
        if status == -signal.SIGINT and self.terminal is not None:
            # Ctrl-C went to the command alone; a script that runs glock is to end as well, and sees by this
            # that it should.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        return status if status >= 0 else 128 - status

    def carry_out(self) -> int:
        """Start it and see it end.

        Returns:
            as `subprocess.Popen.returncode`, or 126 or 127.
        """
        with passed_on_signals() as wakeup:
            try:
                self.start()
            except FileNotFoundError as error:
                say(f"{self.argv[0]}: {error.strerror}")
                return NOT_FOUND
            except OSError as error:
                say(f"{self.argv[0]}: {error.strerror}")
                return NOT_EXECUTABLE
            try:
                return self.watch(wakeup)
            finally:
                self.take_terminal()

    def give_back(self) -> None:
        """Release the lock, unless it is lost or somebody has inherited it."""
        inherited = not self.lost and self.heirs is not None and self.heirs.are_there()
        if self.heirs is not None:
            self.heirs.close()
        if not self.lost:
            # Lost at the last moment: the command has ended already, in its own way.
            with contextlib.suppress(GlockError):
                if inherited:
                    self.lock.leave()
                else:
                    self.lock.release()

    def start(self) -> None:
        fds = []
        if self.heirs is not None:
            fds = self.heirs.pass_fds()
            self.environment["GLOCK_FD"] = str(fds[0])
        try:
            self.process = subprocess.Popen(
                self.argv,
                env=self.environment,
                pass_fds=fds,
                process_group=0 if self.own_group else None,
                preexec_fn=self.enter_foreground if self.terminal is not None else None,
            )
        finally:
            if self.heirs is not None:
                self.heirs.given(fds)

    def watch(self, wakeup: int) -> int:
        """Until the command has ended: pass on signals, and see to it that it does not outlive its lock."""
        assert self.process is not None
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        poll.register(self.lock_fd, select.POLLIN)
        while True:
            left = self.kill_at - time.monotonic()
            ready = poll.poll(None if left > LONGEST else max(0, left) * 1000)
            if any(fd != wakeup for fd, _ in ready) and not self.is_held():
                poll.unregister(self.lock_fd)
                self.end_command()
            if any(fd == wakeup for fd, _ in ready):
                for number in os.read(wakeup, 1024):
                    if number != signal.SIGCHLD:
                        self.signal(number)
                if (status := self.reap()) is not None:
                    if self.lost:
                        self.end_group()
                    return status
            if time.monotonic() >= self.kill_at:
                self.kill_at = float("inf")
                self.signal(signal.SIGKILL)

    def is_held(self) -> bool:
        try:
            self.lock.check()
        except LockLost as loss:
            say(f"{loss}; ending the command")
            self.lost = True
        return not self.lost

    # Its process group

    def signal(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if self.own_group else os.kill)(self.process.pid, number)

    def end_command(self) -> None:
        self.kill_at = time.monotonic() + self.grace
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # one that is stopped could not end

    def end_group(self) -> None:
        """The command has ended, its descendants may not have."""
        if not self.own_group:
            return
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < self.kill_at:
                os.killpg(self.process.pid, 0)
                time.sleep(STILL_THERE)
            os.killpg(self.process.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """The command's exit status (negative: the signal that killed it), if it has ended."""
        assert self.process is not None
        pid, status = os.waitpid(self.process.pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            if self.terminal is not None and not self.lost:
                self.stop_too()
            return None
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode

    # The terminal, as a shell does it: https://www.gnu.org/software/libc/manual/html_node/Implementing-a-Shell.html

    def enter_foreground(self) -> None:
        """In the child, before the command."""
        assert self.terminal is not None
        move_terminal(self.terminal, os.getpid())

    def take_terminal(self) -> None:
        if self.terminal is not None:
            move_terminal(self.terminal, os.getpgrp())

    def stop_too(self) -> None:
        """The command was stopped (Ctrl-Z): so is glock, so that the shell gets its terminal back; fg
        and bg go on."""
        assert self.terminal is not None
        assert self.process is not None
        self.take_terminal()
        os.kill(os.getpid(), signal.SIGSTOP)
        with contextlib.suppress(OSError):
            if os.tcgetpgrp(self.terminal) == os.getpgrp():
                move_terminal(self.terminal, self.process.pid)
        self.signal(signal.SIGCONT)


def foreground_terminal() -> int | None:
    """Standard input, if it is the terminal that glock is in the foreground of."""
    with contextlib.suppress(OSError):
        if os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp():
            return 0
    return None


def move_terminal(terminal: int, group: int) -> None:
    # tcsetpgrp(3): a process in the background that does this gets SIGTTOU, unless it ignores it.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(terminal, group)
    signal.signal(signal.SIGTTOU, before)


@contextlib.contextmanager
def passed_on_signals() -> Iterator[int]:
    """A descriptor from which the numbers of signals that arrive can be read, one byte each.

    Signals that are ignored stay ignored, by the command too: nohup(1) relies on that.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    numbers = [getattr(signal, name) for name in PASSED_ON]
    before = {number: signal.getsignal(number) for number in [*numbers, signal.SIGCHLD]}
    old_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        for number, handler in before.items():
            if handler != signal.SIG_IGN or number == signal.SIGCHLD:
                signal.signal(number, _note)
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_wakeup)
        os.close(reader)
        os.close(writer)


def _note(number: int, frame: object) -> None:
    """The wake-up descriptor tells of it."""


def replace(argv: Sequence[str], lock: Lock, environment: Mapping[str, str]) -> int:
    """Become the command (flock(1)'s --no-fork): nobody watches, but there is one process less.

    Returns:
        126 or 127, and only if it could not be started.
    """
    fd = os.dup(lock.fileno())
    os.set_inheritable(fd, True)
    try:
        os.execvpe(argv[0], list(argv), {**environment, "GLOCK_FD": str(fd)})
    except FileNotFoundError as error:
        say(f"{argv[0]}: {error.strerror}")
        return NOT_FOUND
    except OSError as error:
        say(f"{argv[0]}: {error.strerror}")
        return NOT_EXECUTABLE
