"""`glock put`, `glock pool` and `glock work`: work lists."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from glock.cli import exits
from glock.cli.options import Seconds, Settings, json_option, later
from glock.cli.output import Column, printable, say, show, show_json

pool_name = click.argument("pool", shell_complete=later("pools"))


@click.command(
    epilog="Exit codes: 0 all are in the list now; 1 some were in it already, or there was no room; else those of "
    "`glock --help`."
)
@pool_name
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.pass_obj
def put(settings: Settings, pool: str, items: tuple[str, ...]) -> NoReturn:
    """Put ITEMs into the list POOL, or each line of standard input; an item may have blanks in it.

    Lines that are empty are passed over.
    """
    refused = 0
    lines = items or (line.rstrip("\r\n") for line in sys.stdin)
    with settings.client() as client:
        for item in lines:
            if item.strip() and not client.put(pool, item):
                refused += 1
                say(f"not put: {printable(item)}")
    sys.exit(1 if refused else 0)


COUNTS = ("pool", "free", "held", "waiting", "done", "failed", "orphaned")


@click.command("pool")
@click.argument("pool", required=False, shell_complete=later("pools"))
@json_option
@click.pass_obj
def pools(settings: Settings, pool: str | None, as_json: bool) -> None:
    """How many items of the list POOL, or of every list, are free, held, waited for and so on."""
    with settings.client() as client:
        found = client.pools() if pool is None else [client.pool(pool)]
    if as_json:
        show_json(found)
    else:
        show([Column(each) for each in COUNTS], ([one[each] for each in COUNTS] for one in found), False)


@click.command(
    epilog="Exit codes: 0 every item was done; 1 some failed; 126 or 127 if COMMAND could not be started, its item "
    "given back; 128+N ended by signal N, items given back; else "
    + "; ".join(
        f"{number} {text}" for number, text in exits.TABLE if number not in (exits.BUSY, exits.TIMED_OUT)
    )
    + ".",
)
@pool_name
@click.argument("command", nargs=-1, type=click.UNPROCESSED, shell_complete=later("words_of_a_command"))
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 1000),
    default=1,
    metavar="N",
    show_default=True,
    help="Side by side.",
)
@click.option(
    "-r",
    "--retries",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    show_default=True,
    help="How often an item whose command fails is given back for another attempt, by whomever, before it counts as "
    "failed.",
)
@click.option("--stay", is_flag=True, help="Wait for more when the list is empty, and never end.")
@click.option(
    "--keep",
    type=Seconds(positive=True, finite=True),
    metavar="SECS",
    help="A command that runs for longer loses its item, and is ended.",
)
@click.option(
    "--grace",
    type=Seconds(),
    default=10.0,
    metavar="SECS",
    show_default=True,
    help="A command whose item is lost gets TERM, and KILL after SECS (inf: never).",
)
@click.option(
    "-o",
    "--close",
    is_flag=True,
    help="Commands do not inherit the connection: if glock is killed, their items are free at once.",
)
@click.pass_obj
def work(
    settings: Settings,
    pool: str,
    command: tuple[str, ...],
    jobs: int,
    retries: int,
    stay: bool,
    keep: float | None,
    grace: float,
    close: bool,
) -> NoReturn:
    """Run COMMAND for one item of the list POOL after the other, until the list is empty.

    Between the list and a COMMAND with options of its own stands --. The item is COMMAND's last argument, or stands
    where COMMAND says {}; it is in GLOCK_ITEM too, the list in GLOCK_POOL, and in GLOCK_ATTEMPT how often the item has
    been taken. Exit status 0 says that the item is done. Standard input is empty.

    An item that others work on may come back: so glock ends only when nobody holds one. If glock is killed, what it has
    started goes on, and an item is free again when the last descendant that has the connection (descriptor GLOCK_FD) is
    gone; on tls:// and ws:// at once.
    """
    import asyncio

    from glock.address import servers
    from glock.cli.working import Foreman

    if command[:1] == ("--",):
        command = command[1:]
    if not command:
        raise click.UsageError("a command is needed, behind the list")
    plain = all(address.is_stream for address in servers(settings.server))
    foreman = Foreman(
        pool,
        command,
        server=settings.server,
        jobs=jobs,
        retries=retries,
        stay=stay,
        keep=keep,
        grace=grace,
        inherit=plain and not close,
    )
    options = {"timeout": settings.timeout, "alive": settings.alive, "name": settings.holder}
    sys.exit(asyncio.run(foreman.run(settings.server, options)))
