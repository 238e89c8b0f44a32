"""What may be passed where a name or a number belongs: the same for every method of both Python clients.

Nobody listens where these clients would connect to: an argument that got through would be Unreachable.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import pytest
from glock import AsyncClient, Client, Unreachable
from glock.wire import recipes
from glock.wire.arguments import duration, whole
from glock.wire.conversation import Conversation, Hold
from glock.wire.recipes import Want

NOWHERE = "tcp://127.0.0.1:1"
AnyClient = Client | AsyncClient


class Number:
    """As numpy's scalars are: no subclass of int or float, but registered with `numbers`."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return float(self.value)

    def __index__(self) -> int:
        return int(self.value)

    def __gt__(self, other: float) -> bool:
        return self.value > other


Real.register(Number)


class WholeNumber(Number):
    """As numpy.int64."""


Integral.register(WholeNumber)


class Array:
    """As numpy's arrays and numpy.bool_: can be made a number, and is none."""

    def __float__(self) -> float:
        return 1.0


@pytest.fixture(params=[Client, AsyncClient])
def client(request: pytest.FixtureRequest) -> Any:
    return request.param(NOWHERE)


async def carry_out(value: Any) -> Any:
    """What comes of a method, of whichever client."""
    if hasattr(value, "acquire"):
        value = value.acquire()
    return await value if inspect.isawaitable(value) else value


# Names

NAMED: dict[str, Callable[[Any, Any], Any]] = {
    "lock": lambda client, name: client.lock(name),
    "read": lambda client, name: client.read(name),
    "shared": lambda client, name: client.shared(name),
    "inspect": lambda client, name: client.inspect(name),
    "inspect_shared": lambda client, name: client.inspect_shared(name),
    "check": lambda client, name: client.check(1, name),
    "explain": lambda client, name: client.explain(name),
    "kick": lambda client, name: client.kick(name),
    "holders": lambda client, name: client.holders(name),
    "holders of shared": lambda client, name: client.holders(name, shared=True),
    "history": lambda client, name: client.history(name),
    "who": lambda client, name: client.who(name),
    "find": lambda client, name: client.find("exclusive", name),
    "book": lambda client, name: client.book(name, 60),
    "bookings": lambda client, name: client.bookings(name),
}
OPTIONAL = {"holders", "holders of shared", "history", "who", "find", "bookings"}
NO_NAMES = [
    7,
    0,
    True,
    False,
    1.5,
    [1, 2],
    (),
    b"job"[0],
    bytearray(b"job"),
    memoryview(b"job"),
    Path("job"),
    {},
]


@pytest.mark.parametrize("method", NAMED)
async def test_a_name_of_another_type_never_becomes_another_name(client: AnyClient, method: str) -> None:
    for wrong in [*NO_NAMES, *([] if method in OPTIONAL else [None])]:
        with pytest.raises(TypeError, match=r"is str or bytes, not \w+"):
            await carry_out(NAMED[method](client, wrong))
    for right in ("7", b"7"):
        with pytest.raises(Unreachable):
            await carry_out(NAMED[method](client, right))


def test_every_method_that_takes_a_name_is_tried() -> None:
    named = set()
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_") and {"name", "session", "text"} & set(
            inspect.signature(method).parameters
        ):
            named.add(name)
    assert named == {name.partition(" ")[0] for name in NAMED}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("argument", ["name", "secret"])
def test_a_client_is_called_by_text(kind: Callable[..., AnyClient], argument: str) -> None:
    for wrong in NO_NAMES:
        with pytest.raises(TypeError, match=r"(client's name|secret) is str or bytes, not"):
            kind(NOWHERE, **{argument: wrong})
    for right in ("5", b"5"):
        kind(NOWHERE, **{argument: right})


# Seconds

