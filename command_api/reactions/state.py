"""Who reacted to which post and how, and who keeps which; what was withdrawn stays as inactive."""

from uuid import UUID

import msgspec

from schemas.types import PostBookmarked, PostLiked, PostUnbookmarked, PostUnliked

LIKE = "like"
REACTIONS = (LIKE, "love", "laugh", "wow", "sad", "angry")


class Reaction(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `reaction`; `reaction` is empty once it was withdrawn."""

    post_id: UUID
    actor_id: UUID
    active: bool
    reaction: str
    last_event: UUID


class Bookmark(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `bookmark`."""

    post_id: UUID
    actor_id: UUID
    active: bool
    last_event: UUID


def liked(event: PostLiked) -> Reaction:
    return Reaction(event.post_id, event.subject_id, True, event.reaction, event.event_id)


def unliked(event: PostUnliked) -> Reaction:
    return Reaction(event.post_id, event.subject_id, False, "", event.event_id)


def bookmark_set(event: PostBookmarked | PostUnbookmarked) -> Bookmark:
    return Bookmark(event.post_id, event.subject_id, isinstance(event, PostBookmarked), event.event_id)
