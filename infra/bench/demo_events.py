"""What the demo's people do as events, appended without the commands that would decide them."""

from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from command_api.posts.text import hashtags_in
from infra.bench.events import Log, key_of
from infra.demo.generate import COMMENT, DAY, LIKE, POST, POSTS_PER_PERSON, REACTIONS, Plan
from infra.demo.words import post as text_of_post
from schemas.types import CommentAdded, Event, PostLiked, PostPublished, UserFollowed, UserRegistered
from shared.crypto import wrap
from shared.environment import Environment
from shared.ids import mint

OLDER_DAYS = 60  # so far back do the further posts lie


def append(where: Environment, plan: Plan, events: Iterator[Event]) -> int:
    """Appends these events of the plan's people, whose keys are kept from the first call on; answers how many."""
    log, master_key = Log(where), bytes.fromhex(where.secrets["master_key"])
    with psycopg.connect(where.vault_database_url, autocommit=True) as vault, vault.cursor() as cursor:
        for person in plan.people:
            key = key_of(person.user_id)
            log.add_key(person.user_id, key)
            cursor.execute(
                "insert into subject_key (subject_id, wrapped) values (%s, %s) on conflict do nothing",
                (person.user_id, wrap(master_key, person.user_id, key)),
            )
    count = 0
    for event in events:
        log.append(event)
        count += 1
    log.flush()
    return count


def of_plan(plan: Plan, seed: int) -> Iterator[Event]:
    """Everything that the demo does, but for mentions, each event under an id of its own time."""
    random = Random(f"{seed} demo")
    people = [person.user_id for person in plan.people]
    for person in plan.people:
        yield UserRegistered(
            event_id=person.user_id,
            occurred_at=person.at,
            subject_id=person.user_id,
            username=person.username,
            display_name=person.display_name,
        )
    for follow in plan.follows:
        yield UserFollowed(
            followee_id=people[follow.followee], **_shared_fields(follow.at, people[follow.follower], random)
        )
    posts: dict[int, UUID] = {}
    comments: dict[int, UUID] = {}
    for action in plan.actions:
        fields = _shared_fields(action.at, people[action.actor], random)
        if action.kind == POST:
            post = plan.posts[action.target]
            posts[action.target] = fields["event_id"]
            further = {
                "reply_to": (post.reply_to, "reply_to_id", "reply_to_author_id"),
                "quote_of": (post.quote_of, "quote_of_id", "quote_of_author_id"),
            }
            named = {
                field: value
                for index, id_field, author_field in further.values()
                if index is not None
                for field, value in ((id_field, posts[index]), (author_field, people[plan.posts[index].author]))
            }
            yield _published(fields, post.text, post.visibility, **named)
        elif action.kind == LIKE:
            author = people[plan.posts[action.target].author]
            yield PostLiked(
                post_id=posts[action.target], post_author_id=author, reaction=REACTIONS[action.reaction], **fields
            )
        elif action.kind == COMMENT:
            comment = plan.comments[action.target]
            comments[action.target] = fields["event_id"]
            parent = comment.parent
            yield CommentAdded(
                comment_id=fields["event_id"],
                post_id=posts[comment.post],
                post_author_id=people[plan.posts[comment.post].author],
                parent_id=comments[parent] if parent is not None else None,
                parent_author_id=people[plan.comments[parent].author] if parent is not None else None,
                content=comment.text,
                **fields,
            )


def further_posts(plan: Plan, times: int, seed: int) -> Iterator[Event]:
    """`times` as many posts again, older than the demo's, by the same people as often as they post there."""
    random = Random(f"{seed} further")
    authors = [plan.people[post.author].user_id for post in plan.posts]
    begin = plan.people[0].at - OLDER_DAYS * DAY
    for _ in range(times * len(plan.people) * POSTS_PER_PERSON):
        at = begin + random.randrange(OLDER_DAYS * DAY)
        yield _published(_shared_fields(at, random.choice(authors), random), text_of_post(random, None), "public")


def _published(fields: dict[str, Any], text: str, visibility: str, **further: Any) -> Event:
    return PostPublished(
        post_id=fields["event_id"],
        content=text,
        visibility=visibility,
        language="en",
        hashtags=" ".join(hashtags_in(text)),
        **fields,
        **further,
    )


def _shared_fields(at: int, subject_id: UUID, random: Random) -> dict[str, Any]:
    return {"event_id": mint(at, random=random.randbytes(8)), "occurred_at": at, "subject_id": subject_id}
