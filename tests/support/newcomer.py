"""Somebody who has a fresh clone and an empty home, and types what a document says, from top to bottom."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.support.blocks import Block, alike, blocks, commands
from tests.support.places import clone
from tests.support.process import environment, free_port
from tests.support.projects import PROJECTS, Project
from tests.support.terminals import SLOW, Shell, Telnet

# Terminals in which a program stays in the foreground, and the word with which it tells that it is there.
STAYS = {"daemon": "ready", "service": "serving"}


def succeeds(shell: Shell, command: str, block: Block) -> list[str]:
    """What a command prints that has to succeed."""
    status, said = shell.run(command)
    assert status == 0, f"{block.place}: {command}: status {status}\n" + "\n".join(said)
    return said


class Newcomer:
    """Plays documents, one after the other, in `~/glockd`.

    Args:
        folder: an empty one, for home and terminals.

    Attributes:
        ports: those in the documents, and what takes their place: somebody else may have them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.clone = self.home / "glockd"
        self.clone.mkdir(parents=True)
        self.ports = {number: free_port() for number in (9999, 9998, 8765)}
        self.shells: dict[str, Shell] = {}
        self.telnets: dict[str, Telnet] = {}
        # Composer asks the registry for everything, even for what it need not.
        (folder / "config.json").write_text('{"repositories": [{"packagist.org": false}]}')

    def environment(self) -> dict[str, str]:
        own = str(Path(sys.executable).parent)
        path = [part for part in os.environ["PATH"].split(":") if part != own]
        changes = {
            "HOME": str(self.home),
            "PATH": ":".join(path),
            "GLOCKD_PORT": str(self.ports[9999]),
            "GLOCKD_WS": str(self.ports[9998]),
            "GLOCK_SERVER": f"tcp://127.0.0.1:{self.ports[9999]}",
            "PYTHON": f"{sys.base_prefix}/bin/python3",
            "COMPOSER_HOME": str(self.folder),
            "COMPOSER_ALLOW_SUPERUSER": "1",
            # What is the same for everybody need not be made again.
            "GOCACHE": os.environ.get("GOCACHE", str(Path.home() / ".cache/go-build")),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip")),
        }
        return environment(**changes)

    def plays(self, document: str) -> int:
        """Get a clone, unless it is there, and do all that its `document` says; how many blocks that were."""
        if not (self.clone / document).exists():
            clone(self.clone)
        found = [block for block in blocks(self.clone / document) if block.language in PLAYS]
        for block in found:
            self.play(block)
        return len(found)

    def play(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: something else comes of it than the document says.
        """
        text = block.text
        for number, port in self.ports.items():
            text = re.sub(rf"\b{number}\b", str(port), text)
        if block.file:
            (self.home / "tutorial" / block.file).write_text(text)
        else:
            PLAYS[block.language](self, text, block)

    def shell(self, label: str) -> Shell:
        if label not in self.shells:
            self.shells[label] = Shell(self.folder / f"shell-{label}", self.environment(), self.clone)
        return self.shells[label]

    def runs(self, text: str, block: Block) -> None:
        """Commands that all succeed."""
        shell = self.shell(block.label)
        *quick, last = text.splitlines()
        for command in quick if block.label in STAYS else [*quick, last]:
            succeeds(shell, command, block)
        if block.label in STAYS:
            shell.begin(last)
            shell.says(STAYS[block.label])

    def prints(self, text: str, block: Block) -> None:
        """Commands and what they print."""
        shell = self.shell(block.label)
        for command, lines in commands(text):
            _, said = shell.run(command)
            assert alike(said) == alike(lines), f"{block.place}: {command}: {said}"

    def talks(self, text: str, block: Block) -> None:
        """A dialogue; `$ telnet` opens a connection, `> ` is typed, `(closed)` closes the terminal."""
        assert block.label, f"{block.place}: whose terminal is this?"
        for line in text.splitlines():
            if line.startswith("$ telnet "):
                self.telnets[block.label] = Telnet(shlex.split(line[2:]))
                continue
            telnet = self.telnets[block.label]
            if line == "(closed)":
                self.telnets.pop(block.label).close()
                continue
            if line.startswith("> "):
                telnet.types(line[2:])
            shown = telnet.line()
            assert alike([shown]) == alike([line.removeprefix("> ")]), f"{block.place}: {line}: {shown}"

    def works_nightly(self, text: str, block: Block) -> None:
        """Lines of a crontab, run once each as cron(8) does: with a poor environment, at home."""
        for line in text.splitlines():
            *times, command = line.split(" ", 5)
            assert len(times) == 5, block.place
            env = {
                "HOME": str(self.home),
                "PATH": "/usr/bin:/bin",
                "GLOCK_SERVER": f"tcp://127.0.0.1:{self.ports[9999]}",
            }
            result = subprocess.run(
                ["/bin/sh", "-c", command],
                env=env,
                cwd=self.home,
                capture_output=True,
                text=True,
                timeout=SLOW,
            )
            assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), block.place

    def begins(self, project: Project, name: str) -> Shell:
        """A terminal in a new project beside the clone."""
        folder = self.home / name
        folder.mkdir()
        shell = self.shell(name)
        for command in (f"cd {folder}", project.prepare):
            assert shell.run(command)[0] == 0, command
        return shell

    def uses(self, text: str, block: Block) -> None:
        """An example, in the project of its terminal, or in one that installs the client as README says."""
        project = PROJECTS[block.language]
        name = block.label or f"mine-{project.folder}"
        if name not in self.shells:
            succeeds(self.begins(project, name), self.installation(project.row), block)
        (self.home / name / project.file).write_text(project.adapted(text))
        said = succeeds(self.shell(name), project.start, block)
        assert any(line.startswith(("mine", "holding")) for line in said), f"{block.place}: {said}"

    def learns(self, language: str) -> int:
        """Do what the README of a client says, in a new project; how many blocks that were."""
        project = PROJECTS[language]
        name = f"learnt-{project.folder}"
        shell = self.begins(project, name)
        if language == "python":  # its README has three lines to choose from, which tests/clients tries
            assert shell.run("pip install -q '../glockd/clients/python[cli]'")[0] == 0
        document = self.clone / "clients" / project.folder / "README.md"
        found = [
            replace(block, label=name) for block in blocks(document) if block.language in (language, "sh")
        ]
        for block in found:
            self.play(block)
        return len(found)

    def installation(self, row: str) -> str:
        """The line of README's table that installs a client."""
        readme = (self.clone / "README.md").read_text("utf-8")
        (line,) = re.findall(rf"^\| \[{row}\]\(.*\) \| `(.+)` \|$", readme, re.M)
        return str(line)

    def close(self) -> None:
        for telnet in self.telnets.values():
            telnet.close()
        for shell in reversed(self.shells.values()):
            shell.close()


PLAYS = {
    "sh": Newcomer.runs,
    "console": Newcomer.prints,
    "text": Newcomer.talks,
    "crontab": Newcomer.works_nightly,
    **dict.fromkeys(PROJECTS, Newcomer.uses),
}
