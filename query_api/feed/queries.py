"""The items of a home feed that its reader may see, newest first or ranked, by the path that every page takes.

Each post stands once, at its newest item (feed/rules.py). The newest share that counts for V is looked up beside the
post's other facts, so that it is placed there whatever the candidates were (feed/placing.py).
`home_recent_ids` answers what a page of `sort=recent` would, by the same path and without HTTP.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.feed.home import HomeSkeleton
from query_api.feed.placing import read_home_page
from query_api.feed.ranking import OWN_AFFINITY, Candidate, Ranked, affinity, ranked_order
from query_api.feed.rules import standing_item
from query_api.pipeline import Page
from query_api.posts.queries import (
    FACTS_SQL,
    HYDRATE_SQL,
    POST_COLUMNS,
    PRESENT_SQL,
    PostRow,
    assembled,
)
from shared.feed_item import FeedItem
from shared.ids import LAST_ID, datetime_of, day_of, time_of

FACTS_OF_SQL: LiteralString = (
    """
select p.post_id, p.author_id,"""
    + FACTS_SQL
    + """,
       coalesce(c.likes, 0) as likes, coalesce(c.comments, 0) as comments, coalesce(c.shares, 0) as shares
  from unnest(%(ids)s::uuid[]) as w (id)"""
    + PRESENT_SQL
)

# The newest share of `h.post_id` by somebody V follows and has not muted, who is there; none newer than `as_of`.
# Of a post that few shared, each share is looked at, and of another, each person that V follows: it costs at most as
# many look-ups as V follows people, and none for a post that nobody shared. `offset 0` keeps them look-ups: the planner
# takes a post for one of few shares and would read all of a popular one's.
NEWEST_SHARE_SQL: LiteralString = """
  left join lateral (
    select s.share_id, s.actor_id as sharer_id, u.username as sharer_username, u.display_name as sharer_display_name,
           u.avatar_media_id as sharer_avatar_media_id
      from (
        select few.share_id, few.actor_id
          from counters.share few
         cross join lateral (select counted, mutes from graph.relation
                              where from_id = %(viewer)s::uuid and to_id = few.actor_id offset 0) v
         where h.shares between 1 and (select count(*) from graph.relation where from_id = %(viewer)s::uuid and follows)
           and few.post_id = h.post_id and few.active and few.share_id <= coalesce(%(as_of)s::uuid, %(last)s::uuid)
           and v.counted and not coalesce(v.mutes, false)
        union all
        select many.share_id, many.actor_id
          from graph.relation v
         cross join lateral (select share_id, actor_id, active from counters.share
                              where post_id = h.post_id and actor_id = v.to_id offset 0) many
         where h.shares > (select count(*) from graph.relation where from_id = %(viewer)s::uuid and follows)
           and v.from_id = %(viewer)s::uuid and v.follows and v.counted and not coalesce(v.mutes, false)
           and many.active and many.share_id <= coalesce(%(as_of)s::uuid, %(last)s::uuid)
         order by share_id desc offset 0) s
      join profiles.person u on u.user_id = s.actor_id and u.created_event is not null
     where not exists (select from profiles.erased e where e.user_id = s.actor_id)
       and not exists (select from graph.erased e where e.user_id = s.actor_id)
       and not exists (select from counters.erased e where e.user_id = s.actor_id)
     order by s.share_id desc limit 1) n on h.shares > 0"""

ITEM_FACTS_SQL: LiteralString = "select h.*, n.share_id from (" + FACTS_OF_SQL + ") h" + NEWEST_SHARE_SQL

HOME_ROWS_SQL: LiteralString = (
    """
