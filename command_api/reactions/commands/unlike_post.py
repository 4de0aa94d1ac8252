"""A person withdraws their reaction; where there is none, nothing changes.

An own reaction can be withdrawn also from a post that may no longer be seen, as long as the post stands.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, standing, visible
from schemas.types import PostUnliked


class UnlikePost(msgspec.Struct, frozen=True):
    actor_id: UUID
    post_id: UUID


def reads(command: UnlikePost) -> Reads:
    return Reads(actor_id=command.actor_id, posts=(command.post_id,), reactions=((command.post_id, command.actor_id),))


def decide(command: UnlikePost, state: State) -> PostUnliked | Unchanged:
    acting(state, command.actor_id)
    before = state.reaction(command.post_id, command.actor_id)
    if before is None or not before.active:
        post = visible(state, command.post_id, command.actor_id)
        return Unchanged(before.last_event if before else post.last_event)
    post = standing(state, command.post_id)
    return PostUnliked(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        post_id=post.post_id,
        post_author_id=post.author_id,
    )
