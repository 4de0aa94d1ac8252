"""The events as Python types. GENERATED from the .avsc files by schemas/generate.py; do not edit.

Ids are UUIDs, times whole microseconds since 1970-01-01 UTC. A sealed field is plain text here and encrypted in the
log; None where it could not be read (its subject's key is destroyed) or was not asked for.
"""

from uuid import UUID

import msgspec


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


class UserFollowed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject follows another person. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    followee_id: UUID


class UserUnfollowed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject follows another person no longer. Topic graph, partitioned by subject_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    followee_id: UUID


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
    ProfileEdited
    | UserErased
    | UserRegistered
    | PostBookmarked
    | PostLiked
    | PostUnbookmarked
    | PostUnliked
    | UserFollowed
    | UserUnfollowed
    | NotificationsRead
    | CommentAdded
    | CommentDeleted
    | CommentEdited
    | PostDeleted
    | PostEdited
    | PostPublished
)

EVENT_TYPES: dict[str, type[Event]] = {
    "ProfileEdited": ProfileEdited,
    "UserErased": UserErased,
    "UserRegistered": UserRegistered,
    "PostBookmarked": PostBookmarked,
    "PostLiked": PostLiked,
    "PostUnbookmarked": PostUnbookmarked,
    "PostUnliked": PostUnliked,
    "UserFollowed": UserFollowed,
    "UserUnfollowed": UserUnfollowed,
    "NotificationsRead": NotificationsRead,
    "CommentAdded": CommentAdded,
    "CommentDeleted": CommentDeleted,
    "CommentEdited": CommentEdited,
    "PostDeleted": PostDeleted,
    "PostEdited": PostEdited,
    "PostPublished": PostPublished,
}
