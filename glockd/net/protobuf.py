"""Protocol Buffers, version 3, from small tables of fields: what the wire needs of them, and no more.

A decoded message is a dict by field name. Fields without presence are always in it, with their zero value if they have
not come; fields with presence, and messages in messages, are None then; repeated ones are lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

# The key under which a message that keeps unknown fields has their bytes.
UNKNOWN = ""

Scalar: TypeAlias = Literal["bool", "int32", "int64", "uint32", "uint64", "string", "bytes"]

VARINT, FIXED64, LENGTH, START, STOP, FIXED32 = range(6)  # wire types
LARGEST_KEY = (1 << 32) - 1  # the largest field number has 29 bits


class Field(NamedTuple):
    """One field of a message."""

    name: str
    number: int
    kind: Scalar | Message  # enumerations are int32, a map is repeated messages of `key` 1 and `value` 2
    presence: bool = False  # written, and told from absence, when it is zero too; `optional` in a .proto file
    repeated: bool = False


class Message:
    """A kind of message.

    Args:
        fields: its fields, in the order in which they are written.
        keeps_unknown: whether fields that are not in the table are kept as bytes under `UNKNOWN`, and written again.
    """

    def __init__(self, *fields: Field, keeps_unknown: bool = False) -> None:
        self._keeps_unknown = keeps_unknown
        self._zero: dict[str, Any] = {one.name: _zero(one) for one in fields}
        self._lists = [one.name for one in fields if one.repeated]
        # By the whole key, wire type included: a known number of another wire type is an unknown field.
        self._readers: dict[int, tuple[Field, Callable[[Any], Any] | None]] = {}
        self._writers: list[tuple[Field, bytes, Callable[[Any], bytes]]] = []
        for one in fields:
            length = not isinstance(one.kind, str) or one.kind in ("string", "bytes")
            key = one.number << 3 | (LENGTH if length else VARINT)
            read = READ[one.kind] if isinstance(one.kind, str) else None
            write = WRITE[one.kind] if isinstance(one.kind, str) else one.kind._written
            self._readers[key] = one, read
            if one.repeated and not length:
                self._readers[one.number << 3 | LENGTH] = one, _packed(READ[one.kind])  # type: ignore[index]
            self._writers.append((one, varint(key), write))

    def decode(self, data: bytes) -> dict[str, Any]:
        """The fields of a message.

        Of a field that comes twice the last counts; messages in messages are merged. Integers keep their lower bits.

        Raises:
            ValueError: `data` is no such message, or a string in it is not UTF-8.
        """
        values = self._zero.copy()
        for name in self._lists:
            values[name] = []
        if self._keeps_unknown:
            values[UNKNOWN] = b""
        try:
            self._merge(data, values)
        except IndexError:
            raise ValueError("a field is cut off") from None
        return values

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """A message of these fields; those that are missing, None, or zero without presence are left out.

        Raises:
            ValueError: an integer has more than 64 bits, or a text cannot be UTF-8.
        """
        pieces: list[bytes] = []
        for field, key, write in self._writers:
            value = values.get(field.name)
            if field.repeated:
                for item in value or ():
                    pieces += (key, write(item))
            elif value is not None and (value or field.presence or write not in SCALAR_WRITERS):
                pieces += (key, write(value))
        if self._keeps_unknown:
            pieces.append(values.get(UNKNOWN, b""))
        return b"".join(pieces)

    def _merge(self, data: bytes, values: dict[str, Any]) -> None:
        at, end, readers = 0, len(data), self._readers
        while at < end:
            start = at
            key = data[at]
            at += 1
            if key > 127:
                key, at = read_varint(data, start)
            wire = key & 7
            raw: Any
            if wire == LENGTH:
                size = data[at]
                at += 1
                if size > 127:
                    size, at = read_varint(data, at - 1)
                raw = data[at : at + size]
                at += size
            elif wire == VARINT:
                raw = data[at]
                at += 1
                if raw > 127:
                    raw, at = read_varint(data, at - 1)
            else:
                raw, at = None, _past(data, at, key)
            if at > end:
                raise IndexError
            found = readers.get(key)
            if found is not None:
                _take(values, found[0], found[1], raw)
            elif not 7 < key <= LARGEST_KEY:
                raise ValueError("a field has no such number")
            elif self._keeps_unknown:
                values[UNKNOWN] += data[start:at]

    def _written(self, values: Mapping[str, Any]) -> bytes:
        return _with_length(self.encode(values))


def _take(values: dict[str, Any], field: Field, read: Callable[[Any], Any] | None, raw: Any) -> None:
    """Note what has come of a field."""
    if read is not None:
        value = read(raw)
        if not field.repeated:
            values[field.name] = value
        elif type(value) is list:
            values[field.name] += value
        else:
            values[field.name].append(value)
        return
    assert isinstance(field.kind, Message)
    if field.repeated:
        values[field.name].append(field.kind.decode(raw))
    elif values[field.name] is None:
        values[field.name] = field.kind.decode(raw)
    else:
        field.kind._merge(raw, values[field.name])


def varint(value: int) -> bytes:
    """An integer of up to 64 bits, the negative ones as two's complement.

    Raises:
        ValueError: it has more bits.
    """
    if 0 <= value < 128:
        return SMALL[value]
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError("an integer has more than 64 bits")
    value &= (1 << 64) - 1
    octets = bytearray()
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The integer that begins at `at`, its lower 64 bits, and where it ends.

    Raises:
        IndexError: it is cut off.
        ValueError: it has more than ten bytes.
    """
    value = 0
    for shift in range(0, 70, 7):
        octet = data[at]
        at += 1
        value |= (octet & 127) << shift
        if octet < 128:
            return value & (1 << 64) - 1, at
    raise ValueError("an integer has more than ten bytes")


