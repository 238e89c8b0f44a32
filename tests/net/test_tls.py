"""TLS on the TCP and websocket ports, with and without certificates of the clients."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from signal import SIGHUP

import pytest

from glockd.net.certificates import Certificate
from tests.support.certificates import Authority
from tests.support.clients import PATIENCE, SocketClient, StreamClient, WebSocketClient, wait_until
from tests.support.http import ask, samples
from tests.support.process import Glockd, Spawner, run_glockd


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str, str | None], str]) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), need("openssl", None))


@pytest.fixture(scope="module")
def files(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server")


@pytest.fixture(scope="module")
def trust(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca))


def secure(daemon: Glockd, transport: str, context: ssl.SSLContext) -> SocketClient:
    plain = daemon.connect(transport)
    sock = context.wrap_socket(plain.sock, server_hostname="localhost")
    daemon.sockets.append(sock)
    if isinstance(plain, WebSocketClient):
        return WebSocketClient(sock, plain.address).opens()
    return StreamClient(sock, plain.address, transport)


def subject(client: SocketClient) -> str:
    assert isinstance(client.sock, ssl.SSLSocket)
    certificate = client.sock.getpeercert()
    assert certificate
    return str(certificate["subject"])


@pytest.mark.transports("tcp", "websocket")
def test_a_conversation_over_tls(
    glockd: Spawner, transport: str, files: tuple[Path, Path], trust: ssl.SSLContext
) -> None:
    daemon = glockd("-tls-cert", str(files[0]), "-tls-key", str(files[1]))
    alice, bob = secure(daemon, transport, trust), daemon.client("unix")
    alice.says("g job", "me").hears("1 Lock Get Success: job")
    alice.hears(f"1 {alice.address} {alice.address}")
    bob.says("wait 60 job")
    # A long reply, and many commands in one record.
    alice.says(*(f"g {number}" for number in range(3000)))
    for number in range(3000):
        alice.hears(f"1 Lock Get Success: {number}")
    alice.says("d").hears_in_any_order(*(f"{name}: {alice.address}" for name in ("job", *range(3000))))
    alice.sock.close()
    bob.hears_bytes("1 Lock Get Success: job\n")
    bob.hangs_up()


def test_commands_may_come_right_behind_the_handshake(
    glockd: Spawner, files: tuple[Path, Path], trust: ssl.SSLContext
) -> None:
    daemon = glockd("-tls-cert", str(files[0]), "-tls-key", str(files[1]))
    for _ in range(20):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
        client = daemon.stream()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sends(outgoing.read())
                client.read_more()
                incoming.write(client.take(len(client.buffer)))
        # The end of the handshake, the command and the end of the connection in one packet.
        tls.write(b"g job\n")
        client.sends(outgoing.read())
        heard = b""
        while heard != b"1 Lock Get Success: job\r\n":
            try:
                heard += tls.read(1000)
            except ssl.SSLWantReadError:
                assert client.read_more(), heard
                incoming.write(client.take(len(client.buffer)))
        client.vanishes()
        watcher = daemon.client("unix")
        wait_until(lambda w=watcher: w.says("i job").hears_a_line().startswith(b"0"))
        watcher.hangs_up()


def test_nothing_below_tls_1_2_is_spoken(
    glockd: Spawner, files: tuple[Path, Path], need: Callable[[str, str | None], str]
) -> None:
    daemon = glockd("-tls-cert", str(files[0]), "-tls-key", str(files[1]))
    where = f"{daemon.tcp[0]}:{daemon.tcp[1]}"
    for version, spoken in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        words = [need("openssl", None), "s_client", "-connect", where, version, "-cipher", "ALL:@SECLEVEL=0"]
        result = subprocess.run(words, input=b"", capture_output=True, timeout=PATIENCE, check=False)
        assert (b"BEGIN CERTIFICATE" in result.stdout) is spoken, (version, result.stdout)


@pytest.mark.transports("tcp", "websocket")
def test_clients_may_need_a_certificate(glockd: Spawner, transport: str, authority: Authority) -> None:
    server, client = authority.issue("server-2"), authority.issue("client")
    folder = authority.folder / f"other-{transport}"
    folder.mkdir()
    stranger = Authority(folder, authority.openssl).issue("stranger")
    ca = str(authority.ca)
    daemon = glockd("-tls-cert", str(server[0]), "-tls-key", str(server[1]), "-tls-client-ca", ca)
    known = ssl.create_default_context(cafile=ca)
    known.load_cert_chain(*client)
    alice = secure(daemon, transport, known)
    alice.says("g job").hears("1 Lock Get Success: job")
    for files in (None, stranger):
        unknown = ssl.create_default_context(cafile=ca)
        if files:
            unknown.load_cert_chain(*files)
        # TLS 1.3 tells the client after its own side of the handshake is done: at the first read.
        with pytest.raises((ssl.SSLError, ConnectionResetError, AssertionError, IndexError)):
            secure(daemon, transport, unknown).says("g other").hears("1 Lock Get Success: other")
    daemon.logs("refused", "tls")
    alice.says("i other").hears("0 Lock Not Locked: other")


def catches(daemon: Glockd, number: int) -> bool:
    """Whether the process has a handler for a signal (proc(5), SigCgt)."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    found = re.search(r"^SigCgt:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> (number - 1) & 1)


