"""A comment is added under a post that its author may see, on its own or in answer to a comment of the same post."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, acting, resolved, visible
from command_api.posts.content import check_content
from command_api.posts.state import Comment
from command_api.posts.text import with_mentions
from schemas.types import CommentAdded
from shared.errors import NotFound, ValidationFailed

CONTENT_CHARACTERS_MAX = 2_000


class AddComment(msgspec.Struct, frozen=True, kw_only=True):
    """`people` are those whom the text's names stand for, as far as anybody has them: (folded name, id)."""

    actor_id: UUID
    post_id: UUID
    content: str
    parent_id: UUID | None = None
    people: tuple[tuple[str, UUID], ...] = ()


def reads(command: AddComment) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=tuple(user_id for _, user_id in command.people),
        posts=(command.post_id,),
        comments=(command.parent_id,) if command.parent_id else (),
    )


def decide(command: AddComment, state: State) -> CommentAdded:
    acting(state, command.actor_id)
    errors = check_content(command.content, CONTENT_CHARACTERS_MAX)
    if errors:
        raise ValidationFailed(errors[0].detail, errors)
    post = visible(state, command.post_id, command.actor_id)
    parent = _parent(command, state) if command.parent_id else None
    content, mentioned_ids = with_mentions(command.content, resolved(state, command.actor_id, command.people))
    return CommentAdded(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        comment_id=UNMINTED,
        post_id=post.post_id,
        post_author_id=post.author_id,
        parent_id=parent.comment_id if parent else None,
        parent_author_id=parent.author_id if parent else None,
        content=content,
        mentioned_ids=mentioned_ids,
    )


def _parent(command: AddComment, state: State) -> Comment:
    parent = state.comment(command.parent_id) if command.parent_id else None
    if parent is None or parent.deleted or parent.post_id != command.post_id:
        raise NotFound("there is no such comment under this post")
    if not state.is_visible(parent.author_id, command.actor_id):
        raise NotFound("there is no such comment under this post")
    return parent
