"""A home feed's candidates, newest first: the same from Redis while the feed is warm and from PostgreSQL otherwise.

A warm feed answers down to its floor and PostgreSQL below it. A cold one is filled first: Redis gives a nonce and
where it stands, the follows are read once PostgreSQL stands there too, then the newest items likewise
(shared/feed_store.py has the steps). Where Redis is away, or a filling does not succeed in three attempts, PostgreSQL
answers alone.
"""

import logging
import time
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from typing import LiteralString
from uuid import UUID

from query_api import database
from query_api.consistency import Waiting, parked_in_feed
from query_api.feed.candidates import followees, home_candidates
from query_api.feed.placing import Candidates, Row
from query_api.pipeline import ROUNDS_MAX
from schemas.catalogue import topics
from shared.environment import environment
from shared.feed_item import FeedMember
from shared.feed_store import FeedMembers, FeedStore, FeedUnavailable
from shared.position import Position

log = logging.getLogger(__name__)

FILL_ATTEMPTS = 3
FILL_WAIT_SECONDS = 0.5  # PostgreSQL is milliseconds behind; a reader does not wait for one that is further away
AWAY_SECONDS = 1.0  # a Redis that did not answer is left alone for so long, so that not every request waits for it
HIT, MISS, BYPASS = "hit", "miss", "bypass"  # X-Cache-Status
PUSHED, DATABASE = "pushed", "database"

REACHED_SQL: LiteralString = """
select not exists (
    select from unnest(%(partitions)s::int[], %(offsets)s::bigint[]) as d (partition, next_offset)
      left join {schema}.position p on p.topic = %(topic)s and p.partition = d.partition
     where coalesce(p.next_offset, 0) < d.next_offset) as reached"""


class Behind(Exception):
    """PostgreSQL is too far behind Redis for a reader to wait for it."""


class _Redis:
    """The process's store, and until when it is not to be asked, or not to be filled."""

    def __init__(self) -> None:
        self.store = FeedStore.open(environment())
        self.away_until = 0.0
        self.no_filling_until = 0.0


@lru_cache(maxsize=1)
def _redis() -> _Redis:
    return _Redis()


