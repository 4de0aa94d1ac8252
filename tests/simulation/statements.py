"""The statements of runtime/apply.py, position.py and erasure.py, said over simulated rows instead of in SQL.

Position first, then each table's rows in the order of their keys, each locked before its old version is looked at,
then the counts that the changed rows make, then the entries of `erased` and `gone`. What planted_bugs.py plants is a
method of this class that does otherwise.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from projectors.runtime.apply import has_gone
from projectors.runtime.changes import Changes, CountTable, Groups, Key, Table
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.port import Advance, Fence, Partition
from tests.properties.interpretation import is_counted, named_row
from tests.simulation.database import Database, Transaction

Contributions = Counter[tuple[str, Key, str]]  # count table, its key, its column -> amount
CHUNK_ROWS = 2


class Position(NamedTuple):
    """A row of `position`."""

    offset: int
    epoch: int
    owner: str
    last_event: UUID | None


class Entry(NamedTuple):
    """A row of `erased` or `gone`."""

    event_id: UUID
    number: int  # stands for entered_at
    log_ends: Mapping[str, int] | None = None
    done: bool = False


class Swept(NamedTuple):
    """What a sweep's statement deletes from."""

    table: Table | CountTable
    column: str


class Change(NamedTuple):
    """A row as it was found under its lock, as it becomes, and what the batch says of it."""

    table: Table
    key: Key
    old: Groups | None
    new: Groups | None
    given: Groups


