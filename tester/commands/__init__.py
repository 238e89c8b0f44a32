"""A file a command, each imported when its command is called; what several of them share is beside them."""
