"""Data Dispatcher's HTTP: its case file, as it was recorded from its data server and auth server, and who plays it."""
