"""The engine in a process of its own, against h2spec and the gRPC libraries that people use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from glockd_tester import load
from glockd_tester.addresses import Address
from tests.support.certificates import Authority
from tests.support.clients import wait_until
from tests.support.places import ROOT
from tests.support.registries import fetched, says_ok

Need = Callable[..., str]

HERE = Path(__file__).parent
GRPC_JS = "@grpc/grpc-js@1.14.7"
H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec"  # at the version that go/go.mod names
LARGEST = 4 << 20
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class EchoProcess:
    """A process of tests.support.grpc_server."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.support.grpc_server", *flags],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = f"127.0.0.1:{self.process.stdout.readline().strip()}"

    def drains(self) -> None:
        """Have it end in order."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def ends(self) -> str:
        """Have it end; what it has said. It ends well, and in time."""
        self.drains()
        code = self.process.wait(20)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        for pipe in (self.process.stdout, self.process.stderr):
            pipe.close()
        assert code == 0, said
        return said


@pytest.fixture(scope="module")
def server() -> Iterator[EchoProcess]:
    """One for all: no test leaves a call waiting there."""
    process = EchoProcess()
    yield process
    assert process.ends() == ""


# HTTP/2


def test_h2spec_has_nothing_to_say(server: EchoProcess, need: Need, tmp_path: Path) -> None:
    """All cases, strict ones too; only 5.1.2 is skipped, as no limit of streams is announced."""
    fetched([need("go", "golang-go"), "build", "-o", str(tmp_path / "h2spec"), H2SPEC], HERE / "go")
    port = server.address.partition(":")[2]
    report = tmp_path / "report.xml"
    command = [str(tmp_path / "h2spec"), "generic", "http2", "hpack", "-S", "-p", port, "-j", str(report)]
    ran = subprocess.run([*command, "-o", "5"], capture_output=True, text=True, timeout=120, check=False)
    assert "146 tests, 145 passed, 1 skipped, 0 failed" in ran.stdout, ran.stdout
    skipped = [case for case in report.read_text("utf-8").split("<testcase")[1:] if "<skipped" in case]
    assert len(skipped) == 1
    assert "5.1.2" in skipped[0]


# Go and JavaScript


def test_go_programs_call(server: EchoProcess, need: Need, tmp_path: Path) -> None:
    fetched([need("go", "golang-go"), "build", "-o", str(tmp_path / "calls"), "."], HERE / "go")
    says_ok([str(tmp_path / "calls"), server.address])


def test_node_programs_call(server: EchoProcess, need: Need, tmp_path: Path) -> None:
    node = need("node", "nodejs")
    fetched(
        [need("npm"), "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", GRPC_JS], tmp_path
    )
    says_ok([node, str(HERE / "js" / "calls.js"), server.address], NODE_PATH=str(tmp_path / "node_modules"))


# Python


class Client:
    """A channel of its own connection, to test.Echo."""

    def __init__(self, address: str, credentials: Any = None) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), *UNLIMITED]
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)

    def begins(self, method: str, message: bytes = b"", **more: Any) -> Any:
        """A call under way."""
        path = method if method.startswith("/") else f"/test.Echo/{method}"
        stub: Any = self.channel.unary_unary(path)
        return stub.future(message, **{"timeout": 60, **more})

    def calls(self, method: str, message: bytes = b"", **more: Any) -> bytes:
        """What a call is answered."""
        return bytes(self.begins(method, message, **more).result())

    def fails(self, method: str, message: bytes = b"", **more: Any) -> tuple[str, str]:
        """The status that a call is answered, and its text."""
        call = self.begins(method, message, **more)
        return call.code().name, call.details()

    def waiting(self) -> list[int]:
        """How many calls wait, and how many were given up."""
        return [int(word) for word in self.calls("Waiting").split()]


@pytest.fixture
def client(server: EchoProcess) -> Iterator[Client]:
    client = Client(server.address)
    yield client
    client.channel.close()


@pytest.mark.parametrize("at_once", [1, 8, 50])
def test_python_programs_call(client: Client, at_once: int) -> None:
    def work(worker: int) -> None:
        for number in range(200 // at_once):
            message = b"%d %d " % (worker, number) * (number % 50)
            assert client.calls("Echo", message) == message

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, range(at_once)))


def test_many_calls_wait_on_one_connection(client: Client) -> None:
    waiting = [client.begins("Wait", b"%d" % number) for number in range(150)]
    wait_until(lambda: client.waiting()[0] == 150)
    assert client.calls("Free") == b"150"
    assert [call.result() for call in waiting] == [b"%d" % number for number in range(150)]


def test_calls_are_given_up(server: EchoProcess, client: Client) -> None:
    other = Client(server.address)
    before = client.waiting()[1]
    call = other.begins("Wait")
    wait_until(lambda: client.waiting() == [1, before])
    call.cancel()
    wait_until(lambda: client.waiting() == [0, before + 1])
    assert client.fails("Wait", timeout=0.05)[0] == "DEADLINE_EXCEEDED"
    wait_until(lambda: client.waiting() == [0, before + 2])
    call = other.begins("Wait")  # kept, or the library gives it up
    wait_until(lambda: client.waiting() == [1, before + 2])
    other.channel.close()
    assert call.code() is grpc.StatusCode.CANCELLED
    wait_until(lambda: client.waiting() == [0, before + 3])


@pytest.mark.parametrize("size", [0, 1, 16379, 65536, LARGEST])
def test_messages_of_all_sizes(client: Client, size: int) -> None:
    message = os.urandom(size)
    assert client.calls("Echo", message) == message


def test_many_of_the_largest_messages_come_at_the_same_time(client: Client) -> None:
    message = os.urandom(LARGEST)
    calls = [client.begins("Echo", message) for _ in range(50)]
    assert all(call.result() == message for call in calls)


def test_answers_may_be_larger_than_any_window(client: Client) -> None:
    assert client.calls("Size", b"20000000") == bytes(20_000_000)


def test_what_is_refused_is_told(client: Client) -> None:
    assert client.fails("Echo", bytes(LARGEST + 1))[0] == "RESOURCE_EXHAUSTED"
    assert client.fails("Refuse", "50 % café".encode()) == ("PERMISSION_DENIED", "50 % café")
    assert client.fails("Nope") == ("UNIMPLEMENTED", "unknown method Nope for service test.Echo")
    status, text = client.fails("Echo", b"x" * 1000, compression=grpc.Compression.Gzip)
    assert (status, "gzip" in text) == ("UNIMPLEMENTED", True)
    assert client.calls("/grpc.health.v1.Health/Check") == b"\x08\x01"


def test_metadata_goes_both_ways(client: Client) -> None:
    call = client.begins("Trailers", metadata=[("want", "7"), ("want-bin", b"\0\xff")])
    assert dict(call.trailing_metadata()) == {"want": "7", "want-bin": b"\0\xff"}


def test_a_drain_tells_who_waits_and_ends_in_time() -> None:
    server = EchoProcess()
    client = Client(server.address)
    call = client.begins("Wait")
    wait_until(lambda: client.waiting() == [1, 0])
    assert server.ends() == ""
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    client.channel.close()


def test_calls_go_through_tls(need: Need, tmp_path: Path) -> None:
    authority = Authority(tmp_path, need("openssl"))
    certificate, key = authority.issue("server")
    server = EchoProcess("--tls", str(certificate), str(key))
    client = Client(server.address, grpc.ssl_channel_credentials(authority.ca.read_bytes()))
    message = os.urandom(LARGEST)
    assert client.calls("Echo", message) == message
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: client.calls("Echo", b"x"), range(100))) == [b"x"] * 100
    client.channel.close()
    assert server.ends() == ""


def test_a_client_that_is_stopped_is_cut_off() -> None:
    """A process that lives, holds its connection, and says nothing more."""
    server = EchoProcess("--keepalive", "1", "1")
    watcher = Client(server.address)
    program = (
        "import grpc, sys, time\n"
        "call = grpc.insecure_channel(sys.argv[1]).unary_unary('/test.Echo/Wait').future(b'')\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, server.address]) as stopped:
        wait_until(lambda: watcher.waiting() == [1, 0])
        stopped.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: watcher.waiting() == [0, 1])
        finally:
            stopped.kill()
    watcher.channel.close()
    server.ends()


def test_the_load_generator_counts_calls_that_were_answered(server: EchoProcess) -> None:
    address = Address("tcp", "127.0.0.1", int(server.address.partition(":")[2]))
    for deadlines in (False, True):
        measured = load.calls(
            address, "/test.Echo/Echo", connections=2, at_once=8, seconds=1.0, deadlines=deadlines
        )
        assert measured.served >= measured.done > 0
    with pytest.raises(load.LoadFailed, match="a call was refused"):
        load.calls(address, "/test.Echo/Nope", connections=1, at_once=1, seconds=0.1)


def test_the_log_says_what_was_refused() -> None:
    server = EchoProcess()
    client = Client(server.address)
    assert client.fails("Echo", bytes(LARGEST + 1))[0] == "RESOURCE_EXHAUSTED"
    seen = threading.Event()
    told: list[str] = []

    def listen() -> None:
        assert server.process.stdout is not None
        told.append(server.process.stdout.readline())
        seen.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert seen.wait(20)
    thread.join()
    client.channel.close()
    server.ends()
    assert "refused" in told[0]
    assert "message" in told[0]
