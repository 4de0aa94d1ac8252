"""Each bug that the design rules out, planted: what the simulation must find, and on which part of the product.

Nothing here is used by the product. `PLANTED` says of each bug how a run with it is made.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, Protocol

from projectors.runtime.changes import Changes, Groups
from projectors.runtime.stores.port import Advance
from projectors.runtime.worker import Holdings
from tests.properties.interpretation import is_counted, named_row
from tests.simulation.commands import MintedAfterTheLockByTheOwnClock, MintedBeforeTheLock
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.database import Database, Transaction
from tests.simulation.statements import Change, Contributions, Position, Statements
from tests.simulation.swap import SwapWithoutEpochs, SwapWithoutLocks
from tests.simulation.worker_process import SimulatedSweeper
from tests.simulation.world import World


class Increments(Statements):
    """One more for each like that comes along, one less for each unlike, whatever the row was."""

    def delta(self, change: Change, snapshot: dict[str, Any]) -> Contributions:
        row = named_row(change.table, change.key, change.given)
        sign = 1 if is_counted(change.table, row) else -1
        found: Contributions = Counter()
        for count in change.table.counts:
            into = tuple(row[count.by[column]] for column in self.count_keys[count.into])
            if None not in into:
                found[count.into, into, count.column] += sign
        return found


class PositionAfterTheCommit(Statements):
    """Rows in one transaction, their position in the next."""

    async def ask_to_apply(self, database: Database, step: Advance, changes: Changes) -> bool:
        async def rows(transaction: Transaction) -> bool:
            found = database.rows["position"].get(step.partition)
            if not self.follows(found, step):
                return False
            transaction.purpose = ("apply", step)
            await self.apply_rows(transaction, changes, self.snapshot(database, changes))
            return True

        async def position(transaction: Transaction) -> bool:
            return await self.advance(transaction, step)

        return bool(await database.ask(rows) and await database.ask(position))


class EpochUnchecked(Statements):
    """A compare-and-set of the offset alone, so that a former owner's statement may be taken for the owner's."""

    def follows(self, found: Position | None, step: Advance) -> bool:
        return found is not None and found.offset == step.previous


class OldValuesFromTheSnapshot(Statements):
    """What a row counted is taken from the statement's snapshot, which may be older than the row that is locked."""

    def snapshot(self, database: Database, changes: Changes) -> dict[str, Any]:
        rows = {(name, key): database.rows[name].get(key) for name, given in changes.rows.items() for key in given}
        return {**super().snapshot(database, changes), "rows": rows}

    def delta(self, change: Change, snapshot: dict[str, Any]) -> Contributions:
        old = snapshot["rows"][change.table.name, change.key]
        return super().delta(change._replace(old=old) if change.new is not change.old else change, snapshot)


class WholeRowNewestWins(Statements):
    """A row is what its newest event says, its other groups included."""

    def merged(self, old: Groups | None, given: Groups) -> Groups | None:
        newest = max((event_id for event_id, _ in (old or {}).values()), default=None)
        return given if newest is None or max(event_id for event_id, _ in given.values()) > newest else old


class WithoutSecondSweep(SimulatedSweeper):
    """Done as soon as every position has passed the log's ends, without a further look at the rows."""

    _first = True

    async def _sweep_last(self, connection: Any, name: str, noted: Any) -> bool:
        self._first = False
        try:
            return await super()._sweep_last(connection, name, noted)
        finally:
            self._first = True

    async def _sweep(self, connection: Any, name: str, subjects: Any) -> None:
        if self._first:
            await super()._sweep(connection, name, subjects)


class FencesSideBySide(SimulatedConsumer):
    """A fence begins while an older one is under way, which may then raise the epoch last."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._fencing: Any = nullcontext()


class BatchesBeforeTheirFence(SimulatedConsumer):
    """A batch is handed out while the answer to its fence is on its way: the worker drops what it does not hold yet."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.holdings: Any = Credulous(self.holdings)


class Credulous:
    """Holdings that hold whatever they are asked about."""

    def __init__(self, holdings: Holdings) -> None:
        self.__dict__["_holdings"] = holdings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._holdings, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._holdings, name, value)

    def holds(self, fetched: Any) -> bool:
        return True


class Run(Protocol):
    """One seed's run. It raises an AssertionError where something does not hold."""

    def run(self) -> None: ...


PLANTED: dict[str, Callable[..., Run]] = {
    "a fold that increments": partial(World, statements=Increments, only="counters"),
    "a position saved after the commit": partial(World, statements=PositionAfterTheCommit),
    "an epoch not checked": partial(World, statements=EpochUnchecked),
    "old values taken from the snapshot": partial(World, statements=OldValuesFromTheSnapshot, only="graph"),
    "newest wins by whole row": partial(World, statements=WholeRowNewestWins),
    "two fences at the same time": partial(World, consumer=FencesSideBySide),
    "batches handed out before their fence is known": partial(World, consumer=BatchesBeforeTheirFence),
    "an erasure without its second sweep": partial(World, sweeper=WithoutSecondSweep, only="counters"),
    "ids minted before the lock": MintedBeforeTheLock,
    "ids minted by each server's own clock": MintedAfterTheLockByTheOwnClock,
    "the swap without its locks": SwapWithoutLocks,
    "the swap without the live epochs": SwapWithoutEpochs,
}
