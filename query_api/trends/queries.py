"""What trends, from Redis; and whether what a read demands is in it yet."""

from functools import lru_cache
from typing import TypeVar
from uuid import UUID

from query_api.consistency import FRESH, NOTHING, STALE, Demand, Waiting, parked_in_trends
from query_api.posts.queries import PostRow, hydrate
from query_api.posts.rules import may_see
from schemas.catalogue import topics
from shared.environment import environment
from shared.trend_store import Trend, TrendStore

LOOKED_AT_ONCE = 100
LOOKED_AT_MAX = 5_000  # who may see none of so many gets fewer posts than asked

Row = TypeVar("Row")


@lru_cache(maxsize=1)
def _store() -> TrendStore:
    return TrendStore.open(environment())


def await_trends(demand: Demand) -> str:
    """FRESH once the trends have what is demanded, STALE when that took too long, or they do not have all of it."""
    position = demand.position
    if position is None:
        return STALE
    if position == NOTHING or "trends" not in topics().get(position.topic, {}).get("readers", ()):
        return FRESH
    waiting = Waiting(environment().consistency_wait_seconds)
    while not _store().reached(position):
        if not waiting.again():
            return STALE
    return STALE if parked_in_trends(position) else FRESH


def trending_hashtags(at: int, limit: int, anew: bool = False) -> tuple[list[Trend], bool]:
    """The hashtags that trend at `at` (microseconds since 1970), and whether Redis has all of it.

    Raises TrendsUnavailable.
    """
    trends = _store().top("tags", at, 0, limit, anew)
    return sorted(trends.found, key=lambda each: (-each.score, each.name)), trends.whole


def trending_posts(
    viewer_id: UUID | None, at: int, limit: int, anew: bool = False
) -> tuple[list[tuple[PostRow, float]], bool]:
    """The posts that trend at `at` of those the viewer may see, each with its score; and whether Redis has all of it.

    Raises TrendsUnavailable.
    """
    found: dict[UUID, tuple[PostRow, float]] = {}
    first, whole = 0, True
    while len(found) < limit and first < LOOKED_AT_MAX:
        # Within two seconds it is one and the same order; where a new one begins between, a post may come again.
        trends = _store().top("posts", at, first, LOOKED_AT_ONCE, anew and first == 0)
        whole = whole and trends.whole
        ranked = sorted(((each.score, UUID(each.name)) for each in trends.found), reverse=True)
        there = hydrate([post_id for _, post_id in ranked], viewer_id)
        for score, post_id in ranked:
            if post_id in there and may_see(there[post_id], viewer_id):
                found.setdefault(post_id, (there[post_id], score))
        if len(trends.found) < LOOKED_AT_ONCE:
            break
        first += LOOKED_AT_ONCE
    return list(found.values())[:limit], whole
