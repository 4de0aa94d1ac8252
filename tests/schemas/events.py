"""The example events beside the schemas, as values, and events in general as hypothesis draws them."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from schemas.catalogue import HERE, EventSchema, event_schemas
from schemas.types import EVENT_TYPES, Event
from shared.ids import mint, time_of

EXAMPLES = sorted((HERE / "examples").glob("*/*/*.json"))


def example_name(path: Path) -> str:
    return "/".join(path.with_suffix("").parts[-3:])


def schema_of(path: Path) -> EventSchema:
    """The schema an example belongs to, by its folder."""
    return next(
        schema
        for schema in event_schemas().values()
        if (schema.topic, schema.snake_name) == (path.parts[-3], path.parts[-2])
    )


def event_in(path: Path) -> Event:
    """The event an example file holds. Raises msgspec.ValidationError where it is not what its type says."""
    event: Event = msgspec.convert(json.loads(path.read_text()), EVENT_TYPES[schema_of(path).name])
    return event


def sealed_fields(schema: EventSchema) -> list[str]:
    return [field["name"] for field in schema.avro["fields"] if field.get("sealed")]


def id_fields(schema: EventSchema) -> list[dict[str, Any]]:
    """The fields that hold ids, one or many."""
    return [field for field in schema.avro["fields"] if "Id" in _names(field["type"])]


def _names(kind: Any) -> set[str]:
    if isinstance(kind, list):
        return {name for one in kind for name in _names(one)}
    if isinstance(kind, dict):
        return {kind.get("name", "")} | _names(kind.get("items", "")) if kind.get("type") != "record" else set()
    return {kind}


ids = st.builds(
    lambda micros, noise: mint(micros, random=noise), st.integers(0, 1 << 50), st.binary(min_size=8, max_size=8)
)


def values(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Any value of a field, sealed ones as plain text."""
    kind = field["type"]
    optional = isinstance(kind, list)
    one = kind[1] if optional else kind
    if field.get("sealed"):
        drawn: st.SearchStrategy[Any] = st.text(max_size=40)
    elif one == "Id" or (isinstance(one, dict) and one.get("name") == "Id"):
        drawn = ids
    elif isinstance(one, dict) and one["type"] == "array":
        drawn = st.lists(ids, max_size=3).map(tuple)
    elif isinstance(one, dict) and "logicalType" in one:
        drawn = st.integers(0, 1 << 50)  # times that calendars have
    elif isinstance(one, dict) and one["type"] == "enum":
        drawn = st.sampled_from(one["symbols"])
    else:
        drawn = (
            {"string": st.text(max_size=20), "boolean": st.booleans(), "long": st.integers(0, 1 << 62)}[one]
            if isinstance(one, str)
            else st.integers(0, 1 << 62)
        )
    return st.none() | drawn if optional else drawn


def events_of(schema: EventSchema) -> st.SearchStrategy[Event]:
    """Any event of one type, its time that of its id."""
    fields = {field["name"]: values(field) for field in schema.avro["fields"] if field["name"] != "occurred_at"}
    return st.fixed_dictionaries(fields).map(
        lambda drawn: EVENT_TYPES[schema.name](occurred_at=time_of(drawn["event_id"]), **drawn)
    )


any_event = st.one_of(*(events_of(schema) for schema in event_schemas().values()))


def unsealed(_subject: UUID, _name: str, _field: str, _event: UUID, sealed: bytes) -> str:
    """For tests of the codec alone: text stands as it is."""
    return sealed.decode()


def plainly(_subject: UUID, _name: str, _field: str, _event: UUID, text: str) -> bytes:
    return text.encode()
