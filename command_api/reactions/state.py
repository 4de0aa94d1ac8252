"""Who reacted to which post and how, who keeps which, and who shared which; what was withdrawn stays as inactive."""

from uuid import UUID

import msgspec

from schemas.types import PostBookmarked, PostLiked, PostShared, PostUnbookmarked, PostUnliked, PostUnshared

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


class Share(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `share`; `share_id` is the newest share's, whether or not it was withdrawn."""

    post_id: UUID
    actor_id: UUID
    active: bool
    share_id: UUID
    last_event: UUID


def liked(event: PostLiked) -> Reaction:
    return Reaction(event.post_id, event.subject_id, True, event.reaction, event.event_id)


def unliked(event: PostUnliked) -> Reaction:
    return Reaction(event.post_id, event.subject_id, False, "", event.event_id)


def bookmark_set(event: PostBookmarked | PostUnbookmarked) -> Bookmark:
    return Bookmark(event.post_id, event.subject_id, isinstance(event, PostBookmarked), event.event_id)


def share_set(event: PostShared | PostUnshared) -> Share:
    return Share(event.post_id, event.subject_id, isinstance(event, PostShared), event.share_id, event.event_id)