class Statements:
    """One projection's statements; `wrong` ones are subclasses."""

    def __init__(self, projection: PostgresProjection) -> None:
        self.projection = projection
        self.count_tables = {table.name: table for table in projection.count_tables}
        self.count_keys = {
            count.into: sorted(count.by) for table in projection.tables for count in table.counts
        }  # in alphabetical order, as interpretation.py has them
        self.table_names = [
            "position", "erased", "gone", *(table.name for table in projection.tables), *self.count_keys,
        ]  # fmt: skip

    # position.py

    async def fence(
        self, transaction: Transaction, owner: str, first: Mapping[Partition, int], partitions: Sequence[Partition]
    ) -> dict[Partition, Fence]:
        fences = {}
        for partition in sorted(partitions):
            await transaction.lock("position", partition)
            found = transaction.read("position", partition)
            row = (
                Position(first.get(partition, 0), 1, owner, None)
                if found is None
                else found._replace(epoch=found.epoch + 1, owner=owner)
            )
            transaction.write("position", partition, row)
            fences[partition] = Fence(row.offset, row.epoch, row.last_event)
        transaction.purpose = ("fence", fences)
        return fences

    @staticmethod
    def positions(database: Database) -> dict[Partition, Fence]:
        return {partition: Fence(row.offset, row.epoch) for partition, row in database.rows["position"].items()}

    def follows(self, found: Position | None, step: Advance) -> bool:
        """The compare of the compare-and-set."""
        return found is not None and (found.offset, found.epoch) == (step.previous, step.epoch)

    async def advance(self, transaction: Transaction, step: Advance) -> bool:
        await transaction.lock("position", step.partition)
        found = transaction.read("position", step.partition)
        if not self.follows(found, step):
            return False
        moved = found._replace(offset=step.next, last_event=step.last_event or found.last_event)
        transaction.write("position", step.partition, moved)
        return True

    # apply.py

    async def ask_to_apply(self, database: Database, step: Advance, changes: Changes) -> bool:
        """A client's question, which is one statement."""

        async def body(transaction: Transaction) -> bool:
            return await self.apply(transaction, step, changes)

        applied: bool = await database.ask(body)
        return applied

    async def apply(self, transaction: Transaction, step: Advance, changes: Changes) -> bool:
        """The whole statement; whether the position was there to be moved."""
        snapshot = self.snapshot(transaction.database, changes)
        transaction.purpose = ("apply", step)
        if not await self.advance(transaction, step):
            return False
        await self.apply_rows(transaction, changes, snapshot)
        return True

    def snapshot(self, database: Database, changes: Changes) -> dict[str, Any]:
        """What the statement sees of others' commits for as long as it runs."""
        return {"erased": set(database.rows["erased"]), "gone": set(database.rows["gone"])}

    async def apply_rows(self, transaction: Transaction, changes: Changes, snapshot: dict[str, Any]) -> None:
        deltas: Contributions = Counter()
        for table in self.projection.tables:
            given = changes.rows.get(table.name)
            for key in sorted(given) if given else ():
                if self.is_absent(table, named_row(table, key, given[key]), snapshot):  # type: ignore[index]
                    continue
                await transaction.lock(table.name, key)
                old = transaction.read(table.name, key)
                new = self.merged(old, given[key])  # type: ignore[index]
                if new is not old:
                    transaction.write(table.name, key, new)
                # One that subtracts keeps what falls below zero.
                deltas.update(self.delta(Change(table, key, old, new, given[key]), snapshot))  # type: ignore[index]
        await self.count(transaction, deltas, snapshot)
        for name, entries in (("erased", changes.erased), ("gone", changes.gone)):
            for subject in sorted(entries) if name == "erased" or has_gone(self.projection) else ():
                await transaction.lock(name, subject)
                if transaction.read(name, subject) is None:
                    number = len(transaction.database.rows[name])
                    transaction.write(name, subject, Entry(entries[subject], number))

    def merged(self, old: Groups | None, given: Groups) -> Groups | None:
        """Newest wins per group; `old` itself where nothing of the given is newer."""
        newer = {
            group: said for group, said in given.items() if old is None or group not in old or said[0] > old[group][0]
        }
        return {**(old or {}), **newer} if newer else old

    def delta(self, change: "Change", snapshot: dict[str, Any]) -> Contributions:
        """What a row's change does to the counts; its old version must be the locked one."""
        found: Contributions = Counter()
        if change.new is not change.old:
            found.update(self.contributions(change.table, change.key, change.new))
            found.subtract(self.contributions(change.table, change.key, change.old))
        return found

    def contributions(self, table: Table, key: Key, groups: Groups | None) -> Contributions:
        """What one version of a row adds to the counts."""
        found: Contributions = Counter()
        if groups is not None and table.counts:
            row = named_row(table, key, groups)
            if is_counted(table, row):
                for count in table.counts:
                    into = tuple(row[count.by[column]] for column in self.count_keys[count.into])
                    if None not in into:
                        found[count.into, into, count.column] += 1
        return found

    async def count(self, transaction: Transaction, deltas: Contributions, snapshot: dict[str, Any]) -> None:
        by_row: dict[tuple[str, Key], Counter[str]] = {}
        for (into, key, column), amount in deltas.items():
            if amount:
                by_row.setdefault((into, key), Counter())[column] += amount
        for into, key in sorted(by_row):
            declared = self.count_tables.get(into)
            named = dict(zip(self.count_keys[into], key, strict=True))
            if declared is not None and self.is_absent(declared, named, snapshot):
                continue
            await transaction.lock(into, key)
            counted = Counter(transaction.read(into, key) or {})
            counted.update(by_row[into, key])
            transaction.write(into, key, dict(counted))

    def is_absent(self, table: Table | CountTable, row: Mapping[str, Any], snapshot: dict[str, Any]) -> bool:
        """Whether the statement leaves the row out, for an erased person or a deleted post."""
        if snapshot["erased"] and any(row[column] in snapshot["erased"] for column in table.erased_with):
            return True
        return bool(snapshot["gone"]) and any(row[column] in snapshot["gone"] for column in table.gone_with)

    # erasure.py

    def swept_with(self, name: str) -> Iterator[Swept]:
        attribute = {"erased": "erased_with", "gone": "gone_with"}[name]
        tables: tuple[Table | CountTable, ...] = (*self.projection.tables, *self.projection.count_tables)
        for table in tables:
            for column in getattr(table, attribute):
                yield Swept(table, column)

    async def sweep(self, transaction: Transaction, swept: Swept, subjects: Iterable[UUID]) -> int:
        """One chunk: deletes some of the rows whose column names one of the subjects, and what they counted."""
        wanted, table = set(subjects), swept.table
        transaction.purpose = ("sweep", table.name)
        doomed = [
            key
            for key, row in transaction.database.rows[table.name].items()
            if self._column(table, key, row, swept.column) in wanted
        ]
        doomed = sorted(doomed[:CHUNK_ROWS])
        deltas: Contributions = Counter()
        for key in doomed:
            await transaction.lock(table.name, key)
            row = transaction.read(table.name, key)
            if row is None or self._column(table, key, row, swept.column) not in wanted:
                continue
            if isinstance(table, Table):
                deltas.subtract(self.contributions(table, key, row))
            transaction.write(table.name, key, None)
        await self.count(transaction, deltas, self.snapshot(transaction.database, Changes()))
        return len(doomed)

    def _column(self, table: Table | CountTable, key: Key, row: Any, column: str) -> Any:
        if isinstance(table, CountTable):
            return dict(zip(self.count_keys[table.name], key, strict=True)).get(column)
        return named_row(table, key, row)[column]
