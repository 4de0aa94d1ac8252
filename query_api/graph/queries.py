"""One's own blocks, mutes and requests to be followed, each with whom it concerns, newest first.

Only here are people shown whom their viewer blocks: nowhere else could a block be found again to be lifted. A mute or a
request within a blocked pair is not shown, like everything else of the pair; nor is whoever is away, until they return.
"""

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.pipeline import Page
from query_api.profiles.standing import away
from shared.ids import LAST_ID

# `f` is the row of the pair; a block shows in the rows of both.
CARD_SQL: LiteralString = "a.user_id as author_id, a.username, a.display_name, a.avatar_media_id"
PERSON_THERE_SQL: LiteralString = (
    " and a.created_event is not null and not "
    + away("a")
    + """
   and not exists (select from graph.erased e where e.user_id = a.user_id)
   and not exists (select from profiles.erased e where e.user_id = a.user_id)"""
)

BLOCKS_SQL: LiteralString = (
    "select f.block_event as event_id, f.blocked_at as since, "
    + CARD_SQL
    + """
  from graph.relation f
  join profiles.person a on a.user_id = f.to_id
 where f.from_id = %(user)s and f.blocks and f.block_event < coalesce(%(before)s::uuid, %(last)s::uuid)"""
    + PERSON_THERE_SQL
    + """
 order by f.block_event desc limit %(limit)s"""
)

MUTES_SQL: LiteralString = (
    "select f.mute_event as event_id, f.muted_at as since, "
    + CARD_SQL
    + """
  from graph.relation f
  join profiles.person a on a.user_id = f.to_id
 where f.from_id = %(user)s and f.mutes and f.mute_event < coalesce(%(before)s::uuid, %(last)s::uuid)
   and (f.blocks or f.blocked_by) is not true"""
    + PERSON_THERE_SQL
    + """
 order by f.mute_event desc limit %(limit)s"""
)

REQUESTS_SQL: LiteralString = (
    "select f.request_event as event_id, f.requested_at as since, "
    + CARD_SQL
    + """
  from graph.relation f
  join profiles.person a on a.user_id = f.from_id
 where f.to_id = %(user)s and f.requested and f.request_event < coalesce(%(before)s::uuid, %(last)s::uuid)
   and (f.blocks or f.blocked_by) is not true"""
    + PERSON_THERE_SQL
    + """
 order by f.request_event desc limit %(limit)s"""
)


@dataclass(frozen=True, slots=True)
class RelationRow:
    """Somebody, and since when and by which event they are in the list."""

    event_id: UUID
    since: Any
    author_id: UUID
    username: str
    display_name: str | None
    avatar_media_id: UUID | None


def blocks_of(user_id: UUID, before: UUID | None, limit: int) -> Page[RelationRow]:
    """Whom the user blocks."""
    return _page(BLOCKS_SQL, user_id, before, limit)


def mutes_of(user_id: UUID, before: UUID | None, limit: int) -> Page[RelationRow]:
    """Whom the user mutes."""
    return _page(MUTES_SQL, user_id, before, limit)


def asking(user_id: UUID, before: UUID | None, limit: int) -> Page[RelationRow]:
    """Who waits for the user's approval."""
    return _page(REQUESTS_SQL, user_id, before, limit)


def _page(statement: LiteralString, user_id: UUID, before: UUID | None, limit: int) -> Page[RelationRow]:
    parameters = {"user": user_id, "before": before, "last": LAST_ID, "limit": limit + 1}
    rows = [RelationRow(*row) for row in database.rows(statement, parameters)]
    return Page(rows[:limit], rows[limit - 1].event_id if len(rows) > limit else None)
