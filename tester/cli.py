"""The console command `glockd-tester`: options to settings, results to a terminal or to JSON."""

from __future__ import annotations

import json
import math
import os
import random
import shlex
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from . import bench as benchmarks
from . import chaos as chaos_run
from . import (  # noqa: F401  # faults_… add theirs to faults.FAULTS
    checker,
    conformance,
    doctor,
    faults,
    faults_clients,
    faults_daemon,
    history,
    load,
    plot,
    replay,
)
from .addresses import Address, Transport, parse_address
from .link import NoNetwork
from .peers import Ended
from .server import GLOCKD, LocalServer, NotStarted
from .transcript import DEFAULT_FLAGS, Malformed

FAILED, UNUSABLE = 1, 2  # exit codes: the server failed a test; the test could not be done


class AddressType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """An address of a server, in any of the spellings of `parse_address`."""

    name = "address"

    def __init__(self, transport: Transport = "tcp") -> None:
        self.transport = transport

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return parse_address(value, self.transport)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Seconds(click.FloatRange):
    """Some seconds; unlike for FloatRange, nan is none and neither is infinity."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return number


class Words(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # as above
    """A command line, taken apart as a shell would."""

    name = "words"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        try:
            return shlex.split(value) if isinstance(value, str) else value
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)


class NewFile(click.Path):
    """A file to be written at the end, in a folder that is there from the beginning."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            self.fail(f"{str(path)!r}: nothing can be written there", param, ctx)
        return path


class Unusable(click.ClickException):
    """What was asked for could not be done; exit code 2."""

    exit_code = UNUSABLE


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--json", "json_output", is_flag=True, help="Print one JSON object and nothing else."
    )(function)


def say_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what can go wrong with a server into one line and exit code 2."""
    try:
        yield
    except (
        load.NoCompiler,
        load.LoadFailed,
        benchmarks.Unsupported,
        NotStarted,
        Malformed,
        NoNetwork,
    ) as problem:
        raise Unusable(str(problem)) from problem
    except (history.NotAHistory, replay.Failed, Ended) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        what = f"{problem.filename}: " if problem.filename else ""
        raise Unusable(f"{what}{problem.strerror or problem}") from problem


@contextmanager
def progress(quiet: bool, what: str, total: float) -> Iterator[Callable[[float], None]]:
    """A progress bar on standard error; yields the function that sets how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    # In a file a bar that has gone leaves an empty line.
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=min(done, total))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="glockd", prog_name="glockd-tester")
def main() -> None:
    """Test any glockd server: what it says, how fast it is, and whether it keeps its promises.

    An ADDRESS is host:port, tcp://host:port, ws://host:port/, unix:///path or /path. Exit codes: 0 all is
    well, 1 the server failed, 2 the test could not be done.
    """


# conformance


@main.command("conformance", short_help="Compare every byte that a server says.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--tcp", type=AddressType("tcp"), help="TCP address of the server.")
@click.option("--unix", type=AddressType("unix"), help="Path of its Unix socket.")
@click.option("--ws", type=AddressType("ws"), help="Its websocket address.")
@click.option(
    "--start", metavar="FLAGS", type=Words(), help='Start a glockd with these flags instead ("" for none).'
)
@click.option("--flags", metavar="NAME=BOOL,…", help="Flags it runs with, if they cannot be asked for.")
@click.option("--old-verbs-only", is_flag=True, help="Only what the original knew.")
@click.option("--deviations", is_flag=True, help="Also what a clone should not copy (for the original).")
@click.option(
    "--timeout",
    default=2.0,
    show_default=True,
    type=Seconds(0.001, 3600),
    help="Seconds to wait for a reply.",
)
@click.option(
    "--settle", default=0.05, show_default=True, type=Seconds(0, 3600), help="Seconds to notice a hang-up."
)
@as_json
def conformance_command(
    files: Sequence[Path],
    tcp: Address | None,
    unix: Address | None,
    ws: Address | None,
    start: list[str] | None,
    flags: str | None,
    old_verbs_only: bool,
    deviations: bool,
    timeout: float,
    settle: float,
    json_output: bool,
) -> None:
    """Play recordings of the original and scripted conversations, and compare every byte.

    FILES are transcripts or folders of them; without any, all that come with the tester. The server must
    have no other clients meanwhile. What does not apply to it (other flags, no such address, no new verbs)
    is skipped and counted.
    """
    with plain_errors():
        transcripts = conformance.collect(files)
        with _server_under_test(tcp, unix, ws, start) as doors:
            doors.timeout, doors.settle, doors.quiet = timeout, settle, settle
            features = replay.look(doors)
            if flags:
                features = replace(features, flags=_flags(flags))
            if old_verbs_only:
                features = replace(features, names=frozenset())
            results: list[conformance.Result] = []
            with progress(json_output, "conversations", len(transcripts)) as advance:
                for result in conformance.conform(doors, features, transcripts, deviations=deviations):
                    results.append(result)
                    advance(len(results))
    failed = [result for result in results if result.outcome == "failed"]
    passed = sum(result.outcome == "passed" for result in results)
    if json_output:
        server = {"flags": dict(features.flags), "features": sorted(features.names)}
        say_json(
            {
                "server": server,
                "passed": passed,
                "failed": len(failed),
                "results": [asdict(r) for r in results],
            }
        )
    else:
        _show_conformance(results, features)
    sys.exit(FAILED if failed else 0 if passed else UNUSABLE)


