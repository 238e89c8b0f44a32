"""How the log looks, and what it says of a notice."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import structlog

from glockd.core.events import Refused
from glockd.core.history import GRANTED, Record
from glockd.core.holds import Hold
from glockd.core.names import shown, text
from glockd.core.sessions import Session
from glockd.net.tls import Tls
from glockd.notices import (
    CheckpointFailed,
    Connected,
    Disconnected,
    Kicked,
    Misspoken,
    Notice,
    Recording,
    Refusals,
    Renamed,
    Stranger,
    Unread,
    Unrecorded,
)

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(form: str, level: str) -> None:
    """Log lines of `level` and above to standard error.

    Args:
        form: console or json.
        level: debug, info, warning or error.
    """
    renderer: structlog.typing.Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def loss(lines: int) -> str:
    """The line of the log, as it looks now, that tells how many lines were lost; whatever its level."""
    event: structlog.typing.EventDict = {
        "event": "log lines were lost, as they were not taken",
        "lines": lines,
    }
    for processor in structlog.get_config()["processors"]:
        event = processor(None, "warning", event)
    return f"{event}\n"


def say_certificates(tls: Tls, now: float, *, troubles_only: bool = False) -> None:
    """Log which certificates are in force, with a warning for those that are not good for much longer.

    Args:
        now: seconds since 1970.
        troubles_only: say nothing of those that are good.
    """
    log = structlog.get_logger()
    if tls.objection:
        log.warning("clients do not accept the certificate", option="-tls-cert", reason=tls.objection)
    for one in tls.certificates:
        trouble = one.trouble(now)
        facts = {"option": one.option, "subject": one.subject, "serial": one.serial, "ends": _date(one.ends)}
        if trouble == "is not valid yet":
            facts["begins"] = _date(one.begins)
        if trouble:
            log.warning(f"a certificate {trouble}", **facts)
        elif not troubles_only:
            log.info("certificate", **facts)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def say(notice: Notice) -> None:
    """Log what a notice tells; most events tell the log nothing."""
    log = structlog.get_logger()
    match notice:
        case Refused(waiter=waiter, cycle=cycle):
            circle = [_who(session) for session in cycle]
            log.warning("deadlock refused", lock=_name(waiter.name), cycle=circle)
        case Refusals(reasons=reasons):
            log.warning("refused", **reasons)
        case Stranger(reason=reason, name=name):
            log.warning(f"refused {reason}", **{reason: name}, see=f"-ws-{reason}")
        case Connected(session=session):
            log.info("connected", session=_who(session), transport=session.transport)
        case Disconnected(session=session, how=how):
            log.info("disconnected", session=_who(session), how=how)
        case Kicked(session=session, by=operator):
            log.info("kicked", session=_who(session), by=_who(operator), transport=operator.transport)
        case Renamed(session=session):
            log.info("changed name", session=_who(session), name=_name(session.label))
        case Misspoken(session=session, line=line):
            log.info("invalid command", session=_who(session), line=text(line.strip(b"\0\r\n")))
        case Unrecorded(reason=reason):
            log.error("records cannot be written", reason=reason)
        case Recording(seconds=seconds):
            log.info("records are written again", after=round(seconds, 3))
        case CheckpointFailed(reason=reason):
            log.warning("records are written, but their log cannot be emptied", reason=reason)
        case Unread(reason=reason):
            log.error("a file cannot be used: it is as before", reason=reason)
        case Record():
            _say_record(notice)


def _say_record(record: Record) -> None:
    subject = record.subject
    extra: dict[str, object] = {"detail": record.detail} if record.detail else {}
    if isinstance(subject, Hold):
        extra["token"] = subject.token
        if record.kind != GRANTED:
            extra["held"] = round(record.now - subject.since, 3)
    structlog.get_logger().info(
        record.kind,
        session=_who(subject.session),
        lock=_name(subject.name),
        table=subject.table.kind,
        **extra,
    )


def _who(session: Session) -> str:
    return text(session.address)


def _name(name: bytes) -> str:
    return text(shown(name))
