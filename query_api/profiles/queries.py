"""Profiles as their viewers see them: who somebody is, their counts, and how they and the viewer stand to another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.profiles.standing import out_of_sight
from shared.ids import LAST_ID

PROFILE_SQL: LiteralString = (
    """
select a.user_id, a.username, a.display_name, a.bio, a.avatar_media_id, coalesce(a.private, false) as private,
       a.created_at,
       coalesce(g.followers, 0) as followers, coalesce(g.following, 0) as following, coalesce(n.posts, 0) as posts,
       coalesce(own.counted, false) as follows, coalesce(own.requested, false) as requested,
       exists (select from graph.relation f
                where f.from_id = a.user_id and f.to_id = %(viewer)s::uuid and f.counted) as followed_by,
       coalesce(own.blocks, false) as blocks, coalesce(own.mutes, false) as mutes,
       coalesce(own.blocks or own.blocked_by, false) or """
    + out_of_sight("a")
    + """ as hidden
  from profiles.person a
  left join graph.relation own on own.from_id = %(viewer)s::uuid and own.to_id = a.user_id
  left join graph.person_count g on g.user_id = a.user_id
  left join counters.person_count n on n.user_id = a.user_id
 where a.created_event is not null
   and not exists (select from profiles.erased e where e.user_id = a.user_id)
   and """
)

BY_ID_SQL: LiteralString = PROFILE_SQL + "a.user_id = %(user)s"
BY_NAME_SQL: LiteralString = PROFILE_SQL + "a.username = %(name)s"
BY_IDS_SQL: LiteralString = PROFILE_SQL + "a.user_id = any(%(users)s::uuid[])"

FOLLOWERS_SQL: LiteralString = """
select follow_event, from_id as user_id from graph.relation
 where to_id = %(user)s and follows and counted and follow_event < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by follow_event desc limit %(limit)s"""
FOLLOWING_SQL: LiteralString = """
select follow_event, to_id as user_id from graph.relation
 where from_id = %(user)s and follows and counted and follow_event < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by follow_event desc limit %(limit)s"""


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A person with all that their shape needs. `hidden`: they or the viewer block the other, or they are away."""

    user_id: UUID
    username: str
    display_name: str | None
    bio: str | None
    avatar_media_id: UUID | None
    private: bool
    created_at: Any
    followers: int
    following: int
    posts: int
    follows: bool
    requested: bool
    followed_by: bool
    blocks: bool
    mutes: bool
    hidden: bool


def profile(name_or_id: str, viewer_id: UUID | None) -> ProfileRow | None:
    """By id, or by username in any case; None when there is nobody, or nobody any more, or not for this viewer."""
    user_id = _as_id(name_or_id)
    if "\0" in name_or_id:  # PostgreSQL refuses text with it, and no name has one
        return None
    if user_id is not None:
        row = database.row(BY_ID_SQL, {"user": user_id, "viewer": viewer_id})
    else:
        row = database.row(BY_NAME_SQL, {"name": name_or_id.lower(), "viewer": viewer_id})
    return None if row is None or row.hidden else ProfileRow(*row)


class FollowList:
    """Somebody's followers, or those they follow, by the event of the follow, newest first."""

    def __init__(self, statement: LiteralString, user_id: UUID, viewer_id: UUID | None) -> None:
        self._statement = statement
        self._user_id = user_id
        self._viewer_id = viewer_id
        self._people: dict[UUID, UUID] = {}  # event -> person, of what was listed so far

    def skeleton(self, before: UUID | None, limit: int) -> list[UUID]:
        parameters = {"user": self._user_id, "before": before, "last": LAST_ID, "limit": limit}
        found = database.rows(self._statement, parameters)
        self._people.update((row.follow_event, row.user_id) for row in found)
        return [row.follow_event for row in found]

    def hydrate(self, events: Sequence[UUID]) -> dict[UUID, ProfileRow]:
        """The people behind these follows who are there and not hidden from the viewer, by event."""
        users = [self._people[event] for event in events]
        found = database.rows(BY_IDS_SQL, {"users": users, "viewer": self._viewer_id})
        there = {row.user_id: ProfileRow(*row) for row in found if not row.hidden}
        return {event: there[self._people[event]] for event in events if self._people[event] in there}


def _as_id(text: str) -> UUID | None:
    # A username is at most 30 characters, so nothing is both.
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
