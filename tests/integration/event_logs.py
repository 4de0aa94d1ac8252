"""A log of a test's own with everything in it that a log can have, what a plain reader finds there, and the command."""

import io
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.cli.main import main
from infra.local.topics import CONFIGURATION, declared
from schemas.catalogue import event_schemas, topics
from schemas.codec import MAGIC, MalformedRecord, UnknownEventType
from schemas.registration import register
from schemas.types import Event
from shared import environment as environments
from shared.crypto import wrap
from shared.ids import time_of
from shared.kafka import PRODUCER_SETTINGS, partition_of, record_key
from tests.runtime.engine import PARTITIONS, Engine, Ids, Log
from tests.runtime.history import Town
from tests.schemas.events import EXAMPLES, event_in

EVENTS = 2_000
SECONDS_APART = 60
NO_SUCH_SCHEMA = 2_000_000_000
DATA_KEY = b"k" * 32  # what tests/runtime/engine.py seals everybody's text under
# Appended as they are, like what a stranger's producer might leave.
CUT_SHORT = b"no key of ours"
MALFORMED = (b"", b"\x00\x00", b"\x01not the wire format", b"\xff" * 40)


class MinutesApart(Ids):
    """Ids a minute apart, so that a short log lasts for days."""

    def __call__(self) -> UUID:
        self._micros += SECONDS_APART * 1_000_000
        return super().__call__()


@dataclass(frozen=True)
class Found:
    """One record as a plain reader finds it.

    `kind` is the event's type, or what it is instead; `named` is that of its schema, also where its body is none.
    """

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    kind: str
    named: str
    event: Event | None

    @property
    def place(self) -> tuple[str, int, int]:
        return self.topic, self.partition, self.offset


class Done(NamedTuple):
    """How a command ended and what it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes


def rookery(engine: Engine, *arguments: str, **environ: str) -> Done:
    """The command, in this process: starting one takes ten times as long as most of its answers."""
    streams = [io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**engine.environ, **environ}.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["rookery", *arguments])
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        environments.environment.cache_clear()
        try:
            main()
            status: Any = 0
        except SystemExit as end:
            status = end.code or 0
        finally:
            environments.environment.cache_clear()
    stdout, stderr = (stream.buffer.getvalue() for stream in streams)
    return Done(status, stdout, stderr)


@dataclass
class World:
    """A filled log. `erased` had their key destroyed; everybody else's text can be opened."""

    engine: Engine
    town: Town
    found: list[Found]
    sealed: dict[UUID, Event]
    erased: UUID
    log: Log

    def run(self, *arguments: str, **environ: str) -> Done:
        """`rookery` on this log."""
        return rookery(self.engine, *arguments, **environ)

    def answer(self, *arguments: str) -> Any:
        """Its JSON document. Fails with what it said where it did not end well."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def document(self, done: Done) -> Any:
        """The JSON document that a command wrote, however it ended."""
        return json.loads(done.stdout)

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """Its JSON lines."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "infra.cli.main", *arguments]


def place_of(shown: dict[str, Any]) -> tuple[str, int, int]:
    return shown["topic"], shown["partition"], shown["offset"]


@contextmanager
def empty_topics(engine: Engine) -> Iterator[None]:
    """Topics set up as they must be, but with times as the producer gives them, so that a test can choose them."""
    environment = engine.environment
    admin = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers})
    register(environment.schema_registry_url)
    timed = {**CONFIGURATION, "message.timestamp.type": "CreateTime"}
    wanted = [NewTopic(environment.topic(name), PARTITIONS, 1, config=timed) for name in topics()]
    wanted += [
        NewTopic(environment.topic(name), 1, 1, config=CONFIGURATION) for name in declared() if name not in topics()
    ]
    for future in admin.create_topics(wanted).values():
        future.result(20)
    try:
        yield
    finally:
        for future in admin.delete_topics([topic.topic for topic in wanted]).values():
            future.result(20)


@contextmanager
def filled(engine: Engine) -> Iterator[World]:
    """Thousands of events over more than a day, one of every type among them, and all that is no event."""
    ids = MinutesApart(11)
    town = Town(ids, people=12)
    events = list(town.events(EVENTS))
    examples = [event_in(path) for path in EXAMPLES]
    log = Log(engine.environment)
    _append(engine, log, events, examples, ids.random)
    sealed = {event.event_id: event for event in [*events, *examples]}
    erased = next(event.subject_id for event in events if type(event).__name__ == "PostPublished")
    subjects = {event.subject_id for event in sealed.values()} - {erased}
    with _keys(engine, subjects):
        yield World(engine, town, read_plainly(engine, log), sealed, erased, log)


def append(engine: Engine, log: Log, event: Event, late_ms: int = 0) -> None:
    """One event, appended so long after the time in its id."""
    producer = _producer(engine)
    _produce(engine, log, producer, event, late_ms)
    assert producer.flush(20) == 0


