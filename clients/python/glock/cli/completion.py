"""`glock completion`: what makes a shell complete `glock`'s commands, options and lock names."""

from __future__ import annotations

import click

PROGRAM, VARIABLE = "glock", "_GLOCK_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete the words of glock, names of locks and sessions among them.

    In ~/.bashrc: eval "$(glock completion bash)"

    In ~/.zshrc, behind compinit: eval "$(glock completion zsh)"

    For fish: glock completion fish > ~/.config/fish/completions/glock.fish
    """
    from click.shell_completion import get_completion_class

    from glock.cli import complete

    complete.register()
    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
