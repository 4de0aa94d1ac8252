"""Appends a random history at a steady rate, whatever becomes of the broker, and knows what was acknowledged."""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from projectors.runtime.stores.port import Partition
from schemas.catalogue import event_schemas
from schemas.registration import open_codec
from schemas.types import Event
from shared.crypto import KeyRing, new_data_key, wrap
from shared.environment import Environment
from shared.kafka import PRODUCER_SETTINGS, partition_of, record_key
from tests.chaos.communities import History

TICK_SECONDS = 0.02
FLUSH_SECONDS_MAX = 60.0


class Appender(threading.Thread):
    """Appends until `finish`, and then the rest of what has begun. The subjects' keys are made before their first
    event."""

    def __init__(self, environment: Environment, events: History, per_second: float) -> None:
        super().__init__(name="appender", daemon=True)
        self._environment = environment
        self._events = events
        self._per_second = per_second
        self._master = bytes.fromhex(environment.secrets["master_key"])
        self._wrapped: dict[UUID, bytes] = {}
        self._ring = KeyRing(self._master, lambda wanted: {each: self._wrapped[each] for each in wanted})
        self._codec = open_codec(environment.schema_registry_url)
        self._producer = self._new_producer()
        self._again: list[tuple[Any, ...]] = []
        self._under_way = 0
        self._lock = threading.Lock()
        self._ends: dict[Partition, int] = defaultdict(int)
        self._finish = threading.Event()
        self.acknowledged: set[UUID] = set()
        self.error: BaseException | None = None

    def ends(self) -> dict[Partition, int]:
        """Behind the last record that the broker has acknowledged, of every partition that has one."""
        with self._lock:
            return dict(self._ends)

    def finish(self) -> None:
        """Ends, once everything begun is acknowledged. Raises what stopped it, TimeoutError when the broker is away."""
        self._finish.set()
        self.join(FLUSH_SECONDS_MAX + 5)
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        try:
            self._append()
        except BaseException as error:
            self.error = error

    def _append(self) -> None:
        began, appended = time.monotonic(), 0
        while not self._finish.is_set():
            due = int((time.monotonic() - began) * self._per_second) - appended
            # After an outage it goes on at its rate, and does not make up for what it missed.
            events = list(islice(self._events, min(due, int(self._per_second))))
            appended += due
            self._send_all(events)
            self._repeat()
            self._producer.poll(TICK_SECONDS)
        self._events.ends = True
        self._send_all(list(self._events))
        deadline = time.monotonic() + FLUSH_SECONDS_MAX
        while self._under_way or self._again:
            self._repeat()
            self._producer.poll(TICK_SECONDS)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._under_way} records were not acknowledged")

    def _send_all(self, events: Sequence[Event]) -> None:
        self._give_keys({event.subject_id for event in events})
        for event in events:
            self._send(self._record(event))

    def _record(self, event: Event) -> tuple[Any, ...]:
        schema = event_schemas()[type(event).__name__]
        partition = partition_of(getattr(event, schema.partitioned_by), self._environment.topic_partitions)
        key = record_key(event.subject_id, event.event_id)
        return self._environment.topic(schema.topic), self._codec.encode(event, self._ring.seal), key, partition

    def _send(self, record: tuple[Any, ...]) -> None:
        def told(error: KafkaError | None, message: Message) -> None:
            self._under_way -= 1
            if error is not None:
                self._again.append(record)  # the same event once more is inert
                return
            offset = message.offset() or 0
            topic = (message.topic() or "").removeprefix(self._environment.topic_prefix)
            place = Partition(topic, message.partition() or 0)
            with self._lock:
                self._ends[place] = max(self._ends[place], offset + 1)
                self.acknowledged.add(UUID(bytes=record[2][16:]))

        try:
            topic, value, key, number = record
            self._producer.produce(topic, value, key, number, on_delivery=told)
        except (BufferError, KafkaException):
            self._again.append(record)
            return
        self._under_way += 1

    def _repeat(self) -> None:
        again, self._again = self._again, []
        for record in again:
            self._send(record)

    def _new_producer(self) -> Producer:
        return Producer(
            {**PRODUCER_SETTINGS, "bootstrap.servers": self._environment.kafka_bootstrap_servers, "log_level": 0}
        )

    def _give_keys(self, subjects: set[UUID]) -> None:
        new = {each: wrap(self._master, each, new_data_key()) for each in subjects - self._wrapped.keys()}
        while new:
            try:
                with psycopg.connect(self._environment.vault_database_url) as connection:
                    connection.cursor().executemany(
                        "insert into subject_key values (%s, %s) on conflict do nothing", list(new.items())
                    )
                break
            except psycopg.OperationalError:
                time.sleep(TICK_SECONDS)  # PostgreSQL is one of the things that are stopped
        self._wrapped.update(new)
