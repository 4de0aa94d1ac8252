"""The items of a home feed that its reader may see, newest first or ranked, by the path that every page takes.

Each post stands once, at its newest item (feed/rules.py). The newest share that counts for V is looked up beside the
post's other facts, so that it is placed there whatever the candidates were (feed/placing.py).
`home_recent_ids` answers what a page of `sort=recent` would, by the same path and without HTTP.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.feed.home import HomeSkeleton
from query_api.feed.placing import HomeItems, read_home_page
from query_api.feed.ranking import Candidate, ranked_order
from query_api.feed.rules import standing_item
from query_api.feed.sharing import NEWEST_SHARE_AND_SHARER_SQL
from query_api.feed.standings import standings
from query_api.posts.queries import HYDRATE_SQL, POST_COLUMNS, PostRow, assembled
from shared.feed_item import FeedItem
from shared.ids import LAST_ID, datetime_of, day_of, time_of

HOME_ROWS_SQL: LiteralString = (
    """
select h.*, n.share_id, n.sharer_id, n.sharer_username, n.sharer_display_name, n.sharer_avatar_media_id
  from ("""
    + HYDRATE_SQL
    + ") h"
    + NEWEST_SHARE_AND_SHARER_SQL
)

HOME_ROUNDS_MAX = 1000  # the newest 400 are to be 400, however much in between may not be seen


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

    standing_id: str | None
    post: PostRow
    sharer: Sharer | None

    @property
    def via(self) -> Sharer | None:
        """Who shared it, where it stands at a share."""
        return self.sharer if self.sharer is not None and self.sharer.share_id.hex == self.standing_id else None

    @property
    def at(self) -> Any:
        return self.post.created_at if self.via is None else datetime_of(time_of(self.via.share_id))


def home_rows(viewer_id: UUID, posts: Collection[str], as_of: str | None) -> dict[str, HomeRow]:
    """These posts that are there, hydrated, by their ids' digits; no share newer than `as_of` counts."""
    post_ids = [UUID(hex=post) for post in posts]
    asked = {"viewer": viewer_id, "ids": database.array(posts), "as_of": as_of, "last": LAST_ID}
    rows = database.rows(HOME_ROWS_SQL, asked)
    sharers = {row.post_id: Sharer(*row[POST_COLUMNS:]) for row in rows if row.share_id is not None}
    found = {}
    for post_id, post in assembled(post_ids, rows, viewer_id).items():
        sharer = sharers.get(post_id)
        standing_id = standing_item(post, viewer_id, sharer.share_id if sharer else None)
        found[post_id.hex] = HomeRow(standing_id.hex if standing_id else None, post, sharer)
    return found


def home_items(
    viewer_id: UUID,
    skeleton: HomeSkeleton,
    limit: int,
    *,
    after: str | None = None,
    ranked_day: int = 0,
    fresh: bool = False,
    admitting: bool = False,
) -> HomeItems[Candidate]:
    """The newest `limit` items that V may see, with what ranks them on that UTC day; candidates that V may not see make
    room for older ones.

    `admitting`: raises Unauthenticated when there are candidates and V is erased, away, or nobody.
    """
    return read_home_page(
        skeleton,
        lambda posts: skeleton.kept(
            standings(
                viewer_id,
                posts,
                skeleton.as_of,
                skeleton.shared,
                ranked_day=ranked_day,
                fresh=fresh,
                admitting=admitting,
            )
        ),
        after=after,
        limit=limit,
        rounds_max=HOME_ROUNDS_MAX,
    )


def home_recent_ids(
    viewer_id: UUID, limit: int, from_redis: bool = True, skeleton: HomeSkeleton | None = None
) -> list[FeedItem]:
    """The newest `limit` items of V's home feed, newest first; through Redis where the feed is warm, and warming it.

    `from_redis=False` asks PostgreSQL alone, and warms nothing. A given `skeleton` tells afterwards what answered.
    """
    skeleton = skeleton or HomeSkeleton(viewer_id, from_redis=from_redis)
    rows = home_items(viewer_id, skeleton, limit, fresh=True).rows
    return _as_ids((row.standing_id, row.post_id) for row in rows)


def home_ranked_ids(viewer_id: UUID, limit: int, ranked_at: int) -> list[FeedItem]:
    """The newest `limit` items in ranked order at `ranked_at` (microseconds since 1970), with what is known now."""
    items = home_items(viewer_id, HomeSkeleton(viewer_id), limit, ranked_day=day_of(ranked_at), fresh=True).rows
    return _as_ids((each.standing_id, each.post_id) for each in ranked_order(items, ranked_at))


def _as_ids(items: Iterable[tuple[str | None, str]]) -> list[FeedItem]:
    return [FeedItem(UUID(hex=item), UUID(hex=post)) for item, post in items if item is not None]
