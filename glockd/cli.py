"""The command line: options and GLOCKD_* variables to a Config, then run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from glockd import __version__
from glockd.config import Config, ConfigError, StartError, default, flag, options, variable
from glockd.layers import build, from_file

# What Go's flag package takes for a boolean.
TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")

ENVIRONMENT = click.core.ParameterSource.ENVIRONMENT

# Where a context keeps the words of the command line that mean nothing.
UNREAD = "glockd.unread"

# Where it keeps the path of the options file, and what is to be done instead of serving.
FILE = "glockd.file"
INSTEAD = "glockd.instead"


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
            context.meta[FILE] = path
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
    asks: dict[str, Any] = {"expose_value": False, "callback": _do_instead}
    parameters += [
        click.Option(
            ["-check", "--check"],
            type=GoBool(),
            default=False,
            help="show the options in force and where each comes from, read their files, and start nothing; "
            "exit status 1 or 2: the daemon would not start",
            **asks,
        ),
        click.Option(
            ["-probe", "--probe"],
            type=click.INT,
            metavar="PID",
            help="ask the daemon with that process id, or with 0 the one with these options, whether it is well; "
            "exit status 0 or 1",
            **asks,
        ),
        click.Option(
            ["-dispatch-token", "--dispatch-token"],
            metavar="USER",
            help="print the line for ~/.token_library with which that user is known to -dispatch for 7 days, "
            "and start nothing",
            **asks,
        ),
        click.Option(["-version", "--version"], help="Show the version.", callback=_show_version, **hidden),
        click.Option(["-h"], help="Show this on standard error.", callback=_show_usage, **hidden),
    ]
    return parameters


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"glockd {__version__}")
        context.exit()


def _do_instead(context: click.Context, param: click.Parameter, value: Any) -> None:
    if value or (value == 0 and value is not False):
        context.meta[INSTEAD] = param.name, value


def _run(**values: Any) -> None:
    context = click.get_current_context()
    what, value = context.meta.get(INSTEAD, ("", None))
    if what == "probe":
        sys.exit(_probe(values, value))
    try:
        config = build(values)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    if what == "check":
        sys.exit(_check(context, config))
    if what == "dispatch_token":
        sys.exit(_issue(config, value))
    # Not before the options are known to be right: these take most of the start's time.
    from glockd.run import run

    sys.exit(run(config, _reread, _ignored(context)))


def _ignored(context: click.Context) -> dict[str, Sequence[str]]:
    """What nobody understood, by where it was said."""
    ignored = {"words": context.meta[UNREAD], "variables": strange_variables(os.environ)}
    return {where: found for where, found in ignored.items() if found}


def _check(context: click.Context, config: Config) -> int:
    from glockd.check import examine, in_force

    click.echo(f"# glockd {__version__}: the options in force, and where each comes from.")
    for line in in_force(config, {one.name: _source(context, one.name) for one in options()}):
        click.echo(line)
    found = examine(config)
    for fact in found.facts:
        click.echo(f"# {fact}")
    for where, what in _ignored(context).items():
        click.echo(f"glockd: warning: ignored {where}, as no option is meant: {' '.join(what)}", err=True)
    for level, lines in (("warning", found.warnings), ("error", found.errors)):
        for line in lines:
            click.echo(f"glockd: {level}: {line}", err=True)
    return 1 if found.errors else 0


def _issue(config: Config, user: str) -> int:
    from glockd.issue import token_line

    try:
        click.echo(token_line(config, user))
    except (ConfigError, StartError) as error:
        click.echo(f"glockd: {error}", err=True)
        return 1
    return 0


def _source(context: click.Context, name: str) -> str:
    """Where the value of an option comes from, in words."""
    match context.get_parameter_source(name):
        case click.core.ParameterSource.COMMANDLINE:
            return "command line"
        case click.core.ParameterSource.ENVIRONMENT:
            return f"environment, {variable(name)}"
        case click.core.ParameterSource.DEFAULT_MAP:
            return f"file {context.meta[FILE]}"
    return "default"


def _probe(values: dict[str, Any], pid: int) -> int:
    from glockd.probe import ProbeError, options_of, probe

    try:
        if pid:
            words, environment, folder = options_of(pid)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(folder)
            config = _read(words)
        else:
            config = build(values)
        click.echo(probe(config))
    except (ProbeError, ConfigError, OSError) as error:
        click.echo(f"glockd: {error}", err=True)
        return 1
    return 0


def strange_variables(names: Iterable[str]) -> list[str]:
    """Those of the environment that look like options and are none."""
    known = {"GLOCKD_CONFIG", *(variable(one.name) for one in options())}
    return sorted(name for name in names if name.startswith("GLOCKD_") and name not in known)


def _reread() -> Config:
    """What the command line, environment and file say now."""
    return _read(sys.argv[1:])


def _read(words: list[str]) -> Config:
    """What a command line, and the environment and file of this moment say.

    Raises:
        ConfigError: it makes no sense.
    """
    try:
        with main.make_context("glockd", words) as context:
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
