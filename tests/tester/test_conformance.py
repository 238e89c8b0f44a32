"""glockd-tester conformance: passes on the real daemon, and fails on what is none."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glockd_tester import conformance, replay
from glockd_tester.addresses import Address, parse_address
from glockd_tester.cli import main
from glockd_tester.replay import Doors, Failed, Replay
from glockd_tester.server import LocalServer
from glockd_tester.transcript import Malformed, Transcript, read_transcript
from tests.support.places import ROOT

SETTLE = "0.02"
TRANSCRIPTS = ROOT / "tester" / "transcripts"
COMBINATIONS = [
    "-history 100 -admin",
    "-registry=false",
    "-dump=false",
    "-registry=false -dump=false",
]


def run(*arguments: str) -> tuple[int, Any]:
    """Exit code and JSON of the command."""
    result = CliRunner().invoke(main, ["conformance", "--json", "--settle", SETTLE, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("flags", COMBINATIONS)
def test_the_daemon_conforms_with_each_combination_of_flags(flags: str) -> None:
    code, report = run("--start", flags)
    assert [result for result in report["results"] if result["outcome"] == "failed"] == []
    assert code == 0
    assert report["passed"] > 0
    assert report["server"]["flags"] == {
        "registry": "-registry=false" not in flags,
        "dump": "-dump=false" not in flags,
    }


def test_every_transcript_is_played_with_some_combination_of_flags() -> None:
    played = {(frozenset(t.flags.items()), t.deviation is None) for t in conformance.collect()}
    flags = {
        frozenset({"registry": "-registry=false" not in each, "dump": "-dump=false" not in each}.items())
        for each in COMBINATIONS
    }
    assert {combination for combination, wanted in played if wanted} == flags


def test_with_old_verbs_only_no_new_word_is_sent() -> None:
    with LocalServer() as server:
        arguments = ["--tcp", str(server.tcp), "--unix", server.unix.path, "--ws", str(server.ws)]
        files = [
            str(conformance.CONVERSATIONS),
            str(TRANSCRIPTS / "ws-basics.json"),
            str(TRANSCRIPTS / "unix-basics.json"),
        ]
        code, report = run(*arguments, "--old-verbs-only", *files)
        assert code == 0
        assert report["passed"] == 2
        reasons = {result["reason"] for result in report["results"] if result["name"].startswith("new-")}
        assert all("extensions" in reason or "flags" in reason for reason in reasons)


def test_a_person_reads_a_summary() -> None:
    result = CliRunner().invoke(
        main, ["conformance", "--start", "-registry=false -dump=false", "--settle", SETTLE]
    )
    assert result.exit_code == 0
    assert "a glockd with the new verbs: 2 passed, 0 failed" in result.output
    assert "made for other flags" in result.output


def test_transports_without_an_address_are_skipped() -> None:
    with LocalServer(["-registry=false"]) as server:
        code, report = run("--tcp", str(server.tcp))
    assert code == 0
    assert any(result["reason"].startswith("no address for") for result in report["results"])


class OneLineARead(socketserver.BaseRequestHandler):
    """Reads as the original does: one line of each read, and the rest is lost. It knows no new word."""

    def handle(self) -> None:
        while data := self.request.recv(4096):
            verb, _, name = data.partition(b"\n")[0].partition(b" ")
            replies = {b"i": b"0 Lock Not Locked: " + name + b"\r\n", b"iam": b"1 ok\n", b"dump": b"map[]\n"}
            self.request.sendall(replies.get(verb, b""))


class Silence(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(4096):
            pass


class Http(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[Address]:
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Address("tcp", "127.0.0.1", server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def test_an_original_is_told_from_a_clone() -> None:
    with serving(OneLineARead) as address:
        features = replay.look(Doors(tcp=address))
    assert features.names == frozenset()
    assert features.flags == {"registry": True, "dump": True}


def test_a_server_that_says_something_else_fails() -> None:
    steps = TRANSCRIPTS / "exclusive-get-release.json"
    with serving(OneLineARead) as address:
        code, report = run("--tcp", str(address), "--timeout", "0.1", str(steps))
    assert code == 1
    [result] = report["results"]
    assert result["outcome"] == "failed"


@pytest.mark.parametrize("handler", [Silence, Http])
def test_what_is_no_glockd_is_told_in_one_line(handler: type[socketserver.BaseRequestHandler]) -> None:
    with serving(handler) as address:
        result = CliRunner().invoke(main, ["conformance", "--tcp", str(address), "--timeout", "0.1"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_nobody_there_is_told_in_one_line() -> None:
    with LocalServer() as server:
        gone = str(server.tcp)
    result = CliRunner().invoke(main, ["conformance", "--tcp", gone])
    assert result.exit_code == 2
    assert result.stderr == f"Error: {gone}: Connection refused\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", "an object with a list of steps"),
        ('{"steps": [{"client": "a", "transport": "fax"}]}', "unknown transport fax"),
        ('{"steps": [{"client": "a", "send": "q"}]}', "names no transport"),
        ('{"steps": [{"client": "a", "transport": "tcp", "sned": "q"}]}', "unknown keys sned"),
        ('{"steps": [{"send": "q"}]}', "it belongs to no client"),
        ('{"steps": [1]}', "a step is an object"),
        ('{"steps": [{"client": "a"}], "x": 1}', "unknown keys x"),
    ],
)
def test_a_malformed_transcript_is_told_so(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(Malformed, match=problem):
        read_transcript(file)
    result = CliRunner().invoke(main, ["conformance", "--start", "", str(file)])
    assert result.exit_code == 2
    assert "bad.json" in result.stderr


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"match": "2 .*\n"}, "expected a match"),
        ({"json": {"holders": []}}, "an integer and one line of JSON"),
        ({"closed": True}, "should have hung up"),
        ({"expect": "1 Lock Get Success: other\r\n"}, "expected b'1 Lock Get Success: other"),
        ({"stats": {"command_g": 9}}, "expected b'command_d"),
    ],
)
def test_each_kind_of_expectation_can_fail(tmp_path: Path, step: dict[str, Any], problem: str) -> None:
    first: dict[str, Any] = {"client": "a", "transport": "tcp", "send": "g x\n"}
    with LocalServer() as server, pytest.raises(Failed, match=problem):
        Replay(Doors(tcp=server.tcp, timeout=0.2), transcript(tmp_path, [first | step])).run()


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"name": "y"}, "is 'x' and not 'y'"),
        ({"nothing": 1}, "has no 'nothing'"),
        ({"exclusive": {"holders": []}}, "has 1 entries and not 0"),
    ],
)
def test_json_is_compared_as_far_as_it_is_given(tmp_path: Path, wanted: object, problem: str) -> None:
    steps: list[dict[str, Any]] = [
        {"client": "a", "transport": "tcp", "send": "g x\n", "expect": "1 Lock Get Success: x\r\n"},
        {"client": "a", "send": "explain x\n", "json": wanted},
    ]
    with LocalServer() as server, pytest.raises(Failed, match=problem):
        Replay(Doors(tcp=server.tcp, timeout=0.2), transcript(tmp_path, steps)).run()


def test_numbers_that_do_not_grow_are_a_failure(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"client": "a", "transport": "tcp", "send": "bound\n", "match": r"(?P<one>\d+) Dead Peer Seconds\n"},
        {"grows": ["one", "one"]},
    ]
    with LocalServer() as server, pytest.raises(Failed, match="should be more than"):
        Replay(Doors(tcp=server.tcp), transcript(tmp_path, steps)).run()


def transcript(folder: Path, steps: list[dict[str, Any]]) -> Transcript:
    file = folder / "made.json"
    file.write_text(json.dumps({"name": "made", "steps": steps}))
    return read_transcript(file)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", Address("tcp", "localhost", 9999)),
        ("10.0.0.1:77", Address("tcp", "10.0.0.1", 77)),
        ("[::1]:77", Address("tcp", "::1", 77)),
        ("tcp://[::1]:77", Address("tcp", "::1", 77)),
        ("ws://host", Address("ws", "host", 9998, "/")),
        ("ws://host:1/path", Address("ws", "host", 1, "/path")),
        ("unix:///run/glockd.sock", Address("unix", path="/run/glockd.sock")),
        ("/run/glockd.sock", Address("unix", path="/run/glockd.sock")),
    ],
)
def test_an_address_can_be_spelled_in_many_ways(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["ftp://host:1", "host:port", "host:99999", "unix://"])
def test_a_wrong_address_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"begins with none|no number from|unix:///absolute"):
        parse_address(text)
    result = CliRunner().invoke(main, ["bench", "pingpong", text])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_two_servers_at_once_are_refused() -> None:
    result = CliRunner().invoke(main, ["conformance", "--start", "", "--tcp", "localhost"])
    assert result.exit_code == 2
    assert "give no others" in result.stderr
    assert CliRunner().invoke(main, ["conformance"]).exit_code == 2
