"""Kinds of values on the command line, each refused in one clear line where it makes no sense."""

from __future__ import annotations

import math
import os
import shlex
from pathlib import Path
from typing import Any

import click

from ..addresses import Address, Transport, parse_address


class AddressType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """An address of a server, in any of the spellings of `parse_address`."""

    name = "address"

    def __init__(self, transport: Transport = "tcp") -> None:
        self.transport = transport

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return parse_address(value, self.transport)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Place(AddressType):
    """An address of a server on the network, with its port: no port is the usual one."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        address = super().convert(value, param, ctx)
        if address.transport != "tcp" or not str(value).strip().endswith(f":{address.port}"):
            self.fail(f"{value!r} is not HOST:PORT", param, ctx)
        return address


class Seconds(click.FloatRange):
    """Some seconds; unlike for FloatRange, nan is none and neither is infinity."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return number


class Words(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # as above
    """A command line, taken apart as a shell would."""

    name = "words"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        try:
            return shlex.split(value) if isinstance(value, str) else value
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)


class NewFile(click.Path):
    """A file to be written at the end, in a folder that is there from the beginning."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            self.fail(f"{str(path)!r}: nothing can be written there", param, ctx)
        return path
