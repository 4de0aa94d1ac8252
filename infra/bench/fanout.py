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
from typing import Any, NamedTuple
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
from shared.feed_store import FeedStore, shard_key, shard_of
from shared.ids import mint

READERS, AUTHORS, FOLLOWED = 4_000, 400, 100  # so that each author has a thousand readers
AUDIENCE = READERS * FOLLOWED // AUTHORS
BEGAN = 1_760_000_000_000_000  # microseconds since 1970
ON_THEIR_WAY = 1_000  # posts: as many as a busy second brings
LOOK_SECONDS = 0.05
STANDS_STILL_SECONDS = 30
PUSHING_SECONDS_MAX = 300
PIPELINED, PIPELINED_AT_ONCE = 400_000, 1_000
FILLED_AT_ONCE = 100_000  # arguments, about
CELEBRITY_POSTS, CELEBRITY_SECONDS = 10, 0.3  # so long from one to the next
OTHERS_PER_SECOND, WARM_UP_POSTS = 100, 100
LOOK_SECONDS_LEAST, LOOKED_AT_ONCE = 0.001, 20
ASKED, ASKED_SECONDS = 500, 0.05
SLOW_MICROS = 500


def person(number: int, kind: int) -> UUID:
    """Random where ids are, since Lua hashes some of their digits only."""
    return mint(BEGAN - 10**12 + number, random=random.Random(f"{kind} {number}").randbytes(8))


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


def fill(
    client: Any, where: Environment, readers: Sequence[UUID], followed: Callable[[int], Sequence[UUID]], items: int
) -> dict[str, int]:
    """Makes these readers' feeds warm, each with as many old items; answers bytes of Redis by what they are for."""
    chance, shards = random.Random(1), range(where.feed_shards)
    old = [mint(BEGAN + number, random=chance.randbytes(8)).hex for number in range(items)]
    floor, used = (old[0] if old else ""), [_bytes_used(client)]
    joined = 0
    keys = [shard_key(shard) for shard in shards]

    def begin(number: int, reader: str) -> tuple[Any, ...]:
        return "feed_begin", reader

    def join(number: int, reader: str) -> tuple[Any, ...]:
        nonlocal joined
        authors = [each.hex for each in followed(number)]
        joined += len(authors) + 1
        return "feed_join", reader, *chance.sample(authors, len(authors)), reader

    def warm(number: int, reader: str) -> tuple[Any, ...]:
        return "feed_fill", reader, where.feed_items_max, floor, *old

    for step in (begin, join, warm):
        with client.pipeline(transaction=False) as pipeline:
            for number, reader in enumerate(readers):
                function, nonce, *further = step(number, reader.hex)
                key = keys[shard_of(reader, where.feed_shards)]
                pipeline.fcall(function, 1, key, reader.hex, nonce, *further)
                if len(pipeline) * (len(old) + 20) > FILLED_AT_ONCE:
                    pipeline.execute()
            answers = pipeline.execute()
        assert step is not warm or set(answers) <= {"warm"}
        used.append(_bytes_used(client))
    return {
        "warm_reader": round((used[3] - used[2] + used[1] - used[0]) / len(readers)),
        "of_it_an_item": round((used[3] - used[2]) / len(readers) / max(1, len(old))),
        "audience_entry": round((used[2] - used[1]) / joined),
    }


def _bytes_used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


class Stream:
    """Posts, appended in the order of their ids while not too many are on their way."""

    def __init__(self, where: Environment, shards: Shards, authors: Sequence[UUID], posts: int) -> None:
        self._log, self._shards, self._authors, self._posts = events.Log(where, linger_ms=1), shards, authors, posts
        self._chance = random.Random(2)
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
            self._log.append(events.publish(mint(at, random=self._chance.randbytes(8)), at, author))
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
    chance = random.Random(3)
    members = [
        (keys[number % READERS], mint(newest + number, random=chance.randbytes(8)).hex) for number in range(PIPELINED)
    ]
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
    audience = [person(number, 9) for number in range(readers)] + [star]
    memory = fill(shards.client, where, audience, lambda number: [star][: number < readers], 0)
    fill(shards.client, where, [author, follower], lambda number: [author][:number], 0)
    log = events.Log(where, linger_ms=0)
    for each in (star, author):
        log.add_key(each, each.bytes * 2)
    slowest: dict[str, float] = {}
    with shards.slowest(slowest), worker(projection_named("feed"), where):
        watch = Watch(log, FeedStore.open(where), author, follower)
        watch.run(lambda: len(watch.took) >= WARM_UP_POSTS)  # the worker is there
        watch.took.clear()
        began, posted = time.monotonic(), 0

        def is_over() -> bool:
            nonlocal posted
            if posted < CELEBRITY_POSTS and time.monotonic() >= began + posted * CELEBRITY_SECONDS:
                at = clock.now()
                log.append(events.publish(mint(at), at, star))
                posted += 1
            until = began + CELEBRITY_POSTS * CELEBRITY_SECONDS
            return posted == CELEBRITY_POSTS and time.monotonic() > until and not shards.owing()

        watch.run(is_over)
        seconds = time.monotonic() - began
        _assert_all_have(shards.client, where, audience, CELEBRITY_POSTS)
    return {
        "readers": readers,
        "posts": CELEBRITY_POSTS,
        "seconds": round(seconds, 2),
        "others_ms": quantiles(watch.took)._asdict(),
        "others_posts": len(watch.took),
        "memory_bytes": memory,
        "longest_call_ms": slowest,
    }


