"""Rebuilds one id's rows of a projection in PostgreSQL from the log alone, while workers go on applying to them.

How it can be right beside live workers:

1. The log is read up to the positions P that the live schema has, and what it says of the id's rows is staged.
   Workers are not held up; rows that seem to differ are noted by their keys, and so are counts that do not fit their
   rows. A row that a worker changed meanwhile may be among them; a row that is wrong is.
2. One transaction locks every row of `position`, in order. A worker's statement begins with an update of its position,
   so that none is under way now and none begins: the rows are exactly what the positions Q >= P stand for. What came
   between P and Q is read and staged too (if that is much, everything is let go, and it is read first). The noted keys
   are folded anew, which gives their state at Q, the newest event per group of columns; what is different is set to
   it, whatever it was. So a newer row is never overwritten by an older one: there is none newer than Q.
3. Counts are then made anew from the rows: those noted, and all that a changed row is or was counted under. The counts
   are locked first and summed up by a later statement, so that a sweep that deletes rows meanwhile takes off what it
   has to before the sum or after it is written.

Nobody who is erased comes back: every erasure in the log is read along, entered where the live schema does not know it,
and rows that name an erased person, or a gone post, are neither made nor looked at (the sweeper has them). Records that
are parked or were dropped are left out, as they are of the live rows; where that set has changed by the time of the
lock, all is read again. Effects stay off.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import Connection

from projectors.runtime import repair_sql
from projectors.runtime.apply import SWEEP_CHANNEL, column_types
from projectors.runtime.changes import Changes, CountTable, Table
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.matching import Matching, Names, Place
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.row_scope import Scope
from projectors.runtime.siblings import connect, offsets_of, place
from projectors.runtime.staging import copies, entered_sets
from projectors.runtime.stores.port import Partition
from shared.environment import Environment

LAG_RECORDS_MAX = 2_000  # what is read while the workers wait
READING_SECONDS_MAX = 1.0  # for that
ATTEMPTS_MAX = 30
PAUSE_SECONDS = 0.2
ROWS_LOOKED_UP_MAX = 1_000

Offsets = Mapping[Partition, int]
Progress = Callable[[str, int, int], None]


class NotRepairable(Exception):
    """What was asked for has no sense, or is not this command's to do; nothing was changed."""


class NotRepaired(Exception):
    """It could not be done now; nothing was changed, and the same command may be tried again."""


@dataclass(frozen=True)
class Difference:
    """One row: its key, and the columns that were wrong, as they were and as they ought to be. None: no row."""

    table: str
    key: Mapping[str, str]
    before: Mapping[str, str | None] | None
    after: Mapping[str, str | None] | None


@dataclass
class Repair:
    """What was found. `records` of the log named the id, of `read`; `unfoldable` are those that no fold accepts."""

    projection: str
    key: str
    dry_run: bool
    read: int = 0
    records: int = 0
    rows: dict[str, int] = field(default_factory=dict)  # how many rows the id has now
    differences: list[Difference] = field(default_factory=list)
    erased: int = 0  # people whom the live schema did not know to be erased
    unfoldable: list[Place] = field(default_factory=list)
    seconds: float = 0.0
    locked_seconds: float = 0.0  # how long workers waited

    @property
    def changed(self) -> bool:
        return bool(self.differences) or self.erased > 0

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "unfoldable": [each._asdict() for each in self.unfoldable], "changed": self.changed}


class _Behind(Exception):
    """Too much came meanwhile to be read under the lock, or what is left out has changed."""


def repair(
    projection: PostgresProjection, key: str, environment: Environment, progress: Progress, dry_run: bool = False
) -> Repair:
    """Raises ValueError for what is no key, NotRepairable, NotRepaired, and what a server's trouble raises."""
    began, scope = time.monotonic(), Scope.of(key)
    with connect(environment.read_database_url) as connection:
        work = _Work(projection, scope, environment, connection, progress)
        try:
            report = work.run(Repair(projection.name, key, dry_run))
        finally:
            work.close()
    report.seconds = time.monotonic() - began
    return report


