"""`glockd-tester judge`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import checker, history
from .common import as_json, plain_errors
from .verdict import tell


@click.command("judge")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def command(file: Path, json_output: bool) -> None:
    """Judge the history in FILE (again)."""
    with plain_errors():
        records = history.read_records(file)
        if not records:
            raise history.NotAHistory(f"{file}: nothing is recorded in it")
        seen = history.understand(records)
    extra = {"sessions": len(seen.sessions), "commands": sum(1 for _ in seen.operations)}
    tell(checker.judge(seen), extra, file, json_output)
