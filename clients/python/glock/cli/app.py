"""All commands and options of `glock`, once; the man page is made from this table."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from glock import __version__
from glock.address import servers
from glock.cli import exits
from glock.cli.output import printable, show, show_json
from glock.cli.run import Command, replace, say
from glock.client import Client
from glock.errors import GlockError
from glock.locks import Lock, LockRequest

INFINITE = float("inf")


class Failed(click.ClickException):
    """An error of the library, as one line and an exit code."""

    def __init__(self, error: GlockError, code: int) -> None:
        super().__init__(str(error))
        vars(self)["exit_code"] = code  # click's type stubs have it as a class's

    def show(self, file: Any = None) -> None:
        say(printable(self.message))


class Glock(click.Group):
    """Turns what can go wrong into exit codes; no traceback reaches a user."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GlockError as error:
            raise Failed(error, exits.code(error)) from error
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(130)


@dataclass(frozen=True)
class Settings:
    """Options of the group."""

    server: str | None
    timeout: float

    def client(self) -> Client:
        return Client(self.server, timeout=self.timeout)


EPILOG = "Exit codes of glock itself: " + "; ".join(f"{number} {text}" for number, text in exits.TABLE) + "."


@click.group(cls=Glock, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-S",
    "--server",
    metavar="URL",
    envvar="GLOCK_SERVER",
    show_envvar=True,
    help="The lock server: tcp://HOST:PORT, unix:///PATH, tls://HOST:PORT or ws://HOST:PORT; several with "
    "commas between share the names among them.  [default: tcp://127.0.0.1:9999]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    metavar="SECS",
    show_default=True,
    help="How long the server may take to connect, or to answer anything beyond the wait asked for.",
)
@click.version_option(__version__, prog_name="glock")
@click.pass_context
def glock(ctx: click.Context, server: str | None, timeout: float) -> None:
    """Locks of a glockd server, from the shell.

    The secret of a server that wants one is taken from the environment variable GLOCK_SECRET.
    """
    try:
        servers(server)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server or GLOCK_SERVER") from None
    ctx.obj = Settings(server, timeout)


