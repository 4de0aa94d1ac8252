"""What of a plan has been done already, told from what the command side holds: a seeding cut short goes on from there.

Actions are committed batch after batch, so of each person's posts (and comments) those that exist are the first ones
of the plan, in the order of their ids. Follows and likes are sets and may simply be sent again. So nothing is doubled,
and no marker is needed that could say more than is true.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from infra.demo.generate import COMMENT, POST, Action, Plan, batches


class OtherData(Exception):
    """What was found was not made by this plan."""


class SeedingFailed(Exception):
    """What the plan says could not be carried out."""


class Progress(NamedTuple):
    """Ids of the plan's posts and comments by their index, None for those that do not exist yet."""

    post_ids: list[UUID | None]
    comment_ids: list[UUID | None]
    batches: list[Sequence[Action]]  # still to be done, without the posts and comments that exist
    follows_done: bool

    @property
    def finished(self) -> bool:
        """The plan's last action is a comment, so that nothing is left when it exists."""
        return not self.batches


def recognise(plan: Plan, posts: Mapping[UUID, Iterable[UUID]], comments: Mapping[UUID, Iterable[UUID]]) -> Progress:
    """From the ids of posts and comments made before the plan's end, by author. Raises OtherData."""
    post_ids = _match(plan, POST, len(plan.posts), posts)
    comment_ids = _match(plan, COMMENT, len(plan.comments), comments)

    def done(action: Action) -> bool:
        ids = {POST: post_ids, COMMENT: comment_ids}.get(action.kind)
        return ids is not None and ids[action.target] is not None

    planned = list(batches(plan.actions))
    last_begun = max((number for number, batch in enumerate(planned) if any(map(done, batch))), default=-1)
    rest = [[action for action in batch if not done(action)] for batch in planned[max(last_begun, 0) :]]
    if done(plan.actions[-1]):
        rest = []
    return Progress(post_ids, comment_ids, [batch for batch in rest if batch], last_begun >= 0)


def _match(plan: Plan, kind: int, count: int, found: Mapping[UUID, Iterable[UUID]]) -> list[UUID | None]:
    remaining = {author: iter(sorted(ids)) for author, ids in found.items()}
    nothing: Iterable[UUID] = iter(())
    matched: list[UUID | None] = [None] * count
    for action in plan.actions:
        if action.kind == kind:
            matched[action.target] = next(iter(remaining.get(plan.people[action.actor].user_id, nothing)), None)
    if any(next(rest, None) is not None for rest in remaining.values()):
        raise OtherData("the demo's people have written more than the plan says; seeded by another version?")
    return matched
