"""What the tests drive glockd with: the real process, clients that speak raw bytes, and facts to wait for."""
