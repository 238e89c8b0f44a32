"""`glockd-tester conformance`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from .. import conformance, replay
from ..addresses import Address
from ..server import LocalServer
from ..transcript import DEFAULT_FLAGS
from .common import FAILED, UNUSABLE, as_json, plain_errors, progress, say_json
from .types import AddressType, Seconds, Words


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
