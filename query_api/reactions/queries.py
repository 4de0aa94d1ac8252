"""Who reacted to a post, who shared it, and what somebody keeps: each by the event that did it, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.posts.queries import PostRow, hydrate
from query_api.posts.rules import may_see
from query_api.profiles.standing import out_of_sight
from shared.ids import LAST_ID, datetime_of, time_of

REACTIONS_SQL: LiteralString = """
select edge_event from counters.reaction
 where post_id = %(post)s and active and edge_event < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by edge_event desc limit %(limit)s"""

REACTORS_SQL: LiteralString = (
    """
select r.edge_event, r.actor_id as author_id, r.reaction, a.username, a.display_name, a.avatar_media_id
  from counters.reaction r
  join profiles.person a on a.user_id = r.actor_id and a.created_event is not null
  left join graph.relation own on own.from_id = %(viewer)s::uuid and own.to_id = r.actor_id
 where r.post_id = %(post)s and r.active and r.edge_event = any(%(events)s::uuid[])
   and (own.blocks or own.blocked_by) is not true and not """
    + out_of_sight("a")
    + """
   and not exists (select from counters.erased e where e.user_id = r.actor_id)
   and not exists (select from profiles.erased e where e.user_id = r.actor_id)"""
)

SHARES_SQL: LiteralString = """
select share_id from counters.share
 where post_id = %(post)s and active and share_id < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by share_id desc limit %(limit)s"""

SHARERS_SQL: LiteralString = (
    """
select s.share_id, s.actor_id as author_id, a.username, a.display_name, a.avatar_media_id
  from counters.share s
  join profiles.person a on a.user_id = s.actor_id and a.created_event is not null
  left join graph.relation own on own.from_id = %(viewer)s::uuid and own.to_id = s.actor_id
 where s.post_id = %(post)s and s.active and s.share_id = any(%(shares)s::uuid[])
   and (own.blocks or own.blocked_by) is not true and not """
    + out_of_sight("a")
    + """
   and not exists (select from counters.erased e where e.user_id = s.actor_id)
   and not exists (select from profiles.erased e where e.user_id = s.actor_id)"""
)

BOOKMARKS_SQL: LiteralString = """
select edge_event from counters.bookmark
 where actor_id = %(actor)s and active and edge_event < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by edge_event desc limit %(limit)s"""

KEPT_SQL: LiteralString = """
select edge_event, post_id from counters.bookmark
 where actor_id = %(actor)s and active and edge_event = any(%(events)s::uuid[])"""


@dataclass(frozen=True, slots=True)
class ReactionRow:
    """One person's reaction; they are there."""

    event_id: UUID
    author_id: UUID
    reaction: str
    username: str
    display_name: str | None
    avatar_media_id: UUID | None

    @property
    def at(self) -> Any:
        return datetime_of(time_of(self.event_id))


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One person's share; they are there."""

    share_id: UUID
    author_id: UUID
    username: str
    display_name: str | None
    avatar_media_id: UUID | None

    @property
    def at(self) -> Any:
        return datetime_of(time_of(self.share_id))


@dataclass(frozen=True, slots=True)
class BookmarkRow:
    """A post that somebody keeps; `post` is None when it is not, or not for them, to be seen."""

    post_id: UUID
    post: PostRow | None


def newest_reactions(post_id: UUID, before: UUID | None, limit: int) -> list[UUID]:
    """The events of a post's active reactions, newest first."""
    found = database.rows(REACTIONS_SQL, {"post": post_id, "before": before, "last": LAST_ID, "limit": limit})
    return [row.edge_event for row in found]


def reactions(post_id: UUID, events: Sequence[UUID], viewer_id: UUID | None) -> dict[UUID, ReactionRow]:
    """These reactions by event, without those of people who are not there, or away, or hidden from the viewer."""
    found = database.rows(REACTORS_SQL, {"post": post_id, "events": list(events), "viewer": viewer_id})
    return {row.edge_event: ReactionRow(*row) for row in found}


def newest_shares(post_id: UUID, before: UUID | None, limit: int) -> list[UUID]:
    """A post's active shares, newest first."""
    found = database.rows(SHARES_SQL, {"post": post_id, "before": before, "last": LAST_ID, "limit": limit})
    return [row.share_id for row in found]


def shares(post_id: UUID, share_ids: Sequence[UUID], viewer_id: UUID | None) -> dict[UUID, ShareRow]:
    """These shares by id, without those of people who are not there, or away, or hidden from the viewer."""
    found = database.rows(SHARERS_SQL, {"post": post_id, "shares": list(share_ids), "viewer": viewer_id})
    return {row.share_id: ShareRow(*row) for row in found}


def newest_bookmarks(actor_id: UUID, before: UUID | None, limit: int) -> list[UUID]:
    """The events of somebody's active bookmarks, newest first."""
    found = database.rows(BOOKMARKS_SQL, {"actor": actor_id, "before": before, "last": LAST_ID, "limit": limit})
    return [row.edge_event for row in found]


def bookmarks(actor_id: UUID, events: Sequence[UUID]) -> dict[UUID, BookmarkRow]:
    """These bookmarks by event, each with its post where they may see it."""
    kept = {row.edge_event: row.post_id for row in database.rows(KEPT_SQL, {"actor": actor_id, "events": list(events)})}
    found = hydrate(list(kept.values()), actor_id)
    seen = {post_id: row for post_id, row in found.items() if may_see(row, actor_id)}
    return {event_id: BookmarkRow(post_id, seen.get(post_id)) for event_id, post_id in kept.items()}
