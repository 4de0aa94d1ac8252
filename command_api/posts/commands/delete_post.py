"""A post is deleted by its author, for good; to others it does not exist or is not theirs to delete."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, visible
from schemas.types import PostDeleted
from shared.errors import Forbidden


class DeletePost(msgspec.Struct, frozen=True):
    actor_id: UUID
    post_id: UUID


def reads(command: DeletePost) -> Reads:
    return Reads(actor_id=command.actor_id, posts_exclusive=(command.post_id,))


def decide(command: DeletePost, state: State) -> PostDeleted | Unchanged:
    acting(state, command.actor_id)
    post = state.post(command.post_id)
    if post is not None and post.deleted and post.author_id == command.actor_id:
        return Unchanged(post.last_event)
    post = visible(state, command.post_id, command.actor_id)
    if post.author_id != command.actor_id:
        raise Forbidden("only its author may delete a post")
    return PostDeleted(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, post_id=post.post_id)
