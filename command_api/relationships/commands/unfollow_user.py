"""A person follows another no longer, or asks no longer to; where they did neither, nothing changes."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, present
from schemas.types import UserUnfollowed
from shared.errors import Conflict


class UnfollowUser(msgspec.Struct, frozen=True):
    actor_id: UUID
    followee_id: UUID


def reads(command: UnfollowUser) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=(command.followee_id,),
        follows=((command.actor_id, command.followee_id),),
    )


def decide(command: UnfollowUser, state: State) -> UserUnfollowed | Unchanged:
    actor = acting(state, command.actor_id)
    if command.followee_id == command.actor_id:
        raise Conflict("nobody can follow themselves")
    present(state, command.followee_id, command.actor_id)
    before = state.follow(command.actor_id, command.followee_id)
    if before is None or not (before.active or before.requested):
        return Unchanged(before.last_event if before else actor.last_event)
    return UserUnfollowed(
        event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, followee_id=command.followee_id
    )
