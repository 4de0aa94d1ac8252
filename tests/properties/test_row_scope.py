"""Claim: whatever happened, the events that name an id make all rows that the id is looked up by, and every count kept
under it; a repair of one id misses nothing by reading no other event.

Oracle: the fold of all events, every row of it; an id's bytes in the encoded event. Cannot catch: what the repair's SQL
makes of the rows, which tests/integration/test_repair.py shows.
"""

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectors.runtime.apply import column_types, event_column, has_gone
from projectors.runtime.changes import Changes, Key, Table
from projectors.runtime.row_scope import KINDS, Scope, key_ids, scope_columns
from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.types import Event
from tests.properties.histories import PEOPLE, scripts, society
from tests.properties.projections import POSTGRES_PROJECTIONS, PROJECTION_NAMES
from tests.schemas.events import plainly

CODEC = Codec({name: number for number, name in enumerate(event_schemas(), start=1)})
histories = st.builds(lambda script: society([True] * PEOPLE, script), scripts)


def row_of(table: Table, key: Key, changes: Changes) -> dict[str, object]:
    """The row's columns; null in groups that nothing has set."""
    row: dict[str, object] = dict.fromkeys(column_types(table))
    row.update(zip(table.key, key, strict=True))
    for group, (event_id, values) in changes.rows[table.name][key].items():
        row[event_column(group)] = event_id
        row.update(zip(table.groups[group], values, strict=True))
    return row


def ids_in(table: Table, row: dict[str, object], columns: Sequence[str]) -> set[UUID]:
    return {value for column in columns if isinstance(value := row[column], UUID)}


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(history=histories)
def test_the_events_that_name_an_id_make_all_its_rows(name: str, history: list[Event]) -> None:
    projection = POSTGRES_PROJECTIONS[name]
    whole = projection.fold(history)
    encoded = [CODEC.encode(event, plainly) for event in history]
    gone = whole.gone if has_gone(projection) else {}
    for table in projection.tables:
        for key in whole.rows.get(table.name, {}):
            row = row_of(table, key, whole)
            if any(row[column] in gone for column in table.gone_with):
                continue
            for identifier in ids_in(table, row, scope_columns(table)):
                naming = [event for event, value in zip(history, encoded, strict=True) if identifier.bytes in value]
                assert row_of(table, key, projection.fold(naming)) == row, (table.name, identifier)
            together = [
                event
                for event, value in zip(history, encoded, strict=True)
                if all(each.bytes in value for each in ids_in(table, row, key_ids(table)))
            ]
            assert row_of(table, key, projection.fold(together)) == row, table.name


@pytest.mark.parametrize("name", PROJECTION_NAMES)
def test_what_is_counted_under_an_id_is_found_by_it(name: str) -> None:
    for table in POSTGRES_PROJECTIONS[name].tables:
        for count in table.counts:
            ids = {column for column in count.by.values() if column_types(table)[column] == "uuid"}
            assert ids <= set(scope_columns(table))
        assert key_ids(table), "a row of which only some events name a key cannot be made of them"


@pytest.mark.parametrize("text", ["", "x", "like:1", "post:01a1fec5-dcc0-710b-bd49-586308e74075:", "what:1", ":"])
def test_what_is_no_key_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        Scope.of(text)


def test_an_id_and_every_kind_of_key_is_one() -> None:
    one, other = "01a1fec5-dcc0-710b-bd49-586308e74075", "01a1fec5-d7c7-79cb-977e-67817e9c2cbd"
    assert Scope.of(one).ids == (UUID(one),)
    for kind, number in KINDS.items():
        assert len(Scope.of(":".join([kind, *[one, other][:number]])).ids) == number
