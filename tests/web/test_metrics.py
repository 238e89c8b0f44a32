"""What Prometheus is told: read off the daemon when it scrapes."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from glockd import __version__
from glockd.core.sessions import Session
from glockd.core.state import State
from glockd.doors.line.wire.language import VERBS
from glockd.net.exchange import Ask
from glockd.policy import Policy
from glockd.web.metrics import Metrics
from tests.support.clients import PATIENCE, wait_until
from tests.support.http import ask, samples
from tests.support.places import ROOT, tracked
from tests.support.process import Glockd, Spawner
from tests.support.timing import at_most

REPOSITORY = ROOT


@pytest.fixture
def daemon(glockd: Spawner) -> Glockd:
    return glockd()


@pytest.fixture
def complete(glockd: Spawner, tmp_path: Path) -> Glockd:
    """A daemon with all that has metrics."""
    return glockd("-records", str(tmp_path / "records"), "-windows", "127.0.0.1:0")


def scrape(daemon: Glockd) -> dict[str, float]:
    answer = ask(daemon.ws, "/metrics")
    assert answer.status == 200
    return samples(answer.text)


def settles(daemon: Glockd, sample: str, value: float) -> None:
    wait_until(
        lambda: scrape(daemon)[sample] == value,
        about=lambda: f"{sample} is {scrape(daemon)[sample]}, not {value}",
    )


def test_promtool_finds_nothing_to_mend(daemon: Glockd, need: Callable[..., str]) -> None:
    alice = daemon.client()
    alice.says("g job", "sg pool").hears("1 Lock Get Success: job").hears("1 Shared Lock Get Success: pool")
    text = ask(daemon.ws, "/metrics").text
    command = [need("promtool", "prometheus"), "check", "metrics"]
    result = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_commands_are_counted_by_verb(daemon: Glockd) -> None:
    alice = daemon.client()
    alice.says("g job", "g job", "r job", "ping", "nonsense")
    alice.hears("1 Lock Get Success: job").hears("1 Lock Get Success: job").hears(
        "1 Lock Release Success: job"
    )
    alice.hears("1 pong")
    now = scrape(daemon)
    assert now['glockd_commands_total{verb="g"}'] == 2
    assert now['glockd_commands_total{verb="r"}'] == 1
    assert now['glockd_commands_total{verb="ping"}'] == 1
    assert now["glockd_invalid_commands_total"] == 1
    assert {f'glockd_commands_total{{verb="{verb.decode()}"}}' for verb in VERBS} <= set(now)


def test_connections_and_bytes_are_counted_by_transport(daemon: Glockd) -> None:
    said = {"tcp": b"ping\n", "unix": b"ping\nping\n", "websocket": b""}
    for transport in said:
        client = daemon.client(transport)
        client.says(*["ping"] * max(said[transport].count(b"\n"), 1))
        for _ in range(max(said[transport].count(b"\n"), 1)):
            client.hears("1 pong")
    now = scrape(daemon)
    for transport in said:
        assert now[f'glockd_connections{{transport="{transport}"}}'] == 1
        assert now[f'glockd_connections_opened_total{{transport="{transport}"}}'] == 1
    for transport in ("tcp", "unix"):
        assert now[f'glockd_received_bytes_total{{transport="{transport}"}}'] == len(said[transport])
        replies = said[transport].count(b"\n") * len(b"1 pong\n")
        assert now[f'glockd_sent_bytes_total{{transport="{transport}"}}'] == replies
    # A masked frame of 4 bytes and its answer of 7, besides the handshake and this scrape's request.
    assert now['glockd_received_bytes_total{transport="websocket"}'] > 2 + 4 + 4
    assert now['glockd_sent_bytes_total{transport="websocket"}'] > 2 + 7


def test_pushed_and_late_replies_are_counted_too(daemon: Glockd) -> None:
    alice, bob = daemon.client(), daemon.client("unix")
    alice.says("g job").hears("1 Lock Get Success: job")
    bob.says("wait inf job")
    settles(daemon, 'glockd_waiters{table="exclusive"}', 1)
    before = scrape(daemon)['glockd_sent_bytes_total{transport="unix"}']
    alice.says("r job").hears("1 Lock Release Success: job")
    bob.hears("1 Lock Get Success: job")
    after = scrape(daemon)['glockd_sent_bytes_total{transport="unix"}']
    assert after - before == len("1 Lock Get Success: job\n")


def test_locks_holds_sessions_and_waiters_by_table(daemon: Glockd) -> None:
    alice, bob, carol = daemon.client(), daemon.client(), daemon.client()
    alice.says("g a", "g b", "sg pool")
    alice.hears("1 Lock Get Success: a").hears("1 Lock Get Success: b").hears(
        "1 Shared Lock Get Success: pool"
    )
    bob.says("sg pool", "iam bob").hears("2 Shared Lock Get Success: pool").hears("1 ok")
    carol.says("wait inf a")
    settles(daemon, 'glockd_waiters{table="exclusive"}', 1)
    now = scrape(daemon)
    expected = {
        'glockd_locks{table="exclusive"}': 2,
        'glockd_locks{table="shared"}': 1,
        'glockd_holds{table="exclusive"}': 2,
        'glockd_holds{table="shared"}': 2,
        'glockd_waiters{table="shared"}': 0,
        "glockd_sessions_holding": 2,
        "glockd_sessions_waiting": 1,
        "glockd_sessions_named": 1,
    }
    assert {name: now[name] for name in expected} == expected


def test_ends_of_holds_and_waits(daemon: Glockd) -> None:
    alice, bob, carol = daemon.client(), daemon.client(), daemon.client()
    alice.says("g a", "g b", "sg c", "sg d", "g leased", "lease 0.01 leased")
    for line in ("a", "b"):
        alice.hears(f"1 Lock Get Success: {line}")
    alice.hears("1 Shared Lock Get Success: c").hears("1 Shared Lock Get Success: d")
    alice.hears("1 Lock Get Success: leased").hears("1 Lock Lease Success: leased")
    settles(daemon, 'glockd_expired_leases_total{table="exclusive"}', 1)
    bob.says("wait 0.01 a").hears("0 Lock Get Failure: a")
    bob.says("wait inf a")
    settles(daemon, 'glockd_waiters{table="exclusive"}', 1)
    bob.says("cancel").hears_bytes("0 Lock Get Failure: a\n").hears("1 Cancelled")
    bob.says("wait inf a")
    carol.says("g mine").hears("1 Lock Get Success: mine")
    settles(daemon, 'glockd_waiters{table="exclusive"}', 1)
    alice.hangs_up()
    bob.hears("1 Lock Get Success: a")
    now = scrape(daemon)
    expected = {
        'glockd_orphans_total{table="exclusive"}': 2,
        'glockd_orphans_total{table="shared"}': 2,
        'glockd_waits_total{outcome="granted",table="exclusive"}': 1,
        'glockd_waits_total{outcome="timed_out",table="exclusive"}': 1,
        'glockd_waits_total{outcome="cancelled",table="exclusive"}': 1,
        'glockd_wait_seconds_count{table="exclusive"}': 3,
        'glockd_hold_seconds_count{table="exclusive"}': 3,
        'glockd_hold_seconds_count{table="shared"}': 2,
    }
    assert {name: now[name] for name in expected} == expected


def test_a_deadlock_is_counted_as_refused(daemon: Glockd) -> None:
    alice, bob = daemon.client(), daemon.client()
    alice.says("g a").hears("1 Lock Get Success: a")
    bob.says("g b").hears("1 Lock Get Success: b")
    alice.says("wait inf b")
    settles(daemon, 'glockd_waiters{table="exclusive"}', 1)
    bob.says("wait inf a").hears("0 Lock Get Deadlock: a")
    assert scrape(daemon)['glockd_refused_total{reason="deadlock"}'] == 1


def test_a_wrong_secret_is_counted_as_refused(glockd: Spawner, tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("right\n")
    daemon = glockd("-auth-file", str(tmp_path / "secrets"))
    daemon.client().says("auth wrong").hears("0 Not Authorised")
    text = ask(daemon.ws, "/metrics", headers={"Authorization": "Bearer right"}).text
    assert samples(text)['glockd_refused_total{reason="auth"}'] == 1


def test_what_runs_is_told(daemon: Glockd) -> None:
    now = scrape(daemon)
    (build,) = (name for name in now if name.startswith("glockd_build_info"))
    assert f'version="{__version__}"' in build
    assert all(word in build for word in ("python=", "uvloop=", "websockets="))
    assert now["glockd_ready"] == 1
    assert now["glockd_dead_peer_seconds"] == 30
    assert now["process_resident_memory_bytes"] > 1e6
    assert now["process_open_fds"] > 3
    assert abs(now["process_start_time_seconds"] - time.time()) < 600


def test_the_loop_lag_is_measured_all_the_time(daemon: Glockd) -> None:
    wait_until(lambda: scrape(daemon)["glockd_event_loop_lag_seconds_count"] >= 2, about=lambda: "no beat")


def test_openmetrics_for_those_who_ask(daemon: Glockd) -> None:
    wanted = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    answer = ask(daemon.ws, "/metrics", headers=wanted)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    odd = {"Accept": "application/openmetrics-text;version=x.0;q"}
    assert ask(daemon.ws, "/metrics", headers=odd).status == 200
    assert ask(daemon.ws, "/metrics").headers["content-type"].startswith("text/plain")


# Without a process


def metrics_of(state: State, now: float = 0.0) -> dict[str, float]:
    page = Metrics(state, Policy(), lambda: now, lambda: "").show(Ask("GET", "/metrics"))
    return samples(bytes(page.body).decode())


def test_durations_come_in_buckets_that_double() -> None:
    state = State()
    session = Session(b"1.2.3.4:5")
    for seconds in (0.0, 0.0009, 0.001, 0.0025, 5.0, 100_000.0):
        assert state.exclusive.take(b"job", session, 0.0) is not None
        assert state.exclusive.release(b"job", session, seconds) == ()
    now = metrics_of(state)
    name = 'glockd_hold_seconds_bucket{{le="{}",table="exclusive"}}'.format
    wanted = {"0.001": 2, "0.002": 3, "0.004": 4, "4.096": 4, "8.192": 5, "33554.432": 5, "+Inf": 6}
    assert {le: now[name(le)] for le in wanted} == wanted
    assert now['glockd_hold_seconds_sum{table="exclusive"}'] == pytest.approx(100_005.0044)


def test_the_longest_wait_is_that_of_the_first_in_line() -> None:
    state = State()
    alice, bob, carol = (Session(name) for name in (b"a", b"b", b"c"))
    assert state.exclusive.take(b"job", alice, 0.0) is not None
    state.exclusive.wait(b"job", bob, 10.0, 1e9)
    state.exclusive.wait(b"job", carol, 20.0, 1e9)
    assert metrics_of(state, 25.0)['glockd_longest_wait_seconds{table="exclusive"}'] == 15.0
    state.exclusive.release(b"job", alice, 25.0)
    assert metrics_of(state, 25.0)['glockd_longest_wait_seconds{table="exclusive"}'] == 5.0


# Great numbers


def test_a_scrape_with_many_locks_is_quick_and_stalls_nobody(daemon: Glockd) -> None:
    """The figure to keep is 50 ms. The quickest of several counts: other work of the machine is not the daemon's."""
    alice = daemon.stream()
    every = 1000
    for verb, reply in (("g", "1 Lock Get Success"), ("sg", "1 Shared Lock Get Success")):
        for start in range(0, 250_000, every):
            names = range(start, start + every)
            alice.sends("".join(f"{verb} {name}\n" for name in names))
            alice.take(sum(len(f"{reply}: {name}\r\n") for name in names))
    assert scrape(daemon)['glockd_holds{table="shared"}'] == 250_000
    times = []
    for _ in range(5):
        began = time.monotonic()
        scrape(daemon)
        times.append(time.monotonic() - began)
    assert min(times) < at_most(0.05)
    daemon.kill()  # 500,000 locks need not be told good-bye


