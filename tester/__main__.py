"""`python -m glockd_tester` is the console command `glockd-tester`."""

from .cli import main

if __name__ == "__main__":
    main()
