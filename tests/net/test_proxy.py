"""Headers of the PROXY protocol, taken apart."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glockd.net.addresses import Source
from glockd.net.proxy import HEADER_MOST, Header, ProxyError, begins, read

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack(">HH", 5555, 9999)
SIX = bytes.fromhex("20010db8" + 23 * "0" + "1" + "20010db8" + 23 * "0" + "2") + struct.pack(
    ">HH", 5555, 9999
)
MAPPED = bytes.fromhex(20 * "0" + "ffff" + "cb007109") * 2 + struct.pack(">HH", 1, 2)
CERTIFICATE = b"\x20\x03\x00" + bytes(768)  # a TLV of type PP2_TYPE_SSL


def version_2(command: int, family: int, told: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(told)) + told


RIGHT = [
    (b"PROXY TCP4 203.0.113.9 10.0.0.1 5555 9999\r\n", Source("203.0.113.9", 5555)),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Source("255.255.255.255", 65535)),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 0 9999\r\n", Source("2001:db8::1", 0)),
    (b"PROXY TCP6 2001:DB8:0::1 ::1 1 2\r\n", Source("2001:db8::1", 1)),
    (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n", Source("203.0.113.9", 1)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None),  # 107 bytes, the most
    (version_2(0x21, 0x11, FOUR), Source("203.0.113.9", 5555)),
    (version_2(0x21, 0x11, FOUR + CERTIFICATE), Source("203.0.113.9", 5555)),
    (version_2(0x21, 0x21, SIX), Source("2001:db8::1", 5555)),
    (version_2(0x21, 0x21, MAPPED), Source("203.0.113.9", 1)),
    (version_2(0x21, 0x31, bytes(216)), None),
    (version_2(0x21, 0x00), None),
    (version_2(0x20, 0x00), None),
    (version_2(0x20, 0x11, FOUR), None),
    (version_2(0x20, 0x99, b"whatever"), None),
    (version_2(0x21, 0x11, FOUR + bytes(HEADER_MOST - 16 - 12)), Source("203.0.113.9", 5555)),
]


@pytest.mark.parametrize(("header", "source"), RIGHT, ids=[str(header[:50]) for header, _ in RIGHT])
def test_a_header_is_read_when_it_is_whole(header: bytes, source: Source | None) -> None:
    assert [size for size in range(len(header)) if read(header[:size]) is not None] == []
    assert read(header) == read(header + b"g job\n") == read(header * 2) == Header(source, len(header))
    assert begins(header)


WRONG = [
    *(
        b"g job\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"\0",
        b"proxy TCP4 ",
        b"PROXY\r\n",
        b"PROXYTCP4 ",
        b"\r\n\r\ng",
    ),
    b"PROXY \r\n",
    b"PROXY TCP5 203.0.113.9 10.0.0.1 5555 9999\r\n",
    b"PROXY UDP4 203.0.113.9 10.0.0.1 5555 9999\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 5555\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 5555 9999 1\r\n",
    b"PROXY TCP4  203.0.113.9 10.0.0.1 5555 9999\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 5555 99999\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 -1 9999\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 +1 9999\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 05555 9999\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 5555 \r\n",
    b"PROXY TCP4 203.0.113.09 10.0.0.1 5555 9999\r\n",
    b"PROXY TCP4 203.0.113 10.0.0.1 5555 9999\r\n",
    b"PROXY TCP4 203.0.113.9 example.org 5555 9999\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 5555 9999\r\n",
    b"PROXY TCP6 203.0.113.9 10.0.0.1 5555 9999\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 5555 9999\r\n",
    "PROXY TCP4 203.0.113.\u0669 10.0.0.1 5555 9999\r\n".encode(),
    b"PROXY TCP4 203.0.113.9\xff 10.0.0.1 5555 9999\r\n",
    b"PROXY TCP4 203.0.113.9 10.0.0.1 5555 9999\n" + bytes(107),
    b"PROXY " + b"x" * 101,
    version_2(0x22, 0x11, FOUR),
    version_2(0x11, 0x11, FOUR),
    version_2(0x21, 0x12, FOUR),
    version_2(0x21, 0x41, FOUR),
    version_2(0x21, 0x11, FOUR[:-1]),
    version_2(0x21, 0x21, FOUR),
    version_2(0x21, 0x11),
    version_2(0x21, 0x11, bytes(HEADER_MOST - 15))[:16],  # not even waited for
]


@pytest.mark.parametrize("junk", WRONG, ids=[str(junk[:50]) for junk in WRONG])
def test_what_is_no_header_is_told_from_one_that_is_not_whole(junk: bytes) -> None:
    with pytest.raises(ProxyError):
        read(junk)


@given(
    data=st.binary(max_size=40),
    begin=st.sampled_from([b"", SIGNATURE, b"PROXY ", b"PROXY TCP4 ", SIGNATURE + b"\x21"]),
)
def test_nothing_else_comes_of_junk(data: bytes, begin: bytes) -> None:
    try:
        header = read(begin + data)
    except ProxyError:
        return
    assert header is None or 0 < header.size <= len(begin + data)
