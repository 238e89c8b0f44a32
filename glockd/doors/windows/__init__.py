"""Booked windows: a name for a stretch of time, agreed before; and pScheduler's API on them.

`book.py` decides; it knows no I/O and no clock. `desk.py` meets the clock, the core and the records, `routes.py` speaks
HTTP, and `verbs.py` is what the line language says.
"""
