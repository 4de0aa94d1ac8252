"""A post's text is changed by its author; the same text again changes nothing, and only new mentions are told."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting, resolved, visible
from command_api.posts.commands.publish_post import CONTENT_CHARACTERS_MAX, check_hashtags
from command_api.posts.content import check_content
from command_api.posts.state import newly_mentioned, text_digest
from command_api.posts.text import all_hashtags, with_mentions
from schemas.types import PostEdited
from shared.errors import Forbidden, ValidationFailed


class EditPost(msgspec.Struct, frozen=True, kw_only=True):
    """`people` are those whom the text's names stand for, as far as anybody has them: (folded name, id)."""

    actor_id: UUID
    post_id: UUID
    content: str
    hashtags: tuple[str, ...] = ()
    people: tuple[tuple[str, UUID], ...] = ()


def reads(command: EditPost) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=tuple(user_id for _, user_id in command.people),
        posts=(command.post_id,),
    )


def decide(command: EditPost, state: State) -> PostEdited | Unchanged:
    acting(state, command.actor_id)
    errors = [*check_content(command.content, CONTENT_CHARACTERS_MAX), *check_hashtags(command.hashtags)]
    if errors:
        raise ValidationFailed(errors[0].detail, errors)
    post = visible(state, command.post_id, command.actor_id)
    if post.author_id != command.actor_id:
        raise Forbidden("only its author may edit a post")
    content, mentioned_ids = with_mentions(command.content, resolved(state, command.actor_id, command.people))
    hashtags = " ".join(all_hashtags(command.content, command.hashtags))
    if text_digest(post.post_id, content, hashtags) == post.digest:
        return Unchanged(post.last_event)
    return PostEdited(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        post_id=post.post_id,
        content=content,
        hashtags=hashtags,
        mentioned_ids=mentioned_ids,
        newly_mentioned_ids=newly_mentioned(post.mentioned_ids, mentioned_ids),
    )
