"""A request as the routes of this door see it."""

from __future__ import annotations

import re
from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

from glockd.doors.windows import times
from glockd.doors.windows.jsons import BadJson, read
from glockd.doors.windows.refusal import Refusal, not_found
from glockd.doors.windows.shown import View
from glockd.net.exchange import Answer, Ask

Reply: TypeAlias = "Answer | Future[Answer] | Coroutine[Any, Any, Answer]"
Route: TypeAlias = "Callable[[Call], Reply]"
# Who answers each method.
Routes: TypeAlias = Mapping[str, Route]

ROOT: Final = "/pscheduler"
HIGHEST_API: Final = 6
MOST_FIELDS: Final = 100

_SLASHES = re.compile("/+")
_TRUE = frozenset({"", "true", "yes", "1"})


class Call(NamedTuple):
    """A request.

    Args:
        ask: as it came.
        words: what its path is made of, below `/pscheduler/`.
        given: its query.
        view: how the one who asks sees this server.
    """

    ask: Ask
    words: tuple[str, ...]
    given: Mapping[str, str]
    view: View

    @property
    def pretty(self) -> bool:
        """Whether people are to read the answer."""
        return self.is_true("pretty")

    @property
    def api(self) -> int:
        """The version of the interface that is spoken."""
        return int(self.given.get("api", "1"))

    def is_true(self, name: str) -> bool:
        """Whether an argument is given and says yes."""
        return name in self.given and self.given[name].lower() in _TRUE

    def json(self, name: str, missing: str) -> Any:
        """The value of an argument that is JSON.

        Args:
            name: the argument's.
            missing: what is said if it is not given.

        Raises:
            Refusal: it is not, or it is none.
        """
        if name not in self.given:
            raise Refusal(400, missing)
        try:
            return read(self.given[name])
        except BadJson as error:
            raise Refusal(400, str(error)) from None

    def moment(self, name: str, wrong: str) -> int | None:
        """The value of an argument that is a timestamp; None if it is not given.

        Raises:
            Refusal: it is none; `wrong` is said.
        """
        if name not in self.given:
            return None
        try:
            # A plus sign that nobody has encoded has become a blank.
            return times.moment(
                self.given[name].replace(" ", "+") if "T" in self.given[name] else self.given[name]
            )
        except ValueError:
            raise Refusal(400, wrong) from None

    def span(self) -> tuple[int | None, int | None]:
        """What `start` and `end` say.

        Raises:
            Refusal: they make no sense.
        """
        wrong = "Invalid start or end time"
        start, end = self.moment("start", wrong), self.moment("end", wrong)
        if start is not None and end is not None and end < start:
            raise Refusal(400, "The end must not be before the start.")
        return start, end

    def cardinal(self, name: str) -> int | None:
        """The value of an argument that is a number from 1 up; None if it is not given.

        Raises:
            Refusal: it is none.
        """
        if name not in self.given:
            return None
        text = self.given[name]
        if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text)):
            raise Refusal(400, "Invalid cardinal; expecting integer > 0")
        return int(text)


def words_of(path: str) -> tuple[str, ...]:
    """What a path is made of.

    Raises:
        Refusal: it is not of this door.
    """
    path = _SLASHES.sub("/", path)
    if not path.startswith(f"{ROOT}/"):
        raise not_found()
    return tuple(unquote(word) for word in path.removeprefix(f"{ROOT}/").split("/"))


def query_of(text: str) -> dict[str, str]:
    """The arguments of a query; of several with one name the first.

    Raises:
        Refusal: there are too many.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Refusal(400, f"There may be {MOST_FIELDS} arguments") from None
    return dict(reversed(pairs))


def check_api(given: Mapping[str, str]) -> None:
    """See that the interface is one that is spoken.

    Raises:
        Refusal: it is not.
    """
    if "api" not in given:
        return
    text = given["api"]
    try:
        if len(text) > 16:
            raise ValueError(f"it has {len(text)} digits")
        version = int(text)
    except ValueError as error:
        raise Refusal(400, f"Invalid API value {text[:100]!r}: {error}"[:300]) from None
    if version > HIGHEST_API:
        raise Refusal(501, f"No API above {HIGHEST_API} is supported")
