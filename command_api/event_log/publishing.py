"""Records to the broker, by one producer a process; every record's fate is told, and nobody waits longer than asked."""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from command_api.event_log.outbox import Record
from shared.environment import environment
from shared.kafka import PRODUCER_SETTINGS

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
PROBE_SECONDS = 1.0
FLUSH_AT_EXIT_SECONDS = 2.0
FIRST_CONTACT_SECONDS = 2.0
# One slow acknowledgement is a busy machine; several in a row, with none between, are a broker that is away.
TIMEOUTS_MAX = 3
SLOW_SECONDS = 0.1  # a wait that was cut shorter says nothing about the broker
Late = Callable[[dict[UUID, int]], None]


class Delivery:
    """Some records under way. `offsets` fills as the broker acknowledges them."""

    def __init__(self, publisher: "Publisher", records: int) -> None:
        self.offsets: dict[UUID, int] = {}
        self._publisher = publisher
        self._open = records
        self._done = threading.Event()
        self._abandoned = False
        self._lock = threading.Lock()
        if not records:
            self._done.set()

    def is_done(self, seconds: float) -> bool:
        """Whether every record's fate is known within this time."""
        return self._done.wait(seconds)

    def wait(self, seconds: float) -> dict[UUID, int]:
        """The offsets acknowledged within this time; those that come later are told to the publisher's `late`."""
        if not self._done.wait(seconds) and seconds >= SLOW_SECONDS:
            self._publisher.was_slow()
        with self._lock:
            self._abandoned = True
            return dict(self.offsets)

    def _told(self, error: KafkaError | None, message: Message) -> None:
        # Called by the thread that polls; the record's key ends with its event's id.
        event_id = UUID(bytes=(message.key() or b"")[16:32])
        offset = message.offset()
        with self._lock:
            self._open -= 1
            acked = error is None and offset is not None
            if acked:
                self.offsets[event_id] = int(offset or 0)
            late = acked and self._abandoned
            done = self._open <= 0
        if acked:
            self._publisher.is_there()
        else:
            log.warning("event %s was not delivered and is left to the relay: %s", event_id, error)
            self._publisher.seems_away()
        if done:
            self._done.set()
        if late:
            self._publisher.late({event_id: int(offset or 0)})


class Publisher:
    """An idempotent producer, polled by a thread of its own.

    `away` says that the broker did not answer of late; then nobody should wait for it, and only one record a second is
    sent to find out whether it is back.

    A producer whose numbering no longer fits the broker's (a log that lost its tail) refuses everything from then on.
    Another one takes its place, and what the old one had under way is told as not delivered, which the relay mends.
    """

    def __init__(self, late: Late) -> None:
        env = environment()
        self._settings: dict[str, Any] = {
            **PRODUCER_SETTINGS,
            "bootstrap.servers": env.kafka_bootstrap_servers,
            "client.id": "rookery-command",
            "logger": logging.getLogger("command_api.kafka"),
        }
        self.late = late
        self.away = False
        self._topics: dict[str, str] = {}
        self._next_probe = 0.0
        self._timeouts = 0
        self._replacing = threading.Lock()
        self._producer = Producer(self._settings)
        try:
            # So that the first write does not wait for connections and the topics' leaders.
            self._producer.list_topics(timeout=FIRST_CONTACT_SECONDS)
        except KafkaException as error:
            log.warning("no contact with the broker yet: %s", error)
            self.seems_away()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-poll", daemon=True)
        self._thread.start()

    def send(self, records: Sequence[Record]) -> Delivery:
        """Hands the records to the producer, in order, and returns at once."""
        delivery = Delivery(self, len(records))
        for record in records:
            topic = self._topics.get(record.topic) or self._topic(record.topic)
            while True:
                producer = self._producer
                try:
                    producer.produce(topic, record.value, record.key, record.partition, on_delivery=delivery._told)
                    break
                except BufferError:
                    self._poll_once(0.05)  # the queue is full: let some be delivered first
                except KafkaException as error:
                    if not _is_fatal(error):
                        raise
                    self._replace(producer)
        return delivery

    def may_send(self) -> bool:
        """Whether to try at all: always while the broker answers, else once a second."""
        if not self.away:
            return True
        now = time.monotonic()
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_SECONDS
        return True

    def flush(self, seconds: float) -> None:
        with suppress(KafkaException):
            self._producer.flush(seconds)

    def close(self) -> None:
        """Gives what is under way a moment to arrive; what does not is left to the relay."""
        self.flush(FLUSH_AT_EXIT_SECONDS)
        self._stopping.set()
        self._thread.join(POLL_SECONDS * 2)

    def was_slow(self) -> None:
        """Somebody did not get an acknowledgement in time."""
        self._timeouts += 1
        if self._timeouts >= TIMEOUTS_MAX:
            self.seems_away()

    def seems_away(self) -> None:
        if not self.away:
            self._next_probe = time.monotonic() + PROBE_SECONDS
            self.away = True
            log.warning("the broker does not answer; events wait in the outbox")

    def is_there(self) -> None:
        self._timeouts = 0
        if self.away:
            self.away = False
            log.warning("the broker answers again")

    def _replace(self, failed: Producer) -> None:
        """Another producer in the place of one that failed for good, unless somebody was faster."""
        with self._replacing:
            if self._producer is not failed:
                return
            self._producer = Producer(self._settings)
        log.warning("the producer's numbering does not fit the log any more; another one takes its place")
        failed.purge()
        for _ in range(2):  # the first may but raise what made it fail; the other tells the fate of what was under way
            with suppress(KafkaException):
                failed.flush(POLL_SECONDS)

    def _topic(self, name: str) -> str:
        return self._topics.setdefault(name, environment().topic(name))

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._poll_once(POLL_SECONDS)

    def _poll_once(self, seconds: float) -> None:
        producer = self._producer
        try:
            producer.poll(seconds)
        except KafkaException as error:
            # The client raises its fatal error here; with this thread gone, nobody would be told of any delivery.
            if not _is_fatal(error):
                raise
            self._replace(producer)


def _is_fatal(error: KafkaException) -> bool:
    """Of a poll the reason is told, with a mark, of a call after it only that there was one."""
    reason: KafkaError = error.args[0]
    return bool(reason.fatal() or reason.code() == KafkaError._FATAL)


_lock = threading.Lock()
_publisher: tuple[int, Publisher] | None = None


def publisher(late: Late) -> Publisher:
    """This process's publisher, made when first needed: a producer does not survive a fork."""
    global _publisher
    found = _publisher
    if found is not None and found[0] == os.getpid():
        return found[1]
    with _lock:
        if _publisher is None or _publisher[0] != os.getpid():
            made = Publisher(late)
            atexit.register(made.close)
            _publisher = (os.getpid(), made)
        return _publisher[1]
