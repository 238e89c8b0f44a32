"""Metrics for Prometheus, read off the State when somebody scrapes."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from glockd import __version__
from glockd.core.stats import TRANSPORTS, Durations
from glockd.net.answers import respond
from glockd.net.exchange import Answer, Ask

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

    from glockd.core.locks import LockTable
    from glockd.core.state import State
    from glockd.policy import Policy
    from glockd.store.book import Book

# Buckets shown: up to 2**25 ms, about nine hours. What took longer is in +Inf.
SHOWN = 26


class Metrics:
    """The page `/metrics`.

    Args:
        state: what is shown.
        policy: whose refusals are shown.
        now: monotonic seconds.
        unready: why new clients are not welcome; empty: they are.
        book: the records, if there are any.
    """

    def __init__(
        self,
        state: State,
        policy: Policy,
        now: Callable[[], float],
        unready: Callable[[], str],
        book: Book | None = None,
    ) -> None:
        self._state = state
        self._policy = policy
        self._now = now
        self._unready = unready
        self._book = book
        self._registry: CollectorRegistry | None = None
        self._versions: dict[str, str] = {}

    def prepare(self) -> None:
        """Load what the first scrape needs, if that is possible now; if not, the first scrape does."""
        with contextlib.suppress(OSError, ImportError):
            self._load()

    def _load(self) -> CollectorRegistry:
        """Load prometheus_client, which takes some 50 ms: best before anybody is served."""
        if self._registry is None:
            from prometheus_client import CollectorRegistry, ProcessCollector

            registry = CollectorRegistry()
            ProcessCollector(registry=registry)
            libraries = {name: version(name) for name in ("httptools", "uvloop", "websockets")}
            self._versions = {"version": __version__, "python": platform.python_version(), **libraries}
            registry.register(self)
            self._registry = registry
        return self._registry

    def show(self, ask: Ask) -> Answer:
        """All metrics, in the format that the scraper asks for."""
        registry = self._load()
        from prometheus_client import exposition, openmetrics

        # Not the library's `choose_encoder`: it raises TypeError on a version that is no number.
        if "application/openmetrics-text" in ask.headers.get("Accept"):
            content = openmetrics.exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
            return respond(content, openmetrics.exposition.CONTENT_TYPE_LATEST)
        return respond(exposition.generate_latest(registry), exposition.CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        """Every metric family of the daemon's own."""
        yield from self._commands()
        yield from self._connections()
        yield from self._tables()
        yield from self._windows()
        yield from self._durations()
        yield from self._records()
        yield from self._process()

    def _commands(self) -> Iterator[Metric]:
        stats = self._state.stats
        used = {word.decode(): uses for word, uses in stats.commands.items()}
        yield _counters("commands", "Commands carried out, successful or not.", "verb", used)
        yield _counter("invalid_commands", "Lines and messages that are no command.", stats.invalid_commands)
        refused = Counter[str](+self._policy.refused)
        refused["deadlock"] = sum(table.stats.refused for table in self._state.tables.values())
        yield _counters("refused", "What was refused, by limit or reason.", "reason", refused)

    def _connections(self) -> Iterator[Metric]:
        sessions = self._state.registry.sessions()
        live = Counter(session.transport for session in sessions)
        yield _gauges(
            "connections", "Connections now.", "transport", {kind: live[kind] for kind in TRANSPORTS}
        )
        holding = sum(1 for session in sessions if session.holds)
        waiting = sum(1 for session in sessions if session.waiters)
        yield _gauge("sessions_holding", "Sessions that hold anything now.", holding)
        yield _gauge("sessions_waiting", "Sessions that wait in line now.", waiting)
        named = len(self._state.registry.named())
        yield _gauge("sessions_named", "Sessions with a registered name now.", named)
        traffic = self._state.stats.traffic
        begun = {kind: one.connections for kind, one in traffic.items()}
        yield _counters("connections_opened", "Connections ever begun.", "transport", begun)
        received = {kind: one.received for kind, one in traffic.items()}
        yield _counters("received_bytes", "Bytes from clients; HTTP is in websocket.", "transport", received)
        sent = {kind: one.sent for kind, one in traffic.items()}
        yield _counters("sent_bytes", "Bytes to clients; HTTP is in websocket.", "transport", sent)

    def _tables(self) -> Iterator[Metric]:
        state, now = self._state, self._now()
        tables = state.shown()

        def each(value: Callable[[LockTable], float]) -> dict[str, float]:
            return {table.kind: value(table) for table in tables}

        def longest_wait(table: LockTable) -> float:
            waiter = table.oldest_waiter()
            return 0.0 if waiter is None else now - waiter.since

        yield _gauges("locks", "Names held now.", "table", each(len))
        yield _gauges(
            "holds", "Holds now: a lock has one for each holder.", "table", each(lambda table: table.held)
        )
        yield _gauges("waiters", "Sessions in line now.", "table", each(lambda table: table.waiting))
        yield _gauges("longest_wait_seconds", "Wait of who is in line longest.", "table", each(longest_wait))
        orphans = each(lambda table: table.stats.orphans)
        yield _counters("orphans", "Locks released because their session ended.", "table", orphans)
        expired = each(lambda table: table.stats.expired)
        yield _counters("expired_leases", "Locks taken back at the end of a lease.", "table", expired)
        pools = {
            table.kind: table for table in tables if table.offered or table.stats.done or table.stats.failed
        }
        units = {kind: table.offered for kind, table in pools.items()}
        yield _gauges("units", "Units of pools now, held or free: items, files.", "table", units)
        finished = _family_of_counters(
            "finished_units", "Units that are gone for good.", ("table", "outcome")
        )
        for kind, table in pools.items():
            finished.add_metric((kind, "done"), table.stats.done)
            finished.add_metric((kind, "failed"), table.stats.failed)
        yield finished
        waits = _family_of_counters("waits", "Waits that have ended.", ("table", "outcome"))
        for table in tables:
            waits.add_metric((table.kind, "granted"), table.stats.granted_after_wait)
            waits.add_metric((table.kind, "timed_out"), table.stats.timed_out)
            waits.add_metric((table.kind, "cancelled"), table.stats.cancelled)
        yield waits

    def _windows(self) -> Iterator[Metric]:
        if self._state.stats.windows is None:
            return
        pending, missed = self._state.stats.windows()
        yield _gauge("windows_pending", "Runs of windows that have not begun.", pending)
        yield _counter("windows_missed", "Runs of windows that could not begin in time.", missed)

    def _durations(self) -> Iterator[Metric]:
        state = self._state
        tables = state.shown()
        waited = {table.kind: table.stats.waited for table in tables}
        held = {table.kind: table.stats.held for table in tables}
        yield _histogram("wait_seconds", "How long waits took, granted or not.", "table", waited)
        yield _histogram("hold_seconds", "How long locks were held, once released.", "table", held)
        lag = {"": state.stats.lag}
        yield _histogram("event_loop_lag_seconds", "How late the event loop came to a timer.", "", lag)

    def _records(self) -> Iterator[Metric]:
        book = self._book
        if book is None:
            return
        yield _gauge("records_failing", "1 while records cannot be written.", bool(book.trouble))
        yield _counter("records_written", "Rows of records changed.", book.writes)
        commits = {"": book.commits}
        yield _histogram("records_commit_seconds", "How long everybody waited for a commit.", "", commits)
        checkpoints = {"": book.checkpoints}
        does = "How long checkpoints took, in a thread of their own."
        yield _histogram("records_checkpoint_seconds", does, "", checkpoints)

    def _process(self) -> Iterator[Metric]:
        build = _family_of_gauges("build_info", "What is running.", tuple(self._versions))
        build.add_metric(tuple(self._versions.values()), 1)
        yield build
        yield _gauge("ready", "1 while new clients are welcome, as /readyz says.", not self._unready())
        lost = self._policy.lost_log_lines()
        yield _counter("lost_log_lines", "Lines of the log that nobody took in time.", lost)
        ends = dict(self._policy.certificate_ends())
        yield _gauges(
            "certificate_end_timestamp_seconds", "When a certificate ends, since 1970.", "option", ends
        )
        bound = self._policy.config.dead_peer_seconds
        yield _gauge("dead_peer_seconds", "Within how long a peer that vanished is found.", bound)


