"""What the tests of the clients in other languages have in common: they run the clients' own programs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.places import ROOT
from tests.support.process import Glockd, Spawner, environment

CLIENTS = ROOT / "clients"
CONVERSATIONS = CLIENTS / "conversations.json"

# What a daemon needs besides for them.
WINDOWS = ("-windows", "127.0.0.1:0")

# Seconds for a program to end: far more than it takes, but for compilers on a busy machine.
PATIENCE = 300.0

SECRET = "s3cret"


def server(daemon: Glockd, transport: str) -> str:
    """The daemon's address as a client takes it."""
    if transport == "unix":
        return f"unix://{daemon.unix}"
    if transport == "ws":
        return f"ws://{daemon.ws[0]}:{daemon.ws[1]}/"
    return f"tcp://{daemon.tcp[0]}:{daemon.tcp[1]}"


def run(
    *command: str,
    cwd: Path,
    daemon: Glockd | None = None,
    status: int = 0,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program that knows the daemon by GLOCK_SERVER.

    Args:
        status: what it has to exit with.
        env: additional environment.

    Returns:
        What it printed.
    """
    changes = dict(env or {})
    if daemon is not None:
        changes["GLOCK_SERVER"] = server(daemon, "tcp")
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == status, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def run_own_tests(*command: str, cwd: Path, glockd: Spawner) -> str:
    """Run a client's own tests.

    They find a daemon that lets kick and keeps a history in GLOCK_SERVER, its Unix socket in GLOCK_ADMIN, and
    another one that wants SECRET in GLOCK_GUARDED.

    Returns:
        What they printed.
    """
    secrets = glockd.folder / "secrets"
    secrets.write_text(f"{SECRET}\n")
    secrets.chmod(0o600)
    guarded = glockd("-auth-file", str(secrets))
    daemon = glockd("-admin", "-history", "100")
    places = {"GLOCK_ADMIN": server(daemon, "unix"), "GLOCK_GUARDED": server(guarded, "tcp")}
    return run(*command, cwd=cwd, daemon=daemon, env=places)


def titles() -> list[str]:
    """The conversations that every client has to pass."""
    return [conversation["title"] for conversation in json.loads(CONVERSATIONS.read_text())["conversations"]]


def passed_all() -> str:
    """What a runner says when it has played them all."""
    return f"{len(titles())} passed, 0 failed\n"


def failing_conversations(folder: Path) -> Path:
    """A list in which each conversation but the last goes wrong in a way of its own."""

    def step(**fields: object) -> dict[str, object]:
        return {"client": "a", "name": "wrong", **fields}

    wrong = {
        "a result that is not so": [step(do="lock", **{"is": {"ok": False, "error": "busy"}})],
        "a field that is not there": [step(do="lock", **{"is": {"colour": "red"}})],
        "a token that does not grow": [
            step(do="lock"),
            step(do="token", keep={"mine": "token"}),
            step(do="token", over={"token": "$mine"}),
        ],
        "another reply": [step(do="raw", send="ping", hear=["1 pang"])],
        "a step that nobody knows": [step(do="dance")],
        "nothing wrong": [step(do="inspect", **{"is": {"locked": False}})],
    }
    path = folder / "failing.json"
    conversations = [{"title": title, "steps": steps} for title, steps in wrong.items()]
    path.write_text(json.dumps({"format": 1, "conversations": conversations}))
    return path


FAILED = "1 passed, 5 failed"


def code_blocks(readme: Path) -> list[str]:
    """The code in a README, as it would be copied from it."""
    return re.findall(r"^```\w+\n(.*?)^```$", readme.read_text("utf-8"), re.M | re.S)
