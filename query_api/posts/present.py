"""Posts, comments and their authors in the shapes of the API: pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from query_api.posts.comments import CommentNode, CommentRow
from query_api.posts.history import VersionRow
from query_api.posts.queries import PostRow
from query_api.posts.rules import effective_visibility

MENTION = re.compile(r"<@([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})>")
DELETED_PERSON = "@deleted"


def moment(value: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return value.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def moment_or_none(value: datetime | None) -> str | None:
    return None if value is None else moment(value)


def identifier(value: UUID | None) -> str | None:
    return None if value is None else str(value)


class Written(Protocol):
    """What an author's card is made of."""

    @property
    def author_id(self) -> UUID: ...
    @property
    def username(self) -> str: ...
    @property
    def display_name(self) -> str | None: ...
    @property
    def avatar_media_id(self) -> UUID | None: ...


def author(row: Written) -> dict[str, Any]:
    return {
        "id": str(row.author_id),
        "username": row.username,
        "display_name": row.display_name or "",
        "avatar": identifier(row.avatar_media_id),
    }


def text(content: str, mentioned_ids: Sequence[UUID] | None, names: Mapping[str, str] | None) -> str:
    """The text with its mentions under today's names; someone erased is `@deleted`.

    Only ids that the event lists are mentions: whoever types the stored form by hand gets it back as typed.
    """
    if not mentioned_ids:
        return content
    known = {str(each) for each in mentioned_ids}

    def name(match: re.Match[str]) -> str:
        if match[1] not in known:
            return match[0]
        username = (names or {}).get(match[1])
        return f"@{username}" if username else DELETED_PERSON

    return MENTION.sub(name, content)


def mentions(mentioned_ids: Sequence[UUID] | None, names: Mapping[str, str] | None) -> list[dict[str, str]]:
    named = names or {}
    return [{"id": str(each), "username": named[str(each)]} for each in mentioned_ids or () if str(each) in named]


def present_post(row: PostRow) -> dict[str, Any]:
    """A post's shape; one that quotes also has `quoted_post`, which says when the quoted post is not available."""
    shape = present_post_alike(row) | {"counts": present_counts(row), "viewer": present_viewer(row)}
    if row.quote_of_id is not None:
        shape["quoted_post"] = present_quoted(row.quote_of_id, row.quoted)
    return shape


def present_post_alike(row: PostRow) -> dict[str, Any]:
    """What every reader sees alike, and nothing that a like changes."""
    return {
        "id": str(row.post_id),
        "author": author(row),
        "content": text(row.content, row.mentioned_ids, row.mentioned),
        "visibility": effective_visibility(row),
        "language": row.language,
        "hashtags": list(row.hashtags or ()),
        "mentions": mentions(row.mentioned_ids, row.mentioned),
        "media": [{"id": str(each)} for each in row.media_ids or ()],
        "reply_to": identifier(row.reply_to_id),
        "quote_of": identifier(row.quote_of_id),
        "edited_at": moment_or_none(row.edited_at),
        "created_at": moment(row.created_at),
    }


def present_counts(row: PostRow) -> dict[str, Any]:
    return {
        "likes": row.likes,
        "comments": row.comments,
        "shares": row.shares,
        "quotes": row.quotes,
        "reactions": row.reactions or {},
    }


def present_viewer(row: PostRow) -> dict[str, Any]:
    return {"liked": row.liked, "shared": row.shared, "bookmarked": row.bookmarked}


def present_quoted(post_id: UUID, row: PostRow | None) -> dict[str, Any]:
    if row is None:
        return {"id": str(post_id), "available": False}
    return {
        "id": str(post_id),
        "available": True,
        "author": author(row),
        "content": text(row.content, row.mentioned_ids, row.mentioned),
        "edited_at": moment_or_none(row.edited_at),
        "created_at": moment(row.created_at),
    }


def present_version(row: VersionRow) -> dict[str, Any]:
    """One version of a post's text, mentions under today's names."""
    return {
        "id": str(row.version_id),
        "content": text(row.content, row.mentioned_ids, row.mentioned),
        "hashtags": list(row.hashtags or ()),
        "mentions": mentions(row.mentioned_ids, row.mentioned),
        "written_at": moment(row.written_at),
    }


def present_comment(row: CommentRow) -> dict[str, Any]:
    """A comment's shape; a deleted one has nothing but its place in the tree."""
    if row.removed:
        return removed_comment(row.comment_id, row.post_id, row.parent_id)
    return {
        "id": str(row.comment_id),
        "post_id": str(row.post_id),
        "parent_id": identifier(row.parent_id),
        "author": author(row),
        "content": text(row.content, row.mentioned_ids, row.mentioned),
        "mentions": mentions(row.mentioned_ids, row.mentioned),
        "created_at": moment(row.created_at),
        "edited_at": moment_or_none(row.edited_at),
        "counts": {"likes": row.likes, "replies": row.replies},
        "viewer": {"liked": None},
    }


def removed_comment(comment_id: UUID, post_id: UUID, parent_id: UUID | None) -> dict[str, Any]:
    return {"id": str(comment_id), "post_id": str(post_id), "parent_id": identifier(parent_id), "removed": True}


def present_tree(node: CommentNode, post_id: UUID) -> dict[str, Any]:
    """A comment with its `replies`, or the placeholder of a missing one."""
    replies = [present_tree(reply, post_id) for reply in node.replies]
    if node.row is None:
        return removed_comment(node.comment_id, post_id, None) | {"replies": replies}
    return present_comment(node.row) | {"replies": replies}
