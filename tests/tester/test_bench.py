"""glockd-tester bench: each benchmark runs and prints what it should; the figures script too."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glockd_tester import bench, load, process
from glockd_tester.cli import main
from glockd_tester.latency import Histogram, duration
from glockd_tester.plot import svg
from glockd_tester.server import LocalServer, NotStarted
from tests.support.places import ROOT

SHORT = ["--seconds", "0.2"]
LATENCIES = {"p50_us", "p90_us", "p99_us", "p99.9_us", "max_us"}


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture
def compiler() -> None:
    if shutil.which(os.environ.get("CC") or "cc") is None:
        assert os.environ.get("CI") != "true", "CI must have a C compiler"
        pytest.skip("there is no C compiler")


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CC", "no-such-compiler")
    load.compiled.cache_clear()
    yield
    load.compiled.cache_clear()


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["bench", "--json", *SHORT, *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    ("name", "door", "unit"),
    [
        ("pingpong", "tcp", "commands"),
        ("pingpong", "unix", "commands"),
        ("pipelined", "tcp", "commands"),
        ("websocket", "ws", "commands"),
        ("handover", "tcp", "rounds"),
        ("handover", "unix", "rounds"),
    ],
)
def test_a_benchmark_tells_rate_latencies_and_cpu(
    server: LocalServer, name: str, door: str, unit: str
) -> None:
    report = run(name, str(getattr(server, door)), "-c", "4")
    assert report["benchmark"] == name
    assert report["note"] == ""
    assert report[f"{unit}_per_second"] > 100
    assert report[f"server_cpu_us_per_{unit[:-1]}"] > 0.1
    assert report.keys() >= LATENCIES
    assert 0 < report["p50_us"] <= report["p99_us"] <= report["max_us"] * 1.01
    assert "refused" not in report


@pytest.mark.usefixtures("compiler")
def test_odd_packets_release_what_they_get(server: LocalServer) -> None:
    report = run("pipelined", str(server.tcp), "-c", "2", "-p", "7")
    assert "refused" not in report


@pytest.mark.usefixtures("compiler")
def test_idle_connections_cost_memory_and_hardly_any_time(server: LocalServer) -> None:
    report = run("idle", str(server.tcp), "-c", "100")
    assert report["connections_per_second"] > 10
    assert 0 <= report["idle_server_cpu_percent"] < 100
    assert report["commands_per_second"] > 100


@pytest.mark.usefixtures("compiler")
def test_two_servers_take_turns(server: LocalServer, tmp_path: Path) -> None:
    picture = tmp_path / "out.svg"
    report = run(
        "pingpong", str(server.tcp), "--vs", "echo", "-c", "4", "--rounds", "2", "--plot", str(picture)
    )
    assert len(report["turns"]) == 2
    assert report["ratios"].keys() >= {"commands_per_second", "p50_us"}
    assert 0 < report["ratios"]["commands_per_second"] < 20
    text = ET.parse(picture).getroot()
    assert len(text.findall("{http://www.w3.org/2000/svg}rect")) > 2
    handover = run("handover", str(server.tcp), "--vs", "echo", "-c", "1", "--rounds", "1")
    assert handover["ratios"]["p50_us"] > 0
    itself = run("pingpong", str(server.tcp), "--vs", str(server.unix), "-c", "1", "--rounds", "1")
    assert [outcome["server"] for outcome in itself["turns"][0]] == [str(server.tcp), str(server.unix)]


@pytest.mark.usefixtures("compiler")
def test_a_person_sees_figures_and_a_histogram(server: LocalServer) -> None:
    result = CliRunner().invoke(
        main, ["bench", *SHORT, "pingpong", str(server.tcp), "--vs", "echo", "-r", "1"]
    )
    assert result.exit_code == 0, result.output
    assert "commands per second" in result.output
    assert "█" in result.output
    assert "ratio, first to second" in result.output


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    ("name", "door"),
    [("pingpong", "tcp"), ("pipelined", "unix"), ("websocket", "ws"), ("handover", "tcp"), ("idle", "tcp")],
)
def test_without_a_compiler_the_load_comes_from_python_and_says_so(
    server: LocalServer, name: str, door: str
) -> None:
    report = run(name, str(getattr(server, door)), "-c", "3")
    assert "no C compiler" in report["note"]
    assert report["p50_us"] > 0
    assert "refused" not in report


@pytest.mark.usefixtures("no_compiler")
def test_what_cannot_do_without_a_compiler_says_what_to_install(server: LocalServer) -> None:
    result = CliRunner().invoke(main, ["bench", "pingpong", str(server.tcp), "--vs", "echo"])
    assert result.exit_code == 2
    assert "apt-get install gcc" in result.stderr


def test_a_benchmark_on_the_wrong_door_is_refused(server: LocalServer) -> None:
    for name, address, why in (("websocket", server.tcp, "ws://"), ("handover", server.ws, "tcp or unix")):
        result = CliRunner().invoke(main, ["bench", name, str(address)])
        assert result.exit_code == 2
        assert why in result.stderr


@pytest.mark.usefixtures("compiler")
def test_a_server_that_is_gone_is_told_in_one_line() -> None:
    with LocalServer() as server:
        gone = str(server.tcp)
    result = CliRunner().invoke(main, ["bench", "pingpong", gone])
    assert result.exit_code == 2
    assert result.stderr == f"Error: {gone}: connect: Connection refused\n"


def test_the_servers_process_is_found_at_each_of_its_doors(server: LocalServer) -> None:
    for address in (server.tcp, server.unix, server.ws):
        assert process.find_server(address) == server.pid
    assert process.find_server(load.Address("tcp", "192.0.2.1", 9999)) is None
    assert process.resident_bytes(server.pid) > 1_000_000
    assert process.open_files(server.pid) > 5
    assert process.cpu_seconds(server.pid) > 0.01  # Python has started


def test_a_process_that_is_gone_is_told_in_one_line() -> None:
    nobody = 2**22 + 1  # beyond the kernel's largest (proc(5), pid_max)
    assert not process.exists(nobody)
    assert process.cpu_seconds(nobody) == 0
    for figure in (process.resident_bytes, process.open_files):
        with pytest.raises(process.Unseen, match="not found"):
            figure(nobody)


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(NotStarted, match="no-such-option"):
        LocalServer(["--no-such-option"])


def test_percentiles_are_those_of_the_samples() -> None:
    histogram = Histogram.of([(1000.0 * n, 1) for n in range(1, 101)], 100_000)
    assert histogram.total == 100
    assert [histogram.percentile(p) for p in (1, 50, 99, 100)] == [1000, 50_000, 99_000, 100_000]
    assert histogram.summary()["p50_us"] == 50
    assert math.isnan(Histogram().percentile(50))
    rows = histogram.coarse()
    assert sum(count for _, _, count in rows) == 100
    assert all(one[1] == two[0] for one, two in pairwise(rows))
    assert len(histogram.bars()) == len(rows)
    assert Histogram().bars() == []
    lonely = Histogram.of([(1000.0, 1), (100_000.0, 20_000), (400_000.0, 20_000)], 400_000)
    assert [lonely.bars()[i].split()[0] for i in (0, -1)] == ["82.6", "330"]  # the 1 µs is not shown


def test_durations_have_their_unit() -> None:
    assert [duration(n) for n in (5, 1234, 2.5e6, 3e9)] == ["5 ns", "1.23 µs", "2.5 ms", "3 s"]


def test_a_plot_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to plot"):
        svg({"empty": Histogram()})
    ET.fromstring(svg({"<one> & only": Histogram({1500.0: 1}, 1500.0)}))


def test_every_benchmark_is_documented() -> None:
    text = (ROOT / "docs" / "tester.md").read_text("utf-8")
    table = text.partition("| benchmark |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)) == bench.BENCHMARKS.keys()


@pytest.mark.usefixtures("compiler")
def test_the_figures_script_prints_a_table() -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("the figures need two processors")
    script = ROOT / "bench" / "figures.py"
    only = [word for name in ("pingpong", "pipelined", "handover", "start") for word in ("--only", name)]
    ran = subprocess.run(
        [sys.executable, str(script), "--rounds", "1", "--seconds", "0.1", *only],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    rows = [line for line in ran.stdout.splitlines() if line.startswith("| ")]
    assert rows[0] == "| what | target | measured | |"
    assert len(rows) == 6, ran.stdout + ran.stderr
    assert ran.returncode == ("**fail**" in ran.stdout)
