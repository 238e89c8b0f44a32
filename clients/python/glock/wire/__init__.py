"""The line language without a socket: what to send, and what the answers mean.

`arguments` checks what callers pass; `language` spells commands and reads replies; `conversation` matches
replies with those who asked, and knows what the session holds; `recipes` are the steps of getting and giving
back as generators, `questions` those of asking; `websocket` puts lines into messages. None of them does I/O or
knows a clock: the blocking and the asyncio client both drive them, and so have one behaviour.
"""
