"""What events do to warm home feeds: items to push to audiences, feeds to cool, items and people to take out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never
from uuid import UUID

from projectors.runtime.projection import RedisProjection
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
from shared.feed_item import FeedItem


@dataclass
class FeedChanges:
    """Sets only, so that neither the order of the events nor a redelivery matters. An item's time is in its id."""

    pushed: dict[UUID, set[FeedItem]] = field(default_factory=dict)  # author or sharer -> items for their audience
    removed: dict[UUID, set[FeedItem]] = field(default_factory=dict)  # author or sharer -> items that are gone
    cooled: set[UUID] = field(default_factory=set)  # readers whose feed must be filled anew
    left: set[tuple[UUID, UUID]] = field(default_factory=set)  # (reader, author they are not to be pushed), cooled too
    erased: set[UUID] = field(default_factory=set)  # people whose feed and audience end


def fold(events: Sequence[Event]) -> FeedChanges:
    changes = FeedChanges()
    for event in events:
        match event:
            case PostPublished():
                changes.pushed.setdefault(event.subject_id, set()).add(FeedItem.of_post(event.post_id))
            case PostDeleted():
                changes.removed.setdefault(event.subject_id, set()).add(FeedItem.of_post(event.post_id))
            case PostShared():
                changes.pushed.setdefault(event.subject_id, set()).add(FeedItem(event.share_id, event.post_id))
            case PostUnshared():
                changes.removed.setdefault(event.subject_id, set()).add(FeedItem(event.share_id, event.post_id))
            case UserFollowed():
                changes.cooled.add(event.subject_id)
            case UserUnfollowed():
                changes.cooled.add(event.subject_id)
                changes.left.add((event.subject_id, event.followee_id))
            case FollowApproved():
                changes.cooled.add(event.follower_id)
            case UserBlocked():
                changes.cooled.update((event.subject_id, event.blocked_id))
                changes.left.update(((event.subject_id, event.blocked_id), (event.blocked_id, event.subject_id)))
            case UserUnblocked():
                changes.cooled.update((event.subject_id, event.blocked_id))
            case UserMuted():
                changes.cooled.add(event.subject_id)
                changes.left.add((event.subject_id, event.muted_id))
            case UserUnmuted():
                changes.cooled.add(event.subject_id)
            case UserErased():
                changes.erased.add(event.subject_id)
            case UserRegistered() | ProfileEdited() | NotificationsRead():
                pass
            case PostEdited() | CommentAdded() | CommentEdited() | CommentDeleted():
                pass
            case PostLiked() | PostUnliked() | PostBookmarked() | PostUnbookmarked():
                pass
            case FollowRequested() | FollowRejected():
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


PROJECTION = RedisProjection(
    name="feed",
    topics=("posts", "engagement", "graph", "accounts"),
    fold=fold,
    functions_lua=Path(__file__).with_name("functions.lua"),
)
