"""All commands and options of `glock`, once; the man page is made from this table.

A command imports what it needs when it runs, so that `glock run` does not wait for what `glock top` draws with.
"""

from __future__ import annotations

import click

from glock import __version__
from glock.cli import exits, items, locking, questions, windows
from glock.cli.completion import completion
from glock.cli.options import HELP, Group, Seconds, Settings, later

EPILOG = "Exit codes of glock itself: " + "; ".join(f"{number} {text}" for number, text in exits.TABLE) + "."


@click.group(cls=Group, epilog=EPILOG, context_settings=HELP)
@click.option(
    "-S",
    "--server",
    metavar="URL",
    envvar="GLOCK_SERVER",
    show_envvar=True,
    shell_complete=later("servers"),
    help="The lock server: HOST, HOST:PORT, /PATH, tcp://HOST:PORT, unix:///PATH, tls://HOST:PORT or "
    "ws://HOST:PORT; several with commas between share the names among them.  [default: tcp://127.0.0.1:9999]",
)
@click.option(
    "--timeout",
    type=Seconds(positive=True, finite=True),
    default=30.0,
    metavar="SECS",
    show_default=True,
    help="How long the server may take to connect, or to answer anything beyond the wait asked for.",
)
@click.option(
    "--alive",
    type=Seconds(positive=True, finite=True),
    metavar="SECS",
    help="Have the server say that often that it is there, so that no proxy takes the connection for idle; when "
    "nothing has come for 2.5 times as long, the lock counts as lost.",
)
@click.option(
    "--as",
    "name",
    metavar="NAME",
    help="What other clients see who holds or waits by `run` and `get`.  [default: USER@HOST:PID]",
)
@click.version_option(__version__, prog_name="glock")
@click.pass_context
def glock(
    ctx: click.Context, server: str | None, timeout: float, alive: float | None, name: str | None
) -> None:
    """Locks of a glockd server, from the shell.

    The secret of a server that wants one is taken from the environment variable GLOCK_SECRET.
    """
    from glock.address import servers

    if server is not None and not server.strip():
        server = None  # as if the variable were not set
    try:
        servers(server)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server or GLOCK_SERVER") from None
    ctx.obj = Settings(server, timeout, alive, name)


for _command in (
    locking.run,
    locking.get,
    items.put,
    items.work,
    items.pools,
    windows.book,
    windows.bookings,
    windows.unbook,
    questions.inspect,
    questions.list_locks,
    questions.who,
    questions.explain,
    questions.history,
    questions.stats,
    questions.top,
    questions.kick,
    questions.ping,
    completion,
):
    glock.add_command(_command)
