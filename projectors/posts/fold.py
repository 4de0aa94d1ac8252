"""Posts, their versions, and the comments under them: what was written, whose it is, who may see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never
from uuid import UUID

from projectors.runtime.changes import Changes, Table
from projectors.runtime.projection import PostgresProjection
from schemas.types import (
    AccountDeactivated,
    AccountReactivated,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    ContentScored,
    ErasureCancelled,
    ErasureRequested,
    Event,
    FollowApproved,
    FollowRejected,
    FollowRequested,
    NotificationsRead,
    PostBookmarked,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnbookmarked,
    PostUnliked,
    PostUnshared,
    ProfileEdited,
    RoleGranted,
    RoleRevoked,
    UserBlocked,
    UserErased,
    UserFollowed,
    UserMuted,
    UserRegistered,
    UserSuspended,
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
    UserUnsuspended,
)

Moderated = ContentHeld | ContentHidden | ContentRemoved | ContentRestored

# Every event about a post or comment says whose it is and where it stands, in a group of its own: what comes late, or
# alone, still goes with its author and its post.
# Whom a post answers, quotes or mentions is part of what its author said: it goes with the author, not with them.
POST = Table(
    name="post",
    key={"post_id": "uuid"},
    groups={
        "place": {"author_id": "uuid"},
        "created": {
            "visibility": "text",
            "language": "text",
            "media_ids": "uuid[]",
            "reply_to_id": "uuid",
            "reply_to_author_id": "uuid",
            "quote_of_id": "uuid",
            "quote_of_author_id": "uuid",
            "created_at": "timestamptz",
        },
        "content": {
            "content": "text",
            "hashtags": "text[]",
            "mentioned_ids": "uuid[]",
            "edited_at": "timestamptz",
        },
        "moderation": {"moderation": "text"},
        "score": {"moderation_score": "integer"},
    },
    whose={
        "post_id": "author_id",
        "place_event": "author_id",
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
        "edited_at": "author_id",
        "content_event": "author_id",
        "moderation": "author_id",
        "moderation_event": "author_id",
        "moderation_score": "author_id",
        "score_event": "author_id",
    },
    erased_with=("author_id",),
    gone_with=("post_id",),
)

# A version's id is that of the event that wrote it: versions are in the order of time, and none is ever changed.
POST_VERSION = Table(
    name="post_version",
    key={"post_id": "uuid", "version_id": "uuid"},
    groups={
        "written": {
            "author_id": "uuid",
            "content": "text",
            "hashtags": "text[]",
            "mentioned_ids": "uuid[]",
            "written_at": "timestamptz",
        }
    },
    whose={
        "post_id": "author_id",
        "version_id": "author_id",
        "author_id": "author_id",
        "content": "author_id",
        "hashtags": "author_id",
        "mentioned_ids": "author_id",
        "written_at": "author_id",
        "written_event": "author_id",
    },
    erased_with=("author_id",),
    gone_with=("post_id",),
)

# A deleted comment stays as a mark without its text, since what answers it hangs on it.
# A comment under an erased person's post stays its own author's; a deleted post takes its comments along.
COMMENT = Table(
    name="comment",
    key={"comment_id": "uuid"},
    groups={
        "place": {"post_id": "uuid", "author_id": "uuid"},
        "created": {"parent_id": "uuid", "parent_author_id": "uuid", "created_at": "timestamptz"},
        "content": {"content": "text", "mentioned_ids": "uuid[]", "edited_at": "timestamptz"},
        "moderation": {"moderation": "text"},
        "deleted": {},
    },
    whose={
        "comment_id": "author_id",
        "place_event": "author_id",
        "post_id": "author_id",
        "author_id": "author_id",
        "parent_id": "author_id",
        "parent_author_id": "author_id",
        "created_at": "author_id",
        "created_event": "author_id",
        "content": "author_id",
        "mentioned_ids": "author_id",
        "edited_at": "author_id",
        "content_event": "author_id",
        "moderation": "author_id",
        "moderation_event": "author_id",
        "deleted_event": "author_id",
    },
    erased_with=("author_id",),
    gone_with=("post_id",),
)

# What a moderator's newest word makes of a post or comment; null where it is as any other.
MODERATED: dict[type[Moderated], str | None] = {
    ContentHeld: "held",
    ContentHidden: "hidden",
    ContentRemoved: "removed",
    ContentRestored: None,
}


def fold(events: Sequence[Event]) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case PostPublished():
                _publish(changes, event)
            case PostEdited():
                _write(changes, event, edited_at=event.occurred_at)
            case CommentAdded():
                _comment(changes, event)
            case CommentEdited():
                edited = (event.content, list(event.mentioned_ids), event.occurred_at)
                _say(changes, event, edited)
            case CommentDeleted():
                _say(changes, event, (None, [], None))
                changes.set(COMMENT, (event.comment_id,), "deleted", event.event_id)
            case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored():
                _moderate(changes, event)
            case ContentScored():
                _score(changes, event)
            case PostDeleted():
                changes.remove(event.post_id, event.event_id)
            case UserErased():
                changes.erase(event.subject_id, event.event_id)
            case UserRegistered() | ProfileEdited() | UserFollowed() | UserUnfollowed():
                pass
            case PostLiked() | PostUnliked() | PostBookmarked() | PostUnbookmarked() | NotificationsRead():
                pass
            case PostShared() | PostUnshared():
                pass
            case FollowRequested() | FollowApproved() | FollowRejected():
                pass
            case UserBlocked() | UserUnblocked() | UserMuted() | UserUnmuted():
                pass
            case RoleGranted() | RoleRevoked():
                pass
            case AccountDeactivated() | AccountReactivated() | ErasureRequested() | ErasureCancelled():
                pass
            case UserSuspended() | UserUnsuspended():
                pass
            case _:
                assert_never(event)
    return changes


def _publish(changes: Changes, event: PostPublished) -> None:
    created = (
        event.visibility,
        event.language,
        list(event.media_ids),
        event.reply_to_id,
        event.reply_to_author_id,
        event.quote_of_id,
        event.quote_of_author_id,
        event.occurred_at,
    )
    changes.set(POST, (event.post_id,), "created", event.event_id, created)
    _write(changes, event, edited_at=None)


def _write(changes: Changes, event: PostPublished | PostEdited, edited_at: int | None) -> None:
    """One version of a post's text, which is the post's own until a newer one comes."""
    text = (event.content, (event.hashtags or "").split(), list(event.mentioned_ids))
    changes.set(POST, (event.post_id,), "place", event.event_id, (event.subject_id,))
    changes.set(POST, (event.post_id,), "content", event.event_id, (*text, edited_at))
    written = (event.subject_id, *text, event.occurred_at)
    changes.set(POST_VERSION, (event.post_id, event.event_id), "written", event.event_id, written)


def _comment(changes: Changes, event: CommentAdded) -> None:
    created = (event.parent_id, event.parent_author_id, event.occurred_at)
    changes.set(COMMENT, (event.comment_id,), "created", event.event_id, created)
    _say(changes, event, (event.content, list(event.mentioned_ids), None))


def _say(
    changes: Changes,
    event: CommentAdded | CommentEdited | CommentDeleted,
    content: tuple[str | None, list[UUID], int | None],
) -> None:
    changes.set(COMMENT, (event.comment_id,), "place", event.event_id, (event.post_id, event.subject_id))
    changes.set(COMMENT, (event.comment_id,), "content", event.event_id, content)


def _moderate(changes: Changes, event: Moderated) -> None:
    stands = (MODERATED[type(event)],)
    if event.content_id == event.post_id:
        changes.set(POST, (event.post_id,), "place", event.event_id, (event.subject_id,))
        changes.set(POST, (event.post_id,), "moderation", event.event_id, stands)
    else:
        changes.set(COMMENT, (event.content_id,), "place", event.event_id, (event.post_id, event.subject_id))
        changes.set(COMMENT, (event.content_id,), "moderation", event.event_id, stands)


def _score(changes: Changes, event: ContentScored) -> None:
    """Comments are not ranked, so that only a post's score is kept."""
    if event.content_id == event.post_id:
        changes.set(POST, (event.post_id,), "place", event.event_id, (event.subject_id,))
        changes.set(POST, (event.post_id,), "score", event.event_id, (event.score,))


PROJECTION = PostgresProjection(
    name="posts",
    topics=("posts", "moderation", "accounts"),
    tables=(POST, POST_VERSION, COMMENT),
    fold=fold,
    tables_sql=Path(__file__).with_name("tables.sql"),
    reads_text=True,
)
