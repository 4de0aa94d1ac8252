"""The versions of a post's text, newest first; whether its post may be seen is for the caller.

A text can be read for `history_days` after an edit has replaced it, whether or not the purger was there since.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.profiles.standing import out_of_sight
from shared.environment import environment
from shared.ids import LAST_ID

VERSIONS_SQL: LiteralString = (
    """
select v.version_id, v.content, v.hashtags, v.mentioned_ids, v.written_at,
       (select jsonb_object_agg(m.user_id, m.username)
          from profiles.person m
         where m.user_id = any(v.mentioned_ids) and m.username is not null and not """
    + out_of_sight("m")
    + """
           and not exists (select from profiles.erased e where e.user_id = m.user_id)) as mentioned
  from posts.post_version v
 where v.post_id = %(post)s and v.version_id < coalesce(%(before)s::uuid, %(last)s::uuid)
   and v.content is not null
   and (%(history_days)s = 0
        or not exists (select from posts.post_version newer
                        where newer.post_id = v.post_id and newer.version_id > v.version_id
                          and newer.written_at < now() - make_interval(days => %(history_days)s)))
 order by v.version_id desc limit %(limit)s"""
)


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a text with all that its shape needs."""

    version_id: UUID
    content: str
    hashtags: Sequence[str] | None
    mentioned_ids: Sequence[UUID] | None
    written_at: Any
    mentioned: dict[str, str] | None


def versions(post_id: UUID, viewer_id: UUID | None, before: UUID | None, limit: int) -> list[VersionRow]:
    parameters = {
        "post": post_id, "viewer": viewer_id, "before": before, "last": LAST_ID, "limit": limit,
        "history_days": environment().history_days,
    }  # fmt: skip
    return [VersionRow(*row) for row in database.rows(VERSIONS_SQL, parameters)]
