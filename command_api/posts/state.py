"""Posts and comments as the command side knows them: whose they are, who may see them, whether they still stand.

Of a text only a digest is kept, which tells whether an edit changes it, and whom its versions mentioned, so that nobody
is told twice. Both go with the post or comment, and with its author.
"""

import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec

from schemas.types import CommentAdded, CommentDeleted, CommentEdited, PostDeleted, PostEdited, PostPublished

PUBLIC = "public"
FOLLOWERS = "followers"
PRIVATE = "private"
VISIBILITIES = (PUBLIC, FOLLOWERS, PRIVATE)


class Post(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `post`; `mentioned_ids` are all whom its versions ever mentioned."""

    post_id: UUID
    author_id: UUID
    visibility: str
    deleted: bool
    last_event: UUID
    digest: str = ""
    mentioned_ids: Sequence[UUID] = ()


class Comment(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `comment`; `mentioned_ids` are all whom its versions ever mentioned."""

    comment_id: UUID
    post_id: UUID
    author_id: UUID
    deleted: bool
    last_event: UUID
    parent_id: UUID | None = None
    parent_author_id: UUID | None = None
    digest: str = ""
    mentioned_ids: Sequence[UUID] = ()


def text_digest(of_id: UUID, content: str | None, hashtags: str | None = "") -> str:
    """By which two versions of one post's or comment's text are compared; empty where the text cannot be read."""
    if content is None or hashtags is None:
        return ""
    return hashlib.sha256(of_id.bytes + f"{hashtags}\n{content}".encode()).hexdigest()


def newly_mentioned(before: Sequence[UUID], mentioned_ids: Sequence[UUID]) -> tuple[UUID, ...]:
    return tuple(user_id for user_id in mentioned_ids if user_id not in before)


def published(event: PostPublished) -> Post:
    digest = text_digest(event.post_id, event.content, event.hashtags)
    return Post(event.post_id, event.subject_id, event.visibility, False, event.event_id, digest, event.mentioned_ids)


def post_edited(post: Post, event: PostEdited) -> Post:
    return msgspec.structs.replace(
        post,
        last_event=event.event_id,
        digest=text_digest(event.post_id, event.content, event.hashtags),
        mentioned_ids=(*post.mentioned_ids, *newly_mentioned(post.mentioned_ids, event.mentioned_ids)),
    )


def post_deleted(post: Post, event: PostDeleted) -> Post:
    return msgspec.structs.replace(post, deleted=True, last_event=event.event_id, digest="", mentioned_ids=())


def comment_added(event: CommentAdded) -> Comment:
    return Comment(
        event.comment_id,
        event.post_id,
        event.subject_id,
        False,
        event.event_id,
        event.parent_id,
        event.parent_author_id,
        text_digest(event.comment_id, event.content),
        event.mentioned_ids,
    )


def comment_edited(comment: Comment, event: CommentEdited) -> Comment:
    return msgspec.structs.replace(
        comment,
        last_event=event.event_id,
        digest=text_digest(event.comment_id, event.content),
        mentioned_ids=(*comment.mentioned_ids, *newly_mentioned(comment.mentioned_ids, event.mentioned_ids)),
    )


def comment_deleted(comment: Comment, event: CommentDeleted) -> Comment:
    return msgspec.structs.replace(comment, deleted=True, last_event=event.event_id, digest="", mentioned_ids=())
