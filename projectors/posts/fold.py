"""Posts and the comments under them: what was published, whose it is and who may see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from projectors.runtime.changes import Changes, Table
from projectors.runtime.projection import PostgresProjection
from schemas.types import (
    CommentAdded,
    Event,
    NotificationsRead,
    PostDeleted,
    PostLiked,
    PostPublished,
    PostUnliked,
    ProfileEdited,
    UserErased,
    UserFollowed,
    UserRegistered,
    UserUnfollowed,
)

# Whom a post answers, quotes or mentions is part of what its author said: it goes with the author, not with them.
POST = Table(
    name="post",
    key={"post_id": "uuid"},
    groups={
        "created": {
            "author_id": "uuid",
            "visibility": "text",
            "language": "text",
            "media_ids": "uuid[]",
            "reply_to_id": "uuid",
            "reply_to_author_id": "uuid",
            "quote_of_id": "uuid",
            "quote_of_author_id": "uuid",
            "created_at": "timestamptz",
        },
        "content": {"content": "text", "hashtags": "text[]", "mentioned_ids": "uuid[]"},
    },
    whose={
        "post_id": "author_id",
        "author_id": "author_id",
        "visibility": "author_id",
        "language": "author_id",
        "media_ids": "author_id",
        "reply_to_id": "author_id",
        "reply_to_author_id": "author_id",
        "quote_of_id": "author_id",
        "quote_of_author_id": "author_id",
        "created_at": "author_id",
        "created_event": "author_id",
        "content": "author_id",
        "hashtags": "author_id",
        "mentioned_ids": "author_id",
        "content_event": "author_id",
    },
    erased_with=("author_id",),
    gone_with=("post_id",),
)

# A comment under an erased person's post stays its own author's; a deleted post takes its comments along.
COMMENT = Table(
    name="comment",
    key={"comment_id": "uuid"},
    groups={
        "created": {
            "post_id": "uuid",
            "author_id": "uuid",
            "parent_id": "uuid",
            "parent_author_id": "uuid",
            "created_at": "timestamptz",
        },
        "content": {"content": "text", "mentioned_ids": "uuid[]"},
    },
    whose={
        "comment_id": "author_id",
        "post_id": "author_id",
        "author_id": "author_id",
        "parent_id": "author_id",
        "parent_author_id": "author_id",
        "created_at": "author_id",
        "created_event": "author_id",
        "content": "author_id",
        "mentioned_ids": "author_id",
        "content_event": "author_id",
    },
    erased_with=("author_id",),
    gone_with=("post_id",),
)


def fold(events: Sequence[Event]) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case PostPublished():
                _publish(changes, event)
            case CommentAdded():
                _comment(changes, event)
            case PostDeleted():
                changes.remove(event.post_id, event.event_id)
            case UserErased():
                changes.erase(event.subject_id, event.event_id)
            case UserRegistered() | ProfileEdited() | UserFollowed() | UserUnfollowed():
                pass
            case PostLiked() | PostUnliked() | NotificationsRead():
                pass
            case _:
                assert_never(event)
    return changes


def _publish(changes: Changes, event: PostPublished) -> None:
    created = (
        event.subject_id,
        event.visibility,
        event.language,
        list(event.media_ids),
        event.reply_to_id,
        event.reply_to_author_id,
        event.quote_of_id,
        event.quote_of_author_id,
        event.occurred_at,
    )
    content = (event.content, (event.hashtags or "").split(), list(event.mentioned_ids))
    changes.set(POST, (event.post_id,), "created", event.event_id, created)
    changes.set(POST, (event.post_id,), "content", event.event_id, content)


def _comment(changes: Changes, event: CommentAdded) -> None:
    created = (event.post_id, event.subject_id, event.parent_id, event.parent_author_id, event.occurred_at)
    content = (event.content, list(event.mentioned_ids))
    changes.set(COMMENT, (event.comment_id,), "created", event.event_id, created)
    changes.set(COMMENT, (event.comment_id,), "content", event.event_id, content)


PROJECTION = PostgresProjection(
    name="posts",
    topics=("posts", "accounts"),
    tables=(POST, COMMENT),
    fold=fold,
    tables_sql=Path(__file__).with_name("tables.sql"),
    reads_text=True,
)
