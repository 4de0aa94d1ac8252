"""The real apply on a real PostgreSQL gives what Changes mean, with two connections at once.

Claim: whatever batches two workers of one projection apply at the same time, through runtime/stores/postgres.py, the
rows are those of the in-memory meaning (interpretation.py), and each count table is at every rest exactly what its
rows add up to; and the last frame about each notification says whether its recipient is shown it.
Oracle: the in-memory interpretation of the same Changes; for the counts, the rows that the database itself holds; for
the frames, the reference model.
Cannot catch: crashes between batches (the kill test does), and when the sweeper thinks it is done.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from psycopg import sql

from projectors.runtime.apply import Statement, statement_for
from projectors.runtime.changes import Changes, Key
from projectors.runtime.erasure import Sweeper
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.prepare import prepare
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores import postgres as stores_postgres
from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore, connect
from schemas.types import Event
from shared.environment import Environment
from tests.model.feeds import compare_delivery
from tests.model.found import ids_of, rows_of
from tests.model.reference import Model
from tests.model.tables import TABLES, VIEWS, Difference, Expected, compare
from tests.properties.histories import delivered_histories
from tests.properties.interpretation import NamedRow, fold_in_batches, is_counted
from tests.properties.projections import POSTGRES_PROJECTIONS, PROJECTION_NAMES

WORKERS = 2
DATABASE_EXAMPLES = settings().max_examples * 2 // 3
SEARCH = settings(
    max_examples=1_000, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)


@dataclass
class Bench:
    """A read database of the test's own, two workers for each projection, and a connection to look at it."""

    environment: Environment
    runner: asyncio.Runner
    connection: psycopg.Connection[Any]
    workers: dict[str, list[PostgresStore]] = field(default_factory=dict)

    def prepare(self, projection: PostgresProjection) -> None:
        """Makes the projection's schema and its two workers, once."""
        if projection.name not in self.workers:
            self.runner.run(prepare(self.environment, [projection]))
            self.workers[projection.name] = [
                PostgresStore(projection, self.environment.read_database_url, f"test-{number}")
                for number in range(WORKERS)
            ]

    def clear(self, projection: PostgresProjection) -> None:
        """Empties the projection's schema; both workers stand at offset 0 under epoch 1."""
        tables = self.connection.execute(
            "select tablename from pg_tables where schemaname = %s", (projection.name,)
        ).fetchall()
        for (table,) in tables:
            self.connection.execute(sql.SQL("delete from {}").format(sql.Identifier(projection.name, table)))
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"insert into {projection.name}.position (topic, partition, next_offset, epoch, owner)"
                " values ('posts', %s, 0, 1, 'test')",
                [(number,) for number in range(WORKERS)],
            )

    def apply(
        self, projection: PostgresProjection, batches: Sequence[tuple[int, Sequence[Event]]], sweeping: bool = False
    ) -> None:
        """Each worker applies its batches in their order, both at once, with the sweeper beside them if asked."""

        async def work(number: int) -> None:
            store = self.workers[projection.name][number]
            mine = [batch for worker, batch in batches if worker == number]
            for offset, batch in enumerate(mine):
                step = Advance(Partition("posts", number), offset, offset + 1, 1)
                assert await store.apply(step, projection.fold(batch)) is Outcome.APPLIED

        async def both() -> None:
            sweeps = [self._sweep(projection)] if sweeping else []
            await asyncio.gather(*(work(number) for number in range(WORKERS)), *sweeps)
            if sweeping:
                await self._sweep(projection)

        self.runner.run(both())

    async def _sweep(self, projection: PostgresProjection) -> None:
        """What the sweeper does with every entry there is, without waiting for positions in between."""
        sweeper = Sweeper(projection, self.environment, LogEnds(self.environment))
        async with await connect(self.environment.read_database_url) as connection:
            for name in sweeper._sets:
                await sweeper._sweep(connection, name, list(await sweeper._entries(connection, name, "true")))


