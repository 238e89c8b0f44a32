"""`glockd-tester cases`: files, profiles, daemons and the count.

The daemon here is a program that tells its options.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from glockd_tester.cases import certificates, files, language
from glockd_tester.cases.files import Case
from glockd_tester.cases.ldlm.codes import ERROR_CODES
from glockd_tester.cases.ldlm.language import LANGUAGE, OPTIONS, seconds
from glockd_tester.cases.ldlm.mended import mended
from glockd_tester.cases.outcome import Skipped
from glockd_tester.cli import main
from glockd_tester.errors import CannotTest
from tests.support.places import ROOT
from tests.support.process import free_port

FAKE = f"{sys.executable} -I -S {Path(__file__).with_name('fake_daemon.py')}"


def asks(**expect: Any) -> dict[str, Any]:
    return {"session": None, "method": "GET", "path": "/", "expect": {"status": 200, **expect}}


def case(name: str = "one", *steps: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "id": name,
        "title": "a test",
        "kind": "wire",
        "server": "default",
        "steps": list(steps) or [asks()],
        **members,
    }


def file(folder: Path, *cases: dict[str, Any], servers: Any = None, name: str = "cases.json") -> str:
    path = folder / name
    path.write_text(json.dumps({"servers": servers or {"default": {}}, "cases": cases}))
    return str(path)


def plays(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["cases", "ldlm", "--server", FAKE, *arguments])


def last(result: Result) -> str:
    return result.stdout.splitlines()[-1]


# Files


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "Expecting value"),
        ("[]", "list indices"),
        ("{}", "'cases' is missing"),
        ('{"servers": {}}', "'cases' is missing"),
        ('{"servers": {"default": 5}, "cases": []}', "not iterable"),
        ('{"servers": {}, "cases": [{}]}', "'id' is missing"),
        ('{"servers": {}, "cases": [{"id": "a", "kind": "x", "server": "s", "steps": []}]}', "'x' is none of wire"),
        ('{"servers": {}, "cases": [{"id": "a", "kind": "wire", "server": "s", "steps": 5}]}', "'steps' is no list"),
        ('{"servers": {}, "cases": [{"id": "a", "kind": "wire", "server": "s", "steps": [1]}]}', "'steps' is no list"),
        ('{"servers": {}, "cases": [{"id": "a", "kind": "wire", "server": "s", "steps": []}]}', "'servers' has no 's'"),
    ],
)  # fmt: skip
def test_what_is_no_case_file_is_refused(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "cases.json"
    path.write_text(content)
    result = plays(str(path))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {path}: ")
    assert why in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("path", LANGUAGE.files(), ids=lambda path: path.name)
def test_the_files_that_come_along_are_case_files(path: Path) -> None:
    found = files.read(path)
    assert found.cases
    assert len({case.name for case in found.cases}) == len(found.cases)
    for profile in found.profiles.values():
        assert profile.keys() <= {*OPTIONS, "password"}


def test_every_defect_has_a_case_that_says_what_is_right() -> None:
    """By itself, or in mended.json."""
    found = [case for path in LANGUAGE.files() for case in files.read(path).cases]
    names = {case.name for case in found}
    prose = set()
    for each in found:
        if each.kind == "defect":
            try:
                assert mended(each) != each.steps
            except Skipped:
                prose.add(f"mended-{each.name}")
    assert len(prose) == 5
    assert prose <= names


# Options


@pytest.mark.parametrize(
    ("duration", "number"),
    [
        ("1s", "1"),
        ("500ms", "0.5"),
        ("1h30m", "5400"),
        ("1.5s", "1.5"),
        ("10m", "600"),
        ("0", "0"),
        ("0s", "0"),
    ],
)
def test_durations_of_go(duration: str, number: str) -> None:
    assert seconds(duration) == number


@pytest.mark.parametrize("duration", ["", "5", "s", "1 s", "-1s", "1d", 5, None])
def test_what_is_no_duration(duration: Any) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(duration)


def test_a_profile_becomes_options(tmp_path: Path) -> None:
    profile = {
        "rest_session_timeout": "3s",
        "no_clear_on_disconnect": True,
        "state_file": "$folder/state-$own",
        "tls_cert": "$folder/server.pem",
    }
    assert LANGUAGE.options(profile, tmp_path, "m1") == [
        "-ldlm-session-seconds=3",
        "-ldlm-keep-on-disconnect=true",
        f"-records={tmp_path}/state-m1",
        f"-tls-cert={tmp_path}/server.pem",
        "-ldlm-keep-over-restart",
    ]


def test_a_password_is_in_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    option, path = LANGUAGE.options({"password": "::pw;with:colons:"}, tmp_path, "m1")
    assert option == "-ldlm-password-file"
    assert Path(path).read_text() == "::pw;with:colons:\n"
    assert Path(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        ({"shards": 5}, "shards: glockd has no option for it"),
        ({"lock_gc_interval": "soon"}, "lock_gc_interval: 'soon' is no duration"),
        ({"no_clear_on_disconnect": "yes"}, "no_clear_on_disconnect: 'yes' is neither true nor false"),
    ],
)
def test_a_profile_that_cannot_be(tmp_path: Path, profile: Any, why: str) -> None:
    with pytest.raises(CannotTest, match=re.escape(why)):
        LANGUAGE.options(profile, tmp_path, "m1")
    result = plays(file(tmp_path, case(), case("two"), servers={"default": profile}))
    assert result.exit_code == 1
    assert result.stdout == f"failed one: {why}\nfailed two: {why}\n0 passed, 2 failed\n"


def test_the_manual_has_every_option() -> None:
    manual = (ROOT / "docs" / "tester.md").read_text("utf-8")
    table = manual[manual.index("### How a profile becomes options") : manual.index("### Writing a case")]
    rows = [re.findall(r"`(-?\w[\w-]*)`", row) for row in table.splitlines() if row.startswith("| `")]
    told = {name: option for row in rows for name, option in zip(row, row[len(row) // 2 :], strict=False)}
    assert told["password"] == "-ldlm-password-file"
    assert told["state_file"] == "-records"
    assert {name: told[name] for name in OPTIONS} == {name: option for name, (option, _) in OPTIONS.items()}


# Defects


def defect(instead: str, *errors: dict[str, Any]) -> Case:
    steps = [{"expect": {"json": {"error": error}}} for error in errors]
    return Case("one", "a test", "defect", "default", False, instead, steps)


@pytest.mark.parametrize("code", ERROR_CODES)
@pytest.mark.parametrize("prose", ["{}", "code 5, {}", "{}, as documented"])
def test_the_right_code_replaces_the_wrong_one(code: str, prose: str) -> None:
    one = defect(prose.format(code), {"code": "Wrong", "message": "m"})
    assert mended(one) == [{"expect": {"json": {"error": {"code": code, "message": "m"}}}}]
    assert one.steps[0]["expect"]["json"]["error"]["code"] == "Wrong"


@pytest.mark.parametrize(
    "one",
    [
        defect("it is restored", {"code": "Wrong"}),
        defect("InvalidLockKey"),
        defect("InvalidLockKey", {"code": "Wrong"}, {"code": "Other"}),
        defect("InvalidLockKey or NotLocked", {"code": "Wrong"}),
    ],
)
def test_prose_is_not_guessed_at(one: Case) -> None:
    with pytest.raises(Skipped, match=one.instead):
        mended(one)


# Playing


def test_right_and_wrong_are_counted(tmp_path: Path) -> None:
    wrong = case("two", asks(), asks(json={"options": "none"}))
    prose = case("three", kind="defect", instead="it is mended")
    result = plays(file(tmp_path, case(), wrong, prose))
    failed, *rest = result.stdout.splitlines()
    assert failed.startswith("failed two: step 2: json.options: -port 0 -ws 0 -ldlm 127.0.0.1:")
    assert rest == ["1 skipped", "1 passed, 1 failed"]
    assert result.exit_code == 1


def test_all_right(tmp_path: Path) -> None:
    result = plays(file(tmp_path, case(), case("two")), "--verbose", "--jobs", "1")
    assert result.stdout == "passed one\npassed two\n2 passed, 0 failed\n"
    assert result.exit_code == 0


def test_nothing_to_play_is_no_success(tmp_path: Path) -> None:
    result = plays(file(tmp_path, case()), "--only", "two")
    assert (last(result), result.exit_code) == ("0 passed, 0 failed", 2)


def test_as_json(tmp_path: Path) -> None:
    result = plays(file(tmp_path, case(), case("two", asks(status=404))), "--json", "--jobs", "1")
    found = json.loads(result.stdout)
    assert (found["passed"], found["failed"]) == (1, 1)
    assert found["results"][0] == {"case": "one", "outcome": "passed", "reason": ""}
    assert found["results"][1]["reason"] == "step 1: status: 200 instead of 404"


def test_only_some_cases(tmp_path: Path) -> None:
    cases = case("get-a"), case("get-b", kind="quirk"), case("put-a", kind="quirk")
    path = file(tmp_path, *cases)
    assert plays(path, "-v", "--only", "^get").stdout.splitlines()[:-1] == ["passed get-a", "passed get-b"]
    assert plays(path, "-v", "--kind", "quirk", "--only", "a$").stdout.splitlines()[:-1] == ["passed put-a"]
    assert last(plays(path, "--kind", "quirk", "--kind", "wire")) == "3 passed, 0 failed"


def test_each_profile_has_its_daemon(tmp_path: Path) -> None:
    servers = {"default": {}, "short": {"rest_session_timeout": "1s"}}
    fits = asks(json={"options": {"$re": " -ldlm-session-seconds=1$"}})
    path = file(
        tmp_path,
        case("one", fits),
        case("two", fits, server="short"),
        case("three", asks(json={"options": {"$re": "^-port 0 -ws 0 -ldlm [^ ]* -ldlm-rest [^ ]*$"}})),
        servers=servers,
    )
    result = plays(path, "-v")
    assert {line.partition(":")[0] for line in result.stdout.splitlines()[:-1]} == {
        "failed one",
        "passed two",
        "passed three",
    }


def test_a_daemon_that_does_not_start_fails_its_cases_only(tmp_path: Path) -> None:
    servers = {"default": {}, "bad": {"rest_session_timeout": "13s"}}
    cases = case(), case("two", server="bad"), case("three", server="bad", own_server=True)
    result = plays(file(tmp_path, *cases, servers=servers))
    why = "the daemon does not listen for -ldlm: 13 s bring bad luck"
    assert result.stdout == f"failed two: {why}\nfailed three: {why}\n1 passed, 2 failed\n"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_case_of_its_own_daemon_ends_and_starts_it(tmp_path: Path, end: str) -> None:
    restart = case(
        "one",
        {**asks(), "save": {"pid": "pid", "options": "options"}},
        {"server": end},
        {"session": None, "method": "GET", "path": "/", "expect": {"refused": True}},
        {"server": "start"},
        asks(json={"pid": {"$not": "${pid}"}, "options": "${options}"}),
        own_server=True,
    )
    result = plays(file(tmp_path, restart, case("two")))
    assert result.stdout == "2 passed, 0 failed\n"


def test_a_daemon_that_does_not_come_up_again_fails(tmp_path: Path) -> None:
    twice = case("one", {"server": "kill"}, {"server": "start"}, own_server=True)
    # The first start makes the file, and the second finds it.
    once = f"sh -c 'test ! -e {tmp_path}/mark || exit 1; touch {tmp_path}/mark; exec {FAKE} \"$@\"' sh"
    result = plays(file(tmp_path, twice), "--server", once)
    assert result.stdout.startswith("failed one: step 2: the daemon does not listen for -ldlm: ")


def test_an_error_of_the_player_is_no_success(tmp_path: Path) -> None:
    result = plays(file(tmp_path, case("one", asks(), {"session": None, "method": "GET"}), case("two")))
    assert result.stdout == "failed one: step 2: KeyError: 'path'\n1 passed, 1 failed\n"


# Serving


@pytest.mark.parametrize(
    ("profile", "places"),
    [
        ("default", {"pid", "address", "url"}),
        ("password", {"pid", "address", "url", "secret"}),
        ("tls", {"pid", "address", "url", "ca"}),
        ("mutual_tls", {"pid", "address", "url", "ca", "cert", "key"}),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serving_tells_where_and_ends_with_its_signal(
    profile: str, places: set[str], number: signal.Signals
) -> None:
    if "ca" in places and shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    port = free_port()
    command = [sys.executable, "-m", "glockd_tester", "cases", "ldlm", "--server", FAKE]
    with subprocess.Popen(
        [*command, "--serve", str(port), "--profile", profile], stdout=subprocess.PIPE, text=True
    ) as tester:
        assert tester.stdout is not None
        found = json.loads(tester.stdout.readline())
        assert found.keys() == places
        assert found["address"] == f"127.0.0.1:{port}"
        assert psutil.pid_exists(found["pid"])
        if profile == "default":
            with urllib.request.urlopen(found["url"]) as answer:
                assert json.load(answer)["pid"] == str(found["pid"])
        for name in places & {"ca", "cert", "key"}:
            assert Path(found[name]).read_text().startswith("-----BEGIN ")
        tester.send_signal(number)
        assert tester.wait(30) == 0
        assert tester.stdout.read() == ""
    assert not psutil.pid_exists(found["pid"])


def test_serving_ends_with_its_daemon() -> None:
    command = [sys.executable, "-m", "glockd_tester", "cases", "ldlm", "--server", FAKE, "--serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tester:
        assert tester.stdout is not None
        assert tester.stderr is not None
        psutil.Process(json.loads(tester.stdout.readline())["pid"]).kill()
        assert tester.wait(30) == 2
        assert tester.stderr.read() == "Error: the daemon has ended with -9\n"


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        result = plays("--serve", str(sock.getsockname()[1]))
    assert result.exit_code == 2
    assert result.stderr == "Error: Address already in use\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--serve", "0", "--profile", "none"], "'none' is none of default, fast_gc, keepalive"),
        (["--profile", "tls"], "--profile goes with --serve"),
        (["--serve", "65536"], "65536 is not in the range"),
        (["--only", "("], "'(': "),
        (["--kind", "none"], "'none' is not one of 'wire', 'quirk', 'defect'"),
        (["no such file"], "does not exist"),
    ],
)
def test_arguments_that_cannot_be(arguments: list[str], why: str) -> None:
    result = plays(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert result.stdout == ""


def test_certificates_are_good(certificates_folder: Path) -> None:
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem"]
    for purpose, name in (("sslserver", "server"), ("sslclient", "client")):
        words = [*verify, "-purpose", purpose, f"{name}.pem"]
        subprocess.run(words, cwd=certificates_folder, check=True, capture_output=True)
    stranger = subprocess.run(
        [*verify, "stranger.pem"], cwd=certificates_folder, capture_output=True, check=False
    )
    assert stranger.returncode != 0


def test_certificates_without_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(certificates.NoCertificates, match="openssl, which is not installed"):
        certificates.make(tmp_path)


@pytest.mark.parametrize("name", language.LANGUAGES)
def test_every_language_is_there(name: str) -> None:
    found = language.load(name)
    assert found.listeners
    assert found.files()