def _append(
    engine: Engine, log: Log, events: Sequence[Event], examples: Sequence[Event], chance: random.Random
) -> None:
    producer = _producer(engine)
    first = events[0]
    for event in examples:
        _produce(engine, log, producer, event, (time_of(first.event_id) - time_of(event.event_id)) // 1_000)
    for event in events:
        _produce(engine, log, producer, event, chance.randint(0, 900))
        producer.poll(0)
    at = time_of(events[-1].event_id) // 1_000 + 1_000
    topic = engine.environment.topic
    stranger = first.subject_id
    for number, value in enumerate([*MALFORMED, MAGIC.pack(0, NO_SUCH_SCHEMA) + b"body"]):
        key = record_key(stranger, town_id(events, number))
        producer.produce(topic("posts"), value=value, key=key, partition=number % PARTITIONS, timestamp=at)
    # Of the right schema, and cut short: only reading it shows that.
    liked = next(event for event in events if type(event).__name__ == "PostLiked")
    cut = log.encode(liked)[:-17]
    producer.produce(topic("engagement"), value=cut, key=CUT_SHORT, partition=0, timestamp=at + 1)
    deleted = record_key(first.subject_id, first.event_id)
    producer.produce(topic("engagement"), value=None, key=deleted, partition=1, timestamp=at + 2)
    producer.produce(topic("engagement"), value=None, key=b"maintenance", partition=2, timestamp=at + 3)
    producer.produce(topic("graph"), value=b"\x00nokey", key=None, partition=0, timestamp=at + 4)
    assert producer.flush(20) == 0


def town_id(events: Sequence[Event], number: int) -> UUID:
    return events[number].event_id


def _producer(engine: Engine) -> Producer:
    return Producer({**PRODUCER_SETTINGS, "bootstrap.servers": engine.environment.kafka_bootstrap_servers})


def _produce(engine: Engine, log: Log, producer: Producer, event: Event, late_ms: int) -> None:
    schema = event_schemas()[type(event).__name__]
    producer.produce(
        engine.environment.topic(schema.topic),
        value=log.encode(event),
        key=record_key(event.subject_id, event.event_id),
        partition=partition_of(getattr(event, schema.partitioned_by), PARTITIONS),
        timestamp=time_of(event.event_id) // 1_000 + late_ms,
    )


def read_plainly(engine: Engine, log: Log) -> list[Found]:
    """Every record, by the product's own codec, in the order of topic as declared, partition and offset."""
    environment = engine.environment
    consumer = Consumer(
        {
            "bootstrap.servers": environment.kafka_bootstrap_servers,
            "group.id": "plain",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    found: list[Found] = []
    consumer.assign([TopicPartition(environment.topic(name), n, 0) for name in topics() for n in range(PARTITIONS)])
    ended, deadline = 0, time.monotonic() + 60
    while ended < len(topics()) * PARTITIONS:
        assert time.monotonic() < deadline, "the log could not be read"
        for message in consumer.consume(1_000, 0.2):
            if message.error() is not None:
                ended += 1
                continue
            short = str(message.topic()).removeprefix(environment.topic_prefix)
            key: Any = message.key()
            kind, event = _kind(log, key, message.value())
            place: tuple[int, int] = (message.offset() or 0, message.timestamp()[1])
            named = "PostLiked" if key == CUT_SHORT else kind
            found.append(Found(short, message.partition() or 0, *place, key, kind, named, event))
    consumer.close()
    order = list(topics())
    return sorted(found, key=lambda each: (order.index(each.topic), each.partition, each.offset))


def _kind(log: Log, key: bytes | None, value: Any) -> tuple[str, Event | None]:
    if value is None:
        return ("Deleted" if key is not None and len(key) == 32 else "Maintenance"), None
    try:
        event = log.codec.decode(value)
    except MalformedRecord:
        return "Malformed", None
    except (UnknownEventType, LookupError):
        return "UnknownSchema", None
    except Exception as error:  # the registry's own error for an id that it does not have
        assert "404" in str(error), error
        return "UnknownSchema", None
    return type(event).__name__, event


@contextmanager
def _keys(engine: Engine, subjects: set[UUID]) -> Iterator[None]:
    """The vault of the servers has these people's keys for as long as this lasts."""
    environment = engine.environment
    master_key = bytes.fromhex(environment.secrets["master_key"])
    rows = [(subject, wrap(master_key, subject, DATA_KEY)) for subject in subjects]
    with psycopg.connect(environment.vault_database_url, autocommit=True) as vault:
        with vault.cursor() as cursor:
            cursor.executemany("insert into subject_key (subject_id, wrapped) values (%s, %s)", rows)
        try:
            yield
        finally:
            vault.execute("delete from subject_key where subject_id = any(%s)", (list(subjects),))


def own_name() -> str:
    return f"events_{os.getpid()}_{time.monotonic_ns() % 1_000_000}"