@pytest.fixture(scope="module")
def bench(servers: Environment, scratch_database: str) -> Iterator[Bench]:
    own = replace(servers, read_database_url=scratch_database)
    with asyncio.Runner() as runner, psycopg.connect(scratch_database, autocommit=True) as connection:
        made = Bench(own, runner, connection)
        yield made
        for stores in made.workers.values():
            for store in stores:
                runner.run(store.close())


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(data=st.data(), drawn=delivered_histories())
@settings(max_examples=DATABASE_EXAMPLES)
def test_two_workers_at_once_leave_what_the_changes_mean(
    bench: Bench, name: str, data: st.DataObject, drawn: tuple[list[Event], list[list[Event]]]
) -> None:
    _, batches = drawn
    projection = POSTGRES_PROJECTIONS[name]
    assigned = [(data.draw(st.integers(0, WORKERS - 1)), batch) for batch in batches]
    bench.prepare(projection)
    bench.clear(projection)
    bench.apply(projection, assigned)
    meant = fold_in_batches(projection.tables, (projection.fold(batch) for batch in batches))
    with bench.connection.transaction():
        for expected in TABLES:
            if expected.name.startswith(f"{name}.") and not expected.is_count:
                taken = meant.taken_away(expected.name.partition(".")[2])
                there = {key: row for key, row in _rows_there(bench, projection, expected).items() if key not in taken}
                assert there == dict(meant.found(expected)), expected.name
        assert _kept_counts(bench, projection) == _derived_counts(bench, projection)


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(data=st.data(), drawn=delivered_histories())
@settings(max_examples=DATABASE_EXAMPLES)
def test_what_is_left_after_sweeping_is_what_the_model_says(
    bench: Bench, name: str, data: st.DataObject, drawn: tuple[list[Event], list[list[Event]]]
) -> None:
    events, batches = drawn
    projection = POSTGRES_PROJECTIONS[name]
    assigned = [(data.draw(st.integers(0, WORKERS - 1)), batch) for batch in batches]
    bench.prepare(projection)
    bench.clear(projection)
    bench.apply(projection, assigned, sweeping=True)
    model = Model(events)
    with bench.connection.transaction():
        for expected in (*TABLES, *VIEWS):
            if expected.name.startswith(f"{name}."):
                assert compare(expected, model, rows_of(bench.connection, expected))[2] == []
        for table in projection.tables:
            expected = next(each for each in TABLES if each.name == f"{name}.{table.name}")
            for row in _named(bench, expected):
                assert not _is_swept(bench, projection, row, table.erased_with, table.gone_with), (table.name, row)


@given(data=st.data(), drawn=delivered_histories())
@settings(max_examples=DATABASE_EXAMPLES)
def test_the_last_frames_of_two_workers_are_what_the_model_shows(
    bench: Bench, data: st.DataObject, drawn: tuple[list[Event], list[list[Event]]]
) -> None:
    events, batches = drawn
    assigned = [(data.draw(st.integers(0, WORKERS - 1)), batch) for batch in batches]
    assert _frames_not_of_the_model(bench, events, assigned) == []


def _frames_not_of_the_model(
    bench: Bench, events: Sequence[Event], batches: Sequence[tuple[int, Sequence[Event]]]
) -> list[Difference]:
    """What these batches, with their workers, leave of frames that say otherwise than the model of all events."""
    projection = POSTGRES_PROJECTIONS["notifications"]
    bench.prepare(projection)
    bench.clear(projection)
    bench.connection.execute("truncate delivery.frame, delivery.head")
    bench.apply(projection, batches)
    with bench.connection.transaction():
        return compare_delivery(Model(events), bench.connection, lambda _: None)[1]


def _rows_there(bench: Bench, projection: PostgresProjection, expected: Expected) -> dict[Key, tuple[Any, ...]]:
    """The rows of a table without those that the sweeper has still to delete."""
    table = {table.name: table for table in projection.tables}[expected.name.partition(".")[2]]
    return {
        tuple(row[column] for column in expected.key): tuple(row[column] for column in expected.columns)
        for row in _named(bench, expected)
        if not _is_swept(bench, projection, row, table.erased_with, table.gone_with)
    }


def _named(bench: Bench, expected: Expected) -> Iterator[NamedRow]:
    for key, row in rows_of(bench.connection, expected):
        yield dict(zip((*expected.key, *expected.columns), (*key, *row), strict=True))


def _is_swept(
    bench: Bench, projection: PostgresProjection, row: NamedRow, erased_with: Sequence[str], gone_with: Sequence[str]
) -> bool:
    erased = ids_of(bench.connection, projection.name, "erased", "user_id")
    gone = ids_of(bench.connection, projection.name, "gone", "post_id")
    return any(row[column] in erased for column in erased_with) or any(row[column] in gone for column in gone_with)


