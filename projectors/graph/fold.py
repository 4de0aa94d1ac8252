"""What people are to each other: follows, requests, blocks and mutes of each ordered pair, and both people's counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never
from uuid import UUID

from projectors.runtime.changes import Changes, Count, CountTable, Table
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

# All that one person is to another, in one row: who reads a page asks one thing of each pair. A block stands in the
# rows of both, so that either shows it, and an edge of a blocked pair does not count, whichever came first.
RELATION = Table(
    name="relation",
    key={"from_id": "uuid", "to_id": "uuid"},
    groups={
        "follow": {"follows": "boolean", "followed_at": "timestamptz"},
        "request": {"requested": "boolean", "requested_at": "timestamptz"},
        "block": {"blocks": "boolean", "blocked_at": "timestamptz"},
        "blocked_by": {"blocked_by": "boolean"},
        "mute": {"mutes": "boolean", "muted_at": "timestamptz"},
    },
    whose={
        "from_id": "from_id",
        "to_id": "to_id",
        "follows": "from_id",
        "followed_at": "from_id",
        "follow_event": "from_id",
        "requested": "from_id",
        "requested_at": "from_id",
        "request_event": "from_id",
        "blocks": "from_id",
        "blocked_at": "from_id",
        "block_event": "from_id",
        "blocked_by": "to_id",
        "blocked_by_event": "to_id",
        "mutes": "from_id",
        "muted_at": "from_id",
        "mute_event": "from_id",
    },
    erased_with=("from_id", "to_id"),
    counted="follows and not coalesce(blocks, false) and not coalesce(blocked_by, false)",
    counts=(
        Count(into="person_count", column="followers", by={"user_id": "to_id"}),
        Count(into="person_count", column="following", by={"user_id": "from_id"}),
    ),
)

PERSON_COUNT = CountTable(
    name="person_count",
    key={"user_id": "uuid"},
    columns=("followers", "following"),
    whose={"user_id": "user_id", "followers": "user_id", "following": "user_id"},
    erased_with=("user_id",),
)


def fold(events: Sequence[Event]) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case UserFollowed():
                _follow(changes, event, (event.subject_id, event.followee_id), True)
            case UserUnfollowed():
                _follow(changes, event, (event.subject_id, event.followee_id), False)
            case FollowRequested():
                pair = (event.subject_id, event.followee_id)
                changes.set(RELATION, pair, "request", event.event_id, (True, event.occurred_at))
            case FollowApproved():
                _follow(changes, event, (event.follower_id, event.subject_id), True)
            case FollowRejected():
                pair = (event.follower_id, event.subject_id)
                changes.set(RELATION, pair, "request", event.event_id, (False, event.occurred_at))
            case UserBlocked():
                _follow(changes, event, (event.subject_id, event.blocked_id), False)
                _follow(changes, event, (event.blocked_id, event.subject_id), False)
                _block(changes, event, True)
            case UserUnblocked():
                _block(changes, event, False)
            case UserMuted() | UserUnmuted():
                muted = (isinstance(event, UserMuted), event.occurred_at)
                changes.set(RELATION, (event.subject_id, event.muted_id), "mute", event.event_id, muted)
            case UserErased():
                changes.erase(event.subject_id, event.event_id)
            case UserRegistered() | ProfileEdited() | NotificationsRead():
                pass
            case PostPublished() | PostEdited() | PostDeleted() | CommentAdded() | CommentEdited() | CommentDeleted():
                pass
            case PostLiked() | PostUnliked() | PostBookmarked() | PostUnbookmarked():
                pass
            case PostShared() | PostUnshared():
                pass
            case RoleGranted() | RoleRevoked():
                pass
            case AccountDeactivated() | AccountReactivated() | ErasureRequested() | ErasureCancelled():
                pass
            case UserSuspended() | UserUnsuspended():
                pass
            case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored() | ContentScored():
                pass
            case _:
                assert_never(event)
    return changes


def _follow(
    changes: Changes,
    event: UserFollowed | UserUnfollowed | FollowApproved | UserBlocked,
    pair: tuple[UUID, UUID],
    follows: bool,
) -> None:
    """Whatever settles the follow settles the request for it."""
    changes.set(RELATION, pair, "follow", event.event_id, (follows, event.occurred_at))
    changes.set(RELATION, pair, "request", event.event_id, (False, event.occurred_at))


def _block(changes: Changes, event: UserBlocked | UserUnblocked, blocks: bool) -> None:
    changes.set(RELATION, (event.subject_id, event.blocked_id), "block", event.event_id, (blocks, event.occurred_at))
    changes.set(RELATION, (event.blocked_id, event.subject_id), "blocked_by", event.event_id, (blocks,))


PROJECTION = PostgresProjection(
    name="graph",
    topics=("graph", "accounts"),
    tables=(RELATION,),
    fold=fold,
    tables_sql=Path(__file__).with_name("tables.sql"),
    count_tables=(PERSON_COUNT,),
)
