"""A person keeps a post no longer; where they did not, nothing changes.

What one keeps can be let go whatever has become of the post: the list shows also what is not available any more.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, visible
from schemas.types import PostUnbookmarked
from shared.errors import NotFound


class UnbookmarkPost(msgspec.Struct, frozen=True):
    actor_id: UUID
    post_id: UUID


def reads(command: UnbookmarkPost) -> Reads:
    return Reads(actor_id=command.actor_id, posts=(command.post_id,), bookmarks=((command.post_id, command.actor_id),))


def decide(command: UnbookmarkPost, state: State) -> PostUnbookmarked | Unchanged:
    acting(state, command.actor_id)
    before = state.bookmark(command.post_id, command.actor_id)
    if before is None:
        return Unchanged(visible(state, command.post_id, command.actor_id).last_event)
    if not before.active:
        return Unchanged(before.last_event)
    post = state.post(command.post_id)
    if post is None:
        raise NotFound("there is no such post")
    return PostUnbookmarked(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        post_id=post.post_id,
        post_author_id=post.author_id,
    )
