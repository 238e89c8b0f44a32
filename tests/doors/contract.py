"""What every door promises, written once.

A door brings an `Adapter`: how a client of its language opens a session, takes, waits, gives, vanishes and hears. The
tests below know no language; what they see from outside they ask in the line language, on the Unix socket. A door's own
folder has a `test_contract.py` with a class of its own that inherits from `Contract`.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from tests.support.clients import StreamClient, wait_until
from tests.support.daemons import Pool, counters
from tests.support.process import Glockd, Spawner

# What a door of another language may call a lock, and the line language could not have typed.
ODD_NAMES = (b"two\nlines", b"  gaps  within ", b"tab\there", b"n" * (1 << 20) + b"\n")
CROWD = 200  # sessions at once


class Refused(Exception):
    """The daemon does not let this client in."""


class Party(Protocol):
    """One session of a client, whatever it speaks."""

    def takes(self, name: bytes, lease: float | None = None) -> bool:
        """Take an exclusive lock at once; whether that was granted.

        Args:
            lease: whole seconds after which the daemon takes it back.
        """

    def waits(self, name: bytes, seconds: float | None = None) -> None:
        """Begin to wait for an exclusive lock, for ever or so many whole seconds."""

    def hears(self) -> bool:
        """What became of the oldest wait: whether it was granted."""

    def gives(self, name: bytes) -> bool:
        """Give a lock back; whether it was held."""

    def vanishes(self) -> None:
        """End the connection without a word, as a client that is killed."""


class Adapter(Protocol):
    """How clients of one door come in."""

    @property
    def name(self) -> str: ...

    @property
    def flags(self) -> tuple[str, ...]:
        """With which the daemon has this door."""

    @property
    def odd_names(self) -> tuple[bytes, ...]:
        """Of ODD_NAMES, those that its language can say."""

    @property
    def secrets(self) -> str:
        """The option that names the file of its secrets."""

    def opens(self, daemon: Glockd, secret: str | None = None) -> Party:
        """A new session.

        Raises:
            Refused: the secret is not right.
        """


class Observer:
    """Who looks on, in the line language.

    Args:
        namespace: that the door's holds are in.
        called: what a name of the tests is called there.
    """

    def __init__(
        self,
        daemon: Glockd,
        namespace: str = "exclusive",
        called: Callable[[str], str] = str,
    ) -> None:
        self.namespace = namespace
        self.called = called
        self.client: StreamClient = daemon.stream("unix")
        self.secret(daemon)

    def secret(self, daemon: Glockd) -> None:
        """Prove that it may look, where that is asked for."""
        for flag in daemon.flags:
            name, _, path = flag.partition("=")
            if name == "-auth-file":
                secret = Path(path).read_text("utf-8").split()[0]
                self.client.says(f"auth {secret}").hears("1 ok")

    def asks(self, line: str) -> Any:
        """The JSON behind the number of a reply."""
        reply = self.client.says(line).hears_a_line()
        return json.loads(reply.partition(b" ")[2])

    def table(self, name: str) -> dict[str, Any]:
        """Who holds `name` and who waits for it."""
        nothing: dict[str, Any] = {"holders": [], "waiters": []}
        found: dict[str, Any] = self.asks(f"explain {self.called(name)}").get(self.namespace, nothing)
        return found

    def history(self, name: str) -> list[str]:
        """What happened to `name`."""
        return [event["event"] for event in self.asks(f"history {self.called(name)}")]

    def orphans(self, name: str) -> int:
        """How many holds, of `name` at least, have ended with their session."""
        if self.namespace == "items":
            return int(self.asks(f"pool {self.called(name)}")["orphaned"])
        return self.counters()["orphans"]

    def sees_waiters(self, name: str, number: int) -> None:
        """Wait until so many stand in line."""
        wait_until(lambda: len(self.table(name)["waiters"]) == number, about=lambda: self.table(name))

    def sees_holders(self, name: str, number: int) -> None:
        """Wait until so many hold it."""
        wait_until(lambda: len(self.table(name)["holders"]) == number, about=lambda: self.table(name))

    def counters(self) -> dict[str, int]:
        """What `q` tells."""
        self.client.says("q").asked.clear()
        reply = b""
        while b"shared_orphans: " not in reply:
            reply += self.client.receive_line()
        return counters(reply)

    def closes(self) -> None:
        """Look no more."""
        self.client.vanishes()


Start = Callable[..., Glockd]


class Contract:
    """The promises. A door's class sets `adapters`."""

    adapters: ClassVar[tuple[Adapter, ...]]
    namespace: ClassVar[str] = "exclusive"
    # What lets a session have two, and what is counted then.
    limit: ClassVar[tuple[str, str]] = ("-max-session-locks=2", "locks=1")

    @pytest.fixture
    def daemon(self, adapter: Adapter, pool: Pool) -> Glockd:
        """A daemon with the door, shared with other tests."""
        return pool.get("-admin", "-history=100", *adapter.flags)

    @pytest.fixture
    def starts(self, adapter: Adapter, glockd: Spawner) -> Start:
        """Starts a daemon of the test's own with the door."""
        return lambda *flags: glockd(*adapter.flags, *flags)

    @pytest.fixture
    def observer(self, adapter: Adapter, daemon: Glockd) -> Iterator[Observer]:
        observer = self.looks_on(adapter, daemon)
        yield observer
        observer.closes()

    def looks_on(self, adapter: Adapter, daemon: Glockd) -> Observer:
        """Somebody who looks at the door's holds."""
        return Observer(daemon, self.namespace, getattr(adapter, "called", str))

    @pytest.fixture
    def name(self, request: pytest.FixtureRequest) -> str:
        """A name that no other test uses."""
        return str(request.node.name)

    # Who holds

    def test_only_one_holds(self, adapter: Adapter, daemon: Glockd, name: str) -> None:
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        assert alice.takes(name.encode())
        assert not bob.takes(name.encode())
        assert alice.gives(name.encode())
        assert not alice.gives(name.encode())
        assert bob.takes(name.encode())
        alice.vanishes()
        bob.vanishes()

    def test_an_ended_session_holds_nothing(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        before = observer.orphans(name)
        assert alice.takes(name.encode())
        bob.waits(name.encode())
        observer.sees_waiters(name, 1)
        alice.vanishes()
        assert bob.hears()
        assert observer.orphans(name) == before + 1
        bob.vanishes()
        observer.sees_holders(name, 0)

    def test_an_ended_session_waits_for_nothing(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        assert alice.takes(name.encode())
        bob.waits(name.encode())
        observer.sees_waiters(name, 1)
        bob.vanishes()
        observer.sees_waiters(name, 0)
        alice.vanishes()
        observer.sees_holders(name, 0)

    def test_first_come_first_served(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        holder, *line = (adapter.opens(daemon) for _ in range(4))
        assert holder.takes(name.encode())
        for number, party in enumerate(line, 1):
            party.waits(name.encode())
            observer.sees_waiters(name, number)
        assert holder.gives(name.encode())
        for party in line:
            assert party.hears()
            assert not holder.takes(name.encode())
            assert party.gives(name.encode())
        for party in (holder, *line):
            party.vanishes()

    def test_a_grant_to_who_is_gone_goes_on(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        last = adapter.opens(daemon)
        for turn in range(20):
            holder, gone = adapter.opens(daemon), adapter.opens(daemon)
            assert holder.takes(name.encode())
            gone.waits(name.encode())
            observer.sees_waiters(name, 1)
            last.waits(name.encode())
            observer.sees_waiters(name, 2)
            for party in (holder, gone) if turn % 2 else (gone, holder):
                party.vanishes()
            assert last.hears()
            assert last.gives(name.encode())
        last.vanishes()

    def test_each_grant_has_a_larger_token(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        tokens = []
        for _ in range(3):
            party = adapter.opens(daemon)
            assert party.takes(name.encode())
            (holder,) = observer.table(name)["holders"]
            tokens.append(holder["token"])
            assert party.gives(name.encode())
            party.vanishes()
        assert tokens == sorted(set(tokens))

    # Time

    def test_a_wait_ends_in_vain_and_the_line_moves_on(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        holder, hasty, patient = (adapter.opens(daemon) for _ in range(3))
        assert holder.takes(name.encode())
        hasty.waits(name.encode(), 1)
        observer.sees_waiters(name, 1)
        patient.waits(name.encode())
        observer.sees_waiters(name, 2)
        assert not hasty.hears()
        observer.sees_waiters(name, 1)
        assert holder.gives(name.encode())
        assert patient.hears()
        for party in (holder, hasty, patient):
            party.vanishes()

    def test_a_lease_ends(self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str) -> None:
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        assert alice.takes(name.encode(), lease=1)
        assert 0 < observer.table(name)["holders"][0]["lease"] <= 1
        bob.waits(name.encode())
        assert bob.hears()
        assert not alice.gives(name.encode())
        assert observer.history(name) == ["granted", "expired", "granted"]
        alice.vanishes()
        bob.vanishes()

    # Operators

    def test_a_kicked_session_holds_nothing(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        assert alice.takes(name.encode())
        bob.waits(name.encode())
        observer.sees_waiters(name, 1)
        address = observer.table(name)["holders"][0]["address"]
        observer.client.says(f"kick {address}").hears(f"1 Kicked: {address}")
        assert bob.hears()
        assert observer.history(name) == ["granted", "kicked", "granted"]
        alice.vanishes()
        bob.vanishes()

    def test_limits_answer_and_count(self, adapter: Adapter, starts: Start) -> None:
        option, counted = self.limit
        daemon = starts(option, "-max-lock-waiters=1")
        observer = self.looks_on(adapter, daemon)
        alice, bob, carol = (adapter.opens(daemon) for _ in range(3))
        assert [alice.takes(name) for name in (b"a", b"b", b"c")] == [True, True, False]
        bob.waits(b"a")
        observer.sees_waiters("a", 1)
        carol.waits(b"a")
        assert not carol.hears()
        daemon.logs("refused", counted)
        daemon.logs("refused", "waiters=1")
        alice.vanishes()
        assert bob.hears()

    def test_a_reload_takes_new_secrets_over(self, adapter: Adapter, starts: Start, tmp_path: Path) -> None:
        secrets = tmp_path / "secrets"
        secrets.write_text("first\n", "utf-8")
        daemon = starts(f"{adapter.secrets}={secrets}")
        alice = adapter.opens(daemon, "first")
        assert alice.takes(b"job")
        with pytest.raises(Refused):
            adapter.opens(daemon, "second").takes(b"other")
        secrets.write_text("second\n", "utf-8")
        daemon.gets(signal.SIGHUP).logs("reloaded")
        bob = adapter.opens(daemon, "second")
        assert not bob.takes(b"job")  # who was in stays in, and keeps what it holds
        with pytest.raises(Refused):
            adapter.opens(daemon, "first").takes(b"other")

    def test_a_daemon_that_is_told_to_stop_ends_every_session(self, adapter: Adapter, starts: Start) -> None:
        daemon = starts()
        observer = self.looks_on(adapter, daemon)
        alice, bob = adapter.opens(daemon), adapter.opens(daemon)
        assert alice.takes(b"job")
        bob.waits(b"job")
        observer.sees_waiters("job", 1)
        daemon.gets(signal.SIGTERM)
        assert daemon.ends() == 0
        assert "Traceback" not in daemon.stderr

    # Whatever comes

    def test_a_crowd_that_vanishes_leaves_nothing(
        self, adapter: Adapter, daemon: Glockd, observer: Observer, name: str
    ) -> None:
        before = observer.counters()["connections"]
        crowd = [adapter.opens(daemon) for _ in range(CROWD)]
        holder, *rest = crowd
        assert holder.takes(name.encode())
        for party in rest:
            party.waits(name.encode())
        observer.sees_waiters(name, CROWD - 1)
        for party in crowd:
            party.vanishes()
        observer.sees_waiters(name, 0)
        observer.sees_holders(name, 0)
        wait_until(lambda: observer.counters()["connections"] == before)

    def test_odd_names_keep_to_their_lines(
        self, adapter: Adapter, daemon: Glockd, observer: Observer
    ) -> None:
        party = adapter.opens(daemon)
        for name in adapter.odd_names:
            assert party.takes(name)
            (told,) = observer.asks("find exclusive 0 9")["entries"]
            assert told["name"].encode() == name
            line = observer.client.says("d").hears_a_line()
            assert line.split(b": ")[0].split() == line.split(b": ")[0].split(
                b" "
            )  # words with single blanks
            assert b"\\x" in line
            dump = observer.client.says("dump").hears_a_line()
            assert dump.startswith(b"map[")
            assert dump.endswith(b"]\n")
            assert party.gives(name)
        party.vanishes()


def parametrize_adapters(metafunc: pytest.Metafunc) -> None:
    """Play the contract for each adapter of the class in turn; for conftest.py."""
    if metafunc.cls is not None and issubclass(metafunc.cls, Contract) and "adapter" in metafunc.fixturenames:
        metafunc.parametrize("adapter", metafunc.cls.adapters, ids=lambda adapter: adapter.name)
