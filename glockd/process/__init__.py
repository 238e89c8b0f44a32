"""The daemon as a process: pid file, sockets, word to the service manager, timers. Knows nothing of locks."""
