"""A person follows another, or asks to where they approve their followers; again changes nothing.

Following oneself is refused. Who asked a private account which is public by now follows at once by following again.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, present
from schemas.types import FollowRequested, UserFollowed
from shared.errors import Conflict


class FollowUser(msgspec.Struct, frozen=True):
    actor_id: UUID
    followee_id: UUID


def reads(command: FollowUser) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=(command.followee_id,),
        follows=((command.actor_id, command.followee_id),),
    )


def decide(command: FollowUser, state: State) -> UserFollowed | FollowRequested | Unchanged:
    acting(state, command.actor_id)
    if command.followee_id == command.actor_id:
        raise Conflict("nobody can follow themselves")
    followee = present(state, command.followee_id, command.actor_id)
    before = state.follow(command.actor_id, command.followee_id)
    if before is not None and (before.active or (before.requested and followee.private)):
        return Unchanged(before.last_event)
    event = FollowRequested if followee.private else UserFollowed
    return event(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, followee_id=command.followee_id)
