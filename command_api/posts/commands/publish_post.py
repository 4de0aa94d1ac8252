"""A post is published: what it answers and quotes is visible to its author, and whom it mentions is there."""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, acting, resolved, visible
from command_api.posts.content import check_content
from command_api.posts.state import PUBLIC, VISIBILITIES
from command_api.posts.text import all_hashtags, is_hashtag, with_mentions
from schemas.types import PostPublished
from shared.errors import FieldError, ValidationFailed

CONTENT_CHARACTERS_MAX = 5_000
MEDIA_MAX = 4
HASHTAGS_GIVEN_MAX = 30


class PublishPost(msgspec.Struct, frozen=True, kw_only=True):
    """`people` are those whom the text's names stand for, as far as anybody has them: (folded name, id)."""

    actor_id: UUID
    content: str
    visibility: str = PUBLIC
    language: str | None = None
    hashtags: tuple[str, ...] = ()
    media_ids: tuple[UUID, ...] = ()
    reply_to: UUID | None = None
    quote_of: UUID | None = None
    people: tuple[tuple[str, UUID], ...] = ()


def reads(command: PublishPost) -> Reads:
    return Reads(
        actor_id=command.actor_id,
        accounts=tuple(user_id for _, user_id in command.people),
        posts=tuple(post_id for post_id in (command.reply_to, command.quote_of) if post_id),
    )


def decide(command: PublishPost, state: State) -> PostPublished:
    acting(state, command.actor_id)
    _check(command)
    answered = visible(state, command.reply_to, command.actor_id) if command.reply_to else None
    quoted = visible(state, command.quote_of, command.actor_id) if command.quote_of else None
    content, mentioned_ids = with_mentions(command.content, resolved(state, command.actor_id, command.people))
    return PostPublished(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        post_id=UNMINTED,
        content=content,
        hashtags=" ".join(all_hashtags(command.content, command.hashtags)),
        visibility=command.visibility,
        language=command.language,
        mentioned_ids=mentioned_ids,
        reply_to_id=answered.post_id if answered else None,
        reply_to_author_id=answered.author_id if answered else None,
        quote_of_id=quoted.post_id if quoted else None,
        quote_of_author_id=quoted.author_id if quoted else None,
    )


def check_hashtags(words: tuple[str, ...]) -> list[FieldError]:
    """What is wrong with the hashtags given beside a text."""
    errors = []
    if len(words) > HASHTAGS_GIVEN_MAX:
        errors.append(FieldError("/hashtags", f"at most {HASHTAGS_GIVEN_MAX}"))
    for index, word in enumerate(words):
        if not is_hashtag(word):
            errors.append(FieldError(f"/hashtags/{index}", "must be one word of letters, digits and _"))
    return errors


def _check(command: PublishPost) -> None:
    errors = check_content(command.content, CONTENT_CHARACTERS_MAX)
    if command.visibility not in VISIBILITIES:
        errors.append(FieldError("/visibility", f"must be one of {', '.join(VISIBILITIES)}"))
    if len(command.media_ids) > MEDIA_MAX:
        errors.append(FieldError("/media_ids", f"at most {MEDIA_MAX}"))
    # There are no media yet, so that none can be known.
    errors += [FieldError(f"/media_ids/{index}", "unknown media") for index in range(len(command.media_ids))]
    errors += check_hashtags(command.hashtags)
    if errors:
        raise ValidationFailed(errors[0].detail, errors)
