"""A record's body as it was written, by the schema that its first five bytes name; what no schema explains says so.

Records are read by their writer's schema alone, so that an event of any version, also of a type that this process does
not know, is shown with the fields it has. The registry is asked once for each schema id.
"""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.event_log.scan import Record
from infra.event_log.texts import id_text, time_text
from schemas.codec import MAGIC

Convert = Callable[[Any], Any]
ENVELOPE = ("event_id", "occurred_at", "subject_id")
KEY_BYTES = 32
ID_BYTES = 16
ANSWER_SECONDS = 5
MISSING = 404

# Types of what is in the log and is no event that can be read.
DELETED = "Deleted"  # a null for an event's key: the event, wherever it stood, is taken out of the log
MAINTENANCE = "Maintenance"  # a null for another key, appended so that a segment is closed
MALFORMED = "Malformed"  # not the wire format, or not what its schema says
UNKNOWN_SCHEMA = "UnknownSchema"  # the registry has no such schema, or it is no event's
NO_EVENTS = (DELETED, MAINTENANCE, MALFORMED, UNKNOWN_SCHEMA)


class Unreadable(ValueError):
    """A value that is not what its schema says; the message says how."""


class WrittenSchema:
    """One version of one event type."""

    def __init__(self, schema_id: int, avro: dict[str, Any]) -> None:
        self.id = schema_id
        self.name: str = avro["name"]
        self.full_name = f"{avro['namespace']}.{avro['name']}" if avro.get("namespace") else self.name
        self.partitioned_by: str | None = avro.get("partitioned_by")
        self.is_event = set(ENVELOPE) <= {field["name"] for field in avro["fields"]}
        self.sealed: list[str] = []
        self.converted: list[tuple[str, Convert]] = []
        named: dict[str, Convert | None] = {}
        for field in avro["fields"]:
            convert = _converter(field["type"], named)
            if field.get("sealed"):
                self.sealed.append(field["name"])
            elif convert is not None and field["name"] not in ENVELOPE:
                self.converted.append((field["name"], convert))
        self._parsed = fastavro.parse_schema(_plain(avro))

    def read(self, value: bytes) -> dict[str, Any]:
        """The fields as they stand in the record: ids, sealed fields and times unconverted. Raises Unreadable."""
        body = BytesIO(value)
        body.seek(MAGIC.size)
        try:
            row = fastavro.schemaless_reader(body, self._parsed, None)
        except Exception as error:  # what arbitrary bytes bring about in the reader is not one tree of errors
            raise Unreadable(f"not a {self.name}: {error!r}") from error
        if not isinstance(row, dict):
            raise Unreadable(f"not a {self.name} but a {type(row).__name__}")
        return row


class WrittenSchemas:
    """The registry's schemas by id."""

    def __init__(self, registry_url: str) -> None:
        self._url = registry_url.rstrip("/")
        self._client = SchemaRegistryClient({"url": registry_url, "timeout": ANSWER_SECONDS, "max.retries": 2})
        self._found: dict[int, WrittenSchema | None] = {}

    def uri(self, schema_id: int) -> str:
        """Where a schema can be fetched."""
        return f"{self._url}/schemas/ids/{schema_id}"

    def of(self, value: bytes) -> WrittenSchema | None:
        """The schema a value names; None where the registry has none of that id, or none of an event.

        Raises Unreadable for bytes that name none, SchemaRegistryError or httpx2.HTTPError where nobody answers.
        """
        if len(value) <= MAGIC.size:
            raise Unreadable(f"{len(value)} bytes are too few for a record")
        magic, schema_id = MAGIC.unpack_from(value)
        if magic != 0:
            raise Unreadable(f"the first byte is {magic}, not 0")
        if schema_id not in self._found:
            self._found[schema_id] = self._fetch(schema_id)
        return self._found[schema_id]

    def type_of(self, record: Record) -> str:
        """The name of an event's type, or one of NO_EVENTS, without reading the body.

        What proves Malformed only when its body is read is still called by its schema's name here.
        """
        value = record.value
        if value is None:
            return DELETED if record.key is not None and len(record.key) == KEY_BYTES else MAINTENANCE
        try:
            schema = self.of(value)
        except Unreadable:
            return MALFORMED
        return UNKNOWN_SCHEMA if schema is None else schema.name

    def sealed(self, record: Record) -> bool:
        """Whether it is of a type that has sealed fields."""
        try:
            schema = None if record.value is None else self.of(record.value)
        except Unreadable:
            return False
        return schema is not None and bool(schema.sealed)

    def _fetch(self, schema_id: int) -> WrittenSchema | None:
        try:
            found = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == MISSING:
                return None
            raise
        try:
            schema = WrittenSchema(schema_id, json.loads(str(found.schema_str)))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # something else than a record: no event's schema
        return schema if schema.is_event else None


def base64_text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _converter(kind: Any, named: dict[str, Convert | None]) -> Convert | None:
    """How values of an Avro type are made fit for JSON; None where they are as they come."""
    if isinstance(kind, str):
        return base64_text if kind == "bytes" else named.get(kind)
    if isinstance(kind, list):
        branches = [_converter(each, named) for each in kind if each != "null"]
        return _optional(branches[0]) if len(branches) == 1 else _by_value
    if kind.get("logicalType") in ("timestamp-micros", "timestamp-millis"):
        factor = 1 if kind["logicalType"] == "timestamp-micros" else 1_000
        return lambda value: time_text(value * factor)
    match kind["type"]:
        case "fixed":
            convert: Convert | None = id_text if kind["size"] == ID_BYTES else base64_text
        case "array":
            convert = _each(_converter(kind["items"], named))
        case "map":
            convert = _each_value(_converter(kind["values"], named))
        case "record":
            convert = _fields({field["name"]: _converter(field["type"], named) for field in kind["fields"]})
        case "enum":
            convert = None
        case other:
            convert = _converter(other, named)
    if "name" in kind:
        named[kind["name"]] = convert
    return convert


def _optional(convert: Convert | None) -> Convert | None:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _each(convert: Convert | None) -> Convert | None:
    return None if convert is None else lambda values: [convert(value) for value in values]


def _each_value(convert: Convert | None) -> Convert | None:
    return None if convert is None else lambda values: {name: convert(value) for name, value in values.items()}


def _fields(converts: dict[str, Convert | None]) -> Convert | None:
    if not any(converts.values()):
        return None

    def convert(row: dict[str, Any]) -> dict[str, Any]:
        return {name: value if (one := converts.get(name)) is None else one(value) for name, value in row.items()}

    return convert


def _by_value(value: Any) -> Any:
    """A union of several types tells them apart no more once it is read."""
    if isinstance(value, bytes):
        return id_text(value) if len(value) == ID_BYTES else base64_text(value)
    return value


def _plain(node: Any) -> Any:
    """The schema without logical types: times stay whole numbers, since datetimes are slow to make."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "logicalType"}
    return [_plain(item) for item in node] if isinstance(node, list) else node
