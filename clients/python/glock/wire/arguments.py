"""What a caller may pass where a name or a number belongs.

A value of another type is a TypeError before anything is sent: made into something by force, it would be
another name, or another time, than the one that was meant.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from numbers import Complex, Number, Real

INFINITE = float("inf")


def text(value: object, what: str) -> bytes:
    """The bytes of what has to be `str` or `bytes`.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return bytes(value)
    raise TypeError(f"a {what} is str or bytes, not {_kind(value)}")


def number(value: object, what: str) -> float:
    """What has to be a number, however it is made: int, float, Decimal, Fraction, one of numpy's.

    Returns:
        a float; infinite if the number is too large for one.

    Raises:
        TypeError: it is no number (None, text, a bool, an array).
        ValueError: it is not a number (NaN).
    """
    if value is None:
        raise TypeError(f"{what} is a number of seconds, not None; math.inf is for as long as it takes")
    real = isinstance(value, Real) or (isinstance(value, Number) and not isinstance(value, Complex))
    if not real or isinstance(value, bool):
        raise TypeError(f"{what} is a number of seconds, not {_kind(value)}")
    try:
        found = float(value)  # type: ignore[arg-type]  # Decimal is a Number that has __float__
    except OverflowError:
        found = INFINITE if value > 0 else -INFINITE  # type: ignore[operator]
    except ValueError:
        found = float("nan")  # a signalling NaN of Decimal
    if found != found:
        raise ValueError(f"{what} must be a number of seconds, not {value!r}")
    return found


def duration(value: object, what: str) -> float:
    """Seconds, 0 or more, `math.inf` included.

    Raises:
        TypeError, ValueError: it is something else.
    """
    found = number(value, what)
    if found < 0:
        raise ValueError(f"{what} must be 0 seconds or more, not {value!r}")
    return found


def period(value: object, what: str, *, finite: bool = False) -> float:
    """Seconds, more than 0.

    Raises:
        TypeError, ValueError: it is something else.
    """
    found = number(value, what)
    if not found > 0 or (finite and found == INFINITE):
        raise ValueError(
            f"{what} must be more than 0 seconds{', and finite' if finite else ''}, not {value!r}"
        )
    return found


def whole(value: object, what: str, least: int) -> int:
    """An integer of any type, from `least` up to what the daemon reads.

    Raises:
        TypeError: it is none, or a bool.
        ValueError: it is less, or has more than 18 digits.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is an integer, not {_kind(value)}")
    found = operator.index(value)
    if not least <= found < 10**18:
        raise ValueError(f"{what} must be from {least} to {10**18 - 1}, not {value!r}")
    return found


def callback(value: Callable[..., object] | None, what: str) -> None:
    """
    Raises:
        TypeError: it can be called by nobody.
    """
    if value is not None and not callable(value):
        raise TypeError(f"{what} is a function or None, not {_kind(value)}")


def _kind(value: object) -> str:
    return type(value).__name__
