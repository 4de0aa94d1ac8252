"""A person withdraws their share of a post; where there is none, nothing changes.

An own share can be withdrawn also from a post that may no longer be seen, as long as the post stands.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, standing, visible
from schemas.types import PostUnshared


class UnsharePost(msgspec.Struct, frozen=True):
    actor_id: UUID
    post_id: UUID


def reads(command: UnsharePost) -> Reads:
    return Reads(actor_id=command.actor_id, posts=(command.post_id,), shares=((command.post_id, command.actor_id),))


def decide(command: UnsharePost, state: State) -> PostUnshared | Unchanged:
    acting(state, command.actor_id)
    before = state.share(command.post_id, command.actor_id)
    if before is None or not before.active:
        post = visible(state, command.post_id, command.actor_id)
        return Unchanged(before.last_event if before else post.last_event)
    post = standing(state, command.post_id)
    return PostUnshared(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        share_id=before.share_id,
        post_id=post.post_id,
        post_author_id=post.author_id,
    )