class HomeSkeleton:
    """The candidates of one request, as feed/placing.py asks for them.

    `demanded` is the position that the request demands; a warm feed that has not reached it is passed over, since
    PostgreSQL has.
    Afterwards `cache` says where the items came from, and `is_pushed` does so for one item.
    `from_redis=False` asks PostgreSQL alone.
    `as_of` is the newest item of the first page of the list: shares that are newer do not count on the pages after it,
    so that a post that somebody shares meanwhile stays where it was.
    """

    rounds_max = ROUNDS_MAX  # of looking for a page's posts by recency

    def __init__(
        self, viewer_id: UUID, demanded: Position | None = None, as_of: str | None = None, from_redis: bool = True
    ) -> None:
        self.viewer_id = viewer_id
        self.as_of = as_of
        self.cache = BYPASS
        self._pushed: list[FeedMember] = []
        self.shared: set[str] = set()  # posts that came by a share
        self._store = self._usable_store(demanded) if from_redis else None

    def __call__(self, before: str | None, limit: int, settled: Set[str]) -> Candidates:
        """A warm feed's items may be of `settled` posts; PostgreSQL leaves those out."""
        found = self._found(before, limit, settled)
        if found.items and self.as_of is None:
            self.as_of = found.items[0].item_id
        self.shared.update([item.post_id for item in found.items if item.item_id is not item.post_id])
        return found

    def kept(self, rows: Mapping[str, Row]) -> Mapping[str, Row]:
        """What belongs to the list of the rows, by post, that were made of candidates: here all of them."""
        return rows

    @property
    def pushed(self) -> frozenset[str]:
        """The items that came from the warm feed."""
        return frozenset(item.item_id for item in self._pushed)

    def _found(self, before: str | None, limit: int, settled: Set[str]) -> Candidates:
        page = self._page(before, limit)
        if page is None:
            return self._below(before, limit, settled)
        items = [FeedMember.of_member(member) for member in page.members]
        self._pushed += items
        last = items[-1].item_id if items else before
        missing = limit - len(items)
        if missing == 0:
            return Candidates(items, last)
        if not page.floor:
            return Candidates(items, None)
        below = self._below(last, missing, settled)
        return Candidates(items + below.items, below.reached)

    def _below(self, before: str | None, limit: int, settled: Set[str]) -> Candidates:
        found = home_candidates(self.viewer_id, before, limit, settled)
        items = [FeedMember.of_member(item.member) for item in found]
        return Candidates(items, items[-1].item_id if len(items) == limit else None)

    @staticmethod
    def source_of(pushed: bool) -> str:
        return PUSHED if pushed else DATABASE

    def _usable_store(self, demanded: Position | None) -> FeedStore | None:
        shared = _redis()
        if time.monotonic() < shared.away_until:
            return None
        if demanded is None or "feed" not in topics().get(demanded.topic, {}).get("readers", ()):
            return shared.store
        try:
            standing = {(each.topic, each.partition): each.offset for each in shared.store.positions(self.viewer_id)}
        except FeedUnavailable as trouble:
            self._leave_alone(trouble)
            return None
        reached = standing.get((demanded.topic, demanded.partition), 0) >= demanded.offset
        return shared.store if reached and not parked_in_feed(demanded) else None

    def _page(self, before: str | None, limit: int) -> FeedMembers | None:
        """A page of the warm feed, filled first if need be; None when PostgreSQL is to answer alone."""
        if self._store is None:
            return None
        try:
            page = self._store.members(self.viewer_id, before or "", limit)
            if page is not None:
                self.cache = HIT if self.cache == BYPASS else self.cache
                return page
            page = self._filled_page(self._store, before, limit)
            if page is not None:
                self.cache = MISS
                return page
        except FeedUnavailable as trouble:
            self._leave_alone(trouble)
        self._store = None
        self.cache = BYPASS
        return None

    def _filled_page(self, store: FeedStore, before: str | None, limit: int) -> FeedMembers | None:
        if time.monotonic() < _redis().no_filling_until:
            return None
        for _ in range(FILL_ATTEMPTS):
            try:
                filled = fill(store, self.viewer_id)
            except Behind as trouble:
                log.warning("a home feed stays cold: %s", trouble)
                _redis().no_filling_until = time.monotonic() + AWAY_SECONDS
                return None
            page = store.members(self.viewer_id, before or "", limit) if filled else None
            if page is not None:
                return page
        return None

    def _leave_alone(self, trouble: FeedUnavailable) -> None:
        # A shard that is not in use yet says so at once; only a Redis that does not answer is worth keeping away from.
        if trouble.__cause__ is not None:
            log.warning("home feeds are read from PostgreSQL: %s", trouble)
            _redis().away_until = time.monotonic() + AWAY_SECONDS


def fill(store: FeedStore, viewer_id: UUID) -> bool:
    """Makes a cold feed warm; False when a relationship changed meanwhile. Raises FeedUnavailable and Behind."""
    begun = store.begin(viewer_id)
    if begun is None:
        return True
    _wait_for("graph", "graph", begun.positions)
    joined = store.join(viewer_id, begun.nonce, followees(viewer_id))
    if joined is None:
        return False
    _wait_for("posts", "posts", joined)
    _wait_for("counters", "engagement", joined)
    limit = environment().feed_items_max
    items = home_candidates(viewer_id, None, limit)
    return store.fill(viewer_id, begun.nonce, items[-1].item_id if len(items) == limit else None, items)


def _wait_for(projection: LiteralString, topic: str, positions: Sequence[Position]) -> None:
    """Until the projection in PostgreSQL has reached these positions of the topic. Raises Behind."""
    demanded = [each for each in positions if each.topic == topic]
    parameters = {
        "topic": topic,
        "partitions": [each.partition for each in demanded],
        "offsets": [each.offset for each in demanded],
    }
    waiting = Waiting(FILL_WAIT_SECONDS)
    while True:
        found = database.row(REACHED_SQL.format(schema=projection), parameters)
        if found is not None and found.reached:
            return
        if not waiting.again():
            raise Behind(f"the projection {projection} has not reached {demanded}")
