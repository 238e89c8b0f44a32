"""The console command `glockd-tester`: its commands, each loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

# A file each, in commands/; the sentence stands here so that `--help` need not load them.
COMMANDS = {
    "conformance": "Compare every byte that a server says.",
    "bench": "Measure how fast a server is.",
    "chaos": "Torture a server, and judge what it did.",
    "judge": "Judge a recorded history again.",
    "faults": "Do faults to servers started for it.",
    "cases": "Play recordings of other lock servers.",
    "doctor": "Look at the way between here and a server.",
}


class Commands(click.Group):
    """The group of COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = import_module(f".commands.{cmd_name}", __package__).command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="glockd", prog_name="glockd-tester")
def main() -> None:
    """Test any glockd server: what it says, how fast it is, and whether it keeps its promises.

    An ADDRESS is host:port, tcp://host:port, ws://host:port/, unix:///path or /path. Exit codes: 0 all is
    well, 1 the server failed, 2 the test could not be done.
    """