# What refers to metrics


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:glockd|process)_[a-z_]+\b", text))


def exported(daemon: Glockd) -> set[str]:
    names = {name.partition("{")[0] for name in scrape(daemon)}
    # Some have no sample yet, as those of certificates without TLS.
    described = set(re.findall(r"^# TYPE (\S+)", ask(daemon.ws, "/metrics").text, re.MULTILINE))
    return names | described | {name.removesuffix("_bucket") for name in names}


def test_alert_rules_are_right(complete: Glockd, need: Callable[..., str]) -> None:
    path = REPOSITORY / "docs" / "alerts.yml"
    command = [need("promtool", "prometheus"), "check", "rules", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert names_in(path.read_text()) <= exported(complete)


def test_the_dashboard_shows_metrics_that_exist(complete: Glockd) -> None:
    board = json.loads((REPOSITORY / "docs" / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert len(expressions) > 10
    named = set().union(*map(names_in, expressions))
    assert named <= exported(complete)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_documents_name_only_metrics_that_exist(complete: Glockd) -> None:
    documents = [path for path in tracked() if path.suffix == ".md" and "design" not in path.parts]
    named = {path: names_in((REPOSITORY / path).read_text("utf-8")) for path in documents}
    assert len(named[Path("docs/operations.md")]) > 20
    metrics = exported(complete)
    assert {path: names - metrics for path, names in named.items() if names - metrics} == {}
