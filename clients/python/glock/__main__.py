"""`python -m glock` is `glock`."""

from glock.cli import main

main()
