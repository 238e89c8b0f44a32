"""LDLM's language, as its gRPC and REST clients speak it.

`calls.py` decides and knows no clock and no I/O; `desk.py` and `keeper.py` put it to work for sessions; `grpc.py` and
`rest.py` are two faces of the same; `door.py` says who answers on which kind of socket.
"""
