"""Claim: however requests, worker, walks, changes of the threshold, PostgreSQL's lag, trims and flushes interleave, no
warm feed has a gap, at any moment of a walk too; and once nothing is owed, all that was owed is in the sets.

Oracle: the logs of who follows, blocks and mutes whom and of who published and shared what, up to the positions that
the shard states.
The functions are the real ones (Redis, database 9); PostgreSQL is a number per partition, as only its lag matters here.
Cannot catch: a query API that does not wait for the positions it was given.
"""

import random
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest

from projectors.runtime.stores.port import Outcome, Partition
from projectors.runtime.stores.redis import RedisStore
from schemas.types import Event, PostPublished, PostShared, PostUnshared
from shared.environment import Environment
from shared.feed_item import FeedItem
from shared.feed_store import Begun, shard_of
from shared.position import Position
from tests.integration.feeds import ITEMS_MAX, PARTITIONS, SHARDS, Feeds, own_feeds, walked
from tests.model.reference import Model
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    DAN,
    approved,
    at,
    blocked,
    followed,
    muted,
    published,
    shared,
    unblocked,
    unfollowed,
    unmuted,
)

# Endings of blocks and mutes come more often than their beginnings, so that there is somebody to read.
RELATED = (followed, followed, approved, approved, unfollowed, blocked, unblocked, unblocked, muted, unmuted, unmuted)


@pytest.fixture
def feeds(servers: Environment, scratch_database: str) -> Iterator[Feeds]:
    with own_feeds(servers, scratch_database) as feeds:
        yield feeds


class World:
    """Logs, a PostgreSQL that has read them up to somewhere, and readers who fill their feeds step by step."""

    READERS = (ANA, BEN, CLEO, DAN)

    def __init__(self, feeds: Feeds, seed: int) -> None:
        self.feeds = feeds
        self.random = random.Random(seed)
        self.logs: dict[Partition, list[Event]] = {partition: [] for partition in feeds.partitions}
        self.read = dict.fromkeys(feeds.partitions, 0)  # where PostgreSQL is
        self.step = 0
        self.stayed = 0  # items of withdrawn shares in settled feeds
        self.owed = 0  # what settled feeds had yet to be pushed
        self.changes = 0  # of authors from pushed to pulled and back
        self.fillings: dict[UUID, Iterator[None]] = {}

    def happen(self) -> None:
        choice = self.random.random()
        one, other = self.random.sample(self.READERS, 2)
        number = self.random.randrange(PARTITIONS)
        self.step += 1
        if choice < 0.17:
            self.logs[Partition("posts", number)].append(published(self.step, one))
        elif choice < 0.25:
            self.share(one)
        elif choice < 0.39:
            related = self.random.choice(RELATED)
            self.logs[Partition("graph", shard_of(one, PARTITIONS))].append(related(self.step, one, other))
        elif choice < 0.51:
            partition = self.random.choice(self.feeds.partitions)
            self.read[partition] = self.random.randint(self.read[partition], len(self.logs[partition]))
        elif choice < 0.66:
            self.advance(self.random.choice(self.feeds.partitions), self.random.randint(1, 4))
        elif choice < 0.665:
            self.feeds.redis.flushdb()
            self.feeds.fence()
        elif choice < 0.675:
            self.feeds.fence()
        elif choice < 0.685:
            self.feeds.readers.renew()
        elif choice < 0.75:
            # As another worker would, after this one died: what is owed lies in the shard.
            self.feeds.walk(self.random.randrange(SHARDS), self.random.randint(1, 4))
        elif choice < 0.78:
            self.changes += len(self.feeds.weigh(10, {one: self.random.choice([0, 9, 10, 100])}))
        else:
            next(self.fillings.setdefault(one, self.filling(one)), None)
            self.check(one)

    def share(self, sharer: UUID) -> None:
        """Somebody shares a post, or thinks better of a share, in the partition of that post."""
        number = self.random.randrange(PARTITIONS)
        posts, log = self.logs[Partition("posts", number)], self.logs[Partition("engagement", number)]
        own = [event for event in self.standing(log) if event.subject_id == sharer]
        if own and self.random.random() < 0.3:
            share = self.random.choice(own)
            of = {name: getattr(share, name) for name in ("share_id", "post_id", "post_author_id")}
            log.append(at(self.step, PostUnshared, sharer, **of))
        elif posts:
            post = self.random.choice(posts)
            assert isinstance(post, PostPublished)
            if post.post_id not in {event.post_id for event in own}:
                log.append(shared(self.step, sharer, post))

    def standing(self, log: Sequence[Event]) -> list[PostShared]:
        """The shares that were not withdrawn in this part of a log."""
        withdrawn = {event.share_id for event in log if isinstance(event, PostUnshared)}
        return [event for event in log if isinstance(event, PostShared) and event.share_id not in withdrawn]

    def advance(self, partition: Partition, records: int) -> None:
        first = self.feeds.next[partition]
        events = self.logs[partition][first : first + records]
        if events:
            assert self.feeds.apply(partition.topic, *events, number=partition.number) is Outcome.APPLIED

    def followees(self, reader: UUID, reached: dict[Partition, int]) -> set[UUID]:
        """By the events read so far, as PostgreSQL and the oracle both see it: whom they follow and do not mute."""
        read = [
            event
            for partition, offset in reached.items()
            if partition.topic == "graph"
            for event in self.logs[partition][:offset]
        ]
        model = Model(read)
        return {each for each in model.following.get(reader, set()) if (reader, each) not in model.mutes}

    def items(self, reader: UUID, followees: set[UUID], reached: dict[Partition, int]) -> list[FeedItem]:
        """What the reader and these published, and what these share."""
        posts = {
            FeedItem.of_post(event.event_id)
            for partition, offset in reached.items()
            if partition.topic == "posts"
            for event in self.logs[partition][:offset]
            if event.subject_id in {reader, *followees}
        }
        shares = {
            FeedItem(event.share_id, event.post_id)
            for partition, offset in reached.items()
            if partition.topic == "engagement"
            for event in self.standing(self.logs[partition][:offset])
            if event.subject_id in followees
        }
        return sorted(posts | shares, reverse=True)

    def filling(self, reader: UUID) -> Iterator[None]:
        """What a reader's request does, pausing wherever something else may come between."""
        readers = self.feeds.readers
        while True:
            begun: Begun | None = readers.begin(reader)
            yield
            if begun is None:
                continue
            while not self.reached(begun.positions, "graph"):
                yield
            followees = self.followees(reader, self.read)
            yield
            joined = readers.join(reader, begun.nonce, followees)
            yield
            if not joined:
                continue
            while not (self.reached(joined, "posts") and self.reached(joined, "engagement")):
                yield
            newest = self.items(reader, followees, self.read)
            limit = self.random.choice([2, ITEMS_MAX])
            yield
            readers.fill(
                reader, begun.nonce, newest[limit - 1].item_id if len(newest) >= limit else None, newest[:limit]
            )
            yield

    def reached(self, positions: Sequence[Position], topic: str) -> bool:
        return all(
            self.read[Partition(each.topic, each.partition)] >= each.offset for each in positions if each.topic == topic
        )

    def check(self, reader: UUID, exactly: bool = False, finished: bool = False) -> None:
        page = self.feeds.readers.page(reader, None, 1_000)
        if page is None:
            return
        reached = {Partition(each.topic, each.partition): each.offset for each in self.feeds.readers.positions(reader)}
        expected = [
            item
            for item in self.items(reader, self.followees(reader, reached), reached)
            if page.floor is None or item.item_id > page.floor
        ]
        assert page.items == sorted(page.items, reverse=True)
        if not self.ahead(reader, reached):
            gap = set(expected) - set(page.items) - self.withdrawn(self.read)
            assert not gap, "a gap above the floor"
        # A share withdrawn while the feed was being filled may have stayed; nothing else may.
        held = [item for item in page.items if item not in self.withdrawn(reached)]
        assert not exactly or expected == held
        if finished:
            self.stayed += len(page.items) - len(held)

    def check_sets(self) -> None:
        """Of those who are not pulled nothing is kept but their audience, once all is pushed."""
        pulled = {author.hex for author in self.feeds.readers.pulled()}
        kept = {
            key for name in ("author", "timeline", "removing", "queue")
            for key in self.feeds.redis.scan_iter(match=f"*:{name}*") if key.rpartition(":")[2] not in pulled
        }  # fmt: skip
        assert not kept

    def withdrawn(self, reached: dict[Partition, int]) -> set[FeedItem]:
        return {
            FeedItem(event.share_id, event.post_id)
            for partition, offset in reached.items()
            for event in self.logs[partition][:offset]
            if isinstance(event, PostUnshared)
        }

    def ahead(self, reader: UUID, reached: dict[Partition, int]) -> bool:
        """Whether PostgreSQL knows of an unfollow that the shard will be cooled by: then a followee may be left out."""
        return self.followees(reader, reached) != self.followees(reader, self.read)

    def settle(self) -> None:
        for partition, log in self.logs.items():
            while self.feeds.next[partition] < len(log):
                self.advance(partition, 5)
            self.read[partition] = len(log)


