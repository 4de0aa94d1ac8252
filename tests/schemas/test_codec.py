"""Events come back from their bytes as they were, Confluent's clients read and write the same, bad bytes are told.

Claim: encode and decode are inverse for every event, sealed fields included; the wire format is Confluent's; what is
no record, or a record of an unknown schema, raises what the projectors halt on, whatever the bytes.
Oracle: confluent_kafka's AvroSerializer and AvroDeserializer on the real registry; hypothesis' events and bytes.
Cannot catch: a change of the registry's own behaviour after start.
"""

import json
import struct
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.catalogue import event_schemas
from schemas.codec import Codec, MalformedRecord, UnknownEventType
from schemas.registration import COMPATIBILITY, open_codec, register, schema_ids
from schemas.types import Event
from shared.environment import Environment
from shared.ids import micros_of
from tests.conftest import Vault
from tests.schemas.events import (
    EXAMPLES,
    any_event,
    event_in,
    example_name,
    plainly,
    schema_of,
    sealed_fields,
    unsealed,
)

IDS = {name: number for number, name in enumerate(event_schemas(), start=1)}
CODEC = Codec(IDS)


@pytest.fixture(scope="module")
def registry(servers: Environment) -> str:
    """The registry's address, with every schema registered."""
    register(servers.schema_registry_url)
    return servers.schema_registry_url


@lru_cache
def _codec(registry_url: str) -> Codec:
    return open_codec(registry_url)


@lru_cache
def _deserializer(registry_url: str) -> AvroDeserializer:
    return AvroDeserializer(SchemaRegistryClient({"url": registry_url}))


@pytest.mark.parametrize("path", EXAMPLES, ids=example_name)
def test_an_example_survives_sealing_and_encoding(path: Path, vault: Vault) -> None:
    event = event_in(path)
    value = CODEC.encode(event, vault.ring.seal)
    assert CODEC.decode(value, vault.ring.unseal) == event
    for field in sealed_fields(schema_of(path)):
        text = getattr(event, field)
        assert not text or text.encode() not in value, f"{field} stands in the record in plain text"


@pytest.mark.parametrize("path", EXAMPLES, ids=example_name)
def test_without_a_key_sealed_fields_are_none_and_the_rest_stands(path: Path, vault: Vault) -> None:
    event = event_in(path)
    value = CODEC.encode(event, vault.ring.seal)
    vault.destroy(event.subject_id)
    for unseal in (vault.ring.unseal, None):
        read = CODEC.decode(value, unseal)
        sealed = sealed_fields(schema_of(path))
        assert all(getattr(read, field) is None for field in sealed)
        rest = [name for name in event.__struct_fields__ if name not in sealed]
        assert [getattr(read, name) for name in rest] == [getattr(event, name) for name in rest]


@given(any_event)
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    value = CODEC.encode(event, plainly)
    assert CODEC.decode(value, unsealed) == event


@given(st.lists(any_event, max_size=5))
def test_subjects_are_those_whose_keys_are_needed(events: list[Event]) -> None:
    needed = {event.subject_id for event in events if sealed_fields(event_schemas()[type(event).__name__])}
    assert CODEC.subjects(CODEC.encode(event, plainly) for event in events) == needed


@given(any_event, st.data())
def test_a_record_cut_short_is_malformed(event: Event, data: st.DataObject) -> None:
    value = CODEC.encode(event, plainly)
    with pytest.raises(MalformedRecord):
        CODEC.decode(value[: data.draw(st.integers(0, len(value) - 1))], unsealed)


@given(st.sampled_from(sorted(IDS.values())), st.binary(max_size=120))
@example(IDS["NotificationsRead"], b"\xff" * 40)
@example(IDS["PostLiked"], bytes(16) + b"\x02" + bytes(48) + b"\x63")
def test_any_bytes_are_an_event_or_malformed(schema_id: int, body: bytes) -> None:
    value = struct.pack(">bI", 0, schema_id) + body
    with suppress(MalformedRecord):
        CODEC.decode(value)
    with suppress(MalformedRecord):
        CODEC.subjects([value])


@pytest.mark.parametrize("value", [b"", b"\0", b"\0\0\0\0\1", b"\1\0\0\0\1" + bytes(60), b'{"event_id": 1}'])
def test_what_is_not_in_the_wire_format_is_malformed(value: bytes) -> None:
    with pytest.raises(MalformedRecord):
        CODEC.decode(value)


def test_an_unknown_schema_is_an_unknown_event_type() -> None:
    value = struct.pack(">bI", 0, 999_999) + bytes(60)
    with pytest.raises(UnknownEventType):
        CODEC.decode(value)
    strange = Codec(
        IDS, lambda _: ("rookery.media.MediaUploaded", {"type": "record", "name": "MediaUploaded", "fields": []})
    )
    with pytest.raises(UnknownEventType):
        strange.decode(value)


def test_a_record_of_an_older_schema_is_read_with_the_defaults_of_what_it_lacks() -> None:
    current = event_schemas()["ProfileEdited"].avro
    older = {**current, "fields": [field for field in current["fields"] if field["name"] != "private"]}
    event = event_in(next(path for path in EXAMPLES if path.stem == "bio_and_language"))
    body = _written_by(older, event)
    reader = Codec(IDS, lambda schema_id: ("rookery.accounts.ProfileEdited", older))
    assert reader.decode(struct.pack(">bI", 0, 777) + body, unsealed) == event


