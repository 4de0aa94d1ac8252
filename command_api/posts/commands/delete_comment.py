"""A comment is deleted by its author, for good; what answers it stays.

To others it does not exist or is not theirs to delete. An own comment can be deleted also under a post that may no
longer be seen, as long as the post stands.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, own_comment
from schemas.types import CommentDeleted


class DeleteComment(msgspec.Struct, frozen=True):
    actor_id: UUID
    comment_id: UUID


def reads(command: DeleteComment) -> Reads:
    return Reads(actor_id=command.actor_id, comments_exclusive=(command.comment_id,))


def decide(command: DeleteComment, state: State) -> CommentDeleted | Unchanged:
    acting(state, command.actor_id)
    comment, post = own_comment(state, command.comment_id, command.actor_id, "delete")
    if comment.deleted:
        return Unchanged(comment.last_event)
    return CommentDeleted(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        comment_id=comment.comment_id,
        post_id=post.post_id,
        post_author_id=post.author_id,
        parent_id=comment.parent_id,
        parent_author_id=comment.parent_author_id,
        mentioned_ids=tuple(comment.mentioned_ids),
    )
