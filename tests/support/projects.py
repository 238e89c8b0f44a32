"""Projects beside a clone that use its clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """A project in one of the languages.

    Attributes:
        folder: that of its client.
        row: where README's table has the line that installs the client.
        file: where an example is copied to.
        prepare: what has been done before, whatever the project uses.
        start: runs the example.
        installed: how an example names the client once it is installed; `elsewhere`: how examples that are written
            for the clone name it.
    """

    folder: str
    row: str
    file: str
    prepare: str
    start: str
    installed: str = ""
    elsewhere: tuple[str, ...] = ()

    def adapted(self, example: str) -> str:
        """The example for a project that has installed the client."""
        for name in self.elsewhere:
            example = example.replace(name, self.installed)
        return example


PROJECTS = {
    "python": Project(
        "python", "Python", "mine.py", '"$PYTHON" -m venv .venv && . .venv/bin/activate', "python mine.py"
    ),
    "go": Project("go", "Go", "mine.go", "go mod init mine", "go run ."),
    "js": Project(
        "javascript", "JavaScript", "mine.mjs", "true", "node mine.mjs", "'glockd-client'", ("'../glock.js'",)
    ),
    "php": Project(
        "php",
        "PHP",
        "mine.php",
        "echo {} > composer.json",
        "php mine.php",
        "'vendor/autoload.php'",
        ("'clients/php/src/autoload.php'", "__DIR__ . '/../src/autoload.php'"),
    ),
    "bash": Project(
        "shell",
        "Shell",
        "mine.sh",
        "true",
        "bash mine.sh",
        "source ../glockd/clients/shell/glock.sh",
        (". clients/shell/glock.sh", '. "$(dirname "$0")/../glock.sh"'),
    ),
}
