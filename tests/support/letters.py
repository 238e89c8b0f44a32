"""One letter of a conversation of clients/conversations.json: its steps, once for `Client` and `AsyncClient`.

As a program it is a letter that plays with the blocking client, in a main thread as that client's users have
it, where Control-C ends a wait. It reads a JSON object a line and answers each with one: `{"connect": URL}`,
then the steps, until `{"do": "hang_up"}`, after which it may connect again.
"""

from __future__ import annotations

import inspect
import json
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from glock import AsyncClient, Client, Deadlock, LockBusy, LockLost, WaitTimeout
from glock.wire.conversation import Ask
from glock.wire.language import encode, line, seconds
from glock.wire.recipes import Recipe
from glock.wire.work import item_of, pool_of

Step = dict[str, Any]
Result = dict[str, Any]
T = TypeVar("T")
CANCELLED = {"ok": False, "error": "cancelled"}


async def came_of(value: Any) -> Any:
    """What a method has to say: those of the asyncio client want to be awaited, the others are over."""
    return await value if inspect.isawaitable(value) else value


def _lines(data: bytes) -> Recipe[list[bytes]]:
    return (yield Ask(data))


class Letter:
    """A client whose locks are all got on one connection, as those of one thread or task are.

    It does by the client's own methods whatever they can say, and types the rest on that connection.
    """

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client
        self.session: Any = None
        self.held: dict[tuple[bool, bytes], Any] = {}
        self.latest: dict[bytes, Any] = {}
        self.items: dict[tuple[bytes, bytes], Any] = {}
        self.marked: dict[str, int] = {}

    async def connects(self) -> None:
        server: Any = self.client._servers[0]
        self.session = await came_of(server.spare())
        server.put_back(self.session)

    async def ask(self, data: bytes) -> tuple[int, str]:
        reply = await self.hears(data)
        count, _, text = reply.partition(b" ")
        return int(count), text.decode()

    async def hears(self, data: bytes) -> bytes:
        lines: list[bytes] = await came_of(self.session.run(_lines(data)))
        return lines[0]

    async def get(self, step: Step, **options: Any) -> Result:
        wanted = getattr(self.client, step["do"])(step["name"], wait=float(step.get("wait", 0)), **options)
        # A letter asks the daemon again for what it holds; the client would count that by itself.
        key = (step["do"] == "shared", encode(step["name"]))
        held = self.session.talk.holds.pop(key, None)
        try:
            lock = await came_of(wanted.acquire())
        except BaseException:
            if held is not None:
                self.session.talk.holds[key] = held
            raise
        assert lock._session is self.session
        self.held[key] = self.latest[key[1]] = lock
        return {"ok": True, "count": lock.holders}

    async def release(self, name: bytes, shared: bool) -> Result:
        lock = self.held.pop((shared, name), None)
        if lock is None:
            done, _ = await self.ask(line(b"sr" if shared else b"r", name))
            return {"ok": True} if done else {"ok": False, "error": "not held"}
        try:
            await came_of(lock.release())
        except LockLost:
            return {"ok": False, "error": "not held"}
        return {"ok": True}

    async def does(self, step: Step) -> Result:
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

    async def really_does(self, step: Step) -> Result:
        name = encode(step.get("name", ""))
        client = self.client
        match step["do"]:
            case "lock" | "read":
                return await self.get(step)
            case "shared":
                return await self.get(step, limit=step.get("limit"))
            case "release" | "release_shared" as what:
                return await self.release(name, what == "release_shared")
            case "put":
                return {"put": await came_of(client.put(step["pool"], step["item"]))}
            case "take":
                return await self.take(step)
            case "done" | "fail" | "give" | "keep" as verb:
                return await self.finish(verb, pool_of(step["pool"]), item_of(step["item"]), step)
            case "pool":
                return dict(await came_of(client.pool(step["pool"])))
            case "book":
                return await self.book(step)
            case "unbook":
                done = await came_of(client.unbook(step["booking"]))
                return {"ok": True} if done else {"ok": False, "error": "not held"}
            case "bookings":
                told = await came_of(client.bookings(step["name"]))
                return {"count": len(told)} | {
                    f"{key}s": [one[key] for one in told] for key in ("state", "mode")
                }
            case "lost_item":
                return {"lost": was_lost(self.items[pool_of(step["pool"]), item_of(step["item"])])}
            case "inspect":
                return {"locked": await came_of(client.inspect(name))}
            case "inspect_shared":
                count = await came_of(client.inspect_shared(name))
                return {"locked": count > 0, "count": count}
            case "holders" | "holders_shared" as what:
                found = await came_of(client.holders(name, shared=what == "holders_shared"))
                return {"holders": [each.who for each in found], "count": len(found)}
            case "lease":
                done, _ = await self.ask(line(b"lease", seconds(float(step["seconds"])), name))
                return {"ok": True} if done else {"ok": False, "error": "not held"}
            case "token":
                token, _ = await self.ask(line(b"token", name))
                return {"ok": True, "token": token} if token else {"ok": False, "error": "not held"}
            case "check":
                return {"current": await came_of(client.check(step["token"], name))}
            case "lost":
                return {"lost": self.is_lost(name)}
            case "iam":
                done, _ = await self.ask(line(b"iam", name) if name else b"iam\n")
                return {"ok": done == 1}
            case "me":
                _, text = await self.ask(b"me\n")
                address, _, given = text.partition(" ")
                return {"address": address, "name": given}
            case "who":
                peers = await came_of(client.who(name or None))
                return {"names": sorted((peer.name for peer in peers), key=str.encode)}
            case "stats":
                return dict(await came_of(client.stats()))
            case "mark":
                self.marked = await came_of(client.stats())
                return {}
            case "grown":
                now = await came_of(client.stats())
                return {key: value - self.marked.get(key, 0) for key, value in now.items()}
            case "ping":
                return {"ok": await came_of(client.ping()) > 0}
            case "version":
                return {"ok": (await came_of(client.version())).startswith("glockd ")}
            case "bound":
                return {"ok": await came_of(client.bound()) > 0}
            case "raw":
                return await self.raw(step["send"].encode() + b"\n", step["hear"])
        raise AssertionError(f"unknown step {step}")

    async def book(self, step: Step) -> Result:
        options = {key: step[key] for key in ("start", "slip", "shared") if key in step}
        booking = await came_of(self.client.book(step["name"], float(step["seconds"]), **options))
        begin, end = (each.strftime("%Y-%m-%dT%H:%M:%SZ") for each in (booking.start, booking.end))
        return {"ok": True, "booking": booking.number, "begin": begin, "end": end}

    async def take(self, step: Step) -> Result:
        item = await came_of(self.client.take(step["pool"], wait=float(step.get("wait", 0))).acquire())
        assert item._session is self.session
        self.items[item._item.pool, item._item.name] = item
        return {"ok": True, "item": item.name, "attempt": item.attempt}

    async def finish(self, verb: str, pool: bytes, name: bytes, step: Step) -> Result:
        item = self.items.get((pool, name))
        if item is None or item._released:
            words = [seconds(float(step["seconds"]))] if verb == "keep" else []
            done, _ = await self.ask(line(verb.encode(), *words, pool, name))
            return {"ok": True} if done else {"ok": False, "error": "not held"}
        try:
            await came_of(getattr(item, verb)(*([float(step["seconds"])] if verb == "keep" else [])))
        except LockLost:
            return {"ok": False, "error": "not held"}
        return {"ok": True}

    def is_lost(self, name: bytes) -> bool:
        return was_lost(self.latest[name])

    async def raw(self, data: bytes, hear: list[str]) -> Result:
        if not hear:
            if self.session._messages is not None:
                data = self.session._messages.encode(data)
            if isinstance(self.client, Client):
                self.session._sock.sendall(data)
            else:
                self.session._transport.write(data)
            return {}
        assert len(hear) == 1, "no conversation types a line that has several replies"
        assert [(await self.hears(data)).decode()] == hear
        return {}

    async def hangs_up(self) -> None:
        await came_of(self.client.close())


def was_lost(held: Any) -> bool:
    """Whether a lock or an item is known to be lost."""
    try:
        held.check()
    except LockLost:
        return True
    return False


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Carry out what never waits for an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("the blocking client has awaited something")


def main() -> None:
    letter: Letter | None = None
    for order in map(json.loads, sys.stdin):
        result: Result = {}
        if "connect" in order:
            letter = Letter(Client(order["connect"]))
            finish(letter.connects())
        elif letter is not None and order["do"] == "hang_up":
            finish(letter.hangs_up())
        elif letter is not None:
            try:
                result = finish(letter.does(order))
            except KeyboardInterrupt:
                result = CANCELLED
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
