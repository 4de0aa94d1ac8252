"""Events to bytes and back: Avro in the Confluent wire format, personal fields sealed under their subject's key.

Wire format (Confluent): byte 0, then the schema's id as a big-endian 32-bit integer, then the Avro body. The id names
the writer's schema, so that bytes of any released version are read for ever. Sealing is done by the caller's
function, so that this module knows no keys.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import msgspec
from fastavro.types import Schema

from schemas.contract import Contract, contract
from schemas.types import Event

MAGIC = struct.Struct(">bI")

# (subject_id, event name, field, event_id, plain text) -> sealed bytes
Seal = Callable[[UUID, str, str, UUID, str], bytes]
# (subject_id, event name, field, event_id, sealed bytes) -> plain text, or None when the key is destroyed
Unseal = Callable[[UUID, str, str, UUID, bytes], str | None]
# schema id -> (subject, schema as parsed JSON); asks the registry for an id not seen before
WriterSchemas = Callable[[int], tuple[str, dict[str, Any]]]


EVENT_ID = slice(MAGIC.size, MAGIC.size + 16)  # the first field of every event, a fixed one


class MalformedRecord(ValueError):
    """The bytes are not a record in the wire format, or not what their schema says."""


class UnknownEventType(LookupError):
    """The record's schema is of an event this process does not know: deploy readers before writers."""


class NotWritten(LookupError):
    """The event is read here and not written: it is retired, or its schema's id is not known."""


class _EventCodec:
    """How the fields of one event type cross between Python and Avro."""

    def __init__(self, avro: dict[str, Any], event_type: Callable[..., Any]) -> None:
        self.name: str = avro["name"]
        self.type = event_type
        self.parsed: Schema = _without_logical_types(avro)
        self.parsed_array: Schema = fastavro.parse_schema({"type": "array", "items": self.parsed})
        # A version that is upcast has no type of its own, and is read one record at a time.
        self.types: Any = list[event_type] if isinstance(event_type, type) else None  # type: ignore[valid-type]
        self.one_id: list[str] = []
        self.optional_id: list[str] = []
        self.many_ids: list[str] = []
        self.sealed: list[str] = []
        self.plain: list[str] = []
        for field in avro["fields"]:
            kind, name = field["type"], field["name"]
            if field.get("sealed"):
                self.sealed.append(name)
            elif kind == ["null", "Id"]:
                self.optional_id.append(name)
            elif isinstance(kind, dict) and kind["type"] == "array" and kind["items"] == "Id":
                self.many_ids.append(name)
            elif kind == "Id" or (isinstance(kind, dict) and kind.get("name") == "Id"):
                self.one_id.append(name)
            else:
                self.plain.append(name)

    def to_avro(self, event: Any, seal: Seal) -> dict[str, Any]:
        row: dict[str, Any] = {name: getattr(event, name) for name in self.plain}
        for name in self.one_id:
            row[name] = getattr(event, name).bytes
        for name in self.optional_id:
            value = getattr(event, name)
            row[name] = None if value is None else value.bytes
        for name in self.many_ids:
            row[name] = [value.bytes for value in getattr(event, name)]
        for name in self.sealed:
            text = getattr(event, name)
            row[name] = None if text is None else seal(event.subject_id, self.name, name, event.event_id, text)
        return row

    def from_avro(self, row: dict[str, Any], unseal: Unseal | None) -> Event:
        for name in self.one_id:
            row[name] = UUID(bytes=row[name])
        for name in self.optional_id:
            if row[name] is not None:
                row[name] = UUID(bytes=row[name])
        for name in self.many_ids:
            row[name] = tuple(UUID(bytes=value) for value in row[name])
        for name in self.sealed:
            if row[name] is not None:
                row[name] = (
                    None if unseal is None else unseal(row["subject_id"], self.name, name, row["event_id"], row[name])
                )
        event: Event = self.type(**row)
        return event

    def from_array(self, values: Sequence[bytes], unseal: Unseal | None) -> list[Event]:
        """All these records at once: their bodies in a row are the body of an Avro array.

        Raises ValueError where one of them is malformed, without saying which.
        """
        body = BytesIO(b"".join((_long(len(values)), *[value[MAGIC.size :] for value in values], b"\0")))
        rows: Any = fastavro.schemaless_reader(body, self.parsed_array, None)
        # A body too long or too short would shift all behind it.
        if body.read(1) or [row["event_id"] for row in rows] != [value[EVENT_ID] for value in values]:
            raise ValueError("the bodies do not fit together")
        for name in self.sealed:
            for row in rows:
                if row[name] is not None:
                    row[name] = unseal and unseal(
                        UUID(bytes=row["subject_id"]), self.name, name, UUID(bytes=row["event_id"]), row[name]
                    )
        events: list[Event] = msgspec.convert(rows, self.types)
        return events


