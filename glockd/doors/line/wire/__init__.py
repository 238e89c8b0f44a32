"""The text language: bytes in, bytes out.

Turns what one client sends into calls on the core, and what the core answers into replies. No I/O and no clock here
either; a transport moves the bytes and says what time it is.
"""
