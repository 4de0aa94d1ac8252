"""Fold and apply for one projection, whatever carries the records: the live worker and a rebuild call the same."""

from collections.abc import Sequence
from typing import Any

import psycopg

from projectors.runtime.projection import PostgresProjection, Projection
from projectors.runtime.reading import Reader, open_reader
from projectors.runtime.retrying import retrying
from projectors.runtime.stores.port import Fence, Partition, Store
from shared.environment import Environment


class Projector:
    """A projection with its store and the reader of its records."""

    def __init__(self, projection: Projection, store: Store, reader: Reader) -> None:
        self.projection = projection
        self.store = store
        self.reader = reader

    async def changes_of(self, values: Sequence[bytes | None]) -> Any:
        """What these records change. Deleted records (null values) change nothing; they only advance the position.

        Raises schemas.codec.UnknownEventType or MalformedRecord.
        """
        present = [value for value in values if value is not None]
        what = f"loading the keys of {self.projection.name}"
        await retrying(what, lambda: self.reader.load_keys(present), (psycopg.OperationalError,))
        return self.projection.fold(self.reader.read(present))

    async def positions(self) -> dict[Partition, Fence]:
        """The store's positions, asked again for a while when it is away."""
        what = f"positions of {self.projection.name}"
        return await retrying(what, self.store.positions, transient_errors(self.projection))


def transient_errors(projection: Projection) -> tuple[type[Exception], ...]:
    """The errors of a projection's store that pass by themselves."""
    if isinstance(projection, PostgresProjection):
        return (psycopg.OperationalError,)
    import redis

    return (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError)


async def open_projector(projection: Projection, environment: Environment, owner: str) -> Projector:
    """A projector with its live store; `owner` is noted beside the positions it fences."""
    return Projector(projection, await open_store(projection, environment, owner), open_reader(projection, environment))


async def open_store(projection: Projection, environment: Environment, owner: str) -> Store:
    """The live store of a projection, by its kind."""
    if isinstance(projection, PostgresProjection):
        from projectors.runtime.stores import postgres

        return await postgres.open_store(projection, environment, owner)
    from projectors.runtime.stores import redis, redis_window

    opened: Store = await (redis_window if projection.one_shard else redis).open_store(projection, environment, owner)
    return opened
