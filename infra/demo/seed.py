"""The plan's commands go the way of every command, in batches: decide, guards, outbox, log; no table is written here.

Whether there is anything (left) to do is read from the command side's own rows, see progress.py. The moment a plan was
made for is in its first person's id, so that a seeding cut short goes on with the very same plan.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")
django.setup()

from command_api.accounts import access_tokens  # noqa: E402
from command_api.accounts.registration import register_batch  # noqa: E402
from command_api.dispatch import Outcome, dispatch_batch  # noqa: E402
from command_api.event_log.models import OutboxRow  # noqa: E402
from command_api.posts.commands.add_comment import AddComment  # noqa: E402
from command_api.posts.commands.publish_post import PublishPost  # noqa: E402
from command_api.posts.models import CommentGuard, PostGuard  # noqa: E402
from command_api.posts.text import mentioned_names  # noqa: E402
from command_api.reactions.commands.like_post import LikePost  # noqa: E402
from command_api.relationships.commands.follow_user import FollowUser  # noqa: E402
from command_api.routing import Command  # noqa: E402
from command_api.vault.people import ids_of  # noqa: E402
from infra.cli.output import say  # noqa: E402
from infra.demo import generate  # noqa: E402
from infra.demo.generate import BATCH_MAX, COMMENT, LIKE, POST, REACTIONS, Action, Plan  # noqa: E402
from infra.demo.progress import OtherData, Progress, SeedingFailed, recognise  # noqa: E402
from infra.demo.track import track  # noqa: E402
from projectors.runtime.lag import wait_until_caught_up  # noqa: E402
from shared import clock  # noqa: E402
from shared.environment import Environment  # noqa: E402
from shared.ids import mint  # noqa: E402

# The generated people share one password, hashed once: Argon2id at 64 MiB takes 130 ms, and they are thousands.
PASSWORD = "rookery-demo"
PASSWORD_HASH = (
    "argon2$argon2id$v=19$m=65536,t=3,p=1$yAso6GGupKcotPHBzCi3kA$38924zrovD8gTENRvH/EA1NrIkpRqBaNNCmjFf21NoE"
)
CAUGHT_UP_SECONDS_MAX = 900
LOG_SECONDS_MAX = 60
T = TypeVar("T")


def seed(environment: Environment, people: int, now: int) -> tuple[Plan, dict[str, Any] | None]:
    """The plan, all of it carried out and projected; and the figures, None when nothing was left to do.

    Raises OtherData where the names belong to others, SeedingFailed when a command is refused or the log or the
    projections stay behind.
    """
    plan = _plan(people, now)
    # The plan stays to the end: its many tuples need not be looked through by every collection of garbage.
    gc.freeze()
    progress = _progress(plan)
    if progress.finished:
        say(f"found the data of {people:,} people")
        _await_projections(environment)
        return plan, None
    figures = _carry_out(plan, progress)
    acknowledged = time.monotonic()
    _await_log()
    _await_projections(environment)
    figures["projected_seconds"] = round(time.monotonic() - acknowledged, 2)
    return plan, figures


def access_token(user_id: UUID) -> str:
    """What logging in would give, without it: 500 Argon2id verifications would take more than a minute."""
    return access_tokens.issue(user_id, (), clock.now())


def _plan(people: int, now: int) -> Plan:
    """The plan that was begun, else a new one ending now."""
    name = generate.username(0)
    found = ids_of([name]).get(name)
    plan = generate.plan(generate.moment_of(found) if found else now, people)
    taken = ids_of([person.username for person in plan.people])
    for person in plan.people:
        if taken.get(person.username, person.user_id) != person.user_id:
            raise OtherData(
                f"the name {person.username} is taken by somebody who is not of this demo, or of one with another"
                f" number of people than {people:,}: run that one, or `rookery down --data` and begin anew"
            )
    return plan


def _progress(plan: Plan) -> Progress:
    end = mint(generate.moment_of(plan.people[0].user_id), random=bytes(8))
    people = [person.user_id for person in plan.people]
    posts: dict[UUID, list[UUID]] = {}
    comments: dict[UUID, list[UUID]] = {}
    written = PostGuard.objects.filter(author_id__in=people, post_id__lt=end)
    for author_id, post_id in written.values_list("author_id", "post_id"):
        posts.setdefault(author_id, []).append(post_id)
    said = CommentGuard.objects.filter(author_id__in=people, comment_id__lt=end)
    for author_id, comment_id in said.values_list("author_id", "comment_id"):
        comments.setdefault(author_id, []).append(comment_id)
    return recognise(plan, posts, comments)


def _carry_out(plan: Plan, progress: Progress) -> dict[str, Any]:
    """Everything that is left, and how fast it went: from the first command to the last one's acknowledgement."""
    left = sum(map(len, progress.batches)) + (0 if progress.follows_done else len(plan.people) + len(plan.follows))
    started = time.monotonic()
    with track("commands", left) as advance:
        if not progress.follows_done:
            for people in _chunks(plan.people):
                rows = [(p.user_id, p.username, p.email, p.display_name, PASSWORD_HASH, p.at) for p in people]
                _accepted(register_batch(rows))
                advance(len(rows))
            for follows in _chunks(plan.follows):
                ids = [(plan.people[f.follower].user_id, plan.people[f.followee].user_id) for f in follows]
                commands = [FollowUser(follower, followee) for follower, followee in ids]
                _accepted(dispatch_batch(commands, [f.at for f in follows]))
                advance(len(follows))
        for batch in progress.batches:
            _carry_out_batch(plan, progress, batch)
            advance(len(batch))
    seconds = time.monotonic() - started
    return {
        "people": len(plan.people),
        "commands": left,
        "resumed": left < plan.size,
        "seeding_seconds": round(seconds, 2),
        "commands_per_second": round(left / seconds, 1),
    }


