"""What must hold at every commit, and at the end: the stores against the log, by definitions that share no code.

At every commit: each step follows the one before in its partition under the newest epoch, and is made once; the rows
are what the log up to the positions means (tests/properties/interpretation.py); every count is what the rows add up
to. At the end: positions at the log's ends, the rows and counts of the reference model over the whole log, and nothing
left of erased people and deleted posts.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from projectors.runtime.changes import Key
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.port import Advance, Fence, Partition
from schemas.types import Event, PostDeleted, UserErased
from tests.properties.interpretation import Tables, named_row
from tests.properties.test_folds import differences
from tests.simulation.database import Database, Transaction
from tests.simulation.log import SimulatedLog
from tests.simulation.statements import Contributions, Statements


@dataclass(frozen=True)
class Commit:
    """One commit in the order of commits; `events` are those that an apply folded."""

    step: Advance | None
    events: list[Event]


class Kept(Tables):
    """What the database holds, with the counts that it kept itself."""

    def __init__(self, projection: PostgresProjection, database: Database) -> None:
        super().__init__(projection.tables)
        self.groups = {name: database.rows[name] for name in self.tables}
        self.erased, self.gone = set(database.rows["erased"]), set(database.rows["gone"])
        names = {count.into for table in projection.tables for count in table.counts}
        self._kept = {name: {key: Counter(row) for key, row in database.rows[name].items()} for name in names}

    def counts(self) -> dict[str, dict[Key, Counter[str]]]:
        return self._kept


class Oracle:
    """Watches one database's commits."""

    def __init__(self, projection: PostgresProjection, database: Database, log: SimulatedLog) -> None:
        self._projection, self._database, self._log = projection, database, log
        self._honest = Statements(projection)  # whose declarations are read, whatever bug the run's own have
        self._tables = {table.name: table for table in projection.tables}
        self._commits: list[Commit] = []
        self._heads: dict[Partition, Fence] = {}
        self._shadow = Tables(projection.tables)
        self._counted: dict[tuple[str, Key], Contributions] = {}
        self._totals: Contributions = Counter()
        self.taken_from: set[UUID] = set()  # erased people and deleted posts, as far as the log tells
        self.steps = 0
        database.committed = self.committed
        database.went_back = self.went_back

    def appended(self, event: Event) -> None:
        if isinstance(event, UserErased):
            self.taken_from.add(event.subject_id)
        elif isinstance(event, PostDeleted):
            self.taken_from.add(event.post_id)

    def committed(self, transaction: Transaction) -> None:
        """Raises AssertionError with what this commit broke."""
        kind: str
        what: Any
        kind, what = transaction.purpose if transaction.purpose is not None else ("", None)
        events: list[Event] = []
        if kind == "fence":
            self._fenced(what)
        elif kind == "apply":
            events = self._applied(transaction, what)
        elif kind == "set back":
            partition, offset = what
            self._heads[partition] = self._heads[partition]._replace(offset=offset, last_event=None)
        self._commits.append(Commit(what if kind == "apply" else None, events))
        self._count(transaction)
        if kind == "apply":
            self._compare_rows(events)

    def _fenced(self, fences: dict[Partition, Fence]) -> None:
        for partition, fence in fences.items():
            head = self._heads.get(partition)
            if head is not None:
                assert (fence.offset, fence.epoch > head.epoch) == (head.offset, True), f"{partition} {head} -> {fence}"
            self._heads[partition] = fence

    def _applied(self, transaction: Transaction, step: Advance) -> list[Event]:
        partition, head = step.partition, self._heads[step.partition]
        assert ("position", partition) in transaction.writes, f"{step}: rows were committed without their position"
        assert head.epoch == step.epoch, f"{step} was applied under an old epoch, after {head}"
        assert head.offset == step.previous, f"{step} does not follow {head}"
        before = self._log.event_before(partition, step.previous)
        known = head.last_event
        if before is not None and known is not None and step.previous > 0:
            assert before == known, f"{step} follows {before}, but {known} was applied: the log lost its tail"
        self.steps += 1
        self._heads[partition] = Fence(step.next, step.epoch, step.last_event or known)
        return self._log.fetched(partition, step.previous, step.next, step.last_event)

    def _compare_rows(self, events: list[Event]) -> None:
        changes = self._projection.fold(events)
        self._shadow.apply(changes)
        for name, rows in changes.rows.items():
            table = self._tables[name]
            for key in rows:
                expected, found = self._shadow.groups[name][key], self._database.rows[name].get(key)
                if expected == found:
                    continue
                row = named_row(table, key, expected)
                if not any(row[column] in self.taken_from for column in (*table.erased_with, *table.gone_with)):
                    raise AssertionError(f"{self._projection.name}.{name} {key}: {found}, the log says {expected}")

    def _count(self, transaction: Transaction) -> None:
        for (name, key), groups in transaction.writes.items():
            table = self._tables.get(name)
            if table is not None and table.counts:
                now = self._honest.contributions(table, key, groups)
                self._totals.subtract(self._counted.get((name, key), Counter()))
                self._totals.update(now)
                self._counted[name, key] = now
        for (name, key), kept in transaction.writes.items():
            if name in self._honest.count_keys and not self._is_ended(name, key):
                for column, amount in (kept or {}).items():
                    counted = self._totals[name, key, column]
                    assert amount == counted, f"{name} {key} {column} is {amount}, the rows add up to {counted}"

    def _is_ended(self, name: str, key: Key) -> bool:
        """Whether the count ends with a person or a post: its row may then be there or not, with any number."""
        declared = self._honest.count_tables.get(name)
        if declared is None:
            return False
        row = dict(zip(self._honest.count_keys[name], key, strict=True))
        return any(row[column] in self.taken_from for column in (*declared.erased_with, *declared.gone_with))

    def went_back(self, lost: int) -> None:
        """The database lost its newest commits: what they did was never done."""
        del self._commits[-lost:]
        self._shadow = Tables(self._projection.tables)
        for commit in self._commits:
            self._shadow.apply(self._projection.fold(commit.events))
        for partition, row in self._database.rows["position"].items():
            self._heads[partition] = Fence(row.offset, row.epoch, row.last_event)
        self._counted = {
            (name, key): self._honest.contributions(table, key, groups)
            for name, table in self._tables.items()
            if table.counts
            for key, groups in self._database.rows[name].items()
        }
        self._totals = Counter()
        for counted in self._counted.values():
            self._totals.update(counted)

    def at_rest(self) -> None:
        """Raises AssertionError with how the database differs from what the whole log means."""
        rows = self._database.rows
        for partition in self._log.partitions(self._projection.topics):
            position = rows["position"][partition].offset
            assert position == self._log.ends[partition], f"{partition} is at {position} of {self._log.ends[partition]}"
        kept = Kept(self._projection, self._database)
        found = differences(self._projection.name, self._log.events(), kept)
        assert not found, f"the reference model differs: {found[:3]}"
        for name, subjects in (("erased", kept.erased), ("gone", kept.gone)):
            for swept in self._honest.swept_with(name) if subjects else ():
                left = [
                    key
                    for key, row in rows[swept.table.name].items()
                    if self._honest._column(swept.table, key, row, swept.column) in subjects
                ]
                assert not left, f"{swept.table.name} keeps {left[0]} of {name} {swept.column}"
