"""The line language, on TCP, Unix sockets and websockets.

What moves bytes decides nothing: it reads, asks the conversation (wire/), writes, and stops reading from a client that
does not read its replies, or that has sent more than can be carried out now.
"""
