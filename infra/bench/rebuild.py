"""How fast a projection is rebuilt from a log of millions of events, by phase, and what bounds it.

    python -m infra.bench.rebuild [--events N] [--json]

On the servers of `rookery up`, in topics and a database of its own, which it removes. Events are likes, Zipf-skewed,
one viral post among them, with some posts, comments, shares and taken-back likes; the rebuild is the shipped one.
"""

import argparse
import asyncio
import os
import random
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra.cli.output import print_json, say
from projectors.counters.fold import PROJECTION
from projectors.runtime.prepare import prepare
from projectors.runtime.rebuilding import Request, rebuild
from schemas.catalogue import event_schemas, topics
from schemas.codec import MAGIC
from schemas.registration import open_codec, schema_ids
from schemas.types import CommentAdded, PostPublished, PostShared
from shared import environment as environments
from shared.environment import REPOSITORY, Environment
from shared.ids import mint, time_of
from shared.kafka import PRODUCER_SETTINGS, partition_of, record_key

EVENTS = 5_000_000
PEOPLE, AUTHORS, POSTS = 100_000, 5_000, 60_000
VIRAL_SHARE = 0.05  # of all likes
BEGIN = 1_760_000_000_000_000
PORTION = 50_000
OTHERS = 0.03  # of all events: posts, comments, shares


@contextmanager
def ground(name: str) -> Iterator[Environment]:
    """Topics and a read database of this name, empty; this process and those it starts see them."""
    shared = environments.load(os.environ)
    owner = urlsplit(shared.read_database_url).username
    given = {
        variable: urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        for variable, url in (
            ("READ_DATABASE_URL", shared.read_database_url),
            ("QUERY_DATABASE_URL", shared.query_database_url),
        )
    }
    os.environ |= {**given, "ROOKERY_TOPIC_PREFIX": f"{name}."}
    environments.environment.cache_clear()
    environment = environments.environment()
    admin = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers})
    names = [environment.topic(topic) for topic in topics()]
    with psycopg.connect(shared.admin_database_url, autocommit=True) as database:
        database.execute(f'drop database if exists "{name}" with (force)'.encode())
        database.execute(f'create database "{name}" owner "{owner}"'.encode())
        wanted = [NewTopic(topic, environment.topic_partitions, 1) for topic in names]
        for future in admin.create_topics(wanted).values():
            future.result(30)
        try:
            asyncio.run(prepare(environment, [PROJECTION]))
            yield environment
        finally:
            for future in admin.delete_topics(names).values():
                future.result(30)
            database.execute(f'drop database if exists "{name}" with (force)'.encode())


