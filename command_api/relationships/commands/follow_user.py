"""A person follows another; following oneself is refused, following again changes nothing."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting
from schemas.types import UserFollowed
from shared.errors import Conflict, NotFound


class FollowUser(msgspec.Struct, frozen=True):
    actor_id: UUID
    followee_id: UUID


def reads(command: FollowUser) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=(command.followee_id,),
        follows=((command.actor_id, command.followee_id),),
    )


def decide(command: FollowUser, state: State) -> UserFollowed | Unchanged:
    acting(state, command.actor_id)
    if command.followee_id == command.actor_id:
        raise Conflict("nobody can follow themselves")
    if not state.is_active(command.followee_id):
        raise NotFound("there is no such person")
    before = state.follow(command.actor_id, command.followee_id)
    if before is not None and before.active:
        return Unchanged(before.last_event)
    return UserFollowed(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, followee_id=command.followee_id)
