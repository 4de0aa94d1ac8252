"""Whom one event tells what, said for each event by itself: what notifications are made of."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from schemas.types import (
    CommentAdded,
    CommentEdited,
    Event,
    PostEdited,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnliked,
    PostUnshared,
    UserFollowed,
    UserUnfollowed,
)

# A notification's id is uuid5 of recipient, actor, verb and target in this namespace; clients keep these ids, so it
# never changes.
NAMESPACE = UUID("5f0f5c1e-7c33-5d0c-9b0a-6b1f0d3b9a51")
EVENTS_THAT_TELL: tuple[type[Any], ...] = (
    PostLiked, PostUnliked, UserFollowed, UserUnfollowed, CommentAdded, CommentEdited, PostPublished, PostEdited,
    PostShared, PostUnshared,
)  # fmt: skip


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
    """Whom one event tells what: at most one cause per recipient, and none to the actor."""
    told: list[tuple[UUID | None, str, str, UUID, UUID | None]] = []
    match event:
        case UserFollowed() | UserUnfollowed():
            told = [(event.followee_id, "follow", "user", event.followee_id, None)]
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
    return (
        Cause(
            recipient_id, event.subject_id, verb, target_type, target_id, post_id,
            {"reaction": event.reaction} if isinstance(event, PostLiked) else {},
            not isinstance(event, PostUnliked | PostUnshared | UserUnfollowed), event.event_id, event.occurred_at,
        )
        for recipient_id, verb, target_type, target_id, post_id in first.values()
        if recipient_id is not None and recipient_id != event.subject_id
    )  # fmt: skip
