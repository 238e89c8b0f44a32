"""What commands share: exit codes, errors in one line, JSON, a progress bar."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import CannotTest

FAILED, UNUSABLE = 1, 2  # exit codes: the server failed a test; the test could not be done


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
    except CannotTest as problem:
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
