"""A comment's text is changed by its author; the same text again changes nothing, and only new mentions are told.

Under a post that its author may no longer see a comment is not edited; deleted it can be.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, own_comment, resolved, visible
from command_api.posts.commands.add_comment import CONTENT_CHARACTERS_MAX
from command_api.posts.content import check_content
from command_api.posts.state import newly_mentioned, text_digest
from command_api.posts.text import with_mentions
from schemas.types import CommentEdited
from shared.errors import NotFound, ValidationFailed


class EditComment(msgspec.Struct, frozen=True, kw_only=True):
    """`people` are those whom the text's names stand for, as far as anybody has them: (folded name, id)."""

    actor_id: UUID
    comment_id: UUID
    content: str
    people: tuple[tuple[str, UUID], ...] = ()


def reads(command: EditComment) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=tuple(user_id for _, user_id in command.people),
        comments=(command.comment_id,),
    )


def decide(command: EditComment, state: State) -> CommentEdited | Unchanged:
    acting(state, command.actor_id)
    errors = check_content(command.content, CONTENT_CHARACTERS_MAX)
    if errors:
        raise ValidationFailed(errors[0].detail, errors)
    comment, _ = own_comment(state, command.comment_id, command.actor_id, "edit")
    post = visible(state, comment.post_id, command.actor_id)
    if comment.deleted:
        raise NotFound("there is no such comment")
    content, mentioned_ids = with_mentions(command.content, resolved(state, command.actor_id, command.people))
    if text_digest(comment.comment_id, content) == comment.digest:
        return Unchanged(comment.last_event)
    return CommentEdited(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        comment_id=comment.comment_id,
        post_id=comment.post_id,
        post_author_id=post.author_id,
        content=content,
        mentioned_ids=mentioned_ids,
        newly_mentioned_ids=newly_mentioned(comment.mentioned_ids, mentioned_ids),
    )