@given(events=st.lists(any_event, max_size=12), read=st.booleans())
def test_many_records_at_once_are_what_each_is_alone(events: list[Event], read: bool) -> None:
    values = [CODEC.encode(event, plainly) for event in events]
    unseal = unsealed if read else None
    assert CODEC.decode_all(values, unseal) == [CODEC.decode(value, unseal) for value in values]


@given(events=st.lists(any_event, min_size=2, max_size=6), data=st.data())
def test_a_malformed_record_among_others_is_told_whatever_it_does_to_their_bytes(
    events: list[Event], data: st.DataObject
) -> None:
    values = [CODEC.encode(event, plainly) for event in events]
    place = data.draw(st.integers(0, len(values) - 1))
    cut = data.draw(st.integers(5, len(values[place]) - 1))
    moved = data.draw(st.booleans())  # the bytes cut off may stand before the next one's, so that the sum is right
    after = values[place][cut:] if moved else b""
    values[place] = values[place][:cut]
    if place + 1 < len(values):
        values[place + 1] = values[place + 1][:5] + after + values[place + 1][5:]
    with pytest.raises(MalformedRecord):
        CODEC.decode_all(values, unsealed)


@given(event=any_event, more=st.binary(min_size=1, max_size=4))
def test_bytes_left_over_are_malformed(event: Event, more: bytes) -> None:
    value = CODEC.encode(event, plainly) + more
    for decode in (lambda: CODEC.decode(value), lambda: CODEC.decode_all([value, value])):
        with pytest.raises(MalformedRecord):
            decode()


def _written_by(schema: dict[str, Any], event: Event) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), _as_avro(event))
    return out.getvalue()


def _as_avro(event: Event) -> dict[str, Any]:
    """The event's fields as any Avro library takes them, text unsealed."""

    def plain(value: Any) -> Any:
        if isinstance(value, UUID):
            return value.bytes
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    row = {name: plain(getattr(event, name)) for name in event.__struct_fields__}
    for name in sealed_fields(event_schemas()[type(event).__name__]):
        row[name] = None if row[name] is None else row[name].encode()
    return row


def _with_micros(read: dict[str, Any]) -> dict[str, Any]:
    """Times as events have them."""
    return {name: micros_of(value) if isinstance(value, datetime) else value for name, value in read.items()}


@pytest.mark.parametrize("path", EXAMPLES, ids=example_name)
def test_bytes_are_those_of_confluents_serializer(path: Path, registry: str) -> None:
    schema, event = schema_of(path), event_in(path)
    client = SchemaRegistryClient({"url": registry})
    context = SerializationContext(schema.topic, MessageField.VALUE)
    serializer = AvroSerializer(
        client, json.dumps(schema.avro),
        conf={"auto.register.schemas": False, "subject.name.strategy": record_subject_name_strategy},
    )  # fmt: skip
    value = open_codec(registry).encode(event, plainly)
    assert value == serializer(_as_avro(event), context)
    read = AvroDeserializer(client)(value, context)
    assert isinstance(read, dict)
    assert _with_micros(read) == _as_avro(event)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=any_event)
def test_confluents_deserializer_reads_every_event(event: Event, registry: str) -> None:
    codec = _codec(registry)
    read = _deserializer(registry)(codec.encode(event, plainly), SerializationContext("any", MessageField.VALUE))
    assert isinstance(read, dict)
    assert _with_micros(read) == _as_avro(event)


def test_registering_again_changes_nothing_and_compatibility_is_full(registry: str) -> None:
    assert register(registry) == register(registry) == schema_ids(registry)
    client = SchemaRegistryClient({"url": registry})
    for schema in event_schemas().values():
        assert client.get_config(schema.subject).compatibility_level == COMPATIBILITY == "FULL_TRANSITIVE"


def test_the_registry_refuses_what_readers_could_not_read(registry: str) -> None:
    client = SchemaRegistryClient({"url": registry})
    schema = event_schemas()["PostLiked"]
    without_default = {"name": "mood", "type": "string", "doc": "No default: older records have none."}
    for fields in ([*schema.avro["fields"], without_default], schema.avro["fields"][:-2]):
        changed = Schema(json.dumps({**schema.avro, "fields": fields}), "AVRO")
        assert not client.test_compatibility(schema.subject, changed)


def test_a_schema_not_seen_before_is_asked_of_the_registry(registry: str) -> None:
    """A process that knows no id of the current schemas still reads, by what the registry says of each id."""
    event = event_in(EXAMPLES[0])
    value = open_codec(registry).encode(event, plainly)
    client = SchemaRegistryClient({"url": registry})

    def ask(schema_id: int) -> tuple[str, dict[str, Any]]:
        avro = json.loads(str(client.get_schema(schema_id).schema_str))
        return f"{avro['namespace']}.{avro['name']}", avro

    assert Codec({}, ask).decode(value, unsealed) == event
