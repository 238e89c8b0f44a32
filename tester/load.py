"""Runs the load generators: C programs that lie beside this module and are compiled when first needed.

In C because a load generator in Python is slower than the server that it is to measure.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .addresses import Address
from .errors import CannotTest
from .latency import Histogram

SOURCES = Path(__file__).parent


class NoCompiler(CannotTest):
    """There is no C compiler; the text says what to install."""


class LoadFailed(CannotTest):
    """A load generator could not do its work; the text is what it said."""


@dataclass(frozen=True)
class Load:
    """What one run of a load generator measured."""

    done: int  # commands, or rounds
    served: int  # the same with the warm-up
    seconds: float
    refused: int
    histogram: Histogram

    @property
    def rate(self) -> float:
        """Commands (or rounds) a second."""
        return self.done / self.seconds


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="glockd-tester-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def compiled(name: str) -> Path:
    """The program made from `name`.c, with $CC or cc -O2.

    Raises:
        NoCompiler: neither is there.
        LoadFailed: it does not compile.
    """
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None:
        raise NoCompiler(
            "the load generators are compiled on the spot, and there is no C compiler: install one "
            "(Debian: apt-get install gcc libc6-dev) or name one in CC"
        )
    program = _folder() / name
    made = subprocess.run(
        [compiler, "-O2", "-o", str(program), str(SOURCES / f"{name}.c")],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise LoadFailed(f"{compiler} cannot compile {name}.c:\n{made.stderr.strip()}")
    return program


def _where(address: Address) -> list[str]:
    if address.transport == "unix":
        return ["unix", address.path, "-"]
    return [address.transport, address.host, str(address.port)]


def _pinned(command: Sequence[str], core: int | None) -> list[str]:
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def _run(name: str, address: Address, numbers: Sequence[str], core: int | None) -> Any:
    command = [str(compiled(name)), *_where(address), *numbers]
    ran = subprocess.run(_pinned(command, core), capture_output=True, text=True, check=False)
    if ran.returncode:
        raise LoadFailed(f"{address}: {ran.stderr.strip() or f'ended with {ran.returncode}'}")
    return json.loads(ran.stdout)


def pingpong(
    address: Address,
    *,
    connections: int,
    pipeline: int = 1,
    seconds: float,
    core: int | None = None,
    work: bool = False,
) -> Load:
    """Get and release over `connections`, `pipeline` commands a packet; see load.c.

    Args:
        work: take items and say done to them instead, one command a packet; they are put in before, see load.c.

    Raises:
        NoCompiler, LoadFailed
    """
    numbers = [str(connections), str(pipeline), f"{seconds:g}", "work" if work else "locks"]
    result = _run("load", address, numbers, core)
    histogram = Histogram.of(result["histogram"], result["longest_ns"])
    return Load(result["commands"], result["served"], result["seconds"], result["refused"], histogram)


def handover(
    address: Address,
    *,
    waiters: int,
    rounds: int,
    seconds: float,
    hold: float = 0.0,
    echo: bool = False,
    core: int | None = None,
) -> Load:
    """Release to next grant with `waiters` in the queue; or, with `echo`, a bare round trip; see handover.c.

    Args:
        hold: seconds for which each holder keeps the lock before it releases.

    Raises:
        NoCompiler, LoadFailed
    """
    numbers = [str(waiters), str(rounds), f"{seconds:g}", f"{hold * 1e6:.0f}", "echo" if echo else "lock"]
    result = _run("handover", address, numbers, core)
    histogram = Histogram.of(result["histogram"], result["longest_ns"])
    return Load(result["rounds"], result["rounds"], result["seconds"], 0, histogram)


def calls(
    address: Address,
    path: str,
    *,
    connections: int,
    at_once: int,
    seconds: float,
    size: int = 20,
    deadlines: bool = False,
    core: int | None = None,
) -> Load:
    """Unary gRPC calls of `path`, `at_once` on each of `connections`; see calls.c.

    Args:
        size: bytes of each message, at most 1000.
        deadlines: each call has a deadline of its own.

    Raises:
        NoCompiler, LoadFailed
    """
    kind = "timeouts" if deadlines else "plain"
    numbers = [str(connections), str(at_once), f"{seconds:g}", path, str(size), kind]
    result = _run("calls", address, numbers, core)
    histogram = Histogram.of(result["histogram"], result["longest_ns"])
    return Load(result["calls"], result["served"], result["seconds"], 0, histogram)


@contextmanager
def echo_server(core: int | None = None) -> Iterator[Address]:
    """The bare epoll echo server, running: what a lock server could reach at best. Raises as `compiled`."""
    with running([str(compiled("echo"))], core) as address:
        yield address


@contextmanager
def running(command: Sequence[str], core: int | None = None) -> Iterator[Address]:
    """A server that prints its port and ends with its standard input, such as echo.c."""
    process = subprocess.Popen(
        _pinned(command, core), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise LoadFailed(f"{command[0]} did not start")
        yield Address("tcp", "127.0.0.1", int(port))
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
