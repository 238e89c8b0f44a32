"""LDLM's messages (package `ldlm`, proto3), made from a table, so that no generated code is needed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.message import DecodeError, Message

from ..outcome import Failed
from ..values import Json
from .codes import ERROR_CODES

# Fields as `name number type`; `?` marks those whose absence can be seen.
MESSAGES = {
    "Error": "code 1 ErrorCode, message 2 string",
    "LockRequest": "name 1 string, wait_timeout_seconds 3 int32?, size 4 int32?, lock_timeout_seconds 100 int32?",
    "TryLockRequest": "name 1 string, size 4 int32?, lock_timeout_seconds 100 int32?",
    "LockResponse": "locked 1 bool, name 2 string, key 3 string, error 4 Error?",
    "UnlockRequest": "name 1 string, key 2 string",
    "UnlockResponse": "unlocked 1 bool, name 2 string, error 3 Error?",
    "RenewRequest": "name 1 string, key 2 string, lock_timeout_seconds 100 int32",
}
TYPES = {"string": Field.TYPE_STRING, "int32": Field.TYPE_INT32, "bool": Field.TYPE_BOOL}
METHODS = {
    "Lock": ("LockRequest", "LockResponse"),
    "TryLock": ("TryLockRequest", "LockResponse"),
    "Unlock": ("UnlockRequest", "UnlockResponse"),
    "Renew": ("RenewRequest", "LockResponse"),
}
OTHER_METHOD = METHODS["TryLock"]  # what is sent to a method that does not exist


def encode(method: str, step: Mapping[str, Json]) -> bytes:
    """The bytes of a step's request: its `hex`, or the fields of its `request`.

    Raises:
        Failed: the message has no such field, or not of that type.
    """
    if "hex" in step:
        return bytes.fromhex(step["hex"])
    message = _classes()[METHODS.get(method, OTHER_METHOD)[0]]()
    try:
        json_format.ParseDict(step.get("request", {}), message)
    except json_format.ParseError as problem:
        raise Failed(f"request: {problem}") from None
    return message.SerializeToString()


def decode(method: str, data: bytes) -> dict[str, Json]:
    """The fields of a response; those whose absence can be seen only if they are there, error codes by name.

    Raises:
        Failed: the bytes are no such message.
    """
    message = _classes()[METHODS.get(method, OTHER_METHOD)[1]]()
    try:
        message.ParseFromString(data)
    except DecodeError as problem:
        raise Failed(f"response is no message: {problem}") from None
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


@cache
def _classes() -> Mapping[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(name="ldlm.proto", package="ldlm", syntax="proto3")
    codes = file.enum_type.add(name="ErrorCode")
    for number, code in enumerate(ERROR_CODES):
        codes.value.add(name=code, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in fields.split(", "):
            _add_field(message, *line.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ldlm.{name}")) for name in MESSAGES
    }


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: str, kind: str) -> None:
    field = message.field.add(name=name, number=int(number), label=Field.LABEL_OPTIONAL)
    bare = kind.rstrip("?")
    if bare in TYPES:
        field.type = TYPES[bare]
    else:
        field.type = Field.TYPE_ENUM if bare == "ErrorCode" else Field.TYPE_MESSAGE
        field.type_name = f".ldlm.{bare}"
    if kind.endswith("?"):
        # descriptor.proto: an optional field of proto3 is alone in a `oneof` of its own.
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")
