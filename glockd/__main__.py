"""`python -m glockd`."""

from glockd.cli import main

main(prog_name="glockd")
