"""Every fold gives what the reference model says, however its events are delivered.

Claim: whatever the order of the events across and within partitions, however they are cut into batches, and whichever
come again, a fold's Changes add up to the rows and counts of the reference model; and two deliveries of one history to
the same rows.
Oracle: tests/model/reference.py, which knows neither folds nor order.
Cannot catch: what SQL makes of Changes (test_apply.py does), the Redis functions of the feed, and a reading of
docs/semantics.md that both sides share.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectors.runtime.changes import Table
from schemas.types import Event
from tests.model.reference import Model
from tests.model.tables import TABLES, Expected, compare
from tests.properties.histories import delivered_histories, deliveries, histories
from tests.properties.interpretation import Tables, fold_in_batches
from tests.properties.projections import POSTGRES_PROJECTIONS, PROJECTION_NAMES, fold_of


def differences(name: str, events: Sequence[Event], found: Tables) -> list[object]:
    """What the tables of one projection hold that the model does not say, or the other way round."""
    model = Model(events)
    return [
        difference
        for table in TABLES
        if table.name.startswith(f"{name}.")
        for difference in compare(table, model, found.found(table))[2]
    ]


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(drawn=delivered_histories())
def test_any_delivery_gives_what_the_model_says(name: str, drawn: tuple[list[Event], list[list[Event]]]) -> None:
    events, batches = drawn
    projection = POSTGRES_PROJECTIONS[name]
    found = fold_in_batches(projection.tables, (projection.fold(batch) for batch in batches))
    assert differences(name, events, found) == []


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(data=st.data(), events=histories)
def test_two_deliveries_give_the_same_rows(name: str, data: st.DataObject, events: list[Event]) -> None:
    projection = POSTGRES_PROJECTIONS[name]
    one, other = (
        fold_in_batches(projection.tables, map(projection.fold, data.draw(deliveries(events)))) for _ in range(2)
    )
    assert (one.groups, one.erased, one.gone) == (other.groups, other.erased, other.gone)


@given(data=st.data(), events=histories)
def test_two_deliveries_touch_the_same_warm_feeds(data: st.DataObject, events: list[Event]) -> None:
    fold = fold_of("feed")
    one, other = ([fold(batch) for batch in data.draw(deliveries(events))] for _ in range(2))
    assert _touched(one) == _touched(other)


def _touched(batches: Sequence[object]) -> dict[str, set[object]]:
    """All that the batches ask of the feeds, without regard to which batch asks it."""
    return {
        name: {
            item
            for changes in batches
            for value in [getattr(changes, name)]
            for item in (_pairs(value) if isinstance(value, dict) else value)
        }
        for name in (vars(batches[0]) if batches else ())
    }


def _pairs(by_key: dict[object, set[object]]) -> set[object]:
    return {(key, value) for key, values in by_key.items() for value in values}


@pytest.mark.parametrize("expected", TABLES, ids=lambda expected: expected.name)
def test_every_declared_column_is_compared(expected: Expected) -> None:
    schema, _, name = expected.name.partition(".")
    tables = {table.name: table for table in POSTGRES_PROJECTIONS[schema].tables}
    counts = [count for table in tables.values() for count in table.counts if count.into == name]
    if name in tables:
        declared = _columns(tables[name])
        assert (set(expected.key), set(expected.columns)) == (set(tables[name].key), declared)
    else:
        assert counts, f"{expected.name} is neither a table nor a count table of {schema}"
        assert all(set(count.by) == set(expected.key) for count in counts)
        assert {count.column for count in counts} <= set(expected.columns)


def test_every_declared_table_is_compared() -> None:
    declared = {
        f"{projection.name}.{name}"
        for projection in POSTGRES_PROJECTIONS.values()
        for table in projection.tables
        for name in [table.name, *(count.into for count in table.counts)]
    }
    assert declared == {expected.name for expected in TABLES}, "tests/model/tables.py must say what each table holds"


def _columns(table: Table) -> set[str]:
    return {column for group, columns in table.groups.items() for column in (f"{group}_event", *columns)}
