"""Events brought into the read tables as workers bring them: through the folds and stores of all that read them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.stores.postgres import PostgresStore
from schemas.catalogue import event_schemas
from schemas.types import Event
from shared.environment import Environment
from shared.ids import time_of
from tests.properties.projections import POSTGRES_PROJECTIONS
from tests.query_api.world import World

PARTITION = 1  # the tests that move positions by hand use partition 0


class Log:
    """Each event is a batch of its own, applied in every projection when `append` answers."""

    def __init__(self, environment: Environment, world: World) -> None:
        self._url = environment.read_database_url
        self._world = world

    def append(self, kind: type[Any], subject_id: UUID, **fields: Any) -> int:
        """What happens now; answers the offset behind it in its topic."""
        event_id = self._world.tick()
        event: Event = kind(event_id=event_id, occurred_at=time_of(event_id), subject_id=subject_id, **fields)
        here = Partition(event_schemas()[kind.__name__].topic, PARTITION)
        return asyncio.run(self._apply(here, [event]))

    def append_all(self, events: Sequence[Event]) -> None:
        """The events in each topic's order, as one batch of it."""
        asyncio.run(self._apply_all(events))

    async def _apply_all(self, events: Sequence[Event]) -> None:
        by_topic: dict[str, list[Event]] = {}
        for event in events:
            by_topic.setdefault(event_schemas()[type(event).__name__].topic, []).append(event)
        for topic, batch in by_topic.items():
            await self._apply(Partition(topic, PARTITION), batch)

    async def _apply(self, here: Partition, batch: Sequence[Event]) -> int:
        reached = 0
        for projection in POSTGRES_PROJECTIONS.values():
            if here.topic in projection.topics:
                store = PostgresStore(projection, self._url, "test")
                fence = (await store.fence([here], _from_the_beginning))[here]
                step = Advance(here, fence.offset, fence.offset + len(batch), fence.epoch)
                assert await store.apply(step, projection.fold(batch)) is Outcome.APPLIED
                reached = step.next
                await store.close()
        return reached


async def _from_the_beginning(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
    return dict.fromkeys(partitions, 0)