TIMED: dict[str, Callable[[Any, Any], Any]] = {
    "lock wait": lambda client, value: client.lock("job", wait=value),
    "read wait": lambda client, value: client.read("job", wait=value),
    "shared wait": lambda client, value: client.shared("job", limit=2, wait=value),
    "shared wait without a limit": lambda client, value: client.shared("job", wait=value),
    "lock lease": lambda client, value: client.lock("job", lease=value),
    "read lease": lambda client, value: client.read("job", lease=value),
    "timeout": lambda client, value: type(client)(NOWHERE, timeout=value),
    "alive": lambda client, value: type(client)(NOWHERE, alive=value),
}
NO_NUMBERS = [
    "5",
    b"5",
    True,
    False,
    [5],
    5j,
    Array(),
    object(),
    math.nan,
    Decimal("NaN"),
    Decimal("sNaN"),
    -1,
]
NO_NUMBERS += [-0.001, -math.inf, Decimal(-1), Fraction(-1, 3), Number(-1), -(10**400)]
NUMBERS = [1, 0.5, Decimal("0.5"), Fraction(1, 3), Number(0.5), WholeNumber(2), 1e-300, 1e10, 1e300]


@pytest.mark.parametrize("argument", TIMED)
def test_seconds_are_numbers(client: AnyClient, argument: str) -> None:
    for wrong in NO_NUMBERS:
        with pytest.raises((TypeError, ValueError), match="seconds"):
            TIMED[argument](client, wrong)
    for right in NUMBERS:
        TIMED[argument](client, right)
    if "wait" in argument:
        TIMED[argument](client, 0)
        with pytest.raises(TypeError, match=r"not None; math\.inf is for as long as it takes"):
            TIMED[argument](client, None)
    else:
        with pytest.raises(ValueError, match="more than 0 seconds"):
            TIMED[argument](client, 0)


@pytest.mark.parametrize("lease", NO_NUMBERS)
def test_a_lease_is_renewed_by_a_number(lease: Any) -> None:
    talk = Conversation()
    talk.modern = True
    want = Want(b"job")
    recipe = recipes.renew(talk, Hold(b"job", "exclusive", want.give_back, 1, 7), lease)
    with pytest.raises((TypeError, ValueError), match="lease"):
        next(recipe)


@pytest.mark.parametrize("argument", ["timeout", "alive"])
def test_what_has_to_end_is_finite(argument: str) -> None:
    for endless in (math.inf, Decimal("inf"), 10**400):
        with pytest.raises(ValueError, match="finite"):
            Client(NOWHERE, **{argument: endless})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.inf, 10**400, Decimal("1e400"), Decimal("inf")])
def test_more_than_any_float_is_for_ever(value: Any) -> None:
    assert duration(value, "wait") == math.inf


# Integers

COUNTED: dict[str, Callable[[Any, Any], Any]] = {
    "limit": lambda client, value: client.shared("job", limit=value),
    "token": lambda client, value: client.check(value, "job"),
}


@pytest.mark.parametrize("argument", COUNTED)
async def test_counts_are_integers(client: AnyClient, argument: str) -> None:
    for wrong in (True, 2.0, "2", b"2", Decimal(2), [2], math.nan, *([None] if argument == "token" else [])):
        with pytest.raises(TypeError, match=f"{argument} is an integer, not"):
            await carry_out(COUNTED[argument](client, wrong))
    for wrong in (0, -1, 10**18):
        with pytest.raises(ValueError, match=f"{argument} must be from 1 to"):
            await carry_out(COUNTED[argument](client, wrong))
    for right in (1, WholeNumber(3), 10**18 - 1):
        with pytest.raises(Unreachable):
            await carry_out(COUNTED[argument](client, right))


async def test_a_listing_has_a_name_of_its_own(client: AnyClient) -> None:
    with pytest.raises(ValueError, match="no listing 'all'"):
        await carry_out(client.find("all"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="address or name"):
        await carry_out(client.find("held"))
    with pytest.raises(TypeError, match="most is an integer"):
        await carry_out(client.find("shared", most=2.0))  # type: ignore[arg-type]


def test_an_integer_is_taken_as_it_is() -> None:
    assert whole(WholeNumber(7), "token", 1) == 7


# Others


@pytest.mark.parametrize("method", ["lock", "read", "shared"])
def test_a_callback_can_be_called(client: AnyClient, method: str) -> None:
    with pytest.raises(TypeError, match="on_lost is a function or None, not str"):
        getattr(client, method)("job", on_lost="print")


@pytest.mark.parametrize("wrong", [True, "ca.pem", object()])
def test_tls_is_a_context(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"tls is an ssl\.SSLContext or None"):
        Client("tls://localhost", tls=wrong)
