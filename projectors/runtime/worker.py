"""What a worker does with fetched batches, whatever carries them: applies what it holds, in order, each in effect once.

The transport may drop, repeat, skip, reorder or hand over late. The chain says of every batch from which offset to
which it goes and under which epoch; the store's compare-and-set refuses what does not follow. Nothing here knows Faust,
Kafka or a database: the live worker and the simulation run the same code.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from projectors.runtime.last_records import event_of
from projectors.runtime.parking import Parking, StoreApply
from projectors.runtime.projector import Projector
from projectors.runtime.stores.port import Advance, Fence, Outcome, Partition, Unstorable

# Batches that are folded and wait: several of one partition come one after the other, and the lanes need others then.
AHEAD = 4
log = structlog.get_logger()


class PositionError(RuntimeError):
    """The log and the position do not fit together, or another worker owns the position; this worker must end."""


class Record(Protocol):
    """One record of the log, as the transport's client has it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """One partition's records as fetched: all from `previous` up to `next`, to be applied under `epoch`."""

    partition: Partition
    previous: int
    next: int
    epoch: int
    fence_number: int
    records: Sequence[Any]


class Chain:
    """Links each partition's fetches from the offset of its fence on; a fetch that is not linked is not handed out."""

    def __init__(self, fences: Mapping[Partition, Fence], number: int) -> None:
        self._links = {partition: (fence.offset, fence.epoch) for partition, fence in fences.items()}
        self._number = number

    def link(self, partition: Partition, records: Sequence[Record], following: int) -> Fetched | None:
        """The fetch as the next batch; None when it is from before the fence, whose seek makes it come again.

        `following` is the offset after the fetch. Raises PositionError where the records do not follow.
        """
        if partition not in self._links or not records:
            return None
        previous, epoch = self._links[partition]
        if records[0].offset < previous or following <= records[-1].offset:
            raise PositionError(f"{partition} hands out {records[0].offset}..{following} after {previous}")
        self._links[partition] = (following, epoch)
        return Fetched(partition, previous, following, epoch, self._number, records)


@dataclass
class Holdings:
    """The partitions that a worker believes to hold: under which epoch, and the next offset, as applied."""

    epochs: dict[Partition, int] = field(default_factory=dict)
    applied: dict[Partition, int] = field(default_factory=dict)
    fence_wanted: bool = False  # something was dropped, or the store went back: read and fence all positions anew

    def take(self, fences: Mapping[Partition, Fence]) -> None:
        for partition, fence in fences.items():
            self.epochs[partition], self.applied[partition] = fence.epoch, fence.offset

    def forget(self) -> None:
        self.epochs.clear()
        self.applied.clear()  # or the watchdog would see partitions stand still that others have now

    def holds(self, fetched: Fetched) -> bool:
        return self.epochs.get(fetched.partition) == fetched.epoch


