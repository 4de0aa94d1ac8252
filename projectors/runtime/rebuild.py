"""Rebuilds a PostgreSQL projection beside the live one, from the log alone, and resumes wherever it was killed.

    loading    records are read in bulk, folded by the live fold, and copied into staging tables, by several processes
    merging    each table is made of its staged rows at once, newest wins; counts from the rows; indexes last
    ready      whole up to its positions; from here it is brought forward by the live statements, without effects

How far it is stands in the schema itself, in the transactions that bring it there. It follows the live schema's
positions and never passes them, so that both can be brought to exactly the same ones. One rebuild of a projection at a
time: an advisory lock of the session is what a second one is refused by.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import Connection

from projectors.runtime import set_aside, siblings, staging
from projectors.runtime.bulk_reading import BulkCodec, BulkReader, open_bulk_codec
from projectors.runtime.catching_up import CatchUp, sweep
from projectors.runtime.changes import Changes, CountTable, Table
from projectors.runtime.digests import Comparison, compare, compared, digests
from projectors.runtime.loading import CHUNK_RECORDS, Segment, enter, segments_of
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.merging import merge_tasks
from projectors.runtime.prepare import reading_grants, table_statements
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.siblings import Kind, Phase, Sibling, connect, lock_number, place, shape_of
from projectors.runtime.stores.port import Partition
from projectors.runtime.swap import Swapped, live_positions, older, swap
from projectors.runtime.tasks import run_all
from schemas.codec import MalformedRecord
from schemas.types import UserErased
from shared.environment import REPOSITORY, Environment

PROCESSES_MAX = 4
BULK_RECORDS_MIN = 200_000  # a smaller rest is caught up with by the live statements
CAUGHT_UP_RECORDS = 500
WAIT_FOR_LIVE_SECONDS = 60.0
ORPHAN_SECONDS_MAX = 60.0
UNBOUND = "now"  # what a state says of its end that was asked for without one
LOCK_SECONDS_MAX = 2.0  # a live worker may be sweeping a sibling, which is short

Spans = Mapping[Partition, tuple[int, int]]
# (phase, done, of how many); `done` counts offsets while loading and catching up, statements while merging
Progress = Callable[[str, int, int], None]


class Refused(Exception):
    """What was asked for has no sense now, or another rebuild runs; nothing was changed."""


class Unfinished(Exception):
    """It ended before its time; what is done is kept, and the same command goes on from there."""


@dataclass
class Report:
    """What a rebuild did. Seconds by phase; `records` are the offsets that it went through."""

    projection: str
    schema: str
    records: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    statements: dict[str, float] = field(default_factory=dict)  # of the merging phase, by table or index
    resumed: bool = False
    comparison: Comparison | None = None
    parked: int = 0  # records left out: parked, not those dropped
    released: int = 0  # parked in the live schema, and applied by this version's fold
    swapped: Swapped | None = None


@contextmanager
def alone(
    environment: Environment, projection: str, wait_seconds: float = LOCK_SECONDS_MAX
) -> Iterator[Connection[Any]]:
    """Holds the projection's rebuild lock for as long as the session lives. Raises Refused while another does."""
    with connect(environment.read_database_url) as connection:
        deadline = time.monotonic() + wait_seconds
        while True:
            row = connection.execute("select pg_try_advisory_lock(%s)", (lock_number(projection),)).fetchone()
            if row is not None and row[0]:
                break
            if time.monotonic() >= deadline:
                raise Refused(f"another rebuild or rollback of {projection} is running: wait for it, or stop it")
            time.sleep(0.1)
        yield connection