class Sent(NamedTuple):
    number: int
    due: float


class Watch:
    """An author posts at a steady rate, whether or not the last post was seen, and a follower looks for each."""

    def __init__(self, log: events.Log, store: FeedStore, author: UUID, follower: UUID) -> None:
        self._log, self._store, self._author, self._follower = log, store, author, follower
        self._unseen: dict[UUID, Sent] = {}  # in the order of their numbers
        self._sent = 0
        self.took: list[float] = []  # milliseconds of each

    def run(self, is_over: Callable[[], bool]) -> None:
        """`is_over` is asked now and then: asking must cost those who are watched next to nothing."""
        due = asked = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= asked + ASKED_SECONDS:
                if is_over():
                    break
                asked = now
            while due <= now:
                at = clock.now()
                post_id = mint(at)
                self._unseen[post_id] = Sent(self._sent, due)
                self._sent += 1
                self._log.append(events.publish(post_id, at, self._author))
                due += 1 / OTHERS_PER_SECOND
            self._log.poll()
            self._look()
            time.sleep(LOOK_SECONDS_LEAST)

        def all_are_seen() -> bool:
            self._look()
            return not self._unseen

        wait_until(all_are_seen, "others' posts")

    def _look(self) -> None:
        # Down to the oldest that was not seen: they come at once when the worker has just begun, and in any order.
        oldest = next(iter(self._unseen.values()), Sent(self._sent, 0)).number
        page = self._store.page(self._follower, None, LOOKED_AT_ONCE + self._sent - oldest)
        now = time.monotonic()
        for item in page.items if page else ():
            sent = self._unseen.pop(item.post_id, None)
            if sent is not None:
                self.took.append((now - sent.due) * 1000)
        if any(now - sent.due > STANDS_STILL_SECONDS for sent in self._unseen.values()):
            raise RuntimeError("a post does not come")


def _assert_all_have(client: Any, where: Environment, readers: Sequence[UUID], posts: int) -> None:
    """Nobody was passed over, and nobody has anything twice: some readers of each shard are asked."""
    for reader in readers[:: max(1, len(readers) // ASKED)]:
        key = shard_key(shard_of(reader, where.feed_shards))
        found = client.fcall("feed_page", 1, key, reader.hex, "", 2 * posts, where.feed_items_max)
        if found[0] != "warm" or len(found) != 3 + posts or len(set(found)) != len(found):
            raise RuntimeError(f"{len(found) - 3} of {posts} posts are in a reader's page")


def main(posts: int, celebrity_readers: int) -> dict[str, Any]:
    # Whatever the installation's own limit is: here everything is pushed.
    os.environ["ROOKERY_FEED_PUSHED_FOLLOWERS_MAX"] = "1000000000"
    where = load(os.environ)
    shards, authors = Shards(where), [person(number, 1) for number in range(AUTHORS)]
    tell("one worker begins")
    with worker(projection_named("feed"), where):
        wait_until(shards.positions, "the feed's beginning")
    tell(f"{READERS:,} readers' feeds are filled")
    readers = [person(number, 2) for number in range(READERS)]
    # Everybody in turn: each author has equally many readers.
    memory = fill(
        shards.client,
        where,
        readers,
        lambda number: [authors[(number * FOLLOWED + nth) % AUTHORS] for nth in range(FOLLOWED)],
        where.feed_items_max,
    )
    tell(f"{posts:,} posts to {AUDIENCE:,} readers each")
    pushed = push(where, shards, authors, posts)
    pipelined = pipelined_zadd_per_second(shards.client, where)
    tell(f"{pushed['deliveries_per_second']:,} deliveries a second; pipelined ZADDs {pipelined:,}")
    shards.client.flushdb(asynchronous=True)
    with worker(projection_named("feed"), where):
        wait_until(shards.positions, "the feed's beginning")
    tell(f"{celebrity_readers:,} readers of one author")
    great = celebrity(where, shards, celebrity_readers)
    return {
        "deliveries_per_second": pushed["deliveries_per_second"],
        "pipelined_zadd_per_second": pipelined,
        "ratio": round(pushed["deliveries_per_second"] / pipelined, 2),
        "others_ms": great["others_ms"],
        "memory_bytes": memory,
        "fanout": pushed,
        "celebrity": great,
    }


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