select h.*, n.share_id, n.sharer_id, n.sharer_username, n.sharer_display_name, n.sharer_avatar_media_id
  from ("""
    + HYDRATE_SQL
    + ") h"
    + NEWEST_SHARE_SQL
)

AFFINITY_SQL: LiteralString = """
select author_id, day, weight from counters.affinity
 where viewer_id = %(viewer)s and author_id = any(%(authors)s::uuid[])"""


HOME_ROUNDS_MAX = 1000  # the newest 400 are to be 400, however much in between may not be seen


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """A post with what the rules and the ranking need of it, and no more.

    `standing_id` is the item at which it stands, if it does, `share_id` the newest share of it that counts for V.
    """

    standing_id: UUID | None
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
    share_id: UUID | None


@dataclass(frozen=True, slots=True)
class Sharer:
    """Who brings a post by a share."""

    share_id: UUID
    author_id: UUID
    username: str
    display_name: str | None
    avatar_media_id: UUID | None


@dataclass(frozen=True, slots=True)
class HomeRow:
    """A post with all that its shape needs; `standing_id` is the item at which it stands, if it does."""

    standing_id: UUID | None
    post: PostRow
    sharer: Sharer | None

    @property
    def via(self) -> Sharer | None:
        """Who shared it, where it stands at a share."""
        return self.sharer if self.sharer is not None and self.sharer.share_id == self.standing_id else None

    @property
    def at(self) -> Any:
        return self.post.created_at if self.via is None else datetime_of(time_of(self.via.share_id))


def item_facts(viewer_id: UUID, post_ids: Iterable[UUID], as_of: UUID | None) -> dict[UUID, ItemFacts]:
    """These posts that are there, by their ids; no share newer than `as_of` counts."""
    rows = database.rows(ITEM_FACTS_SQL, _asked(viewer_id, post_ids, as_of))
    return {row.post_id: ItemFacts(standing_item(row, viewer_id, row.share_id), *row) for row in rows}


def home_rows(viewer_id: UUID, post_ids: Iterable[UUID], as_of: UUID | None) -> dict[UUID, HomeRow]:
    """These posts that are there, hydrated, by their ids; no share newer than `as_of` counts."""
    asked = _asked(viewer_id, post_ids, as_of)
    rows = database.rows(HOME_ROWS_SQL, asked)
    sharers = {row.post_id: Sharer(*row[POST_COLUMNS:]) for row in rows if row.share_id is not None}
    found = {}
    for post_id, post in assembled(asked["ids"], rows, viewer_id).items():
        sharer = sharers.get(post_id)
        standing_id = standing_item(post, viewer_id, sharer.share_id if sharer else None)
        found[post_id] = HomeRow(standing_id, post, sharer)
    return found


def _asked(viewer_id: UUID, post_ids: Iterable[UUID], as_of: UUID | None) -> dict[str, Any]:
    return {"viewer": viewer_id, "ids": list(post_ids), "as_of": as_of, "last": LAST_ID}


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
                item_id=item.standing_id,
                post_id=item.post_id,
                published_at=time_of(item.post_id),
                likes=item.likes,
                comments=item.comments,
                shares=item.shares,
                affinity=affinities.get(item.author_id, OWN_AFFINITY),
            )
            for item in items
            if item.standing_id is not None
        ),
        ranked_at,
    )


def home_items(viewer_id: UUID, skeleton: HomeSkeleton, limit: int) -> Page[ItemFacts]:
    """The newest `limit` items that V may see; candidates that V may not see make room for older ones."""
    return read_home_page(
        skeleton,
        lambda post_ids: item_facts(viewer_id, post_ids, skeleton.as_of),
        after=None,
        limit=limit,
        rounds_max=HOME_ROUNDS_MAX,
    )


def home_recent_ids(viewer_id: UUID, limit: int, from_redis: bool = True) -> list[FeedItem]:
    """The newest `limit` items of V's home feed, newest first; through Redis where the feed is warm, and warming it.

    `from_redis=False` asks PostgreSQL alone, and warms nothing.
    """
    rows = home_items(viewer_id, HomeSkeleton(viewer_id, from_redis=from_redis), limit).rows
    return [FeedItem(row.standing_id, row.post_id) for row in rows if row.standing_id is not None]


def home_ranked_ids(viewer_id: UUID, limit: int, ranked_at: int) -> list[FeedItem]:
    """The newest `limit` items in ranked order at `ranked_at` (microseconds since 1970)."""
    items = home_items(viewer_id, HomeSkeleton(viewer_id), limit).rows
    return [FeedItem(each.item_id, each.post_id) for each in ranked_items(viewer_id, items, ranked_at)]
