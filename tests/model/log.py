"""The whole log as events: every topic from its first record to the ends seen at a moment, decoded and opened."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from projectors.runtime.log_ends import LogEnds
from projectors.runtime.reading import SubjectKeys
from projectors.runtime.stores.port import Partition
from schemas.catalogue import topics
from schemas.codec import MalformedRecord
from schemas.registration import open_codec
from schemas.types import Event
from shared.crypto import KeyRing
from shared.environment import Environment

RECORDS_AT_ONCE = 5_000
PORTION_SECONDS = 0.2  # consume waits so long for a full portion
SILENCE_SECONDS = 20.0  # a broker that gives nothing for so long, with records still to come, is not going to


class LogReader:
    """Reads forward only: `read_to` a later end goes on where the last one stopped. Not for threads."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._ends = LogEnds(environment)
        self.partitions = self._ends.partitions(topics())
        self._at = dict.fromkeys(self.partitions, 0)
        self._codec = open_codec(environment.schema_registry_url)
        self._keys = KeyRing(
            bytes.fromhex(environment.secrets["master_key"]),
            SubjectKeys(environment.keys_database_url).fetch,
            seconds=3_600,
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": environment.kafka_bootstrap_servers,
                "group.id": "rookery-verify",  # demanded by the client; nothing is committed under it
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            },
            logger=logging.getLogger(__name__),
        )
        self._consumer.assign(
            [TopicPartition(environment.topic(p.topic), p.number, OFFSET_BEGINNING) for p in self.partitions]
        )
        self.events: list[Event] = []

    def ends(self) -> dict[Partition, int]:
        """Where each partition ends now."""
        return self._ends.ends(self.partitions)

    def read_to(self, ends: Mapping[Partition, int], progress: Callable[[int, int], None]) -> None:
        """Adds to `events` until every partition is read to its end.

        Raises TimeoutError when the broker falls silent before, KafkaException where it refuses.
        """
        total = sum(ends.values())
        heard = time.monotonic()
        while any(self._at[partition] < end for partition, end in ends.items()):
            messages = self._consumer.consume(RECORDS_AT_ONCE, timeout=PORTION_SECONDS)
            heard = time.monotonic() if messages else heard
            if time.monotonic() - heard > SILENCE_SECONDS:
                behind = [f"{p.topic}/{p.number}" for p, end in ends.items() if self._at[p] < end]
                raise TimeoutError(
                    f"Kafka gave nothing for {SILENCE_SECONDS:.0f} s; still to read: {', '.join(behind)}"
                )
            self._take(messages)
            progress(min(sum(self._at.values()), total), total)

    def _take(self, messages: Iterable[Message]) -> None:
        values = []
        for message in messages:
            error = message.error()
            offset = message.offset()
            assert offset is not None
            # The end of a partition is told with the offset behind its last record, which a compacted log may not hold.
            if error is None:
                offset += 1
                value: Any = message.value()
                if value is not None:
                    values.append(value)
            elif error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            place = Partition(
                str(message.topic()).removeprefix(self._environment.topic("")), int(message.partition() or 0)
            )
            self._at[place] = max(self._at[place], offset)
        try:
            self.events.extend(self._decoded(values))
        except MalformedRecord:
            # Bytes that are no event say nothing, to the model as to the projections.
            for value in values:
                with contextlib.suppress(MalformedRecord):
                    self.events.extend(self._decoded([value]))

    def _decoded(self, values: list[Any]) -> list[Event]:
        self._keys.load(self._codec.subjects(values))
        return [self._codec.decode(value, self._keys.unseal) for value in values]

    def close(self) -> None:
        self._consumer.close()
