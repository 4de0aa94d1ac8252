"""Publishes what was committed but not acknowledged: the same bytes, in id order, until the broker has it.

python -m command_api.event_log.relay

Any number may run: a partition is worked on under an advisory lock. A row is left to the request that wrote it for a
second. SIGTERM ends it between two partitions, at the latest after the time a batch is waited for in slices.
"""

import logging
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from command_api.event_log import outbox
from command_api.event_log.late import late_marker
from command_api.event_log.outbox import Record
from command_api.event_log.publishing import Publisher
from shared.environment import environment

log = logging.getLogger("command_api.event_log.relay")
AGE_SECONDS = 1.0
PASS_SECONDS = 0.2
RETRY_SECONDS = 1.0
BATCH_RECORDS = 1_000
DELIVERY_SECONDS = 10.0
SLICE_SECONDS = 0.25
# Marks the advisory locks of partitions among others of this database.
LOCK_CLASS = 7_401


class Relay:
    """One relay: `run` until `stop`; `pass_once` goes once over all partitions with old rows."""

    def __init__(self, publisher: Publisher | None = None, age_seconds: float = AGE_SECONDS) -> None:
        self._publisher = publisher or Publisher(late_marker())
        self._age_seconds = age_seconds
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Works until it is stopped; a database that is away is tried again."""
        while not self._stopping.is_set():
            try:
                with psycopg.connect(environment().command_database_url, autocommit=True) as connection:
                    while not self._stopping.is_set():
                        self.pass_once(connection)
                        self._stopping.wait(RETRY_SECONDS if self._publisher.away else PASS_SECONDS)
            except psycopg.OperationalError as error:
                log.warning("the database is away: %s", error)
                self._stopping.wait(RETRY_SECONDS)

    def pass_once(self, connection: psycopg.Connection[Any]) -> int:
        """Publishes what is due and answers how many records the broker acknowledged."""
        partitions = connection.execute(
            "SELECT topic, partition FROM outbox WHERE acked_at IS NULL"
            " AND created_at < clock_timestamp() - make_interval(secs => %s) GROUP BY topic, partition",
            (self._age_seconds,),
        ).fetchall()
        acked = 0
        for topic, partition in partitions:
            if self._stopping.is_set():
                break
            done, more = self._publish(connection, topic, partition)
            acked += done
            if more and not done:
                break  # nobody answers; the other partitions would only wait as long
        return acked

    def _publish(self, connection: psycopg.Connection[Any], topic: str, partition: int) -> tuple[int, int]:
        """One batch of one partition: how many were acknowledged, of how many."""
        with connection.transaction():
            locked = connection.execute(
                "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (LOCK_CLASS, f"{topic}/{partition}")
            ).fetchone()
            if locked is None or not locked[0]:
                return 0, 0  # another relay is at it
            rows = connection.execute(
                f"SELECT {outbox.COLUMNS} FROM outbox WHERE acked_at IS NULL AND topic = %s AND partition = %s"
                " AND created_at < clock_timestamp() - make_interval(secs => %s) ORDER BY event_id LIMIT %s",
                (topic, partition, self._age_seconds, BATCH_RECORDS),
            ).fetchall()
            offsets = self._deliver([Record(*row) for row in rows])
            outbox.mark_acked(connection, offsets)
        if offsets:
            log.info("published %d of %d records of %s/%d", len(offsets), len(rows), topic, partition)
        return len(offsets), len(rows)

    def _deliver(self, records: Sequence[Record]) -> dict[UUID, int]:
        delivery = self._publisher.send(records)
        deadline = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < deadline and not self._stopping.is_set():
            if delivery.is_done(SLICE_SECONDS):
                break
        return delivery.wait(0)

    def close(self) -> None:
        self._publisher.close()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    relay = Relay()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    relay.run()
    relay.close()


if __name__ == "__main__":
    main()