class Rebuild:
    """One schema being made. `connection` is the session that holds the lock of runtime/rebuild.py `alone`."""

    def __init__(
        self,
        projection: PostgresProjection,
        environment: Environment,
        connection: Connection[Any],
        progress: Progress,
        processes: int = 0,
        chunk_records: int = CHUNK_RECORDS,
    ) -> None:
        self.projection = projection
        self._environment = environment
        self._connection = connection
        self._progress = progress
        self._processes = processes or min(PROCESSES_MAX, os.cpu_count() or 1)
        self.chunk_records = chunk_records
        self._ends = LogEnds(environment)

    def live_spans(self) -> dict[Partition, tuple[int, int]]:
        """Each partition's first offset, and where the live schema is; the log's end where that has no position.

        Raises Refused when the live schema is beyond the log.
        """
        partitions = self._ends.partitions(self.projection.topics)
        # Positions first: what is appended and applied in between must not look like a log that lost it.
        live = live_positions(self._connection, self.projection)
        first, ends = self._ends.beginnings(partitions), self._ends.ends(partitions)
        for partition in partitions:
            if live.get(partition, 0) > ends[partition]:
                raise Refused(
                    f"{place(partition)} ends at {ends[partition]}, and {self.projection.name} has applied up to"
                    f" {live[partition]}: the log has lost its tail"
                )
        return {each: (first[each], max(first[each], live.get(each, ends[each]))) for each in partitions}

    def begin_or_resume(self, kind: Kind, schema: str, spans: Spans, until: str = "") -> tuple[Sibling, bool]:
        """The schema to go on with, and whether it was begun before."""
        name, shape = self.projection.name, shape_of(self.projection)
        known = siblings.found(self._connection, schema)
        if known is None and siblings.exists(self._connection, schema):
            raise Refused(f"there is a schema {schema} that no rebuild made: rename or drop it")
        usable = known is not None and known.shape == shape and not known.released
        if known is not None and usable and self._is_whole(known) and self._ends_there(known, spans):
            return known, True
        if known is not None:
            siblings.drop(self._connection, schema)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        sibling = Sibling(schema, name, kind, Phase.LOADING, began_at=now, shape=shape, until=until)
        with self._connection.transaction():
            for statement in table_statements(self.projection, schema):
                self._connection.execute(statement.encode())
            self._connection.execute(staging.staging_ddl(self.projection, schema).encode())
            self._add_segments(schema, spans)
            siblings.write(self._connection, sibling)
            # First of all: nobody who is erased comes back, whatever the log still holds of them. What is gone now was
            # not gone then, in a state of the past.
            sets = ("erased", "gone") if kind is Kind.NEXT and "posts" in self.projection.topics else ("erased",)
            siblings.copy_erased(self._connection, name, schema, sets)
            set_aside.follow(self._connection, name, schema, of_segments=kind is not Kind.NEXT)
        return sibling, False

    def _is_whole(self, sibling: Sibling) -> bool:
        """Whether what was staged is still there: a crash of the server empties it."""
        if sibling.phase is Phase.READY:
            return True
        row = self._connection.execute(f"select count(*) from {sibling.schema}.{staging.SEGMENT}".encode()).fetchone()
        return row is not None and row[0] > 0

    def _ends_there(self, sibling: Sibling, spans: Spans) -> bool:
        """Whether a state of the past ends where it would if it were made now; one that has no bound of its own and is
        not whole yet goes on to where the log ended when it was begun."""
        if sibling.kind is Kind.NEXT:
            return True
        if sibling.phase is Phase.READY:
            ends = siblings.offsets_of(self._connection, sibling.schema)
        elif sibling.until == UNBOUND:
            return True
        else:
            ends = {each: end for each, (_, end) in self.segment_spans(sibling.schema).items()}
        return ends == {each: end for each, (_, end) in spans.items()}

    def segment_spans(self, schema: str) -> dict[Partition, tuple[int, int]]:
        """What part of each partition an unfinished schema is made of."""
        rows = self._connection.execute(
            f"""select topic, partition, min(first_offset), max(until_offset)
                  from {schema}.{staging.SEGMENT} group by 1, 2""".encode()
        ).fetchall()
        return {Partition(topic, number): (first, until) for topic, number, first, until in rows}

    def _add_segments(self, schema: str, spans: Spans) -> None:
        rows = [
            segment
            for partition, span in spans.items()
            for segment in segments_of(partition, *span, self.chunk_records)
        ]
        with self._connection.cursor() as cursor:
            cursor.executemany(
                f"""insert into {schema}.{staging.SEGMENT} (topic, partition, first_offset, until_offset, next_offset)
                    values (%s, %s, %s, %s, %s) on conflict do nothing""".encode(),
                rows,
            )

    def load(self, sibling: Sibling) -> Sibling:
        """Loads what is not yet staged, also what the live schema has applied meanwhile, where that is much."""
        self._wait_for_orphans(sibling.schema)
        while True:
            _load_all(self, sibling.schema)
            if sibling.kind is not Kind.NEXT or not self._extend(sibling.schema):
                break
        after = sibling.at(Phase.MERGING)
        siblings.write(self._connection, after)
        return after

    def _wait_for_orphans(self, schema: str) -> None:
        """Loaders of a rebuild that was killed end by themselves; until then what they stage may still be counted."""
        with connect(self._environment.read_database_url, lock_timeout=f"{int(ORPHAN_SECONDS_MAX)}s") as connection:
            connection.execute("select pg_advisory_lock(%s)", (lock_number("loading", schema),))

    def _extend(self, schema: str) -> bool:
        """Adds segments up to where the live schema is now, if that is worth while."""
        until = {each: end for each, (_, end) in self.segment_spans(schema).items()}
        spans = {each: (until[each], end) for each, (_, end) in self.live_spans().items() if end > until.get(each, end)}
        if sum(end - first for first, end in spans.values()) < BULK_RECORDS_MIN:
            return False
        set_aside.follow(self._connection, self.projection.name, schema)
        self._add_segments(schema, spans)
        return True

    def segments_left(self, schema: str) -> tuple[list[Segment], int, int]:
        """What is to be loaded, largest first, with the records done and those there are."""
        rows = self._connection.execute(
            f"select topic, partition, first_offset, until_offset, next_offset from {schema}.{staging.SEGMENT}".encode()
        ).fetchall()
        every = [Segment(*row) for row in rows]
        left = [each for each in every if each.next < each.until]
        left.sort(key=lambda each: each.next - each.until)
        return left, sum(each.next - each.first for each in every), sum(each.until - each.first for each in every)

    def merge(self, sibling: Sibling, report: Report) -> Sibling:
        """Makes the tables of what is staged, then the indexes, then the positions. Broken off, it begins again."""
        schema, projection = sibling.schema, self.projection
        tables: list[Table | CountTable] = [*projection.tables, *projection.count_tables]
        with self._connection.transaction():
            row = self._connection.execute("select clock_timestamp()").fetchone()
            began = row[0] if row else None
            siblings.copy_erased(self._connection, projection.name, schema, ("erased",))
            for table in tables:
                self._connection.execute(f"drop table if exists {schema}.{table.name} cascade".encode())
            for statement in table_statements(projection, schema):
                self._connection.execute(statement.encode())
            for table in tables:
                self._connection.execute(
                    f"alter table {schema}.{table.name} drop constraint {table.name}_pkey,"
                    " set (autovacuum_enabled = off)".encode()
                )
        tasks = merge_tasks(projection, schema)
        finished = 0

        def done(name: str, seconds: float) -> None:
            nonlocal finished
            finished += 1
            report.statements[name] = round(seconds, 2)
            self._progress("merging", finished, len(tasks))

        run_all(tasks, self._merging_connection, self._processes, done)
        after = sibling.at(Phase.READY, ended_at=datetime.now(UTC).isoformat(timespec="seconds"))
        with self._connection.transaction():
            for table in tables:
                self._connection.execute(
                    f"alter table {schema}.{table.name} add constraint {table.name}_pkey primary key"
                    f" using index {table.name}_pkey, reset (autovacuum_enabled)".encode()
                )
            self._connection.execute(staging.position_sql(schema).encode())
            for name in ("erased", "gone") if "posts" in projection.topics else ("erased",):
                # Nothing of theirs was let in.
                self._connection.execute(
                    f"update {schema}.{name} set done_at = clock_timestamp() where entered_at < %s".encode(), (began,)
                )
            for name in staging.staging_tables(projection):
                self._connection.execute(f"drop table {schema}.{name}".encode())
            set_aside.forget_dropped(self._connection, schema)
            self._connection.execute(reading_grants(schema, self._environment))
            siblings.write(self._connection, after)
        return after

    def _merging_connection(self) -> Connection[Any]:
        connection = connect(
            self._environment.read_database_url,
            synchronous_commit="off",  # the commit that makes the schema ready waits for all of it
            work_mem="512MB",
            hash_mem_multiplier="2",
            maintenance_work_mem="512MB",
            max_parallel_workers_per_gather="0",  # the statements themselves are what runs side by side
            max_parallel_maintenance_workers="0",
        )
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            # Index pages go to the write-ahead log whole; squeezing them takes longer than making them.
            connection.execute("set wal_compression = off")
        return connection

    def enter_later_erasures(self, sibling: Sibling, first: Mapping[Partition, int]) -> None:
        """Who was erased after a past state is erased in it too: the rest of the log is read for that alone."""
        accounts = {each: offset for each, offset in first.items() if each.topic == "accounts"}
        ends = self._ends.ends(accounts)
        codec = open_bulk_codec(self.projection, self._environment, opaque_ids=False)
        reader, changes = BulkReader(self._environment), Changes()
        try:
            for stretch in reader.stretches({each: (offset, ends[each]) for each, offset in accounts.items()}, 20_000):
                for event in _erasures(codec, stretch.values):
                    changes.erase(event.subject_id, event.event_id)
        finally:
            reader.close()
        enter(self._connection, self.projection, sibling.schema, changes)

    def sweep(self, sibling: Sibling) -> None:
        sweep(self.projection, self._environment, sibling)

    def catch_up(self, sibling: Sibling, writer: CatchUp) -> int:
        """Follows the live schema until it is close behind, and answers how many offsets that were."""
        moved = 0
        while True:
            ahead = {each: end for each, (_, end) in self.live_spans().items() if end > writer.positions().get(each, 0)}
            stands = writer.positions()
            lag = sum(end - stands.get(each, 0) for each, end in ahead.items())
            if lag == 0:
                return moved
            done = 0

            def progress(records: int, lag: int = lag) -> None:
                nonlocal done
                done += records
                self._progress("catching up", done, lag)

            moved += writer.advance(ahead, progress)
            if lag <= CAUGHT_UP_RECORDS:
                return moved

    def verify(self, sibling: Sibling, writer: CatchUp, changed: Sequence[str]) -> Comparison:
        """Compares with the live schema at exactly the same positions. Raises Refused when those cannot be had."""
        result = Comparison(changed=sorted(changed))
        whats = compared(self.projection, changed)
        deadline = time.monotonic() + WAIT_FOR_LIVE_SECONDS
        while True:
            stands = writer.positions()
            with connect(self._environment.read_database_url) as live, live.transaction():
                live.execute("set transaction isolation level repeatable read, read only")
                at = live_positions(live, self.projection)
                behind = [each for each, offset in stands.items() if at.get(each, 0) < offset]
                if not behind:
                    taken = {}
                    for number, what in enumerate(whats):
                        self._progress("verifying", number, 2 * len(whats))
                        taken[what.table] = digests(live, self.projection.name, what)
                    writer.advance(at)
                    writer.reconcile(live)
                    result.parked = {
                        side: len(set_aside.places(where, schema))
                        for side, where, schema in (
                            ("live", live, self.projection.name),
                            ("rebuilt", self._connection, sibling.schema),
                        )
                    }
                    with connect(self._environment.read_database_url) as own:
                        found = compare(self.projection, taken, live, own, sibling.schema, changed)
                        for number, (what, rows, difference) in enumerate(found):
                            self._progress("verifying", len(whats) + number + 1, 2 * len(whats))
                            result.rows[what.table] = rows
                            if difference is not None:
                                result.differing.append(what.table)
                                result.first.append(difference)
                    return result
            if time.monotonic() > deadline:
                raise Refused(
                    f"{self.projection.name} has not reached {stands[behind[0]]} in {place(behind[0])}, up to where"
                    f" {sibling.schema} is: does its worker run (`rookery status`)?"
                )
            time.sleep(0.2)

    def swap(self, sibling: Sibling, writer: CatchUp) -> Swapped:
        """Puts the schema in the live one's place; then the one that was kept from the last swap is dropped.

        Raises Refused where a schema of its name is none of ours.
        """
        old, aside = f"{self.projection.name}_old", older(self.projection.name)
        for schema in (old, aside):
            if siblings.exists(self._connection, schema) and siblings.found(self._connection, schema) is None:
                raise Refused(f"there is a schema {schema} that no rebuild made: rename or drop it")
        if siblings.exists(self._connection, aside):  # of a swap that was killed before it could drop it
            siblings.drop(self._connection, aside)
        self.sweep(sibling)

        def advance(targets: Mapping[Partition, int], deadline: float) -> int:
            moved = writer.advance(targets, deadline=deadline)
            writer.reconcile(self._connection, deadline)
            return moved

        def release(deadline: float) -> None:
            parked = writer.lying() if sibling.kind is Kind.NEXT else []
            if parked:
                # What is released now the live schema does not have: this one is swapped in, or made anew, whatever a
                # later attempt still finds to release.
                before = siblings.found(self._connection, sibling.schema) or sibling
                siblings.write(self._connection, before.at(before.phase, released=True))
                if not writer.retry(parked, deadline):
                    siblings.write(self._connection, before)

        url = self._environment.read_database_url
        swapped = swap(self.projection, url, sibling.schema, writer.positions, advance, release)
        if siblings.exists(self._connection, aside):
            with contextlib.suppress(psycopg.OperationalError):  # somebody reads it: the next swap drops it
                siblings.drop(self._connection, aside)
        return swapped


