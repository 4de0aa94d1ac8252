"""How fast posts reach home feeds: Kafka, the shipped feed worker, Redis; prints one JSON object.

    python -m infra.bench.fanout POSTS CELEBRITY_READERS

Run by `rookery bench fanout` on servers of its own. A delivery is one item in one reader's set. Feeds are full before
it begins, so that each is trimmed as often as it would be. Posts are appended as fast as they are taken, in the order
of their times. The rate is of all deliveries between the first position seen to move and the moment at which no shard
owes anything; what was applied before that first look is not counted. Beside it, in the same Redis: pipelined ZADDs
from Python, into the same sets, without trimming.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import redis

from infra.bench import events
from infra.bench.projection import processor_seconds, tell, worker
from infra.demo.measure import quantiles
from projectors.catalogue import projection_named
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.stores.port import Partition
from shared import clock
from shared.environment import Environment, load
from shared.feed_item import FeedItem
from shared.feed_store import FeedStore, shard_key, shard_of
from shared.ids import mint

READERS, AUTHORS, FOLLOWED = 4_000, 400, 100  # so that each author has a thousand readers
AUDIENCE = READERS * FOLLOWED // AUTHORS
BEGAN = 1_760_000_000_000_000  # microseconds since 1970
ON_THEIR_WAY = 1_000  # posts: as many as a busy second brings
LOOK_SECONDS = 0.01
STANDS_STILL_SECONDS = 30
PUSHING_SECONDS_MAX = 300
PIPELINED, PIPELINED_AT_ONCE = 400_000, 1_000
CELEBRITY_POSTS, OTHERS_POSTS, OTHERS_PER_SECOND = 10, 200, 50
SLOW_MICROS = 500


def person(number: int, kind: int) -> UUID:
    return mint(BEGAN - 10**12 + number, random=kind.to_bytes(2, "big") + number.to_bytes(6, "big"))


class Shards:
    """What the feed's shards say of themselves."""

    def __init__(self, where: Environment) -> None:
        self.client: Any = redis.Redis.from_url(where.redis_url, decode_responses=True)
        self._shards = range(where.feed_shards)

    def positions(self) -> dict[Partition, int]:
        """The least offset of all shards; nothing while one has none."""
        with self.client.pipeline(transaction=False) as pipeline:
            for shard in self._shards:
                pipeline.hgetall(shard_key(shard))
            found = pipeline.execute()
        if not all(found):
            return {}
        least = {name: min(int(each[name].partition(":")[0]) for each in found) for name in found[0]}
        return {Partition(name.partition(":")[0], int(name.partition(":")[2])): least[name] for name in least}

    def owing(self) -> int:
        with self.client.pipeline(transaction=False) as pipeline:
            for shard in self._shards:
                pipeline.llen(shard_key(shard, "queue"))
            return sum(pipeline.execute())

    def processor_seconds(self) -> float:
        used = self.client.info("cpu")
        return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])

    def bytes_used(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    @contextmanager
    def slowest(self, found: dict[str, float]) -> Iterator[None]:
        """Notes the longest call of each function, in milliseconds; those under half a millisecond are none."""
        before = self.client.config_get("slowlog-log-slower-than", "slowlog-max-len")
        self.client.config_set("slowlog-log-slower-than", SLOW_MICROS, "slowlog-max-len", 100_000)
        self.client.slowlog_reset()
        try:
            yield
            for entry in self.client.slowlog_get(100_000):
                command = entry["command"]
                words = (command.decode(errors="replace") if isinstance(command, bytes) else command).split()
                if words[0].upper() == "FCALL":
                    found[words[1]] = max(found.get(words[1], 0.0), entry["duration"] / 1000)
        finally:
            self.client.slowlog_reset()
            self.client.config_set(*(part for pair in before.items() for part in pair))


def wait_until(done: Callable[[], Any], what: str, seconds: float = STANDS_STILL_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(LOOK_SECONDS)


def warm(where: Environment, shards: Shards, authors: Sequence[UUID], followed: int) -> dict[str, int]:
    """Fills every reader's feed to its limit; answers bytes of Redis by what they are for."""
    store, chance = FeedStore.open(where), random.Random(1)
    readers = [person(number, 2) for number in range(READERS)]
    old = [FeedItem.of_post(mint(BEGAN + number, random=bytes(8))) for number in range(where.feed_items_max)]
    used = [shards.bytes_used()]
    nonces = []
    for reader in readers:
        begun = store.begin(reader)
        assert begun is not None
        nonces.append(begun.nonce)
    used.append(shards.bytes_used())
    for number, (reader, nonce) in enumerate(zip(readers, nonces, strict=True)):
        # Everybody in turn: each author has equally many readers.
        followees = [authors[(number * followed + nth) % len(authors)] for nth in range(followed)]
        assert store.join(reader, nonce, chance.sample(followees, followed)) is not None
    used.append(shards.bytes_used())
    for reader, nonce in zip(readers, nonces, strict=True):
        assert store.fill(reader, nonce, old[0].item_id, old)
    used.append(shards.bytes_used())
    entries = READERS * (followed + 1)
    return {
        "warm_reader": round((used[3] - used[2] + used[1] - used[0]) / READERS),
        "of_it_an_item": round((used[3] - used[2]) / READERS / len(old)),
        "audience_entry": round((used[2] - used[1]) / entries),
    }


class Stream:
    """Posts, appended in the order of their ids while not too many are on their way."""

    def __init__(self, where: Environment, shards: Shards, authors: Sequence[UUID], posts: int) -> None:
        self._log, self._shards, self._authors, self._posts = events.Log(where, linger_ms=1), shards, authors, posts
        for author in authors:
            self._log.add_key(author, author.bytes * 2)
        ends = LogEnds(where)
        self._partitions = ends.partitions(("posts",))
        self._begin_at = ends.ends(self._partitions)
        self.appended = 0

    def applied(self) -> int:
        reached = self._shards.positions()
        return sum(reached.get(each, 0) - self._begin_at[each] for each in self._partitions)

    def append(self) -> None:
        """What there is room for."""
        room = min(self._posts, self.applied() + ON_THEIR_WAY) - self.appended
        for number in range(self.appended, self.appended + max(0, room)):
            at = BEGAN + 10**9 + number * 1000
            author = self._authors[number % len(self._authors)]
            self._log.append(events.publish(mint(at, random=number.to_bytes(8, "big")), at, author))
            self.appended += 1
        self._log.poll()

    def is_over(self) -> bool:
        """Appends on, and says whether all of it is in all sets."""
        self.append()
        return self.appended == self._posts == self.applied() and not self._shards.owing()


def push(where: Environment, shards: Shards, authors: Sequence[UUID], posts: int) -> dict[str, Any]:
    """Starts the worker, lets posts flow, and measures until nothing is owed."""
    stream, slowest = Stream(where, shards, authors, posts), dict[str, float]()
    with shards.slowest(slowest), worker(projection_named("feed"), where) as pid:
        stream.append()
        wait_until(lambda: stream.applied() > 0, "the first post")
        began, first = time.monotonic(), stream.applied()
        used, redis_used = processor_seconds(pid), shards.processor_seconds()
        wait_until(stream.is_over, "the last post", PUSHING_SECONDS_MAX)
        seconds = time.monotonic() - began
        used, redis_used = processor_seconds(pid) - used, shards.processor_seconds() - redis_used
    deliveries = (posts - first) * AUDIENCE
    return {
        "deliveries": deliveries,
        "seconds": round(seconds, 2),
        "deliveries_per_second": round(deliveries / seconds),
        "processor_share": {"worker": round(used / seconds, 2), "redis": round(redis_used / seconds, 2)},
        "longest_call_ms": slowest,
    }


def pipelined_zadd_per_second(client: Any, where: Environment) -> int:
    """ZADDs from Python, a thousand to a round trip, into the same readers' sets."""
    readers = [person(number, 2) for number in range(READERS)]
    keys = [shard_key(shard_of(reader, where.feed_shards), f"feed:{reader.hex}") for reader in readers]
    newest = BEGAN + 10**10
    members = [(keys[number % READERS], mint(newest + number).hex) for number in range(PIPELINED)]
    began = time.monotonic()
    for first in range(0, PIPELINED, PIPELINED_AT_ONCE):
        with client.pipeline(transaction=False) as pipeline:
            for number, (key, member) in enumerate(members[first : first + PIPELINED_AT_ONCE], start=first):
                pipeline.zadd(key, {member: newest + number})
            pipeline.execute()
    return round(PIPELINED / (time.monotonic() - began))


def celebrity(where: Environment, shards: Shards, readers: int) -> dict[str, Any]:
    """One author with so many warm readers posts ten times, nobody being pulled: when others' posts are seen."""
    star, author, follower = person(1, 8), person(2, 8), person(3, 8)
    used = shards.bytes_used()
    audience = [person(number, 9) for number in range(readers)] + [star]
    _warm_empty(shards.client, where, audience, star)
    _warm_empty(shards.client, where, [author, follower], author)
    memory = round((shards.bytes_used() - used) / len(audience))
    log, store = events.Log(where, linger_ms=0), FeedStore.open(where)
    for each in (star, author):
        log.add_key(each, each.bytes * 2)
    slowest: dict[str, float] = {}
    took: list[float] = []
    owing = 0
    with shards.slowest(slowest), worker(projection_named("feed"), where):
        _seen_ms(log, store, author, follower)  # the worker is there
        began = time.monotonic()
        for _ in range(CELEBRITY_POSTS):
            at = clock.now()
            log.append(events.publish(mint(at), at, star))
        for number in range(OTHERS_POSTS):
            took.append(_seen_ms(log, store, author, follower))
            owing += shards.owing() > 0
            time.sleep(max(0.0, began + (number + 1) / OTHERS_PER_SECOND - time.monotonic()))
        wait_until(lambda: not shards.owing(), "the celebrity's posts", PUSHING_SECONDS_MAX)
        seconds = time.monotonic() - began
    return {
        "readers": readers,
        "posts": CELEBRITY_POSTS,
        "seconds": round(seconds, 2),
        "others_ms": quantiles(took)._asdict(),
        "others_posts": len(took),
        "of_them_meanwhile": owing,
        "memory_bytes_each": memory,
        "longest_call_ms": slowest,
    }


def _warm_empty(client: Any, where: Environment, readers: Sequence[UUID], author: UUID) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for number, reader in enumerate(readers, start=1):
            key, name = shard_key(shard_of(reader, where.feed_shards)), reader.hex
            pipeline.fcall("feed_begin", 1, key, name, name)
            pipeline.fcall("feed_join", 1, key, name, name, author.hex, name)
            pipeline.fcall("feed_fill", 1, key, name, name, where.feed_items_max, "")
            if number % PIPELINED_AT_ONCE == 0 or number == len(readers):
                pipeline.execute()


def _seen_ms(log: events.Log, store: FeedStore, author: UUID, follower: UUID) -> float:
    """How long until a post is in its follower's page."""
    at = clock.now()
    post_id = mint(at)
    began = time.monotonic()
    log.append(events.publish(post_id, at, author))
    while True:
        log.poll()
        page = store.page(follower, None, 1)
        if page is not None and page.items and page.items[0].post_id == post_id:
            return (time.monotonic() - began) * 1000
        if time.monotonic() - began > STANDS_STILL_SECONDS:
            raise RuntimeError("a post does not come")
        time.sleep(0.001)


def main(posts: int, celebrity_readers: int) -> dict[str, Any]:
    # Whatever the installation's own limit is: here everything is pushed.
    os.environ["ROOKERY_FEED_PUSHED_FOLLOWERS_MAX"] = "1000000000"
    where = load(os.environ)
    shards, authors = Shards(where), [person(number, 1) for number in range(AUTHORS)]
    tell("one worker begins")
    with worker(projection_named("feed"), where):
        wait_until(shards.positions, "the feed's beginning")
    tell(f"{READERS:,} readers' feeds are filled")
    memory = warm(where, shards, authors, FOLLOWED)
    tell(f"{posts:,} posts to {AUDIENCE:,} readers each")
    pushed = push(where, shards, authors, posts)
    pipelined = pipelined_zadd_per_second(shards.client, where)
    shards.client.flushdb()
    with worker(projection_named("feed"), where):
        wait_until(shards.positions, "the feed's beginning")
    tell(f"{celebrity_readers:,} readers of one author")
    return {
        "deliveries_per_second": pushed["deliveries_per_second"],
        "pipelined_zadd_per_second": pipelined,
        "ratio": round(pushed["deliveries_per_second"] / pipelined, 2),
        "memory_bytes": memory,
        "fanout": pushed,
        "celebrity": celebrity(where, shards, celebrity_readers),
    }


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
