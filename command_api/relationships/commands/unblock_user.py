"""A person lifts their block of another; nothing that it ended comes back, and without one nothing changes."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting
from schemas.types import UserUnblocked
from shared.errors import Conflict, NotFound


class UnblockUser(msgspec.Struct, frozen=True):
    actor_id: UUID
    blocked_id: UUID


def reads(command: UnblockUser) -> Reads:
    return Reads(actor_id=command.actor_id, counterparts=(command.blocked_id,))


def decide(command: UnblockUser, state: State) -> UserUnblocked | Unchanged:
    actor = acting(state, command.actor_id)
    if command.blocked_id == command.actor_id:
        raise Conflict("nobody can block themselves")
    if not state.is_active(command.blocked_id):
        raise NotFound("there is no such person")
    before = state.block(command.actor_id, command.blocked_id)
    if before is None or not before.active:
        return Unchanged(before.last_event if before else actor.last_event)
    return UserUnblocked(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, blocked_id=command.blocked_id)