def zigzag(number: int) -> bytes:
    """Avro's encoding of a whole number that is not negative."""
    number, out = number << 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def append(environment: Environment, events: int, seed: int) -> None:
    """Appends that many events; the same seed gives the same. People and posts are those of every seed."""
    world = random.Random(1)
    people = [mint(BEGIN + index, random=world.randbytes(8)) for index in range(PEOPLE)]
    posts = [mint(BEGIN + 1_000_000 + index, random=world.randbytes(8)) for index in range(POSTS)]
    authors = [world.choice(people[:AUTHORS]) for _ in posts]
    weights = [1 / (rank + 10) for rank in range(POSTS)]
    weights[7] = VIRAL_SHARE / (1 - VIRAL_SHARE) * sum(weights)
    chance = random.Random(seed)
    ids, partitions = schema_ids(environment.schema_registry_url), environment.topic_partitions
    engagement = environment.topic("engagement")
    places = [partition_of(post, partitions) for post in posts]
    after = [post.bytes + author.bytes for post, author in zip(posts, authors, strict=True)]
    liked, unliked = (MAGIC.pack(0, ids[name]) for name in ("PostLiked", "PostUnliked"))
    producer = Producer(
        {
            **PRODUCER_SETTINGS,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 400_000,
            "delivery.timeout.ms": 60_000,
            "bootstrap.servers": environment.kafka_bootstrap_servers,
        }
    )
    other = _Others(environment, producer, chance)
    numbers, cumulative = range(POSTS), [0.0]
    for weight in weights:
        cumulative.append(cumulative[-1] + weight)
    identifier, millisecond = struct.Struct(">QQ").pack, (BEGIN // 1000 + 10_000 + seed) << 16
    for done in range(0, events, PORTION):
        number = min(PORTION, events - done)
        chosen = chance.choices(numbers, cum_weights=cumulative[1:], k=number)
        actors = chance.choices(people, k=number)
        micros = BEGIN + 10_000_000 + done
        encoded = zigzag(micros)
        for index, (post, actor) in enumerate(zip(chosen, actors, strict=True)):
            if chance.random() < OTHERS:
                other.append(actor, posts[post], authors[post], micros + index)
                continue
            # A like as schemas/codec.py writes it, many times as fast.
            high = millisecond + ((done + index) // 1_000 << 16) | 0x7000 | (done + index) % 1_000 * 4
            event_id = identifier(high, 0x8000000000000000 | chance.getrandbits(61))
            header, tail = (liked, b"\0") if index % 50 else (unliked, b"")
            producer.produce(
                engagement,
                value=header + event_id + encoded + actor.bytes + after[post] + tail,
                key=actor.bytes + event_id,
                partition=places[post],
            )
        while producer.poll(0.2 if len(producer) > 300_000 else 0) and len(producer) > 200_000:
            pass
    if producer.flush(120):
        raise TimeoutError("the broker did not take all events within 120 s")


class _Others:
    """Posts, comments and shares, by the product's own codec."""

    def __init__(self, environment: Environment, producer: Producer, chance: random.Random) -> None:
        self._environment = environment
        self._producer = producer
        self._chance = chance
        self._codec = open_codec(environment.schema_registry_url)
        self._topics = {name: (each.topic, each.partitioned_by) for name, each in event_schemas().items()}

    def append(self, actor: UUID, post: UUID, author: UUID, micros: int) -> None:
        event_id = mint(micros, random=self._chance.randbytes(8))
        common: dict[str, Any] = {"event_id": event_id, "occurred_at": time_of(event_id), "subject_id": actor}
        about = {**common, "post_id": post, "post_author_id": author}
        kind = self._chance.random()
        event: Any
        if kind < 0.4:
            event = CommentAdded(**about, comment_id=event_id, parent_id=None, content="text")
        elif kind < 0.7:
            event = PostShared(**about, share_id=event_id)
        else:
            event = PostPublished(**common, post_id=event_id, content="text", hashtags="", visibility="public")
        topic, by = self._topics[type(event).__name__]
        self._producer.produce(
            self._environment.topic(topic),
            value=self._codec.encode(event, lambda *_: b"s" * 40),
            key=record_key(actor, event_id),
            partition=partition_of(getattr(event, by), self._environment.topic_partitions),
        )


def measure(events: int, processes: int = 0) -> dict[str, Any]:
    """Appends, rebuilds, and says how long what took."""
    with ground(f"bench_rebuild_{os.getpid()}") as environment:
        say(f"appending {events:,} events")
        began = time.monotonic()
        writers = [
            subprocess.Popen(
                [sys.executable, "-m", "infra.bench.rebuild", "--append", str(events // 2), "--seed", str(seed)],
                cwd=REPOSITORY,
            )
            for seed in (1, 2)
        ]
        if any(writer.wait() for writer in writers):
            raise RuntimeError("appending failed")
        say(f"appended in {time.monotonic() - began:.0f} s; rebuilding")
        with psycopg.connect(environment.admin_database_url, autocommit=True) as database:
            database.execute("checkpoint")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        report = rebuild(Request(PROJECTION, processes=processes), environment, lambda *_: None)
        seconds = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        with psycopg.connect(environment.read_database_url) as database:
            row = database.execute(
                "select count(*), (select sum(likes) from counters_next.post_count) from counters_next.reaction"
            ).fetchone()
    loaders = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    slowest = sorted(report.statements.items(), key=lambda each: -each[1])[:8]
    indexes = sum(each for name, each in report.statements.items() if name.startswith("index "))
    tables = sum(each for name, each in report.statements.items() if not name.startswith("index "))
    return {
        "events": report.records,
        "seconds": round(seconds, 2),
        "events_per_second": round(report.records / seconds),
        "phases": {phase: round(each, 2) for phase, each in report.seconds.items()},
        "loading_per_second": round(report.records / report.seconds["loading"]),
        "loader_cpu_seconds": round(loaders, 1),
        "loader_cpu_microseconds_per_event": round(loaders / report.records * 1e6, 2),
        "merging_statement_seconds": {"tables": round(tables, 1), "indexes": round(indexes, 1)},
        "slowest_statements": dict(slowest),
        "rows": dict(zip(("reaction", "likes"), map(int, row or ()), strict=False)),
        "cores": os.cpu_count(),
        "bound_by": "the loaders' processors" if report.seconds["loading"] > seconds / 2 else "sorting and indexing",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--append", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.append:
        append(environments.environment(), arguments.append, arguments.seed)
    else:
        print_json(measure(arguments.events, arguments.processes))


if __name__ == "__main__":
    main()