@contextmanager
def _server_under_test(
    tcp: Address | None, unix: Address | None, ws: Address | None, start: list[str] | None
) -> Iterator[replay.Doors]:
    if start is not None:
        if tcp or unix or ws:
            raise click.UsageError("--start makes its own addresses: give no others")
        with LocalServer(start) as server:
            yield replay.Doors(server.tcp, server.unix, server.ws)
    elif tcp or unix or ws:
        yield replay.Doors(tcp, unix, ws)
    else:
        raise click.UsageError("which server? Give --tcp, --unix or --ws, or --start")


def _flags(text: str) -> dict[str, bool]:
    flags = dict(DEFAULT_FLAGS)
    for item in filter(None, text.split(",")):
        name, _, value = item.partition("=")
        if name not in flags or value not in ("true", "false"):
            raise click.BadParameter(f"{item!r} is not registry=BOOL or dump=BOOL", param_hint="--flags")
        flags[name] = value == "true"
    return flags


def _show_conformance(results: Sequence[conformance.Result], features: replay.Features) -> None:
    console = Console()
    for result in results:
        if result.outcome == "failed":
            console.print(
                f"[red]failed[/] {escape(result.name)}: {escape(result.reason)}",
                highlight=False,
                soft_wrap=True,
            )
    reasons: dict[str, int] = {}
    for result in results:
        if result.outcome == "skipped":
            reasons[result.reason] = reasons.get(result.reason, 0) + 1
    for reason, count in reasons.items():
        console.print(f"skipped {count}: {escape(reason)}", highlight=False, soft_wrap=True)
    kind = (
        "a glockd with the new verbs"
        if "extensions" in features.names
        else "a server with the old verbs only"
    )
    passed, failed = (sum(r.outcome == outcome for r in results) for outcome in ("passed", "failed"))
    console.print(f"{kind}: {passed} passed, {failed} failed", highlight=False, soft_wrap=True)


# bench


@main.command("bench", short_help="Measure how fast a server is.")
@click.argument("name", metavar="BENCHMARK", type=click.Choice(list(benchmarks.BENCHMARKS)))
@click.argument("address", type=AddressType())
@click.option(
    "--vs", metavar="ADDRESS|echo", help="Another server to run in turn; `echo`: a bare echo of our own."
)
@click.option("--connections", "-c", type=click.IntRange(1), help="Connections (handover: waiters).")
@click.option("--pipeline", "-p", type=click.IntRange(1, 1000), help="Commands a packet.")
@click.option("--seconds", "-s", default=3.0, show_default=True, type=Seconds(0.05, 600))
@click.option(
    "--rounds", "-r", default=3, show_default=True, type=click.IntRange(1, 100), help="Turns with --vs."
)
@click.option("--hold", default=0.0, type=Seconds(0, 10), help="handover: seconds a holder keeps the lock.")
@click.option("--core", type=click.IntRange(0), help="The processor for the load (taskset).")
@click.option("--pid", type=click.IntRange(1), help="The server's process, if it cannot be found.")
@click.option("--plot", "picture", type=NewFile(), help="Write histograms as SVG.")
@as_json
def bench_command(
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


# chaos


@main.command("chaos", short_help="Torture a server, and judge what it did.")
@click.argument("addresses", nargs=-1, type=AddressType())
@click.option("--seed", type=int, help="Repeat the choices of an earlier run.")
@click.option("--seconds", "-s", default=10.0, show_default=True, type=Seconds(0.1, 3600))
@click.option(
    "--workers", default=3, show_default=True, type=click.IntRange(1, 50), help="Processes of clients."
)
@click.option(
    "--clients", default=6, show_default=True, type=click.IntRange(1, 200), help="Clients a process."
)
@click.option(
    "--locks", default=4, show_default=True, type=click.IntRange(1, 10_000), help="Names to fight for."
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
def chaos_command(
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
    _verdict(report.violations, extra, keep, json_output)


@main.command("judge", short_help="Judge a recorded history again.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def judge_command(file: Path, json_output: bool) -> None:
    """Judge the history in FILE (again)."""
    with plain_errors():
        records = history.read_records(file)
        if not records:
            raise history.NotAHistory(f"{file}: nothing is recorded in it")
        seen = history.understand(records)
    extra = {"sessions": len(seen.sessions), "commands": sum(1 for _ in seen.operations)}
    _verdict(checker.judge(seen), extra, file, json_output)


def _verdict(
    violations: Sequence[checker.Violation], extra: dict[str, Any], file: Path | None, json_output: bool
) -> None:
    if json_output:
        kept = None if file is None else str(file)
        say_json({**extra, "history": kept, "violations": [asdict(violation) for violation in violations]})
    else:
        console = Console()
        for key, value in extra.items():
            text = (
                ", ".join(f"{name} {count}" for name, count in value.items())
                if isinstance(value, dict)
                else value
            )
            console.print(f"{key:<12} {text}", highlight=False, soft_wrap=True)
        for violation in violations[:20]:
            console.print(
                f"[red]{violation.rule}[/] {escape(violation.what)}", highlight=False, soft_wrap=True
            )
        if len(violations) > 20:
            console.print(f"… and {len(violations) - 20} more")
        where = f", history in {file}" if file else ""
        console.print(
            f"{len(violations)} violations of {len(checker.RULES)} rules{where}",
            highlight=False,
            soft_wrap=True,
        )
    sys.exit(FAILED if violations else 0)


# faults


@main.command("faults", short_help="Do faults to servers started for it.", epilog=", ".join(faults.FAULTS))
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(faults.FAULTS)))
@click.option("--quick", is_flag=True, help="A hundredth of the work.")
@as_json
def faults_command(names: Sequence[str], quick: bool, json_output: bool) -> None:
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


# doctor


@main.command("doctor", short_help="Look at the way between here and a server.")
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
def doctor_command(address: Address, idle: float, dead_peer: float, json_output: bool) -> None:
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
