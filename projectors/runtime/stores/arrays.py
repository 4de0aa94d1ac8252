"""Columns of Python values as PostgreSQL binary arrays, each packed in one go; made for batches of thousands of rows.

The format is array_recv's: dimensions, a null flag, the element's type, length and lower bound, then each element
behind its length (PostgreSQL, src/backend/utils/adt/arrayfuncs.c). psycopg's own list dumper asks an adapter per
element and takes several times as long.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg.adapt import Dumper
from psycopg.pq import Format

from shared.ids import micros_of

_HEADER = struct.Struct(">iiIii")
_NULL = b"\xff\xff\xff\xff"
_INT4 = struct.Struct(">ii")
_INT8 = struct.Struct(">iq")
_SIXTEEN = b"\x00\x00\x00\x10"
_FALSE, _TRUE = b"\x00\x00\x00\x01\x00", b"\x00\x00\x00\x01\x01"
# PostgreSQL counts microseconds from 2000-01-01.
_POSTGRES_EPOCH = micros_of(datetime(2000, 1, 1, tzinfo=UTC))


class Packed(bytes):
    """The bytes of a binary array; each subclass is of one array type."""


class UuidArray(Packed):
    pass


class TextArray(Packed):
    pass


class BooleanArray(Packed):
    pass


class IntegerArray(Packed):
    pass


class BigintArray(Packed):
    pass


class TimestamptzArray(Packed):
    pass


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return bytes(obj)


def register(adapters: Any) -> None:
    """Teaches a connection's adapters to send packed arrays as they are."""
    for packed, oid in (
        (UuidArray, 2951),
        (TextArray, 1009),
        (BooleanArray, 1000),
        (IntegerArray, 1007),
        (BigintArray, 1016),
        (TimestamptzArray, 1185),
    ):
        adapters.register_dumper(packed, type(f"{packed.__name__}Dumper", (_PackedDumper,), {"oid": oid}))


def uuid_array(values: Sequence[UUID | None]) -> UuidArray:
    elements = [_NULL if value is None else _SIXTEEN + value.bytes for value in values]
    return UuidArray(_array(2950, elements))


def text_array(values: Sequence[str | None]) -> TextArray:
    elements = []
    for value in values:
        if value is None:
            elements.append(_NULL)
        else:
            # PostgreSQL's text has no NUL character; a text with one could never be applied and would halt its
            # partition.
            encoded = value.replace("\x00", "").encode()
            elements.append(len(encoded).to_bytes(4, "big") + encoded)
    return TextArray(_array(25, elements))


def boolean_array(values: Sequence[bool | None]) -> BooleanArray:
    return BooleanArray(_array(16, [_NULL if value is None else _TRUE if value else _FALSE for value in values]))


def integer_array(values: Sequence[int | None]) -> IntegerArray:
    return IntegerArray(_array(23, [_NULL if value is None else _INT4.pack(4, value) for value in values]))


def bigint_array(values: Sequence[int | None]) -> BigintArray:
    return BigintArray(_array(20, [_NULL if value is None else _INT8.pack(8, value) for value in values]))


def timestamptz_array(values: Sequence[datetime | int | None]) -> TimestamptzArray:
    """Of aware datetimes or of whole microseconds since 1970."""
    elements = []
    for value in values:
        if value is None:
            elements.append(_NULL)
        else:
            micros = value if isinstance(value, int) else micros_of(value)
            elements.append(_INT8.pack(8, micros - _POSTGRES_EPOCH))
    return TimestamptzArray(_array(1184, elements))


def json_array(values: Sequence[Any]) -> TextArray:
    """Each value as JSON text; a str is JSON already."""
    return text_array(
        [value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values]
    )


def nested_array(values: Sequence[Sequence[Any] | None]) -> TextArray:
    """Each value, itself a sequence of UUIDs or texts, as PostgreSQL's text form of an array: unnest would flatten
    arrays."""
    return text_array([None if value is None else "{" + ",".join(map(_quoted, value)) + "}" for value in values])


_KINDS: dict[str, tuple[str, Callable[[Sequence[Any]], Packed]]] = {
    "uuid": ("uuid", uuid_array),
    "text": ("text", text_array),
    "bool": ("boolean", boolean_array),
    "boolean": ("boolean", boolean_array),
    "int": ("integer", integer_array),
    "integer": ("integer", integer_array),
    "bigint": ("bigint", bigint_array),
    "timestamptz": ("timestamptz", timestamptz_array),
    "jsonb": ("text", json_array),
    "uuid[]": ("text", nested_array),
    "text[]": ("text", nested_array),
}


def wire_type(sql_type: str) -> str:
    """The element type in which a column of this SQL type is sent; where it differs the statement casts.

    Raises ValueError for a type that cannot be sent.
    """
    return _kind(sql_type)[0]


def packer(sql_type: str) -> Callable[[Sequence[Any]], Packed]:
    """The function that packs a column of this SQL type."""
    return _kind(sql_type)[1]


def _kind(sql_type: str) -> tuple[str, Callable[[Sequence[Any]], Packed]]:
    try:
        return _KINDS[sql_type.strip().lower()]
    except KeyError:
        raise ValueError(f"no array of {sql_type}: add it to projectors/runtime/stores/arrays.py") from None


def _array(element_oid: int, elements: list[bytes]) -> bytes:
    return _HEADER.pack(1 if elements else 0, 1, element_oid, len(elements), 1)[: 20 if elements else 12] + b"".join(
        elements
    )


def _quoted(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    return '"' + str(value).replace("\x00", "").replace("\\", "\\\\").replace('"', '\\"') + '"'
