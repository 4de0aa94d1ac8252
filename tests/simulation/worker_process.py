"""One worker process: the real Worker and Projector and the real Sweeper's protocol, over simulated servers.

Crashes, freezes and delays may strike at each step: fetch, load, fold, apply (before the statement and after it),
fence, check and sweep. A killed process is started again a little later, as its supervisor would.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import OperationalError

from projectors.runtime import position
from projectors.runtime.erasure import Sweeper
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.projector import Projector
from projectors.runtime.retrying import retrying
from projectors.runtime.stores.port import Advance, Beginning, Fence, Outcome, Partition
from projectors.runtime.worker import Holdings, Worker
from tests.simulation.database import Transaction
from tests.simulation.loop import RUNNING, Killed, Process
from tests.simulation.statements import CHUNK_ROWS, Entry, Swept
from tests.simulation.workload import PlainReader

if TYPE_CHECKING:
    from tests.simulation.world import World

CHECK_SECONDS = 2.0
SWEEP_SECONDS, QUICK_SWEEP_SECONDS = 0.1, 0.01  # until a sweeper hears of an entry
FENCE_LOCK_SECONDS = float(position.FENCE_LOCK_TIMEOUT_SECONDS)


class WorkerProcess:
    """A process from its start to its end; the next one in its slot is another of these."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.process = Process(name)
        self.holdings = Holdings()
        store = SimulatedStore(self)
        projector = Projector(self._with_steps(world.projection), store, SteppingReader(self))
        self.worker = Worker(projector, self.holdings, self.crash, lanes=world.lanes)
        self.consumer = world.consumer(store, self.holdings, world.log, world.group, world.chance, world.batch_records)
        self._queue: asyncio.Queue[Any] = asyncio.Queue(8)

    def start(self) -> None:
        for work in (self._drain(), self._consume(), self._check(), self.world.sweeper(self).run()):
            self._begin(work)
        self.world.group.join(self.process, self._told)

    def crash(self, error: BaseException) -> None:
        """Ends with exit status 1, which leaves the group in good order."""
        if self.process.state == RUNNING:
            self.world.chance.note(f"ended by {type(error).__name__}")
            self.world.trace(f"{self.process.name} ends: {error!r}")
            self.world.group.leave(self.process)
            self.kill()

    def kill(self) -> None:
        """Ends without a word, and is started again."""
        self.process.kill()
        self.world.restart(self)

    def strike(self, point: str) -> None:
        """Whether it is killed here, between two things that it does."""
        if self.world.chance.happens("crash at a step"):
            self.world.chance.note(f"crash at {point}")
            self.world.trace(f"{self.process.name} is killed at {point}")
            self.kill()
            raise Killed

    async def step(self, point: str) -> None:
        """A point at which it may be killed, be frozen, or take long."""
        self.strike(point)
        if self.world.chance.happens("freeze at a step"):
            self.world.chance.note(f"freeze at {point}")
            seconds = self.world.chance.seconds(1.0, 12.0)
            self.world.trace(f"{self.process.name} is frozen at {point} for {seconds:.1f} s")
            self.process.freeze()
            self.world.loop.call_later(seconds, self.process.thaw, self.world.loop, context=self.world.context)
            await asyncio.sleep(0)
        await self.world.chance.pause()

    def _begin(self, work: Any) -> None:
        task = self.world.loop.start(work, self.process)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AssertionError | TypeError | AttributeError | LookupError | ValueError):
            self.world.loop.fail(error)  # a bug, of the simulation's or of the product's
        elif error is not None:
            self.crash(error)

    def _told(self, generation: int, partitions: list[Partition]) -> None:
        self._begin(self._rebalance(generation, partitions))

    async def _rebalance(self, generation: int, partitions: list[Partition]) -> None:
        await self.world.chance.pause()
        self.world.trace(f"{self.process.name} gets {[tuple(each) for each in partitions]} in {generation}")
        self.consumer.revoke()
        while not self._queue.empty():  # Faust clears the streams' buffers
            self._queue.get_nowait()
        await self.consumer.assign(generation, partitions)

    async def _drain(self) -> None:
        while True:
            async for fetched in self.consumer.batches():
                await self.step("fetch")
                if self.world.chance.happens("batch abandoned"):
                    self.holdings.fence_wanted = True
                    continue
                await self._queue.put(fetched)

    async def _consume(self) -> None:
        while True:
            await self.worker.take(await self._queue.get())

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.step("check")
            await self.worker.check_positions()
            await self.consumer.force_commit()

    def _with_steps(self, projection: PostgresProjection) -> PostgresProjection:
        def fold(events: Sequence[Any]) -> Any:
            self.strike("fold")
            return projection.fold(events)

        return replace(projection, fold=fold)


class SteppingReader(PlainReader):
    """Loads keys that nobody needs, which takes its time and may fail as the vault may."""

    def __init__(self, worker: WorkerProcess) -> None:
        super().__init__(worker.world.projection)
        self._worker = worker

    async def load_keys(self, values: Sequence[bytes]) -> None:
        await self._worker.step("load")
        if self._worker.world.chance.happens("connection lost"):
            raise psycopg.OperationalError("the vault does not answer")