def _derived_counts(bench: Bench, projection: PostgresProjection) -> dict[tuple[str, str], dict[Key, int]]:
    """(count table, column) -> key -> what the rows in the database add up to, swept or not."""
    found: dict[tuple[str, str], Counter[Key]] = {}
    for table in projection.tables:
        expected = next(each for each in TABLES if each.name == f"{projection.name}.{table.name}")
        for row in _named(bench, expected) if table.counts else ():
            for count in table.counts if is_counted(table, row) else ():
                order = _key_of(projection, count.into)
                key = tuple(row[count.by[column]] for column in order)
                if None not in key:
                    found.setdefault((count.into, count.column), Counter())[key] += 1
    return _without_ended(bench, projection, found)


def _kept_counts(bench: Bench, projection: PostgresProjection) -> dict[tuple[str, str], dict[Key, int]]:
    found: dict[tuple[str, str], Counter[Key]] = {}
    for expected in TABLES:
        schema, _, table = expected.name.partition(".")
        if schema == projection.name and expected.is_count:
            for key, row in rows_of(bench.connection, expected):
                for column, value in zip(expected.columns, row, strict=True):
                    found.setdefault((table, column), Counter())[key] = value
    return _without_ended(bench, projection, found)


def _without_ended(
    bench: Bench, projection: PostgresProjection, counts: dict[tuple[str, str], Counter[Key]]
) -> dict[tuple[str, str], dict[Key, int]]:
    """Without zeros, and without the counts of erased people and gone posts, which end with them."""
    declared = {table.name: table for table in projection.count_tables}
    kept: dict[tuple[str, str], dict[Key, int]] = {}
    for (table, column), values in counts.items():
        count_table = declared.get(table)
        names = _key_of(projection, table)
        kept[table, column] = {
            key: value
            for key, value in values.items()
            if value
            and not (
                count_table
                and _is_swept(
                    bench,
                    projection,
                    dict(zip(names, key, strict=True)),
                    count_table.erased_with,
                    count_table.gone_with,
                )
            )
        }
    return {where: values for where, values in kept.items() if values}


def _key_of(projection: PostgresProjection, table: str) -> tuple[str, ...]:
    return next(expected.key for expected in TABLES if expected.name == f"{projection.name}.{table}")


def test_a_count_that_forgets_what_the_old_row_counted_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: were the old row not looked at, a reaction that changes would be counted twice."""

    def forgetful(projection: PostgresProjection, schema: str, changes: Changes, aside: bool) -> Statement:
        statement = statement_for(projection, schema, changes, aside)
        return replace(statement, sql=statement.sql.replace("was_counted = t.counted", "was_counted = false"))

    monkeypatch.setattr(stores_postgres, "statement_for", forgetful)
    projection = POSTGRES_PROJECTIONS["counters"]
    bench.prepare(projection)

    def miscounts(drawn: tuple[list[Event], list[list[Event]]]) -> bool:
        bench.clear(projection)
        # One worker: what is found must be found again when it is tried again.
        bench.apply(projection, [(0, batch) for batch in drawn[1]])
        with bench.connection.transaction():
            return _kept_counts(bench, projection) != _derived_counts(bench, projection)

    find(delivered_histories(), miscounts, settings=SEARCH, random=Random(20_261_121))


def test_frames_that_forget_a_silence_are_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: were nothing told when a silence begins or ends, what it hides would stay on clients' screens."""

    def forgetful(projection: PostgresProjection, schema: str, changes: Changes, aside: bool) -> Statement:
        statement = statement_for(projection, schema, changes, aside)
        return replace(
            statement,
            sql=statement.sql.replace(
                "was_blocked\n    from changed_silence", "was_blocked\n    from changed_silence where false"
            ),
        )

    monkeypatch.setattr(stores_postgres, "statement_for", forgetful)

    def differs(drawn: tuple[list[Event], list[list[Event]]]) -> bool:
        return bool(_frames_not_of_the_model(bench, drawn[0], [(0, batch) for batch in drawn[1]]))

    find(delivered_histories(), differs, settings=SEARCH, random=Random(20_261_121))
