"""What the daemon knows: locks, who holds and awaits them, who is connected.

No I/O, no clock, no bytes of the wire: callers pass the time in and get facts back. Direct answers are return values;
what concerns another session comes back as an event.
"""