def _carry_out_batch(plan: Plan, progress: Progress, batch: Sequence[Action]) -> None:
    names = {person.username: person.user_id for person in plan.people}
    outcomes = _accepted(dispatch_batch([_command(plan, progress, names, a) for a in batch], [a.at for a in batch]))
    for action, outcome in zip(batch, outcomes, strict=True):
        if action.kind == POST:
            progress.post_ids[action.target] = outcome.event_id
        elif action.kind == COMMENT:
            progress.comment_ids[action.target] = outcome.event_id


def _command(plan: Plan, progress: Progress, names: Mapping[str, UUID], action: Action) -> Command:
    actor_id = plan.people[action.actor].user_id
    if action.kind == LIKE:
        return LikePost(actor_id, _made(progress.post_ids, action.target), REACTIONS[action.reaction])
    if action.kind == COMMENT:
        comment = plan.comments[action.target]
        return AddComment(
            actor_id=actor_id,
            post_id=_made(progress.post_ids, comment.post),
            content=comment.text,
            parent_id=None if comment.parent is None else _made(progress.comment_ids, comment.parent),
            people=_people_named(comment.text, names),
        )
    post = plan.posts[action.target]
    return PublishPost(
        actor_id=actor_id,
        content=post.text,
        visibility=post.visibility,
        language="en",
        reply_to=None if post.reply_to is None else _made(progress.post_ids, post.reply_to),
        quote_of=None if post.quote_of is None else _made(progress.post_ids, post.quote_of),
        people=_people_named(post.text, names),
    )


def _people_named(text: str, names: Mapping[str, UUID]) -> tuple[tuple[str, UUID], ...]:
    return tuple((name, names[name]) for name in mentioned_names(text)) if "@" in text else ()


def _made(ids: Sequence[UUID | None], index: int) -> UUID:
    found = ids[index]
    if found is None:
        raise SeedingFailed(f"number {index} is named before it was made")
    return found


def _accepted(outcomes: list[Outcome]) -> list[Outcome]:
    for outcome in outcomes:
        if outcome.rejection is not None:
            raise SeedingFailed(f"a command was refused: {outcome.rejection.detail}")
    return outcomes


def _await_log() -> None:
    """Until the relay has appended what the broker did not acknowledge in time; normally there is nothing."""
    deadline = time.monotonic() + LOG_SECONDS_MAX
    while waiting := OutboxRow.objects.filter(acked_at__isnull=True).count():
        if time.monotonic() > deadline:
            raise SeedingFailed(
                f"{waiting:,} events still wait for the log after {LOG_SECONDS_MAX} s; see `rookery logs relay`"
            )
        time.sleep(0.1)


def _await_projections(environment: Environment) -> None:
    """Until every projection has applied all that is in the log now."""
    told = 0
    with ExitStack() as stack:
        advance: Callable[..., None] | None = None

        def on_progress(left: int, at_first: int) -> None:
            nonlocal advance, told
            if advance is None:
                advance = stack.enter_context(track("projecting", at_first))
            advance(at_first - left - told)
            told = at_first - left

        if not asyncio.run(wait_until_caught_up(environment, CAUGHT_UP_SECONDS_MAX, on_progress)):
            raise SeedingFailed(f"the projections are still behind after {CAUGHT_UP_SECONDS_MAX} s; see `rookery logs`")


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), BATCH_MAX):
        yield items[begin : begin + BATCH_MAX]
