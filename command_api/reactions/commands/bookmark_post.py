"""A person keeps a post that they may see, for themselves; keeping it again changes nothing."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, visible
from schemas.types import PostBookmarked


class BookmarkPost(msgspec.Struct, frozen=True):
    actor_id: UUID
    post_id: UUID


def reads(command: BookmarkPost) -> Reads:
    return Reads(actor_id=command.actor_id, posts=(command.post_id,), bookmarks=((command.post_id, command.actor_id),))


def decide(command: BookmarkPost, state: State) -> PostBookmarked | Unchanged:
    acting(state, command.actor_id)
    post = visible(state, command.post_id, command.actor_id)
    before = state.bookmark(command.post_id, command.actor_id)
    if before is not None and before.active:
        return Unchanged(before.last_event)
    return PostBookmarked(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        post_id=post.post_id,
        post_author_id=post.author_id,
    )
