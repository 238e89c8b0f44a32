"""`glockd-tester conformance`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from .. import conformance, replay
from ..addresses import Address
from ..cases import running
from ..cases.language import load
from ..server import LocalServer
from ..transcript import DEFAULT_FLAGS
from .common import FAILED, UNUSABLE, as_json, plain_errors, progress, say_json
from .types import AddressType, Place, Seconds, Words


def faces(function: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each listener of another lock server's language."""
    for face in reversed(running.FACES):
        text = f"Where it speaks {face.title}: plays what was recorded of that."
        function = click.option(face.option, face.argument, metavar="HOST:PORT", type=Place(), help=text)(
            function
        )
    return function


@click.command("conformance")
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
@faces
@as_json
def command(
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
    **others: Address | None,
) -> None:
    """Play recordings of the original and scripted conversations, and compare every byte.

    FILES are transcripts or folders of them; without any, all that come with the tester. The server must
    have no other clients meanwhile. What does not apply to it (other flags, no such address, no new verbs)
    is skipped and counted. In the languages of other lock servers it is tried where their addresses are given.
    """
    line = start is not None or tcp or unix or ws
    doors = _doors(others)
    if not line and doors and (files or flags or old_verbs_only or deviations):
        raise click.UsageError("FILES, --flags, --old-verbs-only and --deviations go with the line language")
    server: dict[str, Any] = {}
    results: list[conformance.Result] = []
    with plain_errors():
        for door in doors.values():
            door.look(timeout)
        if line or not doors:
            transcripts = conformance.collect(files)
            with _server_under_test(tcp, unix, ws, start) as place:
                place.timeout, place.settle, place.quiet = timeout, settle, settle
                features = _features(place, flags, old_verbs_only=old_verbs_only)
                server |= {"flags": dict(features.flags), "features": sorted(features.names)}
                played = conformance.conform(place, features, transcripts, deviations=deviations)
                results += _play(played, "conversations", len(transcripts), _kind(features), json_output)
        for name, door in doors.items():
            results += _play(door.play(), f"{name} cases", len(door.cases()), name, json_output)
    failed = sum(result.outcome == "failed" for result in results)
    passed = sum(result.outcome == "passed" for result in results)
    if json_output:
        server["languages"] = list(doors)
        report = [asdict(result) for result in results]
        say_json({"server": server, "passed": passed, "failed": failed, "results": report})
    sys.exit(FAILED if failed else 0 if passed else UNUSABLE)


def _doors(given: Mapping[str, Address | None]) -> dict[str, running.Running]:
    """The server in each language that an address is given for."""
    places: dict[str, dict[str, tuple[str, int]]] = {}
    for face in running.FACES:
        if (address := given[face.argument]) is not None:
            places.setdefault(face.language, {})[face.listener] = address.host, address.port
    return {name: running.Running(load(name), addresses) for name, addresses in places.items()}


def _features(place: replay.Doors, flags: str | None, *, old_verbs_only: bool) -> replay.Features:
    features = replay.look(place)
    if flags:
        features = replace(features, flags=_flags(flags))
    return replace(features, names=frozenset()) if old_verbs_only else features


def _play(
    played: Iterator[conformance.Result], what: str, total: int, kind: str, json_output: bool
) -> list[conformance.Result]:
    """How all went, shown unless JSON is wanted."""
    results: list[conformance.Result] = []
    with progress(json_output, what, total) as advance:
        for result in played:
            results.append(result)
            advance(len(results))
    if not json_output:
        _show(results, kind)
    return results


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
        others = ", ".join(face.option for face in running.FACES)
        raise click.UsageError(f"which server? Give --tcp, --unix or --ws, or --start, or {others}")


def _flags(text: str) -> dict[str, bool]:
    flags = dict(DEFAULT_FLAGS)
    for item in filter(None, text.split(",")):
        name, _, value = item.partition("=")
        if name not in flags or value not in ("true", "false"):
            raise click.BadParameter(f"{item!r} is not registry=BOOL or dump=BOOL", param_hint="--flags")
        flags[name] = value == "true"
    return flags


def _kind(features: replay.Features) -> str:
    new = "extensions" in features.names
    return "a glockd with the new verbs" if new else "a server with the old verbs only"


def _show(results: Sequence[conformance.Result], kind: str) -> None:
    console = Console()
    for result in results:
        if result.outcome == "failed":
            console.print(
                f"[red]failed[/] {escape(result.name)}: {escape(result.reason)}",
                highlight=False,
                soft_wrap=True,
            )
    reasons = Counter(result.reason for result in results if result.outcome == "skipped")
    for reason, count in reasons.items():
        console.print(f"skipped {count}: {escape(reason)}", highlight=False, soft_wrap=True)
    passed, failed = (sum(r.outcome == outcome for r in results) for outcome in ("passed", "failed"))
    console.print(f"{kind}: {passed} passed, {failed} failed", highlight=False, soft_wrap=True)
