"""How far each projection is behind the log, as its store tells, not as Kafka's group commits do."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from projectors.runtime.log_ends import LogEnds
from projectors.runtime.projection import Projection
from projectors.runtime.projector import open_store
from projectors.runtime.stores.port import Partition, Store
from shared.environment import Environment

LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class PartitionLag:
    """Records from `position` (the next to apply) up to `end` are not yet applied. `owned`: a worker has ever fenced
    it."""

    projection: str
    topic: str
    partition: int
    position: int
    end: int
    owned: bool

    @property
    def records(self) -> int:
        return max(0, self.end - self.position)


class LagMeter:
    """Measures again and again over the same connections. Used as `async with`."""

    def __init__(self, environment: Environment, projections: Sequence[Projection]) -> None:
        self._environment = environment
        self._projections = projections
        self._ends = LogEnds(environment)
        self._stores: dict[str, Store] = {}
        self._partitions: list[Partition] = []

    async def __aenter__(self) -> "LagMeter":
        topics = sorted({topic for projection in self._projections for topic in projection.topics})
        self._partitions = await asyncio.to_thread(self._ends.partitions, topics)
        for projection in self._projections:
            self._stores[projection.name] = await open_store(projection, self._environment, "lag")
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._stores.values():
            await store.close()

    async def ends(self) -> dict[Partition, int]:
        """The log's ends now."""
        return await asyncio.to_thread(self._ends.ends, self._partitions)

    async def measure(self, ends: dict[Partition, int] | None = None) -> list[PartitionLag]:
        """Every projection's lag in every partition it reads, behind `ends` or the log's ends now."""
        until = await self.ends() if ends is None else ends
        return [lag for projection in self._projections for lag in await self._of(projection, until)]

    async def _of(self, projection: Projection, ends: dict[Partition, int]) -> list[PartitionLag]:
        found = await self._stores[projection.name].positions()
        fresh = [p for p in self._partitions if p.topic in projection.topics and p not in found]
        # A partition without a position will be read from its first record.
        first = await asyncio.to_thread(self._ends.beginnings, fresh)
        return [
            PartitionLag(
                projection.name,
                partition.topic,
                partition.number,
                found[partition].offset if partition in found else first[partition],
                ends[partition],
                owned=partition in found,
            )
            for partition in self._partitions
            if partition.topic in projection.topics
        ]


async def lag(environment: Environment, projections: Sequence[Projection] | None = None) -> list[PartitionLag]:
    """The lag of these projections (all of the catalogue when left out), partition by partition."""
    async with LagMeter(environment, _chosen(projections)) as meter:
        return await meter.measure()


async def wait_until_caught_up(
    environment: Environment,
    timeout_seconds: float,
    on_progress: Callable[[int, int], None] | None = None,
    projections: Sequence[Projection] | None = None,
) -> bool:
    """Whether everything in the log now was applied by all these projections within the timeout.

    `on_progress` is told, several times a second, how many records (summed over projections) are left and how many were
    left at first.
    """
    deadline = time.monotonic() + timeout_seconds
    async with LagMeter(environment, _chosen(projections)) as meter:
        until = await meter.ends()
        at_first = None
        while True:
            left = sum(each.records for each in await meter.measure(until))
            at_first = left if at_first is None else at_first
            if on_progress is not None:
                on_progress(left, at_first)
            if left == 0 or time.monotonic() > deadline:
                return left == 0
            await asyncio.sleep(LOOK_SECONDS)


def _chosen(projections: Sequence[Projection] | None) -> Sequence[Projection]:
    if projections is not None:
        return projections
    from projectors.catalogue import PROJECTIONS

    return PROJECTIONS
