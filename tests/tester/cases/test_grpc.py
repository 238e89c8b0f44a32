"""The gRPC player: what it sends, and that an answer that is not as expected fails the step.

The server here is the gRPC library's own; what it answers, right or wrong, the test says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from glockd_tester.cases.ldlm import grpc as grpc_steps
from glockd_tester.cases.ldlm.conversation import Conversation
from glockd_tester.cases.ldlm.messages import decode, encode
from glockd_tester.cases.outcome import Failed

from .conftest import Converse, NoDaemon

LOCKED = bytes.fromhex("08011201741a016b")  # locked, name "t", key "k"
HELD = bytes.fromhex("1201741a016b")  # the same, not locked
UNLOCKED = bytes.fromhex("0801120174")
KEPT = bytes.fromhex("120174")  # not unlocked
UUID = b"9d5b0c1e-7c0e-4a43-9f5e-3b1d2c4e5f60"
ERROR_0, ERROR_5 = b'"\0', b'"\2\x08\x05'  # an error of that code, without a text
Answer = Callable[[str, bytes, Any], bytes]


class Fake(grpc.GenericRpcHandler):
    """A server whose every call `answer(method, request, context)` answers."""

    def __init__(self, folder: Path | None = None) -> None:
        self.answer: Answer = lambda *_: LOCKED
        self.requests: list[tuple[str, bytes]] = []
        self.server = grpc.server(ThreadPoolExecutor(30), handlers=[self])
        if folder is None:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            pair = (folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes()
            credentials = grpc.ssl_server_credentials([pair], (folder / "ca.pem").read_bytes(), True)
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.address = "127.0.0.1", self.port
        self.server.start()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        def handle(request: bytes, context: Any) -> bytes:
            self.requests.append((details.method, request))
            return self.answer(details.method, request, context)

        return grpc.unary_unary_rpc_method_handler(handle)


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    yield server
    server.server.stop(None).wait()


@pytest.fixture
def talk(fake: Fake, converse: Converse) -> Conversation:
    return converse(fake.address)


def step(**members: Any) -> dict[str, Any]:
    return {"client": "a", "call": "TryLock", "request": {"name": "t"}, **members}


def fails(talk: Conversation, members: dict[str, Any]) -> str:
    with pytest.raises(Failed) as problem:
        talk.play(members)
    return str(problem.value)


# Messages


@pytest.mark.parametrize(
    ("method", "request_", "data"),
    [
        ("Lock", {}, ""),
        ("Lock", {"name": "t", "wait_timeout_seconds": 0, "size": 1}, "0a017418002001"),
        ("TryLock", {"lock_timeout_seconds": -1}, "a006" + "ff" * 9 + "01"),
        ("Renew", {"lock_timeout_seconds": 0}, ""),
        ("Unlock", {"name": "a\0b", "key": "k"}, "0a0361006212016b"),
        ("/ldlm.LDLM/Nope", {"name": "t"}, "0a0174"),
    ],
)
def test_requests_as_bytes(method: str, request_: dict[str, Any], data: str) -> None:
    assert encode(method, {"request": request_}) == bytes.fromhex(data)


@pytest.mark.parametrize(
    "request_", [{"nmae": "t"}, {"size": "many"}, {"size": 2**31}, {"wait_timeout_seconds": 1}]
)
def test_a_request_with_a_field_that_there_is_not_fails(request_: dict[str, Any]) -> None:
    with pytest.raises(Failed, match=r"^request: "):
        encode("TryLock", {"request": request_})


@pytest.mark.parametrize(
    ("method", "data", "fields"),
    [
        ("Lock", "", {"locked": False, "name": "", "key": ""}),
        ("Lock", "0801", {"locked": True, "name": "", "key": ""}),
        (
            "Lock",
            "2200",
            {"locked": False, "name": "", "key": "", "error": {"code": "Unknown", "message": ""}},
        ),
        (
            "Unlock",
            "1a050802120178",
            {"unlocked": False, "name": "", "error": {"code": "InvalidLockKey", "message": "x"}},
        ),
        ("Unlock", "1a020863", {"unlocked": False, "name": "", "error": {"code": 99, "message": ""}}),
        ("Renew", "0801f80101", {"locked": True, "name": "", "key": ""}),
    ],
)
def test_bytes_as_responses(method: str, data: str, fields: dict[str, Any]) -> None:
    assert decode(method, bytes.fromhex(data)) == fields


@pytest.mark.parametrize("data", ["08", "12", "1201ff", "22ff"])
def test_bytes_that_are_no_message_fail(data: str) -> None:
    with pytest.raises(Failed, match="response is no message"):
        decode("Lock", bytes.fromhex(data))


# What is sent


def test_a_call_is_sent_as_the_step_says(fake: Fake, talk: Conversation) -> None:
    seen = []

    def answer(method: str, request: bytes, context: Any) -> bytes:
        seen.append((dict(context.invocation_metadata()), context.time_remaining()))
        return LOCKED

    fake.answer = answer
    talk.play(step(metadata=[["authorization", "pw"]]))
    talk.play(step(hex="0aff", call="Lock", timeout=5))
    talk.play(step(call="/other.Service/Do"))
    assert fake.requests == [
        ("/ldlm.LDLM/TryLock", b"\n\1t"),
        ("/ldlm.LDLM/Lock", b"\n\xff"),
        ("/other.Service/Do", b"\n\1t"),
    ]
    assert seen[0][0]["authorization"] == "pw"
    assert seen[0][1] > 30 > seen[1][1]


def test_each_client_has_a_connection_of_its_own(fake: Fake, talk: Conversation) -> None:
    peers = []

    def answer(method: str, request: bytes, context: Any) -> bytes:
        peers.append(context.peer())
        return LOCKED

    fake.answer = answer
    for client in ("a", "a", "b"):
        talk.play(step(client=client))
    talk.play({"close": "a"})
    talk.play(step())
    assert peers[0] == peers[1]
    assert len(set(peers)) == 3
    assert fails(talk, {"close": "c"}) == "c has no connection"


def test_a_step_is_repeated_with_its_number(fake: Fake, talk: Conversation) -> None:
    talk.play(step(times=3, request={"name": "n${i}"}))
    assert [request for _, request in fake.requests] == [b"\n\2n0", b"\n\2n1", b"\n\2n2"]


def test_what_is_saved_is_there_for_later_steps(fake: Fake, talk: Conversation) -> None:
    talk.play(step(save={"k": "key"}))
    fake.answer = lambda *_: UNLOCKED
    talk.play(step(call="Unlock", request={"name": "t", "key": "X${k}"}))
    assert fake.requests[1][1] == b"\n\1t\x12\2Xk"
    assert fails(talk, step(save={"k": "error"})).startswith("response.error: missing")


# What is expected


@pytest.mark.parametrize(
    ("expect", "right", "wrong", "why"),
    [
        ({}, LOCKED, b"\x08", "response is no message"),
        ({"response": {"locked": True}}, LOCKED, HELD, "response.locked: false instead of true"),
        ({"response": {"key": {"$is": "key"}}}, b"\x1a\x24" + UUID, LOCKED, "response.key: k"),
        ({"response": {"error": {"code": "Unknown"}}}, ERROR_0, LOCKED, "response.error: missing"),
        (
            {"response": {"error": {"code": "Unknown"}}},
            ERROR_0,
            ERROR_5,
            "response.error.code: LockDoesNotExistOr",
        ),
        ({"absent": ["error"]}, LOCKED, ERROR_0, "response.error present"),
    ],
)
def test_a_response_is_held_against_what_is_expected(
    fake: Fake, talk: Conversation, expect: Any, right: bytes, wrong: bytes, why: str
) -> None:
    fake.answer = lambda *_: right
    talk.play(step(expect=expect))
    fake.answer = lambda *_: wrong
    assert fails(talk, step(expect=expect)).startswith(why)


def refuse(code: grpc.StatusCode, text: str) -> Answer:
    def answer(method: str, request: bytes, context: Any) -> bytes:
        context.abort(code, text)
        raise AssertionError("abort raises")

    return answer


@pytest.mark.parametrize(
    ("expect", "why"),
    [
        ({}, "status: INTERNAL instead of OK (broken)"),
        ({"status": "UNAVAILABLE"}, "status: INTERNAL instead of UNAVAILABLE (broken)"),
        ({"status": {"$in": ["OK", "UNKNOWN"]}}, "status: INTERNAL instead of"),
        ({"status": "INTERNAL", "details": "other"}, "details: broken instead of other"),
    ],
)
def test_a_status_is_held_against_what_is_expected(
    fake: Fake, talk: Conversation, expect: Any, why: str
) -> None:
    fake.answer = refuse(grpc.StatusCode.INTERNAL, "broken")
    talk.play(step(expect={"status": "INTERNAL", "details": {"$re": "^bro"}, "response": {"locked": True}}))
    talk.play(step(expect={"status": {"$in": ["OK", "INTERNAL"]}}))
    assert fails(talk, step(expect=expect)).startswith(why)


def test_an_answer_where_a_status_is_expected_fails(talk: Conversation) -> None:
    said = fails(talk, step(expect={"status": "INTERNAL"}))
    assert said.startswith("status: OK instead of INTERNAL")


def test_nobody_there_is_unavailable(converse: Converse) -> None:
    talk = converse()
    talk.play(step(expect={"status": "UNAVAILABLE"}))
    assert fails(talk, step()).startswith("status: UNAVAILABLE instead of OK")


# Calls that take their time


@pytest.fixture
def gate(fake: Fake) -> Iterator[threading.Event]:
    """Calls of Lock wait for it."""
    opened = threading.Event()

    def answer(method: str, request: bytes, context: Any) -> bytes:
        if method.endswith("/Lock"):
            opened.wait(30)
        return LOCKED

    fake.answer = answer
    yield opened
    opened.set()


def test_a_started_call_is_pending_until_it_is_answered(gate: threading.Event, talk: Conversation) -> None:
    talk.play(step(call="Lock", start="w"))
    talk.play({"pending": ["w"], "wait": 0.05})
    gate.set()
    talk.play(
        {"answered": "w", "expect": {"response": {"locked": True}}, "after": [0.05, 30], "save": {"k": "key"}}
    )
    assert talk.variables["k"] == "k"
    assert fails(talk, {"pending": ["w"]}) == "w was answered"
    assert fails(talk, {"answered": "w", "expect": {"response": {"locked": False}}}).startswith(
        "response.locked"
    )
    assert fails(talk, {"answered": "v"}) == "no call is named v"


def test_the_time_to_an_answer_is_held_against_what_is_expected(
    gate: threading.Event, talk: Conversation
) -> None:
    talk.play(step(call="Lock", start="w"))
    talk.play({"wait": 0.05})
    gate.set()
    assert "not 0 to 0.04" in fails(talk, {"answered": "w", "after": [0, 0.04]})
    talk.play({"answered": "w", "after": [0.05, 30]})
    talk.play(step(call="Lock", after=[0, 30]))
    assert "not 20 to 30" in fails(talk, step(call="Lock", after=[20, 30]))


@pytest.mark.usefixtures("gate")
def test_a_deadline_that_passes_is_a_status(talk: Conversation) -> None:
    talk.play(step(call="Lock", timeout=0.1, after=[0.05, 30], expect={"status": "DEADLINE_EXCEEDED"}))
    assert fails(talk, step(call="Lock", timeout=0.1)).startswith("status: DEADLINE_EXCEEDED instead of OK")


def test_a_call_that_is_not_answered_fails(gate: threading.Event, talk: Conversation) -> None:
    talk.play(step(call="Lock", start="w"))
    with pytest.raises(Failed, match="Lock is not answered"):
        talk.grpc.started("w").check({}, 0.05)
    gate.set()


@pytest.mark.usefixtures("gate")
def test_a_cancelled_call_is_given_up(talk: Conversation) -> None:
    talk.play(step(call="Lock", start="w"))
    talk.play({"cancel": "w"})
    talk.play({"answered": "w", "expect": {"status": "CANCELLED"}})
    talk.play(step(call="TryLock"))
    assert fails(talk, {"cancel": "v"}) == "no call is named v"


# Contention


class Locks:
    """A counted lock for `contend`; `places` is how many it lets in, whatever they ask for."""

    def __init__(self, places: int) -> None:
        self.free = threading.Semaphore(places)

    def answer(self, method: str, request: bytes, context: Any) -> bytes:
        if method.endswith("/Unlock"):
            self.free.release()
            return UNLOCKED
        self.free.acquire()
        return LOCKED


CONTEND = {"contend": {"name": "t", "clients": 6, "rounds": 5, "size": 2}}


def test_contenders_all_get_through(fake: Fake, talk: Conversation) -> None:
    fake.answer = Locks(2).answer
    talk.play(CONTEND)
    assert len(fake.requests) == 6 * 5 * 2


def test_too_many_inside_are_seen(fake: Fake, talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_steps, "INSIDE", 0.2)
    fake.answer = Locks(6).answer
    said = fails(talk, CONTEND)
    assert said.endswith(" were inside at once, and 2 may be")


@pytest.mark.parametrize(
    ("lock", "unlock", "why"), [(HELD, UNLOCKED, "response.locked"), (LOCKED, KEPT, "response.unlocked")]
)
def test_a_contender_that_is_refused_is_seen(
    fake: Fake, talk: Conversation, lock: bytes, unlock: bytes, why: str
) -> None:
    fake.answer = lambda method, *_: lock if method.endswith("/Lock") else unlock
    assert fails(talk, CONTEND).startswith(why)


# TLS


def test_each_certificate_is_shown_where_the_step_says(converse: Converse, certificates_folder: Path) -> None:
    """A server that demands certificates of its own authority."""
    fake = Fake(certificates_folder)
    try:
        talk = converse(fake.address, profile={"tls_cert": "x"}, folder=certificates_folder)
        talk.play(step(tls="client", expect={"response": {"locked": True}}))
        for client, tls in (("b", ""), ("c", "stranger"), ("d", "plain")):
            refused = step(client=client, timeout=5, **({"tls": tls} if tls else {}))
            assert fails(talk, refused).startswith("status: UNAVAILABLE")
        assert len(fake.requests) == 1
    finally:
        fake.server.stop(None).wait()


# Steps


@pytest.mark.parametrize("action", ["start", "kill", "stop"])
def test_the_daemon_is_ended_and_started(converse: Converse, no_daemon: NoDaemon, action: str) -> None:
    converse().play({"server": action})
    assert no_daemon.done == [action]


@pytest.mark.parametrize(
    ("code", "why"), [(-9, "still runs 10 s after SIGTERM"), (1, "ended with 1 after SIGTERM")]
)
def test_a_daemon_that_does_not_end_well_fails(
    converse: Converse, no_daemon: NoDaemon, code: int, why: str
) -> None:
    no_daemon.code = code
    assert why in fails(converse(), {"server": "stop"})


@pytest.mark.parametrize(
    "members",
    [
        {"server": "restart"},
        {"wiat": 1},
        {"client": "a"},
        {"pending": [], "expect": {}},
        {"close": "a", "x": 1},
        {"rest": {"method": "GET", "path": "/", "x": 1}},
        {"contend": {"name": "t", "clients": 1, "rounds": 1, "size": 1, "x": 1}},
        step(expcet={}),
        step(expect={"respones": {}}),
        {"answered": "w", "client": "a"},
        {"raw": "r", "opne": {}},
        {"raw": "r", "ping": 1},
    ],
)
def test_a_step_that_means_nothing_fails(talk: Conversation, members: dict[str, Any]) -> None:
    said = fails(talk, members)
    assert "is not known" in said or "server: restart" in said or "no connection is named r" in said


def test_a_step_may_only_wait(talk: Conversation) -> None:
    talk.play({"wait": 0.001})
