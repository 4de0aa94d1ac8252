"""A person mutes another no longer; without a mute nothing changes.

A block does not end a mute, so that a mute can be lifted also where the two do not see each other.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting
from schemas.types import UserUnmuted
from shared.errors import Conflict, NotFound


class UnmuteUser(msgspec.Struct, frozen=True):
    actor_id: UUID
    muted_id: UUID


def reads(command: UnmuteUser) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=(command.muted_id,),
        mutes=((command.actor_id, command.muted_id),),
    )


def decide(command: UnmuteUser, state: State) -> UserUnmuted | Unchanged:
    actor = acting(state, command.actor_id)
    if command.muted_id == command.actor_id:
        raise Conflict("nobody can mute themselves")
    if not state.is_active(command.muted_id):
        raise NotFound("there is no such person")
    before = state.mute(command.actor_id, command.muted_id)
    if before is None or not before.active:
        return Unchanged(before.last_event if before else actor.last_event)
    return UserUnmuted(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, muted_id=command.muted_id)
