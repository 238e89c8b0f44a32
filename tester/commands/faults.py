"""`glockd-tester faults`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.markup import escape

# faults_… add theirs to faults.FAULTS
from .. import faults, faults_clients, faults_daemon, faults_ldlm, faults_work  # noqa: F401
from .common import FAILED, UNUSABLE, Unusable, as_json, plain_errors, progress, say_json


@click.command("faults", epilog=", ".join(faults.FAULTS))
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(faults.FAULTS)))
@click.option("--quick", is_flag=True, help="A hundredth of the work.")
@as_json
def command(names: Sequence[str], quick: bool, json_output: bool) -> None:
    """Do faults to glockds started for it: those NAMEd below, or all; tell the figures and what failed."""
    reports = []
    for name in names or faults.FAULTS:
        with progress(json_output, name, 1):
            try:
                with plain_errors():
                    reports.append(faults.run(name, quick=quick))
            except Unusable as problem:
                if names:
                    raise
                click.echo(f"{name}: not done: {problem.message}", err=True)
                continue
        if not json_output:
            _show_fault(reports[-1])
    if json_output:
        say_json({"faults": [report.as_json() for report in reports]})
    sys.exit(FAILED if any(report.failures for report in reports) else 0 if reports else UNUSABLE)


def _show_fault(report: faults.Report) -> None:
    console = Console()
    mark = "[red]✗[/]" if report.failures else "[green]✓[/]"
    console.print(f"{mark} [bold]{report.name}[/]", highlight=False, soft_wrap=True)
    for what, figure in report.figures.items():
        console.print(f"  {escape(what):<50} {figure}", highlight=False, soft_wrap=True)
    for failure in report.failures:
        console.print(f"  [red]{escape(failure)}[/]", highlight=False, soft_wrap=True)