@pytest.mark.parametrize("seed", range(12))
def test_no_interleaving_leaves_a_gap(feeds: Feeds, seed: int) -> None:
    world = World(feeds, seed)
    # A flush begins anew where PostgreSQL is, which here is where the world says.
    reached = feeds.store.__class__._reached_in_postgres

    async def in_this_world(store: RedisStore) -> dict[Partition, int]:
        return dict(world.read)

    with pytest.MonkeyPatch.context() as patch, walked(feeds):
        if seed % 3 == 0:
            feeds.store.push_cost = feeds.push_cost = 3
        patch.setattr(feeds.store.__class__, reached.__name__, in_this_world)
        for _ in range(12):
            for _ in range(50):
                world.happen()
            world.settle()
            for reader in World.READERS:
                for _ in range(20):
                    next(world.fillings.setdefault(reader, world.filling(reader)), None)
                assert feeds.items(reader) is not None
                world.check(reader, exactly=True)
            world.owed += feeds.walk(allowed=1)
            if world.random.random() < 0.3:
                feeds.weigh(10, dict.fromkeys(World.READERS, 0))
            feeds.finish()
            for reader in World.READERS:
                world.check(reader, exactly=True, finished=True)
            world.check_sets()
        shares = [event for log in world.logs.values() for event in log if isinstance(event, PostShared)]
        assert shares and world.withdrawn(world.read), "this history has nothing to say of shares"
        assert world.changes and world.owed, "this history has nothing to say of walks"
        assert world.stayed <= len(world.withdrawn(world.read)) / 4, "withdrawn shares are taken out of warm feeds"
