"""Claim: for every projection, what a bulk rebuild makes of any history is what batches applied one by one leave.

Oracle: runtime/apply.py on the same events in another order and other batches, compared by the digests and, where they
differ, row by row. A real PostgreSQL, no broker: chunks are staged as a loader stages them. Cannot catch: a fault of
the folds, which both sides share.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import RawCursor

from projectors.runtime import prepare as preparing
from projectors.runtime import siblings
from projectors.runtime.apply import parameters, statement_for
from projectors.runtime.bulk_reading import BulkCodec
from projectors.runtime.digests import compare, compared, digests
from projectors.runtime.loading import enter
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.rebuild import Rebuild, Report
from projectors.runtime.siblings import Kind, Phase
from projectors.runtime.staging import copies
from projectors.runtime.stores.arrays import register
from projectors.runtime.stores.port import Advance, Partition
from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.types import Event
from shared.environment import Environment
from tests.properties.histories import delivered_histories
from tests.properties.projections import POSTGRES_PROJECTIONS, PROJECTION_NAMES

IDS = {name: number for number, name in enumerate(event_schemas(), start=1)}
EXAMPLES = settings().max_examples // 5


@dataclass
class Ground:
    """A read database of the test's own."""

    environment: Environment
    connection: psycopg.Connection[Any]

    def apply(self, projection: PostgresProjection, batches: list[list[Event]]) -> None:
        """The live schema, made anew, after these batches."""
        name = projection.name
        with self.connection.transaction():
            self.connection.execute(f"drop schema if exists {name} cascade".encode())
            for statement in (
                *preparing.table_statements(projection, name),
                *preparing.index_statements(projection, name),
            ):
                self.connection.execute(statement.encode())
            self.connection.execute(
                f"insert into {name}.position (topic, partition, next_offset, epoch, owner)"
                " values ('posts', 0, 0, 1, 'test')".encode()
            )
        without_effects = replace(projection, effects="")
        cursor = RawCursor(self.connection)
        for offset, batch in enumerate(batches):
            changes = projection.fold(batch)
            made = statement_for(without_effects, name, changes)
            step = Advance(Partition("posts", 0), offset, offset + 1, 1)
            row = cursor.execute(made.sql, parameters(made, step, changes), binary=True).fetchone()
            assert row is not None and row[0] == 1

    def rebuild(self, projection: PostgresProjection, chunks: list[list[Event]]) -> str:
        """The schema that a rebuild makes of these chunks."""
        work = Rebuild(projection, self.environment, self.connection, lambda *_: None, processes=1)
        schema = f"{projection.name}_next"
        if siblings.found(self.connection, schema):
            siblings.drop(self.connection, schema)
        sibling, _ = work.begin_or_resume(Kind.NEXT, schema, {})
        codec = Codec(IDS)
        opaque = BulkCodec(codec, IDS, None, opaque_ids=not projection.computes_with_ids)
        for chunk in chunks:
            # Text stays readable where the projection keeps it.
            values = [codec.encode(event, lambda *_: b"sealed") for event in chunk]
            changes = projection.fold(chunk if projection.reads_text else opaque.read(values))
            for statement, rows in copies(projection, schema, changes):
                with self.connection.cursor().copy(statement.encode()) as copy:
                    copy.write(rows)
            enter(self.connection, projection, schema, changes)
        work.merge(sibling.at(Phase.MERGING), Report(projection.name, schema))
        return schema


@pytest.fixture(scope="module")
def ground(servers: Environment, scratch_database: str) -> Iterator[Ground]:
    with psycopg.connect(scratch_database, autocommit=True) as connection:
        register(connection.adapters)
        yield Ground(replace(servers, read_database_url=scratch_database), connection)


def differences(ground: Ground, projection: PostgresProjection, schema: str) -> list[Any]:
    live = {what.table: digests(ground.connection, projection.name, what) for what in compared(projection, ())}
    found = compare(projection, live, ground.connection, ground.connection, schema, ())
    return [difference for _, _, difference in found if difference is not None]


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(data=st.data(), drawn=delivered_histories())
@settings(max_examples=EXAMPLES)
def test_rebuilt_in_bulk_is_applied_one_by_one(
    ground: Ground, name: str, data: st.DataObject, drawn: tuple[list[Event], list[list[Event]]]
) -> None:
    events, batches = drawn
    projection = POSTGRES_PROJECTIONS[name]
    ground.apply(projection, batches)
    order = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(order)))
    schema = ground.rebuild(projection, [list(order[:cut]), list(order[cut:])])
    assert differences(ground, projection, schema) == []


@pytest.mark.parametrize("name", PROJECTION_NAMES)
def test_a_planted_difference_in_any_table_is_found(ground: Ground, name: str) -> None:
    projection = POSTGRES_PROJECTIONS[name]
    ground.apply(projection, [])
    schema = ground.rebuild(projection, [])
    samples = {"uuid": "gen_random_uuid()", "text": "'x'", "integer": "1", "bigint": "1", "boolean": "true"}
    samples |= {"timestamptz": "now()", "jsonb": "'{}'", "uuid[]": "'{}'", "text[]": "'{}'"}
    for table in projection.tables:
        columns: dict[str, str] = dict(table.key)
        for group, own in table.groups.items():
            columns |= {f"{group}_event": "uuid", **own}
        values = ", ".join(samples[kind] for kind in columns.values())
        insert = f"insert into {schema}.{table.name} ({', '.join(columns)}) values ({values})"
        ground.connection.execute(insert.encode())
        [found] = differences(ground, projection, schema)
        assert (found.table, found.live) == (table.name, None) and found.rebuilt is not None
        ground.connection.execute(f"delete from {schema}.{table.name}".encode())
    for counts in projection.count_tables:
        keys = ", ".join(samples[kind] for kind in counts.key.values())
        ground.connection.execute(
            f"insert into {schema}.{counts.name} ({', '.join(counts.key)}) values ({keys})".encode()
        )
        assert differences(ground, projection, schema) == [], "a row of zeros equals no row"
        ground.connection.execute(f"update {schema}.{counts.name} set {counts.columns[0]} = 1".encode())
        [found] = differences(ground, projection, schema)
        assert found.table == counts.name
        ground.connection.execute(f"delete from {schema}.{counts.name}".encode())
