"""The questions that `glock` asks a server, and `kick`."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from glock.cli.options import Seconds, Settings, any_lock, json_option, later, lock_name
from glock.cli.output import Column, printable, show, show_json
from glock.cli.words import clock, event_of, explained, full, span

LONGEST = 1e8  # seconds between two samples: what time.sleep and select(2) take everywhere


@click.command(epilog="Exit codes: 0 held, 1 free; else those of `glock --help`.")
@lock_name
@click.option("-s", "--shared", is_flag=True, help="The shared lock of this name.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code tells.")
@click.pass_obj
def inspect(settings: Settings, name: str, shared: bool, quiet: bool) -> NoReturn:
    """Is the lock NAME held?"""
    with settings.client() as client:
        count = client.inspect_shared(name) if shared else int(client.inspect(name))
    if not quiet:
        print(f"held by {count}" if shared and count else "held" if count else "free")
    sys.exit(0 if count else 1)


@click.command("list")
@any_lock
@json_option
@click.pass_obj
def list_locks(settings: Settings, name: str | None, as_json: bool) -> None:
    """Which locks are held by whom, for how long, and how many wait for how long; all locks, or NAME.

    One line a lock; those that somebody has waited for longest come first. In a pipe times are seconds.
    """
    from glock.cli.listing import COLUMNS, locks

    with settings.client() as client:
        show(COLUMNS, (lock.row for lock in locks(client, name)), as_json)


@click.command()
@click.argument("name", required=False, shell_complete=later("clients"))
@json_option
@click.pass_obj
def who(settings: Settings, name: str | None, as_json: bool) -> None:
    """Clients that have registered a name, or those with just this NAME."""
    with settings.client() as client:
        found = client.who(name)
    show((Column("address"), Column("name")), ((each.address, each.name) for each in found), as_json)


@click.command()
@lock_name
@json_option
@click.pass_obj
def explain(settings: Settings, name: str, as_json: bool) -> None:
    """Who holds the lock NAME and who waits for it, for how long, with what token and lease.

    And what happened to it lately, if the server keeps a history.
    """
    from glock.errors import Disabled

    with settings.client() as client:
        found = client.explain(name)
        if as_json:
            show_json(found)
            return
        try:
            events = client.history(name)
        except Disabled:
            events = []
    for line in explained(found, events):
        print(line)


HISTORY = (
    Column("time"),
    Column("event"),
    Column("lock"),
    Column("client"),
    Column("waited", span),
    Column("held", span),
    Column("token"),
    Column("detail"),
)


@click.command()
@any_lock
@json_option
@click.pass_obj
def history(settings: Settings, name: str | None, as_json: bool) -> None:
    """The latest events of the lock NAME, or of all, oldest first. Needs glockd's -history.

    Times are local; in JSON they are seconds since 1970.
    """
    with settings.client() as client:
        events = client.history(name)
    if as_json:
        show_json(events)
        return
    rows = (
        (
            clock(each["time"]),
            event_of(each),
            each["lock"],
            full(each),
            each["waited"] or None,
            each["held"] or None,
            each["token"],
            each["detail"] or None,
        )
        for each in events
    )
    show(HISTORY, rows, False)


@click.command()
@json_option
@click.pass_obj
def stats(settings: Settings, as_json: bool) -> None:
    """The server's counters."""
    with settings.client() as client:
        counters = client.stats()
    if as_json:
        show_json(counters)
    else:
        show((Column("counter"), Column("value")), counters.items(), False)


@click.command()
@click.option(
    "-d",
    "--delay",
    type=Seconds(positive=True, finite=True),
    default=1.0,
    metavar="SECS",
    show_default=True,
    help="Between two samples; 0.1 at least.",
)
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="End after N samples.")
@click.pass_obj
def top(settings: Settings, delay: float, count: int | None) -> None:
    """What the server is doing, live; q or Ctrl-C ends it. Who has waited longest comes first.

    In a pipe: one line a sample, with connections, locks, shared locks, orphans and commands a second.
    """
    from glock.cli.top import top as run_top

    with settings.client() as client:
        run_top(client, min(max(delay, 0.1), LONGEST), count)


@click.command(
    epilog="Exit codes: 0 if a session was ended, 1 if there was none; else those of `glock --help`."
)
@click.argument("session", shell_complete=later("sessions"))
@click.pass_obj
def kick(settings: Settings, session: str) -> NoReturn:
    """End the session with the address SESSION, or all that have registered this name.

    The server allows it only with -admin: on its Unix socket, or on its websocket with a secret.
    """
    with settings.client() as client:
        count = client.kick(session)
    print(f"{count} kicked")
    sys.exit(0 if count else 1)


@click.command()
@click.pass_obj
def ping(settings: Settings) -> None:
    """The time of one question and its answer."""
    with settings.client() as client:
        client.ping()
        version = client.version() or "the original glockd"
        print(f"{printable(version)}: {client.ping() * 1e3:.3f} ms")
