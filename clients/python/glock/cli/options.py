"""What options and arguments of several commands have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from glock.cli import exits
from glock.cli.output import printable, say
from glock.errors import GlockError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from glock.client import Client

Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]
HELP = {"help_option_names": ["-h", "--help"]}


class Failed(click.ClickException):
    """An error of the library, as one line and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = code  # click's type stubs have it as a class's

    def show(self, file: Any = None) -> None:
        say(printable(self.message))


class Group(click.Group):
    """Turns what can go wrong into exit codes; no traceback reaches a user."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GlockError as error:
            raise Failed(str(error), exits.code(error)) from error
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            sys.stdout.flush()  # a closed pipe is told here, where click takes it for an end, and not at exit


@dataclass(frozen=True)
class Settings:
    """Options of the group."""

    server: str | None
    timeout: float
    alive: float | None = None
    name: str | None = None

    def client(self, **changes: Any) -> Client:
        from glock.client import Client

        return Client(self.server, **{"timeout": self.timeout, "alive": self.alive} | changes)

    @property
    def holder(self) -> str:
        """What other clients are told who holds or waits here."""
        return self.name if self.name is not None else f"{user()}@{os.uname().nodename}:{os.getpid()}"


def user() -> str:
    """Who runs this."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that is run under some number
        return str(os.getuid())


class Seconds(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """A number of seconds, `inf` for as long as it takes.

    Args:
        positive: is 0 too little?
        finite: is `inf` too much?
    """

    name = "SECS"

    def __init__(self, *, positive: bool = False, finite: bool = False) -> None:
        self.positive = positive
        self.finite = finite

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        fits = number > 0 if self.positive else number >= 0
        if not fits or (self.finite and number == float("inf")):
            limits = "more than 0" if self.positive else "0 or more"
            self.fail(
                f"{value!r} is no number of seconds, {limits}{', and finite' if self.finite else ''}",
                param,
                ctx,
            )
        return number

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        usual = [f"{number}" for number in (1, 5, 10, 30, 60, 300, 3600)] + ([] if self.finite else ["inf"])
        return [CompletionItem(each) for each in usual if each.startswith(incomplete)]


def later(name: str) -> Completer:
    """The function of that name in `glock.cli.complete`, imported when it is used."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from glock.cli import complete

        found: list[CompletionItem] = getattr(complete, name)(ctx, incomplete)
        return found

    return complete


lock_name = click.argument("name", shell_complete=later("locks"))
any_lock = click.argument("name", required=False, shell_complete=later("locks"))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def lock_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How to get a lock: the same for `run` and `get`."""
    for option in (
        click.option(
            "-E",
            "--conflict-exit-code",
            "conflict",
            type=click.IntRange(0, 255),
            metavar="CODE",
            help="Exit with CODE, not 75 or 76, if the lock cannot be got.",
        ),
        click.option(
            "-s",
            "--shared",
            "limit",
            type=click.IntRange(1),
            metavar="LIMIT",
            help="The shared lock of this name (not the exclusive one), only while fewer than LIMIT hold it.",
        ),
        click.option(
            "--read",
            "-r",
            is_flag=True,
            help="The lock for reading: readers share it, and exclude those without --read.",
        ),
        click.option(
            "-w",
            "--wait",
            "--timeout",
            type=Seconds(),
            metavar="SECS",
            help="Wait for at most SECS (0: as -n).  [default: for as long as it takes]",
        ),
        click.option("-n", "--nonblock", "--nb", is_flag=True, help="Do not wait."),
    ):
        function = option(function)
    return function
