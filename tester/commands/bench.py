"""`glockd-tester bench`."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import bench as benchmarks
from .. import load, plot
from ..addresses import Address, parse_address
from .common import Unusable, as_json, plain_errors, progress, say_json
from .types import AddressType, NewFile, Seconds


@click.command("bench")
@click.argument("name", metavar="BENCHMARK", type=click.Choice(list(benchmarks.BENCHMARKS)))
@click.argument("address", type=AddressType())
@click.option(
    "--vs", metavar="ADDRESS|echo", help="Another server to run in turn; `echo`: a bare echo of our own."
)
@click.option(
    "--connections", "-c", metavar="N", type=click.IntRange(1), help="Connections (handover: waiters)."
)
@click.option("--pipeline", "-p", metavar="N", type=click.IntRange(1, 1000), help="Commands a packet.")
@click.option(
    "--seconds", "-s", default=3.0, show_default=True, type=Seconds(0.05, 600), help="How long, each."
)
@click.option(
    "--rounds",
    "-r",
    default=3,
    show_default=True,
    metavar="N",
    type=click.IntRange(1, 100),
    help="Turns with --vs.",
)
@click.option("--hold", default=0.0, type=Seconds(0, 10), help="handover: seconds a holder keeps the lock.")
@click.option("--core", metavar="N", type=click.IntRange(0), help="The processor for the load (taskset).")
@click.option(
    "--pid", metavar="N", type=click.IntRange(1), help="The server's process, if it cannot be found."
)
@click.option("--plot", "picture", type=NewFile(), help="Write histograms as SVG.")
@as_json
def command(
    name: str,
    address: Address,
    vs: str | None,
    connections: int | None,
    pipeline: int | None,
    seconds: float,
    rounds: int,
    hold: float,
    core: int | None,
    pid: int | None,
    picture: Path | None,
    json_output: bool,
) -> None:
    """Measure a server: pingpong, pipelined, handover, websocket or idle.

    The load comes from C programs that are compiled on the spot. With a local server its CPU time per
    command is told.
    """
    settings = benchmarks.Settings(connections or 0, pipeline or 0, seconds, core, pid, hold=hold)
    with plain_errors():
        if vs is None:
            turns = [[_measure(name, address, settings, json_output)]]
        else:
            with _opponent(vs) as (other, is_echo):
                both = [(address, settings), (other, replace(settings, pid=None, echo=is_echo))]
                turns = [
                    [_measure(name, where, how, json_output) for where, how in both] for _ in range(rounds)
                ]
        if picture is not None:
            _draw(picture, name, turns)
    if json_output and vs is None:
        say_json(turns[0][0].as_json())
    elif json_output:
        say_json(
            {"turns": [[outcome.as_json() for outcome in turn] for turn in turns], "ratios": _ratios(turns)}
        )
    else:
        _show_bench(turns)


@contextmanager
def _opponent(vs: str) -> Iterator[tuple[Address, bool]]:
    if vs == "echo":
        with load.echo_server() as echo:
            yield echo, True
    else:
        try:
            yield parse_address(vs), False
        except ValueError as problem:
            raise click.BadParameter(str(problem), param_hint="--vs") from problem


def _measure(name: str, address: Address, settings: benchmarks.Settings, quiet: bool) -> benchmarks.Outcome:
    """Run one benchmark, with a bar that follows the clock since the load generator tells only at its end."""
    with progress(quiet, f"{name} {address}", settings.seconds) as advance, ticking(advance):
        return benchmarks.run(name, address, settings)


@contextmanager
def ticking(advance: Callable[[float], None]) -> Iterator[None]:
    """Call `advance` with the seconds since the start, ten times a second, in a thread."""
    start, over = time.monotonic(), threading.Event()

    def tick() -> None:
        while not over.wait(0.1):
            advance(time.monotonic() - start)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ratios(turns: Sequence[Sequence[benchmarks.Outcome]]) -> dict[str, float]:
    """For each figure the median, over the turns, of the first server's divided by the second's."""
    ratios = {}
    for figure in turns[0][0].figures:
        pairs = [(one.figures.get(figure), two.figures.get(figure)) for one, two in turns]
        values = [one / two for one, two in pairs if one is not None and two]
        if values:
            ratios[figure] = round(statistics.median(values), 3)
    return ratios


def _draw(picture: Path, name: str, turns: Sequence[Sequence[benchmarks.Outcome]]) -> None:
    try:
        picture.write_text(plot.svg({f"{name} {each.server}": each.histogram for each in turns[-1]}), "utf-8")
    except ValueError as problem:
        raise Unusable(str(problem)) from problem


def _show_bench(turns: Sequence[Sequence[benchmarks.Outcome]]) -> None:
    console = Console()
    for outcome in turns[-1]:
        console.print(f"[bold]{outcome.name}[/] {escape(outcome.server)}", highlight=False, soft_wrap=True)
        for figure, value in outcome.figures.items():
            console.print(f"  {figure.replace('_', ' '):<30} {value:>14,g}", highlight=False, soft_wrap=True)
        for line in outcome.histogram.bars():
            console.print(f"  {line}", highlight=False, soft_wrap=True)
        if outcome.note:
            console.print(f"[yellow]{outcome.note}", highlight=False, soft_wrap=True)
    if len(turns[0]) == 2:
        table = Table("figure", "ratio, first to second", title=f"medians, turns: {len(turns)}")
        for figure, ratio in _ratios(turns).items():
            table.add_row(figure.replace("_", " "), f"{ratio:.3f}")
        console.print(table)
