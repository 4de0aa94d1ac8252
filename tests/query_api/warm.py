"""What the feed projector does to Redis, in a test's hands: it takes shards into use, and applies batch by batch."""

from typing import Any
from uuid import UUID, uuid4

import msgspec

from shared.feed_store import shard_key
from tests.query_api.serving import SHARDS, TOPIC_PARTITIONS
from tests.query_api.world import World

TOPICS = ("posts", "graph", "accounts")
ITEMS_MAX = 60


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
        for projection in ("posts", "graph"):
            for partition in range(TOPIC_PARTITIONS):
                self._world.advance(projection, projection, partition, 0)
        self._incarnation = uuid4().hex
        packed = msgspec.msgpack.encode({"starts": self._offsets, "fenced": list(self._offsets)})
        for shard in range(SHARDS):
            answer = self._client.fcall("feed_fence", 1, shard_key(shard), self._incarnation, self._epoch, packed)
            assert answer[0] == self._incarnation.encode(), answer

    def apply(
        self,
        topic: str = "posts",
        push: dict[UUID, list[UUID]] | None = None,
        cool: list[UUID] | None = None,
        postgres_too: bool = True,
    ) -> int:
        """One batch of partition 0 on every shard; answers the offset that this reached."""
        field = f"{topic}:0"
        before = self._offsets[field]
        self._offsets[field] = after = before + 1
        changes = {
            "push": {author.hex: [item.hex for item in items] for author, items in (push or {}).items()},
            "remove": {},
            "cool": [reader.hex for reader in cool or ()],
            "leave": [],
            "erase": [],
        }
        packed = msgspec.msgpack.encode(changes)
        for shard in range(SHARDS):
            arguments = (field, before, after, self._epoch, self._incarnation, ITEMS_MAX, packed)
            answer = self._client.fcall("feed_apply", 1, shard_key(shard), *arguments)
            assert answer == b"applied", answer
        if postgres_too and topic in ("posts", "graph"):
            self._world.advance(topic, topic, 0, after)
        return after
