"""Writes the manual pages and the sample configuration from the programs' own option tables: python man/build.py"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from glockd import __version__
from glockd.check import toml
from glockd.cli import main as glockd
from glockd.config import default, flag
from glockd.config import options as table
from glockd.doors.line.wire.language import VERBS
from glockd_tester.cli import COMMANDS
from glockd_tester.cli import main as tester

HERE = Path(__file__).parent
CLIENT = HERE.parent / "clients" / "python"


def escaped(text: str) -> str:
    """`text` as roff prints it: man-pages(7), a line that begins with a dot or quote is no request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    # groff_char(7): whoever reads the page may have another encoding than whoever wrote it.
    text = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", text)
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def section(title: str, *paragraphs: str) -> Iterator[str]:
    """A section of plain paragraphs."""
    yield f".SH {title}"
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield escaped(paragraph)


def entry(term: str, text: str) -> Iterator[str]:
    """One entry of a list of terms; the term is roff already."""
    yield ".TP"
    yield term
    yield escaped(text)


def option(param: click.Option, context: click.Context) -> Iterator[str]:
    """An option, its argument and what it does."""
    dashes = sorted((opt for opt in param.opts if opt.startswith("-")), key=len)
    # Where one dash is as good as two, one says it all.
    dashes = [opt for opt in dashes if opt[1:] not in dashes]
    names = ", ".join(f"\\fB{escaped(opt)}\\fR" for opt in dashes)
    argument = "" if param.is_flag else f" \\fI{escaped(param.make_metavar(context))}\\fR"
    yield from entry(names + argument, " ".join((param.help or "").split()))


def options(command: click.Command) -> Iterator[str]:
    """All options of a program or of one of its commands, in its own order."""
    context = click.Context(command)
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            yield from option(param, context)


def help_option(command: click.Command) -> Iterator[str]:
    """The option that click adds to a command; said once for a program, and not for each of its commands."""
    context = click.Context(command, **command.context_settings)
    param = command.get_help_option(context)
    if param is not None:
        yield from option(param, context)


def paragraphs(text: str | None) -> list[str]:
    """A help text's paragraphs, each on one line."""
    return [
        " ".join(part.replace("\b", "").split()) for part in (text or "").split("\n\n") if part.strip("\b\n ")
    ]


