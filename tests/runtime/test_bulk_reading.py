"""Claim: what the bulk reader makes of a record is what the general codec makes of it, with ids as UUIDs or as bytes,
and the folds that are given bytes change the same; cells of a COPY hold what the arrays of an apply hold.

Oracle: schemas/codec.py on the same bytes; the folds on UUIDs. Real Kafka where what a reader waits for does not come.
Cannot catch: an event type of which no history has an example.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projectors.runtime.bulk_reading import SILENCE_SECONDS, BulkCodec, BulkReader, micros_of_eight
from projectors.runtime.changes import Changes
from projectors.runtime.stores.copying import cells, copied
from projectors.runtime.stores.port import Partition
from schemas.catalogue import event_schemas
from schemas.codec import Codec, MalformedRecord, UnknownEventType
from schemas.types import Event, PostLiked
from shared.environment import Environment
from tests.properties.histories import histories
from tests.properties.projections import POSTGRES_PROJECTIONS
from tests.runtime.engine import NOON, Ids, own_topics

IDS = {name: number for number, name in enumerate(event_schemas(), start=1)}
CODEC = Codec(IDS)


def encoded(events: list[Event]) -> list[bytes]:
    return [CODEC.encode(event, lambda *_: b"sealed") for event in events]


def with_uuids(value: Any) -> Any:
    """The same with UUIDs for ids of 16 bytes, however deep."""
    if isinstance(value, bytes):
        return UUID(bytes=value)
    if isinstance(value, dict):
        return {with_uuids(key): with_uuids(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(with_uuids(each) for each in value)
    if isinstance(value, msgspec.Struct):
        return {name: with_uuids(getattr(value, name)) for name in value.__struct_fields__}
    return value


@given(events=histories)
@settings(max_examples=30)
def test_the_same_events_as_the_general_codec(events: list[Event]) -> None:
    values = encoded(events)
    general = [CODEC.decode(value) for value in values]
    assert BulkCodec(CODEC, IDS, None, opaque_ids=False).read(values) == general
    opaque = BulkCodec(CODEC, IDS, None, opaque_ids=True).read(values)
    assert [type(event) for event in opaque] == [type(event) for event in general]
    assert [with_uuids(event) for event in opaque] == [with_uuids(event) for event in general]


@pytest.mark.parametrize(
    "name", [name for name, projection in POSTGRES_PROJECTIONS.items() if not projection.computes_with_ids]
)
@given(events=histories)
@settings(max_examples=30)
def test_folds_change_the_same_with_ids_as_bytes(name: str, events: list[Event]) -> None:
    values, fold = encoded(events), POSTGRES_PROJECTIONS[name].fold
    plain = fold(BulkCodec(CODEC, IDS, None, opaque_ids=False).read(values))
    opaque = fold(BulkCodec(CODEC, IDS, None, opaque_ids=True).read(values))
    assert Changes(with_uuids(opaque.rows), with_uuids(opaque.erased), with_uuids(opaque.gone)) == Changes(
        with_uuids(plain.rows), plain.erased, plain.gone
    )


@given(st.integers(0, 2**62 - 1))
def test_a_time_of_eight_bytes_is_read_and_any_other_refused(number: int) -> None:
    encoded_number, left = bytearray(), number << 1
    while left > 0x7F:
        encoded_number.append(left & 0x7F | 0x80)
        left >>= 7
    encoded_number.append(left)
    if len(encoded_number) == 8:
        assert micros_of_eight(bytes(encoded_number)) == number
    else:
        with pytest.raises(ValueError):
            micros_of_eight(bytes(encoded_number[:8]).ljust(8, b"\x80"))


def liked(occurred_at: int) -> PostLiked:
    ids = Ids()
    return PostLiked(
        event_id=ids(), occurred_at=occurred_at, subject_id=ids(), post_id=ids(), post_author_id=ids(), reaction="sad"
    )


@pytest.mark.parametrize("occurred_at", [0, 1, 2**40, NOON, 2**54, 2**55, 2**60])
def test_events_of_every_age_are_read(occurred_at: int) -> None:
    event = liked(occurred_at)
    assert BulkCodec(CODEC, IDS, None, opaque_ids=False).read(encoded([event])) == [event]


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda value: value[:-1], MalformedRecord),
        (lambda value: value[:3], MalformedRecord),
        (lambda value: value[:-1] + b"\x0d", MalformedRecord),
        (lambda value: b"\x01" + value[1:], MalformedRecord),
        (lambda value: value[:1] + b"\xff\xff\xff\xff" + value[5:], UnknownEventType),
    ],
)
@pytest.mark.parametrize("opaque", [True, False])
def test_what_is_no_record_is_refused(spoil: Callable[[bytes], bytes], error: type[Exception], opaque: bool) -> None:
    (value,) = encoded([liked(NOON)])
    with pytest.raises(error):
        BulkCodec(CODEC, IDS, None, opaque_ids=opaque).read([spoil(value)])


def test_cells_are_those_of_postgresql() -> None:
    identifier = Ids()()
    assert cells("uuid", [identifier, identifier.bytes, None]) == [
        b"\0\0\0\x10" + identifier.bytes,
        b"\0\0\0\x10" + identifier.bytes,
        b"\xff\xff\xff\xff",
    ]
    assert cells("text", ["a\0b", "", None]) == [b"\0\0\0\x02ab", b"\0\0\0\0", b"\xff\xff\xff\xff"]
    assert cells("integer", [0, None, -1]) == [b"\0\0\0\x04\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x04" + b"\xff" * 4]
    assert copied([[b"\0\0\0\x01x"], [b"\xff\xff\xff\xff"]])[19:] == b"\0\x02\0\0\0\x01x\xff\xff\xff\xff\xff\xff"


def test_a_reader_with_a_deadline_does_not_wait_for_what_does_not_come(servers: Environment) -> None:
    own = replace(servers, topic_prefix=f"bulk_{time.monotonic_ns()}.")
    with own_topics(own):
        reader, began = BulkReader(own), time.monotonic()
        try:
            with pytest.raises(TimeoutError, match="posts/0 from 0"):
                list(reader.stretches({Partition("posts", 0): (0, 10)}, 100, began + 0.2))
        finally:
            reader.close()
    assert time.monotonic() - began < SILENCE_SECONDS / 2
