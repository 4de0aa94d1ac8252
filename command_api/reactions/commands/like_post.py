"""A person reacts to a post they may see; one reaction each, so another one takes the place of the first."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, visible
from command_api.reactions.state import LIKE, REACTIONS
from schemas.types import PostLiked
from shared.errors import FieldError, ValidationFailed


class LikePost(msgspec.Struct, frozen=True):
    actor_id: UUID
    post_id: UUID
    reaction: str = LIKE


def reads(command: LikePost) -> Reads:
    return Reads(actor_id=command.actor_id, posts=(command.post_id,), reactions=((command.post_id, command.actor_id),))


def decide(command: LikePost, state: State) -> PostLiked | Unchanged:
    acting(state, command.actor_id)
    if command.reaction not in REACTIONS:
        detail = f"must be one of {', '.join(REACTIONS)}"
        raise ValidationFailed(detail, [FieldError("/reaction", detail)])
    post = visible(state, command.post_id, command.actor_id)
    before = state.reaction(command.post_id, command.actor_id)
    if before is not None and before.active and before.reaction == command.reaction:
        return Unchanged(before.last_event)
    return PostLiked(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        post_id=post.post_id,
        post_author_id=post.author_id,
        reaction=command.reaction,
    )
