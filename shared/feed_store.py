"""Warm home feeds as readers see them: one call each to the functions in Redis, one exception when they are not there.

How a cold feed is filled without a gap (the argument is in projectors/feed/functions.lua):

    page = store.page(viewer_id, before=None, limit=400)          # a page: done
    begun = store.begin(viewer_id)                                # None: somebody else filled it, read the page
    wait until PostgreSQL `graph` has reached begun.positions of topic graph; read whom the viewer follows
    joined = store.join(viewer_id, begun.nonce, followees)        # None: begin anew
    wait until PostgreSQL has reached joined: `posts` of topic posts, `counters` of topic engagement; read the newest
        items, the viewer's and theirs
    store.fill(viewer_id, begun.nonce, floor, items)              # False: begin anew

`FeedUnavailable` from any of them (and a third failed attempt) means: answer straight from PostgreSQL.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, TypeVar
from uuid import UUID, uuid4

from shared import feed_redis
from shared.environment import Environment
from shared.feed_item import FeedItem
from shared.position import Position

CONNECT_SECONDS = 0.5
ANSWER_SECONDS = 2.0
EVERYTHING = 1_000_000_000  # more items than a page can have: of a feed, and of the timelines merged into it

P = ParamSpec("P")
T = TypeVar("T")


class FeedUnavailable(Exception):
    """Redis is away, or was flushed and is not yet in use again. PostgreSQL has everything."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Newest first. No item newer than the id `floor` is missing; with None nothing lies below it either.

    Fewer items than asked for means that the floor is reached: what is not newer than it is PostgreSQL's to answer.
    `nonce` stays the same for as long as the feed stays warm.
    """

    items: list[FeedItem]
    floor: UUID | None
    nonce: str


class FeedMembers(NamedTuple):
    """A FeedPage as Redis has it; `floor` is empty where nothing lies below it."""

    members: list[str]
    floor: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A filling under way; `positions` is where the shard stands, for every partition of every topic."""

    nonce: str
    positions: list[Position]


def shard_of(user_id: UUID, shards: int) -> int:
    return int.from_bytes(user_id.bytes[-4:], "big") % shards


def shard_key(shard: int, name: str = "position") -> str:
    """A key of a shard, hash-tagged so that all of a shard's keys are on one node of a Redis Cluster."""
    return f"{{s:{shard}}}:{name}"


