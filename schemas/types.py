"""The events as Python types. GENERATED from the .avsc files by schemas/generate.py; do not edit.

Ids are UUIDs, times whole microseconds since 1970-01-01 UTC. A sealed field is plain text here and encrypted in the
log; None where it could not be read (its subject's key is destroyed) or was not asked for.
"""

from uuid import UUID

import msgspec


class AccountDeactivated(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person hides their account until they come back. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID


class AccountReactivated(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person who had deactivated their account is back. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID


class ErasureCancelled(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person who had asked to be erased stays. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID


class ErasureRequested(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person asks to be erased, and is hidden from then on. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    erase_after: int


class ProfileEdited(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person changed their profile; a null field is unchanged. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    display_name: str | None = None
    bio: str | None = None
    avatar_media_id: UUID | None = None
    language: str | None = None
    private: bool | None = None


class RoleGranted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject is given a role. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    role: str
    granted_by_id: UUID | None = None


class RoleRevoked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A role is taken from the subject. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    role: str
    revoked_by_id: UUID | None = None


class UserErased(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person is gone, with everything they did. Final. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID


class UserRegistered(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person has an account. Topic accounts, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    username: str | None
    display_name: str | None


class PostBookmarked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject keeps a post for themselves; nobody else is shown. Topic engagement, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    post_author_id: UUID


class PostLiked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject reacts to a post; one reaction per person. Topic engagement, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    post_author_id: UUID
    reaction: str


class PostShared(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject passes a post on to their followers. Topic engagement, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    share_id: UUID
    post_id: UUID
    post_author_id: UUID


class PostUnbookmarked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject keeps a post no longer. Topic engagement, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    post_author_id: UUID


class PostUnliked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject's reaction to a post is withdrawn. Topic engagement, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    post_author_id: UUID


class PostUnshared(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject withdraws their share of a post. Topic engagement, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    share_id: UUID
    post_id: UUID
    post_author_id: UUID


class FollowApproved(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject lets follow who asked to. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    follower_id: UUID


class FollowRejected(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject declines a person who asked to follow them. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    follower_id: UUID


class FollowRequested(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject asks to follow a person who approves their followers. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    followee_id: UUID


class UserBlocked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject and another no longer see each other. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    blocked_id: UUID
    severed_follower_ids: tuple[UUID, ...] = ()


class UserFollowed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject follows another person. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    followee_id: UUID


class UserMuted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject mutes another in feed and notifications. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    muted_id: UUID


class UserUnblocked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject lifts their block; nothing that it ended comes back. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    blocked_id: UUID


class UserUnfollowed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject follows another person no longer. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    followee_id: UUID


class UserUnmuted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject mutes another no longer. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    muted_id: UUID


class ContentHeld(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Content is kept from everyone until it was looked at. Topic moderation, partitioned by content_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    content_id: UUID
    post_id: UUID
    post_author_id: UUID
    parent_id: UUID | None = None
    decided_by_id: UUID | None = None


class ContentHidden(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Content is kept from everyone but its author. Topic moderation, partitioned by content_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    content_id: UUID
    post_id: UUID
    post_author_id: UUID
    parent_id: UUID | None = None
    decided_by_id: UUID | None = None


class ContentRemoved(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Content is taken away from everyone. Topic moderation, partitioned by content_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    content_id: UUID
    post_id: UUID
    post_author_id: UUID
    parent_id: UUID | None = None
    decided_by_id: UUID | None = None


class ContentRestored(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Content is no longer held, hidden or removed. Topic moderation, partitioned by content_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    content_id: UUID
    post_id: UUID
    post_author_id: UUID
    parent_id: UUID | None = None
    decided_by_id: UUID | None = None


class ContentScored(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A model's opinion of how likely content breaks the rules. Topic moderation, partitioned by content_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    content_id: UUID
    post_id: UUID
    post_author_id: UUID
    model: str
    score: int
    scores: str = ""


class UserSuspended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A moderator hides a person with all they wrote. Topic moderation, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    decided_by_id: UUID | None = None


class UserUnsuspended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person is no longer suspended. Topic moderation, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    decided_by_id: UUID | None = None


class NotificationsRead(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject read notifications: some, or all up to an event. Topic notifications, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    notification_ids: tuple[UUID, ...] = ()
    up_to: UUID | None = None


class CommentAdded(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A comment stands under a post. Topic posts, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    comment_id: UUID
    post_id: UUID
    post_author_id: UUID
    parent_id: UUID | None = None
    parent_author_id: UUID | None = None
    content: str | None
    mentioned_ids: tuple[UUID, ...] = ()


class CommentDeleted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A comment is gone; what answers it stays. Final. Topic posts, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    comment_id: UUID
    post_id: UUID
    post_author_id: UUID
    parent_id: UUID | None = None
    parent_author_id: UUID | None = None
    mentioned_ids: tuple[UUID, ...] = ()


class CommentEdited(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A comment's text is another. Topic posts, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    comment_id: UUID
    post_id: UUID
    post_author_id: UUID | None = None
    content: str | None
    mentioned_ids: tuple[UUID, ...] = ()
    newly_mentioned_ids: tuple[UUID, ...] = ()


class PostDeleted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A post is gone, with its comments and reactions. Final. Topic posts, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID


class PostEdited(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A post's text is another; its earlier versions stay readable. Topic posts, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    content: str | None
    hashtags: str | None
    mentioned_ids: tuple[UUID, ...] = ()
    newly_mentioned_ids: tuple[UUID, ...] = ()


class PostPublished(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A post exists. Topic posts, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    content: str | None
    hashtags: str | None
    visibility: str
    language: str | None = None
    media_ids: tuple[UUID, ...] = ()
    mentioned_ids: tuple[UUID, ...] = ()
    reply_to_id: UUID | None = None
    reply_to_author_id: UUID | None = None
    quote_of_id: UUID | None = None
    quote_of_author_id: UUID | None = None


Event = (
    AccountDeactivated
    | AccountReactivated
    | ErasureCancelled
    | ErasureRequested
    | ProfileEdited
    | RoleGranted
    | RoleRevoked
    | UserErased
    | UserRegistered
    | PostBookmarked
    | PostLiked
    | PostShared
    | PostUnbookmarked
    | PostUnliked
    | PostUnshared
    | FollowApproved
    | FollowRejected
    | FollowRequested
    | UserBlocked
    | UserFollowed
    | UserMuted
    | UserUnblocked
    | UserUnfollowed
    | UserUnmuted
    | ContentHeld
    | ContentHidden
    | ContentRemoved
    | ContentRestored
    | ContentScored
    | UserSuspended
    | UserUnsuspended
    | NotificationsRead
    | CommentAdded
    | CommentDeleted
    | CommentEdited
    | PostDeleted
    | PostEdited
    | PostPublished
)

EVENT_TYPES: dict[str, type[Event]] = {
    "AccountDeactivated": AccountDeactivated,
    "AccountReactivated": AccountReactivated,
    "ErasureCancelled": ErasureCancelled,
    "ErasureRequested": ErasureRequested,
    "ProfileEdited": ProfileEdited,
    "RoleGranted": RoleGranted,
    "RoleRevoked": RoleRevoked,
    "UserErased": UserErased,
    "UserRegistered": UserRegistered,
    "PostBookmarked": PostBookmarked,
    "PostLiked": PostLiked,
    "PostShared": PostShared,
    "PostUnbookmarked": PostUnbookmarked,
    "PostUnliked": PostUnliked,
    "PostUnshared": PostUnshared,
    "FollowApproved": FollowApproved,
    "FollowRejected": FollowRejected,
    "FollowRequested": FollowRequested,
    "UserBlocked": UserBlocked,
    "UserFollowed": UserFollowed,
    "UserMuted": UserMuted,
    "UserUnblocked": UserUnblocked,
    "UserUnfollowed": UserUnfollowed,
    "UserUnmuted": UserUnmuted,
    "ContentHeld": ContentHeld,
    "ContentHidden": ContentHidden,
    "ContentRemoved": ContentRemoved,
    "ContentRestored": ContentRestored,
    "ContentScored": ContentScored,
    "UserSuspended": UserSuspended,
    "UserUnsuspended": UserUnsuspended,
    "NotificationsRead": NotificationsRead,
    "CommentAdded": CommentAdded,
    "CommentDeleted": CommentDeleted,
    "CommentEdited": CommentEdited,
    "PostDeleted": PostDeleted,
    "PostEdited": PostEdited,
    "PostPublished": PostPublished,
}
