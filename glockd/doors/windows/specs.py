"""What is wrong with a spec; and what is said of it, each value as Python writes it (the specification, section 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from glockd.core.names import normalise
from glockd.doors.windows import times

# So much of a value is repeated.
SHOWN_MOST: Final = 200

_HOST = re.compile(
    r"(?=.{1,253}\.?\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII
)
_NODE = re.compile(r"(.*?|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", re.ASCII)

# Gives what is wrong with a value; empty: nothing.
Check = Callable[[Any], str]


def shown(value: Any) -> str:
    """A value as messages have it."""
    text = repr(value)
    return text if len(text) <= SHOWN_MOST else f"{text[:SHOWN_MOST]}..."


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Whether a value of JSON is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def not_of_type(value: Any, kind: str) -> str:
    """What is said of a value of another type."""
    return f"{shown(value)} is not of type '{kind}'"


def check_text(value: Any) -> str:
    """A value that is to be text."""
    return "" if isinstance(value, str) else not_of_type(value, "string")


def check_duration(value: Any) -> str:
    """A value that is to be a duration."""
    if not isinstance(value, str):
        return not_of_type(value, "string")
    try:
        times.duration(value)
    except ValueError:
        return f"{shown(value)} is not a valid ISO 8601 duration."
    return ""


def is_host(text: str) -> bool:
    """Whether a text is the name or the address of a host."""
    try:
        ip_address(text)
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True


def host_of(node: str) -> str:
    """The host of `host[:port]`."""
    try:
        ip_address(node)
    except ValueError:
        found = _NODE.fullmatch(node)
        return "" if found is None else found[1].removeprefix("[").removesuffix("]")
    return node


def _check_host(value: Any) -> str:
    wrong = check_text(value)
    return wrong or ("" if is_host(value) else f"{shown(value)} is not a host name or an address")


def _check_node(value: Any) -> str:
    wrong = check_text(value)
    return wrong or (
        "" if is_host(host_of(value)) else f"{shown(value)} is not a host with or without a port"
    )


def _check_hosts(value: Any) -> str:
    if not isinstance(value, list):
        return not_of_type(value, "array")
    if not value:
        return "[] is too short"
    return next((wrong for one in value if (wrong := _check_host(one))), "")


def _check_share(value: Any) -> str:
    if not is_number(value):
        return not_of_type(value, "number")
    if value > 1:
        return f"{shown(value)} is greater than the maximum of 1.0"
    return f"{shown(value)} is less than the minimum of 0.0" if value < 0 else ""


def _check_window(value: Any) -> str:
    wrong = check_duration(value)
    return wrong or ("" if times.duration(value) > 0 else f"{shown(value)} has no length")


def _check_name(value: Any) -> str:
    wrong = check_text(value)
    if wrong:
        return wrong
    try:
        name = name_of(value)
    except UnicodeEncodeError:
        name = b""
    return "" if name else f"{shown(value)} is not a name"


def _anything(value: Any) -> str:
    return ""


def name_of(resource: str) -> bytes:
    """The name that a resource is.

    Raises:
        UnicodeEncodeError: it is none.
    """
    return normalise(resource.encode("utf-8", "surrogateescape"))


_IDLE: Final[Mapping[str, Check]] = {
    "schema": _anything,
    "duration": check_duration,
    "host": _check_host,
    "host-node": _check_node,
    "starting-comment": check_text,
    "parting-comment": check_text,
}
_WINDOW: Final[Mapping[str, Check]] = {
    "schema": _anything,
    "duration": _check_window,
    "resource": _check_name,
    "comment": check_text,
}

# By test, and by the version of its spec: the members that there may be.
MEMBERS: Final[Mapping[str, Sequence[Mapping[str, Check]]]] = {
    "idle": (
        _IDLE,
        {name: check for name, check in _IDLE.items() if name != "host-node"} | {"host": _check_hosts},
    ),
    "idleex": (_IDLE,),
    "noop": (
        {
            "schema": _anything,
            "data": _anything,
            "host": _check_host,
            "host-node": _check_node,
            "fail": _check_share,
        },
    ),
    "window": (_WINDOW,),
    "window-shared": (_WINDOW,),
}


def version_of(value: Mapping[str, Any]) -> int:
    """Which version something says it is of.

    Raises:
        ValueError: it says none that is a number.
    """
    version = value.get("schema", 1)
    if not is_integer(version):
        raise ValueError("Schema value must be an integer")
    return int(version)


def unknown(value: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """What is said of members that are not known; empty: all are."""
    names = [shown(name) for name in value if name not in known]
    if not names:
        return ""
    were = "was" if len(names) == 1 else "were"
    listed = ", ".join(names[:10])
    return f"Additional properties are not allowed ({listed} {were} unexpected)"


def check_spec(test: str, spec: Any) -> str:
    """What is wrong with the spec of a test that is offered; empty: nothing."""
    if not isinstance(spec, dict):
        return "JSON must be an object"
    versions = MEMBERS[test]
    try:
        version = version_of(spec)
    except ValueError as error:
        return str(error)
    if not 1 <= version <= len(versions):
        stop = "" if test == "idleex" else "."
        return f"Schema version {version} is not supported (highest is {len(versions)}){stop}"
    members = versions[version - 1]
    if "duration" in members and "duration" not in spec:
        return "At /: 'duration' is a required property"
    wrong = unknown(spec, members)
    if wrong:
        return f"At /: {wrong}"
    for name, value in spec.items():
        wrong = members[name](value)
        if wrong:
            return f"At /{name}: {wrong}"
    return ""


def participants(spec: Mapping[str, Any]) -> list[str | None]:
    """Who takes part in a test of a valid spec; None is this server."""
    if isinstance(spec.get("host"), list):
        return list(spec["host"])
    return [spec.get("host-node", spec.get("host"))]
