"""Who follows, blocks and mutes whom, as the command side knows it; what was withdrawn stays as inactive."""

from uuid import UUID

import msgspec

from schemas.types import (
    FollowApproved,
    FollowRejected,
    FollowRequested,
    UserBlocked,
    UserFollowed,
    UserMuted,
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
)


class Follow(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `follow`; `requested` while the followee has still to answer."""

    follower_id: UUID
    followee_id: UUID
    active: bool
    last_event: UUID
    requested: bool = False


class Block(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `block`."""

    from_id: UUID
    to_id: UUID
    active: bool
    last_event: UUID


class Mute(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `mute`."""

    from_id: UUID
    to_id: UUID
    active: bool
    last_event: UUID


def follow_set(event: UserFollowed | UserUnfollowed | FollowRequested | FollowApproved | FollowRejected) -> Follow:
    """What settles a follow, either way, settles the request for it."""
    if isinstance(event, FollowApproved | FollowRejected):
        follower_id, followee_id = event.follower_id, event.subject_id
    else:
        follower_id, followee_id = event.subject_id, event.followee_id
    active = isinstance(event, UserFollowed | FollowApproved)
    return Follow(follower_id, followee_id, active, event.event_id, isinstance(event, FollowRequested))


def severed(event: UserBlocked) -> list[Follow]:
    """The follows and requests that a block ends."""
    pair = {event.subject_id: event.blocked_id, event.blocked_id: event.subject_id}
    return [Follow(one_id, pair[one_id], False, event.event_id) for one_id in event.severed_follower_ids]


def block_set(event: UserBlocked | UserUnblocked) -> Block:
    return Block(event.subject_id, event.blocked_id, isinstance(event, UserBlocked), event.event_id)


def mute_set(event: UserMuted | UserUnmuted) -> Mute:
    return Mute(event.subject_id, event.muted_id, isinstance(event, UserMuted), event.event_id)
