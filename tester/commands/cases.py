"""`glockd-tester cases`."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from ..cases import files, playing
from ..cases.daemon import Daemon
from ..cases.language import LANGUAGES, load
from ..cases.outcome import Result
from ..server import GLOCKD
from .common import FAILED, UNUSABLE, Unusable, as_json, plain_errors, progress, say_json
from .types import Words


class Regex(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A regular expression."""

    name = "regex"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)


@click.command("cases")
@click.argument("language", type=click.Choice(LANGUAGES))
@click.argument("paths", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--only", metavar="REGEX", default="", type=Regex(), help="Only cases whose id it is found in.")
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(files.KINDS), help="Only these; again for more."
)
@click.option(
    "--jobs", metavar="N", default=8, show_default=True, type=click.IntRange(1, 100), help="Cases at a time."
)
@click.option(
    "--server",
    "command",
    metavar="COMMAND",
    type=Words(),
    help="What to start, instead of this package's glockd.",
)
@click.option("--verbose", "-v", is_flag=True, help="Name every case.")
@click.option(
    "--serve",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Play nothing: start the daemon, tell where it is, and end it on SIGTERM or SIGINT. 0: any port.",
)
@click.option("--profile", metavar="NAME", help="With --serve: the options it runs with.  [default: default]")
@as_json
def command(
    language: str,
    paths: Sequence[Path],
    only: re.Pattern[str],
    kinds: Sequence[str],
    jobs: int,
    command: list[str] | None,
    verbose: bool,
    serve: int | None,
    profile: str | None,
    json_output: bool,
) -> None:
    """Play recorded conversations in the language of another lock server, each to a daemon with the options it needs.

    FILES are case files; without any, all that come with the tester. With --serve one JSON line says where the
    daemon is: those that apply of pid url address auth_url locket secret ca cert key.
    """
    if profile is not None and serve is None:
        raise click.UsageError("--profile goes with --serve")
    speaker = load(language)
    with plain_errors(), playing.house(speaker, command or GLOCKD) as house:
        read = [files.read(path) for path in paths or speaker.files()]
        if serve is not None:
            _serve(house, _profile(read, profile or "default"), serve)
            return

        def wanted(case: files.Case) -> bool:
            return only.search(case.name) is not None and (not kinds or case.kind in kinds)

        total = sum(wanted(case) for file in read for case in file.cases)
        results: list[Result] = []
        with progress(json_output, "cases", total) as advance:
            for result in playing.play(house, read, wanted, jobs):
                results.append(result)
                advance(len(results))
                if not json_output and (verbose or result.outcome == "failed"):
                    _show(result)
    _sum_up(results, json_output)


def _profile(read: Sequence[files.CaseFile], name: str) -> playing.Profile:
    """The options of that name in any of the files. Raises click.BadParameter."""
    for file in read:
        if name in file.profiles:
            return file.profiles[name]
    known = sorted({known for file in read for known in file.profiles})
    raise click.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--profile")


def _serve(house: playing.House, profile: playing.Profile, port: int) -> None:
    """Start a daemon, tell where it is, and wait for the end: a signal's, or its own."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        with house.stage(profile, port=port) as stage:
            assert stage.daemon is not None
            click.echo(json.dumps({"pid": stage.daemon.pid, **house.language.places(stage)}))
            _wait(stage.daemon)
    except KeyboardInterrupt:
        return


def _end(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # a second one must not leave the daemon behind
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _wait(daemon: Daemon) -> None:
    process = daemon.process
    assert process is not None
    try:
        code = process.wait()
    except KeyboardInterrupt:
        daemon.stop()
        return
    raise Unusable(f"the daemon has ended with {code}")


def _show(result: Result) -> None:
    colour = {"passed": "green", "failed": "red", "skipped": "yellow"}[result.outcome]
    reason = f": {escape(result.reason)}" if result.reason else ""
    line = f"[{colour}]{result.outcome}[/] {escape(result.case)}{reason}"
    Console().print(line, highlight=False, soft_wrap=True)


def _sum_up(results: Sequence[Result], json_output: bool) -> None:
    passed, failed, skipped = (
        sum(result.outcome == outcome for result in results) for outcome in ("passed", "failed", "skipped")
    )
    if json_output:
        say_json({"passed": passed, "failed": failed, "results": [asdict(result) for result in results]})
    else:
        if skipped:
            click.echo(f"{skipped} skipped")
        click.echo(f"{passed} passed, {failed} failed")
    sys.exit(FAILED if failed else 0 if passed else UNUSABLE)
