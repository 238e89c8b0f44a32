"""glockd-tester: conformance, benchmarks, chaos and a path doctor for any glockd server."""
