"""A seeding cut off after any batch goes on with the next, and never publishes a post or comment a second time."""

from collections import defaultdict
from uuid import UUID

import pytest

from infra.demo import generate
from infra.demo.generate import COMMENT, LIKE, POST, Plan
from infra.demo.progress import OtherData, recognise
from shared import ids

PLAN = generate.plan(1_760_000_000_000_000, 60)
BATCHES = list(generate.batches(PLAN.actions))


def after(batches: int, plan: Plan = PLAN) -> tuple[dict[UUID, list[UUID]], dict[UUID, list[UUID]], list[UUID | None]]:
    """What the command side holds when so many batches are committed: posts, comments, and posts' ids by index."""
    posts: dict[UUID, list[UUID]] = defaultdict(list)
    comments: dict[UUID, list[UUID]] = defaultdict(list)
    post_ids: list[UUID | None] = [None] * len(plan.posts)
    for batch in BATCHES[:batches]:
        for action in batch:
            identifier = ids.mint(action.at)
            author = plan.people[action.actor].user_id
            if action.kind == POST:
                post_ids[action.target] = identifier
                posts[author].insert(0, identifier)  # in any order
            elif action.kind == COMMENT:
                comments[author].append(identifier)
    return posts, comments, post_ids


@pytest.mark.parametrize("batches", [0, 1, 2, len(BATCHES) // 2, len(BATCHES) - 1])
def test_what_is_left_is_what_was_not_committed(batches: int) -> None:
    posts, comments, post_ids = after(batches)
    progress = recognise(PLAN, posts, comments)
    assert progress.post_ids == post_ids
    assert not progress.finished
    left = [action for batch in progress.batches for action in batch]
    wanted = [action for batch in BATCHES[batches:] for action in batch]
    # Likes of the last batch are sent once more; that changes nothing.
    assert [action for action in left if action.kind != LIKE] == [action for action in wanted if action.kind != LIKE]
    assert set(wanted) <= set(left)
    assert progress.follows_done == (batches > 0)


def test_all_is_found_done() -> None:
    posts, comments, _ = after(len(BATCHES))
    progress = recognise(PLAN, posts, comments)
    assert progress.finished
    assert None not in progress.post_ids and None not in progress.comment_ids


def test_more_than_the_plan_says_is_not_taken_for_it() -> None:
    posts, comments, _ = after(len(BATCHES))
    posts[PLAN.people[0].user_id].append(ids.mint(PLAN.actions[-1].at))
    with pytest.raises(OtherData):
        recognise(PLAN, posts, comments)


def test_plans_of_two_sizes_have_different_people() -> None:
    other = generate.plan(1_760_000_000_000_000, 61)
    assert other.people[0].user_id != PLAN.people[0].user_id
