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
        return asyncio.run(self._apply(event))

    async def _apply(self, event: Event) -> int:
        here = Partition(event_schemas()[type(event).__name__].topic, PARTITION)
        reached = 0
        for projection in POSTGRES_PROJECTIONS.values():
            if here.topic in projection.topics:
                store = PostgresStore(projection, self._url, "test")
                fence = (await store.fence([here], _from_the_beginning))[here]
                step = Advance(here, fence.offset, fence.offset + 1, fence.epoch)
                assert await store.apply(step, projection.fold([event])) is Outcome.APPLIED
                reached = step.next
                await store.close()
        return reached


async def _from_the_beginning(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
    return dict.fromkeys(partitions, 0)
