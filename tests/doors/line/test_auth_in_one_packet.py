"""What a client sends behind its `auth`, in the same packet, is carried out."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.support.fakes import daemon


def test_the_line_behind_auth_is_served(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    with (
        daemon(tmp_path, "-auth-file", str(secret)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as sock,
    ):
        sock.settimeout(10)
        sock.sendall(b"auth open sesame\nping\ng job\n")
        sock.shutdown(socket.SHUT_WR)
        assert sock.makefile("rb").read() == b"1 ok\n1 pong\n1 Lock Get Success: job\r\n"
