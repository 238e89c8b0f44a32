"""A program that takes glockd's options, listens where they say, and tells them to whoever asks by HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"options": " ".join(sys.argv[1:]), "pid": str(os.getpid())}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    options = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
    if "-ldlm-session-seconds=13" in sys.argv:
        sys.exit("line one\n13 s bring bad luck")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    host, _, port = options["-ldlm"].partition(":")
    grpc = socket.create_server((host, int(port)))  # only listens
    host, _, port = options["-ldlm-rest"].partition(":")
    with grpc, ThreadingHTTPServer((host, int(port)), Handler) as rest:
        rest.serve_forever()


main()
