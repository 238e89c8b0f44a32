"""A first look at a server: whether it speaks gRPC or HTTP at all, before every case waits for its answers in vain."""

from __future__ import annotations

import http.client
import socket

from ..errors import CannotTest

# RFC 9113, sections 3.4, 4.1 and 6.5: the preface, and empty SETTINGS; the server's SETTINGS must be its first frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
HEAD = 9  # bytes of a frame's head
KIND, SETTINGS = 3, 4  # where it has the frame's kind, and which one that is


class NotSpoken(CannotTest):
    """What listens speaks something else; the text says so."""


def look_at_grpc(address: tuple[str, int], seconds: float) -> None:
    """See that a server answers as HTTP/2 without TLS begins.

    Args:
        seconds: until silence counts as an answer.

    Raises:
        NotSpoken
        OSError: nobody listens.
    """
    with socket.create_connection(address, seconds) as sock:
        head = b""
        try:
            sock.sendall(PREFACE)
            while len(head) < HEAD and (more := sock.recv(HEAD - len(head))):
                head += more
        except OSError:
            pass  # what has come by then tells enough
    if len(head) < HEAD or head[KIND] != SETTINGS:
        raise NotSpoken("what listens there does not speak gRPC without TLS")


def look_at_http(address: tuple[str, int], seconds: float) -> None:
    """See that a server answers a request in HTTP, whatever it says.

    Args:
        seconds: until silence counts as an answer.

    Raises:
        NotSpoken
        OSError: nobody listens.
    """
    connection = http.client.HTTPConnection(*address, timeout=seconds)
    connection.connect()
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as problem:
        raise NotSpoken("what listens there does not speak HTTP without TLS") from problem
    finally:
        connection.close()