def _erasures(codec: BulkCodec, values: Sequence[bytes]) -> Iterator[UserErased]:
    """The erasures among these records, of which others need not be readable."""
    for value in values:
        try:
            if codec.type_name(value) != UserErased.__name__:
                continue
        except MalformedRecord:
            continue
        for event in codec.read([value]):
            if isinstance(event, UserErased):
                yield event


def _load_all(rebuild: Rebuild, schema: str) -> None:
    """Gives the segments that are left to loaders, one at a time each. Raises Unfinished when one of them ends."""
    left, done, total = rebuild.segments_left(schema)
    rebuild._progress("loading", done, total)
    if not left:
        return
    command = [
        sys.executable,
        "-m",
        "projectors.runtime.loading",
        rebuild.projection.name,
        schema,
        str(rebuild.chunk_records),
    ]
    processes = [
        subprocess.Popen(command, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(min(rebuild._processes, len(left)))
    ]
    changed, failed = threading.Lock(), list[str]()

    def attend(process: "subprocess.Popen[str]") -> None:
        nonlocal done
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            with changed:
                done += told.get("records", 0)
                rebuild._progress("loading", done, total)
                if "records" in told:
                    continue
                if not left or failed:
                    break
                segment = left.pop(0)
            process.stdin.write(json.dumps(segment) + "\n")
            process.stdin.flush()
        process.stdin.close()
        if process.wait():
            failed.append(f"a loader ended with status {process.returncode}")

    threads = [threading.Thread(target=attend, args=(process,)) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed or rebuild.segments_left(schema)[0]:
        raise Unfinished("; ".join(failed) or "not everything was loaded")