class Worker:
    """Folds a batch while others are being applied: a partition's one after the other, `lanes` of different partitions
    at once, as different workers would."""

    def __init__(
        self,
        projector: Projector,
        holdings: Holdings,
        crash: Callable[[BaseException], None],
        parking: Parking | None = None,
        lanes: int = 1,
    ) -> None:
        """`crash` is told of every error of an apply; it must end the process. Without `parking` a record that cannot
        be applied is such an error."""
        self._projector = projector
        self._holdings = holdings
        self._crash = crash
        self._parking = parking
        self._lanes = lanes
        self._lane = asyncio.Semaphore(lanes)
        self._turn = asyncio.Lock()
        self._careful = asyncio.Lock()
        self._under_way: list[asyncio.Task[None]] = []
        self._newest: dict[Partition, asyncio.Task[None]] = {}
        self.applied_records = 0

    async def take(self, fetched: Fetched) -> None:
        """Folds a batch and lets it be applied in its turn. Raises what one before, or this one's fold, raised."""
        async with self._turn:
            await self._take(fetched)

    async def _take(self, fetched: Fetched) -> None:
        if not await self._admits(fetched):
            return
        changes: Any = None
        if self._applies_plainly(fetched):
            try:
                changes = await self._projector.changes_of([record.value for record in fetched.records])
            except Exception:
                if self._parking is None:
                    raise
        await self._room()
        before = self._newest.get(fetched.partition)
        task = asyncio.create_task(self._in_turn(fetched, changes, before))
        task.add_done_callback(self._crash_on_error)
        self._newest[fetched.partition] = task
        self._under_way.append(task)
        await asyncio.sleep(0)  # sends the statement before the next fold begins

    async def _admits(self, fetched: Fetched) -> bool:
        """Whether the batch may be taken at all, with or without care."""
        if not self._holdings.holds(fetched):
            return False
        return self._applies_plainly(fetched) or (self._parking is not None and await self._parking.admits(fetched))

    def _applies_plainly(self, fetched: Fetched) -> bool:
        return self._parking is None or self._parking.ready_for(fetched)

    async def _room(self) -> None:
        """Waits until few enough batches wait for their turn. Raises what one that has ended raised."""
        while True:
            for task in [each for each in self._under_way if each.done()]:
                self._under_way.remove(task)
                task.result()
            if len(self._under_way) < self._lanes + AHEAD:
                return
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _in_turn(self, fetched: Fetched, changes: Any, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await before
        async with self._lane:
            # What came before may have set something of this partition aside, or halted it.
            if not await self._admits(fetched):
                return
            if changes is None or not self._applies_plainly(fetched):
                await self._carefully(fetched)
                return
            try:
                await self.apply(fetched, changes)
            except Unstorable:
                if self._parking is None:
                    raise
                await self._carefully(fetched)

    async def _carefully(self, fetched: Fetched) -> None:
        assert self._parking is not None
        # The breaker counts what is parked: one after the other.
        async with self._careful:
            await self._parking.carefully(fetched, self.apply)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A time in which no batch is applied."""
        async with self._turn:
            await self.finish()
            yield

    async def finish(self) -> None:
        """Waits for the batches that are being applied."""
        while self._under_way:
            await self._under_way.pop(0)

    async def apply(self, fetched: Fetched, changes: Any, store_apply: StoreApply | None = None) -> None:
        """Raises PositionError when the store refuses a batch that this worker still believes to own, and Unstorable.

        `store_apply` is called in place of the store's own.
        """
        step = Advance(
            fetched.partition, fetched.previous, fetched.next, fetched.epoch, event_of(fetched.records[-1].key)
        )
        outcome = await (store_apply or self._projector.store.apply)(step, changes)
        if outcome is Outcome.REFUSED:
            log.warning("refused", partition=fetched.partition, previous=fetched.previous, epoch=fetched.epoch)
            if self._holdings.holds(fetched):
                raise PositionError(f"refused: {fetched.partition} from {fetched.previous} under epoch {fetched.epoch}")
            return
        if outcome is Outcome.ALREADY:
            log.info("already_applied", partition=fetched.partition, next=fetched.next)
        if self._holdings.holds(fetched):
            self._holdings.applied[fetched.partition] = fetched.next
        self.applied_records += len(fetched.records)

    async def check_positions(self) -> None:
        """Compares the store with memory: an idle partition would otherwise learn of neither a new owner nor a loss.

        Raises PositionError where another worker has the partition.
        """
        holdings = self._holdings
        held = {partition: (epoch, holdings.applied.get(partition)) for partition, epoch in holdings.epochs.items()}
        if not held:
            return
        found = await self._projector.positions()
        for partition, (epoch, applied) in held.items():
            if holdings.epochs.get(partition) != epoch or applied is None:
                continue  # fenced anew since
            stored = found.get(partition)
            if stored is not None and stored.epoch != epoch:
                # Fencing again here would steal the partition back.
                raise PositionError(f"{partition} has epoch {stored.epoch} in the store, {epoch} here")
            if stored is None or stored.offset < applied:
                log.warning("store_went_back", partition=partition, applied=applied, stored=stored)
                holdings.fence_wanted = True
                break

    def _crash_on_error(self, applying: "asyncio.Task[None]") -> None:
        error = None if applying.cancelled() else applying.exception()
        if error is not None:
            log.error("apply_failed", exc_info=error)
            self._crash(error)
