"""No schema is released that could not live with all that was: each bad change is refused with its rule and its field.

Claim: every change of bad_changes.py is refused for the reason it names, no other change is; what is accepted reads and
is read by every released version, record for record; the registry refuses by itself just the changes that are marked.
Oracle: the cases, written out; fastavro's and Apache Avro's resolution of drawn records; the real registry. Cannot
catch: a bad change that nobody thought of.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any
from uuid import uuid4

import avro.io
import avro.schema
import fastavro
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.common.schema_registry_client import ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.compatibility import contradictions, refusals
from schemas.registration import COMPATIBILITY
from schemas.rules import ID, IDS, TIME, breaches, fields_of, kind_of
from shared.environment import Environment
from tests.schemas.bad_changes import BAD_CHANGES, GOOD_CHANGES, RELEASED, SECOND, BadChange, changed
from tests.schemas.corpus import corpora

GOOD = {name: changed(SECOND, *changes) for name, changes in GOOD_CHANGES.items()}
# Every event with more than one version, and each accepted change behind those before it.
HISTORIES = {
    **{
        f"{corpus}.{name}": schema.released()
        for corpus, each in corpora().items()
        for name, schema in each.contract.schemas.items()
        if len(schema.released()) > 1
    },
    **{f"PostReviewed, {name}": [*RELEASED, candidate] for name, candidate in GOOD.items()},
}
PAIRS = [
    pytest.param(writer, reader, id=f"{name} {wrote + 1} read as {read + 1}")
    for name, versions in HISTORIES.items()
    for (wrote, writer), (read, reader) in itertools.product(enumerate(versions), repeat=2)
    if name.partition(",")[0] != "PostReviewed" or max(wrote, read) == len(versions) - 1
]


def test_there_are_thirty_and_more_each_another() -> None:
    assert len(BAD_CHANGES) >= 30
    assert len({bad.name for bad in BAD_CHANGES}) == len({repr(bad.candidate) for bad in BAD_CHANGES})


@pytest.mark.parametrize("bad", BAD_CHANGES, ids=lambda bad: bad.name)
def test_a_bad_change_is_refused_by_its_rule_and_field(bad: BadChange) -> None:
    found = refusals(bad.candidate, bad.released)
    named = [refusal for refusal in found if (refusal.rule, refusal.field) == (bad.rule, bad.field)]
    assert named, f"not refused for {bad.rule} of {bad.field!r}, but for: {[str(each) for each in found]}"
    assert any(bad.says in str(refusal) for refusal in named), [str(refusal) for refusal in named]
    assert all(bad.rule in str(refusal) and bad.field in str(refusal) for refusal in named)


@pytest.mark.parametrize("name", GOOD)
def test_another_change_is_not_refused(name: str) -> None:
    assert refusals(GOOD[name], RELEASED) == []


def test_what_was_released_for_the_cases_is_itself_in_order() -> None:
    """Else a case could be refused for what was wrong before it."""
    for number, version in enumerate(RELEASED):
        assert breaches(version) == contradictions(version, RELEASED[:number]) == []


def test_a_version_long_gone_by_is_asked_too() -> None:
    """The second version has no score, so that it alone would not mind."""
    again = next(bad for bad in BAD_CHANGES if bad.name == "name used again for another type").candidate
    assert refusals(again, [SECOND]) == []
    assert refusals(again, RELEASED)


def drawn(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Any value of a field as fastavro takes it, of the field's whole range."""
    kind = kind_of(field["type"])
    of_kind: dict[str, st.SearchStrategy[Any]] = {
        ID: st.binary(min_size=16, max_size=16),
        IDS: st.lists(st.binary(min_size=16, max_size=16), max_size=3),
        TIME: st.integers(0, 1 << 52),
        "long": st.integers(-(1 << 63), (1 << 63) - 1),
        "boolean": st.booleans(),
        "bytes": st.binary(max_size=40),
        "string": st.text(max_size=10),
        "enum": st.sampled_from(kind.symbols or ("",)),
    }
    return st.none() | of_kind[kind.name] if kind.optional else of_kind[kind.name]


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with times as plain longs, which is how the codec reads them."""
    stripped: dict[str, Any] = json.loads(json.dumps(schema), object_hook=_without_logical_type)
    return stripped


def _without_logical_type(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "logicalType"}


@pytest.mark.parametrize(("writer", "reader"), PAIRS)
@settings(max_examples=20)
@given(data=st.data())
def test_every_version_reads_every_record_of_every_other(
    writer: dict[str, Any], reader: dict[str, Any], data: st.DataObject
) -> None:
    row = {name: data.draw(drawn(field), label=name) for name, field in fields_of(writer).items()}
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain(writer)), row)
    body = out.getvalue()

    expected, unknown_symbol = {}, False
    for name, field in fields_of(reader).items():
        expected[name] = row.get(name, field.get("default"))
        kind = kind_of(field["type"])
        if kind.name == "enum" and expected[name] not in kind.symbols:
            expected[name], unknown_symbol = kind.enum_default, True
    parsed = (fastavro.parse_schema(plain(writer)), fastavro.parse_schema(plain(reader)))
    assert fastavro.schemaless_reader(BytesIO(body), *parsed) == expected
    if unknown_symbol:
        return  # the Apache library for Python does not know the reader's default of an enum
    apache = avro.io.DatumReader(*(avro.schema.parse(json.dumps(plain(each))) for each in (writer, reader)))
    assert apache.read(avro.io.BinaryDecoder(BytesIO(body))) == expected


class Registry:
    """The real registry, with subjects of this run's own for the histories that the cases have."""

    def __init__(self, url: str) -> None:
        self._client = SchemaRegistryClient({"url": url, "timeout": 60})
        self._subjects: dict[str, str] = {}

    def accepts(self, released: Sequence[dict[str, Any]], candidate: dict[str, Any]) -> bool:
        """Whether it would take the candidate behind the released versions."""
        try:
            return self._client.test_compatibility_all_versions(self._subject(released), _as_schema(candidate))
        except SchemaRegistryError as error:
            assert error.http_status_code == 422, error  # no Avro schema at all
            return False

    def _subject(self, released: Sequence[dict[str, Any]]) -> str:
        key = json.dumps(released)
        if key not in self._subjects:
            subject = f"bad-changes.{uuid4().hex}"
            for version in released:
                self._client.register_schema(subject, _as_schema(version))
            self._client.set_config(subject, ServerConfig(compatibility=COMPATIBILITY))
            self._subjects[key] = subject
        return self._subjects[key]

    def forget(self) -> None:
        for subject in self._subjects.values():
            self._client.delete_subject(subject)


def _as_schema(avro_schema: dict[str, Any]) -> Schema:
    return Schema(json.dumps(avro_schema), "AVRO")


@pytest.fixture(scope="module")
def registry(servers: Environment) -> Iterator[Registry]:
    made = Registry(servers.schema_registry_url)
    yield made
    made.forget()


@pytest.mark.parametrize("bad", BAD_CHANGES, ids=lambda bad: bad.name)
def test_the_registry_refuses_what_is_said_to_be_refused_by_it(bad: BadChange, registry: Registry) -> None:
    assert registry.accepts(bad.released, bad.candidate) != bad.registry


@pytest.mark.parametrize("name", GOOD)
def test_the_registry_takes_what_the_rules_accept(name: str, registry: Registry) -> None:
    assert registry.accepts(RELEASED, GOOD[name])
