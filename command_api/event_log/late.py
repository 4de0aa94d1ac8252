"""Acknowledgements are marked in batches, by a thread with a connection of its own, so that no request pays for it.

What is not marked yet is known to this process (`unmarked`). A process that dies before it has marked has its events
published once more by the relay, which readers do not notice.
"""

import atexit
import logging
import threading
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from uuid import UUID

import psycopg

from command_api.event_log import outbox
from shared.environment import environment

log = logging.getLogger(__name__)
# Longer gathers more into one statement, and lets other processes wait longer for what follows these events.
GATHER_SECONDS = 0.005
SETTLE_AT_EXIT_SECONDS = 2.0


class LateMarker:
    """Takes acknowledgements from any thread, also the producer's, which must not wait for a database."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[UUID, int] = {}
        self._marking: dict[UUID, int] = {}
        self._connection: psycopg.Connection | None = None
        threading.Thread(target=self._run, name="acknowledgements", daemon=True).start()

    def __call__(self, offsets: Mapping[UUID, int]) -> None:
        if offsets:
            with self._changed:
                self._waiting.update(offsets)
                self._changed.notify_all()

    def unmarked(self, event_ids: Iterable[UUID]) -> dict[UUID, int]:
        """The offsets of those of these events whose acknowledgement is known here and not yet marked."""
        with self._changed:
            known = {event_id: self._waiting.get(event_id, self._marking.get(event_id)) for event_id in event_ids}
        return {event_id: offset for event_id, offset in known.items() if offset is not None}

    def settle(self, seconds: float) -> bool:
        """Waits until everything taken so far is marked; whether that was done within this time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._marking, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
            time.sleep(GATHER_SECONDS)
            with self._changed:
                self._marking, self._waiting = self._waiting, {}
            self._mark(self._marking)
            with self._changed:
                self._marking = {}
                self._changed.notify_all()

    def _mark(self, offsets: Mapping[UUID, int]) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    environment().command_database_url, autocommit=True, application_name="rookery-acknowledgements"
                )
            outbox.mark_acked(self._connection, offsets)
        except psycopg.OperationalError as error:
            log.warning("%d acknowledgements could not be marked: %s", len(offsets), error)
            if self._connection is not None:
                self._connection.close()


@lru_cache(maxsize=1)
def late_marker() -> LateMarker:
    """This process's marker; what it holds at the process's end is still marked."""
    marker = LateMarker()
    atexit.register(marker.settle, SETTLE_AT_EXIT_SECONDS)
    return marker
