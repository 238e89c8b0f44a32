"""What a get and release through the Python client cost, against the same two lines on a bare socket.

    python bench/python_client.py [--url tcp://127.0.0.1:9999] [--pairs 5000] [--rounds 7]

Without --url it starts a daemon of its own. Raw sockets, blocking client and asyncio client take turns,
`rounds` times, so that all of them meet the same machine; the medians are compared. The raw loop sends
`g NAME` and `r NAME` and waits for each reply; the clients fetch the fencing token as well, in one packet
with the get.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from glock import AsyncClient, Client
from glock.address import parse


def raw(url: str, pairs: int) -> float:
    """Seconds a pair."""
    address = parse(url)
    if address.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.path)
    else:
        sock = socket.create_connection((address.host, address.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        begin = time.perf_counter()
        for _ in range(pairs):
            sock.sendall(b"g bench\n")
            sock.recv(4096)
            sock.sendall(b"r bench\n")
            sock.recv(4096)
        return (time.perf_counter() - begin) / pairs


def blocking(url: str, pairs: int) -> float:
    with Client(url) as client:
        lock = client.lock("bench")
        with lock:
            pass
        begin = time.perf_counter()
        for _ in range(pairs):
            with lock:
                pass
        return (time.perf_counter() - begin) / pairs


def with_asyncio(url: str, pairs: int) -> float:
    async def work() -> float:
        async with AsyncClient(url) as client:
            lock = client.lock("bench")
            async with lock:
                pass
            begin = time.perf_counter()
            for _ in range(pairs):
                async with lock:
                    pass
            return (time.perf_counter() - begin) / pairs

    return asyncio.run(work())


@contextlib.contextmanager
def own_daemon() -> Iterator[str]:
    """A daemon on a free port and, if there are two cores, on another one than this process."""
    cores = sorted(os.sched_getaffinity(0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        fd = listener.fileno()
        # sd_listen_fds(3): the socket is descriptor 3 of the process with the pid LISTEN_PID.
        script = f'exec 3<&{fd}; LISTEN_PID=$$ exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", sys.executable, "-m", "glockd", "-port", "0", "-ws", "0"],
            env={**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "tcp"},
            pass_fds=(fd,),
            stderr=subprocess.DEVNULL,
        )
    os.sched_setaffinity(process.pid, {cores[-1]})
    os.sched_setaffinity(0, {cores[0]})
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url")
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {"raw sockets": [], "Client": [], "AsyncClient": []}
    with contextlib.ExitStack() as stack:
        url = arguments.url or stack.enter_context(own_daemon())
        for _ in range(arguments.rounds):
            for name, function in zip(taken, (raw, blocking, with_asyncio), strict=True):
                taken[name].append(function(url, arguments.pairs))
    base = statistics.median(taken["raw sockets"])
    print(f"{'':12} {'us a pair':>10} {'ratio':>6}   medians of {arguments.rounds} x {arguments.pairs}")
    for name, values in taken.items():
        median = statistics.median(values)
        print(f"{name:12} {median * 1e6:10.1f} {median / base:6.2f}")


if __name__ == "__main__":
    main()
