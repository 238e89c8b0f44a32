"""A task as it is posted, looked at in the order of the specification (section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

from glockd.doors.windows import times
from glockd.doors.windows.cron import Cron
from glockd.doors.windows.hosts import is_own_address, is_this
from glockd.doors.windows.jsons import BadJson, read
from glockd.doors.windows.offered import TESTS, Test, Tool, choose, lasting, tools_for
from glockd.doors.windows.plan import Plan
from glockd.doors.windows.refusal import Refusal
from glockd.doors.windows.specs import (
    Check,
    check_duration,
    check_spec,
    check_text,
    is_integer,
    name_of,
    not_of_type,
    participants,
    shown,
    unknown,
    version_of,
)
from glockd.net.exchange import Ask

HOST: Final = "host"  # the resource of tests that name none

# No repeat is shorter, in seconds.
SHORTEST_REPEAT: Final = 1


class Wanted(NamedTuple):
    """What somebody who posts a task wants."""

    posted: dict[str, Any]  # less comments, and with its tool
    test: Test
    tool: Tool
    spec: dict[str, Any]
    resource: bytes
    lasts: Fraction
    plan: Plan


def read_task(ask: Ask, now: float, horizon: int, longest_name: int) -> Wanted:
    """What a request wants that posts a task.

    Args:
        ask: it.
        now: seconds since 1970.
        horizon: how far ahead runs are made, in seconds.
        longest_name: bytes that a name may have; 0: any number.

    Raises:
        Refusal: it is not in order.
    """
    try:
        posted = read(ask.body)
    except BadJson as error:
        raise _wrong(str(error)) from None
    wrong = _check_task(posted)
    if wrong:
        raise _wrong(wrong)
    kind, spec = posted["test"]["type"], posted["test"]["spec"]
    test = TESTS.get(kind)
    if test is None:
        raise Refusal(400, f"Unable to validate test spec: Unknown test plugin {shown(kind)}")
    wrong = check_spec(kind, spec)
    resource = b""
    if not wrong:
        resource = name_of(spec.get("resource", HOST)) if test.reserves else HOST.encode()
        if longest_name and len(resource) > longest_name:
            wrong = f"At /resource: it is longer than {longest_name} bytes (-max-name)"
    if wrong:
        raise Refusal(400, f"Invalid test specification: {wrong}")
    _check_surroundings(posted, ask)
    elsewhere = next((host for host in participants(spec) if not is_this(host, ask)), None)
    if elsewhere is not None:
        raise Refusal(400, f"Other participants than this server are not served: {elsewhere}")
    tool = choose(kind, spec, posted.get("tools"), horizon)
    if tool is None:
        raise Refusal(422, _no_tool(kind, spec, horizon, ask))
    plan = read_plan(posted.get("schedule", {}), now)
    return Wanted(posted | {"tool": tool.name}, test, tool, spec, resource, lasting(kind, spec), plan)


def read_plan(schedule: Mapping[str, Any], now: float) -> Plan:
    """What a schedule, whose members are in order, says.

    Raises:
        Refusal: its times are not.
    """

    def seconds(name: str) -> int:
        return times.whole(times.duration(schedule[name]))

    start = times.start_rule(schedule["start"])(math.floor(now)) if "start" in schedule else None
    until = times.moment(schedule["until"]) if "until" in schedule else None
    if until is not None and until <= now:
        raise Refusal(400, "Until must be in the future.")
    if until is not None and start is not None and until <= start:
        raise Refusal(400, "Until must be after the start.")
    if start is not None and start > times.LAST_MOMENT:
        raise Refusal(400, "The start lies beyond any calendar.")
    repeat = times.duration(schedule["repeat"]) if "repeat" in schedule else None
    if repeat is not None and repeat < SHORTEST_REPEAT:
        raise Refusal(400, "The repeat must be at least PT1S.")
    return Plan(
        start=start,
        slip=seconds("slip") if "slip" in schedule else 0,
        sliprand=schedule.get("sliprand", False),
        repeat=None if repeat is None else times.whole(repeat),
        cron=Cron(schedule["repeat-cron"]) if "repeat-cron" in schedule else None,
        until=until,
        max_runs=schedule.get("max-runs"),
    )


# Members


def _check_task(task: Any) -> str:
    """What is wrong with a task as such; empty: nothing."""
    if not isinstance(task, dict):
        return "JSON must be an object"
    try:
        version = version_of(task)
    except ValueError as error:
        return str(error)
    if not 1 <= version <= len(_ADDED):
        return f"Schema version {version} is not supported (highest is {len(_ADDED)})"
    members: dict[str, Check] = {}
    for added in _ADDED[:version]:
        members |= added
    return _check_members("", task, members, ("test",))


def _check_members(
    where: str, value: Mapping[str, Any], members: Mapping[str, Check], needed: Sequence[str]
) -> str:
    for name in needed:
        if name not in value:
            return f"At {where or '/'}: '{name}' is a required property"
    wrong = unknown(value, members)
    if wrong:
        return f"At {where or '/'}: {wrong}"
    for name, one in value.items():
        wrong = members[name](one)
        if wrong:
            # What lies deeper says where itself.
            return wrong if wrong.startswith("At /") else f"At {where}/{name}: {wrong}"
    return ""


def _check_test(value: Any) -> str:
    if not isinstance(value, dict):
        return not_of_type(value, "object")
    return _check_members("/test", value, {"type": check_text, "spec": _anything}, ("type", "spec"))


def _check_schedule(value: Any) -> str:
    if not isinstance(value, dict):
        return not_of_type(value, "object")
    version = value.get("schema", 1)
    if not is_integer(version):
        return f"At /schedule/schema: {not_of_type(version, 'integer')}"
    if version not in (1, 2):
        return f"At /schedule/schema: {version} is not supported (highest is 2)"
    members = dict(_SCHEDULE)
    if version > 1:
        members["repeat-cron"] = _reads(Cron)
    return _check_members("/schedule", value, members, ())


def _reads(reader: Callable[[str], object]) -> Check:
    """What is wrong with a text, as the one says who reads it."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            return not_of_type(value, "string")
        try:
            reader(value)
        except ValueError as error:
            return f"{shown(value)} is not valid: {error}"
        return ""

    return check


