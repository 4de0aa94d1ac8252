"""Whom one event tells what, said for each event by itself: what notifications are made of."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from schemas.types import (
    CommentAdded,
    CommentEdited,
    Event,
    FollowApproved,
    FollowRejected,
    FollowRequested,
    PostEdited,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnliked,
    PostUnshared,
    UserBlocked,
    UserFollowed,
    UserUnfollowed,
)

# A notification's id is uuid5 of recipient, actor, verb and target in this namespace; clients keep these ids, so it
# never changes.
NAMESPACE = UUID("5f0f5c1e-7c33-5d0c-9b0a-6b1f0d3b9a51")
EVENTS_THAT_TELL: tuple[type[Any], ...] = (
    PostLiked, PostUnliked, UserFollowed, UserUnfollowed, FollowRequested, FollowApproved, FollowRejected, UserBlocked,
    CommentAdded, CommentEdited, PostPublished, PostEdited, PostShared, PostUnshared,
)  # fmt: skip
FOLLOW_VERBS = ("follow", "follow_request", "follow_approved")


class Cause(NamedTuple):
    """One event's reason to tell `recipient_id` something, or, when not `active`, to take that back."""

    recipient_id: UUID
    actor_id: UUID
    verb: str
    target_type: str
    target_id: UUID
    post_id: UUID | None
    data: dict[str, str]
    active: bool
    event_id: UUID
    occurred_at: int

    @property
    def notification_id(self) -> UUID:
        return uuid5(NAMESPACE, f"{self.recipient_id.hex}:{self.actor_id.hex}:{self.verb}:{self.target_id.hex}")


def causes_of(event: Event) -> Iterator[Cause]:
    """Whom one event tells what, or of what it takes back the news.

    It tells at most one thing per recipient, and none to the actor.
    """
    yield from _causes_by_follows(event)
    told: list[tuple[UUID | None, str, str, UUID, UUID | None]] = []
    match event:
        case PostLiked() | PostUnliked():
            told = [(event.post_author_id, "like", "post", event.post_id, event.post_id)]
        case PostShared() | PostUnshared():
            told = [(event.post_author_id, "share", "post", event.post_id, event.post_id)]
        case CommentAdded():
            told = [
                (event.parent_author_id, "reply", "comment", event.comment_id, event.post_id),
                (event.post_author_id, "comment", "comment", event.comment_id, event.post_id),
                *((user_id, "mention", "comment", event.comment_id, event.post_id) for user_id in event.mentioned_ids),
            ]
        case CommentEdited():
            told = [
                (user_id, "mention", "comment", event.comment_id, event.post_id)
                for user_id in event.newly_mentioned_ids
            ]
        case PostEdited():
            told = [(user_id, "mention", "post", event.post_id, event.post_id) for user_id in event.newly_mentioned_ids]
        case PostPublished():
            told = [
                (event.reply_to_author_id, "reply", "post", event.post_id, event.post_id),
                (event.quote_of_author_id, "quote", "post", event.post_id, event.post_id),
                *((user_id, "mention", "post", event.post_id, event.post_id) for user_id in event.mentioned_ids),
            ]
    # The first verb for a recipient stands: a dict of the reversed list keeps exactly that one.
    first = {entry[0]: entry for entry in reversed(told)}
    yield from (
        Cause(
            recipient_id, event.subject_id, verb, target_type, target_id, post_id,
            {"reaction": event.reaction} if isinstance(event, PostLiked) else {},
            not isinstance(event, PostUnliked | PostUnshared), event.event_id, event.occurred_at,
        )
        for recipient_id, verb, target_type, target_id, post_id in first.values()
        if recipient_id is not None and recipient_id != event.subject_id
    )  # fmt: skip


def _causes_by_follows(event: Event) -> Iterator[Cause]:
    """What the two people of a follow are told of it and of the request for it, and what ends each piece of news."""
    said: list[tuple[UUID, UUID, dict[str, bool]]] = []  # follower, followee, verb -> whether it stands
    match event:
        case UserFollowed():
            said = [(event.subject_id, event.followee_id, {"follow": True, "follow_request": False})]
        case UserUnfollowed():
            said = [(event.subject_id, event.followee_id, dict.fromkeys(FOLLOW_VERBS, False))]
        case FollowRequested():
            said = [(event.subject_id, event.followee_id, {"follow_request": True})]
        case FollowApproved():
            said = [(event.follower_id, event.subject_id, {"follow_request": False, "follow_approved": True})]
        case FollowRejected():
            said = [(event.follower_id, event.subject_id, {"follow_request": False})]
        case UserBlocked(subject_id=one, blocked_id=other):
            said = [(*pair, dict.fromkeys(FOLLOW_VERBS, False)) for pair in ((one, other), (other, one))]
    for follower_id, followee_id, verbs in said:
        for verb, active in verbs.items():
            people = (follower_id, followee_id) if verb == "follow_approved" else (followee_id, follower_id)
            yield Cause(*people, verb, "user", followee_id, None, {}, active, event.event_id, event.occurred_at)
