"""What the feed projector does to Redis, in a test's hands: it takes shards into use, and applies batch by batch."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec

from shared.feed_item import FeedItem
from shared.feed_store import shard_key
from tests.query_api.serving import SHARDS, TOPIC_PARTITIONS
from tests.query_api.world import World

TOPICS = ("posts", "engagement", "graph", "accounts")
# The projections that a filling waits for, by the topic in question.
AWAITED = {"posts": "posts", "engagement": "counters", "graph": "graph"}
ITEMS_MAX = 60
PUSH_COST = 6_000  # enough for all that these tests push, so that nothing is owed


class Shards:
    """Positions of PostgreSQL's projections are moved along, so that a cold feed can be filled at once."""

    def __init__(self, client: Any, world: World) -> None:
        self._client = client
        self._world = world
        self._incarnation = ""
        self._epoch = 1
        self._offsets = {f"{topic}:{partition}": 0 for topic in TOPICS for partition in range(TOPIC_PARTITIONS)}

    def flush(self) -> None:
        """Everything in the test's Redis database is lost."""
        self._client.flushdb()

    def begin(self) -> None:
        self.flush()
        for topic, projection in AWAITED.items():
            for partition in range(TOPIC_PARTITIONS):
                self._world.advance(projection, topic, partition, 0)
        self._incarnation = uuid4().hex
        packed = msgspec.msgpack.encode({"starts": self._offsets, "fenced": list(self._offsets)})
        for shard in range(SHARDS):
            answer = self._client.fcall("feed_fence", 1, shard_key(shard), self._incarnation, self._epoch, packed)
            assert answer[0] == self._incarnation.encode(), answer

    def apply(
        self,
        topic: str = "posts",
        push: Mapping[UUID, Sequence[UUID | FeedItem]] | None = None,
        remove: Mapping[UUID, Sequence[UUID | FeedItem]] | None = None,
        cool: list[UUID] | None = None,
        postgres_too: bool = True,
    ) -> int:
        """One batch of partition 0 on every shard; answers the offset that this reached."""
        field = f"{topic}:0"
        before = self._offsets[field]
        self._offsets[field] = after = before + 1
        changes = {
            "push": {author.hex: _members(items) for author, items in (push or {}).items()},
            "remove": {author.hex: _members(items) for author, items in (remove or {}).items()},
            "cool": [reader.hex for reader in cool or ()],
            "leave": [],
            "erase": [],
        }
        packed = msgspec.msgpack.encode(changes)
        for shard in range(SHARDS):
            arguments = (field, before, after, self._epoch, self._incarnation, ITEMS_MAX, packed, PUSH_COST)
            answer = self._client.fcall("feed_apply", 1, shard_key(shard), *arguments)
            assert answer == [b"applied", 0], answer
        if postgres_too and topic in AWAITED:
            self._world.advance(AWAITED[topic], topic, 0, after)
        return after


def _members(items: Sequence[UUID | FeedItem]) -> list[str]:
    """A bare id is a post's."""
    return [item.member if isinstance(item, FeedItem) else item.hex for item in items]
