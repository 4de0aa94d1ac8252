"""Brings a schema beside the live one forward to exact positions, by the statements of the live worker.

Effects stay off: nobody is told anything by a rebuild. Each step is a compare-and-set on the position, so that a step
made twice changes nothing. What the live schema leaves out is left out here (runtime/set_aside.py), and what this fold
or the tables refuse is parked.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection, RawCursor

from projectors.runtime import set_aside
from projectors.runtime.apply import parameters, statement_for
from projectors.runtime.bulk_reading import BulkReader, LogRecord, Stretch, open_bulk_codec
from projectors.runtime.changes import Changes
from projectors.runtime.erasure import Sweeper
from projectors.runtime.last_records import event_of
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.parking_lot import Aside, Parked
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.set_aside import NOT_ITS_OWN_FAULT
from projectors.runtime.siblings import Phase, Sibling, connect, copy_erased, offsets_of, place
from projectors.runtime.sifting import Folds, sift
from projectors.runtime.staging import staged
from projectors.runtime.stores import postgres
from projectors.runtime.stores.arrays import register
from projectors.runtime.stores.port import Advance, Partition, Unstorable
from projectors.runtime.stores.postgres import NOT_TO_BE_PACKED, OF_VALUES
from shared.environment import Environment

BATCH_RECORDS = 4_000


class PositionMoved(Exception):
    """Somebody else writes to the schema, or its positions were changed by hand."""


class NotPassed(Exception):
    """A record that is never parked cannot be applied: the erasure of a person, or an event of an unknown type."""


class CatchUp:
    """The writer of one schema; there must be no other."""

    def __init__(self, projection: PostgresProjection, environment: Environment, schema: str) -> None:
        self.schema = schema
        self._projection = replace(projection, effects="", sweep_effects="")
        self._reader = BulkReader(environment)
        self._codec = open_bulk_codec(projection, environment, opaque_ids=False)
        self._connection = connect(environment.read_database_url, plan_cache_mode="force_generic_plan")
        self._connection.prepare_threshold = 0
        register(self._connection.adapters)
        self._cursor = RawCursor(self._connection)
        self._folds = Folds(self._projection.fold, projection.parking_keys)
        # Parked records that were tried: what they change, and so how it ends, is the same the next time.
        self._applied: set[tuple[str, int, int]] = set()
        self._refused: set[tuple[str, int, int]] = set()

    @property
    def released(self) -> int:
        """How many parked records were applied."""
        return len(self._applied)

    def positions(self) -> dict[Partition, int]:
        return offsets_of(self._connection, self.schema)

    def advance(
        self,
        targets: Mapping[Partition, int],
        progress: Callable[[int], None] = lambda _: None,
        deadline: float = float("inf"),
    ) -> int:
        """Applies everything before these positions, and answers how many offsets that were.

        Raises TimeoutError past `deadline` (of time.monotonic), with what came until then applied; PositionMoved,
        NotPassed, and what the reader, the codec and the database raise.
        """
        set_aside.follow(self._connection, self._projection.name, self.schema)
        # What was applied here is still parked in the live schema until the swap.
        set_aside.forget(self._connection, self.schema, self._applied)
        found = self.positions()
        spans = {each: (found.get(each, 0), target) for each, target in targets.items()}
        moved = 0
        for stretch in self._reader.stretches(spans, BATCH_RECORDS, deadline):
            previous = found[stretch.partition]
            self._apply(stretch, previous)
            found[stretch.partition] = stretch.next
            moved += stretch.next - previous
            progress(stretch.next - previous)
        return moved

    def reconcile(self, live: Connection[Any], deadline: float = float("inf")) -> None:
        """Tries what is parked here and not there any more. `live` sees the live schema where this one is."""
        there, stands = set_aside.places(live, self._projection.name), self.positions()
        self.retry(
            [
                each
                for each in self.lying()
                if (each.topic, each.partition, each.record_offset) not in there
                and each.record_offset < stands.get(each.place, 0)
            ],
            deadline,
        )

    def lying(self) -> list[Parked]:
        """What is parked here, in the order of the log."""
        return set_aside.lying(self._connection, self.schema)

    def retry(self, records: Sequence[Parked], deadline: float = float("inf")) -> bool:
        """Applies those of these parked records that can be applied by now, and answers whether there were any; the
        others stay where they are.

        Raises TimeoutError past `deadline` (of time.monotonic); the next call goes on from there.
        """
        released = self.released
        standing: dict[Partition, set[str]] = {}
        for record in records:
            before, where = standing.setdefault(record.place, set()), set_aside.place_of(record)
            if where not in self._refused and before.isdisjoint(record.keys):
                if time.monotonic() > deadline:
                    raise TimeoutError("more is parked than could be tried in time")
                (self._applied if self._released(record) else self._refused).add(where)
            if where not in self._applied:
                before.update(record.keys)
        return self.released > released

    def _released(self, record: Parked) -> bool:
        at = self.positions().get(record.place)
        if at is None:
            return False
        step, aside = Advance(record.place, at, at, 0), Aside(released=(record.record_offset,))
        try:
            changes = self._projection.fold(self._codec.read([bytes(record.value)]))
            self._step(step, changes, aside)
        except (*NOT_ITS_OWN_FAULT, PositionMoved):
            raise
        except Exception:  # whatever it fails of, it goes on lying there
            return False
        return True

    def _apply(self, stretch: Stretch, previous: int) -> None:
        out = set_aside.left_out(self._connection, self.schema, stretch.partition, previous, stretch.next)
        step = Advance(stretch.partition, previous, stretch.next, 0, stretch.last_event)
        try:
            changes = self._projection.fold(self._codec.read(stretch.values_without(out)))
            self._step(step, changes, None)
        except (*NOT_ITS_OWN_FAULT, PositionMoved):
            raise
        except Exception:  # some record of these cannot be applied: which, is found out one by one
            self._one_by_one(step, [record for record in stretch.records() if record.offset not in out])

    def _one_by_one(self, step: Advance, records: Sequence[LogRecord]) -> None:
        at = step.previous
        for record in records:
            refused: dict[int, BaseException] = {}
            while True:
                sifted = sift(step.partition, [record], frozenset(), refused, self._codec, self._folds)
                if sifted.ended_at is not None:
                    where = f"{place(step.partition)}/{record.offset}"
                    raise NotPassed(f"{where} may not be passed and cannot be applied: {sifted.ended_by!r}")
                try:
                    own = Advance(step.partition, at, record.offset + 1, 0, event_of(record.key))
                    self._step(own, sifted.changes, Aside(sifted.parked) if sifted.parked else None)
                    break
                except Unstorable as error:
                    if refused:
                        raise
                    refused[record.offset] = error
            at = record.offset + 1
        if at < step.next or not records:
            self._step(replace(step, previous=at), Changes(), None)

    def _step(self, step: Advance, changes: Changes, aside: Aside | None) -> None:
        statement = statement_for(self._projection, self.schema, changes, aside is not None)
        try:
            values = parameters(statement, step, changes, aside)
            row = self._cursor.execute(statement.sql, values, binary=True).fetchone()
        except (*NOT_TO_BE_PACKED, *OF_VALUES) as error:
            raise Unstorable from error
        if row is None or not row[0]:
            raise PositionMoved(f"{self.schema} is no longer at {step.previous} in {step.partition}")

    def own(self) -> None:
        """Makes this writer the owner of every position, under the epoch it applies with."""
        self._connection.execute(f"update {self.schema}.position set epoch = 0, owner = 'rebuild'".encode())

    def close(self) -> None:
        self._reader.close()
        self._connection.close()


def sweep(projection: PostgresProjection, environment: Environment, sibling: Sibling) -> int:
    """Removes everybody from a sibling who is erased in the live schema; answers how many entries were swept.

    The caller holds the projection's rebuild lock: nobody else writes to the schema.
    """
    schema = sibling.schema
    with connect(environment.read_database_url) as connection:
        with connection.transaction():
            copy_erased(connection, projection.name, schema, ("erased",))
        undone = f"select user_id from {schema}.erased where done_at is null"
        row = connection.execute(f"select count(*) from ({undone}) as e".encode()).fetchone()
        if sibling.phase is not Phase.READY:
            # What was merged so far is made anew, without them; only what is staged must go.
            with connection.transaction():
                for table in projection.tables:
                    for column in table.erased_with if row and row[0] else ():
                        connection.execute(
                            f"delete from {schema}.{staged(table)} where {column} in ({undone})".encode()
                        )
                        connection.execute(f"delete from {schema}.{table.name} where {column} in ({undone})".encode())
                # Rows of theirs that are staged later are left out when the tables are made.
                connection.execute(
                    f"update {schema}.erased set done_at = clock_timestamp() where done_at is null".encode()
                )
                set_aside.forget_dropped(connection, schema)
            return row[0] if row else 0

    async def swept() -> int:
        sweeper = Sweeper(replace(projection, sweep_effects=""), environment, LogEnds(environment), schema)
        async with await postgres.connect(environment.read_database_url) as own:
            return await sweeper.sweep_alone(own)

    return asyncio.run(swept())
