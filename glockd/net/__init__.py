"""For doors of any language: addresses, the gate, the sweep, TLS, guards. Knows no lock."""
