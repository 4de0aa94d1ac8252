"""A person blocks another: neither sees the other any more, and follows and requests between them end.

Blocking again changes nothing, oneself one cannot block, and who is blocked may block in turn.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting
from schemas.types import UserBlocked
from shared.errors import Conflict, NotFound


class BlockUser(msgspec.Struct, frozen=True):
    actor_id: UUID
    blocked_id: UUID


def reads(command: BlockUser) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        counterparts=(command.blocked_id,),
        follows=((command.actor_id, command.blocked_id), (command.blocked_id, command.actor_id)),
    )


def decide(command: BlockUser, state: State) -> UserBlocked | Unchanged:
    acting(state, command.actor_id)
    if command.blocked_id == command.actor_id:
        raise Conflict("nobody can block themselves")
    if not state.is_active(command.blocked_id):
        raise NotFound("there is no such person")
    state.are_apart(command.actor_id, command.blocked_id)  # so that this is newer than what the other did last
    before = state.block(command.actor_id, command.blocked_id)
    if before is not None and before.active:
        return Unchanged(before.last_event)
    follows = (
        state.follow(command.actor_id, command.blocked_id),
        state.follow(command.blocked_id, command.actor_id),
    )
    return UserBlocked(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        blocked_id=command.blocked_id,
        severed_follower_ids=tuple(
            follow.follower_id for follow in follows if follow is not None and (follow.active or follow.requested)
        ),
    )
