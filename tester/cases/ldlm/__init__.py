"""LDLM's gRPC and REST: its case files, as they were recorded from its server, and who plays them.

`cases.json` speaks REST and `grpc-cases.json` gRPC, with REST in between. `mended.json` is ours: it says in cases what
those of kind `defect` say in prose under `instead`.
"""

import os

# grpcio logs refused handshakes on standard error, and cases expect some.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
