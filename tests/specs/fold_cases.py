"""Events for specs, each a moment after the one before, and what a fold makes of them however they are delivered."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from projectors.runtime.changes import Changes, Key
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
from shared.ids import mint, time_of

BEGIN = 1_790_000_000_000_000  # September 2026, in microseconds since 1970
E = TypeVar("E", bound=Any)

ANA, BEN, CLEO, DAN = (mint(BEGIN - 1_000_000 + nth, random=bytes([nth]) * 8) for nth in range(4))


def identifier(step: int) -> UUID:
    """The id of what happens at a step: steps are a second apart, so a later step's id is greater."""
    return mint(BEGIN + step * 1_000_000, random=step.to_bytes(8, "big"))


def at(step: int, kind: Callable[..., E], actor: UUID, **fields: Any) -> E:
    """The event that `actor` causes at a step."""
    event_id = identifier(step)
    return kind(event_id=event_id, occurred_at=time_of(event_id), subject_id=actor, **fields)


def moment(step: int) -> int:
    """When a step is, in microseconds since 1970."""
    return time_of(identifier(step))


def published(step: int, author: UUID, **fields: Any) -> PostPublished:
    given = {"content": "hello", "hashtags": "", "visibility": "public", **fields}
    return at(step, PostPublished, author, post_id=identifier(step), **given)


def commented(step: int, author: UUID, post: PostPublished, **fields: Any) -> CommentAdded:
    given = {"content": "well", **fields}
    under = {"post_id": post.post_id, "post_author_id": post.subject_id}
    return at(step, CommentAdded, author, comment_id=identifier(step), **under, **given)


def liked(step: int, actor: UUID, post: PostPublished, reaction: str = "like") -> PostLiked:
    return at(step, PostLiked, actor, post_id=post.post_id, post_author_id=post.subject_id, reaction=reaction)


def unliked(step: int, actor: UUID, post: PostPublished) -> PostUnliked:
    return at(step, PostUnliked, actor, post_id=post.post_id, post_author_id=post.subject_id)


def edited(step: int, post: PostPublished, **fields: Any) -> PostEdited:
    given = {"content": "hello again", "hashtags": "", **fields}
    return at(step, PostEdited, post.subject_id, post_id=post.post_id, **given)


def comment_edited(step: int, comment: CommentAdded, **fields: Any) -> CommentEdited:
    given = {"content": "well, then", **fields}
    of = {"comment_id": comment.comment_id, "post_id": comment.post_id, "post_author_id": comment.post_author_id}
    return at(step, CommentEdited, comment.subject_id, **of, **given)


def comment_deleted(step: int, comment: CommentAdded, **fields: Any) -> CommentDeleted:
    given = {"mentioned_ids": comment.mentioned_ids, **fields}
    of = {"comment_id": comment.comment_id, "post_id": comment.post_id, "post_author_id": comment.post_author_id}
    above = {"parent_id": comment.parent_id, "parent_author_id": comment.parent_author_id}
    return at(step, CommentDeleted, comment.subject_id, **of, **above, **given)


def bookmarked(step: int, actor: UUID, post: PostPublished) -> PostBookmarked:
    return at(step, PostBookmarked, actor, post_id=post.post_id, post_author_id=post.subject_id)


def unbookmarked(step: int, actor: UUID, post: PostPublished) -> PostUnbookmarked:
    return at(step, PostUnbookmarked, actor, post_id=post.post_id, post_author_id=post.subject_id)


def followed(step: int, actor: UUID, followee: UUID) -> UserFollowed:
    return at(step, UserFollowed, actor, followee_id=followee)


def unfollowed(step: int, actor: UUID, followee: UUID) -> UserUnfollowed:
    return at(step, UserUnfollowed, actor, followee_id=followee)


def registered(step: int, actor: UUID, username: str) -> UserRegistered:
    return at(step, UserRegistered, actor, username=username, display_name=username.title())


def deleted(step: int, post: PostPublished) -> PostDeleted:
    return at(step, PostDeleted, post.subject_id, post_id=post.post_id)


def erased(step: int, person: UUID) -> UserErased:
    return at(step, UserErased, person)


def requested(step: int, actor: UUID, followee: UUID) -> FollowRequested:
    return at(step, FollowRequested, actor, followee_id=followee)


def approved(step: int, actor: UUID, follower: UUID) -> FollowApproved:
    return at(step, FollowApproved, actor, follower_id=follower)


