"""Likes, comments, shares and bookmarks, and counts per post, comment and person: each derived from what an event sets.

Who cares for whom (affinity) is a view of these rows, in tables.sql.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never
from uuid import UUID

from projectors.runtime.changes import NOBODY, Changes, Count, CountTable, Table
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
from shared.ids import day_of

POST = Table(
    name="post",
    key={"post_id": "uuid"},
    groups={"created": {"author_id": "uuid", "quote_of_id": "uuid"}, "deleted": {}},
    whose={
        "post_id": "author_id",
        "created_event": "author_id",
        "author_id": "author_id",
        "quote_of_id": "author_id",
        "deleted_event": "author_id",
    },
    erased_with=("author_id",),
    gone_with=("post_id",),
    counted="created_event is not null and deleted_event is null",
    counts=(
        Count("person_count", "posts", {"user_id": "author_id"}),
        Count("post_count", "quotes", {"post_id": "quote_of_id"}),
    ),
)

REACTION = Table(
    name="reaction",
    key={"post_id": "uuid", "actor_id": "uuid"},
    groups={"edge": {"active": "boolean", "reaction": "text", "author_id": "uuid", "day": "integer"}},
    whose={
        "post_id": "author_id",
        "actor_id": "actor_id",
        "edge_event": "actor_id",
        "active": "actor_id",
        "reaction": "actor_id",
        "author_id": "author_id",
        "day": "actor_id",
    },
    erased_with=("actor_id", "author_id"),
    gone_with=("post_id",),
    counted="active",
    counts=(
        Count("post_count", "likes", {"post_id": "post_id"}),
        Count("reaction_count", "n", {"post_id": "post_id", "reaction": "reaction"}),
    ),
)

COMMENT = Table(
    name="comment",
    key={"comment_id": "uuid"},
    groups={
        # Set by whatever is heard of the comment first, so that also a mark of its deletion goes with post and people.
        "place": {"post_id": "uuid", "author_id": "uuid", "post_author_id": "uuid"},
        "created": {"parent_id": "uuid", "day": "integer"},
        "moderation": {"removed": "boolean"},
        "deleted": {},
    },
    whose={
        "comment_id": "author_id",
        "place_event": "author_id",
        "post_id": "post_author_id",
        "author_id": "author_id",
        "post_author_id": "post_author_id",
        "created_event": "author_id",
        "parent_id": "author_id",
        "day": "author_id",
        "removed": "author_id",
        "moderation_event": "author_id",
        "deleted_event": "author_id",
    },
    # A comment under an erased person's post can no longer be reached, so nothing of it is counted; its text is kept
    # elsewhere for its author.
    erased_with=("author_id", "post_author_id"),
    gone_with=("post_id",),
    counted="created_event is not null and deleted_event is null and not coalesce(removed, false)",
    counts=(
        Count("post_count", "comments", {"post_id": "post_id"}),
        Count("comment_count", "replies", {"comment_id": "parent_id"}),
    ),
)

# A share that was withdrawn has no id any more; one made again has another, and stands where that one's time is.
SHARE = Table(
    name="share",
    key={"post_id": "uuid", "actor_id": "uuid"},
    groups={"edge": {"active": "boolean", "share_id": "uuid", "author_id": "uuid", "day": "integer"}},
    whose={
        "post_id": "author_id",
        "actor_id": "actor_id",
        "edge_event": "actor_id",
        "active": "actor_id",
        "share_id": "actor_id",
        "author_id": "author_id",
        "day": "actor_id",
    },
    erased_with=("actor_id", "author_id"),
    gone_with=("post_id",),
    counted="active",
    counts=(Count("post_count", "shares", {"post_id": "post_id"}),),
)

# Nobody is shown what somebody keeps, so nothing is counted. A bookmark outlives its post, which then shows as not
# available.
BOOKMARK = Table(
    name="bookmark",
    key={"actor_id": "uuid", "post_id": "uuid"},
    groups={"edge": {"active": "boolean", "since": "timestamptz"}},
    whose={
        "actor_id": "actor_id",
        "post_id": "actor_id",
        "edge_event": "actor_id",
        "active": "actor_id",
        "since": "actor_id",
    },
    erased_with=("actor_id",),
)

COUNT_TABLES = (
    CountTable(
        "post_count",
        {"post_id": "uuid"},
        ("likes", "comments", "shares", "quotes"),
        whose={"post_id": NOBODY, "likes": NOBODY, "comments": NOBODY, "shares": NOBODY, "quotes": NOBODY},
        gone_with=("post_id",),
    ),
    CountTable(
        "comment_count",
        {"comment_id": "uuid"},
        ("likes", "replies"),
        whose={"comment_id": NOBODY, "likes": NOBODY, "replies": NOBODY},
    ),
    CountTable(
        "person_count",
        {"user_id": "uuid"},
        ("posts",),
        whose={"user_id": "user_id", "posts": "user_id"},
        erased_with=("user_id",),
    ),
    CountTable(
        "reaction_count",
        {"post_id": "uuid", "reaction": "text"},
        ("n",),
        whose={"post_id": NOBODY, "reaction": NOBODY, "n": NOBODY},
        gone_with=("post_id",),
    ),
)


def fold(events: Sequence[Event]) -> Changes:
    """The rows that these events set. Any order and any repetition give the same rows."""
    changes = Changes()
    for event in events:
        match event:
            case PostLiked():
                edge = (True, event.reaction, event.post_author_id, day_of(event.occurred_at))
                changes.set(REACTION, (event.post_id, event.subject_id), "edge", event.event_id, edge)
            case PostUnliked():
                edge_gone = (False, None, event.post_author_id, day_of(event.occurred_at))
                changes.set(REACTION, (event.post_id, event.subject_id), "edge", event.event_id, edge_gone)
            case CommentAdded():
                created = (event.parent_id, day_of(event.occurred_at))
                changes.set(COMMENT, (event.comment_id,), "place", event.event_id, _place(event))
                changes.set(COMMENT, (event.comment_id,), "created", event.event_id, created)
            case CommentDeleted():
                changes.set(COMMENT, (event.comment_id,), "place", event.event_id, _place(event))
                changes.set(COMMENT, (event.comment_id,), "deleted", event.event_id)
            case PostBookmarked() | PostUnbookmarked():
                kept = (isinstance(event, PostBookmarked), event.occurred_at)
                changes.set(BOOKMARK, (event.subject_id, event.post_id), "edge", event.event_id, kept)
            case PostShared():
                share = (True, event.share_id, event.post_author_id, day_of(event.occurred_at))
                changes.set(SHARE, (event.post_id, event.subject_id), "edge", event.event_id, share)
            case PostUnshared():
                share_gone = (False, None, event.post_author_id, day_of(event.occurred_at))
                changes.set(SHARE, (event.post_id, event.subject_id), "edge", event.event_id, share_gone)
            case PostPublished():
                changes.set(POST, (event.post_id,), "created", event.event_id, (event.subject_id, event.quote_of_id))
            case PostDeleted():
                changes.set(POST, (event.post_id,), "deleted", event.event_id)
                changes.remove(event.post_id, event.event_id)
            case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored():
                _moderate(changes, event)
            case UserErased():
                changes.erase(event.subject_id, event.event_id)
            case UserRegistered() | ProfileEdited() | UserFollowed() | UserUnfollowed() | NotificationsRead():
                pass
            case PostEdited() | CommentEdited() | ContentScored():
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


def _place(event: CommentAdded | CommentDeleted) -> tuple[UUID, UUID, UUID]:
    return (event.post_id, event.subject_id, event.post_author_id)


def _moderate(changes: Changes, event: ContentHeld | ContentHidden | ContentRemoved | ContentRestored) -> None:
    """A comment that was removed is not counted; of all else that moderators do, counts know nothing."""
    if event.content_id != event.post_id:
        place = (event.post_id, event.subject_id, event.post_author_id)
        removed = (isinstance(event, ContentRemoved),)
        changes.set(COMMENT, (event.content_id,), "place", event.event_id, place)
        changes.set(COMMENT, (event.content_id,), "moderation", event.event_id, removed)


PROJECTION = PostgresProjection(
    name="counters",
    topics=("accounts", "posts", "engagement", "moderation"),
    tables=(POST, REACTION, COMMENT, BOOKMARK, SHARE),
    fold=fold,
    tables_sql=Path(__file__).parent / "tables.sql",
    count_tables=COUNT_TABLES,
)
