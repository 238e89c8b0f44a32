"""A lock server whose locks live exactly as long as the connections that hold them."""

__version__ = "0.1.0"
