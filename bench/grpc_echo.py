"""The gRPC engine alone: the tests' echo service. Prints its port; ends with standard input."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.grpc_server import main

if __name__ == "__main__":
    main()
