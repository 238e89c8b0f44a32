"""From a Config to a running daemon, and from its end to an exit code."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

import structlog
import uvloop

from glockd import logs
from glockd.config import Config, StartError
from glockd.daemon import Daemon
from glockd.process.stderr import hold_standard_descriptors, replace_stderr

# How long a log that is read slowly may take to read the last lines, in seconds.
LAST_WORDS = 0.5


def run(config: Config, reread: Callable[[], Config], ignored: Mapping[str, Sequence[str]]) -> int:
    """Serve until told to stop; the exit code.

    Args:
        config: what the operator wants.
        reread: what they want when it is called; raises ConfigError if that makes no sense.
        ignored: what they said besides, and nobody understood, by where they said it.
    """
    hold_standard_descriptors()
    # A daemon in the background would stand still when it writes to a terminal with `stty tostop`.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    stderr = replace_stderr(logs.loss)
    logs.configure(config.log_format, config.log_level)
    if ignored:
        structlog.get_logger().warning("ignored, as no option is meant", **ignored)

    async def serve() -> None:
        await Daemon(config, asyncio.get_running_loop(), reread).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    except StartError as error:
        print(f"glockd: {error}" if error.code == 1 else error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    finally:
        stderr.drain(LAST_WORDS)
    return 0
