"""A person mutes another whom they may see, unnoticed; muting again changes nothing, and oneself one cannot."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, present
from schemas.types import UserMuted
from shared.errors import Conflict


class MuteUser(msgspec.Struct, frozen=True):
    actor_id: UUID
    muted_id: UUID


def reads(command: MuteUser) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=(command.muted_id,),
        mutes=((command.actor_id, command.muted_id),),
    )


def decide(command: MuteUser, state: State) -> UserMuted | Unchanged:
    acting(state, command.actor_id)
    if command.muted_id == command.actor_id:
        raise Conflict("nobody can mute themselves")
    present(state, command.muted_id, command.actor_id)
    before = state.mute(command.actor_id, command.muted_id)
    if before is not None and before.active:
        return Unchanged(before.last_event)
    return UserMuted(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, muted_id=command.muted_id)
