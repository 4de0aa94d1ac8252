"""A read database and topics of a test's own on the real servers, and events to fill them with."""

import asyncio
import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from projectors.runtime.prepare import prepare
from projectors.runtime.projection import Projection
from schemas.catalogue import event_schemas, topics
from schemas.codec import Codec
from schemas.registration import open_codec, register
from schemas.types import Event
from shared import environment as environments
from shared.crypto import KeyRing, new_data_key
from shared.environment import Environment
from shared.ids import mint
from shared.kafka import PRODUCER_SETTINGS, partition_of, record_key

PARTITIONS = 4
NOON = 1_760_000_000_000_000  # an arbitrary moment for events made by tests, in microseconds


@dataclass
class Engine:
    """One test's own environment, for itself and for the processes it starts."""

    environment: Environment
    environ: Mapping[str, str]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query answers in the read database."""
        with psycopg.connect(self.environment.read_database_url, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def execute(self, command: str) -> None:
        """Runs a command in the read database as its owner."""
        with psycopg.connect(self.environment.read_database_url, autocommit=True) as connection:
            connection.execute(command.encode())


@contextmanager
def read_database(name: str, *projections: Projection, variables: Mapping[str, str] = os.environ) -> Iterator[Engine]:
    """A database of this name, made anew with the projections' tables, dropped in the end; `variables` name the
    servers."""
    shared = environments.load(variables)
    owner = urlsplit(shared.read_database_url).username
    with psycopg.connect(shared.admin_database_url, autocommit=True) as admin:
        admin.execute(f'drop database if exists "{name}" with (force)'.encode())
        admin.execute(f'create database "{name}" owner "{owner}"'.encode())
        given = {
            variable: urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
            for variable, url in (
                ("READ_DATABASE_URL", shared.read_database_url),
                ("QUERY_DATABASE_URL", shared.query_database_url),
            )
        }
        given |= {"ROOKERY_TOPIC_PREFIX": f"{name}.", "ROOKERY_TOPIC_PARTITIONS": str(PARTITIONS)}
        environ = {**variables, **given}
        environment = environments.load(environ)
        asyncio.run(prepare(environment, projections))
        try:
            yield Engine(environment, environ)
        finally:
            admin.execute(f'drop database if exists "{name}" with (force)'.encode())


@contextmanager
def own_topics(environment: Environment, dead_letters_of: Iterable[str] = ()) -> Iterator[None]:
    """Every topic under the environment's own prefix and these projections' dead letters, empty; deleted in the end."""
    admin = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers})
    register(environment.schema_registry_url)
    stamped = {"message.timestamp.type": "LogAppendTime"}
    wanted = [NewTopic(environment.topic(topic), environment.topic_partitions, 1, config=stamped) for topic in topics()]
    wanted += [NewTopic(environment.topic(f"{projection}.dlq"), 1, 1) for projection in dead_letters_of]
    made = admin.create_topics(wanted)
    for future in made.values():
        future.result(20)
    try:
        yield
    finally:
        for future in admin.delete_topics(list(made)).values():
            future.result(20)


@contextmanager
def own_engine(
    *projections: Projection, dead_letters_of: Iterable[str] = (), variables: Mapping[str, str] = os.environ
) -> Iterator[Engine]:
    """A read database and topics that nobody else has, empty."""
    name = f"engine_{os.getpid()}_{time.monotonic_ns() % 1_000_000}"
    with (
        read_database(name, *projections, variables=variables) as made,
        own_topics(made.environment, dead_letters_of),
    ):
        yield made


class Log:
    """Appends events where the command API would, sealed under keys that nobody keeps."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.codec: Codec = open_codec(environment.schema_registry_url)
        self._keys = KeyRing(new_data_key(), lambda subjects: {})
        self._producer = Producer(
            {**PRODUCER_SETTINGS, "linger.ms": 20, "bootstrap.servers": environment.kafka_bootstrap_servers}
        )
        self._partitioned_by = {name: (each.topic, each.partitioned_by) for name, each in event_schemas().items()}

    def append(self, events: Iterable[Event]) -> None:
        """Every event, acknowledged by the broker when this returns."""
        failed: list[Any] = []
        for event in events:
            topic, field = self._partitioned_by[type(event).__name__]
            self._producer.produce(
                self._environment.topic(topic),
                value=self.encode(event),
                key=record_key(event.subject_id, event.event_id),
                partition=partition_of(getattr(event, field), self._environment.topic_partitions),
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            self._producer.poll(0)
        assert self._producer.flush(20) == 0
        assert not failed, failed[0]

    def delete(self, topic: str, partition: int, key: bytes) -> None:
        """A null for a key, as an erasure window appends."""
        self._producer.produce(self._environment.topic(topic), value=None, key=key, partition=partition)
        assert self._producer.flush(20) == 0

    def encode(self, event: Event) -> bytes:
        return self.codec.encode(event, self._seal)

    def _seal(self, subject_id: UUID, event_name: str, field: str, event_id: UUID, text: str) -> bytes:
        self._keys.add(subject_id, b"k" * 32)
        return self._keys.seal(subject_id, event_name, field, event_id, text)


class Ids:
    """Ids in a fixed order from one seed: each greater than the one before, one millisecond apart."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self._micros = NOON

    def __call__(self) -> UUID:
        self._micros += 1000
        return mint(self._micros, random=self.random.randbytes(8))

    def many(self, number: int) -> list[UUID]:
        return [self() for _ in range(number)]