def rejected(step: int, actor: UUID, follower: UUID) -> FollowRejected:
    return at(step, FollowRejected, actor, follower_id=follower)


def blocked(step: int, actor: UUID, whom: UUID, *severed: UUID) -> UserBlocked:
    return at(step, UserBlocked, actor, blocked_id=whom, severed_follower_ids=severed)


def unblocked(step: int, actor: UUID, whom: UUID) -> UserUnblocked:
    return at(step, UserUnblocked, actor, blocked_id=whom)


def muted(step: int, actor: UUID, whom: UUID) -> UserMuted:
    return at(step, UserMuted, actor, muted_id=whom)


def unmuted(step: int, actor: UUID, whom: UUID) -> UserUnmuted:
    return at(step, UserUnmuted, actor, muted_id=whom)


def shared(step: int, actor: UUID, post: PostPublished) -> PostShared:
    return at(step, PostShared, actor, share_id=identifier(step), post_id=post.post_id, post_author_id=post.subject_id)


def unshared(step: int, actor: UUID, post: PostPublished, share: int) -> PostUnshared:
    return at(
        step, PostUnshared, actor, share_id=identifier(share), post_id=post.post_id, post_author_id=post.subject_id
    )


def moderated(step: int, kind: Callable[..., E], what: PostPublished | CommentAdded, **fields: Any) -> E:
    """What a moderator, or a model, does about a post or comment."""
    if isinstance(what, PostPublished):
        about = {"content_id": what.post_id, "post_id": what.post_id, "post_author_id": what.subject_id}
    else:
        about = {"content_id": what.comment_id, "post_id": what.post_id, "post_author_id": what.post_author_id}
        if kind is not ContentScored:
            fields = {"parent_id": what.parent_id, **fields}
    return at(step, kind, what.subject_id, **about, **fields)


def scored(step: int, what: PostPublished | CommentAdded, score: int) -> ContentScored:
    return moderated(step, ContentScored, what, model="test-1", score=score)


def one_of_each_kind() -> list[Event]:
    """An event of every type, for what a fold must leave alone."""
    post = published(1, ANA)
    comment = commented(6, BEN, post)
    return [
        registered(2, ANA, "ana"), at(3, ProfileEdited, ANA, bio="x"), erased(4, DAN), post, deleted(5, post),
        edited(12, post), comment, comment_edited(13, comment), comment_deleted(14, comment),
        bookmarked(15, BEN, post), unbookmarked(16, BEN, post), liked(7, BEN, post), unliked(8, BEN, post),
        followed(9, BEN, ANA), unfollowed(10, BEN, ANA), at(11, NotificationsRead, ANA, up_to=identifier(9)),
        shared(17, BEN, post), unshared(18, BEN, post, 17), requested(19, BEN, ANA), approved(20, ANA, BEN),
        rejected(21, ANA, BEN), blocked(22, BEN, ANA), unblocked(23, BEN, ANA), muted(24, BEN, ANA),
        unmuted(25, BEN, ANA), at(26, RoleGranted, ANA, role="admin"), at(27, RoleRevoked, ANA, role="admin"),
        at(28, AccountDeactivated, ANA), at(29, AccountReactivated, ANA), at(30, UserSuspended, ANA),
        at(31, UserUnsuspended, ANA), at(32, ErasureRequested, ANA, erase_after=1), at(33, ErasureCancelled, ANA),
        moderated(34, ContentHeld, post), moderated(35, ContentHidden, comment), moderated(36, ContentRemoved, comment),
        moderated(37, ContentRestored, post), scored(38, post, 1), scored(39, comment, 1),
    ]  # fmt: skip


def delivered(fold: Callable[[Sequence[Event]], Changes], *events: Event) -> Changes:
    """What the fold answers, having been asked for the same in every way that may not matter.

    Redelivered and reversed, the changes are equal; in batches of one, they merge to the same.
    """
    changes = fold(events)
    assert fold([*events, *events]) == changes
    assert fold(events[::-1]) == changes
    merged: dict[str, dict[Key, dict[str, Any]]] = {}
    for each in (fold([event]) for event in (*events[::-1], *events)):
        for table, rows in each.rows.items():
            for key, groups in rows.items():
                known = merged.setdefault(table, {}).setdefault(key, {})
                for group, setting in groups.items():
                    known[group] = max(known.get(group, setting), setting, key=lambda pair: pair[0])
    assert merged == changes.rows
    return changes
