"""What all reasons have in common for which a test cannot be done."""

from __future__ import annotations


class CannotTest(Exception):
    """The test could not be done, or not to its end; the text is one line that says why."""
