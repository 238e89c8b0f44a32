"""Records: what survives a restart, in one SQLite file. Knows no door; each door brings the tables that it needs."""