def _past(data: bytes, at: int, key: int) -> int:
    """Where a field ends that no table has; groups, which proto3 has no more, may lie in one another."""
    groups: list[int] = []
    while True:
        wire = key & 7
        if wire == VARINT:
            _, at = read_varint(data, at)
        elif wire == FIXED64:
            at += 8
        elif wire == LENGTH:
            size, at = read_varint(data, at)
            at += size
        elif wire == START:
            groups.append(key >> 3)
        elif wire == FIXED32:
            at += 4
        elif wire != STOP or not groups or groups.pop() != key >> 3:
            raise ValueError("there is no such wire type here")
        if not groups:
            return at
        key, at = read_varint(data, at)


def _zero(field: Field) -> Any:
    if field.presence or not isinstance(field.kind, str):
        return None
    return READ[field.kind](b"" if field.kind in ("string", "bytes") else 0)


def _packed(read: Callable[[int], Any]) -> Callable[[bytes], list[Any]]:
    def read_all(raw: bytes) -> list[Any]:
        values, at = [], 0
        while at < len(raw):
            value, at = read_varint(raw, at)
            values.append(read(value))
        return values

    return read_all


def _with_length(data: bytes) -> bytes:
    return varint(len(data)) + data


def _text(raw: bytes) -> str:
    return str(raw, "utf-8")


def _text_written(value: str) -> bytes:
    return _with_length(value.encode())


SMALL = [bytes([value]) for value in range(128)]
READ: dict[Scalar, Callable[[Any], Any]] = {
    "bool": bool,
    "int32": lambda raw: (raw & 0xFFFFFFFF ^ 0x80000000) - 0x80000000,
    "int64": lambda raw: (raw ^ 1 << 63) - (1 << 63),
    "uint32": lambda raw: raw & 0xFFFFFFFF,
    "uint64": int,
    "string": _text,
    "bytes": bytes,
}
WRITE: dict[Scalar, Callable[[Any], bytes]] = {
    "bool": varint,
    "int32": varint,
    "int64": varint,
    "uint32": varint,
    "uint64": varint,
    "string": _text_written,
    "bytes": _with_length,
}
SCALAR_WRITERS = frozenset(WRITE.values())
