"""One run: a log, a database and several workers of one projection, what strikes them, and what must hold after it.

Everything is drawn from the seed. After some simulated seconds nothing strikes any more, and the run goes on until all
is applied and swept; then the oracle looks.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import structlog

from projectors.runtime.projection import PostgresProjection
from projectors.runtime.stores.port import Partition
from tests.properties.projections import POSTGRES_PROJECTIONS
from tests.simulation.chance import Chance
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.database import Database, Transaction
from tests.simulation.log import SESSION_SECONDS, Group, Record, SimulatedLog
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.oracle import Oracle
from tests.simulation.statements import Statements
from tests.simulation.worker_process import SimulatedSweeper, WorkerProcess
from tests.simulation.workload import Append, appends

TURNS_MAX = 400_000
REST_SECONDS_MAX = 300.0  # after the last fault
STILL_SECONDS_MAX = 30.0  # nothing that strikes lasts half as long
OFTEN = {"counters": 4, "graph": 3, "posts": 2, "notifications": 2, "profiles": 1}


class World:
    """A seed's run; `statements`, `sweeper` and `consumer` are the product's, or have a bug planted."""

    def __init__(
        self,
        seed: int,
        statements: type[Statements] = Statements,
        sweeper: type[SimulatedSweeper] = SimulatedSweeper,
        consumer: type[SimulatedConsumer] = SimulatedConsumer,
        only: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.seed, self._tell, self.sweeper, self.consumer = seed, tell, sweeper, consumer
        self.loop = SimulatedLoop()  # type: ignore[abstract]
        self.chance = Chance(seed)
        self.context = copy_context()
        random = self.chance.random
        name = random.choices(list(OFTEN), list(OFTEN.values()))[0]
        self.projection: PostgresProjection = POSTGRES_PROJECTIONS[only or name]
        self.statements = statements(self.projection)
        self.partitions = 3 if self.chance.storm else random.randint(1, 3)
        self.batch_records = random.choice([1, 2, 3] if self.chance.storm else [1, 2, 3, 8])
        self.lanes = random.choice([1, 2, 3])
        self.seconds = random.uniform(2.0, 8.0)
        wanted = [Partition(topic, number) for topic in self.projection.topics for number in range(self.partitions)]
        self.log = SimulatedLog(wanted)
        self.database = Database(self.loop, self.chance, self.statements.table_names, random.random() < 0.3)
        self.group = Group(self.loop, wanted)
        self.oracle = Oracle(self.projection, self.database, self.log)
        self.sweeping: Process | None = None
        self.workers: list[WorkerProcess] = []
        # Half of the sweepers are faster than any batch, so that one in flight can come after them.
        self.quick_sweeps = random.random() < 0.5 or self.chance.farewell
        self._slots = 3 if self.chance.storm else random.randint(1, 3)
        self._starts = 0
        self._appends = appends(self.chance, self.projection, self.partitions, self.seconds)
        self._held_back: dict[Partition, list[Append]] = {}
        self._under_way = 0  # what operators have begun and not finished
        self._calm = self._over = False

    def run(self) -> None:
        """Raises AssertionError, or whatever else went wrong."""
        with self._logs():
            self._plan()
            self._operate(self._watch(), lasting=False)
            try:
                self.loop.run(lambda: self._over, TURNS_MAX)
                self.oracle.at_rest()
            finally:
                self.loop.end()

    def trace(self, line: str) -> None:
        if self._tell is not None:
            self._tell(f"{self.loop.time():8.3f}  {line}")

    def restart(self, worker: WorkerProcess) -> None:
        """What ended is started again by its supervisor."""
        self.workers.remove(worker)
        self.loop.call_later(self.chance.seconds(0.5, 2.0), self._start, context=self.context)

    def _start(self) -> None:
        self._starts += 1
        worker = WorkerProcess(self, f"worker {self._starts}")
        self.workers.append(worker)
        worker.start()

    def _plan(self) -> None:
        for append in self._appends:
            self.loop.call_at(append.at, self._append, append)
        for _ in range(self._slots):
            self.loop.call_at(self.chance.seconds(0.0, 1.0), self._start)
        happenings: dict[str, Callable[[], bool]] = {
            "database crash": self._crash_database,
            "rebalance": self._rebalance,
            "position set back": self._set_back,
            "log lost its tail": self._lose_tail,
            "producer repeats": self._repeat,
            "key deleted": self._delete_key,
        }
        for name, times in self.chance.events.items():
            for _ in range(times):
                self.loop.call_at(self.chance.seconds(0.5, self.seconds), self._happen, name, happenings[name])

    def _happen(self, name: str, happening: Callable[[], bool]) -> None:
        if happening():
            self.chance.note(name)
            self.trace(name)

    async def _watch(self) -> None:
        """The group's sessions, that something advances while there is something to apply, and the end.

        The watchdog would mend a standstill; where it had to, the worker is wrong.
        """
        advanced, progress, calm_at = 0.0, -1, 0.0
        while not self._over:
            await asyncio.sleep(SESSION_SECONDS / 12 if self._calm else SESSION_SECONDS / 4)
            self.group.look()
            now = self.loop.time()
            if not self._calm and now > self.seconds:
                self.chance.rates = dict.fromkeys(self.chance.rates, 0.0)
                self._calm, calm_at = True, now
                self.trace("nothing strikes any more")
            if self.oracle.steps != progress or not self._lag():
                advanced, progress = now, self.oracle.steps
            assert now - advanced < STILL_SECONDS_MAX, f"nothing advances, {self._lag()} records behind"
            self._over = self._calm and self._is_at_rest()
            assert now - calm_at < REST_SECONDS_MAX or not self._calm, f"no rest: {self._lag()} records behind"

    def _lag(self) -> int:
        """How many records lie between the positions and the log's ends, either way."""
        positions = self.database.rows["position"]
        return sum(
            abs(end - (positions[partition].offset if partition in positions else 0))
            for partition, end in self.log.ends.items()
        )

    def unswept(self) -> bool:
        """Whether there are entries for the sweeper, which is told of them."""
        return any(not entry.done for name in ("erased", "gone") for entry in self.database.rows[name].values())

    def _is_at_rest(self) -> bool:
        return (
            not self._lag()
            and not self._under_way
            and self.loop.time() > self._appends[-1].at
            and not self.unswept()
            and self.workers != []
            and len(self.database.rows["position"]) == len(self.log.ends)
        )

    # What happens

    def _append(self, append: Append) -> None:
        if append.partition in self._held_back:
            self._held_back[append.partition].append(append)
            return
        self.log.append(append.partition, append.key, append.value, append.event)
        self.oracle.appended(append.event)

    def _crash_database(self) -> bool:
        lost = self.database.crash(self.chance.seconds(0.1, 2.0))
        if lost:
            self.chance.note("lost commits")
        self.trace(f"the database crashes and loses {lost} commits")
        return True

    def _rebalance(self) -> bool:
        self.group.rebalance()
        return True

    def _set_back(self) -> bool:
        positions = self.database.rows["position"]
        moved = sorted(partition for partition, row in positions.items() if row.offset > 0)
        if not moved:
            return False
        partition = self.chance.random.choice(moved)
        self._operate(self._move(partition, self.chance.number(0, positions[partition].offset)))
        return True

    def _operate(self, work: Any, lasting: bool = True) -> None:
        """Work of no process, whose errors end the run, and which the end waits for unless it is not `lasting`."""
        self._under_way += lasting

        def finished(task: "asyncio.Task[None]") -> None:
            self._under_way -= lasting
            if task.exception() is not None:
                self.loop.fail(task.exception() or RuntimeError())

        self.loop.start(work, None).add_done_callback(finished)

    async def _move(self, partition: Partition, offset: int) -> None:
        """An operator sets a position back, and says so by leaving no last event."""

        async def body(transaction: Transaction) -> None:
            await transaction.lock("position", partition)
            found = transaction.read("position", partition)
            if found is not None and found.offset > offset:
                transaction.purpose = ("set back", (partition, offset))
                transaction.write("position", partition, found._replace(offset=offset, last_event=None))

        while True:
            try:
                await self.database.run(body, durable=True)
                return
            except Exception:
                await asyncio.sleep(0.3)

    def _lose_tail(self) -> bool:
        """The broker comes back with a shorter log; everybody connects to it anew, and later it is mended."""
        filled = sorted(partition for partition, end in self.log.ends.items() if end > 0)
        if not filled or self._held_back:
            return False
        partition = self.chance.random.choice(filled)
        end = max(0, self.log.ends[partition] - self.chance.number(1, 3))
        lost = self.log.lose_tail(partition, end)
        self._held_back[partition] = []
        for worker in self.workers:
            worker.consumer.client.current.active = False
        self.group.rebalance()
        self._operate(self._repair(partition, end, lost))
        return True

    async def _repair(self, partition: Partition, end: int, lost: list[Record]) -> None:
        """What `rookery repair-log` does; in between the log may have grown."""
        await asyncio.sleep(self.chance.seconds(1.0, 8.0))
        grown = self._held_back.pop(partition)
        for append in grown:
            self._append(append)
        await asyncio.sleep(self.chance.seconds(0.0, 4.0))
        for record in lost:
            self.log.append(partition, record.key, record.value, record.event)
        await self._move(partition, end)

    def _repeat(self) -> bool:
        filled = sorted(partition for partition, records in self.log.records.items() if records)
        if not filled or self._held_back:
            return False
        partition = self.chance.random.choice(filled)
        record = self.chance.random.choice(self.log.records[partition])
        if record.event is None:
            return False
        self.log.append(partition, record.key, record.value, record.event)
        return True

    def _delete_key(self) -> bool:
        """An erased person's record becomes a null, or nothing at all."""
        doomed = [
            (partition, record.key)
            for partition, records in self.log.records.items()
            for record in records[:-1]  # the active segment is never compacted
            if record.event is not None
            and record.event.subject_id in self.oracle.taken_from
            and type(record.event).__name__ != "UserErased"
        ]
        if not doomed:
            return False
        partition, key = self.chance.random.choice(doomed)
        self.log.delete(partition, key, null=self.chance.random.random() < 0.5)
        return True

    @contextmanager
    def _logs(self) -> Iterator[None]:
        """The product's own log lines become lines of the trace, or nothing."""

        def take(logger: Any, level: str, event: Any) -> Any:
            shown = {name: value for name, value in event.items() if name not in ("event", "exc_info", "seconds")}
            self.trace(f"log: {event['event']} {shown}")
            raise structlog.DropEvent

        before = structlog.get_config()
        structlog.configure(processors=[take], cache_logger_on_first_use=False)
        try:
            yield
        finally:
            structlog.configure(**before)
