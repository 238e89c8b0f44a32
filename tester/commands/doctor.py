"""`glockd-tester doctor`."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.markup import escape

from .. import doctor
from ..addresses import Address
from .common import FAILED, as_json, plain_errors, progress, say_json
from .types import AddressType, Seconds


@click.command("doctor")
@click.argument("address", type=AddressType())
@click.option(
    "--idle",
    default=30.0,
    show_default=True,
    type=Seconds(0, 86400),
    help="Longest idle time to try; 0: none.",
)
@click.option(
    "--dead-peer",
    default=0.0,
    show_default=True,
    type=Seconds(0, 86400),
    help="Longest time for a vanished peer; 0: do not try.",
)
@as_json
def command(address: Address, idle: float, dead_peer: float, json_output: bool) -> None:
    """Look at the way between here and a server: round trip, idle limit, time to find a vanished peer."""
    with plain_errors():
        findings = [doctor.round_trip(address), doctor.stated_bound(address)]
        if idle:
            with progress(json_output, "idle limit", idle) as advance:
                findings.append(doctor.idle_limit(address, idle, advance))
        if dead_peer:
            with progress(json_output, "dead peer", dead_peer) as advance:
                stated = findings[1].figures["bound"]
                findings.append(doctor.dead_peer(address, dead_peer, stated, advance))
    if json_output:
        say_json({finding.name: {**finding.figures, "worry": finding.worry} for finding in findings})
    else:
        console = Console()
        for finding in findings:
            mark = "[yellow]![/]" if finding.worry else "[green]✓[/]"
            console.print(f"{mark} {escape(finding.sentence)}", highlight=False, soft_wrap=True)
    sys.exit(FAILED if any(finding.worry for finding in findings) else 0)
