"""A gRPC server for the tests of the engine, on the real service.

    python -m tests.support.grpc_server [--ping-seconds N] [--keepalive SECONDS TIMEOUT] [--tls CERT KEY] [OPTION=N ...]

Prints its port; ends when its standard input does, and drains then. OPTION is a number of the daemon's configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

import uvloop

from glockd.bounds import in_force
from glockd.config import UNLIMITED, Config
from glockd.core.state import State
from glockd.core.stats import Traffic
from glockd.logs import say
from glockd.net.calls import Answer, Code, Handler, Metadata, Reply, Status
from glockd.net.gate import Gate
from glockd.net.grpc import GrpcConnection, GrpcServer, Manners
from glockd.net.porch import Porch
from glockd.net.sweep import Sweep
from glockd.net.tls import Tls
from glockd.policy import Policy
from glockd.service import Service

Future = asyncio.Future[Answer]


class Bench:
    """Where callers wait, all of them."""

    def __init__(self) -> None:
        self.waiting: dict[Future, bytes] = {}
        self.given_up = 0
        self.echoed = 0
        self.left: list[str] = []

    def free(self) -> int:
        """Answer all who wait; how many they were."""
        # Who has been given up in this turn is not told so before the next.
        waiting = [future for future in self.waiting if not future.done()]
        for future in waiting:
            future.set_result(self.waiting.pop(future))
        return len(waiting)

    def ended(self, future: Future) -> None:
        """A call has been answered, or given up."""
        if self.waiting.pop(future, None) is not None:
            self.given_up += 1


class EchoCaller:
    """Who calls `test.Echo`.

    Args:
        bench: where its calls wait.
        connection: its own.
    """

    def __init__(self, bench: Bench, connection: GrpcConnection) -> None:
        self.bench = bench
        self.connection = connection

    def leave(self, how: str) -> None:
        self.bench.left.append(how)

    def is_idle(self) -> bool:
        return True

    def echo(self, metadata: Metadata, message: bytes) -> Answer:
        """The message."""
        self.bench.echoed += 1
        return message

    def trailers(self, metadata: Metadata, message: bytes) -> Answer:
        """The message, and what `want` and `want-bin` hold behind it."""
        wanted = [(name.encode(), metadata[name]) for name in ("want", "want-bin") if name in metadata]
        return Reply(message, tuple(wanted))

    def wait(self, metadata: Metadata, message: bytes) -> Future:
        """The message, when somebody calls `Free`."""
        future: Future = self.connection.service.loop.create_future()
        self.bench.waiting[future] = message
        future.add_done_callback(self.bench.ended)
        return future

    def free(self, metadata: Metadata, message: bytes) -> Answer:
        """Answer all who wait, on every connection; how many they were."""
        return b"%d" % self.bench.free()

    def waiting(self, metadata: Metadata, message: bytes) -> Answer:
        """How many wait, and how many have given up."""
        return b"%d %d" % (len(self.bench.waiting), self.bench.given_up)

    def refuse(self, metadata: Metadata, message: bytes) -> Answer:
        """No answer but a status."""
        raise Status(Code.PERMISSION_DENIED, message.decode(errors="replace"), ((b"why", b"because"),))

    def refuse_by_value(self, metadata: Metadata, message: bytes) -> Answer:
        """The same, returned."""
        return Status(Code.PERMISSION_DENIED, message.decode(errors="replace"), ((b"why", b"because"),))

    def refuse_later(self, metadata: Metadata, message: bytes) -> Future:
        """The same by a future."""
        future: Future = self.connection.service.loop.create_future()
        future.set_exception(
            Status(Code.PERMISSION_DENIED, message.decode(errors="replace"), ((b"why", b"because"),))
        )
        return future

    def fail(self, metadata: Metadata, message: bytes) -> Answer:
        """No answer, by mistake."""
        raise KeyError("a secret")

    def size(self, metadata: Metadata, message: bytes) -> Answer:
        """As many bytes as are asked for."""
        if not message.isdigit():
            raise Status(Code.INVALID_ARGUMENT, "that is no size")
        return bytes(int(message))

    def end(self, metadata: Metadata, message: bytes) -> Answer:
        """End the connection that this comes on: in order, or at once if the message is not empty."""
        if message:
            self.connection.cut("kicked")
        else:
            self.connection.end("kicked")
        return b"the last"


CALLS: Mapping[str, Handler] = {
    "/test.Echo/Echo": EchoCaller.echo,
    "/test.Echo/Trailers": EchoCaller.trailers,
    "/test.Echo/Wait": EchoCaller.wait,
    "/test.Echo/Free": EchoCaller.free,
    "/test.Echo/Waiting": EchoCaller.waiting,
    "/test.Echo/Refuse": EchoCaller.refuse,
    "/test.Echo/RefuseByValue": EchoCaller.refuse_by_value,
    "/test.Echo/RefuseLater": EchoCaller.refuse_later,
    "/test.Echo/Fail": EchoCaller.fail,
    "/test.Echo/Size": EchoCaller.size,
    "/test.Echo/End": EchoCaller.end,
}


def echo_server(
    loop: asyncio.AbstractEventLoop, bench: Bench, manners: Manners | None = None, **limits: Any
) -> GrpcServer:
    """The server of `test.Echo`, on a service of its own.

    Args:
        limits: options of the daemon's configuration.
    """
    policy = Policy(in_force(Config(**limits), UNLIMITED))
    sweep = Sweep(loop, lambda: service.take_stock())
    service = Service(loop, State(), policy, Gate(policy), sweep, deque(), say)
    return GrpcServer(service, Traffic(), CALLS, partial(EchoCaller, bench), manners)


async def serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    seconds, timeout = options.keepalive or (0, 0)
    manners = Manners(seconds, timeout, options.ping_seconds)
    limits = {name: int(value) for name, _, value in (pair.partition("=") for pair in options.limits)}
    server = echo_server(loop, Bench(), manners, **limits)
    answer: Any = server
    if options.tls:
        context = Tls(*options.tls).context(("h2",))
        make: Any = server
        answer = partial(Porch, server.service, context, make)
    listener = await loop.create_server(answer, "127.0.0.1", 0, backlog=4096)
    server.service.sweep.start()
    # As the daemon: without a collector.
    gc.collect()
    gc.freeze()
    gc.disable()
    print(listener.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin)
    listener.close()
    await server.drain(loop.time() + 3)
    server.service.sweep.stop()


def main() -> None:
    """Serve."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--ping-seconds", type=int, default=0)
    options.add_argument("--keepalive", type=int, nargs=2)
    options.add_argument("--tls", nargs=2)
    options.add_argument("limits", nargs="*")
    uvloop.run(serve(options.parse_args()))


if __name__ == "__main__":
    main()