def _available(method: Callable[P, T]) -> Callable[P, T]:
    """Every trouble with Redis as FeedUnavailable: the caller has one other way, whatever the trouble is."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except feed_redis.TROUBLE as error:
            raise FeedUnavailable(f"{type(error).__name__}: {error}") from error

    return call


class FeedStore:
    """One per process; threads may share it. The client is made when first needed."""

    def __init__(self, client: Callable[[], Any], shards: int, items_max: int) -> None:
        self._connect = client
        self._shards = shards
        self._items_max = items_max

    @classmethod
    def open(cls, environment: Environment) -> "FeedStore":
        """Connects when first needed."""
        client = functools.partial(
            feed_redis.connect,
            environment,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
        )
        return cls(client, environment.feed_shards, environment.feed_items_max)

    @functools.cached_property
    def _client(self) -> Any:
        return self._connect()

    def page(self, user_id: UUID, before: UUID | None, limit: int) -> FeedPage | None:
        """The newest items older than the item `before` (None: the newest of all); None when the feed is cold."""
        found = self.members(user_id, before.hex if before else "", limit)
        if found is None:
            return None
        items = [FeedItem.of_member(member) for member in found.members]
        return FeedPage(items, _id(found.floor) if found.floor else None, found.nonce)

    @_available
    def members(self, user_id: UUID, before: str, limit: int) -> FeedMembers | None:
        """The same page by hex digits: `before` and `floor` are ids, or empty."""
        found = self._call("feed_page", user_id, user_id.hex, before, limit, self._items_max)
        return FeedMembers(found[3:], found[2], found[1]) if found[0] == "warm" else None

    @_available
    def begin(self, user_id: UUID) -> Begun | None:
        """Starts filling a cold feed, or joins in a filling under way; None when it is warm already."""
        state, nonce, positions = self._call("feed_begin", user_id, user_id.hex, uuid4().hex)
        if state == "absent":
            raise FeedUnavailable("the shard has no incarnation yet")
        return None if state == "warm" else Begun(nonce, _positions(positions))

    @_available
    def join(self, user_id: UUID, nonce: str, authors: Iterable[UUID]) -> list[Position] | None:
        """Has all that these authors and the reader publish or share from now on shown; answers where the shard is.

        None when a relationship has changed since `begin` (or the filling took longer than a minute): begin anew. An
        empty list when the feed is warm already.
        """
        names = {author.hex for author in authors} | {user_id.hex}
        state, positions = self._call("feed_join", user_id, user_id.hex, nonce, *sorted(names))
        return None if state == "cold" else _positions(positions)

    @_available
    def fill(self, user_id: UUID, nonce: str, floor: UUID | None, items: Sequence[FeedItem]) -> bool:
        """Makes the feed warm. `items` are the newest of those it could ever show while these follows stand.

        `floor` is the id of the oldest of them if there may be older ones, or None if these are all. At most
        `items_max` are kept. False when the nonce no longer counts: begin anew.
        """
        lowest = floor.hex if floor else ""
        members = [item.member for item in items]
        answer = self._call("feed_fill", user_id, user_id.hex, nonce, self._items_max, lowest, *members)
        return bool(answer == "warm")

    @_available
    def positions(self, user_id: UUID) -> list[Position]:
        """Where the reader's shard stands in every partition; empty while it has no incarnation."""
        found = self._client.hgetall(shard_key(shard_of(user_id, self._shards)))
        return _positions([part for pair in found.items() for part in pair])

    @_available
    def pulled(self) -> set[UUID]:
        """Authors whose items some shard merges into pages instead of pushing them."""
        return {
            _id(author) for shard in range(self._shards) for author in self._client.smembers(shard_key(shard, "pulled"))
        }

    @_available
    def warm_feeds(self) -> Iterator[tuple[UUID, FeedPage]]:
        """Every filled feed as it is, for comparing. Keeps them warm, as reading does; not to be used per request."""
        return iter([entry for shard in range(self._shards) for entry in self._warm_feeds_of(shard)])

    @_available
    def cool(self, user_id: UUID) -> str:
        """Has the reader's feed filled anew by whoever reads it next; answers what it was: warm, filling or cold."""
        return str(self._call("feed_cool", user_id, user_id.hex))

    @_available
    def renew(self) -> list[str]:
        """Makes every reader's feed cold, shard after shard; answers the incarnations' new names, '' where there is
        none."""
        return [self._call_shard("feed_renew", shard) for shard in range(self._shards)]

    @_available
    def readers(self) -> list[UUID]:
        """Whoever has a feed now, or had one under an earlier incarnation."""
        return [
            _id(key.rpartition(":")[2])
            for shard in range(self._shards)
            for key in self._client.scan_iter(match=shard_key(shard, "warm:") + "*", count=1_000)
        ]

    @_available
    def clear(self, readers: Iterable[UUID]) -> int:
        """Frees the memory of these readers' feeds that are left over from an earlier incarnation; how many were."""
        by_shard: dict[int, list[str]] = {}
        for reader in readers:
            by_shard.setdefault(shard_of(reader, self._shards), []).append(reader.hex)
        return sum(int(self._call_shard("feed_clear", shard, *names)) for shard, names in by_shard.items())

    def _warm_feeds_of(self, shard: int) -> Iterator[tuple[UUID, FeedPage]]:
        prefix = shard_key(shard, "warm:")
        for key in self._client.scan_iter(match=prefix + "*", count=1_000):
            user_id = _id(key.removeprefix(prefix))
            page = self.page(user_id, None, EVERYTHING)
            if page is not None:
                yield user_id, page

    def _call(self, function: str, user_id: UUID, *arguments: str | int) -> Any:
        return self._call_shard(function, shard_of(user_id, self._shards), *arguments)

    def _call_shard(self, function: str, shard: int, *arguments: str | int) -> Any:
        key = shard_key(shard)
        client = self._client
        return client.execute_command("FCALL", function, 1, key, *arguments, **feed_redis.on_shard(client, key))


def _id(text: str) -> UUID:
    return UUID(int=int(text, 16))


def _positions(flat: Sequence[str]) -> list[Position]:
    """From "topic:partition", "offset:epoch", ..."""
    found = []
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        topic, _, partition = name.rpartition(":")
        found.append(Position(topic, int(partition), int(value.partition(":")[0])))
    return sorted(found)