class SimulatedStore:
    """Fulfils runtime/stores/port.py `Store` as stores/postgres.py does, on the simulated database."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._world = worker.world
        self._statements = worker.world.statements
        self._database = worker.world.database

    async def fence(self, partitions: Sequence[Partition], beginning: Beginning) -> dict[Partition, Fence]:
        async def attempt() -> dict[Partition, Fence]:
            await self._worker.step("fence")
            known = await self.positions()
            fresh = [partition for partition in partitions if partition not in known]
            first = await beginning(fresh) if fresh else {}

            async def body(transaction: Transaction) -> dict[Partition, Fence]:
                return await self._statements.fence(transaction, self._worker.process.name, first, partitions)

            found: dict[Partition, Fence] = await self._database.ask(body, FENCE_LOCK_SECONDS, durable=True)
            await self._worker.step("fenced")
            return found

        return await retrying("fence", attempt, (OperationalError,))

    async def apply(self, advance: Advance, changes: Any) -> Outcome:
        async def attempt() -> Outcome:
            await self._worker.step("apply")
            applied = await self._statements.ask_to_apply(self._database, advance, changes)
            await self._worker.step("applied")
            if applied:
                return Outcome.APPLIED
            found = await self.positions()
            outcome = position.refused_or_already(advance, found.get(advance.partition))
            self._world.chance.note(f"step {outcome.value}")
            return outcome

        return await retrying("apply", attempt, (OperationalError,))

    async def positions(self) -> dict[Partition, Fence]:
        async def body(transaction: Transaction) -> dict[Partition, Fence]:
            return self._statements.positions(self._database)

        found: dict[Partition, Fence] = await self._database.ask(body)
        return found

    async def close(self) -> None: ...


class SimulatedSweeper(Sweeper):
    """The real sweeper's order of things; what it asks, it asks the simulated database."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker, self._world = worker, worker.world
        self._statements, self._database = worker.world.statements, worker.world.database
        self.projection = worker.world.projection
        self.schema = self.projection.name
        self._ends: Any = LogEnds(worker.world)
        self._sets: Any = dict.fromkeys(("erased", "gone"))

    async def run(self) -> None:
        none: Any = None
        while True:
            await asyncio.sleep(QUICK_SWEEP_SECONDS if self._world.quick_sweeps else SWEEP_SECONDS)
            if self._world.unswept() and self._leads():
                try:
                    await self.step(none)
                except psycopg.OperationalError:
                    self._world.chance.note("sweep broken off")

    def _leads(self) -> bool:
        """The advisory lock: a session that ended, or asked nothing for long, does not hold it any more."""
        leader = self._world.sweeping
        if leader is None or leader.state != RUNNING:
            self._world.sweeping = self._worker.process
        return self._world.sweeping is self._worker.process

    async def _entries(self, connection: Any, name: str, condition: str) -> dict[UUID, Any]:
        noted = condition == "log_ends is not null"

        async def body(transaction: Transaction) -> dict[UUID, Any]:
            entries: Iterable[tuple[UUID, Entry]] = self._database.rows[name].items()
            return {
                subject: entry.log_ends
                for subject, entry in entries
                if not entry.done and (entry.log_ends is not None) == noted
            }

        found: dict[UUID, Any] = await self._database.ask(body, quick=self._world.quick_sweeps)
        return found

    async def _positions(self, connection: Any) -> dict[Partition, Fence]:
        async def body(transaction: Transaction) -> dict[Partition, Fence]:
            return self._statements.positions(self._database)

        found: dict[Partition, Fence] = await self._database.ask(body)
        return found

    async def _note_ends(self, connection: Any, name: str, subjects: Sequence[UUID], ends: Mapping[str, int]) -> None:
        await self._update(name, subjects, lambda entry: entry if entry.log_ends else entry._replace(log_ends=ends))

    async def _note_done(
        self, connection: Any, name: str, subjects: Sequence[UUID], offsets: Mapping[str, int]
    ) -> None:
        await self._update(name, subjects, lambda entry: entry._replace(done=True))
        self._world.chance.counts["swept"] += len(subjects)

    async def _update(self, name: str, subjects: Sequence[UUID], change: Any) -> None:
        async def body(transaction: Transaction) -> None:
            for subject in sorted(subjects):
                await transaction.lock(name, subject)
                entry = transaction.read(name, subject)
                if entry is not None:
                    transaction.write(name, subject, change(entry))

        await self._database.ask(body)

    async def _sweep(self, connection: Any, name: str, subjects: list[UUID]) -> None:
        for swept in self._statements.swept_with(name):
            while True:
                if not self._world.quick_sweeps:
                    await self._worker.step("sweep")

                async def body(transaction: Transaction, swept: Swept = swept) -> int:
                    return await self._statements.sweep(transaction, swept, subjects)

                if await self._database.ask(body, quick=self._world.quick_sweeps) < CHUNK_ROWS:
                    break


class LogEnds:
    """What runtime/log_ends.py answers, of the simulated log."""

    def __init__(self, world: "World") -> None:
        self._log = world.log

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        return self._log.partitions(topics)

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self._log.ends_of(partitions)
