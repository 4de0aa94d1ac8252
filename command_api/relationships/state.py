"""Who follows whom, as the command side knows it; an edge that was withdrawn stays as inactive."""

from uuid import UUID

import msgspec

from schemas.types import UserFollowed, UserUnfollowed


class Follow(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `follow`."""

    follower_id: UUID
    followee_id: UUID
    active: bool
    last_event: UUID


def follow_set(event: UserFollowed | UserUnfollowed) -> Follow:
    return Follow(event.subject_id, event.followee_id, isinstance(event, UserFollowed), event.event_id)
