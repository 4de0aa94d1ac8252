"""The items of a home feed that its reader may see, newest first or ranked, by the path that every page takes.

`home_recent_ids` answers what a page of `sort=recent` would, by the same path and without HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from query_api import database
from query_api.feed.home import HomeSkeleton
from query_api.feed.ranking import OWN_AFFINITY, Candidate, Ranked, affinity, ranked_order
from query_api.pipeline import Page, Skeleton, read_page
from query_api.posts.queries import FACTS_SQL, PRESENT_SQL
from query_api.posts.rules import is_home_item
from shared.ids import day_of, time_of

FACTS_OF_SQL: LiteralString = (
    """
select p.post_id, p.author_id,"""
    + FACTS_SQL
    + """,
       coalesce(c.likes, 0) as likes, coalesce(c.comments, 0) as comments, coalesce(c.shares, 0) as shares
  from unnest(%(ids)s::uuid[]) as w (id)"""
    + PRESENT_SQL
)

AFFINITY_SQL: LiteralString = """
select author_id, day, weight from counters.affinity
 where viewer_id = %(viewer)s and author_id = any(%(authors)s::uuid[])"""


HOME_ROUNDS_MAX = 1000  # the newest 400 are to be 400, however much in between may not be seen


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """A candidate with what the rules and the ranking need of it, and no more."""

    post_id: UUID
    author_id: UUID
    visibility: str
    author_private: bool
    reply_to_id: UUID | None
    reply_to_author_id: UUID | None
    follows_author: bool
    hidden: bool
    muted: bool
    follows_replied_to: bool
    likes: int
    comments: int
    shares: int


def item_facts(viewer_id: UUID, ids: Sequence[UUID]) -> dict[UUID, ItemFacts]:
    found = database.rows(FACTS_OF_SQL, {"viewer": viewer_id, "ids": list(ids)})
    return {row.post_id: ItemFacts(*row) for row in found}


def ranked_items(viewer_id: UUID, items: Sequence[ItemFacts], ranked_at: int) -> list[Ranked]:
    """These items in the order of the formula at `ranked_at` (microseconds since 1970)."""
    authors = list({item.author_id for item in items} - {viewer_id})
    weights: dict[UUID, list[tuple[int, int]]] = {}
    for row in database.rows(AFFINITY_SQL, {"viewer": viewer_id, "authors": authors}) if authors else ():
        weights.setdefault(row.author_id, []).append((row.day, row.weight))
    today = day_of(ranked_at)
    affinities = {author: affinity(weights.get(author, ()), today) for author in authors}
    return ranked_order(
        (
            Candidate(
                post_id=item.post_id,
                published_at=time_of(item.post_id),
                likes=item.likes,
                comments=item.comments,
                shares=item.shares,
                affinity=affinities.get(item.author_id, OWN_AFFINITY),
            )
            for item in items
        ),
        ranked_at,
    )


def home_items(viewer_id: UUID, skeleton: Skeleton, limit: int) -> Page[ItemFacts]:
    """The newest `limit` items that V may see; candidates that V may not see make room for older ones."""
    return read_page(
        skeleton,
        lambda ids: item_facts(viewer_id, ids),
        lambda item: is_home_item(item, viewer_id),
        after=None,
        limit=limit,
        rounds_max=HOME_ROUNDS_MAX,
    )


def home_recent_ids(viewer_id: UUID, limit: int) -> list[UUID]:
    """The newest `limit` items of V's home feed, newest first; through Redis where the feed is warm, and warming it."""
    return [item.post_id for item in home_items(viewer_id, HomeSkeleton(viewer_id), limit).rows]


def home_ranked_ids(viewer_id: UUID, limit: int, ranked_at: int) -> list[UUID]:
    """The newest `limit` items in ranked order at `ranked_at` (microseconds since 1970)."""
    items = home_items(viewer_id, HomeSkeleton(viewer_id), limit).rows
    return [each.post_id for each in ranked_items(viewer_id, items, ranked_at)]
