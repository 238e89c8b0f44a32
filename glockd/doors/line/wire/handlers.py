"""Which function carries out which verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from glockd.doors.line.wire import commands, extensions, help, items, listings, windows
from glockd.doors.line.wire.language import VERBS

if TYPE_CHECKING:
    from glockd.doors.line.records import Records
    from glockd.doors.line.wire.conversation import Conversation
    from glockd.service import Handler as Offered

# Takes the conversation, the normalised argument and the time; gives the reply, or None for a pause.
Handler = Callable[["Conversation", bytes, float], bytes | None]
# With each handler, where its uses are counted.
Handlers: TypeAlias = dict[bytes, tuple[Handler, int]]

_NAMED: dict[bytes, Handler] = {
    b"g": commands.get,
    b"r": commands.release,
    b"i": commands.inspect,
    b"sg": commands.shared_get,
    b"sr": commands.shared_release,
    b"si": commands.shared_inspect,
    b"d": commands.list_exclusive,
    b"sd": commands.list_shared,
    b"dump": commands.dump,
    b"iam": commands.iam,
    b"me": commands.me,
    b"who": commands.who,
    b"q": commands.counters,
    b"wait": extensions.wait,
    b"read": extensions.read,
    b"share": extensions.share,
    b"lease": extensions.lease,
    b"token": extensions.token,
    b"check": extensions.check,
    b"put": items.put,
    b"take": items.take,
    b"done": items.done,
    b"fail": items.fail,
    b"give": items.give,
    b"keep": items.keep,
    b"pool": items.counts,
    b"book": windows.book,
    b"sbook": windows.shared_book,
    b"bookings": windows.bookings,
    b"unbook": windows.unbook,
    b"explain": extensions.explain,
    b"history": extensions.history,
    b"find": listings.find,
    b"notify": extensions.notify,
    b"alive": extensions.alive,
    b"kick": extensions.kick,
    b"auth": extensions.auth,
}

# Whole lines: with any other argument they are no command, as in the original, which has none of them. `help me` is in
# its recordings.
_BARE: dict[bytes, Handler] = {
    b"cancel": extensions.cancel,
    b"bound": extensions.bound,
    b"ping": extensions.ping,
    b"version": extensions.version,
    b"quit": extensions.quit,
    b"help": help.verbs,
    b"help all": help.every_verb,
    **{b"help " + word: help.one_verb for word in VERBS if word != b"me"},
}

# Verbs that keep names, and how many words come before the first and before the last of them.
KEEPERS = {
    b"g": (0, 0),
    b"sg": (0, 0),
    b"iam": (0, 0),
    b"wait": (1, 1),
    b"read": (1, 1),
    b"share": (2, 2),
    b"put": (0, 1),
    b"take": (1, 1),
    b"book": (3, 3),
    b"sbook": (3, 3),
}


def _careful(handler: Handler, first: int, last: int) -> Handler:
    def check(talk: Conversation, argument: bytes, now: float) -> bytes | None:
        longest = talk.policy.config.max_name
        if len(argument) > longest:
            for name in argument.split(b" ", last)[first:]:
                if len(name) > longest:
                    return talk.name_too_long(name)
        return handler(talk, argument, now)

    return check


class Vocabulary:
    """Every verb that is understood, with what carries it out.

    Args:
        offered: those of other doors.
    """

    def __init__(self, offered: Mapping[bytes, Offered] = MappingProxyType({})) -> None:
        self.records: Records | None = None  # of items; None: they are kept in memory only
        # What `take` and the like do for pools of other doors, whose names begin with #: `take #`.
        self.elsewhere: dict[bytes, Handler] = {}
        named: dict[bytes, Handler] = {**_NAMED, **offered}
        self.words = tuple(
            dict.fromkeys((*VERBS, *offered))
        )  # in the order of `help`; their uses are counted so
        places = {word: place for place, word in enumerate(self.words)}

        def numbered(handlers: dict[bytes, Handler]) -> Handlers:
            return {line: (handler, places[line.partition(b" ")[0]]) for line, handler in handlers.items()}

        self.bare = numbered(_BARE)
        self.open = numbered(named)
        # In force where the length of names is limited.
        self.careful = numbered(
            named | {word: _careful(named[word], *spans) for word, spans in KEEPERS.items()}
        )
        # In force until a client has proved that it may talk to this daemon.
        self.unauthorised = numbered(dict.fromkeys(named, extensions.refuse) | {b"auth": extensions.auth})