def _check_truth(value: Any) -> str:
    return "" if isinstance(value, bool) else not_of_type(value, "boolean")


def _check_integer(value: Any) -> str:
    return "" if is_integer(value) else not_of_type(value, "integer")


def _check_cardinal(value: Any) -> str:
    return _check_integer(value) or ("" if value > 0 else f"{value} is less than the minimum of 1")


def _check_tools(value: Any) -> str:
    if not isinstance(value, list):
        return not_of_type(value, "array")
    return next((wrong for one in value if (wrong := check_text(one))), "")


def _check_archives(value: Any) -> str:
    if not isinstance(value, list):
        return not_of_type(value, "array")
    for one in value:
        if not isinstance(one, dict):
            return not_of_type(one, "object")
        if not isinstance(one.get("archiver"), str):
            return "'archiver' is a required property"
    return ""


def _check_contexts(value: Any) -> str:
    return "" if isinstance(value, dict | list) else not_of_type(value, "object")


def _anything(value: Any) -> str:
    return ""


_SCHEDULE: Final[Mapping[str, Check]] = {
    "schema": _anything,
    "start": _reads(times.start_rule),
    "slip": check_duration,
    "sliprand": _check_truth,
    "repeat": check_duration,
    "until": _reads(times.moment),
    "max-runs": _check_cardinal,
}

# The members that came with each version of a task.
_ADDED: Final[Sequence[Mapping[str, Check]]] = (
    {
        "schema": _anything,
        "test": _check_test,
        "schedule": _check_schedule,
        "tools": _check_tools,
        "tool": check_text,
        "reference": _anything,
        "_key": check_text,
        "archives": _check_archives,
        "lead-bind": check_text,
    },
    {"contexts": _check_contexts},
    {"priority": _check_integer},
    {"debug": _check_truth},
    {"keep-after-archive": check_duration},
)


def _check_surroundings(posted: Mapping[str, Any], ask: Ask) -> None:
    archives = posted.get("archives")
    if archives:
        raise Refusal(400, f"Unknown archiver plugin {shown(archives[0]['archiver'])}")
    bind = posted.get("lead-bind")
    if bind is not None and not is_own_address(bind):
        raise Refusal(400, f"Lead bind {shown(bind)} is not  on this host")
    if posted.get("contexts"):
        raise Refusal(400, "Contexts are not served.")


def _no_tool(kind: str, spec: Mapping[str, Any], horizon: int, ask: Ask) -> str:
    lasts = lasting(kind, spec)
    refusals = {tool.name: tool.refuses(lasts, horizon) for tool in tools_for(kind)}
    offered = [f"    {name}" for name, reason in refusals.items() if not reason]
    declined = [
        line for name, reason in refusals.items() if reason for line in (f"    {name}", f"      - {reason}")
    ]
    return "\n".join(
        [
            "Unable to complete request: None of the participants could run this test:",
            "",
            f"{ask.headers.get('Host') or 'localhost'}:",
            "",
            *(["  Offered", *offered] if offered else ["  Offered nothing."]),
            *(["  Declined", *declined] if declined else ["  Declined nothing."]),
        ]
    )


def _wrong(what: str) -> Refusal:
    return Refusal(400, f"Invalid task specification: {what}")
