"""The smallest things whose order matters, by event: an edge, a post, a comment, a person. Pure.

Two events that a fold lets set the same columns of the same row have a key in common, in every projection
(tests/properties/test_parking.py). So where an event is parked, those that share a key with it wait behind it, and
nothing else does: a like that cannot be applied holds up that person's later word on that post, not the post.
"""

from typing import assert_never
from uuid import UUID

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

ParkingKeys = tuple[str, ...]


def parking_keys(event: Event) -> ParkingKeys:
    """What the event is about, as `kind:id` or `kind:id:id`; an event about two edges has both."""
    match event:
        case UserRegistered() | ProfileEdited() | UserErased() | RoleGranted() | RoleRevoked():
            return (_key("person", event.subject_id),)
        case AccountDeactivated() | AccountReactivated() | ErasureRequested() | ErasureCancelled():
            return (_key("person", event.subject_id),)
        case UserSuspended() | UserUnsuspended():
            return (_key("person", event.subject_id),)
        case UserFollowed() | UserUnfollowed() | FollowRequested():
            return (_key("relation", event.subject_id, event.followee_id),)
        case FollowApproved() | FollowRejected():
            return (_key("relation", event.follower_id, event.subject_id),)
        case UserBlocked() | UserUnblocked():
            return (
                _key("relation", event.subject_id, event.blocked_id),
                _key("relation", event.blocked_id, event.subject_id),
            )
        case UserMuted() | UserUnmuted():
            return (_key("relation", event.subject_id, event.muted_id),)
        case PostPublished() | PostEdited() | PostDeleted():
            return (_key("post", event.post_id),)
        case CommentAdded() | CommentEdited() | CommentDeleted():
            return (_key("comment", event.comment_id),)
        case ContentHeld() | ContentHidden() | ContentRemoved() | ContentRestored() | ContentScored():
            kind = "post" if event.content_id == event.post_id else "comment"
            return (_key(kind, event.content_id),)
        case PostLiked() | PostUnliked():
            return (_key("like", event.post_id, event.subject_id),)
        case PostShared() | PostUnshared():
            return (_key("share", event.post_id, event.subject_id),)
        case PostBookmarked() | PostUnbookmarked():
            return (_key("bookmark", event.post_id, event.subject_id),)
        case NotificationsRead():
            return (_key("read", event.subject_id),)
        case _:
            assert_never(event)


def _key(kind: str, *ids: UUID) -> str:
    return ":".join((kind, *map(str, ids)))
