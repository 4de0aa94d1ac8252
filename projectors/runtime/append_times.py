"""When the log took the first record that a projection has not applied yet: read from that very record.

A record's time is asked once and kept while the position stays where it is. A record that was deleted since is passed
over: the first one that the log still has counts.
"""

import time
from collections.abc import Iterable
from typing import NamedTuple

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, Message, TopicPartition

from projectors.runtime.stores.port import Partition
from shared.environment import Environment

POLL_SECONDS = 0.05


class Place(NamedTuple):
    """An offset of a partition."""

    partition: Partition
    offset: int


class AppendTimes:
    """One consumer, assigned to what is asked for and to nothing in between. Blocks; not for several threads at once.

    Topics are stamped by the log (`message.timestamp.type=LogAppendTime`); where a topic is not, these are the times
    that its producers wrote.
    """

    def __init__(self, environment: Environment, timeout_seconds: float = 4.0) -> None:
        self._environment = environment
        self._timeout = timeout_seconds
        self._known: dict[Place, float | None] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": environment.kafka_bootstrap_servers,
                "group.id": environment.topic("append-times"),  # required by the client; nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",  # a position before the log's beginning: its first record
                "fetch.message.max.bytes": 65_536,
                "fetch.wait.max.ms": 10,
                "queued.min.messages": 1,
                "fetch.queue.backoff.ms": 5,  # else a second, from a full queue of one assignment into the next
                "log_level": 0,
            }
        )

    def of(self, places: Iterable[Place]) -> dict[Place, float | None]:
        """Unix seconds, to the millisecond, of the first record at or behind each place; None where there is none.

        A place that could not be read within the timeout is left out.
        """
        wanted = set(places)
        self._known = {place: at for place, at in self._known.items() if place in wanted and at is not None}
        deadline = time.monotonic() + self._timeout
        left = wanted - self._known.keys()
        while left and time.monotonic() < deadline:
            # Projections stand at different offsets of one partition, which a consumer reads one after the other.
            now = {place.partition: place for place in sorted(left, reverse=True)}
            found = self._read(now, deadline)
            self._known |= found
            left -= found.keys()
        return dict(self._known)

    def close(self) -> None:
        self._consumer.close()

    def _read(self, places: dict[Partition, Place], deadline: float) -> dict[Place, float | None]:
        waiting = {(self._environment.topic(name), number): place for (name, number), place in places.items()}
        found: dict[Place, float | None] = {}
        assigned = [TopicPartition(*where, place.offset) for where, place in waiting.items()]
        self._consumer.assign(assigned)
        try:
            while waiting and time.monotonic() < deadline:
                message = self._consumer.poll(POLL_SECONDS)
                where = ("", -1) if message is None else (message.topic() or "", message.partition() or 0)
                if message is None or where not in waiting:
                    continue
                place = waiting[where]
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    continue  # the client tries again by itself
                if error is None and (message.offset() or 0) < place.offset:
                    continue
                self._consumer.pause([TopicPartition(*where)])
                found[place] = None if error is not None else _time_of(message)
                del waiting[where]
        finally:
            # A pause would outlive the assignment, and the next one would read nothing.
            self._consumer.resume(assigned)
            self._consumer.unassign()
        return found


def _time_of(message: Message) -> float | None:
    kind, milliseconds = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds / 1000
