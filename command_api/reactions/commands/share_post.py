"""A person passes a post that they may see on to their followers; sharing it again changes nothing."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, visible
from schemas.types import PostShared


class SharePost(msgspec.Struct, frozen=True):
    actor_id: UUID
    post_id: UUID


def reads(command: SharePost) -> Reads:
    return Reads(actor_id=command.actor_id, posts=(command.post_id,), shares=((command.post_id, command.actor_id),))


def decide(command: SharePost, state: State) -> PostShared | Unchanged:
    acting(state, command.actor_id)
    post = visible(state, command.post_id, command.actor_id)
    before = state.share(command.post_id, command.actor_id)
    if before is not None and before.active:
        return Unchanged(before.last_event)
    return PostShared(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        share_id=UNMINTED,
        post_id=post.post_id,
        post_author_id=post.author_id,
    )
