"""Every record of the log as a CloudEvent 1.0 in JSON's types, also one that cannot be read; sealed fields stay sealed.

    event_id -> id, occurred_at -> time, subject_id -> subject, the partitioning field -> partitionkey,
    the record's full name -> type, who produces the topic -> source, the writer's schema -> dataschema;
    all other fields are in data. The record's place is in the extensions topic, partition, offset, recordedtime.

A sealed field is {"sealed": bytes}, or its text where an opener is given and the subject's key is there. A record
that is no readable event has the type rookery.record.<one of written.NO_EVENTS> and its bytes in data.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from infra.event_log.scan import Record
from infra.event_log.texts import id_text, time_text
from infra.event_log.written import ENVELOPE, KEY_BYTES, Unreadable, WrittenSchema, WrittenSchemas, base64_text
from schemas.catalogue import topics

Shown = dict[str, Any]
OTHER_RECORDS = "rookery.record"
KEY_DESTROYED = "the subject's key is destroyed"


class Opener(Protocol):
    """Whoever may open sealed fields (infra/event_log/sealed.py)."""

    def load(self, subjects: Iterable[UUID]) -> None:
        """Fetches these people's keys all at once."""
        ...

    def open(self, subject_id: UUID, event_name: str, field: str, event_id: UUID, sealed: bytes) -> str | None:
        """The text, or None when the key is destroyed. Raises ValueError where it does not open."""
        ...


class CloudEvents:
    """Shows records. `unreadable` counts those that are no readable events, by their type."""

    def __init__(self, schemas: WrittenSchemas, opener: Opener | None = None) -> None:
        self._schemas = schemas
        self._opener = opener
        self._sources = {name: f"urn:rookery:{entry['producer']}" for name, entry in topics().items()}
        self._uris: dict[int, str] = {}
        self.unreadable: dict[str, int] = {}

    def show_all(self, records: Sequence[Record]) -> list[Shown]:
        """The same for a portion, with one query for all the keys it needs."""
        if self._opener is not None:
            subjects = {
                UUID(bytes=record.key[:16])
                for record in records
                if record.key is not None and len(record.key) == KEY_BYTES and self._schemas.sealed(record)
            }
            if subjects:
                self._opener.load(subjects)
        show = self.show
        return [show(record) for record in records]

    def show(self, record: Record) -> Shown:
        """The record as a CloudEvent. Raises only where the registry does not answer."""
        value = record.value
        try:
            schema = None if value is None else self._schemas.of(value)
            if value is not None and schema is not None:
                return self._event(record, schema, schema.read(value))
            reason = "" if value is None else f"the registry has no event's schema {int.from_bytes(value[1:5], 'big')}"
            return self._other(record, self._schemas.type_of(record), reason)
        except Unreadable as error:
            return self._other(record, "Malformed", str(error))

    def _event(self, record: Record, schema: WrittenSchema, row: dict[str, Any]) -> Shown:
        event_id, occurred_at, subject_id = (row[name] for name in ENVELOPE)
        if schema.sealed:
            self._sealed(schema, row, subject_id, event_id)
        for name, convert in schema.converted:
            row[name] = convert(row[name])
        shown = {
            "specversion": "1.0",
            "id": id_text(event_id),
            "source": self._source(record.topic),
            "type": schema.full_name,
            "subject": id_text(subject_id),
            "time": time_text(occurred_at),
            "datacontenttype": "application/json",
            "dataschema": self._uri(schema.id),
        }
        del row["event_id"], row["occurred_at"], row["subject_id"]
        by = schema.partitioned_by
        if by is not None:
            shown["partitionkey"] = shown["subject"] if by == "subject_id" else row.get(by)
        return self._placed(shown, record, row)

    def _sealed(self, schema: WrittenSchema, row: dict[str, Any], subject_id: bytes, event_id: bytes) -> None:
        for name in schema.sealed:
            sealed = row[name]
            if sealed is None:
                continue
            if self._opener is None:
                row[name] = {"sealed": len(sealed)}
                continue
            try:
                text = self._opener.open(UUID(bytes=subject_id), schema.name, name, UUID(bytes=event_id), sealed)
                reason = KEY_DESTROYED
            except ValueError as error:
                text, reason = None, str(error)
            row[name] = {"sealed": len(sealed), "unreadable": reason} if text is None else text

    def _other(self, record: Record, kind: str, reason: str) -> Shown:
        self.unreadable[kind] = self.unreadable.get(kind, 0) + 1
        key, value = record.key, record.value
        of_event = key is not None and len(key) == KEY_BYTES
        shown = {
            "specversion": "1.0",
            "id": id_text(key[16:]) if key is not None and of_event else record.place,
            "source": self._source(record.topic),
            "type": f"{OTHER_RECORDS}.{kind}",
        }
        if key is not None and of_event:
            shown["subject"] = id_text(key[:16])
        shown |= {"time": time_text(record.time_ms * 1_000), "datacontenttype": "application/json"}
        data = {"key": None if key is None else base64_text(key)}
        data |= {} if value is None else {"value": base64_text(value)}
        return self._placed(shown, record, data | ({"reason": reason} if reason else {}))

    def _placed(self, shown: Shown, record: Record, data: dict[str, Any]) -> Shown:
        if record.headers:
            shown |= _headers(record.headers, shown)
        shown["topic"] = record.topic
        shown["partition"] = record.partition
        shown["offset"] = record.offset
        shown["recordedtime"] = time_text(record.time_ms * 1_000)
        shown["data"] = data
        return shown

    def _source(self, topic: str) -> str:
        return self._sources.get(topic) or f"urn:rookery:topic:{topic}"

    def _uri(self, schema_id: int) -> str:
        uri = self._uris.get(schema_id)
        if uri is None:
            uri = self._uris[schema_id] = self._schemas.uri(schema_id)
        return uri


def _headers(headers: Sequence[tuple[str, bytes | None]], taken: Shown) -> dict[str, str]:
    """Headers as extension attributes, whose names CloudEvents allows to have a to z and 0 to 9 alone."""
    own = {*taken, "topic", "partition", "offset", "recordedtime", "data", "dataschema", "subject", "partitionkey"}
    found = {}
    for name, value in headers:
        plain = re.sub(r"[^a-z0-9]", "", name.lower()) or "header"
        text = "" if value is None else value.decode("utf-8", "replace")
        found[f"header{plain}" if plain in own else plain] = text
    return found
