"""What moves bytes between a client and its conversation, and decides nothing.

A transport reads, asks the conversation, writes, and stops reading from a client that does not read its replies, or
that has sent more than can be carried out now.
"""
