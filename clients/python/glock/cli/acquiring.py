"""Getting the lock that `run` and `get` are asked for, and telling who is in the way."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

import click

from glock.cli import exits
from glock.cli.options import Failed
from glock.cli.output import printable, say
from glock.cli.words import situation
from glock.client import Client
from glock.errors import GlockError, LockBusy, WaitTimeout
from glock.locks import Lock, LockRequest

INFINITE = float("inf")
PATIENCE = 1.0  # seconds of waiting after which somebody at a terminal wants to know why


def request(
    client: Client, name: str, wait: float | None, nonblock: bool, limit: int | None, read: bool
) -> LockRequest:
    """The lock that the options of `lock_options` ask for."""
    if nonblock and wait:
        raise click.UsageError("-n and -w exclude each other")
    if read and limit is not None:
        raise click.UsageError("--read and -s exclude each other")
    wait = 0.0 if nonblock else INFINITE if wait is None else wait
    if limit is not None:
        return client.shared(name, limit=limit, wait=wait)
    return client.read(name, wait=wait) if read else client.lock(name, wait=wait)


def acquire(client: Client, wanted: LockRequest, conflict: int | None, me: str) -> Lock:
    """Get it.

    Args:
        conflict: the exit code if it is not to be had; None: the usual ones.
        me: what other clients are told who waits here.

    Raises:
        Failed: it was not got; the message says who has it.
    """
    try:
        with impatient(client, wanted, me):
            return wanted.acquire()
    except GlockError as error:
        code = exits.code(error)
        if conflict is not None and code in (exits.BUSY, exits.TIMED_OUT):
            code = conflict
        raise Failed(refusal(client, wanted, error, me), code) from error


def refusal(client: Client, wanted: LockRequest, error: GlockError, me: str) -> str:
    """Why it was not got, and who has it."""
    found = in_the_way(client, wanted, me) if isinstance(error, LockBusy) else ""
    if not found:
        return str(error)
    return f"{error}: {found}" if isinstance(error, WaitTimeout) else f"{wanted.name!r} is {found}"


def in_the_way(client: Client, wanted: LockRequest, me: str) -> str:
    """Who holds it and who waits; empty if the server does not tell, or nobody does any more."""
    try:
        found = client.explain(wanted.want.name)
    except GlockError:
        return ""
    table = "shared" if wanted.want.mode == "shared" else "exclusive"
    return situation(found, table, time.time(), me)


@contextlib.contextmanager
def impatient(client: Client, wanted: LockRequest, me: str) -> Iterator[None]:
    """Whoever waits at a terminal for longer than a moment is told for whom."""
    if not sys.stderr.isatty() or not wanted.want.wait:
        yield
        return
    over = threading.Event()

    def tell() -> None:
        if over.wait(PATIENCE):
            return
        found = in_the_way(client, wanted, me)
        if found and not over.is_set():
            say(f"waiting for {printable(wanted.name)!r}, {found}")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
    teller.join()  # what is forked later should have one thread
