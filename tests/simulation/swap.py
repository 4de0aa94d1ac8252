"""The swap of a rebuilt schema under live workers, as docs say it: locks, equal positions, epochs copied, renamed.

Two schemas stand side by side; workers apply to whichever the name means when their statement begins to run, as
PostgreSQL resolves a name anew once the lock it waited for is granted. Writers of `position` share its table lock, a
swap needs it alone. Every batch must be in effect exactly once in the schema that is live at the end.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.chance import Chance
from tests.simulation.loop import SimulatedLoop

PARTITIONS = 3
TURNS_MAX = 100_000


class TableLock:
    """A table's lock: many ROW EXCLUSIVE, or one ACCESS EXCLUSIVE, in turn."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._shared = 0
        self._alone = False
        self._queue: deque[tuple[bool, asyncio.Future[None]]] = deque()

    async def take(self, alone: bool) -> None:
        turn: asyncio.Future[None] = self._loop.create_future()
        self._queue.append((alone, turn))
        self._grant()
        await turn

    def release(self, alone: bool) -> None:
        if alone:
            self._alone = False
        else:
            self._shared -= 1
        self._grant()

    def _grant(self) -> None:
        while self._queue and not self._alone and not (self._queue[0][0] and self._shared):
            alone, turn = self._queue.popleft()
            self._alone, self._shared = alone, self._shared + (not alone)
            turn.set_result(None)


@dataclass
class Schema:
    """A schema's position table and what was applied to it: by partition, the offsets in their order."""

    lock: TableLock
    offsets: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    epochs: list[int] = field(default_factory=lambda: [1] * PARTITIONS)
    applied: list[list[int]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])


class SwapRun:
    """One seed: workers go on applying while a rebuild catches up and swaps."""

    locks = True
    epochs_are_copied = True

    def __init__(self, seed: int) -> None:
        self.loop = SimulatedLoop()  # type: ignore[abstract]
        self.chance = Chance(seed)
        self.live, self.next = Schema(TableLock(self.loop)), Schema(TableLock(self.loop))
        self.live.epochs = [self.chance.number(2, 9) for _ in range(PARTITIONS)]
        self.ends = [self.chance.number(3, 12) for _ in range(PARTITIONS)]
        self.swapped = False
        self._workers_done = 0

    def run(self) -> None:
        """Raises AssertionError where a batch is lost, doubled, or refused to its rightful owner."""
        for partition in range(PARTITIONS):
            self._start(self._work(partition, self.live.epochs[partition]))
        self._start(self._rebuild())
        try:
            self.loop.run(lambda: self.swapped and self._workers_done == PARTITIONS, TURNS_MAX)
            for partition, end in enumerate(self.ends):
                found = self.live.applied[partition]
                assert found == list(range(end)), f"partition {partition} holds {found} of 0..{end - 1}"
                assert self.live.offsets[partition] == end
        finally:
            self.loop.end()

    def _start(self, work: Any) -> None:
        def ended(task: "asyncio.Task[None]") -> None:
            error = task.exception()
            if error is not None:
                self.loop.fail(error)

        self.loop.start(work, None).add_done_callback(ended)

    async def _work(self, partition: int, epoch: int) -> None:
        """A live worker: each step begins with the compare-and-set, whose lock decides which schema the name means."""
        for offset in range(self.ends[partition]):
            await self.chance.pause()
            schema = await self._resolve()
            try:
                await self.chance.pause()
                refused = (schema.offsets[partition], schema.epochs[partition]) != (offset, epoch)
                assert not refused, f"partition {partition}: {offset} was refused after {schema.offsets[partition]}"
                await self.chance.pause()
                schema.applied[partition].append(offset)
                schema.offsets[partition] = offset + 1
            finally:
                schema.lock.release(False)
        self._workers_done += 1

    async def _resolve(self) -> Schema:
        """Looks the name up, waits for the lock, and looks again: a rename in between is noticed."""
        while True:
            schema = self.live
            await schema.lock.take(False)
            if schema is self.live or not self.locks:
                return schema
            schema.lock.release(False)

    async def _rebuild(self) -> None:
        while not self.swapped:
            await self._catch_up()
            await self.chance.pause()
            await (self._swap() if self.locks else self._swap_without_locks())

    async def _catch_up(self) -> None:
        """Applies to the new schema what the log has, up to the live positions of this moment."""
        for partition, reached in enumerate(self.live.offsets):
            await self.chance.pause()
            self.next.applied[partition] += range(self.next.offsets[partition], reached)
            self.next.offsets[partition] = max(reached, self.next.offsets[partition])

    async def _swap(self) -> None:
        live, following = self.live, self.next
        await live.lock.take(True)
        await following.lock.take(True)
        await self.chance.pause()
        if live.offsets == following.offsets:
            if self.epochs_are_copied:
                following.epochs = list(live.epochs)
            self.live, self.next = following, live
            self.swapped = True
        following.lock.release(True)
        live.lock.release(True)

    async def _swap_without_locks(self) -> None:
        live, following = self.live, self.next
        if live.offsets != following.offsets:
            return
        following.epochs = list(live.epochs)
        await self.chance.pause()
        self.live, self.next = following, live
        self.swapped = True


class SwapWithoutLocks(SwapRun):
    """Positions are compared and the schemas renamed while workers write."""

    locks = False


class SwapWithoutEpochs(SwapRun):
    """The new schema keeps the epochs that its rebuild gave it."""

    epochs_are_copied = False
