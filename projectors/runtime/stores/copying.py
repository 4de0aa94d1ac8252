"""Columns of Python values as the cells of PostgreSQL's binary COPY, made column by column for thousands of rows.

The format is that of COPY ... (FORMAT BINARY): a header, then for each row the number of its cells and each cell behind
its length, -1 for null, then a trailer (PostgreSQL, "COPY", File Formats).
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any
from uuid import UUID

import orjson

from shared.ids import micros_of

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
_SIXTEEN = b"\x00\x00\x00\x10"
_INT4 = struct.Struct(">ii")
_INT8 = struct.Struct(">iq")
_BOOLEANS = {True: b"\x00\x00\x00\x01\x01", False: b"\x00\x00\x00\x01\x00", None: NULL}
# PostgreSQL counts microseconds from 2000-01-01.
_POSTGRES_EPOCH = micros_of(datetime(2000, 1, 1, tzinfo=UTC))

Cells = list[bytes]


def uuid_cells(values: Sequence[Any]) -> Cells:
    """Of UUIDs, their 16 bytes, or None."""
    try:
        return [_SIXTEEN + value for value in values]
    except TypeError:
        return [
            NULL if value is None else _SIXTEEN + (value.bytes if isinstance(value, UUID) else value)
            for value in values
        ]


def text_cells(values: Sequence[str | None]) -> Cells:
    """Texts that repeat, such as names of reactions, are encoded once."""
    made: dict[str | None, bytes] = {None: NULL}
    return [made.get(value) or made.setdefault(value, _text(value)) for value in values]


def _text(value: str | None) -> bytes:
    # PostgreSQL's text has no NUL character, and the live worker leaves it out likewise.
    encoded = (value or "").replace("\x00", "").encode()
    return len(encoded).to_bytes(4, "big") + encoded


def boolean_cells(values: Sequence[bool | None]) -> Cells:
    return [_BOOLEANS[value] for value in values]


def integer_cells(values: Sequence[int | None]) -> Cells:
    made: dict[int | None, bytes] = {None: NULL}
    return [made.get(value) or made.setdefault(value, _INT4.pack(4, value)) for value in values]


def bigint_cells(values: Sequence[int | None]) -> Cells:
    return [NULL if value is None else _INT8.pack(8, value) for value in values]


def timestamptz_cells(values: Sequence[datetime | int | None]) -> Cells:
    """Of aware datetimes or of whole microseconds since 1970."""
    return [
        NULL
        if value is None
        else _INT8.pack(8, (value if isinstance(value, int) else micros_of(value)) - _POSTGRES_EPOCH)
        for value in values
    ]


def json_cells(values: Sequence[Any]) -> Cells:
    """Each value as JSON text; a str is JSON already."""
    return text_cells(
        [value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values]
    )


def nested_cells(values: Sequence[Sequence[Any] | None]) -> Cells:
    """Each value, itself a sequence of ids or texts, as PostgreSQL's text form of an array."""
    return text_cells([None if value is None else "{" + ",".join(map(_element, value)) + "}" for value in values])


def _element(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID):
        return str(value)
    return '"' + str(value).replace("\x00", "").replace("\\", "\\\\").replace('"', '\\"') + '"'


_KINDS: dict[str, Callable[[Sequence[Any]], Cells]] = {
    "uuid": uuid_cells,
    "text": text_cells,
    "bool": boolean_cells,
    "boolean": boolean_cells,
    "int": integer_cells,
    "integer": integer_cells,
    "bigint": bigint_cells,
    "timestamptz": timestamptz_cells,
    "jsonb": json_cells,
    "uuid[]": nested_cells,
    "text[]": nested_cells,
}


def cells(sql_type: str, values: Sequence[Any]) -> Cells:
    """The cells of one column, in the types that stores/arrays.py sends too (`wire_type`)."""
    return _KINDS[sql_type.strip().lower()](values)


def copied(columns: Sequence[Iterable[bytes]]) -> bytes:
    """The whole of a binary COPY of these columns, all of one length."""
    head = len(columns).to_bytes(2, "big")
    return b"".join((HEADER, *chain.from_iterable(zip(repeat(head), *columns, strict=False)), TRAILER))
