"""The command line: options and GLOCKD_* variables to a Config, then run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from glockd import __version__
from glockd.config import Config, ConfigError, build, default, flag, from_file, options, variable

# What Go's flag package takes for a boolean.
TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")

ENVIRONMENT = click.core.ParameterSource.ENVIRONMENT

# Where a context keeps the words of the command line that mean nothing.
UNREAD = "glockd.unread"


class GoBool(click.ParamType[bool]):
    """true or false, in Go's spellings."""

    name = "true|false"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """The truth value of a word."""
        if isinstance(value, bool):
            return value
        if value in TRUE:
            return True
        if value in FALSE:
            return False
        self.fail(f"{value!r} is neither true nor false", param, ctx)


class Number(click.types.IntParamType):
    """A whole number; and a word about the one value that Kubernetes puts into the environment."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        if isinstance(value, str) and "://" in value:
            self.fail(
                f"{value!r} is no number. Kubernetes sets such a variable for a service of that name: say "
                "enableServiceLinks: false for the pod, or call the service otherwise",
                param,
                ctx,
            )
        number: int = super().convert(value, param, ctx)
        return number


class Option(click.Option):
    """An option that is named in errors as it was given: by its variable, if it came from the environment."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """What to call it."""
        if ctx is not None and self.name and ctx.get_parameter_source(self.name) is ENVIRONMENT:
            return f"'{self.envvar}'"
        return super().get_error_hint(ctx)  # type: ignore[arg-type,unused-ignore]


def go_words(words: Sequence[str], booleans: frozenset[str]) -> tuple[list[str], list[str]]:
    """The command line as Go's flag package reads it, in the form `--name=value`, and what it does not read.

    One dash is as good as two; a boolean has a value only behind `=`; reading stops at the first word that is no flag.
    """
    normal: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.removeprefix("-").removeprefix("-")
        if name == word or not name:
            return normal, [*([] if word == "--" else [word]), *rest]
        name, equals, value = name.partition("=")
        if name in ("h", "help", "version"):
            normal.append(word)
        elif equals:
            normal.append(f"--{name}={value}")
        elif name in booleans:
            normal.append(f"--{name}=true")
        else:
            argument = next(rest, None)
            normal.append(f"--{name}" if argument is None else f"--{name}={argument}")
    return normal, []


def _read_config_file(context: click.Context, _: click.Parameter, path: str) -> str:
    if path:
        try:
            context.default_map = from_file(path)
        except ConfigError as error:
            raise click.UsageError(str(error), context) from error
    return path


def _show_usage(context: click.Context, _: click.Parameter, asked: bool) -> None:
    # As the original: on standard error, and it is no failure.
    if asked:
        click.echo(context.get_help(), err=True)
        context.exit()


class Command(click.Command):
    """A command that reads its words as Go does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words."""
        booleans = frozenset(
            opt.lstrip("-") for param in self.params if isinstance(param.type, GoBool) for opt in param.opts
        )
        normal, ctx.meta[UNREAD] = go_words(args, booleans)
        return super().parse_args(ctx, normal)


def _options() -> list[click.Parameter]:
    parameters: list[click.Parameter] = [
        click.Option(
            ["-config", "--config"],
            metavar="PATH",
            default="",
            envvar="GLOCKD_CONFIG",
            is_eager=True,
            expose_value=False,
            callback=_read_config_file,
            help="TOML file with any of these options",
        )
    ]
    for one in options():
        name = flag(one.name)
        value = default(one)
        kind: click.ParamType[Any] = (
            GoBool() if isinstance(value, bool) else Number() if isinstance(value, int) else click.STRING
        )
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        parameters.append(
            Option(
                [f"-{name}", f"--{name}", one.name],
                type=kind,
                default=value,
                envvar=variable(one.name),
                metavar=one.metadata["metavar"] or None,
                help=one.metadata["help"] + (f"  [default: {shown}]" if shown else ""),
            )
        )
    hidden: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
    parameters += [
        click.Option(["-version", "--version"], help="Show the version.", callback=_show_version, **hidden),
        click.Option(["-h"], help="Show this on standard error.", callback=_show_usage, **hidden),
    ]
    return parameters


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"glockd {__version__}")
        context.exit()


def _run(**values: Any) -> None:
    try:
        config = build(values)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    # Not before the options are known to be right: these take most of the start's time.
    from glockd.run import run

    words = click.get_current_context().meta[UNREAD]
    ignored = {"words": words, "variables": strange_variables(os.environ)}
    sys.exit(run(config, _reread, {what: found for what, found in ignored.items() if found}))


def strange_variables(names: Iterable[str]) -> list[str]:
    """Those of the environment that look like options and are none."""
    known = {"GLOCKD_CONFIG", *(variable(one.name) for one in options())}
    return sorted(name for name in names if name.startswith("GLOCKD_") and name not in known)


def _reread() -> Config:
    """What the command line, environment and file say now."""
    try:
        with main.make_context("glockd", sys.argv[1:]) as context:
            return build(context.params)
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from error


main = Command(
    "glockd",
    callback=_run,
    params=_options(),
    context_settings={"max_content_width": 110, "help_option_names": ["-help", "--help"]},
    help="A lock server: a lock lives as long as the connection that holds it.",
    epilog="Each option is also read from the environment (GLOCKD_PORT) and from the TOML file; the command line wins.",
)
