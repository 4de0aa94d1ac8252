"""A log that lost its tail gets back what the outbox saw acknowledged, and whatever stood on it is set back to fit.

`examine` changes nothing. `mend` sets the positions back first: a repair that is broken off after that finds the same
lost events again, whereas one that had published them first would no longer know how far back to go. What is published
again has the same bytes and the same key, in the order of the ids of its partition; readers whom a copy reaches do not
notice it. The relay of a partition is kept away while its events are published.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg

from command_api.event_log import outbox
from command_api.event_log.outbox import LOST_OFFSET, Record
from command_api.event_log.publishing import Publisher
from command_api.event_log.relay import LOCK_CLASS
from infra.repair import keys, stands
from infra.repair.comparison import Finding, Stand, compare, first_needed
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.stores.port import Partition
from schemas.catalogue import topics
from shared import feed_redis
from shared.environment import Environment

BATCH_RECORDS = 1_000
DELIVERY_SECONDS = 20.0
Say = Callable[[str], None]


class NotDelivered(RuntimeError):
    """The broker did not take what was published again; what it took is noted, and the rest found the next time."""


@dataclass
class Repair:
    """`withheld` are events of people erased since, which are not published again; `gone` those that the log lost and
    whose bytes are gone from the outbox too, those given up by an earlier repair among them.
    """

    findings: Sequence[Finding] = ()
    records: Sequence[Record] = ()
    withheld: Sequence[UUID] = ()
    gone: Mapping[UUID, Partition] = field(default_factory=dict)
    compared: int = 0  # rows of the outbox
    published: int = 0
    set_back: int = 0  # positions and shards

    @property
    def is_whole(self) -> bool:
        """Nothing that was acknowledged is missing, or it is back."""
        unknown = any(finding.unknown for finding in self.findings)
        return not unknown and not self.gone and self.published == len(self.records)


def examine(environment: Environment, say: Say) -> Repair:
    """Compares the outbox and every position with the log.

    Raises psycopg.Error, redis.RedisError, KafkaException or TimeoutError when a server does not answer.
    """
    rows: dict[Partition, dict[UUID, int]] = defaultdict(dict)
    gone: dict[UUID, Partition] = {}
    # Before the log's ends are asked: what is acknowledged in between must not look lost.
    with psycopg.connect(environment.command_database_url, autocommit=True) as connection:
        for event_id, topic, number, offset in outbox.acknowledged(connection):
            if offset == LOST_OFFSET:
                gone[event_id] = Partition(topic, number)
            else:
                rows[Partition(topic, number)][event_id] = offset
    standing = _standing(environment)
    compared = sum(map(len, rows.values()))
    say(f"{compared:,} acknowledged events in the outbox")
    every = LogEnds(environment).partitions(topics())
    starts = {each: first_needed(rows[each], standing[each]) for each in every if rows[each] or standing[each]}
    logs = keys.read(environment, starts)
    say(f"{sum(len(log.events) for log in logs.values()):,} records of the log read")
    compared_all = (compare(each, rows[each], standing[each], logs[each]) for each in sorted(starts))
    found = [finding for finding in compared_all if finding is not None]
    lost = {event_id: finding.partition for finding in found for event_id in finding.lost}
    with psycopg.connect(environment.command_database_url) as connection, connection.cursor() as cursor:
        withheld = outbox.erased_actors(cursor, lost)
        records = outbox.bytes_of(cursor, lost.keys() - withheld)
    kept = {record.event_id for record in records}
    gone |= {event_id: place for event_id, place in lost.items() if event_id not in kept | withheld}
    return Repair(found, records, sorted(withheld), gone, compared)


def mend(environment: Environment, repair: Repair, say: Say) -> None:
    """Sets back and publishes again what `examine` found. Raises NotDelivered, and what `examine` raises."""
    with psycopg.connect(environment.read_database_url, autocommit=True) as connection:
        repair.set_back = stands.set_back_in_postgres(connection, repair.findings)
    with feed_redis.connect(environment) as client:
        repair.set_back += stands.set_back_in_redis(client, repair.findings)
    say(f"{repair.set_back} positions set back")
    by_partition: dict[Partition, list[Record]] = defaultdict(list)
    for record in repair.records:
        by_partition[Partition(record.topic, record.partition)].append(record)
    with psycopg.connect(environment.command_database_url, autocommit=True) as connection:
        for finding in repair.findings:
            outbox.move(connection, finding.moved)
        outbox.drop(connection, repair.withheld)
        outbox.move(connection, dict.fromkeys(repair.gone, LOST_OFFSET))
        publisher = Publisher(lambda offsets: None)
        try:
            for partition, records in by_partition.items():
                repair.published += _publish(connection, publisher, partition, records)
                say(f"{repair.published:,} of {len(repair.records):,} events published again")
        finally:
            publisher.close()


def _publish(
    connection: psycopg.Connection[Any], publisher: Publisher, partition: Partition, records: Sequence[Record]
) -> int:
    place = f"{partition.topic}/{partition.number}"
    connection.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", (LOCK_CLASS, place))
    try:
        waiting = iter(records)
        while batch := list(islice(waiting, BATCH_RECORDS)):
            delivery = publisher.send(batch)
            delivery.is_done(DELIVERY_SECONDS)
            offsets = delivery.wait(0)
            outbox.move(connection, offsets)
            if len(offsets) < len(batch):
                raise NotDelivered(f"{place}: the broker took {len(offsets)} of {len(batch)} events")
        return len(records)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (LOCK_CLASS, place))


def _standing(environment: Environment) -> dict[Partition, list[Stand]]:
    found: dict[Partition, list[Stand]] = defaultdict(list)
    with psycopg.connect(environment.read_database_url, autocommit=True) as connection:
        for partition, each in stands.in_postgres(connection).items():
            found[partition] += each
    with feed_redis.connect(environment) as client:
        for partition, each in stands.in_redis(client, environment).items():
            found[partition] += each
    return found
