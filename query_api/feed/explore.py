"""Explore: the newest public posts of a week by people whom the viewer does not know yet, ranked; and posts by hashtag.

The order of a paging session is frozen when it begins, as that of the ranked home feed is.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.feed.ranking import MILLION, Candidate, engagement, rank, ranked_order
from query_api.feed.sessions import Frozen, freeze, new_session, thaw
from query_api.pipeline import read_page
from query_api.posts.queries import FACTS_SQL, PRESENT_SQL, PostRow, hydrate
from query_api.posts.rules import PostFacts, is_public_item
from shared.environment import environment
from shared.errors import Gone
from shared.ids import LAST_ID, mint, time_of

DAYS = 7
MICROS_PER_DAY = 86_400_000_000
ROUNDS_MAX = 1000  # the newest 400 are to be 400, however much in between may not be seen

# Which of the two ways to read is the shorter one, the newest posts or those with the hashtag, depends on the hashtag.
TAGGED_SQL: LiteralString = """
select post_id from posts.post
 where visibility = 'public' and hashtags @> array[%(hashtag)s]::text[] and created_event is not null
   and post_id < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by post_id desc limit %(limit)s"""

# Those whom V follows are left out here already: else a reader who follows most of those who write would look at
# everything that they wrote in a week. Who mutes V is known here alone.
EXPLORE_SQL: LiteralString = """
select p.post_id from posts.post p
 where p.visibility = 'public' and p.created_event is not null
   and (%(hashtag)s::text is null or p.hashtags @> array[%(hashtag)s]::text[])
   and p.post_id < coalesce(%(before)s::uuid, %(last)s::uuid) and p.post_id >= %(since)s
   and p.author_id is distinct from %(viewer)s::uuid
   and not exists (select from graph.relation r
                    where r.from_id = %(viewer)s::uuid and r.to_id = p.author_id and (r.counted or r.mutes))
   and not exists (select from graph.relation r
                    where r.from_id = p.author_id and r.to_id = %(viewer)s::uuid and r.mutes)
 order by p.post_id desc limit %(limit)s"""

EXPLORE_FACTS_SQL: LiteralString = (
    """
select p.post_id, p.author_id,"""
    + FACTS_SQL
    + """,
       coalesce(c.likes, 0) as likes, coalesce(c.comments, 0) as comments, coalesce(c.shares, 0) as shares
  from unnest(%(ids)s::uuid[]) as w (id)"""
    + PRESENT_SQL
)


@dataclass(frozen=True)
class ExplorePlace:
    """Where a paging session has got to in its frozen order; `ranked_at` is when it began, in microseconds."""

    ranked_at: int
    session_id: str
    offset: int

    @classmethod
    def load(cls, value: Sequence[Any]) -> "ExplorePlace":
        ranked_at, session_id, offset = value
        return cls(int(ranked_at), str(session_id), int(offset))

    def dump(self) -> list[object]:
        return [self.ranked_at, self.session_id, self.offset]


@dataclass(frozen=True)
class ExplorePage:
    """Posts in order, and where the next page begins; None after the last one."""

    rows: list[PostRow]
    following: ExplorePlace | None


def tagged_ids(hashtag: str, before: UUID | None, limit: int) -> list[UUID]:
    """Public posts with a folded hashtag, newest first; no rules applied."""
    parameters = {"hashtag": hashtag, "before": before, "last": LAST_ID, "limit": limit}
    return [row.post_id for row in database.rows(TAGGED_SQL, parameters, prepare=False)]


def is_explore_item(post: PostFacts, viewer_id: UUID | None) -> bool:
    """A public post by somebody whom V neither follows nor mutes."""
    return is_public_item(post, viewer_id) and not post.follows_author and not post.muted


def explore_ids(viewer_id: UUID | None, hashtag: str | None, ranked_at: int) -> list[UUID]:
    """The posts of a session that begins at `ranked_at` (microseconds since 1970), best first."""
    return [UUID(each.post_id) for each in _order(viewer_id, hashtag, ranked_at).order]


def first_explore_page(viewer_id: UUID | None, hashtag: str | None, ranked_at: int, limit: int) -> ExplorePage:
    """Begins a session."""
    frozen = _order(viewer_id, hashtag, ranked_at)
    session_id = new_session()
    if len(frozen.order) > limit:
        # Without Redis the next page has nothing to go on with, and says so.
        with contextlib.suppress(Gone):
            freeze(session_id, frozen)
    return _page(viewer_id, frozen, ExplorePlace(ranked_at, session_id, 0), limit)


def next_explore_page(viewer_id: UUID | None, place: ExplorePlace, limit: int) -> ExplorePage:
    """Goes on with a session. Raises Gone when its frozen order is lost."""
    return _page(viewer_id, thaw(place.session_id), place, limit)


def _order(viewer_id: UUID | None, hashtag: str | None, ranked_at: int) -> Frozen:
    since = mint(ranked_at - DAYS * MICROS_PER_DAY, random=bytes(8))

    def skeleton(before: UUID | None, limit: int) -> list[UUID]:
        parameters = {
            "viewer": viewer_id, "hashtag": hashtag, "before": before, "last": LAST_ID, "since": since, "limit": limit
        }  # fmt: skip
        return [row.post_id for row in database.rows(EXPLORE_SQL, parameters, prepare=False)]

    def facts(ids: Sequence[UUID]) -> dict[UUID, Any]:
        found = database.rows(EXPLORE_FACTS_SQL, {"ids": list(ids), "viewer": viewer_id})
        return {row.post_id: row for row in found}

    newest = read_page(
        skeleton,
        facts,
        lambda row: is_explore_item(row, viewer_id),
        after=None,
        limit=environment().ranked_items_max,
        rounds_max=ROUNDS_MAX,
    )
    order = ranked_order(
        (
            Candidate(
                standing_id=row.post_id.hex,
                post_id=row.post_id.hex,
                published_at=time_of(row.post_id),
                engagement=engagement(row.likes, row.comments, row.shares),
                affinity=1.0,
                moderation=row.moderation_score / MILLION,
            )
            for row in newest.rows
        ),
        ranked_at,
    )
    return Frozen(
        [rank(each, ranked_at) for each in order], shown=frozenset(), lowest="", beyond=False, pushed=frozenset()
    )


def _page(viewer_id: UUID | None, frozen: Frozen, place: ExplorePlace, limit: int) -> ExplorePage:
    """What has vanished since the session began is left out, and the page filled up from what follows."""
    rows: list[PostRow] = []
    offset = place.offset
    while len(rows) < limit and offset < len(frozen.order):
        slice_ = frozen.order[offset : offset + limit - len(rows)]
        offset += len(slice_)
        ids = [UUID(each.post_id) for each in slice_]
        found = hydrate(ids, viewer_id)
        rows += [found[each] for each in ids if each in found and is_explore_item(found[each], viewer_id)]
    more = offset < len(frozen.order)
    return ExplorePage(rows, ExplorePlace(place.ranked_at, place.session_id, offset) if more else None)
