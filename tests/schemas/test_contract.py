"""The .avsc files, what is generated from them, and the files beside them agree.

Claim: types.py is what the schemas say, every event has realistic examples, every field that names a person says so,
whatever was released can be read for ever, and topics.yaml lists the readers there really are.
Oracle: the files themselves, fastavro's own schema resolution, and projectors.catalogue.
Cannot catch: a field whose doc is wrong, and personal data put into a field that does not look like an id.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one

from projectors.catalogue import PROJECTIONS
from schemas import generate
from schemas.catalogue import HERE, EventSchema, event_schemas, topics
from schemas.rules import IDS_OF_THINGS
from schemas.types import EVENT_TYPES
from shared.ids import time_of
from tests.schemas.events import EXAMPLES, event_in, example_name, id_fields, schema_of, sealed_fields

SCHEMAS = list(event_schemas().values())
RELEASED = sorted((HERE / "released").glob("*/*/*.avsc"))


def test_types_are_generated_from_the_schemas() -> None:
    assert (HERE / "types.py").read_text() == generate.source(), "run python -m schemas.generate"


def test_generate_check_says_so_by_its_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    assert generate.main() == 0
    monkeypatch.setattr(generate, "source", lambda: "something else")
    assert generate.main() == 1


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_every_event_has_examples(schema: EventSchema) -> None:
    own = [path for path in EXAMPLES if schema_of(path) is schema]
    assert own, (
        f"write schemas/examples/{schema.topic}/{schema.snake_name}/*.json: what does a real {schema.name} look like?"
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=example_name)
def test_an_example_is_what_its_type_says(path: Path) -> None:
    written = json.loads(path.read_text())
    event = event_in(path)
    assert list(written) == list(EVENT_TYPES[schema_of(path).name].__struct_fields__), (
        "every field, in the schema's order"
    )
    assert event.occurred_at == time_of(event.event_id), "occurred_at is the time in the id"


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_every_id_of_a_person_says_so(schema: EventSchema) -> None:
    for field in id_fields(schema):
        named = bool(field.get("names_person"))
        assert named != (field["name"] in IDS_OF_THINGS), (
            f"{schema.name}.{field['name']}: an id is either a person's (names_person is true in the .avsc, so that "
            "the audit and the erasure find it) or a thing's (IDS_OF_THINGS in schemas/rules.py)"
        )


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_the_head_and_place_of_a_schema(schema: EventSchema) -> None:
    names = [field["name"] for field in schema.avro["fields"]]
    assert names[:3] == ["event_id", "occurred_at", "subject_id"], (
        "codec.subjects reads the head of a record by this order"
    )
    assert schema.partitioned_by in names
    assert schema.topic in topics() and schema.path.parent.name == schema.topic
    assert schema.subject == f"rookery.{schema.topic}.{schema.name}"
    assert all(field.get("doc") for field in schema.avro["fields"]), "every field says what it holds"


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_free_text_is_sealed(schema: EventSchema) -> None:
    """A person's words are bytes (sealed); plain strings are of closed vocabularies, or a model's."""
    plain = {field["name"] for field in schema.avro["fields"] if "string" in str(field["type"])}
    assert plain <= {"language", "model", "scores"}, (
        f"{schema.name}: {sorted(plain)} would stand in the log in plain text; seal them"
    )
    assert all(
        "bytes" in str(field["type"]) for field in schema.avro["fields"] if field["name"] in sealed_fields(schema)
    )


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_released_schema_is_the_current_one_or_still_readable(path: Path) -> None:
    released = json.loads(path.read_text())
    current = event_schemas()[released["name"]].avro
    if path == max(path.parent.glob("*.avsc")):
        assert released == current, f"rookery schemas release {current['name']}"
    _reads(writer=released, reader=current)
    _reads(writer=current, reader=released)


def _reads(writer: dict[str, Any], reader: dict[str, Any]) -> None:
    """Records of `writer` are read by `reader`: fastavro resolves the two, as any Avro reader does."""

    written = BytesIO()
    parsed = fastavro.parse_schema(writer)
    fastavro.schemaless_writer(written, parsed, generate_one(parsed))
    written.seek(0)
    fastavro.schemaless_reader(written, parsed, fastavro.parse_schema(reader))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_every_event_is_released(schema: EventSchema) -> None:
    folder = HERE / "released" / schema.topic / schema.snake_name
    assert (folder / "0001.avsc").exists(), f"rookery schemas release {schema.name}"


def test_readers_of_topics_are_the_projections_that_read_them() -> None:
    found = {topic: {projection.name for projection in PROJECTIONS if topic in projection.topics} for topic in topics()}
    declared = {topic: set(settings["readers"]) for topic, settings in topics().items()}
    assert found == declared, "schemas/topics.yaml and the projections' `topics` must say the same"
