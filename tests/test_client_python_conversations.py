"""The conversations that every client must pass, with the Python client: what `clients/README.md` tells
of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients_support import SECONDS, Daemon, daemon
from glock import Deadlock, LockBusy, LockLost, WaitTimeout
from glock.address import parse
from glock.aio_session import AsyncSession
from glock.session import Options
from glock.wire import recipes
from glock.wire.conversation import Ask, Hold
from glock.wire.language import encode, line, seconds
from glock.wire.recipes import Recipe, Want

FILE = Path(__file__).parent.parent / "clients" / "conversations.json"
CONVERSATIONS = json.loads(FILE.read_text("utf-8"))["conversations"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("conversations")) as running:
        yield running


def _lines(data: bytes, listing: bool = False) -> Recipe[list[bytes]]:
    return (yield Ask(data, listing=listing))


class Session:
    """One letter of a conversation: one connection."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.talk = session.talk
        self.latest: dict[bytes, Hold] = {}
        self.marked: dict[str, int] = {}

    async def ask(self, data: bytes) -> tuple[int, str]:
        reply = (await self.session.run(_lines(data)))[0]
        count, _, text = reply.partition(b" ")
        return int(count), text.decode()

    async def get(self, want: Want) -> dict[str, Any]:
        # A letter asks the daemon again for what it holds; `Client` would count that by itself.
        key = (want.mode == "shared", want.name)
        held = self.talk.holds.pop(key, None)
        try:
            hold = await self.session.run(recipes.acquire(self.talk, want))
        except BaseException:
            if held is not None:
                self.talk.holds[key] = held
            raise
        self.latest[want.name] = hold
        return {"ok": True, "count": hold.holders}

    async def release(self, name: bytes, shared: bool) -> dict[str, Any]:
        hold = self.talk.holds.get((shared, name))
        if hold is None:
            done, _ = await self.ask(line(b"sr" if shared else b"r", name))
            return {"ok": True} if done else {"ok": False, "error": "not held"}
        try:
            await self.session.run(recipes.release(self.talk, hold))
        except LockLost:
            return {"ok": False, "error": "not held"}
        return {"ok": True}

    async def does(self, step: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self.really_does(step)
        except WaitTimeout:
            error = "timeout"
        except LockBusy:
            error = "busy"
        except Deadlock:
            error = "deadlock"
        except ValueError:
            error = "bad name"
        return {"ok": False, "error": error}

    async def really_does(self, step: dict[str, Any]) -> dict[str, Any]:
        name = encode(step.get("name", ""))
        wait = float(step.get("wait", 0))
        run, talk = self.session.run, self.talk
        match step["do"]:
            case "lock":
                return await self.get(Want(name, wait=wait))
            case "read":
                return await self.get(Want(name, "read", wait))
            case "shared":
                return await self.get(Want(name, "shared", wait, step.get("limit")))
            case "release" | "release_shared" as what:
                return await self.release(name, what == "release_shared")
            case "inspect":
                return {"locked": await run(recipes.inspect(talk, name))}
            case "inspect_shared":
                count = await run(recipes.inspect_shared(talk, name))
                return {"locked": count > 0, "count": count}
            case "holders" | "holders_shared" as what:
                found = await run(recipes.holders(talk, name, what == "holders_shared"))
                return {"holders": [each.who for each in found], "count": len(found)}
            case "lease":
                done, _ = await self.ask(line(b"lease", seconds(float(step["seconds"])), name))
                return {"ok": True} if done else {"ok": False, "error": "not held"}
            case "token":
                token, _ = await self.ask(line(b"token", name))
                return {"ok": True, "token": token} if token else {"ok": False, "error": "not held"}
            case "check":
                return {"current": await run(recipes.check(talk, step["token"], name))}
            case "lost":
                return {"lost": self.latest[name].lost is not None}
            case "iam":
                done, _ = await self.ask(line(b"iam", name) if name else b"iam\n")
                return {"ok": done == 1}
            case "me":
                _, text = await self.ask(b"me\n")
                address, _, given = text.partition(" ")
                return {"address": address, "name": given}
            case "who":
                peers = await run(recipes.who(talk, name or None))
                return {"names": sorted((peer.name for peer in peers), key=str.encode)}
            case "stats":
                return await run(recipes.stats(talk))
            case "mark":
                self.marked = await run(recipes.stats(talk))
                return {}
            case "grown":
                now = await run(recipes.stats(talk))
                return {key: value - self.marked.get(key, 0) for key, value in now.items()}
            case "ping":
                await run(recipes.ping(talk))
                return {"ok": True}
            case "version":
                return {"ok": talk.version.startswith("glockd ")}
            case "bound":
                return {"ok": await run(recipes.bound(talk)) > 0}
            case "raw":
                return await self.raw(step["send"].encode() + b"\n", step["hear"])
        raise AssertionError(f"unknown step {step}")

    async def raw(self, data: bytes, hear: list[str]) -> dict[str, Any]:
        if not hear:
            messages, transport = self.session._messages, self.session._transport
            assert transport is not None
            transport.write(messages.encode(data) if messages else data)
            return {}
        assert len(hear) == 1, "no conversation types a line that has several replies"
        heard = await self.session.run(_lines(data))
        assert [each.decode() for each in heard] == hear
        return {}


class Conversation:
    """Plays one, on one transport."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sessions: dict[str, Session] = {}
        self.kept: dict[str, Any] = {}
        self.started: dict[str, asyncio.Task[dict[str, Any]]] = {}

    async def session(self, letter: str) -> Session:
        if letter not in self.sessions:
            self.sessions[letter] = Session(await AsyncSession.open(parse(self.url), Options()))
        return self.sessions[letter]

    def meant(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            return self.kept[value[1:]]
        if isinstance(value, list):
            return [self.meant(each) for each in value]
        return value

    async def plays(self, steps: list[dict[str, Any]]) -> None:
        for step in steps:
            try:
                async with asyncio.timeout(SECONDS + 5):
                    await self.step(
                        {key: self.meant(value) if key == "token" else value for key, value in step.items()}
                    )
            except Exception as error:
                error.add_note(f"in step {step}")
                raise

    async def step(self, step: dict[str, Any]) -> None:
        result: dict[str, Any]
        if step["do"] == "cancel":
            self.started[step["later"]].cancel()
            return
        if step["do"] == "await":
            try:
                result = await self.started[step["later"]]
            except asyncio.CancelledError:
                result = {"ok": False, "error": "cancelled"}
        elif step["do"] == "hang_up":
            session = self.sessions.pop(step["client"])
            session.session.close("hangs up")
            return
        else:
            session = await self.session(step["client"])
            if "later" in step:
                self.started[step["later"]] = asyncio.ensure_future(session.does(step))
                await asyncio.sleep(0)
                return
            result = await session.does(step)
            deadline = asyncio.get_running_loop().time() + SECONDS
            while "until" in step and not self.has(result, step["until"]):
                assert asyncio.get_running_loop().time() < deadline, result
                await asyncio.sleep(0.01)
                result = await session.does(step)
        for variable, field in step.get("keep", {}).items():
            self.kept[variable] = result[field]
        assert self.has(result, step.get("is", {})), result
        for key, value in step.get("over", {}).items():
            assert result[key] > self.meant(value), result

    def has(self, result: dict[str, Any], wanted: dict[str, Any]) -> bool:
        return all(result.get(key, 0) == self.meant(value) for key, value in wanted.items())

    async def ends(self) -> None:
        for task in self.started.values():
            task.cancel()
        for session in self.sessions.values():
            session.session.close("the conversation is over")
            await session.session.ended.wait()


@pytest.mark.parametrize("door", ["tcp", "unix", "ws"])
@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda each: each["title"])
async def test_conversation(server: Daemon, door: str, conversation: dict[str, Any]) -> None:
    played = Conversation({"tcp": server.url, "unix": server.unix_url, "ws": server.ws_url}[door])
    try:
        await played.plays(conversation["steps"])
    finally:
        await played.ends()
