"""The conversations that every client must pass, with both Python clients: see `clients/README.md`.

What a letter does is written once, in `support.letters`. With the asyncio client each letter is a task, with
the blocking one the main thread of a process; a wait is given up by cancelling the one, and by SIGINT to the
other, as Control-C does.
"""

# Whether a process sleeps has no asyncio.Event.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from glock import AsyncClient

from tests.support import letters
from tests.support.fakes import SECONDS, Daemon, daemon
from tests.support.letters import CANCELLED, Letter, Result, Step
from tests.support.places import ROOT

FILE = ROOT / "clients" / "conversations.json"
CONVERSATIONS = json.loads(FILE.read_text("utf-8"))["conversations"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("conversations"), "-windows", "127.0.0.1:0") as running:
        yield running


class Player(Protocol):
    """Plays one letter, from `connects` to `hangs_up`."""

    async def connects(self, url: str) -> None: ...

    async def does(self, step: Step) -> Result: ...

    async def gives_up(self) -> None:
        """End the wait that `does` is in."""

    async def hangs_up(self) -> None:
        """Whatever it is in."""


class TaskPlayer:
    """A letter of the asyncio client. One task takes all its steps, since what is held is that task's."""

    def __init__(self) -> None:
        self.orders: asyncio.Queue[tuple[Step, asyncio.Future[Result]]] = asyncio.Queue()

    async def connects(self, url: str) -> None:
        self.letter = Letter(AsyncClient(url))
        await self.letter.connects()
        self.task = asyncio.create_task(self.obeys())

    async def obeys(self) -> None:
        while True:
            step, answer = await self.orders.get()
            try:
                answer.set_result(await self.letter.does(step))
            except asyncio.CancelledError:
                self.task.uncancel()
                answer.set_result(CANCELLED)
            except Exception as error:
                answer.set_exception(error)

    async def does(self, step: Step) -> Result:
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.orders.put_nowait((step, answer))
        return await asyncio.shield(answer)

    async def gives_up(self) -> None:
        self.task.cancel()

    async def hangs_up(self) -> None:
        while self.task.cancel() and not self.task.done():
            await asyncio.wait([self.task], timeout=0)
        await self.letter.hangs_up()


class ProcessPlayer:
    """A letter of the blocking client, in a process that can play another when this one has hung up."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-m", letters.__name__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.is_playing = self.is_busy = False

    async def orders(self, order: Step) -> Result:
        self.is_busy = True
        result = await asyncio.to_thread(self.tells, order)
        self.is_busy = False
        return result

    def tells(self, order: Step) -> Result:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the letter's process has ended; its standard error tells why"
        return dict(json.loads(answer))

    async def connects(self, url: str) -> None:
        self.is_playing = True
        await self.orders({"connect": url})

    async def does(self, step: Step) -> Result:
        return await self.orders(step)

    async def gives_up(self) -> None:
        # CPython forgets a signal that comes just before a system call until that ends: let it be in there.
        while self.state() != "S":
            await asyncio.sleep(0.001)
        self.process.send_signal(signal.SIGINT)

    def state(self) -> str:
        """R while it runs, S while it waits for something: proc_pid_stat(5)."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    async def hangs_up(self) -> None:
        if self.is_busy:
            self.process.kill()  # nobody reads its answer any more
        else:
            await self.orders({"do": "hang_up"})
            self.is_playing = False

    def ends(self) -> None:
        with self.process as process:
            assert process.stdin is not None
            process.stdin.close()


@pytest.fixture(scope="module")
def processes() -> Iterator[Callable[[], ProcessPlayer]]:
    """Those that have hung up play again: starting one takes longer than most conversations."""
    started: list[ProcessPlayer] = []

    def free() -> ProcessPlayer:
        for player in started:
            if not player.is_playing and player.process.poll() is None:
                return player
        started.append(ProcessPlayer())
        return started[-1]

    yield free
    for player in started:
        player.ends()


class Conversation:
    """Plays one, on one transport.

    Args:
        players: makes one for each letter.
    """

    def __init__(self, url: str, players: Callable[[], Player]) -> None:
        self.url = url
        self.players = players
        self.playing: dict[str, Player] = {}
        self.kept: dict[str, Any] = {}
        self.started: dict[str, tuple[Player, asyncio.Task[Result]]] = {}

    async def player(self, letter: str) -> Player:
        if letter not in self.playing:
            player = self.players()
            await player.connects(self.url)
            self.playing[letter] = player
        return self.playing[letter]

    def meant(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            return self.kept[value[1:]]
        if isinstance(value, list):
            return [self.meant(each) for each in value]
        return value

    async def plays(self, steps: list[Step]) -> None:
        for step in steps:
            try:
                async with asyncio.timeout(SECONDS + 5):
                    await self.step(
                        {
                            key: self.meant(value) if key in ("token", "booking") else value
                            for key, value in step.items()
                        }
                    )
            except Exception as error:
                error.add_note(f"in step {step}")
                raise

    async def step(self, step: Step) -> None:
        if step["do"] == "cancel":
            player, task = self.started[step["later"]]
            if not task.done():
                await player.gives_up()
            return
        if step["do"] == "hang_up":
            await self.playing.pop(step["client"]).hangs_up()
            return
        if step["do"] == "await":
            _, task = self.started[step["later"]]
            result = await task
        else:
            player = await self.player(step["client"])
            if "later" in step:
                self.started[step["later"]] = player, asyncio.create_task(player.does(step))
                await asyncio.sleep(0)
                return
            result = await player.does(step)
            deadline = asyncio.get_running_loop().time() + SECONDS
            while "until" in step and not self.has(result, step["until"]):
                assert asyncio.get_running_loop().time() < deadline, result
                await asyncio.sleep(0.01)
                result = await player.does(step)
        for variable, field in step.get("keep", {}).items():
            self.kept[variable] = result[field]
        assert self.has(result, step.get("is", {})), result
        for key, value in step.get("over", {}).items():
            assert result[key] > self.meant(value), result

    def has(self, result: Result, wanted: Result) -> bool:
        return all(result.get(key, 0) == self.meant(value) for key, value in wanted.items())

    async def ends(self) -> None:
        for player in self.playing.values():
            await player.hangs_up()
        for _, task in self.started.values():
            task.cancel()


@pytest.fixture(params=["AsyncClient", "Client"])
def players(request: pytest.FixtureRequest) -> Callable[[], Player]:
    if request.param == "Client":
        found: Callable[[], Player] = request.getfixturevalue("processes")
        return found
    return TaskPlayer


@pytest.mark.parametrize("door", ["tcp", "unix", "ws"])
@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda each: each["title"])
async def test_conversation(
    server: Daemon, players: Callable[[], Player], door: str, conversation: dict[str, Any]
) -> None:
    played = Conversation(server.url_of(door), players)
    try:
        await played.plays(conversation["steps"])
    finally:
        await played.ends()
