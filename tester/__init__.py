"""glockd-tester: conformance, benchmarks, chaos and a path doctor for any glockd server.

Speaks to servers only over their sockets and imports nothing from `glockd`, so that what it says about the
daemon does not rest on the daemon's own code.
"""
