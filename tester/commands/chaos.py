"""`glockd-tester chaos`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import click

from .. import chaos as chaos_run
from .. import history
from ..addresses import Address
from ..server import GLOCKD
from .common import as_json, plain_errors, progress
from .types import AddressType, NewFile, Seconds, Words
from .verdict import tell


@click.command("chaos")
@click.argument("addresses", nargs=-1, type=AddressType())
@click.option("--seed", metavar="N", type=int, help="Repeat the choices of an earlier run.")
@click.option("--seconds", "-s", default=10.0, show_default=True, type=Seconds(0.1, 3600), help="How long.")
@click.option(
    "--workers",
    default=3,
    show_default=True,
    metavar="N",
    type=click.IntRange(1, 50),
    help="Processes of clients.",
)
@click.option(
    "--clients",
    default=6,
    show_default=True,
    metavar="N",
    type=click.IntRange(1, 200),
    help="Clients a process.",
)
@click.option(
    "--locks",
    default=4,
    show_default=True,
    metavar="N",
    type=click.IntRange(1, 10_000),
    help="Names to fight for.",
)
@click.option(
    "--grace",
    default=2.0,
    show_default=True,
    type=Seconds(0, 3600),
    help="Seconds to notice that a connection was closed.",
)
@click.option(
    "--transit",
    default=0.0,
    type=Seconds(0, 3600),
    help="Seconds that a packet may be on its way, if the network loses some.",
)
@click.option("--kill-server", is_flag=True, help="Also kill -9 the server and start it again.")
@click.option(
    "--server",
    "command",
    metavar="COMMAND",
    type=Words(),
    help="What to start, instead of this package's glockd.",
)
@click.option(
    "--options", default="", metavar="FLAGS", type=Words(), help="Flags for the server that is started."
)
@click.option("--keep", type=NewFile(), help="Write the history to this file.")
@as_json
def command(
    addresses: Sequence[Address],
    seed: int | None,
    seconds: float,
    workers: int,
    clients: int,
    locks: int,
    grace: float,
    transit: float,
    kill_server: bool,
    command: list[str] | None,
    options: list[str],
    keep: Path | None,
    json_output: bool,
) -> None:
    """Torture a server with random clients and faults, and judge what it did.

    Without ADDRESSES a glockd is started on free loopback ports, and then also stopped (and killed) itself.
    A history with violations is always kept, as glockd-chaos-SEED.jsonl unless --keep says where.
    """
    if addresses and (command or options or kill_server):
        raise click.UsageError("--server, --options and --kill-server are for a server that is started here")
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    settings = chaos_run.Settings(
        seed, seconds, workers, clients, locks, grace=grace, transit=transit, kill_server=kill_server
    )
    with plain_errors(), progress(json_output, f"chaos, seed {seed}", seconds) as advance:
        report = chaos_run.run(
            settings,
            addresses,
            command=command or GLOCKD,
            options=options,
            tell=advance,
        )
        if report.violations and keep is None:
            keep = Path(f"glockd-chaos-{seed}.jsonl")
        if keep is not None:
            history.write_records(keep, report.records)
    extra = {"seed": seed, "faults": report.faults, **report.figures}
    tell(report.violations, extra, keep, json_output)