def test_certificates_are_read_again_on_sighup(
    glockd: Spawner, authority: Authority, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    first, second = authority.issue("first"), authority.issue("second")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(files: tuple[Path, Path]) -> None:
        for source, target in zip(files, (certificate, key), strict=True):
            shutil.copy(source, target)

    install(first)
    daemon = glockd("-tls-cert", str(certificate), "-tls-key", str(key))
    alice = secure(daemon, "tcp", trust)
    assert "first" in subject(alice)
    alice.says("g job").hears("1 Lock Get Success: job")
    if not catches(daemon, SIGHUP):
        pytest.skip("this daemon does not reload on SIGHUP yet")
    install(second)
    daemon.gets(SIGHUP)
    wait_until(lambda: "second" in subject(secure(daemon, "tcp", trust)))
    # What cannot be used changes nothing.
    certificate.write_text("junk")
    daemon.gets(SIGHUP)
    daemon.logs("error", "-tls-cert")
    assert "second" in subject(secure(daemon, "tcp", trust))
    alice.says("i job").hears("1 Lock Is Locked: job")


def test_plain_text_on_a_tls_port_comes_to_an_end(
    glockd: Spawner, files: tuple[Path, Path], trust: ssl.SSLContext
) -> None:
    daemon = glockd("-tls-cert", str(files[0]), "-tls-key", str(files[1]), "-handshake-seconds", "1")
    alice = secure(daemon, "tcp", trust)
    alice.says("g job").hears("1 Lock Get Success: job")
    for transport in ("tcp", "websocket"):
        for text in ("g job\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "q\n", ""):
            client = daemon.connect(transport).sends(text)
            while client.read_more():
                pass
            assert bytes(client.buffer) == (b"0 Only TLS Here\n" if text else b"")
            client.sock.close()
    daemon.logs("refused", "tls=")
    alice.says("q").hears_a_line()


def test_half_a_tls_handshake_counts_and_ends(
    glockd: Spawner, files: tuple[Path, Path], trust: ssl.SSLContext
) -> None:
    flags = "-tls-cert", str(files[0]), "-tls-key", str(files[1])
    daemon = glockd(*flags, "-handshake-seconds", "2", "-max-connections", "3")
    halves = [daemon.stream().sends(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") for _ in range(3)]
    daemon.stream().is_hung_up_on()
    for half in halves:
        half.is_hung_up_on()
    wait_until(lambda: re.search(r"tls=3", daemon.stderr))
    secure(daemon, "tcp", trust).says("ping").hears("1 pong")


@pytest.mark.transports("tcp", "unix")
def test_tls_on_a_plain_port_comes_to_an_end(glockd: Spawner, transport: str, trust: ssl.SSLContext) -> None:
    daemon = glockd()
    alice = daemon.client(transport)
    alice.says("g job").hears("1 Lock Get Success: job")
    for _ in range(10):  # a hello is random: some have a line end in them, some have none
        with pytest.raises(ssl.SSLError, match=r"WRONG_VERSION_NUMBER|wrong version number"):
            trust.wrap_socket(daemon.connect(transport).sock, server_hostname="localhost")
    daemon.logs("refused", "tls=")
    alice.says("i job").hears("1 Lock Is Locked: job")


@pytest.mark.parametrize("wrong", ["none", "junk", "key none", "key junk", "other key", "encrypted", "ca"])
def test_files_that_cannot_be_used_are_refused_at_the_start(
    authority: Authority, files: tuple[Path, Path], tmp_path: Path, wrong: str
) -> None:
    certificate, key, ca = map(str, (*files, authority.ca))
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    match wrong:
        case "none":
            certificate = str(tmp_path / "none.pem")
        case "junk":
            certificate = str(junk)
        case "key none":
            key = str(tmp_path / "none.key")
        case "key junk":
            key = str(junk)
        case "other key":
            key = str(authority.issue("other")[1])
        case "encrypted":
            words = ["ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", str(tmp_path / "secret.key")]
            subprocess.run([authority.openssl, *words], check=True, capture_output=True)
            key = str(tmp_path / "secret.key")
        case "ca":
            ca = str(junk)
    flags = "-tls-cert", certificate, "-tls-key", key, "-tls-client-ca", ca
    result = run_glockd("-port", "0", "-ws", "0", *flags)
    assert result.returncode == 1
    guilty = {"other key": key, "encrypted": key, "ca": ca, "key none": key, "key junk": key}.get(
        wrong, certificate
    )
    option = {certificate: "cert", key: "key", ca: "client-ca"}[guilty]
    assert re.fullmatch(rf"glockd: -tls-{option}: {re.escape(guilty)}: .+\n", result.stderr), result.stderr


# What is told before it is too late


def reported(daemon: Glockd) -> dict[str, float]:
    """When certificates end, by the option that names them; as `/metrics` has it on a port without TLS."""
    found = samples(ask(daemon.ws, "/metrics").text)
    name = 'glockd_certificate_end_timestamp_seconds{option="'
    return {key.removeprefix(name)[:-2]: value for key, value in found.items() if key.startswith(name)}


def end(authority: Authority, path: Path) -> float:
    words = [authority.openssl, "x509", "-noout", "-enddate", "-in", str(path)]
    line = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return float(ssl.cert_time_to_seconds(line.strip().removeprefix("notAfter=")))


@pytest.mark.parametrize(
    ("days", "event"),
    [(-1, "a certificate has expired"), (90, "certificate")],
)
def test_a_certificate_s_end_is_told(
    glockd: Spawner, authority: Authority, tmp_path: Path, days: int, event: str
) -> None:
    good, other = authority.issue("good"), authority.lasting("other", days)
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    for source, target in zip(good, pair, strict=True):
        shutil.copy(source, target)
    flags = "-tls-cert", str(pair[0]), "-tls-key", str(pair[1]), "-tls-client-ca", str(authority.ca)
    daemon = glockd(*flags, "-tls-for", "tcp", "-log-format", "json")
    daemon.logs('"certificate"', "commonName=good", "info")
    for source, target in zip(other, pair, strict=True):
        shutil.copy(source, target)
    daemon.gets(SIGHUP)
    line = json.loads(daemon.logs(f'"{event}"', "commonName=other"))
    words = [authority.openssl, "x509", "-noout", "-serial", "-in", str(pair[0])]
    serial = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    assert line["level"] == ("info" if days > 14 else "warning")
    assert f"serial={line['serial']}" == serial
    assert datetime.fromisoformat(line["ends"]).timestamp() == end(authority, pair[0])
    wait_until(
        lambda: reported(daemon)["tls-cert"] == end(authority, pair[0]), about=lambda: reported(daemon)
    )
    assert reported(daemon)["tls-client-ca"] == end(authority, authority.ca)


def test_a_certificate_that_is_not_for_servers_is_told(glockd: Spawner, authority: Authority) -> None:
    pair = authority.lasting("not a server", 90, "extendedKeyUsage=clientAuth")
    daemon = glockd("-tls-cert", str(pair[0]), "-tls-key", str(pair[1]), "-tls-for", "tcp")
    daemon.logs("warning", "clients do not accept the certificate", "purpose")
    assert reported(daemon) == {}


DAY = 86400.0


@pytest.mark.parametrize(
    ("life", "left", "trouble"),
    [
        (365, 15, ""),
        (365, 13, "ends soon"),
        (6, 3, ""),  # short-lived ones are not always about to end
        (6, 1, "ends soon"),
        (365, 0, "has expired"),
        (365, -3, "has expired"),
        (365, 366, "is not valid yet"),
    ],
)
def test_when_a_certificate_is_told_about(life: int, left: int, trouble: str) -> None:
    one = Certificate("-tls-cert", "cert.pem", "commonName=x", "01", 0.0, life * DAY)
    assert one.trouble((life - left) * DAY) == trouble


def test_the_unix_socket_stays_plain(glockd: Spawner, files: tuple[Path, Path]) -> None:
    daemon = glockd("-tls-cert", str(files[0]), "-tls-key", str(files[1]))
    assert daemon.connect("unix").sock.family == socket.AF_UNIX
    daemon.client("unix").says("g job").hears("1 Lock Get Success: job")
