"""Comments as their readers see them, flat or as a tree; one that is deleted shows as removed above what answers it.

A comment is there when it was added, its author is not erased and is known, and its post is not gone. It is live unless
it was deleted, its author is away, its author and the reader are hidden from each other, or moderators keep it from the
reader; one that is not live is shown, as removed, while something live hangs below it, be it through others that are
not. A parent of which nothing is left at all stands as removed at the top of the tree. Comments are listed oldest
first, so that what is added while somebody pages comes after what they have read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.profiles.standing import out_of_sight
from shared.ids import NIL

DESCENDANTS_MAX = 500
DEPTH_MAX = 32

# Which comments are there; `c` is the comment. Its author is looked up by a subquery that answers a value: under an
# `or`, `exists` has the planner read all people there are.
NOT_ERASED_SQL: LiteralString = """
       c.created_event is not null
   and not exists (select from posts.erased e where e.user_id = c.author_id)
   and not exists (select from profiles.erased e where e.user_id = c.author_id)"""

THERE_SQL: LiteralString = (
    NOT_ERASED_SQL
    + """
   and (select a.created_event is not null from profiles.person a where a.user_id = c.author_id)"""
)

# Moderators keep `c` from the reader: what they hide, from all but its author, what they hold or remove, from all.
WITHHELD_SQL: LiteralString = """
       (c.moderation is not null
        and not (c.moderation = 'hidden' and c.author_id is not distinct from %(viewer)s::uuid))"""

LIVE_SQL: LiteralString = (
    """c.content_event is not null and c.deleted_event is null
   and c.author_id not in (select user_id from hidden) and not """
    + WITHHELD_SQL
    + " and "
    + NOT_ERASED_SQL
    + """
   and (select a.created_event is not null and not """
    + out_of_sight("a")
    + """
          from profiles.person a where a.user_id = c.author_id)"""
)

# Whom the reader and others hide from each other; the comments of a post that are there and not live; and those of them
# that are shown: what something live answers, and upwards from there.
REMOVED_SQL: LiteralString = (
    """
hidden (user_id) as materialized (
    select to_id from graph.relation where from_id = %(viewer)s::uuid and (blocks or blocked_by)),
missing (comment_id, parent_id, post_id) as materialized (
    select c.comment_id, c.parent_id, c.post_id from posts.comment c
     where c.post_id = (select post_id from place) and c.deleted_event is not null and """
    + THERE_SQL
    + """
    union
    select c.comment_id, c.parent_id, c.post_id from posts.comment c
     where c.post_id = (select post_id from place) and """
    + WITHHELD_SQL
    + " and "
    + THERE_SQL
    + """
    union
    select c.comment_id, c.parent_id, c.post_id from posts.comment c
      join profiles.person a on a.user_id = c.author_id
     where c.post_id = (select post_id from place) and (a.deactivated or a.suspended or a.erase_after is not null)
       and a.user_id is distinct from %(viewer)s::uuid and """
    + THERE_SQL
    + """
    union
    select c.comment_id, c.parent_id, c.post_id from hidden h
      join posts.comment c on c.author_id = h.user_id
     where c.post_id = (select post_id from place) and """
    + THERE_SQL
    + """),
removed (comment_id, parent_id) as (
    select m.comment_id, m.parent_id from missing m
     where exists (select from posts.comment reply
                    where reply.parent_id = m.comment_id and reply.post_id = m.post_id and """
    + LIVE_SQL.replace("c.", "reply.")
    + """)
    union
    select m.comment_id, m.parent_id from removed below
      join missing m on m.comment_id = below.parent_id)"""
)

OF_POST_SQL: LiteralString = "with recursive place as (select %(post)s::uuid as post_id)," + REMOVED_SQL

COLUMNS_SQL: LiteralString = (
    """
select c.comment_id, c.post_id, c.parent_id, c.author_id, a.username, a.display_name, a.avatar_media_id, c.content,
       c.mentioned_ids, c.created_at, c.edited_at,
       (select jsonb_object_agg(m.user_id, m.username)
          from profiles.person m
         where m.user_id = any(c.mentioned_ids) and m.username is not null and not """
    + out_of_sight("m")
    + """
           and not exists (select from profiles.erased e where e.user_id = m.user_id)) as mentioned,
       coalesce(n.likes, 0) as likes, coalesce(n.replies, 0) as replies,
       c.deleted_event is not null or c.author_id in (select user_id from hidden) or """
    + WITHHELD_SQL
    + " or "
    + out_of_sight("a")
    + """ as removed
  from posts.comment c
  join profiles.person a on a.user_id = c.author_id
  left join counters.comment_count n on n.comment_id = c.comment_id
"""
)

SHOWN_SQL: LiteralString = "(" + LIVE_SQL + " or c.comment_id in (select comment_id from removed))"

ONE_SQL: LiteralString = (
    "with recursive place as (select post_id from posts.comment where comment_id = %(id)s),"
    + REMOVED_SQL
    + COLUMNS_SQL
    + " where c.comment_id = %(id)s and "
    + SHOWN_SQL
)

FLAT_SQL: LiteralString = (
    OF_POST_SQL
    + COLUMNS_SQL
    + " where c.post_id = %(post)s and c.comment_id > %(after)s and "
    + SHOWN_SQL
    + " order by c.comment_id limit %(limit)s"
)

REPLIES_SQL: LiteralString = (
    OF_POST_SQL
    + COLUMNS_SQL
    + " where c.post_id = %(post)s and c.parent_id = %(parent)s and c.comment_id > %(after)s and "
    + SHOWN_SQL
    + " order by c.comment_id limit %(limit)s"
)

# Roots are the shown comments without a parent, and the parents of shown ones of which nothing is left.
ROOTS_SQL: LiteralString = (
    OF_POST_SQL
    + """
select root_id from (
    (select c.comment_id as root_id from posts.comment c
      where c.post_id = %(post)s and c.comment_id > %(after)s and c.parent_id is null and """
    + SHOWN_SQL
    + """
      order by c.comment_id limit %(limit)s)
    union all
    (select distinct c.parent_id from posts.comment c
      where c.post_id = %(post)s and c.parent_id > %(after)s and """
    + SHOWN_SQL
    + """
        and not exists (select from posts.comment parent
                         where parent.comment_id = c.parent_id and parent.post_id = c.post_id and """
    + THERE_SQL.replace("c.", "parent.")
    + """)
      order by c.parent_id limit %(limit)s)
) as roots order by root_id limit %(limit)s"""
)

# Breadth first, so that what is cut off where a tree is too large is its deepest part.
TREE_SQL: LiteralString = (
    OF_POST_SQL
    + """
, below (comment_id, depth) as (
    select id, 0 from unnest(%(roots)s::uuid[]) as r (id)
    union all
    select c.comment_id, below.depth + 1 from below
      join posts.comment c on c.post_id = %(post)s and c.parent_id = below.comment_id
     where below.depth < %(depth)s and """
    + SHOWN_SQL
    + """)
, nearest as (select comment_id, depth from below order by depth, comment_id limit %(nodes)s)
"""
    + COLUMNS_SQL
    + " join nearest on nearest.comment_id = c.comment_id where c.post_id = %(post)s and "
    + SHOWN_SQL
    + " order by c.comment_id"
)


@dataclass(frozen=True, slots=True)
class CommentRow:
    """A comment with all that its shape needs; of a `removed` one only its place in the tree is shown."""

    comment_id: UUID
    post_id: UUID
    parent_id: UUID | None
    author_id: UUID
    username: str
    display_name: str | None
    avatar_media_id: UUID | None
    content: str
    mentioned_ids: Sequence[UUID] | None
    created_at: Any
    edited_at: Any | None
    mentioned: dict[str, str] | None
    likes: int
    replies: int
    removed: bool


@dataclass(slots=True)
class CommentNode:
    """A place in the tree; `row` is None where nothing is left of the comment but its replies."""

    comment_id: UUID
    row: CommentRow | None
    replies: list["CommentNode"] = field(default_factory=list)


def shown_comment(comment_id: UUID, viewer_id: UUID | None) -> CommentRow | None:
    """The comment if it is shown to the viewer; whether its post may be seen is for the caller."""
    row = database.row(ONE_SQL, {"id": comment_id, "viewer": viewer_id})
    return None if row is None else CommentRow(*row)


def flat_comments(post_id: UUID, viewer_id: UUID | None, after: UUID | None, limit: int) -> list[CommentRow]:
    """A post's comments and replies, oldest first."""
    parameters = {"post": post_id, "viewer": viewer_id, "after": after or NIL, "limit": limit}
    found = database.rows(FLAT_SQL, parameters)
    return [CommentRow(*row) for row in found]


def replies_to(
    post_id: UUID, parent_id: UUID, viewer_id: UUID | None, after: UUID | None, limit: int
) -> list[CommentRow]:
    """The direct replies to one comment, oldest first."""
    parameters = {"post": post_id, "parent": parent_id, "viewer": viewer_id, "after": after or NIL, "limit": limit}
    found = database.rows(REPLIES_SQL, parameters)
    return [CommentRow(*row) for row in found]


def comment_trees(post_id: UUID, viewer_id: UUID | None, after: UUID | None, limit: int) -> list[CommentNode]:
    """Roots with what hangs below them, oldest first; what exceeds DESCENDANTS_MAX is cut off, the deepest first."""
    place = {"post": post_id, "viewer": viewer_id}
    roots = [row.root_id for row in database.rows(ROOTS_SQL, {**place, "after": after or NIL, "limit": limit})]
    if not roots:
        return []
    found = database.rows(
        TREE_SQL, {**place, "roots": roots, "depth": DEPTH_MAX, "nodes": len(roots) + DESCENDANTS_MAX}
    )
    return build_trees(roots, [CommentRow(*row) for row in found])


def build_trees(roots: Sequence[UUID], rows: Sequence[CommentRow]) -> list[CommentNode]:
    """Trees in the roots' order; pure. A root without a row is a placeholder."""
    nodes = {root: CommentNode(root, None) for root in roots}
    for row in rows:
        if row.comment_id in nodes:
            nodes[row.comment_id].row = row
        else:
            nodes[row.comment_id] = CommentNode(row.comment_id, row)
    chosen = set(roots)
    for row in rows:
        if row.comment_id not in chosen and row.parent_id in nodes:
            nodes[row.parent_id].replies.append(nodes[row.comment_id])
    return [nodes[root] for root in roots]