class _Work:
    """One repair over one session."""

    def __init__(
        self,
        projection: PostgresProjection,
        scope: Scope,
        environment: Environment,
        connection: Connection[Any],
        progress: Progress,
    ) -> None:
        self._projection = projection
        self._scope = scope
        self._connection = connection
        self._progress = progress
        self._ends = LogEnds(environment)
        self._log = Matching(projection, environment)
        self._names: list[Names] = [tuple(each.bytes for each in scope.ids)]
        self._every: list[Table | CountTable] = [*projection.tables, *projection.count_tables]
        self._begun_at: dict[Partition, int] = {}
        self._read_to: dict[Partition, int] = {}
        self._left_out: frozenset[Place] = frozenset()
        self._erased: dict[Any, Any] = {}
        self._read = 0

    def close(self) -> None:
        self._log.close()

    def run(self, report: Repair) -> Repair:
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                time.sleep(PAUSE_SECONDS)
            if attempt == 0 or self._left_out_now() != self._left_out:
                self._begin()
            self._read_up_to(offsets_of(self._connection, self._projection.name))
            self._look_up_unknown()
            self._note_differences()
            try:
                if self._something_seems_wrong():
                    self._mend(report)
            except (_Behind, psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                report.differences.clear()
                continue
            report.read, report.records = self._read, self._log.matched
            for table in self._projection.tables:
                ((report.rows[table.name],),) = self._execute(
                    repair_sql.rows_in_scope(self._projection, table, self._scope)
                )
            report.unfoldable = list(self._log.unfoldable)
            if report.records == 0 and not report.changed:
                raise NotRepairable(f"the log of {self._projection.name} knows nothing of {report.key}")
            return report
        raise NotRepaired(f"{self._projection.name} moves on faster than it can be followed: try again")

    def _begin(self) -> None:
        for each in self._every:
            self._execute(f"drop table if exists differ_{each.name}")
        for table in self._projection.tables:
            self._execute(f"drop table if exists staged_{table.name}")
        for statement in repair_sql.temporary_tables(self._projection):
            self._execute(statement)
        partitions = self._ends.partitions(self._projection.topics)
        self._read_to = dict(self._ends.beginnings(partitions))
        self._begun_at = dict(self._read_to)
        self._names = self._names[:1]
        # Positions first: what they have passed is set aside by then, or was applied.
        self._require_log(offsets_of(self._connection, self._projection.name), partitions)
        self._left_out = self._left_out_now()
        self._log.matched, self._read = 0, 0
        self._log.unfoldable.clear()

    def _require_log(self, positions: Offsets, partitions: list[Partition]) -> None:
        ends = self._ends.ends(partitions)
        for each, offset in positions.items():
            if offset > ends.get(each, 0):
                raise NotRepairable(
                    f"{place(each)} ends at {ends.get(each, 0)}, and {self._projection.name} has applied up to"
                    f" {offset}: the log has lost its tail (`rookery repair-log`)"
                )

    def _left_out_now(self) -> frozenset[Place]:
        schema = self._projection.name
        rows = self._connection.execute(
            f"select topic, partition, record_offset from {schema}.parked"
            f" union select topic, partition, record_offset from {schema}.dropped".encode()
        ).fetchall()
        return frozenset(Place(*row) for row in rows)

    def _read_up_to(self, positions: Offsets, deadline: float = float("inf")) -> None:
        spans = {each: (at, positions[each]) for each, at in self._read_to.items() if positions.get(each, 0) > at}
        total = sum(until - first for first, until in spans.values())
        self._scan(spans, self._names, total, deadline)
        self._read += total
        self._read_to |= {each: until for each, (_, until) in spans.items()}

    def _scan(
        self,
        spans: Mapping[Partition, tuple[int, int]],
        names: list[Names],
        total: int,
        deadline: float = float("inf"),
    ) -> None:
        done = 0

        def progress(records: int) -> None:
            nonlocal done
            done += records
            self._progress("reading", done, total)

        self._log.changes(spans, names, self._left_out, self._stage, progress, deadline)

    def _stage(self, changes: Changes) -> None:
        for statement, rows in copies(self._projection, repair_sql.OWN, changes):
            with self._connection.cursor().copy(statement.encode()) as copy:
                copy.write(rows)
        self._erased |= changes.erased

    def _look_up_unknown(self) -> None:
        """Reads the events of rows that name the id although no event that does speaks of them."""
        names = []
        for table in self._projection.tables:
            rows = self._execute(repair_sql.unknown_rows(self._projection, table, self._scope))
            names += [tuple(each.bytes for each in row) for row in rows if row]
        fresh = [each for each in dict.fromkeys(names) if each not in self._names]
        if len(fresh) > ROWS_LOOKED_UP_MAX:
            raise NotRepairable(
                f"{len(fresh):,} rows are somebody else's by the log: do"
                f" `rookery rebuild {self._projection.name} --verify`"
            )
        if fresh:
            # From the beginning, and only these: the others are staged, and what is staged twice is the same.
            spans = {each: (first, self._read_to[each]) for each, first in self._begun_at.items()}
            matched = self._log.matched
            self._scan(spans, fresh, sum(until - first for first, until in spans.values()))
            self._log.matched = matched
            self._names += fresh

    def _note_differences(self) -> None:
        projection = self._projection
        for each in self._every:
            self._execute(f"drop table if exists differ_{each.name}")
        for table in projection.tables:
            self._execute(repair_sql.differing_rows(projection, table, self._scope))
        for counts in projection.count_tables:
            self._execute(repair_sql.differing_counts(projection, counts, self._scope))

    def _something_seems_wrong(self) -> bool:
        schema = self._projection.name
        noted = " or ".join(f"exists (select from differ_{each.name})" for each in self._every)
        ((wrong,),) = self._execute(f"select {noted}")
        unknown = self._connection.execute(
            f"select 1 from unnest(%s::uuid[]) as e (user_id)"
            f" where not exists (select from {schema}.erased as k where k.user_id = e.user_id)".encode(),
            (list(self._erased),),
        ).fetchone()
        return bool(wrong) or unknown is not None

    def _mend(self, report: Repair) -> None:
        """Raises _Behind, and what a lock that cannot be had raises; then nothing was changed."""
        read_to, erased = dict(self._read_to), dict(self._erased)
        kept = False
        try:
            with self._connection.transaction(force_rollback=report.dry_run):
                began = time.monotonic()
                self._lock_and_follow()
                report.erased = self._enter_erased()
                self._mend_rows(report)
                self._mend_counts(report)
                report.locked_seconds = time.monotonic() - began
            kept = not report.dry_run
        finally:
            if not kept:  # what was staged under the lock is undone with the rest
                self._read_to, self._erased = read_to, erased

    def _lock_and_follow(self) -> None:
        """From here on workers wait, and what is staged is what the rows stand for."""
        rows = self._execute(
            f"select topic, partition, next_offset from {self._projection.name}.position"
            " order by topic, partition for update"
        )
        positions = {Partition(topic, number): offset for topic, number, offset in rows}
        if self._left_out_now() != self._left_out:
            raise _Behind
        if sum(max(0, positions.get(each, 0) - at) for each, at in self._read_to.items()) > LAG_RECORDS_MAX:
            raise _Behind
        try:
            self._read_up_to(positions, time.monotonic() + READING_SECONDS_MAX)
        except TimeoutError:
            raise _Behind from None

    def _enter_erased(self) -> int:
        """Who is erased by the log is erased in the schema too, before anything of theirs could be made."""
        schema, entered = self._projection.name, 0
        for name, column, entries in entered_sets(self._projection, Changes(erased=self._erased)):
            entered += self._connection.execute(
                f"insert into {schema}.{name} ({column}, event_id) select * from unnest(%s::uuid[], %s::uuid[])"
                " on conflict do nothing".encode(),
                (list(entries), list(entries.values())),
            ).rowcount
        if entered:
            self._connection.execute("select pg_notify(%s, %s)", (SWEEP_CHANNEL, schema))
        return entered

    def _mend_rows(self, report: Repair) -> None:
        for table in self._projection.tables:
            for statement in repair_sql.locked_rows(self._projection, table):
                self._execute(statement)
            own = [name for name in column_types(table) if name not in table.key]
            self._report(report, table, own, repair_sql.row_differences(table))
            for statement in repair_sql.mended_rows(self._projection, table):
                self._execute(statement)

    def _mend_counts(self, report: Repair) -> None:
        for counts in sorted(self._projection.count_tables, key=lambda each: each.name):
            for statement in repair_sql.locked_counts(self._projection, counts):
                self._execute(statement)
            query = repair_sql.count_differences(self._projection, counts)
            self._report(report, counts, list(counts.columns), query)
            self._execute(repair_sql.mended_counts(self._projection, counts))

    def _report(self, report: Repair, table: Table | CountTable, own: list[str], query: str) -> None:
        for key, before, after in self._execute(query):
            wrong = [n for n in range(len(own)) if before is None or after is None or before[n] != after[n]]
            sides = [None if side is None else {own[n]: side[n] for n in wrong} for side in (before, after)]
            report.differences.append(Difference(table.name, dict(zip(table.key, key, strict=True)), *sides))

    def _execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description is not None else []