def _family_of_counters(name: str, does: str, labels: Sequence[str]) -> CounterMetricFamily:
    from prometheus_client.metrics_core import CounterMetricFamily

    return CounterMetricFamily(f"glockd_{name}", does, labels=labels)


def _family_of_gauges(name: str, does: str, labels: Sequence[str]) -> GaugeMetricFamily:
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(f"glockd_{name}", does, labels=labels)


def _counter(name: str, does: str, value: float) -> Metric:
    family = _family_of_counters(name, does, ())
    family.add_metric((), value)
    return family


def _gauge(name: str, does: str, value: float) -> Metric:
    family = _family_of_gauges(name, does, ())
    family.add_metric((), value)
    return family


def _counters(name: str, does: str, label: str, values: dict[str, Any]) -> Metric:
    family = _family_of_counters(name, does, (label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _gauges(name: str, does: str, label: str, values: dict[str, Any]) -> Metric:
    family = _family_of_gauges(name, does, (label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _histogram(name: str, does: str, label: str, values: dict[str, Durations]) -> Metric:
    from prometheus_client.metrics_core import HistogramMetricFamily

    family = HistogramMetricFamily(f"glockd_{name}", does, labels=(label,) if label else ())
    for key, durations in values.items():
        below = list(accumulate(durations.buckets))
        buckets = [(str(2**index / 1000), below[index]) for index in range(SHOWN)]
        family.add_metric((key,) if label else (), [*buckets, ("+Inf", below[-1])], durations.sum)
    return family
