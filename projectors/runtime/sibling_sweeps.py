"""Whoever is erased from the live schema soon leaves its siblings too: the old one, kept states, an unfinished rebuild.

One of the live workers does it, under the lock that a rebuild holds. A rebuild at work sees to its own schema itself,
and meanwhile to the others in the worker's place, since it may work for hours.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import structlog
from confluent_kafka import KafkaException
from psycopg import Connection, sql

from projectors.runtime import siblings
from projectors.runtime.catching_up import sweep
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.rebuild import Refused, alone
from projectors.runtime.siblings import Sibling
from shared.environment import Environment

LOOK_SECONDS = 10.0
TROUBLE = (psycopg.Error, KafkaException, TimeoutError)
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
            except TROUBLE as error:
                log.warning("sibling_sweep", error=type(error).__name__, message=str(error).partition("\n")[0])
            await asyncio.sleep(LOOK_SECONDS)

    def step(self) -> int:
        """Sweeps what there is to sweep; answers how many schemas that were."""
        if self._looking is None or self._looking.closed:
            self._looking = siblings.connect(self._environment.read_database_url)
        if not waiting(self._looking, self._projection.name):
            return 0
        try:
            with alone(self._environment, self._projection.name, wait_seconds=0) as connection:
                # Asked anew: one may have been dropped or swapped in since.
                found = waiting(connection, self._projection.name)
                for each in found:
                    swept = sweep(self._projection, self._environment, each)
                    log.info("sibling_swept", schema=each.schema, entries=swept)
        except Refused:
            return 0
        return len(found)


@contextmanager
def others_swept(projection: PostgresProjection, environment: Environment, but: str) -> Iterator[None]:
    """While this lasts, whoever is erased leaves every sibling except one. The caller has the rebuild lock, and neither
    makes, drops nor renames another schema meanwhile."""
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            # What could not be swept now is the next time, or by the live workers once the lock is free.
            with suppress(*TROUBLE), siblings.connect(environment.read_database_url) as connection:
                for each in waiting(connection, projection.name, but):
                    sweep(projection, environment, each)
            ended.wait(LOOK_SECONDS)

    looking = threading.Thread(target=look, name="sibling-sweeps", daemon=True)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


def waiting(connection: Connection[Any], projection: str, but: str = "") -> list[Sibling]:
    """The schemas of a projection, except one, from which somebody is still to be swept."""
    every = siblings.siblings(connection, projection)
    return [each for each in every if each.schema != but and has_unswept(connection, projection, each.schema)]


def has_unswept(connection: Connection[Any], live: str, schema: str) -> bool:
    """Whether somebody is erased in the live schema who is not in the other, or not swept there."""
    statement = sql.SQL(
        """select exists (select from {own} where done_at is null) or exists (
             select from {live} as l where not exists (select from {own} as o where o.user_id = l.user_id))"""
    ).format(own=sql.Identifier(schema, "erased"), live=sql.Identifier(live, "erased"))
    row = connection.execute(statement).fetchone()
    return row is not None and bool(row[0])
