"""Real proxies between client and daemon."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.clients import PATIENCE, StreamClient, WebSocketClient, host_port, wait_until

Address = tuple[str, int]


class Proxy:
    """A proxy that runs; `address` is where clients find the server behind it."""

    def __init__(self, folder: Path, command: list[str], config: str) -> None:
        path = folder / "proxy.conf"
        path.write_text(config)
        self.log = folder / "proxy.output"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
            )
        self.sockets: list[socket.socket] = []

    def connect(self, address: Address) -> socket.socket:
        """A connection through it, as soon as it listens."""
        found: list[socket.socket] = []

        def listens() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                found.append(socket.create_connection(address, PATIENCE))
            except ConnectionRefusedError:
                return False
            return True

        wait_until(listens)
        self.sockets += found
        return found[0]

    def stream(self, address: Address) -> StreamClient:
        sock = self.connect(address)
        return StreamClient(sock, host_port(sock.getsockname()), "tcp")

    def web(self, address: Address) -> WebSocketClient:
        sock = self.connect(address)
        return WebSocketClient(sock, host_port(sock.getsockname()))

    def stop(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.process.terminate()
        self.process.wait(PATIENCE)


Start = Callable[..., Proxy]
