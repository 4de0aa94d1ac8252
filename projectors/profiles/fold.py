"""Public profiles, each field as the newest event that named it left it, and whether their people are away."""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

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

PERSON = Table(
    name="person",
    key={"user_id": "uuid"},
    groups={
        "created": {"username": "text", "created_at": "timestamptz"},
        "display_name": {"display_name": "text"},
        "bio": {"bio": "text"},
        "avatar": {"avatar_media_id": "uuid"},
        "language": {"language": "text"},
        "private": {"private": "boolean"},
        # Why somebody may be away: each is a fact of its own, and ends none of the others.
        "deactivation": {"deactivated": "boolean"},
        "suspension": {"suspended": "boolean"},
        "erasure_request": {"erase_after": "timestamptz"},
    },
    whose={
        "user_id": "user_id",
        "username": "user_id",
        "created_at": "user_id",
        "display_name": "user_id",
        "bio": "user_id",
        "avatar_media_id": "user_id",
        "language": "user_id",
        "private": "user_id",
        "created_event": "user_id",
        "display_name_event": "user_id",
        "bio_event": "user_id",
        "avatar_event": "user_id",
        "language_event": "user_id",
        "private_event": "user_id",
        "deactivated": "user_id",
        "deactivation_event": "user_id",
        "suspended": "user_id",
        "suspension_event": "user_id",
        "erase_after": "user_id",
        "erasure_request_event": "user_id",
    },
    erased_with=("user_id",),
)


def fold(events: Sequence[Event]) -> Changes:
    changes = Changes()
    for event in events:
        match event:
            case UserRegistered():
                key = (event.subject_id,)
                changes.set(PERSON, key, "created", event.event_id, (event.username, event.occurred_at))
                changes.set(PERSON, key, "display_name", event.event_id, (event.display_name,))
            case ProfileEdited():
                _edit(changes, event)
            case AccountDeactivated() | AccountReactivated():
                deactivated = isinstance(event, AccountDeactivated)
                changes.set(PERSON, (event.subject_id,), "deactivation", event.event_id, (deactivated,))
            case UserSuspended() | UserUnsuspended():
                suspended = isinstance(event, UserSuspended)
                changes.set(PERSON, (event.subject_id,), "suspension", event.event_id, (suspended,))
            case ErasureRequested() | ErasureCancelled():
                erase_after = event.erase_after if isinstance(event, ErasureRequested) else None
                changes.set(PERSON, (event.subject_id,), "erasure_request", event.event_id, (erase_after,))
            case UserErased():
                changes.erase(event.subject_id, event.event_id)
            case UserFollowed() | UserUnfollowed() | NotificationsRead():
                pass
            case PostPublished() | PostEdited() | PostDeleted() | CommentAdded() | CommentEdited() | CommentDeleted():
                pass
            case PostLiked() | PostUnliked() | PostBookmarked() | PostUnbookmarked():
                pass
            case PostShared() | PostUnshared():
                pass
            case FollowRequested() | FollowApproved() | FollowRejected():
                pass
            case UserBlocked() | UserUnblocked() | UserMuted() | UserUnmuted():
                pass
            case RoleGranted() | RoleRevoked():
                pass
            case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored() | ContentScored():
                pass
            case _:
                assert_never(event)
    return changes


def _edit(changes: Changes, event: ProfileEdited) -> None:
    """A field left out is unchanged, and so is one that can no longer be read: its subject is being erased."""
    given = {
        "display_name": event.display_name,
        "bio": event.bio,
        "avatar": event.avatar_media_id,
        "language": event.language,
        "private": event.private,
    }
    for group, value in given.items():
        if value is not None:
            changes.set(PERSON, (event.subject_id,), group, event.event_id, (value,))


PROJECTION = PostgresProjection(
    name="profiles",
    topics=("accounts", "moderation"),
    tables=(PERSON,),
    fold=fold,
    tables_sql=Path(__file__).with_name("tables.sql"),
    reads_text=True,
)
