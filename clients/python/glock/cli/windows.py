"""`glock book`, `glock bookings` and `glock unbook`: windows."""

from __future__ import annotations

import sys
import time
from typing import Any, NoReturn

import click

from glock.cli import when
from glock.cli.options import Seconds, Settings, json_option
from glock.cli.output import Column, printable, say, show, show_json
from glock.wire.windows import Booking, WantWindow, window_of


class Length(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A length of time."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return value if isinstance(value, float) else when.length(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class When(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A moment."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> when.Moment:
        try:
            return value if isinstance(value, when.Moment) else when.moment(value, time.time())
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(
    epilog="Exit codes: those of COMMAND; 126 or 127 if it could not be started; 128+N ended by signal N, the window "
    "given back; 75 there is no room; 79 the window was over before COMMAND, or was lost; else those of "
    "`glock --help`."
)
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--at",
    type=When(),
    default="now",
    metavar="WHEN",
    show_default=True,
    help="When it begins: now, +30m, 02:00 (local time, the next), '2026-11-28 02:00', 2026-11-28T02:00:00Z.",
)
@click.option(
    "--for", "span", type=Length(), required=True, metavar="LENGTH", help="How long it is: 90s, 30m, 1h, 2d."
)
@click.option(
    "--slip",
    type=Length(),
    default=0.0,
    metavar="LENGTH",
    help="By how much later it may be, if the name is taken by then.",
)
@click.option("-s", "--shared", is_flag=True, help="Beside others that are shared.")
@click.option(
    "--grace",
    type=Seconds(),
    default=10.0,
    metavar="SECS",
    show_default=True,
    help="A COMMAND whose window is over gets TERM, and KILL after SECS (inf: never).",
)
@json_option
@click.pass_obj
def book(
    settings: Settings,
    name: str,
    command: tuple[str, ...],
    at: when.Moment,
    span: float,
    slip: float,
    shared: bool,
    grace: float,
    as_json: bool,
) -> NoReturn:
    """Book a window of NAME: a stretch of time in which nobody else has it. Print when it is.

    With a COMMAND, wait for the window, run COMMAND in it, and end it when the window ends. COMMAND finds the window's
    number in GLOCK_WINDOW, and its end in GLOCK_WINDOW_END; its standard input is empty. What is left of the window is
    given back when COMMAND has ended. Between NAME and a COMMAND with options of its own stands --.

    A booking outlives glock, and a restart of the server. Windows have their own names, apart from those of locks.
    """
    import asyncio

    from glock.cli.booked import Attendant

    if command[:1] == ("--",):
        command = command[1:]
    if at.remark:
        say(at.remark)
    is_now = at.at.timestamp() <= time.time()
    want = WantWindow(window_of(name), span, None if is_now else at.at, slip, shared)

    def tell(booking: Booking) -> None:
        if as_json:
            show_json(_told(booking))
        elif command:
            say(_words(booking))
        else:
            print(_words(booking))

    if not command:
        with settings.client() as client:
            tell(client.book(name, span, start=want.start, slip=slip, shared=shared))
        sys.exit(0)
    attendant = Attendant(want, command, server=settings.server, grace=grace)
    options = {"timeout": settings.timeout, "alive": settings.alive, "name": settings.holder}
    sys.exit(asyncio.run(attendant.run(settings.server, options, tell)))


COLUMNS = ("id", "name", "mode", "start", "end", "state", "by")


@click.command()
@click.argument("name", required=False)
@json_option
@click.pass_obj
def bookings(settings: Settings, name: str | None, as_json: bool) -> None:
    """The windows of NAME, or of all names, that are on or to come."""
    with settings.client() as client:
        found = client.bookings(name)
    if as_json:
        show_json(found)
    else:
        show(
            [Column(each) for each in COLUMNS],
            ([_cell(one, each) for each in COLUMNS] for one in found),
            False,
        )


@click.command(
    epilog="Exit codes: 0 it is given back; 1 it is over, or not yours; else those of `glock --help`."
)
@click.argument("number", type=click.IntRange(1), metavar="ID")
@click.pass_obj
def unbook(settings: Settings, number: int) -> NoReturn:
    """Give the window ID back, or end it now. Only from the address that booked it, or on the Unix socket."""
    with settings.client() as client:
        is_given = client.unbook(number)
    if not is_given:
        say(f"not given back: {number}")
    sys.exit(0 if is_given else 1)


def _words(booking: Booking) -> str:
    """When a window is, in local time."""
    start, end = booking.start.astimezone(), booking.end.astimezone()
    until = f"{end:%H:%M:%S}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return (
        f"window {booking.number} of {printable(booking.name)}: {start:%Y-%m-%d %H:%M:%S} to {until} {end:%Z}"
    )


def _told(booking: Booking) -> dict[str, Any]:
    return {
        "id": booking.number,
        "name": printable(booking.name),
        "mode": "shared" if booking.shared else "exclusive",
        "start": booking.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "end": booking.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _cell(one: dict[str, Any], column: str) -> Any:
    if column not in ("start", "end"):
        return one[column]
    return when.moment(one[column], 0).at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
