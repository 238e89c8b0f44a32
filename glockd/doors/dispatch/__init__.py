"""Data Dispatcher's language, as its HTTP clients speak it: projects of files, handed out to workers one by one.

`projects.py` decides and knows no clock and no I/O, with `project.py` (what it decides about), `elements.py` (where
files are) and `search.py` (which projects somebody means); `desk.py` puts it to work; `routes.py` and `auth.py` speak
HTTP; `records.py` keeps what outlives the daemon; `door.py` says who answers on which kind of socket.
"""
