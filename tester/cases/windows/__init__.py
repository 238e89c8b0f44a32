"""pScheduler's HTTP: its case file, as it was recorded from its API server and scheduler, and who plays it."""
