"""Whoever is erased from the live schema soon leaves its siblings too: the old one, kept states, an unfinished rebuild.

One of the live workers does it, under the lock that a rebuild holds: a rebuild at work sees to its own schema itself.
"""

import asyncio
from typing import Any

import psycopg
import structlog
from confluent_kafka import KafkaException
from psycopg import sql

from projectors.runtime import siblings
from projectors.runtime.catching_up import sweep
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.rebuild import Refused, alone
from shared.environment import Environment

LOOK_SECONDS = 10.0
log = structlog.get_logger()


class SiblingSweeper:
    """Looks again and again for as long as `run` runs."""

    def __init__(self, projection: PostgresProjection, environment: Environment) -> None:
        self._projection = projection
        self._environment = environment
        self._looking: psycopg.Connection[Any] | None = None  # kept, since most looks find nothing

    async def run(self) -> None:
        """Trouble with a server is logged and tried again."""
        while True:
            try:
                await asyncio.to_thread(self.step)
            except (psycopg.Error, KafkaException, TimeoutError) as error:
                log.warning("sibling_sweep", error=type(error).__name__, message=str(error).partition("\n")[0])
            await asyncio.sleep(LOOK_SECONDS)

    def step(self) -> int:
        """Sweeps what there is to sweep; answers how many schemas that were."""
        if self._looking is None or self._looking.closed:
            self._looking = siblings.connect(self._environment.read_database_url)
        waiting = [
            each
            for each in siblings.siblings(self._looking, self._projection.name)
            if _has_unswept(self._looking, self._projection.name, each.schema)
        ]
        if not waiting:
            return 0
        try:
            with alone(self._environment, self._projection.name, wait_seconds=0) as connection:
                for each in waiting:
                    # It may have been dropped or swapped in since.
                    if siblings.found(connection, each.schema) == each:
                        swept = sweep(self._projection, self._environment, each)
                        log.info("sibling_swept", schema=each.schema, entries=swept)
        except Refused:
            return 0
        return len(waiting)


def _has_unswept(connection: "psycopg.Connection[object]", live: str, schema: str) -> bool:
    """Whether somebody is erased in the live schema who is not in the other, or not swept there."""
    statement = sql.SQL(
        """select exists (select from {own} where done_at is null) or exists (
             select from {live} as l where not exists (select from {own} as o where o.user_id = l.user_id))"""
    ).format(own=sql.Identifier(schema, "erased"), live=sql.Identifier(live, "erased"))
    row: tuple[object, ...] | None = connection.execute(statement).fetchone()  # type: ignore[assignment]
    return row is not None and bool(row[0])
