"""A small system of a test's own on the running servers: topics, read database and feeds, filled by the real stores.

The events go to Kafka sealed and encoded, and through every projection's fold and store, as live workers would bring
them, but in this process and to the end; afterwards all erased people are swept.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from infra.local import topics as topics_in_kafka
from projectors.catalogue import PROJECTIONS
from projectors.runtime.erasure import Sweeper
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.prepare import prepare
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.projector import open_store
from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.stores.postgres import connect
from schemas.catalogue import event_schemas, topics
from schemas.registration import open_codec, register
from schemas.types import Event, PostShared
from shared.crypto import KeyRing, new_data_key, wrap
from shared.environment import REPOSITORY, Environment, load
from shared.feed_item import FeedItem
from shared.feed_store import FeedStore
from shared.kafka import PRODUCER_SETTINGS, partition_of, record_key
from tests.model.reference import Model

REDIS_DATABASE = 12  # of the sixteen that a Redis has; emptied by every test that uses it
PARTITIONS = 2


class Installation:
    """`variables` are what a process needs to find it."""

    def __init__(self, servers: Environment, database_url: str) -> None:
        self.variables = {
            **os.environ,
            "ROOKERY_TOPIC_PREFIX": f"scratch-{uuid4().hex[:12]}.",
            "ROOKERY_TOPIC_PARTITIONS": str(PARTITIONS),
            "READ_DATABASE_URL": database_url,
            "QUERY_DATABASE_URL": database_url,
            "KEYS_DATABASE_URL": database_url,
            "REDIS_URL": servers.redis_url.rpartition("/")[0] + f"/{REDIS_DATABASE}",
        }
        self.environment = load(self.variables)
        self.redis = redis.Redis.from_url(self.environment.redis_url, decode_responses=True)
        self._by_partition: dict[Partition, list[Event]] = defaultdict(list)

    def make(self) -> None:
        """Empty topics, tables and feeds, and the subjects' keys."""
        register(self.environment.schema_registry_url)
        topics_in_kafka.create(self.environment)
        self.redis.flushdb()
        asyncio.run(prepare(self.environment, PROJECTIONS))
        with psycopg.connect(self.environment.keys_database_url, autocommit=True) as connection:
            connection.execute("create table subject_key (subject_id uuid primary key, wrapped bytea not null)")

    def drop(self) -> None:
        """Topics and feeds; the database is the caller's to drop."""
        self.redis.flushdb()
        admin = AdminClient({"bootstrap.servers": self.environment.kafka_bootstrap_servers})
        for future in admin.delete_topics([self.environment.topic(name) for name in topics()]).values():
            future.result(10)

    def append(self, events: Sequence[Event]) -> None:
        """The events in the log, sealed under keys made for their subjects."""
        ring = self._keys({event.subject_id for event in events})
        codec = open_codec(self.environment.schema_registry_url)
        producer = Producer({**PRODUCER_SETTINGS, "bootstrap.servers": self.environment.kafka_bootstrap_servers})
        for event in events:
            schema = event_schemas()[type(event).__name__]
            number = partition_of(getattr(event, schema.partitioned_by), PARTITIONS)
            producer.produce(
                self.environment.topic(schema.topic),
                codec.encode(event, ring.seal),
                record_key(event.subject_id, event.event_id),
                partition=number,
            )
            self._by_partition[Partition(schema.topic, number)].append(event)
        assert producer.flush(10) == 0, "Kafka did not take every record"

    def _keys(self, subjects: set[UUID]) -> KeyRing:
        master = bytes.fromhex(self.environment.secrets["master_key"])
        wrapped = {subject: wrap(master, subject, new_data_key()) for subject in subjects}
        with psycopg.connect(self.environment.keys_database_url) as connection, connection.cursor() as cursor:
            cursor.executemany("insert into subject_key values (%s, %s)", list(wrapped.items()))
        return KeyRing(master, lambda wanted: {subject: wrapped[subject] for subject in wanted})

    async def project(self) -> None:
        """Everything in the log through every projection; feeds are warmed before the second half of the posts."""
        ends = LogEnds(self.environment)
        partitions = ends.partitions(topics())
        # The feeds first: a shard that begins anew begins where PostgreSQL is.
        for projection in sorted(PROJECTIONS, key=lambda each: isinstance(each, PostgresProjection)):
            own = [partition for partition in partitions if partition.topic in projection.topics]
            store = await open_store(projection, self.environment, "test")
            fences = await store.fence(own, _from_the_beginning)
            steps = [
                (partition, half)
                for half in (0, 1)
                for partition in sorted(own, key=lambda each: each.topic == "posts")
            ]
            for partition, half in steps:
                if projection.name == "feed" and half == 1 and partition == steps[-PARTITIONS][0]:
                    self._warm()
                changes = projection.fold(self._half(partition, half))
                advance = self._advance(partition, half, fences[partition].epoch)
                assert await store.apply(advance, changes) in (Outcome.APPLIED, Outcome.ALREADY)
            await store.close()
            if isinstance(projection, PostgresProjection):
                await self._sweep(projection, ends)

    def _half(self, partition: Partition, half: int) -> list[Event]:
        events = self._by_partition[partition]
        middle = len(events) // 2
        return events[middle:] if half else events[:middle]

    def _advance(self, partition: Partition, half: int, epoch: int) -> Advance:
        end = len(self._by_partition[partition])
        return Advance(partition, *((end // 2, end) if half else (0, end // 2)), epoch)

    def _warm(self) -> None:
        """Fills everybody's feed with what the first half of the posts, and all relations, give them."""
        so_far = [event for p in self._by_partition for event in self._half(p, 0)]
        rest = [event for p in self._by_partition if p.topic != "posts" for event in self._half(p, 1)]
        model, feeds = Model([*so_far, *rest]), FeedStore.open(self.environment)
        for reader_id in model.persons:
            begun = feeds.begin(reader_id)
            assert begun is not None
            muted = {whom for who, whom in model.mutes if who == reader_id}
            following = model.following.get(reader_id, set()) - muted
            assert feeds.join(reader_id, begun.nonce, following) is not None
            items = [
                FeedItem.of_post(post)
                for author in {reader_id} | following
                for post in model.posts_by_author.get(author, set())
            ]
            # Also of posts that are still to come: the feed is pushed what is shared, whatever it knows of the post.
            items += [
                FeedItem(event.share_id, event.post_id)
                for event in model.share_words.values()
                if event.subject_id in following and isinstance(event, PostShared)
            ]
            assert feeds.fill(reader_id, begun.nonce, None, items)

    async def _sweep(self, projection: PostgresProjection, ends: LogEnds) -> None:
        async with await connect(self.environment.read_database_url) as connection:
            sweeper = Sweeper(projection, self.environment, ends)
            for _ in range(3):
                await sweeper.step(connection)


async def _from_the_beginning(partitions: Sequence[Partition]) -> Mapping[Partition, int]:
    return dict.fromkeys(partitions, 0)


def answered(installation: Installation, module: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Of a module run on the installation: exit status, the object on standard output, what stands on the other."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=installation.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr
