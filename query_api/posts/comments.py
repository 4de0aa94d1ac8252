"""Comments as their readers see them, flat or as a tree; a parent that is missing stands as removed above its replies.

A comment is there when it was added, its author is not erased and is known, and its post is not gone. Comments are
listed oldest first, so that what is added while somebody pages comes after what they have read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from shared.ids import NIL

DESCENDANTS_MAX = 500
DEPTH_MAX = 32

# Which comments are there; `c` is the comment.
LIVE_SQL: LiteralString = """
       c.created_event is not null and c.content_event is not null
   and not exists (select from posts.erased e where e.user_id = c.author_id)
   and not exists (select from profiles.erased e where e.user_id = c.author_id)
   and exists (select from profiles.person a where a.user_id = c.author_id and a.created_event is not null)"""

COLUMNS_SQL: LiteralString = """
select c.comment_id, c.post_id, c.parent_id, c.author_id, a.username, a.display_name, a.avatar_media_id, c.content,
       c.mentioned_ids, c.created_at,
       (select jsonb_object_agg(m.user_id, m.username)
          from profiles.person m
         where m.user_id = any(c.mentioned_ids) and m.username is not null
           and not exists (select from profiles.erased e where e.user_id = m.user_id)) as mentioned,
       coalesce(n.likes, 0) as likes, coalesce(n.replies, 0) as replies
  from posts.comment c
  join profiles.person a on a.user_id = c.author_id
  left join counters.comment_count n on n.comment_id = c.comment_id
"""

ONE_SQL: LiteralString = COLUMNS_SQL + " where c.comment_id = %(id)s and " + LIVE_SQL

FLAT_SQL: LiteralString = (
    COLUMNS_SQL
    + " where c.post_id = %(post)s and c.comment_id > %(after)s and "
    + LIVE_SQL
    + " order by c.comment_id limit %(limit)s"
)

REPLIES_SQL: LiteralString = (
    COLUMNS_SQL
    + " where c.post_id = %(post)s and c.parent_id = %(parent)s and c.comment_id > %(after)s and "
    + LIVE_SQL
    + " order by c.comment_id limit %(limit)s"
)

# Roots are the comments without a parent and the missing parents of others.
ROOTS_SQL: LiteralString = (
    """
select root_id from (
    (select c.comment_id as root_id from posts.comment c
      where c.post_id = %(post)s and c.comment_id > %(after)s and c.parent_id is null and """
    + LIVE_SQL
    + """
      order by c.comment_id limit %(limit)s)
    union all
    (select distinct c.parent_id from posts.comment c
      where c.post_id = %(post)s and c.parent_id > %(after)s and """
    + LIVE_SQL
    + """
        and not exists (select from posts.comment parent
                         where parent.comment_id = c.parent_id and parent.post_id = c.post_id and """
    + LIVE_SQL.replace("c.", "parent.")
    + """)
      order by c.parent_id limit %(limit)s)
) as roots order by root_id limit %(limit)s"""
)

# Breadth first, so that what is cut off where a tree is too large is its deepest part.
TREE_SQL: LiteralString = (
    """
with recursive below (comment_id, depth) as (
    select id, 0 from unnest(%(roots)s::uuid[]) as r (id)
    union all
    select c.comment_id, below.depth + 1 from below
      join posts.comment c on c.post_id = %(post)s and c.parent_id = below.comment_id
     where below.depth < %(depth)s and """
    + LIVE_SQL
    + """)
, nearest as (select comment_id, depth from below order by depth, comment_id limit %(nodes)s)
"""
    + COLUMNS_SQL
    + " join nearest on nearest.comment_id = c.comment_id where c.post_id = %(post)s and "
    + LIVE_SQL
    + " order by c.comment_id"
)


@dataclass(frozen=True, slots=True)
class CommentRow:
    """A comment with all that its shape needs."""

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
    mentioned: dict[str, str] | None
    likes: int
    replies: int


@dataclass(slots=True)
class CommentNode:
    """A place in the tree; `row` is None where the comment is missing and only its replies are left."""

    comment_id: UUID
    row: CommentRow | None
    replies: list["CommentNode"] = field(default_factory=list)


def live_comment(comment_id: UUID) -> CommentRow | None:
    """The comment if it is there; whether its post may be seen is for the caller."""
    row = database.row(ONE_SQL, {"id": comment_id})
    return None if row is None else CommentRow(*row)


def flat_comments(post_id: UUID, after: UUID | None, limit: int) -> list[CommentRow]:
    """A post's comments and replies, oldest first."""
    found = database.rows(FLAT_SQL, {"post": post_id, "after": after or NIL, "limit": limit})
    return [CommentRow(*row) for row in found]


def replies_to(post_id: UUID, parent_id: UUID, after: UUID | None, limit: int) -> list[CommentRow]:
    """The direct replies to one comment, oldest first."""
    found = database.rows(
        REPLIES_SQL, {"post": post_id, "parent": parent_id, "after": after or NIL, "limit": limit}
    )  # fmt: skip
    return [CommentRow(*row) for row in found]


def comment_trees(post_id: UUID, after: UUID | None, limit: int) -> list[CommentNode]:
    """Roots with what hangs below them, oldest first; what exceeds DESCENDANTS_MAX is cut off, the deepest first."""
    roots = [row.root_id for row in database.rows(ROOTS_SQL, {"post": post_id, "after": after or NIL, "limit": limit})]
    if not roots:
        return []
    found = database.rows(
        TREE_SQL, {"post": post_id, "roots": roots, "depth": DEPTH_MAX, "nodes": len(roots) + DESCENDANTS_MAX}
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
