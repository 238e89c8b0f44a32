"""What a shell is told when somebody presses Tab."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from glock.client import Client
from glock.errors import GlockError

MOST = 100  # names offered
PATIENCE = 1.0  # seconds that a server may take: somebody sits there

# click's own script takes its words from COMP_WORDS, where bash has cut them at each colon, and offers a name with a
# blank in it as two.
BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
        esac
    done < <(
        export COMP_LINE COMP_POINT COMP_WORDBREAKS
        %(complete_var)s=bash_complete "$1"
    )
}

complete -o nosort -F %(complete_func)s %(prog_name)s"""


class Bash(BashComplete):
    """Completion for bash that knows names with blanks, quotes and colons in them."""

    source_template = BASH

    def source(self) -> str:
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        # COMP_POINT counts characters of the locale, as `line` does; what is behind the cursor does not matter.
        line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
        words = split_arg_string(line)
        self.is_quoted = (line.count('"') - line.count('\\"')) % 2 == 1 or line.count("'") % 2 == 1
        ends = line[-1:].isspace() and not self.is_quoted and not line.endswith("\\ ")
        self.incomplete = "" if ends or not words else words.pop()
        return words[1:], self.incomplete

    def format_completion(self, item: CompletionItem) -> str:
        value = str(item.value)
        if not self.is_quoted:
            # bash replaces what is behind the last of the characters that it cuts words at.
            cuts = [each for each in os.environ.get("COMP_WORDBREAKS", "") if each in ":="]
            done = max((self.incomplete.rfind(each) + 1 for each in cuts), default=0)
            value = re.sub(r"([^\w./:@%+,=^-])", r"\\\1", value[done:])
        return f"{item.type},{value}"


def register() -> None:
    """Have click use `Bash` for bash."""
    add_completion_class(Bash)


def _ask(ctx: click.Context, ask: Callable[[Client], Iterable[str]], incomplete: str) -> list[CompletionItem]:
    """Names that the server knows and that begin with `incomplete`; none if it does not answer soon."""
    group = ctx.find_root()
    server = group.params.get("server") or None
    try:
        with Client(server, timeout=PATIENCE) as client:
            found = {name for name in ask(client) if name.startswith(incomplete) and name.isprintable()}
    except (GlockError, ValueError, OSError):
        return []
    return [CompletionItem(name) for name in sorted(found)]


def locks(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of locks that are held."""

    def ask(client: Client) -> list[str]:
        found = client.find("exclusive", incomplete, most=MOST) + client.find("shared", incomplete, most=MOST)
        return [str(each["name"]) for each in found]

    return _ask(ctx, ask, incomplete)


def pools(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of work lists."""
    return _ask(ctx, lambda client: [str(each["pool"]) for each in client.pools()], incomplete)


def sessions(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Addresses and registered names of sessions."""

    def ask(client: Client) -> list[str]:
        found = client.find("sessions", incomplete, most=MOST)
        return [str(each[key]) for each in found for key in ("address", "name") if each[key]]

    return _ask(ctx, ask, incomplete)


def clients(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Registered names."""
    return _ask(ctx, lambda client: [each.name for each in client.who()], incomplete)


def servers(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """What an address may begin with, and Unix sockets."""
    if incomplete.startswith("/"):
        return [CompletionItem(incomplete, type="file")]
    known = ("tcp://", "unix:///", "tls://", "ws://", "wss://", "localhost:9999")
    return [CompletionItem(each) for each in known if each.startswith(incomplete)]


def words_of_a_command(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Programs, then whatever the shell offers by itself."""
    if ctx.params.get("command") or "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    found: set[str] = set()
    for folder in os.get_exec_path():
        try:
            found.update(name for name in os.listdir(folder) if name.startswith(incomplete))
        except OSError:
            continue
    return [CompletionItem(name) for name in sorted(found)[:MOST]] if incomplete else []
