"""Given events, when a command, then an event, nothing, or a refusal: one decision at a time, without any server."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from command_api.decision import Unchanged, state_of
from command_api.routing import HANDLERS, Command
from schemas.types import (
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    Event,
    FollowApproved,
    FollowRejected,
    FollowRequested,
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
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
)
from shared.errors import Rejected
from shared.ids import NIL, mint, time_of

EPOCH_MICROS = 1_790_000_000_000_000


def identifier(number: int) -> UUID:
    """The same id for the same number, growing with it."""
    return mint(EPOCH_MICROS + number, random=number.to_bytes(8, "big"))


ANA, BEN, CLEO, NOBODY = (identifier(number) for number in range(1, 5))


def _times(event_id: UUID, subject_id: UUID) -> dict[str, Any]:
    return {"event_id": event_id, "occurred_at": time_of(event_id), "subject_id": subject_id}


def registered(user_id: UUID, number: int = 0) -> UserRegistered:
    event_id = identifier(100 + (number or user_id.int % 100))
    return UserRegistered(**_times(event_id, user_id), username="somebody", display_name="Somebody")


def erased(user_id: UUID, number: int = 900) -> UserErased:
    return UserErased(**_times(identifier(number), user_id))


def role_granted(user_id: UUID, role: str = "admin", number: int = 150) -> RoleGranted:
    return RoleGranted(**_times(identifier(number), user_id), role=role)


def role_revoked(user_id: UUID, role: str = "admin", number: int = 160) -> RoleRevoked:
    return RoleRevoked(**_times(identifier(number), user_id), role=role)


def followed(follower_id: UUID, followee_id: UUID, number: int = 200) -> UserFollowed:
    return UserFollowed(**_times(identifier(number), follower_id), followee_id=followee_id)


def unfollowed(follower_id: UUID, followee_id: UUID, number: int = 201) -> UserUnfollowed:
    return UserUnfollowed(**_times(identifier(number), follower_id), followee_id=followee_id)


def made_private(user_id: UUID, private: bool = True, number: int = 150) -> ProfileEdited:
    return ProfileEdited(**_times(identifier(number), user_id), private=private)


def requested(follower_id: UUID, followee_id: UUID, number: int = 210) -> FollowRequested:
    return FollowRequested(**_times(identifier(number), follower_id), followee_id=followee_id)


def approved(followee_id: UUID, follower_id: UUID, number: int = 220) -> FollowApproved:
    return FollowApproved(**_times(identifier(number), followee_id), follower_id=follower_id)


def rejected(followee_id: UUID, follower_id: UUID, number: int = 221) -> FollowRejected:
    return FollowRejected(**_times(identifier(number), followee_id), follower_id=follower_id)


def blocked(
    blocker_id: UUID, blocked_id: UUID, severed_follower_ids: tuple[UUID, ...] = (), number: int = 230
) -> UserBlocked:
    return UserBlocked(
        **_times(identifier(number), blocker_id),
        blocked_id=blocked_id,
        severed_follower_ids=severed_follower_ids,
    )


def unblocked(blocker_id: UUID, blocked_id: UUID, number: int = 240) -> UserUnblocked:
    return UserUnblocked(**_times(identifier(number), blocker_id), blocked_id=blocked_id)


def muted(muter_id: UUID, muted_id: UUID, number: int = 250) -> UserMuted:
    return UserMuted(**_times(identifier(number), muter_id), muted_id=muted_id)


def unmuted(muter_id: UUID, muted_id: UUID, number: int = 251) -> UserUnmuted:
    return UserUnmuted(**_times(identifier(number), muter_id), muted_id=muted_id)


def published(
    author_id: UUID, visibility: str = "public", number: int = 300, mentioned_ids: tuple[UUID, ...] = ()
) -> PostPublished:
    event_id = identifier(number)
    return PostPublished(
        **_times(event_id, author_id),
        post_id=event_id,
        content="text",
        hashtags="",
        visibility=visibility,
        mentioned_ids=mentioned_ids,
    )


def edited(post: PostPublished, content: str, mentioned_ids: tuple[UUID, ...] = (), number: int = 600) -> PostEdited:
    return PostEdited(
        **_times(identifier(number), post.subject_id),
        post_id=post.post_id,
        content=content,
        hashtags="",
        mentioned_ids=mentioned_ids,
    )


def post_deleted(post: PostPublished, number: int = 700) -> PostDeleted:
    return PostDeleted(**_times(identifier(number), post.subject_id), post_id=post.post_id)


def commented(
    author_id: UUID,
    post: PostPublished,
    number: int = 400,
    parent: CommentAdded | None = None,
    mentioned_ids: tuple[UUID, ...] = (),
) -> CommentAdded:
    event_id = identifier(number)
    return CommentAdded(
        **_times(event_id, author_id),
        comment_id=event_id,
        post_id=post.post_id,
        post_author_id=post.subject_id,
        parent_id=parent.comment_id if parent else None,
        parent_author_id=parent.subject_id if parent else None,
        content="text",
        mentioned_ids=mentioned_ids,
    )


def comment_edited(
    comment: CommentAdded, content: str, mentioned_ids: tuple[UUID, ...] = (), number: int = 610
) -> CommentEdited:
    return CommentEdited(
        **_times(identifier(number), comment.subject_id),
        comment_id=comment.comment_id,
        post_id=comment.post_id,
        post_author_id=comment.post_author_id,
        content=content,
        mentioned_ids=mentioned_ids,
    )


def comment_deleted(comment: CommentAdded, number: int = 620) -> CommentDeleted:
    return CommentDeleted(
        **_times(identifier(number), comment.subject_id),
        comment_id=comment.comment_id,
        post_id=comment.post_id,
        post_author_id=comment.post_author_id,
    )


def bookmarked(actor_id: UUID, post: PostPublished, number: int = 510) -> PostBookmarked:
    return PostBookmarked(**_times(identifier(number), actor_id), post_id=post.post_id, post_author_id=post.subject_id)


def unbookmarked(actor_id: UUID, post: PostPublished, number: int = 511) -> PostUnbookmarked:
    return PostUnbookmarked(
        **_times(identifier(number), actor_id), post_id=post.post_id, post_author_id=post.subject_id
    )


def liked(actor_id: UUID, post: PostPublished, reaction: str = "like", number: int = 500) -> PostLiked:
    return PostLiked(
        **_times(identifier(number), actor_id),
        post_id=post.post_id,
        post_author_id=post.subject_id,
        reaction=reaction,
    )


def unliked(actor_id: UUID, post: PostPublished, number: int = 501) -> PostUnliked:
    return PostUnliked(**_times(identifier(number), actor_id), post_id=post.post_id, post_author_id=post.subject_id)


def shared(actor_id: UUID, post: PostPublished, number: int = 520) -> PostShared:
    event_id = identifier(number)
    return PostShared(
        **_times(event_id, actor_id), share_id=event_id, post_id=post.post_id, post_author_id=post.subject_id
    )


def unshared(share: PostShared, number: int = 521) -> PostUnshared:
    return PostUnshared(
        **_times(identifier(number), share.subject_id),
        share_id=share.share_id,
        post_id=share.post_id,
        post_author_id=share.post_author_id,
    )


EVERYBODY = (registered(ANA), registered(BEN), registered(CLEO))


def decided(given: Iterable[Event], when: Command) -> Event | Unchanged:
    """What is decided; the given people are ANA, BEN and CLEO beside the events."""
    return HANDLERS[type(when)].decide(when, state_of([*EVERYBODY, *given]))


def then(given: Iterable[Event], when: Command, **expected: Any) -> Event:
    """The draft that is decided, which has no id yet and these fields."""
    draft = decided(given, when)
    assert not isinstance(draft, Unchanged), draft
    assert draft.event_id == NIL and draft.occurred_at == 0
    fields = msgspec.structs.asdict(draft)
    assert {name: fields[name] for name in expected} == expected
    return draft


def unchanged(given: Iterable[Event], when: Command, since: Event) -> None:
    assert decided(given, when) == Unchanged(since.event_id)


def refused(given: Iterable[Event], when: Command, error: type[Rejected], pointer: str | None = None) -> None:
    with pytest.raises(error) as raised:
        decided(given, when)
    if pointer is not None:
        assert pointer in [one.pointer for one in raised.value.errors]
