"""`glock run` and `glock get`: commands that hold a lock."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from glock.cli import exits
from glock.cli.options import Seconds, Settings, later, lock_name, lock_options
from glock.cli.output import printable, say

if TYPE_CHECKING:
    from glock.locks import Lock


def environment(settings: Settings, lock: Lock) -> dict[str, str]:
    """What a command is told about its lock."""
    told = {**os.environ, "GLOCK_NAME": lock.name}
    told.pop("GLOCK_TOKEN", None)  # an outer lock's
    told.pop("GLOCK_FD", None)
    if lock.token is not None:
        told["GLOCK_TOKEN"] = str(lock.token)
    if settings.server is not None:
        told["GLOCK_SERVER"] = settings.server
    return told


def arguments_of(command: tuple[str, ...], shell: str | None) -> list[str]:
    """The command to start, however it was given.

    Raises:
        click.UsageError: there is none, or there are two.
    """
    if command[:1] == ("--",):
        command = command[1:]
    elif shell is None and len(command) == 2 and command[0] == "-c":
        shell, command = command[1], ()  # flock(1) has it behind the name
    if (shell is None) == (not command):
        raise click.UsageError("a command is needed, behind the name or by -c, and not both")
    return [os.environ.get("SHELL") or "/bin/sh", "-c", shell] if shell is not None else list(command)


@click.command(
    context_settings={"allow_interspersed_args": False},  # what comes behind the name is the command's
    epilog="Exit codes: the command's own; 128+N if signal N killed it; 126 or 127 if it could not be "
    "started; else " + "; ".join(f"{number} {text}" for number, text in exits.TABLE) + ".",
)
@lock_name
@click.argument("command", nargs=-1, type=click.UNPROCESSED, shell_complete=later("words_of_a_command"))
@lock_options
@click.option(
    "--grace",
    type=Seconds(),
    default=10.0,
    metavar="SECS",
    show_default=True,
    help="When the lock is lost, the command's process group gets TERM, and KILL after SECS (inf: never).",
)
@click.option(
    "-c", "--command", "shell", metavar="COMMAND", help="Run COMMAND in a shell ($SHELL, or else /bin/sh)."
)
@click.option(
    "-o",
    "--close",
    is_flag=True,
    help="The command does not inherit the connection: the lock ends with glock, not with the command's "
    "last descendant.",
)
@click.option(
    "-F",
    "--no-fork",
    is_flag=True,
    help="Become the command instead of starting it. Nobody releases the lock then: it ends with the command, as "
    "an orphan; and nobody ends the command when the lock is lost.",
)
@click.option(
    "--foreground",
    is_flag=True,
    help="Leave the command in glock's own process group, as a pipe to a pager wants it; signals then reach "
    "only the command itself, not its children.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say on standard error how long it took to get the lock.")
@click.pass_obj
def run(
    settings: Settings,
    name: str,
    command: tuple[str, ...],
    wait: float | None,
    nonblock: bool,
    limit: int | None,
    read: bool,
    conflict: int | None,
    grace: float,
    shell: str | None,
    close: bool,
    no_fork: bool,
    foreground: bool,
    verbose: bool,
) -> NoReturn:
    """Run COMMAND while holding the lock NAME, as flock(1) does with a file.

    The command finds the lock's fencing token in GLOCK_TOKEN and its name in GLOCK_NAME. On tcp:// and unix://
    it also inherits the connection (descriptor GLOCK_FD): the lock is held until the last descendant that has
    it is gone, even if glock itself is killed. On tls:// and ws:// that cannot be: the lock ends with glock.
    When the command has ended and none of its descendants has the connection, glock releases the lock before
    it ends itself.

    Signals are passed on to the command's process group. On a terminal, whoever waits for more than a second is
    told who holds the lock.
    """
    from glock.address import servers
    from glock.cli.acquiring import acquire, request
    from glock.cli.run import Command, replace

    argv = arguments_of(command, shell)
    if no_fork and (close or foreground):
        raise click.UsageError("-F excludes -o and --foreground")
    plain = all(address.is_stream for address in servers(settings.server))
    if no_fork and not plain:
        raise click.UsageError("-F needs tcp:// or unix://, where the command can hold the connection")
    if no_fork and settings.alive is not None:
        raise click.UsageError("-F excludes --alive: nobody would read the signs of life")
    client = settings.client(name=settings.holder)
    wanted = request(client, name, wait, nonblock, limit, read)
    if not plain and not close:
        say("on this kind of connection only glock holds the lock: it ends with glock (-o: as wanted)")
    begin = time.monotonic()
    lock = acquire(client, wanted, conflict, settings.holder)
    if verbose:
        say(f"got {printable(lock.name)!r} after {time.monotonic() - begin:.3f} s, token {lock.token}")
    told = environment(settings, lock)
    if no_fork:
        sys.exit(replace(argv, lock, told))
    started = Command(
        argv, lock, grace=grace, inherit=plain and not close, environment=told, own_group=not foreground
    )
    sys.exit(started.run())


@click.command(epilog="Exit codes: 0 when standard input is closed; else those of `glock --help`.")
@lock_name
@lock_options
@click.pass_obj
def get(
    settings: Settings,
    name: str,
    wait: float | None,
    nonblock: bool,
    limit: int | None,
    read: bool,
    conflict: int | None,
) -> None:
    """Hold the lock NAME until standard input is closed, and release it then.

    Once it is held, one line is written: its fencing token (- if there is none) and its name.
    """
    from glock.cli.acquiring import acquire, request

    with settings.client(name=settings.holder) as client:
        wanted = request(client, name, wait, nonblock, limit, read)
        with acquire(client, wanted, conflict, settings.holder) as lock:
            print("-" if lock.token is None else lock.token, printable(lock.name), flush=True)
            hold_until_input_ends(lock)


def hold_until_input_ends(lock: Lock) -> None:
    """
    Raises:
        LockLost: it was lost before.
    """
    import select

    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(lock.fileno(), select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if any(fd != 0 for fd in ready):
            lock.check()
        if 0 in ready and not os.read(0, 65536):
            return