def released() -> str:
    """The date of the newest release, as the changelog has it: a page is the same whenever it is made."""
    changes = (HERE.parent / "CHANGELOG.md").read_text("utf-8")
    found = re.search(r"^## \[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    if found is None:
        raise ValueError("CHANGELOG.md names no release and its date")
    return found[1]


def header(name: str, number: int, does: str) -> Iterator[str]:
    yield ".\\\" Made by man/build.py from the program's own tables; change those."
    yield f'.TH {name.upper()} {number} "{released()}" "glockd {__version__}" ""'
    yield from section("NAME", f"{name} - {does}")


def glockd_page() -> str:
    """glockd(8)."""
    lines = [*header("glockd", 8, "a lock server that one can talk to with telnet")]
    lines += [".SH SYNOPSIS", "\\fBglockd\\fR [\\fIoptions\\fR]"]
    lines += section(
        "DESCRIPTION",
        "glockd keeps locks for programs on many machines. A client connects by TCP, Unix socket or websocket, "
        "takes named locks in plain text, and keeps them by staying connected: when its connection ends, for "
        "whatever reason, its locks are free.",
        "Metrics for Prometheus, health checks and a console page are served by HTTP on the websocket port: "
        "/metrics, /healthz, /readyz and /.",
    )
    lines += [".SH OPTIONS"]
    lines += [
        escaped(
            "One dash is as good as two. An option is also read from the environment, as GLOCKD_ and its name "
        ),
        escaped(
            "in capitals with underscores, and from the TOML file; the command line wins over the environment, "
        ),
        escaped("and that over the file."),
    ]
    lines += [*options(glockd), *help_option(glockd)]
    lines += [".SH COMMANDS", "What a client may say, a line each; NAME is the rest of the line."]
    for verb in VERBS.values():
        lines += entry(f"\\fB{escaped(verb.syntax)}\\fR", verb.does)
    lines += [".SH SIGNALS"]
    lines += entry(
        "SIGTERM, SIGINT", "Answer what has arrived, close every connection and end, within 5 seconds."
    )
    lines += entry(
        "SIGHUP",
        "Read the configuration and the secrets again. What can change at once does, what wants a restart is named in "
        "the log; if anything is wrong, nothing changes. Where standard error is a terminal and "
        "that is closed, the daemon ends.",
    )
    lines += entry("SIGUSR1", "Write a summary of the state to the log.")
    lines += [".SH ENVIRONMENT"]
    lines += entry("GLOCKD_*", "The options.")
    lines += entry("LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES", "Sockets from systemd, see sd_listen_fds(3).")
    lines += entry(
        "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID", "See sd_notify(3) and sd_watchdog_enabled(3)."
    )
    lines += [".SH FILES"]
    lines += entry("/etc/glockd/glockd.env", "The options of the service, as variables of its environment.")
    lines += entry("PREFIX/share/glockd/glockd.toml", "A file for -config with every option, commented out.")
    lines += [".SH EXIT STATUS"]
    for status, text in (
        ("0", "Ended by SIGTERM or SIGINT, or help was asked for."),
        ("1", "A listener, file or folder cannot be used; with -probe, the daemon is not well."),
        ("2", "An option is wrong."),
        ("3", "The pid file cannot be opened or written."),
        ("4", "The pid file is locked by another process."),
    ):
        lines += entry(status, text)
    lines += section("SEE ALSO", "glock(1), glockd-tester(1), flock(1), systemd.socket(5)")
    return "\n".join(lines) + "\n"


def group_page(name: str, does: str, group: click.Group, commands: Iterable[str], *, see: str) -> str:
    """A page in section 1 for a program with commands, which come in the order given."""
    lines = [*header(name, 1, does)]
    lines += [".SH SYNOPSIS"]
    lines += [f"\\fB{escaped(name)}\\fR [\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]"]
    lines += section("DESCRIPTION", *paragraphs(group.help))
    lines += [".SH OPTIONS", *options(group), *help_option(group)]
    context = click.Context(group)
    for word in commands:
        command = group.get_command(context, word)
        if command is not None:
            lines += command_section(name, word, command)
    if group.epilog:
        lines += section("NOTES", *paragraphs(group.epilog))
    lines += section("SEE ALSO", see)
    return "\n".join(lines) + "\n"


def command_section(program: str, name: str, command: click.Command) -> Iterator[str]:
    """What a command of a program does, and its options."""
    context = click.Context(command, info_name=name)
    usage = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    yield f'.SH "{escaped(f"{program} {name} {usage}".rstrip())}"'
    for number, paragraph in enumerate(paragraphs(command.help)):
        if number:
            yield ".PP"
        yield escaped(paragraph)
    yield from options(command)
    for paragraph in paragraphs(command.epilog):
        yield from (".PP", escaped(paragraph))


def glock_page() -> str:
    """glock(1).

    Raises:
        ImportError: the client, or what its command line needs, is not there.
    """
    if str(CLIENT) not in sys.path:
        sys.path.insert(0, str(CLIENT))
    app = importlib.import_module("glock.cli.app")
    (group,) = {value for value in vars(app).values() if isinstance(value, click.Group)}
    return group_page(
        "glock",
        "take locks of a glockd server from the shell",
        group,
        group.commands,
        see="glockd(8), flock(1)",
    )


def tester_page() -> str:
    """glockd-tester(1)."""
    return group_page(
        "glockd-tester", "test a glockd server from outside", tester, COMMANDS, see="glockd(8), glock(1)"
    )


def sample() -> str:
    """A TOML file with every option, commented out."""
    lines = [
        "# Options of glockd, each at its default: take the # away before those that you want otherwise.",
        "#",
        "#     glockd -config glockd.toml           reads this file; so does GLOCKD_CONFIG=glockd.toml",
        "#     glockd -check -config glockd.toml    shows what is in force, and reads the files that are named",
        "#",
        "# The environment (GLOCKD_PORT) beats the file, the command line beats both. SIGHUP reads the file again;",
        "# options without a word about it want a restart.",
    ]
    for one in table():
        says = one.metadata["help"] + (". SIGHUP changes it" if one.metadata["reloads"] else "")
        lines += ["", f"# {says[0].upper()}{says[1:]}.", f"#{flag(one.name)} = {toml(default(one))}"]
    return "\n".join(lines) + "\n"


SAMPLE = HERE.parent / "docs" / "glockd.toml"
PAGES = {"glockd.8": glockd_page, "glock.1": glock_page, "glockd-tester.1": tester_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), "utf-8")
    SAMPLE.write_text(sample(), "utf-8")
