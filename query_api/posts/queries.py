"""Posts as their viewers see them: one statement brings posts, authors, counts, the viewer's flags, the rules' facts.

Rows of erased people and of deleted posts are left out in every statement, and so are posts whose author is not there.
"""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from msgspec.structs import fields, replace

from query_api import database
from query_api.posts.rules import may_see
from query_api.profiles.standing import away, out_of_sight
from shared.ids import LAST_ID

# Facts that decide who may see a post. `p` is the post, `a` its author, `own` what the viewer is to them.
FACTS_SQL: LiteralString = (
    """
       p.visibility, coalesce(a.private, false) as author_private, p.reply_to_id, p.reply_to_author_id,
       coalesce(own.counted, false) as follows_author, coalesce(own.blocks or own.blocked_by, false) as hidden,
       coalesce(own.mutes, false) as muted,
       p.reply_to_author_id is not null
           and exists (select from graph.relation f
                        where f.from_id = %(viewer)s::uuid and f.to_id = p.reply_to_author_id and f.counted)
           and not exists (select from graph.erased e where e.user_id = p.reply_to_author_id) as follows_replied_to,
       p.moderation, coalesce(p.moderation_score, 0) as moderation_score, """
    + away("a")
    + " as author_away"
)

PRESENT_SQL: LiteralString = """
  join posts.post p on p.post_id = w.id and p.created_event is not null and p.content_event is not null
  join profiles.person a on a.user_id = p.author_id and a.created_event is not null
  left join graph.relation own on own.from_id = %(viewer)s::uuid and own.to_id = p.author_id
  left join counters.post_count c on c.post_id = p.post_id
 where not exists (select from posts.gone g where g.post_id = p.post_id)
   and not exists (select from posts.erased e where e.user_id = p.author_id)
   and not exists (select from profiles.erased e where e.user_id = p.author_id)"""

HYDRATE_SQL: LiteralString = (
    """
with wanted as (
    select id from unnest(%(ids)s::uuid[]) as asked (id)
    union
    select quote_of_id from posts.post where post_id = any(%(ids)s::uuid[]) and quote_of_id is not null)
select p.post_id, p.author_id, a.username, a.display_name, a.avatar_media_id, p.content, p.language, p.hashtags,
       p.media_ids, p.mentioned_ids, p.quote_of_id, p.created_at, p.edited_at, p.content_event,
       case when cardinality(p.mentioned_ids) > 0 then (select jsonb_object_agg(m.user_id, m.username)
          from profiles.person m
         where m.user_id = any(p.mentioned_ids) and m.username is not null and not """
    + out_of_sight("m")
    + """
           and not exists (select from profiles.erased e where e.user_id = m.user_id)) end as mentioned,
       coalesce(c.likes, 0) as likes, coalesce(c.comments, 0) as comments, coalesce(c.shares, 0) as shares,
       coalesce(c.quotes, 0) as quotes,
       case when c.likes > 0 then (
           select jsonb_object_agg(r.reaction, r.n)
             from counters.reaction_count r where r.post_id = p.post_id and r.n > 0) end as reactions,
       (select r.reaction from counters.reaction r
         where r.post_id = p.post_id and r.actor_id = %(viewer)s::uuid and r.active) as liked,
       exists (select from counters.bookmark b
                where b.actor_id = %(viewer)s::uuid and b.post_id = p.post_id and b.active) as bookmarked,
       exists (select from counters.share s
                where s.post_id = p.post_id and s.actor_id = %(viewer)s::uuid and s.active) as shared,"""
    + FACTS_SQL
    + """
  from wanted w"""
    + PRESENT_SQL
)

AUTHORED_SQL: LiteralString = """
select post_id from posts.post
 where author_id = %(author)s and created_event is not null and post_id < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by post_id desc limit %(limit)s"""

PUBLIC_SQL: LiteralString = """
select post_id from posts.post
 where visibility = 'public' and created_event is not null and post_id < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by post_id desc limit %(limit)s"""


class PostRow(msgspec.Struct, frozen=True, gc=False):
    """A post with all that its shape and the rules need. `quoted` is the quoted post, if it is there to be seen."""

    post_id: UUID
    author_id: UUID
    username: str
    display_name: str | None
    avatar_media_id: UUID | None
    content: str
    language: str | None
    hashtags: Sequence[str] | None
    media_ids: Sequence[UUID] | None
    mentioned_ids: Sequence[UUID] | None
    quote_of_id: UUID | None
    created_at: Any
    edited_at: Any | None
    content_event: UUID
    mentioned: dict[str, str] | None
    likes: int
    comments: int
    shares: int
    quotes: int
    reactions: dict[str, int] | None
    liked: str | None
    bookmarked: bool
    shared: bool
    visibility: str
    author_private: bool
    reply_to_id: UUID | None
    reply_to_author_id: UUID | None
    follows_author: bool
    hidden: bool
    muted: bool
    follows_replied_to: bool
    moderation: str | None
    moderation_score: int
    author_away: bool
    quoted: "PostRow | None" = None


POST_COLUMNS = len(fields(PostRow)) - 1  # all but `quoted`


def hydrate(ids: Sequence[UUID], viewer_id: UUID | None) -> dict[UUID, PostRow]:
    """The posts that are there, by id; whether the viewer may see them is for the rules. Quoted ones come ruled."""
    return assembled(ids, database.rows(HYDRATE_SQL, {"ids": list(ids), "viewer": viewer_id}), viewer_id)


def assembled(ids: Sequence[UUID], rows: Sequence[Any], viewer_id: UUID | None) -> dict[UUID, PostRow]:
    """The posts of rows that begin with the columns of HYDRATE_SQL, the quoted ones in those that quote them."""
    found = {row.post_id: row for row in rows}
    answer = {}
    for each in ids:
        row = found.get(each)
        if row is not None:
            quoted = found.get(row.quote_of_id)
            seen = _post_of(quoted) if quoted is not None and may_see(quoted, viewer_id) else None
            post = _post_of(row)
            answer[each] = post if seen is None else replace(post, quoted=seen)
    return answer


def _post_of(row: Any) -> PostRow:
    return PostRow(*row[:POST_COLUMNS])


def visible_post(post_id: UUID, viewer_id: UUID | None) -> PostRow | None:
    """The post, or None when there is none or the viewer may not see it: the two look the same from outside."""
    row = hydrate([post_id], viewer_id).get(post_id)
    return row if row is not None and may_see(row, viewer_id) else None


def authored_ids(author_id: UUID, before: UUID | None, limit: int) -> list[UUID]:
    """One person's posts, newest first; no rules applied."""
    found = database.rows(
        AUTHORED_SQL, {"author": author_id, "before": before, "last": LAST_ID, "limit": limit}
    )  # fmt: skip
    return [row.post_id for row in found]


def public_ids(before: UUID | None, limit: int) -> list[UUID]:
    """Public posts of everybody, newest first; no rules applied."""
    return [row.post_id for row in database.rows(PUBLIC_SQL, {"before": before, "last": LAST_ID, "limit": limit})]
