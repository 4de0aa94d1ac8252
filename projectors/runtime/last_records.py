"""Whether the log still has, right before a position, the record that was applied last: a broker that lost its tail and
grew anew, or another log under the same name, is noticed before anything of it is applied.

A position's `last_event` is the id of that record's event. A record that was deleted since (its place in the log is
empty, or holds a null under the same key) differs from nothing.
"""

import time
from collections.abc import Mapping
from uuid import UUID

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from projectors.runtime.stores.port import Fence, Partition
from shared.environment import Environment

KEY_BYTES = 32
POLL_SECONDS = 0.1


def event_of(key: bytes | None) -> UUID | None:
    """The id of the event in a record's key, which a deleted record has too; None for a maintenance record."""
    return UUID(bytes=bytes(key[16:])) if key is not None and len(key) == KEY_BYTES else None


class LastRecords:
    """Reads one record per partition, with a consumer of its own. Blocks: from an event loop call it in a thread."""

    def __init__(self, environment: Environment, timeout_seconds: float = 6.0) -> None:
        self._environment = environment
        self._timeout = timeout_seconds
        self._settings = {
            "bootstrap.servers": environment.kafka_bootstrap_servers,
            "group.id": environment.topic("last-records"),  # required by the client; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": 65_536,
            "fetch.wait.max.ms": 10,
        }

    def differences(self, fences: Mapping[Partition, Fence]) -> list[str]:
        """One sentence for each partition whose log is not the one that was applied.

        Raises TimeoutError when the broker does not answer. A position outside the log altogether is left to the
        consumer that begins there, which refuses it.
        """
        waiting = {
            (self._environment.topic(partition.topic), partition.number): fence
            for partition, fence in fences.items()
            if fence.last_event is not None and fence.offset > 0
        }
        if not waiting:
            return []
        found = []
        deadline = time.monotonic() + self._timeout
        consumer = Consumer(self._settings)
        try:
            consumer.assign([TopicPartition(*place, fence.offset - 1) for place, fence in waiting.items()])
            while waiting:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the records before {len(waiting)} positions could not be read")
                message = consumer.poll(POLL_SECONDS)
                place = ("", -1) if message is None else (message.topic() or "", message.partition() or 0)
                if message is None or place not in waiting:
                    continue
                error = message.error()
                if error is not None and error.code() not in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET):
                    continue  # the client tries again by itself
                consumer.pause([TopicPartition(*place)])
                difference = _difference(message, waiting.pop(place))
                if difference:
                    found.append(f"{place[0]}:{place[1]} {difference}")
        finally:
            consumer.close()
        return sorted(found)


def _difference(message: Message, fence: Fence) -> str | None:
    error, offset = message.error(), message.offset()
    if error is not None:
        shorter = error.code() == KafkaError._PARTITION_EOF and offset is not None and offset < fence.offset
        return f"ends at {offset}, before the position {fence.offset}" if shorter else None
    event_id = event_of(message.key())
    if offset != fence.offset - 1 or event_id is None or event_id == fence.last_event:
        return None
    return f"has {event_id} at {offset}, where {fence.last_event} was applied"