def seconds(ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Seconds, `inf` included."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise click.BadParameter(f"{value!r} is no number of seconds, 0 or more")
    return number


def lock_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How to get a lock: the same for `run` and `get`."""
    for option in (
        click.option(
            "-E",
            "--conflict-exit-code",
            "conflict",
            type=click.IntRange(0, 255),
            metavar="CODE",
            help="Exit with CODE, not 75 or 76, if the lock cannot be got.",
        ),
        click.option(
            "-s",
            "--shared",
            "limit",
            type=click.IntRange(1),
            metavar="LIMIT",
            help="The shared lock of this name (not the exclusive one), only while fewer than LIMIT hold it.",
        ),
        click.option(
            "--read",
            "-r",
            is_flag=True,
            help="The lock for reading: readers share it, and exclude those without --read.",
        ),
        click.option(
            "-w",
            "--wait",
            "--timeout",
            callback=seconds,
            metavar="SECS",
            help="Wait for at most SECS (0: as -n).  [default: for as long as it takes]",
        ),
        click.option("-n", "--nonblock", "--nb", is_flag=True, help="Do not wait."),
    ):
        function = option(function)
    return function


def request(
    client: Client, name: str, wait: float | None, nonblock: bool, limit: int | None, read: bool
) -> LockRequest:
    """The lock that the options of `lock_options` ask for."""
    if nonblock and wait:
        raise click.UsageError("-n and -w exclude each other")
    if read and limit is not None:
        raise click.UsageError("--read and -s exclude each other")
    wait = 0.0 if nonblock else INFINITE if wait is None else wait
    if limit is not None:
        return client.shared(name, limit=limit, wait=wait)
    return client.read(name, wait=wait) if read else client.lock(name, wait=wait)


def acquire(wanted: LockRequest, conflict: int | None) -> Lock:
    try:
        return wanted.acquire()
    except GlockError as error:
        code = exits.code(error)
        if conflict is not None and code in (exits.BUSY, exits.TIMED_OUT):
            code = conflict
        raise Failed(error, code) from error


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


@glock.command(
    context_settings={"allow_interspersed_args": False},  # what comes behind the name is the command's
    epilog="Exit codes: the command's own; 128+N if signal N killed it; 126 or 127 if it could not be "
    "started; else " + "; ".join(f"{number} {text}" for number, text in exits.TABLE) + ".",
)
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@lock_options
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=10.0,
    metavar="SECS",
    show_default=True,
    help="When the lock is lost, the command's process group gets TERM, and KILL after SECS.",
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
    help="Become the command instead of starting it. Nobody ends it then when the lock is lost.",
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

    Signals are passed on to the command's process group.
    """
    if command[:1] == ("--",):
        command = command[1:]
    elif shell is None and len(command) == 2 and command[0] == "-c":
        shell, command = command[1], ()  # flock(1) has it behind the name
    if (shell is None) == (not command):
        raise click.UsageError("a command is needed, behind the name or by -c, and not both")
    if no_fork and (close or foreground):
        raise click.UsageError("-F excludes -o and --foreground")
    argv = [os.environ.get("SHELL") or "/bin/sh", "-c", shell] if shell is not None else list(command)
    client = settings.client()
    plain = all(address.is_stream for address in servers(settings.server))
    if no_fork and not plain:
        raise click.UsageError("-F needs tcp:// or unix://, where the command can hold the connection")
    if not plain and not close:
        say("on this kind of connection only glock holds the lock: it ends with glock (-o: as wanted)")
    begin = time.monotonic()
    lock = acquire(request(client, name, wait, nonblock, limit, read), conflict)
    if verbose:
        say(f"got {printable(lock.name)!r} after {time.monotonic() - begin:.3f} s, token {lock.token}")
    told = environment(settings, lock)
    if no_fork:
        sys.exit(replace(argv, lock, told))
    inherit = plain and not close
    sys.exit(
        Command(argv, lock, grace=grace, inherit=inherit, environment=told, own_group=not foreground).run()
    )


@glock.command(epilog="Exit codes: 0 when standard input is closed; else those of `glock --help`.")
@click.argument("name")
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
    """Hold the lock NAME until standard input is closed.

    Once it is held, one line is written: its fencing token (- if there is none) and its name.
    """
    with settings.client() as client:
        lock = acquire(request(client, name, wait, nonblock, limit, read), conflict)
        click.echo(f"{'-' if lock.token is None else lock.token} {printable(lock.name)}")
        sys.stdout.flush()
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(lock.fileno(), select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if lock.fileno() in ready:
                lock.check()
            if 0 in ready and not os.read(0, 65536):
                return


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@glock.command(epilog="Exit codes: 0 held, 1 free; else those of `glock --help`.")
@click.argument("name")
@click.option("-s", "--shared", is_flag=True, help="The shared lock of this name.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells.")
@click.pass_obj
def inspect(settings: Settings, name: str, shared: bool, quiet: bool) -> NoReturn:
    """Is the lock NAME held?"""
    with settings.client() as client:
        count = client.inspect_shared(name) if shared else int(client.inspect(name))
    if not quiet:
        click.echo(f"held by {count}" if shared and count else "held" if count else "free")
    sys.exit(0 if count else 1)


@glock.command("list")
@click.argument("name", required=False)
@json_option
@click.pass_obj
def list_locks(settings: Settings, name: str | None, as_json: bool) -> None:
    """Who holds which locks: all of them, or NAME. One line a holder."""
    with settings.client() as client:
        kinds = (("exclusive", client.holders(name)), ("shared", client.holders(name, shared=True)))
    show(
        ("kind", "lock", "holder"),
        ((kind, each.name, each.who) for kind, held in kinds for each in held),
        as_json,
    )


@glock.command()
@click.argument("name", required=False)
@json_option
@click.pass_obj
def who(settings: Settings, name: str | None, as_json: bool) -> None:
    """Clients that have registered a name, or those with just this NAME."""
    with settings.client() as client:
        show(("address", "name"), ((each.address, each.name) for each in client.who(name)), as_json)


@glock.command()
@click.argument("name")
@json_option
@click.pass_obj
def explain(settings: Settings, name: str, as_json: bool) -> None:
    """Who holds the lock NAME and who waits for it, since when, and with what token and lease."""
    with settings.client() as client:
        found = client.explain(name)
    if as_json:
        show_json(found)
        return
    for line in explained(found):
        click.echo(line)


def explained(value: Any, indent: str = "") -> list[str]:
    """JSON as indented lines, whatever its keys."""
    lines = []
    items = (
        value.items()
        if isinstance(value, dict)
        else ((str(place), each) for place, each in enumerate(value, 1))
    )
    for key, each in items:
        if isinstance(each, dict | list):
            lines.append(f"{indent}{printable(key)}:" + ("" if each else " none"))
            lines.extend(explained(each, indent + "  "))
        else:
            lines.append(f"{indent}{printable(key)}: {printable(each)}")
    return lines


@glock.command()
@click.argument("name", required=False)
@json_option
@click.pass_obj
def history(settings: Settings, name: str | None, as_json: bool) -> None:
    """The latest events of the lock NAME, or of all, oldest first. Needs glockd's -history."""
    with settings.client() as client:
        events = client.history(name)
    if as_json:
        show_json(events)
        return
    columns = list(dict.fromkeys(key for event in events for key in event))
    show(columns, ([event.get(column) for column in columns] for event in events), False)


@glock.command()
@json_option
@click.pass_obj
def stats(settings: Settings, as_json: bool) -> None:
    """The server's counters."""
    with settings.client() as client:
        counters = client.stats()
    if as_json:
        show_json(counters)
    else:
        show(("counter", "value"), counters.items(), False)


@glock.command()
@click.option(
    "-d",
    "--delay",
    type=click.FloatRange(0.1),
    default=1.0,
    metavar="SECS",
    show_default=True,
    help="Between two samples.",
)
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="End after N samples.")
@click.pass_obj
def top(settings: Settings, delay: float, count: int | None) -> None:
    """What the server is doing, live; q ends it.

    In a pipe, one line a sample: connections, locks, shared locks, orphans, commands a second.
    """
    from glock.cli.top import top as run_top

    with settings.client() as client:
        run_top(client, delay, count)


@glock.command(
    epilog="Exit codes: 0 if a session was ended, 1 if there was none; else those of `glock --help`."
)
@click.argument("session")
@click.pass_obj
def kick(settings: Settings, session: str) -> NoReturn:
    """End the session with the address SESSION, or all that have registered this name.

    The server allows it only on its Unix socket, and with -admin.
    """
    with settings.client() as client:
        count = client.kick(session)
    click.echo(f"{count} kicked")
    sys.exit(0 if count else 1)


@glock.command()
@click.pass_obj
def ping(settings: Settings) -> None:
    """The time of one question and its answer."""
    with settings.client() as client:
        client.ping()
        version = client.version() or "the original glockd"
        click.echo(f"{printable(version)}: {client.ping() * 1e3:.3f} ms")
