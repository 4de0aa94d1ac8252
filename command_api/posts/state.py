"""Posts and comments as the command side knows them: who wrote them, who may see them, whether they still stand."""

from uuid import UUID

import msgspec

from schemas.types import CommentAdded, PostPublished

PUBLIC = "public"
FOLLOWERS = "followers"
PRIVATE = "private"
VISIBILITIES = (PUBLIC, FOLLOWERS, PRIVATE)


class Post(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `post`."""

    post_id: UUID
    author_id: UUID
    visibility: str
    deleted: bool
    last_event: UUID


class Comment(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `comment`."""

    comment_id: UUID
    post_id: UUID
    author_id: UUID
    deleted: bool
    last_event: UUID


def published(event: PostPublished) -> Post:
    return Post(event.post_id, event.subject_id, event.visibility, False, event.event_id)


def post_deleted(post: Post, event_id: UUID) -> Post:
    return Post(post.post_id, post.author_id, post.visibility, True, event_id)


def comment_added(event: CommentAdded) -> Comment:
    return Comment(event.comment_id, event.post_id, event.subject_id, False, event.event_id)
