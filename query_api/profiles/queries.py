"""Profiles as their viewers see them: who somebody is, their counts, and how they and the viewer stand to another."""

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database

PROFILE_SQL: LiteralString = """
select a.user_id, a.username, a.display_name, a.bio, a.avatar_media_id, coalesce(a.private, false) as private,
       a.created_at,
       coalesce(g.followers, 0) as followers, coalesce(g.following, 0) as following, coalesce(n.posts, 0) as posts,
       exists (select from graph.follow f
                where f.follower_id = %(viewer)s::uuid and f.followee_id = a.user_id and f.active) as follows,
       exists (select from graph.follow f
                where f.follower_id = a.user_id and f.followee_id = %(viewer)s::uuid and f.active) as followed_by
  from profiles.person a
  left join graph.person_count g on g.user_id = a.user_id
  left join counters.person_count n on n.user_id = a.user_id
 where a.created_event is not null
   and not exists (select from profiles.erased e where e.user_id = a.user_id)
   and """

BY_ID_SQL: LiteralString = PROFILE_SQL + "a.user_id = %(user)s"
BY_NAME_SQL: LiteralString = PROFILE_SQL + "a.username = %(name)s"


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A person with all that their shape needs."""

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
    followed_by: bool


def profile(name_or_id: str, viewer_id: UUID | None) -> ProfileRow | None:
    """By id, or by username in any case; None when there is nobody, or nobody any more."""
    user_id = _as_id(name_or_id)
    if "\0" in name_or_id:  # PostgreSQL refuses text with it, and no name has one
        return None
    if user_id is not None:
        row = database.row(BY_ID_SQL, {"user": user_id, "viewer": viewer_id})
    else:
        row = database.row(BY_NAME_SQL, {"name": name_or_id.lower(), "viewer": viewer_id})
    return None if row is None else ProfileRow(*row)


def _as_id(text: str) -> UUID | None:
    # A username is at most 30 characters, so nothing is both.
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
