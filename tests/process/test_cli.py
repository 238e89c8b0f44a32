"""The command line, the environment and the file: how an operator tells the daemon what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import glockd as package
from glockd.config import Config
from tests.support.clients import StreamClient
from tests.support.process import Spawner, run_glockd

OFF = ("-port", "0", "-ws", "0")
DISABLED = "0 disabled"


def says_and_ends(client: StreamClient, line: str, *reply: str) -> None:
    client.says(line).hears(*reply).hangs_up()


# How a flag may be written


@pytest.mark.parametrize(
    "flags",
    [
        ("-dump=false",),
        ("--dump=false",),
        ("-dump=0",),
        ("-dump=f",),
        ("-dump=F",),
        ("-dump=FALSE",),
        ("-dump=False",),
        ("-dump=true", "-dump=false"),
        ("-verbose", "--dump=false"),
        ("-verbose=false", "-dump=false"),
        ("-dump=false", "rubbish"),
        ("-dump=false", "--", "-dump=true"),
    ],
    ids=" ".join,
)
def test_a_switch_can_be_turned_off(glockd: Spawner, flags: Sequence[str]) -> None:
    says_and_ends(glockd(*flags).stream(), "dump", DISABLED)


@pytest.mark.parametrize(
    "flags",
    [
        ("-dump",),
        ("--dump",),
        ("-dump=1",),
        ("-dump=T",),
        ("-dump=false", "-dump=True"),
        ("-dump", "false"),  # switches it on: `false` is no flag, and reading stops there
        ("rubbish", "-dump=false"),
        ("-", "-dump=false"),
        ("--", "-dump=false"),
        ("-registry", "false", "-dump=false", "-no-such-flag"),
    ],
    ids=" ".join,
)
def test_a_switch_can_be_left_on(glockd: Spawner, flags: Sequence[str]) -> None:
    says_and_ends(glockd(*flags).stream(), "dump", "map[]")


@pytest.mark.parametrize("form", ["-unix {}", "--unix {}", "-unix={}", "--unix={}"])
def test_a_value_may_follow_after_a_space_or_an_equals_sign(
    glockd: Spawner, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "sock"
    glockd(*OFF, *form.format(path).split(), listen=())
    assert path.is_socket()


def test_a_value_may_hold_an_equals_sign(glockd: Spawner, tmp_path: Path) -> None:
    glockd(*OFF, f"-unix={tmp_path}/a=b", listen=())
    assert (tmp_path / "a=b").is_socket()


# Bad ones


@pytest.mark.parametrize(
    "flags",
    [
        ("-no-such-flag",),
        ("--no-such-flag=1",),
        ("---port", "1"),
        ("-=1",),
        ("-port",),
        ("-port", ""),
        ("-port", "abc"),
        ("-port", "1.5"),
        ("-port=-1",),
        ("-unix",),
        ("-unix-mode", "9999"),
        ("-unix-mode", "rw"),
        ("-registry=maybe",),
        ("-dump=",),
        ("-verbose=yes",),
        ("-log-format", "xml"),
        ("-dead-peer-seconds", "never"),
        ("-config", "/no/such/file.toml"),
        ("-history", "9" * 30),
        ("-history", "-1"),
        ("-port", "65001", "-ws", "65001"),
        ("-port", "65001", "-bind", ""),
        ("-ws-origin", "foo"),
        ("-ws-origin", "https://example.org,foo"),
        ("-ws-origin", "https://example.org/path"),
        ("-ws-origin", "https://"),
        ("-ws-origin", "https://example.org:port"),
        ("-ws-origin", "https://user@example.org"),
        ("-ws-origin", "ftp://example.org"),
        ("-ws-host", "https://example.org"),
        ("-ws-host", "example.org:9998"),
        ("-ws-host", "example.org/"),
        ("-port", "65001", "-bind", " , "),
    ],
    ids=" ".join,
)
def test_a_bad_option_is_told_in_words(flags: Sequence[str]) -> None:
    result = run_glockd(*OFF, *flags)
    assert result.returncode == 2
    assert result.stderr.strip()
    assert result.stdout == ""


def test_sites_and_names_that_make_sense() -> None:
    Config(
        ws_origin="https://example.org:8443, http://10.0.0.1,http://[::1]:80/,null,*",
        ws_host="glockd, a.b.,*",
    )


def test_what_kubernetes_sets_is_told_by_its_name() -> None:
    result = run_glockd("-ws", "0", env={"GLOCKD_PORT": "tcp://10.96.0.17:9999"})
    assert result.returncode == 2
    assert "'GLOCKD_PORT'" in result.stderr
    assert "enableServiceLinks: false" in result.stderr


def test_a_wrong_value_is_told_by_where_it_came_from() -> None:
    result = run_glockd(env={"GLOCKD_HISTORY": "many"})
    assert "Invalid value for 'GLOCKD_HISTORY'" in result.stderr
    result = run_glockd("-history", "many", env={"GLOCKD_HISTORY": "few"})
    assert "Invalid value for '-history'" in result.stderr


def test_whoever_errs_is_told_where_help_is() -> None:
    assert "Try 'glockd --help' for help." in run_glockd("-prot", "1").stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-registry", "false", "-port", "1"), "['false', '-port', '1']"),
        (("start",), "['start']"),
        (("-", "-port", "1"), "['-', '-port', '1']"),
        (("--", "-dump"), "['-dump']"),
    ],
)
def test_words_that_are_not_read_are_told(glockd: Spawner, flags: Sequence[str], words: str) -> None:
    glockd(*flags).logs("ignored", f"words={words}")


def test_variables_that_are_no_options_are_told(glockd: Spawner) -> None:
    daemon = glockd(GLOCKD_PROT="1", GLOCKD_HISTORY="7", GLOCKD_CONFIG="")
    daemon.logs("ignored", "variables=['GLOCKD_PROT']")


def test_nothing_is_ignored_without_a_word_about_it(glockd: Spawner) -> None:
    daemon = glockd("-dump")
    daemon.logs("ready")
    assert "warning" not in daemon.stderr


@pytest.mark.parametrize(
    ("bind", "hosts"),
    [("[::1], 127.0.0.1", ["::1", "127.0.0.1"]), ("::1,[::1],::1", ["::1"]), ("host,,", ["host"])],
)
def test_an_address_may_be_in_brackets_and_named_twice(bind: str, hosts: list[str]) -> None:
    assert Config(bind=bind).hosts == hosts


def test_a_port_out_of_range() -> None:
    result = run_glockd("-port", "65536", "-ws", "0")
    assert result.returncode in (1, 2)
    assert "65536" in result.stderr


@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_help_names_every_option_of_the_original(flag: str) -> None:
    result = run_glockd(flag)
    assert result.returncode == 0
    for option in ("port", "ws", "unix", "pidfile", "registry", "dump", "verbose", "bind", "config"):
        assert f"-{option}" in result.stdout + result.stderr


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_the_version_is_told(flag: str) -> None:
    result = run_glockd(flag)
    assert result.returncode == 0
    assert package.__version__ in result.stdout


# The environment and the file


@pytest.mark.parametrize("value", ["false", "0", "F"])
def test_an_option_may_come_from_the_environment(glockd: Spawner, value: str) -> None:
    says_and_ends(glockd(GLOCKD_DUMP=value).stream(), "dump", DISABLED)


def test_an_option_may_come_from_a_file(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "glockd.toml"
    path.write_text("dump = false\nregistry = false\n")
    client = glockd("-config", str(path)).stream()
    client.says("dump").hears(DISABLED)
    client.says("iam Alice").hears(DISABLED).hangs_up()


def test_the_file_may_be_named_in_the_environment(glockd: Spawner, tmp_path: Path) -> None:
    path = tmp_path / "glockd.toml"
    path.write_text("dump = false\n")
    says_and_ends(glockd(GLOCKD_CONFIG=str(path)).stream(), "dump", DISABLED)


@pytest.mark.parametrize("places", range(8), ids="{:03b}".format)
def test_the_later_place_wins(glockd: Spawner, tmp_path: Path, places: int) -> None:
    """Default, file, environment, command line: whichever of these is last decides which socket is made."""
    in_file, in_environment, in_flags = (bool(places & bit) for bit in (4, 2, 1))
    names = {"file": in_file, "environment": in_environment, "flags": in_flags}
    flags: list[str] = []
    environment: dict[str, str] = {}
    if in_file:
        (tmp_path / "glockd.toml").write_text(f'unix = "{tmp_path}/file"\n')
        flags += ["-config", str(tmp_path / "glockd.toml")]
    if in_environment:
        environment["GLOCKD_UNIX"] = str(tmp_path / "environment")
    if in_flags:
        flags += ["-unix", str(tmp_path / "flags")]
    glockd(*OFF, "-http", "127.0.0.1:0", *flags, listen=(), **environment)
    wanted = [name for name, present in names.items() if present][-1:]
    assert [path.name for path in tmp_path.iterdir() if path.is_socket()] == wanted


@pytest.mark.parametrize(
    "environment",
    [{"GLOCKD_PORT": "abc"}, {"GLOCKD_DUMP": "maybe"}, {"GLOCKD_LOG_FORMAT": "xml"}],
    ids=lambda it: "".join(it),
)
def test_a_bad_value_in_the_environment(environment: dict[str, str]) -> None:
    result = run_glockd("-ws", "0", env={"GLOCKD_PORT": "0"} | environment)
    assert result.returncode == 2
    option = next(iter(environment))
    assert (
        option in result.stderr
        or "-" + option.removeprefix("GLOCKD_").lower().replace("_", "-") in result.stderr
    )


@pytest.mark.parametrize(
    "text",
    [
        b"port = ",
        b"port = 'abc'\n",
        b"port = -1\n",
        b"no_such_option = 1\n",
        b"dump = 'maybe'\n",
        b"[port]\nx = 1\n",
        b"unix = 5\n",
        b"\xff\xfe",
    ],
)
def test_a_bad_file_is_told_in_words(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "glockd.toml"
    path.write_bytes(text)
    result = run_glockd("-ws", "0", "-config", str(path))
    assert result.returncode == 2
    assert str(path) in result.stderr or "-port" in result.stderr


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    result = run_glockd(*OFF, "-config", str(tmp_path))
    assert result.returncode == 2
    assert str(tmp_path) in result.stderr
