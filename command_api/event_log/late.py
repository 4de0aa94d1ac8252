"""Marks the acknowledgements that nobody waits for any more, in batches, from a thread with its own connection."""

import logging
import queue
import threading
from functools import lru_cache
from uuid import UUID

import psycopg

from command_api.event_log import outbox
from shared.environment import environment

log = logging.getLogger(__name__)
BATCH_MAX = 1_000


class LateMarker:
    """Takes acknowledgements from the producer's thread, which must not wait for a database."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[dict[UUID, int]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="late-acknowledgements", daemon=True).start()

    def __call__(self, offsets: dict[UUID, int]) -> None:
        self._queue.put(offsets)

    def _run(self) -> None:
        while True:
            offsets = dict(self._queue.get())
            while not self._queue.empty() and len(offsets) < BATCH_MAX:
                offsets.update(self._queue.get())
            try:
                with psycopg.connect(environment().command_database_url, autocommit=True) as connection:
                    outbox.mark_acked(connection, offsets)
            except psycopg.OperationalError as error:
                # Unmarked events are published once more by the relay, which readers do not notice.
                log.warning("%d late acknowledgements could not be marked: %s", len(offsets), error)


@lru_cache(maxsize=1)
def late_marker() -> LateMarker:
    """This process's marker."""
    return LateMarker()
