"""The events of partitions by their places, read from the records' keys alone; values are not decoded."""

import time
from collections.abc import Mapping
from uuid import UUID

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from infra.repair.comparison import Log
from projectors.runtime.last_records import event_of
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.stores.port import Partition
from shared.environment import Environment

RECORDS_AT_ONCE = 10_000
PORTION_SECONDS = 0.2
SILENCE_SECONDS = 20.0


def read(environment: Environment, starts: Mapping[Partition, int]) -> dict[Partition, Log]:
    """Each partition from its start, or its first record where that is later, to its end now.

    Raises TimeoutError when the broker falls silent, KafkaException where it refuses.
    """
    ends = LogEnds(environment)
    begins, until = ends.beginnings(starts), ends.ends(starts)
    events: dict[Partition, dict[int, UUID | None]] = {partition: {} for partition in starts}
    at = {partition: max(start, begins[partition]) for partition, start in starts.items()}
    waiting = {partition for partition, offset in at.items() if offset < until[partition]}
    consumer = Consumer(
        {
            "bootstrap.servers": environment.kafka_bootstrap_servers,
            "group.id": environment.topic("repair-log"),  # required by the client; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        consumer.assign([TopicPartition(environment.topic(p.topic), p.number, at[p]) for p in waiting])
        heard = time.monotonic()
        while waiting:
            for message in consumer.consume(RECORDS_AT_ONCE, timeout=PORTION_SECONDS):
                heard = time.monotonic()
                error, offset = message.error(), message.offset()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                topic = (message.topic() or "").removeprefix(environment.topic_prefix)
                partition = Partition(topic, message.partition() or 0)
                if error is None and offset is not None and partition in waiting:
                    events[partition][offset] = event_of(message.key())
                if error is not None or (offset or 0) + 1 >= until[partition]:
                    waiting.discard(partition)
            if time.monotonic() - heard > SILENCE_SECONDS:
                raise TimeoutError(f"Kafka gave nothing for {SILENCE_SECONDS:.0f} s")
    finally:
        consumer.close()
    return {partition: Log(begins[partition], until[partition], found) for partition, found in events.items()}