class Codec:
    """Encodes events of the current schemas and decodes those of any registered version."""

    def __init__(
        self,
        schema_ids: Mapping[str, int],
        writer_schemas: WriterSchemas | None = None,
        of: Contract | None = None,
    ) -> None:
        """`schema_ids` maps event names ("PostLiked") to the registry's ids of the current schemas; `of` is the
        product's contract where none is given."""
        self._contract = of or contract()
        schemas, types = self._contract.schemas, self._contract.types
        self._by_name = {name: _EventCodec(schema.avro, types[name]) for name, schema in schemas.items()}
        self._headers = {
            name: MAGIC.pack(0, schema_id) for name, schema_id in schema_ids.items() if not schemas[name].retired
        }
        self._by_id: dict[int, tuple[_EventCodec, Schema | None]] = {
            schema_id: (self._upcasting(name, schemas[name].avro) or self._by_name[name], None)
            for name, schema_id in schema_ids.items()
        }
        self._writer_schemas = writer_schemas

    def encode(self, event: Event, seal: Seal) -> bytes:
        """The record's value. Raises ValueError when a field is not what the schema says, NotWritten for a retired
        event."""
        name = type(event).__name__
        header = self._headers.get(name)
        if header is None:
            raise NotWritten(f"{name} is retired, or its schema's id is not known: it is read, and not written")
        codec = self._by_name[name]
        out = BytesIO()
        out.write(header)
        fastavro.schemaless_writer(out, codec.parsed, codec.to_avro(event, seal))
        return out.getvalue()

    def subjects(self, values: Iterable[bytes]) -> set[UUID]:
        """Whose keys are needed to read the sealed fields of these records. Raises as `decode` does."""
        needed = set()
        for value in values:
            codec, _ = self._reader(value)
            if codec.sealed:
                # Avro writes fixed fields as they are; event_id (16), occurred_at (a varint), then subject_id.
                end = MAGIC.size + 16
                try:
                    while value[end] & 0x80:
                        end += 1
                    needed.add(UUID(bytes=value[end + 1 : end + 17]))
                except (IndexError, ValueError) as error:
                    raise MalformedRecord(f"not a {codec.name}: it ends before its subject") from error
        return needed

    def type_name(self, value: bytes) -> str:
        """The event's type, of which the rest of the record need not be right. Raises as `decode` does."""
        return self._reader(value)[0].name

    def decode(self, value: bytes, unseal: Unseal | None = None) -> Event:
        """The event of a record's value; sealed fields are None without `unseal`.

        Raises MalformedRecord or UnknownEventType.
        """
        codec, writer = self._reader(value)
        body = BytesIO(value)
        body.seek(MAGIC.size)
        try:
            if writer is None:
                row = fastavro.schemaless_reader(body, codec.parsed, None)
            else:
                row = fastavro.schemaless_reader(body, writer, codec.parsed)
            if body.read(1):
                raise ValueError("bytes are left over")
            return codec.from_avro(row, unseal)  # type: ignore[arg-type]
        except (EOFError, ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
            raise MalformedRecord(f"not a {codec.name}: {error!r}") from error

    def decode_all(self, values: Sequence[bytes], unseal: Unseal | None = None) -> list[Event]:
        """The events of these records in their order: what `decode` answers for each, in a third of the time.

        Raises MalformedRecord or UnknownEventType.
        """
        places: dict[bytes, list[int]] = {}
        for place, value in enumerate(values):
            places.setdefault(value[: MAGIC.size], []).append(place)
        found: list[Any] = [None] * len(values)
        for same in places.values():
            codec, writer = self._reader(values[same[0]])
            alike = [values[place] for place in same]
            try:
                events = codec.from_array(alike, unseal) if writer is None and codec.types is not None else None
            except (EOFError, ValueError, TypeError, IndexError, msgspec.ValidationError):
                events = None  # told one by one, so that the error is of the record that is malformed
            for place, event in zip(same, events or [self.decode(value, unseal) for value in alike], strict=True):
                found[place] = event
        return found

    def _reader(self, value: bytes) -> tuple[_EventCodec, Schema | None]:
        if len(value) <= MAGIC.size:
            raise MalformedRecord(f"{len(value)} bytes are too few for a record")
        magic, schema_id = MAGIC.unpack_from(value)
        if magic != 0:
            raise MalformedRecord(f"first byte is {magic}, not 0")
        found = self._by_id.get(schema_id)
        if found is None:
            found = self._by_id[schema_id] = self._look_up(schema_id)
        return found

    def _look_up(self, schema_id: int) -> tuple[_EventCodec, Schema | None]:
        if self._writer_schemas is None:
            raise UnknownEventType(f"schema {schema_id} is not one of ours")
        subject, avro = self._writer_schemas(schema_id)
        name = subject.rpartition(".")[2]
        codec = self._by_name.get(name)
        if codec is None:
            raise UnknownEventType(f"schema {schema_id} is {subject}, which this process does not know")
        upcasting = self._upcasting(name, avro)
        return (codec, _without_logical_types(avro)) if upcasting is None else (upcasting, None)

    def _upcasting(self, name: str, avro: dict[str, Any]) -> _EventCodec | None:
        """What reads a version by its upcaster: as it was written, and then as an event of today."""
        upcast = self._contract.upcaster(name, avro)
        return None if upcast is None else _EventCodec(avro, lambda **row: upcast(row))


def _long(number: int) -> bytes:
    """A number that is not negative, as Avro writes a long: zigzag, then seven bits a byte."""
    rest, out = number << 1, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _without_logical_types(avro: dict[str, Any]) -> Schema:
    """The schema with times as plain longs: events carry whole microseconds, and datetimes are slow to make."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: strip(value) for key, value in node.items() if key != "logicalType"}
        return [strip(item) for item in node] if isinstance(node, list) else node

    return fastavro.parse_schema(strip(avro))
